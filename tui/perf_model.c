/* perf_model.c - what follows from the numbers: roofs, predictions, the best number of threads and why. */
#include <math.h>
#include <string.h>

#include "tui/perf_work.h"

/* ---- points */

static int tokens_of(const struct tui_perf *p, bool prefill) { return prefill ? p->prefill_tokens : p->decode_tokens; }

/* A range for neighbours, a comma between the others. */
const char *tui_perf_pin_text(const struct tui_perf_pin *pin, char out[TUI_PERF_WHERE]) {
    int n = 0;
    out[0] = 0;
    for (int i = 0, last; i < pin->n; i = last + 1) {
        for (last = i; last + 1 < pin->n && pin->cpu[last + 1] == pin->cpu[last] + 1;) last++;
        char part[24];
        int w = last == i ? snprintf(part, sizeof part, "%s%d", i ? "," : "", pin->cpu[i])
                          : snprintf(part, sizeof part, "%s%d-%d", i ? "," : "", pin->cpu[i], pin->cpu[last]);
        if (n + w > TUI_PERF_WHERE - 10) { snprintf(out + n, (size_t)(TUI_PERF_WHERE - n), ",.. (%d)", pin->n); break; }
        memcpy(out + n, part, (size_t)w + 1);
        n += w;
    }
    return out;
}

const char *tui_perf_load_name(enum tui_perf_load l) {
    static const char *const names[TUI_PERF_LOADS] = { "none", "arithmetic on one processor", "arithmetic on every processor", "reading memory" };
    return names[l];
}

const char *tui_perf_ways(unsigned ways) {
    static const char *const names[] = { "", ", split-k", ", heads", ", split-k, heads" };
    return names[ways & (TUI_PERF_SPLIT_K | TUI_PERF_BY_HEADS)];
}

static const struct tui_perf_point *find(const struct tui_perf *p, const struct tui_perf_point *like) {
    for (int i = 0; i < p->n_points; i++) {
        const struct tui_perf_point *q = &p->point[i];
        bool same = q->prefill == like->prefill && q->tier == like->tier && q->threads == like->threads && q->depth == like->depth && q->seqs == like->seqs &&
                    q->ways == like->ways && q->load == like->load && !strcmp(q->where, like->where);
        if (same && (!like->prefill || q->tokens == tokens_of(p, true))) return q;
    }
    return NULL;
}

const struct tui_perf_point *tui_perf_find(const struct tui_perf *p, bool prefill, enum cut_tier tier, int threads, int depth) {
    struct tui_perf_point like = { .prefill = prefill, .tier = tier, .threads = threads, .depth = depth, .seqs = 1,
                                    .ways = p->ways, .load = p->load };
    tui_perf_pin_text(&p->pin, like.where);
    return find(p, &like);
}

const struct tui_perf_point *tui_perf_find_batch(const struct tui_perf *p, int seqs) {
    struct tui_perf_point like = { .tier = p->tier, .threads = p->threads, .seqs = seqs, .ways = p->ways, .load = p->load };
    tui_perf_pin_text(&p->pin, like.where);
    return find(p, &like);
}

const struct tui_perf_point *tui_perf_undisturbed(const struct tui_perf *p, const struct tui_perf_point *q) {
    struct tui_perf_point like = *q;
    like.ways = 0;
    like.load = TUI_PERF_QUIET;
    like.where[0] = 0;
    return find(p, &like);
}

const char *tui_perf_point_name(const struct tui_perf_point *p, char out[TUI_PERF_NAME]) {
    size_t size = TUI_PERF_NAME, n = 0;
    n += (size_t)(p->prefill ? snprintf(out, size, "prefill %d", p->tokens) : snprintf(out, size, "decode"));
    if (p->seqs > 1) n += (size_t)snprintf(out + n, size - n, " of %d sequences", p->seqs);
    if (p->depth) n += (size_t)snprintf(out + n, size - n, " behind %d", p->depth);
    n += (size_t)snprintf(out + n, size - n, ", %d thread%s, %s", p->threads, p->threads == 1 ? "" : "s", cut_tier_name(p->tier));
    n += (size_t)snprintf(out + n, size - n, "%s", tui_perf_ways(p->ways));
    if (p->where[0]) n += (size_t)snprintf(out + n, size - n, ", on %s", p->where);
    if (p->load) snprintf(out + n, size - n, ", beside %s", tui_perf_load_name(p->load));
    return out;
}

bool tui_perf_busy(const struct tui_perf_machine *m) { return m->load > 0.5 + 0.25 * m->cpus; }

/* ---- roofs */

enum cut_peak_kind tui_perf_peak_kind(int weight) {
    if (weight < 0 || weight == CUT_F32 || weight == CUT_F16) return CUT_PEAK_F32;
    return weight == CUT_BF16 ? CUT_PEAK_BF16 : CUT_PEAK_INT8;
}

double tui_perf_read_peak(const struct tui_perf *p) {
    double best = 0;
    for (int i = 0; i < p->peaks.n; i++)
        if (p->peaks.peak[i].kind == CUT_PEAK_READ) best = fmax(best, p->peaks.peak[i].rate);
    return best;
}

/* Floats where the kernels have no instruction of the kind: a processor without bf16 products widens bf16 to floats. */
double tui_perf_op_peak(const struct tui_perf *p, enum cut_peak_kind kind) {
    enum cut_tier tier = p->tier == CUT_TIER_REF || p->tier == CUT_TIER_AUTO ? cut_tier_best() : p->tier;
    int most = 0;
    for (int i = 0; i < p->peaks.n; i++)
        if (p->peaks.peak[i].kind != CUT_PEAK_READ && p->peaks.peak[i].threads > most) most = p->peaks.peak[i].threads;
    double rate = cut_peak_rate(&p->peaks, kind, tier, most);
    return rate > 0 || kind == CUT_PEAK_F32 ? rate : cut_peak_rate(&p->peaks, CUT_PEAK_F32, tier, most);
}

/* By the matrices of a profile, weighted by their bytes; else by the name of the file's format. */
int tui_perf_main_type(const struct tui_perf *p) {
    const struct tui_perf_profile *f = p->profile[p->prefill] ? p->profile[p->prefill] : p->profile[!p->prefill];
    double bytes[CUT_TYPE_COUNT] = { 0 };
    int best = -1;
    for (int i = 0; f && i < f->n_steps; i++)
        if (f->step[i].weight >= 0) bytes[f->step[i].weight] += (double)f->step[i].bytes;
    for (int t = 0; t < CUT_TYPE_COUNT; t++)
        if (bytes[t] > 0 && (best < 0 || bytes[t] > bytes[best])) best = t;
    for (int t = 0; best < 0 && t < CUT_TYPE_COUNT; t++) {
        const struct cut_type_info *info = cut_type_info((enum cut_type)t);
        if (info && info->name && !strcmp(info->name, p->type)) return t;
    }
    return best;
}

/* Bytes of a token of decode, and operations of a token of prefill, from any point or profile that counted them. */
static double bytes_of_decode(const struct tui_perf *p) {
    for (int i = 0; i < p->n_points; i++)
        if (!p->point[i].prefill && !p->point[i].depth && p->point[i].seqs == 1) return (double)p->point[i].at.bytes;
    double sum = 0;
    const struct tui_perf_profile *f = p->profile[0];
    for (int i = 0; f && i < f->n_steps; i++) sum += (double)f->step[i].bytes;
    return sum;
}

static double flops_of_prefill(const struct tui_perf *p) {
    double sum = 0;
    const struct tui_perf_profile *f = p->profile[1];
    for (int i = 0; f && i < f->n_steps; i++) sum += (double)f->step[i].flops;
    return f ? sum / f->n_tokens : 2.0 * (double)p->config.n_params;
}

double tui_perf_roof(const struct tui_perf *p) {
    if (p->prefill) return tui_perf_op_peak(p, tui_perf_peak_kind(tui_perf_main_type(p))) / flops_of_prefill(p);
    double bytes = bytes_of_decode(p);
    return bytes > 0 ? tui_perf_read_peak(p) / bytes : 0;
}

double tui_perf_predict(double tps0, double bytes0, double cell_bytes, double cell_seconds, double cells) {
    if (!(bytes0 > 0) || !(tps0 > 0)) return 0;
    return 1 / (1 / tps0 + cells * fmax(cell_bytes / (tps0 * bytes0), cell_seconds));
}

/* A peak is that of all processors. */
static double with_threads_set(const struct tui_perf *p, double peak) {
    return p->threads < p->machine.cpus ? peak * p->threads / p->machine.cpus : peak;
}

double tui_perf_predict_batch(const struct tui_perf *p, const struct tui_perf_point *one, int n) {
    double seconds = 1 / one->at.tps.median, weights = (double)one->at.weights, cells = (double)p->cell_bytes * one->tokens / 2;
    double reading = seconds * weights / (weights + cells), flops = (double)one->at.flops;
    double peak = with_threads_set(p, tui_perf_op_peak(p, tui_perf_peak_kind(tui_perf_main_type(p))));
    if (p->tier == CUT_TIER_REF) peak = flops / reading;       /* far from any peak: arithmetic is all it does */
    return peak > 0 && weights > 0 ? n / (fmax(reading, n * flops / peak) + n * (seconds - reading)) : 0;
}

double tui_perf_cell_seconds(const struct tui_perf *p) {
    double peak = with_threads_set(p, tui_perf_op_peak(p, CUT_PEAK_F32)), flops = 4.0 * p->config.n_head * p->config.head_dim * p->config.n_layer;
    return p->tier == CUT_TIER_REF || !(peak > 0) ? 0 : flops / peak;
}

/* ---- threads */

bool tui_perf_best(const struct tui_perf *p, struct cut_usl *fit, int *best, char why[160]) {
    int threads[TUI_PERF_POINTS], n = 0;
    double tps[TUI_PERF_POINTS], roof = tui_perf_roof(p);
    for (int t = 1; t <= 512 && n < TUI_PERF_POINTS; t++) {
        const struct tui_perf_point *q = t > p->machine.cpus ? NULL : tui_perf_find(p, p->prefill, p->tier, t, 0);
        if (q) threads[n] = t, tps[n++] = q->at.tps.median;        /* more threads than processors is another matter */
    }
    if (!cut_usl_fit(fit, threads, tps, n)) return false;
    if (fit->sigma >= 1) {                     /* the law falls from the start */
        *best = 1;
        snprintf(why, 160, "together they are slower than one alone: they wait for each other");
        return true;
    }
    *best = isfinite(fit->best) && fit->best < p->machine.cpus ? (int)lround(fit->best) : p->machine.cpus;
    if (*best < 1) *best = 1;
    double there = cut_usl_at(fit, *best);
    if (roof > 0 && there > 0.85 * roof && !p->prefill)
        snprintf(why, 160, "reading the weights is the limit: %.0f %% of what the memory gives", 100 * fmin(1, there / roof));
    else if (*best < p->machine.cpus)
        snprintf(why, 160, "beyond it each thread costs the others more than it adds");
    else if (fit->sigma > 0.1)
        snprintf(why, 160, "each still adds something, though %.0f %% of the work does not run side by side", 100 * fit->sigma);
    else snprintf(why, 160, "every processor adds to the speed");
    return true;
}

int tui_perf_same_bytes(const struct tui_perf *p, int *differs) {
    const struct tui_perf_point *first = NULL;
    int n = 0;
    for (int t = 1; t <= 512; t++) {
        const struct tui_perf_point *q = tui_perf_find(p, p->prefill, p->tier, t, 0);
        if (!q) continue;
        if (!first) first = q;
        n++;
        if (q->at.print == first->at.print) continue;
        *differs = t;
        return 0;
    }
    return n > 1 ? 1 : -1;
}
