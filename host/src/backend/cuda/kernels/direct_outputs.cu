// Outputs of convolutions of few channels. A window's taps are read in steps of 16 values: a tap of
// 16 channels, half a tap of up to 32, or 16 values of a run of fewer channels, of which those beyond
// the window meet weights of zero.

// How a convolution's weights lie in shared memory: for each step, CHUNK of 16 values and row of
// taps the words that a warp reads together, those of a thread side by side. WIDE groups of eight
// outputs are read at once.
template <int OUTPUTS> struct Packed {
    static constexpr int ACROSS = OUTPUTS / 8, WIDE = ACROSS < 2 ? ACROSS : 2;
    // Words of a row of taps.
    static constexpr int ROW = 64 * ACROSS;
};

// CHUNKS: 16 channels of a tap each.
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
            int column = step / CHUNKS, channel = step % CHUNKS * 16 + 2 * word + v;
            if (direct.copies > 0) {
                const int value = 16 * step + 2 * word + v;
                column = direct.input.channels.quotient(value);
                channel = value - column * direct.channels();
            }
            const bool inside = column < walk.taps_across && channel < direct.channels() &&
                                output < direct.outputs();
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

// Writes a tile's outputs as far as the thread's pixels are `inside`, a bit each: two of a row of a strip
// each. Its channels begin with `place`; PAIRS of them lie on a multiple of their size.
template <bool PAIRS, int ROWS, int ACROSS, class Of>
__device__ inline void put_tile(const Direct &direct, const float (&sums)[ROWS][ACROSS][4],
                                unsigned inside, int place, Of *to) {
    const int outputs = direct.outputs();
#pragma unroll
    for (int own = 0; own < 2 * ROWS; ++own) {
        const int row = own / 2, half = own % 2;
        if (!(inside >> own & 1)) {
            continue;
        }
        Of *const pixel = settled(to + (row * direct.out_row + 8 * half * direct.out_pixel));
#pragma unroll
        for (int j = 0; j < ACROSS; ++j) {
            const int output = 8 * j + place;
            const float first = sums[row][j][2 * half], second = sums[row][j][2 * half + 1];
            if constexpr (PAIRS) {
                if (output < outputs) {
                    put_two({first, second}, pixel + output);
                }
            } else {
                if (output < outputs) {
                    put(first, pixel + output);
                }
                if (output + 1 < outputs) {
                    put(second, pixel + output + 1);
                }
            }
        }
    }
}

// Pixels of fewer than 16 channels lie side by side; those of 16 come by eights.
template <int CHUNKS>
__device__ inline void bring_patch(const Direct &direct, const Field &field, unsigned *patch) {
    if constexpr (CHUNKS > 1) {
        return bring(direct.input, field, direct.pitch, patch);
    } else {
        if (direct.copies == 0) {
            return bring_pieces<Eight>(direct.input, field, direct.pitch, patch);
        }
        const int row = direct.patch_row, copy = direct.patch_rows * row;
        const int channels = direct.channels();
        const bool whole = direct.input.way != SINGLES;
        if (direct.copies == 2) {
            return whole ? bring_rows<true, 2>(field, channels, row, copy, patch)
                         : bring_rows<false, 2>(field, channels, row, copy, patch);
        }
        return whole ? bring_rows<true, 1>(field, channels, row, copy, patch)
                     : bring_rows<false, 1>(field, channels, row, copy, patch);
    }
}

// A warp has ROWS strips, one below the other; four only where the stride is 1.
template <int CHUNKS, int OUTPUTS, int ROWS>
__device__ void direct_outputs(const Direct &direct, const Value *input, const float *weights,
                               void *out, Moments *moments) {
    __shared__ uint4 memory[ROOM / 4];
    __shared__ float centres[MOST_CHANNELS];
    constexpr int ACROSS = Packed<OUTPUTS>::ACROSS;
    const int lane = threadIdx.x % 32, line = lane / 4, place = lane % 4;
    float *const own_centres = centres + 2 * place;
    const int strips_across = direct.tile_columns / STRIP, warp = threadIdx.x / 32;
    // Where the warp's outputs begin in the tile; a thread has the pixels `line` and `line + 8` of a
    // strip.
    const int top = warp / strips_across * ROWS, left = warp % strips_across * STRIP + line;
    unsigned *const packed = (unsigned *)memory, *const patch = packed + direct.packed;
    const int patch_len = direct.patch_rows * direct.patch_row;
    for (int i = 0; i < direct.walk_count; ++i) {
        const Walk &walk = direct.walks[i];
        bring_weights<CHUNKS, OUTPUTS>(direct, walk, weights, packed + walk.packed);
    }
    clear(patch, max(direct.copies, 1) * patch_len);
    __syncthreads();
    Deviations<ACROSS> deviations;
    int known = 0;
    for (int number = blockIdx.x; number < direct.count * direct.tiles.value; number += gridDim.x) {
        const Tile tile(direct, number);
        bring_patch<CHUNKS>(direct, seen_by(direct, tile, input), patch);
        __syncthreads();
#pragma unroll 1
        for (int i = 0; i < direct.walk_count; ++i) {
            const Walk &walk = direct.walks[i];
            const int pixel = left * direct.stride + walk.across;
            // Where a row's pixel begins, in words, and how far the one eight further on is.
            int begin = pixel * direct.pitch, further = 8 * direct.stride * direct.pitch;
            if (direct.copies > 0) {
                const int value = pixel * direct.channels(), odd = value % 2;
                begin = (value + odd) / 2 + odd * patch_len;
                further = 4 * direct.stride * direct.channels();
            }
            begin += (top * direct.stride + walk.down) * direct.patch_row + place;
            const Strips strips = {patch + begin, further, direct.patch_row, direct.step,
                                   packed + walk.packed + lane * 2 * Packed<OUTPUTS>::WIDE};
            float sums[ROWS][ACROSS][4] = {};
            // A strip alone does not know how far another would be.
            if (ROWS == 2 && direct.stride == 2) {
                multiply<CHUNKS, OUTPUTS, ROWS, ROWS == 2 ? 2 : 1>(sums, strips, walk);
            } else {
                multiply<CHUNKS, OUTPUTS, ROWS, 1>(sums, strips, walk);
            }
            const bool first_known = moments && known == 0;
            if (first_known && warp == 0 && line == 0) {
#pragma unroll
                for (int own = 0; own < 2 * ACROSS; ++own) {
                    own_centres[own / 2 * 8 + own % 2] = sums[0][own / 2][own % 2];
                }
            }
            // The patch has been read, and the centres are there.
            if (first_known || i + 1 == direct.walk_count) {
                __syncthreads();
            }
            known += max(min(direct.tile_rows, walk.height - tile.row), 0) *
                     max(min(direct.tile_columns, walk.width - tile.column), 0);
            const int first = tile.image * direct.out_image + walk.out +
                              (tile.row + top) * direct.out_row +
                              (tile.column + left) * direct.out_pixel;
            unsigned inside = 0;
#pragma unroll
            for (int own = 0; own < 2 * ROWS; ++own) {
                inside |= (unsigned)tile.has(walk, top + own / 2, left + 8 * (own % 2)) << own;
            }
            if (moments) {
                Deviations<ACROSS> found;
#pragma unroll
                for (int own = 0; own < 2 * ROWS; ++own) {
                    if (inside >> own & 1) {
                        found.take(sums[own / 2], own % 2, own_centres);
                    }
                }
                deviations.take(found);
            }
            if (direct.exact) {
                float *const to = (float *)out + first;
                direct.pairs ? put_tile<true>(direct, sums, inside, 2 * place, to)
                             : put_tile<false>(direct, sums, inside, 2 * place, to);
            } else {
                Value *const to = (Value *)out + first;
                direct.pairs ? put_tile<true>(direct, sums, inside, 2 * place, to)
                             : put_tile<false>(direct, sums, inside, 2 * place, to);
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
        scratch[group * OUTPUTS + output] = deviations.plain[own];
        scratch[(GROUPS + group) * OUTPUTS + output] = deviations.squares[own];
    }
    __syncthreads();
    moments += blockIdx.x * direct.outputs();
    for (int output = threadIdx.x; output < direct.outputs(); output += THREADS) {
        moments[output] =
            known == 0 ? Moments{}
                       : moments_about(centres[output], known,
                                       sum_of_groups(scratch, GROUPS, OUTPUTS, output));
    }
}

#define DIRECT_OUTPUTS(chunks, most, rows, blocks)                                                 \
    KERNEL __launch_bounds__(THREADS, blocks) direct_outputs_##chunks##_##most##_##rows(           \
        const __grid_constant__ Direct direct, const Value *input, const float *weights,           \
        void *out, Moments *moments) {                                                             \
        direct_outputs<chunks, most, rows>(direct, input, weights, out, moments);                  \
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
