/* imatrix.c - collecting an importance matrix: a text runs through the model, and each matrix product's inputs are squared and summed.
 *
 * For y = W x the error of rounding W is sum_j dW_ij x_j; with errors that are independent its mean square is
 * sum_j dW_ij^2 E[x_j^2]. So E[x_j^2], the mean square of input j over a text, is what an error in column j weighs. Probes on the
 * values that enter products see the x_j, before they are rounded to 8 bits. */
#include "engine/quant/imatrix.h"
#include "engine/train/text.h"

/* One value that enters products: several matrices may read it (Q, K and V do), whose entries then hold the same sums. */
struct input { const char *step; int id; int n; double *sum; uint64_t rows; };
struct reader_of { int input; char weight[96]; };

struct collector {
    struct cut_session *s;
    struct input *input;
    struct reader_of *reader;
    size_t n_input, cap_input, n_reader, cap_reader;
};

static bool square(void *user, const struct cut_step *step, struct cut_tensor *value) {
    struct input *in = user;
    (void)step;
    int64_t rows = value->ne[0] * value->ne[1] * value->ne[2] / in->n;
    for (int64_t r = 0; r < rows; r++)
        for (int i = 0; i < in->n; i++) in->sum[i] += (double)value->data[r * in->n + i] * (double)value->data[r * in->n + i];
    in->rows += (uint64_t)rows;
    return true;
}

/* The value a product multiplies by, before the compiler's rounding of it. */
static const char *entering(const struct cut_session *s, const struct cut_step *step) {
    const char *name = step->in[0];
    int i = cut_session_find_step(s, name);
    const struct cut_step *from = i < 0 ? NULL : cut_session_step_at(s, i);
    bool rounded = from && (!strcmp(from->op, "quantize") || !strcmp(from->op, "round"));
    return rounded ? from->in[0] : name;
}

static enum cut_status plan(struct collector *c, const struct cut_imatrix_opts *o, struct cut_err *err) {
    const struct cut_gguf *g = cut_model_gguf(cut_session_model(c->s));
    for (int i = 0; i < cut_session_n_steps(c->s); i++) {
        const struct cut_step *step = cut_session_step_at(c->s, i);
        const struct cut_tensor_info *w = step->weight ? cut_gguf_find_tensor(g, step->weight) : NULL;
        if (!w || strcmp(step->op, "matmul") || (step->layer < 0 && !o->output) || strlen(step->weight) >= sizeof c->reader->weight) continue;
        const char *from = entering(c->s, step);
        size_t k = 0;
        while (k < c->n_input && strcmp(c->input[k].step, from)) k++;
        enum cut_status st = cut_grow(&c->reader, &c->cap_reader, c->n_reader, sizeof *c->reader, "an importance matrix", err);
        if (!st && k == c->n_input) {
            st = cut_grow(&c->input, &c->cap_input, c->n_input, sizeof *c->input, "an importance matrix", err);
            double *sum = st ? NULL : cut_calloc((size_t)w->ne[0], sizeof *sum, "an importance matrix", err);
            if (!st && !sum) st = CUT_ENOMEM;
            if (!st) c->input[c->n_input++] = (struct input){ .step = from, .n = (int)w->ne[0], .sum = sum };
        }
        if (st) return st;
        struct reader_of *r = &c->reader[c->n_reader++];
        r->input = (int)k;
        strcpy(r->weight, step->weight);
    }
    return CUT_OK;
}

/* A corpus of documents, each from an empty cache. All logits are asked for: the last layer is computed only for tokens whose logits
 * are wanted. */
static enum cut_status read_text(struct collector *c, const struct cut_corpus *text, cut_progress_fn progress, void *user,
                                 struct cut_err *err) {
    enum cut_status st = CUT_OK;
    enum cut_stop why;
    for (size_t d = 0; !st && d < text->n; d++) {
        st = cut_session_truncate(c->s, 0, 0, err);
        if (!st)
            st = cut_session_feed(c->s, 0, text->id + text->start[d], (int)(text->start[d + 1] - text->start[d]),
                                  CUT_FEED_ALL_LOGITS, err);
        if (!st) st = cut_session_run(c->s, &why, err);
        if (!st && why == CUT_STOP_BREAK) st = cut_fail(err, CUT_EUSAGE, "the collection met a breakpoint: clear it first");
        if (!st && progress && !progress(user, (double)(d + 1) / (double)text->n, "pieces of text"))
            st = cut_fail(err, CUT_ECANCEL, "the collection was stopped");
    }
    return st;
}

static enum cut_status deliver(const struct collector *c, struct cut_imatrix *m, struct cut_err *err) {
    for (size_t i = 0; i < c->n_reader; i++) {
        const struct input *in = &c->input[c->reader[i].input];
        float *sum2, *counts;
        enum cut_status st = cut_imatrix_add(m, c->reader[i].weight, strlen(c->reader[i].weight), in->n, 1, &sum2, &counts, err);
        if (st) return st;
        for (int k = 0; k < in->n; k++) sum2[k] = (float)in->sum[k];
        counts[0] = (float)in->rows;
    }
    return CUT_OK;
}

enum cut_status cut_imatrix_collect(struct cut_imatrix **out, struct cut_session *s, const char *text, const struct cut_imatrix_opts *o,
                                    cut_progress_fn progress, void *user, struct cut_err *err) {
    static const struct cut_imatrix_opts none;
    struct collector c = { .s = s };
    struct cut_corpus corpus = { 0 };
    struct cut_imatrix *m = NULL;
    if (!o) o = &none;
    enum cut_status st = cut_corpus_read(&corpus, text, cut_model_vocab(cut_session_model(s)), cut_session_opts(s)->n_ctx, err);
    if (!st) st = plan(&c, o, err);
    size_t watched = 0;
    for (; !st && watched < c.n_input; watched += !st)
        st = cut_session_probe(s, c.input[watched].step, square, &c.input[watched], 0, &c.input[watched].id, err);
    if (!st) st = read_text(&c, &corpus, progress, user, err);
    while (watched) cut_session_unprobe(s, c.input[--watched].id);
    if (!st) st = cut_imatrix_new(&m, err);
    if (!st) st = deliver(&c, m, err);
    if (!st) {
        m->info.n_chunks = (int)corpus.n;
        m->info.chunk_size = cut_session_opts(s)->n_ctx;
        if (!(m->info.dataset = cut_arena_strndup(&m->arena, text, strlen(text)))) st = cut_fail(err, CUT_ENOMEM, "%s: out of memory", text);
    }
    if (!st) st = cut_imatrix_finish(m, text, err);
    for (size_t i = 0; i < c.n_input; i++) free(c.input[i].sum);
    free(c.input);
    free(c.reader);
    cut_corpus_done(&corpus);
    if (st) cut_imatrix_free(m);
    else *out = m;
    return st;
}
