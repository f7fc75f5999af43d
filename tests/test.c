/* test.c - runs the registered tests in order of their names; prints a line each and the totals. */
#include "tests/test.h"

#include <sys/stat.h>
#include <unistd.h>

static struct test *tests;
static int fails_here, skipped_here;

void test_register(struct test *t) {
    struct test **p = &tests;
    while (*p && strcmp((*p)->name, t->name) < 0) p = &(*p)->next;
    t->next = *p;
    *p = t;
}

void test_fail(const char *file, int line, const char *fmt, ...) {
    if (++fails_here > 8) return;      /* the first few tell the story */
    va_list ap;
    va_start(ap, fmt);
    printf("    %s:%d: ", file, line);
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
}

void test_check(const char *file, int line, const char *cond, const char *fmt, ...) {
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    test_fail(file, line, "%s %s", cond, text);
}

void test_skip(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    printf("    skipped: ");
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
    skipped_here = 1;
}

/* Paths live until the program ends: a test may hold as many as it likes. */
static const char *keep_path(const char *root, const char *name) {
    static struct path { struct path *next; char text[]; } *paths;
    struct path *p = malloc(sizeof *p + strlen(root) + strlen(name) + 2);
    if (!p) abort();
    sprintf(p->text, "%s/%s", root, name);
    p->next = paths;
    paths = p;
    return p->text;
}

const char *test_shared(const char *path) {
    const char *root = getenv("CUT_SHARED"), *full = keep_path(root ? root : "../shared", path);
    return access(full, R_OK) ? NULL : full;
}

const char *test_tmp(const char *name) {
    const char *root = getenv("CUT_TEST_TMP");
    if (!root) root = "build/tmp";
    mkdir(root, 0777);
    return keep_path(root, name);
}

void *test_read(const char *path, size_t *size) {
    FILE *f = path ? fopen(path, "rb") : NULL;
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    char *p = malloc((size_t)n + 1);
    if (p) {
        *size = fread(p, 1, (size_t)n, f);
        p[*size] = 0;
    }
    fclose(f);
    return p;
}

int main(int argc, char **argv) {
    int passed = 0, failed = 0, skipped = 0;
    for (struct test *t = tests; t; t = t->next) {
        if (argc > 1 && !strstr(t->name, argv[1])) continue;
        fails_here = skipped_here = 0;
        t->run();
        if (fails_here) failed++;
        else if (skipped_here) skipped++;
        else passed++;
        printf("%s %s\n", fails_here ? "FAIL" : skipped_here ? "skip" : "ok  ", t->name);
        fflush(stdout);
    }
    printf("# %d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0;
}
