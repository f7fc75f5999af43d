/* Perplexity in chunks: equal to llama.cpp's on a golden model, and the same by way of a live reference and of saved logits. */
#include "tests/test.h"

#define STORY "tests/fixtures/tools/story.txt"

static struct cut_session *open_session(const char *path, struct cut_model **m, int n_batch, struct cut_err *err) {
    struct cut_session_opts o = { .n_ctx = 128, .n_batch = n_batch, .kv_type = CUT_F16 };
    struct cut_session *s = NULL;
    *m = NULL;
    if (cut_model_open(m, path, 0, err) || cut_session_new(&s, *m, &o, err)) cut_model_close(*m), *m = NULL;
    return s;
}

static bool near(double x, double want, double relative) { return fabs(x - want) <= relative * fabs(want); }

/* Expected: from llama.cpp's logits for these chunks, its perplexity tool's formulas done in double beside. */
TEST(chunks_equal_llama_cpp) {
    SKIP_EMULATED();
    const char *path = test_shared("golden/models/stories260K-f32.gguf");
    struct cut_err err = { 0 };
    struct cut_model *m[3] = { NULL };
    struct cut_session *s[3];
    if (!path) SKIP("no golden model");
    s[0] = open_session(path, &m[0], 0, &err);
    REQUIRE(s[0], "%s", err.msg);
    struct cut_chunks_opts o = { .chunk = 128 };
    struct cut_chunks_result r;
    REQUIRE(!cut_perplexity_chunks(s[0], STORY, &o, NULL, NULL, &r, &err), "%s", err.msg);
    CHECK(r.tokens == 189 && r.chunks == 3 && r.damage.tokens == 0);
    CHECK(near(r.perplexity, 3.163513, 1e-3) && near(r.error, 0.319263, 1e-3), "%.6f +- %.6f", r.perplexity, r.error);

    /* Q4_0 and Q8_0 against F32; the two programs round activations differently, so to a few percent of the damage */
    const char *paths[3] = { NULL, "golden/models/stories260K-q4_0.gguf", "golden/models/stories260K-q8_0.gguf" };
    static const struct { double ppl, kl, kl_error, median, p90, max, same, rms, ratio, ratio_error, tol; } want[3] = {
        { 0 }, { 3.465445, 0.06964471, 0.00550644, 0.04367747, 0.17512177, 0.38439998, 0.841270, 0.10129418, 0.09115805, 0.02670688, 0.04 },
        { 3.167540, 0.00061717, 0.00005085, 0.00043932, 0.00149758, 0.00349936, 1, 0.00697095, 0.00127204, 0.00235431, 0.25 } };
    for (int k = 1; k < 3; k++) {
        s[k] = open_session(test_shared(paths[k]), &m[k], 0, &err);
        REQUIRE(s[k], "%s", err.msg);
        o.ref = s[0];
        REQUIRE(!cut_perplexity_chunks(s[k], STORY, &o, NULL, NULL, &r, &err), "%s", err.msg);
        const struct cut_damage *d = &r.damage;
        double tol = want[k].tol;
        CHECK(near(r.perplexity, want[k].ppl, 3e-3) && near(d->ppl_ref, 3.163513, 1e-3) && d->ppl == r.perplexity, "%.6f", r.perplexity);
        CHECK(near(d->kl, want[k].kl, tol) && near(d->kl_error, want[k].kl_error, tol), "%.8f +- %.8f", d->kl, d->kl_error);
        CHECK(near(d->kl_median, want[k].median, 2 * tol) && near(d->kl_p90, want[k].p90, 2 * tol) && near(d->kl_max, want[k].max, 2 * tol),
              "%.8f %.8f %.8f", d->kl_median, d->kl_p90, d->kl_max);
        CHECK(near(d->dp_rms, want[k].rms, tol) && near(d->same_top, want[k].same, 0.02), "%.8f %.4f", d->dp_rms, d->same_top);
        CHECK(fabs(d->ln_ratio - want[k].ratio) < want[k].ratio_error && near(d->ln_ratio_error, want[k].ratio_error, 0.1),
              "%.8f +- %.8f", d->ln_ratio, d->ln_ratio_error);
        CHECK(d->kl_median <= d->kl_p90 && d->kl_p90 <= d->kl_p95 && d->kl_p95 <= d->kl_p99 && d->kl_p99 <= d->kl_max);
    }
    for (int k = 0; k < 3; k++) cut_session_free(s[k]), cut_model_close(m[k]);
}

static const char *synth(const char *name) {
    static const char *const args[] = { "dim=64", "ffn=96", "heads=4", "kv_heads=2", "vocab=400" };
    const char *path = test_tmp(name);
    struct cut_err err;
    return cut_synth(path, "llama", args, 5, &err) ? NULL : path;
}

static enum cut_type all_q4(void *user, const struct cut_tensor_info *t) { (void)user; (void)t; return CUT_Q4_0; }
static bool count_down(void *user, double part, const char *what) { return part >= 0 && part <= 1 && what[0] && --*(int *)user > 0; }

TEST(chunks_from_saved_logits) {
    struct cut_err err = { 0 };
    struct cut_model *m = NULL, *q = NULL;
    struct cut_session *s, *sq = NULL;
    const char *path = synth("chunks.gguf");
    REQUIRE(path && (s = open_session(path, &m, 0, &err)), "%s", err.msg);
    struct cut_session_opts so = { .n_ctx = 128, .n_batch = 20, .kv_type = CUT_F16 };
    REQUIRE(!cut_model_rebuild(&q, m, all_q4, NULL, NULL, NULL, NULL, &err) && !cut_session_new(&sq, q, &so, &err), "%s", err.msg);
    char saved[256];
    snprintf(saved, sizeof saved, "%s", test_tmp("chunks.logits"));
    remove(saved);
    struct cut_chunks_opts o = { .chunk = 64, .max_chunks = 4, .save = saved };
    struct cut_chunks_result plain, live, file, self;
    int calls = 5;
    CHECK(cut_perplexity_chunks(s, STORY, &o, count_down, &calls, &plain, &err) == CUT_ECANCEL);
    FILE *f = fopen(saved, "rb");
    CHECK(!f, "a stopped run leaves no file");
    if (f) fclose(f);
    REQUIRE(!cut_perplexity_chunks(s, STORY, &o, NULL, NULL, &plain, &err), "%s", err.msg);
    CHECK(plain.chunks == 4 && plain.tokens == 4 * 31);

    float kl[2][200] = { { 0 } };
    o = (struct cut_chunks_opts){ .chunk = 64, .max_chunks = 4, .ref = s, .kl = kl[0], .n_kl = 100 };
    REQUIRE(!cut_perplexity_chunks(sq, STORY, &o, NULL, NULL, &live, &err), "%s", err.msg);
    o = (struct cut_chunks_opts){ .chunk = 64, .max_chunks = 3, .ref_file = saved, .kl = kl[1], .n_kl = 200 };
    REQUIRE(!cut_perplexity_chunks(sq, STORY, &o, NULL, NULL, &file, &err), "%s", err.msg);
    CHECK(file.chunks == 3 && file.damage.tokens == 3 * 31, "fewer chunks than were saved");
    CHECK(kl[0][99] > 0 && kl[0][100] == 0 && kl[1][92] > 0 && kl[1][93] == 0);
    for (int i = 0; i < 93; i++) CHECK(fabsf(kl[0][i] - kl[1][i]) <= 1e-4f * kl[0][i] + 1e-9f, "token %d: %g, %g", i,
          (double)kl[0][i], (double)kl[1][i]);
    o.max_chunks = 0;                  /* all of the text: as many as were saved */
    REQUIRE(!cut_perplexity_chunks(sq, STORY, &o, NULL, NULL, &file, &err), "%s", err.msg);
    CHECK(file.chunks == 4 && near(file.damage.kl, live.damage.kl, 1e-4) && near(file.damage.ppl_ref, plain.perplexity, 1e-5) &&
          near(file.damage.ppl_ref_error, plain.error, 1e-4) && near(file.perplexity, live.perplexity, 1e-5));
    o.kl = NULL;
    REQUIRE(!cut_perplexity_chunks(s, STORY, &o, NULL, NULL, &self, &err), "%s", err.msg);
    CHECK(self.damage.kl < 1e-10 && self.damage.same_top == 1 && self.damage.dp_rms < 1e-6, "against itself: %g", self.damage.kl);

    /* what is wrong with a file is said by name */
    o.chunk = 32;
    CHECK(cut_perplexity_chunks(s, STORY, &o, NULL, NULL, &self, &err) == CUT_EUSAGE && strstr(err.msg, "in chunks of 64, not"), "%s", err.msg);
    o.chunk = 64;
    size_t size;
    uint8_t *bytes = test_read(saved, &size);
    REQUIRE(bytes);
    static const struct { long cut; int at; uint8_t value; const char *msg; } bad[] = {
        { -1, 0, 'X', "no file of saved logits" }, { -1, 8, 9, "version 9" }, { -1, 24 + 4 * 5, 250, "another text: token 5" },
        { 100, 0, 'C', "are not what 4 chunks" }, { -1, 20, 200, "are not what 200 chunks" }, { 10, 0, 'C', "no file of saved logits" } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t was = bytes[bad[i].at];
        const char *broken = test_tmp("broken.logits");
        size_t n = bad[i].cut < 0 ? size : bad[i].cut == 10 ? 10 : size - (size_t)bad[i].cut;
        bytes[bad[i].at] = bad[i].value;
        f = fopen(broken, "wb");
        REQUIRE(f && fwrite(bytes, 1, n, f) == n && !fclose(f));
        bytes[bad[i].at] = was;
        o.ref_file = broken;
        enum cut_status st = cut_perplexity_chunks(s, STORY, &o, NULL, NULL, &self, &err);
        CHECK(st != CUT_OK && strstr(err.msg, bad[i].msg) && strstr(err.msg, "broken.logits"), "%s", err.msg);
    }
    free(bytes);
    cut_session_free(sq);
    cut_session_free(s);
    cut_model_close(q);
    cut_model_close(m);
}

TEST(chunks_refuse_by_name) {
    struct cut_err err = { 0 };
    struct cut_model *m = NULL;
    struct cut_session *s;
    const char *path = synth("chunks-no.gguf");
    REQUIRE(path && (s = open_session(path, &m, 0, &err)), "%s", err.msg);
    struct cut_chunks_result r = { .chunks = -7 };
    static const struct { struct cut_chunks_opts o; const char *text, *msg; } bad[] = {
        { { .chunk = 3 }, STORY, "chunks of 3 tokens: must be 4 to 128, the context" }, { { .chunk = 129 }, STORY, "chunks of 129" },
        { { .max_chunks = -1 }, STORY, "at most -1 chunks" }, { { .chunk = 0 }, "tests/nothing.txt", "nothing.txt" },
        { { .chunk = 0, .ref_file = "tests/nothing.logits" }, STORY, "nothing.logits" },
        { { .chunk = 4, .save = "/nowhere/x" }, STORY, "/nowhere/x" }, { { .chunk = 128 }, "tests/deps.sh", NULL } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enum cut_status st = cut_perplexity_chunks(s, bad[i].text, &bad[i].o, NULL, NULL, &r, &err);
        CHECK(!bad[i].msg ? st == CUT_OK : st != CUT_OK && strstr(err.msg, bad[i].msg), "%d: %s", (int)i, err.msg);
        if (bad[i].msg) CHECK(r.chunks == -7);
    }
    const char *small = test_tmp("small.txt");
    FILE *f = fopen(small, "w");
    REQUIRE(f && fputs("only a few words", f) >= 0 && !fclose(f));
    struct cut_chunks_opts o = { .chunk = 64 };
    CHECK(cut_perplexity_chunks(s, small, &o, NULL, NULL, &r, &err) == CUT_EUSAGE && strstr(err.msg, "do not fill one chunk of 64"), "%s", err.msg);
    cut_session_free(s);
    cut_model_close(m);
}

TEST(compare_puts_it_together) {
    struct cut_err err = { 0 };
    struct cut_model *m = NULL, *q = NULL;
    const char *path = synth("compare.gguf");
    REQUIRE(path && !cut_model_open(&m, path, 0, &err) && !cut_model_rebuild(&q, m, all_q4, NULL, NULL, NULL, NULL, &err), "%s", err.msg);
    float kl[50];
    struct cut_compare_opts o = { .text = { .chunk = 64, .max_chunks = 2 }, .bench = { .p = 16, .n = 4, .r = 1 }, .kl_points = 50 };
    struct cut_compare_row ref = { 0 }, row = { .kl = kl };
    int calls = 1000;
    REQUIRE(!cut_compare(NULL, m, STORY, &o, count_down, &calls, &ref, &err) && !cut_compare(m, q, STORY, &o, NULL, NULL, &row, &err), "%s", err.msg);
    CHECK(ref.bytes == cut_model_config(m)->weight_bytes && fabs(ref.bits - 32) < 1e-9 && ref.text.damage.tokens == 0 && ref.n_kl == 0);
    CHECK(row.bits > 4.5 && row.bits < 6 && row.text.damage.tokens == 62 && row.n_kl == 50 && kl[49] > 0);
    CHECK(near(row.text.damage.ppl_ref, ref.text.perplexity, 1e-6) && row.decode_tps > 0 && row.prefill_tps > 0 && ref.decode_tps > 0);
    o.bench.r = 0;
    CHECK(!cut_compare(m, q, STORY, &o, NULL, NULL, &row, &err) && row.decode_tps == 0);
    calls = 1;
    CHECK(cut_compare(m, q, STORY, &o, count_down, &calls, &row, &err) == CUT_ECANCEL);
    cut_model_close(q);
    cut_model_close(m);
}
