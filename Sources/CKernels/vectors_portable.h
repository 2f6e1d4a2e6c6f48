// Plain C over the compiler's vector types: any processor. Without an fma instruction one is made from f64, where the
// product of two f32 is exact: the sum is rounded to odd there, so that the rounding to f32 after it is the only one
// that shows (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008). libm's fmaf would be a call a
// lane.
#pragma once

#include "lane_trees.h"

typedef float F __attribute__((ext_vector_type(16)));
typedef double D __attribute__((ext_vector_type(16)));
typedef int64_t L __attribute__((ext_vector_type(16)));
typedef int32_t I __attribute__((ext_vector_type(16)));
typedef uint32_t N __attribute__((ext_vector_type(16)));
typedef uint8_t B __attribute__((ext_vector_type(16)));
// In a struct, because vectors that the processor lacks have no settled calling convention.
typedef struct { F f; } V;
typedef struct { N n; } U;

// Casts between vectors of one size keep the bits.
#define BITS(x) ((I)(x).f)
#define OF_BITS(b) ((V){(F)(b)})
// Whether v_fma is one instruction.
#define FUSED 0

static INLINE V v_zero(void) { return (V){(F)0.0f}; }
static INLINE V v_set1(float x) { return (V){(F)x}; }
static INLINE V v_load(const float *p) { return (V){*(const F *)p}; }
static INLINE void v_store(float *p, V x) { *(F *)p = x.f; }
static INLINE V v_add(V a, V b) { return (V){a.f + b.f}; }
static INLINE V v_sub(V a, V b) { return (V){a.f - b.f}; }
static INLINE V v_mul(V a, V b) { return (V){a.f * b.f}; }
static INLINE V v_div(V a, V b) { return (V){a.f / b.f}; }
static INLINE V v_sqrt(V a) { return (V){__builtin_elementwise_sqrt(a.f)}; }

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

static INLINE V v_max(V a, V b) { return OF_BITS(((a.f > b.f) & BITS(a)) | (~(a.f > b.f) & BITS(b))); }
static INLINE V v_rectified(V x) { return OF_BITS(~(x.f <= (F)0.0f) & BITS(x)); }
static INLINE V v_where_positive(V y, V x) { return OF_BITS((y.f > (F)0.0f) & BITS(x)); }
static INLINE V v_zero_below(V limit, V y, V x) { return OF_BITS(~(y.f < limit.f) & BITS(x)); }
typedef struct { I i; } M;
static INLINE M m_wins(V x, V best) { return (M){(x.f > best.f) | (x.f != x.f)}; }
static INLINE uint16_t m_word(M m) {
    uint16_t word = 0;
    for (int l = 0; l < TK_LANES; l++) word |= (uint16_t)((m.i[l] & 1) << l);
    return word;
}
static INLINE V v_select(M m, V a, V b) { return OF_BITS((m.i & BITS(a)) | (~m.i & BITS(b))); }
static INLINE V v_where(M m, V x) { return OF_BITS(m.i & BITS(x)); }
static INLINE V v_unless(M m, V x) { return OF_BITS(~m.i & BITS(x)); }
static INLINE V v_masked(uint16_t word, V x) {
    const I bit = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
    return OF_BITS((((I)(int32_t)word & bit) != (I)0) & BITS(x));
}
static INLINE V v_expanded(uint16_t word, const float *p) {
    float lane[TK_LANES] __attribute__((aligned(64)));
    if (word == 0xffff) __builtin_memcpy(lane, p, sizeof lane);
    else for (int l = 0; l < TK_LANES; l++) lane[l] = word >> l & 1 ? *p++ : 0.0f;
    return v_load(lane);
}
static INLINE V v_gathered(const float *p, const int32_t *places) {
    float lane[TK_LANES] __attribute__((aligned(64)));
    for (int l = 0; l < TK_LANES; l++) lane[l] = p[places[l]];
    return v_load(lane);
}
static INLINE void v_compress(float *p, uint16_t word, V x) {
    float lane[TK_LANES] __attribute__((aligned(64)));
    v_store(lane, x);
    if (word == 0xffff) __builtin_memcpy(p, lane, sizeof lane);
    else for (int l = 0; l < TK_LANES; l++) if (word >> l & 1) *p++ = lane[l];
}
static INLINE V v_scale(V x, V t) { return OF_BITS((I)((N)BITS(x) + ((N)BITS(t) << 23))); }
static INLINE V v_pixels(const uint8_t *p) {
    B bytes;
    __builtin_memcpy(&bytes, p, sizeof bytes);
    return (V){__builtin_convertvector(bytes, F)};
}
static INLINE H v_folded(V x) { return (H){x.f.lo + x.f.hi}; }
static INLINE void v_pin(V *x) { (void)x; }
static INLINE U u_zero(void) { return (U){(N)0u}; }
static INLINE U u_max(U u, V x) { return (U){__builtin_elementwise_max(u.n, (N)BITS(x) & 0x7fffffffu)}; }
static INLINE tk_magnitude u_result(U u) { return __builtin_reduce_max(u.n); }
