#pragma STDC FP_CONTRACT OFF
#include "dispatch.h"
#include "magnitude.h"
#include "pair_planes_isa.h"

void tk_pairs_load_planes(
    tk_tile_backend backend, const uint8_t *images, const int32_t *indices, size_t count, const tk_planes_shape *shape,
    size_t blocks, const float *means, const float *deviations, uint32_t *y) {
    DISPATCH_TILES(backend, pairs_load_planes, images, indices, count, shape, blocks, means, deviations, y);
}

tk_magnitude tk_pairs_max_pool(
    tk_tile_backend backend, const tk_planes_shape *shape, const uint32_t *x, uint32_t *y, size_t blocks) {
    DISPATCH_TILES(backend, pairs_max_pool, shape, x, y, blocks);
}

tk_magnitude tk_pairs_max_pool_gradient(
    tk_tile_backend backend, const tk_planes_shape *shape, const uint32_t *x, const uint32_t *dy,
    const uint32_t *addend, const uint32_t *gate, uint32_t *dx, size_t blocks) {
    DISPATCH_TILES(backend, pairs_max_pool_gradient, shape, x, dy, addend, gate, dx, blocks);
}

tk_magnitude tk_pairs_average_pool(
    tk_tile_backend backend, const tk_planes_shape *shape, const uint32_t *x, float *y, size_t blocks) {
    DISPATCH_TILES(backend, pairs_average_pool, shape, x, y, blocks);
}

tk_magnitude tk_pairs_average_pool_gradient(
    tk_tile_backend backend, const tk_planes_shape *shape, const float *dy, const uint32_t *addend,
    const uint32_t *gate, uint32_t *dx, size_t blocks) {
    DISPATCH_TILES(backend, pairs_average_pool_gradient, shape, dy, addend, gate, dx, blocks);
}

void tk_pairs_flatten(
    tk_tile_backend backend, const tk_planes_shape *shape, const uint32_t *x, float *y, size_t blocks) {
    DISPATCH_TILES(backend, pairs_flatten, shape, x, y, blocks);
}

tk_magnitude tk_pairs_flatten_gradient(
    tk_tile_backend backend, const tk_planes_shape *shape, const float *dy, const uint32_t *addend,
    const uint32_t *gate, uint32_t *dx, size_t blocks) {
    DISPATCH_TILES(backend, pairs_flatten_gradient, shape, dy, addend, gate, dx, blocks);
}

void tk_pairs_pad_shortcut(
    tk_tile_backend backend, const tk_planes_shape *shape, size_t outputs, size_t stride, const uint32_t *x,
    uint32_t *y, size_t blocks) {
    DISPATCH_TILES(backend, pairs_pad_shortcut, shape, outputs, stride, x, y, blocks);
}

tk_magnitude tk_pairs_pad_shortcut_gradient(
    tk_tile_backend backend, const tk_planes_shape *shape, size_t outputs, size_t stride, const uint32_t *dy,
    const uint32_t *addend, const uint32_t *gate, uint32_t *dx, size_t blocks) {
    DISPATCH_TILES(backend, pairs_pad_shortcut_gradient, shape, outputs, stride, dy, addend, gate, dx, blocks);
}

tk_magnitude tk_pairs_accumulate(
    tk_tile_backend backend, const tk_planes_shape *shape, const uint32_t *dy, const uint32_t *addend,
    const uint32_t *gate, uint32_t *dx, size_t blocks) {
    DISPATCH_TILES(backend, pairs_accumulate, shape, dy, addend, gate, dx, blocks);
}

tk_magnitude tk_pairs_batch_norm_apply(
    tk_tile_backend backend, const tk_planes_shape *shape, const uint32_t *z, const float *scale, const float *shift,
    const uint32_t *shortcut, int rectify, const uint8_t *live, uint32_t *y, size_t blocks) {
    DISPATCH_TILES(backend, pairs_batch_norm_apply, shape, z, scale, shift, shortcut, rectify, live, y, blocks);
}

void tk_pairs_batch_norm_gradient_sums(
    tk_tile_backend backend, const tk_planes_shape *shape, const uint32_t *dy, const uint32_t *z, const float *mean,
    const float *inverse_deviation, float *sums, size_t examples) {
    DISPATCH_TILES(backend, pairs_batch_norm_gradient_sums, shape, dy, z, mean, inverse_deviation, sums, examples);
}

tk_magnitude tk_pairs_batch_norm_gradient(
    tk_tile_backend backend, const tk_planes_shape *shape, const uint32_t *dy, const uint32_t *z, const float *a,
    const float *b, const float *c, const uint8_t *live, size_t examples, uint32_t *dz) {
    DISPATCH_TILES(backend, pairs_batch_norm_gradient, shape, dy, z, a, b, c, live, examples, dz);
}

// Where one value lies, counted in halves of words and in floats.
static size_t half_place(
    const tk_planes_shape *shape, size_t block, size_t channel, size_t row, size_t column, size_t lane) {
    size_t pixel = (block * (shape->height + 2) + row + 1) * (shape->width + 2) + column + 1;
    return 2 * (TK_LANES * (pixel * ((shape->channels + 1) / 2) + channel / 2) + lane) + channel % 2;
}
static size_t float_place(
    const tk_planes_shape *shape, size_t block, size_t channel, size_t row, size_t column, size_t lane) {
    size_t map_row = (block * shape->channels + channel) * (shape->height + 2) + row + 1;
    return TK_LANES * (map_row * (shape->width + 2) + column + 1) + lane;
}

#define EACH(shape, blocks)                                             \
    for (size_t block = 0; block < (blocks); block++)                   \
    for (size_t channel = 0; channel < (shape)->channels; channel++)    \
    for (size_t row = 0; row < (shape)->height; row++)                  \
    for (size_t column = 0; column < (shape)->width; column++)          \
    for (size_t lane = 0; lane < TK_LANES; lane++)

static float value_of(uint16_t bf16) {
    uint32_t bits = (uint32_t)bf16 << 16;
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

void tk_reference_widen(const tk_planes_shape *shape, const uint32_t *pairs, float *planes, size_t blocks) {
    EACH(shape, blocks) {
        uint16_t half = ((const uint16_t *)pairs)[half_place(shape, block, channel, row, column, lane)];
        planes[float_place(shape, block, channel, row, column, lane)] = value_of(half);
    }
}

tk_magnitude tk_reference_narrow(const tk_planes_shape *shape, const float *planes, uint32_t *pairs, size_t blocks) {
    tk_magnitude magnitude = 0;
    EACH(shape, blocks) {
        uint16_t half = tk_reference_bf16(planes[float_place(shape, block, channel, row, column, lane)]);
        ((uint16_t *)pairs)[half_place(shape, block, channel, row, column, lane)] = half;
        magnitude = larger(magnitude, value_of(half));
    }
    return magnitude;
}
