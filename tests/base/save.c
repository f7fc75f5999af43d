/* Files that appear whole or not at all. */
#include <sys/stat.h>
#include <unistd.h>

#include "tests/test.h"

static void put(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    REQUIRE(f != NULL);
    fputs(text, f);
    fclose(f);
}

static void expect(const char *path, const char *text) {
    char got[64] = "";
    FILE *f = fopen(path, "r");
    if (f) got[fread(got, 1, sizeof got - 1, f)] = 0, fclose(f);
    CHECK(!strcmp(got, text), "%s holds \"%s\"", path, got);
}

static const char *file(const char *name) {        /* two at a time */
    static char path[2][600];
    static int at;
    at = !at;
    snprintf(path[at], sizeof path[at], "%s", test_tmp(name));
    return path[at];
}

TEST(save_is_there_when_closed) {
    const char *path = file("save");
    struct cut_save s;
    struct cut_err err;
    put(path, "old");
    chmod(path, 0600);
    REQUIRE(!cut_save_open(&s, path, &err), "%s", err.msg);
    fputs("new", s.f);
    fflush(s.f);
    expect(path, "old");
    CHECK(!cut_save_close(&s, CUT_OK, &err), "%s", err.msg);
    expect(path, "new");
    struct stat st;
    CHECK(!stat(path, &st) && (st.st_mode & 0777) == 0600, "its mode stays");
}

TEST(save_leaves_the_old_one_on_failure) {
    const char *path = file("save");
    char temp[640];
    struct cut_save s;
    struct cut_err err;
    put(path, "old");
    REQUIRE(!cut_save_open(&s, path, &err), "%s", err.msg);
    snprintf(temp, sizeof temp, "%s", s.temp);
    fputs("half", s.f);
    CHECK(cut_save_close(&s, CUT_ECANCEL, NULL) == CUT_ECANCEL);
    expect(path, "old");
    CHECK(access(temp, F_OK) != 0, "%s is still there", temp);
    CHECK(cut_save_close(&s, CUT_OK, &err) == CUT_OK, "closing what is closed does nothing");
}

TEST(save_follows_links) {
    const char *path = file("save"), *link = file("save-link");
    struct cut_save s;
    struct cut_err err;
    put(path, "old");
    unlink(link);
    REQUIRE(!symlink(strrchr(path, '/') + 1, link));
    REQUIRE(!cut_save_open(&s, link, &err), "%s", err.msg);
    fputs("new", s.f);
    CHECK(!cut_save_close(&s, CUT_OK, &err), "%s", err.msg);
    expect(path, "new");
    struct stat st;
    CHECK(!lstat(link, &st) && S_ISLNK(st.st_mode), "the link is a link still");
}

TEST(save_refuses_what_is_no_file) {
    const char *path = file("save-pipe");
    struct cut_save s;
    struct cut_err err;
    unlink(path);
    REQUIRE(!mkfifo(path, 0600));
    CHECK(cut_save_open(&s, path, &err) == CUT_ESYSTEM && strstr(err.msg, "a device or pipe, not a file"), "%s", err.msg);
    CHECK(!s.f && !s.temp);
    CHECK(cut_save_open(&s, "/", &err) == CUT_ESYSTEM && !strcmp(err.msg, "/: cannot write: a directory, not a file"), "%s", err.msg);
    CHECK(cut_save_open(&s, "no/such/x", &err) == CUT_ESYSTEM && !strcmp(err.msg, "no/such/x: cannot create: No such file or directory"),
          "%s", err.msg);
    struct stat st;
    CHECK(!stat(path, &st) && S_ISFIFO(st.st_mode), "and leaves it");
    unlink(path);
}
