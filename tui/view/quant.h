/* quant.h - quantizations beside each other, between its files: state and keys (quant.c), texts (quant_texts.c), KL and
 * statistics (quant_kl.c), the error through the layers (quant_layers.c), tensors and fallbacks (quant_tensors.c), importance (quant_imatrix.c),
 * a block as bits (quant_bits.c), the recipe and the Pareto plot (quant_recipe.c). */
#ifndef TUI_VIEW_QUANT_H
#define TUI_VIEW_QUANT_H

#include "tui/app.h"
#include "tui/compare.h"

enum quant_panel { QUANT_TEXTS, QUANT_LAYERS, QUANT_TENSORS, QUANT_BITS, QUANT_RECIPE, QUANT_PARETO, QUANT_IMATRIX,
                   QUANT_FALLBACKS, QUANT_PANELS };

struct quant_view {
    struct tui_app *app;
    enum quant_panel focus, left;      /* left: which of the panels that share a place is there, on a large screen */
    int build;                         /* looked at; 0: the reference */
    bool picked;                       /* the reader chose it; else it is the last that was added */
    int pos;                           /* the prediction with the cursor; -1: the last */
    bool follow;                       /* the text is shown where it grows, not at the cursor */
    int tensor;                        /* whose block is looked at; -1: none yet */
    int64_t weight;                    /* the block is the one this weight is in; -1: the worst outlier's */
    int layer;                         /* whose tensors are listed; -1: all */
    int kind_at, layer_at;             /* the cell of the map of importance */
    struct tui_list layers, tensors, fallbacks, elements, recipe;
    int *order, n_order;               /* tensors as they are listed: the costliest first */
    bool histogram;                    /* of the tensor's weights and errors, in place of the block's weights */
    bool editing;                      /* the nibble under the cursor is being changed */
    int nibble;                        /* of the block, two to a byte, the high one first as hex writes it */
    uint64_t budget;                   /* of the recipe; 0: none was named yet */
    enum { QUANT_NO_MENU, QUANT_MENU_ADD, QUANT_MENU_TYPE } menu;
    struct tui_list menu_list;
    const struct tui_listing *begun;   /* the model the comparison was begun on */
    char read[240];                    /* what the status row said when the last key came: it need not be said again */
    struct tui_area area[QUANT_PANELS];    /* where the panels were drawn last; empty: they were not */
};

/* The comparison; NULL: it has not begun. The build looked at, never the reference while there is another; NULL: none. */
const struct tui_cmp *quant_cmp(const struct quant_view *v);
const struct tui_cmp_build *quant_build(const struct quant_view *v);
/* The prediction the cursor is on: a position from 1 on; 0: there is none yet. */
int quant_pos(const struct quant_view *v);
/* The frame of a panel, which is remembered for the mouse. */
struct tui_area quant_pane(struct quant_view *v, struct tui_area a, enum quant_panel p, const char *title, const char *right);

/* ---- pure parts, for the tests */

/* Text broken into lines of w columns, at blanks where there are any. */
struct quant_flow {
    char *text;                        /* all pieces, one after the other */
    int *piece;                        /* for each byte: whose it is */
    int n, cap, n_lines, cap_lines;
    struct quant_line { int from, to; } *line;     /* bytes [from, to) */
};
void quant_flow_add(struct quant_flow *f, const char *text, int piece);
void quant_flow_break(struct quant_flow *f, int w);
int quant_flow_line_of(const struct quant_flow *f, int piece);     /* the line it ends in; -1: it is not there */
void quant_flow_done(struct quant_flow *f);

/* KL in six levels, as `level`, or -1: not measured. A level is a power of ten: 0 below 1e-4, 5 from 1 on. */
enum { QUANT_KL_LEVELS = 6 };
int quant_kl_level(float kl);
/* A number with its ends rounded outwards for an axis: 1, 2 or 5 times a power of ten, not below x. */
double quant_round_up(double x);

/* The layer in which an error grows most, counting from nothing before the first. */
int quant_jump(const float *error, int n);
/* A budget of bytes as it is typed, "3.2", "3.2MiB", "500KiB", "60%" of the whole; 0: it makes no sense. */
uint64_t quant_parse_budget(const char *text, uint64_t whole);

/* What a nibble of a block (two to a byte, the high one first) does for a weight: an enum cut_bits_role, -1: nothing. */
int quant_nibble_role(const struct cut_block_element *e, int nibble);

/* ---- the panels */

/* The list of tensors: those of the layer, the costliest first. */
void quant_order_tensors(struct quant_view *v);
/* The format most of a build's weights are in. */
enum cut_type quant_main_type(const struct tui_cmp *c, int build);

void quant_draw_texts(struct quant_view *v, struct tui_area a);
void quant_draw_bars(struct quant_view *v, struct tui_area a);        /* KL of one build, as bars */
void quant_draw_strips(struct quant_view *v, struct tui_area a);      /* KL of all, under the words; and the table */
void quant_draw_layers(struct quant_view *v, struct tui_area a);
void quant_draw_tensors(struct quant_view *v, struct tui_area a);
void quant_draw_fallbacks(struct quant_view *v, struct tui_area a);
void quant_draw_imatrix(struct quant_view *v, struct tui_area a);
void quant_draw_bits(struct quant_view *v, struct tui_area a);
void quant_draw_recipe(struct quant_view *v, struct tui_area a);
void quant_draw_pareto(struct quant_view *v, struct tui_area a);

/* The menus of formats (quant_menu.c). Choosing in one closes it. */
void quant_menu_open(struct quant_view *v, int menu);
void quant_menu_draw(struct quant_view *v, struct tui_area a);
void quant_menu_key(struct quant_view *v, int key);
void quant_post(struct quant_view *v, struct tui_cmp_ask ask, const char *text);
/* The tensor that keys are about: that of the list or the block; -1: none. */
int quant_tensor(const struct quant_view *v);

#endif
