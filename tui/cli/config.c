/* config.c - options from a file, "name: value" a line, as YAML writes them: what a pipeline keeps beside its sources.
 *
 * A line becomes the option of that name, "true" a flag, "false" nothing; quotes around a value and what follows " #" are dropped. The
 * command line comes after the file, so it has the last word. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "tui/cli/cli.h"

static char *trim(char *s) {
    char *end = s + strlen(s);
    while (end > s && isspace((unsigned char)end[-1])) *--end = 0;
    return s + strspn(s, " \t");
}

/* The value without its comment and quotes. */
static char *value_of(char *s) {
    s = trim(s);
    if (*s == '"' || *s == '\'') {
        char *end = strchr(s + 1, *s);
        if (end) *end = 0;
        return s + 1;
    }
    if (*s == '#') *s = 0;
    char *comment = strstr(s, " #");
    if (comment) *comment = 0;
    return trim(s);
}

static int refuse(const char *path, int line, const char *text) {
    struct cut_err err = { .code = CUT_EFILE };
    snprintf(err.msg, sizeof err.msg, "%.100s: line %d: \"%.40s\" is not \"name: value\"", path, line, text);
    return cli_error(&err);
}

/* "name: value" as "--name=value", malloc'd; *out NULL: the line says nothing. */
static int word_of(const char *path, int number, char *line, char **out) {
    *out = NULL;
    line = trim(line);
    if (!*line || *line == '#' || !strcmp(line, "---")) return CLI_GO;
    size_t n = strspn(line, "abcdefghijklmnopqrstuvwxyz-");
    char *after = line + n + strspn(line + n, " \t");
    if (!n || *after != ':' || (after[1] && !isspace((unsigned char)after[1]))) return refuse(path, number, line);
    char *value = value_of(after + 1);
    if (!*value) return refuse(path, number, trim(line));
    if (!strcmp(value, "false")) return CLI_GO;
    size_t size = n + strlen(value) + 4;
    if (!(*out = malloc(size))) return cli_error(&(struct cut_err){ CUT_ENOMEM, "out of memory: a file of options" });
    if (!strcmp(value, "true")) snprintf(*out, size, "--%.*s", (int)n, line);
    else snprintf(*out, size, "--%.*s=%s", (int)n, line, value);
    return CLI_GO;
}

static const char *path_in(int argc, char **argv) {
    const char *path = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--")) break;
        if (!strcmp(argv[i], "--config") && i + 1 < argc) path = argv[++i];
        else if (!strncmp(argv[i], "--config=", 9)) path = argv[i] + 9;
    }
    return path;
}

int cli_config_read(struct cli_config *c, int argc, char **argv) {
    const char *path = path_in(argc, argv);
    struct cut_err err = { 0 };
    size_t len;
    int status = CLI_GO, number = 0;
    *c = (struct cli_config){ .argc = argc, .argv = argv };
    if (!path) return CLI_GO;
    char *text = cli_read_text(path, &len, &err), *next = text;
    if (!text) return cli_error(&err);
    size_t lines = 1;
    for (const char *p = text; *p; p++) lines += *p == '\n';
    c->words = calloc(lines, sizeof *c->words);
    c->argv = calloc(lines + (size_t)argc + 1, sizeof *c->argv);
    if (!c->words || !c->argv) status = cli_error(&(struct cut_err){ CUT_ENOMEM, "out of memory: a file of options" });
    while (status == CLI_GO && next) {
        char *line = next, *end = strchr(line, '\n');
        next = end ? end + 1 : NULL;
        if (end) *end = 0;
        status = word_of(path, ++number, line, &c->words[c->n]);
        c->n += c->words[c->n] != NULL;
    }
    free(text);
    if (status != CLI_GO) {
        cli_config_free(c);
        return status;
    }
    c->argv[0] = argv[0];
    for (int i = 0; i < c->n; i++) c->argv[1 + i] = c->words[i];
    for (int i = 1; i < argc; i++) c->argv[c->n + i] = argv[i];
    c->argc = argc + c->n;
    return CLI_GO;
}

void cli_config_free(struct cli_config *c) {
    if (!c->words) return;
    for (int i = 0; i < c->n; i++) free(c->words[i]);
    free(c->words);
    free(c->argv);
    *c = (struct cli_config){ 0 };
}
