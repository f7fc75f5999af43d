/* graph.c - building a graph: one function per operation, each of which knows its shape, formula and paper. */
#include "engine/graph/graph.h"

static const struct { const char *name, *function; } ops[CUT_OP_COUNT] = {
    [CUT_OP_EMBED] = { "get_rows", "embed" },      [CUT_OP_RMS_NORM] = { "rms_norm", "rms_norm" },
    [CUT_OP_QUANTIZE] = { "quantize", "quantize_q8" }, [CUT_OP_ROUND] = { "round", "round_bf16" },
    [CUT_OP_MATMUL] = { "matmul", "mm_f32" },
    [CUT_OP_ROPE] = { "rope", "rope" },             [CUT_OP_KV_STORE] = { "store", "to_f16" },
    [CUT_OP_SCORES] = { "scores", "scores" },       [CUT_OP_SOFTMAX] = { "softmax", "softmax" },
    [CUT_OP_MIX] = { "attention", "attn" },         [CUT_OP_ADD] = { "add", "add" },
    [CUT_OP_SILU_MUL] = { "swiglu", "silu_mul" },   [CUT_OP_SAMPLE] = { "sample", "sample" },
};

const char *cut_op_name(enum cut_op op) { return ops[op].name; }
const char *cut_op_function(enum cut_op op) { return ops[op].function; }

static bool any_name(const struct cut_node *n, const char *what, bool (*same)(const char *, const char *)) {
    const char *names[] = { n->name, n->alias, n->also[0], n->also[1] };
    for (size_t i = 0; i < CUT_LEN(names); i++)
        if (names[i] && same(what, names[i])) return true;
    return false;
}
static bool equal(const char *a, const char *b) { return !strcmp(a, b); }
bool cut_node_is(const struct cut_node *n, const char *name) { return any_name(n, name, equal); }
bool cut_node_matches(const struct cut_node *n, const char *pattern) { return any_name(n, pattern, cut_glob); }

/* "q" of layer 3 is "blk.3.q", TransformerLens' "attn.hook_q" is "blocks.3.attn.hook_q". */
static const char *in_layer(struct cut_graph *g, const char *prefix, int il, const char *name) {
    if (!name || il < 0) return name;
    const char *full = cut_arena_printf(g->arena, "%s.%d.%s", prefix, il, name);
    if (!full) g->failed = true;
    return full;
}

static int add_node(struct cut_graph *g, struct cut_src at, struct cut_label l, struct cut_node n) {
    if (g->failed || cut_grow(&g->node, &g->cap, (size_t)g->n, sizeof n, "graph", NULL)) {
        g->failed = true;
        return 0;
    }
    n.name = in_layer(g, "blk", l.il, l.name);
    n.alias = in_layer(g, "blocks", l.il, l.alias);
    n.layer = l.il;
    n.formula = l.formula;
    n.built = at;
    g->node[g->n] = n;
    return g->n++;
}

/* A node shaped like the value it reads. Once building has failed there may be no such value, and nothing matters any more. */
static struct cut_node like(const struct cut_graph *g, enum cut_op op, int x) {
    struct cut_node n = { .op = op, .n_in = 1, .in = { x } };
    if (g->failed) return n;
    memcpy(n.ne, g->node[x].ne, sizeof n.ne);
    memcpy(n.axis, g->node[x].axis, sizeof n.axis);
    return n;
}

int cut_graph_embed(struct cut_graph *g, struct cut_src at, struct cut_label l, const struct cut_tensor_info *w) {
    return add_node(g, at, l, (struct cut_node){ .op = CUT_OP_EMBED, .w = w, .ne = { { (int)w->ne[0], 0 }, { 1, 0 }, { 1, 'T' } },
                    .axis = { "dim", NULL, "token" }, .cite = "Vaswani et al. 2017, section 3.4" });
}

int cut_graph_rms_norm(struct cut_graph *g, struct cut_src at, struct cut_label l, int x, const struct cut_tensor_info *w) {
    struct cut_node n = like(g, CUT_OP_RMS_NORM, x);
    n.w = w;
    n.cite = "Zhang and Sennrich 2019, equation 4";
    return add_node(g, at, l, n);
}

int cut_graph_matmul(struct cut_graph *g, struct cut_src at, struct cut_label l, int x, const struct cut_tensor_info *w,
                     int heads) {
    struct cut_node n = like(g, CUT_OP_MATMUL, x);
    n.w = w;
    n.ne[0] = (struct cut_dim){ (int)w->ne[1] / heads, 0 };
    n.ne[1] = (struct cut_dim){ heads, 0 };
    n.axis[0] = "dim";
    n.axis[1] = heads > 1 ? "head" : NULL;
    return add_node(g, at, l, n);
}

int cut_graph_rope(struct cut_graph *g, struct cut_src at, struct cut_label l, int x) {
    struct cut_node n = like(g, CUT_OP_ROPE, x);
    n.cite = "Su et al. 2021, section 3.2.2, equation 34";
    return add_node(g, at, l, n);
}

int cut_graph_kv_store(struct cut_graph *g, struct cut_src at, struct cut_label l, int k, int v) {
    struct cut_node n = like(g, CUT_OP_KV_STORE, k);
    n.ne[1].n *= 2;            /* shown as the heads of K, then the heads of V */
    n.axis[1] = "k, v head";
    n.n_in = 2;
    n.in[1] = v;
    return add_node(g, at, l, n);
}

int cut_graph_scores(struct cut_graph *g, struct cut_src at, struct cut_label l, int q) {
    struct cut_node n = like(g, CUT_OP_SCORES, q);
    n.ne[0] = (struct cut_dim){ 1, 'P' };
    n.axis[0] = "key";
    n.cite = "Vaswani et al. 2017, section 3.2.1, equation 1";
    return add_node(g, at, l, n);
}

int cut_graph_softmax(struct cut_graph *g, struct cut_src at, struct cut_label l, int scores) {
    struct cut_node n = like(g, CUT_OP_SOFTMAX, scores);
    n.cite = "Vaswani et al. 2017, section 3.2.1, equation 1";
    return add_node(g, at, l, n);
}

int cut_graph_mix(struct cut_graph *g, struct cut_src at, struct cut_label l, int pattern, int q) {
    struct cut_node n = like(g, CUT_OP_MIX, q);
    n.n_in = 2;
    n.in[0] = pattern;
    n.in[1] = q;
    n.cite = "Vaswani et al. 2017, equation 1; Milakov and Gimelshein 2018, algorithm 3";
    return add_node(g, at, l, n);
}

int cut_graph_add(struct cut_graph *g, struct cut_src at, struct cut_label l, int a, int b) {
    struct cut_node n = like(g, CUT_OP_ADD, a);
    n.n_in = 2;
    n.in[1] = b;
    n.cite = "He et al. 2016, section 3.1";
    return add_node(g, at, l, n);
}

int cut_graph_silu_mul(struct cut_graph *g, struct cut_src at, struct cut_label l, int gate, int up) {
    struct cut_node n = like(g, CUT_OP_SILU_MUL, gate);
    n.n_in = 2;
    n.in[1] = up;
    n.cite = "Shazeer 2020, equation 6 (SwiGLU)";
    return add_node(g, at, l, n);
}

int cut_graph_sample(struct cut_graph *g, struct cut_src at, struct cut_label l, int logits) {
    struct cut_node n = like(g, CUT_OP_SAMPLE, logits);
    n.ne[0] = (struct cut_dim){ 1, 0 };
    n.axis[0] = NULL;
    if (!g->failed) g->node[logits].axis[0] = "vocab";
    return add_node(g, at, l, n);
}

int cut_graph_round(struct cut_graph *g, int block, int x) {
    if (g->failed) return 0;
    const struct cut_node *in = &g->node[x];
    struct cut_node n = like(g, block == 1 ? CUT_OP_ROUND : CUT_OP_QUANTIZE, x);
    struct cut_label l = { -1, cut_arena_printf(g->arena, "%s.%s", in->name, block == 1 ? "bf16" : block == 256 ? "q8_K" : "q8"), NULL,
                           block == 1     ? "x to the nearest bfloat16"
                           : block == 256 ? "d = max|x| / 127,  q = round(x / d)   per block of 256"
                                          : "d = max|x| / 127,  q = round(x / d)   per block of 32" };
    n.block = block;
    if (!l.name) g->failed = true;
    int il = in->layer, y = add_node(g, in->built, l, n);
    if (!g->failed) g->node[y].layer = il;
    return y;
}

void cut_graph_outputs_only(struct cut_graph *g, int x) {
    if (!g->failed) g->node[x].ne[2].sym = 'O';
}

void cut_graph_alias(struct cut_graph *g, int x, int il, const char *name, const char *alias) {
    if (g->failed) return;
    const char *a = in_layer(g, "blk", il, name), *b = in_layer(g, "blocks", il, alias);
    g->node[x].also[0] = a;
    g->node[x].also[1] = b;
}
