// The sparse dense layer of each instruction set, behind the choice in sparse_dense.c.
#ifndef TOMBOLA_SPARSE_DENSE_ISA_H
#define TOMBOLA_SPARSE_DENSE_ISA_H

#include "dense.h"
#include "sparse_dense.h"

#define DECLARE(isa)                                                                                                   \
    tk_magnitude tk_##isa##_sparse_forward(                                                                            \
        size_t, const tk_sparse_run *, size_t, const uint32_t *, const float *, const float *, int, const float *,     \
        float *);                                                                                                      \
    tk_magnitude tk_##isa##_sparse_input_gradient(                                                                     \
        size_t, size_t, const uint32_t *, const tk_sparse_term *, const float *, const float *, const float *,         \
        float *);                                                                                                      \
    tk_magnitude tk_##isa##_sparse_weight_gradient(                                                                    \
        size_t, const tk_sparse_run *, size_t, const uint32_t *, size_t, const float *, const float *, float *);

DECLARE(portable)
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
#endif
#undef DECLARE

#endif
