/* generate.c - the loop everybody means by "running a model": evaluate, choose a token, show it, evaluate that.
 *
 * The last token chosen is shown but not evaluated: nobody needs the logits after it. */
#include "engine/tools/stream.h"

/* The text of one more token to the stream, and on to emit what may be shown. False: emit wants to end. */
static enum cut_status show(struct cut_stream *st, const struct cut_vocab *v, int32_t id, cut_emit_fn emit, void *user,
                            struct cut_err *err) {
    const char *piece = cut_vocab_piece(v, id);           /* NULL: rows of the output matrix beyond the vocabulary */
    size_t cap = (piece ? strlen(piece) : 0) + 8;         /* a text is never much longer than its piece */
    enum cut_status status = cut_stream_room(st, cap, err);
    if (status) return status;
    size_t n = cut_stream_push(st, cut_vocab_text(v, id, st->buf + st->len, cap));
    bool go_on = emit(user, st->buf, n, id);
    cut_stream_drop(st, n);
    return go_on ? CUT_OK : cut_fail(err, CUT_ECANCEL, "generation was stopped");
}

/* Queue tokens and evaluate all that is queued. */
static enum cut_status evaluate(struct cut_session *s, const int32_t *ids, int n, struct cut_err *err) {
    enum cut_status status = n ? cut_session_feed(s, 0, ids, n, 0, err) : CUT_OK;
    if (status) return status;
    enum cut_stop why = CUT_STOP_DONE;
    status = cut_session_run(s, &why, err);
    if (!status && why == CUT_STOP_BREAK)
        return cut_fail(err, CUT_ECANCEL, "generation stopped at a breakpoint before \"%s\"",
                        cut_session_step_at(s, cut_session_where(s).step)->name);
    return status;
}

static enum cut_status check(const struct cut_session *s, int n_prompt, const struct cut_generate_opts *o,
                             struct cut_err *err) {
    if (o->n_predict < -1)
        return cut_fail(err, CUT_EUSAGE, "%d tokens to generate: must be 0 or more, or -1 for no limit", o->n_predict);
    for (int i = 0; i < o->n_stop; i++)
        if (!o->stop[i][0]) return cut_fail(err, CUT_EUSAGE, "an empty stop string would end every text at once");
    if (n_prompt < 0 || (n_prompt == 0 && !cut_session_logits(s, -1)))
        return cut_fail(err, CUT_EUSAGE, "a prompt of %d tokens: a model needs at least one to go on from", n_prompt);
    return CUT_OK;
}

enum cut_status cut_generate(struct cut_session *s, struct cut_sampler *sm, const int32_t *prompt, int n_prompt,
                             const struct cut_generate_opts *o, cut_emit_fn emit, void *user,
                             struct cut_generate_stats *stats, struct cut_err *err) {
    const struct cut_vocab *v = cut_model_vocab(cut_session_model(s));
    struct cut_generate_stats done = { .n_prompt = n_prompt, .end = CUT_END_LENGTH };
    struct cut_stream st;
    enum cut_status status = check(s, n_prompt, o, err);
    if (status) return status;
    cut_stream_init(&st, o->stop, o->n_stop);

    double start = cut_clock(), prefilled = start;
    status = evaluate(s, prompt, n_prompt, err);
    prefilled = cut_clock();
    done.prefill_s = prefilled - start;

    while (!status && (o->n_predict < 0 || done.n_generated < o->n_predict)) {
        int n_history;
        const int32_t *history = cut_session_tokens(s, 0, &n_history);
        int32_t id = cut_sampler_next(sm, cut_session_logits(s, -1), history, n_history);
        if (!o->ignore_end && cut_vocab_is_end(v, id)) {
            done.end = CUT_END_TOKEN;
            break;
        }
        done.n_generated++;
        status = show(&st, v, id, emit, user, err);
        if (status) break;
        if (st.stopped) {
            done.end = CUT_END_STRING;
            break;
        }
        if (done.n_generated == o->n_predict) break;
        status = evaluate(s, &id, 1, err);
        if (status == CUT_EFULL) {
            done.end = CUT_END_CONTEXT;
            status = CUT_OK;
            break;
        }
    }
    /* What waited for a stop string that never came. */
    if (!status && !st.stopped && st.len && !emit(user, st.buf, st.len, -1))
        status = cut_fail(err, CUT_ECANCEL, "generation was stopped");
    done.decode_s = cut_clock() - prefilled;
    cut_stream_done(&st);
    if (stats) *stats = done;
    return status;
}
