// The kernels over vectors of 16 lanes. A file that includes this one has defined, for one instruction set:
//   V                        16 f32 lanes; U: running magnitudes
//   v_zero v_set1 v_load v_store v_add v_sub v_mul v_div v_sqrt
//   v_fma(a, b, c)           a · b + c, rounded once
//   v_max(a, b)              a > b ? a : b
//   v_rectified(x)           x <= 0 ? +0 : x
//   v_where_positive(y, x)   y > 0 ? x : +0
//   v_zero_below(limit, y, x) y < limit ? +0 : x
//   v_masked(word, x)        lane l of x where bit l of word is 1, else +0
//   v_scale(x, t)            x · 2^n for t = 1.5 · 2^23 + n
//   u_zero, u_max(u, x), u_result(u)
//   gradient_block           see below
//   ROWS, COLUMNS            accumulators of the forward kernel: ROWS outputs by COLUMNS vectors of examples
//   GRADIENT_COLUMNS         vectors of examples in the input gradient, by 4 inputs
//   PREFETCH                 bytes of weights to fetch ahead in the update (0: none)
//   NAME(f)                  the name of f for this instruction set
// Every loop with a constant bound is unrolled, so that arrays of V are registers.


static INLINE size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

// Blocks of inputs, so that their activations (64 examples wide) stay in the first-level cache.
enum { FORWARD_DEPTH = 64 };

// ROWS outputs by `columns` vectors of examples over the inputs first..<last. Between blocks of inputs the f32 sums wait
// in `y`, which changes no bit.
static INLINE U forward_block(
    const int columns, const tk_dense_shape *shape, const float *const weights[ROWS], const float bias[ROWS],
    size_t first, size_t last, int rectify, const float *x, float *const y[ROWS], U magnitude) {
    V sum[ROWS][COLUMNS];
    UNROLL for (int r = 0; r < ROWS; r++) {
        UNROLL for (int c = 0; c < columns; c++) {
            sum[r][c] = first == 0 ? v_set1(bias[r]) : v_load(y[r] + TK_LANES * c);
        }
    }
    for (size_t i = first; i < last; i++) {
        V in[COLUMNS];
        UNROLL for (int c = 0; c < columns; c++) in[c] = v_load(x + i * shape->batch + TK_LANES * c);
        UNROLL for (int r = 0; r < ROWS; r++) {
            V weight = v_set1(weights[r][i]);
            UNROLL for (int c = 0; c < columns; c++) sum[r][c] = v_fma(weight, in[c], sum[r][c]);
        }
    }
    int complete = last == shape->inputs;
    UNROLL for (int r = 0; r < ROWS; r++) {
        UNROLL for (int c = 0; c < columns; c++) {
            V result = sum[r][c];
            if (complete) {
                result = rectify ? v_rectified(result) : v_add(result, v_zero());
                magnitude = u_max(magnitude, result);
            }
            v_store(y[r] + TK_LANES * c, result);
        }
    }
    return magnitude;
}

static INLINE U forward_columns(
    const int columns, const tk_dense_shape *shape, const float *weights, const float *bias, const uint32_t *live,
    size_t live_count, int rectify, const float *x, float *y, U magnitude) {
    size_t first = 0;
    do {
        size_t last = smaller(first + FORWARD_DEPTH, shape->inputs);
        for (size_t n = 0; n < live_count; n += ROWS) {
            const float *row[ROWS];
            float *result[ROWS];
            float start[ROWS];
            // Past the end the last output is computed again: the same value goes to the same place.
            UNROLL for (int r = 0; r < ROWS; r++) {
                size_t o = live[smaller(n + r, live_count - 1)];
                row[r] = weights + o * shape->padded_inputs;
                result[r] = y + o * shape->batch;
                start[r] = bias[o];
            }
            magnitude = forward_block(columns, shape, row, start, first, last, rectify, x, result, magnitude);
        }
        first = last;
    } while (first < shape->inputs);
    return magnitude;
}

tk_magnitude NAME(forward)(
    const tk_dense_shape *shape, const float *weights, const float *bias, const uint32_t *live, size_t live_count,
    int rectify, const float *x, float *y) {
    U magnitude = u_zero();
    size_t e = 0;
    for (; e + TK_LANES * COLUMNS <= shape->batch; e += TK_LANES * COLUMNS) {
        magnitude = forward_columns(
            COLUMNS, shape, weights, bias, live, live_count, rectify, x + e, y + e, magnitude);
    }
    for (; e < shape->batch; e += TK_LANES) {
        magnitude = forward_columns(1, shape, weights, bias, live, live_count, rectify, x + e, y + e, magnitude);
    }
    return u_result(magnitude);
}

// Four inputs by `columns` vectors of examples.
static INLINE U input_gradient_block(
    const int columns, const tk_dense_shape *shape, const float *weights, const uint32_t *live, size_t live_count,
    const float *dy, const float *x, float *dx, U magnitude) {
    V sum[4][GRADIENT_COLUMNS];
    UNROLL for (int r = 0; r < 4; r++) {
        UNROLL for (int c = 0; c < columns; c++) sum[r][c] = v_zero();
    }
    for (size_t n = 0; n < live_count; n++) {
        size_t o = live[n];
        const float *weight = weights + o * shape->padded_inputs;
        V in[GRADIENT_COLUMNS];
        UNROLL for (int c = 0; c < columns; c++) in[c] = v_load(dy + o * shape->batch + TK_LANES * c);
        UNROLL for (int r = 0; r < 4; r++) {
            V w = v_set1(weight[r]);
            UNROLL for (int c = 0; c < columns; c++) sum[r][c] = v_fma(w, in[c], sum[r][c]);
        }
    }
    UNROLL for (int r = 0; r < 4; r++) {
        UNROLL for (int c = 0; c < columns; c++) {
            size_t at = (size_t)r * shape->batch + TK_LANES * c;
            V result = v_where_positive(v_load(x + at), v_add(sum[r][c], v_zero()));
            magnitude = u_max(magnitude, result);
            v_store(dx + at, result);
        }
    }
    return magnitude;
}

tk_magnitude NAME(input_gradient)(
    const tk_dense_shape *shape, const float *weights, const uint32_t *live, size_t live_count, const float *dy,
    const float *x, float *dx) {
    U magnitude = u_zero();
    size_t e = 0;
    for (; e + TK_LANES * GRADIENT_COLUMNS <= shape->batch; e += TK_LANES * GRADIENT_COLUMNS) {
        for (size_t i = 0; i < shape->padded_inputs; i += 4) {
            size_t at = i * shape->batch + e;
            magnitude = input_gradient_block(
                GRADIENT_COLUMNS, shape, weights + i, live, live_count, dy + e, x + at, dx + at, magnitude);
        }
    }
    for (; e < shape->batch; e += TK_LANES) {
        for (size_t i = 0; i < shape->padded_inputs; i += 4) {
            size_t at = i * shape->batch + e;
            magnitude = input_gradient_block(
                1, shape, weights + i, live, live_count, dy + e, x + at, dx + at, magnitude);
        }
    }
    return u_result(magnitude);
}

// Inputs per block of the weight gradient: about 16 KiB of activations.
static INLINE size_t gradient_depth(const tk_dense_shape *shape) {
    size_t depth = 4096 / shape->batch / TK_LANES * TK_LANES;
    return depth < TK_LANES ? TK_LANES : depth;
}

// g[r][i] for four outputs and the inputs first..<last (multiples of 16).
// `gradient_block(dy, x, batch, g)` gives those of four outputs by the four inputs whose rows start at `x`, +0 added.
static INLINE void gradient_strip(
    const tk_dense_shape *shape, size_t output, size_t first, size_t last, const float *dy, const float *x,
    float *const g[4]) {
    const float *rows[4];
    for (int r = 0; r < 4; r++) rows[r] = dy + smaller(output + r, shape->outputs - 1) * shape->batch;
    if (shape->batch == 64) {
        for (size_t i = first; i < last; i += 4) {
            float *const at[4] = {g[0] + i, g[1] + i, g[2] + i, g[3] + i};
            gradient_block(rows, x + i * 64, 64, at);
        }
    } else {
        for (size_t i = first; i < last; i += 4) {
            float *const at[4] = {g[0] + i, g[1] + i, g[2] + i, g[3] + i};
            gradient_block(rows, x + i * shape->batch, shape->batch, at);
        }
    }
}

// Sums over the batch of each output, in lanes and then as a tree; rows past the outputs give +0.
static INLINE U bias_gradient(const tk_dense_shape *shape, const float *dy, float *g, U magnitude) {
    size_t padded = (shape->outputs + TK_LANES - 1) / TK_LANES * TK_LANES;
    for (size_t o = 0; o < padded; o += TK_LANES) {
        for (size_t r = 0; r < TK_LANES; r++) {
            float lane[TK_LANES] __attribute__((aligned(64)));
            V sum = v_zero();
            if (o + r < shape->outputs) {
                for (size_t e = 0; e < shape->batch; e += TK_LANES) {
                    sum = v_add(sum, v_load(dy + (o + r) * shape->batch + e));
                }
            }
            v_store(lane, sum);
            for (int half = TK_LANES / 2; half > 0; half /= 2) {
                for (int l = 0; l < half; l++) lane[l] += lane[l + half];
            }
            g[o + r] = lane[0] + 0.0f;
        }
        magnitude = u_max(magnitude, v_load(g + o));
    }
    return magnitude;
}

tk_magnitude NAME(weight_gradient)(
    const tk_dense_shape *shape, const uint16_t *mask, const float *dy, const float *x, float *weight_gradient,
    float *bias_result) {
    U magnitude = u_zero();
    size_t stride = shape->padded_inputs, depth = gradient_depth(shape);
    for (size_t first = 0; first < stride; first += depth) {
        size_t last = smaller(first + depth, stride);
        for (size_t o = 0; o < shape->outputs; o += 4) {
            float *g[4];
            for (int r = 0; r < 4; r++) g[r] = weight_gradient + smaller(o + r, shape->outputs - 1) * stride;
            gradient_strip(shape, o, first, last, dy, x, g);
            for (size_t r = 0; r < smaller(4, shape->outputs - o); r++) {
                for (size_t i = first; i < last; i += TK_LANES) {
                    V result = v_masked(mask[((o + r) * stride + i) / TK_LANES], v_load(g[r] + i));
                    magnitude = u_max(magnitude, result);
                    v_store(g[r] + i, result);
                }
            }
        }
    }
    return u_result(bias_gradient(shape, dy, bias_result, magnitude));
}

static INLINE void update_lanes(
    const tk_rule_kind kind, const tk_rule *rule, V g, float *values, float *state1, float *state2) {
    V w = v_load(values);
    g = v_fma(v_set1(rule->decay), w, g);
    switch (kind) {
    case TK_SGD:
        w = v_fma(v_set1(-rule->rate), g, w);
        break;
    case TK_MOMENTUM: {
        V s = v_add(v_fma(v_set1(rule->momentum), v_load(state1), g), v_zero());
        v_store(state1, s);
        w = v_fma(v_set1(-rule->rate), s, w);
        break;
    }
    case TK_ADAM: {
        V s1 = v_load(state1);
        s1 = v_add(v_fma(v_set1(rule->complement1), v_sub(g, s1), s1), v_zero());
        V s2 = v_mul(v_set1(rule->beta2), v_load(state2));
        s2 = v_add(v_fma(v_mul(v_set1(rule->complement2), g), g, s2), v_zero());
        v_store(state1, s1);
        v_store(state2, s2);
        V divisor = v_fma(v_sqrt(s2), v_set1(rule->root), v_set1(rule->epsilon));
        w = v_sub(w, v_div(v_mul(v_set1(rule->rate), s1), divisor));
        break;
    }
    }
    v_store(values, v_add(w, v_zero()));
}

static INLINE void update_all(
    const tk_rule_kind kind, const tk_rule *rule, size_t count, const float *gradient, float *values, float *state1,
    float *state2) {
    for (size_t n = 0; n < count; n += TK_LANES) {
        update_lanes(kind, rule, v_load(gradient + n), values + n, state1 + n, state2 + n);
    }
}

void NAME(update)(
    const tk_rule *rule, size_t count, const float *gradient, float *values, float *state1, float *state2) {
    switch (rule->kind) {
    case TK_SGD: update_all(TK_SGD, rule, count, gradient, values, values, values); break;
    case TK_MOMENTUM: update_all(TK_MOMENTUM, rule, count, gradient, values, state1, state1); break;
    case TK_ADAM: update_all(TK_ADAM, rule, count, gradient, values, state1, state2); break;
    }
}

// Asks for the weights and state of the strip after this one while its gradient is computed: they come from far.
static INLINE void fetch_ahead(const float *values, size_t count) {
    if (!PREFETCH) return;
    for (size_t n = 0; n < count; n += 16) __builtin_prefetch(values + n, 1, 2);
}

static INLINE void update_weights(
    const tk_rule_kind kind, const tk_dense_shape *shape, const tk_rule *rule, const uint16_t *mask, const float *dy,
    const float *x, float *weights, float *state1, float *state2) {
    enum { WIDEST = 256 };
    float strip[4][WIDEST] __attribute__((aligned(64)));
    size_t stride = shape->padded_inputs, depth = gradient_depth(shape);
    for (size_t first = 0; first < stride; first += depth) {
        size_t last = smaller(first + depth, stride);
        float *const g[4] = {strip[0] - first, strip[1] - first, strip[2] - first, strip[3] - first};
        for (size_t o = 0; o < shape->outputs; o += 4) {
            for (size_t r = o + 4; r < smaller(o + 8, shape->outputs); r++) {
                fetch_ahead(weights + r * stride + first, last - first);
                if (kind != TK_SGD) fetch_ahead(state1 + r * stride + first, last - first);
                if (kind == TK_ADAM) fetch_ahead(state2 + r * stride + first, last - first);
            }
            gradient_strip(shape, o, first, last, dy, x, g);
            for (size_t r = 0; r < smaller(4, shape->outputs - o); r++) {
                for (size_t i = first; i < last; i += TK_LANES) {
                    size_t at = (o + r) * stride + i;
                    V gradient = v_masked(mask[at / TK_LANES], v_load(g[r] + i));
                    update_lanes(kind, rule, gradient, weights + at, state1 + at, state2 + at);
                }
            }
        }
    }
}

void NAME(update_dense)(
    const tk_dense_shape *shape, const tk_rule *rule, const uint16_t *mask, const float *dy, const float *x,
    float *bias_result, float *weights, float *weights1, float *weights2, float *bias, float *bias1, float *bias2) {
    switch (rule->kind) {
    case TK_SGD: update_weights(TK_SGD, shape, rule, mask, dy, x, weights, weights, weights); break;
    case TK_MOMENTUM: update_weights(TK_MOMENTUM, shape, rule, mask, dy, x, weights, weights1, weights1); break;
    case TK_ADAM: update_weights(TK_ADAM, shape, rule, mask, dy, x, weights, weights1, weights2); break;
    }
    bias_gradient(shape, dy, bias_result, u_zero());
    size_t padded = (shape->outputs + TK_LANES - 1) / TK_LANES * TK_LANES;
    NAME(update)(rule, padded, bias_result, bias, bias1, bias2);
}

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
    size_t classes, size_t batch, size_t count, const uint8_t *labels, const float *logits, float *gradient,
    double *loss_sum) {
    U magnitude = u_zero();
    double loss = *loss_sum;
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
            double logit = logits[labels[e + l] * batch + e + l];
            loss += tk_log((double)sum_lane[l]) - (logit - (double)largest_lane[l]);
        }
        if (!gradient) continue;
        for (size_t c = 0; c < classes; c++) {
            float *g = gradient + c * batch + e;
            v_store(g, v_div(v_load(g), sum));
        }
        for (size_t l = 0; l < examples; l++) gradient[labels[e + l] * batch + e + l] -= 1.0f;
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

typedef uint8_t bytes16 __attribute__((ext_vector_type(16)));

// Transposes 16 rows of 16 bytes: four rounds that interleave row r with row r + 8.
static INLINE void transpose_bytes(const uint8_t *const rows[16], uint8_t columns[16][16]) {
    bytes16 a[16], b[16];
    UNROLL for (int r = 0; r < 16; r++) __builtin_memcpy(&a[r], rows[r], 16);
    UNROLL for (int round = 0; round < 4; round++) {
        UNROLL for (int r = 0; r < 8; r++) {
            b[2 * r] = __builtin_shufflevector(
                a[r], a[r + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            b[2 * r + 1] = __builtin_shufflevector(
                a[r], a[r + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        UNROLL for (int r = 0; r < 16; r++) a[r] = b[r];
    }
    UNROLL for (int r = 0; r < 16; r++) __builtin_memcpy(columns[r], &a[r], 16);
}

void NAME(load_images)(
    const uint8_t *images, const int32_t *indices, size_t count, size_t batch, size_t channels,
    size_t features_per_channel, const float *means, const float *deviations, float *x) {
    size_t features = channels * features_per_channel;
    for (size_t e = 0; e < batch; e += TK_LANES) {
        const uint8_t *image[TK_LANES];
        for (size_t l = 0; l < TK_LANES; l++) {
            image[l] = images + (size_t)indices[smaller(e + l, count - 1)] * features;
        }
        for (size_t f = 0; f < features; f += TK_LANES) {
            size_t width = smaller(TK_LANES, features - f);
            uint8_t pixels[TK_LANES][TK_LANES], ragged[TK_LANES][TK_LANES];
            const uint8_t *row[TK_LANES];
            for (size_t l = 0; l < TK_LANES; l++) {
                row[l] = image[l] + f;
                if (width == TK_LANES) continue;
                // A load of 16 pixels would reach past the last image.
                __builtin_memset(ragged[l], 0, TK_LANES);
                for (size_t n = 0; n < width; n++) ragged[l][n] = row[l][n];
                row[l] = ragged[l];
            }
            transpose_bytes(row, pixels);
            for (size_t r = 0; r < TK_LANES; r++) {
                V value = v_zero();
                if (r < width) {
                    size_t channel = channels == 1 ? 0 : (f + r) / features_per_channel;
                    value = v_div(v_pixels(pixels[r]), v_set1(255.0f));
                    // x - 0 and x / 1 change nothing; a division costs more than the test.
                    if (means[channel] != 0 || deviations[channel] != 1) {
                        value = v_div(v_sub(value, v_set1(means[channel])), v_set1(deviations[channel]));
                    }
                }
                v_store(x + (f + r) * batch + e, v_add(value, v_zero()));
            }
        }
    }
}
