/* encode.c - floats to blocks of weights: the other direction of decode.c. Which encoder writes which format. */
#include "engine/quant/encode.h"
#include "engine/quant/search.h"

static void encode_f32(void *dst, const float *x, size_t n, const float *importance) {
    (void)importance;
    memcpy(dst, x, n * sizeof *x);
}

static void encode_f16(void *dst, const float *x, size_t n, const float *importance) {
    (void)importance;
    for (size_t i = 0; i < n; i++) ((uint16_t *)dst)[i] = cut_f16_finite(x[i]);
}

static void encode_bf16(void *dst, const float *x, size_t n, const float *importance) {
    (void)importance;
    for (size_t i = 0; i < n; i++) {                   /* 0x7F80 is infinity: what rounds up to it becomes the largest number */
        uint16_t h = cut_f32_to_bf16(x[i]);
        ((uint16_t *)dst)[i] = (h & 0x7FFF) == 0x7F80 ? h - 1 : h;
    }
}

static const cut_encoder encoders[CUT_TYPE_COUNT] = {
    [CUT_F32] = encode_f32,              [CUT_F16] = encode_f16,              [CUT_BF16] = encode_bf16,

    [CUT_Q4_0] = cut_encode_q4_0,        [CUT_Q4_1] = cut_encode_q4_1,        [CUT_Q5_0] = cut_encode_q5_0,
    [CUT_Q5_1] = cut_encode_q5_1,        [CUT_Q8_0] = cut_encode_q8_0,

    [CUT_Q2_K] = cut_encode_q2_K,        [CUT_Q3_K] = cut_encode_q3_K,        [CUT_Q4_K] = cut_encode_q4_K,
    [CUT_Q5_K] = cut_encode_q5_K,        [CUT_Q6_K] = cut_encode_q6_K,

    [CUT_IQ1_S] = cut_encode_iq1_s,      [CUT_IQ1_M] = cut_encode_iq1_m,      [CUT_IQ2_XXS] = cut_encode_iq2_xxs,
    [CUT_IQ2_XS] = cut_encode_iq2_xs,    [CUT_IQ2_S] = cut_encode_iq2_s,      [CUT_IQ3_XXS] = cut_encode_iq3_xxs,
    [CUT_IQ3_S] = cut_encode_iq3_s,      [CUT_IQ4_NL] = cut_encode_iq4_nl,    [CUT_IQ4_XS] = cut_encode_iq4_xs,

    [CUT_TQ1_0] = cut_encode_tq1_0,      [CUT_TQ2_0] = cut_encode_tq2_0,      [CUT_Q1_0] = cut_encode_q1_0,
    [CUT_Q2_0] = cut_encode_q2_0,        [CUT_MXFP4] = cut_encode_mxfp4,      [CUT_NVFP4] = cut_encode_nvfp4,
};

bool cut_encodes(enum cut_type type) { return (unsigned)type < CUT_TYPE_COUNT && encoders[type]; }

void cut_encode_rows(enum cut_type type, const float *src, void *dst, size_t rows, size_t n, const float *importance) {
    if (!cut_encodes(type)) return;                    /* nobody may ask */
    const struct cut_type_info *t = cut_type_info(type);
    size_t bytes = n / (size_t)t->block * (size_t)t->bytes;
    if (!importance) {                                 /* all rows are one run of blocks */
        encoders[type](dst, src, rows * n, NULL);
        return;
    }
    for (size_t r = 0; r < rows; r++) encoders[type]((uint8_t *)dst + r * bytes, src + r * n, n, importance);
}

void cut_encode(enum cut_type type, const float *src, void *dst, size_t n) { cut_encode_rows(type, src, dst, 1, n, NULL); }

/* x - x is 0 for every number, NaN for an infinity or a NaN; and a sum with a NaN in it is one. So a run of weights costs a subtraction
 * and an addition each, and only in a bad run is the place looked for. */
bool cut_all_finite(const float *x, size_t n, size_t *at) {
    enum { RUN = 1024 };
    for (size_t i = 0; i < n; i += RUN) {
        size_t end = n - i < RUN ? n : i + RUN, j = i;
        float sum[8] = { 0 };
        for (; j + 8 <= end; j += 8)
            for (int l = 0; l < 8; l++) sum[l] += x[j + l] - x[j + l];
        for (; j < end; j++) sum[0] += x[j] - x[j];
        if (sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7] == 0) continue;
        for (j = i; x[j] - x[j] == 0; j++) continue;
        if (at) *at = j;
        return false;
    }
    return true;
}
