/* peaks.c - what this machine can do at most: bytes read from memory a second, multiplications and additions a second.
 *
 * A roofline (Williams, Waterman and Patterson 2009) needs both: a step that makes f operations for each byte it reads runs at
 * min(peak operations, f x bandwidth) at best. Every number is the best of several runs, in which all threads start
 * together and the last one counts: a peak is what the machine can do, and whatever disturbs it only takes away. */
#include "engine/base/pool.h"
#include "engine/kernels/peaks.h"

enum { TRIES = 7, MOST_LOOPS = 16 };
#define WHOLE ((size_t)256 << 20)      /* bytes to read: several times the largest caches */
#define UNIT 4096                      /* what threads share it in */

struct trial {
    struct cut_pool *pool;
    const struct cut_peak_loop *loop;  /* NULL: reading */
    uint64_t rounds;
    uint8_t *memory;
    size_t bytes;
};

static void touch(void *arg, int thread, int n_threads) {
    struct trial *t = arg;
    int p0, p1;
    cut_share((int)(t->bytes / UNIT), 1, thread, n_threads, &p0, &p1);
    memset(t->memory + (size_t)p0 * UNIT, 1, (size_t)(p1 - p0) * UNIT);     /* pages live near who writes them first */
}

static void work(void *arg, int thread, int n_threads) {
    struct trial *t = arg;
    int p0, p1;
    if (t->loop) {
        t->loop->run(t->rounds);
        return;
    }
    cut_share((int)(t->bytes / UNIT), 1, thread, n_threads, &p0, &p1);
    cut_peak_read(t->memory + (size_t)p0 * UNIT, (size_t)(p1 - p0) * UNIT);
}

static double seconds(struct trial *t) {
    double start = cut_clock();
    cut_pool_run(t->pool, work, t);
    return cut_clock() - start;
}

static double best_of(struct trial *t, double *median) {
    double all[TRIES];
    for (int i = 0; i < TRIES; i++) {
        double s = seconds(t);
        int at = i;
        for (; at > 0 && all[at - 1] > s; at--) all[at] = all[at - 1];
        all[at] = s;
    }
    *median = all[TRIES / 2];
    return all[0];
}

/* Operations a second. The rounds are doubled until a run is long enough for the clock and short enough for the patience. */
static void compute(struct trial *t, const struct cut_peak_loop *loop, double long_enough, struct cut_peak *out) {
    double median;
    t->loop = loop;
    for (t->rounds = 1024; seconds(t) < long_enough; t->rounds *= 2) {}
    double best = best_of(t, &median), ops = (double)t->rounds * loop->ops * cut_pool_size(t->pool);
    *out = (struct cut_peak){ loop->kind, loop->tier, loop->instruction, cut_pool_size(t->pool), ops / best, ops / median };
}

static void bandwidth(struct trial *t, struct cut_peak *out) {
    double median;
    t->loop = NULL;
    double best = best_of(t, &median);
    *out = (struct cut_peak){ CUT_PEAK_READ, CUT_TIER_AUTO, "read", cut_pool_size(t->pool),
                              (double)t->bytes / best, (double)t->bytes / median };
}

/* Everything that a number of threads has to show. */
static enum cut_status with_threads(struct cut_peaks *p, int threads, bool loops_too, const struct cut_peaks_opts *o,
                                    double *part, double step,
                                    cut_progress_fn progress, void *user, struct cut_err *err) {
    struct cut_peak_loop loop[MOST_LOOPS];
    int n = loops_too ? cut_peak_loops(loop, MOST_LOOPS) : 0;
    struct trial t = { .bytes = o->bytes ? cut_round_up(o->bytes, UNIT) : WHOLE };
    char what[64];
    enum cut_status st = cut_pool_new(&t.pool, threads, err);
    if (!st && !(t.memory = cut_alloc_huge(t.bytes, "memory to read", err))) st = CUT_ENOMEM;
    if (!st) cut_pool_run(t.pool, touch, &t);
    for (int i = -1; !st && i < n && p->n < (int)CUT_LEN(p->peak); i++) {
        snprintf(what, sizeof what, "%s, %d thread%s", i < 0 ? "reading" : loop[i].instruction, threads, threads == 1 ? "" : "s");
        if (progress && !progress(user, *part, what)) st = cut_fail(err, CUT_ECANCEL, "the measurement was stopped");
        else if (i < 0) bandwidth(&t, &p->peak[p->n++]);
        else compute(&t, &loop[i], o->seconds > 0 ? o->seconds : 0.02, &p->peak[p->n++]);
        *part += step;
    }
    cut_free_aligned(t.memory);
    cut_pool_free(t.pool);
    return st;
}

enum cut_status cut_peaks(struct cut_peaks *out, const struct cut_peaks_opts *o, cut_progress_fn progress, void *user,
                          struct cut_err *err) {
    struct cut_peaks p = { 0 };
    struct cut_peak_loop loop[MOST_LOOPS];
    int most = o->threads ? o->threads : cut_cpu_count(), n_loops = cut_peak_loops(loop, MOST_LOOPS), counts = 0;
    double part = 0;
    if (most < 1 || most > 256) return cut_fail(err, CUT_EUSAGE, "threads %d: must be in [1, 256]", most);
    for (int t = 1; t < most; t *= 2) counts++;
    double step = 1.0 / (counts + 1 + n_loops * (most > 1 ? 2 : 1));
    enum cut_status st = CUT_OK;
    for (int t = 1; !st && t < most; t *= 2) st = with_threads(&p, t, t == 1, o, &part, step, progress, user, err);
    if (!st) st = with_threads(&p, most, true, o, &part, step, progress, user, err);
    if (!st) *out = p;
    return st;
}

double cut_peak_rate(const struct cut_peaks *p, enum cut_peak_kind kind, enum cut_tier tier, int threads) {
    double best = 0;
    for (int i = 0; i < p->n; i++) {
        const struct cut_peak *k = &p->peak[i];
        bool fits = k->kind == kind && k->threads == threads && (kind == CUT_PEAK_READ || k->tier == tier);
        if (fits && k->rate > best) best = k->rate;
    }
    return best;
}

const char *cut_peak_name(enum cut_peak_kind kind) {
    static const char *const names[] = { "read", "f32", "int8", "bf16" };
    return names[kind];
}
