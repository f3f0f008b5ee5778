// The rules that move weights.

// Σ g², a part a block.
KERNEL square_parts(const float *gradient, int len, int part, double *parts) {
    const int begin = blockIdx.x * part, end = min(begin + part, len);
    float sum = 0.0f;
    for (int i = begin + threadIdx.x; i < end; i += THREADS) {
        sum += gradient[i] * gradient[i];
    }
    const double total = block_sum(sum);
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = total;
    }
}

// What gradients are multiplied with so that their norm is at most `limit`; one block.
KERNEL clip(const double *parts, int count, double limit, float *scale) {
    double sum = 0.0;
    for (int i = threadIdx.x; i < count; i += THREADS) {
        sum += parts[i];
    }
    const double share = limit / sqrt(block_sum(sum));
    if (threadIdx.x == 0) {
        *scale = share < 1.0 ? share : 1.0;
    }
}

// Adam (Kingma and Ba, 2015), the decay apart from the gradient (Loshchilov and Hutter, 2019):
// `keep` is what decay leaves, `rate` and `root` hold the corrections of the step.
KERNEL adam(float *values, const float *gradient, float *mean, float *square, int len,
            const float *clip_scale, float keep, float rate, float root, float beta1, float beta2,
            float rest1, float rest2, float epsilon) {
    const float scale = clip_scale ? *clip_scale : 1.0f;
    FOR_EACH(i, len) {
        const float g = gradient[i] * scale;
        const float m = beta1 * mean[i] + rest1 * g;
        const float v = beta2 * square[i] + rest2 * g * g;
        mean[i] = m;
        square[i] = v;
        values[i] = values[i] * keep - rate * m / (sqrtf(v) / root + epsilon);
    }
}

// Momentum as PyTorch has it: v = momentum · v + g, w = w − rate · v.
KERNEL sgd(float *values, const float *gradient, float *velocity, int len, const float *clip_scale,
           float keep, float rate, float momentum) {
    const float scale = clip_scale ? *clip_scale : 1.0f;
    FOR_EACH(i, len) {
        const float v = momentum * velocity[i] + gradient[i] * scale;
        velocity[i] = v;
        values[i] = values[i] * keep - rate * v;
    }
}

// average += share · (present − average): equal values stay as they are, to the bit.
KERNEL approach(float *average, const float *present, int len, float share) {
    FOR_EACH(i, len) {
        average[i] += share * (present[i] - average[i]);
    }
}
