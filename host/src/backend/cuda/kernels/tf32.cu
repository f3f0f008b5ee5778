// Operands of matrix cores as TF32: the range of f32, 11 bits of precision.

struct Word {
    // Values of a word.
    static constexpr int VALUES = 1;

    // The nearest, ties to even. The low 13 bits, which matrix cores do not read, are rounded away;
    // what is no number stays so.
    static __device__ unsigned of(float value) {
        const unsigned bits = __float_as_uint(value);
        const unsigned rounded = bits + 0xfff + (bits >> 13 & 1);
        return (value == value ? rounded : bits) & ~0x1fffu;
    }
    // The words of a quad go to a multiple of their size.
    static __device__ void put(const Quad &quad, unsigned *to) {
        unsigned words[4];
        turn({quad}, words);
        *(uint4 *)to = {words[0], words[1], words[2], words[3]};
    }
    // The words of four lines, of which each quad has a value.
    static __device__ void turn(const Quad (&quads)[VALUES], unsigned (&words)[4]) {
#pragma unroll
        for (int line = 0; line < 4; ++line) {
            words[line] = of(quads[0].values[line]);
        }
    }
    static __device__ void multiply(float (&sums)[4], const unsigned (&left)[4],
                                    const unsigned (&right)[2]) {
        mma_tf32(sums, left, right);
    }
};
