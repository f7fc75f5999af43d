/* panels.c - a model's weights, repacked: when, how much memory, the same answers, and what edits of the weights do to them. */
#include <math.h>

#include "engine/cutaway.h"
#include "tests/test.h"

static const char *synth(const char *name) {
    struct cut_err err;
    const char *args[] = { "dim=256", "ffn=512", "layers=2", "heads=4", "kv_heads=2", "vocab=300", "type=f32" };
    const char *path = test_tmp(name);
    return cut_synth(path, "llama", args, 7, &err) ? "" : path;        /* opening fails, and says so */
}

static enum cut_type to_type(void *user, const struct cut_tensor_info *t) {
    return t->n_dims > 1 ? *(enum cut_type *)user : t->type;
}

enum { N = 11, VOCAB = 300 };

/* The logits of all tokens of a text, decoded in passes of `batch`; all zero where something failed. */
static struct cut_memory answers(const struct cut_model *m, enum cut_tier tier, enum cut_repack repack, int batch, float *logits) {
    struct cut_err err;
    struct cut_session *s = NULL;
    struct cut_memory mem = { 0 };
    memset(logits, 0, N * VOCAB * sizeof *logits);
    struct cut_session_opts o = { .n_ctx = 64, .n_batch = batch, .kv_type = CUT_F16, .tier = tier, .repack = repack };
    enum cut_stop why;
    int32_t ids[N];
    for (int i = 0; i < N; i++) ids[i] = 3 + 7 * i;
    if (cut_session_new(&s, m, &o, &err)) return mem;
    for (int i = 0; i < N; i += batch) {
        int n = i + batch < N ? batch : N - i;
        if (cut_session_feed(s, 0, ids + i, n, CUT_FEED_ALL_LOGITS, &err) || cut_session_run(s, &why, &err)) break;
        for (int t = 0; t < n; t++) memcpy(logits + (size_t)(i + t) * VOCAB, cut_session_logits(s, t), VOCAB * sizeof *logits);
    }
    mem = cut_session_memory(s);
    cut_session_free(s);
    return mem;
}

/* Sums in another order tip the rounding of an activation now and then (1.2e-5 seen; without a tip 1e-13). */
static bool near(const float *a, const float *b) {
    double off = 0, all = 0;
    for (int i = 0; i < N * VOCAB; i++) off += pow((double)a[i] - b[i], 2), all += pow((double)b[i], 2);
    return all > 0 && off < 1e-4 * all;
}

TEST(panels_give_the_answers_of_rows) {
    static const enum cut_type types[] = { CUT_Q4_0, CUT_Q8_0, CUT_Q2_K, CUT_Q4_K, CUT_Q6_K, CUT_IQ4_XS };
    static const enum cut_tier tiers[] = { CUT_TIER_AVX2, CUT_TIER_AVX512 };
    struct cut_err err;
    struct cut_model *base, *m;
    float *rows = calloc(N * VOCAB, 4), *one = calloc(N * VOCAB, 4), *many = calloc(N * VOCAB, 4);
    REQUIRE(!cut_model_open(&base, synth("panels.gguf"), 0, &err), "%s", err.msg);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (int k = 0; k < 2; k++) {
            if (!cut_tier_available(tiers[k])) continue;
            enum cut_type type = types[i];
            REQUIRE(!cut_model_rebuild(&m, base, to_type, &type, NULL, NULL, NULL, &err), "%s", err.msg);
            struct cut_memory never = answers(m, tiers[k], CUT_REPACK_NEVER, N, rows);
            CHECK(never.panels == 0);
            enum cut_repack how = type == CUT_Q8_0 ? CUT_REPACK_ALWAYS : CUT_REPACK_AUTO;
            if (type == CUT_Q8_0) CHECK(answers(m, tiers[k], CUT_REPACK_AUTO, N, many).panels == 0);
            struct cut_memory repacked = answers(m, tiers[k], how, N, many);
            /* The matrices but the embedding, which is looked up; scales in whole bytes. */
            CHECK(repacked.panels > repacked.weights / 2 && repacked.panels < repacked.weights * 6 / 5, "%llu of %llu",
                  (unsigned long long)repacked.panels, (unsigned long long)repacked.weights);
            CHECK(near(many, rows), "%s %s", cut_tier_name(tiers[k]), cut_type_info(type)->name);
            CHECK(answers(m, tiers[k], how, 1, one).panels == repacked.panels);
            CHECK(!memcmp(one, many, N * VOCAB * 4), "%s %s: one by one", cut_tier_name(tiers[k]), cut_type_info(type)->name);
            CHECK(answers(m, tiers[k], how, 3, one).panels == repacked.panels);
            CHECK(!memcmp(one, many, N * VOCAB * 4), "%s %s: by threes", cut_tier_name(tiers[k]), cut_type_info(type)->name);
            cut_model_close(m);
        }
    CHECK(answers(base, CUT_TIER_REF, CUT_REPACK_AUTO, N, rows).panels == 0);
    cut_model_close(base);
    free(rows), free(one), free(many);
}

/* A session that exists sees an edited block from its next pass on, and sees it gone when it is taken back. */
TEST(panels_follow_edits) {
    if (!cut_tier_available(CUT_TIER_AVX2)) SKIP("no panels on this processor");
    enum cut_type type = CUT_Q4_K;
    struct cut_err err;
    struct cut_model *base, *m;
    struct cut_session *s;
    enum cut_stop why;
    int32_t id = 5;
    uint8_t block[144], old[144];
    float logits[3][VOCAB], *all = calloc(N * VOCAB, sizeof *all);
    REQUIRE(!cut_model_open(&base, synth("panels-edit.gguf"), 0, &err), "%s", err.msg);
    REQUIRE(!cut_model_rebuild(&m, base, to_type, &type, NULL, NULL, NULL, &err), "%s", err.msg);
    REQUIRE(!cut_session_new(&s, m, &(struct cut_session_opts){ .n_ctx = 64, .tier = CUT_TIER_AVX2 }, &err), "%s", err.msg);
    memset(block, 0x35, sizeof block);
    for (int i = 0; i < 3; i++) {
        if (i == 1) REQUIRE(!cut_model_edit_block(m, "blk.1.ffn_down.weight", 9, block, old, &err), "%s", err.msg);
        if (i == 2) REQUIRE(!cut_model_edit_block(m, "blk.1.ffn_down.weight", 9, old, NULL, &err), "%s", err.msg);
        cut_session_reset(s);
        REQUIRE(!cut_session_feed(s, 0, &id, 1, 0, &err) && !cut_session_run(s, &why, &err), "%s", err.msg);
        memcpy(logits[i], cut_session_logits(s, 0), sizeof logits[i]);
    }
    CHECK(memcmp(logits[0], logits[1], sizeof logits[0]));
    CHECK(!memcmp(logits[0], logits[2], sizeof logits[0]));
    cut_session_free(s);
    /* A tensor put back into its own format is base's again, and so are its panels. */
    uint64_t before = answers(m, CUT_TIER_AVX2, CUT_REPACK_AUTO, N, all).panels;
    REQUIRE(!cut_model_retype(m, "blk.1.ffn_down.weight", CUT_F32, NULL, &err), "%s", err.msg);
    CHECK(answers(m, CUT_TIER_AVX2, CUT_REPACK_AUTO, N, all).panels == before - 256 / 16 * (512 / 256) * 16 * 148);
    free(all);
    cut_model_close(m);
    cut_model_close(base);
}
