/* perf_sweep.c - speed against threads: the plot, the table, and what the law fitted to them says. */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "tui/view/perf.h"

/* ---- figures */

const char *perf_figure(const struct perf_view *v, char buf[32], const char *fmt, ...) {
    va_list ap;
    if (!v->times) return strcpy(buf, "~");
    va_start(ap, fmt);
    vsnprintf(buf, 32, fmt, ap);
    va_end(ap);
    return buf;
}

const char *perf_tps(const struct perf_view *v, double tps, char buf[32]) {
    return perf_figure(v, buf, tps < 9.995 ? "%.2f" : tps < 999.5 ? "%.1f" : "%.0f", tps);
}

const char *perf_ops_rate(const struct perf_view *v, double rate, char buf[32]) {
    double g = rate * 1e-9;
    return perf_figure(v, buf, g < 0.995 ? "%.2f G" : g < 99.5 ? "%.1f G" : g < 9999.5 ? "%.0f G" : "%.3g G", g);
}

const char *perf_gb(const struct perf_view *v, double rate, char buf[32]) { return perf_figure(v, buf, "%.1f GB/s", rate * 1e-9); }

int perf_counts(const struct tui_perf *p, int out[TUI_PERF_POINTS]) {
    int n = 0;
    for (int t = 1; t <= 512 && n < TUI_PERF_POINTS; t++)
        if (tui_perf_find(p, p->prefill, p->tier, t, 0)) out[n++] = t;
    return n;
}

/* ---- the plot */

static const char *unit_of(const struct tui_perf *p) { return p->prefill ? "prefill" : "decode"; }

/* The roof by its name, with what it is made of where there is room. */
static const char *roof_name(const struct perf_view *v, double roof, bool wide, char text[96]) {
    const struct tui_perf *p = v->perf;
    char b1[32], b2[32], b3[16];
    const char *what = p->prefill ? "compute roof" : "read roof";
    if (p->prefill || !wide) snprintf(text, 96, "%s %s", what, perf_tps(v, roof, b1));
    else
        snprintf(text, 96, "%s %s / %s a token = %s", what, perf_gb(v, tui_perf_read_peak(p), b1),
                 tui_bytes((uint64_t)(tui_perf_read_peak(p) / roof), b3), perf_tps(v, roof, b2));
    return text;
}

static void draw_fit(const struct tui_plane *pl, const struct cut_usl *fit, double from, double to) {
    double step = (to - from) / (pl->a.w * 2);
    for (double t = from; t < to; t += step) tui_plane_dot(pl, t, cut_usl_at(fit, t), TUI_DIM, ':');
}

static void draw_point(const struct tui_plane *pl, const struct tui_perf_point *q) {
    const struct cut_speed *s = &q->at.tps;
    int top = tui_plane_row(pl, s->q3), low = tui_plane_row(pl, s->q1), col = tui_plane_col(pl, q->threads);
    for (int y = top < 0 ? 0 : top; y <= low && y < pl->a.h; y++) tui_put(pl->a, col, y, TUI_SERIES1, pl->a.g->ascii ? '|' : 0x2502);
    tui_plane_mark(pl, q->threads, s->median, TUI_SERIES1 | TUI_BOLD, pl->a.g->ascii ? 'o' : 0x25CF);
}

/* A little above the fastest, and up to the roof when that is not far off. */
static double top_of(const struct tui_perf *p, const int *count, int n, double roof) {
    double most = 0;
    for (int i = 0; i < n; i++) most = fmax(most, tui_perf_find(p, p->prefill, p->tier, count[i], 0)->at.tps.q3);
    return 1.08 * (roof > most && roof < 3 * most ? roof : most);
}

/* The counts that were measured, as far as there is room, in the place of round numbers. */
static void draw_counts(struct tui_area in, const struct tui_plane *pl, const int *count, int n) {
    char text[16];
    for (int x = 0; x < in.w; x++) tui_put(in, x, pl->a.h + 1, TUI_DIM, ' ');
    for (int i = 0, free_from = 0; i < n; i++) {
        int w = snprintf(text, sizeof text, "%d", count[i]), x = pl->a.x - in.x + tui_plane_col(pl, count[i]) - (w - 1) / 2;
        if (x < free_from || x + w > in.w) continue;
        tui_text(in, x, pl->a.h + 1, TUI_DIM, text);
        free_from = x + w + 1;
    }
}

void perf_draw_plot(struct perf_view *v, struct tui_area a) {
    const struct tui_perf *p = v->perf;
    char title[64], right[80] = "", name[96], where[TUI_PERF_WHERE];
    int count[TUI_PERF_POINTS], n = perf_counts(p, count), best;
    struct cut_usl fit;
    char why[160];
    bool brief = a.w < 60 && (p->pin.n || p->load || p->ways);
    snprintf(title, sizeof title, "%s tok/s%s", unit_of(p), brief ? "" : " by threads");
    int n_right = a.w < 60 && (p->pin.n || p->load) ? 0 : snprintf(right, sizeof right, "%s %s ", p->type, cut_tier_name(p->tier));
    snprintf(right + n_right, sizeof right - (size_t)n_right, "%s%s%s%s%s", p->ways ? tui_perf_ways(p->ways) + 2 : "", p->ways ? " " : "",
             p->pin.n ? "on " : "", tui_perf_pin_text(&p->pin, where), !p->load ? "" : p->pin.n ? ", loaded" : "loaded");
    right[strlen(right) - (right[0] && right[strlen(right) - 1] == ' ')] = 0;
    struct tui_area in = perf_pane(v, a, PERF_SWEEP, title, right);
    if (!n) { perf_nothing(in, "t measures the speed with 1, 2, .. threads; b measures everything there is on this screen."); return; }
    double roof = tui_perf_roof(p), top = v->times ? top_of(p, count, n, roof) : 1, last = count[n - 1];
    struct tui_plane pl = tui_plane_open(tui_part(in, 0, 0, in.w, in.h - 1), (struct tui_axis){ 0, fmax(last, 4) * 1.04, false },
                                         (struct tui_axis){ 0, top, false }, 6, v->level);
    draw_counts(in, &pl, count, n);
    for (int y = 0; y < pl.a.h && !v->times; y++) tui_text(in, 0, y, TUI_DIM, "      ");
    if (v->times) {
        double one = count[0] == 1 ? tui_perf_find(p, p->prefill, p->tier, 1, 0)->at.tps.median : 0;
        if (one > 0) tui_plane_line(&pl, 1, one, last, one * last, TUI_DIM, '.', 3);
        if (roof > 0 && roof <= top) tui_plane_line(&pl, 1, roof, last, roof, TUI_WARN, '-', 2);
        if (tui_perf_best(p, &fit, &best, why) && last > 2) draw_fit(&pl, &fit, 1, last);
        if (roof > 0 && roof <= top)           /* on the left, where few threads are far below it */
            tui_textf(pl.a, 0, tui_plane_row(&pl, roof), TUI_WARN, " %s ", roof_name(v, roof, pl.a.w >= 50, name));
        for (int i = 0; i < n; i++) draw_point(&pl, tui_perf_find(p, p->prefill, p->tier, count[i], 0));
    }
    int x = tui_text(in, 7, in.h - 1, TUI_SERIES1, in.g->ascii ? "o" : "\u25CF");
    x = tui_text(in, x, in.h - 1, TUI_DIM, " measured  ");
    if (roof > top && v->times) {
        tui_text_fit(in, x, in.w, in.h - 1, TUI_WARN, roof_name(v, roof, in.w - x >= 56, name));
        tui_text(in, x + tui_text_width(in.g, name), in.h - 1, TUI_WARN, ", above");
    } else {
        x = tui_textf(in, x, in.h - 1, TUI_DIM, "%s perfect  : fit  ", in.g->ascii ? "." : "\u00B7");
        if (roof > 0) tui_text(in, x, in.h - 1, TUI_WARN, "- roof");
    }
}

/* ---- the table */

static void draw_row(const struct perf_view *v, struct tui_area in, int y, const struct tui_perf_point *q, double one, bool wide) {
    const struct cut_sweep_point *s = &q->at;
    char b[32];
    bool noisy = v->times && s->tps.noisy;
    tui_style st = q->threads > v->perf->machine.cpus ? TUI_DIM : TUI_TEXT;
    int x = wide ? 4 : 5;
    tui_textf_right(in, x, y, st, "%d", q->threads);
    if (q->threads == v->perf->threads) tui_put(in, 1, y, TUI_FOCUS, '*');
    tui_text_right(in, x += wide ? 8 : 9, y, noisy ? TUI_WARN : st | TUI_BOLD, perf_tps(v, s->tps.median, b));
    if (noisy) tui_put(in, x, y, TUI_WARN, '!');
    if (wide) tui_text_right(in, x += 6, y, TUI_DIM, perf_figure(v, b, s->tps.q3 - s->tps.q1 < 99.5 ? "%.1f" : "%.0f", (s->tps.q3 - s->tps.q1) / 2));
    tui_text_right(in, x += 6, y, st, one > 0 ? perf_figure(v, b, "%.0f%%", 100 * s->tps.median / (one * q->threads)) : "");
    tui_text_right(in, x += wide ? 7 : 6, y, st, perf_figure(v, b, "%.1f", s->read * 1e-9));
    tui_text_right(in, x += wide ? 8 : 5, y, st, perf_figure(v, b, "%.0f%%", 100 * s->waited));
    if (wide) tui_text_right(in, x += 7, y, st, perf_figure(v, b, 1e3 / s->tps.median < 9.995 ? "%.3f" : "%.1f", 1e3 / s->tps.median));
}

/* What tying the threads, the load, or dividing sums has changed: with the threads set. */
static int draw_effect(const struct perf_view *v, struct tui_area in, int y) {
    const struct tui_perf *p = v->perf;
    const struct tui_perf_point *now = tui_perf_find(p, p->prefill, p->tier, p->threads, 0), *free_ = now ? tui_perf_undisturbed(p, now) : NULL;
    char b[32], by[TUI_PERF_WHERE + 32] = "", where[TUI_PERF_WHERE];
    if (p->pin.n) snprintf(by, sizeof by, "on %.18s%s", tui_perf_pin_text(&p->pin, where), p->load ? ", " : "");
    if (p->load) strcat(by, "loaded");
    if (p->ways) strcat(by, tui_perf_ways(p->ways) + (by[0] ? 0 : 2));
    if (!by[0] || y >= in.h) return y;
    if (!now || !free_) {
        tui_textf(in, 1, y, TUI_DIM, now ? "%s: without, t=%d is not known" : "%s: t=%d not measured yet", by, p->threads);
        return y + 1;
    }
    double change = 100 * (now->at.tps.median / free_->at.tps.median - 1);
    bool real = cut_rank_test(now->at.tps.run, now->at.tps.n, free_->at.tps.run, free_->at.tps.n) < 0.05;
    tui_style st = !real || !v->times ? TUI_TEXT : change > 0 ? TUI_GOOD | TUI_BOLD : TUI_BAD | TUI_BOLD;
    int x = tui_textf(in, 1, y, st, "%s: %s", by, perf_figure(v, b, "%+.1f%%", change));
    if (v->times) tui_text_fit(in, x, in.w, y, TUI_DIM, in.w < 44 ? real ? "" : " (noise)" : !real ? " (within noise)" : p->pin.n || p->load ? " of free and quiet" : " of the default");
    return y + 1;
}

static int draw_verdict(const struct perf_view *v, struct tui_area in, int y) {
    const struct tui_perf *p = v->perf;
    y = draw_effect(v, in, y);
    struct cut_usl fit;
    int best, differs = 0, same = tui_perf_same_bytes(p, &differs);
    char why[160], line[256], b[32];
    if (v->times && tui_perf_best(p, &fit, &best, why)) {
        if (in.w >= 44)
            tui_textf(in, 1, y++, TUI_DERIVED, "USL fit  serial %s   crosstalk %s", perf_figure(v, b, fit.sigma < 1 ? "%.1f %%" : "> 100 %%", 100 * fit.sigma),
                      perf_figure(v, line, "%.4f", fit.kappa));
        else tui_textf(in, 1, y++, TUI_DERIVED, "USL serial %s, cross %s", perf_figure(v, b, fit.sigma < 1 ? "%.1f%%" : ">100%%", 100 * fit.sigma),
                       perf_figure(v, line, "%.3f", fit.kappa));
        snprintf(line, sizeof line, "best t = %d: %s", best, why);
        y = tui_text_wrap(tui_part(in, 1, 0, in.w - 2, in.h), y, TUI_GOOD, line);
    }
    if (same >= 0 && y < in.h) {
        if (same) tui_text(in, 1, y++, TUI_TEXT, in.w < 44 ? "same bytes for every t: yes" : "logits: the same bytes for every t: yes");
        else if (p->ways & TUI_PERF_SPLIT_K) tui_textf(in, 1, y++, TUI_WARN, "other bytes with t = %d (=)", differs);
        else tui_textf(in, 1, y++, TUI_BAD, "same bytes: no, t=%d differs (=)", differs);
    }
    return y;
}

void perf_draw_table(struct perf_view *v, struct tui_area a) {
    const struct tui_perf *p = v->perf;
    int count[TUI_PERF_POINTS], n = perf_counts(p, count);
    char right[48];
    if (a.w < 44) snprintf(right, sizeof right, "%d cpu%s", p->machine.cpus, p->machine.cpus == 1 ? "" : "s");
    else if (p->machine.cores && p->machine.cores < p->machine.cpus)
        snprintf(right, sizeof right, "%d cores, %d processors", p->machine.cores, p->machine.cpus);
    else snprintf(right, sizeof right, "%d processor%s", p->machine.cpus, p->machine.cpus == 1 ? "" : "s");
    struct tui_area frame = perf_pane(v, a, PERF_SWEEP, "table", v->times ? right : NULL), in = frame;
    bool wide = in.w >= 44;
    if (!n) return;
    tui_text(in, 0, 0, TUI_DIM, wide ? "   t   tok/s    +-   eff   GB/s barrier ms/tok" : "    t    tok/s   eff  GB/s wait");
    double one = count[0] == 1 ? tui_perf_find(p, p->prefill, p->tier, 1, 0)->at.tps.median : 0;
    int below = p->pin.n || p->load || p->ways ? 6 : 5, rows = in.h - 1 - below < 3 ? 3 : in.h - 1 - below;
    if (rows > n) rows = n;
    v->table.n = n;
    tui_list_show(&v->table, rows);
    for (int y = 0; y < rows && v->table.top + y < n; y++) {
        int i = v->table.top + y;
        draw_row(v, in, 1 + y, tui_perf_find(p, p->prefill, p->tier, count[i], 0), one, wide);
        if (v->focus != PERF_SWEEP || i != v->table.cursor) continue;
        tui_put(in, 0, 1 + y, TUI_FOCUS | TUI_BOLD, tui_glyph(in.g, TUI_G_CURSOR));
        tui_mark_row(in, 1 + y, TUI_SELECTED);
    }
    tui_scrollbar(tui_part(frame, frame.w - 1, 1, 1, rows), 0, &v->table);
    draw_verdict(v, in, 1 + rows + (in.h - rows > 7));
}
