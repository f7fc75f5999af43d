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

/* w[i] = d * nibble i + m; the nibbles lie as in q4_0. */
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

/* w[i] = d * (scales[i / 16] & 15) * q[i] - dmin * (scales[i / 16] >> 4), q of 2 bits.
 * The block is two halves of 128 elements, each with 32 bytes of qs. In a half, element i = 32 g + l (g = 0..3) is in qs[l], bits
 * 2 g and 2 g + 1: four elements to a byte, 32 apart, so that a vector of bytes gives 32 consecutive ones by one shift. */
struct cut_q2_K {
    uint8_t scales[16], qs[64];
    uint16_t d, dmin;
};
_Static_assert(sizeof(struct cut_q2_K) == 84, "q2_K: 256 elements in 84 bytes");

/* w[i] = d * (scale - 32) * (q[i] - 4), q of 3 bits: the lower two in qs, as in q2_K; the third of element i = 32 g + l (g = 0..7) is
 * bit g of hmask[l]. Sixteen scales of 6 bits, scale s for elements 16 s..16 s + 15:
 *
 *   s         lower 4 bits in          upper 2 bits in scales[8 + s % 4]
 *   0..3      scales[s]     bits 0-3   bits 0-1
 *   4..7      scales[s]     bits 0-3   bits 2-3
 *   8..11     scales[s - 8] bits 4-7   bits 4-5
 *   12..15    scales[s - 8] bits 4-7   bits 6-7
 */
struct cut_q3_K {
    uint8_t hmask[32], qs[64], scales[12];
    uint16_t d;
};
_Static_assert(sizeof(struct cut_q3_K) == 110, "q3_K: 256 elements in 110 bytes");

/* w[i] = d * scale * q[i] - dmin * min, q of 4 bits. Of each 64 elements, with 32 bytes of qs, the first 32 are the lower nibbles and the
 * others the upper ones. Eight scales and eight minima of 6 bits, number s for elements 32 s..32 s + 31:
 *
 *   s       scale                                                           min
 *   0..3    scales[s] bits 0-5                                              scales[s + 4] bits 0-5
 *   4..7    scales[s + 4] bits 0-3, and above them scales[s - 4] bits 6-7   scales[s + 4] bits 4-7, and above them scales[s] bits 6-7
 */
struct cut_q4_K {
    uint16_t d, dmin;
    uint8_t scales[12], qs[128];
};
_Static_assert(sizeof(struct cut_q4_K) == 144, "q4_K: 256 elements in 144 bytes");

/* The same with a fifth bit: of element i = 32 s + l, it is bit s of qh[l]. */
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

/* q4_0 with sixteen values that are not evenly spaced (codebooks.h): w[i] = d * cut_iq4_values[nibble i]. */
struct cut_iq4_nl {
    uint16_t d;
    uint8_t qs[16];
};
_Static_assert(sizeof(struct cut_iq4_nl) == 18, "iq4_nl: 32 elements in 18 bytes");

/* The same with a scale of 6 bits for every 32: w[i] = d * (scale - 32) * cut_iq4_values[nibble i]. The nibbles of elements 32 s.. are 16
 * bytes from qs[16 s], laid out as in q4_0. Scale s: the lower four bits are nibble s of scales_l (even s low, odd s high), the upper two
 * are bits 2 s and 2 s + 1 of scales_h. */
struct cut_iq4_xs {
    uint16_t d, scales_h;
    uint8_t scales_l[4], qs[128];
};
_Static_assert(sizeof(struct cut_iq4_xs) == 136, "iq4_xs: 256 elements in 136 bytes");

/* Codebooks (codebooks.h): a group of eight (or four) magnitudes is one entry of a table; signs are kept apart, a set bit for a minus. Seven
 * stored signs stand for eight (cut_iq_signs). In what follows, s = 0..7 is a run of 32 elements, and k counts its groups.
 *
 * iq3_xxs: w = d * (scale + 1/2) / 2 * sign * entry. Eight groups of four: qs[8 s + k] is the index. signs[4 s..] is a 32-bit number:
 * seven signs for each eight elements from bit 0 up, and the scale in bits 28-31. */
struct cut_iq3_xxs {
    uint16_t d;
    uint8_t qs[64], signs[32];
};
_Static_assert(sizeof(struct cut_iq3_xxs) == 98, "iq3_xxs: 256 elements in 98 bytes");

/* w = d * (2 scale + 1) * sign * entry. Groups of four: the index is qs[8 s + k], and above it bit k of qh[s]. signs[4 s + j] has the
 * eight signs of elements 8 j... The scale is nibble s of scales (even s low, odd s high). */
struct cut_iq3_s {
    uint16_t d;
    uint8_t qs[64], qh[8], signs[32], scales[4];
};
_Static_assert(sizeof(struct cut_iq3_s) == 110, "iq3_s: 256 elements in 110 bytes");

/* w = d * (scale + 1/2) / 4 * sign * entry. Groups of eight. Of the eight bytes from qs[4 s], the first four are the indices; the others
 * are a 32-bit number: seven signs for each group from bit 0 up, and the scale in bits 28-31. */
struct cut_iq2_xxs {
    uint16_t d, qs[32];
};
_Static_assert(sizeof(struct cut_iq2_xxs) == 66, "iq2_xxs: 256 elements in 66 bytes");

/* The same formula. qs[4 s + k]: the index in bits 0-8, seven signs in bits 9-15. scales[s]: the scale of the first 16 elements in the
 * lower nibble, of the second in the upper. */
struct cut_iq2_xs {
    uint16_t d, qs[32];
    uint8_t scales[8];
};
_Static_assert(sizeof(struct cut_iq2_xs) == 74, "iq2_xs: 256 elements in 74 bytes");

/* The same formula. The index is qs[4 s + k], and above it bits 2 k and 2 k + 1 of qh[s]; signs[4 s + k] has all eight signs; scales as in
 * iq2_xs. */
struct cut_iq2_s {
    uint16_t d;
    uint8_t qs[32], signs[32], qh[8], scales[8];
};
_Static_assert(sizeof(struct cut_iq2_s) == 82, "iq2_s: 256 elements in 82 bytes");

/* w = d * (2 scale + 1) * (entry + shift), entries -1, 0 or 1, the shift an eighth up or down. Groups of eight. qh[s]: three upper bits of
 * each index (those of group k from bit 3 k), the scale in bits 12-14, and in bit 15 the shift of the run: 1 is down. */
struct cut_iq1_s {
    uint16_t d;
    uint8_t qs[32];
    uint16_t qh[8];
};
_Static_assert(sizeof(struct cut_iq1_s) == 50, "iq1_s: 256 elements in 50 bytes");

/* The same with a shift for every eight elements and a scale for every 16. qh[2 s + k / 2], nibble k % 2: three upper bits of the index of
 * group k, and in the fourth its shift. scales are four 16-bit words; word s / 2 has, from bit 6 (s % 2), the scale of the first 16
 * elements (3 bits) and of the second (3 bits). No field for d: its sixteen bits are the upper four of each word, the first word lowest. */
struct cut_iq1_m {
    uint8_t qs[32], qh[16], scales[8];
};
_Static_assert(sizeof(struct cut_iq1_m) == 56, "iq1_m: 256 elements in 56 bytes");

/* Ternary: w[i] = d * (trit i - 1). Five trits to a byte, as 3^5 = 243 < 256. The byte is the number 0.t0 t1 t2 t3 t4 in base 3, times 256
 * and rounded up, so that a trit is found by multiplying: t0 = byte * 3 >> 8.
 *
 *   i            byte            trit
 *   0..159       qs[i % 32]      i / 32
 *   160..239     qs[32 + i % 16] (i - 160) / 16
 *   240..255     qh[i % 4]       (i - 240) / 4       four to a byte
 */
struct cut_tq1_0 {
    uint8_t qs[48], qh[4];
    uint16_t d;
};
_Static_assert(sizeof(struct cut_tq1_0) == 54, "tq1_0: 256 elements in 54 bytes");

/* The same with two bits a trit, laid out as in q2_K. */
struct cut_tq2_0 {
    uint8_t qs[64];
    uint16_t d;
};
_Static_assert(sizeof(struct cut_tq2_0) == 66, "tq2_0: 256 elements in 66 bytes");

/* 4-bit floats (E2M1) with one shared scale (codebooks.h and unpack.h: both are kept doubled and halved). mxfp4: a power of two for 32 elements
 * (OCP Microscaling 1.0, section 5), nibbles as in q4_0. */
struct cut_mxfp4 {
    uint8_t e, qs[16];
};
_Static_assert(sizeof(struct cut_mxfp4) == 17, "mxfp4: 32 elements in 17 bytes");

/* An E4M3 float for each 16. Elements 16 s.. are eight bytes from qs[8 s]: the first eight in the lower nibbles, the others in the upper. */
struct cut_nvfp4 {
    uint8_t d[4], qs[32];
};
_Static_assert(sizeof(struct cut_nvfp4) == 36, "nvfp4: 64 elements in 36 bytes");

/* One bit: w[i] = d where bit i % 8 of qs[i / 8] is set, else -d. */
struct cut_q1_0 {
    uint16_t d;
    uint8_t qs[16];
};
_Static_assert(sizeof(struct cut_q1_0) == 18, "q1_0: 128 elements in 18 bytes");

/* Two bits: w[i] = d * (q[i] - 1). Element i is in qs[i / 4], from bit 2 (i % 4). */
struct cut_q2_0 {
    uint16_t d;
    uint8_t qs[16];
};
_Static_assert(sizeof(struct cut_q2_0) == 18, "q2_0: 64 elements in 18 bytes");

#endif
