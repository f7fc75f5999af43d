/* convert.c - `cutaway convert-batch`: many models to one preset, each checked, with a record of what was done.
 *
 * The check is an inference: the source continues a prompt greedily; then the new file reads the same text and is asked, token
 * by token, what it would have said. The share of equal answers is the agreement (a number that one early difference does not ruin, as
 * it would a comparison of two continuations). */
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tui/cli/cli.h"
#include "tui/cli/quantize.h"
#include "tui/json.h"

enum { MAX_FILES = 64, CHECKED = 24 };     /* CHECKED: tokens continued */

enum outcome { FAILED, CONVERTED, KEPT };
static const char *const outcomes[] = { "failed", "converted", "kept" };

struct done {
    const char *source;
    char path[4096], sha[65];
    const char *name;          /* of the output, within its folder */
    const char *preset, *type, *prompt;        /* what it was made with, and tried on */
    enum outcome outcome;
    struct cut_err err;        /* of a failure */
    uint64_t from_bytes, bytes, weights, fallbacks;
    double seconds;
    bool tested;
    int tokens, agree;
    char untested[240];        /* why it could not be tried */
};

struct batch {
    const struct cli_preset *preset;
    const struct cut_file_type *type;
    const char *folder, *prompt;
    bool overwrite;
    struct cut_pool *pool;
    struct done file[MAX_FILES];
    int n;
    struct done *past;         /* what the folder holds from before, as its log tells; the texts are of `log` */
    int n_past;
    struct tui_json *log;
};

/* ---- trying a model */

struct run { struct cut_model *model; struct cut_session *session; };

static enum cut_status run_open(struct run *r, const char *path, struct cut_pool *pool, struct cut_err *err) {
    struct cut_session_opts o = { .n_ctx = 256, .pool = pool };
    enum cut_status st = cut_model_open(&r->model, path, 0, err);
    return st ? st : cut_session_new(&r->session, r->model, &o, err);
}

static void run_close(struct run *r) {
    cut_session_free(r->session);
    cut_model_close(r->model);
}

static int32_t best(const float *x, int n) {
    int at = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[at]) at = i;
    return at;
}

/* Continue the prompt with the likeliest tokens. ids has room; returns how many there are, prompt included. */
static enum cut_status continue_text(struct run *r, int32_t *ids, int *n, struct cut_err *err) {
    int n_vocab = cut_model_config(r->model)->n_vocab, from = 0;
    enum cut_status st = CUT_OK;
    enum cut_stop why;
    for (int i = 0; !st && i < CHECKED; i++) {
        st = cut_session_feed(r->session, 0, ids + from, *n - from, 0, err);
        if (!st) st = cut_session_run(r->session, &why, err);
        from = *n;
        if (!st) ids[(*n)++] = best(cut_session_logits(r->session, -1), n_vocab);
    }
    return st;
}

/* Read the same text: at how many of the continued tokens would this model have said the same? */
static enum cut_status count_agreement(struct run *r, const int32_t *ids, int n, int prompt, int *agree, struct cut_err *err) {
    int n_vocab = cut_model_config(r->model)->n_vocab;
    enum cut_stop why;
    enum cut_status st = cut_session_feed(r->session, 0, ids, n - 1, CUT_FEED_ALL_LOGITS, err);
    if (!st) st = cut_session_run(r->session, &why, err);
    for (int i = prompt; !st && i < n; i++) {
        const float *x = cut_session_logits(r->session, i - 1);
        if (!x || x[0] != x[0]) return cut_fail(err, CUT_EFILE, "no logits, or not numbers, at token %d", i - 1);
        *agree += best(x, n_vocab) == ids[i];
    }
    return st;
}

static void try_it(const struct batch *b, struct done *d) {
    struct run source = { 0 }, result = { 0 };
    int32_t *prompt = NULL, ids[256];
    size_t n_prompt = 0;
    struct cut_err err = { 0 };
    enum cut_status st = run_open(&source, d->source, b->pool, &err);
    if (!st) st = run_open(&result, d->path, b->pool, &err);
    if (!st) st = cut_vocab_encode(cut_model_vocab(source.model), b->prompt, strlen(b->prompt), CUT_ENCODE_BOS, &prompt, &n_prompt, &err);
    if (!st && (!n_prompt || n_prompt + CHECKED > 256))
        st = cut_fail(&err, CUT_EUSAGE, "the prompt is %zu tokens, 1 to %d", n_prompt, 256 - CHECKED);
    int n = (int)n_prompt;
    if (!st) {
        memcpy(ids, prompt, n_prompt * sizeof *ids);
        st = continue_text(&source, ids, &n, &err);
    }
    if (!st) st = count_agreement(&result, ids, n, (int)n_prompt, &d->agree, &err);
    d->tested = !st;
    d->tokens = n - (int)n_prompt;
    if (st) snprintf(d->untested, sizeof d->untested, "%s", err.msg);
    free(prompt);
    run_close(&source);
    run_close(&result);
}

/* ---- one file */

/* "models/pebble-f16.gguf" in q8_0 is "pebble-q8_0.gguf". */
static bool name_output(const struct batch *b, struct done *d) {
    static const char *const formats[] = { "-f16", "-f32", "-bf16", ".f16", ".f32", ".bf16" };
    const char *slash = strrchr(d->source, '/'), *base = slash ? slash + 1 : d->source;
    size_t len = strlen(base);
    if (len > 5 && !strcmp(base + len - 5, ".gguf")) len -= 5;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        size_t f = strlen(formats[i]);
        if (len > f && !strncmp(base + len - f, formats[i], f)) {
            len -= f;
            break;
        }
    }
    int n = snprintf(d->path, sizeof d->path, "%s/%.*s-%s.gguf", b->folder, (int)len, base, b->type->name);
    if (n < 0 || (size_t)n >= sizeof d->path) return false;
    d->name = d->path + strlen(b->folder) + 1;
    return true;
}

static enum cut_status measure(struct done *d, struct cut_err *err) {
    struct cut_gguf *g;
    enum cut_status st = cut_gguf_open(&g, d->path, CUT_GGUF_HEADER_ONLY, err);
    if (st) return st;
    d->bytes = cut_gguf_head(g)->file_bytes;
    for (uint64_t i = 0; i < cut_gguf_head(g)->n_tensors; i++) {
        const struct cut_tensor_info *t = cut_gguf_tensor(g, i);
        d->weights += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
    }
    cut_gguf_close(g);
    return cut_sha256_file(d->path, d->sha, err);
}

static enum cut_status convert(const struct batch *b, struct done *d, struct cut_err *err) {
    struct cut_quantize_opts o = { .file_type = b->type, .pool = b->pool };
    struct cut_gguf *g;
    struct cut_plan p;
    struct stat there;
    double start = cut_clock();
    enum cut_status st = cut_gguf_open(&g, d->source, 0, err);
    if (st) return st;
    d->from_bytes = cut_gguf_head(g)->file_bytes;
    st = cut_quantize_plan(&p, g, &o, err);
    if (!st) {
        d->fallbacks = p.n_fallback;
        cut_plan_done(&p);
    }
    cut_gguf_close(g);
    d->outcome = !b->overwrite && !stat(d->path, &there) ? KEPT : CONVERTED;
    if (!st && d->outcome == CONVERTED) {
        struct cli_progress show = { .start = start, .total = d->from_bytes, .scale = 1e6, .unit = "MB" };
        st = cut_quantize(d->source, d->path, &o, cli_progress, &show, err);
        cli_progress_end();
    }
    d->seconds = cut_clock() - start;
    if (!st) st = measure(d, err);
    if (!st) try_it(b, d);
    return st;
}

static void print_done(const struct done *d) {
    if (d->outcome == FAILED) {
        printf("%s: failed: %s\n", d->source, d->err.msg);
        return;
    }
    printf("%s: %s: %s, %.1f -> %.1f MB, %.2f bits per weight", d->source, outcomes[d->outcome], d->path, (double)d->from_bytes / 1e6,
           (double)d->bytes / 1e6, d->weights ? 8 * (double)d->bytes / (double)d->weights : 0);
    if (d->fallbacks) printf(", %llu fallbacks", (unsigned long long)d->fallbacks);
    if (d->tested) printf("; says the same at %d of %d tokens\n", d->agree, d->tokens);
    else printf("; not tried: %s\n", d->untested);
}

/* ---- the record */

/* All that the folder holds: what was there before, then what came now. */
static const struct done *file_at(const struct batch *b, int i) { return i < b->n_past ? &b->past[i] : &b->file[i - b->n_past]; }
static int n_files(const struct batch *b) { return b->n_past + b->n; }

static const char *text_of(const struct tui_json *j, const char *key) {
    const struct tui_json *v = tui_json_get(j, key);
    return v && v->kind == TUI_JSON_STRING ? v->text : NULL;
}

static double number_of(const struct tui_json *j, const char *key) {
    const struct tui_json *v = tui_json_get(j, key);
    return v && (v->kind == TUI_JSON_NUMBER || v->kind == TUI_JSON_BOOL) && v->number >= 0 && v->number < 1e18 ? v->number : 0;
}

/* An entry of an earlier log, if what it tells of is still there and is not made anew. */
static bool recall(const struct batch *b, const struct tui_json *log, const struct tui_json *j, struct done *d) {
    const char *sha = text_of(j, "sha256"), *why = text_of(j, "why_not");
    *d = (struct done){ .source = text_of(j, "source"), .name = text_of(j, "output"), .outcome = KEPT, .preset = text_of(j, "preset"),
                        .type = text_of(j, "file_type"), .prompt = text_of(j, "prompt") };
    if (!d->preset) d->preset = text_of(log, "preset");        /* in logs that name it once, for all */
    if (!d->type) d->type = text_of(log, "file_type");
    if (!d->prompt) d->prompt = text_of(log, "prompt");
    if (!d->source || !d->name || strchr(d->name, '/') || !sha || strlen(sha) != 64 || !d->preset || !d->type || !d->prompt) return false;
    for (int i = 0; i < b->n; i++)
        if (b->file[i].name && !strcmp(b->file[i].name, d->name)) return false;
    if (snprintf(d->path, sizeof d->path, "%s/%s", b->folder, d->name) >= (int)sizeof d->path || access(d->path, F_OK)) return false;
    memcpy(d->sha, sha, sizeof d->sha);
    snprintf(d->untested, sizeof d->untested, "%s", why ? why : "");
    d->from_bytes = (uint64_t)number_of(j, "source_bytes");
    d->bytes = (uint64_t)number_of(j, "bytes");
    d->weights = (uint64_t)number_of(j, "weights");
    d->fallbacks = (uint64_t)number_of(j, "fallbacks");
    d->seconds = number_of(j, "seconds");
    d->tested = number_of(j, "tried") != 0;
    d->tokens = (int)fmin(number_of(j, "tokens"), CHECKED);
    d->agree = (int)fmin(number_of(j, "agree"), CHECKED);
    return true;
}

/* A log that is missing, or is none, tells of nothing. */
static enum cut_status read_past(struct batch *b, struct cut_err *err) {
    char path[4200];
    size_t len;
    int n = 0;
    snprintf(path, sizeof path, "%s/log.json", b->folder);
    char *text = access(path, F_OK) ? NULL : cli_read_text(path, &len, NULL);
    if (text && tui_json_parse(&b->log, path, text, len, NULL)) b->log = NULL;
    free(text);
    const struct tui_json *list = tui_json_get(b->log, "files");
    if (!list || list->kind != TUI_JSON_ARRAY) return CUT_OK;
    for (const struct tui_json *j = list->first; j; j = j->next) n++;
    b->past = calloc((size_t)n + 1, sizeof *b->past);
    if (!b->past) return cut_fail(err, CUT_ENOMEM, "out of memory: the record of %s", b->folder);
    for (const struct tui_json *j = list->first; j; j = j->next) b->n_past += recall(b, b->log, j, &b->past[b->n_past]);
    return CUT_OK;
}

static void write_sums(FILE *f, const struct batch *b) {
    for (int i = 0; i < n_files(b); i++)
        if (file_at(b, i)->outcome != FAILED) fprintf(f, "%s  %s\n", file_at(b, i)->sha, file_at(b, i)->name);
}

static void log_one(struct cut_json *j, const struct done *d) {
    cut_json_open(j, NULL, '{');
    cut_json_str(j, "source", d->source, strlen(d->source));
    cut_json_str(j, "outcome", outcomes[d->outcome], strlen(outcomes[d->outcome]));
    cut_json_str(j, "preset", d->preset, strlen(d->preset));
    cut_json_str(j, "file_type", d->type, strlen(d->type));
    cut_json_str(j, "prompt", d->prompt, strlen(d->prompt));
    if (d->outcome == FAILED) {
        cut_json_str(j, "error", d->err.msg, strlen(d->err.msg));
    } else {
        cut_json_str(j, "output", d->name, strlen(d->name));
        cut_json_uint(j, "source_bytes", d->from_bytes);
        cut_json_uint(j, "bytes", d->bytes);
        cut_json_uint(j, "weights", d->weights);
        cut_json_uint(j, "fallbacks", d->fallbacks);
        cut_json_num(j, "seconds", d->seconds);
        cut_json_str(j, "sha256", d->sha, strlen(d->sha));
        cut_json_bool(j, "tried", d->tested);
        if (d->tested) {
            cut_json_int(j, "tokens", d->tokens);
            cut_json_int(j, "agree", d->agree);
        } else {
            cut_json_str(j, "why_not", d->untested, strlen(d->untested));
        }
    }
    cut_json_close(j, '}');
}

static void write_log(FILE *f, const struct batch *b) {
    struct cut_json j;
    char when[32];
    time_t now = time(NULL);
    struct tm tm;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    cut_json_init(&j, f);
    cut_json_open(&j, NULL, '{');
    cut_json_str(&j, "version", CUT_VERSION, strlen(CUT_VERSION));
    cut_json_str(&j, "time", when, strlen(when));
    cut_json_open(&j, "files", '[');
    for (int i = 0; i < n_files(b); i++) log_one(&j, file_at(b, i));
    cut_json_close(&j, ']');
    cut_json_close(&j, '}');
    fputc('\n', f);
}

/* The format, or the prompt, of all files; NULL: they differ. */
static const char *common(const struct batch *b, size_t member) {
    const char *first = NULL;
    for (int i = 0; i < n_files(b); i++) {
        const char *s = *(const char *const *)((const char *)file_at(b, i) + member);
        if (first && strcmp(first, s)) return NULL;
        first = s;
    }
    return first;
}

static void write_readme(FILE *f, const struct batch *b) {
    const char *type = common(b, offsetof(struct done, type)), *prompt = common(b, offsetof(struct done, prompt));
    fprintf(f, "# Models%s%s\n\nMade by `cutaway convert-batch` (Cutaway " CUT_VERSION ").\n\n", type ? " in " : "", type ? type : "");
    fprintf(f, "| file | preset | size (MB) | bits per weight | agreement | from |\n|---|---|---|---|---|---|\n");
    for (int i = 0; i < n_files(b); i++) {
        const struct done *d = file_at(b, i);
        const char *slash = strrchr(d->source, '/');
        if (d->outcome == FAILED) continue;
        fprintf(f, "| %s | %s | %.1f | %.2f | ", d->name, d->preset, (double)d->bytes / 1e6, d->weights ? 8 * (double)d->bytes / (double)d->weights : 0);
        if (d->tested) fprintf(f, "%d of %d", d->agree, d->tokens);
        else fprintf(f, "not tried");
        fprintf(f, " | %s (%.1f MB) |\n", slash ? slash + 1 : d->source, (double)d->from_bytes / 1e6);
    }
    fprintf(f, "\nAgreement: the source continued %s%s%s by %d tokens, the likeliest each time; at so many of them the new file would have\n"
               "said the same.\n\n", prompt ? "\"" : "", prompt ? prompt : "the prompt in the log", prompt ? "\"" : "", CHECKED);
    for (int i = 0; i < b->n; i++)
        if (b->file[i].outcome == FAILED) fprintf(f, "Failed: %s\n\n", b->file[i].err.msg);
    fprintf(f, "Check the files: `sha256sum -c SHA256SUMS`. What was done, in detail: `log.json`. Run one: `cutaway run FILE -p \"%s\"`.\n", b->prompt);
}

static enum cut_status write_text(const struct batch *b, const char *name, void (*fn)(FILE *, const struct batch *), struct cut_err *err) {
    char path[4200];
    struct cut_save save;
    snprintf(path, sizeof path, "%s/%s", b->folder, name);
    enum cut_status st = cut_save_open(&save, path, err);
    if (st) return st;
    fn(save.f, b);
    return cut_save_close(&save, CUT_OK, err);
}

/* ---- the command */

static int run_batch(struct batch *b) {
    struct cut_err err = { 0 };
    int failed = 0;
    bool stopped = false;
    for (int i = 0; i < b->n && !stopped; i++) {
        struct done *d = &b->file[i];
        enum cut_status st = CUT_OK;
        if (!name_output(b, d)) st = cut_fail(&d->err, CUT_EUSAGE, "the name is too long");
        for (int k = 0; !st && k < i; k++)
            if (b->file[k].name && !strcmp(b->file[k].name, d->name)) st = cut_fail(&d->err, CUT_EUSAGE, "it would become %s, as another does", d->name);
        if (!st) st = convert(b, d, &d->err);
        if (st) d->outcome = FAILED;
        stopped = st == CUT_ECANCEL || cli_interrupted();
        failed += st != CUT_OK;
        print_done(d);
        fflush(stdout);
        if (stopped) b->n = i + 1;
    }
    enum cut_status st = read_past(b, &err);
    if (!st) st = write_text(b, "SHA256SUMS", write_sums, &err);
    if (!st) st = write_text(b, "log.json", write_log, &err);
    if (!st) st = write_text(b, "README.md", write_readme, &err);
    if (st) return cli_error(&err);
    printf("%d of %d files, in %s\n", b->n - failed, b->n, b->folder);
    int status = cli_flush_stdout();
    return stopped ? CLI_INTERRUPTED : failed ? CLI_FILE : status;
}

int cli_convert(int argc, char **argv) {
    const char *args[MAX_FILES] = { 0 }, *preset = NULL;
    int n_args, threads = cut_cpu_count(), status;
    struct batch *b = calloc(1, sizeof *b);
    struct cut_err err = { 0 };
    if (!b) return CLI_NOMEM;
    b->prompt = "Once upon a time";
    const struct cli_opt opts[] = {
        { 0, "preset", "P", CLI_TEXT, &preset, "mobile, balanced, quality or production (cutaway quantize --presets)", 0, 0 },
        { 'o', "out", "DIR", CLI_TEXT, &b->folder, "folder for the results; made where it is missing", 0, 0 },
        { 'p', "prompt", "TEXT", CLI_TEXT, &b->prompt, "what source and result are tried on (default: Once upon a time)", 0, 0 },
        { 0, "overwrite", NULL, CLI_FLAG, &b->overwrite, "convert again what is there already", 0, 0 },
        { 't', "threads", "N", CLI_INT, &threads, "threads that compute", 1, 256 },
    };
    const struct cli_spec spec = {
        "convert-batch", "IN.gguf... --preset P --out DIR [options]",
        "Convert models, one after the other, and keep a record: each result is tried against its source; SHA256SUMS, log.json and\n"
        "README.md in DIR tell of all it holds, of earlier batches too. A file that fails is reported and the rest goes on; the exit status is then 2. Results that\n"
        "are there already are kept, and tried again.",
        opts, sizeof opts / sizeof *opts, 1, MAX_FILES,
    };
    status = cli_parse(&spec, argc, argv, args, &n_args);
    if (status == CLI_GO && (!preset || !b->folder)) status = cli_usage("convert-batch", "--preset and --out are needed");
    for (int i = 0; status == CLI_GO && !b->preset; i++) {
        if (!cli_preset_at(i)) status = cli_usage("convert-batch", "--preset %s: must be mobile, balanced, quality or production", preset);
        else if (!strcmp(cli_preset_at(i)->name, preset)) b->preset = cli_preset_at(i);
    }
    if (status == CLI_GO && mkdir(b->folder, 0777) && errno != EEXIST) {
        cut_fail(&err, CUT_ESYSTEM, "%s: cannot create the folder: %s", b->folder, strerror(errno));
        status = cli_error(&err);
    }
    if (status == CLI_GO && cut_pool_new(&b->pool, threads, &err)) status = cli_error(&err);
    if (status == CLI_GO) {
        b->type = cut_file_type_by_name(b->preset->file_type);
        for (b->n = 0; b->n < n_args; b->n++)
            b->file[b->n] = (struct done){ .source = args[b->n], .preset = b->preset->name, .type = b->type->name, .prompt = b->prompt };
        cli_interrupt_arm();
        status = run_batch(b);
    }
    cut_pool_free(b->pool);
    tui_json_free(b->log);
    free(b->past);
    free(b);
    return status;
}
