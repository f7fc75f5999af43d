/* attention_matrix.c - the enlarged head: a row per query, a column per key.
 *
 * A wide cell carries its number, a narrow one a character of the ramp; colour repeats what they say. The row of the query
 * is marked '>' at its label; brackets stand around the selected cell and the heading of its key. */
#include <math.h>
#include <string.h>

#include "tui/view/attention.h"

struct matrix {
    struct tui_area a;
    struct attention_at at;
    enum cut_attn_stage stage;
    bool shares;                       /* numbers from 0 to 1, not scores of either sign */
    bool numbers;
    int label_w, pitch;
    float scale;                       /* of scores: the largest |x| of the head */
};

/* The numbers of a query at the stage shown; NULL when the snapshot does not hold them. */
static const float *row_at(const struct matrix *m, int query) {
    const struct tui_pattern *p = m->at.p;
    const struct tui_attn *a = m->at.attn;
    if (query < p->row0 || query >= p->row0 + p->n_rows) return NULL;
    if (m->stage == CUT_ATTN_SOFTMAX) return attention_pattern_row(p, m->at.head, query);
    if (!a->rows || a->stage != m->stage || a->head != m->at.head) return NULL;
    return a->rows + (size_t)(query - p->row0) * (size_t)p->n;
}

static float largest(const struct matrix *m) {
    float most = 0;
    for (int i = m->at.p->row0; i < m->at.p->row0 + m->at.p->n_rows; i++) {
        const float *row = row_at(m, i);
        for (int j = 0; row && j <= i; j++) most = fmaxf(most, fabsf(row[j]));
    }
    return most > 0 ? most : 1;
}

static struct matrix place(struct attention_view *v, struct tui_area a) {
    struct matrix m = { .a = a, .at = attention_at(v), .stage = v->stage, .shares = v->stage >= CUT_ATTN_SOFTMAX };
    m.numbers = a.w >= 60;
    m.label_w = m.numbers ? 13 : 9;
    m.pitch = !m.numbers ? 3 : m.shares ? 4 : 5;
    if (!m.shares) m.scale = largest(&m);
    v->rows.n = v->cols.n = m.at.p->n;
    v->rows.cursor = m.at.query;
    v->cols.cursor = m.at.key;
    v->pitch = m.pitch;
    v->body = tui_part(a, m.label_w, 1, (a.w - m.label_w) / m.pitch * m.pitch, a.h - 2);
    tui_list_show(&v->rows, v->body.h);
    tui_list_show(&v->cols, v->body.w / m.pitch);
    return m;
}

/* In percent: "100", "97", " 4"; behind a character of the ramp "04", so that ".04" reads as what it is. */
static void share_text(float x, bool alone, char buf[16]) {
    int percent = (int)lroundf(x * 100);
    snprintf(buf, 16, alone || !percent ? "%2d" : "%02d", percent);
}

/* "[74]": the selected cell, and its key's heading. What stands there keeps its colour. */
static void bracket(struct tui_area a, int x, int y, int w, tui_style st, bool left) {
    if (left) tui_put(a, x, y, st | TUI_BOLD, '[');
    tui_put(a, x + w - 1, y, st | TUI_BOLD, ']');
}

static void draw_cell(const struct matrix *m, int x, int y, float v, bool here) {
    struct tui_area a = m->a;
    bool fills = a.g->fills;
    tui_style st;
    uint32_t glyph;
    char num[16] = "";
    if (isnan(v)) return;
    if (m->shares) {
        int level = attention_level(v);
        st = (tui_style)(TUI_SEQ0 + level);
        glyph = tui_ramp(a.g, level);
        share_text(v, fills || here, num);
    } else {
        int level = (int)lroundf(v / m->scale * 5);
        level = level < -5 ? -5 : level > 5 ? 5 : level;
        st = (tui_style)(TUI_DIV0 + 5 + level);
        glyph = tui_signed_ramp(a.g, level);
        attention_score_text(v, num);
    }
    for (int i = 0; i < m->pitch; i++) {
        bool drawn = !fills && (m->numbers ? i == 0 && m->shares : i < 2);
        tui_put(a, x + i, y, fills ? st | TUI_FILL | TUI_FAINT : st, drawn ? glyph : ' ');
    }
    tui_style ink = fills ? st | TUI_FILL : m->shares && v < 0.005f ? TUI_DIM : TUI_TEXT;
    int w = (int)strlen(num), right = m->pitch - (here || w < m->pitch - (m->shares && !fills));
    if (m->numbers) tui_text_right(a, x + right, y, here ? ink | TUI_BOLD : ink, num);
    else if (here && !fills) tui_put(a, x + 1, y, st, glyph);
    if (here) bracket(a, x, y, m->pitch, fills ? ink : TUI_FOCUS, !m->numbers || w < right);
}

static void draw_row(const struct matrix *m, const struct attention_view *v, int query, int y) {
    const float *row = row_at(m, query);
    bool here = query == m->at.query;
    char buf[64];
    tui_style st = here ? TUI_TITLE | TUI_BOLD : TUI_DIM;
    if (here) tui_put(m->a, 0, y, TUI_FOCUS | TUI_BOLD, tui_glyph(m->a.g, TUI_G_CURSOR));
    int x = m->numbers ? tui_textf(m->a, 1, y, TUI_DIM, "%3d ", query) : 1;
    tui_text(tui_part(m->a, x, y, m->label_w - x - 1, 1), 0, 0, st, attention_token(m->at.snap, query, buf));
    for (int k = 0; k * m->pitch < v->body.w; k++) {
        int j = v->cols.top + k;
        if (row && j <= query) draw_cell(m, m->label_w + k * m->pitch, y, row[j], here && j == m->at.key);
    }
}

static void draw_heading(const struct matrix *m, const struct attention_view *v) {
    char buf[64];
    for (int k = 0; k * m->pitch < v->body.w && v->cols.top + k < m->at.p->n; k++) {
        int j = v->cols.top + k, x = m->label_w + k * m->pitch;
        bool here = j == m->at.key;
        tui_text(tui_part(m->a, x + here, 0, m->pitch - 1 - here, 1), 0, 0, here ? TUI_TITLE | TUI_BOLD : TUI_DIM,
                 attention_token(m->at.snap, j, buf));
        if (here) bracket(m->a, x, 0, m->pitch, TUI_FOCUS, true);
    }
}

static void draw_legend(const struct matrix *m, int y) {
    struct tui_area a = m->a;
    char num[16];
    int x = tui_text(a, 1, y, TUI_DIM, m->shares ? "0 " : "");
    if (!m->shares) x = tui_textf(a, x, y, TUI_DIM, "-%s ", tui_num(m->scale, 5, num));
    for (int i = m->shares ? 0 : -5; i <= (m->shares ? 9 : 5); i++, x++) {
        tui_style st = (tui_style)(m->shares ? TUI_SEQ0 + i : TUI_DIV0 + 5 + i);
        if (a.g->fills) tui_put(a, x, y, st | TUI_FILL | TUI_FAINT, ' ');
        else tui_put(a, x, y, st, m->shares ? tui_ramp(a.g, i) : tui_signed_ramp(a.g, i));
    }
    if (m->shares) x = tui_text(a, x + 1, y, TUI_DIM, "1");
    else x = tui_textf(a, x + 1, y, TUI_DIM, "%s", tui_num(m->scale, 5, num));
    tui_text(a, x + 2, y, TUI_DIM, !m->numbers ? "future blank" : m->shares ? "numbers are percent; the future is blank" :
             "the future is blank");
}

void attention_draw_matrix(struct attention_view *v, struct tui_area a) {
    char right[64] = "";
    struct attention_at at = attention_at(v);
    const struct tui_pattern *p = at.p;
    if (p->n_rows < p->n) snprintf(right, sizeof right, "rows %d-%d of %d kept", p->row0, p->row0 + p->n_rows - 1, p->n);
    struct tui_area in = tui_pane(a, "query rows, key columns", right, true);
    struct tui_area stages = in.h >= 20 && in.w >= 60 ? tui_cut_bottom(&in, 7) : tui_cut_bottom(&in, 0);
    struct matrix m = place(v, in);
    draw_heading(&m, v);
    for (int y = 0; y < v->body.h && v->rows.top + y < p->n; y++) draw_row(&m, v, v->rows.top + y, 1 + y);
    draw_legend(&m, in.h - 1);
    tui_scrollbar(tui_part(a, a.w - 1, 2, 1, v->body.h), 0, &v->rows);
    if (stages.h) attention_draw_stages(v, stages, 0);
}
