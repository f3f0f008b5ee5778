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
    static __device__ unsigned of(const float (&values)[VALUES]) { return of(values[0]); }
    // The words of a quad, on a multiple of their size.
    static __device__ void put(const float (&quad)[4], unsigned *to) {
        *(uint4 *)to = {of(quad[0]), of(quad[1]), of(quad[2]), of(quad[3])};
    }
    static __device__ void multiply(float (&sums)[4], const unsigned (&left)[4],
                                    const unsigned (&right)[2]) {
        mma_tf32(sums, left, right);
    }
};
