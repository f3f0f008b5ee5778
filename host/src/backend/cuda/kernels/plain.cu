// Products of linear layers whose values all lie in whole quads of plain matrices, so that nothing is asked
// of a quad: a line beyond the last is read as one of the last, and its results go nowhere.

// Lines that lie one after the other.
template <class Of> struct Along {
    const Of *values;
    int lines, len;

    typedef Of Kind;
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

    typedef Of Kind;
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
__device__ void gather_plain(const Windows &windows, const Value *inputs, const float *weights,
                             void *out, int whole, int parts, int add, Moments *moments) {
    const int len = windows.plane_channels, outputs = windows.grid_channels;
    const Along<Value> left = {inputs, windows.count, len};
    const Along<float> right = {weights, outputs, len};
    row_by_row<Unit, ROWS, COLUMNS>(left, right, out, windows.count, outputs, len, whole, parts,
                                    add, moments);
}

template <class Unit, int ROWS, int COLUMNS>
__device__ void scatter_plain(const Windows &windows, const Value *gradient, const float *weights,
                              void *out, int whole, int parts, int add, Moments *moments) {
    const int len = windows.grid_channels, inputs = windows.plane_channels;
    const Along<Value> left = {gradient, windows.count, len};
    const Across<float> right = {weights, inputs};
    row_by_row<Unit, ROWS, COLUMNS>(left, right, out, windows.count, inputs, len, whole, parts,
                                    add, moments);
}

// A row for each output, a column for each input.
template <class Unit, int ROWS, int COLUMNS, class Put>
__device__ void outputs_by_inputs(const Rows<Put> &to, const Windows &windows, const Value *inputs,
                                  const Value *gradient, int whole, int parts) {
    const Across<Value> left = {gradient, windows.grid_channels};
    const Across<Value> right = {inputs, windows.plane_channels};
    tile<Unit, ROWS, COLUMNS>(left, right, to, Place(columns_first(whole)), left.lines, right.lines,
                              windows.count, blockIdx.z, parts);
}

template <class Unit, int ROWS, int COLUMNS>
__device__ void weigh_plain(const Windows &windows, const Value *inputs, const Value *gradient,
                            void *out, int whole, int parts, int add, Moments *) {
    const long long len = (long long)windows.grid_channels * windows.plane_channels;
    const Written put = written(out, blockIdx.z, len, whole, add);
    const Rows<Written> to = {put, windows.plane_channels, nullptr};
    outputs_by_inputs<Unit, ROWS, COLUMNS>(to, windows, inputs, gradient, whole, parts);
}

template <class Unit, int ROWS, int COLUMNS>
__device__ void move_plain(const Windows &windows, const Value *inputs, const Value *gradient,
                           float *weights, float *mean, float *square, const Adam &adam, int whole) {
    const Moving put = {moved_whole(whole), weights, mean, square, adam};
    const Rows<Moving> to = {put, windows.plane_channels, nullptr};
    outputs_by_inputs<Unit, ROWS, COLUMNS>(to, windows, inputs, gradient, whole, 1);
}

#define PLAIN_PRODUCTS(name, kernel, Second)                                                       \
    PRODUCT(name, kernel##_square_plain, Mma, 128, 64, Value, Second)                              \
    PRODUCT(name, kernel##_large_plain, Mma, 128, 128, Value, Second)

PLAIN_PRODUCTS(gather_plain, gather_mma, float)
PLAIN_PRODUCTS(scatter_plain, scatter_mma, float)
PLAIN_PRODUCTS(weigh_plain, weigh_mma, Value)
MOVE(move_plain, move_mma_square_plain, Mma, Value, 3)
