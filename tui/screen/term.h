/* term.h - a terminal: where a grid is shown and events come from.
 *
 * Two kinds from the first day: curses, for people, and one that replays a script of keys and prints the grid, for tests.
 * The calls here belong to the screen thread. */
#ifndef TUI_TERM_H
#define TUI_TERM_H

#include <stdio.h>

#include "engine/cutaway.h"
#include "tui/screen/cell.h"
#include "tui/screen/keys.h"
#include "tui/screen/theme.h"

enum tui_event_kind {
    TUI_EV_NONE,       /* the time is up */
    TUI_EV_KEY,        /* key */
    TUI_EV_MOUSE,      /* x, y, button: 1 press, 4 wheel up, 5 wheel down */
    TUI_EV_RESIZE,     /* ask tui_term_size */
    TUI_EV_WAKE,       /* the file descriptor became readable */
    TUI_EV_SETTLE,     /* a script asks to wait until the engine is idle; then call again */
    TUI_EV_SHOT,       /* a script asks for a picture: present the grid, then call again */
    TUI_EV_END,        /* no more events will come */
};
struct tui_event { enum tui_event_kind kind; int key, x, y, button; };

struct tui_term;
struct tui_term_class {
    void (*size)(struct tui_term *t, int *w, int *h);
    /* The next event; waits at most `ms` (-1: for ever), or until wake_fd (-1: none) is readable. */
    struct tui_event (*wait)(struct tui_term *t, int wake_fd, int ms);
    void (*present)(struct tui_term *t, const struct tui_grid *g);
    /* Give the terminal back, call meanwhile, and take it again. NULL stops us instead, as ^Z does, until continued. */
    void (*suspend)(struct tui_term *t, void (*meanwhile)(void *user), void *user);
    void (*redraw)(struct tui_term *t);          /* ^L: trust nothing of what is on the screen */
    void (*close)(struct tui_term *t);
};
struct tui_term {
    const struct tui_term_class *class;
    enum tui_scheme scheme;                      /* the app sets it */
    enum tui_depth depth;
    bool utf8;                                   /* it can show more than ASCII */
    bool scripted;                               /* a test: no clock on the screen */
};

/* Take over the terminal on standard input and output. Refuses, with the reason, what is no terminal or cannot place a
 * cursor. From here on fatal signals put the terminal back before they report. */
enum cut_status tui_term_open_curses(struct tui_term **out, struct cut_err *err);

/* Replay a key script (its text, copied) on a w x h screen; every `shot` prints the grid to out:
 *   # shot 1  80x24
 * and its rows. With roles, each row is followed by one of role letters. */
struct tui_term *tui_term_open_test(const char *script, int w, int h, bool roles, FILE *out);

#endif
