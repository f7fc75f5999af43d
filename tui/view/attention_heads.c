/* attention_heads.c - all heads: side by side for this layer, as scores for the whole model. */
#include <math.h>
#include <string.h>

#include "tui/view/attention.h"

/* ---- rows side by side, for a narrow screen */

/* The most of the keys that share a cell. */
static float pooled(const float *row, int from, int to) {
    float most = NAN;
    for (int j = from; j < to; j++) most = fmaxf(most, row[j]);
    return most;
}

/* Pixels lo..hi of n drawn in w: the range that cell k stands for. */
static int edge(int k, int w, int n) { return (int)((int64_t)k * n / w); }

/* ">h3" or " h3", with a word for a zeroed head; returns the column after. */
static int draw_name(struct tui_area a, int x, int y, const struct attention_at *at, int h, const char *zero) {
    bool here = h == at->head, zeroed = attention_is_zeroed(at->snap, at->p->layer, h);
    if (here) tui_put(a, x, y, TUI_FOCUS | TUI_BOLD, tui_glyph(a.g, TUI_G_CURSOR));
    return tui_textf(a, x + 1, y, zeroed ? TUI_EDITED : here ? TUI_TITLE | TUI_BOLD : TUI_DIM, "h%d%s", h, zeroed ? zero : "");
}

void attention_draw_strips(struct attention_view *v, struct tui_area a) {
    struct attention_at at = attention_at(v);
    char title[96], buf[64];
    snprintf(title, sizeof title, "heads of layer %d, row %d \"%s\" (g: a KV head)", at.p->layer, at.query,
             attention_token(at.snap, at.query, buf));
    struct tui_area in = tui_pane(a, title, NULL, false);
    int n_head = at.p->n_head, share = n_head / at.snap->list->config.n_head_kv;
    int lines = in.h, per_line = (n_head + lines - 1) / lines, most = in.w / 12;
    if (per_line > most) per_line = most;
    struct tui_list heads = { .n = (n_head + per_line - 1) / per_line, .cursor = at.head / per_line };
    tui_list_show(&heads, lines);
    int w = in.w / per_line, n = at.query + 1;
    for (int y = 0; y < lines; y++) {
        for (int k = 0; k < per_line; k++) {
            int h = (heads.top + y) * per_line + k, x = k * w;
            if (h >= n_head) return;
            const float *row = attention_pattern_row(at.p, h, at.query);
            if (h % share == 0) tui_textf(in, x, y, TUI_DIM, "g%d", h / share);
            draw_name(in, x + 2, y, &at, h, "x");
            int x0 = x + (n_head > 10 ? 7 : 6), room = x + w - 2 - x0, cells = n < room ? n : room;
            if (!in.g->fills) tui_put(in, x0, y, TUI_BORDER, '|'), tui_put(in, x0 + 1 + cells, y, TUI_BORDER, '|');
            for (int i = 0; row && i < cells; i++)
                attention_glyph(in, x0 + 1 + i, y, 1, pooled(row, edge(i, cells, n), edge(i + 1, cells, n)));
        }
    }
}

/* ---- small matrices side by side, for a wide one */

static void draw_small(struct tui_area a, const struct attention_at *at, int h) {
    const struct tui_pattern *p = at->p;
    int n = at->p->n, cells = n < a.w ? n : a.w, lines = n < a.h ? n : a.h, cell_w = a.w / cells > 2 ? 2 : a.w / cells;
    for (int y = 0; y < lines; y++) {
        int from = edge(y, lines, n), to = edge(y + 1, lines, n);
        for (int k = 0; k < cells; k++) {
            float most = NAN;
            for (int i = from; i < to; i++) {
                const float *row = attention_pattern_row(p, h, i);
                if (row) most = fmaxf(most, pooled(row, edge(k, cells, n), edge(k + 1, cells, n)));
            }
            attention_glyph(a, k * cell_w, y, cell_w, most);
        }
        if (at->query >= from && at->query < to)
            tui_put(a, cells * cell_w, y, TUI_FOCUS | TUI_BOLD, '<');
    }
}

void attention_draw_thumbnails(struct attention_view *v, struct tui_area a) {
    struct attention_at at = attention_at(v);
    char title[96];
    int n_head = at.p->n_head, share = n_head / at.snap->list->config.n_head_kv, most = (a.w - 2) / 12;
    int per_line = n_head < most ? n_head : most, w = (a.w - 2) / per_line;
    snprintf(title, sizeof title, "heads of layer %d (g: a KV head)", at.p->layer);
    struct tui_area in = tui_pane(a, title, at.p->n > w - 3 ? "a cell: the largest of several" : NULL, false);
    struct tui_list heads = { .n = n_head, .cursor = at.head, .top = at.head - per_line / 2 };
    tui_list_show(&heads, per_line);
    if (w > 30) w = 30;
    for (int k = 0; k < per_line; k++) {
        int h = heads.top + k, x = k * w;
        int after = draw_name(in, x, 0, &at, h, " zero");
        if (h % share == 0 || k == 0) tui_textf(in, after + 1, 0, TUI_DIM, "g%d", h / share);
        draw_small(tui_part(in, x + 1, 1, w - 3, in.h - 1), &at, h);
    }
}

/* ---- the model: layers by heads */

static int grid_pitch(const struct cut_config *c) { return c->n_head <= 12 ? 3 : c->n_head <= 18 ? 2 : 1; }

int attention_grid_width(const struct attention_view *v) {
    const struct cut_config *c = &tui_app_snap(v->app)->list->config;
    int w = 8 + c->n_head * grid_pitch(c);
    return w < 30 ? 30 : w > 42 ? 42 : w;
}

static const struct tui_head_scores *scores_of(const struct attention_at *at, int layer, int head) {
    const struct tui_heads *h = at->attn->heads;
    return h && h->layer[layer].rows ? &h->head[layer * h->n_head + head] : NULL;
}

static void draw_grid_row(struct attention_view *v, struct tui_area a, const struct attention_at *at, int layer, int first,
                          int y) {
    int pitch = grid_pitch(&at->snap->list->config);
    bool here = layer == at->p->layer;
    if (here) tui_put(a, 0, y, TUI_FOCUS | TUI_BOLD, tui_glyph(a.g, TUI_G_CURSOR));
    tui_textf_right(a, 4, y, here ? TUI_TITLE | TUI_BOLD : TUI_DIM, "%d", layer);
    for (int h = first, x = 6; h < at->p->n_head && x + pitch <= a.w; h++, x += pitch) {
        const struct tui_head_scores *s = scores_of(at, layer, h);
        bool cell = here && h == at->head;
        if (!s || isnan(s->score[v->measure])) continue;
        int tenth = (int)(s->score[v->measure] * 10);
        tui_style st = (tui_style)(TUI_SEQ0 + attention_level(s->score[v->measure]));
        if (a.g->fills) for (int i = 0; i < pitch; i++) tui_put(a, x + i, y, st | TUI_FILL, ' ');
        tui_style ink = a.g->fills ? st | TUI_FILL : cell ? TUI_TITLE | TUI_BOLD : TUI_TEXT;
        tui_put(a, x + pitch / 2, y, ink, tenth ? (uint32_t)('0' + (tenth > 9 ? 9 : tenth)) : tui_glyph(a.g, TUI_G_DOT));
        if (!cell) continue;
        tui_style mark = a.g->fills ? ink | TUI_BOLD : TUI_FOCUS | TUI_BOLD;
        if (pitch > 2) tui_put(a, x, y, mark, '['), tui_put(a, x + 2, y, mark, ']');
        else tui_mark_row(tui_part(a, x, y, pitch, 1), 0, TUI_REVERSE);
    }
}

/* The head of the model with the most of each measure. */
static void draw_best(struct tui_area a, int y, const struct attention_at *at) {
    const struct tui_heads *hs = at->attn->heads;
    char num[16];
    tui_rule(a, y++, "the strongest");
    for (int m = 0; m < TUI_SCORE_COUNT && y < a.h; m++, y++) {
        float best = -1;
        int il = 0, head = 0;
        for (int i = 0; i < hs->n_layer * hs->n_head; i++) {
            if (!hs->layer[i / hs->n_head].rows || !(hs->head[i].score[m] > best)) continue;
            best = hs->head[i].score[m];
            il = i / hs->n_head;
            head = i % hs->n_head;
        }
        tui_text(a, 1, y, TUI_DIM, tui_score_name((enum tui_score)m));
        if (best >= 0) tui_textf(a, 12, y, TUI_TEXT, "layer %d h%d", il, head);
        if (best >= 0) tui_text_right(a, a.w - 1, y, TUI_TEXT, attention_share(best, num));
    }
}

void attention_draw_grid(struct attention_view *v, struct tui_area a) {
    struct attention_at at = attention_at(v);
    const struct tui_heads *hs = at.attn->heads;
    char title[64];
    snprintf(title, sizeof title, "all heads: %s", tui_score_name(v->measure));
    struct tui_area in = tui_pane(a, title, NULL, false);
    if (!hs) return;
    int pitch = grid_pitch(&at.snap->list->config), per_line = (in.w - 6) / pitch, best = TUI_SCORE_COUNT + 1;
    int y = tui_text_wrap(in, 0, TUI_DIM, tui_score_test(v->measure));
    tui_text(in, 0, y++, TUI_DIM, v->measure == TUI_SCORE_DIFFUSE ? "tenths   m: another" : "tenths of mass   m: another");
    struct tui_list heads = { .n = hs->n_head, .cursor = at.head, .top = at.head - per_line / 2 };
    tui_list_show(&heads, per_line);
    for (int h = heads.top, x = 6; h < hs->n_head && x + pitch <= in.w; h++, x += pitch) {
        if (pitch > 2) tui_textf(in, x, y, TUI_DIM, "h%-2d", h);
        else if (h % 4 == 0) tui_textf(in, x, y, TUI_DIM, "%d", h);
    }
    tui_text(in, 0, y++, TUI_DIM, "layer");
    struct tui_list layers = { .n = hs->n_layer, .cursor = at.p->layer, .top = 0 };
    int rows = in.h - y - best - 1;
    tui_list_show(&layers, rows);
    for (int i = 0; i < rows && layers.top + i < hs->n_layer; i++, y++) draw_grid_row(v, in, &at, layers.top + i, heads.top, y);
    int used = hs->layer[at.p->layer].rows, of = hs->layer[at.p->layer].n;
    if (used < of && used) tui_textf(in, 1, y, TUI_WARN, "by the last %d rows of %d", used, of);
    if (used < of && !used) tui_textf(in, 1, y, TUI_WARN, "%d tokens: too many to score", of);
    draw_best(in, y + 1, &at);
}

/* ---- the head looked at */

void attention_draw_scores(struct attention_view *v, struct tui_area a) {
    struct attention_at at = attention_at(v);
    char title[64], num[16];
    snprintf(title, sizeof title, "head %d (query i, key j)", at.head);
    struct tui_area in = tui_pane(a, title, NULL, false);
    const struct tui_head_scores *s = scores_of(&at, at.p->layer, at.head);
    static const char *const test[] = { "id[j-1] = id[i]", "j = i-1", "id[j] = id[i]", "j = 0, i > 0", "entropy / max" };
    for (int m = 0; s && m < TUI_SCORE_COUNT; m++) {
        tui_text(in, 1, m, TUI_DIM, tui_score_name((enum tui_score)m));
        tui_text_right(in, 16, m, TUI_TITLE | TUI_BOLD, isnan(s->score[m]) ? "-" : attention_share((double)s->score[m], num));
        tui_text_fit(in, 18, in.w, m, TUI_DIM, test[m]);
    }
    if (!s) return;
    int x = tui_text(in, 1, TUI_SCORE_COUNT, TUI_DIM, "rows sum to 1 ");
    tui_textf(in, x, TUI_SCORE_COUNT, TUI_TEXT, "(worst %s)", tui_num_digits(s->row_error, 6, 2, num));
}

void attention_draw_summary(struct attention_view *v, struct tui_area row) {
    struct attention_at at = attention_at(v);
    const struct tui_head_scores *s = scores_of(&at, at.p->layer, at.head);
    char num[16];
    if (!s) return;
    int x = tui_textf(row, 1, 0, TUI_TITLE | TUI_BOLD, "h%d", at.head);
    for (int m = 0; m < TUI_SCORE_COUNT; m++) {
        if (m == TUI_SCORE_DIFFUSE || isnan(s->score[m])) continue;
        x = tui_text(row, x + 2, 0, TUI_DIM, tui_score_name((enum tui_score)m));
        snprintf(num, sizeof num, "%.2f", (double)s->score[m]);
        x = tui_text(row, x + 1, 0, TUI_TEXT, num[0] == '0' ? num + 1 : num);
    }
    tui_textf_right(row, row.w - 1, 0, TUI_DIM, "rows sum to 1 (%s)", tui_num_digits(s->row_error, 5, 1, num));
}
