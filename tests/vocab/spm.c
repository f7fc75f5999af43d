/* The SentencePiece vocabulary: what encode must give, against a naive encoder and the golden data; what is refused. */
#include "tests/test.h"

/* ---- vocabularies made here */

enum { NORMAL = CUT_TOKEN_NORMAL, UNKNOWN = CUT_TOKEN_UNKNOWN, CONTROL = CUT_TOKEN_CONTROL, USER = CUT_TOKEN_USER,
       BYTE = CUT_TOKEN_BYTE };

struct made {
    const char *pieces[512];
    float scores[512];
    int32_t kinds[512];
    int n, n_scores, n_kinds;          /* as written to the file */
};

static int add(struct made *m, const char *piece, float score, int kind) {
    m->pieces[m->n] = piece;
    m->scores[m->n] = score;
    m->kinds[m->n] = kind;
    m->n_scores = m->n_kinds = m->n + 1;
    return m->n++;
}

static void add_special(struct made *m) {      /* 0 to 2 */
    add(m, "<unk>", 0, UNKNOWN);
    add(m, "<s>", 0, CONTROL);
    add(m, "</s>", 0, CONTROL);
}

static void add_bytes(struct made *m) {        /* 256 in a row */
    static char names[256][8];
    for (int b = 0; b < 256; b++) {
        snprintf(names[b], sizeof names[b], "<0x%02X>", (unsigned)b);
        add(m, names[b], 0, BYTE);
    }
}

/* Write it, let `more` add entries, and read it back. */
static enum cut_status open_made(const struct made *m, const char *model, void (*more)(struct cut_gguf_writer *),
                                 struct cut_gguf **g, struct cut_vocab **v, struct cut_err *err) {
    struct cut_gguf_writer *w = NULL;
    const char *path = test_tmp("made-vocab.gguf");
    *g = NULL;
    *v = NULL;
    enum cut_status s = cut_gguf_writer_new(&w, err);
    if (!s) s = cut_gguf_put_str(w, "general.architecture", "llama", err);
    if (!s && model) s = cut_gguf_put_str(w, "tokenizer.ggml.model", model, err);
    if (!s && m->n) s = cut_gguf_put_strs(w, "tokenizer.ggml.tokens", m->pieces, (uint64_t)m->n, err);
    if (!s && m->n_scores)
        s = cut_gguf_put_raw(w, "tokenizer.ggml.scores", CUT_KV_ARRAY, CUT_KV_F32, (uint64_t)m->n_scores, m->scores,
                             (size_t)m->n_scores * 4, err);
    if (!s && m->n_kinds)
        s = cut_gguf_put_raw(w, "tokenizer.ggml.token_type", CUT_KV_ARRAY, CUT_KV_I32, (uint64_t)m->n_kinds, m->kinds,
                             (size_t)m->n_kinds * 4, err);
    if (!s && more) more(w);
    if (!s) s = cut_gguf_write(w, path, NULL, NULL, err);
    cut_gguf_writer_free(w);
    if (!s) s = cut_gguf_open(g, path, CUT_GGUF_HEADER_ONLY, err);
    return s ? s : cut_vocab_new(v, *g, err);
}

/* Ids as text: "1 4 5". */
static const char *ids_n(const struct cut_vocab *v, const char *text, size_t len, unsigned flags) {
    static char buf[4][1024];
    static int turn;
    char *p = buf[turn++ & 3];
    int32_t *ids;
    size_t n;
    int at = 0;
    struct cut_err err = { 0 };
    if (cut_vocab_encode(v, text, len, flags, &ids, &n, &err)) return strcpy(p, err.msg);
    p[0] = 0;
    for (size_t i = 0; i < n && at < 1000; i++) at += snprintf(p + at, 1024 - (size_t)at, "%s%d", i ? " " : "", ids[i]);
    free(ids);
    return p;
}
static const char *ids(const struct cut_vocab *v, const char *text, unsigned flags) {
    return ids_n(v, text, strlen(text), flags);
}

#define IDS(text, flags, want) do {                                               \
        const char *got_ = ids(v, text, flags);                                   \
        CHECK(!strcmp(got_, want), "\"%s\" gives %s, want %s", text, got_, want); \
    } while (0)

static void no_space(struct cut_gguf_writer *w) { cut_gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", false, NULL); }
static void no_bos(struct cut_gguf_writer *w) { cut_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", false, NULL); }

/* 259 "▁", 260 a, 261 b, 262 c, 263 ab (-2), 264 bc (-1), 265 "▁a" (-3), 266 é, 267 "aa", 268 "[x]" user,
 * 269 "[x]y" user, 270 "▁▁" user. */
static struct made small(void) {
    struct made m = { .n = 0 };
    add_special(&m);
    add_bytes(&m);
    add(&m, "\xe2\x96\x81", -20, NORMAL);
    add(&m, "a", -20, NORMAL);
    add(&m, "b", -20, NORMAL);
    add(&m, "c", -20, NORMAL);
    add(&m, "ab", -2, NORMAL);
    add(&m, "bc", -1, NORMAL);
    add(&m, "\xe2\x96\x81" "a", -3, NORMAL);
    add(&m, "\xc3\xa9", -20, NORMAL);
    add(&m, "aa", -2, NORMAL);
    add(&m, "[x]", 0, USER);
    add(&m, "[x]y", 0, USER);
    add(&m, "\xe2\x96\x81\xe2\x96\x81", 0, USER);
    return m;
}

TEST(vocab_merges_by_score_leftmost_first) {
    struct made m = small();
    struct cut_gguf *g;
    struct cut_vocab *v;
    struct cut_err err = { 0 };
    REQUIRE(open_made(&m, "llama", no_space, &g, &v, &err) == CUT_OK, "%s", err.msg);
    CHECK(cut_vocab_size(v) == 271 && cut_vocab_bos(v) == 1 && cut_vocab_eos(v) == 2 && cut_vocab_add_bos(v));
    IDS("", 0, "");
    IDS("", CUT_ENCODE_BOS, "1");
    IDS("abc", 0, "260 264");              /* bc scores higher than ab */
    IDS("ab", 0, "263");
    IDS("aab", 0, "267 261");              /* aa and ab score the same: the left one */
    IDS("aaa", 0, "267 260");
    IDS("aaaa", 0, "267 267");
    IDS("abab", CUT_ENCODE_BOS, "1 263 263");
    cut_vocab_free(v);
    cut_gguf_close(g);
}

TEST(vocab_space_in_front) {
    struct made m = small();
    m.n--, m.n_scores--, m.n_kinds--;      /* without the user token of two spaces */
    struct cut_gguf *g;
    struct cut_vocab *v;
    struct cut_err err = { 0 };
    REQUIRE(open_made(&m, "llama", NULL, &g, &v, &err) == CUT_OK, "%s", err.msg);
    IDS("", 0, "");                        /* nothing to put a space before */
    IDS("a", 0, "265");
    IDS("b", 0, "259 261");
    IDS(" a", 0, "259 265");
    IDS("a a", 0, "265 265");
    cut_vocab_free(v);
    cut_gguf_close(g);
    REQUIRE(open_made(&m, "llama", no_bos, &g, &v, &err) == CUT_OK, "%s", err.msg);
    CHECK(!cut_vocab_add_bos(v));
    IDS("a", CUT_ENCODE_BOS, "265");       /* where the file asks for it */
    cut_vocab_free(v);
    cut_gguf_close(g);
}

TEST(vocab_bytes) {
    struct made m = small();
    struct cut_gguf *g;
    struct cut_vocab *v;
    struct cut_err err = { 0 };
    REQUIRE(open_made(&m, "llama", no_space, &g, &v, &err) == CUT_OK, "%s", err.msg);
    IDS("\xc3\xa9", 0, "266");                             /* é is a piece, */
    IDS("\xc3\xa8", 0, "198 171");                         /* è is not: 0xC3 + 3, 0xA8 + 3 */
    IDS("a\xff" "b\xc3", 0, "260 258 261 198");            /* not UTF-8 */
    IDS("\xf0\x9f\xa6\x99", 0, "243 162 169 156");
    CHECK(!strcmp(ids_n(v, "a\0b", 3, 0), "260 3 261"), "a zero byte is a byte");
    IDS("<0x41>", 0, "63 51 123 55 52 65");                /* a byte token cannot be spelled */
    char buf[8];
    CHECK(cut_vocab_text(v, 3 + 10, buf, 8) == 1 && buf[0] == '\n');
    CHECK(cut_vocab_text(v, 3 + 0xff, buf, 8) == 1 && buf[0] == '\xff');
    CHECK(cut_vocab_text(v, 3, buf, 0) == 0);
    cut_vocab_free(v);
    cut_gguf_close(g);
}

TEST(vocab_special_tokens) {
    struct made m = small();
    struct cut_gguf *g;
    struct cut_vocab *v;
    struct cut_err err = { 0 };
    REQUIRE(open_made(&m, "llama", NULL, &g, &v, &err) == CUT_OK, "%s", err.msg);
    IDS("a</s>a", CUT_ENCODE_SPECIAL, "265 2 265");        /* each fragment has its space in front */
    IDS("</s>", 0, "259 63 50 118 65");                    /* plain text otherwise */
    IDS("</s>", CUT_ENCODE_SPECIAL | CUT_ENCODE_BOS, "1 2");
    IDS("<s></s><s", CUT_ENCODE_SPECIAL, "1 2 259 63 118");
    IDS("a[x]a", 0, "265 268 265");                        /* user-defined tokens always */
    IDS("[x]y", 0, "269");                                 /* the longest */
    IDS("[x]z", 0, "268 259 125");
    IDS("a  a", 0, "265 270 265");                         /* U+2581 in a user token is a space */
    CHECK(cut_vocab_kind(v, 268) == CUT_TOKEN_USER && cut_vocab_kind(v, 1) == CUT_TOKEN_CONTROL);
    cut_vocab_free(v);
    cut_gguf_close(g);
}

TEST(vocab_text_of_tokens) {
    struct made m = small();
    struct cut_gguf *g;
    struct cut_vocab *v;
    struct cut_err err = { 0 };
    REQUIRE(open_made(&m, "llama", NULL, &g, &v, &err) == CUT_OK, "%s", err.msg);
    char buf[16];
    CHECK(cut_vocab_text(v, 265, buf, 16) == 2 && !memcmp(buf, " a", 2));
    CHECK(cut_vocab_text(v, 265, buf, 1) == 1);
    CHECK(cut_vocab_text(v, 1, buf, 16) == 0, "control tokens are no text");
    CHECK(cut_vocab_text(v, 0, buf, 16) == 5 && !memcmp(buf, " \xe2\x81\x87 ", 5));
    CHECK(cut_vocab_text(v, -1, buf, 16) == 0 && cut_vocab_text(v, 271, buf, 16) == 0);
    CHECK(!strcmp(cut_vocab_piece(v, 265), "\xe2\x96\x81" "a") && !cut_vocab_piece(v, 271) && !cut_vocab_piece(v, -1));
    CHECK(cut_vocab_score(v, 264) == -1);
    cut_vocab_free(v);
    cut_gguf_close(g);
}

static void end_ids(struct cut_gguf_writer *w) {
    cut_gguf_put_u32(w, "tokenizer.ggml.eos_token_id", 5, NULL);
    cut_gguf_put_u32(w, "tokenizer.ggml.eot_token_id", 7, NULL);
    cut_gguf_put_u32(w, "tokenizer.ggml.bos_token_id", 6, NULL);
}

TEST(vocab_end_tokens) {
    struct made m = small();
    struct cut_gguf *g;
    struct cut_vocab *v;
    struct cut_err err = { 0 };
    REQUIRE(open_made(&m, "llama", end_ids, &g, &v, &err) == CUT_OK, "%s", err.msg);
    CHECK(cut_vocab_eos(v) == 5 && cut_vocab_bos(v) == 6);
    CHECK(cut_vocab_is_end(v, 5) && cut_vocab_is_end(v, 7) && !cut_vocab_is_end(v, 2) && !cut_vocab_is_end(v, -1));
    cut_vocab_free(v);
    cut_gguf_close(g);
}

TEST(vocab_without_bytes) {
    struct made m = { .n = 0 };
    add(&m, "<unk>", 0, UNKNOWN);
    add(&m, "a", -1, NORMAL);
    m.n_kinds = 0;                         /* nor kinds: they follow from the pieces */
    struct cut_gguf *g;
    struct cut_vocab *v;
    struct cut_err err = { 0 };
    REQUIRE(open_made(&m, "llama", no_space, &g, &v, &err) == CUT_OK, "%s", err.msg);
    IDS("a\xc3\xa9" "a", CUT_ENCODE_BOS, "1 0 1");         /* one unknown token for the character; no BOS to add */
    cut_vocab_free(v);
    cut_gguf_close(g);
    m = (struct made){ .n = 0 };
    add(&m, "a", -1, NORMAL);
    REQUIRE(open_made(&m, "llama", no_space, &g, &v, &err) == CUT_OK, "%s", err.msg);
    IDS("ab", 0, "the vocabulary has no token for the byte 0x62, and none for the unknown");
    cut_vocab_free(v);
    cut_gguf_close(g);
}

/* ---- against the definition, the slow way: join the best pair, leftmost among equals, until none joins */

static int find(const struct made *m, const char *s, size_t len) {
    for (int i = 0; i < m->n; i++)
        if (m->kinds[i] == NORMAL && strlen(m->pieces[i]) == len && !memcmp(m->pieces[i], s, len)) return i;
    return -1;
}

static int naive(const struct made *m, const char *text, int *out) {
    int n = (int)strlen(text), at[257];
    for (int i = 0; i <= n; i++) at[i] = i;
    for (;;) {
        int best = -1;
        float score = 0;
        for (int i = 0; i + 1 < n; i++) {
            int id = find(m, text + at[i], (size_t)(at[i + 2] - at[i]));
            if (id >= 0 && (best < 0 || m->scores[id] > score)) best = i, score = m->scores[id];
        }
        if (best < 0) break;
        memmove(at + best + 1, at + best + 2, (size_t)(n - best - 1) * sizeof *at);
        n--;
    }
    for (int i = 0; i < n; i++) out[i] = find(m, text + at[i], (size_t)(at[i + 1] - at[i]));
    return n;
}

TEST(vocab_agrees_with_the_slow_way) {
    SKIP_EMULATED();
    static char pieces[300][8];
    struct made m = { .n = 0 };
    uint32_t x = 12345;
    add(&m, "a", -99, NORMAL);
    add(&m, "b", -99, NORMAL);
    add(&m, "c", -99, NORMAL);
    for (int i = 0; i < 120; i++) {
        int len = 2 + i / 30;
        for (int k = 0; k < len; k++) pieces[i][k] = (char)('a' + ((x = x * 1664525u + 1013904223u) >> 24) % 3);
        if (find(&m, pieces[i], (size_t)len) < 0) add(&m, pieces[i], -(float)((x >> 20) % 12), NORMAL);   /* many ties */
    }
    struct cut_gguf *g;
    struct cut_vocab *v;
    struct cut_err err = { 0 };
    REQUIRE(open_made(&m, "llama", no_space, &g, &v, &err) == CUT_OK, "%s", err.msg);
    for (int t = 0; t < 300; t++) {
        char text[257] = { 0 };
        int want[257], len = 1 + t * 250 / 300;
        for (int k = 0; k < len; k++) text[k] = (char)('a' + ((x = x * 1664525u + 1013904223u) >> 24) % 3);
        int n_want = naive(&m, text, want);
        int32_t *got;
        size_t n;
        REQUIRE(cut_vocab_encode(v, text, (size_t)len, 0, &got, &n, &err) == CUT_OK);
        bool same = (int)n == n_want;
        for (int i = 0; same && i < n_want; i++) same = got[i] == want[i];
        CHECK(same, "%s", text);
        free(got);
    }
    cut_vocab_free(v);
    cut_gguf_close(g);
}

TEST(vocab_long_text) {                    /* a million characters: no quadratic time, no recursion */
    struct made m = small();
    struct cut_gguf *g;
    struct cut_vocab *v;
    struct cut_err err = { 0 };
    REQUIRE(open_made(&m, "llama", no_space, &g, &v, &err) == CUT_OK, "%s", err.msg);
    enum { N = 1000000 };
    char *text = malloc(N);
    int32_t *got;
    size_t n;
    memset(text, 'a', N);
    REQUIRE(cut_vocab_encode(v, text, N, 0, &got, &n, &err) == CUT_OK);
    CHECK(n == N / 2 && got[0] == 267 && got[n - 1] == 267);
    free(got);
    free(text);
    cut_vocab_free(v);
    cut_gguf_close(g);
}

/* ---- what is refused, and how */

static void bos_too_large(struct cut_gguf_writer *w) { cut_gguf_put_u32(w, "tokenizer.ggml.bos_token_id", 271, NULL); }
static void eos_is_text(struct cut_gguf_writer *w) { cut_gguf_put_str(w, "tokenizer.ggml.eos_token_id", "2", NULL); }
static void flag_is_number(struct cut_gguf_writer *w) { cut_gguf_put_u32(w, "tokenizer.ggml.add_bos_token", 1, NULL); }
static void tokens_are_numbers(struct cut_gguf_writer *w) {
    cut_gguf_put_raw(w, "tokenizer.ggml.tokens", CUT_KV_ARRAY, CUT_KV_I32, 2, "\0\0\0\0\0\0\0\0", 8, NULL);
}
static void tokens_are_one_string(struct cut_gguf_writer *w) { cut_gguf_put_str(w, "tokenizer.ggml.tokens", "a", NULL); }

static void refused(const struct made *m, const char *model, void (*more)(struct cut_gguf_writer *), const char *want) {
    struct cut_gguf *g;
    struct cut_vocab *v;
    struct cut_err err = { 0 };
    CHECK(open_made(m, model, more, &g, &v, &err) == CUT_EFILE, "not refused; wanted: %s", want);
    CHECK(!v && !strncmp(err.msg, "made-vocab.gguf: ", 17) && !strcmp(err.msg + 17, want), "\"%s\", wanted \"%s\"",
          err.msg, want);
    cut_vocab_free(v);
    cut_gguf_close(g);
}

TEST(vocab_refuses_by_name) {
    struct made m = small(), none = { .n = 0 };
    refused(&m, "gpt2", NULL, "tokenizer.ggml.model: a vocabulary of kind \"gpt2\", which we do not read (only \"llama\")");
    refused(&m, NULL, NULL, "no vocabulary (tokenizer.ggml.model is missing)");
    refused(&none, "llama", NULL, "tokenizer.ggml.tokens is missing");
    refused(&none, "llama", tokens_are_numbers, "tokenizer.ggml.tokens holds elements of type i32, must be strings");
    refused(&none, "llama", tokens_are_one_string, "tokenizer.ggml.tokens is of type string, must be an array");
    refused(&m, "llama", bos_too_large, "tokenizer.ggml.bos_token_id is 271, but the vocabulary has 271 tokens");
    refused(&m, "llama", eos_is_text, "tokenizer.ggml.eos_token_id is not a token id");
    refused(&m, "llama", flag_is_number, "tokenizer.ggml.add_bos_token is of type u32, must be bool");
    m.n_scores = 270;
    refused(&m, "llama", NULL, "tokenizer.ggml.scores has 270 entries for 271 tokens");
    m.n_scores = 0;
    refused(&m, "llama", NULL, "tokenizer.ggml.scores is missing");
    m.n_scores = 271, m.scores[9] = NAN;
    refused(&m, "llama", NULL, "tokenizer.ggml.scores entry 9 is not a number");
    m.scores[9] = 0, m.n_kinds = 100;
    refused(&m, "llama", NULL, "tokenizer.ggml.token_type has 100 entries for 271 tokens");
    m.n_kinds = 271, m.kinds[260] = 7;
    refused(&m, "llama", NULL, "tokenizer.ggml.token_type entry 260 is 7, must be in [1, 6]");
    m.kinds[260] = BYTE;
    refused(&m, "llama", NULL, "token 260 is a byte token, but its piece is not like <0x0A>");
}

/* ---- golden data: strings between lines "__ggml_vocab_test__", a line of ids for each */

TEST(vocab_golden_llama_spm) {
    const char *path = test_shared("golden/vocab/llama-spm.gguf");
    if (!path) SKIP("no golden vocabulary");
    struct cut_gguf *g;
    struct cut_vocab *v;
    struct cut_err err = { 0 };
    REQUIRE(cut_gguf_open(&g, path, CUT_GGUF_HEADER_ONLY, &err) == CUT_OK, "%s", err.msg);
    REQUIRE(cut_vocab_new(&v, g, &err) == CUT_OK, "%s", err.msg);
    size_t n_in, n_out;
    char *in = test_read(test_shared("golden/vocab/llama-spm.inp"), &n_in);
    char *out = test_read(test_shared("golden/vocab/llama-spm.out"), &n_out);
    REQUIRE(in && out);
    static const char line[] = "\n__ggml_vocab_test__\n";
    int n = 0;
    for (char *p = in, *want = out; *want; n++) {
        char *end = strstr(p, line), *newline = strchr(want, '\n');
        size_t len = end ? (size_t)(end - p) : strlen(p);
        REQUIRE(newline);
        *newline = 0;
        want += *want == ' ';
        int32_t *got;
        size_t n_got;
        REQUIRE(cut_vocab_encode(v, p, len, 0, &got, &n_got, &err) == CUT_OK);
        char *at = want;
        bool same = true;
        for (size_t i = 0; same && i < n_got; i++) same = strtol(at, &at, 10) == got[i];
        CHECK(same && !*at, "string %d: %.*s", n, (int)len, p);
        free(got);
        want = newline + 1;
        if (!end) break;
        p = end + sizeof line - 1;
    }
    CHECK(n > 40, "%d strings", n);
    free(in);
    free(out);
    cut_vocab_free(v);
    cut_gguf_close(g);
}

TEST(vocab_of_another_kind) {
    const char *path = test_shared("golden/vocab/gpt-2.gguf");
    if (!path) SKIP("no golden vocabulary");
    struct cut_gguf *g;
    struct cut_vocab *v = NULL;
    struct cut_err err = { 0 };
    REQUIRE(cut_gguf_open(&g, path, CUT_GGUF_HEADER_ONLY, &err) == CUT_OK, "%s", err.msg);
    CHECK(cut_vocab_new(&v, g, &err) == CUT_EFILE && strstr(err.msg, "\"gpt2\""), "%s", err.msg);
    cut_gguf_close(g);
}
