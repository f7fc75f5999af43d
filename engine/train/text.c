/* text.c - documents, and batches of them.
 *
 * A batch is whole documents end to end. Each starts with BOS at position 0 and attends to itself alone, which is what
 * the model meets when it is used; and a first token that is always the same gives the heads a place to attend to
 * when they look for nothing (Xiao et al. 2024: the attention sink). */
#include "engine/train/text.h"

static enum cut_status put_start(struct cut_corpus *c, size_t *cap, size_t at, struct cut_err *err) {
    enum cut_status st = cut_grow(&c->start, cap, c->n + 1, sizeof *c->start, "documents", err);
    if (!st) c->start[c->n] = at;
    return st;
}

/* Move the ids [from, to) of a document to the end of those kept. */
static enum cut_status keep(struct cut_corpus *c, size_t *cap, size_t *kept, size_t from, size_t to, int n_ctx, struct cut_err *err) {
    if (to - from > (size_t)n_ctx) {
        to = from + (size_t)n_ctx;
        c->n_cut++;
    }
    if (to - from < 2) return CUT_OK;
    memmove(c->id + *kept, c->id + from, (to - from) * sizeof *c->id);
    *kept += to - from;
    c->longest = cut_max(c->longest, (int)(to - from));
    c->n++;
    return put_start(c, cap, *kept, err);
}

/* Cut the ids at BOS, dropping what stands behind a document's end token. */
static enum cut_status split(struct cut_corpus *c, size_t n, const struct cut_vocab *v, int n_ctx, struct cut_err *err) {
    size_t kept = 0, cap = 0;
    int32_t bos = cut_vocab_bos(v), eos = cut_vocab_eos(v);
    enum cut_status st = put_start(c, &cap, 0, err);
    for (size_t i = 0, j; !st && i < n; i = j) {
        size_t end = n;
        for (j = i + 1; j < n && c->id[j] != bos; j++)
            if (end == n && c->id[j] == eos) end = j + 1;
        if (c->id[i] == bos) st = keep(c, &cap, &kept, i, end < j ? end : j, n_ctx, err);
    }
    return st;
}

/* One long text: pieces of the context's length, each with a BOS of its own. */
static enum cut_status chop(struct cut_corpus *c, size_t n, const struct cut_vocab *v, int n_ctx, struct cut_err *err) {
    size_t pieces = (n + (size_t)n_ctx - 2) / ((size_t)n_ctx - 1), cap = 0, at = 0;
    int32_t *id = cut_calloc(n + pieces, sizeof *id, "the training text", err);
    if (!id) return CUT_ENOMEM;
    enum cut_status st = put_start(c, &cap, 0, err);
    for (size_t i = 0; !st && i < n;) {
        size_t part = n - i < (size_t)n_ctx - 1 ? n - i : (size_t)n_ctx - 1;
        id[at] = cut_vocab_bos(v);
        memcpy(id + at + 1, c->id + i, part * sizeof *id);
        i += part;
        at += part + 1;
        c->n++;
        c->longest = cut_max(c->longest, (int)part + 1);
        st = put_start(c, &cap, at, err);
    }
    free(c->id);
    c->id = id;
    return st;
}

enum cut_status cut_corpus_read(struct cut_corpus *c, const char *path, const struct cut_vocab *v, int n_ctx, struct cut_err *err) {
    struct cut_file f;
    size_t n = 0;
    *c = (struct cut_corpus){ 0 };
    if (cut_vocab_bos(v) < 0) return cut_fail(err, CUT_EUSAGE, "the vocabulary has no BOS token, which documents start with");
    enum cut_status st = cut_file_open(&f, path, false, err);
    if (st) return st;
    st = cut_file_check_text(&f, path, err);
    if (!st) st = cut_vocab_encode(v, (const char *)f.data, f.size, CUT_ENCODE_SPECIAL, &c->id, &n, err);
    if (!st) {
        bool marked = false;
        for (size_t i = 0; i < n && !marked; i++) marked = c->id[i] == cut_vocab_bos(v);
        st = marked ? split(c, n, v, n_ctx, err) : chop(c, n, v, n_ctx, err);
    }
    if (!st && !c->n) st = cut_fail(err, CUT_EFILE, "%s: no document has two tokens, and one is needed to learn the next", cut_basename(path));
    for (size_t i = 0; !st && i < c->start[c->n]; i++) c->hash = (c->hash ^ (uint64_t)c->id[i]) * 0x100000001B3u + i;
    cut_file_close(&f);
    if (st) cut_corpus_done(c);
    return st;
}

void cut_corpus_done(struct cut_corpus *c) {
    free(c->id);
    free(c->start);
    *c = (struct cut_corpus){ 0 };
}

/* ---- batches */

enum cut_status cut_rows_new(struct cut_rows *r, int max_tokens, struct cut_err *err) {
    size_t n = (size_t)max_tokens;
    *r = (struct cut_rows){ 0 };
    r->id = cut_calloc(4 * n + 1, sizeof *r->id, "a batch", err);
    if (!r->id) return CUT_ENOMEM;
    r->target = r->id + n;
    r->pos = r->id + 2 * n;
    r->start = r->id + 3 * n;
    return CUT_OK;
}

void cut_rows_done(struct cut_rows *r) {
    free(r->id);
    *r = (struct cut_rows){ 0 };
}

static void begin(struct cut_rows *r) { r->n = r->n_docs = r->start[0] = 0; }

static void end_document(struct cut_rows *r) { r->start[++r->n_docs] = r->n; }

/* n ids; each but the last predicts the next. */
static void put_document(struct cut_rows *r, const int32_t *id, int n) {
    for (int i = 0; i + 1 < n; i++, r->n++) {
        r->id[r->n] = id[i];
        r->target[r->n] = id[i + 1];
        r->pos[r->n] = i;
    }
    end_document(r);
}

static int below(uint64_t *state, int n) { return (int)(cut_rng_next(state) % (uint64_t)n); }

static int32_t any_piece(const struct cut_vocab *v, uint64_t *state) {
    int32_t id;
    do id = below(state, cut_vocab_size(v));
    while (cut_vocab_kind(v, id) != CUT_TOKEN_NORMAL);
    return id;
}

/* BOS, then a list of random tokens, said again and again: nothing but looking back can predict the second time, so this is
 * what teaches heads to look back (Olsson et al. 2022, "In-context learning and induction heads"). Half of the lists have
 * other random tokens in between. What cannot be foreseen carries no loss: the first time, the gaps, and the token
 * after a gap. Lengths are drawn evenly by their logarithm: short lists are learnt first, because attention that does not yet
 * know where to look finds the right token among few. */
static void put_repeats(struct cut_rows *r, int room, const struct cut_vocab *v, uint64_t *state) {
    int n = cut_min(room, 8 << below(state, 7)), len = 2 + below(state, n / 2 - 2), gap = below(state, 2) ? 0 : 1 + below(state, n / 4);
    int period = len + gap;
    for (int i = 0; i < n; i++, r->n++) {
        int p = i - 1, phase = p % period;                 /* BOS stands before the list */
        bool copy = p >= period && phase < len;
        r->id[r->n] = i == 0 ? cut_vocab_bos(v) : copy ? r->id[r->n - period] : any_piece(v, state);
        r->pos[r->n] = i;
        r->target[r->n] = -1;
        if (copy && (phase || (!gap && p >= 2 * period))) r->target[r->n - 1] = r->id[r->n];
    }
    end_document(r);
}

void cut_rows_draw(struct cut_rows *r, int max_tokens, const struct cut_corpus *c, const struct cut_vocab *v, int n_ctx,
                   float repeats, uint64_t state) {
    begin(r);
    if (cut_rng_float(&state) < repeats)
        while (max_tokens - r->n >= 16) put_repeats(r, cut_min(n_ctx, max_tokens - r->n), v, &state);
    for (int misses = 0; misses < 16 && r->n < max_tokens;) {
        size_t doc = cut_rng_next(&state) % c->n;
        int n = (int)(c->start[doc + 1] - c->start[doc]);
        if (r->n + n - 1 > max_tokens) misses++;
        else put_document(r, c->id + c->start[doc], n);
    }
}

bool cut_rows_next(struct cut_rows *r, int max_tokens, const struct cut_corpus *c, size_t *doc) {
    begin(r);
    for (; *doc < c->n && r->n + (int)(c->start[*doc + 1] - c->start[*doc]) - 1 <= max_tokens; ++*doc)
        put_document(r, c->id + c->start[*doc], (int)(c->start[*doc + 1] - c->start[*doc]));
    return r->n > 0;
}
