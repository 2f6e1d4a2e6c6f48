#pragma STDC FP_CONTRACT OFF
#include "conv_gather_isa.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)

#include "vectors_avx512.h"

#define GROUP 6
#define GROUP_POSITIONS 4
#define POSITIONS 8
#define WIDE_ROWS 2
#define NAME(f) tk_avx512_##f
#include "conv_gather_template.h"

#pragma clang attribute pop
#endif
