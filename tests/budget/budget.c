/* budget.c - each hot kernel once, in a fixed shape, for callgrind to count its instructions.
 *
 *   budget --build     what this program was compiled with, and the C library it runs with (expf is the library's)
 *   budget             a line for each measurement, in the order made: "KERNEL TIER NUMBER UNIT", where NUMBER is how many UNITs of
 *                      work (weights, elements) it did
 *
 * callgrind collects inside measured() only (--toggle-collect=measured) and writes a part each time that returns
 * (--dump-after=measured), so the n-th part belongs to the n-th line; budget.sh divides one by the other. It also sets LD_BIND_NOW: looking
 * up expf when it is first called takes more instructions than some kernels do.
 *
 * The processor of valgrind has AVX2 and no AVX-512.
 */
#include <gnu/libc-version.h>

#include "engine/kernels/kern.h"
#include "engine/kernels/panel.h"

enum what { MM_Q8, MM_PANEL, MM_F32, RMS_NORM, QUANTIZE_Q8, SILU_MUL, ROPE, SOFTMAX, ATTN, ATTN_TOKENS };

/* Shapes: large enough for starts and ends to weigh little, small enough for 60 of them to take seconds at a fiftieth of the speed. */
enum { K = 2048, ROWS = 128, TOKENS = 64, N_HEAD = 32, N_HEAD_KV = 4, HEAD_DIM = 64, CELLS = 256 };
enum { PAGES = CELLS / CUT_KV_PAGE };

static struct cut_kernels kernels;
static void *weights, *panels, *tokens_q8, *scratch;
static float *tokens, *other, *out;
static struct cut_attn cache, earlier;     /* as the last token sees it, and the first of several */

static void product(cut_mm_fn fn, enum cut_type type, const void *x, size_t x_stride, int t, int rows) {
    const struct cut_type_info *info = cut_type_info(type);
    struct cut_mm m = { .type = type, .w = weights, .w_stride = (size_t)(K / info->block * info->bytes), .k = K, .x = x, .x_stride = x_stride,
                        .t = t, .y = out, .y_stride = ROWS, .scratch = scratch };
    if (fn == kernels.mm_panel[type]) m.w = panels, m.w_stride = cut_panel_bytes(type, K);
    fn(&m, 0, rows);
}

/* n: rows of a product, repetitions of anything else. */
static void measured(enum what what, enum cut_type type, int t, int n) {
    if (what == MM_Q8) product(kernels.mm_q8[type], type, tokens_q8, cut_q8_bytes(K), t, n);
    else if (what == MM_PANEL) product(kernels.mm_panel[type], type, tokens_q8, cut_q8_bytes(K), t, n);
    else if (what == MM_F32) product(kernels.mm_f32[type], type, tokens, K * sizeof(float), t, n);
    else
        for (int i = 0; i < n; i++) switch (what) {
            case RMS_NORM:    kernels.rms_norm(out, tokens, other, K, 1e-5f); break;
            case QUANTIZE_Q8: kernels.quantize_q8(scratch, tokens, K, 32); break;
            case SILU_MUL:    kernels.silu_mul(out, tokens, other, K); break;
            case ROPE:        kernels.rope(out, tokens, other, N_HEAD, HEAD_DIM, HEAD_DIM); break;
            case SOFTMAX:     kernels.softmax(out, tokens, K); break;
            case ATTN:        kernels.attn(&cache, tokens, out, 0, 1, 0, N_HEAD_KV, scratch); break;
            default:          kernels.attn(&earlier, tokens, out, N_HEAD * HEAD_DIM, CUT_ATTN_TOKENS, 0, N_HEAD_KV, scratch);
            }
}

/* Through a pointer that could change: so that it remains a function of this name, neither inlined nor specialized. */
static void (*volatile enter)(enum what, enum cut_type, int, int) = measured;

static const struct { enum what what; const char *name; int repeat, each; const char *unit; } vectors[] = {
    { RMS_NORM,    "rms_norm",    8, K, "element" },
    { QUANTIZE_Q8, "quantize_q8", 8, K, "element" },
    { SILU_MUL,    "silu_mul",    8, K, "element" },
    { ROPE,        "rope",        8, N_HEAD * HEAD_DIM, "element" },
    { SOFTMAX,     "softmax",     8, K, "element" },
    { ATTN,        "attn_f16",    1, N_HEAD * CELLS * HEAD_DIM, "multiply" },      /* multiplications by K; those by V are as many */
    { ATTN_TOKENS, "attn_f16_t8", 1, N_HEAD * HEAD_DIM * (2 * CELLS - CUT_ATTN_TOKENS + 1) * CUT_ATTN_TOKENS / 2, "multiply" },
};

static const enum cut_type q8_types[] = { CUT_Q4_0, CUT_Q8_0, CUT_Q2_K, CUT_Q4_K, CUT_Q5_K, CUT_Q6_K, CUT_IQ4_XS };
static const enum cut_type f32_types[] = { CUT_F32, CUT_F16, CUT_BF16 };

static void *buffer(size_t bytes) {
    void *p = NULL;
    if (posix_memalign(&p, CUT_ALIGN, bytes)) abort();
    memset(p, 0, bytes);
    return p;
}

static float *random_floats(size_t n, uint64_t *rng) {
    float *x = buffer(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = cut_rng_float(rng) * 2 - 1;
    return x;
}

/* One row, and copies of it: the same instructions, and encoding is slow. */
static void set_weights(enum cut_type type) {
    const struct cut_type_info *info = cut_type_info(type);
    size_t bytes = (size_t)(K / info->block * info->bytes);
    cut_encode(type, tokens, weights, K);
    for (int r = 1; r < ROWS; r++) memcpy((char *)weights + (size_t)r * bytes, weights, bytes);
}

/* Decode is t = 1, prefill t = TOKENS. The reference does for every row the same: fewer of them tell as much. */
static void products(enum what what, const char *name, const enum cut_type *types, size_t n, enum cut_tier tier) {
    int rows = tier == CUT_TIER_REF ? ROWS / 16 : ROWS;
    for (size_t i = 0; i < n; i++) {
        set_weights(types[i]);
        for (int r = 0; what == MM_PANEL && r < ROWS; r += CUT_PANEL) {
            size_t row = (size_t)(K / cut_type_info(types[i])->block * cut_type_info(types[i])->bytes);
            kernels.pack[types[i]]((char *)weights + (size_t)r * row, row, CUT_PANEL, K,
                                   (char *)panels + (size_t)(r / CUT_PANEL) * cut_panel_bytes(types[i], K));
        }
        for (int t = 1; t <= TOKENS; t += TOKENS - 1) {
            enter(what, types[i], t, rows);
            printf("%s_%s_t%d %s %d %s\n", name, cut_type_info(types[i])->name, t, cut_tier_name(tier), rows * K * t,
                   t == 1 ? "weight" : "multiply");
        }
    }
}

static void all_of(enum cut_tier tier) {
    cut_kernels_init(&kernels, tier);
    products(MM_Q8, "mm_q8", q8_types, CUT_LEN(q8_types), tier);
    if (kernels.mm_panel[CUT_Q4_0]) products(MM_PANEL, "mm_panel", q8_types, CUT_LEN(q8_types), tier);
    products(MM_F32, "mm_f32", f32_types, CUT_LEN(f32_types), tier);
    for (size_t i = 0; i < CUT_LEN(vectors); i++) {
        enter(vectors[i].what, CUT_F32, 1, vectors[i].repeat);
        printf("%s %s %d %s\n", vectors[i].name, cut_tier_name(tier), vectors[i].repeat * vectors[i].each, vectors[i].unit);
    }
}

static void make_inputs(void) {
    uint64_t rng = 1;
    static int32_t table[PAGES];
    size_t page = (size_t)N_HEAD_KV * CUT_KV_PAGE * HEAD_DIM, n_kv = page * PAGES;
    uint16_t *k = buffer(n_kv * 2), *v = buffer(n_kv * 2);
    for (size_t i = 0; i < n_kv; i++) {
        k[i] = cut_f32_to_f16(cut_rng_float(&rng) * 2 - 1);
        v[i] = cut_f32_to_f16(cut_rng_float(&rng) * 2 - 1);
    }
    for (int i = 0; i < PAGES; i++) table[i] = PAGES - 1 - i;
    cache = (struct cut_attn){ .k = (uint8_t *)k, .v = (uint8_t *)v, .page_bytes = page * 2, .table = table, .type = CUT_F16,
                               .n_head = N_HEAD, .n_head_kv = N_HEAD_KV, .head_dim = HEAD_DIM, .n_vis = CELLS, .scale = 0.125f };
    earlier = cache;
    earlier.n_vis -= CUT_ATTN_TOKENS - 1;
    tokens = random_floats((size_t)TOKENS * K, &rng);
    other = random_floats(K, &rng);
    out = buffer((size_t)(TOKENS * ROWS + CUT_ATTN_TOKENS * K) * sizeof *out);
    weights = buffer((size_t)ROWS * K * sizeof(float));
    panels = buffer((size_t)ROWS * K * sizeof(float));
    tokens_q8 = buffer(TOKENS * cut_q8_bytes(K));
    size_t need = (size_t)K * sizeof(float);
    for (enum cut_tier tier = CUT_TIER_REF; tier <= CUT_TIER_AVX2; tier++) {
        if (!cut_tier_available(tier)) continue;
        cut_kernels_init(&kernels, tier);
        size_t mm = kernels.mm_scratch(K), attn = kernels.attn_scratch(&cache);
        need = need > mm ? need : mm;
        need = need > attn ? need : attn;
    }
    scratch = buffer(need);
    for (int t = 0; t < TOKENS; t++) kernels.quantize_q8((char *)tokens_q8 + (size_t)t * cut_q8_bytes(K), tokens + (size_t)t * K, K, 256);
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "--build")) {
#ifdef __clang__
        printf("clang %s %s, glibc %s\n", __clang_version__, BUILD_FLAGS, gnu_get_libc_version());
#else
        printf("gcc %s %s, glibc %s\n", __VERSION__, BUILD_FLAGS, gnu_get_libc_version());
#endif
        return 0;
    }
    make_inputs();
    all_of(CUT_TIER_REF);
    if (cut_tier_available(CUT_TIER_AVX2)) all_of(CUT_TIER_AVX2);
    return 0;
}
