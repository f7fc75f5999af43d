/* snap.c - copying out of a session what the screen shows. */
#include "tui/snap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/compare_work.h"
#include "tui/perf_work.h"
#include "tui/screen/mem.h"

enum { MOST_FLOATS = 1 << 20 };        /* of a value in a snapshot */

static void drop(const int *refs_of, void *p, void (*done)(void *p)) {
    if (p && __atomic_sub_fetch((int *)refs_of, 1, __ATOMIC_ACQ_REL) == 0) done(p);
}

static void keep(int *refs) { __atomic_add_fetch(refs, 1, __ATOMIC_RELAXED); }

/* ---- the listing */

static void free_listing(void *p) {
    struct tui_listing *l = p;
    free(l->step);
    free(l->shape);
    free(l->text);
    free(l);
}

/* Move a string into the listing's own text; twice: to count, then to copy. */
static const char *move_text(char *to, size_t *at, const char *s) {
    if (!s) return NULL;
    size_t n = strlen(s) + 1;
    char *copy = to ? memcpy(to + *at, s, n) : NULL;
    *at += n;
    return copy;
}

static void copy_step(struct cut_step *to, const struct cut_step *from, char *text, size_t *at) {
    struct cut_step c = *from;
    c.name = move_text(text, at, from->name);
    c.alias = move_text(text, at, from->alias);
    c.op = move_text(text, at, from->op);
    c.formula = move_text(text, at, from->formula);
    c.cite = move_text(text, at, from->cite);
    for (int i = 0; i < from->n_in; i++) c.in[i] = move_text(text, at, from->in[i]);
    c.weight = move_text(text, at, from->weight);
    c.kernel = move_text(text, at, from->kernel);
    c.built.file = move_text(text, at, from->built.file);
    c.built.function = move_text(text, at, from->built.function);
    c.source.file = move_text(text, at, from->source.file);
    c.source.function = move_text(text, at, from->source.function);
    *to = c;
}

/* A session that has no tokens yet tells the shapes of values of no tokens: what is 0 there counts tokens or keys. */
static void copy_shapes(struct tui_listing *l, struct cut_session *s) {
    l->shape = tui_alloc((size_t)l->n_steps, sizeof *l->shape);
    for (int i = 0; i < l->n_steps; i++) {
        struct cut_tensor t;
        if (cut_session_value(s, i, &t, NULL)) continue;
        l->shape[i] = (struct tui_shape){ t.ne[0], t.ne[1], t.axis[0] && !strcmp(t.axis[0], "key") };
    }
}

void tui_snap_state_open(struct tui_snap_state *st, struct cut_session *s, int threads) {
    const struct cut_model *m = cut_session_model(s);
    struct tui_listing *l = tui_alloc(1, sizeof *l);
    l->refs = 1;
    l->config = *cut_model_config(m);
    snprintf(l->name, sizeof l->name, "%s", cut_gguf_head(cut_model_gguf(m))->name);
    snprintf(l->type, sizeof l->type, "%s", cut_model_type_name(m));
    snprintf(l->arch, sizeof l->arch, "%s", l->config.arch);
    l->tier = cut_session_opts(s)->tier;
    l->n_ctx = cut_session_opts(s)->n_ctx;
    l->threads = threads;
    l->n_steps = cut_session_n_steps(s);
    l->step = tui_alloc((size_t)l->n_steps, sizeof *l->step);
    size_t need = 0, at = 0;
    for (int i = 0; i < l->n_steps; i++) copy_step(&l->step[i], cut_session_step_at(s, i), NULL, &need);
    l->text = tui_alloc(need, 1);
    for (int i = 0; i < l->n_steps; i++) copy_step(&l->step[i], cut_session_step_at(s, i), l->text, &at);
    copy_shapes(l, s);
    st->list = l;
    st->changes++;
}

/* ---- values */

static void free_value(void *p) {
    struct tui_value *v = p;
    free(v->data);
    free(v);
}

static void drop_value(const struct tui_value *v) {
    if (v) drop(&v->refs, (void *)v, free_value);
}

void tui_snap_state_close(struct tui_snap_state *st) {
    if (st->list) drop(&st->list->refs, st->list, free_listing);
    drop_value(st->value);
    for (int i = 0; i < 3; i++) drop_value(st->in[i]);
    tui_snap_close_attn(st);
    st->list = NULL;
    st->value = st->in[0] = st->in[1] = st->in[2] = NULL;
}

void tui_snap_state_changed(struct tui_snap_state *st) { st->changes++; }

/* The row, along the last dimension, that belongs to token `tok` of a pass of T: values with one row per output have only
 * the last. */
static int64_t token_row(const struct cut_tensor *t, int T, int tok) { return t->ne[2] == T ? tok : t->ne[2] - 1; }

/* Keys in a token's future are no part of its scores. */
static void blank_future(struct tui_value *v, int64_t visible) {
    if (strcmp(v->axis[0], "key") || !v->heads) return;
    for (int64_t r = 0; r < v->n_rows; r++)
        for (int64_t c = visible; c < v->cols; c++) v->data[r * v->cols + c] = NAN;
}

/* alone: the token's numbers only, not those of the pass's other tokens. */
static struct tui_value *copy_value(const struct cut_tensor *t, int step, struct cut_where at, int pos, bool alone) {
    struct tui_value *v = tui_alloc(1, sizeof *v);
    *v = (struct tui_value){ .refs = 1, .step = step, .pos = pos, .tag = t->tag, .edited = t->edited };
    for (int i = 0; i < 3; i++) {
        v->ne[i] = t->ne[i];
        if (t->axis[i]) snprintf(v->axis[i], sizeof v->axis[i], "%s", t->axis[i]);
    }
    int64_t row = token_row(t, at.n_tokens, pos - at.pos);
    v->heads = t->ne[1] > 1;
    v->cols = t->ne[0];
    v->rows = v->heads ? t->ne[1] : t->ne[2];
    v->token_row = v->heads ? -1 : row;
    if (!t->data || v->cols < 1 || v->rows < 1 || row < 0) return v;

    const float *plane = t->data + (v->heads ? row * v->cols * v->rows : 0);
    int64_t fit = MOST_FLOATS / v->cols > 0 ? MOST_FLOATS / v->cols : 1;
    if (alone && !v->heads) fit = 1;
    v->n_rows = v->rows < fit ? v->rows : fit;
    v->row0 = v->heads || row < v->n_rows / 2 ? 0 : row - v->n_rows / 2;
    if (v->row0 > v->rows - v->n_rows) v->row0 = v->rows - v->n_rows;
    size_t n = (size_t)(v->n_rows * v->cols);
    v->data = tui_alloc(n, sizeof *v->data);
    memcpy(v->data, plane + v->row0 * v->cols, n * sizeof *v->data);
    blank_future(v, pos + 1);
    if (v->heads) cut_tensor_stats(v->data, (int64_t)n, &v->stats);
    else cut_tensor_stats(plane + row * v->cols, v->cols, &v->stats);
    return v;
}

/* The cell of largest magnitude among the token's numbers. */
static void largest(const struct tui_value *v, int64_t *row, int64_t *col) {
    int64_t r0 = v->token_row < 0 ? v->row0 : v->token_row, r1 = v->token_row < 0 ? v->row0 + v->n_rows : r0 + 1;
    float best = -1;
    *row = r0;
    *col = 0;
    for (int64_t r = r0; r < r1; r++) {
        for (int64_t c = 0; c < v->cols; c++) {
            float x = fabsf(v->data[(r - v->row0) * v->cols + c]);
            if (x > best) best = x, *row = r, *col = c;      /* NAN is never larger */
        }
    }
}

/* What the step reads, for the token at `pos`. A value reread at each change of the watch would be a copy for nothing. */
static void take_inputs(struct tui_snap *o, struct tui_snap_state *st, struct cut_session *s, int pos) {
    const struct cut_step *step = &st->list->step[o->step];
    bool fresh = st->in_changes != st->changes;
    for (int i = 0; i < 3; i++) {
        int from = i < step->n_in ? cut_session_find_step(s, step->in[i]) : -1;
        struct tui_value *v = st->in[i];
        struct cut_tensor t;
        if (fresh || !v || v->step != from || v->pos != pos) {
            drop_value(v);
            st->in[i] = v = NULL;
            if (from >= 0 && !cut_session_value(s, from, &t, NULL)) st->in[i] = v = copy_value(&t, from, o->where, pos, true);
        }
        if (v) keep(&v->refs);
        o->in[i] = v;
    }
    st->in_changes = st->changes;
}

/* The row of the step's weights that the cell at o->row, o->col comes from: of a matrix product the row of its output, of a
 * lookup that of its token; a vector is its own only row. */
static void take_weight(struct tui_snap *o, const struct cut_model *m, const struct cut_step *step, int pos) {
    const struct cut_tensor_info *t = step->weight ? cut_gguf_find_tensor(cut_model_gguf(m), step->weight) : NULL;
    if (!t || !t->data || !cut_type_info(t->type)->runs || t->ne[0] > MOST_FLOATS) return;
    uint64_t n = t->ne[0], rows = t->ne[1];
    int64_t row = 0;
    if (!strcmp(step->op, "get_rows")) row = pos < o->n_tokens ? o->token[pos].id : -1;
    else if (rows > 1) row = o->value->heads ? o->row * o->value->cols + o->col : o->col;
    if (row < 0 || (uint64_t)row >= rows) return;
    struct tui_value *v = tui_alloc(1, sizeof *v);
    *v = (struct tui_value){ .refs = 1, .step = -1, .pos = -1, .ne = { (int64_t)n, (int64_t)rows, 1 }, .rows = (int64_t)rows,
                             .cols = (int64_t)n, .row0 = row, .n_rows = 1, .token_row = -1 };
    v->data = tui_alloc(n, sizeof *v->data);
    cut_decode(t->type, (const char *)t->data + (uint64_t)row * (t->bytes / rows), v->data, n);
    cut_tensor_stats(v->data, v->cols, &v->stats);
    o->weight = v;
    o->weight_type = t->type;
}

static int64_t clamp(int64_t x, int64_t lo, int64_t hi) { return x > hi ? hi < lo ? lo : hi : x < lo ? lo : x; }

static void take_value(struct tui_snap *o, struct tui_snap_state *st, struct cut_session *s, const struct tui_watch *w) {
    struct cut_tensor t;
    o->step = w->step >= 0 && w->step < st->list->n_steps ? w->step : o->where.step - 1;
    if (o->step < 0) return;
    cut_session_cost(s, o->step, &o->cost_bytes, &o->cost_flops);
    struct tui_value *v = st->value;
    bool same = v && st->value_changes == st->changes && v->step == o->step && v->pos == o->pos;
    if (!same) {
        if (cut_session_value(s, o->step, &t, NULL)) return;
        drop_value(v);
        st->value = v = copy_value(&t, o->step, o->where, o->pos, false);
        st->value_changes = st->changes;
    }
    keep(&v->refs);
    o->value = v;
    if (v->data) {
        largest(v, &o->row, &o->col);
        if (w->row >= 0) o->row = clamp(w->row, v->row0, v->row0 + v->n_rows - 1);
        if (w->col >= 0) o->col = clamp(w->col, 0, v->cols - 1);
    }
    if (!o->running) {
        bool by_token = v->data && !v->heads && v->ne[2] == o->where.n_tokens;       /* a row of the plane is a token */
        int pos = by_token ? o->where.pos + (int)o->row : o->pos;
        take_inputs(o, st, s, pos);
        take_weight(o, cut_session_model(s), &st->list->step[o->step], pos);
    }
    if (!v->data || !w->explain) return;
    int64_t tok = v->ne[2] == o->where.n_tokens ? o->pos - o->where.pos : v->ne[2] - 1;
    int64_t at[3] = { o->col, v->heads ? o->row : 0, v->heads ? tok : o->row };
    o->has_explain = !cut_session_explain(s, o->step, at, &o->explain, &o->explain_err);
}

/* ---- tokens and what comes next */

/* As it stands in the text; tokens that stand for no text, or for a part of a character, by their piece: "<s>", "<0xC3>". */
void tui_snap_token(struct tui_token *t, const struct cut_vocab *v, int32_t id) {
    char buf[sizeof t->text - 1];
    size_t n = cut_vocab_text(v, id, buf, sizeof buf), at = 0;
    uint32_t cp;
    t->id = id;
    if (n == sizeof buf) n -= cut_utf8_tail(buf, n);
    for (int step; at < n && (step = cut_utf8_decode(buf + at, n - at, &cp)) > 0;) at += (size_t)step;
    if (!n || at < n) {
        const char *piece = cut_vocab_piece(v, id);
        snprintf(t->text, sizeof t->text, "%s", piece ? piece : "?");
        return;
    }
    memcpy(t->text, buf, n);
    t->text[n] = 0;
}

static void take_tokens(struct tui_snap *o, struct cut_session *s, const struct cut_vocab *v) {
    const int32_t *ids = cut_session_tokens(s, 0, &o->n_tokens);
    o->token = tui_alloc((size_t)o->n_tokens, sizeof *o->token);
    for (int i = 0; i < o->n_tokens; i++) tui_snap_token(&o->token[i], v, ids[i]);
    bool whole = o->where.n_tokens && o->where.step == o->where.n_steps;
    o->n_done = o->where.pos + (whole ? o->where.n_tokens : 0);
}

static void take_next(struct tui_snap *o, struct cut_session *s, const struct cut_model *m) {
    if (!o->where.n_tokens || o->where.step != o->where.n_steps) return;
    o->chosen = cut_session_sampled(s, -1);
    const float *logits = cut_session_logits(s, -1);
    if (!logits) return;
    int n = cut_model_config(m)->n_vocab;
    o->n_top = cut_top(logits, n, o->top, (int)(sizeof o->top / sizeof *o->top));
    for (int i = 0; i < o->n_top; i++) tui_snap_token(&o->top_token[i], cut_model_vocab(m), o->top[i].id);
    /* H = log Z - sum p l, with l measured from the largest */
    double z = 0, pl = 0, most = o->n_top ? o->top[0].logit : 0;
    for (int i = 0; i < n; i++) {
        double l = logits[i] - most, e = exp(l);
        z += e;
        pl += e * l;
    }
    o->top_entropy = (float)((log(z) - pl / z) / log(2));
}

/* ---- all of it */

static void *copy_array(const void *from, int n, size_t size) {
    void *p = tui_alloc((size_t)(n > 0 ? n : 1), size);
    if (n > 0) memcpy(p, from, (size_t)n * size);
    return p;
}

struct tui_snap *tui_snap_take(struct tui_snap_state *st, struct cut_session *s, const struct tui_watch *w, bool running) {
    struct tui_snap *o = tui_alloc(1, sizeof *o);
    o->refs = 1;
    o->seq = ++st->seq;
    o->watch = *w;
    o->running = running;
    o->step = o->pos = -1;
    if (!s) return o;
    const struct cut_model *m = cut_session_model(s);
    if (running) st->changes++;
    keep(&st->list->refs);
    o->list = st->list;
    o->where = cut_session_where(s);
    take_tokens(o, s, cut_model_vocab(m));
    o->time = tui_alloc((size_t)st->list->n_steps, sizeof *o->time);
    for (int i = 0; i < st->list->n_steps; i++) o->time[i] = (float)cut_session_step_time(s, i);
    const struct cut_break *brk;
    o->n_breaks = cut_session_breaks(s, &brk);
    o->brk = copy_array(brk, o->n_breaks, sizeof *brk);
    const struct cut_edit *edit;
    o->n_edits = cut_session_edits(s, &edit);
    o->edit = copy_array(edit, o->n_edits, sizeof *edit);
    o->pos = (int)clamp(w->pos >= 0 ? w->pos : INT32_MAX, o->where.pos, o->where.pos + o->where.n_tokens - 1);
    if (!o->where.n_tokens) o->pos = -1;
    if (o->pos >= 0) take_value(o, st, s, w);
    tui_snap_take_attn(o, st, s);
    take_next(o, s, m);
    o->counters = cut_session_counters(s);
    o->memory = cut_session_memory(s);
    o->kv = cut_session_kv(s);
    return o;
}

static void free_snap(void *p) {
    struct tui_snap *s = p;
    if (s->list) drop(&s->list->refs, (void *)s->list, free_listing);
    drop_value(s->value);
    for (int i = 0; i < 3; i++) drop_value(s->in[i]);
    drop_value(s->weight);
    if (s->has_explain) cut_explain_done(&s->explain);
    tui_snap_free_attn(s->attn);
    tui_cmp_free(s->cmp);
    tui_perf_free(s->perf);
    free(s->token);
    free(s->time);
    free(s->brk);
    free(s->edit);
    free(s);
}

void tui_snap_free(const struct tui_snap *s) {
    if (s) drop(&s->refs, (void *)s, free_snap);
}
