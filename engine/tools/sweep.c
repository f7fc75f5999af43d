/* sweep.c - the same work with more threads, behind a longer context, by other kernels, for several sequences at once: what each of
 * them costs or buys.
 *
 * One call measures one point, so that whoever asks can draw it, and stop, before the next. A point is a few rounds of decode (or of
 * prefill) in a session of its own, and one more round with the profile on, which tells how long threads waited. */
#include <math.h>

#include "engine/base/base.h"

/* Of the time the threads had between the first step's start and the last one's end, the part they did not work. */
static double waited(const struct cut_profile *p) {
    int64_t worked = 0, had = p->step[p->n_steps - 1].t1 - p->step[0].t0;
    for (int i = 0; i < p->n_steps * p->n_threads; i++) worked += p->span[i].t1 - p->span[i].t0;
    return had > 0 ? 1 - (double)worked / ((double)had * p->n_threads) : 0;
}

/* FNV-1a over the bits of the last logits: equal when every byte is. */
static uint64_t print_of(const float *x, int n) {
    uint64_t h = 0xcbf29ce484222325u;
    const uint8_t *b = (const uint8_t *)x;
    for (size_t i = 0; i < (size_t)n * sizeof *x; i++) h = (h ^ b[i]) * 0x100000001b3u;
    return h;
}

double cut_ulps_apart(const float *a, const float *b, int n) {
    double squares = 0, most = 0;
    int finite = 0;
    for (int i = 0; i < n; i++) {
        if (!isfinite(a[i]) || !isfinite(b[i])) continue;
        squares += (double)a[i] * a[i] + (double)b[i] * b[i];
        finite++;
    }
    double floor = finite ? sqrt(squares / (2 * finite)) : 0;
    for (int i = 0; i < n; i++) {
        if (!isfinite(a[i]) || !isfinite(b[i])) {
            if (memcmp(&a[i], &b[i], sizeof *a)) most = INFINITY;
            continue;
        }
        double size = fmax(floor, fmax(fabs((double)a[i]), fabs((double)b[i])));
        if (size > 0) most = fmax(most, fabs((double)a[i] - b[i]) / ldexp(1, ilogb(size) - 23));
    }
    return most;
}

/* The rounds and the one to warm up, then the pass with the profile on and what lies before it. */
static int of_rounds(const struct cut_sweep_opts *o) { return (o->rounds + 1) * o->tokens * cut_max(1, o->n_seq); }
int cut_sweep_tokens(const struct cut_sweep_opts *o) {
    return of_rounds(o) + (o->prefill ? o->tokens : (o->depth + 1) * cut_max(1, o->n_seq));
}

/* Who listens, to whom a part of something is a part of all: `made` tokens were evaluated before it, and it is of n. */
struct listener { cut_progress_fn progress; void *user; double made, n, all; };
static bool listen(void *user, double part, const char *what) {
    const struct listener *l = user;
    return l->progress(l->user, (l->made + part * l->n) / l->all, what);
}

/* The same n tokens in every sequence; as many as the session takes in one pass, and so on: somebody may want to stop it. */
static enum cut_status run(struct cut_session *s, const int32_t *ids, int n, struct listener *l, struct cut_err *err) {
    enum cut_status st = CUT_OK;
    const int n_seq = cut_session_opts(s)->n_seq, at_once = cut_session_opts(s)->n_batch / n_seq;
    for (int i = 0, part; i < n && !st; i += part) {
        part = cut_min(at_once, n - i);
        l->n = 0;                      /* how far a pass is nobody knows */
        for (int k = 0; k < n_seq && !st; k++) st = cut_session_feed(s, k, ids + i, part, 0, err);
        if (!st) st = cut_session_run_aside(s, 0, l->progress ? listen : NULL, l, "a clock on every step", err);
        l->made += part * n_seq;
    }
    return st;
}

enum { BRIEF = 2000000, AGAIN = 9 };   /* ns of a pass; how many more */

/* A pass of microseconds may have waited for little else than threads that were asleep: the median of more of them, one right behind the
 * other. */
static enum cut_status waited_briefly(struct cut_session *s, const int32_t *ids, int n, int depth, double *out, struct cut_err *err) {
    double share[AGAIN];
    struct cut_profile p;
    struct cut_speed of_shares;
    enum cut_status st = CUT_OK;
    const int n_seq = cut_session_opts(s)->n_seq;
    for (int i = 0; i < AGAIN && !st; i++) {
        for (int k = 0; k < n_seq && !st; k++) {
            st = cut_session_truncate(s, k, depth, err);
            if (!st) st = cut_session_feed(s, k, ids, n, 0, err);
        }
        if (!st) st = cut_session_run(s, NULL, err);
        share[i] = !st && cut_session_profiled(s, &p) ? waited(&p) : 0;
    }
    if (st) return st;
    cut_speed_of(&of_shares, share, AGAIN);
    *out = of_shares.median;
    return CUT_OK;
}

/* A pass of its own behind what is there: n tokens of each sequence, with the clock on every step. */
static enum cut_status profiled(struct cut_session *s, const struct cut_sweep_opts *o, struct listener *l, struct cut_sweep_point *out,
                                struct cut_err *err) {
    struct cut_profile p;
    int n_vocab = cut_model_config(cut_session_model(s))->n_vocab, n = o->prefill ? o->tokens : 1, depth = o->prefill ? 0 : o->depth;
    int n_seq = cut_session_opts(s)->n_seq;
    int32_t *ids = cut_calloc((size_t)cut_max(n, o->depth + 1), sizeof *ids, "tokens", err);
    if (!ids) return CUT_ENOMEM;
    for (int i = 0; i < cut_max(n, o->depth + 1); i++) ids[i] = (int32_t)((uint32_t)i * 2654435761u % (uint32_t)n_vocab);
    enum cut_status st = CUT_OK;
    for (int i = 0; i < n_seq && !st; i++) st = cut_session_truncate(s, i, 0, err);
    if (!st) st = run(s, ids + 1, depth, l, err);
    struct cut_counters before = cut_session_counters(s);
    if (!st) st = cut_session_profile(s, true, err);
    if (!st) st = run(s, ids, n, l, err);
    if (!st && cut_session_profiled(s, &p)) {
        out->waited = waited(&p);
        out->bytes = out->flops = 0;
        for (int i = 0; i < p.n_steps; i++) {
            out->bytes += p.step[i].bytes;
            out->flops += p.step[i].flops;
        }
        /* What the session counts is weights and cells; token i of a sequence sees depth + i + 1 of these. */
        uint64_t cells = (uint64_t)n_seq * ((uint64_t)n * (uint64_t)depth + (uint64_t)n * ((uint64_t)n + 1) / 2);
        struct cut_counters now = cut_session_counters(s);
        out->weights = (now.bytes - before.bytes - cells * cut_session_kv(s).cell_bytes) / (now.passes - before.passes);
        out->print = print_of(cut_session_logits(s, -1), n_vocab);
        if (o->logits) memcpy(o->logits, cut_session_logits(s, -1), (size_t)n_vocab * sizeof(float));
        if (p.wall < BRIEF) st = waited_briefly(s, ids, n, depth, &out->waited, err);
    }
    if (!st) st = cut_session_profile(s, false, err);
    free(ids);
    return st;
}

enum cut_status cut_sweep_one(const struct cut_model *m, const struct cut_sweep_opts *o, cut_progress_fn progress, void *user,
                              struct cut_sweep_point *out, struct cut_err *err) {
    struct cut_sweep_point point = { 0 };
    struct cut_pool *pool = NULL;
    struct cut_session *s = NULL;
    struct cut_bench_result bench;
    if (o->tokens < 1 || o->rounds < 1 || o->rounds > (int)CUT_LEN(point.tps.run))
        return cut_fail(err, CUT_EUSAGE, "a sweep of %d tokens in %d rounds: at least 1, and at most %d rounds", o->tokens, o->rounds,
                        (int)CUT_LEN(point.tps.run));
    int n_seq = cut_max(1, o->n_seq);
    if (o->prefill && n_seq > 1) return cut_fail(err, CUT_EUSAGE, "a prefill of %d sequences: prefill is measured with one", n_seq);
    struct cut_session_opts so = { .n_ctx = o->depth + o->tokens, .n_seq = n_seq, .kv_type = CUT_F16, .tier = o->tier,
                                   .reduce = o->reduce, .attn = o->attn };
    enum cut_status st = cut_pool_new(&pool, o->threads, err);
    if (!st) st = cut_pool_pin(pool, o->cpu, o->n_cpu, err);
    so.pool = pool;
    if (!st) st = cut_session_new(&s, m, &so, err);
    struct cut_bench_opts b = { .p = o->prefill ? o->tokens : 0, .n = o->prefill ? 0 : o->tokens, .r = o->rounds,
                                .depth = o->prefill ? 0 : o->depth, .n_seq = n_seq };
    struct listener l = { progress, user, 0, of_rounds(o), cut_sweep_tokens(o) };
    if (!st) st = cut_bench(s, &b, progress ? listen : NULL, &l, &bench, err);
    l.made = of_rounds(o);
    if (!st) st = profiled(s, o, &l, &point, err);
    if (!st) {
        double runs[CUT_LEN(point.tps.run)];
        for (int i = 0; i < o->rounds; i++) runs[i] = o->prefill ? bench.round[i].prefill_tps : bench.round[i].decode_tps;
        cut_speed_of(&point.tps, runs, o->rounds);
        point.read = point.tps.median * (double)point.bytes / (o->prefill ? o->tokens : n_seq);
        *out = point;
    }
    cut_session_free(s);
    cut_pool_free(pool);
    return st;
}
