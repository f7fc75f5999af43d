/* io.c - standard input and output, where "it always works" is not true. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tui/cli/cli.h"

char *cli_read_stdin(size_t *len, int *status) {
    size_t n = 0, cap = 4096;
    char *buf = malloc(cap);
    while (buf) {
        n += fread(buf + n, 1, cap - n - 1, stdin);
        if (n < cap - 1) break;
        char *more = realloc(buf, cap *= 2);
        if (!more) free(buf);
        buf = more;
    }
    if (!buf) {
        fprintf(stderr, "cutaway: standard input: out of memory after %zu bytes\n", n);
        *status = CLI_NOMEM;
    } else if (cli_interrupted()) {
        free(buf);
        buf = NULL;
        *status = CLI_INTERRUPTED;
    } else if (ferror(stdin)) {
        fprintf(stderr, "cutaway: standard input: %s\n", strerror(errno));
        free(buf);
        buf = NULL;
        *status = CLI_FILE;
    } else {
        buf[n] = 0;
        *len = n;
    }
    return buf;
}

int cli_flush_stdout(void) {
    if (!fflush(stdout) && !ferror(stdout)) return CLI_OK;
    fprintf(stderr, "cutaway: standard output: %s\n", errno ? strerror(errno) : "cannot write");
    return CLI_FILE;
}
