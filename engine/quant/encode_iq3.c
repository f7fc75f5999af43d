/* encode_iq3.c - floats to iq3_xxs and iq3_s: four magnitudes by an index.
 *
 *              index   signs               scale              bits for eight weights, without d's 16 for 256
 *   iq3_xxs    8 bits  7 of 8, even        4 bits for 32      24    (3.0625 a weight)
 *   iq3_s      9       8, free             4 bits for 32      27    (3.4375)
 *
 * Eight magnitudes for each of four weights would be 12 bits. All of the choosing is in encode_iq.c.
 */
#include "engine/quant/encode.h"
#include "engine/quant/encode_iq.h"

void cut_encode_iq3_xxs(void *dst, const float *x, size_t n, const float *importance) {
    static const struct cut_iq_form form = { CUT_GRID_IQ3_XXS, CUT_SIGNS_EVEN, .sub = 32, .scales = 16, .unit = 0.25f };
    struct cut_iq3_xxs *b = dst;
    struct cut_iq_fit fit;
    for (size_t at = 0; at < n; at += 256, b++) {
        cut_iq_fit(&form, x + at, importance ? importance + at : NULL, &fit);
        b->d = fit.d;
        for (int k = 0; k < 64; k++) b->qs[k] = (uint8_t)fit.entry[k];
        for (int s = 0; s < 8; s++) {                  /* of 32 bits: four times 7 signs, the scale */
            uint32_t signs = (uint32_t)fit.s[s] << 28;
            for (int k = 0; k < 4; k++) signs |= (uint32_t)(fit.signs[4 * s + k] & 127) << 7 * k;
            for (int k = 0; k < 4; k++) b->signs[4 * s + k] = (uint8_t)(signs >> 8 * k);
        }
    }
}

void cut_encode_iq3_s(void *dst, const float *x, size_t n, const float *importance) {
    static const struct cut_iq_form form = { CUT_GRID_IQ3_S, CUT_SIGNS_FREE, .sub = 32, .scales = 16, .unit = 1 };
    struct cut_iq3_s *b = dst;
    struct cut_iq_fit fit;
    for (size_t at = 0; at < n; at += 256, b++) {
        cut_iq_fit(&form, x + at, importance ? importance + at : NULL, &fit);
        memset(b, 0, sizeof *b);
        b->d = fit.d;
        for (int k = 0; k < 64; k++) {
            b->qs[k] = (uint8_t)fit.entry[k];
            b->qh[k / 8] |= (uint8_t)(fit.entry[k] >> 8 << k % 8);
        }
        memcpy(b->signs, fit.signs, sizeof b->signs);
        for (int s = 0; s < 4; s++) b->scales[s] = (uint8_t)(fit.s[2 * s] | fit.s[2 * s + 1] << 4);
    }
}
