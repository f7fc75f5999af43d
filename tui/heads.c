/* heads.c - scoring attention heads. */
#include "tui/heads.h"

#include <math.h>

static const struct { const char *name, *test; } about[TUI_SCORE_COUNT] = {
    [TUI_SCORE_INDUCTION] = { "induction", "the key follows an earlier copy of the query" },
    [TUI_SCORE_PREVIOUS] = { "previous", "the key is the token before the query" },
    [TUI_SCORE_DUPLICATE] = { "duplicate", "the key is an earlier copy of the query" },
    [TUI_SCORE_SINK] = { "sink", "the key is the first token (rows after it)" },
    [TUI_SCORE_DIFFUSE] = { "diffuse", "mean entropy of the rows over its maximum" },
};

const char *tui_score_name(enum tui_score s) { return about[s].name; }
const char *tui_score_test(enum tui_score s) { return about[s].test; }

double tui_entropy(const float *p, int n) {
    double h = 0;
    for (int j = 0; j < n; j++)
        if (p[j] > 0) h -= p[j] * log2(p[j]);
    return h > 0 ? h : 0;                          /* a sum of -0 */
}

void tui_head_row(struct tui_head_tally *t, const float *p, int i, const int32_t *id) {
    double sum = 0;
    for (int j = 0; j <= i; j++) {
        sum += p[j];
        if (j > 0 && id[j - 1] == id[i]) t->mass[TUI_SCORE_INDUCTION] += p[j];
        if (j < i && id[j] == id[i]) t->mass[TUI_SCORE_DUPLICATE] += p[j];
    }
    t->all += sum;
    t->worst = fmax(t->worst, fabs(sum - 1));
    if (i == 0) return;
    t->mass[TUI_SCORE_PREVIOUS] += p[i - 1];
    t->mass[TUI_SCORE_SINK] += p[0];
    t->mass[TUI_SCORE_DIFFUSE] += tui_entropy(p, i + 1) / log2(i + 1);
    t->all_later += sum;
    t->later++;
}

struct tui_head_scores tui_head_score(const struct tui_head_tally *t) {
    struct tui_head_scores s = { .row_error = (float)t->worst };
    for (int k = 0; k < TUI_SCORE_COUNT; k++) {
        double over = k == TUI_SCORE_SINK ? t->all_later : k == TUI_SCORE_DIFFUSE ? t->later : t->all;
        s.score[k] = over > 0 ? (float)(t->mass[k] / over) : NAN;
    }
    return s;
}
