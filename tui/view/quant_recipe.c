/* quant_recipe.c - the recipe under a budget, and the plot of size against quality. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/view/quant.h"

uint64_t quant_parse_budget(const char *text, uint64_t whole) {
    char *end;
    double x = strtod(text, &end), unit = 1048576;
    while (*end == ' ') end++;
    if (*end == '%') unit = (double)whole / 100, end++;
    else if (*end == 'K' || *end == 'k') unit = 1024, end++;
    else if (*end == 'M' || *end == 'm') end++;
    else if (*end == 'G' || *end == 'g') unit = 1073741824, end++;
    if (end > text && end[-1] != '%' && *end == 'i') end++;
    if (end > text && end[-1] != '%' && (*end == 'B' || *end == 'b')) end++;
    while (*end == ' ') end++;
    if (end == text || *end || !(x > 0) || x * unit > 1e15) return 0;
    return (uint64_t)(x * unit);
}

double quant_round_up(double x) {
    if (!(x > 0)) return 1;
    double ten = pow(10, floor(log10(x)));
    double of = x / ten;
    return ten * (of <= 1.0001 ? 1 : of <= 2.0001 ? 2 : of <= 5.0001 ? 5 : 10);
}

/* ---- the recipe */

static void draw_step(const struct tui_cmp *c, struct tui_area a, int y, int i) {
    const struct tui_cmp_step *s = &c->step[i];
    char what[96], bytes[16], n[16];
    int x = a.w - 30;
    if (s->tensor < 0) snprintf(what, sizeof what, "all %s", cut_type_info(s->type)->name);
    else snprintf(what, sizeof what, "+ %s %s", c->tensor[s->tensor].name, cut_type_info(s->type)->name);
    tui_text_fit(a, 2, x, y, s->by_hand ? TUI_EDITED : TUI_TEXT, what);
    tui_text_right(a, x + 10, y, TUI_TEXT, tui_bytes(s->bytes, bytes));
    tui_text_right(a, x + 19, y, s->measured ? TUI_TEXT | TUI_BOLD : TUI_DIM, tui_num((float)s->kl, 7, n));
    tui_text(a, x + 20, y, TUI_DIM, s->measured ? s->by_hand ? "by hand" : "measured" : "foretold");
}

void quant_draw_recipe(struct quant_view *v, struct tui_area a) {
    const struct tui_cmp *c = quant_cmp(v);
    char right[64] = "", bytes[16];
    if (c->budget) snprintf(right, sizeof right, "budget %s", tui_bytes(c->budget, bytes));
    struct tui_area in = quant_pane(v, a, QUANT_RECIPE, "recipe: which bytes buy most quality", right);
    if (!c->n_steps) {
        tui_text_wrap(tui_part(in, 1, 0, in.w - 2, in.h), 0, TUI_DIM, "r asks for a size. Then all tensors start in a low format, and the one that saves most "
                      "KL for its bytes is raised to a better one, again and again, as long as it fits.");
        return;
    }
    struct tui_area head = tui_cut_top(&in, 1);
    int x = head.w - 30;
    tui_text(head, 2, 0, TUI_DIM, "raised");
    tui_text_right(head, x + 10, 0, TUI_DIM, "size");
    tui_text_right(head, x + 19, 0, TUI_DIM, "mean KL");
    v->recipe.n = c->n_steps;
    tui_list_show(&v->recipe, in.h);
    for (int y = 0; y < in.h && v->recipe.top + y < c->n_steps; y++) {
        draw_step(c, in, y, v->recipe.top + y);
        if (v->focus != QUANT_RECIPE || v->recipe.top + y != v->recipe.cursor) continue;
        tui_put(in, 0, y, TUI_FOCUS | TUI_BOLD, tui_glyph(a.g, TUI_G_CURSOR));
        tui_mark_row(in, y, TUI_SELECTED);
    }
    tui_scrollbar(tui_part(a, a.w - 1, 2, 1, in.h), 0, &v->recipe);
}

/* ---- the plot */

struct plot { struct tui_area a; double lo, hi, top; };        /* sizes from right to left, KL from the bottom up */

static int plot_x(const struct plot *p, double bytes) {
    return p->hi > p->lo ? (int)lround((p->hi - bytes) / (p->hi - p->lo) * (p->a.w - 1)) : p->a.w / 2;
}
static int plot_y(const struct plot *p, double kl) {
    int y = (int)lround((1 - kl / p->top) * (p->a.h - 1));
    return y < 0 ? 0 : y;
}

static void widen(struct plot *p, double bytes, double kl) {
    if (p->hi == 0 || bytes < p->lo) p->lo = bytes;
    if (bytes > p->hi) p->hi = bytes;
    if (kl > p->top) p->top = kl;
}

/* A name beside its point, on the side with room, on the nearest free row. */
static void draw_label(const struct plot *p, bool taken[64], int x, int y, tui_style st, const char *text) {
    int w = tui_text_width(p->a.g, text);
    bool left = x + 2 + w > p->a.w;
    for (int d = 0; d < 2 * p->a.h; d++) {
        int row = y + (d % 2 ? -(d + 1) / 2 : d / 2);
        if (row < 0 || row >= p->a.h || row >= 64 || taken[row]) continue;
        taken[row] = true;
        tui_text(p->a, left ? (x - 1 - w > 0 ? x - 1 - w : 0) : x + 2, row, st, text);
        return;
    }
}

static void draw_axes(const struct plot *p, struct tui_area a, int axis_w) {
    char n[16];
    for (int y = 0; y < p->a.h; y++) tui_put(a, axis_w - 1, y, TUI_BORDER, tui_glyph(a.g, TUI_G_V));
    for (int x = axis_w; x < a.w - 1; x++) tui_put(a, x, p->a.h, TUI_BORDER, tui_glyph(a.g, TUI_G_H));
    for (int i = 0; i <= 2; i++)
        tui_text_right(a, axis_w - 1, (p->a.h - 1) * i / 2, TUI_DIM, tui_num((float)(p->top * (2 - i) / 2), axis_w - 1, n));
    char hi[16], lo[16];
    tui_text(a, axis_w, p->a.h + 1, TUI_DIM, tui_bytes((uint64_t)p->hi, hi));
    tui_text_right(a, a.w - 1, p->a.h + 1, TUI_DIM, tui_bytes((uint64_t)p->lo, lo));
    if (a.w - axis_w > 40) tui_text(a, axis_w + (a.w - axis_w) / 2 - 6, p->a.h + 1, TUI_DIM, "smaller -->");
}

void quant_draw_pareto(struct quant_view *v, struct tui_area a) {
    static const char mark[TUI_CMP_BUILDS + 1] = "ox*#";
    const struct tui_cmp *c = quant_cmp(v);
    enum { AXIS_W = 7 };
    struct tui_area in = quant_pane(v, a, QUANT_PARETO, "size against KL: right and low is better", NULL);
    struct plot p = { .a = tui_part(in, AXIS_W, 0, in.w - AXIS_W - 2, in.h - 2) };
    bool taken[64] = { false };
    for (int k = 0; k < c->n_builds; k++) widen(&p, (double)c->build[k].sum.bytes, k ? c->build[k].sum.damage.kl : 0);
    for (int i = 0; i < c->n_steps; i++) widen(&p, (double)c->step[i].bytes, c->step[i].kl);
    if (c->n_builds < 2 || p.top <= 0 || p.a.h < 3) {
        tui_text_wrap(tui_part(in, 1, 0, in.w - 2, in.h), 0, TUI_DIM, "Mean KL against size, measured here: known when two builds have read the text.");
        return;
    }
    p.top = quant_round_up(p.top);
    draw_axes(&p, in, AXIS_W);
    for (int i = 0; i < c->n_steps; i++)
        tui_put(p.a, plot_x(&p, (double)c->step[i].bytes), plot_y(&p, c->step[i].kl), c->step[i].measured ? TUI_SERIES5 : TUI_DIM,
                c->step[i].measured ? '+' : tui_glyph(a.g, TUI_G_DOT));
    for (int k = 0; k < c->n_builds; k++) {
        const struct tui_cmp_build *b = &c->build[k];
        char label[64], speed[24] = "";
        int x = plot_x(&p, (double)b->sum.bytes), y = plot_y(&p, k ? b->sum.damage.kl : 0);
        if (tui_app_times(v->app) && b->sum.tps > 0) snprintf(speed, sizeof speed, " %.0f t/s", b->sum.tps);
        snprintf(label, sizeof label, "%s%s", b->name, speed);
        tui_style st = (tui_style)(TUI_SERIES1 + k);
        draw_label(&p, taken, x, y, k == v->build ? st | TUI_BOLD : st, label);
        tui_put(p.a, x, y, st | TUI_BOLD, (uint32_t)mark[k]);
    }
}
