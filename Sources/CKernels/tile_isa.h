// What the instantiations of tile_template.h compute, behind the layouts in tile.c.
#ifndef TOMBOLA_TILE_ISA_H
#define TOMBOLA_TILE_ISA_H

#include "dense.h"
#include "magnitude.h"
#include "tile_kernels.h"

// Tiles of operands are 16 rows of 64 bytes; tiles of sums are 16 × 16 f32.
enum { TILE_ROWS = 16, TILE_PAIRS = 16, TILE_ELEMENTS = 512, TILE_SUMS = 256, TILE_POSITIONS = 16 };

// Of a 3 × 3 kernel.
enum { TILE_TAPS = 9, TILE_WINDOW_ROWS = 3 };

// Which weights survive.
typedef struct {
    size_t outputs, inputs, taps;
    const uint16_t *words;  // [output][⌈inputs · taps / 16⌉], as in tile_kernels.h; NULL: all do
} tk_tile_mask;
static INLINE size_t tk_mask_words(const tk_tile_mask *mask) {
    return (mask->inputs * mask->taps + TK_LANES - 1) / TK_LANES;
}

// Where the weights of one tap lie among those of a product: in run `row` of `rows`, from number `element` on.
typedef struct {
    size_t start;  // elements before the weights of the product
    size_t rows, row, run_tiles, element;
} tk_tile_tap;

// Compact weights, and the tiles that they become.
typedef struct {
    tk_tile_mask mask;
    const uint8_t *live;  // outputs whose weights are +0 in `to_backward` where this is 0; NULL: none
    const float *weights;
    uint16_t *to_forward, *to_backward;
    tk_tile_tap forward[TILE_TAPS], backward[TILE_TAPS];
} tk_tile_weights;

// f32 lines [channel][count][16], to become lines of pairs [count][⌈channels / 2⌉][16].
typedef struct {
    const float *lines;
    size_t channels, count;
} tk_tile_source;

// Windows over lines of pairs times weights, for the positions of a map.
typedef struct {
    // The window of position (0, 0) begins at `pairs`, that of the next row `row_stride` rows below. Steps are in
    // lines.
    const uint32_t *pairs;
    size_t row_stride;
    size_t block_step, row_step, column_step;
    // A window is a run of lines in each of `window_rows` rows, each of `run_tiles` tiles of 16 lines.
    size_t window_rows, run_tiles;
    const uint16_t *weights;  // [⌈outputs / 16⌉][window row][tile of the run][16 outputs][32]
    // Results: lines of pairs, or lines of 16 f32 in features. They begin at `result` for position (0, 0); addend and
    // gate lie likewise. Steps are in words of 4 bytes; `result_unit` is that to the next pair of outputs, or output in
    // features.
    int features;
    size_t outputs, blocks, rows, columns;
    void *result;
    const void *addend, *gate;  // NULL: none
    size_t result_block, result_row, result_column, result_unit;
    const float *bias;    // NULL: none
    const uint8_t *live;  // NULL: all outputs are
    int rectify;
    size_t near_tiles;  // how many tiles of positions are read again from near for the next outputs
    // Batch-norm sums, or NULL: [block][output][2]; lanes from `examples` on are left out.
    float *sums;
    float *lanes;  // [outputs rounded up to even][2][16]: kept from group to group of positions
    size_t examples;
} tk_tile_product;

// All weights' gradients, at taps of windows over x. Lines of a block and of the next are taken together.
typedef struct {
    // In features, lines of 16 f32: block n of channel k is at n · 16 + k · dy_unit or x_unit; two blocks are a column,
    // and there is one row. Else lines of pairs, from the first that a window meets; steps are in words.
    int features;
    const void *dy, *x;
    size_t dy_block, dy_row, dy_column, dy_unit;
    size_t x_block, x_row, x_column, x_unit;
    size_t outputs, inputs, rows, columns, kernel, stride;
    const uint8_t *live;  // dy of outputs that are not live is +0; NULL: all are
    size_t blocks;
    tk_tile_mask mask;
    float *gradient;       // compact
    float *bias_gradient;  // NULL: not wanted, and in features
    // What is packed at once: `strip` rows of dy in `pairs` pairs of blocks; more than one pair if the strip is all
    // rows.
    size_t strip, pairs;
    size_t near_inputs;  // tiles of inputs that stay near while all outputs meet them; even
    // Scratch
    size_t *next;     // [output]: where the gradient of the next survivor goes
    float *lanes;     // [⌈outputs / 16⌉ · 16][16]: of the bias gradient
    uint32_t *left;   // [⌈outputs / 16⌉][pairs][strip][columns][16 outputs][16 pairs]
    uint32_t *right;  // [⌈inputs / 16⌉][pairs][slots][x columns][16 pairs][16 inputs]
    float *sums;      // [⌈outputs / 16⌉][⌈inputs / 16⌉][tap][16][16]; of 2 × 2 tiles, if all is packed at once
} tk_tile_gradient;

static INLINE size_t tk_tiles(size_t count) { return (count + TILE_ROWS - 1) / TILE_ROWS; }
// Rows of x under a strip of dy, and columns under all of it.
static INLINE size_t tk_gradient_slots(const tk_tile_gradient *g) { return (g->strip - 1) * g->stride + g->kernel; }
static INLINE size_t tk_gradient_columns(const tk_tile_gradient *g) {
    return (g->columns - 1) * g->stride + g->kernel;
}
// Numbers of tiles in `left` and `right`.
static INLINE size_t tk_left_tile(const tk_tile_gradient *g, size_t output, size_t pair, size_t row) {
    return ((output * g->pairs + pair) * g->strip + row) * g->columns;
}
static INLINE size_t tk_right_tile(const tk_tile_gradient *g, size_t input, size_t pair, size_t slot) {
    return ((input * g->pairs + pair) * tk_gradient_slots(g) + slot) * tk_gradient_columns(g);
}

#define DECLARE(isa)                                                              \
    void tk_##isa##_tile_pairs(const tk_tile_source *, uint32_t *);               \
    tk_magnitude tk_##isa##_tile_product(const tk_tile_product *);                \
    tk_magnitude tk_##isa##_tile_gradient(const tk_tile_gradient *);              \
    void tk_##isa##_tile_load(const tk_tile_weights *);                           \
    void tk_##isa##_tile_dot(const uint16_t *, const uint16_t *, float *);

DECLARE(portable)
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
DECLARE(amx)
// Whether AMX runs here and gives the emulation's bits.
int tk_amx_runs(void);
#endif
#undef DECLARE

#endif
