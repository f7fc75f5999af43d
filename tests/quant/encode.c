/* encode.c - encoders: the error they leave, their fixed points, zeros and extremes. */
#include "engine/base/base.h"
#include "tests/test.h"

enum { N = 256 };

static const struct { enum cut_type type; double most; } formats[] = {
    /* the root of the mean squared error left on uniform noise in [-1, 1), at most: a step is 2/2^bits, its error step/sqrt(12) */
    { CUT_Q8_0, 0.0024 }, { CUT_Q6_K, 0.0095 }, { CUT_Q4_0, 0.038 },
};

static double round_trip(enum cut_type type, const float *x, float *y) {
    uint8_t block[2 * N * 4];
    double sum = 0;
    cut_encode(type, x, block, N);
    cut_decode(type, block, y, N);
    for (int i = 0; i < N; i++) sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    return sqrt(sum / N);
}

TEST(encode_error) {
    uint64_t s = 5;
    for (size_t f = 0; f < CUT_LEN(formats); f++) {
        double worst = 0;
        for (int round = 0; round < 50; round++) {
            float x[N], y[N], z[N];
            for (int i = 0; i < N; i++) x[i] = 2 * cut_rng_float(&s) - 1;
            worst = fmax(worst, round_trip(formats[f].type, x, y));
            /* what is on the grid stays nearly where it is */
            CHECK(round_trip(formats[f].type, y, z) < 0.35 * formats[f].most, "%s: %g the second time", cut_type_info(formats[f].type)->name,
                  round_trip(formats[f].type, y, z));
        }
        CHECK(worst < formats[f].most, "%s: %g", cut_type_info(formats[f].type)->name, worst);
    }
}

TEST(encode_special) {
    for (size_t f = 0; f < CUT_LEN(formats); f++) {
        float x[N] = { 0 }, y[N];
        CHECK(round_trip(formats[f].type, x, y) == 0, "zeros");
        x[7] = -3;                             /* one weight alone is kept; a half has 11 bits */
        CHECK(round_trip(formats[f].type, x, y) * 16 < 3e-3 * 3 && y[8] == 0, "%s: %g", cut_type_info(formats[f].type)->name, (double)y[7]);
        for (int i = 0; i < N; i++) x[i] = 1e-30f;     /* below the smallest half: becomes nothing, and no NaN */
        round_trip(formats[f].type, x, y);
        for (int i = 0; i < N; i++) CHECK(fabsf(y[i]) < 1e-7f, "%g", (double)y[i]);
    }
}

/* The formats without blocks. */
TEST(encode_types) {
    CHECK(cut_encodes(CUT_F16) && cut_encodes(CUT_Q4_0) && !cut_encodes(CUT_IQ2_S) && !cut_encodes(CUT_I8), "types");
    float x[N], y[N];
    for (int i = 0; i < N; i++) x[i] = (float)(i - 128) / 64;
    CHECK(round_trip(CUT_F32, x, y) == 0 && round_trip(CUT_F16, x, y) == 0 && round_trip(CUT_BF16, x, y) == 0, "halves of small integers are exact");
}
