// The kernels of planes.h over pair planes, as tile_kernels.h describes them: maps in bf16, two channels to a word.
//
// Each computes what its namesake in planes.h computes from the values widened to f32, in the same order, and rounds
// once, when it stores: results, magnitudes and sums are those of the namesake, results rounded (magnitudes are those
// of the rounded values). Features are f32, and so are sums and what belongs to a channel, which the functions of
// planes.h make. The partner of an odd last channel is +0 in what is read and in what is written.
//
// Every kernel passes over its tensors once, pixel by pixel; the lines of a pixel follow each other.
#ifndef TOMBOLA_PAIR_PLANES_H
#define TOMBOLA_PAIR_PLANES_H

#include "planes.h"
#include "tile_kernels.h"

void tk_pairs_load_planes(
    tk_tile_backend backend, const uint8_t *images, const int32_t *indices, size_t count, const tk_planes_shape *shape,
    size_t blocks, const float *means, const float *deviations, uint32_t *y);

tk_magnitude tk_pairs_max_pool(
    tk_tile_backend backend, const tk_planes_shape *shape, const uint32_t *x, uint32_t *y, size_t blocks);
tk_magnitude tk_pairs_max_pool_gradient(
    tk_tile_backend backend, const tk_planes_shape *shape, const uint32_t *x, const uint32_t *dy,
    const uint32_t *addend, const uint32_t *gate, uint32_t *dx, size_t blocks);

tk_magnitude tk_pairs_average_pool(
    tk_tile_backend backend, const tk_planes_shape *shape, const uint32_t *x, float *y, size_t blocks);
tk_magnitude tk_pairs_average_pool_gradient(
    tk_tile_backend backend, const tk_planes_shape *shape, const float *dy, const uint32_t *addend,
    const uint32_t *gate, uint32_t *dx, size_t blocks);

void tk_pairs_flatten(
    tk_tile_backend backend, const tk_planes_shape *shape, const uint32_t *x, float *y, size_t blocks);
tk_magnitude tk_pairs_flatten_gradient(
    tk_tile_backend backend, const tk_planes_shape *shape, const float *dy, const uint32_t *addend,
    const uint32_t *gate, uint32_t *dx, size_t blocks);

void tk_pairs_pad_shortcut(
    tk_tile_backend backend, const tk_planes_shape *shape, size_t outputs, size_t stride, const uint32_t *x,
    uint32_t *y, size_t blocks);
tk_magnitude tk_pairs_pad_shortcut_gradient(
    tk_tile_backend backend, const tk_planes_shape *shape, size_t outputs, size_t stride, const uint32_t *dy,
    const uint32_t *addend, const uint32_t *gate, uint32_t *dx, size_t blocks);

tk_magnitude tk_pairs_accumulate(
    tk_tile_backend backend, const tk_planes_shape *shape, const uint32_t *dy, const uint32_t *addend,
    const uint32_t *gate, uint32_t *dx, size_t blocks);

tk_magnitude tk_pairs_batch_norm_apply(
    tk_tile_backend backend, const tk_planes_shape *shape, const uint32_t *z, const float *scale, const float *shift,
    const uint32_t *shortcut, int rectify, const uint8_t *live, uint32_t *y, size_t blocks);
void tk_pairs_batch_norm_gradient_sums(
    tk_tile_backend backend, const tk_planes_shape *shape, const uint32_t *dy, const uint32_t *z, const float *mean,
    const float *inverse_deviation, float *sums, size_t examples);
tk_magnitude tk_pairs_batch_norm_gradient(
    tk_tile_backend backend, const tk_planes_shape *shape, const uint32_t *dy, const uint32_t *z, const float *a,
    const float *b, const float *c, const uint8_t *live, size_t examples, uint32_t *dz);

// With these the references of planes.h are those of pair planes: all values of a batch from pair planes to planes, and
// rounded back; returns the magnitude of what was stored. Halos are not written.
void tk_reference_widen(const tk_planes_shape *shape, const uint32_t *pairs, float *planes, size_t blocks);
tk_magnitude tk_reference_narrow(const tk_planes_shape *shape, const float *planes, uint32_t *pairs, size_t blocks);

#endif
