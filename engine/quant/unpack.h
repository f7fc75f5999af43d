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

#endif
