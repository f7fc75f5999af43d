/* chunks.c - perplexity as llama.cpp's tool defines it, and the damage against a reference over the same tokens.
 *
 * The text is one row of tokens, cut into chunks that are evaluated each from an empty cache. The first half of a chunk is only
 * context, so that every token counted has at least half a chunk before it:
 *
 *   | BOS  t1 ... t(c/2)  |  t(c/2 + 1) ... t(c - 1) |        ppl = exp( - mean over chunks, over the second half, of ln p(t_i) )
 *
 * A reference is evaluated beside the model, pass by pass, or read from a file of saved logits:
 *
 *   "CUTLOGIT"  u32 version = 1, n_vocab, chunk, chunks    i32 ids[chunks][chunk]
 *   chunks times, for each token counted: f32 logits[n_vocab], of what is predicted for it                little-endian */
#include <errno.h>
#include <math.h>

#include "engine/tools/damage.h"

static const char magic[8] = "CUTLOGIT";
struct head { char magic[8]; uint32_t version, n_vocab, chunk, chunks; };
_Static_assert(sizeof(struct head) == 24, "the layout above");

struct run {
    struct cut_session *s;
    const struct cut_chunks_opts *o;
    int32_t *id;                       /* [chunks][chunk], BOS in place */
    int chunk, chunks, n_vocab;
    struct cut_moments surprise;
    uint64_t counted;
    struct cut_tally tally;            /* against a reference */
    struct cut_file saved;             /* the reference, from a file; else nothing */
    size_t at;                         /* of its next row */
    float *row;                        /* one of it, aligned */
    struct cut_save save;              /* logits being saved */
};

static int first_of(const struct run *r) { return r->chunk / 2; }      /* the first position whose prediction counts */
static uint64_t rows_per_chunk(const struct run *r) { return (uint64_t)(r->chunk - 1 - first_of(r)); }
static bool has_reference(const struct run *r) { return r->o->ref || r->saved.data; }

/* ---- the text */

static enum cut_status read_text(struct run *r, const char *path, struct cut_err *err) {
    const struct cut_vocab *v = cut_model_vocab(cut_session_model(r->s));
    struct cut_file f;
    size_t n = 0;
    enum cut_status st = cut_file_open(&f, path, false, err);
    if (st) return st;
    st = cut_file_check_text(&f, path, err);
    if (!st) st = cut_vocab_encode(v, (const char *)f.data, f.size, CUT_ENCODE_BOS, &r->id, &n, err);
    cut_file_close(&f);
    if (st) return st;
    size_t chunks = n / (size_t)r->chunk;
    if (!chunks)
        return cut_fail(err, CUT_EUSAGE, "%s: %zu tokens do not fill one chunk of %d; use a smaller chunk or a longer text",
                        cut_basename(path), n, r->chunk);
    if (r->o->max_chunks && chunks > (size_t)r->o->max_chunks) chunks = (size_t)r->o->max_chunks;
    if (chunks > 1 << 24) chunks = 1 << 24;
    r->chunks = (int)chunks;
    for (size_t c = 0; cut_vocab_add_bos(v) && c < chunks; c++) r->id[c * (size_t)r->chunk] = cut_vocab_bos(v);
    return CUT_OK;
}

/* ---- saved logits */

static enum cut_status open_reference(struct run *r, struct cut_err *err) {
    const char *path = r->o->ref_file, *name = cut_basename(path);
    struct head h;
    enum cut_status st = cut_file_open(&r->saved, path, false, err);
    if (st) return st;
    if (r->saved.size < sizeof h || memcmp(r->saved.data, magic, sizeof magic))
        return cut_fail(err, CUT_EFILE, "%s: no file of saved logits (those begin with \"%.8s\")", name, magic);
    memcpy(&h, r->saved.data, sizeof h);
    if (h.version != 1) return cut_fail(err, CUT_EFILE, "%s: version %u of saved logits, only 1 is read", name, h.version);
    if (h.n_vocab != (uint32_t)r->n_vocab || h.chunk != (uint32_t)r->chunk)
        return cut_fail(err, CUT_EUSAGE, "%s: saved for %u tokens of vocabulary in chunks of %u, not for %d in chunks of %d", name, h.n_vocab,
                        h.chunk, r->n_vocab, r->chunk);
    uint64_t room = r->saved.size - sizeof h, per_chunk = (uint64_t)r->chunk * 4 + rows_per_chunk(r) * (uint64_t)r->n_vocab * 4;
    if (!h.chunks || room / per_chunk != h.chunks || room % per_chunk)
        return cut_fail(err, CUT_EFILE, "%s: %zu bytes are not what %u chunks of %d tokens need", name, r->saved.size, h.chunks, r->chunk);
    if ((uint32_t)r->chunks > h.chunks) r->chunks = (int)h.chunks;
    for (size_t i = 0; i < (size_t)r->chunks * (size_t)r->chunk; i++) {
        int32_t id;
        memcpy(&id, r->saved.data + sizeof h + i * 4, 4);
        if (id != r->id[i])
            return cut_fail(err, CUT_EUSAGE, "%s: saved for another text: token %zu is %d there and %d here", name, i, id, r->id[i]);
    }
    r->at = sizeof h + (size_t)h.chunks * (size_t)r->chunk * 4;
    r->row = cut_calloc((size_t)r->n_vocab, sizeof *r->row, "a row of logits", err);
    return r->row ? CUT_OK : CUT_ENOMEM;
}

static enum cut_status cannot_write(const struct run *r, struct cut_err *err) {
    return cut_fail(err, CUT_ESYSTEM, "%s: cannot write: %s", r->o->save, strerror(errno));
}

static enum cut_status begin_saving(struct run *r, struct cut_err *err) {
    struct head h = { .version = 1, .n_vocab = (uint32_t)r->n_vocab, .chunk = (uint32_t)r->chunk, .chunks = (uint32_t)r->chunks };
    memcpy(h.magic, magic, sizeof magic);
    size_t n = (size_t)r->chunks * (size_t)r->chunk;
    enum cut_status st = cut_save_open(&r->save, r->o->save, err);
    if (!st && (fwrite(&h, sizeof h, 1, r->save.f) != 1 || fwrite(r->id, sizeof *r->id, n, r->save.f) != n)) st = cannot_write(r, err);
    return st;
}

/* ---- evaluating */

/* One pass of a session: n tokens at the end of its sequence. */
static enum cut_status evaluate(struct cut_session *s, const int32_t *ids, int n, bool logits, struct cut_err *err) {
    enum cut_status st = cut_session_feed(s, 0, ids, n, logits ? CUT_FEED_ALL_LOGITS : 0, err);
    if (!st) st = cut_session_run(s, NULL, err);
    if (!st && logits && !cut_session_logits(s, n - 1)) st = cut_fail(err, CUT_EUSAGE, "the measurement met a breakpoint: clear it first");
    return st;
}

/* Count what the k-th row of logits of this pass says about the token that came. */
static enum cut_status count(struct run *r, int k, int32_t id, struct cut_err *err) {
    const float *x = cut_session_logits(r->s, k), *ref = r->row;
    size_t n = (size_t)r->n_vocab;
    if (r->save.f && fwrite(x, sizeof *x, n, r->save.f) != n) return cannot_write(r, err);
    if (r->saved.data) {
        memcpy(r->row, r->saved.data + r->at, n * sizeof *x);
        r->at += n * sizeof *x;
    } else if (r->o->ref) {
        ref = cut_session_logits(r->o->ref, k);
    }
    if (ref) {
        struct cut_divergence d;
        cut_diverge(ref, x, r->n_vocab, id, &d);
        cut_tally_add(&r->tally, &d);
        cut_moments_add(&r->surprise, -d.logq);
        if (r->o->kl && r->counted < r->o->n_kl) r->o->kl[r->counted] = (float)d.kl;
    } else {
        cut_moments_add(&r->surprise, cut_surprise(x, r->n_vocab, id));
    }
    r->counted++;
    return CUT_OK;
}

static enum cut_status run_chunk(struct run *r, int c, cut_progress_fn progress, void *user, struct cut_err *err) {
    const int32_t *id = r->id + (size_t)c * (size_t)r->chunk;
    int most = cut_session_opts(r->s)->n_batch, first = first_of(r), end = r->chunk - 1;       /* nothing asks what follows the last */
    enum cut_status st = cut_session_truncate(r->s, 0, 0, err);
    if (r->o->ref) most = cut_min(most, cut_session_opts(r->o->ref)->n_batch);
    if (!st && r->o->ref) st = cut_session_truncate(r->o->ref, 0, 0, err);
    for (int i = 0; !st && i < end;) {
        bool counts = i >= first;
        int n = cut_min(most, (counts ? end : first) - i);
        st = evaluate(r->s, id + i, n, counts, err);
        if (!st && r->o->ref) st = evaluate(r->o->ref, id + i, n, counts, err);
        for (int k = 0; !st && counts && k < n; k++) st = count(r, k, id[i + k + 1], err);
        i += n;
        if (!st && progress && !progress(user, (c + (double)i / end) / r->chunks, "chunks"))
            st = cut_fail(err, CUT_ECANCEL, "the measurement was stopped");
    }
    return st;
}

static const char *file_of(const struct cut_session *s) { return cut_gguf_head(cut_model_gguf(cut_session_model(s)))->name; }

static enum cut_status check(struct run *r, struct cut_err *err) {
    const struct cut_chunks_opts *o = r->o;
    int most = cut_session_opts(r->s)->n_ctx;
    if (o->ref) most = cut_min(most, cut_session_opts(o->ref)->n_ctx);
    r->chunk = o->chunk ? o->chunk : cut_min(512, most);
    if (r->chunk < 4 || r->chunk > most)
        return cut_fail(err, CUT_EUSAGE, "chunks of %d tokens: must be 4 to %d, the context", r->chunk, most);
    if (o->max_chunks < 0) return cut_fail(err, CUT_EUSAGE, "at most %d chunks: must be 0 (all) or more", o->max_chunks);
    if (o->ref && o->ref_file) return cut_fail(err, CUT_EUSAGE, "a reference model and a file of saved logits: only one can be compared with");
    if (o->ref && cut_model_config(cut_session_model(o->ref))->n_vocab != r->n_vocab)
        return cut_fail(err, CUT_EUSAGE, "%s has %d tokens in its vocabulary, the reference %s has %d", file_of(r->s), r->n_vocab,
                        file_of(o->ref), cut_model_config(cut_session_model(o->ref))->n_vocab);
    return CUT_OK;
}

enum cut_status cut_perplexity_chunks(struct cut_session *s, const char *text, const struct cut_chunks_opts *o, cut_progress_fn progress,
                                      void *user, struct cut_chunks_result *out, struct cut_err *err) {
    struct run r = { .s = s, .o = o, .n_vocab = cut_model_config(cut_session_model(s))->n_vocab };
    enum cut_status st = check(&r, err);
    if (!st) st = read_text(&r, text, err);
    if (!st && o->ref_file) st = open_reference(&r, err);
    if (!st && has_reference(&r)) st = cut_tally_init(&r.tally, (size_t)((uint64_t)r.chunks * rows_per_chunk(&r)), err);
    if (!st && o->save) st = begin_saving(&r, err);
    for (int c = 0; !st && c < r.chunks; c++) st = run_chunk(&r, c, progress, user, err);
    st = cut_save_close(&r.save, st, err);
    if (!st) {
        struct cut_chunks_result result = { .tokens = r.counted, .chunks = r.chunks };
        cut_moments_tell(r.surprise, r.counted, &result.perplexity, &result.error);
        result.perplexity = exp(result.perplexity);
        result.error *= result.perplexity;
        if (has_reference(&r)) cut_tally_tell(&r.tally, &result.damage);
        *out = result;
    }
    cut_tally_done(&r.tally);
    if (r.saved.data) cut_file_close(&r.saved);
    free(r.row);
    free(r.id);
    return st;
}
