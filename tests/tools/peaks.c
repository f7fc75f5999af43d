/* peaks.c - the machine's peaks: what can be said of them on any machine, however busy. */
#include "tests/test.h"

static bool told(void *user, double part, const char *what) {
    int *calls = user;
    CHECK(part >= 0 && part < 1 && what[0], "%g %s", part, what);
    return --*calls != 0;
}

TEST(peaks_are_measured) {
    static struct cut_peaks p;
    struct cut_err err;
    int calls = 1000, reads = 0;
    struct cut_peaks_opts o = { .threads = 3, .seconds = 2e-4, .bytes = 1 << 20 };
    REQUIRE(!cut_peaks(&p, &o, told, &calls, &err), "%s", err.msg);
    CHECK(1000 - calls == p.n, "told of each");
    for (int i = 0; i < p.n; i++) {
        const struct cut_peak *k = &p.peak[i];
        CHECK(k->rate >= k->median && k->median > 1e6 && k->instruction[0], "%s: %g, %g", k->instruction, k->rate, k->median);
        CHECK(k->kind == CUT_PEAK_READ || cut_tier_available(k->tier), "%s", k->instruction);
        reads += k->kind == CUT_PEAK_READ;
    }
    CHECK(reads == 3 && cut_peak_rate(&p, CUT_PEAK_READ, CUT_TIER_REF, 2) > 0, "with 1, 2 and 3 threads");
    CHECK(cut_peak_rate(&p, CUT_PEAK_F32, CUT_TIER_NEON, 4) == 0, "not measured");
    enum cut_tier best = cut_tier_best();
    if (best == CUT_TIER_REF) SKIP("no loops for this processor");
    double f32 = cut_peak_rate(&p, CUT_PEAK_F32, best, 1), int8 = cut_peak_rate(&p, CUT_PEAK_INT8, best, 1);
    CHECK(f32 > 0 && int8 > 0 && cut_peak_rate(&p, CUT_PEAK_F32, best, 3) > 0, "%g %g", f32, int8);
}

/* Four or eight numbers to a multiply-add, against one to a multiplication and one to an addition. Other work only ever takes away, so on a
 * busy machine a few more trials bring both nearer to what they are. */
TEST(peaks_of_vectors_are_higher) {
    static struct cut_peaks p;
    struct cut_err err;
    double scalar = 0, fma = 0;
    if (!cut_tier_available(CUT_TIER_AVX2)) SKIP("x86 with AVX2 only");
    for (int i = 0; i < 20 && (i == 0 || fma <= 3 * scalar); i++) {
        REQUIRE(!cut_peaks(&p, &(struct cut_peaks_opts){ .threads = 1, .seconds = 5e-3, .bytes = 1 << 20 }, NULL, NULL, &err),
                "%s", err.msg);
        scalar = fmax(scalar, cut_peak_rate(&p, CUT_PEAK_F32, CUT_TIER_REF, 1));
        fma = fmax(fma, cut_peak_rate(&p, CUT_PEAK_F32, CUT_TIER_AVX2, 1));
    }
    CHECK(fma > 3 * scalar, "%g, scalar %g", fma, scalar);
}

TEST(peaks_stop_when_told) {
    static struct cut_peaks p;
    struct cut_err err;
    int calls = 2;
    p.n = -1;
    struct cut_peaks_opts o = { .threads = 1, .seconds = 1e-4, .bytes = 1 << 16 };
    CHECK(cut_peaks(&p, &o, told, &calls, &err) == CUT_ECANCEL && p.n == -1);
    o.threads = 257;
    CHECK(cut_peaks(&p, &o, NULL, NULL, &err) == CUT_EUSAGE && !strcmp(err.msg, "threads 257: must be in [1, 256]"), "%s", err.msg);
}
