/* learn.c - view 9, the lab desk: the labs, the pages of one, the learner's script, and what its checks say.
 *
 * A check runs in a process of its own (lua/lab.h). The screen looks in on it every few milliseconds and never waits for
 * it. The learner's file is looked at ten times a second while the view is in front; a save starts a check. */
#define _GNU_SOURCE                    /* strcasestr */
#include "tui/view/learn.h"

#include <stdlib.h>
#include <string.h>

#include "tui/screen/mem.h"

enum { POLL_MS = 10, CLOCK_MS = 100, WATCH_MS = 50 };

enum { DONE = TUI_HANDLED | TUI_REDRAW };

/* ---- checking */

static void stop_check(struct learn *v) {
    cut_lab_check_free(v->check);
    v->check = NULL;
    v->edit_err = v->check_err = (struct cut_err){ 0 };
}

static void start_check(struct learn *v) {
    const struct tui_app_opts *o = tui_app_opts(v->app);
    const struct cut_lab *lab = learn_lab(v);
    stop_check(v);
    v->top[LEARN_CHECK] = 0;
    v->state = CUT_LAB_RUNNING;
    if (!v->file.text) v->check_err = v->file.problem;
    else if (cut_lab_check_start(&v->check, lab, v->file.name, v->file.text, v->file.len,
                                 &(struct cut_lab_opts){ o->models, o->model }, &v->check_err)) v->check = NULL;
    tui_app_redraw(v->app);
}

/* The check has ended: count it, and remember a pass. */
static void take_verdict(struct learn *v) {
    const struct cut_lab *lab = learn_lab(v);
    struct learn_progress *p = &v->progress[v->at];
    struct cut_err err;
    if (v->state == CUT_LAB_PASSED || v->state == CUT_LAB_FAILED) p->runs++;
    if (v->state != CUT_LAB_PASSED || p->done) return;
    p->done = true;
    if (cut_lab_set_done(lab->id, &err))
        tui_app_say(v->app, TUI_WARN, "lab %s is done, but that is not kept: %s", lab->id, err.msg);
}

static void look_at_check(struct learn *v) {
    int before, now, passed;
    learn_lines(v, &before, &passed);
    v->state = cut_lab_check_poll(v->check, 0);
    learn_lines(v, &now, &passed);
    if (v->state != CUT_LAB_RUNNING) take_verdict(v);
    else if (now == before && cut_clock() - v->drawn < CLOCK_MS / 1e3) return;
    tui_app_redraw(v->app);
}

static bool watch_file(struct learn *v) {
    if (!learn_file_poll(&v->file)) return false;
    start_check(v);
    return true;
}

static int tick(void *self, bool front) {
    struct learn *v = self;
    if (learn_running(v)) look_at_check(v);
    if (front && learn_lab(v)) watch_file(v);
    return learn_running(v) ? POLL_MS : front && learn_lab(v) ? WATCH_MS : -1;
}

static bool busy(void *self) {
    struct learn *v = self;
    return learn_running(v) || (learn_lab(v) && learn_file_restless(&v->file));
}

/* ---- labs */

static void close_lab(struct learn *v) {
    stop_check(v);
    learn_file_done(&v->file);
    free(v->solution);
    v->solution = NULL;
    v->at = -1;
}

static void open_lab(struct learn *v, int i) {
    const struct cut_lab *lab = cut_labs_get(v->labs, i);
    if (!lab) return;
    v->cursor = i;
    if (lab->problem) {
        tui_app_say(v->app, TUI_BAD, "lab %s cannot be used: %s", lab->id, lab->problem);
        return;
    }
    v->focus = LEARN_TEXT;
    if (i == v->at) return;
    close_lab(v);
    v->at = i;
    v->top[LEARN_TEXT] = v->top[LEARN_SCRIPT] = v->top[LEARN_CHECK] = 0;
    learn_file_open(&v->file, lab);
}

/* Read the labs: when the view first comes to the front, for it takes some milliseconds. */
static void read_labs(struct learn *v) {
    const struct tui_app_opts *o = tui_app_opts(v->app);
    if (cut_labs_open(&v->labs, o->labs, &v->err)) {
        v->labs = NULL;
        return;
    }
    v->n_labs = cut_labs_count(v->labs);
    v->progress = tui_alloc((size_t)v->n_labs, sizeof *v->progress);
    int wanted = -1, first_open = v->n_labs;
    for (int i = v->n_labs - 1; i >= 0; i--) {
        const char *id = cut_labs_get(v->labs, i)->id;
        v->progress[i].done = cut_lab_done(id);
        if (!v->progress[i].done) first_open = i;
        if (o->lab && !strcmp(o->lab, id)) wanted = i;
    }
    v->cursor = first_open < v->n_labs ? first_open : 0;
    if (wanted >= 0) open_lab(v, wanted);
    else if (o->lab) tui_app_say(v->app, TUI_BAD, "there is no lab \"%.40s\"", o->lab);
}

/* ---- keys: pages */

static void turn_to(struct learn *v, int step) {
    v->progress[v->at].step = step;
    v->top[LEARN_TEXT] = 0;
    v->focus = LEARN_TEXT;
}

static int rows_of(const struct learn *v, enum learn_pane p) { return v->area[p].h > 2 ? v->area[p].h - 2 : 1; }

/* As in a pager: the rest of a long page first, then the next one. */
static unsigned key_page(void *self, int key) {
    struct learn *v = self;
    const struct cut_lab *lab = learn_lab(v);
    bool on = key == ' ';
    if (!lab) return tui_app_say(v->app, TUI_TEXT, "no lab is open: Enter opens the one under the cursor"), DONE;
    int step = v->progress[v->at].step, rows = rows_of(v, LEARN_TEXT);
    bool shown = v->area[LEARN_TEXT].w > 0;
    if (!shown) v->focus = LEARN_TEXT;
    else if (on && v->top[LEARN_TEXT] + rows < v->rows[LEARN_TEXT]) v->top[LEARN_TEXT] += rows - 1;
    else if (on && step + 1 < lab->n_steps) turn_to(v, step + 1);
    else if (!on && v->top[LEARN_TEXT] > 0) v->top[LEARN_TEXT] -= rows - 1;
    else if (!on && step > 0) turn_to(v, step - 1);
    else tui_app_say(v->app, TUI_TEXT, on ? "this is the last page" : "this is the first page");
    return DONE;
}

static unsigned key_enter(void *self, int key) {
    struct learn *v = self;
    (void)key;
    if (v->focus != LEARN_LABS) return key_page(self, ' ');
    open_lab(v, v->cursor);
    return DONE;
}

static unsigned key_pane(void *self, int key) {
    struct learn *v = self;
    int on = key == TUI_KEY_TAB ? 1 : LEARN_PANES - 1;
    v->focus = (enum learn_pane)(((int)v->focus + on) % LEARN_PANES);
    return DONE;
}

/* ---- keys: the script. Each first makes sure that a lab is open. */

static bool need_lab(struct learn *v) {
    if (learn_lab(v)) return true;
    tui_app_say(v->app, TUI_TEXT, "no lab is open: Enter opens the one under the cursor");
    return false;
}

static unsigned key_run(void *self, int key) {
    struct learn *v = self;
    (void)key;
    if (!need_lab(v)) return DONE;
    for (int look = 0; look < 2; look++) learn_file_poll(&v->file);    /* what was saved this very moment counts */
    start_check(v);
    if (v->focus != LEARN_SCRIPT) v->focus = LEARN_CHECK;
    return DONE;
}

static unsigned key_edit(void *self, int key) {
    struct learn *v = self;
    (void)key;
    if (!need_lab(v)) return DONE;
    v->edit_err = (struct cut_err){ 0 };
    if (!v->file.text) {
        learn_file_done(&v->file);
        learn_file_open(&v->file, learn_lab(v));
    }
    if (!v->file.text) return tui_app_say(v->app, TUI_BAD, "%s", v->file.problem.msg), DONE;
    free(v->solution);
    v->solution = NULL;
    bool failed = learn_edit(v->app, &v->file, &v->edit_err);
    for (int look = 0; look < 2; look++) watch_file(v);                /* the editor has ended: nothing to wait for */
    if (failed) v->top[LEARN_CHECK] = 0;
    if ((failed || learn_running(v)) && v->focus != LEARN_SCRIPT) v->focus = LEARN_CHECK;
    return DONE;
}

static unsigned key_hint(void *self, int key) {
    struct learn *v = self;
    (void)key;
    if (!need_lab(v)) return DONE;
    struct learn_progress *p = &v->progress[v->at];
    if (p->hints == 3) {
        tui_app_say(v->app, TUI_TEXT, "these are all three hints; s shows the solution");
    } else if (p->hints && p->runs == p->runs_at_hint) {
        tui_app_say(v->app, TUI_WARN, "hint %d opens after another run of the checks", p->hints + 1);
    } else {
        p->hints++;
        p->runs_at_hint = p->runs;
    }
    v->focus = LEARN_CHECK;
    v->reveal = true;
    return DONE;
}

static void show_solution(struct learn *v) {
    size_t len;
    v->solution = cut_lab_text(learn_lab(v), "solution.lua", &len);
    if (!v->solution) tui_app_say(v->app, TUI_BAD, "%s/solution.lua cannot be read", learn_lab(v)->folder);
    v->top[LEARN_SCRIPT] = 0;
    v->focus = LEARN_SCRIPT;
}

static bool agreed(const char *text) { return text[0] == 'y' || text[0] == 'Y'; }

static void accept_solution(void *user, const char *text) {
    if (agreed(text) && learn_lab(user)) show_solution(user);
}

static void hide_solution(struct learn *v) {
    free(v->solution);
    v->solution = NULL;
    v->top[LEARN_SCRIPT] = 0;
}

static unsigned key_solution(void *self, int key) {
    struct learn *v = self;
    (void)key;
    if (!need_lab(v)) return DONE;
    if (v->solution) hide_solution(v);
    else if (v->progress[v->at].done) show_solution(v);
    else tui_app_ask(v->app, "see the solution? y/n ", "", "the lab is not passed yet", accept_solution, v);
    return DONE;
}

static void accept_reset(void *user, const char *text) {
    struct learn *v = user;
    struct cut_err err;
    if (!agreed(text) || !learn_lab(v)) return;
    stop_check(v);
    hide_solution(v);
    if (learn_file_reset(&v->file, learn_lab(v), &err)) {
        tui_app_say(v->app, TUI_BAD, "%s", err.msg);
        return;
    }
    learn_file_done(&v->file);
    if (!learn_file_open(&v->file, learn_lab(v)))
        tui_app_say(v->app, TUI_GOOD, "the script is as at the start; yours is %s.old", v->file.name);
}

static unsigned key_reset(void *self, int key) {
    struct learn *v = self;
    (void)key;
    if (!need_lab(v)) return DONE;
    tui_app_ask(v->app, "start the script over? y/n ", "", "yours is kept beside it as .old", accept_reset, v);
    return DONE;
}

/* ---- keys: movement and stopping */

static bool scroll(struct learn *v, int key) {
    enum learn_pane p = v->focus;
    struct tui_list l = { v->rows[p], v->top[p], v->top[p] };
    int rows = rows_of(v, p);
    if (p == LEARN_LABS) l = (struct tui_list){ v->n_labs, v->cursor, 0 };
    else l.n = v->rows[p] > rows ? v->rows[p] - rows + 1 : 1;          /* the rows that can be first */
    if (!tui_list_key(&l, key, rows)) return false;
    if (p == LEARN_LABS) v->cursor = l.cursor;
    else v->top[p] = l.cursor;
    return true;
}

static unsigned key(void *self, int k) {
    struct learn *v = self;
    int move = tui_key_move(k);
    if ((k == TUI_KEY_ESC || k == TUI_CTRL('c')) && learn_running(v)) {
        cut_lab_check_cancel(v->check);
        look_at_check(v);
    } else if (k == TUI_KEY_ESC) {
        if (v->solution) hide_solution(v);
        else v->focus = v->focus == LEARN_TEXT || !learn_lab(v) ? LEARN_LABS : LEARN_TEXT;
    } else if (move == TUI_KEY_RIGHT && v->focus == LEARN_TEXT) {
        v->top[LEARN_TEXT] = v->rows[LEARN_TEXT];
        return key_page(v, ' ');
    } else if (move == TUI_KEY_LEFT && v->focus == LEARN_TEXT) {
        v->top[LEARN_TEXT] = 0;
        return key_page(v, TUI_KEY_BACKSPACE);
    } else if (!scroll(v, k)) {
        return 0;
    }
    return DONE;
}

static unsigned mouse(void *self, int x, int y, int button) {
    struct learn *v = self;
    for (int p = 0; p < LEARN_PANES; p++) {
        struct tui_area a = v->area[p];
        int row = y + 1 - a.y;                     /* y counts from below the tabs, areas from the top of the screen */
        if (!a.w || x < a.x || x >= a.x + a.w || row < 0 || row >= a.h) continue;
        v->focus = (enum learn_pane)p;
        if (button != 1) scroll(v, button == 4 ? TUI_KEY_UP : TUI_KEY_DOWN);
    }
    return DONE;
}

/* The next page that holds the text. */
static bool find(void *self, const char *text, int direction) {
    struct learn *v = self;
    const struct cut_lab *lab = learn_lab(v);
    for (int i = lab ? v->progress[v->at].step + direction : -1; lab && i >= 0 && i < lab->n_steps; i += direction) {
        const struct cut_lab_step *s = &lab->steps[i];
        if (!strcasestr(s->title, text) && !strcasestr(s->text, text) && !(s->task && strcasestr(s->task, text))) continue;
        turn_to(v, i);
        return true;
    }
    return false;
}

/* ---- the class */

static void *new(struct tui_app *app) {
    struct learn *v = tui_alloc(1, sizeof *v);
    v->app = app;
    v->at = -1;
    v->file.name = "";
    return v;
}

static void done(void *self) {
    struct learn *v = self;
    close_lab(v);
    cut_labs_close(v->labs);
    learn_doc_done(&v->doc);
    free(v->progress);
    free(v);
}

static void show(void *self) {
    struct learn *v = self;
    if (!v->labs) read_labs(v);
}

static void snap(void *self) { (void)self; }

static const struct tui_key keys[] = {
    { ' ', "page", "next page, previous page", key_page },
    { TUI_KEY_BACKSPACE, NULL, NULL, key_page },
    { TUI_KEY_TAB, "pane", "next pane; S-Tab: previous", key_pane },
    { TUI_KEY_BACKTAB, "", NULL, key_pane },
    { TUI_KEY_ENTER, "", "open the lab; next page", key_enter },
    { 'e', "edit", "your script in your editor", key_edit },
    { 'r', "run", "check now; saves do, too", key_run },
    { 'H', "hint", "the next of three hints", key_hint },
    { 's', "solve", "the solution, and back", key_solution },
    { 'x', "reset", "start the script over", key_reset },
    { TUI_KEY_ESC, "", "stop the check, or go out", NULL },
};

const struct tui_view_class tui_view_learn = {
    .title = "Learn", .brief = "learn", .digit = '9',
    .about = "The lab desk. A lab is a few pages and a Lua script to complete. The script is a file of yours: change it "
             "with any editor ($VISUAL or $EDITOR is what e starts), and at every save its checks say what is right and "
             "where the first difference is. Another hint opens after another run. A script that is started over is kept "
             "as .old.",
    .keys = keys, .n_keys = sizeof keys / sizeof *keys,
    .new = new, .free = done, .show = show, .snap = snap, .draw = learn_draw, .status = learn_status, .key = key,
    .mouse = mouse, .find = find, .tick = tick, .busy = busy,
};
