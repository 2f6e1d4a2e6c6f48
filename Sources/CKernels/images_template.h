// Pixels of images as lanes, for the layouts that images are loaded into. A file that includes this one has defined the
// vectors of one instruction set.

#include "transpose_template.h"

// a / b, correctly rounded, from 1 / b, correctly rounded: a division takes as long as a dozen other operations. The first
// correction leaves a neighbour of the quotient, after which the second is exact (Markstein 1990, "Computation of
// elementary functions on the IBM RISC System/6000 processor", theorem 5). Only where nothing over- or underflows.
static INLINE V quotient(V a, V b, V reciprocal) {
    V minus = v_sub(v_zero(), b);
    V q = v_mul(a, reciprocal);
    q = v_fma(v_fma(q, minus, a), reciprocal, q);
    return v_fma(v_fma(q, minus, a), reciprocal, q);
}

// What becomes of a channel's pixels.
typedef struct {
    V mean, deviation, reciprocal;
    int scales;   // whether they are more than divided by 255
    int refines;  // whether both are of a size for `quotient`
} Scale;

static INLINE Scale scale_of(float mean, float deviation) {
    V divisor = v_set1(deviation);
    float size = mean < 0 ? -mean : mean;
    int is_moderate = deviation > 0x1p-40f && deviation < 0x1p40f && (mean == 0 || (size > 0x1p-40f && size < 0x1p40f));
    return (Scale){
        v_set1(mean), divisor, v_div(v_set1(1), divisor),
        // x - 0 and x / 1 change nothing.
        mean != 0 || deviation != 1, FUSED && is_moderate};
}

// (pixel / 255 - mean) / deviation for 16 pixels.
static INLINE V normalised(const uint8_t *pixels, const Scale *scale) {
    V value = v_pixels(pixels), most = v_set1(255);
    value = FUSED ? quotient(value, most, v_set1(1.0f / 255)) : v_div(value, most);
    if (scale->scales) {
        value = v_sub(value, scale->mean);
        value = scale->refines ? quotient(value, scale->deviation, scale->reciprocal) : v_div(value, scale->deviation);
    }
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
