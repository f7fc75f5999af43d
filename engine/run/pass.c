/* pass.c - one forward pass: the tokens of a batch through every step of the program.
 *
 * run_step() is what each thread does in a step. Work is divided by rows, tokens or heads, never within a sum (unless the session splits
 * k, to show what that does), so that the bytes do not depend on the number of threads; and a fused step runs the same kernels over the
 * same rows in the same order as its parts, so that they do not depend on fusion either. */
#include <math.h>

#include "engine/kernels/panel.h"
#include "engine/run/session.h"

/* What a thread needs to run a step. */
struct job { struct cut_session *s; struct cut_space *sp; struct cut_prog_step step; uint32_t turn; int thread, n_threads; };

enum { ROWS = 16,              /* rows of a weight matrix are shared out in this unit */
       TILE = 128,             /* rows taken at a time by many tokens: unpacked for all of them, and still in the cache for SiLU */
       PIECES = 4,             /* a thread's share for one token: fewer, longer runs of memory are read faster */
       PIECE_BYTES = 1 << 16,  /* but no shorter than that */
       ALONE = 1 << 18 };      /* bytes that one thread reads in the time another takes to wake */

static const struct cut_node *node(const struct job *j, int i) { return &j->s->graph.node[i]; }
static void *value(const struct job *j, int i) { return cut_value_at(j->sp, i); }
static size_t stride(const struct job *j, int i) { return cut_value_stride(node(j, i), j->s->P); }
static float *row(const struct job *j, int i, int r) { return (float *)((char *)value(j, i) + (size_t)r * stride(j, i)); }
static int width(const struct job *j, int i) { return (int)cut_node_width(node(j, i), j->s->P); }
static int rows(const struct job *j, int i) { return cut_node_rows(j->s, node(j, i)); }

/* ---- one function per operation, for one token, row range or head */

const struct cut_src cut_source_of_embed = { __FILE__, __LINE__ + 1, "embed" };
static void embed(const struct job *j, int i, int t) {
    const struct cut_tensor_info *w = node(j, i)->w;
    cut_decode(w->type, (const char *)w->data + (size_t)j->s->tok[t].id * (w->bytes / w->ne[1]), row(j, i, t), w->ne[0]);
}

static void rms_norm(const struct job *j, int i, int r) {
    const struct cut_node *n = node(j, i);
    bool gather = n->ne[2].sym == 'O' && node(j, n->in[0])->ne[2].sym == 'T';
    const float *x = row(j, n->in[0], gather ? j->s->out_row[r] : r);
    j->s->kern.rms_norm(row(j, i, r), x, n->w->data, width(j, i), j->s->model->config.norm_eps);
}

static void quantize(const struct job *j, int i, int r) {
    j->s->kern.quantize_q8(row(j, i, r), row(j, node(j, i)->in[0], r), width(j, i), node(j, i)->block);
}

static void round_bf16(const struct job *j, int i, int r) { j->s->kern.round_bf16(row(j, i, r), row(j, node(j, i)->in[0], r), width(j, i)); }

/* What multiplies the rows of a weight matrix by activations as the step before left them. */
static cut_mm_fn by_rows(const struct job *j, const struct cut_node *n) {
    const struct cut_kernels *k = &j->s->kern;
    enum cut_op from = node(j, n->in[0])->op;
    return from == CUT_OP_QUANTIZE ? k->mm_q8[n->w->type] : from == CUT_OP_ROUND ? k->mm_bf16 : k->mm_f32[n->w->type];
}

static void matmul(const struct job *j, int i, int r0, int r1) {
    const struct cut_node *n = node(j, i);
    const void *panel = j->s->panel[i];
    cut_mm_fn f = panel ? j->s->kern.mm_panel[n->w->type] : by_rows(j, n);
    struct cut_mm m = { .type = n->w->type, .w = panel ? panel : n->w->data, .k = (int)n->w->ne[0],
                        .w_stride = panel ? cut_panel_bytes(n->w->type, n->w->ne[0]) : n->w->bytes / n->w->ne[1],
                        .x = value(j, n->in[0]), .x_stride = stride(j, n->in[0]), .t = rows(j, i), .y = value(j, i),
                        .y_stride = (size_t)width(j, i), .scratch = j->s->scratch[j->thread] };
    if (r0 < r1 && m.t) f(&m, r0, r1);
}

static void rope(const struct job *j, int i, int t) {
    const struct cut_node *n = node(j, i);
    const struct cut_config *c = &j->s->model->config;
    j->s->kern.rope(row(j, i, t), row(j, n->in[0], t), j->s->cos_sin + (size_t)t * (size_t)c->rope_dim, n->ne[1].n, c->head_dim,
                    c->rope_dim);
    if (j->s->queries && n->ne[1].n == c->n_head && node(j, i + 1)->op == CUT_OP_ROPE)    /* q comes before k */
        memcpy(cut_query_at(j->s, n->layer, j->s->tok[t].seq, j->s->tok[t].pos), row(j, i, t), (size_t)width(j, i) * sizeof(float));
}

static void kv_store(const struct job *j, int i, int t) {
    const struct cut_node *n = node(j, i);
    const struct cut_fed *tok = &j->s->tok[t];
    cut_kv_store(&j->s->kv, &j->s->kern, n->layer, tok->seq, tok->pos, row(j, n->in[0], t), row(j, n->in[1], t));
}

/* What token t sees: the cells up to its own. */
static struct cut_attn view(const struct job *j, int i, int t) {
    const struct cut_fed *tok = &j->s->tok[t];
    return cut_kv_view(&j->s->kv, node(j, i)->layer, tok->seq, tok->pos + 1, j->s->model->config.n_head);
}

static void scores(const struct job *j, int i, int t, int h) {
    struct cut_attn a = view(j, i, t);
    int P = j->s->P;
    float *s = row(j, i, t) + (size_t)h * (size_t)P;
    j->s->kern.scores(&a, row(j, node(j, i)->in[0], t) + h * a.head_dim, h, s);
    for (int k = a.n_vis; k < P; k++) s[k] = -INFINITY;        /* the causal mask */
}

static void softmax(const struct job *j, int i, int t, int h) {
    struct cut_attn a = view(j, i, t);
    int P = j->s->P;
    float *p = row(j, i, t) + (size_t)h * (size_t)P;
    j->s->kern.softmax(p, row(j, node(j, i)->in[0], t) + (size_t)h * (size_t)P, a.n_vis);
    for (int k = a.n_vis; k < P; k++) p[k] = 0;
}

/* z of one head from the pattern. */
static void mix(const struct job *j, int i, int t, int h) {
    struct cut_attn a = view(j, i, t);
    const float *p = row(j, node(j, i)->in[0], t) + (size_t)h * (size_t)j->s->P;
    j->s->kern.mix(&a, p, h, row(j, i, t) + h * a.head_dim);
}

/* z of one head, by way of scores and pattern in scratch memory. */
static void mix_fused(const struct job *j, int i, int t, int h) {
    struct cut_attn a = view(j, i, t);
    float *p = j->s->scratch[j->thread];
    j->s->kern.scores(&a, row(j, node(j, i)->in[1], t) + h * a.head_dim, h, p);
    j->s->kern.softmax(p, p, a.n_vis);
    j->s->kern.mix(&a, p, h, row(j, i, t) + h * a.head_dim);
}

/* z of one KV group's heads for n tokens that follow each other, straight from q and the cache. */
static void attention(const struct job *j, int i, int t, int n, int group) {
    struct cut_attn a = view(j, i, t);
    j->s->kern.attn(&a, row(j, node(j, i)->in[1], t), row(j, i, t), (size_t)width(j, i), n, group, group + 1, j->s->scratch[j->thread]);
}

/* z of one head, as if its KV group were the only one and had no other head. */
static void attention_of_head(const struct job *j, int i, int t, int h) {
    struct cut_attn a = view(j, i, t);
    int group = h / (a.n_head / a.n_head_kv), at = h * a.head_dim;
    size_t skip = (size_t)group * (size_t)a.head_dim * CUT_KV_PAGE * (a.type == CUT_F16 ? sizeof(uint16_t) : sizeof(float));
    a.k += skip;
    a.v += skip;
    a.n_head = a.n_head_kv = 1;
    j->s->kern.attn(&a, row(j, node(j, i)->in[1], t) + at, row(j, i, t) + at, (size_t)width(j, i), 1, 0, 1, j->s->scratch[j->thread]);
}

static void add(const struct job *j, int i, int t, int c0, int c1) {
    const struct cut_node *n = node(j, i);
    j->s->kern.add(row(j, i, t) + c0, row(j, n->in[0], t) + c0, row(j, n->in[1], t) + c0, c1 - c0);
}

static void silu_mul(const struct job *j, int i, int t, int c0, int c1) {
    const struct cut_node *n = node(j, i);
    j->s->kern.silu_mul(row(j, i, t) + c0, row(j, n->in[0], t) + c0, row(j, n->in[1], t) + c0, c1 - c0);
}

const struct cut_src cut_source_of_sample = { __FILE__, __LINE__ + 1, "sample" };
static void sample(const struct job *j, int i, int r) {
    struct cut_session *s = j->s;
    int n_vocab = s->model->config.n_vocab;
    const float *logits = row(j, node(j, i)->in[0], r);
    const struct cut_fed *tok = &s->tok[s->out_row[r]];
    struct cut_candidate best = { 0 };
    if (s->sampler)
        s->sampled[r] = cut_sampler_next(s->sampler, logits, s->seq_ids + (size_t)tok->seq * (size_t)s->opts.n_ctx, tok->pos + 1);
    else
        s->sampled[r] = cut_top(logits, n_vocab, &best, 1) ? best.id : -1;
    *row(j, i, r) = (float)s->sampled[r];
}

/* ---- dividing a step among the threads */

/* The rows of a matrix product (or several) shared out: n of them, like those of node i. */
static struct cut_shares shares(const struct job *j, int i, int n) {
    int piece = TILE, unit = ROWS;
    const struct cut_tensor_info *w = node(j, i)->w;
    if (rows(j, i) == 1) piece = j->n_threads == 1 ? n : cut_max(n / (j->n_threads * PIECES), (int)(PIECE_BYTES / (w->bytes / w->ne[1])));
    while (n / unit >= 0xFFFF) unit *= 2;
    return (struct cut_shares){ .pool = j->s->opts.pool, .turn = j->turn, .thread = j->thread, .n_threads = j->n_threads, .n = n, .unit = unit,
                                .piece = (int)cut_round_up((size_t)piece, (size_t)unit) };
}

/* Rows of several products one after the other, as if they were one matrix. */
static void matmuls(const struct job *j, int first, int n) {
    int total = 0, r0, r1;
    for (int i = first; i < first + n; i++) total += (int)cut_round_up((size_t)width(j, i), ROWS);
    for (struct cut_shares s = shares(j, first, total); cut_take(&s, &r0, &r1);)
        for (int i = first, base = 0; i < first + n; base += (int)cut_round_up((size_t)width(j, i), ROWS), i++)
            matmul(j, i, cut_max(0, r0 - base), cut_min(width(j, i), r1 - base));
}

static void gate_up(const struct job *j, int gate) {
    int r0, r1;
    for (struct cut_shares s = shares(j, gate, width(j, gate)); cut_take(&s, &r0, &r1);) {
        matmul(j, gate, r0, r1);
        matmul(j, gate + 1, r0, r1);
        for (int t = 0; t < rows(j, gate); t++) silu_mul(j, gate + 2, t, r0, r1);
    }
}

static void matmul_add(const struct job *j, int i) {
    int r0, r1;
    for (struct cut_shares s = shares(j, i, width(j, i)); cut_take(&s, &r0, &r1);) {
        matmul(j, i, r0, r1);
        for (int t = 0; t < rows(j, i); t++) add(j, i + 1, t, r0, r1);
    }
}

/* Later tokens see more cells, so items go round the threads in turn instead of in stretches. */
#define EACH_OF(count) for (int item = j->thread; item < (count); item += j->n_threads)

/* Tokens behind each other that read the cache together: of one sequence, up to the next multiple of CUT_ATTN_TOKENS. */
static int together(const struct job *j, int t) {
    const struct cut_fed *tok = j->s->tok + t;
    int n = 1;
    while (t + n < j->s->T && tok[n].seq == tok->seq && tok[n].pos == tok->pos + n && tok[n].pos % CUT_ATTN_TOKENS) n++;
    return n;
}

/* A run of tokens and a KV group are an item. Later ones see more cells, so every other round goes backwards. */
static void attentions(const struct job *j, int i) {
    int n_kv = j->s->model->config.n_head_kv, n_head = j->s->model->config.n_head, N = j->n_threads, item = 0;
    if (j->s->T == 1 && j->s->opts.attn == CUT_ATTN_HEADS) {
        EACH_OF(n_head) attention_of_head(j, i, 0, item);
        return;
    }
    for (int t = 0, n; t < j->s->T; t += n) {
        n = together(j, t);
        for (int g = 0; g < n_kv; g++, item++)
            if ((item / N % 2 ? N - 1 - item % N : item % N) == j->thread) attention(j, i, t, n, g);
    }
}

/* One node by itself. */
static void run_node(const struct job *j, int i) {
    int n = rows(j, i), n_head = j->s->model->config.n_head;
    switch (node(j, i)->op) {
    case CUT_OP_EMBED:    EACH_OF(n) embed(j, i, item); break;
    case CUT_OP_RMS_NORM: EACH_OF(n) rms_norm(j, i, item); break;
    case CUT_OP_QUANTIZE: EACH_OF(n) quantize(j, i, item); break;
    case CUT_OP_ROUND:    EACH_OF(n) round_bf16(j, i, item); break;
    case CUT_OP_MATMUL:   matmuls(j, i, 1); break;
    case CUT_OP_ROPE:     EACH_OF(n) rope(j, i, item); break;
    case CUT_OP_KV_STORE: EACH_OF(n) kv_store(j, i, item); break;
    case CUT_OP_SCORES:   EACH_OF(n * n_head) scores(j, i, item / n_head, item % n_head); break;
    case CUT_OP_SOFTMAX:  EACH_OF(n * n_head) softmax(j, i, item / n_head, item % n_head); break;
    case CUT_OP_MIX:
        if (j->s->plain) EACH_OF(n * n_head) mix(j, i, item / n_head, item % n_head);
        else attentions(j, i);
        break;
    case CUT_OP_ADD:      EACH_OF(n) add(j, i, item, 0, width(j, i)); break;
    case CUT_OP_SILU_MUL: EACH_OF(n) silu_mul(j, i, item, 0, width(j, i)); break;
    case CUT_OP_SAMPLE:
        if (j->thread == 0 && (j->s->sampler || j->sp == &j->s->kept))
            for (int r = 0; r < n; r++) sample(j, i, r);
        break;
    case CUT_OP_COUNT: break;
    }
}

static void run_step(const struct job *j) {
    int i = j->step.first, n = rows(j, i), n_head = j->s->model->config.n_head;
    switch (j->step.fusion) {
    case CUT_FUSE_NONE:          run_node(j, i); break;
    case CUT_FUSE_NORM_QUANTIZE: EACH_OF(n) rms_norm(j, i, item), quantize(j, i + 1, item); break;
    case CUT_FUSE_MATMULS:       matmuls(j, i, j->step.n); break;
    case CUT_FUSE_ROPE_STORE:    EACH_OF(n) rope(j, i, item), rope(j, i + 1, item), kv_store(j, i + 2, item); break;
    case CUT_FUSE_ATTENTION:
        if (j->s->plain) EACH_OF(n * n_head) mix_fused(j, i + 2, item / n_head, item % n_head);
        else attentions(j, i + 2);
        break;
    case CUT_FUSE_MATMUL_ADD:    matmul_add(j, i); break;
    case CUT_FUSE_GATE_UP:       gate_up(j, i); break;
    }
}

/* ---- dividing it by columns: the products of a pass of one token, in a session that splits k
 *
 * Of S threads, thread s adds up its columns of every row, y_s[r] = sum over those c of w[r][c] x[c]. When all have, each adds the
 * parts of some rows: y[r] = y_0[r] + y_1[r] + .. + y_S-1[r]. Rounded sums depend on where they are cut, so the bytes depend on S, the
 * size of the pool; they do not depend on who computes which part, or a step that runs on one thread alone would give others. */

enum { COLUMNS = 256 };        /* cut between these: a whole number of blocks in every format */

/* Columns [c0, c1) of a row of 8-bit activations, as a row of their own. */
static void q8_columns(void *to, void *row, int k, int c0, int c1) {
    int n = c1 - c0;
    memcpy(cut_q8_q(to), cut_q8_q(row) + c0, (size_t)n);
    memcpy(cut_q8_d(to, n), cut_q8_d(row, k) + c0 / 32, (size_t)n / 32 * sizeof(float));
    memcpy(cut_q8_s(to, n), cut_q8_s(row, k) + c0 / 16, (size_t)n / 16 * sizeof(int16_t));
}

static float *part_sums(const struct job *j, int part) { return (float *)((char *)j->s->part[part] + j->s->part_x); }

/* One part of the sums of every row of node i. */
static void matmul_part(const struct job *j, int i, int part, int c0, int c1, float *y) {
    const struct cut_node *n = node(j, i);
    const struct cut_type_info *type = cut_type_info(n->w->type);
    bool q8 = node(j, n->in[0])->op == CUT_OP_QUANTIZE;
    if (q8) q8_columns(j->s->part[part], value(j, n->in[0]), (int)n->w->ne[0], c0, c1);
    struct cut_mm m = { .type = n->w->type, .w = (const char *)n->w->data + (size_t)(c0 / type->block * type->bytes), .k = c1 - c0,
                        .w_stride = n->w->bytes / n->w->ne[1], .x = q8 ? j->s->part[part] : (void *)((float *)value(j, n->in[0]) + c0),
                        .t = 1, .y = y, .scratch = j->s->scratch[j->thread] };
    by_rows(j, n)(&m, 0, width(j, i));
}

/* This thread's rows of node i, whose parts begin at `at`, from the parts. */
static void add_parts(const struct job *j, int i, int at, int r0, int r1) {
    int S = cut_pool_size(j->s->opts.pool), c0, c1;
    float *y = row(j, i, 0) + r0;
    bool begun = false;
    for (int part = 0; part < S; part++) {
        cut_share((int)node(j, i)->w->ne[0], COLUMNS, part, S, &c0, &c1);
        if (c0 == c1) continue;                /* fewer blocks than threads */
        const float *more = part_sums(j, part) + at + r0;
        if (begun) j->s->kern.add(y, y, more, r1 - r0);
        else memcpy(y, more, (size_t)(r1 - r0) * sizeof *y);
        begun = true;
    }
}

/* n products of the same input, and what is fused behind them. */
static void products_by_columns(const struct job *j, int first, int n) {
    int S = cut_pool_size(j->s->opts.pool), c0, c1, r0 = 0, r1 = 0;
    for (int part = j->thread; part < S; part += j->n_threads) {
        cut_share((int)node(j, first)->w->ne[0], COLUMNS, part, S, &c0, &c1);
        for (int i = first, at = 0; i < first + n && c0 < c1; at += (int)cut_round_up((size_t)width(j, i), ROWS), i++)
            matmul_part(j, i, part, c0, c1, part_sums(j, part) + at);
    }
    if (j->n_threads > 1) cut_pool_barrier(j->s->opts.pool);
    for (int i = first, at = 0; i < first + n; at += (int)cut_round_up((size_t)width(j, i), ROWS), i++) {
        cut_share(width(j, i), ROWS, j->thread, j->n_threads, &r0, &r1);
        if (r0 < r1) add_parts(j, i, at, r0, r1);
    }
    if (r0 == r1) return;                      /* the last product's; gate and up have as many rows */
    if (j->step.fusion == CUT_FUSE_MATMUL_ADD) add(j, first + 1, 0, r0, r1);
    if (j->step.fusion == CUT_FUSE_GATE_UP) silu_mul(j, first + 2, 0, r0, r1);
}

static void run_step_by_columns(const struct job *j) {
    static const int products[] = { [CUT_FUSE_NONE] = 1, [CUT_FUSE_MATMUL_ADD] = 1, [CUT_FUSE_GATE_UP] = 2 };
    int i = j->step.first;
    if (node(j, i)->op != CUT_OP_MATMUL || rows(j, i) != 1) run_step(j);
    else products_by_columns(j, i, j->step.fusion == CUT_FUSE_MATMULS ? j->step.n : products[j->step.fusion]);
}

/* ---- beginning, running, rewinding */

bool cut_pass_more(const struct cut_session *s) {
    return s->cur < 0 ? s->n_fed > 0 : s->pass[s->cur].first + s->pass[s->cur].n < s->n_fed;
}

bool cut_node_is_derived(const struct cut_session *s, int i) {
    enum cut_op op = s->graph.node[i].op;
    return !s->plain && (op == CUT_OP_SCORES || op == CUT_OP_SOFTMAX);
}

/* Make room for a pass. Grows by half as much again where it must, so that decoding rarely does. */
static enum cut_status reserve(struct cut_session *s, struct cut_space *sp, bool keep, struct cut_err *err) {
    struct cut_program *p = &sp->program;
    if (s->T <= p->cap_T && s->O <= p->cap_O && (!keep || s->P <= p->cap_P)) return CUT_OK;
    int T = cut_max(p->cap_T, s->T), O = cut_max(p->cap_O, s->O), P = p->cap_P;
    if (keep && s->P > P) P = cut_min((int)cut_round_up((size_t)s->opts.n_ctx, CUT_KV_PAGE), (int)cut_round_up((size_t)s->P * 3 / 2, 64));
    struct cut_program want = *p;
    cut_program_layout(&want, T, P, O);
    uint8_t *mem = cut_alloc_aligned(want.bytes, "activations", err);
    if (!mem) {
        cut_program_layout(p, p->cap_T, p->cap_P, p->cap_O);   /* the offsets are shared: put them back */
        return CUT_ENOMEM;
    }
    cut_free_aligned(sp->mem);
    sp->mem = mem;
    *p = want;
    s->count.allocs++;
    return CUT_OK;
}

/* Most tokens a pass may have: n_batch, and in a program that keeps every value no more than fit in a quarter GiB. */
int cut_pass_limit(const struct cut_session *s) {
    if (!cut_watched(s)) return s->opts.n_batch;
    size_t each = cut_graph_token_bytes(&s->graph, cut_max(64, s->P));
    return cut_max(1, cut_min(s->opts.n_batch, (int)(((size_t)1 << 28) / each)));
}

static void angles(struct cut_session *s, int t) {
    const struct cut_config *c = &s->model->config;
    float *cs = s->cos_sin + (size_t)t * (size_t)c->rope_dim;
    for (int i = 0; i < c->rope_dim / 2; i++) {
        double a = s->tok[t].pos * (double)c->rope_scale * s->inv_freq[i];
        cs[2 * i] = (float)cos(a);
        cs[2 * i + 1] = (float)sin(a);
    }
}

enum cut_status cut_pass_begin(struct cut_session *s, struct cut_err *err) {
    int next = s->cur + 1, first = s->cur < 0 ? 0 : s->pass[s->cur].first + s->pass[s->cur].n;
    enum cut_status st = CUT_OK;
    if (next == s->n_pass) s->pass[s->n_pass++] = (struct cut_pass){ first, cut_min(s->n_fed - first, cut_pass_limit(s)), 0 };
    struct cut_pass *pass = &s->pass[next];
    cut_session_repack(s);
    if (s->profiler.on) s->profiler.start = cut_clock_ns();
    if (s->sampler && pass->rng) cut_sampler_set_state(s->sampler, pass->rng);
    else if (s->sampler) pass->rng = cut_sampler_state(s->sampler);

    s->cur = next;
    s->pc = 0;
    s->tok = s->fed + pass->first;
    s->T = pass->n;
    s->O = s->P = 0;
    uint64_t cells = 0;
    for (int t = 0; t < s->T && !st; t++) {
        st = cut_kv_append(&s->kv, s->tok[t].seq, err);
        s->P = cut_max(s->P, s->tok[t].pos + 1);
        cells += (uint64_t)s->tok[t].pos + 1;
        if (s->tok[t].want) s->out_row[s->O++] = t;
        angles(s, t);
    }
    bool keep = s->in_kept = cut_watched(s);
    if (!st) st = reserve(s, keep ? &s->kept : &s->fused, keep, err);
    if (st) {
        cut_pass_rewind(s, next);
        return st;
    }
    for (int r = 0; r < s->O; r++) s->sampled[r] = -1;
    memset(s->ready, 0, (size_t)s->graph.n * sizeof *s->ready);
    cut_watch_update(s);

    s->count.passes++;
    s->count.tokens += (uint64_t)s->T;
    s->count.flops += s->flops_token * (uint64_t)s->T + s->flops_output * (uint64_t)s->O + s->flops_cell * cells;
    s->count.bytes += s->weight_bytes + (uint64_t)s->kv.n_layer * cells * (uint64_t)s->kv.n_head_kv * (uint64_t)s->kv.head_dim *
                      (s->kv.type == CUT_F16 ? 4 : 8);
    return CUT_OK;
}

void cut_pass_rewind(struct cut_session *s, int pass) {
    if (pass > s->cur) return;
    for (int p = s->cur; p >= pass; p--)
        for (int i = s->pass[p].first + s->pass[p].n - 1; i >= s->pass[p].first; i--) cut_kv_truncate(&s->kv, s->fed[i].seq, s->fed[i].pos);
    s->cur = pass - 1;
    s->pc = s->graph.n;
    s->in_kept = false;
    s->T = s->O = 0;
}

struct pass_job { struct cut_session *s; struct cut_space *sp; int from, to; uint32_t turn; struct cut_span *span; };   /* span: or NULL */

static inline void each_step(const struct pass_job *p, int thread, int n_threads, void (*run)(const struct job *)) {
    struct cut_session *s = p->s;
    for (int i = p->from; i < p->to; i++) {
        struct job j = { s, p->sp, p->sp->program.step[i], p->turn + (uint32_t)(i - p->from), thread, n_threads };
        struct cut_span *span = p->span ? p->span + (size_t)i * (size_t)n_threads + thread : NULL;
        if (span) span->t0 = cut_clock_ns() - s->profiler.start;
        run(&j);
        if (span) span->t1 = cut_clock_ns() - s->profiler.start;
        if (i + 1 == p->to) break;                 /* the pool meets at the end by itself */
        if (thread == 0 && atomic_load_explicit(&s->cancel, memory_order_relaxed)) atomic_store(&s->stop_after, i);
        if (n_threads > 1) cut_pool_barrier(s->opts.pool);
        /* Thread 0 may be a step ahead by now and have decided for that one; then we stop there too. */
        if (atomic_load_explicit(&s->stop_after, memory_order_relaxed) <= i) break;
    }
}

static void run_steps(void *arg, int thread, int n_threads) { each_step(arg, thread, n_threads, run_step); }
static void run_steps_by_columns(void *arg, int thread, int n_threads) { each_step(arg, thread, n_threads, run_step_by_columns); }
static cut_pool_fn steps_of(const struct cut_session *s) { return s->part && s->T == 1 ? run_steps_by_columns : run_steps; }

enum cut_status cut_pass_run_fused(struct cut_session *s, struct cut_err *err) {
    int n = s->fused.program.n_steps;
    struct pass_job p = { s, &s->fused, 0, n, cut_pool_turns(s->opts.pool, (uint32_t)n), s->profiler.on ? s->profiler.span : NULL };
    atomic_store(&s->stop_after, p.to);
    cut_pool_run(s->opts.pool, steps_of(s), &p);
    if (p.span) s->profiler.wall = cut_clock_ns() - s->profiler.start;
    s->profiler.filled = p.span != NULL;
    if (atomic_load(&s->stop_after) < p.to) {
        cut_pass_rewind(s, s->cur);
        atomic_store(&s->cancel, false);
        return cut_fail(err, CUT_ECANCEL, "cancelled");
    }
    s->count.steps += (uint64_t)s->graph.n;
    s->pc = s->graph.n;
    return CUT_OK;
}

/* A step shorter than it takes to wake the pool runs on this thread alone; the bytes are the same, and its time is its own. */
void cut_pass_run_node(struct cut_session *s, int i) {
    struct pass_job p = { s, &s->kept, i, i + 1, cut_pool_turns(s->opts.pool, 1), NULL };
    uint64_t bytes, flops;
    cut_session_cost(s, i, &bytes, &flops);
    bool brief = bytes < ALONE && flops < 4 * ALONE;
    double t0 = cut_clock();
    cut_pool_run(brief ? NULL : s->opts.pool, steps_of(s), &p);
    s->time[i] = cut_clock() - t0;
}
