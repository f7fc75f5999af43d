/* encode_fp4.c - 4-bit floats with a shared scale that has few bits itself, so that all scales worth trying can be tried.
 *
 *   mxfp4   32 weights, a power of two        OCP Microscaling Formats 1.0, section 5: there the largest weight decides
 *   nvfp4   16 weights, an E4M3 float         four such groups to a block
 */
#include <math.h>

#include "engine/quant/encode.h"
#include "engine/quant/search.h"

/* The largest magnitude of each group. */
static void largest(const float *x, int groups, int n, float most[CUT_LANES]) {
    for (int l = 0; l < CUT_LANES; l++) {
        most[l] = 0;
        for (int i = 0; l < groups && i < n; i++) most[l] = fmaxf(most[l], fabsf(x[l * n + i]));
    }
}

/* ---- mxfp4: byte e means 2^(e - 127) */

enum { E8M0_BIAS = 127, E8M0_MOST = 252 };           /* 6 * 2^125 is finite in float, 6 * 2^126 is not */

/* The largest weight lies in [2^k, 2^(k+1)). A step of 2^(k-2) clips some (6 is the last level, of 4 to 8), 2^(k-1) none; 2^(k-3) can pay
 * where one weight stands out. Weights are first divided by 2^k, since a scale may be 2^-127 and squares may not. */
void cut_encode_mxfp4(void *dst, const float *x, size_t n, const float *importance) {
    struct cut_mxfp4 *b = dst;
    const struct cut_search *search = cut_search_best();
    struct cut_lanes g;
    for (; n; ) {
        int groups = n < 32 * CUT_LANES ? (int)n / 32 : CUT_LANES, k[CUT_LANES], e[CUT_LANES];
        float most[CUT_LANES], y[32 * CUT_LANES], d[CUT_LANES], best[CUT_LANES], error[CUT_LANES];
        uint8_t q[32 * CUT_LANES];
        largest(x, groups, 32, most);
        for (int l = 0; l < CUT_LANES; l++) {
            k[l] = most[l] > 0 ? cut_max(-126, ilogbf(most[l])) : 0;
            e[l] = 0;
            best[l] = INFINITY;
            float by = ldexpf(1, -k[l]);
            for (int i = 0; l < groups && i < 32; i++) y[32 * l + i] = x[32 * l + i] * by;
        }
        search->load(&g, y, importance, groups, 32);
        for (int less = 1; less <= 3; less++) {
            int candidate[CUT_LANES];
            for (int l = 0; l < CUT_LANES; l++) {
                candidate[l] = cut_max(0, cut_min(E8M0_MOST, k[l] - less + E8M0_BIAS));
                d[l] = ldexpf(1, candidate[l] - E8M0_BIAS - k[l]);
            }
            search->fp4_error(&g, d, error);
            for (int l = 0; l < CUT_LANES; l++)
                if (error[l] < best[l]) {
                    best[l] = error[l];
                    e[l] = candidate[l];
                }
        }
        for (int l = 0; l < CUT_LANES; l++) d[l] = ldexpf(1, e[l] - E8M0_BIAS - k[l]);
        search->fp4_round(&g, d, q);
        for (int l = 0; l < groups; l++, b++) {
            const uint8_t *c = q + 32 * l;
            b->e = (uint8_t)(most[l] > 0 ? e[l] : 0);
            for (int j = 0; j < 16; j++) b->qs[j] = (uint8_t)(c[j] | c[j + 16] << 4);
        }
        x += 32 * groups;
        importance = importance ? importance + 32 * groups : NULL;
        n -= (size_t)(32 * groups);
    }
}

/* ---- nvfp4: four exponent bits (bias 7), three of fraction, no sign */

enum { E4M3_MOST = 126 };                              /* 448; 127 is a NaN */

static float e4m3(int code) {
    int exponent = code >> 3, fraction = code & 7;
    return exponent ? ldexpf((float)(8 + fraction), exponent - 10) : ldexpf((float)fraction, -9);
}

/* The code nearest below a scale: codes are ordered as their values are. */
static int e4m3_below(float scale) {
    int code = 0;
    for (int bit = 64; bit; bit >>= 1)
        if (code + bit <= E4M3_MOST && e4m3(code + bit) <= scale) code += bit;
    return code;
}

/* Steps around a sixth of the largest weight: from a quarter less (it is clipped) to twice that (it falls on level 3). */
void cut_encode_nvfp4(void *dst, const float *x, size_t n, const float *importance) {
    struct cut_nvfp4 *b = dst;
    const struct cut_search *search = cut_search_best();
    struct cut_lanes g;
    for (; n; ) {
        int groups = n < 16 * CUT_LANES ? (int)n / 16 : CUT_LANES, from[CUT_LANES], code[CUT_LANES];
        float most[CUT_LANES], d[CUT_LANES], best[CUT_LANES], error[CUT_LANES];
        uint8_t q[16 * CUT_LANES];
        largest(x, groups, 16, most);
        for (int l = 0; l < CUT_LANES; l++) {
            from[l] = e4m3_below(most[l] / 6);
            code[l] = 0;
            best[l] = INFINITY;
        }
        search->load(&g, x, importance, groups, 16);
        for (int more = -3; more <= 8; more++) {
            int candidate[CUT_LANES];
            for (int l = 0; l < CUT_LANES; l++) d[l] = e4m3(candidate[l] = cut_max(0, cut_min(E4M3_MOST, from[l] + more)));
            search->fp4_error(&g, d, error);
            for (int l = 0; l < CUT_LANES; l++)
                if (error[l] < best[l]) {
                    best[l] = error[l];
                    code[l] = candidate[l];
                }
        }
        for (int l = 0; l < CUT_LANES; l++) d[l] = e4m3(code[l]);
        search->fp4_round(&g, d, q);
        for (int l = 0; l < groups; l++) {
            const uint8_t *c = q + 16 * l;
            b->d[l % 4] = (uint8_t)code[l];
            for (int j = 0; j < 8; j++) b->qs[8 * (l % 4) + j] = (uint8_t)(c[j] | c[j + 8] << 4);
            b += l % 4 == 3;
        }
        x += 16 * groups;
        importance = importance ? importance + 16 * groups : NULL;
        n -= (size_t)(16 * groups);
    }
}
