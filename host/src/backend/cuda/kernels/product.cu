// A matrix product, a tile of ROWS × COLUMNS results a block: out(row, column) =
// Σ left(row, k) · right(column, k) over part `part` of `parts` of the depth, panel by panel.
//
// Factors and results lie as their types say (`maps.cu` has them). A factor knows a `line` (a row
// of the left, a column of the right), a `depth` along it, and the value where the two meet;
// neighbours in memory are ALONG_DEPTH or across the lines.

// The depth of a part, whole panels of `panel` of it but for the last.
struct Part {
    int begin, end;

    __device__ Part(int depth, int part, int parts, int panel) {
        const int chunk = ((depth + parts - 1) / parts + panel - 1) / panel * panel;
        begin = min(part * chunk, depth);
        end = min(begin + chunk, depth);
    }
};

// One result, where the matrix has such a column.
__device__ inline void put(float *row, int column, int columns, float sum, int add) {
    if (column < columns) {
        row[column] = add ? row[column] + sum : sum;
    }
}

// In f32, on the cores that do all else.
struct Fma {
    // Depth of the panels that a block holds in shared memory.
    static constexpr int DEPTH = 16;
    // Columns that a thread computes.
    static constexpr int SIDE = 4;
    // Keeps the columns of a panel in different banks.
    static constexpr int SKEW = 4;

    // A panel of LINES lines of a factor. What a line has to work out is worked out once.
    template <int LINES, class Factor> struct Panel {
        static constexpr int EACH = LINES * DEPTH / THREADS;
        const Factor &factor;
        typename Factor::Line lines[EACH];

        // Neighbouring threads read neighbouring values.
        static __device__ int line(int i) {
            return Factor::ALONG_DEPTH ? threadIdx.x / DEPTH + i * (THREADS / DEPTH)
                                       : threadIdx.x % LINES;
        }
        static __device__ int depth(int i) {
            return Factor::ALONG_DEPTH ? threadIdx.x % DEPTH
                                       : threadIdx.x / LINES + i * (THREADS / LINES);
        }

        __device__ Panel(const Factor &factor, int first) : factor(factor) {
#pragma unroll
            for (int i = 0; i < EACH; ++i) {
                lines[i] = factor.line(first + line(i));
            }
        }

        __device__ void load(float (*to)[LINES + SKEW], int begin, int end) const {
#pragma unroll
            for (int i = 0; i < EACH; ++i) {
                const int k = begin + depth(i);
                to[depth(i)][line(i)] = k < end ? factor.load(lines[i], factor.depth(k)) : 0.0f;
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
        const int row = threadIdx.x / (COLUMNS / SIDE) * HEIGHT;
        const int column = threadIdx.x % (COLUMNS / SIDE) * SIDE;
        const Panel<ROWS, Left> left_panel(left, blockIdx.x * ROWS);
        const Panel<COLUMNS, Right> right_panel(right, blockIdx.y * COLUMNS);
        const Part stretch(depth, part, parts, DEPTH);
        float sums[HEIGHT][SIDE] = {};
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
#pragma unroll
        for (int i = 0; i < HEIGHT; ++i) {
            const int r = blockIdx.x * ROWS + row + i;
            if (r < rows) {
                float *values = out.row(r);
#pragma unroll
                for (int j = 0; j < SIDE; ++j) {
                    const int c = blockIdx.y * COLUMNS + column + j;
                    put(values, c, columns, sums[i][j], out.add);
                }
            }
        }
    }
};
