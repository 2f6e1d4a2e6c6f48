#pragma STDC FP_CONTRACT OFF
#include "pair_planes_isa.h"

#if defined(__x86_64__)
#include <immintrin.h>

// Where the backend of tiles is AMX, AVX512_BF16 is there, too.
#pragma clang attribute push( \
    __attribute__((target("avx512bf16,avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)

#include "vectors_avx512.h"
#include "pairs_rounded_bf16.h"

#define NAME(f) tk_amx_pairs_##f
#include "images_template.h"
#include "pair_planes_template.h"
#include "pair_planes_batch_norm_template.h"

#pragma clang attribute pop
#endif
