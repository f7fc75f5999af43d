/* gate.c - `cutaway gate`: perplexity, speed and memory against a baseline, or against what was usual. Exit status 1: worse. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tui/cli/cli.h"

struct gate {
    struct cli_engine e;
    struct cut_bench_opts bench;
    struct cut_gate_limits limits;
    const char *model, *text, *baseline, *history;
    bool save, json, csv;
};

static bool show(void *user, double part, const char *what) {
    (void)user;
    if (isatty(2)) fprintf(stderr, "\r\033[K%3.0f%%  %s", 100 * part, what);
    return !cli_interrupted();
}

/* ---- printing */

static void print_line(const struct cut_gate_line *l) {
    char before[24] = "-", now[24] = "-", change[16] = "", why[48] = "";
    if (l->before > 0) snprintf(before, sizeof before, "%.6g", l->before);
    if (l->now > 0) snprintf(now, sizeof now, "%.6g", l->now);
    if (l->before > 0 && l->now > 0) snprintf(change, sizeof change, "%+.2f %%", 100 * l->change);
    bool beyond = l->limit < 0 ? l->change < l->limit : l->change > l->limit;
    if (l->chance < 1) snprintf(why, sizeof why, "  by chance: %.3f", l->chance);
    printf("%-17s %14s %14s %12s %+8.0f %%  %s%s\n", l->what, before, now, change, 100 * l->limit,
           l->worse ? "WORSE" : beyond ? "unclear" : "ok", why);
}

/* A bar for the past runs of speed, oldest first, and one for now: has it crept? */
static void print_trend(const struct cut_gate_record *past, int n, const struct cut_gate_record *now) {
    enum { SHOWN = 12, WIDTH = 40 };
    const struct cut_gate_record *list[SHOWN + 1];
    int have = 0;
    double most = 0;
    for (int i = n - 1; i >= 0 && have < SHOWN; i--)
        if (cut_gate_like(&past[i], now)) list[have++] = &past[i];
    for (int i = 0; i < have / 2; i++) {
        const struct cut_gate_record *r = list[i];
        list[i] = list[have - 1 - i];
        list[have - 1 - i] = r;
    }
    list[have++] = now;
    for (int i = 0; i < have; i++) if (list[i]->decode.median > most) most = list[i]->decode.median;
    printf("\ndecode tokens/s%s\n", have > 1 ? ", oldest first" : "");
    for (int i = 0; i < have; i++) {
        int bar = most > 0 ? (int)(list[i]->decode.median / most * WIDTH + 0.5) : 0;
        printf("%s %10.2f |%.*s\n", i + 1 == have ? "now" : "   ", list[i]->decode.median, bar,
               "########################################");
    }
}

static void print_json(const struct cut_gate_line *line, int worse, const char *against) {
    struct cut_json j;
    cut_json_init(&j, stdout);
    cut_json_open(&j, NULL, '{');
    cut_json_bool(&j, "passed", !worse);
    cut_json_str(&j, "against", against, strlen(against));
    cut_json_open(&j, "measures", '[');
    for (int i = 0; i < CUT_GATE_LINES; i++) {
        cut_json_open(&j, NULL, '{');
        cut_json_str(&j, "what", line[i].what, strlen(line[i].what));
        cut_json_num(&j, "before", line[i].before);
        cut_json_num(&j, "now", line[i].now);
        cut_json_num(&j, "change", line[i].change);
        cut_json_num(&j, "limit", line[i].limit);
        cut_json_num(&j, "chance", line[i].chance);
        cut_json_bool(&j, "worse", line[i].worse);
        cut_json_close(&j, '}');
    }
    cut_json_close(&j, ']');
    cut_json_close(&j, '}');
}

static int report(const struct gate *g, const struct cut_gate_record *before, const struct cut_gate_record *now,
                  const char *against) {
    struct cut_gate_line line[CUT_GATE_LINES];
    int worse = cut_gate_compare(before, now, &g->limits, line);
    if (g->json) {
        print_json(line, worse, against);
    } else if (g->csv) {
        printf("what,before,now,change,limit,chance,worse\n");
        for (int i = 0; i < CUT_GATE_LINES; i++)
            printf("%s,%.9g,%.9g,%.6f,%.3f,%.6f,%d\n", line[i].what, line[i].before, line[i].now, line[i].change,
                   line[i].limit, line[i].chance, line[i].worse);
    } else {
        printf("%s, kernels %s, %d threads, against %s\n\n%-17s %14s %14s %12s %10s\n", now->model, now->kernels,
               now->threads, against, "", "before", "now", "change", "limit");
        for (int i = 0; i < CUT_GATE_LINES; i++) print_line(&line[i]);
        printf("\n%s\n", worse ? "The gate is closed." : "The gate is open.");
    }
    return worse ? 1 : CLI_OK;
}

/* ---- one measurement, and what it is held against */

static int measure(struct gate *g, struct cut_gate_record *now) {
    struct cut_err err = { 0 };
    int status = cli_engine_open(&g->e, "gate", g->model);
    if (status != CLI_GO) return status;
    enum cut_status st = cut_gate_measure(g->e.session, g->text, &g->bench, show, NULL, now, &err);
    cli_engine_close(&g->e);
    if (isatty(2)) fprintf(stderr, "\r\033[K");
    return st ? cli_error(&err) : CLI_GO;
}

/* No file means no past yet; any other trouble with it is an error. */
static int load(const char *path, struct cut_gate_record **list, int *n) {
    struct cut_err err = { 0 };
    if (access(path, F_OK)) return CLI_GO;
    return cut_gate_read(path, list, n, &err) ? cli_error(&err) : CLI_GO;
}

static int against_baseline(const struct gate *g, const struct cut_gate_record *now) {
    struct cut_gate_record *base = NULL;
    struct cut_err err = { 0 };
    int n = 0, status = g->save ? CLI_GO : load(g->baseline, &base, &n);
    if (status != CLI_GO) return status;
    if (!n) {
        if (cut_gate_write(g->baseline, now, 1, &err)) return cli_error(&err);
        fprintf(stderr, "cutaway gate: %s: the baseline is written\n", g->baseline);
        return CLI_OK;
    }
    if (cut_gate_like(&base[0], now)) status = report(g, &base[0], now, g->baseline);
    else status = cli_usage("gate",
                            "%s is of %s with %s kernels, %d threads, -p %d -n %d; this is %s, %s, %d, -p %d -n %d"
                            " (--save writes a new one)", g->baseline, base[0].model, base[0].kernels, base[0].threads,
                            base[0].p, base[0].n, now->model, now->kernels, now->threads, now->p, now->n);
    free(base);
    return status;
}

/* Only what passes becomes part of the past, so that a decline in small steps is seen against where it began for a while. */
static int against_history(const struct gate *g, const struct cut_gate_record *now) {
    struct cut_gate_record *past = NULL, usual, *grown;
    struct cut_err err = { 0 };
    int n = 0, status = load(g->history, &past, &n);
    if (status != CLI_GO) return status;
    bool known = cut_gate_usual(past, n, now, &usual);
    status = known ? report(g, &usual, now, "what was usual") : CLI_OK;
    if (!g->json && !g->csv) print_trend(past, n, now);
    if (status == CLI_OK) {
        grown = realloc(past, ((size_t)n + 1) * sizeof *past);
        if (!grown) {
            free(past);
            return cli_error(&(struct cut_err){ CUT_ENOMEM, "out of memory: the history" });
        }
        past = grown;
        past[n] = *now;
        if (cut_gate_write(g->history, past, n + 1, &err)) status = cli_error(&err);
    }
    free(past);
    return status;
}

int cli_gate(int argc, char **argv) {
    struct gate g = { .bench = { .p = 128, .n = 32, .r = 5 }, .limits = cut_gate_defaults };
    const char *args[1] = { 0 };
    int every = 0, n_args, status;
    float perplexity = 100 * (float)g.limits.perplexity, speed = 100 * (float)g.limits.speed, memory = 100 * (float)g.limits.memory;
    cli_engine_init(&g.e);
    const struct cli_opt opts[] = {
        { 0, "baseline", "FILE", CLI_TEXT, &g.baseline, "what to compare with; written when it is not there", 0, 0 },
        { 0, "save", NULL, CLI_FLAG, &g.save, "write the baseline anew", 0, 0 },
        { 0, "watch", "FILE", CLI_TEXT, &g.history, "compare with what was usual, and keep a history there", 0, 0 },
        { 0, "every", "S", CLI_INT, &every, "with --watch: again every S seconds, until it gets worse or Ctrl-C", 0, 1 << 24 },
        { 0, "text", "FILE", CLI_TEXT, &g.text, "measure perplexity over this text", 0, 0 },
        { 0, "trials", "N", CLI_INT, &g.bench.r, "of speed, after a warm-up", 1, 16 },
        { 'p', "prefill", "N", CLI_INT, &g.bench.p, "tokens of prefill in a trial, 0: none", 0, 1 << 24 },
        { 'n', "decode", "N", CLI_INT, &g.bench.n, "tokens of decode in a trial, 0: none", 0, 1 << 24 },
        { 0, "max-perplexity", "PCT", CLI_FLOAT, &perplexity, "how much higher it may be", 0, 1e6 },
        { 0, "max-slower", "PCT", CLI_FLOAT, &speed, "how much lower speed may be", 0, 100 },
        { 0, "max-memory", "PCT", CLI_FLOAT, &memory, "how much more memory it may take", 0, 1e6 },
        { 0, "json", NULL, CLI_FLAG, &g.json, "print a JSON object", 0, 0 },
        { 0, "csv", NULL, CLI_FLAG, &g.csv, "print CSV", 0, 0 },
        CLI_ENGINE_OPTS(g.e),
    };
    const struct cli_spec spec = {
        "gate", "[MODEL.gguf] --baseline FILE [--text FILE] [options]",
        "Measure a model's perplexity, speed and memory and compare them with a baseline. Exit status 1 when one is worse by\n"
        "more than its limit; speed also must differ by more than chance would explain, where there are 4 trials or more.\n"
        "--watch FILE keeps a history instead, and compares with the medians of the last 16 measurements in it.",
        opts, sizeof opts / sizeof *opts, 0, 1,
    };
    if ((status = cli_parse(&spec, argc, argv, args, &n_args)) != CLI_GO) return status;
    if (!g.baseline == !g.history) return cli_usage("gate", "give a file to compare with: --baseline FILE, or --watch FILE");
    if (every && !g.history) return cli_usage("gate", "--every goes with --watch");
    if (!g.bench.p && !g.bench.n) return cli_usage("gate", "-p 0 -n 0: nothing to measure");
    g.limits = (struct cut_gate_limits){ (double)perplexity / 100, (double)speed / 100, (double)memory / 100 };
    g.model = n_args ? args[0] : cli_bundled_model();
    g.bench.n_seq = 1;

    struct cut_gate_record now;
    cli_interrupt_arm();
    do {
        status = measure(&g, &now);
        if (status == CLI_GO) status = g.history ? against_history(&g, &now) : against_baseline(&g, &now);
        if (fflush(stdout)) status = cli_flush_stdout();
        for (int s = 0; s < every && status == CLI_OK && !cli_interrupted(); s++) nanosleep(&(struct timespec){ 1, 0 }, NULL);
    } while (every && status == CLI_OK && !cli_interrupted());
    return status == CLI_OK && cli_interrupted() ? CLI_INTERRUPTED : status;
}
