// Loading, pooling, flattening and shortcuts over lines of pairs. A file that includes this one has defined what
// planes_template.h needs, lines of pairs and their rounding as in pairs_rounded.h, and NAME(f).

#include "maps_template.h"

// Pairs whose averages are summed side by side, so that no add waits for the one before it.
enum { AVERAGED_PAIRS = 4 };

// The sizes of pair planes, in words but for `pairs`, the lines of a pixel.
typedef struct {
    size_t pairs, pixel, row, block;
} Steps;

static INLINE Steps steps_of(const tk_planes_shape *shape) {
    size_t pairs = (shape->channels + 1) / 2, pixel = TK_LANES * pairs, row = (shape->width + 2) * pixel;
    return (Steps){pairs, pixel, row, (shape->height + 2) * row};
}

// Where pixel (row, column) is, from the first halo corner of its block.
static INLINE size_t pixel_at(const Steps *steps, size_t row, size_t column) {
    return (row + 1) * steps->row + (column + 1) * steps->pixel;
}

static INLINE tk_planes_shape halved_shape(const tk_planes_shape *shape) {
    return (tk_planes_shape){shape->channels, shape->height / 2, shape->width / 2};
}

// Stores one line of the gradient of a tensor, `at` words from where its buffers start. Its magnitude is that before
// the gate, so that no infinity is lost.
static INLINE P store_gradient(
    V even, V odd, const uint32_t *addend, const uint32_t *gate, uint32_t *dx, size_t at, P magnitude) {
    if (addend) {
        W other = w_load(addend + at);
        even = v_add(even, w_even(other));
        odd = v_add(odd, w_odd(other));
    }
    even = v_add(even, v_zero());
    odd = v_add(odd, v_zero());
    W stored = w_rounded(even, odd);
    magnitude = p_max(magnitude, stored);
    if (gate) stored = w_where_positive(w_load(gate + at), stored);
    w_store(dx + at, stored);
    return magnitude;
}

void NAME(load_planes)(
    const uint8_t *images, const int32_t *indices, size_t count, const tk_planes_shape *shape, size_t blocks,
    const float *means, const float *deviations, uint32_t *y) {
    Steps steps = steps_of(shape);
    size_t pixels = shape->height * shape->width;
    for (size_t block = 0; block < blocks; block++) {
        const uint8_t *image[TK_LANES];
        for (size_t l = 0; l < TK_LANES; l++) {
            size_t example = block * TK_LANES + l;
            image[l] = images + (size_t)indices[example < count ? example : count - 1] * shape->channels * pixels;
        }
        for (size_t first = 0; first < pixels; first += TK_LANES) {
            size_t width = pixels - first < TK_LANES ? pixels - first : TK_LANES;
            for (size_t p = 0; p < steps.pairs; p++) {
                uint8_t lines[2][TK_LANES][TK_LANES], ragged[TK_LANES][TK_LANES];
                int count_of_two = 2 * p + 1 < shape->channels ? 2 : 1;
                for (int c = 0; c < count_of_two; c++) {
                    const uint8_t *source[TK_LANES];
                    for (size_t l = 0; l < TK_LANES; l++) {
                        source[l] = image[l] + (2 * p + (size_t)c) * pixels + first;
                        if (width == TK_LANES) continue;
                        // A load of 16 pixels would reach past the last image.
                        __builtin_memset(ragged[l], 0, TK_LANES);
                        for (size_t n = 0; n < width; n++) ragged[l][n] = source[l][n];
                        source[l] = ragged[l];
                    }
                    transpose_bytes(source, lines[c]);
                }
                Scale scale = scale_of(means[2 * p], deviations[2 * p]), other = scale;
                if (count_of_two == 2) other = scale_of(means[2 * p + 1], deviations[2 * p + 1]);
                for (size_t n = 0; n < width; n++) {
                    size_t row = (first + n) / shape->width, column = (first + n) % shape->width;
                    V even = normalised(lines[0][n], &scale), odd = v_zero();
                    if (count_of_two == 2) odd = normalised(lines[1][n], &other);
                    uint32_t *line = y + block * steps.block + pixel_at(&steps, row, column) + TK_LANES * p;
                    w_store(line, w_rounded(even, odd));
                }
            }
        }
    }
}

static INLINE V best_of(V first, V second, V third, V fourth) {
    Winners winners;
    return v_add(v_largest(first, second, third, fourth, &winners), v_zero());
}

tk_magnitude NAME(max_pool)(const tk_planes_shape *shape, const uint32_t *x, uint32_t *y, size_t blocks) {
    tk_planes_shape halved = halved_shape(shape);
    Steps in = steps_of(shape), out = steps_of(&halved);
    P magnitude = p_zero();
    for (size_t n = 0; n < blocks * halved.height; n++) {
        size_t block = n / halved.height, row = n % halved.height;
        const uint32_t *above = x + block * in.block + pixel_at(&in, 2 * row, 0);
        uint32_t *result = y + block * out.block + pixel_at(&out, row, 0);
        for (size_t column = 0; column < halved.width; column++, above += in.pixel) {
            for (size_t p = 0; p < in.pairs; p++, above += TK_LANES, result += TK_LANES) {
                W a = w_load(above), b = w_load(above + in.pixel);
                W c = w_load(above + in.row), d = w_load(above + in.row + in.pixel);
                V even = best_of(w_even(a), w_even(b), w_even(c), w_even(d));
                W best = w_rounded(even, best_of(w_odd(a), w_odd(b), w_odd(c), w_odd(d)));
                w_store(result, best);
                magnitude = p_max(magnitude, best);
            }
        }
    }
    return p_result(magnitude);
}

// What each of four pixels is given of the gradient by the largest.
static INLINE void share(V first, V second, V third, V fourth, V rest, V shares[4]) {
    Winners winners;
    v_largest(first, second, third, fourth, &winners);
    v_shares(&winners, rest, shares);
}

tk_magnitude NAME(max_pool_gradient)(
    const tk_planes_shape *shape, const uint32_t *x, const uint32_t *dy, const uint32_t *addend, const uint32_t *gate,
    uint32_t *dx, size_t blocks) {
    tk_planes_shape halved = halved_shape(shape);
    Steps in = steps_of(shape), out = steps_of(&halved);
    P magnitude = p_zero();
    for (size_t block = 0; block < blocks; block++) {
        for (size_t row = 0; row < halved.height; row++) {
            size_t at = block * in.block + pixel_at(&in, 2 * row, 0);
            const uint32_t *term = dy + block * out.block + pixel_at(&out, row, 0);
            for (size_t column = 0; column < halved.width; column++, at += in.pixel) {
                for (size_t p = 0; p < in.pairs; p++, at += TK_LANES, term += TK_LANES) {
                    size_t places[4] = {at, at + in.pixel, at + in.row, at + in.row + in.pixel};
                    W a = w_load(x + places[0]), b = w_load(x + places[1]);
                    W c = w_load(x + places[2]), d = w_load(x + places[3]), rest = w_load(term);
                    V even[4], odd[4];
                    share(w_even(a), w_even(b), w_even(c), w_even(d), w_even(rest), even);
                    share(w_odd(a), w_odd(b), w_odd(c), w_odd(d), w_odd(rest), odd);
                    UNROLL for (int n = 0; n < 4; n++) {
                        magnitude = store_gradient(even[n], odd[n], addend, gate, dx, places[n], magnitude);
                    }
                }
            }
        }
        // What an odd last row or column leaves out.
        for (size_t row = 0; row < shape->height; row++) {
            size_t first = row < 2 * halved.height ? 2 * halved.width : 0;
            for (size_t column = first; column < shape->width; column++) {
                for (size_t p = 0; p < in.pairs; p++) {
                    size_t at = block * in.block + pixel_at(&in, row, column) + TK_LANES * p;
                    magnitude = store_gradient(v_zero(), v_zero(), addend, gate, dx, at, magnitude);
                }
            }
        }
    }
    return p_result(magnitude);
}

// The averages of `count` pairs that follow each other; their chains run side by side. `channels`: how many of them
// there are.
static INLINE U average_pairs(
    const int count, const tk_planes_shape *shape, const Steps *steps, V factor, const uint32_t *x, float *y,
    size_t y_stride, size_t channels, U magnitude) {
    V even[AVERAGED_PAIRS], odd[AVERAGED_PAIRS];
    UNROLL for (int p = 0; p < count; p++) even[p] = odd[p] = v_zero();
    for (size_t row = 0; row < shape->height; row++) {
        const uint32_t *line = x + pixel_at(steps, row, 0);
        for (size_t column = 0; column < shape->width; column++, line += steps->pixel) {
            UNROLL for (int p = 0; p < count; p++) {
                W values = w_load(line + TK_LANES * p);
                even[p] = v_add(even[p], w_even(values));
                odd[p] = v_add(odd[p], w_odd(values));
            }
        }
    }
    UNROLL for (int p = 0; p < count; p++) {
        V mean = v_add(v_mul(even[p], factor), v_zero()), second = v_add(v_mul(odd[p], factor), v_zero());
        magnitude = u_max(u_max(magnitude, mean), second);
        v_store(y + (size_t)(2 * p) * y_stride, mean);
        if ((size_t)(2 * p + 1) < channels) v_store(y + (size_t)(2 * p + 1) * y_stride, second);
    }
    return magnitude;
}

tk_magnitude NAME(average_pool)(const tk_planes_shape *shape, const uint32_t *x, float *y, size_t blocks) {
    Steps steps = steps_of(shape);
    V factor = reciprocal_of_pixels(shape);
    U magnitude = u_zero();
    size_t y_stride = blocks * TK_LANES;
    for (size_t block = 0; block < blocks; block++) {
        for (size_t p = 0; p < steps.pairs;) {
            const uint32_t *pair = x + block * steps.block + TK_LANES * p;
            float *mean = y + block * TK_LANES + 2 * p * y_stride;
            size_t channels = shape->channels - 2 * p;
            int many = p + AVERAGED_PAIRS <= steps.pairs;
            magnitude = many
                ? average_pairs(AVERAGED_PAIRS, shape, &steps, factor, pair, mean, y_stride, channels, magnitude)
                : average_pairs(1, shape, &steps, factor, pair, mean, y_stride, channels, magnitude);
            p += many ? AVERAGED_PAIRS : 1;
        }
    }
    return u_result(magnitude);
}

// The lines of two features that follow each other, the second only where there is one.
static INLINE V second_line(const float *line, size_t stride, int there) {
    return there ? v_load(line + stride) : v_zero();
}

tk_magnitude NAME(average_pool_gradient)(
    const tk_planes_shape *shape, const float *dy, const uint32_t *addend, const uint32_t *gate, uint32_t *dx,
    size_t blocks) {
    Steps steps = steps_of(shape);
    V factor = reciprocal_of_pixels(shape);
    P magnitude = p_zero();
    size_t stride = blocks * TK_LANES;
    for (size_t n = 0; n < blocks * shape->height * shape->width; n++) {
        size_t pixel = n % (shape->height * shape->width), block = n / (shape->height * shape->width);
        size_t at = block * steps.block + pixel_at(&steps, pixel / shape->width, pixel % shape->width);
        for (size_t p = 0; p < steps.pairs; p++) {
            const float *line = dy + 2 * p * stride + block * TK_LANES;
            V odd = v_mul(second_line(line, stride, 2 * p + 1 < shape->channels), factor);
            magnitude =
                store_gradient(v_mul(v_load(line), factor), odd, addend, gate, dx, at + TK_LANES * p, magnitude);
        }
    }
    return p_result(magnitude);
}

void NAME(flatten)(const tk_planes_shape *shape, const uint32_t *x, float *y, size_t blocks) {
    Steps steps = steps_of(shape);
    size_t pixels = shape->height * shape->width, odd = pixels * blocks * TK_LANES;
    for (size_t p = 0; p < steps.pairs; p++) {
        for (size_t pixel = 0; pixel < pixels; pixel++) {
            const uint32_t *line = x + pixel_at(&steps, pixel / shape->width, pixel % shape->width) + TK_LANES * p;
            float *to = y + (2 * p * pixels + pixel) * blocks * TK_LANES;
            for (size_t block = 0; block < blocks; block++, to += TK_LANES) {
                W values = w_load(line + block * steps.block);
                v_store(to, w_even(values));
                if (2 * p + 1 < shape->channels) v_store(to + odd, w_odd(values));
            }
        }
    }
}

tk_magnitude NAME(flatten_gradient)(
    const tk_planes_shape *shape, const float *dy, const uint32_t *addend, const uint32_t *gate, uint32_t *dx,
    size_t blocks) {
    Steps steps = steps_of(shape);
    P magnitude = p_zero();
    size_t pixels = shape->height * shape->width, odd = pixels * blocks * TK_LANES;
    for (size_t p = 0; p < steps.pairs; p++) {
        for (size_t pixel = 0; pixel < pixels; pixel++) {
            size_t at = pixel_at(&steps, pixel / shape->width, pixel % shape->width) + TK_LANES * p;
            const float *line = dy + (2 * p * pixels + pixel) * blocks * TK_LANES;
            for (size_t block = 0; block < blocks; block++, line += TK_LANES, at += steps.block) {
                V second = second_line(line, odd, 2 * p + 1 < shape->channels);
                magnitude = store_gradient(v_load(line), second, addend, gate, dx, at, magnitude);
            }
        }
    }
    return p_result(magnitude);
}

// Channels `first` and first + 1 of a pixel as a line of pairs; channels that are not in 0 ..< channels are +0.
static INLINE W two_channels(const uint32_t *pixel, ptrdiff_t first, size_t channels) {
    if (first < -1 || first >= (ptrdiff_t)channels) return w_zero();
    // An odd last channel has +0 beside it already.
    if (first % 2 == 0) return w_load(pixel + TK_LANES * (first / 2));
    W even = first < 0 ? w_zero() : w_lowered(w_load(pixel + TK_LANES * (first / 2)));
    return first + 1 < (ptrdiff_t)channels ? w_or(even, w_raised(w_load(pixel + TK_LANES * ((first + 1) / 2)))) : even;
}

void NAME(pad_shortcut)(
    const tk_planes_shape *shape, size_t outputs, size_t stride, const uint32_t *x, uint32_t *y, size_t blocks) {
    tk_planes_shape padded = padded_shape(shape, outputs, stride);
    Steps in = steps_of(shape), out = steps_of(&padded);
    ptrdiff_t before = (ptrdiff_t)((outputs - shape->channels) / 2);
    for (size_t n = 0; n < blocks * padded.height; n++) {
        size_t block = n / padded.height, row = n % padded.height;
        const uint32_t *pixel = x + block * in.block + pixel_at(&in, stride * row, 0);
        uint32_t *line = y + block * out.block + pixel_at(&out, row, 0);
        for (size_t column = 0; column < padded.width; column++, pixel += stride * in.pixel) {
            for (size_t p = 0; p < out.pairs; p++, line += TK_LANES) {
                w_store(line, two_channels(pixel, (ptrdiff_t)(2 * p) - before, shape->channels));
            }
        }
    }
}

tk_magnitude NAME(pad_shortcut_gradient)(
    const tk_planes_shape *shape, size_t outputs, size_t stride, const uint32_t *dy, const uint32_t *addend,
    const uint32_t *gate, uint32_t *dx, size_t blocks) {
    tk_planes_shape padded = padded_shape(shape, outputs, stride);
    Steps in = steps_of(shape), out = steps_of(&padded);
    size_t before = (outputs - shape->channels) / 2;
    P magnitude = p_zero();
    for (size_t n = 0; n < blocks * shape->height; n++) {
        size_t block = n / shape->height, row = n % shape->height;
        size_t at = block * in.block + pixel_at(&in, row, 0);
        const uint32_t *terms = dy + block * out.block + pixel_at(&out, row / stride, 0);
        for (size_t column = 0; column < shape->width; column++) {
            int taken = row % stride == 0 && column % stride == 0;
            for (size_t p = 0; p < in.pairs; p++, at += TK_LANES) {
                W value = w_zero();
                if (taken) {
                    // Of the shortcut's own channels, not of those beside them.
                    value = two_channels(terms + column / stride * out.pixel, (ptrdiff_t)(before + 2 * p), outputs);
                    value = w_and(value, w_keeping(1, 2 * p + 1 < shape->channels));
                }
                magnitude = store_gradient(w_even(value), w_odd(value), addend, gate, dx, at, magnitude);
            }
        }
    }
    return p_result(magnitude);
}

tk_magnitude NAME(accumulate)(
    const tk_planes_shape *shape, const uint32_t *dy, const uint32_t *addend, const uint32_t *gate, uint32_t *dx,
    size_t blocks) {
    Steps steps = steps_of(shape);
    P magnitude = p_zero();
    for (size_t n = 0; n < blocks * shape->height; n++) {
        size_t at = n / shape->height * steps.block + pixel_at(&steps, n % shape->height, 0);
        for (size_t end = at + shape->width * steps.pixel; at < end; at += TK_LANES) {
            W term = w_load(dy + at);
            magnitude = store_gradient(w_even(term), w_odd(term), addend, gate, dx, at, magnitude);
        }
    }
    return p_result(magnitude);
}
