/* damage.h - sums over tokens from which a cut_damage is told. Internal to the jobs. */
#ifndef CUT_DAMAGE_H
#define CUT_DAMAGE_H

#include "engine/base/base.h"

/* A mean and its error need the sum and the sum of squares. */
struct cut_moments { double sum, squares; };

struct cut_tally {
    uint64_t n;
    struct cut_moments ref, x, ratio;      /* -ln p of the token that came, by either; ln(p_ref / p) */
    struct cut_moments kl, dp, dp_squared;
    uint64_t same, up, down;
    double *value;             /* the KL of each, in any order: for the percentiles */
    size_t cap;
};

/* Room for cap tokens. */
enum cut_status cut_tally_init(struct cut_tally *t, size_t cap, struct cut_err *err);
void cut_tally_done(struct cut_tally *t);
/* One more token; at most cap of them. */
void cut_tally_add(struct cut_tally *t, const struct cut_divergence *d);
/* Sorts the values. */
void cut_tally_tell(const struct cut_tally *t, struct cut_damage *out);

static inline void cut_moments_add(struct cut_moments *m, double x) { m->sum += x; m->squares += x * x; }
/* The mean of n, and its standard error. */
void cut_moments_tell(struct cut_moments m, uint64_t n, double *mean, double *error);

/* -ln softmax(x)[id] */
double cut_surprise(const float *x, int n, int32_t id);

#endif
