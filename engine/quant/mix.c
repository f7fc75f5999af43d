/* mix.c - file types: which format each tensor of a model gets.
 *
 * A file type such as q4_K_M is a mix. Most matrices get one format; a few get more bits, because an error there costs more
 * than elsewhere: the output matrix (its error lands in the logits directly), the value and down projections (what they
 * write, every later layer reads; under grouped queries a value matrix is also small, and several heads share it), and of
 * these the ones in the first and last layers. Which tensors, was found by trial; the choices are llama.cpp's
 * (src/llama-quant.cpp), so that a file of ours holds in each tensor what its name promises. Here they are a table, read
 * from the top: the first row that fits decides.
 *
 * Then the shape has its say. Super-blocks hold 256 weights of a row; where a row is no multiple of that, a format with blocks
 * of 32 and about as many bits takes its place. */
#include <stdio.h>
#include <strings.h>

#include "engine/base/base.h"

/* ---- the file types */

enum mix {
    F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q2_K_S, Q3_K_S, Q3_K_M, Q3_K_L, Q4_K_S, Q4_K_M, Q5_K_S, Q5_K_M,
    Q6_K, IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ2_M, IQ3_XXS, IQ3_XS, IQ3_S, IQ3_M, IQ4_NL, IQ4_XS, TQ1_0, TQ2_0,
    MXFP4_MOE, MXFP4, NVFP4, Q1_0, Q2_0, N_MIXES,
};

static const struct cut_file_type types[N_MIXES] = {
    [F32]     = { 0,  "f32",     CUT_F32,  "every bit there is; four bytes a weight" },
    [F16]     = { 1,  "f16",     CUT_F16,  "half precision; what most models are published in" },
    [BF16]    = { 32, "bf16",    CUT_BF16, "the range of f32 with 8 bits of precision" },
    [Q8_0]    = { 7,  "q8_0",    CUT_Q8_0, "8 bits; hard to tell from f16" },
    [Q6_K]    = { 18, "q6_K",    CUT_Q6_K, "6 bits; nearly as good" },
    [Q5_K_M]  = { 17, "q5_K_M",  CUT_Q5_K, "5 bits, more where it counts; very good" },
    [Q5_K_S]  = { 16, "q5_K_S",  CUT_Q5_K, "5 bits" },
    [Q5_1]    = { 9,  "q5_1",    CUT_Q5_1, "5 bits with a minimum; before the K formats" },
    [Q5_0]    = { 8,  "q5_0",    CUT_Q5_0, "5 bits; before the K formats" },
    [Q4_K_M]  = { 15, "q4_K_M",  CUT_Q4_K, "4 bits, more where it counts; the usual choice" },
    [Q4_K_S]  = { 14, "q4_K_S",  CUT_Q4_K, "4 bits, a little more in the first layers" },
    [IQ4_NL]  = { 25, "iq4_nl",  CUT_IQ4_NL, "4 bits on a grid that is finer near zero" },
    [IQ4_XS]  = { 30, "iq4_xs",  CUT_IQ4_XS, "the same, with cheaper scales" },
    [Q4_1]    = { 3,  "q4_1",    CUT_Q4_1, "4 bits with a minimum; before the K formats" },
    [Q4_0]    = { 2,  "q4_0",    CUT_Q4_0, "4 bits; the simplest, and fast everywhere" },
    [MXFP4]   = { 38, "mxfp4",   CUT_MXFP4, "4-bit floats that share a power of two (OCP Microscaling)" },
    [MXFP4_MOE] = { 38, "mxfp4_moe", CUT_MXFP4, "the same for the experts only, q8_0 for the rest" },
    [NVFP4]   = { 39, "nvfp4",   CUT_NVFP4, "4-bit floats that share an 8-bit float" },
    [Q3_K_L]  = { 13, "q3_K_L",  CUT_Q3_K, "3 bits, 5 where it counts" },
    [Q3_K_M]  = { 12, "q3_K_M",  CUT_Q3_K, "3 bits, 4 where it counts; the loss shows" },
    [Q3_K_S]  = { 11, "q3_K_S",  CUT_Q3_K, "3 bits; the loss is high" },
    [IQ3_M]   = { 27, "iq3_m",   CUT_IQ3_S, "3 bits by codebook, 4 where it counts" },
    [IQ3_S]   = { 26, "iq3_s",   CUT_IQ3_S, "3 bits by codebook" },
    [IQ3_XS]  = { 22, "iq3_xs",  CUT_IQ3_S, "3.3 bits by codebook" },
    [IQ3_XXS] = { 23, "iq3_xxs", CUT_IQ3_XXS, "3.06 bits by codebook" },
    [Q2_K]    = { 10, "q2_K",    CUT_Q2_K, "2.6 bits, 3 where it counts; for curiosity" },
    [Q2_K_S]  = { 21, "q2_K_S",  CUT_Q2_K, "2.6 bits" },
    [IQ2_M]   = { 29, "iq2_m",   CUT_IQ2_S, "2.7 bits by codebook" },
    [IQ2_S]   = { 28, "iq2_s",   CUT_IQ2_XS, "2.5 bits by codebook" },
    [IQ2_XS]  = { 20, "iq2_xs",  CUT_IQ2_XS, "2.31 bits by codebook" },
    [IQ2_XXS] = { 19, "iq2_xxs", CUT_IQ2_XXS, "2.06 bits by codebook" },
    [Q2_0]    = { 41, "q2_0",    CUT_Q2_0, "2 bits with a scale; for models trained to it" },
    [TQ2_0]   = { 37, "tq2_0",   CUT_TQ2_0, "ternary in 2.06 bits; for models trained to it" },
    [IQ1_M]   = { 31, "iq1_m",   CUT_IQ1_M, "1.75 bits by codebook; hardly a model any more" },
    [TQ1_0]   = { 36, "tq1_0",   CUT_TQ1_0, "ternary in 1.69 bits; for models trained to it" },
    [IQ1_S]   = { 24, "iq1_s",   CUT_IQ1_S, "1.56 bits by codebook; hardly a model any more" },
    [Q1_0]    = { 40, "q1_0",    CUT_Q1_0, "the sign and a scale; for models trained to it" },
};

const struct cut_file_type *cut_file_types(int *n) {
    *n = N_MIXES;
    return types;
}

const struct cut_file_type *cut_file_type_by_name(const char *name) {
    static const struct { const char *name; enum mix mix; } also[] = {
        { "q3_K", Q3_K_M }, { "q4_K", Q4_K_M }, { "q5_K", Q5_K_M },
    };
    for (size_t i = 0; i < CUT_LEN(types); i++)
        if (!strcasecmp(types[i].name, name)) return &types[i];
    for (size_t i = 0; i < CUT_LEN(also); i++)
        if (!strcasecmp(also[i].name, name)) return &types[also[i].mix];
    return NULL;
}

const struct cut_file_type *cut_file_type_by_id(uint32_t id) {
    if (id == types[MXFP4_MOE].id) return &types[MXFP4_MOE];      /* what llama.cpp means by the number */
    for (size_t i = 0; i < CUT_LEN(types); i++)
        if (types[i].id == id) return &types[i];
    return NULL;
}

/* ---- what a tensor is for, by its name */

enum role { EMBD, OUTPUT, Q, K, V, ATTN_OUT, UP, GATE, DOWN, OTHER, N_ROLES };

/* attn_qkv holds Q, K and V in one, attn_kv_b (DeepSeek's latent attention) keys and values: both are treated as V. */
static enum role role_of(const char *name) {
    static const struct { const char *part; enum role role; } parts[] = {
        { "attn_qkv.weight", V }, { "attn_kv_b.weight", V }, { "attn_v.weight", V }, { "attn_k.weight", K },
        { "attn_q.weight", Q }, { "attn_output.weight", ATTN_OUT }, { "ffn_up", UP }, { "ffn_gate", GATE }, { "ffn_down", DOWN },
    };
    if (!strcmp(name, "output.weight")) return OUTPUT;
    if (!strcmp(name, "token_embd.weight") || !strcmp(name, "per_layer_token_embd.weight")) return EMBD;
    for (size_t i = 0; i < CUT_LEN(parts); i++)
        if (strstr(name, parts[i].part)) return parts[i].role;
    return OTHER;
}

/* Why a tensor is not quantized at all; NULL: it is. Norms, biases and gates are small and much depends on each number. */
static const char *kept_because(const struct cut_tensor_info *t) {
    static const char *const small[] = {
        "_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel", "per_layer_model_proj", "ssm_conv1d",
        "shortconv.conv.weight", "indexer.k_proj.weight", "indexer.q_proj.weight", "time_mix_first.weight", "time_mix_w0.weight",
        "time_mix_w1.weight", "time_mix_w2.weight", "time_mix_v0.weight", "time_mix_v1.weight", "time_mix_v2.weight",
        "time_mix_a0.weight", "time_mix_a1.weight", "time_mix_a2.weight", "time_mix_g1.weight", "time_mix_g2.weight",
        "time_mix_decay_w1.weight", "time_mix_decay_w2.weight", "time_mix_lerp_fused.weight", "attn_rel_b.weight", ".position_embd",
        "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos", ".patch_embd", ".patch_merger", "a.rvq.codebook", "mm.a.code_embd",
    };
    size_t len = strlen(t->name);
    int dims = t->n_dims;
    while (dims > 1 && t->ne[dims - 1] == 1) dims--;           /* ggml does not count trailing ones */
    if (dims < 2) return "a vector: kept";
    if (!cut_type_info(t->type)->runs) return "a format that is not decoded: kept";
    if (len < 6 || strcmp(t->name + len - 6, "weight")) return "not called a weight: kept";
    if (!strcmp(t->name, "position_embd.weight") || !strcmp(t->name, "token_types.weight")) return "positions: kept";
    for (size_t i = 0; i < CUT_LEN(small); i++)
        if (strstr(t->name, small[i])) return "small, and sensitive: kept";
    return NULL;
}

/* ---- the rules */

enum {
    GQA4 = 1 << 0,             /* four query heads or more share a value head */
    EXPERTS4 = 1 << 1,         /* four experts or more */
    EXPERTS8 = 1 << 2,         /* exactly eight: Mixtral, for which these rules were made */
    FALCON = 1 << 3,
    FIRST2 = 1 << 4, FIRST4 = 1 << 5,                     /* of its kind, in the order of layers */
    EIGHTH = 1 << 6, SIXTEENTH = 1 << 7,                  /* in the first eighth (sixteenth) of the layers */
    MIDDLE = 1 << 8,           /* in neither the first nor the last eighth */
    SPREAD = 1 << 9,           /* in the first or last eighth, or every third layer between: half the layers of a deep model */
    IMATRIX = 1 << 10,         /* an importance matrix is given */
    BY_EXPERT = 1 << 11,       /* a stack of experts' matrices */
    ODD_ROWS = 1 << 12,        /* rows that are no multiple of the format's block */
};
#define IN(mix) (1ull << (mix))
#define ANY (~0ull)
/* Under three bits everything else about a tensor matters less; these types have rules of their own. */
#define TINY (IN(IQ1_S) | IN(IQ1_M) | IN(IQ2_XXS) | IN(IQ2_XS) | IN(IQ2_S) | IN(IQ2_M))

struct rule { enum role role; uint64_t mixes; unsigned when, unless; int type; const char *why; };
enum { SAME = -1 };            /* a rule's type: leave it as it is */

static const struct rule rules[] = {
    { N_ROLES, IN(MXFP4_MOE), 0, BY_EXPERT, CUT_Q8_0, "not an expert" },      /* N_ROLES: of any role */
    { N_ROLES, IN(MXFP4_MOE), 0, 0, SAME, "an expert" },

    { OUTPUT, ANY, FALCON, 0, CUT_Q8_0, "the output matrix decides the logits" },
    { OUTPUT, ANY, ODD_ROWS, 0, CUT_Q8_0, "the output matrix decides the logits" },
    { OUTPUT, TINY | IN(IQ3_XXS), 0, 0, CUT_Q5_K, "the output matrix decides the logits" },
    { OUTPUT, ANY & ~IN(Q8_0), 0, 0, CUT_Q6_K, "the output matrix decides the logits" },

    { EMBD, IN(IQ1_S) | IN(IQ1_M) | IN(IQ2_XXS) | IN(IQ2_XS), 0, 0, CUT_Q2_K, "embeddings are looked up, not summed: few bits do" },
    { EMBD, IN(IQ2_S) | IN(IQ2_M) | IN(IQ3_XXS), 0, 0, CUT_IQ3_S, "embeddings are looked up, not summed: few bits do" },
    { EMBD, IN(TQ1_0) | IN(TQ2_0) | IN(Q2_0), 0, 0, CUT_Q4_K, "embeddings were not trained to three values" },

    { V, TINY, GQA4, 0, CUT_Q4_K, "values shared by four heads or more" },
    { V, TINY, EXPERTS4, 0, CUT_Q4_K, "values: small beside the experts" },
    { V, IN(IQ2_S) | IN(IQ2_M), 0, 0, CUT_IQ3_S, "values: every later layer reads them" },
    { V, TINY, 0, 0, CUT_Q2_K, "values: every later layer reads them" },
    { V, ANY & ~TINY, EXPERTS8, 0, CUT_Q8_0, "values: small beside the experts" },
    { V, IN(Q2_K), GQA4, 0, CUT_Q4_K, "values shared by four heads or more" },
    { V, IN(Q2_K), 0, 0, CUT_Q3_K, "values: every later layer reads them" },
    { V, IN(Q2_K_S) | IN(IQ3_XXS) | IN(IQ3_XS) | IN(IQ3_S), GQA4, 0, CUT_Q4_K, "values shared by four heads or more" },
    { V, IN(IQ3_XXS), 0, IMATRIX, CUT_IQ3_S, "values, without an importance matrix" },
    { V, IN(IQ3_M), 0, 0, CUT_Q4_K, "values: every later layer reads them" },
    { V, IN(Q3_K_M), FIRST2, 0, CUT_Q5_K, "values of the first two layers" },
    { V, IN(Q3_K_M), 0, 0, CUT_Q4_K, "values: every later layer reads them" },
    { V, IN(Q3_K_L), 0, 0, CUT_Q5_K, "values: every later layer reads them" },
    { V, IN(IQ4_NL) | IN(IQ4_XS), GQA4, 0, CUT_Q5_K, "values shared by four heads or more" },
    { V, IN(Q4_K_M) | IN(Q5_K_M), SPREAD, 0, CUT_Q6_K, "values of half the layers: first, last, every third" },
    { V, IN(Q4_K_S), FIRST4, 0, CUT_Q5_K, "values of the first four layers" },

    { K, TINY, EXPERTS8, 0, CUT_Q4_K, "keys: small beside the experts" },
    { K, ANY & ~TINY, EXPERTS8, 0, CUT_Q8_0, "keys: small beside the experts" },
    { K, IN(IQ3_XS), 0, 0, CUT_IQ3_XXS, "keys bear more than values do" },
    { K, IN(IQ3_XXS), 0, 0, CUT_IQ2_S, "keys bear more than values do" },
    { Q, IN(IQ3_XS), 0, 0, CUT_IQ3_XXS, "queries bear more than values do" },
    { Q, IN(IQ3_XXS), 0, 0, CUT_IQ2_S, "queries bear more than values do" },

    { DOWN, IN(IQ2_S) | IN(IQ2_M), EIGHTH, 0, CUT_IQ3_S, "down projections of the first eighth" },
    { DOWN, TINY, EIGHTH, 0, CUT_Q2_K, "down projections of the first eighth" },
    { DOWN, IN(Q2_K), 0, 0, CUT_Q3_K, "down projections: the widest sums" },
    { DOWN, IN(Q2_K_S), EIGHTH, 0, CUT_Q4_K, "down projections of the first eighth" },
    { DOWN, IN(IQ3_XXS), EIGHTH, IMATRIX, CUT_Q4_K, "down projections of the first eighth, without an importance matrix" },
    { DOWN, IN(IQ3_XXS), 0, IMATRIX, CUT_Q3_K, "down projections, without an importance matrix" },
    { DOWN, IN(Q3_K_M), SIXTEENTH, 0, CUT_Q5_K, "down projections of the first sixteenth" },
    { DOWN, IN(Q3_K_M), 0, FALCON, CUT_Q4_K, "down projections: the widest sums" },
    { DOWN, IN(Q3_K_M), SPREAD, 0, CUT_Q4_K, "down projections of half the layers" },
    { DOWN, IN(IQ3_M), EIGHTH, 0, CUT_Q4_K, "down projections of the first eighth" },
    { DOWN, IN(IQ3_M), EXPERTS8 | SPREAD, 0, CUT_Q4_K, "down projections of half the layers" },
    { DOWN, IN(Q3_K_L), FALCON, 0, CUT_Q4_K, "down projections: the widest sums" },
    { DOWN, IN(Q3_K_L), 0, 0, CUT_Q5_K, "down projections: the widest sums" },
    { DOWN, IN(Q4_K_M), FALCON | SIXTEENTH, 0, CUT_Q6_K, "down projections of the first sixteenth" },
    { DOWN, IN(Q4_K_M), FALCON | SPREAD, 0, CUT_Q5_K, "down projections of half the layers" },
    { DOWN, IN(Q4_K_M), SPREAD, FALCON, CUT_Q6_K, "down projections of half the layers: first, last, every third" },
    { DOWN, IN(IQ4_NL) | IN(IQ4_XS), EIGHTH, IMATRIX, CUT_Q5_K, "down projections of the first eighth, without an importance matrix" },
    { DOWN, IN(Q5_K_M), SPREAD, 0, CUT_Q6_K, "down projections of half the layers: first, last, every third" },
    { DOWN, IN(Q4_K_S), EIGHTH, FALCON, CUT_Q5_K, "down projections of the first eighth" },
    { DOWN, IN(Q4_0), EIGHTH | IMATRIX, 0, CUT_Q4_1, "down projections of the first eighth: a minimum keeps the matrix in bounds" },
    { DOWN, IN(Q5_0), EIGHTH | IMATRIX, 0, CUT_Q5_1, "down projections of the first eighth: a minimum keeps the matrix in bounds" },

    { ATTN_OUT, TINY, EXPERTS8, 0, CUT_Q5_K, "attention's output: small beside the experts" },
    { ATTN_OUT, IN(IQ1_S) | IN(IQ1_M), 0, 0, CUT_IQ2_XXS, "attention's output: added to the residual" },
    { ATTN_OUT, IN(IQ2_S) | IN(IQ2_M), 0, 0, CUT_IQ3_S, "attention's output: added to the residual" },
    { ATTN_OUT, IN(Q3_K_L), FALCON, 0, CUT_Q4_K, "attention's output: added to the residual" },
    { ATTN_OUT, ANY, FALCON, 0, SAME, NULL },
    { ATTN_OUT, IN(Q2_K) | IN(IQ3_XS) | IN(IQ3_XXS) | IN(Q3_K_S) | IN(Q3_K_M) | IN(IQ4_NL) | IN(Q4_K_S) | IN(Q4_K_M) | IN(IQ3_S) |
                IN(IQ3_M) | IN(IQ4_XS), EXPERTS8, 0, CUT_Q5_K, "attention's output: small beside the experts" },
    { ATTN_OUT, ANY, EXPERTS8, 0, SAME, NULL },
    { ATTN_OUT, IN(Q2_K), 0, 0, CUT_Q3_K, "attention's output: added to the residual" },
    { ATTN_OUT, IN(IQ3_XXS), 0, 0, CUT_IQ3_S, "attention's output: added to the residual" },
    { ATTN_OUT, IN(Q3_K_M) | IN(IQ3_M), 0, 0, CUT_Q4_K, "attention's output: added to the residual" },
    { ATTN_OUT, IN(Q3_K_L), 0, 0, CUT_Q5_K, "attention's output: added to the residual" },

    { GATE, IN(IQ3_XS), MIDDLE, 0, CUT_IQ3_XXS, "neither the first nor the last eighth of the layers" },
    { UP, IN(IQ3_XS), MIDDLE, 0, CUT_IQ3_XXS, "neither the first nor the last eighth of the layers" },

};

/* ---- what the rules look at */

struct model {
    char arch[64];
    int n_layer, gqa, experts;
    bool b70;                  /* the 70B shape: 80 layers, grouped queries */
    bool tied;                 /* no output.weight: the embeddings are the output matrix, too */
    int n_values;              /* matrices of role V */
    int seen[N_ROLES];         /* of each role, so far */
};

/* architecture.KEY, or the first of one value per layer. */
static int meta(const struct cut_gguf *g, const char *arch, const char *key) {
    char full[128];
    int64_t v;
    snprintf(full, sizeof full, "%s.%s", arch, key);
    const struct cut_kv *kv = cut_gguf_find(g, full);
    return kv && cut_kv_i64(kv, 0, &v) && v > 0 && v < 1 << 24 ? (int)v : 0;
}

static struct model read_model(const struct cut_gguf *g) {
    struct model m = { .tied = !cut_gguf_find_tensor(g, "output.weight") };
    const struct cut_kv *kv = cut_gguf_find(g, "general.architecture");
    const char *arch;
    size_t len;
    if (kv && cut_kv_str(kv, 0, &arch, &len) && len < sizeof m.arch) memcpy(m.arch, arch, len);
    int heads = meta(g, m.arch, "attention.head_count"), shared = meta(g, m.arch, "attention.head_count_kv");
    if (!shared) shared = heads;
    m.n_layer = meta(g, m.arch, "block_count");
    m.experts = meta(g, m.arch, "expert_count");
    m.gqa = shared ? heads / shared : 0;
    m.b70 = m.n_layer == 80 && ((!strcmp(m.arch, "llama") && heads != shared) || !strcmp(m.arch, "qwen2"));
    for (uint64_t i = 0; i < cut_gguf_head(g)->n_tensors; i++)
        m.n_values += role_of(cut_gguf_tensor(g, i)->name) == V;
    return m;
}

/* N of "blk.N.", or -1. */
static int layer_of(const char *name) {
    int layer = 0;
    if (strncmp(name, "blk.", 4)) return -1;
    const char *p = name + 4;
    while (*p >= '0' && *p <= '9' && layer < 1 << 20) layer = 10 * layer + *p++ - '0';
    return *p == '.' && p > name + 4 ? layer : -1;
}

/* What is true of the i-th tensor of its role, out of n. */
static unsigned place(int i, int n) {
    return (i < 2 ? FIRST2 : 0) | (i < 4 ? FIRST4 : 0) | (i < n / 8 ? EIGHTH : 0) | (i < n / 16 ? SIXTEENTH : 0) |
           (i >= n / 8 && i < 7 * n / 8 ? MIDDLE : 0) |
           (i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2 ? SPREAD : 0);
}

static unsigned facts(struct model *m, const struct cut_tensor_info *t, enum role role, uint64_t mix, enum cut_type type,
                      bool imatrix) {
    int layer = layer_of(t->name), i = m->seen[role]++;
    /* Experts kept one by one come in no order, so their layer is what counts; otherwise the how-manieth it is. */
    if (m->experts > 1 && layer >= 0 && role != V && !(mix & TINY)) i = layer;
    bool expert = t->ne[2] > 1 && (strcmp(m->arch, "bailingmoe3") || role == UP || role == GATE || role == DOWN);
    return place(i, role == V ? m->n_values : m->n_layer) | (m->gqa >= 4 ? GQA4 : 0) | (m->experts >= 4 ? EXPERTS4 : 0) |
           (m->experts == 8 ? EXPERTS8 : 0) | (!strcmp(m->arch, "falcon") ? FALCON : 0) | (imatrix ? IMATRIX : 0) |
           (expert ? BY_EXPERT : 0) | (t->ne[0] % (uint64_t)cut_type_info(type)->block ? ODD_ROWS : 0);
}

static enum cut_type by_rule(struct model *m, const struct cut_tensor_info *t, const struct cut_file_type *ft, bool imatrix,
                             const char **why) {
    enum role role = role_of(t->name);
    uint64_t mix = IN((int)(ft - types));
    if (role == EMBD && m->tied) {
        role = OUTPUT;
        *why = "the embeddings are the output matrix, too";
    }
    unsigned have = facts(m, t, role, mix, ft->type, imatrix);
    enum cut_type type = ft->type;
    for (const struct rule *r = rules; r < rules + CUT_LEN(rules); r++) {
        if ((r->role != role && r->role != N_ROLES) || !(r->mixes & mix) || (have & r->when) != r->when || (have & r->unless)) continue;
        if (r->type != SAME) type = (enum cut_type)r->type;
        if (r->why && !*why[0]) *why = r->why;
        break;
    }
    if (role == V && m->b70 && !(mix & TINY) && (type == CUT_Q3_K || type == CUT_Q4_K)) {
        type = CUT_Q5_K;
        *why = "values of a 70B: an eighth of the size of its queries";
    }
    return type;
}

/* ---- rows that do not fit */

/* The format with short blocks and about as many bits; SAME: there is none. */
static int shorter(enum cut_type type) {
    switch (type) {
    case CUT_IQ1_S: case CUT_IQ1_M: case CUT_IQ2_XXS: case CUT_IQ2_XS: case CUT_IQ2_S: case CUT_IQ3_XXS: case CUT_IQ3_S:
    case CUT_IQ4_XS: return CUT_IQ4_NL;
    case CUT_Q2_0: case CUT_Q2_K: case CUT_Q3_K: case CUT_TQ1_0: case CUT_TQ2_0: return CUT_Q4_0;
    case CUT_Q4_K: return CUT_Q5_0;
    case CUT_Q5_K: return CUT_Q5_1;
    case CUT_Q6_K: return CUT_Q8_0;
    default: return SAME;
    }
}

static bool fits(const struct cut_tensor_info *t, enum cut_type type) {
    return t->ne[0] % (uint64_t)cut_type_info(type)->block == 0;
}

/* Rows that are no multiple of 32 either become f16. */
static enum cut_type fit(struct cut_plan_tensor *p, const char *why) {
    const struct cut_tensor_info *t = p->from;
    int other = fits(t, p->wanted) ? (int)p->wanted : shorter(p->wanted);
    if (other == SAME || !fits(t, (enum cut_type)other)) other = CUT_F16;
    if (other == (int)p->wanted) snprintf(p->why, sizeof p->why, "%s", why);
    else
        snprintf(p->why, sizeof p->why, "rows of %llu are no multiple of %d: %s falls back to %s", (unsigned long long)t->ne[0],
                 cut_type_info(p->wanted)->block, cut_type_info(p->wanted)->name, cut_type_info((enum cut_type)other)->name);
    return (enum cut_type)other;
}

/* ---- the plan */

static const struct cut_type_rule *own_rule(const struct cut_quantize_opts *o, const char *name) {
    char bare[256];
    size_t len = strlen(name);
    bool weight = len > 7 && len < sizeof bare && !strcmp(name + len - 7, ".weight");
    if (weight) snprintf(bare, sizeof bare, "%.*s", (int)(len - 7), name);
    for (int i = 0; i < o->n_rules; i++)
        if (cut_glob(o->rules[i].pattern, name) || (weight && cut_glob(o->rules[i].pattern, bare))) return &o->rules[i];
    return NULL;
}

/* So few bits that rounding blindly leaves nothing; embeddings and output are looked at apart. */
static bool wants_imatrix(const char *name, enum cut_type type, const struct cut_file_type *ft) {
    enum role role = role_of(name);
    if (role == EMBD || role == OUTPUT) return false;
    return type == CUT_IQ3_XXS || type == CUT_IQ2_XXS || type == CUT_IQ2_XS || type == CUT_IQ2_S || type == CUT_IQ1_M ||
           type == CUT_IQ1_S || (type == CUT_Q2_K && ft == &types[Q2_K_S]);
}

/* used[i]: rule i has decided about a tensor. */
static void plan_tensor(struct cut_plan_tensor *p, struct model *m, const struct cut_quantize_opts *o, bool *used) {
    const char *name = p->from->name, *kept = kept_because(p->from), *why = "";
    enum role role = role_of(name);
    const struct cut_type_rule *own = own_rule(o, name);
    p->wanted = o->file_type->type;
    if (kept) {
        p->kept = true;
        p->type = p->wanted = p->from->type;
        snprintf(p->why, sizeof p->why, "%s", kept);
        return;
    }
    if (o->token_embedding_type && role == EMBD) {
        p->wanted = *o->token_embedding_type;
        why = "as asked for the token embeddings";
    } else if (o->output_type && (role == OUTPUT || (role == EMBD && m->tied))) {
        p->wanted = *o->output_type;
        why = "as asked for the output";
    } else if (own) {
        p->wanted = own->type;
        why = own->pattern;
        used[own - o->rules] = true;
    } else if (!o->pure && cut_type_info(o->file_type->type)->block > 1) {
        p->wanted = by_rule(m, p->from, o->file_type, o->imatrix != NULL, &why);
    }
    p->type = fit(p, why);
    p->needs_imatrix = wants_imatrix(name, p->type, o->file_type);
}

/* The order in which "the first eighth" is counted: by layer, then by name. */
static int by_layer(const void *a, const void *b) {
    const char *x = (*(struct cut_plan_tensor *const *)a)->from->name, *y = (*(struct cut_plan_tensor *const *)b)->from->name;
    int d = layer_of(x) - layer_of(y);
    return d ? d : strcmp(x, y);
}

enum cut_status cut_quantize_plan(struct cut_plan *out, const struct cut_gguf *g, const struct cut_quantize_opts *o,
                                  struct cut_err *err) {
    uint64_t n = cut_gguf_head(g)->n_tensors;
    if (!o->file_type) return cut_fail(err, CUT_EUSAGE, "%s: no file type is asked for", cut_gguf_head(g)->name);
    struct cut_plan p = { .n = n, .tensor = cut_calloc(n + 1, sizeof *p.tensor, "a plan", err) };
    struct cut_plan_tensor **order = cut_calloc(n + 1, sizeof *order, "a plan", err);
    bool *used = cut_calloc((size_t)o->n_rules + 1, sizeof *used, "a plan", err);
    if (!p.tensor || !order || !used) {
        free(p.tensor);
        free(order);
        free(used);
        return CUT_ENOMEM;
    }
    struct model m = read_model(g);
    for (uint64_t i = 0; i < n; i++) {
        p.tensor[i].from = cut_gguf_tensor(g, i);
        order[i] = &p.tensor[i];
    }
    qsort(order, n, sizeof *order, by_layer);
    for (uint64_t i = 0; i < n; i++) plan_tensor(order[i], &m, o, used);
    for (int i = o->n_rules - 1; i >= 0; i--)
        if (!used[i]) p.idle_rule = o->rules[i].pattern;
    free(order);
    free(used);
    for (uint64_t i = 0; i < n; i++) {
        struct cut_plan_tensor *t = &p.tensor[i];
        const struct cut_type_info *type = cut_type_info(t->type);
        uint64_t count = t->from->ne[0] * t->from->ne[1] * t->from->ne[2] * t->from->ne[3];
        t->bytes = count / (uint64_t)type->block * (uint64_t)type->bytes;
        p.weights += count;
        p.from_bytes += t->from->bytes;
        p.bytes += t->bytes;
        p.n_fallback += t->type != t->wanted;
        p.n_again += t->type != t->from->type && type->block > 1 && cut_type_info(t->from->type)->block > 1;
        if (t->needs_imatrix && t->type != t->from->type && !o->imatrix && !p.needs_imatrix) p.needs_imatrix = t->from->name;
    }
    *out = p;
    return CUT_OK;
}

/* An importance matrix knows tensors by name alone; that it is this model's shows in its numbers of columns, and in names that are there. */
enum cut_status cut_plan_check_imatrix(struct cut_plan *p, const struct cut_imatrix *im, const char *file, struct cut_err *err) {
    uint64_t found = 0;
    p->n_without = 0;
    for (uint64_t i = 0; im && i < p->n; i++) {
        const struct cut_plan_tensor *t = &p->tensor[i];
        const struct cut_tensor_info *from = t->from;
        if (t->kept || t->type == from->type) continue;
        const struct cut_imatrix_entry *e = cut_imatrix_find(im, from->name);
        uint64_t columns = from->ne[0] * from->ne[2] * from->ne[3];
        if (e && (uint64_t)e->n * (uint64_t)e->n_mat != columns)
            return cut_fail(err, CUT_EUSAGE, "%s: tensor \"%s\" has %llu columns, its importance matrix %d: it is another model's", file,
                            from->name, (unsigned long long)columns, e->n * e->n_mat);
        enum role role = role_of(from->name);
        found += e != NULL;
        p->n_without += !e && role != EMBD && role != OUTPUT && cut_type_info(t->type)->block > 1;      /* these two, imatrix leaves out as a rule */
    }
    if (!found && p->n_without)
        return cut_fail(err, CUT_EUSAGE, "%s: the importance matrix names none of the %llu tensors to be quantized: it is another model's", file,
                        (unsigned long long)p->n_without);
    return CUT_OK;
}

void cut_plan_done(struct cut_plan *p) {
    free(p->tensor);
    *p = (struct cut_plan){ 0 };
}
