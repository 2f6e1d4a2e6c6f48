// The choice among the instruction sets.
#pragma once

#include "kernels.h"

// Calls `function` of the chosen instruction set and returns what it returns.
#if defined(__x86_64__)
#define DISPATCH(isa, function, ...)                                        \
    switch (isa) {                                                          \
    case TK_AVX512: return tk_avx512_##function(__VA_ARGS__);               \
    case TK_AVX2: return tk_avx2_##function(__VA_ARGS__);                   \
    case TK_PORTABLE: break;                                                \
    }                                                                       \
    return tk_portable_##function(__VA_ARGS__)
#else
#define DISPATCH(isa, function, ...) return tk_portable_##function(__VA_ARGS__)
#endif
