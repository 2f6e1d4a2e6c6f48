// 16 lanes in two registers of AVX2. Included inside the attribute that allows its instructions.
#pragma once

#include "lane_trees.h"

typedef struct { __m256 low, high; } V;
typedef __m256i U;

// Whether v_fma is one instruction.
#define FUSED 1

static INLINE V v_zero(void) { return (V){_mm256_setzero_ps(), _mm256_setzero_ps()}; }
static INLINE V v_set1(float x) { return (V){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
static INLINE V v_load(const float *p) { return (V){_mm256_load_ps(p), _mm256_load_ps(p + 8)}; }
static INLINE void v_store(float *p, V x) {
    _mm256_store_ps(p, x.low);
    _mm256_store_ps(p + 8, x.high);
}
static INLINE V v_add(V a, V b) { return (V){_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
static INLINE V v_sub(V a, V b) { return (V){_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
static INLINE V v_mul(V a, V b) { return (V){_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
static INLINE V v_div(V a, V b) { return (V){_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
static INLINE V v_sqrt(V a) { return (V){_mm256_sqrt_ps(a.low), _mm256_sqrt_ps(a.high)}; }
static INLINE V v_fma(V a, V b, V c) {
    return (V){_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
static INLINE V v_max(V a, V b) { return (V){_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
static INLINE V v_and(V a, V b) { return (V){_mm256_and_ps(a.low, b.low), _mm256_and_ps(a.high, b.high)}; }
#define COMPARED(a, b, how) (V){_mm256_cmp_ps((a).low, (b).low, how), _mm256_cmp_ps((a).high, (b).high, how)}
static INLINE V v_rectified(V x) { return v_and(COMPARED(x, v_zero(), _CMP_NLE_UQ), x); }
static INLINE V v_where_positive(V y, V x) { return v_and(COMPARED(y, v_zero(), _CMP_GT_OQ), x); }
static INLINE V v_zero_below(V limit, V y, V x) { return v_and(COMPARED(y, limit, _CMP_NLT_UQ), x); }
typedef V M;
static INLINE M m_wins(V x, V best) {
    V greater = COMPARED(x, best, _CMP_GT_OQ), nan = COMPARED(x, x, _CMP_UNORD_Q);
    return (M){_mm256_or_ps(greater.low, nan.low), _mm256_or_ps(greater.high, nan.high)};
}
static INLINE uint16_t m_word(M m) {
    return (uint16_t)(_mm256_movemask_ps(m.low) | _mm256_movemask_ps(m.high) << 8);
}
static INLINE V v_select(M m, V a, V b) {
    return (V){_mm256_blendv_ps(b.low, a.low, m.low), _mm256_blendv_ps(b.high, a.high, m.high)};
}
static INLINE V v_where(M m, V x) { return v_and(m, x); }
static INLINE V v_unless(M m, V x) { return (V){_mm256_andnot_ps(m.low, x.low), _mm256_andnot_ps(m.high, x.high)}; }
static INLINE __m256 lanes_of(unsigned byte) {
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)byte), bit), bit));
}
static INLINE V v_masked(uint16_t word, V x) {
    if (word == 0xffff) return x;
    return v_and((V){lanes_of(word & 0xff), lanes_of(word >> 8)}, x);
}
static INLINE V v_expanded(uint16_t word, const float *p) {
    float lane[TK_LANES] __attribute__((aligned(64)));
    if (word == 0xffff) __builtin_memcpy(lane, p, sizeof lane);
    else for (int l = 0; l < TK_LANES; l++) lane[l] = word >> l & 1 ? *p++ : 0.0f;
    return v_load(lane);
}
static INLINE V v_gathered(const float *p, const int32_t *places) {
    return (V){
        _mm256_i32gather_ps(p, _mm256_load_si256((const __m256i *)places), 4),
        _mm256_i32gather_ps(p, _mm256_load_si256((const __m256i *)(places + 8)), 4),
    };
}
static INLINE void v_compress(float *p, uint16_t word, V x) {
    float lane[TK_LANES] __attribute__((aligned(64)));
    v_store(lane, x);
    if (word == 0xffff) __builtin_memcpy(p, lane, sizeof lane);
    else for (int l = 0; l < TK_LANES; l++) if (word >> l & 1) *p++ = lane[l];
}
static INLINE __m256 scaled(__m256 x, __m256 t) {
    __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), exponent));
}
static INLINE V v_scale(V x, V t) { return (V){scaled(x.low, t.low), scaled(x.high, t.high)}; }
static INLINE V v_pixels(const uint8_t *p) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)p);
    return (V){
        _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)),
        _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))),
    };
}
static INLINE H v_folded(V x) { return (H){(floats8)_mm256_add_ps(x.low, x.high)}; }
static INLINE void v_pin(V *x) { __asm__ volatile("" : "+x"(x->low), "+x"(x->high)); }
static INLINE U u_zero(void) { return _mm256_setzero_si256(); }
static INLINE U u_max(U u, V x) {
    const __m256i unsign = _mm256_set1_epi32(0x7fffffff);
    u = _mm256_max_epu32(u, _mm256_and_si256(_mm256_castps_si256(x.low), unsign));
    return _mm256_max_epu32(u, _mm256_and_si256(_mm256_castps_si256(x.high), unsign));
}
static INLINE tk_magnitude u_result(U u) {
    uint32_t lanes[8];
    _mm256_storeu_si256((__m256i *)lanes, u);
    uint32_t largest = 0;
    for (int l = 0; l < 8; l++) largest = lanes[l] > largest ? lanes[l] : largest;
    return largest;
}
