/* half.c - the two 16-bit float formats, converted with integers alone.
 *
 *            sign  exponent  fraction   value of a normal number
 *   float32    1      8         23      (-1)^s * 1.fraction * 2^(exponent - 127)
 *   float16    1      5         10      (-1)^s * 1.fraction * 2^(exponent - 15)      IEEE 754-2008, binary16
 *   bfloat16   1      8          7      the upper half of a float32
 *
 * Exponent 0 means 0.fraction * 2^(1 - bias): zero and the subnormals. All ones means infinity (fraction 0) or NaN.
 * Narrowing rounds to the nearest, ties to even. A NaN stays a NaN: its fraction keeps its upper bits and gains the
 * "quiet" bit, as the processors' own conversion instructions do, so every kernel tier gives the same bits.
 */
#include "engine/base/base.h"

static uint32_t bits_of(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float float_of(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Drop the low n bits (1 to 31), rounding to nearest even: add just under half of what is dropped, and one more if the
 * bit that stays is odd. A carry out of the fraction moves into the exponent, which is right: 1.11..1 becomes 10.0. */
static uint32_t round_off(uint32_t u, int n) {
    uint32_t odd = u >> n & 1;
    return (u + ((1u << (n - 1)) - 1) + odd) >> n;
}

float cut_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3FF;
    if (exponent == 31) return float_of(sign | 0x7F800000 | fraction << 13 | (fraction ? 0x400000 : 0));
    if (exponent == 0) {                              /* fraction * 2^-24, exact in a float32 */
        float f = (float)fraction * 0x1p-24f;
        return sign ? -f : f;
    }
    return float_of(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

uint16_t cut_f32_to_f16(float f) {
    uint32_t u = bits_of(f), sign = u >> 16 & 0x8000, size = u & 0x7FFFFFFF;
    if (size > 0x7F800000) return (uint16_t)(sign | 0x7E00 | (size >> 13 & 0x3FF));
    if (size >= 0x477FF000) return (uint16_t)(sign | 0x7C00);      /* 65520 and more round to infinity */
    if (size >= 0x38800000)                                        /* 2^-14 and more: a normal number */
        return (uint16_t)(sign | round_off(size - ((127u - 15) << 23), 13));
    if (size < 0x33000000) return (uint16_t)sign;                  /* below 2^-25: nearer to 0 than to 2^-24 */
    uint32_t exponent = size >> 23;                                /* 102 to 112: count in steps of 2^-24 */
    return (uint16_t)(sign | round_off((size & 0x7FFFFF) | 0x800000, (int)(126 - exponent)));
}

float cut_bf16_to_f32(uint16_t h) { return float_of((uint32_t)h << 16); }

uint16_t cut_f32_to_bf16(float f) {
    uint32_t u = bits_of(f);
    if ((u & 0x7FFFFFFF) > 0x7F800000) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)round_off(u, 16);
}
