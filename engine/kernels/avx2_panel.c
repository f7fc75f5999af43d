/* avx2_panel.c - making panels (panel.h), and their products with AVX2.
 *
 * The products are those of avx512_vnni_panel.c, eight rows at a time: first the upper half of every vector, then the lower. What differs
 * is the instruction: MADDUBS adds pairs of products into 16 bits, where more than 32767 would be cut, so only so many may be added there
 * before they are widened:
 *
 *   codes up to 15:  8 pairs, a whole block, come to at most 8 * 2 * 15 * 127 = 30480
 *   31:              4 pairs, 31496                63:  2 pairs, 32004
 *   255:             none. The codes (or the table they are looked up in) are cut into nibbles, and what the upper ones give counts
 *                    sixteen times
 *
 * Widening multiplies anyway (MADDWD), and the factor may as well be a small scale as one: in formats with super-blocks the scales
 * come for nothing, and 256 columns are one exact integer sum.
 */
#include <immintrin.h>

#include "engine/kernels/kern.h"
#include "engine/kernels/panel.h"

#define INLINE static inline __attribute__((always_inline))
#include "engine/kernels/x86_formats.h"

/* ---------------------------------------------------------------------------------------------------------------
 * Making panels
 */

/* What a group has beside its codes. */
struct extras { uint16_t d, m; int8_t scale[16]; uint8_t min[8]; };

INLINE struct extras extras_of(enum cut_type type, const void *group) {
    struct extras e = { 0 };
    switch (type) {
    case CUT_Q4_0: case CUT_Q5_0: case CUT_Q8_0: case CUT_IQ4_NL: memcpy(&e.d, group, 2); break;
    case CUT_Q4_1: case CUT_Q5_1: memcpy(&e.d, group, 2), memcpy(&e.m, (const char *)group + 2, 2); break;
    case CUT_Q2_K: {
        const struct cut_q2_K *w = group;
        e.d = w->d, e.m = w->dmin;
        memcpy(e.scale, w->scales, 16);
        break;
    }
    case CUT_Q3_K: {
        const struct cut_q3_K *w = group;
        e.d = w->d;
        _mm_storeu_si128((void *)e.scale, scales_k3(w->scales));
        break;
    }
    case CUT_Q4_K: case CUT_Q5_K: {        /* their first fields are the same */
        __m128i k = scales_k4(load16(group));
        memcpy(&e.d, group, 2), memcpy(&e.m, (const char *)group + 2, 2);
        _mm_storel_epi64((void *)e.scale, k);
        _mm_storel_epi64((void *)e.min, _mm_srli_si128(k, 8));
        break;
    }
    case CUT_Q6_K: {
        const struct cut_q6_K *w = group;
        e.d = w->d;
        memcpy(e.scale, w->scales, 16);
        break;
    }
    case CUT_IQ4_XS: {
        const struct cut_iq4_xs *w = group;
        e.d = w->d;
        for (int i = 0; i < 8; i++)
            e.scale[i] = (int8_t)(((w->scales_l[i / 2] >> 4 * (i % 2) & 15) | (w->scales_h >> 2 * i & 3) << 4) - 32);
        break;
    }
    default: break;
    }
    return e;
}

/* Columns 32 b .. 32 b + 31 of a group, one code a byte. */
INLINE __m256i codes32(enum cut_type type, const void *group, int b) {
    if (type == CUT_IQ4_NL) return nibbles(((const struct cut_iq4_nl *)group)->qs);
    if (type == CUT_IQ4_XS) return nibbles(((const struct cut_iq4_xs *)group)->qs + 16 * b);
    if (type == CUT_Q8_0) return _mm256_add_epi8(load32(((const struct cut_q8_0 *)group)->qs), _mm256_set1_epi8(-128));
    return bytes32(type, group, _mm256_setzero_si256(), b);
}

/* `bits` bits, from bit `from` up, of the bytes of eight vectors, as many to a byte as there is room for. */
INLINE char *put_plane(char *out, const uint8_t w[8][64], int from, int bits) {
    const int each = 8 / bits;
    UNROLL for (int i = 0; i < 8; i += each, out += 64)
        for (int h = 0; h < 64; h += 32) {
            __m256i v = _mm256_setzero_si256();
            UNROLL for (int j = 0; j < each; j++) {
                __m256i code = low_bits(_mm256_srli_epi16(load32(w[i + j] + h), from), bits);
                v = _mm256_or_si256(v, _mm256_slli_epi16(code, j * bits));
            }
            _mm256_storeu_si256((void *)(out + h), v);
        }
    return out;
}

INLINE void pack(enum cut_type type, const char *w, size_t stride, int rows, int k, char *out) {
    const struct cut_panel_form f = cut_panel_form(type);
    const int columns = cut_panel_columns(f);
    for (int c = 0; c < k; c += columns, w += group_bytes(type) / (size_t)(256 / columns), out += cut_panel_group(f)) {
        for (int r = 0; r < CUT_PANEL; r++) {
            struct extras e = extras_of(type, w + (size_t)cut_min(r, rows - 1) * stride);
            memcpy(out + 2 * r, &e.d, 2);
            if (f.offset) memcpy(out + 2 * (CUT_PANEL + r), &e.m, 2);
            for (int i = 0; f.super && i < 8 * f.parts; i++) out[cut_panel_scales(f) + (size_t)(i * CUT_PANEL + r)] = e.scale[i];
            for (int i = 0; f.super && f.offset && !f.nibbles && i < 8; i++)
                out[cut_panel_mins(f) + (size_t)(i * CUT_PANEL + r)] = (char)e.min[i];
        }
        char *to = out + cut_panel_codes(f);
        for (int b = 0; b < columns / 32; b++) {
            uint8_t block[8][64];
            for (int half = 0; half < 2; half++) {
                __m256i v[8];
#pragma GCC unroll 1           /* one copy of codes32() is enough here */
                for (int i = 0; i < 8; i++) v[i] = codes32(type, w + (size_t)cut_min(8 * half + i, rows - 1) * stride, b);
                transpose8(v);
                for (int i = 0; i < 8; i++) _mm256_storeu_si256((void *)(block[i] + 32 * half), v[i]);
            }
            to = put_plane(to, block, 0, f.low);
            if (f.high) to = put_plane(to, block, f.low, f.high);
        }
    }
}

/* ---------------------------------------------------------------------------------------------------------------
 * Products
 */
enum { TILE_T = 4 };
#include "engine/kernels/x86_panel.h"

INLINE __m256i broadcast4(const void *p) {
    int32_t four;
    memcpy(&four, p, 4);
    return _mm256_set1_epi32(four);
}
INLINE __m256 broadcast_float(const void *p) { return _mm256_castsi256_ps(broadcast4(p)); }
INLINE __m256 halves(const char *p) { return _mm256_cvtph_ps(load16(p)); }
INLINE __m128i load8(const char *p) { return _mm_cvtsi64_si128(load_i64(p)); }
INLINE __m256i shifted(__m256i v, int by) { return by == 0 ? v : by > 0 ? _mm256_slli_epi16(v, by) : _mm256_srli_epi16(v, -by); }

enum nibble { WHOLE, LOWER, UPPER };

/* The lower or upper nibbles of the table's values. */
INLINE __m256i table_of(struct cut_panel_form f, enum nibble which) {
    __m128i t = _mm_add_epi8(load16(cut_iq4_values), _mm_set1_epi8((char)f.zero));
    t = _mm_and_si128(which == UPPER ? _mm_srli_epi16(t, 4) : t, _mm_set1_epi8(15));
    return _mm256_broadcastsi128_si256(t);
}

/* Half of vector i of a block: see the drawing in panel.h. */
INLINE __m256i codes(struct cut_panel_form f, const char *block, int i, enum nibble which) {
    if (f.low == 8) return low_bits(shifted(load32(block + 64 * i), which == UPPER ? -4 : 0), 4);
    __m256i v = low_bits(shifted(load32(block + 64 * (i * f.low / 8)), -(i * f.low % 8)), f.low);
    if (f.high) {
        __m256i h = shifted(load32(block + 64 * f.low + 64 * (i * f.high / 8)), f.low - i * f.high % 8);
        v = _mm256_or_si256(v, _mm256_and_si256(h, _mm256_set1_epi8((char)(((1 << f.high) - 1) << f.low))));
    }
    return f.table ? _mm256_shuffle_epi8(table_of(f, which), v) : v;
}

/* Pairs of products that 16 bits hold. */
INLINE bool in_nibbles(struct cut_panel_form f) { return f.table || f.low == 8; }
INLINE int depth_of(struct cut_panel_form f) { return in_nibbles(f) || f.low + f.high <= 4 ? 8 : f.low + f.high == 5 ? 4 : 2; }

/* The compiler would add in a tree, for speed, and then have more sums in flight than there are registers. */
#define IN_ORDER(v) __asm__("" : "+x"(v))

/* acc[t] += factor sum w q over vectors [i0, i1) of a block. `factor` holds pairs of 16 bits. */
INLINE void dots(struct cut_panel_form f, const int T, const int i0, const int i1, const char *block, struct tokens x, __m256i factor,
                 __m256i *acc) {
    const int step = cut_min(depth_of(f), i1 - i0);
    const bool two = in_nibbles(f);
    UNROLL for (int i = i0; i < i1; i += step) {
        __m256i pairs[TILE_T], upper[TILE_T];
        UNROLL for (int j = i; j < i + step; j++) {
            __m256i w = codes(f, block, j, two ? LOWER : WHOLE), u = two ? codes(f, block, j, UPPER) : w;
            UNROLL for (int t = 0; t < T; t++) {
                __m256i q = broadcast4(x.q + (size_t)t * x.stride + 4 * j), p = _mm256_maddubs_epi16(w, q);
                pairs[t] = j == i ? p : _mm256_add_epi16(pairs[t], p);
                IN_ORDER(pairs[t]);
                if (!two) continue;
                p = _mm256_maddubs_epi16(u, q);
                upper[t] = j == i ? p : _mm256_add_epi16(upper[t], p);
                IN_ORDER(upper[t]);
            }
        }
        UNROLL for (int t = 0; t < T; t++) {
            acc[t] = _mm256_add_epi32(acc[t], _mm256_madd_epi16(pairs[t], factor));
            if (two) acc[t] = _mm256_add_epi32(acc[t], _mm256_madd_epi16(upper[t], _mm256_slli_epi16(factor, 4)));
        }
    }
}

/* ---- super-blocks */

/* The scale of eight rows, each twice, in 16 bits. */
INLINE __m256i scale_pairs(struct cut_panel_form f, const char *scales) {
    __m256i s = _mm256_cvtepi8_epi32(load8(scales));
    if (f.nibbles) s = _mm256_and_si256(s, _mm256_set1_epi32(15));
    return _mm256_blend_epi16(s, _mm256_slli_epi32(s, 16), 0xAA);
}

/* What the sums of two neighbouring parts are multiplied by, as pairs of 16 bits: mins, or, for codes with a zero, the scales. */
INLINE __m256i min_pairs(struct cut_panel_form f, const char *mins) {
    __m128i v = _mm_unpacklo_epi8(load8(mins), load8(mins + CUT_PANEL));
    if (f.zero) return _mm256_cvtepi8_epi16(v);
    return f.nibbles ? _mm256_srli_epi16(_mm256_cvtepu8_epi16(v), 4) : _mm256_cvtepu8_epi16(v);
}

/* acc[t] = sum_parts min s. */
INLINE void min_sums(struct cut_panel_form f, const int T, const char *mins, struct tokens x, __m256i *acc) {
    const char *s = f.parts == 2 ? x.s : x.made;
    UNROLL for (int t = 0; t < T; t++) acc[t] = _mm256_setzero_si256();
    UNROLL for (int i = 0; i < 4 * f.parts; i++) {
        __m256i m = min_pairs(f, mins + 2 * CUT_PANEL * i);
        UNROLL for (int t = 0; t < T; t++)
            acc[t] = _mm256_add_epi32(acc[t], _mm256_madd_epi16(m, broadcast4(s + (size_t)t * x.stride + 4 * i)));
    }
}

/* What a super-block begins with: acc, the integer sums, at -zero times the parts' sums; or sum, at -dmin times theirs. `half`: 0, or 1 for
 * the lower eight rows. */
INLINE void begin_super(struct cut_panel_form f, const int T, const char *group, int half, struct tokens x, __m256i *acc,
                        __m256 *sum) {
    min_sums(f, T, group + (f.zero || f.nibbles ? cut_panel_scales(f) : cut_panel_mins(f)) + 8 * half, x, acc);
    UNROLL for (int t = 0; t < T; t++) {
        if (f.zero) {
            acc[t] = _mm256_mullo_epi32(acc[t], _mm256_set1_epi32(-f.zero));
        } else {
            __m256 m = _mm256_mul_ps(_mm256_cvtepi32_ps(acc[t]), halves(group + 2 * CUT_PANEL + 16 * half));
            sum[t] = _mm256_fnmadd_ps(m, broadcast_float(x.d + (size_t)t * x.stride), sum[t]);
            acc[t] = _mm256_setzero_si256();
        }
    }
}

/* Block b. */
INLINE void add_block(struct cut_panel_form f, const int T, const char *group, int half, int b, struct tokens x, __m256i *acc) {
    const char *scales = group + cut_panel_scales(f) + b * f.parts * CUT_PANEL + 8 * half;
    const char *block = group + cut_panel_codes(f) + (size_t)b * cut_panel_block(f) + 32 * half;
    x.q += 32 * b;
    dots(f, T, 0, 8 / f.parts, block, x, scale_pairs(f, scales), acc);
    if (f.parts == 2) dots(f, T, 4, 8, block, x, scale_pairs(f, scales + CUT_PANEL), acc);
}

/* sum[t] += d dx acc[t]. */
INLINE void end_super(const int T, const char *group, int half, struct tokens x, const __m256i *acc, __m256 *sum) {
    __m256 d = halves(group + 16 * half);
    UNROLL for (int t = 0; t < T; t++)
        sum[t] = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(acc[t]), d), broadcast_float(x.d + (size_t)t * x.stride), sum[t]);
}

INLINE void super_block(struct cut_panel_form f, const int T, const char *group, int half, struct tokens x, __m256 *sum) {
    __m256i acc[TILE_T];
    begin_super(f, T, group, half, x, acc, sum);
    for (int b = 0; b < 8; b++) add_block(f, T, group, half, b, x, acc);
    end_super(T, group, half, x, acc, sum);
}

/* ---- blocks of 32 with a float16 scale. `made`: with an offset, the activations' scale times their sum; else -zero times it. */
INLINE void small_block(struct cut_panel_form f, const int T, const char *group, int half, struct tokens x, __m256 *sum) {
    __m256i acc[TILE_T];
    UNROLL for (int t = 0; t < T; t++) acc[t] = f.offset ? _mm256_setzero_si256() : broadcast4(x.made + (size_t)t * x.stride);
    dots(f, T, 0, 8, group + cut_panel_codes(f) + 32 * half, x, _mm256_set1_epi16(1), acc);
    __m256 d = halves(group + 16 * half);
    UNROLL for (int t = 0; t < T; t++)
        sum[t] = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(acc[t]), d), broadcast_float(x.d + (size_t)t * x.stride), sum[t]);
    if (!f.offset) return;
    __m256 m = halves(group + 2 * CUT_PANEL + 16 * half);
    UNROLL for (int t = 0; t < T; t++) sum[t] = _mm256_fmadd_ps(m, broadcast_float(x.made + (size_t)t * x.stride), sum[t]);
}

/* ---- a panel by T tokens */

/* Bytes of `made` for a group. */
INLINE size_t made_step(struct cut_panel_form f) { return !f.super ? 4 : f.parts == 1 ? 16 : 0; }

INLINE struct tokens next_group(struct cut_panel_form f, struct tokens x) {
    const int columns = cut_panel_columns(f);
    return (struct tokens){ x.q + columns, x.d + columns / 8, x.s + columns / 8, x.made + made_step(f), x.stride };
}

INLINE void put(__m256 sum, int rows, float *y) {
    float out[8];
    _mm256_storeu_ps(out, sum);
    if (rows > 0) memcpy(y, out, (size_t)cut_min(rows, 8) * sizeof *out);
}

/* Several tokens: one half of the rows after the other, since registers hold the sums of no more. */
INLINE void panel_of(struct cut_panel_form f, const int T, const char *panel, struct tokens x, int k, int rows, float *y, size_t y_stride) {
    for (int half = 0; half < 2 && 8 * half < rows; half++) {
        const char *group = panel;
        struct tokens at = x;
        __m256 sum[TILE_T];
        UNROLL for (int t = 0; t < T; t++) sum[t] = _mm256_setzero_ps();
        for (int c = 0; c < k; c += cut_panel_columns(f), group += cut_panel_group(f), at = next_group(f, at)) {
            if (!half) ask(T, group, cut_panel_group(f));
            if (f.super) super_block(f, T, group, half, at, sum);
            else small_block(f, T, group, half, at, sum);
        }
        for (int t = 0; t < T; t++) put(sum[t], rows - 8 * half, y + (size_t)t * y_stride + 8 * half);
    }
}

/* One token: both halves of a block before the next, or memory would be waited for by one and idle during the other. */
INLINE void group_of_one(struct cut_panel_form f, const char *group, struct tokens x, __m256 sum[2]) {
    ask(1, group, f.super ? cut_panel_codes(f) : cut_panel_group(f));
    if (!f.super) {
        UNROLL for (int half = 0; half < 2; half++) small_block(f, 1, group, half, x, sum + half);
        return;
    }
    __m256i acc[2];
    UNROLL for (int half = 0; half < 2; half++) begin_super(f, 1, group, half, x, acc + half, sum + half);
    for (int b = 0; b < 8; b++) {
        ask(1, group + cut_panel_codes(f) + (size_t)b * cut_panel_block(f), cut_panel_block(f));
        UNROLL for (int half = 0; half < 2; half++) add_block(f, 1, group, half, b, x, acc + half);
    }
    UNROLL for (int half = 0; half < 2; half++) end_super(1, group, half, x, acc + half, sum + half);
}

INLINE void pair_of(struct cut_panel_form f, struct pair p, struct tokens x, int k) {
    __m256 sum[2][2];
    UNROLL for (int i = 0; i < 2; i++) sum[i][0] = sum[i][1] = _mm256_setzero_ps();
    for (int c = 0; c < k; c += cut_panel_columns(f), x = next_group(f, x))
        UNROLL for (int i = 0; i < 2; i++) {
            group_of_one(f, p.panel[i], x, sum[i]);
            p.panel[i] += cut_panel_group(f);
        }
    UNROLL for (int i = 0; i < 4; i++) put(sum[i / 2][i % 2], p.rows[i / 2] - 8 * (i % 2), p.y[i / 2] + 8 * (i % 2));
}

/* What the products need of the activations' sums, for one token. */
INLINE void make(struct cut_panel_form f, void *made, const void *x, int k) {
    void *row = (void *)(uintptr_t)x;
    const int16_t *s = cut_q8_s(row, k);
    const float *d = cut_q8_d(row, k);
    if (f.super && f.parts == 1)
        for (int i = 0; i < k / 32; i++) ((int16_t *)made)[i] = (int16_t)(s[2 * i] + s[2 * i + 1]);
    else if (!f.super && f.offset)
        for (int i = 0; i < k / 32; i++) ((float *)made)[i] = d[i] * (float)(s[2 * i] + s[2 * i + 1]);
    else if (!f.super)
        for (int i = 0; i < k / 32; i++) ((int32_t *)made)[i] = -f.zero * (s[2 * i] + s[2 * i + 1]);
}

#define PANEL_BY(F, T) \
    static void panel_##F##_t##T(const char *panel, struct tokens x, int k, int rows, float *y, size_t y_stride) { \
        panel_of(cut_panel_form(CUT_##F), T, panel, x, k, rows, y, y_stride); \
    }
#define PRODUCT(F) \
    static void pack_##F(const void *w, size_t stride, int rows, int k, void *out) { pack(CUT_##F, w, stride, rows, k, out); } \
    PANEL_BY(F, 2) PANEL_BY(F, 4) \
    static void pair_##F(struct pair p, struct tokens x, int k) { pair_of(cut_panel_form(CUT_##F), p, x, k); } \
    static void mm_panel_##F(const struct cut_mm *m, int r0, int r1) { \
        static const panel_fn by_tokens[] = { [2] = panel_##F##_t2, [4] = panel_##F##_t4 }; \
        mm_panel(m, r0, r1, cut_panel_form(CUT_##F), pair_##F, by_tokens); \
    }
CUT_PANEL_FORMATS(PRODUCT)

#define ENTRY(F) k->pack[CUT_##F] = pack_##F; k->mm_panel[CUT_##F] = mm_panel_##F;
void cut_kernels_fill_avx2_panel(struct cut_kernels *k) { CUT_PANEL_FORMATS(ENTRY) }
