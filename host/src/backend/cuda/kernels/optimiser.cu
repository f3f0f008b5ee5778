// The rules that move weights: a launch for all tensors that learn, however many there are.

// Where a tensor lies in the buffers of a model, which all have one order, and how it moves: `keep`
// is what decay leaves of the values, `rate` and `root` hold Adam's corrections.
struct Segment {
    int start, len;
    // The first of its blocks.
    int block;
    float keep, rate, root;
};

constexpr int MOST_SEGMENTS = 64;

struct Segments {
    int count;
    // Values of a block.
    int part;
    Segment all[MOST_SEGMENTS];
};

// The values of this block.
struct Stretch {
    int begin, end;
    float keep, rate, root;

    __device__ Stretch(const Segments &segments) {
        const int block = blockIdx.x;
        int i = segments.count - 1;
        while (segments.all[i].block > block) {
            --i;
        }
        const int start = segments.all[i].start;
        begin = start + (block - segments.all[i].block) * segments.part;
        end = min(begin + segments.part, start + segments.all[i].len);
        keep = segments.all[i].keep;
        rate = segments.all[i].rate;
        root = segments.all[i].root;
    }
};

// Σ g², a part a block.
KERNEL square_parts(Segments segments, const float *gradient, double *parts) {
    const Stretch stretch(segments);
    float sum = 0.0f;
    for (int i = stretch.begin + threadIdx.x; i < stretch.end; i += THREADS) {
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

// Adam, whose numbers are those of all tensors but for a segment's own.
KERNEL adam(Segments segments, float *values, const float *gradient, float *mean, float *square,
            const float *clip_scale, Adam numbers) {
    const float scale = clip_scale ? *clip_scale : 1.0f;
    const Stretch stretch(segments);
    numbers.keep = stretch.keep;
    numbers.rate = stretch.rate;
    numbers.root = stretch.root;
#pragma unroll 4
    for (int i = stretch.begin + threadIdx.x; i < stretch.end; i += THREADS) {
        float value = values[i], m = mean[i], v = square[i];
        numbers.move(value, gradient[i] * scale, m, v);
        mean[i] = m;
        square[i] = v;
        values[i] = value;
    }
}

// Momentum as PyTorch has it: v = momentum · v + g, w = w − rate · v.
KERNEL sgd(Segments segments, float *values, const float *gradient, float *velocity,
           const float *clip_scale, float momentum) {
    const float scale = clip_scale ? *clip_scale : 1.0f;
    const Stretch stretch(segments);
    for (int i = stretch.begin + threadIdx.x; i < stretch.end; i += THREADS) {
        const float v = momentum * velocity[i] + gradient[i] * scale;
        velocity[i] = v;
        values[i] = values[i] * stretch.keep - stretch.rate * v;
    }
}

// average += share · (present − average): equal values stay as they are, to the bit.
KERNEL approach(float *average, const float *present, int len, float share) {
    FOR_EACH(i, len) {
        average[i] += share * (present[i] - average[i]);
    }
}
