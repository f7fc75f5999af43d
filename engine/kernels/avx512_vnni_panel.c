/* avx512_vnni_panel.c - products of panels (panel.h) with VPDPBUSD: x86-64 processors with AVX-512 VNNI.
 *
 * Sixteen rows by T tokens at a time. A vector of codes is unpacked in registers, with a shift and a mask, and meets T broadcasts of four
 * activations each; a lane is a row from the first column to the last. So a result depends neither on the rows beside it nor on the
 * number of tokens, and one token or eight take the same path: with one, the panel is read as fast as memory gives it; with eight, the
 * unpacking, which other pipes do than the products, costs next to nothing.
 *
 * In formats with super-blocks the activations have one scale for 256, too (kern.h), so the float work of a block is one conversion
 * and one multiply-add by the small integer scale:
 *
 *   y = sum_groups dx ( d sum_parts s_p sum_c w_c q_c  -  dmin sum_parts min_p sum_c q_c )
 *
 * The second sum is of integers, two parts to an instruction (VPDPWSSD).
 */
#include <immintrin.h>

#include "engine/kernels/kern.h"
#include "engine/kernels/panel.h"
#include "engine/kernels/unroll.h"
#include "engine/quant/codebooks.h"

#define INLINE static inline __attribute__((always_inline))
enum { TILE_T = 8 };             /* of the 32 registers, 8 hold sums, 8 those of a group, 8 those of a part */
#include "engine/kernels/x86_panel.h"

INLINE __m512i broadcast4(const void *p) {
    int32_t four;
    memcpy(&four, p, 4);
    return _mm512_set1_epi32(four);
}
INLINE __m512 broadcast_float(const void *p) { return _mm512_castsi512_ps(broadcast4(p)); }
INLINE __m512 halves(const char *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p)); }
INLINE __m128i load16(const char *p) { return _mm_loadu_si128((const void *)p); }

/* `by` > 0: to the left. Bits of the neighbour come along. */
INLINE __m512i shifted(__m512i v, int by) {
    return by == 0 ? v : by > 0 ? _mm512_slli_epi16(v, (unsigned)by) : _mm512_srli_epi16(v, (unsigned)-by);
}

/* Vector i of a block: see the drawing in panel.h. */
INLINE __m512i codes(struct cut_panel_form f, const char *block, int i) {
    __m512i v = _mm512_loadu_si512(block + 64 * (i * f.low / 8));
    v = _mm512_and_si512(shifted(v, -(i * f.low % 8)), _mm512_set1_epi8((char)((1 << f.low) - 1)));
    if (f.high) {
        __m512i h = _mm512_loadu_si512(block + 64 * f.low + 64 * (i * f.high / 8));
        h = shifted(h, f.low - i * f.high % 8);
        v = _mm512_ternarylogic_epi32(v, h, _mm512_set1_epi8((char)(((1 << f.high) - 1) << f.low)), 0xF8);    /* v | (h & mask) */
    }
    if (f.table) {
        __m128i table = _mm_add_epi8(load16((const char *)cut_iq4_values), _mm_set1_epi8((char)f.zero));
        v = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), v);
    }
    return v;
}

/* acc[t] = -zero sum q + sum w q over vectors [i0, i1) of a block; `made` moved to the part's own number. */
INLINE void dots(struct cut_panel_form f, const int T, const int i0, const int i1, const char *block, struct tokens x, __m512i *acc) {
    UNROLL for (int t = 0; t < T; t++) acc[t] = f.zero ? broadcast4(x.made + (size_t)t * x.stride) : _mm512_setzero_si512();
    UNROLL for (int i = i0; i < i1; i++) {
        __m512i w = codes(f, block, i);
        UNROLL for (int t = 0; t < T; t++) acc[t] = _mm512_dpbusd_epi32(acc[t], w, broadcast4(x.q + (size_t)t * x.stride + 4 * i));
    }
}

/* ---- super-blocks */

INLINE __m512 scale_of(struct cut_panel_form f, const char *scales) {
    __m512i s = f.nibbles ? _mm512_and_si512(_mm512_cvtepu8_epi32(load16(scales)), _mm512_set1_epi32(15))
                          : _mm512_cvtepi8_epi32(load16(scales));
    return _mm512_cvtepi32_ps(s);
}

/* The mins of two neighbouring parts, as pairs of 16 bits. */
INLINE __m512i min_pairs(struct cut_panel_form f, const char *mins) {
    __m128i a = load16(mins), b = load16(mins + CUT_PANEL);
    __m512i v = _mm512_cvtepu8_epi16(_mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi8(a, b)), _mm_unpackhi_epi8(a, b), 1));
    return f.nibbles ? _mm512_srli_epi16(v, 4) : v;
}

/* y[t] -= dmin sum_parts min s. x.made or, where a part is 16 columns, x.s holds the parts' sums, 16 bits each. */
INLINE void take_mins(struct cut_panel_form f, const int T, const char *group, struct tokens x, __m512 *y) {
    const char *mins = group + (f.nibbles ? cut_panel_scales(f) : cut_panel_mins(f)), *s = f.parts == 2 ? x.s : x.made;
    __m512i acc[TILE_T];
    UNROLL for (int t = 0; t < T; t++) acc[t] = _mm512_setzero_si512();
    UNROLL for (int i = 0; i < 4 * f.parts; i++) {
        __m512i m = min_pairs(f, mins + 2 * CUT_PANEL * i);
        UNROLL for (int t = 0; t < T; t++) acc[t] = _mm512_dpwssd_epi32(acc[t], m, broadcast4(s + (size_t)t * x.stride + 4 * i));
    }
    __m512 dmin = halves(group + 2 * CUT_PANEL);
    UNROLL for (int t = 0; t < T; t++) y[t] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(acc[t]), dmin, y[t]);
}

INLINE void super_block(struct cut_panel_form f, const int T, const char *group, struct tokens x, __m512 *sum) {
    const char *scales = group + cut_panel_scales(f), *block = group + cut_panel_codes(f);
    const struct tokens at = x;
    __m512 y[TILE_T];
    __m512i acc[TILE_T];
    UNROLL for (int t = 0; t < T; t++) y[t] = _mm512_setzero_ps();
    ask(T, group, cut_panel_codes(f));
    for (int b = 0; b < 8; b++) {
        ask(T, block, cut_panel_block(f));
        UNROLL for (int p = 0; p < f.parts; p++) {
            dots(f, T, p * 4, (p + 1) * 8 / f.parts, block, x, acc);
            __m512 s = scale_of(f, scales);
            UNROLL for (int t = 0; t < T; t++) y[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[t]), s, y[t]);
            scales += CUT_PANEL;
            x.made += 4;
        }
        block += cut_panel_block(f);
        x.q += 32;
    }
    __m512 d = halves(group);
    UNROLL for (int t = 0; t < T; t++) y[t] = _mm512_mul_ps(y[t], d);
    if (f.offset) take_mins(f, T, group, at, y);
    UNROLL for (int t = 0; t < T; t++) sum[t] = _mm512_fmadd_ps(y[t], broadcast_float(at.d + (size_t)t * at.stride), sum[t]);
}

/* ---- blocks of 32 with a float16 scale. With an offset, `made` is the activations' scale times their sum. */
INLINE void small_block(struct cut_panel_form f, const int T, const char *group, struct tokens x, __m512 *sum) {
    __m512i acc[TILE_T];
    ask(T, group, cut_panel_group(f));
    dots(f, T, 0, 8, group + cut_panel_codes(f), x, acc);
    __m512 d = halves(group);
    UNROLL for (int t = 0; t < T; t++)
        sum[t] = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(acc[t]), d), broadcast_float(x.d + (size_t)t * x.stride), sum[t]);
    if (!f.offset) return;
    __m512 m = halves(group + 2 * CUT_PANEL);
    UNROLL for (int t = 0; t < T; t++) sum[t] = _mm512_fmadd_ps(m, broadcast_float(x.made + (size_t)t * x.stride), sum[t]);
}

/* ---- a panel by T tokens */

/* Bytes of `made` for a group: a number for each part (32 bits, or 16 where they are summed in pairs). */
INLINE size_t made_step(struct cut_panel_form f) {
    return !f.super ? 4 : f.zero ? 32 * (size_t)f.parts : f.parts == 1 ? 16 : 0;
}

INLINE struct tokens next_group(struct cut_panel_form f, struct tokens x) {
    const int columns = cut_panel_columns(f);
    return (struct tokens){ x.q + columns, x.d + columns / 8, x.s + columns / 8, x.made + made_step(f), x.stride };
}

INLINE void add_group(struct cut_panel_form f, const int T, const char *group, struct tokens x, __m512 *sum) {
    if (f.super) super_block(f, T, group, x, sum);
    else small_block(f, T, group, x, sum);
}

INLINE void put(__m512 sum, int rows, float *y) { _mm512_mask_storeu_ps(y, (__mmask16)((1u << rows) - 1), sum); }

INLINE void panel_of(struct cut_panel_form f, const int T, const char *panel, struct tokens x, int k, int rows, float *y, size_t y_stride) {
    __m512 sum[TILE_T];
    UNROLL for (int t = 0; t < T; t++) sum[t] = _mm512_setzero_ps();
    for (int c = 0; c < k; c += cut_panel_columns(f), panel += cut_panel_group(f), x = next_group(f, x)) add_group(f, T, panel, x, sum);
    UNROLL for (int t = 0; t < T; t++) put(sum[t], rows, y + (size_t)t * y_stride);
}

INLINE void pair_of(struct cut_panel_form f, struct pair p, struct tokens x, int k) {
    __m512 sum[2] = { _mm512_setzero_ps(), _mm512_setzero_ps() };
    for (int c = 0; c < k; c += cut_panel_columns(f), x = next_group(f, x))
        UNROLL for (int i = 0; i < 2; i++) {
            add_group(f, 1, p.panel[i], x, sum + i);
            p.panel[i] += cut_panel_group(f);
        }
    UNROLL for (int i = 0; i < 2; i++) put(sum[i], p.rows[i], p.y[i]);
}

/* What the products need of the activations' sums, for one token. */
INLINE void make(struct cut_panel_form f, void *made, const void *x, int k) {
    void *row = (void *)(uintptr_t)x;
    const int16_t *s = cut_q8_s(row, k);
    const float *d = cut_q8_d(row, k);
    if (f.zero)
        for (int i = 0; i < k / 32 * f.parts; i++) ((int32_t *)made)[i] = -f.zero * (f.parts == 2 ? s[i] : s[2 * i] + s[2 * i + 1]);
    else if (!f.super)
        for (int i = 0; i < k / 32; i++) ((float *)made)[i] = d[i] * (float)(s[2 * i] + s[2 * i + 1]);
    else if (f.parts == 1)
        for (int i = 0; i < k / 32; i++) ((int16_t *)made)[i] = (int16_t)(s[2 * i] + s[2 * i + 1]);
}

#define PANEL_BY(F, T) \
    static void panel_##F##_t##T(const char *panel, struct tokens x, int k, int rows, float *y, size_t y_stride) { \
        panel_of(cut_panel_form(CUT_##F), T, panel, x, k, rows, y, y_stride); \
    }
#define PRODUCT(F) \
    PANEL_BY(F, 2) PANEL_BY(F, 4) PANEL_BY(F, 8) \
    static void pair_##F(struct pair p, struct tokens x, int k) { pair_of(cut_panel_form(CUT_##F), p, x, k); } \
    static void mm_panel_##F(const struct cut_mm *m, int r0, int r1) { \
        static const panel_fn by_tokens[] = { [2] = panel_##F##_t2, [4] = panel_##F##_t4, [8] = panel_##F##_t8 }; \
        mm_panel(m, r0, r1, cut_panel_form(CUT_##F), pair_##F, by_tokens); \
    }
CUT_PANEL_FORMATS(PRODUCT)

#define ENTRY(F) k->mm_panel[CUT_##F] = mm_panel_##F;
void cut_kernels_fill_avx512_vnni_panel(struct cut_kernels *k) { CUT_PANEL_FORMATS(ENTRY) }
