// Convolutions of few channels on matrix cores, without a detour by lines and depths: a block walks
// over tiles of ROWS × COLUMNS outputs, and keeps what their windows see, the patch, in shared memory
// as bf16. Each value of the patch is brought once and used by all windows that see it. All
// products of `maps.cu` are of this kind:
//
//   gather   outputs are the grid's; a walk
//   scatter  outputs are the pixels of one phase, a walk each; windows see the grid, one beside the
//            other, and weights are read backwards
//   weigh    a walk like gather's, over products of the patch with the grid's values
//
// A pixel of the patch takes `pitch` words, so that those which a warp reads at a time lie in
// different banks; words beyond its channels are zero. A window's taps are read in steps of 16
// values: a tap of up to 16 channels, half a tap of up to 32, or four taps of up to 4, of which those
// beyond the window meet weights of zero.

// Warps of a block, and outputs of a row of theirs.
constexpr int WARPS = THREADS / 32, STRIP = 16;

// Words of shared memory: patch, and weights or the grid's values; and the centres of channels.
constexpr int ROOM = 12256, MOST_CHANNELS = 32;

// Phases of stride 2.
constexpr int MOST_WALKS = 4;

struct Walk {
    // Outputs of an image.
    int height, width;
    // Rows of taps, taps of a row, and steps that these are read in.
    int taps_down, taps_across, steps;
    // The input's pixel that the first output's window begins with.
    int top, left;
    // The first weight and the first output.
    int weights, out;
    // Outputs of a tile, whole strips in a row.
    int tile_rows, tile_columns;
    // Tiles of an image in a row, and in all.
    Divisor tiles_across, tiles;
    // Pixels of the patch in a row, and in all.
    Divisor patch_width;
    int patch;
};

struct Direct {
    int count;
    int height, width, channels;
    // Values of an image.
    int image;
    int outputs;
    int stride;
    // Words from pixel to pixel of a patch, and from step to step.
    int pitch, step;
    // Quads of an input's pixel, and of an output's.
    Divisor quads, output_quads;
    // From one weight to the next: of outputs, rows, columns and channels.
    int by_output, by_row, by_column, by_channel;
    // From one output to the next: of images, rows and columns.
    int out_image, out_row, out_pixel;
    // Whether quads of the input, and pairs of outputs or quads of the grid's values, lie on a
    // multiple of their size.
    int whole, aligned;
    Walk walks[MOST_WALKS];
};

// Where a tile lies.
struct Tile {
    int image, row, column;

    __device__ Tile(const Walk &walk, int tile) {
        image = walk.tiles.quotient(tile);
        const int place = tile - image * walk.tiles.value;
        row = walk.tiles_across.quotient(place);
        column = (place - row * walk.tiles_across.value) * walk.tile_columns;
        row *= walk.tile_rows;
    }
    __device__ bool has(const Walk &walk, int y, int x) const {
        return row + y < walk.height && column + x < walk.width;
    }
};

// Four values of a pixel, of which it has `left`; 0 beyond. WHOLE ones all lie on a multiple of their
// size.
template <bool WHOLE> __device__ inline Quad quad_of_pixel(const float *from, int left) {
    if constexpr (WHOLE) {
        return whole_quad(from);
    }
    Quad quad = {};
#pragma unroll
    for (int v = 0; v < 4; ++v) {
        if (v < left) {
            quad.values[v] = from[v];
        }
    }
    return quad;
}

__device__ inline void put_quad(const Quad &quad, unsigned *to) {
    *(uint2 *)to = {bf16_pair(quad.values[0], quad.values[1]),
                    bf16_pair(quad.values[2], quad.values[3])};
}

__device__ inline void clear(unsigned *words, int len) {
    for (int i = threadIdx.x; i < len; i += THREADS) {
        words[i] = 0;
    }
}

template <bool WHOLE>
__device__ inline void bring_quads(const Direct &direct, const Walk &walk, const Tile &tile,
                                   const float *input, unsigned *patch) {
    const int top = tile.row * direct.stride + walk.top;
    const int left = tile.column * direct.stride + walk.left;
    const int image = tile.image * direct.image;
    // The thread's next quad lies so many pixels and quads further.
    const int quads = direct.quads.value;
    const int pixels = direct.quads.quotient(THREADS), rest = THREADS - pixels * quads;
    int pixel = direct.quads.quotient(threadIdx.x), quad = threadIdx.x - pixel * quads;
    while (pixel < walk.patch) {
        const int row = walk.patch_width.quotient(pixel);
        const int y = top + row, x = left + pixel - row * walk.patch_width.value;
        Quad values = {};
        if ((unsigned)y < (unsigned)direct.height && (unsigned)x < (unsigned)direct.width) {
            const int place = image + (y * direct.width + x) * direct.channels + 4 * quad;
            values = quad_of_pixel<WHOLE>(settled(input + place), direct.channels - 4 * quad);
        }
        put_quad(values, patch + pixel * direct.pitch + 2 * quad);
        pixel += pixels;
        quad += rest;
        if (quad >= quads) {
            quad -= quads;
            ++pixel;
        }
    }
}

// Brings a tile's patch.
__device__ inline void bring_patch(const Direct &direct, const Walk &walk, const Tile &tile,
                                   const float *input, unsigned *patch) {
    if (direct.whole) {
        bring_quads<true>(direct, walk, tile, input, patch);
    } else {
        bring_quads<false>(direct, walk, tile, input, patch);
    }
}

// How a convolution's weights lie in shared memory: for each step, CHUNK of 16 values and row of
// taps the words that a warp reads together, those of a thread side by side. WIDE groups of eight
// outputs are read at once.
template <int OUTPUTS> struct Packed {
    static constexpr int ACROSS = OUTPUTS / 8, WIDE = ACROSS < 2 ? ACROSS : 2;
    // Words of a row of taps.
    static constexpr int ROW = 64 * ACROSS;
};

// CHUNKS: 16 channels of a tap each. A step without chunks of its own is of four taps.
template <int CHUNKS, int OUTPUTS>
__device__ void bring_weights(const Direct &direct, const Walk &walk, const float *weights,
                              unsigned *to) {
    constexpr int ACROSS = Packed<OUTPUTS>::ACROSS, WIDE = Packed<OUTPUTS>::WIDE;
    const int count = walk.steps * CHUNKS * walk.taps_down * Packed<OUTPUTS>::ROW;
    for (int i = threadIdx.x; i < count; i += THREADS) {
        const int lane = i / (2 * WIDE) % 32, word = lane % 4 + i % 2 * 4;
        const int group = i / (64 * WIDE) % (ACROSS / WIDE) * WIDE + i / 2 % WIDE;
        const int output = 8 * group + lane / 4, place = i / Packed<OUTPUTS>::ROW;
        const int step = place / walk.taps_down, row = place % walk.taps_down;
        float pair[2];
        for (int v = 0; v < 2; ++v) {
            const int value = 2 * word + v;
            const bool several = direct.channels <= 4;
            const int column = several ? step * 4 + value / 4 : step / CHUNKS;
            const int channel = several ? value % 4 : step % CHUNKS * 16 + value;
            const bool inside = column < walk.taps_across && channel < direct.channels &&
                                output < direct.outputs;
            pair[v] = inside ? weights[walk.weights + output * direct.by_output +
                                       row * direct.by_row + column * direct.by_column +
                                       channel * direct.by_channel]
                             : 0.0f;
        }
        to[i] = bf16_pair(pair[0], pair[1]);
    }
}

// What a warp multiplies, in shared memory: where the first pixel of the thread begins, and how far
// its other one, the patch's next row and the next step are; where the thread's weights begin.
struct Strips {
    const unsigned *seen;
    int further, row, step;
    const unsigned *weights;
};

// Adds what windows of TAPS rows make of ROWS strips below one another. A row of the patch is read
// once for all of them.
template <int CHUNKS, int OUTPUTS, int ROWS, int STRIDE, int TAPS>
__device__ inline void multiply_rows(float (&sums)[ROWS][OUTPUTS / 8][4], Strips strips, int steps) {
    constexpr int ACROSS = Packed<OUTPUTS>::ACROSS, WIDE = Packed<OUTPUTS>::WIDE;
#pragma unroll 1
    for (int i = 0; i < steps; ++i) {
#pragma unroll
        for (int chunk = 0; chunk < CHUNKS; ++chunk) {
            unsigned right[TAPS][ACROSS][2];
#pragma unroll
            for (int tap = 0; tap < TAPS; ++tap) {
#pragma unroll
                for (int j = 0; j < ACROSS; j += WIDE) {
                    const unsigned *words = strips.weights + 64 * j;
                    if constexpr (WIDE == 2) {
                        const uint4 both = *(const uint4 *)words;
                        right[tap][j][0] = both.x;
                        right[tap][j][1] = both.y;
                        right[tap][j + 1][0] = both.z;
                        right[tap][j + 1][1] = both.w;
                    } else {
                        const uint2 one = *(const uint2 *)words;
                        right[tap][j][0] = one.x;
                        right[tap][j][1] = one.y;
                    }
                }
                strips.weights += Packed<OUTPUTS>::ROW;
            }
            const unsigned *row = strips.seen + 8 * chunk;
#pragma unroll
            for (int y = 0; y < (ROWS - 1) * STRIDE + TAPS; ++y) {
                const unsigned left[4] = {row[0], row[strips.further], row[4],
                                          row[strips.further + 4]};
                row += strips.row;
#pragma unroll
                for (int output = 0; output < ROWS; ++output) {
                    const int tap = y - output * STRIDE;
                    if (tap < 0 || tap >= TAPS) {
                        continue;
                    }
#pragma unroll
                    for (int j = 0; j < ACROSS; ++j) {
                        mma_bf16(sums[output][j], left, right[tap][j]);
                    }
                }
            }
        }
        strips.seen += strips.step;
    }
}

// The rows of taps are known when this is compiled; host code sees to it that there are no more.
template <int CHUNKS, int OUTPUTS, int ROWS, int STRIDE>
__device__ inline void multiply(float (&sums)[ROWS][OUTPUTS / 8][4], const Strips &strips,
                                const Walk &walk) {
    switch (walk.taps_down) {
    case 1:
        return multiply_rows<CHUNKS, OUTPUTS, ROWS, STRIDE, 1>(sums, strips, walk.steps);
    case 2:
        return multiply_rows<CHUNKS, OUTPUTS, ROWS, STRIDE, 2>(sums, strips, walk.steps);
    case 3:
        return multiply_rows<CHUNKS, OUTPUTS, ROWS, STRIDE, 3>(sums, strips, walk.steps);
    case 4:
        return multiply_rows<CHUNKS, OUTPUTS, ROWS, STRIDE, 4>(sums, strips, walk.steps);
    case 5:
        return multiply_rows<CHUNKS, OUTPUTS, ROWS, STRIDE, 5>(sums, strips, walk.steps);
    }
}

// Sums over outputs of a thread's channels: of what they are from the centres, and of its squares.
template <int ACROSS> struct Deviations {
    float plain[2 * ACROSS] = {}, squares[2 * ACROSS] = {};

    // Takes in a pixel's outputs: one half of a strip's sums. `centres` are the thread's.
    __device__ void take(const float (&sums)[ACROSS][4], int half, const float *centres) {
#pragma unroll
        for (int own = 0; own < 2 * ACROSS; ++own) {
            const int j = own / 2, v = own % 2;
            const float deviation = sums[j][2 * half + v] - centres[8 * j + v];
            plain[own] += deviation;
            squares[own] += deviation * deviation;
        }
    }
    __device__ void take(const Deviations &other) {
#pragma unroll
        for (int own = 0; own < 2 * ACROSS; ++own) {
            plain[own] += other.plain[own];
            squares[own] += other.squares[own];
        }
    }
};

// Writes a pixel's outputs, or adds them to what is there; the thread's channels begin with `place`.
template <int ACROSS>
__device__ inline void put_outputs(const Direct &direct, const float (&sums)[ACROSS][4], int half,
                                   int place, int add, float *to) {
#pragma unroll
    for (int j = 0; j < ACROSS; ++j) {
        const int output = 8 * j + place;
        if (output >= direct.outputs) {
            continue;
        }
        float first = sums[j][2 * half], second = sums[j][2 * half + 1];
        const bool two = output + 1 < direct.outputs;
        if (add) {
            first += to[output];
            second += two ? to[output + 1] : 0.0f;
        }
        if (direct.aligned) {
            *(float2 *)(to + output) = {first, second};
        } else {
            to[output] = first;
            if (two) {
                to[output + 1] = second;
            }
        }
    }
}

// A warp has ROWS strips, one below the other; four only where the stride is 1.
template <int CHUNKS, int OUTPUTS, int ROWS>
__device__ void direct_outputs(const Direct &direct, const float *input, const float *weights,
                               float *out, int add, Moments *moments) {
    __shared__ uint4 memory[ROOM / 4];
    __shared__ float centres[MOST_CHANNELS];
    constexpr int ACROSS = Packed<OUTPUTS>::ACROSS;
    const Walk &walk = direct.walks[blockIdx.y];
    const int lane = threadIdx.x % 32, line = lane / 4, place = lane % 4;
    float *const own_centres = centres + 2 * place;
    const int strips_across = walk.tile_columns / STRIP, warp = threadIdx.x / 32;
    // Where the warp's outputs begin in the tile; a thread has the pixels `line` and `line + 8` of a
    // strip.
    const int top = warp / strips_across * ROWS, left = warp % strips_across * STRIP + line;
    unsigned *const packed = (unsigned *)memory;
    unsigned *const patch = packed + walk.taps_down * walk.steps * CHUNKS * Packed<OUTPUTS>::ROW;
    const int patch_row = walk.patch_width.value * direct.pitch;
    const Strips strips = {
        patch + (top * patch_row + left * direct.pitch) * direct.stride + place,
        8 * direct.stride * direct.pitch, patch_row, direct.step,
        packed + lane * 2 * Packed<OUTPUTS>::WIDE};
    bring_weights<CHUNKS, OUTPUTS>(direct, walk, weights, packed);
    clear(patch, walk.patch * direct.pitch);
    __syncthreads();
    Deviations<ACROSS> deviations;
    int known = 0;
    for (int number = blockIdx.x; number < direct.count * walk.tiles.value; number += gridDim.x) {
        const Tile tile(walk, number);
        bring_patch(direct, walk, tile, input, patch);
        __syncthreads();
        float sums[ROWS][ACROSS][4] = {};
        // A strip alone does not know how far another would be.
        if (ROWS == 2 && direct.stride == 2) {
            multiply<CHUNKS, OUTPUTS, ROWS, ROWS == 2 ? 2 : 1>(sums, strips, walk);
        } else {
            multiply<CHUNKS, OUTPUTS, ROWS, 1>(sums, strips, walk);
        }
        if (moments && known == 0 && warp == 0 && line == 0) {
#pragma unroll
            for (int own = 0; own < 2 * ACROSS; ++own) {
                own_centres[own / 2 * 8 + own % 2] = sums[0][own / 2][own % 2];
            }
        }
        // The patch has been read, and the centres are there.
        __syncthreads();
        known += min(walk.tile_rows, walk.height - tile.row) *
                 min(walk.tile_columns, walk.width - tile.column);
        const int first = tile.image * direct.out_image + walk.out +
                          (tile.row + top) * direct.out_row +
                          (tile.column + left) * direct.out_pixel;
        Deviations<ACROSS> found;
#pragma unroll
        for (int own = 0; own < 2 * ROWS; ++own) {
            const int row = own / 2, half = own % 2;
            if (!tile.has(walk, top + row, left + 8 * half)) {
                continue;
            }
            if (moments) {
                found.take(sums[row], half, own_centres);
            }
            put_outputs(direct, sums[row], half, 2 * place, add,
                        out + (first + row * direct.out_row + 8 * half * direct.out_pixel));
        }
        deviations.take(found);
    }
    if (!moments) {
        return;
    }
    // Each warp's 8 lines share the outputs of a place.
    constexpr int GROUPS = THREADS / 4;
    float *const scratch = (float *)memory;
    const int group = threadIdx.x / 4;
    __syncthreads();
#pragma unroll
    for (int own = 0; own < 2 * ACROSS; ++own) {
        const int output = own / 2 * 8 + 2 * place + own % 2;
        scratch[group * OUTPUTS + output] = deviations.plain[own];
        scratch[(GROUPS + group) * OUTPUTS + output] = deviations.squares[own];
    }
    __syncthreads();
    moments += (blockIdx.y * gridDim.x + blockIdx.x) * direct.outputs;
    for (int output = threadIdx.x; output < direct.outputs; output += THREADS) {
        moments[output] =
            known == 0 ? Moments{}
                       : moments_about(centres[output], known,
                                       sum_of_groups(scratch, GROUPS, OUTPUTS, output));
    }
}

// Taps of a warp at most, so 32 in all; and outputs of a tile.
constexpr int TAPS = 4, TILE_ROWS = 8, TILE_COLUMNS = STRIP;

// A part of the weights' sums: SIXTEENS of the grid's channels are rows, EIGHTS of the plane's are
// columns.
template <int SIXTEENS, int EIGHTS>
__device__ void direct_weights(const Direct &direct, const float *plane, const float *grid,
                               float *parts) {
    __shared__ uint4 memory[ROOM / 4];
    constexpr int PITCH = 8 * SIXTEENS + 4;
    const Walk &walk = direct.walks[0];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int line = lane / 4, place = lane % 4;
    unsigned *const values = (unsigned *)memory;
    unsigned *const patch = values + TILE_ROWS * TILE_COLUMNS * PITCH;
    const int taps = walk.taps_down * walk.taps_across;
    clear(values, TILE_ROWS * TILE_COLUMNS * PITCH + walk.patch * direct.pitch);
    __syncthreads();
    // A lane points to a row of one of the four matrices that a warp reads together: of the grid
    // 8 pixels × 8 channels, then the next channels, then the next pixels; of the patch the next
    // pixels, then the next channels.
    const unsigned *const mine =
        values + (lane / 16 * 8 + lane % 8) * PITCH + lane / 8 % 2 * 4;
    const unsigned *const seen =
        patch + (lane / 8 % 2 * 8 + lane % 8) * direct.stride * direct.pitch +
        (EIGHTS == 1 ? 0 : lane / 16 * 4);
    const int patch_row = walk.patch_width.value * direct.pitch;
    int offsets[TAPS];
#pragma unroll
    for (int i = 0; i < TAPS; ++i) {
        const int tap = min(warp + i * WARPS, taps - 1);
        offsets[i] = tap / walk.taps_across * patch_row + tap % walk.taps_across * direct.pitch;
    }
    float sums[TAPS][SIXTEENS][EIGHTS][4] = {};
    const int quads = direct.output_quads.value;
    for (int number = blockIdx.x; number < direct.count * walk.tiles.value; number += gridDim.x) {
        const Tile tile(walk, number);
        bring_patch(direct, walk, tile, plane, patch);
        for (int i = threadIdx.x; i < TILE_ROWS * TILE_COLUMNS * quads; i += THREADS) {
            const int pixel = direct.output_quads.quotient(i), quad = i - pixel * quads;
            const int y = pixel / TILE_COLUMNS, x = pixel % TILE_COLUMNS;
            Quad found = {};
            if (tile.has(walk, y, x)) {
                const float *from = grid + (tile.image * direct.out_image +
                                            (tile.row + y) * direct.out_row +
                                            (tile.column + x) * direct.out_pixel + 4 * quad);
                found = direct.aligned ? quad_of_pixel<true>(from, 4)
                                       : quad_of_pixel<false>(from, direct.outputs - 4 * quad);
            }
            put_quad(found, values + pixel * PITCH + 2 * quad);
        }
        __syncthreads();
        for (int y = 0; y < TILE_ROWS; ++y) {
            unsigned left[SIXTEENS][4];
#pragma unroll
            for (int i = 0; i < SIXTEENS; ++i) {
                turned_matrices(left[i], mine + y * TILE_COLUMNS * PITCH + 8 * i);
            }
            const unsigned *row = seen + y * direct.stride * patch_row;
#pragma unroll
            for (int tap = 0; tap < TAPS; ++tap) {
                // Warps without a tap of their own go through the last one, and drop it.
                if (tap * WARPS >= taps) {
                    break;
                }
                unsigned right[2 * EIGHTS];
                turned_matrices(right, row + offsets[tap]);
#pragma unroll
                for (int i = 0; i < SIXTEENS; ++i) {
#pragma unroll
                    for (int j = 0; j < EIGHTS; ++j) {
                        const unsigned factor[2] = {right[2 * j], right[2 * j + 1]};
                        mma_bf16(sums[tap][i][j], left[i], factor);
                    }
                }
            }
        }
        __syncthreads();
    }
    float *const out = parts + (long long)blockIdx.x * direct.outputs * taps * direct.channels;
#pragma unroll
    for (int tap = 0; tap < TAPS; ++tap) {
        const int number = warp + tap * WARPS;
#pragma unroll
        for (int i = 0; i < SIXTEENS; ++i) {
#pragma unroll
            for (int j = 0; j < EIGHTS; ++j) {
#pragma unroll
                for (int v = 0; v < 4; ++v) {
                    const int output = 16 * i + line + v / 2 * 8;
                    const int channel = 8 * j + 2 * place + v % 2;
                    if (number < taps && output < direct.outputs && channel < direct.channels) {
                        out[(output * taps + number) * direct.channels + channel] =
                            sums[tap][i][j][v];
                    }
                }
            }
        }
    }
}

#define DIRECT_OUTPUTS(chunks, most, rows, blocks)                                                 \
    KERNEL __launch_bounds__(THREADS, blocks) direct_outputs_##chunks##_##most##_##rows(           \
        const __grid_constant__ Direct direct, const float *input, const float *weights,           \
        float *out, int add, Moments *moments) {                                                   \
        direct_outputs<chunks, most, rows>(direct, input, weights, out, add, moments);             \
    }
#define DIRECT_WEIGHTS(sixteens, eights, blocks)                                                   \
    KERNEL __launch_bounds__(THREADS, blocks) direct_weights_##sixteens##_##eights(                \
        const __grid_constant__ Direct direct, const float *plane, const float *grid,              \
        float *parts) {                                                                            \
        direct_weights<sixteens, eights>(direct, plane, grid, parts);                              \
    }

DIRECT_OUTPUTS(1, 8, 1, 4)
DIRECT_OUTPUTS(1, 8, 2, 4)
DIRECT_OUTPUTS(1, 8, 4, 4)
DIRECT_OUTPUTS(1, 16, 1, 4)
DIRECT_OUTPUTS(1, 16, 2, 3)
DIRECT_OUTPUTS(1, 16, 4, 3)
DIRECT_OUTPUTS(1, 32, 1, 3)
DIRECT_OUTPUTS(1, 32, 2, 2)
DIRECT_OUTPUTS(2, 8, 1, 4)
DIRECT_OUTPUTS(2, 8, 2, 4)
DIRECT_OUTPUTS(2, 16, 1, 4)
DIRECT_OUTPUTS(2, 16, 2, 3)
DIRECT_OUTPUTS(2, 32, 1, 3)
DIRECT_OUTPUTS(2, 32, 2, 2)
DIRECT_WEIGHTS(1, 1, 3)
DIRECT_WEIGHTS(1, 2, 3)
DIRECT_WEIGHTS(2, 1, 3)
DIRECT_WEIGHTS(2, 2, 2)
