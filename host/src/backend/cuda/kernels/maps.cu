// Convolutions, transposed convolutions and linear layers: one family.
//
// A window slides over a plane (`count × plane_height × plane_width × plane_channels`) and finds
// its places on a grid (`count × grid_height × grid_width × grid_channels`); weights are
// `grid_channels × kernel × kernel × plane_channels`.
//
//   gather   grid from plane     convolution; the input gradient of a transposed one
//   scatter  plane from grid     transposed convolution; the input gradient of a convolution
//   weigh    weights from both   the weight gradient of either
//
// A linear layer is a 1×1 window over planes of one pixel. Each is one matrix product whose factors
// are read where they lie (implicit GEMM): nothing is unfolded to memory. Where the result has few
// tiles, the depth is cut into parts whose sums `sum_parts` adds.

struct Windows {
    int count;
    int plane_height, plane_width, plane_channels;
    int grid_height, grid_width, grid_channels;
    int kernel, stride, padding;

    __device__ int plane() const { return plane_height * plane_width * plane_channels; }
    __device__ int grid() const { return grid_height * grid_width * grid_channels; }
    __device__ int places() const { return grid_height * grid_width; }
};

// Depth of the panels that a block holds in shared memory.
constexpr int DEPTH = 16;
// A thread computes SIDE × SIDE results.
constexpr int SIDE = 4;
// Keeps the columns of a panel in different banks.
constexpr int SKEW = 4;

// A panel of LINES lines of a factor. What a line has to work out is worked out once.
template <int LINES, class Factor> struct Panel {
    static constexpr int EACH = LINES * DEPTH / THREADS;
    const Factor &factor;
    typename Factor::Line lines[EACH];

    // Neighbouring threads read neighbouring values, along the depth or across the lines.
    __device__ static int line(int i) {
        return Factor::ALONG_DEPTH ? threadIdx.x / DEPTH + i * (THREADS / DEPTH)
                                   : threadIdx.x % LINES;
    }
    __device__ static int depth(int i) {
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

// The tile of a block: out(row, column) = Σ left(row, k) · right(column, k) over part `part` of
// `parts` of the depth.
template <int ROWS, int COLUMNS, class Left, class Right, class Out>
__device__ void product(const Left &left, const Right &right, const Out &out, int rows,
                        int columns, int depth, int part, int parts) {
    static_assert(ROWS * COLUMNS == SIDE * SIDE * THREADS, "a thread has SIDE × SIDE results");
    __shared__ float lefts[DEPTH][ROWS + SKEW];
    __shared__ float rights[DEPTH][COLUMNS + SKEW];
    const int chunk = ((depth + parts - 1) / parts + DEPTH - 1) / DEPTH * DEPTH;
    const int begin = min(part * chunk, depth), end = min(begin + chunk, depth);
    const int row = threadIdx.x / (COLUMNS / SIDE) * SIDE;
    const int column = threadIdx.x % (COLUMNS / SIDE) * SIDE;
    const Panel<ROWS, Left> left_panel(left, blockIdx.x * ROWS);
    const Panel<COLUMNS, Right> right_panel(right, blockIdx.y * COLUMNS);
    float sums[SIDE][SIDE] = {};
    for (int k = begin; k < end; k += DEPTH) {
        left_panel.load(lefts, k, end);
        right_panel.load(rights, k, end);
        __syncthreads();
#pragma unroll
        for (int d = 0; d < DEPTH; ++d) {
            float a[SIDE], b[SIDE];
#pragma unroll
            for (int i = 0; i < SIDE; ++i) {
                a[i] = lefts[d][row + i];
                b[i] = rights[d][column + i];
            }
#pragma unroll
            for (int i = 0; i < SIDE; ++i) {
#pragma unroll
                for (int j = 0; j < SIDE; ++j) {
                    sums[i][j] += a[i] * b[j];
                }
            }
        }
        __syncthreads();
    }
    for (int i = 0; i < SIDE; ++i) {
        const int r = blockIdx.x * ROWS + row + i;
        if (r >= rows) {
            break;
        }
        float *values = out.row(r);
        for (int j = 0; j < SIDE; ++j) {
            const int c = blockIdx.y * COLUMNS + column + j;
            if (c < columns) {
                values[c] = out.add ? values[c] + sums[i][j] : sums[i][j];
            }
        }
    }
}

// Results that lie row by row.
struct Rows {
    float *values;
    int columns;
    int add;

    __device__ float *row(int row) const { return values + (long long)row * columns; }
};

// Lines of values that lie one after the other.
struct Matrix {
    const float *values;
    int lines, columns;

    static constexpr bool ALONG_DEPTH = true;
    typedef const float *Line;
    __device__ Line line(int line) const {
        return line < lines ? values + (long long)line * columns : nullptr;
    }
    __device__ int depth(int k) const { return k; }
    __device__ float load(Line line, int k) const { return line ? line[k] : 0.0f; }
};

// A line for each window, along it the values that it sees.
struct Seen {
    Windows windows;
    const float *plane;

    static constexpr bool ALONG_DEPTH = true;
    struct Line {
        const float *image;
        int top, left;
    };
    struct Tap {
        int row, column, channel;
    };
    __device__ Line line(int place) const {
        const int image = place / windows.places(), pixel = place % windows.places();
        if (image >= windows.count) {
            return {nullptr, 0, 0};
        }
        return {plane + (long long)image * windows.plane(),
                pixel / windows.grid_width * windows.stride - windows.padding,
                pixel % windows.grid_width * windows.stride - windows.padding};
    }
    __device__ Tap depth(int k) const {
        const int tap = k / windows.plane_channels;
        return {tap / windows.kernel, tap % windows.kernel, k % windows.plane_channels};
    }
    __device__ float load(Line line, Tap tap) const {
        const int y = line.top + tap.row, x = line.left + tap.column;
        const bool inside = line.image && y >= 0 && y < windows.plane_height && x >= 0 &&
                            x < windows.plane_width;
        return inside ? line.image[(y * windows.plane_width + x) * windows.plane_channels +
                                   tap.channel]
                      : 0.0f;
    }
};

template <int ROWS, int COLUMNS>
__device__ void gather(const Windows &windows, const float *plane, const float *weights, float *out,
                       int parts, int add) {
    const int rows = windows.count * windows.places(), columns = windows.grid_channels;
    const int depth = windows.kernel * windows.kernel * windows.plane_channels;
    const Seen left = {windows, plane};
    const Matrix right = {weights, columns, depth};
    const Rows to = {out + (long long)blockIdx.z * rows * columns, columns, add};
    product<ROWS, COLUMNS>(left, right, to, rows, columns, depth, blockIdx.z, parts);
}

// The pixels along one axis of a plane that windows reach with the same taps: those of which
// pixel + padding leaves the rest `phase` by the stride.
struct Phase {
    int phase, first, count, taps;

    __device__ Phase(int phase, int pixels, const Windows &windows) : phase(phase) {
        const int stride = windows.stride;
        first = ((phase - windows.padding) % stride + stride) % stride;
        count = first < pixels ? (pixels - first + stride - 1) / stride : 0;
        taps = phase < windows.kernel ? (windows.kernel - phase + stride - 1) / stride : 0;
    }
};

// A line for each pixel of a phase, along it the windows that see the pixel.
struct Seeing {
    Windows windows;
    const float *grid;
    Phase rows, columns;

    static constexpr bool ALONG_DEPTH = true;
    struct Line {
        const float *image;
        int row, column;
    };
    struct Tap {
        int row, column, channel;
    };
    __device__ Line line(int pixel) const {
        const int column = pixel % columns.count * windows.stride + columns.first;
        const int rest = pixel / columns.count;
        const int row = rest % rows.count * windows.stride + rows.first;
        const int image = rest / rows.count;
        if (image >= windows.count) {
            return {nullptr, 0, 0};
        }
        // The window that sees it with its phase's first tap; further taps are of windows before.
        return {grid + (long long)image * windows.grid(),
                (row + windows.padding - rows.phase) / windows.stride,
                (column + windows.padding - columns.phase) / windows.stride};
    }
    __device__ Tap depth(int k) const {
        const int tap = k / windows.grid_channels;
        return {tap / columns.taps, tap % columns.taps, k % windows.grid_channels};
    }
    __device__ float load(Line line, Tap tap) const {
        const int y = line.row - tap.row, x = line.column - tap.column;
        const bool inside = line.image && y >= 0 && y < windows.grid_height && x >= 0 &&
                            x < windows.grid_width;
        return inside
                   ? line.image[(y * windows.grid_width + x) * windows.grid_channels + tap.channel]
                   : 0.0f;
    }
};

// A line for each channel of the plane, along it its weights in the taps of a phase.
struct Weights {
    Windows windows;
    const float *weights;
    Phase rows, columns;

    static constexpr bool ALONG_DEPTH = false;
    typedef const float *Line;
    __device__ Line line(int channel) const {
        return channel < windows.plane_channels ? weights + channel : nullptr;
    }
    __device__ int depth(int k) const {
        const int tap = k / windows.grid_channels, channel = k % windows.grid_channels;
        const int row = tap / columns.taps * windows.stride + rows.phase;
        const int column = tap % columns.taps * windows.stride + columns.phase;
        return ((channel * windows.kernel + row) * windows.kernel + column) *
               windows.plane_channels;
    }
    __device__ float load(Line line, int offset) const { return line ? line[offset] : 0.0f; }
};

// Results that lie at the pixels of a phase.
struct Pixels {
    Windows windows;
    float *plane;
    Phase rows, columns;
    int add;

    __device__ float *row(int pixel) const {
        const int x = pixel % columns.count * windows.stride + columns.first;
        const int rest = pixel / columns.count;
        const int y = rest % rows.count * windows.stride + rows.first;
        const long long line = (long long)(rest / rows.count) * windows.plane_height + y;
        return plane + (line * windows.plane_width + x) * windows.plane_channels;
    }
};

template <int ROWS, int COLUMNS>
__device__ void scatter(const Windows &windows, const float *grid, const float *weights,
                        float *out, int parts, int add) {
    const int phase = blockIdx.z / parts, part = blockIdx.z % parts;
    const Phase vertical(phase / windows.stride, windows.plane_height, windows);
    const Phase horizontal(phase % windows.stride, windows.plane_width, windows);
    const int rows = windows.count * vertical.count * horizontal.count;
    // The whole block: phases differ in size.
    if (blockIdx.x * ROWS >= rows) {
        return;
    }
    const int depth = vertical.taps * horizontal.taps * windows.grid_channels;
    const Seeing left = {windows, grid, vertical, horizontal};
    const Weights right = {windows, weights, vertical, horizontal};
    float *to = out + (long long)part * windows.count * windows.plane();
    const Pixels pixels = {windows, to, vertical, horizontal, add};
    product<ROWS, COLUMNS>(left, right, pixels, rows, windows.plane_channels, depth, part, parts);
}

// A line for each channel of the grid, along it the windows.
struct Results {
    Windows windows;
    const float *grid;

    static constexpr bool ALONG_DEPTH = false;
    typedef const float *Line;
    __device__ Line line(int channel) const {
        return channel < windows.grid_channels ? grid + channel : nullptr;
    }
    __device__ long long depth(int place) const {
        return (long long)place * windows.grid_channels;
    }
    __device__ float load(Line line, long long offset) const {
        return line ? line[offset] : 0.0f;
    }
};

// A line for each value that a window sees, along it the windows.
struct Sights {
    Seen seen;

    static constexpr bool ALONG_DEPTH = false;
    typedef Seen::Tap Line;
    __device__ Line line(int k) const { return seen.depth(k); }
    __device__ Seen::Line depth(int place) const { return seen.line(place); }
    __device__ float load(Line tap, Seen::Line window) const {
        return tap.row < seen.windows.kernel ? seen.load(window, tap) : 0.0f;
    }
};

template <int ROWS, int COLUMNS>
__device__ void weigh(const Windows &windows, const float *plane, const float *grid, float *out,
                      int parts, int add) {
    const int rows = windows.grid_channels;
    const int columns = windows.kernel * windows.kernel * windows.plane_channels;
    const Results left = {windows, grid};
    const Sights right = {{windows, plane}};
    const Rows to = {out + (long long)blockIdx.z * rows * columns, columns, add};
    product<ROWS, COLUMNS>(left, right, to, rows, columns, windows.count * windows.places(),
                           blockIdx.z, parts);
}

// Each in three shapes of tile: results with few columns, neither, with few rows.
#define MAP(name, shape, rows, columns)                                                            \
    KERNEL __launch_bounds__(THREADS) name##_##shape(Windows windows, const float *first,          \
                                                     const float *second, float *out, int parts,   \
                                                     int add) {                                    \
        name<rows, columns>(windows, first, second, out, parts, add);                              \
    }
#define MAPS(shape, rows, columns)                                                                 \
    MAP(gather, shape, rows, columns)                                                              \
    MAP(scatter, shape, rows, columns)                                                             \
    MAP(weigh, shape, rows, columns)

MAPS(tall, 256, 16)
MAPS(square, 64, 64)
MAPS(flat, 16, 256)
