/* llama.c - the Llama family: Touvron et al. 2023 ("LLaMA"), section 2.2, with grouped heads (Ainslie et al. 2023).
 *
 * build() reads in the order of the transformer block: norm, Q K V, rotation, cache, attention, output, residual;
 * norm, gated feed-forward, residual. Every line is one step of the listing a reader steps through. */
#include <math.h>

#include "engine/model/model.h"

/* Frequencies of the rotary pairs: base^(-2i / rope_dim), divided by the file's factors where it has some (Llama 3.1),
 * positions scaled linearly where it asks for that (Chen et al. 2023). */
static enum cut_status load_rope(struct cut_model *m, struct cut_err *err) {
    struct cut_config *c = &m->config;
    const char *name = cut_gguf_head(m->gguf)->name;
    enum cut_status st;
    if ((st = cut_model_int(m, &c->rope_dim, "rope.dimension_count", c->head_dim, 2, c->head_dim, err)) ||
        (st = cut_model_float(m, &c->rope_base, "rope.freq_base", 10000, 1, 1e12, err)))
        return st;
    if (c->rope_dim % 2)
        return cut_fail(err, CUT_EFILE, "%s: metadata \"%s.rope.dimension_count\": %d is odd, but dimensions rotate in pairs", name,
                        c->arch, c->rope_dim);

    const struct cut_kv *kv = cut_gguf_find(m->gguf, "llama.rope.scaling.type");
    const char *type = "none";
    size_t len = 4;
    float factor = 1;
    if (kv && !cut_kv_str(kv, 0, &type, &len))
        return cut_fail(err, CUT_EFILE, "%s: metadata \"%s\": a string is needed, not %s", name, kv->key, cut_kv_type_name(kv->type));
    bool linear = len == 6 && !memcmp(type, "linear", 6);
    if (!linear && !(len == 4 && !memcmp(type, "none", 4)))
        return cut_fail(err, CUT_EFILE, "%s: metadata \"%s\": scaling \"%.*s\" cannot be run yet; none and linear can", name, kv->key,
                        (int)(len < 40 ? len : 40), type);
    if (linear && (st = cut_model_float(m, &factor, "rope.scaling.factor", NAN, 1e-3, 1e6, err))) return st;
    c->rope_scale = 1 / factor;

    const struct cut_tensor_info *t;
    if ((st = cut_model_weight(m, &t, -1, "rope_freqs.weight", c->rope_dim / 2, 0, true, err))) return st;
    if (t) {
        m->rope_factors = cut_arena_alloc(&m->arena, (size_t)c->rope_dim / 2 * sizeof(float));
        if (!m->rope_factors) return cut_fail(err, CUT_ENOMEM, "out of memory: rope factors");
        memcpy(m->rope_factors, t->data, (size_t)c->rope_dim / 2 * sizeof(float));
        for (int i = 0; i < c->rope_dim / 2; i++)
            if (!(m->rope_factors[i] > 0))
                return cut_fail(err, CUT_EFILE, "%s: tensor \"rope_freqs.weight\": element %d is %g, must be above 0", name, i,
                                m->rope_factors[i]);
    }
    return CUT_OK;
}

static enum cut_status load_layer(struct cut_model *m, int il, struct cut_err *err) {
    const struct cut_config *c = &m->config;
    struct cut_layer *l = &m->layer[il];
    int d = c->n_embd, q = c->n_head * c->head_dim, kv = c->n_head_kv * c->head_dim, ff = c->n_ff;
    enum cut_status st;
    if ((st = cut_model_weight(m, &l->attn_norm, il, "attn_norm.weight", d, 0, false, err)) ||
        (st = cut_model_weight(m, &l->attn_q, il, "attn_q.weight", d, q, false, err)) ||
        (st = cut_model_weight(m, &l->attn_k, il, "attn_k.weight", d, kv, false, err)) ||
        (st = cut_model_weight(m, &l->attn_v, il, "attn_v.weight", d, kv, false, err)) ||
        (st = cut_model_weight(m, &l->attn_output, il, "attn_output.weight", q, d, false, err)) ||
        (st = cut_model_weight(m, &l->ffn_norm, il, "ffn_norm.weight", d, 0, false, err)) ||
        (st = cut_model_weight(m, &l->ffn_gate, il, "ffn_gate.weight", d, ff, false, err)) ||
        (st = cut_model_weight(m, &l->ffn_up, il, "ffn_up.weight", d, ff, false, err)) ||
        (st = cut_model_weight(m, &l->ffn_down, il, "ffn_down.weight", ff, d, false, err)))
        return st;
    return CUT_OK;
}

static enum cut_status load(struct cut_model *m, struct cut_err *err) {
    struct cut_config *c = &m->config;
    const char *name = cut_gguf_head(m->gguf)->name;
    enum cut_status st;
    int n_experts;
    if ((st = cut_model_int(m, &n_experts, "expert_count", 0, 0, 1 << 20, err))) return st;
    if (n_experts)
        return cut_fail(err, CUT_EFILE, "%s: metadata \"llama.expert_count\": %d; mixtures of experts cannot be run yet", name, n_experts);
    if ((st = cut_model_int(m, &c->n_layer, "block_count", -1, 1, 1024, err)) ||
        (st = cut_model_int(m, &c->n_embd, "embedding_length", -1, 1, 1 << 17, err)) ||
        (st = cut_model_int(m, &c->n_ff, "feed_forward_length", -1, 1, 1 << 20, err)) ||
        (st = cut_model_int(m, &c->n_ctx_train, "context_length", -1, 1, 1 << 28, err)) ||
        (st = cut_model_int(m, &c->n_head, "attention.head_count", -1, 1, 4096, err)) ||
        (st = cut_model_int(m, &c->n_head_kv, "attention.head_count_kv", c->n_head, 1, 4096, err)) ||
        (st = cut_model_int(m, &c->head_dim, "attention.key_length", c->n_embd / c->n_head, 1, 1024, err)) ||
        (st = cut_model_float(m, &c->norm_eps, "attention.layer_norm_rms_epsilon", 1e-5, 0, 1, err)))
        return st;
    int value_dim;
    if ((st = cut_model_int(m, &value_dim, "attention.value_length", c->head_dim, 1, 1024, err))) return st;
    if (value_dim != c->head_dim)
        return cut_fail(err, CUT_EFILE, "%s: metadata \"llama.attention.value_length\": %d differs from key_length %d; not supported", name,
                        value_dim, c->head_dim);
    if (c->n_head % c->n_head_kv)
        return cut_fail(err, CUT_EFILE, "%s: metadata \"llama.attention.head_count_kv\": %d does not divide head_count %d", name,
                        c->n_head_kv, c->n_head);
    if (c->head_dim % 2)
        return cut_fail(err, CUT_EFILE, "%s: heads of %d dimensions cannot rotate in pairs", name, c->head_dim);
    if ((st = load_rope(m, err))) return st;

    c->n_vocab = cut_vocab_size(m->vocab);
    if ((st = cut_model_weight(m, &m->token_embd, -1, "token_embd.weight", c->n_embd, c->n_vocab, false, err)) ||
        (st = cut_model_weight(m, &m->output_norm, -1, "output_norm.weight", c->n_embd, 0, false, err)) ||
        (st = cut_model_weight(m, &m->output, -1, "output.weight", c->n_embd, c->n_vocab, true, err)))
        return st;
    c->tied = !m->output;
    if (c->tied) m->output = m->token_embd;

    m->layer = cut_arena_alloc(&m->arena, (size_t)c->n_layer * sizeof *m->layer);
    if (!m->layer) return cut_fail(err, CUT_ENOMEM, "out of memory: %d layers", c->n_layer);
    for (int il = 0; il < c->n_layer; il++)
        if ((st = load_layer(m, il, err))) return st;
    return CUT_OK;
}

#define AT(...) CUT_HERE, (struct cut_label){ il, __VA_ARGS__ }

static void build(struct cut_graph *g, const struct cut_model *m) {
    const struct cut_config *c = &m->config;
    int il = -1;
    int x = cut_graph_embed(g, AT("embed", "hook_embed", "x = E[token]"), m->token_embd);

    for (il = 0; il < c->n_layer; il++) {
        const struct cut_layer *w = &m->layer[il];
        cut_graph_alias(g, x, il, "resid_pre", "hook_resid_pre");

        int n = cut_graph_rms_norm(g, AT("attn_norm", "ln1.hook_normalized", "n = x / √(mean(x²) + ε) ⊙ w"), x, w->attn_norm);
        int q = cut_graph_matmul(g, AT("q", "attn.hook_q", "q = W_Q n"), n, w->attn_q, c->n_head);
        int k = cut_graph_matmul(g, AT("k", "attn.hook_k", "k = W_K n"), n, w->attn_k, c->n_head_kv);
        int v = cut_graph_matmul(g, AT("v", "attn.hook_v", "v = W_V n"), n, w->attn_v, c->n_head_kv);
        q = cut_graph_rope(g, AT("q_rope", "attn.hook_rot_q", "(q₂ᵢ, q₂ᵢ₊₁) rotated by pos · θ^(-2i/d)"), q);
        k = cut_graph_rope(g, AT("k_rope", "attn.hook_rot_k", "(k₂ᵢ, k₂ᵢ₊₁) rotated by pos · θ^(-2i/d)"), k);
        cut_graph_kv_store(g, AT("kv_store", NULL, "K[pos] = k,  V[pos] = v"), k, v);

        int s = cut_graph_scores(g, AT("scores", "attn.hook_attn_scores", "s[h,j] = q[h] · K[j] / √d"), q);
        int p = cut_graph_softmax(g, AT("pattern", "attn.hook_pattern", "p[h,j] = exp(s[h,j]) / Σⱼ exp(s[h,j])"), s);
        int z = cut_graph_mix(g, AT("z", "attn.hook_z", "z[h] = Σⱼ p[h,j] V[j]"), p, q);
        int o = cut_graph_matmul(g, AT("attn_out", "hook_attn_out", "o = W_O z"), z, w->attn_output, 1);
        x = cut_graph_add(g, AT("resid_mid", "hook_resid_mid", "x' = x + o"), x, o);

        n = cut_graph_rms_norm(g, AT("ffn_norm", "ln2.hook_normalized", "n = x' / √(mean(x'²) + ε) ⊙ w"), x, w->ffn_norm);
        int gate = cut_graph_matmul(g, AT("gate", "mlp.hook_pre", "g = W_gate n"), n, w->ffn_gate, 1);
        int up = cut_graph_matmul(g, AT("up", "mlp.hook_pre_linear", "u = W_up n"), n, w->ffn_up, 1);
        int act = cut_graph_silu_mul(g, AT("act", "mlp.hook_post", "a = g σ(g) ⊙ u"), gate, up);
        int down = cut_graph_matmul(g, AT("ffn_out", "hook_mlp_out", "f = W_down a"), act, w->ffn_down, 1);
        x = cut_graph_add(g, AT("resid_post", "hook_resid_post", "x = x' + f"), x, down);
    }

    il = -1;
    x = cut_graph_rms_norm(g, AT("final_norm", "ln_final.hook_normalized", "n = x / √(mean(x²) + ε) ⊙ w"), x, m->output_norm);
    cut_graph_outputs_only(g, x);
    x = cut_graph_matmul(g, AT("logits", "output", "l = W_U n"), x, m->output, 1);
    cut_graph_sample(g, AT("sample", NULL, "t ~ softmax(l / τ), or argmax l"), x);
}

const struct cut_arch cut_arch_llama = { "llama", load, build };
