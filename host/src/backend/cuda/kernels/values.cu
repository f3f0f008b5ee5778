// Values as they lie in memory, and several that lie side by side. A program has more of it for its
// `Value`s: `values_f32.cu` or `values_bf16.cu`.

__device__ inline float widened(float value) { return value; }
__device__ inline void put(float value, float *to) { *to = value; }

// Two on a multiple of their size.
struct Two {
    float first, second;
};
__device__ inline Two two_at(const float *from) {
    const float2 two = *(const float2 *)from;
    return {two.x, two.y};
}
__device__ inline void put_two(Two two, float *to) { *(float2 *)to = {two.first, two.second}; }

// Four.
struct Quad {
    float values[4];
};
// Four values of a kind.
template <class Of> struct Kept;
template <> struct Kept<float> {
    typedef Quad Values;
};

// Those on a multiple of 16 bytes.
__device__ inline Quad whole_quad(const float *from) {
    const float4 quad = *(const float4 *)from;
    return {{quad.x, quad.y, quad.z, quad.w}};
}
// Sets one of a quad that were 0.
__device__ inline void set(Quad &quad, int v, float value) { quad.values[v] = value; }

// As many as are read at once, on a multiple of 16 bytes.
template <int COUNT> __device__ inline void whole_several(const float *from, float (&to)[COUNT]) {
#pragma unroll
    for (int i = 0; i < COUNT; i += 4) {
        const Quad quad = whole_quad(from + i);
#pragma unroll
        for (int v = 0; v < 4; ++v) {
            to[i + v] = quad.values[v];
        }
    }
}
template <int COUNT>
__device__ inline void put_whole_several(const float (&values)[COUNT], float *to) {
#pragma unroll
    for (int i = 0; i < COUNT; i += 4) {
        *(float4 *)(to + i) = {values[i], values[i + 1], values[i + 2], values[i + 3]};
    }
}
