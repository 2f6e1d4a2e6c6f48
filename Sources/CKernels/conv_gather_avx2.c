#pragma STDC FP_CONTRACT OFF
#include "conv_gather_isa.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

#include "vectors_avx2.h"

#define GROUP 6
#define GROUP_POSITIONS 1
#define POSITIONS 6
#define WIDE_ROWS 0
#define NAME(f) tk_avx2_##f
#include "conv_gather_template.h"

#pragma clang attribute pop
#endif
