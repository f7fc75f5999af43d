/* attention.c - who looks at whom: the attention of a layer. State, keys, layout. */
#include "tui/view/attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/screen/mem.h"
#include "tui/view/strip.h"

/* ---- what is looked at */

const float *attention_pattern_row(const struct tui_pattern *p, int head, int query) {
    if (!p || head < 0 || head >= p->n_head || query < p->row0 || query >= p->row0 + p->n_rows) return NULL;
    return p->data + ((size_t)head * (size_t)p->n_rows + (size_t)(query - p->row0)) * (size_t)p->n;
}

static int strongest(const float *row, int n) {
    int best = 0;
    for (int j = 1; j < n; j++)
        if (row[j] > row[best]) best = j;
    return best;
}

struct attention_at attention_at(const struct attention_view *v) {
    struct attention_at at = { .snap = tui_app_snap(v->app), .query = -1, .key = -1 };
    at.attn = at.snap->attn;
    at.p = at.attn ? at.attn->pattern : NULL;
    if (!at.p) return at;
    at.head = v->head < at.p->n_head ? v->head : at.p->n_head - 1;
    at.query = v->query < 0 || v->query >= at.p->n ? at.p->n - 1 : v->query;
    at.row = attention_pattern_row(at.p, at.head, at.query);
    at.key = v->key < 0 ? (at.row ? strongest(at.row, at.query + 1) : at.query) : v->key > at.query ? at.query : v->key;
    if (at.attn->stages && at.attn->query == at.query && at.attn->head == at.head) at.stages = at.attn->stages;
    return at;
}

const char *attention_token(const struct tui_snap *s, int pos, char *buf) {
    const char *t = pos >= 0 && pos < s->n_tokens ? s->token[pos].text : "";
    size_t blanks = strspn(t, " ");
    if (t[blanks]) cut_utf8_escape(buf, 64, t + blanks, strlen(t + blanks));
    else snprintf(buf, 64, "'%s'", t);
    return buf;
}

const char *attention_stage_name(enum cut_attn_stage s) {
    static const char *const names[] = { "raw q.k", "scaled", "softmax", "x |v|" };
    return names[s];
}

int attention_group(const struct tui_snap *s, int head) {
    return head / (s->list->config.n_head / s->list->config.n_head_kv);
}

bool attention_is_zeroed(const struct tui_snap *s, int layer, int head) {
    char name[64];
    snprintf(name, sizeof name, "blk.%d.z", layer);
    for (int i = 0; i < s->n_edits; i++) {
        const struct cut_edit *e = &s->edit[i];
        if (!strcmp(e->step, name) && e->value == 0 && e->i0 < 0 && (e->i1 < 0 || e->i1 == head)) return true;
    }
    return false;
}

const char *attention_share(double p, char buf[16]) {
    if (!(p > 0)) return strcpy(buf, "0");
    if (p < 0.0005) return strcpy(buf, "<.001");
    snprintf(buf, 16, p >= 0.9995 ? "%.2f" : "%.3f", p);
    if (buf[0] == '0') memmove(buf, buf + 1, strlen(buf));
    return buf;
}

const char *attention_score_text(float x, char buf[16]) {
    float size = fabsf(x);
    if (!(size < 999.5f)) return tui_num_digits(x, 4, 2, buf);
    snprintf(buf, 16, "%.*f", size < 0.995f ? 2 : size < 9.95f ? 1 : 0, (double)x);
    char *p = buf + (buf[0] == '-');
    if (p[0] == '0' && p[1] == '.') memmove(p, p + 1, strlen(p));
    return buf;
}

int attention_level(float p) {
    int level = (int)ceilf(p * 9 - 0.045f);
    return level < 0 ? 0 : level > 9 ? 9 : level;
}

void attention_glyph(struct tui_area a, int x, int y, int w, float p) {
    if (isnan(p)) return;
    int level = attention_level(p);
    for (int i = 0; i < w; i++) {
        if (a.g->fills) tui_put(a, x + i, y, (tui_style)(TUI_SEQ0 + level) | TUI_FILL | TUI_FAINT, ' ');
        else tui_put(a, x + i, y, (tui_style)(TUI_SEQ0 + level), tui_ramp(a.g, level));
    }
}

/* ---- telling the worker */

static void watch(struct attention_view *v) {
    struct attention_at at = attention_at(v);
    struct tui_watch *w = tui_app_watch(v->app), was = *w;
    w->attn_layer = v->layer;
    w->attn_head = v->head;
    w->attn_pos = v->query;
    w->attn_stage = v->stage;
    w->attn_heads = true;
    w->explain = v->dot && at.p;
    w->step = -1;
    w->pos = v->step_pos;
    w->row = w->col = -1;
    for (int i = 0; w->explain && i < at.snap->list->n_steps; i++) {
        char name[32];
        snprintf(name, sizeof name, "blk.%d.scores", v->layer);
        if (strcmp(at.snap->list->step[i].name, name)) continue;
        w->step = i;
        w->pos = at.query;
        w->row = at.head;
        w->col = at.key;
    }
    if (memcmp(&was, w, sizeof was)) tui_app_watch_changed(v->app);
}

static unsigned looked(struct attention_view *v) {
    watch(v);
    return TUI_HANDLED | TUI_REDRAW;
}

/* ---- keys */

static int clamp(int x, int lo, int hi) { return x > hi ? hi < lo ? lo : hi : x < lo ? lo : x; }

static const struct cut_config *config(const struct attention_view *v) {
    const struct tui_listing *l = tui_app_snap(v->app)->list;
    return l ? &l->config : NULL;
}

static unsigned key_head(void *self, int key) {
    struct attention_view *v = self;
    if (config(v)) v->head = clamp(v->head + (key == 'J' ? 1 : -1), 0, config(v)->n_head - 1);
    return looked(v);
}

static unsigned key_layer(void *self, int key) {
    struct attention_view *v = self;
    if (config(v)) v->layer = clamp(v->layer + (key == ']' ? 1 : -1), 0, config(v)->n_layer - 1);
    return looked(v);
}

static unsigned key_stage(void *self, int key) {
    struct attention_view *v = self;
    (void)key;
    v->stage = (enum cut_attn_stage)((v->stage + 1) % 4);
    return looked(v);
}

static unsigned key_measure(void *self, int key) {
    struct attention_view *v = self;
    (void)key;
    v->measure = (enum tui_score)((v->measure + 1) % TUI_SCORE_COUNT);
    return TUI_HANDLED | TUI_REDRAW;
}

/* Without the head the residual stream lacks what it would have added: W_O times zeros. */
static unsigned key_zero(void *self, int key) {
    struct attention_view *v = self;
    struct attention_at at = attention_at(v);
    struct cut_edit zero = { .op = CUT_EDIT_SCALE, .value = 0, .i0 = -1, .i1 = at.head, .pos1 = -1 };
    (void)key;
    if (!at.p) tui_app_say(v->app, TUI_WARN, "nothing to zero yet: c runs the tokens");
    else if (attention_is_zeroed(at.snap, at.p->layer, at.head))
        tui_app_say(v->app, TUI_WARN, "head %d of layer %d is zero already; u takes the last edit back", at.head, at.p->layer);
    else {
        snprintf(zero.step, sizeof zero.step, "blk.%d.z", at.p->layer);
        tui_app_post(v->app, &(struct tui_cmd){ .kind = TUI_CMD_EDIT, .edit = zero });
    }
    return TUI_HANDLED | TUI_REDRAW;
}

static unsigned key_dot(void *self, int key) {
    struct attention_view *v = self;
    v->dot = key == TUI_KEY_ENTER && !v->dot;
    return looked(v);
}

static unsigned key_run(void *self, int key) {
    struct attention_view *v = self;
    const struct tui_snap *s = tui_app_snap(v->app);
    bool more = s->where.n_queued || s->where.step < s->where.n_steps;
    if (!s->n_tokens) tui_app_ask_prompt(v->app);
    else if (key == 'c' && !more) tui_app_say(v->app, TUI_TEXT, "all tokens are computed: a takes the likeliest next one");
    else tui_app_post(v->app, &(struct tui_cmd){ .kind = key == 'a' && !more ? TUI_CMD_NEXT : TUI_CMD_RUN, .n = 1 });
    return TUI_HANDLED | TUI_REDRAW;
}

static const struct tui_key keys[] = {
    { 'h', "cell", "choose key and query", NULL },
    { 'j', NULL, NULL, NULL },
    { 'k', NULL, NULL, NULL },
    { 'l', NULL, NULL, NULL },
    { 'J', "head", "next, previous head", key_head },
    { 'K', NULL, NULL, key_head },
    { ']', "layer", "next, previous layer", key_layer },
    { '[', NULL, NULL, key_layer },
    { 's', "stage", "raw, scaled, softmax, |v|", key_stage },
    { 'x', "zero", "zero this head; u undoes", key_zero },
    { TUI_KEY_ENTER, "q.k", "q.k, term by term", key_dot },
    { 'm', "measure", "next measure of all heads", key_measure },
    { 'c', "run", "run to the end or a break", key_run },
    { 'a', "accept", "take the likeliest token", key_run },
};

static unsigned move(struct attention_view *v, int key) {
    struct attention_at at = attention_at(v);
    int move = tui_key_move(key), query = at.query, k = at.key, page = v->body.h > 2 ? v->body.h - 1 : 8;
    if (!at.p) return 0;
    switch (move) {
    case TUI_KEY_LEFT: case TUI_KEY_RIGHT: k += move == TUI_KEY_LEFT ? -1 : 1; break;
    case TUI_KEY_UP: case TUI_KEY_DOWN: query += move == TUI_KEY_UP ? -1 : 1; break;
    case TUI_KEY_PAGE_UP: case TUI_KEY_PAGE_DOWN: query += move == TUI_KEY_PAGE_UP ? -page : page; break;
    case TUI_KEY_HOME: query = 0; break;
    case TUI_KEY_END: query = at.p->n - 1; break;
    default: return 0;
    }
    if (k != at.key) v->key = clamp(k, 0, at.query);
    if (query != at.query) {
        query = clamp(query, 0, at.p->n - 1);
        v->query = query == at.p->n - 1 ? -1 : query;      /* the last one stays the last when tokens are added */
    }
    return looked(v);
}

static unsigned any_key(void *self, int key) {
    struct attention_view *v = self;
    if (key != TUI_KEY_ESC) return move(v, key);
    if (v->dot) return key_dot(v, key);
    v->key = v->query = -1;
    return looked(v);
}

static unsigned mouse(void *self, int x, int y, int button) {
    struct attention_view *v = self;
    struct attention_at at = attention_at(v);
    int col = x - v->body.x, row = y + 1 - v->body.y;      /* the body is in screen coordinates; views start at row 1 */
    if (button > 1) return move(v, button == 4 ? TUI_KEY_UP : TUI_KEY_DOWN);
    if (!at.p || col < 0 || col >= v->body.w || row < 0 || row >= v->body.h) return 0;
    int query = v->rows.top + row, key = v->cols.top + col / v->pitch;
    if (query >= at.p->n || key > query) return 0;
    v->query = query == at.p->n - 1 ? -1 : query;
    v->key = key;
    return looked(v);
}

/* A token that contains the text, as query. */
static bool find(void *self, const char *text, int direction) {
    struct attention_view *v = self;
    struct attention_at at = attention_at(v);
    if (!at.p) return false;
    for (int i = at.query + direction; i >= 0 && i < at.p->n; i += direction) {
        if (!strstr(at.snap->token[i].text, text)) continue;
        v->query = i;
        watch(v);
        return true;
    }
    return false;
}

/* ---- layout */

/* "blk.2 head 3 (KV head 1)  stage: raw scaled [softmax] x|v|   layer 3 of 5" */
static void draw_header(struct attention_view *v, struct tui_area row) {
    struct attention_at at = attention_at(v);
    const struct cut_config *c = config(v);
    bool wide = row.w >= 120;
    if (!c) return;
    int layer = at.p ? at.p->layer : v->layer;
    int x = tui_textf(row, 1, 0, TUI_TITLE | TUI_BOLD, "layer %d head %d", layer, at.head);
    x = tui_textf(row, x + 1, 0, TUI_DIM, "(KV head %d)", attention_group(at.snap, at.head));
    x = tui_text(row, x + (wide ? 4 : 2), 0, TUI_DIM, "stage");
    for (int s = 0; s < 4; s++) {
        bool on = s == (int)v->stage;
        x = tui_textf(row, x + 1, 0, on ? TUI_FOCUS | TUI_BOLD : TUI_DIM, on ? "[%s]" : "%s",
                      attention_stage_name((enum cut_attn_stage)s));
    }
    if (!at.p) return;
    int x1 = row.w - 1;
    if (at.p->edited) x1 = tui_text_right(row, x1, 0, TUI_EDITED | TUI_BOLD, "EDITED") - 1;
    bool real = at.query >= at.p->real0 && (v->stage == CUT_ATTN_SOFTMAX || v->stage == CUT_ATTN_SCALED);
    x1 = tui_text_right(row, x1, 0, real ? TUI_GOOD : TUI_DERIVED, real ? "[REAL]" : "[DERIVED]") - 2;
    if (!wide) return;
    char facts[96];
    snprintf(facts, sizeof facts, "%d tokens   %d heads over %d KV heads   scale 1/sqrt(%d)   RoPE theta %g", at.p->n,
             c->n_head, c->n_head_kv, c->head_dim, (double)c->rope_base);
    if (x + 2 + (int)strlen(facts) < x1) tui_text_right(row, x1, 0, TUI_DIM, facts);
}

/* While there is no attention to show: how to come by some. */
static void draw_nothing(struct attention_view *v, struct tui_area a) {
    const struct tui_snap *s = tui_app_snap(v->app);
    struct tui_area in = tui_pane(a, "query rows, key columns", NULL, true);
    in = tui_part(in, 2, 1, in.w - 4, in.h - 2);
    if (!s->list) tui_text_wrap(in, 0, TUI_DIM, "No model is open. :open FILE opens one.");
    else if (!s->n_tokens) tui_text_wrap(in, 0, TUI_DIM, "There are no tokens yet. o types a prompt.");
    else if (!s->running) {
        char line[160];
        snprintf(line, sizeof line, "Layer %d has no keys yet: they are stored by blk.%d.kv_store. c runs on to the end of "
                 "the pass; the stepper (1) goes there step by step.", v->layer, v->layer);
        tui_text_wrap(in, 0, TUI_DIM, line);
    }
}

static void draw_narrow(struct attention_view *v, struct tui_area a) {
    attention_draw_summary(v, tui_cut_bottom(&a, 1));
    struct attention_at at = attention_at(v);
    attention_draw_strips(v, tui_cut_bottom(&a, at.p->n_head > 4 ? 4 : 3));
    attention_draw_row(v, tui_cut_right(&a, 34));
    attention_draw_matrix(v, a);
}

static void draw_wide(struct attention_view *v, struct tui_area a) {
    struct tui_area right = tui_cut_right(&a, a.w >= 150 ? 42 : 36);
    struct tui_area effect = tui_cut_bottom(&right, right.h >= 40 ? 12 : 10), scores = tui_cut_bottom(&right, 8);
    struct tui_area thumbs = tui_cut_bottom(&a, a.h >= 40 ? 14 : 10), grid = tui_cut_left(&a, attention_grid_width(v));
    attention_draw_thumbnails(v, thumbs);
    attention_draw_grid(v, grid);
    attention_draw_matrix(v, a);
    attention_draw_row(v, right);
    attention_draw_scores(v, scores);
    attention_draw_effect(v, effect);
}

static void draw(void *self, struct tui_area a) {
    struct attention_view *v = self;
    struct attention_at at = attention_at(v);
    v->body.w = 0;
    if (a.w >= 120) tui_draw_strip(v->app, tui_part(tui_cut_top(&a, 1), 1, 0, a.w - 2, 1));
    draw_header(v, tui_cut_top(&a, 1));
    if (!at.p || !at.snap->n_tokens) draw_nothing(v, a);
    else if (a.w >= 120 && a.h >= 31) draw_wide(v, a);
    else draw_narrow(v, a);
}

/* The cell in words: from a product to a share. */
static void status(void *self, struct tui_area row) {
    struct attention_at at = attention_at(self);
    char a[64], b[64], num[16];
    if (!at.p || !at.stages) return;
    const float *s = at.stages + at.key;
    attention_token(at.snap, at.query, a);
    attention_token(at.snap, at.key, b);
    int x = tui_textf(row, 0, 0, TUI_TEXT, "\"%.12s\" to \"%.12s\"", a, b), d = at.snap->list->config.head_dim;
    x = tui_text(row, tui_text(row, x, 0, TUI_DIM, ":  q.k "), 0, TUI_TEXT, attention_score_text(s[0], num));
    x = tui_textf(row, x, 0, TUI_DIM, "  / sqrt(%d) = ", d);
    x = tui_text(row, x, 0, TUI_TEXT, attention_score_text(s[at.p->n], num));
    x = tui_text(row, tui_text(row, x, 0, TUI_DIM, "  softmax "), 0, TUI_TEXT, attention_share(s[2 * at.p->n], num));
    if (isnan(s[3 * at.p->n])) return;
    tui_text(row, tui_text(row, x, 0, TUI_DIM, "  x |v| "), 0, TUI_TEXT, attention_share(s[3 * at.p->n], num));
}

/* ---- the class */

static void *new(struct tui_app *app) {
    struct attention_view *v = tui_alloc(1, sizeof *v);
    v->app = app;
    v->query = v->key = v->step_seen = v->step_pos = -1;
    v->stage = CUT_ATTN_SOFTMAX;
    v->measure = TUI_SCORE_PREVIOUS;
    return v;
}

/* When the session has moved since we looked: the layer it is in; after the last, the last. */
static void follow(struct attention_view *v) {
    const struct tui_snap *s = tui_app_snap(v->app);
    if (!s->list || s->where.step == v->step_seen) return;
    v->step_seen = s->where.step;
    if (s->where.step < 1 || s->where.step == s->where.n_steps) return;
    int layer = s->list->step[s->where.step - 1].layer;
    if (layer >= 0) v->layer = layer;
}

static void snap(void *self) {
    struct attention_view *v = self;
    const struct cut_config *c = config(v);
    if (c) {
        v->layer = clamp(v->layer, 0, c->n_layer - 1);
        v->head = clamp(v->head, 0, c->n_head - 1);
    }
    attention_note_run(v);
    watch(v);
}

static void show(void *self) {
    struct attention_view *v = self;
    v->step_pos = tui_app_watch(v->app)->pos;
    if (v->step_pos >= 0) v->query = v->step_pos;
    follow(v);
    snap(self);
}

const struct tui_view_class tui_view_attention = {
    .title = "Attention", .brief = "attn", .digit = '2',
    .about = "Who looks at whom. Each row of the matrix is a token asking (query), each column a token that can answer "
             "(key): the cell is how much of the answer the row takes from there, and a row sums to 1. A token sees no "
             "future, so the upper right stays blank. The pattern is recomputed from the kept queries and the cached keys "
             "(DERIVED).",
    .keys = keys, .n_keys = sizeof keys / sizeof *keys,
    .new = new, .free = free, .show = show, .snap = snap, .draw = draw, .status = status, .key = any_key, .mouse = mouse,
    .find = find,
};
