/* bench.c - tokens per second, as llama-bench counts them: prefill of p tokens and decode of n single tokens, each from
 * an empty cache, sampling and text left out.
 *
 * The tokens follow from a fixed seed, so every run does the same work; their values hardly matter to the speed of a
 * dense model. The first round warms up the pages of the file, the caches and the clock of the processor, and is not
 * counted. The result is the median: one disturbed round does not move it. */
#include "engine/base/base.h"

#define SEED 42
#define MOMENT 0.05        /* seconds between two calls of progress */

struct bench {
    struct cut_session *s;
    const struct cut_bench_opts *o;
    int32_t *ids;              /* [max(p, n)] */
    cut_progress_fn progress;
    void *user;
    double told;               /* when progress was last called */
    double total, made;        /* tokens of all rounds, and those evaluated */
};

static enum cut_status tell(struct bench *b, const char *what, struct cut_err *err) {
    double now = cut_clock();
    if (!b->progress || now - b->told < MOMENT) return CUT_OK;
    b->told = now;
    if (b->progress(b->user, b->made / b->total, what)) return CUT_OK;
    return cut_fail(err, CUT_ECANCEL, "the measurement was stopped");
}

static enum cut_status evaluate(struct bench *b, const int32_t *ids, int n, struct cut_err *err) {
    enum cut_stop why = CUT_STOP_DONE;
    enum cut_status status = cut_session_feed(b->s, 0, ids, n, 0, err);
    if (!status) status = cut_session_run(b->s, &why, err);
    if (!status && why == CUT_STOP_BREAK)
        return cut_fail(err, CUT_EUSAGE, "the measurement met a breakpoint: clear it first");
    b->made += n;
    return status;
}

static enum cut_status round_of(struct bench *b, const char *what, struct cut_bench_round *out, struct cut_err *err) {
    struct cut_bench_round r = { 0 };
    enum cut_status status = cut_session_truncate(b->s, 0, 0, err);
    if (status) return status;
    double start = cut_clock();
    if (b->o->p) {
        status = evaluate(b, b->ids, b->o->p, err);
        if (status) return status;
        r.prefill_tps = b->o->p / (cut_clock() - start);
        status = tell(b, what, err);
        if (!status) status = cut_session_truncate(b->s, 0, 0, err);
        if (status) return status;
    }
    start = cut_clock();
    for (int i = 0; i < b->o->n; i++) {
        status = evaluate(b, b->ids + i, 1, err);
        if (!status) status = tell(b, what, err);
        if (status) return status;
    }
    if (b->o->n) r.decode_tps = b->o->n / (cut_clock() - start);
    *out = r;
    return CUT_OK;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int n) {
    qsort(x, (size_t)n, sizeof *x, ascending);
    return (x[(n - 1) / 2] + x[n / 2]) / 2;
}

static enum cut_status check(const struct cut_session *s, const struct cut_bench_opts *o, struct cut_err *err) {
    int n_cells = cut_session_opts(s)->n_ctx;
    if (o->p < 0 || o->p > n_cells)
        return cut_fail(err, CUT_EUSAGE, "-p %d: must be in [0, %d], the context", o->p, n_cells);
    if (o->n < 0 || o->n > n_cells)
        return cut_fail(err, CUT_EUSAGE, "-n %d: must be in [0, %d], the context", o->n, n_cells);
    if (o->p == 0 && o->n == 0) return cut_fail(err, CUT_EUSAGE, "-p 0 -n 0: nothing to measure");
    int most = (int)CUT_LEN(((struct cut_bench_result *)0)->round);
    if (o->r < 1 || o->r > most) return cut_fail(err, CUT_EUSAGE, "-r %d: must be in [1, %d]", o->r, most);
    return CUT_OK;
}

enum cut_status cut_bench(struct cut_session *s, const struct cut_bench_opts *o, cut_progress_fn progress, void *user,
                          struct cut_bench_result *out, struct cut_err *err) {
    struct cut_bench_result result = { 0 };
    struct bench b = { .s = s, .o = o, .progress = progress, .user = user,
                       .total = ((double)o->r + 1) * ((double)o->p + o->n) };
    enum cut_status status = check(s, o, err);
    if (status) return status;
    int n_ids = cut_max(o->p, o->n);
    b.ids = cut_calloc((size_t)n_ids, sizeof *b.ids, "bench tokens", err);
    if (!b.ids) return CUT_ENOMEM;
    uint64_t rng = SEED, n_vocab = (uint64_t)cut_model_config(cut_session_model(s))->n_vocab;
    for (int i = 0; i < n_ids; i++) b.ids[i] = (int32_t)(cut_rng_next(&rng) % n_vocab);

    struct cut_bench_round warm_up;
    status = round_of(&b, "warm-up", &warm_up, err);
    for (int i = 0; !status && i < o->r; i++) {
        char what[32];
        snprintf(what, sizeof what, "round %d of %d", i + 1, o->r);
        status = round_of(&b, what, &result.round[i], err);
    }
    if (!status) status = cut_session_truncate(s, 0, 0, err);
    if (!status) {
        double prefill[CUT_LEN(result.round)], decode[CUT_LEN(result.round)];
        for (int i = 0; i < o->r; i++) {
            prefill[i] = result.round[i].prefill_tps;
            decode[i] = result.round[i].decode_tps;
        }
        result.prefill_tps = median(prefill, o->r);
        result.decode_tps = median(decode, o->r);
        *out = result;
    }
    free(b.ids);
    return status;
}
