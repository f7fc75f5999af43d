/* encode.c - encoders: the error they leave beside the reference's, what importance does, fixed points, extremes, tiers and threads. */
#include <float.h>

#include "engine/quant/encode.h"
#include "engine/quant/search.h"
#include "engine/quant/unpack.h"
#include "tests/test.h"

enum { ROWS = 64, N = 256, ALL = ROWS * N };

/* What llama.cpp's quantizer leaves of tests/fixtures/quant/source.f32, as root mean square (types.tsv of the golden data). */
static const struct { enum cut_type type; double reference; } formats[] = {
    { CUT_F16, 2.12867e-05 },   { CUT_BF16, 0.000174203 },  { CUT_Q4_0, 0.0135233 },    { CUT_Q4_1, 0.00967116 },
    { CUT_Q5_0, 0.00664114 },   { CUT_Q5_1, 0.00476914 },   { CUT_Q8_0, 0.000849415 },  { CUT_Q2_K, 0.0345194 },
    { CUT_Q3_K, 0.020046 },     { CUT_Q4_K, 0.00893158 },   { CUT_Q5_K, 0.00451392 },   { CUT_Q6_K, 0.00257662 },
    { CUT_TQ1_0, 0.0841158 },   { CUT_TQ2_0, 0.0841158 },   { CUT_MXFP4, 0.0148011 },   { CUT_NVFP4, 0.00996777 },
    { CUT_Q1_0, 0.0775834 },    { CUT_Q2_0, 0.070269 },
};

static const char *name_of(enum cut_type type) { return cut_type_info(type)->name; }

static float *source(void) {
    size_t bytes = 0;
    float *x = test_read("tests/fixtures/quant/source.f32", &bytes);
    CHECK(x && bytes == ALL * sizeof *x, "run from the repository's root");
    return x;
}

static double error_of(const float *x, const float *y, size_t rows, size_t n, const float *w) {
    double sum = 0, weight = 0;
    for (size_t i = 0; i < rows * n; i++) {
        double by = w ? (double)w[i % n] : 1;
        sum += by * ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        weight += by;
    }
    return sqrt(sum / weight);
}

static double round_trip(enum cut_type type, const float *x, float *y, size_t rows, const float *importance) {
    static uint8_t blocks[ALL * 4];
    cut_encode_rows(type, x, blocks, rows, N, importance);
    cut_decode(type, blocks, y, rows * N);
    return error_of(x, y, rows, N, importance);
}

TEST(encode_error) {
    static float y[ALL];
    float *x = source();
    for (size_t f = 0; x && f < CUT_LEN(formats); f++) {
        double e = round_trip(formats[f].type, x, y, ROWS, NULL);
        CHECK(e <= formats[f].reference * (1 + 1e-5), "%s: %g, the reference %g", name_of(formats[f].type), e, formats[f].reference);
    }
    free(x);
}

/* What better searches gain at the same format, so that it is not lost again: our error over the reference's. */
TEST(encode_gain) {
    static const struct { enum cut_type type; double most; } gains[] = {
        { CUT_Q4_0, .97 },  { CUT_Q4_1, .89 },  { CUT_Q5_0, .97 },  { CUT_Q5_1, .89 },   { CUT_Q8_0, .94 },
        { CUT_Q2_K, .84 },  { CUT_Q3_K, .97 },  { CUT_Q4_K, .972 }, { CUT_Q5_K, .955 },  { CUT_Q6_K, .96 },
        { CUT_TQ1_0, .73 }, { CUT_TQ2_0, .73 }, { CUT_MXFP4, .97 }, { CUT_NVFP4, .88 },  { CUT_Q2_0, .65 },
    };
    static float y[ALL];
    float *x = source();
    for (size_t f = 0, k; x && f < CUT_LEN(gains); f++) {
        for (k = 0; formats[k].type != gains[f].type;) k++;
        double e = round_trip(gains[f].type, x, y, ROWS, NULL) / formats[k].reference;
        CHECK(e <= gains[f].most, "%s: %.4f", name_of(gains[f].type), e);
    }
    free(x);
}

/* With importance the error that counts is the weighted one: it shrinks, and the plain one grows. */
TEST(encode_importance) {
    static float y[ALL];
    float *x = source(), w[N], scaled[N], zero[N] = { 0 }, one_column[N] = { 0 };
    uint64_t s = 11;
    for (int i = 0; i < N; i++) {
        float u = cut_rng_float(&s);
        w[i] = 0.01f + u * u * u * u;
        scaled[i] = w[i] * 1024;
    }
    one_column[100] = 1e-12f;
    for (size_t f = 0; x && f < CUT_LEN(formats); f++) {
        enum cut_type type = formats[f].type;
        static uint8_t a[ALL * 4], b[ALL * 4];
        if (cut_type_info(type)->block == 1) continue;
        size_t bytes = (size_t)(N / cut_type_info(type)->block * cut_type_info(type)->bytes);
        double plain = round_trip(type, x, y, ROWS, NULL), plain_weighted = error_of(x, y, ROWS, N, w);
        double with = round_trip(type, x, y, ROWS, w), with_plain = error_of(x, y, ROWS, N, NULL);
        CHECK(with < plain_weighted, "%s: %g, without %g", name_of(type), with, plain_weighted);
        CHECK(with_plain > plain, "%s: %g, without %g", name_of(type), with_plain, plain);
        cut_encode_rows(type, x, a, 3, N, w);
        cut_encode_rows(type, x, b, 3, N, scaled);
        CHECK(!memcmp(a, b, 3 * bytes), "%s: only proportions matter", name_of(type));
        cut_encode_rows(type, x, a, 3, N, NULL);
        cut_encode_rows(type, x, b, 3, N, zero);
        CHECK(!memcmp(a, b, 3 * bytes), "%s: importance zero everywhere", name_of(type));
        /* one column alone: it is met well, and the others are still met */
        cut_encode_rows(type, x, a, ROWS, N, one_column);
        cut_decode(type, a, y, ALL);
        CHECK(error_of(x, y, ROWS, N, one_column) <= plain && error_of(x, y, ROWS, N, NULL) < 0.2, "%s: %g, %g", name_of(type),
              error_of(x, y, ROWS, N, one_column), error_of(x, y, ROWS, N, NULL));
    }
    free(x);
}

/* What is on a grid stays there: exactly, where a block has one scale without an offset, but for q8_0. Elsewhere a scale may have been
 * rounded to another whole number than the search would now begin with, and what is lost again is little. */
TEST(encode_again) {
    static float y[ALL], z[ALL];
    float *x = source();
    for (size_t f = 0; x && f < CUT_LEN(formats); f++) {
        enum cut_type type = formats[f].type;
        bool one_scale = cut_type_info(type)->block == 1 || type == CUT_Q4_0 || type == CUT_Q5_0 || type == CUT_TQ1_0 ||
                         type == CUT_TQ2_0 || type == CUT_MXFP4 || type == CUT_NVFP4 || type == CUT_Q1_0 || type == CUT_Q2_0;
        double first = round_trip(type, x, y, ROWS, NULL), second = round_trip(type, y, z, ROWS, NULL);
        CHECK(second <= (one_scale ? 0 : 0.25 * first), "%s: %g, then %g", name_of(type), first, second);
    }
    free(x);
}

static bool all_finite(const float *y) {
    for (int i = 0; i < N; i++)
        if (!isfinite(y[i])) return false;
    return true;
}

TEST(encode_special) {
    for (size_t f = 0; f < CUT_LEN(formats); f++) {
        enum cut_type type = formats[f].type;
        const char *name = name_of(type);
        float x[N] = { 0 }, y[N];
        CHECK(round_trip(type, x, y, 1, NULL) == 0, "%s: zeros", name);

        for (int sign = -1; sign <= 1; sign += 2) {    /* 0.75 is on every grid; halves and whole scales have 11 bits or more */
            for (int i = 0; i < N; i++) x[i] = 0.75f * (float)sign;
            CHECK(round_trip(type, x, y, 1, NULL) < 2e-3, "%s: all %g: %g", name, (double)x[0], (double)y[0]);
        }

        /* one weight stands out: it is kept, and what it costs the others is at most themselves */
        for (int i = 0; i < N; i++) x[i] = 0.01f * (float)(i % 3 - 1);
        x[7] = -3;
        double rest = 0.01 * sqrt(2.0 / 3);
        double left = round_trip(type, x, y, 1, NULL);
        CHECK(type == CUT_Q1_0 || (left <= 1.05 * rest && fabsf(y[7] + 3) < 0.03f), "%s: %g, %g", name, (double)y[7], left);

        for (int i = 0; i < N; i++) x[i] = i % 2 ? 1e-30f : -1e-38f;       /* a denormal among them */
        x[9] = FLT_MIN / 16;
        round_trip(type, x, y, 1, NULL);
        for (int i = 0; i < N; i++) CHECK(fabsf(y[i]) < 1e-7f, "%s: %g", name, (double)y[i]);

        /* beyond what the scale can hold: clipped to the largest there is, with the right sign, and finite */
        static const float huge[] = { 1e6f, 1e30f, FLT_MAX };
        for (size_t k = 0; k < CUT_LEN(huge); k++) {
            for (int i = 0; i < N; i++) x[i] = huge[k] * (i % 2 ? 1 : -1);
            round_trip(type, x, y, 1, NULL);
            CHECK(all_finite(y), "%s: %g", name, (double)huge[k]);
            for (int i = 0; i < N; i++)
                CHECK(y[i] * x[i] > 0 && fabsf(y[i]) >= fminf(0.7f * huge[k], 2600), "%s: %g becomes %g", name, (double)x[i], (double)y[i]);
            for (int i = 1; i < N; i++) x[i] = 0.01f;
            round_trip(type, x, y, 1, NULL);
            CHECK(all_finite(y), "%s: one of %g", name, (double)huge[k]);
        }
    }
}

TEST(encode_types) {
    for (unsigned t = 0; t < CUT_TYPE_COUNT; t++) {
        const struct cut_type_info *info = cut_type_info(t);
        bool coded = info && (cut_form_of((enum cut_type)t)->scales || t == CUT_F32 || t == CUT_F16 || t == CUT_BF16);
        CHECK(cut_encodes((enum cut_type)t) == coded, "type %u", t);
    }
    float x[N], y[N];
    for (int i = 0; i < N; i++) x[i] = (float)(i - 128) / 64;
    CHECK(round_trip(CUT_F32, x, y, 1, NULL) == 0 && round_trip(CUT_F16, x, y, 1, NULL) == 0 && round_trip(CUT_BF16, x, y, 1, NULL) == 0,
          "halves of small integers are exact");
}

/* Rows of any number of blocks: what does not fill eight lanes is encoded as it is in company. */
TEST(encode_short) {
    float *x = source();
    for (size_t f = 0; x && f < CUT_LEN(formats); f++) {
        enum cut_type type = formats[f].type;
        size_t block = (size_t)cut_type_info(type)->block, bytes = (size_t)cut_type_info(type)->bytes;
        static uint8_t all[N * 8 * 4], one[N * 8 * 4];
        memset(one, 0, sizeof one);
        cut_encode_rows(type, x, all, 8, N, NULL);
        for (size_t b = 0; b < 8 * N / block; b++) cut_encode(type, x + b * block, one + b * bytes, block);
        CHECK(!memcmp(all, one, 8 * N / block * bytes), "%s: blocks alone", name_of(type));
        memset(one, 0xAA, sizeof one);
        cut_encode(type, x, one, 3 * block);
        CHECK(!memcmp(all, one, 3 * bytes) && one[3 * bytes] == 0xAA, "%s: three blocks", name_of(type));
    }
    free(x);
}

/* ---- tiers and threads */

static void same(const char *what, const void *a, const void *b, size_t bytes) { CHECK(!memcmp(a, b, bytes), "%s", what); }

TEST(encode_tiers) {
    const struct cut_search *p = cut_search_named("plain"), *v = cut_search_named("avx2");
    CHECK(!cut_search_named("none"));
    if (!v) SKIP("no AVX2 here");
    static struct cut_lanes a[2], b[2];
    float *x = source(), w[N];
    uint64_t s = 3;
    for (int i = 0; i < N; i++) w[i] = cut_rng_float(&s);
    for (int round = 0; x && round < ROWS; round++) {
        float d[2][8], m[2][8], e[2][8];
        int8_t q[2][N];
        struct cut_super o[2];
        const float *row = x + N * round, *importance = round % 2 ? w : NULL;
        memset(o, 0, sizeof o);
        for (int n = 16; n <= 32; n += 16) {
            int groups = 32 / n;
            for (int k = 0; k < groups; k++) {
                p->load(&a[k], row + 128 * k, importance, 8, n);
                v->load(&b[k], row + 128 * k, importance, 8, n);
                same("load", a[k].x, b[k].x, (size_t)n * sizeof a->x[0]);
                same("load w", a[k].w, b[k].w, (size_t)n * sizeof a->w[0]);
            }
            p->scale(a, -8, 7, d[0]), v->scale(b, -8, 7, d[1]);
            same("scale", d[0], d[1], sizeof d[0]);
            p->scale(a, -1, 1, d[0]), v->scale(b, -1, 1, d[1]);
            same("scale, ternary", d[0], d[1], sizeof d[0]);
            p->scale_min(a, 15, d[0], m[0]), v->scale_min(b, 15, d[1], m[1]);
            same("scale_min d", d[0], d[1], sizeof d[0]);
            same("scale_min m", m[0], m[1], sizeof m[0]);
            p->round(a, 0, 15, d[0], m[0], q[0]), v->round(b, 0, 15, d[1], m[1], q[1]);
            same("round", q[0], q[1], 8 * (size_t)n);
            p->fp4_error(a, d[0], e[0]), v->fp4_error(b, d[1], e[1]);
            same("fp4_error", e[0], e[1], sizeof e[0]);
            p->fp4_round(a, d[0], (uint8_t *)q[0]), v->fp4_round(b, d[1], (uint8_t *)q[1]);
            same("fp4_round", q[0], q[1], 8 * (size_t)n);
            p->super_scale(a, groups, -32, 31, -128, 127, &o[0]), v->super_scale(b, groups, -32, 31, -128, 127, &o[1]);
            same("super_scale", &o[0], &o[1], sizeof o[0]);
            p->super_scale_min(a, groups, 15, 63, &o[0]), v->super_scale_min(b, groups, 15, 63, &o[1]);
            same("super_scale_min", &o[0], &o[1], sizeof o[0]);
        }
    }
    free(x);
}

/* 1 to 3 threads, with and without importance: the bytes of cut_encode_rows. 200 rows are several pieces and a rest. */
TEST(encode_threads) {
    enum { MANY = 200 };
    static float x[MANY * N], w[N];
    static uint8_t want[MANY * 144], got[MANY * 144];
    uint64_t s = 7;
    for (int i = 0; i < MANY * N; i++) x[i] = cut_rng_float(&s) - cut_rng_float(&s);
    for (int i = 0; i < N; i++) w[i] = cut_rng_float(&s);
    for (int n = 1; n <= 3; n++) {
        struct cut_pool *pool = NULL;
        REQUIRE(!cut_pool_new(&pool, n, NULL));
        for (int k = 0; k < 2; k++) {
            struct cut_encoding e = { .name = "t", .from = CUT_F32, .to = CUT_Q4_K, .src = x, .dst = got, .rows = MANY, .n = N,
                                      .importance = k ? w : NULL };
            memset(got, 0, sizeof got);
            CHECK(!cut_encode_tensor(&e, pool, NULL));
            cut_encode_rows(CUT_Q4_K, x, want, MANY, N, k ? w : NULL);
            CHECK(!memcmp(want, got, sizeof got), "%d threads", n);
        }
        cut_pool_free(pool);
    }
}

/* From a format with blocks, and a copy. */
TEST(encode_from_blocks) {
    float *x = source();
    REQUIRE(x);
    static uint8_t q8[2 * N / 32 * 34], got[2 * N / 32 * 34], want[2 * N / 32 * 18];
    static float y[2 * N];
    cut_encode_rows(CUT_Q8_0, x, q8, 2, N, NULL);
    cut_decode(CUT_Q8_0, q8, y, 2 * N);
    cut_encode_rows(CUT_Q4_0, y, want, 2, N, NULL);
    struct cut_encoding e = { .name = "t", .from = CUT_Q8_0, .to = CUT_Q4_0, .src = q8, .dst = got, .rows = 2, .n = N };
    CHECK(!cut_encode_tensor(&e, NULL, NULL) && !memcmp(want, got, sizeof want));
    e.to = CUT_Q8_0;
    CHECK(!cut_encode_tensor(&e, NULL, NULL) && !memcmp(q8, got, sizeof q8));
    free(x);
}

TEST(encode_refuses) {
    static float x[300 * N];
    static uint8_t out[300 * N];
    struct cut_err err;
    struct cut_pool *pool = NULL;
    REQUIRE(!cut_pool_new(&pool, 2, NULL));
    struct cut_encoding e = { .name = "m.gguf: tensor \"a\"", .from = CUT_F32, .to = CUT_Q8_0, .src = x, .dst = out, .rows = 300,
                              .n = N, .row0 = 10 };
    x[200 * N + 5] = NAN;
    x[299 * N + 6] = INFINITY;
    for (int round = 0; round < 20; round++) {
        CHECK(cut_encode_tensor(&e, pool, &err) == CUT_EFILE);
        CHECK(!strcmp(err.msg, "m.gguf: tensor \"a\": element 53765 (row 210, column 5) is not a number"), "%s", err.msg);
    }
    x[200 * N + 5] = 0;
    CHECK(cut_encode_tensor(&e, pool, &err) == CUT_EFILE);
    CHECK(!strcmp(err.msg, "m.gguf: tensor \"a\": element 79110 (row 309, column 6) is infinite"), "%s", err.msg);
    cut_pool_free(pool);

    /* a block whose scale is infinite */
    uint8_t q8[34] = { 0x00, 0x7C, 1 };
    e = (struct cut_encoding){ .name = "b", .from = CUT_Q8_0, .to = CUT_F32, .src = q8, .dst = out, .rows = 1, .n = 32 };
    CHECK(cut_encode_tensor(&e, NULL, &err) == CUT_EFILE);
    CHECK(!strcmp(err.msg, "b: element 0 (row 0, column 0) is not finite"), "%s", err.msg);
}

TEST(encode_all_finite) {
    static float x[5000];
    size_t at = 77;
    for (int i = 0; i < 5000; i++) x[i] = i % 2 ? FLT_MAX : -FLT_MAX;
    CHECK(cut_all_finite(x, 5000, &at) && cut_all_finite(x, 0, &at) && at == 77, "the largest numbers are numbers");
    static const size_t places[] = { 0, 7, 8, 1023, 1024, 2047, 4095, 4996, 4999 };
    static const float bad[] = { NAN, -NAN, INFINITY, -INFINITY };
    for (size_t p = 0; p < CUT_LEN(places); p++)
        for (size_t k = 0; k < CUT_LEN(bad); k++) {
            float was = x[places[p]], last = x[4999];
            x[places[p]] = bad[k];
            x[4999] = INFINITY;
            CHECK(!cut_all_finite(x, 5000, &at) && at == places[p], "%zu", at);
            CHECK(!cut_all_finite(x, 5000, NULL));
            CHECK(cut_all_finite(x, places[p], NULL), "up to there");
            x[4999] = last;
            x[places[p]] = was;
        }
}
