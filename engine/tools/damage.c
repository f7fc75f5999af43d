/* damage.c - how far one distribution over the vocabulary is from another, and what that comes to over a text.
 *
 *   ln p_v = x_v - max x - ln sum_u exp(x_u - max x)       the log-sum-exp form: nothing overflows
 *
 * The statistics, and how their errors are estimated, are those of llama.cpp's perplexity tool, so that numbers can be compared. */
#include <math.h>

#include "engine/tools/damage.h"

/* A row of logits, ready for ln p_v = x_v - shift. */
struct row { const float *x; double shift; int32_t top; };

static struct row make_row(const float *x, int n) {
    struct row r = { .x = x };
    double sum = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[r.top]) r.top = i;
    for (int i = 0; i < n; i++) sum += exp((double)x[i] - (double)x[r.top]);
    r.shift = (double)x[r.top] + log(sum);
    return r;
}

static double ln_p(const struct row *r, int32_t v) { return (double)r->x[v] - r->shift; }

double cut_surprise(const float *x, int n, int32_t id) {
    struct row r = make_row(x, n);
    return -ln_p(&r, id);
}

void cut_diverge(const float *ref, const float *x, int n, int32_t id, struct cut_divergence *out) {
    struct row p = make_row(ref, n), q = ref == x ? p : make_row(x, n);
    double kl = 0;
    for (int v = 0; ref != x && v < n; v++) {
        double lp = ln_p(&p, v), weight = exp(lp);
        if (weight > 0) kl += weight * (lp - ln_p(&q, v));     /* p ln p is 0 at p = 0 */
    }
    *out = (struct cut_divergence){ .kl = kl, .logp = id < 0 ? 0 : ln_p(&p, id), .logq = id < 0 ? 0 : ln_p(&q, id),
                                    .top_ref = p.top, .top = q.top, .p_top_ref = exp(ln_p(&p, p.top)), .p_top = exp(ln_p(&q, q.top)) };
}

enum cut_status cut_tally_init(struct cut_tally *t, size_t cap, struct cut_err *err) {
    *t = (struct cut_tally){ .cap = cap };
    t->value = cut_calloc(cap, sizeof *t->value, "measurements", err);
    return t->value ? CUT_OK : CUT_ENOMEM;
}

void cut_tally_done(struct cut_tally *t) { free(t->value); }

void cut_tally_add(struct cut_tally *t, const struct cut_divergence *d) {
    double dp = exp(d->logq) - exp(d->logp);
    cut_moments_add(&t->ref, -d->logp);
    cut_moments_add(&t->x, -d->logq);
    cut_moments_add(&t->ratio, d->logp - d->logq);
    cut_moments_add(&t->kl, d->kl);
    cut_moments_add(&t->dp, dp);
    cut_moments_add(&t->dp_squared, dp * dp);
    t->same += d->top == d->top_ref;
    t->up += dp > 0;
    t->down += dp < 0;
    if (t->n < t->cap) t->value[t->n] = d->kl;
    t->n++;
}

void cut_moments_tell(struct cut_moments m, uint64_t n, double *mean, double *error) {
    *mean = n ? m.sum / (double)n : 0;
    double spread = n ? m.squares / (double)n - *mean * *mean : 0;
    *error = n > 1 && spread > 0 ? sqrt(spread / (double)(n - 1)) : 0;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of sorted values, interpolated between neighbours. */
static double percentile(const double *v, size_t n, double part) {
    double at = part * (double)(n - 1);
    size_t i = (size_t)at;
    return i + 1 < n ? v[i] + (at - (double)i) * (v[i + 1] - v[i]) : v[n - 1];
}

void cut_tally_tell(const struct cut_tally *t, struct cut_damage *out) {
    struct cut_damage d = { .tokens = t->n, .dp_up = t->up, .dp_down = t->down };
    if (!t->n) {
        *out = d;
        return;
    }
    /* The error of a function f of a mean is, to first order, |f'| times the mean's: exp for perplexity, a root for the rms. */
    double mean, error;
    cut_moments_tell(t->ref, t->n, &mean, &error);
    d.ppl_ref = exp(mean);
    d.ppl_ref_error = error * d.ppl_ref;
    cut_moments_tell(t->x, t->n, &mean, &error);
    d.ppl = exp(mean);
    d.ppl_error = error * d.ppl;
    cut_moments_tell(t->ratio, t->n, &d.ln_ratio, &d.ln_ratio_error);
    cut_moments_tell(t->kl, t->n, &d.kl, &d.kl_error);
    cut_moments_tell(t->dp, t->n, &d.dp, &d.dp_error);
    cut_moments_tell(t->dp_squared, t->n, &mean, &error);
    d.dp_rms = sqrt(mean);
    d.dp_rms_error = mean > 0 ? error / (2 * d.dp_rms) : 0;
    d.same_top = (double)t->same / (double)t->n;
    d.same_top_error = t->n > 1 ? sqrt(d.same_top * (1 - d.same_top) / (double)(t->n - 1)) : 0;

    size_t n = t->n < t->cap ? (size_t)t->n : t->cap;
    qsort(t->value, n, sizeof *t->value, ascending);
    d.kl_median = percentile(t->value, n, 0.5);
    d.kl_p90 = percentile(t->value, n, 0.9);
    d.kl_p95 = percentile(t->value, n, 0.95);
    d.kl_p99 = percentile(t->value, n, 0.99);
    d.kl_max = t->value[n - 1];
    *out = d;
}
