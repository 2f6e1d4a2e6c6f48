// Rounding to bf16 by integer arithmetic, for processors without instructions that do it. See tile_kernels.h for the
// rule.
#pragma once

#include "pairs.h"

// In the upper halves; the lower halves are of no use.
static INLINE W rounded_into_upper(V v) {
    Floats x;
    __builtin_memcpy(&x, &v, sizeof x);
    // Adding +0 flushes denormals and leaves no -0, as the rules want it.
    x = x + 0.0f;
    Words bits = (Words)x;
    // The sum may carry a NaN over into a number.
    return (W){(bits + 0x7fffu + ((bits >> 16) & 1u)) | ((Words)(x != x) & 0x7fc00000u)};
}

// A line of pairs: the values of the even channel and of the odd one.
static INLINE W w_rounded(V even, V odd) {
    return (W){(rounded_into_upper(even).w >> 16) | (rounded_into_upper(odd).w & 0xffff0000u)};
}

// 16 values.
static INLINE void round_line(const float *line, Halves *to) {
    *to = __builtin_convertvector(rounded_into_upper(v_load(line)).w >> 16, Halves);
}
