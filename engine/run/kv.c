/* kv.c - the paged cache: append, truncate, fork, copy on write. */
#include <math.h>

#include "engine/run/kv.h"

enum cut_status cut_kv_init(struct cut_kv_cache *kv, const struct cut_config *c, enum cut_type type, int n_ctx, int n_seq,
                            struct cut_err *err) {
    int per_seq = (n_ctx + CUT_KV_PAGE - 1) / CUT_KV_PAGE;
    *kv = (struct cut_kv_cache){ .n_layer = c->n_layer, .n_head_kv = c->n_head_kv, .head_dim = c->head_dim, .n_seq = n_seq,
                                 .n_ctx = n_ctx, .n_pages = per_seq * n_seq, .type = type };
    kv->page_bytes = (size_t)c->n_head_kv * CUT_KV_PAGE * (size_t)c->head_dim * (type == CUT_F16 ? 2 : 4);
    size_t pages = (size_t)kv->n_pages, layers = (size_t)c->n_layer * 2;
    if (pages > SIZE_MAX / layers / kv->page_bytes)
        return cut_fail(err, CUT_ENOMEM, "KV cache: %d cells are more than memory can address", n_ctx);
    kv->data = cut_alloc_huge(layers * pages * kv->page_bytes, "KV cache", err);
    kv->refs = cut_calloc(pages, sizeof *kv->refs, "KV cache", err);
    kv->free = cut_calloc(pages, sizeof *kv->free, "KV cache", err);
    kv->seq = cut_calloc((size_t)n_seq, sizeof *kv->seq, "KV cache", err);
    kv->tables = cut_calloc(pages, sizeof *kv->tables, "KV cache", err);
    if (!kv->data || !kv->refs || !kv->free || !kv->seq || !kv->tables) {
        cut_kv_done(kv);
        return CUT_ENOMEM;
    }
    for (int i = 0; i < kv->n_pages; i++) kv->free[i] = kv->n_pages - 1 - i;     /* page 0 is taken first */
    kv->n_free = kv->n_pages;
    for (int i = 0; i < n_seq; i++) kv->seq[i].table = kv->tables + (size_t)i * (size_t)per_seq;
    return CUT_OK;
}

void cut_kv_done(struct cut_kv_cache *kv) {
    cut_free_aligned(kv->data);
    free(kv->refs);
    free(kv->free);
    free(kv->seq);
    free(kv->tables);
    *kv = (struct cut_kv_cache){ 0 };
}

static uint8_t *page_at(const struct cut_kv_cache *kv, int layer, bool v, int page) {
    return kv->data + (((size_t)layer * 2 + v) * (size_t)kv->n_pages + (size_t)page) * kv->page_bytes;
}

static void release(struct cut_kv_cache *kv, int page) {
    if (--kv->refs[page] == 0) kv->free[kv->n_free++] = page;
}

static enum cut_status take_page(struct cut_kv_cache *kv, int32_t *page, struct cut_err *err) {
    if (!kv->n_free) return cut_fail(err, CUT_EFULL, "the KV cache is full: all %d pages of %d cells are in use", kv->n_pages, CUT_KV_PAGE);
    *page = kv->free[--kv->n_free];
    kv->refs[*page] = 1;
    return CUT_OK;
}

enum cut_status cut_kv_append(struct cut_kv_cache *kv, int seq, struct cut_err *err) {
    struct cut_kv_seq *s = &kv->seq[seq];
    if (s->n >= kv->n_ctx) return cut_fail(err, CUT_EFULL, "the context is full: sequence %d has all of its %d cells", seq, kv->n_ctx);
    int32_t *entry = &s->table[s->n / CUT_KV_PAGE];
    enum cut_status st;
    if (s->n % CUT_KV_PAGE == 0) {
        if ((st = take_page(kv, entry, err))) return st;
    } else if (kv->refs[*entry] > 1) {           /* copy on write */
        int32_t copy = -1;
        if ((st = take_page(kv, &copy, err))) return st;
        for (int il = 0; il < kv->n_layer; il++)
            for (int v = 0; v < 2; v++) memcpy(page_at(kv, il, v, copy), page_at(kv, il, v, *entry), kv->page_bytes);
        release(kv, *entry);
        *entry = copy;
    }
    s->n++;
    return CUT_OK;
}

void cut_kv_truncate(struct cut_kv_cache *kv, int seq, int n) {
    struct cut_kv_seq *s = &kv->seq[seq];
    if (n >= s->n) return;
    for (int p = (n + CUT_KV_PAGE - 1) / CUT_KV_PAGE; p < (s->n + CUT_KV_PAGE - 1) / CUT_KV_PAGE; p++) release(kv, s->table[p]);
    s->n = n;
}

void cut_kv_fork(struct cut_kv_cache *kv, int src, int dst) {
    if (src == dst) return;
    cut_kv_truncate(kv, dst, 0);
    struct cut_kv_seq *a = &kv->seq[src], *b = &kv->seq[dst];
    for (int p = 0; p < (a->n + CUT_KV_PAGE - 1) / CUT_KV_PAGE; p++) kv->refs[b->table[p] = a->table[p]]++;
    b->n = a->n;
}

/* Element 0 of head h of a cell, and the elements from one to the next: K pages are [n_head_kv][head_dim][CUT_KV_PAGE], V pages
 * [n_head_kv][CUT_KV_PAGE][head_dim]. */
static void *cell_at(const struct cut_kv_cache *kv, int layer, int seq, int cell, int head, bool v) {
    int page = kv->seq[seq].table[cell / CUT_KV_PAGE];
    size_t in_page = (size_t)(cell % CUT_KV_PAGE) * (v ? (size_t)kv->head_dim : 1), group = CUT_KV_PAGE * (size_t)kv->head_dim;
    return page_at(kv, layer, v, page) + ((size_t)head * group + in_page) * (kv->type == CUT_F16 ? 2 : 4);
}

enum { PART = 64 };        /* elements of a key between rounding and scattering */

void cut_kv_store(struct cut_kv_cache *kv, const struct cut_kernels *k, int layer, int seq, int cell, const float *kx, const float *vx) {
    int hd = kv->head_dim;
    for (int h = 0; h < kv->n_head_kv; h++, kx += hd, vx += hd) {
        void *ky = cell_at(kv, layer, seq, cell, h, false), *vy = cell_at(kv, layer, seq, cell, h, true);
        if (kv->type == CUT_F32) {
            for (int i = 0; i < hd; i++) ((float *)ky)[i * CUT_KV_PAGE] = kx[i];
            memcpy(vy, vx, (size_t)hd * sizeof *vx);
            continue;
        }
        for (int i = 0; i < hd; i += PART) {
            uint16_t part[PART];
            int n = cut_min(PART, hd - i);
            k->to_f16(part, kx + i, n);
            for (int p = 0; p < n; p++) ((uint16_t *)ky)[(i + p) * CUT_KV_PAGE] = part[p];
        }
        k->to_f16(vy, vx, hd);
    }
}

void cut_kv_load(const struct cut_kv_cache *kv, int layer, int seq, int cell, int head, bool v, float *out) {
    const void *x = cell_at(kv, layer, seq, cell, head, v);
    if (v) cut_decode(kv->type, x, out, (size_t)kv->head_dim);
    else for (int i = 0; i < kv->head_dim; i++)
        out[i] = kv->type == CUT_F16 ? cut_f16_to_f32(((const uint16_t *)x)[i * CUT_KV_PAGE]) : ((const float *)x)[i * CUT_KV_PAGE];
}

struct cut_attn cut_kv_view(const struct cut_kv_cache *kv, int layer, int seq, int n_vis, int n_head) {
    return (struct cut_attn){ .k = page_at(kv, layer, false, 0), .v = page_at(kv, layer, true, 0), .page_bytes = kv->page_bytes,
                              .table = kv->seq[seq].table, .type = kv->type, .n_head = n_head, .n_head_kv = kv->n_head_kv,
                              .head_dim = kv->head_dim, .n_vis = n_vis, .scale = 1.0f / sqrtf((float)kv->head_dim) };
}

int cut_kv_used(const struct cut_kv_cache *kv) {
    int used = 0;
    for (int i = 0; i < kv->n_seq; i++) used += kv->seq[i].n;
    /* A page shared by r sequences was counted r times; only whole shared pages and the forked tail differ. */
    for (int p = 0; p < kv->n_pages; p++)
        if (kv->refs[p] > 1)
            for (int i = 0, seen = 0; i < kv->n_seq; i++)
                for (int c = 0; c < kv->seq[i].n; c += CUT_KV_PAGE)
                    if (kv->seq[i].table[c / CUT_KV_PAGE] == p && seen++) used -= cut_min(CUT_KV_PAGE, kv->seq[i].n - c);
    return used;
}
