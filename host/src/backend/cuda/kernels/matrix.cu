// The product on matrix cores: values that are more exact than a `Word`'s are rounded on their way to
// shared memory, and sums are f32.

struct Mma {
    static constexpr int VALUES = Word::VALUES;
    static constexpr int WARPS = THREADS / 32;
    // The extent of one instruction: rows, columns, and words of the depth.
    static constexpr int HEIGHT = 16, WIDTH = 8, REACH = 8;

    template <int LINES, class Factor, bool ALONG_DEPTH = Factor::ALONG_DEPTH> struct Panel;

    // The words of a line, then those of the next. Four more put 4 words of 8 lines, which a warp
    // reads at a time, in 32 banks.
    template <int LINES, class Factor> struct Panel<LINES, Factor, true> {
        static constexpr int PITCH = WORDS + 4, SIZE = LINES * PITCH;

        static __device__ void put(const Share<LINES, VALUES, Factor> &share, unsigned *to) {
#pragma unroll
            for (int i = 0; i < share.EACH; ++i) {
                if (share.line(i) < LINES) {
                    Word::put(share.quads[i],
                              to + share.line(i) * PITCH + share.depth() / VALUES);
                }
            }
        }
        // What an instruction takes of 16 lines from `line` on as its left factor, and of as many as
        // the right factors of two, from `word` on.
        static __device__ void left(unsigned (&words)[4], const unsigned *panel, int line,
                                    int word) {
            const int lane = threadIdx.x % 32;
            matrices(words, panel + (line + lane % 16) * PITCH + word + lane / 16 * 4);
        }
        static __device__ void right(unsigned (&words)[4], const unsigned *panel, int line,
                                     int word) {
            const int lane = threadIdx.x % 32;
            matrices(words, panel + (line + lane / 16 * 8 + lane % 8) * PITCH + word +
                                lane / 8 % 2 * 4);
        }
    };

    // The words of all lines at one depth, then those at the next. Eight more do the same.
    template <int LINES, class Factor> struct Panel<LINES, Factor, false> {
        static constexpr int PITCH = LINES + 8, SIZE = WORDS * PITCH;

        static __device__ void put(const Share<LINES, VALUES, Factor> &share, unsigned *to) {
#pragma unroll
            for (int i = 0; i < share.EACH; ++i) {
                if (share.line(i) < LINES) {
                    unsigned words[4];
                    Word::turn(share.quads[i], words);
                    *(uint4 *)(to + share.word() * PITCH + share.line(i)) = {words[0], words[1],
                                                                             words[2], words[3]};
                }
            }
        }
        static __device__ void left(unsigned (&words)[4], const unsigned *panel, int line,
                                    int word) {
            const unsigned *from = mine(panel, line, word);
            words[0] = from[0];
            words[1] = from[8];
            words[2] = from[4 * PITCH];
            words[3] = from[4 * PITCH + 8];
        }
        static __device__ void right(unsigned (&words)[4], const unsigned *panel, int line,
                                     int word) {
            const unsigned *from = mine(panel, line, word);
            words[0] = from[0];
            words[1] = from[4 * PITCH];
            words[2] = from[8];
            words[3] = from[4 * PITCH + 8];
        }

    private:
        static __device__ const unsigned *mine(const unsigned *panel, int line, int word) {
            return panel + (word + threadIdx.x % 4) * PITCH + line + threadIdx.x % 32 / 4;
        }
    };

    // A warp's: SHARE_ROWS × SHARE_COLUMNS from `row` and `column` on.
    template <int ROWS, int COLUMNS, int SHARE_ROWS = ROWS < 2 * HEIGHT ? HEIGHT : 2 * HEIGHT>
    struct Results {
        static constexpr int WARPS_ACROSS = WARPS / (ROWS / SHARE_ROWS);
        static constexpr int SHARE_COLUMNS = COLUMNS / WARPS_ACROSS;
        static constexpr int DOWN = SHARE_ROWS / HEIGHT, ACROSS = SHARE_COLUMNS / WIDTH;
        static constexpr int HELD = 2 * DOWN, OWN = 2 * ACROSS;
        // The threads of a column: those of an instruction's rows, in each of the warps above one
        // another.
        static constexpr int GROUPS = ROWS / SHARE_ROWS * 8;
        const int row = threadIdx.x / 32 / WARPS_ACROSS * SHARE_ROWS;
        const int column = threadIdx.x / 32 % WARPS_ACROSS * SHARE_COLUMNS;
        const int line = threadIdx.x % 32 / 4, place = threadIdx.x % 4;
        float sums[DOWN][ACROSS][4] = {};

        __device__ int group() const { return row / SHARE_ROWS * 8 + line; }
        __device__ int row_of(int held) const { return row + held * 8 + line; }
        __device__ int column_of(int own) const {
            return column + own / 2 * WIDTH + 2 * place + own % 2;
        }
        __device__ float value(int held, int own) const {
            return sums[held / 2][own / 2][held % 2 * 2 + own % 2];
        }

        template <class Lefts, class Rights>
        __device__ void multiply(const unsigned *lefts, const unsigned *rights) {
#pragma unroll
            for (int step = 0; step < WORDS; step += REACH) {
                unsigned left[DOWN][4], right[ACROSS / 2][4];
#pragma unroll
                for (int i = 0; i < DOWN; ++i) {
                    Lefts::left(left[i], lefts, row + i * HEIGHT, step);
                }
#pragma unroll
                for (int j = 0; j < ACROSS / 2; ++j) {
                    Rights::right(right[j], rights, column + 2 * j * WIDTH, step);
                }
#pragma unroll
                for (int i = 0; i < DOWN; ++i) {
#pragma unroll
                    for (int j = 0; j < ACROSS; ++j) {
                        const unsigned *words = right[j / 2] + j % 2 * 2;
                        Word::multiply(sums[i][j], left[i], {words[0], words[1]});
                    }
                }
            }
        }
    };
};

MAPS(gather, gather_mma, Mma, Value, float)
MAPS(scatter, scatter_mma, Mma, Value, float)
MAPS(weigh, weigh_mma, Mma, Value, Value)
MOVE(move, move_mma_square, Mma, 128, 64, Value, 3)

// Of many results, tiles twice as wide: each value is brought less often.
PRODUCT(gather, gather_mma_large, Mma, 128, 128, Value, float)
PRODUCT(scatter, scatter_mma_large, Mma, 128, 128, Value, float)
PRODUCT(weigh, weigh_mma_large, Mma, 128, 128, Value, Value)
