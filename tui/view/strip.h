/* strip.h - the strip of tokens that stands above the views. */
#ifndef TUI_VIEW_STRIP_H
#define TUI_VIEW_STRIP_H

#include "tui/app.h"

/* The text so far, the watched token in brackets, what comes next; at the right where the pass is. One row. */
void tui_draw_strip(struct tui_app *app, struct tui_area row);
/* The label of a token for one line: blanks at its ends kept, newlines as "\n". buf holds 64 bytes. */
const char *tui_token_label(const struct tui_token *t, char *buf);

#endif
