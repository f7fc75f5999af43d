/* perf_code.c - a step's kernel: what it computes, how many instructions a weight costs, and the loop they are in, line by line. */
#include <math.h>
#include <string.h>

#include "tui/view/perf.h"

enum { MOST_LINES = 24 };

/* ---- what there is to show: the lines of the row's steps, each once with a number of layers */

struct item { const struct tui_perf_line *line; int n; };

static const struct tui_perf_profile *profile_of(const struct perf_view *v) { return v->perf->profile[v->perf->prefill]; }

/* Products first, in the order of the pass; what only goes with them, after. */
static int items(const struct perf_view *v, struct item out[MOST_LINES]) {
    const struct tui_perf_profile *f = profile_of(v);
    unsigned kinds = v->step_kinds[v->code_row];
    int n = 0;
    for (int products = 1; f && products >= 0; products--)
        for (int i = 0; i < f->n_steps; i++)
            for (int k = 0; k < f->step[i].n_lines && kinds >> f->step[i].kind & 1; k++) {
                const struct tui_perf_line *l = &f->step[i].line[k];
                int at = 0;
                if ((l->weight >= 0) != products) continue;
                while (at < n && (strcmp(out[at].line->name, l->name) || out[at].line->weight != l->weight)) at++;
                if (at == MOST_LINES) continue;
                if (at == n) out[n++] = (struct item){ l, 0 };
                out[at].n++;
            }
    return n;
}

static const struct tui_perf_line *line_of(const struct perf_view *v, int *layers, int *at, int *n) {
    struct item it[MOST_LINES];
    *n = items(v, it);
    if (!*n) return NULL;
    *at = v->code_line < *n ? v->code_line : *n - 1;
    *layers = it[*at].n;
    return it[*at].line;
}

static bool kernel_of(const struct perf_view *v, const struct tui_perf_line *l, struct tui_perf_kernel *out) {
    if (!l || l->weight < 0) return false;
    const struct tui_perf_profile *f = profile_of(v);
    *out = (struct tui_perf_kernel){ l->weight, f->tier, f->repack, f->prefill ? 8 : 1 };
    return true;
}

/* The listing, if it is of this line. */
static const struct tui_perf_code *code_of(const struct perf_view *v, const struct tui_perf_line *l) {
    struct tui_perf_kernel k;
    const struct tui_perf_code *c = v->perf->code;
    return c && kernel_of(v, l, &k) && tui_perf_same_kernel(&c->of, &k) ? c : NULL;
}

bool perf_code_wanted(const struct perf_view *v, struct tui_perf_kernel *out) {
    int layers, at, n;
    const struct tui_perf_line *l = v->perf ? line_of(v, &layers, &at, &n) : NULL;
    return kernel_of(v, l, out) && !code_of(v, l);
}

/* ---- keys */

bool perf_code_key(struct perf_view *v, int key) {
    struct item it[MOST_LINES];
    int n = v->perf ? items(v, it) : 0, by = tui_key_move(key) == TUI_KEY_LEFT || key == TUI_KEY_BACKTAB ? -1 : 1;
    bool other = tui_key_move(key) == TUI_KEY_LEFT || tui_key_move(key) == TUI_KEY_RIGHT || key == TUI_KEY_TAB || key == TUI_KEY_BACKTAB;
    if (!other) return tui_list_key(&v->code, key, v->code_rows);
    if (n) v->code_line = ((v->code_line < n ? v->code_line : n - 1) + by + n) % n;
    v->code = (struct tui_list){ 0 };
    return true;
}

bool perf_code_find(struct perf_view *v, int direction) {
    int layers, at, n;
    const struct tui_perf_code *c = v->perf ? code_of(v, line_of(v, &layers, &at, &n)) : NULL;
    for (int k = 1; c && k <= c->n; k++) {
        int i = ((v->code.cursor + direction * k) % c->n + c->n) % c->n;
        if (!strstr(c->instruction[i].op, v->code_find) && !strstr(c->instruction[i].args, v->code_find)) continue;
        v->code.cursor = i;
        return true;
    }
    return false;
}

/* ---- drawing */

static const char *tokens_at_once(const struct tui_perf_kernel *k) { return k->tokens == 1 ? "1 token at a time" : "8 tokens at a time"; }

/* Formula, weights, kernel. Returns the row after them. */
static int draw_head(const struct perf_view *v, struct tui_area in, const struct tui_perf_line *l, int layers, const struct tui_perf_code *c) {
    struct tui_perf_kernel k;
    int y = 0;
    tui_text_fit(in, 1, in.w - 1, y++, TUI_TITLE | TUI_BOLD, l->formula);
    if (!kernel_of(v, l, &k)) {
        int x = tui_textf(in, 1, y, TUI_TEXT, "kernel  %s", l->kernel);
        if (layers > 1) tui_textf(in, x, y, TUI_DIM, "   %d times in a pass", layers);
        return y + 1;
    }
    int x = tui_textf(in, 1, y, TUI_TEXT, "weights %d x %d of %s", l->rows, l->columns, cut_type_info((enum cut_type)l->weight)->name);
    if (layers > 1) tui_textf(in, x, y, TUI_DIM, ", %d such matrices", layers);
    x = tui_textf(in, 1, ++y, TUI_TEXT, "kernel  %s, %s", l->kernel, tokens_at_once(&k));
    if (c && v->times && c->function[0]) {
        x = tui_text(in, x, y, TUI_DIM, "   ");
        x = tui_text_fit(in, x, in.w - 3, y, TUI_FOCUS, c->function);
        tui_text(in, x, y, TUI_FOCUS, "()");
    }
    return y + 1;
}

/* Instructions for a weight, and what the loop is. Two rows. */
static int draw_counts(const struct perf_view *v, struct tui_area in, int y, const struct tui_perf_code *c) {
    char b[32], s[32];
    int x = tui_textf(in, 1, y, TUI_TEXT | TUI_BOLD, "%s instructions per weight", perf_figure(v, b, c->each < 9.995 ? "%.3f" : "%.1f", c->each));
    if (c->of.tokens > 1)
        x = tui_textf(in, x, y, TUI_TEXT, ", which meets %d tokens: %s per product", c->of.tokens, perf_figure(v, s, "%.3f", c->each / c->of.tokens));
    if (c->of.tokens == 1 || in.w > 110) tui_textf(in, x, y, TUI_DIM, "   counted one by one, on %d x %d", c->rows, c->columns);
    struct tui_perf_code_sum sum = tui_perf_code_sum(c);
    char line[200];
    double weights = (double)c->rows * c->columns / c->passes;
    snprintf(line, sizeof line, "hot loop: %.0f %% of them; %.0f pass%s, each %.4g instructions for %.*f weights", 100 * c->share, c->passes,
             c->passes == 1 ? "" : "es", sum.all, weights < 10 && weights != floor(weights) ? 1 : 0, weights);
    tui_text_fit(in, 1, in.w - 1, y + 1, TUI_TEXT, c->n ? line : "");
    return y + 2;
}

static void draw_instruction(struct tui_area in, int y, const struct tui_perf_instruction *x, bool cursor) {
    enum { TIMES = 18, MARK = 20, OP = 22, ARGS = 36 };
    tui_style st = x->times <= 0 ? TUI_DIM : x->kind == TUI_PERF_CODE_MULTIPLIES ? TUI_GOOD | TUI_BOLD : x->kind == TUI_PERF_CODE_READS ? TUI_SERIES1 : TUI_TEXT;
    tui_textf_right(in, 11, y, TUI_DIM, "%llx", (unsigned long long)x->at);
    if (x->times <= 0) tui_text_right(in, TIMES, y, TUI_DIM, "never");
    else tui_textf_right(in, TIMES, y, x->times == 1 ? TUI_DIM : TUI_TEXT, x->times < 99.5 && x->times != floor(x->times) ? "%.1f" : "%.0f", x->times);
    tui_put(in, MARK, y, st, x->kind == TUI_PERF_CODE_MULTIPLIES ? '*' : x->kind == TUI_PERF_CODE_READS ? '<' : ' ');
    tui_text_fit(in, OP, ARGS - 1, y, st, x->op);
    tui_text_fit(in, ARGS, in.w - 2, y, x->times <= 0 ? TUI_DIM : TUI_TEXT, x->args);
    if (!cursor) return;
    tui_put(in, 1, y, TUI_FOCUS | TUI_BOLD, tui_glyph(in.g, TUI_G_CURSOR));
    tui_mark_row(in, y, TUI_SELECTED);
}

static void draw_listing(struct perf_view *v, struct tui_area frame, const struct tui_perf_code *c) {
    struct tui_perf_code_sum s = tui_perf_code_sum(c);
    char title[160], others[64];
    if (s.both > 0) snprintf(others, sizeof others, ", %.4g of them from memory; %.4g only read", s.both, s.load);
    else snprintf(others, sizeof others, "; %.4g others read memory", s.load);
    snprintf(title, sizeof title, "%.4g of %.4g instructions multiply: %.0f %%%s", s.multiply, s.all, s.all > 0 ? 100 * s.multiply / s.all : 0, others);
    tui_text_fit(frame, 1, frame.w - 1, 0, TUI_DERIVED, title);
    tui_text(frame, 4, 1, TUI_DIM, "address  a pass   * multiplies   < reads memory");
    struct tui_area in = tui_part(frame, 0, 2, frame.w, frame.h - 2);
    v->code.n = c->n;
    v->code_rows = in.h;
    tui_list_show(&v->code, in.h);
    for (int y = 0; y < in.h && v->code.top + y < c->n; y++)
        draw_instruction(in, y, &c->instruction[v->code.top + y], v->code.top + y == v->code.cursor);
    tui_scrollbar(in, in.w - 1, &v->code);
}

/* In the place of a listing: what is under way, or what the system lacks. */
static void draw_nothing(const struct perf_view *v, struct tui_area in, const struct tui_perf_line *l, const struct tui_perf_code *c) {
    const char *text = "counting, one instruction after the other";
    if (l->weight < 0) text = "It multiplies by no weights; instructions are counted for products by weights only.";
    else if (c && c->why[0]) text = c->why;
    else if (!v->times) text = "counted and disassembled where times are shown";
    else if (!v->perf->job[0]) text = "not counted: h, l go to another line and back";
    tui_text_wrap(tui_part(in, 1, 0, in.w - 2, in.h), 1, l->weight >= 0 && c ? TUI_WARN : TUI_DIM, text);
}

void perf_draw_code(struct perf_view *v, struct tui_area screen) {
    int layers = 0, at = 0, n = 0;
    const struct tui_perf_line *l = line_of(v, &layers, &at, &n);
    const struct tui_perf_code *c = l ? code_of(v, l) : NULL;
    char title[80];
    if (l) snprintf(title, sizeof title, "%s: %s (%d of %d)", v->step_names[v->code_row], l->name, at + 1, n);
    struct tui_area in = tui_overlay(screen, 118, screen.h > 30 ? screen.h - 4 : screen.h, l ? title : "instructions");
    tui_text_fit(in, 1, in.w - 1, in.h - 1, TUI_DIM, "j k PgUp PgDn move  h l another line  / n find  Esc leaves");
    if (!l) {
        perf_nothing(in, "Threads wait here for each other; there is no kernel.");
        return;
    }
    int y = draw_head(v, in, l, layers, c);
    if (c && !isnan(c->each)) y = draw_counts(v, in, y, c);
    /* The command, whole: it may be copied. */
    int rows = c && c->command[0] && v->times ? (int)strlen(c->command) / (in.w - 2) + 1 : 0;
    struct tui_area foot = tui_part(in, 1, in.h - 1 - rows, in.w - 2, rows), list = tui_part(in, 0, y, in.w, in.h - 1 - rows - y);
    if (rows) tui_text_wrap(foot, 0, TUI_DIM, c->command);
    if (c && c->n && v->times) draw_listing(v, list, c);
    else draw_nothing(v, list, l, c);
}
