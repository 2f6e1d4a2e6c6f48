#pragma STDC FP_CONTRACT OFF
#include "dense.h"
#include "dispatch.h"

#include <string.h>

tk_magnitude tk_dense_forward(
    tk_isa isa, const tk_dense_shape *shape, const float *weights, const float *bias, const uint32_t *live,
    size_t live_count, int rectify, const float *x, float *y) {
    // `live` is ascending, so one walk finds the outputs that are not in it.
    for (size_t o = 0, n = 0; live_count < shape->outputs && o < shape->outputs; o++) {
        if (n < live_count && live[n] == o) n++;
        else memset(y + o * shape->batch, 0, shape->batch * sizeof(float));
    }
    DISPATCH(isa, forward, shape, weights, bias, live, live_count, rectify, x, y);
}

tk_magnitude tk_dense_input_gradient(
    tk_isa isa, const tk_dense_shape *shape, const float *weights, const uint32_t *live, size_t live_count,
    const float *dy, const float *x, float *dx) {
    DISPATCH(isa, input_gradient, shape, weights, live, live_count, dy, x, dx);
}

tk_magnitude tk_dense_weight_gradient(
    tk_isa isa, const tk_dense_shape *shape, const uint16_t *mask, const float *dy, const float *xt,
    float *weight_gradient, float *bias_gradient) {
    DISPATCH(isa, weight_gradient, shape, mask, dy, xt, weight_gradient, bias_gradient);
}

tk_magnitude tk_dense_bias_gradient(
    tk_isa isa, size_t outputs, size_t batch, const float *dy, float *bias_gradient) {
    DISPATCH(isa, bias_gradient, outputs, batch, dy, bias_gradient);
}

tk_magnitude tk_update(
    tk_isa isa, const tk_rule *rule, size_t count, const float *gradient, float *values, float *state1,
    float *state2) {
    DISPATCH(isa, update, rule, count, gradient, values, state1, state2);
}

tk_magnitude tk_dense_update(
    tk_isa isa, const tk_dense_shape *shape, const tk_rule *rule, const uint16_t *mask, const float *dy,
    const float *xt, float *bias_gradient, float *weights, float *weights1, float *weights2, float *bias, float *bias1,
    float *bias2) {
    DISPATCH(
        isa, update_dense, shape, rule, mask, dy, xt, bias_gradient, weights, weights1, weights2, bias, bias1, bias2);
}

tk_magnitude tk_softmax_cross_entropy(
    tk_isa isa, size_t classes, size_t batch, size_t count, const uint8_t *labels, const float *logits,
    float smoothing, float *gradient, double *loss_sum) {
    DISPATCH(isa, softmax_cross_entropy, classes, batch, count, labels, logits, smoothing, gradient, loss_sum);
}

size_t tk_count_correct(
    size_t classes, size_t batch, size_t count, const uint8_t *labels, const float *logits) {
    size_t correct = 0;
    for (size_t e = 0; e < count; e++) {
        size_t label = labels[e];
        float own = logits[label * batch + e];
        // Every comparison with a NaN is false.
        int wins = own == own;
        for (size_t c = 0; c < label; c++) wins &= own > logits[c * batch + e];
        for (size_t c = label + 1; c < classes; c++) wins &= own >= logits[c * batch + e];
        correct += (size_t)wins;
    }
    return correct;
}

void tk_load_images(
    tk_isa isa, const uint8_t *images, const int32_t *indices, size_t count, size_t batch, size_t channels,
    size_t features_per_channel, const float *means, const float *deviations, float *x, float *xt) {
    DISPATCH(
        isa, load_images, images, indices, count, batch, channels, features_per_channel, means, deviations, x, xt);
}

void tk_transpose(tk_isa isa, size_t features, size_t batch, const float *x, float *xt) {
    DISPATCH(isa, transpose, (features + TK_LANES - 1) / TK_LANES * TK_LANES, batch, x, xt);
}

double tk_sum_of_squares(tk_isa isa, size_t count, const float *values) {
    DISPATCH(isa, sum_of_squares, count, values);
}

double tk_sum_of_squares_masked(
    tk_isa isa, size_t rows, size_t padded_inputs, const uint16_t *mask, const float *values) {
    DISPATCH(isa, sum_of_squares_masked, rows, padded_inputs, mask, values);
}

void tk_scale(tk_isa isa, size_t count, float factor, float *values) { DISPATCH(isa, scale, count, factor, values); }
