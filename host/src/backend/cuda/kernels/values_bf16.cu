// The values between layers are bf16, the upper half of an f32.

struct Bf16 {
    unsigned short bits;
};
typedef Bf16 Value;

__device__ inline float widened(Bf16 value) { return __uint_as_float(value.bits << 16); }
__device__ inline void put(float value, Bf16 *to) { to->bits = bf16_pair(value, 0.0f); }

// Two of them, the lower half the first.
__device__ inline float low(unsigned pair) { return __uint_as_float(pair << 16); }
__device__ inline float high(unsigned pair) { return __uint_as_float(pair & 0xffff0000); }

__device__ inline Two two_at(const Bf16 *from) {
    const unsigned pair = *(const unsigned *)from;
    return {low(pair), high(pair)};
}
__device__ inline void put_two(Two two, Bf16 *to) {
    *(unsigned *)to = bf16_pair(two.first, two.second);
}

// Four that lie side by side.
struct RoundedQuad {
    unsigned pairs[2];
};
template <> struct Kept<Bf16> {
    typedef RoundedQuad Values;
};

// Those on a multiple of 8 bytes.
__device__ inline RoundedQuad whole_quad(const Bf16 *from) {
    const uint2 pairs = *(const uint2 *)from;
    return {{pairs.x, pairs.y}};
}
__device__ inline void set(RoundedQuad &quad, int v, Bf16 value) {
    quad.pairs[v / 2] |= (unsigned)value.bits << 16 * (v % 2);
}

// Eight on a multiple of 16 bytes.
__device__ inline void whole_several(const Bf16 *from, float (&to)[8]) {
    const uint4 words = *(const uint4 *)from;
    const unsigned pairs[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        to[2 * i] = low(pairs[i]);
        to[2 * i + 1] = high(pairs[i]);
    }
}
__device__ inline void put_whole_several(const float (&values)[8], Bf16 *to) {
    *(uint4 *)to = {bf16_pair(values[0], values[1]), bf16_pair(values[2], values[3]),
                    bf16_pair(values[4], values[5]), bf16_pair(values[6], values[7])};
}
