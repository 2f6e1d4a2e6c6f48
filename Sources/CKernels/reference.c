#pragma STDC FP_CONTRACT OFF
#include "reference.h"
#include "magnitude.h"

#include <math.h>
#include <stdlib.h>

// One operation at a time, in the order that the rules give. fmaf is correctly rounded by definition.

// Sums the batch in 16 lanes, in order, and then the lanes as a tree.
static float sum_over_batch(size_t batch, const float *a, const float *b) {
    float lane[TK_LANES] = {0};
    for (size_t e = 0; e < batch; e++) lane[e % TK_LANES] = fmaf(a[e], b ? b[e] : 1.0f, lane[e % TK_LANES]);
    for (int half = TK_LANES / 2; half > 0; half /= 2) {
        for (int l = 0; l < half; l++) lane[l] = lane[l] + lane[l + half];
    }
    return lane[0] + 0.0f;
}

tk_magnitude tk_reference_forward(
    const tk_dense_shape *shape, const float *weights, const float *bias, const uint32_t *live, size_t live_count,
    int rectify, const float *x, float *y) {
    tk_magnitude magnitude = 0;
    for (size_t n = 0; n < shape->outputs * shape->batch; n++) y[n] = 0.0f;
    for (size_t n = 0; n < live_count; n++) {
        size_t o = live[n];
        for (size_t e = 0; e < shape->batch; e++) {
            float sum = bias[o];
            for (size_t i = 0; i < shape->inputs; i++) {
                sum = fmaf(weights[o * shape->padded_inputs + i], x[i * shape->batch + e], sum);
            }
            magnitude = larger(magnitude, sum);
            y[o * shape->batch + e] = rectify && sum <= 0 ? 0.0f : sum + 0.0f;
        }
    }
    return magnitude;
}

tk_magnitude tk_reference_input_gradient(
    const tk_dense_shape *shape, const float *weights, const uint32_t *live, size_t live_count, const float *dy,
    const float *x, float *dx) {
    tk_magnitude magnitude = 0;
    for (size_t i = 0; i < shape->padded_inputs; i++) {
        for (size_t e = 0; e < shape->batch; e++) {
            float sum = 0.0f;
            for (size_t n = 0; n < live_count; n++) {
                size_t o = live[n];
                sum = fmaf(weights[o * shape->padded_inputs + i], dy[o * shape->batch + e], sum);
            }
            magnitude = larger(magnitude, sum);
            dx[i * shape->batch + e] = x[i * shape->batch + e] > 0 ? sum + 0.0f : 0.0f;
        }
    }
    return magnitude;
}

tk_magnitude tk_reference_weight_gradient(
    const tk_dense_shape *shape, const uint16_t *mask, const float *dy, const float *x, float *weight_gradient,
    float *bias_gradient) {
    tk_magnitude magnitude = 0;
    for (size_t o = 0; o < shape->outputs; o++) {
        for (size_t i = 0; i < shape->padded_inputs; i++) {
            size_t at = o * shape->padded_inputs + i;
            int survives = mask[at / TK_LANES] >> at % TK_LANES & 1;
            weight_gradient[at] =
                survives ? sum_over_batch(shape->batch, dy + o * shape->batch, x + i * shape->batch) : 0.0f;
            magnitude = larger(magnitude, weight_gradient[at]);
        }
        bias_gradient[o] = sum_over_batch(shape->batch, dy + o * shape->batch, NULL);
        magnitude = larger(magnitude, bias_gradient[o]);
    }
    for (size_t o = shape->outputs; o % TK_LANES != 0; o++) bias_gradient[o] = 0.0f;
    return magnitude;
}

tk_magnitude tk_reference_update(
    const tk_rule *rule, size_t count, const float *gradient, float *values, float *state1, float *state2) {
    int states = rule->kind == TK_SGD ? 0
        : rule->kind == TK_MOMENTUM || rule->kind == TK_NESTEROV || rule->kind == TK_RMSPROP ? 1 : 2;
    tk_magnitude magnitude = 0;
    for (size_t n = 0; n < count; n++) {
        float g = rule->kind == TK_ADAMW ? gradient[n] : fmaf(rule->decay, values[n], gradient[n]);
        switch (rule->kind) {
        case TK_SGD:
            values[n] = fmaf(-rule->rate, g, values[n]) + 0.0f;
            break;
        case TK_MOMENTUM:
            state1[n] = fmaf(rule->momentum, state1[n], g) + 0.0f;
            values[n] = fmaf(-rule->rate, state1[n], values[n]) + 0.0f;
            break;
        case TK_NESTEROV:
            state1[n] = fmaf(rule->momentum, state1[n], g) + 0.0f;
            values[n] = fmaf(-rule->rate, fmaf(rule->momentum, state1[n], g), values[n]) + 0.0f;
            break;
        case TK_RMSPROP:
        case TK_RMSPROP_MOMENTUM: {
            state1[n] = fmaf(rule->complement2 * g, g, rule->beta2 * state1[n]) + 0.0f;
            float step = g / (sqrtf(state1[n]) + rule->epsilon);
            if (rule->kind == TK_RMSPROP_MOMENTUM) {
                step = fmaf(rule->momentum, state2[n], step) + 0.0f;
                state2[n] = step;
            }
            values[n] = fmaf(-rule->rate, step, values[n]) + 0.0f;
            break;
        }
        case TK_ADAM:
        case TK_ADAMW:
            if (rule->kind == TK_ADAMW) values[n] = rule->decay * values[n];
            state1[n] = fmaf(rule->complement1, g - state1[n], state1[n]) + 0.0f;
            state2[n] = fmaf(rule->complement2 * g, g, rule->beta2 * state2[n]) + 0.0f;
            values[n] = values[n] - rule->rate * state1[n] / fmaf(sqrtf(state2[n]), rule->root, rule->epsilon) + 0.0f;
            break;
        }
        magnitude = larger(magnitude, values[n]);
        if (states > 0) magnitude = larger(magnitude, state1[n]);
        if (states > 1) magnitude = larger(magnitude, state2[n]);
    }
    return magnitude;
}

double tk_reference_sum_of_squares(size_t count, const float *values) {
    double lane[TK_LANES] = {0};
    for (size_t n = 0; n < count; n++) {
        double value = (double)values[n];
        lane[n % TK_LANES] = lane[n % TK_LANES] + value * value;
    }
    for (int half = TK_LANES / 2; half > 0; half /= 2) {
        for (int l = 0; l < half; l++) lane[l] = lane[l] + lane[l + half];
    }
    return lane[0];
}

// e^x for x <= 0, by the polynomial of the kernels.
static float exp_of_nonpositive(float x) {
    if (x < -86.0f) return 0.0f;
    float n = fmaf(x, 1.44269504f, 12582912.0f) - 12582912.0f;
    float r = fmaf(n, -0.693359375f, x);
    r = fmaf(n, 2.12194440e-4f, r);
    float p = fmaf(1.9875691500e-4f, r, 1.3981999507e-3f);
    p = fmaf(p, r, 8.3334519073e-3f);
    p = fmaf(p, r, 4.1665795894e-2f);
    p = fmaf(p, r, 1.6666665459e-1f);
    p = fmaf(p, r, 5.0000001201e-1f);
    return ldexpf(fmaf(r * r, p, r) + 1.0f, (int)n);
}

tk_magnitude tk_reference_softmax_cross_entropy(
    size_t classes, size_t batch, size_t count, const uint8_t *labels, const float *logits, float smoothing,
    float *gradient, double *loss_sum) {
    tk_magnitude magnitude = 0;
    for (size_t e = 0; e < batch; e++) {
        float largest = logits[e], sum = 0.0f;
        for (size_t c = 1; c < classes; c++) {
            if (logits[c * batch + e] > largest) largest = logits[c * batch + e];
        }
        for (size_t c = 0; c < classes; c++) sum += exp_of_nonpositive(logits[c * batch + e] - largest);
        if (e < count) {
            double fit = (double)logits[labels[e] * batch + e] - (double)largest, all = 0;
            for (size_t c = 0; c < classes; c++) all += (double)logits[c * batch + e] - (double)largest;
            double smooth = (1 - (double)smoothing) * fit + (double)smoothing * (all / (double)classes);
            *loss_sum += tk_log((double)sum) - (smoothing == 0 ? fit : smooth);
        }
        for (size_t c = 0; gradient && c < classes; c++) {
            float share = exp_of_nonpositive(logits[c * batch + e] - largest) / sum;
            float error = share - smoothing / (float)classes;
            if (e < count && c == labels[e]) error = error - (1.0f - smoothing);
            float result = e < count ? error / (float)count + 0.0f : 0.0f;
            gradient[c * batch + e] = result;
            magnitude = larger(magnitude, result);
        }
    }
    return magnitude;
}

void tk_reference_load_images(
    const uint8_t *images, const int32_t *indices, size_t count, size_t batch, size_t channels,
    size_t features_per_channel, const float *means, const float *deviations, float *x) {
    size_t features = channels * features_per_channel;
    for (size_t f = 0; f < (features + 15) / 16 * 16; f++) {
        for (size_t e = 0; e < batch; e++) {
            size_t image = (size_t)indices[e < count ? e : count - 1];
            size_t channel = f / features_per_channel;
            x[f * batch + e] = f < features
                ? ((float)images[image * features + f] / 255.0f - means[channel]) / deviations[channel] + 0.0f
                : 0.0f;
        }
    }
}
