/* ops.c - demonstrations of the operations a transformer is made of: the same result computed in several ways, with what each
 * costs. One after the other, timed by repetition. The fastest of five runs counts: whatever else the machine does only adds to a time. */
#include <stdarg.h>

#include "engine/tools/ops.h"

enum { RUNS = 5 };

static const struct { const char *name, *about; enum cut_status (*run)(struct cut_ops *x); } demos[CUT_OPS_DEMOS] = {
    { "matmul", "C = A B, the orders of its three loops, tiles, vectors, threads", cut_ops_matmul },
    { "norm", "RMSNorm: y = x / sqrt(mean(x^2) + eps) * w", cut_ops_norm },
    { "elementwise", "sums, SiLU, GELU and SwiGLU: one number in, one out", cut_ops_elementwise },
    { "attention", "softmax(q.K / sqrt(d)) V in three steps, and in one pass", cut_ops_attention },
    { "types", "number formats: size, error, and the speed of a product", cut_ops_types },
    { "graph", "a model as a graph: its nodes, and the steps they are fused to", cut_ops_graph },
};

const char *cut_ops_name(int demo) { return demos[demo].name; }
const char *cut_ops_about(int demo) { return demos[demo].about; }

float *cut_ops_floats(struct cut_ops *x, size_t n) {
    float *p = cut_alloc_aligned(n * sizeof *p, "numbers to compute with", x->err);
    for (size_t i = 0; p && i < n; i++) p[i] = 2 * cut_rng_float(&x->seed) - 1;
    return p;
}

static enum cut_status report(struct cut_ops *x, struct cut_ops_row *row, const char *what, va_list ap) {
    vsnprintf(row->what, sizeof row->what, what, ap);
    row->demo = x->demo;
    return x->fn(x->user, row) ? CUT_OK : cut_fail(x->err, CUT_ECANCEL, "the demonstration was stopped");
}

/* The largest difference, as a share of the largest number that should come out. */
static double error_of(const struct cut_ops_case *c) {
    double off = 0, most = 0;
    for (size_t i = 0; c->want && i < c->n; i++) {
        off = fmax(off, fabs((double)c->got[i] - (double)c->want[i]));
        most = fmax(most, fabs((double)c->want[i]));
    }
    return most > 0 ? off / most : off;
}

static double run_often(cut_ops_work work, void *arg, long times) {
    double start = cut_clock();
    for (long i = 0; i < times; i++) work(arg);
    return cut_clock() - start;
}

enum cut_status cut_ops_time(struct cut_ops *x, cut_ops_work work, void *arg, const struct cut_ops_case *c, const char *what, ...) {
    double best = INFINITY, long_enough = x->o->seconds / RUNS;
    long times = 1;
    while (run_often(work, arg, times) < long_enough && times < 1L << 30) times *= 2;     /* this also warms up */
    for (int i = 0; i < RUNS; i++) best = fmin(best, run_often(work, arg, times) / (double)times);
    struct cut_ops_row row = { .seconds = best, .flops = c->flops, .bytes = c->bytes, .error = error_of(c), .checked = c->want };
    snprintf(row.note, sizeof row.note, "%s", c->note ? c->note : "");
    va_list ap;
    va_start(ap, what);
    enum cut_status st = report(x, &row, what, ap);
    va_end(ap);
    return st;
}

enum cut_status cut_ops_count(struct cut_ops *x, int count, const char *note, const char *what, ...) {
    struct cut_ops_row row = { .count = count };
    snprintf(row.note, sizeof row.note, "%s", note);
    va_list ap;
    va_start(ap, what);
    enum cut_status st = report(x, &row, what, ap);
    va_end(ap);
    return st;
}

enum cut_status cut_ops(int demo, const struct cut_ops_opts *o, cut_ops_fn fn, void *user, struct cut_err *err) {
    struct cut_ops x = { .o = o, .fn = fn, .user = user, .err = err, .seed = 1 };
    if (demo < 0 || demo >= CUT_OPS_DEMOS) return cut_fail(err, CUT_EUSAGE, "demonstration %d: must be in [0, %d]", demo,
                                                           CUT_OPS_DEMOS - 1);
    if (o->size < 32 || o->size > 4096 || o->size % 32)
        return cut_fail(err, CUT_EUSAGE, "size %d: must be a multiple of 32 in [32, 4096]", o->size);
    if (!(o->seconds > 0 && o->seconds <= 60)) return cut_fail(err, CUT_EUSAGE, "seconds %g: must be in (0, 60]", o->seconds);
    cut_kernels_init(&x.ref, CUT_TIER_REF);
    cut_kernels_init(&x.fast, o->tier);
    x.demo = demos[demo].name;
    return demos[demo].run(&x);
}
