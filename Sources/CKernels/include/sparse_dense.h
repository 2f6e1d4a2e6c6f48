// A dense layer of which few weights survive: the results of kernels.h under a mask, bit for bit where all values are
// finite, at the cost of the survivors alone.
//
// Weights are compact: the survivors of [output][input] in flat order, padded with +0 to a multiple of 16; so are their
// gradient and their optimizer's state. `inputs` holds the input of each. Batches lie as in kernels.h,
// [feature][batch].
#ifndef TOMBOLA_SPARSE_DENSE_H
#define TOMBOLA_SPARSE_DENSE_H

#include "kernels.h"

// The survivors of one output, first ..< last in the compact order.
typedef struct {
    uint32_t output, first, last;
} tk_sparse_run;

// One output that an input leads to, and where the weight between them is.
typedef struct {
    uint32_t output, place;
} tk_sparse_term;

// tk_dense_forward for the outputs in `runs`. Touches no other.
tk_magnitude tk_sparse_forward(
    tk_isa isa, size_t batch, const tk_sparse_run *runs, size_t run_count, const uint32_t *inputs,
    const float *weights, const float *bias, int rectify, const float *x, float *y);

// tk_dense_input_gradient of `rows` inputs; input i leads to terms starts[i] ..< starts[i + 1], outputs ascending.
tk_magnitude tk_sparse_input_gradient(
    tk_isa isa, size_t batch, size_t rows, const uint32_t *starts, const tk_sparse_term *terms, const float *weights,
    const float *dy, const float *x, float *dx);

// The weight gradient of tk_dense_weight_gradient for the `count` survivors, all of which are in `runs`. It needs no
// transposed input. The padding of `gradient` becomes +0.
tk_magnitude tk_sparse_weight_gradient(
    tk_isa isa, size_t batch, const tk_sparse_run *runs, size_t run_count, const uint32_t *inputs, size_t count,
    const float *dy, const float *x, float *gradient);

#endif
