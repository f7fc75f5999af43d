/* quant_layers.c - where the error enters: how far each build's residual stream is from the reference's after each layer,
 * |x - y| / |x|, for the prediction the cursor is on. */
#include <math.h>
#include <stdio.h>

#include "tui/view/quant.h"
#include "tui/view/strip.h"

int quant_jump(const float *e, int n) {
    int at = 0;
    float most = -1;
    for (int l = 0; l < n; l++) {
        float by = e[l] - (l ? e[l - 1] : 0);
        if (by > most) most = by, at = l;
    }
    return at;
}

enum { LAYER_W = 7, NUMBER_W = 9 };

static void draw_rows(struct quant_view *v, const struct tui_cmp *c, struct tui_area a, float most) {
    const struct tui_cmp_build *b = quant_build(v);
    int bar_x = LAYER_W + NUMBER_W * (c->n_builds - 1) + 1, jump = b->layer ? quant_jump(b->layer, c->n_layer) : -1;
    char num[16];
    v->layers.n = c->n_layer;
    tui_list_show(&v->layers, a.h);
    for (int y = 0; y < a.h && v->layers.top + y < c->n_layer; y++) {
        int l = v->layers.top + y;
        bool here = l == v->layers.cursor && v->focus == QUANT_LAYERS;
        if (here) tui_put(a, 0, y, TUI_FOCUS | TUI_BOLD, tui_glyph(a.g, TUI_G_CURSOR));
        tui_textf_right(a, LAYER_W - 2, y, l == jump ? TUI_BAD | TUI_BOLD : TUI_TEXT, "%d", l);
        for (int k = 1; k < c->n_builds; k++)
            if (c->build[k].layer)
                tui_text_right(a, LAYER_W + NUMBER_W * k - 2, y, k == v->build ? TUI_TEXT : TUI_DIM, tui_num(c->build[k].layer[l], 7, num));
        if (b->layer)
            tui_bar(a, bar_x, y, a.w - bar_x - 8, l == jump ? TUI_BAD : TUI_SERIES1, most > 0 ? (double)(b->layer[l] / most) : 0);
        if (l == jump) tui_text_right(a, a.w, y, TUI_BAD | TUI_BOLD, "< jump");
        if (here) tui_mark_row(a, y, TUI_SELECTED);
    }
}

static void draw_words(struct quant_view *v, const struct tui_cmp *c, struct tui_area a) {
    const struct tui_cmp_build *b = quant_build(v);
    char line[320], first[128] = "", n1[16], n2[16];
    if (!b->layer) return;
    int jump = quant_jump(b->layer, c->n_layer);
    if (b->first.name[0]) snprintf(first, sizeof first, " First step over %.0f %%: %.60s (%s).", 100 * (double)TUI_CMP_APART, b->first.name, tui_num(b->first.error, 6, n1));
    if (!jump) snprintf(line, sizeof line, "%s: most of the error is there after the first layer (%s).%s Enter: its tensors.",
                        b->name, tui_num(b->layer[0], 7, n1), first);
    else snprintf(line, sizeof line, "%s: the largest jump is in layer %d, from %s to %s.%s Enter: its tensors.", b->name, jump,
                  tui_num(b->layer[jump - 1], 7, n1), tui_num(b->layer[jump], 7, n2), first);
    tui_text_wrap(a, 0, TUI_TEXT, line);
}

void quant_draw_layers(struct quant_view *v, struct tui_area a) {
    const struct tui_cmp *c = quant_cmp(v);
    const struct tui_cmp_build *b = quant_build(v);
    char title[128], right[64] = "", buf[64];
    int pos = c->layer_pos;
    snprintf(title, sizeof title, "error through the layers");
    if (pos > 0 && pos < c->n_tokens) snprintf(right, sizeof right, "predicting token %d \"%.12s\"", pos, tui_token_label(&c->token[pos], buf));
    struct tui_area in = quant_pane(v, a, QUANT_LAYERS, title, right);
    in = tui_part(in, 1, 0, in.w - 2, in.h);
    float most = 0;
    bool any = false;
    for (int k = 1; k < c->n_builds; k++) any = any || c->build[k].layer;
    if (!b || !any) {
        tui_text_wrap(in, 0, TUI_DIM, !b ? "One build alone has nothing to differ from: a adds another." :
                      "Known when a prediction is chosen: the arrows move over the tokens.");
        return;
    }
    for (int l = 0; b->layer && l < c->n_layer; l++) most = fmaxf(most, b->layer[l]);
    struct tui_area words = tui_cut_bottom(&in, 2), head = tui_cut_top(&in, 1);
    tui_text(head, 0, 0, TUI_DIM, "layer");
    tui_text_right(head, head.w, 0, TUI_DIM, "|x - y| / |x| of resid_post");
    for (int k = 1; k < c->n_builds; k++) {
        struct tui_area cell = tui_part(head, LAYER_W + NUMBER_W * (k - 1), 0, NUMBER_W - 2, 1);
        int w = tui_text_width(a.g, c->build[k].name);
        tui_text_fit(cell, w < cell.w ? cell.w - w : 0, cell.w, 0, k == v->build ? TUI_TITLE | TUI_BOLD : TUI_DIM, c->build[k].name);
    }
    draw_rows(v, c, in, most);
    draw_words(v, c, words);
}
