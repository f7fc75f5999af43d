/* profile.c - a profile's steps follow each other without a gap and fill the pass; it costs no bytes and no allocation. */
#include "tests/test.h"

#include "engine/cutaway.h"

static const int32_t ids[24] = { 1, 403, 407, 261, 378, 312, 290, 449, 305, 276, 419, 262, 433, 330, 286, 415, 266, 290, 360, 278, 501, 317, 420, 268 };

TEST(a_profile_fills_the_pass_and_changes_no_byte) {
    struct cut_model *m;
    struct cut_session *s;
    struct cut_pool *pool;
    struct cut_err err;
    struct cut_profile p;
    enum cut_stop why;
    REQUIRE(!cut_model_open(&m, "assets/pebble.gguf", 0, &err));
    REQUIRE(!cut_pool_new(&pool, 2, &err));
    REQUIRE(!cut_session_new(&s, m, &(struct cut_session_opts){ .n_ctx = 64, .pool = pool }, &err));
    int n = cut_model_config(m)->n_vocab;
    float *plain = malloc((size_t)n * sizeof *plain);
    REQUIRE(plain != NULL);

    CHECK(!cut_session_profiled(s, &p));
    REQUIRE(!cut_session_feed(s, 0, ids, 24, 0, &err) && !cut_session_run(s, &why, &err));
    memcpy(plain, cut_session_logits(s, -1), (size_t)n * sizeof *plain);
    CHECK(!cut_session_profiled(s, &p));

    REQUIRE(!cut_session_profile(s, true, &err));
    REQUIRE(!cut_session_truncate(s, 0, 0, &err));
    uint64_t allocs = cut_session_counters(s).allocs;
    REQUIRE(!cut_session_feed(s, 0, ids, 24, 0, &err) && !cut_session_run(s, &why, &err));
    CHECK(!memcmp(plain, cut_session_logits(s, -1), (size_t)n * sizeof *plain));
    CHECK(cut_session_counters(s).allocs == allocs);
    REQUIRE(cut_session_profiled(s, &p));
    CHECK(p.n_threads == 2 && p.n_tokens == 24 && p.n_cells == 24);
    CHECK(p.step[0].t0 >= 0 && p.step[p.n_steps - 1].t1 <= p.wall);
    int line = 0;
    uint64_t bytes = 0;
    for (int i = 0; i < p.n_steps; i++) {
        CHECK(p.step[i].first == line && p.step[i].t1 >= p.step[i].t0);
        if (i) CHECK(p.step[i].t0 == p.step[i - 1].t1);
        for (int t = 0; t < p.n_threads; t++) {
            struct cut_span span = p.span[i * p.n_threads + t];
            CHECK(span.t0 <= span.t1 && span.t1 <= p.step[i].t1);
            if (i) CHECK(span.t0 >= p.step[i].t0);
        }
        line += p.step[i].n;
        bytes += p.step[i].bytes;
    }
    CHECK(line == cut_session_n_steps(s));
    CHECK(bytes > cut_model_config(m)->weight_bytes);

    free(plain);
    cut_session_free(s);
    cut_pool_free(pool);
    cut_model_close(m);
}
