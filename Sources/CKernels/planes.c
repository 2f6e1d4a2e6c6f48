#pragma STDC FP_CONTRACT OFF
#include "dispatch.h"
#include "planes_isa.h"

void tk_load_planes(
    tk_isa isa, const uint8_t *images, const int32_t *indices, size_t count, const tk_planes_shape *shape,
    size_t blocks, const float *means, const float *deviations, float *y) {
    DISPATCH(isa, load_planes, images, indices, count, shape, blocks, means, deviations, y);
}

tk_magnitude tk_max_pool(tk_isa isa, const tk_planes_shape *shape, const float *x, float *y, size_t blocks) {
    DISPATCH(isa, max_pool, shape, x, y, blocks);
}

tk_magnitude tk_max_pool_gradient(
    tk_isa isa, const tk_planes_shape *shape, const float *x, const float *dy, const float *addend, const float *gate,
    float *dx, size_t blocks) {
    DISPATCH(isa, max_pool_gradient, shape, x, dy, addend, gate, dx, blocks);
}

tk_magnitude tk_max_pool_winners_gradient(
    tk_isa isa, const tk_planes_shape *shape, const tk_pool_winners *winners, const float *y, const float *dy, float *dx,
    size_t blocks) {
    DISPATCH(isa, max_pool_winners_gradient, shape, winners, y, dy, dx, blocks);
}

tk_magnitude tk_average_pool(tk_isa isa, const tk_planes_shape *shape, const float *x, float *y, size_t blocks) {
    DISPATCH(isa, average_pool, shape, x, y, blocks);
}

tk_magnitude tk_average_pool_gradient(
    tk_isa isa, const tk_planes_shape *shape, const float *dy, const float *addend, const float *gate, float *dx,
    size_t blocks) {
    DISPATCH(isa, average_pool_gradient, shape, dy, addend, gate, dx, blocks);
}

void tk_flatten(tk_isa isa, const tk_planes_shape *shape, const float *x, float *y, size_t blocks) {
    DISPATCH(isa, flatten, shape, x, y, blocks);
}

tk_magnitude tk_flatten_gradient(
    tk_isa isa, const tk_planes_shape *shape, const float *dy, const float *addend, const float *gate, float *dx,
    size_t blocks) {
    DISPATCH(isa, flatten_gradient, shape, dy, addend, gate, dx, blocks);
}

void tk_pad_shortcut(
    tk_isa isa, const tk_planes_shape *shape, size_t outputs, size_t stride, const float *x, float *y, size_t blocks) {
    DISPATCH(isa, pad_shortcut, shape, outputs, stride, x, y, blocks);
}

tk_magnitude tk_pad_shortcut_gradient(
    tk_isa isa, const tk_planes_shape *shape, size_t outputs, size_t stride, const float *dy, const float *addend,
    const float *gate, float *dx, size_t blocks) {
    DISPATCH(isa, pad_shortcut_gradient, shape, outputs, stride, dy, addend, gate, dx, blocks);
}

tk_magnitude tk_accumulate(
    tk_isa isa, const tk_planes_shape *shape, const float *dy, const float *addend, const float *gate, float *dx,
    size_t blocks) {
    DISPATCH(isa, accumulate, shape, dy, addend, gate, dx, blocks);
}

tk_magnitude tk_batch_norm_apply(
    tk_isa isa, const tk_planes_shape *shape, const float *z, const float *scale, const float *shift,
    const float *shortcut, int rectify, const uint8_t *live, float *y, size_t blocks) {
    DISPATCH(isa, batch_norm_apply, shape, z, scale, shift, shortcut, rectify, live, y, blocks);
}

void tk_batch_norm_gradient_sums(
    tk_isa isa, const tk_planes_shape *shape, const float *dy, const float *z, const float *mean,
    const float *inverse_deviation, float *sums, size_t examples) {
    DISPATCH(isa, batch_norm_gradient_sums, shape, dy, z, mean, inverse_deviation, sums, examples);
}

tk_magnitude tk_batch_norm_gradient(
    tk_isa isa, const tk_planes_shape *shape, const float *dy, const float *z, const float *a, const float *b,
    const float *c, const uint8_t *live, size_t examples, float *dz) {
    DISPATCH(isa, batch_norm_gradient, shape, dy, z, a, b, c, live, examples, dz);
}
