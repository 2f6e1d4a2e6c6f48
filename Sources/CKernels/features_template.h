// Images as features, and the transposed batch; included by dense_template.h, which says what it needs.

#include "images_template.h"

typedef float floats16 __attribute__((ext_vector_type(16)));

static INLINE void transpose_tile(const float *rows, size_t stride, float columns[TK_LANES][TK_LANES]) {
    floats16 a[16];
    UNROLL for (int r = 0; r < 16; r++) a[r] = *(const floats16 *)(rows + (size_t)r * stride);
    TRANSPOSE_16(floats16, a);
    UNROLL for (int r = 0; r < 16; r++) *(floats16 *)columns[r] = a[r];
}

void NAME(load_images)(
    const uint8_t *images, const int32_t *indices, size_t count, size_t batch, size_t channels,
    size_t features_per_channel, const float *means, const float *deviations, float *x, float *xt) {
    size_t features = channels * features_per_channel, scaled = 0;
    Scale scale = scale_of(means[0], deviations[0]);
    for (size_t e = 0; e < batch; e += TK_LANES) {
        const uint8_t *image[TK_LANES];
        for (size_t l = 0; l < TK_LANES; l++) {
            image[l] = images + (size_t)indices[smaller(e + l, count - 1)] * features;
        }
        for (size_t f = 0; f < features; f += TK_LANES) {
            size_t width = smaller(TK_LANES, features - f);
            uint8_t pixels[TK_LANES][TK_LANES], ragged[TK_LANES][TK_LANES];
            const uint8_t *row[TK_LANES];
            for (size_t l = 0; l < TK_LANES; l++) {
                row[l] = image[l] + f;
                if (width == TK_LANES) continue;
                // A load of 16 pixels would reach past the last image.
                __builtin_memset(ragged[l], 0, TK_LANES);
                for (size_t n = 0; n < width; n++) ragged[l][n] = row[l][n];
                row[l] = ragged[l];
            }
            transpose_bytes(row, pixels);
            float(*tile)[TK_LANES] = (float(*)[TK_LANES])(xt ? xt + f * batch + e * TK_LANES : NULL);
            for (size_t r = 0; r < TK_LANES; r++) {
                V value = v_zero();
                if (r < width) {
                    size_t channel = channels == 1 ? 0 : (f + r) / features_per_channel;
                    if (channel != scaled) {
                        scale = scale_of(means[channel], deviations[channel]);
                        scaled = channel;
                    }
                    value = normalised(pixels[r], &scale);
                }
                v_store(x + (f + r) * batch + e, value);
            }
            if (!tile) continue;
            if (channels == 1 && width == TK_LANES) {
                for (size_t l = 0; l < TK_LANES; l++) v_store(tile[l], normalised(row[l], &scale));
            } else {
                transpose_tile(x + f * batch + e, batch, tile);
            }
        }
    }
}

void NAME(transpose)(size_t features, size_t batch, const float *x, float *xt) {
    for (size_t f = 0; f < features; f += TK_LANES) {
        for (size_t e = 0; e < batch; e += TK_LANES) {
            transpose_tile(x + f * batch + e, batch, (float(*)[TK_LANES])(xt + f * batch + e * TK_LANES));
        }
    }
}
