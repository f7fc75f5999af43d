/* quantize.c - a model in another file type: a plan, then every matrix decoded and encoded again by it, the rest copied.
 *
 * The writer asks for about a megabyte of rows at a time; the threads of the pool share them out. So memory stays small
 * for a model of any size, and the result does not depend on the number of threads: a row is encoded on its own. */
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>

#include "engine/base/pool.h"

#define QUANTIZATION_VERSION 2         /* GGUF's number for the present block layouts */
#define TAKE 16384                     /* weights a thread takes at a time, about */

struct job {
    const struct cut_quantize_opts *o;
    struct cut_plan plan;
    uint64_t at;                       /* the tensor that is being written: plan.tensor[at] */
    float **row;                       /* one of the longest rows for each thread */
    cut_progress_fn progress;
    void *user;
    uint64_t done;                     /* bytes of the source */

    /* the rows asked for */
    const struct cut_plan_tensor *t;
    const float *importance;           /* [matrices][columns], or NULL */
    uint64_t row0, rows;
    uint8_t *dst;
    atomic_uint_fast64_t next, bad;    /* row to take next; the first weight that is not finite, as an index in the tensor */
};

/* ---- rows */

static void first_bad(struct job *j, const float *x, uint64_t n, uint64_t row) {
    for (uint64_t i = 0; i < n; i++) {
        if (isfinite(x[i])) continue;
        uint64_t here = row * n + i, seen = atomic_load(&j->bad);
        while (here < seen && !atomic_compare_exchange_weak(&j->bad, &seen, here)) { }
        return;
    }
}

static bool is_float(enum cut_type t) { return t == CUT_F32 || t == CUT_F16 || t == CUT_BF16; }

static void convert_rows(void *arg, int thread, int n_threads) {
    struct job *j = arg;
    const struct cut_tensor_info *from = j->t->from;
    uint64_t n = from->ne[0], all = from->ne[1] * from->ne[2] * from->ne[3], take = n < TAKE ? TAKE / n : 1;
    size_t in = (size_t)(from->bytes / all), out = (size_t)(j->t->bytes / all);      /* bytes of a row */
    float *x = j->row[thread];
    (void)n_threads;
    for (uint64_t r0; (r0 = atomic_fetch_add(&j->next, take)) < j->rows;) {
        for (uint64_t r = r0; r < r0 + take && r < j->rows; r++) {
            uint64_t row = j->row0 + r;
            const uint8_t *src = (const uint8_t *)from->data + row * in;
            bool copy = j->t->type == from->type;
            if (!copy || is_float(from->type)) {
                cut_decode(from->type, src, x, (size_t)n);
                first_bad(j, x, n, row);
            }
            if (copy) memcpy(j->dst + r * out, src, out);
            else cut_encode(j->t->type, x, j->dst + r * out, (size_t)n);
        }
    }
}

static enum cut_status fill(void *user, const struct cut_tensor_info *t, uint64_t row0, uint64_t rows, void *dst,
                            struct cut_err *err) {
    struct job *j = user;
    while (strcmp(j->plan.tensor[j->at].from->name, t->name)) j->at++;       /* tensors come in the plan's order */
    const struct cut_imatrix_entry *e = j->o->imatrix ? cut_imatrix_find(j->o->imatrix, t->name) : NULL;
    j->t = &j->plan.tensor[j->at];
    j->importance = e && !j->t->kept ? e->mean : NULL;
    j->row0 = row0, j->rows = rows, j->dst = dst;
    atomic_store(&j->next, 0);
    atomic_store(&j->bad, UINT64_MAX);
    cut_pool_run(j->o->pool, convert_rows, j);
    uint64_t bad = atomic_load(&j->bad), columns = t->ne[0];
    if (bad != UINT64_MAX)
        return cut_fail(err, CUT_EFILE, "tensor \"%s\": weight %" PRIu64 " (column %" PRIu64 " of row %" PRIu64 ") is not a finite number",
                        t->name, bad, bad % columns, bad / columns);
    const struct cut_tensor_info *from = j->t->from;
    j->done += from->bytes / (from->ne[1] * from->ne[2] * from->ne[3]) * rows;
    if (j->progress && !j->progress(j->user, (double)j->done / (double)j->plan.from_bytes, t->name))
        return cut_fail(err, CUT_ECANCEL, "the conversion was stopped");
    return CUT_OK;
}

/* ---- before anything is written */

static enum cut_status check(const struct job *j, const char *file, struct cut_err *err) {
    const struct cut_imatrix *im = j->o->imatrix;
    for (uint64_t i = 0; i < j->plan.n; i++) {
        const struct cut_plan_tensor *t = &j->plan.tensor[i];
        const struct cut_tensor_info *from = t->from;
        const char *name = from->name, *format = cut_type_info(t->type)->name;
        if (t->type == from->type) continue;
        if (!cut_encodes(t->type))
            return cut_fail(err, CUT_EUSAGE, "%s: tensor \"%s\" would become %s, which cannot be written", file, name, format);
        const struct cut_imatrix_entry *e = im ? cut_imatrix_find(im, name) : NULL;
        if (e && (uint64_t)e->n * (uint64_t)e->n_mat != from->ne[0] * from->ne[2] * from->ne[3])
            return cut_fail(err, CUT_EUSAGE, "%s: tensor \"%s\" has %" PRIu64 " columns, its importance matrix %d: it is another model's", file,
                            name, from->ne[0] * from->ne[2] * from->ne[3], e->n * e->n_mat);
        if (t->needs_imatrix && !e && !j->o->force)
            return cut_fail(err, CUT_EUSAGE, "%s: tensor \"%s\" would become %s: so few bits need an importance matrix%s", file, name, format,
                            im ? ", and this one lacks the tensor" : "");
    }
    return CUT_OK;
}

static enum cut_status put_metadata(struct cut_gguf_writer *w, const struct cut_gguf *g, const struct cut_quantize_opts *o,
                                    struct cut_err *err) {
    static const char *const ours[] = {        /* written anew, or no longer true */
        "general.quantization_version", "general.file_type", "split.no", "split.count", "split.tensors.count",
        "quantize.imatrix.file", "quantize.imatrix.dataset", "quantize.imatrix.entries_count", "quantize.imatrix.chunks_count",
    };
    enum cut_status st = CUT_OK;
    for (uint64_t i = 0; !st && i < cut_gguf_head(g)->n_kv; i++) {
        const struct cut_kv *kv = cut_gguf_kv(g, i);
        size_t k = 0;
        while (k < CUT_LEN(ours) && strcmp(kv->key, ours[k])) k++;
        if (k == CUT_LEN(ours)) st = cut_gguf_put_raw(w, kv->key, kv->type, kv->elem, kv->count, kv->data, kv->bytes, err);
    }
    if (!st) st = cut_gguf_put_u32(w, "general.quantization_version", QUANTIZATION_VERSION, err);
    if (!st) st = cut_gguf_put_u32(w, "general.file_type", o->file_type->id, err);
    if (!o->imatrix) return st;
    struct cut_imatrix_info im;
    cut_imatrix_about(o->imatrix, &im);
    if (!st) st = cut_gguf_put_str(w, "quantize.imatrix.file", im.file, err);
    if (!st && im.dataset[0]) st = cut_gguf_put_str(w, "quantize.imatrix.dataset", im.dataset, err);
    if (!st) st = cut_gguf_put_u32(w, "quantize.imatrix.entries_count", (uint32_t)im.n_entries, err);
    if (!st && im.n_chunks > 0) st = cut_gguf_put_u32(w, "quantize.imatrix.chunks_count", (uint32_t)im.n_chunks, err);
    return st;
}

static enum cut_status rows_for(struct job *j, int threads, struct cut_err *err) {
    uint64_t longest = 1;
    for (uint64_t i = 0; i < j->plan.n; i++)
        if (j->plan.tensor[i].from->ne[0] > longest) longest = j->plan.tensor[i].from->ne[0];
    if (!(j->row = cut_calloc((size_t)threads, sizeof *j->row, "rows of weights", err))) return CUT_ENOMEM;
    for (int i = 0; i < threads; i++)
        if (!(j->row[i] = cut_calloc(longest, sizeof **j->row, "a row of weights", err))) return CUT_ENOMEM;
    return CUT_OK;
}

enum cut_status cut_quantize(const char *in, const char *out, const struct cut_quantize_opts *o, cut_progress_fn progress,
                             void *user, struct cut_err *err) {
    struct job j = { .o = o, .progress = progress, .user = user };
    struct cut_gguf *g = NULL;
    struct cut_gguf_writer *w = NULL;
    int threads = o->pool ? cut_pool_size(o->pool) : 1;
    enum cut_status st = cut_gguf_open(&g, in, 0, err);
    if (!st) st = cut_quantize_plan(&j.plan, g, o, err);
    if (!st) st = check(&j, cut_gguf_head(g)->name, err);
    if (!st) st = cut_gguf_writer_new(&w, err);
    if (!st) st = put_metadata(w, g, o, err);
    for (uint64_t i = 0; !st && i < j.plan.n; i++) {
        const struct cut_tensor_info *t = j.plan.tensor[i].from;
        st = cut_gguf_put_tensor(w, t->name, j.plan.tensor[i].type, t->n_dims, t->ne, NULL, err);
    }
    if (!st) st = rows_for(&j, threads, err);
    if (!st) st = cut_gguf_write(w, out, fill, &j, err);
    for (int i = 0; j.row && i < threads; i++) free(j.row[i]);
    free(j.row);
    cut_gguf_writer_free(w);
    cut_plan_done(&j.plan);
    cut_gguf_close(g);
    return st;
}
