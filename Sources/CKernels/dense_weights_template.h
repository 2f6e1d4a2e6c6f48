// The weight gradient of a dense layer, stored or used up by the update; included by dense_template.h, which says what
// it needs.

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
        use->magnitude = update_lanes(
            (tk_rule_kind)kind, use->rule, gradient, use->weights + at, use->state1 + at, use->state2 + at,
            use->magnitude);
    }
}

// The weight gradient of BLOCK_ROWS outputs by `columns` vectors of 16 inputs, into `block`: the lanes' sums added as
// the tree l + (l+8), l + (l+4), l + (l+2), l + (l+1), depth first. The block before is dealt with in between: the
// square roots and divisions of its update are slow, and run beside the multiplications.
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

// tk_dense_update but for the biases.
static INLINE U update_weights(const tk_dense_shape *shape, const float *dy, const float *xt, gradient_use use) {
    switch (use.rule->kind) {
    case TK_SGD:
        use.state1 = use.state2 = use.weights;
        return each_gradient(TK_SGD, shape->batch, shape, dy, xt, use);
    case TK_MOMENTUM:
        use.state2 = use.state1;
        return each_gradient(TK_MOMENTUM, shape->batch, shape, dy, xt, use);
    case TK_ADAM:
        // With a batch of 64 all of a block's loops are unrolled.
        if (shape->batch == 64) return each_gradient(TK_ADAM, 64, shape, dy, xt, use);
        return each_gradient(TK_ADAM, shape->batch, shape, dy, xt, use);
    case TK_NESTEROV:
        use.state2 = use.state1;
        return each_gradient(TK_NESTEROV, shape->batch, shape, dy, xt, use);
    case TK_ADAMW: return each_gradient(TK_ADAMW, shape->batch, shape, dy, xt, use);
    case TK_RMSPROP:
        use.state2 = use.state1;
        return each_gradient(TK_RMSPROP, shape->batch, shape, dy, xt, use);
    case TK_RMSPROP_MOMENTUM: return each_gradient(TK_RMSPROP_MOMENTUM, shape->batch, shape, dy, xt, use);
    }
    return u_zero();
}

tk_magnitude NAME(update_dense)(
    const tk_dense_shape *shape, const tk_rule *rule, const uint16_t *mask, const float *dy, const float *xt,
    float *bias_result, float *weights, float *weights1, float *weights2, float *bias, float *bias1, float *bias2) {
    gradient_use use = {rule, mask, weights, weights1, weights2, u_zero()};
    tk_magnitude of_weights = u_result(update_weights(shape, dy, xt, use));
    NAME(bias_gradient)(shape->outputs, shape->batch, dy, bias_result);
    size_t padded = (shape->outputs + TK_LANES - 1) / TK_LANES * TK_LANES;
    tk_magnitude of_bias = NAME(update)(rule, padded, bias_result, bias, bias1, bias2);
    return of_bias > of_weights ? of_bias : of_weights;
}
