/* instructions.c - the same count twice, fewer by wider vectors, close to what callgrind counts (tests/budget/budget.txt), and every
 * instruction at an address; the hot loop of counts made up here. */
#include "tests/test.h"

#include "engine/cutaway.h"
#include "engine/tools/loop.h"

TEST(instructions_of_a_weight_are_counted_one_by_one) {
    double ref = cut_instructions_per_weight(CUT_Q8_0, CUT_TIER_REF);
    if (isnan(ref)) SKIP("no process may be traced here");
    CHECK(ref > 4 && ref < 400, "%g", ref);        /* callgrind: 13.4 at -O2 */
    CHECK(ref == cut_instructions_per_weight(CUT_Q8_0, CUT_TIER_REF));
    CHECK(isnan(cut_instructions_per_weight(CUT_Q8_0, CUT_TIER_COUNT)));
    if (!cut_tier_available(CUT_TIER_AVX2) || ref > 60) return;        /* > 60: a sanitized build, with more to count than we wait for */
    double avx2 = cut_instructions_per_weight(CUT_Q8_0, CUT_TIER_AVX2);
    CHECK(avx2 > 0.05 && avx2 < ref / 4, "%g of %g", avx2, ref);      /* callgrind: 0.37 */
}

static bool until_half(void *user, double part, const char *what) {
    double *most = user;
    CHECK(part >= 0 && part <= 1 && part >= *most && what, "%g after %g", part, *most);
    *most = part;
    return part < 0.5;
}

TEST(instructions_each_have_an_address) {
    struct cut_instructions i;
    struct cut_err err;
    for (int t = CUT_TIER_REF; t < CUT_TIER_COUNT; t++) {
        struct cut_instructions_opts o = { .type = CUT_Q4_K, .tier = (enum cut_tier)t, .tokens = 1 };
        int64_t sum = 0, loop = 0;
        if (!cut_tier_available(o.tier)) continue;
        enum cut_status st = cut_instructions(&i, &o, NULL, NULL, &err);
        if (st) SKIP("%s", err.msg);
        if (i.total > 100 * (int64_t)i.weights) {
            cut_instructions_done(&i);
            SKIP("a sanitized build");
        }
        for (int k = 0; k < i.n; k++) {
            CHECK(!k || i.at[k].at > i.at[k - 1].at);
            CHECK(i.at[k].times > 0, "%s: %lld times", cut_tier_name(o.tier), (long long)i.at[k].times);
            sum += i.at[k].times;
            if (k >= i.loop && k < i.loop + i.n_loop) loop += i.at[k].times;
        }
        CHECK(sum == i.total && i.total > 0 && i.weights == (uint64_t)i.rows * (uint64_t)i.columns);
        CHECK(2 * loop >= sum && i.passes > 1 && i.loop >= 0 && i.loop + i.n_loop <= i.n, "%s: %lld of %lld", cut_tier_name(o.tier),
              (long long)loop, (long long)sum);
        CHECK((double)i.total / (double)i.weights == cut_instructions_per_weight(CUT_Q4_K, o.tier));
        cut_instructions_done(&i);
        CHECK(!i.at && !i.n);
    }
    double most = 0;
    struct cut_instructions_opts o = { .type = CUT_Q8_0, .tier = CUT_TIER_REF, .tokens = 2 };
    CHECK(cut_instructions(&i, &o, until_half, &most, &err) == CUT_ECANCEL && most >= 0.5 && !strcmp(err.msg, "stopped"), "%s", err.msg);
}

TEST(instructions_refuse_what_there_is_not) {
    struct cut_instructions i;
    struct cut_err err;
    struct cut_instructions_opts bad[] = { { CUT_Q4_K, CUT_TIER_COUNT, 1, CUT_REPACK_AUTO }, { CUT_Q4_K, CUT_TIER_REF, 0, CUT_REPACK_AUTO },
                                           { CUT_Q4_K, CUT_TIER_REF, 9, CUT_REPACK_AUTO }, { CUT_TYPE_COUNT, CUT_TIER_REF, 1, CUT_REPACK_AUTO } };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) CHECK(cut_instructions(&i, &bad[k], NULL, NULL, &err), "case %d", (int)k);
}

TEST(instructions_hot_loop) {
    /* A function: start, a loop around a loop, end. And another, far away, that ran often but is short. */
    struct cut_instruction at[40];
    int n = 0, first, many;
    int64_t passes;
    for (int k = 0; k < 30; k++)
        at[n++] = (struct cut_instruction){ 0x1000 + 4u * (unsigned)k, k < 5 || k >= 25 ? 1 : k < 10 || k >= 20 ? 10 : 100 };
    for (int k = 0; k < 3; k++) at[n++] = (struct cut_instruction){ 0x9000 + 4u * (unsigned)k, 200 };
    cut_hot_loop(at, n, &first, &many, &passes);
    CHECK(first == 10 && many == 10 && passes == 100, "%d + %d, %lld", first, many, (long long)passes);
    for (int k = 10; k < 12; k++) at[k].times = 300;           /* a loop inside it that holds less than half */
    for (int k = 30; k < 33; k++) at[k].times = 1;
    cut_hot_loop(at, n, &first, &many, &passes);
    CHECK(first == 10 && many == 10 && passes == 100, "%d + %d, %lld", first, many, (long long)passes);
    at[15].at += 300, at[16].at += 300;                        /* code in between that never ran, too much for a loop */
    for (int k = 17; k < n; k++) at[k].at += 300;
    cut_hot_loop(at, n, &first, &many, &passes);
    CHECK(first == 10 && many == 5 && passes == 100, "%d + %d, %lld", first, many, (long long)passes);
    cut_hot_loop(at, 1, &first, &many, &passes);
    CHECK(first == 0 && many == 1 && passes == 1);
    cut_hot_loop(at, 0, &first, &many, &passes);
    CHECK(many == 0 && passes == 0);
}
