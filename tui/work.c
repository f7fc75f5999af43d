/* work.c - the worker thread: commands in, snapshots out. What a snapshot holds is copied in snap.c. */
#include "tui/work.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tui/compare_work.h"
#include "tui/perf_work.h"
#include "tui/screen/mem.h"
#include "tui/snap.h"

enum { SLICE_MS = 40,              /* how often a long run shows how far it is */
       MEASURE_MS = 250 };         /* and a measurement, which showing disturbs */

struct item { struct tui_cmd cmd; struct item *next; };

struct tui_work {
    pthread_t thread;
    struct tui_work_opts opts;

    pthread_mutex_t lock;          /* guards all below, up to the line */
    pthread_cond_t wake, idle;
    struct item *first, **last;
    struct tui_watch watch;
    bool watch_new, busy, quit;
    bool background;               /* the comparison or a measurement has something left to do */
    bool background_stop;
    struct cut_session *cancel;    /* the session that is running now; NULL: none */
    bool cancelled;                /* for loops over several engine calls */
    struct tui_snap *latest;
    int pipe[2];
    /* ------ the worker's own */
    struct cut_model *model;
    struct cut_pool *pool;
    struct cut_session *session;
    struct tui_snap_state state;   /* what is shared from snapshot to snapshot */
    struct tui_compare *compare;
    struct tui_perf_work *perf;
    struct cut_err err;
    char said[160];
    bool at_break;
    double shown;                  /* when a long run last published */
};

/* ---- publishing */

static void publish(struct tui_work *w, bool running) {
    pthread_mutex_lock(&w->lock);
    struct tui_watch watch = w->watch;
    w->watch_new = false;
    pthread_mutex_unlock(&w->lock);

    tui_compare_watch(w->compare, &watch.cmp);
    struct tui_snap *s = tui_snap_take(&w->state, w->session, &watch, running);
    s->cmp = tui_compare_take(w->compare);
    s->perf = tui_perf_take(w->perf);
    s->err = w->err;
    s->stopped_at_break = w->at_break;
    memcpy(s->said, w->said, sizeof s->said);

    pthread_mutex_lock(&w->lock);
    struct tui_snap *old = w->latest;
    w->latest = s;
    pthread_mutex_unlock(&w->lock);
    tui_snap_free(old);
    ssize_t n = write(w->pipe[1], "s", 1);        /* full: the screen has been told already */
    (void)n;
}

/* ---- running */

/* Engine calls that may take long stand between these two, so that the screen can stop them. */
static bool begin_run(struct tui_work *w) {
    pthread_mutex_lock(&w->lock);
    bool go = !w->cancelled;
    w->cancel = go ? w->session : NULL;
    pthread_mutex_unlock(&w->lock);
    w->shown = cut_clock();
    return go;
}

static void end_run(struct tui_work *w) {
    pthread_mutex_lock(&w->lock);
    w->cancel = NULL;
    pthread_mutex_unlock(&w->lock);
    cut_session_uncancel(w->session);      /* a request that came too late must not stop the next call */
}

static enum cut_status cancelled(struct cut_err *err) { return cut_fail(err, CUT_ECANCEL, "stopped"); }

/* A probe after every layer: now and then show how far a long run is. */
static bool show_progress(void *user, const struct cut_step *step, struct cut_tensor *value) {
    struct tui_work *w = user;
    (void)step;
    (void)value;
    if (cut_clock() - w->shown < SLICE_MS * 1e-3) return true;
    publish(w, true);
    w->shown = cut_clock();
    return true;
}

static enum cut_status run(struct tui_work *w, enum cut_stop *why, struct cut_err *err) {
    if (!begin_run(w)) return cancelled(err);
    enum cut_status st = cut_session_run(w->session, why, err);
    end_run(w);
    return st;
}

/* n steps forward, or -n back. */
static enum cut_status step(struct tui_work *w, int n, struct cut_err *err) {
    if (!begin_run(w)) return cancelled(err);
    enum cut_status st = n < 0 ? cut_session_back(w->session, -n, err) : cut_session_step(w->session, n, NULL, err);
    end_run(w);
    return st;
}

static enum cut_status seek(struct tui_work *w, int pass, int at, struct cut_err *err) {
    if (!begin_run(w)) return cancelled(err);
    enum cut_status st = cut_session_seek(w->session, pass, at, err);
    end_run(w);
    return st;
}

/* Feed the token that the pass chose in its last step. */
static enum cut_status feed_next(struct tui_work *w, struct cut_err *err) {
    int32_t id = cut_session_sampled(w->session, -1);
    if (id < 0 || cut_session_where(w->session).n_queued)
        return cut_fail(err, CUT_EUSAGE, "the next token is known at the end of the pass: press c first");
    return cut_session_feed(w->session, 0, &id, 1, 0, err);
}

static enum cut_status generate(struct tui_work *w, int n, struct cut_err *err) {
    enum cut_stop why;
    enum cut_status st = run(w, &why, err);
    for (int i = 0; i < n && !st && why == CUT_STOP_DONE; i++) {
        bool end = cut_vocab_is_end(cut_model_vocab(w->model), cut_session_sampled(w->session, -1));
        if (!(st = feed_next(w, err))) st = run(w, &why, err);
        if (!end) continue;
        snprintf(w->said, sizeof w->said, "the model ended its text after %d tokens", i + 1);
        break;
    }
    w->at_break = !st && why == CUT_STOP_BREAK;
    return st;
}

/* Feed the next token and run it (all), or stop before its first step. */
static enum cut_status next_token(struct tui_work *w, bool all, enum cut_stop *why, struct cut_err *err) {
    enum cut_status st = feed_next(w, err);
    if (st) return st;
    return all ? run(w, why, err) : seek(w, cut_session_where(w->session).pass + 1, 0, err);
}

static enum cut_status prompt(struct tui_work *w, const char *text, struct cut_err *err) {
    int32_t *ids;
    size_t n;
    enum cut_status st = cut_vocab_encode(cut_model_vocab(w->model), text, strlen(text), CUT_ENCODE_BOS | CUT_ENCODE_SPECIAL,
                                          &ids, &n, err);
    if (st) return st;
    if (!n) st = cut_fail(err, CUT_EUSAGE, "an empty prompt: this vocabulary has no token to begin with");
    if (!st && n > (size_t)cut_session_opts(w->session)->n_ctx)
        st = cut_fail(err, CUT_EFULL, "the prompt has %zu tokens, the context %d cells (--ctx)", n,
                      cut_session_opts(w->session)->n_ctx);
    if (!st) st = cut_session_truncate(w->session, 0, 0, err);
    if (!st) st = cut_session_feed(w->session, 0, ids, (int)n, 0, err);
    if (!st) tui_compare_prompt(w->compare, ids, (int)n);
    free(ids);
    return st;
}

static enum cut_status toggle_break(struct tui_work *w, const struct tui_cmd *c, struct cut_err *err) {
    const struct cut_break *b;
    int n = cut_session_breaks(w->session, &b);
    for (int i = 0; i < n; i++) {
        if (strcmp(b[i].pattern, c->text) || b[i].above != c->above) continue;
        cut_session_unbreak(w->session, i);
        snprintf(w->said, sizeof w->said, "breakpoint on %s dropped", c->text);
        return CUT_OK;
    }
    struct cut_break fresh = { .above = c->above };
    if (strlen(c->text) >= sizeof fresh.pattern)
        return cut_fail(err, CUT_EUSAGE, "breakpoint \"%.40s..\": at most %zu characters", c->text, sizeof fresh.pattern - 1);
    memcpy(fresh.pattern, c->text, strlen(c->text) + 1);
    enum cut_status st = cut_session_break(w->session, &fresh, err);
    if (!st) snprintf(w->said, sizeof w->said, "breakpoint on %s: c runs up to it", c->text);
    return st;
}

/* Add an edit, or (NULL) drop the last. */
static enum cut_status edit(struct tui_work *w, const struct cut_edit *e, struct cut_err *err) {
    if (!begin_run(w)) return cancelled(err);
    enum cut_status st = e ? cut_session_edit(w->session, e, err) : cut_session_undo(w->session, err);
    end_run(w);
    if (!st && e) snprintf(w->said, sizeof w->said, "edited %s: what follows is computed anew; u undoes", e->step);
    if (!st && !e) snprintf(w->said, sizeof w->said, "the last edit is undone");
    return st;
}

/* ---- the comparison */

/* In the middle of a long call: show how far it is; stop when the screen asks for it. */
static bool pause_compare(void *user) {
    struct tui_work *w = user;
    pthread_mutex_lock(&w->lock);
    bool stop = w->cancelled;
    pthread_mutex_unlock(&w->lock);
    if (cut_clock() - w->shown < SLICE_MS * 1e-3) return stop;
    publish(w, false);
    w->shown = cut_clock();
    return stop;
}

/* The same in the middle of measuring a point; which whatever waits here stops, for it would only be disturbed. */
static bool pause_perf(void *user) {
    struct tui_work *w = user;
    pthread_mutex_lock(&w->lock);
    bool stop = w->cancelled || w->quit || w->first || w->watch_new || w->background_stop;
    pthread_mutex_unlock(&w->lock);
    if (stop || cut_clock() - w->shown < MEASURE_MS * 1e-3) return stop;
    publish(w, false);
    w->shown = cut_clock();
    return false;
}

static void background_slice(struct tui_work *w) {
    struct cut_err err = { 0 };
    enum cut_status st;
    w->shown = cut_clock();
    if (!tui_compare_idle(w->compare)) st = tui_compare_slice(w->compare, w->said, &err);
    else st = tui_perf_slice(w->perf, w->said, &err);
    if (st) w->err = err;
    publish(w, false);
}

static void stop_background(struct tui_work *w) {
    tui_compare_do(w->compare, &(struct tui_cmp_ask){ .op = TUI_CMP_STOP }, NULL, w->said, NULL);
    tui_perf_do(w->perf, &(struct tui_perf_ask){ .op = TUI_PERF_STOP }, NULL, w->said, NULL);
    publish(w, false);
}

/* ---- the model and its session */

static enum cut_status watch_progress(struct tui_work *w, struct cut_err *err) {
    int id;
    return cut_session_probe(w->session, "*resid_post", show_progress, w, 0, &id, err);
}

static enum cut_status new_session(struct tui_work *w, struct cut_err *err) {
    enum cut_status st;
    if (!w->pool) {
        int n = w->opts.threads > 0 ? w->opts.threads : cut_cpu_count();
        if ((st = cut_pool_new(&w->pool, n, err))) return st;
    }
    struct cut_session_opts o = { .n_ctx = w->opts.n_ctx, .tier = w->opts.tier, .keep = true, .pool = w->pool };
    o.kv_type = CUT_F16;
    if ((st = cut_session_new(&w->session, w->model, &o, err))) return st;
    tui_snap_state_open(&w->state, w->session, cut_pool_size(w->pool));
    struct tui_compare_host h = { w->model, w->pool, cut_session_opts(w->session)->tier, pause_compare, w };
    tui_compare_set_host(w->compare, &h);
    tui_perf_work_host(w->perf, &(struct tui_perf_host){ w->model, h.tier, cut_pool_size(w->pool), pause_perf, w });
    return watch_progress(w, err);
}

static void drop_session(struct tui_work *w) {
    tui_compare_set_host(w->compare, &(struct tui_compare_host){ 0 });
    tui_perf_work_host(w->perf, &(struct tui_perf_host){ 0 });
    tui_snap_state_close(&w->state);
    cut_session_free(w->session);
    w->session = NULL;
}

static enum cut_status open_model(struct tui_work *w, const char *path, struct cut_err *err) {
    struct cut_model *m;
    enum cut_status st = cut_model_open(&m, path, 0, err);
    if (st) return st;
    drop_session(w);
    cut_model_close(w->model);
    w->model = m;
    if (!(st = new_session(w, err))) snprintf(w->said, sizeof w->said, "opened %.120s: o enters a prompt", path);
    return st;
}

/* ---- commands */

static enum cut_status execute(struct tui_work *w, const struct tui_cmd *c, struct cut_err *err) {
    enum cut_stop why = CUT_STOP_STEP;
    enum cut_status st = CUT_OK;
    w->said[0] = 0;
    w->at_break = false;
    if (c->kind == TUI_CMD_OPEN) return open_model(w, c->text, err);
    if (!w->session) return cut_fail(err, CUT_EUSAGE, "no model is open: :open FILE");
    switch (c->kind) {
    case TUI_CMD_PROMPT: return prompt(w, c->text, err);
    case TUI_CMD_STEP: st = step(w, c->n, err); break;
    case TUI_CMD_SEEK: st = seek(w, c->pass, c->n, err); break;
    case TUI_CMD_RUN: st = run(w, &why, err); break;
    case TUI_CMD_NEXT: st = next_token(w, c->n > 0, &why, err); break;
    case TUI_CMD_GENERATE: return generate(w, c->n, err);
    case TUI_CMD_BREAK: return toggle_break(w, c, err);
    case TUI_CMD_EDIT: st = edit(w, &c->edit, err); break;
    case TUI_CMD_UNDO: st = edit(w, NULL, err); break;
    case TUI_CMD_RESET:
        cut_session_reset(w->session);
        st = watch_progress(w, err);
        break;
    case TUI_CMD_COMPARE:
        w->shown = cut_clock();
        return tui_compare_do(w->compare, &c->cmp, c->text, w->said, err);
    case TUI_CMD_PERF: return tui_perf_do(w->perf, &c->perf, c->text, w->said, err);
    case TUI_CMD_OPEN: break;
    }
    w->at_break = !st && why == CUT_STOP_BREAK;
    return st;
}

/* Take the next command; steps that wait behind each other become one. */
static bool take(struct tui_work *w, struct tui_cmd *out) {
    struct item *i = w->first;
    if (!i) return false;
    *out = i->cmd;
    w->first = i->next;
    free(i);
    while (out->kind == TUI_CMD_STEP && (i = w->first) && i->cmd.kind == TUI_CMD_STEP && (out->n > 0) == (i->cmd.n > 0)) {
        out->n += i->cmd.n;
        w->first = i->next;
        free(i);
    }
    if (!w->first) w->last = &w->first;
    return true;
}

/* The pool's threads, made by this one, may fill every processor: the screen's must still get one at once. */
static void stand_back(void) {
#ifdef __linux__
    setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + 4);       /* of this thread and those it makes */
#endif
}

static void *work(void *arg) {
    struct tui_work *w = arg;
    stand_back();
    if (w->model && new_session(w, &w->err)) drop_session(w);
    publish(w, false);
    pthread_mutex_lock(&w->lock);
    for (;;) {
        struct tui_cmd c;
        if (w->background_stop) {
            w->background_stop = false;
            pthread_mutex_unlock(&w->lock);
            stop_background(w);
            pthread_mutex_lock(&w->lock);
        }
        w->background = !tui_compare_idle(w->compare) || !tui_perf_idle(w->perf);
        while (!w->quit && !w->first && !w->watch_new && !w->background && !w->background_stop) {
            w->busy = false;
            pthread_cond_broadcast(&w->idle);
            pthread_cond_wait(&w->wake, &w->lock);
        }
        if (w->quit) break;
        bool got = take(w, &c), slice = !got && !w->watch_new;
        w->busy = !slice;
        w->cancelled = false;
        pthread_mutex_unlock(&w->lock);
        if (slice) {
            background_slice(w);
            pthread_mutex_lock(&w->lock);
            continue;
        }
        if (got) {
            struct cut_err err = { 0 };
            w->err = (struct cut_err){ 0 };
            if (execute(w, &c, &err)) w->err = err;
            tui_snap_state_changed(&w->state);
            free((char *)c.text);
        }
        publish(w, false);
        pthread_mutex_lock(&w->lock);
    }
    w->busy = w->background = false;
    pthread_cond_broadcast(&w->idle);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ---- the screen's side */

static void drop_queue(struct tui_work *w) {
    while (w->first) {
        struct item *i = w->first;
        w->first = i->next;
        free((char *)i->cmd.text);
        free(i);
    }
    w->last = &w->first;
}

enum cut_status tui_work_new(struct tui_work **out, struct cut_model *m, const struct tui_work_opts *opts,
                             struct cut_err *err) {
    struct tui_work *w = tui_alloc(1, sizeof *w);
    w->opts = *opts;
    w->model = m;
    w->last = &w->first;
    w->watch = (struct tui_watch){ .step = -1, .pos = -1, .row = -1, .col = -1, .attn_layer = -1, .attn_pos = -1,
                                   .cmp = { .pos = -1, .tensor = -1, .weight = -1 } };
    w->compare = tui_compare_new();
    w->perf = tui_perf_work_new();
    w->busy = true;
    if (pipe(w->pipe)) {
        free(w);
        cut_model_close(m);
        return cut_fail(err, CUT_ESYSTEM, "cannot make a pipe: %s", strerror(errno));
    }
    for (int i = 0; i < 2; i++) fcntl(w->pipe[i], F_SETFL, O_NONBLOCK), fcntl(w->pipe[i], F_SETFD, FD_CLOEXEC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    pthread_cond_init(&w->idle, NULL);
    w->latest = tui_snap_take(&w->state, NULL, &w->watch, false);
    sigset_t all, before;          /* signals are the screen's: one of a resize must interrupt its wait, not ours */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&w->thread, NULL, work, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc) {
        w->quit = true;
        tui_snap_free(w->latest);
        cut_model_close(m);
        free(w);
        return cut_fail(err, CUT_ESYSTEM, "cannot start the worker thread: %s", strerror(rc));
    }
    *out = w;
    return CUT_OK;
}

void tui_work_free(struct tui_work *w) {
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->quit = w->cancelled = true;
    if (w->cancel) cut_session_cancel(w->cancel);
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    drop_queue(w);
    drop_session(w);
    tui_compare_free(w->compare);
    tui_perf_work_free(w->perf);
    cut_pool_free(w->pool);
    cut_model_close(w->model);
    tui_snap_free(w->latest);
    close(w->pipe[0]);
    close(w->pipe[1]);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->wake);
    pthread_cond_destroy(&w->idle);
    free(w);
}

void tui_work_post(struct tui_work *w, const struct tui_cmd *c) {
    struct item *i = tui_alloc(1, sizeof *i);
    i->cmd = *c;
    if (c->text) i->cmd.text = tui_strdup(c->text);
    pthread_mutex_lock(&w->lock);
    *w->last = i;
    w->last = &i->next;
    w->busy = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

void tui_work_watch(struct tui_work *w, const struct tui_watch *watch) {
    pthread_mutex_lock(&w->lock);
    w->watch = *watch;
    w->watch_new = w->busy = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

bool tui_work_busy(struct tui_work *w) {
    pthread_mutex_lock(&w->lock);
    bool busy = w->busy;
    pthread_mutex_unlock(&w->lock);
    return busy;
}

void tui_work_cancel(struct tui_work *w) {
    pthread_mutex_lock(&w->lock);
    drop_queue(w);
    w->cancelled = w->background_stop = true;
    if (w->cancel) cut_session_cancel(w->cancel);
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

int tui_work_fd(const struct tui_work *w) { return w->pipe[0]; }

const struct tui_snap *tui_work_get(struct tui_work *w) {
    char drain[64];
    while (read(w->pipe[0], drain, sizeof drain) > 0) continue;
    pthread_mutex_lock(&w->lock);
    struct tui_snap *s = w->latest;
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&w->lock);
    return s;
}

void tui_work_settle(struct tui_work *w) {
    pthread_mutex_lock(&w->lock);
    while (w->busy || w->background || w->background_stop) pthread_cond_wait(&w->idle, &w->lock);
    pthread_mutex_unlock(&w->lock);
}
