/* reduce.c - other ways to divide work over the threads. Products whose sums are split: right, the same from run to run, and the rows'
 * bytes with one thread. Attention by heads: the bytes of KV groups. */
#include <math.h>

#include "tests/test.h"

#include "engine/cutaway.h"

static const int32_t prompt[] = { 1, 403, 407, 261, 378, 312, 290, 449, 305 };
enum { N = sizeof prompt / sizeof *prompt, V = 512 };

/* Two matrices are in the wanted format, with rows of different lengths: encoding all would take most of the test's time. */
static enum cut_type wanted;
static enum cut_type choose(void *user, const struct cut_tensor_info *t) {
    (void)user;
    bool chosen = strstr(t->name, "attn_q.") || strstr(t->name, "ffn_down");
    return chosen && cut_tensor_fits(t, wanted) ? wanted : (enum cut_type)t->type;
}

/* The logits of a decoded token behind the prompt, and of one more. threads 0: no pool. */
static bool decode(const struct cut_model *m, struct cut_session_opts o, int threads, float out[2][V]) {
    struct cut_session *s = NULL;
    struct cut_err err = { 0 };
    o.pool = NULL;
    o.n_ctx = 32;
    bool ok = (!threads || !cut_pool_new(&o.pool, threads, &err)) && !cut_session_new(&s, m, &o, &err) &&
              !cut_session_feed(s, 0, prompt, N, 0, &err) && !cut_session_run(s, NULL, &err);
    for (int i = 0; ok && i < 2; i++) {
        ok = !cut_session_feed(s, 0, prompt + i, 1, 0, &err) && !cut_session_run(s, NULL, &err);
        if (ok) memcpy(out[i], cut_session_logits(s, 0), V * sizeof(float));
    }
    if (!ok) test_fail(__FILE__, __LINE__, "%s", err.msg);
    cut_session_free(s);
    cut_pool_free(o.pool);
    return ok;
}

/* The largest difference, over the deviation of the logits. */
static double apart(const float *a, const float *b) {
    double most = 0, square = 0;
    for (int i = 0; i < 2 * V; i++) {
        most = fmax(most, fabs((double)a[i] - b[i]));
        square += (double)a[i] * a[i] / (2 * V);
    }
    return most / sqrt(square);
}

/* Rounding to 8 bits hides small differences, and now and then makes them large: a value falls on the other side. Floats differ little. */
static void check_type(const struct cut_model *m, const char *what, double bound, int most) {
    static float rows[2][V], split[2][V], again[2][V];
    for (int tier = CUT_TIER_REF; tier < CUT_TIER_COUNT; tier++) {
        if (!cut_tier_available((enum cut_tier)tier)) continue;
        struct cut_session_opts o = { .tier = (enum cut_tier)tier, .repack = CUT_REPACK_NEVER };
        REQUIRE(decode(m, o, 1, rows));
        o.reduce = CUT_REDUCE_SPLIT_K;
        for (int threads = 0; threads <= most; threads++) {
            REQUIRE(decode(m, o, threads, split));
            double d = apart(rows[0], split[0]);
            if (threads < 2) CHECK(d == 0 && !memcmp(rows, split, sizeof rows), "%s %s: one thread has the rows' bytes", what, cut_tier_name(o.tier));
            else CHECK(d < bound, "%s %s, %d threads: %g", what, cut_tier_name(o.tier), threads, d);
            if (threads == 2) CHECK(d > 0, "%s %s: no sum was split", what, cut_tier_name(o.tier));
            struct cut_session_opts keep = o;          /* unfused, small steps on one thread: the same sums */
            keep.keep = true;
            REQUIRE(decode(m, keep, threads, again));
            CHECK(!memcmp(split, again, sizeof split), "%s %s, %d threads: not the bytes of a kept run", what, cut_tier_name(o.tier), threads);
            if (threads > 1) REQUIRE(decode(m, o, threads, again));
            CHECK(!memcmp(split, again, sizeof split), "%s %s, %d threads: not the bytes of the run before", what, cut_tier_name(o.tier), threads);
        }
    }
}

static struct cut_model *synth(const char *name, const char *dim, const char *ffn, const char *heads, const char *kv_heads, const char *type) {
    const char *args[] = { dim, ffn, heads, kv_heads, type, "layers=1" };
    struct cut_model *m = NULL;
    struct cut_err err = { 0 };
    const char *path = test_tmp(name);
    if (cut_synth(path, "llama", args, 6, &err) || cut_model_open(&m, path, 0, &err)) test_fail(__FILE__, __LINE__, "%s", err.msg);
    return m;
}

TEST(split_k_gives_the_rows_result) {
    SKIP_EMULATED();
    static const enum cut_type types[] = { CUT_F32, CUT_F16, CUT_BF16, CUT_Q8_0, CUT_Q4_0, CUT_Q4_1, CUT_Q2_K, CUT_Q4_K, CUT_Q6_K };
    struct cut_model *base = synth("reduce.gguf", "dim=512", "ffn=768", "heads=8", "kv_heads=4", "type=f32"), *m;
    struct cut_err err;
    REQUIRE(base);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        wanted = types[i];
        REQUIRE(!cut_model_rebuild(&m, base, choose, NULL, NULL, NULL, NULL, &err), "%s", err.msg);
        check_type(m, cut_type_info(wanted)->name, wanted == CUT_F32 || wanted == CUT_F16 ? 1e-5 : 3e-2, 2);
        cut_model_close(m);
    }
    cut_model_close(base);
}

/* Rows of 288: a slice of 256 and one of 32. */
TEST(split_k_of_rows_that_are_no_whole_blocks) {
    struct cut_model *base = synth("reduce-288.gguf", "dim=288", "ffn=544", "heads=9", "kv_heads=3", "type=f32"), *m;
    struct cut_err err;
    REQUIRE(base);
    check_type(base, "f32", 1e-5, 4);
    wanted = CUT_Q8_0;
    REQUIRE(!cut_model_rebuild(&m, base, choose, NULL, NULL, NULL, NULL, &err), "%s", err.msg);
    check_type(m, "q8_0", 3e-2, 3);
    cut_model_close(m);
    cut_model_close(base);
}

TEST(split_k_leaves_passes_of_several_tokens_alone) {
    struct cut_model *m = synth("reduce-f32.gguf", "dim=512", "ffn=512", "heads=8", "kv_heads=4", "type=f32");
    struct cut_same_side one = { .tier = cut_tier_best(), .threads = 1, .reduce = CUT_REDUCE_SPLIT_K }, two = one;
    struct cut_same r;
    struct cut_err err;
    REQUIRE(m);
    two.threads = 2;
    REQUIRE(!cut_same_bytes(m, &one, &two, 8, NULL, NULL, &r, &err), "%s", err.msg);
    CHECK(!r.same && r.pass == 1 && r.n_differ > 0 && !strcmp(r.op, "matmul") && r.ulps > 0 && r.ulps < 32, "pass %d, %s %s: %g ulp", r.pass, r.name, r.op, r.ulps);
    struct cut_session *s;
    struct cut_session_opts o = { .reduce = CUT_REDUCE_SPLIT_K, .repack = CUT_REPACK_ALWAYS };
    CHECK(cut_session_new(&s, m, &o, &err) == CUT_EUSAGE && strstr(err.msg, "split-k"), "%s", err.msg);
    o.repack = CUT_REPACK_AUTO;
    REQUIRE(!cut_session_new(&s, m, &o, &err), "%s", err.msg);
    CHECK(cut_session_opts(s)->repack == CUT_REPACK_NEVER);
    cut_session_free(s);
    cut_model_close(m);
}

/* Attention shared out by heads or by KV groups: the same bytes with any number of threads, fused and kept, f16 and f32. */
TEST(attention_by_heads_changes_no_byte) {
    SKIP_EMULATED();
    struct cut_model *m = synth("heads.gguf", "dim=288", "ffn=544", "heads=9", "kv_heads=3", "type=f32");
    static float groups[2][V], heads[2][V];
    REQUIRE(m);
    for (int tier = CUT_TIER_REF; tier < CUT_TIER_COUNT; tier++)
        for (int way = 0; cut_tier_available((enum cut_tier)tier) && way < 8; way++) {
            struct cut_session_opts o = { .tier = (enum cut_tier)tier, .kv_type = way & 1 ? CUT_F16 : CUT_F32, .keep = way & 2 };
            REQUIRE(decode(m, o, 1, groups));
            o.attn = CUT_ATTN_HEADS;
            REQUIRE(decode(m, o, way & 4 ? 4 : 2, heads));
            CHECK(!memcmp(groups, heads, sizeof groups), "%s, way %d: %g", cut_tier_name(o.tier), way, apart(groups[0], heads[0]));
        }
    cut_model_close(m);
}
