/* same.c - do two ways to run a model give the same bytes, and if not, which step is the first that differs?
 *
 * Sums of floats depend on their order. Threads share out rows, tokens and heads and never a sum, so another number of threads must
 * not change a bit; another tier of kernels adds in another order and does, and so do threads that split sums (CUT_REDUCE_SPLIT_K).
 * Each side makes one pass of several tokens and one of a single token behind them, first freely (fused, as it runs in earnest), where
 * the logits are compared; then with every value kept, where the steps are, in their order. */
#include <math.h>

#include "engine/base/base.h"

struct side { struct cut_pool *pool; struct cut_session *s; };

static void side_done(struct side *d) {
    cut_session_free(d->s);
    cut_pool_free(d->pool);
    *d = (struct side){ 0 };
}

static enum cut_status side_init(struct side *d, const struct cut_model *m, const struct cut_same_side *o, int tokens, bool keep,
                                 struct cut_err *err) {
    enum cut_status st = cut_pool_new(&d->pool, o->threads, err);
    struct cut_session_opts so = { .n_ctx = tokens + 1, .kv_type = CUT_F16, .tier = o->tier, .reduce = o->reduce, .attn = o->attn,
                                  .keep = keep, .pool = d->pool };
    if (!st) st = cut_session_new(&d->s, m, &so, err);
    if (st) side_done(d);
    return st;
}

/* How far all of it is does not depend on how far a pass is; but it can be stopped there. */
struct listener { cut_progress_fn progress; void *user; double part; };
static bool listen(void *user, double part, const char *what) {
    const struct listener *l = user;
    (void)part;
    return l->progress(l->user, l->part, what);
}

static enum cut_status pass(struct cut_session *s, const int32_t *ids, int n, struct listener *l, struct cut_err *err) {
    enum cut_status st = cut_session_feed(s, 0, ids, n, 0, err);
    const char *what = cut_session_opts(s)->keep ? "step by step" : "the logits";
    l->part += 0.125;
    return st ? st : cut_session_run_aside(s, 0, l->progress ? listen : NULL, l, what, err);
}

/* The first value that is not the same bytes: where, and how far apart at most. */
static bool differs(const struct cut_tensor *a, const struct cut_tensor *b, struct cut_same *out) {
    int64_t n = 1, at = 0;
    for (int i = 0; i < a->n_dims; i++) n *= a->ne[i];
    if (!a->data || !b->data || !memcmp(a->data, b->data, (size_t)n * sizeof *a->data)) return false;
    while (!memcmp(&a->data[at], &b->data[at], sizeof *a->data)) at++;
    out->col = at % a->ne[0];
    out->row = at / a->ne[0];
    out->a = a->data[at];
    out->b = b->data[at];
    out->ulps = cut_ulps_apart(a->data, b->data, (int)n);
    return true;
}

static enum cut_status compare_steps(struct cut_session *a, struct cut_session *b, int pass, struct cut_same *out, struct cut_err *err) {
    enum cut_status st = CUT_OK;
    out->n_steps = cut_session_n_steps(a);
    for (int i = 0; i < out->n_steps && !st; i++) {
        struct cut_tensor x, y;
        struct cut_same first = *out;
        st = cut_session_value(a, i, &x, err);
        if (!st) st = cut_session_value(b, i, &y, err);
        if (st || !differs(&x, &y, out->n_differ ? &first : out)) continue;
        if (!out->n_differ++) {
            const struct cut_step *step = cut_session_step_at(a, i);
            out->step = i;
            out->pass = pass;
            snprintf(out->name, sizeof out->name, "%s", step->name);
            snprintf(out->op, sizeof out->op, "%s", step->op);
            snprintf(out->weight, sizeof out->weight, "%s", step->weight ? step->weight : "");
        }
    }
    return st;
}

/* Two passes on both sides; look at the logits, or, with every value kept, at all steps. */
static enum cut_status both(const struct cut_model *m, const struct cut_same_side *a, const struct cut_same_side *b, const int32_t *ids,
                            int tokens, bool keep, struct listener *l, struct cut_same *out, struct cut_err *err) {
    struct side x = { 0 }, y = { 0 };
    int n_vocab = cut_model_config(m)->n_vocab;
    enum cut_status st = side_init(&x, m, a, tokens, keep, err);
    if (!st) st = side_init(&y, m, b, tokens, keep, err);
    for (int i = 0; i < 2 && !st; i++) {
        st = pass(x.s, ids + (i ? tokens : 0), i ? 1 : tokens, l, err);
        if (!st) st = pass(y.s, ids + (i ? tokens : 0), i ? 1 : tokens, l, err);
        if (st) break;
        const float *p = cut_session_logits(x.s, -1), *q = cut_session_logits(y.s, -1);
        if (!keep) {
            out->same = out->same && !memcmp(p, q, (size_t)n_vocab * sizeof *p);
            out->logits_ulps = fmax(out->logits_ulps, cut_ulps_apart(p, q, n_vocab));
        } else if (!out->n_differ) st = compare_steps(x.s, y.s, i, out, err);
    }
    side_done(&x);
    side_done(&y);
    return st;
}

enum cut_status cut_same_bytes(const struct cut_model *m, const struct cut_same_side *a, const struct cut_same_side *b, int tokens,
                               cut_progress_fn progress, void *user, struct cut_same *out, struct cut_err *err) {
    enum { MOST = 64 };
    struct cut_same r = { .same = true, .step = -1 };
    struct listener l = { progress, user, 0 };
    int32_t ids[MOST + 1];
    if (tokens < 1 || tokens > MOST) return cut_fail(err, CUT_EUSAGE, "%d tokens to compare: must be in [1, %d]", tokens, MOST);
    for (int i = 0; i <= tokens; i++) ids[i] = (int32_t)((uint32_t)i * 2654435761u % (uint32_t)cut_model_config(m)->n_vocab);
    enum cut_status st = both(m, a, b, ids, tokens, false, &l, &r, err);
    if (!st) st = both(m, a, b, ids, tokens, true, &l, &r, err);
    if (!st) *out = r;
    return st;
}
