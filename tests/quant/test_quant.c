/* test_quant.c - half precision over all its values, and the decoders against blocks that llama.cpp wrote. */
#include "engine/base/base.h"
#include "tests/test.h"

static uint32_t bits(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static float from_bits(uint32_t u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* Every half, by the definition: (-1)^s (fraction / 2^10 + (e > 0)) 2^(max(e, 1) - 15). */
TEST(quant_f16_widen) {
    for (uint32_t h = 0; h < 0x10000; h++) {
        int e = h >> 10 & 31, fraction = h & 1023;
        float f = cut_f16_to_f32((uint16_t)h);
        if (e == 31 && fraction) {
            CHECK(isnan(f) && (bits(f) >> 31) == h >> 15);
            CHECK((cut_f32_to_f16(f) & 0xFDFF) == (h & 0xFDFF));       /* the payload survives, but for the quiet bit */
            continue;
        }
        float want = e == 31 ? INFINITY : ldexpf((float)(fraction + (e ? 1024 : 0)), cut_max(e, 1) - 25);
        if (h >> 15) want = -want;
        CHECK(bits(f) == bits(want), "half %04x", h);
        CHECK(cut_f32_to_f16(f) == h, "half %04x", h);
    }
}

/* Between two neighbouring halves: the midpoint goes to the even one, a step to either side to the nearer one. */
TEST(quant_f16_round) {
    for (uint32_t sign = 0; sign < 2; sign++)
        for (uint32_t h = 0; h < 0x7C00; h++) {
            double a = cut_f16_to_f32((uint16_t)h), b = h == 0x7BFF ? 65536 : cut_f16_to_f32((uint16_t)(h + 1));
            float mid = (float)((a + b) / 2);                          /* exact: 12 bits */
            uint32_t s = sign << 15, even = h & 1 ? h + 1 : h;
            float f = sign ? -mid : mid;
            CHECK(cut_f32_to_f16(f) == (s | even), "tie above %04x", h);
            CHECK(cut_f32_to_f16(from_bits(bits(f) + 1)) == (s | (h + 1)), "above %04x", h);
            CHECK(cut_f32_to_f16(from_bits(bits(f) - 1)) == (s | h), "above %04x", h);
        }
    CHECK(cut_f32_to_f16(INFINITY) == 0x7C00 && cut_f32_to_f16(-INFINITY) == 0xFC00);
    CHECK(cut_f32_to_f16(1e30f) == 0x7C00 && cut_f32_to_f16(from_bits(1)) == 0);
    CHECK((cut_f32_to_f16(from_bits(0x7F800001)) & 0x7FFF) > 0x7C00);  /* a NaN whose payload would be cut to nothing */
}

TEST(quant_bf16) {
    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = cut_bf16_to_f32((uint16_t)h);
        CHECK(bits(f) == h << 16);
        if (isnan(f)) {
            CHECK((cut_f32_to_bf16(f) | 0x40) == (h | 0x40) && isnan(cut_bf16_to_f32(cut_f32_to_bf16(f))));
            continue;
        }
        CHECK(cut_f32_to_bf16(f) == h);
        if ((h & 0x7F80) == 0x7F80) continue;
        uint32_t even = h & 1 ? h + 1 : h;
        CHECK(cut_f32_to_bf16(from_bits(h << 16 | 0x8000)) == even, "tie above %04x", h);
        CHECK(cut_f32_to_bf16(from_bits(h << 16 | 0x8001)) == h + 1, "above %04x", h);
        CHECK(cut_f32_to_bf16(from_bits(h << 16 | 0x7FFF)) == h, "above %04x", h);
    }
    CHECK(isnan(cut_bf16_to_f32(cut_f32_to_bf16(from_bits(0x7F800001)))));
}

/* 64 rows of 256, bit for bit. */
static void decode_golden(const char *name, enum cut_type type) {
    char path[128];
    size_t n_blocks = 0, n_floats = 0;
    snprintf(path, sizeof path, "tests/fixtures/quant/%s.blocks", name);
    void *blocks = test_read(path, &n_blocks);
    snprintf(path, sizeof path, "tests/fixtures/quant/%s.f32", name);
    float *want = test_read(path, &n_floats);
    float *got = calloc(64 * 256, sizeof *got);
    if (!blocks || !want || !got || n_floats != 64 * 256 * 4) {
        test_fail(__FILE__, __LINE__, "%s is missing (run from the repository's root)", path);
    } else {
        cut_decode(type, blocks, got, 64 * 256);
        for (int i = 0; i < 64 * 256; i++)
            CHECK(bits(got[i]) == bits(want[i]), "%s: element %d is %a, not %a", name, i, got[i], want[i]);
    }
    free(blocks);
    free(want);
    free(got);
}

TEST(quant_decode_f16) { decode_golden("f16", CUT_F16); }
TEST(quant_decode_bf16) { decode_golden("bf16", CUT_BF16); }
TEST(quant_decode_q4_0) { decode_golden("q4_0", CUT_Q4_0); }
TEST(quant_decode_q8_0) { decode_golden("q8_0", CUT_Q8_0); }
TEST(quant_decode_q6_K) { decode_golden("q6_K", CUT_Q6_K); }
