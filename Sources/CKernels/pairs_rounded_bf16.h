// Rounding to bf16 by AVX512_BF16. Its instructions leave -0 as it is, where the rules want +0: what is stored has
// none, and in products and sums from +0 on that makes no difference but in the sign of a zero, which results do not
// show.
#pragma once

#include "pairs.h"

// A line of pairs: the values of the even channel and of the odd one.
static INLINE W w_rounded(V even, V odd) {
    static const uint16_t interleaved[32] __attribute__((aligned(64))) = {
        0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31,
    };
    __m512i halves = (__m512i)_mm512_cvtne2ps_pbh(odd, even);
    return (W){(Words)_mm512_permutexvar_epi16(_mm512_load_si512(interleaved), halves)};
}

// 16 values.
static INLINE void round_line(const float *line, Halves *to) {
    __m256bh rounded = _mm512_cvtneps_pbh(_mm512_load_ps(line));
    __builtin_memcpy(to, &rounded, sizeof *to);
}
