/* gate.c - has it become worse? A build of a model measured, and held against what was measured before.
 *
 * Quality is deterministic: perplexity over the same text differs only if something changed, so any rise beyond the limit counts.
 * Speed is not: a fall counts when the medians differ by more than the limit and, with four trials or more on both sides, chance
 * alone would hardly produce such ranks (Mann and Whitney 1947, p < 0.05). With fewer trials no chance is small enough, and the
 * limit alone decides.
 *
 * Records are kept as text, one "key: value" to a line and a line "---" after each, which YAML reads too. */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "engine/base/base.h"

/* ---- measuring */

/* The part of a job that another job's progress is. */
struct span { cut_progress_fn fn; void *user; double from, to; };
static bool within(void *user, double part, const char *what) {
    const struct span *s = user;
    return !s->fn || s->fn(s->user, s->from + (s->to - s->from) * part, what);
}

enum cut_status cut_gate_measure(struct cut_session *s, const char *text, const struct cut_bench_opts *o,
                                 cut_progress_fn progress, void *user,
                                 struct cut_gate_record *out, struct cut_err *err) {
    struct cut_gate_record r = { .p = o->p, .n = o->n };
    struct cut_perplexity_result quality = { 0 };
    struct cut_bench_result speed;
    struct span first = { progress, user, 0, text ? 0.5 : 0 }, second = { progress, user, first.to, 1 };
    double prefill[CUT_LEN(r.prefill.run)], decode[CUT_LEN(r.decode.run)];
    int most = (int)CUT_LEN(prefill);
    if (o->r < 1 || o->r > most) return cut_fail(err, CUT_EUSAGE, "%d trials: must be in [1, %d]", o->r, most);
    enum cut_status st = text ? cut_sha256_file(text, r.text, err) : CUT_OK;
    if (!st && text) st = cut_perplexity(s, text, within, &first, &quality, err);
    if (!st) st = cut_bench(s, o, within, &second, &speed, err);
    if (st) return st;
    for (int i = 0; i < o->r; i++) {
        prefill[i] = speed.round[i].prefill_tps;
        decode[i] = speed.round[i].decode_tps;
    }
    cut_speed_of(&r.prefill, prefill, o->p ? o->r : 0);
    cut_speed_of(&r.decode, decode, o->n ? o->r : 0);
    const struct cut_session_opts *so = cut_session_opts(s);
    struct cut_memory m = cut_session_memory(s);
    snprintf(r.model, sizeof r.model, "%s", cut_gguf_head(cut_model_gguf(cut_session_model(s)))->name);
    snprintf(r.kernels, sizeof r.kernels, "%s", cut_tier_name(so->tier == CUT_TIER_AUTO ? cut_tier_best() : so->tier));
    r.threads = so->pool ? cut_pool_size(so->pool) : 1;
    r.perplexity = quality.perplexity;
    r.memory = m.weights + m.panels + m.kv + m.activations + m.other;
    *out = r;
    return CUT_OK;
}

/* ---- records as text */

static void print_speed(FILE *f, const char *key, const struct cut_speed *s) {
    fprintf(f, "%s:", key);
    for (int i = 0; i < s->n; i++) fprintf(f, " %.6g", s->run[i]);
    fputc('\n', f);
}

static void print_record(FILE *f, const struct cut_gate_record *r) {
    fprintf(f, "model: %s\nkernels: %s\nthreads: %d\np: %d\nn: %d\nperplexity: %.9g\nmemory: %" PRIu64 "\n", r->model,
            r->kernels, r->threads, r->p, r->n, r->perplexity, r->memory);
    if (r->text[0]) fprintf(f, "text: %s\n", r->text);
    print_speed(f, "prefill", &r->prefill);
    print_speed(f, "decode", &r->decode);
    fputs("---\n", f);
}

enum cut_status cut_gate_write(const char *path, const struct cut_gate_record *r, int n, struct cut_err *err) {
    struct cut_save save;
    enum cut_status st = cut_save_open(&save, path, err);
    if (st) return st;
    for (int i = 0; i < n; i++) print_record(save.f, &r[i]);
    return cut_save_close(&save, CUT_OK, err);
}

static bool read_speed(const char *text, struct cut_speed *out) {
    double run[CUT_LEN(out->run)];
    int n = 0;
    for (char *end; text += strspn(text, " "), *text; text = end) {
        double v = strtod(text, &end);
        if (end == text || !(v > 0 && v < 1e15) || n == (int)CUT_LEN(run)) return false;
        run[n++] = v;
    }
    cut_speed_of(out, run, n);
    return true;
}

static bool read_number(const char *text, double min, double max, double *out) {
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !(v >= min && v <= max)) return false;
    *out = v;
    return true;
}

static bool read_field(struct cut_gate_record *r, const char *key, const char *value) {
    double v = 0;
    if (!strcmp(key, "model")) return snprintf(r->model, sizeof r->model, "%s", value) < (int)sizeof r->model;
    if (!strcmp(key, "kernels")) return snprintf(r->kernels, sizeof r->kernels, "%s", value) < (int)sizeof r->kernels;
    if (!strcmp(key, "text")) return snprintf(r->text, sizeof r->text, "%s", value) < (int)sizeof r->text;
    if (!strcmp(key, "prefill")) return read_speed(value, &r->prefill);
    if (!strcmp(key, "decode")) return read_speed(value, &r->decode);
    if (!strcmp(key, "perplexity")) return read_number(value, 0, 1e300, &r->perplexity);
    if (!strcmp(key, "threads")) { bool ok = read_number(value, 1, 256, &v); r->threads = (int)v; return ok; }
    if (!strcmp(key, "p")) { bool ok = read_number(value, 0, 1 << 24, &v); r->p = (int)v; return ok; }
    if (!strcmp(key, "n")) { bool ok = read_number(value, 0, 1 << 24, &v); r->n = (int)v; return ok; }
    if (!strcmp(key, "memory")) { bool ok = read_number(value, 0, 1e18, &v); r->memory = (uint64_t)v; return ok; }
    return false;
}

enum cut_status cut_gate_read(const char *path, struct cut_gate_record **out, int *n_out, struct cut_err *err) {
    struct cut_gate_record *list = NULL, r = { 0 };
    size_t cap = 0, n = 0;
    char line[600];
    int number = 0;
    enum cut_status st = CUT_OK;
    FILE *f = fopen(path, "r");
    if (!f) return cut_fail(err, CUT_EFILE, "%s: %s", path, strerror(errno));
    while (!st && fgets(line, sizeof line, f)) {
        number++;
        line[strcspn(line, "\r\n")] = 0;
        char *colon = strstr(line, ":");
        if (!line[0] || line[0] == '#') continue;
        if (!strcmp(line, "---")) {
            if (n >= 100000) st = cut_fail(err, CUT_EFILE, "%s: line %d: more than 100000 records", path, number);
            if (!st) st = cut_grow(&list, &cap, n, sizeof *list, "records", err);
            if (!st) list[n++] = r;
            r = (struct cut_gate_record){ 0 };
            continue;
        }
        if (colon) *colon = 0;
        if (!colon || !read_field(&r, line, colon + 1 + strspn(colon + 1, " ")))
            st = cut_fail(err, CUT_EFILE, "%s: line %d: \"%.60s\" is not what a record holds", path, number, line);
    }
    if (!st && ferror(f)) st = cut_fail(err, CUT_EFILE, "%s: %s", path, strerror(errno));
    if (!st && !n) st = cut_fail(err, CUT_EFILE, "%s: no record in it (each ends with a line \"---\")", path);
    fclose(f);
    if (st) {
        free(list);
        return st;
    }
    *out = list;
    *n_out = (int)n;
    return CUT_OK;
}

/* ---- comparing */

bool cut_gate_like(const struct cut_gate_record *a, const struct cut_gate_record *b) {
    bool other_text = a->text[0] && b->text[0] && strcmp(a->text, b->text);        /* its perplexity is another thing */
    return !other_text && !strcmp(a->model, b->model) && !strcmp(a->kernels, b->kernels) && a->threads == b->threads && a->p == b->p &&
           a->n == b->n;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bool cut_gate_usual(const struct cut_gate_record *past, int n, const struct cut_gate_record *now, struct cut_gate_record *out) {
    double perplexity[CUT_LEN(out->decode.run)], prefill[CUT_LEN(perplexity)], decode[CUT_LEN(perplexity)], memory[CUT_LEN(perplexity)];
    int have = 0;
    for (int i = n - 1; i >= 0 && have < (int)CUT_LEN(perplexity); i--) {      /* the latest count */
        if (!cut_gate_like(&past[i], now)) continue;
        perplexity[have] = past[i].perplexity;
        prefill[have] = past[i].prefill.median;
        decode[have] = past[i].decode.median;
        memory[have++] = (double)past[i].memory;
    }
    if (!have) return false;
    *out = *now;
    cut_speed_of(&out->prefill, prefill, now->p ? have : 0);
    cut_speed_of(&out->decode, decode, now->n ? have : 0);
    qsort(perplexity, (size_t)have, sizeof *perplexity, ascending);
    qsort(memory, (size_t)have, sizeof *memory, ascending);
    out->perplexity = perplexity[have / 2];
    out->memory = (uint64_t)memory[have / 2];
    return true;
}

const struct cut_gate_limits cut_gate_defaults = { .perplexity = 0.05, .speed = 0.10, .memory = 0.10 };

static bool speed_fell(const struct cut_speed *a, const struct cut_speed *b, double limit, double *chance) {
    *chance = cut_rank_test(a->run, a->n, b->run, b->n);
    return b->median < a->median * (1 - limit) && (*chance < 0.05 || cut_min(a->n, b->n) < 4);
}

int cut_gate_compare(const struct cut_gate_record *before, const struct cut_gate_record *now, const struct cut_gate_limits *l,
                     struct cut_gate_line line[CUT_GATE_LINES]) {
    int worse = 0;
    line[0] = (struct cut_gate_line){ "perplexity", before->perplexity, now->perplexity, 0, l->perplexity, 1,
                                      now->perplexity > before->perplexity * (1 + l->perplexity) };
    line[1] = (struct cut_gate_line){ .what = "prefill tokens/s", .before = before->prefill.median,
                                      .now = now->prefill.median, .limit = -l->speed };
    line[2] = (struct cut_gate_line){ .what = "decode tokens/s", .before = before->decode.median, .now = now->decode.median,
                                      .limit = -l->speed };
    line[3] = (struct cut_gate_line){ "memory bytes", (double)before->memory, (double)now->memory, 0, l->memory, 1,
                                      (double)now->memory > (double)before->memory * (1 + l->memory) };
    line[1].worse = speed_fell(&before->prefill, &now->prefill, l->speed, &line[1].chance);
    line[2].worse = speed_fell(&before->decode, &now->decode, l->speed, &line[2].chance);
    for (int i = 0; i < CUT_GATE_LINES; i++) {
        if (!(line[i].before > 0) || !(line[i].now > 0)) line[i].worse = false;        /* not measured both times */
        else line[i].change = line[i].now / line[i].before - 1;
        worse += line[i].worse;
    }
    return worse;
}
