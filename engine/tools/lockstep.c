/* lockstep.c - several builds of a model decode one prompt together, and what they predict is compared token by token.
 *
 * Sequence 0 of every session holds the common text, the reference's. Sequence 1 holds what a build writes by itself from its first
 * divergence on: a fork that shares the cells before it (Kwon et al. 2023, section 4.4). Sequence 2 is where a token is evaluated once
 * more, step by step, to see where the error enters.
 *
 * A build evaluates its fork first and the common text last, so that the logits of the common text are there when all builds are
 * compared. Each remembers what it has evaluated, so a cancelled step can be taken up again: nothing is drawn, and nothing appended,
 * before the evaluation it depends on is complete. */
#include <math.h>
#include <stdatomic.h>

#include "engine/tools/damage.h"

enum { COMMON, FORK, SCRATCH, SEQUENCES };

struct build {
    const struct cut_model *model;
    struct cut_session *session;
    struct cut_sampler *sampler, *fork_sampler;
    struct cut_lock_token *token;      /* [cap]: what it made of each token of the text */
    struct cut_tally tally;
    int evaluated;                     /* tokens of the text in its cache */
    double decode_s;
    int decoded;

    int diverged;                      /* -1: not yet */
    int32_t *fork;                     /* [cap]: its own tokens from there on */
    int n_fork, fork_evaluated;
    int turn;                          /* steps in which its fork had its turn */
    bool fork_ended;
};

struct cut_lockstep {
    struct cut_lockstep_opts opts;
    struct build build[CUT_LOCKSTEP_MAX];
    int n_builds, n_vocab;
    int32_t *text;
    int n_text, n_prompt, cap;         /* cap: of the prompt and all that is generated */
    int compared;                      /* tokens whose predictions were compared */
    int turn;                          /* steps completed */
    bool ended;

    float *resid_ref, *resid;          /* [n_layer][n_embd]: of the reference for token resid_at, and of a build */
    int resid_at;
};

/* ---- making one */

static enum cut_status same_vocabulary(const struct cut_model *a, const struct cut_model *b, struct cut_err *err) {
    const struct cut_vocab *va = cut_model_vocab(a), *vb = cut_model_vocab(b);
    const char *name_a = cut_gguf_head(cut_model_gguf(a))->name, *name_b = cut_gguf_head(cut_model_gguf(b))->name;
    if (va == vb) return CUT_OK;
    int na = cut_model_config(a)->n_vocab, nb = cut_model_config(b)->n_vocab;
    if (na != nb) return cut_fail(err, CUT_EUSAGE, "%s has %d tokens, %s has %d: the vocabularies differ", name_a, na, name_b, nb);
    for (int i = 0; i < cut_vocab_size(va) && i < cut_vocab_size(vb); i++)
        if (strcmp(cut_vocab_piece(va, i), cut_vocab_piece(vb, i)))
            return cut_fail(err, CUT_EUSAGE, "%s and %s: the vocabularies differ, first in token %d", name_a, name_b, i);
    return CUT_OK;
}

static enum cut_status init_build(struct cut_lockstep *l, int i, const struct cut_model *m, struct cut_err *err) {
    struct build *b = &l->build[i];
    const struct cut_lockstep_opts *o = &l->opts;
    struct cut_sampler_opts so = o->sampler;
    struct cut_session_opts session = { .n_ctx = l->cap, .n_batch = o->n_batch, .n_seq = SEQUENCES, .kv_type = o->kv_type, .tier = o->tier,
                                        .activations_f32 = o->activations_f32, .pool = o->pool };
    b->model = m;
    b->diverged = -1;
    if (o->own_seeds) so.seed += (uint64_t)i;
    enum cut_status st = cut_session_new(&b->session, m, &session, err);
    if (!st) st = cut_sampler_new(&b->sampler, l->n_vocab, &so, err);
    if (!st) st = cut_sampler_new(&b->fork_sampler, l->n_vocab, &so, err);
    if (!st) st = cut_tally_init(&b->tally, (size_t)l->cap, err);
    if (!st && (!(b->token = cut_calloc((size_t)l->cap, sizeof *b->token, "comparisons", err)) ||
                !(b->fork = cut_calloc((size_t)l->cap, sizeof *b->fork, "a fork's tokens", err))))
        st = CUT_ENOMEM;
    for (int k = 0; !st && k < l->cap; k++) b->token[k].choice = -1;
    return st;
}

enum cut_status cut_lockstep_new(struct cut_lockstep **out, const struct cut_model *const *build, int n_builds, const int32_t *prompt,
                                 int n_prompt, const struct cut_lockstep_opts *o, struct cut_err *err) {
    if (n_builds < 1 || n_builds > CUT_LOCKSTEP_MAX)
        return cut_fail(err, CUT_EUSAGE, "lockstep: %d builds, must be 1 to %d", n_builds, CUT_LOCKSTEP_MAX);
    if (n_prompt < 1) return cut_fail(err, CUT_EUSAGE, "lockstep: a prompt of %d tokens, at least 1", n_prompt);
    if (o->n_predict < 0 || o->n_predict > 1 << 20 || n_prompt > 1 << 20)
        return cut_fail(err, CUT_EUSAGE, "lockstep: %d tokens after a prompt of %d, at most %d", o->n_predict, n_prompt, 1 << 20);
    struct cut_lockstep *l = cut_calloc(1, sizeof *l, "lockstep", err);
    if (!l) return CUT_ENOMEM;
    l->opts = *o;
    if (!l->opts.n_predict) l->opts.n_predict = 64;
    if (!l->opts.n_batch) l->opts.n_batch = 16;
    l->n_builds = n_builds;
    l->n_vocab = cut_model_config(build[0])->n_vocab;
    l->cap = n_prompt + l->opts.n_predict;
    l->n_text = l->n_prompt = n_prompt;
    l->resid_at = -1;
    enum cut_status st = CUT_OK;
    for (int i = 0; !st && i < n_builds; i++) {
        st = same_vocabulary(build[0], build[i], err);
        if (!st) st = init_build(l, i, build[i], err);
    }
    for (int i = 0; !st && i < n_prompt; i++)
        if (prompt[i] < 0 || prompt[i] >= l->n_vocab)
            st = cut_fail(err, CUT_EUSAGE, "lockstep: token %d of the prompt: id %d is not in 0 to %d", i, prompt[i], l->n_vocab - 1);
    if (!st && !(l->text = cut_calloc((size_t)l->cap, sizeof *l->text, "the text", err))) st = CUT_ENOMEM;
    if (st) {
        cut_lockstep_free(l);
        return st;
    }
    memcpy(l->text, prompt, (size_t)n_prompt * sizeof *prompt);
    *out = l;
    return CUT_OK;
}

void cut_lockstep_free(struct cut_lockstep *l) {
    if (!l) return;
    for (int i = 0; i < l->n_builds; i++) {
        struct build *b = &l->build[i];
        cut_session_free(b->session);
        cut_sampler_free(b->sampler);
        cut_sampler_free(b->fork_sampler);
        cut_tally_done(&b->tally);
        free(b->token);
        free(b->fork);
    }
    free(l->text);
    free(l->resid_ref);
    free(l->resid);
    free(l);
}

/* ---- one step */

/* Evaluate tokens at positions [from, from + n) of a sequence. A cancelled try may have left some queued: they go first. */
static enum cut_status evaluate(struct build *b, int seq, const int32_t *ids, int from, int n, struct cut_err *err) {
    enum cut_status st = cut_session_truncate(b->session, seq, from, err);
    if (!st) st = cut_session_feed(b->session, seq, ids, n, seq == COMMON ? CUT_FEED_ALL_LOGITS : 0, err);
    if (!st) st = cut_session_run(b->session, NULL, err);
    return st;
}

static bool fork_runs(const struct cut_lockstep *l, const struct build *b) {
    return b->diverged >= 0 && !b->fork_ended && b->diverged + b->n_fork < l->cap;
}

/* Append a token to a build's own text. */
static void push_fork(struct build *b, int32_t id) {
    b->fork[b->n_fork++] = id;
    b->fork_ended = cut_vocab_is_end(cut_model_vocab(b->model), id);
}

/* The build's own text, one token further. */
static enum cut_status step_fork(struct cut_lockstep *l, struct build *b, struct cut_err *err) {
    int at = b->fork_evaluated, n;
    if (!fork_runs(l, b) || b->turn > l->turn) return CUT_OK;
    enum cut_status st = evaluate(b, FORK, b->fork + at, b->diverged + at, 1, err);
    if (st) return st;
    b->fork_evaluated++;
    b->turn = l->turn + 1;
    const int32_t *history = cut_session_tokens(b->session, FORK, &n);
    push_fork(b, cut_sampler_next(b->fork_sampler, cut_session_logits(b->session, -1), history, n));
    return CUT_OK;
}

static enum cut_status step_common(struct cut_lockstep *l, struct build *b, int to, struct cut_err *err) {
    int from = b->evaluated;
    if (from == to) return CUT_OK;
    double t0 = cut_clock();
    enum cut_status st = evaluate(b, COMMON, l->text + from, from, to - from, err);
    if (st) return st;
    b->evaluated = to;
    if (from >= l->n_prompt) {         /* the prompt's passes are of many tokens: no measure of decoding */
        b->decode_s += cut_clock() - t0;
        b->decoded++;
    }
    return CUT_OK;
}

/* Compare what build b and the reference predict after token i - 1, that is for token i, which is known by now. */
static void compare(struct cut_lockstep *l, struct build *b, int row, int i) {
    const float *ref = cut_session_logits(l->build[0].session, row), *x = cut_session_logits(b->session, row);
    struct cut_divergence d;
    cut_diverge(ref, x, l->n_vocab, l->text[i], &d);
    cut_tally_add(&b->tally, &d);
    struct cut_lock_token *t = &b->token[i];
    t->scored = true;
    t->kl = (float)d.kl;
    t->p_ref = (float)exp(d.logp);
    t->p = (float)exp(d.logq);
    t->top_ref = d.top_ref;
    t->top = d.top;
    t->p_top_ref = (float)d.p_top_ref;
    t->p_top = (float)d.p_top;
}

static int32_t choose(struct build *b) {
    int n;
    const int32_t *history = cut_session_tokens(b->session, COMMON, &n);
    return cut_sampler_next(b->sampler, cut_session_logits(b->session, -1), history, n);
}

/* From here on the build also writes a text of its own, with the random numbers it would have drawn alone. */
static enum cut_status diverge(struct build *b, int at, int32_t choice, struct cut_err *err) {
    enum cut_status st = cut_session_fork(b->session, COMMON, FORK, err);
    if (st) return st;
    cut_sampler_set_state(b->fork_sampler, cut_sampler_state(b->sampler));
    b->diverged = at;
    push_fork(b, choice);
    return CUT_OK;
}

/* The reference chooses the next token; each build says what it would have chosen. */
static enum cut_status extend(struct cut_lockstep *l, struct cut_err *err) {
    int at = l->n_text;
    enum cut_status st = CUT_OK;
    l->text[l->n_text++] = choose(&l->build[0]);
    l->ended = cut_vocab_is_end(cut_model_vocab(l->build[0].model), l->text[at]);
    l->build[0].token[at].choice = l->text[at];
    for (int i = 1; i < l->n_builds; i++) l->build[i].token[at].choice = choose(&l->build[i]);
    for (int i = 0; i < l->n_builds; i++) compare(l, &l->build[i], -1, at);
    for (int i = 1; !st && i < l->n_builds; i++) {     /* last: a fork forgets the logits */
        struct build *b = &l->build[i];
        if (b->diverged < 0 && b->token[at].choice != l->text[at]) st = diverge(b, at, b->token[at].choice, err);
    }
    return st;
}

enum cut_status cut_lockstep_step(struct cut_lockstep *l, bool *done, struct cut_err *err) {
    enum cut_status st = CUT_OK;
    bool more = !l->ended && l->n_text < l->cap;
    int from = l->compared, to = more ? cut_min(l->n_text, from + (from < l->n_prompt ? l->opts.n_batch : 1)) : from;
    *done = false;
    for (int i = 0; !st && i < l->n_builds; i++) {
        st = step_fork(l, &l->build[i], err);
        if (!st) st = step_common(l, &l->build[i], to, err);
    }
    if (st == CUT_ECANCEL)
        for (int i = 0; i < l->n_builds; i++) cut_session_uncancel(l->build[i].session);
    if (st) return st;
    for (int i = from + 1; i <= to && i < l->n_text; i++)
        for (int k = 0; k < l->n_builds; k++) compare(l, &l->build[k], i - 1 - from, i);
    l->compared = to;
    l->turn++;
    if (more && to == l->n_text) st = extend(l, err);
    *done = l->ended || l->n_text == l->cap;
    for (int i = 1; i < l->n_builds; i++) *done = *done && !fork_runs(l, &l->build[i]);
    return st;
}

void cut_lockstep_cancel(struct cut_lockstep *l) {
    for (int i = 0; i < l->n_builds; i++) cut_session_cancel(l->build[i].session);
}

/* ---- looking */

int cut_lockstep_builds(const struct cut_lockstep *l) { return l->n_builds; }

static const struct build *build_at(const struct cut_lockstep *l, int i) { return i >= 0 && i < l->n_builds ? &l->build[i] : NULL; }

const struct cut_session *cut_lockstep_session(const struct cut_lockstep *l, int build) {
    const struct build *b = build_at(l, build);
    return b ? b->session : NULL;
}

const int32_t *cut_lockstep_text(const struct cut_lockstep *l, int *n, int *n_prompt) {
    *n = l->n_text;
    if (n_prompt) *n_prompt = l->n_prompt;
    return l->text;
}

const struct cut_lock_token *cut_lockstep_token(const struct cut_lockstep *l, int build, int i) {
    const struct build *b = build_at(l, build);
    return b && i >= 0 && i < l->n_text ? &b->token[i] : NULL;
}

int cut_lockstep_diverged(const struct cut_lockstep *l, int build) {
    const struct build *b = build_at(l, build);
    return b ? b->diverged : -1;
}

const int32_t *cut_lockstep_fork(const struct cut_lockstep *l, int build, int *n, bool *ended) {
    const struct build *b = build_at(l, build);
    *n = b ? b->n_fork : 0;
    *ended = b && b->fork_ended;
    return b ? b->fork : NULL;
}

void cut_lockstep_summary(const struct cut_lockstep *l, int build, struct cut_lock_build *out) {
    const struct build *b = build_at(l, build);
    *out = (struct cut_lock_build){ 0 };
    if (!b) return;
    const struct cut_config *c = cut_model_config(b->model);
    cut_tally_tell(&b->tally, &out->damage);
    out->bytes = c->weight_bytes;
    out->bits = 8 * (double)c->weight_bytes / (double)c->n_params;
    out->decode_s = b->decode_s;
    out->decoded = b->decoded;
    out->tps = b->decode_s > 0 ? b->decoded / b->decode_s : 0;
    out->counters = cut_session_counters(b->session);
}

/* ---- where the error enters */

/* Token i of the text evaluated once more by a build, on a scratch fork, every value kept until tidied up. */
static enum cut_status evaluate_kept(struct cut_lockstep *l, struct build *b, int i, struct cut_err *err) {
    struct cut_session *s = b->session;
    /* What a cancelled step left: tokens queued, and tokens evaluated but not compared, whose logits are lost now. */
    b->evaluated = cut_min(b->evaluated, l->compared);
    enum cut_status st = cut_session_truncate(s, COMMON, b->evaluated, err);
    if (!st && b->diverged >= 0) st = cut_session_truncate(s, FORK, b->diverged + b->fork_evaluated, err);
    if (!st) st = cut_session_fork(s, COMMON, SCRATCH, err);
    if (!st) st = cut_session_truncate(s, SCRATCH, i, err);
    if (!st) st = cut_session_feed(s, SCRATCH, l->text + i, 1, 0, err);
    if (!st) st = cut_session_step(s, cut_session_n_steps(s), NULL, err);
    return st;
}

static enum cut_status tidy(struct build *b, enum cut_status st, struct cut_err *err) {
    enum cut_status tidied = cut_session_truncate(b->session, SCRATCH, 0, st ? NULL : err);
    return st ? st : tidied;
}

/* The residual stream after each layer for token i. */
static enum cut_status residuals(struct cut_lockstep *l, struct build *b, int i, float *out, struct cut_err *err) {
    const struct cut_config *c = cut_model_config(b->model);
    enum cut_status st = evaluate_kept(l, b, i, err);
    for (int il = 0; !st && il < c->n_layer; il++) {
        char name[40];
        struct cut_tensor t;
        snprintf(name, sizeof name, "blk.%d.resid_post", il);
        st = cut_session_value(b->session, cut_session_find_step(b->session, name), &t, err);
        if (!st) memcpy(out + (size_t)il * (size_t)c->n_embd, t.data, (size_t)c->n_embd * sizeof *out);
    }
    return tidy(b, st, err);
}

static float relative_error(const float *x, const float *y, int n) {
    double diff = 0, size = 0;
    for (int i = 0; i < n; i++) {
        diff += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        size += (double)x[i] * (double)x[i];
    }
    return (float)(size > 0 ? sqrt(diff / size) : 0);
}

enum cut_status cut_lockstep_layers(struct cut_lockstep *l, int build, int i, float threshold, float *error, int *first,
                                    struct cut_err *err) {
    if (!build_at(l, build)) return cut_fail(err, CUT_EUSAGE, "lockstep: build %d is not in 0 to %d", build, l->n_builds - 1);
    struct build *ref = &l->build[0], *b = &l->build[build];
    const struct cut_config *c = cut_model_config(ref->model), *cb = cut_model_config(b->model);
    size_t size = (size_t)c->n_layer * (size_t)c->n_embd;
    if (c->n_layer != cb->n_layer || c->n_embd != cb->n_embd)
        return cut_fail(err, CUT_EUSAGE, "lockstep: build %d has %d layers of %d, the reference %d of %d", build, cb->n_layer, cb->n_embd,
                        c->n_layer, c->n_embd);
    if (i < 0 || i >= l->compared)
        return cut_fail(err, CUT_EUSAGE, "lockstep: token %d is not evaluated; %d tokens are", i, l->compared);
    if (!l->resid_ref && !(l->resid_ref = cut_calloc(size, sizeof *l->resid_ref, "residuals", err))) return CUT_ENOMEM;
    if (!l->resid && !(l->resid = cut_calloc(size, sizeof *l->resid, "residuals", err))) return CUT_ENOMEM;
    enum cut_status st = CUT_OK;
    if (l->resid_at != i) {
        l->resid_at = -1;
        st = residuals(l, ref, i, l->resid_ref, err);
        if (!st) l->resid_at = i;
    }
    if (!st) st = residuals(l, b, i, l->resid, err);
    if (st == CUT_ECANCEL)
        for (int k = 0; k < l->n_builds; k++) cut_session_uncancel(l->build[k].session);
    if (st) return st;
    *first = -1;
    for (int il = c->n_layer - 1; il >= 0; il--) {
        size_t at = (size_t)il * (size_t)c->n_embd;
        error[il] = relative_error(l->resid_ref + at, l->resid + at, c->n_embd);
        if (error[il] > threshold) *first = il;
    }
    return CUT_OK;
}

/* The reference's step and the build's of the same name, as floats of the same number; false: one of them has no such value. */
static bool both_values(struct cut_session *ref, struct cut_session *s, int step, struct cut_tensor *x, struct cut_tensor *y) {
    int same = cut_session_find_step(s, cut_session_step_at(ref, step)->name);
    return same >= 0 && !cut_session_value(ref, step, x, NULL) && !cut_session_value(s, same, y, NULL) && x->data && y->data &&
           x->ne[0] * x->ne[1] * x->ne[2] == y->ne[0] * y->ne[1] * y->ne[2];
}

enum cut_status cut_lockstep_first(struct cut_lockstep *l, int build, int i, float threshold, struct cut_lockstep_op *out,
                                   struct cut_err *err) {
    if (!build_at(l, build)) return cut_fail(err, CUT_EUSAGE, "lockstep: build %d is not in 0 to %d", build, l->n_builds - 1);
    if (i < 0 || i >= l->compared)
        return cut_fail(err, CUT_EUSAGE, "lockstep: token %d is not evaluated; %d tokens are", i, l->compared);
    struct build *ref = &l->build[0], *b = &l->build[build];
    struct cut_lockstep_op found = { "", 0 };
    enum cut_status st = evaluate_kept(l, ref, i, err);
    if (!st && b != ref) st = evaluate_kept(l, b, i, err);
    int last = cut_session_n_steps(ref->session) - 1;          /* which chooses a token: no value to be close to */
    for (int k = 0; !st && !found.name[0] && k < last; k++) {
        struct cut_tensor x, y;
        if (!both_values(ref->session, b->session, k, &x, &y)) continue;
        float error = relative_error(x.data, y.data, (int)(x.ne[0] * x.ne[1] * x.ne[2]));
        if (!(error > threshold)) continue;
        snprintf(found.name, sizeof found.name, "%s", x.name);
        found.error = error;
    }
    st = tidy(ref, st, err);
    if (b != ref) st = tidy(b, st, err);
    if (st == CUT_ECANCEL)
        for (int k = 0; k < l->n_builds; k++) cut_session_uncancel(l->build[k].session);
    if (!st) *out = found;
    return st;
}
