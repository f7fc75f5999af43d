/* step_value.c - one step: what it computes, its value as a picture, a cell of it as a number and as its operands. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/screen/mem.h"
#include "tui/view/step.h"

/* ---- labels of rows and columns */

static const char *row_label(void *user, int64_t row, char buf[32]) {
    const struct step_view *v = user;
    const struct tui_snap *s = tui_app_snap(v->app);
    const struct tui_value *val = step_value(v);
    char label[64];
    if (val && val->heads) {
        bool cells = !strcmp(val->axis[0], "k, v") || !strcmp(step_selected(v)->op, "store");
        if (cells) snprintf(buf, 32, "%c%d", row < val->rows / 2 ? 'K' : 'V', (int)(row % (val->rows / 2)));
        else snprintf(buf, 32, "h%d", (int)row);
        return buf;
    }
    int64_t at = (val ? val->row0 : 0) + row + s->where.pos;
    if (val && val->ne[2] != s->where.n_tokens) at = s->where.pos + s->where.n_tokens - 1;
    if (at < s->n_tokens) snprintf(buf, 32, "%d %.26s", (int)at, tui_token_label(&s->token[at], label));
    else snprintf(buf, 32, "%d", (int)at);
    return buf;
}

/* Keys are tokens of the text. */
const char *step_key_label(void *user, int64_t col, char buf[32]) {
    const struct tui_snap *s = tui_app_snap(((const struct step_view *)user)->app);
    char label[64];
    const char *t = col < s->n_tokens ? tui_token_label(&s->token[col], label) : "?";
    snprintf(buf, 32, "%.30s", t + (*t == ' ' && t[1]));
    return buf;
}

/* h3, key 5 "France" */
static void cell_name(const struct step_view *v, char *buf, size_t cap) {
    const struct tui_snap *s = tui_app_snap(v->app);
    const struct tui_value *val = step_value(v);
    char row[32];
    int n = 0, token = s->where.pos + (int)v->heat.row + (int)val->row0;
    if (val->heads) n = snprintf(buf, cap, "%s, ", row_label((void *)v, v->heat.row, row));
    else if (val->rows > 1 && token < s->n_tokens) n = snprintf(buf, cap, "token %d \"%s\", ", token, s->token[token].text);
    const char *axis = val->axis[0][0] && val->axis[0][1] != ',' ? val->axis[0] : "dim";
    n += snprintf(buf + n, cap - (size_t)n, "%s %d", axis, (int)v->heat.col);
    if (!strcmp(axis, "key") && v->heat.col < s->n_tokens)
        snprintf(buf + n, cap - (size_t)n, " \"%s\"", s->token[v->heat.col].text);
}

/* ---- the head: formula, what it reads */

static int draw_head(struct step_view *v, struct tui_area a) {
    const struct cut_step *s = step_selected(v);
    char buf[256];
    int y = 0, n;
    tui_text_fit(a, 0, a.w, y++, TUI_TITLE | TUI_BOLD, s->formula);
    n = snprintf(buf, sizeof buf, "%s", s->n_in ? "" : "token ids -> rows of ");
    for (int i = 0; i < s->n_in + (s->weight != NULL); i++) {
        char name[64], shape[40];
        step_input_name(v, i, name, sizeof name, shape);
        if ((size_t)n < sizeof buf) n += snprintf(buf + n, sizeof buf - (size_t)n, "%s%s%s", i ? ", " : "", name, shape);
    }
    int x = tui_text(a, 0, y, TUI_DIM, "reads ");
    tui_text_fit(a, x, a.w, y++, TUI_TEXT, buf);
    if (a.h < 24) return y;
    x = tui_text(a, 0, y, TUI_DIM, "names ");
    x = tui_text(a, x, y, TUI_TEXT, s->name);
    if (s->alias) tui_text_fit(a, tui_text(a, x, y, TUI_DIM, " = "), a.w, y, TUI_TEXT, s->alias);
    y++;
    if (s->cite) {
        x = tui_text(a, 0, y, TUI_DIM, "paper ");
        tui_text_fit(a, x, a.w, y++, TUI_TEXT, s->cite);
    }
    return y + 1;
}

/* ---- the picture */

static void set_heat(struct step_view *v) {
    const struct tui_snap *s = tui_app_snap(v->app);
    const struct tui_value *val = step_value(v);
    struct tui_heat *h = &v->heat;
    *h = (struct tui_heat){ .row = -1, .mark = -1, .numbers = true, .window = true, .row_label = row_label, .user = v, .line = h->line,
                            .per_cell_r = h->per_cell_r, .per_cell_c = h->per_cell_c };
    if (!val || !val->data) return;
    h->data = val->data;
    h->rows = val->n_rows;
    h->cols = val->cols;
    h->scale = tui_heat_scale(&val->stats);
    const char *op = step_selected(v)->op;
    if (!strcmp(op, "softmax")) h->unsigned_ = true, h->scale = 1;
    h->row = (v->row_at >= 0 ? v->row_at : s->row) - val->row0;
    h->col = v->col_at >= 0 ? v->col_at : s->col;
    if (h->row >= h->rows) h->row = h->rows - 1;
    if (h->col >= h->cols) h->col = h->cols - 1;
    h->mark = val->token_row >= 0 && val->n_rows > 1 ? val->token_row - val->row0 : -1;
    char digits[16];
    h->label_w = val->heads ? 3 : val->n_rows > 1 ? 9 : snprintf(digits, sizeof digits, "%d", (int)val->cols);
    if (!strcmp(val->axis[0], "key")) h->col_label = step_key_label;
}

static void draw_caption(struct step_view *v, struct tui_area a, int y) {
    const struct tui_value *val = step_value(v);
    char buf[96];
    const char *rows = val->heads ? "heads" : "tokens";
    const char *cols = !strcmp(val->axis[0], "key") ? "keys" : !strcmp(val->axis[0], "vocab") ? "tokens of the vocabulary" : "dims";
    if (val->rows > 1) snprintf(buf, sizeof buf, "%d %s x %d %s", (int)val->rows, rows, (int)val->cols, cols);
    else snprintf(buf, sizeof buf, "%d %s", (int)val->cols, cols);
    int end = tui_heat_legend(a, a.w, y, &v->heat) - 2, x = tui_text_fit(a, 0, end, y, TUI_DIM, buf);
    int64_t shared = v->heat.per_cell_c * v->heat.per_cell_r;
    if (shared < 2) return;
    snprintf(buf, sizeof buf, ", each cell the largest of %d", (int)shared);
    if (x + (int)strlen(buf) <= end) tui_text(a, x, y, TUI_DIM, buf);
}

/* ---- under it: statistics, maths or source */

static void draw_stats(struct step_view *v, struct tui_area a) {
    const struct tui_value *val = step_value(v);
    const struct tui_snap *s = tui_app_snap(v->app);
    const struct cut_stats *st = &val->stats;
    char num[16], bytes[16];
    int bars = a.w >= 80 ? 64 : 32;
    tui_histogram(tui_part(a, 0, 0, bars, a.h < 8 ? a.h : 8), st);
    struct tui_area r = tui_part(a, bars + 2, 0, a.w - bars - 2, a.h);
    int w = r.w - 5 < 9 ? r.w - 5 : 9;
    tui_field(r, 0, 0, 5, "min", TUI_TEXT, tui_num_digits(st->min, w, 4, num));
    tui_field(r, 0, 1, 5, "max", TUI_TEXT, tui_num_digits(st->max, w, 4, num));
    tui_field(r, 0, 2, 5, "mean", TUI_TEXT, tui_num_digits(st->mean, w, 4, num));
    tui_field(r, 0, 3, 5, "rms", TUI_TEXT, tui_num_digits(st->rms, w, 4, num));
    bool bad = st->n_nan || st->n_inf;
    snprintf(num, sizeof num, "%s", tui_count((uint64_t)st->n_nan, bytes));
    if (st->n_inf) snprintf(num, sizeof num, "%d inf %d", (int)st->n_nan, (int)st->n_inf);
    tui_field(r, 0, 4, 5, "nan", bad ? TUI_BAD | TUI_BOLD : TUI_TEXT, num);
    if (a.h < 8) return;
    tui_field(r, 0, 6, 5, "read", TUI_TEXT, tui_bytes(s->cost_bytes, bytes));
    tui_field(r, 0, 7, 5, "flop", TUI_TEXT, tui_count(s->cost_flops, bytes));
}

static int by_size(const void *a, const void *b) {
    float x = fabsf((*(const struct cut_term *const *)a)->term), y = fabsf((*(const struct cut_term *const *)b)->term);
    return (x < y) - (x > y);
}

/* The terms, largest first; what does not fit is summed in one line, so that the column still adds up. */
static void draw_terms(struct step_view *v, struct tui_area a, const struct cut_explain *e) {
    const struct cut_term **t = tui_alloc((size_t)e->n_terms, sizeof *t);
    char num[16];
    bool pairs = false;
    for (int i = 0; i < e->n_terms; i++) t[i] = &e->terms[i], pairs = pairs || e->terms[i].b != 1;
    if (e->product) pairs = false;
    else qsort(t, (size_t)e->n_terms, sizeof *t, by_size);
    int rows = e->n_terms <= a.h ? e->n_terms : a.h - 1;
    if (v->maths_top > e->n_terms - rows) v->maths_top = e->n_terms - rows;
    if (v->maths_top < 0) v->maths_top = 0;
    float most = e->n_terms ? fabsf(t[0]->term) : 1;
    double rest = 0;
    for (int i = 0; i < e->n_terms; i++)
        if (i < v->maths_top || i >= v->maths_top + rows) rest += (double)t[i]->term;
    int lw = 11, x_term = pairs ? lw + 18 : lw + 2;
    for (int y = 0; y < rows; y++) {
        const struct cut_term *k = t[v->maths_top + y];
        tui_text_fit(a, 0, lw, y, TUI_TEXT, k->label);
        if (pairs) {
            tui_text_right(a, lw + 7, y, TUI_DIM, tui_num(k->a, 6, num));
            tui_text(a, lw + 8, y, TUI_DIM, a.g->ascii ? "x" : "\xc3\x97");
            tui_text_right(a, lw + 16, y, TUI_DIM, tui_num(k->b, 6, num));
        }
        tui_style st = k->term < 0 ? TUI_SERIES1 : TUI_SERIES2;
        tui_text_right(a, x_term + 7, y, TUI_TEXT | TUI_BOLD, tui_num(k->term, 6, num));
        if (!e->product && most > 0) tui_bar(a, x_term + 9, y, a.w - x_term - 9, st, (double)(fabsf(k->term) / most));
    }
    if (rows < e->n_terms && !e->product) {
        tui_textf(a, 0, rows, TUI_DIM, "%d others", e->n_terms - rows);
        tui_text_right(a, x_term + 7, rows, TUI_DIM, tui_num((float)rest, 6, num));
    }
    free(t);
}

/* Was the cell that is taken apart written by an edit of this very step, after the kernel? */
static bool cell_edited(const struct step_view *v) {
    const struct tui_snap *s = tui_app_snap(v->app);
    const struct tui_value *val = step_value(v);
    int pos = val->heads || val->ne[2] != s->where.n_tokens ? s->pos : s->where.pos + (int)s->row;
    for (int i = 0; i < s->n_edits; i++) {
        const struct cut_edit *e = &s->edit[i];
        bool here = pos >= e->pos0 && (e->pos1 < 0 || pos <= e->pos1);
        bool cell = (e->i0 < 0 || e->i0 == s->col) && (e->i1 < 0 || !val->heads || e->i1 == s->row);
        if (here && cell && !strcmp(e->step, step_selected(v)->name)) return true;
    }
    return false;
}

static void draw_maths(struct step_view *v, struct tui_area a) {
    const struct tui_snap *s = tui_app_snap(v->app);
    if (!s->has_explain || s->watch.row != v->row_at || s->watch.col != v->col_at) {
        if (s->explain_err.code) tui_text_wrap(a, 0, TUI_DIM, s->explain_err.msg);
        return;
    }
    const struct cut_explain *e = &s->explain;
    char num[16], total[16];
    tui_text_fit(a, 0, a.w, 0, TUI_TITLE, e->how);
    int foot = e->note[0] ? 2 : 1;
    draw_terms(v, tui_part(a, 0, 1, a.w, a.h - 1 - foot), e);
    if (e->note[0]) tui_text_fit(a, 0, a.w, a.h - 2, TUI_DIM, e->note);
    tui_num_digits(e->total, 11, 6, total);
    int x = tui_textf(a, 0, a.h - 1, TUI_TEXT | TUI_BOLD, "%s %s", e->product ? "product" : "total", total);
    bool edited = cell_edited(v);
    x = tui_textf(a, x, a.h - 1, edited ? TUI_EDITED : TUI_DIM, "   %s %s", edited ? "edited to" : "kernel wrote",
                  tui_num_digits(e->value, 11, 6, num));
    if (!edited && e->ulps < 1e6) tui_textf(a, x, a.h - 1, e->ulps < 64 ? TUI_GOOD : TUI_WARN, "   %.0f ulp", e->ulps);
}

/* ---- when there is nothing to show */

static void draw_welcome(struct step_view *v, struct tui_area a) {
    const struct tui_snap *s = tui_app_snap(v->app);
    char bytes[16], count[16];
    if (!s->list) {
        tui_text_wrap(a, 1, TUI_TEXT, s->err.code ? s->err.msg : "Opening the model...");
        if (s->err.code) tui_text(a, 0, 4, TUI_DIM, ":open FILE opens another.");
        return;
    }
    const struct cut_config *c = &s->list->config;
    int y = 1;
    tui_text(a, 0, y++, TUI_TITLE | TUI_BOLD, s->list->name);
    tui_textf(a, 0, y++, TUI_TEXT, "%s, %s parameters, %s in %s", c->arch, tui_count(c->n_params, count),
              tui_bytes(c->weight_bytes, bytes), s->list->type);
    y++;
    const struct { const char *what; char value[32]; const char *why; } facts[] = {
        { "layers", "", "attention and feed-forward" }, { "width", "", "numbers that hold a token" },
        { "heads", "", "queries / keys and values" }, { "head", "", "dimensions of a head" },
        { "hidden", "", "feed-forward neurons" }, { "vocab", "", "tokens it can write" },
        { "context", "", "tokens it can look back on" },
    };
    int n[] = { c->n_layer, c->n_embd, c->n_head, c->head_dim, c->n_ff, c->n_vocab, s->list->n_ctx };
    for (size_t i = 0; i < sizeof n / sizeof *n; i++, y++) {
        char num[40];
        snprintf(num, sizeof num, "%d", n[i]);
        if (i == 2) snprintf(num, sizeof num, "%d / %d", c->n_head, c->n_head_kv);
        tui_text(a, 0, y, TUI_DIM, facts[i].what);
        tui_text_right(a, 18, y, TUI_TEXT, num);
        tui_text_fit(a, 20, a.w, y, TUI_DIM, facts[i].why);
    }
    y++;
    tui_text(a, tui_text(a, 0, y, TUI_KEY | TUI_BOLD, "o"), y, TUI_TEXT, "  types a prompt: Once upon a time");
    tui_text(a, tui_text(a, 0, y + 1, TUI_KEY | TUI_BOLD, "?"), y + 1, TUI_TEXT, "  explains the keys");
}

/* ---- the pane */

/* A rule with the cell under the cursor in it, and what the reader wants to know about it. */
static void draw_lower(struct step_view *v, struct tui_area a) {
    char name[96], num[16];
    const struct tui_value *val = step_value(v);
    cell_name(v, name, sizeof name);
    float x = val->data[v->heat.row * val->cols + v->heat.col];
    tui_rule(a, 0, NULL);
    tui_put(a, 1, 0, TUI_TEXT, ' ');
    int end = tui_text_fit(a, 2, a.w - 14, 0, TUI_TEXT, name);
    end = tui_text(a, end, 0, TUI_DIM, " = ");
    end = tui_text(a, end, 0, TUI_FOCUS | TUI_BOLD, tui_num_digits(x, 11, 6, num));
    tui_put(a, end, 0, TUI_TEXT, ' ');
    tui_cut_top(&a, 1);
    if (v->lower == LOWER_INPUTS) step_draw_inputs(v, a);
    else if (v->tall && v->lower != LOWER_SOURCE) {
        draw_maths(v, tui_cut_top(&a, a.h - 10));
        tui_rule(a, 0, val->heads ? "the values of this token" : "the numbers of this token");
        draw_stats(v, tui_part(a, 0, 1, a.w, a.h - 1));
    } else if (v->lower == LOWER_MATHS) draw_maths(v, a);
    else if (v->lower == LOWER_SOURCE) step_draw_code(v, a, &step_selected(v)->source, v->source_top);
    else draw_stats(v, a);
}

void step_draw_value(struct step_view *v, struct tui_area a) {
    const struct cut_step *s = step_selected(v);
    const struct tui_snap *snap = tui_app_snap(v->app);
    const struct tui_value *val = step_value(v);
    char title[128], tag[32] = "";
    snprintf(title, sizeof title, "%s", s && snap->n_tokens ? s->name : "welcome");
    if (val && val->data)
        snprintf(tag, sizeof tag, "%s[%s]", val->edited ? "EDITED " : "", val->tag == CUT_DERIVED ? "DERIVED" : "REAL");
    struct tui_area in = tui_pane(a, title, tag, v->focus == PANE_VALUE && !v->menu);
    in = tui_part(in, 1, 0, in.w - 2, in.h);
    v->at_value = (struct tui_area){ .g = in.g };
    if (!s || !snap->n_tokens) {
        draw_welcome(v, in);
        return;
    }
    int y = draw_head(v, in);
    in = tui_part(in, 0, y, in.w, in.h - y);
    set_heat(v);
    if (!v->heat.data) {
        if (v->sel >= snap->where.step || !snap->where.n_tokens)
            tui_text(in, 0, 1, TUI_DIM, "not computed yet: Space makes the next step");
        if (v->lower == LOWER_INPUTS) step_draw_inputs(v, tui_part(in, 0, 3, in.w, in.h - 3));
        return;
    }
    if (!strcmp(s->op, "sample") && snap->n_top) {
        step_draw_next(v, tui_part(in, 0, 1, in.w, in.h - 1));
        return;
    }
    v->tall = in.h >= 36;
    int low = v->tall ? 25 : v->lower != LOWER_STATS ? in.h * 3 / 5 + 1 : in.h >= 26 ? 9 : 6;
    step_watch(v);
    struct tui_area lower = tui_cut_bottom(&in, low);
    v->at_value = tui_part(in, 0, 1, in.w, in.h - 1);
    struct tui_area picture = v->at_value;
    tui_heat_draw(picture, &v->heat);
    draw_caption(v, in, 0);
    draw_lower(v, lower);
}
