/* activations.c - what a layer really multiplies: a probe on the step that computes its input, while a text runs through the model.
 *
 * The session multiplies by unrounded activations, so that they are seen as they are, and not as a quantized model's own
 * rounding leaves them. */
#include "engine/train/text.h"

struct collector { struct cut_activations a; int max; };

static bool collect(void *user, const struct cut_step *step, struct cut_tensor *value) {
    struct collector *c = user;
    (void)step;
    int n = (int)(value->ne[0] * value->ne[1] * value->ne[2] / c->a.cols), room = c->max - c->a.tokens;
    if (n > room) n = room;
    memcpy(c->a.x + (size_t)c->a.tokens * (size_t)c->a.cols, value->data, (size_t)n * (size_t)c->a.cols * sizeof(float));
    c->a.tokens += n;
    return true;
}

/* The step that computes what the tensor's product reads. */
static enum cut_status find_input(const struct cut_session *s, const char *tensor, const char **name, struct cut_err *err) {
    for (int i = 0; i < cut_session_n_steps(s); i++) {
        const struct cut_step *step = cut_session_step_at(s, i);
        if (!step->weight || strcmp(step->weight, tensor) || strcmp(step->op, "matmul")) continue;
        *name = step->in[0];
        return CUT_OK;
    }
    return cut_fail(err, CUT_EUSAGE, "\"%.100s\": no product of this model reads a matrix of that name", tensor);
}

static enum cut_status run_document(struct cut_session *s, const int32_t *id, int n, struct cut_err *err) {
    enum cut_stop why;
    enum cut_status st = cut_session_truncate(s, 0, 0, err);
    if (!st) st = cut_session_feed(s, 0, id, n, CUT_FEED_ALL_LOGITS, err);
    if (!st) st = cut_session_run(s, &why, err);
    return st;
}

static enum cut_status run_corpus(struct cut_session *s, const struct cut_corpus *c, const struct cut_activations_opts *o,
                                  const struct collector *got, cut_progress_fn progress, void *user, struct cut_err *err) {
    size_t parts = (size_t)o->parts, enough = (size_t)o->max_tokens * parts;
    size_t every = cut_max(1, (int)(c->start[c->n] * 3 / 4 / enough));     /* those passed over are spread evenly; with some to spare */
    enum cut_status st = CUT_OK;
    for (size_t d = (size_t)o->part * every; !st && d < c->n && got->a.tokens < o->max_tokens; d += parts * every) {
        st = run_document(s, c->id + c->start[d], (int)(c->start[d + 1] - c->start[d]), err);
        if (!st && progress && !progress(user, (double)got->a.tokens / o->max_tokens, "activations"))
            st = cut_fail(err, CUT_ECANCEL, "the collection of activations was stopped");
    }
    if (!st && !got->a.tokens)
        st = cut_fail(err, CUT_EUSAGE, "the text has %zu documents: none for part %d of %d", c->n, o->part + 1, o->parts);
    return st;
}

enum cut_status cut_activations_collect(struct cut_activations *out, const struct cut_model *m, const char *tensor,
                                        const char *text,
                                        const struct cut_activations_opts *o, cut_progress_fn progress, void *user,
                                        struct cut_err *err) {
    struct collector got = { .max = o->max_tokens };
    struct cut_corpus corpus = { 0 };
    struct cut_session *s = NULL;
    const char *input = NULL;
    int id;
    if (o->max_tokens < 1 || o->parts < 1 || o->part < 0 || o->part >= o->parts)
        return cut_fail(err, CUT_EUSAGE, "part %d of %d, %d tokens: nothing to collect", o->part, o->parts, o->max_tokens);
    enum cut_status st = cut_session_new(&s, m, &(struct cut_session_opts){ .activations_f32 = true, .pool = o->pool }, err);
    if (!st) st = find_input(s, tensor, &input, err);
    if (!st) {
        got.a.cols = (int)cut_gguf_find_tensor(cut_model_gguf(m), tensor)->ne[0];
        got.a.x = cut_calloc((size_t)o->max_tokens * (size_t)got.a.cols, sizeof(float), "activations", err);
        if (!got.a.x) st = CUT_ENOMEM;
    }
    if (!st) st = cut_session_probe(s, input, collect, &got, 0, &id, err);
    if (!st) st = cut_corpus_read(&corpus, text, cut_model_vocab(m), cut_session_opts(s)->n_ctx, err);
    if (!st) st = run_corpus(s, &corpus, o, &got, progress, user, err);
    if (st) cut_activations_done(&got.a);
    else *out = got.a;
    cut_corpus_done(&corpus);
    cut_session_free(s);
    return st;
}

void cut_activations_done(struct cut_activations *a) {
    free(a->x);
    *a = (struct cut_activations){ 0 };
}
