/* profile.c - where the time of a pass goes: a clock around every thread's share of every step.
 *
 * A thread that is done waits for the slowest at the barrier, so a step lasts from the moment all were through with the step
 * before to the moment all are through with it. Steps then add up to the pass by construction, and what a thread did not
 * work of a step's length it waited: for the others, and for the news to reach it. */
#include "engine/run/session.h"

enum cut_status cut_session_profile(struct cut_session *s, bool on, struct cut_err *err) {
    struct cut_profiler *p = &s->profiler;
    p->on = false;
    if (!on) return CUT_OK;
    int n_steps = s->fused.program.n_steps, n_threads = cut_pool_size(s->opts.pool);
    if (!p->span) p->span = cut_calloc((size_t)n_steps * (size_t)n_threads, sizeof *p->span, "profile", err);
    if (!p->step) p->step = cut_calloc((size_t)n_steps, sizeof *p->step, "profile", err);
    if (!p->span || !p->step) return CUT_ENOMEM;
    p->on = true;
    return CUT_OK;
}

/* The name of a step that makes several values: what it ends in. */
static const char *step_name(const struct cut_session *s, struct cut_prog_step step) {
    return s->graph.node[step.first + step.n - 1].name;
}

bool cut_session_profiled(struct cut_session *s, struct cut_profile *out) {
    struct cut_profiler *p = &s->profiler;
    const struct cut_program *program = &s->fused.program;
    int n_threads = cut_pool_size(s->opts.pool);
    if (!p->on || !p->filled) return false;
    int64_t through = 0;
    for (int i = 0; i < program->n_steps; i++) {
        struct cut_prog_step step = program->step[i];
        const struct cut_span *span = p->span + (size_t)i * (size_t)n_threads;
        struct cut_profile_step *to = &p->step[i];
        *to = (struct cut_profile_step){ .name = step_name(s, step), .first = step.first, .n = step.n,
                                         .layer = s->graph.node[step.first].layer, .t0 = through };
        if (i == 0) to->t0 = span[0].t0;
        for (int t = 0; t < n_threads; t++) {
            if (i == 0 && span[t].t0 < to->t0) to->t0 = span[t].t0;
            if (span[t].t1 > through) through = span[t].t1;
        }
        to->t1 = through;
        for (int k = step.first; k < step.first + step.n; k++) {
            uint64_t bytes, flops;
            cut_session_cost(s, k, &bytes, &flops);
            to->bytes += bytes;
            to->flops += flops;
        }
    }
    *out = (struct cut_profile){ .n_steps = program->n_steps, .n_threads = n_threads, .step = p->step, .span = p->span,
                                 .wall = p->wall, .n_tokens = s->T, .n_cells = s->P };
    return true;
}

void cut_profiler_done(struct cut_profiler *p) {
    free(p->span);
    free(p->step);
}
