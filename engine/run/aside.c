/* aside.c - a long run with somebody waiting for it: it computes on another thread, while the caller reports and listens.
 *
 * A pass says nothing until it is over, and one of hundreds of tokens through a large model takes a minute in plain C. Progress and
 * the wish to stop belong to the caller's thread (what they touch is the caller's), so it is the pass that moves. */
#define _GNU_SOURCE
#include <pthread.h>
#include <time.h>

#include "engine/run/session.h"

#define MOMENT 0.05            /* seconds between two calls of progress */

struct aside {
    struct cut_session *s;
    struct cut_err err;
    enum cut_status status;
    bool done;
    pthread_mutex_t lock;
    pthread_cond_t finished;
};

static void *compute(void *arg) {
    struct aside *a = arg;
    enum cut_stop why = CUT_STOP_DONE;
    enum cut_status st = cut_session_run(a->s, &why, &a->err);
    if (!st && why == CUT_STOP_BREAK) st = cut_fail(&a->err, CUT_EUSAGE, "a breakpoint stopped the run: clear it first");
    pthread_mutex_lock(&a->lock);
    a->status = st;
    a->done = true;
    pthread_cond_signal(&a->finished);
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static bool wait_a_moment(struct aside *a) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)(MOMENT * 1e9);
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&a->lock);
    if (!a->done) pthread_cond_timedwait(&a->finished, &a->lock, &until);
    bool done = a->done;
    pthread_mutex_unlock(&a->lock);
    return done;
}

enum cut_status cut_session_run_aside(struct cut_session *s, double expected, cut_progress_fn progress, void *user, const char *what,
                                      struct cut_err *err) {
    struct aside a = { .s = s };
    pthread_t thread;
    bool stopped = false;
    double start = cut_clock();
    if (!progress) return cut_session_run(s, NULL, err);
    pthread_mutex_init(&a.lock, NULL);
    pthread_cond_init(&a.finished, NULL);
    int e = pthread_create(&thread, NULL, compute, &a);
    if (e) a.status = cut_fail(&a.err, CUT_ESYSTEM, "a thread to compute on could not be started: %s", strerror(e));
    while (!e && !wait_a_moment(&a)) {
        double part = expected > 0 ? (cut_clock() - start) / expected : 0;
        if (stopped || progress(user, part < 1 ? part : 1, what)) continue;
        stopped = true;
        cut_session_cancel(s);
    }
    if (!e) pthread_join(thread, NULL);
    pthread_cond_destroy(&a.finished);
    pthread_mutex_destroy(&a.lock);
    if (stopped) cut_session_uncancel(s);          /* it may have been done before it heard of it */
    if (stopped && !a.status) return cut_fail(err, CUT_ECANCEL, "stopped");
    if (a.status && err) *err = a.err;
    return a.status;
}
