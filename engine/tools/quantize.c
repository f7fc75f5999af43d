/* quantize.c - a model in another number format: every matrix decoded and encoded again, the rest copied. */
#include "engine/base/base.h"

struct job {
    const struct cut_gguf *g;
    float *row;
    cut_progress_fn progress;
    void *user;
    uint64_t done, total;      /* bytes of the source */
};

static enum cut_status fill(void *user, const struct cut_tensor_info *t, uint64_t row0, uint64_t rows, void *dst,
                            struct cut_err *err) {
    struct job *j = user;
    const struct cut_tensor_info *from = cut_gguf_find_tensor(j->g, t->name);
    size_t in = (size_t)(from->bytes / (from->ne[1] * from->ne[2] * from->ne[3]));     /* bytes of a row */
    size_t out = (size_t)(t->bytes / (t->ne[1] * t->ne[2] * t->ne[3]));
    for (uint64_t r = 0; r < rows; r++) {
        const uint8_t *src = (const uint8_t *)from->data + (row0 + r) * in;
        uint8_t *to = (uint8_t *)dst + r * out;
        if (t->type == from->type) {
            memcpy(to, src, out);
            continue;
        }
        cut_decode(from->type, src, j->row, (size_t)t->ne[0]);
        cut_encode(t->type, j->row, to, (size_t)t->ne[0]);
    }
    j->done += rows * in;
    if (j->progress && !j->progress(j->user, (double)j->done / (double)j->total, t->name))
        return cut_fail(err, CUT_ECANCEL, "the conversion was stopped");
    return CUT_OK;
}

/* The format a tensor gets: vectors, and rows that are no whole number of blocks, keep theirs. */
static enum cut_type type_for(const struct cut_tensor_info *t, enum cut_type type) {
    bool fits = t->n_dims > 1 && t->ne[0] % (uint64_t)cut_type_info(type)->block == 0 && cut_type_info(t->type)->runs;
    return fits ? type : t->type;
}

/* GGUF's number for a file that is mostly of a format (general.file_type). */
static uint32_t file_type(enum cut_type type) {
    switch (type) {
    case CUT_F16: return 1;
    case CUT_Q4_0: return 2;
    case CUT_Q8_0: return 7;
    case CUT_Q6_K: return 18;
    case CUT_BF16: return 32;
    default: return 0;
    }
}

enum cut_status cut_quantize(const char *in, const char *out, enum cut_type type, cut_progress_fn progress, void *user,
                             struct cut_err *err) {
    struct job j = { .progress = progress, .user = user };
    struct cut_gguf *g = NULL;
    struct cut_gguf_writer *w = NULL;
    uint64_t longest = 1, fits = 0;
    if (!cut_encodes(type))
        return cut_fail(err, CUT_EUSAGE, "format %s cannot be written yet; f32, f16, bf16, q8_0, q6_K and q4_0 can",
                        cut_type_info(type)->name);
    enum cut_status st = cut_gguf_open(&g, in, 0, err);
    if (!st) st = cut_gguf_writer_new(&w, err);
    for (uint64_t i = 0; !st && i < cut_gguf_head(g)->n_kv; i++) {
        const struct cut_kv *kv = cut_gguf_kv(g, i);
        if (strcmp(kv->key, "general.file_type"))
            st = cut_gguf_put_raw(w, kv->key, kv->type, kv->elem, kv->count, kv->data, kv->bytes, err);
    }
    if (!st) st = cut_gguf_put_u32(w, "general.file_type", file_type(type), err);
    for (uint64_t i = 0; !st && i < cut_gguf_head(g)->n_tensors; i++) {
        const struct cut_tensor_info *t = cut_gguf_tensor(g, i);
        fits += t->n_dims > 1 && type_for(t, type) == type;
        if (t->ne[0] > longest) longest = t->ne[0];
        j.total += t->bytes;
        st = cut_gguf_put_tensor(w, t->name, type_for(t, type), t->n_dims, t->ne, NULL, err);
    }
    if (!st && !fits)
        st = cut_fail(err, CUT_EUSAGE, "%s: no matrix has rows of a multiple of %d, as %s needs", cut_gguf_head(g)->name,
                      cut_type_info(type)->block, cut_type_info(type)->name);
    if (!st && !(j.row = cut_calloc(longest, sizeof *j.row, "a row of weights", err))) st = CUT_ENOMEM;
    j.g = g;
    if (!st) st = cut_gguf_write(w, out, fill, &j, err);
    free(j.row);
    cut_gguf_writer_free(w);
    cut_gguf_close(g);
    return st;
}
