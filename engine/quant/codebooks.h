/* codebooks.h - the tables of values that some formats index. Internal.
 *
 * A codebook format stores no numbers: it stores an index into a list of groups of eight (or four) small numbers, chosen once and for all
 * because groups of weights are often near them. Eight magnitudes for one byte and eight signs is how 2 bits a weight become possible
 * (Tseng et al. 2024, "QuIP#", where the list is part of the E8 lattice; the lists here are those of GGUF).
 *
 * Entry e of a table is the group, element by element, so a kernel loads 8 (or 4) bytes at once. Constant data: nothing to set up.
 */
#ifndef CUT_CODEBOOKS_H
#define CUT_CODEBOOKS_H

#include "engine/base/base.h"

/* Magnitudes 8, 25 and 43; the signs are stored apart. Index of 8, 9 and 10 bits. */
extern const int8_t cut_grid_iq2_xxs[256][8], cut_grid_iq2_xs[512][8], cut_grid_iq2_s[1024][8];
/* Magnitudes 4, 12, 20, 28, 36, 44, 52 and 62 (iq3_xxs), and 1, 3, 5 .. 15 (iq3_s). Index of 8 and 9 bits. */
extern const int8_t cut_grid_iq3_xxs[256][4], cut_grid_iq3_s[512][4];
/* -1, 0 and 1: iq1_s and iq1_m. Index of 11 bits. */
extern const int8_t cut_grid_iq1[2048][8];

/* iq4_nl and iq4_xs: what a nibble stands for. Closer together near zero, where weights are many. */
extern const int8_t cut_iq4_values[16];

/* Twice the value of a 4-bit float E2M1 (a sign, two bits of exponent, one of mantissa: 0, 0.5, 1, 1.5, 2, 3, 4, 6), so that it is an
 * integer. Nibble 8 is minus zero and comes out as 0. */
extern const int8_t cut_e2m1_doubled[16];

/* iq2_xxs, iq2_xs and iq3_xxs store seven signs for eight weights. The eighth makes the number of minus signs even: the encoder sees to it,
 * flipping a weight near zero where it must. Bit i set: weight i is negative. */
static inline uint8_t cut_iq_signs(unsigned seven) {
    return (uint8_t)(seven | (unsigned)__builtin_parity(seven) << 7);
}

#endif
