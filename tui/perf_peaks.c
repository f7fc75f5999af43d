/* perf_peaks.c - the machine's peaks, kept on disk: they take seconds to measure and do not change until it is started again.
 *
 * One file in the cache folder, for one boot of one processor and one version of this program; a list in it, because what reading gives
 * depends on how much is read. */
#include <stdlib.h>
#include <string.h>

#include "tui/json.h"
#include "tui/perf_work.h"
#include "tui/screen/mem.h"

#define FORMAT "cutaway-peaks-1"
enum { MOST_BYTES = 1 << 18, MOST_ENTRIES = 8 };

struct store { char boot[64]; int n; struct tui_perf_kept entry[MOST_ENTRIES]; };

static bool path_of(char out[4200]) {
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (base && base[0] == '/') return snprintf(out, 4200, "%s/cutaway/peaks.json", base) < 4200;
    return home && home[0] == '/' && snprintf(out, 4200, "%s/.cache/cutaway/peaks.json", home) < 4200;
}

/* A number the system makes anew at every start; "" where it does not. */
static void boot_of(char out[64]) {
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");
    out[0] = 0;
    if (f && !fgets(out, 64, f)) out[0] = 0;
    if (f) fclose(f);
    out[strcspn(out, "\n")] = 0;
}

/* ---- reading: whatever is not as we write it counts as nothing kept */

static bool number(const struct tui_json *j, const char *key, double lo, double hi, double *out) {
    const struct tui_json *v = tui_json_get(j, key);
    if (!v || v->kind != TUI_JSON_NUMBER || !(v->number >= lo && v->number <= hi)) return false;
    *out = v->number;
    return true;
}

static bool is_text(const struct tui_json *j, const char *key, const char *want) {
    const struct tui_json *v = tui_json_get(j, key);
    return v && v->kind == TUI_JSON_STRING && !strcmp(v->text, want);
}

static bool read_entry(const struct tui_json *j, struct tui_perf_kept *e) {
    const struct tui_json *date = tui_json_get(j, "date"), *list = tui_json_get(j, "peaks"), *busy = tui_json_get(j, "busy");
    double v, kind, tier, threads;
    if (!number(j, "bytes", 1, 1e12, &v) || !date || date->kind != TUI_JSON_STRING || !list || list->kind != TUI_JSON_ARRAY) return false;
    e->bytes = (uint64_t)v;
    e->busy = busy && busy->kind == TUI_JSON_BOOL && busy->number != 0;
    snprintf(e->date, sizeof e->date, "%s", date->text);
    for (const struct tui_json *p = list->first; p; p = p->next) {
        struct cut_peak *k = &e->peaks.peak[e->peaks.n];
        if (e->peaks.n == (int)(sizeof e->peaks.peak / sizeof *e->peaks.peak)) return false;
        *k = (struct cut_peak){ .instruction = "" };
        if (!number(p, "kind", 0, CUT_PEAK_BF16, &kind) || !number(p, "tier", 0, CUT_TIER_COUNT - 1, &tier) ||
            !number(p, "threads", 1, 512, &threads) || !number(p, "rate", 1, 1e18, &k->rate) || !number(p, "median", 1, 1e18, &k->median))
            return false;
        k->kind = (enum cut_peak_kind)kind;
        k->tier = (enum cut_tier)tier;
        k->threads = (int)threads;
        e->peaks.n++;
    }
    return e->peaks.n > 0;
}

static void read_kept(struct store *k, const char *path, const struct tui_perf_machine *m) {
    char *bytes = tui_alloc(MOST_BYTES + 1, 1), cpus[16];
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(bytes, 1, MOST_BYTES + 1, f) : 0;
    struct tui_json *root = NULL;
    if (f) fclose(f);
    snprintf(cpus, sizeof cpus, "%d", m->cpus);
    if (n && n <= MOST_BYTES && !tui_json_parse(&root, path, bytes, n, NULL) && is_text(root, "format", FORMAT) &&
        is_text(root, "version", CUT_VERSION) && is_text(root, "boot", k->boot) && is_text(root, "processor", m->processor) &&
        is_text(root, "processors", cpus)) {
        const struct tui_json *list = tui_json_get(root, "read");
        for (const struct tui_json *j = list && list->kind == TUI_JSON_ARRAY ? list->first : NULL; j && k->n < MOST_ENTRIES; j = j->next) {
            k->entry[k->n] = (struct tui_perf_kept){ 0 };
            if (read_entry(j, &k->entry[k->n])) k->n++;
        }
    }
    tui_json_free(root);
    free(bytes);
}

bool tui_perf_peaks_read(struct tui_perf_kept *out, const struct tui_perf_machine *m, uint64_t bytes) {
    struct store *k = tui_alloc(1, sizeof *k);
    char path[4200];
    bool found = false;
    boot_of(k->boot);
    if (k->boot[0] && path_of(path)) read_kept(k, path, m);
    for (int i = 0; i < k->n && !found; i++)
        if ((found = k->entry[i].bytes == bytes)) *out = k->entry[i];
    free(k);
    return found;
}

void tui_perf_peaks_merge(struct cut_peaks *p, const struct cut_peaks *with) {
    for (int i = 0; i < p->n && i < with->n; i++) {            /* they are measured in the same order */
        struct cut_peak *a = &p->peak[i];
        const struct cut_peak *b = &with->peak[i];
        if (a->kind == b->kind && a->tier == b->tier && a->threads == b->threads && b->rate > a->rate) a->rate = b->rate;
    }
}

/* ---- writing */

static void put_str(struct cut_json *j, const char *key, const char *s) { cut_json_str(j, key, s, strlen(s)); }

static void put(FILE *f, const struct store *k, const struct tui_perf_machine *m) {
    struct cut_json j;
    char cpus[16];
    snprintf(cpus, sizeof cpus, "%d", m->cpus);
    cut_json_init(&j, f);
    cut_json_open(&j, NULL, '{');
    put_str(&j, "format", FORMAT);
    put_str(&j, "version", CUT_VERSION);
    put_str(&j, "boot", k->boot);
    put_str(&j, "processor", m->processor);
    put_str(&j, "processors", cpus);
    cut_json_open(&j, "read", '[');
    for (int i = 0; i < k->n; i++) {
        const struct tui_perf_kept *e = &k->entry[i];
        cut_json_open(&j, NULL, '{');
        cut_json_num(&j, "bytes", (double)e->bytes);
        put_str(&j, "date", e->date);
        cut_json_bool(&j, "busy", e->busy);
        cut_json_open(&j, "peaks", '[');
        for (int p = 0; p < e->peaks.n; p++) {
            const struct cut_peak *q = &e->peaks.peak[p];
            cut_json_open(&j, NULL, '{');
            j.inline_ = true;
            cut_json_int(&j, "kind", q->kind);
            cut_json_int(&j, "tier", q->tier);
            cut_json_int(&j, "threads", q->threads);
            cut_json_num(&j, "rate", q->rate);
            cut_json_num(&j, "median", q->median);
            cut_json_close(&j, '}');
            j.inline_ = false;
        }
        cut_json_close(&j, ']');
        cut_json_close(&j, '}');
    }
    cut_json_close(&j, ']');
    cut_json_close(&j, '}');
}

void tui_perf_peaks_keep(const struct tui_perf_kept *new, const struct tui_perf_machine *m) {
    struct store *k = tui_alloc(1, sizeof *k);
    char path[4200];
    struct cut_save save;
    int i = 0;
    boot_of(k->boot);
    if (k->boot[0] && path_of(path)) {
        read_kept(k, path, m);
        while (i < k->n && k->entry[i].bytes != new->bytes) i++;
        if (i == MOST_ENTRIES) memmove(k->entry, k->entry + 1, (size_t)(--i) * sizeof *k->entry);      /* the oldest goes */
        k->entry[i] = *new;
        if (i >= k->n) k->n = i + 1;
        tui_perf_make_folders(path);
        if (!cut_save_open(&save, path, NULL)) {
            put(save.f, k, m);
            cut_save_close(&save, CUT_OK, NULL);
        }
    }
    free(k);
}
