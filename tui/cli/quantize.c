/* quantize.c - `cutaway quantize`: a model in another file type; and what the commands that quantize have in common. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tui/cli/cli.h"
#include "tui/cli/quantize.h"

typedef unsigned long long ull;

static const struct cli_preset presets[] = {
    { "mobile",     "q4_K_S", "the smallest that still reads well: phones, small boards" },
    { "balanced",   "q4_K_M", "the usual choice: a little more where it counts" },
    { "quality",    "q6_K",   "nearly as good as the source, in two fifths of f16" },
    { "production", "q8_0",   "hard to tell from the source; fast everywhere" },
};

const struct cli_preset *cli_preset_at(int i) { return i >= 0 && i < (int)(sizeof presets / sizeof *presets) ? &presets[i] : NULL; }

static int print_presets(void) {
    int n;
    const struct cut_file_type *t = cut_file_types(&n);
    printf("Presets:\n");
    for (int i = 0; cli_preset_at(i); i++) printf("  %-11s %-10s %s\n", presets[i].name, presets[i].file_type, presets[i].what);
    printf("\nFile types (bits per weight of the format most matrices get):\n");
    for (int i = 0; i < n; i++) {
        const struct cut_type_info *info = cut_type_info(t[i].type);
        printf("  %-10s %5.2f  %s%s\n", t[i].name, 8.0 * info->bytes / info->block, t[i].what,
               cut_encodes(t[i].type) ? "" : " (cannot be written yet)");
    }
    return cli_flush_stdout();
}

/* ---- while it runs */

/* "340 MB/s, 12 s left": from the bytes read so far. */
bool cli_progress(void *user, double part, const char *what) {
    struct cli_progress *p = user;
    double now = cut_clock(), t = now - p->start;
    if (!isatty(2) || (part < 1 && now - p->shown < 0.1)) return !cli_interrupted();
    p->shown = now;
    char rate[64] = "";
    if (t > 0.5 && part > 0)
        snprintf(rate, sizeof rate, "%.0f %s/s, %.0f s left", (double)p->total / p->scale * part / t, p->unit, t * (1 - part) / part);
    fprintf(stderr, "\r%3.0f%%  %-26s %-40.40s", 100 * part, rate, what);
    return !cli_interrupted();
}

void cli_progress_end(void) {
    if (isatty(2)) fprintf(stderr, "\r%-74s\r", "");
}

/* ---- the plan */

static void size_text(uint64_t bytes, char out[32]) {
    if (bytes < 10000) snprintf(out, 32, "%llu B", (ull)bytes);
    else if (bytes < 10000000) snprintf(out, 32, "%.1f kB", (double)bytes / 1e3);
    else snprintf(out, 32, "%.1f MB", (double)bytes / 1e6);
}

static void print_plan(const struct cut_plan *p) {
    char from[32], to[32], shape[64];
    int width = 10;
    for (uint64_t i = 0; i < p->n; i++) {
        int len = (int)strlen(p->tensor[i].from->name);
        if (len > width && len < 48) width = len;
    }
    for (uint64_t i = 0; i < p->n; i++) {
        const struct cut_plan_tensor *t = &p->tensor[i];
        char name[160];
        int n = 0;
        for (int d = 0; d < t->from->n_dims; d++)
            n += snprintf(shape + n, sizeof shape - (size_t)n, "%s%llu", d ? "x" : "", (ull)t->from->ne[d]);
        cut_utf8_escape(name, sizeof name, t->from->name, strlen(t->from->name));
        size_text(t->from->bytes, from);
        size_text(t->bytes, to);
        printf("%-*s  %-12s %5s", width, name, shape, cut_type_info(t->from->type)->name);
        if (t->type == t->from->type) printf("               %10s%s%s\n", to, t->why[0] ? "  " : "", t->why);
        else printf(" -> %-7s %10s -> %s%s%s\n", cut_type_info(t->type)->name, from, to, t->why[0] ? "  " : "", t->why);
    }
}

void cli_plan_summary(const struct cut_plan *p, FILE *f) {
    char from[32], to[32];
    size_text(p->from_bytes, from);
    size_text(p->bytes, to);
    fprintf(f, "%s (%.2f bits per weight) -> %s (%.2f bits per weight)\n", from, 8.0 * (double)p->from_bytes / (double)(p->weights ? p->weights : 1),
            to, 8.0 * (double)p->bytes / (double)(p->weights ? p->weights : 1));
    if (p->n_fallback)
        fprintf(f, "%llu of %llu tensors do not fit what was asked for and fall back\n", (ull)p->n_fallback, (ull)p->n);
}

/* ---- the command */

int cli_file_type(const char *command, const char *name, const struct cut_file_type **out) {
    int n;
    if ((*out = cut_file_type_by_name(name))) return CLI_GO;
    struct cli_guess g = { .word = name };
    const struct cut_file_type *t = cut_file_types(&n);
    for (int i = 0; i < n; i++) cli_guess_try(&g, t[i].name);
    if (g.best) return cli_usage(command, "\"%s\" is no file type; did you mean \"%s\"?", name, g.best);
    return cli_usage(command, "\"%s\" is no file type; --presets lists them", name);
}

static int format(const char *option, const char *name, enum cut_type *out) {
    int type = cut_type_by_name(name);
    if (type < 0) return cli_usage("quantize", "%s: \"%s\" is no number format", option, name);
    if (!cut_encodes((enum cut_type)type)) return cli_usage("quantize", "%s: %s cannot be written", option, cut_type_info((uint32_t)type)->name);
    *out = (enum cut_type)type;
    return CLI_GO;
}

/* Rules, and the texts of their patterns. */
struct rules { struct cut_type_rule *item; char (*pattern)[160]; int n, cap; };

/* PATTERN=FORMAT, len bytes of it. */
static int add_rule(struct rules *r, const char *text, size_t len) {
    char name[32];
    size_t eq = len;
    while (eq > 0 && text[eq - 1] != '=') eq--;            /* the last = */
    if (eq < 2 || eq > sizeof *r->pattern || len - eq >= sizeof name) return cli_usage("quantize", "--tensor-type %.*s: PATTERN=FORMAT is needed", (int)len, text);
    if (r->n == r->cap) {
        int cap = r->cap ? 2 * r->cap : 16;
        struct cut_type_rule *item = realloc(r->item, (size_t)cap * sizeof *item);
        if (item) r->item = item;
        char (*pattern)[160] = realloc(r->pattern, (size_t)cap * sizeof *pattern);
        if (pattern) r->pattern = pattern;
        if (!item || !pattern) return cli_usage("quantize", "out of memory: %d rules", cap);
        r->cap = cap;
    }
    snprintf(r->pattern[r->n], sizeof *r->pattern, "%.*s", (int)(eq - 1), text);
    snprintf(name, sizeof name, "%.*s", (int)(len - eq), text + eq);
    int status = format("--tensor-type", name, &r->item[r->n].type);
    if (status == CLI_GO) r->n++;
    return status;
}

/* A file of rules, one a line; "--tensor-type" before them, as a recipe has it, and lines that start with # are skipped. */
static int read_rules(struct rules *r, const char *path) {
    struct cut_err err;
    size_t len;
    int status = CLI_GO;
    char *text = cli_read_text(path, &len, &err);
    if (!text) return cli_error(&err);
    for (const char *p = text; *p && status == CLI_GO;) {
        size_t line = strcspn(p, "\n"), n = line;
        const char *rule = p;
        if (!strncmp(rule, "--tensor-type ", 14)) rule += 14, n -= 14;
        while (n && strchr(" \t\r", rule[n - 1])) n--;
        if (n && rule[0] != '#') status = add_rule(r, rule, n);
        p += line + (p[line] == '\n');
    }
    free(text);
    return status;
}

static void rules_ready(struct rules *r, struct cut_quantize_opts *o) {
    for (int i = 0; i < r->n; i++) r->item[i].pattern = r->pattern[i];
    o->rules = r->item;
    o->n_rules = r->n;
}

/* What is no mistake, and yet not likely to be meant. */
static void warn(const struct cut_plan *p) {
    char rule[160];
    if (p->idle_rule) {
        cut_utf8_escape(rule, sizeof rule, p->idle_rule, strlen(p->idle_rule));
        fprintf(stderr, "cutaway: warning: --tensor-type %s: decides about no tensor that is quantized\n", rule);
    }
    if (p->n_again)
        fprintf(stderr, "cutaway: warning: %llu tensors are quantized already; rounding them again adds to the error: "
                        "start from the f16 or f32 file\n", (ull)p->n_again);
    if (p->n_without)
        fprintf(stderr, "cutaway: warning: %llu tensors are not in the importance matrix\n", (ull)p->n_without);
}

static int convert(const char *in, const char *out, const struct cut_quantize_opts *o, bool dry) {
    struct cut_gguf *g;
    struct cut_plan p;
    struct cut_err err = { 0 };
    if (cut_gguf_open(&g, in, 0, &err)) return cli_error(&err);
    enum cut_status st = cut_quantize_plan(&p, g, o, &err);
    if (!st) {
        print_plan(&p);
        fflush(stdout);
        st = cut_plan_check_imatrix(&p, o->imatrix, cut_gguf_head(g)->name, &err);
        warn(&p);
        if (!st && p.needs_imatrix && dry) printf("needs an importance matrix: %s\n", p.needs_imatrix);
        if (!st && !dry) {
            struct cli_progress show = { .start = cut_clock(), .total = p.from_bytes, .scale = 1e6, .unit = "MB" };
            st = cut_quantize(in, out, o, cli_progress, &show, &err);
            cli_progress_end();
            if (!st) printf("written in %.1f s: %s\n", cut_clock() - show.start, out);
        }
        if (!st) cli_plan_summary(&p, stdout);
        cut_plan_done(&p);
    }
    cut_gguf_close(g);
    return st ? cli_error(&err) : cli_flush_stdout();
}

int cli_quantize(int argc, char **argv) {
    if (cli_quantize_by_method(argc, argv)) return cli_quantize_method(argc, argv);
    const char *args[3] = { 0 }, *output = NULL, *embedding = NULL, *imatrix = NULL, *file = NULL;
    struct cli_texts types = { .n = 0 };
    struct cut_quantize_opts o = { 0 };
    struct rules rules = { 0 };
    enum cut_type output_type, embedding_type;
    int n_args, threads = cut_cpu_count(), status;
    bool dry = false, list = false;
    const struct cli_opt opts[] = {
        { 0, "tensor-type", "P=T", CLI_TEXTS, &types, "tensors whose name matches P (* is any text) in format T; may be repeated", 0, 0 },
        { 0, "tensor-type-file", "FILE", CLI_TEXT, &file, "the same from a file, a rule on each line", 0, 0 },
        { 0, "output-type", "T", CLI_TEXT, &output, "format of the output matrix", 0, 0 },
        { 0, "token-embedding-type", "T", CLI_TEXT, &embedding, "format of the token embeddings", 0, 0 },
        { 0, "pure", NULL, CLI_FLAG, &o.pure, "the same format for every matrix", 0, 0 },
        { 0, "imatrix", "FILE", CLI_TEXT, &imatrix, "weigh errors by an importance matrix (see cutaway imatrix)", 0, 0 },
        { 0, "force", NULL, CLI_FLAG, &o.force, "very low bits without an importance matrix, too", 0, 0 },
        { 't', "threads", "N", CLI_INT, &threads, "threads that compute", 1, 256 },
        { 0, "dry-run", NULL, CLI_FLAG, &dry, "show what each tensor would get, and write nothing", 0, 0 },
        { 0, "presets", NULL, CLI_FLAG, &list, "list the presets and the file types", 0, 0 },
    };
    const struct cli_spec spec = {
        "quantize", "IN.gguf OUT.gguf TYPE [options]\n       cutaway quantize IN.gguf TYPE --dry-run\n       cutaway quantize --presets",
        "Write a model in another file type: q8_0, q4_K_M, ... or a preset (--presets lists all). A file type gives most matrices\n"
        "one format and some another; each tensor's line says why it got its own. Vectors stay as they are. Rows that are no\n"
        "whole number of a format's blocks get another of about as many bits. OUT appears when it is whole; Ctrl-C leaves the old one.\n"
        "quantize --method compares ways of rounding (see quantize --method all --help).",
        opts, sizeof opts / sizeof *opts, 0, 3,
    };
    if ((status = cli_parse(&spec, argc, argv, args, &n_args)) != CLI_GO) return status;
    if (list) return print_presets();
    if (n_args != 3 && !(dry && n_args == 2)) return cli_usage("quantize", dry ? "IN and TYPE are needed" : "IN, OUT and TYPE are needed");
    const char *type = args[n_args - 1];
    for (int i = 0; cli_preset_at(i); i++)
        if (!strcmp(type, presets[i].name)) type = presets[i].file_type;

    struct cut_err err = { 0 };
    struct cut_imatrix *im = NULL;
    status = cli_file_type("quantize", type, &o.file_type);
    if (status == CLI_GO && output) status = format("--output-type", output, &output_type);
    if (status == CLI_GO && embedding) status = format("--token-embedding-type", embedding, &embedding_type);
    for (int i = 0; status == CLI_GO && i < types.n; i++) status = add_rule(&rules, types.item[i], strlen(types.item[i]));
    if (status == CLI_GO && file) status = read_rules(&rules, file);
    if (status == CLI_GO && imatrix && cut_imatrix_load(&im, imatrix, &err)) status = cli_error(&err);
    if (status == CLI_GO && cut_pool_new(&o.pool, threads, &err)) status = cli_error(&err);
    if (status == CLI_GO) {
        o.output_type = output ? &output_type : NULL;
        o.token_embedding_type = embedding ? &embedding_type : NULL;
        o.imatrix = im;
        rules_ready(&rules, &o);
        cli_interrupt_arm();
        status = convert(args[0], n_args == 3 ? args[1] : NULL, &o, dry);
    }
    cut_pool_free(o.pool);
    cut_imatrix_free(im);
    free(rules.item);
    free(rules.pattern);
    return status;
}
