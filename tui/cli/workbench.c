/* workbench.c - `cutaway [FILE]`: the workbench on a terminal, or (--keys) on a script of keys, for tests and pictures. */
#include <stdlib.h>
#include <string.h>

#include "tui/app.h"
#include "tui/cli/cli.h"

enum { SCHEME_AUTO };

struct options {
    int threads, ctx, theme;
    bool ascii, latency, roles;
    const char *kernels, *prompt, *keys, *size, *lab, *labs;
};

static char *read_file(const char *path, struct cut_err *err) {
    FILE *f = fopen(path, "rb");
    if (!f) return cut_fail(err, CUT_EFILE, "%s: cannot be read", path), NULL;
    char *text = calloc(1, 1 << 16);
    size_t n = text ? fread(text, 1, (1 << 16) - 1, f) : 0;
    fclose(f);
    if (!text || n == (1 << 16) - 1) {
        free(text);
        return cut_fail(err, CUT_EFILE, "%s: a key script has at most 64 KiB", path), NULL;
    }
    return text;
}

static enum cut_status open_terminal(struct tui_term **out, const struct options *o, struct cut_err *err) {
    if (!o->keys) return tui_term_open_curses(out, err);
    int w = 80, h = 24;
    char end;
    if (o->size && (sscanf(o->size, "%dx%d%c", &w, &h, &end) != 2 || w < 1 || h < 1 || w > 1000 || h > 1000))
        return cut_fail(err, CUT_EUSAGE, "--size %.20s: COLUMNSxROWS is needed, like 80x24", o->size);
    char *script = read_file(o->keys, err);
    if (!script) return err->code;
    *out = tui_term_open_test(script, w, h, o->roles, stdout);
    free(script);
    return CUT_OK;
}

/* The order matters: what can be refused is refused before the terminal is touched. */
static enum cut_status open_all(struct tui_term **term, struct tui_work **work, const struct options *o, const char *path,
                                struct cut_err *err) {
    struct tui_work_opts w = { .n_ctx = o->ctx, .threads = o->threads, .tier = CUT_TIER_AUTO };
    struct cut_model *model;
    enum cut_status st;
    if (o->kernels && (st = cut_tier_parse(&w.tier, o->kernels, err))) return st;
    st = cut_model_open(&model, path ? path : cli_bundled_model(), 0, err);
    if (st && (path || !o->lab)) return st;        /* labs can be read without a model */
    if (st) model = NULL;
    if ((st = open_terminal(term, o, err))) {
        cut_model_close(model);
        return st;
    }
    if ((st = tui_work_new(work, model, &w, err))) (*term)->class->close(*term);
    return st;
}

/* What the bundled model is asked when nobody asks anything: who has the ball can only be known by looking back. */
static const char first_prompt[] = "Lily had a red ball. Lily gave the ball to Ben. Now the ball was with";

int cli_workbench(int argc, char **argv) {
    struct options o = { .threads = cut_cpu_count(), .theme = SCHEME_AUTO };
    const char *file = NULL;
    int n_args;
    const struct cli_opt opts[] = {
        { 'p', "prompt", "TEXT", CLI_TEXT, &o.prompt, "begin with this text", 0, 0 },
        { 0, "lab", "ID", CLI_TEXT, &o.lab, "begin with this lab", 0, 0 },
        { 0, "labs", "FOLDER", CLI_TEXT, &o.labs, "the labs of this folder instead of ours", 0, 0 },
        { 0, "theme", "auto|dark|light|contrast|mono", CLI_CHOICE, &o.theme, "colours", 0, 0 },
        { 0, "ascii", NULL, CLI_FLAG, &o.ascii, "draw with ASCII characters only", 0, 0 },
        { 0, "ctx", "N", CLI_INT, &o.ctx, "cells of the key/value cache, 0: the model's context, at most 4096", 0, 1 << 24 },
        { 't', "threads", "N", CLI_INT, &o.threads, "threads that compute", 1, 256 },
        { 0, "kernels", "TIER", CLI_TEXT, &o.kernels, "ref, avx2, avx512 or neon (default: the best here)", 0, 0 },
        { 0, "keys", "SCRIPT", CLI_TEXT, &o.keys, "replay the keys in a file and print its shots, without a terminal", 0, 0 },
        { 0, "size", "WxH", CLI_TEXT, &o.size, "of that screen, 80x24", 0, 0 },
        { 0, "roles", NULL, CLI_FLAG, &o.roles, "print the colour role of each character too", 0, 0 },
        { 0, "latency", NULL, CLI_FLAG, &o.latency, "at the end print the time from key to frame", 0, 0 },
    };
    const struct cli_spec spec = {
        NULL, "[FILE] [options]",
        "Open the workbench on a model: step through its forward pass, look into every value, and\n"
        "change one to see what follows.",
        opts, sizeof opts / sizeof *opts, 0, 1,
    };
    int status = cli_parse(&spec, argc, argv, &file, &n_args);
    if (status != CLI_GO) return status;
    if (!file && !o.prompt && !o.lab) o.prompt = first_prompt;

    struct cut_err err = { 0 };
    struct tui_term *term;
    struct tui_work *work;
    if (open_all(&term, &work, &o, file, &err)) return cli_error(&err);
    char models[4200];
    cli_models_folder(models, sizeof models);
    struct tui_app_opts app = {
        .ascii = o.ascii, .scheme = o.theme - 1, .prompt = o.prompt,
        .lab = o.lab, .labs = o.labs, .models = models, .model = file,
    };
    struct tui_latency l;
    tui_app_run(term, work, &app, &l);
    term->class->close(term);
    tui_work_free(work);
    if (o.latency) fprintf(stderr, "key to frame: median %.2f ms, 99th percentile %.2f ms over %d keys\n", l.median * 1e3, l.p99 * 1e3, l.n);
    return CLI_OK;
}
