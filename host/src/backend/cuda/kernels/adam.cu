// Adam (Kingma and Ba, 2015), the decay apart from the gradient (Loshchilov and Hutter, 2019).

// How a tensor moves: `keep` is what decay leaves of the values, `rate` and `root` hold the corrections
// of the first steps.
struct Adam {
    float keep, rate, root;
    float beta1, beta2, rest1, rest2, epsilon;

    // What becomes of a value and of its moments. Sums are fused by name: left to the compiler, two
    // kernels that do this may differ in the last bit.
    __device__ void move(float &value, float gradient, float &mean, float &square) const {
        mean = fmaf(beta1, mean, rest1 * gradient);
        square = fmaf(beta2, square, rest2 * gradient * gradient);
        value = fmaf(value, keep, -(rate * mean / (sqrtf(square) / root + epsilon)));
    }
};
