/* quantize.c - a model in another file type: a plan, then every matrix decoded and encoded again by it, the rest copied.
 *
 * The writer asks for about a megabyte of rows at a time; the threads of the pool share them out. So memory stays small
 * for a model of any size, and the result does not depend on the number of threads. */
#include <inttypes.h>
#include <stdio.h>

#include "engine/quant/encode.h"

#define QUANTIZATION_VERSION 2         /* GGUF's number for the present block layouts */

struct job {
    const struct cut_quantize_opts *o;
    struct cut_plan plan;
    uint64_t at;                       /* the tensor that is being written: plan.tensor[at] */
    const char *file;
    cut_progress_fn progress;
    void *user;
    uint64_t done;                     /* bytes of the source */
};

/* ---- rows */

/* A copy is checked as well, where a look at the numbers costs nothing: a model with a NaN in a norm says nothing any more. */
static enum cut_status check_copy(const struct cut_tensor_info *t, const char *name, uint64_t row0, uint64_t rows, struct cut_err *err) {
    float x[512];
    size_t size = (size_t)cut_type_info(t->type)->bytes, at;
    uint64_t n = t->ne[0], first = row0 * n, end = (row0 + rows) * n;
    if (t->type != CUT_F32 && t->type != CUT_F16 && t->type != CUT_BF16) return CUT_OK;
    for (uint64_t i = first; i < end; i += CUT_LEN(x)) {
        size_t part = end - i < CUT_LEN(x) ? (size_t)(end - i) : CUT_LEN(x);
        cut_decode(t->type, (const uint8_t *)t->data + i * size, x, part);
        if (!cut_all_finite(x, part, &at))
            return cut_fail(err, CUT_EFILE, "%s: element %" PRIu64 " (row %" PRIu64 ", column %" PRIu64 ") is not finite", name, i + at,
                            (i + at) / n, (i + at) % n);
    }
    return CUT_OK;
}

/* Rows of one matrix of a tensor: experts have an importance each. */
static enum cut_status convert(const struct job *j, const struct cut_plan_tensor *p, const float *importance, uint64_t row0, uint64_t rows,
                               uint8_t *dst, struct cut_err *err) {
    const struct cut_tensor_info *from = p->from;
    char name[400];
    snprintf(name, sizeof name, "%s: tensor \"%.100s\"", j->file, from->name);
    struct cut_encoding e = {
        .name = name, .from = from->type, .to = p->type, .dst = dst, .rows = (size_t)rows, .n = (size_t)from->ne[0], .row0 = (size_t)row0,
        .src = (const uint8_t *)from->data + from->bytes / (from->ne[1] * from->ne[2] * from->ne[3]) * row0, .importance = importance,
    };
    enum cut_status st = p->type == from->type ? check_copy(from, name, row0, rows, err) : CUT_OK;
    return st ? st : cut_encode_tensor(&e, j->o->pool, err);
}

static enum cut_status fill(void *user, const struct cut_tensor_info *t, uint64_t row0, uint64_t rows, void *dst,
                            struct cut_err *err) {
    struct job *j = user;
    while (strcmp(j->plan.tensor[j->at].from->name, t->name)) j->at++;       /* tensors come in the plan's order */
    const struct cut_plan_tensor *p = &j->plan.tensor[j->at];
    const struct cut_imatrix_entry *e = j->o->imatrix && !p->kept ? cut_imatrix_find(j->o->imatrix, t->name) : NULL;
    uint64_t all = t->ne[1] * t->ne[2] * t->ne[3], row = row0, end = row0 + rows, bytes = t->bytes / all;
    enum cut_status st = CUT_OK;
    while (!st && row < end) {
        uint64_t matrix = row / t->ne[1], next = (matrix + 1) * t->ne[1];
        if (next > end) next = end;
        st = convert(j, p, e ? e->mean + matrix * t->ne[0] : NULL, row, next - row, (uint8_t *)dst + (row - row0) * bytes, err);
        row = next;
    }
    j->done += p->from->bytes / all * rows;
    if (!st && j->progress && !j->progress(j->user, (double)j->done / (double)j->plan.from_bytes, t->name))
        st = cut_fail(err, CUT_ECANCEL, "the conversion was stopped");
    return st;
}

/* ---- before anything is written */

static enum cut_status check(struct job *j, const char *file, struct cut_err *err) {
    const struct cut_imatrix *im = j->o->imatrix;
    enum cut_status st = cut_plan_check_imatrix(&j->plan, im, file, err);
    for (uint64_t i = 0; !st && i < j->plan.n; i++) {
        const struct cut_plan_tensor *t = &j->plan.tensor[i];
        const char *name = t->from->name, *format = cut_type_info(t->type)->name;
        if (t->type == t->from->type) continue;
        if (!cut_encodes(t->type))
            return cut_fail(err, CUT_EUSAGE, "%s: tensor \"%s\" would become %s, which cannot be written", file, name, format);
        const struct cut_imatrix_entry *e = im ? cut_imatrix_find(im, name) : NULL;
        if (t->needs_imatrix && !e && !j->o->force)
            return cut_fail(err, CUT_EUSAGE, "%s: tensor \"%s\" would become %s: so few bits need an importance matrix%s", file, name, format,
                            im ? ", and this one lacks the tensor" : "");
    }
    return st;
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

enum cut_status cut_quantize(const char *in, const char *out, const struct cut_quantize_opts *o, cut_progress_fn progress,
                             void *user, struct cut_err *err) {
    struct job j = { .o = o, .progress = progress, .user = user };
    struct cut_gguf *g = NULL;
    struct cut_gguf_writer *w = NULL;
    enum cut_status st = cut_gguf_open(&g, in, 0, err);
    if (!st) st = cut_quantize_plan(&j.plan, g, o, err);
    if (!st) st = check(&j, j.file = cut_gguf_head(g)->name, err);
    if (!st) st = cut_gguf_writer_new(&w, err);
    if (!st) st = put_metadata(w, g, o, err);
    for (uint64_t i = 0; !st && i < j.plan.n; i++) {
        const struct cut_tensor_info *t = j.plan.tensor[i].from;
        st = cut_gguf_put_tensor(w, t->name, j.plan.tensor[i].type, t->n_dims, t->ne, NULL, err);
    }
    if (!st) st = cut_gguf_write(w, out, fill, &j, err);
    cut_gguf_writer_free(w);
    cut_plan_done(&j.plan);
    cut_gguf_close(g);
    return st;
}
