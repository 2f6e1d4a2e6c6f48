// Pixels of images as lanes, for the layouts that images are loaded into. A file that includes this one has defined the
// vectors of one instruction set.

#include "transpose_template.h"

// (pixel / 255 - mean) / deviation for 16 pixels.
static INLINE V normalised(const uint8_t *pixels, float mean, float deviation) {
    V value = v_div(v_pixels(pixels), v_set1(255.0f));
    // x - 0 and x / 1 change nothing; a division costs more than the test.
    if (mean != 0 || deviation != 1) value = v_div(v_sub(value, v_set1(mean)), v_set1(deviation));
    return v_add(value, v_zero());
}

typedef uint8_t bytes16 __attribute__((ext_vector_type(16)));

// Transposes 16 rows of 16 bytes.
static INLINE void transpose_bytes(const uint8_t *const rows[16], uint8_t columns[16][16]) {
    bytes16 a[16];
    UNROLL for (int r = 0; r < 16; r++) __builtin_memcpy(&a[r], rows[r], 16);
    TRANSPOSE_16(bytes16, a);
    UNROLL for (int r = 0; r < 16; r++) __builtin_memcpy(columns[r], &a[r], 16);
}
