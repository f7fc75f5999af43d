/* bench.c - tokens per second, as llama-bench counts them: prefill of p tokens, and decode of n single tokens, both behind `depth`
 * others (0: an empty cache), decode in one sequence or several together; sampling and text left out.
 *
 * The tokens follow from a fixed seed, so every run does the same work; their values hardly matter to the speed of a
 * dense model. The first round warms up the pages of the file, the caches and the clock of the processor, and is not
 * counted. The result is the median: one disturbed round does not move it. */
#include "engine/run/session.h"

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
    double prefill;            /* seconds that of the last round took; 0: there was none */
    int n_seq;                 /* at least 1 */
};

static enum cut_status tell(struct bench *b, const char *what, struct cut_err *err) {
    double now = cut_clock();
    if (!b->progress || now - b->told < MOMENT) return CUT_OK;
    b->told = now;
    if (b->progress(b->user, b->made / b->total, what)) return CUT_OK;
    return cut_fail(err, CUT_ECANCEL, "the measurement was stopped");
}

/* The same n tokens at the end of sequences [0, n_seq), in one pass if they fit. */
static enum cut_status evaluate(struct bench *b, const int32_t *ids, int n, int n_seq, struct cut_err *err) {
    enum cut_stop why = CUT_STOP_DONE;
    enum cut_status status = CUT_OK;
    for (int i = 0; i < n_seq && !status; i++) status = cut_session_feed(b->s, i, ids, n, 0, err);
    if (!status) status = cut_session_run(b->s, &why, err);
    if (!status && why == CUT_STOP_BREAK)
        return cut_fail(err, CUT_EUSAGE, "the measurement met a breakpoint: clear it first");
    b->made += n * n_seq;
    return status;
}

static bool tell_of_pass(void *user, double part, const char *what) {
    const struct bench *b = user;
    return b->progress(b->user, (b->made + part * b->o->p) / b->total, what);
}

/* The tokens of a prefill, which may take long: with somebody listening, on a thread of their own. */
static enum cut_status prefill(struct bench *b, const char *what, struct cut_err *err) {
    double start = cut_clock();
    enum cut_status status = cut_session_feed(b->s, 0, b->ids + b->o->depth, b->o->p, 0, err);
    if (!status) status = cut_session_run_aside(b->s, b->prefill, b->progress ? tell_of_pass : NULL, b, what, err);
    b->prefill = cut_clock() - start;
    b->made += b->o->p;
    return status;
}

/* Every sequence cut back to its first `depth` tokens, or made as long. */
static enum cut_status set_depth(struct bench *b, int depth, struct cut_err *err) {
    enum cut_status status = CUT_OK;
    for (int i = 0; i < b->n_seq && !status; i++) {
        int have;
        status = cut_session_truncate(b->s, i, depth, err);
        cut_session_tokens(b->s, i, &have);
        for (int n; have < depth && !status; have += n) {
            n = cut_min(512, depth - have);
            status = cut_session_pad(b->s, i, b->ids + have, n, err);
            if (!status) status = tell(b, "filling the cache", err);
        }
    }
    return status;
}

static enum cut_status round_of(struct bench *b, const char *what, struct cut_bench_result *sum, struct cut_bench_round *out,
                                struct cut_err *err) {
    const struct cut_bench_opts *o = b->o;
    struct cut_bench_round r = { 0 };
    struct cut_counters c0, c1;
    enum cut_status status = CUT_OK;
    double start;
    if (o->p) {
        if ((status = set_depth(b, o->depth, err))) return status;
        c0 = cut_session_counters(b->s);
        if ((status = prefill(b, what, err))) return status;
        r.prefill_tps = o->p / b->prefill;
        c1 = cut_session_counters(b->s);
        sum->prefill_bytes = c1.bytes - c0.bytes;
        sum->prefill_flops = c1.flops - c0.flops;
        if ((status = tell(b, what, err))) return status;
    }
    if (o->n) {
        if ((status = set_depth(b, o->depth, err))) return status;
        c0 = cut_session_counters(b->s);
        start = cut_clock();
        for (int i = 0; i < o->n; i++) {
            status = evaluate(b, b->ids + o->depth + i, 1, b->n_seq, err);
            if (!status) status = tell(b, what, err);
            if (status) return status;
        }
        r.decode_tps = (double)o->n * b->n_seq / (cut_clock() - start);
        c1 = cut_session_counters(b->s);
        sum->decode_bytes = c1.bytes - c0.bytes;
        sum->decode_flops = c1.flops - c0.flops;
    }
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
    int room = n_cells - cut_max(o->p, o->n);
    if (o->depth < 0 || o->depth > room)
        return cut_fail(err, CUT_EUSAGE, "--depth %d: must be in [0, %d], the context less the tokens of %s", o->depth, room,
                        o->p > o->n ? "prefill" : "decode");
    if (o->n_seq < 0 || o->n_seq > cut_session_opts(s)->n_seq)
        return cut_fail(err, CUT_EUSAGE, "--sequences %d: must be in [1, %d], those of the session", o->n_seq, cut_session_opts(s)->n_seq);
    if (o->p == 0 && o->n == 0) return cut_fail(err, CUT_EUSAGE, "-p 0 -n 0: nothing to measure");
    int most = (int)CUT_LEN(((struct cut_bench_result *)0)->round);
    if (o->r < 1 || o->r > most) return cut_fail(err, CUT_EUSAGE, "-r %d: must be in [1, %d]", o->r, most);
    return CUT_OK;
}

enum cut_status cut_bench(struct cut_session *s, const struct cut_bench_opts *o, cut_progress_fn progress, void *user,
                          struct cut_bench_result *out, struct cut_err *err) {
    struct cut_bench_result result = { 0 };
    struct bench b = { .s = s, .o = o, .progress = progress, .user = user,
                       .n_seq = cut_max(1, o->n_seq) };
    enum cut_status status = check(s, o, err);
    if (status) return status;
    b.total = ((double)o->r + 1) * ((double)o->p + (double)o->n * b.n_seq);
    int n_ids = o->depth + cut_max(o->p, o->n);
    b.ids = cut_calloc((size_t)n_ids, sizeof *b.ids, "bench tokens", err);
    if (!b.ids) return CUT_ENOMEM;
    uint64_t rng = SEED, n_vocab = (uint64_t)cut_model_config(cut_session_model(s))->n_vocab;
    for (int i = 0; i < n_ids; i++) b.ids[i] = (int32_t)(cut_rng_next(&rng) % n_vocab);

    struct cut_bench_round warm_up;
    for (int i = 0; i < b.n_seq && !status; i++) status = cut_session_truncate(s, i, 0, err);
    if (!status) status = round_of(&b, "warm-up", &result, &warm_up, err);
    for (int i = 0; !status && i < o->r; i++) {
        char what[32];
        snprintf(what, sizeof what, "round %d of %d", i + 1, o->r);
        status = round_of(&b, what, &result, &result.round[i], err);
    }
    for (int i = 0; i < b.n_seq && !status; i++) status = cut_session_truncate(s, i, 0, err);
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
