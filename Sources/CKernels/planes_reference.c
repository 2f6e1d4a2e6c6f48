#pragma STDC FP_CONTRACT OFF
#include "magnitude.h"
#include "planes.h"

#include <math.h>

// One operation at a time, in the order that the rules give. fmaf is correctly rounded by definition.

static size_t place_of(
    const tk_planes_shape *shape, size_t block, size_t channel, size_t row, size_t column, size_t lane) {
    size_t map_row = (block * shape->channels + channel) * (shape->height + 2) + row + 1;
    return TK_LANES * (map_row * (shape->width + 2) + column + 1) + lane;
}

// Runs the statement after it for every value of a batch, leaving the halo out.
#define EACH(shape, blocks)                                             \
    for (size_t block = 0; block < (blocks); block++)                   \
    for (size_t channel = 0; channel < (shape)->channels; channel++)    \
    for (size_t row = 0; row < (shape)->height; row++)                  \
    for (size_t column = 0; column < (shape)->width; column++)          \
    for (size_t lane = 0; lane < TK_LANES; lane++)

// Stores one value of a gradient and returns the magnitude of what it was before the gate.
static tk_magnitude finish(
    float value, const float *addend, const float *gate, float *dx, size_t at, tk_magnitude magnitude) {
    if (addend) value = value + addend[at];
    value = value + 0.0f;
    dx[at] = gate && !(gate[at] > 0) ? 0.0f : value;
    return larger(magnitude, value);
}

void tk_reference_load_planes(
    const uint8_t *images, const int32_t *indices, size_t count, const tk_planes_shape *shape, size_t blocks,
    const float *means, const float *deviations, float *y) {
    EACH(shape, blocks) {
        size_t example = TK_LANES * block + lane;
        size_t image = (size_t)indices[example < count ? example : count - 1];
        uint8_t pixel = images[((image * shape->channels + channel) * shape->height + row) * shape->width + column];
        y[place_of(shape, block, channel, row, column, lane)] =
            ((float)pixel / 255.0f - means[channel]) / deviations[channel] + 0.0f;
    }
}

// Which of the 2 × 2 pixels that yield pooled pixel (row, column) wins.
static size_t winner(
    const tk_planes_shape *shape, const float *x, size_t block, size_t channel, size_t row, size_t column,
    size_t lane) {
    size_t best = place_of(shape, block, channel, 2 * row, 2 * column, lane);
    for (int n = 1; n < 4; n++) {
        size_t next = place_of(shape, block, channel, 2 * row + n / 2, 2 * column + n % 2, lane);
        if (x[next] > x[best] || isnan(x[next])) best = next;
    }
    return best;
}

tk_magnitude tk_reference_max_pool(const tk_planes_shape *shape, const float *x, float *y, size_t blocks) {
    tk_planes_shape halved = {shape->channels, shape->height / 2, shape->width / 2};
    tk_magnitude magnitude = 0;
    EACH(&halved, blocks) {
        float result = x[winner(shape, x, block, channel, row, column, lane)] + 0.0f;
        y[place_of(&halved, block, channel, row, column, lane)] = result;
        magnitude = larger(magnitude, result);
    }
    return magnitude;
}

tk_magnitude tk_reference_max_pool_gradient(
    const tk_planes_shape *shape, const float *x, const float *dy, const float *addend, const float *gate, float *dx,
    size_t blocks) {
    tk_planes_shape halved = {shape->channels, shape->height / 2, shape->width / 2};
    tk_magnitude magnitude = 0;
    EACH(shape, blocks) {
        size_t at = place_of(shape, block, channel, row, column, lane);
        int pooled = row / 2 < halved.height && column / 2 < halved.width;
        int wins = pooled && winner(shape, x, block, channel, row / 2, column / 2, lane) == at;
        float value = wins ? dy[place_of(&halved, block, channel, row / 2, column / 2, lane)] : 0.0f;
        magnitude = finish(value, addend, gate, dx, at, magnitude);
    }
    return magnitude;
}

tk_magnitude tk_reference_average_pool(const tk_planes_shape *shape, const float *x, float *y, size_t blocks) {
    tk_planes_shape one = {shape->channels, 1, 1};
    float factor = 1.0f / (float)(shape->height * shape->width);
    tk_magnitude magnitude = 0;
    EACH(&one, blocks) {
        float sum = 0.0f;
        for (size_t r = row; r < shape->height; r++) {
            for (size_t c = column; c < shape->width; c++) sum = sum + x[place_of(shape, block, channel, r, c, lane)];
        }
        float result = sum * factor + 0.0f;
        y[(channel * blocks + block) * TK_LANES + lane] = result;
        magnitude = larger(magnitude, result);
    }
    return magnitude;
}

tk_magnitude tk_reference_average_pool_gradient(
    const tk_planes_shape *shape, const float *dy, const float *addend, const float *gate, float *dx, size_t blocks) {
    float factor = 1.0f / (float)(shape->height * shape->width);
    tk_magnitude magnitude = 0;
    EACH(shape, blocks) {
        size_t at = place_of(shape, block, channel, row, column, lane);
        magnitude = finish(dy[(channel * blocks + block) * TK_LANES + lane] * factor, addend, gate, dx, at, magnitude);
    }
    return magnitude;
}

void tk_reference_flatten(const tk_planes_shape *shape, const float *x, float *y, size_t blocks) {
    EACH(shape, blocks) {
        size_t feature = (channel * shape->height + row) * shape->width + column;
        y[(feature * blocks + block) * TK_LANES + lane] = x[place_of(shape, block, channel, row, column, lane)];
    }
}

tk_magnitude tk_reference_flatten_gradient(
    const tk_planes_shape *shape, const float *dy, const float *addend, const float *gate, float *dx, size_t blocks) {
    tk_magnitude magnitude = 0;
    EACH(shape, blocks) {
        size_t feature = (channel * shape->height + row) * shape->width + column;
        size_t at = place_of(shape, block, channel, row, column, lane);
        magnitude = finish(dy[(feature * blocks + block) * TK_LANES + lane], addend, gate, dx, at, magnitude);
    }
    return magnitude;
}

static tk_planes_shape padded_shape(const tk_planes_shape *shape, size_t outputs, size_t stride) {
    return (tk_planes_shape){outputs, (shape->height - 1) / stride + 1, (shape->width - 1) / stride + 1};
}

void tk_reference_pad_shortcut(
    const tk_planes_shape *shape, size_t outputs, size_t stride, const float *x, float *y, size_t blocks) {
    tk_planes_shape padded = padded_shape(shape, outputs, stride);
    size_t before = (outputs - shape->channels) / 2;
    EACH(&padded, blocks) {
        int taken = channel >= before && channel < before + shape->channels;
        y[place_of(&padded, block, channel, row, column, lane)] =
            taken ? x[place_of(shape, block, channel - before, stride * row, stride * column, lane)] : 0.0f;
    }
}

tk_magnitude tk_reference_pad_shortcut_gradient(
    const tk_planes_shape *shape, size_t outputs, size_t stride, const float *dy, const float *addend,
    const float *gate, float *dx, size_t blocks) {
    tk_planes_shape padded = padded_shape(shape, outputs, stride);
    size_t before = (outputs - shape->channels) / 2;
    tk_magnitude magnitude = 0;
    EACH(shape, blocks) {
        int taken = row % stride == 0 && column % stride == 0;
        float value =
            taken ? dy[place_of(&padded, block, before + channel, row / stride, column / stride, lane)] : 0.0f;
        size_t at = place_of(shape, block, channel, row, column, lane);
        magnitude = finish(value, addend, gate, dx, at, magnitude);
    }
    return magnitude;
}

tk_magnitude tk_reference_accumulate(
    const tk_planes_shape *shape, const float *dy, const float *addend, const float *gate, float *dx, size_t blocks) {
    tk_magnitude magnitude = 0;
    EACH(shape, blocks) {
        size_t at = place_of(shape, block, channel, row, column, lane);
        magnitude = finish(dy[at], addend, gate, dx, at, magnitude);
    }
    return magnitude;
}

// The sum over the pixels of one map of z, z² (`power` 2), dy or dy · x̂, without examples from `examples` on.
static float sum_over_map(
    const tk_planes_shape *shape, size_t block, size_t channel, const float *z, const float *dy, float mean,
    float inverse_deviation, int power, size_t examples) {
    size_t rows = shape->width <= 2 || shape->width > 4 ? 2 : 4;
    size_t columns = shape->width > 4 ? 8 : shape->width > 2 ? 4 : 2;
    float sum[TK_LANES] = {0};
    for (size_t row = 0; row < shape->height; row += rows)
    for (size_t column = 0; column < shape->width; column += columns)
    for (size_t r = row; r < row + rows && r < shape->height; r++)
    for (size_t c = column; c < column + columns && c < shape->width; c++)
    for (size_t lane = 0; lane < TK_LANES && TK_LANES * block + lane < examples; lane++) {
        size_t at = place_of(shape, block, channel, r, c, lane);
        float term = dy ? dy[at] : z[at];
        float factor = dy ? (z[at] - mean) * inverse_deviation : z[at];
        sum[lane] = power == 1 ? sum[lane] + term : fmaf(term, factor, sum[lane]);
    }
    for (int half = TK_LANES / 2; half > 0; half /= 2) {
        for (int l = 0; l < half; l++) sum[l] = sum[l] + sum[l + half];
    }
    return sum[0] + 0.0f;
}

void tk_reference_batch_norm_sums(const tk_planes_shape *shape, const float *z, size_t examples, float *sums) {
    for (size_t block = 0; TK_LANES * block < examples; block++) {
        for (size_t channel = 0; channel < shape->channels; channel++) {
            for (int power = 1; power <= 2; power++) {
                *sums++ = sum_over_map(shape, block, channel, z, NULL, 0.0f, 0.0f, power, examples);
            }
        }
    }
}

tk_magnitude tk_reference_batch_norm_apply(
    const tk_planes_shape *shape, const float *z, const float *scale, const float *shift, const float *shortcut,
    int rectify, const uint8_t *live, float *y, size_t blocks) {
    tk_magnitude magnitude = 0;
    EACH(shape, blocks) {
        size_t at = place_of(shape, block, channel, row, column, lane);
        float value = fmaf(z[at], scale[channel], shift[channel]);
        if (shortcut) value = value + shortcut[at];
        value = value + 0.0f;
        if (live && !live[channel]) value = 0.0f;
        magnitude = larger(magnitude, value);
        y[at] = rectify && value <= 0 ? 0.0f : value;
    }
    return magnitude;
}

void tk_reference_batch_norm_gradient_sums(
    const tk_planes_shape *shape, const float *dy, const float *z, const float *mean, const float *inverse_deviation,
    float *sums, size_t examples) {
    for (size_t block = 0; TK_LANES * block < examples; block++) {
        for (size_t channel = 0; channel < shape->channels; channel++) {
            for (int power = 1; power <= 2; power++) {
                *sums++ = sum_over_map(
                    shape, block, channel, z, dy, mean[channel], inverse_deviation[channel], power, examples);
            }
        }
    }
}

tk_magnitude tk_reference_batch_norm_gradient(
    const tk_planes_shape *shape, const float *dy, const float *z, const float *a, const float *b, const float *c,
    const uint8_t *live, size_t examples, float *dz) {
    tk_magnitude magnitude = 0;
    EACH(shape, (examples + TK_LANES - 1) / TK_LANES) {
        size_t at = place_of(shape, block, channel, row, column, lane);
        float value = fmaf(a[channel], dy[at], fmaf(b[channel], z[at], c[channel])) + 0.0f;
        if (TK_LANES * block + lane >= examples || (live && !live[channel])) value = 0.0f;
        dz[at] = value;
        magnitude = larger(magnitude, value);
    }
    return magnitude;
}
