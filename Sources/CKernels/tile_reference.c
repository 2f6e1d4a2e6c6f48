#pragma STDC FP_CONTRACT OFF
#include "magnitude.h"
#include "tile_kernels.h"

#include <math.h>

// One operation at a time, in the order that the rules give. fmaf is correctly rounded by definition.

enum { STEP = 32 };

static float value_of(uint16_t bf16) {
    uint32_t bits = (uint32_t)bf16 << 16;
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

uint16_t tk_reference_bf16(float x) {
    x = x + 0.0f;
    if (x != x) return 0x7fc0;
    uint32_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float dot(float sum, const uint16_t a[STEP], const uint16_t b[STEP]) {
    float even = 0.0f, odd = 0.0f;
    for (int n = 0; n < STEP; n += 2) {
        even = fmaf(value_of(a[n]), value_of(b[n]), even);
        odd = fmaf(value_of(a[n + 1]), value_of(b[n + 1]), odd);
    }
    float both = even + odd;
    return sum + both;
}

void tk_reference_tile_dot(const uint16_t *a, const uint16_t *b, float *sums) {
    for (int row = 0; row < 16; row++) {
        for (int column = 0; column < 16; column++) {
            uint16_t right[STEP];
            for (int n = 0; n < STEP; n++) right[n] = b[(n / 2 * 16 + column) * 2 + n % 2];
            sums[16 * row + column] = dot(sums[16 * row + column], a + STEP * row, right);
        }
    }
}

// A sum whose elements come one after the other.
typedef struct {
    float sum;
    int count;
    uint16_t a[STEP], b[STEP];
} Sum;

static void add(Sum *s, float a, float b) {
    s->a[s->count] = tk_reference_bf16(a);
    s->b[s->count] = tk_reference_bf16(b);
    if (++s->count < STEP) return;
    s->sum = dot(s->sum, s->a, s->b);
    s->count = 0;
}

// What is left is a step, too.
static void end_run(Sum *s) {
    while (s->count > 0) add(s, 0.0f, 0.0f);
}

static size_t output_height(const tk_tile_layer *layer) { return (layer->height - 1) / layer->stride + 1; }
static size_t output_width(const tk_tile_layer *layer) { return (layer->width - 1) / layer->stride + 1; }

// One value of a tensor; (0, 0) is the first pixel, (-1, -1) a corner of the halo.
typedef struct {
    size_t channels, height, width, blocks;
    int features;
} Sizes;
typedef struct {
    size_t block, channel, lane;
    ptrdiff_t row, column;
} Place;

static Sizes x_sizes(const tk_tile_layer *layer, size_t blocks) {
    return (Sizes){layer->inputs, layer->height, layer->width, blocks, layer->features};
}
static Sizes y_sizes(const tk_tile_layer *layer, size_t blocks) {
    return (Sizes){layer->outputs, output_height(layer), output_width(layer), blocks, layer->features};
}

static size_t feature_place(const Sizes *s, Place at) {
    return TK_LANES * (at.channel * s->blocks + at.block) + at.lane;
}
// The half of a word.
static size_t half_place(const Sizes *s, Place at) {
    size_t pixel = (at.block * (s->height + 2) + (size_t)(at.row + 1)) * (s->width + 2) + (size_t)(at.column + 1);
    return 2 * (TK_LANES * (pixel * ((s->channels + 1) / 2) + at.channel / 2) + at.lane) + at.channel % 2;
}

static float load(const Sizes *s, const void *tensor, Place at) {
    if (s->features) return ((const float *)tensor)[feature_place(s, at)];
    return value_of(((const uint16_t *)tensor)[half_place(s, at)]);
}
static void store(const Sizes *s, void *tensor, Place at, float value) {
    if (s->features) ((float *)tensor)[feature_place(s, at)] = value;
    else ((uint16_t *)tensor)[half_place(s, at)] = tk_reference_bf16(value);
}
// What a tensor holds of a value.
static float stored(const Sizes *s, float value) {
    return s->features ? value : value_of(tk_reference_bf16(value));
}

static size_t flat_place(const tk_tile_layer *layer, size_t o, size_t i, size_t row, size_t column) {
    return ((o * layer->inputs + i) * layer->kernel + row) * layer->kernel + column;
}

tk_magnitude tk_reference_tile_forward(
    const tk_tile_layer *layer, const float *weights, const float *bias, const uint8_t *live,
    int rectify, const void *x, void *y, size_t blocks) {
    Sizes in = x_sizes(layer, blocks), out = y_sizes(layer, blocks);
    tk_magnitude magnitude = 0;
    ptrdiff_t edge = (ptrdiff_t)(layer->kernel - 1) / 2, stride = (ptrdiff_t)layer->stride;
    for (size_t o = 0; o < layer->outputs; o++)
    for (size_t row = 0; row < output_height(layer); row++)
    for (size_t column = 0; column < output_width(layer); column++)
    for (size_t b = 0; b < blocks; b++)
    for (size_t l = 0; l < TK_LANES; l++) {
        Sum s = {0};
        for (size_t ky = 0; ky < layer->kernel; ky++) {
            ptrdiff_t x_row = (ptrdiff_t)row * stride + (ptrdiff_t)ky - edge;
            for (size_t kx = 0; kx < layer->kernel; kx++) {
                ptrdiff_t x_column = (ptrdiff_t)column * stride + (ptrdiff_t)kx - edge;
                for (size_t i = 0; i < layer->inputs; i++) {
                    float weight = weights[flat_place(layer, o, i, ky, kx)];
                    add(&s, weight, load(&in, x, (Place){b, i, l, x_row, x_column}));
                }
                if (layer->inputs % 2 == 1) add(&s, 0.0f, 0.0f);
            }
            end_run(&s);
        }
        float v = bias ? s.sum + bias[o] : s.sum;
        if (live && !live[o]) v = 0.0f;
        magnitude = larger(magnitude, stored(&out, v));
        v = rectify && v <= 0.0f ? 0.0f : v + 0.0f;
        store(&out, y, (Place){b, o, l, (ptrdiff_t)row, (ptrdiff_t)column}, v);
    }
    return magnitude;
}

tk_magnitude tk_reference_tile_input_gradient(
    const tk_tile_layer *layer, const float *weights, const uint8_t *live, const void *dy,
    const void *addend, const void *gate, void *dx, size_t blocks) {
    Sizes in = x_sizes(layer, blocks), out = y_sizes(layer, blocks);
    tk_magnitude magnitude = 0;
    ptrdiff_t edge = (ptrdiff_t)(layer->kernel - 1) / 2, stride = (ptrdiff_t)layer->stride;
    for (size_t i = 0; i < layer->inputs; i++)
    for (size_t row = 0; row < layer->height; row++)
    for (size_t column = 0; column < layer->width; column++)
    for (size_t b = 0; b < blocks; b++)
    for (size_t l = 0; l < TK_LANES; l++) {
        Sum s = {0};
        // A pixel of dy that row ky of the kernel leads to is the higher up, the greater ky.
        for (size_t ky = layer->kernel; ky-- > 0;) {
            ptrdiff_t down = (ptrdiff_t)row + edge - (ptrdiff_t)ky;
            if (down % stride != 0) continue;
            for (size_t kx = layer->kernel; kx-- > 0;) {
                ptrdiff_t across = (ptrdiff_t)column + edge - (ptrdiff_t)kx;
                if (across % stride != 0) continue;
                for (size_t o = 0; o < layer->outputs; o++) {
                    float weight = weights[flat_place(layer, o, i, ky, kx)];
                    float term = load(&out, dy, (Place){b, o, l, down / stride, across / stride});
                    add(&s, live && !live[o] ? 0.0f : weight, term);
                }
                if (layer->outputs % 2 == 1) add(&s, 0.0f, 0.0f);
            }
            end_run(&s);
        }
        Place at = {b, i, l, (ptrdiff_t)row, (ptrdiff_t)column};
        float v = addend ? s.sum + load(&in, addend, at) : s.sum;
        v = v + 0.0f;
        magnitude = larger(magnitude, stored(&in, v));
        if (gate && !(load(&in, gate, at) > 0.0f)) v = 0.0f;
        store(&in, dx, at, v);
    }
    return magnitude;
}

tk_magnitude tk_reference_tile_weight_gradient(
    const tk_tile_layer *layer, const uint8_t *survives, const uint8_t *live, const void *x, const void *dy,
    size_t blocks, float *gradient, float *bias_gradient) {
    Sizes in = x_sizes(layer, blocks), out = y_sizes(layer, blocks);
    tk_magnitude magnitude = 0;
    size_t next = 0;
    ptrdiff_t edge = (ptrdiff_t)(layer->kernel - 1) / 2, stride = (ptrdiff_t)layer->stride;
    for (size_t o = 0; o < layer->outputs; o++)
    for (size_t i = 0; i < layer->inputs; i++)
    for (size_t ky = 0; ky < layer->kernel; ky++)
    for (size_t kx = 0; kx < layer->kernel; kx++) {
        if (survives && !survives[flat_place(layer, o, i, ky, kx)]) continue;
        Sum s = {0};
        for (size_t b = 0; b < blocks; b += 2)
        for (size_t row = 0; row < output_height(layer); row++)
        for (size_t column = 0; column < output_width(layer); column++) {
            ptrdiff_t x_row = (ptrdiff_t)row * stride + (ptrdiff_t)ky - edge;
            ptrdiff_t x_column = (ptrdiff_t)column * stride + (ptrdiff_t)kx - edge;
            for (size_t n = 0; n < STEP; n++) {
                size_t block = b + n % 2, l = n / 2;
                if (block < blocks) {
                    float term = load(&out, dy, (Place){block, o, l, (ptrdiff_t)row, (ptrdiff_t)column});
                    float value = load(&in, x, (Place){block, i, l, x_row, x_column});
                    add(&s, live && !live[o] ? 0.0f : term, value);
                } else {
                    add(&s, 0.0f, 0.0f);
                }
            }
        }
        gradient[next] = s.sum + 0.0f;
        magnitude = larger(magnitude, gradient[next]);
        next++;
    }
    for (size_t o = 0; bias_gradient && o < layer->outputs; o++) {
        float lane[TK_LANES] = {0};
        for (size_t b = 0; b < blocks; b += 2)
        for (size_t row = 0; row < output_height(layer); row++)
        for (size_t column = 0; column < output_width(layer); column++)
        for (size_t block = b; block < blocks && block < b + 2; block++)
        for (size_t l = 0; l < TK_LANES && (!live || live[o]); l++) {
            lane[l] = lane[l] + load(&out, dy, (Place){block, o, l, (ptrdiff_t)row, (ptrdiff_t)column});
        }
        for (size_t half = TK_LANES / 2; half > 0; half /= 2) {
            for (size_t l = 0; l < half; l++) lane[l] = lane[l] + lane[l + half];
        }
        bias_gradient[o] = lane[0] + 0.0f;
        magnitude = larger(magnitude, bias_gradient[o]);
    }
    return magnitude;
}
