/* vocab.c - the vocabulary of a GGUF file: reading and checking it, and the questions that need no encoder. */
#include "engine/vocab/vocab.h"

#include <math.h>

#define LONGEST (1 << 16)      /* bytes in a piece; real ones have a few dozen */

/* ---- reading */

struct source { const struct cut_gguf *g; const char *file; struct cut_err *err; };

static enum cut_status wrong_type(const struct source *src, const struct cut_kv *kv, const char *want) {
    return cut_fail(src->err, CUT_EFILE, "%s: %s is of type %s, must be %s", src->file, kv->key,
                    cut_kv_type_name(kv->type), want);
}

/* An array of the vocabulary, with n elements (0: any number). NULL after the error was given. */
static const struct cut_kv *get_array(const struct source *src, const char *key, uint64_t n) {
    const struct cut_kv *kv = cut_gguf_find(src->g, key);
    if (!kv) {
        cut_fail(src->err, CUT_EFILE, "%s: %s is missing", src->file, key);
    } else if (kv->type != CUT_KV_ARRAY) {
        wrong_type(src, kv, "an array");
    } else if (n && kv->count != n) {
        cut_fail(src->err, CUT_EFILE, "%s: %s has %llu entries for %llu tokens", src->file, key,
                 (unsigned long long)kv->count, (unsigned long long)n);
    } else {
        return kv;
    }
    return NULL;
}

static enum cut_status read_pieces(struct cut_vocab *v, const struct source *src) {
    static const char key[] = "tokenizer.ggml.tokens";
    const struct cut_kv *kv = get_array(src, key, 0);
    if (!kv) return CUT_EFILE;
    if (kv->elem != CUT_KV_STRING)
        return cut_fail(src->err, CUT_EFILE, "%s: %s holds elements of type %s, must be strings", src->file, key,
                        cut_kv_type_name(kv->elem));
    if (kv->count == 0 || kv->count > INT32_MAX / 4)
        return cut_fail(src->err, CUT_EFILE, "%s: %s has %llu entries", src->file, key, (unsigned long long)kv->count);
    v->n = (int)kv->count;
    v->token = cut_calloc(kv->count, sizeof *v->token, "vocabulary", src->err);
    v->pieces = cut_calloc(kv->bytes + kv->count, 1, "vocabulary pieces", src->err);    /* at least what is needed */
    if (!v->token || !v->pieces) return CUT_ENOMEM;
    char *at = v->pieces;
    for (int i = 0; i < v->n; i++) {
        const char *s;
        size_t len;
        if (!cut_kv_str(kv, (uint64_t)i, &s, &len))
            return cut_fail(src->err, CUT_EFILE, "%s: %s entry %d is no string", src->file, key, i);
        if (len > LONGEST)
            return cut_fail(src->err, CUT_EFILE, "%s: %s entry %d has %zu bytes, at most %d", src->file, key, i, len,
                            LONGEST);
        memcpy(at, s, len);
        v->token[i] = (struct cut_token){ .piece = at, .len = (uint32_t)len, .kind = CUT_TOKEN_NORMAL };
        at += len + 1;
    }
    return CUT_OK;
}

static enum cut_status read_scores(struct cut_vocab *v, const struct source *src) {
    static const char key[] = "tokenizer.ggml.scores";
    const struct cut_kv *kv = get_array(src, key, (uint64_t)v->n);
    if (!kv) return CUT_EFILE;
    for (int i = 0; i < v->n; i++) {
        double score;
        if (!cut_kv_f64(kv, (uint64_t)i, &score) || isnan(score))      /* merging needs an order */
            return cut_fail(src->err, CUT_EFILE, "%s: %s entry %d is not a number", src->file, key, i);
        v->token[i].score = (float)score;
    }
    return CUT_OK;
}

/* The byte that "<0x0A>" stands for, -1: not of that form. */
static int byte_of(const struct cut_token *t) {
    static const char digits[] = "0123456789ABCDEF";
    if (t->len != 6 || memcmp(t->piece, "<0x", 3) || t->piece[5] != '>') return -1;
    const char *hi = memchr(digits, t->piece[3], 16), *lo = memchr(digits, t->piece[4], 16);
    return hi && lo ? (int)(hi - digits) * 16 + (int)(lo - digits) : -1;
}

/* The array is optional; without it only byte tokens and <unk> can be told from the rest. */
static enum cut_status read_kinds(struct cut_vocab *v, const struct source *src) {
    static const char key[] = "tokenizer.ggml.token_type";
    const struct cut_kv *kv = cut_gguf_find(src->g, key) ? get_array(src, key, (uint64_t)v->n) : NULL;
    if (!kv && cut_gguf_find(src->g, key)) return CUT_EFILE;
    for (int i = 0; i < v->n; i++) {
        struct cut_token *t = &v->token[i];
        int byte = byte_of(t);
        int64_t kind = byte >= 0 ? CUT_TOKEN_BYTE : strcmp(t->piece, "<unk>") ? CUT_TOKEN_NORMAL : CUT_TOKEN_UNKNOWN;
        if (kv && !cut_kv_i64(kv, (uint64_t)i, &kind))
            return cut_fail(src->err, CUT_EFILE, "%s: %s entry %d is not a whole number", src->file, key, i);
        if (kind < CUT_TOKEN_NORMAL || kind > CUT_TOKEN_BYTE)
            return cut_fail(src->err, CUT_EFILE, "%s: %s entry %d is %lld, must be in [1, 6]", src->file, key, i,
                            (long long)kind);
        t->kind = (enum cut_token_kind)kind;
        if (kind != CUT_TOKEN_BYTE) continue;
        if (byte < 0)
            return cut_fail(src->err, CUT_EFILE, "%s: token %d is a byte token, but its piece is not like <0x0A>",
                            src->file, i);
        if (v->byte[byte] < 0) v->byte[byte] = i;
    }
    return CUT_OK;
}

/* A special id; *id keeps its value where the file names none. */
static enum cut_status read_id(const struct cut_vocab *v, const struct source *src, const char *key, int32_t *id) {
    const struct cut_kv *kv = cut_gguf_find(src->g, key);
    uint64_t value;
    if (!kv) return CUT_OK;
    if (kv->type == CUT_KV_ARRAY || !cut_kv_u64(kv, 0, &value))
        return cut_fail(src->err, CUT_EFILE, "%s: %s is not a token id", src->file, key);
    if (value >= (uint64_t)v->n)
        return cut_fail(src->err, CUT_EFILE, "%s: %s is %llu, but the vocabulary has %d tokens", src->file, key,
                        (unsigned long long)value, v->n);
    *id = (int32_t)value;
    return CUT_OK;
}

static enum cut_status read_bool(const struct source *src, const char *key, bool *out) {
    const struct cut_kv *kv = cut_gguf_find(src->g, key);
    if (!kv || (kv->type != CUT_KV_ARRAY && cut_kv_bool(kv, 0, out))) return CUT_OK;
    return wrong_type(src, kv, "bool");
}

static int32_t id_if(const struct cut_vocab *v, int32_t id, enum cut_token_kind kind) {
    return id < v->n && v->token[id].kind == kind ? id : -1;
}

static enum cut_status read_special(struct cut_vocab *v, const struct source *src) {
    static const char *const ends[] = { "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id" };
    /* Llama's own numbers, where the file is silent and they fit. */
    v->unknown = id_if(v, 0, CUT_TOKEN_UNKNOWN);
    v->bos = id_if(v, 1, CUT_TOKEN_CONTROL);
    v->eos = id_if(v, 2, CUT_TOKEN_CONTROL);
    v->add_bos = v->add_space = true;
    enum cut_status status = read_id(v, src, "tokenizer.ggml.unknown_token_id", &v->unknown);
    if (!status) status = read_id(v, src, "tokenizer.ggml.bos_token_id", &v->bos);
    if (!status) status = read_id(v, src, "tokenizer.ggml.eos_token_id", &v->eos);
    if (!status) status = read_bool(src, "tokenizer.ggml.add_bos_token", &v->add_bos);
    if (!status) status = read_bool(src, "tokenizer.ggml.add_space_prefix", &v->add_space);
    if (!status && v->eos >= 0) v->end[v->n_end++] = v->eos;
    for (size_t i = 0; !status && i < CUT_LEN(ends); i++) {
        int32_t id = -1;
        status = read_id(v, src, ends[i], &id);
        if (id >= 0) v->end[v->n_end++] = id;
    }
    return status;
}

/* ---- looking pieces up */

/* FNV-1a. */
static uint32_t hash(const char *s, size_t len) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < len; i++) h = (h ^ (uint8_t)s[i]) * 16777619u;
    return h ^ h >> 15;
}

static uint32_t find_slot(const struct cut_vocab *v, const char *s, size_t len) {
    uint32_t i = hash(s, len) & v->mask;
    for (; v->slot[i] >= 0; i = (i + 1) & v->mask) {
        const struct cut_token *t = &v->token[v->slot[i]];
        if (t->len == len && !memcmp(t->piece, s, len)) break;
    }
    return i;
}

int32_t cut_vocab_lookup(const struct cut_vocab *v, const char *s, size_t len) { return v->slot[find_slot(v, s, len)]; }

/* A piece that occurs twice gets its last id, as in llama.cpp. */
static enum cut_status build_table(struct cut_vocab *v, struct cut_err *err) {
    uint32_t size = 16;
    while (size < 2 * (uint32_t)v->n) size *= 2;
    v->mask = size - 1;
    v->slot = cut_calloc(size, sizeof *v->slot, "vocabulary table", err);
    if (!v->slot) return CUT_ENOMEM;
    memset(v->slot, -1, size * sizeof *v->slot);
    for (int i = 0; i < v->n; i++) {
        const struct cut_token *t = &v->token[i];
        if (t->kind == CUT_TOKEN_CONTROL || t->kind == CUT_TOKEN_UNKNOWN || t->kind == CUT_TOKEN_BYTE) continue;
        v->slot[find_slot(v, t->piece, t->len)] = i;
    }
    return CUT_OK;
}

/* s with every U+2581 turned into a space, at most cap bytes of it. Returns their number. */
static size_t unescape(const char *s, size_t len, char *out, size_t cap) {
    size_t n = 0;
    for (size_t i = 0; i < len && n < cap; n++) {
        bool space = len - i >= 3 && !memcmp(s + i, CUT_SPACE, 3);
        out[n] = space ? ' ' : s[i];
        i += space ? 3 : 1;
    }
    return n;
}

static int by_byte_then_length(const void *a, const void *b) {
    const struct cut_mark *x = a, *y = b;
    int dx = (uint8_t)x->text[0], dy = (uint8_t)y->text[0];
    if (dx != dy) return dx - dy;
    if (x->len != y->len) return x->len < y->len ? 1 : -1;
    return x->id - y->id;
}

static bool is_mark(const struct cut_token *t) {
    return t->len && (t->kind == CUT_TOKEN_USER || t->kind == CUT_TOKEN_CONTROL);
}

static enum cut_status build_marks(struct cut_vocab *v, struct cut_err *err) {
    size_t n = 0, bytes = 0;
    for (int i = 0; i < v->n; i++)
        if (is_mark(&v->token[i])) {
            n++;
            bytes += v->token[i].len;
        }
    v->mark = cut_calloc(n, sizeof *v->mark, "special tokens", err);
    v->mark_text = cut_calloc(bytes, 1, "special tokens", err);
    if (!v->mark || !v->mark_text) return CUT_ENOMEM;
    char *at = v->mark_text;
    struct cut_mark *m = v->mark;
    for (int i = 0; i < v->n; i++) {
        const struct cut_token *t = &v->token[i];
        if (!is_mark(t)) continue;
        uint32_t len = (uint32_t)unescape(t->piece, t->len, at, t->len);
        *m++ = (struct cut_mark){ .text = at, .len = len, .id = i, .control = t->kind == CUT_TOKEN_CONTROL };
        at += len;
    }
    qsort(v->mark, n, sizeof *v->mark, by_byte_then_length);
    for (size_t i = 0; i < n; i++) v->first[(uint8_t)v->mark[i].text[0] + 1]++;
    for (int b = 0; b < 256; b++) v->first[b + 1] += v->first[b];
    return CUT_OK;
}

/* ---- the public side */

enum cut_status cut_vocab_new(struct cut_vocab **out, const struct cut_gguf *g, struct cut_err *err) {
    static const char key[] = "tokenizer.ggml.model";
    struct source src = { g, cut_gguf_head(g)->name, err };
    const struct cut_kv *kv = cut_gguf_find(g, key);
    const char *kind;
    size_t len;
    if (!kv) return cut_fail(err, CUT_EFILE, "%s: no vocabulary (%s is missing)", src.file, key);
    if (kv->type == CUT_KV_ARRAY || !cut_kv_str(kv, 0, &kind, &len)) return wrong_type(&src, kv, "string");
    if (len != 5 || memcmp(kind, "llama", 5))
        return cut_fail(err, CUT_EFILE, "%s: %s: a vocabulary of kind \"%.*s\", which we do not read (only \"llama\")",
                        src.file, key, (int)(len < 40 ? len : 40), kind);

    struct cut_vocab *v = cut_calloc(1, sizeof *v, "vocabulary", err);
    if (!v) return CUT_ENOMEM;
    memset(v->byte, -1, sizeof v->byte);
    enum cut_status status = read_pieces(v, &src);
    if (!status) status = read_scores(v, &src);
    if (!status) status = read_kinds(v, &src);
    if (!status) status = read_special(v, &src);
    if (!status) status = build_table(v, err);
    if (!status) status = build_marks(v, err);
    if (status) cut_vocab_free(v);
    else *out = v;
    return status;
}

void cut_vocab_free(struct cut_vocab *v) {
    if (!v) return;
    free(v->token);
    free(v->pieces);
    free(v->slot);
    free(v->mark);
    free(v->mark_text);
    free(v);
}

static const struct cut_token *get(const struct cut_vocab *v, int32_t id) {
    return id >= 0 && id < v->n ? &v->token[id] : NULL;
}

int cut_vocab_size(const struct cut_vocab *v) { return v->n; }
int32_t cut_vocab_bos(const struct cut_vocab *v) { return v->bos; }
int32_t cut_vocab_eos(const struct cut_vocab *v) { return v->eos; }
bool cut_vocab_add_bos(const struct cut_vocab *v) { return v->add_bos; }

bool cut_vocab_is_end(const struct cut_vocab *v, int32_t id) {
    for (int i = 0; i < v->n_end; i++) if (v->end[i] == id) return true;
    return false;
}

enum cut_token_kind cut_vocab_kind(const struct cut_vocab *v, int32_t id) {
    const struct cut_token *t = get(v, id);
    return t ? t->kind : CUT_TOKEN_UNUSED;
}

float cut_vocab_score(const struct cut_vocab *v, int32_t id) {
    const struct cut_token *t = get(v, id);
    return t ? t->score : 0;
}

const char *cut_vocab_piece(const struct cut_vocab *v, int32_t id) {
    const struct cut_token *t = get(v, id);
    return t ? t->piece : NULL;
}

size_t cut_vocab_text(const struct cut_vocab *v, int32_t id, char *buf, size_t cap) {
    static const char unknown[] = " \xe2\x81\x87 ";      /* U+2047, as SentencePiece shows it */
    const struct cut_token *t = get(v, id);
    if (!t || t->kind == CUT_TOKEN_CONTROL) return 0;
    if (t->kind == CUT_TOKEN_UNKNOWN) return unescape(unknown, sizeof unknown - 1, buf, cap);
    if (t->kind == CUT_TOKEN_BYTE) {
        if (cap) buf[0] = (char)byte_of(t);
        return cap > 0;
    }
    return unescape(t->piece, t->len, buf, cap);
}
