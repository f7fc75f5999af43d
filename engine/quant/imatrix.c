/* imatrix.c - the importance matrix as a thing: entries by name, to the disk and back.
 *
 * llama.cpp keeps it in a GGUF file (general.type "imatrix") with two F32 tensors for each matrix NAME of the model:
 *
 *   NAME.in_sum2  { columns, matrices }   sums of squared activations
 *   NAME.counts   { 1, matrices }         how many rows of activations they are sums of
 *
 * and imatrix.datasets (strings), imatrix.chunk_count and imatrix.chunk_size (u32). Files may hold more (NAME.in_sum).
 * Before that it had a format of its own, little-endian: i32 entries; for each i32 length, name, i32 calls, i32 n, f32[n]
 * (means times calls); then i32 calls, and i32 length and name of the text. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "engine/quant/imatrix.h"

/* ---- entries */

void cut_imatrix_free(struct cut_imatrix *m) {
    if (!m) return;
    free(m->entry);
    cut_arena_done(&m->arena);
    free(m);
}

enum cut_status cut_imatrix_new(struct cut_imatrix **out, struct cut_err *err) {
    struct cut_imatrix *m = cut_calloc(1, sizeof *m, "an importance matrix", err);
    if (!m) return CUT_ENOMEM;
    m->info.file = m->info.dataset = "";
    *out = m;
    return CUT_OK;
}

enum cut_status cut_imatrix_add(struct cut_imatrix *m, const char *name, size_t len, int n, int n_mat, float **sum2, float **counts,
                                struct cut_err *err) {
    size_t values = (size_t)n * (size_t)n_mat;
    enum cut_status st = cut_grow(&m->entry, &m->cap, (size_t)m->info.n_entries, sizeof *m->entry, "an importance matrix", err);
    if (st) return st;
    struct cut_imatrix_entry e = { .n = n, .n_mat = n_mat, .name = cut_arena_strndup(&m->arena, name, len) };
    float *sums = cut_arena_alloc(&m->arena, values * sizeof *sums), *count = cut_arena_alloc(&m->arena, (size_t)n_mat * sizeof *count);
    float *mean = cut_arena_alloc(&m->arena, values * sizeof *mean);
    if (!e.name || !sums || !count || !mean) return cut_fail(err, CUT_ENOMEM, "out of memory: an importance matrix");
    e.sum2 = *sum2 = sums;
    e.counts = *counts = count;
    e.mean = mean;
    m->entry[m->info.n_entries++] = e;
    return CUT_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct cut_imatrix_entry *)a)->name, ((const struct cut_imatrix_entry *)b)->name);
}

enum cut_status cut_imatrix_finish(struct cut_imatrix *m, const char *file, struct cut_err *err) {
    if (m->info.n_entries) qsort(m->entry, (size_t)m->info.n_entries, sizeof *m->entry, by_name);
    for (int i = 0; i < m->info.n_entries; i++) {
        const struct cut_imatrix_entry *e = &m->entry[i];
        float *mean = (float *)e->mean;        /* ours: made in cut_imatrix_add */
        if (i && !strcmp(e->name, e[-1].name)) return cut_fail(err, CUT_EFILE, "%s: \"%s\" stands there twice", file, e->name);
        for (int k = 0; k < e->n_mat; k++) {
            if (!isfinite(e->counts[k]) || e->counts[k] < 0)
                return cut_fail(err, CUT_EFILE, "%s: \"%s\": count %d is %g", file, e->name, k, (double)e->counts[k]);
            for (int j = 0; j < e->n; j++) {
                size_t at = (size_t)k * (size_t)e->n + (size_t)j;
                if (!isfinite(e->sum2[at]) || e->sum2[at] < 0)
                    return cut_fail(err, CUT_EFILE, "%s: \"%s\": sum %zu of squares is %g", file, e->name, at, (double)e->sum2[at]);
                mean[at] = e->counts[k] > 0 ? e->sum2[at] / e->counts[k] : 1;
            }
        }
    }
    return CUT_OK;
}

void cut_imatrix_about(const struct cut_imatrix *m, struct cut_imatrix_info *out) { *out = m->info; }

const struct cut_imatrix_entry *cut_imatrix_at(const struct cut_imatrix *m, int i) {
    return i >= 0 && i < m->info.n_entries ? &m->entry[i] : NULL;
}

const struct cut_imatrix_entry *cut_imatrix_find(const struct cut_imatrix *m, const char *name) {
    struct cut_imatrix_entry key = { .name = name };
    return m->info.n_entries ? bsearch(&key, m->entry, (size_t)m->info.n_entries, sizeof key, by_name) : NULL;
}

/* ---- what it shows */

static int falling(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

void cut_imatrix_stats(const struct cut_imatrix_entry *e, struct cut_imatrix_stats *out) {
    struct cut_imatrix_stats s = { 0 };
    size_t n = (size_t)e->n * (size_t)e->n_mat, hundredth = n / 100 ? n / 100 : 1;
    double entropy = 0, *sorted = malloc(n * sizeof *sorted);
    for (size_t i = 0; i < n; i++) {
        double v = (double)e->mean[i];
        s.sum += v;
        int at = s.n_top;
        while (at > 0 && v > (double)e->mean[s.top[at - 1]]) at--;
        if (at == CUT_LEN(s.top)) continue;
        if (s.n_top < (int)CUT_LEN(s.top)) s.n_top++;
        memmove(&s.top[at + 1], &s.top[at], (size_t)(s.n_top - 1 - at) * sizeof *s.top);
        s.top[at] = (int)i;
    }
    s.mean = s.sum / (double)n;
    s.max = (double)e->mean[s.top[0]];
    for (size_t i = 0; i < n && s.sum > 0; i++) {
        double p = (double)e->mean[i] / s.sum;
        if (p > 0) entropy -= p * log(p);
    }
    s.even = s.sum > 0 ? exp(entropy) / (double)n : 1;
    if (sorted && s.sum > 0) {
        for (size_t i = 0; i < n; i++) sorted[i] = (double)e->mean[i];
        qsort(sorted, n, sizeof *sorted, falling);
        for (size_t i = 0; i < hundredth; i++) s.top_share += sorted[i] / s.sum;
    }
    free(sorted);
    *out = s;
}

/* ---- to the disk */

enum cut_status cut_imatrix_save(const struct cut_imatrix *m, const char *path, struct cut_err *err) {
    struct cut_gguf_writer *w = NULL;
    char name[512];
    enum cut_status st = cut_gguf_writer_new(&w, err);
    if (!st) st = cut_gguf_put_str(w, "general.type", "imatrix", err);
    if (!st) st = cut_gguf_put_strs(w, "imatrix.datasets", &m->info.dataset, m->info.dataset[0] != 0, err);
    if (!st) st = cut_gguf_put_u32(w, "imatrix.chunk_count", (uint32_t)m->info.n_chunks, err);
    if (!st) st = cut_gguf_put_u32(w, "imatrix.chunk_size", (uint32_t)m->info.chunk_size, err);
    for (int i = 0; !st && i < m->info.n_entries; i++) {
        const struct cut_imatrix_entry *e = &m->entry[i];
        uint64_t sums[2] = { (uint64_t)e->n, (uint64_t)e->n_mat }, counts[2] = { 1, (uint64_t)e->n_mat };
        snprintf(name, sizeof name, "%s.in_sum2", e->name);
        st = cut_gguf_put_tensor(w, name, CUT_F32, 2, sums, e->sum2, err);
        snprintf(name, sizeof name, "%s.counts", e->name);
        if (!st) st = cut_gguf_put_tensor(w, name, CUT_F32, 2, counts, e->counts, err);
    }
    if (!st) st = cut_gguf_write(w, path, NULL, NULL, err);
    cut_gguf_writer_free(w);
    return st;
}

/* ---- and back */

static int number(const struct cut_gguf *g, const char *key) {
    const struct cut_kv *kv = cut_gguf_find(g, key);
    uint64_t v;
    return kv && cut_kv_u64(kv, 0, &v) && v < INT32_MAX ? (int)v : 0;
}

static enum cut_status load_gguf(struct cut_imatrix *m, const char *path, struct cut_err *err) {
    struct cut_gguf *g;
    enum cut_status st = cut_gguf_open(&g, path, 0, err);
    if (st) return st;
    const char *file = cut_gguf_head(g)->name, *text;
    const struct cut_kv *kv = cut_gguf_find(g, "general.type"), *sets = cut_gguf_find(g, "imatrix.datasets");
    size_t len;
    if (!kv || !cut_kv_str(kv, 0, &text, &len) || len != 7 || memcmp(text, "imatrix", 7))
        st = cut_fail(err, CUT_EFILE, "%s: general.type is not \"imatrix\": no importance matrix", file);
    if (!st && sets && sets->count && cut_kv_str(sets, sets->count - 1, &text, &len) &&
        !(m->info.dataset = cut_arena_strndup(&m->arena, text, len)))
        st = cut_fail(err, CUT_ENOMEM, "%s: out of memory", file);
    m->info.n_chunks = number(g, "imatrix.chunk_count");
    m->info.chunk_size = number(g, "imatrix.chunk_size");
    for (uint64_t i = 0; !st && i < cut_gguf_head(g)->n_tensors; i++) {
        const struct cut_tensor_info *t = cut_gguf_tensor(g, i), *c;
        char name[512];
        float *sum2, *counts;
        size_t end = strlen(t->name), suffix = strlen(".in_sum2");
        if (end <= suffix || end + 8 > sizeof name || strcmp(t->name + end - suffix, ".in_sum2")) continue;
        snprintf(name, sizeof name, "%.*s.counts", (int)(end - suffix), t->name);
        c = cut_gguf_find_tensor(g, name);
        uint64_t mats = t->ne[1] * t->ne[2] * t->ne[3];
        if (!c || t->type != CUT_F32 || c->type != CUT_F32 || c->bytes != mats * 4 || t->bytes / 4 > INT32_MAX)
            st = cut_fail(err, CUT_EFILE, "%s: \"%s\" and \"%s\": f32, with a count for each row, are needed", file, t->name, name);
        else if (!(st = cut_imatrix_add(m, t->name, end - suffix, (int)t->ne[0], (int)mats, &sum2, &counts, err))) {
            memcpy(sum2, t->data, (size_t)t->bytes);
            memcpy(counts, c->data, (size_t)c->bytes);
        }
    }
    if (!st && !m->info.n_entries) st = cut_fail(err, CUT_EFILE, "%s: no tensor NAME.in_sum2: nothing to weigh with", file);
    cut_gguf_close(g);
    return st;
}

struct reader { const uint8_t *p, *end; };

static bool take_i32(struct reader *r, int32_t *v) {
    if (r->end - r->p < 4) return false;
    memcpy(v, r->p, 4);
    r->p += 4;
    return true;
}

static bool take_text(struct reader *r, const char **text, int32_t *len) {
    if (!take_i32(r, len) || *len < 0 || *len > 400 || r->end - r->p < *len) return false;
    *text = (const char *)r->p;
    r->p += *len;
    return true;
}

static enum cut_status load_dat(struct cut_imatrix *m, const struct cut_file *f, const char *file, struct cut_err *err) {
    struct reader r = { f->data, f->data + f->size };
    int32_t n = 0, calls, len, values;
    const char *text;
    if (!take_i32(&r, &n) || n < 1) return cut_fail(err, CUT_EFILE, "%s: neither GGUF nor an importance matrix of the older kind", file);
    for (int32_t i = 0; i < n; i++) {
        float *sum2, *counts;
        if (!take_text(&r, &text, &len) || !take_i32(&r, &calls) || !take_i32(&r, &values) || calls < 1 || values < 1 ||
            (r.end - r.p) / 4 < values)
            return cut_fail(err, CUT_EFILE, "%s: entry %d of %d at byte %zu: damaged, or no importance matrix", file, i, n,
                            (size_t)(r.p - f->data));
        enum cut_status st = cut_imatrix_add(m, text, (size_t)len, values, 1, &sum2, &counts, err);
        if (st) return st;
        memcpy(sum2, r.p, (size_t)values * 4);
        counts[0] = (float)calls;
        r.p += (size_t)values * 4;
    }
    if (take_i32(&r, &calls) && calls > 0) m->info.n_chunks = calls;
    if (take_text(&r, &text, &len) && !(m->info.dataset = cut_arena_strndup(&m->arena, text, (size_t)len)))
        return cut_fail(err, CUT_ENOMEM, "%s: out of memory", file);
    return CUT_OK;
}

enum cut_status cut_imatrix_load(struct cut_imatrix **out, const char *path, struct cut_err *err) {
    struct cut_imatrix *m = NULL;
    struct cut_file f = { 0 };
    enum cut_status st = cut_file_open(&f, path, false, err);
    if (!st) st = cut_imatrix_new(&m, err);
    if (!st && !(m->info.file = cut_arena_strndup(&m->arena, path, strlen(path)))) st = cut_fail(err, CUT_ENOMEM, "%s: out of memory", path);
    if (!st) st = f.size >= 4 && !memcmp(f.data, "GGUF", 4) ? load_gguf(m, path, err) : load_dat(m, &f, cut_basename(path), err);
    if (!st) st = cut_imatrix_finish(m, cut_basename(path), err);
    if (f.data) cut_file_close(&f);
    if (st) cut_imatrix_free(m);
    else *out = m;
    return st;
}
