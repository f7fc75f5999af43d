/* perf.c - the plan: what is asked for as points, measured one after the other. */
#include "tui/perf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tui/perf_plan.h"
#include "tui/screen/mem.h"

struct tui_perf_work *tui_perf_work_new(void) {
    struct tui_perf_work *w = tui_alloc(1, sizeof *w);
    w->item = tui_alloc(TUI_PERF_ITEMS, sizeof *w->item);
    return w;
}

void tui_perf_end_noise(struct tui_perf_work *w) {
    tui_perf_noise_end(w->noise);
    w->noise = NULL;
    w->now.load = TUI_PERF_QUIET;
}

static void forget(struct tui_perf_work *w) {
    tui_perf_end_noise(w);
    for (int i = 0; i < 2; i++) {
        tui_perf_profile_free(w->now.profile[i]);
        free(w->ref[i]);
        w->ref[i] = NULL;
    }
    free(w->other);
    w->other = NULL;
    tui_perf_code_free(w->now.code);
    w->n_items = 0;
    w->hash[0] = 0;
    w->now = (struct tui_perf){ 0 };
}

void tui_perf_work_free(struct tui_perf_work *w) {
    if (!w) return;
    forget(w);
    free(w->item);
    free(w);
}

/* As much as a pass reads, so that caches help as they help the model. */
uint64_t tui_perf_bytes_to_read(const struct tui_perf *n) {
    const uint64_t most = 256u << 20, bytes = n->config.weight_bytes;
    return bytes < 1u << 20 ? 1u << 20 : bytes > most ? most : bytes;
}

/* As many tokens as keep a round well under a second on a machine of today, and above the noise of the clock. */
static int clamp(double x, int lo, int hi) { return x < lo ? lo : x > hi ? hi : (int)x; }

void tui_perf_work_host(struct tui_perf_work *w, const struct tui_perf_host *h) {
    forget(w);
    w->host = *h;
    if (!h->model) return;
    struct tui_perf *n = &w->now;
    n->config = *cut_model_config(h->model);
    n->threads = h->threads;
    n->tier = h->tier;
    snprintf(n->model, sizeof n->model, "%s", cut_gguf_head(cut_model_gguf(h->model))->name);
    snprintf(n->type, sizeof n->type, "%s", cut_model_type_name(h->model));
    n->bits = n->config.n_params ? 8.0 * (double)n->config.weight_bytes / (double)n->config.n_params : 0;
    n->cell_bytes = 2ull * 2 * (uint64_t)n->config.n_layer * (uint64_t)n->config.n_head_kv * (uint64_t)n->config.head_dim;
    n->decode_tokens = clamp(2e9 / (double)(n->config.weight_bytes + 1), 4, 64);
    n->prefill_tokens = clamp(6e10 / (double)(n->config.n_params + 1), 32, 256);
    tui_perf_machine_read(&n->machine);
    n->peaks_bytes = tui_perf_bytes_to_read(n);
    struct tui_perf_kept *kept = tui_alloc(1, sizeof *kept);
    if (tui_perf_peaks_read(kept, &n->machine, n->peaks_bytes)) {
        n->peaks = kept->peaks;
        n->peaks_busy = kept->busy;
        snprintf(n->peaks_date, sizeof n->peaks_date, "%s", kept->date);
    }
    free(kept);
}

bool tui_perf_idle(const struct tui_perf_work *w) { return !w->n_items; }

/* ---- the plan */

static double cost_of(const struct tui_perf_work *w, const struct tui_perf_item *it) {
    double bytes = (double)w->now.config.weight_bytes, second = 8e9, slow = it->tier == CUT_TIER_REF ? 12 : 1;
    int threads = it->threads < w->now.machine.cpus ? it->threads : w->now.machine.cpus;
    if (it->kind == ITEM_PEAKS) return it->quick ? 0.01 : 1.5;
    if (it->kind == ITEM_HASH) return bytes / 3e8;
    if (it->kind == ITEM_COUNT || it->kind == ITEM_CODE) return 1;
    if (it->kind == ITEM_SAME) return 4 * (it->tokens + 1) * bytes * slow / second + 0.02;
    if (it->kind != ITEM_POINT && it->kind != ITEM_STEPS) return 0;
    double passes = it->prefill ? (it->rounds + 2) * it->tokens / 8.0 : ((it->rounds + 1) * it->tokens + it->depth / 8.0) * (1 + it->seqs / 4.0);
    return 0.02 + passes * bytes * slow / (second * threads);
}

static bool alike(const struct tui_perf_item *a, const struct tui_perf_item *b) {
    return a->kind == b->kind && a->prefill == b->prefill && a->tier == b->tier && a->threads == b->threads && a->depth == b->depth &&
           a->seqs == b->seqs && a->ways == b->ways && a->logits == b->logits && a->tokens == b->tokens && a->load == b->load &&
           tui_perf_same_kernel(&a->code, &b->code) && !memcmp(&a->pin, &b->pin, sizeof a->pin) && !strcmp(a->path, b->path);
}

/* At the end; from where it stood, if the plan had it already. */
static void plan(struct tui_perf_work *w, struct tui_perf_item it) {
    int i = 0;
    while (i < w->n_items && !alike(&w->item[i], &it)) i++;
    if (i >= w->n_items - w->n_new && i < w->n_items) return;          /* asked for just now */
    if (i < w->n_items) {
        w->cost_all -= w->item[i].cost;
        memmove(&w->item[i], &w->item[i + 1], (size_t)(--w->n_items - i) * sizeof *w->item);
    }
    if (w->n_items == TUI_PERF_ITEMS) return;
    if (!w->n_items) {
        w->cost_done = w->cost_all = 0;
        w->since = cut_clock();
    }
    it.cost = cost_of(w, &it);
    w->cost_all += it.cost;
    w->item[w->n_items++] = it;
    w->n_new++;
}

/* What was asked for last comes first: somebody is waiting for it. */
static void new_first(struct tui_perf_work *w) {
    int old = w->n_items - w->n_new;
    if (old && w->n_new) {
        struct tui_perf_item *both = tui_alloc((size_t)w->n_items, sizeof *both);
        memcpy(both, w->item + old, (size_t)w->n_new * sizeof *both);
        memcpy(both + w->n_new, w->item, (size_t)old * sizeof *both);
        memcpy(w->item, both, (size_t)w->n_items * sizeof *both);
        free(both);
    }
}

/* A point of what is set now. */
static struct tui_perf_item point(const struct tui_perf_work *w, bool quick, bool prefill) {
    int tokens = prefill ? w->now.prefill_tokens : w->now.decode_tokens;
    return (struct tui_perf_item){ .kind = ITEM_POINT, .prefill = prefill, .quick = quick, .tier = w->now.tier,
                          .threads = w->now.threads, .seqs = 1, .tokens = tokens, .rounds = quick ? 2 : 5,
                          .ways = w->now.ways, .pin = w->now.pin };
}

/* What a machine can do at most shows only when nothing competes. */
static void plan_peaks(struct tui_perf_work *w, bool quick, bool again) {
    if ((again || !w->now.peaks.n || (w->now.peaks_busy && !quick)) && !w->noise) plan(w, (struct tui_perf_item){ .kind = ITEM_PEAKS, .quick = quick });
}

/* Every count up to 4, then fewer and fewer; and a little more than there are processors, to see what that does. */
static void plan_threads(struct tui_perf_work *w, bool quick) {
    int cpus = quick ? 2 : w->now.machine.cpus;
    struct tui_perf_item it = point(w, quick, w->now.prefill);
    for (int t = 1; t <= cpus; t += t < 4 ? 1 : t < 16 ? 2 : t < 32 ? 4 : t < 128 ? 8 : 16) {
        it.threads = t;
        plan(w, it);
    }
    it.threads = cpus;
    plan(w, it);
    it.threads = w->now.threads;
    plan(w, it);
    if (quick || cpus > 4) return;
    it.threads = cpus + 1;
    plan(w, it);
}

static void plan_steps(struct tui_perf_work *w, bool quick, bool prefill) {
    plan_peaks(w, quick, false);
    struct tui_perf_item it = point(w, quick, prefill);
    it.kind = ITEM_STEPS;
    it.rounds = quick ? 1 : prefill ? 5 : 15;
    plan(w, it);
}

static void plan_context(struct tui_perf_work *w, bool quick) {
    struct tui_perf_item it = point(w, quick, false);
    int room = w->now.config.n_ctx_train < 4096 ? w->now.config.n_ctx_train : 4096, last = -1;
    room -= it.tokens;
    for (int i = 0; i <= 4; i++) {
        it.depth = quick ? 16 * i : (int)((int64_t)room * i / 4) / 16 * 16;
        if (it.depth > last && it.depth <= room) plan(w, it);
        last = it.depth;
    }
}

static void plan_batch(struct tui_perf_work *w, bool quick) {
    struct tui_perf_item it = point(w, quick, false);
    for (it.seqs = 1; it.seqs <= (quick ? 2 : TUI_PERF_MOST_SEQS); it.seqs *= 2) plan(w, it);
}

static void plan_kernels(struct tui_perf_work *w, bool quick) {
    struct tui_perf_item it = point(w, quick, w->now.prefill);
    it.logits = true;
    for (int t = CUT_TIER_REF; t < CUT_TIER_COUNT; t++) {
        if (!cut_tier_available((enum cut_tier)t) || (quick && t != CUT_TIER_REF)) continue;
        it.tier = (enum cut_tier)t;
        it.rounds = quick ? 2 : t == CUT_TIER_REF ? 3 : 5;
        plan(w, it);
        if (!w->now.counted[t] && !quick) plan(w, (struct tui_perf_item){ .kind = ITEM_COUNT, .tier = it.tier });
    }
}

/* Every count of threads up to 4, then fewer, and one more than there are processors; then the other kernels. */
static void plan_same(struct tui_perf_work *w, bool quick) {
    int cpus = quick ? 2 : w->now.machine.cpus;
    struct tui_perf_item it = { .kind = ITEM_SAME, .quick = quick, .tier = w->now.tier, .ways = w->now.ways,
                       .tokens = clamp(3e9 / (double)(w->now.config.n_params + 1), 3, 16) };
    w->now.n_same = 0;
    w->now.same_tokens = it.tokens;
    w->now.same_tier = it.tier;
    w->now.same_ways = it.ways;
    for (it.threads = 2; it.threads <= cpus + 1; it.threads += it.threads < 4 ? 1 : it.threads < 16 ? 2 : it.threads < 64 ? 8 : 32) plan(w, it);
    it.threads = cpus + 1;
    plan(w, it);
    it.threads = 1;
    for (int t = CUT_TIER_COUNT - 1; t >= CUT_TIER_REF && !quick; t--) {
        it.tier = (enum cut_tier)t;
        if (it.tier != w->now.tier && cut_tier_available(it.tier)) plan(w, it);
    }
}

/* Tied and free, with the threads set: what does it change? */
static void pin(struct tui_perf_work *w, const struct tui_perf_ask *a) {
    w->n_items = 0;                            /* it was to be measured where threads ran until now */
    w->now.pin = a->pin;
    if (!a->pin.n) return;
    struct tui_perf_item it = point(w, a->quick, w->now.prefill), bare = it;
    bare.pin = (struct tui_perf_pin){ 0 };
    bare.ways = 0;
    if (!w->noise) plan(w, bare);
    plan(w, it);
}

/* By default and in that way, with the threads set: what does it change? And who waits then. */
static void divide(struct tui_perf_work *w, const struct tui_perf_ask *a) {
    w->n_items = 0;
    w->now.ways = (w->now.ways & ~a->mask) | (a->ways & a->mask);
    struct tui_perf_item it = point(w, a->quick, w->now.prefill), bare = it;
    bare.ways = 0;
    bare.pin = (struct tui_perf_pin){ 0 };
    plan_peaks(w, a->quick, false);
    if (!w->noise) plan(w, bare);
    plan(w, it);
    plan_steps(w, a->quick, w->now.prefill);
}

static enum cut_status load(struct tui_perf_work *w, const struct tui_perf_ask *a, char said[160], struct cut_err *err) {
    bool was = w->noise;
    tui_perf_end_noise(w);
    w->n_items = 0;                            /* neither half of a plan would be what was asked for */
    if (a->load >= TUI_PERF_LOADS) return cut_fail(err, CUT_EUSAGE, "load %d: there is no such load", (int)a->load);
    if (a->load == TUI_PERF_QUIET) {
        if (was) snprintf(said, 160, "the load has ended");
        return CUT_OK;
    }
    /* Quiet and free first, where that is not known; then beside the load. */
    struct tui_perf_item it = point(w, a->quick, w->now.prefill), bare = it;
    struct tui_perf_point like = { .prefill = it.prefill, .tier = it.tier, .threads = it.threads, .seqs = 1 };
    bare.ways = 0;
    bare.pin = (struct tui_perf_pin){ 0 };
    if (!tui_perf_undisturbed(&w->now, &like)) plan(w, bare);
    plan(w, (struct tui_perf_item){ .kind = ITEM_LOAD, .load = a->load });
    it.load = a->load;                 /* another point than the quiet one */
    plan(w, it);
    return CUT_OK;
}

static enum cut_status plan_code(struct tui_perf_work *w, const struct tui_perf_ask *a, struct cut_err *err) {
    if (a->code.type < 0 || a->code.type >= CUT_TYPE_COUNT) return cut_fail(err, CUT_EUSAGE, "this step multiplies by no weights");
    if (w->noise) return cut_fail(err, CUT_EUSAGE, "instructions are counted when nothing competes: s ends the load");
    if (!a->quick) plan(w, (struct tui_perf_item){ .kind = ITEM_CODE, .code = a->code });
    return CUT_OK;
}

static enum cut_status plan_save(struct tui_perf_work *w, enum tui_perf_item_kind kind, const char *path, struct cut_err *err) {
    struct tui_perf_item it = { .kind = kind };
    if (!w->now.n_points) return cut_fail(err, CUT_EUSAGE, "nothing was measured yet: b measures everything, t the threads");
    if (path && strlen(path) >= sizeof it.path) return cut_fail(err, CUT_EUSAGE, "%.60s..: the path is too long", path);
    if (!w->hash[0]) plan(w, (struct tui_perf_item){ .kind = ITEM_HASH });
    snprintf(it.path, sizeof it.path, "%s", path ? path : "");
    plan(w, it);
    return CUT_OK;
}

static enum cut_status set(struct tui_perf_work *w, const struct tui_perf_ask *a, struct cut_err *err) {
    if (a->threads < 1 || a->threads > 512) return cut_fail(err, CUT_EUSAGE, "threads: %d is not in 1 to 512", a->threads);
    if (!cut_tier_available(a->tier)) return cut_fail(err, CUT_EUSAGE, "kernels %s: this processor cannot run them", cut_tier_name(a->tier));
    w->now.prefill = a->prefill;
    w->now.threads = a->threads;
    w->now.tier = a->tier;
    return CUT_OK;
}

static enum cut_status ask(struct tui_perf_work *w, const struct tui_perf_ask *a, const char *text, char said[160], struct cut_err *err) {
    switch (a->op) {
    case TUI_PERF_STOP:
        if (w->n_items) snprintf(said, 160, "stopped; what is measured stays");
        w->n_items = 0;
        return CUT_OK;
    case TUI_PERF_ALL:
        plan_peaks(w, a->quick, false);
        plan_threads(w, a->quick);
        plan_steps(w, a->quick, w->now.prefill);
        plan_steps(w, a->quick, !w->now.prefill);
        plan_context(w, a->quick);
        plan_batch(w, a->quick);
        plan_kernels(w, a->quick);
        return CUT_OK;
    case TUI_PERF_PEAKS:
        if (w->noise) return cut_fail(err, CUT_EUSAGE, "peaks are measured when nothing competes: s ends the load");
        return plan_peaks(w, a->quick, true), CUT_OK;
    case TUI_PERF_SAME: return plan_same(w, a->quick), CUT_OK;
    case TUI_PERF_PIN: return pin(w, a), CUT_OK;
    case TUI_PERF_DIVIDE: return divide(w, a), CUT_OK;
    case TUI_PERF_LOAD: return load(w, a, said, err);
    case TUI_PERF_THREADS: return plan_peaks(w, a->quick, false), plan_threads(w, a->quick), CUT_OK;
    case TUI_PERF_STEPS: return plan_steps(w, a->quick, w->now.prefill), CUT_OK;
    case TUI_PERF_CONTEXT: return plan_peaks(w, a->quick, false), plan_context(w, a->quick), CUT_OK;
    case TUI_PERF_BATCH: return plan_peaks(w, a->quick, false), plan_batch(w, a->quick), CUT_OK;
    case TUI_PERF_KERNELS: return plan_kernels(w, a->quick), CUT_OK;
    case TUI_PERF_SET: return set(w, a, err);
    case TUI_PERF_SAVE: return plan_save(w, ITEM_SAVE, NULL, err);
    case TUI_PERF_COMPARE: return plan_save(w, ITEM_COMPARE, text, err);
    case TUI_PERF_CODE: return plan_code(w, a, err);
    }
    return CUT_OK;
}

enum cut_status tui_perf_do(struct tui_perf_work *w, const struct tui_perf_ask *a, const char *text, char said[160], struct cut_err *err) {
    if (!w->host.model) return cut_fail(err, CUT_EUSAGE, "no model is open: :open FILE");
    if (a->quick) w->now.decode_tokens = 2, w->now.prefill_tokens = 4;
    w->n_new = 0;
    enum cut_status st = ask(w, a, text, said, err);
    if (a->op != TUI_PERF_ALL && a->op != TUI_PERF_SAVE && a->op != TUI_PERF_COMPARE) new_first(w);
    return st;
}

/* ---- publishing */

static void say_job(const struct tui_perf_work *w, struct tui_perf *p) {
    const struct tui_perf_item *it = &w->item[0];
    double all = w->cost_all > 0 ? w->cost_all : 1, spent = cut_clock() - w->since;
    struct tui_perf_point q = { .prefill = it->prefill, .tier = it->tier, .threads = it->threads, .depth = it->depth, .seqs = it->seqs,
                                .ways = it->ways, .tokens = it->tokens, .load = w->now.load };
    struct cut_sweep_opts o;
    char name[TUI_PERF_NAME], what[sizeof w->what + 2] = "";
    if (w->what[0]) snprintf(what, sizeof what, ": %s", w->what);
    tui_perf_pin_text(&it->pin, q.where);
    p->part = (w->cost_done + it->cost * w->part) / all;
    if (p->part > 1) p->part = 1;
    p->left = p->part > 0.02 && spent > 0.3 ? spent / p->part - spent : -1;
    p->job_part = w->part;
    switch (it->kind) {
    case ITEM_PEAKS: snprintf(p->job, sizeof p->job, "peaks%s", what); break;
    case ITEM_STEPS: snprintf(p->job, sizeof p->job, "steps of %s%s", tui_perf_point_name(&q, name), what); break;
    case ITEM_COUNT: snprintf(p->job, sizeof p->job, "instructions of %s kernels", cut_tier_name(it->tier)); break;
    case ITEM_CODE:
        snprintf(p->job, sizeof p->job, "instructions, %s, %s, %d token%s", cut_type_info((enum cut_type)it->code.type)->name,
                 cut_tier_name(it->code.tier), it->code.tokens, it->code.tokens == 1 ? "" : "s");
        break;
    case ITEM_SAME:
        snprintf(p->job, sizeof p->job, "bytes, %d thread%s, %s%s", it->threads, it->threads == 1 ? "" : "s", cut_tier_name(it->tier), what);
        break;
    case ITEM_LOAD: snprintf(p->job, sizeof p->job, "a load"); break;
    case ITEM_HASH: snprintf(p->job, sizeof p->job, "what the weights are (SHA-256)"); break;
    case ITEM_SAVE: case ITEM_COMPARE: snprintf(p->job, sizeof p->job, "saved runs"); break;
    case ITEM_POINT:
        o = tui_perf_sweep_of(it);
        p->job_all = cut_sweep_tokens(&o);
        p->job_done = (int)(w->part * p->job_all + 0.5);
        snprintf(p->job, sizeof p->job, "%s%s", tui_perf_point_name(&q, name), what);
        if (w->part > 0 && !it->depth) p->rate = p->job_done / (cut_clock() - w->item_since);
    }
}

const struct tui_perf *tui_perf_take(struct tui_perf_work *w) {
    if (!w->host.model) return NULL;
    struct tui_perf *p = tui_alloc(1, sizeof *p);
    *p = w->now;
    p->refs = 1;
    for (int i = 0; i < 2; i++)
        if (p->profile[i]) __atomic_add_fetch(&((struct tui_perf_profile *)p->profile[i])->refs, 1, __ATOMIC_RELAXED);
    if (p->code) __atomic_add_fetch(&((struct tui_perf_code *)p->code)->refs, 1, __ATOMIC_RELAXED);
    if (w->n_items) say_job(w, p);
    return p;
}

void tui_perf_free(const struct tui_perf *p) {
    struct tui_perf *mine = (struct tui_perf *)p;
    if (!p || __atomic_sub_fetch(&mine->refs, 1, __ATOMIC_ACQ_REL)) return;
    for (int i = 0; i < 2; i++) tui_perf_profile_free(mine->profile[i]);
    tui_perf_code_free(mine->code);
    free(mine);
}
