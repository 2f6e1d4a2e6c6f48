#pragma STDC FP_CONTRACT OFF
#include "dense.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)

typedef __m512 V;
typedef __m512i U;

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
static INLINE V v_masked(uint16_t word, V x) { return _mm512_maskz_mov_ps(word, x); }
static INLINE V v_scale(V x, V t) {
    __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(t), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), exponent));
}
static INLINE V v_pixels(const uint8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
static INLINE U u_zero(void) { return _mm512_setzero_si512(); }
static INLINE U u_max(U u, V x) {
    return _mm512_max_epu32(u, _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff)));
}
static INLINE tk_magnitude u_result(U u) { return _mm512_reduce_max_epu32(u); }

// The sums of 16 vectors, each as the tree l + (l+8), l + (l+4), l + (l+2), l + (l+1); lane 4k + j of the result is that
// of row k, column j.
static INLINE V tree_sums(V v[4][4]) {
    V pair[4][2], quad[4];
    // [a: 8 sums, b: 8 sums]
    UNROLL for (int j = 0; j < 4; j++) {
        UNROLL for (int h = 0; h < 2; h++) {
            V a = v[2 * h][j], b = v[2 * h + 1][j];
            pair[j][h] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
        }
    }
    // [row 0: 4 sums, row 1, row 2, row 3] of column j
    UNROLL for (int j = 0; j < 4; j++) {
        V a = pair[j][0], b = pair[j][1];
        quad[j] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
    }
    V twos[2];
    UNROLL for (int h = 0; h < 2; h++) {
        __m512d a = _mm512_castps_pd(quad[2 * h]), b = _mm512_castps_pd(quad[2 * h + 1]);
        twos[h] = _mm512_add_ps(
            _mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    }
    return _mm512_add_ps(_mm512_shuffle_ps(twos[0], twos[1], 0x88), _mm512_shuffle_ps(twos[0], twos[1], 0xdd));
}

static INLINE void gradient_block(const float *const dy[4], const float *x, const size_t batch, float *const g[4]) {
    V sum[4][4];
    UNROLL for (int r = 0; r < 4; r++) {
        UNROLL for (int c = 0; c < 4; c++) sum[r][c] = v_zero();
    }
    for (size_t e = 0; e < batch; e += TK_LANES) {
        V in[4];
        UNROLL for (int c = 0; c < 4; c++) in[c] = v_load(x + (size_t)c * batch + e);
        UNROLL for (int r = 0; r < 4; r++) {
            V d = v_load(dy[r] + e);
            UNROLL for (int c = 0; c < 4; c++) sum[r][c] = v_fma(d, in[c], sum[r][c]);
        }
    }
    V result = v_add(tree_sums(sum), v_zero());
    _mm_store_ps(g[0], _mm512_castps512_ps128(result));
    _mm_store_ps(g[1], _mm512_extractf32x4_ps(result, 1));
    _mm_store_ps(g[2], _mm512_extractf32x4_ps(result, 2));
    _mm_store_ps(g[3], _mm512_extractf32x4_ps(result, 3));
}

#define ROWS 6
#define COLUMNS 4
#define GRADIENT_COLUMNS 4
#define PREFETCH 1
#define NAME(f) tk_avx512_##f
#include "dense_template.h"

#pragma clang attribute pop
#endif
