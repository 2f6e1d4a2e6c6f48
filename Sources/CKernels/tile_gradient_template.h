// Weight gradients over tiles; included by tile_template.h.

// What is converted and summed before the next: rows of dy in some pairs of blocks.
typedef struct {
    size_t block, pairs, row, rows;
    int first, last;  // of all pieces
} Piece;

// The second line of a pair, where there is one.
static INLINE const float *partner(const tk_tile_gradient *g, size_t block, size_t column, const float *line, size_t step) {
    return (g->blocks_are_columns ? 2 * column : block) + 1 < g->blocks ? line + step : NULL;
}

// left[output / 16][pair][row][column] = 16 outputs × 16 pairs.
static void convert_left(const tk_tile_gradient *g, const Piece *piece) {
    for (size_t o = 0; o < TILE_ROWS * tk_tiles(g->outputs); o++) {
        int there = o < g->outputs && (!g->live || g->live[o]);
        for (size_t n = 0; n < piece->pairs * piece->rows; n++) {
            size_t pair = n / piece->rows, row = n % piece->rows, block = piece->block + 2 * pair;
            uint32_t *to = g->left + tk_left_tile(g, o / TILE_ROWS, pair, row) * TILE_SUMS + o % TILE_ROWS * TILE_PAIRS;
            const float *from = g->dy + block * g->dy_block + o * g->dy_plane + (piece->row + row) * g->dy_row;
            for (size_t c = 0; c < g->columns; c++, to += TILE_SUMS) {
                const float *line = from + c * g->dy_column;
                if (there) pair_lines(line, partner(g, block, c, line, g->dy_block), (Words *)to);
                else *(Words *)to = (Words)0u;
            }
        }
    }
}

// right[input / 16][pair][row mod slots][column] = 16 pairs × 16 inputs, for the rows first ..< last of x.
static void convert_right(const tk_tile_gradient *g, const Piece *piece, size_t first, size_t last) {
    size_t slots = tk_gradient_slots(g), columns = tk_gradient_columns(g), rows = last - first;
    for (size_t i = 0; i < g->inputs; i += TILE_ROWS) {
        for (size_t n = 0; n < piece->pairs * rows; n++) {
            size_t pair = n / rows, row = first + n % rows, block = piece->block + 2 * pair;
            uint32_t *to = g->right + tk_right_tile(g, i / TILE_ROWS, pair, row % slots) * TILE_SUMS;
            const float *from = g->x + block * g->x_block + i * g->x_plane + row * g->x_row;
            for (size_t c = 0; c < columns; c++, to += TILE_SUMS) {
                Words tile[TILE_ROWS];
                for (size_t k = 0; k < TILE_ROWS; k++) {
                    const float *line = from + k * g->x_plane + c * g->x_column;
                    if (i + k < g->inputs) pair_lines(line, partner(g, block, c, line, g->x_block), tile + k);
                    else tile[k] = (Words)0u;
                }
                transpose(tile);
                UNROLL for (int k = 0; k < TILE_ROWS; k++) *(Words *)(to + TILE_PAIRS * k) = tile[k];
            }
        }
    }
}

// Sums of `outs` × `ins` tiles for one tap; those of the next 16 inputs are `next_input` further, those of the next outputs `next_output`.
static INLINE void add_tap(
    Tiles *tiles, const int outs, const int ins, const tk_tile_gradient *g, const Piece *piece, size_t o, size_t i,
    size_t tap, float *sums, size_t next_output, size_t next_input) {
    size_t slots = tk_gradient_slots(g), tap_row = tap / g->kernel, tap_column = tap % g->kernel;
    size_t left_step = (tk_left_tile(g, 1, 0, 0) - tk_left_tile(g, 0, 0, 0)) * TILE_SUMS;
    size_t right_step = (tk_right_tile(g, 1, 0, 0) - tk_right_tile(g, 0, 0, 0)) * TILE_SUMS;
    if (piece->first) {
        TILE_ZERO(0);
        if (ins == 2) TILE_ZERO(1);
        if (outs == 2) TILE_ZERO(2);
        if (outs == 2 && ins == 2) TILE_ZERO(3);
    } else {
        TILE_LOAD_SUMS(0, sums);
        if (ins == 2) TILE_LOAD_SUMS(1, sums + next_input);
        if (outs == 2) TILE_LOAD_SUMS(2, sums + next_output);
        if (outs == 2 && ins == 2) TILE_LOAD_SUMS(3, sums + next_output + next_input);
    }
    for (size_t pair = 0; pair < piece->pairs; pair++) {
        for (size_t row = 0; row < piece->rows; row++) {
            size_t slot = ((piece->row + row) * g->stride + tap_row) % slots;
            const uint32_t *left = g->left + tk_left_tile(g, o, pair, row) * TILE_SUMS;
            const uint32_t *right = g->right + (tk_right_tile(g, i, pair, slot) + tap_column) * TILE_SUMS;
            for (size_t c = 0; c < g->columns; c++, left += TILE_SUMS, right += g->stride * TILE_SUMS) {
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
    TILE_STORE_SUMS(0, sums);
    if (ins == 2) TILE_STORE_SUMS(1, sums + next_input);
    if (outs == 2) TILE_STORE_SUMS(2, sums + next_output);
    if (outs == 2 && ins == 2) TILE_STORE_SUMS(3, sums + next_output + next_input);
}

// All taps for `outs` × `ins` tiles, and what is left of them once the last piece is in.
static INLINE U add_taps(
    Tiles *tiles, const int outs, const int ins, const tk_tile_gradient *g, const Piece *piece, size_t o, size_t i,
    U magnitude) {
    size_t taps = g->mask.taps;
    // Sums that one piece completes need no place of their own.
    int passing = piece->first && piece->last;
    size_t next_input = taps * TILE_SUMS, next_output = (passing ? 2 : tk_tiles(g->inputs)) * next_input;
    float *sums = g->sums + (passing ? 0 : o * next_output + i * next_input);
    for (size_t tap = 0; tap < taps; tap++) {
        add_tap(tiles, outs, ins, g, piece, o, i, tap, sums + tap * TILE_SUMS, next_output, next_input);
    }
    if (!piece->last) return magnitude;
    for (size_t n = 0; n < (size_t)outs; n++) {
        for (size_t m = 0; m < (size_t)ins; m++) {
            const float *done = sums + n * next_output + m * next_input;
            size_t output = (o + n) * TILE_ROWS, input = (i + m) * TILE_ROWS;
            if (taps == 1) magnitude = compress_sums(1, &g->mask, done, output, input, g->gradient, g->next, magnitude);
            else magnitude = compress_sums(TILE_TAPS, &g->mask, done, output, input, g->gradient, g->next, magnitude);
        }
    }
    return magnitude;
}

static INLINE U add_piece(Tiles *tiles, const tk_tile_gradient *g, const Piece *piece, U magnitude) {
    size_t outputs = tk_tiles(g->outputs), inputs = tk_tiles(g->inputs);
    for (size_t near = 0; near < inputs; near += g->near_inputs) {
        size_t end = smaller(near + g->near_inputs, inputs);
        for (size_t o = 0; o < outputs; o += 2) {
            for (size_t i = near; i < end; i += 2) {
                if (o + 1 < outputs && i + 1 < end) magnitude = add_taps(tiles, 2, 2, g, piece, o, i, magnitude);
                else if (o + 1 < outputs) magnitude = add_taps(tiles, 2, 1, g, piece, o, i, magnitude);
                else if (i + 1 < end) magnitude = add_taps(tiles, 1, 2, g, piece, o, i, magnitude);
                else magnitude = add_taps(tiles, 1, 1, g, piece, o, i, magnitude);
            }
        }
    }
    return magnitude;
}

tk_magnitude NAME(tile_gradient)(const tk_tile_gradient *g) {
    U magnitude = u_zero();
    size_t survivors = 0, blocks = g->blocks_are_columns ? 1 : g->blocks;
    for (size_t o = 0; o < g->outputs; o++) {
        g->next[o] = survivors;
        survivors += survivor_count(&g->mask, o);
    }
    TILES_OPEN;
    for (size_t block = 0; block < blocks; block += 2 * g->pairs) {
        // Rows of x below this one are in their slots.
        size_t converted = 0;
        for (size_t row = 0; row < g->rows; row += g->strip) {
            Piece piece = {
                .block = block,
                .pairs = smaller(g->pairs, (blocks - block + 1) / 2),
                .row = row,
                .rows = smaller(g->strip, g->rows - row),
                .first = block == 0 && row == 0,
                .last = block + 2 * g->pairs >= blocks && row + g->strip >= g->rows,
            };
            size_t end = (row + piece.rows - 1) * g->stride + g->kernel;
            convert_left(g, &piece);
            convert_right(g, &piece, converted, end);
            converted = end;
            magnitude = add_piece(tiles, g, &piece, magnitude);
        }
    }
    TILES_CLOSE;
    return u_result(magnitude);
}
