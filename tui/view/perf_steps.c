/* perf_steps.c - one pass: its time by kinds of steps, and a layer of it thread by thread. */
#include <math.h>
#include <string.h>

#include "tui/view/perf.h"

static const struct tui_perf_profile *profile_of(const struct perf_view *v) { return v->perf->profile[v->perf->prefill]; }

static tui_style style_of(enum tui_perf_kind k) {
    static const tui_style st[TUI_PERF_KINDS] = {
        [TUI_PERF_QKV] = TUI_SERIES1, [TUI_PERF_ATTENTION] = TUI_SERIES2, [TUI_PERF_ATTN_OUT] = TUI_SERIES3, [TUI_PERF_GATE_UP] = TUI_SERIES4,
        [TUI_PERF_DOWN] = TUI_SERIES5, [TUI_PERF_OUTPUT] = TUI_SERIES6, [TUI_PERF_NORM] = TUI_DIM, [TUI_PERF_REST] = TUI_DIM,
    };
    return st[k];
}

/* ---- where the time goes */

struct share { const char *name; double seconds; tui_style st; unsigned kinds; };

enum { QKV = 1 << TUI_PERF_QKV, ATTENTION = 1 << TUI_PERF_ATTENTION, OUT = 1 << TUI_PERF_ATTN_OUT, GATE_UP = 1 << TUI_PERF_GATE_UP,
       DOWN = 1 << TUI_PERF_DOWN, OUTPUT = 1 << TUI_PERF_OUTPUT, SMALL = 1 << TUI_PERF_NORM | 1 << TUI_PERF_REST };

static struct share share(const struct tui_perf_sums *s, const char *name, unsigned kinds, tui_style st) {
    struct share r = { name, 0, st, kinds };
    for (int k = 0; k < TUI_PERF_KINDS; k++)
        if (kinds >> k & 1) r.seconds += s->work[k];
    return r;
}

/* All kinds and the waiting; or, for few rows, attention as one and the small ones together. */
static int shares(const struct tui_perf_sums *s, bool brief, struct share out[TUI_PERF_KINDS + 1]) {
    int n = 0;
    if (brief) {
        out[n++] = share(s, "attention", QKV | ATTENTION | OUT, TUI_SERIES1);
        out[n++] = share(s, "ffn gate/up", GATE_UP, TUI_SERIES4);
        out[n++] = share(s, "ffn down", DOWN, TUI_SERIES5);
        out[n++] = share(s, "output", OUTPUT, TUI_SERIES6);
        out[n] = share(s, "rest, wait", SMALL, TUI_DIM);
        out[n++].seconds += s->barrier;
        return n;
    }
    for (int k = 0; k < TUI_PERF_KINDS; k++) out[n++] = share(s, tui_perf_kind_name((enum tui_perf_kind)k), 1u << k, style_of((enum tui_perf_kind)k));
    out[n++] = (struct share){ "barriers", s->barrier, TUI_WARN, 0 };
    return n;
}

void perf_draw_steps(struct perf_view *v, struct tui_area a) {
    const struct tui_perf_profile *f = profile_of(v);
    struct tui_perf_sums s;
    struct share part[TUI_PERF_KINDS + 1];
    char title[64], b1[32], b2[32], b3[32], t1[16], t2[16];
    if (f && f->prefill) snprintf(title, sizeof title, "where a prefill of %d goes, t=%d%s", f->n_tokens, f->threads, tui_perf_ways(f->ways));
    else snprintf(title, sizeof title, f ? "where 1 token goes, t=%d%s" : "where 1 token goes", f ? f->threads : 0, f ? tui_perf_ways(f->ways) : "");
    struct tui_area in = perf_pane(v, a, PERF_STEPS, title, NULL);
    if (!f) { perf_nothing(in, "w puts a clock on every step of a pass, in every thread."); return; }
    tui_perf_sum(&s, f);
    int n = shares(&s, in.h < TUI_PERF_KINDS + 3, part);
    double most = 0;
    for (int i = 0; i < n; i++) {
        most = fmax(most, part[i].seconds);
        v->step_kinds[i] = part[i].kinds;
        v->step_names[i] = part[i].name;
    }
    v->steps.n = n;
    tui_list_show(&v->steps, n);
    for (int i = 0; i < n && i < in.h - 1; i++) {
        struct tui_area row = tui_part(in, 1, i, in.w - 2, 1);
        tui_bar_row(row, 0, 11, part[i].name, perf_figure(v, b1, "%.1f%%", 100 * part[i].seconds / s.all), 6, part[i].st,
                    v->times && most > 0 ? part[i].seconds / most : 0);
        if (v->focus != PERF_STEPS || i != v->steps.cursor) continue;
        tui_put(in, 0, i, TUI_FOCUS | TUI_BOLD, tui_glyph(in.g, TUI_G_CURSOR));
        tui_mark_row(in, i, TUI_SELECTED);
    }
    double gap = s.wall > 0 ? 100 * (s.wall - s.all) / s.wall : 0;
    int y = in.h - n >= 4 ? n + 1 : in.h - 1;
    perf_figure(v, b1, "%s", tui_time(s.all, t1));
    perf_figure(v, b2, "%s", tui_time(s.wall, t2));
    perf_figure(v, b3, "%.1f %%", gap);
    if (y == in.h - 1) tui_textf(in, 1, y, gap > 2 && v->times ? TUI_WARN : TUI_TEXT, "ops %s of wall %s, gap %s", b1, b2, b3);
    else {
        tui_textf(in, 1, y, TUI_TEXT, "sum of ops  %s", b1);
        tui_textf(in, 1, y + 1, gap > 2 && v->times ? TUI_WARN : TUI_TEXT, "wall        %s  (gap %s)", b2, b3);
        if (y + 3 < in.h) tui_textf(in, 1, y + 3, TUI_DIM, "the %s pass of %d", f->slowest ? "slowest" : "median", f->passes);
        if (y + 5 < in.h) tui_text_fit(in, 1, in.w - 1, in.h - 1, TUI_DIM, "Enter: the kernel and its assembly");
    }
}

/* ---- a layer, thread by thread */

/* The steps [*first, *end) of the layer; of n_layer, those after the last layer. */
static bool steps_of(const struct tui_perf_profile *f, int layer, int *first, int *end) {
    int last = -1;
    *first = *end = -1;
    for (int i = 0; i < f->n_steps; i++) {
        bool mine = layer < f->n_layer ? f->step[i].layer == layer : f->step[i].layer < 0 && last >= 0;
        if (f->step[i].layer >= 0) last = i;
        if (!mine) continue;
        if (*first < 0) *first = i;
        *end = i + 1;
    }
    return *first >= 0;
}

/* What thread t does at a moment: the letter of its step, or a dot. */
static char doing(const struct tui_perf_profile *f, int first, int end, int t, double now, enum tui_perf_kind *kind) {
    for (int i = first; i < end; i++) {
        const struct cut_span *s = &f->span[i * f->threads + t];
        if (now >= (double)f->step[i].t1) continue;
        *kind = f->step[i].kind;
        return now >= (double)s->t0 && now < (double)s->t1 ? tui_perf_kind_letter(*kind) : '.';
    }
    return '.';
}

static double wait_share(const struct tui_perf_profile *f, int first, int end, int t) {
    double worked = 0, had = (double)(f->step[end - 1].t1 - f->step[first].t0);
    for (int i = first; i < end; i++) worked += (double)(f->span[i * f->threads + t].t1 - f->span[i * f->threads + t].t0);
    return had > 0 ? fmax(0, 1 - worked / had) : 0;
}

/* The step whose threads waited longest together; *share of the time they had in it. */
static int worst_barrier(const struct tui_perf_profile *f, int first, int end, double *share) {
    double most = -1;
    int worst = first;
    for (int i = first; i < end; i++) {
        double had = (double)(f->step[i].t1 - f->step[i].t0) * f->threads, worked = 0;
        for (int t = 0; t < f->threads; t++) worked += (double)(f->span[i * f->threads + t].t1 - f->span[i * f->threads + t].t0);
        if (had - worked <= most) continue;
        most = had - worked;
        worst = i;
        *share = had > 0 ? most / had : 0;
    }
    return worst;
}

enum { LABEL_W = 5, SHARE_W = 7 };     /* beside the bars */

/* What the bars cover: w columns from a moment on, in ns as the profile counts; all is the whole layer, whose start is t0. */
struct window { double t0, all, from, column; int w; };

/* Around the cursor, as far as the layer goes. */
static struct window window_of(const struct perf_view *v, const struct tui_perf_profile *f, int first, int end, int w) {
    double t0 = (double)f->step[first].t0, all = (double)f->step[end - 1].t1 - t0, shown = ldexp(all, -v->zoom);
    double from = fmin(fmax(0, v->moment * all - shown / 2), all - shown);
    return (struct window){ .t0 = t0, .all = all, .from = t0 + from, .column = shown / w, .w = w };
}

static int column_of(const struct window *win, double ns) { return (int)floor((ns - win->from) / win->column); }

bool perf_gantt_key(struct perf_view *v, int key) {
    enum { FINEST = 100 };                     /* ns: a column of less than that is zoomed into no further */
    const struct tui_perf_profile *f = v->perf ? profile_of(v) : NULL;
    int first, end, w = v->area[PERF_GANTT].w - 2 - LABEL_W - SHARE_W;
    if (w < 1) w = 1;
    if (key == 'z') {
        struct window win = { 0 };
        if (f && steps_of(f, v->layer, &first, &end)) win = window_of(v, f, first, end, w);
        v->zoom = win.column < FINEST ? 0 : v->zoom + 1;
    } else if (key == 'Z') v->zoom -= v->zoom > 0;
    else if (key == TUI_KEY_LEFT || key == 'h') v->moment -= ldexp(1.0 / w, -v->zoom);
    else if (key == TUI_KEY_RIGHT || key == 'l') v->moment += ldexp(1.0 / w, -v->zoom);
    else return false;
    v->moment = fmin(fmax(v->moment, 0), 1);
    return true;
}

/* Names over the columns where their steps begin, as far as there is room. */
static void draw_header(const struct tui_perf_profile *f, struct tui_area bars, const struct window *win, int first, int end) {
    static const char *const brief[TUI_PERF_KINDS] = { "qkv", "attention", "out", "gate+up", "down", "output", "norm", "rest" };
    for (int i = first, free_from = 0; i < end; i++) {
        int x = column_of(win, (double)f->step[i].t0), to = column_of(win, (double)f->step[i].t1);
        bool begins = x >= 0;
        if (!begins) x = -1;                   /* it began further left */
        if (to > bars.w) to = bars.w;
        if (to - x < 3 || x + 1 < free_from || x >= bars.w) continue;
        if (begins) tui_put(bars, x, 0, TUI_BORDER, tui_glyph(bars.g, TUI_G_V));
        tui_text_fit(bars, x + 1, to, 0, style_of(f->step[i].kind), brief[f->step[i].kind]);
        free_from = to;
    }
}

static void draw_threads(struct perf_view *v, const struct tui_perf_profile *f, struct tui_area in, const struct window *win, int first, int end) {
    struct tui_area bars = tui_part(in, LABEL_W, 0, win->w, in.h);
    int rows = in.h - 1;
    char b[32];
    v->gantt.n = f->threads;
    tui_list_show(&v->gantt, rows);
    if (v->times) draw_header(f, tui_part(bars, 0, 0, bars.w, 1), win, first, end);
    tui_text_right(in, in.w, 0, TUI_DIM, "waits");
    for (int y = 1; y <= rows && v->gantt.top + y - 1 < f->threads; y++) {
        int t = v->gantt.top + y - 1;
        tui_textf(in, 1, y, TUI_TEXT, "t%d", t);
        for (int x = 0; x < bars.w && v->times; x++) {
            enum tui_perf_kind kind = TUI_PERF_REST;
            char c = doing(f, first, end, t, win->from + (x + 0.5) * win->column, &kind);
            tui_put(bars, x, y, c == '.' ? TUI_DIM : style_of(kind), c == '.' ? tui_glyph(in.g, TUI_G_DOT) : (uint32_t)c);
        }
        tui_text_right(in, in.w, y, TUI_TEXT, perf_figure(v, b, "%.1f%%", 100 * wait_share(f, first, end, t)));
        if (v->focus == PERF_GANTT && t == v->gantt.cursor) tui_put(in, 0, y, TUI_FOCUS | TUI_BOLD, tui_glyph(in.g, TUI_G_CURSOR));
    }
}

/* Below the bars: where the cursor is, and the step there, of the thread of its row. A thread waits before its work, until it knows that
 * the others are through with the step before, and after it, until they are through with this one. */
static int draw_moment(const struct perf_view *v, const struct tui_perf_profile *f, struct tui_area in, int y, const struct window *win, int first, int end) {
    int t = v->gantt.cursor, i = first, x = column_of(win, win->t0 + v->moment * win->all);
    if (x >= win->w) x = win->w - 1;
    double now = win->from + (x + 0.5) * win->column;
    while (i + 1 < end && now >= (double)f->step[i].t1) i++;
    if (!v->times) return y;
    tui_put(in, LABEL_W + x, y, TUI_FOCUS | TUI_BOLD, '^');
    const struct cut_span *s = &f->span[i * f->threads + t];
    char text[160];
    snprintf(text, sizeof text, "t%d starts at %lld ns, works %lld, waits %lld + %lld in %s", t, (long long)(s->t0 - f->step[first].t0),
             (long long)(s->t1 - s->t0), (long long)(s->t0 - f->step[i].t0), (long long)(f->step[i].t1 - s->t1), f->step[i].name);
    tui_text_fit(in, 1, in.w - 1, y + 1, TUI_TEXT, text);
    return y + 2;
}

/* What the cause may be, where the shapes say so. */
static void explain(const struct perf_view *v, const struct tui_perf_profile *f, int worst, char *out, size_t size) {
    const struct cut_config *c = &v->perf->config;
    bool by_heads = f->ways & TUI_PERF_BY_HEADS;
    int t = f->threads, items = by_heads ? c->n_head : c->n_head_kv;
    const char *what = by_heads ? "heads" : "KV groups";
    out[0] = 0;
    if (f->step[worst].kind == TUI_PERF_ATTENTION && !f->prefill && items && items < t)
        snprintf(out, size, "%d %s over %d threads: %d ha%s nothing to do.%s", items, what, t, t - items, t - items == 1 ? "s" : "ve",
                 by_heads ? "" : " Try :split attn=heads, and look again.");
    else if (f->step[worst].kind == TUI_PERF_ATTENTION && !f->prefill && t > 1 && items % t)
        snprintf(out, size, "%d %s over %d threads: %d of them get%s one more than the others, who wait.%s", items, what, t, items % t,
                 items % t == 1 ? "s" : "", by_heads ? "" : " Try :split attn=heads.");
    else if (f->ways & TUI_PERF_SPLIT_K && t > 1 && !f->prefill)
        snprintf(out, size, "Sums are divided: threads meet once more inside each product, to add their parts, and that wait counts as work here.");
    else if (f->load) snprintf(out, size, "A load competes (%s): who shares its processor is late, and all wait for that one.", tui_perf_load_name(f->load));
    else if (t > v->perf->machine.cpus)
        snprintf(out, size, "%d threads on %d processors: one always stands in the queue, and all others wait for it.", t, v->perf->machine.cpus);
}

void perf_draw_gantt(struct perf_view *v, struct tui_area a) {
    const struct tui_perf_profile *f = profile_of(v);
    char title[96], where[32], b[32], t1[16], cause[160];
    int first, end;
    if (!f) {
        perf_nothing(perf_pane(v, a, PERF_GANTT, "threads, a layer", NULL), "w measures who works when, and who waits for whom.");
        return;
    }
    if (v->layer > f->n_layer) v->layer = f->n_layer;
    if (!steps_of(f, v->layer, &first, &end)) return;
    snprintf(where, sizeof where, "layer %d", v->layer);
    struct window win = window_of(v, f, first, end, a.w - 2 - LABEL_W - SHARE_W > 1 ? a.w - 2 - LABEL_W - SHARE_W : 1);
    if (v->zoom) perf_figure(v, b, "%.1f-%.1f us, %.0fx", (win.from - win.t0) * 1e-3, (win.from - win.t0 + win.column * win.w) * 1e-3, ldexp(1, v->zoom));
    else perf_figure(v, b, "%s", tui_time(win.all * 1e-9, t1));
    snprintf(title, sizeof title, "%d thread%s%s, %s, %s", f->threads, f->threads == 1 ? "" : "s", tui_perf_ways(f->ways), v->layer == f->n_layer ? "after the layers" : where, b);
    char place[TUI_PERF_WHERE + 24] = "";
    if (f->where[0]) snprintf(place, sizeof place, "on %s%s", f->where, f->load ? ", loaded, the slowest" : "");
    else if (f->load) snprintf(place, sizeof place, "loaded, the slowest pass");
    struct tui_area in = perf_pane(v, a, PERF_GANTT, title, place[0] ? place : a.w >= 70 && !v->zoom ? "letter: works  dot: waits" : NULL);
    double share = 0;
    int worst = worst_barrier(f, first, end, &share), focused = v->focus == PERF_GANTT, below = focused ? 5 : 3;
    int rows = f->threads + 1 < in.h - below ? f->threads + 1 : in.h - below;
    draw_threads(v, f, tui_part(in, 0, 0, in.w, rows), &win, first, end);
    int y = focused ? draw_moment(v, f, in, rows, &win, first, end) : rows;
    y += in.h - y > 4;
    if (f->threads > 1)
        tui_textf(in, 1, y++, TUI_TEXT, "longest wait: in %s, %s of its time", v->times ? tui_perf_kind_name(f->step[worst].kind) : "~",
                  perf_figure(v, b, "%.0f %%", 100 * share));
    else tui_text(in, 1, y++, TUI_TEXT, "one thread waits for nobody");
    explain(v, f, worst, cause, sizeof cause);
    if (v->times && cause[0]) y = tui_text_wrap(tui_part(in, 1, 0, in.w - 2, in.h), y, TUI_DERIVED, cause);
    if (focused && in.h - y > 3) tui_text(in, 1, in.h - 2, TUI_DIM, "h l cursor   j k thread   z Z zoom   [ ] layer   s a load");
    if (in.h - y > 2)
        tui_text(in, 1, in.h - 1, TUI_DIM, "Q qkv  A attention  O out  G gate+up  D down  L output  n norm  r rest");
}
