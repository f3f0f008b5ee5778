// A matrix product, a tile of ROWS × COLUMNS results a block: out(row, column) =
// Σ left(row, k) · right(column, k) over part `part` of `parts` of the depth, panel by panel.
//
// Factors and results lie as their types say (`maps.cu` has them). A result knows its rows, whether
// it is added to what is there, and where the moments of the tile's columns go, if anywhere. A
// factor knows a `line` (a row of the left, a column of the right), a `depth` along it, and the
// value where the two meet; neighbours in memory are ALONG_DEPTH or across the lines.

// The depth of a part, whole panels of `panel` of it but for the last.
struct Part {
    int begin, end;

    __device__ Part(int depth, int part, int parts, int panel) {
        const int chunk = ((depth + parts - 1) / parts + panel - 1) / panel * panel;
        begin = min(part * chunk, depth);
        end = min(begin + chunk, depth);
    }
};

// Ends a tile: writes its results, and the moments of its columns where they are asked for, summed
// about the first row, so that nothing is lost where a mean is far from zero. `Results` calls what
// it is given with the place in the tile of each result of a thread, and the result; GROUPS threads
// share the results of a column. `scratch` holds (2 · GROUPS + 1) · COLUMNS values.
template <int ROWS, int COLUMNS, class Results, class Out>
__device__ void finish_tile(const Results &results, const Out &out, int rows, int columns,
                            float *scratch) {
    const int top = blockIdx.x * ROWS, left = blockIdx.y * COLUMNS;
    results.each([&](int row, int column, float value) {
        if (top + row < rows && left + column < columns) {
            float &to = out.row(top + row)[left + column];
            to = out.add ? to + value : value;
        }
    });
    if (!out.moments) {
        return;
    }
    const int count = min(ROWS, rows - top);
    float *sums = scratch + results.group() * COLUMNS;
    float *squares = sums + Results::GROUPS * COLUMNS;
    float *centres = scratch + 2 * Results::GROUPS * COLUMNS;
    __syncthreads();
    results.each([&](int row, int column, float value) {
        sums[column] = squares[column] = 0.0f;
        if (row == 0) {
            centres[column] = value;
        }
    });
    __syncthreads();
    results.each([&](int row, int column, float value) {
        const float deviation = row < count ? value - centres[column] : 0.0f;
        sums[column] += deviation;
        squares[column] += deviation * deviation;
    });
    __syncthreads();
    for (int column = threadIdx.x; column < min(COLUMNS, columns - left); column += THREADS) {
        double sum = 0.0, square = 0.0;
        for (int group = 0; group < Results::GROUPS; ++group) {
            sum += scratch[group * COLUMNS + column];
            square += scratch[(Results::GROUPS + group) * COLUMNS + column];
        }
        out.moments[left + column] = {
            (double)count,
            centres[column] + sum / count,
            square - sum * sum / count,
        };
    }
}

// A panel of LINES lines of a factor, LENGTH long: what of it a thread brings, EACH of them. What a
// line has to work out is worked out once.
template <int LINES, int LENGTH, class Factor> struct Lines {
    static constexpr int EACH = LINES * LENGTH / THREADS;
    const Factor &factor;
    typename Factor::Line lines[EACH];

    // Neighbouring threads read neighbouring values.
    static __device__ int line(int i) {
        return Factor::ALONG_DEPTH ? threadIdx.x / LENGTH + i * (THREADS / LENGTH)
                                   : threadIdx.x % LINES;
    }
    static __device__ int along(int i) {
        return Factor::ALONG_DEPTH ? threadIdx.x % LENGTH
                                   : threadIdx.x / LINES + i * (THREADS / LINES);
    }

    __device__ Lines(const Factor &factor, int first) : factor(factor) {
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            lines[i] = factor.line(first + line(i));
        }
    }

    // What lies at depth `k` of the thread's line of that number; 0 from `end` on.
    __device__ float value(int i, int k, int end) const {
        return k < end ? factor.load(lines[i], factor.depth(k)) : 0.0f;
    }
};

// In f32, on the cores that do all else.
struct Fma {
    // Depth of the panels that a block holds in shared memory.
    static constexpr int DEPTH = 16;
    // Columns that a thread computes.
    static constexpr int SIDE = 4;
    // Keeps the columns of a panel in different banks.
    static constexpr int SKEW = 4;

    template <int LINES, class Factor> struct Panel : Lines<LINES, DEPTH, Factor> {
        using Base = Lines<LINES, DEPTH, Factor>;
        using Base::Base;

        __device__ void load(float (*to)[LINES + SKEW], int begin, int end) const {
#pragma unroll
            for (int i = 0; i < Base::EACH; ++i) {
                const int k = begin + Base::along(i);
                to[Base::along(i)][Base::line(i)] = Base::value(i, k, end);
            }
        }
    };

    // Those of a thread: HEIGHT × SIDE from `row` and `column` on, of COLUMNS columns.
    template <int HEIGHT, int COLUMNS> struct Results {
        static constexpr int ACROSS = COLUMNS / SIDE, GROUPS = THREADS / ACROSS;
        const int row = threadIdx.x / ACROSS * HEIGHT, column = threadIdx.x % ACROSS * SIDE;
        float sums[HEIGHT][SIDE] = {};

        __device__ int group() const { return threadIdx.x / ACROSS; }
        template <class Each> __device__ void each(Each each) const {
#pragma unroll
            for (int i = 0; i < HEIGHT; ++i) {
#pragma unroll
                for (int j = 0; j < SIDE; ++j) {
                    each(row + i, column + j, sums[i][j]);
                }
            }
        }
    };

    template <int ROWS, int COLUMNS, class Left, class Right, class Out>
    static __device__ void tile(const Left &left, const Right &right, const Out &out, int rows,
                                int columns, int depth, int part, int parts) {
        // Rows that a thread computes.
        constexpr int HEIGHT = ROWS * COLUMNS / (SIDE * THREADS);
        static_assert(HEIGHT * SIDE * THREADS == ROWS * COLUMNS, "every thread has as many results");
        __shared__ float lefts[DEPTH][ROWS + SKEW];
        __shared__ float rights[DEPTH][COLUMNS + SKEW];
        typedef Results<HEIGHT, COLUMNS> Mine;
        __shared__ float scratch[(2 * Mine::GROUPS + 1) * COLUMNS];
        Mine results;
        const int row = results.row, column = results.column;
        const Panel<ROWS, Left> left_panel(left, blockIdx.x * ROWS);
        const Panel<COLUMNS, Right> right_panel(right, blockIdx.y * COLUMNS);
        const Part stretch(depth, part, parts, DEPTH);
        auto &sums = results.sums;
        for (int k = stretch.begin; k < stretch.end; k += DEPTH) {
            left_panel.load(lefts, k, stretch.end);
            right_panel.load(rights, k, stretch.end);
            __syncthreads();
#pragma unroll
            for (int d = 0; d < DEPTH; ++d) {
                float a[HEIGHT], b[SIDE];
#pragma unroll
                for (int i = 0; i < HEIGHT; ++i) {
                    a[i] = lefts[d][row + i];
                }
#pragma unroll
                for (int j = 0; j < SIDE; ++j) {
                    b[j] = rights[d][column + j];
                }
#pragma unroll
                for (int i = 0; i < HEIGHT; ++i) {
#pragma unroll
                    for (int j = 0; j < SIDE; ++j) {
                        sums[i][j] += a[i] * b[j];
                    }
                }
            }
            __syncthreads();
        }
        finish_tile<ROWS, COLUMNS>(results, out, rows, columns, scratch);
    }
};
