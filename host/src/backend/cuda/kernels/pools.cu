// Pooling over windows that do not overlap; a remainder at the edge is dropped.

// Windows of `height × width` over planes.
struct Pool {
    int inputs, outputs;
    // Of a plane.
    Divisor plane_height, plane_width, channels;
    // Of a window.
    Divisor height, width;
    // Windows of a plane.
    Divisor rows, columns;

    // The first input of the window of an output.
    __device__ int first(int output) const {
        const int pixel = channels.quotient(output), channel = output - pixel * channels.value;
        const int line = columns.quotient(pixel), column = pixel - line * columns.value;
        const int image = rows.quotient(line), row = line - image * rows.value;
        const int top = image * plane_height.value + row * height.value;
        return (top * plane_width.value + column * width.value) * channels.value + channel;
    }
    // From a row of taps to the next.
    __device__ int row() const { return plane_width.value * channels.value; }

    // The output whose window an input is in, and which of its taps it is; −1 for the remainder.
    __device__ int output(int input, int &tap) const {
        const int pixel = channels.quotient(input), channel = input - pixel * channels.value;
        const int line = plane_width.quotient(pixel), x = pixel - line * plane_width.value;
        const int image = plane_height.quotient(line), y = line - image * plane_height.value;
        const int row = height.quotient(y), column = width.quotient(x);
        tap = (y - row * height.value) * width.value + x - column * width.value;
        return row < rows.value && column < columns.value
                   ? ((image * rows.value + row) * columns.value + column) * channels.value + channel
                   : -1;
    }
};

// The maxima, and the tap that each came from: the first of equals.
KERNEL max_pool(const __grid_constant__ Pool pool, const Value *inputs, Value *out, int *winners) {
    FOR_EACH(i, pool.outputs) {
        const Value *window = inputs + pool.first(i);
        float best = widened(window[0]);
        int winner = 0;
        for (int row = 0; row < pool.height.value; ++row) {
            for (int column = 0; column < pool.width.value; ++column) {
                const float value = widened(window[column * pool.channels.value]);
                if (value > best) {
                    best = value;
                    winner = row * pool.width.value + column;
                }
            }
            window += pool.row();
        }
        put(best, out + i);
        winners[i] = winner;
    }
}

KERNEL max_pool_backward(const __grid_constant__ Pool pool, const Value *gradient,
                         const int *winners, Value *out) {
    FOR_EACH(i, pool.inputs) {
        int tap;
        const int output = pool.output(i, tap);
        const bool won = output >= 0 && winners[output] == tap;
        put(won ? widened(gradient[output]) : 0.0f, out + i);
    }
}

KERNEL average_pool(const __grid_constant__ Pool pool, const Value *inputs, Value *out) {
    const float weight = 1.0f / (pool.height.value * pool.width.value);
    FOR_EACH(i, pool.outputs) {
        const Value *window = inputs + pool.first(i);
        float sum = 0.0f;
        for (int row = 0; row < pool.height.value; ++row) {
#pragma unroll 4
            for (int column = 0; column < pool.width.value; ++column) {
                sum += widened(window[column * pool.channels.value]);
            }
            window += pool.row();
        }
        put(sum * weight, out + i);
    }
}

KERNEL average_pool_backward(const __grid_constant__ Pool pool, const Value *gradient,
                             Value *out) {
    const float weight = 1.0f / (pool.height.value * pool.width.value);
    FOR_EACH(i, pool.inputs) {
        int tap;
        const int output = pool.output(i, tap);
        put(output >= 0 ? widened(gradient[output]) * weight : 0.0f, out + i);
    }
}
