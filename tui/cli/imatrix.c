/* imatrix.c - `cutaway imatrix`: which inputs of each matrix matter, measured over a text. */
#include <string.h>

#include "tui/cli/cli.h"
#include "tui/cli/quantize.h"

/* The largest columns of one entry, as "17 4.2, 203 1.1": column and mean square. */
static void top_columns(const struct cut_imatrix_entry *e, const struct cut_imatrix_stats *s, char *out, size_t cap) {
    size_t n = 0;
    out[0] = 0;
    for (int i = 0; i < s->n_top && i < 3; i++) {
        int at = s->top[i];
        int more = snprintf(out + n, cap - n, "%s%d (%.3g)", i ? ", " : "", at, (double)e->mean[at]);
        if (more < 0 || (size_t)more >= cap - n) return;
        n += (size_t)more;
    }
}

static int show(const struct cut_imatrix *m) {
    struct cut_imatrix_info info;
    cut_imatrix_about(m, &info);
    printf("%d entries", info.n_entries);
    if (info.n_chunks) printf(", over %d pieces of text", info.n_chunks);
    if (info.chunk_size) printf(" of at most %d tokens", info.chunk_size);
    if (info.dataset[0]) {
        char safe[256];
        cut_utf8_escape(safe, sizeof safe, info.dataset, strlen(info.dataset));
        printf(" (%s)", safe);
    }
    printf("\n\nmean x^2 of the inputs of each matrix: their sum, how even they are (1: all alike), the share of the largest hundredth,\n"
           "and the largest columns\n\n");
    printf("%-28s %8s %10s %6s %6s  %s\n", "weight", "columns", "sum", "even", "top 1%", "largest");
    for (int i = 0; i < info.n_entries; i++) {
        const struct cut_imatrix_entry *e = cut_imatrix_at(m, i);
        struct cut_imatrix_stats s;
        char top[128], name[128];
        cut_imatrix_stats(e, &s);
        top_columns(e, &s, top, sizeof top);
        cut_utf8_escape(name, sizeof name, e->name, strlen(e->name));
        printf("%-28s %8d %10.4g %6.3f %5.1f%%  %s\n", name, e->n * e->n_mat, s.sum, s.even, 100 * s.top_share, top);
    }
    return cli_flush_stdout();
}

static int collect(struct cli_engine *e, const char *text, const char *out, const struct cut_imatrix_opts *o, bool shown) {
    struct cut_imatrix *m = NULL;
    struct cut_err err = { 0 };
    struct cli_progress p = { .start = cut_clock(), .total = 100, .scale = 1, .unit = "%" };
    enum cut_status st = cut_imatrix_collect(&m, e->session, text, o, cli_progress, &p, &err);
    cli_progress_end();
    if (!st) st = cut_imatrix_save(m, out, &err);
    int status = CLI_OK;
    if (st) {
        status = cli_error(&err);
    } else if (shown) {
        status = show(m);
    } else {
        struct cut_imatrix_info info;
        cut_imatrix_about(m, &info);
        printf("%s: %d entries over %d pieces of text\n", out, info.n_entries, info.n_chunks);
        status = cli_flush_stdout();
    }
    cut_imatrix_free(m);
    return status;
}

int cli_imatrix(int argc, char **argv) {
    struct cli_engine e;
    struct cut_imatrix_opts o = { 0 };
    const char *args[3] = { 0 };
    int n_args, status;
    bool shown = false;
    cli_engine_init(&e);
    e.ctx = 512;
    const struct cli_opt opts[] = {
        { 0, "show", NULL, CLI_FLAG, &shown, "show a line per matrix; with one FILE: what is in it", 0, 0 },
        { 0, "process-output", NULL, CLI_FLAG, &o.output, "the output matrix, too", 0, 0 },
        { 'c', "ctx", "N", CLI_INT, &e.ctx, "tokens in a piece of text without documents", 8, 1 << 20 },
        CLI_ENGINE_OPTS(e),
    };
    const struct cli_spec spec = {
        "imatrix", "MODEL.gguf TEXT OUT.gguf [options]\n       cutaway imatrix FILE --show",
        "Measure which inputs of each matrix matter: the mean square of every column's activation over a text, written in\n"
        "llama.cpp's format. `cutaway quantize --imatrix` then weighs the errors of rounding by it. Documents that start with <s> run\n"
        "one by one; a text without runs in pieces.",
        opts, sizeof opts / sizeof *opts, 1, 3,
    };
    if ((status = cli_parse(&spec, argc, argv, args, &n_args)) != CLI_GO) return status;
    if (n_args == 1 && shown) {
        struct cut_imatrix *m = NULL;
        struct cut_err err;
        if (cut_imatrix_load(&m, args[0], &err)) return cli_error(&err);
        status = show(m);
        cut_imatrix_free(m);
        return status;
    }
    if (n_args != 3) return cli_usage("imatrix", "MODEL, TEXT and OUT are needed; or one FILE and --show");
    cli_interrupt_arm();
    if ((status = cli_engine_open(&e, "imatrix", args[0])) != CLI_GO) return status;
    status = collect(&e, args[1], args[2], &o, shown);
    cli_engine_close(&e);
    return status;
}
