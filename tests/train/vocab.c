/* vocab.c - learning a vocabulary: what it learns, that the encoder repeats it, and what it refuses. */
#include "tests/test.h"

static const char *write_text(const char *name, const char *text, size_t len) {
    const char *path = test_tmp(name);
    FILE *f = fopen(path, "wb");
    if (f) {
        fwrite(text, 1, len, f);
        fclose(f);
    }
    return path;
}

static struct cut_vocab *open_vocab(const char *path, struct cut_gguf **g) {
    struct cut_vocab *v = NULL;
    struct cut_err err = { 0 };
    if (cut_gguf_open(g, path, 0, &err) || cut_vocab_new(&v, *g, &err)) test_fail(__FILE__, __LINE__, "%s", err.msg);
    return v;
}

static const char *const control[] = { "<|user|>", "<|end|>" };

enum { FIXED = 3 + 2 + 256 + 95 };     /* own and given control tokens, bytes, characters */

/* Counted by hand: "_a" stands 5 times and is joined first, then "_ab" (4 times); nothing else occurs twice. */
TEST(vocab_train_merges) {
    const char text[] = "<s>ab ab ab\nab a</s>";
    struct cut_vocab_train_opts o = { FIXED + 2, control, 2, "<|end|>", "the template" };
    struct cut_vocab_train_stats s;
    struct cut_err err = { 0 };
    char in[512], out[512];
    snprintf(in, sizeof in, "%s", write_text("merges.txt", text, sizeof text - 1));
    snprintf(out, sizeof out, "%s", test_tmp("merges.gguf"));
    /* after the line end "ab" has no space before it, so it is a word of its own */
    REQUIRE(!cut_vocab_train(in, out, &o, NULL, NULL, &s, &err), "%s", err.msg);
    CHECK(s.merges == 2 && s.words == 5 && s.distinct == 3, "%d %llu %llu", s.merges, (unsigned long long)s.words,
          (unsigned long long)s.distinct);
    struct cut_gguf *g = NULL;
    struct cut_vocab *v = open_vocab(out, &g);
    REQUIRE(v, "no vocabulary");
    CHECK(cut_vocab_size(v) == FIXED + 2, "%d", cut_vocab_size(v));
    CHECK(!strcmp(cut_vocab_piece(v, FIXED), "\xe2\x96\x81" "a"), "%s", cut_vocab_piece(v, FIXED));
    CHECK(!strcmp(cut_vocab_piece(v, FIXED + 1), "\xe2\x96\x81" "ab") || !strcmp(cut_vocab_piece(v, FIXED + 1), "ab"), "%s",
          cut_vocab_piece(v, FIXED + 1));
    CHECK(cut_vocab_score(v, FIXED) == -1 && cut_vocab_score(v, FIXED + 1) == -2, "%g", (double)cut_vocab_score(v, FIXED));
    CHECK(cut_vocab_kind(v, 3) == CUT_TOKEN_CONTROL && cut_vocab_is_end(v, 4) && cut_vocab_is_end(v, 2) && !cut_vocab_is_end(v, 3), "kinds");
    CHECK(cut_vocab_add_bos(v) && cut_vocab_bos(v) == 1, "bos");
    const char *t;
    size_t len;
    const struct cut_kv *kv = cut_gguf_find(g, "tokenizer.chat_template");
    CHECK(kv && cut_kv_str(kv, 0, &t, &len) && len == 12 && !memcmp(t, "the template", 12), "template");
    cut_vocab_free(v);
    cut_gguf_close(g);
}

/* Any text comes back, whatever it was trained on; and digits stay alone. */
TEST(vocab_train_round_trip) {
    static const char *const texts[] = { "", "a", "the cat sat on the mat", "  two  spaces ", "12 + 345 = 357\n", "na\xc3\xafve \xe2\x82\xac\t{[(\"x\")]}", "theatre" };
    char text[4000], in[512], out[512];
    size_t n = 0;
    for (int i = 0; i < 40; i++) n += (size_t)snprintf(text + n, sizeof text - n, "the cat sat on %d mats in the theatre. ", 1000 + i * 37);
    struct cut_vocab_train_opts o = { FIXED - 2 + 16, NULL, 0, NULL, NULL };
    struct cut_vocab_train_stats s;
    struct cut_err err = { 0 };
    snprintf(in, sizeof in, "%s", write_text("round.txt", text, n));
    snprintf(out, sizeof out, "%s", test_tmp("round.gguf"));
    REQUIRE(!cut_vocab_train(in, out, &o, NULL, NULL, &s, &err), "%s", err.msg);
    struct cut_gguf *g = NULL;
    struct cut_vocab *v = open_vocab(out, &g);
    REQUIRE(v, "no vocabulary");
    for (int i = 0; i < cut_vocab_size(v); i++) {
        const char *p = cut_vocab_piece(v, i);
        CHECK(cut_vocab_kind(v, i) != CUT_TOKEN_NORMAL || strlen(p) == 1 || !strpbrk(p, "0123456789"), "piece \"%s\"", p);
    }
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        int32_t *ids;
        size_t n_ids, at = 0;
        char back[200];
        REQUIRE(!cut_vocab_encode(v, texts[k], strlen(texts[k]), 0, &ids, &n_ids, &err), "%s", err.msg);
        for (size_t i = 0; i < n_ids; i++) at += cut_vocab_text(v, ids[i], back + at, sizeof back - at);
        CHECK(at == strlen(texts[k]) + (at > 0) && !memcmp(back + (at > 0), texts[k], strlen(texts[k])), "\"%s\"", texts[k]);
        free(ids);
    }
    /* fewer tokens than bytes by far, on the text itself: the training counted right */
    int32_t *ids;
    size_t n_ids;
    REQUIRE(!cut_vocab_encode(v, text, n, 0, &ids, &n_ids, &err), "%s", err.msg);
    CHECK(fabs((double)n / (double)n_ids - s.bytes_per_token) < 0.05 * s.bytes_per_token, "%g against %g", (double)n / (double)n_ids, s.bytes_per_token);
    free(ids);
    cut_vocab_free(v);
    cut_gguf_close(g);
}

static void refuse(const char *text, size_t len, int size, enum cut_status want, const char *word) {
    struct cut_vocab_train_opts o = { size, NULL, 0, NULL, NULL };
    struct cut_vocab_train_stats s;
    struct cut_err err = { 0 };
    char in[512], out[512];
    snprintf(in, sizeof in, "%s", write_text("refuse.txt", text, len));
    snprintf(out, sizeof out, "%s", test_tmp("refuse.gguf"));
    remove(out);
    enum cut_status st = cut_vocab_train(in, out, &o, NULL, NULL, &s, &err);
    CHECK(st == want && strstr(err.msg, word), "%d \"%s\", wanted %d \"%s\"", st, err.msg, want, word);
    FILE *f = fopen(out, "rb");
    CHECK(!f, "a file was written");
    if (f) fclose(f);
}

TEST(vocab_train_refuses) {
    refuse("", 0, 1024, CUT_EFILE, "empty");
    refuse("ab\0cd", 5, 1024, CUT_EFILE, "0x00 at offset 2");
    refuse("ab\xff", 3, 1024, CUT_EFILE, "0xFF at offset 2");
    refuse("some text", 9, 300, CUT_EUSAGE, "300 tokens is not in 354");
    refuse("some text", 9, 1024, CUT_EUSAGE, "used up at 354");
}
