// Numeric kernels. Every f32 result has the same bits whichever instruction set computes it; the rules that make it so
// stand beside each kernel, and `tk_reference_*` (reference.h) are those rules written out one operation at a time.
//
// Layout of a batch: [feature][example], examples padded to a multiple of 16 ("lanes"; lane = example mod 16). Weight
// gradients read it transposed, as [feature / 16][example][16]: `xt`.
// Layout of weights: [output][input], inputs padded to a multiple of 16 with zeros that stay zero.
// All f32 arrays are aligned to 64 bytes. Threads that call these kernels have called tk_flush_denormals().
#ifndef TOMBOLA_KERNELS_H
#define TOMBOLA_KERNELS_H

#include <stddef.h>
#include <stdint.h>

// Numbered from the least to the most able.
typedef enum { TK_PORTABLE = 0, TK_AVX2 = 1, TK_AVX512 = 2 } tk_isa;

enum { TK_LANES = 16 };

// The most able instruction set that both the processor and the operating system support.
tk_isa tk_best_isa(void);

// Makes the calling thread treat denormal inputs as zero and flush denormal results to zero.
void tk_flush_denormals(void);
// Whether the calling thread does so.
int tk_flushes_denormals(void);

// A dense layer: y = W x + b. `inputs` may be any count; arrays over inputs hold `padded_inputs` rows, the rest zero.
typedef struct {
    size_t inputs;
    size_t padded_inputs;  // inputs rounded up to a multiple of 16: the stride of a row of weights
    size_t outputs;        // arrays over outputs hold them rounded up to a multiple of 16, the rest zero
    size_t batch;          // examples, padding included: a multiple of 16, at least 16
} tk_dense_shape;

// The largest |value| of a result as IEEE bits, which order like unsigned integers: 0x7f800000 or more means that an
// infinity or a NaN was computed. A result that a ReLU or its gate makes +0 counts as it was before.
typedef uint32_t tk_magnitude;

// y[o] = b[o] + sum over i of W[o][i] x[i] for the `live_count` outputs in `live` (ascending); the others become +0.
// One fma chain per output from the bias, inputs ascending. `rectify`: v <= 0 becomes +0, else v.
tk_magnitude tk_dense_forward(
    tk_isa isa, const tk_dense_shape *shape, const float *weights, const float *bias, const uint32_t *live,
    size_t live_count, int rectify, const float *x, float *y);

// dx[i] = sum over live o of W[o][i] dy[o] where x[i] > 0, else +0 (x is the rectified input of the layer).
// One fma chain per input from +0, live outputs ascending.
tk_magnitude tk_dense_input_gradient(
    tk_isa isa, const tk_dense_shape *shape, const float *weights, const uint32_t *live, size_t live_count,
    const float *dy, const float *x, float *dx);

// dW[o][i] = sum over the batch of dy[o] x[i], +0 where the mask's bit is 0; db[o] = sum over the batch of dy[o].
// In each of 16 lanes one fma chain from +0 over the batch in order; then the lanes are summed as a tree: l + (l+8),
// l + (l+4), l + (l+2), l + (l+1).
// `mask`: one bit per weight, [output][padded_inputs / 16], bit l of a word is input 16·word + l; padding bits are 0.
tk_magnitude tk_dense_weight_gradient(
    tk_isa isa, const tk_dense_shape *shape, const uint16_t *mask, const float *dy, const float *xt,
    float *weight_gradient, float *bias_gradient);

// The bias gradient of tk_dense_weight_gradient alone; rows past the outputs become +0.
tk_magnitude tk_dense_bias_gradient(
    tk_isa isa, size_t outputs, size_t batch, const float *dy, float *bias_gradient);

typedef enum {
    TK_SGD = 0,
    TK_MOMENTUM = 1,
    TK_ADAM = 2,
    TK_NESTEROV = 3,
    TK_ADAMW = 4,
    TK_RMSPROP = 5,
    TK_RMSPROP_MOMENTUM = 6
} tk_rule_kind;

// How one step changes a weight w with gradient g, its state s1, s2 as in PyTorch; every fma is written:
//   all but ADAMW: g = fma(decay, w, g)
//   SGD       w = fma(-rate, g, w)
//   MOMENTUM  s1 = fma(momentum, s1, g); w = fma(-rate, s1, w)
//   ADAM      s1 = fma(complement1, g - s1, s1); s2 = fma(complement2 · g, g, beta2 · s2);
//             w = w - (rate · s1) / fma(sqrt(s2), root, epsilon)
//             with rate = lr / (1 - beta1^t), root = 1 / sqrt(1 - beta2^t), complementN = 1 - betaN
//   NESTEROV  s1 = fma(momentum, s1, g); w = fma(-rate, fma(momentum, s1, g), w)
//   ADAMW     w = decay · w, then ADAM with g as it is; decay = 1 - lr · weight decay
//   RMSPROP   s1 = fma(complement2 · g, g, beta2 · s1); w = fma(-rate, g / (sqrt(s1) + epsilon), w)
//   RMSPROP_MOMENTUM  s1 as RMSPROP; s2 = fma(momentum, s2, g / (sqrt(s1) + epsilon)); w = fma(-rate, s2, w)
//             with beta2 = alpha, complement2 = 1 - alpha
// Stored results add +0. The magnitude of an update is that of the new weights and all of their state: a second moment that overflows
// would stop its weight for ever, and nothing else would tell.
typedef struct {
    tk_rule_kind kind;
    float rate, decay, momentum, complement1, complement2, beta2, root, epsilon;
} tk_rule;

// Applies `rule` to `count` parameters (a multiple of 16). State that the rule does not use may be NULL.
tk_magnitude tk_update(
    tk_isa isa, const tk_rule *rule, size_t count, const float *gradient, float *values, float *state1, float *state2);

// tk_dense_weight_gradient and tk_update in one pass that never stores the gradient; same bits as the two.
// - `bias_gradient`: scratch, outputs rounded up to 16.
tk_magnitude tk_dense_update(
    tk_isa isa, const tk_dense_shape *shape, const tk_rule *rule, const uint16_t *mask, const float *dy,
    const float *xt, float *bias_gradient, float *weights, float *weights1, float *weights2, float *bias, float *bias1,
    float *bias2);

// Softmax cross-entropy of the first `count` columns of `logits` [classes][batch]. Adds each example's loss to
// `*loss_sum`, in order, in f64. `gradient` [classes][batch] (or NULL) becomes d(mean loss)/d(logits), +0 in padding
// columns. The logits must be finite.
// With p the softmax of K classes and y the label, a loss is (1 - smoothing) · -log p_y + smoothing / K · sum over the
// classes of -log p_c, as PyTorch's label_smoothing has it; 0 <= smoothing < 1.
tk_magnitude tk_softmax_cross_entropy(
    tk_isa isa, size_t classes, size_t batch, size_t count, const uint8_t *labels, const float *logits,
    float smoothing, float *gradient, double *loss_sum);

// How many of the first `count` columns of `logits` [classes][batch] are largest at their label. Of equals the first
// class wins; a column with a NaN is wrong.
size_t tk_count_correct(
    size_t classes, size_t batch, size_t count, const uint8_t *labels, const float *logits);

// x[f][e] = (pixel / 255 - mean) / deviation, in f32 and in this order, for pixel f of image indices[e]; columns from
// `count` on repeat the last image, so that padding is never less finite than the batch. `features` = channels ·
// features_per_channel; rows up to the next multiple of 16 become +0. `xt` (or NULL)
// becomes the transpose.
void tk_load_images(
    tk_isa isa, const uint8_t *images, const int32_t *indices, size_t count, size_t batch, size_t channels,
    size_t features_per_channel, const float *means, const float *deviations, float *x, float *xt);

// xt = x transposed: [feature][example] to [feature / 16][example][16], for `features` rounded up to a multiple of 16.
void tk_transpose(tk_isa isa, size_t features, size_t batch, const float *x, float *xt);

// The sum of squares in f64. The n-th value belongs to lane n mod 16; in each lane the squares, which are exact, are
// added from +0 in order; then the lanes are summed as a tree: l + (l+8), l + (l+4), l + (l+2), l + (l+1).
// - `count`: a multiple of 16; padding is +0, which changes nothing.
double tk_sum_of_squares(tk_isa isa, size_t count, const float *values);

// The same of the surviving weights of `rows` outputs by `padded_inputs`, counted in the order of memory: the sum that
// tk_sum_of_squares has of the survivors alone. `mask` as in tk_dense_weight_gradient.
double tk_sum_of_squares_masked(
    tk_isa isa, size_t rows, size_t padded_inputs, const uint16_t *mask, const float *values);

// values *= factor, +0 added. `count`: a multiple of 16.
void tk_scale(tk_isa isa, size_t count, float factor, float *values);

// exp, log, cos and sin for schedules, initialisation and generated data: f64, below 2 ulp, plain IEEE + - * /, so the
// same bits on every machine, whether or not denormals are flushed (results below 2^-1022 are 0).
double tk_exp(double x);
double tk_log(double x);
// Below 1 ulp for |x| <= 2^19; NaN beyond.
double tk_cos(double x);
double tk_sin(double x);

#endif
