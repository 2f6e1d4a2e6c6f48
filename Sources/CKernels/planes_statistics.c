#pragma STDC FP_CONTRACT OFF
#include "magnitude.h"
#include "planes.h"

// Plain f64, each operation IEEE-rounded, so every instruction set gives the same bits.

typedef struct { double first, second; } sums_of_channel;

static sums_of_channel sum_over_blocks(size_t channels, size_t blocks, const float *sums, size_t channel) {
    sums_of_channel total = {0.0, 0.0};
    for (size_t block = 0; block < blocks; block++) {
        const float *pair = sums + 2 * (block * channels + channel);
        total.first += (double)pair[0];
        total.second += (double)pair[1];
    }
    return total;
}

static double inverse_deviation_of(double variance) {
    return 1.0 / __builtin_elementwise_sqrt(variance + tk_batch_norm_epsilon);
}

static float scale_of(float gamma, float inverse_deviation) { return gamma * inverse_deviation + 0.0f; }

static float shift_of(float beta, float mean, float scale) {
    return (float)((double)beta - (double)mean * (double)scale) + 0.0f;
}

// `running` moved towards `value`.
static float moved(float running, double value) {
    double kept = (1.0 - tk_batch_norm_momentum) * (double)running;
    return (float)(tk_batch_norm_momentum * value + kept) + 0.0f;
}

void tk_batch_norm_statistics(
    size_t channels, size_t blocks, size_t count, const float *sums, const float *gamma, const float *beta, float *mean,
    float *inverse_deviation, float *scale, float *shift, float *running_mean, float *running_variance) {
    double n = (double)count;
    for (size_t channel = 0; channel < channels; channel++) {
        sums_of_channel total = sum_over_blocks(channels, blocks, sums, channel);
        double center = total.first / n;
        double variance = total.second / n - center * center;
        // A NaN is not below 0 and stays.
        if (variance < 0.0) variance = 0.0;
        mean[channel] = (float)center + 0.0f;
        inverse_deviation[channel] = (float)inverse_deviation_of(variance);
        scale[channel] = scale_of(gamma[channel], inverse_deviation[channel]);
        shift[channel] = shift_of(beta[channel], mean[channel], scale[channel]);
        if (running_mean) running_mean[channel] = moved(running_mean[channel], center);
        if (running_variance) {
            double unbiased = count > 1 ? variance * n / (n - 1.0) : variance;
            running_variance[channel] = moved(running_variance[channel], unbiased);
        }
    }
}

void tk_batch_norm_running(
    size_t channels, const float *gamma, const float *beta, const float *running_mean, const float *running_variance,
    float *scale, float *shift) {
    for (size_t channel = 0; channel < channels; channel++) {
        float inverse_deviation = (float)inverse_deviation_of((double)running_variance[channel]);
        scale[channel] = scale_of(gamma[channel], inverse_deviation);
        shift[channel] = shift_of(beta[channel], running_mean[channel], scale[channel]);
    }
}

tk_magnitude tk_batch_norm_gradient_coefficients(
    size_t channels, size_t blocks, size_t count, const float *sums, const float *gamma, const float *mean,
    const float *inverse_deviation, float *d_gamma, float *d_beta, float *a, float *b, float *c) {
    double n = (double)count;
    tk_magnitude magnitude = 0;
    for (size_t channel = 0; channel < channels; channel++) {
        sums_of_channel total = sum_over_blocks(channels, blocks, sums, channel);
        double inverse = (double)inverse_deviation[channel];
        double factor = (double)gamma[channel] * inverse;
        d_beta[channel] = (float)total.first + 0.0f;
        d_gamma[channel] = (float)total.second + 0.0f;
        a[channel] = (float)factor + 0.0f;
        b[channel] = (float)(-factor * inverse * (total.second / n)) + 0.0f;
        // From the rounded b, so that its rounding error is small where z is near the mean.
        c[channel] = (float)(-factor * (total.first / n) - (double)b[channel] * (double)mean[channel]) + 0.0f;
        float stored[] = {d_beta[channel], d_gamma[channel], a[channel], b[channel], c[channel]};
        for (size_t n_stored = 0; n_stored < sizeof stored / sizeof *stored; n_stored++) {
            magnitude = larger(magnitude, stored[n_stored]);
        }
    }
    return magnitude;
}
