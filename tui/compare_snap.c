/* compare_snap.c - what of a comparison the screen gets. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/compare_work.h"
#include "tui/screen/mem.h"

static struct tui_token *tokens_of(const struct cut_vocab *v, const int32_t *ids, int n) {
    struct tui_token *t = tui_alloc((size_t)n + 1, sizeof *t);
    for (int i = 0; i < n; i++) tui_snap_token(&t[i], v, ids[i]);
    return t;
}

static void take_points(struct tui_cmp_build *o, const struct cut_lockstep *l, int build, int n, const struct cut_vocab *v) {
    float most = -1;
    o->point = tui_alloc((size_t)n + 1, sizeof *o->point);
    o->top = tui_alloc((size_t)n + 1, sizeof *o->top);
    for (int i = 0; i < n; i++) {
        const struct cut_lock_token *t = cut_lockstep_token(l, build, i);
        o->point[i].kl = NAN;
        if (!t || !t->scored) continue;
        o->point[i] = (struct tui_cmp_point){ t->kl < 0 ? 0 : t->kl, t->p, t->p_top, t->top == t->top_ref };
        tui_snap_token(&o->top[i], v, t->top);
        if (t->kl > most) most = t->kl, o->at_most = i;
    }
}

static void take_text(struct tui_compare *c, struct tui_cmp *o) {
    const struct cut_vocab *v = cut_model_vocab(c->host.model);
    const int32_t *ids = c->prompt;
    o->n_tokens = o->n_prompt = c->n_prompt;
    if (c->lock) ids = cut_lockstep_text(c->lock, &o->n_tokens, &o->n_prompt);
    o->token = tokens_of(v, ids, o->n_tokens);
    o->done = c->done;
    for (int k = 0; k < c->n_builds; k++) {
        struct tui_cmp_build *b = &o->build[k];
        b->parted = -1;
        if (!c->lock) continue;
        take_points(b, c->lock, k, o->n_tokens, v);
        cut_lockstep_summary(c->lock, k, &b->sum);
        b->parted = k ? cut_lockstep_diverged(c->lock, k) : -1;
        ids = b->parted >= 0 ? cut_lockstep_fork(c->lock, k, &b->n_own, &b->ended) : NULL;
        b->own = tokens_of(v, ids, b->n_own);
    }
}

static void take_build(const struct tui_compare *c, int build, struct tui_cmp_build *o) {
    const struct cmp_build *b = &c->build[build];
    const struct cut_config *config = cut_model_config(cmp_model(c, build));
    memcpy(o->name, b->name, sizeof o->name);
    memcpy(o->from, b->from, sizeof o->from);
    o->n_edits = b->n_edits;
    o->sum.bytes = config->weight_bytes;
    o->sum.bits = 8.0 * (double)config->weight_bytes / (double)config->n_params;
    if (!b->layer) return;
    size_t n = (size_t)cut_model_config(c->host.model)->n_layer;
    o->layer = tui_alloc(n, sizeof *o->layer);
    memcpy(o->layer, b->layer, n * sizeof *o->layer);
    o->first = b->first;
}

static void take_tensor(struct tui_compare *c, int i, struct tui_cmp *o) {
    struct tui_cmp_tensor *t = &o->tensor[i];
    const struct cut_tensor_info *ref = cmp_tensor(c, 0, i);
    snprintf(t->name, sizeof t->name, "%s", ref->name);
    size_t n = strlen(t->name);
    if (n > 7 && !strcmp(t->name + n - 7, ".weight")) t->name[n - 7] = 0;
    t->layer = -1;
    sscanf(ref->name, "blk.%d.", &t->layer);
    t->cols = (int64_t)ref->ne[0];
    t->rows = ref->n_dims > 1 ? (int64_t)(ref->ne[1] * ref->ne[2] * ref->ne[3]) : 0;
    for (int k = 0; k < c->n_builds; k++) {
        const struct cut_tensor_info *x = cmp_tensor(c, k, i);
        t->type[k] = x ? x->type : CUT_TYPE_COUNT;
        t->bytes[k] = x ? x->bytes : 0;
        const struct cmp_build *b = &c->build[k];
        t->wanted[k] = b->wanted ? b->wanted[i] : t->type[k];
        if (b->why) memcpy(t->why[k], b->why[i], sizeof t->why[k]);
        if (t->rows && b->wanted && b->wanted[i] != b->type[i]) o->build[k].n_other++;
    }
    const struct cut_imatrix_entry *e = c->imatrix ? cut_imatrix_find(c->imatrix, ref->name) : NULL;
    if (e) {
        struct cut_imatrix_stats s;
        cut_imatrix_stats(e, &s);
        t->weighed = true;
        t->uneven = (float)(1 - s.even);
        t->top_share = (float)s.top_share;
        t->preview = c->preview[i];
    }
    if (c->sens && c->swaps_type != CUT_TYPE_COUNT) {
        cut_sens_get(c->sens, i, c->swaps_type, &t->swap);
        t->swap.tensor = NULL;                 /* it would be borrowed from what the screen must not touch */
        o->n_swapped += t->swap.measured;
    }
}

static void take_recipe(const struct tui_compare *c, struct tui_cmp *o) {
    o->n_steps = c->recipe.n;
    o->step = tui_alloc((size_t)c->recipe.n + 1, sizeof *o->step);
    o->low = c->low;
    o->budget = c->budget;
    for (int i = 0; i < c->recipe.n; i++) {
        const struct cmp_raise *s = &c->recipe.step[i];
        o->step[i] = (struct tui_cmp_step){ s->tensor, s->type, s->bytes, s->kl, s->measured, s->by_hand };
    }
}

const struct tui_cmp *tui_compare_take(struct tui_compare *c) {
    if (!c->n_builds) return NULL;
    struct tui_cmp *o = tui_alloc(1, sizeof *o);
    o->refs = 1;
    o->n_builds = c->n_builds;
    o->n_layer = cut_model_config(c->host.model)->n_layer;
    o->layer_pos = c->layer_pos;
    o->seed = c->seed;
    take_text(c, o);
    for (int k = 0; k < c->n_builds; k++) take_build(c, k, &o->build[k]);
    o->n_tensors = (int)cut_gguf_head(cmp_file(c))->n_tensors;
    o->tensor = tui_alloc((size_t)o->n_tensors, sizeof *o->tensor);
    o->swaps_type = c->swaps_type;
    for (int i = 0; i < o->n_tensors; i++) take_tensor(c, i, o);
    take_recipe(c, o);
    o->block = c->block;
    if (c->block) __atomic_add_fetch(&c->block->refs, 1, __ATOMIC_RELAXED);
    o->to_go = c->lock || !c->lock_failed ? c->target - (o->n_tokens - o->n_prompt) : 0;
    if (o->to_go < 0 || o->done) o->to_go = 0;
    memcpy(o->job, c->said_job, sizeof o->job);
    o->part = c->part;
    o->left = c->left;
    return o;
}

void tui_cmp_free(const struct tui_cmp *s) {
    struct tui_cmp *o = (struct tui_cmp *)s;
    if (!o || __atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL)) return;
    for (int k = 0; k < o->n_builds; k++) {
        free(o->build[k].own);
        free(o->build[k].point);
        free(o->build[k].top);
        free(o->build[k].layer);
    }
    struct tui_cmp_block *b = (struct tui_cmp_block *)o->block;
    if (b && __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) == 0) free(b);
    free(o->token);
    free(o->tensor);
    free(o->step);
    free(o);
}
