#pragma STDC FP_CONTRACT OFF
#include "conv_weight_gradient_isa.h"
#include "dispatch.h"

size_t tk_conv_outputs_at_once(tk_isa isa) { DISPATCH(isa, conv_outputs_at_once); }

size_t tk_conv_weights_at_once(tk_isa isa) { DISPATCH(isa, conv_weights_at_once); }

tk_magnitude tk_conv_dense_gradient(
    tk_isa isa, const tk_conv_strips *strips, const tk_conv_dense_block *block, const float *x, const float *dy,
    float *sums, float *gradient) {
    DISPATCH(isa, conv_dense_gradient, strips, block, x, dy, sums, gradient);
}

tk_magnitude tk_conv_sparse_gradient(
    tk_isa isa, const tk_conv_strips *strips, const tk_conv_sparse_block *block, const tk_conv_bias *bias,
    const float *x, const float *dy, float *sums, float *gradient) {
    DISPATCH(isa, conv_sparse_gradient, strips, block, bias, x, dy, sums, gradient);
}

tk_magnitude tk_conv_bias_gradient(
    tk_isa isa, const tk_conv_strips *strips, const tk_conv_bias *bias, const float *dy) {
    DISPATCH(isa, conv_bias_gradient, strips, bias, dy);
}
