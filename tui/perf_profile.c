/* perf_profile.c - a pass with a clock on every step, copied out of a session of its own; and its time, grouped. */
#include <stdlib.h>
#include <string.h>

#include "tui/perf_work.h"
#include "tui/screen/mem.h"

enum { MOST_PASSES = 15, BEHIND = 8 };     /* BEHIND: tokens in the cache when decode is looked at */

/* ---- kinds */

static const struct { const char *name; char letter; } kinds[TUI_PERF_KINDS] = {
    [TUI_PERF_QKV] = { "attn qkv", 'Q' }, [TUI_PERF_ATTENTION] = { "attention", 'A' }, [TUI_PERF_ATTN_OUT] = { "attn out", 'O' },
    [TUI_PERF_GATE_UP] = { "ffn gate/up", 'G' }, [TUI_PERF_DOWN] = { "ffn down", 'D' }, [TUI_PERF_OUTPUT] = { "output", 'L' },
    [TUI_PERF_NORM] = { "norms", 'n' }, [TUI_PERF_REST] = { "rest", 'r' },
};
const char *tui_perf_kind_name(enum tui_perf_kind k) { return kinds[k].name; }
char tui_perf_kind_letter(enum tui_perf_kind k) { return kinds[k].letter; }

/* The name after the layer: "blk.3.attn_q.weight" is "attn_q.weight". */
static const char *without_layer(const char *name) {
    if (strncmp(name, "blk.", 4)) return name;
    const char *dot = strchr(name + 4, '.');
    return dot ? dot + 1 : name;
}

static enum tui_perf_kind kind_of_weight(const char *weight) {
    static const struct { const char *begins; enum tui_perf_kind kind; } of[] = {
        { "attn_qkv", TUI_PERF_QKV }, { "attn_output", TUI_PERF_ATTN_OUT }, { "attn_q.", TUI_PERF_QKV }, { "attn_k.", TUI_PERF_QKV },
        { "attn_v.", TUI_PERF_QKV }, { "ffn_gate", TUI_PERF_GATE_UP }, { "ffn_up", TUI_PERF_GATE_UP }, { "ffn_down", TUI_PERF_DOWN },
        { "output.", TUI_PERF_OUTPUT }, { "token_embd", TUI_PERF_OUTPUT },     /* multiplied by, it is the output matrix */
    };
    const char *name = without_layer(weight);
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        if (!strncmp(name, of[i].begins, strlen(of[i].begins))) return of[i].kind;
    return TUI_PERF_REST;
}

/* A matrix says it; else attention; else a norm, whose quantizing of its result belongs to it. */
enum tui_perf_kind tui_perf_kind_of(const struct cut_step *const *line, int n) {
    enum tui_perf_kind kind = TUI_PERF_REST;
    for (int i = 0; i < n; i++) {
        const char *op = line[i]->op;
        if (!strncmp(op, "matmul", 6) && line[i]->weight) return kind_of_weight(line[i]->weight);
        if (!strcmp(op, "scores") || !strcmp(op, "softmax") || !strcmp(op, "attention")) kind = TUI_PERF_ATTENTION;
        else if (strstr(op, "norm") && kind == TUI_PERF_REST) kind = TUI_PERF_NORM;
    }
    return kind;
}

/* ---- taking one */

void tui_perf_profile_free(const struct tui_perf_profile *p) {
    struct tui_perf_profile *mine = (struct tui_perf_profile *)p;
    if (!p || __atomic_sub_fetch(&mine->refs, 1, __ATOMIC_ACQ_REL)) return;
    free(mine->step);
    free(mine->span);
    free(mine);
}

static void copy_line(struct tui_perf_line *to, const struct cut_step *from, const struct cut_gguf *file) {
    const struct cut_tensor_info *w = from->weight && !strncmp(from->op, "matmul", 6) ? cut_gguf_find_tensor(file, from->weight) : NULL;
    *to = (struct tui_perf_line){ .weight = -1 };
    snprintf(to->name, sizeof to->name, "%s", without_layer(from->name));
    snprintf(to->formula, sizeof to->formula, "%s", from->formula ? from->formula : "");
    snprintf(to->kernel, sizeof to->kernel, "%s", from->kernel ? from->kernel : "");
    if (!w || w->n_dims < 2) return;
    to->weight = (int)w->type;
    to->rows = (int)w->ne[1];
    to->columns = (int)w->ne[0];
}

static void copy_step(struct tui_perf_step *to, const struct cut_profile_step *from, struct cut_session *s) {
    const struct cut_gguf *file = cut_model_gguf(cut_session_model(s));
    const struct cut_step *line[8];
    int n = from->n < 8 ? from->n : 8;
    *to = (struct tui_perf_step){ .layer = from->layer, .weight = -1, .bytes = from->bytes, .flops = from->flops, .t0 = from->t0, .t1 = from->t1 };
    for (int i = 0; i < n; i++) {
        line[i] = cut_session_step_at(s, from->first + i);
        size_t at = strlen(to->name);
        snprintf(to->name + at, sizeof to->name - at, "%s%s", i ? "+" : "", without_layer(line[i]->name));
        struct tui_perf_line now;
        copy_line(&now, line[i], file);
        if (now.weight >= 0) to->weight = now.weight;
        if (i < TUI_PERF_LINES) to->line[to->n_lines++] = now;
    }
    to->kind = tui_perf_kind_of(line, n);
}

static struct tui_perf_profile *copy(const struct cut_profile *from, struct cut_session *s, const struct tui_perf_profile_opts *o) {
    struct tui_perf_profile *p = tui_alloc(1, sizeof *p);
    size_t n = (size_t)from->n_steps * (size_t)from->n_threads;
    *p = (struct tui_perf_profile){ .refs = 1, .prefill = o->prefill, .tier = cut_session_opts(s)->tier,
                                    .repack = cut_session_opts(s)->repack, .threads = from->n_threads, .n_tokens = from->n_tokens,
                                    .n_cells = from->n_cells, .passes = o->passes, .n_steps = from->n_steps,
                                    .n_layer = cut_model_config(cut_session_model(s))->n_layer, .wall = from->wall,
                                    .ways = o->ways };
    tui_perf_pin_text(o->pin, p->where);
    p->step = tui_alloc((size_t)p->n_steps, sizeof *p->step);
    p->span = tui_alloc(n, sizeof *p->span);
    memcpy(p->span, from->span, n * sizeof *p->span);
    for (int i = 0; i < p->n_steps; i++) copy_step(&p->step[i], &from->step[i], s);
    return p;
}

/* Who listens while a pass runs; part: how much of all was done before it. */
struct listener { cut_progress_fn progress; void *user; double part; };
static bool listen(void *user, double part, const char *what) {
    const struct listener *l = user;
    (void)part;
    return l->progress(l->user, l->part, what);
}

/* One pass behind the same context as all others. */
static enum cut_status pass(struct cut_session *s, const struct tui_perf_profile_opts *o, const int32_t *ids, struct listener *l,
                            struct cut_err *err) {
    int behind = o->prefill ? 0 : BEHIND, n = o->prefill ? o->tokens : 1;
    enum cut_status st = cut_session_truncate(s, 0, behind, err);
    if (!st) st = cut_session_feed(s, 0, ids + behind, n, 0, err);
    if (!o->prefill) return st ? st : cut_session_run(s, NULL, err);
    return st ? st : cut_session_run_aside(s, 0, l->progress ? listen : NULL, l, "a clock on every step", err);
}

static int by_wall(const void *a, const void *b) {
    const struct tui_perf_profile *const *x = a, *const *y = b;
    return ((*x)->wall > (*y)->wall) - ((*x)->wall < (*y)->wall);
}

enum cut_status tui_perf_profile_take(struct tui_perf_profile **out, const struct cut_model *m, const struct tui_perf_profile_opts *o,
                                      cut_progress_fn progress, void *user, struct cut_err *err) {
    struct tui_perf_profile *taken[MOST_PASSES] = { NULL };
    struct cut_pool *pool = NULL;
    struct cut_session *s = NULL;
    struct cut_profile now;
    struct listener l = { progress, user, 0 };
    int n = 0, n_ids = BEHIND + (o->prefill ? o->tokens : 1), n_vocab = cut_model_config(m)->n_vocab;
    int32_t *ids = tui_alloc((size_t)n_ids, sizeof *ids);
    for (int i = 0; i < n_ids; i++) ids[i] = (int32_t)((uint32_t)i * 2654435761u % (uint32_t)n_vocab);
    int cpu[sizeof o->pin->cpu / sizeof *o->pin->cpu];
    for (int i = 0; i < o->pin->n; i++) cpu[i] = o->pin->cpu[i];
    enum cut_status st = cut_pool_new(&pool, o->threads, err);
    if (!st) st = cut_pool_pin(pool, cpu, o->pin->n, err);
    struct cut_session_opts so = { .n_ctx = n_ids, .kv_type = CUT_F16, .tier = o->tier, .reduce = tui_perf_reduce(o->ways),
                                    .attn = tui_perf_attn(o->ways), .pool = pool };
    if (!st) st = cut_session_new(&s, m, &so, err);
    if (!st && !o->prefill) st = cut_session_feed(s, 0, ids, BEHIND, 0, err);
    if (!st && !o->prefill) st = cut_session_run(s, NULL, err);
    if (!st) st = pass(s, o, ids, &l, err);            /* the pages of the file, the caches, the clock of the processor */
    if (!st) st = cut_session_profile(s, true, err);
    while (!st && n < o->passes && n < MOST_PASSES) {
        l.part = (double)(n + 1) / (o->passes + 1);
        if (progress && !progress(user, l.part, "a clock on every step")) st = cut_fail(err, CUT_ECANCEL, "stopped");
        if (!st) st = pass(s, o, ids, &l, err);
        if (!st && cut_session_profiled(s, &now)) taken[n++] = copy(&now, s, o);
    }
    if (!st) {
        qsort(taken, (size_t)n, sizeof *taken, by_wall);
        int at = o->slowest ? n - 1 : n / 2;
        *out = taken[at];
        (*out)->slowest = o->slowest;
        taken[at] = NULL;
    }
    for (int i = 0; i < MOST_PASSES; i++) tui_perf_profile_free(taken[i]);
    free(ids);
    cut_session_free(s);
    cut_pool_free(pool);
    return st;
}

/* ---- its time, grouped */

static double worked(const struct tui_perf_profile *p, int step) {
    int64_t ns = 0;
    for (int t = 0; t < p->threads; t++) ns += p->span[step * p->threads + t].t1 - p->span[step * p->threads + t].t0;
    return (double)ns / p->threads * 1e-9;
}

void tui_perf_sum(struct tui_perf_sums *out, const struct tui_perf_profile *p) {
    *out = (struct tui_perf_sums){ .wall = (double)p->wall * 1e-9 };
    for (int i = 0; i < p->n_steps; i++) {
        double lasted = (double)(p->step[i].t1 - p->step[i].t0) * 1e-9, work = worked(p, i);
        out->work[p->step[i].kind] += work;
        out->barrier += lasted - work;
        out->all += lasted;
    }
}

int tui_perf_op_sums(const struct tui_perf_profile *p, struct tui_perf_op_sum *out, int most) {
    int n = 0;
    for (int i = 0; i < p->n_steps; i++) {
        const struct tui_perf_step *s = &p->step[i];
        int k = 0;
        while (k < n && (strcmp(out[k].name, s->name) || out[k].weight != s->weight)) k++;
        if (k == most) continue;
        if (k == n) out[n++] = (struct tui_perf_op_sum){ .name = s->name, .kind = s->kind, .weight = s->weight };
        out[k].n++;
        out[k].seconds += (double)(s->t1 - s->t0) * 1e-9;
        out[k].bytes += (double)s->bytes;
        out[k].flops += (double)s->flops;
    }
    return n;
}
