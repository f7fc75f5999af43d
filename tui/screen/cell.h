/* cell.h - the grid of cells every view draws into, and the calls that draw.
 *
 * A view never sees a terminal. It gets an area, a rectangle of a grid, and writes characters with a style: a role (what
 * the characters mean, see theme.h) and attributes. The terminals (term.h) turn the grid into what they show. */
#ifndef TUI_CELL_H
#define TUI_CELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A style is a role in the low byte and attributes above it: TUI_DIM | TUI_BOLD. */
typedef unsigned tui_style;

enum {
    TUI_BOLD = 0x100,
    TUI_UNDERLINE = 0x200,
    TUI_REVERSE = 0x400,
    TUI_FILL = 0x800,       /* the role's colour fills the background; the character stands out against it */
    TUI_SELECTED = 0x1000,  /* the cell lies in a selected row: the role keeps its colour, the background is select's */
    TUI_FAINT = 0x2000,     /* with TUI_FILL: the character stands out only a little, as a texture */
};

struct tui_cell {
    uint32_t glyph;         /* a code point; 0: the right half of the wide character on the left */
    uint32_t mark;          /* a combining character above it, or 0 */
    uint8_t role;           /* enum tui_role */
    uint16_t attr;          /* TUI_BOLD .. TUI_FAINT */
};

struct tui_grid {
    int w, h;
    bool ascii;             /* draw with ASCII characters only */
    bool fills;             /* the terminal shows TUI_FILL in enough colours to tell a ramp's levels apart by them */
    struct tui_cell *cells; /* h rows of w */
};

void tui_grid_init(struct tui_grid *g, int w, int h, bool ascii);
void tui_grid_done(struct tui_grid *g);
void tui_grid_resize(struct tui_grid *g, int w, int h);     /* blanks it */
void tui_grid_clear(struct tui_grid *g);
/* Row y as UTF-8, trailing blanks kept: what a test compares. Returns the length; buf holds 8 * w + 1 bytes. */
size_t tui_grid_row(const struct tui_grid *g, int y, char *buf);

/* A rectangle of a grid. Coordinates in it start at 0, 0; what falls outside is clipped. An empty area is fine. */
struct tui_area { struct tui_grid *g; int x, y, w, h; };
struct tui_area tui_whole(struct tui_grid *g);
/* The part of a that x, y, w, h describes, cut to a. */
struct tui_area tui_part(struct tui_area a, int x, int y, int w, int h);
/* Cut `rows` (or `columns`) off one side of *a, and return what was cut. */
struct tui_area tui_cut_top(struct tui_area *a, int rows);
struct tui_area tui_cut_bottom(struct tui_area *a, int rows);
struct tui_area tui_cut_left(struct tui_area *a, int columns);
struct tui_area tui_cut_right(struct tui_area *a, int columns);

void tui_put(struct tui_area a, int x, int y, tui_style st, uint32_t glyph);
/* Write UTF-8 text from column x; returns the column after it. Control characters show as a middle dot, invalid bytes
 * as '?'. On an ASCII grid mathematical symbols are spelt out ("sqrt"), other foreign characters become '?'. */
int tui_text(struct tui_area a, int x, int y, tui_style st, const char *s);
int tui_textf(struct tui_area a, int x, int y, tui_style st, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* The same, never past column x1; a text that does not fit ends in "..". */
int tui_text_fit(struct tui_area a, int x, int x1, int y, tui_style st, const char *s);
/* Ending before column x1; returns the column where it starts. */
int tui_text_right(struct tui_area a, int x1, int y, tui_style st, const char *s);
int tui_textf_right(struct tui_area a, int x1, int y, tui_style st, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Break at blanks into lines of the area's width, from row y; returns the row after the last. */
int tui_text_wrap(struct tui_area a, int y, tui_style st, const char *s);
void tui_fill(struct tui_area a, tui_style st, uint32_t glyph);
/* Give every cell of a row more attributes, for a cursor line. */
void tui_mark_row(struct tui_area a, int y, unsigned attr);

/* Columns a character or a text takes on this grid: 0 for combining characters, 2 for wide ones. */
int tui_cp_width(uint32_t cp);
int tui_text_width(const struct tui_grid *g, const char *s);

#endif
