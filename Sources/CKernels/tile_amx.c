#pragma STDC FP_CONTRACT OFF
#include "tile_isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#pragma clang attribute push( \
    __attribute__((target("amx-tile,amx-bf16,avx512bf16,avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)

#include "vectors_avx512.h"
#include "pairs_rounded_bf16.h"
#include "tile_configuration.h"

// The tiles are registers.
typedef struct {
    char none;
} Tiles;

#define TILES_OPEN            \
    Tiles set, *tiles = &set; \
    (void)tiles;              \
    _tile_loadconfig(&eight_full_tiles)
// Without it every switch to another thread would save and restore 8 KB.
#define TILES_CLOSE _tile_release()
#define TILE_ZERO(t) _tile_zero(t)
#define TILE_LOAD_SUMS(t, p) _tile_loadd(t, p, 64)
#define TILE_STORE_SUMS(t, p) _tile_stored(t, p, 64)
#define TILE_LOAD_LEFT(t, p) _tile_loadd(t, p, 64)
#define TILE_LOAD_RIGHT(t, p) _tile_loadd(t, p, 64)
#define TILE_DOT(t, left, right) _tile_dpbf16ps(t, left, right)
#define NAME(f) tk_amx_##f
#include "tile_template.h"

#pragma clang attribute pop

// SplitMix64.
static uint64_t next_word(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

// Whether steps of random tiles come out with the emulation's bits: operands of like size, of very unlike sizes, and so
// small that products and sums become denormal.
static int agrees_with_emulation(void) {
    uint16_t a[TILE_ELEMENTS] __attribute__((aligned(64))), b[TILE_ELEMENTS] __attribute__((aligned(64)));
    float got[TILE_SUMS] __attribute__((aligned(64))), expected[TILE_SUMS] __attribute__((aligned(64)));
    const uint64_t lowest[] = {124, 100, 40}, exponents[] = {4, 50, 40};
    unsigned mode = _mm_getcsr();
    uint64_t state = 1;
    int agrees = 1;
    tk_flush_denormals();
    for (int round = 0; round < 12; round++) {
        for (int n = 0; n < TILE_ELEMENTS; n++) {
            uint64_t word = next_word(&state), low = lowest[round % 3], count = exponents[round % 3];
            a[n] = (uint16_t)((word & 0x807f) | (low + (word >> 16 & 0xffff) % count) << 7);
            b[n] = (uint16_t)((word >> 32 & 0x807f) | (low + (word >> 48) % count) << 7);
        }
        for (int n = 0; n < TILE_SUMS; n++) got[n] = expected[n] = (float)(int32_t)next_word(&state) * 0x1p-31f;
        for (int step = 0; step < 2; step++) {
            tk_amx_tile_dot(a, b, got);
            tk_avx512_tile_dot(a, b, expected);
        }
        agrees &= __builtin_memcmp(got, expected, sizeof got) == 0;
    }
    _mm_setcsr(mode);
    return agrees;
}

int tk_amx_runs(void) {
#if defined(__linux__)
    const uint32_t bf16 = 1u << 22, tile = 1u << 24;
    uint32_t a, b, c, d;
    if (tk_best_isa() != TK_AVX512) return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & (bf16 | tile)) != (bf16 | tile)) return 0;
    const uint32_t bf16_vectors = 1u << 5;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || (a & bf16_vectors) == 0) return 0;
    // The system saves tiles only for processes that asked for it: ARCH_REQ_XCOMP_PERM, XTILEDATA.
    if (syscall(SYS_arch_prctl, 0x1023, 18) != 0) return 0;
    return agrees_with_emulation();
#else
    return 0;
#endif
}
#endif
