// Convolutions of few channels on matrix cores, without a detour by lines and depths: a block walks
// over tiles of outputs, and keeps what their windows see, the patch, in shared memory as bf16. Each
// value of the patch is brought once and used by all windows that see it. All products of `maps.cu`
// are of this kind:
//
//   gather   outputs are the grid's; a walk
//   scatter  outputs are the pixels of one phase, a walk each; windows see the grid, one beside the
//            other, and weights are read backwards. All phases share a patch
//   weigh    a walk like gather's, over products of the patch with the grid's values
//
// This file tells where all of them lie and brings pixels; `direct_outputs.cu` and
// `direct_weights.cu` multiply. A pixel takes so many words of shared memory that those which a warp
// reads at a time lie in different banks; words beyond its channels are zero. For outputs, pixels of
// fewer than 16 channels lie side by side instead, as in memory: what a window sees of a row is one run,
// which takes fewer steps of 16 values than its taps. Where runs may begin within a word, rows lie there
// twice, the second time one value further on.

// Outputs of a row of a warp.
constexpr int STRIP = 16;

// Words of shared memory of the kernels that have most.
constexpr int ROOM = 12256, MOST_CHANNELS = 32;

// Phases of stride 2.
constexpr int MOST_WALKS = 4;

// Outputs whose windows hold the same taps.
struct Walk {
    // Outputs of an image.
    int height, width;
    // Rows of taps, taps of a row, and steps that these are read in.
    int taps_down, taps_across, steps;
    // The pixel of a patch that the first output's window begins with.
    int down, across;
    // The first weight and the first output, and where the weights lie in shared memory.
    int weights, out, packed;
};

// How pixels are read: value by value; by eights of a pixel, all of which lie on a multiple of their
// size; by such quads of a row of pixels, which few channels share; or four pixels of 3 or 9 channels
// at a time, of so many of these quads.
enum { SINGLES, EIGHTS, RUNS, FOURS };

// The channels of the input, or of the output.
struct Side {
    Divisor channels;
    // Quads of a pixel, or eights where these are read.
    Divisor pieces;
    int way;
};

struct Direct {
    int count;
    // The input.
    int height, width;
    int stride;
    // Words from pixel to pixel of a patch, and from step to step.
    int pitch, step;
    // How often a patch's rows lie there, pixels side by side; 0 where each pixel has words of its own.
    int copies;
    Side input, output;
    // From one weight to the next: of outputs, rows, columns and channels.
    int by_output, by_row, by_column, by_channel;
    // From one output to the next: of images, rows and columns.
    int out_image, out_row, out_pixel;
    // Whether pairs of outputs lie on a multiple of their size, and whether outputs are f32.
    int pairs, exact;
    // Outputs of a row of a tile of the grid, and quads or fours that begin in it.
    Divisor grid_width, grid_run;
    // Outputs of a tile in each walk, whole strips in a row.
    int tile_rows, tile_columns;
    // Tiles of an image in a row, and in all.
    Divisor tiles_across, tiles;
    // The input's pixel that the first patch begins with.
    int top, left;
    // Rows of a patch, words of one, its pixels, and quads or fours that begin in it.
    int patch_rows, patch_row;
    Divisor patch_width, patch_run;
    // Words of the weights of all walks.
    int packed;
    int walk_count;
    Walk walks[MOST_WALKS];

    __device__ int channels() const { return input.channels.value; }
    __device__ int outputs() const { return output.channels.value; }
};

// Where a tile lies.
struct Tile {
    int image, row, column;

    __device__ Tile(const Direct &direct, int tile) {
        image = direct.tiles.quotient(tile);
        const int place = tile - image * direct.tiles.value;
        row = direct.tiles_across.quotient(place);
        column = (place - row * direct.tiles_across.value) * direct.tile_columns;
        row *= direct.tile_rows;
    }
    __device__ bool has(const Walk &walk, int y, int x) const {
        return row + y < walk.height && column + x < walk.width;
    }
};

// Pixels that a block brings: `rows` × `width` from (top, left) on, which may lie outside the image.
struct Field {
    const Value *image;
    int height, image_width;
    int top, left, rows;
    // Pixels of a row, and quads of values that begin in it, or fours of pixels where these are read.
    Divisor width, run;
};

__device__ inline void clear(unsigned *words, int len) {
    for (int i = threadIdx.x; i < len; i += blockDim.x) {
        words[i] = 0;
    }
}

// What a thread has on its way at a time.
constexpr int FLIGHT = 4;

// Eight values of a pixel, on a multiple of their size.
struct Eight {
    static constexpr int VALUES = 8;
    uint4 words;

    __device__ void take(const Value *from, int) { words = *(const uint4 *)from; }
    // Pixels begin on a multiple of 8 bytes.
    __device__ void put(unsigned *to) const {
        *(uint2 *)to = {words.x, words.y};
        *(uint2 *)(to + 2) = {words.z, words.w};
    }
};

// Four, of which the pixel has `left`; 0 beyond.
struct Four {
    static constexpr int VALUES = 4;
    RoundedQuad quad;

    __device__ void take(const Value *from, int left) {
#pragma unroll
        for (int v = 0; v < VALUES; ++v) {
            if (v < left) {
                set(quad, v, from[v]);
            }
        }
    }
    __device__ void put(unsigned *to) const { Word::put(quad, to); }
};

template <class Piece>
__device__ inline void bring_pieces(const Side &side, const Field &field, int pitch, unsigned *to) {
    // The thread's next piece lies so many pixels and pieces further.
    const int pieces = side.pieces.value;
    const int pixels = side.pieces.quotient(blockDim.x), rest = blockDim.x - pixels * pieces;
    const int end = field.rows * field.width.value;
    int pixel = side.pieces.quotient(threadIdx.x), number = threadIdx.x - pixel * pieces;
    while (pixel < end) {
        Piece taken[FLIGHT];
        int places[FLIGHT];
#pragma unroll
        for (int i = 0; i < FLIGHT; ++i) {
            const int row = field.width.quotient(pixel);
            const int y = field.top + row, x = field.left + pixel - row * field.width.value;
            const int first = Piece::VALUES * number;
            taken[i] = {};
            places[i] = pixel < end ? pixel * pitch + first / 2 : -1;
            if (places[i] >= 0 && (unsigned)y < (unsigned)field.height &&
                (unsigned)x < (unsigned)field.image_width) {
                const int place = (y * field.image_width + x) * side.channels.value + first;
                taken[i].take(settled(field.image + place), side.channels.value - first);
            }
            pixel += pixels;
            number += rest;
            if (number >= pieces) {
                number -= pieces;
                ++pixel;
            }
        }
#pragma unroll
        for (int i = 0; i < FLIGHT; ++i) {
            if (places[i] >= 0) {
                taken[i].put(to + places[i]);
            }
        }
    }
}

// A quad of a row of pixels: from its first value on.
__device__ inline void put_run(const Side &side, const Field &field, int pitch, int row, int first,
                               const RoundedQuad &quad, unsigned *to) {
    const int channels = side.channels.value;
    int pixel = side.channels.quotient(first), channel = first - pixel * channels;
    unsigned short *half =
        (unsigned short *)(to + (row * field.width.value + pixel) * pitch) + channel;
#pragma unroll
    for (int v = 0; v < 4; ++v) {
        if (pixel < field.width.value) {
            *half = quad.pairs[v / 2] >> 16 * (v % 2);
        }
        ++half;
        if (++channel == channels) {
            channel = 0;
            ++pixel;
            half += 2 * pitch - channels;
        }
    }
}

// A row of pixels lies side by side; its quads go from pixel to pixel.
__device__ inline void bring_runs(const Side &side, const Field &field, int pitch, unsigned *to) {
    const int channels = side.channels.value, len = field.image_width * channels;
    const int run = field.run.value, end = field.rows * run;
    for (int begin = threadIdx.x; begin < end; begin += FLIGHT * blockDim.x) {
        RoundedQuad quads[FLIGHT];
#pragma unroll
        for (int i = 0; i < FLIGHT; ++i) {
            const int number = begin + i * blockDim.x, row = field.run.quotient(number);
            const int y = field.top + row, place = field.left * channels + 4 * (number - row * run);
            quads[i] = {};
            if (number < end && (unsigned)y < (unsigned)field.height &&
                (unsigned)place < (unsigned)len) {
                quads[i] = whole_quad(field.image + (y * len + place));
            }
        }
#pragma unroll
        for (int i = 0; i < FLIGHT; ++i) {
            const int number = begin + i * blockDim.x, row = field.run.quotient(number);
            if (number < end) {
                put_run(side, field, pitch, row, 4 * (number - row * run), quads[i], to);
            }
        }
    }
}

// Value `i` of some quads that lie side by side, in the lower half.
template <int COUNT> __device__ inline unsigned half_of(const RoundedQuad (&quads)[COUNT], int i) {
    return quads[i / 4].pairs[i % 4 / 2] >> 16 * (i % 2) & 0xffff;
}

// A thread takes four pixels of a row; those beyond the field lie nowhere.
template <int CHANNELS>
__device__ inline void bring_fours(const Field &field, int pitch, unsigned *to, int thread) {
    const int fours = field.run.value;
    for (int number = thread; number < field.rows * fours; number += blockDim.x) {
        const int row = field.run.quotient(number), first = 4 * (number - row * fours);
        const int y = field.top + row, x = field.left + first;
        RoundedQuad quads[CHANNELS] = {};
        if ((unsigned)y < (unsigned)field.height && (unsigned)x < (unsigned)field.image_width) {
            const Value *const from = field.image + (y * field.image_width + x) * CHANNELS;
#pragma unroll
            for (int i = 0; i < CHANNELS; ++i) {
                quads[i] = whole_quad(from + 4 * i);
            }
        }
#pragma unroll
        for (int pixel = 0; pixel < 4; ++pixel) {
            if (first + pixel >= field.width.value) {
                continue;
            }
            unsigned *const place = to + (row * field.width.value + first + pixel) * pitch;
#pragma unroll
            for (int i = 0; i < CHANNELS; i += 2) {
                const unsigned low = half_of(quads, pixel * CHANNELS + i);
                const bool two = i + 1 < CHANNELS;
                place[i / 2] = two ? low | half_of(quads, pixel * CHANNELS + i + 1) << 16 : low;
            }
        }
    }
}

// Brings pixels, `pitch` words from one to the next.
__device__ inline void bring(const Side &side, const Field &field, int pitch, unsigned *to) {
    switch (side.way) {
    case RUNS:
        return bring_runs(side, field, pitch, to);
    case EIGHTS:
        return bring_pieces<Eight>(side, field, pitch, to);
    default:
        return bring_pieces<Four>(side, field, pitch, to);
    }
}

// Brings rows of pixels side by side, `pitch` words from one to the next, and, of COPIES, again one value
// further on from `copy` words on. WHOLE quads of a row lie on a multiple of their size.
template <bool WHOLE, int COPIES>
__device__ inline void bring_rows(const Field &field, int channels, int pitch, int copy, unsigned *to) {
    const int len = field.image_width * channels, run = field.run.value, end = field.rows * run;
    for (int begin = threadIdx.x; begin < end; begin += FLIGHT * blockDim.x) {
        RoundedQuad quads[FLIGHT];
        int places[FLIGHT];
#pragma unroll
        for (int i = 0; i < FLIGHT; ++i) {
            const int number = begin + i * blockDim.x, row = field.run.quotient(number);
            const int quad = number - row * run, place = field.left * channels + 4 * quad;
            const int y = field.top + row;
            const bool seen = number < end && (unsigned)y < (unsigned)field.height;
            quads[i] = {};
            places[i] = row * pitch + 2 * quad;
            if constexpr (WHOLE) {
                if (seen && (unsigned)place < (unsigned)len) {
                    quads[i] = whole_quad(field.image + (y * len + place));
                }
            } else {
#pragma unroll
                for (int v = 0; v < 4; ++v) {
                    if (seen && (unsigned)(place + v) < (unsigned)len) {
                        set(quads[i], v, field.image[y * len + place + v]);
                    }
                }
            }
        }
#pragma unroll
        for (int i = 0; i < FLIGHT; ++i) {
            if (begin + i * (int)blockDim.x < end) {
                const unsigned first = quads[i].pairs[0], second = quads[i].pairs[1];
                *(uint2 *)(to + places[i]) = {first, second};
                if constexpr (COPIES == 2) {
                    unsigned *const further = to + (copy + places[i]);
                    ((unsigned short *)further)[1] = first;
                    further[1] = first >> 16 | second << 16;
                    ((unsigned short *)further)[4] = second >> 16;
                }
            }
        }
    }
}

// Brings pixels, `pitch` words from one to the next, also by fours, of which there are few: `thread` is
// the number of who takes the first.
__device__ inline void bring_any(const Side &side, const Field &field, int pitch, unsigned *to,
                                 int thread) {
    if (side.way != FOURS) {
        return bring(side, field, pitch, to);
    }
    return side.channels.value == 3 ? bring_fours<3>(field, pitch, to, thread)
                                    : bring_fours<9>(field, pitch, to, thread);
}

// What a tile's windows see.
__device__ inline Field seen_by(const Direct &direct, const Tile &tile, const Value *input) {
    const int image = direct.height * direct.width * direct.channels();
    return {input + tile.image * image,
            direct.height,
            direct.width,
            tile.row * direct.stride + direct.top,
            tile.column * direct.stride + direct.left,
            direct.patch_rows,
            direct.patch_width,
            direct.patch_run};
}
