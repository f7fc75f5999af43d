/* Whole files quantized: what stands in them, what is refused, and that an importance matrix does what it is for. */
#include "engine/base/base.h"
#include "tests/test.h"

static char paths[4][300];

static const char *tmp(int i, const char *name) {
    snprintf(paths[i], sizeof paths[i], "%s", test_tmp(name));
    return paths[i];
}

static const char *small(const char *extra) {
    struct cut_err err;
    const char *args[] = { "dim=256", "ffn=512", "layers=2", "heads=4", "kv_heads=1", "vocab=400", extra };
    const char *path = tmp(0, "quantize-in.gguf");
    if (cut_synth(path, "llama", args, extra ? 7 : 6, &err)) test_fail(__FILE__, __LINE__, "%s", err.msg);
    return path;
}

static uint64_t meta_u64(const struct cut_gguf *g, const char *key) {
    uint64_t v = UINT64_MAX;
    const struct cut_kv *kv = cut_gguf_find(g, key);
    if (kv) cut_kv_u64(kv, 0, &v);
    return v;
}

TEST(quantize_every_file_type) {
    SKIP_EMULATED();
    const char *in = small(NULL), *out = tmp(1, "quantize-out.gguf");
    struct cut_gguf *from, *to;
    struct cut_err err;
    struct cut_pool *pool = NULL;
    int n, written = 0;
    REQUIRE(!cut_pool_new(&pool, 2, &err) && !cut_gguf_open(&from, in, 0, &err), "%s", err.msg);
    const struct cut_file_type *types = cut_file_types(&n);
    for (int i = 0; i < n; i++) {
        const struct cut_type_info *info = cut_type_info(types[i].type);
        bool slow = !strncmp(types[i].name, "iq", 2);      /* codebooks: their encoders are tested by themselves */
        if (!cut_encodes(types[i].type) || slow) continue;
        struct cut_quantize_opts o = { .file_type = &types[i], .pool = pool, .force = true };
        struct cut_plan p;
        REQUIRE(!cut_quantize(in, out, &o, NULL, NULL, &err), "%s: %s", types[i].name, err.msg);
        REQUIRE(!cut_quantize_plan(&p, from, &o, &err) && !cut_gguf_open(&to, out, 0, &err), "%s", err.msg);
        CHECK(meta_u64(to, "general.file_type") == types[i].id && meta_u64(to, "general.quantization_version") == 2);
        CHECK(cut_gguf_head(to)->n_tensors == p.n);
        for (uint64_t k = 0; k < p.n; k++) {
            const struct cut_tensor_info *t = cut_gguf_tensor(to, k), *f = p.tensor[k].from;
            CHECK(!strcmp(t->name, f->name) && t->type == p.tensor[k].type && t->bytes == p.tensor[k].bytes, "%s: %s", types[i].name, t->name);
            /* The last row, encoded here. */
            float x[512];
            uint8_t y[4096], before[4096];
            size_t cols = (size_t)t->ne[0], rows = (size_t)t->ne[1], bytes = (size_t)t->bytes / rows, was = (size_t)f->bytes / rows;
            memcpy(before, (const uint8_t *)f->data + (rows - 1) * was, was);
            cut_decode(f->type, before, x, cols);
            if (t->type == f->type) memcpy(y, before, was);
            else cut_encode(t->type, x, y, cols);
            CHECK(!memcmp(y, (const uint8_t *)t->data + (rows - 1) * bytes, bytes), "%s: %s: last row", types[i].name, t->name);
        }
        for (uint64_t k = 0; k < cut_gguf_head(from)->n_kv; k++) {
            const struct cut_kv *a = cut_gguf_kv(from, k), *b = cut_gguf_find(to, a->key);
            CHECK(b && (b->bytes == a->bytes || !strncmp(a->key, "general.", 8)), "%s: %s", types[i].name, a->key);
        }
        CHECK(info->block > 1 || p.bytes == cut_gguf_head(to)->file_bytes - cut_gguf_head(to)->data_offset, "%s", types[i].name);
        cut_plan_done(&p);
        cut_gguf_close(to);
        written++;
    }
    CHECK(written >= 16, "%d file types", written);
    cut_gguf_close(from);
    cut_pool_free(pool);
}

TEST(quantize_on_any_number_of_threads) {
    SKIP_EMULATED();
    const char *in = small("type=f16"), *out = tmp(1, "quantize-1.gguf"), *other = tmp(2, "quantize-3.gguf");
    struct cut_err err;
    struct cut_pool *pool = NULL;
    struct cut_quantize_opts o = { .file_type = cut_file_type_by_name("q4_k_m") };
    size_t a, b;
    REQUIRE(!cut_pool_new(&pool, 3, &err));
    CHECK(!cut_quantize(in, out, &o, NULL, NULL, &err), "%s", err.msg);
    o.pool = pool;
    CHECK(!cut_quantize(in, other, &o, NULL, NULL, &err), "%s", err.msg);
    char *x = test_read(out, &a), *y = test_read(other, &b);
    CHECK(x && y && a == b && !memcmp(x, y, a), "the same bytes");
    free(x);
    free(y);
    cut_pool_free(pool);
}

/* ---- refusals; a file that is there stays */

static bool stop(void *user, double part, const char *what) {
    double *last = user;
    if (part < *last || part > 1 || !what[0]) *last = 2;
    else *last = part;
    return part < 0.5;
}

TEST(quantize_leaves_the_old_file) {
    const char *in = small(NULL), *out = tmp(1, "quantize-old.gguf");
    struct cut_quantize_opts o = { .file_type = cut_file_type_by_name("q8_0") };
    struct cut_err err;
    FILE *f = fopen(out, "wb");
    fputs("old", f);
    fclose(f);
    double last = 0;
    CHECK(cut_quantize(in, out, &o, stop, &last, &err) == CUT_ECANCEL && last >= 0.5 && last <= 1, "%s", err.msg);
    o.file_type = cut_file_type_by_name("iq2_xxs");
    CHECK(cut_quantize(in, out, &o, NULL, NULL, &err) == CUT_EUSAGE && strstr(err.msg, "need an importance matrix"), "%s", err.msg);
    size_t n;
    char *now = test_read(out, &n);
    CHECK(now && n == 3 && !memcmp(now, "old", 3));
    free(now);
    CHECK(cut_quantize(test_tmp("nosuch.gguf"), out, &o, NULL, NULL, &err) == CUT_EFILE);
}

/* Put a bad number into a copy of the file. */
static const char *with_bad(const char *in, const char *tensor, uint64_t index, float bad) {
    struct cut_gguf *g;
    struct cut_err err;
    size_t n;
    char *bytes = test_read(in, &n);
    const char *path = tmp(3, "quantize-bad.gguf");
    if (!bytes || cut_gguf_open(&g, in, 0, &err)) return NULL;
    memcpy(bytes + cut_gguf_find_tensor(g, tensor)->offset + 4 * index, &bad, 4);
    cut_gguf_close(g);
    FILE *f = fopen(path, "wb");
    fwrite(bytes, 1, n, f);
    fclose(f);
    free(bytes);
    return path;
}

TEST(quantize_refuses_what_is_not_finite) {
    SKIP_EMULATED();
    const char *in = small("type=f32"), *out = tmp(1, "quantize-none.gguf");
    struct cut_err err;
    static const struct { const char *tensor, *type; uint64_t index; float bad; const char *where; } bad[] = {
        { "blk.0.attn_v.weight", "q8_0", 5 * 256 + 7, NAN, "row 5, column 7" },
        { "blk.1.ffn_down.weight", "q4_K_M", 255 * 512 + 511, -INFINITY, "row 255, column 511" },
        { "blk.0.attn_norm.weight", "q8_0", 3, INFINITY, "row 0, column 3" },
        { "token_embd.weight", "f32", 256 * 399, NAN, "row 399, column 0" },
    };
    remove(out);
    for (size_t i = 0; i < CUT_LEN(bad); i++) {
        struct cut_quantize_opts o = { .file_type = cut_file_type_by_name(bad[i].type) };
        const char *path = with_bad(in, bad[i].tensor, bad[i].index, bad[i].bad);
        char element[64];
        REQUIRE(path != NULL);
        snprintf(element, sizeof element, "element %llu (%s)", (unsigned long long)bad[i].index, bad[i].where);
        CHECK(cut_quantize(path, out, &o, NULL, NULL, &err) == CUT_EFILE, "%s", bad[i].tensor);
        CHECK(strstr(err.msg, bad[i].tensor) && strstr(err.msg, element), "%s", err.msg);
    }
    FILE *f = fopen(out, "rb");
    CHECK(!f, "nothing was written");
    if (f) fclose(f);
}

/* ---- importance matrices */

struct rig { struct cut_model *model; struct cut_session *session; };

static bool set_up(struct rig *r, const char *path, int n_ctx, bool keep, struct cut_err *err) {
    struct cut_session_opts o = { .n_ctx = n_ctx, .kv_type = CUT_F32, .keep = keep };
    *r = (struct rig){ 0 };
    return !cut_model_open(&r->model, path, 0, err) && !cut_session_new(&r->session, r->model, &o, err);
}

static void tear_down(struct rig *r) {
    cut_session_free(r->session);
    cut_model_close(r->model);
}

static const char *text(void) {
    const char *path = tmp(3, "imatrix.txt");
    FILE *f = fopen(path, "wb");
    for (int i = 0; i < 40; i++) fprintf(f, "ab ad fe %c ce to %c. ", 'a' + i % 26, 'z' - i % 20);
    fclose(f);
    return path;
}

static bool told(void *user, double part, const char *what) {
    (void)what;
    *(double *)user = part;
    return true;
}

TEST(imatrix_collects_the_mean_squares) {
    SKIP_EMULATED();
    struct rig r, kept;
    struct cut_err err = { 0 };
    struct cut_imatrix *m = NULL;
    const char *in = small("type=f32");
    double part = 0;
    REQUIRE(set_up(&r, in, 32, false, &err) && set_up(&kept, in, 4096, true, &err), "%s", err.msg);
    struct cut_imatrix_opts with_output = { .output = true };
    REQUIRE(!cut_imatrix_collect(&m, r.session, text(), &with_output, told, &part, &err), "%s", err.msg);
    struct cut_imatrix_info info;
    cut_imatrix_about(m, &info);
    CHECK(part == 1 && info.n_entries == 2 * 7 + 1 && info.n_chunks > 3 && info.chunk_size == 32, "%d entries, %d chunks", info.n_entries, info.n_chunks);
    CHECK(!strcmp(info.dataset, paths[3]));
    for (int i = 0; i + 1 < info.n_entries; i++) CHECK(strcmp(cut_imatrix_at(m, i)->name, cut_imatrix_at(m, i + 1)->name) < 0);
    CHECK(!cut_imatrix_at(m, -1) && !cut_imatrix_at(m, info.n_entries) && !cut_imatrix_find(m, "blk.2.attn_q.weight"));

    /* The same from the values that a session keeps: the first piece of 31 tokens behind BOS, and what it leaves out is counted. */
    const struct cut_imatrix_entry *q = cut_imatrix_find(m, "blk.0.attn_q.weight"), *k = cut_imatrix_find(m, "blk.0.attn_k.weight");
    const struct cut_imatrix_entry *down = cut_imatrix_find(m, "blk.1.ffn_down.weight");
    REQUIRE(q && k && down && q->n == 256 && down->n == 512 && q->n_mat == 1);
    CHECK(!memcmp(q->mean, k->mean, 256 * sizeof *q->mean), "Q and K read the same value");
    size_t len, n_ids;
    char *bytes = test_read(paths[3], &len);
    int32_t *ids = NULL;
    double sum[512] = { 0 };
    float rows = 0;
    REQUIRE(!cut_vocab_encode(cut_model_vocab(r.model), bytes, len, 0, &ids, &n_ids, &err), "%s", err.msg);
    for (size_t at = 0; at < n_ids; at += 31) {
        int n = (int)(n_ids - at < 31 ? n_ids - at : 31);
        int32_t bos = cut_vocab_bos(cut_model_vocab(r.model));
        enum cut_stop why;
        struct cut_tensor v;
        cut_session_reset(kept.session);
        REQUIRE(!cut_session_feed(kept.session, 0, &bos, 1, CUT_FEED_ALL_LOGITS, &err) && !cut_session_feed(kept.session, 0, ids + at, n, CUT_FEED_ALL_LOGITS, &err),
                "%s", err.msg);
        REQUIRE(!cut_session_run(kept.session, &why, &err), "%s", err.msg);
        REQUIRE(!cut_session_value(kept.session, cut_session_find_step(kept.session, "blk.1.act"), &v, &err) && v.data, "%s", err.msg);
        int64_t tokens = v.ne[1] * v.ne[2];
        for (int64_t t = 0; t < tokens; t++)
            for (int i = 0; i < 512; i++) sum[i] += (double)v.data[t * 512 + i] * (double)v.data[t * 512 + i];
        rows += (float)tokens;
    }
    CHECK(down->counts[0] == rows, "%g rows, not %g", (double)down->counts[0], (double)rows);
    for (int i = 0; i < 512; i++) CHECK(fabs(sum[i] / (double)down->sum2[i] - 1) < 1e-5, "column %d: %g, not %g", i, (double)down->sum2[i], sum[i]);
    free(bytes);
    free(ids);

    /* To the disk and back. */
    struct cut_imatrix *again = NULL;
    const char *path = tmp(1, "imatrix.gguf");
    REQUIRE(!cut_imatrix_save(m, path, &err) && !cut_imatrix_load(&again, path, &err), "%s", err.msg);
    struct cut_imatrix_info back;
    cut_imatrix_about(again, &back);
    CHECK(back.n_entries == info.n_entries && back.n_chunks == info.n_chunks && back.chunk_size == 32 && !strcmp(back.dataset, info.dataset));
    CHECK(!strcmp(back.file, path));
    for (int i = 0; i < info.n_entries; i++) {
        const struct cut_imatrix_entry *a = cut_imatrix_at(m, i), *b = cut_imatrix_at(again, i);
        CHECK(!strcmp(a->name, b->name) && a->n == b->n && a->counts[0] == b->counts[0] && !memcmp(a->mean, b->mean, (size_t)a->n * 4), "%s", a->name);
    }
    cut_imatrix_free(again);
    cut_imatrix_free(m);
    tear_down(&r);
    tear_down(&kept);
}

/* Sum over the tensor of w_j (x - decoded)^2. */
static double weighted_error(const char *path, const char *name, const struct cut_tensor_info *from, const float *w) {
    struct cut_gguf *g;
    struct cut_err err;
    double sum = 0;
    float x[512], y[512];
    if (cut_gguf_open(&g, path, 0, &err)) return -1;
    const struct cut_tensor_info *t = cut_gguf_find_tensor(g, name);
    size_t n = (size_t)t->ne[0], rows = (size_t)t->ne[1];
    for (size_t r = 0; r < rows; r++) {
        cut_decode(from->type, (const uint8_t *)from->data + r * (from->bytes / rows), x, n);
        cut_decode(t->type, (const uint8_t *)t->data + r * (t->bytes / rows), y, n);
        for (size_t j = 0; j < n; j++) sum += (double)w[j] * ((double)x[j] - (double)y[j]) * ((double)x[j] - (double)y[j]);
    }
    cut_gguf_close(g);
    return sum;
}

TEST(imatrix_lowers_the_error_it_weighs) {
    SKIP_EMULATED();
    struct rig r;
    struct cut_err err = { 0 };
    struct cut_imatrix *m = NULL;
    struct cut_gguf *from, *g;
    const char *name = "blk.1.ffn_down.weight", *in = small("type=f32");
    REQUIRE(set_up(&r, in, 64, false, &err), "%s", err.msg);
    REQUIRE(!cut_imatrix_collect(&m, r.session, text(), NULL, NULL, NULL, &err) && !cut_gguf_open(&from, in, 0, &err), "%s", err.msg);
    const struct cut_imatrix_entry *e = cut_imatrix_find(m, name);
    CHECK(!cut_imatrix_find(m, "output.weight") && e->counts[0] == cut_imatrix_find(m, "blk.0.attn_q.weight")->counts[0], "every token counts");
    char plain[300], weighed[300];
    snprintf(plain, sizeof plain, "%s", test_tmp("plain.gguf"));
    snprintf(weighed, sizeof weighed, "%s", test_tmp("weighed.gguf"));
    static const char *const types[] = { "q2_K", "q4_K_S", "q5_1" };
    for (size_t i = 0; i < CUT_LEN(types); i++) {
        struct cut_quantize_opts o = { .file_type = cut_file_type_by_name(types[i]), .pure = true };
        CHECK(!cut_quantize(in, plain, &o, NULL, NULL, &err), "%s", err.msg);
        o.imatrix = m;
        CHECK(!cut_quantize(in, weighed, &o, NULL, NULL, &err), "%s", err.msg);
        double a = weighted_error(plain, name, cut_gguf_find_tensor(from, name), e->mean);
        double b = weighted_error(weighed, name, cut_gguf_find_tensor(from, name), e->mean);
        CHECK(b > 0 && b < 0.97 * a, "%s: %g with, %g without", types[i], b, a);
    }
    REQUIRE(!cut_gguf_open(&g, weighed, 0, &err), "%s", err.msg);
    CHECK(meta_u64(g, "quantize.imatrix.entries_count") == 14 && meta_u64(g, "quantize.imatrix.chunks_count") >= 1);
    CHECK(cut_gguf_find(g, "quantize.imatrix.dataset") && cut_gguf_find(g, "quantize.imatrix.file"));
    cut_gguf_close(g);

    /* Another model's is refused. */
    const char *args[] = { "dim=128", "ffn=256", "layers=1", "heads=4", "vocab=400" };
    struct cut_quantize_opts o = { .file_type = cut_file_type_by_name("q8_0"), .imatrix = m };
    REQUIRE(!cut_synth(tmp(1, "other.gguf"), "llama", args, 5, &err));
    CHECK(cut_quantize(paths[1], plain, &o, NULL, NULL, &err) == CUT_EUSAGE && strstr(err.msg, "another model's"), "%s", err.msg);
    cut_gguf_close(from);
    cut_imatrix_free(m);
    tear_down(&r);
}

static void put_i32(FILE *f, int32_t v) { fwrite(&v, 4, 1, f); }
static void put_text(FILE *f, const char *s) {
    put_i32(f, (int32_t)strlen(s));
    fputs(s, f);
}

TEST(imatrix_preview_says_what_it_would_change) {
    struct cut_model *m;
    struct cut_err err;
    REQUIRE(!cut_model_open(&m, "assets/pebble.gguf", 0, &err), "%s", err.msg);
    const struct cut_tensor_info *t = cut_gguf_find_tensor(cut_model_gguf(m), "blk.1.ffn_down.weight");
    float mean[512], all = 1;
    struct cut_imatrix_entry e = { .name = "blk.1.ffn_down.weight", .n = 512, .n_mat = 1, .sum2 = mean, .counts = &all, .mean = mean };
    double error[2], even[2];
    for (int i = 0; i < 512; i++) mean[i] = 1;
    REQUIRE(!cut_imatrix_preview(&e, t, CUT_Q4_K, 16, even, &err), "%s", err.msg);
    CHECK(even[0] > 0.01 && even[0] < 0.2 && fabs(even[1] / even[0] - 1) < 0.01, "all alike: nothing to win; %g, %g", even[0], even[1]);
    for (int i = 0; i < 512; i += 7) mean[i] = 50;
    REQUIRE(!cut_imatrix_preview(&e, t, CUT_Q4_K, 16, error, &err), "%s", err.msg);
    CHECK(error[1] < 0.9 * error[0], "some inputs fifty times the others: %g, with importance %g", error[0], error[1]);
    e.n = 256;
    CHECK(cut_imatrix_preview(&e, t, CUT_Q4_K, 16, error, &err) == CUT_EUSAGE && strstr(err.msg, "256 columns"), "%s", err.msg);
    e.n = 512;
    CHECK(cut_imatrix_preview(&e, t, CUT_Q8_K, 16, error, &err) == CUT_EUSAGE);
    cut_model_close(m);
}

TEST(imatrix_of_the_older_kind) {
    struct cut_imatrix *m = NULL;
    struct cut_err err;
    static const float v[2][3] = { { 4, 8, 0 }, { 1, 1, 6 } };
    const char *path = tmp(1, "old.dat");
    FILE *f = fopen(path, "wb");
    put_i32(f, 2);
    for (int i = 0; i < 2; i++) {
        put_text(f, i ? "blk.0.attn_k.weight" : "blk.0.attn_q.weight");
        put_i32(f, 4);
        put_i32(f, 3);
        fwrite(v[i], 4, 3, f);
    }
    put_i32(f, 4);
    put_text(f, "wiki.txt");
    fclose(f);
    REQUIRE(!cut_imatrix_load(&m, path, &err), "%s", err.msg);
    struct cut_imatrix_info info;
    cut_imatrix_about(m, &info);
    const struct cut_imatrix_entry *e = cut_imatrix_find(m, "blk.0.attn_q.weight");
    CHECK(info.n_entries == 2 && info.n_chunks == 4 && !strcmp(info.dataset, "wiki.txt"));
    REQUIRE(e && e->n == 3);
    CHECK(e->mean[0] == 1 && e->mean[1] == 2 && e->mean[2] == 0);
    struct cut_imatrix_stats s;
    cut_imatrix_stats(e, &s);
    CHECK(s.sum == 3 && s.mean == 1 && s.max == 2 && s.n_top == 3 && s.top[0] == 1 && s.top[1] == 0 && s.top[2] == 2);
    CHECK(fabs(s.top_share - 2.0 / 3) < 1e-9 && fabs(s.even - exp(log(3) - 2.0 / 3 * log(2)) / 3) < 1e-9, "%g %g", s.top_share, s.even);
    cut_imatrix_free(m);

    /* Cut short anywhere before its end marks, it is refused. */
    size_t size;
    char *bytes = test_read(path, &size);
    for (size_t n = 1; n < size - 16; n++) {
        f = fopen(path, "wb");
        fwrite(bytes, 1, n, f);
        fclose(f);
        CHECK(cut_imatrix_load(&m, path, &err) == CUT_EFILE && strstr(err.msg, "old.dat"), "%zu bytes: %s", n, err.msg);
    }
    float nan = NAN;
    memcpy(bytes + 4 + 4 + 19 + 8, &nan, 4);
    f = fopen(path, "wb");
    fwrite(bytes, 1, size, f);
    fclose(f);
    CHECK(cut_imatrix_load(&m, path, &err) == CUT_EFILE && strstr(err.msg, "sum 0 of squares is nan"), "%s", err.msg);
    free(bytes);
    CHECK(cut_imatrix_load(&m, small(NULL), &err) == CUT_EFILE && strstr(err.msg, "not \"imatrix\""), "%s", err.msg);
}
