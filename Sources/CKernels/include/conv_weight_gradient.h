// The weight and bias gradients of a 3 × 3 (padding 1) or 1 × 1 convolution of stride 1 or 2, over planes:
// [batch / 16][channel][height + 2][width + 2][16], with a halo that is +0 in dy.
//
// The positions of an output map are summed in tiles of 16: 2 rows × 8 columns of one block of 16 examples if the map is wider
// than 4, 4 × 4 of one block if it is wider than 2, else 2 × 2 of 4 consecutive blocks. Tiles go by (blocks, row, column), the
// positions in a tile by (block, row, column); those outside the map or the batch are left out.
// In each lane one fma chain from +0 over all of them; then the lanes are summed as a tree: l + (l+8), l + (l+4),
// l + (l+2), l + (l+1); then + 0.0. A bias gradient adds in place of fma.
#ifndef TOMBOLA_CONV_WEIGHT_GRADIENT_H
#define TOMBOLA_CONV_WEIGHT_GRADIENT_H

#include "kernels.h"

typedef struct {
    size_t inputs, height, width;  // of the input planes
    size_t outputs;
    size_t kernel;  // 1 or 3
    size_t stride;  // 1 or 2
} tk_conv_gradient_shape;

// Surviving weights of one output: `first` ..< `last` in the order of the plan.
typedef struct {
    uint32_t output, first, last;
} tk_conv_gradient_group;

// A surviving weight: the line of x (from the first halo corner of the block) that it meets at output pixel (0, 0), and where
// its gradient is stored.
typedef struct {
    uint32_t line, place;
} tk_conv_gradient_weight;

// The gradients of all weights in `groups`, in any order.
// - `sums`: scratch, `capacity` lines; no group has more weights than that.
tk_magnitude tk_conv_weight_gradient(
    tk_isa isa, const tk_conv_gradient_shape *shape, const tk_conv_gradient_group *groups, size_t group_count,
    const tk_conv_gradient_weight *weights, const float *x, const float *dy, size_t blocks, float *sums,
    size_t capacity, float *gradient);

tk_magnitude tk_conv_bias_gradient(
    tk_isa isa, const tk_conv_gradient_shape *shape, const float *dy, size_t blocks, float *gradient);

// The same results one operation at a time. `survives`: [output][input][row][column], or NULL for all; `gradient` is compact.
tk_magnitude tk_reference_conv_weight_gradient(
    const tk_conv_gradient_shape *shape, const uint8_t *survives, const float *x, const float *dy, size_t blocks,
    float *gradient);

tk_magnitude tk_reference_conv_bias_gradient(
    const tk_conv_gradient_shape *shape, const float *dy, size_t blocks, float *gradient);

#endif
