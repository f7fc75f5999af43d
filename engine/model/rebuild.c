/* rebuild.c - a model made from an open one: the same graph over weights in other formats, in memory.
 *
 * The tensor table of the file is copied and some of its rows pointed at new data; the architecture then loads from that table as it
 * would from a file, and never learns the difference. What does not change is borrowed, so that swapping one tensor costs one tensor. */
#include "engine/gguf/gguf.h"
#include "engine/model/model.h"
#include "engine/quant/encode.h"

enum { SLAB = 1 << 18 };       /* weights encoded between two looks at whether to stop */

bool cut_tensor_fits(const struct cut_tensor_info *t, enum cut_type type) {
    const struct cut_type_info *to = cut_type_info(type), *from = cut_type_info(t->type);
    return to && to->runs && from->runs && cut_encodes(type) && t->n_dims > 1 && t->ne[0] % (uint64_t)to->block == 0;
}

static uint64_t rows_of(const struct cut_tensor_info *t) { return t->ne[1] * t->ne[2] * t->ne[3]; }

/* ---- one tensor into another format */

struct work {
    struct cut_pool *pool;
    const struct cut_imatrix *imatrix;
    const char *file;
    cut_progress_fn progress;
    void *user;
    uint64_t done, total;      /* weights */
};

/* Encode `from` into data, as `to` says, slab by slab. */
static enum cut_status recode(const struct cut_tensor_info *from, const struct cut_tensor_info *to, uint8_t *data, struct work *w,
                              struct cut_err *err) {
    const struct cut_imatrix_entry *e = w->imatrix ? cut_imatrix_find(w->imatrix, from->name) : NULL;
    uint64_t rows = rows_of(from), step = SLAB / from->ne[0] + 1;
    enum cut_status st = CUT_OK;
    char name[400];
    snprintf(name, sizeof name, "%s: tensor \"%.100s\"", w->file, from->name);
    if (e && (uint64_t)e->n * (uint64_t)e->n_mat != from->ne[0] * from->ne[2] * from->ne[3])
        return cut_fail(err, CUT_EUSAGE, "%s: its importance matrix has %d columns: it is another model's", name, e->n * e->n_mat);
    for (uint64_t row = 0, n; !st && row < rows; row += n) {
        uint64_t matrix = row / from->ne[1], end = (matrix + 1) * from->ne[1];     /* experts have an importance each */
        n = end - row < step ? end - row : step;
        struct cut_encoding c = { .name = name, .from = from->type, .to = to->type, .src = (const uint8_t *)from->data + row * (from->bytes / rows),
                                  .dst = data + row * (to->bytes / rows), .rows = (size_t)n, .n = (size_t)from->ne[0], .row0 = (size_t)row,
                                  .importance = e ? e->mean + matrix * from->ne[0] : NULL };
        st = cut_encode_tensor(&c, w->pool, err);
        w->done += n * from->ne[0];
        if (!st && w->progress && !w->progress(w->user, (double)w->done / (double)w->total, from->name))
            st = cut_fail(err, CUT_ECANCEL, "rebuilding the model was stopped");
    }
    return st;
}

/* ---- the model */

/* Ask for each tensor's format, and write it into the table. */
static enum cut_status choose_all(struct cut_model *m, cut_type_fn choose, void *user, struct work *w, struct cut_err *err) {
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
    }
    cut_gguf_view_settle(m->gguf);
    return CUT_OK;
}

static enum cut_status rebuild(struct cut_model **out, const struct cut_model *base, cut_type_fn choose, void *user, struct work *w,
                               struct cut_err *err) {
    struct cut_model *m = cut_calloc(1, sizeof *m, "model", err);
    if (!m) return CUT_ENOMEM;
    m->base = base;
    m->vocab = base->vocab;
    m->arch = base->arch;
    memcpy(m->config.arch, base->config.arch, sizeof m->config.arch);
    enum cut_status st = cut_gguf_view(&m->gguf, base->gguf, &m->table, err);
    uint64_t n = st ? 0 : cut_gguf_head(m->gguf)->n_tensors;
    if (!st && !(m->owned = cut_calloc(n, sizeof *m->owned, "tensors", err))) st = CUT_ENOMEM;
    if (!st) st = cut_panels_new(&m->panels, n, err);
    if (!st) st = choose_all(m, choose, user, w, err);
    w->file = cut_gguf_head(base->gguf)->name;
    for (uint64_t i = 0; !st && i < n; i++) {
        const struct cut_tensor_info *from = cut_gguf_tensor(base->gguf, i);
        struct cut_tensor_info *to = &m->table[i];
        if (to->type == from->type) continue;
        if (!(m->owned[i] = cut_alloc_huge((size_t)to->bytes, to->name, err))) st = CUT_ENOMEM;
        else st = recode(from, to, m->owned[i], w, err);
        to->data = m->owned[i];
    }
    if (!st) st = m->arch->load(m, err);
    if (st) {
        cut_model_close(m);
        return st;
    }
    *out = m;
    return CUT_OK;
}

enum cut_status cut_model_rebuild(struct cut_model **out, const struct cut_model *base, cut_type_fn choose, void *user,
                                  struct cut_pool *pool, cut_progress_fn progress, void *progress_user, struct cut_err *err) {
    struct work w = { .pool = pool, .progress = progress, .user = progress_user };
    return rebuild(out, base, choose, user, &w, err);
}

/* Tensors are asked about in the plan's order. */
struct planned { const struct cut_plan *plan; uint64_t at; };
static enum cut_type by_plan(void *user, const struct cut_tensor_info *t) {
    struct planned *p = user;
    (void)t;
    return p->plan->tensor[p->at++].type;
}

enum cut_status cut_model_quantize(struct cut_model **out, const struct cut_model *base, const struct cut_quantize_opts *o,
                                   cut_progress_fn progress, void *user, struct cut_err *err) {
    struct work w = { .pool = o->pool, .imatrix = o->imatrix, .progress = progress, .user = user };
    struct cut_plan plan;
    enum cut_status st = cut_quantize_plan(&plan, base->gguf, o, err);
    if (st) return st;
    struct planned p = { .plan = &plan };
    st = cut_plan_check_imatrix(&plan, o->imatrix, cut_gguf_head(base->gguf)->name, err);
    if (!st && plan.needs_imatrix && !o->force)
        st = cut_fail(err, CUT_EUSAGE, "%s: tensor \"%s\": so few bits need an importance matrix", cut_gguf_head(base->gguf)->name,
                      plan.needs_imatrix);
    if (!st) st = rebuild(out, base, by_plan, &p, &w, err);
    cut_plan_done(&plan);
    return st;
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
    struct work w = { .pool = pool, .file = cut_gguf_head(m->gguf)->name, .total = rows_of(t) * t->ne[0] };
    void *data = NULL;
    if (type != from->type && !cut_tensor_fits(from, type))
        return cut_fail(err, CUT_EUSAGE, "tensor \"%s\": %llu x %llu in %s cannot be stored as %s", tensor, (unsigned long long)t->ne[0],
                        (unsigned long long)t->ne[1], cut_type_info(from->type)->name,
                        cut_type_info(type) ? cut_type_info(type)->name : "an unknown format");
    next.type = type;
    next.data = from->data;
    next.bytes = rows_of(t) * (t->ne[0] / (uint64_t)cut_type_info(type)->block) * (uint64_t)cut_type_info(type)->bytes;
    if (type != from->type) {
        if (!(next.data = data = cut_alloc_huge((size_t)next.bytes, tensor, err))) return CUT_ENOMEM;
        st = recode(from, &next, data, &w, err);
    }
    if (st) {
        cut_free_aligned(data);
        return st;
    }
    cut_model_drop_panel(m, i);
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
    cut_model_drop_panel(m, i);
    if (!m->owned[i]) {            /* copy on write */
        if (!(m->owned[i] = cut_alloc_huge((size_t)t->bytes, t->name, err))) return CUT_ENOMEM;
        memcpy(m->owned[i], t->data, (size_t)t->bytes);
        t->data = m->owned[i];
    }
    uint8_t *at = (uint8_t *)m->owned[i] + block * size;
    if (old) memcpy(old, at, size);
    memcpy(at, bytes, size);
    return CUT_OK;
}
