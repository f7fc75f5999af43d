/* layout.c - the inside of a block, for those who show it: its fields, and which bits make a weight.
 *
 * unpack.c reads 32 weights at a time; this file answers for one, and says where it looked. Both follow blocks.h, and the tests flip
 * every bit of a block to see that exactly the weights named here change.
 */
#include "engine/quant/unpack.h"

/* ---------------------------------------------------------------------------------------------------------------
 * Fields: offsets and sizes come from the structs of blocks.h
 */
#define FIELD(type, name, bits, what) \
    { #name, offsetof(struct cut_##type, name), sizeof ((struct cut_##type *)0)->name, bits, what }
#define LAYOUT(type, formula, n_scale, n_group) { formula, n_scale, n_group, CUT_LEN(type), type }

#define D      "the scale of the block, float16"
#define D_SUB  "what the scales are multiples of, float16"
#define NIBBLE "4 bits of each weight: the first half of the weights low, the second high"
#define PLANES "2 bits of each weight: four weights to a byte, 32 apart"

static const struct cut_block_field q4_0[] = { FIELD(q4_0, d, 16, D), FIELD(q4_0, qs, 4, NIBBLE) };
static const struct cut_block_field q4_1[] = {
    FIELD(q4_1, d, 16, D), FIELD(q4_1, m, 16, "the minimum of the block, float16"), FIELD(q4_1, qs, 4, NIBBLE),
};
static const struct cut_block_field q5_0[] = {
    FIELD(q5_0, d, 16, D), FIELD(q5_0, qh, 1, "the fifth bit of each weight"), FIELD(q5_0, qs, 4, NIBBLE),
};
static const struct cut_block_field q5_1[] = {
    FIELD(q5_1, d, 16, D), FIELD(q5_1, m, 16, "the minimum of the block, float16"), FIELD(q5_1, qh, 1, "the fifth bit of each weight"),
    FIELD(q5_1, qs, 4, NIBBLE),
};
static const struct cut_block_field q8_0[] = { FIELD(q8_0, d, 16, D), FIELD(q8_0, qs, 8, "the weights, signed") };

static const struct cut_block_field q2_K[] = {
    FIELD(q2_K, scales, 4, "for every 16 weights: the scale low, the minimum high"), FIELD(q2_K, qs, 2, PLANES), FIELD(q2_K, d, 16, D_SUB),
    FIELD(q2_K, dmin, 16, "what the minima are multiples of, float16"),
};
static const struct cut_block_field q3_K[] = {
    FIELD(q3_K, hmask, 1, "the third bit of each weight: eight weights to a byte, 32 apart"), FIELD(q3_K, qs, 2, PLANES),
    FIELD(q3_K, scales, 6, "a scale for every 16 weights: 8 bytes of lower 4 bits, 4 bytes of upper 2"), FIELD(q3_K, d, 16, D_SUB),
};
#define K_SCALES "eight scales and eight minima, for every 32 weights"
static const struct cut_block_field q4_K[] = {
    FIELD(q4_K, d, 16, D_SUB), FIELD(q4_K, dmin, 16, "what the minima are multiples of, float16"), FIELD(q4_K, scales, 6, K_SCALES),
    FIELD(q4_K, qs, 4, "4 bits of each weight: of every 64, the first 32 low, the others high"),
};
static const struct cut_block_field q5_K[] = {
    FIELD(q5_K, d, 16, D_SUB), FIELD(q5_K, dmin, 16, "what the minima are multiples of, float16"), FIELD(q5_K, scales, 6, K_SCALES),
    FIELD(q5_K, qh, 1, "the fifth bit of each weight: eight weights to a byte, 32 apart"),
    FIELD(q5_K, qs, 4, "4 bits of each weight: of every 64, the first 32 low, the others high"),
};
static const struct cut_block_field q6_K[] = {
    FIELD(q6_K, ql, 4, "the lower 4 bits of each weight: of every 128, the first 64 low, the others high"),
    FIELD(q6_K, qh, 2, "the upper 2 bits: four weights to a byte, 32 apart"), FIELD(q6_K, scales, 8, "a scale for every 16 weights, signed"),
    FIELD(q6_K, d, 16, D_SUB),
};

#define ALL_SIGNS   "the sign of each weight"
#define NIBBLE_EACH "a scale for every 32 weights"
#define NIBBLE_BOTH "for every 32 weights: the scale of the first 16 low, of the second high"
static const struct cut_block_field iq1_s[] = {
    FIELD(iq1_s, d, 16, D_SUB), FIELD(iq1_s, qs, 8, "the lower 8 bits of an index for every 8 weights"),
    FIELD(iq1_s, qh, 16, "for every 32 weights: the upper 3 bits of four indices, a scale of 3 bits, a shift"),
};
static const struct cut_block_field iq1_m[] = {
    FIELD(iq1_m, qs, 8, "the lower 8 bits of an index for every 8 weights"),
    FIELD(iq1_m, qh, 4, "for every 8 weights: the upper 3 bits of the index, and a shift"),
    FIELD(iq1_m, scales, 16, "four words: a scale of 3 bits for every 16 weights, four to a word, and 4 bits of d"),
};
static const struct cut_block_field iq2_xxs[] = {
    FIELD(iq2_xxs, d, 16, D_SUB),
    FIELD(iq2_xxs, qs, 64, "for every 32 weights: four indices of 8 bits, four times 7 signs, a scale of 4 bits"),
};
static const struct cut_block_field iq2_xs[] = {
    FIELD(iq2_xs, d, 16, D_SUB), FIELD(iq2_xs, qs, 16, "for every 8 weights: an index of 9 bits and 7 signs"),
    FIELD(iq2_xs, scales, 4, NIBBLE_BOTH),
};
static const struct cut_block_field iq2_s[] = {
    FIELD(iq2_s, d, 16, D_SUB), FIELD(iq2_s, qs, 8, "the lower 8 bits of an index for every 8 weights"), FIELD(iq2_s, signs, 1, ALL_SIGNS),
    FIELD(iq2_s, qh, 2, "the upper 2 bits of the indices"), FIELD(iq2_s, scales, 4, NIBBLE_BOTH),
};
static const struct cut_block_field iq3_xxs[] = {
    FIELD(iq3_xxs, d, 16, D_SUB), FIELD(iq3_xxs, qs, 8, "an index for every 4 weights"),
    FIELD(iq3_xxs, signs, 32, "for every 32 weights: four times 7 signs, and a scale of 4 bits"),
};
static const struct cut_block_field iq3_s[] = {
    FIELD(iq3_s, d, 16, D_SUB), FIELD(iq3_s, qs, 8, "the lower 8 bits of an index for every 4 weights"),
    FIELD(iq3_s, qh, 1, "the ninth bit of the indices"), FIELD(iq3_s, signs, 1, ALL_SIGNS), FIELD(iq3_s, scales, 4, NIBBLE_EACH),
};
static const struct cut_block_field iq4_nl[] = {
    FIELD(iq4_nl, d, 16, D), FIELD(iq4_nl, qs, 4, "which of 16 values: the first half of the weights low, the second high"),
};
static const struct cut_block_field iq4_xs[] = {
    FIELD(iq4_xs, d, 16, D_SUB), FIELD(iq4_xs, scales_h, 2, "the upper 2 bits of a scale for every 32 weights"),
    FIELD(iq4_xs, scales_l, 4, "their lower 4 bits"),
    FIELD(iq4_xs, qs, 4, "which of 16 values: of every 32, the first 16 low, the others high"),
};

static const struct cut_block_field tq1_0[] = {
    FIELD(tq1_0, qs, 8, "five trits to a byte, as a number in base 3"), FIELD(tq1_0, qh, 8, "four trits to a byte"), FIELD(tq1_0, d, 16, D),
};
static const struct cut_block_field tq2_0[] = { FIELD(tq2_0, qs, 2, PLANES), FIELD(tq2_0, d, 16, D) };
static const struct cut_block_field mxfp4[] = {
    FIELD(mxfp4, e, 8, "the scale, a power of two: 2^(e - 127)"),
    FIELD(mxfp4, qs, 4, "floats of 4 bits: the first half of the weights low, the second high"),
};
static const struct cut_block_field nvfp4[] = {
    FIELD(nvfp4, d, 8, "a scale for every 16 weights, a float of 8 bits (E4M3)"),
    FIELD(nvfp4, qs, 4, "floats of 4 bits: of every 16, the first 8 low, the others high"),
};
static const struct cut_block_field q1_0[] = { FIELD(q1_0, d, 16, D), FIELD(q1_0, qs, 1, "which sign each weight has: set is plus") };
static const struct cut_block_field q2_0[] = { FIELD(q2_0, d, 16, D), FIELD(q2_0, qs, 2, "2 bits of each weight") };

static const struct cut_block_layout layouts[CUT_TYPE_COUNT] = {
    [CUT_Q4_0] = LAYOUT(q4_0, "w = d * (q - 8)", 32, 1),
    [CUT_Q4_1] = LAYOUT(q4_1, "w = d * q + m", 32, 1),
    [CUT_Q5_0] = LAYOUT(q5_0, "w = d * (q - 16)", 32, 1),
    [CUT_Q5_1] = LAYOUT(q5_1, "w = d * q + m", 32, 1),
    [CUT_Q8_0] = LAYOUT(q8_0, "w = d * q", 32, 1),

    [CUT_Q2_K] = LAYOUT(q2_K, "w = d * scale[i/16] * q - dmin * min[i/16]", 16, 1),
    [CUT_Q3_K] = LAYOUT(q3_K, "w = d * (scale[i/16] - 32) * (q - 4)", 16, 1),
    [CUT_Q4_K] = LAYOUT(q4_K, "w = d * scale[i/32] * q - dmin * min[i/32]", 32, 1),
    [CUT_Q5_K] = LAYOUT(q5_K, "w = d * scale[i/32] * q - dmin * min[i/32]", 32, 1),
    [CUT_Q6_K] = LAYOUT(q6_K, "w = d * scale[i/16] * (q - 32)", 16, 1),

    [CUT_IQ1_S]   = LAYOUT(iq1_s, "w = d * (2 scale[i/32] + 1) * (entry +- 1/8)", 32, 8),
    [CUT_IQ1_M]   = LAYOUT(iq1_m, "w = d * (2 scale[i/16] + 1) * (entry +- 1/8)", 16, 8),
    [CUT_IQ2_XXS] = LAYOUT(iq2_xxs, "w = d * (scale[i/32] + 1/2) / 4 * (+- entry)", 32, 8),
    [CUT_IQ2_XS]  = LAYOUT(iq2_xs, "w = d * (scale[i/16] + 1/2) / 4 * (+- entry)", 16, 8),
    [CUT_IQ2_S]   = LAYOUT(iq2_s, "w = d * (scale[i/16] + 1/2) / 4 * (+- entry)", 16, 8),
    [CUT_IQ3_XXS] = LAYOUT(iq3_xxs, "w = d * (scale[i/32] + 1/2) / 2 * (+- entry)", 32, 4),
    [CUT_IQ3_S]   = LAYOUT(iq3_s, "w = d * (2 scale[i/32] + 1) * (+- entry)", 32, 4),
    [CUT_IQ4_NL]  = LAYOUT(iq4_nl, "w = d * value[q]", 32, 1),
    [CUT_IQ4_XS]  = LAYOUT(iq4_xs, "w = d * (scale[i/32] - 32) * value[q]", 32, 1),

    [CUT_TQ1_0] = LAYOUT(tq1_0, "w = d * (trit - 1)", 256, 1),
    [CUT_TQ2_0] = LAYOUT(tq2_0, "w = d * (q - 1)", 256, 1),

    [CUT_MXFP4] = LAYOUT(mxfp4, "w = 2^(e - 127) * e2m1(q)", 32, 1),
    [CUT_NVFP4] = LAYOUT(nvfp4, "w = e4m3(d[i/16]) * e2m1(q)", 16, 1),
    [CUT_Q1_0]  = LAYOUT(q1_0, "w = d * (2 q - 1)", 128, 1),
    [CUT_Q2_0]  = LAYOUT(q2_0, "w = d * (q - 1)", 64, 1),
};

const struct cut_block_layout *cut_block_layout(enum cut_type type) {
    return (uint32_t)type < CUT_TYPE_COUNT && layouts[type].field ? &layouts[type] : NULL;
}

double cut_bits_per_weight(enum cut_type type) {
    const struct cut_type_info *t = cut_type_info(type);
    return t ? 8.0 * t->bytes / t->block : 0;
}

/* ---------------------------------------------------------------------------------------------------------------
 * Bits. i is a weight's number in its block. In it, s = i / 32 counts runs of 32, l = i % 32 is the place in one, and k = l / 8
 * the group of eight
 */
struct runs {
    struct cut_bits *run;
    int n;
};

/* n bits from bit `bit` of byte `byte`; bit may be 8 and more. */
static void add(struct runs *r, enum cut_bits_role role, int byte, int bit, int n) {
    r->run[r->n++] = (struct cut_bits){ .role = role, .byte = byte + bit / 8, .bit = bit % 8, .n = n };
}
static void half(struct runs *r, enum cut_bits_role role, int byte) { add(r, role, byte, 0, 16); }

/* Nibbles of a run of 2 n weights: the first n low, the others high. */
static void nibble(struct runs *r, int byte, int l, int n) { add(r, CUT_BITS_Q, byte + l % n, 4 * (l / n), 4); }
/* Two bits of four runs of 32 in 32 bytes. */
static void plane(struct runs *r, int byte, int i) { add(r, CUT_BITS_Q, byte + 32 * (i / 128) + i % 32, 2 * (i / 32 % 4), 2); }
/* Sign j of eight, of which seven are stored from bit `bit` up. */
static void sign7(struct runs *r, int byte, int bit, int j) {
    if (j < 7) add(r, CUT_BITS_SIGN, byte, bit + j, 1);
    else add(r, CUT_BITS_SIGN, byte, bit, 7);
}

/* The scales and minima of q4_K and q5_K: cut_q4_K_scale's places. */
static void k_scales(struct runs *r, int scales, int s, int d, int dmin) {
    if (s < 4) {
        add(r, CUT_BITS_SCALE, scales + s, 0, 6);
    } else {
        add(r, CUT_BITS_SCALE, scales + s + 4, 0, 4);
        add(r, CUT_BITS_SCALE, scales + s - 4, 6, 2);
    }
    half(r, CUT_BITS_SCALE, d);
    if (s < 4) {
        add(r, CUT_BITS_OFFSET, scales + s + 4, 0, 6);
    } else {
        add(r, CUT_BITS_OFFSET, scales + s + 4, 4, 4);
        add(r, CUT_BITS_OFFSET, scales + s, 6, 2);
    }
    half(r, CUT_BITS_OFFSET, dmin);
}

#define AT(type, name) (int)offsetof(struct cut_##type, name)
#define Q CUT_BITS_Q
#define INDEX CUT_BITS_INDEX
#define SIGN CUT_BITS_SIGN
#define SHIFT CUT_BITS_SHIFT
#define SCALE CUT_BITS_SCALE
#define OFFSET CUT_BITS_OFFSET

static void trace(enum cut_type type, int i, struct runs *r) {
    int s = i / 32, l = i % 32, k = l / 8, g = s % 4;
    switch (type) {
    case CUT_Q4_0:
        nibble(r, AT(q4_0, qs), i, 16);
        half(r, SCALE, AT(q4_0, d));
        break;
    case CUT_Q4_1:
        nibble(r, AT(q4_1, qs), i, 16);
        half(r, SCALE, AT(q4_1, d));
        half(r, OFFSET, AT(q4_1, m));
        break;
    case CUT_Q5_0:
        nibble(r, AT(q5_0, qs), i, 16);
        add(r, Q, AT(q5_0, qh), i, 1);
        half(r, SCALE, AT(q5_0, d));
        break;
    case CUT_Q5_1:
        nibble(r, AT(q5_1, qs), i, 16);
        add(r, Q, AT(q5_1, qh), i, 1);
        half(r, SCALE, AT(q5_1, d));
        half(r, OFFSET, AT(q5_1, m));
        break;
    case CUT_Q8_0:
        add(r, Q, AT(q8_0, qs) + i, 0, 8);
        half(r, SCALE, AT(q8_0, d));
        break;

    case CUT_Q2_K:
        plane(r, AT(q2_K, qs), i);
        add(r, SCALE, AT(q2_K, scales) + i / 16, 0, 4);
        half(r, SCALE, AT(q2_K, d));
        add(r, OFFSET, AT(q2_K, scales) + i / 16, 4, 4);
        half(r, OFFSET, AT(q2_K, dmin));
        break;
    case CUT_Q3_K:
        plane(r, AT(q3_K, qs), i);
        add(r, Q, AT(q3_K, hmask) + l, s, 1);
        add(r, SCALE, AT(q3_K, scales) + i / 16 % 8, i / 128 * 4, 4);
        add(r, SCALE, AT(q3_K, scales) + 8 + i / 16 % 4, i / 64 * 2, 2);
        half(r, SCALE, AT(q3_K, d));
        break;
    case CUT_Q4_K:
        nibble(r, AT(q4_K, qs) + 32 * (s / 2), i % 64, 32);
        k_scales(r, AT(q4_K, scales), s, AT(q4_K, d), AT(q4_K, dmin));
        break;
    case CUT_Q5_K:
        nibble(r, AT(q5_K, qs) + 32 * (s / 2), i % 64, 32);
        add(r, Q, AT(q5_K, qh) + l, s, 1);
        k_scales(r, AT(q5_K, scales), s, AT(q5_K, d), AT(q5_K, dmin));
        break;
    case CUT_Q6_K:
        nibble(r, AT(q6_K, ql) + 64 * (i / 128), i % 128, 64);
        add(r, Q, AT(q6_K, qh) + 32 * (i / 128) + l, 2 * g, 2);
        add(r, SCALE, AT(q6_K, scales) + i / 16, 0, 8);
        half(r, SCALE, AT(q6_K, d));
        break;

    case CUT_IQ1_S:
        add(r, INDEX, AT(iq1_s, qs) + i / 8, 0, 8);
        add(r, INDEX, AT(iq1_s, qh) + 2 * s, 3 * k, 3);
        add(r, SHIFT, AT(iq1_s, qh) + 2 * s, 15, 1);
        add(r, SCALE, AT(iq1_s, qh) + 2 * s, 12, 3);
        half(r, SCALE, AT(iq1_s, d));
        break;
    case CUT_IQ1_M:
        add(r, INDEX, AT(iq1_m, qs) + i / 8, 0, 8);
        add(r, INDEX, AT(iq1_m, qh) + i / 16, 4 * (k % 2), 3);
        add(r, SHIFT, AT(iq1_m, qh) + i / 16, 4 * (k % 2) + 3, 1);
        add(r, SCALE, AT(iq1_m, scales) + 2 * (s / 2), 3 * (i / 16 % 4), 3);
        for (int w = 0; w < 4; w++) add(r, SCALE, AT(iq1_m, scales) + 2 * w, 12, 4);
        break;
    case CUT_IQ2_XXS:
        add(r, INDEX, AT(iq2_xxs, qs) + 8 * s, 8 * k, 8);
        sign7(r, AT(iq2_xxs, qs) + 8 * s + 4, 7 * k, i % 8);
        add(r, SCALE, AT(iq2_xxs, qs) + 8 * s + 4, 28, 4);
        half(r, SCALE, AT(iq2_xxs, d));
        break;
    case CUT_IQ2_XS:
        add(r, INDEX, AT(iq2_xs, qs) + i / 8 * 2, 0, 9);
        sign7(r, AT(iq2_xs, qs) + i / 8 * 2, 9, i % 8);
        add(r, SCALE, AT(iq2_xs, scales) + s, 4 * (l / 16), 4);
        half(r, SCALE, AT(iq2_xs, d));
        break;
    case CUT_IQ2_S:
        add(r, INDEX, AT(iq2_s, qs) + i / 8, 0, 8);
        add(r, INDEX, AT(iq2_s, qh) + s, 2 * k, 2);
        add(r, SIGN, AT(iq2_s, signs), i, 1);
        add(r, SCALE, AT(iq2_s, scales) + s, 4 * (l / 16), 4);
        half(r, SCALE, AT(iq2_s, d));
        break;
    case CUT_IQ3_XXS:
        add(r, INDEX, AT(iq3_xxs, qs) + i / 4, 0, 8);
        sign7(r, AT(iq3_xxs, signs) + 4 * s, 7 * k, i % 8);
        add(r, SCALE, AT(iq3_xxs, signs) + 4 * s, 28, 4);
        half(r, SCALE, AT(iq3_xxs, d));
        break;
    case CUT_IQ3_S:
        add(r, INDEX, AT(iq3_s, qs) + i / 4, 0, 8);
        add(r, INDEX, AT(iq3_s, qh) + s, l / 4, 1);
        add(r, SIGN, AT(iq3_s, signs), i, 1);
        add(r, SCALE, AT(iq3_s, scales), 4 * s, 4);
        half(r, SCALE, AT(iq3_s, d));
        break;
    case CUT_IQ4_NL:
        nibble(r, AT(iq4_nl, qs), i, 16);
        half(r, SCALE, AT(iq4_nl, d));
        break;
    case CUT_IQ4_XS:
        nibble(r, AT(iq4_xs, qs) + 16 * s, l, 16);
        add(r, SCALE, AT(iq4_xs, scales_l), 4 * s, 4);
        add(r, SCALE, AT(iq4_xs, scales_h), 2 * s, 2);
        half(r, SCALE, AT(iq4_xs, d));
        break;

    case CUT_TQ1_0:
        add(r, Q, i < 160 ? AT(tq1_0, qs) + l : i < 240 ? AT(tq1_0, qs) + 32 + i % 16 : AT(tq1_0, qh) + i % 4, 0, 8);
        half(r, SCALE, AT(tq1_0, d));
        break;
    case CUT_TQ2_0:
        plane(r, AT(tq2_0, qs), i);
        half(r, SCALE, AT(tq2_0, d));
        break;
    case CUT_MXFP4:
        nibble(r, AT(mxfp4, qs), i, 16);
        add(r, SCALE, AT(mxfp4, e), 0, 8);
        break;
    case CUT_NVFP4:
        nibble(r, AT(nvfp4, qs) + i / 16 * 8, i % 16, 8);
        add(r, SCALE, AT(nvfp4, d) + i / 16, 0, 8);
        break;
    case CUT_Q1_0:
        add(r, Q, AT(q1_0, qs), i, 1);
        half(r, SCALE, AT(q1_0, d));
        break;
    case CUT_Q2_0:
        add(r, Q, AT(q2_0, qs), 2 * i, 2);
        half(r, SCALE, AT(q2_0, d));
        break;
    default: break;
    }
}

/* The same of any weight, with the number of its field in each run. False: there is no such weight. */
static bool runs_of(enum cut_type type, int i, struct cut_bits bits[8], int *n) {
    const struct cut_block_layout *layout = cut_block_layout(type);
    if (!layout || i < 0 || i >= cut_type_info(type)->block) return false;
    struct runs r = { bits, 0 };
    trace(type, i, &r);
    for (int j = 0; j < r.n; j++)
        while (bits[j].byte >= layout->field[bits[j].field].at + layout->field[bits[j].field].bytes) bits[j].field++;
    *n = r.n;
    return true;
}

/* A run's bits are within two bytes that follow each other; the second may not be there when the run ends in the first. */
static uint32_t get_bits(const uint8_t *block, const struct cut_bits *b) {
    uint32_t v = block[b->byte];
    if (b->bit + b->n > 8) v |= (uint32_t)block[b->byte + 1] << 8;
    return v >> b->bit & ((1u << b->n) - 1);
}

static void set_bits(uint8_t *block, const struct cut_bits *b, uint32_t v) {
    uint32_t mask = ((1u << b->n) - 1) << b->bit;
    v = v << b->bit & mask;
    block[b->byte] = (uint8_t)((block[b->byte] & ~mask) | v);
    if (b->bit + b->n > 8) block[b->byte + 1] = (uint8_t)((block[b->byte + 1] & ~(mask >> 8)) | v >> 8);
}

static bool is_code(const struct cut_bits *b) { return b->role == CUT_BITS_Q || b->role == CUT_BITS_INDEX; }

bool cut_block_element(enum cut_type type, const void *block, int i, struct cut_block_element *out) {
    struct cut_block_element e = { 0 };
    struct cut_unpacked u;
    if (!runs_of(type, i, e.bits, &e.n_bits)) return false;

    cut_unpack(type, block, i / 32, &u);
    e.q = u.q[i % 32];
    e.scale = u.d[i / 16 % 2];
    e.offset = u.m[i / 16 % 2];
    e.value = e.scale * (float)e.q;
    if (cut_form_of(type)->offset) e.value += e.offset;
    for (int j = 0; j < e.n_bits; j++)
        if (is_code(&e.bits[j])) {
            e.code |= get_bits(block, &e.bits[j]) << e.code_bits;
            e.code_bits += e.bits[j].n;
        }
    *out = e;
    return true;
}

bool cut_block_set_code(enum cut_type type, void *block, int i, uint32_t code) {
    struct cut_bits bits[8];
    int n;
    if (!runs_of(type, i, bits, &n)) return false;
    for (int j = 0; j < n; j++)
        if (is_code(&bits[j])) {
            set_bits(block, &bits[j], code);
            code >>= bits[j].n;
        }
    return true;
}
