/* kern.h - one table of function pointers: all the arithmetic the engine does. Internal.
 *
 * ref.c fills every entry with plain C, written to be read, which defines the arithmetic. avx2.c, avx512.c and neon.c
 * overwrite the entries they improve; select.c chooses at run time. A tier must match ref's integer sums exactly and
 * its floats within the bound tests/kernels states. Within a tier, results never depend on how rows are divided into
 * ranges, on which thread makes the call, or (in ref, and in mm_f32 and mm_bf16 everywhere) on the number of tokens in a call.
 */
#ifndef CUT_KERN_H
#define CUT_KERN_H

#include "engine/base/base.h"

/* Activations rounded to 8 bits, as matrix products read them: blocks of 32 with one scale each, or, for weights in super-blocks of 256, of
 * 256 (as ggml's q8_0 and q8_K).
 *   d = max|x| / 127, q = round-half-away(x / d) in [-127, 127], s = the sum of 16 q: within 2032.
 * Every tier gives the same bits. A block with d below FLT_MIN counts as zero; one with an infinity or a NaN has d = NaN.
 * A row of n (a multiple of the block) is laid out in three parts: int8 q[n], float d[n/32] (equal throughout a block), int16 s[n/16].
 * The sums serve weights with an offset, one for every 32 or (q2_K) every 16: sum (d w + m) q = d sum w q + m s. They also let weights
 * be used unsigned: sum (w - z) q = sum w q - z s. */
static inline size_t cut_q8_bytes(int n) { return cut_round_up((size_t)n + (size_t)n / 32 * 8, CUT_ALIGN); }
static inline int8_t *cut_q8_q(void *row) { return row; }
static inline float *cut_q8_d(void *row, int n) { return (float *)((char *)row + n); }
static inline int16_t *cut_q8_s(void *row, int n) { return (int16_t *)((char *)row + n + n / 32 * 4); }

/* The block that products with weights of a format want. */
static inline int cut_q8_block(enum cut_type type) { return cut_type_info(type)->block == 256 ? 256 : 32; }

/* A matrix product: y[t][r] = sum_c w[r][c] x[t][c], for all tokens t and the rows the caller asks for. */
struct cut_mm {
    enum cut_type type;        /* of the weights: it must be the one the function was taken for */
    const void *w;             /* row 0 of the weights */
    size_t w_stride;           /* bytes from row to row */
    int k;                     /* columns */
    const void *x;             /* token 0: a q8 row (mm_q8), or k floats (mm_f32) */
    size_t x_stride;           /* bytes from token to token */
    int t;                     /* tokens */
    float *y;                  /* y[t * y_stride + r] */
    size_t y_stride;           /* floats from token to token */
    void *scratch;             /* CUT_ALIGNed, at least mm_scratch(k) bytes, this thread's own */
};
/* Rows [r0, r1). With many tokens, ranges of 128 rows and more serve best: preparing the tokens is shared by them. */
typedef void (*cut_mm_fn)(const struct cut_mm *m, int r0, int r1);

/* The KV cache of one layer, as one token of one sequence sees it. A page holds CUT_KV_PAGE cells; in it K is
 * [n_head_kv][head_dim][CUT_KV_PAGE] of `type` and V is [n_head_kv][CUT_KV_PAGE][head_dim]: neighbours in memory are what a
 * vector should hold side by side, cells for the scores and dimensions for the mix. Cell c of the sequence is cell c % CUT_KV_PAGE of
 * page table[c / CUT_KV_PAGE]. */
#ifndef CUT_KV_PAGE
#define CUT_KV_PAGE 32
#endif
struct cut_attn {
    const uint8_t *k, *v;      /* page 0 */
    size_t page_bytes;         /* from page to page, of K; the same for V */
    const int32_t *table;
    enum cut_type type;        /* CUT_F32 or CUT_F16 */
    int n_head, n_head_kv, head_dim;
    int n_vis;                 /* cells [0, n_vis) are visible, at least one; the others may hold anything */
    float scale;               /* 1 / sqrt(head_dim) */
};
enum { CUT_ATTN_TOKENS = 8 };

struct cut_kernels {
    enum cut_tier tier;

    /* Root mean square norm (Zhang and Sennrich 2019, eq. 4): y = x / sqrt(mean(x^2) + eps) * w. Returns the scale
     * 1 / sqrt(mean(x^2) + eps). y may be x. */
    float (*rms_norm)(float *y, const float *x, const float *w, int n, float eps);
    void (*quantize_q8)(void *row, const float *x, int n, int block);    /* n % block == 0; the row layout above */
    void (*add)(float *y, const float *a, const float *b, int n);
    /* y = silu(g) * u, silu(x) = x / (1 + exp(-x)) (Shazeer 2020, eq. 5: SwiGLU). y may be g. */
    void (*silu_mul)(float *y, const float *g, const float *u, int n);
    /* Rotate adjacent pairs of each head by the position's angles (Su et al. 2021, section 3.2.2). cs holds cos and sin
     * alternately, rope_dim floats; dimensions from rope_dim to head_dim are copied. y may be x. */
    void (*rope)(float *y, const float *x, const float *cs, int n_head, int head_dim, int rope_dim);
    void (*to_f16)(uint16_t *y, const float *x, int n);
    void (*round_bf16)(float *y, const float *x, int n);          /* to the nearest bfloat16, still as floats; y may be x */

    /* Matrix products. mm_q8[type]: quantized weights by q8 activations: integer sums per block of 32 (16 where the
     * weights have a scale per 16), float sums of the scaled blocks and of the offsets. NULL: the type has no such kernel (floats, or k
     * no multiple of 32). mm_f32[type]: decoded weights by floats. mm_bf16: bfloat16 weights by what round_bf16 made of floats; what
     * is promised of mm_f32 holds for it too. */
    cut_mm_fn mm_q8[CUT_TYPE_COUNT], mm_f32[CUT_TYPE_COUNT], mm_bf16;
    /* mm_panel[type]: as mm_q8, but w is a run of panels (panel.h), w_stride bytes each, and r0 a multiple of 16; a token's result does not
     * depend on the number of tokens. NULL: the tier has no such product. pack[type] makes a panel of `rows` <= 16 rows of k columns. */
    cut_mm_fn mm_panel[CUT_TYPE_COUNT];
    void (*pack[CUT_TYPE_COUNT])(const void *w, size_t stride, int rows, int k, void *panel);
    size_t (*mm_scratch)(int k);                           /* bytes; enough for every type and any number of tokens */
    const char *mm_q8_name[CUT_TYPE_COUNT], *mm_f32_name[CUT_TYPE_COUNT], *mm_bf16_name;     /* what runs: "avx512 vnni tile" */

    /* Attention. q and z: [n_head][head_dim] for a token.
     * attn: n_tokens tokens that follow each other in one sequence, so that token t sees a->n_vis + t cells; `stride` is from token
     * to token, in floats. The heads of KV groups [g0, g1), one pass over the pages with online softmax (Milakov and
     * Gimelshein 2018, algorithm 3; Dao et al. 2022), reading each K and V page once per group for CUT_ATTN_TOKENS tokens if their
     * heads are not too many. A token's result is the same in any call. */
    void (*attn)(const struct cut_attn *a, const float *q, float *z, size_t stride, int n_tokens, int g0, int g1, void *scratch);
    size_t (*attn_scratch)(const struct cut_attn *a);      /* bytes; depends neither on n_vis nor on n_tokens */
    /* The same in the textbook's three steps, for one head. */
    void (*scores)(const struct cut_attn *a, const float *q, int head, float *s);   /* s[n_vis] = q.k * scale */
    void (*softmax)(float *p, const float *s, int n);                               /* p may be s */
    void (*mix)(const struct cut_attn *a, const float *p, int head, float *z);      /* z[head_dim] = sum_j p[j] v[j] */
};

/* Where a reference kernel stands in ref.c, for the source pane: find "rms_norm", get file, line, function. */
const struct cut_src *cut_kernel_source(const char *function);

/* Fill the table for a tier (AUTO: the best this processor has). The tier must be available. */
void cut_kernels_init(struct cut_kernels *k, enum cut_tier tier);

/* One fill per file; each overwrites the entries it improves. avx512 starts from avx2's table. */
void cut_kernels_fill_ref(struct cut_kernels *k);
void cut_kernels_fill_avx2(struct cut_kernels *k);
void cut_kernels_fill_avx2_panel(struct cut_kernels *k);
void cut_kernels_fill_avx512(struct cut_kernels *k);
void cut_kernels_fill_avx512_vnni(struct cut_kernels *k);
void cut_kernels_fill_avx512_vnni_panel(struct cut_kernels *k);
void cut_kernels_fill_avx512_bf16(struct cut_kernels *k);
void cut_kernels_fill_neon(struct cut_kernels *k);

#endif
