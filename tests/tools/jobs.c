/* Generation and the bench over real sessions: a synthetic model anywhere, stories260K where the golden data is. */
#include "tests/test.h"

struct rig { struct cut_model *model; struct cut_session *session; struct cut_sampler *greedy; struct cut_err err; };

static bool set_up(struct rig *r, const char *path, int n_ctx) {
    memset(r, 0, sizeof *r);
    static const char *const args[] = { "dim=64", "ffn=96", "heads=4", "kv_heads=2", "vocab=400" };
    struct cut_sampler_opts o = cut_sampler_defaults;
    o.temp = 0;
    if (!path) {
        path = test_tmp("generate.gguf");
        if (cut_synth(path, "llama", args, 5, &r->err)) return false;
    }
    struct cut_session_opts so = { .n_ctx = n_ctx, .kv_type = CUT_F32 };
    return !cut_model_open(&r->model, path, 0, &r->err) && !cut_session_new(&r->session, r->model, &so, &r->err) &&
           !cut_sampler_new(&r->greedy, cut_model_config(r->model)->n_vocab, &o, &r->err);
}

static void tear_down(struct rig *r) {
    cut_sampler_free(r->greedy);
    cut_session_free(r->session);
    cut_model_close(r->model);
}

struct heard { char text[4096]; size_t len; int calls, tokens, stop_after; };

static bool hear(void *user, const char *text, size_t len, int32_t id) {
    struct heard *h = user;
    memcpy(h->text + h->len, text, len);
    h->len += len;
    h->text[h->len] = 0;
    h->calls++;
    h->tokens += id >= 0;
    return h->calls != h->stop_after;
}

static enum cut_status generate(struct rig *r, const struct cut_generate_opts *o, struct heard *h,
                                struct cut_generate_stats *stats) {
    static const int32_t prompt[] = { 1, 300, 310 };
    int stop_after = h->stop_after;
    *h = (struct heard){ .stop_after = stop_after };
    cut_session_reset(r->session);
    return cut_generate(r->session, r->greedy, prompt, 3, o, hear, h, stats, &r->err);
}

TEST(generate_counts_and_repeats) {
    struct rig r;
    REQUIRE(set_up(&r, NULL, 64), "%s", r.err.msg);
    struct cut_generate_opts o = { .n_predict = 12, .ignore_end = true };
    struct cut_generate_stats stats;
    struct heard a = { 0 }, b = { 0 };
    CHECK(generate(&r, &o, &a, &stats) == CUT_OK, "%s", r.err.msg);
    CHECK(stats.n_prompt == 3 && stats.n_generated == 12 && stats.end == CUT_END_LENGTH && a.tokens == 12);
    CHECK(cut_session_counters(r.session).tokens == 3 + 11, "the last token is not evaluated");
    int n;
    const int32_t *ids = cut_session_tokens(r.session, 0, &n);
    char text[256];
    size_t len = 0;
    for (int i = 3; i < n; i++) len += cut_vocab_text(cut_model_vocab(r.model), ids[i], text + len, sizeof text - len);
    CHECK(n == 14 && len && !memcmp(text, a.text, len), "what was heard is the tokens' text");
    CHECK(generate(&r, &o, &b, NULL) == CUT_OK && !strcmp(a.text, b.text));
    o.n_predict = 0;
    CHECK(generate(&r, &o, &b, &stats) == CUT_OK && stats.n_generated == 0 && b.calls == 0);
    tear_down(&r);
}

TEST(generate_until_the_context_is_full) {
    struct rig r;
    REQUIRE(set_up(&r, NULL, 32), "%s", r.err.msg);
    struct cut_generate_opts o = { .n_predict = -1, .ignore_end = true };
    struct cut_generate_stats stats;
    struct heard h = { 0 };
    CHECK(generate(&r, &o, &h, &stats) == CUT_OK, "%s", r.err.msg);
    CHECK(stats.end == CUT_END_CONTEXT && stats.n_generated == 32 - 3 + 1, "%d", stats.n_generated);
    tear_down(&r);
}

TEST(generate_stops_at_a_string) {
    struct rig r;
    REQUIRE(set_up(&r, NULL, 64), "%s", r.err.msg);
    struct cut_generate_opts o = { .n_predict = 30, .ignore_end = true };
    struct cut_generate_stats stats;
    struct heard all = { 0 }, part = { 0 };
    CHECK(generate(&r, &o, &all, NULL) == CUT_OK);
    /* Any piece of the text as stop string: what comes is exactly what stood before its first occurrence. */
    for (size_t at = 0; at + 5 < all.len; at += 3) {
        char stop[6] = { 0 };
        memcpy(stop, all.text + at, 5);
        if (strlen(stop) < 5) continue;
        const char *const stops[] = { "never in the text", stop };
        o.stop = stops, o.n_stop = 2;
        CHECK(generate(&r, &o, &part, &stats) == CUT_OK);
        CHECK(stats.end == CUT_END_STRING, "stop \"%s\" in \"%s\"", stop, all.text);
        CHECK(part.len == (size_t)(strstr(all.text, stop) - all.text) && !memcmp(part.text, all.text, part.len));
    }
    tear_down(&r);
}

TEST(generate_holds_nothing_back_at_the_end) {
    struct rig r;
    REQUIRE(set_up(&r, NULL, 64), "%s", r.err.msg);
    struct cut_generate_opts o = { .n_predict = 10, .ignore_end = true };
    struct heard all = { 0 }, held = { 0 };
    CHECK(generate(&r, &o, &all, NULL) == CUT_OK && all.len > 0);
    /* A stop string that begins with the end of the text: that end waits until nothing more can come. */
    char stop[8] = { all.text[all.len - 1], '\x01', '\x02', 0 };
    const char *const stops[] = { stop };
    o.stop = stops, o.n_stop = 1;
    CHECK(generate(&r, &o, &held, NULL) == CUT_OK);
    CHECK(!strcmp(all.text, held.text) && held.tokens == 10 && held.calls == 11, "%d calls", held.calls);
    tear_down(&r);
}

TEST(generate_refuses_and_is_cancelled) {
    struct rig r;
    REQUIRE(set_up(&r, NULL, 64), "%s", r.err.msg);
    struct cut_generate_opts o = { .n_predict = 10, .ignore_end = true };
    struct cut_generate_stats stats = { .n_prompt = -7 };
    struct heard h = { 0 };
    CHECK(cut_generate(r.session, r.greedy, NULL, 0, &o, hear, &h, &stats, &r.err) == CUT_EUSAGE, "no prompt");
    const char *const stops[] = { "" };
    o.stop = stops, o.n_stop = 1;
    CHECK(generate(&r, &o, &h, &stats) == CUT_EUSAGE && strstr(r.err.msg, "empty stop string"));
    o.n_stop = 0, o.n_predict = -2;
    CHECK(generate(&r, &o, &h, &stats) == CUT_EUSAGE && strstr(r.err.msg, "-2 tokens"));
    CHECK(stats.n_prompt == -7, "refused arguments leave the statistics alone");
    o.n_predict = 10;
    h.stop_after = 4;
    CHECK(generate(&r, &o, &h, &stats) == CUT_ECANCEL && h.calls == 4 && stats.n_generated == 4);
    h.stop_after = 0;
    cut_session_reset(r.session);
    cut_session_cancel(r.session);
    int32_t bos = 1;
    CHECK(cut_generate(r.session, r.greedy, &bos, 1, &o, hear, &h, &stats, &r.err) == CUT_ECANCEL && stats.n_generated == 0);
    tear_down(&r);
}

TEST(generate_stops_at_a_breakpoint) {
    struct rig r;
    REQUIRE(set_up(&r, NULL, 64), "%s", r.err.msg);
    struct cut_break b = { .pattern = "blk.1.scores" };
    struct cut_generate_opts o = { .n_predict = 4 };
    struct heard h = { 0 };
    int32_t bos = 1;
    REQUIRE(cut_session_break(r.session, &b, &r.err) == CUT_OK, "%s", r.err.msg);
    CHECK(cut_generate(r.session, r.greedy, &bos, 1, &o, hear, &h, NULL, &r.err) == CUT_ECANCEL);
    CHECK(strstr(r.err.msg, "breakpoint before \"blk.1.scores\""), "%s", r.err.msg);
    tear_down(&r);
}

TEST(generate_golden_stories) {
    static const char want[] = " Once upon a time, there was a little girl named Lily. She loved to play outside in the "
        "park. One day, she saw a big, red ball. She wanted to play with it, but it was too high.\nLily's mom said, "
        "\"Lily, let's go to the park.\" Lily was sad and didn't know what to do.";
    struct rig r;
    const char *path = test_shared("golden/models/stories260K-f32.gguf");
    if (!path) SKIP("no golden model");
    REQUIRE(set_up(&r, path, 0), "%s", r.err.msg);
    struct cut_generate_opts o = { .n_predict = 120 };
    struct heard h = { 0 };
    int32_t bos = cut_vocab_bos(cut_model_vocab(r.model));
    CHECK(cut_generate(r.session, r.greedy, &bos, 1, &o, hear, &h, NULL, &r.err) == CUT_OK, "%s", r.err.msg);
    CHECK(!strncmp(h.text, want, sizeof want - 1), "%s", h.text);
    tear_down(&r);
}

/* ---- bench */

struct told { int calls; double last; bool falls; int stop_after; };

static bool tell(void *user, double part, const char *what) {
    struct told *t = user;
    t->falls |= part < t->last || part > 1 || !what[0];
    t->last = part;
    return ++t->calls != t->stop_after;
}

TEST(bench_measures) {
    struct rig r;
    REQUIRE(set_up(&r, NULL, 64), "%s", r.err.msg);
    struct cut_bench_opts o = { .p = 33, .n = 5, .r = 3 };
    struct cut_bench_result out;
    struct told t = { 0 };
    uint64_t before = cut_session_counters(r.session).tokens;
    CHECK(cut_bench(r.session, &o, tell, &t, &out, &r.err) == CUT_OK, "%s", r.err.msg);
    CHECK(cut_session_counters(r.session).tokens - before == 4 * (33 + 5), "three rounds and a warm-up, nothing else");
    int n, above = 0, below = 0;
    cut_session_tokens(r.session, 0, &n);
    CHECK(n == 0, "the cache is left empty");
    for (int i = 0; i < 3; i++) {
        CHECK(out.round[i].prefill_tps > 0 && out.round[i].decode_tps > 0);
        above += out.round[i].decode_tps >= out.decode_tps;
        below += out.round[i].decode_tps <= out.decode_tps;
    }
    CHECK(above >= 2 && below >= 2, "the median");
    CHECK(!t.falls);
    o.p = 0, o.r = 2;
    CHECK(cut_bench(r.session, &o, NULL, NULL, &out, &r.err) == CUT_OK && out.prefill_tps == 0 && out.decode_tps > 0);
    tear_down(&r);
}

TEST(bench_decodes_behind_others_and_in_several_sequences) {
    struct rig r;
    REQUIRE(set_up(&r, NULL, 64), "%s", r.err.msg);
    struct cut_session *three;
    struct cut_session_opts so = { .n_ctx = 64, .n_seq = 3 };
    REQUIRE(!cut_session_new(&three, r.model, &so, &r.err), "%s", r.err.msg);
    struct cut_bench_opts o = { .n = 4, .r = 2, .depth = 20, .n_seq = 3 };
    struct cut_bench_result out;
    CHECK(cut_bench(three, &o, NULL, NULL, &out, &r.err) == CUT_OK && out.decode_tps > 0, "%s", r.err.msg);
    struct cut_counters c = cut_session_counters(three);
    CHECK(c.tokens == 3 * 3 * 4, "three rounds, and none for the depth: %llu", (unsigned long long)c.tokens);
    CHECK(c.passes == 3 * 4, "the sequences share a pass");
    CHECK(out.decode_bytes == c.bytes / 3 && out.decode_flops == c.flops / 3, "every round does the same work");
    uint64_t deep = out.decode_bytes, deep_flops = out.decode_flops;
    o.depth = 0;
    CHECK(cut_bench(three, &o, NULL, NULL, &out, &r.err) == CUT_OK, "%s", r.err.msg);
    const struct cut_config *m = cut_model_config(r.model);
    uint64_t cells = 20 * 3 * 4, kv = (uint64_t)(m->n_layer * m->n_head_kv * m->head_dim);
    CHECK(deep - out.decode_bytes == cells * kv * 2 * sizeof(float), "20 cells more for each token: %llu bytes",
          (unsigned long long)(deep - out.decode_bytes));
    CHECK(deep_flops - out.decode_flops == cells * (uint64_t)(m->n_layer * m->n_head * m->head_dim) * 4);
    cut_session_free(three);
    tear_down(&r);
}

TEST(bench_stops_when_told) {
    struct rig r;
    REQUIRE(set_up(&r, NULL, 2048), "%s", r.err.msg);
    struct cut_bench_opts o = { .p = 0, .n = 2048, .r = 64 };
    struct cut_bench_result out = { .decode_tps = -1 };
    struct told t = { .stop_after = 2 };
    CHECK(cut_bench(r.session, &o, tell, &t, &out, &r.err) == CUT_ECANCEL && t.calls == 2 && out.decode_tps == -1);
    tear_down(&r);
}

TEST(bench_refuses_by_name) {
    struct rig r;
    REQUIRE(set_up(&r, NULL, 64), "%s", r.err.msg);
    static const struct { struct cut_bench_opts o; const char *msg; } bad[] = {
        { { 65, 1, 1, 0, 0 }, "-p 65: must be in [0, 64], the context" },
        { { 1, 65, 1, 0, 0 }, "-n 65: must be in [0, 64], the context" },
        { { -1, 1, 1, 0, 0 }, "-p -1: must be in [0, 64], the context" },
        { { 0, 0, 1, 0, 0 }, "-p 0 -n 0: nothing to measure" },
        { { 1, 1, 0, 0, 0 }, "-r 0: must be in [1, 64]" },
        { { 1, 1, 65, 0, 0 }, "-r 65: must be in [1, 64]" },
        { { 0, 4, 1, 61, 0 }, "--depth 61: must be in [0, 60], the context less the tokens of decode" },
        { { 9, 4, 1, 56, 0 }, "--depth 56: must be in [0, 55], the context less the tokens of prefill" },
        { { 0, 4, 1, 0, 2 }, "--sequences 2: must be in [1, 1], those of the session" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cut_bench_result out;
        CHECK(cut_bench(r.session, &bad[i].o, NULL, NULL, &out, &r.err) == CUT_EUSAGE && !strcmp(r.err.msg, bad[i].msg),
              "%s", r.err.msg);
    }
    tear_down(&r);
}
