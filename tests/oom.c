/* oom.c - fail the nth allocation, for every n: each must end in CUT_ENOMEM or success, without a crash and with nothing leaked.
 *
 * The linker sends the library's calls of malloc and its kin here (-Wl,--wrap=...). A program of its own, because that applies to the
 * whole of it. */
#include "tests/test.h"

static long calls, fail_at, live;      /* fail_at 0: never */

static bool fails(void) { return ++calls == fail_at; }

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

void *__wrap_malloc(size_t n) {
    void *p = fails() ? NULL : __real_malloc(n);
    live += p != NULL;
    return p;
}
void *__wrap_calloc(size_t n, size_t size) {
    void *p = fails() ? NULL : __real_calloc(n, size);
    live += p != NULL;
    return p;
}
void *__wrap_realloc(void *old, size_t n) {
    void *p = fails() ? NULL : __real_realloc(old, n);
    live += p && !old;
    return p;
}
void __wrap_free(void *p) {
    live -= p != NULL;
    __real_free(p);
}

static bool seen(void *user, const struct cut_step *step, struct cut_tensor *t) {
    (void)user, (void)step;
    return t->data != NULL;
}

/* Everything a workbench does with a model, up to the first failure. */
static enum cut_status live_a_life(const char *path, struct cut_err *err) {
    struct cut_model *m = NULL;
    struct cut_session *s = NULL;
    struct cut_sampler *sampler = NULL;
    struct cut_pool *pool = NULL;
    struct cut_explain e = { 0 };
    int32_t *ids = NULL;
    size_t n = 0;
    int probe;
    enum cut_status st = cut_model_open(&m, path, CUT_MODEL_NO_MMAP, err);
    if (!st) st = cut_vocab_encode(cut_model_vocab(m), "abc and so on", 13, CUT_ENCODE_BOS, &ids, &n, err);
    if (!st) st = cut_pool_new(&pool, 2, err);
    struct cut_session_opts o = { .n_ctx = 64, .keep = true, .n_batch = 4, .reduce = CUT_REDUCE_SPLIT_K, .pool = pool };
    if (!st) st = cut_session_new(&s, m, &o, err);
    if (!st) st = cut_sampler_new(&sampler, cut_model_config(m)->n_vocab, &cut_sampler_defaults, err);
    if (!st) {
        cut_session_sampler(s, sampler);
        st = cut_session_probe(s, "blk.*.pattern", seen, NULL, 0, &probe, err);
    }
    if (!st) st = cut_session_feed(s, 0, ids, (int)n, 0, err);
    if (!st) st = cut_session_step(s, 40, NULL, err);
    if (!st) st = cut_session_run(s, NULL, err);
    struct cut_edit zero = { .step = "blk.0.z", .op = CUT_EDIT_SCALE, .i0 = -1, .i1 = 1, .pos1 = -1 };
    if (!st) st = cut_session_edit(s, &zero, err);
    if (!st) st = cut_session_explain(s, cut_session_find_step(s, "blk.1.z"), (int64_t[3]){ 0, 0, 0 }, &e, err);
    if (!st) st = cut_session_undo(s, err);
    cut_explain_done(&e);
    cut_sampler_free(sampler);
    cut_session_free(s);
    cut_pool_free(pool);
    free(ids);
    cut_model_close(m);
    return st;
}

TEST(oom_every_allocation) {
    const char *path = test_tmp("oom.gguf"), *const args[] = { "dim=32", "ffn=64", "layers=2", "heads=4", "kv_heads=2", "vocab=300" };
    struct cut_err err;
    REQUIRE(!cut_synth(path, "llama", args, 6, &err), "%s", err.msg);
    REQUIRE(!live_a_life(path, &err), "%s", err.msg);
    long n = 1;
    for (enum cut_status st = CUT_ENOMEM; st; n++) {
        long before = live;
        calls = 0;
        fail_at = n;
        err.msg[0] = 0;
        st = live_a_life(path, &err);
        CHECK(!st || (st == CUT_ENOMEM && err.msg[0]), "allocation %ld: status %d, %s", n, st, err.msg);
        CHECK(live == before, "allocation %ld: %ld leaked; %s", n, live - before, err.msg);
        REQUIRE(n < 5000);
    }
    fail_at = 0;
    CHECK(n > 50, "only %ld allocations were made to fail", n);
    remove(path);
}
