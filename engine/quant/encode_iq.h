/* encode_iq.h - what the encoders of the iq formats share: a block at a handy size, the search of a codebook, the fit
 * of a block. Internal.
 *
 * A codebook is a list of points: groups of eight (or four) small numbers. To encode a group of weights is to find
 * the point that is nearest to it once multiplied by the scale. Rounding every weight on its own would be easy; but
 * of all the points that rounding can come to, the list holds only some.
 *
 *   iq2_xxs: three magnitudes for each of eight weights are 3^8 = 6561 points. The list has 256, an index of one byte.
 *
 * Why leave points out? A code of fixed length wastes bits on points that weights hardly visit: eight weights that
 * look like a sample from a bell curve are together about as long as their number says, and the corners of the cube
 * are longer. And of as many points, those of a good lattice lie further apart than those of a cubic grid, and leave
 * smaller gaps. The best in eight dimensions is E8 (Viazovska 2016):
 *
 *   all points of whole numbers and a half, or all of whole numbers, with an even sum
 *
 * QuIP# (Tseng et al. 2024, section 4) takes points of halves, (1 3 1 .. 5) / 2 with signs: 256 lists of magnitudes,
 * and as the sum has to be even, one sign follows from the other seven. So do iq2_xxs and iq2_xs: doubled, magnitudes
 * are 1, 3 and 5, those of an entry add up to a multiple of 4, and that stays so when two signs change, since 2 (a +
 * b) is a multiple of 4 for odd a and b; not when one does. Which points are listed was found by what quantizing real
 * models comes to most (llama.cpp, pull requests 4773 and 5196; iq3 has groups of four). iq2_s spends the eighth bit
 * on the eighth sign, and leaves the lattice.
 *
 * The even number of minus signs costs something in half of all groups: one weight has to take the wrong sign. The
 * one for which that is cheapest, near zero and of small importance, does. It pays: the bit saved is an eighth of a
 * bit for every weight.
 */
#ifndef CUT_ENCODE_IQ_H
#define CUT_ENCODE_IQ_H

#include "engine/quant/blocks.h"

/* ---------------------------------------------------------------------------------------------------------------
 * A block to be encoded: weights below 1 in magnitude, so that no square of a finite weight overflows.
 *
 * All encoders here make sum(w[i] (x[i] - y[i])^2) small, y being what the block decodes to. w is the importance: the
 * mean square of the activation that the weight is multiplied with, over some text. With independent activations of
 * mean zero, that sum is the mean square of the error in the layer's output. Without importance all weights count the
 * same.
 */
struct cut_iq_block {
    int exponent;              /* the weights are x * 2^exponent */
    float x[256], w[256];
};
/* False: all n weights are 0, and b is not filled. importance may be NULL. */
bool cut_iq_load(struct cut_iq_block *b, const float *x, const float *importance, int n);
/* A step for the loaded weights, rounded to what a half can hold for the real ones. The half goes to *half. */
float cut_iq_round_step(const struct cut_iq_block *b, float step, uint16_t *half);

/* The scales of sub-blocks are stored as small whole numbers times one step. */
struct cut_iq_multiples { int lo, hi; bool odd; };         /* whole numbers from lo to hi, or only the odd ones */
int cut_iq_multiple(struct cut_iq_multiples m, float ratio);           /* the one nearest to ratio */
/* The step for n scales that makes sum(bend[i] (scale[i] - step * multiple)^2) small. Some scale is not 0. */
float cut_iq_step(struct cut_iq_multiples m, const float *scale, const float *bend, int n);

/* ---------------------------------------------------------------------------------------------------------------
 * A codebook, laid out for searching
 */
enum cut_grid_id {
    CUT_GRID_IQ2_XXS, CUT_GRID_IQ2_XS, CUT_GRID_IQ2_S, CUT_GRID_IQ3_XXS, CUT_GRID_IQ3_S, CUT_GRID_IQ1,
    CUT_GRID_COUNT
};
enum { CUT_GRID_LEVELS = 8, CUT_GRID_ENTRIES = 2048, CUT_GRID_HALVES = 81, CUT_GRID_POINTS = 81 * 81 };

struct cut_grid {
    int dim, levels, entries;      /* weights in a point: 8 or 4; values that a weight can take: 3 or 8 */
    int halves;                    /* levels^(dim / 2): what half a point can be, as a number in base `levels` */
    float value[CUT_GRID_LEVELS];  /* ascending */
    const int8_t *points;          /* (entries, dim) */
    uint8_t lower[CUT_GRID_ENTRIES], upper[CUT_GRID_ENTRIES];      /* of every entry: its halves */
    /* entries in the order of their lower halves: those with lower half h are order[first[h]] to order[first[h + 1] - 1] */
    uint16_t first[CUT_GRID_HALVES + 1], order[CUT_GRID_ENTRIES];
    uint8_t partner[CUT_GRID_ENTRIES];     /* upper[order[i]] */
    uint16_t guess[CUT_GRID_POINTS];       /* the entry nearest to any point, listed or not, all weights counting the same */
};
/* Made on first use, by whichever thread comes first; then constant. */
const struct cut_grid *cut_grid_get(enum cut_grid_id id);
/* The entry nearest to the point with these levels when all its weights count the same; listed: it is that point. */
int cut_grid_guess(const struct cut_grid *g, const int *level, bool *listed);
/* The entry that costs least, when weight k at level l costs cost[l][k], at least 0, and 0 for some l. Exact. From
 * any guess; a good one saves time. */
int cut_grid_nearest(const struct cut_grid *g, const float (*cost)[8], int guess);

/* ---------------------------------------------------------------------------------------------------------------
 * A block of 256 fitted: the form that iq1, iq2 and iq3 have in common, before its bits are packed
 *
 *   w[i] = d * unit * (2 s + 1) * sign * (value + shift)
 */
enum cut_iq_signs {
    CUT_SIGNS_FREE,                /* eight, stored */
    CUT_SIGNS_EVEN,                /* seven stored, the eighth makes the number of minuses even */
    CUT_SIGNS_NONE                 /* the codebook has them */
};

struct cut_iq_form {
    enum cut_grid_id grid;
    enum cut_iq_signs signs;
    int sub;                       /* weights that share s: 16 or 32 */
    int scales;                    /* s is 0 to scales - 1 */
    float unit;                    /* of the format's table */
    float shift;                   /* the values are shifted by +shift or -shift; 0: no such choice */
    int shared;                    /* weights that share the direction of the shift: 8 or 32 */
};
struct cut_iq_fit {
    uint16_t d;
    uint8_t s[16];                 /* one for each `sub` */
    uint16_t entry[64];            /* one for each point */
    uint8_t signs[32];             /* one bit for each weight, set: minus */
    bool down[32];                 /* for each eight: the shift is -shift */
};
/* All zero, when the weights are. importance may be NULL. */
void cut_iq_fit(const struct cut_iq_form *f, const float *x, const float *importance, struct cut_iq_fit *out);

#endif
