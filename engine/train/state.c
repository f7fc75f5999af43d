/* state.c - training to and from the disk: a new model, a checkpoint, the model as it stands.
 *
 * All three are GGUF files, written whole under another name and renamed (cut_gguf_write): whoever is interrupted, at
 * whatever moment, keeps the last one. A checkpoint holds for each weight NAME its value and AdamW's two moments, as
 * NAME, NAME.m and NAME.v in F32, and the number of steps made. */
#include <math.h>

#include "engine/train/train.h"

/* ---- a new model */

#define COMMON 0.5f            /* the spread of what all embeddings have in common; that of what they do not is below */

/* A normal number, by Box and Muller's transform. */
static float normal(uint64_t *state) {
    float u = 1 - cut_rng_float(state), v = cut_rng_float(state);
    return sqrtf(-2 * logf(u)) * cosf(6.2831853f * v);
}

struct weight { const char *name; int columns, rows; float spread; };    /* rows 0: a vector, all equal to `spread` */

struct init { struct cut_train_shape s; int n_vocab; uint64_t seed; const struct cut_gguf *from; };    /* from may be NULL */

/* The weights of a block, or (block false) the others. Returns their number. A matrix of fan-in n spreads by 1 / sqrt(n),
 * which keeps the size of what passes through; those that write into the residual stream by less, so that the sum of all
 * blocks keeps it too (Radford et al. 2019, section 2.3).
 *
 * Embeddings must be of the size of what the blocks add to them. With the usual 0.02 the first block's output drowns them
 * seventyfold, later blocks no longer see which token is which, and no head learns to look back. But they are the output
 * matrix as well, whose logits should start small: so the last norm begins with a small scale, and grows. */
static int weights_of(const struct init *in, bool block, struct weight out[9]) {
    const struct cut_train_shape *s = &in->s;
    int d = s->dim, q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim, n = 0;
    float deep = 1 / sqrtf(2 * (float)s->layers), fan = 1 / sqrtf((float)d);
    if (!block) {
        out[n++] = (struct weight){ "token_embd.weight", d, in->n_vocab, 0.5f };
        out[n++] = (struct weight){ "output_norm.weight", d, 0, 0.05f };
        return n;
    }
    out[n++] = (struct weight){ "attn_norm.weight", d, 0, 1 };
    out[n++] = (struct weight){ "attn_q.weight", d, q, fan };
    out[n++] = (struct weight){ "attn_k.weight", d, kv, fan };
    out[n++] = (struct weight){ "attn_v.weight", d, kv, fan };
    out[n++] = (struct weight){ "attn_output.weight", q, d, deep / sqrtf((float)q) };
    out[n++] = (struct weight){ "ffn_norm.weight", d, 0, 1 };
    out[n++] = (struct weight){ "ffn_gate.weight", d, s->ffn, fan };
    out[n++] = (struct weight){ "ffn_up.weight", d, s->ffn, fan };
    out[n++] = (struct weight){ "ffn_down.weight", s->ffn, d, deep / sqrtf((float)s->ffn) };
    return n;
}

/* The rows of a tensor as another model has them; false: it has none of this name and shape. */
static bool copy_rows(const struct cut_gguf *from, const struct cut_tensor_info *t, uint64_t row0, uint64_t rows, float *dst) {
    const struct cut_tensor_info *x = from ? cut_gguf_find_tensor(from, t->name) : NULL;
    if (!x || x->ne[0] != t->ne[0] || x->ne[1] != t->ne[1] || !cut_type_info(x->type)->runs) return false;
    size_t row_bytes = (size_t)(x->bytes / x->ne[1]);
    cut_decode(x->type, (const uint8_t *)x->data + row0 * row_bytes, dst, (size_t)(rows * t->ne[0]));
    return true;
}

/* The same vector added to every embedding. Queries and keys have no bias, so only what all tokens share lets a head attend by
 * distance alone, as to the token before; and to the logits, which are products with all rows, it adds the same number. */
static void add_common(float *f, uint64_t rows, uint64_t n, uint64_t seed) {
    for (uint64_t r = 0; r < rows; r++) {
        uint64_t state = seed ^ 0xC0FFEE;
        for (uint64_t k = 0; k < n; k++) f[r * n + k] += COMMON * normal(&state);
    }
}

/* Each tensor's numbers follow from the seed and its name. */
static enum cut_status fill_new(void *user, const struct cut_tensor_info *t, uint64_t row0, uint64_t rows, void *dst, struct cut_err *err) {
    const struct init *in = user;
    struct weight w[9];
    const char *name = t->name;
    uint64_t state = in->seed + row0 * 0x9E3779B97F4A7C15u;
    float *f = dst;
    (void)err;
    if (copy_rows(in->from, t, row0, rows, f)) return CUT_OK;
    for (const char *p = name; *p; p++) state = (state ^ (uint8_t)*p) * 0x100000001B3u;
    bool block = !strncmp(name, "blk.", 4);
    if (block) name = strchr(name + 4, '.') + 1;
    for (int i = weights_of(in, block, w) - 1; i >= 0; i--)
        if (!strcmp(w[i].name, name))
            for (uint64_t k = 0; k < rows * t->ne[0]; k++) f[k] = w[i].rows ? normal(&state) * w[i].spread : w[i].spread;
    if (!strcmp(name, "token_embd.weight")) add_common(f, rows, t->ne[0], in->seed);
    return CUT_OK;
}

static enum cut_status put_weights(struct cut_gguf_writer *g, const struct init *in, int layer, struct cut_err *err) {
    struct weight w[9];
    enum cut_status st = CUT_OK;
    int n = weights_of(in, layer >= 0, w);
    for (int i = 0; !st && i < n; i++) {
        char name[64];
        if (layer >= 0) snprintf(name, sizeof name, "blk.%d.%s", layer, w[i].name);
        else snprintf(name, sizeof name, "%s", w[i].name);
        const uint64_t ne[2] = { (uint64_t)w[i].columns, (uint64_t)w[i].rows };
        st = cut_gguf_put_tensor(g, name, CUT_F32, w[i].rows ? 2 : 1, ne, NULL, err);
    }
    return st;
}

static enum cut_status put_shape(struct cut_gguf_writer *g, const struct init *in, const char *name, struct cut_err *err) {
    const struct cut_train_shape *s = &in->s;
    const struct { const char *key; int v; } ints[] = {
        { "llama.context_length", s->ctx }, { "llama.embedding_length", s->dim }, { "llama.block_count", s->layers },
        { "llama.feed_forward_length", s->ffn }, { "llama.attention.head_count", s->heads },
        { "llama.attention.head_count_kv", s->kv_heads }, { "llama.attention.key_length", s->head_dim },
        { "llama.attention.value_length", s->head_dim }, { "llama.rope.dimension_count", s->head_dim },
        { "llama.vocab_size", in->n_vocab }, { "general.file_type", 0 },
    };
    enum cut_status st = cut_gguf_put_str(g, "general.architecture", "llama", err);
    if (!st) st = cut_gguf_put_str(g, "general.name", name, err);
    for (size_t i = 0; !st && i < CUT_LEN(ints); i++) st = cut_gguf_put_u32(g, ints[i].key, (uint32_t)ints[i].v, err);
    if (!st) st = cut_gguf_put_f32(g, "llama.attention.layer_norm_rms_epsilon", 1e-5f, err);
    if (!st) st = cut_gguf_put_f32(g, "llama.rope.freq_base", s->rope_base, err);
    return st;
}

/* Copy the metadata whose key starts with prefix (or, not, does not). */
static enum cut_status copy_metadata(struct cut_gguf_writer *g, const struct cut_gguf *from, const char *prefix, bool with, struct cut_err *err) {
    enum cut_status st = CUT_OK;
    for (uint64_t i = 0; !st && i < cut_gguf_head(from)->n_kv; i++) {
        const struct cut_kv *kv = cut_gguf_kv(from, i);
        if (!strncmp(kv->key, prefix, strlen(prefix)) == with)
            st = cut_gguf_put_raw(g, kv->key, kv->type, kv->elem, kv->count, kv->data, kv->bytes, err);
    }
    return st;
}

static enum cut_status check_shape(const struct cut_train_shape *s, struct cut_err *err) {
    const struct { const char *name; int v, max; } all[] = {
        { "dim", s->dim, 8192 }, { "layers", s->layers, 128 }, { "heads", s->heads, 256 }, { "kv_heads", s->kv_heads, 256 },
        { "ffn", s->ffn, 32768 }, { "ctx", s->ctx, CUT_TRAIN_PART }, { "head_dim", s->head_dim, 512 },
    };
    for (size_t i = 0; i < CUT_LEN(all); i++)
        if (all[i].v < 1 || all[i].v > all[i].max)
            return cut_fail(err, CUT_EUSAGE, "%s: %d is not in 1 to %d", all[i].name, all[i].v, all[i].max);
    if (s->heads % s->kv_heads) return cut_fail(err, CUT_EUSAGE, "kv_heads: %d does not divide heads %d", s->kv_heads, s->heads);
    if (s->head_dim % 2) return cut_fail(err, CUT_EUSAGE, "head_dim: %d is odd, but dimensions rotate in pairs", s->head_dim);
    if (s->ctx < 16) return cut_fail(err, CUT_EUSAGE, "ctx: %d is too short to learn from, at least 16", s->ctx);
    return CUT_OK;
}

enum cut_status cut_train_init(const char *path, const char *name, const char *vocab, const char *from, const struct cut_train_shape *shape,
                               uint64_t seed, struct cut_err *err) {
    struct init in = { *shape, 0, seed, NULL };
    struct cut_gguf *g = NULL, *other = NULL;
    struct cut_vocab *v = NULL;
    struct cut_gguf_writer *w = NULL;
    if (!in.s.head_dim && in.s.heads > 0) in.s.head_dim = in.s.dim / in.s.heads;
    enum cut_status st = check_shape(&in.s, err);
    if (!st) st = cut_gguf_open(&g, vocab, 0, err);
    if (!st) st = cut_vocab_new(&v, g, err);
    if (!st && from) st = cut_gguf_open(&other, from, 0, err);
    if (!st) {
        in.from = other;
        in.n_vocab = cut_vocab_size(v);
        st = cut_gguf_writer_new(&w, err);
    }
    if (!st) st = put_shape(w, &in, name, err);
    if (!st) st = copy_metadata(w, g, "tokenizer.", true, err);
    for (int il = -1; !st && il < in.s.layers; il++) st = put_weights(w, &in, il, err);
    if (!st) st = cut_gguf_write(w, path, fill_new, &in, err);
    cut_gguf_writer_free(w);
    cut_vocab_free(v);
    cut_gguf_close(other);
    cut_gguf_close(g);
    return st;
}

/* ---- the model as it stands */

/* Matrices as F16, vectors as they are. */
static enum cut_status fill_model(void *user, const struct cut_tensor_info *t, uint64_t row0, uint64_t rows, void *dst, struct cut_err *err) {
    const struct cut_trainer *tr = user;
    for (int i = 0; i < tr->diff.n_params; i++) {
        if (strcmp(tr->diff.param[i].info->name, t->name)) continue;
        const float *w = tr->w + tr->diff.param[i].at + row0 * t->ne[0];
        if (t->type == CUT_F32) memcpy(dst, w, (size_t)(rows * t->ne[0]) * sizeof *w);
        else for (uint64_t k = 0; k < rows * t->ne[0]; k++) ((uint16_t *)dst)[k] = cut_f32_to_f16(w[k]);
        return CUT_OK;
    }
    return cut_fail(err, CUT_EUSAGE, "tensor \"%s\" takes no part in the training", t->name);
}

enum cut_status cut_trainer_export(struct cut_trainer *t, const char *path, struct cut_err *err) {
    struct cut_gguf_writer *w;
    enum cut_status st = cut_gguf_writer_new(&w, err);
    if (st) return st;
    st = copy_metadata(w, t->model->gguf, "general.file_type", false, err);
    if (!st) st = cut_gguf_put_u32(w, "general.file_type", 1, err);            /* mostly F16 */
    for (int i = 0; !st && i < t->diff.n_params; i++) {
        const struct cut_tensor_info *p = t->diff.param[i].info;
        st = cut_gguf_put_tensor(w, p->name, p->n_dims > 1 ? CUT_F16 : CUT_F32, p->n_dims, p->ne, NULL, err);
    }
    if (!st) st = cut_gguf_write(w, path, fill_model, t, err);
    cut_gguf_writer_free(w);
    return st;
}

/* ---- checkpoints */

static const char *const suffix[] = { "", ".m", ".v" };

static float *array(const struct cut_trainer *t, int k) { return k == 0 ? t->w : k == 1 ? t->m : t->v; }

enum cut_status cut_trainer_save(struct cut_trainer *t, const char *path, struct cut_err *err) {
    struct cut_gguf_writer *w;
    enum cut_status st = cut_gguf_writer_new(&w, err);
    if (st) return st;
    st = cut_gguf_put_str(w, "general.architecture", "cutaway-checkpoint", err);
    if (!st) st = cut_gguf_put_u32(w, "cutaway.train.step", (uint32_t)t->step, err);
    if (!st) st = cut_gguf_put_u32(w, "cutaway.train.text", (uint32_t)(t->corpus.hash ^ t->corpus.hash >> 32), err);
    for (int k = 0; k < 3; k++)
        for (int i = 0; !st && i < t->diff.n_params; i++) {
            const struct cut_param *p = &t->diff.param[i];
            char name[160];
            snprintf(name, sizeof name, "%s%s", p->info->name, suffix[k]);
            st = cut_gguf_put_tensor(w, name, CUT_F32, p->info->n_dims, p->info->ne, array(t, k) + p->at, err);
        }
    if (!st) st = cut_gguf_write(w, path, NULL, NULL, err);
    cut_gguf_writer_free(w);
    return st;
}

static enum cut_status read_number(const struct cut_gguf *g, const char *key, uint64_t *out, struct cut_err *err) {
    const struct cut_kv *kv = cut_gguf_find(g, key);
    if (kv && kv->type != CUT_KV_ARRAY && cut_kv_u64(kv, 0, out) && *out <= UINT32_MAX) return CUT_OK;
    return cut_fail(err, CUT_EFILE, "%s: %s is missing: this is no checkpoint of a training run", cut_gguf_head(g)->name, key);
}

/* All is checked before anything is changed. */
enum cut_status cut_trainer_resume(struct cut_trainer *t, const char *path, bool *same_text, struct cut_err *err) {
    struct cut_gguf *g;
    uint64_t step, text;
    enum cut_status st = cut_gguf_open(&g, path, 0, err);
    if (st) return st;
    st = read_number(g, "cutaway.train.step", &step, err);
    if (!st) st = read_number(g, "cutaway.train.text", &text, err);
    if (!st && step > INT32_MAX) st = cut_fail(err, CUT_EFILE, "%s: step %llu", cut_gguf_head(g)->name, (unsigned long long)step);
    for (int change = 0; !st && change < 2; change++)
        for (int k = 0; k < 3; k++)
            for (int i = 0; !st && i < t->diff.n_params; i++) {
                const struct cut_param *p = &t->diff.param[i];
                char name[160];
                snprintf(name, sizeof name, "%s%s", p->info->name, suffix[k]);
                const struct cut_tensor_info *x = cut_gguf_find_tensor(g, name);
                if (change) memcpy(array(t, k) + p->at, x->data, p->n * sizeof(float));
                else if (!x || x->type != CUT_F32 || x->bytes != p->n * sizeof(float) || x->ne[0] != p->info->ne[0])
                    st = cut_fail(err, CUT_EFILE, "%s: tensor \"%s\" is missing or of another shape: this is a checkpoint of another model",
                                  cut_gguf_head(g)->name, name);
            }
    if (!st) {
        t->step = (int)step;
        *same_text = text == (uint32_t)(t->corpus.hash ^ t->corpus.hash >> 32);
    }
    cut_gguf_close(g);
    return st;
}
