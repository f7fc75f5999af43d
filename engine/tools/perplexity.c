/* perplexity.c - how well a model predicts a text: exp of the mean of -log p(token | those before it in its document).
 *
 * A text with documents (each from "<s>" on) is measured document by document, each from an empty cache, as it was trained;
 * one without, in pieces of the context's length, each behind a BOS. BOS itself is not predicted. The sum runs in
 * double over log p taken from the logits by the log-sum-exp of their largest (so that nothing overflows). */
#include <math.h>

#include "engine/tools/damage.h"
#include "engine/train/text.h"

static enum cut_status measure(struct cut_session *s, const int32_t *id, int n, struct cut_moments *sum, struct cut_err *err) {
    enum cut_stop why;
    int n_vocab = cut_model_config(cut_session_model(s))->n_vocab, most = cut_session_opts(s)->n_batch;
    enum cut_status st = cut_session_truncate(s, 0, 0, err);
    for (int i = 0; !st && i + 1 < n; i += most) {             /* the logits of one pass are there until the next */
        int part = cut_min(most, n - 1 - i);
        st = cut_session_feed(s, 0, id + i, part, CUT_FEED_ALL_LOGITS, err);
        if (!st) st = cut_session_run(s, &why, err);
        for (int k = 0; !st && k < part; k++) {
            const float *x = cut_session_logits(s, k);
            if (x) cut_moments_add(sum, cut_surprise(x, n_vocab, id[i + k + 1]));
            else st = cut_fail(err, CUT_EUSAGE, "the measurement met a breakpoint: clear it first");
        }
    }
    return st;
}

enum cut_status cut_perplexity(struct cut_session *s, const char *text, cut_progress_fn progress, void *user, struct cut_perplexity_result *out,
                               struct cut_err *err) {
    struct cut_corpus c;
    enum cut_status st = cut_corpus_read(&c, text, cut_model_vocab(cut_session_model(s)), cut_session_opts(s)->n_ctx, err);
    if (st) return st;
    struct cut_moments sum = { 0, 0 };
    uint64_t n = 0;
    for (size_t d = 0; !st && d < c.n; d++) {
        int len = (int)(c.start[d + 1] - c.start[d]);
        st = measure(s, c.id + c.start[d], len, &sum, err);
        n += (uint64_t)len - 1;
        if (!st && progress && !progress(user, (double)(d + 1) / (double)c.n, "documents"))
            st = cut_fail(err, CUT_ECANCEL, "the measurement was stopped");
    }
    if (!st) {
        struct cut_perplexity_result r = { .tokens = n, .documents = c.n };
        cut_moments_tell(sum, n, &r.loss, &r.error);
        r.perplexity = exp(r.loss);
        r.error *= r.perplexity;       /* d exp(x) = exp(x) dx */
        *out = r;
    }
    cut_corpus_done(&c);
    return st;
}
