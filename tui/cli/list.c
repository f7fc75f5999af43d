/* list.c - lists of numbers in an option: "1,2,4". */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tui/cli/cli.h"

int cli_read_list(const char *command, const char *option, const char *text, int min, int max, struct cli_list *out) {
    int most = (int)(sizeof out->item / sizeof *out->item);
    out->n = 0;
    for (const char *p = text;; p++) {
        char *end;
        errno = 0;
        long v = strtol(p, &end, 10);
        if (end == p || strchr(" \t\n\v\f\r", *p) || (*end && *end != ','))
            return cli_usage(command, "%s %s: not a whole number, or some with commas between them", option, *text ? text : "\"\"");
        if (errno || v < min || v > max)
            return cli_usage(command, "%s %s: must be at %s %d", option, text, v < min ? "least" : "most", v < min ? min : max);
        if (out->n == most) return cli_usage(command, "%s %s: at most %d numbers", option, text, most);
        out->item[out->n++] = (int)v;
        p = end;
        if (!*p) return CLI_GO;
    }
}

int cli_list_most(const struct cli_list *l) {
    int most = 0;
    for (int i = 0; i < l->n; i++) if (l->item[i] > most) most = l->item[i];
    return most;
}
