/* sens.c - sensitivity: one tensor at a time in another format, the rest untouched, and what that does to the predictions.
 *
 * The reference is evaluated once and its logits kept. To measure a tensor, the model is rebuilt with that tensor alone changed (all others
 * are borrowed), evaluated over the same text, and compared. Beside the damage to predictions stands what leads up to it: the error of
 * the weights, and the error of the product W x for x that the model really computes. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "engine/base/pool.h"
#include "engine/tools/damage.h"

enum { LAST = 8 };             /* tokens at the end of the text whose activations are kept */

struct cut_sens {
    const struct cut_model *model;
    struct cut_sens_opts opts;
    int32_t *id;
    int n, n_vocab, n_tensors;
    float *ref;                        /* [n][n_vocab] */
    struct cut_session *kept;          /* stands behind a pass over the last tokens, with all its values */
    struct cut_sens_row **row;         /* [n_tensors][CUT_TYPE_COUNT], allocated when measured */

    /* for the time left: what a pass costs, and a weight */
    double pass_s, encode_s, encoded;
    int passes;

    atomic_bool cancel;
    pthread_mutex_t lock;              /* guards running */
    struct cut_session *running;       /* for cut_sens_cancel */
};

static const struct cut_tensor_info *tensor(const struct cut_sens *s, int i) {
    return cut_gguf_tensor(cut_model_gguf(s->model), (uint64_t)i);
}

static bool stopped(struct cut_sens *s, struct cut_err *err) {
    if (!atomic_exchange(&s->cancel, false)) return false;
    cut_fail(err, CUT_ECANCEL, "the measurement was stopped");
    return true;
}

/* ---- evaluating a model over the text */

static void set_running(struct cut_sens *s, struct cut_session *session) {
    pthread_mutex_lock(&s->lock);
    s->running = session;
    if (session && atomic_load(&s->cancel)) cut_session_cancel(session);
    pthread_mutex_unlock(&s->lock);
}

/* A session that has evaluated the whole text in one pass; in out. */
static enum cut_status evaluate(struct cut_sens *s, const struct cut_model *m, struct cut_session **out, struct cut_err *err) {
    struct cut_session_opts so = { .n_ctx = s->n, .n_batch = s->n, .kv_type = CUT_F16, .tier = s->opts.tier, .pool = s->opts.pool };
    struct cut_session *session = NULL;
    enum cut_status st = cut_session_new(&session, m, &so, err);
    if (!st) st = cut_session_feed(session, 0, s->id, s->n, CUT_FEED_ALL_LOGITS, err);
    if (!st) {
        set_running(s, session);
        st = cut_session_run(session, NULL, err);
        set_running(s, NULL);
    }
    if (st) {
        if (st == CUT_ECANCEL) atomic_store(&s->cancel, false);
        cut_session_free(session);
        return st;
    }
    *out = session;
    return CUT_OK;
}

static enum cut_status mean_kl(struct cut_sens *s, const struct cut_model *m, double *kl, struct cut_err *err) {
    struct cut_session *session = NULL;
    enum cut_status st = evaluate(s, m, &session, err);
    double sum = 0;
    for (int t = 0; !st && t < s->n; t++) {
        struct cut_divergence d;
        cut_diverge(s->ref + (size_t)t * (size_t)s->n_vocab, cut_session_logits(session, t), s->n_vocab, -1, &d);
        sum += d.kl;
    }
    cut_session_free(session);
    if (!st) *kl = sum / s->n;
    return st;
}

/* ---- making one */

static enum cut_status keep_activations(struct cut_sens *s, struct cut_err *err) {
    struct cut_session_opts so = { .n_ctx = s->n, .n_batch = s->n, .kv_type = CUT_F16, .tier = s->opts.tier, .pool = s->opts.pool };
    int first = cut_max(0, s->n - LAST);
    enum cut_status st = cut_session_new(&s->kept, s->model, &so, err);
    if (!st && first) st = cut_session_feed(s->kept, 0, s->id, first, 0, err);
    if (!st && first) st = cut_session_run(s->kept, NULL, err);
    if (!st) st = cut_session_feed(s->kept, 0, s->id + first, s->n - first, CUT_FEED_ALL_LOGITS, err);
    return st ? st : cut_session_step(s->kept, cut_session_n_steps(s->kept), NULL, err);
}

enum cut_status cut_sens_new(struct cut_sens **out, const struct cut_model *m, const int32_t *ids, int n, const struct cut_sens_opts *o,
                             struct cut_err *err) {
    if (n < 1) return cut_fail(err, CUT_EUSAGE, "sensitivity: a text of %d tokens, at least 1", n);
    if (o->max_tokens < 0) return cut_fail(err, CUT_EUSAGE, "sensitivity: at most %d tokens, must be 0 or more", o->max_tokens);
    struct cut_sens *s = cut_calloc(1, sizeof *s, "sensitivity", err);
    if (!s) return CUT_ENOMEM;
    pthread_mutex_init(&s->lock, NULL);
    s->model = m;
    s->opts = *o;
    s->n = cut_min(n, o->max_tokens ? o->max_tokens : 64);
    s->n_vocab = cut_model_config(m)->n_vocab;
    s->n_tensors = (int)cut_gguf_head(cut_model_gguf(m))->n_tensors;
    s->id = cut_calloc((size_t)s->n, sizeof *s->id, "the text", err);
    s->ref = cut_calloc((size_t)s->n * (size_t)s->n_vocab, sizeof *s->ref, "the reference's logits", err);
    s->row = cut_calloc((size_t)s->n_tensors * CUT_TYPE_COUNT, sizeof *s->row, "measurements", err);
    enum cut_status st = s->id && s->ref && s->row ? CUT_OK : CUT_ENOMEM;
    struct cut_session *session = NULL;
    if (!st) {
        memcpy(s->id, ids, (size_t)s->n * sizeof *ids);
        st = evaluate(s, m, &session, err);
    }
    for (int t = 0; !st && t < s->n; t++)
        memcpy(s->ref + (size_t)t * (size_t)s->n_vocab, cut_session_logits(session, t), (size_t)s->n_vocab * sizeof *s->ref);
    cut_session_free(session);
    if (!st) st = keep_activations(s, err);
    if (st) {
        cut_sens_free(s);
        return st;
    }
    *out = s;
    return CUT_OK;
}

void cut_sens_free(struct cut_sens *s) {
    if (!s) return;
    for (size_t i = 0; s->row && i < (size_t)s->n_tensors * CUT_TYPE_COUNT; i++) free(s->row[i]);
    cut_session_free(s->kept);
    pthread_mutex_destroy(&s->lock);
    free(s->row);
    free(s->ref);
    free(s->id);
    free(s);
}

void cut_sens_cancel(struct cut_sens *s) {
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->cancel, true);
    if (s->running) cut_session_cancel(s->running);
    pthread_mutex_unlock(&s->lock);
}

/* ---- the error of a product, over real activations */

struct product {
    const struct cut_tensor_info *a, *b;
    const float *x;                    /* [n][columns] */
    int n;
    double *wrong, *right;             /* per thread: sums of squares of (W - W') x and W x */
    float **row;                       /* per thread: a row of each */
};

static void multiply_rows(void *arg, int thread, int n_threads) {
    const struct product *p = arg;
    size_t width = (size_t)p->a->ne[0];
    float *wa = p->row[thread], *wb = wa + width;
    for (uint64_t r = (uint64_t)thread; r < p->a->ne[1]; r += (uint64_t)n_threads) {
        cut_decode(p->a->type, (const uint8_t *)p->a->data + r * (p->a->bytes / p->a->ne[1]), wa, width);
        cut_decode(p->b->type, (const uint8_t *)p->b->data + r * (p->b->bytes / p->b->ne[1]), wb, width);
        for (size_t c = 0; c < width; c++) wb[c] = wa[c] - wb[c];
        for (int t = 0; t < p->n; t++) {
            const float *x = p->x + (size_t)t * width;
            double y = 0, e = 0;
            for (size_t c = 0; c < width; c++) {
                y += (double)(wa[c] * x[c]);
                e += (double)(wb[c] * x[c]);
            }
            p->right[thread] += y * y;
            p->wrong[thread] += e * e;
        }
    }
}

static enum cut_status product_error(struct cut_sens *s, const struct cut_tensor_info *a, const struct cut_tensor_info *b, const float *x, int n,
                                     double *out, struct cut_err *err) {
    int threads = cut_pool_size(s->opts.pool);
    struct product p = { .a = a, .b = b, .x = x, .n = n };
    p.wrong = cut_calloc((size_t)threads, sizeof *p.wrong, "a product's error", err);
    p.right = cut_calloc((size_t)threads, sizeof *p.right, "a product's error", err);
    p.row = cut_calloc((size_t)threads, sizeof *p.row, "a product's error", err);
    bool room = p.wrong && p.right && p.row;
    for (int i = 0; room && i < threads; i++)
        room = (p.row[i] = cut_calloc((size_t)a->ne[0] * 2, sizeof **p.row, "a row of weights", err)) != NULL;
    if (room) {
        double wrong = 0, right = 0;
        cut_pool_run(s->opts.pool, multiply_rows, &p);
        for (int i = 0; i < threads; i++) wrong += p.wrong[i], right += p.right[i];
        *out = right > 0 ? sqrt(wrong / right) : 0;
    }
    for (int i = 0; p.row && i < threads; i++) free(p.row[i]);
    free(p.row);
    free(p.wrong);
    free(p.right);
    return room ? CUT_OK : CUT_ENOMEM;
}

/* The rows of an embedding that the text looks up: x picks them out one by one. */
static double embedding_error(const struct cut_sens *s, const struct cut_tensor_info *a, const struct cut_tensor_info *b, float *room) {
    size_t width = (size_t)a->ne[0];
    float *wa = room, *wb = room + width;
    double wrong = 0, right = 0;
    for (int t = 0; t < s->n; t++) {
        uint64_t r = (uint64_t)s->id[t];
        cut_decode(a->type, (const uint8_t *)a->data + r * (a->bytes / a->ne[1]), wa, width);
        cut_decode(b->type, (const uint8_t *)b->data + r * (b->bytes / b->ne[1]), wb, width);
        for (size_t c = 0; c < width; c++) {
            wrong += (double)(wa[c] - wb[c]) * (double)(wa[c] - wb[c]);
            right += (double)wa[c] * (double)wa[c];
        }
    }
    return right > 0 ? sqrt(wrong / right) : 0;
}

/* The step that multiplies by a tensor; -1: none does. */
static int product_with(const struct cut_sens *s, const char *name) {
    for (int i = 0; i < cut_session_n_steps(s->kept); i++) {
        const struct cut_step *st = cut_session_step_at(s->kept, i);
        if (st->weight && !strcmp(st->weight, name) && !strcmp(st->op, "matmul")) return i;
    }
    return -1;
}

static enum cut_status output_error(struct cut_sens *s, const struct cut_tensor_info *a, const struct cut_tensor_info *b, double *out,
                                    struct cut_err *err) {
    int step = product_with(s, a->name);
    if (step < 0) {
        float *room = cut_calloc((size_t)a->ne[0] * 2, sizeof *room, "rows of weights", err);
        if (room) *out = embedding_error(s, a, b, room);
        free(room);
        return room ? CUT_OK : CUT_ENOMEM;
    }
    struct cut_tensor x;
    int in = cut_session_find_step(s->kept, cut_session_step_at(s->kept, step)->in[0]);
    enum cut_status st = cut_session_value(s->kept, in, &x, err);     /* rounded, if that is what the product reads */
    return st ? st : product_error(s, a, b, x.data, (int)(x.ne[0] * x.ne[1] * x.ne[2] / (int64_t)a->ne[0]), out, err);
}

/* ---- one tensor */

struct swap { const char *name; enum cut_type type; };
static enum cut_type swap_one(void *user, const struct cut_tensor_info *t) {
    const struct swap *w = user;
    return strcmp(t->name, w->name) ? t->type : w->type;
}

static bool go_on(void *user, double part, const char *what) {
    struct cut_sens *s = user;
    (void)part;
    (void)what;
    return !atomic_load(&s->cancel);
}

static enum cut_status rebuild(struct cut_sens *s, struct cut_model **m, cut_type_fn choose, void *user, struct cut_err *err) {
    if (stopped(s, err)) return CUT_ECANCEL;
    enum cut_status st = cut_model_rebuild(m, s->model, choose, user, s->opts.pool, go_on, s, err);
    if (st == CUT_ECANCEL) atomic_store(&s->cancel, false);
    return st;
}

int cut_sens_tensors(const struct cut_sens *s) { return s->n_tensors; }

void cut_sens_get(const struct cut_sens *s, int i, enum cut_type type, struct cut_sens_row *out) {
    *out = (struct cut_sens_row){ 0 };
    if (i < 0 || i >= s->n_tensors || !cut_type_info(type)) return;
    const struct cut_tensor_info *t = tensor(s, i);
    const struct cut_type_info *to = cut_type_info(type);
    const struct cut_sens_row *known = s->row[(size_t)i * CUT_TYPE_COUNT + type];
    if (known) {
        *out = *known;
        return;
    }
    bool same = t->type == type, fits = same || cut_tensor_fits(t, type);
    uint64_t weights = t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
    *out = (struct cut_sens_row){ .tensor = t->name, .from = t->type, .to = fits ? type : t->type, .bytes_from = t->bytes,
                                  .bytes_to = fits ? weights / (uint64_t)to->block * (uint64_t)to->bytes : t->bytes, .fits = fits,
                                  .measured = same };      /* in its own format it loses nothing */
}

static enum cut_status measure(struct cut_sens *s, int i, enum cut_type type, struct cut_sens_row *row, struct cut_err *err) {
    const struct cut_tensor_info *a = tensor(s, i);
    struct swap w = { a->name, type };
    struct cut_model *m = NULL;
    struct cut_weight_error moved;
    double t0 = cut_clock(), t1;
    enum cut_status st = rebuild(s, &m, swap_one, &w, err);
    if (st) return st;
    t1 = cut_clock();
    s->encode_s += t1 - t0;
    s->encoded += (double)(a->ne[0] * a->ne[1]);
    const struct cut_tensor_info *b = cut_gguf_tensor(cut_model_gguf(m), (uint64_t)i);
    st = mean_kl(s, m, &row->kl, err);
    if (!st) st = cut_weight_error(a, b, s->opts.pool, &moved, err);
    if (!st) st = output_error(s, a, b, &row->out_error, err);
    cut_model_close(m);
    if (st) return st;
    row->rel_rmse = moved.relative;
    row->kl_per_mb = row->bytes_to < row->bytes_from ? row->kl / ((double)(row->bytes_from - row->bytes_to) / 1e6) : 0;
    row->measured = true;
    row->seconds = cut_clock() - t0;
    s->pass_s += cut_clock() - t1;
    s->passes++;
    return CUT_OK;
}

enum cut_status cut_sens_measure(struct cut_sens *s, int i, enum cut_type type, struct cut_sens_row *out, struct cut_err *err) {
    struct cut_sens_row row;
    if (i < 0 || i >= s->n_tensors) return cut_fail(err, CUT_EUSAGE, "sensitivity: tensor %d is not in 0 to %d", i, s->n_tensors - 1);
    if (!cut_type_info(type)) return cut_fail(err, CUT_EUSAGE, "sensitivity: %d is no format", (int)type);
    cut_sens_get(s, i, type, &row);
    if (!cut_encodes(type) && !row.measured)
        return cut_fail(err, CUT_EUSAGE, "sensitivity: format %s cannot be written yet", cut_type_info(type)->name);
    if (row.fits && !row.measured) {
        enum cut_status st = measure(s, i, type, &row, err);
        if (st) return st;
        struct cut_sens_row *keep = cut_calloc(1, sizeof *keep, "a measurement", err);
        if (!keep) return CUT_ENOMEM;
        *keep = row;
        s->row[(size_t)i * CUT_TYPE_COUNT + type] = keep;
    }
    *out = row;
    return CUT_OK;
}

enum cut_status cut_sens_next(struct cut_sens *s, enum cut_type type, int *i, struct cut_err *err) {
    struct cut_sens_row row;
    int largest = -1;
    for (int k = 0; k < s->n_tensors; k++) {
        cut_sens_get(s, k, type, &row);
        if (row.fits && !row.measured && (largest < 0 || tensor(s, k)->bytes > tensor(s, largest)->bytes)) largest = k;
    }
    enum cut_status st = largest < 0 ? CUT_OK : cut_sens_measure(s, largest, type, &row, err);
    if (!st) *i = largest;
    return st;
}

int cut_sens_left(const struct cut_sens *s, enum cut_type type, double *seconds) {
    struct cut_sens_row row;
    int left = 0;
    double weights = 0;
    for (int k = 0; k < s->n_tensors; k++) {
        cut_sens_get(s, k, type, &row);
        if (!row.fits || row.measured) continue;
        left++;
        weights += (double)(tensor(s, k)->ne[0] * tensor(s, k)->ne[1]);
    }
    *seconds = s->passes ? left * s->pass_s / s->passes + weights * s->encode_s / s->encoded : -1;
    return left;
}

enum cut_status cut_sens_mix(struct cut_sens *s, cut_type_fn choose, void *user, double *kl, uint64_t *bytes, struct cut_err *err) {
    struct cut_model *m = NULL;
    double value = 0;
    enum cut_status st = rebuild(s, &m, choose, user, err);
    if (!st) st = mean_kl(s, m, &value, err);
    if (!st) {
        *kl = value;
        *bytes = cut_model_config(m)->weight_bytes;
    }
    cut_model_close(m);
    return st;
}
