/* speed.c - what repeated measurements say: the middle, the spread, and whether two of them differ.
 *
 * Times have a floor and a long tail: something else ran. So the median stands for a sample and the distance between its quartiles for
 * the spread, and a comparison looks at ranks, not at means. */
#include <math.h>

#include "engine/base/base.h"

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value a share p of a sorted sample lies below, between neighbours in proportion. */
static double quantile(const double *x, int n, double p) {
    double at = p * (n - 1);
    int i = (int)at;
    return i + 1 < n ? x[i] + (at - i) * (x[i + 1] - x[i]) : x[n - 1];
}

void cut_speed_of(struct cut_speed *out, const double *runs, int n) {
    double x[CUT_LEN(out->run)];
    *out = (struct cut_speed){ .n = cut_min(n, (int)CUT_LEN(x)) };
    if (out->n <= 0) return;
    memcpy(out->run, runs, (size_t)out->n * sizeof *x);
    memcpy(x, out->run, (size_t)out->n * sizeof *x);
    qsort(x, (size_t)out->n, sizeof *x, ascending);
    out->median = quantile(x, out->n, 0.5);
    out->q1 = quantile(x, out->n, 0.25);
    out->q3 = quantile(x, out->n, 0.75);
    out->noisy = out->q3 - out->q1 > 0.05 * out->median;
}

/* In how many of the ways to spread na + nb ranks over two samples has the first a given U? Counted one element at a time: the largest is
 * in a (it is above all nb of b) or in b. ways[i][u] for i elements of a so far; Mann and Whitney 1947, section 3. */
double cut_rank_test(const double *a, int na, const double *b, int nb) {
    enum { MOST = 16 };
    if (na < 1 || nb < 1 || na > MOST || nb > MOST) return 1;
    double u = 0;
    for (int i = 0; i < na; i++)
        for (int j = 0; j < nb; j++) u += a[i] > b[j] ? 1 : a[i] == b[j] ? 0.5 : 0;
    double least = fmin(u, na * nb - u);

    static const int cells = MOST * MOST + 1;
    double ways[MOST + 1][MOST * MOST + 1];
    memset(ways, 0, sizeof ways);
    for (int i = 0; i <= na; i++) ways[i][0] = 1;          /* with nothing in b, U is 0 in the one way there is */
    for (int j = 1; j <= nb; j++)
        for (int i = 1; i <= na; i++)
            for (int v = cells - 1; v >= 0; v--)           /* ways[i] still counts j - 1 of b, ways[i - 1] already j */
                ways[i][v] += v >= j ? ways[i - 1][v - j] : 0;
    double below = 0, all = 0;
    for (int v = 0; v <= na * nb; v++) {
        all += ways[na][v];
        if (v <= least) below += ways[na][v];
    }
    return fmin(1, 2 * below / all);
}

/* Gunther 1993: with n threads the speed is lambda n / (1 + sigma (n - 1) + kappa n (n - 1)). sigma is the part that does not run side by
 * side, or waits for a memory that is busy; kappa what every thread costs every other. With r = lambda n / speed - 1 that is
 *
 *   r / (n - 1)  =  sigma + kappa n
 *
 * a straight line in n. sigma and kappa cannot be negative: a line that wants one to be is refitted with it at 0. */
bool cut_usl_fit(struct cut_usl *out, const int *threads, const double *tps, int n) {
    double one = 0, m = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (int i = 0; i < n; i++)
        if (threads[i] == 1) one = tps[i];
    if (!(one > 0)) return false;
    for (int i = 0; i < n; i++) {
        if (threads[i] < 2 || !(tps[i] > 0)) continue;
        double x = threads[i], y = (one * x / tps[i] - 1) / (x - 1);
        m++, sx += x, sy += y, sxx += x * x, sxy += x * y;
    }
    if (m == 0) return false;
    double spread = m * sxx - sx * sx;
    struct cut_usl f = { .lambda = one };
    if (spread > 0) {
        f.kappa = (m * sxy - sx * sy) / spread;
        f.sigma = (sy - f.kappa * sx) / m;
    } else {
        f.sigma = sy / m;
    }
    if (f.kappa < 0) f.kappa = 0, f.sigma = sy / m;
    if (f.sigma < 0) f.sigma = 0, f.kappa = spread > 0 ? fmax(0, sxy / sxx) : 0;
    f.best = f.sigma >= 1 ? 1 : f.kappa > 0 ? fmax(1, sqrt((1 - f.sigma) / f.kappa)) : INFINITY;   /* sigma 1: two do no more than one */
    *out = f;
    return true;
}

double cut_usl_at(const struct cut_usl *f, double n) { return f->lambda * n / (1 + f->sigma * (n - 1) + f->kappa * n * (n - 1)); }
