/* perf_roof.c - the roofline (Williams, Waterman and Patterson 2009): operations a second against operations for each byte read.
 *
 * Left of the ridge a step waits for memory, right of it the multipliers are the limit. A point is a step of the profile, taken
 * together over the layers; which roof it has, its format decides. */
#include <math.h>
#include <string.h>

#include "tui/view/perf.h"

enum { MOST_OPS = 48 };

struct point {
    char mark;                         /* '*': a whole pass; else the letter of its kind */
    const char *name;
    double intensity, rate, seconds, part, roof;       /* flop/byte, flop/s; part of its pass; flop/s it could have at most */
    bool memory;                       /* the roof is the memory's */
    bool prefill;
    enum cut_peak_kind peak;
};

/* ---- points */

static void put_roof(const struct tui_perf *p, struct point *q, int weight) {
    double read = tui_perf_read_peak(p) * q->intensity, ops;
    q->peak = tui_perf_peak_kind(weight);
    ops = tui_perf_op_peak(p, q->peak);
    q->memory = read < ops;
    q->roof = fmin(read, ops);
}

/* The whole pass, then its steps, the longest first (without a clock: in their order). */
static int points_of(const struct perf_view *v, const struct tui_perf_profile *f, struct point *out, int most, bool steps) {
    const struct tui_perf *p = v->perf;
    struct tui_perf_op_sum op[MOST_OPS];
    int n_ops = tui_perf_op_sums(f, op, MOST_OPS), n = 1;
    double bytes = 0, flops = 0, seconds = 0;
    for (int i = 0; i < n_ops; i++) bytes += op[i].bytes, flops += op[i].flops, seconds += op[i].seconds;
    if (bytes <= 0 || seconds <= 0 || most < 1) return 0;
    out[0] = (struct point){ '*', f->prefill ? "whole prefill" : "whole decode", flops / bytes,
                             flops / seconds, seconds, 1, 0, false, f->prefill, CUT_PEAK_F32 };
    put_roof(p, &out[0], tui_perf_main_type(p));
    for (int i = 0; i < n_ops && steps; i++) {
        if (op[i].flops <= 0 || op[i].bytes <= 0 || op[i].seconds <= 0 || n == most) continue;
        struct point q = { tui_perf_kind_letter(op[i].kind), op[i].name, op[i].flops / op[i].bytes, op[i].flops / op[i].seconds, op[i].seconds,
                           op[i].seconds / seconds, 0, false, f->prefill, CUT_PEAK_F32 };
        put_roof(p, &q, op[i].weight);
        int at = n++;
        for (; v->times && at > 1 && out[at - 1].seconds < q.seconds; at--) out[at] = out[at - 1];
        out[at] = q;
    }
    return n;
}

static int collect(const struct perf_view *v, struct point *out, int most) {
    const struct tui_perf *p = v->perf;
    const struct tui_perf_profile *now = p->profile[p->prefill], *other = p->profile[!p->prefill];
    int n = now ? points_of(v, now, out, most - 1, true) : 0;
    return other ? n + points_of(v, other, out + n, most - n, !now) : n;
}

/* ---- the plane */

static double round_down10(double x) { return pow(10, floor(log10(x))); }
static double round_up10(double x) { return pow(10, ceil(log10(x))); }

static const struct { enum cut_type type; const char *name; } what_if[] = {
    { CUT_F16, "F16" }, { CUT_Q8_0, "Q8_0" }, { CUT_Q6_K, "Q6_K" }, { CUT_Q5_K, "Q5_K" }, { CUT_Q4_K, "Q4_K" }, { CUT_Q3_K, "Q3_K" }, { CUT_Q2_K, "Q2_K" },
};
enum { N_WHAT_IF = sizeof what_if / sizeof *what_if };

/* Decode multiplies and adds once for each weight it reads. */
static double intensity_of(enum cut_type t) { return 16 / cut_bits_per_weight(t); }

static void draw_lines(const struct perf_view *v, const struct tui_plane *pl, bool named) {
    const struct tui_perf *p = v->perf;
    double read = tui_perf_read_peak(p), highest = 0;
    static const enum cut_peak_kind kind[] = { CUT_PEAK_F32, CUT_PEAK_BF16, CUT_PEAK_INT8 };
    enum cut_peak_kind mine = tui_perf_peak_kind(tui_perf_main_type(p));
    for (int i = 0; i < 3; i++) {
        double ops = tui_perf_op_peak(p, kind[i]), ridge = ops / read;
        char text[48], b[32];
        if (ops <= 0 || (kind[i] == CUT_PEAK_BF16 && mine != CUT_PEAK_BF16)) continue;
        if (ops > highest) highest = ops;
        tui_plane_line(pl, fmax(ridge, pl->x.lo), ops, pl->x.hi, ops, kind[i] == mine ? TUI_WARN : TUI_DIM, '-', kind[i] == mine ? 1 : 2);
        snprintf(text, sizeof text, " %s %s ", cut_peak_name(kind[i]), perf_ops_rate(v, ops, b));
        if (named) tui_text_right(pl->a, pl->a.w, tui_plane_row(pl, ops), kind[i] == mine ? TUI_WARN : TUI_DIM, text);
    }
    tui_plane_line(pl, pl->x.lo, read * pl->x.lo, highest / read, highest, TUI_WARN, '.', 1);
    for (int i = 0; v->what_if && i < N_WHAT_IF; i++) {
        double x = intensity_of(what_if[i].type);
        tui_plane_line(pl, x, pl->y.lo, x, fmin(read * x, highest), TUI_SERIES5, ':', 2);
    }
}

/* What a whole pass is, to the left of its point, above the slope, where nothing else is. */
static void name_pass(const struct tui_plane *pl, const struct point *q) {
    const char *name = q->prefill ? "prefill " : "decode ";
    int x = tui_plane_col(pl, q->intensity) - (int)strlen(name), y = tui_plane_row(pl, q->rate);
    if (x >= 0 && y >= 0) tui_text(pl->a, x, y, q->prefill ? TUI_SERIES3 : TUI_SERIES1, name);
}

static void draw_points(const struct tui_plane *pl, const struct point *q, int n, int cursor, bool named) {
    for (int i = 0; i < n && named; i++)
        if (q[i].mark == '*') name_pass(pl, &q[i]);
    for (int i = n - 1; i >= 0; i--) {         /* the longest last: on top */
        tui_style st = q[i].prefill ? TUI_SERIES3 : TUI_SERIES1;
        if (q[i].mark == '*') st |= TUI_BOLD;
        if (i != cursor) tui_plane_mark(pl, q[i].intensity, q[i].rate, st, (uint32_t)q[i].mark);
    }
    if (cursor >= 0 && cursor < n) tui_plane_mark(pl, q[cursor].intensity, q[cursor].rate, TUI_SELECT | TUI_BOLD | TUI_REVERSE, (uint32_t)q[cursor].mark);
}

static struct tui_plane plane_of(const struct perf_view *v, struct tui_area a, const struct point *q, int n) {
    const struct tui_perf *p = v->perf;
    double read = tui_perf_read_peak(p), ops = fmax(tui_perf_op_peak(p, CUT_PEAK_F32), tui_perf_op_peak(p, CUT_PEAK_INT8));
    double x0 = 0.5, x1 = 4 * ops / read, y0 = ops / 100;
    for (int i = 0; i < n; i++) {
        if (q[i].part < 0.005) continue;       /* a norm of one row: it must not squeeze what takes time */
        x0 = fmin(x0, q[i].intensity);
        x1 = fmax(x1, 1.5 * q[i].intensity);
        y0 = fmin(y0, q[i].rate);
    }
    if (!v->times) x0 = 0.1, x1 = 1000, y0 = 1e9, ops = 1e11;
    struct tui_axis y = { fmax(round_down10(y0), ops * 1e-7), ops * 1.6, true };
    return tui_plane_open(a, (struct tui_axis){ round_down10(x0), round_up10(x1), true }, y, 5, v->level);
}

/* ---- beside the plane */

static void draw_list(struct perf_view *v, struct tui_area a, const struct point *q, int n) {
    char b[32];
    tui_text(a, 0, 0, TUI_DIM, "  step               fl/B    op/s   roof");
    v->ops.n = n;
    tui_list_show(&v->ops, a.h - 1);
    for (int y = 1; y < a.h && v->ops.top + y - 1 < n; y++) {
        int i = v->ops.top + y - 1;
        const struct point *s = &q[i];
        tui_put(a, 1, y, s->prefill ? TUI_SERIES3 : TUI_SERIES1, (uint32_t)s->mark);
        tui_text_fit(a, 3, 19, y, TUI_TEXT, s->name);
        tui_textf_right(a, 25, y, TUI_TEXT, s->intensity < 99.5 ? "%.2f" : "%.0f", s->intensity);
        tui_text_right(a, 33, y, TUI_TEXT, perf_ops_rate(v, s->rate, b));
        tui_text_right(a, 40, y, s->rate > s->roof && v->times ? TUI_WARN : TUI_TEXT, perf_figure(v, b, "%.0f %%", 100 * s->rate / s->roof));
        if (v->focus != PERF_ROOF || i != v->ops.cursor) continue;
        tui_put(a, 0, y, TUI_FOCUS | TUI_BOLD, tui_glyph(a.g, TUI_G_CURSOR));
        tui_mark_row(a, y, TUI_SELECTED);
    }
}

/* The point of the cursor, in words. */
static int draw_selected(const struct perf_view *v, struct tui_area in, int y, const struct point *q) {
    char b1[32], b2[32], b3[32], t[16];
    if (y >= in.h) return y;
    tui_textf(in, 1, y++, TUI_TEXT | TUI_BOLD, "%s: %s of %s, %s of the pass", q->name, perf_figure(v, b2, "%s", tui_time(q->seconds, t)),
              q->prefill ? "prefill" : "decode", perf_figure(v, b3, "%.0f %%", 100 * q->part));
    if (y >= in.h) return y;
    double share = q->rate / q->roof;
    if (!v->times) return y;
    if (share > 1.02 && q->memory)
        tui_textf(in, 1, y++, TUI_DERIVED, "%sop/s, above the roof: its data came from a nearer cache", perf_ops_rate(v, q->rate, b1));
    else if (share > 1.02)
        tui_textf(in, 1, y++, TUI_WARN, "%sop/s, above the roof: the machine was busy when it was measured", perf_ops_rate(v, q->rate, b1));
    else if (q->memory)
        tui_textf(in, 1, y++, TUI_DERIVED, "memory-bound: %s read, %s of what memory gives", perf_gb(v, q->rate / q->intensity, b1),
                  perf_figure(v, b2, "%.0f %%", 100 * share));
    else
        tui_textf(in, 1, y++, TUI_DERIVED, "compute-bound: %s of the %s peak, %sop/s", perf_figure(v, b1, "%.0f %%", 100 * share), cut_peak_name(q->peak),
                  perf_ops_rate(v, q->roof, b2));
    return y;
}

static void draw_what_if(const struct perf_view *v, struct tui_area a) {
    const struct tui_perf *p = v->perf;
    struct tui_perf decode = *p;
    decode.prefill = false;
    double roof = tui_perf_roof(&decode);
    int mine = tui_perf_main_type(p);
    char b1[32], b2[32];
    tui_text(a, 0, 0, TUI_DIM, "what if     flop/B   roof tok/s");
    tui_textf_right(a, 40, 0, TUI_DIM, "vs %s", p->type);
    for (int i = 0; i < N_WHAT_IF && i + 1 < a.h; i++) {
        double bits = cut_bits_per_weight(what_if[i].type), ratio = p->bits / bits;
        tui_style st = (int)what_if[i].type == mine ? TUI_FOCUS | TUI_BOLD : TUI_TEXT;
        tui_text(a, 0, i + 1, st, what_if[i].name);
        tui_textf_right(a, 18, i + 1, st, "%.2f", intensity_of(what_if[i].type));
        tui_text_right(a, 31, i + 1, st, roof > 0 ? perf_tps(v, roof * ratio, b1) : "");
        tui_text_right(a, 40, i + 1, st, perf_figure(v, b2, "%.2fx", ratio));
    }
    if (a.h > N_WHAT_IF + 2)
        tui_text_wrap(tui_part(a, 0, 0, a.w, a.h), N_WHAT_IF + 2, TUI_DERIVED,
                      "2 flop for each weight, over its bytes: fewer bits move decode to the right, up the slope. "
                      "What unpacking a format costs shows only when it is measured.");
}

/* ---- the panel */

void perf_draw_roof(struct perf_view *v, struct tui_area a) {
    const struct tui_perf *p = v->perf;
    struct point q[2 * MOST_OPS];
    char right[64] = "", b1[32], b2[32], b3[16];
    int n = collect(v, q, 2 * MOST_OPS);
    double read = tui_perf_read_peak(p), ops = tui_perf_op_peak(p, tui_perf_peak_kind(tui_perf_main_type(p)));
    bool large = a.h >= 12 && a.w >= 50, list = a.w >= 72 && large;
    if (read > 0 && v->times) snprintf(right, sizeof right, "%s, %sop/s", perf_gb(v, read, b1), perf_ops_rate(v, ops, b2));
    struct tui_area in = perf_pane(v, a, PERF_ROOF, large ? "roofline: op/s against flop/byte" : "roofline", right);
    if (read <= 0 || ops <= 0) { perf_nothing(in, "r measures what the machine can do at most, and where the steps of a pass are below it."); return; }
    if (v->ops.cursor >= n) v->ops.cursor = n ? n - 1 : 0;
    struct tui_area side = { in.g, in.x, in.y, 0, 0 }, foot = { in.g, in.x, in.y, 0, 0 };
    if (large && n) foot = tui_cut_bottom(&in, 3);
    if (list) side = tui_cut_right(&in, 41);
    struct tui_plane pl = plane_of(v, in, q, n);
    if (v->times) {
        draw_lines(v, &pl, large);
        draw_points(&pl, q, n, large && v->focus == PERF_ROOF ? v->ops.cursor : -1, large);
    }
    if (list && v->what_if) draw_what_if(v, side);
    else if (list) draw_list(v, side, q, n);
    if (!large || !n) return;
    draw_selected(v, foot, 0, &q[v->ops.cursor]);
    if (!v->times) tui_textf(foot, 1, 2, TUI_DIM, "peaks measured here; %s read again and again, as a pass does", tui_bytes(p->peaks_bytes, b3));
    else tui_textf(foot, 1, 2, p->peaks_busy ? TUI_WARN : TUI_DIM, "peaks of %s%s, reading %s; :peaks again", p->peaks_date,
                   p->peaks_busy ? ", machine busy" : "", tui_bytes(p->peaks_bytes, b3));
}
