/* app.c - the main loop and the frame around the views. */
#include "tui/app.h"

#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tui/screen/mem.h"

enum { MIN_W = 80, MIN_H = 24, LATENCIES = 4096, PENDING = 256, ANSWER_MS = 4 };

static const struct tui_view_class *const classes[] = { &tui_view_step, &tui_view_attention, &tui_view_quant, &tui_view_perf,
                                                        &tui_view_learn };
enum { N_VIEWS = sizeof classes / sizeof *classes };

struct tui_app {
    struct tui_term *term;
    struct tui_work *work;
    const struct tui_app_opts *opts;
    const struct tui_snap *snap;
    struct tui_watch watch;
    struct tui_grid grid;
    void *view[N_VIEWS];
    int front, tab_x[N_VIEWS + 1];
    bool quit, dirty, help, times;
    size_t help_from, help_next;               /* keys of the view that the help shows: the first; the first of the next page, 0: none */

    enum { ASK_NOTHING, ASK_COMMAND, ASK_SEARCH, ASK_VIEW } asking;
    struct tui_prompt prompt[4];               /* by what is asked: each has a history of its own */
    char ask_label[32], ask_hint[96], found[256];
    tui_accept_fn accept;
    void *accept_user;

    char said[256];                            /* the status line, until the next key */
    tui_style said_style;
    char err_read[240];                        /* the worker's error that the reader has seen whole */
    double busy_since;

    double latency[LATENCIES];                 /* seconds, a ring */
    int n_latency;
    double pressed[PENDING];                   /* keys not yet answered by a frame */
    int n_pressed;
};

/* ---- what views may ask for */

const struct tui_app_opts *tui_app_opts(const struct tui_app *app) { return app->opts; }
void tui_app_redraw(struct tui_app *app) { app->dirty = true; }
const struct tui_snap *tui_app_snap(const struct tui_app *app) { return app->snap; }
struct tui_watch *tui_app_watch(struct tui_app *app) { return &app->watch; }
bool tui_app_busy(const struct tui_app *app) { return tui_work_busy(app->work); }
bool tui_app_times(const struct tui_app *app) { return app->times; }
void tui_app_quit(struct tui_app *app) { app->quit = true; }
void tui_app_help(struct tui_app *app) {
    app->help = true;
    app->help_from = 0;
}

void tui_app_watch_changed(struct tui_app *app) {
    if (!tui_work_busy(app->work)) app->busy_since = cut_clock();      /* looking, too, is work */
    tui_work_watch(app->work, &app->watch);
}

void tui_app_post(struct tui_app *app, const struct tui_cmd *c) {
    if (!tui_work_busy(app->work)) app->busy_since = cut_clock();
    tui_work_post(app->work, c);
}

void tui_app_say(struct tui_app *app, tui_style st, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(app->said, sizeof app->said, fmt, ap);
    va_end(ap);
    app->said_style = st;
    app->dirty = true;
}

static void ask(struct tui_app *app, int what, const char *label, const char *text, const char *hint) {
    snprintf(app->ask_label, sizeof app->ask_label, "%s", label);
    snprintf(app->ask_hint, sizeof app->ask_hint, "%s", hint ? hint : "");
    tui_prompt_start(&app->prompt[what], text);
    app->asking = what;
    app->dirty = true;
}

void tui_app_ask(struct tui_app *app, const char *label, const char *text, const char *hint, tui_accept_fn accept, void *user) {
    app->accept = accept;
    app->accept_user = user;
    ask(app, ASK_VIEW, label, text, hint);
}

static void accept_prompt(void *user, const char *text) {
    tui_app_post(user, &(struct tui_cmd){ .kind = TUI_CMD_PROMPT, .text = text });
}

void tui_app_ask_prompt(struct tui_app *app) {
    tui_app_ask(app, "prompt> ", "", "the text the model continues; Enter takes it, Esc leaves", accept_prompt, app);
}

static void set_scheme(struct tui_app *app, enum tui_scheme s) {
    app->term->scheme = s;
    app->grid.fills = s != TUI_MONO && app->term->depth != TUI_16;
    app->dirty = true;
}

bool tui_app_set_scheme(struct tui_app *app, const char *name) {
    int s = tui_scheme_by_name(name);
    if (s < 0) return false;
    set_scheme(app, (enum tui_scheme)s);
    return true;
}

bool tui_app_set_ascii(struct tui_app *app, bool ascii) {
    app->grid.ascii = ascii || !app->term->utf8;
    app->dirty = true;
    return ascii || app->term->utf8;
}

/* ---- from key to frame */

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct tui_latency tui_app_latency(const struct tui_app *app) {
    int n = app->n_latency < LATENCIES ? app->n_latency : LATENCIES;
    if (!n) return (struct tui_latency){ 0, 0, 0 };
    double *sorted = tui_alloc((size_t)n, sizeof *sorted);
    memcpy(sorted, app->latency, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, by_size);
    struct tui_latency l = { sorted[n / 2], sorted[n * 99 / 100], n };
    free(sorted);
    return l;
}

static void frame_shown(struct tui_app *app) {
    double now = cut_clock();
    for (int i = 0; i < app->n_pressed; i++) app->latency[app->n_latency++ % LATENCIES] = now - app->pressed[i];
    app->n_pressed = 0;
}

/* ---- the frame: tabs, view, status, keys */

static unsigned key_help(void *self, int key) {
    (void)key;
    tui_app_help(self);
    return TUI_HANDLED | TUI_REDRAW;
}

static unsigned key_quit(void *self, int key) {
    struct tui_app *app = self;
    const struct tui_cmp *cmp = app->snap->cmp;
    const struct tui_perf *perf = app->snap->perf;
    bool background = (cmp && (cmp->job[0] || cmp->to_go)) || (perf && perf->job[0]);
    if (key == TUI_CTRL('c') && (tui_work_busy(app->work) || background)) {
        tui_work_cancel(app->work);
        return TUI_HANDLED | TUI_REDRAW;
    }
    app->quit = true;
    return TUI_HANDLED | TUI_QUIT;
}

static unsigned key_command(void *self, int key) {
    struct tui_app *app = self;
    if (key == ':') ask(app, ASK_COMMAND, ":", "", "a command; Tab completes, Up recalls");
    else ask(app, ASK_SEARCH, "/", "", "find a step by a part of its name");
    return TUI_HANDLED | TUI_REDRAW;
}

static unsigned key_again(void *self, int key) {
    struct tui_app *app = self;
    const struct tui_view_class *v = classes[app->front];
    if (!app->found[0]) tui_app_say(app, TUI_WARN, "nothing was searched for yet: / searches");
    else if (!v->find || !v->find(app->view[app->front], app->found, key == 'n' ? 1 : -1))
        tui_app_say(app, TUI_WARN, "no %s match of \"%s\"", key == 'n' ? "later" : "earlier", app->found);
    return TUI_HANDLED | TUI_REDRAW;
}

static unsigned key_redraw(void *self, int key) {
    struct tui_app *app = self;
    if (key == TUI_CTRL('z')) app->term->class->suspend(app->term, NULL, NULL);
    else app->term->class->redraw(app->term);
    return TUI_HANDLED | TUI_REDRAW;
}

static unsigned key_prompt(void *self, int key) {
    (void)key;
    tui_app_ask_prompt(self);
    return TUI_HANDLED | TUI_REDRAW;
}

static unsigned key_undo(void *self, int key) {
    (void)key;
    tui_app_post(self, &(struct tui_cmd){ .kind = TUI_CMD_UNDO });
    return TUI_HANDLED;
}

static const struct tui_key global_keys[] = {
    { 'o', "prompt", "type a new prompt", key_prompt },
    { 'u', "undo", "take back the last edit", key_undo },
    { '/', "find", "find a step by its name", key_command },
    { 'n', "", "next, previous match", key_again },
    { 'N', NULL, NULL, key_again },
    { 'h', "", "move, like the arrows", NULL },
    { 'j', NULL, NULL, NULL },
    { 'k', NULL, NULL, NULL },
    { 'l', NULL, NULL, NULL },
    { 'g', "", "to the start, the end", NULL },
    { 'G', NULL, NULL, NULL },
    { ':', "command", "a command line", key_command },
    { TUI_CTRL('l'), "", "draw again; suspend", key_redraw },
    { TUI_CTRL('z'), NULL, NULL, key_redraw },
    { TUI_CTRL('c'), "", "stop a long run, or quit", key_quit },
};
static const struct tui_key tail_keys[] = {
    { '?', "help", "this help", key_help },
    { 'q', "quit", "close what is on top, quit", key_quit },
    { TUI_KEY_F1, "", NULL, key_help },
};
enum { N_GLOBAL = sizeof global_keys / sizeof *global_keys, N_TAIL = sizeof tail_keys / sizeof *tail_keys };

static void draw_tabs(struct tui_app *app, struct tui_area row) {
    const struct tui_listing *l = app->snap->list;
    bool wide = row.w >= 120;
    tui_fill(row, TUI_BAR, ' ');
    int x = 0;
    for (int i = 0; i < N_VIEWS; i++) {
        const char *title = wide ? classes[i]->title : classes[i]->brief;
        bool front = i == app->front;
        app->tab_x[i] = x;
        x = tui_textf(row, x, 0, front ? TUI_SELECT | TUI_BOLD : TUI_BAR, "%c%c %s%c", front ? '[' : ' ', classes[i]->digit,
                      title, front ? ']' : ' ');
        x += wide;
    }
    app->tab_x[N_VIEWS] = x;
    if (!l) return;
    char bytes[16];
    if (wide)
        tui_textf_right(row, row.w - 1, 0, TUI_BAR, "%s  %s  %d layers, %s weights  %s, %d thread%s", l->name, l->type,
                        l->config.n_layer, tui_bytes(l->config.weight_bytes, bytes), cut_tier_name(l->tier), l->threads,
                        l->threads == 1 ? "" : "s");
    else tui_textf_right(row, row.w - 1, 0, TUI_BAR, "%s  %s", l->name, l->type);
}

/* What the status row says when nothing more urgent does: where the reader is, and what to do next. */
static void draw_status(struct tui_app *app, struct tui_area row) {
    const struct tui_snap *s = app->snap;
    const struct tui_view_class *v = classes[app->front];
    char right[96] = "";
    if (s->list) snprintf(right, sizeof right, "%d/%d cells", s->kv.n_used, s->kv.n_cells);
    int x1 = tui_text_right(row, row.w - 1, 0, TUI_DIM, right) - 2;
    if (s->n_edits) x1 = tui_textf_right(row, x1, 0, TUI_EDITED | TUI_BOLD, "EDITED (%d)", s->n_edits) - 2;
    bool busy = tui_work_busy(app->work) && app->times;
    double since = cut_clock() - app->busy_since;
    if (busy && since > 0.2 && !(s->cmp && s->cmp->job[0])) {
        tui_textf(row, 0, 0, TUI_WARN, "running  token %d of %d  step %d/%d  %.1f s   Esc stops",
                  s->where.pos + s->where.n_tokens, s->n_tokens, s->where.step, s->where.n_steps, since);
    } else if (app->said[0]) tui_text_fit(row, 0, x1, 0, app->said_style, app->said);
    else if (v->status && v->tick) v->status(app->view[app->front], tui_part(row, 0, 0, x1, 1));    /* it says all there is itself */
    else if (s->err.code == CUT_ECANCEL) tui_text_fit(row, 0, x1, 0, TUI_WARN, "stopped; c goes on");
    else if (s->err.code) tui_text_fit(row, 0, x1, 0, TUI_BAD, s->err.msg);
    else if (s->said[0]) tui_text_fit(row, 0, x1, 0, TUI_GOOD, s->said);
    else if (s->stopped_at_break && s->where.step < s->where.n_steps)
        tui_text_fit(row, 0, x1, 0, TUI_WARN, "stopped at a breakpoint: the marked step comes next");
    else if (s->list && !s->n_tokens) tui_text_fit(row, 0, x1, 0, TUI_TEXT, "o types a prompt; ? explains the keys");
    else if (s->n_tokens && s->where.step == 0)
        tui_text_fit(row, 0, x1, 0, TUI_TEXT, "Space makes the first step, c runs to the end");
    else if (s->n_top)
        tui_text_fit(row, 0, x1, 0, TUI_TEXT, "the pass is done: a accepts the likeliest token");
    else if (v->status) v->status(app->view[app->front], tui_part(row, 0, 0, x1, 1));
}

static void draw_help(struct tui_app *app) {
    const struct tui_view_class *v = classes[app->front];
    struct tui_area screen = tui_whole(&app->grid);
    bool two = screen.w >= 120;
    char title[64];
    snprintf(title, sizeof title, "help: %s%s", v->title, app->help_from ? ", more keys" : "");
    struct tui_area in = tui_overlay(screen, two ? 118 : 78, screen.h > 40 ? 40 : screen.h, title);
    in = tui_part(in, 1, 0, in.w - 2, in.h);
    int y = tui_text_wrap(in, 0, TUI_TEXT, v->about) + 1;
    struct tui_area left = tui_part(in, 0, y, in.w / 2 - 1, in.h - y), right = tui_part(in, in.w / 2, y, in.w / 2, in.h - y);
    tui_text(left, 0, 0, TUI_TITLE | TUI_BOLD, "Here");
    size_t last = app->help_from;
    for (int rows = left.h - 2; last < v->n_keys && (rows > 0 || !v->keys[last].label); last++) rows -= v->keys[last].label != NULL;
    bool more = last < v->n_keys && left.h > 3;
    if (last + 1 == v->n_keys) last++, more = false;       /* the row that would say so has room for the last itself */
    tui_key_help(left, 1, v->keys + app->help_from, last - app->help_from);
    if (more) tui_text(left, 0, left.h - 1, TUI_DIM, "          ? again: more");
    app->help_next = more ? last : 0;
    tui_text(right, 0, 0, TUI_TITLE | TUI_BOLD, "Everywhere");
    y = tui_key_help(right, 1, global_keys, N_GLOBAL);
    y = tui_key_help(right, y, tail_keys, N_TAIL) + 1;
    if (right.h - y < tui_command_count() + 1) return;
    tui_text(right, 0, y, TUI_TITLE | TUI_BOLD, "Commands");
    tui_command_help(right, y + 1);
}

/* An error that the status row would cut: whole, on a card, until the next key. */
static void draw_long_error(struct tui_app *app, struct tui_area screen, int room) {
    const struct cut_err *err = &app->snap->err;
    if (!err->code || err->code == CUT_ECANCEL) app->err_read[0] = 0;
    else if (strcmp(err->msg, app->err_read) && tui_text_width(&app->grid, err->msg) > room) {
        struct tui_area in = tui_overlay(screen, 74, tui_text_width(&app->grid, err->msg) / 64 + 3, "this did not work");
        tui_text_wrap(tui_part(in, 1, 0, in.w - 2, in.h), 0, TUI_BAD, err->msg);
    }
}

static void draw(struct tui_app *app) {
    struct tui_grid *g = &app->grid;
    const struct tui_view_class *v = classes[app->front];
    struct tui_area a = tui_whole(g);
    tui_grid_clear(g);
    if (g->w < MIN_W || g->h < MIN_H) {
        tui_too_small(a, MIN_W, MIN_H);
    } else {
        draw_tabs(app, tui_cut_top(&a, 1));
        struct tui_area keys = tui_cut_bottom(&a, 1), status = tui_cut_bottom(&a, 1);
        v->draw(app->view[app->front], a);
        if (app->asking) tui_prompt_draw(status, app->ask_label, &app->prompt[app->asking], app->ask_hint);
        else draw_status(app, status);
        draw_long_error(app, a, status.w - 24);
        tui_key_line(keys, v->keys, v->n_keys, tail_keys, N_TAIL);
        if (app->help) draw_help(app);
    }
    app->term->class->present(app->term, g);
    app->dirty = false;
    frame_shown(app);
}

/* ---- events */

static void bring_to_front(struct tui_app *app, int i) {
    app->front = i;
    app->dirty = true;
    classes[i]->show(app->view[i]);
}

static void accept_line(struct tui_app *app, int what) {
    struct tui_prompt *p = &app->prompt[what];
    const struct tui_view_class *v = classes[app->front];
    char line[sizeof p->text];
    memcpy(line, p->text, p->len + 1);
    tui_prompt_remember(p);
    if (what == ASK_VIEW) app->accept(app->accept_user, line);
    else if (what == ASK_COMMAND && line[0] && !tui_command_run(app, line))
        tui_app_say(app, TUI_BAD, "no command \"%.60s\"; Tab completes, ? lists them", line);
    else if (what == ASK_SEARCH && line[0]) {
        snprintf(app->found, sizeof app->found, "%.255s", line);
        if (!v->find || !v->find(app->view[app->front], app->found, 1))
            tui_app_say(app, TUI_WARN, "no match of \"%.60s\"", line);
    }
}

static void prompt_key(struct tui_app *app, int key) {
    int what = app->asking;
    enum tui_prompt_result r = tui_prompt_key(&app->prompt[what], key, what == ASK_COMMAND ? tui_command_complete : NULL, app);
    app->dirty = true;
    if (r == TUI_PROMPT_MORE) return;
    app->asking = ASK_NOTHING;
    if (r == TUI_PROMPT_DONE) accept_line(app, what);
}

static void key_event(struct tui_app *app, int key) {
    const struct tui_view_class *v = classes[app->front];
    const struct tui_key *k;
    unsigned did = 0;
    app->said[0] = 0;
    snprintf(app->err_read, sizeof app->err_read, "%s", app->snap->err.msg);
    app->dirty = true;                             /* every key is answered by a frame, if only to clear the message */
    if (app->grid.w < MIN_W || app->grid.h < MIN_H) {
        if (key == 'q' || key == TUI_CTRL('c')) app->quit = true;
        return;
    }
    if (app->asking) { prompt_key(app, key); return; }
    if (app->help && (key == '?' || key == TUI_KEY_F1) && app->help_next) {
        app->help_from = app->help_next;
        return;
    }
    if (app->help) {
        app->help = false;
        if (key == 'q' || key == TUI_KEY_ESC || key == '?' || key == TUI_KEY_F1) return;
    }
    if (v->modal && v->modal(app->view[app->front])) { v->key(app->view[app->front], key); return; }
    if (key == TUI_KEY_ESC && tui_work_busy(app->work) && cut_clock() - app->busy_since > 0.2) {
        tui_work_cancel(app->work);
        return;
    }
    for (int i = 0; i < N_VIEWS; i++)
        if (key == classes[i]->digit) { bring_to_front(app, i); return; }
    if ((k = tui_key_find(v->keys, v->n_keys, key))) did = k->run(app->view[app->front], key);
    if (!did && v->key) did = v->key(app->view[app->front], key);
    if (!did && (k = tui_key_find(global_keys, N_GLOBAL, key))) did = k->run(app, key);
    if (!did && (k = tui_key_find(tail_keys, N_TAIL, key))) did = k->run(app, key);
}

static void mouse_event(struct tui_app *app, const struct tui_event *ev) {
    const struct tui_view_class *v = classes[app->front];
    if (app->help || app->asking) return;
    if (ev->y == 0 && ev->button == 1) {
        for (int i = 0; i < N_VIEWS; i++)
            if (ev->x >= app->tab_x[i] && ev->x < app->tab_x[i + 1]) bring_to_front(app, i);
        return;
    }
    if (v->mouse) v->mouse(app->view[app->front], ev->x, ev->y - 1, ev->button);
    app->dirty = true;
}

/* True when it is another one than before. */
static bool take_snap(struct tui_app *app) {
    const struct tui_snap *s = tui_work_get(app->work);
    bool fresh = s != app->snap;
    tui_snap_free(app->snap);
    app->snap = s;
    if (!fresh) return false;
    classes[app->front]->snap(app->view[app->front]);
    app->dirty = true;
    return true;
}

static void resize(struct tui_app *app) {
    int w, h;
    app->term->class->size(app->term, &w, &h);
    tui_grid_resize(&app->grid, w, h);
    app->dirty = true;
}

void tui_app_outside(struct tui_app *app, void (*fn)(void *user), void *user) {
    app->term->class->suspend(app->term, fn, user);
    resize(app);                                   /* the window may have changed meanwhile */
}

/* Let views do what they do besides the worker. The milliseconds until the next time; -1: after the next event. */
static int tick_views(struct tui_app *app) {
    int ms = -1;
    for (int i = 0; i < N_VIEWS; i++) {
        int next = classes[i]->tick ? classes[i]->tick(app->view[i], i == app->front) : -1;
        if (next >= 0 && (ms < 0 || next < ms)) ms = next;
    }
    return ms;
}

static bool views_busy(struct tui_app *app) {
    for (int i = 0; i < N_VIEWS; i++)
        if (classes[i]->busy && classes[i]->busy(app->view[i])) return true;
    return false;
}

/* Until the worker and the views have nothing left to do. A frame may want to see more, and cause another snapshot. */
static void settle(struct tui_app *app) {
    bool more;
    do {
        draw(app);
        tui_work_settle(app->work);
        more = views_busy(app);
        if (more) poll(NULL, 0, tick_views(app));
    } while (take_snap(app) || more);
}

static void event(struct tui_app *app, const struct tui_event *ev) {
    switch (ev->kind) {
    case TUI_EV_KEY:
        if (app->n_pressed < PENDING) app->pressed[app->n_pressed++] = cut_clock();
        key_event(app, ev->key);
        break;
    case TUI_EV_MOUSE: mouse_event(app, ev); break;
    case TUI_EV_RESIZE: resize(app); break;
    case TUI_EV_WAKE: take_snap(app); break;
    case TUI_EV_SETTLE: settle(app); break;
    case TUI_EV_SHOT: draw(app); break;
    case TUI_EV_END: app->quit = true; break;
    case TUI_EV_NONE: break;
    }
}

/* What a key asked of the worker is mostly there at once: waiting this short while for it saves a frame without it. */
static void await_answer(struct tui_app *app) {
    struct pollfd fd = { tui_work_fd(app->work), POLLIN, 0 };
    if (app->snap->running) return;                /* a long run answers when it can */
    if (app->n_pressed && tui_work_busy(app->work) && poll(&fd, 1, ANSWER_MS) > 0) take_snap(app);
}

/* Draw, wait, answer all that is there, draw. While a long command runs its clock in the status row goes on. */
static void loop(struct tui_app *app) {
    while (!app->quit) {
        int ms = tick_views(app);
        if (app->dirty) draw(app);
        bool busy = tui_work_busy(app->work);
        if (busy && (ms < 0 || ms > 100)) ms = 100;
        struct tui_event ev = app->term->class->wait(app->term, tui_work_fd(app->work), ms);
        if (ev.kind == TUI_EV_NONE) app->dirty = app->dirty || busy;
        for (int i = 0; ev.kind != TUI_EV_NONE && !app->quit; i++) {
            event(app, &ev);
            if (i == PENDING || ev.kind == TUI_EV_WAKE) break;
            ev = app->term->class->wait(app->term, -1, 0);
        }
        if (!app->term->scripted) await_answer(app);
    }
}

void tui_app_run(struct tui_term *term, struct tui_work *work, const struct tui_app_opts *opts, struct tui_latency *latency) {
    struct tui_app *app = tui_alloc(1, sizeof *app);
    const char *no_color = getenv("NO_COLOR");
    app->term = term;
    app->work = work;
    app->opts = opts;
    app->times = !term->scripted;
    app->watch = (struct tui_watch){ .step = -1, .pos = -1, .row = -1, .col = -1, .attn_layer = -1, .attn_pos = -1,
                                     .cmp = { .pos = -1, .tensor = -1, .weight = -1 } };
    tui_grid_init(&app->grid, 0, 0, opts->ascii || !term->utf8);
    set_scheme(app, opts->scheme >= 0 ? (enum tui_scheme)opts->scheme : no_color && *no_color ? TUI_MONO : term->scheme);
    resize(app);
    app->snap = tui_work_get(work);
    for (int i = 0; i < N_VIEWS; i++) app->view[i] = classes[i]->new(app);
    int first = 0;
    for (int i = 0; opts->lab && i < N_VIEWS; i++)
        if (classes[i] == &tui_view_learn) first = i;
    bring_to_front(app, first);
    if (opts->prompt) accept_prompt(app, opts->prompt);
    loop(app);
    for (int i = 0; i < N_VIEWS; i++) classes[i]->free(app->view[i]);
    for (int i = 0; i < 4; i++) tui_prompt_done(&app->prompt[i]);
    tui_snap_free(app->snap);
    if (latency) *latency = tui_app_latency(app);
    tui_grid_done(&app->grid);
    free(app);
}
