// Products of linear layers whose values all lie in whole quads of plain matrices: nothing is asked of a
// quad. A line beyond the last is read as one of the last, and its results go nowhere.
//
// Panels lie in shared memory as they do in memory, and come there by copies for which nobody waits
// before they are multiplied: meanwhile those of the next panels are on their way. Weights, which
// are f32, are rounded when they are multiplied.

// Lines that lie one after the other.
template <class Of> struct Along {
    const Of *values;
    int lines, len;

    typedef Of Kind;
    static constexpr bool ALONG_DEPTH = true;
    __device__ const Of *quad(int line, int depth) const {
        return values + (min(line, lines - 1) * len + depth);
    }
};

// Lines that lie side by side.
template <class Of> struct Across {
    const Of *values;
    int lines;

    typedef Of Kind;
    static constexpr bool ALONG_DEPTH = false;
    __device__ const Of *quad(int line, int depth) const {
        return values + (depth * lines + min(line, lines - 4));
    }
};

// Depth of a panel.
constexpr int PLAIN_DEPTH = WORDS * Word::VALUES;

// Panels that lie in shared memory.
constexpr int PANELS = 3;

// A panel of LINES lines.
template <int LINES, class Factor> struct Lying {
    typedef typename Factor::Kind Kind;
    static constexpr bool ALONG_DEPTH = Factor::ALONG_DEPTH, EXACT = sizeof(Kind) == sizeof(float);
    // What lies side by side, and how often. What is added to a run keeps those that a warp reads at a
    // time in different banks.
    static constexpr int RUN = ALONG_DEPTH ? PLAIN_DEPTH : LINES;
    static constexpr int RUNS = ALONG_DEPTH ? LINES : PLAIN_DEPTH;
    static constexpr int PITCH = RUN + (EXACT && !ALONG_DEPTH ? 4 : 8);
    // Words.
    static constexpr int SIZE = RUNS * PITCH * sizeof(Kind) / sizeof(unsigned);

    // From `depth` on, as far as there is any before `end`.
    static __device__ void bring(const Factor &factor, int line, int depth, int end, unsigned *to) {
        constexpr int ACROSS = RUN / 4, EACH = RUNS * ACROSS / THREADS;
        static_assert(EACH * THREADS == RUNS * ACROSS, "every thread has as many quads");
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            const int quad = threadIdx.x + i * THREADS;
            const int run = quad / ACROSS, place = quad % ACROSS * 4;
            const int k = depth + (ALONG_DEPTH ? place : run);
            const Kind *const from = factor.quad(line + (ALONG_DEPTH ? run : place), k);
            copy_later<4 * sizeof(Kind)>(from, k < end, (Kind *)to + (run * PITCH + place));
        }
    }
    // What an instruction takes: see `Mma::Panel`.
    static __device__ void left(unsigned (&words)[4], const unsigned *panel, int line, int word) {
        const int lane = threadIdx.x % 32, depth = 2 * word + lane / 16 * 8;
        if constexpr (ALONG_DEPTH) {
            matrices(words, (const unsigned *)at(panel, line + lane % 16, depth));
        } else {
            turned_matrices(words, (const unsigned *)at(panel, line + lane / 8 % 2 * 8, depth + lane % 8));
        }
    }
    static __device__ void right(unsigned (&words)[4], const unsigned *panel, int line, int word) {
        const int lane = threadIdx.x % 32;
        if constexpr (EXACT) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const Kind *const from =
                    at(panel, line + i / 2 * 8 + lane / 4, 2 * (word + i % 2 * 4 + lane % 4));
                const Two two = ALONG_DEPTH ? two_at(from) : Two{from[0], from[PITCH]};
                words[i] = bf16_pair(two.first, two.second);
            }
        } else {
            const int depth = 2 * word + lane / 8 % 2 * 8 + lane % 8;
            turned_matrices(words, (const unsigned *)at(panel, line + lane / 16 * 8, depth));
        }
    }

private:
    static __device__ const Kind *at(const unsigned *panel, int line, int depth) {
        return (const Kind *)panel + (ALONG_DEPTH ? line * PITCH + depth : depth * PITCH + line);
    }
};

// The words of shared memory of a tile.
template <int ROWS, int COLUMNS, class Left, class Right>
constexpr int PLAIN_WORDS = PANELS * (Lying<ROWS, Left>::SIZE + Lying<COLUMNS, Right>::SIZE);

// Multiplies a tile's panels; none is in use any more, nor on its way, when this returns.
template <int ROWS, int COLUMNS, class Results, class Left, class Right>
__device__ void multiply_plain(Results &results, const Left &left, const Right &right, Place place,
                               Part stretch, unsigned *panels) {
    typedef Lying<ROWS, Left> Lefts;
    typedef Lying<COLUMNS, Right> Rights;
    constexpr int SIZE = Lefts::SIZE + Rights::SIZE;
    const auto bring = [&](int k, int turn) {
        if (k < stretch.end) {
            unsigned *const to = panels + turn * SIZE;
            Lefts::bring(left, place.row * ROWS, k, stretch.end, to);
            Rights::bring(right, place.column * COLUMNS, k, stretch.end, to + Lefts::SIZE);
        }
        // There are as many groups as panels, though the last ones may be of nothing.
        end_copies();
    };
#pragma unroll
    for (int turn = 0; turn < PANELS - 1; ++turn) {
        bring(stretch.begin + turn * PLAIN_DEPTH, turn);
    }
    int turn = 0;
    for (int k = stretch.begin; k < stretch.end; k += PLAIN_DEPTH) {
        wait_for_copies<PANELS - 2>();
        // This panel is there, and all threads are done with the one before.
        __syncthreads();
        bring(k + (PANELS - 1) * PLAIN_DEPTH, turn == 0 ? PANELS - 1 : turn - 1);
        const unsigned *const panel = panels + turn * SIZE;
        results.template multiply<Lefts, Rights>(panel, panel + Lefts::SIZE);
        turn = turn + 1 == PANELS ? 0 : turn + 1;
    }
    wait_for_copies<0>();
    __syncthreads();
}

// What a launch of these products gives them of shared memory, in bytes: `kernels::shared_bytes`.
constexpr int PLAIN_BYTES = 92160;

// A tile of a product. Warps of square shares read the least of the panels.
template <class Unit, int ROWS, int COLUMNS, class Left, class Right>
__device__ void plain(const Left &left, const Right &right, const Rows<Written> &to, Place place,
                      int rows, int columns, int depth, int parts) {
    extern __shared__ uint4 panels[];
    typename Unit::template Results<ROWS, COLUMNS, COLUMNS == 128 ? 64 : 32> results;
    static_assert(PLAIN_WORDS<ROWS, COLUMNS, Left, Right> * 4 <= PLAIN_BYTES, "the panels have room");
    const Part stretch(depth, blockIdx.z, parts, PLAIN_DEPTH);
    multiply_plain<ROWS, COLUMNS>(results, left, right, place, stretch, (unsigned *)panels);
    finish_tile<ROWS, COLUMNS>(results, to, place, rows, columns, (float *)panels);
}

// A row for each image.
template <class Unit, int ROWS, int COLUMNS, class Right>
__device__ void plain_rows(const Along<Value> &left, const Right &right, void *out, int columns,
                           int whole, int parts, int add, Moments *moments) {
    const Place place(columns_first(whole));
    const Rows<Written> to = rows_of_part(out, left.lines, columns, whole, add, moments, place);
    plain<Unit, ROWS, COLUMNS>(left, right, to, place, left.lines, columns, left.len, parts);
}

template <class Unit, int ROWS, int COLUMNS>
__device__ void gather_plain(const Windows &windows, const Value *inputs, const float *weights,
                             void *out, int whole, int parts, int add, Moments *moments) {
    const int len = windows.plane_channels, outputs = windows.grid_channels;
    const Along<Value> left = {inputs, windows.count, len};
    const Along<float> right = {weights, outputs, len};
    plain_rows<Unit, ROWS, COLUMNS>(left, right, out, outputs, whole, parts, add, moments);
}

template <class Unit, int ROWS, int COLUMNS>
__device__ void scatter_plain(const Windows &windows, const Value *gradient, const float *weights,
                              void *out, int whole, int parts, int add, Moments *moments) {
    const int len = windows.grid_channels, inputs = windows.plane_channels;
    const Along<Value> left = {gradient, windows.count, len};
    const Across<float> right = {weights, inputs};
    plain_rows<Unit, ROWS, COLUMNS>(left, right, out, inputs, whole, parts, add, moments);
}

// A row for each output, a column for each input.
template <class Unit, int ROWS, int COLUMNS>
__device__ void weigh_plain(const Windows &windows, const Value *inputs, const Value *gradient,
                            void *out, int whole, int parts, int add, Moments *) {
    const Across<Value> left = {gradient, windows.grid_channels};
    const Across<Value> right = {inputs, windows.plane_channels};
    const Place place(columns_first(whole));
    const Rows<Written> to = rows_of_part(out, left.lines, right.lines, whole, add, nullptr, place);
    plain<Unit, ROWS, COLUMNS>(left, right, to, place, left.lines, right.lines, windows.count, parts);
}

template <class Unit, int ROWS, int COLUMNS>
__device__ void move_plain(const Windows &windows, const Value *inputs, const Value *gradient,
                           float *weights, float *mean, float *square, const Adam &adam, int whole) {
    const Across<Value> left = {gradient, windows.grid_channels};
    const Across<Value> right = {inputs, windows.plane_channels};
    constexpr int SIZE = PLAIN_WORDS<ROWS, COLUMNS, Across<Value>, Across<Value>>;
    static_assert(SIZE >= ROWS * GRADIENT_PITCH<COLUMNS>, "the panels have room for gradients");
    __shared__ uint4 panels[SIZE / 4];
    const Moving put = {moved_whole(whole), weights, mean, square, adam};
    const Rows<Moving> to = {put, right.lines, nullptr};
    const Place place(columns_first(whole));
    typename Unit::template Results<ROWS, COLUMNS> results;
    const Part all(windows.count, 0, 1, PLAIN_DEPTH);
    multiply_plain<ROWS, COLUMNS>(results, left, right, place, all, (unsigned *)panels);
    move_tile<ROWS, COLUMNS>(results, to, place, left.lines, right.lines, (float *)panels);
}

#define PLAIN_PRODUCTS(name, kernel, Second)                                                       \
    PRODUCT(name, kernel##_square_plain, Mma, 128, 64, Value, Second)                              \
    PRODUCT(name, kernel##_large_plain, Mma, 128, 128, Value, Second)

PLAIN_PRODUCTS(gather_plain, gather_mma, float)
PLAIN_PRODUCTS(scatter_plain, scatter_mma, float)
PLAIN_PRODUCTS(weigh_plain, weigh_mma, Value)
// Small tiles: the more blocks, the better they hide each other's waits for weights.
MOVE(move_plain, move_mma_small_plain, Mma, 64, 64, Value, 5)
