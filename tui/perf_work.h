/* perf_work.h - the worker's side of measuring (see perf.h): the plan (perf.c), carrying it out (perf_measure.c), the clock on every step (perf_profile.c), what
 * follows from numbers (perf_model.c), runs on disk (perf_run.c), peaks on disk (perf_peaks.c), a load that
 * disturbs (perf_load.c), the instructions of a kernel (perf_code.c) and their text (perf_objdump.c). */
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
    unsigned ways;
    int threads, tokens, passes;           /* passes: 1 to 15 */
    bool slowest;                          /* of them, not the median one */
    const struct tui_perf_pin *pin;
};
enum cut_status tui_perf_profile_take(struct tui_perf_profile **out, const struct cut_model *m, const struct tui_perf_profile_opts *o,
                                      cut_progress_fn progress, void *user, struct cut_err *err);
void tui_perf_machine_read(struct tui_perf_machine *m);

/* Count, disassemble. What the system does not allow or does not have is said in the result; fails with CUT_ECANCEL alone. */
enum cut_status tui_perf_code_take(struct tui_perf_code **out, const struct tui_perf_kernel *k, cut_progress_fn progress, void *user,
                                   struct cut_err *err);
/* What objdump printed, into c: instructions between the first and the last address of the loop (as in the file), and the function. `at` is
 * where the loop was executed in memory, n addresses rising, the program being loaded at `base`. Lines that are no instructions are
 * left out. */
void tui_perf_code_parse(struct tui_perf_code *c, const char *text, const struct cut_instruction *at, int n, double passes, uint64_t base);

/* Where an address of this process stands in a file. */
struct tui_perf_module { char path[512]; uint64_t base; };      /* base: what its addresses are higher by in memory */
bool tui_perf_module_of(struct tui_perf_module *out, uint64_t address);
/* Run a program without a shell, stdin and stderr being nowhere, for at most so many seconds. *text is its output, to free(); at most some
 * megabytes are kept. CUT_ESYSTEM: it is not there, failed or took too long. wait is called some twenty times a second; false: CUT_ECANCEL. */
enum cut_status tui_perf_run(char **text, const char *const *argv, double seconds, bool (*wait)(void *user), void *user, struct cut_err *err);

struct tui_perf_kept { uint64_t bytes; char date[24]; bool busy; struct cut_peaks peaks; };
/* Peaks of this boot of this machine, reading that much memory; false: there are none. */
bool tui_perf_peaks_read(struct tui_perf_kept *out, const struct tui_perf_machine *m, uint64_t bytes);
/* Keep them, in the place of older ones; what cannot be written is measured again another time. */
void tui_perf_peaks_keep(const struct tui_perf_kept *k, const struct tui_perf_machine *m);
/* Of two measurements the higher: a peak is what the machine can do, and whatever disturbs only takes away. */
void tui_perf_peaks_merge(struct cut_peaks *p, const struct cut_peaks *with);
/* Make the folders a path leads through. */
void tui_perf_make_folders(const char *path);

/* A load that competes. The call that ends it (NULL is fine) returns when its threads are gone. */
struct tui_perf_noise;
enum cut_status tui_perf_noise_begin(struct tui_perf_noise **out, enum tui_perf_load load, const struct tui_perf_machine *m,
                                     struct cut_err *err);
void tui_perf_noise_end(struct tui_perf_noise *n);

#endif
