/* quant_tensors.c - the matrices of the model: what each costs when it alone is swapped into a format; and which of them a
 * format does not fit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/screen/mem.h"
#include "tui/view/quant.h"

enum cut_type quant_main_type(const struct tui_cmp *c, int build) {
    uint64_t bytes[CUT_TYPE_COUNT] = { 0 };
    int best = CUT_F32;
    for (int i = 0; i < c->n_tensors; i++)
        if (c->tensor[i].rows && c->tensor[i].type[build] < CUT_TYPE_COUNT)
            bytes[c->tensor[i].type[build]] += (uint64_t)(c->tensor[i].rows * c->tensor[i].cols);
    for (int t = 0; t < CUT_TYPE_COUNT; t++)
        if (bytes[t] > bytes[best]) best = t;
    return (enum cut_type)best;
}

/* ---- the order */

static int worse(const struct tui_cmp_tensor *a, const struct tui_cmp_tensor *b) {
    if (a->swap.measured != b->swap.measured) return a->swap.measured ? -1 : 1;
    if (!a->swap.measured) return 0;
    return (a->swap.kl < b->swap.kl) - (a->swap.kl > b->swap.kl);
}

void quant_order_tensors(struct quant_view *v) {
    const struct tui_cmp *c = quant_cmp(v);
    if (!c) return;
    v->order = tui_resize(v->order, (size_t)c->n_tensors + 1, sizeof *v->order);
    v->n_order = 0;
    for (int i = 0; i < c->n_tensors; i++) {
        const struct tui_cmp_tensor *t = &c->tensor[i];
        if (!t->rows || (v->layer >= 0 && t->layer != v->layer)) continue;
        int at = v->n_order++;                 /* an insertion sort keeps the file's order where nothing is measured */
        for (; at > 0 && worse(t, &c->tensor[v->order[at - 1]]) < 0; at--) v->order[at] = v->order[at - 1];
        v->order[at] = i;
    }
    v->tensors.n = v->n_order;
}

/* ---- the table */

static const char *type_name(int type) {
    const struct cut_type_info *i = cut_type_info((uint32_t)type);
    return i && i->name ? i->name : "-";
}

/* Columns, from the left and from the right end. */
enum { TYPE_X = 24, RMSE_X = 41, OUT_X = 50, KL_X = 58, SAVED_FROM_END = 9 };

static void draw_tensor(const struct quant_view *v, const struct tui_cmp *c, struct tui_area a, int y, int i, double most) {
    const struct tui_cmp_tensor *t = &c->tensor[i];
    const struct cut_sens_row *s = &t->swap;
    char n[16];
    tui_text_fit(a, 1, TYPE_X - 1, y, t->type[v->build] == t->wanted[v->build] ? TUI_TEXT : TUI_WARN, t->name);
    tui_text_fit(a, TYPE_X, TYPE_X + 8, y, TUI_DIM, type_name((int)t->type[v->build]));
    if (c->swaps_type < CUT_TYPE_COUNT && !s->fits) {
        tui_textf(a, TYPE_X + 9, y, TUI_DIM, "rows of %d do not fit %s", (int)t->cols, type_name((int)c->swaps_type));
        return;
    }
    if (!s->measured) return;
    tui_text_right(a, RMSE_X, y, TUI_TEXT, tui_num((float)s->rel_rmse, 6, n));
    if (!isnan(s->out_error)) tui_text_right(a, OUT_X, y, TUI_TEXT, tui_num((float)s->out_error, 6, n));
    tui_text_right(a, KL_X, y, TUI_TEXT | TUI_BOLD, tui_num((float)s->kl, 7, n));
    tui_bar(a, KL_X + 1, y, a.w - KL_X - 1 - SAVED_FROM_END - 7, TUI_SERIES1, most > 0 ? s->kl / most : 0);
    double saved = (double)s->bytes_from - (double)s->bytes_to;
    tui_text_right(a, a.w - SAVED_FROM_END, y, TUI_TEXT, tui_num_digits((float)(saved / 1e6), 5, 3, n));
    tui_text_right(a, a.w - 1, y, TUI_TEXT, tui_num((float)s->kl_per_mb, 7, n));
}

static void draw_head(struct tui_area a) {
    tui_text(a, 1, 0, TUI_DIM, "tensor");
    tui_text(a, TYPE_X, 0, TUI_DIM, "now");
    tui_text_right(a, RMSE_X, 0, TUI_DIM, "rel.rmse");
    tui_text_right(a, OUT_X, 0, TUI_DIM, "out.err");
    tui_text_right(a, KL_X, 0, TUI_DIM, "KL");
    tui_text_right(a, a.w - SAVED_FROM_END, 0, TUI_DIM, "MB less");
    tui_text_right(a, a.w - 1, 0, TUI_DIM, "KL/MB");
}

void quant_draw_tensors(struct quant_view *v, struct tui_area a) {
    const struct tui_cmp *c = quant_cmp(v);
    char title[128], right[64] = "";
    int type = c->swaps_type < CUT_TYPE_COUNT ? (int)c->swaps_type : (int)quant_main_type(c, v->build);
    quant_order_tensors(v);
    const struct cut_type_info *info = cut_type_info((uint32_t)type);
    snprintf(title, sizeof title, "which tensors hurt: one alone in %s (%.2f bits)", type_name(type), 8.0 * info->bytes / info->block);
    if (v->layer >= 0) snprintf(right, sizeof right, "layer %d (Esc: all)", v->layer);
    else snprintf(right, sizeof right, "%d of %d", c->n_swapped, v->n_order);
    struct tui_area in = quant_pane(v, a, QUANT_TENSORS, title, right);
    draw_head(tui_cut_top(&in, 1));
    double most = 0;
    for (int i = 0; i < v->n_order; i++)
        if (c->tensor[v->order[i]].swap.measured) most = fmax(most, c->tensor[v->order[i]].swap.kl);
    tui_list_show(&v->tensors, in.h);
    if (!c->n_swapped && !c->job[0] && v->focus != QUANT_TENSORS) {
        tui_text_wrap(tui_part(in, 1, 0, in.w - 2, in.h), 0, TUI_DIM, "t measures them: each tensor alone goes into the format, the prediction of every "
                      "token is compared, and what hurts most comes first. Esc stops; what was measured stays.");
        return;
    }
    for (int y = 0; y < in.h && v->tensors.top + y < v->n_order; y++) {
        draw_tensor(v, c, in, y, v->order[v->tensors.top + y], most);
        if (v->focus != QUANT_TENSORS || v->tensors.top + y != v->tensors.cursor) continue;
        tui_put(in, 0, y, TUI_FOCUS | TUI_BOLD, tui_glyph(a.g, TUI_G_CURSOR));
        tui_mark_row(in, y, TUI_SELECTED);
    }
    tui_scrollbar(tui_part(a, a.w - 1, 2, 1, in.h), 0, &v->tensors);
}

/* ---- why this format */

static void reason(const struct tui_cmp_tensor *t, int build, char buf[160]) {
    const struct cut_type_info *want = cut_type_info(t->wanted[build]);
    if (t->why[build][0]) snprintf(buf, 160, "%s", t->why[build]);
    else if (t->wanted[build] == t->type[build]) buf[0] = 0;
    else if (want && t->cols % want->block)
        snprintf(buf, 160, "rows of %d are no whole number of %s blocks of %d", (int)t->cols, want->name, want->block);
    else snprintf(buf, 160, "%s was changed by hand", t->name);
}

void quant_draw_fallbacks(struct quant_view *v, struct tui_area a) {
    const struct tui_cmp *c = quant_cmp(v);
    const struct tui_cmp_build *b = quant_build(v);
    char title[128], right[64], why[160];
    int n = 0, rows[2] = { 0, 0 };
    if (!b) return;
    int *which = tui_alloc((size_t)c->n_tensors + 1, sizeof *which);
    for (int pass = 0; pass < 2; pass++) {     /* those that did not get what was asked for come first */
        for (int i = 0; i < c->n_tensors; i++) {
            const struct tui_cmp_tensor *t = &c->tensor[i];
            if (t->rows && (t->type[v->build] == t->wanted[v->build]) == pass) which[n++] = i, rows[pass]++;
        }
    }
    snprintf(title, sizeof title, "why this format: the matrices of %s", b->name);
    snprintf(right, sizeof right, "%d of %d got another than asked for", rows[0], n);
    struct tui_area in = quant_pane(v, a, QUANT_FALLBACKS, title, right), head = tui_cut_top(&in, 1);
    tui_text(head, 1, 0, TUI_DIM, "tensor");
    tui_text(head, 25, 0, TUI_DIM, "asked   has     why");
    v->fallbacks.n = n;
    tui_list_show(&v->fallbacks, in.h);
    for (int y = 0; y < in.h && v->fallbacks.top + y < n; y++) {
        const struct tui_cmp_tensor *t = &c->tensor[which[v->fallbacks.top + y]];
        bool same = t->type[v->build] == t->wanted[v->build];
        reason(t, v->build, why);
        tui_text_fit(in, 1, 24, y, TUI_TEXT, t->name);
        tui_text(in, 25, y, TUI_DIM, type_name((int)t->wanted[v->build]));
        tui_text(in, 33, y, same ? TUI_TEXT : TUI_WARN | TUI_BOLD, type_name((int)t->type[v->build]));
        tui_text_fit(in, 41, in.w, y, TUI_DIM, why);
        if (v->focus != QUANT_FALLBACKS || v->fallbacks.top + y != v->fallbacks.cursor) continue;
        tui_put(in, 0, y, TUI_FOCUS | TUI_BOLD, tui_glyph(a.g, TUI_G_CURSOR));
        tui_mark_row(in, y, TUI_SELECTED);
    }
    tui_scrollbar(tui_part(a, a.w - 1, 2, 1, in.h), 0, &v->fallbacks);
    free(which);
}
