/* step_inputs.c - what a step reads: the values of earlier steps for the same token, and the row of its weights that the
 * cell under the cursor comes from. A block each: name, statistics, a small heat map, and a histogram where it fits. */
#include <inttypes.h>
#include <string.h>

#include "tui/view/step.h"

enum { BARS = 32, BESIDE = 36 + 2 + BARS };     /* from BESIDE columns on the histogram stands beside the heat map */

void step_input_name(const struct step_view *v, int i, char *name, size_t cap, char shape[40]) {
    const struct cut_step *s = step_selected(v);
    const struct tui_listing *l = tui_app_snap(v->app)->list;
    shape[0] = 0;
    if (i >= s->n_in) {
        const char *w = s->weight, *dot = s->layer >= 0 ? strchr(w, '.') : NULL;
        dot = dot ? strchr(dot + 1, '.') : NULL;
        snprintf(name, cap, "%s", dot ? dot + 1 : w);
        return;
    }
    snprintf(name, cap, "%s", s->in[i]);
    for (int k = 0; k < l->n_steps; k++) {
        if (strcmp(l->step[k].name, s->in[i])) continue;
        const struct tui_shape *sh = &l->shape[k];
        char cols[16] = "n";
        if (!sh->keys) snprintf(cols, sizeof cols, "%d", (int)sh->cols);
        if (sh->rows > 1) snprintf(shape, 40, "[%" PRId64 "x%s]", sh->rows, cols);
        else snprintf(shape, 40, "[%s]", cols);
        if (l->step[k].layer == s->layer) snprintf(name, cap, "%s", step_short_name(&l->step[k]));
        return;
    }
}

static const char *head_label(void *user, int64_t row, char buf[32]) {
    (void)user;
    snprintf(buf, 32, "h%d", (int)row);
    return buf;
}

/* Where the cell under the cursor finds its operands: at the same place for a step that works number by number, in the
 * same head for attention. A matrix product reads all of its input. */
static void mark_operands(const struct step_view *v, struct tui_heat *h, const struct tui_value *in) {
    const struct tui_value *out = step_value(v);
    const char *op = step_selected(v)->op;
    if (!out || !out->data || !strcmp(op, "matmul") || !strcmp(op, "get_rows")) return;
    bool attends = !strcmp(op, "attention") || !strcmp(op, "scores");
    if (in->cols == out->cols && in->heads == out->heads && (!in->heads || in->rows == out->rows) && !attends) {
        h->row = in->heads ? v->heat.row : 0;
        h->col = v->heat.col;
    } else if (in->heads && out->heads && in->rows == out->rows) {
        h->mark = v->heat.row;
    }
}

/* Returns the rows used. */
static int draw_map(struct step_view *v, struct tui_area a, int i, const struct tui_value *in) {
    const struct tui_snap *snap = tui_app_snap(v->app);
    struct tui_heat h = { .data = in->data, .rows = in->n_rows, .cols = in->cols, .scale = tui_heat_scale(&in->stats),
                          .row = -1, .mark = -1, .bare = a.h < 5, .label_w = 3, .row_label = head_label, .user = v };
    if (i < step_selected(v)->n_in && !strcmp(snap->list->step[in->step].op, "softmax")) h.unsigned_ = true, h.scale = 1;
    if (!strcmp(in->axis[0], "key")) h.col_label = step_key_label;
    if (in->cols > 1000) h.label_w = in->cols > 100000 ? 6 : 5;
    mark_operands(v, &h, in);
    h.window = h.row >= 0 || h.mark >= 0;
    h.numbers = h.window || h.rows < a.h;               /* a figure stands for one number, not for the largest of many */
    a = (struct tui_area){ .g = a.g, .x = a.x - 1, .y = a.y, .w = a.w + 1, .h = a.h };      /* its marks: in the margin */
    tui_heat_draw(a, &h);
    int64_t rows = (h.line ? (h.cols + h.line - 1) / h.line : h.rows) + !h.bare;
    return rows < a.h ? (int)rows : a.h;
}

/* Returns the rows used. */
static int draw_block(struct step_view *v, struct tui_area a, int i) {
    const struct cut_step *s = step_selected(v);
    const struct tui_snap *snap = tui_app_snap(v->app);
    bool is_weight = i >= s->n_in, fresh = snap->value && snap->value->step == v->sel;
    const struct tui_value *in = !fresh ? NULL : is_weight ? snap->weight : snap->in[i];
    char name[64], shape[40], label[120], n[4][16];
    step_input_name(v, i, name, sizeof name, shape);
    if (is_weight && in && in->rows > 1) snprintf(shape, sizeof shape, " row %d", (int)in->row0);
    snprintf(label, sizeof label, "%s%s", name, shape);

    bool known = in && in->data;
    int end = a.w;
    if (known && is_weight) end = tui_text_right(a, end, 0, TUI_DIM, cut_type_info(snap->weight_type)->name) - 1;
    else if (known) end = tui_text_right(a, end, 0, TUI_DIM, in->tag == CUT_DERIVED ? "[DERIVED]" : "[REAL]") - 1;
    if (known && in->edited) end = tui_text_right(a, end, 0, TUI_EDITED | TUI_BOLD, "EDITED") - 1;
    tui_text_fit(a, 0, end, 0, TUI_TITLE, label);
    if (!known) return 1;

    const struct cut_stats *st = &in->stats;
    const char *const what[] = { "min", "max", "mean", "rms" };
    float figure[] = { st->min, st->max, st->mean, st->rms };
    for (int k = 0, x = 0; k < 4; k++) {
        x = tui_textf(a, x, 1, TUI_DIM, "%s ", what[k]);
        x = tui_text(a, x, 1, TUI_TEXT, tui_num(figure[k], a.w < 42 ? 4 : 6, n[k])) + 1;
        if (a.w >= 44) x++;
    }
    if (st->n_nan + st->n_inf) tui_textf_right(a, a.w, 1, TUI_BAD | TUI_BOLD, "%d nan, inf", (int)(st->n_nan + st->n_inf));

    tui_cut_top(&a, 2);
    bool beside = a.w >= BESIDE && a.h >= 3 && a.h < 12;
    int low = beside || a.w < BARS || a.h < 5 ? 0 : a.h < 12 ? (a.h + 1) / 2 : 7;     /* rows of a histogram below */
    if (low > 7) low = 7;
    struct tui_area map = tui_part(a, 0, 0, beside ? a.w - BARS - 2 : a.w, a.h - low);
    int rows = draw_map(v, map, i, in);
    if (beside) tui_histogram(tui_part(a, a.w - BARS, 0, BARS, a.h < 6 ? a.h : 6), st);
    else tui_histogram(tui_part(a, 0, rows + (low == 7), a.w, low - (low == 7)), st);    /* a blank line first, where there is room */
    return 2 + (beside && rows < 6 ? a.h < 6 ? a.h : 6 : rows + low);
}

void step_draw_inputs(struct step_view *v, struct tui_area a) {
    const struct cut_step *s = step_selected(v);
    const struct tui_snap *snap = tui_app_snap(v->app);
    if (!s) return;
    int n = s->n_in + (s->weight != NULL);
    const char *cached = !strcmp(s->op, "scores") ? "K" : !strcmp(s->op, "attention") ? "V" : NULL;
    if (a.h < 6 || snap->pos < 0) cached = NULL;
    int last = cached ? 1 : 0, gap = a.h >= 6 * n + last ? 1 : 0;
    int h = n ? (a.h - last - gap * (n - 1)) / n : 0;
    for (int i = 0; i < n; i++) {
        tui_cut_top(&a, draw_block(v, tui_part(a, 0, 0, a.w, h), i));
        if (i < n - 1 || a.h > 1) tui_cut_top(&a, gap);
    }
    if (cached) tui_textf(a, 0, 0, TUI_DIM, "and %s of the cache, positions 0 to %d", cached, snap->pos);
}

void step_draw_inputs_pane(struct step_view *v, struct tui_area a) {
    const struct tui_snap *s = tui_app_snap(v->app);
    const struct tui_value *first = s->value && s->value->step == v->sel ? s->in[0] : NULL;
    char label[64], of[96];
    bool known = first && first->data && first->pos < s->n_tokens;
    if (known) snprintf(of, sizeof of, "for %d \"%s\"", first->pos, tui_token_label(&s->token[first->pos], label));
    struct tui_area in = tui_pane(a, "reads", known ? of : NULL, false);
    step_draw_inputs(v, tui_part(in, 1, 0, in.w - 2, in.h));
}
