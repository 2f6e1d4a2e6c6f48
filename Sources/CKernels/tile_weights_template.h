// Compact weights into tiles, and sums of tiles into compact gradients; included by tile_template.h. Masks are read one
// word of 16 weights after the other, which costs the same at every density.

// Where the weights of one tap are among those of 16 inputs by nine taps, and where the sums [tap][16][16] of a row of
// outputs are whose order is by input, then tap.
static const int32_t every_ninth[TK_LANES] __attribute__((aligned(64))) = {
    0, 9, 18, 27, 36, 45, 54, 63, 72, 81, 90, 99, 108, 117, 126, 135,
};
#define PLACE(n) (n) % TILE_TAPS * TILE_SUMS + (n) / TILE_TAPS
#define FOUR_PLACES(n) PLACE(n), PLACE(n + 1), PLACE(n + 2), PLACE(n + 3)
#define PLACES(n) {FOUR_PLACES(n), FOUR_PLACES(n + 4), FOUR_PLACES(n + 8), FOUR_PLACES(n + 12)}
static const int32_t flat_places[TILE_TAPS][TK_LANES] __attribute__((aligned(64))) = {
    PLACES(0), PLACES(16), PLACES(32), PLACES(48), PLACES(64), PLACES(80), PLACES(96), PLACES(112), PLACES(128),
};
#undef PLACE
#undef FOUR_PLACES
#undef PLACES

// Outputs whose weights are spread out at once; each has 16 inputs.
enum { SPREAD_OUTPUTS = 2 * TILE_ROWS };

// The survivors among 16 weights of an output, from `word` on in its row.
static INLINE uint16_t survivors(const tk_tile_mask *mask, size_t output, size_t word) {
    size_t words = tk_mask_words(mask);
    if (mask->words) return mask->words[output * words + word];
    size_t left = mask->inputs * mask->taps - TK_LANES * word;
    return left >= TK_LANES ? 0xffff : (uint16_t)((1u << left) - 1);
}

static INLINE size_t survivor_count(const tk_tile_mask *mask, size_t output) {
    if (!mask->words) return mask->inputs * mask->taps;
    size_t count = 0;
    for (size_t n = 0; n < tk_mask_words(mask); n++) count += (size_t)__builtin_popcount(survivors(mask, output, n));
    return count;
}

// Words of 16 weights from input `i` on, for 16 inputs.
static INLINE size_t words_from(const tk_tile_mask *mask, size_t i) {
    return smaller(mask->taps, tk_mask_words(mask) - i / TILE_ROWS * mask->taps);
}

// The weights of `output` at inputs i ..< i + 16, one tap after the other, `step` floats apart; pruned ones and those
// that are not there are +0. Returns where the next survivor is.
static INLINE const float *spread_row(
    const int taps, const tk_tile_mask *mask, size_t output, size_t i, const float *from, float *spread, size_t step) {
    float flat[TK_LANES * TILE_TAPS] __attribute__((aligned(64)));
    size_t words = words_from(mask, i);
    for (size_t n = 0; n < (size_t)taps; n++) {
        uint16_t word = n < words ? survivors(mask, output, i / TILE_ROWS * mask->taps + n) : 0;
        v_store(flat + TK_LANES * n, v_expanded(word, from));
        from += __builtin_popcount(word);
    }
    for (int tap = 0; tap < taps; tap++) {
        V weights = taps == 1 ? v_load(flat) : v_gathered(flat + tap, every_ninth);
        v_store(spread + step * (size_t)tap, weights);
    }
    return from;
}

// `count` elements of a row of weights, from number `element` on; `row` is the row's first element in the first tile of
// its run.
static INLINE void put_elements(const uint16_t *from, size_t count, uint16_t *row, size_t element) {
    size_t here = 32 - element % 32;
    uint16_t *to = row + element / 32 * TILE_ELEMENTS + element % 32;
    if (count <= here) {
        if (count == 32) __builtin_memcpy(to, from, 64);
        else if (count == 16) __builtin_memcpy(to, from, 32);
        else __builtin_memcpy(to, from, count * sizeof *to);
    } else {
        __builtin_memcpy(to, from, here * sizeof *to);
        __builtin_memcpy(to + here - 32 + TILE_ELEMENTS, from + here, (count - here) * sizeof *to);
    }
}

static INLINE uint16_t *row_of_weights(uint16_t *weights, const tk_tile_tap *tap, size_t row) {
    size_t run = row / TILE_ROWS * tap->rows + tap->row;
    return weights + tap->start + run * tap->run_tiles * TILE_ELEMENTS + row % TILE_ROWS * 32;
}

// A line of pairs of weights that two outputs have; NULL is a line of +0.
static INLINE W pair_of(const float *even, const float *odd) {
    return w_rounded(even ? v_load(even) : v_zero(), odd ? v_load(odd) : v_zero());
}

// NULL if the output takes no part.
static INLINE const float *if_live(const tk_tile_weights *w, size_t output, const float *line) {
    return w->live && output < w->mask.outputs && !w->live[output] ? NULL : line;
}

static INLINE void load_block(const int taps, const tk_tile_weights *w, size_t o, size_t i, const float *next[]) {
    float block[TILE_TAPS][SPREAD_OUTPUTS][TK_LANES] __attribute__((aligned(64)));
    const tk_tile_mask *mask = &w->mask;
    size_t outputs = smaller(SPREAD_OUTPUTS, mask->outputs - o), inputs = smaller(TILE_ROWS, mask->inputs - i);
    if (outputs < SPREAD_OUTPUTS) __builtin_memset(block, 0, sizeof block);
    for (size_t n = 0; n < outputs; n++) {
        next[n] = spread_row(taps, mask, o + n, i, next[n], block[0][n], SPREAD_OUTPUTS * TK_LANES);
    }
    for (int t = 0; t < taps; t++) {
        const tk_tile_tap *tap = &w->forward[t];
        for (size_t n = 0; n < outputs; n++) {
            Halves row;
            round_line(block[t][n], &row);
            put_elements((const uint16_t *)&row, inputs, row_of_weights(w->to_forward, tap, o + n), tap->element + i);
        }
        tap = &w->backward[t];
        Words pairs[TILE_PAIRS];
        for (size_t n = 0; n < TILE_PAIRS; n++) {
            const float *even = if_live(w, o + 2 * n, block[t][2 * n]);
            pairs[n] = pair_of(even, if_live(w, o + 2 * n + 1, block[t][2 * n + 1])).w;
        }
        transpose(pairs);
        for (size_t n = 0; n < inputs; n++) {
            put_elements(
                (const uint16_t *)(pairs + n), outputs, row_of_weights(w->to_backward, tap, i + n), tap->element + o);
        }
    }
}

void NAME(tile_load)(const tk_tile_weights *w) {
    const float *row = w->weights, *next[SPREAD_OUTPUTS];
    for (size_t o = 0; o < w->mask.outputs; o += SPREAD_OUTPUTS) {
        for (size_t n = 0; n < smaller(SPREAD_OUTPUTS, w->mask.outputs - o); n++) {
            next[n] = row;
            row += survivor_count(&w->mask, o + n);
        }
        for (size_t i = 0; i < w->mask.inputs; i += TILE_ROWS) {
            if (w->mask.taps == 1) load_block(1, w, o, i, next);
            else load_block(TILE_TAPS, w, o, i, next);
        }
    }
}

// The survivors among sums [tap][16 outputs][16 inputs] become the gradient from next[output] on, which moves on.
static INLINE U compress_sums(
    const int taps, const tk_tile_mask *mask, const float *sums, size_t o, size_t i, float *gradient, size_t *next,
    U magnitude) {
    size_t words = words_from(mask, i);
    for (size_t r = 0; r < smaller(TILE_ROWS, mask->outputs - o); r++) {
        const float *row = sums + TK_LANES * r;
        float *to = gradient + next[o + r];
        for (size_t n = 0; n < words; n++) {
            uint16_t word = survivors(mask, o + r, i / TILE_ROWS * mask->taps + n);
            V result = v_add(taps == 1 ? v_load(row) : v_gathered(row, flat_places[n]), v_zero());
            magnitude = u_max(magnitude, v_masked(word, result));
            v_compress(to, word, result);
            to += __builtin_popcount(word);
        }
        next[o + r] = (size_t)(to - gradient);
    }
    return magnitude;
}
