/* step_list.c - the listing of the program, folded by layer. */
#include <stdlib.h>
#include <string.h>

#include "tui/screen/mem.h"
#include "tui/view/step.h"

/* ---- rows: the steps outside the layers and those of the open layer; the layers around it folded into one row each way */

static void add_row(struct step_view *v, struct step_row r) {
    v->row = tui_resize(v->row, (size_t)v->list.n + 1, sizeof *v->row);
    v->row[v->list.n++] = r;
}

void step_rows_build(struct step_view *v) {
    const struct tui_listing *l = tui_app_snap(v->app)->list;
    struct step_row old = { -1, -1, -1 };
    if (v->list.cursor < v->list.n) old = v->row[v->list.cursor];
    v->list.n = 0;
    for (int i = 0; l && i < l->n_steps; i++) {
        int layer = l->step[i].layer, before = i ? l->step[i - 1].layer : -1;
        if (layer < 0 || layer == v->open_layer) {
            if (layer >= 0 && layer != before) add_row(v, (struct step_row){ -1, layer, layer });
            add_row(v, (struct step_row){ i, layer, layer });
        } else if (v->list.n && v->row[v->list.n - 1].step < 0 && v->row[v->list.n - 1].last_layer != v->open_layer) {
            v->row[v->list.n - 1].last_layer = layer;
        } else {
            add_row(v, (struct step_row){ -1, layer, layer });
        }
    }
    for (int i = 0; i < v->list.n; i++)            /* the cursor stays on what it was on */
        if (old.step >= 0 ? v->row[i].step == old.step : v->row[i].step < 0 && v->row[i].first_layer == old.first_layer)
            v->list.cursor = i;
}

/* ---- drawing */

/* What a step is, in seven columns: the format of its weights, or the operation. */
static const char *kind(const struct cut_step *s, char buf[12]) {
    static const char *const shorter[][2] = { { "rms_norm", "norm" }, { "quantize", "to q8" }, { "get_rows", "lookup" },
                                              { "attention", "p.v" }, { "scores", "q.k" } };
    if (!strcmp(s->op, "matmul") && s->kernel) {
        snprintf(buf, 12, "%.*s", (int)(strcspn(s->kernel, " ") < 8 ? strcspn(s->kernel, " ") : 8), s->kernel);
        return buf;
    }
    for (size_t i = 0; i < sizeof shorter / sizeof *shorter; i++)
        if (!strcmp(s->op, shorter[i][0])) return shorter[i][1];
    return s->op;
}

/* "8x64" for heads, "576" for a row, "8xn" where there is a column per visible key. */
static const char *shape_text(const struct tui_shape *s, char buf[24]) {
    char cols[12];
    snprintf(cols, sizeof cols, s->keys ? "n" : "%d", (int)s->cols);
    if (s->rows > 1) snprintf(buf, 24, "%dx%.10s", (int)s->rows, cols);
    else snprintf(buf, 24, "%.10s", cols);
    return buf;
}

/* Is there a breakpoint whose pattern names the step? '*' stands for any characters. */
static bool pattern_fits(const char *p, const char *s) {
    for (; *p != '*'; p++, s++) {
        if (*p != *s) return false;
        if (!*p) return true;
    }
    while (*p == '*') p++;
    for (;; s++) {
        if (pattern_fits(p, s)) return true;
        if (!*s) return false;
    }
}

static bool has_break(const struct tui_snap *s, const struct cut_step *step) {
    for (int i = 0; i < s->n_breaks; i++)
        if (pattern_fits(s->brk[i].pattern, step->name) || (step->alias && pattern_fits(s->brk[i].pattern, step->alias)))
            return true;
    return false;
}

static bool has_edit(const struct tui_snap *s, const struct cut_step *step) {
    for (int i = 0; i < s->n_edits; i++)
        if (!strcmp(s->edit[i].step, step->name)) return true;
    return false;
}

static void draw_step(const struct step_view *v, struct tui_area a, int y, int i) {
    const struct tui_snap *s = tui_app_snap(v->app);
    const struct cut_step *step = &s->list->step[i];
    bool reached = i < s->where.step, selected = i == v->sel, wide = a.w >= 34, here = i == s->where.step - 1;
    tui_style st = selected ? TUI_SELECT : reached ? TUI_TEXT : TUI_DIM;
    char buf[24], num[16];
    int x = 2, name_w = 13;
    if (has_break(s, step)) tui_put(a, 0, y, TUI_BAD | TUI_BOLD, tui_glyph(a.g, TUI_G_BREAK));
    if (selected) tui_put(a, 1, y, TUI_FOCUS | TUI_BOLD, tui_glyph(a.g, TUI_G_CURSOR));
    else if (here) tui_put(a, 1, y, TUI_KEY, tui_glyph(a.g, TUI_G_HERE));
    if (has_edit(s, step)) st = TUI_EDITED | TUI_BOLD;
    int end = tui_text_fit(a, x, x + name_w, y, st | (selected ? TUI_BOLD : 0), step_short_name(step));
    if (has_edit(s, step) && end < x + name_w) tui_put(a, end, y, TUI_EDITED, '!');
    x += name_w + 1;
    tui_style quiet = reached ? TUI_TEXT : TUI_DIM;
    if (wide) tui_text_fit(a, x, x + 6, y, quiet, shape_text(&s->list->shape[i], buf)), x += 7;
    tui_text_fit(a, x, x + 7, y, TUI_DIM, kind(step, buf));
    if (tui_app_times(v->app) && reached && s->time[i] > 0)
        tui_text_right(a, a.w, y, quiet, tui_time_short((double)s->time[i], num));
    else if (reached) tui_text_right(a, a.w, y, TUI_GOOD, a.g->ascii ? "+" : "\xe2\x9c\x93");
    if (selected) tui_mark_row(a, y, TUI_SELECTED);
}

/* Layers folded away: how many steps, and how far the pass has come in them. */
static void draw_fold(const struct step_view *v, struct tui_area a, int y, const struct step_row *r) {
    const struct tui_snap *s = tui_app_snap(v->app);
    bool open = r->first_layer == v->open_layer, cursor = v->focus == PANE_STEPS && v->list.cursor == v->list.top + y;
    int n = 0, done = 0;
    double time = 0;
    for (int i = 0; i < s->list->n_steps; i++) {
        if (s->list->step[i].layer < r->first_layer || s->list->step[i].layer > r->last_layer) continue;
        n++;
        done += i < s->where.step;
        time += i < s->where.step ? (double)s->time[i] : 0;
    }
    char num[16];
    tui_put(a, 1, y, TUI_DIM, tui_glyph(a.g, open ? TUI_G_OPEN : TUI_G_FOLDED));
    tui_style st = cursor ? TUI_SELECT | TUI_BOLD : done ? TUI_TEXT : TUI_DIM;
    int x = r->first_layer == r->last_layer ? tui_textf(a, 3, y, st, "layer %d", r->first_layer)
                                            : tui_textf(a, 3, y, st, "layers %d-%d", r->first_layer, r->last_layer);
    if (x < 16 && (a.w >= 34 || !tui_app_times(v->app) || !done)) tui_textf(a, 16, y, TUI_DIM, "%d steps", n);
    if (tui_app_times(v->app) && done) tui_text_right(a, a.w, y, TUI_DIM, tui_time_short(time, num));
    else if (done == n) tui_text_right(a, a.w, y, TUI_GOOD, a.g->ascii ? "+" : "\xe2\x9c\x93");
    else if (done) tui_textf_right(a, a.w, y, TUI_DIM, "%d", done);
    if (cursor) tui_mark_row(a, y, TUI_SELECTED);
}

void step_draw_list(struct step_view *v, struct tui_area a) {
    const struct tui_snap *s = tui_app_snap(v->app);
    char title[48] = "steps";
    const struct cut_step *sel = step_selected(v);
    if (sel && sel->layer >= 0) snprintf(title, sizeof title, "layer %d/%d", sel->layer, s->list->config.n_layer - 1);
    struct tui_area in = tui_pane(a, title, tui_app_times(v->app) ? "us" : NULL, v->focus == PANE_STEPS && !v->menu);
    v->at_steps = in;
    if (!s->list) return;
    step_rows_build(v);
    tui_list_show(&v->list, in.h);
    for (int y = 0; y < in.h && v->list.top + y < v->list.n; y++) {
        const struct step_row *r = &v->row[v->list.top + y];
        if (r->step >= 0) draw_step(v, in, y, r->step);
        else draw_fold(v, in, y, r);
    }
    tui_scrollbar(tui_part(a, 0, 1, a.w, a.h - 2), a.w - 1, &v->list);
}
