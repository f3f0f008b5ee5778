// Pooling over windows that do not overlap; a remainder at the edge is dropped.

// Windows of `height × width` over `count` planes.
struct Pool {
    int count;
    int plane_height, plane_width, channels;
    int height, width;

    __device__ int rows() const { return plane_height / height; }
    __device__ int columns() const { return plane_width / width; }
    __device__ int outputs() const { return count * rows() * columns() * channels; }
    __device__ int inputs() const { return count * plane_height * plane_width * channels; }

    // The first input of the window of an output.
    __device__ int first(int output) const {
        const int channel = output % channels, pixel = output / channels;
        const int column = pixel % columns(), line = pixel / columns();
        const int row = line % rows(), image = line / rows();
        return ((image * plane_height + row * height) * plane_width + column * width) * channels +
               channel;
    }
    __device__ int tap(int tap) const {
        return (tap / width * plane_width + tap % width) * channels;
    }

    // The output whose window an input is in, and which of its taps it is; −1 for the remainder.
    __device__ int output(int input, int &tap) const {
        const int channel = input % channels, pixel = input / channels;
        const int x = pixel % plane_width, line = pixel / plane_width;
        const int y = line % plane_height, image = line / plane_height;
        const int row = y / height, column = x / width;
        tap = y % height * width + x % width;
        return row < rows() && column < columns()
                   ? ((image * rows() + row) * columns() + column) * channels + channel
                   : -1;
    }
};

// The maxima, and the tap that each came from: the first of equals.
KERNEL max_pool(Pool pool, const float *inputs, float *out, int *winners) {
    FOR_EACH(i, pool.outputs()) {
        const float *window = inputs + pool.first(i);
        float best = window[0];
        int winner = 0;
        for (int tap = 1; tap < pool.height * pool.width; ++tap) {
            const float value = window[pool.tap(tap)];
            if (value > best) {
                best = value;
                winner = tap;
            }
        }
        out[i] = best;
        winners[i] = winner;
    }
}

KERNEL max_pool_backward(Pool pool, const float *gradient, const int *winners, float *out) {
    FOR_EACH(i, pool.inputs()) {
        int tap;
        const int output = pool.output(i, tap);
        out[i] = output >= 0 && winners[output] == tap ? gradient[output] : 0.0f;
    }
}

KERNEL average_pool(Pool pool, const float *inputs, float *out) {
    const float weight = 1.0f / (pool.height * pool.width);
    FOR_EACH(i, pool.outputs()) {
        const float *window = inputs + pool.first(i);
        float sum = 0.0f;
        for (int tap = 0; tap < pool.height * pool.width; ++tap) {
            sum += window[pool.tap(tap)];
        }
        out[i] = sum * weight;
    }
}

KERNEL average_pool_backward(Pool pool, const float *gradient, float *out) {
    const float weight = 1.0f / (pool.height * pool.width);
    FOR_EACH(i, pool.inputs()) {
        int tap;
        const int output = pool.output(i, tap);
        out[i] = output >= 0 ? gradient[output] * weight : 0.0f;
    }
}
