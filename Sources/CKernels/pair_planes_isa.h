// The kernels over pair planes of each backend, behind the choice in pair_planes.c.
#ifndef TOMBOLA_PAIR_PLANES_ISA_H
#define TOMBOLA_PAIR_PLANES_ISA_H

#include "dense.h"
#include "pair_planes.h"

#define DECLARE(isa)                                                                                               \
    void tk_##isa##_pairs_load_planes(                                                                             \
        const uint8_t *, const int32_t *, size_t, const tk_planes_shape *, size_t, const float *, const float *,   \
        uint32_t *);                                                                                               \
    tk_magnitude tk_##isa##_pairs_max_pool(const tk_planes_shape *, const uint32_t *, uint32_t *, size_t);         \
    tk_magnitude tk_##isa##_pairs_max_pool_gradient(                                                               \
        const tk_planes_shape *, const uint32_t *, const uint32_t *, const uint32_t *, const uint32_t *, uint32_t *,\
        size_t);                                                                                                   \
    tk_magnitude tk_##isa##_pairs_average_pool(const tk_planes_shape *, const uint32_t *, float *, size_t);        \
    tk_magnitude tk_##isa##_pairs_average_pool_gradient(                                                           \
        const tk_planes_shape *, const float *, const uint32_t *, const uint32_t *, uint32_t *, size_t);           \
    void tk_##isa##_pairs_flatten(const tk_planes_shape *, const uint32_t *, float *, size_t);                     \
    tk_magnitude tk_##isa##_pairs_flatten_gradient(                                                                \
        const tk_planes_shape *, const float *, const uint32_t *, const uint32_t *, uint32_t *, size_t);           \
    void tk_##isa##_pairs_pad_shortcut(                                                                            \
        const tk_planes_shape *, size_t, size_t, const uint32_t *, uint32_t *, size_t);                            \
    tk_magnitude tk_##isa##_pairs_pad_shortcut_gradient(                                                           \
        const tk_planes_shape *, size_t, size_t, const uint32_t *, const uint32_t *, const uint32_t *, uint32_t *, \
        size_t);                                                                                                   \
    tk_magnitude tk_##isa##_pairs_accumulate(                                                                      \
        const tk_planes_shape *, const uint32_t *, const uint32_t *, const uint32_t *, uint32_t *, size_t);        \
    tk_magnitude tk_##isa##_pairs_batch_norm_apply(                                                                \
        const tk_planes_shape *, const uint32_t *, const float *, const float *, const uint32_t *, int,            \
        const uint8_t *, uint32_t *, size_t);                                                                      \
    void tk_##isa##_pairs_batch_norm_gradient_sums(                                                                \
        const tk_planes_shape *, const uint32_t *, const uint32_t *, const float *, const float *, float *, size_t);\
    tk_magnitude tk_##isa##_pairs_batch_norm_gradient(                                                             \
        const tk_planes_shape *, const uint32_t *, const uint32_t *, const float *, const float *, const float *,  \
        const uint8_t *, size_t, uint32_t *);

DECLARE(portable)
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
DECLARE(amx)
#endif
#undef DECLARE

#endif
