// A matrix product, a tile of ROWS × COLUMNS results a block: out(row, column) =
// Σ left(row, k) · right(column, k) over part `part` of `parts` of the depth, panel by panel.
//
// Factors and results lie as their types say (`maps.cu` has them). A result knows where it goes, if
// anywhere, what becomes of it there, and where the moments of the tile's columns go. A
// factor knows a `line` (a row of the left, a column of the right), a `depth` along it, and the four
// values, neighbours in memory, that begin where the two meet: they are ALONG_DEPTH or across the
// lines. Its `Kind` is what its values are.
//
// Panels come to shared memory by turns in one of two places: while a block multiplies one panel,
// the next is on its way to the threads' registers. What the panels are made of and how they are
// multiplied is a `Unit`'s: `Fma` in f32, `Mma` on matrix cores.

// The depth of a part, whole panels of `panel` of it but for the last.
struct Part {
    int begin, end;

    __device__ Part(int depth, int part, int parts, int panel) {
        const int chunk = ((depth + parts - 1) / parts + panel - 1) / panel * panel;
        begin = min(part * chunk, depth);
        end = min(begin + chunk, depth);
    }
};

// The tile of a block, counted in tiles. Blocks that follow one another share what they read along
// the axis that has more tiles, so the other one comes first.
struct Place {
    int row, column;

    __device__ Place(bool columns_first)
        : row(columns_first ? blockIdx.y : blockIdx.x),
          column(columns_first ? blockIdx.x : blockIdx.y) {}
};

// Words of a line of a panel.
constexpr int WORDS = 16;

// A thread's share of a panel of LINES lines of a factor, whose words are VALUES values each. What a
// line or a depth has to work out is worked out once.
template <int LINES, int VALUES, class Factor, bool ALONG_DEPTH = Factor::ALONG_DEPTH> struct Share;

// Of quads along the depth: neighbouring threads read the neighbouring quads of a line.
template <int LINES, int VALUES, class Factor> struct Share<LINES, VALUES, Factor, true> {
    static constexpr int DEPTH = WORDS * VALUES, ACROSS = DEPTH / 4, STEP = THREADS / ACROSS;
    static constexpr int EACH = (LINES + STEP - 1) / STEP;
    typedef typename Kept<typename Factor::Kind>::Values Values;
    const Factor &factor;
    typename Factor::Line lines[EACH];
    Values quads[EACH];

    static __device__ int line(int i) { return threadIdx.x / ACROSS + i * STEP; }
    static __device__ int depth() { return threadIdx.x % ACROSS * 4; }

    __device__ Share(const Factor &factor, int first) : factor(factor) {
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            lines[i] = factor.line(first + line(i));
        }
    }

    template <bool WHOLE> __device__ void fetch(int begin, int end) {
        const int k = begin + depth();
        const auto depth = factor.depth(k);
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            quads[i] = Values{};
            if (k < end) {
                quads[i] = factor.template quad<WHOLE>(lines[i], depth);
            }
        }
    }
};

// Of quads across the lines: four neighbouring threads read 16 lines at one depth.
template <int LINES, int VALUES, class Factor> struct Share<LINES, VALUES, Factor, false> {
    static constexpr int DEPTH = WORDS * VALUES, STEP = THREADS / WORDS * 4;
    static constexpr int EACH = (LINES + STEP - 1) / STEP;
    typedef typename Kept<typename Factor::Kind>::Values Values;
    const Factor &factor;
    typename Factor::Line lines[EACH];
    Values quads[EACH][VALUES];

    static __device__ int line(int i) {
        return threadIdx.x % 4 * 4 + threadIdx.x / (4 * WORDS) * 16 + i * STEP;
    }
    static __device__ int word() { return threadIdx.x / 4 % WORDS; }

    __device__ Share(const Factor &factor, int first) : factor(factor) {
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            lines[i] = factor.line(first + line(i));
        }
    }

    template <bool WHOLE> __device__ void fetch(int begin, int end) {
#pragma unroll
        for (int v = 0; v < VALUES; ++v) {
            const int k = begin + word() * VALUES + v;
            const auto depth = factor.depth(k);
#pragma unroll
            for (int i = 0; i < EACH; ++i) {
                quads[i][v] = Values{};
                if (k < end) {
                    quads[i][v] = factor.template quad<WHOLE>(lines[i], depth);
                }
            }
        }
    }
};

// Quads are whole, or not, in all of a factor.
template <class Share> __device__ inline void fetch(Share &share, int begin, int end) {
    if (share.factor.is_whole()) {
        share.template fetch<true>(begin, end);
    } else {
        share.template fetch<false>(begin, end);
    }
}

// What becomes of a row's results, two of which are neighbours each; those whose place is −1 are none.
// `pairs` can be written at once. They are written down, or added to what is there: as f32 where they are
// `exact`, else as `Value`s.
struct Written {
    static constexpr bool MOVES = false;
    bool pairs, exact;
    int add;
    void *first;

    // The row begins at the value `row`.
    template <int COUNT>
    __device__ void put(long long row, const int (&places)[COUNT],
                        const float (&values)[COUNT]) const {
        if (exact) {
            put_as((float *)first + row, places, values);
        } else {
            put_as((Value *)first + row, places, values);
        }
    }

private:
    template <int COUNT, class Of>
    __device__ void put_as(Of *row, const int (&places)[COUNT],
                           const float (&values)[COUNT]) const {
#pragma unroll
        for (int i = 0; i < COUNT; i += 2) {
            if (pairs && places[i] >= 0) {
                Of *const to = row + places[i];
                const Two before = add ? two_at(to) : Two{};
                put_two({before.first + values[i], before.second + values[i + 1]}, to);
            } else if (!pairs) {
#pragma unroll
                for (int one = i; one < i + 2; ++one) {
                    if (places[one] >= 0) {
                        Of *const to = row + places[one];
                        ::put((add ? widened(*to) : 0.0f) + values[one], to);
                    }
                }
            }
        }
    }
};

// They are gradients by which Adam moves what is there, and go nowhere else. `quads` can be moved at once.
struct Moving {
    static constexpr bool MOVES = true;
    bool quads;
    // The first value, and its moments.
    float *values, *mean, *square;
    Adam adam;

    // Four of a row, from `place` on. They are not wanted again in this step, so that they need not stay
    // in the caches.
    __device__ void move(long long place, const float *gradients) const {
        float4 *const from[3] = {(float4 *)(values + place), (float4 *)(mean + place),
                                 (float4 *)(square + place)};
        float4 w = __ldcs(from[0]), m = __ldcs(from[1]), v = __ldcs(from[2]);
        adam.move(w.x, gradients[0], m.x, v.x);
        adam.move(w.y, gradients[1], m.y, v.y);
        adam.move(w.z, gradients[2], m.z, v.z);
        adam.move(w.w, gradients[3], m.w, v.w);
        __stcs(from[0], w);
        __stcs(from[1], m);
        __stcs(from[2], v);
    }
    __device__ void move_one(long long place, float gradient) const {
        adam.move(values[place], gradient, mean[place], square[place]);
    }
};

// Ends a tile: writes its results, and the moments of its columns where they are asked for, summed
// about the first row, so that nothing is lost where a mean is far from zero. A thread has results
// in HELD rows and OWN columns, two of which are neighbours each; GROUPS threads share the results
// of a column. `scratch` holds (2 · GROUPS + 1) · COLUMNS values.
template <int ROWS, int COLUMNS, class Results, class Out>
__device__ void finish_tile(const Results &results, const Out &out, Place place, int rows,
                            int columns, float *scratch) {
    const int top = place.row * ROWS, left = place.column * COLUMNS;
    // Where the columns lie in a row.
    int places[Results::OWN];
#pragma unroll
    for (int own = 0; own < Results::OWN; ++own) {
        const int column = left + results.column_of(own);
        places[own] = column < columns ? out.place(column) : -1;
    }
#pragma unroll
    for (int held = 0; held < Results::HELD; ++held) {
        const int row = top + results.row_of(held);
        if (row >= rows) {
            continue;
        }
        float values[Results::OWN];
#pragma unroll
        for (int own = 0; own < Results::OWN; ++own) {
            values[own] = results.value(held, own);
        }
        out.put(out.row(row), places, values);
    }
    if (!out.moments) {
        return;
    }
    const int count = min(ROWS, rows - top);
    float *centres = scratch + 2 * Results::GROUPS * COLUMNS;
    if (results.row_of(0) == 0) {
#pragma unroll
        for (int own = 0; own < Results::OWN; ++own) {
            centres[results.column_of(own)] = results.value(0, own);
        }
    }
    __syncthreads();
#pragma unroll
    for (int own = 0; own < Results::OWN; ++own) {
        const int column = results.column_of(own);
        const float centre = centres[column];
        float sum = 0.0f, square = 0.0f;
#pragma unroll
        for (int held = 0; held < Results::HELD; ++held) {
            const float deviation =
                results.row_of(held) < count ? results.value(held, own) - centre : 0.0f;
            sum += deviation;
            square += deviation * deviation;
        }
        scratch[results.group() * COLUMNS + column] = sum;
        scratch[(Results::GROUPS + results.group()) * COLUMNS + column] = square;
    }
    __syncthreads();
    for (int column = threadIdx.x; column < min(COLUMNS, columns - left); column += THREADS) {
        out.moments[left + column] =
            moments_about(centres[column], count,
                          sum_of_groups(scratch, Results::GROUPS, COLUMNS, column));
    }
}

// From one row of a tile of gradients in shared memory to the next: eight more than it has, so that
// neighbours are in different banks.
template <int COLUMNS> constexpr int GRADIENT_PITCH = COLUMNS + 8;

// Ends a tile by moving what its results are gradients of. They go by way of `scratch`, so that values
// and their moments are read and written by whole rows.
template <int ROWS, int COLUMNS, class Results, class Out>
__device__ void move_tile(const Results &results, const Out &out, Place place, int rows, int columns,
                          float *scratch) {
    constexpr int PITCH = GRADIENT_PITCH<COLUMNS>, ACROSS = COLUMNS / 4;
#pragma unroll
    for (int held = 0; held < Results::HELD; ++held) {
#pragma unroll
        for (int own = 0; own < Results::OWN; own += 2) {
            float *const to = scratch + results.row_of(held) * PITCH + results.column_of(own);
            *(float2 *)to = {results.value(held, own), results.value(held, own + 1)};
        }
    }
    __syncthreads();
#pragma unroll 2
    for (int i = threadIdx.x; i < ROWS * ACROSS; i += THREADS) {
        const int row = i / ACROSS, column = i % ACROSS * 4;
        const int first = place.column * COLUMNS + column;
        if (place.row * ROWS + row >= rows || first >= columns) {
            continue;
        }
        const float *const gradients = scratch + row * PITCH + column;
        const long long start = out.row(place.row * ROWS + row);
        if (out.quads) {
            out.move(start + out.place(first), gradients);
            continue;
        }
        for (int one = 0; one < min(4, columns - first); ++one) {
            const int to = out.place(first + one);
            if (to >= 0) {
                out.move_one(start + to, gradients[one]);
            }
        }
    }
}

template <class Unit, int ROWS, int COLUMNS, class Left, class Right, class Out>
__device__ void tile(const Left &left, const Right &right, const Out &out, Place place, int rows,
                     int columns, int depth, int part, int parts) {
    typedef typename Unit::template Panel<ROWS, Left> Lefts;
    typedef typename Unit::template Panel<COLUMNS, Right> Rights;
    typedef typename Unit::template Results<ROWS, COLUMNS> Results;
    constexpr int SIZE = Lefts::SIZE + Rights::SIZE, DEPTH = WORDS * Unit::VALUES;
    constexpr int GRADIENTS = Out::MOVES ? ROWS * GRADIENT_PITCH<COLUMNS> : 0;
    // The words of the left's panel, then those of the right's, twice; gradients in their place.
    __shared__ uint4 panels[(2 * SIZE > GRADIENTS ? 2 * SIZE : GRADIENTS) / 4];
    unsigned *const places = (unsigned *)panels;
    Results results;
    Share<ROWS, Unit::VALUES, Left> lefts(left, place.row * ROWS);
    Share<COLUMNS, Unit::VALUES, Right> rights(right, place.column * COLUMNS);
    const Part stretch(depth, part, parts, DEPTH);
    const auto fetch_both = [&](int k) {
        fetch(lefts, k, stretch.end);
        fetch(rights, k, stretch.end);
    };
    const auto store = [&](unsigned *to) {
        Lefts::put(lefts, to);
        Rights::put(rights, to + Lefts::SIZE);
    };
    fetch_both(stretch.begin);
    store(places);
    __syncthreads();
    int turn = 0;
    for (int k = stretch.begin; k < stretch.end; k += DEPTH) {
        const bool more = k + DEPTH < stretch.end;
        if (more) {
            fetch_both(k + DEPTH);
        }
        const unsigned *panel = places + turn * SIZE;
        results.template multiply<Lefts, Rights>(panel, panel + Lefts::SIZE);
        turn = 1 - turn;
        if (more) {
            store(places + turn * SIZE);
        }
        __syncthreads();
    }
    // The panels are done with.
    if constexpr (Out::MOVES) {
        move_tile<ROWS, COLUMNS>(results, out, place, rows, columns, (float *)panels);
    } else {
        static_assert((2 * Results::GROUPS + 1) * COLUMNS <= 2 * SIZE, "the panels have room for it");
        finish_tile<ROWS, COLUMNS>(results, out, place, rows, columns, (float *)panels);
    }
}

// In f32, on the cores that do all else.
struct Fma {
    static constexpr int VALUES = 1;
    // Columns that a thread computes.
    static constexpr int SIDE = 4;

    // The values of all lines at one depth, then those at the next. Four more keep neighbours in
    // different banks.
    template <int LINES, class Factor> struct Panel {
        static constexpr int PITCH = LINES + 4, SIZE = WORDS * PITCH;

        static __device__ void put(const Share<LINES, VALUES, Factor, true> &share, unsigned *to) {
#pragma unroll
            for (int i = 0; i < share.EACH; ++i) {
                if (share.line(i) < LINES) {
#pragma unroll
                    for (int v = 0; v < 4; ++v) {
                        to[(share.depth() + v) * PITCH + share.line(i)] =
                            __float_as_uint(share.quads[i].values[v]);
                    }
                }
            }
        }
        static __device__ void put(const Share<LINES, VALUES, Factor, false> &share,
                                   unsigned *to) {
#pragma unroll
            for (int i = 0; i < share.EACH; ++i) {
                if (share.line(i) < LINES) {
                    const float *quad = share.quads[i][0].values;
                    *(uint4 *)(to + share.word() * PITCH + share.line(i)) = {
                        __float_as_uint(quad[0]), __float_as_uint(quad[1]),
                        __float_as_uint(quad[2]), __float_as_uint(quad[3])};
                }
            }
        }
        // The value of a line at a depth.
        static __device__ float value(const unsigned *panel, int line, int depth) {
            return __uint_as_float(panel[depth * PITCH + line]);
        }
    };

    // Those of a thread: HEIGHT × SIDE from `row` and `column` on.
    template <int ROWS, int COLUMNS> struct Results {
        static constexpr int HEIGHT = ROWS * COLUMNS / (SIDE * THREADS);
        static constexpr int HELD = HEIGHT, OWN = SIDE;
        static constexpr int ACROSS = COLUMNS / SIDE, GROUPS = THREADS / ACROSS;
        static_assert(HEIGHT * SIDE * THREADS == ROWS * COLUMNS, "every thread has as many");
        const int row = threadIdx.x / ACROSS * HEIGHT, column = threadIdx.x % ACROSS * SIDE;
        float sums[HEIGHT][SIDE] = {};

        __device__ int group() const { return threadIdx.x / ACROSS; }
        __device__ int row_of(int held) const { return row + held; }
        __device__ int column_of(int own) const { return column + own; }
        __device__ float value(int held, int own) const { return sums[held][own]; }

        template <class Lefts, class Rights>
        __device__ void multiply(const unsigned *lefts, const unsigned *rights) {
#pragma unroll
            for (int depth = 0; depth < WORDS; ++depth) {
                float a[HEIGHT], b[SIDE];
#pragma unroll
                for (int i = 0; i < HEIGHT; ++i) {
                    a[i] = Lefts::value(lefts, row + i, depth);
                }
#pragma unroll
                for (int j = 0; j < SIDE; ++j) {
                    b[j] = Rights::value(rights, column + j, depth);
                }
#pragma unroll
                for (int i = 0; i < HEIGHT; ++i) {
#pragma unroll
                    for (int j = 0; j < SIDE; ++j) {
                        sums[i][j] += a[i] * b[j];
                    }
                }
            }
        }
    };
};
