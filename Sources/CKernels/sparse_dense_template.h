// A dense layer's survivors over vectors of 16 lanes. A file that includes this one has defined V, U and their functions as in
// dense_template.h, and
//   NAME(f)   the name of f for this instruction set
// Batches are worked on in at most COLUMNS vectors side by side, LeNet's 64 examples: `batch` is a constant there.

enum { COLUMNS = 4, WIDE = COLUMNS * TK_LANES };

// Expands CALL(columns, batch, e) for all examples of a batch, e being the first of `columns` vectors of them.
#define EACH_COLUMNS(batch, CALL)                                                                   \
    if ((batch) == WIDE) {                                                                          \
        CALL(COLUMNS, WIDE, 0);                                                                     \
    } else {                                                                                        \
        size_t e = 0;                                                                               \
        for (; e + WIDE <= (batch); e += WIDE) CALL(COLUMNS, batch, e);                             \
        switch (((batch) - e) / TK_LANES) {                                                         \
        case 3: CALL(3, batch, e); break;                                                           \
        case 2: CALL(2, batch, e); break;                                                           \
        case 1: CALL(1, batch, e); break;                                                           \
        }                                                                                           \
    }

static INLINE U forward_runs(
    const int columns, const size_t batch, const tk_sparse_run *runs, size_t run_count, const uint32_t *inputs,
    const float *weights, const float *bias, int rectify, const float *x, float *y, U magnitude) {
    for (const tk_sparse_run *run = runs; run < runs + run_count; run++) {
        float *result = y + run->output * batch;
        V sum[COLUMNS];
        UNROLL for (int c = 0; c < columns; c++) sum[c] = v_set1(bias[run->output]);
        for (size_t n = run->first; n < run->last; n++) {
            const float *in = x + inputs[n] * batch;
            V weight = v_set1(weights[n]);
            UNROLL for (int c = 0; c < columns; c++) sum[c] = v_fma(weight, v_load(in + TK_LANES * c), sum[c]);
        }
        UNROLL for (int c = 0; c < columns; c++) {
            magnitude = u_max(magnitude, sum[c]);
            v_store(result + TK_LANES * c, rectify ? v_rectified(sum[c]) : v_add(sum[c], v_zero()));
        }
    }
    return magnitude;
}

tk_magnitude NAME(sparse_forward)(
    size_t batch, const tk_sparse_run *runs, size_t run_count, const uint32_t *inputs, const float *weights,
    const float *bias, int rectify, const float *x, float *y) {
    U magnitude = u_zero();
#define FORWARD(columns, batch, e)    \
    magnitude = forward_runs(         \
        columns, batch, runs, run_count, inputs, weights, bias, rectify, x + (e), y + (e), magnitude)
    EACH_COLUMNS(batch, FORWARD)
#undef FORWARD
    return u_result(magnitude);
}

static INLINE U input_gradient_rows(
    const int columns, const size_t batch, size_t rows, const uint32_t *starts, const tk_sparse_term *terms,
    const float *weights, const float *dy, const float *x, float *dx, U magnitude) {
    for (size_t i = 0; i < rows; i++) {
        V sum[COLUMNS];
        UNROLL for (int c = 0; c < columns; c++) sum[c] = v_zero();
        for (size_t n = starts[i]; n < starts[i + 1]; n++) {
            const float *in = dy + terms[n].output * batch;
            V weight = v_set1(weights[terms[n].place]);
            UNROLL for (int c = 0; c < columns; c++) sum[c] = v_fma(weight, v_load(in + TK_LANES * c), sum[c]);
        }
        UNROLL for (int c = 0; c < columns; c++) {
            size_t at = i * batch + (size_t)TK_LANES * c;
            magnitude = u_max(magnitude, sum[c]);
            v_store(dx + at, v_where_positive(v_load(x + at), v_add(sum[c], v_zero())));
        }
    }
    return magnitude;
}

tk_magnitude NAME(sparse_input_gradient)(
    size_t batch, size_t rows, const uint32_t *starts, const tk_sparse_term *terms, const float *weights,
    const float *dy, const float *x, float *dx) {
    U magnitude = u_zero();
#define ROWS(columns, batch, e)         \
    magnitude = input_gradient_rows(    \
        columns, batch, rows, starts, terms, weights, dy + (e), x + (e), dx + (e), magnitude)
    EACH_COLUMNS(batch, ROWS)
#undef ROWS
    return u_result(magnitude);
}

// The lanes' chains of dy · x over the batch, lanes l and l + 8 added. The first `columns` vectors of dy are in `d`.
static INLINE H folded_product(const int columns, const size_t batch, const V d[COLUMNS], const float *dy, const float *x) {
    // An fma from +0 is a product, but for the sign of a zero, which the +0 at the end makes good.
    V sum = v_mul(d[0], v_load(x));
    UNROLL for (int c = 1; c < columns; c++) sum = v_fma(d[c], v_load(x + TK_LANES * c), sum);
    for (size_t e = WIDE; e < batch; e += TK_LANES) sum = v_fma(v_load(dy + e), v_load(x + e), sum);
    return v_folded(sum);
}

static INLINE void gradient_runs(
    const int columns, const size_t batch, const tk_sparse_run *runs, size_t run_count, const uint32_t *inputs,
    const float *dy_all, const float *x, float *gradient) {
    for (const tk_sparse_run *run = runs; run < runs + run_count; run++) {
        const float *dy = dy_all + run->output * batch;
        V d[COLUMNS];
        UNROLL for (int c = 0; c < columns; c++) d[c] = v_load(dy + TK_LANES * c);
        size_t last = run->last;
        for (size_t n = run->first; n < last; n += 8) {
            // Past the end the last weight's gradient is computed again.
#define FOLDED(k) folded_product(columns, batch, d, dy, x + inputs[n + k < last ? n + k : last - 1] * batch)
            H eight = H_EIGHT(FOLDED);
#undef FOLDED
            if (last - n >= 8) {
                __builtin_memcpy(gradient + n, &eight, sizeof eight);
            } else {
                UNROLL for (size_t k = 0; k < 7; k++) if (n + k < last) gradient[n + k] = eight.f[k];
            }
        }
    }
}

tk_magnitude NAME(sparse_weight_gradient)(
    size_t batch, const tk_sparse_run *runs, size_t run_count, const uint32_t *inputs, size_t count, const float *dy,
    const float *x, float *gradient) {
    switch (batch / TK_LANES) {
    case 1: gradient_runs(1, TK_LANES, runs, run_count, inputs, dy, x, gradient); break;
    case 2: gradient_runs(2, 2 * TK_LANES, runs, run_count, inputs, dy, x, gradient); break;
    case 3: gradient_runs(3, 3 * TK_LANES, runs, run_count, inputs, dy, x, gradient); break;
    case 4: gradient_runs(4, WIDE, runs, run_count, inputs, dy, x, gradient); break;
    default: gradient_runs(4, batch, runs, run_count, inputs, dy, x, gradient); break;
    }
    U magnitude = u_zero();
    size_t padded = (count + TK_LANES - 1) / TK_LANES * TK_LANES;
    for (size_t n = count; n < padded; n++) gradient[n] = 0.0f;
    for (size_t n = 0; n < padded; n += TK_LANES) magnitude = u_max(magnitude, v_load(gradient + n));
    return u_result(magnitude);
}
