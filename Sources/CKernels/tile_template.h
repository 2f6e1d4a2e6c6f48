// Programs over tiles. A file that includes this one has defined V and its operations as for dense_template.h, and the operations of
// a set of eight tiles, `Tiles *tiles`; numbers of tiles are literals:
//   TILES_OPEN, TILES_CLOSE    around their use, in every function that is not inlined
//   TILE_ZERO(t)               sums = +0
//   TILE_LOAD_SUMS(t, p), TILE_STORE_SUMS(t, p)  from and to float [16][16]
//   TILE_LOAD_LEFT(t, p)       uint16_t [16][32], rows of 16 pairs
//   TILE_LOAD_RIGHT(t, p)      uint32_t [16][16], rows of one pair for each of 16 columns
//   TILE_DOT(t, left, right)   TDPBF16PS: the step of tile_kernels.h
//   NAME(f)                    the name of f for this instruction set
// Sums are in tiles 0 … 3; operands in 4 … 7.

typedef float Floats __attribute__((ext_vector_type(16)));
typedef uint32_t Words __attribute__((ext_vector_type(16)));
typedef uint16_t Halves __attribute__((ext_vector_type(16)));

static INLINE size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

// 16 values rounded to bf16, in the upper halves; the lower halves are of no use.
static INLINE void round_line(const float *line, Words *to) {
    // Adding +0 flushes denormals and leaves no -0, as the rules want it.
    Floats x = *(const Floats *)line + 0.0f;
    Words bits = (Words)x;
    // The sum may carry a NaN over into a number.
    *to = (bits + 0x7fffu + ((bits >> 16) & 1u)) | ((Words)(x != x) & 0x7fc00000u);
}

// A line of pairs: 16 values of each line rounded to bf16, those of `even` in the lower half. NULL is a line of +0.
static INLINE void pair_lines(const float *even, const float *odd, Words *to) {
    Words low = (Words)0u, high = (Words)0u;
    if (even) round_line(even, &low);
    if (odd) round_line(odd, &high);
    *to = (low >> 16) | (high & 0xffff0000u);
}

// Transposes 16 rows of 16: four rounds that interleave row r with row r + 8.
static INLINE void transpose(Words a[TILE_ROWS]) {
    Words b[TILE_ROWS];
    UNROLL for (int round = 0; round < 4; round++) {
        UNROLL for (int r = 0; r < 8; r++) {
            b[2 * r] = __builtin_shufflevector(
                a[r], a[r + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            b[2 * r + 1] = __builtin_shufflevector(
                a[r], a[r + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        UNROLL for (int r = 0; r < TILE_ROWS; r++) a[r] = b[r];
    }
}

#include "tile_weights_template.h"

// Lines are taken 16 at a time from each channel, so that each page and each line of the result is visited once.
void NAME(tile_pairs)(const tk_tile_source *source, uint32_t *pairs) {
    size_t count = (source->channels + 1) / 2;
    const uint8_t *live = source->live;
    for (size_t first = 0; first < source->count; first += TILE_ROWS) {
        size_t last = smaller(first + TILE_ROWS, source->count);
        for (size_t p = 0; p < count; p++) {
            const float *even = source->lines + 2 * p * source->plane, *odd = even + source->plane;
            int has_even = !live || live[2 * p];
            int has_odd = 2 * p + 1 < source->channels && (!live || live[2 * p + 1]);
            for (size_t n = first; n < last; n++) {
                pair_lines(
                    has_even ? even + TK_LANES * n : NULL, has_odd ? odd + TK_LANES * n : NULL,
                    (Words *)(pairs + TILE_PAIRS * (n * count + p)));
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
    const uint32_t *window;
    size_t result;
} Position;

// The positions of group `index` of a block, at most 16; returns how many.
static INLINE size_t place(
    const tk_tile_product *p, const Grouping *g, size_t block, size_t index, Position at[TILE_POSITIONS]) {
    size_t row = index / g->across * g->rows, column = index % g->across * g->columns, count = 0;
    for (size_t r = row; r < smaller(row + g->rows, p->rows); r++) {
        for (size_t c = column; c < smaller(column + g->columns, p->columns); c++, count++) {
            size_t line = block * p->block_step + r * p->row_step + c * p->column_step;
            at[count].window = p->pairs + TILE_PAIRS * line;
            at[count].result = block * p->result_block + r * p->result_row + c * p->result_column;
        }
    }
    return count;
}

// Products

// 16 outputs at one position: what follows the sum.
static INLINE U finish(const tk_tile_product *p, size_t o, size_t result, const float *sums, U magnitude) {
    size_t count = smaller(TILE_ROWS, p->outputs - o);
    for (size_t r = 0; r < count; r++, o++) {
        size_t at = result + o * p->result_plane;
        V v = v_load(sums + TK_LANES * r);
        if (p->bias) v = v_add(v, v_set1(p->bias[o]));
        if (p->addend) v = v_add(v, v_load(p->addend + at));
        v = p->rectify ? v_rectified(v) : v_add(v, v_zero());
        if (p->gate) v = v_where_positive(v_load(p->gate + at), v);
        if (p->live && !p->live[o]) v = v_zero();
        magnitude = u_max(magnitude, v);
        v_store(p->result + at, v);
        if (p->sums) {
            float *lanes = p->lanes + 2 * TK_LANES * o;
            v_store(lanes, v_add(v_load(lanes), v));
            v_store(lanes + TK_LANES, v_fma(v, v, v_load(lanes + TK_LANES)));
        }
    }
    return magnitude;
}

// 32 outputs at two positions: every operand that is loaded serves two sums.
static INLINE void sums_of_two_by_two(
    Tiles *tiles, const tk_tile_product *p, const uint16_t *weights, const uint32_t *window0, const uint32_t *window1,
    float sums[4][TILE_SUMS]) {
    const uint16_t *next = weights + p->window_rows * p->run_tiles * TILE_ELEMENTS;
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    for (size_t row = 0; row < p->window_rows; row++) {
        const uint32_t *run0 = window0, *run1 = window1;
        for (size_t n = 0; n < p->run_tiles; n++) {
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
        }
        window0 += TILE_PAIRS * p->window_step;
        window1 += TILE_PAIRS * p->window_step;
    }
    TILE_STORE_SUMS(0, sums[0]);
    TILE_STORE_SUMS(1, sums[1]);
    TILE_STORE_SUMS(2, sums[2]);
    TILE_STORE_SUMS(3, sums[3]);
}

// 16 outputs at four positions.
static INLINE void sums_of_one_by_four(
    Tiles *tiles, const tk_tile_product *p, const uint16_t *weights, const uint32_t *window0, const uint32_t *window1,
    const uint32_t *window2, const uint32_t *window3, float sums[4][TILE_SUMS]) {
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    for (size_t row = 0; row < p->window_rows; row++) {
        const uint32_t *run0 = window0, *run1 = window1, *run2 = window2, *run3 = window3;
        for (size_t n = 0; n < p->run_tiles; n++) {
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
        }
        window0 += TILE_PAIRS * p->window_step;
        window1 += TILE_PAIRS * p->window_step;
        window2 += TILE_PAIRS * p->window_step;
        window3 += TILE_PAIRS * p->window_step;
    }
    TILE_STORE_SUMS(0, sums[0]);
    TILE_STORE_SUMS(1, sums[1]);
    TILE_STORE_SUMS(2, sums[2]);
    TILE_STORE_SUMS(3, sums[3]);
}

// The lanes of up to 32 outputs from `o` on, when the last position of a block is done.
static tk_magnitude store_lane_sums(const tk_tile_product *p, size_t block, size_t o, tk_magnitude magnitude) {
    block += p->first_block;
    if (block * TK_LANES >= p->examples) return magnitude;
    size_t filled = smaller(TK_LANES, p->examples - block * TK_LANES);
    float *stored = p->sums + 2 * block * p->outputs;
    for (size_t n = 2 * o; n < 2 * smaller(o + 2 * TILE_ROWS, p->outputs); n++) {
        float lane[TK_LANES];
        for (size_t l = 0; l < TK_LANES; l++) lane[l] = l < filled ? p->lanes[TK_LANES * n + l] : 0.0f;
        for (int half = TK_LANES / 2; half > 0; half /= 2) {
            for (int l = 0; l < half; l++) lane[l] = lane[l] + lane[l + half];
        }
        stored[n] = lane[0];
        magnitude = larger(magnitude, lane[0]);
    }
    return magnitude;
}

// One group of positions of a block for up to 32 outputs from `o` on.
static INLINE U product_of_group(
    Tiles *tiles, const tk_tile_product *p, const Grouping *g, size_t block, size_t index, size_t o, U magnitude) {
    float sums[4][TILE_SUMS] __attribute__((aligned(64)));
    Position at[TILE_POSITIONS];
    size_t count = place(p, g, block, index, at);
    const uint16_t *weights = p->weights + o / TILE_ROWS * p->window_rows * p->run_tiles * TILE_ELEMENTS;
    // Past the end the last position is summed again, and not stored.
    size_t last = count - 1;
    if (p->outputs - o > TILE_ROWS) {
        for (size_t n = 0; n < count; n += 2) {
            sums_of_two_by_two(tiles, p, weights, at[n].window, at[smaller(n + 1, last)].window, sums);
            for (size_t m = n; m < smaller(n + 2, count); m++) {
                magnitude = finish(p, o, at[m].result, sums[m - n], magnitude);
                magnitude = finish(p, o + TILE_ROWS, at[m].result, sums[m - n + 2], magnitude);
            }
        }
    } else {
        for (size_t n = 0; n < count; n += 4) {
            sums_of_one_by_four(
                tiles, p, weights, at[n].window, at[smaller(n + 1, last)].window, at[smaller(n + 2, last)].window,
                at[smaller(n + 3, last)].window, sums);
            for (size_t m = n; m < smaller(n + 4, count); m++) {
                magnitude = finish(p, o, at[m].result, sums[m - n], magnitude);
            }
        }
    }
    return magnitude;
}

tk_magnitude NAME(tile_product)(const tk_tile_product *p) {
    U magnitude = u_zero();
    tk_magnitude of_sums = 0;
    Grouping g = grouping_of(p->rows, p->columns);
    size_t groups = g.down * g.across;
    TILES_OPEN;
    for (size_t first = 0; first < p->blocks * groups; first += p->near_tiles) {
        size_t last = smaller(first + p->near_tiles, p->blocks * groups);
        for (size_t o = 0; o < p->outputs; o += 2 * TILE_ROWS) {
            float *lanes = p->sums ? p->lanes + 2 * TK_LANES * o : NULL;
            size_t lane_count = 2 * TK_LANES * smaller(2 * TILE_ROWS, p->outputs - o);
            for (size_t n = first; n < last; n++) {
                size_t block = n / groups, index = n % groups;
                if (lanes && index == 0) __builtin_memset(lanes, 0, lane_count * sizeof(float));
                magnitude = product_of_group(tiles, p, &g, block, index, o, magnitude);
                if (lanes && index == groups - 1) of_sums = store_lane_sums(p, block, o, of_sums);
            }
        }
    }
    TILES_CLOSE;
    tk_magnitude of_results = u_result(magnitude);
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
