/* SHA-256 against the examples of FIPS 180-4 (NIST's example values), and in pieces of every size. */
#include "tests/test.h"

static void hash(const char *text, size_t n, size_t piece, char hex[65]) {
    struct cut_sha256 s;
    cut_sha256_init(&s);
    for (size_t i = 0; i < n; i += piece) cut_sha256_add(&s, text + i, piece < n - i ? piece : n - i);
    cut_sha256_done(&s, hex);
}

TEST(sha256_examples) {
    static const struct { const char *text, *hex; } want[] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    };
    char hex[65];
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        hash(want[i].text, strlen(want[i].text), 1, hex);
        CHECK(!strcmp(hex, want[i].hex), "%s", hex);
    }
    char *million = malloc(1000000);
    memset(million, 'a', 1000000);
    hash(million, 1000000, 4096, hex);
    CHECK(!strcmp(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"), "%s", hex);
    /* Every length around a block's end, whole and in pieces. */
    for (size_t n = 50; n < 140; n++) {
        char whole[65], parts[65];
        hash(million, n, n, whole);
        for (size_t piece = 1; piece < 70; piece += 7) {
            hash(million, n, piece, parts);
            CHECK(!strcmp(whole, parts), "%zu bytes in pieces of %zu", n, piece);
        }
    }
    free(million);
}

TEST(sha256_file) {
    const char *path = test_tmp("sha256");
    char hex[65];
    struct cut_err err;
    FILE *f = fopen(path, "wb");
    REQUIRE(f != NULL);
    fputs("abc", f);
    fclose(f);
    CHECK(!cut_sha256_file(path, hex, &err) && !strncmp(hex, "ba7816bf", 8), "%s", hex);
    CHECK(cut_sha256_file(test_tmp("nosuch"), hex, &err) == CUT_EFILE);
}
