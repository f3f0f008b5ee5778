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
// tiles, the depth is cut into parts whose sums `sum_parts` adds. Else a tile leaves the moments of
// its columns, which are channels, where BatchNorm asks for them. `Product` computes the tile of a
// block: `Fma` in f32, `Mma` on matrix cores.

struct Windows {
    int count;
    int plane_height, plane_width, plane_channels;
    int grid_height, grid_width, grid_channels;
    int kernel, stride, padding;

    __device__ int plane() const { return plane_height * plane_width * plane_channels; }
    __device__ int grid() const { return grid_height * grid_width * grid_channels; }
    __device__ int places() const { return grid_height * grid_width; }
};

// Results that lie row by row.
struct Rows {
    float *values;
    int columns;
    int add;
    Moments *moments;

    __device__ float *row(int row) const { return values + (long long)row * columns; }
};

// Lines of values that lie one after the other.
struct Matrix {
    const float *values;
    int lines, columns;

    static constexpr bool ALONG_DEPTH = true;
    // Where it begins; −1 for none.
    typedef int Line;
    __device__ Line line(int line) const { return line < lines ? line * columns : -1; }
    __device__ int depth(int k) const { return k; }
    __device__ float load(Line line, int k) const { return line >= 0 ? values[line + k] : 0.0f; }
};

// A line for each window, along it the values that it sees.
struct Seen {
    Windows windows;
    const float *plane;

    static constexpr bool ALONG_DEPTH = true;
    struct Line {
        // Where the image begins; −1 for none.
        int image;
        int top, left;
    };
    struct Tap {
        int row, column, channel;
    };
    __device__ Line line(int place) const {
        const int image = place / windows.places(), pixel = place % windows.places();
        if (image >= windows.count) {
            return {-1, 0, 0};
        }
        return {image * windows.plane(),
                pixel / windows.grid_width * windows.stride - windows.padding,
                pixel % windows.grid_width * windows.stride - windows.padding};
    }
    __device__ Tap depth(int k) const {
        const int tap = k / windows.plane_channels;
        return {tap / windows.kernel, tap % windows.kernel, k % windows.plane_channels};
    }
    __device__ float load(Line line, Tap tap) const {
        const int y = line.top + tap.row, x = line.left + tap.column;
        const bool inside = line.image >= 0 && y >= 0 && y < windows.plane_height && x >= 0 &&
                            x < windows.plane_width;
        return inside ? plane[line.image + (y * windows.plane_width + x) * windows.plane_channels +
                              tap.channel]
                      : 0.0f;
    }
};

template <class Product, int ROWS, int COLUMNS>
__device__ void gather(const Windows &windows, const float *plane, const float *weights, float *out,
                       int parts, int add, Moments *moments) {
    const int rows = windows.count * windows.places(), columns = windows.grid_channels;
    const int depth = windows.kernel * windows.kernel * windows.plane_channels;
    const Seen left = {windows, plane};
    const Matrix right = {weights, columns, depth};
    const Rows to = {out + (long long)blockIdx.z * rows * columns, columns, add,
                     moments ? moments + (long long)blockIdx.x * columns : nullptr};
    Product::template tile<ROWS, COLUMNS>(left, right, to, rows, columns, depth, blockIdx.z, parts);
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
        // Where the image begins; −1 for none.
        int image;
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
            return {-1, 0, 0};
        }
        // The window that sees it with its phase's first tap; further taps are of windows before.
        return {image * windows.grid(),
                (row + windows.padding - rows.phase) / windows.stride,
                (column + windows.padding - columns.phase) / windows.stride};
    }
    __device__ Tap depth(int k) const {
        const int tap = k / windows.grid_channels;
        return {tap / columns.taps, tap % columns.taps, k % windows.grid_channels};
    }
    __device__ float load(Line line, Tap tap) const {
        const int y = line.row - tap.row, x = line.column - tap.column;
        const bool inside = line.image >= 0 && y >= 0 && y < windows.grid_height && x >= 0 &&
                            x < windows.grid_width;
        return inside ? grid[line.image + (y * windows.grid_width + x) * windows.grid_channels +
                             tap.channel]
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
    Moments *moments;

    __device__ float *row(int pixel) const {
        const int x = pixel % columns.count * windows.stride + columns.first;
        const int rest = pixel / columns.count;
        const int y = rest % rows.count * windows.stride + rows.first;
        const long long line = (long long)(rest / rows.count) * windows.plane_height + y;
        return plane + (line * windows.plane_width + x) * windows.plane_channels;
    }
};

template <class Product, int ROWS, int COLUMNS>
__device__ void scatter(const Windows &windows, const float *grid, const float *weights,
                        float *out, int parts, int add, Moments *moments) {
    const int phase = blockIdx.z / parts, part = blockIdx.z % parts;
    const Phase vertical(phase / windows.stride, windows.plane_height, windows);
    const Phase horizontal(phase % windows.stride, windows.plane_width, windows);
    const int rows = windows.count * vertical.count * horizontal.count;
    const int columns = windows.plane_channels;
    if (moments) {
        moments += ((long long)phase * gridDim.x + blockIdx.x) * columns;
    }
    // The whole block: phases differ in size.
    if (blockIdx.x * ROWS >= rows) {
        const int left = blockIdx.y * COLUMNS, right = min(left + COLUMNS, columns);
        for (int c = left + threadIdx.x; moments && c < right; c += THREADS) {
            moments[c] = {};
        }
        return;
    }
    const int depth = vertical.taps * horizontal.taps * windows.grid_channels;
    const Seeing left = {windows, grid, vertical, horizontal};
    const Weights right = {windows, weights, vertical, horizontal};
    float *to = out + (long long)part * windows.count * windows.plane();
    const Pixels pixels = {windows, to, vertical, horizontal, add, moments};
    Product::template tile<ROWS, COLUMNS>(left, right, pixels, rows, columns, depth, part, parts);
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

template <class Product, int ROWS, int COLUMNS>
__device__ void weigh(const Windows &windows, const float *plane, const float *grid, float *out,
                      int parts, int add, Moments *) {
    const int rows = windows.grid_channels;
    const int columns = windows.kernel * windows.kernel * windows.plane_channels;
    const Results left = {windows, grid};
    const Sights right = {{windows, plane}};
    const Rows to = {out + (long long)blockIdx.z * rows * columns, columns, add, nullptr};
    Product::template tile<ROWS, COLUMNS>(left, right, to, rows, columns,
                                          windows.count * windows.places(), blockIdx.z, parts);
}

// Each in three shapes of tile: results with few columns, neither, with few rows. Two blocks at a
// time hide each other's waits.
#define MAP(name, kernel, product, rows, columns)                                                  \
    KERNEL __launch_bounds__(THREADS, 2) kernel(Windows windows, const float *first,               \
                                                const float *second, float *out, int parts,        \
                                                int add, Moments *moments) {                       \
        name<product, rows, columns>(windows, first, second, out, parts, add, moments);            \
    }
#define MAPS(name, kernel, product)                                                                \
    MAP(name, kernel##_tall, product, 256, 16)                                                     \
    MAP(name, kernel##_square, product, 128, 64)                                                   \
    MAP(name, kernel##_flat, product, 16, 256)

MAPS(gather, gather, Fma)
MAPS(scatter, scatter, Fma)
MAPS(weigh, weigh, Fma)
