#pragma STDC FP_CONTRACT OFF
#include "conv_weight_gradient_isa.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

#include "vectors_avx2.h"

// Half a line: with 12 sums, 3 of x and 1 of dy all 16 registers are used, and 7 loads serve 12 fma. Whole lines would
// take 10 loads for as many.
typedef __m256 Slice;
static INLINE Slice slice_zero(void) { return _mm256_setzero_ps(); }
static INLINE Slice slice_load(const float *p) { return _mm256_load_ps(p); }
static INLINE void slice_store(float *p, Slice x) { _mm256_store_ps(p, x); }
static INLINE Slice slice_fma(Slice a, Slice b, Slice c) { return _mm256_fmadd_ps(a, b, c); }
static INLINE void slice_pin(Slice *x) { __asm__ volatile("" : "+x"(*x)); }

#define SLICES 2
#define OUTPUTS 4
#define WEIGHTS 6
#define NAME(f) tk_avx2_##f
#include "conv_weight_gradient_template.h"

#pragma clang attribute pop
#endif
