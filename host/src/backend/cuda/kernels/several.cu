// Work that goes over arrays of `Value`s several at a time: 16 bytes.

constexpr int AT_ONCE = 16 / sizeof(Value);

// The first values of a thread, and from them to its next.
__device__ inline int first_of_several() {
    return (blockIdx.x * blockDim.x + threadIdx.x) * AT_ONCE;
}
__device__ inline int step_of_several() { return gridDim.x * blockDim.x * AT_ONCE; }

#define FOR_EACH_SEVERAL(i, len)                                                                   \
    for (int i = first_of_several(); i < (len); i += step_of_several())

// Values of an array of `len` from `i` on that lie side by side, as far as there are any, then 0.
// Arrays begin on a multiple of 16 bytes, and `i` is a multiple of AT_ONCE.
struct Several {
    float values[AT_ONCE];
};
template <class Of> __device__ inline Several several_at(const Of *values, int i, int len) {
    Several several = {};
    if (i + AT_ONCE <= len) {
        whole_several(values + i, several.values);
        return several;
    }
#pragma unroll
    for (int v = 0; v < AT_ONCE - 1; ++v) {
        if (i + v < len) {
            several.values[v] = widened(values[i + v]);
        }
    }
    return several;
}
template <class Of>
__device__ inline void put_several(const Several &several, Of *values, int i, int len) {
    if (i + AT_ONCE <= len) {
        put_whole_several(several.values, values + i);
        return;
    }
#pragma unroll
    for (int v = 0; v < AT_ONCE - 1; ++v) {
        if (i + v < len) {
            put(several.values[v], values + i + v);
        }
    }
}

// What a table has for the channels of the values from `i` on.
template <class Of>
__device__ inline Several of_channels(const Of *table, int i, const Divisor &channels) {
    int channel = i - channels.quotient(i) * channels.value;
    Several several;
#pragma unroll
    for (int v = 0; v < AT_ONCE; ++v) {
        several.values[v] = table[channel];
        channel = channel + 1 < channels.value ? channel + 1 : 0;
    }
    return several;
}

// How many of a thread's places are read at a time: one alone leaves memory waiting.
constexpr int PLACES = 2;

// Calls `take` with each `step`th place from `i` to `end`, and the values of some arrays there.
template <int COUNT, class Take>
__device__ inline void each_place(const Value *const (&arrays)[COUNT], int i, int step, int end,
                                  Take take) {
    for (; i + (PLACES - 1) * step + AT_ONCE <= end; i += PLACES * step) {
        Several taken[PLACES][COUNT];
#pragma unroll
        for (int place = 0; place < PLACES; ++place) {
#pragma unroll
            for (int array = 0; array < COUNT; ++array) {
                whole_several(arrays[array] + i + place * step, taken[place][array].values);
            }
        }
#pragma unroll
        for (int place = 0; place < PLACES; ++place) {
            take(i + place * step, taken[place]);
        }
    }
    for (; i < end; i += step) {
        Several taken[COUNT];
#pragma unroll
        for (int array = 0; array < COUNT; ++array) {
            taken[array] = several_at(arrays[array], i, end);
        }
        take(i, taken);
    }
}

// The same of the places where FOR_EACH_SEVERAL goes.
template <int COUNT, class Take>
__device__ inline void each_several(const Value *const (&arrays)[COUNT], int len, Take take) {
    each_place(arrays, first_of_several(), step_of_several(), len, take);
}

// Work that knows its activation when it is compiled.
#define BY_ACTIVATION(work, ...)                                                                   \
    switch (activation) {                                                                          \
    case RELU:                                                                                     \
        return work<RELU>(__VA_ARGS__);                                                            \
    case SIGMOID:                                                                                  \
        return work<SIGMOID>(__VA_ARGS__);                                                         \
    default:                                                                                       \
        return work<NONE>(__VA_ARGS__);                                                            \
    }

// out = Σ parts, or out += Σ parts: `count` arrays of `len` values. A block has threads for some
// values (x) and for parts (y), each of which takes every so many-th.
template <class Of>
__device__ inline void sum_all_parts(const float *parts, int count, int len, Of *out, int add) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    float sum = 0.0f;
    if (i < len) {
#pragma unroll 4
        for (int part = threadIdx.y; part < count; part += blockDim.y) {
            sum += parts[(long long)part * len + i];
        }
    }
    const Pair total = sum_of_rows({sum, 0.0});
    if (threadIdx.y == 0 && i < len) {
        put((add ? widened(out[i]) : 0.0f) + (float)total.first, out + i);
    }
}
KERNEL sum_parts(const float *parts, int count, int len, Value *out, int add) {
    sum_all_parts(parts, count, len, out, add);
}
