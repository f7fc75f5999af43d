/* Models rebuilt in memory: the bytes a file would hold, the rest borrowed, edits that leave the base alone. */
#include "tests/test.h"

static const char *synth(const char *name, const char *type) {
    char arg[32];
    snprintf(arg, sizeof arg, "type=%s", type);
    const char *const args[] = { "dim=64", "ffn=96", "heads=4", "kv_heads=2", "vocab=400", arg };
    const char *path = test_tmp(name);
    struct cut_err err;
    return cut_synth(path, "llama", args, 6, &err) ? NULL : path;
}

static enum cut_type all(void *user, const struct cut_tensor_info *t) { (void)t; return *(enum cut_type *)user; }

struct one { const char *name; enum cut_type type; };
static enum cut_type only(void *user, const struct cut_tensor_info *t) {
    const struct one *o = user;
    return strcmp(t->name, o->name) ? t->type : o->type;
}

static float *logits_of(const struct cut_model *m, const char *who) {
    static const int32_t ids[] = { 1, 300, 310, 42 };
    struct cut_session_opts so = { .n_ctx = 32, .kv_type = CUT_F32 };
    struct cut_session *s = NULL;
    struct cut_err err = { 0 };
    float *x = NULL;
    if (cut_session_new(&s, m, &so, &err) || cut_session_feed(s, 0, ids, 4, 0, &err) || cut_session_run(s, NULL, &err))
        test_fail(__FILE__, __LINE__, "%s: %s", who, err.msg);
    else if ((x = malloc(400 * sizeof *x)))
        memcpy(x, cut_session_logits(s, -1), 400 * sizeof *x);
    cut_session_free(s);
    return x;
}

TEST(rebuild_gives_the_bytes_of_a_quantized_file) {
    struct cut_err err = { 0 };
    const char *from = synth("rebuild.gguf", "f32");
    REQUIRE(from);
    char path[512];
    snprintf(path, sizeof path, "%s", from);
    char *to = strdup(test_tmp("rebuild-q8_0.gguf"));
    struct cut_quantize_opts o = { .file_type = cut_file_type_by_name("q8_0") };
    REQUIRE(cut_quantize(path, to, &o, NULL, NULL, &err) == CUT_OK, "%s", err.msg);
    struct cut_model *base = NULL, *file = NULL, *made = NULL;
    REQUIRE(!cut_model_open(&base, path, 0, &err) && !cut_model_open(&file, to, 0, &err), "%s", err.msg);
    enum cut_type type = CUT_Q8_0;
    for (int threads = 1; threads <= 3; threads += 2) {
        struct cut_pool *pool = NULL;
        REQUIRE(!cut_pool_new(&pool, threads, &err));
        REQUIRE(!cut_model_rebuild(&made, base, all, &type, pool, NULL, NULL, &err), "%s", err.msg);
        for (uint64_t i = 0; i < cut_gguf_head(cut_model_gguf(base))->n_tensors; i++) {
            const struct cut_tensor_info *b = cut_gguf_tensor(cut_model_gguf(base), i), *m = cut_gguf_tensor(cut_model_gguf(made), i);
            const struct cut_tensor_info *f = cut_gguf_find_tensor(cut_model_gguf(file), b->name);
            CHECK(m->type == f->type && m->bytes == f->bytes && !memcmp(m->data, f->data, (size_t)m->bytes), "%s", b->name);
            CHECK((m->type == b->type) == (m->data == b->data), "%s: what does not change is borrowed", b->name);
            CHECK(cut_gguf_find_tensor(cut_model_gguf(made), b->name) == m);
        }
        CHECK(cut_model_config(made)->weight_bytes == cut_model_config(file)->weight_bytes);
        CHECK(cut_model_config(made)->n_params == cut_model_config(base)->n_params);
        CHECK(!strcmp(cut_model_type_name(made), "q8_0") && cut_model_base(made) == base && !cut_model_base(base));
        float *a = logits_of(made, "made"), *b = logits_of(file, "file");
        CHECK(a && b && !memcmp(a, b, 400 * sizeof *a));
        free(a);
        free(b);
        cut_model_close(made);
        made = NULL;
        cut_pool_free(pool);
    }
    cut_model_close(file);
    cut_model_close(base);
    free(to);
}

TEST(rebuild_swaps_one_tensor_and_edits_a_block) {
    struct cut_err err = { 0 };
    struct cut_model *file = NULL, *base = NULL, *made = NULL, *again = NULL;
    const char *path = synth("rebuild-one.gguf", "f16");
    enum cut_type type = CUT_Q8_0;
    REQUIRE(path && !cut_model_open(&file, path, 0, &err), "%s", err.msg);
    REQUIRE(!cut_model_rebuild(&base, file, all, &type, NULL, NULL, NULL, &err), "%s", err.msg);
    struct one o = { "blk.0.ffn_up.weight", CUT_Q4_0 };
    REQUIRE(!cut_model_rebuild(&made, base, only, &o, NULL, NULL, NULL, &err), "%s", err.msg);
    int changed = 0;
    for (uint64_t i = 0; i < cut_gguf_head(cut_model_gguf(base))->n_tensors; i++)
        changed += cut_gguf_tensor(cut_model_gguf(base), i)->data != cut_gguf_tensor(cut_model_gguf(made), i)->data;
    CHECK(changed == 1);

    /* an edit of a tensor that is made, and of one that is borrowed; both undone */
    const char *name[] = { "blk.0.ffn_up.weight", "blk.0.ffn_down.weight" };
    float *before = logits_of(made, "before"), *was = logits_of(base, "base");
    for (int k = 0; k < 2; k++) {
        uint8_t block[34] = { 0x00, 0x50, 0x7f }, old[34] = { 0 };     /* d = 32 */
        REQUIRE(!cut_model_edit_block(made, name[k], 3, block, old, &err), "%s", err.msg);
        float *after = logits_of(made, "after"), *still = logits_of(base, "base");
        CHECK(memcmp(before, after, 400 * sizeof *after), "%s: the edit is felt", name[k]);
        CHECK(!memcmp(was, still, 400 * sizeof *still), "%s: the base is not touched", name[k]);
        free(after);
        free(still);
        REQUIRE(!cut_model_edit_block(made, name[k], 3, old, NULL, &err), "%s", err.msg);
        float *undone = logits_of(made, "undone");
        CHECK(!memcmp(before, undone, 400 * sizeof *undone), "%s: undone", name[k]);
        free(undone);
    }
    free(before);
    free(was);
    uint8_t block[34] = { 0 };
    CHECK(cut_model_edit_block(file, name[0], 0, block, NULL, &err) == CUT_EUSAGE && strstr(err.msg, "rebuild it first"));
    CHECK(cut_model_edit_block(made, "nobody", 0, block, NULL, &err) == CUT_EUSAGE && strstr(err.msg, "\"nobody\""));
    CHECK(cut_model_edit_block(made, name[0], 1 << 20, block, NULL, &err) == CUT_EUSAGE && strstr(err.msg, "block 1048576"));

    /* a rebuilt model is a base like any other */
    struct one back = { "blk.0.attn_q.weight", CUT_F16 };
    REQUIRE(!cut_model_rebuild(&again, made, only, &back, NULL, NULL, NULL, &err), "%s", err.msg);
    CHECK(cut_gguf_find_tensor(cut_model_gguf(again), name[0])->type == CUT_Q4_0);
    CHECK(cut_gguf_find_tensor(cut_model_gguf(again), back.name)->type == CUT_F16);
    cut_model_close(again);
    cut_model_close(made);
    cut_model_close(base);
    cut_model_close(file);
}

static bool stop_at_once(void *user, double part, const char *what) { (void)part; (void)what; return --*(int *)user > 0; }

TEST(rebuild_refuses_and_is_stopped) {
    struct cut_err err = { 0 };
    struct cut_model *base = NULL, *made = NULL;
    const char *path = synth("rebuild-bad.gguf", "f32");
    REQUIRE(path && !cut_model_open(&base, path, 0, &err), "%s", err.msg);
    enum cut_type type = CUT_Q8_1;         /* what activations are rounded to: no weights are stored so */
    int calls = 3;
    CHECK(cut_model_rebuild(&made, base, all, &type, NULL, NULL, NULL, &err) == CUT_EUSAGE && strstr(err.msg, "q8_1"), "%s", err.msg);
    type = CUT_Q4_0;
    CHECK(cut_model_rebuild(&made, base, all, &type, NULL, stop_at_once, &calls, &err) == CUT_ECANCEL && calls == 0 && !made);
    cut_model_close(base);

    /* a weight that is no number: 400 x 64 embeddings, the second of row 3 */
    size_t size;
    uint8_t *bytes = test_read(path, &size);
    REQUIRE(bytes);
    struct cut_gguf *g = NULL;
    REQUIRE(!cut_gguf_open(&g, path, 0, &err));
    float nan = NAN;
    memcpy(bytes + cut_gguf_find_tensor(g, "token_embd.weight")->offset + (3 * 64 + 1) * 4, &nan, 4);
    cut_gguf_close(g);
    const char *bad = test_tmp("rebuild-nan.gguf");
    FILE *f = fopen(bad, "wb");
    REQUIRE(f && fwrite(bytes, 1, size, f) == size && !fclose(f));
    free(bytes);
    REQUIRE(!cut_model_open(&base, bad, 0, &err), "%s", err.msg);
    CHECK(cut_model_rebuild(&made, base, all, &type, NULL, NULL, NULL, &err) == CUT_EFILE, "%s", err.msg);
    CHECK(strstr(err.msg, "\"token_embd.weight\": element 193 (row 3, column 1) is not a number"), "%s", err.msg);
    cut_model_close(base);
}

/* Changed in place, tensor by tensor, it is the model rebuilt at once; and back again. */
TEST(rebuild_retypes_in_place) {
    struct cut_err err = { 0 };
    struct cut_model *base = NULL, *made = NULL, *want = NULL;
    const char *path = synth("rebuild-retype.gguf", "f16");
    enum cut_type q8 = CUT_Q8_0, q4 = CUT_Q4_0;
    REQUIRE(path && !cut_model_open(&base, path, 0, &err), "%s", err.msg);
    REQUIRE(!cut_model_rebuild(&made, base, all, &q8, NULL, NULL, NULL, &err) && !cut_model_rebuild(&want, base, all, &q4, NULL, NULL, NULL, &err));
    uint64_t n = cut_gguf_head(cut_model_gguf(base))->n_tensors;
    float *q8_logits = logits_of(made, "q8_0");
    for (int back = 0; back < 2; back++) {
        for (uint64_t i = 0; i < n; i++) {
            const struct cut_tensor_info *t = cut_gguf_tensor(cut_model_gguf(made), i);
            if (cut_tensor_fits(t, q4)) REQUIRE(!cut_model_retype(made, t->name, back ? q8 : q4, NULL, &err), "%s", err.msg);
        }
        float *a = logits_of(made, "in place"), *b = back ? NULL : logits_of(want, "at once");
        CHECK(a && !memcmp(a, back ? q8_logits : b, 400 * sizeof *a));
        if (!back) CHECK(cut_model_config(made)->weight_bytes == cut_model_config(want)->weight_bytes);
        free(a);
        free(b);
    }
    /* to the base's own format: borrowed again */
    REQUIRE(!cut_model_retype(made, "blk.0.attn_q.weight", CUT_F16, NULL, &err));
    CHECK(cut_gguf_find_tensor(cut_model_gguf(made), "blk.0.attn_q.weight")->data ==
          cut_gguf_find_tensor(cut_model_gguf(base), "blk.0.attn_q.weight")->data);
    CHECK(cut_model_retype(made, "output_norm.weight", q4, NULL, &err) == CUT_EUSAGE &&
          strstr(err.msg, "in f32 cannot be stored as q4_0"), "%s", err.msg);
    CHECK(cut_model_retype(base, "blk.0.attn_q.weight", q4, NULL, &err) == CUT_EUSAGE);
    free(q8_logits);
    cut_model_close(want);
    cut_model_close(made);
    cut_model_close(base);
}

/* By file type: tensor for tensor what a file of it would hold, with an importance matrix and without. */
TEST(rebuild_by_file_type) {
    SKIP_EMULATED();
    struct cut_err err = { 0 };
    struct cut_model *base = NULL, *file = NULL, *made = NULL;
    struct cut_session *s = NULL;
    struct cut_imatrix *im = NULL;
    const char *const args[] = { "dim=256", "ffn=512", "heads=4", "kv_heads=2", "vocab=400" };
    char *from = strdup(test_tmp("rebuild-mix.gguf")), *to = strdup(test_tmp("rebuild-mix-q.gguf"));
    struct cut_session_opts so = { .n_ctx = 64 };
    REQUIRE(!cut_synth(from, "llama", args, 5, &err) && !cut_model_open(&base, from, 0, &err), "%s", err.msg);
    REQUIRE(!cut_session_new(&s, base, &so, &err) &&
            !cut_imatrix_collect(&im, s, "tests/fixtures/tools/story.txt", &(struct cut_imatrix_opts){ 0 }, NULL, NULL, &err), "%s", err.msg);
    for (int k = 0; k < 2; k++) {
        struct cut_quantize_opts o = { .file_type = cut_file_type_by_name("q4_K_M"), .imatrix = k ? im : NULL };
        REQUIRE(!cut_quantize(from, to, &o, NULL, NULL, &err) && !cut_model_open(&file, to, 0, &err), "%s", err.msg);
        REQUIRE(!cut_model_quantize(&made, base, &o, NULL, NULL, &err), "%s", err.msg);
        int kinds[CUT_TYPE_COUNT] = { 0 }, n_kinds = 0;
        for (uint64_t i = 0; i < cut_gguf_head(cut_model_gguf(base))->n_tensors; i++) {
            const struct cut_tensor_info *m = cut_gguf_tensor(cut_model_gguf(made), i), *f = cut_gguf_find_tensor(cut_model_gguf(file), m->name);
            CHECK(m->type == f->type && !memcmp(m->data, f->data, (size_t)m->bytes), "%s", m->name);
            n_kinds += !kinds[m->type]++;
        }
        CHECK(n_kinds >= 3, "f32, q4_K, q6_K");
        cut_model_close(made);
        cut_model_close(file);
    }
    struct cut_quantize_opts low = { .file_type = cut_file_type_by_name("iq2_xxs") };
    made = NULL;
    CHECK(cut_model_quantize(&made, base, &low, NULL, NULL, &err) == CUT_EUSAGE &&
          strstr(err.msg, "need an importance matrix") && !made, "%s", err.msg);
    cut_imatrix_free(im);
    cut_session_free(s);
    cut_model_close(base);
    free(from);
    free(to);
}
