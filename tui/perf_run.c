/* perf_run.c - runs on disk: written, read, listed, and compared.
 *
 * A run is what was measured with what on what: the model by the SHA-256 of its weights, the processor, the compiler, and for every
 * figure all its repetitions, for without them nobody could tell a difference from noise. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tui/json.h"
#include "tui/perf_work.h"
#include "tui/screen/mem.h"

#define FORMAT "cutaway-bench-1"
enum { MOST_BYTES = 1 << 20 };

/* ---- where */

bool tui_perf_folder(char out[4096]) {
    const char *base = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (base && base[0] == '/') return snprintf(out, 4096, "%s/cutaway/bench", base) < 4000;
    return home && home[0] == '/' && snprintf(out, 4096, "%s/.local/state/cutaway/bench", home) < 4000;
}

static int newest_first(const void *a, const void *b) { return strcmp(b, a); }

/* Runs are numbered, so their names sort by age. */
int tui_perf_list(char (*out)[24], int most) {
    char folder[4096];
    int n = 0, cap = 0;
    char (*all)[24] = NULL;
    DIR *d = tui_perf_folder(folder) ? opendir(folder) : NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        if (len < 6 || len > 20 || strcmp(e->d_name + len - 5, ".json")) continue;
        if (n == cap) all = tui_resize(all, (size_t)(cap = cap ? 2 * cap : 16), sizeof *all);
        snprintf(all[n++], 24, "%.*s", (int)(len - 5), e->d_name);
    }
    if (d) closedir(d);
    if (n) qsort(all, (size_t)n, sizeof *all, newest_first);
    if (n > most) n = most;
    if (n) memcpy(out, all, (size_t)n * sizeof *all);
    free(all);
    return n;
}

/* ---- writing */

static void put_str(struct cut_json *j, const char *key, const char *s) { cut_json_str(j, key, s, strlen(s)); }

static void put(FILE *f, const struct tui_perf_saved *s) {
    struct cut_json j;
    cut_json_init(&j, f);
    cut_json_open(&j, NULL, '{');
    put_str(&j, "format", FORMAT);
    put_str(&j, "name", s->name);
    put_str(&j, "date", s->date);
    put_str(&j, "model", s->model);
    put_str(&j, "type", s->type);
    put_str(&j, "weights_sha256", s->weights);
    put_str(&j, "processor", s->processor);
    put_str(&j, "governor", s->governor);
    put_str(&j, "compiler", s->compiler);
    put_str(&j, "version", CUT_VERSION);
    put_str(&j, "unit", "tokens/s");
    cut_json_open(&j, "figures", '[');
    for (int i = 0; i < s->n; i++) {
        cut_json_open(&j, NULL, '{');
        put_str(&j, "name", s->figure[i].name);
        cut_json_open(&j, "runs", '[');
        j.inline_ = true;
        for (int k = 0; k < s->figure[i].n; k++) cut_json_num(&j, NULL, s->figure[i].run[k]);
        cut_json_close(&j, ']');
        j.inline_ = false;
        cut_json_close(&j, '}');
    }
    cut_json_close(&j, ']');
    cut_json_close(&j, '}');
}

static enum cut_status system_error(struct cut_err *err, const char *path) { return cut_fail(err, CUT_ESYSTEM, "%s: %s", path, strerror(errno)); }

void tui_perf_make_folders(const char *path) {
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    for (char *p = folder + 1; (p = strchr(p, '/')); p++) {
        *p = 0;
        mkdir(folder, 0777);           /* what cannot be made shows when the file is */
        *p = '/';
    }
}

enum cut_status tui_perf_write(const struct tui_perf_saved *s, const char *path, struct cut_err *err) {
    struct cut_save save;
    tui_perf_make_folders(path);
    enum cut_status st = cut_save_open(&save, path, err);
    if (st) return st;
    put(save.f, s);
    return cut_save_close(&save, CUT_OK, err);
}

/* ---- reading */

static enum cut_status text(const struct tui_json *root, const char *path, const char *key, char *out, size_t size, struct cut_err *err) {
    const struct tui_json *j = tui_json_get(root, key);
    if (!j || j->kind != TUI_JSON_STRING) return cut_fail(err, CUT_EFILE, "%s: \"%s\" is missing, or no text", path, key);
    snprintf(out, size, "%s", j->text);
    return CUT_OK;
}

static enum cut_status figure(const struct tui_json *j, const char *path, int at, struct tui_perf_figure *out, struct cut_err *err) {
    const struct tui_json *runs = tui_json_get(j, "runs");
    enum cut_status st = text(j, path, "name", out->name, sizeof out->name, err);
    if (st) return st;
    if (!runs || runs->kind != TUI_JSON_ARRAY) return cut_fail(err, CUT_EFILE, "%s: figure %d \"%s\" has no runs", path, at, out->name);
    for (const struct tui_json *r = runs->first; r && out->n < TUI_PERF_RUNS; r = r->next) {
        if (r->kind != TUI_JSON_NUMBER || r->number < 0)
            return cut_fail(err, CUT_EFILE, "%s: figure %d \"%s\": run %d is no speed", path, at, out->name, out->n);
        out->run[out->n++] = r->number;
    }
    return out->n ? CUT_OK : cut_fail(err, CUT_EFILE, "%s: figure %d \"%s\" has no runs", path, at, out->name);
}

static enum cut_status take(const struct tui_json *root, const char *path, struct tui_perf_saved *s, struct cut_err *err) {
    char format[32] = "";
    const struct tui_json *list = tui_json_get(root, "figures");
    enum cut_status st = text(root, path, "format", format, sizeof format, err);
    if (!st && strcmp(format, FORMAT)) st = cut_fail(err, CUT_EFILE, "%s: format \"%s\": this reads " FORMAT, path, format);
    if (!st) st = text(root, path, "name", s->name, sizeof s->name, err);
    if (!st) st = text(root, path, "date", s->date, sizeof s->date, err);
    if (!st) st = text(root, path, "model", s->model, sizeof s->model, err);
    if (!st) st = text(root, path, "type", s->type, sizeof s->type, err);
    if (!st) st = text(root, path, "weights_sha256", s->weights, sizeof s->weights, err);
    if (!st) st = text(root, path, "processor", s->processor, sizeof s->processor, err);
    if (!st) st = text(root, path, "governor", s->governor, sizeof s->governor, err);
    if (!st) st = text(root, path, "compiler", s->compiler, sizeof s->compiler, err);
    if (!st && (!list || list->kind != TUI_JSON_ARRAY)) st = cut_fail(err, CUT_EFILE, "%s: \"figures\" is missing, or no list", path);
    for (const struct tui_json *j = st ? NULL : list->first; j && !st; j = j->next) {
        if (s->n == TUI_PERF_POINTS) return cut_fail(err, CUT_EFILE, "%s: more than %d figures", path, TUI_PERF_POINTS);
        st = figure(j, path, s->n, &s->figure[s->n], err);
        s->n++;
    }
    return st;
}

enum cut_status tui_perf_read(struct tui_perf_saved *out, const char *path, struct cut_err *err) {
    FILE *f = fopen(path, "rb");
    if (!f) return system_error(err, path);
    char *bytes = tui_alloc(MOST_BYTES + 1, 1);
    struct tui_json *root = NULL;
    struct tui_perf_saved *s = tui_alloc(1, sizeof *s);
    size_t n = fread(bytes, 1, MOST_BYTES + 1, f);
    enum cut_status st = ferror(f) ? system_error(err, path) : CUT_OK;
    fclose(f);
    if (!st && n > MOST_BYTES) st = cut_fail(err, CUT_EFILE, "%s: more than a megabyte: no saved run", path);
    if (!st) st = tui_json_parse(&root, path, bytes, n, err);
    if (!st) st = take(root, path, s, err);
    if (!st) *out = *s;
    tui_json_free(root);
    free(s);
    free(bytes);
    return st;
}

/* ---- comparing */

static void differ(char out[64], const char *what, const char *a, const char *b) {
    size_t n = strlen(out);
    if (strcmp(a, b)) snprintf(out + n, 64 - n, "%s%s", n ? ", " : "", what);
}

static double median(const struct tui_perf_figure *f) {
    struct cut_speed s;
    cut_speed_of(&s, f->run, f->n);
    return s.median;
}

enum cut_status tui_perf_compare(struct tui_perf_diff *out, const struct tui_perf_saved *before, const struct tui_perf_saved *after,
                                 struct cut_err *err) {
    struct tui_perf_diff d = { 0 };
    if (strcmp(before->weights, after->weights))
        return cut_fail(err, CUT_EUSAGE, "run %s is of other weights: %s %s (%.8s..), and this is %s %s (%.8s..)", before->name, before->model,
                        before->type, before->weights, after->model, after->type, after->weights);
    snprintf(d.before, sizeof d.before, "%s", before->name);
    snprintf(d.date, sizeof d.date, "%s", before->date);
    differ(d.differs, "processor", before->processor, after->processor);
    differ(d.differs, "governor", before->governor, after->governor);
    differ(d.differs, "compiler", before->compiler, after->compiler);
    for (int i = 0; i < after->n; i++) {
        const struct tui_perf_figure *a = &after->figure[i], *b = NULL;
        for (int k = 0; k < before->n && !b; k++)
            if (!strcmp(before->figure[k].name, a->name)) b = &before->figure[k];
        if (!b) continue;
        struct tui_perf_change *c = &d.change[d.n++];
        *c = (struct tui_perf_change){ .before = median(b), .after = median(a), .n_before = b->n, .n_after = a->n,
                                       .p = cut_rank_test(b->run, b->n, a->run, a->n) };
        memcpy(c->name, a->name, sizeof c->name);
        c->significant = c->p < 0.05;
    }
    if (!d.n) return cut_fail(err, CUT_EUSAGE, "run %s has no figure that was measured now: it has %s ..", before->name,
                              before->n ? before->figure[0].name : "none");
    *out = d;
    return CUT_OK;
}
