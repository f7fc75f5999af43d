/* encode_iq.c - encoders of the iq formats: the error they leave beside the reference's, the search against trying
 * everything, signs, importance, fixed points, extremes. */
#include <float.h>

#include "engine/quant/codebooks.h"
#include "engine/quant/encode.h"
#include "engine/quant/encode_iq.h"
#include "tests/test.h"

enum { ROWS = 64, N = 256, ALL = ROWS * N };

/* What llama.cpp's quantizer leaves of tests/fixtures/quant/source.f32, as root mean square (types.tsv of the golden
 * data), and the most we do, as a part of that: what a better search gains is not to be lost again. */
static const struct format {
    enum cut_type type;
    void (*encode)(void *dst, const float *x, size_t n, const float *importance);
    double reference, part;
} formats[] = {
    { CUT_IQ1_S, cut_encode_iq1_s, 0.0707097, 0.80 },      { CUT_IQ1_M, cut_encode_iq1_m, 0.121273, 0.39 },
    { CUT_IQ2_XXS, cut_encode_iq2_xxs, 0.0591198, 0.76 },  { CUT_IQ2_XS, cut_encode_iq2_xs, 0.0434762, 0.86 },
    { CUT_IQ2_S, cut_encode_iq2_s, 0.042608, 0.81 },       { CUT_IQ3_XXS, cut_encode_iq3_xxs, 0.0321691, 0.73 },
    { CUT_IQ3_S, cut_encode_iq3_s, 0.0259902, 0.73 },      { CUT_IQ4_NL, cut_encode_iq4_nl, 0.0106384, 0.972 },
    { CUT_IQ4_XS, cut_encode_iq4_xs, 0.0107934, 0.969 },
};

static const char *name_of(const struct format *f) { return cut_type_info(f->type)->name; }

static size_t bytes_of(const struct format *f, size_t n) {
    const struct cut_type_info *t = cut_type_info(f->type);
    return n / (size_t)t->block * (size_t)t->bytes;
}

static double error_of(const float *x, const float *y, size_t n, const float *w) {
    double sum = 0, weight = 0;
    for (size_t i = 0; i < n; i++) {
        double by = w ? (double)w[i % N] : 1, e = (double)x[i] - (double)y[i];
        sum += by * e * e;
        weight += by;
    }
    return sqrt(sum / weight);
}

static double round_trip(const struct format *f, const float *x, float *y, size_t rows, const float *importance) {
    static uint8_t blocks[ALL];
    for (size_t r = 0; r < rows; r++) f->encode(blocks + r * bytes_of(f, N), x + r * N, N, importance);
    cut_decode(f->type, blocks, y, rows * N);
    return error_of(x, y, rows * N, importance);
}

static bool load(const char *name, float *x, size_t rows) {
    char path[64];
    size_t bytes = 0, want = rows * N * sizeof *x;
    snprintf(path, sizeof path, "tests/fixtures/quant/%s.f32", name);
    float *file = test_read(path, &bytes);
    bool there = file && bytes == want;
    CHECK(there, "%s: run from the repository's root", path);
    if (there) memcpy(x, file, want);
    free(file);
    return there;
}

TEST(encode_iq_error) {
    static float x[ALL], y[ALL];
    if (!load("source", x, ROWS)) return;
    for (const struct format *f = formats; f < formats + CUT_LEN(formats); f++) {
        double e = round_trip(f, x, y, ROWS, NULL);
        CHECK(e <= f->reference * f->part, "%s: %.6f, %.4f of the reference's", name_of(f), e, e / f->reference);
    }
}

/* ---- the search */

TEST(encode_iq_nearest) {
    static const int dim[CUT_GRID_COUNT] = { 8, 8, 8, 4, 4, 8 };
    static const int entries[CUT_GRID_COUNT] = { 256, 512, 1024, 256, 512, 2048 };
    uint64_t s = 23;
    for (int id = 0; id < CUT_GRID_COUNT; id++) {
        const struct cut_grid *g = cut_grid_get((enum cut_grid_id)id);
        REQUIRE(g->dim == dim[id] && g->entries == entries[id] && g->levels == (dim[id] == 8 ? 3 : 8), "grid %d", id);
        for (int round = 0; round < 300; round++) {
            float cost[CUT_GRID_LEVELS][8], least = INFINITY, found = 0;
            for (int k = 0; k < 8; k++) {
                float low = INFINITY, w = cut_rng_float(&s), top = g->value[g->levels - 1];
                float x = top * (2 * cut_rng_float(&s) - (id == CUT_GRID_IQ1));
                for (int l = 0; l < g->levels; l++) {
                    cost[l][k] = w * (x - g->value[l]) * (x - g->value[l]);
                    low = fminf(low, cost[l][k]);
                }
                for (int l = 0; l < g->levels; l++) cost[l][k] -= low;
            }
            int e = cut_grid_nearest(g, (const float (*)[8])cost, (int)(cut_rng_next(&s) % (unsigned)g->entries));
            for (int i = 0; i < g->entries; i++) {
                float sum = 0;
                for (int k = 0; k < g->dim; k++)
                    for (int l = 0; l < g->levels; l++)
                        if (g->value[l] == (float)g->points[i * g->dim + k]) sum += cost[l][k];
                least = fminf(least, sum);
                if (i == e) found = sum;
            }
            CHECK(found <= least * 1.00001f, "grid %d: entry %d costs %g, the best %g", id, e, (double)found, (double)least);
        }
        for (int i = 0; i < g->entries; i++) {                     /* what is listed is its own guess */
            int level[8];
            bool listed;
            for (int k = 0; k < g->dim; k++)
                for (int l = 0; l < g->levels; l++)
                    if (g->value[l] == (float)g->points[i * g->dim + k]) level[k] = l;
            CHECK(cut_grid_guess(g, level, &listed) == i && listed, "grid %d: entry %d", id, i);
        }
    }
}

/* What encode_iq.h says of iq2's magnitudes: as 1, 3, 5 they add up to a multiple of 4, so that with an even number
 * of minuses they are in E8. */
TEST(encode_iq_lattice) {
    for (int id = CUT_GRID_IQ2_XXS; id <= CUT_GRID_IQ2_S; id++) {
        const struct cut_grid *g = cut_grid_get((enum cut_grid_id)id);
        for (int i = 0; i < g->entries; i++) {
            int sum = 0;
            for (int k = 0; k < 8; k++) sum += g->points[8 * i + k] == 8 ? 1 : g->points[8 * i + k] == 25 ? 3 : 5;
            CHECK(sum % 4 == 0, "grid %d: entry %d adds up to %d", id, i, sum);
        }
    }
}

/* ---- signs: with an odd number of minuses in eight, the wrong sign goes where it costs least */

TEST(encode_iq_signs) {
    static const enum cut_type even[] = { CUT_IQ2_XXS, CUT_IQ2_XS, CUT_IQ3_XXS };
    for (size_t t = 0; t < CUT_LEN(even); t++) {
        const struct format *f = formats;
        float x[N], y[N], w[N];
        while (f->type != even[t]) f++;
        for (int i = 0; i < N; i++) {
            x[i] = i % 8 == 1 ? -0.08f : i % 8 == 5 ? 0.1f : i % 8 == 2 || i % 8 == 3 ? -1 : 1;    /* three minuses */
            w[i] = i % 8 == 1 ? 9 : 1;
        }
        round_trip(f, x, y, 1, NULL);
        for (int i = 0; i < N; i++) CHECK((x[i] * y[i] < 0) == (i % 8 == 1), "%s: %d: %g", name_of(f), i, (double)y[i]);
        round_trip(f, x, y, 1, w);                     /* one near zero that counts little beats one nearer that does */
        for (int i = 0; i < N; i++)
            CHECK((x[i] * y[i] < 0) == (i % 8 == 5), "%s with importance: %d: %g", name_of(f), i, (double)y[i]);
    }
}

/* ---- importance */

TEST(encode_iq_importance) {
    static float x[ALL], y[ALL];
    static uint8_t a[N], b[N];
    float w[N], scaled[N], zero[N] = { 0 };
    uint64_t s = 11;
    if (!load("source", x, ROWS)) return;
    for (int i = 0; i < N; i++) {
        float u = cut_rng_float(&s);
        w[i] = 0.01f + u * u * u * u;
        scaled[i] = w[i] * 1024;
    }
    for (const struct format *f = formats; f < formats + CUT_LEN(formats); f++) {
        double plain = round_trip(f, x, y, ROWS, NULL), without = error_of(x, y, ALL, w);
        double with = round_trip(f, x, y, ROWS, w), plain_with = error_of(x, y, ALL, NULL);
        CHECK(with < 0.95 * without, "%s: %g, without %g", name_of(f), with, without);
        CHECK(plain_with > plain, "%s: %g, without %g", name_of(f), plain_with, plain);
        f->encode(a, x, N, w);
        f->encode(b, x, N, scaled);
        CHECK(!memcmp(a, b, bytes_of(f, N)), "%s: only proportions matter", name_of(f));
        f->encode(a, x, N, NULL);
        f->encode(b, x, N, zero);
        CHECK(!memcmp(a, b, bytes_of(f, N)), "%s: importance zero everywhere", name_of(f));
    }
}

/* ---- fixed points: the reference's blocks, decoded, lie on a grid; a search that knows only the floats finds it. (Not
 * in all blocks there could be: whole scales 3 and 9 may be read as 1 and 3, and then a 5 beside them is off.) */

TEST(encode_iq_golden) {
    float y[2 * N], z[2 * N];
    for (const struct format *f = formats; f < formats + CUT_LEN(formats); f++) {
        if (!load(name_of(f), y, 2)) return;
        double e = round_trip(f, y, z, 2, NULL);
        CHECK(e == 0, "%s: %g, %.3f of what encoding the source left", name_of(f), e, e / f->reference);
    }
}

/* ---- extremes */

static bool all_finite(const float *y) {
    for (int i = 0; i < N; i++)
        if (!isfinite(y[i])) return false;
    return true;
}

TEST(encode_iq_special) {
    for (const struct format *f = formats; f < formats + CUT_LEN(formats); f++) {
        float x[N] = { 0 }, y[N];
        CHECK(round_trip(f, x, y, 1, NULL) == 0, "%s: zeros", name_of(f));

        for (int sign = -1; sign <= 1; sign += 2) {
            for (int i = 0; i < N; i++) x[i] = 0.75f * (float)sign;
            CHECK(round_trip(f, x, y, 1, NULL) < 2e-3, "%s: all %g: %g", name_of(f), (double)x[0], (double)y[0]);
        }

        /* one weight stands out, the rest are small: it costs less to keep something of it than nothing */
        for (int i = 0; i < N; i++) x[i] = 0.01f * (float)(i % 3 - 1);
        x[7] = -3;
        memset(y, 0, sizeof y);
        double nothing = error_of(x, y, N, NULL);
        double e = round_trip(f, x, y, 1, NULL);
        CHECK(e < 0.95 * nothing && y[7] < 0, "%s: %g of %g, %g", name_of(f), e, nothing, (double)y[7]);

        for (int i = 0; i < N; i++) x[i] = i % 2 ? 1e-30f : -1e-38f;
        x[9] = FLT_MIN / 16;
        round_trip(f, x, y, 1, NULL);
        for (int i = 0; i < N; i++) CHECK(fabsf(y[i]) < 1e-7f, "%s: %g", name_of(f), (double)y[i]);

        static const float huge[] = { 1e6f, 1e30f, FLT_MAX };
        for (size_t k = 0; k < CUT_LEN(huge); k++) {
            for (int i = 0; i < N; i++) x[i] = huge[k] * (i % 2 ? 1 : -1);
            round_trip(f, x, y, 1, NULL);
            CHECK(all_finite(y), "%s: %g", name_of(f), (double)huge[k]);
            for (int i = 0; i < N; i++)
                CHECK(y[i] * x[i] > 0 && fabsf(y[i]) >= 60000, "%s: %g becomes %g", name_of(f), (double)x[i], (double)y[i]);
            for (int i = 1; i < N; i++) x[i] = 0.01f;
            round_trip(f, x, y, 1, NULL);
            CHECK(all_finite(y), "%s: one of %g", name_of(f), (double)huge[k]);
        }
    }
}

/* A block is encoded alone as it is in company, and nothing is written beyond it. */
TEST(encode_iq_blocks) {
    static float x[ALL];
    static uint8_t all[8 * N], one[8 * N];
    if (!load("source", x, ROWS)) return;
    for (const struct format *f = formats; f < formats + CUT_LEN(formats); f++) {
        size_t block = (size_t)cut_type_info(f->type)->block, bytes = bytes_of(f, block), blocks = 4 * N / block;
        f->encode(all, x, 4 * N, NULL);
        memset(one, 0xAA, sizeof one);
        for (size_t b = 0; b < blocks; b++) f->encode(one + b * bytes, x + b * block, block, NULL);
        CHECK(!memcmp(all, one, blocks * bytes) && one[blocks * bytes] == 0xAA, "%s", name_of(f));
    }
}
