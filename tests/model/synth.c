/* synth.c - synthetic models: the whole file is what its definition says, by SHA-256; wrong arguments are named. */
#include <unistd.h>

#include "tests/test.h"

/* ---- SHA-256, FIPS 180-4 */

static uint32_t ror(uint32_t x, int n) { return x >> n | x << (32 - n); }

/* The constants are the first 32 bits of the fractions of the cube and square roots of the first primes. */
static void sha256_constants(uint32_t k[64], uint32_t h[8]) {
    int n = 0;
    for (int p = 2; n < 64; p++) {
        bool prime = true;
        for (int d = 2; d * d <= p; d++) prime = prime && p % d;
        if (!prime) continue;
        long double root = cbrtl((long double)p), square = sqrtl((long double)p);
        k[n] = (uint32_t)((root - floorl(root)) * 0x1p32L);
        if (n < 8) h[n] = (uint32_t)((square - floorl(square)) * 0x1p32L);
        n++;
    }
}

static void sha256(const uint8_t *data, size_t len, char hex[65]) {
    uint32_t k[64], h[8];
    sha256_constants(k, h);
    size_t padded = (len + 8) / 64 * 64 + 64;
    for (size_t at = 0; at < padded; at += 64) {
        uint8_t block[64] = { 0 };
        if (at < len) memcpy(block, data + at, len - at < 64 ? len - at : 64);
        if (at <= len && len - at < 64) block[len - at] = 0x80;
        if (at + 64 == padded)
            for (int i = 0; i < 8; i++) block[56 + i] = (uint8_t)((uint64_t)len * 8 >> (56 - 8 * i));
        uint32_t w[64], v[8];
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
        for (int i = 16; i < 64; i++)
            w[i] = w[i - 16] + (ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
                   (ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10);
        memcpy(v, h, sizeof v);
        for (int i = 0; i < 64; i++) {
            uint32_t a = v[7] + (ror(v[4], 6) ^ ror(v[4], 11) ^ ror(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
            uint32_t b = (ror(v[0], 2) ^ ror(v[0], 13) ^ ror(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
            memmove(v + 1, v, 7 * sizeof *v);
            v[4] += a;
            v[0] = a + b;
        }
        for (int i = 0; i < 8; i++) h[i] += v[i];
    }
    for (int i = 0; i < 8; i++) sprintf(hex + 8 * i, "%08x", h[i]);
}

/* What is written for these arguments, "" terminated; the caller frees. */
static void *synth(const char *const *args, size_t *size) {
    struct cut_err err = { 0 };
    const char *path = test_tmp("synth.gguf");
    int n = 0;
    while (args[n]) n++;
    enum cut_status st = cut_synth(path, "llama", args, n, &err);
    CHECK(!st, "%s", err.msg);
    void *data = st ? NULL : test_read(path, size);
    unlink(path);
    return data;
}

TEST(synth_writes_the_defined_files) {
    char hex[65];
    sha256((const uint8_t *)"abc", 3, hex);
    REQUIRE(!strcmp(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    static const struct { const char *name, *args[4], *hash; } models[] = {
        { "llama", { NULL }, "876df7c2bc1a5615b3885295e204e36ab8e35d19d8e0a08e6c2ad59103bc649e" },
        { "llama-linear", { "scaling=linear" }, "0b0fadce78494a38748e263ab16da44f3d348eadec2a9adbfed295f9f7ab3389" },
        { "llama-rope-factors", { "base=500000", "rope_factors=1", "tied=1" },
          "7fd1b388b91af2757d186ca299ba52830a0cd50b24ee70d56e02396b48b24eb6" },
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        size_t size;
        void *data = synth(models[i].args, &size);
        if (!data) continue;
        sha256(data, size, hex);
        CHECK(!strcmp(hex, models[i].hash), "%s: %s", models[i].name, hex);
        free(data);
    }
}

/* The hashes above, against the list they came from. */
TEST(synth_golden_list) {
    size_t size;
    char *list = test_read(test_shared("golden/synthetic/SHA256SUMS"), &size);
    if (!list) SKIP("no golden/synthetic/SHA256SUMS");
    CHECK(strstr(list, "876df7c2bc1a5615b3885295e204e36ab8e35d19d8e0a08e6c2ad59103bc649e  llama.gguf"));
    CHECK(strstr(list, "0b0fadce78494a38748e263ab16da44f3d348eadec2a9adbfed295f9f7ab3389  llama-linear.gguf"));
    CHECK(strstr(list, "7fd1b388b91af2757d186ca299ba52830a0cd50b24ee70d56e02396b48b24eb6  llama-rope-factors.gguf"));
    free(list);
}

/* type=f16 rounds the same weights as another implementation's conversion of the f32 file. */
TEST(synth_f16_golden) {
    const char *golden = test_shared("golden/models/llama-f16.gguf"), *path = test_tmp("synth-f16.gguf");
    if (!golden) SKIP("no golden/models/llama-f16.gguf");
    struct cut_err err = { 0 };
    struct cut_gguf *a = NULL, *b = NULL;
    CHECK(!cut_synth(path, "llama", (const char *[]){ "type=f16" }, 1, &err), "%s", err.msg);
    REQUIRE(!cut_gguf_open(&a, path, 0, &err) && !cut_gguf_open(&b, golden, 0, &err), "%s", err.msg);
    CHECK(cut_gguf_head(a)->n_tensors == 21 && cut_gguf_head(b)->n_tensors == 21);
    for (uint64_t i = 0; i < cut_gguf_head(a)->n_tensors; i++) {
        const struct cut_tensor_info *x = cut_gguf_tensor(a, i), *y = cut_gguf_find_tensor(b, x->name);
        CHECK(y && x->type == y->type && x->bytes == y->bytes && !memcmp(x->data, y->data, x->bytes), "%s", x->name);
    }
    cut_gguf_close(a);
    cut_gguf_close(b);
    unlink(path);
}

TEST(synth_shapes_follow_the_keys) {
    static const char *const args[] = { "dim=96", "heads=6", "kv_heads=3", "head_dim=20", "ffn=64", "layers=3", "vocab=19000",
                                        "swa=128", "seed=18446744073709551615", "tied=1", "scaling=yarn", "factor=8", NULL };
    size_t size;
    struct cut_err err = { 0 };
    struct cut_gguf *g = NULL;
    void *data = synth(args, &size);
    REQUIRE(data);
    CHECK(!cut_gguf_parse(&g, "s", data, size, 0, &err), "%s", err.msg);
    static const struct { const char *name; uint64_t columns, rows; } want[] = {
        { "token_embd.weight", 96, 19000 }, { "blk.2.attn_q.weight", 96, 120 }, { "blk.0.attn_k.weight", 96, 60 },
        { "blk.1.attn_output.weight", 120, 96 }, { "blk.2.ffn_down.weight", 64, 96 }, { "output_norm.weight", 96, 1 },
    };
    for (size_t i = 0; g && i < sizeof want / sizeof *want; i++) {
        const struct cut_tensor_info *t = cut_gguf_find_tensor(g, want[i].name);
        CHECK(t && t->ne[0] == want[i].columns && t->ne[1] == want[i].rows, "%s", want[i].name);
    }
    if (g) {
        uint64_t u = 0;
        const char *s;
        size_t len;
        CHECK(!cut_gguf_find_tensor(g, "output.weight") && !cut_gguf_find_tensor(g, "rope_freqs.weight"));
        CHECK(cut_kv_u64(cut_gguf_find(g, "llama.attention.key_length"), 0, &u) && u == 20);
        CHECK(cut_kv_u64(cut_gguf_find(g, "llama.attention.sliding_window"), 0, &u) && u == 128);
        const struct cut_kv *tokens = cut_gguf_find(g, "tokenizer.ggml.tokens");
        static const struct { uint64_t id; const char *piece; } pieces[] = { { 2, "</s>" }, { 3, "<0x00>" }, { 258, "<0xFF>" },
            { 259, "\xE2\x96\x81" }, { 260, "a" }, { 285, "z" }, { 286, "aa" }, { 961, "zz" }, { 962, "aaa" }, { 18537, "zzz" },
            { 18538, "aaaa" }, { 18999, "aart" } };
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
            CHECK(cut_kv_str(tokens, pieces[i].id, &s, &len) && len == strlen(pieces[i].piece) && !memcmp(s, pieces[i].piece, len),
                  "%d: %.*s", (int)pieces[i].id, (int)len, s);
    }
    cut_gguf_close(g);
    free(data);
}

TEST(synth_refuses_by_name) {
    static const struct { const char *arg, *words; } bad[] = {
        { "dim=abc", "dim=abc: not a whole number from 1 to 131072" },
        { "dim=", "dim=: not a whole number" },
        { "dim=-8", "dim=-8: not a whole number" },
        { "dim= 8", "dim= 8: not a whole number" },
        { "dim=8.5", "dim=8.5: not a whole number" },
        { "dim=0", "dim=0: not a whole number" },
        { "dim=999999999999999999999", "dim=999999999999999999999: not a whole number" },
        { "layers=1000000", "layers=1000000: not a whole number from 1 to 4096" },
        { "vocab=100", "vocab=100: not a whole number from 286 to 475514" },
        { "vocab=475515", "vocab=475515: not" },
        { "heads=7", "heads=7: does not divide dim=256" },
        { "kv_heads=3", "kv_heads=3: does not divide heads=8" },
        { "kv_heads=16", "kv_heads=16: does not divide heads=8" },
        { "head_dim=33", "head_dim=33: odd" },
        { "base=0", "base=0: not a number above 0" },
        { "base=nan", "base=nan: not a number" },
        { "eps=1e-6x", "eps=1e-6x: not a number" },
        { "scaling=cubic", "scaling=cubic: not one of none, linear, yarn" },
        { "type=q4_0", "type=q4_0: not one of f32, f16" },
        { "tied=2", "tied=2: not a whole number from 0 to 1" },
        { "experts=8", "experts=8: not supported yet" },
        { "experts_used=2", "experts_used=2: not supported yet" },
        { "dims=8", "dims=8: unknown key \"dims\"" },
        { "dim", "dim: no value, write dim=VALUE" },
        { "=5", "=5: unknown key \"\"" },
    };
    const char *path = test_tmp("synth-bad.gguf");
    struct cut_err err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(cut_synth(path, "llama", &bad[i].arg, 1, &err) == CUT_EUSAGE && err.code == CUT_EUSAGE, "%s", bad[i].arg);
        CHECK(!strncmp(err.msg, bad[i].words, strlen(bad[i].words)), "%s", err.msg);
    }
    CHECK(cut_synth(path, "qwen2", NULL, 0, &err) == CUT_EUSAGE && strstr(err.msg, "\"qwen2\": not supported yet"), "%s", err.msg);
    CHECK(access(path, F_OK));
}
