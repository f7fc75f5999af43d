/* quant_texts.c - what each build makes of the prompt. The reference's text is read by all; from its first other choice on,
 * in brackets, a build goes its own way. */
#include <stdlib.h>
#include <string.h>

#include "tui/screen/mem.h"
#include "tui/view/quant.h"
#include "tui/view/strip.h"

/* ---- lines */

void quant_flow_add(struct quant_flow *f, const char *text, int piece) {
    int n = (int)strlen(text);
    if (f->n + n + 1 > f->cap) {
        f->cap = 2 * f->cap + n + 64;
        f->text = tui_resize(f->text, (size_t)f->cap, 1);
        f->piece = tui_resize(f->piece, (size_t)f->cap, sizeof *f->piece);
    }
    memcpy(f->text + f->n, text, (size_t)n + 1);
    for (int i = 0; i < n; i++) f->piece[f->n + i] = piece;
    f->n += n;
}

static void add_line(struct quant_flow *f, int from, int to) {
    if (f->n_lines == f->cap_lines) {
        f->cap_lines = 2 * f->cap_lines + 16;
        f->line = tui_resize(f->line, (size_t)f->cap_lines, sizeof *f->line);
    }
    f->line[f->n_lines++] = (struct quant_line){ from, to };
}

void quant_flow_break(struct quant_flow *f, int w) {
    int from = 0, blank = -1, cols = 0;        /* the line's start, its last blank, its width so far */
    f->n_lines = 0;
    for (int i = 0; i < f->n;) {
        uint32_t cp;
        int bytes = cut_utf8_decode(f->text + i, (size_t)(f->n - i), &cp), width = 1;
        if (bytes <= 0) bytes = 1;
        else width = tui_cp_width(cp);
        if (f->text[i] == '\n') {
            add_line(f, from, i);
            from = i + 1;
            blank = -1;
            cols = 0;
        } else if (cols + width > w && i > from && f->text[i] == ' ') {
            add_line(f, from, i);              /* a blank at the end of a full line is the break itself */
            from = i + 1;
            blank = -1;
            cols = 0;
        } else if (cols + width > w && i > from) {
            int to = blank > from ? blank : i;
            add_line(f, from, to);
            i = from = to == blank ? to + 1 : to;
            blank = -1;
            cols = 0;
            continue;
        } else {
            if (f->text[i] == ' ') blank = i;
            cols += width;
        }
        i += bytes;
    }
    if (f->n > from || !f->n_lines) add_line(f, from, f->n);
}

int quant_flow_line_of(const struct quant_flow *f, int piece) {
    int at = -1;
    for (int l = 0; l < f->n_lines; l++)
        for (int i = f->line[l].from; i < f->line[l].to; i++)
            if (f->piece[i] == piece) at = l;
    return at;
}

void quant_flow_done(struct quant_flow *f) {
    free(f->text);
    free(f->piece);
    free(f->line);
    *f = (struct quant_flow){ 0 };
}

/* ---- one text */

/* A token as it stands in running text; the token where the ways part in brackets, which a blank before it stays out of. */
static void add_token(struct quant_flow *f, const struct tui_token *t, int piece, bool marked) {
    char buf[64];
    const char *s = t->text;
    size_t blanks = marked ? strspn(s, " ") : 0;
    if (!marked) {
        quant_flow_add(f, s, piece);
        return;
    }
    snprintf(buf, sizeof buf, "%.*s[%s]", (int)blanks, s, s + blanks);
    for (char *c = buf; *c; c++)
        if (*c == '\n') *c = '/';
    quant_flow_add(f, buf, piece);
}

static void flow_of(struct quant_flow *f, const struct tui_cmp *c, int build, int w) {
    const struct tui_cmp_build *b = &c->build[build];
    int shared = b->parted < 0 ? c->n_tokens : b->parted;
    for (int i = 0; i < shared; i++) add_token(f, &c->token[i], i, false);
    for (int i = 0; i < b->n_own; i++) add_token(f, &b->own[i], b->parted + i, i == 0);
    quant_flow_break(f, w);
}

static void draw_line(const struct quant_flow *f, struct quant_line l, struct tui_area a, int y, const struct tui_cmp *c, int parted,
                      int cursor) {
    int x = 0;
    for (int i = l.from; i < l.to;) {
        int piece = f->piece[i], n = 0;
        char part[80];
        while (i < l.to && f->piece[i] == piece && n < 76) part[n++] = f->text[i++];
        part[n] = 0;
        tui_style st = piece < c->n_prompt ? TUI_DIM : parted >= 0 && piece >= parted ? TUI_WARN : TUI_TEXT;
        if (piece == parted) st = TUI_BAD | TUI_BOLD;
        if (piece == cursor) st |= TUI_UNDERLINE | TUI_BOLD;
        x = tui_text(a, x, y, st, part);
    }
}

/* "q4_0  2.9 MiB  4.50 bpw  8120 tok/s", what fits of it. */
static void title_of(const struct quant_view *v, const struct tui_cmp *c, int build, int w, char buf[128]) {
    const struct tui_cmp_build *b = &c->build[build];
    char bytes[16], bpw[16] = "", speed[32] = "", edits[24] = "";
    if (w >= 44) snprintf(bpw, sizeof bpw, "  %.2f bpw", b->sum.bits);
    if (tui_app_times(v->app) && b->sum.tps > 0) snprintf(speed, sizeof speed, "  %.*f t/s", b->sum.tps < 99.5, b->sum.tps);
    if (b->n_edits) snprintf(edits, sizeof edits, "  EDITED (%d)", b->n_edits);
    snprintf(buf, 128, "%s%s  %s%s%s%s", b->name, build ? "" : w >= 36 ? " reference" : " ref", tui_bytes(b->sum.bytes, bytes), bpw, speed,
             edits);
}

/* The last line of a pane: where the ways part. */
static void draw_verdict(const struct tui_cmp *c, int build, struct tui_area a, int y) {
    const struct tui_cmp_build *b = &c->build[build];
    if (!build) tui_textf(a, 0, y, TUI_DIM, "%d tokens, %d of them the prompt", c->n_tokens, c->n_prompt);
    else if (b->parted >= 0) tui_textf(a, 0, y, TUI_BAD | TUI_BOLD, "diverges: token %d", b->parted);
    else if (c->n_tokens > c->n_prompt) tui_textf(a, 0, y, TUI_GOOD, "the same so far, %d token%s", c->n_tokens - c->n_prompt,
                                                      c->n_tokens - c->n_prompt == 1 ? "" : "s");
}

static void draw_text(struct quant_view *v, const struct tui_cmp *c, int build, struct tui_area a, bool focus) {
    char title[128];
    struct quant_flow f = { 0 };
    title_of(v, c, build, a.w, title);
    struct tui_area in = tui_pane(a, title, NULL, focus);
    in = tui_part(in, 1, 0, in.w - 2, in.h);
    int rows = in.h - (in.h > 3), parted = build ? c->build[build].parted : -1;
    flow_of(&f, c, build, in.w);
    int cursor = quant_pos(v), top = f.n_lines - rows;
    int anchor = !v->follow ? cursor : c->to_go || !quant_build(v) ? -1 : quant_build(v)->parted;   /* at rest: where they part */
    int at = anchor < 0 ? -1 : quant_flow_line_of(&f, anchor);
    if (at >= 0 && top > at - rows / 2) top = at - rows / 2;
    if (top < 0) top = 0;
    for (int y = 0; y < rows && top + y < f.n_lines; y++)
        draw_line(&f, f.line[top + y], in, y, c, parted, v->follow ? -1 : cursor);
    if (rows < in.h) draw_verdict(c, build, in, in.h - 1);
    quant_flow_done(&f);
}

void quant_draw_texts(struct quant_view *v, struct tui_area a) {
    const struct tui_cmp *c = quant_cmp(v);
    bool all = a.w >= 120;
    int n = all ? c->n_builds : c->n_builds > 1 ? 2 : 1;
    v->area[QUANT_TEXTS] = a;
    for (int i = 0; i < n; i++) {
        int build = all || !i ? i : v->build > 0 ? v->build : 1;
        int from = a.w * i / n, to = a.w * (i + 1) / n;
        draw_text(v, c, build, tui_part(a, from, 0, to - from, a.h), v->focus == QUANT_TEXTS && build == (n > 1 ? v->build : 0));
    }
}
