// The gradients of a convolution over vectors of 16 lanes. A file that includes this one has defined V, v_zero, v_load,
// v_store, v_add, v_fma and v_pin as in dense_template.h, and
//   WEIGHTS   how many weights are summed side by side, at most 8
//   NAME(f)   the name of f for this instruction set

enum { POSITIONS = 16 };

// The sizes of planes, in lines.
typedef struct {
    size_t height, width;  // of an output map, in pixels
    size_t tile_blocks, tile_rows, tile_columns;
    size_t x_row, x_block, y_row, y_plane, y_block;
} Plan;

static Plan plan_of(const tk_conv_gradient_shape *shape) {
    Plan plan;
    plan.height = (shape->height - 1) / shape->stride + 1;
    plan.width = (shape->width - 1) / shape->stride + 1;
    plan.tile_blocks = plan.width > 2 ? 1 : 4;
    plan.tile_rows = plan.width > 4 ? 2 : plan.width > 2 ? 4 : 2;
    plan.tile_columns = plan.width > 4 ? 8 : plan.width > 2 ? 4 : 2;
    plan.x_row = shape->width + 2;
    plan.x_block = shape->inputs * (shape->height + 2) * plan.x_row;
    plan.y_row = plan.width + 2;
    plan.y_plane = (plan.height + 2) * plan.y_row;
    plan.y_block = shape->outputs * plan.y_plane;
    return plan;
}

// Where the positions of a tile lie, in floats from the first halo corner of a channel of block 0. One outside the map reads
// dy in the halo, where it is +0, and x where the tile's first position does: it adds nothing.
typedef struct {
    size_t x[POSITIONS], dy[POSITIONS];
} Tile;

static void place_tile(
    const Plan *plan, size_t stride, size_t blocks, size_t block, size_t row, size_t column, Tile *tile) {
    int p = 0;
    for (size_t b = block; b < block + plan->tile_blocks; b++) {
        for (size_t r = row; r < row + plan->tile_rows; r++) {
            for (size_t c = column; c < column + plan->tile_columns; c++, p++) {
                if (b < blocks && r < plan->height && c < plan->width) {
                    tile->x[p] = TK_LANES * (b * plan->x_block + stride * (r * plan->x_row + c));
                    tile->dy[p] = TK_LANES * (b * plan->y_block + (r + 1) * plan->y_row + c + 1);
                } else {
                    tile->x[p] = tile->x[0];
                    tile->dy[p] = 0;
                }
            }
        }
    }
}

// One tile's share of `count` weights of an output: the sums wait in memory between tiles, which changes no bit.
static INLINE void add_tile(
    const int count, const Tile *tile, const V dy[POSITIONS], const tk_conv_gradient_weight *weights, const float *x,
    float *sums) {
    const float *at[WEIGHTS];
    V sum[WEIGHTS];
    UNROLL for (int w = 0; w < count; w++) {
        at[w] = x + (size_t)TK_LANES * weights[w].line;
        sum[w] = v_load(sums + TK_LANES * w);
    }
    UNROLL for (int p = 0; p < POSITIONS; p++) {
        size_t offset = tile->x[p];
        UNROLL for (int w = 0; w < count; w++) {
            sum[w] = v_fma(v_load(at[w] + offset), dy[p], sum[w]);
            v_pin(&sum[w]);
        }
    }
    UNROLL for (int w = 0; w < count; w++) v_store(sums + TK_LANES * w, sum[w]);
}

static void add_group(
    const Tile *tile, const float *dy, const tk_conv_gradient_weight *weights, size_t count, const float *x,
    float *sums) {
    V terms[POSITIONS];
    UNROLL for (int p = 0; p < POSITIONS; p++) terms[p] = v_load(dy + tile->dy[p]);
    while (count > 0) {
        // The last two rounds share what is left, so that neither waits for its own sums.
        size_t n = count <= WEIGHTS ? count : count < 2 * WEIGHTS ? (count + 1) / 2 : WEIGHTS;
        switch (n) {
#define CASE(n)                                                                       \
    case n: add_tile(n < WEIGHTS ? n : WEIGHTS, tile, terms, weights, x, sums); break;
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
        weights += n;
        sums += TK_LANES * n;
        count -= n;
    }
}

static float sum_of_lanes(const float *sums) {
    float lane[TK_LANES];
    for (int l = 0; l < TK_LANES; l++) lane[l] = sums[l];
    for (int half = TK_LANES / 2; half > 0; half /= 2) {
        for (int l = 0; l < half; l++) lane[l] = lane[l] + lane[l + half];
    }
    return lane[0] + 0.0f;
}

tk_magnitude NAME(conv_weight_gradient)(
    const tk_conv_gradient_shape *shape, const tk_conv_gradient_group *groups, size_t group_count,
    const tk_conv_gradient_weight *weights, const float *x, const float *dy, size_t blocks, float *sums,
    size_t capacity, float *gradient) {
    Plan plan = plan_of(shape);
    tk_magnitude magnitude = 0;
    size_t g = 0;
    while (g < group_count) {
        // As many groups as the scratch has room for.
        size_t first = groups[g].first, end = g;
        while (end < group_count && groups[end].last - first <= capacity) end++;
        size_t count = groups[end - 1].last - first;
        for (size_t w = 0; w < count; w++) v_store(sums + TK_LANES * w, v_zero());
        for (size_t block = 0; block < blocks; block += plan.tile_blocks) {
            for (size_t row = 0; row < plan.height; row += plan.tile_rows) {
                for (size_t column = 0; column < plan.width; column += plan.tile_columns) {
                    Tile tile;
                    place_tile(&plan, shape->stride, blocks, block, row, column, &tile);
                    for (size_t n = g; n < end; n++) {
                        add_group(
                            &tile, dy + TK_LANES * plan.y_plane * groups[n].output, weights + groups[n].first,
                            groups[n].last - groups[n].first, x, sums + TK_LANES * (groups[n].first - first));
                    }
                }
            }
        }
        for (size_t w = 0; w < count; w++) {
            float result = sum_of_lanes(sums + TK_LANES * w);
            gradient[weights[first + w].place] = result;
            magnitude = larger(magnitude, result);
        }
        g = end;
    }
    return magnitude;
}

tk_magnitude NAME(conv_bias_gradient)(
    const tk_conv_gradient_shape *shape, const float *dy, size_t blocks, float *gradient) {
    Plan plan = plan_of(shape);
    tk_magnitude magnitude = 0;
    for (size_t o = 0; o < shape->outputs; o++) {
        V sum = v_zero();
        for (size_t block = 0; block < blocks; block += plan.tile_blocks) {
            for (size_t row = 0; row < plan.height; row += plan.tile_rows) {
                for (size_t column = 0; column < plan.width; column += plan.tile_columns) {
                    Tile tile;
                    place_tile(&plan, shape->stride, blocks, block, row, column, &tile);
                    const float *plane = dy + TK_LANES * plan.y_plane * o;
                    UNROLL for (int p = 0; p < POSITIONS; p++) sum = v_add(sum, v_load(plane + tile.dy[p]));
                }
            }
        }
        float lanes[TK_LANES] __attribute__((aligned(64)));
        v_store(lanes, sum);
        gradient[o] = sum_of_lanes(lanes);
        magnitude = larger(magnitude, gradient[o]);
    }
    return magnitude;
}
