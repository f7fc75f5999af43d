/* methods.c - the teaching methods of quantization: what must hold exactly on made-up layers, and what they gain on a trained one. */
#include "tests/test.h"

static struct cut_method_opts with(enum cut_method m, int bits, int group) {
    struct cut_method_opts o = cut_method_defaults;
    o.method = m;
    o.bits = bits;
    o.group = group;
    return o;
}

/* Numbers in [-1, 1), always the same. */
static void fill(float *x, int n, unsigned seed) {
    for (int i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / (float)(1 << 23) - 1;
    }
}

TEST(method_round_by_hand) {
    /* 3 bits, symmetric: q in [-3, 3], d = 6 / 3 = 2. */
    const float w[8] = { 6, -5, 0.9f, 1.1f, 3, 0, -6, 2.9f };
    const float want[8] = { 6, -4, 0, 2, 4, 0, -6, 2 };
    float out[8];
    struct cut_method_result r;
    struct cut_err err;
    struct cut_method_opts o = with(CUT_METHOD_ROUND, 3, CUT_GROUP_ROW);
    REQUIRE(!cut_method_run(w, 1, 8, NULL, 0, &o, out, NULL, &r, NULL, NULL, &err), "%s", err.msg);
    for (int i = 0; i < 8; i++) CHECK(out[i] == want[i], "%d: %g, want %g", i, (double)out[i], (double)want[i]);
    CHECK(r.bits_per_weight == 3 + 16.0 / 8 && r.output_error == 0);
    CHECK(fabs(r.weight_error - sqrt((1 + 0.81 + 0.81 + 1 + 0.81) / (36 + 25 + 0.81 + 1.21 + 9 + 36 + 8.41))) < 1e-6, "%g",
          r.weight_error);

    /* 2 bits, asymmetric: from 0 (which must be a point) to 6, d = 2, and no weight goes below zero. */
    const float positive[4] = { 6, 4.2f, 1.2f, 0.8f };
    o = with(CUT_METHOD_ROUND, 2, CUT_GROUP_ROW);
    o.asymmetric = true;
    REQUIRE(!cut_method_run(positive, 1, 4, NULL, 0, &o, out, NULL, &r, NULL, NULL, &err), "%s", err.msg);
    CHECK(out[0] == 6 && out[1] == 4 && out[2] == 2 && out[3] == 0, "%g %g %g %g", (double)out[0], (double)out[1], (double)out[2],
          (double)out[3]);
    CHECK(r.bits_per_weight == 2 + 18.0 / 4);
    const float zeros[4] = { 0 };
    REQUIRE(!cut_method_run(zeros, 1, 4, NULL, 0, &o, out, NULL, &r, NULL, NULL, &err), "%s", err.msg);
    CHECK(out[0] == 0 && out[3] == 0 && r.weight_error == 0);
}

TEST(method_round_finer_grids_fit_better) {
    enum { ROWS = 16, COLS = 96 };
    static float w[ROWS * COLS], out[ROWS * COLS];
    static const int group[] = { CUT_GROUP_TENSOR, CUT_GROUP_ROW, 40, 8, 1 };      /* 40 does not divide 96 */
    struct cut_err err;
    fill(w, ROWS * COLS, 3);
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLS; c++) w[r * COLS + c] *= (float)(1 + r) * (c % 8 == 7 ? 0.5f : 0.02f * (float)(1 + c));
    for (int bits = 2; bits <= 8; bits++) {
        double before = INFINITY, cost = 0;
        for (int g = 0; g < 5; g++) {
            struct cut_method_opts o = with(CUT_METHOD_ROUND, bits, group[g]);
            struct cut_method_result r;
            REQUIRE(!cut_method_run(w, ROWS, COLS, NULL, 0, &o, out, NULL, &r, NULL, NULL, &err), "%s", err.msg);
            CHECK(r.weight_error < before && r.bits_per_weight > cost, "bits %d, group %d: %g after %g", bits, group[g],
                  r.weight_error, before);
            before = r.weight_error;
            cost = r.bits_per_weight;
        }
        CHECK(before < 1e-3, "a step of its own for every weight: %g", before);
    }
}

/* Where columns have nothing to do with each other, H is diagonal and there is nobody to make up for an error. */
TEST(method_gptq_is_rounding_when_columns_are_unrelated) {
    enum { ROWS = 4, COLS = 32 };
    float w[ROWS * COLS], x[COLS * COLS] = { 0 }, plain[ROWS * COLS], out[ROWS * COLS];
    struct cut_method_result r;
    struct cut_err err;
    fill(w, ROWS * COLS, 5);
    for (int c = 0; c < COLS; c++) x[c * COLS + c] = (float)(1 + c % 5);
    static const int group[] = { CUT_GROUP_TENSOR, CUT_GROUP_ROW, 12 };
    for (int g = 0; g < 3; g++) {
        struct cut_method_opts o = with(CUT_METHOD_ROUND, 3, group[g]);
        REQUIRE(!cut_method_run(w, ROWS, COLS, x, COLS, &o, plain, NULL, &r, NULL, NULL, &err), "%s", err.msg);
        o.method = CUT_METHOD_GPTQ;
        REQUIRE(!cut_method_run(w, ROWS, COLS, x, COLS, &o, out, NULL, &r, NULL, NULL, &err), "%s", err.msg);
        CHECK(!memcmp(plain, out, sizeof out), "group %d", group[g]);
    }
}

/* Where all columns meet the same activation, only the sum of a row counts, and passing the error on keeps it within half a step of the
 * true one, however many columns there are (but for the damping). */
TEST(method_gptq_keeps_the_sum_of_columns_that_go_together) {
    enum { COLS = 256 };
    float w[COLS], x[COLS], out[COLS];
    struct cut_method_result r;
    struct cut_err err;
    fill(w, COLS, 7);
    for (int c = 0; c < COLS; c++) w[c] = 0.35f + 0.05f * w[c], x[c] = 1;
    w[0] = 3;                                                   /* 3 bits: d = 1, and all others round to zero */
    struct cut_method_opts o = with(CUT_METHOD_GPTQ, 3, CUT_GROUP_TENSOR);
    o.damping = 1e-5f;
    REQUIRE(!cut_method_run(w, 1, COLS, x, 1, &o, out, NULL, &r, NULL, NULL, &err), "%s", err.msg);
    double sum = 0, sum2 = 0;
    for (int c = 0; c < COLS; c++) sum += w[c], sum2 += out[c];
    CHECK(fabs(sum - sum2) < 0.55, "%g, want %g", sum2, sum);
    CHECK(fabs(r.output_error - fabs(sum - sum2) / sum) < 1e-5);
    o.method = CUT_METHOD_ROUND;
    REQUIRE(!cut_method_run(w, 1, COLS, x, 1, &o, out, NULL, &r, NULL, NULL, &err), "%s", err.msg);
    CHECK(r.output_error > 0.9, "plain rounding loses the sum: %g", r.output_error);
}

TEST(method_awq_spares_the_columns_that_count) {
    enum { ROWS = 32, COLS = 64, TOKENS = 40 };
    static float w[ROWS * COLS], x[TOKENS * COLS], plain[ROWS * COLS], out[ROWS * COLS];
    float s[COLS];
    struct cut_method_result a, b;
    struct cut_err err;
    fill(w, ROWS * COLS, 11);
    fill(x, TOKENS * COLS, 13);
    for (int t = 0; t < TOKENS; t++) x[t * COLS + 20] *= 50;
    struct cut_method_opts o = with(CUT_METHOD_ROUND, 3, CUT_GROUP_ROW);
    REQUIRE(!cut_method_run(w, ROWS, COLS, x, TOKENS, &o, plain, NULL, &a, NULL, NULL, &err), "%s", err.msg);
    o.method = CUT_METHOD_AWQ;
    REQUIRE(!cut_method_run(w, ROWS, COLS, x, TOKENS, &o, out, s, &b, NULL, NULL, &err), "%s", err.msg);
    CHECK(b.output_error < 0.6 * a.output_error && b.weight_error > a.weight_error, "%g, plain %g", b.output_error, a.output_error);
    CHECK(b.alpha > 0 && b.alpha < 1 && s[20] > 2 * s[19], "alpha %g, scales %g %g", (double)b.alpha, (double)s[20], (double)s[19]);
    CHECK(b.bits_per_weight == a.bits_per_weight + 16.0 / ROWS);
    o.alphas = 1;                                               /* alpha = 0 alone: all scales are 1 */
    REQUIRE(!cut_method_run(w, ROWS, COLS, x, TOKENS, &o, out, s, &b, NULL, NULL, &err), "%s", err.msg);
    CHECK(!memcmp(plain, out, sizeof out) && b.output_error == a.output_error && s[20] == 1);
}

TEST(method_split_finds_the_outliers) {
    enum { ROWS = 32, COLS = 64, TOKENS = 40 };
    static float w[ROWS * COLS], x[TOKENS * COLS], out[ROWS * COLS];
    float keep[COLS];
    struct cut_method_result a, b;
    struct cut_err err;
    fill(w, ROWS * COLS, 17);
    fill(x, TOKENS * COLS, 19);
    x[7 * COLS + 20] = 60;                                      /* one token is enough to make a column outlying */
    x[9 * COLS + 41] = -60;
    struct cut_method_opts o = with(CUT_METHOD_ROUND, 8, CUT_GROUP_ROW);
    o.act_bits = 8;
    REQUIRE(!cut_method_run(w, ROWS, COLS, x, TOKENS, &o, out, NULL, &a, NULL, NULL, &err), "%s", err.msg);
    o.method = CUT_METHOD_SPLIT;
    REQUIRE(!cut_method_run(w, ROWS, COLS, x, TOKENS, &o, out, keep, &b, NULL, NULL, &err), "%s", err.msg);
    CHECK(b.outliers == 2);
    for (int c = 0; c < COLS; c++) CHECK(keep[c] == (c == 20 || c == 41), "column %d", c);
    for (int r = 0; r < ROWS; r++)
        CHECK(out[r * COLS + 41] == cut_f16_to_f32(cut_f32_to_f16(w[r * COLS + 41])), "in half precision");
    CHECK(b.output_error < 0.75 * a.output_error, "%g, plain %g", b.output_error, a.output_error);
    CHECK(fabs(b.bits_per_weight - (8 * 62.0 / 64 + 16 * 2.0 / 64 + 16.0 / 64 + 16 * 2.0 / (ROWS * COLS))) < 1e-9);
}

/* ---- on the trained model: numbers that a broken method does not reach */

struct fixture { struct cut_model *m; struct cut_activations learn, judge; float *w, *out, *column; int rows,
                 cols; struct cut_err err; };

static bool open_fixture(struct fixture *f, const char *tensor, int tokens) {
    *f = (struct fixture){ 0 };
    struct cut_activations_opts o = { .part = 0, .parts = 2, .max_tokens = tokens };
    if (cut_model_open(&f->m, "assets/pebble.gguf", 0, &f->err)) return false;
    if (cut_activations_collect(&f->learn, f->m, tensor, "assets/held.txt", &o, NULL, NULL, &f->err)) return false;
    o.part = 1;
    if (cut_activations_collect(&f->judge, f->m, tensor, "assets/held.txt", &o, NULL, NULL, &f->err)) return false;
    const struct cut_tensor_info *t = cut_gguf_find_tensor(cut_model_gguf(f->m), tensor);
    f->cols = (int)t->ne[0];
    f->rows = (int)t->ne[1];
    size_t n = (size_t)f->rows * (size_t)f->cols;
    f->w = malloc(n * sizeof(float));
    f->out = malloc(n * sizeof(float));
    f->column = malloc((size_t)f->cols * sizeof(float));
    cut_decode(t->type, t->data, f->w, n);
    return true;
}

static void close_fixture(struct fixture *f) {
    free(f->w);
    free(f->out);
    free(f->column);
    cut_activations_done(&f->learn);
    cut_activations_done(&f->judge);
    cut_model_close(f->m);
}

/* Output error on the tokens the method has not seen. */
static double judged(struct fixture *f, const struct cut_method_opts *o) {
    struct cut_method_result r;
    double e = NAN;
    if (cut_method_run(f->w, f->rows, f->cols, f->learn.x, f->learn.tokens, o, f->out, f->column, &r, NULL, NULL, &f->err) ||
        cut_method_output_error(f->w, f->out, f->rows, f->cols, f->judge.x, f->judge.tokens, o->act_bits,
                                o->method == CUT_METHOD_SPLIT ? f->column : NULL, &e, &f->err))
        test_fail(__FILE__, __LINE__, "%s", f->err.msg);
    return e;
}

TEST(method_gptq_on_pebble) {
    SKIP_EMULATED();
    SKIP_SLOW_BUILD();
    struct fixture f;
    REQUIRE(open_fixture(&f, "blk.1.attn_output.weight", 2048), "%s", f.err.msg);
    static const int bits[] = { 2, 3, 4 };
    for (int i = 0; i < 3; i++) {
        struct cut_method_opts o = with(CUT_METHOD_ROUND, bits[i], 32);
        double plain = judged(&f, &o);
        o.method = CUT_METHOD_GPTQ;
        double gptq = judged(&f, &o);
        CHECK(gptq < 0.65 * plain, "%d bits: %g, plain %g", bits[i], gptq, plain);
    }
    close_fixture(&f);
}

TEST(method_awq_on_pebble) {
    SKIP_EMULATED();
    SKIP_SLOW_BUILD();
    struct fixture f;
    REQUIRE(open_fixture(&f, "blk.2.ffn_down.weight", 2048), "%s", f.err.msg);
    struct cut_method_opts o = with(CUT_METHOD_ROUND, 3, 32);
    double plain = judged(&f, &o);
    o.method = CUT_METHOD_AWQ;
    o.alphas = 10;
    double awq = judged(&f, &o);
    CHECK(awq < 0.97 * plain, "%g, plain %g", awq, plain);
    close_fixture(&f);
}

TEST(method_split_on_pebble) {
    SKIP_EMULATED();
    SKIP_SLOW_BUILD();
    struct fixture f;
    REQUIRE(open_fixture(&f, "blk.2.ffn_down.weight", 2048), "%s", f.err.msg);
    struct cut_method_opts o = with(CUT_METHOD_ROUND, 8, CUT_GROUP_ROW);
    o.act_bits = 8;
    double plain = judged(&f, &o);
    o.method = CUT_METHOD_SPLIT;
    o.outlier = 15;
    double split = judged(&f, &o);
    int kept = 0;
    for (int c = 0; c < f.cols; c++) kept += f.column[c] != 0;
    CHECK(split < 0.6 * plain && kept > 0 && kept < f.cols / 3, "%g, plain %g, %d columns kept", split, plain, kept);
    close_fixture(&f);
}

TEST(method_activations_are_what_the_layer_reads) {
    SKIP_EMULATED();
    struct fixture f;
    REQUIRE(open_fixture(&f, "blk.1.attn_q.weight", 200), "%s", f.err.msg);
    CHECK(f.learn.tokens == 200 && f.judge.tokens == 200 && f.learn.cols == 256);
    CHECK(memcmp(f.learn.x, f.judge.x, 256 * 4 * 8), "other documents");
    /* The first document by hand. */
    struct cut_session *s;
    struct cut_tensor v;
    enum cut_stop why;
    int32_t *ids;
    size_t n, size;
    char *text = test_read("assets/held.txt", &size), *end = strstr(text, "</s>");
    REQUIRE(!cut_vocab_encode(cut_model_vocab(f.m), text, (size_t)(end - text), CUT_ENCODE_SPECIAL, &ids, &n, &f.err), "%s",
            f.err.msg);
    REQUIRE(!cut_session_new(&s, f.m, &(struct cut_session_opts){ .keep = true, .activations_f32 = true }, &f.err), "%s",
            f.err.msg);
    REQUIRE(!cut_session_feed(s, 0, ids, (int)n, CUT_FEED_ALL_LOGITS, &f.err) && !cut_session_run(s, &why, &f.err), "%s",
            f.err.msg);
    REQUIRE(!cut_session_value(s, cut_session_find_step(s, "blk.1.attn_norm"), &v, &f.err), "%s", f.err.msg);
    CHECK(n > 10 && n < 200 && !memcmp(v.data, f.learn.x, 10 * 256 * sizeof(float)), "the first ten tokens of %zu", n);
    cut_session_free(s);
    free(ids);
    free(text);

    struct cut_activations a = { .tokens = -1 };
    struct cut_activations_opts o = { .parts = 1, .max_tokens = 10 };
    CHECK(cut_activations_collect(&a, f.m, "blk.1.attn_norm.weight", "assets/held.txt", &o, NULL, NULL, &f.err) == CUT_EUSAGE &&
          strstr(f.err.msg, "\"blk.1.attn_norm.weight\": no product"), "%s", f.err.msg);
    CHECK(cut_activations_collect(&a, f.m, "blk.1.attn_q.weight", "nosuch.txt", &o, NULL, NULL, &f.err) == CUT_EFILE, "%s",
          f.err.msg);
    o.part = 1;
    CHECK(cut_activations_collect(&a, f.m, "blk.1.attn_q.weight", "assets/held.txt", &o, NULL, NULL, &f.err) == CUT_EUSAGE &&
          a.tokens == -1);
    close_fixture(&f);
}

/* ---- refusals */

static bool stop_at_once(void *user, double part, const char *what) { (void)user, (void)part, (void)what; return false; }

TEST(method_refuses_by_name) {
    float w[64], x[64], out[64];
    struct cut_method_result r = { .outliers = -1 };
    struct cut_err err;
    fill(w, 64, 1);
    fill(x, 64, 2);
    struct cut_method_opts o = with(CUT_METHOD_ROUND, 9, 0);
#define REFUSED(text) CHECK(cut_method_run(w, 8, 8, x, 8, &o, out, NULL, &r, NULL, NULL, &err) == CUT_EUSAGE && \
                            strstr(err.msg, text) && r.outliers == -1, "%s", err.msg)
    REFUSED("bits 9: must be in [2, 8]");
    o = with(CUT_METHOD_ROUND, 4, 9);
    REFUSED("group 9: must be in [1, 8]");
    o = with(CUT_METHOD_GPTQ, 4, 0);
    o.damping = 0;
    REFUSED("damping 0");
    o = with(CUT_METHOD_AWQ, 4, 0);
    o.act_bits = 8;
    REFUSED("awq rounds weights only");
    o = with(CUT_METHOD_SPLIT, 4, 0);
    o.outlier = NAN;
    REFUSED("outlier nan");
    o = with(CUT_METHOD_GPTQ, 4, 0);
    CHECK(cut_method_run(w, 8, 8, NULL, 0, &o, out, NULL, &r, NULL, NULL, &err) == CUT_EUSAGE && strstr(err.msg,
                                                                                                        "gptq needs activations"));
    CHECK(cut_method_run(w, 8, 8, x, 8, &o, out, NULL, &r, stop_at_once, NULL, &err) == CUT_ECANCEL && r.outliers == -1);
    w[11] = INFINITY;
    REFUSED("weight [1][3] is inf");
    w[11] = 0;
    x[63] = NAN;
    REFUSED("activation [7][7] is nan");
    memset(x, 0, sizeof x);
    REFUSED("all activations are zero");
}
