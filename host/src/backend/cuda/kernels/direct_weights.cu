// The weights' gradient of convolutions of few channels: of the grid's values and what windows see, in
// parts that `sum_parts` adds. A warp takes a column of taps: what it reads of a row of the patch
// meets the grid's rows whose windows see it.

// Outputs of a tile; rows of taps, and taps of a row, at most.
constexpr int TILE_ROWS = 8, MOST_TAPS = 5;

// Words of a pixel of the grid, of SIXTEENS channels.
template <int SIXTEENS> struct GridPitch {
    static constexpr int WORDS = 8 * SIXTEENS + 4;
};

// Where a lane's rows of matrices lie in shared memory.
struct Matrices {
    // Of the grid's values, and of the patch.
    const unsigned *values, *patch;
    // From one row of the patch to the next.
    int patch_row;
};

// Adds what a tile gives TAPS taps of the warp's column: SIXTEENS of the grid's channels are rows of
// the sums, EIGHTS of the plane's are columns.
template <int STRIDE, int TAPS, int SIXTEENS, int EIGHTS>
__device__ inline void weigh_rows(float (&sums)[MOST_TAPS][SIXTEENS][EIGHTS][4], Matrices rows) {
    unsigned left[TILE_ROWS][SIXTEENS][4];
#pragma unroll
    for (int y = 0; y < (TILE_ROWS - 1) * STRIDE + TAPS; ++y) {
        if (y % STRIDE == 0 && y / STRIDE < TILE_ROWS) {
#pragma unroll
            for (int i = 0; i < SIXTEENS; ++i) {
                const int place = y / STRIDE * STRIP * GridPitch<SIXTEENS>::WORDS + 8 * i;
                turned_matrices(left[y / STRIDE][i], rows.values + place);
            }
        }
        unsigned right[2 * EIGHTS];
        turned_matrices(right, rows.patch + y * rows.patch_row);
#pragma unroll
        for (int tap = 0; tap < TAPS; ++tap) {
            const int row = (y - tap) / STRIDE;
            if (y < tap || (y - tap) % STRIDE != 0 || row >= TILE_ROWS) {
                continue;
            }
#pragma unroll
            for (int i = 0; i < SIXTEENS; ++i) {
#pragma unroll
                for (int j = 0; j < EIGHTS; ++j) {
                    const unsigned factor[2] = {right[2 * j], right[2 * j + 1]};
                    mma_bf16(sums[tap][i][j], left[row][i], factor);
                }
            }
        }
    }
}

template <int STRIDE, int SIXTEENS, int EIGHTS>
__device__ inline void weigh_tile(float (&sums)[MOST_TAPS][SIXTEENS][EIGHTS][4], int taps,
                                  const Matrices &rows) {
    switch (taps) {
    case 2:
        return weigh_rows<STRIDE, 2>(sums, rows);
    case 3:
        return weigh_rows<STRIDE, 3>(sums, rows);
    case 4:
        return weigh_rows<STRIDE, 4>(sums, rows);
    case 5:
        return weigh_rows<STRIDE, 5>(sums, rows);
    }
}

// LEN words of shared memory.
template <int SIXTEENS, int EIGHTS, int LEN>
__device__ inline void direct_weights(const Direct &direct, const Value *plane, const Value *grid,
                                      float *parts) {
    __shared__ uint4 memory[LEN / 4];
    constexpr int PITCH = GridPitch<SIXTEENS>::WORDS;
    const Walk &walk = direct.walks[0];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    unsigned *const values = (unsigned *)memory;
    unsigned *const patch = values + TILE_ROWS * STRIP * PITCH;
    // What is brought leaves words of channels that there are not: they meet sums of such alone.
    //
    // A lane points to a row of one of the four matrices that a warp reads together: of the grid
    // 8 pixels × 8 channels, then the next channels, then the next pixels; of the patch the next
    // pixels, then the next channels.
    const int pixel = lane / 8 % 2 * 8 + lane % 8;
    const Matrices rows = {values + (lane / 16 * 8 + lane % 8) * PITCH + lane / 8 % 2 * 4,
                           patch + (pixel * direct.stride + warp) * direct.pitch +
                               (EIGHTS == 1 ? 0 : lane / 16 * 4),
                           direct.patch_row};
    float sums[MOST_TAPS][SIXTEENS][EIGHTS][4] = {};
    for (int number = blockIdx.x; number < direct.count * direct.tiles.value; number += gridDim.x) {
        const Tile tile(direct, number);
        bring_any(direct.input, seen_by(direct, tile, plane), direct.pitch, patch, threadIdx.x);
        const Field field = {grid + tile.image * direct.out_image,
                             walk.height,
                             walk.width,
                             tile.row,
                             tile.column,
                             TILE_ROWS,
                             direct.grid_width,
                             direct.grid_run};
        // By other threads than the patch, if that does not take all.
        bring_any(direct.output, field, PITCH, values, blockDim.x - 1 - threadIdx.x);
        __syncthreads();
        if (direct.stride == 1) {
            weigh_tile<1>(sums, walk.taps_down, rows);
        } else {
            weigh_tile<2>(sums, walk.taps_down, rows);
        }
        __syncthreads();
    }
    const int line = lane / 4, place = lane % 4, taps = walk.taps_down * walk.taps_across;
    float *const part =
        parts + (long long)blockIdx.x * direct.outputs() * taps * direct.channels();
#pragma unroll
    for (int own = 0; own < MOST_TAPS * SIXTEENS * EIGHTS * 4; ++own) {
        const int v = own % 4, j = own / 4 % EIGHTS, i = own / (4 * EIGHTS) % SIXTEENS;
        const int row = own / (4 * EIGHTS * SIXTEENS), tap = row * walk.taps_across + warp;
        const int output = 16 * i + line + v / 2 * 8, channel = 8 * j + 2 * place + v % 2;
        if (row < walk.taps_down && output < direct.outputs() && channel < direct.channels()) {
            part[(output * taps + tap) * direct.channels() + channel] = sums[row][i][j][v];
        }
    }
}

// As many threads as there are columns of taps.
#define DIRECT_WEIGHTS(sixteens, eights, words, blocks)                                            \
    KERNEL __launch_bounds__(32 * MOST_TAPS, blocks) direct_weights_##sixteens##_##eights(         \
        const __grid_constant__ Direct direct, const Value *plane, const Value *grid,              \
        float *parts) {                                                                            \
        direct_weights<sixteens, eights, words>(direct, plane, grid, parts);                       \
    }

DIRECT_WEIGHTS(1, 1, ROOM / 2, 4)
DIRECT_WEIGHTS(1, 2, ROOM / 2, 4)
DIRECT_WEIGHTS(2, 1, ROOM, 3)
DIRECT_WEIGHTS(2, 2, ROOM, 2)
