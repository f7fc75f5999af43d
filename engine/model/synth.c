/* synth.c - models whose every weight follows from a seed: real shapes to measure with, known numbers to test against.
 *
 *     cutaway synth OUT.gguf llama dim=2048 ffn=5632 layers=22 heads=32 kv_heads=4 vocab=32000 type=f16
 *
 * Any language can write the same file, byte for byte, from this definition. For the tensor NAME whose rows have S
 * elements ("fan-in"), all in float32 with one rounding per operation unless said otherwise:
 *
 *   state = fnv1a64(NAME) xor (seed * 0x9E3779B97F4A7C15)                      modulo 2^64
 *   z_i   = the output of splitmix64 for state + (i + 1) * 0x9E3779B97F4A7C15  (Steele, Lea and Flood 2014)
 *   u_i   = float((z_i >> 40) - 2^23) / 2^23                                   in [-1, 1), exact
 *   matrix:  w_i = u_i * float(gain * sqrt(3) / sqrt(S))      the scale in double, rounded once; then to F16 if type=f16
 *   vector:  w_i = 1 + u_i * float(0.35)                      the norms; always F32
 *   rope_freqs: evenly from 1 to 8, in double, rounded once; always F32
 *
 * u has variance 1/3, so a gain of 1 keeps the variance of x when it becomes W x. Gains other than 1 (below) give the
 * activations of a trained model's size: embeddings of unit variance, attention and predictions that are not flat.
 *
 * Keys and defaults: */
#include <errno.h>
#include <math.h>
#include <stddef.h>

#include "engine/base/base.h"

struct synth {
    uint64_t dim, ffn, layers, heads, kv_heads;
    uint64_t head_dim;                 /* 0: dim / heads */
    uint64_t ctx, seed, vocab;
    double base, eps;
    uint64_t tied;                     /* 1: no output.weight, token_embd serves */
    uint64_t swa;                      /* sliding window, in tokens; 0: none */
    uint64_t experts, experts_used;    /* 0: more is not supported yet */
    uint64_t scaling;                  /* of positions: one of scaling_names */
    double factor;                     /* of the scaling, */
    uint64_t orig_ctx;                 /* and the context it started from */
    uint64_t rope_factors;             /* 1: a tensor rope_freqs, one factor per pair of a head */
    uint64_t type;                     /* of the matrices: one of type_names */
};

static const struct synth defaults = {
    .dim = 256, .ffn = 512, .layers = 2, .heads = 8, .kv_heads = 4, .ctx = 2048, .seed = 1, .vocab = 512,
    .base = 10000, .eps = 1e-6, .factor = 4, .orig_ctx = 512,
};

static const char *const scaling_names[] = { "none", "linear", "yarn", NULL };
static const char *const type_names[] = { "f32", "f16", NULL };

#define N_FIXED 286u                   /* tokens before the pairs: 3 control, 256 bytes, U+2581, 26 letters */
#define N_VOCAB (N_FIXED + 26 * 26 + 26 * 26 * 26 + 26 * 26 * 26 * 26)

static const struct {
    const char *key;
    enum { COUNT, REAL, CHOICE } kind;
    size_t at;
    double least, most;                /* REAL: more than `least` */
    const char *const *names;
} keys[] = {
    { "dim",          COUNT,  offsetof(struct synth, dim),          1, 1 << 17, NULL },
    { "ffn",          COUNT,  offsetof(struct synth, ffn),          1, 1 << 20, NULL },
    { "layers",       COUNT,  offsetof(struct synth, layers),       1, 1 << 12, NULL },
    { "heads",        COUNT,  offsetof(struct synth, heads),        1, 1 << 12, NULL },
    { "kv_heads",     COUNT,  offsetof(struct synth, kv_heads),     1, 1 << 12, NULL },
    { "head_dim",     COUNT,  offsetof(struct synth, head_dim),     0, 1 << 12, NULL },
    { "ctx",          COUNT,  offsetof(struct synth, ctx),          1, 1 << 30, NULL },
    { "seed",         COUNT,  offsetof(struct synth, seed),         0, 0x1p64,  NULL },
    { "vocab",        COUNT,  offsetof(struct synth, vocab),        N_FIXED, N_VOCAB, NULL },
    { "base",         REAL,   offsetof(struct synth, base),         0, 1e30,    NULL },
    { "eps",          REAL,   offsetof(struct synth, eps),          0, 1,       NULL },
    { "tied",         COUNT,  offsetof(struct synth, tied),         0, 1,       NULL },
    { "swa",          COUNT,  offsetof(struct synth, swa),          0, 1 << 30, NULL },
    { "experts",      COUNT,  offsetof(struct synth, experts),      0, 1 << 16, NULL },
    { "experts_used", COUNT,  offsetof(struct synth, experts_used), 0, 1 << 16, NULL },
    { "scaling",      CHOICE, offsetof(struct synth, scaling),      0, 0,       scaling_names },
    { "factor",       REAL,   offsetof(struct synth, factor),       0, 1e6,     NULL },
    { "orig_ctx",     COUNT,  offsetof(struct synth, orig_ctx),     1, 1 << 30, NULL },
    { "rope_factors", COUNT,  offsetof(struct synth, rope_factors), 0, 1,       NULL },
    { "type",         CHOICE, offsetof(struct synth, type),         0, 0,       type_names },
};

/* ---- arguments */

static enum cut_status parse_value(struct synth *o, size_t k, const char *arg, const char *text, struct cut_err *err) {
    char *field = (char *)o + keys[k].at, *end;
    if (keys[k].kind == REAL) {
        double v = strtod(text, &end);
        if (!*text || *end || !(v > keys[k].least && v <= keys[k].most))
            return cut_fail(err, CUT_EUSAGE, "%.80s: not a number above %g and up to %g", arg, keys[k].least, keys[k].most);
        memcpy(field, &v, sizeof v);
        return CUT_OK;
    }
    uint64_t v = 0;
    if (keys[k].kind == CHOICE) {
        while (keys[k].names[v] && strcmp(keys[k].names[v], text)) v++;
        if (!keys[k].names[v])
            return cut_fail(err, CUT_EUSAGE, "%.80s: not one of %s, %s%s%s", arg, keys[k].names[0], keys[k].names[1],
                            keys[k].names[2] ? ", " : "", keys[k].names[2] ? keys[k].names[2] : "");
    } else {
        errno = 0;
        v = strtoull(text, &end, 10);
        if (*text < '0' || *text > '9' || *end || errno || (double)v < keys[k].least || (double)v > keys[k].most)
            return cut_fail(err, CUT_EUSAGE, "%.80s: not a whole number from %.0f to %.0f", arg, keys[k].least, keys[k].most);
    }
    memcpy(field, &v, sizeof v);
    return CUT_OK;
}

static enum cut_status parse_args(struct synth *o, const char *const *args, int n, struct cut_err *err) {
    *o = defaults;
    for (int i = 0; i < n; i++) {
        const char *eq = strchr(args[i], '=');
        size_t len = eq ? (size_t)(eq - args[i]) : strlen(args[i]), k = 0;
        while (k < CUT_LEN(keys) && (strlen(keys[k].key) != len || memcmp(keys[k].key, args[i], len))) k++;
        if (k == CUT_LEN(keys)) return cut_fail(err, CUT_EUSAGE, "%.80s: unknown key \"%.*s\"", args[i], (int)cut_min((int)len, 60), args[i]);
        if (!eq) return cut_fail(err, CUT_EUSAGE, "%.80s: no value, write %.80s=VALUE", args[i], args[i]);
        enum cut_status st = parse_value(o, k, args[i], eq + 1, err);
        if (st) return st;
    }
    if (o->experts || o->experts_used)
        return cut_fail(err, CUT_EUSAGE, "%s=%llu: not supported yet: mixtures of experts", o->experts ? "experts" : "experts_used",
                        (unsigned long long)(o->experts ? o->experts : o->experts_used));
    if (!o->head_dim && o->dim % o->heads)
        return cut_fail(err, CUT_EUSAGE, "heads=%llu: does not divide dim=%llu, and head_dim is not given",
                        (unsigned long long)o->heads, (unsigned long long)o->dim);
    if (o->heads % o->kv_heads)
        return cut_fail(err, CUT_EUSAGE, "kv_heads=%llu: does not divide heads=%llu", (unsigned long long)o->kv_heads,
                        (unsigned long long)o->heads);
    uint64_t head_dim = o->head_dim ? o->head_dim : o->dim / o->heads;
    if (head_dim % 2)
        return cut_fail(err, CUT_EUSAGE, "head_dim=%llu: odd, but the dimensions of a head rotate in pairs",
                        (unsigned long long)head_dim);
    return CUT_OK;
}

/* ---- weights */

/* What a tensor is, by its name without "blk.N.". The order is that of the file; `block` ones come once per layer. */
enum shape { VECTOR, MATRIX, FACTORS };
static const struct weight { const char *name; enum shape shape; bool block; double gain; } weights[] = {
    { "token_embd.weight",  MATRIX,  false, 0 },       /* sqrt(dim): rows of unit variance */
    { "output_norm.weight", VECTOR,  false, 0 },
    { "output.weight",      MATRIX,  false, 2.5 },
    { "rope_freqs.weight",  FACTORS, false, 0 },
    { "attn_norm.weight",   VECTOR,  true,  0 },
    { "attn_q.weight",      MATRIX,  true,  1.5 },
    { "attn_k.weight",      MATRIX,  true,  1.5 },
    { "attn_v.weight",      MATRIX,  true,  1 },
    { "attn_output.weight", MATRIX,  true,  1 },
    { "ffn_norm.weight",    VECTOR,  true,  0 },
    { "ffn_gate.weight",    MATRIX,  true,  1 },
    { "ffn_up.weight",      MATRIX,  true,  1 },
    { "ffn_down.weight",    MATRIX,  true,  1 },
};

static const struct weight *weight_of(const char *name) {
    if (!strncmp(name, "blk.", 4)) name = strchr(name + 4, '.') + 1;
    const struct weight *w = weights;
    while (strcmp(w->name, name)) w++;
    return w;
}

/* { columns, rows } of a weight. */
static void shape_of(const struct synth *o, const char *name, uint64_t ne[2]) {
    uint64_t hd = o->head_dim ? o->head_dim : o->dim / o->heads;
    const struct { const char *name; uint64_t columns, rows; } shapes[] = {
        { "token_embd.weight",  o->dim, o->vocab },
        { "output.weight",      o->dim, o->vocab },
        { "rope_freqs.weight",  hd / 2, 1 },
        { "attn_q.weight",      o->dim, o->heads * hd },
        { "attn_k.weight",      o->dim, o->kv_heads * hd },
        { "attn_v.weight",      o->dim, o->kv_heads * hd },
        { "attn_output.weight", o->heads * hd, o->dim },
        { "ffn_gate.weight",    o->dim, o->ffn },
        { "ffn_up.weight",      o->dim, o->ffn },
        { "ffn_down.weight",    o->ffn, o->dim },
    };
    ne[0] = o->dim, ne[1] = 1;                          /* the norms */
    for (size_t i = 0; i < CUT_LEN(shapes); i++)
        if (!strcmp(shapes[i].name, name)) ne[0] = shapes[i].columns, ne[1] = shapes[i].rows;
}

static uint64_t fnv1a64(const char *s) {
    uint64_t h = 0xCBF29CE484222325u;
    for (; *s; s++) h = (h ^ (uint8_t)*s) * 0x100000001B3u;
    return h;
}

/* In [-1, 1): 24 bits, so exact in a float. */
static inline float uniform(uint64_t *state) {
    return (float)((int32_t)(cut_rng_next(state) >> 40) - (1 << 23)) * 0x1p-23f;
}

static enum cut_status fill(void *user, const struct cut_tensor_info *t, uint64_t row0, uint64_t rows, void *dst,
                            struct cut_err *err) {
    (void)err;
    const struct synth *o = user;
    const struct weight *w = weight_of(t->name);
    uint64_t columns = t->ne[0], n = rows * columns;
    uint64_t state = (fnv1a64(t->name) ^ o->seed * 0x9E3779B97F4A7C15u) + row0 * columns * 0x9E3779B97F4A7C15u;
    float *f = dst;
    if (w->shape == FACTORS) {
        double step = n > 1 ? 7.0 / (double)(n - 1) : 0;
        for (uint64_t i = 0; i < n; i++) f[i] = n > 1 && i == n - 1 ? 8 : (float)((double)i * step + 1);
    } else if (w->shape == VECTOR) {
        for (uint64_t i = 0; i < n; i++) f[i] = 1 + uniform(&state) * 0.35f;
    } else {
        double gain = w->gain != 0 ? w->gain : sqrt((double)o->dim);
        float scale = (float)(gain * sqrt(3.0) / sqrt((double)columns));
        if (t->type == CUT_F16)
            for (uint64_t i = 0; i < n; i++) ((uint16_t *)dst)[i] = cut_f32_to_f16(uniform(&state) * scale);
        else
            for (uint64_t i = 0; i < n; i++) f[i] = uniform(&state) * scale;
    }
    return CUT_OK;
}

static enum cut_status put_weights(struct cut_gguf_writer *w, const struct synth *o, bool block, uint64_t layer,
                                   struct cut_err *err) {
    enum cut_status st = CUT_OK;
    for (size_t i = 0; i < CUT_LEN(weights) && !st; i++) {
        const struct weight *x = &weights[i];
        if (x->block != block) continue;
        if (!strcmp(x->name, "output.weight") && o->tied) continue;
        if (x->shape == FACTORS && !o->rope_factors) continue;
        char name[64];
        uint64_t ne[2];
        if (block) snprintf(name, sizeof name, "blk.%llu.%s", (unsigned long long)layer, x->name);
        else snprintf(name, sizeof name, "%s", x->name);
        shape_of(o, x->name, ne);
        st = cut_gguf_put_tensor(w, name, x->shape == MATRIX && o->type ? CUT_F16 : CUT_F32, x->shape == MATRIX ? 2 : 1,
                                 ne, NULL, err);
    }
    return st;
}

/* ---- metadata */

static enum cut_status put_config(struct cut_gguf_writer *w, const struct synth *o, struct cut_err *err) {
    uint64_t head_dim = o->head_dim ? o->head_dim : o->dim / o->heads;
    bool own_head = head_dim != o->dim / o->heads, scaled = o->scaling != 0;
    enum kind { U32, F32, STR };
    const struct { const char *key; enum kind kind; double v; const char *s; bool skip; } entries[] = {
        { "general.architecture", STR, 0, "llama", false },
        { "general.name", STR, 0, "synthetic-llama", false },
        { "llama.context_length", U32, (double)o->ctx, NULL, false },
        { "llama.embedding_length", U32, (double)o->dim, NULL, false },
        { "llama.block_count", U32, (double)o->layers, NULL, false },
        { "llama.feed_forward_length", U32, (double)o->ffn, NULL, false },
        { "llama.attention.head_count", U32, (double)o->heads, NULL, false },
        { "llama.attention.head_count_kv", U32, (double)o->kv_heads, NULL, false },
        { "llama.vocab_size", U32, (double)o->vocab, NULL, false },
        { "llama.attention.layer_norm_rms_epsilon", F32, o->eps, NULL, false },
        { "llama.rope.dimension_count", U32, (double)head_dim, NULL, false },
        { "llama.rope.freq_base", F32, o->base, NULL, false },
        { "llama.attention.key_length", U32, (double)head_dim, NULL, !own_head },
        { "llama.attention.value_length", U32, (double)head_dim, NULL, !own_head },
        { "llama.attention.sliding_window", U32, (double)o->swa, NULL, !o->swa },
        { "llama.rope.scaling.type", STR, 0, scaling_names[o->scaling], !scaled },
        { "llama.rope.scaling.factor", F32, o->factor, NULL, !scaled },
        { "llama.rope.scaling.original_context_length", U32, (double)o->orig_ctx, NULL, !scaled },
        { "general.file_type", U32, (double)o->type, NULL, false },      /* ggml's: 0 all F32, 1 mostly F16 */
        { "tokenizer.ggml.model", STR, 0, "llama", false },
    };
    enum cut_status st = CUT_OK;
    for (size_t i = 0; i < CUT_LEN(entries) && !st; i++) {
        if (entries[i].skip) continue;
        const char *key = entries[i].key;
        st = entries[i].kind == STR   ? cut_gguf_put_str(w, key, entries[i].s, err)
             : entries[i].kind == F32 ? cut_gguf_put_f32(w, key, (float)entries[i].v, err)
                                      : cut_gguf_put_u32(w, key, (uint32_t)entries[i].v, err);
    }
    return st;
}

/* The piece of a token: the control tokens, the bytes, U+2581, the letters, then all pairs of letters, triples, fours. */
static void piece_of(uint32_t id, char piece[8]) {
    static const char *const control[] = { "<unk>", "<s>", "</s>" };
    if (id < 3) {
        strcpy(piece, control[id]);
    } else if (id < 259) {
        snprintf(piece, 8, "<0x%02X>", (unsigned)(uint8_t)(id - 3));
    } else if (id == 259) {
        strcpy(piece, "\u2581");
    } else {
        uint32_t k = id - 260, length = 1, many = 26;
        while (k >= many) k -= many, length++, many *= 26;
        piece[length] = 0;
        for (uint32_t i = length; i-- > 0; k /= 26) piece[i] = (char)('a' + k % 26);
    }
}

/* The score of a token is the less the later it comes, so that merges follow the order of ids. */
static enum cut_status put_vocab(struct cut_gguf_writer *w, const struct synth *o, struct cut_err *err) {
    uint32_t n = (uint32_t)o->vocab;
    enum cut_status st = CUT_ENOMEM;
    char(*pieces)[8] = cut_calloc(n, sizeof *pieces, "the vocabulary", err);
    const char **strs = cut_calloc(n, sizeof *strs, "the vocabulary", err);
    float *scores = cut_calloc(n, sizeof *scores, "the vocabulary", err);
    int32_t *kinds = cut_calloc(n, sizeof *kinds, "the vocabulary", err);
    if (!pieces || !strs || !scores || !kinds) goto done;
    for (uint32_t i = 0; i < n; i++) {
        piece_of(i, pieces[i]);
        strs[i] = pieces[i];
        scores[i] = i < 259 ? 0.0f : -(float)(i - 259);        /* id 259: -0.0 */
        kinds[i] = i == 0 ? CUT_TOKEN_UNKNOWN : i < 3 ? CUT_TOKEN_CONTROL : i < 259 ? CUT_TOKEN_BYTE : CUT_TOKEN_NORMAL;
    }
    if ((st = cut_gguf_put_strs(w, "tokenizer.ggml.tokens", strs, n, err)) ||
        (st = cut_gguf_put_raw(w, "tokenizer.ggml.scores", CUT_KV_ARRAY, CUT_KV_F32, n, scores, n * sizeof *scores, err)) ||
        (st = cut_gguf_put_raw(w, "tokenizer.ggml.token_type", CUT_KV_ARRAY, CUT_KV_I32, n, kinds, n * sizeof *kinds, err)) ||
        (st = cut_gguf_put_u32(w, "tokenizer.ggml.bos_token_id", 1, err)) ||
        (st = cut_gguf_put_u32(w, "tokenizer.ggml.eos_token_id", 2, err)) ||
        (st = cut_gguf_put_u32(w, "tokenizer.ggml.unknown_token_id", 0, err)) ||
        (st = cut_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", true, err)))
        goto done;
done:
    free(kinds);
    free(scores);
    free(strs);
    free(pieces);
    return st;
}

enum cut_status cut_synth(const char *path, const char *arch, const char *const *args, int n_args, struct cut_err *err) {
    struct synth o;
    struct cut_gguf_writer *w = NULL;
    if (strcmp(arch, "llama"))
        return cut_fail(err, CUT_EUSAGE, "architecture \"%.60s\": not supported yet, only llama", arch);
    enum cut_status st = parse_args(&o, args, n_args, err);
    if (!st) st = cut_gguf_writer_new(&w, err);
    if (!st) st = put_config(w, &o, err);
    if (!st) st = put_vocab(w, &o, err);
    if (!st) st = put_weights(w, &o, false, 0, err);
    for (uint64_t i = 0; i < o.layers && !st; i++) st = put_weights(w, &o, true, i, err);
    if (!st) st = cut_gguf_write(w, path, fill, &o, err);
    cut_gguf_writer_free(w);
    return st;
}
