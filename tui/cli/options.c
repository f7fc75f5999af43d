/* options.c - options from a table: reading them, refusing them by name, and the help text. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/cli/cli.h"

/* ---- did you mean */

/* Optimal string alignment: the fewest insertions, deletions, changes and swaps of neighbours that turn a into b
 * (Damerau 1964). Words longer than the table are far from everything. */
enum { WORD = 32 };
static int distance(const char *a, const char *b) {
    int la = (int)strlen(a), lb = (int)strlen(b), d[WORD + 1][WORD + 1];
    if (la > WORD || lb > WORD) return INT_MAX;
    for (int i = 0; i <= la; i++) d[i][0] = i;
    for (int j = 0; j <= lb; j++) d[0][j] = j;
    for (int i = 1; i <= la; i++)
        for (int j = 1; j <= lb; j++) {
            int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[la][lb];
}

void cli_guess_try(struct cli_guess *g, const char *name) {
    size_t n = strlen(g->word);
    int d = n >= 3 && !strncmp(g->word, name, n) ? 1 : distance(g->word, name);
    if (d > (n < 6 ? 2 : 3) || d >= (int)n) return;      /* too far, or nothing in common */
    if (g->best && d >= g->distance) return;
    g->best = name;
    g->distance = d;
}

/* ---- help */

static const char *choice(const char *arg, int i, int *len) {
    while (i-- > 0) arg += strcspn(arg, "|") + 1;
    *len = (int)strcspn(arg, "|");
    return arg;
}

static void print_default(const struct cli_opt *o) {
    int len;
    if (o->kind == CLI_INT) printf(" (default %d)", *(int *)o->out);
    if (o->kind == CLI_FLOAT) printf(" (default %g)", (double)*(float *)o->out);
    if (o->kind == CLI_CHOICE) {
        const char *word = choice(o->arg, *(int *)o->out, &len);
        printf(" (default %.*s)", len, word);
    }
}

static void print_help(const struct cli_spec *spec) {
    printf("usage: cutaway %s%s%s\n\n%s\n\n", spec->command ? spec->command : "", spec->command ? " " : "", spec->usage, spec->about);
    for (int i = 0; i < spec->n_opts; i++) {
        const struct cli_opt *o = &spec->opts[i];
        char left[64];
        snprintf(left, sizeof left, "%c%c%s%s%s%s%s", o->key ? '-' : ' ', o->key ? o->key : ' ',
                 o->key && o->name ? ", " : o->name ? "  " : "", o->name ? "--" : "", o->name ? o->name : "",
                 o->arg ? " " : "", o->arg ? o->arg : "");
        printf("  %-26s %s", left, o->help);
        print_default(o);
        printf("\n");
    }
    printf("  %-26s %s\n", "-h, --help", "show this");
}

/* ---- reading */

/* as: the option as the user wrote it, "-n" or "--threads". */
static int refuse_range(const char *command, const char *as, const char *text, const struct cli_opt *o, bool low) {
    return cli_usage(command, "%s %s: must be at %s %.10g", as, text, low ? "least" : "most", low ? o->min : o->max);
}

static int read_int(const char *command, const char *as, const char *text, const struct cli_opt *o) {
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || strchr(" \t\n\v\f\r", *text))
        return cli_usage(command, "%s %s: not a whole number", as, *text ? text : "\"\"");
    bool bounded = o->min < o->max;
    if (bounded && v < o->min) return refuse_range(command, as, text, o, true);
    if (bounded && v > o->max) return refuse_range(command, as, text, o, false);
    if (errno || v < INT_MIN || v > INT_MAX) return cli_usage(command, "%s %s: too large a number", as, text);
    *(int *)o->out = (int)v;
    return CLI_GO;
}

static int read_u64(const char *command, const char *as, const char *text, const struct cli_opt *o) {
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end)
        return cli_usage(command, "%s %s: not a whole number of 0 or more", as, *text ? text : "\"\"");
    if (errno) return cli_usage(command, "%s %s: must be below 2^64", as, text);
    *(struct cli_u64 *)o->out = (struct cli_u64){ v, true };
    return CLI_GO;
}

static int read_float(const char *command, const char *as, const char *text, const struct cli_opt *o) {
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || strchr(" \t\n\v\f\r", *text) || !isfinite(v))
        return cli_usage(command, "%s %s: not a number", as, *text ? text : "\"\"");
    bool bounded = o->min < o->max;
    if (bounded && v < o->min) return refuse_range(command, as, text, o, true);
    if (bounded && v > o->max) return refuse_range(command, as, text, o, false);
    *(float *)o->out = (float)v;
    return CLI_GO;
}

static int read_choice(const char *command, const char *as, const char *text, const struct cli_opt *o) {
    int n = 1, len;
    for (const char *p = o->arg; *p; p++) n += *p == '|';
    for (int i = 0; i < n; i++) {
        const char *word = choice(o->arg, i, &len);
        if ((int)strlen(text) == len && !strncmp(text, word, (size_t)len)) {
            *(int *)o->out = i;
            return CLI_GO;
        }
    }
    return cli_usage(command, "%s %s: must be one of %s", as, *text ? text : "\"\"", o->arg);
}

static int read_value(const char *command, const char *as, const char *text, const struct cli_opt *o) {
    switch (o->kind) {
    case CLI_INT: return read_int(command, as, text, o);
    case CLI_U64: return read_u64(command, as, text, o);
    case CLI_FLOAT: return read_float(command, as, text, o);
    case CLI_CHOICE: return read_choice(command, as, text, o);
    case CLI_TEXT:
        *(const char **)o->out = text;
        return CLI_GO;
    case CLI_TEXTS: {
        struct cli_texts *list = o->out;
        int most = (int)(sizeof list->item / sizeof *list->item);
        if (list->n == most) return cli_usage(command, "%s %s: at most %d of them", as, text, most);
        list->item[list->n++] = text;
        return CLI_GO;
    }
    case CLI_FLAG:
        *(bool *)o->out = true;
        return CLI_GO;
    }
    return CLI_GO;
}

static const struct cli_opt *find_name(const struct cli_spec *spec, const char *name, size_t len) {
    for (int i = 0; i < spec->n_opts; i++) {
        const char *have = spec->opts[i].name;
        if (have && strlen(have) == len && !strncmp(have, name, len)) return &spec->opts[i];
    }
    return NULL;
}

static const struct cli_opt *find_key(const struct cli_spec *spec, char key) {
    for (int i = 0; i < spec->n_opts; i++) if (key && spec->opts[i].key == key) return &spec->opts[i];
    return NULL;
}

static int refuse_unknown(const struct cli_spec *spec, const char *as) {
    struct cli_guess g = { .word = as + strspn(as, "-") };
    for (int i = 0; i < spec->n_opts; i++) if (spec->opts[i].name) cli_guess_try(&g, spec->opts[i].name);
    cli_guess_try(&g, "help");
    if (g.best) return cli_usage(spec->command, "no option %s; did you mean --%s?", as, g.best);
    return cli_usage(spec->command, "no option %s", as);
}

int cli_parse(const struct cli_spec *spec, int argc, char **argv, const char **args, int *n_args) {
    bool options = true;
    int n = 0;
    for (int i = 1; i < argc; i++) {
        char *a = argv[i];
        if (options && !strcmp(a, "--")) {
            options = false;
            continue;
        }
        if (!options || a[0] != '-' || !a[1]) {
            if (n == spec->max_args) return cli_usage(spec->command, "\"%s\": one argument too many", a);
            args[n++] = a;
            continue;
        }
        if (!strcmp(a, "--help") || !strcmp(a, "-h")) {
            print_help(spec);
            return cli_flush_stdout();
        }
        /* The option as written, without its value; and the value, where it is part of the same word. */
        bool is_long = a[1] == '-';
        char as[80];
        size_t len = is_long ? strcspn(a, "=") : 2;
        snprintf(as, sizeof as, "%.*s", (int)(len < sizeof as ? len : sizeof as - 1), a);
        const char *value = is_long ? (a[len] ? a + len + 1 : NULL) : (a[2] ? a + 2 : NULL);

        const struct cli_opt *o = is_long ? find_name(spec, a + 2, len - 2) : find_key(spec, a[1]);
        if (!o) return refuse_unknown(spec, as);
        if (o->kind == CLI_FLAG) {
            if (value) return cli_usage(spec->command, "%s takes no value, so \"%s\" means nothing", as, value);
            value = "";
        } else if (!value) {
            if (i + 1 == argc) return cli_usage(spec->command, "%s needs a value: %s %s", as, as, o->arg);
            value = argv[++i];
        }
        int status = read_value(spec->command, as, value, o);
        if (status != CLI_GO) return status;
    }
    if (n < spec->min_args)
        return cli_usage(spec->command, "an argument is missing: cutaway %s %s", spec->command, spec->usage);
    *n_args = n;
    return CLI_GO;
}
