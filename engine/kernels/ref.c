/* ref.c - the arithmetic of a transformer, in plain C.
 *
 * Nothing here is tuned: these functions say what is computed, and the workbench shows them beside the numbers. The
 * other tiers (avx2.c, avx512.c, neon.c) compute the same, many elements at a time, and are tested against this file.
 *
 * Order of sums. Floats are added one after the other, in the order of the index, each product and each sum rounded to
 * a float32 (the build forbids fusing the two). Addition of rounded numbers is not associative, so a tier that adds in
 * another order may differ in the last bits; integer sums are exact and may not differ at all. No function looks at
 * more than one token, so a token's result is the same whatever else is in its batch.
 *
 * Papers: Vaswani et al. 2017, "Attention is all you need". Zhang and Sennrich 2019, "Root mean square layer
 * normalization". Shazeer 2020, "GLU variants improve transformer". Su et al. 2021, "RoFormer". Ainslie et al. 2023,
 * "GQA". Milakov and Gimelshein 2018, "Online normalizer calculation for softmax". Dao et al. 2022, "FlashAttention".
 * Dettmers et al. 2022, "LLM.int8()", section 2.1, on rounding to 8 bits by the largest magnitude.
 */
#include <float.h>
#include <math.h>

#include "engine/kernels/kern.h"
#include "engine/quant/unpack.h"

/* Remembers the line of the function that follows, for the source pane; the table is at the foot. */
#define CUT_SOURCE(function) enum { line_of_##function = __LINE__ + 1 };

/* ---------------------------------------------------------------------------------------------------------------
 * One vector at a time
 */

/* y_i = x_i * scale * w_i,  scale = 1 / sqrt(mean(x^2) + eps).     Zhang and Sennrich 2019, equation 4.
 * A layer norm without its mean: only the length of x is taken out, and w gives each dimension its own gain. */
CUT_SOURCE(rms_norm)
static float rms_norm(float *y, const float *x, const float *w, int n, float eps) {
    float sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] * x[i];
    float scale = 1.0f / sqrtf(sum / (float)n + eps);
    for (int i = 0; i < n; i++) y[i] = x[i] * scale * w[i];
    return scale;
}

/* Round activations to 8 bits, a block at a time:  x_i ~ d * q_i,  d = max|x| / 127,  q_i = x_i / d rounded, ties away from 0.
 * The largest magnitude becomes 127, so -128 never occurs. s, the sum of 16 q, is what an offset of the weights is multiplied by. A block is
 * 32 or 256, as the weights': the larger is coarser where one activation towers over the others, but leaves one float for 256 products.
 * d is there for every 32 either way. Every tier gives these very bits.
 *
 * Two ends of the scale. Where d would be below the normal floats (2^-126), dividing by it could give anything: such a
 * block counts as zero. And a block that holds an infinity or a NaN gets d = NaN, so that the products show it. */
CUT_SOURCE(quantize_q8)
static void quantize_q8(void *row, const float *x, int n, int block) {
    int8_t *q = cut_q8_q(row);
    float *d = cut_q8_d(row, n);
    int16_t *s = cut_q8_s(row, n);

    for (int i0 = 0; i0 < n; i0 += block) {
        float max = 0;
        bool finite = true;
        for (int i = i0; i < i0 + block; i++) {
            if (!isfinite(x[i])) finite = false;
            if (fabsf(x[i]) > max) max = fabsf(x[i]);
        }
        float scale = max / 127.0f;
        if (scale < FLT_MIN) scale = 0;
        if (!finite) scale = NAN;

        for (int i = i0; i < i0 + block; i++) {
            q[i] = scale > 0 ? (int8_t)roundf(x[i] / scale) : 0;
            if (i % 32 == 0) d[i / 32] = scale;
            if (i % 16 == 0) s[i / 16] = 0;
            s[i / 16] += q[i];
        }
    }
}

/* The residual stream: a layer adds to what came before it, and never replaces it. */
CUT_SOURCE(add)
static void add(float *y, const float *a, const float *b, int n) {
    for (int i = 0; i < n; i++) y[i] = a[i] + b[i];
}

/* y = silu(g) * u,  silu(x) = x * sigmoid(x) = x / (1 + exp(-x)).     Shazeer 2020, section 2: SwiGLU.
 * A gate: where g is very negative nothing of u passes, where it is large u passes scaled by g. */
CUT_SOURCE(silu_mul)
static void silu_mul(float *y, const float *g, const float *u, int n) {
    for (int i = 0; i < n; i++) y[i] = g[i] / (1.0f + expf(-g[i])) * u[i];
}

/* Rotate each pair (x_2i, x_2i+1) of a head by the angle pos * theta_i.     Su et al. 2021, section 3.2.2, equation 15.
 *
 *   | y_2i   |   | cos  -sin | | x_2i   |
 *   | y_2i+1 | = | sin   cos | | x_2i+1 |
 *
 * Rotating q by m angles and k by n leaves in q.k only the difference m - n: attention sees relative positions.
 * cs holds cos and sin of pair 0, of pair 1, and so on: rope_dim floats. What lies beyond rope_dim is copied. */
CUT_SOURCE(rope)
static void rope(float *y, const float *x, const float *cs, int n_head, int head_dim, int rope_dim) {
    for (int h = 0; h < n_head; h++, x += head_dim, y += head_dim) {
        for (int i = 0; i < rope_dim; i += 2) {
            float c = cs[i], s = cs[i + 1], a = x[i], b = x[i + 1];
            y[i]     = a * c - b * s;
            y[i + 1] = a * s + b * c;
        }
        for (int i = rope_dim; i < head_dim; i++) y[i] = x[i];
    }
}

/* Keys and values are kept in half precision: half the memory, and half the bytes to read for every token to come. */
CUT_SOURCE(to_f16)
static void to_f16(uint16_t *y, const float *x, int n) {
    for (int i = 0; i < n; i++) y[i] = cut_f32_to_f16(x[i]);
}

/* Round to bfloat16, ties to even: the upper half of a float, so the sign, the exponent and 7 bits of mantissa. Products with
 * bf16 weights read activations rounded like this, because the processors that multiply bf16 do. */
CUT_SOURCE(round_bf16)
static void round_bf16(float *y, const float *x, int n) {
    for (int i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, &x[i], sizeof u);
        uint32_t up = (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000;
        u = (u & 0x7fffffff) > 0x7f800000 ? u : up;        /* a NaN stays one */
        memcpy(&y[i], &u, sizeof u);
    }
}

/* ---------------------------------------------------------------------------------------------------------------
 * Matrix products: y[t][r] = sum_c w[r][c] x[t][c]
 */

/* With decoded weights: the row becomes floats once (m->scratch holds them), then meets every token. The sum is kept in
 * double and rounded once: where activations are rounded to 16 bits, a last bit here can tip the next rounding, and from
 * there on two implementations drift apart; the better the sum, the later that happens. */
CUT_SOURCE(mm_f32)
static void mm_f32(const struct cut_mm *m, int r0, int r1) {
    float *w = m->scratch;
    for (int r = r0; r < r1; r++) {
        cut_decode(m->type, (const char *)m->w + (size_t)r * m->w_stride, w, (size_t)m->k);
        for (int t = 0; t < m->t; t++) {
            const float *x = (const float *)((const char *)m->x + (size_t)t * m->x_stride);
            double sum = 0;
            for (int c = 0; c < m->k; c++) sum += (double)w[c] * x[c];
            m->y[(size_t)t * m->y_stride + (size_t)r] = (float)sum;
        }
    }
}

/* A block of 8-bit activations: x_i = d * q_i, i = 0..31, and the sum s of the q_i of each half. */
struct block { float d; const int8_t *q; const int16_t *s; };

/* With weights and activations both quantized, the share of 32 columns in the sum is
 *
 *   sum_i (dw * qw_i + m) (dx * qx_i)  =  dw dx sum_i qw_i qx_i  +  m dx sum_i qx_i
 *
 * where the sums on the right are of small integers: exact, and what processors do fastest; the second is even known
 * already. Only the products with the scales are floats. unpack.c brings every format into this form. Where the weights
 * have a scale or an offset for every 16, there are two such sums. */
CUT_SOURCE(dot_q8)
static float dot_q8(const struct cut_form *form, const struct cut_unpacked *w, struct block x) {
    int sum[2] = { 0 };
    for (int i = 0; i < 32; i++) sum[i / 16] += w->q[i] * x.q[i];

    float share = form->scales == 1 ? w->d[0] * x.d * (float)(sum[0] + sum[1])
                                    : w->d[0] * x.d * (float)sum[0] + w->d[1] * x.d * (float)sum[1];
    if (form->offset) {
        if (form->scales == 1) share += w->m[0] * x.d * (float)(x.s[0] + x.s[1]);
        else share += w->m[0] * x.d * (float)x.s[0] + w->m[1] * x.d * (float)x.s[1];
    }
    return share;
}

/* The shares of all blocks, added in order. A block of weights is unpacked once and meets every token. */
CUT_SOURCE(mm_q8)
static void mm_q8(const struct cut_mm *m, int r0, int r1) {
    const struct cut_form *form = cut_form_of(m->type);
    for (int r = r0; r < r1; r++) {
        const char *row = (const char *)m->w + (size_t)r * m->w_stride;
        float *y = m->y + r;
        for (int t = 0; t < m->t; t++) y[(size_t)t * m->y_stride] = 0;
        for (int b = 0; b < m->k / 32; b++) {
            struct cut_unpacked w;
            cut_unpack(m->type, row, b, &w);
            for (int t = 0; t < m->t; t++) {
                void *x = (char *)m->x + (size_t)t * m->x_stride;
                struct block xb = { cut_q8_d(x, m->k)[b], cut_q8_q(x) + 32 * b, cut_q8_s(x, m->k) + 2 * b };
                y[(size_t)t * m->y_stride] += dot_q8(form, &w, xb);
            }
        }
    }
}

static size_t mm_scratch(int k) { return (size_t)k * sizeof(float); }

/* ---------------------------------------------------------------------------------------------------------------
 * Attention of one token: z = softmax(q K^T / sqrt(d)) V     Vaswani et al. 2017, section 3.2.1, equation 1
 *
 * K and V hold one vector per earlier token and KV head. Several query heads share a KV head (Ainslie et al. 2023):
 * head h reads group h / (n_head / n_head_kv).
 */

/* Element i of the cell'th key or value of a group: find its page, then its place in the page. In a page, the keys of a group
 * lie dimension by dimension, the values cell by cell. */
static float element(const struct cut_attn *a, const uint8_t *base, int cell, size_t at) {
    const uint8_t *page = base + (size_t)a->table[cell / CUT_KV_PAGE] * a->page_bytes;
    if (a->type == CUT_F16) return cut_f16_to_f32(((const uint16_t *)page)[at]);
    return ((const float *)page)[at];
}

CUT_SOURCE(key_at)
static float key_at(const struct cut_attn *a, int group, int cell, int i) {
    return element(a, a->k, cell, ((size_t)group * (size_t)a->head_dim + (size_t)i) * CUT_KV_PAGE + (size_t)(cell % CUT_KV_PAGE));
}

CUT_SOURCE(value_at)
static float value_at(const struct cut_attn *a, int group, int cell, int i) {
    return element(a, a->v, cell, ((size_t)group * CUT_KV_PAGE + (size_t)(cell % CUT_KV_PAGE)) * (size_t)a->head_dim + (size_t)i);
}

/* s_j = q . k_j / sqrt(d): how much this token asks for what token j offers. The root keeps the spread of the scores
 * independent of d (section 3.2.1, footnote 4). */
CUT_SOURCE(scores)
static void scores(const struct cut_attn *a, const float *q, int head, float *s) {
    int group = head / (a->n_head / a->n_head_kv);
    for (int j = 0; j < a->n_vis; j++) {
        float sum = 0;
        for (int i = 0; i < a->head_dim; i++) sum += q[i] * key_at(a, group, j, i);
        s[j] = sum * a->scale;
    }
}

/* p_j = exp(s_j) / sum_i exp(s_i). Taking the maximum off first changes nothing in the quotient and keeps exp from
 * overflowing: its argument is at most 0. */
CUT_SOURCE(softmax)
static void softmax(float *p, const float *s, int n) {
    float max = s[0], sum = 0;
    for (int j = 1; j < n; j++) max = fmaxf(max, s[j]);
    for (int j = 0; j < n; j++) {
        p[j] = expf(s[j] - max);
        sum += p[j];
    }
    for (int j = 0; j < n; j++) p[j] /= sum;
}

/* z = sum_j p_j v_j: the values, mixed in the proportions the pattern gives. */
CUT_SOURCE(mix)
static void mix(const struct cut_attn *a, const float *p, int head, float *z) {
    int group = head / (a->n_head / a->n_head_kv);
    for (int i = 0; i < a->head_dim; i++) z[i] = 0;
    for (int j = 0; j < a->n_vis; j++)
        for (int i = 0; i < a->head_dim; i++) z[i] += p[j] * value_at(a, group, j, i);
}

/* The three steps in one pass, without storing a score per token: Milakov and Gimelshein 2018, algorithm 3, with the
 * sum of values carried along (Dao et al. 2022, algorithm 1). For each head keep the maximum m of the scores seen so
 * far, the sum l of exp(s - m), and z, the sum of exp(s - m) v. When a page brings a larger maximum m', what was summed
 * relative to m is off by the factor exp(m' - m), so l and z are multiplied by exp(m - m'). At the end z / l is the mix.
 *
 * By page, and all heads of a group at each, so that every key and value is fetched from memory once. */
CUT_SOURCE(attn)
static void attn(const struct cut_attn *a, const float *q, float *z, int g0, int g1, void *scratch) {
    int per_group = a->n_head / a->n_head_kv;
    float *m = scratch, *l = m + per_group;

    for (int g = g0; g < g1; g++) {
        const float *qg = q + (size_t)g * (size_t)per_group * (size_t)a->head_dim;
        float *zg = z + (qg - q);
        for (int h = 0; h < per_group; h++) {
            m[h] = -INFINITY;
            l[h] = 0;
        }
        for (int i = 0; i < per_group * a->head_dim; i++) zg[i] = 0;

        for (int j0 = 0; j0 < a->n_vis; j0 += CUT_KV_PAGE) {
            int n = cut_min(CUT_KV_PAGE, a->n_vis - j0);
            for (int h = 0; h < per_group; h++) {
                const float *qh = qg + h * a->head_dim;
                float *zh = zg + h * a->head_dim;
                float s[CUT_KV_PAGE], max = m[h];
                for (int j = 0; j < n; j++) {
                    s[j] = 0;
                    for (int i = 0; i < a->head_dim; i++) s[j] += qh[i] * key_at(a, g, j0 + j, i);
                    s[j] *= a->scale;
                    max = fmaxf(max, s[j]);
                }
                float shrink = expf(m[h] - max);           /* 0 at the first page: exp(-infinity) */
                l[h] *= shrink;
                for (int i = 0; i < a->head_dim; i++) zh[i] *= shrink;
                for (int j = 0; j < n; j++) {
                    float p = expf(s[j] - max);
                    l[h] += p;
                    for (int i = 0; i < a->head_dim; i++) zh[i] += p * value_at(a, g, j0 + j, i);
                }
                m[h] = max;
            }
        }
        for (int h = 0; h < per_group; h++)
            for (int i = 0; i < a->head_dim; i++) zg[h * a->head_dim + i] /= l[h];
    }
}

/* Token by token: each sees one cell more than the one before. */
static void attn_tokens(const struct cut_attn *a, const float *q, float *z, size_t stride, int n_tokens, int g0, int g1, void *scratch) {
    for (int t = 0; t < n_tokens; t++) {
        struct cut_attn seen = *a;
        seen.n_vis += t;
        attn(&seen, q + (size_t)t * stride, z + (size_t)t * stride, g0, g1, scratch);
    }
}

static size_t attn_scratch(const struct cut_attn *a) { return 2 * (size_t)(a->n_head / a->n_head_kv) * sizeof(float); }

/* ---------------------------------------------------------------------------------------------------------------
 * The tables
 */

void cut_kernels_fill_ref(struct cut_kernels *k) {
    *k = (struct cut_kernels){
        .tier = CUT_TIER_REF,
        .rms_norm = rms_norm, .quantize_q8 = quantize_q8, .add = add, .silu_mul = silu_mul, .rope = rope,
        .to_f16 = to_f16, .round_bf16 = round_bf16,
        .mm_f32 = { [CUT_F32] = mm_f32, [CUT_F16] = mm_f32, [CUT_BF16] = mm_f32 }, .mm_bf16 = mm_f32, .mm_bf16_name = "ref",
        .mm_scratch = mm_scratch,
        .attn = attn_tokens, .attn_scratch = attn_scratch, .scores = scores, .softmax = softmax, .mix = mix,
    };
    for (int t = 0; t < CUT_TYPE_COUNT; t++) {
        if (cut_form_of((enum cut_type)t)->scales) k->mm_q8[t] = mm_q8, k->mm_f32[t] = mm_f32;
        if (k->mm_q8[t]) k->mm_q8_name[t] = "ref";
        if (k->mm_f32[t]) k->mm_f32_name[t] = "ref";
    }
}

const struct cut_src *cut_kernel_source(const char *function) {
#define AT(function) { __FILE__, line_of_##function, #function }
    static const struct cut_src table[] = {
        AT(rms_norm), AT(quantize_q8), AT(add), AT(silu_mul), AT(rope), AT(to_f16), AT(round_bf16), AT(mm_f32), AT(mm_q8),
        AT(dot_q8), AT(key_at), AT(value_at), AT(scores), AT(softmax), AT(mix), AT(attn),
    };
#undef AT
    for (size_t i = 0; i < CUT_LEN(table); i++)
        if (!strcmp(table[i].function, function)) return &table[i];
    return NULL;
}
