/* ops_model.c - attention over a cache, products in every number format, and a whole model as a graph. */
#include "engine/graph/program.h"
#include "engine/model/model.h"
#include "engine/tools/ops.h"
#include "engine/tools/product.h"

/* ---- attention: one token's query against all keys and values before it */

enum { HEADS = 8, KV_HEADS = 2, DIM = 64 };

struct attention { const struct cut_kernels *kern; struct cut_attn a; const float *q; float *z, *p; void *scratch; };

/* Vaswani et al. 2017, equation 1, as it stands: scores, softmax, mix, with the scores written out in between. */
static void three_steps(void *arg) {
    const struct attention *t = arg;
    for (int h = 0; h < HEADS; h++) {
        t->kern->scores(&t->a, t->q + h * DIM, h, t->p);
        t->kern->softmax(t->p, t->p, t->a.n_vis);
        t->kern->mix(&t->a, t->p, h, t->z + h * DIM);
    }
}
/* Online softmax: heads that share keys and values go together, and each page is read once. */
static void one_pass(void *arg) {
    const struct attention *t = arg;
    t->kern->attn(&t->a, t->q, t->z, 0, 1, 0, KV_HEADS, t->scratch);
}

enum cut_status cut_ops_attention(struct cut_ops *x) {
    int n_vis = 2 * x->o->size, pages = (n_vis + CUT_KV_PAGE - 1) / CUT_KV_PAGE;
    size_t page = (size_t)KV_HEADS * CUT_KV_PAGE * DIM, all = page * (size_t)pages;
    float *k = cut_ops_floats(x, 2 * all), *q = cut_ops_floats(x, HEADS * DIM), *want = cut_ops_floats(x, HEADS * DIM);
    float *got = cut_ops_floats(x, HEADS * DIM), *p = cut_ops_floats(x, (size_t)n_vis);
    uint16_t *kv = cut_alloc_aligned(2 * all * sizeof *kv, "keys and values", x->err);
    int32_t *table = cut_calloc((size_t)pages, sizeof *table, "a page table", x->err);
    void *scratch = NULL;
    enum cut_status st = k && q && want && got && p && kv && table ? CUT_OK : CUT_ENOMEM;
    struct attention t = { .a = { .k = (const uint8_t *)kv, .v = (const uint8_t *)(kv + all), .page_bytes = page * sizeof *kv,
                                  .table = table,
                                  .type = CUT_F16, .n_head = HEADS, .n_head_kv = KV_HEADS, .head_dim = DIM, .n_vis = n_vis, .scale = 0.125f },
                           .q = q, .p = p };
    if (!st) {
        x->fast.to_f16(kv, k, (int)(2 * all));
        for (int i = 0; i < pages; i++) table[i] = i;
        size_t need = x->fast.attn_scratch(&t.a), plain = x->ref.attn_scratch(&t.a);
        scratch = cut_alloc_aligned(need > plain ? need : plain, "scratch memory", x->err);
        if (!scratch) st = CUT_ENOMEM;
    }
    t.scratch = scratch;
    struct cut_ops_case how = { .flops = 4.0 * HEADS * DIM * n_vis, .bytes = 2.0 * 2 * KV_HEADS * DIM * n_vis,
                                .note = "scores, softmax, mix for each head" };
    t.kern = &x->ref, t.z = want;
    if (!st) st = cut_ops_time(x, three_steps, &t, &how, "three steps, plain C, %d keys", n_vis);
    how.got = got, how.want = want, how.n = HEADS * DIM;
    t.z = got;
    how.note = "the scores are never written out";
    if (!st) st = cut_ops_time(x, one_pass, &t, &how, "one pass, plain C");
    t.kern = &x->fast;
    how.note = "4 heads read the same keys 4 times";
    if (!st) st = cut_ops_time(x, three_steps, &t, &how, "three steps, kernels (%s)", cut_tier_name(x->fast.tier));
    how.note = "and here once";
    if (!st) st = cut_ops_time(x, one_pass, &t, &how, "one pass, kernel (%s)", cut_tier_name(x->fast.tier));
    free(table);
    cut_free_aligned(scratch);
    cut_free_aligned(kv);
    cut_free_aligned(p);
    cut_free_aligned(got);
    cut_free_aligned(want);
    cut_free_aligned(q);
    cut_free_aligned(k);
    return st;
}

/* ---- number formats: what a product with one token reads, and what it costs when many tokens share the reading */

enum { COLS = 1024, MANY = 32 };

static void multiply(void *arg) {
    const struct cut_product *p = arg;
    p->fn(&p->mm, 0, p->rows);
}

static enum cut_status one_type(struct cut_ops *x, enum cut_type type, const float *w, const float *act, float *y, const float *want, int rows) {
    const struct cut_type_info *info = cut_type_info(type);
    struct cut_product p;
    enum cut_status st = cut_product_init(&p, &x->fast, type, CUT_REPACK_AUTO, w, rows, COLS, act, MANY, y, x->err);
    if (st) return st == CUT_EUSAGE ? CUT_OK : st;
    char bits[64], kernel[64];
    snprintf(bits, sizeof bits, "%.4g bits per weight", 8.0 * info->bytes / info->block);
    snprintf(kernel, sizeof kernel, "%s%s", p.name ? p.name : cut_tier_name(x->fast.tier), p.panels ? ", panels" : "");
    struct cut_ops_case how = { .flops = 2.0 * rows * COLS, .bytes = (double)rows * COLS / info->block * info->bytes, .got = y, .want = want,
                                .n = (size_t)rows, .note = bits };
    p.mm.t = 1;
    st = cut_ops_time(x, multiply, &p, &how, "%s, 1 token", info->name);
    p.mm.t = MANY;
    how.flops *= MANY;
    how.n *= MANY;
    how.note = kernel;
    if (!st) st = cut_ops_time(x, multiply, &p, &how, "%s, %d tokens", info->name, (int)MANY);
    cut_product_done(&p);
    return st;
}

enum cut_status cut_ops_types(struct cut_ops *x) {
    int rows = 2 * x->o->size;
    size_t n = (size_t)rows * COLS;
    float *w = cut_ops_floats(x, n), *act = cut_ops_floats(x, MANY * COLS);
    float *y = cut_ops_floats(x, (size_t)rows * MANY), *want = cut_ops_floats(x, (size_t)rows * MANY);
    struct cut_product plain = { .rows = 0 };
    enum cut_status st = w && act && y && want ? CUT_OK : CUT_ENOMEM;
    if (!st) st = cut_product_init(&plain, &x->ref, CUT_F32, CUT_REPACK_NEVER, w, rows, COLS, act, MANY, want, x->err);
    if (!st) multiply(&plain);
    for (int type = 0; !st && type < CUT_TYPE_COUNT; type++)
        if (cut_encodes((enum cut_type)type) && cut_type_info((uint32_t)type)->runs)
            st = one_type(x, (enum cut_type)type, w, act, y, want, rows);
    cut_product_done(&plain);
    cut_free_aligned(want);
    cut_free_aligned(y);
    cut_free_aligned(act);
    cut_free_aligned(w);
    return st;
}

/* ---- a model as a graph */

struct token { struct cut_session *s; enum cut_status st; struct cut_err *err; int32_t id; };

static void one_token(void *arg) {
    struct token *t = arg;
    enum cut_stop why;
    if (!t->st) t->st = cut_session_truncate(t->s, 0, 0, t->err);
    if (!t->st) t->st = cut_session_feed(t->s, 0, &t->id, 1, 0, t->err);
    if (!t->st) t->st = cut_session_run(t->s, &why, t->err);
}

static enum cut_status time_token(struct cut_ops *x, bool keep, int steps) {
    struct token t = { .err = x->err, .id = 1 };
    enum cut_status st = cut_session_new(&t.s, x->o->model, &(struct cut_session_opts){ .keep = keep, .tier = x->o->tier,
                                                                                        .pool = x->o->pool }, x->err);
    if (st) return st;
    double flops = 0, bytes = 0;
    one_token(&t);
    for (int i = 0; !t.st && i < cut_session_n_steps(t.s); i++) {
        uint64_t b, f;
        cut_session_cost(t.s, i, &b, &f);
        flops += (double)f;
        bytes += (double)b;
    }
    struct cut_ops_case how = { .flops = flops, .bytes = bytes, .note = "one token, behind no other" };
    if (!t.st) st = cut_ops_time(x, one_token, &t, &how, keep ? "node by node: %d steps" : "fused: %d steps", steps);
    cut_session_free(t.s);
    return t.st ? t.st : st;
}

enum cut_status cut_ops_graph(struct cut_ops *x) {
    const struct cut_model *m = x->o->model;
    struct cut_arena arena = { 0 };
    struct cut_graph written = { .arena = &arena }, lowered = { .arena = &arena };
    struct cut_program fused = { 0 };
    int of_op[CUT_OP_COUNT] = { 0 };
    if (!m) return cut_fail(x->err, CUT_EUSAGE, "the graph needs a model");
    m->arch->build(&written, m);
    enum cut_status st = written.failed ? cut_fail(x->err, CUT_ENOMEM, "out of memory for the graph") : CUT_OK;
    if (!st) st = cut_graph_lower(&lowered, &written, &x->fast, false, &arena, x->err);
    if (!st) st = cut_program_init(&fused, &lowered, false, x->err);
    if (!st) st = cut_ops_count(x, written.n, "in the order of the mathematics", "nodes that the architecture builds");
    for (int i = 0; !st && i < written.n; i++) of_op[written.node[i].op]++;
    for (int op = 0; !st && op < CUT_OP_COUNT; op++)
        if (of_op[op]) st = cut_ops_count(x, of_op[op], "", "  %s", cut_op_name((enum cut_op)op));
    if (!st) st = cut_ops_count(x, lowered.n - written.n, "activations, for products with quantized weights",
                                "nodes added to round");
    if (!st) st = cut_ops_count(x, fused.n_steps, "with a barrier after each", "steps after fusion");
    if (!st) st = time_token(x, true, lowered.n);
    if (!st) st = time_token(x, false, fused.n_steps);
    cut_program_done(&fused);
    free(written.node);
    free(lowered.node);
    cut_arena_done(&arena);
    return st;
}
