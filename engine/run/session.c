/* session.c - making a session, and the tokens that go into it. */
#include <math.h>

#include "engine/kernels/panel.h"
#include "engine/run/session.h"

static enum cut_status settle_opts(struct cut_session *s, const struct cut_session_opts *opts, struct cut_err *err) {
    const struct cut_config *c = &s->model->config;
    struct cut_session_opts *o = &s->opts;
    if (opts) *o = *opts;
    if (o->n_ctx == 0) o->n_ctx = cut_min(c->n_ctx_train, 4096);
    if (o->n_batch == 0) o->n_batch = 512;
    if (o->n_seq == 0) o->n_seq = 1;
    if (o->n_ctx < 1 || o->n_ctx > 1 << 24) return cut_fail(err, CUT_EUSAGE, "context: %d is not in 1 to %d", o->n_ctx, 1 << 24);
    if (o->n_batch < 1 || o->n_batch > 1 << 16) return cut_fail(err, CUT_EUSAGE, "batch: %d is not in 1 to %d", o->n_batch, 1 << 16);
    if (o->n_seq < 1 || o->n_seq > 4096) return cut_fail(err, CUT_EUSAGE, "sequences: %d is not in 1 to 4096", o->n_seq);
    if (o->kv_type != CUT_F32 && o->kv_type != CUT_F16) {
        const struct cut_type_info *t = cut_type_info(o->kv_type);
        return cut_fail(err, CUT_EUSAGE, "KV cache type %s: f32 and f16 can hold a cache", t ? t->name : "unknown");
    }
    if (!cut_tier_available(o->tier)) return cut_fail(err, CUT_EUSAGE, "kernels: this processor cannot run %s", cut_tier_name(o->tier));
    if (o->tier == CUT_TIER_AUTO) o->tier = cut_tier_best();
    if (o->reduce == CUT_REDUCE_SPLIT_K && o->repack == CUT_REPACK_ALWAYS)
        return cut_fail(err, CUT_EUSAGE, "split-k sums parts of rows, and repack always leaves no rows in one piece");
    if (o->reduce == CUT_REDUCE_SPLIT_K) o->repack = CUT_REPACK_NEVER;
    o->n_batch = cut_min(o->n_batch, o->n_ctx * o->n_seq);
    return CUT_OK;
}

/* Does the product at node i read panels, where the session repacks? */
static bool wants_panel(const struct cut_session *s, int i) {
    const struct cut_node *n = &s->graph.node[i];
    return n->op == CUT_OP_MATMUL && s->graph.node[n->in[0]].op == CUT_OP_QUANTIZE && cut_panel_wanted(s->opts.repack, n->w->type) &&
           cut_model_panel_bytes(n->w, &s->kern);
}

uint64_t cut_session_weight_bytes(const struct cut_session *s, int i) {
    const struct cut_tensor_info *w = s->graph.node[i].w;
    return wants_panel(s, i) ? cut_model_panel_bytes(w, &s->kern) : w->bytes;
}

/* A copy of the weights must leave the machine half of the memory it has to give. Without that, rows will do. */
static void settle_repack(struct cut_session *s) {
    uint64_t need = 0, had = cut_model_panels(s->model);
    for (int i = 0; i < s->graph.n; i++)
        if (wants_panel(s, i)) need += cut_model_panel_bytes(s->graph.node[i].w, &s->kern);
    if (s->opts.repack == CUT_REPACK_AUTO && need > had && need - had > cut_memory_available() / 2) s->opts.repack = CUT_REPACK_NEVER;
}

void cut_session_repack(struct cut_session *s) {
    unsigned edition = cut_model_panel_edition(s->model);
    if (s->has_panels && s->panel_edition == edition) return;
    for (int i = 0; i < s->graph.n; i++)
        s->panel[i] = wants_panel(s, i) ? cut_model_panel(s->model, s->graph.node[i].w, &s->kern, s->opts.pool) : NULL;
    s->has_panels = true;
    s->panel_edition = edition;
}

static enum cut_status make_scratch(struct cut_session *s, struct cut_err *err) {
    struct cut_attn a = cut_kv_view(&s->kv, 0, 0, s->opts.n_ctx, s->model->config.n_head);
    size_t need = cut_round_up((size_t)s->opts.n_ctx, CUT_KV_PAGE) * sizeof(float), n = (size_t)cut_pool_size(s->opts.pool);
    if (s->kern.attn_scratch(&a) > need) need = s->kern.attn_scratch(&a);
    for (int i = 0; i < s->graph.n; i++)
        if (s->graph.node[i].op == CUT_OP_MATMUL) {
            size_t mm = s->kern.mm_scratch((int)s->graph.node[i].w->ne[0]);
            if (mm > need) need = mm;
        }
    s->scratch = cut_calloc(n, sizeof *s->scratch, "scratch", err);
    for (size_t i = 0; s->scratch && i < n; i++)
        if (!(s->scratch[i] = cut_alloc_aligned(need, "scratch", err))) return CUT_ENOMEM;
    return s->scratch ? CUT_OK : CUT_ENOMEM;
}

/* What split-k needs: the widest rows, and the sums of as many as the largest fused step makes. */
static enum cut_status make_parts(struct cut_session *s, struct cut_err *err) {
    size_t n = (size_t)cut_pool_size(s->opts.pool), sums = 0;
    for (int i = 0; i < s->fused.program.n_steps; i++) {
        struct cut_prog_step step = s->fused.program.step[i];
        size_t of_step = 0;
        for (int k = step.first; k < step.first + step.n; k++) {
            if (s->graph.node[k].op != CUT_OP_MATMUL) continue;
            size_t x = cut_q8_bytes((int)s->graph.node[k].w->ne[0]);
            of_step += cut_round_up((size_t)s->graph.node[k].w->ne[1] * sizeof(float), CUT_ALIGN);
            if (x > s->part_x) s->part_x = x;
        }
        if (of_step > sums) sums = of_step;
    }
    s->part_bytes = s->part_x + sums;
    s->part = cut_calloc(n, sizeof *s->part, "parts of sums", err);
    for (size_t i = 0; s->part && i < n; i++)
        if (!(s->part[i] = cut_alloc_aligned(s->part_bytes, "parts of sums", err))) return CUT_ENOMEM;
    return s->part ? CUT_OK : CUT_ENOMEM;
}

/* The kernel that runs a node, for the listing. */
static const char *kernel_name(struct cut_session *s, const struct cut_node *n) {
    const char *tier = cut_tier_name(s->kern.tier);
    if (n->op == CUT_OP_MATMUL) {
        const struct cut_node *in = &s->graph.node[n->in[0]];
        bool q8 = in->op == CUT_OP_QUANTIZE, bf16 = in->op == CUT_OP_ROUND;
        const char *name = q8 ? s->kern.mm_q8_name[n->w->type] : bf16 ? s->kern.mm_bf16_name : s->kern.mm_f32_name[n->w->type];
        return cut_arena_printf(&s->arena, "%s x %s  %s%s", cut_type_info(n->w->type)->name,
                                !q8 ? bf16 ? "bf16" : "f32" : in->block == 256 ? "q8_K" : "q8", name ? name : tier,
                                wants_panel(s, (int)(n - s->graph.node)) ? " panels" : "");
    }
    if (n->op == CUT_OP_EMBED) return cut_type_info(n->w->type)->name;
    if (n->op == CUT_OP_KV_STORE) return cut_type_info(s->opts.kv_type)->name;
    return tier;
}

static enum cut_status make_listing(struct cut_session *s, struct cut_err *err) {
    s->step = cut_calloc((size_t)s->graph.n, sizeof *s->step, "listing", err);
    if (!s->step) return CUT_ENOMEM;
    for (int i = 0; i < s->graph.n; i++) {
        const struct cut_node *n = &s->graph.node[i];
        bool q8 = n->op == CUT_OP_MATMUL && s->graph.node[n->in[0]].op == CUT_OP_QUANTIZE;
        const struct cut_src *src = n->op == CUT_OP_EMBED    ? &cut_source_of_embed
                                    : n->op == CUT_OP_SAMPLE ? &cut_source_of_sample
                                                             : cut_kernel_source(q8 ? "mm_q8" : cut_op_function(n->op));
        struct cut_step *st = &s->step[i];
        *st = (struct cut_step){ .name = n->name, .alias = n->alias, .op = cut_op_name(n->op), .formula = n->formula, .cite = n->cite,
                                 .layer = n->layer, .n_in = n->n_in, .weight = n->w ? n->w->name : NULL,
                                 .kernel = kernel_name(s, n), .built = n->built };
        if (src) st->source = *src;
        for (int j = 0; j < n->n_in; j++) st->in[j] = s->graph.node[n->in[j]].name;
        if (!st->kernel) return cut_fail(err, CUT_ENOMEM, "out of memory: listing");
        if (!strcmp(n->name, "logits")) s->logits_node = i;
        if (n->op == CUT_OP_SAMPLE) s->sample_node = i;
    }
    return CUT_OK;
}

/* Costs that follow from the shapes: 2 operations per multiply-add. */
static void add_costs(struct cut_session *s) {
    for (int i = 0; i < s->graph.n; i++) {
        const struct cut_node *n = &s->graph.node[i];
        if (n->op == CUT_OP_MATMUL) {
            uint64_t flops = 2 * n->w->ne[0] * n->w->ne[1];
            s->weight_bytes += cut_session_weight_bytes(s, i);
            if (n->ne[2].sym == 'O') s->flops_output += flops;
            else s->flops_token += flops;
        }
    }
    const struct cut_config *c = &s->model->config;
    s->flops_cell = (uint64_t)c->n_layer * 4 * (uint64_t)(c->n_head * c->head_dim);     /* q.k and p v */
}

static enum cut_status allocate(struct cut_session *s, struct cut_err *err) {
    const struct cut_config *c = &s->model->config;
    const struct cut_session_opts *o = &s->opts;
    size_t cells = (size_t)o->n_ctx * (size_t)o->n_seq, n = (size_t)s->graph.n, T = (size_t)o->n_batch;
    enum cut_status st = cut_kv_init(&s->kv, c, o->kv_type, o->n_ctx, o->n_seq, err);
    if (st || (st = make_scratch(s, err)) || (st = make_listing(s, err))) return st;
    if (o->reduce == CUT_REDUCE_SPLIT_K && (st = make_parts(s, err))) return st;
    s->cap_fed = (int)cells;
    s->fed = cut_calloc(cells, sizeof *s->fed, "token log", err);
    s->pass = cut_calloc(cells, sizeof *s->pass, "token log", err);
    s->seq_ids = cut_calloc(cells, sizeof *s->seq_ids, "token log", err);
    s->seq_len = cut_calloc((size_t)o->n_seq, sizeof *s->seq_len, "token log", err);
    s->out_row = cut_calloc(T, sizeof *s->out_row, "batch", err);
    s->sampled = cut_calloc(T, sizeof *s->sampled, "batch", err);
    s->cos_sin = cut_calloc(T * (size_t)c->rope_dim, sizeof *s->cos_sin, "batch", err);
    s->inv_freq = cut_calloc((size_t)c->rope_dim / 2, sizeof *s->inv_freq, "batch", err);
    s->ready = cut_calloc(n, sizeof *s->ready, "session", err);
    s->edited = cut_calloc(n, sizeof *s->edited, "session", err);
    s->trace = cut_calloc(n, sizeof *s->trace, "session", err);
    s->time = cut_calloc(n, sizeof *s->time, "session", err);
    s->panel = cut_calloc(n, sizeof *s->panel, "session", err);
    if (!s->fed || !s->pass || !s->seq_ids || !s->seq_len || !s->out_row || !s->sampled || !s->cos_sin || !s->inv_freq || !s->ready ||
        !s->edited || !s->trace || !s->time || !s->panel)
        return CUT_ENOMEM;
    if (o->keep) {
        s->queries = cut_alloc_aligned((size_t)c->n_layer * cells * (size_t)(c->n_head * c->head_dim) * sizeof(float), "kept queries", err);
        if (!s->queries) return CUT_ENOMEM;
    } else {
        cut_program_layout(&s->fused.program, o->n_batch, 0, o->n_seq);
        s->fused.mem = cut_alloc_aligned(s->fused.program.bytes, "activations", err);
        if (!s->fused.mem) return CUT_ENOMEM;
    }
    for (int i = 0; i < c->rope_dim / 2; i++)
        s->inv_freq[i] = pow(c->rope_base, -2.0 * i / c->rope_dim) / (s->model->rope_factors ? s->model->rope_factors[i] : 1);
    add_costs(s);
    return CUT_OK;
}

enum cut_status cut_session_new(struct cut_session **out, const struct cut_model *m, const struct cut_session_opts *opts,
                                struct cut_err *err) {
    struct cut_session *s = cut_calloc(1, sizeof *s, "session", err);
    if (!s) return CUT_ENOMEM;
    s->model = m;
    s->cur = -1;
    enum cut_status st = settle_opts(s, opts, err);
    if (!st) {
        cut_kernels_init(&s->kern, s->opts.tier);
        struct cut_graph g = { .arena = &s->arena };
        m->arch->build(&g, m);
        st = g.failed ? cut_fail(err, CUT_ENOMEM, "out of memory: the graph of %d layers", m->config.n_layer)
                      : cut_graph_lower(&s->graph, &g, &s->kern, s->opts.activations_f32, &s->arena, err);
        free(g.node);
    }
    if (!st) settle_repack(s);
    if (!st) st = cut_program_init(&s->fused.program, &s->graph, false, err);
    if (!st) st = cut_program_init(&s->kept.program, &s->graph, true, err);
    if (!st) st = allocate(s, err);
    if (st) {
        cut_session_free(s);
        return st;
    }
    s->pc = s->graph.n;
    s->stop_at = -1;
    cut_watch_update(s);
    *out = s;
    return CUT_OK;
}

void cut_session_free(struct cut_session *s) {
    if (!s) return;
    for (int i = 0; s->scratch && i < cut_pool_size(s->opts.pool); i++) cut_free_aligned(s->scratch[i]);
    for (int i = 0; s->part && i < cut_pool_size(s->opts.pool); i++) cut_free_aligned(s->part[i]);
    void *owned[] = { s->scratch, s->part, s->graph.node, s->step, s->inv_freq, s->fed, s->pass, s->seq_ids, s->seq_len, s->out_row,
                      s->cos_sin, s->sampled, s->ready, s->edited, s->trace, s->time, s->panel, s->probe, s->brk, s->edit, s->view };
    for (size_t i = 0; i < CUT_LEN(owned); i++) free(owned[i]);
    cut_profiler_done(&s->profiler);
    cut_free_aligned(s->fused.mem);
    cut_free_aligned(s->kept.mem);
    cut_free_aligned(s->queries);
    cut_program_done(&s->fused.program);
    cut_program_done(&s->kept.program);
    cut_kv_done(&s->kv);
    cut_arena_done(&s->arena);
    free(s);
}

const struct cut_model *cut_session_model(const struct cut_session *s) { return s->model; }
const struct cut_session_opts *cut_session_opts(const struct cut_session *s) { return &s->opts; }

/* ---- tokens */

static enum cut_status check_seq(const struct cut_session *s, int seq, struct cut_err *err) {
    if (seq >= 0 && seq < s->opts.n_seq) return CUT_OK;
    return cut_fail(err, CUT_EUSAGE, "sequence %d is not in 0 to %d", seq, s->opts.n_seq - 1);
}

enum cut_status cut_session_feed(struct cut_session *s, int seq, const int32_t *ids, int n, unsigned flags, struct cut_err *err) {
    enum cut_status st = check_seq(s, seq, err);
    if (st) return st;
    int len = s->seq_len[seq];
    if (n > s->opts.n_ctx - len || n > s->cap_fed - s->n_fed)
        return cut_fail(err, CUT_EFULL, "the context is full: %d tokens more than its %d cells hold (%d in use)", n, s->opts.n_ctx, len);
    for (int i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= s->model->config.n_vocab)
            return cut_fail(err, CUT_EUSAGE, "token %d: id %d is not in 0 to %d", i, ids[i], s->model->config.n_vocab - 1);
    for (int i = 0; i < n; i++) {
        s->seq_ids[(size_t)seq * (size_t)s->opts.n_ctx + (size_t)(len + i)] = ids[i];
        s->fed[s->n_fed++] = (struct cut_fed){ ids[i], seq, len + i, i == n - 1 || (flags & CUT_FEED_ALL_LOGITS) };
    }
    s->seq_len[seq] = len + n;
    return CUT_OK;
}

/* Where the history allows it no more, start a new one: the cache stays, but back() goes no further than here. */
static void forget_history(struct cut_session *s) {
    int done = s->cur < 0 ? 0 : s->pass[s->cur].first + s->pass[s->cur].n;
    memmove(s->fed, s->fed + done, (size_t)(s->n_fed - done) * sizeof *s->fed);
    s->n_fed -= done;
    s->n_pass = 0;
    s->cur = -1;
    s->pc = s->graph.n;
    s->in_kept = false;
    s->T = s->O = 0;
}

enum cut_status cut_session_truncate(struct cut_session *s, int seq, int pos, struct cut_err *err) {
    enum cut_status st = check_seq(s, seq, err);
    if (st) return st;
    if (pos < 0) return cut_fail(err, CUT_EUSAGE, "position %d is below 0", pos);
    if (pos >= s->seq_len[seq]) return CUT_OK;
    if (s->cur >= 0 && s->pc < s->graph.n) cut_pass_rewind(s, s->cur);      /* a pass under way is queued again */

    int first = 0;                     /* of the log's tail that goes, if it is this sequence's alone */
    while (first < s->n_fed && !(s->fed[first].seq == seq && s->fed[first].pos >= pos)) first++;
    bool alone = first < s->n_fed;
    for (int i = first; i < s->n_fed; i++) alone = alone && s->fed[i].seq == seq;
    if (alone) {
        while (s->n_pass && s->pass[s->n_pass - 1].first >= first) s->n_pass--;
        if (s->n_pass) {
            struct cut_pass *last = &s->pass[s->n_pass - 1];
            last->n = cut_min(last->n, first - last->first);
        }
        s->n_fed = first;
        if (s->cur >= s->n_pass) s->cur = s->n_pass - 1;
    } else {
        forget_history(s);
        int kept = 0;
        for (int i = 0; i < s->n_fed; i++)
            if (s->fed[i].seq != seq || s->fed[i].pos < pos) s->fed[kept++] = s->fed[i];
        s->n_fed = kept;
    }
    s->in_kept = false;
    s->T = s->O = 0;
    s->pc = s->graph.n;
    cut_kv_truncate(&s->kv, seq, pos);
    s->seq_len[seq] = pos;
    return CUT_OK;
}

enum cut_status cut_session_fork(struct cut_session *s, int src, int dst, struct cut_err *err) {
    enum cut_status st;
    if ((st = check_seq(s, src, err)) || (st = check_seq(s, dst, err))) return st;
    if (src == dst) return CUT_OK;
    if (s->seq_len[src] != s->kv.seq[src].n || (s->cur >= 0 && s->pc < s->graph.n))
        return cut_fail(err, CUT_EUSAGE, "fork: sequence %d has tokens that are not evaluated yet", src);
    if ((st = cut_session_truncate(s, dst, 0, err))) return st;
    cut_kv_fork(&s->kv, src, dst);
    memcpy(s->seq_ids + (size_t)dst * (size_t)s->opts.n_ctx, s->seq_ids + (size_t)src * (size_t)s->opts.n_ctx,
           (size_t)s->seq_len[src] * sizeof *s->seq_ids);
    for (int il = 0; s->queries && il < s->kv.n_layer; il++)
        memcpy(cut_query_at(s, il, dst, 0), cut_query_at(s, il, src, 0),
               (size_t)s->seq_len[src] * (size_t)(s->model->config.n_head * s->model->config.head_dim) * sizeof(float));
    s->seq_len[dst] = s->seq_len[src];
    forget_history(s);
    return CUT_OK;
}

enum cut_status cut_session_pad(struct cut_session *s, int seq, const int32_t *ids, int n, struct cut_err *err) {
    enum { NUMBERS = 1 << 14 };
    enum cut_status st = check_seq(s, seq, err);
    if (st) return st;
    int len = s->seq_len[seq], width = s->kv.n_head_kv * s->kv.head_dim;
    if (len != s->kv.seq[seq].n || (s->cur >= 0 && s->pc < s->graph.n))
        return cut_fail(err, CUT_EUSAGE, "pad: sequence %d has tokens that are not evaluated yet", seq);
    if (n > s->opts.n_ctx - len)
        return cut_fail(err, CUT_EFULL, "the context is full: %d tokens more than its %d cells hold (%d in use)", n, s->opts.n_ctx, len);
    float *x = cut_calloc((size_t)(NUMBERS + width), sizeof *x, "numbers at random", err);
    if (!x) return CUT_ENOMEM;
    uint64_t rng = 1;
    for (int i = 0; i < NUMBERS + width; i++) x[i] = 2 * cut_rng_float(&rng) - 1;
    for (int i = 0; i < n && !st; i++) {
        if ((st = cut_kv_append(&s->kv, seq, err))) break;
        for (int il = 0; il < s->kv.n_layer; il++)
            cut_kv_store(&s->kv, &s->kern, il, seq, len + i, x + cut_rng_next(&rng) % NUMBERS, x + cut_rng_next(&rng) % NUMBERS);
        s->seq_ids[(size_t)seq * (size_t)s->opts.n_ctx + (size_t)(len + i)] = ids[i];
        s->seq_len[seq]++;
    }
    free(x);
    forget_history(s);
    return st;
}

void cut_session_reset(struct cut_session *s) {
    for (int i = 0; i < s->opts.n_seq; i++) {
        cut_kv_truncate(&s->kv, i, 0);
        s->seq_len[i] = 0;
    }
    s->n_fed = s->n_pass = s->T = s->O = s->P = 0;
    s->cur = -1;
    s->pc = s->graph.n;
    s->in_kept = false;
    s->n_probe = s->n_break = s->n_edit = 0;
    s->stop_at = -1;
    cut_session_uncancel(s);
    cut_watch_update(s);
}

const int32_t *cut_session_tokens(const struct cut_session *s, int seq, int *n) {
    bool ok = seq >= 0 && seq < s->opts.n_seq;
    *n = ok ? s->seq_len[seq] : 0;
    return ok ? s->seq_ids + (size_t)seq * (size_t)s->opts.n_ctx : NULL;
}

void cut_session_cancel(struct cut_session *s) { atomic_store(&s->cancel, true); }
void cut_session_uncancel(struct cut_session *s) { atomic_store(&s->cancel, false); }
void cut_session_sampler(struct cut_session *s, struct cut_sampler *sampler) { s->sampler = sampler; }

struct cut_counters cut_session_counters(const struct cut_session *s) { return s->count; }

struct cut_memory cut_session_memory(const struct cut_session *s) {
    const struct cut_config *c = &s->model->config;
    size_t cells = (size_t)s->opts.n_ctx * (size_t)s->opts.n_seq;
    return (struct cut_memory){
        .weights = c->weight_bytes,
        .panels = cut_model_panels(s->model),
        .kv = (uint64_t)s->kv.n_layer * 2 * (uint64_t)s->kv.n_pages * s->kv.page_bytes,
        .activations = (s->part ? (uint64_t)cut_pool_size(s->opts.pool) * s->part_bytes : 0) +
                       (s->fused.mem ? s->fused.program.bytes : 0) + (s->kept.mem ? s->kept.program.bytes : 0) +
                       (s->queries ? (uint64_t)c->n_layer * cells * (uint64_t)(c->n_head * c->head_dim) * sizeof(float) : 0),
        .other = cells * (sizeof *s->fed + sizeof *s->pass + sizeof *s->seq_ids) };
}

struct cut_kv_state cut_session_kv(const struct cut_session *s) {
    return (struct cut_kv_state){ .n_cells = s->opts.n_ctx * s->opts.n_seq, .n_used = cut_kv_used(&s->kv), .page = CUT_KV_PAGE,
                                  .cell_bytes = (uint64_t)s->kv.n_layer * 2 * s->kv.page_bytes / CUT_KV_PAGE };
}
