/* model.h - a model in memory: the file, its vocabulary, the hyper-parameters and the weights by role. Internal. */
#ifndef CUT_MODEL_H
#define CUT_MODEL_H

#include "engine/graph/graph.h"
#include "engine/kernels/kern.h"

struct cut_layer {
    const struct cut_tensor_info *attn_norm, *attn_q, *attn_k, *attn_v, *attn_output;
    const struct cut_tensor_info *ffn_norm, *ffn_gate, *ffn_up, *ffn_down;
};

/* An architecture family: reads what is its own, and builds its graph. */
struct cut_arch {
    const char *name;
    enum cut_status (*load)(struct cut_model *m, struct cut_err *err);
    void (*build)(struct cut_graph *g, const struct cut_model *m);
};
extern const struct cut_arch cut_arch_llama;

struct cut_model {
    struct cut_gguf *gguf;
    struct cut_vocab *vocab;
    struct cut_config config;
    const struct cut_arch *arch;
    struct cut_arena arena;
    const struct cut_tensor_info *token_embd, *output_norm, *output;
    struct cut_layer *layer;
    float *rope_factors;       /* rope_dim / 2 divisors of the frequencies; NULL: none */
    uint64_t n_claimed;        /* tensors of the file that have found their role */

    /* a model rebuilt from another (rebuild.c): gguf is a view of base's, the vocabulary is base's */
    const struct cut_model *base;      /* NULL: opened from a file */
    struct cut_tensor_info *table;     /* the view's tensors */
    void **owned;              /* per tensor: its data, where that is not base's; else NULL */

    struct cut_panels *panels;
};

/* ---- for the architectures: reading metadata "ARCH.key", and weights with the shape they must have */

/* A whole number in [lo, hi]. When the key is absent: *out = def, or an error if def < lo. */
enum cut_status cut_model_int(const struct cut_model *m, int *out, const char *key, int def, int lo, int hi, struct cut_err *err);
/* A number in [lo, hi]; when absent, def (an error if def is not a number). */
enum cut_status cut_model_float(const struct cut_model *m, float *out, const char *key, double def, double lo, double hi,
                                struct cut_err *err);
/* The tensor "NAME", or "blk.il.NAME" for il >= 0, with ne0 columns and ne1 rows (0: a vector of ne0). Its format must run;
 * vectors must be F32. optional: absent gives NULL. */
enum cut_status cut_model_weight(struct cut_model *m, const struct cut_tensor_info **out, int il, const char *name, int64_t ne0,
                                 int64_t ne1, bool optional, struct cut_err *err);

/* ---- panels.c: the matrices in the order products read them */
struct cut_panels;
enum cut_status cut_panels_new(struct cut_panels **out, uint64_t n_tensors, struct cut_err *err);
void cut_panels_free(struct cut_panels *p, uint64_t n_tensors);
/* What the panels of w take; 0: kernels k have no products for them. */
uint64_t cut_model_panel_bytes(const struct cut_tensor_info *w, const struct cut_kernels *k);
/* The panels of a matrix of the model, made by the first who asks; NULL: there are none, or no memory for them. From any thread. */
const void *cut_model_panel(const struct cut_model *m, const struct cut_tensor_info *w, const struct cut_kernels *k, struct cut_pool *pool);
/* Bytes of all that were made, those of base included. */
uint64_t cut_model_panels(const struct cut_model *m);
/* The weights of a tensor of a rebuilt model are about to change. */
void cut_model_drop_panel(struct cut_model *m, size_t tensor);
/* Changes whenever panels were dropped. */
unsigned cut_model_panel_edition(const struct cut_model *m);

#endif
