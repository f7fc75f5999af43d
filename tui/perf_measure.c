/* perf_measure.c - what is next in the plan, measured: a slice of work at a time; and runs, written and compared. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tui/perf_plan.h"
#include "tui/screen/mem.h"

#ifdef __clang__
#define COMPILER __VERSION__           /* begins with its name */
#else
#define COMPILER "gcc " __VERSION__
#endif

static bool noise_is_over(const struct tui_perf_work *w) { return w->noise && cut_clock() > w->now.load_ends; }

static bool progress(void *user, double part, const char *what) {
    struct tui_perf_work *w = user;
    w->part = part;
    snprintf(w->what, sizeof w->what, "%s", what ? what : "");
    w->stopped = w->stopped || w->host.pause(w->host.user) || noise_is_over(w);      /* half of it beside a load would be neither */
    return !w->stopped;
}

static enum cut_status begin_load(struct tui_perf_work *w, const struct tui_perf_item *it, struct cut_err *err) {
    tui_perf_end_noise(w);
    enum cut_status st = tui_perf_noise_begin(&w->noise, it->load, &w->now.machine, err);
    if (st) return st;
    w->now.load = it->load;
    w->now.load_ends = cut_clock() + TUI_PERF_LOAD_SECONDS;
    return CUT_OK;
}

static enum cut_status measure_peaks(struct tui_perf_work *w, const struct tui_perf_item *it, struct cut_err *err) {
    struct tui_perf *n = &w->now;
    struct cut_peaks_opts o = { .bytes = tui_perf_bytes_to_read(n) };
    time_t now = time(NULL);
    struct tm tm;
    if (it->quick) o = (struct cut_peaks_opts){ .seconds = 1e-5, .bytes = 1 << 16, .threads = 2 };
    struct tui_perf_kept *kept = tui_alloc(1, sizeof *kept);
    enum cut_status st = cut_peaks(&kept->peaks, &o, progress, w, err);
    if (!st) {
        if (n->peaks_bytes == o.bytes) tui_perf_peaks_merge(&kept->peaks, &n->peaks);
        kept->bytes = n->peaks_bytes = o.bytes;
        kept->busy = n->peaks_busy = tui_perf_busy(&n->machine);
        if (localtime_r(&now, &tm)) strftime(kept->date, sizeof kept->date, "%Y-%m-%d %H:%M", &tm);
        snprintf(n->peaks_date, sizeof n->peaks_date, "%s", kept->date);
        n->peaks = kept->peaks;
        if (!it->quick) tui_perf_peaks_keep(kept, &n->machine);
    }
    free(kept);
    return st;
}

/* What cannot be counted is not a number; and the plan goes on. */
static enum cut_status count(struct tui_perf_work *w, const struct tui_perf_item *it, struct cut_err *err) {
    int type = tui_perf_main_type(&w->now);
    struct cut_instructions i;
    struct cut_instructions_opts o = { .type = (enum cut_type)type, .tier = it->tier, .tokens = 1 };
    enum cut_status st = type < 0 ? CUT_EUSAGE : cut_instructions(&i, &o, progress, w, err);
    if (st == CUT_ECANCEL) return st;
    w->now.instructions[it->tier] = st ? NAN : (double)i.total / (double)i.weights;
    w->now.counted[it->tier] = true;
    if (!st) cut_instructions_done(&i);
    return CUT_OK;
}

static enum cut_status code(struct tui_perf_work *w, const struct tui_perf_item *it, struct cut_err *err) {
    struct tui_perf_code *c;
    enum cut_status st = tui_perf_code_take(&c, &it->code, progress, w, err);
    if (st) return st;
    tui_perf_code_free(w->now.code);
    w->now.code = c;
    return CUT_OK;
}

static enum cut_status measure_same(struct tui_perf_work *w, const struct tui_perf_item *it, struct cut_err *err) {
    struct tui_perf_same r = { .tier = it->tier, .threads = it->threads };
    struct cut_same_side a = { .tier = w->now.same_tier, .threads = 1, .reduce = tui_perf_reduce(it->ways), .attn = tui_perf_attn(it->ways) }, b = a;
    b.tier = it->tier;
    b.threads = it->threads;
    if (w->now.n_same == TUI_PERF_SIDES) return CUT_OK;
    enum cut_status st = cut_same_bytes(w->host.model, &a, &b, it->tokens, progress, w, &r.at, err);
    if (!st) w->now.same[w->now.n_same++] = r;
    return st;
}

/* Keep a point, in the place of an older one of the same kind. */
static void keep(struct tui_perf_work *w, const struct tui_perf_point *q) {
    struct tui_perf *n = &w->now;
    int i = 0;
    for (; i < n->n_points; i++) {
        const struct tui_perf_point *o = &n->point[i];
        if (o->prefill == q->prefill && o->tier == q->tier && o->threads == q->threads && o->depth == q->depth && o->seqs == q->seqs &&
            o->ways == q->ways && o->load == q->load && !strcmp(o->where, q->where) && (!q->prefill || o->tokens == q->tokens)) break;
    }
    if (i == TUI_PERF_POINTS) memmove(n->point, n->point + 1, (size_t)(--i) * sizeof *n->point);      /* the oldest goes */
    struct tui_perf_point fresh = *q;
    if (i < n->n_points && isnan(q->ulps)) fresh.ulps = n->point[i].ulps;
    n->point[i] = fresh;
    if (i >= n->n_points) n->n_points = i + 1;
}

struct cut_sweep_opts tui_perf_sweep_of(const struct tui_perf_item *it) {
    return (struct cut_sweep_opts){ .threads = it->threads, .tier = it->tier, .prefill = it->prefill, .tokens = it->tokens, .rounds = it->rounds,
                                    .depth = it->depth, .n_seq = it->seqs, .reduce = tui_perf_reduce(it->ways),
                                    .attn = tui_perf_attn(it->ways) };
}

static enum cut_status measure_point(struct tui_perf_work *w, const struct tui_perf_item *it, struct cut_err *err) {
    struct tui_perf_point q = { .prefill = it->prefill, .tier = it->tier, .threads = it->threads, .depth = it->depth,
                                .seqs = it->seqs, .ways = it->ways, .tokens = it->tokens, .load = w->now.load, .ulps = NAN };
    int cpu[sizeof it->pin.cpu / sizeof *it->pin.cpu];
    for (int i = 0; i < it->pin.n; i++) cpu[i] = it->pin.cpu[i];
    tui_perf_pin_text(&it->pin, q.where);
    int n_vocab = w->now.config.n_vocab;
    float **room = it->tier == CUT_TIER_REF ? &w->ref[it->prefill] : &w->other;
    if (it->logits && !*room) *room = tui_alloc((size_t)n_vocab, sizeof **room);
    struct cut_sweep_opts o = tui_perf_sweep_of(it);
    o.cpu = cpu;
    o.n_cpu = it->pin.n;
    o.logits = it->logits ? *room : NULL;
    enum cut_status st = cut_sweep_one(w->host.model, &o, progress, w, &q.at, err);
    if (st) return st;
    if (it->logits && it->tier == CUT_TIER_REF) q.ulps = 0;
    else if (it->logits && w->ref[it->prefill]) q.ulps = cut_ulps_apart(w->ref[it->prefill], w->other, n_vocab);
    keep(w, &q);
    return CUT_OK;
}

static enum cut_status measure_steps(struct tui_perf_work *w, const struct tui_perf_item *it, struct cut_err *err) {
    struct tui_perf_profile *p;
    struct tui_perf_profile_opts o = { .prefill = it->prefill, .tier = it->tier, .threads = it->threads, .tokens = it->tokens,
                                       .ways = it->ways, .passes = it->rounds, .slowest = w->noise != NULL, .pin = &it->pin };
    enum cut_status st = tui_perf_profile_take(&p, w->host.model, &o, progress, w, err);
    if (st) return st;
    p->load = w->now.load;
    tui_perf_profile_free(w->now.profile[it->prefill]);
    w->now.profile[it->prefill] = p;
    return CUT_OK;
}

/* ---- runs */

/* SHA-256 over the tensors: name, format, shape, bytes. Metadata may be edited; it changes no speed. */
static enum cut_status hash(struct tui_perf_work *w, struct cut_err *err) {
    const struct cut_gguf *g = cut_model_gguf(w->host.model);
    struct cut_sha256 h;
    double done = 0;
    cut_sha256_init(&h);
    for (uint64_t i = 0; i < cut_gguf_head(g)->n_tensors; i++) {
        const struct cut_tensor_info *t = cut_gguf_tensor(g, i);
        char head[256];
        int n = snprintf(head, sizeof head, "%s %d %llu %llu %llu %llu\n", t->name, (int)t->type, (unsigned long long)t->ne[0],
                         (unsigned long long)t->ne[1], (unsigned long long)t->ne[2], (unsigned long long)t->ne[3]);
        cut_sha256_add(&h, head, n < (int)sizeof head ? (size_t)n : sizeof head - 1);
        for (uint64_t at = 0; at < t->bytes; at += 4u << 20) {
            uint64_t part = t->bytes - at < 4u << 20 ? t->bytes - at : 4u << 20;
            cut_sha256_add(&h, (const char *)t->data + at, (size_t)part);
            done += (double)part;
            if (!progress(w, done / ((double)w->now.config.weight_bytes + 1), "reading the weights")) return cut_fail(err, CUT_ECANCEL, "stopped");
        }
    }
    cut_sha256_done(&h, w->hash);
    return CUT_OK;
}

static void figures(const struct tui_perf_work *w, struct tui_perf_saved *s) {
    const struct tui_perf *n = &w->now;
    time_t now = time(NULL);
    struct tm tm;
    *s = (struct tui_perf_saved){ .n = n->n_points };
    if (gmtime_r(&now, &tm)) strftime(s->date, sizeof s->date, "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(s->model, sizeof s->model, "%s", n->model);
    snprintf(s->type, sizeof s->type, "%s", n->type);
    snprintf(s->weights, sizeof s->weights, "%s", w->hash);
    snprintf(s->governor, sizeof s->governor, "%s", n->machine.governor);
    snprintf(s->processor, sizeof s->processor, "%s", n->machine.processor);
    snprintf(s->compiler, sizeof s->compiler, "%.60s", COMPILER);
    for (int i = 0; i < n->n_points; i++) {
        tui_perf_point_name(&n->point[i], s->figure[i].name);
        s->figure[i].n = n->point[i].at.tps.n;
        memcpy(s->figure[i].run, n->point[i].at.tps.run, sizeof n->point[i].at.tps.run);
    }
}

static enum cut_status save(struct tui_perf_work *w, char said[160], struct cut_err *err) {
    char folder[4096], path[4200], newest[1][24];
    struct tui_perf_saved *s = tui_alloc(1, sizeof *s);
    enum cut_status st = tui_perf_folder(folder) ? CUT_OK : cut_fail(err, CUT_EUSAGE, "neither XDG_STATE_HOME nor HOME says where runs are kept");
    int number = tui_perf_list(newest, 1) ? atoi(newest[0]) + 1 : 1;
    figures(w, s);
    snprintf(s->name, sizeof s->name, "%04d", number);
    snprintf(path, sizeof path, "%s/%s.json", folder, s->name);
    if (!st) st = tui_perf_write(s, path, err);
    if (!st) snprintf(said, 160, "run %s saved: %d figures in %.100s", s->name, s->n, path);
    free(s);
    return st;
}

static enum cut_status compare(struct tui_perf_work *w, const char *path, struct cut_err *err) {
    struct tui_perf_saved *before = tui_alloc(1, sizeof *before), *after = tui_alloc(1, sizeof *after);
    enum cut_status st = tui_perf_read(before, path, err);
    figures(w, after);
    if (!st) st = tui_perf_compare(&w->now.diff, before, after, err);
    if (!st) w->now.has_diff = true;
    free(before);
    free(after);
    return st;
}

/* ---- slices */

static enum cut_status measure(struct tui_perf_work *w, const struct tui_perf_item *it, char said[160], struct cut_err *err) {
    switch (it->kind) {
    case ITEM_PEAKS: return measure_peaks(w, it, err);
    case ITEM_POINT: return measure_point(w, it, err);
    case ITEM_STEPS: return measure_steps(w, it, err);
    case ITEM_LOAD: return begin_load(w, it, err);
    case ITEM_COUNT: return count(w, it, err);
    case ITEM_SAME: return measure_same(w, it, err);
    case ITEM_HASH: return hash(w, err);
    case ITEM_SAVE: return save(w, said, err);
    case ITEM_COMPARE: return compare(w, it->path, err);
    case ITEM_CODE: return code(w, it, err);
    }
    return CUT_OK;
}

enum cut_status tui_perf_slice(struct tui_perf_work *w, char said[160], struct cut_err *err) {
    if (!w->n_items) return CUT_OK;
    struct tui_perf_item it = w->item[0];
    w->stopped = false;
    if (noise_is_over(w)) tui_perf_end_noise(w);
    w->item_since = cut_clock();
    w->part = 0;
    w->what[0] = 0;
    enum cut_status st = measure(w, &it, said, err);
    if (st == CUT_ECANCEL && w->stopped) return CUT_OK;        /* later again, or never: whoever stopped it knows */
    tui_perf_machine_read(&w->now.machine);
    w->cost_done += it.cost;
    memmove(w->item, w->item + 1, (size_t)--w->n_items * sizeof *w->item);
    w->part = 0;                                               /* of the next, which has not begun */
    w->what[0] = 0;
    if (st) w->n_items = 0;                                    /* what follows would mostly fail, too */
    return st;
}
