/* test_kernels.c - the vector kernels of every tier: norm, rounding to 8 bits, gates, rotation; and the tiers' names. */
#include "tests/kernels/kernels.h"

static const int sizes[] = { 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 172, 288, 1000, 2048, 5632 };

TEST(kernels_tiers) {
    enum cut_tier t = CUT_TIER_COUNT;
    struct cut_err err;
    CHECK(cut_tier_parse(&t, "ref", &err) == CUT_OK && t == CUT_TIER_REF);
    CHECK(cut_tier_parse(&t, "AUTO", &err) == CUT_OK && t == CUT_TIER_AUTO);
    t = CUT_TIER_COUNT;
    CHECK(cut_tier_parse(&t, "sse9", &err) == CUT_EUSAGE && strstr(err.msg, "sse9") && t == CUT_TIER_COUNT);
    CHECK(cut_tier_parse(&t, "avx", NULL) == CUT_EUSAGE);
#ifdef __x86_64__
    CHECK(cut_tier_parse(&t, "neon", &err) == CUT_EUSAGE && strstr(err.msg, "neon"));
#else
    CHECK(cut_tier_parse(&t, "avx2", &err) == CUT_EUSAGE && strstr(err.msg, "avx2"));
#endif
    CHECK(cut_tier_available(CUT_TIER_REF) && cut_tier_available(cut_tier_best()));
    EACH_TIER(tier) {
        struct cut_kernels k;
        cut_kernels_init(&k, tier);
        CHECK(k.tier == tier);
        CHECK(cut_tier_parse(&t, cut_tier_name(tier), &err) == CUT_OK && t == tier);
    }
}

/* The source pane points at the line where the reference function begins. */
TEST(kernels_source) {
    static const char *const names[] = { "rms_norm", "quantize_q8", "add", "silu_mul", "rope", "to_f16", "round_bf16",
                                         "mm_f32", "mm_q8", "dot_q8", "scores", "softmax", "mix",
                                         "attn" };
    for (size_t i = 0; i < CUT_LEN(names); i++) {
        const struct cut_src *s = cut_kernel_source(names[i]);
        REQUIRE(s, "%s", names[i]);
        size_t size;
        char *text = test_read(s->file, &size), *at = text;
        REQUIRE(text, "%s (run from the repository's root)", s->file);
        for (int line = 1; line < s->line && at; line++) {
            at = strchr(at, '\n');
            if (at) at++;
        }
        char call[40];
        snprintf(call, sizeof call, " %s(", names[i]);
        char *end = at ? strchr(at, '\n') : NULL;
        if (end) *end = 0;
        CHECK(at && !strncmp(at, "static ", 7) && strstr(at, call), "%s:%d is not %s", s->file, s->line, names[i]);
        free(text);
    }
    CHECK(!cut_kernel_source("no_such_kernel"));
}

TEST(kernels_rms_norm) {
    EACH_TIER(tier)
        for (size_t i = 0; i < CUT_LEN(sizes); i++) {
            struct cut_kernels k;
            cut_kernels_init(&k, tier);
            int n = sizes[i];
            uint64_t rng = 1;
            float *x = buffer((size_t)n * 4), *w = buffer((size_t)n * 4), *y = buffer((size_t)n * 4);
            double sum = 0;
            for (int j = 0; j < n; j++) {
                x[j] = 10 * random_float(&rng);
                w[j] = random_float(&rng);
                sum += (double)x[j] * x[j];
            }
            double want = 1 / sqrt(sum / n + 1e-5), rel = (n + 8) * FLT_EPSILON;
            float scale = k.rms_norm(y, x, w, n, 1e-5f);
            CHECK(fabs(scale - want) <= rel * want, "%s n %d: %.9g, not %.9g", cut_tier_name(tier), n, scale, want);
            for (int j = 0; j < n; j++) {
                double wanted = x[j] * want * w[j];
                CHECK(fabs(y[j] - wanted) <= (rel + 4 * FLT_EPSILON) * fabs(wanted));
            }
            k.rms_norm(x, x, w, n, 1e-5f);
            CHECK(!memcmp(x, y, (size_t)n * 4), "%s n %d: in place", cut_tier_name(tier), n);
            free(x);
            free(w);
            free(y);
        }
}

/* Bit for bit the same in every tier: what a row of floats becomes. */
static void quantize_alike_by(const float *x, int n, int block) {
    struct cut_kernels ref, k;
    cut_kernels_init(&ref, CUT_TIER_REF);
    void *want = buffer(cut_q8_bytes(n)), *got = buffer(cut_q8_bytes(n));
    ref.quantize_q8(want, x, n, block);
    for (int b = 0; b < n / 32; b++) {
        int sum[2] = { 0 };
        for (int i = 0; i < 32; i++) {
            sum[i / 16] += cut_q8_q(want)[32 * b + i];
            CHECK(cut_q8_q(want)[32 * b + i] >= -127);
        }
        CHECK(sum[0] == cut_q8_s(want, n)[2 * b] && sum[1] == cut_q8_s(want, n)[2 * b + 1]);
    }
    EACH_TIER(tier) {
        cut_kernels_init(&k, tier);
        memset(got, 0, cut_q8_bytes(n));
        k.quantize_q8(got, x, n, block);
        CHECK(!memcmp(want, got, cut_q8_bytes(n)), "%s", cut_tier_name(tier));
    }
    for (int b = 0; b < n / 32; b++) {     /* one scale throughout a block */
        const float *d = cut_q8_d(want, n);
        CHECK(float_bits(d[b]) == float_bits(d[b - b % (block / 32)]));
    }
    free(want);
    free(got);
}

static void quantize_alike(const float *x, int n) {
    quantize_alike_by(x, n, 32);
    if (n % 256 == 0) quantize_alike_by(x, n, 256);
}

TEST(kernels_quantize_q8) {
    enum { N = 32 * 64 };
    float *x = buffer(N * 4);
    uint64_t rng = 2;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < N; i++) {
            x[i] = random_float(&rng);
            x[i] = ldexpf(x[i], random_int(&rng, 40) - 20);
        }
        quantize_alike(x, N);
        for (int i = 0; i < N; i++) x[i] = random_float(&rng);
        quantize_alike(x, 32 * (1 + round % 64));
    }
    free(x);
}

/* With 127 in the block d is 1, and x itself is rounded: halves, and their neighbours on both sides. */
TEST(kernels_quantize_q8_ties) {
    struct cut_kernels ref;
    cut_kernels_init(&ref, CUT_TIER_REF);
    char row[64];
    void *aligned = buffer(sizeof row);
    for (int i = 0; i < 127; i++)
        for (int step = -1; step <= 1; step++)
            for (int sign = -1; sign <= 1; sign += 2) {
                float x[32] = { 127 };
                x[1] = (float)sign * bits_float(float_bits((float)i + 0.5f) + (uint32_t)step);
                quantize_alike(x, 32);
                ref.quantize_q8(aligned, x, 32, 32);
                CHECK(cut_q8_q(aligned)[1] == sign * (step < 0 ? i : i + 1), "%a", x[1]);
            }
    free(aligned);
}

TEST(kernels_quantize_q8_extremes) {
    static const float ends[] = { 0, -0.0f, INFINITY, -INFINITY, NAN, FLT_MAX, -FLT_MAX, FLT_MIN, 127 * FLT_MIN,
                                  126 * FLT_MIN, 1e-45f, 3e-44f, 1e-38f, 1 };
    for (size_t i = 0; i < CUT_LEN(ends); i++)
        for (size_t j = 0; j < CUT_LEN(ends); j++)
            for (int at = 0; at < 32; at += 5) {
                float x[64] = { 0 };
                x[at] = ends[i];
                x[31 - at] = ends[j];
                x[40] = ends[j];
                x[63] = ends[i];
                quantize_alike(x, 64);
                float y[256] = { 0 };
                y[at] = ends[i];
                y[250 - at] = ends[j];
                quantize_alike_by(y, 256, 256);
            }
    struct cut_kernels k;
    void *row = buffer(cut_q8_bytes(32));
    EACH_TIER(tier) {
        cut_kernels_init(&k, tier);
        float x[32] = { 0 };
        k.quantize_q8(row, x, 32, 32);
        CHECK(float_bits(cut_q8_d(row, 32)[0]) == 0 && cut_q8_s(row, 32)[0] == 0 && cut_q8_s(row, 32)[1] == 0);
        x[3] = -INFINITY;
        k.quantize_q8(row, x, 32, 32);
        CHECK(isnan(cut_q8_d(row, 32)[0]) && cut_q8_s(row, 32)[0] == 0 && cut_q8_s(row, 32)[1] == 0);
    }
    free(row);
}

TEST(kernels_add_silu_f16) {
    EACH_TIER(tier)
        for (size_t i = 0; i < CUT_LEN(sizes); i++) {
            struct cut_kernels k;
            cut_kernels_init(&k, tier);
            int n = sizes[i];
            uint64_t rng = 4;
            float *a = buffer((size_t)n * 4), *b = buffer((size_t)n * 4), *y = buffer((size_t)n * 4);
            uint16_t *h = buffer((size_t)n * 2);
            for (int j = 0; j < n; j++) {
                float f = random_float(&rng);
                a[j] = ldexpf(f, random_int(&rng, 40) - 26);
                b[j] = random_float(&rng);
            }
            k.add(y, a, b, n);
            for (int j = 0; j < n; j++) CHECK(y[j] == a[j] + b[j]);
            k.to_f16(h, a, n);
            for (int j = 0; j < n; j++) CHECK(h[j] == cut_f32_to_f16(a[j]), "%s: %a", cut_tier_name(tier), a[j]);
            k.silu_mul(y, a, b, n);
            for (int j = 0; j < n; j++) {
                double want = a[j] / (1 + exp(-(double)a[j])) * b[j];
                CHECK(fabs(y[j] - want) <= 6 * FLT_EPSILON * fabs(want) + 32 * FLT_MIN,
                      "%s: silu(%g) * %g = %.9g, not %.9g", cut_tier_name(tier), a[j], b[j], y[j], want);
            }
            memcpy(b, y, (size_t)n * 4);
            free(a);
            free(b);
            free(y);
            free(h);
        }
}

/* Halves at the ends: the largest, ties, subnormals, infinities, NaNs. */
TEST(kernels_to_f16_all) {
    enum { N = 1 << 16 };
    float *x = buffer(N * 4);
    uint16_t *h = buffer(N * 2);
    EACH_TIER(tier) {
        struct cut_kernels k;
        cut_kernels_init(&k, tier);
        for (uint32_t low = 0x0FFF; low <= 0x1001; low++) {
            for (uint32_t i = 0; i < N; i++) x[i] = bits_float(float_bits(cut_f16_to_f32((uint16_t)i)) | low);
            k.to_f16(h, x, N);
            for (uint32_t i = 0; i < N; i++)
                CHECK(h[i] == cut_f32_to_f16(x[i]), "%s: %a is %04x, not %04x", cut_tier_name(tier), x[i], h[i],
                      cut_f32_to_f16(x[i]));
        }
    }
    free(x);
    free(h);
}

/* Ties, carries into the exponent, infinities, and NaNs, which stay as they are. */
TEST(kernels_round_bf16) {
    enum { N = 1 << 16 };
    static const uint32_t low[] = { 0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF };
    float *x = buffer(N * 4), *y = buffer(N * 4);
    EACH_TIER(tier) {
        struct cut_kernels k;
        cut_kernels_init(&k, tier);
        for (size_t l = 0; l < CUT_LEN(low); l++) {
            for (uint32_t i = 0; i < N; i++) x[i] = bits_float(i << 16 | low[l]);
            for (int n = N; n > N - 20; n -= 7) {
                memset(y, 0, N * 4);
                k.round_bf16(y, x, n);
                for (int i = 0; i < n; i++) {
                    uint32_t want = isnan(x[i]) ? float_bits(x[i]) : (uint32_t)cut_f32_to_bf16(x[i]) << 16;
                    CHECK(float_bits(y[i]) == want, "%s: %a", cut_tier_name(tier), x[i]);
                }
                CHECK(n == N || float_bits(y[n]) == 0);
            }
        }
    }
    free(x);
    free(y);
}

/* exp inside silu at the ends of the floats. Below -88.7 exp(-x) is infinite and silu 0, off by at most 89 exp(-88.7). */
TEST(kernels_silu_ends) {
    static const float ends[] = { -INFINITY, -FLT_MAX, -1000, -104, -89, -88, -87, 0, 87, 89, 104, 1000, FLT_MAX };
    EACH_TIER(tier) {
        struct cut_kernels k;
        cut_kernels_init(&k, tier);
        for (size_t i = 1; i < CUT_LEN(ends); i++) {
            float g[16], u[16], y[16];
            for (int j = 0; j < 16; j++) {
                g[j] = ends[i];
                u[j] = 1;
            }
            k.silu_mul(y, g, u, 16);
            double want = ends[i] / (1 + exp(-(double)ends[i]));
            for (int j = 0; j < 16; j++)
                CHECK(fabs(y[j] - want) <= 6 * FLT_EPSILON * fabs(want) + 32 * FLT_MIN, "%s: silu(%g) = %g",
                      cut_tier_name(tier), g[j], y[j]);
        }
        float nan[16] = { NAN }, one[16] = { 1, 1 }, y[16];
        k.silu_mul(y, nan, one, 16);
        CHECK(isnan(y[0]) && y[1] == 0);
    }
}

TEST(kernels_rope) {
    static const int shapes[][3] = { { 1, 2, 2 }, { 3, 8, 8 }, { 8, 8, 4 }, { 2, 6, 6 }, { 5, 10, 2 }, { 32, 64, 64 },
                                     { 4, 128, 128 }, { 2, 80, 32 }, { 2, 34, 18 }, { 1, 256, 256 } };
    EACH_TIER(tier)
        for (size_t i = 0; i < CUT_LEN(shapes); i++) {
            struct cut_kernels k;
            cut_kernels_init(&k, tier);
            int n_head = shapes[i][0], hd = shapes[i][1], rd = shapes[i][2], n = n_head * hd;
            float *x = buffer((size_t)n * 4), *y = buffer((size_t)n * 4), *cs = buffer((size_t)rd * 4);
            uint64_t rng = 6;
            for (int j = 0; j < n; j++) x[j] = random_float(&rng);
            for (int j = 0; j < rd; j += 2) {
                cs[j] = cosf((float)j);
                cs[j + 1] = sinf((float)j);
            }
            k.rope(y, x, cs, n_head, hd, rd);
            for (int j = 0; j < n; j++) {
                int d = j % hd;
                double a = x[j & ~1], b = x[j | 1], c = cs[d < rd ? d & ~1 : 0], s = cs[d < rd ? d | 1 : 1];
                double want = d >= rd ? x[j] : d & 1 ? a * s + b * c : a * c - b * s;
                double allowed = d < rd ? 2 * FLT_EPSILON * (fabs(a) + fabs(b)) : 0;
                CHECK(fabs(y[j] - want) <= allowed, "%s %zu: element %d", cut_tier_name(tier), i, j);
            }
            k.rope(x, x, cs, n_head, hd, rd);
            CHECK(!memcmp(x, y, (size_t)n * 4), "in place");
            free(x);
            free(y);
            free(cs);
        }
}
