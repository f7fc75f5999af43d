/* lab.h - labs: find them, read them, check a learner's script.
 *
 * A lab is a folder below labs/ with lab.lua (one table: what the learner reads, three hints, a checker), start.lua,
 * solution.lua and wrong-*.lua. The command line and the Learn view share what is declared here.
 *
 * A check runs in a child process, so that it can be killed whatever it does. It is asynchronous:
 *
 *   cut_lab_check_start(&c, lab, "mine.lua", text, len, &opts, &err);
 *   while (cut_lab_check_poll(c, 0.05) == CUT_LAB_RUNNING) ...draw cut_lab_check_lines(c, &n)...
 *   cut_lab_check_free(c);
 */
#ifndef CUT_LUA_LAB_H
#define CUT_LUA_LAB_H

#include "engine/cutaway.h"

struct cut_lab_step {
    const char *title, *kind;      /* kind: "predict", "run", "observe" or "explain" */
    const char *text;              /* paragraphs, lines of at most 76 columns */
    const char *view;              /* the view to show meanwhile; NULL: leave it */
    const char *task;              /* what to do now; NULL: only read */
};

/* Borrowed from the cut_labs, from any thread, until it is closed. */
struct cut_lab {
    const char *problem;           /* why lab.lua cannot be used; then only id (the folder's) and folder are set */
    const char *id, *title, *view, *folder;
    int module, minutes;
    int n_steps;
    const struct cut_lab_step *steps;
    const char *hints[3];
    const char *definition, *start;    /* the texts of lab.lua and start.lua */
    double max_seconds;            /* limits on one check */
    size_t max_memory;             /* bytes of Lua memory */
};

struct cut_labs;
/* Read every lab below root. NULL: the folder labs of the build tree or of the installation, found from the place of
 * the executable. A lab that is broken is listed with its problem. */
enum cut_status cut_labs_open(struct cut_labs **out, const char *root, struct cut_err *err);
void cut_labs_close(struct cut_labs *labs);
int cut_labs_count(const struct cut_labs *labs);
const struct cut_lab *cut_labs_get(const struct cut_labs *labs, int i);            /* in the order of the course */
const struct cut_lab *cut_labs_find(const struct cut_labs *labs, const char *id);  /* "1.1"; NULL: there is none */

/* A text file of the lab's folder ("solution.lua"), malloc'd and terminated; NULL: it has none. */
char *cut_lab_text(const struct cut_lab *lab, const char *name, size_t *len);

/* ---- checking */

/* Borrowed while the check lives. */
struct cut_lab_opts {
    const char *models;            /* the folder of the bundled models */
    const char *model;             /* the user's model; NULL: none */
};

struct cut_lab_line { bool ok; const char *name, *message; };     /* message "" when ok */

enum cut_lab_state {
    CUT_LAB_RUNNING,
    CUT_LAB_PASSED,
    CUT_LAB_FAILED,                /* at least one line is not ok */
    CUT_LAB_CANCELLED,
    CUT_LAB_BROKEN,                /* the checker could not do its work; the last line tells */
};

struct cut_lab_check;
/* Start checking a script. name shows in its error messages. The text is copied. */
enum cut_status cut_lab_check_start(struct cut_lab_check **out, const struct cut_lab *lab, const char *name,
                                    const char *text, size_t len, const struct cut_lab_opts *opts, struct cut_err *err);
/* Take in what the check has said, waiting at most wait_s seconds for something new; 0 never waits. */
enum cut_lab_state cut_lab_check_poll(struct cut_lab_check *c, double wait_s);
/* Kill it. The next poll says CUT_LAB_CANCELLED, unless it had ended. Also from a signal handler. */
void cut_lab_check_cancel(struct cut_lab_check *c);
/* Kills it if it still runs. NULL is fine. */
void cut_lab_check_free(struct cut_lab_check *c);
/* A file descriptor that becomes readable when poll has something to do; -1 once the check has ended. */
int cut_lab_check_fd(const struct cut_lab_check *c);
/* The verdicts so far, and what the script printed. Borrowed until the next poll. */
const struct cut_lab_line *cut_lab_check_lines(const struct cut_lab_check *c, int *n);
const char *cut_lab_check_output(const struct cut_lab_check *c, size_t *len);
double cut_lab_check_seconds(const struct cut_lab_check *c);      /* since it started, or how long it took */

/* ---- keeping labs honest, and what was done */

/* start.lua must fail, solution.lua pass, and each wrong-*.lua (two at least) fail by a first message of its own. Each
 * finding goes to tell: ok, and one line of text. Returns the number of findings that are not ok. */
typedef void (*cut_lab_tell)(void *user, bool ok, const char *text);
int cut_lab_lint(const struct cut_lab *lab, const struct cut_lab_opts *opts, cut_lab_tell tell, void *user);

/* Labs passed on this account, kept in $XDG_STATE_HOME/cutaway/labs (~/.local/state by default). */
bool cut_lab_done(const char *id);
enum cut_status cut_lab_set_done(const char *id, struct cut_err *err);

#endif
