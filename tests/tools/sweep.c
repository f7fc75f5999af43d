/* A sweep measures what it is asked to, and its bytes are the same with every number of threads. */
#include "tests/test.h"

#include "engine/cutaway.h"

TEST(a_sweep_gives_the_same_bytes_with_every_number_of_threads) {
    SKIP_EMULATED();
    struct cut_model *m;
    struct cut_err err;
    REQUIRE(!cut_model_open(&m, "assets/pebble.gguf", 0, &err));
    struct cut_sweep_point p[3], other, deep;
    struct cut_sweep_opts o = { .tokens = 4, .rounds = 3, .depth = 8 };
    for (int t = 1; t <= 3; t++) {
        o.threads = t;
        REQUIRE(!cut_sweep_one(m, &o, NULL, NULL, &p[t - 1], &err), "%s", err.msg);
        CHECK(p[t - 1].tps.n == 3 && p[t - 1].tps.median > 0 && p[t - 1].waited >= 0 && p[t - 1].waited < 1);
        CHECK(p[t - 1].print == p[0].print && p[t - 1].bytes == p[0].bytes);
    }
    CHECK(p[0].waited < 0.2, "one thread waits for nobody: %g", p[0].waited);
    CHECK(p[0].bytes > cut_model_config(m)->weight_bytes);
    o = (struct cut_sweep_opts){ .threads = 1, .tokens = 4, .rounds = 1, .depth = 200 };
    REQUIRE(!cut_sweep_one(m, &o, NULL, NULL, &deep, &err), "%s", err.msg);
    const struct cut_config *c = cut_model_config(m);
    CHECK(deep.bytes - p[0].bytes >= (uint64_t)(192 * c->n_layer * c->n_head_kv * c->head_dim * 2 * 2), "192 cells more, K and V in f16");
    o = (struct cut_sweep_opts){ .threads = 2, .tokens = 40, .rounds = 1, .prefill = true };
    REQUIRE(!cut_sweep_one(m, &o, NULL, NULL, &other, &err), "%s", err.msg);
    CHECK(other.print != p[0].print && other.tps.median > 0);
    /* Four together: the weights once, everything else four times. */
    struct cut_sweep_point alone, four;
    o = (struct cut_sweep_opts){ .threads = 2, .tokens = 3, .rounds = 1, .depth = 40 };
    REQUIRE(!cut_sweep_one(m, &o, NULL, NULL, &alone, &err), "%s", err.msg);
    o.n_seq = 4;
    REQUIRE(!cut_sweep_one(m, &o, NULL, NULL, &four, &err), "%s", err.msg);
    CHECK(alone.weights > c->weight_bytes / 2 && four.weights == alone.weights && four.flops == 4 * alone.flops);
    CHECK(four.bytes > alone.bytes && four.bytes < alone.bytes + 4 * (alone.bytes - alone.weights) && four.print == alone.print);
    o.prefill = true;
    CHECK(cut_sweep_one(m, &o, NULL, NULL, &four, &err) == CUT_EUSAGE && strstr(err.msg, "4 sequences"), "%s", err.msg);
    float a[4] = { 1, -2, 0, 3 }, b[4] = { 1, -2, 1e-9f, 3.0000002384185791f };
    CHECK(cut_ulps_apart(a, b, 4) == 1 && cut_ulps_apart(a, a, 4) == 0, "%g", cut_ulps_apart(a, b, 4));
    o.rounds = 17;
    CHECK(cut_sweep_one(m, &o, NULL, NULL, &other, &err) == CUT_EUSAGE);
    cut_model_close(m);
}

struct heard { int n; double last, all; };
static bool whole_tokens(void *user, double part, const char *what) {
    struct heard *h = user;
    double tokens = part * h->all;
    CHECK(fabs(tokens - round(tokens)) < 1e-6 && part >= h->last && part <= 1 && what, "%g tokens after %g", tokens, h->last * h->all);
    h->last = part;
    h->n++;
    return true;
}

TEST(a_sweep_says_how_many_of_its_tokens_are_done) {
    SKIP_EMULATED();
    struct cut_err err;
    struct cut_model *m;
    struct cut_sweep_point p;
    REQUIRE(!cut_model_open(&m, "assets/pebble.gguf", 0, &err), "%s", err.msg);
    struct cut_sweep_opts o = { .threads = 1, .tier = CUT_TIER_REF, .tokens = 10, .rounds = 4, .depth = 40 };
    struct heard h = { .all = cut_sweep_tokens(&o) };
    CHECK(h.all == 5 * 10 + 40 + 1, "%g", h.all);
    CHECK(!cut_sweep_one(m, &o, whole_tokens, &h, &p, &err), "%s", err.msg);
    CHECK(h.n >= 2 && h.last > 0.3, "%d times, up to %g", h.n, h.last);
    o.prefill = true;
    CHECK(cut_sweep_tokens(&o) == 6 * 10);
    cut_model_close(m);
}
