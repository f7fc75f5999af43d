/* unpack.c - what the bits of every format stand for, in one form: w = d q + m.
 *
 * One function per format, in the order of types.c. Each takes group b, 32 consecutive weights of a row: it finds the block they are in and
 * their place i in that block, gathers the bits of each weight (blocks.h draws where they lie), and says what scale and offset they
 * have. Nothing else in the engine's reference has to know a format's layout.
 */
#include "engine/quant/unpack.h"
#include "engine/quant/codebooks.h"

static uint32_t load32(const void *p) {
    uint32_t u;
    memcpy(&u, p, sizeof u);
    return u;
}

/* d for all 32, or for each 16; and offsets likewise. */
static void scale(struct cut_unpacked *u, float d) { u->d[0] = u->d[1] = d; }
static void scales(struct cut_unpacked *u, float d0, float d1) { u->d[0] = d0, u->d[1] = d1; }
static void offset(struct cut_unpacked *u, float m) { u->m[0] = u->m[1] = m; }

/* 32 nibbles in 16 bytes: the first 16 weights in the low ones, the others in the high ones. */
static int nibble(const uint8_t *qs, int j) { return qs[j % 16] >> 4 * (j / 16) & 15; }

float cut_e8m0_half(uint8_t e) {
    uint32_t u = e < 2 ? 0x200000u << e : (uint32_t)(e - 1) << 23;         /* 2^-128 and 2^-127 are subnormal */
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

float cut_ue4m3_half(uint8_t x) {
    int e = x >> 3 & 15, m = x & 7;
    if ((x & 127) == 127) return 0;
    if (e == 0) return (float)m * 0x1p-10f;
    return (float)(8 + m) * (float)(1 << e) * 0x1p-11f;                    /* (1 + m / 8) 2^(e - 7) / 2 */
}

/* ---------------------------------------------------------------------------------------------------------------
 * Blocks of 32: a scale, or a scale and a minimum
 */
static void unpack_q4_0(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_q4_0 *w = (const struct cut_q4_0 *)row + b;
    scale(u, cut_f16_to_f32(w->d));
    for (int j = 0; j < 32; j++) u->q[j] = (int8_t)(nibble(w->qs, j) - 8);
}

static void unpack_q4_1(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_q4_1 *w = (const struct cut_q4_1 *)row + b;
    scale(u, cut_f16_to_f32(w->d));
    offset(u, cut_f16_to_f32(w->m));
    for (int j = 0; j < 32; j++) u->q[j] = (int8_t)nibble(w->qs, j);
}

static void unpack_q5_0(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_q5_0 *w = (const struct cut_q5_0 *)row + b;
    scale(u, cut_f16_to_f32(w->d));
    for (int j = 0; j < 32; j++) u->q[j] = (int8_t)((nibble(w->qs, j) | (w->qh[j / 8] >> j % 8 & 1) << 4) - 16);
}

static void unpack_q5_1(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_q5_1 *w = (const struct cut_q5_1 *)row + b;
    scale(u, cut_f16_to_f32(w->d));
    offset(u, cut_f16_to_f32(w->m));
    for (int j = 0; j < 32; j++) u->q[j] = (int8_t)(nibble(w->qs, j) | (w->qh[j / 8] >> j % 8 & 1) << 4);
}

static void unpack_q8_0(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_q8_0 *w = (const struct cut_q8_0 *)row + b;
    scale(u, cut_f16_to_f32(w->d));
    memcpy(u->q, w->qs, 32);
}

/* ---------------------------------------------------------------------------------------------------------------
 * Super-blocks of 256, that is 8 groups: the scale of a group (or of half of one) is a small integer times d
 */
static void unpack_q2_K(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_q2_K *w = (const struct cut_q2_K *)row + b / 8;
    int i = b % 8, half = i / 4, g = i % 4;
    float d = cut_f16_to_f32(w->d), dmin = cut_f16_to_f32(w->dmin);
    for (int h = 0; h < 2; h++) {
        u->d[h] = d * (float)(w->scales[2 * i + h] & 15);
        u->m[h] = -(dmin * (float)(w->scales[2 * i + h] >> 4));
    }
    for (int j = 0; j < 32; j++) u->q[j] = w->qs[32 * half + j] >> 2 * g & 3;
}

static void unpack_q3_K(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_q3_K *w = (const struct cut_q3_K *)row + b / 8;
    int i = b % 8, half = i / 4, g = i % 4;
    float d = cut_f16_to_f32(w->d);
    scales(u, d * (float)cut_q3_K_scale(w->scales, 2 * i), d * (float)cut_q3_K_scale(w->scales, 2 * i + 1));
    for (int j = 0; j < 32; j++)
        u->q[j] = (int8_t)(((w->qs[32 * half + j] >> 2 * g & 3) | (w->hmask[j] >> i & 1) << 2) - 4);
}

static void unpack_q4_K(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_q4_K *w = (const struct cut_q4_K *)row + b / 8;
    int i = b % 8, s, m;
    cut_q4_K_scale(w->scales, i, &s, &m);
    scale(u, cut_f16_to_f32(w->d) * (float)s);
    offset(u, -(cut_f16_to_f32(w->dmin) * (float)m));
    for (int j = 0; j < 32; j++) u->q[j] = w->qs[32 * (i / 2) + j] >> 4 * (i % 2) & 15;
}

static void unpack_q5_K(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_q5_K *w = (const struct cut_q5_K *)row + b / 8;
    int i = b % 8, s, m;
    cut_q4_K_scale(w->scales, i, &s, &m);
    scale(u, cut_f16_to_f32(w->d) * (float)s);
    offset(u, -(cut_f16_to_f32(w->dmin) * (float)m));
    for (int j = 0; j < 32; j++)
        u->q[j] = (int8_t)((w->qs[32 * (i / 2) + j] >> 4 * (i % 2) & 15) | (w->qh[j] >> i & 1) << 4);
}

static void unpack_q6_K(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_q6_K *w = (const struct cut_q6_K *)row + b / 8;
    int i = b % 8, half = i / 4, g = i % 4;
    float d = cut_f16_to_f32(w->d);
    scales(u, d * (float)w->scales[2 * i], d * (float)w->scales[2 * i + 1]);
    for (int j = 0; j < 32; j++) {
        int low = w->ql[64 * half + 32 * (g & 1) + j] >> 4 * (g >> 1) & 15;
        int high = w->qh[32 * half + j] >> 2 * g & 3;
        u->q[j] = (int8_t)((low | high << 4) - 32);
    }
}

/* ---------------------------------------------------------------------------------------------------------------
 * Codebooks: groups of eight from a table, as four entries of eight (or eight of four) make 32; signs where the table has magnitudes
 */
static void negate(int8_t q[8], unsigned signs) {
    for (int j = 0; j < 8; j++)
        if (signs >> j & 1) q[j] = (int8_t)-q[j];
}

/* Entry e of the table with every element moved up or down by an eighth: in eighths, 8 q + 1 or 8 q - 1. */
static void shifted(int8_t q[8], int e, bool down) {
    for (int j = 0; j < 8; j++) q[j] = (int8_t)(8 * cut_grid_iq1[e][j] + (down ? -1 : 1));
}

static void unpack_iq1_s(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_iq1_s *w = (const struct cut_iq1_s *)row + b / 8;
    int i = b % 8, qh = w->qh[i];
    scale(u, cut_f16_to_f32(w->d) * (float)(2 * (qh >> 12 & 7) + 1) * 0.125f);
    for (int k = 0; k < 4; k++) shifted(u->q + 8 * k, w->qs[4 * i + k] | (qh >> 3 * k & 7) << 8, qh >> 15);
}

static void unpack_iq1_m(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_iq1_m *w = (const struct cut_iq1_m *)row + b / 8;
    int i = b % 8, words[4], half = 0;
    for (int k = 0; k < 4; k++) {
        words[k] = w->scales[2 * k] | w->scales[2 * k + 1] << 8;
        half |= words[k] >> 12 << 4 * k;
    }
    float d = cut_f16_to_f32((uint16_t)half);
    for (int h = 0; h < 2; h++) u->d[h] = d * (float)(2 * (words[i / 2] >> (6 * (i % 2) + 3 * h) & 7) + 1) * 0.125f;
    for (int k = 0; k < 4; k++) {
        int high = w->qh[2 * i + k / 2] >> 4 * (k % 2) & 15;
        shifted(u->q + 8 * k, w->qs[4 * i + k] | (high & 7) << 8, high >> 3);
    }
}

static void unpack_iq2_xxs(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_iq2_xxs *w = (const struct cut_iq2_xxs *)row + b / 8;
    uint32_t index = load32(w->qs + 4 * (b % 8)), rest = load32(w->qs + 4 * (b % 8) + 2);
    scale(u, cut_f16_to_f32(w->d) * ((float)(rest >> 28) + 0.5f) * 0.25f);
    for (int k = 0; k < 4; k++) {
        memcpy(u->q + 8 * k, cut_grid_iq2_xxs[index >> 8 * k & 255], 8);
        negate(u->q + 8 * k, cut_iq_signs(rest >> 7 * k & 127));
    }
}

static void unpack_iq2_xs(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_iq2_xs *w = (const struct cut_iq2_xs *)row + b / 8;
    int i = b % 8;
    float d = cut_f16_to_f32(w->d);
    scales(u, d * ((float)(w->scales[i] & 15) + 0.5f) * 0.25f, d * ((float)(w->scales[i] >> 4) + 0.5f) * 0.25f);
    for (int k = 0; k < 4; k++) {
        memcpy(u->q + 8 * k, cut_grid_iq2_xs[w->qs[4 * i + k] & 511], 8);
        negate(u->q + 8 * k, cut_iq_signs(w->qs[4 * i + k] >> 9));
    }
}

static void unpack_iq2_s(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_iq2_s *w = (const struct cut_iq2_s *)row + b / 8;
    int i = b % 8;
    float d = cut_f16_to_f32(w->d);
    scales(u, d * ((float)(w->scales[i] & 15) + 0.5f) * 0.25f, d * ((float)(w->scales[i] >> 4) + 0.5f) * 0.25f);
    for (int k = 0; k < 4; k++) {
        memcpy(u->q + 8 * k, cut_grid_iq2_s[w->qs[4 * i + k] | (w->qh[i] >> 2 * k & 3) << 8], 8);
        negate(u->q + 8 * k, w->signs[4 * i + k]);
    }
}

static void unpack_iq3_xxs(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_iq3_xxs *w = (const struct cut_iq3_xxs *)row + b / 8;
    int i = b % 8;
    uint32_t rest = load32(w->signs + 4 * i);
    scale(u, cut_f16_to_f32(w->d) * ((float)(rest >> 28) + 0.5f) * 0.5f);
    for (int k = 0; k < 8; k++) memcpy(u->q + 4 * k, cut_grid_iq3_xxs[w->qs[8 * i + k]], 4);
    for (int k = 0; k < 4; k++) negate(u->q + 8 * k, cut_iq_signs(rest >> 7 * k & 127));
}

static void unpack_iq3_s(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_iq3_s *w = (const struct cut_iq3_s *)row + b / 8;
    int i = b % 8;
    scale(u, cut_f16_to_f32(w->d) * (float)(2 * (w->scales[i / 2] >> 4 * (i % 2) & 15) + 1));
    for (int k = 0; k < 8; k++) memcpy(u->q + 4 * k, cut_grid_iq3_s[w->qs[8 * i + k] | (w->qh[i] >> k & 1) << 8], 4);
    for (int k = 0; k < 4; k++) negate(u->q + 8 * k, w->signs[4 * i + k]);
}

/* A table of sixteen: no group, each nibble looks up its own value. */
static void unpack_iq4_nl(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_iq4_nl *w = (const struct cut_iq4_nl *)row + b;
    scale(u, cut_f16_to_f32(w->d));
    for (int j = 0; j < 32; j++) u->q[j] = cut_iq4_values[nibble(w->qs, j)];
}

static void unpack_iq4_xs(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_iq4_xs *w = (const struct cut_iq4_xs *)row + b / 8;
    int i = b % 8, low = w->scales_l[i / 2] >> 4 * (i % 2) & 15, high = w->scales_h >> 2 * i & 3;
    scale(u, cut_f16_to_f32(w->d) * (float)((low | high << 4) - 32));
    for (int j = 0; j < 32; j++) u->q[j] = cut_iq4_values[nibble(w->qs + 16 * i, j)];
}

/* ---------------------------------------------------------------------------------------------------------------
 * Ternary weights
 */

/* Digit n of a byte that stands for 0.t0 t1 t2 t3 t4 in base 3, as byte / 256: multiplying by 3^n moves the point behind t(n-1), keeping eight
 * bits drops what is before it, and once more by 3 brings t(n) in front. */
static int trit(uint8_t byte, int n) {
    static const uint8_t power[5] = { 1, 3, 9, 27, 81 };
    return (uint8_t)(byte * power[n]) * 3 >> 8;
}

static void unpack_tq1_0(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_tq1_0 *w = (const struct cut_tq1_0 *)row + b / 8;
    scale(u, cut_f16_to_f32(w->d));
    for (int j = 0; j < 32; j++) {
        int e = b % 8 * 32 + j;                        /* in the block of 256 */
        int t = e < 160 ? trit(w->qs[e % 32], e / 32) : e < 240 ? trit(w->qs[32 + e % 16], (e - 160) / 16) :
                trit(w->qh[e % 4], (e - 240) / 4);
        u->q[j] = (int8_t)(t - 1);
    }
}

static void unpack_tq2_0(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_tq2_0 *w = (const struct cut_tq2_0 *)row + b / 8;
    int i = b % 8, half = i / 4, g = i % 4;
    scale(u, cut_f16_to_f32(w->d));
    for (int j = 0; j < 32; j++) u->q[j] = (int8_t)((w->qs[32 * half + j] >> 2 * g & 3) - 1);
}

/* ---------------------------------------------------------------------------------------------------------------
 * 4-bit floats, kept doubled so that they are integers: half the scale makes up for it. And 1 and 2 bits with a scale
 */
static void unpack_mxfp4(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_mxfp4 *w = (const struct cut_mxfp4 *)row + b;
    scale(u, cut_e8m0_half(w->e));
    for (int j = 0; j < 32; j++) u->q[j] = cut_e2m1_doubled[nibble(w->qs, j)];
}

static void unpack_nvfp4(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_nvfp4 *w = (const struct cut_nvfp4 *)row + b / 2;
    int i = b % 2;
    scales(u, cut_ue4m3_half(w->d[2 * i]), cut_ue4m3_half(w->d[2 * i + 1]));
    for (int j = 0; j < 32; j++)
        u->q[j] = cut_e2m1_doubled[w->qs[16 * i + 8 * (j / 16) + j % 8] >> 4 * (j / 8 % 2) & 15];
}

static void unpack_q1_0(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_q1_0 *w = (const struct cut_q1_0 *)row + b / 4;
    scale(u, cut_f16_to_f32(w->d));
    for (int j = 0; j < 32; j++) u->q[j] = w->qs[4 * (b % 4) + j / 8] >> j % 8 & 1 ? 1 : -1;
}

static void unpack_q2_0(const void *row, int b, struct cut_unpacked *u) {
    const struct cut_q2_0 *w = (const struct cut_q2_0 *)row + b / 2;
    scale(u, cut_f16_to_f32(w->d));
    for (int j = 0; j < 32; j++) u->q[j] = (int8_t)((w->qs[8 * (b % 2) + j / 4] >> 2 * (j % 4) & 3) - 1);
}

/* ---------------------------------------------------------------------------------------------------------------
 * All of them
 */
static const struct {
    void (*unpack)(const void *row, int b, struct cut_unpacked *u);
    struct cut_form form;      /* scales, offset, largest |q| */
} formats[CUT_TYPE_COUNT] = {
    [CUT_Q4_0] = { unpack_q4_0, { 1, false, 8 } },
    [CUT_Q4_1] = { unpack_q4_1, { 1, true, 15 } },
    [CUT_Q5_0] = { unpack_q5_0, { 1, false, 16 } },
    [CUT_Q5_1] = { unpack_q5_1, { 1, true, 31 } },
    [CUT_Q8_0] = { unpack_q8_0, { 1, false, 128 } },

    [CUT_Q2_K] = { unpack_q2_K, { 2, true, 3 } },
    [CUT_Q3_K] = { unpack_q3_K, { 2, false, 4 } },
    [CUT_Q4_K] = { unpack_q4_K, { 1, true, 15 } },
    [CUT_Q5_K] = { unpack_q5_K, { 1, true, 31 } },
    [CUT_Q6_K] = { unpack_q6_K, { 2, false, 32 } },

    [CUT_IQ1_S]   = { unpack_iq1_s, { 1, false, 9 } },
    [CUT_IQ1_M]   = { unpack_iq1_m, { 2, false, 9 } },
    [CUT_IQ2_XXS] = { unpack_iq2_xxs, { 1, false, 43 } },
    [CUT_IQ2_XS]  = { unpack_iq2_xs, { 2, false, 43 } },
    [CUT_IQ2_S]   = { unpack_iq2_s, { 2, false, 43 } },
    [CUT_IQ3_XXS] = { unpack_iq3_xxs, { 1, false, 62 } },
    [CUT_IQ3_S]   = { unpack_iq3_s, { 1, false, 15 } },
    [CUT_IQ4_NL]  = { unpack_iq4_nl, { 1, false, 127 } },
    [CUT_IQ4_XS]  = { unpack_iq4_xs, { 1, false, 127 } },

    [CUT_TQ1_0] = { unpack_tq1_0, { 1, false, 1 } },
    [CUT_TQ2_0] = { unpack_tq2_0, { 1, false, 2 } },

    [CUT_MXFP4] = { unpack_mxfp4, { 1, false, 12 } },
    [CUT_NVFP4] = { unpack_nvfp4, { 2, false, 12 } },
    [CUT_Q1_0]  = { unpack_q1_0, { 1, false, 1 } },
    [CUT_Q2_0]  = { unpack_q2_0, { 1, false, 2 } },
};

const struct cut_form *cut_form_of(enum cut_type type) { return &formats[type].form; }

void cut_unpack(enum cut_type type, const void *row, int b, struct cut_unpacked *out) {
    offset(out, 0);
    formats[type].unpack(row, b, out);
}
