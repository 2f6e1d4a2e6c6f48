// Weight gradients over tiles; included by tile_template.h.

// What is packed and summed before the next: rows of dy in some pairs of blocks.
typedef struct {
    size_t block, pairs, row, rows;
    int first, last;  // of all pieces
} Piece;

// Rows of x that a piece needs end before this one.
static INLINE size_t end_of_x(const tk_tile_gradient *g, size_t row) {
    size_t rows = smaller(g->strip, g->rows - row);
    return (row + rows - 1) * g->stride + g->kernel;
}

// Words of two bf16: those of one line and of the other, which may be NULL.
static INLINE W pair_of_lines(const float *line, const float *other) {
    return w_rounded(v_load(line), other ? v_load(other) : v_zero());
}

// left[output / 16][0][0][column] = 16 outputs × 16 pairs, from features.
static void pack_left_features(const tk_tile_gradient *g) {
    for (size_t o = 0; o < TILE_ROWS * tk_tiles(g->outputs); o++) {
        int there = o < g->outputs && (!g->live || g->live[o]);
        uint32_t *to = g->left + tk_left_tile(g, o / TILE_ROWS, 0, 0) * TILE_SUMS + o % TILE_ROWS * TILE_PAIRS;
        for (size_t c = 0; c < g->columns; c++, to += TILE_SUMS) {
            const float *line = (const float *)g->dy + o * g->dy_unit + 2 * TK_LANES * c;
            if (!there) w_store(to, w_zero());
            else w_store(to, pair_of_lines(line, 2 * c + 1 < g->blocks ? line + TK_LANES : NULL));
        }
    }
}

// The same for every [pair][row][column] of planes; the lanes of the bias gradient are summed on the way.
static INLINE void pack_left_planes(const int summed, const tk_tile_gradient *g, const Piece *piece, size_t tile) {
    size_t o = tile * TILE_ROWS, pairs = smaller(TILE_ROWS, g->outputs - o + 1) / 2;
    W keep[TILE_ROWS / 2];
    for (size_t p = 0; p < pairs; p++) {
        size_t even = o + 2 * p, odd = even + 1;
        keep[p] = w_keeping(!g->live || g->live[even], odd < g->outputs && (!g->live || g->live[odd]));
    }
    V sum[TILE_ROWS];
    float *lanes = g->lanes + TK_LANES * o;
    for (size_t r = 0; r < TILE_ROWS && summed; r++) sum[r] = piece->first ? v_zero() : v_load(lanes + TK_LANES * r);
    for (size_t n = 0; n < piece->pairs * piece->rows; n++) {
        size_t pair = n / piece->rows, row = n % piece->rows, block = piece->block + 2 * pair;
        const uint32_t *line = (const uint32_t *)g->dy + block * g->dy_block + (piece->row + row) * g->dy_row
            + o / 2 * g->dy_unit;
        int has_next = block + 1 < g->blocks;
        uint32_t *to = g->left + tk_left_tile(g, tile, pair, row) * TILE_SUMS;
        for (size_t c = 0; c < g->columns; c++, line += g->dy_column, to += TILE_SUMS) {
            for (size_t p = 0; p < pairs; p++) {
                W a = w_and(w_load(line + TILE_PAIRS * p), keep[p]);
                W b = has_next ? w_and(w_load(line + g->dy_block + TILE_PAIRS * p), keep[p]) : w_zero();
                w_store(to + 2 * TILE_PAIRS * p, w_evens(a, b));
                w_store(to + 2 * TILE_PAIRS * p + TILE_PAIRS, w_odds(a, b));
                if (!summed) continue;
                // Adding the +0 of a block that is not there changes nothing: no sum is -0.
                sum[2 * p] = v_add(v_add(sum[2 * p], w_even(a)), w_even(b));
                sum[2 * p + 1] = v_add(v_add(sum[2 * p + 1], w_odd(a)), w_odd(b));
            }
            for (size_t r = 2 * pairs; r < TILE_ROWS; r++) w_store(to + TILE_PAIRS * r, w_zero());
        }
    }
    for (size_t r = 0; r < TILE_ROWS && summed; r++) v_store(lanes + TK_LANES * r, sum[r]);
}

static U pack_left(const tk_tile_gradient *g, const Piece *piece, U magnitude) {
    if (g->features) {
        pack_left_features(g);
        return magnitude;
    }
    for (size_t tile = 0; tile < tk_tiles(g->outputs); tile++) {
        if (g->bias_gradient) pack_left_planes(1, g, piece, tile);
        else pack_left_planes(0, g, piece, tile);
    }
    for (size_t o = 0; o < g->outputs && g->bias_gradient && piece->last; o++) {
        float result = sum_of_lanes(g->lanes + TK_LANES * o) + 0.0f;
        g->bias_gradient[o] = result;
        magnitude = u_max(magnitude, v_set1(result));
    }
    return magnitude;
}

// A tile of 16 channels × 16 pairs becomes one of 16 pairs × 16 channels.
static INLINE void store_transposed(Words tile[TILE_ROWS], uint32_t *to) {
    transpose(tile);
    UNROLL for (int k = 0; k < TILE_ROWS; k++) *(Words *)(to + TILE_PAIRS * k) = tile[k];
}

// right[input / 16][0][0][column] = 16 pairs × 16 inputs, from features.
static void pack_right_features(const tk_tile_gradient *g) {
    for (size_t i = 0; i < g->inputs; i += TILE_ROWS) {
        uint32_t *to = g->right + tk_right_tile(g, i / TILE_ROWS, 0, 0) * TILE_SUMS;
        for (size_t c = 0; c < g->columns; c++, to += TILE_SUMS) {
            Words tile[TILE_ROWS];
            for (size_t k = 0; k < TILE_ROWS; k++) {
                const float *line = (const float *)g->x + (i + k) * g->x_unit + 2 * TK_LANES * c;
                if (i + k >= g->inputs) tile[k] = (Words)0u;
                else tile[k] = pair_of_lines(line, 2 * c + 1 < g->blocks ? line + TK_LANES : NULL).w;
            }
            store_transposed(tile, to);
        }
    }
}

// right[input / 16][pair][row mod slots][column] = 16 pairs × 16 inputs, for the rows first ..< last of x.
static void pack_right(const tk_tile_gradient *g, const Piece *piece, size_t first, size_t last) {
    size_t slots = tk_gradient_slots(g), columns = tk_gradient_columns(g), rows = last - first;
    if (g->features) {
        pack_right_features(g);
        return;
    }
    for (size_t i = 0; i < g->inputs; i += TILE_ROWS) {
        size_t pairs = smaller(TILE_ROWS, g->inputs - i + 1) / 2;
        for (size_t n = 0; n < piece->pairs * rows; n++) {
            size_t pair = n / rows, row = first + n % rows, block = piece->block + 2 * pair;
            uint32_t *to = g->right + tk_right_tile(g, i / TILE_ROWS, pair, row % slots) * TILE_SUMS;
            const uint32_t *line = (const uint32_t *)g->x + block * g->x_block + row * g->x_row + i / 2 * g->x_unit;
            int has_next = block + 1 < g->blocks;
            for (size_t c = 0; c < columns; c++, line += g->x_column, to += TILE_SUMS) {
                Words tile[TILE_ROWS];
                for (size_t p = 0; p < TILE_ROWS / 2; p++) {
                    W a = p < pairs ? w_load(line + TILE_PAIRS * p) : w_zero();
                    W b = p < pairs && has_next ? w_load(line + g->x_block + TILE_PAIRS * p) : w_zero();
                    tile[2 * p] = w_evens(a, b).w;
                    tile[2 * p + 1] = w_odds(a, b).w;
                }
                store_transposed(tile, to);
            }
        }
    }
}

// One column of dy with the three columns of x that its taps meet; those of tap 2 are loaded last.
#define ADD_COLUMN(b0, b1, b2)           \
    TILE_LOAD_LEFT(7, left);             \
    TILE_DOT(0, 7, b0);                  \
    TILE_DOT(1, 7, b1);                  \
    TILE_LOAD_RIGHT(b2, right);          \
    TILE_DOT(2, 7, b2);                  \
    left += TILE_SUMS;                   \
    right += TILE_SUMS
// The same where the next column of dy is two columns of x further.
#define ADD_SECOND_COLUMN(b0, b1, b2)    \
    TILE_LOAD_LEFT(7, left);             \
    TILE_DOT(0, 7, b0);                  \
    TILE_LOAD_RIGHT(b1, right);          \
    TILE_DOT(1, 7, b1);                  \
    TILE_LOAD_RIGHT(b2, right + TILE_SUMS); \
    TILE_DOT(2, 7, b2);                  \
    left += TILE_SUMS;                   \
    right += 2 * TILE_SUMS

// Sums [3][16][16] of the three taps of a window's row: each tile of x that is loaded serves all of them.
static INLINE void add_three_taps(
    Tiles *tiles, const tk_tile_gradient *g, const Piece *piece, size_t o, size_t i, size_t tap_row, float *sums) {
    size_t slots = tk_gradient_slots(g);
    if (piece->first) {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
    } else {
        TILE_LOAD_SUMS(0, sums);
        TILE_LOAD_SUMS(1, sums + TILE_SUMS);
        TILE_LOAD_SUMS(2, sums + 2 * TILE_SUMS);
    }
    for (size_t pair = 0; pair < piece->pairs; pair++) {
        for (size_t row = 0; row < piece->rows; row++) {
            size_t slot = ((piece->row + row) * g->stride + tap_row) % slots, column = 0;
            const uint32_t *left = g->left + tk_left_tile(g, o, pair, row) * TILE_SUMS;
            const uint32_t *right = g->right + tk_right_tile(g, i, pair, slot) * TILE_SUMS;
            TILE_LOAD_RIGHT(4, right);
            right += TILE_SUMS;
            if (g->stride == 1) {
                TILE_LOAD_RIGHT(5, right);
                right += TILE_SUMS;
                for (; column + 3 <= g->columns; column += 3) {
                    ADD_COLUMN(4, 5, 6);
                    ADD_COLUMN(5, 6, 4);
                    ADD_COLUMN(6, 4, 5);
                }
                if (column < g->columns) {
                    ADD_COLUMN(4, 5, 6);
                }
                if (column + 1 < g->columns) {
                    ADD_COLUMN(5, 6, 4);
                }
            } else {
                for (; column + 2 <= g->columns; column += 2) {
                    ADD_SECOND_COLUMN(4, 5, 6);
                    ADD_SECOND_COLUMN(6, 5, 4);
                }
                if (column < g->columns) {
                    ADD_SECOND_COLUMN(4, 5, 6);
                }
            }
        }
    }
    TILE_STORE_SUMS(0, sums);
    TILE_STORE_SUMS(1, sums + TILE_SUMS);
    TILE_STORE_SUMS(2, sums + 2 * TILE_SUMS);
}
#undef ADD_COLUMN
#undef ADD_SECOND_COLUMN

// Where the sums of 16 outputs by 16 inputs are; those that one piece completes need no place of their own.
static INLINE float *sums_at(const tk_tile_gradient *g, const Piece *piece, size_t o, size_t i) {
    return piece->first && piece->last ? g->sums : g->sums + (o * tk_tiles(g->inputs) + i) * g->mask.taps * TILE_SUMS;
}

static INLINE U add_windows(
    Tiles *tiles, const tk_tile_gradient *g, const Piece *piece, size_t o, size_t i, U magnitude) {
    float *sums = sums_at(g, piece, o, i);
    for (size_t row = 0; row < TILE_WINDOW_ROWS; row++) {
        add_three_taps(tiles, g, piece, o, i, row, sums + row * TILE_WINDOW_ROWS * TILE_SUMS);
    }
    if (!piece->last) return magnitude;
    return compress_sums(
        TILE_TAPS, &g->mask, sums, o * TILE_ROWS, i * TILE_ROWS, g->gradient, g->next, magnitude);
}

// The only tap of a kernel, for `outs` × `ins` tiles.
static INLINE U add_points(
    Tiles *tiles, const int outs, const int ins, const tk_tile_gradient *g, const Piece *piece, size_t o, size_t i,
    U magnitude) {
    size_t left_step = (tk_left_tile(g, 1, 0, 0) - tk_left_tile(g, 0, 0, 0)) * TILE_SUMS;
    size_t right_step = (tk_right_tile(g, 1, 0, 0) - tk_right_tile(g, 0, 0, 0)) * TILE_SUMS;
    int passing = piece->first && piece->last;
    float *at = sums_at(g, piece, o, i), *next = at + (passing ? 2 : tk_tiles(g->inputs)) * TILE_SUMS;
    float *sums[4] = {at, at + TILE_SUMS, next, next + TILE_SUMS};
    if (piece->first) {
        TILE_ZERO(0);
        if (ins == 2) TILE_ZERO(1);
        if (outs == 2) TILE_ZERO(2);
        if (outs == 2 && ins == 2) TILE_ZERO(3);
    } else {
        TILE_LOAD_SUMS(0, sums[0]);
        if (ins == 2) TILE_LOAD_SUMS(1, sums[1]);
        if (outs == 2) TILE_LOAD_SUMS(2, sums[2]);
        if (outs == 2 && ins == 2) TILE_LOAD_SUMS(3, sums[3]);
    }
    for (size_t pair = 0; pair < piece->pairs; pair++) {
        for (size_t row = 0; row < piece->rows; row++) {
            size_t slot = (piece->row + row) % tk_gradient_slots(g);
            const uint32_t *left = g->left + tk_left_tile(g, o, pair, row) * TILE_SUMS;
            const uint32_t *right = g->right + tk_right_tile(g, i, pair, slot) * TILE_SUMS;
            for (size_t c = 0; c < g->columns; c++, left += TILE_SUMS, right += TILE_SUMS) {
                TILE_LOAD_LEFT(4, left);
                TILE_LOAD_RIGHT(6, right);
                TILE_DOT(0, 4, 6);
                if (ins == 2) {
                    TILE_LOAD_RIGHT(7, right + right_step);
                    TILE_DOT(1, 4, 7);
                }
                if (outs == 2) {
                    TILE_LOAD_LEFT(5, left + left_step);
                    TILE_DOT(2, 5, 6);
                    if (ins == 2) TILE_DOT(3, 5, 7);
                }
            }
        }
    }
    TILE_STORE_SUMS(0, sums[0]);
    if (ins == 2) TILE_STORE_SUMS(1, sums[1]);
    if (outs == 2) TILE_STORE_SUMS(2, sums[2]);
    if (outs == 2 && ins == 2) TILE_STORE_SUMS(3, sums[3]);
    for (size_t n = 0; piece->last && n < 4; n++) {
        if (n / 2 < (size_t)outs && n % 2 < (size_t)ins) {
            magnitude = compress_sums(
                1, &g->mask, sums[n], (o + n / 2) * TILE_ROWS, (i + n % 2) * TILE_ROWS, g->gradient, g->next, magnitude);
        }
    }
    return magnitude;
}

static INLINE U add_piece(Tiles *tiles, const tk_tile_gradient *g, const Piece *piece, U magnitude) {
    size_t outputs = tk_tiles(g->outputs), inputs = tk_tiles(g->inputs);
    for (size_t near = 0; near < inputs; near += g->near_inputs) {
        size_t end = smaller(near + g->near_inputs, inputs);
        if (g->kernel > 1) {
            for (size_t o = 0; o < outputs; o++) {
                for (size_t i = near; i < end; i++) magnitude = add_windows(tiles, g, piece, o, i, magnitude);
            }
            continue;
        }
        for (size_t o = 0; o < outputs; o += 2) {
            for (size_t i = near; i < end; i += 2) {
                if (o + 1 < outputs && i + 1 < end) magnitude = add_points(tiles, 2, 2, g, piece, o, i, magnitude);
                else if (o + 1 < outputs) magnitude = add_points(tiles, 2, 1, g, piece, o, i, magnitude);
                else if (i + 1 < end) magnitude = add_points(tiles, 1, 2, g, piece, o, i, magnitude);
                else magnitude = add_points(tiles, 1, 1, g, piece, o, i, magnitude);
            }
        }
    }
    return magnitude;
}

tk_magnitude NAME(tile_gradient)(const tk_tile_gradient *g) {
    U magnitude = u_zero();
    size_t survivors = 0, blocks = g->features ? 1 : g->blocks;
    for (size_t o = 0; o < g->outputs; o++) {
        g->next[o] = survivors;
        survivors += survivor_count(&g->mask, o);
    }
    TILES_OPEN;
    for (size_t block = 0; block < blocks; block += 2 * g->pairs) {
        // Rows of x below this one are in their slots.
        size_t packed = 0;
        for (size_t row = 0; row < g->rows; row += g->strip) {
            Piece piece = {
                .block = block,
                .pairs = smaller(g->pairs, (blocks - block + 1) / 2),
                .row = row,
                .rows = smaller(g->strip, g->rows - row),
                .first = block == 0 && row == 0,
                .last = block + 2 * g->pairs >= blocks && row + g->strip >= g->rows,
            };
            size_t end = end_of_x(g, row);
            magnitude = pack_left(g, &piece, magnitude);
            pack_right(g, &piece, packed, end);
            packed = end;
            magnitude = add_piece(tiles, g, &piece, magnitude);
        }
    }
    TILES_CLOSE;
    return u_result(magnitude);
}
