/* heads.h - what an attention head does, judged by its pattern.
 *
 * A score is the mass that falls on a pattern of interest over all the mass there is, as TransformerLens' head detector
 * measures (its error measure "mul", no token excluded). Rows are queries, columns keys; p[i][j] = 0 for j > i. */
#ifndef TUI_HEADS_H
#define TUI_HEADS_H

#include <stdint.h>

enum tui_score {
    TUI_SCORE_INDUCTION,       /* j follows an earlier copy of the query's token: id[j - 1] = id[i], j <= i
                                  (Elhage et al. 2021; Olsson et al. 2022) */
    TUI_SCORE_PREVIOUS,        /* j = i - 1 */
    TUI_SCORE_DUPLICATE,       /* j is an earlier copy: id[j] = id[i], j < i (Wang et al. 2022) */
    TUI_SCORE_SINK,            /* j = 0, over the rows i > 0, which have a choice (Xiao et al. 2023) */
    TUI_SCORE_DIFFUSE,         /* not a mass: the mean of H(row) / log2(i + 1) over the rows i > 0 */
    TUI_SCORE_COUNT,
};
const char *tui_score_name(enum tui_score s);      /* "induction" */
const char *tui_score_test(enum tui_score s);      /* "the key follows an earlier copy of the query" */

struct tui_head_scores {
    float score[TUI_SCORE_COUNT];      /* NAN: no row to judge by */
    float row_error;                   /* the largest |sum of a row - 1| */
};

/* Add a head's rows one by one, in any order, to a tally that begins as zeros. */
struct tui_head_tally { double mass[TUI_SCORE_COUNT], all, all_later, worst; int later; };
void tui_head_row(struct tui_head_tally *t, const float *p, int i, const int32_t *id);     /* p: i + 1 numbers */
struct tui_head_scores tui_head_score(const struct tui_head_tally *t);

/* Entropy of n probabilities, in bits. */
double tui_entropy(const float *p, int n);

#endif
