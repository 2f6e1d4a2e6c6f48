// The kernels of each instruction set, behind the choice in dispatch.c.
#ifndef TOMBOLA_DENSE_H
#define TOMBOLA_DENSE_H

#include "kernels.h"

#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

#define DECLARE(isa)                                                                                                  \
    tk_magnitude tk_##isa##_forward(                                                                                  \
        const tk_dense_shape *, const float *, const float *, const uint32_t *, size_t, int, const float *, float *); \
    tk_magnitude tk_##isa##_input_gradient(                                                                           \
        const tk_dense_shape *, const float *, const uint32_t *, size_t, const float *, const float *, float *);      \
    tk_magnitude tk_##isa##_weight_gradient(                                                                          \
        const tk_dense_shape *, const uint16_t *, const float *, const float *, float *, float *);                    \
    tk_magnitude tk_##isa##_bias_gradient(size_t, size_t, const float *, float *);                                    \
    tk_magnitude tk_##isa##_update(const tk_rule *, size_t, const float *, float *, float *, float *);                \
    tk_magnitude tk_##isa##_update_dense(                                                                             \
        const tk_dense_shape *, const tk_rule *, const uint16_t *, const float *, const float *, float *, float *,    \
        float *, float *, float *, float *, float *);                                                                 \
    tk_magnitude tk_##isa##_softmax_cross_entropy(                                                                    \
        size_t, size_t, size_t, const uint8_t *, const float *, float, float *, double *);                            \
    void tk_##isa##_load_images(                                                                                      \
        const uint8_t *, const int32_t *, size_t, size_t, size_t, size_t, const float *, const float *, float *,      \
        float *);                                                                                                     \
    void tk_##isa##_transpose(size_t, size_t, const float *, float *);                                                \
    double tk_##isa##_sum_of_squares(size_t, const float *);                                                          \
    double tk_##isa##_sum_of_squares_masked(size_t, size_t, const uint16_t *, const float *);                         \
    void tk_##isa##_scale(size_t, float, float *);

DECLARE(portable)
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
#endif
#undef DECLARE

#endif
