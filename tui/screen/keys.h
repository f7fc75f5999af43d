/* keys.h - keys: their codes, their names, and the tables that dispatch them.
 *
 * A key is the code point it types, a control character (TUI_CTRL('l')), or one of the codes below. The tables of keys
 * are the only place where a key gets a meaning: dispatch, the key line at the bottom and the help overlay all read
 * them, so none can lie. */
#ifndef TUI_KEYS_H
#define TUI_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#define TUI_CTRL(c) ((c) & 0x1F)

enum {
    TUI_KEY_TAB = 9, TUI_KEY_ENTER = 13, TUI_KEY_ESC = 27, TUI_KEY_BACKSPACE = 127,
    TUI_KEY_UP = 0x110000, TUI_KEY_DOWN, TUI_KEY_LEFT, TUI_KEY_RIGHT, TUI_KEY_HOME, TUI_KEY_END, TUI_KEY_PAGE_UP,
    TUI_KEY_PAGE_DOWN, TUI_KEY_DELETE, TUI_KEY_INSERT, TUI_KEY_BACKTAB, TUI_KEY_F1, /* F1 to F12 follow each other */
    TUI_KEY_F2, TUI_KEY_LAST = TUI_KEY_F1 + 11,
};

/* What a handler says happened. */
enum { TUI_HANDLED = 1, TUI_REDRAW = 2, TUI_QUIT = 4 };

/* One key of a table. Rows with a NULL label share the label and help of the row above: ']' then '['. A row without an
 * action only documents. `self` is the table's owner, a view or the app. */
struct tui_key {
    int key;
    const char *label;     /* "layer" */
    const char *help;      /* "to the next or the previous layer" */
    unsigned (*run)(void *self, int key);
};

/* The first row with an action for this key; NULL: none. */
const struct tui_key *tui_key_find(const struct tui_key *table, size_t n, int key);
/* "Space", "BS", "^L", "Up", "]": what the key line shows, and what key scripts write. buf holds 12 bytes. */
const char *tui_key_name(int key, char *buf);
/* The key with this name (as above; also "S-Tab", "C-l"); -1: none. */
int tui_key_by_name(const char *name);
/* The keys of row i and of the rows that share its label: "]/[". buf holds 48 bytes. */
const char *tui_key_group(const struct tui_key *table, size_t n, size_t i, char *buf);

/* The vim letters and the arrows are the same movement everywhere: h j k l g G and ^F ^B as arrows, Home, End, pages. */
int tui_key_move(int key);

#endif
