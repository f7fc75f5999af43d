/* program.h - a graph compiled for one session: steps, fused or one per node, and where each value lives. Internal. */
#ifndef CUT_PROGRAM_H
#define CUT_PROGRAM_H

#include "engine/graph/graph.h"
#include "engine/kernels/kern.h"

/* What one step of a fused program does at once. Each keeps the order of operations inside every value, so a fused program
 * gives the unfused one's bytes; what it saves is barriers and trips to memory. */
enum cut_fusion {
    CUT_FUSE_NONE,             /* a single node */
    CUT_FUSE_NORM_QUANTIZE,    /* norm a row and round it while it is in the cache */
    CUT_FUSE_MATMULS,          /* products of the same input: Q, K, V */
    CUT_FUSE_ROPE_STORE,       /* rotate q and k, store k and v */
    CUT_FUSE_ATTENTION,        /* scores, softmax and mix */
    CUT_FUSE_MATMUL_ADD,       /* a product and the residual sum after it */
    CUT_FUSE_GATE_UP,          /* gate, up and SiLU, tile by tile */
};

struct cut_prog_step { enum cut_fusion fusion; int first, n; };    /* nodes [first, first + n) */

struct cut_program {
    const struct cut_graph *g;
    struct cut_prog_step *step;
    int n_steps;
    bool keep;                 /* every value has its own place */
    int *born, *last;          /* the steps that write each value, and read it last */
    /* Where each value lives, for the capacity it was laid out for. */
    size_t *offset, bytes;
    int cap_T, cap_P, cap_O;
};

/* Put a step in front of every product that wants its activations rounded: to 8-bit blocks, or to bfloat16. A new graph in *out. */
enum cut_status cut_graph_lower(struct cut_graph *out, const struct cut_graph *g, const struct cut_kernels *k, bool activations_f32,
                                struct cut_arena *arena, struct cut_err *err);

/* keep: one step per node; otherwise fused. The graph is borrowed. */
enum cut_status cut_program_init(struct cut_program *p, const struct cut_graph *g, bool keep, struct cut_err *err);
void cut_program_done(struct cut_program *p);
/* Assign a place to every value for passes up to T tokens, P cells, O outputs. bytes is the room they need together. */
void cut_program_layout(struct cut_program *p, int T, int P, int O);
/* Bytes of one token's row of a value, and of the whole value. */
size_t cut_value_stride(const struct cut_node *n, int P);
/* The room the values of one more token take, in a program that keeps them all. */
size_t cut_graph_token_bytes(const struct cut_graph *g, int P);

#endif
