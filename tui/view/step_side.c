/* step_side.c - the source that computes a step, and what the model would write next. */
#include <stdlib.h>
#include <string.h>

#include "tui/view/step.h"

/* ---- source */

/* Line n (from 1) of a text: its start and length; false past the end. */
static bool source_line(const char *text, size_t len, int n, const char **line, size_t *line_len) {
    const char *p = text, *end = text + len;
    for (int i = 1; i < n && p; i++) {
        p = memchr(p, '\n', (size_t)(end - p));
        if (p) p++;
    }
    if (!p || p >= end) return false;
    const char *nl = memchr(p, '\n', (size_t)(end - p));
    *line = p;
    *line_len = (size_t)((nl ? nl : end) - p);
    return true;
}

static bool is_comment(const char *s) {
    s += strspn(s, " \t");
    return !strncmp(s, "/*", 2) || !strncmp(s, "*", 1) || !strncmp(s, "//", 2);
}

/* The lines around src->line, which is marked. */
void step_draw_code(struct step_view *v, struct tui_area a, const struct cut_src *src, int scroll) {
    size_t len;
    const char *text = src->file ? cut_source_text(src->file, &len) : NULL;
    if (!src->file) {
        tui_text_wrap(tui_part(a, 1, 0, a.w - 2, a.h), 0, TUI_DIM, "This step calls no kernel of its own.");
        return;
    }
    if (!text) {
        tui_textf(a, 0, 0, TUI_DIM, "%s:%d", src->file, src->line);
        tui_text_wrap(a, 1, TUI_DIM, "This build does not carry its source along.");
        return;
    }
    int first = src->line - (a.h > 12 ? a.h / 4 : 1) + scroll;
    if (first < 1) first = 1;
    for (int y = 0; y < a.h; y++) {
        const char *line;
        size_t n;
        char buf[256];
        if (!source_line(text, len, first + y, &line, &n)) break;
        snprintf(buf, sizeof buf, "%.*s", (int)(n < 255 ? n : 255), line);
        bool here = first + y == src->line;
        if (!here && !tui_app_times(v->app)) continue;
        if (tui_app_times(v->app)) tui_textf_right(a, 4, y, here ? TUI_FOCUS : TUI_BORDER, "%d", first + y);
        if (here) tui_put(a, 4, y, TUI_FOCUS | TUI_BOLD, tui_glyph(a.g, TUI_G_CURSOR));
        struct tui_area body = tui_part(a, 6, y, a.w - 6, 1);
        tui_style st = here ? TUI_TITLE | TUI_BOLD : is_comment(buf) ? TUI_DIM : TUI_TEXT;
        tui_text(body, 0, 0, st, buf);
        if (tui_text_width(a.g, buf) > body.w) tui_text(body, body.w - 2, 0, TUI_DIM, "..");
    }
}

/* "softmax()  ref.c:188" */
static void where(const struct step_view *v, char *buf, size_t cap, const char *what, const char *gap, const struct cut_src *src) {
    const char *base = strrchr(src->file, '/');
    int n = snprintf(buf, cap, "%s%s%s", what, gap, base ? base + 1 : src->file);
    if (tui_app_times(v->app) && n > 0 && (size_t)n < cap) snprintf(buf + n, cap - (size_t)n, ":%d", src->line);
}

void step_draw_source(struct step_view *v, struct tui_area a) {
    const struct cut_step *s = step_selected(v);
    const struct tui_snap *snap = tui_app_snap(v->app);
    char title[96] = "source", built[96] = "";
    if (!s || !snap->n_tokens) {
        tui_pane(a, title, NULL, v->focus == PANE_SOURCE);
        return;
    }
    if (s->source.file) where(v, title, sizeof title, s->source.function, "()  ", &s->source);
    struct tui_area graph = { .g = a.g };
    if (a.h >= 20) graph = tui_cut_bottom(&a, 6);
    struct tui_area in = tui_pane(a, title, s->kernel, v->focus == PANE_SOURCE && !v->menu);
    v->at_source = in;
    step_draw_code(v, in, &s->source, v->source_top);
    if (!graph.h) return;
    where(v, built, sizeof built, "asked for in", " ", &s->built);
    step_draw_code(v, tui_pane(graph, built, NULL, false), &s->built, 0);
}

/* ---- the next token */

void step_draw_next(struct step_view *v, struct tui_area a) {
    const struct tui_snap *s = tui_app_snap(v->app);
    char label[64], figure[16], num[16];
    if (!s->n_top) {
        tui_text_wrap(a, 0, TUI_DIM, "Known when the pass is done: c runs to its end.");
        return;
    }
    int rows = a.h - 1;
    for (int i = 0; i < s->n_top && i < rows; i++) {
        char quoted[72];
        snprintf(quoted, sizeof quoted, "%s\"%s\"", s->top[i].id == s->chosen ? "> " : "  ", tui_token_label(&s->top_token[i], label));
        snprintf(figure, sizeof figure, "%s%%", tui_num(s->top[i].p * 100, 5, num));
        tui_bar_row(a, i, 14, quoted, figure, 6, i ? TUI_SERIES2 : TUI_GOOD, s->top[i].p / s->top[0].p);
    }
    tui_textf(a, 0, a.h - 1, TUI_DIM, "entropy %s bits of %d tokens", tui_num(s->top_entropy, 5, num), s->list->config.n_vocab);
}
