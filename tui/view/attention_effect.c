/* attention_effect.c - what the model would write next, with and without the edits made so far.
 *
 * Much attention is no proof of influence. Zeroing a head is the test: the tokens stay, the pass is computed anew without
 * what the head would have added, and the likeliest next tokens of both runs stand beside each other. */
#include <math.h>
#include <string.h>

#include "tui/view/attention.h"

enum { NAME = 13, COLUMN = 9 };        /* of the table */

static uint64_t hash_tokens(const struct tui_snap *s) {
    uint64_t h = (uint64_t)s->n_tokens;
    for (int i = 0; i < s->n_tokens; i++) h = (h ^ (uint64_t)(uint32_t)s->token[i].id) * 0x100000001B3u;
    return h;
}

static void label_of(const struct cut_edit *e, char *buf, size_t cap) {
    int layer;
    char what[32];
    if (sscanf(e->step, "blk.%d.%31s", &layer, what) == 2 && !strcmp(what, "z") && e->i1 >= 0 && e->i0 < 0 && e->value == 0)
        snprintf(buf, cap, "L%d h%d zero", layer, e->i1);
    else snprintf(buf, cap, "%.14s %s", e->step, e->op == CUT_EDIT_SET ? "set" : "scaled");
}

/* Remember the distribution of a finished pass under the number of edits it was made with. */
void attention_note_run(struct attention_view *v) {
    const struct tui_snap *s = tui_app_snap(v->app);
    uint64_t tokens = hash_tokens(s);
    if (tokens != v->run_tokens) v->n_runs = 0;
    v->run_tokens = tokens;
    if (!s->n_top || s->running || s->where.n_queued || s->n_edits >= ATTENTION_RUNS) return;
    for (int i = v->n_runs; i <= s->n_edits; i++) v->run[i].known = false;
    struct attention_run *r = &v->run[s->n_edits];
    v->n_runs = s->n_edits + 1;
    r->known = true;
    r->n_top = s->n_top;
    memcpy(r->top, s->top, sizeof r->top);
    memcpy(r->token, s->top_token, sizeof r->token);
    if (s->n_edits) label_of(&s->edit[s->n_edits - 1], r->label, sizeof r->label);
    else snprintf(r->label, sizeof r->label, "whole model");
}

/* The probability of a token; NAN when it is not among those remembered. */
static float p_of(const struct attention_run *r, int32_t id) {
    for (int i = 0; i < r->n_top; i++)
        if (r->top[i].id == id) return r->top[i].p;
    return NAN;
}

static const char *p_text(float p, char buf[16]) { return isnan(p) ? strcpy(buf, "-") : attention_share((double)p, buf); }

static const struct attention_run *first_run(const struct attention_view *v) {
    for (int i = 0; i < v->n_runs; i++)
        if (v->run[i].known) return &v->run[i];
    return NULL;
}

static const char *quoted(const struct tui_token *t, char *buf) {
    char safe[48];
    cut_utf8_escape(safe, sizeof safe, t->text, strlen(t->text));
    snprintf(buf, 64, "\"%s\"", safe);
    return buf;
}

/* A column for each of the likeliest tokens of the first run, and for what is likeliest now. */
void attention_draw_effect(struct attention_view *v, struct tui_area a) {
    const struct tui_snap *s = tui_app_snap(v->app);
    struct tui_area in = tui_pane(a, "next token", s->n_top ? "[REAL]" : NULL, false);
    const struct attention_run *base = first_run(v);
    const struct tui_token *col[4];
    int n_col = 0, most = (in.w - NAME) / COLUMN;
    char buf[64];
    if (!base || !s->n_top) {
        tui_text_wrap(tui_part(in, 1, 0, in.w - 2, in.h), 0, TUI_DIM, "Known when the pass is done: c runs to its end. "
                      "Then x zeroes a head and shows what that does.");
        return;
    }
    if (most > 4) most = 4;
    for (int i = 0; i < base->n_top && n_col < most; i++) col[n_col++] = &base->token[i];
    const struct attention_run *now = &v->run[v->n_runs - 1];
    bool there = false;
    for (int i = 0; i < n_col; i++) there = there || col[i]->id == now->token[0].id;
    if (!there) col[n_col - 1] = &now->token[0];
    for (int c = 0; c < n_col; c++) {
        struct tui_area cut = tui_part(in, NAME + c * COLUMN, 0, COLUMN - 1, 1);
        quoted(col[c], buf);
        int w = tui_text_width(in.g, buf);
        tui_text_fit(cut, w < cut.w ? cut.w - w : 0, cut.w, 0, TUI_DIM, buf);
    }
    int rows = in.h - 2, first = v->n_runs > rows ? v->n_runs - rows : 0, y = 1;
    for (int i = first; i < v->n_runs; i++) {
        const struct attention_run *r = &v->run[i];
        bool last = i == v->n_runs - 1;
        if (!r->known) continue;
        tui_textf(in, 1, y, last ? TUI_TITLE | TUI_BOLD : TUI_DIM, "%s%.11s", i ? "+" : "", r->label);
        for (int c = 0; c < n_col; c++)
            tui_text_right(in, NAME + (c + 1) * COLUMN - 1, y, last ? TUI_TITLE | TUI_BOLD : TUI_TEXT,
                           p_text(p_of(r, col[c]->id), buf));
        y++;
    }
    tui_text_fit(in, 1, in.w, in.h - 1, TUI_DIM, s->n_edits ? "u takes the last edit back" : "x zeroes this head");
}

int attention_draw_effect_line(struct attention_view *v, struct tui_area a, int y) {
    const struct tui_snap *s = tui_app_snap(v->app);
    const struct attention_run *base = first_run(v), *now = v->n_runs ? &v->run[v->n_runs - 1] : NULL;
    char buf[64], was[16], is[16];
    if (!base || !s->n_top) return y;
    const struct tui_token *t = &base->token[0];
    int x = tui_text(a, 1, y, TUI_DIM, "next    ");
    x = tui_text_fit(a, x, x + 12, y, TUI_TEXT, quoted(t, buf));
    x = tui_textf(a, x + 1, y, TUI_TEXT, "%s", p_text(p_of(base, t->id), was));
    if (now != base) tui_textf(a, x, y, TUI_EDITED | TUI_BOLD, " -> %s", p_text(p_of(now, t->id), is));
    else tui_text(a, x + 1, y, TUI_DIM, "x zeroes");
    return y + 1;
}
