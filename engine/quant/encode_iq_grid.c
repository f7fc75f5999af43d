/* encode_iq_grid.c - the nearest point of a codebook, exactly, without looking at all of them.
 *
 * The cost of a point is a sum over its weights: w (x - scale * value)^2 each. What counts is how much a weight costs
 * above its own best level, 0 or more. A point is two halves, and so is its cost:
 *
 *   cost(point) = L[lower half] + U[upper half]
 *
 * Each table has 81 numbers (3 levels, 4 weights) or 64 (8 levels, 2 weights); even the largest list, 2048 points of
 * 8 weights, is then searched with one addition a point. And most points need not be looked at: starting from a good
 * guess of cost c, only lower halves with L < c can lead to something better. Branch and bound (Land and Doig 1960),
 * with one branching.
 *
 * The guess is the entry nearest to the rounded weights when all count the same, from a table of all points. If the
 * rounded weights are themselves in the list, their cost is 0, and nothing has to be searched at all.
 */
#include <pthread.h>

#include "engine/quant/codebooks.h"
#include "engine/quant/encode_iq.h"

/* Inlined where levels and the number of weights are constants, so that all loops have known lengths. */
#define INLINE static inline __attribute__((always_inline))

/* The costs of all ways to choose levels for n weights, at[0] to at[n - 1]: way sum(level[k] levels^k), the first
 * digit the lowest. */
INLINE void add_up(int levels, int n, const float (*cost)[8], int at, float *sum) {
    int ways = 1;
    sum[0] = 0;
    for (int k = 0; k < n; k++, ways *= levels)
        for (int l = levels - 1; l >= 0; l--)          /* level 0 last: it overwrites what the others start from */
            for (int j = 0; j < ways; j++) sum[l * ways + j] = sum[j] + cost[l][at + k];
}

/* The levels of n weights as a number in that sense. */
INLINE int number(int levels, int n, const int *level) {
    int way = 0;
    for (int k = n - 1; k >= 0; k--) way = way * levels + level[k];
    return way;
}

/* The entry that is cheapest and below `least`, or `best` if none is. The costs of lower halves come in two parts:
 * for all but their first weight, rest, and for that, first (first[l] for level l, 0 for some l). So a rest that is
 * too much rules out all levels at once. */
INLINE int search(int levels, const struct cut_grid *g, const float *rest, const float (*first)[8], const float *upper,
                  int best, float least) {
    for (int r = 0, h = 0; h < g->halves; r++, h += levels) {
        if (rest[r] >= least) continue;
        for (int l = 0; l < levels; l++) {
            float lower = rest[r] + first[l][0];
            if (lower >= least) continue;
            for (int i = g->first[h + l]; i < g->first[h + l + 1]; i++) {
                float c = lower + upper[g->partner[i]];
                if (c >= least) continue;
                least = c;
                best = g->order[i];
            }
        }
    }
    return best;
}

INLINE int nearest(int levels, int half, const struct cut_grid *g, const float (*cost)[8], int guess) {
    float rest[CUT_GRID_HALVES], upper[CUT_GRID_HALVES];
    add_up(levels, half - 1, cost, 1, rest);
    add_up(levels, half, cost, half, upper);
    float least = rest[g->lower[guess] / levels] + cost[g->lower[guess] % levels][0] + upper[g->upper[guess]];
    return search(levels, g, rest, cost, upper, guess, least);
}

int cut_grid_nearest(const struct cut_grid *g, const float (*cost)[8], int guess) {
    return g->levels == 3 ? nearest(3, 4, g, cost, guess) : nearest(8, 2, g, cost, guess);
}

int cut_grid_guess(const struct cut_grid *g, const int *level, bool *listed) {
    int lower = g->levels == 3 ? number(3, 4, level) : number(8, 2, level);
    int upper = g->levels == 3 ? number(3, 4, level + 4) : number(8, 2, level + 2);
    int guess = g->guess[upper * g->halves + lower];
    *listed = g->lower[guess] == lower && g->upper[guess] == upper;
    return guess;
}

/* ---------------------------------------------------------------------------------------------------------------
 * Making the tables
 */

static int half_of(const struct cut_grid *g, const int8_t *values) {
    int half = 0;
    for (int k = g->dim / 2 - 1; k >= 0; k--) {
        int l = 0;
        while (g->value[l] < values[k]) l++;
        half = half * g->levels + l;
    }
    return half;
}

/* What every level of every weight costs by squared distance from point p. */
static void distances(const struct cut_grid *g, int p, float (*cost)[8]) {
    for (int k = 0; k < g->dim; k++, p /= g->levels)
        for (int l = 0; l < g->levels; l++) {
            float e = g->value[l] - g->value[p % g->levels];
            cost[l][k] = e * e;
        }
}

static void make(struct cut_grid *g, const int8_t *points, int entries, int dim) {
    g->points = points;
    g->entries = entries;
    g->dim = dim;
    for (int v = INT8_MIN, i; v <= INT8_MAX; v++) {                /* the levels are the values that occur */
        for (i = 0; i < entries * dim && points[i] != v; i++) {}
        if (i < entries * dim) g->value[g->levels++] = (float)v;
    }
    g->halves = 1;
    for (int k = 0; k < dim / 2; k++) g->halves *= g->levels;
    for (int e = 0; e < entries; e++) {
        g->lower[e] = (uint8_t)half_of(g, points + e * dim);
        g->upper[e] = (uint8_t)half_of(g, points + e * dim + dim / 2);
    }
    for (int h = 0, n = 0; h < g->halves; h++) {
        g->first[h] = (uint16_t)n;
        for (int e = 0; e < entries; e++)
            if (g->lower[e] == h) {
                g->partner[n] = g->upper[e];
                g->order[n++] = (uint16_t)e;
            }
        g->first[h + 1] = (uint16_t)n;
    }
    for (int p = 0; p < g->halves * g->halves; p++) {
        float cost[CUT_GRID_LEVELS][8];
        distances(g, p, cost);
        g->guess[p] = (uint16_t)cut_grid_nearest(g, (const float (*)[8])cost, 0);
    }
}

static struct cut_grid grids[CUT_GRID_COUNT];

static void make_iq2_xxs(void) { make(&grids[CUT_GRID_IQ2_XXS], cut_grid_iq2_xxs[0], 256, 8); }
static void make_iq2_xs(void)  { make(&grids[CUT_GRID_IQ2_XS], cut_grid_iq2_xs[0], 512, 8); }
static void make_iq2_s(void)   { make(&grids[CUT_GRID_IQ2_S], cut_grid_iq2_s[0], 1024, 8); }
static void make_iq3_xxs(void) { make(&grids[CUT_GRID_IQ3_XXS], cut_grid_iq3_xxs[0], 256, 4); }
static void make_iq3_s(void)   { make(&grids[CUT_GRID_IQ3_S], cut_grid_iq3_s[0], 512, 4); }
static void make_iq1(void)     { make(&grids[CUT_GRID_IQ1], cut_grid_iq1[0], 2048, 8); }

const struct cut_grid *cut_grid_get(enum cut_grid_id id) {
    static struct { pthread_once_t once; void (*make)(void); } makers[CUT_GRID_COUNT] = {
        [CUT_GRID_IQ2_XXS] = { PTHREAD_ONCE_INIT, make_iq2_xxs }, [CUT_GRID_IQ2_XS] = { PTHREAD_ONCE_INIT, make_iq2_xs },
        [CUT_GRID_IQ2_S] = { PTHREAD_ONCE_INIT, make_iq2_s },     [CUT_GRID_IQ3_XXS] = { PTHREAD_ONCE_INIT, make_iq3_xxs },
        [CUT_GRID_IQ3_S] = { PTHREAD_ONCE_INIT, make_iq3_s },     [CUT_GRID_IQ1] = { PTHREAD_ONCE_INIT, make_iq1 },
    };
    pthread_once(&makers[id].once, makers[id].make);
    return &grids[id];
}
