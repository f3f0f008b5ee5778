// The contrastive term: each view's partner told from all other views by cosine similarity
// (NT-Xent, Chen et al., 2020). The products between are maps'. A block a view.

// Keeps the length of a vector of zeros from dividing.
constexpr float LEAST_LENGTH = 1e-6f;

// Views over their lengths.
KERNEL contrast_units(const float *views, int dimensions, float *units, float *lengths) {
    views += blockIdx.x * dimensions;
    units += blockIdx.x * dimensions;
    double square = 0.0;
    for (int d = threadIdx.x; d < dimensions; d += THREADS) {
        square += (double)views[d] * views[d];
    }
    const float length = max((float)sqrt(block_sum(square)), LEAST_LENGTH);
    for (int d = threadIdx.x; d < dimensions; d += THREADS) {
        units[d] = views[d] / length;
    }
    if (threadIdx.x == 0) {
        lengths[blockIdx.x] = length;
    }
}

// A view's loss; its row of similarities becomes the loss's gradient by them, times temperature.
KERNEL contrast_losses(float *similarities, int count, float temperature, double *losses) {
    const int view = blockIdx.x, partner = (view + count / 2) % count;
    float *row = similarities + view * count;
    // The view itself is left out. There is another: views come in pairs.
    float top = row[partner];
    int best = partner;
    for (int other = threadIdx.x; other < count; other += THREADS) {
        if (other != view && row[other] > top) {
            top = row[other];
            best = other;
        }
    }
    block_max(top, best);
    const double wanted = (row[partner] - top) / temperature;
    double total = 0.0;
    for (int other = threadIdx.x; other < count; other += THREADS) {
        total += other == view ? 0.0 : exp((double)((row[other] - top) / temperature));
    }
    total = block_sum(total);
    for (int other = threadIdx.x; other < count; other += THREADS) {
        const double share =
            other == view ? 0.0 : exp((double)((row[other] - top) / temperature)) / total;
        row[other] = (float)share - (other == partner ? 1.0f : 0.0f);
    }
    if (threadIdx.x == 0) {
        losses[view] = log(total) - wanted;
    }
}

// A similarity stands in the rows of both its views.
KERNEL contrast_pairs(const float *similarities, int count, float *pairs) {
    FOR_EACH(i, count * count) {
        pairs[i] = similarities[i] + similarities[i % count * count + i / count];
    }
}

// The gradient of the views from that of their units, views from `first` on: what moves a view along
// itself does not turn it.
KERNEL contrast_backward(const float *units, const float *lengths, const float *by_units, int first,
                         int dimensions, float factor, Value *gradient) {
    const int view = first + blockIdx.x;
    units += view * dimensions;
    by_units += view * dimensions;
    gradient += blockIdx.x * dimensions;
    double along = 0.0;
    for (int d = threadIdx.x; d < dimensions; d += THREADS) {
        along += (double)by_units[d] * units[d];
    }
    along = block_sum(along);
    for (int d = threadIdx.x; d < dimensions; d += THREADS) {
        put(factor * (by_units[d] - (float)along * units[d]) / lengths[view], gradient + d);
    }
}
