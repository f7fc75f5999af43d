/* control.c - run, step, back, seek: the debugger's keys.
 *
 * A place in the run is (pass, step). In keep mode a pass's values are written once and never overwritten within it, so going back
 * inside a pass only moves the mark; going back further takes the cache back to that pass's start and runs again. Either way the state
 * is exactly what it was. */
#include "engine/run/session.h"

static bool cancelled(struct cut_session *s, struct cut_err *err) {
    if (!atomic_exchange(&s->cancel, false)) return false;
    cut_fail(err, CUT_ECANCEL, "cancelled");
    return true;
}

/* Run the kept program up to step `to` of the present pass, stopping at breakpoints if `stops` says so. */
static enum cut_status run_kept(struct cut_session *s, int to, bool *stops, struct cut_err *err) {
    enum cut_status st;
    while (s->pc < to) {
        int i = s->pc;
        if (cancelled(s, err)) return CUT_ECANCEL;
        bool here_before = s->stop_pass == s->cur && s->stop_at == i;
        if (stops && !here_before && cut_break_before(s, i)) {
            s->stop_pass = s->cur;
            s->stop_at = i;
            *stops = true;
            return CUT_OK;
        }
        if (!cut_node_is_derived(s, i)) cut_pass_run_node(s, i);
        s->pc = i + 1;
        s->count.steps++;
        if ((st = cut_watch_node(s, i, err))) return st;
        if (stops && cut_break_after(s, i)) {
            *stops = true;
            return CUT_OK;
        }
    }
    if (stops) *stops = false;
    return CUT_OK;
}

enum cut_status cut_session_run(struct cut_session *s, enum cut_stop *why, struct cut_err *err) {
    enum cut_status st;
    if (why) *why = CUT_STOP_DONE;
    if (cancelled(s, err)) return CUT_ECANCEL;
    for (;;) {
        if (s->pc == s->graph.n) {
            if (!cut_pass_more(s)) return CUT_OK;
            if ((st = cut_pass_begin(s, err))) return st;
        }
        bool stopped = false;
        st = s->in_kept ? run_kept(s, s->graph.n, &stopped, err) : cut_pass_run_fused(s, err);
        if (st) return st;
        if (stopped) {
            if (why) *why = CUT_STOP_BREAK;
            return CUT_OK;
        }
    }
}

/* Be inside pass `pass`, with its values kept. */
static enum cut_status enter(struct cut_session *s, int pass, struct cut_err *err) {
    enum cut_status st = CUT_OK;
    s->stepping = true;                /* passes begun now are laid out unfused */
    if (pass < s->cur || (pass == s->cur && !s->in_kept)) cut_pass_rewind(s, pass);
    while (!st && s->cur < pass) {
        st = run_kept(s, s->graph.n, NULL, err);
        if (!st) st = cut_pass_begin(s, err);
    }
    s->stepping = false;
    return st;
}

enum cut_status cut_session_seek(struct cut_session *s, int pass, int step, struct cut_err *err) {
    struct cut_where w = cut_session_where(s);
    if (pass < 0 || pass >= w.n_passes) return cut_fail(err, CUT_EUSAGE, "pass %d is not in 0 to %d", pass, w.n_passes - 1);
    if (step < 0 || step > s->graph.n) return cut_fail(err, CUT_EUSAGE, "step %d is not in 0 to %d", step, s->graph.n);
    if (pass == s->cur && step == s->pc) return CUT_OK;
    enum cut_status st = enter(s, pass, err);
    if (st) return st;
    if (step <= s->pc) {
        /* Only the last step draws random numbers, so before it the state is the one the pass began with. */
        if (s->sampler && step <= s->sample_node && s->pc > s->sample_node) cut_sampler_set_state(s->sampler, s->pass[pass].rng);
        s->pc = step;
        return CUT_OK;
    }
    return run_kept(s, step, NULL, err);
}

enum cut_status cut_session_step(struct cut_session *s, int n, enum cut_stop *why, struct cut_err *err) {
    enum cut_status st = CUT_OK;
    if (n < 0) return cut_fail(err, CUT_EUSAGE, "steps: %d is below 0", n);
    if (why) *why = CUT_STOP_STEP;
    while (n > 0 && !st) {
        if (s->pc == s->graph.n) {
            if (!cut_pass_more(s)) {
                if (why) *why = CUT_STOP_DONE;
                return CUT_OK;
            }
            if ((st = enter(s, s->cur + 1, err))) return st;
        }
        int stride = cut_min(n, s->graph.n - s->pc);
        st = run_kept(s, s->pc + stride, NULL, err);
        n -= stride;
    }
    return st;
}

enum cut_status cut_session_back(struct cut_session *s, int n, struct cut_err *err) {
    if (n < 0) return cut_fail(err, CUT_EUSAGE, "steps: %d is below 0", n);
    if (s->cur < 0) return CUT_OK;
    int64_t at = (int64_t)s->cur * s->graph.n + s->pc - n;
    if (at < 0) at = 0;
    return cut_session_seek(s, (int)(at / s->graph.n), (int)(at % s->graph.n), err);
}

struct cut_where cut_session_where(const struct cut_session *s) {
    int done = s->cur < 0 ? 0 : s->pass[s->cur].first + s->pass[s->cur].n;
    int formed = s->n_pass ? s->pass[s->n_pass - 1].first + s->pass[s->n_pass - 1].n : 0, rest = s->n_fed - formed;
    return (struct cut_where){ .pass = cut_max(0, s->cur), .n_passes = s->n_pass + (rest + cut_pass_limit(s) - 1) / cut_pass_limit(s),
                               .step = s->cur < 0 ? 0 : s->pc, .n_steps = s->graph.n, .n_tokens = s->cur < 0 ? 0 : s->pass[s->cur].n,
                               .pos = s->cur < 0 ? 0 : s->fed[s->pass[s->cur].first].pos, .n_queued = s->n_fed - done };
}

int cut_session_pass_of(const struct cut_session *s, int seq, int pos, int *row) {
    for (int i = 0; i < s->n_fed; i++)
        if (s->fed[i].seq == seq && s->fed[i].pos == pos) {
            int p = 0, formed = s->n_pass ? s->pass[s->n_pass - 1].first + s->pass[s->n_pass - 1].n : 0;
            if (i >= formed) {         /* not formed yet: the bounds it will have if nothing else is fed */
                if (row) *row = (i - formed) % cut_pass_limit(s);
                return s->n_pass + (i - formed) / cut_pass_limit(s);
            }
            while (i >= s->pass[p].first + s->pass[p].n) p++;
            if (row) *row = i - s->pass[p].first;
            return p;
        }
    return -1;
}
