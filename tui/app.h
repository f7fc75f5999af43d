/* app.h - the frame of the workbench: tabs, views, status, keys, command line.
 *
 * A view is a const class table at the foot of its file (tui/view/). The app owns the terminal, the worker and the latest
 * snapshot; views draw what the snapshot holds, post commands, and never wait. */
#ifndef TUI_APP_H
#define TUI_APP_H

#include "tui/screen/term.h"
#include "tui/screen/widget.h"
#include "tui/work.h"

struct tui_app;

struct tui_view_class {
    const char *title, *brief;         /* for wide and narrow tabs: "Attention", "attn" */
    char digit;
    const char *about;                 /* the first paragraph of its help */
    const struct tui_key *keys;        /* the view is their `self` */
    size_t n_keys;
    void *(*new)(struct tui_app *app);
    void (*free)(void *view);
    void (*show)(void *view);          /* it comes to the front: say what to watch */
    void (*snap)(void *view);          /* a new snapshot is there */
    void (*draw)(void *view, struct tui_area a);
    void (*status)(void *view, struct tui_area row);            /* the status line when nothing is more urgent; NULL: blank */
    unsigned (*key)(void *view, int key);                   /* keys its table does not list: movement, Esc */
    bool (*modal)(void *view);         /* true: something lies on top, and all keys are for it */
    unsigned (*mouse)(void *view, int x, int y, int button);    /* in the area it drew last */
    bool (*find)(void *view, const char *text, int direction);  /* from where we are; false: nowhere */
    /* For views that do something of their own, besides the worker (NULL: the others). Called after at most the
     * milliseconds it returned last, -1: after the next event; front: the view is the one on the screen. */
    int (*tick)(void *view, bool front);
    bool (*busy)(void *view);          /* that something is under way */
};
extern const struct tui_view_class tui_view_step, tui_view_attention, tui_view_quant, tui_view_perf, tui_view_learn;

struct tui_app_opts {
    bool ascii;
    int scheme;                        /* enum tui_scheme; -1: dark, or mono where NO_COLOR is set */
    const char *prompt;                /* NULL: the reader will type one */
    const char *lab;                   /* open this lab; NULL: begin with the first view */
    const char *labs;                  /* the folder of the labs; NULL: ours */
    const char *models, *model;        /* for labs: the folder of the bundled models, the model named by the user or NULL */
};
/* Key to frame, in seconds: median, 99th percentile, of how many keys. */
struct tui_latency { double median, p99; int n; };

/* Run until the reader quits. The terminal and the worker stay the caller's. latency may be NULL. */
void tui_app_run(struct tui_term *term, struct tui_work *work, const struct tui_app_opts *opts, struct tui_latency *latency);

/* ---- for views */

const struct tui_app_opts *tui_app_opts(const struct tui_app *app);
void tui_app_redraw(struct tui_app *app);                   /* soon; for tick: every event draws anyway */
/* Give the terminal to something else, an editor, while fn runs. */
void tui_app_outside(struct tui_app *app, void (*fn)(void *user), void *user);
const struct tui_snap *tui_app_snap(const struct tui_app *app);
void tui_app_post(struct tui_app *app, const struct tui_cmd *c);
struct tui_watch *tui_app_watch(struct tui_app *app);       /* change it, then tell: */
void tui_app_watch_changed(struct tui_app *app);
bool tui_app_busy(const struct tui_app *app);
/* On a scripted terminal pictures must not depend on the clock, nor on where a function stands in its file: no times, and of
 * source only the line that is meant. */
bool tui_app_times(const struct tui_app *app);
void tui_app_say(struct tui_app *app, tui_style st, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Ask for a line in the status row; accept gets it, unless the reader leaves it with Esc. */
typedef void (*tui_accept_fn)(void *user, const char *text);
void tui_app_ask(struct tui_app *app, const char *label, const char *text, const char *hint, tui_accept_fn accept, void *user);
void tui_app_ask_prompt(struct tui_app *app);

/* ---- for the command palette (commands.c) */

bool tui_command_run(struct tui_app *app, const char *line);        /* false: there is no such command */
void tui_command_complete(void *app, const char *text, struct tui_completions *out);
int tui_command_help(struct tui_area a, int y);                     /* rows of commands and what they do */
int tui_command_count(void);
void tui_app_quit(struct tui_app *app);
void tui_app_help(struct tui_app *app);
bool tui_app_set_scheme(struct tui_app *app, const char *name);
bool tui_app_set_ascii(struct tui_app *app, bool ascii);            /* false: the terminal shows ASCII only */
struct tui_latency tui_app_latency(const struct tui_app *app);      /* of the last 4096 keys */

#endif
