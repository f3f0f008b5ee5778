// The product on matrix cores: operands are rounded to a `Word`'s precision on their way to shared
// memory, and sums are f32.
//
// Panels come to shared memory by turns in one of two places: while a block multiplies one panel,
// the next is on its way to the threads' registers.

struct Mma {
    static constexpr int WARPS = THREADS / 32;
    // The extent of one instruction: rows, columns, and words of the depth.
    static constexpr int HEIGHT = 16, WIDTH = 8, REACH = 8;
    // Words of a line of a panel, and the values in them.
    static constexpr int WORDS = 2 * REACH;
    static constexpr int DEPTH = WORDS * Word::VALUES;
    // From one line to the next: 4 words of 8 lines, which a warp reads at a time, lie in 32 banks.
    static constexpr int STRIDE = WORDS + 4;

    template <int LINES, class Factor> struct Panel : Lines<LINES, WORDS, Factor> {
        using Base = Lines<LINES, WORDS, Factor>;
        float values[Base::EACH][Word::VALUES];

        using Base::Base;

        // Reads it.
        __device__ void fetch(int begin, int end) {
#pragma unroll
            for (int i = 0; i < Base::EACH; ++i) {
#pragma unroll
                for (int v = 0; v < Word::VALUES; ++v) {
                    values[i][v] = Base::value(i, begin + Base::along(i) * Word::VALUES + v, end);
                }
            }
        }

        // Writes what was read.
        __device__ void store(unsigned (*to)[STRIDE]) const {
#pragma unroll
            for (int i = 0; i < Base::EACH; ++i) {
                to[Base::line(i)][Base::along(i)] = Word::of(values[i]);
            }
        }
    };

    // A warp's share of a tile of TILE_ROWS: ROWS × COLUMNS from `row` and `column` on.
    template <int TILE_ROWS, int ROWS, int COLUMNS> struct Results {
        static constexpr int DOWN = ROWS / HEIGHT, ACROSS = COLUMNS / WIDTH;
        // Those of an instruction's rows, in each of the warps above one another.
        static constexpr int GROUPS = TILE_ROWS / ROWS * 8;
        const int row, column;
        const int line = threadIdx.x % 32 / 4, place = threadIdx.x % 4;
        float sums[DOWN][ACROSS][4] = {};

        __device__ Results(int row, int column) : row(row), column(column) {}

        __device__ int group() const { return row / ROWS * 8 + line; }
        template <class Each> __device__ void each(Each each) const {
#pragma unroll
            for (int i = 0; i < 2 * DOWN; ++i) {
#pragma unroll
                for (int j = 0; j < ACROSS; ++j) {
                    const int r = row + i * 8 + line, c = column + j * WIDTH + 2 * place;
                    const float *pair = &sums[i / 2][j][i % 2 * 2];
                    each(r, c, pair[0]);
                    each(r, c + 1, pair[1]);
                }
            }
        }

        __device__ void multiply(const unsigned (*lefts)[STRIDE],
                                 const unsigned (*rights)[STRIDE]) {
#pragma unroll
            for (int step = 0; step < WORDS; step += REACH) {
                const int word = step + place;
                unsigned left[DOWN][4], right[ACROSS][2];
#pragma unroll
                for (int i = 0; i < DOWN; ++i) {
                    const unsigned(*lines)[STRIDE] = lefts + row + i * HEIGHT + line;
                    left[i][0] = lines[0][word];
                    left[i][1] = lines[8][word];
                    left[i][2] = lines[0][word + 4];
                    left[i][3] = lines[8][word + 4];
                }
#pragma unroll
                for (int j = 0; j < ACROSS; ++j) {
                    const unsigned(*lines)[STRIDE] = rights + column + j * WIDTH + line;
                    right[j][0] = lines[0][word];
                    right[j][1] = lines[0][word + 4];
                }
#pragma unroll
                for (int i = 0; i < DOWN; ++i) {
#pragma unroll
                    for (int j = 0; j < ACROSS; ++j) {
                        Word::multiply(sums[i][j], left[i], right[j]);
                    }
                }
            }
        }
    };

    template <int ROWS, int COLUMNS, class Left, class Right, class Out>
    static __device__ void tile(const Left &left, const Right &right, const Out &out, int rows,
                                int columns, int depth, int part, int parts) {
        constexpr int SHARE_ROWS = ROWS < 2 * HEIGHT ? HEIGHT : 2 * HEIGHT;
        constexpr int ACROSS = WARPS / (ROWS / SHARE_ROWS);
        constexpr int SHARE_COLUMNS = COLUMNS / ACROSS;
        // The lines of the left, then those of the right.
        __shared__ unsigned panels[2][ROWS + COLUMNS][STRIDE];
        const int warp = threadIdx.x / 32;
        typedef Results<ROWS, SHARE_ROWS, SHARE_COLUMNS> Mine;
        Mine results(warp / ACROSS * SHARE_ROWS, warp % ACROSS * SHARE_COLUMNS);
        Panel<ROWS, Left> left_panel(left, blockIdx.x * ROWS);
        Panel<COLUMNS, Right> right_panel(right, blockIdx.y * COLUMNS);
        const Part stretch(depth, part, parts, DEPTH);
        const auto fetch = [&](int k) {
            left_panel.fetch(k, stretch.end);
            right_panel.fetch(k, stretch.end);
        };
        const auto store = [&](int turn) {
            left_panel.store(panels[turn]);
            right_panel.store(panels[turn] + ROWS);
        };
        fetch(stretch.begin);
        store(0);
        __syncthreads();
        int turn = 0;
        for (int k = stretch.begin; k < stretch.end; k += DEPTH) {
            const bool more = k + DEPTH < stretch.end;
            if (more) {
                fetch(k + DEPTH);
            }
            results.multiply(panels[turn], panels[turn] + ROWS);
            turn = 1 - turn;
            if (more) {
                store(turn);
            }
            __syncthreads();
        }
        // The panels are done with; barriers part what they held from what is to come.
        static_assert((2 * Mine::GROUPS + 1) * COLUMNS <= 2 * (ROWS + COLUMNS) * STRIDE,
                      "the panels have room for it");
        finish_tile<ROWS, COLUMNS>(results, out, rows, columns, (float *)panels);
    }
};

MAPS(gather, gather_mma, Mma)
MAPS(scatter, scatter_mma, Mma)
MAPS(weigh, weigh_mma, Mma)
