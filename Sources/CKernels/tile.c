#pragma STDC FP_CONTRACT OFF
#include "dispatch.h"
#include "tile_isa.h"

#include <string.h>

tk_tile_backend tk_best_tile_backend(void) {
#if defined(__x86_64__)
    if (tk_amx_runs()) return TK_TILES_AMX;
    switch (tk_best_isa()) {
    case TK_AVX512: return TK_TILES_AVX512;
    case TK_AVX2: return TK_TILES_AVX2;
    case TK_PORTABLE: break;
    }
#endif
    return TK_TILES_PORTABLE;
}

static void round_features(tk_tile_backend backend, const tk_tile_source *source, uint32_t *pairs) {
    DISPATCH_TILES(backend, tile_pairs, source, pairs);
}
static tk_magnitude product(tk_tile_backend backend, const tk_tile_product *p) {
    DISPATCH_TILES(backend, tile_product, p);
}
static tk_magnitude sum_gradient(tk_tile_backend backend, const tk_tile_gradient *g) {
    DISPATCH_TILES(backend, tile_gradient, g);
}
static void load_weights(tk_tile_backend backend, const tk_tile_weights *w) {
    DISPATCH_TILES(backend, tile_load, w);
}
void tk_tile_dot(tk_tile_backend backend, const uint16_t *a, const uint16_t *b, float *sums) {
    DISPATCH_TILES(backend, tile_dot, a, b, sums);
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static size_t larger_of(size_t a, size_t b) { return a > b ? a : b; }
static tk_magnitude larger_magnitude(tk_magnitude a, tk_magnitude b) { return a > b ? a : b; }
static size_t half_of(size_t channels) { return (channels + 1) / 2; }

// Where the values of a tensor lie as lines of pairs, in words. Features are seen as one block of one row with a column
// for every 16 examples.
typedef struct {
    size_t channels, blocks, rows, columns;  // values, without the halo
    size_t halo;
    size_t pixel, row, block;  // from a pixel, row or block to the next
    size_t corner;             // from the first word to pixel (0, 0)
} Grid;

static Grid grid_of(int features, size_t channels, size_t height, size_t width, size_t blocks) {
    Grid g = {.channels = channels};
    g.halo = features ? 0 : 1;
    g.blocks = features ? 1 : blocks;
    g.rows = height;
    g.columns = features ? blocks : width;
    g.pixel = TK_LANES * half_of(channels);
    g.row = (g.columns + 2 * g.halo) * g.pixel;
    g.block = (g.rows + 2 * g.halo) * g.row;
    g.corner = g.halo * (g.row + g.pixel);
    return g;
}

static Grid input_grid(const tk_tile_layer *layer, size_t blocks) {
    return grid_of(layer->features, layer->inputs, layer->height, layer->width, blocks);
}
static Grid output_grid(const tk_tile_layer *layer, size_t blocks) {
    size_t height = (layer->height - 1) / layer->stride + 1, width = (layer->width - 1) / layer->stride + 1;
    return grid_of(layer->features, layer->outputs, height, width, blocks);
}

// Taps of one direction that meet the pixels of dx at `parity`, 0 ..< stride: `last`, last - stride, … in the order of
// the pixels of dy. The first of these is `offset` after the pixel of dx divided by the stride.
typedef struct {
    size_t count, last;
    ptrdiff_t offset;
} Taps;

static Taps taps_at(const tk_tile_layer *layer, size_t parity) {
    size_t edge = (layer->kernel - 1) / 2, first = (parity + edge) % layer->stride;
    Taps taps = {0, 0, 0};
    if (first >= layer->kernel) return taps;
    taps.count = (layer->kernel - 1 - first) / layer->stride + 1;
    taps.last = first + (taps.count - 1) * layer->stride;
    taps.offset = ((ptrdiff_t)(parity + edge) - (ptrdiff_t)taps.last) / (ptrdiff_t)layer->stride;
    return taps;
}

static size_t run_tiles(size_t taps, size_t channels) { return tk_tiles(taps * half_of(channels)); }

// Elements of the weights of `rows` × `columns` taps.
static size_t weight_count(size_t outputs, size_t inputs, size_t rows, size_t columns) {
    return tk_tiles(outputs) * rows * run_tiles(columns, inputs) * TILE_ELEMENTS;
}

size_t tk_tile_forward_count(const tk_tile_layer *layer) {
    return weight_count(layer->outputs, layer->inputs, layer->kernel, layer->kernel);
}

// The weights that meet the pixels of dx before those at (row, column) of the parities.
static size_t backward_start(const tk_tile_layer *layer, size_t row, size_t column) {
    size_t count = 0;
    for (size_t n = 0; n < row * layer->stride + column; n++) {
        Taps rows = taps_at(layer, n / layer->stride), columns = taps_at(layer, n % layer->stride);
        count += weight_count(layer->inputs, layer->outputs, rows.count, columns.count);
    }
    return count;
}

size_t tk_tile_backward_count(const tk_tile_layer *layer) { return backward_start(layer, layer->stride, 0); }

static tk_tile_mask mask_of(const tk_tile_layer *layer, const uint16_t *words) {
    return (tk_tile_mask){layer->outputs, layer->inputs, layer->kernel * layer->kernel, words};
}

size_t tk_tile_mask_words(const tk_tile_layer *layer) {
    tk_tile_mask mask = mask_of(layer, NULL);
    return mask.outputs * tk_mask_words(&mask);
}

static tk_tile_tap forward_tap(const tk_tile_layer *layer, size_t row, size_t column) {
    return (tk_tile_tap){
        .rows = layer->kernel,
        .row = row,
        .run_tiles = run_tiles(layer->kernel, layer->inputs),
        .element = column * 2 * half_of(layer->inputs),
    };
}

static tk_tile_tap backward_tap(const tk_tile_layer *layer, size_t row, size_t column) {
    size_t stride = layer->stride, edge = (layer->kernel - 1) / 2;
    size_t row_parity = (row + stride * edge - edge) % stride, column_parity = (column + stride * edge - edge) % stride;
    Taps rows = taps_at(layer, row_parity), columns = taps_at(layer, column_parity);
    return (tk_tile_tap){
        .start = backward_start(layer, row_parity, column_parity),
        .rows = rows.count,
        .row = (rows.last - row) / stride,
        .run_tiles = run_tiles(columns.count, layer->outputs),
        .element = (columns.last - column) / stride * 2 * half_of(layer->outputs),
    };
}

void tk_tile_load(
    tk_tile_backend backend, const tk_tile_layer *layer, const uint16_t *mask, const uint8_t *live,
    const float *weights, uint16_t *forward, uint16_t *backward) {
    tk_tile_weights w = {
        .mask = mask_of(layer, mask),
        .live = live,
        .weights = weights,
        .to_forward = forward,
        .to_backward = backward,
    };
    for (size_t tap = 0; tap < w.mask.taps; tap++) {
        w.forward[tap] = forward_tap(layer, tap / layer->kernel, tap % layer->kernel);
        w.backward[tap] = backward_tap(layer, tap / layer->kernel, tap % layer->kernel);
    }
    load_weights(backend, &w);
}

// Pairs that are read again for the next outputs: they stay in the second-level cache. More, if there are so many
// weights that reading all of them again costs more than reading pairs from further away.
enum { FEW_BYTES = 1 << 18, MANY_BYTES = 1 << 20, FEW_WEIGHTS = 1 << 17 };

static size_t near_bytes(const tk_tile_layer *layer) {
    return layer->outputs * layer->inputs * layer->kernel * layer->kernel <= FEW_WEIGHTS ? FEW_BYTES : MANY_BYTES;
}

// A product of windows over `source`, whose lines of pairs begin at `pairs`, that stores into `result`; where windows
// and results begin and their sizes are still to be set.
static tk_tile_product product_over(
    const tk_tile_layer *layer, const Grid *source, const uint32_t *pairs, const Grid *result, size_t stride) {
    size_t tile_bytes = TILE_POSITIONS * stride * stride * source->pixel * sizeof(uint32_t);
    tk_tile_product p = {
        .pairs = pairs,
        .row_stride = stride,
        .block_step = source->block / TK_LANES,
        .row_step = source->row / TK_LANES,
        .column_step = stride * source->pixel / TK_LANES,
        .features = layer->features,
        .outputs = result->channels,
        .blocks = result->blocks,
        .result_block = result->block,
        .result_row = result->row,
        .result_column = result->pixel,
        .result_unit = TK_LANES,
        .near_tiles = larger_of(1, near_bytes(layer) / tile_bytes),
    };
    if (layer->features) {
        p.result_column = TK_LANES;
        p.result_unit = TK_LANES * result->columns;
    }
    return p;
}

// Bytes of features as lines of pairs, and 16 lines more: the last tile of a run may reach past them.
static size_t pairs_bytes(const Grid *grid) { return (grid->block + TILE_SUMS) * sizeof(uint32_t); }
static size_t lanes_bytes(const tk_tile_layer *layer) {
    return 2 * TK_LANES * 2 * half_of(layer->outputs) * sizeof(float);
}

// Where the lines of pairs of a tensor are: maps are stored so, and features are rounded into `scratch`.
static const uint32_t *pairs_of(
    tk_tile_backend backend, const tk_tile_layer *layer, const Grid *grid, const void *values, void *scratch) {
    if (!layer->features) return values;
    const tk_tile_source source = {.lines = values, .channels = grid->channels, .count = grid->columns};
    round_features(backend, &source, scratch);
    memset((uint32_t *)scratch + grid->block, 0, TILE_SUMS * sizeof(uint32_t));
    return scratch;
}

tk_magnitude tk_tile_forward(
    tk_tile_backend backend, const tk_tile_layer *layer, const uint16_t *forward, const float *bias,
    const uint8_t *live, int rectify, const void *x, void *y, size_t blocks, size_t examples, float *sums,
    void *scratch) {
    Grid source = input_grid(layer, blocks), result = output_grid(layer, blocks);
    size_t margin = source.halo - (layer->kernel - 1) / 2;
    const uint32_t *pairs = pairs_of(backend, layer, &source, x, scratch);
    pairs += margin * (source.row + source.pixel);
    tk_tile_product p = product_over(layer, &source, pairs, &result, layer->stride);
    p.window_rows = layer->kernel;
    p.run_tiles = run_tiles(layer->kernel, layer->inputs);
    p.weights = forward;
    p.rows = result.rows;
    p.columns = result.columns;
    p.result = (uint32_t *)y + result.corner;
    p.bias = bias;
    p.live = live;
    p.rectify = rectify;
    p.sums = sums;
    p.lanes = layer->features ? NULL : scratch;
    p.examples = examples;
    return product(backend, &p);
}

tk_magnitude tk_tile_input_gradient(
    tk_tile_backend backend, const tk_tile_layer *layer, const uint16_t *backward, const void *dy, const void *addend,
    const void *gate, void *dx, size_t blocks, void *scratch) {
    Grid source = output_grid(layer, blocks), result = input_grid(layer, blocks);
    size_t stride = layer->stride;
    const uint32_t *pairs = pairs_of(backend, layer, &source, dy, scratch);
    tk_tile_product p = product_over(layer, &source, pairs, &result, 1);
    p.result_row *= stride;
    p.result_column *= stride;
    tk_magnitude magnitude = 0;
    for (size_t row = 0; row < smaller(stride, result.rows); row++) {
        for (size_t column = 0; column < smaller(stride, result.columns); column++) {
            Taps rows = taps_at(layer, row), columns = taps_at(layer, column);
            p.pairs = pairs + (size_t)((ptrdiff_t)source.halo + rows.offset) * source.row
                + (size_t)((ptrdiff_t)source.halo + columns.offset) * source.pixel;
            p.window_rows = rows.count;
            p.run_tiles = run_tiles(columns.count, layer->outputs);
            p.weights = backward + backward_start(layer, row, column);
            p.rows = (result.rows - row - 1) / stride + 1;
            p.columns = (result.columns - column - 1) / stride + 1;
            size_t start = result.corner + row * result.row + column * result.pixel;
            p.result = (uint32_t *)dx + start;
            p.addend = addend ? (const uint32_t *)addend + start : NULL;
            p.gate = gate ? (const uint32_t *)gate + start : NULL;
            magnitude = larger_magnitude(magnitude, product(backend, &p));
        }
    }
    return magnitude;
}

// Steps between loading the sums of a tap and storing them, at least, if there are as many.
enum { GRADIENT_STEPS = 64 };
// Operands that are packed at once even if they leave the second-level cache, because sums then need not be kept in
// memory; and those of x that shall stay in it.
enum { PASSING_BYTES = 4 << 20, NEAR_INPUT_BYTES = 1 << 19 };

// Elements of each array of scratch.
static size_t left_count(const tk_tile_gradient *g) {
    return tk_left_tile(g, tk_tiles(g->outputs), 0, 0) * TILE_SUMS;
}
static size_t right_count(const tk_tile_gradient *g) {
    return tk_right_tile(g, tk_tiles(g->inputs), 0, 0) * TILE_SUMS;
}
static size_t sums_count(const tk_tile_gradient *g) {
    int at_once = g->strip == g->rows && (g->features || 2 * g->pairs >= g->blocks);
    size_t tiles = at_once ? 4 : tk_tiles(g->outputs) * tk_tiles(g->inputs);
    return tiles * g->kernel * g->kernel * TILE_SUMS;
}

static size_t lane_count(const tk_tile_gradient *g) { return TILE_ROWS * tk_tiles(g->outputs) * TK_LANES; }

// All but where the operands and the scratch are.
static tk_tile_gradient gradient_over(const tk_tile_layer *layer, size_t blocks) {
    Grid in = input_grid(layer, blocks), out = output_grid(layer, blocks);
    // A kernel of one tap visits every stride-th pixel only.
    size_t skip = layer->kernel == 1 ? layer->stride : 1;
    tk_tile_gradient g = {
        .features = layer->features,
        .dy_block = out.block,
        .dy_row = out.row,
        .dy_column = out.pixel,
        .dy_unit = layer->features ? TK_LANES * blocks : TK_LANES,
        .x_block = in.block,
        .x_row = skip * in.row,
        .x_column = skip * in.pixel,
        .x_unit = layer->features ? TK_LANES * blocks : TK_LANES,
        .outputs = layer->outputs,
        .inputs = layer->inputs,
        .rows = out.rows,
        .columns = layer->features ? (blocks + 1) / 2 : out.columns,
        .kernel = layer->kernel,
        .stride = layer->stride / skip,
        .blocks = blocks,
    };
    g.pairs = 1;
    g.strip = smaller(g.rows, (GRADIENT_STEPS + g.columns - 1) / g.columns);
    if (g.strip == g.rows && !g.features) {
        size_t all = (blocks + 1) / 2;
        g.pairs = all;
        if ((left_count(&g) + right_count(&g)) * sizeof(float) > PASSING_BYTES) {
            g.pairs = smaller(all, (GRADIENT_STEPS - 1) / (g.rows * g.columns) + 1);
        }
    }
    size_t input_bytes = right_count(&g) / tk_tiles(g.inputs) * sizeof(float);
    g.near_inputs = larger_of(2, NEAR_INPUT_BYTES / input_bytes / 2 * 2);
    return g;
}

tk_magnitude tk_tile_weight_gradient(
    tk_tile_backend backend, const tk_tile_layer *layer, const uint16_t *mask, const uint8_t *live, const void *x,
    const void *dy, size_t blocks, float *gradient, float *bias_gradient, void *scratch) {
    Grid in = input_grid(layer, blocks), out = output_grid(layer, blocks);
    tk_tile_gradient g = gradient_over(layer, blocks);
    g.x = (const uint32_t *)x + (in.halo - (layer->kernel - 1) / 2) * (in.row + in.pixel);
    g.dy = (const uint32_t *)dy + out.corner;
    g.live = live;
    g.mask = mask_of(layer, mask);
    g.gradient = gradient;
    g.bias_gradient = bias_gradient;
    g.sums = scratch;
    g.left = (uint32_t *)(g.sums + sums_count(&g));
    g.right = g.left + left_count(&g);
    g.lanes = (float *)(g.right + right_count(&g));
    g.next = (size_t *)(g.lanes + lane_count(&g));
    return sum_gradient(backend, &g);
}

size_t tk_tile_scratch_bytes(const tk_tile_layer *layer, size_t blocks) {
    Grid in = input_grid(layer, blocks), out = output_grid(layer, blocks);
    tk_tile_gradient g = gradient_over(layer, blocks);
    size_t floats = sums_count(&g) + left_count(&g) + right_count(&g) + lane_count(&g);
    size_t gradient = floats * sizeof(float) + g.outputs * sizeof *g.next;
    size_t products = layer->features ? larger_of(pairs_bytes(&in), pairs_bytes(&out)) : lanes_bytes(layer);
    return larger_of(gradient, products);
}
