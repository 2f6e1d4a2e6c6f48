// The kernels over vectors of 16 lanes. A file that includes this one has defined, for one instruction set:
//   V                        16 f32 lanes; U: running magnitudes
//   v_zero v_set1 v_load v_store v_add v_sub v_mul v_div v_sqrt
//   v_fma(a, b, c)           a · b + c, rounded once
//   v_max(a, b)              a > b ? a : b
//   v_rectified(x)           x <= 0 ? +0 : x
//   v_where_positive(y, x)   y > 0 ? x : +0
//   v_zero_below(limit, y, x) y < limit ? +0 : x
//   v_pin(x)                 has *x computed here: the compiler would put sums off until their use and spill their terms
//   v_masked(word, x)        lane l of x where bit l of word is 1, else +0
//   v_scale(x, t)            x · 2^n for t = 1.5 · 2^23 + n
//   v_compress(p, word, x)   to p, one after the other, the lanes of x whose bits are 1
//   u_zero, u_max(u, x), u_result(u)
//   v_folded(x)              lanes l and l + 8 of x added (lane_trees.h)
//   ROWS, COLUMNS            accumulators of the forward kernel: ROWS outputs by COLUMNS vectors of examples
//   BLOCK_ROWS, BLOCK_COLUMNS outputs and vectors of inputs of the weight gradient; at most 8 vectors in all
//   GRADIENT_COLUMNS         vectors of examples in the input gradient, by 4 inputs
//   PREFETCH                 1 to ask for weights and state before the update needs them
//   NAME(f)                  the name of f for this instruction set
// Every loop with a constant bound is unrolled, so that arrays of V are registers.

static INLINE size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

// Blocks of inputs, so that their activations (28 KiB, 64 examples wide) stay in the first-level cache.
enum { FORWARD_DEPTH = 112 };

// ROWS outputs by `columns` vectors of examples over the inputs first..<last. Between blocks of inputs the f32 sums
// wait in `y`, which changes no bit.
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
                magnitude = u_max(magnitude, result);
                result = rectify ? v_rectified(result) : v_add(result, v_zero());
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
            magnitude = u_max(magnitude, sum[r][c]);
            v_store(dx + at, v_where_positive(v_load(x + at), v_add(sum[r][c], v_zero())));
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

#include "update_template.h"
#include "dense_weights_template.h"
#include "softmax_template.h"
#include "features_template.h"
#include "norm_template.h"
