/* attention.c - the attention of a layer: one head as a triangle of queries and keys, one row of it as a list, and the same
 * row of every head side by side. Recomputed from kept queries and the cached keys, hence DERIVED. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/screen/mem.h"
#include "tui/view/strip.h"

struct attn_view {
    struct tui_app *app;
    int layer, head, pos, key;         /* pos, key -1: the last token; the key it looks at most */
    enum cut_attn_stage stage;
    enum { PANE_TRIANGLE, PANE_HEADS } focus;
    struct tui_heat heat;
    struct tui_area at_triangle, at_heads;
    int heads_per_row, head_w;
};

static const char *const stage_names[] = { "raw q.k", "scaled", "softmax", "p*|v|" };

static const struct tui_attn *shown(const struct attn_view *v) {
    const struct tui_attn *a = tui_app_snap(v->app)->attn;
    return a && a->layer == v->layer && a->stage == v->stage ? a : NULL;
}

static bool is_share(const struct attn_view *v) { return v->stage == CUT_ATTN_SOFTMAX || v->stage == CUT_ATTN_VALUE; }

static void watch(struct attn_view *v) {
    struct tui_watch *w = tui_app_watch(v->app), was = *w;
    w->attn_layer = v->layer;
    w->attn_head = v->head;
    w->attn_pos = v->pos;
    w->attn_stage = v->stage;
    w->explain = false;
    if (memcmp(&was, w, sizeof was)) tui_app_watch_changed(v->app);
}

/* ---- numbers about a row */

static int largest(const float *row, int n) {
    int best = 0;
    for (int i = 1; i < n; i++)
        if (isnan(row[best]) || row[i] > row[best]) best = i;
    return best;
}

/* In bits; log2(n) is a head that looks everywhere, 0 one that looks at one key. */
static double entropy(const float *row, int n) {
    double h = 0;
    for (int i = 0; i < n; i++)
        if (row[i] > 0) h -= (double)row[i] * log2((double)row[i]);
    return h;
}

static float widest(const float *x, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++)
        if (fabsf(x[i]) > most) most = fabsf(x[i]);
    return most > 0 ? most : 1;
}

/* ---- the triangle */

static const char *token_row(void *user, int64_t row, char buf[32]) {
    const struct tui_snap *s = tui_app_snap(((struct attn_view *)user)->app);
    char label[64];
    snprintf(buf, 32, "%d %.26s", (int)row, row < s->n_tokens ? tui_token_label(&s->token[row], label) : "");
    return buf;
}

static const char *token_column(void *user, int64_t col, char buf[32]) {
    const struct tui_snap *s = tui_app_snap(((struct attn_view *)user)->app);
    char label[64];
    const char *t = col < s->n_tokens ? tui_token_label(&s->token[col], label) : "?";
    snprintf(buf, 32, "%.30s", t + (*t == ' ' && t[1]));
    return buf;
}

static void draw_triangle(struct attn_view *v, struct tui_area area) {
    const struct tui_attn *a = shown(v);
    char title[64];
    snprintf(title, sizeof title, "blk.%d head %d: rows ask, columns answer", v->layer, v->head);
    struct tui_area in = tui_pane(area, title, "[DERIVED]", v->focus == PANE_TRIANGLE);
    in = tui_part(in, 1, 0, in.w - 2, in.h);
    v->at_triangle = in;
    if (!a || !a->tri) {
        tui_text_wrap(in, 1, TUI_DIM, a ? "The text is too long for a triangle; the row beside it is whole." : "");
        return;
    }
    struct tui_area legend = tui_cut_bottom(&in, 1);
    struct tui_heat *h = &v->heat;
    *h = (struct tui_heat){ .data = a->tri, .rows = a->n, .cols = a->n, .row = a->pos, .mark = -1, .label_w = 10, .numbers = true,
                            .window = true, .row_label = token_row, .col_label = token_column, .user = v, .unsigned_ = is_share(v) };
    h->scale = is_share(v) ? 1 : widest(a->tri, (size_t)a->n * (size_t)a->n);
    h->col = v->key >= 0 ? v->key : largest(a->tri + (size_t)a->pos * (size_t)a->n, a->pos + 1);
    tui_heat_draw(in, h);
    int end = tui_heat_legend(legend, legend.w, 0, h);
    tui_text_fit(legend, 0, end - 2, 0, TUI_DIM, "blank: the future, hidden from the row");
}

/* ---- the row as a list, largest first */

struct share { int key; float x; };

static int by_size(const void *a, const void *b) {
    const struct share *p = a, *q = b;
    return p->x != q->x ? (p->x < q->x) - (p->x > q->x) : p->key - q->key;
}

static void draw_row(struct attn_view *v, struct tui_area area) {
    const struct tui_snap *s = tui_app_snap(v->app);
    const struct tui_attn *a = shown(v);
    char title[64] = "the row", label[64], token[32], num[16];
    if (a && a->pos < s->n_tokens) snprintf(title, sizeof title, "%d \"%s\" looks at", a->pos, s->token[a->pos].text);
    struct tui_area in = tui_pane(area, title, NULL, false);
    in = tui_part(in, 1, 0, in.w - 2, in.h);
    if (!a) return;
    const float *row = a->row + (size_t)a->head * (size_t)a->n;
    int n = a->pos + 1;
    if (isnan(row[0])) {
        tui_text_wrap(in, 0, TUI_DIM, "Not computed yet: this pass has not come to this layer. c runs on.");
        return;
    }
    struct share *k = tui_alloc((size_t)n, sizeof *k);
    float most = widest(row, (size_t)n);
    for (int i = 0; i < n; i++) k[i] = (struct share){ i, row[i] };
    qsort(k, (size_t)n, sizeof *k, by_size);
    int foot = is_share(v) ? 2 : 0;
    for (int y = 0; y < n && y < in.h - foot; y++) {
        bool cursor = k[y].key == v->heat.col;
        snprintf(label, sizeof label, "%3d %s", k[y].key, token_column(v, k[y].key, token));
        if (cursor) tui_put(in, 0, y, TUI_FOCUS | TUI_BOLD, tui_glyph(in.g, TUI_G_CURSOR));
        struct tui_area line = tui_part(in, 1, y, in.w - 1, 1);
        tui_bar_row(line, 0, 14, label, tui_num(k[y].x, 5, num), 5, k[y].x < 0 ? TUI_SERIES1 : TUI_SERIES2, (double)(fabsf(k[y].x) / most));
    }
    free(k);
    if (!foot) return;
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)row[i];
    tui_textf(in, 0, in.h - 2, TUI_DIM, "entropy %.2f of %.2f bits", entropy(row, n), log2(n));
    tui_textf(in, 0, in.h - 1, TUI_DIM, "the row sums to %.6f", sum);
}

/* ---- every head */

static void draw_heads(struct attn_view *v, struct tui_area area) {
    const struct tui_snap *s = tui_app_snap(v->app);
    const struct tui_attn *a = shown(v);
    char title[96] = "all heads", most[32], num[16];
    if (a && a->pos < s->n_tokens) snprintf(title, sizeof title, "all heads of the layer, row %d \"%s\"", a->pos, s->token[a->pos].text);
    struct tui_area in = tui_pane(area, title, NULL, v->focus == PANE_HEADS);
    in = tui_part(in, 1, 0, in.w - 2, in.h);
    v->at_heads = in;
    if (!a) return;
    int group = a->n_head / s->list->config.n_head_kv, rows = in.h > 0 ? in.h : 1;
    int per_row = (a->n_head + rows - 1) / rows, slot = in.w / per_row;
    if (slot < 12) slot = 12, per_row = in.w / slot > 0 ? in.w / slot : 1;
    int cells = slot - 8 < a->n ? slot - 8 : a->n, first = v->head / per_row - rows + 1;
    if (first < 0) first = 0;
    v->heads_per_row = per_row;
    v->head_w = slot;
    float scale = is_share(v) ? 1 : widest(a->row, (size_t)a->n_head * (size_t)a->n);
    for (int h = first * per_row; h < a->n_head && h / per_row - first < rows; h++) {
        int x = h % per_row * slot, y = h / per_row - first;
        bool here = h == v->head;
        const float *row = a->row + (size_t)h * (size_t)a->n;
        if (here) tui_put(in, x, y, TUI_FOCUS | TUI_BOLD, tui_glyph(in.g, TUI_G_CURSOR));
        tui_textf(in, x + 1, y, here ? TUI_TITLE | TUI_BOLD : h % group ? TUI_DIM : TUI_TEXT, "h%d", h);
        tui_put(in, x + 5, y, TUI_BORDER, tui_glyph(in.g, TUI_G_SEP));
        for (int c = 0; c < cells; c++) {
            float best = NAN;
            for (int j = (int)((int64_t)c * a->n / cells); j < (int)((int64_t)(c + 1) * a->n / cells); j++)
                if (!isnan(row[j]) && (isnan(best) || fabsf(row[j]) > fabsf(best))) best = row[j];
            if (isnan(best)) continue;
            int level = is_share(v) ? (int)ceilf(best / scale * 9 - 0.05f) : (int)lroundf(best / scale * 5);
            tui_style role = (tui_style)(is_share(v) ? TUI_SEQ0 + (level < 0 ? 0 : level) : TUI_DIV0 + 5 + level);
            uint32_t glyph = is_share(v) ? tui_ramp(in.g, level) : tui_signed_ramp(in.g, level);
            if (in.g->fills) glyph = level < 0 ? '-' : ' ';
            tui_put(in, x + 6 + c, y, in.g->fills ? role | TUI_FILL | TUI_FAINT : role, glyph);
        }
        tui_put(in, x + 6 + cells, y, TUI_BORDER, tui_glyph(in.g, TUI_G_SEP));
        if (slot - cells < 38 || isnan(row[0])) continue;
        int best = largest(row, a->pos + 1);
        x = is_share(v) ? tui_textf(in, x + 8 + cells, y, TUI_DIM, "%4.2f bits  ", entropy(row, a->pos + 1)) : x + 8 + cells;
        tui_textf(in, x, y, here ? TUI_TEXT : TUI_DIM, "most %s at %s", tui_num(row[best], 5, num), token_row(v, best, most));
    }
}

/* ---- keys */

static unsigned moved(struct attn_view *v) {
    watch(v);
    return TUI_HANDLED | TUI_REDRAW;
}

static int wrap(int x, int n) { return n > 0 ? (x % n + n) % n : 0; }

static unsigned key_layer(void *self, int key) {
    struct attn_view *v = self;
    const struct tui_listing *l = tui_app_snap(v->app)->list;
    int want = v->layer + (key == ']' ? 1 : -1);
    if (l && want >= 0 && want < l->config.n_layer) v->layer = want;
    v->key = -1;
    return moved(v);
}

static unsigned key_head(void *self, int key) {
    struct attn_view *v = self;
    const struct tui_listing *l = tui_app_snap(v->app)->list;
    if (l) v->head = wrap(v->head + (key == 'J' ? 1 : -1), l->config.n_head);
    v->key = -1;
    return moved(v);
}

static unsigned key_stage(void *self, int key) {
    struct attn_view *v = self;
    (void)key;
    v->stage = (enum cut_attn_stage)wrap((int)v->stage + 1, CUT_ATTN_VALUE + 1);
    return moved(v);
}

static unsigned key_zero(void *self, int key) {
    struct attn_view *v = self;
    const struct tui_attn *a = shown(v);
    struct tui_cmd c = { .kind = TUI_CMD_EDIT, .edit = { .op = CUT_EDIT_SET, .i0 = -1, .i1 = v->head, .pos1 = -1 } };
    (void)key;
    if (!a) return TUI_HANDLED;
    c.edit.pos0 = a->pos;
    snprintf(c.edit.step, sizeof c.edit.step, "blk.%d.z", v->layer);
    tui_app_post(v->app, &c);
    return TUI_HANDLED | TUI_REDRAW;
}

static unsigned key_run(void *self, int key) {
    struct attn_view *v = self;
    const struct tui_snap *s = tui_app_snap(v->app);
    struct tui_cmd c = { .kind = TUI_CMD_STEP, .n = key == ' ' ? 1 : -1 };
    if (!s->n_tokens) {
        tui_app_ask_prompt(v->app);
        return TUI_HANDLED | TUI_REDRAW;
    }
    if (key == 'c' || key == 'a') c = (struct tui_cmd){ .kind = key == 'a' && s->n_top ? TUI_CMD_NEXT : TUI_CMD_RUN, .n = 1 };
    v->pos = v->key = -1;
    watch(v);
    tui_app_post(v->app, &c);
    return TUI_HANDLED;
}

static unsigned key_pane(void *self, int key) {
    struct attn_view *v = self;
    (void)key;
    v->focus = v->focus == PANE_HEADS ? PANE_TRIANGLE : PANE_HEADS;
    return TUI_HANDLED | TUI_REDRAW;
}

static const struct tui_key keys[] = {
    { 'J', "head", "next, previous head", key_head },
    { 'K', NULL, NULL, key_head },
    { ']', "layer", "next, previous layer", key_layer },
    { '[', NULL, NULL, key_layer },
    { 's', "stage", "q.k, scaled, softmax, times |v|", key_stage },
    { 'x', "zero head", "zero it from this row on", key_zero },
    { 'c', "run", "run to the end or a break", key_run },
    { 'a', "accept", "take the likeliest token", key_run },
    { ' ', "", "make, undo a step", key_run },
    { TUI_KEY_BACKSPACE, NULL, NULL, key_run },
    { TUI_KEY_TAB, "pane", "the triangle, the heads", key_pane },
    { TUI_KEY_BACKTAB, NULL, NULL, key_pane },
};

static unsigned key(void *self, int key) {
    struct attn_view *v = self;
    const struct tui_snap *s = tui_app_snap(v->app);
    const struct tui_attn *a = shown(v);
    if (!a) return 0;
    if (v->focus == PANE_HEADS) {
        int k = tui_key_move(key), by = k == TUI_KEY_LEFT ? -1 : k == TUI_KEY_RIGHT ? 1 : k == TUI_KEY_UP ? -v->heads_per_row
                                      : k == TUI_KEY_DOWN ? v->heads_per_row : 0;
        if (!by) return 0;
        if (v->head + by >= 0 && v->head + by < s->list->config.n_head) v->head += by;
        v->key = -1;
        return moved(v);
    }
    if (!tui_heat_key(&v->heat, key)) return 0;
    v->pos = (int)v->heat.row;
    v->key = (int)v->heat.col < v->pos ? (int)v->heat.col : v->pos;
    int k = tui_key_move(key);
    if (k == TUI_KEY_UP || k == TUI_KEY_DOWN) v->key = -1;
    return moved(v);
}

static unsigned mouse(void *self, int x, int y, int button) {
    struct attn_view *v = self;
    struct tui_area *h = &v->at_heads;
    y += 1;                                            /* areas are in screen coordinates; the view starts at row 1 */
    if (button > 1) return key(v, button == 4 ? TUI_KEY_UP : TUI_KEY_DOWN);
    bool heads = x >= h->x && x < h->x + h->w && y >= h->y && y < h->y + h->h;
    v->focus = heads ? PANE_HEADS : PANE_TRIANGLE;
    if (heads && v->head_w) {
        int want = (y - h->y) * v->heads_per_row + (x - h->x) / v->head_w;
        const struct tui_listing *l = tui_app_snap(v->app)->list;
        if (l && want < l->config.n_head) v->head = want;
    }
    return moved(v);
}

/* ---- the class */

static void *new(struct tui_app *app) {
    struct attn_view *v = tui_alloc(1, sizeof *v);
    v->app = app;
    v->pos = v->key = -1;
    v->stage = CUT_ATTN_SOFTMAX;
    return v;
}

static void show(void *self) {
    struct attn_view *v = self;
    const struct tui_snap *s = tui_app_snap(v->app);
    if (s->list && s->step >= 0 && s->list->step[s->step].layer >= 0) v->layer = s->list->step[s->step].layer;
    watch(v);
}

static void snap(void *self) {
    struct attn_view *v = self;
    const struct tui_listing *l = tui_app_snap(v->app)->list;
    if (l && v->layer >= l->config.n_layer) v->layer = l->config.n_layer - 1;
    if (l && v->head >= l->config.n_head) v->head = l->config.n_head - 1;
    watch(v);
}

static void draw_stages(struct attn_view *v, struct tui_area row) {
    const struct tui_listing *l = tui_app_snap(v->app)->list;
    int x = tui_text(row, 0, 0, TUI_DIM, "stage ");
    for (int i = 0; i <= CUT_ATTN_VALUE; i++) {
        bool now = i == (int)v->stage;
        x = tui_textf(row, x, 0, now ? TUI_FOCUS | TUI_BOLD : TUI_DIM, now ? "[%s]" : " %s ", stage_names[i]);
    }
    if (!l) return;
    int group = l->config.n_head / l->config.n_head_kv;
    tui_textf_right(row, row.w, 0, TUI_DIM, "layer %d/%d  head %d/%d (KV head %d)", v->layer, l->config.n_layer - 1, v->head,
                    l->config.n_head - 1, v->head / group);
}

static void draw(void *self, struct tui_area a) {
    struct attn_view *v = self;
    const struct tui_snap *s = tui_app_snap(v->app);
    tui_draw_strip(v->app, tui_part(tui_cut_top(&a, 1), 1, 0, a.w - 2, 1));
    draw_stages(v, tui_part(tui_cut_top(&a, 1), 1, 0, a.w - 2, 1));
    int heads = s->list ? s->list->config.n_head : 1, want = a.h >= 36 ? heads : (heads + 3) / 4;
    int most = a.h / 3;
    struct tui_area bottom = tui_cut_bottom(&a, (want < most - 2 ? want : most - 2) + 2);
    struct tui_area right = tui_cut_right(&a, a.w >= 120 ? 44 : 33);
    draw_triangle(v, a);
    draw_row(v, right);
    draw_heads(v, bottom);
    if (s->n_tokens && !s->where.n_tokens)
        tui_text_wrap(v->at_triangle, 1, TUI_DIM, "Nothing is computed yet: c runs the pass, Space makes a step of it.");
    if (!s->n_tokens) tui_text_wrap(v->at_triangle, 1, TUI_DIM, "No text yet: o types a prompt.");
}

const struct tui_view_class tui_view_attention = {
    .title = "Attention", .brief = "attn", .digit = '2',
    .about = "What each token looks back at, in one layer. The triangle is one head: a row is a token that asks, a column one that "
             "answers. Beside it the row of the cursor, largest first; below it the same row of every head. Recomputed from kept "
             "queries and the cached keys, hence DERIVED.",
    .keys = keys, .n_keys = sizeof keys / sizeof *keys,
    .new = new, .free = free, .show = show, .snap = snap, .draw = draw, .key = key, .mouse = mouse,
};
