/* rebuild.c - a model made from an open one: the same graph over weights in other formats, in memory.
 *
 * The tensor table of the file is copied and some of its rows pointed at new data; the architecture then loads from that table as it
 * would from a file, and never learns the difference. What does not change is borrowed, so that swapping one tensor costs one tensor. */
#include <math.h>

#include "engine/base/pool.h"
#include "engine/gguf/gguf.h"
#include "engine/model/model.h"

enum { SLAB = 1 << 20 };       /* weights encoded between two looks at whether to stop */

bool cut_tensor_fits(const struct cut_tensor_info *t, enum cut_type type) {
    const struct cut_type_info *to = cut_type_info(type), *from = cut_type_info(t->type);
    return to && to->runs && from->runs && cut_encodes(type) && t->n_dims > 1 && t->ne[0] % (uint64_t)to->block == 0;
}

static uint64_t rows_of(const struct cut_tensor_info *t) { return t->ne[1] * t->ne[2] * t->ne[3]; }

/* ---- one tensor into another format, rows shared out over the pool */

struct recode {
    const struct cut_tensor_info *from, *to;
    uint8_t *data;
    uint64_t row0, rows;       /* of this slab */
    float **line;              /* per thread: one row as floats */
    uint64_t *bad;             /* per thread: the first weight that is no finite number; UINT64_MAX: none */
};

static void recode_rows(void *arg, int thread, int n_threads) {
    struct recode *r = arg;
    size_t width = (size_t)r->from->ne[0], in = (size_t)(r->from->bytes / rows_of(r->from)), out = (size_t)(r->to->bytes / rows_of(r->to));
    int i0, i1;
    cut_share((int)r->rows, 1, thread, n_threads, &i0, &i1);
    for (int i = i0; i < i1 && r->bad[thread] == UINT64_MAX; i++) {
        uint64_t row = r->row0 + (uint64_t)i;
        float *x = r->line[thread];
        cut_decode(r->from->type, (const uint8_t *)r->from->data + row * in, x, width);
        for (size_t c = 0; c < width && r->bad[thread] == UINT64_MAX; c++)
            if (!isfinite(x[c])) r->bad[thread] = row * width + c;
        if (r->bad[thread] == UINT64_MAX) cut_encode(r->to->type, x, r->data + row * out, width);
    }
}

struct work {
    struct cut_pool *pool;
    float **line;
    uint64_t *bad;
    cut_progress_fn progress;
    void *user;
    uint64_t done, total;      /* weights */
};

static enum cut_status recode(const struct cut_tensor_info *from, const struct cut_tensor_info *to, uint8_t *data, struct work *w,
                              const char *file, struct cut_err *err) {
    uint64_t step = SLAB / from->ne[0] + 1;
    for (uint64_t row = 0; row < rows_of(from); row += step) {
        uint64_t n = rows_of(from) - row < step ? rows_of(from) - row : step, bad = UINT64_MAX;
        struct recode r = { from, to, data, row, n, w->line, w->bad };
        for (int i = 0; i < cut_pool_size(w->pool); i++) w->bad[i] = UINT64_MAX;
        cut_pool_run(w->pool, recode_rows, &r);
        for (int i = 0; i < cut_pool_size(w->pool); i++)
            if (w->bad[i] < bad) bad = w->bad[i];
        if (bad != UINT64_MAX)
            return cut_fail(err, CUT_EFILE, "%s: tensor \"%s\": weight %llu is no finite number", file, from->name, (unsigned long long)bad);
        w->done += n * from->ne[0];
        if (w->progress && !w->progress(w->user, (double)w->done / (double)w->total, from->name))
            return cut_fail(err, CUT_ECANCEL, "rebuilding the model was stopped");
    }
    return CUT_OK;
}

static enum cut_status make_room(struct work *w, size_t longest, struct cut_err *err) {
    size_t n = (size_t)cut_pool_size(w->pool);
    w->line = cut_calloc(n, sizeof *w->line, "rows of weights", err);
    w->bad = cut_calloc(n, sizeof *w->bad, "rows of weights", err);
    for (size_t i = 0; w->line && w->bad && i < n; i++)
        if (!(w->line[i] = cut_alloc_aligned(longest * sizeof(float), "rows of weights", err))) return CUT_ENOMEM;
    return w->line && w->bad ? CUT_OK : CUT_ENOMEM;
}

static void free_room(struct work *w) {
    for (int i = 0; w->line && i < cut_pool_size(w->pool); i++) cut_free_aligned(w->line[i]);
    free(w->line);
    free(w->bad);
}

/* ---- the model */

/* Ask for each tensor's format, and write it into the table. */
static enum cut_status choose_all(struct cut_model *m, cut_type_fn choose, void *user, struct work *w, size_t *longest, struct cut_err *err) {
    for (uint64_t i = 0; i < cut_gguf_head(m->gguf)->n_tensors; i++) {
        struct cut_tensor_info *t = &m->table[i];
        enum cut_type type = choose(user, t);
        if (type == t->type) continue;
        const struct cut_type_info *info = cut_type_info(type);
        if (!info) return cut_fail(err, CUT_EUSAGE, "tensor \"%s\": %u is no format", t->name, (unsigned)type);
        if (!cut_encodes(type) || !info->runs)
            return cut_fail(err, CUT_EUSAGE, "tensor \"%s\": format %s cannot be %s yet", t->name, info->name,
                            info->runs ? "written" : "run");
        if (!cut_tensor_fits(t, type)) continue;
        t->type = type;
        w->total += rows_of(t) * t->ne[0];
        if (t->ne[0] > *longest) *longest = (size_t)t->ne[0];
    }
    cut_gguf_view_settle(m->gguf);
    return CUT_OK;
}

enum cut_status cut_model_rebuild(struct cut_model **out, const struct cut_model *base, cut_type_fn choose, void *user,
                                  struct cut_pool *pool, cut_progress_fn progress, void *progress_user, struct cut_err *err) {
    struct work w = { .pool = pool, .progress = progress, .user = progress_user };
    size_t longest = 1;
    struct cut_model *m = cut_calloc(1, sizeof *m, "model", err);
    if (!m) return CUT_ENOMEM;
    m->base = base;
    m->vocab = base->vocab;
    m->arch = base->arch;
    memcpy(m->config.arch, base->config.arch, sizeof m->config.arch);
    enum cut_status st = cut_gguf_view(&m->gguf, base->gguf, &m->table, err);
    uint64_t n = st ? 0 : cut_gguf_head(m->gguf)->n_tensors;
    if (!st && !(m->owned = cut_calloc(n, sizeof *m->owned, "tensors", err))) st = CUT_ENOMEM;
    if (!st) st = choose_all(m, choose, user, &w, &longest, err);
    if (!st) st = make_room(&w, longest, err);
    for (uint64_t i = 0; !st && i < n; i++) {
        const struct cut_tensor_info *from = cut_gguf_tensor(base->gguf, i);
        struct cut_tensor_info *to = &m->table[i];
        if (to->type == from->type) continue;
        if (!(m->owned[i] = cut_alloc_aligned((size_t)to->bytes, to->name, err))) st = CUT_ENOMEM;
        else st = recode(from, to, m->owned[i], &w, cut_gguf_head(m->gguf)->name, err);
        to->data = m->owned[i];
    }
    if (!st) st = m->arch->load(m, err);
    free_room(&w);
    if (st) {
        cut_model_close(m);
        return st;
    }
    *out = m;
    return CUT_OK;
}

const struct cut_model *cut_model_base(const struct cut_model *m) { return m->base; }

/* The row of a rebuilt model's table that a tensor has. */
static enum cut_status find(const struct cut_model *m, const char *tensor, size_t *i, struct cut_err *err) {
    const char *file = cut_gguf_head(m->gguf)->name;
    if (!m->base) return cut_fail(err, CUT_EUSAGE, "%s: a model opened from a file cannot be edited; rebuild it first", file);
    const struct cut_tensor_info *t = cut_gguf_find_tensor(m->gguf, tensor);
    if (!t) return cut_fail(err, CUT_EUSAGE, "%s: there is no tensor \"%s\"", file, tensor);
    *i = (size_t)(t - m->table);
    return CUT_OK;
}

enum cut_status cut_model_retype(struct cut_model *m, const char *tensor, enum cut_type type, struct cut_pool *pool, struct cut_err *err) {
    size_t i = 0;
    enum cut_status st = find(m, tensor, &i, err);
    if (st) return st;
    struct cut_tensor_info *t = &m->table[i], next = *t;
    const struct cut_tensor_info *from = cut_gguf_tensor(m->base->gguf, i);
    struct work w = { .pool = pool, .total = rows_of(t) * t->ne[0] };
    void *data = NULL;
    if (type != from->type && !cut_tensor_fits(from, type))
        return cut_fail(err, CUT_EUSAGE, "tensor \"%s\": %llu x %llu in %s cannot be stored as %s", tensor, (unsigned long long)t->ne[0],
                        (unsigned long long)t->ne[1], cut_type_info(from->type)->name,
                        cut_type_info(type) ? cut_type_info(type)->name : "an unknown format");
    next.type = type;
    next.data = from->data;
    next.bytes = rows_of(t) * (t->ne[0] / (uint64_t)cut_type_info(type)->block) * (uint64_t)cut_type_info(type)->bytes;
    if (type != from->type) {
        if (!(next.data = data = cut_alloc_aligned((size_t)next.bytes, tensor, err))) return CUT_ENOMEM;
        st = make_room(&w, (size_t)t->ne[0], err);
        if (!st) st = recode(from, &next, data, &w, cut_gguf_head(m->gguf)->name, err);
        free_room(&w);
    }
    if (st) {
        cut_free_aligned(data);
        return st;
    }
    cut_free_aligned(m->owned[i]);
    m->owned[i] = data;
    m->config.weight_bytes = m->config.weight_bytes - t->bytes + next.bytes;
    *t = next;                         /* the graph's builders hold the row's address, so they need not load again */
    cut_gguf_view_settle(m->gguf);
    return CUT_OK;
}

enum cut_status cut_model_edit_block(struct cut_model *m, const char *tensor, uint64_t block, const void *bytes, void *old,
                                     struct cut_err *err) {
    size_t i = 0;
    enum cut_status st = find(m, tensor, &i, err);
    if (st) return st;
    struct cut_tensor_info *t = &m->table[i];
    size_t size = (size_t)cut_type_info(t->type)->bytes;
    if (block >= t->bytes / size)
        return cut_fail(err, CUT_EUSAGE, "%s: tensor \"%s\": block %llu is not in 0 to %llu", cut_gguf_head(m->gguf)->name, tensor,
                        (unsigned long long)block, (unsigned long long)(t->bytes / size - 1));
    if (!m->owned[i]) {            /* copy on write */
        if (!(m->owned[i] = cut_alloc_aligned((size_t)t->bytes, t->name, err))) return CUT_ENOMEM;
        memcpy(m->owned[i], t->data, (size_t)t->bytes);
        t->data = m->owned[i];
    }
    uint8_t *at = (uint8_t *)m->owned[i] + block * size;
    if (old) memcpy(old, at, size);
    memcpy(at, bytes, size);
    return CUT_OK;
}
