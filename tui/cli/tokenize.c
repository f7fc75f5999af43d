/* tokenize.c - `cutaway tokenize`: text on standard input, token ids on standard output. */
#include <ctype.h>
#include <stdlib.h>

#include "tui/cli/cli.h"

/* A piece on one line: what would break the line is written as in C. */
static void print_piece(const char *s) {
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '\n') printf("\\n");
        else if (c == '\t') printf("\\t");
        else if (iscntrl(c)) printf("\\x%02X", c);
        else putchar(c);
    }
}

static int print_ids(const struct cut_vocab *v, unsigned flags, bool pieces) {
    int status;
    size_t len, n;
    char *text = cli_read_stdin(&len, &status);
    if (!text) return status;
    int32_t *ids;
    struct cut_err err = { 0 };
    if (cut_vocab_encode(v, text, len, flags, &ids, &n, &err)) {
        free(text);
        return cli_error(&err);
    }
    for (size_t i = 0; i < n; i++) {
        if (!pieces) {
            printf("%s%d", i ? " " : "", ids[i]);
            continue;
        }
        printf("%6d  ", ids[i]);
        print_piece(cut_vocab_piece(v, ids[i]));
        putchar('\n');
    }
    if (!pieces) putchar('\n');
    free(ids);
    free(text);
    return cli_flush_stdout();
}

int cli_tokenize(int argc, char **argv) {
    bool pieces = false, no_bos = false, special = false;
    const char *file = NULL;
    int n_args;
    const struct cli_opt opts[] = {
        { 0, "pieces", NULL, CLI_FLAG, &pieces, "one token a line: id and piece", 0, 0 },
        { 0, "no-bos", NULL, CLI_FLAG, &no_bos, "without the token that begins a text", 0, 0 },
        { 0, "special", NULL, CLI_FLAG, &special, "read control tokens such as </s> in the text", 0, 0 },
    };
    const struct cli_spec spec = {
        "tokenize", "[FILE] [options] < TEXT",
        "Print the token ids of the text on standard input, on one line. A file with nothing\n"
        "but a vocabulary will do. Without FILE, the bundled model's vocabulary is used.",
        opts, sizeof opts / sizeof *opts, 0, 1,
    };
    int status = cli_parse(&spec, argc, argv, &file, &n_args);
    if (status != CLI_GO) return status;

    struct cut_gguf *g = NULL;
    struct cut_vocab *v = NULL;
    struct cut_err err = { 0 };
    enum cut_status s = cut_gguf_open(&g, file ? file : cli_bundled_model(), CUT_GGUF_HEADER_ONLY, &err);
    if (!s) s = cut_vocab_new(&v, g, &err);
    status = s ? cli_error(&err)
               : print_ids(v, (no_bos ? 0 : CUT_ENCODE_BOS) | (special ? CUT_ENCODE_SPECIAL : 0), pieces);
    cut_vocab_free(v);
    cut_gguf_close(g);
    return status;
}
