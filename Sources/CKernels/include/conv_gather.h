// Forward and input gradient of a 3 × 3 (padding 1) or 1 × 1 convolution of stride 1 or 2, over planes: [batch /
// 16][channel][height + 2][width + 2][16], with a halo that is +0. Both gather: a result is one fma chain over weights
// and the source lines that they meet, and a plan says which.
//
// - Forward: per output one chain from the bias (or +0) over (input, row, column) ascending; then + 0.0, then v <= 0
//   becomes +0 where it is asked for.
// - Input gradient: per input one chain from +0 over (output, row, column) ascending; then + addend, then + 0.0; then
//   +0 where the gate is not positive. Weights that were pruned are not in a chain, and those that meet only halo need
//   not be.
#ifndef TOMBOLA_CONV_GATHER_H
#define TOMBOLA_CONV_GATHER_H

#include "conv_weight_gradient.h"
#include "kernels.h"
#include "planes.h"

// A link of a chain. Low half: the source line that it meets, counted in floats from the first halo corner of the block
// for a position at (0, 0). High half: where its weight is, counted from the first weight of the group of channels. In
// one word, because the innermost loop is short of loads.
typedef uint64_t tk_conv_link;

// Positions of a target map that meet the same links.
typedef struct {
    size_t rows, columns;
    size_t source, target;  // the line that position (0, 0) stands at, from the first halo corner of a channel
    // Positions that are computed together: at most TK_CONV_PANEL.
    size_t panel_blocks, panel_rows, panel_columns;
    // The lines of a source channel that such a panel meets: rows and columns from the line `meets` after its first
    // position's.
    size_t meets, meets_rows, meets_columns;
    // Whether to ask for them early.
    int fetches;
    // A chain is computed in `chunks` pieces; in piece k it meets sources sources * k / chunks ..< sources * (k + 1) /
    // chunks. Dense: piece k of every channel is links[segments[m]] ..< links[segments[m + 1]], m = e * (chunks + 1) +
    // k, where e tells rows by what of the halo they meet: 1 for the first, 2 for the last if it is not the first, 0
    // for those between. Sparse: piece k of the order[m]-th channel likewise for segments[m], m = k * channels + 0, 1,
    // …: in the order of length, so that the processor foresees where a chain ends.
    size_t chunks;
    const uint32_t *segments, *order;
    const tk_conv_link *links;
    // Whether dense links come in threes, of neighbouring columns; then whether the first column meets only halo at the
    // first of three, and the last column at the third. `backwards`: the other way round, the first at the third and
    // the last at the first.
    int in_threes, first_meets_halo, last_meets_halo, backwards;
} tk_conv_class;

enum { TK_CONV_ROW_KINDS = 3 };

enum { TK_CONV_PANEL = 16 };

// Strides are in lines.
typedef struct {
    size_t source_block, source_row, source_column;  // the latter two from a position to the next
    size_t source_line;                              // from a source line to the one below it
    size_t target_block, target_plane, target_row, target_column;
    size_t height, width;  // of a target map
    // Channels of the target whose chains are computed, ascending; the others are left as they are.
    size_t channels;
    const uint32_t *channel;
    // Channels that chains meet: where each one's plane starts, in lines.
    size_t sources;
    const uint32_t *source;
    // Dense: channels go in the fewest groups of at most tk_conv_group(isa), the n-th of g starts at channels * n / g.
    // Weights lie in the order in which they are read: [piece of the chains][group][source of the piece][tap][channel],
    // with room for tk_conv_group(isa) channels; source_weights are those of a group and a source. Every class has as
    // many pieces, and links count from the first weight of the piece and group.
    int dense;
    size_t source_weights;
    size_t class_count;
    const tk_conv_class *classes;
} tk_conv_plan;

// Where the largest of each 2 × 2 results goes, as tk_max_pool finds it, and which one won. Strides are in lines of
// `target`, [block][channel][height / 2 + 2][width / 2 + 2], and `winners` has one for each of those lines.
typedef struct {
    float *target;
    tk_pool_winners *winners;
    size_t block, plane, row;
} tk_conv_pool;

// What becomes of a chain; NULL where a step is not wanted.
typedef struct {
    const float *bias;           // [channel of the target]
    int rectify;                 // without addend and gate
    const float *addend, *gate;  // planes like the target; `addend` may be the target
    // [block][channel of the target][2]: sums of the results and of their squares over a block, the lanes of `examples`
    // only. In each lane one chain from +0 over the positions in the order of conv_weight_gradient.h's tiles; then the
    // tree.
    float *sums;
    size_t examples;
    // Pools the results, which are not stored themselves; without addend, gate and sums. Height and width of the target
    // are even, and so are the rows and columns of the panels of every class and where it starts.
    const tk_conv_pool *pool;
} tk_conv_finish;

// How many channels share a look at a source line on the dense path.
size_t tk_conv_group(tk_isa isa);

// - `waiting`: scratch, plan->channels · (TK_CONV_PANEL + 2) lines.
// - `target`: NULL where results are pooled.
// Returns the largest magnitude of a result or a sum.
tk_magnitude tk_conv_gather(
    tk_isa isa, const tk_conv_plan *plan, const tk_conv_finish *finish, const float *weights, const float *source,
    size_t blocks, float *waiting, float *target);

// The same results one operation at a time. `survives`: [output][input][row][column], or NULL for all; `live`:
// [output], or NULL for all; `weights` are compact. Outputs that are not live become +0, and their dy is not read.
tk_magnitude tk_reference_conv_forward(
    const tk_conv_gradient_shape *shape, const uint8_t *survives, const uint8_t *live, const float *weights,
    const float *x, const float *bias, int rectify, size_t blocks, size_t examples, float *y, float *sums);

tk_magnitude tk_reference_conv_input_gradient(
    const tk_conv_gradient_shape *shape, const uint8_t *survives, const uint8_t *live, const float *weights,
    const float *dy, const float *addend, const float *gate, size_t blocks, float *dx);

#endif
