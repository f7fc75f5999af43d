/* attention_row.c - one query closely: what it looks at, the stages its numbers go through, the product behind a cell. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/screen/mem.h"
#include "tui/view/attention.h"

struct entry { int j; float x; };

static int by_value(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    return x->x < y->x ? 1 : x->x > y->x ? -1 : x->j - y->j;
}

/* The keys of a row, largest number first; free() it. */
static struct entry *sorted(const float *row, int n) {
    struct entry *e = tui_alloc((size_t)n, sizeof *e);
    for (int j = 0; j < n; j++) e[j] = (struct entry){ j, isnan(row[j]) ? -INFINITY : row[j] };
    qsort(e, (size_t)n, sizeof *e, by_value);
    return e;
}

static void draw_entry(struct tui_area a, const struct attention_at *at, bool shares, float scale, const struct entry *e, int y) {
    char label[64], num[16];
    bool here = e->j == at->key, wide = a.w >= 38;
    int name = wide ? 15 : 10, x = 5 + name;
    if (here) tui_put(a, 0, y, TUI_FOCUS | TUI_BOLD, tui_glyph(a.g, TUI_G_CURSOR));
    tui_textf_right(a, 4, y, TUI_DIM, "%d", e->j);
    tui_text_fit(a, 5, x, y, here ? TUI_TITLE | TUI_BOLD : TUI_TEXT, attention_token(at->snap, e->j, label));
    tui_text_right(a, x + 6, y, TUI_TEXT, shares ? attention_share(e->x, num) : tui_num(e->x, 6, num));
    tui_style bar = shares ? TUI_SERIES1 : e->x < 0 ? (tui_style)TUI_DIV0 + 1 : (tui_style)TUI_DIV0 + 9;
    if (!shares || e->x >= 0.0005f) tui_bar(a, x + 7, y, a.w - x - 7, bar, fabsf(e->x) / scale);
}

/* The list, and the selected key at its foot when it is not among the first. Returns the rows taken. */
static int draw_list(struct tui_area a, const struct attention_at *at, const float *row, bool shares) {
    int n = at->query + 1, rows = n < a.h ? n : a.h;
    struct entry *e = sorted(row, n);
    float scale = fmaxf(fabsf(e[0].x), fabsf(e[n - 1].x));
    int place = 0;
    while (e[place].j != at->key) place++;
    for (int y = 0; y < rows; y++)
        draw_entry(a, at, shares, scale > 0 ? scale : 1, &e[y == rows - 1 && place >= rows ? place : y], y);
    free(e);
    return rows;
}

/* Below the list: how concentrated the row is, and whom it hears when the length of what it reads counts. */
static void draw_facts(struct attention_view *v, struct tui_area a, const struct attention_at *at) {
    int n = at->query + 1, y = 0;
    char num[16], other[16], label[64];
    double most = log2(n), h = at->row ? tui_entropy(at->row, n) : NAN;
    int x = tui_text(a, 1, y, TUI_DIM, "entropy ");
    x = tui_textf(a, x, y, TUI_TEXT, "%.2f", h);
    tui_textf(a, x, y++, TUI_DIM, a.w < 38 ? " bits of %.2f" : " bits, at most %.2f", most);
    if (at->stages) {
        struct entry *e = sorted(at->stages + CUT_ATTN_VALUE * at->p->n, n);
        x = tui_text(a, 1, y, TUI_DIM, "x |v|   ");
        x = tui_textf(a, x, y, TUI_TEXT, "%s %s", attention_token(at->snap, e[0].j, label), attention_share(e[0].x, num));
        attention_token(at->snap, e[n > 1].j, label);
        if (n > 1) tui_textf(a, x, y, TUI_DIM, ", %s %s", label, attention_share(e[1].x, other));
        y++;
        free(e);
    }
    if (a.h > y && a.g->w < 120) attention_draw_effect_line(v, a, y);
}

static int by_size(const void *a, const void *b) {
    float x = fabsf(((const struct cut_term *)a)->term), y = fabsf(((const struct cut_term *)b)->term);
    return (y > x) - (y < x);
}

/* The sum q.k, its terms of largest magnitude first, the rest in one. */
static void draw_dot(struct tui_area a, const struct attention_at *at) {
    const struct tui_snap *s = at->snap;
    const struct tui_watch *w = &s->watch;
    if (at->query < s->where.pos) {
        tui_text_wrap(a, 0, TUI_DIM, "This query belongs to an earlier pass, whose values are gone. The stepper (1) goes back "
                      "to it: {");
        return;
    }
    if (!s->has_explain || w->row != at->head || w->col != at->key || s->pos != at->query) {
        if (s->explain_err.code) tui_text_wrap(a, 0, TUI_DIM, s->explain_err.msg);
        return;
    }
    const struct cut_explain *e = &s->explain;
    int n = e->n_terms, y = 0, shown = n < a.h - 6 ? n : a.h - 6;
    char num[3][16];
    struct cut_term *t = tui_alloc((size_t)n, sizeof *t);
    memcpy(t, e->terms, (size_t)n * sizeof *t);
    qsort(t, (size_t)n, sizeof *t, by_size);
    tui_text_right(a, 15, y, TUI_DIM, "q");
    tui_text_right(a, 22, y, TUI_DIM, "k");
    tui_text_right(a, 30, y++, TUI_DIM, "q k");
    double rest = 0, sum = 0, scale = n ? fabs((double)t[0].term) : 1;
    for (int i = 0; i < n; i++) {
        sum += (double)t[i].term;
        if (i >= shown) rest += (double)t[i].term;
        if (i >= shown) continue;
        tui_text_fit(a, 1, 9, y, TUI_DIM, t[i].label);
        tui_text_right(a, 15, y, TUI_TEXT, tui_num(t[i].a, 5, num[0]));
        tui_text_right(a, 22, y, TUI_TEXT, tui_num(t[i].b, 5, num[1]));
        tui_text_right(a, 30, y, TUI_TEXT, tui_num(t[i].term, 6, num[2]));
        tui_style bar = (tui_style)(t[i].term < 0 ? TUI_DIV0 + 1 : TUI_DIV0 + 9);
        if (a.w >= 38) tui_bar(a, 31, y, a.w - 31, bar, fabs((double)t[i].term) / scale);
        y++;
    }
    if (shown < n) {
        tui_textf(a, 1, y, TUI_DIM, "%d others", n - shown);
        tui_text_right(a, 30, y++, TUI_TEXT, tui_num((float)rest, 6, num[0]));
    }
    free(t);
    tui_text(a, 1, y, TUI_DIM, "sum");
    tui_text_right(a, 30, y++, TUI_TITLE | TUI_BOLD, tui_num((float)sum, 6, num[0]));
    tui_textf(a, 1, y, TUI_DIM, "/ sqrt(%d)", s->list->config.head_dim);
    tui_text_right(a, 30, y++, TUI_TITLE | TUI_BOLD, tui_num(e->value, 6, num[0]));
    tui_textf(a, 1, y, TUI_DIM, "the kernel's score, %.0f ulp away", e->ulps);
}

void attention_draw_row(struct attention_view *v, struct tui_area a) {
    struct attention_at at = attention_at(v);
    char title[160], query[64], key[64];
    attention_token(at.snap, at.query, query);
    attention_token(at.snap, at.key, key);
    if (v->dot) snprintf(title, sizeof title, "q of \"%s\" . k of \"%s\"", query, key);
    else snprintf(title, sizeof title, "row %d \"%s\" looks at", at.query, query);
    struct tui_area in = tui_pane(a, title, NULL, false);
    if (v->dot) {
        draw_dot(in, &at);
        return;
    }
    bool shares = v->stage >= CUT_ATTN_SOFTMAX;
    struct tui_area facts = tui_cut_bottom(&in, in.g->w < 120 ? 4 : 3);
    const float *row = v->stage == CUT_ATTN_SOFTMAX ? at.row : at.stages ? at.stages + (int)v->stage * at.p->n : NULL;
    if (row) draw_list(in, &at, row, shares);
    draw_facts(v, tui_part(facts, 0, 1, facts.w, facts.h - 1), &at);
}

/* The query's row at every stage, for as many keys as fit: how a product becomes a share. */
int attention_draw_stages(struct attention_view *v, struct tui_area a, int y) {
    static const char *const how[] = { "raw  q.k", "/ sqrt(d)", "softmax", "x |v|" };
    struct attention_at at = attention_at(v);
    char buf[64];
    int x0 = 13, w = 5, most = (a.w - x0) / w, first;
    struct tui_list keys = { .n = at.query + 1, .cursor = at.key, .top = v->cols.top };
    tui_list_show(&keys, most);
    first = keys.top;
    snprintf(buf, sizeof buf, "stages of row %d, s cycles", at.query);
    tui_rule(a, y++, buf);
    for (int k = 0; k < most && first + k <= at.query; k++) {
        bool here = first + k == at.key;
        struct tui_area cut = tui_part(a, x0 + k * w, y, w - 1, 1);
        tui_text(cut, 0, 0, here ? TUI_TITLE | TUI_BOLD : TUI_DIM, attention_token(at.snap, first + k, buf));
    }
    y++;
    for (int s = 0; s < 4; s++, y++) {
        bool on = s == (int)v->stage;
        if (on) tui_put(a, 0, y, TUI_FOCUS | TUI_BOLD, tui_glyph(a.g, TUI_G_CURSOR));
        tui_text(a, 2, y, on ? TUI_TITLE | TUI_BOLD : TUI_DIM, how[s]);
        for (int k = 0; at.stages && k < most && first + k <= at.query; k++) {
            float x = at.stages[s * at.p->n + first + k];
            char num[16];
            if (isnan(x)) continue;
            tui_style st = first + k == at.key ? TUI_TITLE | TUI_BOLD : on ? TUI_TEXT : TUI_DIM;
            tui_text_right(a, x0 + k * w + w - 1, y, st, attention_score_text(x, num));
        }
    }
    return y;
}
