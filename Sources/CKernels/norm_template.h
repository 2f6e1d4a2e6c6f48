// What clipping needs: a sum of squares in f64, and a scaling; included by dense_template.h, which says what it needs.

typedef double doubles16 __attribute__((ext_vector_type(16)));

// Adds the squares of 16 values, which are exact, to their lanes.
static INLINE void add_squares(const float *values, doubles16 *sum) {
    doubles16 wide = __builtin_convertvector(*(const floats16 *)values, doubles16);
    *sum = *sum + wide * wide;
}

// The tree l + (l+8), l + (l+4), l + (l+2), l + (l+1).
static INLINE double sum_of_doubles(const doubles16 *sum) {
    double lane[TK_LANES];
    __builtin_memcpy(lane, sum, sizeof lane);
    for (int half = TK_LANES / 2; half > 0; half /= 2) {
        for (int l = 0; l < half; l++) lane[l] = lane[l] + lane[l + half];
    }
    return lane[0];
}

double NAME(sum_of_squares)(size_t count, const float *values) {
    doubles16 sum = (doubles16)0.0;
    for (size_t n = 0; n < count; n += TK_LANES) add_squares(values + n, &sum);
    return sum_of_doubles(&sum);
}

double NAME(sum_of_squares_masked)(size_t rows, size_t padded_inputs, const uint16_t *mask, const float *values) {
    doubles16 sum = (doubles16)0.0;
    // Survivors that do not fill 16 lanes yet.
    float kept[2 * TK_LANES] __attribute__((aligned(64)));
    size_t count = 0;
    for (size_t n = 0; n < rows * padded_inputs; n += TK_LANES) {
        uint16_t word = mask[n / TK_LANES];
        if (word == 0) continue;
        if (word == 0xffff && count == 0) {
            add_squares(values + n, &sum);
            continue;
        }
        v_compress(kept + count, word, v_load(values + n));
        count += (size_t)__builtin_popcount(word);
        if (count < TK_LANES) continue;
        add_squares(kept, &sum);
        count -= TK_LANES;
        __builtin_memcpy(kept, kept + TK_LANES, TK_LANES * sizeof *kept);
    }
    for (size_t l = count; l < TK_LANES; l++) kept[l] = 0.0f;
    add_squares(kept, &sum);
    return sum_of_doubles(&sum);
}

void NAME(scale)(size_t count, float factor, float *values) {
    V by = v_set1(factor);
    for (size_t n = 0; n < count; n += TK_LANES) v_store(values + n, v_add(v_mul(v_load(values + n), by), v_zero()));
}
