/* spm.c - text to tokens, as SentencePiece's byte-pair model does it (Kudo and Richardson 2018; Sennrich et al. 2016).
 *
 * Spaces become U+2581, and one more is put in front. The text is cut into characters; then, of all neighbours that
 * join to a piece of the vocabulary, the pair with the highest score is joined, the leftmost where scores are equal,
 * until no pair joins. In a byte-pair vocabulary the score falls with the order in which training found the merge, so
 * this replays the training. A character that is no piece is spelled in byte tokens.
 *
 * Done naively that is O(n^2). Here the symbols form a linked list, and the candidate pairs a heap: joining two
 * symbols adds at most two new pairs, and pairs that lost a partner are recognised, by their length, when they come up.
 * O(n log n).
 *
 * Before this, user-defined tokens (and control tokens, if asked for) are cut out of the text, the longest first. What
 * stands between two of them is encoded on its own, as llama.cpp does, with its own space in front; SentencePiece would
 * put a space only before the whole text. */
#include "engine/vocab/vocab.h"

struct symbol { uint32_t at, len; int32_t prev, next; };                 /* a run of bytes; len 0: joined to its left */
struct pair { float score; int32_t left, right; uint32_t len; };         /* len: of both when the pair was made */

struct encoder {
    const struct cut_vocab *v;
    struct cut_err *err;
    char *text;                /* the fragment, spaces escaped */
    struct symbol *sym;
    struct pair *heap;         /* the best pair on top */
    size_t text_cap, sym_cap, heap_cap, n_text, n_sym, n_heap;
    int32_t *ids;              /* the result */
    size_t n_ids, ids_cap;
};

/* ---- the heap of pairs */

static bool better(const struct pair *a, const struct pair *b) {
    return a->score > b->score || (a->score == b->score && a->left < b->left);
}

static enum cut_status push(struct encoder *e, struct pair p) {
    enum cut_status status = cut_grow(&e->heap, &e->heap_cap, e->n_heap, sizeof *e->heap, "tokens to join", e->err);
    if (status) return status;
    size_t i = e->n_heap++;
    for (; i && better(&p, &e->heap[(i - 1) / 2]); i = (i - 1) / 2) e->heap[i] = e->heap[(i - 1) / 2];
    e->heap[i] = p;
    return CUT_OK;
}

static struct pair pop(struct encoder *e) {
    struct pair top = e->heap[0], p = e->heap[--e->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < e->n_heap; i = child) {
        if (child + 1 < e->n_heap && better(&e->heap[child + 1], &e->heap[child])) child++;
        if (!better(&e->heap[child], &p)) break;
        e->heap[i] = e->heap[child];
    }
    e->heap[i] = p;
    return top;
}

/* ---- one fragment */

static enum cut_status put_text(struct encoder *e, const char *s, size_t len) {
    for (size_t i = 0; i < len; i++) {
        enum cut_status status = cut_grow(&e->text, &e->text_cap, e->n_text + 2, 1, "text to encode", e->err);
        if (status) return status;
        if (s[i] == ' ') {
            memcpy(e->text + e->n_text, CUT_SPACE, 3);
            e->n_text += 3;
        } else {
            e->text[e->n_text++] = s[i];
        }
    }
    return CUT_OK;
}

/* Cut into characters; a byte that begins none stands alone. */
static enum cut_status split(struct encoder *e) {
    for (size_t at = 0; at < e->n_text;) {
        uint32_t cp;
        int len = cut_utf8_decode(e->text + at, e->n_text - at, &cp);
        if (!len) len = 1;
        enum cut_status status = cut_grow(&e->sym, &e->sym_cap, e->n_sym, sizeof *e->sym, "symbols to encode", e->err);
        if (status) return status;
        int32_t i = (int32_t)e->n_sym++;
        e->sym[i] = (struct symbol){ .at = (uint32_t)at, .len = (uint32_t)len, .prev = i - 1, .next = i + 1 };
        at += (size_t)len;
    }
    if (e->n_sym) e->sym[e->n_sym - 1].next = -1;
    return CUT_OK;
}

/* If these neighbours join to a piece, remember it. -1: no such neighbour. */
static enum cut_status offer(struct encoder *e, int32_t left, int32_t right) {
    if (left < 0 || right < 0) return CUT_OK;
    uint32_t len = e->sym[left].len + e->sym[right].len;
    int32_t id = cut_vocab_lookup(e->v, e->text + e->sym[left].at, len);
    if (id < 0) return CUT_OK;
    return push(e, (struct pair){ e->v->token[id].score, left, right, len });
}

static enum cut_status join(struct encoder *e) {
    enum cut_status status = CUT_OK;
    for (int32_t i = 1; !status && i < (int32_t)e->n_sym; i++) status = offer(e, i - 1, i);
    while (!status && e->n_heap) {
        struct pair p = pop(e);
        struct symbol *l = &e->sym[p.left], *r = &e->sym[p.right];
        if (!l->len || !r->len || l->len + r->len != p.len) continue;      /* one of them was joined to another */
        l->len = p.len;
        r->len = 0;
        l->next = r->next;
        if (l->next >= 0) e->sym[l->next].prev = p.left;
        status = offer(e, l->prev, p.left);
        if (!status) status = offer(e, p.left, l->next);
    }
    return status;
}

static enum cut_status put_id(struct encoder *e, int32_t id) {
    enum cut_status status = cut_grow(&e->ids, &e->ids_cap, e->n_ids, sizeof *e->ids, "token ids", e->err);
    if (!status) e->ids[e->n_ids++] = id;
    return status;
}

/* A character that is no piece: its bytes, or the unknown token where the vocabulary has no tokens for them. */
static enum cut_status put_bytes(struct encoder *e, const struct symbol *s) {
    enum cut_status status = CUT_OK;
    const uint8_t *p = (const uint8_t *)e->text + s->at;
    for (uint32_t i = 0; i < s->len; i++) {
        if (e->v->byte[p[i]] >= 0) continue;
        if (e->v->unknown >= 0) return put_id(e, e->v->unknown);
        return cut_fail(e->err, CUT_EFILE, "the vocabulary has no token for the byte 0x%02X, and none for the unknown",
                        p[i]);
    }
    for (uint32_t i = 0; !status && i < s->len; i++) status = put_id(e, e->v->byte[p[i]]);
    return status;
}

static enum cut_status encode_fragment(struct encoder *e, const char *s, size_t len) {
    e->n_text = e->n_sym = e->n_heap = 0;
    enum cut_status status = e->v->add_space ? put_text(e, " ", 1) : CUT_OK;
    if (!status) status = put_text(e, s, len);
    if (!status) status = split(e);
    if (!status) status = join(e);
    for (int32_t i = e->n_sym ? 0 : -1; !status && i >= 0; i = e->sym[i].next) {
        int32_t id = cut_vocab_lookup(e->v, e->text + e->sym[i].at, e->sym[i].len);
        status = id >= 0 ? put_id(e, id) : put_bytes(e, &e->sym[i]);
    }
    return status;
}

/* ---- a whole text */

/* The longest token that is looked for and stands here, NULL: none. */
static const struct cut_mark *mark_at(const struct cut_vocab *v, const char *s, size_t len, bool control) {
    uint8_t b = (uint8_t)s[0];
    for (int i = v->first[b]; i < v->first[b + 1]; i++) {
        const struct cut_mark *m = &v->mark[i];
        if ((control || !m->control) && m->len <= len && !memcmp(m->text, s, m->len)) return m;
    }
    return NULL;
}

enum cut_status cut_vocab_encode(const struct cut_vocab *v, const char *text, size_t len, unsigned flags,
                                 int32_t **ids, size_t *n, struct cut_err *err) {
    struct encoder e = { .v = v, .err = err };
    enum cut_status status = CUT_OK;
    if (len > INT32_MAX / 4)           /* symbols are counted in 32 bits, and a space takes three bytes */
        return cut_fail(err, CUT_EUSAGE, "a text of %zu bytes is too long to encode, at most %d", len, INT32_MAX / 4);
    if ((flags & CUT_ENCODE_BOS) && v->add_bos && v->bos >= 0) status = put_id(&e, v->bos);
    size_t start = 0, at = 0;
    while (!status && at < len) {
        const struct cut_mark *m = mark_at(v, text + at, len - at, flags & CUT_ENCODE_SPECIAL);
        if (!m) {
            at++;
            continue;
        }
        if (at > start) status = encode_fragment(&e, text + start, at - start);
        if (!status) status = put_id(&e, m->id);
        start = at += m->len;
    }
    if (!status && len > start) status = encode_fragment(&e, text + start, len - start);
    if (!status && !e.ids && !(e.ids = cut_calloc(1, sizeof *e.ids, "token ids", err))) status = CUT_ENOMEM;
    free(e.text);
    free(e.sym);
    free(e.heap);
    if (status) {
        free(e.ids);
        return status;
    }
    *ids = e.ids;
    *n = e.n_ids;
    return CUT_OK;
}
