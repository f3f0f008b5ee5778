// Images hidden in part or made noisy: what `host/src/data/corrupt.rs` does to the values of images, by
// the same random numbers. Image `blockIdx.y` has the stream that many nonces on.

// Edge of the squares that are hidden or shown, and threads of a block along each side of one.
constexpr int PATCH = 8;

__device__ inline Stream stream_of(Stream first, unsigned image) {
    const unsigned low = first.nonce[0] + image;
    first.nonce[1] += low < image;
    first.nonce[0] = low;
    return first;
}

__device__ inline unsigned word_of(const Stream &stream, int place) {
    return ChaCha(stream, place / 16).words[place % 16];
}

// values += reach · (u − ½), each value of an image by its own word: a thread takes those of a block of
// the stream.
KERNEL add_noise(Stream first, int len, float reach, Value *values) {
    const Stream stream = stream_of(first, blockIdx.y);
    values += (long long)blockIdx.y * len;
    FOR_EACH(block, (len + 15) / 16) {
        const ChaCha drawn(stream, block);
#pragma unroll
        for (int i = 0; i < 16; ++i) {
            if (16 * block + i < len) {
                const float u = (drawn.words[i] >> 8) * (1.0f / (1 << 24));
                Value *const to = values + 16 * block + i;
                put(widened(*to) + reach * (u - 0.5f), to);
            }
        }
    }
}

// Hides the patches whose number of 64 bits is below `limit`, or all: a block a patch. The numbers come
// after `before` words.
KERNEL hide_patches(Stream first, int before, unsigned long long limit, int all, int side,
                    Value *values) {
    const int patches = (side + PATCH - 1) / PATCH;
    __shared__ int hidden;
    if (threadIdx.x == 0 && threadIdx.y == 0) {
        const Stream stream = stream_of(first, blockIdx.y);
        const int place = before + 2 * blockIdx.x;
        const unsigned long long low = word_of(stream, place), high = word_of(stream, place + 1);
        hidden = all || (high << 32 | low) < limit;
    }
    __syncthreads();
    const int x = blockIdx.x % patches * PATCH + threadIdx.x;
    const int y = blockIdx.x / patches * PATCH + threadIdx.y;
    if (hidden && x < side && y < side) {
        const long long pixel = ((long long)blockIdx.y * side + y) * side + x;
        put_colour(HIDDEN, values + 3 * pixel);
    }
}
