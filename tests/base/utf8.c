/* utf8.c - decoding is strict, and says which bytes may still become a code point. */
#include "tests/test.h"

TEST(utf8_decodes_all_it_encodes) {
    for (uint32_t c = 0; c <= 0x10FFFF; c += c < 0x3000 ? 1 : 0x101) {
        char s[4];
        uint32_t back = 0;
        int n = cut_utf8_encode(c, s);
        bool surrogate = c >= 0xD800 && c <= 0xDFFF;
        CHECK(n == (surrogate ? 0 : c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4), "U+%X", c);
        if (n) CHECK(cut_utf8_decode(s, 4, &back) == n && back == c, "U+%X", c);
        for (int cut = 0; cut < n; cut++) CHECK(cut_utf8_decode(s, (size_t)cut, &back) == 0, "U+%X cut", c);
        for (int cut = 1; cut < n; cut++) CHECK(cut_utf8_tail(s, (size_t)cut) == (size_t)cut, "U+%X tail", c);
        if (n) CHECK(cut_utf8_tail(s, (size_t)n) == 0, "U+%X whole", c);
    }
    CHECK(cut_utf8_encode(0x110000, (char[4]){ 0 }) == 0);
}

TEST(utf8_refuses_what_is_not) {
    static const char *const bad[] = { "\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xED\xA0\x80",
        "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE2\x41\x81", "\xE2\x96\x41", "\xC3\xC3" };
    uint32_t c = 7;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(!cut_utf8_decode(bad[i], strlen(bad[i]), &c), "case %zu", i);
    CHECK(c == 7);
}

TEST(utf8_tail_holds_back_only_what_may_come) {
    CHECK(cut_utf8_tail("", 0) == 0);
    CHECK(cut_utf8_tail("abc", 3) == 0);
    CHECK(cut_utf8_tail("ab\xE2", 3) == 1);
    CHECK(cut_utf8_tail("ab\xE2\x96", 4) == 2);
    CHECK(cut_utf8_tail("ab\xE2\x96\x81", 5) == 0);
    CHECK(cut_utf8_tail("\xF0\x9F\x98", 3) == 3);
    CHECK(cut_utf8_tail("a\xE0\x80", 3) == 0);         /* overlong: nothing can save it */
    CHECK(cut_utf8_tail("a\xED\xA0", 3) == 0);         /* a surrogate */
    CHECK(cut_utf8_tail("a\xF5", 2) == 0);
    CHECK(cut_utf8_tail("\x80\x80\x80", 3) == 0);
    CHECK(cut_utf8_tail("\xE2\x96" "a", 3) == 0);
}

static const char *escaped(size_t cap, const char *s, size_t len) {
    static char out[256];
    memset(out, '#', sizeof out);
    size_t n = cut_utf8_escape(out, cap, s, len);
    CHECK(n == strlen(out) && n < cap, "%zu of %zu", n, cap);
    CHECK(out[cap] == '#');
    return out;
}

TEST(utf8_escape_is_safe_to_print) {
    CHECK(!strcmp(escaped(64, "plain \xE2\x96\x81", 9), "plain \xE2\x96\x81"));
    CHECK(!strcmp(escaped(64, "\x1B[2J\n\t\\\0", 8), "\\x1b[2J\\n\\t\\\\\\x00"));
    CHECK(!strcmp(escaped(64, "\xC2\x9B" "a\xFF", 4), "\\u{009b}a\\xff"));                /* C1: CSI in one character */
    CHECK(!strcmp(escaped(64, "\xE2\x80\xAE" "abc", 6), "\\u{202e}abc"));                 /* writes right to left */
    CHECK(!strcmp(escaped(64, "", 0), ""));
    CHECK(!strcmp(escaped(9, "12345678", 8), "12345678"));
    CHECK(!strcmp(escaped(9, "123456789", 9), "12345..."));
    CHECK(!strcmp(escaped(9, "1234\n\n789", 9), "1234..."));                               /* no half escapes */
    CHECK(!strcmp(escaped(9, "1234\xE2\x96\x81\xE2\x96\x81", 10), "1234..."));
    CHECK(!strcmp(escaped(4, "12345", 5), "..."));
    for (size_t cap = 4; cap < 64; cap++) escaped(cap, "a\n\xE2\x80\xAE\xFF\xF0\x9F\x98\x80 and the rest of it", 30);
}
