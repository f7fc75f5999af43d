/* decode.c - blocks of weights back to floats: each is its integer times its scale, plus its offset. unpack.c says how the three are packed.
 *
 * Products and sums are rounded one after the other (the build forbids fusing them): these are the bits every GGUF reader gets. */
#include "engine/quant/unpack.h"

static void decode_f16(const uint16_t *src, float *dst, size_t n) {
    for (size_t i = 0; i < n; i++) dst[i] = cut_f16_to_f32(src[i]);
}

static void decode_bf16(const uint16_t *src, float *dst, size_t n) {
    for (size_t i = 0; i < n; i++) dst[i] = cut_bf16_to_f32(src[i]);
}

/* w = d q + m, where there is an m: adding a zero would turn -0 into 0. */
static void decode_blocks(enum cut_type type, const void *src, float *dst, size_t n) {
    const bool offset = cut_form_of(type)->offset;
    for (size_t b = 0; b < n / 32; b++) {
        struct cut_unpacked u;
        cut_unpack(type, src, (int)b, &u);
        for (int h = 0; h < 2; h++, dst += 16) {
            for (int i = 0; i < 16; i++) dst[i] = u.d[h] * (float)u.q[16 * h + i];
            for (int i = 0; i < 16 && offset; i++) dst[i] += u.m[h];
        }
    }
}

void cut_decode(enum cut_type type, const void *src, float *dst, size_t n) {
    switch (type) {
    case CUT_F32:  memcpy(dst, src, n * sizeof *dst); break;
    case CUT_F16:  decode_f16(src, dst, n);  break;
    case CUT_BF16: decode_bf16(src, dst, n); break;
    default:       decode_blocks(type, src, dst, n); break;
    }
}
