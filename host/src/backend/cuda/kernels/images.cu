// Views of images: what `host/src/data/augment.rs` does to an image of bytes, in the same order. All
// that is random was drawn there.

// A view of an image: its crop, its angles as cosine and sine, the hidden square in pixels.
struct View {
    const unsigned char *image;
    float left, top, width, height;
    int flip;
    float brightness, contrast, saturation;
    float hue_cos, hue_sin;
    float turn_cos, turn_sin;
    int hidden_edge, hidden_left, hidden_top;
};
static_assert(sizeof(View) == 72, "as the host writes it");

struct Colour {
    float red, green, blue;

    // ITU-R BT.601.
    __device__ float luma() const { return 0.299f * red + 0.587f * green + 0.114f * blue; }
};

// A pixel of an image.
__device__ inline Colour colour_at(const Value *pixel) {
    return {widened(pixel[0]), widened(pixel[1]), widened(pixel[2])};
}
__device__ inline void put_colour(const Colour &colour, Value *pixel) {
    put(colour.red, pixel);
    put(colour.green, pixel + 1);
    put(colour.blue, pixel + 2);
}

__device__ inline float within(float value) { return min(max(value, 0.0f), 1.0f); }

// Away from (or towards) a reference, within [0, 1].
__device__ inline Colour stretch(Colour c, float reference, float factor) {
    return {within(reference + factor * (c.red - reference)),
            within(reference + factor * (c.green - reference)),
            within(reference + factor * (c.blue - reference))};
}

__device__ inline Colour mix(Colour a, Colour b, float share) {
    return {a.red + share * (b.red - a.red), a.green + share * (b.green - a.green),
            a.blue + share * (b.blue - a.blue)};
}

// A rotation in the plane of I and Q of YIQ, which keeps the luma.
__device__ inline Colour turn_hue(Colour c, float cosine, float sine) {
    const float luma = c.luma();
    const float i = 0.5959f * c.red - 0.2746f * c.green - 0.3213f * c.blue;
    const float q = 0.2115f * c.red - 0.5227f * c.green + 0.3112f * c.blue;
    const float x = cosine * i - sine * q, y = sine * i + cosine * q;
    return {within(luma + 0.956f * x + 0.619f * y), within(luma - 0.272f * x - 0.647f * y),
            within(luma - 1.106f * x + 1.703f * y)};
}

// The source pixels that one target pixel is made of, along one axis: the triangle filter, widened
// when shrinking.
struct Taps {
    float centre, support;
    int first, end;

    __device__ Taps(float start, float length, int limit, int target, int side) {
        const float scale = length / side;
        support = max(scale, 1.0f);
        centre = start + (target + 0.5f) * scale;
        // Those whose centres are nearer than the support: others would have no weight.
        first = min((int)max(floorf(centre - support + 0.5f), 0.0f), limit - 1);
        end = min(max((int)ceilf(centre + support - 0.5f), first + 1), limit);
    }
    __device__ float weight(int source) const {
        return max(1.0f - fabsf(source + 0.5f - centre) / support, 0.0f);
    }
};

// An image, `edge × edge` pixels of bytes, as a view of `side × side` pixels.
struct Sight {
    const View &view;
    int edge, side;

    // Whether each of its pixels is one of the image's.
    __device__ bool is_cut() const {
        return view.width == side && view.height == side && view.left == floorf(view.left) &&
               view.top == floorf(view.top);
    }

    // The crop, scaled and mirrored.
    __device__ Colour cropped(int x, int y) const {
        const int target = view.flip ? side - 1 - x : x;
        if (is_cut()) {
            const int row = (int)view.top + y, column = (int)view.left + target;
            const unsigned char *pixel = view.image + (row * edge + column) * 3;
            return {pixel[0] / 255.0f, pixel[1] / 255.0f, pixel[2] / 255.0f};
        }
        const Taps across(view.left, view.width, edge, target, side);
        const Taps down(view.top, view.height, edge, y, side);
        Colour sum = {};
        float total = 0.0f;
        for (int row = down.first; row < down.end; ++row) {
            for (int column = across.first; column < across.end; ++column) {
                const float weight = down.weight(row) * across.weight(column);
                const unsigned char *pixel = view.image + (row * edge + column) * 3;
                sum.red += weight * pixel[0];
                sum.green += weight * pixel[1];
                sum.blue += weight * pixel[2];
                total += weight;
            }
        }
        total *= 255.0f;
        return {min(sum.red / total, 1.0f), min(sum.green / total, 1.0f),
                min(sum.blue / total, 1.0f)};
    }

    // The same turned clockwise about the centre, bilinear; pixels from beyond the edge are those
    // at the edge.
    __device__ Colour turned(int x, int y) const {
        if (view.turn_sin == 0.0f) {
            return cropped(x, y);
        }
        const float last = side - 1, centre = last / 2.0f;
        const float dx = x - centre, dy = y - centre;
        const float from_x =
            min(max(centre + view.turn_cos * dx + view.turn_sin * dy, 0.0f), last);
        const float from_y =
            min(max(centre - view.turn_sin * dx + view.turn_cos * dy, 0.0f), last);
        const int left = from_x, top = from_y;
        const int right = min(left + 1, side - 1), bottom = min(top + 1, side - 1);
        const Colour above = mix(cropped(left, top), cropped(right, top), from_x - left);
        const Colour below = mix(cropped(left, bottom), cropped(right, bottom), from_x - left);
        return mix(above, below, from_y - top);
    }

    __device__ bool hides(int x, int y) const {
        return x >= view.hidden_left && x < view.hidden_left + view.hidden_edge &&
               y >= view.hidden_top && y < view.hidden_top + view.hidden_edge;
    }
};

// What hidden pixels hold.
constexpr Colour HIDDEN = {0.5f, 0.5f, 0.5f};

// Pixels of a view that a block makes.
constexpr int PIXELS = 4 * THREADS;

// The views of a batch as far as each pixel is made of the image alone, and the sums of their lumas:
// a block for PIXELS of a view, whose number is blockIdx.y.
KERNEL views(const View *all, int edge, int side, Value *out, double *lumas) {
    const View view = all[blockIdx.y];
    const Sight seen = {view, edge, side};
    const int pixels = side * side, end = min((int)(blockIdx.x + 1) * PIXELS, pixels);
    out += (long long)blockIdx.y * pixels * 3;
    float sum = 0.0f;
    for (int i = blockIdx.x * PIXELS + threadIdx.x; i < end; i += THREADS) {
        const Colour c = stretch(seen.turned(i % side, i / side), 0.0f, view.brightness);
        sum += c.luma();
        put_colour(c, out + 3 * i);
    }
    const double total = block_sum(sum);
    if (threadIdx.x == 0) {
        lumas[blockIdx.y * gridDim.x + blockIdx.x] = total;
    }
}

// What is left: contrast turns about the mean luma of the whole view.
KERNEL tints(const View *all, int edge, int side, Value *out, const double *lumas) {
    const View view = all[blockIdx.y];
    const bool contrast = view.contrast != 1.0f, hue = view.hue_sin != 0.0f;
    const bool saturation = view.saturation != 1.0f, hidden = view.hidden_edge > 0;
    if (!contrast && !hue && !saturation && !hidden) {
        return;
    }
    const Sight seen = {view, edge, side};
    const int pixels = side * side, end = min((int)(blockIdx.x + 1) * PIXELS, pixels);
    out += (long long)blockIdx.y * pixels * 3;
    double sum = 0.0;
    for (int part = 0; part < gridDim.x; ++part) {
        sum += lumas[blockIdx.y * gridDim.x + part];
    }
    const float mean = sum / pixels;
    for (int i = blockIdx.x * PIXELS + threadIdx.x; i < end; i += THREADS) {
        Colour c = colour_at(out + 3 * i);
        if (contrast) {
            c = stretch(c, mean, view.contrast);
        }
        if (hue) {
            c = turn_hue(c, view.hue_cos, view.hue_sin);
        }
        if (saturation) {
            c = stretch(c, c.luma(), view.saturation);
        }
        put_colour(seen.hides(i % side, i / side) ? HIDDEN : c, out + 3 * i);
    }
}
