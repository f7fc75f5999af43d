/* instructions.c - the same count twice, fewer by wider vectors, and close to what callgrind counts (tests/budget/budget.txt). */
#include "tests/test.h"

#include "engine/cutaway.h"

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
