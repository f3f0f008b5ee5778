// Products of large linear layers. What tiles read often has been rounded to bf16 before, once: half
// as many bytes come for each of them. Weights, which few tiles share, are read as they are. All
// values lie in whole quads of plain matrices, so that nothing is asked of a quad: a line beyond the
// last is read as one of the last, and its results go nowhere.

KERNEL round_values(const float *values, int len, unsigned *out) {
    FOR_EACH_QUAD(i, len) {
        Word::put(whole_quad(values + i), out + i / 2);
    }
}

// Lines that lie one after the other.
template <class Of> struct Along {
    const Of *values;
    int lines, len;

    typedef Of Value;
    static constexpr bool PLAIN = true, ALONG_DEPTH = true;
    // Where it begins.
    typedef int Line;
    __device__ Line line(int i) const { return min(i, lines - 1) * len; }
    __device__ int depth(int k) const { return k; }
    template <bool> __device__ auto quad(Line line, int k) const {
        return whole_quad(values + (line + k));
    }
};

// Lines that lie side by side.
template <class Of> struct Across {
    const Of *values;
    int lines;

    typedef Of Value;
    static constexpr bool PLAIN = true, ALONG_DEPTH = false;
    typedef int Line;
    __device__ Line line(int i) const { return min(i, lines - 4); }
    __device__ int depth(int k) const { return k * lines; }
    template <bool> __device__ auto quad(Line line, int start) const {
        return whole_quad(values + (start + line));
    }
};

// A row for each image.
template <class Unit, int ROWS, int COLUMNS>
__device__ void gather(const Windows &windows, const Bf16 *inputs, const float *weights, float *out,
                       int whole, int parts, int add, Moments *moments) {
    const int len = windows.plane_channels, outputs = windows.grid_channels;
    const Along<Bf16> left = {inputs, windows.count, len};
    const Along<float> right = {weights, outputs, len};
    row_by_row<Unit, ROWS, COLUMNS>(left, right, out, windows.count, outputs, len, whole, parts,
                                    add, moments);
}

template <class Unit, int ROWS, int COLUMNS>
__device__ void scatter(const Windows &windows, const Bf16 *gradient, const float *weights,
                        float *out, int whole, int parts, int add, Moments *moments) {
    const int len = windows.grid_channels, inputs = windows.plane_channels;
    const Along<Bf16> left = {gradient, windows.count, len};
    const Across<float> right = {weights, inputs};
    row_by_row<Unit, ROWS, COLUMNS>(left, right, out, windows.count, inputs, len, whole, parts,
                                    add, moments);
}

// A row for each output, a column for each input.
template <class Unit, int ROWS, int COLUMNS, class Put>
__device__ void outputs_by_inputs(const Rows<Put> &to, const Windows &windows, const Bf16 *inputs,
                                  const Bf16 *gradient, int whole, int parts) {
    const Across<Bf16> left = {gradient, windows.grid_channels};
    const Across<Bf16> right = {inputs, windows.plane_channels};
    tile<Unit, ROWS, COLUMNS>(left, right, to, Place(columns_first(whole)), left.lines, right.lines,
                              windows.count, blockIdx.z, parts);
}

template <class Unit, int ROWS, int COLUMNS>
__device__ void weigh(const Windows &windows, const Bf16 *inputs, const Bf16 *gradient, float *out,
                      int whole, int parts, int add, Moments *) {
    const int columns = windows.plane_channels;
    float *const part = out + (long long)blockIdx.z * windows.grid_channels * columns;
    const Rows<Written> to = {{pairs_whole(whole), add}, part, columns, nullptr};
    outputs_by_inputs<Unit, ROWS, COLUMNS>(to, windows, inputs, gradient, whole, parts);
}

template <class Unit, int ROWS, int COLUMNS>
__device__ void move(const Windows &windows, const Bf16 *inputs, const Bf16 *gradient, float *weights,
                     float *mean, float *square, const Adam &adam, int whole) {
    const Moving put = {moved_whole(whole), weights, mean, square, adam};
    const Rows<Moving> to = {put, weights, windows.plane_channels, nullptr};
    outputs_by_inputs<Unit, ROWS, COLUMNS>(to, windows, inputs, gradient, whole, 1);
}

#define ROUNDED(name, kernel, Second)                                                              \
    PRODUCT(name, kernel##_square_rounded, Mma, 128, 64, Bf16, Second)                             \
    PRODUCT(name, kernel##_large_rounded, Mma, 128, 128, Bf16, Second)

ROUNDED(gather, gather_mma, float)
ROUNDED(scatter, scatter_mma, float)
ROUNDED(weigh, weigh_mma, Bf16)
MOVE(move_mma_square_rounded, Mma, Bf16, 3)
