/* The sampler chain: each stage exact on a small vector, the draws by chi-square. */
#include "tests/test.h"

static const struct cut_sampler_opts off = { .temp = 1, .top_p = 1, .repeat_penalty = 1, .repeat_last = 64, .seed = 7 };

static struct cut_sampler *sampler(struct cut_sampler_opts o, int n) {
    struct cut_sampler *s = NULL;
    struct cut_err err = { 0 };
    CHECK(cut_sampler_new(&s, n, &o, &err) == CUT_OK, "%s", err.msg);
    return s;
}

/* The ids left after one call, as text: "3 1 0". */
static const char *left(struct cut_sampler_opts o, const float *logits, int n, const int32_t *history, int n_history) {
    static char buf[4][256];
    static int turn;
    char *p = buf[turn++ & 3];
    struct cut_sampler *s = sampler(o, n);
    cut_sampler_next(s, logits, history, n_history);
    int m, at = 0;
    const struct cut_candidate *c = cut_sampler_left(s, &m);
    p[0] = 0;
    for (int i = 0; i < m; i++) at += snprintf(p + at, 256 - (size_t)at, "%s%d", i ? " " : "", c[i].id);
    cut_sampler_free(s);
    return p;
}

#define LEFT(o, logits, want) do {                                                            \
        const char *got_ = left(o, logits, (int)(sizeof(logits) / sizeof *(logits)), NULL, 0); \
        CHECK(!strcmp(got_, want), "got %s, want %s", got_, want);                            \
    } while (0)

/* logits whose softmax is 0.4 0.3 0.15 0.1 0.05, in shuffled order: ids 2 0 4 1 3 */
static const float p5[5] = { -1.2039728f, -2.3025851f, -0.9162907f, -2.9957323f, -1.8971200f };

TEST(sample_everything_off_leaves_all) { LEFT(off, p5, "2 0 4 1 3"); }

TEST(sample_top_k) {
    struct cut_sampler_opts o = off;
    o.top_k = 3; LEFT(o, p5, "2 0 4");
    o.top_k = 1; LEFT(o, p5, "2");
    o.top_k = 5; LEFT(o, p5, "2 0 4 1 3");
    o.top_k = 99; LEFT(o, p5, "2 0 4 1 3");
}

TEST(sample_top_k_ties_by_id) {
    static const float l[6] = { 1, 2, 2, 1, 2, 1 };
    struct cut_sampler_opts o = off;
    o.top_k = 2; LEFT(o, l, "1 2");
    o.top_k = 4; LEFT(o, l, "1 2 4 0");
}

TEST(sample_top_k_many) {          /* against a selection made the slow way */
    enum { N = 3000, K = 40 };
    static float l[N];
    static bool taken[N];
    uint32_t x = 1;
    for (int i = 0; i < N; i++) l[i] = (float)((x = x * 1664525u + 1013904223u) >> 22);   /* many ties */
    struct cut_sampler_opts o = off;
    o.top_k = K;
    struct cut_sampler *s = sampler(o, N);
    cut_sampler_next(s, l, NULL, 0);
    int n;
    const struct cut_candidate *c = cut_sampler_left(s, &n);
    REQUIRE(n == K, "%d", n);
    for (int i = 0; i < K; i++) {
        int best = -1;
        for (int j = 0; j < N; j++) if (!taken[j] && (best < 0 || l[j] > l[best])) best = j;
        taken[best] = true;
        CHECK(c[i].id == best, "place %d: %d, want %d", i, c[i].id, best);
    }
    cut_sampler_free(s);
}

TEST(sample_top_p) {               /* the smallest set that reaches p */
    struct cut_sampler_opts o = off;
    o.top_p = 0.39f; LEFT(o, p5, "2");
    o.top_p = 0.41f; LEFT(o, p5, "2 0");
    o.top_p = 0.69f; LEFT(o, p5, "2 0");
    o.top_p = 0.71f; LEFT(o, p5, "2 0 4");
    o.top_p = 0.96f; LEFT(o, p5, "2 0 4 1 3");
    o.top_p = 1e-9f; LEFT(o, p5, "2");
}

TEST(sample_top_p_after_top_k) {   /* over what top-k left: 0.4 / 0.7 = 0.571 */
    struct cut_sampler_opts o = off;
    o.top_k = 2;
    o.top_p = 0.56f; LEFT(o, p5, "2");
    o.top_p = 0.58f; LEFT(o, p5, "2 0");
}

TEST(sample_min_p) {               /* relative to the largest: 1, 0.75, 0.375, 0.25, 0.125 */
    struct cut_sampler_opts o = off;
    o.min_p = 0.10f; LEFT(o, p5, "2 0 4 1 3");
    o.min_p = 0.13f; LEFT(o, p5, "2 0 4 1");
    o.min_p = 0.26f; LEFT(o, p5, "2 0 4");
    o.min_p = 0.76f; LEFT(o, p5, "2");
    o.min_p = 1.00f; LEFT(o, p5, "2");
}

TEST(sample_min_p_before_temperature) {
    struct cut_sampler_opts o = off;
    o.temp = 100;
    o.min_p = 0.26f; LEFT(o, p5, "2 0 4");
}

TEST(sample_temperature_probabilities) {
    static const float l[3] = { 0, 1, 2 };
    struct cut_sampler_opts o = off;
    o.temp = 0.5f;
    struct cut_sampler *s = sampler(o, 3);
    cut_sampler_next(s, l, NULL, 0);
    int n;
    const struct cut_candidate *c = cut_sampler_left(s, &n);
    REQUIRE(n == 3);
    double z = exp(0) + exp(2) + exp(4);
    for (int i = 0; i < 3; i++)
        CHECK(fabs(c[i].p - exp(4 - 2 * i) / z) < 1e-6, "p[%d] = %g", i, (double)c[i].p);
    CHECK(c[0].logit == 2.0f, "the logit stays as temperature found it");
    cut_sampler_free(s);
}

TEST(sample_penalty_formula) {
    static const float l[4] = { 2, -2, 1, 0.5f };
    static const int32_t history[] = { 3, 0, 1, 1, 99, -4 };
    struct cut_sampler_opts o = off;
    o.repeat_penalty = 1.25f;
    struct cut_sampler *s = sampler(o, 4);
    for (int turn = 0; turn < 2; turn++) {        /* the second call starts afresh */
        cut_sampler_next(s, l, history, 6);
        int n;
        const struct cut_candidate *c = cut_sampler_left(s, &n);
        REQUIRE(n == 4);
        CHECK(c[0].id == 0 && c[0].logit == 1.6f, "2 / 1.25 = %g", (double)c[0].logit);
        CHECK(c[1].id == 2 && c[1].logit == 1.0f, "not seen: %g", (double)c[1].logit);
        CHECK(c[2].id == 3 && c[2].logit == 0.4f, "0.5 / 1.25 = %g", (double)c[2].logit);
        CHECK(c[3].id == 1 && c[3].logit == -2.5f, "-2 * 1.25, once: %g", (double)c[3].logit);
    }
    cut_sampler_free(s);
}

TEST(sample_penalty_looks_back_so_far) {
    static const float l[3] = { 3, 2.9f, 2.8f };
    static const int32_t history[] = { 0, 1, 1 };
    struct cut_sampler_opts o = off;
    o.temp = 0, o.repeat_penalty = 2;
    o.repeat_last = 3;
    CHECK(!strcmp(left(o, l, 3, history, 3), "2"));
    o.repeat_last = 2;
    CHECK(!strcmp(left(o, l, 3, history, 3), "0"));
    o.repeat_last = 0;
    CHECK(!strcmp(left(o, l, 3, history, 3), "0"));
    CHECK(!strcmp(left(o, l, 3, NULL, 3), "0"));
}

TEST(sample_greedy_takes_the_lowest_id_of_equals) {
    static const float l[5] = { 1, 7, 3, 7, 7 };
    struct cut_sampler_opts o = off;
    o.temp = 0, o.top_k = 3, o.top_p = 0.1f;
    struct cut_sampler *s = sampler(o, 5);
    uint64_t before = cut_sampler_state(s);
    CHECK(cut_sampler_next(s, l, NULL, 0) == 1);
    CHECK(cut_sampler_state(s) == before, "greedy draws no number");
    int n;
    const struct cut_candidate *c = cut_sampler_left(s, &n);
    CHECK(n == 1 && c[0].id == 1 && c[0].p == 1.0f);
    cut_sampler_free(s);
}

/* Pearson's chi-square of 20,000 draws; 18.47 and 13.82 are exceeded by chance once in 1,000 at 4 and 2 degrees. */
static double chi2(struct cut_sampler_opts o, const double *p, int n) {
    enum { DRAWS = 20000 };
    int count[5] = { 0 };
    double x = 0;
    struct cut_sampler *s = sampler(o, 5);
    for (int i = 0; i < DRAWS; i++) count[cut_sampler_next(s, p5, NULL, 0)]++;
    cut_sampler_free(s);
    for (int i = 0; i < n; i++) {
        if (p[i] == 0) {
            CHECK(count[i] == 0, "token %d was cut and yet drawn %d times", i, count[i]);
            continue;
        }
        double want = DRAWS * p[i];
        x += (count[i] - want) * (count[i] - want) / want;
    }
    return x;
}

TEST(sample_draws_follow_the_distribution) {
    double x = chi2(off, (double[]){ 0.3, 0.1, 0.4, 0.05, 0.15 }, 5);
    CHECK(x < 18.47, "chi-square %g", x);
    struct cut_sampler_opts o = off;
    o.top_p = 0.8f;
    x = chi2(o, (double[]){ 0.3 / 0.85, 0, 0.4 / 0.85, 0, 0.15 / 0.85 }, 5);
    CHECK(x < 13.82, "chi-square after top-p %g", x);
    o = off, o.temp = 0.5f;        /* squares of p, normalised */
    double z = 0.09 + 0.01 + 0.16 + 0.0025 + 0.0225;
    x = chi2(o, (double[]){ 0.09 / z, 0.01 / z, 0.16 / z, 0.0025 / z, 0.0225 / z }, 5);
    CHECK(x < 18.47, "chi-square at temperature 0.5 %g", x);
    CHECK(chi2(off, (double[]){ 0.28, 0.12, 0.4, 0.05, 0.15 }, 5) > 18.47, "the test would not notice two points off");
}

TEST(sample_state_repeats_the_draws) {
    struct cut_sampler *s = sampler(off, 5);
    int32_t first[32];
    uint64_t state = cut_sampler_state(s);
    for (int i = 0; i < 32; i++) first[i] = cut_sampler_next(s, p5, NULL, 0);
    cut_sampler_set_state(s, state);
    for (int i = 0; i < 32; i++) {
        int n;
        CHECK(cut_sampler_next(s, p5, NULL, 0) == first[i], "draw %d", i);
        cut_sampler_left(s, &n);   /* looking changes nothing */
    }
    cut_sampler_free(s);
}

TEST(sample_not_a_number) {
    const float odd[6] = { NAN, 1, -NAN, INFINITY, NAN, -INFINITY };
    const float bad[4] = { NAN, NAN, NAN, NAN };
    struct cut_sampler_opts each[] = { off, off, off, off, cut_sampler_defaults };
    each[0].temp = 0, each[1].top_k = 2, each[2].top_p = 0.9f, each[3].min_p = 0.5f;
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        struct cut_sampler *s = sampler(each[i], 6);
        CHECK(cut_sampler_next(s, odd, NULL, 0) == 3, "the infinite one wins, options %zu", i);
        cut_sampler_free(s);
        s = sampler(each[i], 4);
        for (int k = 0; k < 10; k++) {
            int32_t id = cut_sampler_next(s, bad, NULL, 0);
            CHECK(id >= 0 && id < 4, "id %d, options %zu", id, i);
        }
        cut_sampler_free(s);
    }
    struct cut_candidate top[8];
    CHECK(cut_top(odd, 6, top, 8) == 6);
    CHECK(top[0].id == 3 && top[0].p == 1.0f && top[1].id == 1 && top[1].p == 0.0f);
    CHECK(cut_top(bad, 4, top, 2) == 2 && top[0].id == 0 && top[0].p == 0.25f);
}

TEST(sample_refuses_by_name) {
    static const struct { struct cut_sampler_opts o; const char *msg; } bad[] = {
        { { .temp = -1, .top_p = 1, .repeat_penalty = 1 }, "--temp -1: must be 0 (greedy) or more" },
        { { .temp = NAN, .top_p = 1, .repeat_penalty = 1 }, "--temp nan: must be 0 (greedy) or more" },
        { { .top_k = -3, .top_p = 1, .repeat_penalty = 1 }, "--top-k -3: must be 0 (off) or more" },
        { { .top_p = 7, .repeat_penalty = 1 }, "--top-p 7: must be in (0, 1]" },
        { { .top_p = 0, .repeat_penalty = 1 }, "--top-p 0: must be in (0, 1]" },
        { { .top_p = 1, .min_p = 1.5f, .repeat_penalty = 1 }, "--min-p 1.5: must be in [0, 1]" },
        { { .top_p = 1, .repeat_penalty = 0 }, "--repeat-penalty 0: must be above 0" },
        { { .top_p = 1, .repeat_penalty = 1, .repeat_last = -1 }, "--repeat-last -1: must be 0 (off) or more" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cut_sampler *s = NULL;
        struct cut_err err = { 0 };
        CHECK(cut_sampler_new(&s, 4, &bad[i].o, &err) == CUT_EUSAGE);
        CHECK(!s && !strcmp(err.msg, bad[i].msg), "\"%s\"", err.msg);
    }
    CHECK(cut_sampler_check(&cut_sampler_defaults, NULL) == CUT_OK);
}

TEST(sample_top) {
    struct cut_candidate top[3];
    REQUIRE(cut_top(p5, 5, top, 3) == 3);
    CHECK(top[0].id == 2 && fabs(top[0].p - 0.4) < 1e-6);
    CHECK(top[1].id == 0 && fabs(top[1].p - 0.3) < 1e-6);
    CHECK(top[2].id == 4 && fabs(top[2].p - 0.15) < 1e-6, "over all logits, not over those kept");
    CHECK(cut_top(p5, 5, top, 0) == 0);
}
