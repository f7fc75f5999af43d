/* Quartiles, the rank test against its published table, and the scalability fit against its own curve. */
#include <math.h>

#include "tests/test.h"

#include "engine/cutaway.h"

TEST(a_sample_has_a_middle_and_a_spread) {
    struct cut_speed s;
    cut_speed_of(&s, (double[]){ 104, 100, 98, 102, 60 }, 5);
    CHECK(s.n == 5 && s.median == 100 && s.q1 == 98 && s.q3 == 102 && !s.noisy);
    cut_speed_of(&s, (double[]){ 110, 100, 90, 95 }, 4);
    CHECK(s.median == 97.5 && s.q1 == 93.75 && s.q3 == 102.5 && s.noisy);
    cut_speed_of(&s, NULL, 0);
    CHECK(s.n == 0 && s.median == 0 && !s.noisy);
}

TEST(the_rank_test_gives_the_published_probabilities) {
    /* All of five above all of five: 2 / C(10, 5). */
    double lo[] = { 1, 2, 3, 4, 5 }, hi[] = { 6, 7, 8, 9, 10 };
    CHECK(fabs(cut_rank_test(lo, 5, hi, 5) - 2.0 / 252) < 1e-12);
    CHECK(fabs(cut_rank_test(hi, 5, lo, 5) - 2.0 / 252) < 1e-12);
    /* U = 2 of 5 and 5 is the largest at the 5 % level (two-sided p = 0.0317); U = 3 is not (0.0556). */
    double u2[] = { 1, 2, 3, 4, 7.5 }, u3[] = { 1, 2, 3, 4, 8.5 };
    CHECK(fabs(cut_rank_test(u2, 5, hi, 5) - 8.0 / 252) < 1e-12, "%g", cut_rank_test(u2, 5, hi, 5));
    CHECK(fabs(cut_rank_test(u3, 5, hi, 5) - 14.0 / 252) < 1e-12, "%g", cut_rank_test(u3, 5, hi, 5));
    CHECK(cut_rank_test(lo, 5, lo, 5) > 0.99);
    CHECK(cut_rank_test(lo, 0, hi, 5) == 1);
}

TEST(the_scalability_fit_finds_its_own_curve) {
    struct cut_usl truth = { .lambda = 40, .sigma = 0.03, .kappa = 0.004 }, found;
    int t[] = { 1, 2, 3, 4, 6, 8, 12 };
    double y[7];
    for (int i = 0; i < 7; i++) y[i] = cut_usl_at(&truth, t[i]);
    REQUIRE(cut_usl_fit(&found, t, y, 7));
    CHECK(fabs(found.sigma - 0.03) < 1e-9 && fabs(found.kappa - 0.004) < 1e-9 && found.lambda == 40);
    CHECK(fabs(found.best - sqrt(0.97 / 0.004)) < 1e-6);
    /* Perfect scaling has no best count; one point is no line; a machine that speeds up by more than its threads is not negative. */
    REQUIRE(cut_usl_fit(&found, t, (double[]){ 10, 20, 30, 40, 60, 80, 120 }, 7));
    CHECK(found.sigma < 1e-9 && found.kappa < 1e-9 && found.best > 1e3);
    CHECK(!cut_usl_fit(&found, t, y, 1));
    REQUIRE(cut_usl_fit(&found, t, (double[]){ 10, 22, 30, 40, 60, 80, 120 }, 7));
    CHECK(found.sigma >= 0 && found.kappa >= 0);
    /* A busy machine: two threads are slower than one. */
    REQUIRE(cut_usl_fit(&found, t, (double[]){ 4257, 457, 250 }, 3));
    CHECK(found.sigma > 1 && found.best == 1);
}
