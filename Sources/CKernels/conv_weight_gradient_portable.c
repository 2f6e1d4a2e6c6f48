#pragma STDC FP_CONTRACT OFF
#include "conv_weight_gradient_isa.h"

// Plain C over the compiler's vector types; the fma is the one of dense_portable.c.

typedef float F __attribute__((ext_vector_type(16)));
typedef double D __attribute__((ext_vector_type(16)));
typedef int64_t L __attribute__((ext_vector_type(16)));
typedef struct { F f; } V;

static INLINE V v_zero(void) { return (V){(F)0.0f}; }
static INLINE V v_load(const float *p) { return (V){*(const F *)p}; }
static INLINE void v_store(float *p, V x) { *(F *)p = x.f; }
static INLINE V v_add(V a, V b) { return (V){a.f + b.f}; }

#if defined(__FMA__) || defined(__aarch64__)
static INLINE V v_fma(V a, V b, V c) { return (V){__builtin_elementwise_fma(a.f, b.f, c.f)}; }
#else
static INLINE V v_fma(V a, V b, V c) {
    D product = __builtin_convertvector(a.f, D) * __builtin_convertvector(b.f, D);
    D addend = __builtin_convertvector(c.f, D);
    D sum = product + addend;
    D part = sum - product;
    D error = (product - (sum - part)) + (addend - part);
    // Comparisons with NaN are false, so infinities and NaN pass unchanged.
    L inexact = (error > 0.0) | (error < 0.0);
    L too_large = ((error < 0.0) & (sum > 0.0)) | ((error > 0.0) & (sum < 0.0));
    L odd = ((L)sum + too_large) | (inexact & 1);
    return (V){__builtin_convertvector((D)odd, F)};
}
#endif

static INLINE void v_pin(V *x) { (void)x; }

#define WEIGHTS 1
#define NAME(f) tk_portable_##f
#include "conv_weight_gradient_template.h"
