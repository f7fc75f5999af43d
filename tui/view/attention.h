/* attention.h - the attention view, between its files: state and keys (attention.c), the enlarged head
 * (attention_matrix.c), one row of it (attention_row.c), all heads (attention_heads.c), what zeroing a head does
 * (attention_effect.c). */
#ifndef TUI_VIEW_ATTENTION_H
#define TUI_VIEW_ATTENTION_H

#include "tui/app.h"

/* What the model would write next, as it was with a number of edits: for comparing before and after. */
enum { ATTENTION_RUNS = 16 };
struct attention_run { bool known; int n_top; struct cut_candidate top[40]; struct tui_token token[40]; char label[32]; };

struct attention_view {
    struct tui_app *app;
    int layer, head;
    int query, key;                    /* positions; -1: the last token, and the key it looks at most */
    enum cut_attn_stage stage;
    enum tui_score measure;            /* what the grid of all heads shows */
    bool dot;                          /* the product behind the cell is shown */
    int step_pos;                      /* the token the stepper looks at, given back to it */
    int step_seen;                     /* where the session was when the view last chose a layer by itself */

    struct attention_run run[ATTENTION_RUNS];      /* by number of edits */
    int n_runs;
    uint64_t run_tokens;               /* the tokens they belong to, as a hash */

    struct tui_list rows, cols;        /* how the matrix is scrolled */
    struct tui_area body;              /* its cells on the screen, for the mouse */
    int pitch;
};

/* The cell looked at, in the latest snapshot. */
struct attention_at {
    const struct tui_snap *snap;
    const struct tui_attn *attn;       /* NULL, or without a pattern: nothing is computed yet */
    const struct tui_pattern *p;
    int head, query, key;
    const float *row;                  /* the query's pattern for this head, query + 1 numbers; NULL: not there */
    const float *stages;               /* the query's row at each stage, 4 x n; NULL: not there yet */
};
struct attention_at attention_at(const struct attention_view *v);
/* Row `query` of a head's pattern, or NULL when the snapshot does not hold it. */
const float *attention_pattern_row(const struct tui_pattern *p, int head, int query);
/* A token on one line, without the blank before it; buf holds 64 bytes. */
const char *attention_token(const struct tui_snap *s, int pos, char *buf);
const char *attention_stage_name(enum cut_attn_stage s);
/* The KV head a head reads. */
int attention_group(const struct tui_snap *s, int head);
bool attention_is_zeroed(const struct tui_snap *s, int layer, int head);
/* A probability: ".031", "1.00", "0", "<.001". */
const char *attention_share(double p, char buf[16]);
/* A score in four columns: "-12", "8.2", "-.08". */
const char *attention_score_text(float x, char buf[16]);
/* The level of the sequential ramp for a share of 0 to 1: 0 blank, 9 full, anything that rounds to a percent visible. */
int attention_level(float p);
void attention_glyph(struct tui_area a, int x, int y, int w, float p);

void attention_draw_matrix(struct attention_view *v, struct tui_area a);
void attention_draw_row(struct attention_view *v, struct tui_area a);
int attention_draw_stages(struct attention_view *v, struct tui_area a, int y);
void attention_draw_strips(struct attention_view *v, struct tui_area a);
void attention_draw_thumbnails(struct attention_view *v, struct tui_area a);
void attention_draw_grid(struct attention_view *v, struct tui_area a);
void attention_draw_scores(struct attention_view *v, struct tui_area a);
void attention_draw_summary(struct attention_view *v, struct tui_area row);
int attention_grid_width(const struct attention_view *v);

void attention_note_run(struct attention_view *v);
void attention_draw_effect(struct attention_view *v, struct tui_area a);
/* The effect in a line or two, from row y; returns the row after. */
int attention_draw_effect_line(struct attention_view *v, struct tui_area a, int y);

#endif
