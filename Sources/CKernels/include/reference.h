// The same results as kernels.h, one operation at a time: the meaning of each kernel, and what tests compare with.
#ifndef TOMBOLA_REFERENCE_H
#define TOMBOLA_REFERENCE_H

#include "kernels.h"

tk_magnitude tk_reference_forward(
    const tk_dense_shape *shape, const float *weights, const float *bias, const uint32_t *live, size_t live_count,
    int rectify, const float *x, float *y);

tk_magnitude tk_reference_input_gradient(
    const tk_dense_shape *shape, const float *weights, const uint32_t *live, size_t live_count, const float *dy,
    const float *x, float *dx);

tk_magnitude tk_reference_weight_gradient(
    const tk_dense_shape *shape, const uint16_t *mask, const float *dy, const float *x, float *weight_gradient,
    float *bias_gradient);

tk_magnitude tk_reference_update(
    const tk_rule *rule, size_t count, const float *gradient, float *values, float *state1, float *state2);

tk_magnitude tk_reference_softmax_cross_entropy(
    size_t classes, size_t batch, size_t count, const uint8_t *labels, const float *logits, float smoothing,
    float *gradient, double *loss_sum);

double tk_reference_sum_of_squares(size_t count, const float *values);

void tk_reference_load_images(
    const uint8_t *images, const int32_t *indices, size_t count, size_t batch, size_t channels,
    size_t features_per_channel, const float *means, const float *deviations, float *x);

#endif
