/* encode.c - floats to blocks of weights: the other direction of decode.c.
 *
 * Rounding to a grid has one choice: how wide the grid is. Wide enough for the largest weight wastes resolution on all the
 * others; narrower clips the largest but rounds the rest more finely. So, where there are few levels, several widths are tried,
 * and the one with the least squared error wins. For given integers q the best scale is sum(x q) / sum(q q), the
 * least-squares fit. */
#include <math.h>

#include "engine/quant/blocks.h"

static int clamp(int x, int lo, int hi) { return x < lo ? lo : x > hi ? hi : x; }

/* The element that is largest in magnitude, with its sign. */
static float extreme(const float *x, int n) {
    float m = 0;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(m)) m = x[i];
    return m;
}

/* A scale d for x ~ d q, q whole in [lo, hi], for n weights. lo is the longer side, so the extreme weight goes there. */
static float best_scale(const float *x, int n, int lo, int hi) {
    float m = extreme(x, n), best = 0;
    double least = INFINITY;
    if (m == 0) return 0;
    for (int step = -8; step <= 8; step++) {
        float d = m / ((float)lo + 0.1f * (float)step);
        double xq = 0, qq = 0;
        for (int i = 0; i < n; i++) {
            int q = clamp((int)lrintf(x[i] / d), lo, hi);
            xq += (double)x[i] * q;
            qq += (double)q * q;
        }
        if (qq == 0) continue;
        float fit = (float)(xq / qq);
        double error = 0;
        for (int i = 0; i < n; i++) {
            double e = (double)x[i] - (double)fit * clamp((int)lrintf(x[i] / fit), lo, hi);
            error += e * e;
        }
        if (error < least) {
            least = error;
            best = fit;
        }
    }
    return best;
}

/* 255 levels are enough that only the largest weight decides. */
static void encode_q8_0(struct cut_q8_0 *b, const float *x, size_t n) {
    for (; n; n -= 32, b++, x += 32) {
        b->d = cut_f32_to_f16(fabsf(extreme(x, 32)) / 127);
        float d = cut_f16_to_f32(b->d);
        for (int j = 0; j < 32; j++) b->qs[j] = (int8_t)(d > 0 ? clamp((int)lrintf(x[j] / d), -127, 127) : 0);
    }
}

static void encode_q4_0(struct cut_q4_0 *b, const float *x, size_t n) {
    for (; n; n -= 32, b++, x += 32) {
        b->d = cut_f32_to_f16(best_scale(x, 32, -8, 7));
        float d = cut_f16_to_f32(b->d);
        for (int j = 0; j < 16; j++) {
            int lo = d != 0 ? clamp((int)lrintf(x[j] / d), -8, 7) : 0, hi = d != 0 ? clamp((int)lrintf(x[j + 16] / d), -8, 7) : 0;
            b->qs[j] = (uint8_t)((lo + 8) | (hi + 8) << 4);
        }
    }
}

/* Sixteen scales to a block, themselves whole numbers times d: first the scales as floats, then d from the largest of
 * them, then the weights by the scales as they came out. */
static void encode_q6_K(struct cut_q6_K *b, const float *x, size_t n) {
    for (; n; n -= 256, b++, x += 256) {
        float scale[16];
        memset(b, 0, sizeof *b);
        for (int s = 0; s < 16; s++) scale[s] = best_scale(x + 16 * s, 16, -32, 31);
        b->d = cut_f32_to_f16(extreme(scale, 16) / -128);
        float d = cut_f16_to_f32(b->d);
        for (int s = 0; s < 16; s++) b->scales[s] = (int8_t)(d != 0 ? clamp((int)lrintf(scale[s] / d), -128, 127) : 0);
        for (int i = 0; i < 256; i++) {
            int half = i / 128, g = i / 32 % 4, l = i % 32;
            float step = d * (float)b->scales[i / 16];
            int q = (step != 0 ? clamp((int)lrintf(x[i] / step), -32, 31) : 0) + 32;
            b->ql[64 * half + 32 * (g & 1) + l] |= (uint8_t)((q & 15) << 4 * (g >> 1));
            b->qh[32 * half + l] |= (uint8_t)((q >> 4) << 2 * g);
        }
    }
}

bool cut_encodes(enum cut_type type) {
    return type == CUT_F32 || type == CUT_F16 || type == CUT_BF16 || type == CUT_Q8_0 || type == CUT_Q4_0 || type == CUT_Q6_K;
}

void cut_encode(enum cut_type type, const float *src, void *dst, size_t n) {
    switch (type) {
    case CUT_F32: memcpy(dst, src, n * sizeof *src); break;
    case CUT_F16: for (size_t i = 0; i < n; i++) ((uint16_t *)dst)[i] = cut_f32_to_f16(src[i]); break;
    case CUT_BF16: for (size_t i = 0; i < n; i++) ((uint16_t *)dst)[i] = cut_f32_to_bf16(src[i]); break;
    case CUT_Q4_0: encode_q4_0(dst, src, n); break;
    case CUT_Q8_0: encode_q8_0(dst, src, n); break;
    case CUT_Q6_K: encode_q6_K(dst, src, n); break;
    default: break;                            /* cut_encodes is false: nobody may ask */
    }
}
