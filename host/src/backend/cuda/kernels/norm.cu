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
KERNEL moments_parts(const Value *values, int rows, int channels, int part_rows,
                     Moments *parts) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    const int begin = blockIdx.y * part_rows, end = min(begin + part_rows, rows);
    float sum = 0.0f, square = 0.0f, centre = 0.0f;
    if (channel < channels) {
        centre = widened(values[begin * channels + channel]);
#pragma unroll 4
        for (int row = begin + threadIdx.y; row < end; row += blockDim.y) {
            const float deviation = widened(values[row * channels + channel]) - centre;
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

// Other sums over rows are taken of rows that are read several values at a time: as many rows of channels
// side by side as that takes, `across` times as many values as are read at once. Parts and blocks are as
// for the moments.
__device__ inline int own_column() { return blockIdx.x * blockDim.x + threadIdx.x; }

// Calls `take` with the values of some arrays of `len` in each of the thread's rows. The last row may be
// short: what it lacks is 0.
template <int COUNT, class Take>
__device__ inline void each_of_part(const Value *const (&arrays)[COUNT], int len, int across,
                                    int part_rows, Take take) {
    if (own_column() >= across) {
        return;
    }
    const int begin = blockIdx.y * part_rows, row = AT_ONCE * across;
    const int first = (begin + threadIdx.y) * row + AT_ONCE * own_column();
    each_place(arrays, first, blockDim.y * row, min((begin + part_rows) * row, len),
               [&](int, const Several(&taken)[COUNT]) { take(taken); });
}

// Writes a part's sums. Where a block has whole rows it adds up what of them is the same channel's;
// else the columns are so many parts of channels, one after the other.
__device__ inline void put_part(const float (&first)[AT_ONCE], const float (&second)[AT_ONCE],
                                int across, int channels, Pair *parts) {
    __shared__ float2 rows[AT_ONCE * THREADS];
    __shared__ Pair shares[THREADS];
    const int thread = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
    for (int v = 0; v < AT_ONCE; ++v) {
        rows[AT_ONCE * thread + v] = {first[v], second[v]};
    }
    __syncthreads();
    // A column's threads take every so many-th row; a block has as many rows as are read at once, or more.
    const int width = AT_ONCE * blockDim.x, sharers = blockDim.x * blockDim.y / width;
    if (thread < sharers * width) {
        Pair sum = {0.0, 0.0};
        for (int row = thread / width; row < blockDim.y; row += sharers) {
            sum.first += rows[row * width + thread % width].x;
            sum.second += rows[row * width + thread % width].y;
        }
        shares[thread] = sum;
    }
    __syncthreads();
    const bool whole = gridDim.x == 1;
    const int begin = AT_ONCE * blockIdx.x * blockDim.x, of_part = AT_ONCE * across;
    const int sums = whole ? channels : min(width, of_part - begin), step = whole ? channels : width;
    if (thread >= sums) {
        return;
    }
    Pair total = {0.0, 0.0};
    for (int column = thread; column < width; column += step) {
        for (int share = column; share < sharers * width; share += width) {
            total.first += shares[share].first;
            total.second += shares[share].second;
        }
    }
    parts[blockIdx.y * (whole ? channels : of_part) + begin + thread] = total;
}

// Threads that normalise go from some values to others of the same channels.

// out = activation(factor · x + offset).
template <int ACTIVATION>
__device__ inline void normalise_all(const Value *values, int len, const Divisor &channels,
                                     const float *affine, Value *out) {
    const int first = first_of_several();
    const Several factors = of_channels(affine, first, channels);
    const Several offsets = of_channels(affine + channels.value, first, channels);
    const Value *const arrays[1] = {values};
    each_several(arrays, len, [&](int i, Several(&taken)[1]) {
#pragma unroll
        for (int v = 0; v < AT_ONCE; ++v) {
            float &x = taken[0].values[v];
            x = activate(ACTIVATION, factors.values[v] * x + offsets.values[v]);
        }
        put_several(taken[0], out, i, len);
    });
}
KERNEL __launch_bounds__(THREADS, 6)
    normalise(const Value *values, int len, Divisor channels, const float *affine, int activation,
              Value *out) {
    BY_ACTIVATION(normalise_all, values, len, channels, affine, out)
}

// The gradient before the activation.
template <int ACTIVATION>
__device__ inline float inner(float gradient, float x, float factor, float offset) {
    return gradient * slope(ACTIVATION, activate(ACTIVATION, factor * x + offset));
}

// Each part's Σ g · (x − mean) and Σ g, g the gradient before the activation.
template <int ACTIVATION>
__device__ inline void sum_gradients(const Value *values, const Value *gradient, int len, int across,
                                     int part_rows, const Divisor &channels,
                                     const double *statistics, const float *affine, Pair *parts) {
    Several means, factors, offsets;
    if (own_column() < across) {
        const int first = AT_ONCE * own_column();
        means = of_channels(statistics, first, channels);
        factors = of_channels(affine, first, channels);
        offsets = of_channels(affine + channels.value, first, channels);
    }
    float by_value[AT_ONCE] = {}, plain[AT_ONCE] = {};
    const Value *const both[2] = {values, gradient};
    each_of_part(both, len, across, part_rows, [&](const Several(&taken)[2]) {
#pragma unroll
        for (int v = 0; v < AT_ONCE; ++v) {
            const float x = taken[0].values[v];
            const float g =
                inner<ACTIVATION>(taken[1].values[v], x, factors.values[v], offsets.values[v]);
            by_value[v] += g * (x - means.values[v]);
            plain[v] += g;
        }
    });
    put_part(by_value, plain, across, channels.value, parts);
}
KERNEL __launch_bounds__(THREADS, 3)
    norm_parts(const Value *values, const Value *gradient, int len, int across, int part_rows,
               Divisor channels, const double *statistics, const float *affine, int activation,
               Pair *parts) {
    BY_ACTIVATION(sum_gradients, values, gradient, len, across, part_rows, channels, statistics,
                  affine, parts)
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
template <int ACTIVATION>
__device__ inline void normalise_back(const Value *values, int len, const Divisor &channels,
                                      const float *affine, const float *slopes, Value *gradient) {
    const int first = first_of_several();
    const Several factors = of_channels(affine, first, channels);
    const Several offsets = of_channels(affine + channels.value, first, channels);
    const Several by_value = of_channels(slopes, first, channels);
    const Several constants = of_channels(slopes + channels.value, first, channels);
    const Value *const both[2] = {values, gradient};
    each_several(both, len, [&](int i, Several(&taken)[2]) {
#pragma unroll
        for (int v = 0; v < AT_ONCE; ++v) {
            const float factor = factors.values[v], x = taken[0].values[v];
            float &turned = taken[1].values[v];
            const float g = inner<ACTIVATION>(turned, x, factor, offsets.values[v]);
            turned = factor * g + by_value.values[v] * x + constants.values[v];
        }
        put_several(taken[1], gradient, i, len);
    });
}
KERNEL __launch_bounds__(THREADS, 4)
    norm_backward(const Value *values, int len, Divisor channels, const float *affine,
                  const float *slopes, int activation, Value *gradient) {
    BY_ACTIVATION(normalise_back, values, len, channels, affine, slopes, gradient)
}

// values = activation(values + bias).
template <int ACTIVATION, class Of>
__device__ inline void finish_all(Of *values, int len, const Divisor &channels, const float *bias) {
    FOR_EACH_SEVERAL(i, len) {
        Several some = several_at(values, i, len);
        const Several biases = bias ? of_channels(bias, i, channels) : Several{};
#pragma unroll
        for (int v = 0; v < AT_ONCE; ++v) {
            some.values[v] = activate(ACTIVATION, some.values[v] + biases.values[v]);
        }
        put_several(some, values, i, len);
    }
}
KERNEL finish(Value *values, int len, Divisor channels, const float *bias, int activation) {
    BY_ACTIVATION(finish_all, values, len, channels, bias)
}

// Each part's sum of a column.
KERNEL __launch_bounds__(THREADS, 4)
    column_parts(const Value *values, int len, int across, int part_rows, int channels,
                    Pair *parts) {
    float sums[AT_ONCE] = {};
    const Value *const one[1] = {values};
    each_of_part(one, len, across, part_rows, [&](const Several(&taken)[1]) {
#pragma unroll
        for (int v = 0; v < AT_ONCE; ++v) {
            sums[v] += taken[0].values[v];
        }
    });
    const float none[AT_ONCE] = {};
    put_part(sums, none, across, channels, parts);
}

// The sums of the columns.
KERNEL columns(const Pair *parts, int count, int channels, float *out) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    const Pair total = sum_of_parts(parts, count, channels, channel);
    if (threadIdx.y == 0 && channel < channels) {
        out[channel] = total.first;
    }
}
