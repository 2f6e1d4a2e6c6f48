#pragma STDC FP_CONTRACT OFF
#include "sparse_dense_isa.h"
#include "dispatch.h"

tk_magnitude tk_sparse_forward(
    tk_isa isa, size_t batch, const tk_sparse_run *runs, size_t run_count, const uint32_t *inputs,
    const float *weights, const float *bias, int rectify, const float *x, float *y) {
    DISPATCH(isa, sparse_forward, batch, runs, run_count, inputs, weights, bias, rectify, x, y);
}

tk_magnitude tk_sparse_input_gradient(
    tk_isa isa, size_t batch, size_t rows, const uint32_t *starts, const tk_sparse_term *terms, const float *weights,
    const float *dy, const float *x, float *dx) {
    DISPATCH(isa, sparse_input_gradient, batch, rows, starts, terms, weights, dy, x, dx);
}

tk_magnitude tk_sparse_weight_gradient(
    tk_isa isa, size_t batch, const tk_sparse_run *runs, size_t run_count, const uint32_t *inputs, size_t count,
    const float *dy, const float *x, float *gradient) {
    DISPATCH(isa, sparse_weight_gradient, batch, runs, run_count, inputs, count, dy, x, gradient);
}
