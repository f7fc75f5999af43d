/* trainer.c - a run learns, is the same at any number of threads, goes on where it was interrupted, and refuses bad input. */
#include "engine/train/train.h"
#include "tests/test.h"

static void put(const char *path, const char *text, size_t len) {
    FILE *f = fopen(path, "wb");
    if (!f) return;
    fwrite(text, 1, len, f);
    fclose(f);
}

/* A text of few words in a fixed order, a vocabulary for it, and a new model. Paths are static. */
static char text_path[512], vocab_path[512], model_path[512], state_path[512];

static bool make_all(uint64_t seed) {
    struct cut_vocab_train_opts vo = { 360, NULL, 0, NULL, NULL };
    struct cut_vocab_train_stats s;
    struct cut_train_shape shape = { 32, 1, 2, 1, 0, 32, 64, 10000 };
    struct cut_err err = { 0 };
    char text[8000];
    size_t n = 0;
    for (int i = 0; i < 60; i++) n += (size_t)snprintf(text + n, sizeof text - n, "<s>one two three four five six seven eight %s.</s>\n", i % 2 ? "ab" : "ba");
    snprintf(text_path, sizeof text_path, "%s", test_tmp("train.txt"));
    snprintf(vocab_path, sizeof vocab_path, "%s", test_tmp("train-vocab.gguf"));
    snprintf(model_path, sizeof model_path, "%s", test_tmp("train.gguf"));
    snprintf(state_path, sizeof state_path, "%s", test_tmp("train.gguf.state"));
    put(text_path, text, n);
    bool ok = !cut_vocab_train(text_path, vocab_path, &vo, NULL, NULL, &s, &err) &&
              !cut_train_init(model_path, "tiny", vocab_path, NULL, &shape, seed, &err);
    if (!ok) test_fail(__FILE__, __LINE__, "%s", err.msg);
    return ok;
}

static struct cut_train_opts options(int steps) {
    struct cut_train_opts o = cut_train_defaults;
    o.steps = steps;
    o.batch = 2048;
    o.warmup = 2;
    o.lr = 1e-2f;
    o.repeats = 0.3f;
    o.f32 = true;
    return o;
}

/* Make some steps; returns the last loss. */
static double steps(struct cut_trainer *t, int n) {
    struct cut_train_report r = { 0 };
    struct cut_err err = { 0 };
    for (int i = 0; i < n; i++)
        if (cut_trainer_step(t, &r, &err)) test_fail(__FILE__, __LINE__, "%s", err.msg);
    return r.loss;
}

TEST(train_learns) {
    SKIP_EMULATED();
    SKIP_SLOW_BUILD();
    struct cut_model *m;
    struct cut_trainer *t;
    struct cut_err err = { 0 };
    struct cut_train_opts o = options(120);
    double before, after;
    uint64_t n;
    REQUIRE(make_all(1), "setup");
    o.repeats = 0;
    REQUIRE(!cut_model_open(&m, model_path, 0, &err), "%s", err.msg);
    REQUIRE(!cut_trainer_new(&t, m, text_path, &o, &err), "%s", err.msg);
    REQUIRE(!cut_trainer_measure(t, text_path, &before, &n, &err), "%s", err.msg);
    CHECK(before > 5.5 && before < 6.3, "a new model guesses: %g, ln 360 = 5.9", before);
    steps(t, 120);
    REQUIRE(!cut_trainer_measure(t, text_path, &after, &n, &err), "%s", err.msg);
    CHECK(after < 0.35, "%g", after);              /* only ab or ba cannot be known */
    cut_trainer_free(t);
    cut_model_close(m);
}

TEST(train_threads) {
    SKIP_EMULATED();
    struct cut_model *m;
    struct cut_pool *pool;
    struct cut_trainer *one, *two;
    struct cut_err err = { 0 };
    struct cut_train_opts o = options(3);
    REQUIRE(make_all(2), "setup");
    REQUIRE(!cut_model_open(&m, model_path, 0, &err), "%s", err.msg);
    REQUIRE(!cut_trainer_new(&one, m, text_path, &o, &err), "%s", err.msg);
    REQUIRE(!cut_pool_new(&pool, 3, &err), "%s", err.msg);
    o.pool = pool;
    REQUIRE(!cut_trainer_new(&two, m, text_path, &o, &err), "%s", err.msg);
    CHECK(steps(one, 3) == steps(two, 3), "the losses differ");
    CHECK(!memcmp(one->w, two->w, one->diff.n_floats * sizeof(float)), "the weights differ");
    cut_trainer_free(one);
    cut_trainer_free(two);
    cut_pool_free(pool);
    cut_model_close(m);
}

/* Six steps at once, or three, a checkpoint, and three more in another process's place: the same bytes. */
TEST(train_resumes) {
    SKIP_EMULATED();
    struct cut_model *m;
    struct cut_trainer *whole, *first, *second;
    struct cut_err err = { 0 };
    struct cut_train_opts o = options(6);
    bool same = false;
    REQUIRE(make_all(3), "setup");
    REQUIRE(!cut_model_open(&m, model_path, CUT_MODEL_NO_MMAP, &err), "%s", err.msg);
    REQUIRE(!cut_trainer_new(&whole, m, text_path, &o, &err) && !cut_trainer_new(&first, m, text_path, &o, &err) &&
            !cut_trainer_new(&second, m, text_path, &o, &err), "%s", err.msg);
    steps(whole, 6);
    steps(first, 3);
    REQUIRE(!cut_trainer_save(first, state_path, &err), "%s", err.msg);
    REQUIRE(!cut_trainer_resume(second, state_path, &same, &err), "%s", err.msg);
    CHECK(same && cut_trainer_step_count(second) == 3, "%d", cut_trainer_step_count(second));
    steps(second, 3);
    CHECK(!memcmp(whole->w, second->w, whole->diff.n_floats * sizeof(float)), "the weights differ");

    /* what is exported opens as a model with the same shape */
    struct cut_model *out;
    REQUIRE(!cut_trainer_export(second, model_path, &err), "%s", err.msg);
    REQUIRE(!cut_model_open(&out, model_path, 0, &err), "%s", err.msg);
    CHECK(!strcmp(cut_model_type_name(out), "f16") && cut_model_config(out)->n_params == cut_model_config(m)->n_params && cut_model_config(out)->tied,
          "%s", cut_model_type_name(out));
    cut_model_close(out);

    /* a checkpoint cut short, or of something else, changes nothing */
    size_t size;
    char *state = test_read(state_path, &size), bad[512];
    snprintf(bad, sizeof bad, "%s", test_tmp("bad.state"));
    put(bad, state, size / 2);
    CHECK(cut_trainer_resume(second, bad, &same, &err) == CUT_EFILE, "%s", err.msg);
    CHECK(cut_trainer_resume(second, model_path, &same, &err) == CUT_EFILE && strstr(err.msg, "no checkpoint"), "%s", err.msg);
    CHECK(!memcmp(whole->w, second->w, whole->diff.n_floats * sizeof(float)) && cut_trainer_step_count(second) == 6, "something changed");
    free(state);
    cut_trainer_free(whole);
    cut_trainer_free(first);
    cut_trainer_free(second);
    cut_model_close(m);
}

static void refuse_text(const struct cut_model *m, const char *text, size_t len, const char *word) {
    struct cut_train_opts o = options(1);
    struct cut_trainer *t;
    struct cut_err err = { 0 };
    char path[512];
    snprintf(path, sizeof path, "%s", test_tmp("bad.txt"));
    put(path, text, len);
    CHECK(cut_trainer_new(&t, m, path, &o, &err) == CUT_EFILE && strstr(err.msg, word), "\"%s\", wanted \"%s\"", err.msg, word);
}

TEST(train_refuses) {
    struct cut_model *m;
    struct cut_trainer *t;
    struct cut_err err = { 0 };
    REQUIRE(make_all(4), "setup");
    REQUIRE(!cut_model_open(&m, model_path, 0, &err), "%s", err.msg);
    refuse_text(m, "", 0, "empty");
    refuse_text(m, "<s>one\0two", 10, "0x00 at offset 6");
    refuse_text(m, "<s>one\x80", 7, "0x80 at offset 6");
    refuse_text(m, "<s><s><s>", 9, "no document has two tokens");
    CHECK(cut_trainer_new(&t, m, "/no/such/file", &cut_train_defaults, &err) == CUT_EFILE, "%s", err.msg);
    struct cut_train_opts o = options(1);
    o.batch = 1000;
    CHECK(cut_trainer_new(&t, m, text_path, &o, &err) == CUT_EUSAGE && strstr(err.msg, "1000"), "%s", err.msg);
    o = options(1);
    o.lr = -1;
    CHECK(cut_trainer_new(&t, m, text_path, &o, &err) == CUT_EUSAGE && strstr(err.msg, "learning rate"), "%s", err.msg);
    struct cut_train_shape odd = { 32, 1, 3, 2, 0, 32, 64, 10000 };
    CHECK(cut_train_init(model_path, "odd", vocab_path, NULL, &odd, 1, &err) == CUT_EUSAGE && strstr(err.msg, "kv_heads"), "%s", err.msg);
    CHECK(cut_train_init(model_path, "none", text_path, NULL, &odd, 1, &err) != CUT_OK, "a text is no vocabulary");
    cut_model_close(m);
}

/* A new model of two layers from one of one: what both have is the same, the rest is random. */
TEST(train_from_another) {
    struct cut_gguf *a, *b;
    struct cut_err err = { 0 };
    struct cut_train_shape two = { 32, 2, 2, 1, 0, 32, 64, 10000 };
    char path[512];
    REQUIRE(make_all(6), "setup");
    snprintf(path, sizeof path, "%s", test_tmp("from.gguf"));
    REQUIRE(!cut_train_init(path, "two", vocab_path, model_path, &two, 99, &err), "%s", err.msg);
    REQUIRE(!cut_gguf_open(&a, model_path, 0, &err) && !cut_gguf_open(&b, path, 0, &err), "%s", err.msg);
    static const char *const same[] = { "token_embd.weight", "blk.0.attn_q.weight", "blk.0.ffn_down.weight", "output_norm.weight" };
    for (size_t i = 0; i < CUT_LEN(same); i++) {
        const struct cut_tensor_info *x = cut_gguf_find_tensor(a, same[i]), *y = cut_gguf_find_tensor(b, same[i]);
        CHECK(x && y && x->bytes == y->bytes && !memcmp(x->data, y->data, x->bytes), "%s", same[i]);
    }
    const struct cut_tensor_info *x = cut_gguf_find_tensor(b, "blk.0.attn_q.weight"), *y = cut_gguf_find_tensor(b, "blk.1.attn_q.weight");
    CHECK(x && y && memcmp(x->data, y->data, x->bytes), "the second layer is the first");
    cut_gguf_close(a);
    cut_gguf_close(b);
}

/* Batches: whole documents at position 0, targets one ahead; a text without marks is cut into pieces; a long document loses its end. */
TEST(train_batches) {
    struct cut_model *m;
    struct cut_corpus c;
    struct cut_rows r;
    struct cut_err err = { 0 };
    char path[512];
    REQUIRE(make_all(5), "setup");
    REQUIRE(!cut_model_open(&m, model_path, 0, &err), "%s", err.msg);
    const struct cut_vocab *v = cut_model_vocab(m);
    REQUIRE(!cut_corpus_read(&c, text_path, v, 64, &err), "%s", err.msg);
    CHECK(c.n == 60 && !c.n_cut, "%zu documents, %zu cut", c.n, c.n_cut);
    for (size_t i = 0; i < c.n; i++) CHECK(c.id[c.start[i]] == 1 && c.id[c.start[i + 1] - 1] == 2, "document %zu", i);
    REQUIRE(!cut_rows_new(&r, 1024, &err), "%s", err.msg);
    cut_rows_draw(&r, 1024, &c, v, 64, 0, 77);
    CHECK(r.n > 900 && r.n <= 1024, "%d", r.n);
    for (int d = 0; d < r.n_docs; d++)
        for (int t = r.start[d]; t < r.start[d + 1]; t++) {
            bool last = t + 1 == r.start[d + 1];
            CHECK(r.pos[t] == t - r.start[d] && r.target[t] == (last ? 2 : r.id[t + 1]) && (r.id[t] == 1) == (t == r.start[d]), "row %d", t);
        }
    /* repeats: a target is the token that stood one period earlier, and is the next token */
    int targets = 0;
    cut_rows_draw(&r, 1024, &c, v, 64, 1, 78);
    for (int d = 0; d < r.n_docs; d++)
        for (int t = r.start[d]; t < r.start[d + 1]; t++) {
            if (r.target[t] < 0) continue;
            targets++;
            bool seen = false;
            for (int k = r.start[d]; k < t && !seen; k++) seen = r.id[k] == r.id[t] && r.id[k + 1] == r.target[t];
            CHECK(seen && t + 1 < r.start[d + 1] && r.id[t + 1] == r.target[t], "row %d", t);
        }
    CHECK(targets > 100 && r.n > 1000, "%d targets in %d", targets, r.n);
    cut_corpus_done(&c);

    snprintf(path, sizeof path, "%s", test_tmp("plain.txt"));
    put(path, "one two three four five six seven eight ab one two three four", 61);
    REQUIRE(!cut_corpus_read(&c, path, v, 16, &err), "%s", err.msg);
    CHECK(c.n > 1 && c.longest == 16 && c.id[0] == 1 && c.id[16] == 1 && c.id[1] != 1, "%zu pieces, the longest %d", c.n, c.longest);
    cut_corpus_done(&c);
    REQUIRE(!cut_corpus_read(&c, text_path, v, 16, &err), "%s", err.msg);
    CHECK(c.n == 60 && (c.n_cut == 60 ? c.longest == 16 : c.n_cut == 0), "%zu cut, the longest %d", c.n_cut, c.longest);
    cut_corpus_done(&c);
    cut_rows_done(&r);
    cut_model_close(m);
}
