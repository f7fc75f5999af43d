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
    struct cut_gate_record *past;      /* what the file held before */
    int n_past;
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
    bool measured = l->before > 0 && l->now > 0;
    bool beyond = l->limit < 0 ? l->change < l->limit : l->change > l->limit;
    if (l->chance < 1) snprintf(why, sizeof why, "  by chance: %.3f", l->chance);
    printf("%-17s %14s %14s %12s %+8.0f %%  %s%s\n", l->what, before, now, change, 100 * l->limit,
           !measured ? "not measured" : l->worse ? "WORSE" : beyond ? "unclear" : "ok", measured ? why : "");
}

static double perplexity_of(const struct cut_gate_record *r) { return r->perplexity; }
static double speed_of(const struct cut_gate_record *r) { return r->decode.n ? r->decode.median : r->prefill.median; }
static double memory_of(const struct cut_gate_record *r) { return (double)r->memory / (1024 * 1024); }

static void plot(const struct cut_gate_record *const *list, int n, double (*of)(const struct cut_gate_record *), const char *what) {
    enum { WIDTH = 40 };
    double most = 0;
    for (int i = 0; i < n; i++) if (of(list[i]) > most) most = of(list[i]);
    if (!(of(list[n - 1]) > 0)) return;
    printf("\n%s%s\n", what, n > 1 ? ", oldest first" : "");
    for (int i = 0; i < n; i++)
        printf("%s %10.5g |%.*s\n", i + 1 == n ? "now" : "   ", of(list[i]), (int)(of(list[i]) / most * WIDTH + 0.5),
               "########################################");
}

/* Three plots of what was before, as far as it is like this, and of now: has anything crept? */
static void print_plots(const struct gate *g, const struct cut_gate_record *now) {
    enum { SHOWN = 12 };
    const struct cut_gate_record *list[SHOWN + 1];
    int have = SHOWN;
    list[SHOWN] = now;
    for (int i = g->n_past - 1; i >= 0 && have > 0; i--)
        if (cut_gate_like(&g->past[i], now)) list[--have] = &g->past[i];
    plot(list + have, SHOWN + 1 - have, perplexity_of, "perplexity");
    plot(list + have, SHOWN + 1 - have, speed_of, now->decode.n ? "decode tokens/s" : "prefill tokens/s");
    plot(list + have, SHOWN + 1 - have, memory_of, "memory MiB");
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

/* Before anything is measured: read what there is (no file means no past yet), and find out whether it can be written. */
static int prepare(struct gate *g) {
    struct cut_err err = { 0 };
    struct cut_save probe;
    const char *path = g->history ? g->history : g->baseline;
    bool there = !access(path, F_OK);
    if (there && !g->save && cut_gate_read(path, &g->past, &g->n_past, &err)) return cli_error(&err);
    if (there && !g->history && !g->save) {
        const struct cut_gate_record *b = &g->past[0];
        if (b->p == g->bench.p && b->n == g->bench.n && b->threads == g->e.threads) return CLI_GO;
        return cli_usage("gate", "%s is of %d threads, -p %d -n %d; this is %d threads, -p %d -n %d (--save writes a new one)", path, b->threads,
                         b->p, b->n, g->e.threads, g->bench.p, g->bench.n);
    }
    enum cut_status st = cut_save_open(&probe, path, &err);
    cut_save_close(&probe, CUT_ECANCEL, NULL);
    return st ? cli_error(&err) : CLI_GO;
}

static int against_baseline(const struct gate *g, const struct cut_gate_record *now) {
    struct cut_err err = { 0 };
    if (!g->n_past) {
        if (cut_gate_write(g->baseline, now, 1, &err)) return cli_error(&err);
        fprintf(stderr, "cutaway gate: %s: the baseline is written\n", g->baseline);
        return CLI_OK;
    }
    const struct cut_gate_record *base = &g->past[0];
    if (!cut_gate_like(base, now))
        return cli_usage("gate", "%s is of %s with %s kernels; this is %s with %s%s (--save writes a new one)", g->baseline, base->model,
                         base->kernels, now->model, now->kernels, base->text[0] && strcmp(base->text, now->text) ? ", over another text" : "");
    int status = report(g, base, now, g->baseline);
    if (!g->json && !g->csv) print_plots(g, now);
    return status;
}

/* Only what passes becomes part of the past, so that a decline in small steps is seen against where it began for a while. */
static int against_history(struct gate *g, const struct cut_gate_record *now) {
    struct cut_gate_record usual, *grown;
    struct cut_err err = { 0 };
    bool known = cut_gate_usual(g->past, g->n_past, now, &usual);
    int status = known ? report(g, &usual, now, "what was usual") : CLI_OK;
    if (!g->json && !g->csv) print_plots(g, now);
    if (status != CLI_OK) return status;
    grown = realloc(g->past, ((size_t)g->n_past + 1) * sizeof *grown);
    if (!grown) return cli_error(&(struct cut_err){ CUT_ENOMEM, "out of memory: the history" });
    g->past = grown;
    g->past[g->n_past++] = *now;
    return cut_gate_write(g->history, g->past, g->n_past, &err) ? cli_error(&err) : CLI_OK;
}

static int gate(int argc, char **argv) {
    struct gate g = { .bench = { .p = 128, .n = 32, .r = 5 }, .limits = cut_gate_defaults };
    const char *args[1] = { 0 }, *config = NULL;
    int every = 0, n_args, status;
    float perplexity = 100 * (float)g.limits.perplexity, speed = 100 * (float)g.limits.speed, memory = 100 * (float)g.limits.memory;
    cli_engine_init(&g.e);
    const struct cli_opt opts[] = {
        { 0, "config", "FILE", CLI_TEXT, &config, "options from a file, \"name: value\" a line; these here win", 0, 0 },
        { 0, "model", "FILE", CLI_TEXT, &g.model, "the same as MODEL.gguf, for a config", 0, 0 },
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
        "--watch FILE keeps a history instead, and compares with the medians of the last 16 measurements in it. Three plots follow:\n"
        "perplexity, speed, memory. A config is YAML of one level: \"baseline: base.txt\", \"trials: 5\", \"max-slower: 10\".",
        opts, sizeof opts / sizeof *opts, 0, 1,
    };
    if ((status = cli_parse(&spec, argc, argv, args, &n_args)) != CLI_GO) return status;
    if (!g.baseline == !g.history) return cli_usage("gate", "give a file to compare with: --baseline FILE, or --watch FILE");
    if (g.save && !g.baseline) return cli_usage("gate", "--save goes with --baseline");
    if (every && !g.history) return cli_usage("gate", "--every goes with --watch");
    if (!g.bench.p && !g.bench.n) return cli_usage("gate", "-p 0 -n 0: nothing to measure");
    g.limits = (struct cut_gate_limits){ (double)perplexity / 100, (double)speed / 100, (double)memory / 100 };
    if (n_args) g.model = args[0];
    if (!g.model) g.model = cli_bundled_model();
    g.bench.n_seq = 1;

    if ((status = prepare(&g)) != CLI_GO) {
        free(g.past);
        return status;
    }
    struct cut_gate_record now;
    cli_interrupt_arm();
    do {
        status = measure(&g, &now);
        if (status == CLI_GO) status = g.history ? against_history(&g, &now) : against_baseline(&g, &now);
        if (fflush(stdout)) status = cli_flush_stdout();
        for (int s = 0; s < every && status == CLI_OK && !cli_interrupted(); s++) nanosleep(&(struct timespec){ 1, 0 }, NULL);
    } while (every && status == CLI_OK && !cli_interrupted());
    free(g.past);
    return status == CLI_OK && cli_interrupted() ? CLI_INTERRUPTED : status;
}

int cli_gate(int argc, char **argv) {
    struct cli_config c;
    int status = cli_config_read(&c, argc, argv);
    if (status != CLI_GO) return status;
    status = gate(c.argc, c.argv);
    cli_config_free(&c);
    return status;
}
