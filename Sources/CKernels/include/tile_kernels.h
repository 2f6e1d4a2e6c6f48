// Products of `precision: bf16`: convolutions (3 × 3 with padding 1, or 1 × 1; stride 1 or 2) and dense layers, as
// programs over tiles of TDPBF16PS (Intel AMX). Weights, their gradients and all sums are f32; what is multiplied is
// rounded to bf16 first. Every pruned weight takes part as +0.
//
// Maps lie in memory in bf16, in pair planes: [batch / 16][height + 2][width + 2][⌈channels / 2⌉][16] of 32-bit words.
// A word holds two channels of one example (lane = example mod 16), the even one in its lower half; the partner of an
// odd last channel is +0. The halo, one pixel all around each map, is +0: it is never written. Kernels may read 16
// lines of 64 bytes past the end of a batch, which must be finite, as must all of its blocks. Features are f32:
// [feature][16 · blocks].
//
// Rounding to bf16: x + 0.0 (which makes -0 and, on threads that flush denormals, denormals +0), then to nearest, ties
// to even; NaN stays NaN. Results that go to pair planes are rounded when they are stored, after all that is said
// below.
//
// One step of a sum takes 32 products, as TDPBF16PS does (Intel SDM vol. 2): dot(sum, a, b) = sum + (even + odd) even =
//   one chain of fma in f32 from +0 over a[0] b[0], a[2] b[2], … a[30] b[30]; odd = the same over a[1] b[1], … a[31]
//   b[31] rounded to nearest even, denormal operands and results zero. Elements that a sum lacks in its last step are
//   +0 on the side of the weights; what they meet may be any value nearby, so it takes finite operands for a result to
//   be what is said here. Where an operand is infinite or NaN, so is some result.
//
// With pairs = inputs (or outputs) rounded up to even, and edge = (kernel - 1) / 2:
// - Forward: y[o] at (row, column) is a sum from +0. For each row ky of the window, ascending, the elements are
//   numbered kx · pairs + i (so inputs vary fastest, then kx; an odd number of inputs leaves one element +0 per kx) and
//   taken 32 a step. Taps in the halo take part as +0. Then sum + bias (if there is one); then + 0.0, or +0 where that
//   is <= 0 if `rectify`. Outputs that are not live are +0.
// - Input gradient: dx[i] at (row, column) is a sum from +0. The pixels of dy that it met are visited by row,
//   ascending; in each row the elements are numbered n · pairs + o for its n-th pixel, columns ascending, and taken 32
//   a step. Weights of outputs that are not live take part as +0. Then sum + addend (if there is one; it may be dx);
//   then + 0.0; then +0 where gate <= 0 or is NaN (if there is a gate).
// - Weight gradient: a sum from +0. For each two blocks of 16 examples b, b + 1 (b even), each row and column of dy,
//   all ascending, one step: element 2l is lane l of block b, element 2l + 1 is lane l of block b + 1 (+0 if there is
//   none). a is dy (+0 in outputs that are not live), b is x. Then + 0.0.
// - Bias gradient of a convolution: in each lane one chain of adds from +0 in the same order: for each two blocks, row
//   and column the lane of block b, then that of b + 1 (if there is one); then the tree l + (l+8), l + (l+4), l +
//   (l+2), l + (l+1). Then + 0.0. +0 in outputs that are not live.
//
// Batch-norm sums of the forward pass: those of tk_reference_batch_norm_sums over the stored y; [block][output][2].
// Magnitudes are those of results as they are stored and of these sums.
#ifndef TOMBOLA_TILE_KERNELS_H
#define TOMBOLA_TILE_KERNELS_H

#include "kernels.h"

// What computes a step. Numbered from the least to the most able.
typedef enum { TK_TILES_PORTABLE = 0, TK_TILES_AVX2 = 1, TK_TILES_AVX512 = 2, TK_TILES_AMX = 3 } tk_tile_backend;

// The most able one that runs here. AMX only where the system granted it to this process and tiles of random values
// came out with the emulation's bits: some virtual machines announce what they cannot run.
tk_tile_backend tk_best_tile_backend(void);

typedef struct {
    size_t inputs, outputs;
    size_t height, width;   // of the input map; 1 in a dense layer
    size_t kernel, stride;  // 1 or 3, 1 or 2; 1 in a dense layer
    int features;           // 1 in a dense layer: tensors are f32 features; 0: pair planes of uint32_t
} tk_tile_layer;

// How many elements the weights of the forward pass and of the input gradient have.
size_t tk_tile_forward_count(const tk_tile_layer *layer);
size_t tk_tile_backward_count(const tk_tile_layer *layer);
// Bytes that the kernels of a layer need, whichever is called.
size_t tk_tile_scratch_bytes(const tk_tile_layer *layer, size_t blocks);

// Words of a mask: [output][⌈inputs · kernel² / 16⌉]. Bit n of word m of an output is its weight 16 m + n in
// [input][row][column]; bits past the last weight are 0. Compact arrays hold the weights whose bit is 1, in this order.
size_t tk_tile_mask_words(const tk_tile_layer *layer);

// `forward` and `backward` become the weights in bf16, pruned ones +0, and in `backward` those of outputs that are not
// live; elements that belong to no weight are left as they are, and should be 0.
// - `mask`: NULL: all survive.
// - `live`: [output], or NULL where all are.
void tk_tile_load(
    tk_tile_backend backend, const tk_tile_layer *layer, const uint16_t *mask, const uint8_t *live,
    const float *weights, uint16_t *forward, uint16_t *backward);

// - `bias` may be NULL.
// - `sums`: [block][output][2] for the blocks that `examples` fill, or NULL; in a dense layer it must be.
tk_magnitude tk_tile_forward(
    tk_tile_backend backend, const tk_tile_layer *layer, const uint16_t *forward, const float *bias,
    const uint8_t *live, int rectify, const void *x, void *y, size_t blocks, size_t examples, float *sums,
    void *scratch);

tk_magnitude tk_tile_input_gradient(
    tk_tile_backend backend, const tk_tile_layer *layer, const uint16_t *backward, const void *dy, const void *addend,
    const void *gate, void *dx, size_t blocks, void *scratch);

// - `mask`: NULL: all survive.
// - `gradient`: compact.
// - `bias_gradient`: NULL if it is not wanted; in a dense layer it must be.
tk_magnitude tk_tile_weight_gradient(
    tk_tile_backend backend, const tk_tile_layer *layer, const uint16_t *mask, const uint8_t *live, const void *x,
    const void *dy, size_t blocks, float *gradient, float *bias_gradient, void *scratch);

// sums [16][16] = dot(sums, a [16][32], b [16 pairs][16][2]) for each row and column.
void tk_tile_dot(tk_tile_backend backend, const uint16_t *a, const uint16_t *b, float *sums);

// The same results one operation at a time. `weights`: [output][input][row][column], pruned ones +0. `survives` lies
// like them, NULL: all do; `gradient` is compact.
uint16_t tk_reference_bf16(float x);
void tk_reference_tile_dot(const uint16_t *a, const uint16_t *b, float *sums);
tk_magnitude tk_reference_tile_forward(
    const tk_tile_layer *layer, const float *weights, const float *bias, const uint8_t *live, int rectify,
    const void *x, void *y, size_t blocks);
tk_magnitude tk_reference_tile_input_gradient(
    const tk_tile_layer *layer, const float *weights, const uint8_t *live, const void *dy, const void *addend,
    const void *gate, void *dx, size_t blocks);
tk_magnitude tk_reference_tile_weight_gradient(
    const tk_tile_layer *layer, const uint8_t *survives, const uint8_t *live, const void *x, const void *dy,
    size_t blocks, float *gradient, float *bias_gradient);

#endif
