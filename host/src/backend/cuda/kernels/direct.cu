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

// Outputs of a tile: a row for each warp.
constexpr int TILE_ROWS = THREADS / 32, TILE_COLUMNS = 16;

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
        column = (place - row * walk.tiles_across.value) * TILE_COLUMNS;
        row *= TILE_ROWS;
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

// How a convolution's weights lie in shared memory: for each row of taps, step and CHUNK of 16
// values, 8 words for all outputs. PITCH keeps what a warp reads at a time in different banks.
template <int OUTPUTS> struct Packed {
    static constexpr int PITCH = OUTPUTS == 8 ? 8 : OUTPUTS + 8;
};

// CHUNKS: 16 channels of a tap each. A step without chunks of its own is of four taps.
template <int CHUNKS, int OUTPUTS>
__device__ void bring_weights(const Direct &direct, const Walk &walk, const float *weights,
                              unsigned *to) {
    const int steps = walk.steps * CHUNKS, count = walk.taps_down * steps * 8 * OUTPUTS;
    for (int i = threadIdx.x; i < count; i += THREADS) {
        const int output = i % OUTPUTS, word = i / OUTPUTS % 8, place = i / (8 * OUTPUTS);
        const int row = place / steps, step = place % steps;
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
        to[(place * 8 + word) * Packed<OUTPUTS>::PITCH + output] = bf16_pair(pair[0], pair[1]);
    }
}

// What lies in shared memory of a row of taps: where the thread's first pixel begins, and how far its
// other one and the next step are; where the row's weights begin.
struct Row {
    const unsigned *left;
    int further, step;
    const unsigned *right;
};

// Adds what a row of taps makes of a warp's pixels. STEPS, if there are any, are known when this is
// compiled.
template <int CHUNKS, int OUTPUTS, int STEPS>
__device__ inline void multiply_taps(float (&sums)[OUTPUTS / 8][4], Row row, int steps) {
    constexpr int PITCH = Packed<OUTPUTS>::PITCH;
#pragma unroll
    for (int i = 0; i < (STEPS ? STEPS : steps); ++i) {
#pragma unroll
        for (int chunk = 0; chunk < CHUNKS; ++chunk) {
            const unsigned *words = row.left + 8 * chunk;
            const unsigned factor[4] = {words[0], words[row.further], words[4],
                                        words[row.further + 4]};
#pragma unroll
            for (int j = 0; j < OUTPUTS / 8; ++j) {
                const unsigned other[2] = {row.right[8 * j], row.right[8 * j + 4 * PITCH]};
                mma_bf16(sums[j], factor, other);
            }
            row.right += 8 * PITCH;
        }
        row.left += row.step;
    }
}

template <int CHUNKS, int OUTPUTS>
__device__ void direct_outputs(const Direct &direct, const float *input, const float *weights,
                               float *out, int add, Moments *moments) {
    __shared__ uint4 memory[ROOM / 4];
    __shared__ float centres[MOST_CHANNELS];
    constexpr int ACROSS = OUTPUTS / 8, PITCH = Packed<OUTPUTS>::PITCH;
    const Walk &walk = direct.walks[blockIdx.y];
    const int warp = threadIdx.x / 32, line = threadIdx.x % 32 / 4, place = threadIdx.x % 4;
    unsigned *const packed = (unsigned *)memory;
    unsigned *const patch = packed + walk.taps_down * walk.steps * CHUNKS * 8 * PITCH;
    const int patch_row = walk.patch_width.value * direct.pitch;
    // The warp's row of the tile; a thread has the pixels `line` and `line + 8` of it.
    const unsigned *const seen =
        patch + warp * direct.stride * patch_row + line * direct.stride * direct.pitch + place;
    const int further = 8 * direct.stride * direct.pitch;
    bring_weights<CHUNKS, OUTPUTS>(direct, walk, weights, packed);
    clear(patch, walk.patch * direct.pitch);
    __syncthreads();
    float deviations[2 * ACROSS] = {}, squares[2 * ACROSS] = {};
    int known = 0;
    for (int number = blockIdx.x; number < direct.count * walk.tiles.value; number += gridDim.x) {
        const Tile tile(walk, number);
        bring_patch(direct, walk, tile, input, patch);
        __syncthreads();
        float sums[ACROSS][4] = {};
        for (int number = 0; number < walk.taps_down; ++number) {
            const int weights = number * walk.steps * CHUNKS * 8 + place;
            const Row row = {seen + number * patch_row, further, direct.step,
                             packed + weights * PITCH + line};
            switch (walk.steps) {
            case 2:
                multiply_taps<CHUNKS, OUTPUTS, 2>(sums, row, 2);
                break;
            case 3:
                multiply_taps<CHUNKS, OUTPUTS, 3>(sums, row, 3);
                break;
            case 4:
                multiply_taps<CHUNKS, OUTPUTS, 4>(sums, row, 4);
                break;
            case 5:
                multiply_taps<CHUNKS, OUTPUTS, 5>(sums, row, 5);
                break;
            default:
                multiply_taps<CHUNKS, OUTPUTS, 0>(sums, row, walk.steps);
            }
        }
        if (moments && known == 0) {
            if (warp == 0 && line == 0) {
#pragma unroll
                for (int j = 0; j < ACROSS; ++j) {
                    centres[8 * j + 2 * place] = sums[j][0];
                    centres[8 * j + 2 * place + 1] = sums[j][1];
                }
            }
        }
        // The patch has been read, and the centres are there.
        __syncthreads();
        known += min(TILE_ROWS, walk.height - tile.row) *
                 min(TILE_COLUMNS, walk.width - tile.column);
        const int place_of_line = tile.image * direct.out_image + walk.out +
                                  (tile.row + warp) * direct.out_row +
                                  (tile.column + line) * direct.out_pixel;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            if (!tile.has(walk, warp, line + 8 * half)) {
                continue;
            }
            float *to = out + (place_of_line + 8 * half * direct.out_pixel);
#pragma unroll
            for (int j = 0; j < ACROSS; ++j) {
                const int output = 8 * j + 2 * place;
                float first = sums[j][2 * half], second = sums[j][2 * half + 1];
                if (moments) {
                    const float a = first - centres[output], b = second - centres[output + 1];
                    deviations[2 * j] += a;
                    deviations[2 * j + 1] += b;
                    squares[2 * j] += a * a;
                    squares[2 * j + 1] += b * b;
                }
                if (output >= direct.outputs) {
                    continue;
                }
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
        scratch[group * OUTPUTS + output] = deviations[own];
        scratch[(GROUPS + group) * OUTPUTS + output] = squares[own];
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

// Taps of a warp at most, so 32 in all.
constexpr int TAPS = 4;

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
        const int tap = min(warp + i * TILE_ROWS, taps - 1);
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
                if (tap * TILE_ROWS >= taps) {
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
        const int number = warp + tap * TILE_ROWS;
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

#define DIRECT_OUTPUTS(chunks, most)                                                               \
    KERNEL __launch_bounds__(THREADS, 4) direct_outputs_##chunks##_##most(                         \
        const __grid_constant__ Direct direct, const float *input, const float *weights,           \
        float *out, int add, Moments *moments) {                                                   \
        direct_outputs<chunks, most>(direct, input, weights, out, add, moments);                   \
    }
#define DIRECT_WEIGHTS(sixteens, eights, blocks)                                                   \
    KERNEL __launch_bounds__(THREADS, blocks) direct_weights_##sixteens##_##eights(                \
        const __grid_constant__ Direct direct, const float *plane, const float *grid,              \
        float *parts) {                                                                            \
        direct_weights<sixteens, eights>(direct, plane, grid, parts);                              \
    }

DIRECT_OUTPUTS(1, 8)
DIRECT_OUTPUTS(1, 16)
DIRECT_OUTPUTS(1, 32)
DIRECT_OUTPUTS(2, 8)
DIRECT_OUTPUTS(2, 16)
DIRECT_OUTPUTS(2, 32)
DIRECT_WEIGHTS(1, 1, 3)
DIRECT_WEIGHTS(1, 2, 3)
DIRECT_WEIGHTS(2, 1, 3)
DIRECT_WEIGHTS(2, 2, 2)
