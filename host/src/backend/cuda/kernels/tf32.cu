// Operands of matrix cores as TF32: the range of f32, 11 bits of precision.

struct Word {
    // Values of a word.
    static constexpr int VALUES = 1;

    // The nearest, ties to even. The low 13 bits, which matrix cores do not read, are rounded away;
    // what is no number stays so.
    static __device__ unsigned of(const float (&values)[VALUES]) {
        const unsigned bits = __float_as_uint(values[0]);
        const unsigned rounded = bits + 0xfff + (bits >> 13 & 1);
        return (values[0] == values[0] ? rounded : bits) & ~0x1fffu;
    }
    static __device__ void multiply(float (&sums)[4], const unsigned (&left)[4],
                                    const unsigned (&right)[2]) {
        mma_tf32(sums, left, right);
    }
};
