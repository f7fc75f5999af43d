/* usage.c - every @usage in lua/ is run, and every binding has one. */
#include <glob.h>

#include "lua/host.h"
#include "tests/lua/models.h"
#include "tests/test.h"

static void drop(void *user, const char *text, size_t len) { (void)user, (void)text, (void)len; }

static int run_example(const char *file, int line, const char *code) {
    struct cut_lua *h;
    struct cut_err err;
    char name[300];
    snprintf(name, sizeof name, "%s:%d", file, line);
    if (cut_lua_new(&h, &(struct cut_lua_opts){ .print = drop, .models = test_models() }, &err)) {
        test_fail(__FILE__, __LINE__, "%s", err.msg);
        return 0;
    }
    if (cut_lua_run(h, name, code, strlen(code), NULL, 0, &err)) test_fail(__FILE__, __LINE__, "%s", cut_lua_error(h));
    cut_lua_free(h);
    return 1;
}

/* The text of a comment's line without its "--" or " *"; NULL: the comment has ended. */
static const char *comment_text(char *line, bool lua) {
    line += strspn(line, " ");
    line[strcspn(line, "\n")] = 0;
    if (lua) return !strncmp(line, "--", 2) ? line + 2 + (line[2] == ' ') : NULL;
    if (line[0] != '*' || line[1] == '/') return NULL;
    return line + 1 + (line[1] == ' ');
}

/* Runs the examples of a file. Returns their number; functions counts the @function tags. */
static int run_file(const char *path, int *functions) {
    bool lua = strstr(path, ".lua") != NULL, inside = false;
    char line[1000], code[8000] = "";
    int n = 0, number = 0, start = 0;
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    while (fgets(line, sizeof line, f)) {
        number++;
        const char *text = comment_text(line, lua);
        if (inside && (!text || text[0] == '@')) {
            n += run_example(path, start, code);
            inside = false;
        }
        if (!text) continue;
        if (!strncmp(text, "@function", 9)) ++*functions;
        if (!strncmp(text, "@usage", 6)) {
            inside = true;
            start = number;
            snprintf(code, sizeof code, "%s\n", text + 6);
        } else if (inside) {
            size_t have = strlen(code);
            snprintf(code + have, sizeof code - have, "%s\n", text);
        }
    }
    fclose(f);
    return n;
}

TEST(lua_usage_examples) {
    glob_t g;
    int examples = 0, functions = 0;
    REQUIRE(!glob("lua/bind_*.c", 0, NULL, &g) && !glob("lua/prelude/*.lua", GLOB_APPEND, NULL, &g), "run from the root");
    for (size_t i = 0; i < g.gl_pathc; i++) examples += run_file(g.gl_pathv[i], &functions);
    globfree(&g);
    CHECK(examples == functions && examples > 60, "%d examples for %d functions", examples, functions);
}
