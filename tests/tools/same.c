/* same.c - threads change no byte; another order of the sums does, and the step where it first does is named. */
#include "tests/test.h"

#include "engine/cutaway.h"

TEST(threads_change_no_byte_and_kernels_are_caught) {
    struct cut_model *m;
    struct cut_same r;
    struct cut_err err;
    REQUIRE(!cut_model_open(&m, "assets/pebble.gguf", 0, &err));
    struct cut_same_side one = { .tier = cut_tier_best(), .threads = 1 }, other = one;
    for (other.threads = 1; other.threads <= 4; other.threads++) {
        REQUIRE(!cut_same_bytes(m, &one, &other, 16, NULL, NULL, &r, &err), "%s", err.msg);
        CHECK(r.same && r.n_differ == 0 && r.step == -1 && r.logits_ulps == 0 && r.n_steps > 20, "%d threads: %s", other.threads, r.name);
    }
    if (cut_tier_best() != CUT_TIER_REF) {
        other = (struct cut_same_side){ .tier = CUT_TIER_REF, .threads = 1 };
        REQUIRE(!cut_same_bytes(m, &other, &one, 16, NULL, NULL, &r, &err), "%s", err.msg);
        CHECK(!r.same && r.n_differ > 1 && r.step >= 1 && r.pass == 0 && r.logits_ulps > 0);
        CHECK(r.a != r.b && r.ulps > 0 && r.ulps < 100 && r.name[0] && r.op[0], "%s %s: %g and %g, %g ulp", r.name, r.op, r.a, r.b, r.ulps);
    }
    CHECK(cut_same_bytes(m, &one, &other, 65, NULL, NULL, &r, &err) == CUT_EUSAGE && strstr(err.msg, "65"));
    cut_model_close(m);
}
