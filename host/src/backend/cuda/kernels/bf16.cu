// Operands of matrix cores as bf16: the range of f32, 8 bits of precision.

struct Word {
    // Values of a word.
    static constexpr int VALUES = 2;

    // The words of a quad go to a multiple of their size.
    static __device__ void put(const Quad &quad, unsigned *to) {
        *(uint2 *)to = {bf16_pair(quad.values[0], quad.values[1]),
                        bf16_pair(quad.values[2], quad.values[3])};
    }
    static __device__ void put(const RoundedQuad &quad, unsigned *to) {
        *(uint2 *)to = {quad.pairs[0], quad.pairs[1]};
    }
    // The words of four lines, of which each quad has a value.
    static __device__ void turn(const Quad (&quads)[VALUES], unsigned (&words)[4]) {
#pragma unroll
        for (int line = 0; line < 4; ++line) {
            words[line] = bf16_pair(quads[0].values[line], quads[1].values[line]);
        }
    }
    static __device__ void turn(const RoundedQuad (&quads)[VALUES], unsigned (&words)[4]) {
#pragma unroll
        for (int pair = 0; pair < 2; ++pair) {
            const unsigned first = quads[0].pairs[pair], second = quads[1].pairs[pair];
            words[2 * pair] = first & 0xffff | second << 16;
            words[2 * pair + 1] = first >> 16 | second & 0xffff0000;
        }
    }
    static __device__ void multiply(float (&sums)[4], const unsigned (&left)[4],
                                    const unsigned (&right)[2]) {
        mma_bf16(sums, left, right);
    }
};
