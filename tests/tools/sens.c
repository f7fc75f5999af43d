/* Sensitivity, recipes, and the anatomy of outliers. */
#include "tests/test.h"

/* ---- weights before and after */

static struct cut_tensor_info tensor(const char *name, enum cut_type type, uint64_t cols, uint64_t rows, const void *data) {
    const struct cut_type_info *t = cut_type_info(type);
    return (struct cut_tensor_info){ .name = name, .type = type, .n_dims = 2, .ne = { cols, rows, 1, 1 }, .data = data,
                                     .bytes = cols * rows / (uint64_t)t->block * (uint64_t)t->bytes };
}

TEST(weight_error_by_hand) {
    /* two rows of 4: rms 1 and 2; errors 0.1 (twice), and one weight that vanishes */
    float a[8] = { 1, -1, 1, -1, 2, -2, 2, -2 }, b[8] = { 1.1f, -1, 1, -0.9f, 2, -2, 0, -2 };
    struct cut_tensor_info ta = tensor("t", CUT_F32, 4, 2, a), tb = tensor("t", CUT_F32, 4, 2, b), tc = tensor("t", CUT_F32, 2, 4, b);
    struct cut_weight_error e;
    struct cut_err err = { 0 };
    struct cut_pool *pool = NULL;
    REQUIRE(!cut_pool_new(&pool, 3, &err));
    for (int k = 0; k < 2; k++) {
        REQUIRE(!cut_weight_error(&ta, &tb, k ? pool : NULL, &e, &err), "%s", err.msg);
        CHECK(fabs(e.rms - sqrt(20.0 / 8)) < 1e-6 && fabs(e.rmse - sqrt((0.01 + 0.01 + 4) / 8)) < 1e-6 && e.max == 2, "%g %g", e.rms, e.rmse);
        CHECK(fabs(e.relative - e.rmse / e.rms) < 1e-12 && e.worst_row == 1 && e.worst_col == 2 && e.zeros == 1);
        /* |e| / row rms, sorted: 0 0 0 0 0 .1 .1 1 */
        CHECK(e.p50 == 0 && fabs(e.p90 - 1) < 0.01 && fabs(e.p999 - 1) < 0.01, "%g %g", e.p90, e.p999);
    }
    CHECK(cut_weight_error(&ta, &tc, NULL, &e, &err) == CUT_EUSAGE && strstr(err.msg, "shape"));
    cut_pool_free(pool);
}

TEST(weight_error_percentiles) {
    enum { N = 1000 };
    static float a[N], b[N];
    for (int i = 0; i < N; i++) a[i] = i % 2 ? 1 : -1, b[i] = a[i] + (float)i / N;     /* errors 0 to 0.999 of the rms */
    struct cut_tensor_info ta = tensor("t", CUT_F32, N, 1, a), tb = tensor("t", CUT_F32, N, 1, b);
    struct cut_weight_error e;
    REQUIRE(!cut_weight_error(&ta, &tb, NULL, &e, NULL));
    CHECK(fabs(e.p50 - 0.5) < 0.006 && fabs(e.p90 - 0.9) < 0.01 && fabs(e.p99 - 0.99) < 0.011, "%g %g %g", e.p50, e.p90, e.p99);
}

TEST(outliers_are_found) {
    /* 4 rows of 64 small weights; in row 2, second half, one of -0.8 */
    static float a[256];
    uint32_t seed = 7;
    for (int i = 0; i < 256; i++) {
        seed = seed * 1664525u + 1013904223u;
        a[i] = 0.02f + 0.02f * (float)(seed >> 8) / 16777216.0f;       /* 0.02 to 0.04 */
        if (i % 2) a[i] = -a[i];
    }
    a[2 * 64 + 32 + 5] = -0.8f;
    uint8_t q[256 / 32 * 18];
    cut_encode(CUT_Q4_0, a, q, 256);
    struct cut_tensor_info ta = tensor("t", CUT_F32, 64, 4, a), tb = tensor("t", CUT_Q4_0, 64, 4, q);
    struct cut_outlier o[3], one;
    struct cut_err err = { 0 };
    int n = 3;
    REQUIRE(!cut_outliers(&ta, &tb, NULL, o, &n, &err), "%s", err.msg);
    REQUIRE(n >= 1);
    CHECK(o[0].row == 2 && o[0].col == 32 && o[0].at == 5 && o[0].value == -0.8f && o[0].block == 5, "row %d", (int)o[0].row);
    float back[256];
    cut_decode(CUT_Q4_0, q, back, 256);
    int zeros = 0;
    for (int i = 0; i < 32; i++) zeros += i != 5 && back[160 + i] == 0;
    CHECK(o[0].zeros == zeros && zeros > 20, "%d, not %d", o[0].zeros, zeros);
    CHECK(o[0].ratio > 4 && o[0].ratio < 5.66f && o[0].rmse > 5 * o[0].rmse_without && o[0].rmse_without > 0);
    for (int i = 1; i < n; i++) CHECK(o[i].zeros <= o[i - 1].zeros);
    REQUIRE(!cut_outlier_at(&ta, &tb, 5, &one, &err));
    CHECK(one.zeros == zeros && one.rmse == o[0].rmse && one.rmse_without == o[0].rmse_without);
    CHECK(cut_outlier_at(&ta, &tb, 8, &one, &err) == CUT_EUSAGE && strstr(err.msg, "group 8 is not in 0 to 7"), "%s", err.msg);
    n = 0;
    CHECK(cut_outliers(&ta, &tb, NULL, o, &n, &err) == CUT_EUSAGE);
    /* groups cut short by the row's end, and a format without blocks */
    struct cut_tensor_info fa = tensor("t", CUT_F32, 40, 6, a), fb = tensor("t", CUT_F32, 40, 6, a);
    n = 3;
    CHECK(!cut_outliers(&fa, &fb, NULL, o, &n, &err) && n == 0, "nothing became 0");
    CHECK(!cut_outlier_at(&fa, &fb, 11, &one, &err) && one.col == 32 && one.row == 5 && one.rmse_without == 0);
}

/* ---- sensitivity */

struct rig { struct cut_model *m; struct cut_sens *s; struct cut_err err; };
static const int32_t text[] = { 1, 300, 310, 320, 42, 50, 60, 70, 80, 90, 100, 110 };
enum { TEXT = 12 };

static bool set_up(struct rig *r, const char *vocab) {
    const char *const args[] = { "dim=64", "ffn=96", "heads=4", "kv_heads=2", vocab };
    const char *path = test_tmp("sens.gguf");
    struct cut_sens_opts o = { 0 };
    memset(r, 0, sizeof *r);
    return !cut_synth(path, "llama", args, 5, &r->err) && !cut_model_open(&r->m, path, 0, &r->err) &&
           !cut_sens_new(&r->s, r->m, text, TEXT, &o, &r->err);
}

static void tear_down(struct rig *r) {
    cut_sens_free(r->s);
    cut_model_close(r->m);
}

struct one { const char *name; enum cut_type type; };
static enum cut_type only(void *user, const struct cut_tensor_info *t) {
    const struct one *o = user;
    return !o->name || !strcmp(t->name, o->name) ? o->type : t->type;
}

TEST(sens_measures_one_tensor) {
    struct rig r;
    REQUIRE(set_up(&r, "vocab=400"), "%s", r.err.msg);
    int measured = 0, i;
    double left = 0;
    CHECK(cut_sens_left(r.s, CUT_Q4_0, &left) == 16 && left == -1, "14 matrices, embedding and output");
    uint64_t last = UINT64_MAX;
    while (!cut_sens_next(r.s, CUT_Q4_0, &i, &r.err) && i >= 0) {
        struct cut_sens_row row;
        cut_sens_get(r.s, i, CUT_Q4_0, &row);
        CHECK(row.measured && row.fits && row.bytes_from <= last && row.bytes_to * 64 == row.bytes_from * 9, "the largest first");
        CHECK(row.kl > 0 && row.rel_rmse > 0.05 && row.rel_rmse < 0.15 && row.out_error > 0.02 && row.out_error < 0.3 &&
              row.kl_per_mb > 0, "%s: %g %g %g", row.tensor, row.kl, row.rel_rmse, row.out_error);
        last = row.bytes_from;
        measured++;
        CHECK(cut_sens_left(r.s, CUT_Q4_0, &left) == 16 - measured && left >= 0);
    }
    CHECK(measured == 16 && left == 0);

    /* one of them by sessions of our own */
    struct one o = { "blk.1.ffn_down.weight", CUT_Q4_0 };
    struct cut_model *m = NULL;
    struct cut_session *s[2];
    struct cut_session_opts so = { .n_ctx = TEXT, .kv_type = CUT_F16 };
    double kl = 0, mix;
    uint64_t bytes;
    REQUIRE(!cut_model_rebuild(&m, r.m, only, &o, NULL, NULL, NULL, &r.err));
    for (int k = 0; k < 2; k++)
        REQUIRE(!cut_session_new(&s[k], k ? m : r.m, &so, &r.err) && !cut_session_feed(s[k], 0, text, TEXT, CUT_FEED_ALL_LOGITS, &r.err) &&
                !cut_session_run(s[k], NULL, &r.err));
    for (int t = 0; t < TEXT; t++) {
        struct cut_divergence d;
        cut_diverge(cut_session_logits(s[0], t), cut_session_logits(s[1], t), 400, -1, &d);
        kl += d.kl / TEXT;
    }
    for (int k = 0; k < cut_sens_tensors(r.s); k++) {
        struct cut_sens_row row;
        cut_sens_get(r.s, k, CUT_Q4_0, &row);
        if (!strcmp(row.tensor, o.name)) CHECK(fabs(row.kl - kl) < 1e-9, "%.9g, not %.9g", row.kl, kl);
        if (!row.fits) CHECK(strstr(row.tensor, "norm") && row.to == row.from && row.bytes_to == row.bytes_from);
    }
    CHECK(!cut_sens_mix(r.s, only, &o, &mix, &bytes, &r.err) && fabs(mix - kl) < 1e-9);
    CHECK(bytes == cut_model_config(m)->weight_bytes);
    for (int k = 0; k < 2; k++) cut_session_free(s[k]);
    cut_model_close(m);
    tear_down(&r);
}

TEST(sens_is_cancelled_and_refuses) {
    struct rig r;
    struct cut_sens_row row = { 0 };
    REQUIRE(set_up(&r, "vocab=400"), "%s", r.err.msg);
    cut_sens_cancel(r.s);
    CHECK(cut_sens_measure(r.s, 0, CUT_Q4_0, &row, &r.err) == CUT_ECANCEL && !row.tensor);
    CHECK(cut_sens_measure(r.s, 0, CUT_Q4_0, &row, &r.err) == CUT_OK && row.measured, "%s", r.err.msg);
    CHECK(cut_sens_measure(r.s, 0, CUT_F32, &row, &r.err) == CUT_OK && row.kl == 0, "its own format");
    CHECK(cut_sens_measure(r.s, 99, CUT_Q4_0, &row, &r.err) == CUT_EUSAGE && strstr(r.err.msg, "tensor 99"));
    CHECK(cut_sens_measure(r.s, 0, CUT_Q8_1, &row, &r.err) == CUT_EUSAGE && strstr(r.err.msg, "q8_1"));
    tear_down(&r);
}

TEST(recipe_never_exceeds_its_budget) {
    struct rig r;
    static const enum cut_type better[] = { CUT_Q8_0, CUT_F16 };
    struct cut_recipe_step step[64];
    REQUIRE(set_up(&r, "vocab=400"), "%s", r.err.msg);
    uint64_t low, all, at;
    double kl0, kl, none;
    int n, last = 0, raised = 0;
    struct one o = { NULL, CUT_Q4_0 };
    CHECK(!cut_sens_mix(r.s, only, &o, &none, &low, &r.err));
    o.type = CUT_F16;
    CHECK(!cut_sens_mix(r.s, only, &o, &kl, &all, &r.err));
    CHECK(cut_recipe(r.s, CUT_Q4_0, better, 2, low - 1, step, 64, &n, &at, &kl0, NULL, NULL, &r.err) == CUT_EUSAGE &&
          strstr(r.err.msg, "in q4_0 already take"), "%s", r.err.msg);
    for (int k = 0; k <= 40; k++) {
        uint64_t budget = low + (all - low) * (uint64_t)k / 40;
        REQUIRE(!cut_recipe(r.s, CUT_Q4_0, better, 2, budget, step, 64, &n, &at, &kl0, NULL, NULL, &r.err), "%s", r.err.msg);
        CHECK(at == low);
        enum cut_type now[32];
        for (int i = 0; i < 32; i++) now[i] = CUT_Q4_0;
        kl = kl0;
        for (int i = 0; i < n; i++) {
            struct cut_sens_row was, is;
            cut_sens_get(r.s, step[i].tensor, step[i].from, &was);
            cut_sens_get(r.s, step[i].tensor, step[i].to, &is);
            CHECK(now[step[i].tensor] == step[i].from && !strcmp(step[i].name, was.tensor));
            now[step[i].tensor] = step[i].to;
            at += is.bytes_to - was.bytes_to;
            CHECK(step[i].size == at && at <= budget && step[i].more == (int64_t)(is.bytes_to - was.bytes_to), "%d of %d", i, n);
            CHECK(step[i].saves > 0 && fabs(step[i].kl - (kl -= step[i].saves)) < 1e-12);
            raised += step[i].from != CUT_Q4_0;
        }
        /* nothing that would fit and help is left out */
        for (int i = 0; i < cut_sens_tensors(r.s); i++)
            for (int b = 0; b < 2; b++) {
                struct cut_sens_row is, to;
                cut_sens_get(r.s, i, now[i], &is);
                cut_sens_get(r.s, i, better[b], &to);
                CHECK(!is.fits || to.kl >= is.kl || at + to.bytes_to - is.bytes_to > budget, "%s at budget %d", is.tensor, k);
            }
        CHECK(k || n == 0);
        last = n;
    }
    CHECK(last >= 16 && raised > 0, "with room for all, all are raised, some twice");
    char out[4096], small[10];
    size_t len = cut_recipe_text(step, last, out, sizeof out);
    CHECK(len == strlen(out) && cut_recipe_text(step, last, small, sizeof small) == len && strlen(small) == 9);
    int lines = 0;
    for (const char *p = out; (p = strstr(p, "--tensor-type ")); p++) lines++;
    CHECK(lines == 16 && strstr(out, "--tensor-type blk.0.ffn_down.weight=f16\n") && !strstr(out, "q8_0"), "%s", out);
    CHECK(cut_recipe_text(step, 0, out, sizeof out) == 0 && !out[0]);
    tear_down(&r);
}
