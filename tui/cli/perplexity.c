/* perplexity.c - `cutaway perplexity`: how well a model predicts a text. */
#include <unistd.h>

#include "tui/cli/cli.h"

static bool show(void *user, double part, const char *what) {
    (void)user;
    (void)what;
    if (isatty(2)) fprintf(stderr, "\r%3.0f%%", 100 * part);
    return !cli_interrupted();
}

int cli_perplexity(int argc, char **argv) {
    struct cli_engine e;
    const char *args[2] = { 0 };
    int n_args, status;
    bool json = false;
    cli_engine_init(&e);
    const struct cli_opt opts[] = {
        { 'c', "ctx", "N", CLI_INT, &e.ctx, "cells of the cache, 0: as the model says", 0, 1 << 30 },
        { 0, "json", NULL, CLI_FLAG, &json, "print one JSON object", 0, 0 },
        CLI_ENGINE_OPTS(e),
    };
    const struct cli_spec spec = {
        "perplexity", "MODEL.gguf TEXT [options]",
        "Measure how well a model predicts a text: exp of the mean of -log p of its tokens. Documents that start\n"
        "with <s> are measured one by one; a text without is measured in pieces of the context's length.",
        opts, sizeof opts / sizeof *opts, 2, 2,
    };
    if ((status = cli_parse(&spec, argc, argv, args, &n_args)) != CLI_GO) return status;
    cli_interrupt_arm();
    status = cli_engine_open(&e, "perplexity", args[0]);
    if (status != CLI_GO) return status;
    struct cut_perplexity_result r;
    struct cut_err err = { 0 };
    enum cut_status st = cut_perplexity(e.session, args[1], show, NULL, &r, &err);
    if (isatty(2)) fprintf(stderr, "\r    \r");
    if (st) {
        status = cli_error(&err);
    } else if (json) {
        struct cut_json j;
        cut_json_init(&j, stdout);
        cut_json_open(&j, NULL, '{');
        cut_json_num(&j, "perplexity", r.perplexity);
        cut_json_num(&j, "loss", r.loss);
        cut_json_uint(&j, "tokens", r.tokens);
        cut_json_uint(&j, "documents", r.documents);
        cut_json_close(&j, '}');
        putchar('\n');
        status = cli_flush_stdout();
    } else {
        printf("perplexity %.4f (%.4f nats per token) over %llu tokens in %llu documents\n", r.perplexity, r.loss, (unsigned long long)r.tokens,
               (unsigned long long)r.documents);
        status = cli_flush_stdout();
    }
    cli_engine_close(&e);
    return status;
}
