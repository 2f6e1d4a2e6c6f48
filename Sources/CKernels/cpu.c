#pragma STDC FP_CONTRACT OFF
#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

// The processor may know AVX while the operating system does not save its registers: XCR0 tells.
static uint64_t saved_registers(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

tk_isa tk_best_isa(void) {
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return TK_PORTABLE;
    const uint32_t fma = 1u << 12, osxsave = 1u << 27, avx = 1u << 28;
    if ((c & (fma | osxsave | avx)) != (fma | osxsave | avx)) return TK_PORTABLE;
    uint64_t saved = saved_registers();
    const uint64_t sse_and_avx = 0x06, and_avx512 = 0xe6;
    if ((saved & sse_and_avx) != sse_and_avx) return TK_PORTABLE;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return TK_PORTABLE;
    const uint32_t avx2 = 1u << 5, f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    if (!(b & avx2)) return TK_PORTABLE;
    if ((b & (f | dq | bw | vl)) != (f | dq | bw | vl) || (saved & and_avx512) != and_avx512) return TK_AVX2;
    return TK_AVX512;
}

static const unsigned flush_and_daz = 0x8040;

void tk_flush_denormals(void) { _mm_setcsr(_mm_getcsr() | flush_and_daz); }
int tk_flushes_denormals(void) { return (_mm_getcsr() & flush_and_daz) == flush_and_daz; }

#elif defined(__aarch64__)

tk_isa tk_best_isa(void) { return TK_PORTABLE; }

// FPCR.FZ flushes denormal inputs and results.
void tk_flush_denormals(void) {
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control | 1u << 24));
}
int tk_flushes_denormals(void) {
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    return (control >> 24 & 1) == 1;
}

#else
#error "denormals have no known switch on this processor, and results would depend on it"
#endif
