// The weights' gradient of convolutions of few channels: of the grid's values and what windows see, in
// parts that `sum_parts` adds. A warp takes a column of taps: what it reads of a row of the patch
// meets the grid's rows whose windows see it.

// Outputs of a tile; rows of taps, and taps of a row, at most.
constexpr int TILE_ROWS = 8, MOST_TAPS = 5;

// SIXTEENS of the grid's channels are rows, EIGHTS of the plane's are columns of TAPS sums.
template <int SIXTEENS, int EIGHTS, int STRIDE, int TAPS>
__device__ inline void weigh_taps(const Direct &direct, const float *plane, const float *grid,
                                  float *part, unsigned *memory) {
    constexpr int PITCH = 8 * SIXTEENS + 4;
    const Walk &walk = direct.walks[0];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    unsigned *const values = memory, *const patch = values + TILE_ROWS * STRIP * PITCH;
    const int patch_row = walk.patch_width.value * direct.pitch;
    clear(values, TILE_ROWS * STRIP * PITCH + walk.patch_rows * patch_row);
    __syncthreads();
    // A lane points to a row of one of the four matrices that a warp reads together: of the grid
    // 8 pixels × 8 channels, then the next channels, then the next pixels; of the patch the next
    // pixels, then the next channels.
    const unsigned *const mine =
        values + (lane / 16 * 8 + lane % 8) * PITCH + lane / 8 % 2 * 4;
    const unsigned *const seen =
        patch + ((lane / 8 % 2 * 8 + lane % 8) * STRIDE + warp) * direct.pitch +
        (EIGHTS == 1 ? 0 : lane / 16 * 4);
    float sums[TAPS][SIXTEENS][EIGHTS][4] = {};
    for (int number = blockIdx.x; number < direct.count * walk.tiles.value; number += gridDim.x) {
        const Tile tile(walk, number);
        bring_patch(direct, walk, tile, plane, patch);
        const Field field = {grid + tile.image * direct.out_image,
                             walk.height,
                             walk.width,
                             tile.row,
                             tile.column,
                             TILE_ROWS,
                             direct.grid_width,
                             direct.grid_run};
        bring(direct.output, field, PITCH, values);
        __syncthreads();
        unsigned left[TILE_ROWS][SIXTEENS][4];
#pragma unroll
        for (int y = 0; y < (TILE_ROWS - 1) * STRIDE + TAPS; ++y) {
            if (y % STRIDE == 0 && y / STRIDE < TILE_ROWS) {
#pragma unroll
                for (int i = 0; i < SIXTEENS; ++i) {
                    turned_matrices(left[y / STRIDE][i],
                                    mine + y / STRIDE * STRIP * PITCH + 8 * i);
                }
            }
            unsigned right[2 * EIGHTS];
            turned_matrices(right, seen + y * patch_row);
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
        __syncthreads();
    }
    const int line = lane / 4, place = lane % 4, taps = TAPS * walk.taps_across;
#pragma unroll
    for (int own = 0; own < TAPS * SIXTEENS * EIGHTS * 4; ++own) {
        const int v = own % 4, j = own / 4 % EIGHTS, i = own / (4 * EIGHTS) % SIXTEENS;
        const int row = own / (4 * EIGHTS * SIXTEENS), tap = row * walk.taps_across + warp;
        const int output = 16 * i + line + v / 2 * 8, channel = 8 * j + 2 * place + v % 2;
        if (output < direct.outputs() && channel < direct.channels()) {
            part[(output * taps + tap) * direct.channels() + channel] = sums[row][i][j][v];
        }
    }
}

template <int SIXTEENS, int EIGHTS, int STRIDE>
__device__ inline void weigh_rows(const Direct &direct, const float *plane, const float *grid,
                                  float *part, unsigned *memory) {
    switch (direct.walks[0].taps_down) {
    case 2:
        return weigh_taps<SIXTEENS, EIGHTS, STRIDE, 2>(direct, plane, grid, part, memory);
    case 3:
        return weigh_taps<SIXTEENS, EIGHTS, STRIDE, 3>(direct, plane, grid, part, memory);
    case 4:
        return weigh_taps<SIXTEENS, EIGHTS, STRIDE, 4>(direct, plane, grid, part, memory);
    case 5:
        return weigh_taps<SIXTEENS, EIGHTS, STRIDE, 5>(direct, plane, grid, part, memory);
    }
}

// WORDS of shared memory.
template <int SIXTEENS, int EIGHTS, int WORDS>
__device__ inline void direct_weights(const Direct &direct, const float *plane, const float *grid,
                                      float *parts) {
    __shared__ uint4 memory[WORDS / 4];
    const int taps = direct.walks[0].taps_down * direct.walks[0].taps_across;
    float *const part =
        parts + (long long)blockIdx.x * direct.outputs() * taps * direct.channels();
    if (direct.stride == 1) {
        weigh_rows<SIXTEENS, EIGHTS, 1>(direct, plane, grid, part, (unsigned *)memory);
    } else {
        weigh_rows<SIXTEENS, EIGHTS, 2>(direct, plane, grid, part, (unsigned *)memory);
    }
}

// As many threads as there are columns of taps.
#define DIRECT_WEIGHTS(sixteens, eights, words, blocks)                                            \
    KERNEL __launch_bounds__(32 * MOST_TAPS, blocks) direct_weights_##sixteens##_##eights(         \
        const __grid_constant__ Direct direct, const float *plane, const float *grid,              \
        float *parts) {                                                                            \
        direct_weights<sixteens, eights, words>(direct, plane, grid, parts);                       \
    }

DIRECT_WEIGHTS(1, 1, ROOM / 2, 4)
DIRECT_WEIGHTS(1, 2, ROOM / 2, 4)
DIRECT_WEIGHTS(2, 1, ROOM, 3)
DIRECT_WEIGHTS(2, 2, ROOM, 2)
