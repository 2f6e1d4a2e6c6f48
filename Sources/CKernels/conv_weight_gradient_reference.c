#pragma STDC FP_CONTRACT OFF
#include "conv_weight_gradient.h"
#include "magnitude.h"

#include <math.h>

// One operation at a time, in the order that the rules give. fmaf is correctly rounded by definition.

// The sum over all positions of dy[o] times the input that tap (row, column) of input channel `i` meets; of dy[o] alone
// where `x` is NULL.
static float sum_over_positions(
    const tk_conv_gradient_shape *shape, size_t o, size_t i, size_t tap_row, size_t tap_column, const float *x,
    const float *dy, size_t blocks) {
    size_t height = (shape->height - 1) / shape->stride + 1, width = (shape->width - 1) / shape->stride + 1;
    size_t rows = width <= 2 || width > 4 ? 2 : 4, columns = width > 4 ? 8 : width > 2 ? 4 : 2;
    size_t together = width > 2 ? 1 : 4, edge = shape->kernel == 1 ? 1 : 0;
    float lane[TK_LANES] = {0};
    for (size_t block = 0; block < blocks; block += together)
    for (size_t row = 0; row < height; row += rows)
    for (size_t column = 0; column < width; column += columns)
    for (size_t b = block; b < block + together && b < blocks; b++)
    for (size_t r = row; r < row + rows && r < height; r++)
    for (size_t c = column; c < column + columns && c < width; c++) {
        size_t y_line = ((b * shape->outputs + o) * (height + 2) + r + 1) * (width + 2) + c + 1;
        size_t x_line = ((b * shape->inputs + i) * (shape->height + 2) + r * shape->stride + tap_row + edge)
            * (shape->width + 2) + c * shape->stride + tap_column + edge;
        for (int l = 0; l < TK_LANES; l++) {
            float term = dy[TK_LANES * y_line + l];
            lane[l] = x ? fmaf(term, x[TK_LANES * x_line + l], lane[l]) : lane[l] + term;
        }
    }
    for (int half = TK_LANES / 2; half > 0; half /= 2) {
        for (int l = 0; l < half; l++) lane[l] = lane[l] + lane[l + half];
    }
    return lane[0] + 0.0f;
}

tk_magnitude tk_reference_conv_weight_gradient(
    const tk_conv_gradient_shape *shape, const uint8_t *survives, const float *x, const float *dy, size_t blocks,
    float *gradient) {
    tk_magnitude magnitude = 0;
    size_t taps = shape->kernel * shape->kernel, next = 0;
    for (size_t flat = 0; flat < shape->outputs * shape->inputs * taps; flat++) {
        if (survives && !survives[flat]) continue;
        size_t o = flat / taps / shape->inputs, i = flat / taps % shape->inputs, tap = flat % taps;
        float sum = sum_over_positions(shape, o, i, tap / shape->kernel, tap % shape->kernel, x, dy, blocks);
        gradient[next++] = sum;
        magnitude = larger(magnitude, sum);
    }
    return magnitude;
}

tk_magnitude tk_reference_conv_bias_gradient(
    const tk_conv_gradient_shape *shape, const float *dy, size_t blocks, float *gradient) {
    tk_magnitude magnitude = 0;
    for (size_t o = 0; o < shape->outputs; o++) {
        gradient[o] = sum_over_positions(shape, o, 0, 0, 0, NULL, dy, blocks);
        magnitude = larger(magnitude, gradient[o]);
    }
    return magnitude;
}
