/* Which format each tensor gets: against what llama.cpp's quantizer gave, on many shapes, and on the golden files. */
#include "tests/gguf/bytes.h"

static const enum cut_type q8 = CUT_Q8_0, q4k = CUT_Q4_K;

/* ---- models as headers: no weights are needed to plan */

struct shape { char name[32], arch[32]; int dim, ffn, layers, heads, kv, experts, tied; };

static uint32_t tensors;
static uint64_t offset;
static struct bytes table;

static void tensor(int layer, const char *name, uint64_t a, uint64_t b, uint64_t c) {
    char full[96];
    if (layer < 0) snprintf(full, sizeof full, "%s", name);
    else snprintf(full, sizeof full, "blk.%d.%s", layer, name);
    put_tensor(&table, full, c ? 3 : b ? 2 : 1, (uint64_t[]){ a, b, c }, CUT_F32, offset);
    offset += (4 * a * (b ? b : 1) * (c ? c : 1) + 31) / 32 * 32;
    tensors++;
}

static void block(const struct shape *s, int i) {
    uint64_t dim = (uint64_t)s->dim, ffn = (uint64_t)s->ffn, kv = (uint64_t)(s->kv * (s->dim / s->heads)), n = (uint64_t)s->experts;
    bool one = !strcmp(s->arch, "falcon") || !strcmp(s->arch, "gpt2");
    tensor(i, "attn_norm.weight", dim, 0, 0);
    if (one) {
        tensor(i, "attn_qkv.weight", dim, dim + 2 * kv, 0);
    } else {
        tensor(i, "attn_q.weight", dim, dim, 0);
        tensor(i, "attn_k.weight", dim, kv, 0);
        tensor(i, "attn_v.weight", dim, kv, 0);
    }
    if (!strcmp(s->arch, "qwen2")) tensor(i, "attn_v.bias", kv, 0, 0);
    tensor(i, "attn_output.weight", dim, dim, 0);
    tensor(i, "ffn_norm.weight", dim, 0, 0);
    if (n) {
        tensor(i, "ffn_gate_inp.weight", dim, n, 0);
        tensor(i, "ffn_gate_exps.weight", dim, ffn, n);
        tensor(i, "ffn_up_exps.weight", dim, ffn, n);
        tensor(i, "ffn_down_exps.weight", ffn, dim, n);
    }
    if (!strcmp(s->arch, "qwen2moe")) {
        tensor(i, "ffn_gate_inp_shexp.weight", dim, 0, 0);
        tensor(i, "ffn_gate_shexp.weight", dim, ffn, 0);
        tensor(i, "ffn_up_shexp.weight", dim, ffn, 0);
        tensor(i, "ffn_down_shexp.weight", ffn, dim, 0);
    }
    if (n) return;
    if (!one) tensor(i, "ffn_gate.weight", dim, ffn, 0);
    tensor(i, "ffn_up.weight", dim, ffn, 0);
    tensor(i, "ffn_down.weight", ffn, dim, 0);
}

static struct cut_gguf *header(const struct shape *s, struct bytes *b) {
    struct cut_gguf *g = NULL;
    struct cut_err err;
    char key[64];
    tensors = 0, offset = 0;
    table = (struct bytes){ 0 };
    /* Not in the order of layers, which must not matter. */
    for (int i = s->layers - 1; i >= 0; i--) block(s, i);
    tensor(-1, "token_embd.weight", (uint64_t)s->dim, 64, 0);
    if (!s->tied) tensor(-1, "output.weight", (uint64_t)s->dim, 64, 0);
    tensor(-1, "output_norm.weight", (uint64_t)s->dim, 0, 0);
    if (!strcmp(s->arch, "gpt2")) tensor(-1, "position_embd.weight", (uint64_t)s->dim, 64, 0);
    const struct { const char *key; int v; } kv[] = {
        { "block_count", s->layers }, { "attention.head_count", s->heads }, { "attention.head_count_kv", s->kv },
        { "expert_count", s->experts },
    };
    put_head(b, 3, tensors, 5);
    put_key(b, "general.architecture", CUT_KV_STRING);
    put_str(b, s->arch);
    for (int i = 0; i < 4; i++) {
        snprintf(key, sizeof key, "%s.%s", s->arch, kv[i].key);
        put_key(b, key, CUT_KV_U32);
        put_u32(b, (uint32_t)kv[i].v);
    }
    put(b, table.data, table.n);
    free(table.data);
    if (cut_gguf_parse(&g, s->name, b->data, b->n, CUT_GGUF_HEADER_ONLY, &err)) test_fail(__FILE__, __LINE__, "%s", err.msg);
    return g;
}

static const struct cut_plan_tensor *planned(const struct cut_plan *p, const char *name) {
    for (uint64_t i = 0; i < p->n; i++)
        if (!strcmp(p->tensor[i].from->name, name)) return &p->tensor[i];
    return NULL;
}

/* ---- the recorded table */

static int type_named(const char *name, size_t len) {
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)len, name);
    return cut_type_by_name(text);
}

/* "q6_K*2,q4_K" against the tensors of one kind. Marks what it has looked at. */
static int compare_kind(const char *line, const struct cut_plan *p, const char *kind, const char *want, bool *seen) {
    int layer = strcmp(kind, "token_embd") && strcmp(kind, "output") ? 0 : -1, bad = 0;
    while (*want && *want != ' ') {
        size_t len = strcspn(want, "*, ");
        int type = type_named(want, len), n = want[len] == '*' ? atoi(want + len + 1) : 1;
        for (int i = 0; i < n; i++, layer++) {
            char name[96];
            if (layer < 0) snprintf(name, sizeof name, "%s.weight", kind);
            else snprintf(name, sizeof name, "blk.%d.%s.weight", layer, kind);
            const struct cut_plan_tensor *t = planned(p, name);
            if (!t || (int)t->type != type) {
                if (!bad++) test_fail(__FILE__, __LINE__, "%s: %s: %s, not %s", line, name, t ? cut_type_info(t->type)->name : "no such tensor",
                                      cut_type_info((uint32_t)type)->name);
            } else {
                seen[t - p->tensor] = true;
            }
        }
        want += strcspn(want, ", ");
        want += *want == ',';
    }
    return bad;
}

static int compare(const struct cut_gguf *g, const char *line, bool imatrix) {
    struct cut_err err;
    const char *p = strchr(line, ' ') + 1;
    struct cut_quantize_opts o = { .file_type = cut_file_type_by_id((uint32_t)atoi(p + (*p == '+'))) };
    struct cut_plan plan;
    int bad = 0;
    /* A plan only asks whether there is one. */
    if (imatrix) o.imatrix = (const struct cut_imatrix *)&o;
    if (!o.file_type || cut_quantize_plan(&plan, g, &o, &err)) {
        test_fail(__FILE__, __LINE__, "%s: %s", line, o.file_type ? err.msg : "no such file type");
        return 1;
    }
    bool *seen = calloc(plan.n, 1);
    for (p = strchr(p, ' '); p; p = strchr(p, ' ')) {
        char kind[64];
        size_t len = strcspn(++p, "=");
        snprintf(kind, sizeof kind, "%.*s", (int)len, p);
        p += len + 1;
        bad += compare_kind(line, &plan, kind, p, seen);
    }
    for (uint64_t i = 0; i < plan.n && !bad; i++) {
        const struct cut_plan_tensor *t = &plan.tensor[i];
        enum cut_type want = t->kept ? t->from->type : o.file_type->type;
        if (!seen[i] && t->type != want) {
            test_fail(__FILE__, __LINE__, "%s%s: %s: %s, not %s (%s)", line, imatrix ? " (+)" : "", t->from->name, cut_type_info(t->type)->name,
                      cut_type_info(want)->name, t->why);
            bad++;
        }
    }
    free(seen);
    cut_plan_done(&plan);
    return bad;
}

TEST(mix_assigns_as_llama_cpp_does) {
    SKIP_EMULATED();
    size_t size;
    char *text = test_read("tests/fixtures/quant/mixes.txt", &size);
    struct shape shape[32];
    struct cut_gguf *g[32];
    struct bytes bytes[32] = { 0 };
    int n = 0, lines = 0, bad = 0, of_type[64] = { 0 };
    REQUIRE(text != NULL);
    text = realloc(text, size + 1);
    text[size] = 0;
    char *end, *next;
    for (char *line = text; (end = strchr(line, '\n')); line = next) {
        *end = 0;
        next = end + 1;
        struct shape *s = &shape[n];
        if (line[0] == '#') continue;
        if (!strncmp(line, "shape ", 6)) {
            REQUIRE(n < 32 && sscanf(line, "shape %31s %31s %d %d %d %d %d %d %d", s->name, s->arch, &s->dim, &s->ffn, &s->layers, &s->heads,
                                     &s->kv, &s->experts, &s->tied) == 9);
            REQUIRE((g[n] = header(s, &bytes[n])) != NULL);
            n++;
            continue;
        }
        int i = 0;
        size_t len = strcspn(line, " ");
        while (i < n && (strlen(shape[i].name) != len || strncmp(shape[i].name, line, len))) i++;
        REQUIRE(i < n && line[len] == ' ');
        const char *type = line + len + 1;
        bool with = *type == '+';
        lines++;
        of_type[atoi(type + with)]++;
        bad += compare(g[i], line, with);
        /* Unless the next line says so, an importance matrix changes nothing. */
        char same[64];
        snprintf(same, sizeof same, "\n%.*s +%d", (int)len, line, atoi(type + with));
        *end = '\n';
        const char *other = with ? NULL : strstr(end, same);
        *end = 0;
        if (!with && !(other && strchr(" \n", other[strlen(same)]))) bad += compare(g[i], line, true);
        if (bad > 20) break;
    }
    CHECK(n == 17 && lines > 500 && !bad, "%d shapes, %d lines, %d wrong", n, lines, bad);
    int n_types;
    const struct cut_file_type *types = cut_file_types(&n_types);
    for (int i = 0; i < n_types; i++)
        CHECK(of_type[types[i].id] || types[i].type == CUT_NVFP4, "%s is in no line", types[i].name);
    for (int i = 0; i < n; i++) {
        cut_gguf_close(g[i]);
        free(bytes[i].data);
    }
    free(text);
}

TEST(mix_golden_files) {
    struct cut_gguf *from, *to;
    struct cut_err err;
    int n, seen = 0;
    const char *path = test_shared("golden/models/llama-f16.gguf");
    if (!path) SKIP("no golden models");
    REQUIRE(!cut_gguf_open(&from, path, 0, &err), "%s", err.msg);
    const struct cut_file_type *types = cut_file_types(&n);
    for (int i = 0; i < n; i++) {
        char name[96];
        snprintf(name, sizeof name, "golden/models/llama-%s.gguf", types[i].name);
        for (char *p = name; *p; p++) *p = (char)(*p == 'K' ? 'k' : *p == 'M' ? 'm' : *p == 'S' ? 's' : *p);
        if (!test_shared(name)) continue;
        REQUIRE(!cut_gguf_open(&to, test_shared(name), 0, &err), "%s", err.msg);
        struct cut_quantize_opts o = { .file_type = &types[i] };
        struct cut_plan p;
        REQUIRE(!cut_quantize_plan(&p, from, &o, &err), "%s", err.msg);
        for (uint64_t k = 0; k < p.n; k++) {
            const struct cut_tensor_info *t = cut_gguf_find_tensor(to, p.tensor[k].from->name);
            CHECK(t && t->type == p.tensor[k].type && t->bytes == p.tensor[k].bytes, "%s: %s", name, p.tensor[k].from->name);
        }
        uint64_t id = 0;
        cut_kv_u64(cut_gguf_find(to, "general.file_type"), 0, &id);
        CHECK(id == types[i].id, "%s", name);
        seen++;
        cut_plan_done(&p);
        cut_gguf_close(to);
    }
    CHECK(seen >= 14, "%d", seen);
    cut_gguf_close(from);
}

/* ---- what one asks for oneself */

TEST(mix_options) {
    struct shape s = { "opts", "llama", 576, 1536, 4, 9, 3, 0, 0 };
    struct bytes b = { 0 };
    struct cut_gguf *g = header(&s, &b);
    struct cut_err err;
    struct cut_plan p;
    static const struct cut_type_rule rules[] = {
        { "blk.1.*", CUT_Q8_0 }, { "*.attn_v", CUT_Q5_0 }, { "blk.*.ffn_down.weight", CUT_Q6_K }, { "*norm*", CUT_Q8_0 },
    };
    struct cut_quantize_opts o = { .file_type = cut_file_type_by_name("Q4_k"), .rules = rules, .n_rules = 4,
                                   .output_type = &q8, .token_embedding_type = &q4k };
    REQUIRE(g && o.file_type && !strcmp(o.file_type->name, "q4_K_M"));
    REQUIRE(!cut_quantize_plan(&p, g, &o, &err), "%s", err.msg);
    static const struct { const char *name; enum cut_type type; const char *why; } want[] = {
        { "token_embd.weight", CUT_Q5_0, "rows of 576 are no multiple of 256: q4_K falls back to q5_0" },
        { "output.weight", CUT_Q8_0, "as asked for the output" },
        { "blk.0.attn_v.weight", CUT_Q5_0, "*.attn_v" },
        { "blk.1.attn_v.weight", CUT_Q8_0, "blk.1.*" },
        { "blk.0.ffn_down.weight", CUT_Q6_K, "blk.*.ffn_down.weight" },
        { "blk.0.attn_norm.weight", CUT_F32, "a vector: kept" },
        { "blk.0.attn_q.weight", CUT_Q5_0, "rows of 576 are no multiple of 256: q4_K falls back to q5_0" },
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const struct cut_plan_tensor *t = planned(&p, want[i].name);
        CHECK(t && t->type == want[i].type && !strcmp(t->why, want[i].why), "%s: %s, %s", want[i].name, t ? cut_type_info(t->type)->name : "",
              t ? t->why : "");
    }
    /* embeddings, and q, k, output, gate, up of three layers; the fourth has rules */
    CHECK(p.n_fallback == 1 + 3 * 5, "%d", (int)p.n_fallback);
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < p.n; i++) bytes += p.tensor[i].bytes;
    CHECK(p.bytes == bytes && p.from_bytes == 4 * p.weights && !p.needs_imatrix);
    CHECK(p.idle_rule && !strcmp(p.idle_rule, "*norm*") && !p.n_again, "norms are kept, so a rule for them decides nothing");
    cut_plan_done(&p);

    o = (struct cut_quantize_opts){ .file_type = cut_file_type_by_name("q4_k_m"), .pure = true };
    REQUIRE(!cut_quantize_plan(&p, g, &o, &err), "%s", err.msg);
    CHECK(planned(&p, "output.weight")->type == CUT_Q5_0 && planned(&p, "blk.0.ffn_down.weight")->type == CUT_Q4_K);
    cut_plan_done(&p);
    o = (struct cut_quantize_opts){ .file_type = cut_file_type_by_name("iq2_xs") };
    REQUIRE(!cut_quantize_plan(&p, g, &o, &err), "%s", err.msg);
    CHECK(p.needs_imatrix && !strcmp(p.needs_imatrix, "blk.3.ffn_down.weight"), "%s", p.needs_imatrix ? p.needs_imatrix : "none");
    cut_plan_done(&p);
    o = (struct cut_quantize_opts){ 0 };
    CHECK(cut_quantize_plan(&p, g, &o, &err) == CUT_EUSAGE && strstr(err.msg, "no file type"));
    CHECK(!cut_file_type_by_name("q4_k_x") && !cut_file_type_by_id(4) && !cut_file_type_by_id(UINT32_MAX));
    cut_gguf_close(g);
    free(b.data);
}
