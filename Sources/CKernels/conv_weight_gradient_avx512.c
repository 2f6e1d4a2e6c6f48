#pragma STDC FP_CONTRACT OFF
#include "conv_weight_gradient_isa.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)

#include "vectors_avx512.h"

// Of 32 registers 24 are sums, 3 x and 1 dy: 11 loads serve 24 fma.
#define SLICES 1
#define OUTPUTS 8
#define WEIGHTS 8
#define NAME(f) tk_avx512_##f
#include "conv_weight_gradient_template.h"

#pragma clang attribute pop
#endif
