/* step.c - the debugger's promises: a stepped run is the free run, back is exact, edits are undone without a trace. */
#include "tests/test.h"

static const int32_t prompt[] = { 1, 403, 407, 261, 378, 312, 290, 449, 305, 276, 419, 262 };
enum { N = sizeof prompt / sizeof *prompt };

static struct cut_model *model(const char *type) {
    static struct { const char *type; struct cut_model *m; } made[4];
    struct cut_err err;
    for (int i = 0; i < 4; i++) {
        if (made[i].type && !strcmp(made[i].type, type)) return made[i].m;
        if (made[i].type) continue;
        char name[64];
        snprintf(name, sizeof name, "step-%s.gguf", type);
        const char *path = test_tmp(name), *arg = strcmp(type, "f16") ? "type=f32" : "type=f16";
        if (cut_synth(path, "llama", &arg, 1, &err) || cut_model_open(&made[i].m, path, 0, &err)) {
            test_fail(__FILE__, __LINE__, "%s", err.msg);
            return NULL;
        }
        made[i].type = type;
        return made[i].m;
    }
    return NULL;
}

/* The quantized golden models, where they are; otherwise a synthetic one. */
static struct cut_model *quantized(void) {
    static struct cut_model *m;
    const char *path = test_shared("golden/models/llama-q4_0.gguf");
    if (!m && (!path || cut_model_open(&m, path, 0, NULL))) m = model("f16");
    return m;
}

static struct cut_session *session(struct cut_model *m, struct cut_session_opts o) {
    struct cut_session *s = NULL;
    struct cut_err err;
    if (!o.n_ctx) o.n_ctx = 128;
    if (!m || cut_session_new(&s, m, &o, &err)) test_fail(__FILE__, __LINE__, "%s", m ? err.msg : "no model");
    return s;
}

static uint64_t fnv(uint64_t h, const void *p, size_t n) {
    for (size_t i = 0; i < n; i++) h = (h ^ ((const uint8_t *)p)[i]) * 0x100000001b3u;
    return h;
}

static uint64_t hash_logits(struct cut_session *s) {
    uint64_t h = 0xcbf29ce484222325u;
    for (int i = 0; cut_session_logits(s, i); i++)
        h = fnv(h, cut_session_logits(s, i), (size_t)cut_model_config(cut_session_model(s))->n_vocab * sizeof(float));
    return h;
}

/* Every value of the present pass up to the step we are at, bit for bit, with what is on demand included. */
static uint64_t hash_values(struct cut_session *s) {
    uint64_t h = 0xcbf29ce484222325u;
    struct cut_tensor t;
    for (int i = 0; i < cut_session_n_steps(s); i++) {
        if (cut_session_value(s, i, &t, NULL)) continue;
        h = fnv(h, t.ne, sizeof t.ne);
        if (t.data) h = fnv(h, t.data, (size_t)(t.ne[0] * t.ne[1] * t.ne[2]) * sizeof(float));
    }
    return h;
}

static bool feed_run(struct cut_session *s, const int32_t *ids, int n) {
    struct cut_err err = { 0 };
    bool ok = !cut_session_feed(s, 0, ids, n, CUT_FEED_ALL_LOGITS, &err) && !cut_session_run(s, NULL, &err);
    if (!ok) test_fail(__FILE__, __LINE__, "%s", err.msg);
    return ok;
}

/* ---- a fused free run, at any thread count, gives the bytes of a kept, stepped one */

static void same_bytes(struct cut_model *m, bool plain) {
    for (int tier = CUT_TIER_REF; tier < CUT_TIER_COUNT; tier++) {
        if (!cut_tier_available((enum cut_tier)tier)) continue;
        uint64_t want = 0;
        for (int way = 0; way < 5; way++) {            /* fused on 1, 2, 3 threads; kept, run; kept, stepped */
            struct cut_pool *pool = NULL;
            if (way == 1 || way == 2) REQUIRE(!cut_pool_new(&pool, way + 1, NULL));
            struct cut_session *s = session(m, (struct cut_session_opts){ .tier = (enum cut_tier)tier, .keep = way > 2, .plain_attention = plain, .pool = pool });
            REQUIRE(s);
            if (way < 4) feed_run(s, prompt, N);
            else CHECK(!cut_session_feed(s, 0, prompt, N, CUT_FEED_ALL_LOGITS, NULL) && !cut_session_step(s, cut_session_n_steps(s), NULL, NULL));
            uint64_t got = hash_logits(s);
            feed_run(s, prompt + 3, 1);                /* and a decoded token after it */
            got = got * 31 + hash_logits(s);
            if (!way) want = got;
            CHECK(got == want, "tier %s, way %d, plain %d", cut_tier_name((enum cut_tier)tier), way, plain);
            cut_session_free(s);
            cut_pool_free(pool);
        }
    }
}

TEST(step_same_bytes_f32) { same_bytes(model("f32"), false); }
TEST(step_same_bytes_f16) { same_bytes(model("f16"), false); }
TEST(step_same_bytes_quantized) { same_bytes(quantized(), false); }
TEST(step_same_bytes_plain) { same_bytes(quantized(), true); }
TEST(step_same_bytes_stories) {
    struct cut_model *m = NULL;
    const char *path = test_shared("golden/models/stories260K-q8_0.gguf");
    if (!path) SKIP("golden data is absent");
    REQUIRE(!cut_model_open(&m, path, 0, NULL));
    same_bytes(m, false);
    cut_model_close(m);
}

/* ---- back(n) then step(n) is the identity, from any place, within a pass and across passes */

TEST(step_back_is_exact) {
    struct cut_session *s = session(quantized(), (struct cut_session_opts){ .keep = true, .n_batch = 5 });
    REQUIRE(s);
    int steps = cut_session_n_steps(s);
    CHECK(!cut_session_feed(s, 0, prompt, N, 0, NULL));
    CHECK(cut_session_where(s).n_passes == 3);
    CHECK(!cut_session_step(s, 2 * steps + 17, NULL, NULL));
    struct cut_where w = cut_session_where(s);
    CHECK(w.pass == 2 && w.step == 17 && w.pos == 10 && w.n_tokens == 2, "pass %d step %d", w.pass, w.step);
    uint64_t here = hash_values(s);
    static const int lengths[] = { 1, 2, 16, 17, 18, 40 };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        CHECK(!cut_session_back(s, lengths[i], NULL));
        struct cut_where b = cut_session_where(s);
        CHECK(b.pass * steps + b.step == w.pass * steps + w.step - lengths[i]);
        CHECK(!cut_session_step(s, lengths[i], NULL, NULL));
        CHECK(hash_values(s) == here, "after %d back and %d forward", lengths[i], lengths[i]);
    }
    CHECK(!cut_session_back(s, 1000000, NULL));
    w = cut_session_where(s);
    CHECK(w.pass == 0 && w.step == 0);
    CHECK(!cut_session_run(s, NULL, NULL));
    uint64_t end = hash_logits(s);
    struct cut_session *free_run = session(quantized(), (struct cut_session_opts){ .n_batch = 5 });
    CHECK(!cut_session_feed(free_run, 0, prompt, N, 0, NULL) && !cut_session_run(free_run, NULL, NULL));
    CHECK(hash_logits(free_run) == end);
    cut_session_free(free_run);
    cut_session_free(s);
}

TEST(step_values_not_reached_are_blank) {
    struct cut_session *s = session(model("f32"), (struct cut_session_opts){ .keep = true });
    REQUIRE(s);
    struct cut_tensor t;
    CHECK(!cut_session_feed(s, 0, prompt, 3, 0, NULL) && !cut_session_step(s, 4, NULL, NULL));
    CHECK(!cut_session_value(s, 3, &t, NULL) && t.data);
    CHECK(!cut_session_value(s, 4, &t, NULL) && !t.data);
    CHECK(!cut_session_logits(s, -1));
    CHECK(cut_session_value(s, cut_session_n_steps(s), &t, NULL) == CUT_EUSAGE);
    cut_session_free(s);
}

TEST(step_needs_no_keep) {      /* stepping a session that was not opened for it; the free run afterwards is fused again */
    struct cut_session *s = session(quantized(), (struct cut_session_opts){ 0 });
    struct cut_tensor t;
    REQUIRE(s);
    feed_run(s, prompt, N);
    uint64_t want = hash_logits(s);
    CHECK(cut_session_value(s, 2, &t, NULL) == CUT_EUSAGE);
    CHECK(!cut_session_back(s, 3, NULL) && !cut_session_value(s, 2, &t, NULL) && t.data);
    CHECK(!cut_session_step(s, 3, NULL, NULL));
    CHECK(hash_logits(s) == want);
    cut_session_free(s);
}

/* ---- names */

TEST(step_names) {
    struct cut_session *s = session(model("f32"), (struct cut_session_opts){ .keep = true });
    REQUIRE(s);
    static const char *const names[] = { "embed", "blk.0.resid_pre", "blk.1.resid_pre", "blk.0.attn_norm", "blk.0.q", "blk.0.k", "blk.0.v",
        "blk.0.q_rope", "blk.0.k_rope", "blk.0.kv_store", "blk.0.scores", "blk.0.pattern", "blk.0.z", "blk.0.attn_out", "blk.0.resid_mid",
        "blk.0.ffn_norm", "blk.0.gate", "blk.0.up", "blk.0.act", "blk.0.ffn_out", "blk.0.resid_post", "final_norm", "logits", "sample",
        "hook_embed", "blocks.1.hook_resid_pre", "blocks.0.attn.hook_attn_scores", "blocks.1.attn.hook_pattern", "blocks.0.mlp.hook_post" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) CHECK(cut_session_find_step(s, names[i]) >= 0, "%s", names[i]);
    CHECK(cut_session_find_step(s, "blk.1.resid_pre") == cut_session_find_step(s, "blk.0.resid_post"));
    CHECK(cut_session_find_step(s, "blk.2.q") == -1);
    for (int i = 0; i < cut_session_n_steps(s); i++) {
        const struct cut_step *st = cut_session_step_at(s, i);
        CHECK(st->formula && st->built.line > 0 && st->built.file, "%s", st->name);
        CHECK(st->source.line > 0 && cut_source_text(st->source.file, &(size_t){ 0 }), "%s has no source", st->name);
    }
    cut_session_free(s);
}

/* ---- the sum rules */

TEST(step_pattern_rows_sum_to_one) {
    struct cut_session *s = session(quantized(), (struct cut_session_opts){ .keep = true });
    REQUIRE(s);
    feed_run(s, prompt, N);
    struct cut_tensor t;
    CHECK(!cut_session_value(s, cut_session_find_step(s, "blk.1.pattern"), &t, NULL) && t.data && t.tag == CUT_DERIVED);
    CHECK(t.ne[0] == N && t.ne[2] == N);
    for (int64_t r = 0; t.data && r < t.ne[1] * t.ne[2]; r++) {
        double sum = 0;
        for (int k = 0; k < N; k++) sum += t.data[r * N + k];
        CHECK(fabs(sum - 1) < 1e-6, "row %lld: %.9g", (long long)r, sum);
    }
    /* The same row from kept queries, on demand. */
    float row[N];
    CHECK(!cut_session_attention(s, 0, 1, 3, 7, CUT_ATTN_SOFTMAX, row, NULL));
    for (int k = 0; k <= 7; k++) CHECK(row[k] == t.data[(7 * t.ne[1] + 3) * N + k]);
    CHECK(cut_session_attention(s, 0, 1, 3, N, CUT_ATTN_SOFTMAX, row, NULL) == CUT_EUSAGE);
    cut_session_free(s);
}

/* Terms of every kind of step come to the value shown. */
TEST(step_explain_adds_up) {
    for (int way = 0; way < 2; way++) {
        struct cut_session *s = session(way ? quantized() : model("f32"), (struct cut_session_opts){ .keep = true, .tier = CUT_TIER_REF });
        REQUIRE(s);
        feed_run(s, prompt, N);
        for (int i = 0; i < cut_session_n_steps(s); i++) {
            struct cut_tensor t;
            struct cut_explain e = { 0 };
            struct cut_err err;
            REQUIRE(!cut_session_value(s, i, &t, &err) && t.data, "%s", cut_session_step_at(s, i)->name);
            struct cut_stats stats;
            cut_tensor_stats(t.data, t.ne[0] * t.ne[1] * t.ne[2], &stats);
            const int64_t at[3] = { t.ne[0] / 3, t.ne[1] - 1, t.ne[2] - 1 };
            REQUIRE(!cut_session_explain(s, i, at, &e, &err), "%s: %s", t.name, err.msg);
            CHECK(fabs((double)e.value - e.total) <= 2e-5 * stats.rms + 1e-6 * fabs((double)e.value), "%s: %g is not %g (%.1f ulps)",
                  cut_session_step_at(s, i)->name, e.total, e.value, e.ulps);
            cut_explain_done(&e);
        }
        const int64_t outside[3] = { 1 << 20, 0, 0 };
        struct cut_explain e;
        CHECK(cut_session_explain(s, 0, outside, &e, NULL) == CUT_EUSAGE);
        cut_session_free(s);
    }
}

/* ---- edits */

TEST(step_edit_and_undo) {
    struct cut_session *s = session(quantized(), (struct cut_session_opts){ .keep = true, .n_batch = 4 });
    REQUIRE(s);
    feed_run(s, prompt, N);
    uint64_t before = hash_values(s), logits = hash_logits(s);
    struct cut_edit zero_head = { .step = "blk.0.z", .op = CUT_EDIT_SCALE, .value = 0, .i0 = -1, .i1 = 2, .pos0 = 0, .pos1 = -1 };
    CHECK(!cut_session_edit(s, &zero_head, NULL));
    CHECK(hash_logits(s) != logits);
    struct cut_where w = cut_session_where(s);
    CHECK(w.pass == 2 && w.step == w.n_steps);
    struct cut_tensor t;
    CHECK(!cut_session_value(s, cut_session_find_step(s, "blk.0.z"), &t, NULL) && t.edited);
    for (int64_t d = 0; d < t.ne[0]; d++) CHECK(t.data[2 * t.ne[0] + d] == 0);
    CHECK(!cut_session_value(s, cut_session_find_step(s, "blk.0.q"), &t, NULL) && !t.edited);
    CHECK(!cut_session_value(s, cut_session_find_step(s, "logits"), &t, NULL) && t.edited);

    struct cut_edit set = { .step = "blk.1.scores", .op = CUT_EDIT_SET, .value = 30, .i0 = 1, .i1 = 0, .pos0 = 9, .pos1 = 9 };
    CHECK(!cut_session_is_plain(s));
    CHECK(!cut_session_edit(s, &set, NULL));
    CHECK(cut_session_is_plain(s));
    CHECK(!cut_session_value(s, cut_session_find_step(s, "blk.1.pattern"), &t, NULL) && t.tag == CUT_REAL && t.data[t.ne[0] * t.ne[1] + 1] > 0.99f);
    CHECK(!cut_session_undo(s, NULL) && !cut_session_is_plain(s));
    CHECK(!cut_session_undo(s, NULL));
    CHECK(hash_values(s) == before, "undo leaves a trace");
    CHECK(hash_logits(s) == logits);
    CHECK(cut_session_undo(s, NULL) == CUT_EUSAGE);

    struct cut_err err;
    struct cut_edit bad = zero_head;
    bad.i1 = 8;
    CHECK(cut_session_edit(s, &bad, &err) == CUT_EUSAGE && strstr(err.msg, "head 8"), "%s", err.msg);
    strcpy(bad.step, "blk.9.z");
    CHECK(cut_session_edit(s, &bad, &err) == CUT_EUSAGE && strstr(err.msg, "blk.9.z"));
    cut_session_free(s);
}

/* An edit at one position reaches later positions through the cache, and says so; earlier ones not at all. */
TEST(step_edit_reaches_through_the_cache) {
    struct cut_session *s = session(quantized(), (struct cut_session_opts){ .keep = true, .n_batch = 1 });
    REQUIRE(s);
    feed_run(s, prompt, 6);
    struct cut_edit e = { .step = "blk.0.v", .op = CUT_EDIT_SCALE, .value = 3, .i0 = -1, .i1 = -1, .pos0 = 2, .pos1 = 2 };
    CHECK(!cut_session_edit(s, &e, NULL));
    struct cut_tensor t;
    CHECK(!cut_session_value(s, cut_session_find_step(s, "blk.0.v"), &t, NULL) && !t.edited);
    CHECK(!cut_session_value(s, cut_session_find_step(s, "blk.0.z"), &t, NULL) && t.edited);
    CHECK(!cut_session_seek(s, 1, cut_session_n_steps(s), NULL));
    CHECK(!cut_session_value(s, cut_session_find_step(s, "logits"), &t, NULL) && !t.edited);
    cut_session_free(s);
}

/* The random state is part of what back restores: a step made again draws the same token. */
TEST(step_back_restores_the_sampler) {
    struct cut_session *s = session(quantized(), (struct cut_session_opts){ .keep = true, .n_batch = 4 });
    struct cut_sampler_opts o = cut_sampler_defaults;
    struct cut_sampler *sampler = NULL;
    o.temp = 2;
    REQUIRE(s && !cut_sampler_new(&sampler, 512, &o, NULL));
    cut_session_sampler(s, sampler);
    CHECK(!cut_session_feed(s, 0, prompt, N, CUT_FEED_ALL_LOGITS, NULL) && !cut_session_run(s, NULL, NULL));
    int32_t first[4], again[4];
    for (int i = 0; i < 4; i++) first[i] = cut_session_sampled(s, i);
    CHECK(first[0] >= 0 && cut_session_sampled(s, 4) == -1);
    for (int n = 1; n < 3 * cut_session_n_steps(s); n = n * 5) {
        CHECK(!cut_session_back(s, n, NULL) && cut_session_sampled(s, 0) == -1 && !cut_session_step(s, n, NULL, NULL));
        for (int i = 0; i < 4; i++) again[i] = cut_session_sampled(s, i);
        CHECK(!memcmp(first, again, sizeof first), "after %d steps back: %d %d %d %d, not %d %d %d %d", n, again[0], again[1], again[2], again[3],
              first[0], first[1], first[2], first[3]);
    }
    cut_session_free(s);
    cut_sampler_free(sampler);
}

/* ---- probes and breakpoints */

struct seen { int calls; bool stop; double sum; };
static bool watch(void *user, const struct cut_step *step, struct cut_tensor *t) {
    struct seen *w = user;
    w->calls++;
    for (int64_t i = 0; i < t->ne[0] * t->ne[1] * t->ne[2]; i++) w->sum += t->data[i];
    return strncmp(step->name, "blk.", 4) == 0 && !w->stop;
}
static bool zero(void *user, const struct cut_step *step, struct cut_tensor *t) {
    (void)user, (void)step;
    memset(t->data, 0, (size_t)(t->ne[0] * t->ne[1] * t->ne[2]) * sizeof(float));
    return true;
}

TEST(step_probes) {
    struct cut_session *s = session(quantized(), (struct cut_session_opts){ .n_batch = 4 });
    struct cut_session *bare = session(quantized(), (struct cut_session_opts){ .n_batch = 4 });
    REQUIRE(s && bare);
    struct seen w = { 0 };
    int id, zid;
    CHECK(!cut_session_probe(s, "blocks.*.attn.hook_pattern", watch, &w, 0, &id, NULL));
    feed_run(s, prompt, N);
    feed_run(bare, prompt, N);
    CHECK(w.calls == 3 * 2, "%d calls", w.calls);
    CHECK(fabs(w.sum - 2 * 8 * N) < 1e-3, "pattern sums %g", w.sum);
    CHECK(hash_logits(s) == hash_logits(bare), "a watching probe changed the result");
    w.stop = true;
    struct cut_err err;
    CHECK(!cut_session_feed(s, 0, prompt, 2, 0, NULL) && cut_session_run(s, NULL, &err) == CUT_ECANCEL && strstr(err.msg, "blk.0.pattern"));
    w.stop = false;
    CHECK(!cut_session_run(s, NULL, NULL));
    cut_session_unprobe(s, id);
    CHECK(!cut_session_probe(s, "blk.1.ffn_out", zero, NULL, CUT_PROBE_EDIT, &zid, NULL));
    CHECK(!cut_session_feed(s, 0, prompt, 1, 0, NULL) && !cut_session_run(s, NULL, NULL));
    struct cut_tensor mid, post;
    CHECK(!cut_session_value(s, cut_session_find_step(s, "blk.1.resid_mid"), &mid, NULL) &&
          !cut_session_value(s, cut_session_find_step(s, "blk.1.resid_post"), &post, NULL));
    CHECK(!memcmp(mid.data, post.data, (size_t)mid.ne[0] * sizeof(float)));
    CHECK(cut_session_probe(s, "blk.*.nothing", watch, &w, 0, &id, &err) == CUT_EUSAGE && strstr(err.msg, "blk.*.nothing"));
    cut_session_free(s);
    cut_session_free(bare);
}

TEST(step_breakpoints) {
    struct cut_session *s = session(quantized(), (struct cut_session_opts){ .n_batch = 8 });
    REQUIRE(s);
    enum cut_stop why;
    struct cut_break b = { "blk.1.scores", 0 };
    CHECK(!cut_session_break(s, &b, NULL));
    CHECK(!cut_session_feed(s, 0, prompt, N, 0, NULL));
    for (int pass = 0; pass < 2; pass++) {
        CHECK(!cut_session_run(s, &why, NULL) && why == CUT_STOP_BREAK);
        struct cut_where w = cut_session_where(s);
        CHECK(w.pass == pass && w.step == cut_session_find_step(s, "blk.1.scores"));
    }
    CHECK(!cut_session_run(s, &why, NULL) && why == CUT_STOP_DONE);
    cut_session_unbreak(s, 0);
    struct cut_break big = { "blk.*.resid_mid", 1e-6f };
    CHECK(!cut_session_break(s, &big, NULL));
    CHECK(!cut_session_feed(s, 0, prompt, 1, 0, NULL) && !cut_session_run(s, &why, NULL) && why == CUT_STOP_BREAK);
    CHECK(cut_session_where(s).step == cut_session_find_step(s, "blk.0.resid_mid") + 1);
    cut_session_free(s);
}

/* ---- sequences */

TEST(step_truncate_and_go_on) {
    struct cut_session *s = session(quantized(), (struct cut_session_opts){ .n_batch = 4 });
    REQUIRE(s);
    feed_run(s, prompt, N);
    uint64_t want = hash_logits(s);
    feed_run(s, prompt + 2, 5);
    CHECK(!cut_session_truncate(s, 0, 8, NULL));
    feed_run(s, prompt + 8, 4);
    CHECK(hash_logits(s) == want);
    int n;
    CHECK(cut_session_tokens(s, 0, &n) && n == N && cut_session_kv(s).n_used == N);
    CHECK(!cut_session_truncate(s, 0, 0, NULL));
    feed_run(s, prompt, N);
    CHECK(hash_logits(s) == want);
    cut_session_free(s);
}

TEST(step_fork_shares_and_copies) {
    struct cut_session *s = session(quantized(), (struct cut_session_opts){ .n_seq = 3, .n_batch = 64 });
    struct cut_session *alone = session(quantized(), (struct cut_session_opts){ 0 });
    REQUIRE(s && alone);
    feed_run(s, prompt, N);
    CHECK(!cut_session_fork(s, 0, 1, NULL) && !cut_session_fork(s, 0, 2, NULL));
    CHECK(cut_session_kv(s).n_used == N, "%d cells used by three that share", cut_session_kv(s).n_used);
    /* Two forks go on with different tokens in one pass; the third with none. */
    CHECK(!cut_session_feed(s, 1, prompt + 1, 1, 0, NULL) && !cut_session_feed(s, 2, prompt + 2, 1, 0, NULL) && !cut_session_run(s, NULL, NULL));
    const float *one = cut_session_logits(s, 0), *two = cut_session_logits(s, 1);
    REQUIRE(one && two);
    for (int k = 1; k <= 2; k++) {
        cut_session_reset(alone);
        feed_run(alone, prompt, N);
        feed_run(alone, prompt + k, 1);
        const float *x = k == 1 ? one : two, *y = cut_session_logits(alone, 0);
        double far = 0;
        for (int i = 0; i < 512; i++)
            if (fabs((double)x[i] - y[i]) > far) far = fabs((double)x[i] - y[i]);
        CHECK(far < 1e-3, "fork %d is %g from a run of its own", k, far);
    }
    CHECK(cut_session_fork(s, 0, 7, NULL) == CUT_EUSAGE);
    cut_session_free(s);
    cut_session_free(alone);
}

TEST(step_context_full_and_bad_ids) {
    struct cut_session *s = session(model("f32"), (struct cut_session_opts){ .n_ctx = 10 });
    REQUIRE(s);
    struct cut_err err;
    CHECK(cut_session_feed(s, 0, prompt, 11, 0, &err) == CUT_EFULL, "%s", err.msg);
    const int32_t bad[] = { 1, 512 };
    CHECK(cut_session_feed(s, 0, bad, 2, 0, &err) == CUT_EUSAGE && strstr(err.msg, "512"), "%s", err.msg);
    feed_run(s, prompt, 10);
    CHECK(cut_session_feed(s, 0, prompt, 1, 0, &err) == CUT_EFULL && strstr(err.msg, "10"), "%s", err.msg);
    cut_session_free(s);
}

TEST(step_cancel) {
    struct cut_session *s = session(quantized(), (struct cut_session_opts){ .n_batch = 4 });
    REQUIRE(s);
    feed_run(s, prompt, 4);
    CHECK(!cut_session_feed(s, 0, prompt + 4, 8, 0, NULL));
    cut_session_cancel(s);
    CHECK(cut_session_run(s, NULL, NULL) == CUT_ECANCEL);
    CHECK(!cut_session_run(s, NULL, NULL));
    uint64_t got = hash_logits(s);
    struct cut_session *t = session(quantized(), (struct cut_session_opts){ .n_batch = 4 });
    CHECK(!cut_session_feed(t, 0, prompt, N, 0, NULL) && !cut_session_run(t, NULL, NULL) && hash_logits(t) == got);
    cut_session_free(t);
    cut_session_free(s);
}

TEST(step_counters) {
    struct cut_session *s = session(model("f32"), (struct cut_session_opts){ 0 });
    REQUIRE(s);
    feed_run(s, prompt, N);
    uint64_t allocs = cut_session_counters(s).allocs;
    for (int i = 0; i < 20; i++) feed_run(s, prompt, 1);
    struct cut_counters c = cut_session_counters(s);
    CHECK(c.tokens == N + 20 && c.passes == 21);
    CHECK(c.allocs == allocs, "decoding allocates");
    cut_session_free(s);
}
