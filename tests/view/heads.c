/* Scores of attention heads, on patterns made by hand. */
#include "tests/test.h"
#include "tui/heads.h"

enum { N = 6 };
static const int32_t ids[N] = { 1, 7, 8, 9, 7, 8 };    /* <s> a b c a b */

/* Score a pattern given as the key each query looks at (mass 1). */
static struct tui_head_scores looks_at(const int key[N]) {
    struct tui_head_tally t = { 0 };
    for (int i = 0; i < N; i++) {
        float row[N] = { 0 };
        row[key[i]] = 1;
        tui_head_row(&t, row, i, ids);
    }
    return tui_head_score(&t);
}

static bool scores_are(const struct tui_head_scores *s, float induction, float previous, float duplicate, float sink) {
    return s->score[TUI_SCORE_INDUCTION] == induction && s->score[TUI_SCORE_PREVIOUS] == previous &&
           s->score[TUI_SCORE_DUPLICATE] == duplicate && s->score[TUI_SCORE_SINK] == sink;
}

TEST(view_heads_score_pure_patterns) {
    struct tui_head_scores s = looks_at((int[N]){ 0, 0, 1, 2, 3, 4 });
    CHECK(scores_are(&s, 0, 5.0f / 6, 0, 1.0f / 5), "previous token: row 0 has none, row 1's is the first");
    s = looks_at((int[N]){ 0, 0, 0, 0, 0, 0 });
    CHECK(scores_are(&s, 0, 1.0f / 6, 0, 1), "sink");
    s = looks_at((int[N]){ 0, 1, 2, 3, 2, 3 });        /* a looks at what followed a: b; b at c */
    CHECK(scores_are(&s, 2.0f / 6, 0, 0, 0), "induction");
    s = looks_at((int[N]){ 0, 1, 2, 3, 1, 2 });
    CHECK(scores_are(&s, 0, 0, 2.0f / 6, 0), "duplicate");
    CHECK(s.score[TUI_SCORE_DIFFUSE] == 0 && s.row_error == 0, "one key a row: no entropy");
}

TEST(view_heads_score_a_repeat_at_once) {
    static const int32_t twice[3] = { 1, 5, 5 };       /* the copy stands right before: the query itself follows it */
    struct tui_head_tally t = { 0 };
    tui_head_row(&t, (float[]){ 1 }, 0, twice);
    tui_head_row(&t, (float[]){ 0.5f, 0.5f }, 1, twice);
    tui_head_row(&t, (float[]){ 0.25f, 0.25f, 0.5f }, 2, twice);
    struct tui_head_scores s = tui_head_score(&t);
    CHECK(s.score[TUI_SCORE_INDUCTION] == 0.5f / 3 && s.score[TUI_SCORE_DUPLICATE] == 0.25f / 3);
    CHECK(s.score[TUI_SCORE_PREVIOUS] == 0.75f / 3 && s.score[TUI_SCORE_SINK] == 0.75f / 2);
}

TEST(view_heads_score_even_rows_and_none) {
    struct tui_head_tally t = { 0 };
    struct tui_head_scores s = tui_head_score(&t);
    for (int k = 0; k < TUI_SCORE_COUNT; k++) CHECK(isnan(s.score[k]), "no rows, no score");
    for (int i = 0; i < 4; i++) {
        float row[4];
        for (int j = 0; j <= i; j++) row[j] = 1.0f / (float)(i + 1);
        tui_head_row(&t, row, i, ids);
    }
    s = tui_head_score(&t);
    CHECK(fabsf(s.score[TUI_SCORE_DIFFUSE] - 1) < 1e-6f, "even rows are as diffuse as can be");
    CHECK(s.row_error < 1e-6f);
    tui_head_row(&t, (float[]){ 0.5f, 0.25f }, 1, ids);
    CHECK(tui_head_score(&t).row_error == 0.25f, "a row that sums to 0.75");
    CHECK(tui_entropy((float[]){ 0.5f, 0.25f, 0.25f, 0 }, 4) == 1.5 && tui_entropy((float[]){ 1 }, 1) == 0);
}
