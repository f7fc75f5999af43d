/* session.h - the inside of a session. Internal to engine/run. */
#ifndef CUT_SESSION_H
#define CUT_SESSION_H

#include <stdatomic.h>

#include "engine/base/pool.h"
#include "engine/graph/program.h"
#include "engine/model/model.h"
#include "engine/run/kv.h"

/* One token of the log: all that was fed since the beginning, evaluated or not. */
struct cut_fed { int32_t id; int seq, pos; bool want; };       /* want: its logits */

/* A pass is a run of the log. Once formed, it keeps its bounds, so that going back and on again repeats it exactly. */
struct cut_pass { int first, n; uint64_t rng; };               /* rng: the sampler's state when it began */

struct cut_probe { int id; char pattern[64]; cut_probe_fn fn; void *user; unsigned flags; };

/* A program with the memory its values live in. */
struct cut_space { struct cut_program program; uint8_t *mem; };

/* Clock readings of the last free pass: see profile.c. */
struct cut_profiler {
    bool on, filled;
    int64_t start, wall;               /* nanoseconds: of the clock, when the pass began; and how long it took */
    struct cut_span *span;             /* [step of the fused program][thread] */
    struct cut_profile_step *step;     /* filled when asked for */
};
void cut_profiler_done(struct cut_profiler *p);

struct cut_session {
    const struct cut_model *model;
    struct cut_session_opts opts;
    struct cut_kernels kern;
    struct cut_arena arena;
    struct cut_graph graph;            /* lowered for this session's kernels */
    const void **panel;                /* per node: its weights' panels; NULL: its product reads rows */
    bool has_panels;                   /* they were asked for, and are of this edition of the model's: */
    unsigned panel_edition;
    struct cut_space fused, kept;      /* kept is laid out when first needed */
    struct cut_step *step;             /* the listing: one per node */
    double *inv_freq;                  /* rope_dim / 2 angular frequencies */
    void **scratch;                    /* one per thread */
    void **part;                       /* split-k, one per thread: its part of a row of activations (q8), then of each row's sum; else NULL */
    size_t part_x, part_bytes;         /* of the former; of both */

    struct cut_kv_cache kv;
    float *queries;                    /* keep: every token's rotated q, [layer][seq][n_ctx][n_head * head_dim] */

    /* tokens */
    struct cut_fed *fed;
    int n_fed, cap_fed;
    struct cut_pass *pass;
    int n_pass;                        /* formed */
    int32_t *seq_ids;                  /* [seq][n_ctx] */
    int *seq_len;                      /* queued ones included */

    /* the pass under way, or the last one */
    int cur;                           /* -1: none yet */
    int pc;                            /* the step that runs next; graph.n: the pass is complete */
    bool in_kept;                      /* its values are in `kept`, all up to pc */
    int T, P, O;
    const struct cut_fed *tok;         /* T of them */
    int *out_row;                      /* O tokens whose logits are wanted */
    float *cos_sin;                    /* [T][rope_dim] */
    int32_t *sampled;                  /* O of them, or -1 */
    bool *ready;                       /* per node: a derived value is computed */
    bool *edited, *trace;              /* per node: an edit reaches it in this pass; and the work space to find out */
    double *time;                      /* per node */
    int stop_at, stop_pass;            /* where the last breakpoint stopped: it does not stop us again */

    atomic_bool cancel;
    atomic_int stop_after;             /* the step after which thread 0 decided to stop */
    bool plain;                        /* see cut_session_is_plain */
    bool stepping;                     /* the pass about to begin is going to be stepped through */
    struct cut_sampler *sampler;
    int logits_node, sample_node;

    struct cut_probe *probe;
    size_t n_probe, cap_probe;
    int last_probe;
    struct cut_break *brk;
    size_t n_break, cap_break;
    struct cut_edit *edit;
    size_t n_edit, cap_edit;

    float *view;                       /* a decoded copy of a value that is not floats */
    size_t cap_view;

    struct cut_profiler profiler;
    struct cut_counters count;
    uint64_t weight_bytes, flops_token, flops_output, flops_cell;   /* per pass, token, output, visible cell */
};

/* ---- session.c */
/* Before a pass: panels that are missing are made, with the session's pool. */
void cut_session_repack(struct cut_session *s);
/* What a pass reads of the weights of node i, a matrix product. */
uint64_t cut_session_weight_bytes(const struct cut_session *s, int i);
/* Make a sequence n tokens longer without evaluating them: their cells get numbers at random. What a cache holds does not matter to
 * the speed of reading it, and filling it so is a thousand times faster. Nothing may be queued; the history begins anew. */
enum cut_status cut_session_pad(struct cut_session *s, int seq, const int32_t *ids, int n, struct cut_err *err);

/* ---- pass.c */
/* Where the two steps stand that are not kernels. */
extern const struct cut_src cut_source_of_embed, cut_source_of_sample;
/* Begin the next pass of the log. There must be a queued token. */
enum cut_status cut_pass_begin(struct cut_session *s, struct cut_err *err);
/* Forget pass `pass` and what follows, as if it had never begun; the log keeps the tokens. */
void cut_pass_rewind(struct cut_session *s, int pass);
/* Run the whole pass fused. CUT_ECANCEL rewinds it. */
enum cut_status cut_pass_run_fused(struct cut_session *s, struct cut_err *err);
/* Run node pc of the kept program with the pool. */
void cut_pass_run_node(struct cut_session *s, int node);
int cut_pass_limit(const struct cut_session *s);                /* the most tokens the next pass may have */
bool cut_pass_more(const struct cut_session *s);                /* is a token queued behind the present pass? */
bool cut_node_is_derived(const struct cut_session *s, int node);  /* scores and pattern beside online softmax */

static inline void *cut_value_at(const struct cut_space *sp, int node) { return sp->mem + sp->program.offset[node]; }
static inline int cut_node_rows(const struct cut_session *s, const struct cut_node *n) {
    return n->ne[2].sym == 'O' ? s->O : s->T;
}
/* The token of the batch behind row r of a value. */
static inline int cut_row_token(const struct cut_session *s, const struct cut_node *n, int r) {
    return n->ne[2].sym == 'O' ? s->out_row[r] : r;
}
static inline float *cut_query_at(const struct cut_session *s, int layer, int seq, int pos) {
    const struct cut_config *c = &s->model->config;
    return s->queries + (((size_t)layer * (size_t)s->opts.n_seq + (size_t)seq) * (size_t)s->opts.n_ctx + (size_t)pos) *
           (size_t)(c->n_head * c->head_dim);
}

/* ---- watch.c */
bool cut_watched(const struct cut_session *s);                  /* must this session run unfused? */
bool cut_break_before(const struct cut_session *s, int node);
bool cut_break_after(struct cut_session *s, int node);
enum cut_status cut_watch_node(struct cut_session *s, int node, struct cut_err *err);   /* edits, then probes */
void cut_watch_update(struct cut_session *s);                   /* after edits or probes changed, or a pass began */

/* ---- value.c */
enum cut_status cut_value_view(struct cut_session *s, int node, struct cut_tensor *out, struct cut_err *err);

#endif
