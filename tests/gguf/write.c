/* write.c - what is written is what is read back; what fails leaves the old file and nothing beside it. */
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/gguf/bytes.h"

/* Elements of a f32 tensor filled by rows: its index. Remembers how it was asked. */
struct ask { int calls; uint64_t most_rows; int fail_at; };

static enum cut_status fill_index(void *user, const struct cut_tensor_info *t, uint64_t row0, uint64_t rows, void *dst,
                                  struct cut_err *err) {
    struct ask *a = user;
    if (a->calls++ == a->fail_at) return cut_fail(err, CUT_ECANCEL, "asked to stop");
    if (rows > a->most_rows) a->most_rows = rows;
    for (uint64_t i = 0; i < rows * t->ne[0]; i++) ((float *)dst)[i] = (float)(row0 * t->ne[0] + i);
    return CUT_OK;
}

static struct cut_gguf_writer *new_writer(void) {
    struct cut_gguf_writer *w = NULL;
    cut_gguf_writer_new(&w, NULL);
    return w;
}

/* Files beside path that begin with its name. */
static int left_behind(const char *path) {
    char dir[512];
    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    *slash = 0;
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) n += !strncmp(e->d_name, slash + 1, strlen(slash + 1)) && strcmp(e->d_name, slash + 1);
    if (d) closedir(d);
    return n;
}

TEST(gguf_write_reads_back) {
    struct cut_gguf_writer *w = new_writer();
    struct cut_err err = { 0 };
    struct cut_gguf *g = NULL;
    struct ask ask = { .fail_at = -1 };
    const char *path = test_tmp("written.gguf");
    uint8_t q8[34 * 2] = { 1, 2, 3 };
    int16_t ints[] = { -1, 2 };
    CHECK(!cut_gguf_put_u32(w, "a.u32", 7, &err) && !cut_gguf_put_f32(w, "a.f32", 0.25f, &err));
    CHECK(!cut_gguf_put_bool(w, "a.bool", true, &err) && !cut_gguf_put_str(w, "a.str", "text", &err));
    CHECK(!cut_gguf_put_strs(w, "a.strs", (const char *[]){ "x", "", "zzz" }, 3, &err));
    CHECK(!cut_gguf_put_raw(w, "a.ints", CUT_KV_ARRAY, CUT_KV_I16, 2, ints, sizeof ints, &err));
    CHECK(!cut_gguf_put_raw(w, "a.none", CUT_KV_ARRAY, CUT_KV_F64, 0, NULL, 0, &err));
    CHECK(!cut_gguf_put_u32(w, "general.alignment", 128, &err));
    CHECK(!cut_gguf_put_tensor(w, "filled", CUT_F32, 3, (uint64_t[]){ 1000, 300, 3 }, NULL, &err));
    CHECK(!cut_gguf_put_tensor(w, "given", CUT_Q8_0, 1, (uint64_t[]){ 64 }, q8, &err));
    CHECK(!cut_gguf_write(w, path, fill_index, &ask, &err), "%s", err.msg);
    cut_gguf_writer_free(w);
    CHECK(ask.calls > 1 && ask.most_rows == (1 << 20) / 4000, "%d calls, %d rows", ask.calls, (int)ask.most_rows);
    CHECK(left_behind(path) == 0);

    REQUIRE(!cut_gguf_open(&g, path, 0, &err), "%s", err.msg);
    const char *s;
    size_t len;
    uint64_t u = 0;
    CHECK(cut_gguf_head(g)->version == 3 && cut_gguf_head(g)->alignment == 128 && cut_gguf_head(g)->n_kv == 8);
    CHECK((cut_gguf_head(g)->file_bytes & 127) == 0);
    CHECK(cut_kv_u64(cut_gguf_kv(g, 0), 0, &u) && u == 7);
    CHECK(cut_kv_str(cut_gguf_find(g, "a.strs"), 2, &s, &len) && len == 3 && !memcmp(s, "zzz", 3));
    CHECK(cut_gguf_find(g, "a.none")->count == 0);
    const struct cut_tensor_info *t = cut_gguf_tensor(g, 0);
    CHECK((t->offset & 127) == 0 && t->n_dims == 3 && t->bytes == 4 * 900000);
    for (uint64_t i = 0; i < 900000; i += 997) CHECK(((const float *)t->data)[i] == (float)i);
    t = cut_gguf_tensor(g, 1);
    CHECK(t->bytes == 68 && !memcmp(t->data, q8, 68));
    cut_gguf_close(g);
    unlink(path);
}

/* A file taken apart with the reader and put together with the writer is the same file. */
TEST(gguf_write_copies_every_type) {
    struct bytes b = { 0 };
    struct cut_err err = { 0 };
    const char *path = test_tmp("copied.gguf");
    for (uint32_t version = 1; version <= 3; version++) {
        struct cut_gguf *g = NULL, *copy = NULL;
        struct cut_gguf_writer *w = new_writer();
        b.n = 0;
        good_file(&b, version);
        CHECK(!cut_gguf_parse(&g, "t", b.data, b.n, 0, &err), "%s", err.msg);
        for (uint64_t i = 0; i < 18; i++) {
            const struct cut_kv *kv = cut_gguf_kv(g, i);
            CHECK(!cut_gguf_put_raw(w, kv->key, kv->type, kv->elem, kv->count, kv->data, kv->bytes, &err), "%s", err.msg);
        }
        static const int in_file_order[] = { 1, 0, 2 };
        for (int i = 0; i < 3; i++) {
            const struct cut_tensor_info *t = cut_gguf_tensor(g, (uint64_t)in_file_order[i]);
            CHECK(!cut_gguf_put_tensor(w, t->name, t->type, t->n_dims, t->ne, t->data, &err), "%s", err.msg);
        }
        CHECK(!cut_gguf_write(w, path, NULL, NULL, &err), "%s", err.msg);
        CHECK(!cut_gguf_open(&copy, path, 0, &err), "%s", err.msg);
        for (uint64_t i = 0; copy && i < 18; i++) {
            const struct cut_kv *x = cut_gguf_kv(g, i), *y = cut_gguf_kv(copy, i);
            CHECK(!strcmp(x->key, y->key) && x->type == y->type && x->elem == y->elem && x->count == y->count);
            CHECK(x->bytes == y->bytes && !memcmp(x->data, y->data, x->bytes), "%s", x->key);
        }
        for (uint64_t i = 0; copy && i < 3; i++) {
            const struct cut_tensor_info *x = cut_gguf_tensor(g, i), *y = cut_gguf_find_tensor(copy, x->name);
            CHECK(y && y->bytes == x->bytes && !memcmp(x->data, y->data, x->bytes), "%s", x->name);
        }
        cut_gguf_close(copy);
        cut_gguf_close(g);
        cut_gguf_writer_free(w);
    }
    unlink(path);
    free(b.data);
}

TEST(gguf_write_refuses_nonsense) {
    struct cut_gguf_writer *w = new_writer();
    struct cut_err err = { 0 };
    const char *path = test_tmp("nonsense.gguf");
    uint64_t ne[] = { 32, 0 };
    CHECK(cut_gguf_put_u32(w, "", 1, &err) == CUT_EUSAGE && strstr(err.msg, "its name is empty"), "%s", err.msg);
    CHECK(err.code == CUT_EUSAGE);
    CHECK(cut_gguf_put_raw(w, "k", CUT_KV_U32, CUT_KV_U32, 1, "12345", 5, &err) == CUT_EUSAGE, "%s", err.msg);
    CHECK(cut_gguf_put_raw(w, "k", CUT_KV_U32, CUT_KV_U32, 1, "123", 3, &err) == CUT_EUSAGE, "%s", err.msg);
    CHECK(cut_gguf_put_raw(w, "k", 13, 13, 1, "1234", 4, &err) == CUT_EUSAGE && strstr(err.msg, "type 13"), "%s", err.msg);
    CHECK(cut_gguf_put_raw(w, "k", CUT_KV_ARRAY, CUT_KV_STRING, 1, "\7\0\0\0\0\0\0\0abc", 11, &err) == CUT_EUSAGE, "%s", err.msg);
    CHECK(cut_gguf_put_u32(w, "general.alignment", 31, &err) == CUT_EUSAGE && strstr(err.msg, "alignment 31"), "%s", err.msg);
    CHECK(cut_gguf_put_tensor(w, "t", CUT_F32, 5, ne, ne, &err) == CUT_EUSAGE && strstr(err.msg, "5 dims"), "%s", err.msg);
    CHECK(cut_gguf_put_tensor(w, "t", CUT_F32, 2, ne, ne, &err) == CUT_EUSAGE && strstr(err.msg, "is 0"), "%s", err.msg);
    CHECK(cut_gguf_put_tensor(w, "t", 77, 1, ne, ne, &err) == CUT_EUSAGE && strstr(err.msg, "type 77"), "%s", err.msg);
    CHECK(!cut_gguf_put_tensor(w, "t", CUT_F32, 1, ne, NULL, &err));
    CHECK(cut_gguf_put_u32(w, "general.alignment", 64, &err) == CUT_EUSAGE, "%s", err.msg);
    CHECK(cut_gguf_write(w, path, NULL, NULL, &err) == CUT_EUSAGE && strstr(err.msg, "\"t\" has no data"), "%s", err.msg);
    CHECK(!cut_gguf_put_tensor(w, "t", CUT_I8, 1, ne, ne, &err));
    CHECK(cut_gguf_write(w, path, fill_index, &(struct ask){ 0 }, &err) == CUT_EUSAGE &&
          strstr(err.msg, "tensor 1 \"t\": a duplicate name"), "%s", err.msg);
    CHECK(access(path, F_OK) && left_behind(path) == 0);
    cut_gguf_writer_free(w);

    w = new_writer();
    CHECK(!cut_gguf_put_u32(w, "k", 1, &err) && !cut_gguf_put_u32(w, "k", 2, &err));
    CHECK(cut_gguf_write(w, path, NULL, NULL, &err) == CUT_EUSAGE && strstr(err.msg, "duplicate key"), "%s", err.msg);
    cut_gguf_writer_free(w);
    cut_gguf_writer_free(NULL);
}

TEST(gguf_write_leaves_the_old_file) {
    struct cut_gguf_writer *w = new_writer();
    struct cut_err err = { 0 };
    const char *path = test_tmp("old.gguf");
    struct stat st;
    FILE *f = fopen(path, "w");
    REQUIRE(f);
    fputs("old", f);
    fclose(f);
    CHECK(!cut_gguf_put_tensor(w, "big", CUT_F32, 2, (uint64_t[]){ 1024, 2048 }, NULL, &err));

    /* the callback gives up in the middle */
    CHECK(cut_gguf_write(w, path, fill_index, &(struct ask){ .fail_at = 3 }, &err) == CUT_ECANCEL);
    CHECK(!strcmp(err.msg, "asked to stop") && !stat(path, &st) && st.st_size == 3 && left_behind(path) == 0);

    /* no room: the limit on file sizes stands in for a full disk */
    struct rlimit old, small = { 1 << 20, 1 << 20 };
    void (*was)(int) = signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    enum cut_status s = cut_gguf_write(w, path, fill_index, &(struct ask){ .fail_at = -1 }, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, was);
    CHECK(s == CUT_ESYSTEM && strstr(err.msg, "old.gguf: cannot write") && strstr(err.msg, "File too large"), "%s", err.msg);
    CHECK(!stat(path, &st) && st.st_size == 3 && left_behind(path) == 0);
    unlink(path);

    CHECK(cut_gguf_write(w, "no/such/folder/x.gguf", fill_index, &(struct ask){ .fail_at = -1 }, &err) == CUT_ESYSTEM);
    CHECK(!strcmp(err.msg, "no/such/folder/x.gguf: cannot create: No such file or directory"), "%s", err.msg);
    CHECK(cut_gguf_write(w, "/", fill_index, &(struct ask){ .fail_at = -1 }, &err) == CUT_ESYSTEM && strstr(err.msg, "a directory"), "%s", err.msg);
    CHECK(cut_gguf_write(w, "/dev/null", fill_index, &(struct ask){ .fail_at = -1 }, &err) == CUT_ESYSTEM, "%s", err.msg);
    CHECK(!stat("/dev/null", &st) && S_ISCHR(st.st_mode));
    cut_gguf_writer_free(w);
}
