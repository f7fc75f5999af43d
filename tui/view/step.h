/* step.h - the forward-pass stepper, between its files: the state and keys (step.c), the listing (step_list.c), the value
 * (step_value.c), what it reads (step_inputs.c), source and next token (step_side.c). */
#ifndef TUI_VIEW_STEP_H
#define TUI_VIEW_STEP_H

#include "tui/app.h"
#include "tui/view/strip.h"

enum step_pane { PANE_STEPS, PANE_VALUE, PANE_SOURCE };
enum step_lower { LOWER_STATS, LOWER_MATHS, LOWER_SOURCE, LOWER_INPUTS };

/* A row of the listing: a step, or layers folded into one row. */
struct step_row { int step, first_layer, last_layer; };      /* step -1: folded layers; first_layer of an open one too */

struct step_view {
    struct tui_app *app;
    enum step_pane focus;
    enum step_lower lower;             /* what stands under the value */
    bool zoom;                         /* the value takes the whole screen */
    bool tall;                         /* there is room for statistics and maths at once */

    int sel;                           /* the step looked at */
    bool follow;                       /* it is the step just made */
    int open_layer;                    /* the layer that is unfolded; -1: none */
    struct step_row *row;
    struct tui_list list;              /* over row */

    struct tui_heat heat;
    int64_t row_at, col_at;            /* the cell the reader chose; -1: the largest */
    int maths_top, source_top;         /* scrolled by so much */

    bool menu;                         /* the menu of edits */
    struct tui_list menu_list;
    struct cut_edit pending;           /* what the number being typed is for */

    struct tui_area at_steps, at_value, at_source;      /* where the panes were drawn, for the mouse */
};

/* The step looked at, or NULL while no model is open; its value, only when the snapshot holds that very step's. */
const struct cut_step *step_selected(const struct step_view *v);
const struct tui_value *step_value(const struct step_view *v);
/* A name without its "blk.N.". */
const char *step_short_name(const struct cut_step *s);
void step_select(struct step_view *v, int step);
void step_watch(struct step_view *v);      /* tell the worker what we look at */

void step_rows_build(struct step_view *v);
void step_draw_list(struct step_view *v, struct tui_area a);
void step_draw_value(struct step_view *v, struct tui_area a);
/* What the step reads: pictures and statistics; in a frame. After the value, whose cursor they mark. */
void step_draw_inputs(struct step_view *v, struct tui_area a);
void step_draw_inputs_pane(struct step_view *v, struct tui_area a);
const char *step_key_label(void *user, int64_t col, char buf[32]);      /* user: the view */
/* The name of input i, or of the weights (i = n_in), without the layer's; its shape, "[8x64]", or "". */
void step_input_name(const struct step_view *v, int i, char *name, size_t cap, char shape[40]);
void step_draw_source(struct step_view *v, struct tui_area a);
void step_draw_code(struct step_view *v, struct tui_area a, const struct cut_src *src, int scroll);
void step_draw_next(struct step_view *v, struct tui_area a);

/* The menu of edits (step_edit.c). */
void step_draw_menu(struct step_view *v, struct tui_area a);
bool step_menu_key(struct step_view *v, int key);        /* false: the menu is closed by it */

#endif
