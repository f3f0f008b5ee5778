// Where layers' values are not f32: how they are made of these, and kernels for what is f32 all the same,
// which are outputs of networks and gradients of weights.

KERNEL round_values(const float *values, int len, Value *out) {
    FOR_EACH_SEVERAL(i, len) {
        put_several(several_at(values, i, len), out, i, len);
    }
}

KERNEL sum_parts_f32(const float *parts, int count, int len, float *out, int add) {
    sum_all_parts(parts, count, len, out, add);
}

KERNEL finish_f32(float *values, int len, Divisor channels, const float *bias, int activation) {
    BY_ACTIVATION(finish_all, values, len, channels, bias)
}
