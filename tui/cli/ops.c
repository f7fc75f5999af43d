/* ops.c - `cutaway ops`: the operations of a transformer, each computed in several ways and timed. */
#include <string.h>
#include <unistd.h>

#include "tui/cli/cli.h"

struct show { bool json, started; struct cut_json j; };

static void print_row(const struct cut_ops_row *r) {
    if (r->seconds == 0) {
        printf("  %-42s %9d  %s\n", r->what, r->count, r->note);
    } else {
        char error[16] = "";
        if (r->checked) snprintf(error, sizeof error, "%.1e", r->error);
        printf("  %-36s %11.2f us %8.2f %8.2f  %-8s %s\n", r->what, r->seconds * 1e6, r->flops / r->seconds / 1e9,
               r->bytes / r->seconds / 1e9,
               error, r->note);
    }
    fflush(stdout);
}

static void json_row(struct cut_json *j, const struct cut_ops_row *r) {
    cut_json_open(j, NULL, '{');
    cut_json_str(j, "demo", r->demo, strlen(r->demo));
    cut_json_str(j, "what", r->what + strspn(r->what, " "), strlen(r->what + strspn(r->what, " ")));
    if (r->seconds == 0) {
        cut_json_int(j, "count", r->count);
    } else {
        cut_json_num(j, "seconds", r->seconds);
        cut_json_num(j, "gflops", r->flops / r->seconds / 1e9);
        cut_json_num(j, "gbytes_per_s", r->bytes / r->seconds / 1e9);
    }
    if (r->checked) cut_json_num(j, "error", r->error);
    cut_json_str(j, "note", r->note, strlen(r->note));
    cut_json_close(j, '}');
}

static bool row(void *user, const struct cut_ops_row *r) {
    struct show *s = user;
    if (s->json) json_row(&s->j, r);
    else print_row(r);
    return !cli_interrupted();
}

static int find_demo(const char *name) {
    for (int d = 0; d < CUT_OPS_DEMOS; d++)
        if (!strcmp(name, cut_ops_name(d))) return d;
    return -1;
}

static enum cut_status run_all(struct show *s, const bool *wanted, const struct cut_ops_opts *o, struct cut_err *err) {
    enum cut_status st = CUT_OK;
    for (int d = 0; !st && d < CUT_OPS_DEMOS; d++) {
        if (!wanted[d]) continue;
        if (!s->json) {
            printf("%s%s: %s\n  %-36s %14s %8s %8s  %-8s\n", s->started ? "\n" : "", cut_ops_name(d), cut_ops_about(d), "",
                   "time", "GFLOPS", "GB/s", "error");
            fflush(stdout);
        }
        s->started = true;
        st = cut_ops(d, o, row, s, err);
    }
    return st;
}

int cli_ops(int argc, char **argv) {
    struct cut_ops_opts o = { .size = 512 };
    int threads = cut_cpu_count(), n_args, status;
    float seconds = 0.5f;
    const char *kernels = NULL, *file = NULL, *args[CUT_OPS_DEMOS];
    struct show show = { 0 };
    bool wanted[CUT_OPS_DEMOS] = { 0 };
    const struct cli_opt opts[] = {
        { 0, "size", "N", CLI_INT, &o.size, "rows and columns in matmul; the others scale with it", 32, 4096 },
        { 0, "seconds", "S", CLI_FLOAT, &seconds, "for each line", 0.001, 60 },
        { 't', "threads", "N", CLI_INT, &threads, "threads that compute", 1, 256 },
        { 0, "kernels", "TIER", CLI_TEXT, &kernels, "ref, avx2, avx512 or neon (default: the best here)", 0, 0 },
        { 0, "model", "FILE", CLI_TEXT, &file, "for graph (default: the bundled one)", 0, 0 },
        { 0, "json", NULL, CLI_FLAG, &show.json, "print a JSON array", 0, 0 },
    };
    const struct cli_spec spec = {
        "ops", "[DEMO...] [options]",
        "Compute the operations of a transformer in several ways, with the time, the rate and the error of each. The demos:\n"
        "matmul, norm, elementwise, attention, types, graph (default: all). GB/s counts what must be read and written at\n"
        "least once. Ctrl-C stops.",
        opts, sizeof opts / sizeof *opts, 0, CUT_OPS_DEMOS,
    };
    if ((status = cli_parse(&spec, argc, argv, args, &n_args)) != CLI_GO) return status;
    for (int i = 0; i < n_args; i++) {
        int d = find_demo(args[i]);
        if (d < 0) return cli_usage("ops",
                                    "\"%s\" is no demo; they are matmul, norm, elementwise, attention, types and graph", args[i]);
        wanted[d] = true;
    }
    if (o.size % 32) return cli_usage("ops", "--size %d: must be a multiple of 32", o.size);
    for (int d = 0; d < CUT_OPS_DEMOS; d++) wanted[d] |= !n_args;
    struct cut_err err = { 0 };
    struct cut_model *m = NULL;
    struct cut_pool *pool = NULL;
    if (kernels && cut_tier_parse(&o.tier, kernels, &err)) return cli_usage("ops", "--%s", err.msg);
    o.seconds = (double)seconds;

    cli_interrupt_arm();
    enum cut_status st = cut_pool_new(&pool, threads, &err);
    if (!st && wanted[CUT_OPS_DEMOS - 1]) st = cut_model_open(&m, file ? file : cli_bundled_model(), 0, &err);
    o.pool = pool;
    o.model = m;
    if (show.json) {
        cut_json_init(&show.j, stdout);
        cut_json_open(&show.j, NULL, '[');
    }
    if (!st) st = run_all(&show, wanted, &o, &err);
    if (show.json) cut_json_close(&show.j, ']');
    status = st ? cli_error(&err) : cli_flush_stdout();
    cut_model_close(m);
    cut_pool_free(pool);
    return status;
}
