/* decode.c - blocks of weights back to floats: what each format means, written as directly as it can be. */
#include "engine/quant/blocks.h"

static void decode_f16(const uint16_t *src, float *dst, size_t n) {
    for (size_t i = 0; i < n; i++) dst[i] = cut_f16_to_f32(src[i]);
}

static void decode_bf16(const uint16_t *src, float *dst, size_t n) {
    for (size_t i = 0; i < n; i++) dst[i] = cut_bf16_to_f32(src[i]);
}

static void decode_q4_0(const struct cut_q4_0 *b, float *dst, size_t n) {
    for (; n; n -= 32, b++, dst += 32) {
        float d = cut_f16_to_f32(b->d);
        for (int j = 0; j < 16; j++) {
            dst[j]      = d * (float)((b->qs[j] & 15) - 8);
            dst[j + 16] = d * (float)((b->qs[j] >> 4) - 8);
        }
    }
}

static void decode_q8_0(const struct cut_q8_0 *b, float *dst, size_t n) {
    for (; n; n -= 32, b++, dst += 32) {
        float d = cut_f16_to_f32(b->d);
        for (int j = 0; j < 32; j++) dst[j] = d * (float)b->qs[j];
    }
}

static void decode_q6_K(const struct cut_q6_K *b, float *dst, size_t n) {
    for (; n; n -= 256, b++, dst += 256) {
        float d = cut_f16_to_f32(b->d);
        for (int i = 0; i < 256; i++) {
            int half = i / 128, g = i / 32 % 4, l = i % 32;
            int low = b->ql[64 * half + 32 * (g & 1) + l] >> 4 * (g >> 1) & 15;
            int high = b->qh[32 * half + l] >> 2 * g & 3;
            dst[i] = d * (float)b->scales[i / 16] * (float)((low | high << 4) - 32);
        }
    }
}

void cut_decode(enum cut_type type, const void *src, float *dst, size_t n) {
    switch (type) {
    case CUT_F32:  memcpy(dst, src, n * sizeof *dst); break;
    case CUT_F16:  decode_f16(src, dst, n);  break;
    case CUT_BF16: decode_bf16(src, dst, n); break;
    case CUT_Q4_0: decode_q4_0(src, dst, n); break;
    case CUT_Q8_0: decode_q8_0(src, dst, n); break;
    case CUT_Q6_K: decode_q6_K(src, dst, n); break;
    default: break;                            /* `runs` is false: nobody may ask */
    }
}
