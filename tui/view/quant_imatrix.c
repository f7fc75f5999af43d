/* quant_imatrix.c - the importance matrix as a map: for each matrix of each layer, how unevenly its inputs are used.
 *
 * An error in a weight costs the product as much as its input is large in use. Where a few inputs carry most (uneven near 1), an
 * encoder that knows them has much to win; where all are alike (near 0), nothing. */
#include <stdio.h>
#include <string.h>

#include "tui/view/quant.h"

static const char *const kind[] = { "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down" };
enum { N_KINDS = sizeof kind / sizeof *kind, NAME_W = 13 };

static const struct tui_cmp_tensor *tensor_at(const struct tui_cmp *c, int k, int layer) {
    char name[64];
    snprintf(name, sizeof name, "blk.%d.%s", layer, kind[k]);
    for (int i = 0; i < c->n_tensors; i++)
        if (!strcmp(c->tensor[i].name, name)) return &c->tensor[i];
    return NULL;
}

void quant_draw_imatrix(struct quant_view *v, struct tui_area a) {
    const struct tui_cmp *c = quant_cmp(v);
    struct tui_area in = quant_pane(v, a, QUANT_IMATRIX, "how unevenly each matrix's inputs are used", "0 alike, 100 one alone");
    in = tui_part(in, 1, 0, in.w - 2, in.h);
    int cell = in.w - NAME_W >= 5 * c->n_layer ? 5 : 2, fit = (in.w - NAME_W) / cell;
    if (v->layer_at >= c->n_layer) v->layer_at = c->n_layer - 1;
    int first = v->layer_at < fit ? 0 : v->layer_at - fit + 1;
    for (int l = first; l < c->n_layer && l < first + fit; l++)
        if (cell > 2 || l % 5 == 0) tui_textf(in, NAME_W + (l - first) * cell, 0, TUI_DIM, "%d", l);
    for (int k = 0; k < N_KINDS && k + 1 < in.h; k++) {
        tui_text(in, 0, k + 1, k == v->kind_at ? TUI_TITLE | TUI_BOLD : TUI_TEXT, kind[k]);
        for (int l = first; l < c->n_layer && l < first + fit; l++) {
            const struct tui_cmp_tensor *t = tensor_at(c, k, l);
            bool here = k == v->kind_at && l == v->layer_at;
            int x = NAME_W + (l - first) * cell;
            if (!t || !t->weighed) continue;
            int level = 1 + (int)(t->uneven * 8.99f);
            for (int i = 0; i < 1 + (cell == 2 && in.g->fills); i++)
                tui_put(in, x + i, k + 1, (tui_style)(TUI_SEQ0 + level), tui_ramp(in.g, level));
            if (cell > 2) tui_textf(in, x + 1, k + 1, here ? TUI_FOCUS | TUI_BOLD : TUI_TEXT, "%2.0f%s", (double)(100 * t->uneven), here ? "<" : "");
            else if (here) tui_put(in, x + 1, k + 1, TUI_FOCUS | TUI_BOLD, '<');
        }
    }
    const struct tui_cmp_tensor *t = tensor_at(c, v->kind_at, v->layer_at);
    char line[320], cost[64] = "", gain[128] = "", n[16];
    if (!t || !t->weighed || in.h < N_KINDS + 3) return;
    if (t->swap.measured) snprintf(cost, sizeof cost, " Swapped alone it costs KL %s.", tui_num((float)t->swap.kl, 8, n));
    if (t->preview.type != CUT_TYPE_COUNT)
        snprintf(gain, sizeof gain, " As they weigh it, its error in %s is %.2f %%; encoded by importance it would be %.2f %%.",
                 cut_type_info(t->preview.type)->name, (double)(100 * t->preview.without), (double)(100 * t->preview.with));
    snprintf(line, sizeof line, "%s: the largest hundredth of its %d inputs carries %.0f %% of their squares.%s%s", t->name, (int)t->cols,
             (double)(100 * t->top_share), gain, cost);
    tui_text_wrap(in, N_KINDS + 2, TUI_TEXT, line);
}
