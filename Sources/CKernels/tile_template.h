// Programs over tiles. A file that includes this one has defined V and its operations as for dense_template.h, lines of
// pairs and their rounding as in pairs_rounded.h, and the operations of a set of eight tiles, `Tiles *tiles`; numbers
// of tiles are literals:
//   TILES_OPEN, TILES_CLOSE    around their use, in every function that is not inlined
//   TILE_ZERO(t)               sums = +0
//   TILE_LOAD_SUMS(t, p), TILE_STORE_SUMS(t, p)  from and to float [16][16]
//   TILE_LOAD_LEFT(t, p)       uint16_t [16][32], rows of 16 pairs
//   TILE_LOAD_RIGHT(t, p)      uint32_t [16][16], rows of one pair for each of 16 columns
//   TILE_DOT(t, left, right)   TDPBF16PS: the step of tile_kernels.h
//   NAME(f)                    the name of f for this instruction set
// Sums are in tiles 0 … 3; operands in 4 … 7.

#include "transpose_template.h"

static INLINE size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static INLINE void transpose(Words a[TILE_ROWS]) { TRANSPOSE_16(Words, a); }

#include "tile_weights_template.h"

// Lines are taken 16 at a time from each channel, so that each page and each line of the result is visited once.
void NAME(tile_pairs)(const tk_tile_source *source, uint32_t *pairs) {
    size_t count = (source->channels + 1) / 2, channel = TK_LANES * source->count;
    for (size_t first = 0; first < source->count; first += TILE_ROWS) {
        size_t last = smaller(first + TILE_ROWS, source->count);
        for (size_t p = 0; p < count; p++) {
            const float *even = source->lines + 2 * p * channel, *odd = even + channel;
            int has_odd = 2 * p + 1 < source->channels;
            for (size_t n = first; n < last; n++) {
                V second = has_odd ? v_load(odd + TK_LANES * n) : v_zero();
                w_store(pairs + TILE_PAIRS * (n * count + p), w_rounded(v_load(even + TK_LANES * n), second));
            }
        }
    }
}

// Positions

// How the positions of a map are grouped; batch-norm sums follow this order.
typedef struct {
    size_t rows, columns, down, across;
} Grouping;

static Grouping grouping_of(size_t rows, size_t columns) {
    Grouping g;
    g.rows = columns <= 2 || columns > 4 ? 2 : 4;
    g.columns = columns > 4 ? 8 : columns > 2 ? 4 : 2;
    g.down = (rows + g.rows - 1) / g.rows;
    g.across = (columns + g.columns - 1) / g.columns;
    return g;
}

typedef struct {
    const uint32_t *runs[TILE_WINDOW_ROWS];
    size_t result;
} Position;

// The positions of group `index` of a block, at most 16; returns how many.
static INLINE size_t place(
    const tk_tile_product *p, const Grouping *g, size_t block, size_t index, Position at[TILE_POSITIONS]) {
    size_t row = index / g->across * g->rows, column = index % g->across * g->columns, count = 0;
    for (size_t r = row; r < smaller(row + g->rows, p->rows); r++) {
        const uint32_t *line = p->pairs + TILE_PAIRS * (block * p->block_step + r * p->row_stride * p->row_step);
        for (size_t c = column; c < smaller(column + g->columns, p->columns); c++, count++) {
            for (size_t n = 0; n < p->window_rows; n++) {
                at[count].runs[n] = line + TILE_PAIRS * (n * p->row_step + c * p->column_step);
            }
            at[count].result = block * p->result_block + r * p->result_row + c * p->result_column;
        }
    }
    return count;
}

// The tree l + (l+8), l + (l+4), l + (l+2), l + (l+1).
static INLINE float sum_of_lanes(const float *lanes) {
    float lane[TK_LANES];
    for (int l = 0; l < TK_LANES; l++) lane[l] = lanes[l];
    for (int half = TK_LANES / 2; half > 0; half /= 2) {
        for (int l = 0; l < half; l++) lane[l] = lane[l] + lane[l + half];
    }
    return lane[0];
}

// Products

// Positions whose sums are made before the lines of any are finished.
enum { FINISHED_POSITIONS = 8 };

// The largest among results in f32 and among results in pairs, before ReLU and gate, so that no infinity is lost.
typedef struct {
    U floats;
    P pairs;
} Magnitudes;

// `count` positions for up to 32 outputs from `o` on; sums: [output / 16][position][16][16]. A unit is the lines of one
// result, or in pairs of two, at all positions; those below `finished` are finished.
typedef struct Batch {
    const tk_tile_product *p;
    void (*finish)(struct Batch *, size_t unit);
    Magnitudes *magnitudes;
    Position at[FINISHED_POSITIONS];
    size_t count, o, units, finished;
    float sums[2][FINISHED_POSITIONS][TILE_SUMS] __attribute__((aligned(64)));
} Batch;

// Finishes the next unit of a batch whose sums are there. Tiles compute the sums of another meanwhile.
static INLINE void finish_next(Batch *batch) {
    if (batch->finished < batch->units) batch->finish(batch, batch->finished++);
}

// What follows the sums of an output in features.
static INLINE void finish_features(const int rectify, const int addend, const int gate, Batch *batch, size_t unit) {
    const tk_tile_product *p = batch->p;
    size_t o = batch->o + unit, start = o * p->result_unit;
    int live = !p->live || p->live[o];
    float *results = p->result;
    V bias = v_set1(p->bias ? p->bias[o] : 0.0f);
    U magnitude = batch->magnitudes->floats;
    for (size_t n = 0; n < batch->count; n++) {
        size_t line = start + batch->at[n].result;
        // Without a bias this adds +0, as what follows does.
        V v = v_add(v_load(batch->sums[unit / TILE_ROWS][n] + TK_LANES * (unit % TILE_ROWS)), bias);
        if (addend) v = v_add(v, v_load((const float *)p->addend + line));
        v = live ? v_add(v, v_zero()) : v_zero();
        magnitude = u_max(magnitude, v);
        if (rectify) v = v_rectified(v);
        if (gate) v = v_where_positive(v_load((const float *)p->gate + line), v);
        v_store(results + line, v);
    }
    batch->magnitudes->floats = magnitude;
}

// The same for two outputs in pairs; the values that are summed are those that are stored. There is no bias where there
// is an addend.
static INLINE void finish_pairs(
    const int biased, const int rectify, const int summed, const int addend, const int gate, Batch *batch,
    size_t unit) {
    const tk_tile_product *p = batch->p;
    size_t even = batch->o + 2 * unit, odd = even + 1, start = even / 2 * p->result_unit;
    int has_odd = odd < p->outputs;
    int all = has_odd && !p->live;
    W keep = w_keeping(!p->live || p->live[even], has_odd && (!p->live || p->live[odd]));
    V even_bias = v_zero(), odd_bias = v_zero();
    if (biased && p->bias) {
        even_bias = v_set1(p->bias[even]);
        odd_bias = v_set1(has_odd ? p->bias[odd] : 0.0f);
    }
    uint32_t *results = p->result;
    float *lanes = summed ? p->lanes + 2 * TK_LANES * even : NULL;
    V even_first = v_zero(), even_second = v_zero(), odd_first = v_zero(), odd_second = v_zero();
    if (summed) {
        even_first = v_load(lanes);
        even_second = v_load(lanes + TK_LANES);
        odd_first = v_load(lanes + 2 * TK_LANES);
        odd_second = v_load(lanes + 3 * TK_LANES);
    }
    P magnitude = batch->magnitudes->pairs;
    const float *sums = batch->sums[2 * unit / TILE_ROWS][0] + TK_LANES * (2 * unit % TILE_ROWS);
    for (size_t n = 0; n < batch->count; n++, sums += TILE_SUMS) {
        size_t line = start + batch->at[n].result;
        V v = v_load(sums), w = v_load(sums + TK_LANES);
        if (biased) {
            v = v_add(v, even_bias);
            w = v_add(w, odd_bias);
        }
        if (addend) {
            W other = w_load((const uint32_t *)p->addend + line);
            v = v_add(v, w_even(other));
            w = v_add(w, w_odd(other));
        }
        W stored = w_rounded(v_add(v, v_zero()), v_add(w, v_zero()));
        if (!all) stored = w_and(stored, keep);
        magnitude = p_max(magnitude, stored);
        if (rectify) stored = w_rectified(stored);
        if (gate) stored = w_where_positive(w_load((const uint32_t *)p->gate + line), stored);
        w_store(results + line, stored);
        if (summed) {
            v = w_even(stored);
            w = w_odd(stored);
            even_first = v_add(even_first, v);
            even_second = v_fma(v, v, even_second);
            odd_first = v_add(odd_first, w);
            odd_second = v_fma(w, w, odd_second);
        }
    }
    batch->magnitudes->pairs = magnitude;
    if (summed) {
        v_store(lanes, even_first);
        v_store(lanes + TK_LANES, even_second);
        v_store(lanes + 2 * TK_LANES, odd_first);
        v_store(lanes + 3 * TK_LANES, odd_second);
    }
}

// One function for each way to finish a unit, none of which is inlined where sums are made.
static void finish_rectified_feature(Batch *batch, size_t unit) { finish_features(1, 0, 0, batch, unit); }
static void finish_feature(Batch *batch, size_t unit) {
    finish_features(0, batch->p->addend != NULL, batch->p->gate != NULL, batch, unit);
}
static void finish_plain(Batch *batch, size_t unit) { finish_pairs(1, 0, 0, 0, 0, batch, unit); }
static void finish_rectified(Batch *batch, size_t unit) { finish_pairs(1, 1, 0, 0, 0, batch, unit); }
static void finish_summed(Batch *batch, size_t unit) { finish_pairs(0, 0, 1, 0, 0, batch, unit); }
static void finish_biased_summed(Batch *batch, size_t unit) { finish_pairs(1, 0, 1, 0, 0, batch, unit); }
static void finish_rectified_summed(Batch *batch, size_t unit) { finish_pairs(1, 1, 1, 0, 0, batch, unit); }
static void finish_gated(Batch *batch, size_t unit) { finish_pairs(0, 0, 0, 0, 1, batch, unit); }
static void finish_added(Batch *batch, size_t unit) { finish_pairs(0, 0, 0, 1, 0, batch, unit); }
static void finish_added_gated(Batch *batch, size_t unit) { finish_pairs(0, 0, 0, 1, 1, batch, unit); }

static void (*finish_of(const tk_tile_product *p))(Batch *, size_t) {
    if (p->features) return p->rectify ? finish_rectified_feature : finish_feature;
    if (p->addend) return p->gate ? finish_added_gated : finish_added;
    if (p->gate) return finish_gated;
    if (p->sums && p->rectify) return finish_rectified_summed;
    if (p->sums) return p->bias ? finish_biased_summed : finish_summed;
    return p->rectify ? finish_rectified : finish_plain;
}

// 32 outputs at two positions, `n` and n + 1: every operand that is loaded serves two sums. `before`: the batch that is
// finished meanwhile.
static INLINE void sums_of_two_by_two(Tiles *tiles, Batch *batch, Batch *before, const uint16_t *weights, size_t n) {
    const tk_tile_product *p = batch->p;
    const uint16_t *next = weights + p->window_rows * p->run_tiles * TILE_ELEMENTS;
    // Past the end the last position is summed again.
    const Position *at0 = batch->at + n, *at1 = batch->at + smaller(n + 1, batch->count - 1);
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    for (size_t row = 0; row < p->window_rows; row++) {
        const uint32_t *run0 = at0->runs[row], *run1 = at1->runs[row];
        for (size_t tile = 0; tile < p->run_tiles; tile++) {
            TILE_LOAD_LEFT(4, weights);
            TILE_LOAD_RIGHT(6, run0);
            TILE_DOT(0, 4, 6);
            TILE_LOAD_RIGHT(7, run1);
            TILE_DOT(1, 4, 7);
            TILE_LOAD_LEFT(5, next);
            TILE_DOT(2, 5, 6);
            TILE_DOT(3, 5, 7);
            weights += TILE_ELEMENTS;
            next += TILE_ELEMENTS;
            run0 += TILE_SUMS;
            run1 += TILE_SUMS;
            finish_next(before);
        }
    }
    TILE_STORE_SUMS(0, batch->sums[0][n]);
    TILE_STORE_SUMS(1, batch->sums[0][n + 1]);
    TILE_STORE_SUMS(2, batch->sums[1][n]);
    TILE_STORE_SUMS(3, batch->sums[1][n + 1]);
}

// 16 outputs at four positions.
static INLINE void sums_of_one_by_four(Tiles *tiles, Batch *batch, Batch *before, const uint16_t *weights, size_t n) {
    const tk_tile_product *p = batch->p;
    const Position *at[4];
    for (size_t m = 0; m < 4; m++) at[m] = batch->at + smaller(n + m, batch->count - 1);
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    for (size_t row = 0; row < p->window_rows; row++) {
        const uint32_t *run0 = at[0]->runs[row], *run1 = at[1]->runs[row];
        const uint32_t *run2 = at[2]->runs[row], *run3 = at[3]->runs[row];
        for (size_t tile = 0; tile < p->run_tiles; tile++) {
            TILE_LOAD_LEFT(4, weights);
            TILE_LOAD_RIGHT(5, run0);
            TILE_DOT(0, 4, 5);
            TILE_LOAD_RIGHT(6, run1);
            TILE_DOT(1, 4, 6);
            TILE_LOAD_RIGHT(7, run2);
            TILE_DOT(2, 4, 7);
            TILE_LOAD_RIGHT(5, run3);
            TILE_DOT(3, 4, 5);
            weights += TILE_ELEMENTS;
            run0 += TILE_SUMS;
            run1 += TILE_SUMS;
            run2 += TILE_SUMS;
            run3 += TILE_SUMS;
            finish_next(before);
        }
    }
    TILE_STORE_SUMS(0, batch->sums[0][n]);
    TILE_STORE_SUMS(1, batch->sums[0][n + 1]);
    TILE_STORE_SUMS(2, batch->sums[0][n + 2]);
    TILE_STORE_SUMS(3, batch->sums[0][n + 3]);
}

// The lanes of up to 32 outputs from `o` on, when the last position of a block is done.
static tk_magnitude store_lane_sums(const tk_tile_product *p, size_t block, size_t o, tk_magnitude magnitude) {
    if (block * TK_LANES >= p->examples) return magnitude;
    size_t filled = smaller(TK_LANES, p->examples - block * TK_LANES);
    float *stored = p->sums + 2 * block * p->outputs;
    for (size_t n = 2 * o; n < 2 * smaller(o + 2 * TILE_ROWS, p->outputs); n++) {
        float lane[TK_LANES];
        for (size_t l = 0; l < TK_LANES; l++) lane[l] = l < filled ? p->lanes[TK_LANES * n + l] : 0.0f;
        stored[n] = sum_of_lanes(lane);
        magnitude = larger(magnitude, stored[n]);
    }
    return magnitude;
}

// Two batches, of which one is finished while the other's sums are made.
typedef struct {
    Batch batches[2];
    Magnitudes magnitudes;
    size_t now;
} Progress;

static void begin_progress(Progress *progress, const tk_tile_product *p) {
    progress->magnitudes = (Magnitudes){u_zero(), p_zero()};
    progress->now = 0;
    for (int n = 0; n < 2; n++) {
        Batch *batch = progress->batches + n;
        batch->p = p;
        batch->finish = finish_of(p);
        batch->magnitudes = &progress->magnitudes;
        batch->units = batch->finished = 0;
    }
}

static void finish_all(Progress *progress) {
    Batch *batch = progress->batches + (1 - progress->now);
    while (batch->finished < batch->units) finish_next(batch);
}

// One group of positions of a block for up to 32 outputs from `o` on.
static INLINE void product_of_group(
    Tiles *tiles, Progress *progress, const tk_tile_product *p, const Grouping *g, size_t block, size_t index,
    size_t o) {
    Position at[TILE_POSITIONS];
    size_t count = place(p, g, block, index, at);
    const uint16_t *weights = p->weights + o / TILE_ROWS * p->window_rows * p->run_tiles * TILE_ELEMENTS;
    size_t outputs = smaller(2 * TILE_ROWS, p->outputs - o);
    int two = outputs > TILE_ROWS;
    for (size_t first = 0; first < count; first += FINISHED_POSITIONS) {
        Batch *batch = progress->batches + progress->now, *before = progress->batches + (1 - progress->now);
        batch->count = smaller(FINISHED_POSITIONS, count - first);
        batch->o = o;
        batch->units = p->features ? outputs : (outputs + 1) / 2;
        for (size_t n = 0; n < batch->count; n++) batch->at[n] = at[first + n];
        for (size_t n = 0; two && n < batch->count; n += 2) sums_of_two_by_two(tiles, batch, before, weights, n);
        for (size_t n = 0; !two && n < batch->count; n += 4) sums_of_one_by_four(tiles, batch, before, weights, n);
        while (before->finished < before->units) finish_next(before);
        batch->finished = 0;
        progress->now = 1 - progress->now;
    }
}

tk_magnitude NAME(tile_product)(const tk_tile_product *p) {
    Progress progress;
    tk_magnitude of_sums = 0;
    Grouping g = grouping_of(p->rows, p->columns);
    size_t groups = g.down * g.across;
    begin_progress(&progress, p);
    TILES_OPEN;
    for (size_t first = 0; first < p->blocks * groups; first += p->near_tiles) {
        size_t last = smaller(first + p->near_tiles, p->blocks * groups);
        for (size_t o = 0; o < p->outputs; o += 2 * TILE_ROWS) {
            float *lanes = p->sums ? p->lanes + 2 * TK_LANES * o : NULL;
            size_t lane_count = 2 * TK_LANES * smaller(2 * TILE_ROWS, p->outputs + p->outputs % 2 - o);
            for (size_t n = first; n < last; n++) {
                size_t block = n / groups, index = n % groups;
                if (lanes && index == 0) __builtin_memset(lanes, 0, lane_count * sizeof(float));
                product_of_group(tiles, &progress, p, &g, block, index, o);
                if (lanes && index == groups - 1) {
                    finish_all(&progress);
                    of_sums = store_lane_sums(p, block, o, of_sums);
                }
            }
        }
    }
    TILES_CLOSE;
    finish_all(&progress);
    tk_magnitude of_floats = u_result(progress.magnitudes.floats), of_pairs = p_result(progress.magnitudes.pairs);
    tk_magnitude of_results = of_floats > of_pairs ? of_floats : of_pairs;
    return of_results > of_sums ? of_results : of_sums;
}

#include "tile_gradient_template.h"

void NAME(tile_dot)(const uint16_t *a, const uint16_t *b, float *sums) {
    TILES_OPEN;
    TILE_LOAD_SUMS(0, sums);
    TILE_LOAD_LEFT(4, a);
    TILE_LOAD_RIGHT(6, (const uint32_t *)(const void *)b);
    TILE_DOT(0, 4, 6);
    TILE_STORE_SUMS(0, sums);
    TILES_CLOSE;
}
