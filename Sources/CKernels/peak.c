#pragma STDC FP_CONTRACT OFF
#include "peak.h"

// Enough independent chains to hide the latency of a multiply-add on two units.
enum { CHAINS = 12, LANES_PORTABLE = 4 };

static float portable(size_t rounds) {
    typedef float Lanes __attribute__((vector_size(16)));
    Lanes sums[CHAINS], x = {0.5f, 0.25f, 0.125f, 0.75f}, result = {0};
    for (int n = 0; n < CHAINS; n++) sums[n] = (Lanes){(float)n};
    for (size_t round = 0; round < rounds; round++) {
        for (int n = 0; n < CHAINS; n++) sums[n] = sums[n] * x + x;
        __asm__ volatile("" : "+x"(x));
    }
    for (int n = 0; n < CHAINS; n++) result += sums[n];
    return result[0];
}

typedef struct {
    const void *read;
    void *updated, *written;
    size_t read_bytes, updated_bytes, written_bytes;
} Streams;

// In slices, so that loads and stores of all arrays are under way at a time, as they are in a kernel.
enum { SLICE_BYTES = 2048 };

#define UNROLLED _Pragma("clang loop unroll_count(8)")

// `Line` is a vector of BYTES bytes that fits in a register of the class REGISTER. `zero` is unknown to the compiler, so
// that every load and store is done.
#define DEFINE_STREAM(NAME, BYTES, REGISTER)                                                       \
    static void NAME(size_t rounds, const Streams *s) {                                            \
        typedef float Line __attribute__((vector_size(BYTES)));                                    \
        const Line *from = s->read;                                                                \
        Line *both = s->updated, *to = s->written, zero = {0};                                     \
        size_t reads = s->read_bytes / BYTES, updates = s->updated_bytes / BYTES;                  \
        size_t writes = s->written_bytes / BYTES, bytes = (reads + updates + writes) * BYTES;      \
        unsigned halvings = 0;                                                                     \
        while (bytes >> halvings > SLICE_BYTES) halvings++;                                        \
        __asm__ volatile("" : "+" REGISTER(zero));                                                 \
        for (size_t round = 0; round < rounds; round++) {                                          \
            for (size_t n = 0; n < (size_t)1 << halvings; n++) {                                   \
                size_t read_end = (n + 1) * reads >> halvings;                                     \
                size_t update_end = (n + 1) * updates >> halvings;                                 \
                size_t write_end = (n + 1) * writes >> halvings;                                   \
                UNROLLED for (size_t i = n * reads >> halvings; i < read_end; i++) {               \
                    Line line = from[i];                                                           \
                    __asm__ volatile("" : : REGISTER(line));                                       \
                }                                                                                  \
                UNROLLED for (size_t i = n * updates >> halvings; i < update_end; i++) {           \
                    both[i] = both[i] + zero;                                                      \
                }                                                                                  \
                UNROLLED for (size_t i = n * writes >> halvings; i < write_end; i++) to[i] = zero; \
            }                                                                                      \
            __asm__ volatile("" : : : "memory");                                                   \
        }                                                                                          \
    }

DEFINE_STREAM(stream_portable, 16, "x")

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2,fma"))) static float avx2(size_t rounds) {
    __m256 sums[CHAINS], x = _mm256_set1_ps(0.5f), result = _mm256_setzero_ps();
    for (int n = 0; n < CHAINS; n++) sums[n] = _mm256_set1_ps((float)n);
    for (size_t round = 0; round < rounds; round++) {
        for (int n = 0; n < CHAINS; n++) sums[n] = _mm256_fmadd_ps(sums[n], x, x);
        __asm__ volatile("" : "+x"(x));
    }
    for (int n = 0; n < CHAINS; n++) result = _mm256_add_ps(result, sums[n]);
    return _mm256_cvtss_f32(result);
}

__attribute__((target("avx512f"))) static float avx512(size_t rounds) {
    __m512 sums[CHAINS], x = _mm512_set1_ps(0.5f), result = _mm512_setzero_ps();
    for (int n = 0; n < CHAINS; n++) sums[n] = _mm512_set1_ps((float)n);
    for (size_t round = 0; round < rounds; round++) {
        for (int n = 0; n < CHAINS; n++) sums[n] = _mm512_fmadd_ps(sums[n], x, x);
        __asm__ volatile("" : "+v"(x));
    }
    for (int n = 0; n < CHAINS; n++) result = _mm512_add_ps(result, sums[n]);
    return _mm512_cvtss_f32(result);
}

__attribute__((target("avx2"))) DEFINE_STREAM(stream_avx2, 32, "x")
__attribute__((target("avx512f"))) DEFINE_STREAM(stream_avx512, 64, "v")

#include "tile_configuration.h"

__attribute__((target("amx-tile,amx-bf16,avx512f"))) static float amx(size_t rounds) {
    float sums[256] __attribute__((aligned(64)));
    _tile_loadconfig(&eight_full_tiles);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    for (size_t round = 0; round < rounds; round++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, sums, 64);
    _tile_release();
    return sums[0];
}
#endif

double tk_peak_operations(tk_isa isa) {
    return 2 * CHAINS * (isa == TK_AVX512 ? 16 : isa == TK_AVX2 ? 8 : LANES_PORTABLE);
}

float tk_peak_run(tk_isa isa, size_t rounds) {
#if defined(__x86_64__)
    if (isa == TK_AVX512) return avx512(rounds);
    if (isa == TK_AVX2) return avx2(rounds);
#endif
    return portable(rounds);
}

double tk_tile_peak_operations(tk_tile_backend backend) {
    if (backend == TK_TILES_AMX) return 2.0 * 4 * 16 * 16 * 32;
    return tk_peak_operations(
        backend == TK_TILES_AVX512 ? TK_AVX512 : backend == TK_TILES_AVX2 ? TK_AVX2 : TK_PORTABLE);
}

float tk_tile_peak_run(tk_tile_backend backend, size_t rounds) {
#if defined(__x86_64__)
    if (backend == TK_TILES_AMX) return amx(rounds);
#endif
    return tk_peak_run(
        backend == TK_TILES_AVX512 ? TK_AVX512 : backend == TK_TILES_AVX2 ? TK_AVX2 : TK_PORTABLE, rounds);
}

void tk_stream(
    tk_isa isa, size_t rounds, const void *read, size_t read_bytes, float *updated, size_t updated_bytes, void *written,
    size_t written_bytes) {
    Streams streams = {read, updated, written, read_bytes, updated_bytes, written_bytes};
#if defined(__x86_64__)
    if (isa == TK_AVX512) return stream_avx512(rounds, &streams);
    if (isa == TK_AVX2) return stream_avx2(rounds, &streams);
#endif
    stream_portable(rounds, &streams);
}
