// The kernels over planes of each instruction set, behind the choice in planes.c.
#ifndef TOMBOLA_PLANES_ISA_H
#define TOMBOLA_PLANES_ISA_H

#include "dense.h"
#include "planes.h"

#define DECLARE(isa)                                                                                                  \
    void tk_##isa##_load_planes(                                                                                      \
        const uint8_t *, const int32_t *, size_t, const tk_planes_shape *, size_t, const float *, const float *,      \
        float *);                                                                                                     \
    tk_magnitude tk_##isa##_max_pool(const tk_planes_shape *, const float *, float *, size_t);                        \
    tk_magnitude tk_##isa##_max_pool_gradient(                                                                        \
        const tk_planes_shape *, const float *, const float *, const float *, const float *, float *, size_t);        \
    tk_magnitude tk_##isa##_max_pool_winners_gradient(                                                                \
        const tk_planes_shape *, const tk_pool_winners *, const float *, const float *, float *, size_t);             \
    tk_magnitude tk_##isa##_average_pool(const tk_planes_shape *, const float *, float *, size_t);                    \
    tk_magnitude tk_##isa##_average_pool_gradient(                                                                    \
        const tk_planes_shape *, const float *, const float *, const float *, float *, size_t);                       \
    void tk_##isa##_flatten(const tk_planes_shape *, const float *, float *, size_t);                                 \
    tk_magnitude tk_##isa##_flatten_gradient(                                                                         \
        const tk_planes_shape *, const float *, const float *, const float *, float *, size_t);                       \
    void tk_##isa##_pad_shortcut(const tk_planes_shape *, size_t, size_t, const float *, float *, size_t);            \
    tk_magnitude tk_##isa##_pad_shortcut_gradient(                                                                    \
        const tk_planes_shape *, size_t, size_t, const float *, const float *, const float *, float *, size_t);       \
    tk_magnitude tk_##isa##_accumulate(                                                                               \
        const tk_planes_shape *, const float *, const float *, const float *, float *, size_t);                       \
    tk_magnitude tk_##isa##_batch_norm_apply(                                                                         \
        const tk_planes_shape *, const float *, const float *, const float *, const float *, int, const uint8_t *,    \
        float *, size_t);                                                                                             \
    void tk_##isa##_batch_norm_gradient_sums(                                                                         \
        const tk_planes_shape *, const float *, const float *, const float *, const float *, float *, size_t);        \
    tk_magnitude tk_##isa##_batch_norm_gradient(                                                                      \
        const tk_planes_shape *, const float *, const float *, const float *, const float *, const float *,           \
        const uint8_t *, size_t, float *);

DECLARE(portable)
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
#endif
#undef DECLARE

#endif
