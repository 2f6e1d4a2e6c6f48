#pragma STDC FP_CONTRACT OFF
#include "kernels.h"

double tk_sum_of_squares(size_t count, const float *values) {
    double sum = 0;
    for (size_t n = 0; n < count; n++) sum += (double)values[n] * (double)values[n];
    return sum;
}

void tk_scale(size_t count, float factor, float *values) {
    for (size_t n = 0; n < count; n++) values[n] = values[n] * factor + 0.0f;
}
