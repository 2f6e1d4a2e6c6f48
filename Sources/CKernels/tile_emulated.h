// Tiles in memory, over vectors of 16 lanes: operands lie there in f32, which every use shares. A file that includes
// this one has defined V and its operations, and
//   DOT_ROWS   rows of sums that are computed side by side, a divisor of 16
#pragma once

typedef struct {
    float sums[4][TILE_SUMS];
    // Left: [16 rows][32]. Right: [even and odd][16 pairs][16 columns].
    float operand[4][TILE_ELEMENTS];
} __attribute__((aligned(64))) Tiles;

static INLINE void expand_left(const uint16_t *rows, float *operand) {
    for (int n = 0; n < TILE_ELEMENTS; n += 16) {
        Halves halves;
        __builtin_memcpy(&halves, rows + n, sizeof halves);
        *(Floats *)(operand + n) = (Floats)(__builtin_convertvector(halves, Words) << 16);
    }
}

static INLINE void expand_right(const uint32_t *rows, float *operand) {
    for (int n = 0; n < TILE_SUMS; n += 16) {
        Words words = *(const Words *)(rows + n);
        *(Floats *)(operand + n) = (Floats)(words << 16);
        *(Floats *)(operand + TILE_SUMS + n) = (Floats)(words & 0xffff0000u);
    }
}

// DOT_ROWS chains over every other element, from `left` on.
static INLINE void chains(const float *left, const float *right, V sum[DOT_ROWS]) {
    UNROLL for (int r = 0; r < DOT_ROWS; r++) sum[r] = v_zero();
    UNROLL for (int k = 0; k < TILE_PAIRS; k++) {
        V in = v_load(right + TK_LANES * k);
        UNROLL for (int r = 0; r < DOT_ROWS; r++) sum[r] = v_fma(v_set1(left[r * 32 + 2 * k]), in, sum[r]);
    }
}

static void dot(const float *left, const float *right, float *sums) {
    for (int row = 0; row < TILE_ROWS; row += DOT_ROWS) {
        V even[DOT_ROWS], odd[DOT_ROWS];
        chains(left + row * 32, right, even);
        chains(left + row * 32 + 1, right + TILE_SUMS, odd);
        UNROLL for (int r = 0; r < DOT_ROWS; r++) {
            float *at = sums + TK_LANES * (row + r);
            v_store(at, v_add(v_load(at), v_add(even[r], odd[r])));
        }
    }
}

#define TILES_OPEN Tiles set, *tiles = &set
#define TILES_CLOSE
#define TILE_ZERO(t) __builtin_memset(tiles->sums[t], 0, sizeof tiles->sums[t])
#define TILE_LOAD_SUMS(t, p) __builtin_memcpy(tiles->sums[t], p, sizeof tiles->sums[t])
#define TILE_STORE_SUMS(t, p) __builtin_memcpy(p, tiles->sums[t], sizeof tiles->sums[t])
#define TILE_LOAD_LEFT(t, p) expand_left((const uint16_t *)(const void *)(p), tiles->operand[(t) - 4])
#define TILE_LOAD_RIGHT(t, p) expand_right(p, tiles->operand[(t) - 4])
#define TILE_DOT(t, left, right) dot(tiles->operand[(left) - 4], tiles->operand[(right) - 4], tiles->sums[t])
