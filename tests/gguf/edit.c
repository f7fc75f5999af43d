/* Editing metadata: one entry changes, everything else keeps its bytes; what would break a model is refused. */
#include "tests/gguf/bytes.h"

static const char *good(void) {
    const char *path = test_tmp("edit.gguf");
    struct bytes b = { 0 };
    good_file(&b, 3);
    FILE *f = fopen(path, "wb");
    if (f) {
        fwrite(b.data, 1, b.n, f);
        fclose(f);
    }
    free(b.data);
    return path;
}

/* All but `but` is as it was: entries in order, tensors with their bytes, aligned. */
static void same_but(const char *a, const char *b, const char *but, int more) {
    struct cut_gguf *x, *y;
    struct cut_err err;
    REQUIRE(!cut_gguf_open(&x, a, 0, &err), "%s", err.msg);
    REQUIRE(!cut_gguf_open(&y, b, 0, &err), "%s", err.msg);
    const struct cut_gguf_head *hx = cut_gguf_head(x), *hy = cut_gguf_head(y);
    CHECK(hy->n_kv == hx->n_kv + (uint64_t)more && hy->n_tensors == hx->n_tensors && hy->alignment == hx->alignment);
    for (uint64_t i = 0; i < hx->n_kv; i++) {
        const struct cut_kv *k = cut_gguf_kv(x, i), *l = cut_gguf_find(y, k->key);
        if (!strcmp(k->key, but)) continue;
        CHECK(l && l->type == k->type && l->elem == k->elem && l->count == k->count && l->bytes == k->bytes && !memcmp(l->data, k->data, k->bytes),
              "%s", k->key);
    }
    for (uint64_t i = 0; i < hx->n_tensors; i++) {
        const struct cut_tensor_info *t = cut_gguf_tensor(x, i), *u = cut_gguf_tensor(y, i);
        CHECK(t->type == u->type && t->bytes == u->bytes && !memcmp(t->data, u->data, t->bytes) && u->offset % hy->alignment == 0, "%s", t->name);
        CHECK(!strcmp(t->name, but) || !strcmp(t->name, u->name));
    }
    cut_gguf_close(x);
    cut_gguf_close(y);
}

static enum cut_status edit(const char *in, const char *out, enum cut_edit_kv_op op, const char *key, const char *value, int type, bool force,
                            char before[64], char after[64], struct cut_err *err) {
    struct cut_edit_kv e = { op, key, value, type, force };
    return cut_gguf_edit(in, out, &e, before, after, 64, err);
}

TEST(edit_sets_every_type) {
    static const struct { const char *key, *value; int type; const char *before, *after; } sets[] = {
        { "a.u8", "255", -1, "u8 200", "u8 255" },
        { "a.i8", "-128", -1, "i8 -5", "i8 -128" },
        { "a.u16", "0xffff", -1, "u16 60000", "u16 65535" },
        { "a.i16", "7", -1, "i16 -300", "i16 7" },
        { "a.u32", "0", -1, "u32 4000000000", "u32 0" },
        { "a.i32", "-2147483648", -1, "i32 -70000", "i32 -2147483648" },
        { "a.f32", "-1e-3", -1, "f32 0.5", "f32 -0.00100000005" },
        { "a.bool", "false", -1, "bool true", "bool false" },
        { "a.string", "caf\xc3\xa9\n", -1, "string a\\x00b", "string caf\xc3\xa9\\n" },
        { "a.u64", "18446744073709551615", -1, "u64 18446744073709551615", "u64 18446744073709551615" },
        { "a.i64", "-9223372036854775808", -1, "i64 -9223372036854775808", "i64 -9223372036854775808" },
        { "a.f64", "0.1", -1, "f64 -2.25", "f64 0.10000000000000001" },
        { "a.u8", "text", CUT_KV_STRING, "u8 200", "string text" },
        { "new.number", "12", -1, "", "u32 12" },
        { "new.negative", "-12", -1, "", "i32 -12" },
        { "new.large", "5000000000", -1, "", "u64 5000000000" },
        { "new.real", "1.5", -1, "", "f32 1.5" },
        { "new.flag", "true", -1, "", "bool true" },
        { "new.text", "12 or so", -1, "", "string 12 or so" },
        { "new.typed", "12", CUT_KV_U16, "", "u16 12" },
    };
    const char *in = good();
    char out[300], before[64], after[64], again[64];
    struct cut_err err;
    snprintf(out, sizeof out, "%s", test_tmp("edited.gguf"));
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        CHECK(!edit(in, out, CUT_KV_SET, sets[i].key, sets[i].value, sets[i].type, false, before, after, &err), "%s: %s", sets[i].key, err.msg);
        CHECK(!strcmp(before, sets[i].before) && !strcmp(after, sets[i].after), "%s: %s -> %s", sets[i].key, before, after);
        same_but(in, out, sets[i].key, sets[i].before[0] ? 0 : 1);
        /* what it said is what stands there */
        CHECK(!edit(out, out, CUT_KV_REMOVE, sets[i].key, NULL, -1, false, again, before, &err) && !strcmp(again, after), "%s, %s", again, err.msg);
    }
}

TEST(edit_removes_and_renames) {
    const char *in = good();
    char out[300], before[64], after[64];
    struct cut_err err;
    snprintf(out, sizeof out, "%s", test_tmp("edited.gguf"));
    CHECK(!edit(in, out, CUT_KV_REMOVE, "b.strings", NULL, -1, false, before, after, &err), "%s", err.msg);
    CHECK(!strcmp(before, "string[3]") && !after[0]);
    same_but(in, out, "b.strings", -1);
    CHECK(!edit(in, out, CUT_KV_RENAME, "b.nested", "c.nested", -1, false, before, after, &err), "%s", err.msg);
    same_but(in, out, "b.nested", 0);
    struct cut_gguf *g;
    REQUIRE(!cut_gguf_open(&g, out, 0, &err), "%s", err.msg);
    CHECK(cut_gguf_find(g, "c.nested") && !cut_gguf_find(g, "b.nested"));
    cut_gguf_close(g);
    CHECK(!edit(in, out, CUT_KV_RENAME_TENSOR, "w.q8_0", "w.other", -1, true, before, after, &err), "%s", err.msg);
    same_but(in, out, "w.q8_0", 0);
    /* the alignment that the file has is changed with its entry, and without it 32 */
    CHECK(!edit(in, out, CUT_KV_SET, "general.alignment", "256", -1, false, before, after, &err), "%s", err.msg);
    REQUIRE(!cut_gguf_open(&g, out, 0, &err), "%s", err.msg);
    CHECK(cut_gguf_head(g)->alignment == 256 && cut_gguf_tensor(g, 0)->offset % 256 == 0);
    cut_gguf_close(g);
    CHECK(!edit(in, out, CUT_KV_REMOVE, "general.alignment", NULL, -1, false, before, after, &err), "%s", err.msg);
    CHECK(edit(in, out, CUT_KV_SET, "general.alignment", "48", -1, false, before, after, &err) == CUT_EUSAGE, "%s", err.msg);
}

TEST(edit_refuses) {
    static const struct { enum cut_edit_kv_op op; const char *key, *value; int type; const char *msg; } bad[] = {
        { CUT_KV_SET, "a.u8", "256", -1, "\"a.u8\": \"256\" is no u8" },
        { CUT_KV_SET, "a.u8", "-1", -1, "is no u8" },
        { CUT_KV_SET, "a.u8", "", -1, "is no u8" },
        { CUT_KV_SET, "a.i8", "-129", -1, "is no i8" },
        { CUT_KV_SET, "a.u64", "18446744073709551616", -1, "is no u64" },
        { CUT_KV_SET, "a.i64", "9223372036854775808", -1, "is no i64" },
        { CUT_KV_SET, "a.f32", "1e39", -1, "is no f32" },
        { CUT_KV_SET, "a.f64", "nan", -1, "is no f64" },
        { CUT_KV_SET, "a.bool", "yes", -1, "is no bool" },
        { CUT_KV_SET, "b.ints", "1", -1, "an array of 3" },
        { CUT_KV_SET, "general.architecture", "llama", -1, "needed to run" },
        { CUT_KV_REMOVE, "general.architecture", NULL, -1, "needed to run" },
        { CUT_KV_REMOVE, "test.depth", NULL, -1, "one of the architecture's" },
        { CUT_KV_SET, "test.depth", "x", CUT_KV_STRING, "one of the architecture's" },
        { CUT_KV_RENAME, "tokenizer.x", "y", -1, "one of the tokenizer's" },
        { CUT_KV_RENAME_TENSOR, "w.q8_0", "w", -1, "by name" },
        { CUT_KV_RENAME_TENSOR, "w.q8_0", "w.f32", -1, "there is a \"w.f32\" already" },
        { CUT_KV_RENAME, "a.u8", "a.i8", -1, "there is a \"a.i8\" already" },
        { CUT_KV_RENAME, "a.u8", "", -1, "a name is empty" },
        { CUT_KV_SET, "", "1", -1, "a name is empty" },
        { CUT_KV_REMOVE, "nosuch", NULL, -1, "there is no entry \"nosuch\"" },
        { CUT_KV_RENAME_TENSOR, "nosuch", "x", -1, "there is no tensor \"nosuch\"" },
    };
    char in[300], before[64], after[64];
    struct cut_err err;
    snprintf(in, sizeof in, "%s", good());
    CHECK(!edit(in, in, CUT_KV_SET, "test.depth", "3", -1, false, before, after, &err), "%s", err.msg);
    CHECK(!edit(in, in, CUT_KV_SET, "tokenizer.x", "3", -1, false, before, after, &err), "%s", err.msg);
    size_t size, now;
    char *was = test_read(in, &size), *is;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err.msg[0] = 0;
        CHECK(edit(in, in, bad[i].op, bad[i].key, bad[i].value, bad[i].type, false, before, after, &err) == CUT_EUSAGE, "%s %s", bad[i].key,
              bad[i].value ? bad[i].value : "");
        CHECK(strstr(err.msg, bad[i].msg) != NULL, "%s: %s", bad[i].key, err.msg);
    }
    is = test_read(in, &now);
    CHECK(is && now == size && !memcmp(is, was, size), "the file is as it was");
    free(is);
    free(was);
    CHECK(edit(test_tmp("nosuch.gguf"), in, CUT_KV_SET, "a", "1", -1, false, before, after, &err) == CUT_EFILE);
    CHECK(!edit(in, in, CUT_KV_REMOVE, "general.architecture", NULL, -1, true, before, after, &err), "forced: %s", err.msg);
}

TEST(edit_hostile_files) {
    char in[300], out[300];
    struct bytes b = { 0 };
    struct cut_err err;
    good_file(&b, 3);
    snprintf(in, sizeof in, "%s", test_tmp("hostile.gguf"));
    snprintf(out, sizeof out, "%s", test_tmp("hostile-out.gguf"));
    remove(out);
    for (size_t n = 1; n < b.n - 200; n += 7) {            /* cut short anywhere before its tensors */
        FILE *f = fopen(in, "wb");
        fwrite(b.data, 1, n, f);
        fclose(f);
        char before[64], after[64];
        CHECK(edit(in, out, CUT_KV_SET, "x", "1", -1, false, before, after, &err) == CUT_EFILE && strstr(err.msg, "hostile.gguf"), "%s", err.msg);
    }
    FILE *f = fopen(out, "rb");
    CHECK(!f, "nothing was written");
    if (f) fclose(f);
    free(b.data);
}
