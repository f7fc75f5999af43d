/* product.c - weights of a format and activations as it wants them, for a product outside a session. */
#include "engine/tools/product.h"

#include "engine/kernels/panel.h"

/* As pass.c: 8 bits, or bfloat16, or floats. */
static void choose(struct cut_product *p, const struct cut_kernels *k, enum cut_type type) {
    bool q8 = k->mm_q8[type], bf16 = type == CUT_BF16;
    p->fn = q8 ? k->mm_q8[type] : bf16 ? k->mm_bf16 : k->mm_f32[type];
    p->name = q8 ? k->mm_q8_name[type] : bf16 ? k->mm_bf16_name : k->mm_f32_name[type];
    p->mm.x_stride = q8 ? cut_q8_bytes(p->mm.k) : cut_round_up((size_t)p->mm.k * sizeof(float), CUT_ALIGN);
}

static void round_token(const struct cut_kernels *k, enum cut_type type, void *to, const float *x, int n) {
    if (k->mm_q8[type]) k->quantize_q8(to, x, n, cut_q8_block(type));
    else if (type == CUT_BF16) k->round_bf16(to, x, n);
    else memcpy(to, x, (size_t)n * sizeof *x);
}

static void repack(struct cut_product *p, const struct cut_kernels *k, enum cut_type type) {
    size_t bytes = cut_panel_bytes(type, (uint64_t)p->mm.k);
    for (int r = 0; r < p->rows; r += CUT_PANEL)
        k->pack[type]((const char *)p->weights + (size_t)r * p->mm.w_stride, p->mm.w_stride, cut_min(CUT_PANEL, p->rows - r), p->mm.k,
                      (char *)p->repacked + (size_t)(r / CUT_PANEL) * bytes);
    p->fn = k->mm_panel[type];
    p->mm.w = p->repacked;
    p->mm.w_stride = bytes;
}

enum cut_status cut_product_init(struct cut_product *p, const struct cut_kernels *kern, enum cut_type type, enum cut_repack wanted, const float *w,
                                 int rows, int columns, const float *x, int tokens, float *y, struct cut_err *err) {
    const struct cut_type_info *info = cut_type_info(type);
    *p = (struct cut_product){ .rows = rows };
    p->mm = (struct cut_mm){ .type = type, .k = columns, .t = tokens, .y = y, .y_stride = (size_t)rows };
    choose(p, kern, type);
    if (!p->fn || columns % info->block) return cut_fail(err, CUT_EUSAGE, "%s by kernels of %s: there is no such product", info->name,
                                                         cut_tier_name(kern->tier));
    p->panels = kern->mm_panel[type] && cut_panel_bytes(type, (uint64_t)columns) && cut_panel_wanted(wanted, type);
    p->mm.w_stride = (size_t)(columns / info->block * info->bytes);
    p->weights = cut_alloc_aligned((size_t)rows * p->mm.w_stride, "encoded weights", err);
    p->tokens = cut_alloc_aligned((size_t)tokens * p->mm.x_stride, "rounded activations", err);
    p->scratch = cut_alloc_aligned(kern->mm_scratch(columns), "scratch memory", err);
    if (p->panels) p->repacked = cut_alloc_aligned((size_t)(rows + CUT_PANEL - 1) / CUT_PANEL * cut_panel_bytes(type, (uint64_t)columns),
                                                   "repacked weights", err);
    if (!p->weights || !p->tokens || !p->scratch || (p->panels && !p->repacked)) {
        cut_product_done(p);
        return CUT_ENOMEM;
    }
    cut_encode(type, w, p->weights, (size_t)rows * (size_t)columns);
    for (int t = 0; t < tokens; t++)
        round_token(kern, type, (char *)p->tokens + (size_t)t * p->mm.x_stride, x + (size_t)t * (size_t)columns, columns);
    p->mm.w = p->weights;
    p->mm.x = p->tokens;
    p->mm.scratch = p->scratch;
    if (p->panels) repack(p, kern, type);
    return CUT_OK;
}

void cut_product_done(struct cut_product *p) {
    cut_free_aligned(p->weights);
    cut_free_aligned(p->repacked);
    cut_free_aligned(p->tokens);
    cut_free_aligned(p->scratch);
    *p = (struct cut_product){ 0 };
}
