/* bench.c - `cutaway bench`: tokens per second, as a table or as JSON. */
#include <string.h>
#include <unistd.h>

#include "tui/cli/cli.h"

/* On a terminal, one line on stderr that is written over. */
static bool progress(void *user, double part, const char *what) {
    const bool *show = user;
    if (*show) {
        fprintf(stderr, "\r\033[K%3.0f%%  %s", part * 100, what);
        fflush(stderr);
    }
    return !cli_interrupted();
}

static void print_table(const struct cli_engine *e, const struct cut_bench_opts *o, const struct cut_bench_result *r) {
    const struct cut_config *c = cut_model_config(e->model);
    printf("%s: %s %s, %.1f M parameters, %.1f MiB; threads %d, kernels %s\n\n",
           cut_gguf_head(cut_model_gguf(e->model))->name, c->arch, cut_model_type_name(e->model),
           (double)c->n_params / 1e6, (double)c->weight_bytes / (1024 * 1024), e->threads, cli_engine_kernels(e));
    printf("tokens/s     prefill %-6d  decode %d\n", o->p, o->n);
    for (int i = 0; i < o->r; i++)
        printf("round %-3d  %14.2f  %10.2f\n", i + 1, r->round[i].prefill_tps, r->round[i].decode_tps);
    printf("%-9s  %14.2f  %10.2f\n", "median", r->prefill_tps, r->decode_tps);
}

static void print_json(const struct cli_engine *e, const struct cut_bench_opts *o, const struct cut_bench_result *r) {
    const char *name = cut_gguf_head(cut_model_gguf(e->model))->name, *type = cut_model_type_name(e->model);
    const char *tier = cli_engine_kernels(e);
    struct cut_json j;
    cut_json_init(&j, stdout);
    cut_json_open(&j, NULL, '{');
    cut_json_num(&j, "prefill_tps", r->prefill_tps);
    cut_json_num(&j, "decode_tps", r->decode_tps);
    cut_json_str(&j, "model", name, strlen(name));
    cut_json_str(&j, "type", type, strlen(type));
    cut_json_int(&j, "threads", e->threads);
    cut_json_str(&j, "tier", tier, strlen(tier));
    cut_json_int(&j, "p", o->p);
    cut_json_int(&j, "n", o->n);
    cut_json_int(&j, "depth", o->depth);
    cut_json_int(&j, "sequences", o->n_seq ? o->n_seq : 1);
    cut_json_open(&j, "rounds", '[');
    for (int i = 0; i < o->r; i++) {
        cut_json_open(&j, NULL, '{');
        cut_json_num(&j, "prefill_tps", r->round[i].prefill_tps);
        cut_json_num(&j, "decode_tps", r->round[i].decode_tps);
        cut_json_close(&j, '}');
    }
    cut_json_close(&j, ']');
    cut_json_str(&j, "version", CUT_VERSION, strlen(CUT_VERSION));
    cut_json_close(&j, '}');
}

int cli_bench(int argc, char **argv) {
    struct cli_engine e;
    struct cut_bench_opts o = { .p = 512, .n = 64, .r = 3 };
    bool json = false, show = isatty(STDERR_FILENO);
    const char *file = NULL;
    int n_args;
    cli_engine_init(&e);
    const struct cli_opt opts[] = {
        { 'p', "prefill", "N", CLI_INT, &o.p, "tokens of prefill, 0: none", 0, 1 << 24 },
        { 'n', "decode", "N", CLI_INT, &o.n, "tokens of decode, 0: none", 0, 1 << 24 },
        { 'd', "depth", "N", CLI_INT, &o.depth, "tokens in the cache before decode", 0, 1 << 24 },
        { 0, "sequences", "N", CLI_INT, &o.n_seq, "sequences that decode together (default 1)", 1, 256 },
        { 'r', "rounds", "N", CLI_INT, &o.r, "rounds after the warm-up", 1, 64 },
        { 'b', "batch", "N", CLI_INT, &e.batch, "tokens in one pass, 0: 512", 0, 1 << 20 },
        { 0, "json", NULL, CLI_FLAG, &json, "print a JSON object", 0, 0 },
        CLI_ENGINE_OPTS(e),
    };
    const struct cli_spec spec = {
        "bench", "[FILE] [options]",
        "Measure tokens per second: prefill of a prompt from an empty cache and decode of single\n"
        "tokens, in rounds after a warm-up; the median counts. Ctrl-C stops.",
        opts, sizeof opts / sizeof *opts, 0, 1,
    };
    int status = cli_parse(&spec, argc, argv, &file, &n_args);
    if (status != CLI_GO) return status;
    if (o.p == 0 && o.n == 0) return cli_usage("bench", "-p 0 -n 0: nothing to measure");

    cli_interrupt_arm();
    e.ctx = o.p > o.depth + o.n ? o.p : o.depth + o.n;
    e.sequences = o.n_seq;
    status = cli_engine_open(&e, "bench", file ? file : cli_bundled_model());
    if (status != CLI_GO) return status;
    struct cut_bench_result r;
    struct cut_err err = { 0 };
    enum cut_status s = cut_bench(e.session, &o, progress, &show, &r, &err);
    if (show) fprintf(stderr, "\r\033[K");
    if (s) {
        status = cli_error(&err);
    } else {
        (json ? print_json : print_table)(&e, &o, &r);
        status = cli_flush_stdout();
    }
    cli_engine_close(&e);
    return status;
}
