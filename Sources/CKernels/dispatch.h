// The choice among the instruction sets.
#pragma once

#include "tile_kernels.h"

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

// The same among the backends of bf16.
#if defined(__x86_64__)
#define DISPATCH_TILES(backend, function, ...)                              \
    switch (backend) {                                                      \
    case TK_TILES_AMX: return tk_amx_##function(__VA_ARGS__);               \
    case TK_TILES_AVX512: return tk_avx512_##function(__VA_ARGS__);         \
    case TK_TILES_AVX2: return tk_avx2_##function(__VA_ARGS__);             \
    case TK_TILES_PORTABLE: break;                                          \
    }                                                                       \
    return tk_portable_##function(__VA_ARGS__)
#else
#define DISPATCH_TILES(backend, function, ...) return tk_portable_##function(__VA_ARGS__)
#endif
