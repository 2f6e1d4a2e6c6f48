#pragma STDC FP_CONTRACT OFF
#include "dense.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)

#include "vectors_avx512.h"

#define ROWS 6
#define COLUMNS 4
#define GRADIENT_COLUMNS 4
#define BLOCK_ROWS 8
#define BLOCK_COLUMNS 1
#define PREFETCH 1
#define NAME(f) tk_avx512_##f
#include "dense_template.h"

#pragma clang attribute pop
#endif
