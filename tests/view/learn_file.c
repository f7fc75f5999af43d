/* The learner's file: made once, never written over, followed when it is saved, put back when asked for. */
#include <sys/stat.h>
#include <unistd.h>

#include "tests/test.h"
#include "tui/view/learn.h"

static const struct cut_lab lab = { .id = "0.9", .title = "A lab", .folder = ".", .start = "return {}\n" };

/* A data folder without a file of that lab; its path in f as learn_file_open finds it. */
static void fresh_folder(void) {
    static char root[8192];
    char cwd[4096], path[8300];
    const char *tmp = test_tmp("data");
    bool absolute = tmp[0] == '/';
    snprintf(root, sizeof root, "%s%s%s", absolute || !getcwd(cwd, sizeof cwd) ? "" : cwd, absolute ? "" : "/", tmp);
    mkdir(root, 0777);
    setenv("XDG_DATA_HOME", root, 1);
    static const char *const ends[] = { "", ".old", ".new" };
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/cutaway/labs/0.9.lua%s", root, ends[i]);
        unlink(path);
        rmdir(path);
    }
}

static void save(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    if (f) fputs(text, f), fclose(f);
}

static bool holds(const char *path, const char *text) {
    size_t n;
    char *got = test_read(path, &n);
    bool same = got && n == strlen(text) && !memcmp(got, text, n);
    free(got);
    return same;
}

TEST(view_learn_file_is_made_once) {
    struct learn_file f;
    fresh_folder();
    REQUIRE(!learn_file_open(&f, &lab), "%s", f.problem.msg);
    CHECK(!strcmp(f.text, "return {}\n") && f.len == 10 && !strcmp(f.name, "0.9.lua") && holds(f.path, "return {}\n"));
    CHECK(!learn_file_poll(&f) && !learn_file_restless(&f));
    save(f.path, "mine");
    learn_file_done(&f);
    REQUIRE(!learn_file_open(&f, &lab));
    CHECK(!strcmp(f.text, "mine"), "it was written over: %s", f.text);
    char fresh[PATH_MAX + 8];
    snprintf(fresh, sizeof fresh, "%s.new", f.path);
    CHECK(access(fresh, F_OK), "nothing is left lying about");
    learn_file_done(&f);
    unsetenv("XDG_DATA_HOME");
}

TEST(view_learn_file_follows_what_is_saved) {
    struct learn_file f;
    char other[PATH_MAX + 8];
    fresh_folder();
    REQUIRE(!learn_file_open(&f, &lab));
    save(f.path, "return { 1 }\n");
    CHECK(!learn_file_poll(&f) && learn_file_restless(&f), "it may still be being written");
    save(f.path, "return { 1, 2 }\n");
    CHECK(!learn_file_poll(&f) && !strcmp(f.text, "return {}\n"), "it changed again");
    CHECK(learn_file_poll(&f) && !strcmp(f.text, "return { 1, 2 }\n"));
    CHECK(!learn_file_poll(&f) && !learn_file_restless(&f));
    snprintf(other, sizeof other, "%s.new", f.path);           /* as editors do that rename */
    save(other, "return { 2, 1 }\n");
    rename(other, f.path);
    CHECK(!learn_file_poll(&f) && learn_file_poll(&f) && !strcmp(f.text, "return { 2, 1 }\n"));
    unlink(f.path);
    CHECK(!learn_file_poll(&f) && learn_file_poll(&f) && !f.text && f.problem.code, "its loss is told");
    CHECK(!learn_file_poll(&f), "once");
    save(f.path, "back");
    CHECK(!learn_file_poll(&f) && learn_file_poll(&f) && f.text && !strcmp(f.text, "back") && !f.problem.code);
    learn_file_done(&f);
    unsetenv("XDG_DATA_HOME");
}

TEST(view_learn_file_reset_keeps_the_old_one) {
    struct learn_file f;
    struct cut_err err;
    char old[PATH_MAX + 8];
    fresh_folder();
    REQUIRE(!learn_file_open(&f, &lab));
    snprintf(old, sizeof old, "%s.old", f.path);
    save(f.path, "mine");
    REQUIRE(!learn_file_reset(&f, &lab, &err), "%s", err.msg);
    CHECK(holds(f.path, "return {}\n") && holds(old, "mine"));
    unlink(f.path);
    CHECK(!learn_file_reset(&f, &lab, &err) && holds(f.path, "return {}\n") && holds(old, "mine"));
    learn_file_done(&f);
    unsetenv("XDG_DATA_HOME");
}

TEST(view_learn_file_that_cannot_be) {
    struct learn_file f;
    fresh_folder();
    REQUIRE(!learn_file_open(&f, &lab));
    unlink(f.path);
    mkdir(f.path, 0777);
    learn_file_done(&f);
    CHECK(learn_file_open(&f, &lab) == CUT_EFILE && !f.text, "a folder");
    CHECK(strstr(f.problem.msg, "0.9.lua: not a file"), "%s", f.problem.msg);
    rmdir(f.path);
    learn_file_done(&f);
    setenv("XDG_DATA_HOME", "/dev/null/nowhere", 1);
    CHECK(learn_file_open(&f, &lab) == CUT_ESYSTEM && strstr(f.problem.msg, "/dev/null/nowhere"), "%s", f.problem.msg);
    CHECK(!learn_file_poll(&f) && !learn_file_restless(&f));
    learn_file_done(&f);
    unsetenv("XDG_DATA_HOME");
}
