/* test_quant.c - half precision over all its values, and the decoders against blocks that llama.cpp wrote. */
#include "engine/quant/unpack.h"
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

/* Blocks that llama.cpp wrote, and the floats it reads back: bit for bit. Rows of 256, as many as the file has. */
static void decode_golden(const char *path_blocks, const char *path_floats, enum cut_type type) {
    const struct cut_type_info *info = cut_type_info(type);
    size_t n_blocks = 0, n = 0;
    void *blocks = test_read(path_blocks, &n_blocks);
    float *want = test_read(path_floats, &n);
    n /= sizeof *want;
    if (!blocks || !want || n < 512 || n_blocks != n / (size_t)info->block * (size_t)info->bytes) {
        test_fail(__FILE__, __LINE__, "%s is missing or odd (run from the repository's root)", path_blocks);
    } else {
        float *got = malloc(n * sizeof *got);
        cut_decode(type, blocks, got, n);
        for (size_t i = 0; i < n; i++)
            CHECK(bits(got[i]) == bits(want[i]), "%s: element %zu is %a, not %a", info->name, i, got[i], want[i]);
        free(got);
    }
    free(blocks);
    free(want);
}

/* Every format but float32 itself that can be decoded: 2 rows of each are kept here (64 of some), the others in the golden folder. */
static bool in_golden(enum cut_type type) {
    return type == CUT_F16 || type == CUT_BF16 || (cut_type_info(type) && cut_form_of(type)->scales);
}

TEST(quant_decode_fixtures) {
    int formats = 0;
    for (enum cut_type type = 0; type < CUT_TYPE_COUNT; type++) {
        if (!in_golden(type)) continue;
        char blocks[96], floats[96];
        snprintf(blocks, sizeof blocks, "tests/fixtures/quant/%s.blocks", cut_type_info(type)->name);
        snprintf(floats, sizeof floats, "tests/fixtures/quant/%s.f32", cut_type_info(type)->name);
        decode_golden(blocks, floats, type);
        formats++;
    }
    CHECK(formats == 27, "%d", formats);
}

TEST(quant_decode_golden) {
    for (enum cut_type type = 0; type < CUT_TYPE_COUNT; type++) {
        if (!in_golden(type)) continue;
        char path[96], blocks[1024];
        snprintf(path, sizeof path, "golden/quant/%s.blocks", cut_type_info(type)->name);
        if (!test_shared(path)) SKIP("golden data is absent");
        snprintf(blocks, sizeof blocks, "%s", test_shared(path));
        snprintf(path, sizeof path, "golden/quant/%s.f32", cut_type_info(type)->name);
        decode_golden(blocks, test_shared(path), type);
    }
}

/* The coded scales of mxfp4 and nvfp4, by their definitions. */
TEST(quant_coded_scales) {
    for (int e = 0; e < 256; e++) CHECK((double)cut_e8m0_half((uint8_t)e) == ldexp(1, e - 128), "%d", e);
    for (int x = 0; x < 256; x++) {
        int e = x >> 3 & 15, m = x & 7;
        double want = (x & 127) == 127 ? 0 : e ? ldexp(1 + m / 8.0, e - 7) : ldexp(m, -9);
        CHECK(cut_ue4m3_half((uint8_t)x) == want / 2, "%d: %g", x, cut_ue4m3_half((uint8_t)x));
    }
}

/* What cut_form_of says of a format is what its blocks do, whatever their bytes. */
TEST(quant_forms) {
    uint64_t rng = 1;
    for (enum cut_type type = 0; type < CUT_TYPE_COUNT; type++) {
        const struct cut_form *form = cut_form_of(type);
        if (!form->scales) continue;
        const struct cut_type_info *info = cut_type_info(type);
        int largest = 0;
        bool two = false;
        for (int round = 0; round < 200; round++) {
            uint8_t block[256];
            for (int i = 0; i < info->bytes; i++) block[i] = (uint8_t)cut_rng_next(&rng);
            for (int b = 0; b < info->block / 32; b++) {
                struct cut_unpacked u;
                cut_unpack(type, block, b, &u);
                for (int i = 0; i < 32; i++) largest = cut_max(largest, abs(u.q[i]));
                if (bits(u.d[0]) != bits(u.d[1])) two = true;
                CHECK(form->offset || (bits(u.m[0]) == 0 && bits(u.m[1]) == 0), "%s", info->name);
                CHECK(form->scales == 2 || bits(u.m[0]) == bits(u.m[1]), "%s", info->name);
            }
        }
        CHECK(largest == form->max_q, "%s: %d", info->name, largest);
        CHECK(two == (form->scales == 2), "%s", info->name);
    }
}
