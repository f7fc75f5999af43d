/* survey.c - how a model's speed depends on threads and on the length of the prompt, what it holds in memory, and what follows.
 *
 * Measured by sweeps (sweep.c); beside the speed of each point stand the processors kept busy, as the system counts them. */
#include <stdarg.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/base/base.h"

static double busy_seconds(void) {
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u)) return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* Resident and virtual memory of this process. Linux tells; elsewhere they stay 0. */
static void process_memory(uint64_t *resident, uint64_t *virtual_) {
    unsigned long long v, r;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f) return;
    if (fscanf(f, "%llu %llu", &v, &r) == 2) {
        *virtual_ = v * (uint64_t)sysconf(_SC_PAGESIZE);
        *resident = r * (uint64_t)sysconf(_SC_PAGESIZE);
    }
    fclose(f);
}

struct span { cut_progress_fn fn; void *user; double from, to; };
static bool within(void *user, double part, const char *what) {
    const struct span *s = user;
    return !s->fn || s->fn(s->user, s->from + (s->to - s->from) * part, what);
}

static enum cut_status measure(const struct cut_model *m, const struct cut_survey_opts *o, struct cut_survey_point *p,
                               struct span *s, struct cut_err *err) {
    struct cut_sweep_opts so = { .threads = p->threads, .tier = o->tier, .prefill = p->prefill, .tokens = p->tokens,
                                 .rounds = o->rounds };
    struct cut_sweep_point got;
    double start = cut_clock(), busy = busy_seconds();
    enum cut_status st = cut_sweep_one(m, &so, within, s, &got, err);
    if (st) return st;
    p->busy = (busy_seconds() - busy) / (cut_clock() - start);
    p->tps = got.tps;
    p->read = got.read;
    p->waited = got.waited;
    return CUT_OK;
}

/* ---- advice: rules of thumb, each with the number it rests on */

__attribute__((format(printf, 2, 3))) static void advise(struct cut_survey *s, const char *fmt, ...) {
    va_list ap;
    if (s->n_advice == (int)CUT_LEN(s->advice)) return;
    va_start(ap, fmt);
    vsnprintf(s->advice[s->n_advice++], sizeof s->advice[0], fmt, ap);
    va_end(ap);
}

static const struct cut_survey_point *fastest(const struct cut_survey_point *p, int n) {
    const struct cut_survey_point *best = p;
    for (int i = 1; i < n; i++)
        if (p[i].tps.median > best->tps.median) best = &p[i];
    return best;
}

static void advise_on_threads(struct cut_survey *s, const struct cut_survey_point *d, const struct cut_survey_point *p) {
    const struct cut_survey_point *one = &s->decode[0];
    double speedup = d->tps.median / one->tps.median * one->threads;
    if (d->threads == p->threads) advise(s, "Run with -t %d: both prefill and decode were fastest with it.", d->threads);
    else advise(s, "Decode was fastest with %d threads, prefill with %d: choose by what you wait for.", d->threads, p->threads);
    if (d->threads == one->threads) return;
    if (speedup < 0.6 * d->threads)
        advise(s, "%d threads give only %.1f times the speed of one: memory, or waiting for each other, is the limit of decode.",
               d->threads, speedup);
    else
        advise(s, "Threads pay: %d give %.1f times the speed of one.", d->threads, speedup);
    if (d->waited > 0.2)
        advise(s, "Threads wait %.0f %% of the time for each other: the steps are short for so many.", 100 * d->waited);
}

/* Decode reads every weight once for each token, so its speed has a ceiling: bandwidth / bytes. */
static void advise_on_memory(struct cut_survey *s, const struct cut_survey_point *d) {
    double share = s->bandwidth > 0 ? d->read / s->bandwidth : 0, gb = d->read / 1e9;
    if (share > 1.1)
        advise(s,
               "Decode reads %.1f GB/s, and memory gives %.1f: the model lies in the caches. A larger one would not run so fast.",
               gb, s->bandwidth / 1e9);
    else if (share > 0.6)
        advise(s,
               "Decode reads %.1f GB/s, %.0f %% of what memory gives: fewer bits to a weight would be faster, more flops would not.",
               gb, 100 * share);
    else if (share > 0)
        advise(s, "Decode reads %.1f GB/s, %.0f %% of what memory gives: arithmetic or waiting holds it up, not memory.", gb,
               100 * share);
}

static void advise_on_prompts(struct cut_survey *s) {
    if (s->n_prompts < 2) return;
    const struct cut_survey_point *shortest = &s->prompt[0], *longest = &s->prompt[s->n_prompts - 1];
    double gain = longest->tps.median / shortest->tps.median;
    if (gain > 1.15)
        advise(s, "Long prompts run better: %d tokens at %.1f times the rate of %d. Weights are read once for all of them.",
               longest->tokens, gain, shortest->tokens);
}

static void conclude(struct cut_survey *s) {
    const struct cut_survey_point *d = fastest(s->decode, s->n_threads), *p = fastest(s->prefill, s->n_threads);
    int noisy = 0, all = 2 * s->n_threads + s->n_prompts;
    advise_on_threads(s, d, p);
    advise_on_memory(s, d);
    advise_on_prompts(s);
    for (int i = 0; i < s->n_threads; i++) noisy += s->decode[i].tps.noisy + s->prefill[i].tps.noisy;
    for (int i = 0; i < s->n_prompts; i++) noisy += s->prompt[i].tps.noisy;
    if (noisy)
        advise(s, "%d of %d measurements are noisy (quartiles more than 5 %% apart): something else is running; measure again.",
               noisy, all);
}

/* ---- all of it */

static enum cut_status check(const struct cut_survey_opts *o, struct cut_err *err) {
    int most = (int)CUT_LEN(((struct cut_survey *)0)->decode);
    if (o->n_threads < 1 || o->n_threads > most || o->n_prompts < 0 || o->n_prompts > most)
        return cut_fail(err, CUT_EUSAGE, "a survey of %d thread counts and %d prompts: at least one count, at most %d of each",
                        o->n_threads, o->n_prompts, most);
    for (int i = 0; i < o->n_threads; i++)
        if (o->threads[i] < 1 || o->threads[i] > 256 || (i && o->threads[i] <= o->threads[i - 1]))
            return cut_fail(err, CUT_EUSAGE, "threads %d: counts must rise, in [1, 256]", o->threads[i]);
    for (int i = 0; i < o->n_prompts; i++)
        if (o->prompts[i] < 1 || (i && o->prompts[i] <= o->prompts[i - 1]))
            return cut_fail(err, CUT_EUSAGE, "a prompt of %d tokens: lengths must rise, from 1", o->prompts[i]);
    return CUT_OK;
}

enum cut_status cut_survey(const struct cut_model *m, const struct cut_survey_opts *o, cut_progress_fn progress, void *user,
                           struct cut_survey *out,
                           struct cut_err *err) {
    struct cut_survey s = { .n_threads = o->n_threads, .n_prompts = o->n_prompts };
    enum cut_status st = check(o, err);
    if (st) return st;
    int total = 2 * o->n_threads + o->n_prompts + 1, made = 0;
    struct span span = { progress, user, 0, 0 };
#define NEXT() (span.from = (double)made / total, span.to = (double)++made / total, &span)
    for (int i = 0; !st && i < o->n_threads; i++) {
        s.decode[i] = (struct cut_survey_point){ .threads = o->threads[i], .tokens = o->tokens };
        s.prefill[i] = (struct cut_survey_point){ .threads = o->threads[i], .tokens = o->prompt, .prefill = true };
        st = measure(m, o, &s.decode[i], NEXT(), err);
        if (!st) st = measure(m, o, &s.prefill[i], NEXT(), err);
    }
    int threads = st ? 1 : fastest(s.prefill, s.n_threads)->threads;
    for (int i = 0; !st && i < o->n_prompts; i++) {
        s.prompt[i] = (struct cut_survey_point){ .threads = threads, .tokens = o->prompts[i], .prefill = true };
        st = measure(m, o, &s.prompt[i], NEXT(), err);
    }
    struct cut_session *session = NULL;
    if (!st) st = cut_session_new(&session, m, &(struct cut_session_opts){ .kv_type = CUT_F16, .tier = o->tier }, err);
    if (!st) {
        s.memory = cut_session_memory(session);
        process_memory(&s.resident, &s.virtual_);
    }
    cut_session_free(session);
    if (!st) {
        struct cut_peaks peaks;
        int most = o->threads[o->n_threads - 1];
        st = cut_peaks(&peaks, &(struct cut_peaks_opts){ .threads = most, .seconds = 1e-4, .bytes = (size_t)128 << 20 },
                       within, NEXT(), err);
        if (!st) s.bandwidth = cut_peak_rate(&peaks, CUT_PEAK_READ, CUT_TIER_AUTO, most);
    }
#undef NEXT
    if (st) return st;
    conclude(&s);
    *out = s;
    return CUT_OK;
}
