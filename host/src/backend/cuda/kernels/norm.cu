// Batch normalisation over the rows of a `rows × channels` array, with what follows it, and the
// bias and activation of layers without it.
//
// The moments of a map's values come with them, a part a tile, or else, like other sums over rows, in
// parts of `part_rows` rows: a block has threads for some channels (x) and for rows (y), and part
// `blockIdx.y`. A second kernel merges the parts: a block has threads for some channels (x) and for
// parts (y), each of which takes every so many-th.

// `host/src/backend/cpu`'s constants, PyTorch's too.
constexpr double EPSILON = 1e-5;
constexpr double MOMENTUM = 0.1;

// Each part's moments, a channel. All threads sum about the part's first value, so nothing is lost
// where a mean is far from zero.
KERNEL moments_parts(const float *values, int rows, int channels, int part_rows,
                     Moments *parts) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    const int begin = blockIdx.y * part_rows, end = min(begin + part_rows, rows);
    float sum = 0.0f, square = 0.0f, centre = 0.0f;
    if (channel < channels) {
        centre = values[begin * channels + channel];
#pragma unroll 4
        for (int row = begin + threadIdx.y; row < end; row += blockDim.y) {
            const float deviation = values[row * channels + channel] - centre;
            sum += deviation;
            square += deviation * deviation;
        }
    }
    const Pair total = sum_of_rows({sum, square});
    if (threadIdx.y == 0 && channel < channels) {
        parts[blockIdx.y * channels + channel] = moments_about(centre, end - begin, total);
    }
}

// activation(γ · (x − mean) / deviation + β) as factor · x + offset.
__device__ inline void set_affine(float *affine, int channels, int channel, float gamma, float beta,
                                  double mean, double deviation) {
    const double factor = gamma / deviation;
    affine[channel] = factor;
    affine[channels + channel] = beta - factor * mean;
}

// The sum over a block's threads of one threadIdx.x, for all of them.
__device__ inline double shared_sum_of_rows(double mine) {
    __shared__ double sums[THREADS];
    const Pair total = sum_of_rows({mine, 0.0});
    __syncthreads();
    if (threadIdx.y == 0) {
        sums[threadIdx.x] = total.first;
    }
    __syncthreads();
    return sums[threadIdx.x];
}

// The mean of a channel's `rows` values, and Σ (x − mean)², from the moments of its parts: the mean of
// all means, then the deviations about it. All threads of a channel get them.
__device__ inline Moments merged(const Moments *parts, int count, int rows, int channels,
                                 int channel) {
    const int first = channel < channels ? threadIdx.y : count;
    double sum = 0.0;
    for (int part = first; part < count; part += blockDim.y) {
        const Moments some = parts[part * channels + channel];
        sum += some.count * some.mean;
    }
    const double mean = shared_sum_of_rows(sum) / rows;
    sum = 0.0;
    for (int part = first; part < count; part += blockDim.y) {
        const Moments some = parts[part * channels + channel];
        sum += some.square + some.count * (some.mean - mean) * (some.mean - mean);
    }
    return {(double)rows, mean, shared_sum_of_rows(sum)};
}

// The parts as one: what this machine adds to the moments of a batch that several share.
KERNEL merge_moments(const Moments *parts, int count, int rows, int channels, Moments *out) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    const Moments all = merged(parts, count, rows, channels, channel);
    if (threadIdx.y == 0 && channel < channels) {
        out[channel] = all;
    }
}

// The moments of all parts; moves the running statistics. `statistics` gets means and deviations,
// `affine` factors and offsets. The bias of the map, which the values are without, is part of the
// running mean.
KERNEL moments(const Moments *parts, int count, int rows, int channels, const float *gamma,
               const float *beta, const float *bias, float *running_mean,
               float *running_variance, double *statistics, float *affine) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    const Moments all = merged(parts, count, rows, channels, channel);
    if (threadIdx.y == 0 && channel < channels) {
        const double unbiased = all.square / max(rows - 1, 1);
        const double shifted = all.mean + (bias ? bias[channel] : 0.0f);
        running_mean[channel] = (1.0 - MOMENTUM) * running_mean[channel] + MOMENTUM * shifted;
        running_variance[channel] =
            (1.0 - MOMENTUM) * running_variance[channel] + MOMENTUM * unbiased;
        const double deviation = sqrt(all.square / rows + EPSILON);
        statistics[channel] = all.mean;
        statistics[channels + channel] = deviation;
        set_affine(affine, channels, channel, gamma[channel], beta[channel], all.mean, deviation);
    }
}

// The same from the running statistics.
KERNEL running_affine(int channels, const float *gamma, const float *beta, const float *bias,
                      const float *running_mean, const float *running_variance, float *affine) {
    FOR_EACH(channel, channels) {
        const double mean = (double)running_mean[channel] - (bias ? bias[channel] : 0.0f);
        const double deviation = sqrt(running_variance[channel] + EPSILON);
        set_affine(affine, channels, channel, gamma[channel], beta[channel], mean, deviation);
    }
}

// Four values of an array of `len` from `i` on, as far as there are any. Arrays begin on a multiple of
// 16 bytes, and `i` is a multiple of 4.
__device__ inline Quad quad_at(const float *values, int i, int len) {
    if (i + 4 <= len) {
        return whole_quad(values + i);
    }
    Quad quad = {};
#pragma unroll
    for (int v = 0; v < 3; ++v) {
        if (i + v < len) {
            quad.values[v] = values[i + v];
        }
    }
    return quad;
}

__device__ inline void put_quad_at(const Quad &quad, float *values, int i, int len) {
    if (i + 4 <= len) {
        *(float4 *)(values + i) = {quad.values[0], quad.values[1], quad.values[2],
                                   quad.values[3]};
        return;
    }
#pragma unroll
    for (int v = 0; v < 3; ++v) {
        if (i + v < len) {
            values[i + v] = quad.values[v];
        }
    }
}

// Calls `each` with the number in its quad and the channel of each of the values from `i` on.
template <class Each>
__device__ inline void each_of_quad(int i, const Divisor &channels, Each each) {
    int channel = i - channels.quotient(i) * channels.value;
#pragma unroll
    for (int v = 0; v < 4; ++v) {
        each(v, channel);
        channel = channel + 1 < channels.value ? channel + 1 : 0;
    }
}

// Other sums over rows are taken of rows of whole `quads`: as many rows of channels side by side as
// that takes. Parts and blocks are as for the moments.
__device__ inline int own_quad() { return blockIdx.x * blockDim.x + threadIdx.x; }

// Calls `take` with the quads of some arrays of `len` values in each of the thread's rows. The last
// row may be short: what it lacks is 0.
template <int COUNT, class Take>
__device__ inline void each_quad_of_part(const float *const (&arrays)[COUNT], int len, int quads,
                                         int part_rows, Take take) {
    const int whole = len / (4 * quads), end = (blockIdx.y + 1) * part_rows;
    if (own_quad() >= quads) {
        return;
    }
    int row = blockIdx.y * part_rows + threadIdx.y;
#pragma unroll 4
    for (; row < min(end, whole); row += blockDim.y) {
        Quad taken[COUNT];
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            taken[i] = whole_quad(arrays[i] + 4 * (row * quads + own_quad()));
        }
        take(taken);
    }
    if (row == whole && row < end) {
        Quad taken[COUNT];
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            taken[i] = quad_at(arrays[i], 4 * (row * quads + own_quad()), len);
        }
        take(taken);
    }
}

// The most quads of a row that a block takes whole.
constexpr int MOST_QUADS = 32;

// Writes a part's sums. Where a block has whole rows it adds up what of them is the same channel's;
// else the columns are so many parts of channels, one after the other.
__device__ inline void put_part(const float (&first)[4], const float (&second)[4], int quads,
                                int channels, Pair *parts) {
    __shared__ Pair columns[4 * MOST_QUADS];
    const bool whole = gridDim.x == 1;
    Pair totals[4];
#pragma unroll
    for (int v = 0; v < 4; ++v) {
        totals[v] = {first[v], second[v]};
    }
    sum_of_rows(totals);
    Pair *const to = whole ? columns : parts + 4 * blockIdx.y * quads;
    if (threadIdx.y == 0 && own_quad() < quads) {
#pragma unroll
        for (int v = 0; v < 4; ++v) {
            to[4 * own_quad() + v] = totals[v];
        }
    }
    if (!whole) {
        return;
    }
    __syncthreads();
    const int channel = threadIdx.y * blockDim.x + threadIdx.x;
    if (channel < channels) {
        Pair total = {0.0, 0.0};
        for (int column = channel; column < 4 * quads; column += channels) {
            total.first += columns[column].first;
            total.second += columns[column].second;
        }
        parts[blockIdx.y * channels + channel] = total;
    }
}

// out = activation(factor · x + offset).
KERNEL normalise(const float *values, int len, Divisor channels, const float *affine,
                 int activation, float *out) {
    const float *const offsets = affine + channels.value;
    FOR_EACH_QUAD(i, len) {
        Quad quad = quad_at(values, i, len);
        each_of_quad(i, channels, [&](int v, int channel) {
            const float x = quad.values[v];
            quad.values[v] = activate(activation, affine[channel] * x + offsets[channel]);
        });
        put_quad_at(quad, out, i, len);
    }
}

// The gradient before the activation.
__device__ inline float inner(float gradient, float x, float factor, float offset, int activation) {
    return gradient * slope(activation, activate(activation, factor * x + offset));
}

// Each part's Σ g · (x − mean) and Σ g, g the gradient before the activation.
KERNEL norm_parts(const float *values, const float *gradient, int len, int quads, int part_rows,
                  Divisor channels, const double *statistics, const float *affine, int activation,
                  Pair *parts) {
    float means[4], factors[4], offsets[4], by_value[4] = {}, plain[4] = {};
    if (own_quad() < quads) {
        each_of_quad(4 * own_quad(), channels, [&](int v, int channel) {
            means[v] = statistics[channel];
            factors[v] = affine[channel];
            offsets[v] = affine[channels.value + channel];
        });
    }
    const float *const both[2] = {values, gradient};
    each_quad_of_part(both, len, quads, part_rows, [&](const Quad(&taken)[2]) {
#pragma unroll
        for (int v = 0; v < 4; ++v) {
            const float x = taken[0].values[v];
            const float g = inner(taken[1].values[v], x, factors[v], offsets[v], activation);
            by_value[v] += g * (x - means[v]);
            plain[v] += g;
        }
    });
    put_part(by_value, plain, quads, channels.value, parts);
}

// The sum of a channel's parts; the thread of threadIdx.y = 0 has it.
__device__ inline Pair sum_of_parts(const Pair *parts, int count, int channels, int channel) {
    Pair mine = {0.0, 0.0};
    if (channel < channels) {
        for (int part = threadIdx.y; part < count; part += blockDim.y) {
            mine.first += parts[part * channels + channel].first;
            mine.second += parts[part * channels + channel].second;
        }
    }
    return sum_of_rows(mine);
}

// The parts as one: what this machine adds to the sums over a batch that several share.
KERNEL norm_sums(const Pair *parts, int count, int channels, Pair *out) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    const Pair total = sum_of_parts(parts, count, channels, channel);
    if (threadIdx.y == 0 && channel < channels) {
        out[channel] = total;
    }
}

// The gradients of γ and β, and slope and constant of
// dx = factor · (g − Σg / n − x̂ · Σ(g · x̂) / n) = factor · g + slope · x + constant.
KERNEL norm_gradients(const Pair *parts, int count, int rows, int channels,
                      const double *statistics, const float *affine, float *gamma_gradient,
                      float *beta_gradient, float *slopes) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    const Pair total = sum_of_parts(parts, count, channels, channel);
    if (threadIdx.y == 0 && channel < channels) {
        const double by_value = total.first, plain = total.second;
        const double mean = statistics[channel], deviation = statistics[channels + channel];
        const double scale = by_value / deviation;
        gamma_gradient[channel] = scale;
        beta_gradient[channel] = plain;
        const double factor = (double)affine[channel] / rows;
        const double per_value = -factor * scale / deviation;
        slopes[channel] = per_value;
        slopes[channels + channel] = -factor * plain - per_value * mean;
    }
}

// gradient = that of what was normalised.
KERNEL norm_backward(const float *values, int len, Divisor channels, const float *affine,
                     const float *slopes, int activation, float *gradient) {
    const float *const offsets = affine + channels.value, *const constants = slopes + channels.value;
    FOR_EACH_QUAD(i, len) {
        const Quad quad = quad_at(values, i, len);
        Quad turned = quad_at(gradient, i, len);
        each_of_quad(i, channels, [&](int v, int channel) {
            const float factor = affine[channel], x = quad.values[v];
            const float g = inner(turned.values[v], x, factor, offsets[channel], activation);
            turned.values[v] = factor * g + slopes[channel] * x + constants[channel];
        });
        put_quad_at(turned, gradient, i, len);
    }
}

// values = activation(values + bias).
KERNEL finish(float *values, int len, Divisor channels, const float *bias, int activation) {
    FOR_EACH_QUAD(i, len) {
        Quad quad = quad_at(values, i, len);
        each_of_quad(i, channels, [&](int v, int channel) {
            const float x = quad.values[v] + (bias ? bias[channel] : 0.0f);
            quad.values[v] = activate(activation, x);
        });
        put_quad_at(quad, values, i, len);
    }
}

// gradient = that before the activation.
KERNEL finish_backward(const float *outputs, int len, int activation, float *gradient) {
    FOR_EACH_QUAD(i, len) {
        const Quad quad = quad_at(outputs, i, len);
        Quad turned = quad_at(gradient, i, len);
#pragma unroll
        for (int v = 0; v < 4; ++v) {
            turned.values[v] *= slope(activation, quad.values[v]);
        }
        put_quad_at(turned, gradient, i, len);
    }
}

// Each part's sum of a column.
KERNEL column_parts(const float *values, int len, int quads, int part_rows, int channels,
                    Pair *parts) {
    float sums[4] = {};
    const float *const one[1] = {values};
    each_quad_of_part(one, len, quads, part_rows, [&](const Quad(&taken)[1]) {
#pragma unroll
        for (int v = 0; v < 4; ++v) {
            sums[v] += taken[0].values[v];
        }
    });
    const float none[4] = {};
    put_part(sums, none, quads, channels, parts);
}

// The sums of the columns.
KERNEL columns(const Pair *parts, int count, int channels, float *out) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    const Pair total = sum_of_parts(parts, count, channels, channel);
    if (threadIdx.y == 0 && channel < channels) {
        out[channel] = total.first;
    }
}
