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
// its columns, which are channels, where BatchNorm asks for them.
//
// What a window sees of one row of a plane lies side by side: a run of kernel · channels values.
// The depth goes from run to run, each filled up to whole quads. Where a quad lies on a multiple of
// 16 bytes it is read at once, else value by value.

// The pixels along one axis of a plane that windows reach with the same taps: those of which
// pixel + padding leaves the rest `phase` by the stride.
struct Phase {
    int phase, first, taps;
    // The place in the grid of the window that sees the first pixel with the first tap.
    int window;
    // How many there are.
    Divisor count;
    // The grid's values that they see in one row, filled up to whole quads.
    Divisor run;
};

// The greatest stride.
constexpr int MOST_PHASES = 4;

struct Windows {
    int count;
    int plane_height, plane_width, plane_channels;
    int grid_height, grid_width, grid_channels;
    int kernel, stride, padding;
    // Of a place in the grid: places of an image, and those of a row.
    Divisor places, row;
    // A run of the plane, filled up.
    Divisor run;
    // The grid's channels.
    Divisor channels;
    Phase vertical[MOST_PHASES], horizontal[MOST_PHASES];

    __device__ int plane_row() const { return plane_width * plane_channels; }
    __device__ int plane() const { return plane_height * plane_row(); }
    __device__ int grid_row() const { return grid_width * grid_channels; }
    __device__ int grid() const { return grid_height * grid_row(); }
    // A run of the plane as it is.
    __device__ int seen() const { return kernel * plane_channels; }
};

// A line that is nowhere: no row of it lies in an image.
constexpr int NOWHERE = -(1 << 30);

// A place in a run.
struct Tap {
    int row;
    // The place in its run, and how much of the run is left from there on.
    int place, left;
    // From the first value of the first run to it, in memory.
    int offset;
};

// Four values of a row of `len` from `place` on, of which the first `left` count; 0 beside the row.
// WHOLE ones all count, and lie on a multiple of their size.
template <bool WHOLE, class Of>
__device__ inline auto quad_of_row(const Of *from, bool inside, int place, int len, int left) {
    typename Kept<Of>::Values quad = {};
    if constexpr (WHOLE) {
        if (inside && (unsigned)place < (unsigned)len) {
            quad = whole_quad(from);
        }
    } else {
#pragma unroll
        for (int v = 0; v < 4; ++v) {
            if (inside && (unsigned)(place + v) < (unsigned)len && v < left) {
                set(quad, v, from[v]);
            }
        }
    }
    return quad;
}

// Results that lie row by row.
template <class Put> struct Rows : Put {
    int columns;
    Moments *moments;

    // Where it begins.
    __device__ long long row(int row) const { return (long long)row * columns; }
    __device__ int place(int column) const { return column; }
};

// A line for each channel of the grid, along it its weights.
struct Kernels {
    const Windows &windows;
    const float *weights;
    bool whole;

    typedef float Kind;
    static constexpr bool ALONG_DEPTH = true;
    // Where it begins; NOWHERE if it is none.
    typedef int Line;
    __device__ Line line(int channel) const {
        return channel < windows.grid_channels ? channel * windows.kernel * windows.seen()
                                               : NOWHERE;
    }
    __device__ Tap depth(int k) const {
        const int row = windows.run.quotient(k), place = k - row * windows.run.value;
        return {row, place, windows.seen() - place, row * windows.seen() + place};
    }
    __device__ bool is_whole() const { return whole; }
    template <bool WHOLE> __device__ auto quad(Line line, Tap tap) const {
        return quad_of_row<WHOLE>(weights + line + tap.offset, line != NOWHERE, tap.place,
                                  windows.seen(), tap.left);
    }
};

// A line for each window, along it the values that it sees.
template <class Of> struct Seen {
    const Windows &windows;
    const Of *plane;
    bool whole;

    typedef Of Kind;
    static constexpr bool ALONG_DEPTH = true;
    struct Line {
        // Where the first value that it sees lies, or would lie, in memory and in its row.
        int start, left;
        // The row of the plane.
        int top;
    };
    __device__ Line line(int place) const {
        const int image = windows.places.quotient(place);
        if (image >= windows.count) {
            return {0, 0, NOWHERE};
        }
        const int pixel = place - image * windows.places.value;
        const int row = windows.row.quotient(pixel);
        const int column = pixel - row * windows.row.value;
        const int top = row * windows.stride - windows.padding;
        const int left = (column * windows.stride - windows.padding) * windows.plane_channels;
        return {image * windows.plane() + top * windows.plane_row() + left, left, top};
    }
    __device__ Tap depth(int k) const {
        const int row = windows.run.quotient(k), place = k - row * windows.run.value;
        return {row, place, windows.seen() - place, row * windows.plane_row() + place};
    }
    __device__ bool is_whole() const { return whole; }
    template <bool WHOLE> __device__ auto quad(Line line, Tap tap) const {
        const bool inside = (unsigned)(line.top + tap.row) < (unsigned)windows.plane_height;
        return quad_of_row<WHOLE>(plane + (line.start + tap.offset), inside, line.left + tap.place,
                                  windows.plane_row(), tap.left);
    }
};

// How a product's values are read and written: the first bits of `whole` say whether quads of the
// first and of the second factor lie on a multiple of their size, the next whether pairs of results
// do, and then whether blocks go along the columns of tiles first; one is of values that are
// moved, and says whether quads of them and of their moments do. The last says whether results are f32.
__device__ inline bool first_whole(int whole) { return whole & 1; }
__device__ inline bool second_whole(int whole) { return whole >> 1 & 1; }
__device__ inline bool pairs_whole(int whole) { return whole >> 2 & 1; }
__device__ inline bool columns_first(int whole) { return whole >> 3 & 1; }
__device__ inline bool moved_whole(int whole) { return whole >> 4 & 1; }
__device__ inline bool exact(int whole) { return whole >> 5 & 1; }

// What becomes of results, part by part of `len` of them.
__device__ inline Written written(void *out, long long part, long long len, int whole, int add) {
    const long long skipped = part * len;
    void *const first = exact(whole) ? (void *)((float *)out + skipped)
                                     : (void *)((Value *)out + skipped);
    return {pairs_whole(whole), exact(whole), add, first};
}

// Results of a block's part that lie row by row.
__device__ inline Rows<Written> rows_of_part(void *out, int rows, int columns, int whole, int add,
                                             Moments *moments, Place place) {
    const Written put = written(out, blockIdx.z, (long long)rows * columns, whole, add);
    return {put, columns, moments ? moments + (long long)place.row * columns : nullptr};
}

template <class Unit, int ROWS, int COLUMNS, class Of>
__device__ void gather(const Windows &windows, const Of *plane, const float *weights, void *out,
                       int whole, int parts, int add, Moments *moments) {
    const Seen<Of> left = {windows, plane, first_whole(whole)};
    const Kernels right = {windows, weights, second_whole(whole)};
    const int rows = windows.count * windows.places.value, columns = windows.grid_channels;
    const Place place(columns_first(whole));
    const Rows<Written> to = rows_of_part(out, rows, columns, whole, add, moments, place);
    tile<Unit, ROWS, COLUMNS>(left, right, to, place, rows, columns,
                              windows.kernel * windows.run.value, blockIdx.z, parts);
}

// A line for each pixel of a phase, along it what the windows that see the pixel hold, from the
// last window of a row to the first: that is their order in memory.
template <class Of> struct Seeing {
    const Windows &windows;
    const Of *grid;
    bool whole;
    const Phase &rows, &columns;

    typedef Of Kind;
    static constexpr bool ALONG_DEPTH = true;
    struct Line {
        // Where the first value lies, or would lie, in memory and in its row.
        int start, left;
        // The row of the grid.
        int top;
    };
    __device__ Line line(int pixel) const {
        const int rest = columns.count.quotient(pixel);
        const int image = rows.count.quotient(rest);
        if (image >= windows.count) {
            return {0, 0, NOWHERE};
        }
        // The window that sees it with the first tap; further taps are of windows before.
        const int top = rest - image * rows.count.value + rows.window;
        const int last = pixel - rest * columns.count.value + columns.window;
        const int left = (last + 1 - columns.taps) * windows.grid_channels;
        return {image * windows.grid() + top * windows.grid_row() + left, left, top};
    }
    __device__ Tap depth(int k) const {
        const int row = columns.run.quotient(k), place = k - row * columns.run.value;
        return {row, place, columns.taps * windows.grid_channels - place,
                place - row * windows.grid_row()};
    }
    __device__ bool is_whole() const { return whole; }
    template <bool WHOLE> __device__ auto quad(Line line, Tap tap) const {
        const bool inside = (unsigned)(line.top - tap.row) < (unsigned)windows.grid_height;
        return quad_of_row<WHOLE>(grid + (line.start + tap.offset), inside, line.left + tap.place,
                                  windows.grid_row(), tap.left);
    }
};

// A line for each channel of the plane, along it its weights in the taps of a phase.
struct Weights {
    const Windows &windows;
    const float *weights;
    bool whole;
    const Phase &rows, &columns;

    typedef float Kind;
    static constexpr bool ALONG_DEPTH = false;
    // The channel.
    typedef int Line;
    // Where the weights begin; NOWHERE where a run is filled up.
    typedef int Depth;
    __device__ Line line(int channel) const { return channel; }
    __device__ Depth depth(int k) const {
        const int row = columns.run.quotient(k), place = k - row * columns.run.value;
        const int window = windows.channels.quotient(place);
        const int channel = place - window * windows.channels.value;
        if (window >= columns.taps) {
            return NOWHERE;
        }
        const int y = row * windows.stride + rows.phase;
        const int x = (columns.taps - 1 - window) * windows.stride + columns.phase;
        return ((channel * windows.kernel + y) * windows.kernel + x) * windows.plane_channels;
    }
    __device__ bool is_whole() const { return whole; }
    template <bool WHOLE> __device__ auto quad(Line channel, Depth depth) const {
        return quad_of_row<WHOLE>(weights + (depth + channel), depth != NOWHERE, channel,
                                  windows.plane_channels, 4);
    }
};

// Results that lie at the pixels of a phase.
struct Pixels : Written {
    const Windows &windows;
    const Phase &rows, &columns;
    Moments *moments;

    __device__ long long row(int pixel) const {
        const int rest = columns.count.quotient(pixel);
        const int x = (pixel - rest * columns.count.value) * windows.stride + columns.first;
        const int image = rows.count.quotient(rest);
        const int y = (rest - image * rows.count.value) * windows.stride + rows.first;
        const long long line = (long long)image * windows.plane_height + y;
        return (line * windows.plane_width + x) * windows.plane_channels;
    }
    __device__ int place(int channel) const { return channel; }
};

template <class Unit, int ROWS, int COLUMNS, class Of>
__device__ void scatter(const Windows &windows, const Of *grid, const float *weights, void *out,
                        int whole, int parts, int add, Moments *moments) {
    const int phase = blockIdx.z / parts, part = blockIdx.z % parts;
    const Phase &vertical = windows.vertical[phase / windows.stride];
    const Phase &horizontal = windows.horizontal[phase % windows.stride];
    const int rows = windows.count * vertical.count.value * horizontal.count.value;
    const int columns = windows.plane_channels;
    const Place place(columns_first(whole));
    if (moments) {
        const int down = columns_first(whole) ? gridDim.y : gridDim.x;
        moments += ((long long)phase * down + place.row) * columns;
    }
    // The whole block: phases differ in size.
    if (place.row * ROWS >= rows) {
        const int left = place.column * COLUMNS, right = min(left + COLUMNS, columns);
        for (int c = left + threadIdx.x; moments && c < right; c += THREADS) {
            moments[c] = {};
        }
        return;
    }
    const Seeing<Of> left = {windows, grid, first_whole(whole), vertical, horizontal};
    const Weights right = {windows, weights, second_whole(whole), vertical, horizontal};
    const long long len = (long long)windows.count * windows.plane();
    const Pixels pixels = {written(out, part, len, whole, add), windows, vertical, horizontal, moments};
    tile<Unit, ROWS, COLUMNS>(left, right, pixels, place, rows, columns,
                              vertical.taps * horizontal.run.value, part, parts);
}

// A line for each channel of the grid, along it the windows.
template <class Of> struct Results {
    const Windows &windows;
    const Of *grid;
    bool whole;

    typedef Of Kind;
    static constexpr bool ALONG_DEPTH = false;
    typedef int Line;
    __device__ Line line(int channel) const { return channel; }
    __device__ int depth(int place) const { return place * windows.grid_channels; }
    __device__ bool is_whole() const { return whole; }
    template <bool WHOLE> __device__ auto quad(Line channel, int start) const {
        return quad_of_row<WHOLE>(grid + (start + channel), true, channel, windows.grid_channels, 4);
    }
};

// A line for each value that a window sees, along it the windows.
template <class Of> struct Sights {
    Seen<Of> seen;

    typedef Of Kind;
    static constexpr bool ALONG_DEPTH = false;
    typedef Tap Line;
    __device__ Line line(int k) const {
        const Tap tap = seen.depth(k);
        return tap.row < seen.windows.kernel ? tap : Tap{NOWHERE, 0, 0, 0};
    }
    __device__ auto depth(int place) const { return seen.line(place); }
    __device__ bool is_whole() const { return seen.whole; }
    template <bool WHOLE> __device__ auto quad(Line tap, typename Seen<Of>::Line window) const {
        return seen.template quad<WHOLE>(window, tap);
    }
};

// Results that are weights, or their gradients: a row for each channel of the grid, in it run by run.
template <class Put> struct Runs : Put {
    const Windows &windows;
    Moments *moments;

    __device__ long long row(int channel) const {
        return (long long)channel * windows.kernel * windows.seen();
    }
    // −1 where a run is filled up.
    __device__ int place(int k) const {
        const int row = windows.run.quotient(k), place = k - row * windows.run.value;
        return place < windows.seen() ? row * windows.seen() + place : -1;
    }
};

template <class Unit, int ROWS, int COLUMNS, class Put, class Of>
__device__ void weigh_to(const Runs<Put> &to, const Windows &windows, const Of *plane,
                         const Of *grid, int whole, int parts) {
    const Results<Of> left = {windows, grid, second_whole(whole)};
    const Sights<Of> right = {{windows, plane, first_whole(whole)}};
    tile<Unit, ROWS, COLUMNS>(left, right, to, Place(columns_first(whole)), windows.grid_channels,
                              windows.kernel * windows.run.value,
                              windows.count * windows.places.value, blockIdx.z, parts);
}

template <class Unit, int ROWS, int COLUMNS, class Of>
__device__ void weigh(const Windows &windows, const Of *plane, const Of *grid, void *out, int whole,
                      int parts, int add, Moments *) {
    const long long len = (long long)windows.grid_channels * windows.kernel * windows.seen();
    const Runs<Written> to = {written(out, blockIdx.z, len, whole, add), windows, nullptr};
    weigh_to<Unit, ROWS, COLUMNS>(to, windows, plane, grid, whole, parts);
}

// The weights' gradient, which moves them at once.
template <class Unit, int ROWS, int COLUMNS, class Of>
__device__ void move(const Windows &windows, const Of *plane, const Of *grid, float *weights,
                     float *mean, float *square, const Adam &adam, int whole) {
    const Moving put = {moved_whole(whole), weights, mean, square, adam};
    const Runs<Moving> to = {put, windows, nullptr};
    weigh_to<Unit, ROWS, COLUMNS>(to, windows, plane, grid, whole, 1);
}

// A product of factors of these kinds. Two blocks at a time hide each other's waits, or more of a
// kernel that needs few registers.
#define PRODUCT(name, kernel, unit, rows, columns, First, Second)                                  \
    KERNEL __launch_bounds__(THREADS, 2)                                                           \
        kernel(const __grid_constant__ Windows windows, const First *first, const Second *second,  \
               void *out, int whole, int parts, int add, Moments *moments) {                       \
        name<unit, rows, columns>(windows, first, second, out, whole, parts, add, moments);        \
    }
#define MOVE(name, kernel, unit, rows, columns, Of, blocks)                                        \
    KERNEL __launch_bounds__(THREADS, blocks)                                                      \
        kernel(const __grid_constant__ Windows windows, const Of *plane, const Of *grid,           \
               float *weights, float *mean, float *square, Adam adam, int whole) {                 \
        name<unit, rows, columns>(windows, plane, grid, weights, mean, square, adam, whole);       \
    }
// In three shapes of tile: results with few columns, neither, with few rows.
#define MAPS(name, kernel, unit, First, Second)                                                    \
    PRODUCT(name, kernel##_tall, unit, 256, 16, First, Second)                                     \
    PRODUCT(name, kernel##_square, unit, 128, 64, First, Second)                                   \
    PRODUCT(name, kernel##_flat, unit, 16, 256, First, Second)

MAPS(gather, gather, Fma, float, float)
MAPS(scatter, scatter, Fma, float, float)
MAPS(weigh, weigh, Fma, float, float)
MOVE(move, move_square, Fma, 128, 64, float, 2)
