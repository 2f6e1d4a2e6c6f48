#pragma STDC FP_CONTRACT OFF
#include "conv_weight_gradient_isa.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

typedef struct { __m256 low, high; } V;

static INLINE V v_zero(void) { return (V){_mm256_setzero_ps(), _mm256_setzero_ps()}; }
static INLINE V v_load(const float *p) { return (V){_mm256_load_ps(p), _mm256_load_ps(p + 8)}; }
static INLINE void v_store(float *p, V x) {
    _mm256_store_ps(p, x.low);
    _mm256_store_ps(p + 8, x.high);
}
static INLINE V v_add(V a, V b) { return (V){_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
static INLINE V v_fma(V a, V b, V c) {
    return (V){_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
static INLINE void v_pin(V *x) { __asm__ volatile("" : "+x"(x->low), "+x"(x->high)); }

#define WEIGHTS 4
#define NAME(f) tk_avx2_##f
#include "conv_weight_gradient_template.h"

#pragma clang attribute pop
#endif
