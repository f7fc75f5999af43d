/* encode_k.c - super-blocks of 256, whose sub-blocks' scales are themselves small whole numbers.
 *
 *            sub-blocks     q           scales         minima
 *   q2_K     16 of 16       0 to 3      0 to 15        0 to 15
 *   q3_K     16 of 16      -4 to 3    -32 to 31        none
 *   q4_K      8 of 32       0 to 15     0 to 63        0 to 63
 *   q5_K      8 of 32       0 to 31     0 to 63        0 to 63
 *   q6_K     16 of 16     -32 to 31  -128 to 127       none
 */
#include "engine/quant/encode.h"
#include "engine/quant/search.h"

/* q2_K and q3_K: byte l of a half of 128 holds elements l, l + 32, l + 64, l + 96 of it, two bits each, the first lowest. */
static void pack_pairs(uint8_t *qs, const int8_t *q, int zero) {
    for (int half = 0; half < 2; half++, q += 128, qs += 32)
        for (int l = 0; l < 32; l++)
            qs[l] = (uint8_t)(((q[l] + zero) & 3) | ((q[l + 32] + zero) & 3) << 2 | ((q[l + 64] + zero) & 3) << 4 |
                              ((q[l + 96] + zero) & 3) << 6);
}

/* q4_K and q5_K: byte l of a quarter of 64 holds elements l (low) and l + 32. */
static void pack_nibbles(uint8_t *qs, const int8_t *q) {
    for (int quarter = 0; quarter < 4; quarter++, q += 64, qs += 32)
        for (int l = 0; l < 32; l++) qs[l] = (uint8_t)((q[l] & 15) | (q[l + 32] & 15) << 4);
}

/* q4_K and q5_K: eight scales and eight minima of six bits in twelve bytes. The first four of each have a byte, of which the upper
 * two bits are lent to the last four: scales 4-7 to bytes 0-3, minima 4-7 to bytes 4-7; their lower four bits share bytes 8-11. */
static void pack_scales_min(uint8_t *scales, const int8_t *scale, const int8_t *min) {
    for (int s = 0; s < 4; s++) {
        scales[s] = (uint8_t)(scale[s] | scale[s + 4] >> 4 << 6);
        scales[s + 4] = (uint8_t)(min[s] | min[s + 4] >> 4 << 6);
        scales[s + 8] = (uint8_t)((scale[s + 4] & 15) | (min[s + 4] & 15) << 4);
    }
}

static void put_q2_K(struct cut_q2_K *b, const struct cut_super *s) {
    b->d = s->d;
    b->dmin = s->dmin;
    for (int i = 0; i < 16; i++) b->scales[i] = (uint8_t)(s->scale[i] | s->min[i] << 4);
    pack_pairs(b->qs, s->q, 0);
}

/* The third bit of element 32 g + l is bit g of hmask[l]. Of the scales, plus 32, the lower four bits are the nibbles of bytes 0-7 (scale
 * s + 8 above scale s), the upper two lie in bytes 8-11 (scale s in byte 8 + s % 4, at bit 2 (s / 4)). */
static void put_q3_K(struct cut_q3_K *b, const struct cut_super *s) {
    b->d = s->d;
    memset(b->hmask, 0, sizeof b->hmask);
    memset(b->scales, 0, sizeof b->scales);
    for (int i = 0; i < 256; i++) b->hmask[i % 32] |= (uint8_t)((s->q[i] + 4) >> 2 << i / 32);
    pack_pairs(b->qs, s->q, 4);
    for (int i = 0; i < 16; i++) {
        int scale = s->scale[i] + 32;
        b->scales[i % 8] |= (uint8_t)((scale & 15) << 4 * (i / 8));
        b->scales[8 + i % 4] |= (uint8_t)(scale >> 4 << 2 * (i / 4));
    }
}

static void put_q4_K(struct cut_q4_K *b, const struct cut_super *s) {
    b->d = s->d;
    b->dmin = s->dmin;
    pack_scales_min(b->scales, s->scale, s->min);
    pack_nibbles(b->qs, s->q);
}

/* The fifth bit of element 32 g + l is bit g of qh[l]. */
static void put_q5_K(struct cut_q5_K *b, const struct cut_super *s) {
    b->d = s->d;
    b->dmin = s->dmin;
    pack_scales_min(b->scales, s->scale, s->min);
    pack_nibbles(b->qs, s->q);
    memset(b->qh, 0, sizeof b->qh);
    for (int i = 0; i < 256; i++) b->qh[i % 32] |= (uint8_t)(s->q[i] >> 4 << i / 32);
}

/* Where the bits lie: see blocks.h. */
static void put_q6_K(struct cut_q6_K *b, const struct cut_super *s) {
    b->d = s->d;
    memcpy(b->scales, s->scale, sizeof b->scales);
    for (int half = 0; half < 2; half++) {
        const int8_t *q = s->q + 128 * half;
        uint8_t *ql = b->ql + 64 * half, *qh = b->qh + 32 * half;
        for (int l = 0; l < 32; l++) {
            int q0 = q[l] + 32, q1 = q[l + 32] + 32, q2 = q[l + 64] + 32, q3 = q[l + 96] + 32;
            ql[l] = (uint8_t)((q0 & 15) | (q2 & 15) << 4);
            ql[l + 32] = (uint8_t)((q1 & 15) | (q3 & 15) << 4);
            qh[l] = (uint8_t)(q0 >> 4 | q1 >> 4 << 2 | q2 >> 4 << 4 | q3 >> 4 << 6);
        }
    }
}

static void encode(enum cut_type type, void *dst, const float *x, size_t n, const float *importance) {
    const struct cut_search *search = cut_search_best();
    const int groups = type == CUT_Q4_K || type == CUT_Q5_K ? 1 : 2, size = 32 / groups;
    struct cut_lanes g[2];
    struct cut_super s;
    for (size_t b = 0; b < n / 256; b++) {
        for (int k = 0; k < groups; k++) {
            size_t at = 256 * b + 128 * (size_t)k;
            search->load(&g[k], x + at, importance ? importance + at : NULL, CUT_LANES, size);
        }
        switch (type) {
        case CUT_Q2_K:
            search->super_scale_min(g, groups, 3, 15, &s);
            put_q2_K((struct cut_q2_K *)dst + b, &s);
            break;
        case CUT_Q3_K:
            search->super_scale(g, groups, -4, 3, -32, 31, &s);
            put_q3_K((struct cut_q3_K *)dst + b, &s);
            break;
        case CUT_Q4_K:
            search->super_scale_min(g, groups, 15, 63, &s);
            put_q4_K((struct cut_q4_K *)dst + b, &s);
            break;
        case CUT_Q5_K:
            search->super_scale_min(g, groups, 31, 63, &s);
            put_q5_K((struct cut_q5_K *)dst + b, &s);
            break;
        default:
            search->super_scale(g, groups, -32, 31, -128, 127, &s);
            put_q6_K((struct cut_q6_K *)dst + b, &s);
        }
    }
}

void cut_encode_q2_K(void *dst, const float *x, size_t n, const float *importance) { encode(CUT_Q2_K, dst, x, n, importance); }
void cut_encode_q3_K(void *dst, const float *x, size_t n, const float *importance) { encode(CUT_Q3_K, dst, x, n, importance); }
void cut_encode_q4_K(void *dst, const float *x, size_t n, const float *importance) { encode(CUT_Q4_K, dst, x, n, importance); }
void cut_encode_q5_K(void *dst, const float *x, size_t n, const float *importance) { encode(CUT_Q5_K, dst, x, n, importance); }
void cut_encode_q6_K(void *dst, const float *x, size_t n, const float *importance) { encode(CUT_Q6_K, dst, x, n, importance); }
