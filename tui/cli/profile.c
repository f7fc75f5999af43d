/* profile.c - `cutaway profile`: how speed depends on threads and prompts, what memory is taken, and what to do about it. */
#include <string.h>
#include <unistd.h>

#include "tui/cli/cli.h"

enum { WIDTH = 40 };

static bool show(void *user, double part, const char *what) {
    (void)user;
    if (isatty(2)) fprintf(stderr, "\r\033[K%3.0f%%  %s", 100 * part, what);
    return !cli_interrupted();
}

/* ---- as text: tables and four plots */

static void bar(double value, double most) {
    int n = most > 0 ? (int)(value / most * WIDTH + 0.5) : 0;
    for (int i = 0; i < n && i < WIDTH; i++) putchar('#');
}

static double speedup(const struct cut_survey_point *p,
                      int i) { return p[0].tps.median > 0 ? p[i].tps.median / p[0].tps.median * p[0].threads : 0; }

static void print_points(const struct cut_survey_point *p, int n, const char *title) {
    printf("%s\n%8s %8s %12s %24s %8s %8s %10s\n", title, "threads", "tokens", "tokens/s", "quartiles", "busy", "waited", "GB/s");
    for (int i = 0; i < n; i++) {
        char quartiles[32];
        snprintf(quartiles, sizeof quartiles, "%.2f-%.2f%s", p[i].tps.q1, p[i].tps.q3, p[i].tps.noisy ? " ~" : "");
        printf("%8d %8d %12.2f %24s %8.2f %7.0f%% %10.2f\n", p[i].threads, p[i].tokens, p[i].tps.median, quartiles, p[i].busy,
               100 * p[i].waited, p[i].read / 1e9);
    }
    printf("\n");
}

static void plot_threads(const struct cut_survey *s, bool efficiency) {
    double most = efficiency ? 1 : s->decode[s->n_threads - 1].threads;
    printf("%s\n",
           efficiency ? "Efficiency (speedup / threads; the end of the scale is 1)"
                      : "Speedup over threads (the end of the scale: as many times as threads)");
    for (int i = 0; i < s->n_threads; i++)
        for (int prefill = 0; prefill < 2; prefill++) {
            const struct cut_survey_point *p = prefill ? s->prefill : s->decode;
            double v = speedup(p, i) / (efficiency ? p[i].threads : 1);
            printf("%4d %-8s %6.2f |", p[i].threads, prefill ? "prefill" : "decode", v);
            bar(v, most);
            printf("\n");
        }
    printf("\n");
}

static void plot_memory(const struct cut_survey *s) {
    const struct cut_memory *m = &s->memory;
    const struct { const char *name; uint64_t bytes; } part[] = { { "weights", m->weights }, { "repacked", m->panels }, { "cache", m->kv },
                                                                  { "activations", m->activations }, { "other", m->other },
                                                                  { "resident", s->resident } };
    double most = 0;
    for (int i = 0; i < 6; i++) if ((double)part[i].bytes > most) most = (double)part[i].bytes;
    printf("Memory, MiB (a session with the model's own context; resident: this process now; virtual: %.0f)\n",
           (double)s->virtual_ / (1024 * 1024));
    for (int i = 0; i < 6; i++) {
        printf("%-12s %10.1f |", part[i].name, (double)part[i].bytes / (1024 * 1024));
        bar((double)part[i].bytes, most);
        printf("\n");
    }
    printf("\n");
}

static void plot_prompts(const struct cut_survey *s) {
    double most = 0;
    for (int i = 0; i < s->n_prompts; i++) if (s->prompt[i].tps.median > most) most = s->prompt[i].tps.median;
    printf("Performance: prefill tokens/s over the prompt's length\n");
    for (int i = 0; i < s->n_prompts; i++) {
        printf("%6d tokens %10.2f |", s->prompt[i].tokens, s->prompt[i].tps.median);
        bar(s->prompt[i].tps.median, most);
        printf("\n");
    }
    printf("\n");
}

static void print_text(const struct cut_survey *s, const struct cut_model *m) {
    printf("%s: %s, %.1f MiB; memory gives %.1f GB/s\n\n", cut_gguf_head(cut_model_gguf(m))->name, cut_model_type_name(m),
           (double)cut_model_config(m)->weight_bytes / (1024 * 1024), s->bandwidth / 1e9);
    print_points(s->decode, s->n_threads, "Decode");
    print_points(s->prefill, s->n_threads, "Prefill");
    if (s->n_prompts) print_points(s->prompt, s->n_prompts, "Prompts");
    plot_threads(s, false);
    plot_threads(s, true);
    plot_memory(s);
    if (s->n_prompts) plot_prompts(s);
    printf("Advice\n");
    for (int i = 0; i < s->n_advice; i++) printf("- %s\n", s->advice[i]);
}

/* ---- as JSON */

static void json_points(struct cut_json *j, const char *key, const struct cut_survey_point *p, int n, bool threads) {
    cut_json_open(j, key, '[');
    for (int i = 0; i < n; i++) {
        cut_json_open(j, NULL, '{');
        cut_json_int(j, "threads", p[i].threads);
        cut_json_int(j, "tokens", p[i].tokens);
        cut_json_num(j, "tokens_per_s", p[i].tps.median);
        cut_json_num(j, "q1", p[i].tps.q1);
        cut_json_num(j, "q3", p[i].tps.q3);
        cut_json_bool(j, "noisy", p[i].tps.noisy);
        if (threads) {
            cut_json_num(j, "speedup", speedup(p, i));
            cut_json_num(j, "efficiency", speedup(p, i) / p[i].threads);
        }
        cut_json_num(j, "processors_busy", p[i].busy);
        cut_json_num(j, "waited", p[i].waited);
        cut_json_num(j, "bytes_per_s", p[i].read);
        cut_json_close(j, '}');
    }
    cut_json_close(j, ']');
}

static void print_json(const struct cut_survey *s, const struct cut_model *m) {
    const char *name = cut_gguf_head(cut_model_gguf(m))->name;
    struct cut_json j;
    cut_json_init(&j, stdout);
    cut_json_open(&j, NULL, '{');
    cut_json_str(&j, "model", name, strlen(name));
    cut_json_num(&j, "bandwidth", s->bandwidth);
    json_points(&j, "decode", s->decode, s->n_threads, true);
    json_points(&j, "prefill", s->prefill, s->n_threads, true);
    json_points(&j, "prompts", s->prompt, s->n_prompts, false);
    cut_json_open(&j, "memory", '{');
    cut_json_uint(&j, "weights", s->memory.weights);
    cut_json_uint(&j, "repacked", s->memory.panels);
    cut_json_uint(&j, "kv", s->memory.kv);
    cut_json_uint(&j, "activations", s->memory.activations);
    cut_json_uint(&j, "other", s->memory.other);
    cut_json_uint(&j, "resident", s->resident);
    cut_json_uint(&j, "virtual", s->virtual_);
    cut_json_close(&j, '}');
    cut_json_open(&j, "advice", '[');
    for (int i = 0; i < s->n_advice; i++) cut_json_str(&j, NULL, s->advice[i], strlen(s->advice[i]));
    cut_json_close(&j, ']');
    cut_json_close(&j, '}');
}

/* 1, 2, 4, ... and all processors. */
static struct cli_list usual_threads(void) {
    struct cli_list l = { .n = 0 };
    int all = cut_cpu_count();
    for (int t = 1; t < all && l.n < 15; t *= 2) l.item[l.n++] = t;
    l.item[l.n++] = all < 256 ? all : 256;
    return l;
}

int cli_profile(int argc, char **argv) {
    struct cut_survey_opts o = { .tokens = 32, .prompt = 128, .rounds = 5 };
    const char *threads = NULL, *prompts = "50,100,200", *kernels = NULL, *args[1] = { 0 };
    struct cli_list t = usual_threads(), p;
    bool json = false;
    int n_args, status;
    const struct cli_opt opts[] = {
        { 't', "threads", "LIST", CLI_TEXT, &threads, "counts to try, rising (default: 1, 2, 4, ... and all)", 0, 0 },
        { 'p', "prompts", "LIST", CLI_TEXT, &prompts, "lengths of prompts to try, rising (default 50,100,200)", 0, 0 },
        { 'n', "decode", "N", CLI_INT, &o.tokens, "tokens of decode for each count of threads", 1, 1 << 20 },
        { 0, "prefill", "N", CLI_INT, &o.prompt, "tokens of prefill for each count of threads", 1, 1 << 20 },
        { 'r', "rounds", "N", CLI_INT, &o.rounds, "rounds of each, after a warm-up", 1, 16 },
        { 0, "kernels", "TIER", CLI_TEXT, &kernels, "ref, avx2, avx512 or neon (default: the best here)", 0, 0 },
        { 0, "json", NULL, CLI_FLAG, &json, "print a JSON object", 0, 0 },
    };
    const struct cli_spec spec = {
        "profile", "[FILE] [options]",
        "Measure how a model's speed depends on threads and on the length of the prompt, which memory it takes and how many\n"
        "processors it keeps busy. Prints tables, four plots (speedup, efficiency, memory, performance) and advice.\n"
        "Ctrl-C stops.",
        opts, sizeof opts / sizeof *opts, 0, 1,
    };
    if ((status = cli_parse(&spec, argc, argv, args, &n_args)) != CLI_GO) return status;
    if (threads && (status = cli_read_list("profile", "-t", threads, 1, 256, &t)) != CLI_GO) return status;
    if ((status = cli_read_list("profile", "-p", prompts, 1, 1 << 20, &p)) != CLI_GO) return status;
    struct cut_err err = { 0 };
    if (kernels && cut_tier_parse(&o.tier, kernels, &err)) return cli_usage("profile", "--%s", err.msg);
    o.threads = t.item, o.n_threads = t.n;
    o.prompts = p.item, o.n_prompts = p.n;

    static struct cut_survey s;
    struct cut_model *m = NULL;
    cli_interrupt_arm();
    enum cut_status st = cut_model_open(&m, n_args ? args[0] : cli_bundled_model(), 0, &err);
    if (!st) st = cut_survey(m, &o, show, NULL, &s, &err);
    if (isatty(2)) fprintf(stderr, "\r\033[K");
    if (st) {
        status = cli_error(&err);
    } else {
        (json ? print_json : print_text)(&s, m);
        status = cli_flush_stdout();
    }
    cut_model_close(m);
    return status;
}
