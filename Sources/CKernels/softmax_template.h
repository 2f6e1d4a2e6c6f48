// Softmax cross-entropy; included by dense_template.h, which says what it needs.

// e^x for x <= 0, error below 2 ulp; +0 below -86, so that no result is denormal.
static INLINE V exp_of_nonpositive(V x) {
    const V shift = v_set1(12582912.0f);  // 1.5 · 2^23: adding it rounds to an integer
    V t = v_fma(x, v_set1(1.44269504f), shift);
    V n = v_sub(t, shift);
    V r = v_fma(n, v_set1(-0.693359375f), x);
    r = v_fma(n, v_set1(2.12194440e-4f), r);
    // Minimax polynomial of Cephes' expf on [-ln 2 / 2, ln 2 / 2].
    V p = v_fma(v_set1(1.9875691500e-4f), r, v_set1(1.3981999507e-3f));
    p = v_fma(p, r, v_set1(8.3334519073e-3f));
    p = v_fma(p, r, v_set1(4.1665795894e-2f));
    p = v_fma(p, r, v_set1(1.6666665459e-1f));
    p = v_fma(p, r, v_set1(5.0000001201e-1f));
    V e = v_add(v_fma(v_mul(r, r), p, r), v_set1(1.0f));
    return v_zero_below(v_set1(-86.0f), x, v_scale(e, t));
}

tk_magnitude NAME(softmax_cross_entropy)(
    size_t classes, size_t batch, size_t count, const uint8_t *labels, const float *logits, float smoothing,
    float *gradient, double *loss_sum) {
    U magnitude = u_zero();
    double loss = *loss_sum;
    float label_share = 1.0f - smoothing, class_share = smoothing / (float)classes;
    for (size_t e = 0; e < batch; e += TK_LANES) {
        size_t examples = e >= count ? 0 : smaller(TK_LANES, count - e);
        V largest = v_load(logits + e);
        for (size_t c = 1; c < classes; c++) largest = v_max(v_load(logits + c * batch + e), largest);
        V sum = v_zero();
        for (size_t c = 0; c < classes; c++) {
            V power = exp_of_nonpositive(v_sub(v_load(logits + c * batch + e), largest));
            if (gradient) v_store(gradient + c * batch + e, power);
            sum = v_add(sum, power);
        }
        float largest_lane[TK_LANES] __attribute__((aligned(64))), sum_lane[TK_LANES] __attribute__((aligned(64)));
        v_store(largest_lane, largest);
        v_store(sum_lane, sum);
        for (size_t l = 0; l < examples; l++) {
            double fit = (double)logits[labels[e + l] * batch + e + l] - (double)largest_lane[l];
            if (smoothing != 0) {
                double all = 0;
                for (size_t c = 0; c < classes; c++) {
                    all += (double)logits[c * batch + e + l] - (double)largest_lane[l];
                }
                fit = (1 - (double)smoothing) * fit + (double)smoothing * (all / (double)classes);
            }
            loss += tk_log((double)sum_lane[l]) - fit;
        }
        if (!gradient) continue;
        for (size_t c = 0; c < classes; c++) {
            float *g = gradient + c * batch + e;
            v_store(g, v_sub(v_div(v_load(g), sum), v_set1(class_share)));
        }
        for (size_t l = 0; l < examples; l++) gradient[labels[e + l] * batch + e + l] -= label_share;
        uint16_t real = (uint16_t)((1u << examples) - 1);
        for (size_t c = 0; c < classes; c++) {
            float *g = gradient + c * batch + e;
            V result = v_add(v_div(v_load(g), v_set1((float)count)), v_zero());
            result = v_masked(real, result);
            magnitude = u_max(magnitude, result);
            v_store(g, result);
        }
    }
    *loss_sum = loss;
    return u_result(magnitude);
}
