/* edit.c - changing a file's metadata: the same entries and tensors written again, but for one.
 *
 * What a model cannot do without is guarded: its architecture's entries ("llama.block_count"), its tokenizer's, its tensors' names.
 * Whoever means it says so (force). The tensors' bytes are never looked at. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "engine/gguf/gguf.h"

/* ---- values as text */

static void describe(const struct cut_kv *kv, char *out, size_t cap) {
    uint64_t u;
    int64_t s;
    double d;
    bool b;
    const char *text;
    size_t len;
    if (kv->type == CUT_KV_ARRAY) {
        snprintf(out, cap, "%s[%" PRIu64 "]", cut_kv_type_name(kv->elem), kv->count);
        return;
    }
    int n = snprintf(out, cap, "%s ", cut_kv_type_name(kv->type));
    if (n < 0 || (size_t)n + 4 > cap) return;
    out += n, cap -= (size_t)n;
    if (cut_kv_str(kv, 0, &text, &len)) cut_utf8_escape(out, cap, text, len);
    else if (cut_kv_bool(kv, 0, &b)) snprintf(out, cap, "%s", b ? "true" : "false");
    else if (cut_kv_i64(kv, 0, &s)) snprintf(out, cap, "%" PRId64, s);
    else if (cut_kv_u64(kv, 0, &u)) snprintf(out, cap, "%" PRIu64, u);
    else if (cut_kv_f64(kv, 0, &d)) snprintf(out, cap, kv->type == CUT_KV_F32 ? "%.9g" : "%.17g", d);
}

struct value { enum cut_kv_type type; uint8_t data[8]; size_t n; const char *text; };    /* text: of a string, instead of data */

static const struct { int64_t lo; uint64_t hi; } range[CUT_KV_COUNT] = {
    [CUT_KV_U8] = { 0, UINT8_MAX }, [CUT_KV_I8] = { INT8_MIN, INT8_MAX }, [CUT_KV_U16] = { 0, UINT16_MAX },
    [CUT_KV_I16] = { INT16_MIN, INT16_MAX }, [CUT_KV_U32] = { 0, UINT32_MAX }, [CUT_KV_I32] = { INT32_MIN, INT32_MAX },
    [CUT_KV_U64] = { 0, UINT64_MAX }, [CUT_KV_I64] = { INT64_MIN, INT64_MAX },
};

/* A whole number in two's complement, in 64 bits. */
static bool whole(const char *text, int64_t lo, uint64_t hi, uint64_t *out) {
    char *end;
    if (!text[0] || strspn(text, " \t\n+")) return false;
    errno = 0;
    if (text[0] == '-') {
        int64_t v = strtoll(text, &end, 0);
        *out = (uint64_t)v;
        return !errno && end > text && !*end && v >= lo;
    }
    *out = strtoull(text, &end, 0);
    return !errno && end > text && !*end && *out <= hi;
}

static bool real(const char *text, double *out) {
    char *end;
    *out = strtod(text, &end);
    return end > text && !*end && isfinite(*out);
}

/* What a text looks like, where nobody says. */
static enum cut_kv_type guess(const char *text) {
    uint64_t u;
    double d;
    if (!strcmp(text, "true") || !strcmp(text, "false")) return CUT_KV_BOOL;
    if (whole(text, 0, UINT32_MAX, &u)) return CUT_KV_U32;
    if (whole(text, INT32_MIN, INT32_MAX, &u)) return CUT_KV_I32;
    if (whole(text, 0, UINT64_MAX, &u)) return CUT_KV_U64;
    if (whole(text, INT64_MIN, INT64_MAX, &u)) return CUT_KV_I64;
    return real(text, &d) ? CUT_KV_F32 : CUT_KV_STRING;
}

static enum cut_status parse(struct value *v, const char *key, const char *text, enum cut_kv_type type, struct cut_err *err) {
    uint64_t u;
    uint32_t cp;
    double d;
    *v = (struct value){ .type = type, .n = cut_kv_type_size(type) };
    bool fine = true;
    switch (type) {
    case CUT_KV_STRING:
        v->text = text;
        for (size_t i = 0, len = strlen(text), n; fine && i < len; i += n) fine = (n = (size_t)cut_utf8_decode(text + i, len - i, &cp)) > 0;
        if (!fine) return cut_fail(err, CUT_EUSAGE, "\"%s\": the value is no UTF-8 text", key);
        break;
    case CUT_KV_BOOL:
        v->data[0] = !strcmp(text, "true") || !strcmp(text, "1");
        fine = v->data[0] || !strcmp(text, "false") || !strcmp(text, "0");
        break;
    case CUT_KV_F32: {
        fine = real(text, &d);
        float f = fine ? (float)d : 0;
        fine = fine && isfinite(f);
        memcpy(v->data, &f, sizeof f);
        break;
    }
    case CUT_KV_F64:
        fine = real(text, &d);
        memcpy(v->data, &d, sizeof d);
        break;
    case CUT_KV_ARRAY:
    case CUT_KV_COUNT: return cut_fail(err, CUT_EUSAGE, "\"%s\": an array; only single values can be set", key);
    default:
        fine = whole(text, range[type].lo, range[type].hi, &u);
        if (fine) memcpy(v->data, &u, v->n);               /* little-endian: the low bytes are the narrower number */
    }
    return fine ? CUT_OK : cut_fail(err, CUT_EUSAGE, "\"%s\": \"%s\" is no %s", key, text, cut_kv_type_name(type));
}

/* ---- what must not go */

static bool starts(const char *s, const char *with, size_t len) { return !strncmp(s, with, len) && s[len] == '.'; }

/* Why the file could not be run after the edit; NULL: nothing speaks against it. */
static const char *guarded(const struct cut_gguf *g, const struct cut_edit_kv *e) {
    const struct cut_kv *kv = cut_gguf_find(g, "general.architecture");
    const char *arch = "";
    size_t len = 0;
    if (kv) cut_kv_str(kv, 0, &arch, &len);
    if (e->op == CUT_KV_RENAME_TENSOR) return "a model looks for its tensors by name";
    if (!strcmp(e->key, "general.architecture")) return "it says how the file is to be read";
    const struct cut_kv *old = cut_gguf_find(g, e->key);
    if (e->op == CUT_KV_SET && (e->type < 0 || !old || e->type == (int)old->type)) return NULL;      /* a new value is what set is for */
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(len < 60 ? len : 60), arch);
    if (len && starts(e->key, name, strlen(name))) return "it is one of the architecture's";
    if (starts(e->key, "tokenizer", 9)) return "it is one of the tokenizer's";
    return NULL;
}

/* What is wrong with a name that would be new; NULL: nothing. Keys are segments of lower_snake_case with dots between (GGUF's specification;
 * capitals and - are met, too). ggml keeps tensors' names in 64 bytes. */
static const char *bad_name(const char *name, bool tensor) {
    static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    if (tensor) return strlen(name) > 63 ? "a tensor's name has at most 63 bytes" : NULL;
    return name[strspn(name, fine)] ? "a key is letters, digits, _ and -, with dots between" : NULL;
}

static enum cut_status check(const struct cut_gguf *g, const struct cut_edit_kv *e, struct cut_err *err) {
    const char *file = cut_gguf_head(g)->name, *why = guarded(g, e);
    bool tensor = e->op == CUT_KV_RENAME_TENSOR;
    if (!e->key[0] || (e->op == CUT_KV_RENAME && !e->value[0]) || (tensor && !e->value[0]))
        return cut_fail(err, CUT_EUSAGE, "%s: a name is empty", file);
    bool there = tensor ? cut_gguf_find_tensor(g, e->key) != NULL : cut_gguf_find(g, e->key) != NULL;
    if (!there && e->op != CUT_KV_SET) return cut_fail(err, CUT_EUSAGE, "%s: there is no %s \"%.80s\"", file, tensor ? "tensor" : "entry", e->key);
    if ((tensor && cut_gguf_find_tensor(g, e->value)) || (e->op == CUT_KV_RENAME && cut_gguf_find(g, e->value)))
        return cut_fail(err, CUT_EUSAGE, "%s: there is a \"%.80s\" already", file, e->value);
    const char *fresh = e->op == CUT_KV_SET ? (there ? NULL : e->key) : e->op == CUT_KV_REMOVE ? NULL : e->value;
    const char *wrong = fresh && !e->force ? bad_name(fresh, tensor) : NULL;
    if (wrong) return cut_fail(err, CUT_EUSAGE, "%s: \"%.80s\": %s; force it if you mean it", file, fresh, wrong);
    if (why && there && !e->force)
        return cut_fail(err, CUT_EUSAGE, "%s: \"%.80s\" is needed to run the file (%s); force it if you mean it", file, e->key, why);
    return CUT_OK;
}

/* ---- writing it all again */

static enum cut_status put_value(struct cut_gguf_writer *w, const char *key, const struct value *v, struct cut_err *err) {
    return v->text ? cut_gguf_put_str(w, key, v->text, err) : cut_gguf_put_raw(w, key, v->type, v->type, 1, v->data, v->n, err);
}

static enum cut_status put_metadata(struct cut_gguf_writer *w, const struct cut_gguf *g, const struct cut_edit_kv *e, const struct value *v,
                                    struct cut_err *err) {
    enum cut_status st = CUT_OK;
    bool seen = false;
    for (uint64_t i = 0; !st && i < cut_gguf_head(g)->n_kv; i++) {
        const struct cut_kv *kv = cut_gguf_kv(g, i);
        bool it = e->op != CUT_KV_RENAME_TENSOR && !strcmp(kv->key, e->key);
        const char *key = it && e->op == CUT_KV_RENAME ? e->value : kv->key;
        seen |= it;
        if (it && e->op == CUT_KV_REMOVE) continue;
        st = it && e->op == CUT_KV_SET ? put_value(w, key, v, err)
                                       : cut_gguf_put_raw(w, key, kv->type, kv->elem, kv->count, kv->data, kv->bytes, err);
    }
    return !st && !seen && e->op == CUT_KV_SET ? put_value(w, e->key, v, err) : st;
}

static enum cut_status rewrite(const struct cut_gguf *g, const char *out, const struct cut_edit_kv *e, const struct value *v, struct cut_err *err) {
    struct cut_gguf_writer *w = NULL;
    enum cut_status st = cut_gguf_writer_new(&w, err);
    if (!st) st = put_metadata(w, g, e, v, err);
    for (uint64_t i = 0; !st && i < cut_gguf_head(g)->n_tensors; i++) {
        const struct cut_tensor_info *t = cut_gguf_tensor(g, i);
        bool it = e->op == CUT_KV_RENAME_TENSOR && !strcmp(t->name, e->key);
        st = cut_gguf_put_tensor(w, it ? e->value : t->name, t->type, t->n_dims, t->ne, t->data, err);
    }
    if (!st) st = cut_gguf_write(w, out, NULL, NULL, err);
    cut_gguf_writer_free(w);
    return st;
}

/* The value as it will stand there: read back from a file of this entry alone. */
static void describe_new(const struct value *v, const char *key, char *out, size_t cap) {
    const struct cut_kv kv = { .key = key, .type = v->type, .elem = v->type, .count = 1, .data = v->data, .bytes = v->n };
    if (!v->text) {
        describe(&kv, out, cap);
        return;
    }
    int n = snprintf(out, cap, "%s ", cut_kv_type_name(CUT_KV_STRING));
    if (n > 0 && (size_t)n + 4 <= cap) cut_utf8_escape(out + n, cap - (size_t)n, v->text, strlen(v->text));
}

enum cut_status cut_gguf_edit(const char *in, const char *out, const struct cut_edit_kv *e, char *before, char *after, size_t cap,
                              struct cut_err *err) {
    struct cut_gguf *g;
    struct value v = { 0 };
    if (before && cap) before[0] = 0;
    if (after && cap) after[0] = 0;
    enum cut_status st = cut_gguf_open(&g, in, 0, err);
    if (st) return st;
    const struct cut_kv *old = e->op == CUT_KV_RENAME_TENSOR ? NULL : cut_gguf_find(g, e->key);
    if (old && before && cap) describe(old, before, cap);
    st = check(g, e, err);
    if (!st && e->op == CUT_KV_SET && old && old->type == CUT_KV_ARRAY && !e->force)
        st = cut_fail(err, CUT_EUSAGE, "%s: \"%.80s\" is an array of %" PRIu64 "; only single values can be set", cut_gguf_head(g)->name, e->key,
                      old->count);
    if (!st && e->op == CUT_KV_SET)
        st = parse(&v, e->key, e->value, e->type >= 0 ? (enum cut_kv_type)e->type : old ? old->type : guess(e->value), err);
    if (!st && after && cap) {
        if (e->op == CUT_KV_SET) describe_new(&v, e->key, after, cap);
        else if (e->op == CUT_KV_RENAME && before) snprintf(after, cap, "%s", before);
    }
    if (!st) st = rewrite(g, out, e, &v, err);
    cut_gguf_close(g);
    return st;
}
