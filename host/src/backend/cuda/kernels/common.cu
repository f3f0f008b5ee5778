// What all kernels share. The files of this folder are one program, this one first; they include
// nothing, so that NVRTC needs no headers.
//
// Values between layers, and their gradients, are a program's `Value`s: f32, or bf16 where products
// round their factors to it; all others are f32. Sums over a batch are finished in f64. Every sum has an
// order that the launch fixes, so equal inputs give equal bits.

#define KERNEL extern "C" __global__ void

// Each thread takes every so many-th of `len` values.
#define FOR_EACH(i, len) \
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < (len); i += gridDim.x * blockDim.x)

// Threads of a block that sums; a power of two.
constexpr int THREADS = 256;

// `vae96::Activation`, in its order.
enum { NONE, RELU, SIGMOID };

__device__ inline float activate(int function, float x) {
    switch (function) {
    case RELU:
        return x > 0.0f ? x : 0.0f;
    case SIGMOID:
        return __fdividef(1.0f, 1.0f + expf(-x));
    default:
        return x;
    }
}

// The derivative where the value is `y`.
__device__ inline float slope(int function, float y) {
    switch (function) {
    case RELU:
        return y > 0.0f ? 1.0f : 0.0f;
    case SIGMOID:
        return y * (1.0f - y);
    default:
        return 1.0f;
    }
}

// The sum over a block of THREADS threads, for all of them: a tree of halves.
__device__ inline double block_sum(double value) {
    __shared__ double values[THREADS];
    values[threadIdx.x] = value;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) {
            values[threadIdx.x] += values[threadIdx.x + half];
        }
        __syncthreads();
    }
    const double sum = values[0];
    __syncthreads();
    return sum;
}

// The largest value of a block of THREADS threads and the least index that has it, for all threads.
__device__ inline void block_max(float &value, int &index) {
    __shared__ float values[THREADS];
    __shared__ int indices[THREADS];
    values[threadIdx.x] = value;
    indices[threadIdx.x] = index;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) {
            const int other = threadIdx.x + half;
            const bool larger = values[other] > values[threadIdx.x];
            const bool equal = values[other] == values[threadIdx.x];
            if (larger || (equal && indices[other] < indices[threadIdx.x])) {
                values[threadIdx.x] = values[other];
                indices[threadIdx.x] = indices[other];
            }
        }
        __syncthreads();
    }
    value = values[0];
    index = indices[0];
    __syncthreads();
}

// Divides by a number that the launch knows, by way of its reciprocal: exact for dividends from 0 to
// 2³¹ − 1 (Granlund and Montgomery, 1994).
struct Divisor {
    int value;
    unsigned factor;
    int shift;

    __device__ int quotient(int dividend) const {
        return (unsigned long long)(unsigned)dividend * factor >> shift;
    }
};

// Two sums of a column.
struct Pair {
    double first, second;
};

// Mean and Σ (x − mean)² of `count` values.
struct Moments {
    double count, mean, square;
};

// Those of `count` values from the sums of their deviations from `centre`, and of the squares of these.
__device__ inline Moments moments_about(double centre, double count, Pair deviations) {
    const double sum = deviations.first;
    return {count, centre + sum / count, deviations.second - sum * sum / count};
}

// The sums of a column that `groups` groups of threads have left, plain ones before those of squares.
__device__ inline Pair sum_of_groups(const float *sums, int groups, int columns, int column) {
    Pair total = {0.0, 0.0};
    for (int group = 0; group < groups; ++group) {
        total.first += sums[group * columns + column];
        total.second += sums[(groups + group) * columns + column];
    }
    return total;
}

// The sum of the pairs of a block's threads of one threadIdx.x; the thread of threadIdx.y = 0 has it: a
// tree of halves.
__device__ inline Pair sum_of_rows(Pair mine) {
    __shared__ Pair pairs[THREADS];
    for (int rows = blockDim.y; rows > 1;) {
        const int half = (rows + 1) / 2, place = threadIdx.y * blockDim.x + threadIdx.x;
        pairs[place] = mine;
        __syncthreads();
        if (threadIdx.y + half < rows) {
            const Pair other = pairs[place + half * blockDim.x];
            mine.first += other.first;
            mine.second += other.second;
        }
        __syncthreads();
        rows = half;
    }
    return mine;
}

// The sum of `len` values; one block.
KERNEL sum(const double *values, int len, double *out) {
    double sum = 0.0;
    for (int i = threadIdx.x; i < len; i += THREADS) {
        sum += values[i];
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        *out = sum;
    }
}

KERNEL fill(float *out, int len, float value) {
    FOR_EACH(i, len) {
        out[i] = value;
    }
}

KERNEL copy(const float *values, int len, float *out) {
    FOR_EACH(i, len) {
        out[i] = values[i];
    }
}
