// Loading, pooling, flattening and shortcuts over vectors of 16 lanes. A file that includes this one has defined the vectors of one
// instruction set as in dense_template.h, NAME(f), and beside them
//   M                   a choice of lanes, as in pooling.h
//   v_masked(word, x)   x in the lanes of a word's bits, else +0
// Every kernel passes over its tensors once, row by row; halos are left out.

#include "maps_template.h"

// Maps whose averages are summed side by side, so that no add waits for the one before it.
enum { AVERAGED_MAPS = 4 };

// The sizes of planes, in floats.
typedef struct {
    size_t row, plane, block;
} Strides;

static INLINE Strides strides_of(const tk_planes_shape *shape) {
    size_t row = TK_LANES * (shape->width + 2), plane = (shape->height + 2) * row;
    return (Strides){row, plane, shape->channels * plane};
}

// Where pixel (0, row) of a map is, from the first halo corner of the map.
static INLINE size_t row_start(const Strides *strides, size_t row) { return (row + 1) * strides->row + TK_LANES; }

// Stores one line of the gradient of a tensor, `at` floats from where its buffers start. Its magnitude is that before
// the gate, so that no infinity is lost.
static INLINE U store_gradient(V value, const float *addend, const float *gate, float *dx, size_t at, U magnitude) {
    if (addend) value = v_add(value, v_load(addend + at));
    value = v_add(value, v_zero());
    magnitude = u_max(magnitude, value);
    if (gate) value = v_where_positive(v_load(gate + at), value);
    v_store(dx + at, value);
    return magnitude;
}

// Asks for `count` lines that are needed soon. A processor foresees lines that follow each other, but not where a
// kernel works in two rows at a time; asked for one row after the other, they come before they are needed.
static INLINE void ask_for_lines(const float *line, const int count) {
    UNROLL for (int n = 0; n < count; n++) __builtin_prefetch(line + TK_LANES * n);
}

void NAME(load_planes)(
    const uint8_t *images, const int32_t *indices, size_t count, const tk_planes_shape *shape, size_t blocks,
    const float *means, const float *deviations, float *y) {
    Strides strides = strides_of(shape);
    size_t pixels = shape->channels * shape->height * shape->width;
    for (size_t block = 0; block < blocks; block++) {
        const uint8_t *image[TK_LANES];
        for (size_t l = 0; l < TK_LANES; l++) {
            size_t example = block * TK_LANES + l;
            image[l] = images + (size_t)indices[example < count ? example : count - 1] * pixels;
        }
        size_t channel = 0, row = 0, column = 0;
        Scale scale = scale_of(means[0], deviations[0]);
        for (size_t first = 0; first < pixels; first += TK_LANES) {
            size_t width = pixels - first < TK_LANES ? pixels - first : TK_LANES;
            uint8_t lines[TK_LANES][TK_LANES], ragged[TK_LANES][TK_LANES];
            const uint8_t *source[TK_LANES];
            for (size_t l = 0; l < TK_LANES; l++) {
                source[l] = image[l] + first;
                if (width == TK_LANES) continue;
                // A load of 16 pixels would reach past the last image.
                __builtin_memset(ragged[l], 0, TK_LANES);
                for (size_t n = 0; n < width; n++) ragged[l][n] = source[l][n];
                source[l] = ragged[l];
            }
            transpose_bytes(source, lines);
            for (size_t n = 0; n < width; n++) {
                float *line = y + block * strides.block + channel * strides.plane + row_start(&strides, row)
                    + TK_LANES * column;
                v_store(line, normalised(lines[n], &scale));
                if (++column < shape->width) continue;
                column = 0;
                if (++row < shape->height) continue;
                row = 0;
                if (++channel < shape->channels) scale = scale_of(means[channel], deviations[channel]);
            }
        }
    }
}

tk_magnitude NAME(max_pool)(const tk_planes_shape *shape, const float *x, float *y, size_t blocks) {
    tk_planes_shape halved = {shape->channels, shape->height / 2, shape->width / 2};
    Strides in = strides_of(shape), out = strides_of(&halved);
    U magnitude = u_zero();
    for (size_t map = 0; map < blocks * shape->channels; map++) {
        for (size_t row = 0; row < halved.height; row++) {
            const float *above = x + map * in.plane + row_start(&in, 2 * row), *below = above + in.row;
            float *result = y + map * out.plane + row_start(&out, row);
            // The next two rows, in the order of memory.
            const float *ahead = above + 2 * in.row;
            for (size_t column = 0; column < halved.width; column++, ahead += 4 * TK_LANES) {
                ask_for_lines(ahead, 4);
                Winners winners;
                V best = v_add(
                    v_largest(
                        v_load(above), v_load(above + TK_LANES), v_load(below), v_load(below + TK_LANES), &winners),
                    v_zero());
                v_store(result, best);
                magnitude = u_max(magnitude, best);
                above += 2 * TK_LANES;
                below += 2 * TK_LANES;
                result += TK_LANES;
            }
        }
    }
    return u_result(magnitude);
}

tk_magnitude NAME(max_pool_gradient)(
    const tk_planes_shape *shape, const float *x, const float *dy, const float *addend, const float *gate, float *dx,
    size_t blocks) {
    tk_planes_shape halved = {shape->channels, shape->height / 2, shape->width / 2};
    Strides in = strides_of(shape), out = strides_of(&halved);
    U magnitude = u_zero();
    for (size_t map = 0; map < blocks * shape->channels; map++) {
        for (size_t row = 0; row < halved.height; row++) {
            size_t above = map * in.plane + row_start(&in, 2 * row), below = above + in.row;
            const float *term = dy + map * out.plane + row_start(&out, row);
            // The next two rows, in the order of memory.
            size_t ahead = above + 2 * in.row;
            for (size_t column = 0; column < halved.width; column++, ahead += 4 * TK_LANES) {
                ask_for_lines(x + ahead, 4);
                ask_for_lines(dx + ahead, 4);
                Winners winners;
                v_largest(
                    v_load(x + above), v_load(x + above + TK_LANES), v_load(x + below), v_load(x + below + TK_LANES),
                    &winners);
                V share[4];
                v_shares(&winners, v_load(term), share);
                magnitude = store_gradient(share[0], addend, gate, dx, above, magnitude);
                magnitude = store_gradient(share[1], addend, gate, dx, above + TK_LANES, magnitude);
                magnitude = store_gradient(share[2], addend, gate, dx, below, magnitude);
                magnitude = store_gradient(share[3], addend, gate, dx, below + TK_LANES, magnitude);
                above += 2 * TK_LANES;
                below += 2 * TK_LANES;
                term += TK_LANES;
            }
            if (shape->width % 2 == 0) continue;
            magnitude = store_gradient(v_zero(), addend, gate, dx, above, magnitude);
            magnitude = store_gradient(v_zero(), addend, gate, dx, below, magnitude);
        }
        if (shape->height % 2 == 0) continue;
        size_t last = map * in.plane + row_start(&in, shape->height - 1);
        for (size_t column = 0; column < shape->width; column++) {
            magnitude = store_gradient(v_zero(), addend, gate, dx, last + TK_LANES * column, magnitude);
        }
    }
    return u_result(magnitude);
}

tk_magnitude NAME(max_pool_winners_gradient)(
    const tk_planes_shape *shape, const tk_pool_winners *winners, const float *y, const float *dy, float *dx,
    size_t blocks) {
    tk_planes_shape halved = {shape->channels, shape->height / 2, shape->width / 2};
    Strides in = strides_of(shape), out = strides_of(&halved);
    U magnitude = u_zero();
    for (size_t map = 0; map < blocks * shape->channels; map++) {
        for (size_t row = 0; row < halved.height; row++) {
            float *above = dx + map * in.plane + row_start(&in, 2 * row), *below = above + in.row;
            size_t at = map * out.plane + row_start(&out, row);
            for (size_t column = 0; column < halved.width; column++, at += TK_LANES) {
                ask_for_lines(above + 2 * in.row, 2);
                ask_for_lines(below + 2 * in.row, 2);
                tk_pool_winners word = winners[at / TK_LANES];
                uint16_t second = (uint16_t)word, third = (uint16_t)(word >> 16), fourth = (uint16_t)(word >> 32);
                V value = v_add(v_load(dy + at), v_zero());
                magnitude = u_max(magnitude, value);
                value = v_where_positive(v_load(y + at), value);
                // The last to win takes all.
                v_store(above, v_masked((uint16_t)~(second | third | fourth), value));
                v_store(above + TK_LANES, v_masked(second & (uint16_t)~(third | fourth), value));
                v_store(below, v_masked(third & (uint16_t)~fourth, value));
                v_store(below + TK_LANES, v_masked(fourth, value));
                above += 2 * TK_LANES;
                below += 2 * TK_LANES;
            }
        }
    }
    return u_result(magnitude);
}

// The averages of `count` maps that follow each other; their chains run side by side.
static INLINE U average_maps(
    const int count, const tk_planes_shape *shape, const Strides *strides, V factor, const float *x, float *y,
    size_t y_stride, U magnitude) {
    V sum[AVERAGED_MAPS];
    UNROLL for (int m = 0; m < count; m++) sum[m] = v_zero();
    for (size_t row = 0; row < shape->height; row++) {
        const float *line = x + row_start(strides, row);
        for (size_t column = 0; column < shape->width; column++, line += TK_LANES) {
            UNROLL for (int m = 0; m < count; m++) {
                sum[m] = v_add(sum[m], v_load(line + (size_t)m * strides->plane));
                v_pin(&sum[m]);
            }
        }
    }
    UNROLL for (int m = 0; m < count; m++) {
        V mean = v_add(v_mul(sum[m], factor), v_zero());
        v_store(y + (size_t)m * y_stride, mean);
        magnitude = u_max(magnitude, mean);
    }
    return magnitude;
}

tk_magnitude NAME(average_pool)(const tk_planes_shape *shape, const float *x, float *y, size_t blocks) {
    Strides strides = strides_of(shape);
    V factor = reciprocal_of_pixels(shape);
    U magnitude = u_zero();
    for (size_t block = 0; block < blocks; block++) {
        const float *map = x + block * strides.block;
        float *mean = y + block * TK_LANES;
        size_t y_stride = blocks * TK_LANES, channel = 0;
        for (; channel + AVERAGED_MAPS <= shape->channels; channel += AVERAGED_MAPS) {
            magnitude = average_maps(
                AVERAGED_MAPS, shape, &strides, factor, map + channel * strides.plane, mean + channel * y_stride,
                y_stride, magnitude);
        }
        for (; channel < shape->channels; channel++) {
            magnitude = average_maps(
                1, shape, &strides, factor, map + channel * strides.plane, mean + channel * y_stride, y_stride,
                magnitude);
        }
    }
    return u_result(magnitude);
}

tk_magnitude NAME(average_pool_gradient)(
    const tk_planes_shape *shape, const float *dy, const float *addend, const float *gate, float *dx, size_t blocks) {
    Strides strides = strides_of(shape);
    V factor = reciprocal_of_pixels(shape);
    U magnitude = u_zero();
    for (size_t block = 0; block < blocks; block++) {
        for (size_t channel = 0; channel < shape->channels; channel++) {
            V share = v_mul(v_load(dy + (channel * blocks + block) * TK_LANES), factor);
            for (size_t row = 0; row < shape->height; row++) {
                size_t at = block * strides.block + channel * strides.plane + row_start(&strides, row);
                for (size_t column = 0; column < shape->width; column++) {
                    magnitude = store_gradient(share, addend, gate, dx, at + TK_LANES * column, magnitude);
                }
            }
        }
    }
    return u_result(magnitude);
}

void NAME(flatten)(const tk_planes_shape *shape, const float *x, float *y, size_t blocks) {
    Strides strides = strides_of(shape);
    for (size_t channel = 0; channel < shape->channels; channel++) {
        for (size_t row = 0; row < shape->height; row++) {
            const float *line = x + channel * strides.plane + row_start(&strides, row);
            for (size_t column = 0; column < shape->width; column++, line += TK_LANES) {
                for (size_t block = 0; block < blocks; block++, y += TK_LANES) {
                    v_store(y, v_load(line + block * strides.block));
                }
            }
        }
    }
}

tk_magnitude NAME(flatten_gradient)(
    const tk_planes_shape *shape, const float *dy, const float *addend, const float *gate, float *dx, size_t blocks) {
    Strides strides = strides_of(shape);
    U magnitude = u_zero();
    for (size_t channel = 0; channel < shape->channels; channel++) {
        for (size_t row = 0; row < shape->height; row++) {
            size_t at = channel * strides.plane + row_start(&strides, row);
            for (size_t column = 0; column < shape->width; column++, at += TK_LANES) {
                for (size_t block = 0; block < blocks; block++, dy += TK_LANES) {
                    magnitude =
                        store_gradient(v_load(dy), addend, gate, dx, at + block * strides.block, magnitude);
                }
            }
        }
    }
    return u_result(magnitude);
}

void NAME(pad_shortcut)(
    const tk_planes_shape *shape, size_t outputs, size_t stride, const float *x, float *y, size_t blocks) {
    tk_planes_shape padded = padded_shape(shape, outputs, stride);
    Strides in = strides_of(shape), out = strides_of(&padded);
    size_t before = (outputs - shape->channels) / 2;
    for (size_t block = 0; block < blocks; block++) {
        for (size_t channel = 0; channel < outputs; channel++) {
            int taken = channel >= before && channel < before + shape->channels;
            const float *map = taken ? x + block * in.block + (channel - before) * in.plane : NULL;
            for (size_t row = 0; row < padded.height; row++) {
                float *line = y + block * out.block + channel * out.plane + row_start(&out, row);
                const float *source = map ? map + row_start(&in, row * stride) : NULL;
                for (size_t column = 0; column < padded.width; column++, line += TK_LANES) {
                    v_store(line, source ? v_load(source + TK_LANES * stride * column) : v_zero());
                }
            }
        }
    }
}

tk_magnitude NAME(pad_shortcut_gradient)(
    const tk_planes_shape *shape, size_t outputs, size_t stride, const float *dy, const float *addend,
    const float *gate, float *dx, size_t blocks) {
    tk_planes_shape padded = padded_shape(shape, outputs, stride);
    Strides in = strides_of(shape), out = strides_of(&padded);
    size_t before = (outputs - shape->channels) / 2;
    U magnitude = u_zero();
    for (size_t block = 0; block < blocks; block++) {
        for (size_t channel = 0; channel < shape->channels; channel++) {
            for (size_t row = 0; row < shape->height; row++) {
                size_t at = block * in.block + channel * in.plane + row_start(&in, row);
                const float *term = row % stride != 0 ? NULL
                    : dy + block * out.block + (before + channel) * out.plane + row_start(&out, row / stride);
                // The column at which the next term of dy belongs.
                size_t next = 0;
                for (size_t column = 0; column < shape->width; column++, at += TK_LANES) {
                    V value = v_zero();
                    if (term && column == next) {
                        value = v_load(term);
                        term += TK_LANES;
                        next += stride;
                    }
                    magnitude = store_gradient(value, addend, gate, dx, at, magnitude);
                }
            }
        }
    }
    return u_result(magnitude);
}

tk_magnitude NAME(accumulate)(
    const tk_planes_shape *shape, const float *dy, const float *addend, const float *gate, float *dx, size_t blocks) {
    Strides strides = strides_of(shape);
    U magnitude = u_zero();
    for (size_t map = 0; map < blocks * shape->channels; map++) {
        for (size_t row = 0; row < shape->height; row++) {
            size_t at = map * strides.plane + row_start(&strides, row), end = at + TK_LANES * shape->width;
            for (; at < end; at += TK_LANES) {
                magnitude = store_gradient(v_load(dy + at), addend, gate, dx, at, magnitude);
            }
        }
    }
    return u_result(magnitude);
}
