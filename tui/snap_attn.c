/* snap_attn.c - copying attention out of a session.
 *
 * The engine recomputes a row from the kept query and the cached keys, so what is copied is bounded: the rows of one layer
 * that fit MOST_FLOATS, and for the scores of all heads as many of the last rows as MOST_WORK allows. Both depend only on
 * the tokens and the edits, not on how far the present pass has come; so steps within a pass copy them once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/screen/mem.h"
#include "tui/snap.h"

enum {
    MOST_FLOATS = 1 << 19,         /* in the pattern of a layer */
    MOST_WORK = 1 << 26,           /* multiply-adds for the scores of all heads */
};

/* ---- what is shared */

static void drop_pattern(struct tui_pattern *p) {
    if (!p || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL)) return;
    free(p->data);
    free(p);
}

static void drop_heads(struct tui_heads *h) {
    if (!h || __atomic_sub_fetch(&h->refs, 1, __ATOMIC_ACQ_REL)) return;
    free(h->layer);
    free(h->head);
    free(h);
}

void tui_snap_free_attn(struct tui_attn *a) {
    if (!a) return;
    drop_pattern((struct tui_pattern *)a->pattern);
    drop_heads((struct tui_heads *)a->heads);
    free(a->rows);
    free(a->stages);
    free(a);
}

void tui_snap_close_attn(struct tui_snap_state *st) {
    drop_pattern(st->pattern);
    drop_heads(st->heads);
    st->pattern = NULL;
    st->heads = NULL;
}

/* ---- one layer */

/* A session and one of its layers. */
struct layer {
    struct cut_session *s;
    const struct cut_config *config;
    struct cut_where where;
    const int32_t *id;
    int il, n;                     /* n: tokens whose keys the layer has */
    uint64_t key;                  /* of those tokens and the edits (FNV-1a) */
};

static uint64_t mix(uint64_t h, const void *data, size_t n) {
    for (const unsigned char *p = data; n--; p++) h = (h ^ *p) * 0x100000001B3u;
    return h;
}

static int find(const struct layer *l, const char *what) {
    char name[32];
    snprintf(name, sizeof name, "blk.%d.%s", l->il, what);
    return cut_session_find_step(l->s, name);
}

static struct layer layer_of(const struct tui_snap *o, struct cut_session *s, int il) {
    struct layer l = { .s = s, .config = &o->list->config, .where = o->where, .il = il };
    const struct cut_edit *edit;
    int n_ids, n_edits = cut_session_edits(s, &edit);
    l.id = cut_session_tokens(s, 0, &n_ids);
    l.n = l.where.pos + (l.where.step > find(&l, "kv_store") ? l.where.n_tokens : 0);
    l.key = mix(mix(0xCBF29CE484222325u, l.id, (size_t)l.n * sizeof *l.id), edit, (size_t)n_edits * sizeof *edit);
    l.key = mix(l.key, &(bool){ cut_session_is_plain(s) && l.where.step > find(&l, "pattern") }, 1);
    return l;
}

/* Is the row what the pass computed with? Then it is a value of this pass, with edits; else the engine derives it. */
static bool real_row(const struct layer *l, const char *step, int head, int pos, float *out) {
    struct cut_tensor t;
    if (!cut_session_is_plain(l->s) || pos < l->where.pos) return false;
    if (cut_session_value(l->s, find(l, step), &t, NULL) || !t.data || t.ne[2] != l->where.n_tokens) return false;
    memcpy(out, t.data + ((pos - l->where.pos) * t.ne[1] + head) * t.ne[0], (size_t)(pos + 1) * sizeof *out);
    return true;
}

/* Row `pos` of a head: pos + 1 numbers, NAN up to n. */
static void take_row(const struct layer *l, int head, int pos, enum cut_attn_stage stage, float *out) {
    for (int j = 0; j < l->n; j++) out[j] = NAN;
    if (stage == CUT_ATTN_SOFTMAX && real_row(l, "pattern", head, pos, out)) return;
    if (stage == CUT_ATTN_SCALED && real_row(l, "scores", head, pos, out)) return;
    if (stage == CUT_ATTN_VALUE && real_row(l, "pattern", head, pos, out)) {       /* the engine would weigh the unedited one */
        for (int j = 0; j <= pos; j++) out[j] = NAN;
        return;
    }
    cut_session_attention(l->s, 0, l->il, head, pos, stage, out, NULL);
}

static struct tui_pattern *take_pattern(const struct layer *l, int query) {
    struct tui_pattern *p = tui_alloc(1, sizeof *p);
    struct cut_tensor t;
    int fit = MOST_FLOATS / (l->config->n_head * l->n);
    *p = (struct tui_pattern){ .refs = 1, .key = l->key, .layer = l->il, .n_head = l->config->n_head, .n = l->n, .real0 = l->n };
    p->n_rows = fit < 1 ? 1 : fit < l->n ? fit : l->n;
    p->row0 = query - p->n_rows / 2;
    if (p->row0 > l->n - p->n_rows) p->row0 = l->n - p->n_rows;
    if (p->row0 < 0) p->row0 = 0;
    p->data = tui_alloc((size_t)p->n_head * (size_t)p->n_rows * (size_t)p->n, sizeof *p->data);
    float *row = p->data;
    for (int h = 0; h < p->n_head; h++)
        for (int r = 0; r < p->n_rows; r++, row += p->n) take_row(l, h, p->row0 + r, CUT_ATTN_SOFTMAX, row);
    if (!cut_session_value(l->s, find(l, "pattern"), &t, NULL)) {
        p->edited = t.edited;
        if (t.data && cut_session_is_plain(l->s)) p->real0 = l->where.pos;
    }
    return p;
}

static bool serves(const struct tui_pattern *p, const struct layer *l, int query) {
    return p && p->layer == l->il && p->key == l->key && query >= p->row0 && query < p->row0 + p->n_rows;
}

static void take_closely(struct tui_attn *a, const struct layer *l) {
    const struct tui_pattern *p = a->pattern;
    a->stages = tui_alloc(4 * (size_t)p->n, sizeof *a->stages);
    for (int g = 0; g < 4; g++) take_row(l, a->head, a->query, (enum cut_attn_stage)g, a->stages + g * p->n);
    if (a->stage == CUT_ATTN_SOFTMAX) return;
    a->rows = tui_alloc((size_t)p->n_rows * (size_t)p->n, sizeof *a->rows);
    for (int r = 0; r < p->n_rows; r++) take_row(l, a->head, p->row0 + r, a->stage, a->rows + (size_t)r * (size_t)p->n);
}

/* ---- the heads of all layers */

static struct tui_heads *copy_heads(const struct tui_heads *from, const struct cut_config *c) {
    struct tui_heads *h = tui_alloc(1, sizeof *h);
    size_t n = (size_t)c->n_layer, all = n * (size_t)c->n_head;
    *h = (struct tui_heads){ .refs = 1, .n_layer = c->n_layer, .n_head = c->n_head };
    h->layer = tui_alloc(n, sizeof *h->layer);
    h->head = tui_alloc(all, sizeof *h->head);
    if (!from) return h;
    memcpy(h->layer, from->layer, n * sizeof *h->layer);
    memcpy(h->head, from->head, all * sizeof *h->head);
    return h;
}

static void score_layer(struct tui_heads *to, const struct layer *l) {
    const struct cut_config *c = l->config;
    int64_t a_row = (int64_t)c->n_layer * c->n_head * c->head_dim * (l->n ? l->n : 1), fit = MOST_WORK / a_row;
    struct tui_heads_of *of = &to->layer[l->il];
    *of = (struct tui_heads_of){ .key = l->key, .n = l->n, .rows = fit < l->n ? (int)fit : l->n };
    float *row = tui_alloc((size_t)l->n + 1, sizeof *row);
    for (int h = 0; h < c->n_head; h++) {
        struct tui_head_tally t = { 0 };
        for (int i = l->n - of->rows; i < l->n; i++) {
            take_row(l, h, i, CUT_ATTN_SOFTMAX, row);
            tui_head_row(&t, row, i, l->id);
        }
        to->head[l->il * c->n_head + h] = tui_head_score(&t);
    }
    free(row);
}

/* Bring the scores up to date; those in snapshots stay as they are. */
static void take_heads(struct tui_snap_state *st, const struct tui_snap *o, struct cut_session *s) {
    struct tui_heads *fresh = NULL;
    for (int il = 0; il < o->list->config.n_layer; il++) {
        struct layer l = layer_of(o, s, il);
        if (st->heads && st->heads->layer[il].key == l.key) continue;
        if (!fresh) fresh = copy_heads(st->heads, &o->list->config);
        score_layer(fresh, &l);
    }
    if (!fresh) return;
    drop_heads(st->heads);
    st->heads = fresh;
}

/* ---- all of it */

void tui_snap_take_attn(struct tui_snap *o, struct tui_snap_state *st, struct cut_session *s) {
    const struct tui_watch *w = &o->watch;
    if (w->attn_layer < 0 || w->attn_layer >= o->list->config.n_layer) return;
    struct tui_attn *a = tui_alloc(1, sizeof *a);
    struct layer l = layer_of(o, s, w->attn_layer);
    *a = (struct tui_attn){ .query = -1, .stage = w->attn_stage };
    a->head = w->attn_head < 0 ? 0 : w->attn_head < l.config->n_head ? w->attn_head : l.config->n_head - 1;
    o->attn = a;
    if (!o->running && l.n) {
        int last = l.n - 1, query = w->attn_pos < 0 || w->attn_pos > last ? last : w->attn_pos;
        if (!serves(st->pattern, &l, query)) {
            drop_pattern(st->pattern);
            st->pattern = take_pattern(&l, query);
        }
        a->query = query;
        a->pattern = st->pattern;
        take_closely(a, &l);
    } else if (o->running && st->pattern && st->pattern->layer == l.il && st->pattern->n <= o->n_tokens)
        a->pattern = st->pattern;
    if (!o->running && w->attn_heads) take_heads(st, o, s);
    if (w->attn_heads) a->heads = st->heads;
    if (a->pattern) __atomic_add_fetch(&st->pattern->refs, 1, __ATOMIC_RELAXED);
    if (a->heads) __atomic_add_fetch(&st->heads->refs, 1, __ATOMIC_RELAXED);
}
