/* search.h - the grids that lie nearest to given weights. Internal.
 *
 * To quantize n weights x is to choose a grid, d (and m), and a whole number q[i] for each, so that
 *
 *   E = sum_i w[i] (x[i] - d q[i] - m)^2          lo <= q[i] <= hi
 *
 * is least; w says how much a weight matters. Each half of the problem is easy when the other is done: for a given grid the best q
 * is the nearest, and for given q the best grid is a line through the points (q[i], x[i]), weighted least squares:
 *
 *   without m    d = S(xq) / S(qq)                                                          S(f) = sum_i w[i] f[i]
 *   with m       d = (S(1) S(xq) - S(x) S(q)) / (S(1) S(qq) - S(q)^2),   m = (S(x) - d S(q)) / S(1)
 *
 * Taking turns never makes E larger, but it ends in the valley in which it began (Lloyd 1982 is the same with free levels). So begin
 * with several widths: wide enough for the largest weight wastes resolution on the others, narrower clips the
 * largest and rounds the rest more finely. Take the best of them, then a few turns.
 *
 * Where d and m are themselves quantized (super-blocks of the K formats), the choice goes on after their rounding: a
 * sub-block's scale may fall on a neighbour of the nearest whole number and be better for it, and the super-block's d and
 * dmin are again a least-squares fit to everything below them.
 *
 * w is the importance itself (1 without one). llama.cpp also multiplies it by sqrt(sigma^2 + x^2), which makes large weights
 * count more; but the mean square of the layer's output error, for independent inputs, is E with w alone.
 *
 * Eight groups of weights are searched side by side, one in each lane of a vector. No sum crosses lanes in a vector, so a search
 * gives the same bits at every vector width. search.inc holds the searches once; search_plain.c and search_avx2.c compile it.
 */
#ifndef CUT_SEARCH_H
#define CUT_SEARCH_H

#include "engine/quant/blocks.h"

enum { CUT_LANES = 8, CUT_LANES_ROWS = 256 };

/* Eight groups of n weights (n <= CUT_LANES_ROWS) and their importance: x[i][l] is weight i of group l. */
struct cut_lanes {
    int n;
    _Alignas(32) float x[CUT_LANES_ROWS][CUT_LANES], w[CUT_LANES_ROWS][CUT_LANES];
};

/* The half nearest to f, but finite: beyond the largest it is the largest (65504). Weights that need more are clipped. */
uint16_t cut_f16_finite(float f);

/* A super-block of eight or sixteen sub-blocks as a search leaves it, in the format's own whole numbers. */
struct cut_super {
    uint16_t d, dmin;                      /* halves */
    int8_t scale[16];                      /* step of sub-block s: d * scale[s] */
    int8_t min[16];                        /* offset of sub-block s: -dmin * min[s] */
    int8_t q[256];
};

struct cut_search {
    const char *name;
    /* Fill `groups` <= 8 lanes with groups * n consecutive weights; lanes beyond are zeros. importance: as many weights >= 0, or NULL
     * for 1 everywhere. Only their proportions within these groups matter; where all are zero it is as if there were none. Weights
     * beyond 2^30 become 2^30, below 2^-40 zero: no scale in half precision reaches either, and no square overflows. */
    void (*load)(struct cut_lanes *g, const float *x, const float *importance, int groups, int n);
    /* For each lane the d that makes E least, without m. lo < 0 < hi; d may be negative. 0 for a lane of zeros. */
    void (*scale)(const struct cut_lanes *g, int lo, int hi, float d[CUT_LANES]);
    /* For each lane d >= 0 and m; q from 0 to hi. */
    void (*scale_min)(const struct cut_lanes *g, int hi, float d[CUT_LANES], float m[CUT_LANES]);
    /* The nearest q of each weight on a given grid: q[l * n + i]. Where d is 0, q is 0. */
    void (*round)(const struct cut_lanes *g, int lo, int hi, const float d[CUT_LANES], const float m[CUT_LANES], int8_t *q);

    /* All of this for a super-block of groups (1 or 2) times eight sub-blocks. Its scales are from slo to shi (|slo| > shi), or from 0
     * to top with minima from 0 to top. */
    void (*super_scale)(const struct cut_lanes *g, int groups, int lo, int hi, int slo, int shi, struct cut_super *out);
    void (*super_scale_min)(const struct cut_lanes *g, int groups, int hi, int top, struct cut_super *out);

    /* 4-bit floats: for given scales the error of each lane, and the nearest codes (sign in bit 3): q[l * n + i]. */
    void (*fp4_error)(const struct cut_lanes *g, const float d[CUT_LANES], float error[CUT_LANES]);
    void (*fp4_round)(const struct cut_lanes *g, const float d[CUT_LANES], uint8_t *q);
};

/* The fastest this processor has; every one gives the same bits. Static. */
const struct cut_search *cut_search_best(void);
/* "plain", "avx2"; NULL where it was not built, or cannot run here. */
const struct cut_search *cut_search_named(const char *name);

/* One per file; NULL: not for this processor's architecture. */
const struct cut_search *cut_search_plain(void);
const struct cut_search *cut_search_avx2(void);

#endif
