// The convolution gradients of each instruction set, behind the choice in conv_weight_gradient.c.
#ifndef TOMBOLA_CONV_WEIGHT_GRADIENT_ISA_H
#define TOMBOLA_CONV_WEIGHT_GRADIENT_ISA_H

#include "conv_weight_gradient.h"
#include "dense.h"
#include "magnitude.h"

#define DECLARE(isa)                                                                                          \
    tk_magnitude tk_##isa##_conv_weight_gradient(                                                             \
        const tk_conv_gradient_shape *, const tk_conv_gradient_group *, size_t, const tk_conv_gradient_weight *, \
        const float *, const float *, size_t, float *, size_t, float *);                                      \
    tk_magnitude tk_##isa##_conv_bias_gradient(const tk_conv_gradient_shape *, const float *, size_t, float *);

DECLARE(portable)
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
#endif
#undef DECLARE

#endif
