/* codebooks.c - the codebooks spread out, against the tables of ggml: by count and hash of their bytes. */
#include "engine/quant/codebooks.h"
#include "tests/test.h"

/* FNV-1a, 64 bits. The expected values were computed from the bytes of ggml-common.h's tables. */
static uint64_t fnv(const void *data, size_t n) {
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < n; i++) h = (h ^ ((const uint8_t *)data)[i]) * 0x100000001B3u;
    return h;
}

TEST(codebooks_match_ggml) {
    CHECK(fnv(cut_grid_iq2_xxs, sizeof cut_grid_iq2_xxs) == 0xBB4EE025B5AC6E8Eu);
    CHECK(fnv(cut_grid_iq2_xs, sizeof cut_grid_iq2_xs) == 0xC9B1EE61E79909BDu);
    CHECK(fnv(cut_grid_iq2_s, sizeof cut_grid_iq2_s) == 0x123EDD38A3B62B90u);
    CHECK(fnv(cut_grid_iq3_xxs, sizeof cut_grid_iq3_xxs) == 0xDFA5DC83D6A155D5u);
    CHECK(fnv(cut_grid_iq3_s, sizeof cut_grid_iq3_s) == 0xFA37020C25B44829u);
    CHECK(fnv(cut_grid_iq1, sizeof cut_grid_iq1) == 0x6703ED863501AE2Eu);
}

/* The eighth sign makes the count of minus signs even; the seven stored ones stay. */
TEST(codebooks_signs) {
    for (unsigned s = 0; s < 128; s++) {
        unsigned eight = cut_iq_signs(s);
        CHECK((eight & 127) == s && __builtin_popcount(eight) % 2 == 0, "%u", s);
    }
    CHECK(cut_iq_signs(1) == 129 && cut_iq_signs(3) == 3 && cut_iq_signs(127) == 255);
}

/* The sixteen 4-bit floats by their definition: (-1)^s 2^(e - 1) (1 + m / 2), and (-1)^s m / 2 where e is 0. */
TEST(codebooks_e2m1) {
    for (int i = 0; i < 16; i++) {
        int e = i >> 1 & 3, m = i & 1;
        double v = e ? ldexp(1 + m / 2.0, e - 1) : m / 2.0;
        CHECK(cut_e2m1_doubled[i] == (i & 8 ? -1 : 1) * 2 * v, "%d", i);
    }
}
