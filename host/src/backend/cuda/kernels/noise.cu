// Values of N(0, 1): what `host/src/backend/noise.rs` makes of the same stream.

// Key and nonce of a stream of ChaCha (Bernstein, 2008).
struct Stream {
    unsigned key[8];
    unsigned nonce[2];
};

__device__ inline unsigned rotate(unsigned word, int bits) {
    return word << bits | word >> (32 - bits);
}

__device__ inline void quarter_round(unsigned &a, unsigned &b, unsigned &c, unsigned &d) {
    a += b;
    d = rotate(d ^ a, 16);
    c += d;
    b = rotate(b ^ c, 12);
    a += b;
    d = rotate(d ^ a, 8);
    c += d;
    b = rotate(b ^ c, 7);
}

// A block of a stream, after 8 rounds.
struct ChaCha {
    unsigned words[16];

    __device__ ChaCha(const Stream &stream, unsigned block) {
        const unsigned start[16] = {
            0x61707865,    0x3320646e,    0x79622d32,      0x6b206574,
            stream.key[0], stream.key[1], stream.key[2],   stream.key[3],
            stream.key[4], stream.key[5], stream.key[6],   stream.key[7],
            block,         0,             stream.nonce[0], stream.nonce[1]};
        unsigned x[16];
        for (int i = 0; i < 16; ++i) {
            x[i] = start[i];
        }
        for (int pair = 0; pair < 4; ++pair) {
            quarter_round(x[0], x[4], x[8], x[12]);
            quarter_round(x[1], x[5], x[9], x[13]);
            quarter_round(x[2], x[6], x[10], x[14]);
            quarter_round(x[3], x[7], x[11], x[15]);
            quarter_round(x[0], x[5], x[10], x[15]);
            quarter_round(x[1], x[6], x[11], x[12]);
            quarter_round(x[2], x[7], x[8], x[13]);
            quarter_round(x[3], x[4], x[9], x[14]);
        }
        for (int i = 0; i < 16; ++i) {
            words[i] = x[i] + start[i];
        }
    }

    // One of its 8 numbers in [0, 1), of 53 bits.
    __device__ double number(int i) const {
        const unsigned long long bits = (unsigned long long)words[2 * i + 1] << 32 | words[2 * i];
        return (bits >> 11) * (1.0 / (1ull << 53));
    }
};

// Box and Muller's transform of a stream's numbers, the values from `start` on: a thread makes those of
// a block, of which the first may be cut off.
KERNEL normal(Stream stream, int start, int len, float *out) {
    const int first = start / 8, before = start % 8;
    FOR_EACH(block, (before + len + 7) / 8) {
        const ChaCha drawn(stream, first + block);
        const int place = 8 * block - before;
#pragma unroll
        for (int i = 0; i < 8; i += 2) {
            // 1 − u lies in (0, 1], where the logarithm is finite.
            const double radius = sqrt(-2.0 * log(1.0 - drawn.number(i)));
            const double angle = 6.283185307179586 * drawn.number(i + 1);
            if (0 <= place + i && place + i < len) {
                out[place + i] = radius * cos(angle);
            }
            if (0 <= place + i + 1 && place + i + 1 < len) {
                out[place + i + 1] = radius * sin(angle);
            }
        }
    }
}
