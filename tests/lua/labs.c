/* labs.c - the labs' own scripts through their checkers, and checks that misbehave. */
#include <time.h>
#include <unistd.h>

#include "lua/lab.h"
#include "tests/lua/models.h"
#include "tests/test.h"

static struct cut_lab_opts opts;

static void finding(void *user, bool ok, const char *text) {
    if (!ok) test_fail(__FILE__, __LINE__, "lab %s: %s", (const char *)user, text);
}

TEST(lua_labs_lint) {
    struct cut_labs *labs;
    struct cut_err err;
    opts.models = test_models();
    REQUIRE(!cut_labs_open(&labs, "labs", &err), "%s", err.msg);
    CHECK(cut_labs_count(labs) >= 1);
    for (int i = 0; i < cut_labs_count(labs); i++) {
        const struct cut_lab *lab = cut_labs_get(labs, i);
        CHECK(cut_lab_lint(lab, &opts, finding, (void *)lab->id) == 0);
    }
    cut_labs_close(labs);
}

TEST(lua_labs_are_found_from_the_executable) {
    struct cut_labs *labs;
    struct cut_err err;
    REQUIRE(!cut_labs_open(&labs, NULL, &err), "%s", err.msg);
    const struct cut_lab *lab = cut_labs_find(labs, "1.1");
    REQUIRE(lab != NULL);
    CHECK(!lab->problem && !strcmp(lab->title, "First run") && lab->minutes == 30 && lab->module == 1, "%s", lab->problem);
    CHECK(lab->n_steps >= 4 && !strcmp(lab->steps[0].kind, "predict") && lab->hints[2] && strstr(lab->start, "lab.system"));
    CHECK(!cut_labs_find(labs, "1.0") && !cut_labs_get(labs, 99));
    cut_labs_close(labs);
    CHECK(cut_labs_open(&labs, "no/such/folder", &err) == CUT_EFILE);
}

/* A lab written for a test, whose check is this Lua text. */
static struct cut_lab *made(const char *check) {
    static struct cut_lab lab;
    static char definition[2000];
    snprintf(definition, sizeof definition, "return { check = function(learner, t) %s end }", check);
    lab = (struct cut_lab){ .id = "9.9", .title = "made", .folder = ".", .definition = definition, .max_seconds = 1,
                            .max_memory = 16 << 20 };
    return &lab;
}

static struct cut_lab_check *start(const struct cut_lab *lab, const char *script) {
    struct cut_lab_check *c = NULL;
    struct cut_err err;
    if (cut_lab_check_start(&c, lab, "mine.lua", script, strlen(script), &opts, &err)) test_fail(__FILE__, __LINE__, "%s", err.msg);
    return c;
}

static enum cut_lab_state finish(struct cut_lab_check *c) {
    enum cut_lab_state state;
    while ((state = cut_lab_check_poll(c, 1)) == CUT_LAB_RUNNING) {}
    return state;
}

/* The state, and a part of the first bad line's message. */
static void expect(const char *check, const char *script, enum cut_lab_state want, const char *message) {
    struct cut_lab_check *c = start(made(check), script);
    if (!c) return;
    enum cut_lab_state state = finish(c);
    int n;
    const struct cut_lab_line *lines = cut_lab_check_lines(c, &n);
    const char *got = "";
    for (int i = n - 1; i >= 0; i--)
        if (!lines[i].ok) got = lines[i].message;
    CHECK(state == want, "%s: state %d, %s", script, state, got);
    CHECK(strstr(got, message), "%s: %s", script, got);
    CHECK(cut_lab_check_seconds(c) < 5 && cut_lab_check_fd(c) == -1);
    cut_lab_check_free(c);
}

TEST(lua_check_verdicts) {
    const char *sum = "check('sum', function() check.equal(learner.sum(2, 3), 5, 'the sum') end)";
    expect(sum, "return { sum = function(a, b) return a + b end }", CUT_LAB_PASSED, "");
    expect(sum, "return { sum = function(a, b) return a * b end }", CUT_LAB_FAILED, "the sum: got 6, want 5");
    expect(sum, "return { sum = function(a, b) return a + c end }", CUT_LAB_FAILED, "mine.lua:1: undefined global 'c'");
    expect(sum, "return { sum = ", CUT_LAB_FAILED, "mine.lua:1: ");
    expect(sum, "x = 1", CUT_LAB_FAILED, "it returned nothing");
    expect(sum, "error('no')", CUT_LAB_FAILED, "mine.lua:1: no");
    expect(sum, "return { sum = function() while true do pcall(function() while true do end end) end end }", CUT_LAB_FAILED,
           "mine.lua:1: stopped after 1 s");
    expect(sum, "local t = {} while true do t[#t + 1] = {} end", CUT_LAB_FAILED, "not enough memory");
    expect("learner.x()", "return {}", CUT_LAB_FAILED, "attempt to call a nil value");
    expect(sum, "math = nil string.format = nil check.equal = function() end return { sum = function() return 0 end }",
           CUT_LAB_FAILED, "the sum: got 0, want 5");                /* the checker's tools are its own */
}

TEST(lua_check_output_and_cancel) {
    struct cut_lab_check *c = start(made("check('a', function() end)"), "print('hello', 1) return {}");
    REQUIRE(c != NULL);
    CHECK(finish(c) == CUT_LAB_PASSED);
    size_t len;
    CHECK(!strcmp(cut_lab_check_output(c, &len), "hello\t1\n") && len == 8);
    cut_lab_check_free(c);

    struct cut_lab *slow = made("while true do pcall(learner.f) end");
    slow->max_seconds = 60;
    c = start(slow, "return { f = function() end }");
    REQUIRE(c != NULL);
    CHECK(cut_lab_check_poll(c, 0.05) == CUT_LAB_RUNNING && cut_lab_check_fd(c) >= 0);
    double before = cut_clock();
    cut_lab_check_cancel(c);
    CHECK(cut_lab_check_poll(c, 0) == CUT_LAB_CANCELLED && cut_clock() - before < 0.1);
    cut_lab_check_free(c);

    c = start(slow, "return { f = function() end }");      /* freed while it runs */
    before = cut_clock();
    cut_lab_check_free(c);
    CHECK(cut_clock() - before < 0.1);
    cut_lab_check_free(NULL);
}

TEST(lua_check_floods_of_output) {
    struct cut_lab_check *c = start(made("check('a', function() end)"),
                                    "local s = ('x'):rep(100000) for i = 1, 100 do print(s) end return {}");
    REQUIRE(c != NULL);
    CHECK(finish(c) == CUT_LAB_PASSED);
    size_t len;
    cut_lab_check_output(c, &len);
    CHECK(len > 200000 && len < 600000, "%zu", len);
    cut_lab_check_free(c);
}

TEST(lua_lab_progress) {
    struct cut_err err;
    char before[512] = "";
    if (getenv("XDG_STATE_HOME")) snprintf(before, sizeof before, "%s", getenv("XDG_STATE_HOME"));
    char folder[1200], here[512];
    const char *tmp = test_tmp("state");
    REQUIRE(getcwd(here, sizeof here) != NULL);
    snprintf(folder, sizeof folder, "%s%s%s-%d", tmp[0] == '/' ? "" : here, tmp[0] == '/' ? "" : "/", tmp, (int)getpid());
    setenv("XDG_STATE_HOME", folder, 1);
    CHECK(!cut_lab_done("1.1"));
    CHECK(!cut_lab_set_done("1.1", &err), "%s", err.msg);
    CHECK(!cut_lab_set_done("1.10", &err), "%s", err.msg);
    CHECK(cut_lab_done("1.1") && cut_lab_done("1.10") && !cut_lab_done("1"));
    if (before[0]) setenv("XDG_STATE_HOME", before, 1);
    else unsetenv("XDG_STATE_HOME");
}
