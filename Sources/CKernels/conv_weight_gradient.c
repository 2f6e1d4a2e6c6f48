#pragma STDC FP_CONTRACT OFF
#include "conv_weight_gradient_isa.h"
#include "dispatch.h"

tk_magnitude tk_conv_weight_gradient(
    tk_isa isa, const tk_conv_gradient_shape *shape, const tk_conv_gradient_group *groups, size_t group_count,
    const tk_conv_gradient_weight *weights, const float *x, const float *dy, size_t blocks, float *sums,
    size_t capacity, float *gradient) {
    DISPATCH(
        isa, conv_weight_gradient, shape, groups, group_count, weights, x, dy, blocks, sums, capacity, gradient);
}

tk_magnitude tk_conv_bias_gradient(
    tk_isa isa, const tk_conv_gradient_shape *shape, const float *dy, size_t blocks, float *gradient) {
    DISPATCH(isa, conv_bias_gradient, shape, dy, blocks, gradient);
}
