#pragma STDC FP_CONTRACT OFF
#include "pair_planes_isa.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)

#include "vectors_avx512.h"
#include "pairs_rounded.h"

#define NAME(f) tk_avx512_pairs_##f
#include "images_template.h"
#include "pair_planes_template.h"
#include "pair_planes_batch_norm_template.h"

#pragma clang attribute pop
#endif
