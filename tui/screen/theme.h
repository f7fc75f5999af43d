/* theme.h - what characters mean, and the colours that say so.
 *
 * Views name roles, never colours. A scheme gives each role a colour; a terminal shows it in the depth it has. The ramps
 * are monotone in luminance, so that a greyscale picture, or an eye that tells no hues apart, still reads the order; what
 * a colour says, a character or a position says too. */
#ifndef TUI_THEME_H
#define TUI_THEME_H

#include "tui/screen/cell.h"

enum tui_role {
    TUI_TEXT, TUI_DIM, TUI_FOCUS, TUI_SELECT, TUI_TITLE, TUI_KEY, TUI_GOOD, TUI_WARN, TUI_BAD,
    TUI_EDITED,             /* a value an edit touched */
    TUI_DERIVED,            /* a number computed on demand from values of the run */
    TUI_BORDER,
    TUI_BAR,                /* the background of the first and the last rows */
    TUI_SERIES1, TUI_SERIES2, TUI_SERIES3, TUI_SERIES4, TUI_SERIES5, TUI_SERIES6,
    TUI_SEQ0,               /* to TUI_SEQ0 + 9: small to large */
    TUI_DIV0 = TUI_SEQ0 + 10,   /* to TUI_DIV0 + 10: most negative, zero in the middle (TUI_DIV0 + 5), most positive */
    TUI_ROLE_COUNT = TUI_DIV0 + 11,
};

enum tui_scheme { TUI_DARK, TUI_LIGHT, TUI_CONTRAST, TUI_MONO, TUI_SCHEME_COUNT };
enum tui_depth { TUI_16, TUI_256, TUI_TRUE };

const char *tui_scheme_name(enum tui_scheme s);
int tui_scheme_by_name(const char *name);        /* -1: unknown */
const char *tui_role_name(enum tui_role role);

/* How to show a cell: colours in the terminal's own numbers (palette indices, or 0xRRGGBB in TUI_TRUE), -1 for the
 * terminal's default; attr keeps TUI_BOLD, TUI_UNDERLINE, TUI_REVERSE, and TUI_FAINT for "dim". */
struct tui_ink { int32_t fg, bg; unsigned attr; };
struct tui_ink tui_theme_ink(enum tui_scheme s, enum tui_depth d, uint8_t role, uint16_t attr);

/* The colour of a role as 0xRRGGBB, for tests of the ramps. */
uint32_t tui_theme_rgb(enum tui_scheme s, enum tui_role role);
/* The nearest of the 240 fixed colours of a 256-colour terminal, and back. */
int tui_rgb_to_256(uint32_t rgb);
uint32_t tui_256_to_rgb(int colour);
/* Relative luminance, 0 to 1 (WCAG 2.1). */
double tui_luminance(uint32_t rgb);

#endif
