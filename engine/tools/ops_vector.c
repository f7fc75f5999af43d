/* ops_vector.c - operations whose cost is reading and writing: norms and functions of one number, a few flops to a float. */
#include "engine/tools/ops.h"

struct vectors { const struct cut_kernels *kern; float *y, *a, *b; int n, rows; float (*f)(float); };

/* ---- RMSNorm (Zhang and Sennrich 2019): a sum of squares, one square root, and a product per number */

static void norm(void *arg) {
    const struct vectors *v = arg;
    for (int r = 0; r < v->rows; r++) v->kern->rms_norm(v->y + (size_t)r * (size_t)v->n, v->a + (size_t)r * (size_t)v->n,
                                                        v->b, v->n, 1e-5f);
}

enum cut_status cut_ops_norm(struct cut_ops *x) {
    struct vectors v = { .n = 8 * x->o->size, .rows = 64 };
    size_t all = (size_t)v.n * (size_t)v.rows;
    v.a = cut_ops_floats(x, all), v.b = cut_ops_floats(x, (size_t)v.n);
    float *want = cut_ops_floats(x, all), *got = cut_ops_floats(x, all);
    enum cut_status st = v.a && v.b && want && got ? CUT_OK : CUT_ENOMEM;
    struct cut_ops_case how = { .flops = 4.0 * (double)all, .bytes = 8.0 * (double)all,
                                .note = "sums in order, one after the other" };
    v.kern = &x->ref, v.y = want;
    if (!st) st = cut_ops_time(x, norm, &v, &how, "plain C, %d rows of %d", v.rows, v.n);
    v.kern = &x->fast, v.y = got;
    how.got = got, how.want = want, how.n = all, how.note = "several sums side by side";
    if (!st) st = cut_ops_time(x, norm, &v, &how, "kernel (%s)", cut_tier_name(x->fast.tier));
    cut_free_aligned(v.a);
    cut_free_aligned(v.b);
    cut_free_aligned(want);
    cut_free_aligned(got);
    return st;
}

/* ---- element by element */

static float silu(float x) { return x / (1 + expf(-x)); }                                            /* Elfwing et al. 2017 */
static float gelu(float x) { return 0.5f * x * (1 + erff(x * 0.70710678f)); }                        /* Hendrycks and Gimpel 2016 */
static float gelu_tanh(float x) { return 0.5f * x * (1 + tanhf(0.79788456f * (x + 0.044715f * x * x * x))); }   /* its approximation */

static void add(void *arg) { const struct vectors *v = arg; v->kern->add(v->y, v->a, v->b, v->n); }
static void silu_mul(void *arg) { const struct vectors *v = arg; v->kern->silu_mul(v->y, v->a, v->b, v->n); }
static void map(void *arg) { const struct vectors *v = arg; for (int i = 0; i < v->n; i++) v->y[i] = v->f(v->a[i]); }

enum cut_status cut_ops_elementwise(struct cut_ops *x) {
    struct vectors v = { .n = 128 * x->o->size };
    size_t n = (size_t)v.n;
    v.a = cut_ops_floats(x, n), v.b = cut_ops_floats(x, n);
    float *want = cut_ops_floats(x, n), *got = cut_ops_floats(x, n);
    enum cut_status st = v.a && v.b && want && got ? CUT_OK : CUT_ENOMEM;
    const char *tier = cut_tier_name(x->fast.tier);
    for (size_t i = 0; !st && i < n; i++) v.a[i] *= 6;                 /* where these functions bend */

    struct cut_ops_case how = { .flops = (double)n, .bytes = 12.0 * (double)n, .note = "1 flop for 12 bytes: memory decides" };
    v.kern = &x->ref, v.y = want;
    if (!st) st = cut_ops_time(x, add, &v, &how, "add, plain C, %d numbers", v.n);
    v.kern = &x->fast, v.y = got, how.got = got, how.want = want, how.n = n;
    if (!st) st = cut_ops_time(x, add, &v, &how, "add, kernel (%s)", tier);

    how = (struct cut_ops_case){ .flops = 4.0 * (double)n, .bytes = 8.0 * (double)n, .note = "x / (1 + exp(-x))" };
    v.y = want, v.f = silu;
    if (!st) st = cut_ops_time(x, map, &v, &how, "SiLU, plain C");
    how.note = "x/2 (1 + erf(x / sqrt 2))", v.f = gelu;
    if (!st) st = cut_ops_time(x, map, &v, &how, "GELU, plain C");
    how.note = "the error is that of the formula", v.f = gelu_tanh, v.y = got;
    how.got = got, how.want = want, how.n = n, how.flops = 9.0 * (double)n;
    if (!st) st = cut_ops_time(x, map, &v, &how, "GELU by tanh, plain C");

    how = (struct cut_ops_case){ .flops = 5.0 * (double)n, .bytes = 12.0 * (double)n, .note = "silu(gate) * up" };
    v.kern = &x->ref, v.y = want;
    if (!st) st = cut_ops_time(x, silu_mul, &v, &how, "SwiGLU, plain C");
    v.kern = &x->fast, v.y = got, how.got = got, how.want = want, how.n = n, how.note = "exp by polynomial, in vectors";
    if (!st) st = cut_ops_time(x, silu_mul, &v, &how, "SwiGLU, kernel (%s)", tier);
    cut_free_aligned(v.a);
    cut_free_aligned(v.b);
    cut_free_aligned(want);
    cut_free_aligned(got);
    return st;
}
