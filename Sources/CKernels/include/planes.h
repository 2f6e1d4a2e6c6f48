// Kernels over a batch of images or feature maps that weigh nothing: loading, pooling, shortcuts, batch normalisation.
//
// planes: [batch / 16][channel][height + 2][width + 2][16]. A line of 16 f32 holds one value of 16 examples (lane =
// example mod 16); the halo, one line all around each map, is +0: it is never written. `blocks` is batch / 16.
// features: [feature][16 · blocks]. Results that are computed add +0.0 at the end, so that no -0 is stored. The
// magnitude is that of all lanes stored.
//
// What the kernels that yield the gradient of a tensor have in common, after the value v of each is known: v + addend
//   (if there is one; it may be dx itself), then + 0.0, then +0 where gate <= 0 or is NaN (if there is a gate: the
//   tensor itself where it came from a ReLU).
#ifndef TOMBOLA_PLANES_H
#define TOMBOLA_PLANES_H

#include "kernels.h"

typedef struct {
    size_t channels, height, width;
} tk_planes_shape;

// y = (pixel / 255 - mean) / deviation per channel, as tk_load_images computes it. `images`:
// [image][channel][height][width]. Lanes from `count` on repeat the last image.
void tk_load_planes(
    tk_isa isa, const uint8_t *images, const int32_t *indices, size_t count, const tk_planes_shape *shape,
    size_t blocks, const float *means, const float *deviations, float *y);

// The largest of each 2 × 2 pixels, stride 2; an odd last row or column is left out. In row-major order a value takes
// the place of the best so far if it is greater or NaN. `shape` is that of x; y has height / 2 rows and width / 2
// columns.
tk_magnitude tk_max_pool(tk_isa isa, const tk_planes_shape *shape, const float *x, float *y, size_t blocks);
// For 16 maxima which pixels won, lane by lane: bits 0 ..< 16 say where the second, in row-major order, won over the
// first, 16 ..< 32 where the third won over those, 32 ..< 48 where the fourth did. The last to win is the largest.
typedef uint64_t tk_pool_winners;

// v = dy where the element of x won, else +0.
tk_magnitude tk_max_pool_gradient(
    tk_isa isa, const tk_planes_shape *shape, const float *x, const float *dy, const float *addend, const float *gate,
    float *dx, size_t blocks);

// The same for an x that came out of a ReLU and was never stored: dx = dy + 0.0 where the element won and is positive,
// else +0. `shape` is that of dx, with even height and width; `winners` has one for each line of y, which are the
// maxima.
tk_magnitude tk_max_pool_winners_gradient(
    tk_isa isa, const tk_planes_shape *shape, const tk_pool_winners *winners, const float *y, const float *dy, float *dx,
    size_t blocks);

// y [channel][16 · blocks] = one chain of adds from +0 over the map in row-major order, times 1 / (height · width)
// rounded to f32.
tk_magnitude tk_average_pool(tk_isa isa, const tk_planes_shape *shape, const float *x, float *y, size_t blocks);
// v = dy times the same factor.
tk_magnitude tk_average_pool_gradient(
    tk_isa isa, const tk_planes_shape *shape, const float *dy, const float *addend, const float *gate, float *dx,
    size_t blocks);

// y [(channel, row, column)][16 · blocks] = x.
void tk_flatten(tk_isa isa, const tk_planes_shape *shape, const float *x, float *y, size_t blocks);
// v = dy.
tk_magnitude tk_flatten_gradient(
    tk_isa isa, const tk_planes_shape *shape, const float *dy, const float *addend, const float *gate, float *dx,
    size_t blocks);

// Channel before + c of y is every stride-th row and column of channel c of x, from the first; before = (outputs -
// channels) / 2 rounded down; the other channels of y are +0. `shape` is that of x.
void tk_pad_shortcut(
    tk_isa isa, const tk_planes_shape *shape, size_t outputs, size_t stride, const float *x, float *y, size_t blocks);
// v = dy where the pixel of x was taken, else +0.
tk_magnitude tk_pad_shortcut_gradient(
    tk_isa isa, const tk_planes_shape *shape, size_t outputs, size_t stride, const float *dy, const float *addend,
    const float *gate, float *dx, size_t blocks);

// v = dy.
tk_magnitude tk_accumulate(
    tk_isa isa, const tk_planes_shape *shape, const float *dy, const float *addend, const float *gate, float *dx,
    size_t blocks);

// Batch normalisation (Ioffe and Szegedy 2015; PyTorch's BatchNorm2d).
//
// Sums over pixels, per block of 16 examples and channel: in each lane a chain from +0 over the pixels in the order of
// the tiles of conv_weight_gradient.h (2 × 8 pixels if the map is wider than 4, 4 × 4 if it is wider than 2, else 2 ×
// 2, blocks apart); lanes of examples from `examples` on become +0; then the tree l + (l+8), l + (l+4), l + (l+2), l +
// (l+1). `sums` is [block][channel][2]; the number of blocks is examples / 16, rounded up. Sums over blocks are f64,
// blocks ascending.

// What is added to a variance before its root: PyTorch's default.
static const double tk_batch_norm_epsilon = 1e-5;
// The share of the new batch in running statistics: PyTorch's default.
static const double tk_batch_norm_momentum = 0.1;

// The forward pass has sums of z (adds) and of z² (fma(z, z, sum)), which convolutions make as they store z.

// With S and Q the sums over blocks and `count` = N pixels in all, in f64, each operation rounded: mean = S / N;
//   variance = Q / N - mean · mean, 0 if below; deviation⁻¹ = 1 / sqrt(variance + epsilon) of which mean and
//   inverse_deviation are the roundings to f32; and from those, in f32 and f64, scale = gamma · inverse_deviation;
//   shift = f32(f64(beta) - f64(mean) · f64(scale)) running = f32(momentum · new + (1 - momentum) · running), new =
//   mean or variance · N / (N - 1) (variance, if N = 1) in f64. The running statistics may both be NULL.
void tk_batch_norm_statistics(
    size_t channels, size_t blocks, size_t count, const float *sums, const float *gamma, const float *beta, float *mean,
    float *inverse_deviation, float *scale, float *shift, float *running_mean, float *running_variance);

// scale and shift as above, from running statistics.
void tk_batch_norm_running(
    size_t channels, const float *gamma, const float *beta, const float *running_mean, const float *running_variance,
    float *scale, float *shift);

// y = fma(z, scale, shift), + shortcut (if there is one), + 0.0, and +0 where that is <= 0 if `rectify`. Channels whose
// `live` is 0 become +0. y may be z or the shortcut.
tk_magnitude tk_batch_norm_apply(
    tk_isa isa, const tk_planes_shape *shape, const float *z, const float *scale, const float *shift,
    const float *shortcut, int rectify, const uint8_t *live, float *y, size_t blocks);

// Sums of dy (adds) and of dy · x̂ (fma(dy, x̂, sum)), x̂ = (z - mean) · inverse_deviation, rounded twice.
void tk_batch_norm_gradient_sums(
    tk_isa isa, const tk_planes_shape *shape, const float *dy, const float *z, const float *mean,
    const float *inverse_deviation, float *sums, size_t examples);

// With B and G the sums over blocks in f64 and everything else f32 widened to f64, each operation rounded:
//   d_beta = f32(B); d_gamma = f32(G)
//   a = f32(gamma · inverse_deviation)
//   b = f32(-(gamma · inverse_deviation) · inverse_deviation · (G / N))
//   c = f32(-(gamma · inverse_deviation) · (B / N) - b · mean)
// so that a · dy + b · z + c = gamma · inverse_deviation · (dy - B / N - x̂ · G / N), the gradient of z.
tk_magnitude tk_batch_norm_gradient_coefficients(
    size_t channels, size_t blocks, size_t count, const float *sums, const float *gamma, const float *mean,
    const float *inverse_deviation, float *d_gamma, float *d_beta, float *a, float *b, float *c);

// dz = fma(a, dy, fma(b, z, c)) + 0.0; +0 in lanes from `examples` on and in channels whose `live` is 0. dz may be dy
// or z.
tk_magnitude tk_batch_norm_gradient(
    tk_isa isa, const tk_planes_shape *shape, const float *dy, const float *z, const float *a, const float *b,
    const float *c, const uint8_t *live, size_t examples, float *dz);

// The same results one operation at a time.
void tk_reference_load_planes(
    const uint8_t *images, const int32_t *indices, size_t count, const tk_planes_shape *shape, size_t blocks,
    const float *means, const float *deviations, float *y);
tk_magnitude tk_reference_max_pool(const tk_planes_shape *shape, const float *x, float *y, size_t blocks);
tk_magnitude tk_reference_max_pool_gradient(
    const tk_planes_shape *shape, const float *x, const float *dy, const float *addend, const float *gate, float *dx,
    size_t blocks);
tk_magnitude tk_reference_average_pool(const tk_planes_shape *shape, const float *x, float *y, size_t blocks);
tk_magnitude tk_reference_average_pool_gradient(
    const tk_planes_shape *shape, const float *dy, const float *addend, const float *gate, float *dx, size_t blocks);
void tk_reference_flatten(const tk_planes_shape *shape, const float *x, float *y, size_t blocks);
tk_magnitude tk_reference_flatten_gradient(
    const tk_planes_shape *shape, const float *dy, const float *addend, const float *gate, float *dx, size_t blocks);
void tk_reference_pad_shortcut(
    const tk_planes_shape *shape, size_t outputs, size_t stride, const float *x, float *y, size_t blocks);
tk_magnitude tk_reference_pad_shortcut_gradient(
    const tk_planes_shape *shape, size_t outputs, size_t stride, const float *dy, const float *addend,
    const float *gate, float *dx, size_t blocks);
tk_magnitude tk_reference_accumulate(
    const tk_planes_shape *shape, const float *dy, const float *addend, const float *gate, float *dx, size_t blocks);
void tk_reference_batch_norm_sums(const tk_planes_shape *shape, const float *z, size_t examples, float *sums);
tk_magnitude tk_reference_batch_norm_apply(
    const tk_planes_shape *shape, const float *z, const float *scale, const float *shift, const float *shortcut,
    int rectify, const uint8_t *live, float *y, size_t blocks);
void tk_reference_batch_norm_gradient_sums(
    const tk_planes_shape *shape, const float *dy, const float *z, const float *mean, const float *inverse_deviation,
    float *sums, size_t examples);
tk_magnitude tk_reference_batch_norm_gradient(
    const tk_planes_shape *shape, const float *dy, const float *z, const float *a, const float *b, const float *c,
    const uint8_t *live, size_t examples, float *dz);

#endif
