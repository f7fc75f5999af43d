/* read.c - sound files: every value type in every version, tensors, and opening from disk. */
#include <sys/stat.h>
#include <unistd.h>

#include "tests/gguf/bytes.h"

static void check_number(const struct cut_gguf *g, const char *key, int64_t want) {
    const struct cut_kv *kv = cut_gguf_find(g, key);
    int64_t s = 0;
    uint64_t u = 0;
    double d = 0;
    REQUIRE(kv, "%s", key);
    CHECK(cut_kv_i64(kv, 0, &s) && s == want, "%s: %lld", key, (long long)s);
    CHECK(cut_kv_f64(kv, 0, &d) && d == (double)want, "%s: %g", key, d);
    CHECK(cut_kv_u64(kv, 0, &u) == (want >= 0) && (want < 0 || u == (uint64_t)want), "%s", key);
    CHECK(!cut_kv_i64(kv, 1, &s) && !cut_kv_bool(kv, 0, &(bool){ 0 }), "%s", key);
}

static void check_string(const struct cut_gguf *g, const char *key, uint64_t i, const char *want, size_t want_len) {
    const char *s;
    size_t len;
    const struct cut_kv *kv = cut_gguf_find(g, key);
    REQUIRE(kv && cut_kv_str(kv, i, &s, &len), "%s", key);
    CHECK(len == want_len && !memcmp(s, want, len), "%s[%d]: %.*s", key, (int)i, (int)len, s);
}

static void check_good(const struct cut_gguf *g, uint32_t version, size_t size) {
    const struct cut_gguf_head *h = cut_gguf_head(g);
    CHECK(h->version == version && h->n_kv == 18 && h->n_tensors == 3 && h->alignment == 64 && h->file_bytes == size);
    CHECK(h->data_offset == size - 200 && (h->data_offset & 63) == 0);
    check_number(g, "a.u8", 200);
    check_number(g, "a.i8", -5);
    check_number(g, "a.u16", 60000);
    check_number(g, "a.i16", -300);
    check_number(g, "a.u32", 4000000000);
    check_number(g, "a.i32", -70000);
    check_number(g, "a.i64", INT64_MIN);

    double d;
    uint64_t u = 0;
    int64_t s;
    bool b = false;
    CHECK(cut_kv_f64(cut_gguf_find(g, "a.f32"), 0, &d) && d == 0.5);
    CHECK(cut_kv_f64(cut_gguf_find(g, "a.f64"), 0, &d) && d == -2.25);
    CHECK(!cut_kv_u64(cut_gguf_find(g, "a.f32"), 0, &u));
    CHECK(cut_kv_u64(cut_gguf_find(g, "a.u64"), 0, &u) && u == UINT64_MAX);
    CHECK(!cut_kv_i64(cut_gguf_find(g, "a.u64"), 0, &s));
    CHECK(cut_kv_bool(cut_gguf_find(g, "a.bool"), 0, &b) && b);
    CHECK(!cut_kv_u64(cut_gguf_find(g, "a.bool"), 0, &u) && !cut_kv_f64(cut_gguf_find(g, "a.bool"), 0, &d));
    check_string(g, "a.string", 0, "a\0b", 3);
    check_string(g, "general.architecture", 0, "test", 4);

    const struct cut_kv *kv = cut_gguf_find(g, "b.ints");
    CHECK(kv->type == CUT_KV_ARRAY && kv->elem == CUT_KV_I16 && kv->count == 3 && kv->bytes == 6);
    CHECK(cut_kv_i64(kv, 1, &s) && s == -2);
    CHECK(!cut_kv_i64(kv, 3, &s));
    check_string(g, "b.strings", 0, "one", 3);
    check_string(g, "b.strings", 1, "", 0);
    check_string(g, "b.strings", 2, "three", 5);
    kv = cut_gguf_find(g, "b.empty");
    CHECK(kv->count == 0 && kv->bytes == 0);
    kv = cut_gguf_find(g, "b.nested");
    CHECK(kv->elem == CUT_KV_ARRAY && kv->count == 2);
    /* "x" and "yz" with 64-bit lengths, whatever the version: 12 for the head of the array, then 9 and 10 */
    CHECK(kv->index[0] == 0 && kv->index[1] == 31 && kv->bytes == 31 + 12 + 14);
    CHECK(!cut_gguf_find(g, "a") && !cut_gguf_find(g, "z"));

    const struct cut_tensor_info *t = cut_gguf_find_tensor(g, "w.q4_0");
    REQUIRE(t);
    CHECK(t == cut_gguf_tensor(g, 2) && t->type == CUT_Q4_0 && t->n_dims == 4 && t->bytes == 72);
    CHECK(t->ne[0] == 64 && t->ne[1] == 1 && t->ne[2] == 2 && t->ne[3] == 1);
    CHECK(t->offset == h->data_offset + 128);
    if (t->data) CHECK(*(const uint8_t *)t->data == 128);
    t = cut_gguf_tensor(g, 0);
    CHECK(t->n_dims == 2 && t->ne[2] == 1 && t->bytes == 60);
    CHECK(!cut_gguf_find_tensor(g, "w"));
}

TEST(gguf_good_files_of_every_version) {
    for (uint32_t version = 1; version <= 3; version++) {
        struct bytes b = { 0 };
        struct cut_err err;
        struct cut_gguf *g = NULL;
        good_file(&b, version);
        enum cut_status st = cut_gguf_parse(&g, "dir/good.gguf", b.data, b.n, 0, &err);
        CHECK(st == CUT_OK, "%s", err.msg);
        if (!st) {
            CHECK(!strcmp(cut_gguf_head(g)->name, "good.gguf") && !cut_gguf_head(g)->mapped);
            check_good(g, version, b.n);
            walk(g);
        }
        cut_gguf_close(g);
        free(b.data);
    }
}

TEST(gguf_header_only_does_without_the_data) {
    struct bytes b = { 0 };
    struct cut_err err;
    struct cut_gguf *g = NULL;
    good_file(&b, 3);
    CHECK(cut_gguf_parse(&g, "t", b.data, b.n - 200, 0, &err) == CUT_EFILE);
    CHECK(!cut_gguf_parse(&g, "t", b.data, b.n - 200, CUT_GGUF_HEADER_ONLY, &err), "%s", err.msg);
    if (g) CHECK(!cut_gguf_tensor(g, 0)->data && cut_gguf_tensor(g, 0)->bytes == 60);
    cut_gguf_close(g);
    free(b.data);
}

TEST(gguf_open_maps_or_reads) {
    struct bytes b = { 0 };
    struct cut_err err;
    const char *path = test_tmp("good.gguf");
    good_file(&b, 3);
    FILE *f = fopen(path, "wb");
    REQUIRE(f);
    fwrite(b.data, 1, b.n, f);
    fclose(f);
    for (unsigned flags = 0; flags <= CUT_GGUF_NO_MMAP; flags++) {
        struct cut_gguf *g = NULL;
        CHECK(!cut_gguf_open(&g, path, flags, &err), "%s", err.msg);
        if (!g) continue;
        CHECK(cut_gguf_head(g)->mapped == !flags);
        check_good(g, 3, b.n);
        walk(g);
        cut_gguf_close(g);
    }
    unlink(path);
    free(b.data);
}

TEST(gguf_open_refuses_what_is_no_file) {
    struct cut_gguf *g = NULL;
    struct cut_err err;
    const char *empty = test_tmp("empty.gguf"), *pipe = test_tmp("pipe.gguf");
    CHECK(cut_gguf_open(&g, "no/such/file.gguf", 0, &err) == CUT_EFILE);
    CHECK(!strcmp(err.msg, "no/such/file.gguf: No such file or directory"), "%s", err.msg);
    CHECK(cut_gguf_open(&g, "/", 0, &err) == CUT_EFILE && strstr(err.msg, "a directory"), "%s", err.msg);
    fclose(fopen(empty, "wb"));
    CHECK(cut_gguf_open(&g, empty, 0, &err) == CUT_EFILE && strstr(err.msg, "empty"), "%s", err.msg);
    unlink(empty);
    if (!mkfifo(pipe, 0600)) {             /* must not wait for a writer */
        CHECK(cut_gguf_open(&g, pipe, 0, &err) == CUT_EFILE && strstr(err.msg, "pipe"), "%s", err.msg);
        unlink(pipe);
    }
    CHECK(!g);
    CHECK(cut_gguf_open(&g, "no/such/file.gguf", 0, NULL) == CUT_EFILE);
    cut_gguf_close(NULL);
}

TEST(gguf_opens_the_golden_files) {
    static const char *const files[] = { "models/llama-f16.gguf", "models/llama-q4_0.gguf", "models/llama-q4_k_m.gguf",
        "models/llama-iq4_xs.gguf", "models/stories260K-q8_0.gguf", "vocab/gpt-2.gguf", "vocab/llama-spm.gguf" };
    int seen = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[80];
        snprintf(path, sizeof path, "golden/%s", files[i]);
        const char *p = test_shared(path);
        if (!p) continue;
        struct cut_gguf *g = NULL;
        struct cut_err err;
        CHECK(!cut_gguf_open(&g, p, 0, &err), "%s", err.msg);
        if (g) walk(g);
        cut_gguf_close(g);
        seen++;
    }
    if (!seen) SKIP("no golden files");
}
