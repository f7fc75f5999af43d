/* trainer.c - learning: batches through the graph and back, and AdamW.
 *
 * A batch is cut into parts of CUT_TRAIN_PART tokens. Whichever thread is free takes the next part, but each part has a
 * gradient of its own, and the gradients are added in the order of the parts: the weights after a step depend neither
 * on the number of threads nor on which was faster. */
#include <math.h>

#include "engine/train/train.h"

const struct cut_train_opts cut_train_defaults = {
    .steps = 1000, .batch = 4096, .warmup = 100, .lr = 2e-3f, .lr_end = 2e-4f, .beta1 = 0.9f, .beta2 = 0.95f, .decay = 0.1f,
    .clip = 1, .repeats = 0, .repeats_end = 0, .seed = 1,
};

static enum cut_status check(const struct cut_train_opts *o, const struct cut_model *m, struct cut_err *err) {
    const struct cut_config *c = &m->config;
    if (o->steps < 1 || o->steps > 100000000) return cut_fail(err, CUT_EUSAGE, "steps: %d is not in 1 to 100000000", o->steps);
    if (o->batch < CUT_TRAIN_PART || o->batch > 1 << 22 || o->batch % CUT_TRAIN_PART)
        return cut_fail(err, CUT_EUSAGE, "batch: %d tokens; a multiple of %d up to %d is needed", o->batch, CUT_TRAIN_PART, 1 << 22);
    if (!(o->lr > 0 && o->lr < 10 && o->lr_end >= 0 && o->lr_end <= o->lr))
        return cut_fail(err, CUT_EUSAGE, "learning rate: %g to %g; it must be above 0 and must not rise", (double)o->lr, (double)o->lr_end);
    if (o->warmup < 0 || !(o->clip > 0) || !(o->decay >= 0) || !(o->beta1 >= 0 && o->beta1 < 1 && o->beta2 > 0 && o->beta2 < 1))
        return cut_fail(err, CUT_EUSAGE, "warm-up %d, clip %g, decay %g, betas %g and %g: one is out of range", o->warmup,
                        (double)o->clip, (double)o->decay, (double)o->beta1, (double)o->beta2);
    if (!(o->repeats >= 0 && o->repeats <= 1 && o->repeats_end >= 0 && o->repeats_end <= 1))
        return cut_fail(err, CUT_EUSAGE, "repeats: %g to %g; shares from 0 to 1 are needed", (double)o->repeats, (double)o->repeats_end);
    if (c->n_ctx_train > CUT_TRAIN_PART)
        return cut_fail(err, CUT_EUSAGE, "%s: a context of %d; training takes at most %d", cut_gguf_head(m->gguf)->name, c->n_ctx_train,
                        CUT_TRAIN_PART);
    return CUT_OK;
}

static enum cut_status allocate(struct cut_trainer *t, struct cut_err *err) {
    size_t n = t->diff.n_floats * sizeof(float);
    t->n_parts = t->o.batch / CUT_TRAIN_PART;
    t->n_lanes = cut_min(cut_pool_size(t->o.pool), t->n_parts);
    t->part = cut_calloc((size_t)t->n_parts, sizeof *t->part, "the parts of a batch", err);
    t->lane = cut_calloc((size_t)t->n_lanes, sizeof *t->lane, "training threads", err);
    t->w = cut_alloc_aligned(n, "weights", err);
    t->m = cut_alloc_aligned(n, "moments", err);
    t->v = cut_alloc_aligned(n, "moments", err);
    if (!t->part || !t->lane || !t->w || !t->m || !t->v) return CUT_ENOMEM;
    enum cut_status st = CUT_OK;
    for (int i = 0; !st && i < t->n_parts; i++) {
        st = cut_rows_new(&t->part[i].rows, CUT_TRAIN_PART, err);
        if (!st && !(t->part[i].g = cut_alloc_aligned(n, "gradients", err))) st = CUT_ENOMEM;
    }
    for (int i = 0; !st && i < t->n_lanes; i++) st = cut_lane_new(&t->lane[i], &t->diff, err);
    return st;
}

enum cut_status cut_trainer_new(struct cut_trainer **out, const struct cut_model *m, const char *text,
                                const struct cut_train_opts *o, struct cut_err *err) {
    enum cut_status st = check(o, m, err);
    if (st) return st;
    struct cut_trainer *t = cut_calloc(1, sizeof *t, "trainer", err);
    if (!t) return CUT_ENOMEM;
    t->o = *o;
    t->model = m;
    st = cut_corpus_read(&t->corpus, text, m->vocab, m->config.n_ctx_train, err);
    if (!st) st = cut_diff_new(&t->diff, m, CUT_TRAIN_PART, err);
    if (!st && o->f32) t->diff.gemm = t->diff.wide->gemm;
    if (!st) st = allocate(t, err);
    for (int i = 0; !st && i < t->diff.n_params; i++) {
        const struct cut_tensor_info *w = t->diff.param[i].info;
        cut_decode(w->type, w->data, t->w + t->diff.param[i].at, t->diff.param[i].n);
    }
    if (st) cut_trainer_free(t);
    else *out = t;
    return st;
}

void cut_trainer_free(struct cut_trainer *t) {
    if (!t) return;
    for (int i = 0; t->part && i < t->n_parts; i++) {
        cut_rows_done(&t->part[i].rows);
        cut_free_aligned(t->part[i].g);
    }
    for (int i = 0; t->lane && i < t->n_lanes; i++) cut_lane_done(&t->lane[i]);
    free(t->part);
    free(t->lane);
    cut_free_aligned(t->w);
    cut_free_aligned(t->m);
    cut_free_aligned(t->v);
    cut_corpus_done(&t->corpus);
    cut_diff_done(&t->diff);
    free(t);
}

void cut_trainer_data(const struct cut_trainer *t, struct cut_train_data *out) {
    *out = (struct cut_train_data){ t->corpus.n, t->corpus.start[t->corpus.n], t->corpus.n_cut, t->corpus.longest, t->diff.n_params,
                                    t->model->config.n_params, t->diff.gemm == t->diff.wide->gemm ? "f32" : "bf16", t->diff.wide->name };
}

int cut_trainer_step_count(const struct cut_trainer *t) { return t->step; }

/* ---- one step */

/* Linear warm-up, then half a cosine down to lr_end (Loshchilov and Hutter 2017, equation 5). */
static double rate(const struct cut_train_opts *o, int step) {
    if (step < o->warmup) return o->lr * (double)(step + 1) / o->warmup;
    double done = fmin(1, (double)(step - o->warmup) / fmax(1, o->steps - o->warmup));
    return o->lr_end + (o->lr - o->lr_end) * 0.5 * (1 + cos(done * 3.14159265358979323846));
}

static void backprop(void *arg, int thread, int n_threads) {
    struct cut_trainer *t = arg;
    (void)n_threads;
    for (int i; thread < t->n_lanes && (i = atomic_fetch_add(&t->next, 1)) < t->n_parts;) {
        struct cut_part *p = &t->part[i];
        memset(p->g, 0, t->diff.n_floats * sizeof *p->g);
        cut_diff_forward(&t->diff, &t->lane[thread], t->w, &p->rows);
        p->loss = cut_diff_loss(&t->diff, &t->lane[thread], &p->rows, 1 / (float)cut_max(1, t->n_targets));
        cut_diff_backward(&t->diff, &t->lane[thread], t->w, &p->rows, p->g);
    }
}

/* Add the parts' gradients, in order, into the first. */
static void reduce(void *arg, int thread, int n_threads) {
    struct cut_trainer *t = arg;
    int a, b;
    cut_share((int)t->diff.n_floats, 16, thread, n_threads, &a, &b);
    for (int i = 1; i < t->n_parts; i++) t->diff.wide->accumulate(t->part[0].g + a, t->part[i].g + a, (size_t)(b - a));
}

/* AdamW (Loshchilov and Hutter 2019, algorithm 2), with the gradient clipped to a length (Pascanu et al. 2013, algorithm 1):
 *
 *   g <- g min(1, clip / |g|)
 *   m <- b1 m + (1 - b1) g          its running mean
 *   v <- b2 v + (1 - b2) g^2        and mean square
 *   w <- w - lr ( m' / (sqrt(v') + 1e-8) + decay w )     m' = m / (1 - b1^n) and v' make up for the start at 0
 *
 * Norms do not decay: they are scales around 1, not directions. */
static void update(void *arg, int thread, int n_threads) {
    struct cut_trainer *t = arg;
    const struct cut_train_opts *o = &t->o;
    float scale = (float)fmin(1, o->clip / fmax(t->norm, 1e-30)), lr = (float)rate(o, t->step);
    float m_fix = (float)(1 / (1 - pow(o->beta1, t->step + 1))), v_fix = (float)(1 / (1 - pow(o->beta2, t->step + 1)));
    for (int p = 0; p < t->diff.n_params; p++) {
        const struct cut_param *q = &t->diff.param[p];
        float decay = q->info->n_dims > 1 ? o->decay : 0;
        float *w = t->w + q->at, *m = t->m + q->at, *v = t->v + q->at, *g = t->part[0].g + q->at;
        int a, b;
        cut_share((int)q->n, 16, thread, n_threads, &a, &b);
        for (int i = a; i < b; i++) {
            float gi = g[i] * scale;
            m[i] = o->beta1 * m[i] + (1 - o->beta1) * gi;
            v[i] = o->beta2 * v[i] + (1 - o->beta2) * gi * gi;
            w[i] -= lr * (m[i] * m_fix / (sqrtf(v[i] * v_fix) + 1e-8f) + decay * w[i]);
        }
    }
}

enum cut_status cut_trainer_step(struct cut_trainer *t, struct cut_train_report *out, struct cut_err *err) {
    double start = cut_clock(), loss = 0;
    float done = (float)cut_min(t->step, t->o.steps) / (float)t->o.steps;
    int tokens = 0;
    t->n_targets = 0;
    for (int i = 0; i < t->n_parts; i++) {
        struct cut_rows *r = &t->part[i].rows;
        uint64_t state = t->o.seed * 0x9E3779B97F4A7C15u ^ ((uint64_t)t->step * (uint64_t)t->n_parts + (uint64_t)i) * 0xD1342543DE82EF95u;
        cut_rows_draw(r, CUT_TRAIN_PART, &t->corpus, t->model->vocab, t->diff.n_ctx,
                      t->o.repeats + (t->o.repeats_end - t->o.repeats) * done, state);
        tokens += r->n;
        for (int k = 0; k < r->n; k++) t->n_targets += r->target[k] >= 0;
    }
    atomic_store(&t->next, 0);
    cut_pool_run(t->o.pool, backprop, t);
    cut_pool_run(t->o.pool, reduce, t);
    for (int i = 0; i < t->n_parts; i++) loss += t->part[i].loss;
    t->norm = sqrt(t->diff.wide->sum_squares(t->part[0].g, t->diff.n_floats));
    if (!isfinite(t->norm))
        return cut_fail(err, CUT_EUSAGE, "step %d: the gradient is not finite; a lower learning rate than %g helps, from the last checkpoint",
                        t->step + 1, (double)t->o.lr);
    cut_pool_run(t->o.pool, update, t);
    *out = (struct cut_train_report){ ++t->step, loss / cut_max(1, t->n_targets), t->norm, rate(&t->o, t->step - 1), tokens,
                                      cut_clock() - start };
    return CUT_OK;
}

/* ---- how well it predicts another text */

enum cut_status cut_trainer_measure(struct cut_trainer *t, const char *text, double *loss, uint64_t *tokens, struct cut_err *err) {
    struct cut_corpus c;
    enum cut_status st = cut_corpus_read(&c, text, t->model->vocab, t->diff.n_ctx, err);
    if (st) return st;
    double sum = 0;
    uint64_t n = 0;
    struct cut_rows *r = &t->part[0].rows;
    for (size_t doc = 0; cut_rows_next(r, CUT_TRAIN_PART, &c, &doc);) {
        cut_diff_forward(&t->diff, &t->lane[0], t->w, r);
        sum += cut_diff_loss(&t->diff, &t->lane[0], r, 1);
        n += (uint64_t)r->n;
    }
    cut_corpus_done(&c);
    *loss = sum / (double)n;
    *tokens = n;
    return CUT_OK;
}
