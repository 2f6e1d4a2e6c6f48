#pragma STDC FP_CONTRACT OFF
#include "conv_gather.h"
#include "magnitude.h"

#include <math.h>

// One operation at a time, in the order that the rules give. fmaf is correctly rounded by definition.

typedef struct {
    size_t height, width, row, plane, block;  // of a map and of planes, in pixels
} Map;

static Map map_of(size_t channels, size_t height, size_t width) {
    Map map = {height, width, width + 2, (height + 2) * (width + 2), channels * (height + 2) * (width + 2)};
    return map;
}

static Map input_of(const tk_conv_gradient_shape *shape) { return map_of(shape->inputs, shape->height, shape->width); }

static Map output_of(const tk_conv_gradient_shape *shape) {
    return map_of(
        shape->outputs, (shape->height - 1) / shape->stride + 1, (shape->width - 1) / shape->stride + 1);
}

// Of pixel (row, column), which may be in the halo; lane 0.
static size_t place_of(const Map *map, size_t block, size_t channel, size_t row, size_t column) {
    return TK_LANES * (block * map->block + channel * map->plane + (row + 1) * map->row + column + 1);
}

// The sums over the positions of channel `o` of one block, in the order of the tiles, of lanes below `examples`.
static void sums_of(
    const Map *map, const float *y, size_t block, size_t o, size_t examples, float *sum, float *squares) {
    size_t rows = map->width <= 2 || map->width > 4 ? 2 : 4, columns = map->width > 4 ? 8 : map->width > 2 ? 4 : 2;
    float first[TK_LANES] = {0}, second[TK_LANES] = {0};
    for (size_t row = 0; row < map->height; row += rows)
    for (size_t column = 0; column < map->width; column += columns)
    for (size_t r = row; r < row + rows && r < map->height; r++)
    for (size_t c = column; c < column + columns && c < map->width; c++) {
        for (size_t l = 0; l < TK_LANES && block * TK_LANES + l < examples; l++) {
            float z = y[place_of(map, block, o, r, c) + l];
            first[l] = first[l] + z;
            second[l] = fmaf(z, z, second[l]);
        }
    }
    for (int half = TK_LANES / 2; half > 0; half /= 2) {
        for (int l = 0; l < half; l++) {
            first[l] = first[l] + first[l + half];
            second[l] = second[l] + second[l + half];
        }
    }
    *sum = first[0] + 0.0f;
    *squares = second[0] + 0.0f;
}

// Adds to the 16 lanes of `sum` the weights of an output times what they meet of x. `flat` and `next`: its first
// weight, and its first survivor.
static void chain_over_inputs(
    const tk_conv_gradient_shape *shape, const uint8_t *survives, size_t flat, const float *weights, size_t next,
    const float *x, size_t block, size_t row, size_t column, float sum[TK_LANES]) {
    Map input = input_of(shape);
    size_t edge = shape->kernel == 1 ? 1 : 0;
    for (size_t i = 0; i < shape->inputs; i++)
    for (size_t ky = 0; ky < shape->kernel; ky++)
    for (size_t kx = 0; kx < shape->kernel; kx++, flat++) {
        if (survives && !survives[flat]) continue;
        size_t line = block * input.block + i * input.plane + (row * shape->stride + ky + edge) * input.row
            + column * shape->stride + kx + edge;
        float weight = weights[next++];
        for (size_t l = 0; l < TK_LANES; l++) sum[l] = fmaf(weight, x[TK_LANES * line + l], sum[l]);
    }
}

tk_magnitude tk_reference_conv_forward(
    const tk_conv_gradient_shape *shape, const uint8_t *survives, const uint8_t *live, const float *weights,
    const float *x, const float *bias, int rectify, size_t blocks, size_t examples, float *y, float *sums) {
    Map output = output_of(shape);
    size_t kernels = shape->inputs * shape->kernel * shape->kernel, next = 0;
    tk_magnitude magnitude = 0;
    for (size_t o = 0; o < shape->outputs; o++) {
        for (size_t block = 0; block < blocks; block++) {
            for (size_t row = 0; row < output.height; row++)
            for (size_t column = 0; column < output.width; column++) {
                float sum[TK_LANES] = {0};
                if (!live || live[o]) {
                    for (size_t l = 0; l < TK_LANES; l++) sum[l] = bias ? bias[o] : 0.0f;
                    chain_over_inputs(
                        shape, survives, o * kernels, weights, next, x, block, row, column, sum);
                }
                for (size_t l = 0; l < TK_LANES; l++) {
                    float result = sum[l] + 0.0f;
                    magnitude = larger(magnitude, result);
                    if (rectify && result <= 0) result = 0.0f;
                    y[place_of(&output, block, o, row, column) + l] = result;
                }
            }
            if (sums) {
                float *pair = sums + 2 * (block * shape->outputs + o);
                sums_of(&output, y, block, o, examples, pair, pair + 1);
                magnitude = larger(larger(magnitude, pair[0]), pair[1]);
            }
        }
        for (size_t k = 0; k < kernels; k++) next += !survives || survives[o * kernels + k];
    }
    return magnitude;
}

// Adds to the 16 lanes of `sum` all dy that pixel (row, column) of input `i` took part in, each times its weight.
static void chain_over_outputs(
    const tk_conv_gradient_shape *shape, const uint8_t *survives, const uint8_t *live, const float *weights,
    const float *dy, size_t i, size_t block, size_t row, size_t column, float sum[TK_LANES]) {
    Map output = output_of(shape);
    size_t flat = 0, next = 0, padding = (shape->kernel - 1) / 2;
    for (size_t o = 0; o < shape->outputs; o++)
    for (size_t input = 0; input < shape->inputs; input++)
    for (size_t ky = 0; ky < shape->kernel; ky++)
    for (size_t kx = 0; kx < shape->kernel; kx++, flat++) {
        if (survives && !survives[flat]) continue;
        float weight = weights[next++];
        if (input != i || (live && !live[o])) continue;
        // Output pixel (r, c) met this one if r · stride + ky − padding = row, and likewise for columns.
        if (row + padding < ky || column + padding < kx) continue;
        size_t r = row + padding - ky, c = column + padding - kx;
        if (r % shape->stride || c % shape->stride) continue;
        r /= shape->stride;
        c /= shape->stride;
        if (r >= output.height || c >= output.width) continue;
        const float *line = dy + place_of(&output, block, o, r, c);
        for (size_t l = 0; l < TK_LANES; l++) sum[l] = fmaf(weight, line[l], sum[l]);
    }
}

tk_magnitude tk_reference_conv_input_gradient(
    const tk_conv_gradient_shape *shape, const uint8_t *survives, const uint8_t *live, const float *weights,
    const float *dy, const float *addend, const float *gate, size_t blocks, float *dx) {
    Map input = input_of(shape);
    tk_magnitude magnitude = 0;
    for (size_t i = 0; i < shape->inputs; i++)
    for (size_t block = 0; block < blocks; block++)
    for (size_t row = 0; row < input.height; row++)
    for (size_t column = 0; column < input.width; column++) {
        float sum[TK_LANES] = {0};
        chain_over_outputs(shape, survives, live, weights, dy, i, block, row, column, sum);
        for (size_t l = 0; l < TK_LANES; l++) {
            size_t place = place_of(&input, block, i, row, column) + l;
            float result = addend ? sum[l] + addend[place] : sum[l];
            result = result + 0.0f;
            magnitude = larger(magnitude, result);
            if (gate && !(gate[place] > 0)) result = 0.0f;
            dx[place] = result;
        }
    }
    return magnitude;
}
