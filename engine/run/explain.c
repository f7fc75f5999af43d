/* explain.c - one value taken apart: the operands, the products, and what they add up to.
 *
 * Plain C over the values the step read, in double, independent of the kernels: where the two differ, the reader sees by how many
 * units in the last place. */
#include <math.h>
#include <stdarg.h>

#include "engine/run/session.h"

struct view { struct cut_tensor t[2]; };     /* the step's inputs */

static enum cut_status push(struct cut_explain *e, float a, float b, double term, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static enum cut_status push(struct cut_explain *e, float a, float b, double term, const char *fmt, ...) {
    if ((e->n_terms & (e->n_terms - 1)) == 0) {      /* full at every power of two */
        struct cut_term *p = realloc(e->terms, (size_t)cut_max(16, e->n_terms * 2) * sizeof *p);
        if (!p) return CUT_ENOMEM;
        e->terms = p;
    }
    struct cut_term *t = &e->terms[e->n_terms++];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t->label, sizeof t->label, fmt, ap);
    va_end(ap);
    t->a = a;
    t->b = b;
    t->term = (float)term;
    return CUT_OK;
}

static double silu(double x) { return x / (1 + exp(-x)); }

/* What all the cases need to know. */
struct cell {
    struct cut_session *s;
    const struct cut_node *n;
    int i0, i1, row, token;            /* token: of the batch */
    int64_t flat;                      /* within the row */
    struct cut_explain *e;
    struct cut_err *err;
};

/* An input's row; its view stays valid only until the next call for a value that has to be decoded. */
static const float *input(struct cell *c, int which, int *width) {
    int i = c->n->in[which];
    struct cut_tensor t;
    if (cut_value_view(c->s, i, &t, c->err) || !t.data) return NULL;
    const struct cut_node *n = &c->s->graph.node[i];
    int row = n->ne[2].sym == 'O' ? c->row : c->token, w = (int)cut_node_width(n, c->s->P);
    if (width) *width = w;
    return t.data + (size_t)row * (size_t)w;
}

static enum cut_status sum_of_embedding(struct cell *c) {
    const struct cut_tensor_info *w = c->n->w;
    int id = c->s->tok[c->token].id;
    snprintf(c->e->how, sizeof c->e->how, "E[%d][%d]", id, c->i0);
    c->e->total = c->e->value;
    return push(c->e, c->e->value, 1, c->e->value, "%s row %d", cut_type_info(w->type)->name, id);
}

static enum cut_status product_of_norm(struct cell *c) {
    int n;
    const float *x = input(c, 0, &n), *w = c->n->w->data;
    if (!x) return CUT_ENOMEM;
    double mean = 0, eps = c->s->model->config.norm_eps;
    for (int i = 0; i < n; i++) mean += (double)x[i] * x[i] / n;
    double scale = 1 / sqrt(mean + eps);
    snprintf(c->e->how, sizeof c->e->how, "x[%d] · scale · w[%d]", c->i0, c->i0);
    snprintf(c->e->note, sizeof c->e->note, "scale = 1 / √(mean x² + ε) = 1 / √(%.4g + %.0e)", mean, eps);
    c->e->product = true;
    c->e->total = (float)(x[c->i0] * scale * w[c->i0]);
    enum cut_status st = push(c->e, x[c->i0], 0, x[c->i0], "x[%d]", c->i0);
    if (!st) st = push(c->e, (float)scale, 0, scale, "scale");
    return st ? st : push(c->e, w[c->i0], 0, w[c->i0], "w[%d]", c->i0);
}

static enum cut_status product_of_quantize(struct cell *c) {
    int n, i = (int)c->flat;
    const float *x = input(c, 0, &n);
    if (!x) return CUT_ENOMEM;
    double amax = 0;
    const int block = c->n->block;
    for (int k = i / block * block; k < i / block * block + block; k++) amax = fmax(amax, fabs(x[k]));
    float d = (float)amax / 127;
    int q = d > 0 ? (int)roundf(x[i] / d) : 0;
    snprintf(c->e->how, sizeof c->e->how, "d · q,  q = round(x / d) = round(%.5g / %.5g)", x[i], d);
    snprintf(c->e->note, sizeof c->e->note, "d = max|x| of block %d / 127 = %.5g / 127", i / block, amax);
    c->e->product = true;
    c->e->total = d * (float)q;
    enum cut_status st = push(c->e, d, 0, d, "d");
    return st ? st : push(c->e, (float)q, 0, q, "q");
}

static enum cut_status sum_of_round(struct cell *c) {
    const float *x = input(c, 0, NULL);
    if (!x) return CUT_ENOMEM;
    snprintf(c->e->how, sizeof c->e->how, "x[%d] to the nearest bfloat16: 8 significant bits", (int)c->flat);
    c->e->total = cut_bf16_to_f32(cut_f32_to_bf16(x[c->flat]));
    return push(c->e, x[c->flat], 1, x[c->flat], "x[%d]", (int)c->flat);
}

static enum cut_status sum_of_matmul(struct cell *c) {
    int k;
    const float *x = input(c, 0, &k);
    const struct cut_tensor_info *w = c->n->w;
    float *row = x ? malloc((size_t)k * sizeof *row) : NULL;
    if (!row) return CUT_ENOMEM;
    cut_decode(w->type, (const char *)w->data + (size_t)c->flat * (w->bytes / w->ne[1]), row, (size_t)k);
    snprintf(c->e->how, sizeof c->e->how, "Σ W[%lld][i] x[i], i = 0 .. %d", (long long)c->flat, k - 1);
    if (cut_type_info(w->type)->block > 1) snprintf(c->e->note, sizeof c->e->note, "W decoded from %s, x from 8-bit blocks", cut_type_info(w->type)->name);
    double total = 0;
    enum cut_status st = CUT_OK;
    for (int i = 0; i < k && !st; i++) {
        total += (double)row[i] * x[i];
        st = push(c->e, row[i], x[i], (double)row[i] * x[i], "i %d", i);
    }
    c->e->total = (float)total;
    free(row);
    return st;
}

static enum cut_status sum_of_rope(struct cell *c) {
    const struct cut_config *g = &c->s->model->config;
    const float *x = input(c, 0, NULL);
    if (!x) return CUT_ENOMEM;
    x += (size_t)c->i1 * (size_t)g->head_dim;
    if (c->i0 >= g->rope_dim) {
        snprintf(c->e->how, sizeof c->e->how, "x[%d], beyond the %d rotating dimensions", c->i0, g->rope_dim);
        c->e->total = x[c->i0];
        return push(c->e, x[c->i0], 1, x[c->i0], "x[%d]", c->i0);
    }
    int pair = c->i0 / 2, even = pair * 2, pos = c->s->tok[c->token].pos;
    double angle = pos * (double)g->rope_scale * c->s->inv_freq[pair];
    double first = c->i0 % 2 ? sin(angle) : cos(angle), second = c->i0 % 2 ? cos(angle) : -sin(angle);
    snprintf(c->e->how, sizeof c->e->how, c->i0 % 2 ? "x[%d] sin a + x[%d] cos a" : "x[%d] cos a - x[%d] sin a", even, even + 1);
    snprintf(c->e->note, sizeof c->e->note, "a = pos · θ^(-2·%d/%d) = %d · %.5g = %.5g", pair, g->rope_dim, pos, c->s->inv_freq[pair] * g->rope_scale, angle);
    c->e->total = (float)(x[even] * first + x[even + 1] * second);
    enum cut_status st = push(c->e, x[even], (float)first, x[even] * first, "x[%d]", even);
    return st ? st : push(c->e, x[even + 1], (float)second, x[even + 1] * second, "x[%d]", even + 1);
}

static enum cut_status sum_of_store(struct cell *c) {
    int kv = c->s->kv.n_head_kv, hd = c->s->kv.head_dim;
    bool v = c->i1 >= kv;
    const float *x = input(c, v, NULL);
    if (!x) return CUT_ENOMEM;
    float raw = x[(c->i1 % kv) * hd + c->i0];
    snprintf(c->e->how, sizeof c->e->how, "%s[%d][%d] rounded to %s", v ? "V" : "K", c->i1 % kv, c->i0, cut_type_info(c->s->kv.type)->name);
    c->e->total = c->s->kv.type == CUT_F16 ? cut_f16_to_f32(cut_f32_to_f16(raw)) : raw;
    return push(c->e, raw, 1, raw, v ? "v" : "k");
}

static enum cut_status sum_of_scores(struct cell *c) {
    int hd = c->s->kv.head_dim, group = c->i1 / (c->s->model->config.n_head / c->s->kv.n_head_kv);
    const struct cut_fed *tok = &c->s->tok[c->token];
    const float *q = input(c, 0, NULL);
    float k[1024], scale = 1.0f / sqrtf((float)hd);
    if (!q || hd > 1024) return CUT_ENOMEM;
    if (c->i0 > tok->pos) {
        snprintf(c->e->how, sizeof c->e->how, "masked: key %d lies in the future of position %d", c->i0, tok->pos);
        c->e->total = c->e->value;
        return CUT_OK;
    }
    cut_kv_load(&c->s->kv, c->n->layer, tok->seq, c->i0, group, false, k);
    snprintf(c->e->how, sizeof c->e->how, "Σ q[%d][d] K[%d][d] / √%d", c->i1, c->i0, hd);
    double total = 0;
    enum cut_status st = CUT_OK;
    for (int d = 0; d < hd && !st; d++) {
        double term = (double)q[c->i1 * hd + d] * k[d];
        total += term;
        st = push(c->e, q[c->i1 * hd + d], k[d], term, "d %d", d);
    }
    snprintf(c->e->note, sizeof c->e->note, "%.5g · %.5g  (K of KV head %d, cell %d)", total, scale, group, c->i0);
    c->e->total = (float)(total * scale);
    return st;
}

static enum cut_status share_of_softmax(struct cell *c) {
    const float *x = input(c, 0, NULL);
    if (!x) return CUT_ENOMEM;
    const float *s = x + (size_t)c->i1 * (size_t)c->s->P;
    int n = c->s->tok[c->token].pos + 1;
    double max = -INFINITY, sum = 0;
    enum cut_status st = CUT_OK;
    for (int j = 0; j < n; j++) max = fmax(max, s[j]);
    for (int j = 0; j < n && !st; j++) {
        sum += exp(s[j] - max);
        st = push(c->e, s[j], 1, exp(s[j] - max), "key %d", j);
    }
    snprintf(c->e->how, sizeof c->e->how, "exp(s[%d] - max) / Σ exp(s[j] - max)", c->i0);
    snprintf(c->e->note, sizeof c->e->note, "max = %.5g, Σ = %.5g", max, sum);
    c->e->total = c->i0 < n ? (float)(exp(s[c->i0] - max) / sum) : 0;
    return st;
}

static enum cut_status sum_of_mix(struct cell *c) {
    const struct cut_fed *tok = &c->s->tok[c->token];
    int hd = c->s->kv.head_dim, group = c->i1 / (c->s->model->config.n_head / c->s->kv.n_head_kv);
    const float *x = input(c, 0, NULL);
    float v[1024];
    if (!x || hd > 1024) return CUT_ENOMEM;
    const float *p = x + (size_t)c->i1 * (size_t)c->s->P;
    double total = 0;
    enum cut_status st = CUT_OK;
    for (int j = 0; j <= tok->pos && !st; j++) {
        cut_kv_load(&c->s->kv, c->n->layer, tok->seq, j, group, true, v);
        total += (double)p[j] * v[c->i0];
        st = push(c->e, p[j], v[c->i0], (double)p[j] * v[c->i0], "key %d", j);
    }
    snprintf(c->e->how, sizeof c->e->how, "Σ p[%d][j] V[j][%d], j = 0 .. %d", c->i1, c->i0, tok->pos);
    snprintf(c->e->note, sizeof c->e->note, "V of KV head %d, shared by %d heads", group, c->s->model->config.n_head / c->s->kv.n_head_kv);
    c->e->total = (float)total;
    return st;
}

static enum cut_status sum_of_add(struct cell *c) {
    const float *a = input(c, 0, NULL), *b = input(c, 1, NULL);
    if (!a || !b) return CUT_ENOMEM;
    snprintf(c->e->how, sizeof c->e->how, "stream + branch, dimension %d", c->i0);
    c->e->total = a[c->i0] + b[c->i0];
    enum cut_status st = push(c->e, a[c->i0], 1, a[c->i0], "stream");
    return st ? st : push(c->e, b[c->i0], 1, b[c->i0], "branch");
}

static enum cut_status product_of_silu(struct cell *c) {
    const float *g = input(c, 0, NULL), *u = input(c, 1, NULL);
    if (!g || !u) return CUT_ENOMEM;
    double gi = g[c->i0], sigmoid = 1 / (1 + exp(-gi));
    snprintf(c->e->how, sizeof c->e->how, "g · σ(g) · u, neuron %d", c->i0);
    snprintf(c->e->note, sizeof c->e->note, "silu(g) = %.5g", silu(gi));
    c->e->product = true;
    c->e->total = (float)(gi * sigmoid * u[c->i0]);
    enum cut_status st = push(c->e, g[c->i0], 0, gi, "g");
    if (!st) st = push(c->e, (float)sigmoid, 0, sigmoid, "σ(g)");
    return st ? st : push(c->e, u[c->i0], 0, u[c->i0], "u");
}

static enum cut_status choice_of_sample(struct cell *c) {
    int n;
    const float *l = input(c, 0, &n);
    struct cut_candidate top[8];
    if (!l) return CUT_ENOMEM;
    enum cut_status st = CUT_OK;
    int k = cut_top(l, n, top, 8);
    for (int i = 0; i < k && !st; i++) st = push(c->e, top[i].logit, top[i].p, top[i].p, "id %d", top[i].id);
    snprintf(c->e->how, sizeof c->e->how, "%s", c->s->sampler ? "drawn by the sampler; the likeliest:" : "argmax l; the likeliest:");
    c->e->total = c->e->value;
    return st;
}

enum cut_status cut_session_explain(struct cut_session *s, int step, const int64_t at[3], struct cut_explain *out, struct cut_err *err) {
    struct cut_tensor t;
    enum cut_status st = cut_session_value(s, step, &t, err);
    if (st) return st;
    if (!t.data) return cut_fail(err, CUT_EUSAGE, "%s is not computed yet", t.name);
    for (int d = 0; d < 3; d++)
        if (at[d] < 0 || at[d] >= t.ne[d])
            return cut_fail(err, CUT_EUSAGE, "%s: index %lld is not in 0 to %lld", t.name, (long long)at[d], (long long)t.ne[d] - 1);

    const struct cut_node *n = &s->graph.node[step];
    int64_t flat = at[1] * t.ne[0] + at[0];
    struct cut_explain e = { .value = t.data[at[2] * t.ne[0] * t.ne[1] + flat] };
    struct cell c = { s, n, (int)at[0], (int)at[1], (int)at[2], cut_row_token(s, n, (int)at[2]), flat, &e, err };
    static enum cut_status (*const how[CUT_OP_COUNT])(struct cell *) = {
        [CUT_OP_EMBED] = sum_of_embedding, [CUT_OP_RMS_NORM] = product_of_norm, [CUT_OP_QUANTIZE] = product_of_quantize,
        [CUT_OP_ROUND] = sum_of_round,
        [CUT_OP_MATMUL] = sum_of_matmul, [CUT_OP_ROPE] = sum_of_rope, [CUT_OP_KV_STORE] = sum_of_store, [CUT_OP_SCORES] = sum_of_scores,
        [CUT_OP_SOFTMAX] = share_of_softmax, [CUT_OP_MIX] = sum_of_mix, [CUT_OP_ADD] = sum_of_add, [CUT_OP_SILU_MUL] = product_of_silu,
        [CUT_OP_SAMPLE] = choice_of_sample,
    };
    if (how[n->op](&c)) {
        cut_explain_done(&e);
        return cut_fail(err, CUT_ENOMEM, "out of memory: taking apart %s", t.name);
    }
    float next = nextafterf(fabsf(e.value), INFINITY) - fabsf(e.value);
    e.ulps = e.value == e.total ? 0 : fabs((double)e.value - e.total) / next;
    *out = e;
    return CUT_OK;
}

void cut_explain_done(struct cut_explain *e) {
    free(e->terms);
    *e = (struct cut_explain){ 0 };
}
