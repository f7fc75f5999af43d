/* write.c - writing GGUF version 3. The layout stands in gguf.h.
 *
 * The reader is the judge: every metadata entry as it is added, and the whole header before it is written, goes through
 * cut_gguf_parse. So what this file writes is what read.c accepts, and the rules are stated once.
 *
 * A file appears at its path whole or not at all (cut_save). Its megabytes go to the descriptor itself, past the stream's buffer. */
#define _GNU_SOURCE                    /* fallocate */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "engine/gguf/gguf.h"

#define CHUNK (1u << 20)       /* bytes asked of a fill callback at a time: what a second-level cache holds */

struct bytes { uint8_t *data; size_t n, cap; };

struct pending {                       /* a tensor to be written; info.offset counts from the start of the data */
    struct cut_tensor_info info;
    const void *data;                  /* NULL: by fill */
};

struct cut_gguf_writer {
    struct bytes kv;                   /* the entries, as the file will hold them */
    uint64_t n_kv, alignment;
    struct pending *tensor;
    size_t n_tensors, cap_tensors;
    uint64_t data_bytes;               /* of the tensors so far, each padded */
    struct cut_arena names;
};

enum cut_status cut_gguf_writer_new(struct cut_gguf_writer **out, struct cut_err *err) {
    struct cut_gguf_writer *w = cut_calloc(1, sizeof *w, "a GGUF writer", err);
    if (!w) return CUT_ENOMEM;
    w->alignment = CUT_GGUF_ALIGNMENT;
    *out = w;
    return CUT_OK;
}

void cut_gguf_writer_free(struct cut_gguf_writer *w) {
    if (!w) return;
    free(w->kv.data);
    free(w->tensor);
    cut_arena_done(&w->names);
    free(w);
}

/* ---- bytes in memory. A failed append leaves cap at SIZE_MAX and drops what follows, to be asked for once at the end. */

static void append(struct bytes *b, const void *data, size_t n) {
    if (b->cap == SIZE_MAX) return;
    if (n > b->cap - b->n) {
        size_t want = b->n + n < b->n ? 0 : b->cap * 2 > b->n + n ? b->cap * 2 : b->n + n;
        uint8_t *p = want ? realloc(b->data, want) : NULL;
        if (!p) {
            b->cap = SIZE_MAX;
            return;
        }
        b->data = p;
        b->cap = want;
    }
    if (n) memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void append_u32(struct bytes *b, uint32_t v) { append(b, &v, sizeof v); }
static void append_u64(struct bytes *b, uint64_t v) { append(b, &v, sizeof v); }

static void append_str(struct bytes *b, const char *s) {
    append_u64(b, strlen(s));
    append(b, s, strlen(s));
}

static void append_head(struct bytes *b, uint64_t n_tensors, uint64_t n_kv) {
    append(b, "GGUF", 4);
    append_u32(b, 3);
    append_u64(b, n_tensors);
    append_u64(b, n_kv);
}

static enum cut_status full(const struct bytes *b, struct cut_err *err) {
    return b->cap == SIZE_MAX ? cut_fail(err, CUT_ENOMEM, "out of memory: the header of a GGUF file") : CUT_OK;
}

/* ---- metadata */

enum cut_status cut_gguf_put_raw(struct cut_gguf_writer *w, const char *key, enum cut_kv_type type,
                                 enum cut_kv_type elem, uint64_t count, const void *data, size_t bytes,
                                 struct cut_err *err) {
    struct bytes one = { 0 };          /* a file of this entry alone */
    struct cut_gguf *g = NULL;
    append_head(&one, 0, 1);
    size_t head = one.n;
    append_str(&one, key);
    append_u32(&one, type);
    if (type == CUT_KV_ARRAY) {
        append_u32(&one, elem);
        append_u64(&one, count);
    }
    append(&one, data, bytes);
    enum cut_status st = full(&one, err);
    if (!st && (st = cut_gguf_parse(&g, "new entry", one.data, one.n, CUT_GGUF_HEADER_ONLY, err)) == CUT_EFILE) {
        st = CUT_EUSAGE;
        if (err) err->code = st;
    }
    if (!st && (cut_gguf_kv(g, 0)->bytes != bytes || (type != CUT_KV_ARRAY && (elem != type || count != 1))))
        st = cut_fail(err, CUT_EUSAGE, "new entry \"%s\": %zu bytes given for %" PRIu64 " x %s", key, bytes, count,
                      cut_kv_type_name(elem));
    bool alignment = !strcmp(key, "general.alignment");
    if (!st && alignment && w->n_tensors)
        st = cut_fail(err, CUT_EUSAGE, "new entry \"%s\": it must come before the first tensor", key);
    if (!st) {
        append(&w->kv, one.data + head, one.n - head);
        st = full(&w->kv, err);
    }
    if (!st) {
        w->n_kv++;
        if (alignment) cut_kv_u64(cut_gguf_kv(g, 0), 0, &w->alignment);
    }
    cut_gguf_close(g);
    free(one.data);
    return st;
}

enum cut_status cut_gguf_put_u32(struct cut_gguf_writer *w, const char *key, uint32_t v, struct cut_err *err) {
    return cut_gguf_put_raw(w, key, CUT_KV_U32, CUT_KV_U32, 1, &v, sizeof v, err);
}

enum cut_status cut_gguf_put_f32(struct cut_gguf_writer *w, const char *key, float v, struct cut_err *err) {
    return cut_gguf_put_raw(w, key, CUT_KV_F32, CUT_KV_F32, 1, &v, sizeof v, err);
}

enum cut_status cut_gguf_put_bool(struct cut_gguf_writer *w, const char *key, bool v, struct cut_err *err) {
    uint8_t b = v;
    return cut_gguf_put_raw(w, key, CUT_KV_BOOL, CUT_KV_BOOL, 1, &b, sizeof b, err);
}

enum cut_status cut_gguf_put_str(struct cut_gguf_writer *w, const char *key, const char *v, struct cut_err *err) {
    struct bytes b = { 0 };
    append_str(&b, v);
    enum cut_status st = full(&b, err);
    if (!st) st = cut_gguf_put_raw(w, key, CUT_KV_STRING, CUT_KV_STRING, 1, b.data, b.n, err);
    free(b.data);
    return st;
}

enum cut_status cut_gguf_put_strs(struct cut_gguf_writer *w, const char *key, const char *const *v, uint64_t n,
                                  struct cut_err *err) {
    struct bytes b = { 0 };
    for (uint64_t i = 0; i < n; i++) append_str(&b, v[i]);
    enum cut_status st = full(&b, err);
    if (!st) st = cut_gguf_put_raw(w, key, CUT_KV_ARRAY, CUT_KV_STRING, n, b.data, b.n, err);
    free(b.data);
    return st;
}

/* ---- tensors */

enum cut_status cut_gguf_put_tensor(struct cut_gguf_writer *w, const char *name, enum cut_type type, int n_dims,
                                    const uint64_t *ne, const void *data, struct cut_err *err) {
    char why[120];
    if (n_dims < 1 || n_dims > 4) return cut_fail(err, CUT_EUSAGE, "new tensor \"%s\": %d dims, 1 to 4", name, n_dims);
    struct pending t = { .info = { .type = type, .n_dims = n_dims, .ne = { 1, 1, 1, 1 } }, .data = data };
    for (int i = 0; i < n_dims; i++) t.info.ne[i] = ne[i];
    if (!cut_tensor_measure(&t.info, why, sizeof why))
        return cut_fail(err, CUT_EUSAGE, "new tensor \"%s\": %s", name, why);
    t.info.offset = w->data_bytes;
    if (t.info.bytes > INT64_MAX - w->data_bytes - w->alignment)
        return cut_fail(err, CUT_EUSAGE, "new tensor \"%s\": more than 2^63 bytes of tensors", name);
    if (cut_grow(&w->tensor, &w->cap_tensors, w->n_tensors, sizeof *w->tensor, "tensors to write", err))
        return CUT_ENOMEM;
    if (!(t.info.name = cut_arena_strndup(&w->names, name, strlen(name))))
        return cut_fail(err, CUT_ENOMEM, "out of memory: tensor names");
    w->tensor[w->n_tensors++] = t;
    w->data_bytes = cut_round_up(w->data_bytes + t.info.bytes, w->alignment);
    return CUT_OK;
}

/* ---- to the disk */

struct output { const char *path; int fd; uint64_t done; struct cut_err *err; };

static enum cut_status put(struct output *o, const void *data, size_t n) {
    for (const uint8_t *p = data; n;) {
        ssize_t got = write(o->fd, p, n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0)
            return cut_fail(o->err, CUT_ESYSTEM, "%s: cannot write: %s (after %" PRIu64 " bytes)", o->path,
                            got ? strerror(errno) : "nothing was taken", o->done);
        p += got;
        n -= (size_t)got;
        o->done += (uint64_t)got;
    }
    return CUT_OK;
}

static enum cut_status pad(struct output *o, uint64_t alignment) {
    static const uint8_t zeros[4096];
    enum cut_status st = CUT_OK;
    for (uint64_t n = (0 - o->done) & (alignment - 1), part; n && !st; n -= part) {
        part = n < sizeof zeros ? n : sizeof zeros;
        st = put(o, zeros, (size_t)part);
    }
    return st;
}

/* Ask for whole rows, about a chunk of them at a time, so that a model of any size needs little memory. */
static enum cut_status put_filled(struct output *o, const struct cut_tensor_info *t, cut_gguf_fill fill, void *user) {
    uint64_t rows = t->ne[1] * t->ne[2] * t->ne[3], row_bytes = t->bytes / rows;
    uint64_t step = row_bytes < CHUNK ? CHUNK / row_bytes : 1;
    if (step > rows) step = rows;
    enum cut_status st = CUT_OK;
    void *chunk = cut_alloc_aligned((size_t)(step * row_bytes), "rows of a tensor", o->err);
    if (!chunk) return CUT_ENOMEM;
    for (uint64_t row = 0; row < rows && !st; row += step) {
        uint64_t n = step < rows - row ? step : rows - row;
        st = fill(user, t, row, n, chunk, o->err);
        if (!st) st = put(o, chunk, (size_t)(n * row_bytes));
    }
    cut_free_aligned(chunk);
    return st;
}

/* Ask for the whole size at once, where the system can: a full disk is then known before gigabytes are computed. */
static enum cut_status reserve(const struct output *o, uint64_t bytes) {
#ifdef __linux__
    if (bytes && fallocate(o->fd, 0, 0, (off_t)bytes) && (errno == ENOSPC || errno == EFBIG || errno == EDQUOT))
        return cut_fail(o->err, CUT_ESYSTEM, "%s: cannot write %" PRIu64 " bytes: %s", o->path, bytes, strerror(errno));
#endif
    (void)o, (void)bytes;
    return CUT_OK;
}

static enum cut_status put_all(struct output *o, const struct cut_gguf_writer *w, const struct bytes *head,
                               const struct cut_gguf *g, cut_gguf_fill fill, void *user) {
    enum cut_status st = reserve(o, cut_gguf_head(g)->data_offset + w->data_bytes);
    if (!st) st = put(o, head->data, head->n);
    if (!st) st = pad(o, w->alignment);
    for (size_t i = 0; i < w->n_tensors && !st; i++) {
        const struct cut_tensor_info *t = cut_gguf_tensor(g, i);
        st = w->tensor[i].data ? put(o, w->tensor[i].data, (size_t)t->bytes) : put_filled(o, t, fill, user);
        if (!st) st = pad(o, w->alignment);
    }
    return st;
}

static enum cut_status write_file(const struct cut_gguf_writer *w, const struct bytes *head, const struct cut_gguf *g,
                                  const char *path, cut_gguf_fill fill, void *user, struct cut_err *err) {
    struct cut_save save;
    enum cut_status st = cut_save_open(&save, path, err);
    if (st) return st;
    struct output o = { .path = path, .err = err, .fd = fileno(save.f) };
    st = put_all(&o, w, head, g, fill, user);
    return cut_save_close(&save, st, err);
}

enum cut_status cut_gguf_write(struct cut_gguf_writer *w, const char *path, cut_gguf_fill fill, void *user,
                               struct cut_err *err) {
    struct bytes head = { 0 };
    struct cut_gguf *g = NULL;
    append_head(&head, w->n_tensors, w->n_kv);
    append(&head, w->kv.data, w->kv.n);
    for (size_t i = 0; i < w->n_tensors; i++) {
        const struct cut_tensor_info *t = &w->tensor[i].info;
        append_str(&head, t->name);
        append_u32(&head, (uint32_t)t->n_dims);
        append(&head, t->ne, (size_t)t->n_dims * sizeof t->ne[0]);
        append_u32(&head, t->type);
        append_u64(&head, t->offset);
    }
    enum cut_status st = full(&head, err);
    for (size_t i = 0; i < w->n_tensors && !st; i++)
        if (!w->tensor[i].data && !fill)
            st = cut_fail(err, CUT_EUSAGE, "%s: tensor \"%s\" has no data", path, w->tensor[i].info.name);
    if (!st && (st = cut_gguf_parse(&g, path, head.data, head.n, CUT_GGUF_HEADER_ONLY, err)) == CUT_EFILE) {
        st = CUT_EUSAGE;
        if (err) err->code = st;
    }
    if (!st) st = write_file(w, &head, g, path, fill, user, err);
    cut_gguf_close(g);
    free(head.data);
    return st;
}
