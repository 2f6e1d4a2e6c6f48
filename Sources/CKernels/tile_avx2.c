#pragma STDC FP_CONTRACT OFF
#include "tile_isa.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

#include "vectors_avx2.h"
#include "pairs_rounded.h"

#define DOT_ROWS 4
#define NAME(f) tk_avx2_##f
#include "tile_emulated.h"
#include "tile_template.h"

#pragma clang attribute pop
#endif
