/* load.c - opening a model: the file, then what every architecture shares, then the architecture's own part. */
#include <math.h>

#include "engine/model/model.h"

static const struct cut_arch *const archs[] = { &cut_arch_llama };

static const char *file_name(const struct cut_model *m) { return cut_gguf_head(m->gguf)->name; }

static const struct cut_kv *find(const struct cut_model *m, const char *key, char full[96]) {
    snprintf(full, 96, "%s.%s", m->config.arch, key);
    return cut_gguf_find(m->gguf, full);
}

enum cut_status cut_model_int(const struct cut_model *m, int *out, const char *key, int def, int lo, int hi, struct cut_err *err) {
    char full[96];
    const struct cut_kv *kv = find(m, key, full);
    int64_t v;
    if (!kv && def < lo) return cut_fail(err, CUT_EFILE, "%s: metadata \"%s\" is missing", file_name(m), full);
    if (!kv) {
        *out = def;
        return CUT_OK;
    }
    if (kv->type == CUT_KV_ARRAY)
        return cut_fail(err, CUT_EFILE, "%s: metadata \"%s\": an array, one value per layer; only models with the same in every layer run",
                        file_name(m), full);
    if (!cut_kv_i64(kv, 0, &v))
        return cut_fail(err, CUT_EFILE, "%s: metadata \"%s\": a whole number is needed, not %s", file_name(m), full,
                        cut_kv_type_name(kv->type));
    if (v < lo || v > hi)
        return cut_fail(err, CUT_EFILE, "%s: metadata \"%s\": %lld is not in %d to %d", file_name(m), full, (long long)v, lo, hi);
    *out = (int)v;
    return CUT_OK;
}

enum cut_status cut_model_float(const struct cut_model *m, float *out, const char *key, double def, double lo, double hi,
                                struct cut_err *err) {
    char full[96];
    const struct cut_kv *kv = find(m, key, full);
    double v = def;
    if (!kv && isnan(def)) return cut_fail(err, CUT_EFILE, "%s: metadata \"%s\" is missing", file_name(m), full);
    if (kv && (kv->type == CUT_KV_ARRAY || !cut_kv_f64(kv, 0, &v)))
        return cut_fail(err, CUT_EFILE, "%s: metadata \"%s\": a number is needed, not %s", file_name(m), full,
                        cut_kv_type_name(kv->type));
    if (!(v >= lo && v <= hi))
        return cut_fail(err, CUT_EFILE, "%s: metadata \"%s\": %g is not in %g to %g", file_name(m), full, v, lo, hi);
    *out = (float)v;
    return CUT_OK;
}

enum cut_status cut_model_weight(struct cut_model *m, const struct cut_tensor_info **out, int il, const char *name, int64_t ne0,
                                 int64_t ne1, bool optional, struct cut_err *err) {
    char full[96];
    if (il < 0) snprintf(full, sizeof full, "%s", name);
    else snprintf(full, sizeof full, "blk.%d.%s", il, name);
    const struct cut_tensor_info *t = cut_gguf_find_tensor(m->gguf, full);
    if (!t) {
        *out = NULL;
        return optional ? CUT_OK : cut_fail(err, CUT_EFILE, "%s: tensor \"%s\" is missing", file_name(m), full);
    }
    int64_t rows = ne1 ? ne1 : 1;
    if ((int64_t)t->ne[0] != ne0 || (int64_t)t->ne[1] != rows || t->ne[2] != 1 || t->ne[3] != 1)
        return cut_fail(err, CUT_EFILE, "%s: tensor \"%s\": shape %llu x %llu x %llu x %llu, the metadata asks for %lld x %lld",
                        file_name(m), full, (unsigned long long)t->ne[0], (unsigned long long)t->ne[1],
                        (unsigned long long)t->ne[2], (unsigned long long)t->ne[3], (long long)ne0, (long long)rows);
    const struct cut_type_info *type = cut_type_info(t->type);
    if (!type->runs)
        return cut_fail(err, CUT_EFILE, "%s: tensor \"%s\": format %s cannot be run yet (it can be inspected)", file_name(m), full,
                        type->name);
    if (!ne1 && t->type != CUT_F32)
        return cut_fail(err, CUT_EFILE, "%s: tensor \"%s\": a vector must be f32, not %s", file_name(m), full, type->name);
    m->n_claimed++;
    m->config.n_params += (uint64_t)ne0 * (uint64_t)rows;
    m->config.weight_bytes += t->bytes;
    *out = t;
    return CUT_OK;
}

static enum cut_status find_arch(struct cut_model *m, struct cut_err *err) {
    const struct cut_kv *kv = cut_gguf_find(m->gguf, "general.architecture");
    const char *s;
    size_t len;
    if (!kv || kv->type != CUT_KV_STRING || !cut_kv_str(kv, 0, &s, &len))
        return cut_fail(err, CUT_EFILE, "%s: metadata \"general.architecture\" is missing or no string", file_name(m));
    for (size_t i = 0; i < CUT_LEN(archs); i++)
        if (strlen(archs[i]->name) == len && !memcmp(archs[i]->name, s, len)) {
            m->arch = archs[i];
            memcpy(m->config.arch, s, len);
            return CUT_OK;
        }
    return cut_fail(err, CUT_EFILE, "%s: architecture \"%.*s\" cannot be run yet (it can be inspected); llama can", file_name(m),
                    (int)(len < 40 ? len : 40), s);
}

/* A tensor without a role would silently change the result if it were ignored. */
static enum cut_status all_claimed(const struct cut_model *m, struct cut_err *err) {
    const struct cut_gguf_head *h = cut_gguf_head(m->gguf);
    if (m->n_claimed == h->n_tensors) return CUT_OK;
    static const char *const known[] = { "token_embd.weight", "output_norm.weight", "output.weight", "rope_freqs.weight",
                                         "blk.*.attn_norm.weight", "blk.*.attn_q.weight", "blk.*.attn_k.weight",
                                         "blk.*.attn_v.weight", "blk.*.attn_output.weight", "blk.*.ffn_norm.weight",
                                         "blk.*.ffn_gate.weight", "blk.*.ffn_up.weight", "blk.*.ffn_down.weight" };
    for (uint64_t i = 0; i < h->n_tensors; i++) {
        const char *name = cut_gguf_tensor(m->gguf, i)->name;
        bool found = false;
        for (size_t k = 0; k < CUT_LEN(known) && !found; k++) found = cut_glob(known[k], name);
        if (!found) return cut_fail(err, CUT_EFILE, "%s: tensor %llu \"%s\": a %s model of this engine has no place for it", h->name,
                                    (unsigned long long)i, name, m->config.arch);
    }
    return cut_fail(err, CUT_EFILE, "%s: %llu tensors, but %d layers use only %llu", h->name, (unsigned long long)h->n_tensors,
                    m->config.n_layer, (unsigned long long)m->n_claimed);
}

enum cut_status cut_model_open(struct cut_model **out, const char *path, unsigned flags, struct cut_err *err) {
    struct cut_model *m = cut_calloc(1, sizeof *m, "model", err);
    if (!m) return CUT_ENOMEM;
    enum cut_status status = cut_gguf_open(&m->gguf, path, flags & CUT_MODEL_NO_MMAP ? CUT_GGUF_NO_MMAP : 0, err);
    if (!status) status = cut_panels_new(&m->panels, cut_gguf_head(m->gguf)->n_tensors, err);
    if (!status) status = find_arch(m, err);
    if (!status) status = cut_vocab_new(&m->vocab, m->gguf, err);
    if (!status) status = m->arch->load(m, err);
    if (!status) status = all_claimed(m, err);
    if (status) {
        cut_model_close(m);
        return status;
    }
    *out = m;
    return CUT_OK;
}

void cut_model_close(struct cut_model *m) {
    if (!m) return;
    if (!m->base) cut_vocab_free(m->vocab);
    for (uint64_t i = 0; m->owned && i < cut_gguf_head(m->gguf)->n_tensors; i++) cut_free_aligned(m->owned[i]);
    free(m->owned);
    if (m->panels) cut_panels_free(m->panels, cut_gguf_head(m->gguf)->n_tensors);
    cut_gguf_close(m->gguf);
    cut_arena_done(&m->arena);
    free(m);
}

const struct cut_config *cut_model_config(const struct cut_model *m) { return &m->config; }
const struct cut_gguf *cut_model_gguf(const struct cut_model *m) { return m->gguf; }
const struct cut_vocab *cut_model_vocab(const struct cut_model *m) { return m->vocab; }

const char *cut_model_type_name(const struct cut_model *m) {
    uint64_t bytes[CUT_TYPE_COUNT] = { 0 };
    int most = 0;
    for (uint64_t i = 0; i < cut_gguf_head(m->gguf)->n_tensors; i++) {
        const struct cut_tensor_info *t = cut_gguf_tensor(m->gguf, i);
        bytes[t->type] += t->bytes;
        if (bytes[t->type] > bytes[most]) most = (int)t->type;
    }
    return cut_type_info((uint32_t)most)->name;
}
