/* perf_tables.c - longer contexts, several sequences, other kernels, and earlier runs beside this one. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/view/perf.h"

/* ---- contexts */

static int depths(const struct tui_perf *p, int *out, int most) {
    int n = 0;
    for (int i = 0; i < p->n_points; i++) {
        const struct tui_perf_point *q = &p->point[i];
        if (q != tui_perf_find(p, false, p->tier, p->threads, q->depth) || n == most) continue;
        int at = n++;
        for (; at > 0 && out[at - 1] > q->depth; at--) out[at] = out[at - 1];
        out[at] = q->depth;
    }
    return n;
}

void perf_draw_context(struct perf_view *v, struct tui_area a) {
    const struct tui_perf *p = v->perf;
    int depth[TUI_PERF_POINTS], n = depths(p, depth, TUI_PERF_POINTS);
    char right[64], b[32];
    snprintf(right, sizeof right, "decode, t=%d, %s%s", p->threads, cut_tier_name(p->tier), tui_perf_ways(p->ways));
    struct tui_area in = perf_pane(v, a, PERF_CONTEXT, "longer contexts", v->times ? right : NULL);
    const struct tui_perf_point *none = tui_perf_find(p, false, p->tier, p->threads, 0);
    if (n < 2 || !none) { perf_nothing(in, "c measures decode behind longer and longer contexts, beside what its bytes and flops predict."); return; }
    double tps0 = none->at.tps.median, half = none->tokens / 2.0, cell = (double)p->cell_bytes, bytes0 = (double)none->at.bytes + cell * half, most = 0;
    for (int i = 0; i < n; i++) most = fmax(most, tui_perf_find(p, false, p->tier, p->threads, depth[i])->at.tps.median);
    tui_text(in, 1, 0, TUI_DIM, " n_kv     tok/s  predicted  error  KV bytes");
    for (int i = 0; i < n && i + 1 < in.h; i++) {
        const struct tui_perf_point *q = tui_perf_find(p, false, p->tier, p->threads, depth[i]);
        double cells = depth[i], want = tui_perf_predict(tps0, bytes0, cell, tui_perf_cell_seconds(p), cells), off = want / q->at.tps.median - 1;
        int y = i + 1;
        tui_textf_right(in, 6, y, TUI_TEXT, "%d", depth[i]);
        tui_text_right(in, 16, y, TUI_TEXT | TUI_BOLD, perf_tps(v, q->at.tps.median, b));
        if (v->times && q->at.tps.noisy) tui_put(in, 16, y, TUI_WARN, '!');
        tui_text_right(in, 27, y, TUI_DERIVED, i || depth[0] ? perf_tps(v, want, b) : "");
        tui_text_right(in, 34, y, fabs(off) > 0.1 && v->times ? TUI_WARN : TUI_TEXT, i || depth[0] ? perf_figure(v, b, "%+.1f%%", 100 * off) : "");
        tui_textf_right(in, 44, y, TUI_TEXT, "%.1f %%", 100 * cell * (cells + half) / (bytes0 + cell * cells));
        if (!v->times || in.w <= 54) continue;
        tui_bar(in, 46, y, in.w - 47, TUI_SERIES1, q->at.tps.median / most);
        int x = 46 + (int)(want / most * (in.w - 47));
        if (x < in.w) tui_put(in, x, y, TUI_DERIVED | TUI_BOLD, in.g->ascii ? '|' : 0x2503);
    }
    if (n + 1 < in.h)
        tui_text_fit(in, 1, in.w - 1, in.h - 1, TUI_DIM, "predicted (|): no context's time + K, V bytes, or flops if they take longer");
}

/* ---- sequences */

static int batches(const struct tui_perf *p, const struct tui_perf_point **out, int most) {
    int n = 0;
    for (int seqs = 1; seqs <= TUI_PERF_MOST_SEQS && n < most; seqs *= 2) {
        out[n] = tui_perf_find_batch(p, seqs);
        n += out[n] != NULL;
    }
    return n;
}

void perf_draw_batch(struct perf_view *v, struct tui_area a) {
    enum { MOST = 16, BAR = 70 };
    const struct tui_perf *p = v->perf;
    const struct tui_perf_point *q[MOST];
    int n = batches(p, q, MOST);
    char right[64], b[32], bytes[16];
    snprintf(right, sizeof right, "decode, t=%d, %s%s", p->threads, cut_tier_name(p->tier), tui_perf_ways(p->ways));
    struct tui_area in = perf_pane(v, a, PERF_BATCH, "sequences together", v->times ? right : NULL);
    if (n < 2 || q[0]->seqs != 1) {
        perf_nothing(in, "m measures 1, 2, .. 16 sequences that decode together, a token each in a pass: the weights are read once for all.");
        return;
    }
    double one = q[0]->at.tps.median, most = one;
    for (int i = 1; i < n; i++) most = fmax(most, fmax(q[i]->at.tps.median, tui_perf_predict_batch(p, q[0], q[i]->seqs)));
    tui_text(in, 1, 0, TUI_DIM, " seqs   tok/s    +-    each    x one  weights/tok  predicted  error");
    for (int i = 0; i < n && i + 1 < in.h; i++) {
        const struct cut_speed *s = &q[i]->at.tps;
        double want = i ? tui_perf_predict_batch(p, q[0], q[i]->seqs) : 0, off = want / s->median - 1;
        int y = i + 1;
        tui_textf_right(in, 6, y, TUI_TEXT, "%d", q[i]->seqs);
        tui_text_right(in, 14, y, TUI_TEXT | TUI_BOLD, perf_tps(v, s->median, b));
        if (v->times && s->noisy) tui_put(in, 14, y, TUI_WARN, '!');
        tui_text_right(in, 20, y, TUI_DIM, perf_figure(v, b, s->q3 - s->q1 < 99.5 ? "%.1f" : "%.0f", (s->q3 - s->q1) / 2));
        tui_text_right(in, 28, y, TUI_TEXT, perf_tps(v, s->median / q[i]->seqs, b));
        tui_text_right(in, 37, y, TUI_TEXT, perf_figure(v, b, "%.2fx", s->median / one));
        tui_text_right(in, 50, y, TUI_TEXT, tui_bytes(q[i]->at.weights / (uint64_t)q[i]->seqs, bytes));
        if (want > 0) {
            tui_text_right(in, 61, y, TUI_DERIVED, perf_tps(v, want, b));
            tui_text_right(in, 68, y, fabs(off) > 0.1 && v->times ? TUI_WARN : TUI_TEXT, perf_figure(v, b, "%+.0f%%", 100 * off));
        }
        if (!v->times || in.w < BAR + 6) continue;
        struct tui_area bar = tui_part(in, BAR, y, in.w - BAR - 1, 1);
        tui_bar(bar, 0, 0, bar.w, TUI_SERIES1, s->median / most);
        if (want > 0) tui_put(bar, (int)(want / most * (bar.w - 1)), 0, TUI_DERIVED | TUI_BOLD, in.g->ascii ? '|' : 0x2503);
    }
    if (n + 1 < in.h)
        tui_text_fit(in, 1, in.w - 1, in.h - 1, TUI_DIM, "predicted (|): max(bytes / rate of one, flops / peak) + each one's K, V");
}

/* ---- kernels */

void perf_draw_kernels(struct perf_view *v, struct tui_area a) {
    const struct tui_perf *p = v->perf;
    char title[64], b[32];
    snprintf(title, sizeof title, "kernels: %s, t=%d%s", p->prefill ? "prefill" : "decode", p->threads, tui_perf_ways(p->ways));
    struct tui_area in = perf_pane(v, a, PERF_KERNELS, v->times ? title : "kernels", NULL);
    const struct tui_perf_point *ref = tui_perf_find(p, p->prefill, CUT_TIER_REF, p->threads, 0);
    double most = 0;
    for (int t = CUT_TIER_REF; t < CUT_TIER_COUNT; t++) {
        const struct tui_perf_point *q = tui_perf_find(p, p->prefill, (enum cut_tier)t, p->threads, 0);
        if (q) most = fmax(most, q->at.tps.median);
    }
    v->kernels.n = CUT_TIER_COUNT - CUT_TIER_REF;
    tui_list_show(&v->kernels, v->kernels.n);
    tui_text(in, 1, 0, TUI_DIM, "  kernels      tok/s   x ref   max ulp  instr/weight");
    for (int t = CUT_TIER_REF; t < CUT_TIER_COUNT && t - CUT_TIER_REF + 1 < in.h; t++) {
        const struct tui_perf_point *q = tui_perf_find(p, p->prefill, (enum cut_tier)t, p->threads, 0);
        int y = t - CUT_TIER_REF + 1;
        bool have = cut_tier_available((enum cut_tier)t) || !v->times;
        if (v->times && (enum cut_tier)t == p->tier) tui_put(in, 1, y, TUI_FOCUS, '*');
        tui_text(in, 3, y, have ? TUI_TEXT : TUI_DIM, cut_tier_name((enum cut_tier)t));
        if (!have) tui_text(in, 13, y, TUI_DIM, "not on this processor");
        else if (q && (v->times || t == CUT_TIER_REF)) {
            tui_text_right(in, 20, y, TUI_TEXT | TUI_BOLD, perf_tps(v, q->at.tps.median, b));
            if (v->times && q->at.tps.noisy) tui_put(in, 20, y, TUI_WARN, '!');
            if (ref) tui_text_right(in, 28, y, TUI_TEXT, perf_figure(v, b, "%.1fx", q->at.tps.median / ref->at.tps.median));
            if (!isnan(q->ulps)) tui_text_right(in, 38, y, TUI_TEXT, perf_figure(v, b, q->ulps < 99.5 ? "%.1f" : "%.0f", q->ulps));
            if (p->counted[t] && v->times)
                tui_text_right(in, 52, y, isnan(p->instructions[t]) ? TUI_DIM : TUI_TEXT,
                               isnan(p->instructions[t]) ? "n/a" : perf_figure(v, b, p->instructions[t] < 9.995 ? "%.2f" : "%.1f", p->instructions[t]));
            if (v->times && in.w > 62) tui_bar(in, 54, y, in.w - 55, TUI_SERIES2, q->at.tps.median / most);
        } else tui_text_right(in, 20, y, TUI_DIM, "-");
        if (v->focus != PERF_KERNELS || t - CUT_TIER_REF != v->kernels.cursor) continue;
        tui_put(in, 0, y, TUI_FOCUS | TUI_BOLD, tui_glyph(in.g, TUI_G_CURSOR));
        tui_mark_row(in, y, TUI_SELECTED);
    }
    if (in.h > v->kernels.n + 2)
        tui_text_fit(in, 1, in.w - 1, in.h - 1, TUI_DIM, in.w > 100 ? "ulp: the logits' largest difference from ref; instr/weight of decode, counted; Enter: measure with these"
                                                                    : "ulp: logits from ref's; instr/weight of decode, counted; Enter uses");
}

/* ---- runs */

void perf_draw_diff(struct perf_view *v, struct tui_area a) {
    const struct tui_perf_diff *d = &v->perf->diff;
    char title[96];
    if (v->perf->has_diff) snprintf(title, sizeof title, "now against run %s, %s", d->before, v->times ? d->date : "~");
    else snprintf(title, sizeof title, "now against an earlier run");
    struct tui_area frame = perf_pane(v, a, PERF_DIFF, title, NULL), in = frame;
    if (!v->perf->has_diff) { perf_nothing(in, "D compares with an earlier run, which S saved."); return; }
    bool wide = in.w > 110;
    int rows = in.h - 2, x = wide ? 62 : 44;               /* where the names end */
    tui_text(in, 2, 0, TUI_DIM, "figure");
    tui_text(in, x, 0, TUI_DIM, "  before     now  change     p");
    v->diff.n = d->n;
    tui_list_show(&v->diff, rows);
    for (int y = 0; y < rows && v->diff.top + y < d->n; y++) {
        const struct tui_perf_change *c = &d->change[v->diff.top + y];
        char b[32];
        double by = c->before > 0 ? 100 * (c->after / c->before - 1) : 0;
        tui_style st = !v->times || !c->significant ? TUI_TEXT : by > 0 ? TUI_GOOD | TUI_BOLD : TUI_BAD | TUI_BOLD;
        tui_text_fit(in, 2, x, y + 1, TUI_TEXT, c->name);
        tui_text_right(in, x + 8, y + 1, TUI_TEXT, perf_tps(v, c->before, b));
        tui_text_right(in, x + 16, y + 1, TUI_TEXT, perf_tps(v, c->after, b));
        tui_text_right(in, x + 24, y + 1, st, perf_figure(v, b, "%+.1f%%", by));
        if (c->p < 0.001) tui_text_right(in, x + 30, y + 1, TUI_TEXT, perf_figure(v, b, "<.001"));
        else tui_text_right(in, x + 30, y + 1, TUI_TEXT, perf_figure(v, b, "%.3f", c->p));
        if (v->times && wide) tui_text(in, x + 32, y + 1, st, c->significant ? "significant" : "within noise");
        else if (v->times && c->significant) tui_put(in, x + 31, y + 1, st, '*');
        if (v->focus == PERF_DIFF && v->diff.top + y == v->diff.cursor) tui_put(in, 0, y + 1, TUI_FOCUS | TUI_BOLD, tui_glyph(in.g, TUI_G_CURSOR));
    }
    tui_scrollbar(tui_part(frame, frame.w - 1, 1, 1, rows), 0, &v->diff);
    if (v->times && d->differs[0]) tui_textf(in, 2, in.h - 1, TUI_WARN, "same weights; not the same: %s", d->differs);
    else if (!wide) tui_text(in, 2, in.h - 1, TUI_DIM, "same weights and machine; medians; * p < .05, rank test (Mann-Whitney)");
    else tui_text(in, 2, in.h - 1, TUI_DIM, "same weights, processor, governor and compiler; medians, rank test of Mann and Whitney, p < .05 is significant");
}

void perf_draw_menu(struct perf_view *v, struct tui_area screen) {
    struct tui_area in = tui_overlay(screen, 40, v->menu_list.n + 4 < 16 ? v->menu_list.n + 4 : 16, "compare with run");
    tui_text(in, 1, in.h - 1, TUI_DIM, "Enter compares, Esc leaves");
    struct tui_area rows = tui_part(in, 0, 0, in.w, in.h - 1);
    tui_list_show(&v->menu_list, rows.h);
    for (int y = 0; y < rows.h && v->menu_list.top + y < v->menu_list.n; y++) {
        int i = v->menu_list.top + y;
        tui_text(rows, 3, y, TUI_TEXT, v->runs[i]);
        if (i != v->menu_list.cursor) continue;
        tui_put(rows, 1, y, TUI_FOCUS | TUI_BOLD, tui_glyph(rows.g, TUI_G_CURSOR));
        tui_mark_row(rows, y, TUI_SELECTED);
    }
}
