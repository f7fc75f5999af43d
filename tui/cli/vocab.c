/* vocab.c - `cutaway vocab train`: learn a vocabulary from text. */
#include <string.h>
#include <unistd.h>

#include "tui/cli/cli.h"

static bool show(void *user, double part, const char *what) {
    (void)user;
    if (isatty(2)) fprintf(stderr, "\r%3.0f%%  %-24s", 100 * part, what);
    return !cli_interrupted();
}

int cli_vocab(int argc, char **argv) {
    int size = 1024, status, n_args;
    const char *end = NULL, *template = NULL, *args[3];
    struct cli_texts control = { 0 };
    const struct cli_opt opts[] = {
        { 'n', "size", "N", CLI_INT, &size, "tokens in all", 1, 1 << 20 },
        { 0, "control", "TOKEN", CLI_TEXTS, &control, "a control token like \"<|user|>\"; may be repeated", 0, 0 },
        { 0, "end", "TOKEN", CLI_TEXT, &end, "the control token that ends a turn", 0, 0 },
        { 0, "template", "TEXT", CLI_TEXT, &template, "the chat template to write into the file", 0, 0 },
    };
    const struct cli_spec spec = {
        "vocab", "train TEXT OUT.gguf [options]",
        "Learn a vocabulary from a text by byte-pair merging, and write it as a GGUF file without weights:\n"
        "<unk>, <s>, </s>, the control tokens, 256 bytes, the ASCII characters, then pieces in the order found.\n"
        "\"cutaway inspect\" shows it, \"cutaway train --vocab\" uses it.",
        opts, sizeof opts / sizeof *opts, 3, 3,
    };
    status = cli_parse(&spec, argc, argv, args, &n_args);
    if (status != CLI_GO) return status;
    if (strcmp(args[0], "train")) return cli_usage("vocab", "\"%s\": only \"train\" is known", args[0]);
    bool known = !end;
    for (int i = 0; i < control.n && !known; i++) known = !strcmp(control.item[i], end);
    if (!known) return cli_usage("vocab", "--end %s: not one of the control tokens", end);

    struct cut_vocab_train_opts o = { size, control.item, control.n, end, template };
    struct cut_vocab_train_stats s;
    struct cut_err err = { 0 };
    cli_interrupt_arm();
    enum cut_status st = cut_vocab_train(args[1], args[2], &o, show, NULL, &s, &err);
    if (isatty(2)) fprintf(stderr, "\r%-32s\r", "");
    if (st) return cli_error(&err);
    printf("%s: %d tokens, %d of them merged from %llu words (%llu different); %.2f bytes of the text per token\n", args[2], size, s.merges,
           (unsigned long long)s.words, (unsigned long long)s.distinct, s.bytes_per_token);
    return cli_flush_stdout();
}
