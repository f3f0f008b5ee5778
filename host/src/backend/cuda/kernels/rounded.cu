// Products whose factors are read so often that it pays to round them to bf16 once, before: half as
// many bytes come for each tile. Weights, which few tiles share, are read as they are.

KERNEL round_values(const float *values, int len, unsigned *out) {
    FOR_EACH_QUAD(i, len) {
        Word::put(whole_quad(values + i), out + i / 2);
    }
}

#define ROUNDED(name, kernel, Second)                                                              \
    PRODUCT(name, kernel##_square_rounded, Mma, 128, 64, Bf16, Second)                             \
    PRODUCT(name, kernel##_large_rounded, Mma, 128, 128, Bf16, Second)

ROUNDED(gather, gather_mma, float)
ROUNDED(scatter, scatter_mma, float)
ROUNDED(weigh, weigh_mma, Bf16)
MOVE(move_mma_square_rounded, Mma, Bf16)
