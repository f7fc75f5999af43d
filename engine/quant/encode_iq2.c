/* encode_iq2.c - floats to iq2_xxs, iq2_xs and iq2_s: eight magnitudes by an index, eight signs.
 *
 *              index   signs       scale              bits for eight weights, without d's 16 for 256
 *   iq2_xxs    8 bits  7, even     4 bits for 32      16    (2.0625 a weight)
 *   iq2_xs     9       7, even     4 bits for 16      18    (2.3125)
 *   iq2_s     10       8, free     4 bits for 16      20    (2.5625)
 *
 * The magnitudes are 8, 25 and 43, nearly 1 : 3 : 5, the halves of E8 (encode_iq.h). All of the choosing is in
 * encode_iq.c.
 */
#include "engine/quant/encode.h"
#include "engine/quant/encode_iq.h"

void cut_encode_iq2_xxs(void *dst, const float *x, size_t n, const float *importance) {
    static const struct cut_iq_form form = { CUT_GRID_IQ2_XXS, CUT_SIGNS_EVEN, .sub = 32, .scales = 16, .unit = 0.125f };
    struct cut_iq2_xxs *b = dst;
    struct cut_iq_fit fit;
    for (size_t at = 0; at < n; at += 256, b++) {
        cut_iq_fit(&form, x + at, importance ? importance + at : NULL, &fit);
        b->d = fit.d;
        for (int s = 0; s < 8; s++) {                  /* of 64 bits: four indices of 8, four times 7 signs, the scale */
            const uint16_t *entry = fit.entry + 4 * s;
            uint32_t signs = (uint32_t)fit.s[s] << 28;
            for (int k = 0; k < 4; k++) signs |= (uint32_t)(fit.signs[4 * s + k] & 127) << 7 * k;
            b->qs[4 * s] = (uint16_t)(entry[0] | entry[1] << 8);
            b->qs[4 * s + 1] = (uint16_t)(entry[2] | entry[3] << 8);
            b->qs[4 * s + 2] = (uint16_t)signs;
            b->qs[4 * s + 3] = (uint16_t)(signs >> 16);
        }
    }
}

void cut_encode_iq2_xs(void *dst, const float *x, size_t n, const float *importance) {
    static const struct cut_iq_form form = { CUT_GRID_IQ2_XS, CUT_SIGNS_EVEN, .sub = 16, .scales = 16, .unit = 0.125f };
    struct cut_iq2_xs *b = dst;
    struct cut_iq_fit fit;
    for (size_t at = 0; at < n; at += 256, b++) {
        cut_iq_fit(&form, x + at, importance ? importance + at : NULL, &fit);
        b->d = fit.d;
        for (int k = 0; k < 32; k++) b->qs[k] = (uint16_t)(fit.entry[k] | (fit.signs[k] & 127) << 9);
        for (int s = 0; s < 8; s++) b->scales[s] = (uint8_t)(fit.s[2 * s] | fit.s[2 * s + 1] << 4);
    }
}

void cut_encode_iq2_s(void *dst, const float *x, size_t n, const float *importance) {
    static const struct cut_iq_form form = { CUT_GRID_IQ2_S, CUT_SIGNS_FREE, .sub = 16, .scales = 16, .unit = 0.125f };
    struct cut_iq2_s *b = dst;
    struct cut_iq_fit fit;
    for (size_t at = 0; at < n; at += 256, b++) {
        cut_iq_fit(&form, x + at, importance ? importance + at : NULL, &fit);
        memset(b, 0, sizeof *b);
        b->d = fit.d;
        for (int k = 0; k < 32; k++) {
            b->qs[k] = (uint8_t)fit.entry[k];
            b->qh[k / 4] |= (uint8_t)(fit.entry[k] >> 8 << 2 * (k % 4));
            b->signs[k] = fit.signs[k];
        }
        for (int s = 0; s < 8; s++) b->scales[s] = (uint8_t)(fit.s[2 * s] | fit.s[2 * s + 1] << 4);
    }
}
