/* encode_iq.c - blocks of 256 weights fitted with a codebook: which scales, which points, which signs.
 *
 * What is to be chosen hangs together: the nearest points depend on the scale, the best scale on the points, and the
 * scales of sub-blocks are whole multiples of one step. One thing is fixed after the other, each time with what is
 * already known:
 *
 *   1. Each sub-block alone, its scale any float: several scales are tried, each with its nearest points. For
 *      given points p the best scale is sum(w x p) / sum(w p p), least squares, and leaves the error
 *      sum(w x x) - sum(w x p)^2 / sum(w p p).
 *   2. The step: the one on whose multiples those scales lie best.
 *   3. Each sub-block again, with the scales that exist: points are chosen anew for the multiple nearest to its scale,
 *      and those beside it.
 *   4. The step again, by least squares over the whole block, if that makes the error smaller.
 *
 * Most of the time goes into the exact search. In 1 a rough one ranks the scales (llama.cpp's quantizer gains by the
 * same, pull request 5320): the weights are rounded one by one, and the listed point nearest to that is taken from a
 * table.
 */
#include <math.h>

#include "engine/quant/encode_iq.h"

/* ---------------------------------------------------------------------------------------------------------------
 * What all encoders of these formats share
 */

bool cut_iq_load(struct cut_iq_block *b, const float *x, const float *importance, int n) {
    float largest = 0, heaviest = 0;
    for (int i = 0; i < n; i++) {
        largest = fmaxf(largest, fabsf(x[i]));
        if (importance) heaviest = fmaxf(heaviest, importance[i]);
    }
    if (largest == 0) return false;
    frexpf(largest, &b->exponent);
    for (int i = 0; i < n; i++) {
        b->x[i] = ldexpf(x[i], -b->exponent);
        /* A weight whose activation was never seen still counts a little: another text may use it. */
        b->w[i] = heaviest > 0 ? fmaxf(importance[i] / heaviest, 1e-6f) : 1;
    }
    return true;
}

float cut_iq_round_step(const struct cut_iq_block *b, float step, uint16_t *half) {
    const float top = 65504;                                       /* the largest half */
    *half = cut_f32_to_f16(fmaxf(-top, fminf(top, ldexpf(step, b->exponent))));
    return ldexpf(cut_f16_to_f32(*half), -b->exponent);
}

int cut_iq_multiple(struct cut_iq_multiples m, float ratio) {
    ratio = ratio > (float)m.lo ? ratio : (float)m.lo;             /* so is a ratio that is no number: 0 / 0 */
    ratio = ratio < (float)m.hi ? ratio : (float)m.hi;
    return m.odd ? 2 * (int)(ratio / 2) + 1 : (int)(ratio - (float)m.lo + 0.5f) + m.lo;
}

float cut_iq_step(struct cut_iq_multiples m, const float *scale, const float *bend, int n) {
    float largest = 0, best = 0, least = INFINITY;
    for (int i = 0; i < n; i++) largest = fmaxf(largest, fabsf(scale[i]));
    /* The largest scale on multiples from a little beyond the last one down to half of it. */
    for (float at = (float)m.hi * 1.1f; at > (float)m.hi * 0.5f; at -= 0.25f)
        for (int sign = m.lo < 0 ? -1 : 1; sign <= 1; sign += 2) {
            float step = (float)sign * largest / at, error = 0;
            for (int i = 0; i < n; i++) {
                float e = scale[i] - step * (float)cut_iq_multiple(m, scale[i] / step);
                error += bend[i] * e * e;
            }
            if (error < least) {
                least = error;
                best = step;
            }
        }
    return best;
}

/* ---------------------------------------------------------------------------------------------------------------
 * Eight weights: their points for a given scale
 */

struct eight {
    uint16_t entry[2];         /* one for 8 weights, or one for each 4 */
    uint8_t signs;
    float xy, yy;              /* sum(w x y), sum(w y y), y being what it decodes to at scale 1 */
};

/* How much less than sum(w x x) the error is, at a scale. */
static float gain(float xy, float yy, float scale) { return scale * (2 * xy - scale * yy); }

/* Seven signs are stored, the eighth makes the number of minuses even. If it is odd, one weight gets the wrong sign:
 * it is then best at the lowest level, and what that costs above its best level with the right sign decides which
 * weight it is. */
static int cheapest_flip(const float *a, const float *w, float lowest, const float *best) {
    int flip = 0;
    float least = INFINITY;
    for (int k = 0; k < 8; k++) {
        float e = a[k] + lowest, more = w[k] * e * e - best[k];
        if (more >= least) continue;
        least = more;
        flip = k;
    }
    return flip;
}

/* exact: the nearest points; else those nearest to the rounded weights, in a fraction of the time. */
static void fit_eight(const struct cut_iq_form *f, const struct cut_grid *g, const float *x, const float *w,
                      float scale, float shift, bool exact, struct eight *out) {
    float a[8], best[8];       /* magnitudes, or weights where the codebook has the signs; the cost at the best level */
    int level[8] = { 0 };
    out->signs = 0;
    for (int k = 0; k < 8; k++) {
        a[k] = f->signs == CUT_SIGNS_NONE ? x[k] : fabsf(x[k]);
        best[k] = scale * (g->value[0] + shift);
    }
    for (int l = 1; l < g->levels; l++) {              /* a level up for every middle between two that is passed */
        float middle = scale * (0.5f * (g->value[l - 1] + g->value[l]) + shift);
        float up = scale * (g->value[l] - g->value[l - 1]);
        for (int k = 0; k < 8; k++) {
            level[k] += a[k] > middle;
            best[k] += a[k] > middle ? up : 0;
        }
    }
    for (int k = 0; k < 8; k++) {
        best[k] = w[k] * (a[k] - best[k]) * (a[k] - best[k]);
        out->signs |= (uint8_t)((a[k] != x[k]) << k);
    }
    if (f->signs == CUT_SIGNS_EVEN && __builtin_parity(out->signs)) {
        int k = cheapest_flip(a, w, scale * g->value[0], best);
        out->signs ^= (uint8_t)(1 << k);
        a[k] = -a[k];
        best[k] = w[k] * (a[k] - scale * g->value[0]) * (a[k] - scale * g->value[0]);
        level[k] = 0;
    }
    out->xy = out->yy = 0;
    for (int at = 0; at < 8; at += g->dim) {
        bool listed;
        int e = cut_grid_guess(g, level + at, &listed);
        if (exact && !listed) {
            float cost[CUT_GRID_LEVELS][8];
            for (int l = 0; l < g->levels; l++) {
                float y = scale * (g->value[l] + shift);
                for (int k = 0; k < 8; k++) cost[l][k] = w[k] * (a[k] - y) * (a[k] - y) - best[k];
            }
            e = cut_grid_nearest(g, (const float (*)[8])(const void *)&cost[0][at], e);
        }
        out->entry[at / g->dim] = (uint16_t)e;
        for (int k = 0; k < g->dim; k++) {
            float y = (float)g->points[e * g->dim + k] + shift, wy = w[at + k] * y;
            out->xy += wy * a[at + k];
            out->yy += wy * y;
        }
    }
}

/* ---------------------------------------------------------------------------------------------------------------
 * A sub-block: 16 or 32 weights with one scale
 */

struct sub {
    struct eight eight[4];
    bool down[4];
    float xy, yy, gain;        /* of all of them, at the scale asked for */
};

static void fit_sub(const struct cut_iq_form *f, const struct cut_grid *g, const float *x, const float *w,
                    float scale, bool exact, struct sub *out) {
    int groups = f->sub / 8;
    for (int i = 0; i < groups; i++) {
        fit_eight(f, g, x + 8 * i, w + 8 * i, scale, f->shift, exact, &out->eight[i]);
        out->down[i] = false;
    }
    if (f->shift != 0) {
        struct eight down[4];
        float more[4], all = 0;                        /* gained by shifting down, for each and for all of them */
        for (int i = 0; i < groups; i++) {
            fit_eight(f, g, x + 8 * i, w + 8 * i, scale, -f->shift, exact, &down[i]);
            more[i] = gain(down[i].xy, down[i].yy, scale) - gain(out->eight[i].xy, out->eight[i].yy, scale);
            all += more[i];
        }
        for (int i = 0; i < groups; i++) {
            out->down[i] = (f->shared == 8 ? more[i] : all) > 0;
            if (out->down[i]) out->eight[i] = down[i];
        }
    }
    out->xy = out->yy = 0;
    for (int i = 0; i < groups; i++) {
        out->xy += out->eight[i].xy;
        out->yy += out->eight[i].yy;
    }
    out->gain = gain(out->xy, out->yy, scale);
}

/* A scale for one sub-block when any float will do, and sum(w y y) of its points: how fast the error grows beside it.
 * The scales that are tried put the largest weight at about half of the largest value (large values together are rare
 * in a codebook) to well beyond it; and at the lowest, for weights that are all of one magnitude. All are tried
 * roughly, the best of them then exactly, each followed by what least squares makes of it. */
static float free_scale(const struct cut_iq_form *f, const struct cut_grid *g, const float *x, const float *w,
                        float *bend) {
    enum { TRIED = 10, EXACT = 2 };
    const float top = g->value[g->levels - 1] + f->shift, from = 0.45f * top, to = 1.5f * top;
    float largest = 0, scale[TRIED], rough[TRIED], best = 0, most = 0;
    struct sub s;
    *bend = 0;
    for (int i = 0; i < f->sub; i++) largest = fmaxf(largest, fabsf(x[i]));
    if (largest == 0) return 0;
    for (int t = 0; t < TRIED; t++) {
        scale[t] = largest / (t < TRIED - 1 ? from + (to - from) * (float)t / (TRIED - 2) : fabsf(g->value[0]));
        fit_sub(f, g, x, w, scale[t], false, &s);
        rough[t] = s.xy > 0 ? s.xy * s.xy / s.yy : 0;
    }
    for (int t = 0; t <= EXACT; t++) {
        int k = 0;
        for (int i = 1; i < TRIED; i++) k = rough[i] > rough[k] ? i : k;
        rough[k] = 0;
        fit_sub(f, g, x, w, t < EXACT ? scale[k] : best, true, &s);
        if (s.xy <= 0 || s.xy * s.xy <= most * s.yy) continue;
        most = s.xy * s.xy / s.yy;
        best = s.xy / s.yy;
        *bend = s.yy;
    }
    return best;
}

/* ---------------------------------------------------------------------------------------------------------------
 * The block
 */

/* Every sub-block with its best multiple of the step: the one nearest to its scale, or one up to `beside` from that.
 * Returns how much less than sum(w x x) the error is. */
static float fit_block(const struct cut_iq_form *f, const struct cut_grid *g, const struct cut_iq_block *b,
                       const float *scale, float step, int beside, struct sub *sub, int *multiple) {
    const struct cut_iq_multiples odd = { 1, 2 * f->scales - 1, true };
    float gain = 0;
    for (int i = 0; i < 256 / f->sub; i++) {
        int near = cut_iq_multiple(odd, scale[i] / (step * f->unit));
        sub[i].gain = -INFINITY;
        for (int m = cut_max(near - beside, 1); m <= cut_min(near + beside, odd.hi); m += 2) {
            struct sub s;
            fit_sub(f, g, b->x + i * f->sub, b->w + i * f->sub, step * f->unit * (float)m, true, &s);
            if (s.gain <= sub[i].gain) continue;
            sub[i] = s;
            multiple[i] = m;
        }
        gain += sub[i].gain;
    }
    return gain;
}

static void put(const struct cut_iq_form *f, const struct cut_grid *g, const struct sub *sub, const int *multiple,
                struct cut_iq_fit *out) {
    for (int i = 0; i < 256 / f->sub; i++) out->s[i] = (uint8_t)(multiple[i] / 2);
    for (int i = 0; i < 32; i++) {
        const struct sub *s = &sub[8 * i / f->sub];
        const struct eight *e = &s->eight[i % (f->sub / 8)];
        out->signs[i] = e->signs;
        out->down[i] = s->down[i % (f->sub / 8)];
        for (int k = 0; k < 8 / g->dim; k++) out->entry[8 / g->dim * i + k] = e->entry[k];
    }
}

void cut_iq_fit(const struct cut_iq_form *f, const float *x, const float *importance, struct cut_iq_fit *out) {
    const struct cut_grid *g = cut_grid_get(f->grid);
    struct cut_iq_block b;
    struct sub sub[16];
    float scale[16], bend[16], most = 0;
    int multiple[16];
    memset(out, 0, sizeof *out);
    if (!cut_iq_load(&b, x, importance, 256)) return;
    for (int i = 0; i < 256 / f->sub; i++) scale[i] = free_scale(f, g, b.x + i * f->sub, b.w + i * f->sub, &bend[i]);
    const struct cut_iq_multiples odd = { 1, 2 * f->scales - 1, true };
    float step = cut_iq_step(odd, scale, bend, 256 / f->sub) / f->unit;
    for (int t = 0; t < 2; t++) {
        uint16_t half;
        step = cut_iq_round_step(&b, step, &half);
        if (!(step > 0)) return;
        float gain = fit_block(f, g, &b, scale, step, t ? 0 : 2, sub, multiple);
        if (gain <= most || half == out->d) return;
        most = gain;
        out->d = half;
        put(f, g, sub, multiple, out);
        float xy = 0, yy = 0;
        for (int i = 0; i < 256 / f->sub; i++) {
            float m = f->unit * (float)multiple[i];
            xy += m * sub[i].xy;
            yy += m * m * sub[i].yy;
            scale[i] = m * step;
        }
        step = xy / yy;
    }
}
