/* Lockstep: what is told of each token is what sessions by themselves give, and a fork is what a build writes alone. */
#include "tests/test.h"

/* ---- the divergence of two rows, against values computed independently in double from their definition */

TEST(diverge_is_the_definition) {
    /* p = softmax(0, ln 2, ln 5) = 1/8 2/8 5/8, q = softmax(0, 0, ln 2) = 1/4 1/4 1/2, both shifted:
     * KL = 1/8 ln(1/2) + 1/4 ln 1 + 5/8 ln(5/4) = -0.0866433976 + 0.1394647... */
    float p[3] = { 100, 100 + logf(2), 100 + logf(5) }, q[3] = { -50, -50, -50 + logf(2) };
    struct cut_divergence d;
    cut_diverge(p, q, 3, 1, &d);
    CHECK(fabs(d.kl - (0.125 * log(0.5) + 0.625 * log(1.25))) < 2e-6, "%.9f", d.kl);
    CHECK(fabs(d.logp - log(0.25)) < 1e-5 && fabs(d.logq - log(0.25)) < 1e-5);
    CHECK(d.top_ref == 2 && d.top == 2 && fabs(d.p_top_ref - 0.625) < 1e-5 && fabs(d.p_top - 0.5) < 1e-5);
    cut_diverge(p, p, 3, 0, &d);
    CHECK(d.kl == 0 && d.logp == d.logq);
    float z[3] = { -INFINITY, 0, 0 }, y[3] = { 5, 0, 0 };      /* what the reference excludes counts for nothing */
    cut_diverge(z, y, 3, -1, &d);
    CHECK(fabs(d.kl - log((exp(5) + 2) / 2)) < 1e-6 && d.logp == 0, "%.9f", d.kl);
}

/* Two sets of 6 rows over 500 tokens, made by a formula; the sums done again here in long double, straight from the definition. */
TEST(diverge_on_a_fixture_in_long_double) {
    enum { N = 500 };
    float a[N], b[N];
    for (int r = 0; r < 6; r++) {
        uint32_t seed = 12345u + (uint32_t)r;
        for (int i = 0; i < N; i++) {
            seed = seed * 1664525u + 1013904223u;
            a[i] = (float)(seed >> 8) / 1048576.0f;                    /* 0 to 16 */
            seed = seed * 1664525u + 1013904223u;
            b[i] = a[i] + ((float)(seed >> 8) / 16777216.0f - 0.5f) * (float)r;
        }
        long double za = 0, zb = 0, kl = 0;
        for (int i = 0; i < N; i++) za += expl(a[i]), zb += expl(b[i]);
        for (int i = 0; i < N; i++) {
            long double pa = expl(a[i]) / za, pb = expl(b[i]) / zb;
            kl += pa * logl(pa / pb);
        }
        struct cut_divergence d;
        cut_diverge(a, b, N, 7, &d);
        CHECK(fabsl(d.kl - kl) < 1e-12L, "row %d: %.15f, not %.15Lf", r, d.kl, kl);
        CHECK(fabsl(d.logq - logl(expl(b[7]) / zb)) < 1e-12L);
    }
}

/* ---- lockstep */

struct rig { struct cut_model *base, *build[3]; struct cut_err err; };

static enum cut_type all(void *user, const struct cut_tensor_info *t) { (void)t; return *(enum cut_type *)user; }

static bool set_up(struct rig *r) {
    static const char *const args[] = { "dim=64", "ffn=96", "heads=4", "kv_heads=2", "vocab=400", "layers=3" };
    static const enum cut_type types[] = { CUT_BF16, CUT_Q8_0, CUT_Q4_0 };
    const char *path = test_tmp("lockstep.gguf");
    memset(r, 0, sizeof *r);
    if (cut_synth(path, "llama", args, 6, &r->err) || cut_model_open(&r->base, path, 0, &r->err)) return false;
    for (int i = 0; i < 3; i++) {
        enum cut_type t = types[i];
        if (cut_model_rebuild(&r->build[i], r->base, all, &t, NULL, NULL, NULL, &r->err)) return false;
    }
    return true;
}

static void tear_down(struct rig *r) {
    for (int i = 0; i < 3; i++) cut_model_close(r->build[i]);
    cut_model_close(r->base);
}

static const int32_t prompt[] = { 1, 300, 310, 320, 42, 50 };
enum { PROMPT = 6, PREDICT = 20 };

static struct cut_lockstep_opts options(float temp) {
    struct cut_lockstep_opts o = { .n_predict = PREDICT, .n_batch = 4, .sampler = cut_sampler_defaults, .kv_type = CUT_F32 };
    o.sampler.temp = temp;
    o.sampler.seed = 7;
    return o;
}

static struct cut_lockstep *start(struct rig *r, const struct cut_lockstep_opts *o) {
    const struct cut_model *m[4] = { r->base, r->build[0], r->build[1], r->build[2] };
    struct cut_lockstep *l = NULL;
    cut_lockstep_new(&l, m, 4, prompt, PROMPT, o, &r->err);
    return l;
}

/* What a model writes alone. */
static int alone(const struct cut_model *m, const struct cut_sampler_opts *so, int32_t *out) {
    struct cut_session_opts o = { .n_ctx = 64, .kv_type = CUT_F32 };
    struct cut_session *s = NULL;
    struct cut_sampler *sm = NULL;
    int n = 0, len;
    if (cut_session_new(&s, m, &o, NULL) || cut_sampler_new(&sm, cut_model_config(m)->n_vocab, so, NULL)) return -1;
    cut_session_feed(s, 0, prompt, PROMPT, 0, NULL);
    while (n < PREDICT && !cut_session_run(s, NULL, NULL)) {
        const int32_t *h = cut_session_tokens(s, 0, &len);
        out[n] = cut_sampler_next(sm, cut_session_logits(s, -1), h, len);
        if (cut_vocab_is_end(cut_model_vocab(m), out[n++])) break;
        cut_session_feed(s, 0, &out[n - 1], 1, 0, NULL);
    }
    cut_sampler_free(sm);
    cut_session_free(s);
    return n;
}

static void check_texts(struct rig *r, const struct cut_lockstep *l, const struct cut_sampler_opts *so) {
    int n, n_prompt, n_fork, forks = 0;
    bool ended;
    int32_t want[PREDICT];
    const int32_t *text = cut_lockstep_text(l, &n, &n_prompt);
    for (int b = 0; b < 4; b++) {
        int len = alone(b ? r->build[b - 1] : r->base, so, want), at = cut_lockstep_diverged(l, b), same = at < 0 ? n : at;
        const int32_t *fork = cut_lockstep_fork(l, b, &n_fork, &ended);
        CHECK(n_prompt == PROMPT && same - PROMPT + n_fork == len, "build %d: %d + %d tokens, not %d", b, same - PROMPT, n_fork, len);
        for (int i = 0; i < len && i < same - PROMPT + n_fork; i++) {
            int32_t got = PROMPT + i < same ? text[PROMPT + i] : fork[PROMPT + i - same];
            CHECK(got == want[i], "build %d, token %d: %d, alone %d", b, i, got, want[i]);
        }
        forks += at >= 0;
    }
    CHECK(forks > 0, "some build diverges, or nothing was tested");
}

TEST(lockstep_writes_what_each_build_writes_alone) {
    struct rig r;
    REQUIRE(set_up(&r), "%s", r.err.msg);
    for (int warm = 0; warm < 2; warm++) {
        struct cut_lockstep_opts o = options(warm ? 0.9f : 0);
        struct cut_lockstep *l = start(&r, &o);
        REQUIRE(l, "%s", r.err.msg);
        bool done = false;
        int steps = 0;
        while (!done && steps++ < 100) REQUIRE(cut_lockstep_step(l, &done, &r.err) == CUT_OK, "%s", r.err.msg);
        CHECK(done);
        check_texts(&r, l, &o.sampler);
        cut_lockstep_free(l);
    }
    tear_down(&r);
}

TEST(lockstep_compares_over_the_whole_vocabulary) {
    struct rig r;
    REQUIRE(set_up(&r), "%s", r.err.msg);
    struct cut_lockstep_opts o = options(0);
    struct cut_lockstep *l = start(&r, &o);
    REQUIRE(l, "%s", r.err.msg);
    bool done = false;
    while (!done) REQUIRE(cut_lockstep_step(l, &done, &r.err) == CUT_OK, "%s", r.err.msg);
    int n;
    const int32_t *text = cut_lockstep_text(l, &n, NULL);

    /* the reference's text through fresh sessions, token by token */
    struct cut_session_opts so = { .n_ctx = 64, .kv_type = CUT_F32 };
    struct cut_session *s[4];
    double sum[4] = { 0 }, lnp[4] = { 0 };
    int same[4] = { 0 };
    for (int b = 0; b < 4; b++) REQUIRE(!cut_session_new(&s[b], b ? r.build[b - 1] : r.base, &so, &r.err));
    for (int i = 1; i < n; i++)
        for (int b = 0; b < 4; b++) {
            REQUIRE(!cut_session_feed(s[b], 0, text + i - 1, 1, 0, &r.err) && !cut_session_run(s[b], NULL, &r.err));
            struct cut_divergence d;
            cut_diverge(cut_session_logits(s[0], -1), cut_session_logits(s[b], -1), 400, text[i], &d);
            const struct cut_lock_token *t = cut_lockstep_token(l, b, i);
            CHECK(t->scored && fabs((double)t->kl - d.kl) <= 1e-4 * d.kl + 1e-9, "build %d token %d: %g, not %g", b, i, (double)t->kl, d.kl);
            CHECK(t->top == d.top && t->top_ref == d.top_ref && fabs((double)t->p - exp(d.logq)) < 1e-6);
            CHECK((t->choice >= 0) == (i >= PROMPT));
            sum[b] += d.kl, lnp[b] += d.logq, same[b] += d.top == d.top_ref;
        }
    for (int b = 0; b < 4; b++) {
        struct cut_lock_build sm;
        cut_lockstep_summary(l, b, &sm);
        CHECK(sm.damage.tokens == (uint64_t)(n - 1) && fabs(sm.damage.kl - sum[b] / (n - 1)) < 1e-6);
        CHECK(fabs(sm.damage.ppl - exp(-lnp[b] / (n - 1))) < 1e-3 * sm.damage.ppl);
        CHECK(fabs(sm.damage.same_top - (double)same[b] / (n - 1)) < 1e-9);
        CHECK(sm.bytes == cut_model_config(b ? r.build[b - 1] : r.base)->weight_bytes && sm.tps > 0 && sm.decoded == PREDICT - 1);
        CHECK(b ? sm.damage.kl > 0 && sm.damage.kl_max >= sm.damage.kl_p99 && sm.damage.kl_p99 >= sm.damage.kl_median
                : sm.damage.kl == 0 && sm.damage.kl_max == 0 && sm.damage.dp_rms == 0 && sm.damage.same_top == 1);
        cut_session_free(s[b]);
    }
    CHECK(!cut_lockstep_token(l, 0, 0)->scored && !cut_lockstep_token(l, 0, n) && !cut_lockstep_token(l, 4, 1));
    cut_lockstep_free(l);
    tear_down(&r);
}

/* Cancelled in any build at any moment, looked into, and taken up again: nothing is different. */
TEST(lockstep_is_cancelled_and_goes_on) {
    struct rig r;
    REQUIRE(set_up(&r), "%s", r.err.msg);
    struct cut_lockstep_opts o = options(0.9f);
    struct cut_lockstep *l = start(&r, &o);
    REQUIRE(l, "%s", r.err.msg);
    bool done = false;
    int cancelled = 0;
    for (int k = 0; !done && k < 400; k++) {
        if (k % 3 == 0) cut_session_cancel((struct cut_session *)cut_lockstep_session(l, k / 3 % 4));
        if (k % 31 == 1) cut_lockstep_cancel(l);
        enum cut_status st = cut_lockstep_step(l, &done, &r.err);
        REQUIRE(st == CUT_OK || st == CUT_ECANCEL, "%s", r.err.msg);
        cancelled += st == CUT_ECANCEL;
        float error[3];
        int first;
        if (st && k % 2) cut_lockstep_layers(l, k % 4, k % 5, 0.1f, error, &first, &r.err);
    }
    CHECK(done && cancelled > 10, "%d", cancelled);
    check_texts(&r, l, &o.sampler);
    cut_lockstep_free(l);
    tear_down(&r);
}

TEST(lockstep_tells_where_the_error_enters) {
    struct rig r;
    REQUIRE(set_up(&r), "%s", r.err.msg);
    struct cut_lockstep_opts o = options(0);
    struct cut_lockstep *l = start(&r, &o);
    REQUIRE(l, "%s", r.err.msg);
    bool done = false;
    int n, first, at = 9;
    float error[3], mine[2][3][64];
    CHECK(cut_lockstep_layers(l, 3, 0, 0.1f, error, &first, &r.err) == CUT_EUSAGE && strstr(r.err.msg, "token 0 is not evaluated"));
    while (!done) {
        REQUIRE(cut_lockstep_step(l, &done, &r.err) == CUT_OK, "%s", r.err.msg);
        const int32_t *t = cut_lockstep_text(l, &n, NULL);
        if (n > PROMPT) CHECK(cut_lockstep_layers(l, 3, n - 2, 0.1f, error, &first, &r.err) == CUT_OK && t, "%s", r.err.msg);
    }
    check_texts(&r, l, &o.sampler);        /* looking did not disturb */
    const int32_t *text = cut_lockstep_text(l, &n, NULL);
    for (int b = 0; b < 2; b++) {
        struct cut_session_opts so = { .n_ctx = 64, .kv_type = CUT_F32, .keep = true };
        struct cut_session *s = NULL;
        REQUIRE(!cut_session_new(&s, b ? r.build[2] : r.base, &so, &r.err) && !cut_session_feed(s, 0, text, at + 1, 0, &r.err) &&
                !cut_session_run(s, NULL, &r.err), "%s", r.err.msg);
        for (int il = 0; il < 3; il++) {
            char name[32];
            struct cut_tensor t;
            snprintf(name, sizeof name, "blk.%d.resid_post", il);
            REQUIRE(!cut_session_value(s, cut_session_find_step(s, name), &t, &r.err));
            memcpy(mine[b][il], t.data + (t.ne[2] - 1) * 64, sizeof mine[b][il]);
        }
        cut_session_free(s);
    }
    REQUIRE(cut_lockstep_layers(l, 3, at, 0, error, &first, &r.err) == CUT_OK, "%s", r.err.msg);
    for (int il = 0; il < 3; il++) {
        double diff = 0, size = 0;
        for (int i = 0; i < 64; i++) diff += pow(mine[1][il][i] - mine[0][il][i], 2), size += pow(mine[0][il][i], 2);
        CHECK(fabs(error[il] - sqrt(diff / size)) < 1e-5, "layer %d: %g, not %g", il, (double)error[il], sqrt(diff / size));
    }
    CHECK(first == 0 && error[2] > 0);
    CHECK(cut_lockstep_layers(l, 3, at, 1e6f, error, &first, &r.err) == CUT_OK && first == -1);
    CHECK(cut_lockstep_layers(l, 0, at, 0, error, &first, &r.err) == CUT_OK && first == -1 && error[1] == 0, "the reference has none");
    CHECK(cut_lockstep_layers(l, 3, n - 1, 0, error, &first, &r.err) == CUT_EUSAGE);

    struct cut_lockstep_op op;
    REQUIRE(cut_lockstep_first(l, 3, at, 0, &op, &r.err) == CUT_OK, "%s", r.err.msg);
    CHECK(!strcmp(op.name, "embed") && op.error > 0, "a quantized table differs at once: %s", op.name);
    REQUIRE(cut_lockstep_first(l, 3, at, error[0] * 0.999f, &op, &r.err) == CUT_OK, "%s", r.err.msg);
    CHECK(!strncmp(op.name, "blk.0.", 6) || !strcmp(op.name, "embed"), "within the first layer: %s", op.name);
    CHECK(cut_lockstep_first(l, 3, at, 1e6f, &op, &r.err) == CUT_OK && !op.name[0]);
    CHECK(cut_lockstep_first(l, 0, at, 0, &op, &r.err) == CUT_OK && !op.name[0], "the reference has none");
    CHECK(cut_lockstep_first(l, 3, n - 1, 0, &op, &r.err) == CUT_EUSAGE && cut_lockstep_first(l, 4, at, 0, &op, &r.err) == CUT_EUSAGE);
    cut_lockstep_free(l);
    tear_down(&r);
}

TEST(lockstep_refuses_by_name) {
    struct rig r;
    REQUIRE(set_up(&r), "%s", r.err.msg);
    static const char *const args[] = { "dim=64", "ffn=96", "heads=4", "kv_heads=2", "vocab=401" };
    const char *path = test_tmp("lockstep-other.gguf");
    struct cut_model *other = NULL;
    REQUIRE(!cut_synth(path, "llama", args, 5, &r.err) && !cut_model_open(&other, path, 0, &r.err), "%s", r.err.msg);
    const struct cut_model *m[2] = { r.base, other };
    struct cut_lockstep_opts o = options(0);
    struct cut_lockstep *l = NULL;
    int32_t bad = 400;
    CHECK(cut_lockstep_new(&l, m, 2, prompt, PROMPT, &o, &r.err) == CUT_EUSAGE &&
          strstr(r.err.msg, "400 tokens, lockstep-other.gguf has 401"), "%s", r.err.msg);
    CHECK(cut_lockstep_new(&l, m, 5, prompt, PROMPT, &o, &r.err) == CUT_EUSAGE && strstr(r.err.msg, "5 builds"));
    CHECK(cut_lockstep_new(&l, m, 1, prompt, 0, &o, &r.err) == CUT_EUSAGE && strstr(r.err.msg, "prompt of 0 tokens"));
    CHECK(cut_lockstep_new(&l, m, 1, &bad, 1, &o, &r.err) == CUT_EUSAGE && strstr(r.err.msg, "id 400"));
    CHECK(!l);
    cut_model_close(other);
    tear_down(&r);
}
