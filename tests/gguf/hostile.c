/* hostile.c - files that lie. Each must be refused with the item and the value in the message, and nothing else may
 * happen: run these under the address and undefined-behaviour sanitizers.
 *
 * A builder writes the file; the words are what its message must be, after the file's name. */
#include <unistd.h>

#include "tests/gguf/bytes.h"

static const uint64_t ne32[] = { 32, 1, 1, 1, 1 };

static void text(struct bytes *b, const char *s) { put(b, s, strlen(s)); put_zeros(b, 64); }
static void one_key(struct bytes *b, uint32_t type) { put_head(b, 3, 0, 1); put_key(b, "a.key", type); }
static void alignment(struct bytes *b, uint32_t v) {
    put_head(b, 3, 0, 1);
    put_key(b, "general.alignment", CUT_KV_U32);
    put_u32(b, v);
}
/* One tensor, with data bytes behind it. */
static void one_tensor(struct bytes *b, uint32_t n_dims, const uint64_t *ne, uint32_t type, uint64_t offset, size_t data) {
    put_head(b, 3, 1, 0);
    put_tensor(b, "w", n_dims, ne, type, offset);
    put_pad(b, 32);
    put_zeros(b, data);
}
static void two_tensors(struct bytes *b, const char *second, uint64_t offset) {
    put_head(b, 3, 2, 0);
    put_tensor(b, "w", 1, ne32, CUT_F32, 0);
    put_tensor(b, second, 1, ne32, CUT_F32, offset);
    put_pad(b, 32);
    put_zeros(b, 512);
}

/* ---- not GGUF at all */
static void short_file(struct bytes *b) { put(b, "GGU", 3); }
static void junk(struct bytes *b) { text(b, "JU\x1BK"); }
static void ggml(struct bytes *b) { text(b, "lmgg"); }
static void ggmf(struct bytes *b) { text(b, "fmgg"); }
static void ggjt(struct bytes *b) { text(b, "tjgg"); }
static void ggla(struct bytes *b) { text(b, "algg"); }
static void zip(struct bytes *b) { text(b, "PK\3\4"); }
static void elf(struct bytes *b) { text(b, "\x7F" "ELF"); }
static void gzip(struct bytes *b) { text(b, "\x1F\x8B\x08"); }
static void lfs(struct bytes *b) { text(b, "version https://git-lfs.github.com/spec/v1\n"); }
static void html(struct bytes *b) { text(b, "<!DOCTYPE html>"); }
static void safetensors(struct bytes *b) { put_u64(b, 20); text(b, "{\"__metadata__\": {}}"); }

/* ---- the head */
static void no_version(struct bytes *b) { put(b, "GGUF\3\0", 6); }
static void version_0(struct bytes *b) { put_head(b, 0, 0, 0); }
static void version_4(struct bytes *b) { put_head(b, 4, 0, 0); }
static void big_endian(struct bytes *b) { put(b, "GGUF\0\0\0\3", 8); put_zeros(b, 16); }
static void no_counts(struct bytes *b) { put(b, "GGUF\3\0\0\0\0\0\0\0", 12); }
static void many_keys(struct bytes *b) { put_head(b, 3, 0, 1ull << 63); put_zeros(b, 100); }
static void many_keys_v1(struct bytes *b) { put_head(b, 1, 0, 0xFFFFFFFF); put_zeros(b, 100); }
static void many_tensors(struct bytes *b) { put_head(b, 3, UINT64_MAX, 0); put_zeros(b, 100); }
static void many_tensors_and_keys(struct bytes *b) { put_head(b, 3, 2, 2); put_zeros(b, 80); }

/* ---- keys and values */
static void huge_key(struct bytes *b) { put_head(b, 3, 0, 1); put_u64(b, UINT64_MAX); put_zeros(b, 11); }
static void huge_key_v1(struct bytes *b) { put_head(b, 1, 0, 1); put_u32(b, UINT32_MAX); put_zeros(b, 15); }
static void wrapping_key(struct bytes *b) { put_head(b, 3, 0, 1); put_u64(b, UINT64_MAX - 40); put_zeros(b, 32); }
static void empty_key(struct bytes *b) { put_head(b, 3, 0, 1); put_str(b, ""); put_zeros(b, 32); }
static void zero_in_key(struct bytes *b) { put_head(b, 3, 0, 1); put_strn(b, "a\0b", 3); put_zeros(b, 32); }
static void long_key(struct bytes *b) { put_head(b, 3, 0, 1); put_u64(b, 70000); put_zeros(b, 80000); }
static void rude_key(struct bytes *b) { put_head(b, 3, 0, 1); put_key(b, "\x1B[2J\n", 77); put_zeros(b, 8); }
static void unknown_type(struct bytes *b) { one_key(b, 13); put_zeros(b, 32); }
static void cut_value(struct bytes *b) { one_key(b, CUT_KV_U64); put_zeros(b, 7); }
static void long_string(struct bytes *b) { one_key(b, CUT_KV_STRING); put_u64(b, 1ull << 40); put_zeros(b, 50); }
static void wrapping_string(struct bytes *b) { one_key(b, CUT_KV_STRING); put_u64(b, UINT64_MAX); put_zeros(b, 50); }
static void long_array(struct bytes *b) { one_key(b, CUT_KV_ARRAY); put_array(b, CUT_KV_U8, 51); put_zeros(b, 50); }
static void wrapping_array(struct bytes *b) { one_key(b, CUT_KV_ARRAY); put_array(b, CUT_KV_U64, (1ull << 61) + 1); put_zeros(b, 50); }
static void many_strings(struct bytes *b) { one_key(b, CUT_KV_ARRAY); put_array(b, CUT_KV_STRING, 1ull << 40); put_zeros(b, 50); }
static void string_in_array(struct bytes *b) { one_key(b, CUT_KV_ARRAY); put_array(b, CUT_KV_STRING, 2); put_str(b, "ok"); put_u64(b, 99); put_zeros(b, 9); }
static void unknown_element(struct bytes *b) { one_key(b, CUT_KV_ARRAY); put_array(b, 200, 1); put_zeros(b, 50); }
static void nested_5(struct bytes *b) {
    one_key(b, CUT_KV_ARRAY);
    for (int i = 0; i < 4; i++) put_array(b, CUT_KV_ARRAY, 1);
    put_array(b, CUT_KV_U8, 1);
    put_zeros(b, 50);
}
static void nested_forever(struct bytes *b) {
    one_key(b, CUT_KV_ARRAY);
    for (int i = 0; i < 20000; i++) put_array(b, CUT_KV_ARRAY, 1);
}
static void bool_2(struct bytes *b) { one_key(b, CUT_KV_BOOL); put_u8(b, 2); }
static void bool_in_array(struct bytes *b) { one_key(b, CUT_KV_ARRAY); put_array(b, CUT_KV_BOOL, 3); put(b, "\1\0\xFF", 3); }
static void twice(struct bytes *b) {
    put_head(b, 3, 0, 3);
    put_key(b, "b", CUT_KV_U8); put_u8(b, 1);
    put_key(b, "a", CUT_KV_U8); put_u8(b, 1);
    put_key(b, "b", CUT_KV_U8); put_u8(b, 2);
}
static void alignment_0(struct bytes *b) { alignment(b, 0); }
static void alignment_48(struct bytes *b) { alignment(b, 48); }
static void alignment_huge(struct bytes *b) { alignment(b, 1u << 31); }
static void alignment_text(struct bytes *b) { put_head(b, 3, 0, 1); put_key(b, "general.alignment", CUT_KV_STRING); put_str(b, "32"); }
static void alignment_array(struct bytes *b) {
    put_head(b, 3, 0, 1);
    put_key(b, "general.alignment", CUT_KV_ARRAY);
    put_array(b, CUT_KV_U32, 1);
    put_u32(b, 32);
}

/* ---- tensors */
static void cut_tensor(struct bytes *b) { one_tensor(b, 4, ne32, CUT_F32, 0, 0); b->n = 24 + 40; }
static void huge_name(struct bytes *b) { put_head(b, 3, 1, 0); put_u64(b, 1ull << 62); put_zeros(b, 60); }
static void empty_name(struct bytes *b) { put_head(b, 3, 1, 0); put_str(b, ""); put_zeros(b, 60); }
static void long_name(struct bytes *b) { put_head(b, 3, 1, 0); put_u64(b, 300); put_zeros(b, 600); }
static void zero_in_name(struct bytes *b) { put_head(b, 3, 1, 0); put_strn(b, "w\0x", 3); put_zeros(b, 60); }
static void dims_0(struct bytes *b) { one_tensor(b, 0, ne32, CUT_F32, 0, 128); }
static void dims_5(struct bytes *b) { one_tensor(b, 5, ne32, CUT_F32, 0, 128); }
static void dims_many(struct bytes *b) { put_head(b, 3, 1, 0); put_str(b, "w"); put_u32(b, UINT32_MAX); put_zeros(b, 60); }
static void dim_0(struct bytes *b) { one_tensor(b, 2, (uint64_t[]){ 32, 0 }, CUT_F32, 0, 128); }
static void product(struct bytes *b) { one_tensor(b, 3, (uint64_t[]){ 1ull << 32, 1ull << 30, 2 }, CUT_F32, 0, 128); }
static void product_wraps_to_0(struct bytes *b) { one_tensor(b, 2, (uint64_t[]){ 1ull << 32, 1ull << 32 }, CUT_F32, 0, 128); }
static void negative_dim(struct bytes *b) { one_tensor(b, 1, (uint64_t[]){ UINT64_MAX }, CUT_F32, 0, 128); }
static void too_many_bytes(struct bytes *b) { one_tensor(b, 1, (uint64_t[]){ 1ull << 62 }, CUT_F64, 0, 128); }
static void type_99(struct bytes *b) { one_tensor(b, 1, ne32, 99, 0, 128); }
static void type_4(struct bytes *b) { one_tensor(b, 1, ne32, 4, 0, 128); }
static void type_negative(struct bytes *b) { one_tensor(b, 1, ne32, UINT32_MAX, 0, 128); }
static void half_block(struct bytes *b) { one_tensor(b, 2, (uint64_t[]){ 48, 2 }, CUT_Q8_0, 0, 512); }
static void half_super_block(struct bytes *b) { one_tensor(b, 1, (uint64_t[]){ 128 }, CUT_Q6_K, 0, 512); }
static void crooked(struct bytes *b) { one_tensor(b, 1, ne32, CUT_F32, 100, 512); }
static void offset_past_end(struct bytes *b) { one_tensor(b, 1, ne32, CUT_F32, 4096, 512); }
static void offset_wraps(struct bytes *b) { one_tensor(b, 1, ne32, CUT_F32, 0 - 64ull, 512); }
static void data_cut(struct bytes *b) { one_tensor(b, 1, ne32, CUT_F32, 0, 127); }
static void no_data(struct bytes *b) { one_tensor(b, 1, ne32, CUT_F32, 0, 0); b->n -= 7; }
static void same_place(struct bytes *b) { two_tensors(b, "v", 0); }
static void overlap(struct bytes *b) { two_tensors(b, "v", 96); }
static void same_name(struct bytes *b) { two_tensors(b, "w", 128); }

static const struct hostile { const char *name; void (*build)(struct bytes *b); const char *words; } set[] = {
#define H(build, words) { #build, build, words }
    H(short_file, "not a GGUF file: it begins with \"GGU\", not \"GGUF\""),
    H(junk, "not a GGUF file: it begins with \"JU\\x1bK\", not \"GGUF\""),
    H(ggml, "a GGML-era file (magic \"ggml\"), from before GGUF; convert the original model again"),
    H(ggmf, "a GGML-era file (magic \"ggmf\"), from before GGUF; convert the original model again"),
    H(ggjt, "a GGML-era file (magic \"ggjt\"), from before GGUF; convert the original model again"),
    H(ggla, "a GGML-era LoRA file (magic \"ggla\"), from before GGUF"),
    H(zip, "a zip archive, perhaps a PyTorch model, not a GGUF file"),
    H(elf, "a program (ELF), not a GGUF file"),
    H(gzip, "compressed with gzip; unpack it first"),
    H(lfs, "a Git LFS pointer: the model itself was not downloaded"),
    H(html, "a web page, not a GGUF file"),
    H(safetensors, "perhaps a safetensors file, not a GGUF file"),

    H(no_version, "the version of 4 bytes at byte 4, but the file ends at byte 6"),
    H(version_0, "GGUF version 0, only 1 to 3 are read"),
    H(version_4, "GGUF version 4, only 1 to 3 are read"),
    H(big_endian, "a big-endian GGUF file (version 3 with its bytes reversed); only little-endian is read"),
    H(no_counts, "the number of tensors of 8 bytes at byte 8, but the file ends at byte 12"),
    H(many_keys, "9223372036854775808 metadata entries do not fit in the 100 bytes that follow"),
    H(many_keys_v1, "4294967295 metadata entries do not fit in the 100 bytes that follow"),
    H(many_tensors, "18446744073709551615 tensors do not fit in the 100 bytes that follow"),
    H(many_tensors_and_keys, "2 tensors do not fit in the 80 bytes that follow"),

    H(huge_key, "metadata 0: a name of 18446744073709551615 bytes at byte 32, but the file ends at byte 43"),
    H(huge_key_v1, "metadata 0: a name of 4294967295 bytes at byte 20, but the file ends at byte 35"),
    H(wrapping_key, "metadata 0: a name of 18446744073709551575 bytes at byte 32, but the file ends at byte 64"),
    H(empty_key, "metadata 0: its name is empty"),
    H(zero_in_key, "metadata 0 \"a\": its name of 3 bytes holds a zero byte"),
    H(long_key, "metadata 0: a name of 70000 bytes, at most 65535"),
    H(rude_key, "metadata 0 \"\\x1b[2J\\n\": unknown value type 77"),
    H(unknown_type, "metadata 0 \"a.key\": unknown value type 13"),
    H(cut_value, "metadata 0 \"a.key\": a value of 8 bytes at byte 41, but the file ends at byte 48"),
    H(long_string, "metadata 0 \"a.key\": a string of 1099511627776 bytes at byte 49, but the file ends at byte 99"),
    H(wrapping_string, "metadata 0 \"a.key\": a string of 18446744073709551615 bytes at byte 49, but the file ends at byte 99"),
    H(long_array, "metadata 0 \"a.key\": an array of 51 u8 values, but only 50 bytes are left in the file"),
    H(wrapping_array, "metadata 0 \"a.key\": an array of 2305843009213693953 u64 values, but only 50 bytes are left in the file"),
    H(many_strings, "metadata 0 \"a.key\": an array of 1099511627776 string values, but only 50 bytes are left in the file"),
    H(string_in_array, "metadata 0 \"a.key\": a string of 99 bytes at byte 71, but the file ends at byte 80"),
    H(unknown_element, "metadata 0 \"a.key\": unknown array element type 200"),
    H(nested_5, "metadata 0 \"a.key\": arrays nested 5 deep, at most 4"),
    H(nested_forever, "metadata 0 \"a.key\": arrays nested 5 deep, at most 4"),
    H(bool_2, "metadata 0 \"a.key\": a bool of 2, neither 0 nor 1"),
    H(bool_in_array, "metadata 0 \"a.key\": a bool of 255, neither 0 nor 1"),
    H(twice, "metadata 2 \"b\": a duplicate key, already used by metadata 0"),
    H(alignment_0, "metadata 0 \"general.alignment\": alignment 0, not a power of two from 8 to 16777216"),
    H(alignment_48, "metadata 0 \"general.alignment\": alignment 48, not a power of two from 8 to 16777216"),
    H(alignment_huge, "metadata 0 \"general.alignment\": alignment 2147483648, not a power of two from 8 to 16777216"),
    H(alignment_text, "metadata 0 \"general.alignment\": its type is string, not a number of bytes"),
    H(alignment_array, "metadata 0 \"general.alignment\": its type is array, not a number of bytes"),

    H(cut_tensor, "tensor 0 \"w\": a dimension of 8 bytes at byte 61, but the file ends at byte 64"),
    H(huge_name, "tensor 0: a name of 4611686018427387904 bytes at byte 32, but the file ends at byte 92"),
    H(empty_name, "tensor 0: its name is empty"),
    H(long_name, "tensor 0: a name of 300 bytes, at most 255"),
    H(zero_in_name, "tensor 0 \"w\": its name of 3 bytes holds a zero byte"),
    H(dims_0, "tensor 0 \"w\": 0 dims, at least 1"),
    H(dims_5, "tensor 0 \"w\": 5 dims, at most 4"),
    H(dims_many, "tensor 0 \"w\": 4294967295 dims, at most 4"),
    H(dim_0, "tensor 0 \"w\": dimension 1 is 0"),
    H(product, "tensor 0 \"w\": dimension 2 is 2: more than 2^63 elements in all"),
    H(product_wraps_to_0, "tensor 0 \"w\": dimension 1 is 4294967296: more than 2^63 elements in all"),
    H(negative_dim, "tensor 0 \"w\": dimension 0 is 18446744073709551615: more than 2^63 elements in all"),
    H(too_many_bytes, "tensor 0 \"w\": 4611686018427387904 blocks of f64 are more than 2^63 bytes"),
    H(type_99, "tensor 0 \"w\": unknown tensor type 99"),
    H(type_4, "tensor 0 \"w\": unknown tensor type 4"),
    H(type_negative, "tensor 0 \"w\": unknown tensor type 4294967295"),
    H(half_block, "tensor 0 \"w\": rows of 48 elements, not a multiple of the 32 in a block of q8_0"),
    H(half_super_block, "tensor 0 \"w\": rows of 128 elements, not a multiple of the 256 in a block of q6_K"),
    H(crooked, "tensor 0 \"w\": its offset 100 is not a multiple of the alignment 32"),
    H(offset_past_end, "tensor 0 \"w\": its 128 bytes at offset 4096 end past the file's 512 bytes of tensor data"),
    H(offset_wraps, "tensor 0 \"w\": its 128 bytes at offset 18446744073709551552 end past the file's 512 bytes of tensor data"),
    H(data_cut, "tensor 0 \"w\": its 128 bytes at offset 0 end past the file's 127 bytes of tensor data"),
    H(no_data, "tensor 0 \"w\": its 128 bytes at offset 0 end past the file's 0 bytes of tensor data"),
    H(same_place, "tensor 1 \"v\": its data at byte 96 overlaps tensor 0 \"w\""),
    H(overlap, "tensor 1 \"v\": its data at byte 192 overlaps tensor 0 \"w\""),
    H(same_name, "tensor 1 \"w\": a duplicate name, already used by tensor 0"),
#undef H
};

/* Parsed from a block of exactly its size, so that a sanitizer sees a read past the end. */
static enum cut_status parse_exact(const uint8_t *data, size_t n, unsigned flags, struct cut_err *err) {
    struct cut_gguf *g = NULL;
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, data, n);
    enum cut_status st = cut_gguf_parse(&g, "t.gguf", copy, n, flags, err);
    CHECK(!st == !!g);
    if (g) walk(g);
    cut_gguf_close(g);
    free(copy);
    return st;
}

TEST(gguf_hostile_set) {
    for (size_t i = 0; i < sizeof set / sizeof *set; i++) {
        struct bytes b = { 0 };
        struct cut_err err = { 0 };
        set[i].build(&b);
        CHECK(parse_exact(b.data, b.n, 0, &err) == CUT_EFILE && err.code == CUT_EFILE, "%s", set[i].name);
        CHECK(!strncmp(err.msg, "t.gguf: ", 8) && !strcmp(err.msg + 8, set[i].words), "%s: %s", set[i].name, err.msg);
        parse_exact(b.data, b.n, CUT_GGUF_HEADER_ONLY, NULL);
        free(b.data);
    }
}

TEST(gguf_hostile_set_from_disk) {
    for (size_t i = 0; i < sizeof set / sizeof *set; i++) {
        char name[80], want[300];
        snprintf(name, sizeof name, "hostile-%s.gguf", set[i].name);
        const char *path = test_tmp(name);
        struct bytes b = { 0 };
        struct cut_err err = { 0 };
        struct cut_gguf *g = NULL;
        set[i].build(&b);
        FILE *f = fopen(path, "wb");
        REQUIRE(f);
        fwrite(b.data, 1, b.n, f);
        fclose(f);
        CHECK(cut_gguf_open(&g, path, i & 1 ? CUT_GGUF_NO_MMAP : 0, &err) == CUT_EFILE && !g, "%s", name);
        snprintf(want, sizeof want, "%s: %s", name, set[i].words);
        CHECK(!strncmp(err.msg, want, sizeof err.msg - 1), "%s", err.msg);
        unlink(path);
        free(b.data);
    }
}

/* The last tensor's data ends where the good file does: nothing can be missed without notice. */
TEST(gguf_cut_anywhere) {
    for (uint32_t version = 1; version <= 3; version++) {
        struct bytes b = { 0 };
        struct cut_err err;
        good_file(&b, version);
        for (size_t n = 0; n < b.n; n++) CHECK(parse_exact(b.data, n, 0, &err) == CUT_EFILE, "version %u, %zu bytes", version, n);
        CHECK(parse_exact(b.data, b.n, 0, &err) == CUT_OK, "%s", err.msg);
        free(b.data);
    }
}

/* Whatever one wrong byte makes of the file, it is read or refused. Some must be refused, some may pass. */
TEST(gguf_flip_every_byte) {
    static const uint8_t masks[] = { 1, 2, 4, 8, 16, 32, 64, 128, 0xFF, 0x7F };
    int refused = 0, read = 0;
    for (uint32_t version = 1; version <= 3; version++) {
        struct bytes b = { 0 };
        good_file(&b, version);
        for (size_t i = 0; i < b.n - 200; i++)
            for (size_t m = 0; m < sizeof masks; m++) {
                struct cut_err err = { 0 };
                b.data[i] ^= masks[m];
                if (!parse_exact(b.data, b.n, 0, &err)) read++;
                else if (err.msg[0]) refused++;
                b.data[i] ^= masks[m];
            }
        free(b.data);
    }
    CHECK(read > 1000 && refused > 1000, "%d read, %d refused", read, refused);
}

/* A hundred thousand keys, all different, then one of them twice: found without comparing each with each. */
TEST(gguf_many_keys) {
    struct bytes b = { 0 };
    struct cut_err err = { 0 };
    char key[16];
    put_head(&b, 3, 0, 100001);
    for (int i = 0; i < 100000; i++) {
        snprintf(key, sizeof key, "%d", i * 7919 % 100003);
        put_key(&b, key, CUT_KV_U8);
        put_u8(&b, 0);
    }
    put_key(&b, "7919", CUT_KV_U8);
    put_u8(&b, 0);
    double t = cut_clock();
    CHECK(parse_exact(b.data, b.n, 0, &err) == CUT_EFILE);
    CHECK(!strcmp(err.msg, "t.gguf: metadata 100000 \"7919\": a duplicate key, already used by metadata 1"), "%s", err.msg);
    CHECK(cut_clock() - t < 10, "%.1f s", cut_clock() - t);
    b.data[b.n - 6] = 'x';
    CHECK(parse_exact(b.data, b.n, 0, &err) == CUT_OK, "%s", err.msg);
    free(b.data);
}
