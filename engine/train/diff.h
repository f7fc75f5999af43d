/* diff.h - reverse-mode differentiation of a graph. Internal.
 *
 * A graph is a list of nodes y_i = f_i(y_j, ...; W), each reading only nodes before it. Let L be a number computed from the
 * last one, and write ȳ for dL/dy. The chain rule says that y_j's gradient is the sum, over the nodes that read it, of what each
 * passes back:
 *
 *     ȳ_j  =  Σ_i  (∂f_i / ∂y_j)ᵀ ȳ_i
 *
 * So one walk through the list from its end, in which every node adds its share to the gradients of what it read, gives
 * the gradient of all values and all weights for about twice the work of the forward walk (Baydin et al. 2018, section
 * 3.2). Nothing else is needed: the list the stepper shows is the tape. The operations' shares are in diff.c, each below
 * the forward computation it belongs to.
 *
 * Attention needs no cache here: all tokens of a document are there at once. kv_store, scores and pattern do nothing of
 * their own; z does the three in one, from q, and from the k and v that its layer stores.
 */
#ifndef CUT_DIFF_H
#define CUT_DIFF_H

#include "engine/model/model.h"
#include "engine/train/wide.h"

/* One weight: floats [at, at + n) of the arrays that hold weights, gradients and moments. A tied one is there once. */
struct cut_param { const struct cut_tensor_info *info; size_t at, n; };

struct cut_diff {
    const struct cut_model *model;     /* borrowed */
    const struct cut_wide *wide;
    cut_gemm_fn gemm;
    struct cut_arena arena;
    struct cut_graph graph;
    int logits;                        /* the node; nodes after it do not take part */
    struct cut_param *param;
    int n_params;
    size_t n_floats;
    int *param_of;                     /* [node] index into param, -1 */
    int *store_of;                     /* [node] for z: the kv_store of its layer, -1 */
    float *cos_sin;                    /* [n_ctx][rope_dim], as kernels read it */
    int n_ctx, max_tokens;             /* of a document; of a batch */
};

/* Documents end to end. A token attends to its own document up to itself; positions count from its start. */
struct cut_rows {
    int n, n_docs;
    int32_t *id, *target;              /* [n]; target -1: no loss here */
    int *pos;                          /* [n] */
    int *start;                        /* [n_docs + 1] */
};

/* What one thread needs to run a batch. */
struct cut_lane {
    float **value, **grad;             /* [node], (max_tokens, width) */
    bool *has;                         /* [node] grad holds something */
    float **norm;                      /* [node] for norms: what rms_norm returned, (max_tokens) */
    float *scores, *dscores;           /* (CUT_DIFF_BLOCK, n_ctx) */
    void *scratch;
    float *memory;
};
enum { CUT_DIFF_BLOCK = 64 };          /* queries taken together */

enum cut_status cut_diff_new(struct cut_diff *d, const struct cut_model *m, int max_tokens, struct cut_err *err);
void cut_diff_done(struct cut_diff *d);
enum cut_status cut_lane_new(struct cut_lane *l, const struct cut_diff *d, struct cut_err *err);
void cut_lane_done(struct cut_lane *l);

/* Forward: every value. */
void cut_diff_forward(const struct cut_diff *d, struct cut_lane *l, const float *w, const struct cut_rows *r);
/* Sum of -log p(target) over the tokens that have one. The logits become scale times its gradient by them. */
double cut_diff_loss(const struct cut_diff *d, struct cut_lane *l, const struct cut_rows *r, float scale);
/* Backward: from the gradient the loss left to that of every weight, added to g. */
void cut_diff_backward(const struct cut_diff *d, struct cut_lane *l, const float *w, const struct cut_rows *r, float *g);

#endif
