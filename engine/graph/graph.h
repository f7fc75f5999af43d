/* graph.h - what is computed: nodes over tensors. Internal.
 *
 * An architecture (engine/model/) builds a graph once per model. Shapes are symbolic in three numbers only: T, the tokens of
 * a pass; P, the cache cells visible to the one that sees most; O, the output rows (tokens whose logits are wanted).
 * The order of the nodes is the order of the mathematics, and a node reads only nodes before it.
 */
#ifndef CUT_GRAPH_H
#define CUT_GRAPH_H

#include "engine/base/base.h"

enum cut_op {
    CUT_OP_EMBED,      /* y[t] = row id[t] of the weight */
    CUT_OP_RMS_NORM,   /* per token; from T rows to O rows where its shape says so */
    CUT_OP_QUANTIZE,   /* to 8 bits in blocks of `block`, before a product with quantized weights; added by the compiler */
    CUT_OP_ROUND,      /* to bfloat16, before a product with bf16 weights; likewise */
    CUT_OP_MATMUL,
    CUT_OP_ROPE,
    CUT_OP_KV_STORE,   /* in[0] = k, in[1] = v, into the cells of this pass's tokens */
    CUT_OP_SCORES,     /* in[0] = q; reads the cache. Runs on demand, or for the plain path */
    CUT_OP_SOFTMAX,    /* likewise */
    CUT_OP_MIX,        /* in[0] = pattern, in[1] = q; the plain path reads the pattern, the other q and the cache */
    CUT_OP_ADD,
    CUT_OP_SILU_MUL,   /* in[0] = gate, in[1] = up */
    CUT_OP_SAMPLE,     /* in[0] = logits */
    CUT_OP_COUNT,
};

/* One dimension: n, or n times a symbol. */
struct cut_dim { int n; char sym; };      /* sym: 0, 'T', 'P' or 'O' */

struct cut_node {
    enum cut_op op;
    const char *name, *alias;
    const char *also[2];       /* further names of the same value: "blk.1.resid_pre" is "blk.0.resid_post" */
    const char *formula, *cite;
    int layer;                 /* -1 outside the blocks */
    int n_in, in[2];
    const struct cut_tensor_info *w;
    int block;                 /* CUT_OP_QUANTIZE: 32 or 256 */
    struct cut_dim ne[3];      /* the last one counts tokens */
    const char *axis[3];
    struct cut_src built;
};

struct cut_graph {
    struct cut_arena *arena;   /* names and nodes; borrowed */
    struct cut_node *node;
    int n;
    size_t cap;
    bool failed;               /* out of memory while building; the result is useless */
};

/* The name of an operation: "matmul". */
const char *cut_op_name(enum cut_op op);
/* The reference kernel that computes it: "rms_norm". */
const char *cut_op_function(enum cut_op op);

/* Value of a symbolic dimension. */
static inline int64_t cut_dim_at(struct cut_dim d, int T, int P, int O) {
    return (int64_t)d.n * (d.sym == 'T' ? T : d.sym == 'P' ? P : d.sym == 'O' ? O : 1);
}
/* Floats per token. */
static inline int64_t cut_node_width(const struct cut_node *n, int P) {
    return cut_dim_at(n->ne[0], 1, P, 1) * cut_dim_at(n->ne[1], 1, P, 1);
}
bool cut_node_is(const struct cut_node *n, const char *name);              /* by any of its names, exactly */
bool cut_node_matches(const struct cut_node *n, const char *pattern);      /* by any of its names, with * */

/* ---- building, for engine/model/. il is the layer, -1 outside the blocks; names are given without their
 * "blk.N." and "blocks.N." in front. Each returns the new node's index. */
#define CUT_HERE ((struct cut_src){ __FILE__, __LINE__, __func__ })
struct cut_label { int il; const char *name, *alias, *formula; };

int cut_graph_embed(struct cut_graph *g, struct cut_src at, struct cut_label l, const struct cut_tensor_info *w);
int cut_graph_rms_norm(struct cut_graph *g, struct cut_src at, struct cut_label l, int x, const struct cut_tensor_info *w);
/* heads > 1: the rows of the result are shown as heads of rows / heads. */
int cut_graph_matmul(struct cut_graph *g, struct cut_src at, struct cut_label l, int x, const struct cut_tensor_info *w,
                     int heads);
int cut_graph_rope(struct cut_graph *g, struct cut_src at, struct cut_label l, int x);
int cut_graph_kv_store(struct cut_graph *g, struct cut_src at, struct cut_label l, int k, int v);
int cut_graph_scores(struct cut_graph *g, struct cut_src at, struct cut_label l, int q);
int cut_graph_softmax(struct cut_graph *g, struct cut_src at, struct cut_label l, int scores);
int cut_graph_mix(struct cut_graph *g, struct cut_src at, struct cut_label l, int pattern, int q);
int cut_graph_add(struct cut_graph *g, struct cut_src at, struct cut_label l, int a, int b);
int cut_graph_silu_mul(struct cut_graph *g, struct cut_src at, struct cut_label l, int gate, int up);
int cut_graph_sample(struct cut_graph *g, struct cut_src at, struct cut_label l, int logits);
/* From here on the value has one row per output instead of one per token. */
void cut_graph_outputs_only(struct cut_graph *g, int x);
/* Another name for a value. */
void cut_graph_alias(struct cut_graph *g, int x, int il, const char *name, const char *alias);
/* For the compiler: x as products read it, rounded to 8 bits in blocks of 32 or 256 (as ggml's q8_0 and q8_K), or, block = 1, to bfloat16. */
int cut_graph_round(struct cut_graph *g, int block, int x);

#endif
