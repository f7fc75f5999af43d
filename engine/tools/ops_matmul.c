/* ops_matmul.c - one product of two square matrices, C = A B, in six ways that differ only in the order of the same work.
 *
 * 2 n^3 operations on 3 n^2 numbers: there is reuse enough for the caches, if the order finds it.
 * C[i][j] = sum over k of A[i][k] B[k][j]. */
#include "engine/tools/ops.h"

struct matmul { const float *a, *b,
                *bt; float *c; int n; struct cut_mm mm; const struct cut_kernels *kern; struct cut_pool *pool; void *scratch[256]; };

/* As the formula is written. The innermost loop walks down a column of B: every step lands in another cache line. */
static void naive(void *arg) {
    const struct matmul *m = arg;
    int n = m->n;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            float sum = 0;
            for (int k = 0; k < n; k++) sum += m->a[i * n + k] * m->b[k * n + j];
            m->c[i * n + j] = sum;
        }
}

/* The two inner loops changed places: now B and C are read along their rows. */
static void reordered(void *arg) {
    const struct matmul *m = arg;
    int n = m->n;
    memset(m->c, 0, (size_t)n * (size_t)n * sizeof(float));
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++) {
            float a = m->a[i * n + k];
            for (int j = 0; j < n; j++) m->c[i * n + j] += a * m->b[k * n + j];
        }
}

/* Block by block: a tile of B (64 x 64 floats, 16 KiB) stays in the first-level cache while all rows of A pass over it. */
static void tiled(void *arg) {
    enum { TILE = 64 };
    const struct matmul *m = arg;
    int n = m->n;
    memset(m->c, 0, (size_t)n * (size_t)n * sizeof(float));
    for (int k0 = 0; k0 < n; k0 += TILE)
        for (int j0 = 0; j0 < n; j0 += TILE)
            for (int i = 0; i < n; i++)
                for (int k = k0; k < cut_min(k0 + TILE, n); k++) {
                    float a = m->a[i * n + k];
                    for (int j = j0; j < cut_min(j0 + TILE, n); j++) m->c[i * n + j] += a * m->b[k * n + j];
                }
}

/* B stored by columns, as inference engines store weights: both operands of a sum lie in a row. */
static void transposed(void *arg) {
    const struct matmul *m = arg;
    int n = m->n;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            float sum = 0;
            for (int k = 0; k < n; k++) sum += m->a[i * n + k] * m->bt[j * n + k];
            m->c[i * n + j] = sum;
        }
}

static void share(void *arg, int thread, int n_threads) {
    struct matmul *m = arg;
    struct cut_mm mm = m->mm;
    int r0, r1;
    cut_share(m->n, 16, thread, n_threads, &r0, &r1);
    mm.scratch = m->scratch[thread];
    if (r0 < r1) m->kern->mm_f32[CUT_F32](&mm, r0, r1);
}
static void kernel(void *arg) { share(arg, 0, 1); }
static void threads(void *arg) { cut_pool_run(((struct matmul *)arg)->pool, share, arg); }

enum cut_status cut_ops_matmul(struct cut_ops *x) {
    int n = x->o->size, n_threads = x->o->pool ? cut_pool_size(x->o->pool) : 1;
    size_t cells = (size_t)n * (size_t)n;
    struct matmul m = { .n = n, .kern = &x->fast, .pool = x->o->pool };
    float *a = cut_ops_floats(x, cells), *b = cut_ops_floats(x, cells), *bt = cut_ops_floats(x, cells), *c = cut_ops_floats(x,
                                                                                                                            cells);
    float *want = cut_ops_floats(x, cells);
    enum cut_status st = a && b && bt && c && want ? CUT_OK : CUT_ENOMEM;
    for (int t = 0; !st && t < n_threads; t++)
        if (!(m.scratch[t] = cut_alloc_aligned(x->fast.mm_scratch(n), "scratch memory", x->err))) st = CUT_ENOMEM;
    for (int i = 0; !st && i < n; i++)
        for (int j = 0; j < n; j++) bt[j * n + i] = b[i * n + j];
    m.a = a, m.b = b, m.bt = bt, m.c = want;
    m.mm = (struct cut_mm){ .w = bt, .w_stride = (size_t)n * sizeof(float), .k = n, .x = a,
                            .x_stride = (size_t)n * sizeof(float), .t = n,
                            .y = c, .y_stride = (size_t)n };
    struct cut_ops_case how = { .flops = 2.0 * n * n * n, .bytes = 3.0 * (double)cells * sizeof(float),
                                .note = "B is read down its columns" };
    if (!st) st = cut_ops_time(x, naive, &m, &how, "naive: for i, j, k (%d x %d)", n, n);
    m.c = c;
    how.got = c, how.want = want, how.n = cells;
    how.note = "the inner loop runs along rows";
    if (!st) st = cut_ops_time(x, reordered, &m, &how, "reordered: for i, k, j");
    how.note = "64 x 64 of B stay in the cache";
    if (!st) st = cut_ops_time(x, tiled, &m, &how, "tiled");
    how.note = "one sum: each addition waits for the last";
    if (!st) st = cut_ops_time(x, transposed, &m, &how, "B transposed: dot products");
    how.note = "what the engine runs";
    if (!st) st = cut_ops_time(x, kernel, &m, &how, "SIMD kernel (%s)", cut_tier_name(x->fast.tier));
    how.note = "rows shared out";
    if (!st && n_threads > 1) st = cut_ops_time(x, threads, &m, &how, "SIMD kernel, %d threads", n_threads);
    for (int t = 0; t < n_threads; t++) cut_free_aligned(m.scratch[t]);
    cut_free_aligned(a);
    cut_free_aligned(b);
    cut_free_aligned(bt);
    cut_free_aligned(c);
    cut_free_aligned(want);
    return st;
}
