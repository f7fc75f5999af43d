/* value.c - looking at values: views of what a step wrote, what is derived on demand, statistics and costs. */
#include <math.h>

#include "engine/run/session.h"

static float *view_room(struct cut_session *s, size_t n, struct cut_err *err) {
    if (n <= s->cap_view) return s->view;
    float *p = realloc(s->view, n * sizeof *p);
    if (!p) {
        cut_fail(err, CUT_ENOMEM, "out of memory: viewing %zu values", n);
        return NULL;
    }
    s->cap_view = n;
    return s->view = p;
}

/* Scores and pattern beside online softmax: from this pass's q and the cached K, once per pass. */
static void derive(struct cut_session *s, int i) {
    if (s->ready[i]) return;
    if (s->graph.node[i].op == CUT_OP_SOFTMAX) derive(s, s->graph.node[i].in[0]);
    cut_pass_run_node(s, i);
    s->ready[i] = true;
}

static enum cut_status decode_q8(struct cut_session *s, int i, const struct cut_tensor *t, float **out, struct cut_err *err) {
    const struct cut_node *n = &s->graph.node[i];
    int width = (int)cut_node_width(n, s->P);
    float *x = view_room(s, (size_t)width * (size_t)t->ne[2], err);
    if (!x) return CUT_ENOMEM;
    for (int r = 0; r < t->ne[2]; r++) {
        void *row = (char *)cut_value_at(&s->kept, i) + (size_t)r * cut_value_stride(n, s->P);
        for (int c = 0; c < width; c++) x[(size_t)r * (size_t)width + (size_t)c] = cut_q8_d(row, width)[c / 32] * cut_q8_q(row)[c];
    }
    *out = x;
    return CUT_OK;
}

/* The cells as the cache holds them: the heads of K, then those of V. */
static enum cut_status decode_cells(struct cut_session *s, int i, float **out, struct cut_err *err) {
    const struct cut_node *n = &s->graph.node[i];
    int hd = s->kv.head_dim, kv = s->kv.n_head_kv;
    float *x = view_room(s, (size_t)s->T * 2 * (size_t)(kv * hd), err);
    if (!x) return CUT_ENOMEM;
    *out = x;
    for (int t = 0; t < s->T; t++)
        for (int h = 0; h < 2 * kv; h++, x += hd) cut_kv_load(&s->kv, n->layer, s->tok[t].seq, s->tok[t].pos, h % kv, h >= kv, x);
    return CUT_OK;
}

enum cut_status cut_value_view(struct cut_session *s, int i, struct cut_tensor *out, struct cut_err *err) {
    const struct cut_node *n = &s->graph.node[i];
    struct cut_tensor t = { .name = n->name, .n_dims = 3, .edited = s->edited[i] };
    for (int d = 0; d < 3; d++) {
        t.ne[d] = cut_dim_at(n->ne[d], s->T, s->P, s->O);
        t.axis[d] = n->axis[d];
    }
    enum cut_status st = CUT_OK;
    if (i < s->pc && s->T) {
        bool derived = cut_node_is_derived(s, i);
        t.tag = derived || n->op == CUT_OP_QUANTIZE || n->op == CUT_OP_KV_STORE ? CUT_DERIVED : CUT_REAL;
        if (derived) derive(s, i);
        if (n->op == CUT_OP_QUANTIZE) st = decode_q8(s, i, &t, &t.data, err);
        else if (n->op == CUT_OP_KV_STORE) st = decode_cells(s, i, &t.data, err);
        else t.data = cut_value_at(&s->kept, i);
    }
    if (!st) *out = t;
    return st;
}

static enum cut_status check_step(const struct cut_session *s, int i, struct cut_err *err) {
    if (i >= 0 && i < s->graph.n) return CUT_OK;
    return cut_fail(err, CUT_EUSAGE, "step %d is not in 0 to %d", i, s->graph.n - 1);
}

enum cut_status cut_session_value(struct cut_session *s, int step, struct cut_tensor *out, struct cut_err *err) {
    enum cut_status st = check_step(s, step, err);
    if (st) return st;
    if (!s->in_kept && s->T)
        return cut_fail(err, CUT_EUSAGE, "%s: this pass ran fused and kept no values; use keep, or step through it", s->step[step].name);
    return cut_value_view(s, step, out, err);
}

int cut_session_n_steps(const struct cut_session *s) { return s->graph.n; }

const struct cut_step *cut_session_step_at(const struct cut_session *s, int i) {
    return i >= 0 && i < s->graph.n ? &s->step[i] : NULL;
}

int cut_session_find_step(const struct cut_session *s, const char *name) {
    for (int i = 0; i < s->graph.n; i++)
        if (cut_node_is(&s->graph.node[i], name)) return i;
    return -1;
}

/* ---- results */

const float *cut_session_logits(const struct cut_session *s, int i) {
    if (i < 0) i += s->O;
    if (s->cur < 0 || i < 0 || i >= s->O || s->pc <= s->logits_node) return NULL;
    const struct cut_space *sp = s->in_kept ? &s->kept : &s->fused;
    return (const float *)cut_value_at(sp, s->logits_node) + (size_t)i * (size_t)s->model->config.n_vocab;
}

int32_t cut_session_sampled(const struct cut_session *s, int i) {
    if (i < 0) i += s->O;
    return s->cur < 0 || i < 0 || i >= s->O || s->pc <= s->sample_node ? -1 : s->sampled[i];
}

/* ---- numbers about values and steps */

void cut_tensor_stats(const float *x, int64_t n, struct cut_stats *out) {
    struct cut_stats st = { .n = n };
    double sum = 0, squares = 0;
    int64_t finite = 0;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(x[i])) st.n_nan++;
        else if (isinf(x[i])) st.n_inf++;
        else {
            if (!finite++ || x[i] < st.min) st.min = x[i];
            if (finite == 1 || x[i] > st.max) st.max = x[i];
            sum += x[i];
            squares += (double)x[i] * x[i];
        }
    }
    if (finite) {
        st.mean = (float)(sum / (double)finite);
        st.rms = (float)sqrt(squares / (double)finite);
        double span = (double)st.max - st.min;
        for (int64_t i = 0; i < n; i++)
            if (isfinite(x[i])) st.hist[span > 0 ? cut_min(31, (int)((x[i] - (double)st.min) / span * 32)) : 0]++;
    }
    *out = st;
}

void cut_session_cost(const struct cut_session *s, int step, uint64_t *bytes, uint64_t *flops) {
    uint64_t b = 0, f = 0;
    if (step >= 0 && step < s->graph.n && s->T) {
        const struct cut_node *n = &s->graph.node[step];
        uint64_t rows = (uint64_t)cut_node_rows(s, n), width = (uint64_t)cut_node_width(n, s->P), cells = 0;
        for (int t = 0; t < s->T; t++) cells += (uint64_t)s->tok[t].pos + 1;
        uint64_t cell = (uint64_t)(s->kv.n_head_kv * s->kv.head_dim) * (s->kv.type == CUT_F16 ? 2 : 4);
        uint64_t qdim = (uint64_t)(s->model->config.n_head * s->kv.head_dim);
        for (int j = 0; j < n->n_in; j++) {
            const struct cut_node *in = &s->graph.node[n->in[j]];
            if (in->op != CUT_OP_SOFTMAX || s->plain) b += (uint64_t)cut_node_rows(s, in) * cut_value_stride(in, s->P);
        }
        if (n->op == CUT_OP_EMBED) b += rows * (n->w->bytes / n->w->ne[1]);
        else if (n->op == CUT_OP_MATMUL) b += cut_session_weight_bytes(s, step);
        else if (n->w) b += n->w->bytes;
        if (n->op == CUT_OP_SCORES) b += cells * cell, f += 2 * cells * qdim;
        if (n->op == CUT_OP_MIX) b += cells * cell * (s->plain ? 1 : 2), f += cells * qdim * (s->plain ? 2 : 4);
        if (n->op == CUT_OP_MATMUL) f += 2 * rows * n->w->ne[0] * n->w->ne[1];
        if (n->op == CUT_OP_RMS_NORM || n->op == CUT_OP_SILU_MUL) f += 4 * rows * width;
        if (n->op == CUT_OP_ADD) f += rows * width;
        if (n->op == CUT_OP_ROPE) f += 3 * rows * width;
        if (n->op == CUT_OP_QUANTIZE || n->op == CUT_OP_ROUND) f += 2 * rows * width;
        if (n->op == CUT_OP_SOFTMAX) f += 3 * cells * (uint64_t)s->model->config.n_head;
    }
    if (bytes) *bytes = b;
    if (flops) *flops = f;
}

double cut_session_step_time(const struct cut_session *s, int step) { return step >= 0 && step < s->graph.n ? s->time[step] : 0; }

/* ---- attention, from kept queries */

enum cut_status cut_session_attention(struct cut_session *s, int seq, int layer, int head, int pos, enum cut_attn_stage stage, float *out,
                                      struct cut_err *err) {
    const struct cut_config *c = &s->model->config;
    if (!s->queries) return cut_fail(err, CUT_EUSAGE, "attention: this session keeps no queries; open it with keep");
    if (seq < 0 || seq >= s->opts.n_seq || layer < 0 || layer >= c->n_layer || head < 0 || head >= c->n_head || pos < 0)
        return cut_fail(err, CUT_EUSAGE, "attention: sequence %d, layer %d, head %d, position %d: out of range", seq, layer, head, pos);
    int stored = s->kv.seq[seq].n;
    for (int t = 0; t < s->T && s->pc < s->graph.n; t++) {      /* cells this pass has not filled in this layer yet */
        int i = 0;
        while (s->graph.node[i].op != CUT_OP_KV_STORE || s->graph.node[i].layer != layer) i++;
        if (s->tok[t].seq == seq && s->pc <= i) stored = cut_min(stored, s->tok[t].pos);
    }
    if (pos >= stored) return cut_fail(err, CUT_EUSAGE, "attention: position %d of layer %d is not computed yet", pos, layer);

    struct cut_attn a = cut_kv_view(&s->kv, layer, seq, pos + 1, c->n_head);
    if (stage == CUT_ATTN_RAW) a.scale = 1;
    s->kern.scores(&a, cut_query_at(s, layer, seq, pos) + head * c->head_dim, head, out);
    if (stage >= CUT_ATTN_SOFTMAX) s->kern.softmax(out, out, pos + 1);
    if (stage == CUT_ATTN_VALUE) {
        float *v = view_room(s, (size_t)c->head_dim, err);
        if (!v) return CUT_ENOMEM;
        double sum = 0;
        for (int j = 0; j <= pos; j++) {
            double squares = 0;
            cut_kv_load(&s->kv, layer, seq, j, head / (c->n_head / c->n_head_kv), true, v);
            for (int d = 0; d < c->head_dim; d++) squares += (double)v[d] * v[d];
            sum += out[j] *= (float)sqrt(squares);
        }
        for (int j = 0; j <= pos && sum > 0; j++) out[j] = (float)(out[j] / sum);
    }
    return CUT_OK;
}
