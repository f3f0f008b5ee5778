// Matrix cores on the processor: `mma.cu`'s functions with its layout of fragments. The threads of a
// warp, which all multiply at the same time, show each other their operands. Products
// are exact, and rounded once with their sum.

namespace emulator {

struct Operands {
    unsigned left[4], right[2];
};
static thread_local Operands operands[MOST_THREADS];

// The values of a word, as a matrix core reads them.
struct Bf16 {
    static constexpr int VALUES = 2;
    static double value(unsigned word, int i) { return __uint_as_float(word >> 16 * i << 16); }
};
struct Tf32 {
    static constexpr int VALUES = 1;
    static double value(unsigned word, int) { return __uint_as_float(word & ~0x1fffu); }
};

template <class Word>
static void multiply(float (&sums)[4], const unsigned (&left)[4], const unsigned (&right)[2]) {
    const unsigned thread = threadIdx.x, lane = thread % 32;
    Operands &mine = operands[thread];
    memcpy(mine.left, left, sizeof left);
    memcpy(mine.right, right, sizeof right);
    leave(ITS_WARP);
    const Operands *warp = operands + thread - lane;
    for (unsigned i = 0; i < 4; ++i) {
        const unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        double sum = sums[i];
        for (unsigned word = 0; word < 8; ++word) {
            const unsigned half = word / 4;
            const unsigned a = warp[row % 8 * 4 + word % 4].left[2 * half + row / 8];
            const unsigned b = warp[column * 4 + word % 4].right[half];
            for (int value = 0; value < Word::VALUES; ++value) {
                sum += Word::value(a, value) * Word::value(b, value);
            }
        }
        sums[i] = sum;
    }
    leave(ITS_WARP);
}

static thread_local const unsigned *rows[MOST_THREADS];

// Matrices of 8 rows of 16 bytes, to which the lanes point, on a multiple of that. `word` gives a
// lane's word of a matrix whose row of that number it is given.
template <int COUNT, class Word>
static void matrices(unsigned (&words)[COUNT], const unsigned *row, Word word) {
    const unsigned thread = threadIdx.x, lane = thread % 32;
    rows[thread] = row;
    leave(ITS_WARP);
    for (int matrix = 0; matrix < COUNT; ++matrix) {
        words[matrix] = word(lane, [&](unsigned row) {
            const unsigned *from = rows[thread - lane + 8 * matrix + row];
            if ((size_t)from % 16 != 0) {
                abort();
            }
            return from;
        });
    }
    leave(ITS_WARP);
}

// The nearest bf16, ties to even; what is no number stays so.
static unsigned bf16(float value) {
    const unsigned bits = __float_as_uint(value);
    return value == value ? (bits + 0x7fff + (bits >> 16 & 1)) >> 16 : 0x7fff;
}

} // namespace emulator

static inline unsigned bf16_pair(float low, float high) {
    return emulator::bf16(high) << 16 | emulator::bf16(low);
}

static inline void matrices(unsigned (&words)[4], const unsigned *row) {
    emulator::matrices(words, row,
                       [](unsigned lane, auto row) { return row(lane / 4)[lane % 4]; });
}

template <int COUNT>
static inline void turned_matrices(unsigned (&words)[COUNT], const unsigned *row) {
    emulator::matrices(words, row, [](unsigned lane, auto row) {
        const unsigned column = lane / 4, first = lane % 4 * 2;
        const auto value = [&](unsigned of) {
            return row(of)[column / 2] >> column % 2 * 16 & 0xffff;
        };
        return value(first) | value(first + 1) << 16;
    });
}

static inline void mma_bf16(float (&sums)[4], const unsigned (&left)[4],
                            const unsigned (&right)[2]) {
    emulator::multiply<emulator::Bf16>(sums, left, right);
}

static inline void mma_tf32(float (&sums)[4], const unsigned (&left)[4],
                            const unsigned (&right)[2]) {
    emulator::multiply<emulator::Tf32>(sums, left, right);
}

template <int BYTES> static inline void copy_later(const void *from, bool there, void *to) {
    if ((size_t)to % BYTES != 0 || (there && (size_t)from % BYTES != 0)) {
        abort();
    }
    emulator::copies[threadIdx.x].add({there ? from : nullptr, to, BYTES});
}
static inline void end_copies() { emulator::copies[threadIdx.x].end(); }
template <int PENDING> static inline void wait_for_copies() {
    emulator::copies[threadIdx.x].wait(PENDING);
}

template <class Of> static inline Of *settled(Of *address) { return address; }
