// 16 lanes in one register of AVX-512. Included inside the attribute that allows its instructions.
#pragma once

#include "lane_trees.h"

typedef __m512 V;
typedef __m512i U;

// Whether v_fma is one instruction.
#define FUSED 1

static INLINE V v_zero(void) { return _mm512_setzero_ps(); }
static INLINE V v_set1(float x) { return _mm512_set1_ps(x); }
static INLINE V v_load(const float *p) { return _mm512_load_ps(p); }
static INLINE void v_store(float *p, V x) { _mm512_store_ps(p, x); }
static INLINE V v_add(V a, V b) { return _mm512_add_ps(a, b); }
static INLINE V v_sub(V a, V b) { return _mm512_sub_ps(a, b); }
static INLINE V v_mul(V a, V b) { return _mm512_mul_ps(a, b); }
static INLINE V v_div(V a, V b) { return _mm512_div_ps(a, b); }
static INLINE V v_sqrt(V a) { return _mm512_sqrt_ps(a); }
static INLINE V v_fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
static INLINE V v_max(V a, V b) { return _mm512_max_ps(a, b); }
static INLINE V v_rectified(V x) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_NLE_UQ), x);
}
static INLINE V v_where_positive(V y, V x) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(y, _mm512_setzero_ps(), _CMP_GT_OQ), x);
}
static INLINE V v_zero_below(V limit, V y, V x) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(y, limit, _CMP_NLT_UQ), x);
}
typedef __mmask16 M;
static INLINE M m_wins(V x, V best) {
    return (M)(_mm512_cmp_ps_mask(x, best, _CMP_GT_OQ) | _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q));
}
static INLINE uint16_t m_word(M m) { return m; }
static INLINE V v_select(M m, V a, V b) { return _mm512_mask_blend_ps(m, b, a); }
static INLINE V v_where(M m, V x) { return _mm512_maskz_mov_ps(m, x); }
static INLINE V v_unless(M m, V x) { return _mm512_maskz_mov_ps((M)~m, x); }
static INLINE V v_masked(uint16_t word, V x) { return _mm512_maskz_mov_ps(word, x); }
static INLINE V v_expanded(uint16_t word, const float *p) {
    __mmask16 first = (__mmask16)((1u << __builtin_popcount(word)) - 1);
    return _mm512_maskz_expand_ps(word, _mm512_maskz_loadu_ps(first, p));
}
static INLINE V v_gathered(const float *p, const int32_t *places) {
    return _mm512_i32gather_ps(_mm512_load_si512(places), p, 4);
}
static INLINE void v_compress(float *p, uint16_t word, V x) {
    __mmask16 first = (__mmask16)((1u << __builtin_popcount(word)) - 1);
    _mm512_mask_storeu_ps(p, first, _mm512_maskz_compress_ps(word, x));
}
static INLINE V v_scale(V x, V t) {
    __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(t), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), exponent));
}
static INLINE V v_pixels(const uint8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
static INLINE H v_folded(V x) {
    return (H){(floats8)_mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1))};
}
static INLINE void v_pin(V *x) { __asm__ volatile("" : "+v"(*x)); }
static INLINE U u_zero(void) { return _mm512_setzero_si512(); }
static INLINE U u_max(U u, V x) {
    return _mm512_max_epu32(u, _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff)));
}
static INLINE tk_magnitude u_result(U u) { return _mm512_reduce_max_epu32(u); }
