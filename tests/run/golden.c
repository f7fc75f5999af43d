/* golden.c - whole models against the logits of other implementations, by the rules of golden/README.md:
 * the largest difference, over the standard deviation of the reference logits; or the normalised mean squared error. */
#include "tests/test.h"

static const int32_t tokens[24] = { 1, 403, 407, 261, 378, 312, 290, 449, 305, 276, 419, 262, 433, 330, 286, 415, 266, 290, 360, 278, 501, 317, 420, 268 };
enum { N = 24, V = 512 };

struct distance { double max_over_std, nmse; };

static struct distance compare(const float *ours, const float *theirs) {
    double mean = 0, var = 0, max = 0, err = 0, power = 0;
    for (int i = 0; i < N * V; i++) mean += theirs[i] / (double)(N * V);
    for (int i = 0; i < N * V; i++) {
        double d = (double)ours[i] - theirs[i];
        var += (theirs[i] - mean) * (theirs[i] - mean) / (double)(N * V);
        max = fmax(max, fabs(d));
        err += d * d;
        power += (double)theirs[i] * theirs[i];
    }
    return (struct distance){ max / sqrt(var), err / power };
}

/* All 24 tokens, `batch` a pass, into out[N][V]. */
static bool logits(const char *path, struct cut_session_opts o, int batch, float *out) {
    struct cut_err err = { 0 };
    struct cut_model *m = NULL;
    struct cut_session *s = NULL;
    o.n_ctx = 64;
    o.n_batch = batch;
    bool ok = !cut_model_open(&m, path, 0, &err) && !cut_session_new(&s, m, &o, &err);
    for (int i = 0; ok && i < N; i += batch) {
        ok = !cut_session_feed(s, 0, tokens + i, batch, CUT_FEED_ALL_LOGITS, &err) && !cut_session_run(s, NULL, &err);
        for (int k = 0; ok && k < batch; k++) memcpy(out + (i + k) * V, cut_session_logits(s, k), V * sizeof *out);
    }
    if (!ok) test_fail(__FILE__, __LINE__, "%s: %s", path, err.msg);
    cut_session_free(s);
    cut_model_close(m);
    return ok;
}

static float ours[N * V], again[N * V];

/* At every tier, plain and online, fed one by one and in batches. */
static void check_model(const char *path, const char *golden, bool f32, double max_over_std, double nmse) {
    size_t size = 0;
    float *theirs = test_read(golden, &size);
    REQUIRE(theirs && size == sizeof ours, "%s", golden);
    for (int tier = CUT_TIER_REF; tier < CUT_TIER_COUNT; tier++) {
        if (!cut_tier_available((enum cut_tier)tier)) continue;
        for (int way = 0; way < 4; way++) {
            struct cut_session_opts o = { .tier = (enum cut_tier)tier, .activations_f32 = f32, .plain_attention = way & 1 };
            if (!logits(path, o, way & 2 ? 8 : 1, ours)) continue;
            struct distance d = compare(ours, theirs);
            CHECK(d.max_over_std < max_over_std && d.nmse < nmse, "%s %s way %d: max/std %.2e, nmse %.2e", path, cut_tier_name((enum cut_tier)tier),
                  way, d.max_over_std, d.nmse);
        }
    }
    free(theirs);
}

static void synthetic(const char *name, const char *const *args, int n_args) {
    char file[64], path[96];
    snprintf(file, sizeof file, "golden-%s.gguf", name);
    snprintf(path, sizeof path, "golden/synthetic/%s.logits", name);
    const char *golden = test_shared(path), *model = test_tmp(file);
    struct cut_err err;
    if (!golden) SKIP("golden data is absent");
    REQUIRE(!cut_synth(model, "llama", args, n_args, &err), "%s", err.msg);
    check_model(model, golden, false, 1e-4, 1e-8);
    remove(model);
}

TEST(golden_synthetic_llama) { synthetic("llama", NULL, 0); }
TEST(golden_synthetic_llama_linear) { synthetic("llama-linear", (const char *const[]){ "scaling=linear" }, 1); }
TEST(golden_synthetic_llama_rope_factors) {
    synthetic("llama-rope-factors", (const char *const[]){ "base=500000", "rope_factors=1", "tied=1" }, 3);
}

static void real(const char *name, double max_over_std, double nmse) {
    char path[96];
    snprintf(path, sizeof path, "golden/models/%s.gguf", name);
    const char *model = test_shared(path);
    snprintf(path, sizeof path, "golden/models/%s.logits", name);
    const char *golden = test_shared(path);
    if (!model || !golden) SKIP("golden data is absent");
    check_model(model, golden, false, max_over_std, nmse);
}

TEST(golden_llama_f16) { real("llama-f16", 1e-2, 1); }
TEST(golden_llama_bf16) { real("llama-bf16", 1e-2, 1); }
TEST(golden_llama_q8_0) { real("llama-q8_0", 1, 1e-3); }
TEST(golden_llama_q6_k) { real("llama-q6_k", 1, 1e-3); }
TEST(golden_llama_q5_k_m) { real("llama-q5_k_m", 1, 1e-3); }
TEST(golden_llama_q5_k_s) { real("llama-q5_k_s", 1, 1e-3); }
TEST(golden_llama_q5_1) { real("llama-q5_1", 1, 1e-3); }
TEST(golden_llama_q5_0) { real("llama-q5_0", 1, 1e-3); }
TEST(golden_llama_q4_k_m) { real("llama-q4_k_m", 1, 1e-3); }
TEST(golden_llama_q4_k_s) { real("llama-q4_k_s", 1, 1e-3); }
TEST(golden_llama_q4_1) { real("llama-q4_1", 1, 1e-3); }
TEST(golden_llama_q4_0) { real("llama-q4_0", 1, 1e-3); }
TEST(golden_llama_iq4_nl) { real("llama-iq4_nl", 1, 1e-3); }
TEST(golden_llama_iq4_xs) { real("llama-iq4_xs", 1, 1e-3); }
TEST(golden_llama_q3_k_m) { real("llama-q3_k_m", 1, 1e-2); }
TEST(golden_llama_q2_k) { real("llama-q2_k", 1, 1e-2); }
TEST(golden_stories260K_f32) { real("stories260K-f32", 1e-4, 1e-8); }
TEST(golden_stories260K_q8_0) { real("stories260K-q8_0", 1, 1e-3); }
TEST(golden_stories260K_q4_0) { real("stories260K-q4_0", 1, 1e-3); }

/* --activations f32 on a quantized file is a forward pass over the decoded weights: write those to a file of their own, and run that. */
static enum cut_status decode_rows(void *user, const struct cut_tensor_info *t, uint64_t row0, uint64_t rows, void *dst, struct cut_err *err) {
    const struct cut_tensor_info *from = cut_gguf_find_tensor(user, t->name);
    size_t row_bytes = from->bytes / (from->ne[1] * from->ne[2] * from->ne[3]);
    for (uint64_t r = 0; r < rows; r++)
        cut_decode(from->type, (const char *)from->data + (row0 + r) * row_bytes, (float *)dst + r * t->ne[0], t->ne[0]);
    (void)err;
    return CUT_OK;
}

static bool write_decoded(const char *from, const char *to, struct cut_err *err) {
    struct cut_gguf *g = NULL;
    struct cut_gguf_writer *w = NULL;
    enum cut_status st = cut_gguf_open(&g, from, 0, err);
    if (!st) st = cut_gguf_writer_new(&w, err);
    for (uint64_t i = 0; !st && i < cut_gguf_head(g)->n_kv; i++) {
        const struct cut_kv *kv = cut_gguf_kv(g, i);
        st = cut_gguf_put_raw(w, kv->key, kv->type, kv->elem, kv->count, kv->data, kv->bytes, err);
    }
    for (uint64_t i = 0; !st && i < cut_gguf_head(g)->n_tensors; i++) {
        const struct cut_tensor_info *t = cut_gguf_tensor(g, i);
        st = cut_gguf_put_tensor(w, t->name, CUT_F32, t->n_dims, t->ne, NULL, err);
    }
    if (!st) st = cut_gguf_write(w, to, decode_rows, g, err);
    cut_gguf_writer_free(w);
    cut_gguf_close(g);
    return !st;
}

TEST(golden_activations_f32) {
    SKIP_EMULATED();
    SKIP_SLOW_BUILD();
    static const char *const names[] = {
        "llama-q8_0", "llama-q6_k", "llama-q5_k_m", "llama-q5_k_s", "llama-q5_1", "llama-q5_0", "llama-q4_k_m", "llama-q4_k_s", "llama-q4_1",
        "llama-q4_0", "llama-iq4_nl", "llama-iq4_xs", "llama-q3_k_m", "llama-q2_k", "stories260K-q8_0", "stories260K-q4_0",
    };
    const char *plain = test_tmp("golden-decoded.gguf");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[96];
        struct cut_err err;
        snprintf(path, sizeof path, "golden/models/%s.gguf", names[i]);
        const char *model = test_shared(path);
        if (!model) SKIP("golden data is absent");
        REQUIRE(write_decoded(model, plain, &err), "%s", err.msg);
        for (int tier = CUT_TIER_REF; tier < CUT_TIER_COUNT; tier++) {
            struct cut_session_opts o = { .tier = (enum cut_tier)tier, .activations_f32 = true };
            if (!cut_tier_available(o.tier) || !logits(model, o, 1, ours)) continue;
            o = (struct cut_session_opts){ .tier = CUT_TIER_REF };
            if (!logits(plain, o, 1, again)) continue;
            struct distance d = compare(ours, again);
            CHECK(d.max_over_std < 1e-4, "%s %s: %.2e", names[i], cut_tier_name((enum cut_tier)tier), d.max_over_std);
        }
        remove(plain);
    }
}
