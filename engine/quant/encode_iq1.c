/* encode_iq1.c - floats to iq1_s and iq1_m: eight of -1, 0, 1 by an index of 11 bits, all shifted by an eighth up or
 * down.
 *
 *              index    shift                 scale             bits for eight weights, without d's 16 for 256
 *   iq1_s      11 bits  1 bit for 32          3 bits for 32     12    (1.5625 a weight)
 *   iq1_m      11       1 bit for 8           3 bits for 16     13.5  (1.75)
 *
 * Eight trits are 6561 points, of which the list has 2048, signs included. The shift, an idea of QuIP# (which shifts
 * by a quarter), makes twice as many points of them for one more bit: 2048 around +1/8 and 2048 around -1/8. All of
 * the choosing is in encode_iq.c.
 */
#include "engine/quant/encode.h"
#include "engine/quant/encode_iq.h"

void cut_encode_iq1_s(void *dst, const float *x, size_t n, const float *importance) {
    static const struct cut_iq_form form = {
        CUT_GRID_IQ1, CUT_SIGNS_NONE, .sub = 32, .scales = 8, .unit = 1, .shift = 0.125f, .shared = 32
    };
    struct cut_iq1_s *b = dst;
    struct cut_iq_fit fit;
    for (size_t at = 0; at < n; at += 256, b++) {
        cut_iq_fit(&form, x + at, importance ? importance + at : NULL, &fit);
        b->d = fit.d;
        for (int s = 0; s < 8; s++) b->qh[s] = (uint16_t)(fit.s[s] << 12 | fit.down[4 * s] << 15);
        for (int k = 0; k < 32; k++) {
            b->qs[k] = (uint8_t)fit.entry[k];
            b->qh[k / 4] |= (uint16_t)(fit.entry[k] >> 8 << 3 * (k % 4));
        }
    }
}

/* Each of the four 16-bit words of scales has four scales of 3 bits, and 4 bits of d above them. */
void cut_encode_iq1_m(void *dst, const float *x, size_t n, const float *importance) {
    static const struct cut_iq_form form = {
        CUT_GRID_IQ1, CUT_SIGNS_NONE, .sub = 16, .scales = 8, .unit = 1, .shift = 0.125f, .shared = 8
    };
    struct cut_iq1_m *b = dst;
    struct cut_iq_fit fit;
    for (size_t at = 0; at < n; at += 256, b++) {
        cut_iq_fit(&form, x + at, importance ? importance + at : NULL, &fit);
        memset(b, 0, sizeof *b);
        for (int k = 0; k < 32; k++) {
            b->qs[k] = (uint8_t)fit.entry[k];
            b->qh[k / 2] |= (uint8_t)((fit.entry[k] >> 8 | fit.down[k] << 3) << 4 * (k % 2));
        }
        for (int i = 0; i < 4; i++) {
            unsigned word = (unsigned)(fit.d >> 4 * i & 15) << 12;
            for (int k = 0; k < 4; k++) word |= (unsigned)fit.s[4 * i + k] << 3 * k;
            b->scales[2 * i] = (uint8_t)word;
            b->scales[2 * i + 1] = (uint8_t)(word >> 8);
        }
    }
}
