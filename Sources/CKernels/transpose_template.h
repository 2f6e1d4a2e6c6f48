// Transposing in registers.
#pragma once

// Transposes 16 rows of 16 elements in `a`, vectors of type T: four rounds that interleave row r with row r + 8.
#define TRANSPOSE_16(T, a)                                                                           \
    do {                                                                                             \
        T interleaved[16];                                                                           \
        UNROLL for (int round = 0; round < 4; round++) {                                             \
            UNROLL for (int r = 0; r < 8; r++) {                                                     \
                interleaved[2 * r] = __builtin_shufflevector(                                        \
                    a[r], a[r + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);         \
                interleaved[2 * r + 1] = __builtin_shufflevector(                                    \
                    a[r], a[r + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);   \
            }                                                                                        \
            UNROLL for (int r = 0; r < 16; r++) a[r] = interleaved[r];                               \
        }                                                                                            \
    } while (0)
