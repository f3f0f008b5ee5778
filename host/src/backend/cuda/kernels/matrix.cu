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

    // A panel of LINES lines of a factor. What a line has to work out is worked out once.
    template <int LINES, class Factor> struct Panel {
        // Words that a thread brings.
        static constexpr int EACH = LINES * WORDS / THREADS;
        const Factor &factor;
        typename Factor::Line lines[EACH];
        float values[EACH][Word::VALUES];

        // Neighbouring threads read neighbouring values.
        static __device__ int line(int i) {
            return Factor::ALONG_DEPTH ? threadIdx.x / WORDS + i * (THREADS / WORDS)
                                       : threadIdx.x % LINES;
        }
        static __device__ int word(int i) {
            return Factor::ALONG_DEPTH ? threadIdx.x % WORDS
                                       : threadIdx.x / LINES + i * (THREADS / LINES);
        }

        __device__ Panel(const Factor &factor, int first) : factor(factor) {
#pragma unroll
            for (int i = 0; i < EACH; ++i) {
                lines[i] = factor.line(first + line(i));
            }
        }

        // Reads it.
        __device__ void fetch(int begin, int end) {
#pragma unroll
            for (int i = 0; i < EACH; ++i) {
#pragma unroll
                for (int v = 0; v < Word::VALUES; ++v) {
                    const int k = begin + word(i) * Word::VALUES + v;
                    values[i][v] = k < end ? factor.load(lines[i], factor.depth(k)) : 0.0f;
                }
            }
        }

        // Writes what was read.
        __device__ void store(unsigned (*to)[STRIDE]) const {
#pragma unroll
            for (int i = 0; i < EACH; ++i) {
                to[line(i)][word(i)] = Word::of(values[i]);
            }
        }
    };

    // A warp's share of a tile, ROWS × COLUMNS from `row` and `column` on.
    template <int ROWS, int COLUMNS> struct Share {
        static constexpr int DOWN = ROWS / HEIGHT, ACROSS = COLUMNS / WIDTH;
        const int row, column;
        const int group = threadIdx.x % 32 / 4, place = threadIdx.x % 4;
        float sums[DOWN][ACROSS][4] = {};

        __device__ Share(int row, int column) : row(row), column(column) {}

        __device__ void multiply(const unsigned (*lefts)[STRIDE],
                                 const unsigned (*rights)[STRIDE]) {
#pragma unroll
            for (int step = 0; step < WORDS; step += REACH) {
                const int word = step + place;
                unsigned left[DOWN][4], right[ACROSS][2];
#pragma unroll
                for (int i = 0; i < DOWN; ++i) {
                    const int line = row + i * HEIGHT + group;
                    left[i][0] = lefts[line][word];
                    left[i][1] = lefts[line + 8][word];
                    left[i][2] = lefts[line][word + 4];
                    left[i][3] = lefts[line + 8][word + 4];
                }
#pragma unroll
                for (int j = 0; j < ACROSS; ++j) {
                    const int line = column + j * WIDTH + group;
                    right[j][0] = rights[line][word];
                    right[j][1] = rights[line][word + 4];
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

        // Its place in the result is that in the tile, from (`top`, `left`) on.
        template <class Out>
        __device__ void write(const Out &out, int top, int left, int rows, int columns) const {
#pragma unroll
            for (int i = 0; i < 2 * DOWN; ++i) {
                const int r = top + row + i * 8 + group;
                if (r < rows) {
                    float *values = out.row(r);
#pragma unroll
                    for (int j = 0; j < ACROSS; ++j) {
                        const int c = left + column + j * WIDTH + 2 * place;
                        const float *pair = &sums[i / 2][j][i % 2 * 2];
                        put(values, c, columns, pair[0], out.add);
                        put(values, c + 1, columns, pair[1], out.add);
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
        __shared__ unsigned lefts[2][ROWS][STRIDE];
        __shared__ unsigned rights[2][COLUMNS][STRIDE];
        const int top = blockIdx.x * ROWS, start = blockIdx.y * COLUMNS;
        const int warp = threadIdx.x / 32;
        Share<SHARE_ROWS, SHARE_COLUMNS> share(warp / ACROSS * SHARE_ROWS,
                                               warp % ACROSS * SHARE_COLUMNS);
        Panel<ROWS, Left> left_panel(left, top);
        Panel<COLUMNS, Right> right_panel(right, start);
        const Part stretch(depth, part, parts, DEPTH);
        const auto fetch = [&](int k) {
            left_panel.fetch(k, stretch.end);
            right_panel.fetch(k, stretch.end);
        };
        const auto store = [&](int turn) {
            left_panel.store(lefts[turn]);
            right_panel.store(rights[turn]);
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
            share.multiply(lefts[turn], rights[turn]);
            turn = 1 - turn;
            if (more) {
                store(turn);
            }
            __syncthreads();
        }
        share.write(out, top, start, rows, columns);
    }
};

MAPS(gather, gather_mma, Mma)
MAPS(scatter, scatter_mma, Mma)
MAPS(weigh, weigh_mma, Mma)
