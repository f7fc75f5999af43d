/* perf_same.c - the same bytes or not: with more threads, and with other kernels; and where they part, the step and its sum. */
#include <math.h>
#include <string.h>

#include "tui/view/perf.h"

/* What a step adds up, or rounds: where the order, or the rounding, shows. */
static const char *reduction(const struct cut_same *s, char out[64]) {
    static const struct { const char *begins, *is; } of[] = {
        { "matmul", "a row's dot product" }, { "rms_norm", "a sum of squares" }, { "quantize", "rounding to 8 bits" }, { "scores", "the dot product q.k" },
        { "softmax", "a sum of exponentials" }, { "mix", "a sum over the keys" }, { "attention", "a sum over the keys" }, { "rope", "a rotation" },
        { "silu", "an exponential" }, { "swiglu", "an exponential" }, { "add", "a sum of two" },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        if (!strncmp(s->op, of[i].begins, strlen(of[i].begins))) return of[i].is;
    snprintf(out, 64, "%s", s->op);
    return out;
}

static void draw_row(const struct perf_view *v, struct tui_area in, int y, const struct tui_perf_same *q) {
    const struct cut_same *s = &q->at;
    /* Threads may not change a bit; another order of sums must. */
    bool fault = q->tier == v->perf->same_tier && !(v->perf->same_ways & TUI_PERF_SPLIT_K);
    tui_style st = fault ? TUI_BAD | TUI_BOLD : TUI_TEXT;
    tui_textf(in, 2, y, TUI_TEXT, "%s, %d thread%s", cut_tier_name(q->tier), q->threads, q->threads == 1 ? "" : "s");
    if (s->same && !s->n_differ) {
        tui_text(in, 22, y, TUI_GOOD, "the same bytes");
        tui_textf(in, 41, y, TUI_DIM, "all %d steps", s->n_steps);
    } else if (s->n_differ) {
        tui_textf(in, 22, y, st, "%d of %d differ", s->n_differ, s->n_steps);
        tui_textf(in, 41, y, st, s->ulps < 99.5 ? "%s, %.1f ulp" : "%s, %.3g ulp", s->name, s->ulps);
    } else tui_text(in, 22, y, st, "the logits alone differ: the steps, one by one, do not");
}

/* The row of the cursor in full: the step, its sum, the number. */
static int draw_detail(struct tui_area in, int y, const struct cut_same *s) {
    char text[320], sum[64];
    if (!s->n_differ) return y;
    snprintf(text, sizeof text, "First %s, in a pass of %s: %s%s%s. Its number [%lld][%lld] is %.9g, not %.9g.", s->name,
             s->pass ? "one token" : "several tokens", reduction(s, sum), s->weight[0] ? " with " : "", s->weight, (long long)s->row, (long long)s->col,
             (double)s->b, (double)s->a);
    return tui_text_wrap(tui_part(in, 1, 0, in.w - 2, in.h), y, TUI_TEXT, text);
}

/* What the rows come to, in a sentence. */
static void conclude(const struct tui_perf *p, char out[400]) {
    const struct tui_perf_same *bad = NULL, *apart = NULL;
    int most = 1;
    for (int i = 0; i < p->n_same; i++) {
        const struct tui_perf_same *q = &p->same[i];
        bool same = q->at.same && !q->at.n_differ;
        if (q->tier != p->same_tier) apart = !same && (!apart || q->at.logits_ulps > apart->at.logits_ulps) ? q : apart;
        else if (!same && !bad) bad = q;
        else if (same && q->threads > most) most = q->threads;
    }
    bool split = p->same_ways & TUI_PERF_SPLIT_K;
    int n = bad && split
                ? snprintf(out, 400, "Every thread adds up its columns of a row, so t = %d rounds at other places than one thread does. :reduce rows "
                           "divides rows, and then no bit depends on t. ", bad->threads)
            : bad ? snprintf(out, 400, "t = %d changes bytes, which no number of threads may do: a fault. ", bad->threads)
            : split ? snprintf(out, 400, "The same bytes for t = 1..%d, though sums may be divided: no row is long enough. ", most)
                  : snprintf(out, 400, "The same bytes for t = 1..%d: rows, tokens and heads are shared out, never a sum (:reduce split-k divides sums). ", most);
    if (apart)
        snprintf(out + n, (size_t)(400 - n), "Other kernels add in another order, and rounding differs: the logits of %s by %.3g ulp.", cut_tier_name(apart->tier),
                 apart->at.logits_ulps);
}

void perf_draw_same(struct perf_view *v, struct tui_area a) {
    const struct tui_perf *p = v->perf;
    char title[96], text[400];
    snprintf(title, sizeof title, "the same bytes? %d + 1 tokens, against %s, 1 thread%s", p->same_tokens, cut_tier_name(p->same_tier), tui_perf_ways(p->same_ways));
    struct tui_area frame = perf_pane(v, a, PERF_SAME, p->n_same ? title : "the same bytes?", NULL), in = frame;
    if (!p->n_same) { perf_nothing(in, "= compares every byte with 1, 2, .. threads and with other kernels, and names the step that differs."); return; }
    int below = in.w < 120 ? 7 : 2, rows = in.h - 1 - below;
    if (rows < 1) rows = 1;
    tui_text(in, 2, 0, TUI_DIM, "run                 values             first that differs");
    v->same.n = p->n_same;
    tui_list_show(&v->same, rows);
    for (int y = 0; y < rows && v->same.top + y < p->n_same; y++) {
        draw_row(v, in, 1 + y, &p->same[v->same.top + y]);
        if (v->focus != PERF_SAME || v->same.top + y != v->same.cursor) continue;
        tui_put(in, 0, 1 + y, TUI_FOCUS | TUI_BOLD, tui_glyph(in.g, TUI_G_CURSOR));
        tui_mark_row(in, 1 + y, TUI_SELECTED);
    }
    tui_scrollbar(tui_part(frame, frame.w - 1, 1, 1, rows), 0, &v->same);
    conclude(p, text);
    int shown = p->n_same < rows ? p->n_same : rows, gap = in.h - shown > below + 2, y = 1 + shown + gap;
    y = draw_detail(in, y, &p->same[v->same.cursor < p->n_same ? v->same.cursor : 0].at);
    tui_text_wrap(tui_part(in, 1, 0, in.w - 2, in.h), y + gap, TUI_DERIVED, text);
}
