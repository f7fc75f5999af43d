/* blocks.h - quantized weights as they lie in the file. Internal.
 *
 * A row of weights is a run of blocks, each decoded on its own. d is a float16 scale; integers are little-endian. The
 * layouts are those of GGUF (ggml); the size assertions are what keeps ours from drifting.
 */
#ifndef CUT_BLOCKS_H
#define CUT_BLOCKS_H

#include "engine/base/base.h"

/* w[i] = d * (nibble i - 8). Byte j of qs holds element j in its low nibble and element j + 16 in its high nibble. */
struct cut_q4_0 {
    uint16_t d;
    uint8_t qs[16];
};
_Static_assert(sizeof(struct cut_q4_0) == 18, "q4_0: 32 elements in 18 bytes");

/* w[i] = d * nibble i + m. */
struct cut_q4_1 {
    uint16_t d, m;
    uint8_t qs[16];
};
_Static_assert(sizeof(struct cut_q4_1) == 20, "q4_1: 32 elements in 20 bytes");

/* w[i] = d * (q[i] - 16), q of 5 bits: the lower four as in q4_0, the fifth in bit i of qh (little-endian, 32 bits). */
struct cut_q5_0 {
    uint16_t d;
    uint8_t qh[4], qs[16];
};
_Static_assert(sizeof(struct cut_q5_0) == 22, "q5_0: 32 elements in 22 bytes");

/* w[i] = d * q[i] + m. */
struct cut_q5_1 {
    uint16_t d, m;
    uint8_t qh[4], qs[16];
};
_Static_assert(sizeof(struct cut_q5_1) == 24, "q5_1: 32 elements in 24 bytes");

/* w[i] = d * q[i]. */
struct cut_q8_0 {
    uint16_t d;
    int8_t qs[32];
};
_Static_assert(sizeof(struct cut_q8_0) == 34, "q8_0: 32 elements in 34 bytes");

/* w[i] = d * (scales[i / 16] & 15) * q[i] - dmin * (scales[i / 16] >> 4), q of 2 bits. */
struct cut_q2_K {
    uint8_t scales[16], qs[64];
    uint16_t d, dmin;
};
_Static_assert(sizeof(struct cut_q2_K) == 84, "q2_K: 256 elements in 84 bytes");

/* w[i] = d * (scale - 32) * (q[i] - 4), q of 3 bits: two in qs, the third in hmask; sixteen scales of 6 bits. */
struct cut_q3_K {
    uint8_t hmask[32], qs[64], scales[12];
    uint16_t d;
};
_Static_assert(sizeof(struct cut_q3_K) == 110, "q3_K: 256 elements in 110 bytes");

/* w[i] = d * scale * q[i] - dmin * min, q of 4 bits; eight scales and eight minima of 6 bits each. */
struct cut_q4_K {
    uint16_t d, dmin;
    uint8_t scales[12], qs[128];
};
_Static_assert(sizeof(struct cut_q4_K) == 144, "q4_K: 256 elements in 144 bytes");

/* The same with a fifth bit in qh. */
struct cut_q5_K {
    uint16_t d, dmin;
    uint8_t scales[12], qh[32], qs[128];
};
_Static_assert(sizeof(struct cut_q5_K) == 176, "q5_K: 256 elements in 176 bytes");

/* w[i] = d * scales[i / 16] * (q[i] - 32), q of 6 bits: the lower four in ql, the upper two in qh.
 * The block is two halves of 128 elements, each with 64 bytes of ql and 32 of qh. In a half, element i = 32 g + l
 * (g = 0..3) has
 *
 *   g    lower 4 bits in          upper 2 bits in
 *   0    ql[l]      bits 0-3      qh[l] bits 0-1
 *   1    ql[l + 32] bits 0-3      qh[l] bits 2-3
 *   2    ql[l]      bits 4-7      qh[l] bits 4-5
 *   3    ql[l + 32] bits 4-7      qh[l] bits 6-7
 */
struct cut_q6_K {
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t scales[16];
    uint16_t d;
};
_Static_assert(sizeof(struct cut_q6_K) == 210, "q6_K: 256 elements in 210 bytes");

/* q4_0 with sixteen values that are not evenly spaced: w[i] = d * cut_iq4_values[nibble i]. */
struct cut_iq4_nl {
    uint16_t d;
    uint8_t qs[16];
};
_Static_assert(sizeof(struct cut_iq4_nl) == 18, "iq4_nl: 32 elements in 18 bytes");

/* The same with a scale of 6 bits for every 32: four in scales_l, two in scales_h. */
struct cut_iq4_xs {
    uint16_t d, scales_h;
    uint8_t scales_l[4], qs[128];
};
_Static_assert(sizeof(struct cut_iq4_xs) == 136, "iq4_xs: 256 elements in 136 bytes");

/* Codebooks: a group of eight (or four) magnitudes is one entry of a table; signs are kept apart. */
struct cut_iq3_xxs {
    uint16_t d;
    uint8_t qs[64], signs[32];            /* indices; then 28 bits of signs and 4 of scale for every 32 */
};
_Static_assert(sizeof(struct cut_iq3_xxs) == 98, "iq3_xxs: 256 elements in 98 bytes");

struct cut_iq3_s {
    uint16_t d;
    uint8_t qs[64], qh[8], signs[32], scales[4];
};
_Static_assert(sizeof(struct cut_iq3_s) == 110, "iq3_s: 256 elements in 110 bytes");

struct cut_iq2_xxs {
    uint16_t d, qs[32];
};
_Static_assert(sizeof(struct cut_iq2_xxs) == 66, "iq2_xxs: 256 elements in 66 bytes");

struct cut_iq2_xs {
    uint16_t d, qs[32];
    uint8_t scales[8];
};
_Static_assert(sizeof(struct cut_iq2_xs) == 74, "iq2_xs: 256 elements in 74 bytes");

struct cut_iq2_s {
    uint16_t d;
    uint8_t qs[32], signs[32], qh[8], scales[8];
};
_Static_assert(sizeof(struct cut_iq2_s) == 82, "iq2_s: 256 elements in 82 bytes");

struct cut_iq1_s {
    uint16_t d;
    uint8_t qs[32];
    uint16_t qh[8];
};
_Static_assert(sizeof(struct cut_iq1_s) == 50, "iq1_s: 256 elements in 50 bytes");

/* No field for d: its sixteen bits are the upper four of each of the four 16-bit words of scales. */
struct cut_iq1_m {
    uint8_t qs[32], qh[16], scales[8];
};
_Static_assert(sizeof(struct cut_iq1_m) == 56, "iq1_m: 256 elements in 56 bytes");

/* Ternary: w[i] = d * (trit i - 1). Five trits to a byte (3^5 = 243), or four pairs of bits. */
struct cut_tq1_0 {
    uint8_t qs[48], qh[4];
    uint16_t d;
};
_Static_assert(sizeof(struct cut_tq1_0) == 54, "tq1_0: 256 elements in 54 bytes");

struct cut_tq2_0 {
    uint8_t qs[64];
    uint16_t d;
};
_Static_assert(sizeof(struct cut_tq2_0) == 66, "tq2_0: 256 elements in 66 bytes");

/* 4-bit floats (E2M1) with one shared scale: a power of two for 32 (OCP Microscaling), or an E4M3 float for each 16. */
struct cut_mxfp4 {
    uint8_t e, qs[16];
};
_Static_assert(sizeof(struct cut_mxfp4) == 17, "mxfp4: 32 elements in 17 bytes");

struct cut_nvfp4 {
    uint8_t d[4], qs[32];
};
_Static_assert(sizeof(struct cut_nvfp4) == 36, "nvfp4: 64 elements in 36 bytes");

/* One bit: w[i] = d or -d. Two bits: w[i] = d * (q[i] - 1). */
struct cut_q1_0 {
    uint16_t d;
    uint8_t qs[16];
};
_Static_assert(sizeof(struct cut_q1_0) == 18, "q1_0: 128 elements in 18 bytes");

struct cut_q2_0 {
    uint16_t d;
    uint8_t qs[16];
};
_Static_assert(sizeof(struct cut_q2_0) == 18, "q2_0: 64 elements in 18 bytes");

#endif
