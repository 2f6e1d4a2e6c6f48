// The gradients of a convolution over vectors of 16 lanes. A file that includes this one has defined V, v_zero, v_load,
// v_store, v_add, v_fma, v_folded and v_pin as in dense_template.h, and
//   SLICES    parts of a line that the dense kernel sums one after the other. If it is not 1: Slice, one part,
//             with slice_zero, slice_load, slice_store, slice_fma and slice_pin
//   OUTPUTS   outputs of a panel
//   WEIGHTS   how many weights of an output are summed side by side in the sparse kernel, at most 8
//   NAME(f)   the name of f for this instruction set

#if SLICES == 1
typedef V Slice;
#define slice_zero v_zero
#define slice_load v_load
#define slice_store v_store
#define slice_fma v_fma
#define slice_pin v_pin
#endif

enum {
    LINES = TK_CONV_PANEL_LINES,
    PANEL = OUTPUTS * LINES,
    SLICE_LANES = TK_LANES / SLICES,
    // Weights whose lanes are summed at once.
    TREES = 8,
    // Panels whose lanes are summed while they are in the first-level cache.
    FINISHED_PANELS = 8,
};

size_t NAME(conv_outputs_at_once)(void) { return OUTPUTS; }
size_t NAME(conv_weights_at_once)(void) { return WEIGHTS; }

static INLINE const float *at_byte(const float *p, size_t offset) {
    return (const float *)(const void *)((const char *)p + offset);
}

// The lane trees of `count` sums. Reads up to 7 lines more.
static INLINE tk_magnitude finish(
    const float *sums, const uint32_t *places, size_t count, float *gradient, tk_magnitude magnitude) {
    float unwanted;
    for (size_t n = 0; n < count; n += TREES) {
#define FOLDED(w) v_folded(v_load(sums + TK_LANES * (n + (w))))
        H sum = H_EIGHT(FOLDED);
#undef FOLDED
        float results[TREES];
        __builtin_memcpy(results, &sum, sizeof results);
        size_t last = count - n < TREES ? count - n : TREES;
        for (size_t w = 0; w < last; w++) {
            uint32_t place = places[n + w];
            *(place == TK_CONV_NOWHERE ? &unwanted : gradient + place) = results[w];
            magnitude = larger(magnitude, place == TK_CONV_NOWHERE ? 0.0f : results[w]);
        }
    }
    return magnitude;
}

// Asks for part `part` of `parts` of what a block will read of a strip. It lies in too many places for the processor to
// ask for it by itself.
static INLINE void expect_strip(
    const tk_conv_strips *strips, const tk_conv_strip *strip, const tk_conv_needs *needs, const float *x,
    const float *dy, size_t part, size_t parts) {
    const tk_conv_position *positions = strips->positions + strips->bounds[strip->list];
    const tk_conv_position *end = strips->positions + strips->bounds[strip->list + 1];
    size_t planes = needs->line_count + needs->output_count;
    for (size_t n = planes * part / parts; n < planes * (part + 1) / parts; n++) {
        if (n < needs->line_count) {
            const float *line = x + strip->x + (size_t)TK_LANES * needs->lines[n];
            for (const tk_conv_position *p = positions; p < end; p++) __builtin_prefetch(at_byte(line, p->x), 0, 2);
        } else {
            const float *line = dy + strip->dy + strips->dy_plane * needs->outputs[n - needs->line_count];
            for (const tk_conv_position *p = positions; p < end; p++) __builtin_prefetch(at_byte(line, p->dy), 0, 2);
        }
    }
}

// One slice of a panel over the positions of a strip. `soon`: a line of x of the panel that comes after it, which is
// asked for into the first-level cache.
static INLINE void add_slice(
    const tk_conv_position *positions, const tk_conv_position *end, const float *x, size_t step,
    const float *const dy[OUTPUTS], const float *soon, int first_strip, float *sums) {
    Slice sum[OUTPUTS][LINES];
    UNROLL for (int o = 0; o < OUTPUTS; o++) {
        UNROLL for (int l = 0; l < LINES; l++) {
            sum[o][l] = first_strip ? slice_zero() : slice_load(sums + TK_LANES * (LINES * o + l));
        }
    }
    for (; positions < end; positions++) {
        const float *near = at_byte(x, positions->x);
        size_t offset = positions->dy;
        __builtin_prefetch(at_byte(soon, positions->x));
        Slice in[LINES];
        UNROLL for (int l = 0; l < LINES; l++) in[l] = slice_load(near + step * l);
        UNROLL for (int o = 0; o < OUTPUTS; o++) {
            Slice term = slice_load(at_byte(dy[o], offset));
            UNROLL for (int l = 0; l < LINES; l++) {
                sum[o][l] = slice_fma(in[l], term, sum[o][l]);
                slice_pin(&sum[o][l]);
            }
        }
    }
    UNROLL for (int o = 0; o < OUTPUTS; o++) {
        UNROLL for (int l = 0; l < LINES; l++) slice_store(sums + TK_LANES * (LINES * o + l), sum[o][l]);
    }
}

static void add_panel(
    const tk_conv_position *positions, const tk_conv_position *end, const float *x, size_t step,
    const float *const dy[OUTPUTS], const float *soon, int first_strip, float *sums) {
    for (size_t lane = 0; lane < TK_LANES; lane += SLICE_LANES) {
        const float *terms[OUTPUTS];
        UNROLL for (int o = 0; o < OUTPUTS; o++) terms[o] = dy[o] + lane;
        if (first_strip) {
            add_slice(positions, end, x + lane, step, terms, soon, 1, sums + lane);
        } else {
            add_slice(positions, end, x + lane, step, terms, soon, 0, sums + lane);
        }
    }
}

tk_magnitude NAME(conv_dense_gradient)(
    const tk_conv_strips *strips, const tk_conv_dense_block *block, const float *x, const float *dy, float *sums,
    float *gradient) {
    tk_magnitude magnitude = 0;
    size_t panel_count = block->panel_count;
    for (size_t s = 0; s < strips->count; s++) {
        const tk_conv_strip *strip = &strips->strips[s];
        const uint32_t *bounds = strips->bounds + strip->list;
        for (size_t g = 0; g < block->group_count; g++) {
            const float *terms[OUTPUTS];
            UNROLL for (int o = 0; o < OUTPUTS; o++) {
                terms[o] = dy + strip->dy + strips->dy_plane * block->outputs[OUTPUTS * g + o];
            }
            size_t finished = 0;
            for (size_t p = 0; p < panel_count; p++) {
                size_t place = panel_count * g + p;
                if (s + 1 < strips->count) {
                    expect_strip(strips, strip + 1, &block->needs, x, dy, place, panel_count * block->group_count);
                }
                const tk_conv_panel *panel = &block->panels[p], *next = p + 1 < panel_count ? panel + 1 : panel;
                add_panel(
                    strips->positions + bounds[panel->list], strips->positions + bounds[panel->list + 1],
                    x + strip->x + (size_t)TK_LANES * panel->line, (size_t)TK_LANES * panel->step, terms,
                    x + strip->x + (size_t)TK_LANES * (next->line + next->step), s == 0,
                    sums + TK_LANES * PANEL * place);
                if (s + 1 == strips->count && (p + 1 - finished == FINISHED_PANELS || p + 1 == panel_count)) {
                    magnitude = finish(
                        sums + TK_LANES * PANEL * (panel_count * g + finished),
                        block->places + block->place_stride * g + PANEL * finished, PANEL * (p + 1 - finished),
                        gradient, magnitude);
                    finished = p + 1;
                }
            }
        }
    }
    return magnitude;
}

// `count` weights of an output over the positions of a strip.
static INLINE void add_weights(
    const int count, const tk_conv_position *positions, const tk_conv_position *end, const uint32_t *lines,
    const float *x, const float *dy, float *sums) {
    const float *at[WEIGHTS];
    V sum[WEIGHTS];
    UNROLL for (int w = 0; w < count; w++) {
        at[w] = x + (size_t)TK_LANES * lines[w];
        sum[w] = v_load(sums + TK_LANES * w);
    }
    for (; positions < end; positions++) {
        size_t offset = positions->x;
        V term = v_load(at_byte(dy, positions->dy));
        UNROLL for (int w = 0; w < count; w++) {
            sum[w] = v_fma(v_load(at_byte(at[w], offset)), term, sum[w]);
            v_pin(&sum[w]);
        }
    }
    UNROLL for (int w = 0; w < count; w++) v_store(sums + TK_LANES * w, sum[w]);
}

static void add_row(
    const tk_conv_position *positions, const tk_conv_position *end, const uint32_t *lines, size_t count,
    const float *x, const float *dy, float *sums) {
    switch (count) {
#define CASE(n)                                                                                                      \
    case n: if (n <= WEIGHTS) add_weights(n <= WEIGHTS ? n : 1, positions, end, lines, x, dy, sums); break;
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
        CASE(5)
        CASE(6)
        CASE(7)
        CASE(8)
#undef CASE
    }
}

static void clear_lines(float *sums, size_t count) {
    for (size_t n = 0; n < count; n++) v_store(sums + TK_LANES * n, v_zero());
}

// The sums of dy over the positions of a strip.
static void add_terms(
    const tk_conv_strips *strips, const tk_conv_strip *strip, const tk_conv_bias *bias, const float *dy) {
    const tk_conv_position *positions = strips->positions + strips->bounds[strip->list];
    const tk_conv_position *end = strips->positions + strips->bounds[strip->list + 1];
    for (size_t n = 0; n < bias->count; n += OUTPUTS) {
        const float *terms[OUTPUTS];
        V sum[OUTPUTS];
        UNROLL for (int o = 0; o < OUTPUTS; o++) {
            terms[o] = dy + strip->dy + strips->dy_plane * bias->outputs[n + o];
            sum[o] = v_load(bias->sums + TK_LANES * (n + o));
        }
        for (const tk_conv_position *p = positions; p < end; p++) {
            UNROLL for (int o = 0; o < OUTPUTS; o++) sum[o] = v_add(sum[o], v_load(at_byte(terms[o], p->dy)));
        }
        UNROLL for (int o = 0; o < OUTPUTS; o++) v_store(bias->sums + TK_LANES * (n + o), sum[o]);
    }
}

tk_magnitude NAME(conv_sparse_gradient)(
    const tk_conv_strips *strips, const tk_conv_sparse_block *block, const tk_conv_bias *bias, const float *x,
    const float *dy, float *sums, float *gradient) {
    clear_lines(sums, block->weight_count);
    if (bias) clear_lines(bias->sums, bias->count);
    for (size_t s = 0; s < strips->count; s++) {
        const tk_conv_strip *strip = &strips->strips[s];
        const uint32_t *bounds = strips->bounds + strip->list;
        if (bias) add_terms(strips, strip, bias, dy);
        for (size_t r = 0; r < block->row_count; r++) {
            const tk_conv_row *row = &block->rows[r];
            if (s + 1 < strips->count) expect_strip(strips, strip + 1, &block->needs, x, dy, r, block->row_count);
            add_row(
                strips->positions + bounds[0], strips->positions + bounds[1], block->lines + row->first,
                row->last - row->first, x + strip->x, dy + strip->dy + strips->dy_plane * row->output,
                sums + TK_LANES * row->first);
        }
    }
    tk_magnitude magnitude = finish(sums, block->places, block->weight_count, gradient, 0);
    return bias ? finish(bias->sums, bias->outputs, bias->count, bias->gradient, magnitude) : magnitude;
}

tk_magnitude NAME(conv_bias_gradient)(const tk_conv_strips *strips, const tk_conv_bias *bias, const float *dy) {
    clear_lines(bias->sums, bias->count);
    for (size_t s = 0; s < strips->count; s++) add_terms(strips, strips->strips + s, bias, dy);
    return finish(bias->sums, bias->outputs, bias->count, bias->gradient, 0);
}
