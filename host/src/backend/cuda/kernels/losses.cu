// What a step minimises, and its gradients.

// Each dimension's KL divergence from N(0, 1) over a batch, −½ Σ (1 + log σ² − μ² − σ²)
// (Kingma and Welling, 2014): a block has threads for some dimensions (x) and for images (y).
KERNEL divergence(const float *mean, const float *log_variance, int count, int dimensions,
                  double *totals) {
    const int d = blockIdx.x * blockDim.x + threadIdx.x;
    double sum = 0.0;
    if (d < dimensions) {
        for (int image = threadIdx.y; image < count; image += blockDim.y) {
            const double m = mean[image * dimensions + d], log = log_variance[image * dimensions + d];
            sum += -0.5 * (1.0 + log - m * m - exp(log));
        }
    }
    const Pair total = sum_of_rows({sum, 0.0});
    if (threadIdx.y == 0 && d < dimensions) {
        totals[d] = total.first;
    }
}

// z = μ + ε · exp(½ log σ²).
KERNEL sample(const float *mean, const float *log_variance, const float *noise, int len,
              Value *out) {
    FOR_EACH(i, len) {
        put(mean[i] + noise[i] * expf(0.5f * log_variance[i]), out + i);
    }
}

// The gradients of μ (added to what it has, with `add`) and log σ² from that of z. A dimension
// whose divergence is below `least` in all adds nothing.
KERNEL sample_backward(const Value *gradient, const float *mean, const float *log_variance,
                       const float *noise, int len, int dimensions, const double *totals,
                       float weight, double least, int add, Value *by_mean, Value *by_log) {
    FOR_EACH(i, len) {
        const float w = totals[i % dimensions] < least ? 0.0f : weight;
        const float deviation = expf(0.5f * log_variance[i]);
        const float by_divergence = w * (deviation * deviation - 1.0f);
        const float g = widened(gradient[i]), before = add ? widened(by_mean[i]) : 0.0f;
        put(before + g + w * mean[i], by_mean + i);
        put(0.5f * (g * noise[i] * deviation + by_divergence), by_log + i);
    }
}

// Σ (activation(y + bias) − x)², a part a block, and its gradient by y, held `weight` times.
template <int ACTIVATION>
__device__ inline void sum_errors(const float *outputs, const Value *targets, int len, int part,
                                  const Divisor &channels, const float *bias, float weight,
                                  Value *gradient, double *parts) {
    const int begin = blockIdx.x * part, end = min(begin + part, len);
    float sum = 0.0f;
    for (int i = begin + threadIdx.x * AT_ONCE; i < end; i += THREADS * AT_ONCE) {
        const Several some = several_at(outputs, i, end), wanted = several_at(targets, i, end);
        const Several biases = bias ? of_channels(bias, i, channels) : Several{};
        Several turned;
#pragma unroll
        for (int v = 0; v < AT_ONCE; ++v) {
            const float y = activate(ACTIVATION, some.values[v] + biases.values[v]);
            const float error = i + v < end ? y - wanted.values[v] : 0.0f;
            sum += error * error;
            turned.values[v] = 2.0f * weight * error * slope(ACTIVATION, y);
        }
        put_several(turned, gradient, i, end);
    }
    const double total = block_sum(sum);
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = total;
    }
}
KERNEL squared_error(const float *outputs, const Value *targets, int len, int part,
                     Divisor channels, const float *bias, int activation, float weight,
                     Value *gradient, double *parts) {
    BY_ACTIVATION(sum_errors, outputs, targets, len, part, channels, bias, weight, gradient, parts)
}

// Softmax cross-entropy against a class, with label smoothing (Szegedy et al., 2016), or a
// distribution (Hinton et al., 2015): a block an image. `targets` are class, smoothing and weight;
// where the smoothing is negative, the image's row of `shares` says what is wanted of each class.
// `outcomes` are the cross-entropy, and 1 where the first best logit is the target's class.
KERNEL cross_entropy(const float *logits, int classes, const float *targets, const float *shares,
                     Value *gradient, double *outcomes) {
    logits += blockIdx.x * classes;
    gradient += blockIdx.x * classes;
    targets += blockIdx.x * 3;
    shares += blockIdx.x * classes;
    const int target = (int)targets[0];
    const double smoothing = targets[1], weight = targets[2];
    float top = logits[0];
    int best = 0;
    for (int c = threadIdx.x; c < classes; c += THREADS) {
        if (logits[c] > top || c == threadIdx.x) {
            top = logits[c];
            best = c;
        }
    }
    block_max(top, best);
    double total = 0.0;
    for (int c = threadIdx.x; c < classes; c += THREADS) {
        total += exp((double)logits[c] - top);
    }
    total = block_sum(total);
    double loss = 0.0;
    for (int c = threadIdx.x; c < classes; c += THREADS) {
        const double log_share = (double)logits[c] - top - log(total);
        const double wanted = smoothing < 0.0 ? (double)shares[c]
                                              : (c == target ? 1.0 - smoothing : 0.0) + smoothing / classes;
        loss -= wanted * log_share;
        put((exp(log_share) - wanted) * weight, gradient + c);
    }
    loss = block_sum(loss);
    if (threadIdx.x == 0) {
        outcomes[blockIdx.x * 2] = loss;
        outcomes[blockIdx.x * 2 + 1] = best == target;
    }
}
