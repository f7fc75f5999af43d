/* train.c - learning a vocabulary from text: byte-pair encoding (Sennrich et al. 2016, section 3.2, algorithm 1) with
 * SentencePiece's marks (Kudo and Richardson 2018): a space is U+2581, and what no piece spells is spelled in bytes.
 *
 * The text is cut into words, each with the space before it, and the words are counted. A word begins as a list of
 * characters. Then, again and again, the pair of neighbours that occurs most often in the whole text becomes one new piece
 * wherever it stands. The n-th piece found gets the score -n: the encoder (spm.c) joins the pair with the highest score
 * first, and so repeats the training.
 *
 * Where words end decides what can be a piece. Letters stay with letters and the space before them, signs with signs;
 * digits stay alone, so that a number is spelled by its digits and arithmetic can be learnt place by place; line ends
 * stay bytes. Only ASCII characters are pieces of their own; others are spelled in bytes. */
#include <ctype.h>

#include "engine/vocab/vocab.h"

enum { FIRST = ' ' + 1, LAST = '~', SPACE = 0, N_CHARS = LAST - FIRST + 2,     /* symbols: the space, then ASCII in order */
       N_FIXED = 3 + 256 + N_CHARS };

struct word { size_t at; int n; uint64_t count; };             /* symbols [at, at + n) of `symbol` */
struct pair { int32_t a, b; uint64_t count; };                 /* a -1: an empty slot */

struct trainer {
    const struct cut_vocab_train_opts *o;
    struct cut_err *err;
    struct word *word;
    size_t n_words, words_cap;
    int32_t *slot;                                             /* hash table of words, -1: empty */
    size_t n_slots;
    int32_t *symbol;
    size_t n_symbols, symbols_cap;
    char **piece;                                              /* of each symbol; from N_CHARS on: merges, in order */
    int n_pieces, max_pieces;
    struct pair *pair;                                         /* hash table, counted anew for every merge */
    size_t n_pairs;
    uint64_t alone;                                            /* characters that are a token by themselves */
    struct cut_vocab_train_stats stats;
};

/* ---- words */

static int symbol_of(unsigned char c) { return c == ' ' ? SPACE : c >= FIRST && c <= LAST ? c - FIRST + 1 : -1; }

static uint64_t hash_of(const int32_t *s, int n) {
    uint64_t h = 0xCBF29CE484222325u;
    for (int i = 0; i < n; i++) h = (h ^ (uint64_t)s[i]) * 0x100000001B3u;
    return h ^ h >> 29;
}

static enum cut_status grow_slots(struct trainer *t) {
    size_t n = t->n_slots ? t->n_slots * 2 : 4096;
    int32_t *slot = cut_calloc(n, sizeof *slot, "words of the text", t->err);
    if (!slot) return CUT_ENOMEM;
    memset(slot, -1, n * sizeof *slot);
    for (size_t i = 0; i < t->n_words; i++) {
        size_t h = hash_of(t->symbol + t->word[i].at, t->word[i].n) & (n - 1);
        while (slot[h] >= 0) h = (h + 1) & (n - 1);
        slot[h] = (int32_t)i;
    }
    free(t->slot);
    t->slot = slot;
    t->n_slots = n;
    return CUT_OK;
}

/* The word that was built at the end of `symbol`: counted, and kept there if it is new. */
static enum cut_status put_word(struct trainer *t, size_t at) {
    int n = (int)(t->n_symbols - at);
    t->stats.words++;
    if (t->n_words * 2 >= t->n_slots && grow_slots(t)) return CUT_ENOMEM;
    size_t h = hash_of(t->symbol + at, n) & (t->n_slots - 1);
    for (; t->slot[h] >= 0; h = (h + 1) & (t->n_slots - 1)) {
        struct word *w = &t->word[t->slot[h]];
        if (w->n != n || memcmp(t->symbol + w->at, t->symbol + at, (size_t)n * sizeof *t->symbol)) continue;
        w->count++;
        t->n_symbols = at;
        return CUT_OK;
    }
    enum cut_status st = cut_grow(&t->word, &t->words_cap, t->n_words, sizeof *t->word, "words of the text", t->err);
    if (st) return st;
    t->slot[h] = (int32_t)t->n_words;
    t->word[t->n_words++] = (struct word){ at, n, 1 };
    return CUT_OK;
}

static enum cut_status put_symbol(struct trainer *t, int s) {
    enum cut_status st = cut_grow(&t->symbol, &t->symbols_cap, t->n_symbols, sizeof *t->symbol, "words of the text", t->err);
    if (!st) t->symbol[t->n_symbols++] = s;
    return st;
}

/* Length of the control token that stands here, 0: none. */
static size_t control_at(const struct trainer *t, const char *s, size_t len) {
    static const char *const own[] = { "<s>", "</s>", "<unk>" };
    for (int i = 0; i < 3 + t->o->n_control; i++) {
        const char *c = i < 3 ? own[i] : t->o->control[i - 3];
        if (strlen(c) <= len && !memcmp(s, c, strlen(c))) return strlen(c);
    }
    return 0;
}

enum kind { LETTER, DIGIT, SIGN, OTHER };

static enum kind kind_of(unsigned char c) {
    return isalpha(c) || c == '\'' ? LETTER : isdigit(c) ? DIGIT : symbol_of(c) > 0 ? SIGN : OTHER;
}

/* One piece of text between control tokens. The encoder puts a space in front of it, and so do we. */
static enum cut_status put_fragment(struct trainer *t, const char *s, size_t len) {
    bool space = true;
    enum cut_status st = CUT_OK;
    for (size_t i = 0; !st && (i < len || space);) {
        size_t at = t->n_symbols, from = i;
        enum kind kind = i < len ? kind_of((unsigned char)s[i]) : OTHER;
        if (space) st = put_symbol(t, SPACE);
        space = false;
        if (kind == LETTER || kind == SIGN)
            for (; !st && i < len && kind_of((unsigned char)s[i]) == kind && i - from < 64; i++)
                st = put_symbol(t, symbol_of((unsigned char)s[i]));
        if (!st && t->n_symbols > at) st = put_word(t, at);
        if (kind == DIGIT || kind == OTHER) {                  /* not part of any longer piece */
            space = i < len && s[i] == ' ';
            t->alone += i < len && !space;
            i++;
        }
    }
    return st;
}

static enum cut_status read_words(struct trainer *t, const char *s, size_t len) {
    enum cut_status st = CUT_OK;
    size_t start = 0, at = 0;
    while (!st && at < len) {
        size_t n = s[at] == '<' ? control_at(t, s + at, len - at) : 0;
        if (!n) {
            at++;
            continue;
        }
        if (at > start) st = put_fragment(t, s + start, at - start);
        start = at += n;
    }
    if (!st && at > start) st = put_fragment(t, s + start, at - start);
    return st;
}

/* ---- merges */

static enum cut_status count_pairs(struct trainer *t) {
    size_t used = 0;
    for (size_t i = 0; i < t->n_pairs; i++) t->pair[i].a = -1;
    for (size_t i = 0; i < t->n_words; i++) {
        const struct word *w = &t->word[i];
        for (int k = 0; k + 1 < w->n; k++) {
            const int32_t *p = t->symbol + w->at + k;
            if (used * 2 >= t->n_pairs) {                      /* a larger table, and from the start */
                size_t n = t->n_pairs ? t->n_pairs * 2 : 1 << 14;
                struct pair *more = cut_calloc(n, sizeof *more, "pairs of pieces", t->err);
                if (!more) return CUT_ENOMEM;
                free(t->pair);
                t->pair = more;
                t->n_pairs = n;
                return count_pairs(t);
            }
            size_t h = hash_of(p, 2) & (t->n_pairs - 1);
            while (t->pair[h].a >= 0 && (t->pair[h].a != p[0] || t->pair[h].b != p[1])) h = (h + 1) & (t->n_pairs - 1);
            if (t->pair[h].a < 0) {
                t->pair[h] = (struct pair){ p[0], p[1], 0 };
                used++;
            }
            t->pair[h].count += w->count;
        }
    }
    return CUT_OK;
}

/* The commonest pair; of equals the one whose parts were found first. */
static struct pair best_pair(const struct trainer *t) {
    struct pair best = { -1, -1, 0 };
    for (size_t i = 0; i < t->n_pairs; i++) {
        const struct pair *p = &t->pair[i];
        if (p->a < 0 || p->count < best.count) continue;
        if (p->count > best.count || p->a < best.a || (p->a == best.a && p->b < best.b)) best = *p;
    }
    return best;
}

/* The symbol that a and b become: a new piece, or one that other parts have already made. */
static enum cut_status merged_symbol(struct trainer *t, struct pair p, int32_t *out) {
    size_t la = strlen(t->piece[p.a]), lb = strlen(t->piece[p.b]);
    char *s = cut_calloc(la + lb + 1, 1, "a piece", t->err);
    if (!s) return CUT_ENOMEM;
    memcpy(s, t->piece[p.a], la);
    memcpy(s + la, t->piece[p.b], lb);
    for (*out = 0; *out < t->n_pieces; ++*out)
        if (!strcmp(t->piece[*out], s)) {
            free(s);
            return CUT_OK;
        }
    t->piece[t->n_pieces++] = s;
    return CUT_OK;
}

static void replace(struct trainer *t, struct pair p, int32_t by) {
    for (size_t i = 0; i < t->n_words; i++) {
        int32_t *s = t->symbol + t->word[i].at;
        int n = 0;
        for (int k = 0; k < t->word[i].n; n++) {
            bool match = k + 1 < t->word[i].n && s[k] == p.a && s[k + 1] == p.b;
            s[n] = match ? by : s[k];
            k += match ? 2 : 1;
        }
        t->word[i].n = n;
    }
}

static enum cut_status merge_all(struct trainer *t, cut_progress_fn progress, void *user) {
    enum cut_status st = CUT_OK;
    while (!st && t->n_pieces < t->max_pieces) {
        int32_t by;
        st = count_pairs(t);
        if (st) break;
        struct pair p = best_pair(t);
        if (p.count < 2)
            return cut_fail(t->err, CUT_EUSAGE, "the text is used up at %d tokens; it has too few words for %d",
                            3 + t->o->n_control + 256 + t->n_pieces, t->o->size);
        st = merged_symbol(t, p, &by);
        if (!st) replace(t, p, by);
        if (!st && progress && !progress(user, (double)t->n_pieces / t->max_pieces, t->piece[t->n_pieces - 1]))
            return cut_fail(t->err, CUT_ECANCEL, "cancelled");
    }
    return st;
}

/* ---- the file */

static enum cut_status write_vocab(struct trainer *t, const char *path) {
    static const char *const own[] = { "<unk>", "<s>", "</s>" };
    int nc = t->o->n_control, n = 3 + nc + 256 + t->n_pieces, i = 0, end = 2;
    const char **text = cut_calloc((size_t)n, sizeof *text, "the vocabulary", t->err);
    float *score = cut_calloc((size_t)n, sizeof *score, "the vocabulary", t->err);
    int32_t *kind = cut_calloc((size_t)n, sizeof *kind, "the vocabulary", t->err);
    char(*byte)[8] = cut_calloc(256, sizeof *byte, "the vocabulary", t->err);
    struct cut_gguf_writer *w = NULL;
    enum cut_status st = text && score && kind && byte ? cut_gguf_writer_new(&w, t->err) : CUT_ENOMEM;
    if (st) goto done;
    for (; i < 3 + nc; i++) {
        text[i] = i < 3 ? own[i] : t->o->control[i - 3];
        kind[i] = i ? CUT_TOKEN_CONTROL : CUT_TOKEN_UNKNOWN;
        if (t->o->end && !strcmp(text[i], t->o->end)) end = i;
    }
    for (int b = 0; b < 256; b++, i++) {
        snprintf(byte[b], sizeof byte[b], "<0x%02X>", (unsigned)b);
        text[i] = byte[b];
        kind[i] = CUT_TOKEN_BYTE;
    }
    for (int p = 0; p < t->n_pieces; p++, i++) {
        text[i] = t->piece[p];
        kind[i] = CUT_TOKEN_NORMAL;
        score[i] = p < N_CHARS ? 0 : -(float)(p - N_CHARS + 1);
    }
    if ((st = cut_gguf_put_str(w, "general.architecture", "llama", t->err)) ||
        (st = cut_gguf_put_str(w, "tokenizer.ggml.model", "llama", t->err)) ||
        (st = cut_gguf_put_strs(w, "tokenizer.ggml.tokens", text, (uint64_t)n, t->err)) ||
        (st = cut_gguf_put_raw(w, "tokenizer.ggml.scores", CUT_KV_ARRAY, CUT_KV_F32, (uint64_t)n, score, (size_t)n * 4, t->err)) ||
        (st = cut_gguf_put_raw(w, "tokenizer.ggml.token_type", CUT_KV_ARRAY, CUT_KV_I32, (uint64_t)n, kind, (size_t)n * 4, t->err)) ||
        (st = cut_gguf_put_u32(w, "tokenizer.ggml.unknown_token_id", 0, t->err)) ||
        (st = cut_gguf_put_u32(w, "tokenizer.ggml.bos_token_id", 1, t->err)) ||
        (st = cut_gguf_put_u32(w, "tokenizer.ggml.eos_token_id", 2, t->err)) ||
        (st = cut_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", true, t->err)) ||
        (st = cut_gguf_put_bool(w, "tokenizer.ggml.add_eos_token", false, t->err)) ||
        (st = cut_gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", true, t->err)))
        goto done;
    if (end != 2) st = cut_gguf_put_u32(w, "tokenizer.ggml.eot_token_id", (uint32_t)end, t->err);
    if (!st && t->o->chat_template) st = cut_gguf_put_str(w, "tokenizer.chat_template", t->o->chat_template, t->err);
    if (!st) st = cut_gguf_write(w, path, NULL, NULL, t->err);
done:
    cut_gguf_writer_free(w);
    free(text);
    free(score);
    free(kind);
    free(byte);
    return st;
}

/* ---- the whole */

static enum cut_status check(const struct cut_vocab_train_opts *o, const char *path, const struct cut_file *f, struct cut_err *err) {
    int least = N_FIXED + o->n_control;
    if (o->size < least || o->size > 1 << 20)
        return cut_fail(err, CUT_EUSAGE, "size: %d tokens is not in %d (256 bytes, %d characters, %d control tokens) to %d", o->size, least,
                        N_CHARS, 3 + o->n_control, 1 << 20);
    for (int i = 0; i < o->n_control; i++)
        if (o->control[i][0] != '<' || strlen(o->control[i]) > 60)
            return cut_fail(err, CUT_EUSAGE, "control token \"%.80s\": must start with < and have at most 60 bytes", o->control[i]);
    return cut_file_check_text(f, path, err);
}

static enum cut_status put_chars(struct trainer *t) {
    t->max_pieces = t->o->size - 3 - 256 - t->o->n_control;
    t->piece = cut_calloc((size_t)t->max_pieces, sizeof *t->piece, "pieces", t->err);
    if (!t->piece) return CUT_ENOMEM;
    for (; t->n_pieces < N_CHARS; t->n_pieces++) {
        char one[2] = { (char)(FIRST + t->n_pieces - 1), 0 };
        if (!(t->piece[t->n_pieces] = strdup(t->n_pieces == SPACE ? CUT_SPACE : one))) return cut_fail(t->err, CUT_ENOMEM, "out of memory: pieces");
    }
    return CUT_OK;
}

enum cut_status cut_vocab_train(const char *text, const char *out, const struct cut_vocab_train_opts *o, cut_progress_fn progress, void *user,
                                struct cut_vocab_train_stats *stats, struct cut_err *err) {
    struct trainer t = { .o = o, .err = err };
    struct cut_file f;
    enum cut_status st = cut_file_open(&f, text, false, err);
    if (st) return st;
    st = check(o, text, &f, err);
    if (!st) st = put_chars(&t);
    if (!st) st = read_words(&t, (const char *)f.data, f.size);
    if (!st) st = merge_all(&t, progress, user);
    if (!st) st = write_vocab(&t, out);
    if (!st) {
        uint64_t tokens = t.alone;
        for (size_t i = 0; i < t.n_words; i++) tokens += t.word[i].count * (uint64_t)t.word[i].n;
        t.stats.bytes = f.size;
        t.stats.distinct = t.n_words;
        t.stats.merges = t.n_pieces - N_CHARS;
        t.stats.bytes_per_token = (double)f.size / (double)(tokens ? tokens : 1);
        *stats = t.stats;
    }
    for (int i = 0; i < t.n_pieces; i++) free(t.piece[i]);
    free(t.piece);
    free(t.pair);
    free(t.word);
    free(t.slot);
    free(t.symbol);
    cut_file_close(&f);
    return st;
}
