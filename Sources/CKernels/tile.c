#pragma STDC FP_CONTRACT OFF
#include "tile_isa.h"

#include <string.h>

#if defined(__x86_64__)
#define DISPATCH_TILES(backend, function, ...)                           \
    switch (backend) {                                                   \
    case TK_TILES_AMX: return tk_amx_##function(__VA_ARGS__);            \
    case TK_TILES_AVX512: return tk_avx512_##function(__VA_ARGS__);      \
    case TK_TILES_AVX2: return tk_avx2_##function(__VA_ARGS__);          \
    case TK_TILES_PORTABLE: break;                                       \
    }                                                                    \
    return tk_portable_##function(__VA_ARGS__)
#else
#define DISPATCH_TILES(backend, function, ...) return tk_portable_##function(__VA_ARGS__)
#endif

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

static void convert_pairs(tk_tile_backend backend, const tk_tile_source *source, uint32_t *pairs) {
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

// Where the values of a tensor lie, in floats. Features are seen as one block of one row with a column for every 16 examples.
typedef struct {
    size_t channels, blocks, rows, columns;  // values, without the halo
    size_t halo;
    size_t block, plane, row, corner;  // from a block, channel or row to the next; from the first float to value (0, 0)
    size_t plane_lines;                // lines of a channel of a block, with the halo
} Grid;

static Grid grid_of(int features, size_t channels, size_t height, size_t width, size_t blocks) {
    Grid g = {.channels = channels};
    g.halo = features ? 0 : 1;
    g.blocks = features ? 1 : blocks;
    g.rows = height;
    g.columns = features ? blocks : width;
    g.row = TK_LANES * (g.columns + 2 * g.halo);
    g.plane_lines = (g.rows + 2 * g.halo) * (g.columns + 2 * g.halo);
    g.plane = TK_LANES * g.plane_lines;
    g.block = channels * g.plane;
    g.corner = g.halo * (g.row + TK_LANES);
    return g;
}

static Grid input_grid(const tk_tile_layer *layer, size_t blocks) {
    return grid_of(layer->features, layer->inputs, layer->height, layer->width, blocks);
}
static Grid output_grid(const tk_tile_layer *layer, size_t blocks) {
    size_t height = (layer->height - 1) / layer->stride + 1, width = (layer->width - 1) / layer->stride + 1;
    return grid_of(layer->features, layer->outputs, height, width, blocks);
}

// Taps of one direction that meet the pixels of dx at `parity`, 0 ..< stride: `last`, last - stride, … in the order of the pixels of dy.
// The first of these is `offset` after the pixel of dx divided by the stride.
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
    tk_tile_backend backend, const tk_tile_layer *layer, const uint16_t *mask, const float *weights, uint16_t *forward,
    uint16_t *backward) {
    tk_tile_weights w = {
        .mask = mask_of(layer, mask),
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

// Pairs that are converted before they are summed: they stay in the second-level cache. More, if there are so many weights that
// reading all of them again costs more than reading pairs from further away.
enum { STRIP_BYTES = 1 << 18, NEAR_BYTES = 1 << 20, FEW_WEIGHTS = 1 << 17 };

static size_t near_bytes(const tk_tile_layer *layer) {
    return layer->outputs * layer->inputs * layer->kernel * layer->kernel <= FEW_WEIGHTS ? STRIP_BYTES : NEAR_BYTES;
}

static size_t pair_bytes(size_t lines, size_t channels) {
    return lines * half_of(channels) * TK_LANES * sizeof(uint32_t);
}

// What of a map is converted at once: all of some blocks, or of one block the rows that `rows` rows of results need, where those
// that the next ones need, too, are kept.
typedef struct {
    size_t blocks, rows, slots;
} Strip;

// - `follow`: whether row n of the results needs the rows n + constant … of the map.
static Strip strip_of(const tk_tile_layer *layer, const Grid *source, int follow) {
    size_t map_rows = source->rows + 2 * source->halo, row_lines = source->row / TK_LANES;
    size_t block_bytes = pair_bytes(source->plane_lines, source->channels);
    Strip strip = {smaller(source->blocks, larger_of(1, near_bytes(layer) / block_bytes)), source->rows, map_rows};
    if (block_bytes <= near_bytes(layer) || !follow) return strip;
    size_t rows = STRIP_BYTES / pair_bytes(row_lines, source->channels) / 4 * 4;
    strip.rows = smaller(source->rows, larger_of(4, rows));
    strip.slots = smaller(map_rows, strip.rows + layer->kernel - 1);
    return strip;
}

static size_t slot_lines(const Grid *source) { return source->row / TK_LANES; }

// Lines of pairs of a strip, and 16 more: the last tile of a run may reach past them.
static size_t pairs_bytes(const Grid *source, const Strip *strip) {
    return pair_bytes(strip->blocks * strip->slots * slot_lines(source), source->channels) + TILE_SUMS * sizeof(uint32_t);
}

// What the last tile of a run reaches must be finite before there is anything.
static void clear_starts(const Grid *source, const Strip *strip, uint32_t *pairs) {
    size_t step = slot_lines(source) * half_of(source->channels) * TK_LANES;
    for (size_t n = 0; n <= strip->blocks * strip->slots; n++) memset(pairs + n * step, 0, TILE_SUMS * sizeof(uint32_t));
}

// The rows first ..< last of a block, halo included, as lines of pairs [row mod slots][column][⌈channels / 2⌉][16][2].
static void load_rows(
    tk_tile_backend backend, const Grid *grid, const Strip *strip, const float *values, const uint8_t *live, size_t block,
    size_t first, size_t last, uint32_t *pairs) {
    while (first < last) {
        size_t slot = first % strip->slots, rows = smaller(last - first, strip->slots - slot);
        const tk_tile_source source = {
            .lines = values + block * grid->block + first * grid->row,
            .channels = grid->channels,
            .count = rows * slot_lines(grid),
            .plane = grid->plane,
            .live = live,
        };
        convert_pairs(backend, &source, pairs + slot * slot_lines(grid) * half_of(grid->channels) * TK_LANES);
        first += rows;
    }
}

// A product of windows over `source` that stores into `result`; where they begin and their sizes are still to be set.
static tk_tile_product product_over(
    const tk_tile_layer *layer, const Grid *source, const Strip *strip, const Grid *result, size_t stride) {
    size_t half = half_of(source->channels);
    return (tk_tile_product){
        .slots = strip->slots,
        .row_stride = stride,
        .block_step = strip->slots * slot_lines(source) * half,
        .row_step = slot_lines(source) * half,
        .column_step = stride * half,
        .outputs = result->channels,
        .result_block = result->block,
        .result_plane = result->plane,
        .near_tiles =
            larger_of(1, near_bytes(layer) / pair_bytes(TILE_POSITIONS * stride * stride, source->channels)),
    };
}

static size_t lanes_bytes(const tk_tile_layer *layer) { return 2 * TK_LANES * layer->outputs * sizeof(float); }

tk_magnitude tk_tile_forward(
    tk_tile_backend backend, const tk_tile_layer *layer, const uint16_t *forward, const float *bias,
    const uint8_t *live, int rectify, const float *x, float *y, size_t blocks, size_t examples, float *sums,
    void *scratch) {
    Grid source = input_grid(layer, blocks), result = output_grid(layer, blocks);
    Strip strip = strip_of(layer, &source, layer->stride == 1);
    size_t edge = (layer->kernel - 1) / 2, margin = source.halo - edge;
    float *lanes = scratch;
    uint32_t *pairs = (uint32_t *)(lanes + lanes_bytes(layer) / sizeof(float));
    tk_tile_product p = product_over(layer, &source, &strip, &result, layer->stride);
    p.pairs = pairs + margin * half_of(layer->inputs) * TK_LANES;
    p.first_row = margin;
    p.window_rows = layer->kernel;
    p.run_tiles = run_tiles(layer->kernel, layer->inputs);
    p.weights = forward;
    p.rows = result.rows;
    p.columns = result.columns;
    p.result_row = result.row;
    p.result_column = TK_LANES;
    p.bias = bias;
    p.live = live;
    p.rectify = rectify;
    p.sums = sums;
    p.lanes = lanes;
    p.examples = examples;
    tk_magnitude magnitude = 0;
    clear_starts(&source, &strip, pairs);
    for (size_t first = 0; first < source.blocks; first += strip.blocks) {
        p.blocks = smaller(strip.blocks, source.blocks - first);
        p.first_block = first;
        p.result = y + first * result.block + result.corner;
        size_t loaded = 0;
        for (p.top = 0; p.top < p.rows; p.top = p.bottom) {
            size_t last = source.rows + 2 * source.halo;
            p.bottom = p.rows;
            if (strip.rows < source.rows) {
                p.bottom = smaller(p.rows, p.top + strip.rows);
                last = p.bottom + margin + layer->kernel - 1;
            }
            for (size_t n = 0; n < p.blocks; n++) {
                uint32_t *to = pairs + n * p.block_step * TK_LANES;
                load_rows(backend, &source, &strip, x, NULL, first + n, loaded, last, to);
            }
            loaded = last;
            magnitude = larger_magnitude(magnitude, product(backend, &p));
        }
    }
    return magnitude;
}

tk_magnitude tk_tile_input_gradient(
    tk_tile_backend backend, const tk_tile_layer *layer, const uint16_t *backward, const uint8_t *live,
    const float *dy, const float *addend, const float *gate, float *dx, size_t blocks, void *scratch) {
    Grid source = output_grid(layer, blocks), result = input_grid(layer, blocks);
    size_t half = half_of(layer->outputs), stride = layer->stride;
    Strip strip = strip_of(layer, &source, stride == 1);
    uint32_t *pairs = scratch;
    tk_tile_product p = product_over(layer, &source, &strip, &result, 1);
    p.result_row = stride * result.row;
    p.result_column = stride * TK_LANES;
    tk_magnitude magnitude = 0;
    clear_starts(&source, &strip, pairs);
    for (size_t first = 0; first < source.blocks; first += strip.blocks) {
        p.blocks = smaller(strip.blocks, source.blocks - first);
        size_t loaded = 0;
        for (size_t top = 0; top < source.rows; top += strip.rows) {
            size_t last = source.rows + 2 * source.halo;
            if (strip.rows < source.rows) last = smaller(last, top + strip.rows + source.halo + (layer->kernel - 1) / 2);
            for (size_t n = 0; n < p.blocks; n++) {
                uint32_t *to = pairs + n * p.block_step * TK_LANES;
                load_rows(backend, &source, &strip, dy, live, first + n, loaded, last, to);
            }
            loaded = last;
            for (size_t row = 0; row < smaller(stride, result.rows); row++) {
                for (size_t column = 0; column < smaller(stride, result.columns); column++) {
                    Taps rows = taps_at(layer, row), columns = taps_at(layer, column);
                    p.first_row = (size_t)((ptrdiff_t)source.halo + rows.offset);
                    p.pairs = pairs + ((ptrdiff_t)source.halo + columns.offset) * (ptrdiff_t)(half * TK_LANES);
                    p.window_rows = rows.count;
                    p.run_tiles = run_tiles(columns.count, layer->outputs);
                    p.weights = backward + backward_start(layer, row, column);
                    p.rows = (result.rows - row - 1) / stride + 1;
                    p.columns = (result.columns - column - 1) / stride + 1;
                    p.top = top;
                    p.bottom = strip.rows < source.rows ? smaller(p.rows, top + strip.rows) : p.rows;
                    size_t start = first * result.block + result.corner + row * result.row + column * TK_LANES;
                    p.result = dx + start;
                    p.addend = addend ? addend + start : NULL;
                    p.gate = gate ? gate + start : NULL;
                    magnitude = larger_magnitude(magnitude, product(backend, &p));
                }
            }
        }
    }
    return magnitude;
}

// Steps between loading the sums of a tap and storing them, at least, if there are as many.
enum { GRADIENT_STEPS = 64 };
// Operands that are converted at once even if they leave the second-level cache, because sums then need not be kept in memory; and
// those of x that shall stay in it.
enum { PASSING_BYTES = 4 << 20, NEAR_INPUT_BYTES = 1 << 19 };

// Elements of each array of scratch.
static size_t left_count(const tk_tile_gradient *g) {
    return tk_left_tile(g, tk_tiles(g->outputs), 0, 0) * TILE_SUMS;
}
static size_t right_count(const tk_tile_gradient *g) {
    return tk_right_tile(g, tk_tiles(g->inputs), 0, 0) * TILE_SUMS;
}
static size_t sums_count(const tk_tile_gradient *g) {
    int at_once = g->strip == g->rows && (g->blocks_are_columns || 2 * g->pairs >= g->blocks);
    size_t tiles = at_once ? 4 : tk_tiles(g->outputs) * tk_tiles(g->inputs);
    return tiles * g->kernel * g->kernel * TILE_SUMS;
}

// All but where the operands and the scratch are.
static tk_tile_gradient gradient_over(const tk_tile_layer *layer, size_t blocks) {
    Grid in = input_grid(layer, blocks), out = output_grid(layer, blocks);
    // Lines between two examples of a pair, and between two columns.
    size_t column = layer->features ? 2 * TK_LANES : TK_LANES;
    // A kernel of one tap visits every stride-th pixel only.
    size_t skip = layer->kernel == 1 ? layer->stride : 1;
    tk_tile_gradient g = {
        .dy_block = layer->features ? TK_LANES : out.block,
        .dy_plane = out.plane,
        .dy_row = out.row,
        .dy_column = column,
        .x_block = layer->features ? TK_LANES : in.block,
        .x_plane = in.plane,
        .x_row = skip * in.row,
        .x_column = skip * column,
        .outputs = layer->outputs,
        .inputs = layer->inputs,
        .rows = out.rows,
        .columns = layer->features ? (blocks + 1) / 2 : out.columns,
        .kernel = layer->kernel,
        .stride = layer->stride / skip,
        .blocks = blocks,
        .blocks_are_columns = layer->features,
    };
    g.pairs = 1;
    g.strip = smaller(g.rows, (GRADIENT_STEPS + g.columns - 1) / g.columns);
    if (g.strip == g.rows && !g.blocks_are_columns) {
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
    tk_tile_backend backend, const tk_tile_layer *layer, const uint16_t *mask, const uint8_t *live, const float *x,
    const float *dy, size_t blocks, float *gradient, float *bias_gradient, void *scratch) {
    Grid in = input_grid(layer, blocks), out = output_grid(layer, blocks);
    tk_tile_gradient g = gradient_over(layer, blocks);
    g.x = x + (in.halo - (layer->kernel - 1) / 2) * (in.row + TK_LANES);
    g.dy = dy + out.corner;
    g.live = live;
    g.mask = mask_of(layer, mask);
    g.gradient = gradient;
    g.bias_gradient = bias_gradient;
    g.sums = scratch;
    g.left = (uint32_t *)(g.sums + sums_count(&g));
    g.right = g.left + left_count(&g);
    g.lanes = (float *)(g.right + right_count(&g));
    g.next = (size_t *)(g.lanes + TK_LANES * g.outputs);
    return sum_gradient(backend, &g);
}

size_t tk_tile_scratch_bytes(const tk_tile_layer *layer, size_t blocks) {
    Grid in = input_grid(layer, blocks), out = output_grid(layer, blocks);
    tk_tile_gradient g = gradient_over(layer, blocks);
    size_t per_output = TK_LANES * sizeof(float) + sizeof *g.next;
    size_t gradient = (sums_count(&g) + left_count(&g) + right_count(&g)) * sizeof(float) + g.outputs * per_output;
    Strip forward = strip_of(layer, &in, layer->stride == 1), backward = strip_of(layer, &out, layer->stride == 1);
    size_t products = larger_of(lanes_bytes(layer) + pairs_bytes(&in, &forward), pairs_bytes(&out, &backward));
    return larger_of(gradient, products);
}
