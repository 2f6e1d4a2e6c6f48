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
//   u_zero, u_max(u, x), u_result(u)
//   v_folded(x)              lanes l and l + 8 of x added (lane_trees.h)
//   ROWS, COLUMNS            accumulators of the forward kernel: ROWS outputs by COLUMNS vectors of examples
//   BLOCK_ROWS, BLOCK_COLUMNS outputs and vectors of inputs of the weight gradient; at most 8 vectors in all
//   GRADIENT_COLUMNS         vectors of examples in the input gradient, by 4 inputs
//   PREFETCH                 1 to ask for weights and state before the update needs them
//   NAME(f)                  the name of f for this instruction set
// Every loop with a constant bound is unrolled, so that arrays of V are registers.

#include "images_template.h"

static INLINE size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

// Blocks of inputs, so that their activations (64 examples wide) stay in the first-level cache.
enum { FORWARD_DEPTH = 64 };

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

// Lane `lane` of the weight gradient: one chain over the examples lane, lane + 16, … for each of BLOCK_ROWS outputs by
// `columns` vectors of 16 inputs. `xt` is the transposed batch, [input / 16][example][16]: a vector holds the lane's
// sums of 16 weights, and the tree over the lanes needs no shuffle.
static INLINE void lane_sums(
    const int columns, const size_t batch, const int lane, const float *const dy[BLOCK_ROWS], const float *xt,
    V sum[BLOCK_ROWS][BLOCK_COLUMNS]) {
    // An fma from +0 is a product, but for the sign of a zero, which the +0 at the end makes good.
    UNROLL for (int r = 0; r < BLOCK_ROWS; r++) {
        UNROLL for (int c = 0; c < columns; c++) {
            sum[r][c] = v_mul(v_set1(dy[r][lane]), v_load(xt + ((size_t)c * batch + (size_t)lane) * TK_LANES));
        }
    }
    for (size_t e = (size_t)lane + TK_LANES; e < batch; e += TK_LANES) {
        V in[BLOCK_COLUMNS];
        UNROLL for (int c = 0; c < columns; c++) in[c] = v_load(xt + ((size_t)c * batch + e) * TK_LANES);
        UNROLL for (int r = 0; r < BLOCK_ROWS; r++) {
            V d = v_set1(dy[r][e]);
            UNROLL for (int c = 0; c < columns; c++) sum[r][c] = v_fma(d, in[c], sum[r][c]);
        }
    }
}

static INLINE void add_lanes(const int columns, const V a[BLOCK_ROWS][BLOCK_COLUMNS], V b[BLOCK_ROWS][BLOCK_COLUMNS]) {
    UNROLL for (int r = 0; r < BLOCK_ROWS; r++) {
        UNROLL for (int c = 0; c < columns; c++) {
            b[r][c] = v_add(a[r][c], b[r][c]);
            v_pin(&b[r][c]);
        }
    }
}

// Gradients whose update is still to be made: BLOCK_ROWS rows by BLOCK_COLUMNS vectors, row after row.
typedef struct {
    float gradient[BLOCK_ROWS * BLOCK_COLUMNS][TK_LANES] __attribute__((aligned(64)));
    size_t at[BLOCK_ROWS * BLOCK_COLUMNS];
    size_t count;
} waiting;

// Sums over the batch of each output, in lanes and then as a tree; rows past the outputs give +0.
static INLINE H folded_row(size_t outputs, size_t batch, const float *dy, size_t o) {
    V sum = v_zero();
    for (size_t e = 0; o < outputs && e < batch; e += TK_LANES) sum = v_add(sum, v_load(dy + o * batch + e));
    return v_folded(sum);
}

tk_magnitude NAME(bias_gradient)(size_t outputs, size_t batch, const float *dy, float *g) {
    U magnitude = u_zero();
    for (size_t o = 0; o < outputs; o += TK_LANES) {
        for (size_t half = o; half < o + TK_LANES; half += 8) {
#define FOLDED(k) folded_row(outputs, batch, dy, half + k)
            H sums = H_EIGHT(FOLDED);
#undef FOLDED
            __builtin_memcpy(g + half, &sums, sizeof sums);
        }
        magnitude = u_max(magnitude, v_load(g + o));
    }
    return u_result(magnitude);
}

static INLINE void update_lanes(
    const tk_rule_kind kind, const tk_rule *rule, V g, float *values, float *state1, float *state2) {
    V w = v_load(values);
    if (kind != TK_ADAMW) g = v_fma(v_set1(rule->decay), w, g);
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
    case TK_NESTEROV: {
        V s = v_add(v_fma(v_set1(rule->momentum), v_load(state1), g), v_zero());
        v_store(state1, s);
        w = v_fma(v_set1(-rule->rate), v_fma(v_set1(rule->momentum), s, g), w);
        break;
    }
    case TK_RMSPROP:
    case TK_RMSPROP_MOMENTUM: {
        V s = v_mul(v_set1(rule->beta2), v_load(state1));
        s = v_add(v_fma(v_mul(v_set1(rule->complement2), g), g, s), v_zero());
        v_store(state1, s);
        V step = v_div(g, v_add(v_sqrt(s), v_set1(rule->epsilon)));
        if (kind == TK_RMSPROP_MOMENTUM) {
            step = v_add(v_fma(v_set1(rule->momentum), v_load(state2), step), v_zero());
            v_store(state2, step);
        }
        w = v_fma(v_set1(-rule->rate), step, w);
        break;
    }
    case TK_ADAM:
    case TK_ADAMW: {
        if (kind == TK_ADAMW) w = v_mul(v_set1(rule->decay), w);
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
    case TK_NESTEROV: update_all(TK_NESTEROV, rule, count, gradient, values, state1, state1); break;
    case TK_ADAMW: update_all(TK_ADAMW, rule, count, gradient, values, state1, state2); break;
    case TK_RMSPROP: update_all(TK_RMSPROP, rule, count, gradient, values, state1, state1); break;
    case TK_RMSPROP_MOMENTUM:
        update_all(TK_RMSPROP_MOMENTUM, rule, count, gradient, values, state1, state2);
        break;
    }
}

// What is done with the gradient: kept, or an update taken from it.
typedef struct {
    const tk_rule *rule;
    const uint16_t *mask;
    float *weights, *state1, *state2;
    U magnitude;
} gradient_use;

enum { KEEP = -1 };

// Deals with vector n of `block`. `kind`: a tk_rule_kind, or KEEP to store the gradient in `weights`.
static INLINE void use_gradient(const int kind, gradient_use *use, const waiting *block, size_t n) {
    if (n >= block->count) return;
    size_t at = block->at[n];
    V gradient = v_masked(use->mask[at / TK_LANES], v_load(block->gradient[n]));
    if (kind == KEEP) {
        use->magnitude = u_max(use->magnitude, gradient);
        v_store(use->weights + at, gradient);
    } else {
        update_lanes((tk_rule_kind)kind, use->rule, gradient, use->weights + at, use->state1 + at, use->state2 + at);
    }
}

// The weight gradient of BLOCK_ROWS outputs by `columns` vectors of 16 inputs, into `block`: the lanes' sums added as
// the tree l + (l+8), l + (l+4), l + (l+2), l + (l+1), depth first. The block before is dealt with in between: the square
// roots and divisions of its update are slow, and run beside the multiplications.
static INLINE void gradient_block(
    const int kind, const int columns, const size_t batch, const float *const dy[BLOCK_ROWS], const float *xt,
    waiting *block, gradient_use *use, const waiting *before) {
    V pair[BLOCK_ROWS][BLOCK_COLUMNS], other[BLOCK_ROWS][BLOCK_COLUMNS];
    V four[BLOCK_ROWS][BLOCK_COLUMNS], two[BLOCK_ROWS][BLOCK_COLUMNS], one[BLOCK_ROWS][BLOCK_COLUMNS];
    UNROLL for (int part = 0; part < 8; part++) {
        // 0 4 2 6 1 5 3 7
        const int lane = (part & 1) << 2 | (part & 2) | (part & 4) >> 2;
        lane_sums(columns, batch, lane, dy, xt, other);
        lane_sums(columns, batch, lane + 8, dy, xt, pair);
        add_lanes(columns, other, pair);
        if ((part & 1) == 0) {
            __builtin_memcpy(four, pair, sizeof four);
        } else {
            add_lanes(columns, four, pair);
            if ((part & 2) == 0) {
                __builtin_memcpy(two, pair, sizeof two);
            } else {
                add_lanes(columns, two, pair);
                if ((part & 4) == 0) __builtin_memcpy(one, pair, sizeof one);
                else add_lanes(columns, one, pair);
            }
        }
        use_gradient(kind, use, before, (size_t)part);
    }
    UNROLL for (int r = 0; r < BLOCK_ROWS; r++) {
        UNROLL for (int c = 0; c < columns; c++) {
            v_store(block->gradient[r * columns + c], v_add(pair[r][c], v_zero()));
        }
    }
}

// Inputs per block of the weight gradient: about 16 KiB of activations.
static INLINE size_t gradient_depth(const tk_dense_shape *shape) {
    size_t depth = 4096 / shape->batch / (TK_LANES * BLOCK_COLUMNS) * (TK_LANES * BLOCK_COLUMNS);
    return depth < TK_LANES * BLOCK_COLUMNS ? TK_LANES * BLOCK_COLUMNS : depth;
}

// Asks for the line at `values`, to be written: weights and state come from far.
static INLINE void fetch(const float *values) {
    if (PREFETCH) __builtin_prefetch(values, 1, 2);
}

static INLINE U each_gradient(
    const int kind, const size_t batch, const tk_dense_shape *shape, const float *dy, const float *xt,
    gradient_use use) {
    const int has_second_state = kind == TK_ADAM || kind == TK_ADAMW || kind == TK_RMSPROP_MOMENTUM;
    waiting blocks[2];
    blocks[0].count = blocks[1].count = 0;
    int turn = 0;
    size_t stride = shape->padded_inputs, depth = gradient_depth(shape);
    for (size_t first = 0; first < stride; first += depth) {
        size_t last = smaller(first + depth, stride);
        for (size_t o = 0; o < shape->outputs; o += BLOCK_ROWS) {
            const float *rows[BLOCK_ROWS];
            // Past the end the last output is computed again, and left out when the gradients are used.
            for (size_t r = 0; r < BLOCK_ROWS; r++) rows[r] = dy + smaller(o + r, shape->outputs - 1) * batch;
            size_t real = smaller(BLOCK_ROWS, shape->outputs - o);
            for (size_t i = first; i < last; turn = !turn) {
                waiting *block = &blocks[turn], *before = &blocks[!turn];
                const float *from = xt + i * batch;
                size_t columns = smaller(BLOCK_COLUMNS, (last - i) / TK_LANES);
                if (columns == BLOCK_COLUMNS) {
                    gradient_block(kind, BLOCK_COLUMNS, batch, rows, from, block, &use, before);
                } else {
                    gradient_block(kind, 1, batch, rows, from, block, &use, before);
                    columns = 1;
                }
                block->count = real * columns;
                for (size_t n = 0; n < block->count; n++) {
                    size_t at = block->at[n] = (o + n / columns) * stride + i + n % columns * TK_LANES;
                    size_t ahead = at + BLOCK_ROWS * stride;
                    if (kind == KEEP || o + n / columns + BLOCK_ROWS >= shape->outputs) continue;
                    fetch(use.weights + ahead);
                    if (kind != TK_SGD) fetch(use.state1 + ahead);
                    if (has_second_state) fetch(use.state2 + ahead);
                }
                i += columns * TK_LANES;
            }
        }
    }
    for (size_t n = 0; n < blocks[!turn].count; n++) use_gradient(kind, &use, &blocks[!turn], n);
    return use.magnitude;
}

tk_magnitude NAME(weight_gradient)(
    const tk_dense_shape *shape, const uint16_t *mask, const float *dy, const float *xt, float *weight_gradient,
    float *bias_result) {
    gradient_use use = {NULL, mask, weight_gradient, NULL, NULL, u_zero()};
    tk_magnitude weights = u_result(each_gradient(KEEP, shape->batch, shape, dy, xt, use));
    tk_magnitude bias = NAME(bias_gradient)(shape->outputs, shape->batch, dy, bias_result);
    return bias > weights ? bias : weights;
}

void NAME(update_dense)(
    const tk_dense_shape *shape, const tk_rule *rule, const uint16_t *mask, const float *dy, const float *xt,
    float *bias_result, float *weights, float *weights1, float *weights2, float *bias, float *bias1, float *bias2) {
    gradient_use use = {rule, mask, weights, weights1, weights2, u_zero()};
    switch (rule->kind) {
    case TK_SGD:
        use.state1 = use.state2 = weights;
        each_gradient(TK_SGD, shape->batch, shape, dy, xt, use);
        break;
    case TK_MOMENTUM:
        use.state2 = weights1;
        each_gradient(TK_MOMENTUM, shape->batch, shape, dy, xt, use);
        break;
    case TK_ADAM:
        // With a batch of 64 all of a block's loops are unrolled.
        if (shape->batch == 64) each_gradient(TK_ADAM, 64, shape, dy, xt, use);
        else each_gradient(TK_ADAM, shape->batch, shape, dy, xt, use);
        break;
    case TK_NESTEROV:
        use.state2 = weights1;
        each_gradient(TK_NESTEROV, shape->batch, shape, dy, xt, use);
        break;
    case TK_ADAMW: each_gradient(TK_ADAMW, shape->batch, shape, dy, xt, use); break;
    case TK_RMSPROP:
        use.state2 = weights1;
        each_gradient(TK_RMSPROP, shape->batch, shape, dy, xt, use);
        break;
    case TK_RMSPROP_MOMENTUM: each_gradient(TK_RMSPROP_MOMENTUM, shape->batch, shape, dy, xt, use); break;
    }
    NAME(bias_gradient)(shape->outputs, shape->batch, dy, bias_result);
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

typedef float floats16 __attribute__((ext_vector_type(16)));

// Transposes 16 rows of 16: four rounds that interleave row r with row r + 8.
static INLINE void transpose_tile(const float *rows, size_t stride, float columns[TK_LANES][TK_LANES]) {
    floats16 a[16], b[16];
    UNROLL for (int r = 0; r < 16; r++) a[r] = *(const floats16 *)(rows + (size_t)r * stride);
    UNROLL for (int round = 0; round < 4; round++) {
        UNROLL for (int r = 0; r < 8; r++) {
            b[2 * r] = __builtin_shufflevector(
                a[r], a[r + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            b[2 * r + 1] = __builtin_shufflevector(
                a[r], a[r + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        UNROLL for (int r = 0; r < 16; r++) a[r] = b[r];
    }
    UNROLL for (int r = 0; r < 16; r++) *(floats16 *)columns[r] = a[r];
}

void NAME(load_images)(
    const uint8_t *images, const int32_t *indices, size_t count, size_t batch, size_t channels,
    size_t features_per_channel, const float *means, const float *deviations, float *x, float *xt) {
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
            float(*tile)[TK_LANES] = (float(*)[TK_LANES])(xt ? xt + f * batch + e * TK_LANES : NULL);
            for (size_t r = 0; r < TK_LANES; r++) {
                V value = v_zero();
                if (r < width) {
                    size_t channel = channels == 1 ? 0 : (f + r) / features_per_channel;
                    value = normalised(pixels[r], means[channel], deviations[channel]);
                }
                v_store(x + (f + r) * batch + e, value);
            }
            if (!tile) continue;
            if (channels == 1 && width == TK_LANES) {
                for (size_t l = 0; l < TK_LANES; l++) v_store(tile[l], normalised(row[l], means[0], deviations[0]));
            } else {
                transpose_tile(x + f * batch + e, batch, tile);
            }
        }
    }
}

void NAME(transpose)(size_t features, size_t batch, const float *x, float *xt) {
    for (size_t f = 0; f < features; f += TK_LANES) {
        for (size_t e = 0; e < batch; e += TK_LANES) {
            transpose_tile(x + f * batch + e, batch, (float(*)[TK_LANES])(xt + f * batch + e * TK_LANES));
        }
    }
}
