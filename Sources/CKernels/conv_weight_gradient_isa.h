// The convolution gradients of each instruction set, behind the choice in conv_weight_gradient.c.
#ifndef TOMBOLA_CONV_WEIGHT_GRADIENT_ISA_H
#define TOMBOLA_CONV_WEIGHT_GRADIENT_ISA_H

#include "conv_weight_gradient.h"
#include "dense.h"
#include "magnitude.h"

#define DECLARE(isa)                                                                                               \
    size_t tk_##isa##_conv_outputs_at_once(void);                                                                  \
    size_t tk_##isa##_conv_weights_at_once(void);                                                                  \
    tk_magnitude tk_##isa##_conv_dense_gradient(                                                                   \
        const tk_conv_strips *, const tk_conv_dense_block *, const float *, const float *, float *, float *);      \
    tk_magnitude tk_##isa##_conv_sparse_gradient(                                                                  \
        const tk_conv_strips *, const tk_conv_sparse_block *, const tk_conv_bias *, const float *, const float *,  \
        float *, float *);                                                                                         \
    tk_magnitude tk_##isa##_conv_bias_gradient(const tk_conv_strips *, const tk_conv_bias *, const float *);

DECLARE(portable)
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
#endif
#undef DECLARE

#endif
