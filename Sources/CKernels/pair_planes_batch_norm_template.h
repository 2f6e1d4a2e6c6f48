// Batch normalisation over lines of pairs; included after pair_planes_template.h.

// Pairs whose sums are kept while a band of tiles is passed over, and how many of them run side by side in registers.
enum { KEPT_PAIRS = 16, SUMMED_PAIRS = 2 };

// One number of each channel of a pair; an odd channel that is not there has 0.
typedef struct {
    V even, odd;
} Coefficient;

static INLINE Coefficient coefficient(const float *of_channel, size_t p, const int has_odd) {
    return (Coefficient){v_set1(of_channel[2 * p]), has_odd ? v_set1(of_channel[2 * p + 1]) : v_zero()};
}

// What sums are made of: dy and x̂ = (z - mean) · inverse_deviation.
typedef struct {
    const tk_planes_shape *shape;
    Steps steps;
    const uint32_t *z, *dy;
    const float *mean, *inverse_deviation;
} Summed;

// Both sums of the two channels of a pair, by lane.
typedef struct {
    V even[2], odd[2];
} PairSums;

// Adds the pixels of the rows top ..< bottom to the sums of `count` pairs from `p` on, tile by tile. `has_odd`: whether
// the last of them has an odd channel.
static INLINE void sum_band(
    const int count, const int has_odd, const Summed *s, size_t block, size_t p, size_t top,
    size_t bottom, size_t tile_columns, PairSums *kept) {
    PairSums sums[SUMMED_PAIRS];
    Coefficient mean[SUMMED_PAIRS], inverse[SUMMED_PAIRS];
    UNROLL for (int k = 0; k < count; k++) {
        sums[k] = kept[k];
        mean[k] = coefficient(s->mean, p + (size_t)k, k + 1 < count || has_odd);
        inverse[k] = coefficient(s->inverse_deviation, p + (size_t)k, k + 1 < count || has_odd);
    }
    size_t start = block * s->steps.block + TK_LANES * p;
    for (size_t left = 0; left < s->shape->width; left += tile_columns) {
        size_t columns = s->shape->width - left < tile_columns ? s->shape->width - left : tile_columns;
        for (size_t row = top; row < bottom; row++) {
            size_t at = start + pixel_at(&s->steps, row, left);
            for (size_t c = 0; c < columns; c++, at += s->steps.pixel) {
                UNROLL for (int k = 0; k < count; k++) {
                    W z = w_load(s->z + at + TK_LANES * (size_t)k);
                    W dy = w_load(s->dy + at + TK_LANES * (size_t)k);
                    V even = w_even(dy), odd = w_odd(dy);
                    V even_x = v_mul(v_sub(w_even(z), mean[k].even), inverse[k].even);
                    V odd_x = v_mul(v_sub(w_odd(z), mean[k].odd), inverse[k].odd);
                    sums[k].even[0] = v_add(sums[k].even[0], even);
                    sums[k].odd[0] = v_add(sums[k].odd[0], odd);
                    sums[k].even[1] = v_fma(even, even_x, sums[k].even[1]);
                    sums[k].odd[1] = v_fma(odd, odd_x, sums[k].odd[1]);
                }
            }
        }
    }
    UNROLL for (int k = 0; k < count; k++) kept[k] = sums[k];
}

void NAME(batch_norm_gradient_sums)(
    const tk_planes_shape *shape, const uint32_t *dy, const uint32_t *z, const float *mean,
    const float *inverse_deviation, float *sums, size_t examples) {
    const Summed summed = {shape, steps_of(shape), z, dy, mean, inverse_deviation};
    const Summed *s = &summed;
    size_t tile_rows = shape->width > 2 && shape->width <= 4 ? 4 : 2;
    size_t tile_columns = shape->width > 4 ? 8 : shape->width > 2 ? 4 : 2;
    for (size_t block = 0; block * TK_LANES < examples; block++) {
        uint16_t lanes = lanes_in_use(examples, block);
        for (size_t first = 0; first < s->steps.pairs; first += KEPT_PAIRS) {
            size_t last = first + KEPT_PAIRS < s->steps.pairs ? first + KEPT_PAIRS : s->steps.pairs;
            PairSums kept[KEPT_PAIRS] = {0};
            for (size_t top = 0; top < shape->height; top += tile_rows) {
                size_t bottom = top + tile_rows < shape->height ? top + tile_rows : shape->height;
                size_t p = first;
#define SUM(count, has_odd) \
    sum_band(count, has_odd, s, block, p, top, bottom, tile_columns, kept + (p - first))
                for (; p + SUMMED_PAIRS <= last && 2 * (p + SUMMED_PAIRS) <= shape->channels; p += SUMMED_PAIRS) {
                    SUM(SUMMED_PAIRS, 1);
                }
                for (; p < last; p++) {
                    if (2 * p + 1 < shape->channels) SUM(1, 1);
                    else SUM(1, 0);
                }
#undef SUM
            }
            for (size_t p = first; p < last; p++) {
                const PairSums *of = kept + (p - first);
                for (int n = 0; n < 2; n++) {
                    float *to = sums + 2 * (block * shape->channels + 2 * p);
                    to[n] = sum_of_lanes(v_masked(lanes, of->even[n]));
                    if (2 * p + 1 < shape->channels) to[2 + n] = sum_of_lanes(v_masked(lanes, of->odd[n]));
                }
            }
        }
    }
}

// The halves of pair `p` whose channels are live, or all.
static INLINE W live_halves(const uint8_t *live, size_t p, const int has_odd) {
    return w_keeping(!live || live[2 * p], has_odd && (!live || live[2 * p + 1]));
}

typedef struct {
    const float *scale, *shift;
    const uint32_t *z, *shortcut;
    const uint8_t *live;
    uint32_t *y;
} Applied;

static INLINE P apply_to_line(
    const int has_shortcut, const int rectify, const int masked, const int has_odd, const Applied *a, size_t p,
    size_t at, P magnitude) {
    Coefficient scale = coefficient(a->scale, p, has_odd), shift = coefficient(a->shift, p, has_odd);
    W z = w_load(a->z + at);
    V even = v_fma(w_even(z), scale.even, shift.even), odd = v_fma(w_odd(z), scale.odd, shift.odd);
    if (has_shortcut) {
        W shortcut = w_load(a->shortcut + at);
        even = v_add(even, w_even(shortcut));
        odd = v_add(odd, w_odd(shortcut));
    }
    W y = w_rounded(v_add(even, v_zero()), v_add(odd, v_zero()));
    if (masked) y = w_and(y, live_halves(a->live, p, has_odd));
    magnitude = p_max(magnitude, y);
    w_store(a->y + at, rectify ? w_rectified(y) : y);
    return magnitude;
}

static INLINE P apply_to_block(
    const int has_shortcut, const int rectify, const int masked, const tk_planes_shape *shape, const Steps *steps,
    size_t block, const Applied *a, P magnitude) {
    for (size_t row = 0; row < shape->height; row++) {
        size_t at = block * steps->block + pixel_at(steps, row, 0), end = at + shape->width * steps->pixel;
        while (at < end) {
            size_t p = 0;
            for (; 2 * p + 1 < shape->channels; p++, at += TK_LANES) {
                magnitude = apply_to_line(has_shortcut, rectify, masked, 1, a, p, at, magnitude);
            }
            for (; p < steps->pairs; p++, at += TK_LANES) {
                magnitude = apply_to_line(has_shortcut, rectify, masked, 0, a, p, at, magnitude);
            }
        }
    }
    return magnitude;
}

tk_magnitude NAME(batch_norm_apply)(
    const tk_planes_shape *shape, const uint32_t *z, const float *scale, const float *shift, const uint32_t *shortcut,
    int rectify, const uint8_t *live, uint32_t *y, size_t blocks) {
    Steps steps = steps_of(shape);
    const Applied applied = {scale, shift, z, shortcut, live, y};
    P magnitude = p_zero();
    for (size_t block = 0; block < blocks; block++) {
#define APPLY(has_shortcut, rectify) \
    (live ? apply_to_block(has_shortcut, rectify, 1, shape, &steps, block, &applied, magnitude) \
          : apply_to_block(has_shortcut, rectify, 0, shape, &steps, block, &applied, magnitude))
        if (shortcut) magnitude = rectify ? APPLY(1, 1) : APPLY(1, 0);
        else magnitude = rectify ? APPLY(0, 1) : APPLY(0, 0);
#undef APPLY
    }
    return p_result(magnitude);
}

typedef struct {
    const uint32_t *dy, *z;
    const float *a, *b, *c;
    const uint8_t *live;
    uint32_t *dz;
} Derived;

static INLINE P gradient_of_line(
    const int masked, const int has_odd, const Derived *d, size_t p, W lanes, size_t at, P magnitude) {
    Coefficient a = coefficient(d->a, p, has_odd), b = coefficient(d->b, p, has_odd), c = coefficient(d->c, p, has_odd);
    W dy = w_load(d->dy + at), z = w_load(d->z + at);
    V even = v_add(v_fma(a.even, w_even(dy), v_fma(b.even, w_even(z), c.even)), v_zero());
    V odd = v_add(v_fma(a.odd, w_odd(dy), v_fma(b.odd, w_odd(z), c.odd)), v_zero());
    W dz = w_rounded(even, odd);
    if (masked) dz = w_and(dz, w_and(lanes, live_halves(d->live, p, has_odd)));
    w_store(d->dz + at, dz);
    return p_max(magnitude, dz);
}

static INLINE P gradient_of_block(
    const int masked, const tk_planes_shape *shape, const Steps *steps, size_t block, const Derived *d, W lanes,
    P magnitude) {
    for (size_t row = 0; row < shape->height; row++) {
        size_t at = block * steps->block + pixel_at(steps, row, 0), end = at + shape->width * steps->pixel;
        while (at < end) {
            size_t p = 0;
            for (; 2 * p + 1 < shape->channels; p++, at += TK_LANES) {
                magnitude = gradient_of_line(masked, 1, d, p, lanes, at, magnitude);
            }
            for (; p < steps->pairs; p++, at += TK_LANES) {
                magnitude = gradient_of_line(masked, 0, d, p, lanes, at, magnitude);
            }
        }
    }
    return magnitude;
}

tk_magnitude NAME(batch_norm_gradient)(
    const tk_planes_shape *shape, const uint32_t *dy, const uint32_t *z, const float *a, const float *b, const float *c,
    const uint8_t *live, size_t examples, uint32_t *dz) {
    Steps steps = steps_of(shape);
    const Derived derived = {dy, z, a, b, c, live, dz};
    P magnitude = p_zero();
    for (size_t block = 0; block * TK_LANES < examples; block++) {
        uint16_t lanes = lanes_in_use(examples, block);
        magnitude = live || lanes != 0xffff
            ? gradient_of_block(1, shape, &steps, block, &derived, w_of_lanes(lanes), magnitude)
            : gradient_of_block(0, shape, &steps, block, &derived, w_zero(), magnitude);
    }
    return p_result(magnitude);
}
