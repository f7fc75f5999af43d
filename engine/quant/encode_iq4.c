/* encode_iq4.c - floats to iq4_nl and iq4_xs: sixteen values that lie closer together near zero, where weights are
 * many.
 *
 * For given codes the best scale is sum(w x v) / sum(w v v), v being the values of the codes; it leaves the error
 * sum(w x x) - sum(w x v)^2 / sum(w v v). So for every scale that is tried, only those two sums are needed to know
 * how well its codes could do. The values are not symmetric (-127 to 113): a block and its negative differ, and both
 * signs of the scale are tried.
 *
 * iq4_xs has a scale for every 32 weights as iq4_nl has, but as a whole number of 6 bits, -32 to 31, times a step of
 * the 256.
 */
#include <math.h>

#include "engine/quant/codebooks.h"
#include "engine/quant/encode.h"
#include "engine/quant/encode_iq.h"

struct sums { float xv, vv; };

/* The value nearest to each of 32 weights at scale d, not 0: the first, and a step up at every middle between two
 * that is passed. */
static void nearest(const float *x, float d, float *v) {
    float scaled[32], inverse = 1 / d;
    for (int i = 0; i < 32; i++) {
        scaled[i] = x[i] * inverse;
        v[i] = cut_iq4_values[0];
    }
    for (int k = 0; k < 15; k++) {
        float middle = 0.5f * (float)(cut_iq4_values[k] + cut_iq4_values[k + 1]);
        float up = (float)(cut_iq4_values[k + 1] - cut_iq4_values[k]);
        for (int i = 0; i < 32; i++) v[i] += scaled[i] > middle ? up : 0;
    }
}

static struct sums sum(const float *x, const float *w, const float *v) {
    struct sums s = { 0, 0 };
    for (int i = 0; i < 32; i++) {
        float wv = w[i] * v[i];
        s.xv += wv * x[i];
        s.vv += wv * v[i];
    }
    return s;
}

static struct sums at_scale(const float *x, const float *w, float d) {
    float v[32];
    if (d == 0) return (struct sums){ 0, 0 };
    nearest(x, d, v);
    return sum(x, w, v);
}

/* The best scale for 32 weights when any float will do; 0 if all of them are 0. */
static struct sums free_scale(const float *x, const float *w) {
    float largest = 0;
    struct sums best = { 0, 1 };
    for (int i = 0; i < 32; i++) largest = fmaxf(largest, fabsf(x[i]));
    if (largest == 0) return best;
    for (float at = 60; at <= 140; at += 8)                        /* where the largest weight comes to lie */
        for (int sign = -1; sign <= 1; sign += 2) {
            struct sums s = at_scale(x, w, (float)sign * largest / at);
            if (s.xv * s.xv * best.vv > best.xv * best.xv * s.vv) best = s;
        }
    for (int t = 0; t < 2; t++) {                      /* new codes for the new scale, and the scale for those */
        struct sums s = at_scale(x, w, best.xv / best.vv);
        if (s.xv * s.xv * best.vv > best.xv * best.xv * s.vv) best = s;
    }
    return best;
}

static float gain(struct sums s, float d) { return d * (2 * s.xv - d * s.vv); }

/* Codes of 32 weights, two a byte: byte j has element j in its low half and element j + 16 in its high half. */
static void put(const float *x, float d, uint8_t *qs) {
    float v[32];
    uint8_t code[32];
    memset(qs, 0, 16);
    if (d == 0) return;
    nearest(x, d, v);
    for (int i = 0; i < 32; i++) {
        code[i] = 0;
        while (cut_iq4_values[code[i]] < v[i]) code[i]++;
    }
    for (int j = 0; j < 16; j++) qs[j] = (uint8_t)(code[j] | code[j + 16] << 4);
}

void cut_encode_iq4_nl(void *dst, const float *x, size_t n, const float *importance) {
    struct cut_iq4_nl *q = dst;
    struct cut_iq_block b;
    for (size_t at = 0; at < n; at += 32, q++) {
        memset(q, 0, sizeof *q);
        if (!cut_iq_load(&b, x + at, importance ? importance + at : NULL, 32)) continue;
        struct sums s = free_scale(b.x, b.w);
        put(b.x, cut_iq_round_step(&b, s.xv / s.vv, &q->d), q->qs);
    }
}

/* ---------------------------------------------------------------------------------------------------------------
 * iq4_xs
 */

/* Each sub-block's best multiple of the step: the one nearest to its scale or one beside it. Returns how much smaller
 * than sum(w x x) the error is. xv and vv of the whole block, in units of the step, go to *all. */
static float choose(const struct cut_iq_block *b, struct cut_iq_multiples range, const float *scale, float step,
                    int *multiple, struct sums *all) {
    float total = 0;
    *all = (struct sums){ 0, 0 };
    for (int i = 0; i < 8; i++) {
        int near = cut_iq_multiple(range, scale[i] / step);
        struct sums best = { 0, 0 };
        float most = -INFINITY;
        for (int m = cut_max(near - 1, range.lo); m <= cut_min(near + 1, range.hi); m++) {
            struct sums s = at_scale(b->x + 32 * i, b->w + 32 * i, step * (float)m);
            float g = gain(s, step * (float)m);
            if (g <= most) continue;
            most = g;
            best = s;
            multiple[i] = m;
        }
        total += most;
        all->xv += (float)multiple[i] * best.xv;
        all->vv += (float)(multiple[i] * multiple[i]) * best.vv;
    }
    return total;
}

static void encode_block(const struct cut_iq_block *b, struct cut_iq4_xs *q) {
    const struct cut_iq_multiples range = { -32, 31, false };
    float scale[8], bend[8], most = 0;
    int best[8] = { 0 };
    for (int i = 0; i < 8; i++) {
        struct sums s = free_scale(b->x + 32 * i, b->w + 32 * i);
        scale[i] = s.xv / s.vv;
        bend[i] = s.vv;
    }
    float step = cut_iq_step(range, scale, bend, 8), final = 0;
    for (int t = 0; t < 3; t++) {                      /* the step again, by least squares, while that helps */
        int multiple[8];
        uint16_t half;
        struct sums all;
        step = cut_iq_round_step(b, step, &half);
        if (step == 0 || half == q->d) break;
        float g = choose(b, range, scale, step, multiple, &all);
        if (g <= most) break;
        most = g;
        final = step;
        q->d = half;
        memcpy(best, multiple, sizeof best);
        for (int i = 0; i < 8; i++) scale[i] = step * (float)multiple[i];
        step = all.xv / all.vv;
    }
    for (int i = 0; i < 8; i++) {
        int s = best[i] + 32;
        q->scales_l[i / 2] |= (uint8_t)((s & 15) << 4 * (i % 2));
        q->scales_h |= (uint16_t)(s >> 4 << 2 * i);
        put(b->x + 32 * i, final * (float)best[i], q->qs + 16 * i);
    }
}

void cut_encode_iq4_xs(void *dst, const float *x, size_t n, const float *importance) {
    struct cut_iq4_xs *q = dst;
    struct cut_iq_block b;
    for (size_t at = 0; at < n; at += 256, q++) {
        memset(q, 0, sizeof *q);
        if (cut_iq_load(&b, x + at, importance ? importance + at : NULL, 256)) encode_block(&b, q);
    }
}
