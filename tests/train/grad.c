/* grad.c - derivatives against differences: for every operation (dL/dx) h must be what L changes by when x changes by h. */
#include "engine/train/diff.h"
#include "tests/test.h"

static float noise(uint64_t *s) { return 2 * cut_rng_float(s) - 1; }

static const char *const flavours[] = { "plain", "avx2", "avx512" };

/* ---- the kernels of one row: L = sum_i r_i y_i for random r */

enum { N = 37 };

static double weighted(const float *y, const float *r, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)y[i] * r[i];
    return sum;
}

typedef void (*forward_fn)(const struct cut_wide *k, float *y, const float *a, const float *b);

static void f_norm(const struct cut_wide *k, float *y, const float *a, const float *b) { k->rms_norm(y, a, b, N, 1e-5f); }
static void f_softmax(const struct cut_wide *k, float *y, const float *a, const float *b) { (void)b; k->softmax(y, a, N, 0.7f); }
static void f_silu(const struct cut_wide *k, float *y, const float *a, const float *b) { k->silu_mul(y, a, b, N); }

/* Every element of a, then of b: the derivative by differences, against the one given. */
static void compare(const struct cut_wide *k, const char *what, forward_fn f, float *a, float *b, const float *r, const float *da, const float *db) {
    float up[N], down[N], h = 1e-2f;
    for (int i = 0; i < (db ? 2 * N : N); i++) {
        float *x = i < N ? a + i : b + i - N, keep = *x;
        *x = keep + h;
        f(k, up, a, b);
        *x = keep - h;
        f(k, down, a, b);
        *x = keep;
        double slope = (weighted(up, r, N) - weighted(down, r, N)) / (2 * (double)h), got = i < N ? da[i] : db[i - N];
        CHECK(fabs(slope - got) < 1e-3 * fmax(1, fabs(slope)), "%s %s [%d]: %g by differences, %g given", k->name, what, i, slope, got);
    }
}

TEST(train_rows) {
    for (size_t fl = 0; fl < CUT_LEN(flavours); fl++) {
        const struct cut_wide *k = cut_wide_named(flavours[fl]);
        float a[N], b[N], r[N], y[N], da[N], db[N];
        uint64_t s = 7;
        if (!k) continue;
        for (int i = 0; i < N; i++) {
            a[i] = 2 * noise(&s);
            b[i] = noise(&s);
            r[i] = noise(&s);
            db[i] = 0;
        }
        float inverse = k->rms_norm(y, a, b, N, 1e-5f);
        k->rms_norm_back(da, db, r, a, b, inverse, N, false);
        compare(k, "rms_norm", f_norm, a, b, r, da, db);
        k->softmax(y, a, N, 0.7f);
        k->softmax_back(da, y, r, N, 0.7f);
        compare(k, "softmax", f_softmax, a, b, r, da, NULL);
        k->silu_mul_back(da, db, r, a, b, N);
        compare(k, "silu_mul", f_silu, a, b, r, da, db);
    }
}

/* exp and what is built on it, against libm. */
TEST(train_values) {
    for (size_t fl = 0; fl < CUT_LEN(flavours); fl++) {
        const struct cut_wide *k = cut_wide_named(flavours[fl]);
        float x[N], p[N], g[N];
        uint64_t s = 3;
        if (!k) continue;
        double sum = 0;
        for (int i = 0; i < N; i++) {
            x[i] = 20 * noise(&s);
            sum += exp((double)x[i]);
        }
        k->softmax(p, x, N, 1);
        for (int i = 0; i < N; i++) CHECK(fabs(p[i] - exp((double)x[i]) / sum) < 2e-6, "%s [%d] %g", k->name, i, (double)p[i]);
        memcpy(g, x, sizeof g);
        float loss = k->cross_entropy(g, N, 5, 0.5f);
        CHECK(fabs(loss - (log(sum) - (double)x[5])) < 1e-4, "%s loss %g", k->name, (double)loss);
        for (int i = 0; i < N; i++) CHECK(fabs(g[i] - 0.5 * (p[i] - (i == 5))) < 2e-6, "%s [%d]", k->name, i);
        for (int i = 0; i < N; i++) g[i] = 1;
        k->silu_mul(p, x, g, N);
        for (int i = 0; i < N; i++) CHECK(fabs(p[i] - x[i] / (1 + exp(-(double)x[i]))) < 1e-5 * fmax(1, fabs((double)x[i])), "%s silu [%d]", k->name, i);
        /* far outside: no overflow, and the largest takes all */
        for (int i = 0; i < N; i++) x[i] = i == 4 ? 1e4f : -1e4f;
        k->softmax(p, x, N, 1);
        CHECK(p[4] == 1 && p[3] >= 0 && p[3] < 1e-30f, "%s %g %g", k->name, (double)p[4], (double)p[3]);
        CHECK(fabs(k->sum_squares(x, N) - N * 1e8) < 1, "%s", k->name);
    }
}

/* Products of odd sizes, both orders of each factor, with and without adding, against plain sums. */
TEST(train_gemm) {
    static const int sizes[][3] = { { 1, 1, 1 }, { 7, 5, 3 }, { 8, 32, 128 }, { 65, 97, 259 }, { 130, 33, 300 }, { 3, 1100, 17 } };
    enum { MOST = 1100 * 300 };
    float *a = malloc(MOST * 4), *b = malloc(MOST * 4), *c = malloc(MOST * 4);
    void *scratch = cut_alloc_aligned(CUT_WIDE_SCRATCH, "test", NULL);
    uint64_t s = 9;
    for (int i = 0; i < MOST; i++) {
        a[i] = noise(&s);
        b[i] = noise(&s);
    }
    for (size_t fl = 0; fl < 2 * CUT_LEN(flavours); fl++) {
        const struct cut_wide *k = cut_wide_named(flavours[fl / 2]);
        cut_gemm_fn gemm = !k ? NULL : fl % 2 ? k->gemm_bf16 : k->gemm;
        if (!gemm) continue;
        for (size_t z = 0; z < CUT_LEN(sizes) * 8; z++) {
            int m = sizes[z / 8][0], n = sizes[z / 8][1], d = sizes[z / 8][2], wrong = 0;
            bool add = z & 1;
            struct cut_mat A = z & 2 ? (struct cut_mat){ a, 1, m } : (struct cut_mat){ a, d, 1 };
            struct cut_mat B = z & 4 ? (struct cut_mat){ b, 1, d } : (struct cut_mat){ b, n, 1 };
            for (int i = 0; i < m * n; i++) c[i] = 100;
            gemm(m, n, d, A, B, c, n, add, scratch);
            for (int i = 0; i < m; i++)
                for (int j = 0; j < n; j++) {
                    double sum = add ? 100 : 0, size = 0;
                    for (int l = 0; l < d; l++) {
                        double x = (double)A.p[i * A.si + l * A.sj] * B.p[l * B.si + j * B.sj];
                        sum += x;
                        size += fabs(x);
                    }
                    wrong += !(fabs(sum - c[i * n + j]) <= (fl % 2 ? 0x1p-7 : 0x1p-20) * size + (add ? 1e-4 : 0));
                }
            CHECK(!wrong, "%s %s %dx%dx%d case %zu: %d of %d wrong", k->name, fl % 2 ? "bf16" : "f32", m, n, d, z % 8, wrong, m * n);
        }
    }
    free(a);
    free(b);
    free(c);
    cut_free_aligned(scratch);
}

/* ---- a whole model: every weight tensor, so every operation of the graph, through two documents */

static void check_model(const char *tied, const char *name) {
    const char *args[] = { "dim=32", "ffn=48", "layers=2", "heads=4", "kv_heads=2", "vocab=300", "ctx=32", "seed=5", "base=100", tied };
    struct cut_model *m = NULL;
    struct cut_err err = { 0 };
    struct cut_diff d;
    struct cut_lane l;
    struct cut_rows r;
    const char *path = test_tmp(name);
    REQUIRE(!cut_synth(path, "llama", args, 10, &err), "%s", err.msg);
    REQUIRE(!cut_model_open(&m, path, 0, &err), "%s", err.msg);
    REQUIRE(!cut_diff_new(&d, m, 96, &err), "%s", err.msg);
    d.gemm = d.wide->gemm;
    REQUIRE(!cut_lane_new(&l, &d, &err), "%s", err.msg);
    int32_t id[96], target[96];
    int pos[96], start[] = { 0, 30, 41 };
    uint64_t s = 11;
    r = (struct cut_rows){ 41, 2, id, target, pos, start };
    for (int t = 0; t < r.n; t++) {
        id[t] = (int32_t)(cut_rng_next(&s) % 300);
        target[t] = t % 5 == 2 ? -1 : (int32_t)(cut_rng_next(&s) % 300);
        pos[t] = t < 30 ? t : t - 30;
    }
    float *w = calloc(d.n_floats, 4), *g = calloc(d.n_floats, 4);
    for (int i = 0; i < d.n_params; i++) cut_decode(d.param[i].info->type, d.param[i].info->data, w + d.param[i].at, d.param[i].n);
    /* The logits of a tied synth model are far apart; smaller embeddings keep the differences of L accurate. */
    for (size_t i = 0; i < d.param[0].n; i++) w[d.param[0].at + i] *= 0.25f;
    cut_diff_forward(&d, &l, w, &r);
    cut_diff_loss(&d, &l, &r, 1);
    cut_diff_backward(&d, &l, w, &r, g);
    for (int p = 0; p < d.n_params; p++) {
        /* Along a random direction u of the tensor: g.u against (L(w + hu) - L(w - hu)) / 2h. */
        size_t at = d.param[p].at, n = d.param[p].n;
        float *u = malloc(n * 4), h = 2e-3f;
        double along = 0, loss[2];
        for (size_t i = 0; i < n; i++) {
            u[i] = noise(&s) / sqrtf((float)n / 3) * 4;
            along += (double)u[i] * g[at + i];
        }
        for (int side = 0; side < 2; side++) {
            for (size_t i = 0; i < n; i++) w[at + i] += (side ? -2 : 1) * h * u[i];
            cut_diff_forward(&d, &l, w, &r);
            loss[side] = cut_diff_loss(&d, &l, &r, 1);
        }
        for (size_t i = 0; i < n; i++) w[at + i] += h * u[i];
        double slope = (loss[0] - loss[1]) / (2 * (double)h);
        CHECK(fabs(slope - along) < 1e-3 * fmax(10, fabs(slope)), "%s %s: %g by differences, %g by differentiation", tied, d.param[p].info->name, slope, along);
        free(u);
    }
    free(w);
    free(g);
    cut_lane_done(&l);
    cut_diff_done(&d);
    cut_model_close(m);
}

TEST(train_gradient_untied) { check_model("tied=0", "grad0.gguf"); }
TEST(train_gradient_tied) { check_model("tied=1", "grad1.gguf"); }
