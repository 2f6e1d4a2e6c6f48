// What kernels over planes and over pair planes share. Included after the vectors of an instruction set, as in
// dense_template.h.
#pragma once

#include "pooling.h"

// The maps that a shortcut of option A leads to.
static INLINE tk_planes_shape padded_shape(const tk_planes_shape *shape, size_t outputs, size_t stride) {
    return (tk_planes_shape){outputs, (shape->height - 1) / stride + 1, (shape->width - 1) / stride + 1};
}

static INLINE V reciprocal_of_pixels(const tk_planes_shape *shape) {
    return v_set1(1.0f / (float)(shape->height * shape->width));
}

// The lanes of a block that hold examples.
static INLINE uint16_t lanes_in_use(size_t examples, size_t block) {
    size_t lanes = examples - block * TK_LANES;
    return lanes >= TK_LANES ? 0xffff : (uint16_t)((1u << lanes) - 1);
}

// The tree l + (l+8), l + (l+4), l + (l+2), l + (l+1).
static INLINE float sum_of_lanes(V sum) {
    float lane[TK_LANES] __attribute__((aligned(64)));
    v_store(lane, sum);
    UNROLL for (int half = TK_LANES / 2; half > 0; half /= 2) {
        UNROLL for (int l = 0; l < half; l++) lane[l] = lane[l] + lane[l + half];
    }
    return lane[0] + 0.0f;
}
