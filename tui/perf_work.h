/* perf_work.h - the worker's side of measuring (see perf.h): the plan (perf.c), the clock on every step (perf_profile.c), what
 * follows from numbers (perf_model.c), runs on disk (perf_run.c). */
#ifndef TUI_PERF_WORK_H
#define TUI_PERF_WORK_H

#include "tui/perf.h"

/* What the worker lends, borrowed until the next host. pause is called in the middle of measuring, some twenty times a second;
 * true: stop, something else has to be done. */
struct tui_perf_host {
    const struct cut_model *model;
    enum cut_tier tier;
    int threads;
    bool (*pause)(void *user);
    void *user;
};

struct tui_perf_work;
struct tui_perf_work *tui_perf_work_new(void);
void tui_perf_work_free(struct tui_perf_work *w);
/* Another model, or (model NULL) none: nothing that was measured holds any more. */
void tui_perf_work_host(struct tui_perf_work *w, const struct tui_perf_host *h);
enum cut_status tui_perf_do(struct tui_perf_work *w, const struct tui_perf_ask *ask, const char *text, char said[160], struct cut_err *err);
/* Measure the next point of the plan. One that pause stopped stays in it; one that fails is given up, so that it is reported once. */
enum cut_status tui_perf_slice(struct tui_perf_work *w, char said[160], struct cut_err *err);
bool tui_perf_idle(const struct tui_perf_work *w);
/* What the screen gets, one reference for the caller; NULL: there is no model. */
const struct tui_perf *tui_perf_take(struct tui_perf_work *w);
void tui_perf_free(const struct tui_perf *p);          /* drops one reference; NULL is fine */

/* ---- between the files */

struct tui_perf_profile_opts {
    bool prefill;
    enum cut_tier tier;
    int threads, tokens, passes;           /* passes: 1 to 15 */
};
enum cut_status tui_perf_profile_take(struct tui_perf_profile **out, const struct cut_model *m, const struct tui_perf_profile_opts *o,
                                      cut_progress_fn progress, void *user, struct cut_err *err);
void tui_perf_machine_read(struct tui_perf_machine *m);

#endif
