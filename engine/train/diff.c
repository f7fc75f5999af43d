/* diff.c - every operation of a graph, forward and backward.
 *
 * In each pair, y is the node's value, dy the loss's gradient by it. Backward adds to the gradient of what the node read;
 * the first to do so writes instead, so that nothing has to be cleared. */
#include <math.h>

#include "engine/train/diff.h"

struct at {                            /* one node of one batch */
    const struct cut_diff *d;
    struct cut_lane *l;
    const float *w;                    /* all weights */
    float *g;                          /* all their gradients */
    const struct cut_rows *r;
    const struct cut_node *node;
    int i;
};

static int width_of(const struct cut_diff *d, int i) { return (int)cut_node_width(&d->graph.node[i], 1); }
static float *value(const struct at *a, int i) { return a->l->value[i]; }
static int width(const struct at *a, int i) { return width_of(a->d, i); }
static const float *weight(const struct at *a) { return a->w + a->d->param[a->d->param_of[a->i]].at; }
static float *weight_grad(const struct at *a) { return a->g + a->d->param[a->d->param_of[a->i]].at; }

/* Where the share for node i goes, and whether it is added to what is there. */
static float *into(const struct at *a, int i, bool *add) {
    *add = a->l->has[i];
    a->l->has[i] = true;
    return a->l->grad[i];
}

/* ---- y_t = E[id_t];  dE[id_t] += dy_t */

static void embed(const struct at *a) {
    int n = width(a, a->i);
    for (int t = 0; t < a->r->n; t++)
        memcpy(value(a, a->i) + (size_t)t * n, weight(a) + (size_t)a->r->id[t] * n, (size_t)n * sizeof(float));
}

static void embed_back(const struct at *a) {
    int n = width(a, a->i);
    for (int t = 0; t < a->r->n; t++)
        a->d->wide->accumulate(weight_grad(a) + (size_t)a->r->id[t] * n, a->l->grad[a->i] + (size_t)t * n, (size_t)n);
}

/* ---- y = x / rms(x) w: see wide.inc for the gradient */

static void rms_norm(const struct at *a) {
    int x = a->node->in[0], n = width(a, x);
    for (int t = 0; t < a->r->n; t++)
        a->l->norm[a->i][t] = a->d->wide->rms_norm(value(a, a->i) + (size_t)t * n, value(a, x) + (size_t)t * n, weight(a), n,
                                                   a->d->model->config.norm_eps);
}

static void rms_norm_back(const struct at *a) {
    bool add;
    int x = a->node->in[0], n = width(a, x);
    float *dx = into(a, x, &add);
    for (int t = 0; t < a->r->n; t++)
        a->d->wide->rms_norm_back(dx + (size_t)t * n, weight_grad(a), a->l->grad[a->i] + (size_t)t * n, value(a, x) + (size_t)t * n,
                                  weight(a), a->l->norm[a->i][t], n, add);
}

/* ---- Y = X Wᵀ with W (rows, columns);  dX = dY W,  dW = dYᵀ X */

static void matmul(const struct at *a) {
    int rows = (int)a->node->w->ne[1], columns = (int)a->node->w->ne[0];
    struct cut_mat x = { value(a, a->node->in[0]), columns, 1 }, wt = { weight(a), 1, columns };
    a->d->gemm(a->r->n, rows, columns, x, wt, value(a, a->i), rows, false, a->l->scratch);
}

static void matmul_back(const struct at *a) {
    bool add;
    int rows = (int)a->node->w->ne[1], columns = (int)a->node->w->ne[0];
    const float *dy = a->l->grad[a->i];
    struct cut_mat dY = { dy, rows, 1 }, dYt = { dy, 1, rows };
    struct cut_mat W = { weight(a), columns, 1 }, X = { value(a, a->node->in[0]), columns, 1 };
    float *dx = into(a, a->node->in[0], &add);
    a->d->gemm(a->r->n, columns, rows, dY, W, dx, columns, add, a->l->scratch);
    a->d->gemm(rows, columns, a->r->n, dYt, X, weight_grad(a), columns, true, a->l->scratch);
}

/* ---- y = R x with R a rotation of each pair;  dx = Rᵀ dy, the rotation back */

static void rotate(const struct at *a, float *y, const float *x, float sign, bool add) {
    int heads = a->node->ne[1].n, dim = a->node->ne[0].n, rd = a->d->model->config.rope_dim;
    for (int t = 0; t < a->r->n; t++) {
        const float *cs = a->d->cos_sin + (size_t)a->r->pos[t] * rd;
        for (int h = 0; h < heads; h++, x += dim, y += dim)
            for (int i = 0; i < dim; i += 2) {
                float c = i < rd ? cs[i] : 1, s = i < rd ? sign * cs[i + 1] : 0;
                y[i] = (add ? y[i] : 0) + x[i] * c - x[i + 1] * s;
                y[i + 1] = (add ? y[i + 1] : 0) + x[i] * s + x[i + 1] * c;
            }
    }
}

static void rope(const struct at *a) { rotate(a, value(a, a->i), value(a, a->node->in[0]), 1, false); }

static void rope_back(const struct at *a) {
    bool add;
    float *dx = into(a, a->node->in[0], &add);
    rotate(a, dx, a->l->grad[a->i], -1, add);
}

/* ---- Z = P V with P = softmax(Q Kᵀ / √d) over the keys up to the query's own;
 *      dV = Pᵀ dZ,  dP = dZ Vᵀ,  dS = P (dP - Σ P dP) / √d,  dQ = dS K,  dK = dSᵀ Q.
 *
 * A block of queries at a time, one head, one document. P is not kept from the forward walk but computed again: that
 * costs one small product, and saves memory that grows with the square of the length (Dao et al. 2022, section 3.1). */

struct heads { int n, n_kv, dim, q_width, kv_width; float scale; };

static struct heads heads_of(const struct cut_config *c) {
    return (struct heads){ c->n_head, c->n_head_kv, c->head_dim, c->n_head * c->head_dim, c->n_head_kv * c->head_dim,
                           1 / sqrtf((float)c->head_dim) };
}

/* P of queries [q0, q1) of a document, of which K is the first key: rows of n_ctx floats in l->scores, zero where a key is later. */
static void pattern(const struct at *a, const struct heads *h, struct cut_mat Q, struct cut_mat K, int q0, int q1) {
    int ld = a->d->n_ctx;
    struct cut_mat Kt = { K.p, K.sj, K.si };
    a->d->gemm(q1 - q0, q1, h->dim, Q, Kt, a->l->scores, ld, false, a->l->scratch);
    for (int t = q0; t < q1; t++) {
        float *s = a->l->scores + (size_t)(t - q0) * ld;
        a->d->wide->softmax(s, s, t + 1, h->scale);
        memset(s + t + 1, 0, (size_t)(q1 - t - 1) * sizeof *s);
    }
}

static void mix(const struct at *a) {
    struct heads h = heads_of(&a->d->model->config);
    const struct cut_node *store = &a->d->graph.node[a->d->store_of[a->i]];
    const float *q = value(a, a->node->in[1]), *k = value(a, store->in[0]), *v = value(a, store->in[1]);
    for (int doc = 0; doc < a->r->n_docs; doc++)
        for (int i = 0; i < h.n; i++) {
            int t0 = a->r->start[doc], len = a->r->start[doc + 1] - t0, group = i / (h.n / h.n_kv);
            struct cut_mat K = { k + (size_t)t0 * h.kv_width + group * h.dim, h.kv_width, 1 };
            struct cut_mat V = { v + (size_t)t0 * h.kv_width + group * h.dim, h.kv_width, 1 };
            for (int q0 = 0; q0 < len; q0 += CUT_DIFF_BLOCK) {
                int q1 = cut_min(q0 + CUT_DIFF_BLOCK, len);
                size_t at = (size_t)(t0 + q0) * h.q_width + (size_t)i * h.dim;
                struct cut_mat Q = { q + at, h.q_width, 1 }, P = { a->l->scores, a->d->n_ctx, 1 };
                pattern(a, &h, Q, K, q0, q1);
                a->d->gemm(q1 - q0, h.dim, q1, P, V, value(a, a->i) + at, h.q_width, false, a->l->scratch);
            }
        }
}

static void mix_back(const struct at *a) {
    struct heads h = heads_of(&a->d->model->config);
    const struct cut_node *store = &a->d->graph.node[a->d->store_of[a->i]];
    int nq = a->node->in[1], nk = store->in[0], nv = store->in[1], ld = a->d->n_ctx;
    float *dq = a->l->grad[nq], *dk = a->l->grad[nk], *dv = a->l->grad[nv];
    a->l->has[nq] = a->l->has[nk] = a->l->has[nv] = true;      /* only attention reads them */
    memset(dk, 0, (size_t)a->r->n * h.kv_width * sizeof *dk);
    memset(dv, 0, (size_t)a->r->n * h.kv_width * sizeof *dv);
    for (int doc = 0; doc < a->r->n_docs; doc++)
        for (int i = 0; i < h.n; i++) {
            int t0 = a->r->start[doc], len = a->r->start[doc + 1] - t0, group = i / (h.n / h.n_kv);
            size_t at_kv = (size_t)t0 * h.kv_width + (size_t)group * h.dim;
            struct cut_mat K = { value(a, nk) + at_kv, h.kv_width, 1 }, Vt = { value(a, nv) + at_kv, 1, h.kv_width };
            for (int q0 = 0; q0 < len; q0 += CUT_DIFF_BLOCK) {
                int q1 = cut_min(q0 + CUT_DIFF_BLOCK, len), rows = q1 - q0;
                size_t at = (size_t)(t0 + q0) * h.q_width + (size_t)i * h.dim;
                struct cut_mat Q = { value(a, nq) + at, h.q_width, 1 }, dZ = { a->l->grad[a->i] + at, h.q_width, 1 };
                struct cut_mat Pt = { a->l->scores, 1, ld }, dS = { a->l->dscores, ld, 1 }, dSt = { a->l->dscores, 1, ld };
                pattern(a, &h, Q, K, q0, q1);
                a->d->gemm(rows, q1, h.dim, dZ, Vt, a->l->dscores, ld, false, a->l->scratch);
                a->d->gemm(q1, h.dim, rows, Pt, dZ, dv + at_kv, h.kv_width, true, a->l->scratch);
                for (int t = 0; t < rows; t++) {
                    size_t row = (size_t)t * ld;
                    a->d->wide->softmax_back(a->l->dscores + row, a->l->scores + row, a->l->dscores + row, q1, h.scale);
                }
                a->d->gemm(rows, h.dim, q1, dS, K, dq + at, h.q_width, false, a->l->scratch);
                a->d->gemm(q1, h.dim, rows, dSt, Q, dk + at_kv, h.kv_width, true, a->l->scratch);
            }
        }
}

/* ---- y = a + b;  both get dy */

static void add(const struct at *a) {
    size_t n = (size_t)a->r->n * width(a, a->i);
    memcpy(value(a, a->i), value(a, a->node->in[0]), n * sizeof(float));
    a->d->wide->accumulate(value(a, a->i), value(a, a->node->in[1]), n);
}

static void add_back(const struct at *a) {
    size_t n = (size_t)a->r->n * width(a, a->i);
    for (int k = 0; k < 2; k++) {
        bool more;
        float *dx = into(a, a->node->in[k], &more);
        if (more) a->d->wide->accumulate(dx, a->l->grad[a->i], n);
        else memcpy(dx, a->l->grad[a->i], n * sizeof *dx);
    }
}

/* ---- y = g σ(g) u: see wide.inc. Only this node reads gate and up. */

static void silu_mul(const struct at *a) {
    a->d->wide->silu_mul(value(a, a->i), value(a, a->node->in[0]), value(a, a->node->in[1]), a->r->n * width(a, a->i));
}

static void silu_mul_back(const struct at *a) {
    int g = a->node->in[0], u = a->node->in[1];
    a->l->has[g] = a->l->has[u] = true;
    a->d->wide->silu_mul_back(a->l->grad[g], a->l->grad[u], a->l->grad[a->i], value(a, g), value(a, u), a->r->n * width(a, a->i));
}

/* ---- the walks */

static const struct { void (*forward)(const struct at *), (*backward)(const struct at *); } ops[CUT_OP_COUNT] = {
    [CUT_OP_EMBED] = { embed, embed_back },
    [CUT_OP_RMS_NORM] = { rms_norm, rms_norm_back },
    [CUT_OP_MATMUL] = { matmul, matmul_back },
    [CUT_OP_ROPE] = { rope, rope_back },
    [CUT_OP_MIX] = { mix, mix_back },
    [CUT_OP_ADD] = { add, add_back },
    [CUT_OP_SILU_MUL] = { silu_mul, silu_mul_back },
};

void cut_diff_forward(const struct cut_diff *d, struct cut_lane *l, const float *w, const struct cut_rows *r) {
    for (int i = 0; i <= d->logits; i++) {
        struct at a = { d, l, w, NULL, r, &d->graph.node[i], i };
        if (ops[a.node->op].forward) ops[a.node->op].forward(&a);
    }
}

/* L = -log p[target] with p = softmax(logits):  dL/dlogits = p - onehot(target). */
double cut_diff_loss(const struct cut_diff *d, struct cut_lane *l, const struct cut_rows *r, float scale) {
    int n = width_of(d, d->logits);
    double sum = 0;
    for (int t = 0; t < r->n; t++) {
        float *x = l->value[d->logits] + (size_t)t * n;
        if (r->target[t] >= 0) sum += d->wide->cross_entropy(x, n, r->target[t], scale);
        else memset(x, 0, (size_t)n * sizeof *x);
    }
    return sum;
}

void cut_diff_backward(const struct cut_diff *d, struct cut_lane *l, const float *w, const struct cut_rows *r, float *g) {
    memset(l->has, 0, (size_t)d->graph.n * sizeof *l->has);
    l->has[d->logits] = true;
    for (int i = d->logits; i >= 0; i--) {
        struct at a = { d, l, w, g, r, &d->graph.node[i], i };
        if (l->has[i] && ops[a.node->op].backward) ops[a.node->op].backward(&a);
    }
}

/* ---- setting up */

/* Number the weights, each once. A graph of operations whose gradient is not written here is refused. */
static enum cut_status find_params(struct cut_diff *d, struct cut_err *err) {
    for (int i = 0; i < d->graph.n; i++) {
        const struct cut_node *n = &d->graph.node[i];
        bool idle = n->op == CUT_OP_KV_STORE || n->op == CUT_OP_SCORES || n->op == CUT_OP_SOFTMAX || n->op == CUT_OP_SAMPLE;
        if (!idle && !ops[n->op].backward)
            return cut_fail(err, CUT_EUSAGE, "%s: operation %s cannot be differentiated", n->name, cut_op_name(n->op));
        if (n->op == CUT_OP_MATMUL) d->logits = i;             /* the last product of all */
        d->param_of[i] = d->store_of[i] = -1;
        for (int k = i - 1; n->op == CUT_OP_MIX && k >= 0 && d->store_of[i] < 0; k--)
            if (d->graph.node[k].op == CUT_OP_KV_STORE) d->store_of[i] = k;
        if (!n->w) continue;
        for (int p = 0; p < d->n_params && d->param_of[i] < 0; p++)
            if (d->param[p].info == n->w) d->param_of[i] = p;
        if (d->param_of[i] >= 0) continue;
        struct cut_param *p = &d->param[d->param_of[i] = d->n_params++];
        *p = (struct cut_param){ n->w, d->n_floats, (size_t)(n->w->ne[0] * n->w->ne[1]) };
        d->n_floats += cut_round_up(p->n, 16);
    }
    return CUT_OK;
}

static void fill_cos_sin(struct cut_diff *d) {
    const struct cut_config *c = &d->model->config;
    for (int pos = 0; pos < d->n_ctx; pos++)
        for (int i = 0; i < c->rope_dim; i += 2) {
            double factor = d->model->rope_factors ? d->model->rope_factors[i / 2] : 1;
            double angle = pos * (double)c->rope_scale * pow(c->rope_base, -(double)i / c->rope_dim) / factor;
            float *cs = d->cos_sin + (size_t)pos * c->rope_dim + i;
            cs[0] = (float)cos(angle);
            cs[1] = (float)sin(angle);
        }
}

enum cut_status cut_diff_new(struct cut_diff *d, const struct cut_model *m, int max_tokens, struct cut_err *err) {
    *d = (struct cut_diff){ .model = m, .wide = cut_wide_best(), .max_tokens = max_tokens, .n_ctx = m->config.n_ctx_train };
    d->gemm = d->wide->gemm_bf16 ? d->wide->gemm_bf16 : d->wide->gemm;
    d->graph.arena = &d->arena;
    m->arch->build(&d->graph, m);
    size_t n = (size_t)d->graph.n;
    d->param = d->graph.failed ? NULL : cut_arena_alloc(&d->arena, n * sizeof *d->param);
    d->param_of = d->graph.failed ? NULL : cut_arena_alloc(&d->arena, n * sizeof *d->param_of);
    d->store_of = d->graph.failed ? NULL : cut_arena_alloc(&d->arena, n * sizeof *d->store_of);
    d->cos_sin = cut_calloc((size_t)d->n_ctx * (size_t)m->config.rope_dim, sizeof(float), "rotations", err);
    enum cut_status st = CUT_OK;
    if (!d->param || !d->param_of || !d->store_of || !d->cos_sin) st = cut_fail(err, CUT_ENOMEM, "out of memory: the graph");
    if (!st) st = find_params(d, err);
    if (!st) fill_cos_sin(d);
    if (st) cut_diff_done(d);
    return st;
}

void cut_diff_done(struct cut_diff *d) {
    free(d->graph.node);
    free(d->cos_sin);
    cut_arena_done(&d->arena);
    *d = (struct cut_diff){ 0 };
}

/* Floats of each node's value; those that are never written get none. */
static size_t floats_of(const struct cut_diff *d, int i) {
    enum cut_op op = d->graph.node[i].op;
    return i > d->logits || !ops[op].forward ? 0 : cut_round_up((size_t)d->max_tokens * (size_t)width_of(d, i), 16);
}

enum cut_status cut_lane_new(struct cut_lane *l, const struct cut_diff *d, struct cut_err *err) {
    size_t n = (size_t)d->graph.n, block = (size_t)CUT_DIFF_BLOCK * (size_t)d->n_ctx, total = 2 * block, at = 2 * block;
    for (int i = 0; i < d->graph.n; i++) total += 2 * floats_of(d, i) + cut_round_up((size_t)d->max_tokens, 16);
    *l = (struct cut_lane){ 0 };
    l->value = cut_calloc(3 * n, sizeof *l->value, "values of a training pass", err);
    l->has = cut_calloc(n, sizeof *l->has, "values of a training pass", err);
    l->memory = cut_alloc_aligned(total * sizeof(float), "values of a training pass", err);
    l->scratch = cut_alloc_aligned(CUT_WIDE_SCRATCH, "values of a training pass", err);
    if (!l->value || !l->has || !l->memory || !l->scratch) {
        cut_lane_done(l);
        return CUT_ENOMEM;
    }
    l->grad = l->value + n;
    l->norm = l->value + 2 * n;
    l->scores = l->memory;
    l->dscores = l->memory + block;
    for (int i = 0; i < d->graph.n; i++) {
        size_t size = floats_of(d, i);
        l->value[i] = l->memory + at;
        l->grad[i] = i == d->logits ? l->value[i] : l->value[i] + size;        /* the loss turns logits into their gradient */
        l->norm[i] = l->value[i] + 2 * size;
        at += 2 * size + cut_round_up((size_t)d->max_tokens, 16);
    }
    return CUT_OK;
}

void cut_lane_done(struct cut_lane *l) {
    free(l->value);
    free(l->has);
    cut_free_aligned(l->memory);
    cut_free_aligned(l->scratch);
    *l = (struct cut_lane){ 0 };
}
