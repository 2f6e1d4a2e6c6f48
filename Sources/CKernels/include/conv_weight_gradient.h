// The weight and bias gradients of a 3 × 3 (padding 1) or 1 × 1 convolution of stride 1 or 2, over planes:
// [batch / 16][channel][height + 2][width + 2][16], with a halo that is +0 in dy.
//
// The positions of an output map are summed in tiles of 16: 2 rows × 8 columns of one block of 16 examples if the map
// is wider than 4, 4 × 4 of one block if it is wider than 2, else 2 × 2 of 4 consecutive blocks. Tiles go by (blocks,
// row, column), the positions in a tile by (block, row, column); those outside the map or the batch are left out. In
// each lane one fma chain from +0 over all of them; then the lanes are summed as a tree: l + (l+8), l + (l+4), l +
// (l+2), l + (l+1); then + 0.0. A bias gradient adds in place of fma. A position whose x lies in the halo may be left
// out of a weight's chain: where dy is finite that changes no bit.
//
// The positions are cut into strips. Between strips the lane sums wait in memory, which changes no bit either, so that
// the x and dy of a strip can be used by many weights while they are in the first-level cache.
#ifndef TOMBOLA_CONV_WEIGHT_GRADIENT_H
#define TOMBOLA_CONV_WEIGHT_GRADIENT_H

#include "kernels.h"

// Where a position lies: bytes from the first halo corner of a channel in the first block of its strip. In x that of
// the tap in the halo's corner is meant.
typedef struct {
    uint32_t x, dy;
} tk_conv_position;

// A strip: floats from the start of the planes to those of its first block, and its first list of positions.
typedef struct {
    size_t x, dy;
    size_t list;
} tk_conv_strip;

// The strips of a batch. Positions of list l of a strip: `positions[bounds[strip.list + l]] ..< bounds[strip.list + l +
// 1]`. List 0 has all of them; the others lack those whose x lies in the halo for some taps.
typedef struct {
    size_t count;
    const tk_conv_strip *strips;
    const uint32_t *bounds;
    const tk_conv_position *positions;
    size_t dy_plane;  // floats of a channel of dy
} tk_conv_strips;

// Lines of x of a panel.
enum { TK_CONV_PANEL_LINES = 3 };

// The place of a gradient that is not wanted.
#define TK_CONV_NOWHERE 0xffffffffu

// The lines of x, counted from the halo's corner of channel 0, that three weights of an output meet: `line + n · step`.
// `list` has the positions to sum.
typedef struct {
    uint32_t line, step, list;
} tk_conv_panel;

// What a block reads of a strip: at its positions dy of some outputs, and for each channel of x that its weights meet a
// line, counted as in a panel: these are about what it did not read for the strips before.
typedef struct {
    const uint32_t *outputs;
    size_t output_count;
    const uint32_t *lines;
    size_t line_count;
} tk_conv_needs;

// Weights of outputs by panels: [output group][panel][output][line]. A group is as many outputs as
// tk_conv_outputs_at_once gives; the last one repeats an output where they run out.
typedef struct {
    const uint32_t *outputs;
    size_t group_count;
    const tk_conv_panel *panels;
    size_t panel_count;
    const uint32_t *places;
    size_t place_stride;  // places from a group to the next
    tk_conv_needs needs;
} tk_conv_dense_block;

// Weights of one output: `first` ..< `last`.
typedef struct {
    uint32_t output, first, last;
} tk_conv_row;

// Rows of weights: the line of x, counted from the halo's corner of channel 0, that each meets, and the place of its
// gradient.
typedef struct {
    const tk_conv_row *rows;
    size_t row_count;
    const uint32_t *lines, *places;
    size_t weight_count;
    tk_conv_needs needs;
} tk_conv_sparse_block;

// Bias gradients that are wanted.
typedef struct {
    const uint32_t *outputs;  // `count` of them, a multiple of tk_conv_outputs_at_once
    size_t count;
    float *sums;  // scratch of as many lines, rounded up to a multiple of 8
    float *gradient;
} tk_conv_bias;

size_t tk_conv_outputs_at_once(tk_isa isa);
// The most weights of a row.
size_t tk_conv_weights_at_once(tk_isa isa);

// The gradients of the weights of a block; of a sparse one also those of biases, if `bias` is not NULL: they read each
// strip of dy that the weights are going to read.
// - `sums`: scratch of as many lines as the block has weights (a dense one: places), rounded up to a multiple of 8.
tk_magnitude tk_conv_dense_gradient(
    tk_isa isa, const tk_conv_strips *strips, const tk_conv_dense_block *block, const float *x, const float *dy,
    float *sums, float *gradient);
tk_magnitude tk_conv_sparse_gradient(
    tk_isa isa, const tk_conv_strips *strips, const tk_conv_sparse_block *block, const tk_conv_bias *bias,
    const float *x, const float *dy, float *sums, float *gradient);

tk_magnitude tk_conv_bias_gradient(
    tk_isa isa, const tk_conv_strips *strips, const tk_conv_bias *bias, const float *dy);

typedef struct {
    size_t inputs, height, width;  // of the input planes
    size_t outputs;
    size_t kernel;  // 1 or 3
    size_t stride;  // 1 or 2
} tk_conv_gradient_shape;

// The same results one operation at a time. `survives`: [output][input][row][column], or NULL for all; `gradient` is
// compact.
tk_magnitude tk_reference_conv_weight_gradient(
    const tk_conv_gradient_shape *shape, const uint8_t *survives, const float *x, const float *dy, size_t blocks,
    float *gradient);

tk_magnitude tk_reference_conv_bias_gradient(
    const tk_conv_gradient_shape *shape, const float *dy, size_t blocks, float *gradient);

#endif
