/* glyph.h - the characters of the interface at two levels: plain ASCII, and Unicode blocks and lines. */
#ifndef TUI_GLYPH_H
#define TUI_GLYPH_H

#include "tui/screen/cell.h"

enum tui_glyph {
    TUI_G_H, TUI_G_V, TUI_G_TL, TUI_G_TR, TUI_G_BL, TUI_G_BR,        /* a pane */
    TUI_G_FH, TUI_G_FV, TUI_G_FTL, TUI_G_FTR, TUI_G_FBL, TUI_G_FBR,  /* the pane that has the focus */
    TUI_G_CURSOR, TUI_G_HERE, TUI_G_BREAK, TUI_G_FOLDED, TUI_G_OPEN, TUI_G_DOWN, TUI_G_THUMB, TUI_G_TRACK,
    TUI_G_DOT, TUI_G_RULE, TUI_G_SEP,
    TUI_G_COUNT,
};
uint32_t tui_glyph(const struct tui_grid *g, enum tui_glyph id);

/* Ten levels of ink, 0 blank to 9 full. */
uint32_t tui_ramp(const struct tui_grid *g, int level);
/* Eleven levels from -5 to 5: round characters are negative, crossed ones positive, 0 blank. */
uint32_t tui_signed_ramp(const struct tui_grid *g, int level);

/* A horizontal bar of `part` (0 to 1) of w columns, by eighths of a column where the level has them. */
void tui_bar(struct tui_area a, int x, int y, int w, tui_style st, double part);
/* A column of eighths, one row high: a histogram line. */
uint32_t tui_eighth(const struct tui_grid *g, double part);

#endif
