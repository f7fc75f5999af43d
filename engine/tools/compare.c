/* compare.c - one build of a model beside its reference: size, what it predicts, how fast. */
#include "engine/base/base.h"

/* The parts of the job take their share of the bar: the text most, the speeds the rest. */
struct part { cut_progress_fn progress; void *user; double from, to; };

static bool tell(void *user, double part, const char *what) {
    const struct part *p = user;
    return !p->progress || p->progress(p->user, p->from + (p->to - p->from) * part, what);
}

enum cut_status cut_compare(const struct cut_model *ref, const struct cut_model *m, const char *text, const struct cut_compare_opts *o,
                            cut_progress_fn progress, void *user, struct cut_compare_row *row, struct cut_err *err) {
    const struct cut_config *c = cut_model_config(m);
    struct cut_chunks_opts chunks = o->text;
    struct cut_session *s = NULL, *r = NULL;
    struct cut_bench_result speed = { 0 };
    double share = o->bench.r ? 0.7 : 1;
    if (!chunks.chunk) chunks.chunk = cut_min(512, c->n_ctx_train);
    struct cut_session_opts so = { .n_ctx = chunks.chunk, .kv_type = CUT_F16, .tier = o->tier, .pool = o->pool };
    enum cut_status st = ref ? cut_session_new(&r, ref, &so, err) : CUT_OK;
    if (o->bench.r) so.n_ctx = cut_max(so.n_ctx, cut_max(o->bench.p, o->bench.n));
    if (!st) st = cut_session_new(&s, m, &so, err);
    chunks.ref = r;
    chunks.kl = row->kl;
    chunks.n_kl = row->kl && o->kl_points > 0 ? (size_t)o->kl_points : 0;
    struct part p = { progress, user, 0, share };
    struct cut_chunks_result told;
    if (!st) st = cut_perplexity_chunks(s, text, &chunks, tell, &p, &told, err);
    p.from = share;
    p.to = 1;
    if (!st && o->bench.r) st = cut_bench(s, &o->bench, tell, &p, &speed, err);
    if (!st) {
        row->bytes = c->weight_bytes;
        row->bits = 8 * (double)c->weight_bytes / (double)c->n_params;
        row->text = told;
        row->prefill_tps = speed.prefill_tps;
        row->decode_tps = speed.decode_tps;
        row->n_kl = !r ? 0 : told.tokens < chunks.n_kl ? (int)told.tokens : (int)chunks.n_kl;
    }
    cut_session_free(s);
    cut_session_free(r);
    return st;
}
