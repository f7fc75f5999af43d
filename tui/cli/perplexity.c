/* perplexity.c - `cutaway perplexity`: how well a model predicts a text, and how far it is from another. */
#include <string.h>
#include <unistd.h>

#include "tui/cli/cli.h"

static bool show(void *user, double part, const char *what) {
    (void)user;
    (void)what;
    if (isatty(2)) fprintf(stderr, "\r%3.0f%%", 100 * part);
    return !cli_interrupted();
}

/* ---- document by document */

static void print_documents(const struct cut_perplexity_result *r, bool json) {
    if (!json) {
        printf("perplexity %.4f ± %.4f (%.4f nats per token) over %llu tokens in %llu documents\n", r->perplexity, r->error, r->loss,
               (unsigned long long)r->tokens, (unsigned long long)r->documents);
        return;
    }
    struct cut_json j;
    cut_json_init(&j, stdout);
    cut_json_open(&j, NULL, '{');
    cut_json_num(&j, "perplexity", r->perplexity);
    cut_json_num(&j, "error", r->error);
    cut_json_num(&j, "loss", r->loss);
    cut_json_uint(&j, "tokens", r->tokens);
    cut_json_uint(&j, "documents", r->documents);
    cut_json_close(&j, '}');
    putchar('\n');
}

/* ---- in chunks, as llama.cpp's tool does it */

void cli_json_damage(struct cut_json *j, const struct cut_damage *d) {
    cut_json_num(j, "reference_perplexity", d->ppl_ref);
    cut_json_num(j, "reference_perplexity_error", d->ppl_ref_error);
    cut_json_num(j, "ln_ratio", d->ln_ratio);
    cut_json_num(j, "ln_ratio_error", d->ln_ratio_error);
    cut_json_num(j, "kl", d->kl);
    cut_json_num(j, "kl_error", d->kl_error);
    cut_json_num(j, "kl_median", d->kl_median);
    cut_json_num(j, "kl_p90", d->kl_p90);
    cut_json_num(j, "kl_p95", d->kl_p95);
    cut_json_num(j, "kl_p99", d->kl_p99);
    cut_json_num(j, "kl_max", d->kl_max);
    cut_json_num(j, "same_top", d->same_top);
    cut_json_num(j, "same_top_error", d->same_top_error);
    cut_json_num(j, "dp_mean", d->dp);
    cut_json_num(j, "dp_mean_error", d->dp_error);
    cut_json_num(j, "dp_rms", d->dp_rms);
    cut_json_num(j, "dp_rms_error", d->dp_rms_error);
    cut_json_uint(j, "likelier", d->dp_up);
    cut_json_uint(j, "less_likely", d->dp_down);
}

static void print_chunks(const struct cut_chunks_result *r, int chunk, const char *base, bool json) {
    const struct cut_damage *d = &r->damage;
    if (json) {
        struct cut_json j;
        cut_json_init(&j, stdout);
        cut_json_open(&j, NULL, '{');
        cut_json_num(&j, "perplexity", r->perplexity);
        cut_json_num(&j, "error", r->error);
        cut_json_uint(&j, "tokens", r->tokens);
        cut_json_int(&j, "chunks", r->chunks);
        cut_json_int(&j, "chunk", chunk);
        if (base) {
            cut_json_str(&j, "reference", base, strlen(base));
            cli_json_damage(&j, d);
        }
        cut_json_close(&j, '}');
        putchar('\n');
        return;
    }
    printf("perplexity %.4f ± %.4f over %llu tokens, the second halves of %d chunks of %d\n", r->perplexity, r->error,
           (unsigned long long)r->tokens, r->chunks, chunk);
    if (!base) return;
    printf("\nagainst %s\n", base);
    printf("  perplexity there     %10.4f ± %.4f\n", d->ppl_ref, d->ppl_ref_error);
    printf("  ln of the ratio      %10.5f ± %.5f    paired, token by token\n", d->ln_ratio, d->ln_ratio_error);
    printf("  KL, mean             %10.6f ± %.6f  nats per token\n", d->kl, d->kl_error);
    printf("      median           %10.6f\n", d->kl_median);
    printf("      90 %%             %10.6f\n", d->kl_p90);
    printf("      95 %%             %10.6f\n", d->kl_p95);
    printf("      99 %%             %10.6f\n", d->kl_p99);
    printf("      largest          %10.6f\n", d->kl_max);
    printf("  same most likely     %10.2f ± %.2f %%\n", 100 * d->same_top, 100 * d->same_top_error);
    printf("  change of p, rms     %10.3f ± %.3f %%\n", 100 * d->dp_rms, 100 * d->dp_rms_error);
    printf("               mean    %10.3f ± %.3f %%    %llu tokens likelier, %llu less\n", 100 * d->dp, 100 * d->dp_error,
           (unsigned long long)d->dp_up, (unsigned long long)d->dp_down);
}

/* Is it a model? What is neither is told apart by whoever opens it. */
static bool is_model(const char *path) {
    char head[4] = { 0 };
    FILE *f = fopen(path, "rb");
    bool yes = f && fread(head, 1, 4, f) == 4 && !memcmp(head, "GGUF", 4);
    if (f) fclose(f);
    return yes;
}

int cli_perplexity(int argc, char **argv) {
    struct cli_engine e;
    const char *args[2] = { 0 }, *base = NULL, *save = NULL;
    int n_args, status, chunk = 0, chunks = 0;
    bool json = false;
    cli_engine_init(&e);
    const struct cli_opt opts[] = {
        { 'c', "ctx", "N", CLI_INT, &e.ctx, "cells of the cache, 0: as the model says", 0, 1 << 30 },
        { 0, "chunk", "N", CLI_INT, &chunk, "in chunks of N tokens, as llama.cpp does it; 0: by documents", 0, 1 << 24 },
        { 0, "chunks", "N", CLI_INT, &chunks, "at most N chunks, 0: all", 0, 1 << 24 },
        { 0, "kl-base", "FILE", CLI_TEXT, &base, "compare with this model, or with logits saved before", 0, 0 },
        { 0, "save-logits", "FILE", CLI_TEXT, &save, "save the logits of the tokens counted", 0, 0 },
        { 0, "json", NULL, CLI_FLAG, &json, "print one JSON object", 0, 0 },
        CLI_ENGINE_OPTS(e),
    };
    const struct cli_spec spec = {
        "perplexity", "MODEL.gguf TEXT [options]",
        "Measure how well a model predicts a text: exp of the mean of -log p of its tokens. Documents that start\n"
        "with <s> are measured one by one; a text without is measured in pieces of the context's length.\n"
        "With --chunk, --kl-base or --save-logits the text is one row of tokens, cut into chunks (512) of which the\n"
        "second half counts: the definition of llama.cpp's tool.",
        opts, sizeof opts / sizeof *opts, 2, 2,
    };
    if ((status = cli_parse(&spec, argc, argv, args, &n_args)) != CLI_GO) return status;
    bool by_chunks = chunk || chunks || base || save;
    if (by_chunks && !chunk) chunk = 512;
    if (by_chunks && !e.ctx) e.ctx = chunk;
    cli_interrupt_arm();
    status = cli_engine_open(&e, "perplexity", args[0]);
    if (status != CLI_GO) return status;

    struct cut_err err = { 0 };
    struct cut_model *ref = NULL;
    struct cut_chunks_opts o = { .chunk = chunk, .max_chunks = chunks, .save = save };
    struct cut_chunks_result by_chunk;
    struct cut_perplexity_result by_document;
    enum cut_status st = CUT_OK;
    if (base && is_model(base)) {
        st = cut_model_open(&ref, base, e.no_mmap ? CUT_MODEL_NO_MMAP : 0, &err);
        if (!st) st = cut_session_new(&o.ref, ref, cut_session_opts(e.session), &err);
    } else {
        o.ref_file = base;
    }
    if (!st && by_chunks) st = cut_perplexity_chunks(e.session, args[1], &o, show, NULL, &by_chunk, &err);
    else if (!st) st = cut_perplexity(e.session, args[1], show, NULL, &by_document, &err);
    if (isatty(2)) fprintf(stderr, "\r    \r");
    if (st) {
        status = cli_error(&err);
    } else {
        if (by_chunks) print_chunks(&by_chunk, chunk, base, json);
        else print_documents(&by_document, json);
        status = cli_flush_stdout();
    }
    cut_session_free(o.ref);
    cut_model_close(ref);
    cli_engine_close(&e);
    return status;
}
