// Batch normalisation over vectors of 16 lanes; included after planes_template.h.

// Channels whose sums run side by side, so that an fma need not wait for the one before it.
enum { SUMMED_CHANNELS = 2 };

// What makes x̂ = (z - mean) · inverse_deviation of a channel.
typedef struct {
    V mean, inverse_deviation;
} Standard;

// The sums of dy and dy · x̂ of `count` channels that follow each other, in one block. `ahead`: asks for the next rows
// of tiles, line by line in the order of memory.
static INLINE void sum_channels(
    const int count, const int ahead, const tk_planes_shape *shape, const Strides *strides, const float *z,
    const float *dy, const Standard standard[SUMMED_CHANNELS], uint16_t lanes, float *sums) {
    size_t tile_rows = shape->width > 2 && shape->width <= 4 ? 4 : 2;
    size_t tile_columns = shape->width > 4 ? 8 : shape->width > 2 ? 4 : 2;
    V first[SUMMED_CHANNELS], second[SUMMED_CHANNELS];
    UNROLL for (int k = 0; k < count; k++) first[k] = second[k] = v_zero();
    for (size_t top = 0; top < shape->height; top += tile_rows) {
        size_t bottom = top + tile_rows < shape->height ? top + tile_rows : shape->height;
        size_t next = row_start(strides, bottom);
        for (size_t left = 0; left < shape->width; left += tile_columns) {
            size_t columns = shape->width - left < tile_columns ? shape->width - left : tile_columns;
            for (size_t row = top; row < bottom; row++) {
                size_t at = row_start(strides, row) + TK_LANES * left, end = at + TK_LANES * columns;
                for (; at < end; at += TK_LANES, next += TK_LANES) {
                    UNROLL for (int k = 0; k < count; k++) {
                        size_t place = at + (size_t)k * strides->plane;
                        if (ahead) {
                            ask_for_lines(z + next + (size_t)k * strides->plane, 1);
                            ask_for_lines(dy + next + (size_t)k * strides->plane, 1);
                        }
                        V x = v_mul(v_sub(v_load(z + place), standard[k].mean), standard[k].inverse_deviation);
                        V term = v_load(dy + place);
                        first[k] = v_add(first[k], term);
                        second[k] = v_fma(term, x, second[k]);
                        v_pin(&first[k]);
                        v_pin(&second[k]);
                    }
                }
            }
        }
    }
    UNROLL for (int k = 0; k < count; k++) {
        sums[2 * k] = sum_of_lanes(v_masked(lanes, first[k]));
        sums[2 * k + 1] = sum_of_lanes(v_masked(lanes, second[k]));
    }
}

void NAME(batch_norm_gradient_sums)(
    const tk_planes_shape *shape, const float *dy, const float *z, const float *mean, const float *inverse_deviation,
    float *sums, size_t examples) {
    Strides strides = strides_of(shape);
    // In smaller maps the rows of a tile lie close together, and asking costs more than it brings.
    int wide = shape->width > 8;
    for (size_t block = 0; block * TK_LANES < examples; block++) {
        uint16_t lanes = lanes_in_use(examples, block);
        for (size_t channel = 0; channel < shape->channels;) {
            size_t at = block * strides.block + channel * strides.plane;
            int pair = channel + SUMMED_CHANNELS <= shape->channels;
            size_t count = pair ? SUMMED_CHANNELS : 1;
            Standard standard[SUMMED_CHANNELS];
            for (size_t k = 0; k < count; k++) {
                standard[k] = (Standard){v_set1(mean[channel + k]), v_set1(inverse_deviation[channel + k])};
            }
#define SUM(count, ahead) sum_channels(count, ahead, shape, &strides, z + at, dy + at, standard, lanes, sums)
            if (pair && wide) SUM(SUMMED_CHANNELS, 1);
            else if (pair) SUM(SUMMED_CHANNELS, 0);
            else SUM(1, 0);
#undef SUM
            sums += 2 * count;
            channel += count;
        }
    }
}

static INLINE void clear_map(const tk_planes_shape *shape, const Strides *strides, float *map) {
    for (size_t row = 0; row < shape->height; row++) {
        float *line = map + row_start(strides, row);
        for (size_t column = 0; column < shape->width; column++) v_store(line + TK_LANES * column, v_zero());
    }
}

static INLINE U apply_to_map(
    const int has_shortcut, const int rectify, const tk_planes_shape *shape, const Strides *strides, V scale, V shift,
    const float *z, const float *shortcut, float *y, U magnitude) {
    for (size_t row = 0; row < shape->height; row++) {
        size_t at = row_start(strides, row), end = at + TK_LANES * shape->width;
        for (; at < end; at += TK_LANES) {
            V value = v_fma(v_load(z + at), scale, shift);
            if (has_shortcut) value = v_add(value, v_load(shortcut + at));
            magnitude = u_max(magnitude, value);
            // A rectified value is no -0.
            v_store(y + at, rectify ? v_rectified(value) : v_add(value, v_zero()));
        }
    }
    return magnitude;
}

tk_magnitude NAME(batch_norm_apply)(
    const tk_planes_shape *shape, const float *z, const float *scale, const float *shift, const float *shortcut,
    int rectify, const uint8_t *live, float *y, size_t blocks) {
    Strides strides = strides_of(shape);
    U magnitude = u_zero();
    for (size_t block = 0; block < blocks; block++) {
        for (size_t channel = 0; channel < shape->channels; channel++) {
            size_t at = block * strides.block + channel * strides.plane;
            if (live && !live[channel]) {
                clear_map(shape, &strides, y + at);
                continue;
            }
            V s = v_set1(scale[channel]), t = v_set1(shift[channel]);
#define APPLY(has_shortcut, rectify)                                                                        \
    apply_to_map(                                                                                           \
        has_shortcut, rectify, shape, &strides, s, t, z + at, has_shortcut ? shortcut + at : NULL, y + at, \
        magnitude)
            if (shortcut) magnitude = rectify ? APPLY(1, 1) : APPLY(1, 0);
            else magnitude = rectify ? APPLY(0, 1) : APPLY(0, 0);
#undef APPLY
        }
    }
    return u_result(magnitude);
}

static INLINE U gradient_of_map(
    const tk_planes_shape *shape, const Strides *strides, V a, V b, V c, uint16_t lanes, const float *dy,
    const float *z, float *dz, U magnitude) {
    for (size_t row = 0; row < shape->height; row++) {
        size_t at = row_start(strides, row), end = at + TK_LANES * shape->width;
        for (; at < end; at += TK_LANES) {
            V value = v_fma(a, v_load(dy + at), v_fma(b, v_load(z + at), c));
            value = v_masked(lanes, v_add(value, v_zero()));
            v_store(dz + at, value);
            magnitude = u_max(magnitude, value);
        }
    }
    return magnitude;
}

tk_magnitude NAME(batch_norm_gradient)(
    const tk_planes_shape *shape, const float *dy, const float *z, const float *a, const float *b, const float *c,
    const uint8_t *live, size_t examples, float *dz) {
    Strides strides = strides_of(shape);
    U magnitude = u_zero();
    for (size_t block = 0; block * TK_LANES < examples; block++) {
        uint16_t lanes = lanes_in_use(examples, block);
        for (size_t channel = 0; channel < shape->channels; channel++) {
            size_t at = block * strides.block + channel * strides.plane;
            if (live && !live[channel]) {
                clear_map(shape, &strides, dz + at);
                continue;
            }
            V va = v_set1(a[channel]), vb = v_set1(b[channel]), vc = v_set1(c[channel]);
            // Two loops, so that the one for full blocks has no lanes to choose.
            magnitude = lanes == 0xffff
                ? gradient_of_map(shape, &strides, va, vb, vc, 0xffff, dy + at, z + at, dz + at, magnitude)
                : gradient_of_map(shape, &strides, va, vb, vc, lanes, dy + at, z + at, dz + at, magnitude);
        }
    }
    return u_result(magnitude);
}
