/* read.c - opening and checking GGUF files. The layout stands in gguf.h.
 *
 * A file is hostile until shown otherwise. Three rules keep the reader safe:
 *   - a size or count is compared, by subtraction, with the bytes that are left before anything is done with it;
 *   - memory grows with what has been read, never with what a count promises;
 *   - every message names the file, the item and the value, with names made safe to print. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/gguf/gguf.h"

#define MAX_KEY   65535            /* bytes: the specification's limit */
#define MAX_NAME  255              /* bytes: the specification says 64, and some writers exceed it */
#define MAX_DEPTH 4                /* arrays of arrays of ... */
#define MIN_ALIGNMENT 8u           /* the specification's: lets every number be read where it stands */
#define MAX_ALIGNMENT (1u << 24)

struct cut_gguf {
    struct cut_gguf_head head;
    struct cut_file file;                              /* nothing when the bytes are borrowed */
    struct cut_arena arena;                            /* names, and where strings begin */
    struct cut_kv *kv;                                 /* in file order */
    struct cut_tensor_info *tensor;
    const struct cut_kv **kv_by_key;                   /* sorted, for lookup */
    const struct cut_tensor_info **tensor_by_name;
    bool view;                                         /* metadata is another's */
};

struct reader {
    struct cut_gguf *g;
    const uint8_t *start, *p, *end;
    bool wide;                 /* lengths and counts have 64 bits: versions 2 and 3 */
    const char *kind;          /* what is being read, for messages: "metadata" or "tensor", which one, its name if known */
    uint64_t item;
    const char *name;
    enum cut_status status;    /* of the failure that `bad` or `no_memory` reported */
    struct cut_err *err;
};

/* FILE: KIND ITEM "NAME": what is wrong. False, so that a function can end with `return bad(...)`. */
__attribute__((format(printf, 2, 3)))
static bool bad(struct reader *r, const char *fmt, ...) {
    char file[72], name[72] = "", item[120] = "", what[160];
    cut_utf8_escape(file, sizeof file, r->g->head.name, strlen(r->g->head.name));
    if (r->name) cut_utf8_escape(name, sizeof name, r->name, strlen(r->name));
    if (r->kind)
        snprintf(item, sizeof item, r->name ? "%s %" PRIu64 " \"%s\": " : "%s %" PRIu64 ": ", r->kind, r->item, name);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    r->status = cut_fail(r->err, CUT_EFILE, "%s: %s%s", file, item, what);
    return false;
}

static bool no_memory(struct reader *r, const char *what) {
    r->status = cut_fail(r->err, CUT_ENOMEM, "%.64s: out of memory: %s", r->g->head.name, what);
    return false;
}

static uint64_t left(const struct reader *r) { return (uint64_t)(r->end - r->p); }

/* Step over n bytes and return where they begin; NULL when the file ends before. Compared by subtraction: p + n could
 * wrap around. */
static const uint8_t *take(struct reader *r, uint64_t n, const char *what) {
    const uint8_t *at = r->p;
    if (n > left(r)) {
        bad(r, "%s of %" PRIu64 " bytes at byte %zu, but the file ends at byte %zu", what, n, (size_t)(r->p - r->start),
            (size_t)(r->end - r->start));
        return NULL;
    }
    r->p += n;
    return at;
}

static bool take_u32(struct reader *r, const char *what, uint32_t *v) {
    const uint8_t *p = take(r, 4, what);
    if (!p) return false;
    *v = cut_load_u32(p);
    return true;
}

static bool take_u64(struct reader *r, const char *what, uint64_t *v) {
    const uint8_t *p = take(r, 8, what);
    if (!p) return false;
    *v = cut_load_u64(p);
    return true;
}

/* A length, count or dimension: the fields that version 2 widened. */
static bool take_size(struct reader *r, const char *what, uint64_t *v) {
    if (r->wide) return take_u64(r, what, v);
    uint32_t narrow;
    if (!take_u32(r, what, &narrow)) return false;
    *v = narrow;
    return true;
}

/* A key or a tensor's name, copied so that it ends in a zero. */
static bool take_name(struct reader *r, uint64_t max) {
    uint64_t n;
    if (!take_size(r, "the length of its name", &n)) return false;
    if (n == 0) return bad(r, "its name is empty");
    if (n > max && n <= left(r)) return bad(r, "a name of %" PRIu64 " bytes, at most %" PRIu64, n, max);
    const uint8_t *p = take(r, n, "a name");
    if (!p) return false;
    char *copy = cut_arena_strndup(&r->g->arena, (const char *)p, (size_t)n);
    if (!copy) return no_memory(r, "names");
    r->name = copy;
    return !memchr(p, 0, (size_t)n) || bad(r, "its name of %" PRIu64 " bytes holds a zero byte", n);
}

/* ---- metadata values */

static bool take_array_head(struct reader *r, uint32_t *elem, uint64_t *count) {
    if (!take_u32(r, "an array's element type", elem)) return false;
    if (*elem >= CUT_KV_COUNT) return bad(r, "unknown array element type %" PRIu32, *elem);
    return take_size(r, "an array's count", count);
}

/* Step over `count` values of a type and check each. depth counts the arrays around them. */
static bool check_values(struct reader *r, enum cut_kv_type type, uint64_t count, int depth) {
    const uint8_t *p;
    size_t word = r->wide ? 8 : 4, size = cut_kv_type_size(type);
    size_t least = size ? size : type == CUT_KV_STRING ? word : 4 + word;     /* an empty string; an empty array */
    if (depth && count > left(r) / least)
        return bad(r, "an array of %" PRIu64 " %s values, but only %" PRIu64 " bytes are left in the file", count,
                   cut_kv_type_name(type), left(r));
    if (type == CUT_KV_ARRAY && depth >= MAX_DEPTH && count)
        return bad(r, "arrays nested %d deep, at most %d", depth + 1, MAX_DEPTH);
    if (size) {
        if (!(p = take(r, count * size, "a value"))) return false;     /* no overflow: count is 1 or <= left / size */
        for (uint64_t i = 0; type == CUT_KV_BOOL && i < count; i++)
            if (p[i] > 1) return bad(r, "a bool of %d, neither 0 nor 1", p[i]);
        return true;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t n;
        uint32_t elem;
        if (type == CUT_KV_STRING ? !take_size(r, "a string's length", &n) || !take(r, n, "a string")
                                  : !take_array_head(r, &elem, &n) || !check_values(r, elem, n, depth + 1))
            return false;
    }
    return true;
}

/* Version 1's strings and arrays have 32-bit lengths; they are rewritten with 64-bit ones, so that whoever reads
 * metadata meets one layout only. Run first with out = NULL, to learn the size. The values have been checked. */
struct widen { const uint8_t *in; uint8_t *out; size_t n; };

static void widen_copy(struct widen *w, const void *from, size_t n) {
    if (w->out && n) memcpy(w->out + w->n, from, n);
    w->n += n;
}

static uint64_t widen_count(struct widen *w) {
    uint64_t n = cut_load_u32(w->in);
    w->in += 4;
    widen_copy(w, &n, 8);
    return n;
}

static void widen_values(struct widen *w, enum cut_kv_type type, uint64_t count) {
    size_t size = cut_kv_type_size(type);
    if (size) {
        widen_copy(w, w->in, (size_t)count * size);
        w->in += count * size;
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (type == CUT_KV_STRING) {
            size_t n = (size_t)widen_count(w);
            widen_copy(w, w->in, n);
            w->in += n;
        } else {
            uint32_t elem = cut_load_u32(w->in);
            widen_copy(w, w->in, 4);
            w->in += 4;
            widen_values(w, elem, widen_count(w));
        }
    }
}

static bool widen(struct cut_arena *arena, struct cut_kv *kv) {
    struct widen w = { .in = kv->data };
    widen_values(&w, kv->elem, kv->count);
    uint8_t *out = cut_arena_alloc(arena, w.n);
    if (!out) return false;
    w = (struct widen){ .in = kv->data, .out = out };
    widen_values(&w, kv->elem, kv->count);
    kv->data = out;
    kv->bytes = w.n;
    return true;
}

/* The bytes of a checked string or array. */
static uint64_t length_of(const uint8_t *p, enum cut_kv_type type) {
    if (type == CUT_KV_STRING) return 8 + cut_load_u64(p);
    enum cut_kv_type elem = cut_load_u32(p);
    uint64_t count = cut_load_u64(p + 4), n = 12;
    if (cut_kv_type_size(elem)) return n + count * cut_kv_type_size(elem);
    for (uint64_t i = 0; i < count; i++) n += length_of(p + n, elem);
    return n;
}

/* Where each string or nested array begins. */
static bool make_index(struct cut_arena *arena, struct cut_kv *kv) {
    uint64_t *index = cut_arena_alloc(arena, (size_t)kv->count * sizeof *index), at = 0;
    if (!index) return false;
    for (uint64_t i = 0; i < kv->count; i++) {
        index[i] = at;
        at += length_of(kv->data + at, kv->elem);
    }
    kv->index = index;
    return true;
}

static bool read_kv(struct reader *r, struct cut_kv *kv) {
    uint32_t type, elem;
    if (!take_name(r, MAX_KEY) || !take_u32(r, "its type", &type)) return false;
    if (type >= CUT_KV_COUNT) return bad(r, "unknown value type %" PRIu32, type);
    *kv = (struct cut_kv){ .key = r->name, .type = type, .elem = type, .count = 1 };
    if (type == CUT_KV_ARRAY) {
        if (!take_array_head(r, &elem, &kv->count)) return false;
        kv->elem = elem;
    }
    kv->data = r->p;
    if (!check_values(r, kv->elem, kv->count, type == CUT_KV_ARRAY)) return false;
    kv->bytes = (uint64_t)(r->p - kv->data);
    if (cut_kv_type_size(kv->elem)) return true;
    if (!r->wide && !widen(&r->g->arena, kv)) return no_memory(r, "metadata");
    return make_index(&r->g->arena, kv) || no_memory(r, "metadata");
}

/* ---- tensors */

/* Bytes = elements / block * bytes per block. Kept below 2^63, so that sums of an offset and a size cannot wrap. */
bool cut_tensor_measure(struct cut_tensor_info *t, char *why, size_t cap) {
    const struct cut_type_info *type = cut_type_info(t->type);
    uint64_t n = 1;
    if (!type) {
        snprintf(why, cap, "unknown tensor type %u", (unsigned)t->type);
        return false;
    }
    for (int i = 0; i < t->n_dims; i++) {
        if (t->ne[i] == 0) {
            snprintf(why, cap, "dimension %d is 0", i);
            return false;
        }
        if (t->ne[i] > INT64_MAX / n) {
            snprintf(why, cap, "dimension %d is %" PRIu64 ": more than 2^63 elements in all", i, t->ne[i]);
            return false;
        }
        n *= t->ne[i];
    }
    if (t->ne[0] % (uint64_t)type->block) {
        snprintf(why, cap, "rows of %" PRIu64 " elements, not a multiple of the %d in a block of %s", t->ne[0],
                 type->block, type->name);
        return false;
    }
    n /= (uint64_t)type->block;
    if (n > INT64_MAX / (uint64_t)type->bytes) {
        snprintf(why, cap, "%" PRIu64 " blocks of %s are more than 2^63 bytes", n, type->name);
        return false;
    }
    t->bytes = n * (uint64_t)type->bytes;
    return true;
}

static bool read_tensor(struct reader *r, struct cut_tensor_info *t) {
    uint32_t n_dims, type;
    char why[120];
    if (!take_name(r, MAX_NAME) || !take_u32(r, "its number of dims", &n_dims)) return false;
    if (n_dims < 1) return bad(r, "0 dims, at least 1");
    if (n_dims > 4) return bad(r, "%" PRIu32 " dims, at most 4", n_dims);
    *t = (struct cut_tensor_info){ .name = r->name, .n_dims = (int)n_dims, .ne = { 1, 1, 1, 1 } };
    for (uint32_t i = 0; i < n_dims; i++)
        if (!take_size(r, "a dimension", &t->ne[i])) return false;
    if (!take_u32(r, "its type", &type) || !take_u64(r, "its offset", &t->offset)) return false;
    t->type = type;
    return cut_tensor_measure(t, why, sizeof why) || bad(r, "%s", why);
}

/* From offsets within the data to offsets within the file, where the bytes must be. */
static bool place_tensor(struct reader *r, struct cut_tensor_info *t, bool header_only) {
    struct cut_gguf_head *h = &r->g->head;
    uint64_t room = header_only ? INT64_MAX - h->data_offset
                                : h->file_bytes > h->data_offset ? h->file_bytes - h->data_offset : 0;
    if (t->offset % h->alignment)
        return bad(r, "its offset %" PRIu64 " is not a multiple of the alignment %" PRIu64, t->offset, h->alignment);
    if (t->offset > room || t->bytes > room - t->offset)
        return bad(r, "its %" PRIu64 " bytes at offset %" PRIu64 " end past the file's %" PRIu64 " bytes of tensor data",
                   t->bytes, t->offset, room);
    t->offset += h->data_offset;
    if (!header_only) t->data = r->start + t->offset;
    return true;
}

/* ---- order: lookup by name, and what must not happen twice */

static int by_key(const void *a, const void *b) {
    const struct cut_kv *x = *(const struct cut_kv *const *)a, *y = *(const struct cut_kv *const *)b;
    int c = strcmp(x->key, y->key);
    return c ? c : (x > y) - (x < y);
}

static int by_name(const void *a, const void *b) {
    const struct cut_tensor_info *x = *(const struct cut_tensor_info *const *)a,
                                 *y = *(const struct cut_tensor_info *const *)b;
    int c = strcmp(x->name, y->name);
    return c ? c : (x > y) - (x < y);
}

static int by_offset(const void *a, const void *b) {
    const struct cut_tensor_info *x = *(const struct cut_tensor_info *const *)a,
                                 *y = *(const struct cut_tensor_info *const *)b;
    return x->offset != y->offset ? (x->offset > y->offset) - (x->offset < y->offset) : (x > y) - (x < y);
}

static bool sort_kv(struct reader *r) {
    struct cut_gguf *g = r->g;
    size_t n = (size_t)g->head.n_kv;
    if (!(g->kv_by_key = calloc(n + 1, sizeof *g->kv_by_key))) return no_memory(r, "metadata keys");
    for (size_t i = 0; i < n; i++) g->kv_by_key[i] = &g->kv[i];
    if (n) qsort(g->kv_by_key, n, sizeof *g->kv_by_key, by_key);
    for (size_t i = 1; i < n; i++) {
        const struct cut_kv *first = g->kv_by_key[i - 1], *second = g->kv_by_key[i];
        if (strcmp(first->key, second->key)) continue;
        r->item = (uint64_t)(second - g->kv);
        r->name = second->key;
        return bad(r, "a duplicate key, already used by metadata %zu", (size_t)(first - g->kv));
    }
    return true;
}

static bool sort_tensors(struct reader *r) {
    struct cut_gguf *g = r->g;
    size_t n = (size_t)g->head.n_tensors;
    if (!(g->tensor_by_name = calloc(n + 1, sizeof *g->tensor_by_name))) return no_memory(r, "tensor names");
    for (size_t i = 0; i < n; i++) g->tensor_by_name[i] = &g->tensor[i];
    if (n) qsort(g->tensor_by_name, n, sizeof *g->tensor_by_name, by_offset);
    for (size_t i = 1; i < n; i++) {
        const struct cut_tensor_info *first = g->tensor_by_name[i - 1], *second = g->tensor_by_name[i];
        if (second->offset - first->offset >= first->bytes) continue;
        char other[72];
        cut_utf8_escape(other, sizeof other, first->name, strlen(first->name));
        r->item = (uint64_t)(second - g->tensor);
        r->name = second->name;
        return bad(r, "its data at byte %" PRIu64 " overlaps tensor %zu \"%s\"", second->offset,
                   (size_t)(first - g->tensor), other);
    }
    if (n) qsort(g->tensor_by_name, n, sizeof *g->tensor_by_name, by_name);
    for (size_t i = 1; i < n; i++) {
        const struct cut_tensor_info *first = g->tensor_by_name[i - 1], *second = g->tensor_by_name[i];
        if (strcmp(first->name, second->name)) continue;
        r->item = (uint64_t)(second - g->tensor);
        r->name = second->name;
        return bad(r, "a duplicate name, already used by tensor %zu", (size_t)(first - g->tensor));
    }
    return true;
}

/* ---- the whole file */

/* Files people mistake for GGUF. The first four numbers are ggml's older formats, written little-endian. */
static bool not_gguf(struct reader *r) {
    static const struct { const char *magic, *what; } known[] = {
        { "lmgg", "a GGML-era file (magic \"ggml\"), from before GGUF; convert the original model again" },
        { "fmgg", "a GGML-era file (magic \"ggmf\"), from before GGUF; convert the original model again" },
        { "tjgg", "a GGML-era file (magic \"ggjt\"), from before GGUF; convert the original model again" },
        { "algg", "a GGML-era LoRA file (magic \"ggla\"), from before GGUF" },
        { "FUGG", "a GGUF file with its bytes in big-endian order" },
        { "PK\3\4", "a zip archive, perhaps a PyTorch model, not a GGUF file" },
        { "\x7F" "ELF", "a program (ELF), not a GGUF file" },
        { "\x1F\x8B", "compressed with gzip; unpack it first" },
        { "version https://git-lfs", "a Git LFS pointer: the model itself was not downloaded" },
        { "<!DOCTYPE", "a web page, not a GGUF file" },
        { "<html", "a web page, not a GGUF file" },
    };
    for (size_t i = 0; i < CUT_LEN(known); i++) {
        size_t n = strlen(known[i].magic);
        if (left(r) >= n && !memcmp(r->p, known[i].magic, n)) return bad(r, "%s", known[i].what);
    }
    if (left(r) > 9 && r->p[8] == '{' && cut_load_u64(r->p) <= left(r) - 8)
        return bad(r, "perhaps a safetensors file, not a GGUF file");
    char seen[40];
    cut_utf8_escape(seen, sizeof seen, (const char *)r->p, (size_t)(left(r) < 4 ? left(r) : 4));
    return bad(r, "not a GGUF file: it begins with \"%s\", not \"GGUF\"", seen);
}

static bool read_head(struct reader *r) {
    struct cut_gguf_head *h = &r->g->head;
    if (left(r) < 4 || memcmp(r->p, "GGUF", 4)) return not_gguf(r);
    r->p += 4;
    if (!take_u32(r, "the version", &h->version)) return false;
    if (h->version && !(h->version & 0xFFFF))
        return bad(r, "a big-endian GGUF file (version %" PRIu32 " with its bytes reversed); only little-endian is read",
                   __builtin_bswap32(h->version));
    if (h->version < 1 || h->version > 3) return bad(r, "GGUF version %" PRIu32 ", only 1 to 3 are read", h->version);
    r->wide = h->version > 1;
    if (!take_size(r, "the number of tensors", &h->n_tensors) ||
        !take_size(r, "the number of metadata entries", &h->n_kv))
        return false;

    /* The smallest entries: a name of one byte and a u8; a name of one byte, one dimension, type and offset. */
    uint64_t word = r->wide ? 8 : 4, least_kv = word + 1 + 4 + 1, least_tensor = word + 1 + 4 + word + 4 + 8;
    if (h->n_kv > left(r) / least_kv)
        return bad(r, "%" PRIu64 " metadata entries do not fit in the %" PRIu64 " bytes that follow", h->n_kv, left(r));
    if (h->n_tensors > (left(r) - h->n_kv * least_kv) / least_tensor)
        return bad(r, "%" PRIu64 " tensors do not fit in the %" PRIu64 " bytes that follow", h->n_tensors, left(r));
    return true;
}

static bool read_alignment(struct reader *r) {
    struct cut_gguf_head *h = &r->g->head;
    const struct cut_kv *kv = cut_gguf_find(r->g, "general.alignment");
    h->alignment = CUT_GGUF_ALIGNMENT;
    if (!kv) return true;
    r->kind = "metadata";
    r->item = (uint64_t)(kv - r->g->kv);
    r->name = kv->key;
    uint64_t a;
    if (kv->type == CUT_KV_ARRAY || !cut_kv_u64(kv, 0, &a))
        return bad(r, "its type is %s, not a number of bytes", cut_kv_type_name(kv->type));
    if (a < MIN_ALIGNMENT || a > MAX_ALIGNMENT || (a & (a - 1)))
        return bad(r, "alignment %" PRIu64 ", not a power of two from %u to %u", a, MIN_ALIGNMENT, MAX_ALIGNMENT);
    h->alignment = a;
    return true;
}

static bool read_all(struct reader *r, unsigned flags) {
    struct cut_gguf *g = r->g;
    struct cut_gguf_head *h = &g->head;
    bool header_only = flags & CUT_GGUF_HEADER_ONLY;
    if (!read_head(r)) return false;

    size_t cap = 0;
    r->kind = "metadata";
    for (uint64_t i = 0; i < h->n_kv; i++) {
        r->item = i;
        r->name = NULL;
        if (cut_grow(&g->kv, &cap, (size_t)i, sizeof *g->kv, "metadata", NULL)) return no_memory(r, "metadata");
        if (!read_kv(r, &g->kv[i])) return false;
    }
    if (!sort_kv(r) || !read_alignment(r)) return false;

    cap = 0;
    r->kind = "tensor";
    for (uint64_t i = 0; i < h->n_tensors; i++) {
        r->item = i;
        r->name = NULL;
        if (cut_grow(&g->tensor, &cap, (size_t)i, sizeof *g->tensor, "tensors", NULL)) return no_memory(r, "tensors");
        if (!read_tensor(r, &g->tensor[i])) return false;
    }

    h->data_offset = cut_round_up((size_t)(r->p - r->start), (size_t)h->alignment);
    for (uint64_t i = 0; i < h->n_tensors; i++) {
        r->item = i;
        r->name = g->tensor[i].name;
        if (!place_tensor(r, &g->tensor[i], header_only)) return false;
    }
    return sort_tensors(r);
}

/* Takes `file` over when it is given; else the bytes stay the caller's. */
static enum cut_status load(struct cut_gguf **out, const char *name, struct cut_file *file, const void *data,
                            size_t size, unsigned flags, struct cut_err *err) {
    struct cut_gguf *g = cut_calloc(1, sizeof *g, "a GGUF file", err);
    if (!g) {
        if (file) cut_file_close(file);
        return CUT_ENOMEM;
    }
    if (file) g->file = *file;
    name = cut_basename(name);
    g->head.name = cut_arena_strndup(&g->arena, name, strlen(name));
    g->head.file_bytes = size;
    g->head.mapped = g->file.mapped;
    struct reader r = { .g = g, .start = data, .p = data, .end = (const uint8_t *)data + size, .err = err };
    if (!g->head.name)
        r.status = cut_fail(err, CUT_ENOMEM, "%s: out of memory", name);
    else if (read_all(&r, flags)) {
        *out = g;
        return CUT_OK;
    }
    cut_gguf_close(g);
    return r.status;
}

enum cut_status cut_gguf_open(struct cut_gguf **out, const char *path, unsigned flags, struct cut_err *err) {
    struct cut_file file;
    enum cut_status st = cut_file_open(&file, path, flags & CUT_GGUF_NO_MMAP, err);
    return st ? st : load(out, path, &file, file.data, file.size, flags, err);
}

enum cut_status cut_gguf_parse(struct cut_gguf **out, const char *name, const void *data, size_t size, unsigned flags,
                               struct cut_err *err) {
    if (!size) return cut_fail(err, CUT_EFILE, "%s: the file is empty (0 bytes)", name);
    return load(out, name, NULL, data, size, flags, err);
}

enum cut_status cut_gguf_view(struct cut_gguf **out, const struct cut_gguf *g, struct cut_tensor_info **table, struct cut_err *err) {
    size_t n = (size_t)g->head.n_tensors;
    struct cut_gguf *v = cut_calloc(1, sizeof *v, "a tensor table", err);
    if (!v) return CUT_ENOMEM;
    *v = (struct cut_gguf){ .head = g->head, .kv = g->kv, .kv_by_key = g->kv_by_key, .view = true };
    v->tensor = cut_calloc(n, sizeof *v->tensor, "a tensor table", err);
    v->tensor_by_name = cut_calloc(n, sizeof *v->tensor_by_name, "a tensor table", err);
    if (!v->tensor || !v->tensor_by_name) {
        cut_gguf_close(v);
        return CUT_ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        v->tensor[i] = g->tensor[i];
        v->tensor_by_name[i] = v->tensor + (g->tensor_by_name[i] - g->tensor);
    }
    *table = v->tensor;
    *out = v;
    return CUT_OK;
}

void cut_gguf_view_settle(struct cut_gguf *v) {
    uint64_t at = v->head.data_offset;
    char why[120];
    for (uint64_t i = 0; i < v->head.n_tensors; i++) {
        cut_tensor_measure(&v->tensor[i], why, sizeof why);    /* the format fits: who changed it has seen to that */
        v->tensor[i].offset = at;
        at = cut_round_up(at + v->tensor[i].bytes, v->head.alignment);
    }
    v->head.file_bytes = at;
    v->head.mapped = false;
}

void cut_gguf_close(struct cut_gguf *g) {
    if (!g) return;
    free(g->tensor_by_name);
    free(g->tensor);
    if (!g->view) {
        free(g->kv_by_key);
        free(g->kv);
    }
    cut_arena_done(&g->arena);
    cut_file_close(&g->file);
    free(g);
}

const struct cut_gguf_head *cut_gguf_head(const struct cut_gguf *g) { return &g->head; }

const struct cut_kv *cut_gguf_kv(const struct cut_gguf *g, uint64_t i) { return i < g->head.n_kv ? &g->kv[i] : NULL; }

void cut_gguf_let_go(const struct cut_gguf *g, const void *data, size_t bytes) {
    if (g->file.mapped) cut_file_let_go(data, bytes);
}

const struct cut_tensor_info *cut_gguf_tensor(const struct cut_gguf *g, uint64_t i) {
    return i < g->head.n_tensors ? &g->tensor[i] : NULL;
}

static int find_key(const void *key, const void *entry) {
    return strcmp(key, (*(const struct cut_kv *const *)entry)->key);
}

static int find_name(const void *name, const void *entry) {
    return strcmp(name, (*(const struct cut_tensor_info *const *)entry)->name);
}

const struct cut_kv *cut_gguf_find(const struct cut_gguf *g, const char *key) {
    const struct cut_kv **at = g->head.n_kv ? bsearch(key, g->kv_by_key, (size_t)g->head.n_kv, sizeof *at, find_key) : NULL;
    return at ? *at : NULL;
}

const struct cut_tensor_info *cut_gguf_find_tensor(const struct cut_gguf *g, const char *name) {
    const struct cut_tensor_info **at =
        g->head.n_tensors ? bsearch(name, g->tensor_by_name, (size_t)g->head.n_tensors, sizeof *at, find_name) : NULL;
    return at ? *at : NULL;
}
