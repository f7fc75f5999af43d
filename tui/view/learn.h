/* learn.h - the lab desk, between its files: state and keys (learn.c), what the panes show (learn_draw.c), text that
 * scrolls (learn_doc.c), the learner's file (learn_file.c), and the editor it is changed with (learn_edit.c). */
#ifndef TUI_VIEW_LEARN_H
#define TUI_VIEW_LEARN_H

#include <limits.h>
#include <sys/stat.h>

#include "lua/lab.h"
#include "tui/app.h"

/* ---- the learner's file
 *
 * $XDG_DATA_HOME/cutaway/labs/ID.lua (~/.local/share by default). It is made from start.lua when it is missing, and never
 * written again, except by a reset, which keeps the old one beside it. */

/* What tells one saved version from another. Editors that save by renaming change the inode. */
struct learn_stamp { struct timespec time; off_t size; ino_t inode; };

struct learn_file {
    char path[PATH_MAX];
    char shown[PATH_MAX + 1];            /* with ~ for the home folder */
    const char *name;                  /* the last part of path */
    char *text;                        /* as last read; NULL: it cannot be read, and problem says why */
    size_t len;
    struct cut_err problem;
    struct learn_stamp read, seen;     /* of the text; of the file when last looked at */
};

/* Make the file when it is missing, and read it. On failure f->text is NULL and f->problem says why. */
enum cut_status learn_file_open(struct learn_file *f, const struct cut_lab *lab);
void learn_file_done(struct learn_file *f);
/* Look whether the file was saved; true: it was, and text is the new one. A file that changed since the last look is left
 * to come to rest first, for an editor may still be writing it. */
bool learn_file_poll(struct learn_file *f);
bool learn_file_restless(const struct learn_file *f);      /* it changed at the last look */
/* The starting text again; the old file is kept with ".old" behind its name. */
enum cut_status learn_file_reset(struct learn_file *f, const struct cut_lab *lab, struct cut_err *err);

/* Hand the file to $VISUAL or $EDITOR and wait until that ends. */
enum cut_status learn_edit(struct tui_app *app, const struct learn_file *f, struct cut_err *err);

/* ---- text that scrolls: rows, made anew for every frame */

enum learn_ink { LEARN_PLAIN, LEARN_PROSE /* `words` stand out */, LEARN_CODE /* -- comments recede */ };

struct learn_row {
    char *text;                        /* NULL: blank */
    int x;
    tui_style st, label_st;
    enum learn_ink ink;
    size_t quiet;                      /* bytes before the comment, for LEARN_CODE */
    char label[12], right[12];         /* at the left and right ends */
    bool rule;                         /* a line across, text is its title */
};
struct learn_doc { const struct tui_grid *g; int w, n, cap; struct learn_row *row; };

void learn_doc_begin(struct learn_doc *d, const struct tui_grid *g, int w);    /* empty, for w columns */
void learn_doc_done(struct learn_doc *d);
/* Lines of text from column x on. What is wider than the document goes on in the next row. */
void learn_doc_text(struct learn_doc *d, int x, tui_style st, enum learn_ink ink, const char *text);
/* The same, with a label at the left end of its first row. */
void learn_doc_item(struct learn_doc *d, tui_style label_st, const char *label, int x, tui_style st, enum learn_ink ink,
                    const char *text);
void learn_doc_blank(struct learn_doc *d);
void learn_doc_rule(struct learn_doc *d, const char *title);
/* Draw from row *top on, which is kept within the text. */
void learn_doc_draw(struct tui_area a, const struct learn_doc *d, int *top);

/* ---- the view */

enum learn_pane { LEARN_LABS, LEARN_TEXT, LEARN_SCRIPT, LEARN_CHECK, LEARN_PANES };

struct learn_progress {                /* of one lab */
    bool done;
    int step;                          /* the page it is open at */
    int runs;                          /* checks that came to a verdict */
    int hints;                         /* hints opened */
    int runs_at_hint;                  /* when the last of them was */
};

struct learn {
    struct tui_app *app;
    struct cut_labs *labs;             /* NULL: not read yet, or err says why not */
    struct cut_err err;
    int n_labs;
    struct learn_progress *progress;   /* by lab */
    int at;                            /* the lab that is open, -1: none */
    int cursor;                        /* in the list of labs */

    struct learn_file file;
    struct cut_lab_check *check;       /* the last one; NULL: none yet */
    enum cut_lab_state state;          /* its state */
    struct cut_err check_err;          /* why it could not start */
    struct cut_err edit_err;           /* what went wrong with the editor */
    char *solution;                    /* shown in place of the script */

    enum learn_pane focus;
    int top[LEARN_PANES];              /* first row shown */
    int rows[LEARN_PANES];             /* rows there are; set by drawing */
    bool reveal;                       /* scroll the checks to the newest hint */
    struct tui_area area[LEARN_PANES]; /* where they were drawn; empty: they were not */
    struct learn_doc doc;
    double drawn;                      /* when a running check was last drawn */
};

const struct cut_lab *learn_lab(const struct learn *v);            /* the open one; NULL: none */
const struct cut_lab_line *learn_lines(const struct learn *v, int *n, int *passed);
bool learn_running(const struct learn *v);
void learn_draw(void *view, struct tui_area a);
void learn_status(void *view, struct tui_area row);

#endif
