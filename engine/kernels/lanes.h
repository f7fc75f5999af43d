/* lanes.h - the float kernels for vectors of any width, written once. Internal; included by avx2.c, avx512.c, neon.c.
 *
 * A file that includes this has defined the vector type vf of W floats, and a handful of operations on it:
 *
 *   v_zero() v_set(f)                         all lanes 0, or f
 *   v_load(p) v_store(p, v)                   W floats
 *   v_load_n(p, n) v_store_n(p, v, n)         the first n < W of them; other lanes load as 0
 *   v_load_f16 v_load_f16_n v_load_bf16 v_load_bf16_n v_store_f16 v_store_f16_n       from and to 16-bit floats
 *   v_add v_mul v_div v_max v_min             v_max and v_min return the second operand when one is a NaN
 *   v_fma(a, b, c)                            a b + c, rounded once
 *   v_round(v) v_scale2(v, n)                 nearest integer; v 2^n for integer n, going to 0 and infinity as it must
 *   v_sum(v) v_top(v)                         across the lanes: a float
 *   v_sum4(v, out, n)                         the sums of four vectors, the first n of them stored; the lanes of a vector
 *                                             are added in the same order whichever of the four it is
 *   v_rotate(x, cs)                           pairs (x0, x1) turned by (cos, sin) = (cs0, cs1)
 *   v_now(v)                                  nothing, or: compute v before reading what comes after it, where a compiler that reads
 *                                             ahead would run out of registers
 *
 * and how many registers there are to work with: DOT_T (tokens in a tile of products), ATTN_M (queries, 4 or 8,
 * by 2 vectors of cells in a tile of attention) and ATTN_V (vectors of values, 2 or 4, by 4 queries). The sums differ from ref.c's in order only: W partial sums along a row instead of one.
 */
#include <float.h>
#include <math.h>

#include "engine/kernels/kern.h"
#include "engine/quant/unpack.h"


/* ---------------------------------------------------------------------------------------------------------------
 * exp
 *
 *   x = n ln 2 + r, |r| <= ln 2 / 2:   exp(x) = 2^n exp(r),   exp(r) ~ 1 + r + r^2 P(r)
 *
 * P has degree 4 and was fitted by the Remez algorithm for the least relative error of the whole on that interval,
 * 3.8e-9 with coefficients rounded to floats; what remains is rounding, less than one unit in the last place in all. ln 2
 * is taken off in two parts, the first short enough for n times it to be exact (Cody and Waite 1980).
 */
INLINE vf v_exp(vf x) {
    x = v_min(v_set(89.0f), v_max(v_set(-105.0f), x));       /* beyond these: infinity, and 0 */
    vf n = v_round(v_mul(x, v_set(0x1.715476p+0f)));
    vf r = v_fma(n, v_set(-0x1.62ep-1f), x);
    r = v_fma(n, v_set(-0x1.0bfbe8p-15f), r);
    vf p = v_set(0x1.6a2416p-10f);
    p = v_fma(p, r, v_set(0x1.1239f2p-7f));
    p = v_fma(p, r, v_set(0x1.5558f2p-5f));
    p = v_fma(p, r, v_set(0x1.555492p-3f));
    p = v_fma(p, r, v_set(0x1.fffffcp-2f));
    p = v_add(v_fma(p, v_mul(r, r), r), v_set(1));
    return v_scale2(p, n);
}

/* ---------------------------------------------------------------------------------------------------------------
 * One vector at a time
 */

static float rms_norm(float *y, const float *x, const float *w, int n, float eps) {
    vf s0 = v_zero(), s1 = v_zero();
    int i = 0;
    for (; i + 2 * W <= n; i += 2 * W) {
        vf a = v_load(x + i), b = v_load(x + i + W);
        s0 = v_fma(a, a, s0);
        s1 = v_fma(b, b, s1);
    }
    for (; i < n; i += W) {
        vf a = i + W <= n ? v_load(x + i) : v_load_n(x + i, n - i);
        s0 = v_fma(a, a, s0);
    }
    float scale = 1.0f / sqrtf(v_sum(v_add(s0, s1)) / (float)n + eps);
    vf s = v_set(scale);
    for (i = 0; i + W <= n; i += W) v_store(y + i, v_mul(v_mul(v_load(x + i), s), v_load(w + i)));
    if (i < n) v_store_n(y + i, v_mul(v_mul(v_load_n(x + i, n - i), s), v_load_n(w + i, n - i)), n - i);
    return scale;
}

static void add(float *y, const float *a, const float *b, int n) {
    int i = 0;
    for (; i + W <= n; i += W) v_store(y + i, v_add(v_load(a + i), v_load(b + i)));
    if (i < n) v_store_n(y + i, v_add(v_load_n(a + i, n - i), v_load_n(b + i, n - i)), n - i);
}

INLINE vf silu_mul_lanes(vf g, vf u) {
    vf e = v_exp(v_mul(g, v_set(-1)));
    return v_mul(v_div(g, v_add(v_set(1), e)), u);
}

static void silu_mul(float *y, const float *g, const float *u, int n) {
    int i = 0;
    for (; i + W <= n; i += W) v_store(y + i, silu_mul_lanes(v_load(g + i), v_load(u + i)));
    if (i < n) v_store_n(y + i, silu_mul_lanes(v_load_n(g + i, n - i), v_load_n(u + i, n - i)), n - i);
}

/* rope_dim is even, and so is W: a pair never straddles two vectors. */
static void rope(float *y, const float *x, const float *cs, int n_head, int head_dim, int rope_dim) {
    for (int h = 0; h < n_head; h++, x += head_dim, y += head_dim) {
        int i = 0;
        for (; i + W <= rope_dim; i += W) v_store(y + i, v_rotate(v_load(x + i), v_load(cs + i)));
        if (i < rope_dim)
            v_store_n(y + i, v_rotate(v_load_n(x + i, rope_dim - i), v_load_n(cs + i, rope_dim - i)), rope_dim - i);
        for (i = rope_dim; i < head_dim; i++) y[i] = x[i];
    }
}

static void to_f16(uint16_t *y, const float *x, int n) {
    int i = 0;
    for (; i + W <= n; i += W) v_store_f16(y + i, v_load(x + i));
    if (i < n) v_store_f16_n(y + i, v_load_n(x + i, n - i), n - i);
}

/* As in ref.c, and as compilers like it: no branch, no lane that looks at another. */
static void round_bf16(float *y, const float *x, int n) {
    for (int i = 0; i < n; i++) {
        uint32_t u, up, nan;
        memcpy(&u, &x[i], sizeof u);
        up = (u + 0x7FFF + (u >> 16 & 1)) & 0xFFFF0000;
        nan = -(uint32_t)((u & 0x7FFFFFFF) > 0x7F800000);
        u = (u & nan) | (up & ~nan);
        memcpy(&y[i], &u, sizeof u);
    }
}

/* ---------------------------------------------------------------------------------------------------------------
 * Dot products of floats: y[t][r] = sum_c w[r][c] x[t][c]
 *
 * A tile of 4 rows by T tokens: 4 + T loads feed 4 T multiply-adds, each into a register of its own, so that none
 * waits for another. Lane j of a register sums the columns j, j + W, j + 2 W ... of one row and token; the lanes are
 * added at the end. A row's result thus depends neither on the other rows and tokens of its tile nor on their number.
 */

/* Rows or tokens at a fixed distance in memory. */
struct rows { const char *base; size_t stride; };
INLINE const void *row_at(struct rows r, int i) { return r.base + (size_t)i * r.stride; }

INLINE vf load_lanes(enum cut_type type, const void *row, int c) {
    if (type == CUT_F16) return v_load_f16((const uint16_t *)row + c);
    if (type == CUT_BF16) return v_load_bf16((const uint16_t *)row + c);
    return v_load((const float *)row + c);
}

INLINE vf load_lanes_n(enum cut_type type, const void *row, int c, int n) {
    if (type == CUT_F16) return v_load_f16_n((const uint16_t *)row + c, n);
    if (type == CUT_BF16) return v_load_bf16_n((const uint16_t *)row + c, n);
    return v_load_n((const float *)row + c, n);
}

/* n of the 4 rows exist; the others repeat the last, and what they give is dropped. type and T are constants. Several tokens ask memory for
 * the next four rows, in the order they lie in it: their products go too slowly for hardware to see a run of addresses (NOTES.md). */
INLINE void dot_tile(enum cut_type type, struct rows w, int n, struct rows x, const int T, int k, float *y, size_t y_stride) {
    const void *wr[4];
    for (int r = 0; r < 4; r++) wr[r] = row_at(w, cut_min(r, n - 1));
    vf sum[DOT_T][4], xv[DOT_T];
    for (int t = 0; t < T; t++)
        for (int r = 0; r < 4; r++) sum[t][r] = v_zero();

    const size_t step = W * (type == CUT_F32 ? sizeof(float) : sizeof(uint16_t));
    const char *next = row_at(w, 4);
    int c = 0;
    for (; c + W <= k; c += W, next += 4 * step) {
        if (T > 1) for (size_t i = 0; i < 4 * step; i += 64) __builtin_prefetch(next + i, 0, 2);
        for (int t = 0; t < T; t++) xv[t] = v_load((const float *)row_at(x, t) + c);
        for (int r = 0; r < 4; r++) {
            vf wv = load_lanes(type, wr[r], c);
            for (int t = 0; t < T; t++) sum[t][r] = v_fma(wv, xv[t], sum[t][r]);
            for (int t = 0; t < T; t++) v_now(sum[t][r]);
        }
    }
    if (c < k) {
        for (int t = 0; t < T; t++) xv[t] = v_load_n((const float *)row_at(x, t) + c, k - c);
        for (int r = 0; r < 4; r++) {
            vf wv = load_lanes_n(type, wr[r], c, k - c);
            for (int t = 0; t < T; t++) sum[t][r] = v_fma(wv, xv[t], sum[t][r]);
        }
    }
    for (int t = 0; t < T; t++) v_sum4(sum[t], y + (size_t)t * y_stride, n);
}

/* Any number of rows and tokens, by tiles. */
INLINE void dot_rows(enum cut_type type, struct rows w, int n_rows, struct rows x, int n_tokens, int k, float *y, size_t y_stride) {
    for (int t = 0; t < n_tokens; t += DOT_T) {
        struct rows xt = { row_at(x, t), x.stride };
        for (int r = 0; r < n_rows; r += 4) {
            struct rows wr = { row_at(w, r), w.stride };
            float *yr = y + (size_t)t * y_stride + r;
            int n = cut_min(4, n_rows - r);
            switch (cut_min(DOT_T, n_tokens - t)) {
            case 1: dot_tile(type, wr, n, xt, 1, k, yr, y_stride); break;
            case 2: dot_tile(type, wr, n, xt, 2, k, yr, y_stride); break;
            case 3: dot_tile(type, wr, n, xt, 3, k, yr, y_stride); break;
#if DOT_T >= 4
            case 4: dot_tile(type, wr, n, xt, 4, k, yr, y_stride); break;
#endif
#if DOT_T >= 6
            case 5: dot_tile(type, wr, n, xt, 5, k, yr, y_stride); break;
            case 6: dot_tile(type, wr, n, xt, 6, k, yr, y_stride); break;
#endif
            }
        }
    }
}

/* One token uses each weight once and waits for memory. A processor fetches ahead by itself where it sees addresses follow each other,
 * but only so far, and it starts anew with every page of 4 KiB: one run of rows leaves it waiting, four of them side by side do not
 * (NOTES.md). So the four rows of a tile are a quarter of the range apart. */
INLINE void mm_one(const struct cut_mm *m, int r0, int r1, enum cut_type type) {
    const char *w = m->w;
    struct rows x = { m->x, m->x_stride };
    int quarter = (r1 - r0) / 4, r = r0;
    for (; r < r0 + quarter; r++) {
        float sum[4];
        dot_tile(type, (struct rows){ w + (size_t)r * m->w_stride, (size_t)quarter * m->w_stride }, 4, x, 1, m->k, sum, 0);
        for (int i = 0; i < 4; i++) m->y[r + i * quarter] = sum[i];
    }
    r = r0 + 4 * quarter;
    if (r < r1) dot_tile(type, (struct rows){ w + (size_t)r * m->w_stride, m->w_stride }, r1 - r, x, 1, m->k, m->y + r, 0);
}

/* Rows are taken MM_ROWS at a time: few enough to stay in the cache while all tokens pass by. */
enum { MM_ROWS = 16 };

INLINE void mm_floats(const struct cut_mm *m, int r0, int r1, enum cut_type type) {
    struct rows x = { m->x, m->x_stride };
    if (m->t == 1) {
        mm_one(m, r0, r1, type);
        return;
    }
    for (int r = r0; r < r1; r += MM_ROWS) {
        struct rows w = { (const char *)m->w + (size_t)r * m->w_stride, m->w_stride };
        dot_rows(type, w, cut_min(MM_ROWS, r1 - r), x, m->t, m->k, m->y + r, m->y_stride);
    }
}

static void mm_f32_f32(const struct cut_mm *m, int r0, int r1) { mm_floats(m, r0, r1, CUT_F32); }
static void mm_f32_f16(const struct cut_mm *m, int r0, int r1) { mm_floats(m, r0, r1, CUT_F16); }
static void mm_f32_bf16(const struct cut_mm *m, int r0, int r1) { mm_floats(m, r0, r1, CUT_BF16); }

/* Quantized weights by floats: decode MM_ROWS rows into scratch first. */
static void mm_f32_decoded(const struct cut_mm *m, int r0, int r1) {
    struct rows w = { m->scratch, cut_round_up((size_t)m->k * sizeof(float), CUT_ALIGN) };
    struct rows x = { m->x, m->x_stride };
    for (int r = r0; r < r1; r += MM_ROWS) {
        int n = cut_min(MM_ROWS, r1 - r);
        for (int i = 0; i < n; i++)
            cut_decode(m->type, (const char *)m->w + (size_t)(r + i) * m->w_stride, (float *)row_at(w, i), (size_t)m->k);
        dot_rows(CUT_F32, w, n, x, m->t, m->k, m->y + r, m->y_stride);
    }
}

#include "engine/kernels/lanes_attn.h"

/* ---------------------------------------------------------------------------------------------------------------
 * The entries above, for a file's fill function.
 */
static void fill_float_kernels(struct cut_kernels *k, const char *name) {
    k->rms_norm = rms_norm;
    k->add = add;
    k->silu_mul = silu_mul;
    k->rope = rope;
    k->to_f16 = to_f16;
    k->round_bf16 = round_bf16;
    k->mm_f32[CUT_F32] = mm_f32_f32;
    k->mm_f32[CUT_F16] = mm_f32_f16;
    k->mm_f32[CUT_BF16] = k->mm_bf16 = mm_f32_bf16;
    k->mm_bf16_name = name;
    for (int t = 0; t < CUT_TYPE_COUNT; t++) {
        if (cut_form_of((enum cut_type)t)->scales) k->mm_f32[t] = mm_f32_decoded;
        if (k->mm_f32[t]) k->mm_f32_name[t] = name;
    }
    k->attn = attn;
    k->attn_scratch = attn_scratch;
    k->scores = scores;
    k->softmax = softmax;
    k->mix = mix;
}
