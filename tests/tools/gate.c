/* gate.c - records come back as they went out; what is worse is told, and what chance explains is not. */
#include "tests/test.h"

static struct cut_gate_record record(double perplexity, double prefill, double decode, int runs) {
    struct cut_gate_record r = { .model = "m.gguf", .kernels = "ref", .threads = 2, .p = 16, .n = 4, .perplexity = perplexity,
                                 .memory = 1000 };
    double a[16], b[16];
    for (int i = 0; i < runs; i++) a[i] = prefill * (1 + 0.01 * i), b[i] = decode * (1 + 0.01 * i);
    cut_speed_of(&r.prefill, a, runs);
    cut_speed_of(&r.decode, b, runs);
    return r;
}

TEST(gate_tells_worse_from_chance) {
    struct cut_gate_line line[CUT_GATE_LINES];
    struct cut_gate_limits l = cut_gate_defaults;
    struct cut_gate_record a = record(4, 1000, 100, 5), b = record(4.1, 950, 95, 5);
    CHECK(cut_gate_compare(&a, &b, &l, line) == 0, "within the limits");
    CHECK(fabs(line[0].change - 0.025) < 1e-9 && fabs(line[1].change + 0.05) < 1e-9 && line[1].limit == -0.10);
    b = record(4.21, 1000, 100, 5);
    CHECK(cut_gate_compare(&a, &b, &l, line) == 1 && line[0].worse, "perplexity 5.25 %% higher");
    b = record(4, 1000, 80, 5);
    CHECK(cut_gate_compare(&a, &b, &l, line) == 1 && line[2].worse && line[2].chance < 0.01, "decode 20 %% slower, p %g",
          line[2].chance);
    b = record(4, 1000, 80, 2);
    CHECK(cut_gate_compare(&a, &b, &l, line) == 1 && line[2].worse, "two trials: the limit alone decides");
    const double scattered[5] = { 60, 110, 80, 105, 79 };
    b = record(4, 1000, 100, 5);
    cut_speed_of(&b.decode, scattered, 5);
    CHECK(cut_gate_compare(&a, &b, &l, line) == 0 && line[2].change < -0.10 && line[2].chance > 0.05,
          "the median fell, but it may be chance: %g", line[2].chance);
    b = record(4, 1000, 100, 5);
    b.memory = 1101;
    CHECK(cut_gate_compare(&a, &b, &l, line) == 1 && line[3].worse, "memory");
    b = record(0, 1000, 100, 5);
    CHECK(cut_gate_compare(&a, &b, &l, line) == 0 && line[0].change == 0, "perplexity not measured");
}

TEST(gate_records_come_back) {
    const char *path = test_tmp("gate.txt");
    struct cut_gate_record a[2] = { record(4.125, 1234.5, 99, 5), record(5, 1000, 100, 3) }, *b = NULL;
    struct cut_err err;
    int n = 0;
    strcpy(a[1].model, "a name: with colons.gguf");
    REQUIRE(!cut_gate_write(path, a, 2, &err) && !cut_gate_read(path, &b, &n, &err), "%s", err.msg);
    REQUIRE(n == 2, "%d", n);
    CHECK(b[0].perplexity == 4.125 && b[0].decode.n == 5 && b[0].decode.run[1] == 99.99 &&
          b[0].prefill.median == a[0].prefill.median && b[0].memory == 1000);
    CHECK(!strcmp(b[1].model, a[1].model) && b[1].threads == 2 && b[1].p == 16 && b[1].n == 4);
    CHECK(cut_gate_like(&a[0], &b[0]) && !cut_gate_like(&a[0], &b[1]));
    free(b);
    static const struct { const char *text, *msg; } bad[] = {
        { "", "no record in it" }, { "model: m\n", "no record in it" }, { "speed: 3\n---\n", "line 1: \"speed\" is not" },
        { "model: m\nthreads: 0\n---\n", "line 2: \"threads\"" }, { "decode: 1 x\n---\n",
                                                                    "line 1: \"decode\"" }, { "nonsense\n",
                                                                                              "line 1: \"nonsense\"" },
        { "decode: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n---\n", "line 1: \"decode\"" }, { "perplexity: nan\n---\n",
                                                                                                "line 1" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        FILE *f = fopen(path, "w");
        fputs(bad[i].text, f);
        fclose(f);
        CHECK(cut_gate_read(path, &b, &n, &err) == CUT_EFILE && strstr(err.msg, bad[i].msg) && n == 2, "%s", err.msg);
    }
    CHECK(cut_gate_read(test_tmp("nowhere/x"), &b, &n, &err) == CUT_EFILE);
    CHECK(cut_gate_write(test_tmp("nowhere/x"), a, 1, &err) == CUT_ESYSTEM);
}

TEST(gate_knows_what_is_usual) {
    struct cut_gate_record past[20], now = record(9, 500, 50, 3), usual;
    for (int i = 0; i < 20; i++) past[i] = record(i < 4 ? 99 : 4, 1000, 100 + i, 1);
    past[19].threads = 7;
    REQUIRE(cut_gate_usual(past, 20, &now, &usual));
    CHECK(usual.decode.n == 16 && usual.decode.median == 110.5 && usual.perplexity == 4, "of 3 to 18: %g, %g",
          usual.decode.median, usual.perplexity);
    now.p = 17;
    CHECK(!cut_gate_usual(past, 20, &now, &usual) && !cut_gate_usual(past, 0, &now, &usual));
}

/* ---- measuring, on a small model */

static bool count(void *user, double part, const char *what) { (void)what; return part >= 0 && part <= 1 && --*(int *)user != 0; }

static struct cut_model *tiny(struct cut_err *err) {
    const char *const args[] = { "dim=64", "ffn=96", "heads=4", "kv_heads=2", "vocab=400", "ctx=256" };
    const char *path = test_tmp("gate.gguf");
    struct cut_model *m = NULL;
    if (cut_synth(path, "llama", args, 6, err) || cut_model_open(&m, path, 0, err)) return NULL;
    return m;
}

TEST(gate_measures) {
    struct cut_err err;
    struct cut_model *m = tiny(&err);
    struct cut_session *s;
    struct cut_gate_record r;
    int calls = 1000000;
    REQUIRE(m && !cut_session_new(&s, m, &(struct cut_session_opts){ .n_ctx = 64 }, &err), "%s", err.msg);
    const char *text = test_tmp("gate-text.txt");
    FILE *f = fopen(text, "w");
    for (int i = 0; i < 200; i++) fputs("a b c d ", f);
    fclose(f);
    struct cut_bench_opts o = { .p = 16, .n = 4, .r = 3 };
    REQUIRE(!cut_gate_measure(s, text, &o, count, &calls, &r, &err), "%s", err.msg);
    CHECK(r.perplexity > 1 && r.prefill.n == 3 && r.decode.n == 3 && r.decode.median > 0 && r.memory > 10000 &&
          r.threads == 1 && !strcmp(r.model, "gate.gguf"));
    calls = 1;
    CHECK(cut_gate_measure(s, text, &o, count, &calls, &r, &err) == CUT_ECANCEL);
    o.r = 17;
    CHECK(cut_gate_measure(s, NULL, &o, NULL, NULL, &r, &err) == CUT_EUSAGE && strstr(err.msg, "17 trials"), "%s", err.msg);
    cut_session_free(s);
    cut_model_close(m);
}

TEST(survey_measures_and_advises) {
    static struct cut_survey s;
    struct cut_err err;
    struct cut_model *m = tiny(&err);
    REQUIRE(m, "%s", err.msg);
    const int threads[] = { 1, 2 }, prompts[] = { 8, 32 }, falling[] = { 2, 1 };
    struct cut_survey_opts o = { .threads = threads, .n_threads = 2, .prompts = prompts, .n_prompts = 2, .tokens = 4,
                                 .prompt = 8, .rounds = 2 };
    REQUIRE(!cut_survey(m, &o, NULL, NULL, &s, &err), "%s", err.msg);
    for (int i = 0; i < 2; i++)
        CHECK(s.decode[i].threads == threads[i] && s.decode[i].tps.n == 2 && s.prefill[i].tps.median > 0 &&
              s.prompt[i].tokens == prompts[i] && s.decode[i].read > 0);
    CHECK(s.memory.weights > 0 && s.resident > 0 && s.virtual_ >= s.resident && s.bandwidth > 0 && s.n_advice >= 2, "%d",
          s.n_advice);
    for (int i = 0; i < s.n_advice; i++) CHECK(strlen(s.advice[i]) > 20 && strlen(s.advice[i]) < sizeof s.advice[0] - 1, "%s",
                                               s.advice[i]);
    int calls = 3;
    CHECK(cut_survey(m, &o, count, &calls, &s, &err) == CUT_ECANCEL);
    o.threads = falling;
    CHECK(cut_survey(m, &o, NULL, NULL, &s, &err) == CUT_EUSAGE && strstr(err.msg, "counts must rise"), "%s", err.msg);
    cut_model_close(m);
}
