/* unpack.h - every quantized format in one form. Internal.
 *
 * However a format packs its bits, 32 consecutive weights come to the same thing: small integers, one or two scales, and
 * perhaps one or two offsets.
 *
 *   w[i] = d[i / 16] * q[i] + m[i / 16]          i = 0..31
 *
 * Formats with codebooks fit too (the table's entries are integers), 4-bit floats (halves of integers), ternary weights, and iq1
 * with its shift of an eighth (q in eighths). So a decoder, a reference product and a kernel's unpacking need to know only this. The
 * float operations in this order, without contraction, give the very bits of the format's definition. */
#ifndef CUT_UNPACK_H
#define CUT_UNPACK_H

#include "engine/quant/blocks.h"

struct cut_unpacked {
    int8_t q[32];
    float d[2], m[2];          /* both halves are always filled, equal where the format has one */
};

struct cut_form {
    uint8_t scales;            /* 1: d[0] == d[1] always; 2: a scale for each 16. 0: no quantized format */
    bool offset;               /* m is used; else it is 0 */
    uint8_t max_q;             /* the largest |q| that occurs */
};
/* What a format needs of that form. Static; for formats of plain numbers all zero. */
const struct cut_form *cut_form_of(enum cut_type type);

/* Group b of 32 weights of a row (the row starts on a block). type must have a form. */
void cut_unpack(enum cut_type type, const void *row, int b, struct cut_unpacked *out);

/* ---- scales that are packed or coded, for those who read or write them elsewhere */

/* q4_K and q5_K: scale and minimum i (0..7), 0..63 each. */
static inline void cut_q4_K_scale(const uint8_t s[12], int i, int *scale, int *min) {
    *scale = i < 4 ? s[i] & 63 : (s[i + 4] & 15) | s[i - 4] >> 6 << 4;
    *min = i < 4 ? s[i + 4] & 63 : s[i + 4] >> 4 | s[i] >> 6 << 4;
}
/* q3_K: scale i (0..15), -32..31. */
static inline int cut_q3_K_scale(const uint8_t s[12], int i) {
    return ((s[i % 8] >> 4 * (i / 8) & 15) | (s[8 + i % 4] >> 2 * (i / 4) & 3) << 4) - 32;
}
/* mxfp4: E8M0, a bare exponent: 2^(e - 127), of which this is half, since its weights are kept doubled. 255 would be NaN by the OCP
 * standard; GGUF takes it as 2^128. */
float cut_e8m0_half(uint8_t e);
/* nvfp4: half of an unsigned E4M3: 2^(e - 7) (1 + m / 8), and m 2^-9 where e is 0. The top bit is not looked at; 0x7F, the standard's NaN,
 * counts as 0. */
float cut_ue4m3_half(uint8_t x);

#endif
