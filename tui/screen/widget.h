/* widget.h - the parts screens are made of. Each draws into an area and owns nothing but the few numbers shown here. */
#ifndef TUI_WIDGET_H
#define TUI_WIDGET_H

#include "engine/cutaway.h"
#include "tui/screen/cell.h"
#include "tui/screen/glyph.h"
#include "tui/screen/keys.h"
#include "tui/screen/num.h"
#include "tui/screen/theme.h"

/* ---- frames (frame.c) */

/* A border with a title, heavy or '=' when focused; `right` (may be NULL) stands at the right of the top line. Returns
 * the area inside. */
struct tui_area tui_pane(struct tui_area a, const char *title, const char *right, bool focus);
/* A pane centred on the grid, over whatever is there, at most w x h. */
struct tui_area tui_overlay(struct tui_area screen, int w, int h, const char *title);
/* A rule across the area with a title in it. */
void tui_rule(struct tui_area a, int y, const char *title);
/* The keys of a table that fit, in its order, then those of `tail`, which always stand at the right end. */
void tui_key_line(struct tui_area row, const struct tui_key *keys, size_t n, const struct tui_key *tail, size_t n_tail);
/* The card for a screen that is too small: what there is and what it takes. */
void tui_too_small(struct tui_area screen, int need_w, int need_h);
/* A table of keys with their help, from row y; returns the row after it. */
int tui_key_help(struct tui_area a, int y, const struct tui_key *keys, size_t n);
/* A line of label and value, the value in style st. */
void tui_field(struct tui_area a, int x, int y, int label_w, const char *label, tui_style st, const char *value);

/* ---- lists (list.c): which row has the cursor, and which is first on the screen */

struct tui_list { int n, cursor, top; };
/* Movement by a key of tui_key_move on a list `rows` high. False: not a movement. */
bool tui_list_key(struct tui_list *l, int key, int rows);
/* Bring the cursor into view, keeping two rows of context where it can. Call before drawing. */
void tui_list_show(struct tui_list *l, int rows);
/* A scroll bar in column x, when not all rows are in view. */
void tui_scrollbar(struct tui_area a, int x, const struct tui_list *l);

/* ---- a matrix as colours or numbers (heat.c) */

struct tui_heat {
    const float *data;                 /* rows x cols, row by row; NULL draws nothing */
    int64_t rows, cols;
    float scale;                       /* |x| that takes the full ramp; 0: chosen, see tui_heat_scale */
    bool unsigned_;                    /* x >= 0: the sequential ramp */
    bool numbers;                      /* figures where columns are wide enough for them */
    bool window;                       /* too many rows: show those around the cursor or the mark, instead of sharing cells */
    int64_t row, col;                  /* the cursor, in the matrix; row -1: none */
    int64_t mark;                      /* a row set apart (the present token's); -1: none */
    bool bare;                         /* without the line of column numbers */
    int label_w;                       /* columns for row labels */
    const char *(*row_label)(void *user, int64_t row, char buf[32]);
    const char *(*col_label)(void *user, int64_t col, char buf[32]);   /* may be NULL: numbers */
    void *user;
    /* set by drawing */
    int64_t line;                      /* a single row is folded into lines this long; 0: not folded */
    int64_t per_cell_r, per_cell_c;    /* values that share a cell (the largest |x| shows) */
};
void tui_heat_draw(struct tui_area a, struct tui_heat *h);
/* Move the cursor by a key of tui_key_move; false: not a movement. */
bool tui_heat_key(struct tui_heat *h, int key);
/* min(max |x|, 4 rms): so that one outlier does not blank the rest. */
float tui_heat_scale(const struct cut_stats *s);
/* What the characters mean, "-1.2 @Oo;, .:+*# 1.2", ending before column x1; returns the column where it starts. */
int tui_heat_legend(struct tui_area a, int x1, int y, const struct tui_heat *h);

/* ---- plots (plot.c) */

/* A histogram of equal bins as columns; min and max under it. */
void tui_histogram(struct tui_area a, const struct cut_stats *s);
/* One bar: label, figure, bar to the end of the row. part is 0 to 1. */
void tui_bar_row(struct tui_area a, int y, int label_w, const char *label, const char *figure, int figure_w,
                 tui_style st, double part);

/* ---- points and lines in a plane (plane.c). Nothing is kept: dots of lines that meet in a cell are put together there. */

enum tui_plane_level { TUI_PLANE_ASCII,      /* a character a cell */
                       TUI_PLANE_BLOCK,      /* 2 x 2 dots a cell: quadrants */
                       TUI_PLANE_BRAILLE,    /* 2 x 4 */
};
struct tui_axis { double lo, hi; bool log; };   /* lo < hi; of a logarithmic one both are above 0 */
struct tui_plane {
    struct tui_area a;                 /* without the axes */
    struct tui_axis x, y;
    enum tui_plane_level level;
};
/* Draw the axes with their figures, those of y in label_w columns, and return the plane between them. An ASCII grid has but one level. */
struct tui_plane tui_plane_open(struct tui_area a, struct tui_axis x, struct tui_axis y, int label_w, enum tui_plane_level level);
/* The cell of a place, which may lie outside the plane. */
int tui_plane_col(const struct tui_plane *p, double x);
int tui_plane_row(const struct tui_plane *p, double y);
/* A straight line between two places; at the ASCII level of `ascii` characters. Every nth dot (or column) is drawn, so 1 is a whole line. */
void tui_plane_line(const struct tui_plane *p, double x0, double y0, double x1, double y1, tui_style st, char ascii, int nth);
/* One dot; at the ASCII level the character. What is no dot stays. */
void tui_plane_dot(const struct tui_plane *p, double x, double y, tui_style st, char ascii);
/* A character on top of whatever is there. */
void tui_plane_mark(const struct tui_plane *p, double x, double y, tui_style st, uint32_t glyph);
/* Round places for figures on an axis, rising, at most `most` (up to 16): steps of 1, 2 or 5, or powers of ten. Returns how many. */
int tui_ticks(struct tui_axis axis, int most, double *out);
/* A figure for an axis, of at most 5 characters between 1e-3 and 1e12: ".02", "15", "2.5k", "40M". buf holds 16 bytes. */
const char *tui_tick_text(double v, char *buf);

/* ---- a line of text being typed (prompt.c) */

struct tui_prompt {
    char text[4096];
    size_t len, at;                    /* bytes; the cursor's place, always between characters */
    char **history;                    /* oldest first */
    int n_history, browse;             /* browse: the entry shown; n_history: the new line */
    char fresh[4096];                  /* the new line, while older ones are looked at */
};
/* What can stand where `text` ends: append candidates (whole lines) with tui_complete_add. */
struct tui_completions { char **line; int n; };
typedef void (*tui_complete_fn)(void *user, const char *text, struct tui_completions *out);
void tui_complete_add(struct tui_completions *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

enum tui_prompt_result { TUI_PROMPT_MORE, TUI_PROMPT_DONE, TUI_PROMPT_CANCELLED };
void tui_prompt_start(struct tui_prompt *p, const char *text);
/* One key: editing as in a shell (^A ^E ^U ^K ^W, arrows, history by Up and Down, Tab completes). */
enum tui_prompt_result tui_prompt_key(struct tui_prompt *p, int key, tui_complete_fn complete, void *user);
/* Remember the line that was accepted. */
void tui_prompt_remember(struct tui_prompt *p);
void tui_prompt_done(struct tui_prompt *p);
/* Draw label and text with the cursor, scrolled so that the cursor shows; a hint (may be NULL) follows dimly. */
void tui_prompt_draw(struct tui_area row, const char *label, const struct tui_prompt *p, const char *hint);

#endif
