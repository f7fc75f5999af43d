/* compare.c - `cutaway compare`: builds of a model side by side, from files or made in memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tui/cli/compare.h"

enum { MAX_BUILDS = 32, KL_POINTS = 2048 };

struct job {
    struct compare c;
    struct compare_entry entry[MAX_BUILDS];
    const char *file[MAX_BUILDS];      /* NULL: made in memory, */
    const struct cut_file_type *file_type[MAX_BUILDS];     /* of this file type, or (NULL) */
    enum cut_type type[MAX_BUILDS];    /* in this format */
    struct cut_imatrix *imatrix;
    struct cut_compare_opts o;
    bool show;                         /* progress, on a terminal */
    int at;
};

static bool progress(void *user, double part, const char *what) {
    const struct job *j = user;
    if (j->show) {
        fprintf(stderr, "\r\033[K%3.0f%%  %s  %s", 100 * (j->at + part) / j->c.n, j->entry[j->at].name, what);
        fflush(stderr);
    }
    return !cli_interrupted();
}

/* "models/pebble-q4_0.gguf": "pebble-q4_0" */
static void name_file(struct compare_entry *e, const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = strlen(name);
    if (n > 5 && !strcmp(name + n - 5, ".gguf")) n -= 5;
    snprintf(e->name, sizeof e->name, "%.*s", (int)(n < 60 ? n : 60), name);
}

/* A file type ("q4_K_M", "q4_0": what cutaway quantize would write), or a format ("q4_K": every matrix in it). */
static int list_type(struct job *j, const char *name) {
    int at = j->c.n;
    const struct cut_file_type *ft = cut_file_type_by_name(name);
    int type = ft ? (int)ft->type : cut_type_by_name(name);
    if (at == MAX_BUILDS) return cli_usage("compare", "more than %d builds", MAX_BUILDS);
    if (type < 0) return cli_usage("compare", "--types: \"%s\" is no file type and no number format", name);
    if (!cut_encodes((enum cut_type)type) || !cut_type_info((uint32_t)type)->runs)
        return cli_usage("compare", "--types: format %s cannot be written and run", name);
    j->file_type[at] = ft;
    j->type[at] = (enum cut_type)type;
    snprintf(j->entry[at].name, sizeof j->entry->name, "%s", ft ? ft->name : cut_type_info((uint32_t)type)->name);
    j->c.n++;
    return CLI_GO;
}

/* The builds asked for: the files, then those of --types. */
static int list_builds(struct job *j, const char *const *files, int n_files, const char *types) {
    for (int i = 0; i < n_files; i++) {
        j->file[i] = files[i];
        name_file(&j->entry[i], files[i]);
    }
    j->c.n = n_files;
    for (const char *p = types; p && *p;) {
        size_t len = strcspn(p, ",");
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)(len < 60 ? len : 60), p);
        int status = list_type(j, name);
        if (status != CLI_GO) return status;
        p += len + (p[len] == ',');
    }
    return CLI_GO;
}

static enum cut_type all(void *user, const struct cut_tensor_info *t) {
    (void)t;
    return *(const enum cut_type *)user;
}

static enum cut_status make(struct job *j, struct cut_model **m, const struct cut_model *ref, struct cut_err *err) {
    struct cut_quantize_opts o = { .file_type = j->file_type[j->at], .imatrix = j->imatrix, .pool = j->o.pool };
    if (j->file[j->at]) return cut_model_open(m, j->file[j->at], 0, err);
    if (o.file_type) return cut_model_quantize(m, ref, &o, progress, j, err);
    return cut_model_rebuild(m, ref, all, &j->type[j->at], j->o.pool, progress, j, err);
}

static enum cut_status measure(struct job *j, struct cut_err *err) {
    struct cut_model *ref = NULL;
    enum cut_status st = CUT_OK;
    for (j->at = 0; !st && j->at < j->c.n; j->at++) {
        struct cut_compare_row *row = &j->entry[j->at].row;
        struct cut_model *m = NULL;
        if (j->at && !(row->kl = calloc(KL_POINTS, sizeof *row->kl))) st = cut_fail(err, CUT_ENOMEM, "out of memory: plots");
        if (!st) st = make(j, &m, ref, err);
        if (!st) st = cut_compare(ref, m, j->c.text, &j->o, progress, j, row, err);
        if (j->at == 0) ref = m;
        else cut_model_close(m);
    }
    cut_model_close(ref);
    return st;
}

/* ---- files */

typedef void (*write_fn)(FILE *f, const struct compare *c, int which);
static void write_print(FILE *f, const struct compare *c, int which) { compare_print(f, c, (enum compare_format)which); }

static int write_file(const struct compare *c, const char *folder, const char *name, const char *ending, write_fn write, int which) {
    char path[4096];
    struct cut_save save;
    struct cut_err err;
    snprintf(path, sizeof path, "%s/%s.%s", folder, name, ending);
    enum cut_status st = cut_save_open(&save, path, &err);
    if (!st) write(save.f, c, which);
    if (!st) st = cut_save_close(&save, CUT_OK, &err);
    return st ? cli_error(&err) : CLI_OK;
}

static int write_folder(const struct compare *c, const char *folder) {
    if (mkdir(folder, 0777) && errno != EEXIST) {
        fprintf(stderr, "cutaway: %s: cannot make this folder: %s\n", folder, strerror(errno));
        return CLI_FILE;
    }
    static const char *const endings[] = { "txt", "md", "json", "csv" };       /* in the order of enum compare_format */
    int status = CLI_OK;
    for (int i = 0; !status && i < (int)(sizeof endings / sizeof *endings); i++)
        status = write_file(c, folder, "compare", endings[i], write_print, i);
    for (int i = 0; !status && i < COMPARE_PLOTS; i++) {
        if (i == 2 && !c->speeds) continue;
        status = write_file(c, folder, compare_plot_name(i), "txt", compare_plot_text, i);
        if (!status) status = write_file(c, folder, compare_plot_name(i), "svg", compare_plot_svg, i);
    }
    return status;
}

int cli_compare(int argc, char **argv) {
    struct job j = { .o = { .bench = { .p = 128, .n = 32, .r = 3 }, .kl_points = KL_POINTS } };
    const char *files[MAX_BUILDS], *types = NULL, *folder = NULL, *kernels = NULL, *imatrix = NULL;
    int n_files, chunk = 512, chunks = 0, threads = cut_cpu_count(), format = COMPARE_TABLE;
    bool no_speed = false, plots = false;
    const struct cli_opt opts[] = {
        { 'f', "text", "FILE", CLI_TEXT, &j.c.text, "the text to predict (needed)", 0, 0 },
        { 0, "types", "LIST", CLI_TEXT, &types, "file types to make from the first model, in memory: q8_0,q4_K_M", 0, 0 },
        { 0, "imatrix", "FILE", CLI_TEXT, &imatrix, "importance matrix for these", 0, 0 },
        { 0, "chunk", "N", CLI_INT, &chunk, "tokens in a chunk, of which the second half counts", 4, 1 << 24 },
        { 0, "chunks", "N", CLI_INT, &chunks, "at most N chunks, 0: all", 0, 1 << 24 },
        { 0, "no-speed", NULL, CLI_FLAG, &no_speed, "do not measure speed", 0, 0 },
        { 'p', "prefill", "N", CLI_INT, &j.o.bench.p, "tokens of prefill", 0, 1 << 20 },
        { 'n', "decode", "N", CLI_INT, &j.o.bench.n, "tokens of decode", 1, 1 << 20 },
        { 'r', "rounds", "N", CLI_INT, &j.o.bench.r, "rounds, of which the median counts", 1, 64 },
        { 0, "format", "table|markdown|json|csv", CLI_CHOICE, &format, "how to print", 0, 0 },
        { 0, "plots", NULL, CLI_FLAG, &plots, "print the plots, too", 0, 0 },
        { 'o', "out", "DIR", CLI_TEXT, &folder, "write all formats, and the plots as text and SVG, there", 0, 0 },
        { 't', "threads", "N", CLI_INT, &threads, "threads that compute", 1, 256 },
        { 0, "kernels", "TIER", CLI_TEXT, &kernels, "ref, avx2, avx512 or neon (default: the best here)", 0, 0 },
    };
    const struct cli_spec spec = {
        "compare", "MODEL.gguf... --text FILE [options]",
        "Compare builds of a model over a text: size, perplexity, KL divergence from the first (of which the others\n"
        "are builds, with the same vocabulary) and speed. With --types, builds are made in memory; no file is written.",
        opts, sizeof opts / sizeof *opts, 1, MAX_BUILDS,
    };
    int status = cli_parse(&spec, argc, argv, files, &n_files);
    if (status != CLI_GO) return status;
    if (!j.c.text) return cli_usage("compare", "--text FILE is needed: the text to predict");
    if ((status = list_builds(&j, files, n_files, types)) != CLI_GO) return status;
    if (j.c.n < 2) return cli_usage("compare", "one build: nothing to compare it with; name another model, or --types");
    struct cut_err err = { 0 };
    struct cut_pool *pool = NULL;
    if (kernels && cut_tier_parse(&j.o.tier, kernels, &err)) return cli_usage("compare", "--%s", err.msg);
    if (no_speed) j.o.bench.r = 0;
    j.c.entry = j.entry;
    j.c.speeds = !no_speed;
    j.c.chunk = j.o.text.chunk = chunk;
    j.o.text.max_chunks = chunks;
    j.show = isatty(STDERR_FILENO);
    cli_interrupt_arm();
    enum cut_status st = cut_pool_new(&pool, threads, &err);
    j.o.pool = pool;
    if (!st && imatrix) st = cut_imatrix_load(&j.imatrix, imatrix, &err);
    if (!st) st = measure(&j, &err);
    if (j.show) fprintf(stderr, "\r\033[K");
    if (st) {
        status = cli_error(&err);
    } else {
        compare_print(stdout, &j.c, (enum compare_format)format);
        for (int i = 0; plots && i < COMPARE_PLOTS; i++) {
            if (i == 2 && no_speed) continue;
            putchar('\n');
            compare_plot_text(stdout, &j.c, i);
        }
        status = cli_flush_stdout();
        if (status == CLI_OK && folder) status = write_folder(&j.c, folder);
    }
    for (int i = 0; i < j.c.n; i++) free(j.entry[i].row.kl);
    cut_imatrix_free(j.imatrix);
    cut_pool_free(pool);
    return status;
}
