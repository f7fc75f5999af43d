/* neon.c - 4 floats or 16 bytes at a time: every 64-bit ARM processor. The byte products of ARMv8.2 (SDOT) are used where
 * the processor has them.
 */
#include <arm_neon.h>
#ifdef __linux__
#include <sys/auxv.h>
#endif

#include "engine/kernels/kern.h"
#include "engine/quant/codebooks.h"
#include "engine/quant/unpack.h"

/* ---------------------------------------------------------------------------------------------------------------
 * The float operations lanes.h is written in
 */
#define W 4
#define DOT_T 4
#define ATTN_M 8
#define ATTN_V 4
#define INLINE static inline __attribute__((always_inline))
typedef float32x4_t vf;

INLINE vf v_zero(void) { return vdupq_n_f32(0); }
INLINE vf v_set(float f) { return vdupq_n_f32(f); }
INLINE vf v_add(vf a, vf b) { return vaddq_f32(a, b); }
INLINE vf v_mul(vf a, vf b) { return vmulq_f32(a, b); }
INLINE vf v_div(vf a, vf b) { return vdivq_f32(a, b); }
INLINE vf v_max(vf a, vf b) { return vmaxq_f32(a, b); }
INLINE vf v_min(vf a, vf b) { return vminq_f32(a, b); }
INLINE vf v_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
INLINE vf v_round(vf v) { return vrndnq_f32(v); }

INLINE vf v_load(const float *p) { return vld1q_f32(p); }
INLINE void v_store(float *p, vf v) { vst1q_f32(p, v); }
INLINE vf v_load_n(const float *p, int n) {
    float f[W] = { 0 };
    memcpy(f, p, (size_t)n * sizeof *f);
    return v_load(f);
}
INLINE void v_store_n(float *p, vf v, int n) {
    float f[W];
    v_store(f, v);
    memcpy(p, f, (size_t)n * sizeof *f);
}

INLINE uint16x4_t load_halves_n(const uint16_t *p, int n) {
    uint16_t h[W] = { 0 };
    memcpy(h, p, (size_t)n * sizeof *h);
    return vld1_u16(h);
}
INLINE vf from_f16(uint16x4_t h) { return vcvt_f32_f16(vreinterpret_f16_u16(h)); }
INLINE vf from_bf16(uint16x4_t h) { return vreinterpretq_f32_u32(vshll_n_u16(h, 16)); }
INLINE vf v_load_f16(const uint16_t *p) { return from_f16(vld1_u16(p)); }
INLINE vf v_load_f16_n(const uint16_t *p, int n) { return from_f16(load_halves_n(p, n)); }
INLINE vf v_load_bf16(const uint16_t *p) { return from_bf16(vld1_u16(p)); }
INLINE vf v_load_bf16_n(const uint16_t *p, int n) { return from_bf16(load_halves_n(p, n)); }
INLINE void v_store_f16(uint16_t *p, vf v) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v))); }
INLINE void v_store_f16_n(uint16_t *p, vf v, int n) {
    uint16_t h[W];
    v_store_f16(h, v);
    memcpy(p, h, (size_t)n * sizeof *h);
}

/* 2^n by writing n into the exponent; in two factors, because n may be beyond what one exponent holds. */
INLINE vf v_scale2(vf v, vf n) {
    int32x4_t all = vcvtnq_s32_f32(n), half = vshrq_n_s32(all, 1), bias = vdupq_n_s32(127);
    int32x4_t a = vshlq_n_s32(vaddq_s32(half, bias), 23);
    int32x4_t b = vshlq_n_s32(vaddq_s32(vsubq_s32(all, half), bias), 23);
    return vmulq_f32(vmulq_f32(v, vreinterpretq_f32_s32(a)), vreinterpretq_f32_s32(b));
}

INLINE float v_sum(vf v) { return vaddvq_f32(v); }
INLINE float v_top(vf v) { return vmaxvq_f32(v); }
INLINE void v_sum4(const vf v[4], float *out, int n) {
    vf sum = vpaddq_f32(vpaddq_f32(v[0], v[1]), vpaddq_f32(v[2], v[3]));
    if (n == 4) v_store(out, sum);
    else v_store_n(out, sum, n);
}

INLINE vf v_rotate(vf x, vf cs) {
    static const float sign[W] = { -1, 1, -1, 1 };
    vf c = vtrn1q_f32(cs, cs), s = vmulq_f32(vtrn2q_f32(cs, cs), vld1q_f32(sign));
    return vfmaq_f32(vmulq_f32(vrev64q_f32(x), s), x, c);
}

#define v_now(v) ((void)(v))

#include "engine/kernels/lanes.h"

/* ---------------------------------------------------------------------------------------------------------------
 * Activations to 8 bits, to the bit as ref.c has it: magnitudes are compared as integers, whose order is that of the
 * floats (and infinity and NaN come last), and FCVTAS rounds to nearest, ties away from zero.
 */
INLINE float q8_scale(const float *x, int block) {
    int32x4_t max = vdupq_n_s32(0);
    for (int i = 0; i < block; i += 4)
        max = vmaxq_s32(max, vandq_s32(vreinterpretq_s32_f32(vld1q_f32(x + i)), vdupq_n_s32(INT32_MAX)));
    int32_t top = vmaxvq_s32(max);
    float d;
    memcpy(&d, &top, sizeof top);
    d /= 127.0f;
    return top >= 0x7F800000 ? NAN : d < FLT_MIN ? 0 : d;
}

static void quantize_q8(void *row, const float *x, int n, int block) {
    int8_t *q = cut_q8_q(row);
    float *d = cut_q8_d(row, n), scale = 0;
    int16_t *s = cut_q8_s(row, n);

    for (int b = 0; b < n / 32; b++, x += 32, q += 32) {
        if (b % (block / 32) == 0) scale = q8_scale(x, block);
        d[b] = scale;
        if (!(scale > 0)) {
            memset(q, 0, 32);
            s[2 * b] = s[2 * b + 1] = 0;
            continue;
        }
        int32x4_t w[8];
        for (int i = 0; i < 8; i++) w[i] = vcvtaq_s32_f32(vdivq_f32(vld1q_f32(x + 4 * i), vdupq_n_f32(scale)));
        for (int i = 0; i < 8; i += 4) {
            int16x8_t low = vcombine_s16(vmovn_s32(w[i]), vmovn_s32(w[i + 1]));
            int16x8_t high = vcombine_s16(vmovn_s32(w[i + 2]), vmovn_s32(w[i + 3]));
            vst1q_s8(q + 4 * i, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
            s[2 * b + i / 4] = vaddvq_s16(vaddq_s16(low, high));
        }
    }
}

/* ---------------------------------------------------------------------------------------------------------------
 * Quantized weights: to signed bytes. The formats met most are unpacked here, 16 bytes at a time; the others by unpack.c.
 */
INLINE float scale_of(uint16_t half) { return vgetq_lane_f32(from_f16(vdup_n_u16(half)), 0); }
INLINE void put_scale(struct cut_unpacked *u, float d) { u->d[0] = u->d[1] = d; }
INLINE void put(struct cut_unpacked *u, uint8x16_t first, uint8x16_t second, int zero) {
    vst1q_s8(u->q, vsubq_s8(vreinterpretq_s8_u8(first), vdupq_n_s8((int8_t)zero)));
    vst1q_s8(u->q + 16, vsubq_s8(vreinterpretq_s8_u8(second), vdupq_n_s8((int8_t)zero)));
}

/* `bits` bits of each of 16 bytes, from bit `from` up. */
INLINE uint8x16_t field(const uint8_t *p, int from, int bits) {
    return vandq_u8(vshlq_u8(vld1q_u8(p), vdupq_n_s8((int8_t)-from)), vdupq_n_u8((uint8_t)((1 << bits) - 1)));
}

/* 32 nibbles in 16 bytes, the low ones first, each looked up in a table of sixteen. */
INLINE void put_looked_up(struct cut_unpacked *u, const int8_t table[16], const uint8_t *qs) {
    int8x16_t t = vld1q_s8(table);
    vst1q_s8(u->q, vqtbl1q_s8(t, field(qs, 0, 4)));
    vst1q_s8(u->q + 16, vqtbl1q_s8(t, field(qs, 4, 4)));
}

static void unpack(enum cut_type type, const void *row, int b, struct cut_unpacked *u) {
    int i = b % 8;                                 /* where in a super-block; blocks.h says what lies where */
    switch (type) {
    case CUT_Q4_0: {
        const struct cut_q4_0 *w = (const struct cut_q4_0 *)row + b;
        put_scale(u, scale_of(w->d));
        put(u, field(w->qs, 0, 4), field(w->qs, 4, 4), 8);
        break;
    }
    case CUT_Q8_0: {
        const struct cut_q8_0 *w = (const struct cut_q8_0 *)row + b;
        put_scale(u, scale_of(w->d));
        memcpy(u->q, w->qs, 32);
        break;
    }
    case CUT_Q4_K: {
        const struct cut_q4_K *w = (const struct cut_q4_K *)row + b / 8;
        const uint8_t *qs = w->qs + 32 * (i / 2);
        int scale, min;
        cut_q4_K_scale(w->scales, i, &scale, &min);
        put_scale(u, scale_of(w->d) * (float)scale);
        u->m[0] = u->m[1] = -(scale_of(w->dmin) * (float)min);
        put(u, field(qs, 4 * (i % 2), 4), field(qs + 16, 4 * (i % 2), 4), 0);
        break;
    }
    case CUT_Q5_K: {
        const struct cut_q5_K *w = (const struct cut_q5_K *)row + b / 8;
        const uint8_t *qs = w->qs + 32 * (i / 2);
        int scale, min;
        cut_q4_K_scale(w->scales, i, &scale, &min);
        put_scale(u, scale_of(w->d) * (float)scale);
        u->m[0] = u->m[1] = -(scale_of(w->dmin) * (float)min);
        put(u, vsliq_n_u8(field(qs, 4 * (i % 2), 4), field(w->qh, i, 1), 4),
            vsliq_n_u8(field(qs + 16, 4 * (i % 2), 4), field(w->qh + 16, i, 1), 4), 0);
        break;
    }
    case CUT_Q6_K: {
        const struct cut_q6_K *w = (const struct cut_q6_K *)row + b / 8;
        int g = i % 4;
        const uint8_t *ql = w->ql + 64 * (i / 4) + 32 * (g & 1), *qh = w->qh + 32 * (i / 4);
        for (int h = 0; h < 2; h++) u->d[h] = scale_of(w->d) * (float)w->scales[2 * i + h];
        put(u, vsliq_n_u8(field(ql, 4 * (g >> 1), 4), field(qh, 2 * g, 2), 4),
            vsliq_n_u8(field(ql + 16, 4 * (g >> 1), 4), field(qh + 16, 2 * g, 2), 4), 32);
        break;
    }
    case CUT_IQ4_NL: {
        const struct cut_iq4_nl *w = (const struct cut_iq4_nl *)row + b;
        put_scale(u, scale_of(w->d));
        put_looked_up(u, cut_iq4_values, w->qs);
        break;
    }
    case CUT_IQ4_XS: {
        const struct cut_iq4_xs *w = (const struct cut_iq4_xs *)row + b / 8;
        int low = w->scales_l[i / 2] >> 4 * (i % 2) & 15, high = w->scales_h >> 2 * i & 3;
        put_scale(u, scale_of(w->d) * (float)((low | high << 4) - 32));
        put_looked_up(u, cut_iq4_values, w->qs + 16 * i);
        break;
    }
    case CUT_MXFP4: {
        const struct cut_mxfp4 *w = (const struct cut_mxfp4 *)row + b;
        put_scale(u, cut_e8m0_half(w->e));
        put_looked_up(u, cut_e2m1_doubled, w->qs);
        break;
    }
    default: cut_unpack(type, row, b, u); break;
    }
}

/* ---------------------------------------------------------------------------------------------------------------
 * Quantized weights by 8-bit activations. Four rows are unpacked, all their columns, and stay in the cache while the tokens
 * pass, four at a time. Each row and token has four partial sums, added at the end in the same order for all, so that
 * here, too, a result does not depend on its company.
 */

/* 32 columns of four rows. d and m: [half][row]. */
struct tile {
    int8_t q[4][32];
    float d[2][4], m[2][4];
};

/* Rows beyond n repeat the last one; their results are not stored. */
static void unpack_rows(enum cut_type type, struct rows w, int n, int k, struct tile *tiles) {
    struct cut_unpacked u = { 0 };
    for (int r = 0; r < 4; r++)
        for (int b = 0; b < k / 32; b++) {
            unpack(type, row_at(w, cut_min(r, n - 1)), b, &u);
            memcpy(tiles[b].q[r], u.q, sizeof u.q);
            for (int h = 0; h < 2; h++) tiles[b].d[h][r] = u.d[h], tiles[b].m[h][r] = u.m[h];
        }
}

/* sum += the products of 16 bytes, by fours. Without SDOT, by way of 16 bits: two products, each at most
 * 128 * 127 = 16256, just fit.
 *
 * GCC can be told, line by line, to assemble an instruction that the processor may lack; mm_q8_sdot runs only where
 * HWCAP promises it. Clang cannot, and uses SDOT when the whole file is compiled for it (-march=armv8.2-a+dotprod). */
#if defined(__ARM_FEATURE_DOTPROD)
enum { KNOWS_SDOT = 1 };
INLINE int32x4_t sdot16(int32x4_t sum, int8x16_t w, int8x16_t q) { return vdotq_s32(sum, w, q); }
#elif !defined(__clang__)
enum { KNOWS_SDOT = 1 };
INLINE int32x4_t sdot16(int32x4_t sum, int8x16_t w, int8x16_t q) {
    __asm__(".arch armv8.2-a+dotprod\n\tsdot %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(w), "w"(q));
    return sum;
}
#else
enum { KNOWS_SDOT = 0 };
INLINE int32x4_t sdot16(int32x4_t sum, int8x16_t w, int8x16_t q) { return (void)w, (void)q, sum; }
#endif

INLINE int32x4_t dot16(bool sdot, int32x4_t sum, int8x16_t w, int8x16_t q) {
    if (sdot) return sdot16(sum, w, q);
    int16x8_t pairs = vmlal_high_s8(vmull_s8(vget_low_s8(w), vget_low_s8(q)), w, q);
    return vpadalq_s16(sum, pairs);
}

/* Four rows by T tokens. Offsets are summed apart, a lane for each row. */
INLINE void mm_tiles(struct cut_form form, bool sdot, const struct tile *tiles, int n, struct rows x, const int T, int k, float *y,
                     size_t y_stride) {
    vf sum[4][4], offsets[4];
    for (int t = 0; t < T; t++) {
        offsets[t] = v_zero();
        for (int r = 0; r < 4; r++) sum[t][r] = v_zero();
    }
    for (int b = 0; b < k / 32; b++, tiles++) {
        for (int t = 0; t < T; t++) {
            void *xt = (void *)row_at(x, t);
            int8x16_t q0 = vld1q_s8(cut_q8_q(xt) + 32 * b), q1 = vld1q_s8(cut_q8_q(xt) + 32 * b + 16);
            float dx = cut_q8_d(xt, k)[b];
            for (int r = 0; r < 4; r++) {
                int32x4_t acc = dot16(sdot, vdupq_n_s32(0), vld1q_s8(tiles->q[r]), q0);
                if (form.scales == 2) {
                    sum[t][r] = vfmaq_n_f32(sum[t][r], vcvtq_f32_s32(acc), tiles->d[0][r] * dx);
                    acc = vdupq_n_s32(0);
                }
                acc = dot16(sdot, acc, vld1q_s8(tiles->q[r] + 16), q1);
                sum[t][r] = vfmaq_n_f32(sum[t][r], vcvtq_f32_s32(acc), tiles->d[1][r] * dx);
            }
            if (form.offset) {
                const int16_t *s = cut_q8_s(xt, k) + 2 * b;
                offsets[t] = vfmaq_n_f32(offsets[t], v_load(tiles->m[0]), dx * (float)s[0]);
                offsets[t] = vfmaq_n_f32(offsets[t], v_load(tiles->m[1]), dx * (float)s[1]);
            }
        }
    }
    for (int t = 0; t < T; t++) {
        float four[4];
        v_sum4(sum[t], four, 4);
        vf out = form.offset ? v_add(v_load(four), offsets[t]) : v_load(four);
        if (n == 4) v_store(y + (size_t)t * y_stride, out);
        else v_store_n(y + (size_t)t * y_stride, out, n);
    }
}

INLINE void mm_formed(const struct cut_mm *m, int r0, int r1, struct cut_form form, bool sdot) {
    for (int r = r0; r < r1; r += 4) {
        struct rows w = { (const char *)m->w + (size_t)r * m->w_stride, m->w_stride };
        struct tile *tiles = m->scratch;
        int n = cut_min(4, r1 - r), t = 0;
        unpack_rows(m->type, w, n, m->k, tiles);
        for (; t + 4 <= m->t; t += 4) {
            struct rows x = { (const char *)m->x + (size_t)t * m->x_stride, m->x_stride };
            mm_tiles(form, sdot, tiles, n, x, 4, m->k, m->y + (size_t)t * m->y_stride + r, m->y_stride);
        }
        for (; t < m->t; t++) {
            struct rows x = { (const char *)m->x + (size_t)t * m->x_stride, m->x_stride };
            mm_tiles(form, sdot, tiles, n, x, 1, m->k, m->y + (size_t)t * m->y_stride + r, m->y_stride);
        }
    }
}

/* Compiled once for each of the four forms. */
INLINE void mm_any(const struct cut_mm *m, int r0, int r1, bool sdot) {
    const struct cut_form *form = cut_form_of(m->type);
    if (form->scales == 1 && !form->offset) mm_formed(m, r0, r1, (struct cut_form){ .scales = 1 }, sdot);
    else if (form->scales == 1) mm_formed(m, r0, r1, (struct cut_form){ .scales = 1, .offset = true }, sdot);
    else if (!form->offset) mm_formed(m, r0, r1, (struct cut_form){ .scales = 2 }, sdot);
    else mm_formed(m, r0, r1, (struct cut_form){ .scales = 2, .offset = true }, sdot);
}
static void mm_q8(const struct cut_mm *m, int r0, int r1) { mm_any(m, r0, r1, false); }
static void mm_q8_sdot(const struct cut_mm *m, int r0, int r1) { mm_any(m, r0, r1, true); }

/* MM_ROWS rows as floats, or four unpacked: the second is less. */
static size_t mm_scratch(int k) { return MM_ROWS * cut_round_up((size_t)k * sizeof(float), CUT_ALIGN); }

static bool has_sdot(void) {
#ifdef __linux__
    return KNOWS_SDOT && getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#else
    return false;
#endif
}

void cut_kernels_fill_neon(struct cut_kernels *k) {
    bool sdot = has_sdot();
    fill_float_kernels(k, "neon");
    k->quantize_q8 = quantize_q8;
    for (int t = 0; t < CUT_TYPE_COUNT; t++)
        if (k->mm_q8[t]) {
            k->mm_q8[t] = sdot ? mm_q8_sdot : mm_q8;
            k->mm_q8_name[t] = sdot ? "neon sdot" : "neon";
        }
    k->mm_scratch = mm_scratch;
}
