// Gathering convolutions over vectors of 16 lanes. A file that includes this one has defined V, U, v_zero, v_set1, v_load, v_store,
// v_add, v_fma, v_rectified, v_where_positive, u_zero, u_max and u_result as in dense_template.h, and
//   GROUP            channels that share a look at a source line on the dense path, at most 6
//   GROUP_POSITIONS  positions of their accumulators, at most 8
//   POSITIONS        positions of the accumulators of one channel, at most 8
//   WIDE_ROWS        rows of 8 neighbouring positions of the accumulators of one channel, at most 2; 0 if it takes POSITIONS instead
//   NAME(f)          the name of f for this instruction set

#include "pooling.h"

size_t NAME(conv_group)(void) { return GROUP; }

// At the first of three links the first position, at the third the last one; with BACKWARDS the other way round.
enum { FIRST_MEETS_HALO = 1, LAST_MEETS_HALO = 2, BACKWARDS = 4 };

// Positions of some blocks that are computed together, and how far their chains are.
typedef struct {
    const tk_conv_plan *plan;
    const tk_conv_finish *finish;
    const float *source;
    float *target;
    size_t count;
    // Positions go in rounds of about equal length: round k are round[k] ..< round[k + 1]. group_round: of groups of
    // channels.
    size_t rounds, group_rounds;
    size_t round[TK_CONV_PANEL + 1], group_round[TK_CONV_PANEL + 1];
    // Of a round of groups: the kind of its rows, 0 if they are of several; and whether its first or last position
    // meets halo, and whether links go backwards there, as bits.
    size_t row_kind[TK_CONV_PANEL];
    int meets_halo[TK_CONV_PANEL];
    // Rows of 8 neighbouring positions that the panel consists of, at most WIDE_ROWS; 0 if it is not made of such.
    size_t wide_rows;
    // Where the positions lie, in floats from the first halo corner of channel 0 of block 0.
    size_t source_at[TK_CONV_PANEL], target_at[TK_CONV_PANEL];
    // Pooling: results go to `target` line by line, [channel of a group][position], and of each four among them, whose
    // first two are quad[q], the largest goes to line pooled_at[q] of channel 0 of the pooled planes.
    size_t quads, below;  // the latter from a position to the one below it
    size_t quad[TK_CONV_PANEL / 4], pooled_at[TK_CONV_PANEL / 4];
    int begins, ends;
    float *waiting;  // [n-th channel][position]: sums between two pieces of a chain, which changes no bit
    U magnitude;
} Panel;

// Where the results of the r-th of some channels from the n-th on go, in floats from where those of channel 0 would.
static INLINE size_t result_plane(const Panel *panel, size_t n, size_t r) {
    if (panel->finish->pool) return TK_LANES * TK_CONV_PANEL * r;
    return TK_LANES * panel->plan->target_plane * panel->plan->channel[n + r];
}

// Asks for the lines that `finish_chains` is going to read: a chain takes as long as they take to come. Asking for the
// results' lines in the same way gained nothing, and cost where chains are short.
static INLINE void expect_lines(
    const int channels, const int positions, const Panel *panel, size_t n, size_t p, const float *lines) {
    UNROLL for (int r = 0; r < channels; r++) {
        const float *plane = lines + result_plane(panel, n, (size_t)r);
        UNROLL for (int c = 0; c < positions; c++) __builtin_prefetch(plane + panel->target_at[p + (size_t)c]);
    }
}

// Ends the chains of `channels` channels from the n-th on at `positions` positions from the p-th on and stores them. The
// largest magnitude, which is that before ReLU or gate, so that no infinity is lost.
static INLINE U finish_chains(
    const int has_addend, const int rectify, const int has_gate, const int channels, const int positions,
    const Panel *panel, size_t n, size_t p, V sum[GROUP][16]) {
    // Copies, because a store of lanes may change anything in memory as far as the compiler knows: each magnitude would
    // wait for the one before to come back from there.
    const float *addend = panel->finish->addend, *gate = panel->finish->gate;
    float *target = panel->target;
    U magnitude = panel->magnitude;
    UNROLL for (int r = 0; r < channels; r++) {
        size_t plane = result_plane(panel, n, (size_t)r);
        UNROLL for (int c = 0; c < positions; c++) {
            size_t place = panel->target_at[p + (size_t)c] + plane;
            V result = sum[r][c];
            if (has_addend) result = v_add(result, v_load(addend + place));
            result = v_add(result, v_zero());
            magnitude = u_max(magnitude, result);
            if (rectify) result = v_rectified(result);
            if (has_gate) result = v_where_positive(v_load(gate + place), result);
            v_store(target + place, result);
        }
    }
    return magnitude;
}

// Keeps the largest of each four results of `channels` channels from the n-th on.
static INLINE void pool_results(const Panel *panel, size_t n, size_t channels) {
    const tk_conv_pool *pool = panel->finish->pool;
    for (size_t r = 0; r < channels; r++) {
        size_t plane = pool->plane * panel->plan->channel[n + r];
        for (size_t q = 0; q < panel->quads; q++) {
            const float *above = panel->target + result_plane(panel, n, r) + TK_LANES * panel->quad[q];
            const float *below = above + TK_LANES * panel->below;
            Winners winners;
            V best = v_largest(
                v_load(above), v_load(above + TK_LANES), v_load(below), v_load(below + TK_LANES), &winners);
            size_t line = plane + panel->pooled_at[q];
            v_store(pool->target + TK_LANES * line, v_add(best, v_zero()));
            pool->winners[line] = winners_word(&winners);
        }
    }
}

// Goes on with the chains at the positions `first` ..< `last`.
static INLINE void take_link(
    const int channels, const int columns, const int step, const int first, const int last, const float *source,
    const size_t at[8], tk_conv_link link, const float *weights, V sum[GROUP][16]) {
    const float *line = source + (uint32_t)link, *weight = weights + (link >> 32);
    V w[GROUP];
    UNROLL for (int r = 0; r < channels; r++) w[r] = v_set1(weight[r]);
    UNROLL for (int c = first; c < last; c++) {
        V value = v_load(line + at[c / columns] + c % columns * step);
        UNROLL for (int r = 0; r < channels; r++) sum[r][c] = v_fma(w[r], value, sum[r][c]);
    }
}

// A piece of the chains of `channels` channels from the n-th on, at `rows` · `columns` positions from the p-th on.
// `step`: floats of the source between the columns of a row. `halo`: where positions meet it, if links come in threes,
// and whether these go backwards, else 0.
static INLINE void gather(
    const int channels, const int rows, const int columns, const int step, const int halo, Panel *panel, size_t n,
    size_t p, const tk_conv_link *link, const tk_conv_link *end, const float *weights) {
    const int positions = rows * columns;
    V sum[GROUP][16];
    float *waiting = panel->waiting + TK_LANES * (n * panel->count + p);
    if (panel->begins) {
        UNROLL for (int r = 0; r < channels; r++) {
            const float *bias = panel->finish->bias;
            V start = bias ? v_set1(bias[panel->plan->channel[n + r]]) : v_zero();
            UNROLL for (int c = 0; c < positions; c++) sum[r][c] = start;
        }
    } else {
        UNROLL for (int r = 0; r < channels; r++) {
            UNROLL for (int c = 0; c < positions; c++) {
                sum[r][c] = v_load(waiting + TK_LANES * (r * panel->count + c));
            }
        }
    }
    if (panel->ends) {
        if (panel->finish->addend) expect_lines(channels, positions, panel, n, p, panel->finish->addend);
        if (panel->finish->gate) expect_lines(channels, positions, panel, n, p, panel->finish->gate);
    }
    size_t at[8];
    UNROLL for (int row = 0; row < rows; row++) at[row] = panel->source_at[p + row * columns];
    const float *source = panel->source;
    if (halo) {
        const int first = halo & FIRST_MEETS_HALO ? 1 : 0, last = halo & LAST_MEETS_HALO ? positions - 1 : positions;
        const int backwards = halo & BACKWARDS;
        for (; link < end; link += 3) {
            take_link(
                channels, columns, step, backwards ? 0 : first, backwards ? last : positions, source, at, link[0], weights,
                sum);
            take_link(channels, columns, step, 0, positions, source, at, link[1], weights, sum);
            take_link(
                channels, columns, step, backwards ? first : 0, backwards ? positions : last, source, at, link[2], weights,
                sum);
        }
    } else {
        for (; link < end; link++) {
            take_link(channels, columns, step, 0, positions, source, at, *link, weights, sum);
        }
    }
    if (!panel->ends) {
        UNROLL for (int r = 0; r < channels; r++) {
            UNROLL for (int c = 0; c < positions; c++) v_store(waiting + TK_LANES * (r * panel->count + c), sum[r][c]);
        }
        return;
    }
    // A loop for each way to end them asks once where one for all would ask at every sum. Single chains are short, and
    // there the loops are too many to stay at hand.
#define FINISH(has_addend, rectify, has_gate) \
    panel->magnitude = finish_chains(has_addend, rectify, has_gate, channels, positions, panel, n, p, sum)
    const tk_conv_finish *finish = panel->finish;
    if (channels == 1) {
        FINISH(finish->addend != NULL, finish->rectify, finish->gate != NULL);
    } else if (finish->gate) {
        if (finish->addend) FINISH(1, 0, 1);
        else FINISH(0, 0, 1);
    } else if (finish->addend) FINISH(1, 0, 0);
    else if (finish->rectify) FINISH(0, 1, 0);
    else FINISH(0, 0, 0);
#undef FINISH
}

#define CASES CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)

static void gather_one(
    Panel *panel, size_t n, const tk_conv_link *link, const tk_conv_link *end, const float *weights) {
#if WIDE_ROWS
    if (panel->wide_rows) {
        int two_rows = panel->wide_rows == 2;
        if (panel->plan->source_column == 1) {
            if (two_rows) gather(1, 2, 8, TK_LANES, 0, panel, n, 0, link, end, weights);
            else gather(1, 1, 8, TK_LANES, 0, panel, n, 0, link, end, weights);
        } else {
            if (two_rows) gather(1, 2, 8, 2 * TK_LANES, 0, panel, n, 0, link, end, weights);
            else gather(1, 1, 8, 2 * TK_LANES, 0, panel, n, 0, link, end, weights);
        }
        return;
    }
#endif
    for (size_t k = 0; k < panel->rounds; k++) {
        size_t p = panel->round[k];
        switch (panel->round[k + 1] - p) {
#define CASE(c) \
    case c: gather(1, c < POSITIONS ? c : POSITIONS, 1, 0, 0, panel, n, p, link, end, weights); break;
            CASES
#undef CASE
        }
    }
}

// Chains at full rounds leave out the columns that meet only halo; at others these are added, as zeros. Maps so narrow
// that a round meets halo on both sides have lists of links without it.
static INLINE void gather_some(
    const int channels, Panel *panel, size_t n, const tk_conv_class *class, size_t chunk, const float *weights) {
    for (size_t k = 0; k < panel->group_rounds; k++) {
        size_t p = panel->group_round[k];
        const uint32_t *segment = class->segments + panel->row_kind[k] * (class->chunks + 1) + chunk;
        const tk_conv_link *link = class->links + segment[0], *end = class->links + segment[1];
        size_t positions = panel->group_round[k + 1] - p;
        if (positions == GROUP_POSITIONS) {
#define FULL(halo) gather(channels, GROUP_POSITIONS, 1, 0, halo, panel, n, p, link, end, weights)
            switch (panel->meets_halo[k]) {
            case FIRST_MEETS_HALO: FULL(FIRST_MEETS_HALO); break;
            case LAST_MEETS_HALO: FULL(LAST_MEETS_HALO); break;
            case FIRST_MEETS_HALO | BACKWARDS: FULL(FIRST_MEETS_HALO | BACKWARDS); break;
            case LAST_MEETS_HALO | BACKWARDS: FULL(LAST_MEETS_HALO | BACKWARDS); break;
            default: FULL(0);
            }
#undef FULL
            continue;
        }
        switch (positions) {
#define CASE(c) \
    case c: \
        if (c < GROUP_POSITIONS) gather(channels, c < GROUP_POSITIONS ? c : 1, 1, 0, 0, panel, n, p, link, end, weights); \
        break;
            CASES
#undef CASE
        }
    }
}

static void gather_group(
    Panel *panel, size_t n, size_t channels, const tk_conv_class *class, size_t chunk, const float *weights) {
    const tk_conv_link *links = class->links;
    switch (channels) {
    case 1: gather_one(panel, n, links + class->segments[chunk], links + class->segments[chunk + 1], weights); break;
#define CASE(r) \
    case r: gather_some(r < GROUP ? r : GROUP, panel, n, class, chunk, weights); break;
    CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#undef CASE
    }
}

// The panel that comes after one: what of the source it meets that the panels before have not met, in rows from `row`
// on of the lines from `first` on, in channel 0. `first` is NULL where there is none.
typedef struct {
    const float *first;
    size_t row;
} Next;

// The next panel's source lines for a piece of its chains, asked for a few at a time while the same piece of this panel
// is computed: they lie in too many places for the processor to ask for them by itself.
typedef struct {
    Next next;
    size_t source, block, row;
    size_t rows, parts, due;  // in each of `parts` parts `rows` / `parts` rows become due; `due` counts in 1 / `parts`
} Fetch;

static Fetch fetch_of(const tk_conv_plan *plan, const tk_conv_class *class, Next next, size_t k, size_t parts) {
    size_t first = plan->sources * k / class->chunks, last = plan->sources * (k + 1) / class->chunks;
    size_t rows = next.first ? (last - first) * class->panel_blocks * (class->meets_rows - next.row) : 0;
    return (Fetch){.next = next, .source = first, .row = next.row, .rows = rows, .parts = parts};
}

static INLINE void fetch_part(Fetch *fetch, const tk_conv_plan *plan, const tk_conv_class *class) {
    for (fetch->due += fetch->rows; fetch->due >= fetch->parts; fetch->due -= fetch->parts) {
        const float *line = fetch->next.first
            + TK_LANES * (plan->source[fetch->source] + fetch->block * plan->source_block + fetch->row * plan->source_line);
        for (size_t n = 0; n < class->meets_columns; n++) __builtin_prefetch(line + TK_LANES * n, 0, 2);
        if (++fetch->row < class->meets_rows) continue;
        fetch->row = fetch->next.row;
        if (++fetch->block < class->panel_blocks) continue;
        fetch->block = 0;
        fetch->source++;
    }
}

// The weights of a group of channels for piece `k` of their chains.
static INLINE const float *piece_weights(
    const tk_conv_plan *plan, const tk_conv_class *class, const float *weights, size_t groups, size_t g, size_t k) {
    size_t first = plan->sources * k / class->chunks, last = plan->sources * (k + 1) / class->chunks;
    return weights + (first * groups + g * (last - first)) * plan->source_weights;
}

static void gather_panel(Panel *panel, const tk_conv_class *class, const float *weights, Next next) {
    const tk_conv_plan *plan = panel->plan;
    size_t groups = (plan->channels + GROUP - 1) / GROUP;
    for (size_t k = 0; k < class->chunks; k++) {
        panel->begins = k == 0;
        panel->ends = k + 1 == class->chunks;
        Fetch fetch = fetch_of(plan, class, next, k, plan->dense ? groups : plan->channels);
        if (plan->dense) {
            for (size_t g = 0; g < groups; g++) {
                size_t first = plan->channels * g / groups, last = plan->channels * (g + 1) / groups;
                gather_group(
                    panel, first, last - first, class, k, piece_weights(plan, class, weights, groups, g, k));
                if (panel->ends && panel->finish->pool) pool_results(panel, first, last - first);
                fetch_part(&fetch, plan, class);
            }
        } else {
            const uint32_t *segments = class->segments + k * plan->channels;
            const uint32_t *order = class->order + k * plan->channels;
            for (size_t n = 0; n < plan->channels; n++) {
                gather_one(panel, order[n], class->links + segments[n], class->links + segments[n + 1], weights);
                if (panel->ends && panel->finish->pool) pool_results(panel, order[n], 1);
                fetch_part(&fetch, plan, class);
            }
        }
    }
}

// Adds the results at rows first_row ..< last_row and columns first_column ..< last_column of a block to the chains of
// each channel: `lanes` is [n-th channel][2][16].
static void add_sums(
    const tk_conv_plan *plan, const float *block, size_t first_row, size_t last_row, size_t first_column,
    size_t last_column, float *lanes) {
    size_t row_floats = TK_LANES * (plan->width + 2);
    for (size_t n = 0; n < plan->channels; n++, lanes += 2 * TK_LANES) {
        const float *plane = block + TK_LANES * plan->target_plane * plan->channel[n];
        V sum = v_load(lanes), squares = v_load(lanes + TK_LANES);
        for (size_t row = first_row; row < last_row; row++) {
            const float *line = plane + row_floats * (row + 1) + TK_LANES;
            for (size_t column = first_column; column < last_column; column++) {
                V z = v_load(line + TK_LANES * column);
                sum = v_add(sum, z);
                squares = v_fma(z, z, squares);
            }
        }
        v_store(lanes, sum);
        v_store(lanes + TK_LANES, squares);
    }
}

// Stores the sums of block `b` from the chains in the lanes of each channel.
static U store_sums(const tk_conv_plan *plan, const tk_conv_finish *finish, size_t b, float *lanes, U magnitude) {
    size_t channels = plan->target_block / plan->target_plane;
    size_t examples = finish->examples > b * TK_LANES ? finish->examples - b * TK_LANES : 0;
    for (size_t n = 0; n < plan->channels; n++) {
        for (size_t s = 0; s < 2; s++, lanes += TK_LANES) {
            for (size_t l = examples; l < TK_LANES; l++) lanes[l] = 0.0f;
            for (int half = TK_LANES / 2; half > 0; half /= 2) {
                for (int l = 0; l < half; l++) lanes[l] = lanes[l] + lanes[l + half];
            }
            float sum = lanes[0] + 0.0f;
            finish->sums[2 * (b * channels + plan->channel[n]) + s] = sum;
            magnitude = u_max(magnitude, v_set1(sum));
        }
    }
    return magnitude;
}

static void clear_lanes(const tk_conv_plan *plan, float *lanes) {
    for (size_t n = 0; n < 2 * plan->channels; n++) v_store(lanes + TK_LANES * n, v_zero());
}

static INLINE size_t least(size_t a, size_t b) { return a < b ? a : b; }

// Cuts `count` positions into the fewest rounds of at most `most`.
static INLINE size_t cut(size_t count, size_t most, size_t round[TK_CONV_PANEL + 1]) {
    size_t rounds = (count + most - 1) / most;
    for (size_t k = 0; k <= rounds; k++) round[k] = count * k / rounds;
    return rounds;
}

// The rounds of groups of a panel whose positions stand in these rows and columns.
static void place_groups(
    Panel *panel, const tk_conv_class *class, const size_t rows[TK_CONV_PANEL], const size_t columns[TK_CONV_PANEL]) {
    panel->group_rounds = cut(panel->count, GROUP_POSITIONS, panel->group_round);
    for (size_t k = 0; k < panel->group_rounds; k++) {
        size_t first = panel->group_round[k], last = panel->group_round[k + 1] - 1;
        size_t kind = rows[first] == 0 ? 1 : rows[first] + 1 == class->rows ? 2 : 0;
        for (size_t p = first; p <= last; p++) {
            if (rows[p] != rows[first]) kind = 0;
        }
        panel->row_kind[k] = kind;
        panel->meets_halo[k] = 0;
        if (!class->in_threes) continue;
        if (class->first_meets_halo && columns[first] == 0) panel->meets_halo[k] |= FIRST_MEETS_HALO;
        if (class->last_meets_halo && columns[last] + 1 == class->columns) panel->meets_halo[k] |= LAST_MEETS_HALO;
        if (panel->meets_halo[k] && class->backwards) panel->meets_halo[k] |= BACKWARDS;
    }
}

static void place_panel(
    Panel *panel, const tk_conv_class *class, size_t block, size_t last_block, size_t row, size_t column) {
    const tk_conv_plan *plan = panel->plan;
    size_t rows[TK_CONV_PANEL], columns[TK_CONV_PANEL];
    size_t last_row = least(row + class->panel_rows, class->rows);
    size_t last_column = least(column + class->panel_columns, class->columns);
    const tk_conv_pool *pool = panel->finish->pool;
    panel->count = panel->quads = 0;
    panel->below = last_column - column;
    for (size_t b = block; b < last_block; b++) {
        for (size_t r = row; r < last_row; r++) {
            for (size_t c = column; c < last_column; c++) {
                rows[panel->count] = r;
                columns[panel->count] = c;
                panel->source_at[panel->count] = TK_LANES
                    * (class->source + b * plan->source_block + r * plan->source_row + c * plan->source_column);
                if (pool && (r - row) % 2 == 0 && (c - column) % 2 == 0) {
                    panel->quad[panel->quads] = panel->count;
                    panel->pooled_at[panel->quads++] = b * pool->block + (r / 2 + 1) * pool->row + c / 2 + 1;
                }
                panel->target_at[panel->count] = TK_LANES
                    * (pool ? panel->count
                            : class->target + b * plan->target_block + r * plan->target_row + c * plan->target_column);
                panel->count++;
            }
        }
    }
    if (plan->dense) place_groups(panel, class, rows, columns);
    panel->wide_rows = 0;
    if (WIDE_ROWS && last_block - block == 1 && last_column - column == 8 && last_row - row <= WIDE_ROWS) {
        panel->wide_rows = last_row - row;
    }
    panel->rounds = cut(panel->count, POSITIONS, panel->round);
}

static Next next_panel(
    const tk_conv_plan *plan, const tk_conv_class *class, const float *source, size_t blocks, size_t block, size_t row,
    size_t column) {
    Next next = {NULL, 0};
    if (!class->fetches) return next;
    if ((column += class->panel_columns) >= class->columns) {
        column = 0;
        if ((row += class->panel_rows) >= class->rows) {
            row = 0;
            if ((block += class->panel_blocks) >= blocks) return next;
        }
    }
    next.first = source + TK_LANES
        * (class->source + class->meets + block * plan->source_block + row * plan->source_row
            + column * plan->source_column);
    // The panels of the row above have met the others.
    size_t new_rows = class->panel_rows * plan->source_row / plan->source_line;
    if (row > 0 && new_rows < class->meets_rows) next.row = class->meets_rows - new_rows;
    return next;
}

tk_magnitude NAME(conv_gather)(
    const tk_conv_plan *plan, const tk_conv_finish *finish, const float *weights, const float *source, size_t blocks,
    float *waiting, float *target) {
    size_t block_floats = TK_LANES * plan->target_block;
    size_t tile_rows = plan->width <= 2 || plan->width > 4 ? 2 : 4;
    size_t tile_columns = plan->width > 4 ? 8 : plan->width > 2 ? 4 : 2;
    float *lanes = waiting;
    _Alignas(64) float pooling[TK_LANES * TK_CONV_PANEL * GROUP];
    Panel panel = {
        .plan = plan, .finish = finish, .source = source, .target = finish->pool ? pooling : target,
        .waiting = waiting + TK_LANES * 2 * plan->channels, .magnitude = u_zero(),
    };
    // Where panels are the tiles and come in their order, a panel is added to the sums while it is near.
    int at_once = finish->sums && plan->class_count == 1 && plan->classes[0].panel_blocks == 1
        && plan->classes[0].panel_rows == tile_rows && plan->classes[0].panel_columns == tile_columns;
    for (size_t n = 0; n < plan->class_count; n++) {
        const tk_conv_class *class = plan->classes + n;
        for (size_t b = 0; b < blocks; b += class->panel_blocks) {
            if (at_once) clear_lanes(plan, lanes);
            for (size_t row = 0; row < class->rows; row += class->panel_rows) {
                for (size_t column = 0; column < class->columns; column += class->panel_columns) {
                    place_panel(&panel, class, b, least(b + class->panel_blocks, blocks), row, column);
                    gather_panel(
                        &panel, class, weights, next_panel(plan, class, source, blocks, b, row, column));
                    if (at_once) {
                        add_sums(
                            plan, target + b * block_floats, row, least(row + tile_rows, plan->height), column,
                            least(column + tile_columns, plan->width), lanes);
                    }
                }
            }
            if (at_once) panel.magnitude = store_sums(plan, finish, b, lanes, panel.magnitude);
        }
    }
    if (finish->sums && !at_once) {
        for (size_t b = 0; b < blocks; b++) {
            clear_lanes(plan, lanes);
            for (size_t row = 0; row < plan->height; row += tile_rows) {
                for (size_t column = 0; column < plan->width; column += tile_columns) {
                    add_sums(
                        plan, target + b * block_floats, row, least(row + tile_rows, plan->height), column,
                        least(column + tile_columns, plan->width), lanes);
                }
            }
            panel.magnitude = store_sums(plan, finish, b, lanes, panel.magnitude);
        }
    }
    return u_result(panel.magnitude);
}
