// Operands of matrix cores as bf16: the range of f32, 8 bits of precision.

struct Word {
    // Values of a word.
    static constexpr int VALUES = 2;

    static __device__ unsigned of(const float (&values)[VALUES]) {
        return bf16_pair(values[0], values[1]);
    }
    // The words of a quad, on a multiple of their size.
    static __device__ void put(const float (&quad)[4], unsigned *to) {
        *(uint2 *)to = {bf16_pair(quad[0], quad[1]), bf16_pair(quad[2], quad[3])};
    }
    static __device__ void multiply(float (&sums)[4], const unsigned (&left)[4],
                                    const unsigned (&right)[2]) {
        mma_bf16(sums, left, right);
    }
};
