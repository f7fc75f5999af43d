/* panels.c - a model's matrices once more, in the order products read them (engine/kernels/panel.h).
 *
 * They are made when a session first runs, shared by all sessions of the model, and freed with it. What they were made from stays where it
 * is, in the mapped file: the system may take those pages back, and does so first here. A rebuilt model makes panels only of what is its
 * own, and borrows the others, as it does the weights. */
#include <pthread.h>
#include <stdatomic.h>

#include "engine/base/pool.h"
#include "engine/gguf/gguf.h"
#include "engine/kernels/panel.h"
#include "engine/model/model.h"

struct cut_panels {
    pthread_mutex_t lock;
    atomic_uint edition;       /* counts the times that panels were dropped */
    uint64_t bytes;
    void *of[];                /* per tensor of the file; NULL: none yet */
};

enum cut_status cut_panels_new(struct cut_panels **out, uint64_t n_tensors, struct cut_err *err) {
    struct cut_panels *p = cut_calloc(1, sizeof *p + n_tensors * sizeof *p->of, "panels", err);
    if (!p) return CUT_ENOMEM;
    pthread_mutex_init(&p->lock, NULL);
    *out = p;
    return CUT_OK;
}

void cut_panels_free(struct cut_panels *p, uint64_t n_tensors) {
    if (!p) return;
    for (uint64_t i = 0; i < n_tensors; i++) cut_free_aligned(p->of[i]);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static uint64_t count_of(const struct cut_tensor_info *w) { return (w->ne[1] + CUT_PANEL - 1) / CUT_PANEL; }
static uint64_t bytes_of(const struct cut_tensor_info *w) { return count_of(w) * cut_panel_bytes(w->type, w->ne[0]); }

uint64_t cut_model_panel_bytes(const struct cut_tensor_info *w, const struct cut_kernels *k) {
    return k->mm_panel[w->type] ? bytes_of(w) : 0;
}

struct packing { const struct cut_tensor_info *w; const struct cut_kernels *k; char *to; };

static void pack(void *arg, int thread, int n_threads) {
    const struct packing *p = arg;
    const uint64_t k = p->w->ne[0], rows = p->w->ne[1], stride = p->w->bytes / rows;
    const size_t bytes = cut_panel_bytes(p->w->type, k);
    int i0, i1;
    cut_share((int)count_of(p->w), 1, thread, n_threads, &i0, &i1);
    for (int i = i0; i < i1; i++) {
        uint64_t r = (uint64_t)i * CUT_PANEL;
        p->k->pack[p->w->type]((const char *)p->w->data + r * stride, stride, (int)(rows - r < CUT_PANEL ? rows - r : CUT_PANEL), (int)k,
                               p->to + (size_t)i * bytes);
    }
}

const void *cut_model_panel(const struct cut_model *m, const struct cut_tensor_info *w, const struct cut_kernels *k, struct cut_pool *pool) {
    uint64_t i = (uint64_t)(w - cut_gguf_tensor(m->gguf, 0));
    if (m->base && !m->owned[i]) return cut_model_panel(m->base, cut_gguf_tensor(m->base->gguf, i), k, pool);
    struct cut_panels *p = m->panels;
    uint64_t bytes = cut_model_panel_bytes(w, k);
    pthread_mutex_lock(&p->lock);
    if (!p->of[i] && bytes && (p->of[i] = cut_alloc_huge((size_t)bytes, w->name, NULL))) {
        cut_pool_run(pool, pack, &(struct packing){ w, k, p->of[i] });
        cut_gguf_let_go(m->gguf, w->data, (size_t)w->bytes);
        p->bytes += bytes;
    }
    const void *panel = p->of[i];
    pthread_mutex_unlock(&p->lock);
    return panel;
}

void cut_model_drop_panel(struct cut_model *m, size_t tensor) {
    struct cut_panels *p = m->panels;
    if (p->of[tensor]) p->bytes -= bytes_of(cut_gguf_tensor(m->gguf, tensor));
    cut_free_aligned(p->of[tensor]);
    p->of[tensor] = NULL;
    atomic_fetch_add(&p->edition, 1);
}

unsigned cut_model_panel_edition(const struct cut_model *m) { return atomic_load_explicit(&m->panels->edition, memory_order_relaxed); }

uint64_t cut_model_panels(const struct cut_model *m) {
    pthread_mutex_lock(&m->panels->lock);
    uint64_t bytes = m->panels->bytes;
    pthread_mutex_unlock(&m->panels->lock);
    return bytes + (m->base ? cut_model_panels(m->base) : 0);
}
