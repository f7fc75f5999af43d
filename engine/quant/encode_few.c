/* encode_few.c - one and two bits, and ternary weights: two to four levels to a block with one scale.
 *
 * With so few levels the scale that fits the largest weight fits no other: most weights would become 0. The best ternary
 * scale is nearer to the mean than to the largest magnitude (Li and Liu 2016, "Ternary weight networks"); a model trained
 * to be ternary, whose weights are -s, 0 and s, gets s. */
#include "engine/quant/encode.h"
#include "engine/quant/search.h"

/* tq1_0: five trits to a byte. A byte holds the fraction t / 3^5 in 256ths, rounded up, t = 81 q0 + 27 q1 + 9 q2 + 3 q3 + q4:
 * then multiplying by 3 moves the next trit into the ninth and tenth bits. Trits of a byte are `apart` elements from each
 * other; absent ones are 0. */
static uint8_t five_trits(const int8_t *q, int apart, int count) {
    int t = 0;
    for (int k = 0; k < 5; k++) t = 3 * t + (k < count ? q[k * apart] + 1 : 0);
    return (uint8_t)((t * 256 + 242) / 243);
}

static void put_tq1_0(struct cut_tq1_0 *b, uint16_t d, const int8_t *q) {
    b->d = d;
    for (int j = 0; j < 32; j++) b->qs[j] = five_trits(q + j, 32, 5);
    for (int j = 0; j < 16; j++) b->qs[32 + j] = five_trits(q + 160 + j, 16, 5);
    for (int j = 0; j < 4; j++) b->qh[j] = five_trits(q + 240 + j, 4, 4);
}

/* Byte l of a half of 128 holds elements l, l + 32, l + 64, l + 96 of it. */
static void put_tq2_0(struct cut_tq2_0 *b, uint16_t d, const int8_t *q) {
    b->d = d;
    for (int half = 0; half < 2; half++, q += 128)
        for (int l = 0; l < 32; l++)
            b->qs[32 * half + l] = (uint8_t)((q[l] + 1) | (q[l + 32] + 1) << 2 | (q[l + 64] + 1) << 4 | (q[l + 96] + 1) << 6);
}

static void put_q2_0(struct cut_q2_0 *b, uint16_t d, const int8_t *q) {
    b->d = d;
    for (int j = 0; j < 16; j++, q += 4) b->qs[j] = (uint8_t)((q[0] + 1) | (q[1] + 1) << 2 | (q[2] + 1) << 4 | (q[3] + 1) << 6);
}

/* q1_0: d or -d. The sign is the weight's, and the best d is the mean magnitude. */
void cut_encode_q1_0(void *dst, const float *x, size_t n, const float *importance) {
    for (struct cut_q1_0 *b = dst; n; n -= 128, b++, x += 128, importance += importance ? 128 : 0) {
        double wx = 0, w = 0, plain = 0;
        memset(b->qs, 0, sizeof b->qs);
        for (int i = 0; i < 128; i++) {
            double size = x[i] < 0 ? -(double)x[i] : (double)x[i], weight = importance ? (double)importance[i] : 1;
            wx += weight * size;
            w += weight;
            plain += size;
            b->qs[i / 8] |= (uint8_t)((x[i] >= 0) << i % 8);
        }
        b->d = cut_f16_finite((float)(w > 0 ? wx / w : plain / 128));
    }
}

static void encode(enum cut_type type, void *dst, const float *x, size_t n, const float *importance) {
    const struct cut_search *search = cut_search_best();
    const int block = cut_type_info(type)->block, hi = type == CUT_Q2_0 ? 2 : 1;
    struct cut_lanes g;
    for (size_t i = 0; i < n; i += (size_t)(block * CUT_LANES)) {
        int groups = n - i < (size_t)(block * CUT_LANES) ? (int)(n - i) / block : CUT_LANES;
        float d[CUT_LANES], m[CUT_LANES] = { 0 };
        uint16_t half[CUT_LANES];
        int8_t q[256 * CUT_LANES];
        search->load(&g, x + i, importance ? importance + i : NULL, groups, block);
        search->scale(&g, -1, hi, d);
        for (int l = 0; l < CUT_LANES; l++) d[l] = cut_f16_to_f32(half[l] = cut_f16_finite(d[l]));
        search->round(&g, -1, hi, d, m, q);
        for (int l = 0; l < groups; l++) {
            size_t b = i / (size_t)block + (size_t)l;
            if (type == CUT_TQ1_0) put_tq1_0((struct cut_tq1_0 *)dst + b, half[l], q + block * l);
            else if (type == CUT_TQ2_0) put_tq2_0((struct cut_tq2_0 *)dst + b, half[l], q + block * l);
            else put_q2_0((struct cut_q2_0 *)dst + b, half[l], q + block * l);
        }
    }
}

void cut_encode_tq1_0(void *dst, const float *x, size_t n, const float *importance) { encode(CUT_TQ1_0, dst, x, n, importance); }
void cut_encode_tq2_0(void *dst, const float *x, size_t n, const float *importance) { encode(CUT_TQ2_0, dst, x, n, importance); }
void cut_encode_q2_0(void *dst, const float *x, size_t n, const float *importance) { encode(CUT_Q2_0, dst, x, n, importance); }
