#pragma STDC FP_CONTRACT OFF
#include "dense.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

typedef struct { __m256 low, high; } V;
typedef __m256i U;

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
static INLINE __m256 lanes_of(unsigned byte) {
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)byte), bit), bit));
}
static INLINE V v_masked(uint16_t word, V x) {
    if (word == 0xffff) return x;
    return v_and((V){lanes_of(word & 0xff), lanes_of(word >> 8)}, x);
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

// The sums of eight vectors of 8 lanes (which are sums l + (l+8) already), each as the tree l + (l+4), l + (l+2),
// l + (l+1); lane 4k + j of the result is that of row k, column j.
static INLINE __m256 tree_sums(__m256 v[2][4]) {
    __m256 quad[4], twos[2];
    UNROLL for (int j = 0; j < 4; j++) {
        __m256 a = v[0][j], b = v[1][j];
        quad[j] = _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
    }
    UNROLL for (int h = 0; h < 2; h++) {
        __m256d a = _mm256_castps_pd(quad[2 * h]), b = _mm256_castps_pd(quad[2 * h + 1]);
        twos[h] = _mm256_add_ps(
            _mm256_castpd_ps(_mm256_unpacklo_pd(a, b)), _mm256_castpd_ps(_mm256_unpackhi_pd(a, b)));
    }
    return _mm256_add_ps(_mm256_shuffle_ps(twos[0], twos[1], 0x88), _mm256_shuffle_ps(twos[0], twos[1], 0xdd));
}

// Half of the lanes of two outputs by four inputs: eight chains, which 16 registers can hold.
static INLINE void half_block(
    const float *const dy[2], const float *x, const size_t batch, __m256 sum[2][4]) {
    UNROLL for (int r = 0; r < 2; r++) {
        UNROLL for (int c = 0; c < 4; c++) sum[r][c] = _mm256_setzero_ps();
    }
    for (size_t e = 0; e < batch; e += TK_LANES) {
        __m256 in[4];
        UNROLL for (int c = 0; c < 4; c++) in[c] = _mm256_load_ps(x + (size_t)c * batch + e);
        UNROLL for (int r = 0; r < 2; r++) {
            __m256 d = _mm256_load_ps(dy[r] + e);
            UNROLL for (int c = 0; c < 4; c++) sum[r][c] = _mm256_fmadd_ps(d, in[c], sum[r][c]);
        }
    }
}

static INLINE void gradient_block(const float *const dy[4], const float *x, const size_t batch, float *const g[4]) {
    for (int h = 0; h < 4; h += 2) {
        const float *const lower[2] = {dy[h], dy[h + 1]};
        const float *const upper[2] = {dy[h] + 8, dy[h + 1] + 8};
        __m256 low[2][4], high[2][4];
        half_block(lower, x, batch, low);
        half_block(upper, x + 8, batch, high);
        UNROLL for (int r = 0; r < 2; r++) {
            UNROLL for (int c = 0; c < 4; c++) low[r][c] = _mm256_add_ps(low[r][c], high[r][c]);
        }
        __m256 result = _mm256_add_ps(tree_sums(low), _mm256_setzero_ps());
        _mm_store_ps(g[h], _mm256_castps256_ps128(result));
        _mm_store_ps(g[h + 1], _mm256_extractf128_ps(result, 1));
    }
}

#define ROWS 3
#define COLUMNS 2
#define GRADIENT_COLUMNS 1
#define PREFETCH 1
#define NAME(f) tk_avx2_##f
#include "dense_template.h"

#pragma clang attribute pop
#endif
