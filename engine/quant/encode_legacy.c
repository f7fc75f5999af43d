/* encode_legacy.c - blocks of 32 with a scale in half precision (_0), or a scale and an offset (_1).
 *
 * The half nearest to the best scale is not the best scale, so the weights are rounded to the grid as it will be decoded. */
#include "engine/quant/encode.h"
#include "engine/quant/search.h"

/* Byte j: element j below, element j + 16 above. */
static void pack_nibbles(uint8_t *qs, const int8_t *q, int zero) {
    for (int j = 0; j < 16; j++) qs[j] = (uint8_t)(((q[j] + zero) & 15) | ((q[j + 16] + zero) & 15) << 4);
}

/* The fifth bits, element i's in bit i. */
static void pack_fifth(uint8_t *qh, const int8_t *q, int zero) {
    for (int j = 0; j < 4; j++) {
        qh[j] = 0;
        for (int i = 0; i < 8; i++) qh[j] |= (uint8_t)((q[8 * j + i] + zero) >> 4 << i);
    }
}

static void put_block(enum cut_type type, void *dst, size_t b, uint16_t d, uint16_t m, const int8_t *q) {
    switch (type) {
    case CUT_Q4_0: {
        struct cut_q4_0 *o = (struct cut_q4_0 *)dst + b;
        o->d = d;
        pack_nibbles(o->qs, q, 8);
        break;
    }
    case CUT_Q4_1: {
        struct cut_q4_1 *o = (struct cut_q4_1 *)dst + b;
        o->d = d;
        o->m = m;
        pack_nibbles(o->qs, q, 0);
        break;
    }
    case CUT_Q5_0: {
        struct cut_q5_0 *o = (struct cut_q5_0 *)dst + b;
        o->d = d;
        pack_nibbles(o->qs, q, 16);
        pack_fifth(o->qh, q, 16);
        break;
    }
    case CUT_Q5_1: {
        struct cut_q5_1 *o = (struct cut_q5_1 *)dst + b;
        o->d = d;
        o->m = m;
        pack_nibbles(o->qs, q, 0);
        pack_fifth(o->qh, q, 0);
        break;
    }
    default: {
        struct cut_q8_0 *o = (struct cut_q8_0 *)dst + b;
        o->d = d;
        memcpy(o->qs, q, 32);
    }
    }
}

static void encode(enum cut_type type, void *dst, const float *x, size_t n, const float *importance) {
    const struct cut_search *search = cut_search_best();
    const bool offset = type == CUT_Q4_1 || type == CUT_Q5_1;
    const int hi = type == CUT_Q4_0 ? 7 : type == CUT_Q4_1 ? 15 : type == CUT_Q5_0 ? 15 : type == CUT_Q5_1 ? 31 : 127;
    const int lo = offset ? 0 : type == CUT_Q8_0 ? -127 : -hi - 1;         /* -128 is left out: kernels negate q8_0 in a byte */
    struct cut_lanes g;
    for (size_t i = 0; i < n; i += 32 * CUT_LANES) {
        int groups = n - i < 32 * CUT_LANES ? (int)(n - i) / 32 : CUT_LANES;
        float d[CUT_LANES], m[CUT_LANES] = { 0 };
        uint16_t dh[CUT_LANES], mh[CUT_LANES];
        int8_t q[32 * CUT_LANES];
        search->load(&g, x + i, importance ? importance + i : NULL, groups, 32);
        if (offset) search->scale_min(&g, hi, d, m);
        else search->scale(&g, lo, hi, d);
        for (int l = 0; l < CUT_LANES; l++) {
            dh[l] = cut_f16_finite(d[l]);
            mh[l] = cut_f16_finite(m[l]);
            d[l] = cut_f16_to_f32(dh[l]);
            m[l] = cut_f16_to_f32(mh[l]);
        }
        search->round(&g, lo, hi, d, m, q);
        for (int l = 0; l < groups; l++) put_block(type, dst, i / 32 + (size_t)l, dh[l], mh[l], q + 32 * l);
    }
}

void cut_encode_q4_0(void *dst, const float *x, size_t n, const float *importance) { encode(CUT_Q4_0, dst, x, n, importance); }
void cut_encode_q4_1(void *dst, const float *x, size_t n, const float *importance) { encode(CUT_Q4_1, dst, x, n, importance); }
void cut_encode_q5_0(void *dst, const float *x, size_t n, const float *importance) { encode(CUT_Q5_0, dst, x, n, importance); }
void cut_encode_q5_1(void *dst, const float *x, size_t n, const float *importance) { encode(CUT_Q5_1, dst, x, n, importance); }
void cut_encode_q8_0(void *dst, const float *x, size_t n, const float *importance) { encode(CUT_Q8_0, dst, x, n, importance); }
