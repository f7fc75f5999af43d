/* lint.c - is a lab honest? Its own scripts are run through its checker. */
#include "lua/lab.h"

#include <glob.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WRONG = 16, MAX_SAID = 4400 };

struct lint { const struct cut_lab *lab; const struct cut_lab_opts *opts; cut_lab_tell tell; void *user; int bad; };

__attribute__((format(printf, 3, 4))) static void tell(struct lint *l, bool ok, const char *fmt, ...) {
    char text[MAX_SAID + 200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    l->tell(l->user, ok, text);
    l->bad += !ok;
}

/* Check one of the lab's files to the end. said: the first line that is not ok, "" where all are. */
static enum cut_lab_state run(struct lint *l, const char *file, char said[MAX_SAID]) {
    struct cut_lab_check *c;
    struct cut_err err;
    size_t len;
    char *text = cut_lab_text(l->lab, file, &len);
    said[0] = 0;
    if (!text || cut_lab_check_start(&c, l->lab, file, text, len, l->opts, &err)) {
        snprintf(said, MAX_SAID, "%s", text ? err.msg : "cannot be read");
        free(text);
        return CUT_LAB_BROKEN;
    }
    enum cut_lab_state state;
    while ((state = cut_lab_check_poll(c, 1)) == CUT_LAB_RUNNING) {}
    int n;
    const struct cut_lab_line *lines = cut_lab_check_lines(c, &n);
    for (int i = n - 1; i >= 0; i--)
        if (!lines[i].ok) snprintf(said, MAX_SAID, "%.200s: %.4000s", lines[i].name, lines[i].message);
    cut_lab_check_free(c);
    free(text);
    return state;
}

static void lint_wrong(struct lint *l) {
    char pattern[PATH_MAX], said[MAX_WRONG][MAX_SAID];
    glob_t g;
    snprintf(pattern, sizeof pattern, "%s/wrong-*.lua", l->lab->folder);
    if (glob(pattern, 0, NULL, &g)) g.gl_pathc = 0;
    size_t n = g.gl_pathc < MAX_WRONG ? g.gl_pathc : MAX_WRONG;
    if (n < 2) tell(l, false, "at least two wrong-*.lua are needed");
    for (size_t i = 0; i < n; i++) {
        const char *file = strrchr(g.gl_pathv[i], '/') + 1;
        enum cut_lab_state state = run(l, file, said[i]);
        size_t same = 0;
        while (same < i && strcmp(said[same], said[i])) same++;
        if (state != CUT_LAB_FAILED) tell(l, false, "%s must fail a check", file);
        else if (same < i) tell(l, false, "%s fails by the same message as another: %s", file, said[i]);
        else tell(l, true, "%s fails: %s", file, said[i]);
    }
    if (n) globfree(&g);
}

int cut_lab_lint(const struct cut_lab *lab, const struct cut_lab_opts *opts, cut_lab_tell report, void *user) {
    struct lint l = { lab, opts, report, user, 0 };
    char said[MAX_SAID];
    if (lab->problem) {
        tell(&l, false, "lab.lua: %s", lab->problem);
        return l.bad;
    }
    if (run(&l, "start.lua", said) == CUT_LAB_FAILED) tell(&l, true, "start.lua fails: %s", said);
    else tell(&l, false, "start.lua must fail a check");
    if (run(&l, "solution.lua", said) == CUT_LAB_PASSED) tell(&l, true, "solution.lua passes");
    else tell(&l, false, "solution.lua must pass: %s", said);
    lint_wrong(&l);
    return l.bad;
}
