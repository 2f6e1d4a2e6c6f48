#pragma STDC FP_CONTRACT OFF
#include "conv_weight_gradient_isa.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)

typedef __m512 V;

static INLINE V v_zero(void) { return _mm512_setzero_ps(); }
static INLINE V v_load(const float *p) { return _mm512_load_ps(p); }
static INLINE void v_store(float *p, V x) { _mm512_store_ps(p, x); }
static INLINE V v_add(V a, V b) { return _mm512_add_ps(a, b); }
static INLINE V v_fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
static INLINE void v_pin(V *x) { __asm__ volatile("" : "+v"(*x)); }

#define WEIGHTS 8
#define NAME(f) tk_avx512_##f
#include "conv_weight_gradient_template.h"

#pragma clang attribute pop
#endif
