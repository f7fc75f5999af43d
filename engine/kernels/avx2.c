/* avx2.c - 8 floats or 32 bytes at a time, with FMA and F16C: x86-64 processors since 2013 (Haswell, Excavator). */
#include <immintrin.h>

#include "engine/kernels/kern.h"

/* ---------------------------------------------------------------------------------------------------------------
 * The float operations lanes.h is written in
 */
#define W 8
#define DOT_T 3
#define ATTN_M 4
#define ATTN_V 2
#define INLINE static inline __attribute__((always_inline))
typedef __m256 vf;

INLINE vf v_zero(void) { return _mm256_setzero_ps(); }
INLINE vf v_set(float f) { return _mm256_set1_ps(f); }
INLINE vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
INLINE vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
INLINE vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
INLINE vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
INLINE vf v_min(vf a, vf b) { return _mm256_min_ps(a, b); }
INLINE vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vf v_round(vf v) { return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

INLINE vf v_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void v_store(float *p, vf v) { _mm256_storeu_ps(p, v); }

/* The first n lanes on: eight ones and eight zeros, read from the right place. */
INLINE __m256i first(int n) {
    static const int32_t mask[16] = { -1, -1, -1, -1, -1, -1, -1, -1 };
    return _mm256_loadu_si256((const void *)(mask + 8 - n));
}
INLINE vf v_load_n(const float *p, int n) { return _mm256_maskload_ps(p, first(n)); }
INLINE void v_store_n(float *p, vf v, int n) { _mm256_maskstore_ps(p, first(n), v); }

INLINE vf from_f16(__m128i h) { return _mm256_cvtph_ps(h); }
INLINE vf from_bf16(__m128i h) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16)); }
INLINE __m128i load_halves_n(const uint16_t *p, int n) {
    uint16_t h[8] = { 0 };
    memcpy(h, p, (size_t)n * sizeof *h);
    return _mm_loadu_si128((const void *)h);
}
INLINE vf v_load_f16(const uint16_t *p) { return from_f16(_mm_loadu_si128((const void *)p)); }
INLINE vf v_load_f16_n(const uint16_t *p, int n) { return from_f16(load_halves_n(p, n)); }
INLINE vf v_load_bf16(const uint16_t *p) { return from_bf16(_mm_loadu_si128((const void *)p)); }
INLINE vf v_load_bf16_n(const uint16_t *p, int n) { return from_bf16(load_halves_n(p, n)); }
INLINE void v_store_f16(uint16_t *p, vf v) {
    _mm_storeu_si128((void *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
INLINE void v_store_f16_n(uint16_t *p, vf v, int n) {
    uint16_t h[8];
    v_store_f16(h, v);
    memcpy(p, h, (size_t)n * sizeof *h);
}

/* 2^n by writing n into the exponent; in two factors, because n may be beyond what one exponent holds. */
INLINE vf v_scale2(vf v, vf n) {
    __m256i all = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(all, 1), bias = _mm256_set1_epi32(127);
    __m256i a = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    __m256i b = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(all, half), bias), 23);
    return _mm256_mul_ps(_mm256_mul_ps(v, _mm256_castsi256_ps(a)), _mm256_castsi256_ps(b));
}

INLINE float v_sum(vf v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

INLINE float v_top(vf v) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

INLINE void v_sum4(const vf v[4], float *out, int n) {
    vf ab = _mm256_add_ps(_mm256_unpacklo_ps(v[0], v[1]), _mm256_unpackhi_ps(v[0], v[1]));     /* a b a b | a b a b */
    vf cd = _mm256_add_ps(_mm256_unpacklo_ps(v[2], v[3]), _mm256_unpackhi_ps(v[2], v[3]));
    vf s = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xEE));    /* a b c d | a b c d */
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
    if (n == 4) _mm_storeu_ps(out, sum);
    else _mm_maskstore_ps(out, _mm256_castsi256_si128(first(n)), sum);
}

/* (x0 c - x1 s, x0 s + x1 c), pair by pair. */
INLINE vf v_rotate(vf x, vf cs) {
    vf swapped = _mm256_permute_ps(x, 0xB1);
    return _mm256_fmaddsub_ps(x, _mm256_moveldup_ps(cs), _mm256_mul_ps(swapped, _mm256_movehdup_ps(cs)));
}

#ifdef __clang__               /* gcc reads in order, and does not unroll loops with assembly in them */
#define v_now(v) __asm__ volatile("" : "+x"(v) : : "memory")
#else
#define v_now(v) ((void)(v))
#endif

#include "engine/kernels/lanes.h"

/* ---------------------------------------------------------------------------------------------------------------
 * Activations to 8 bits. Every step is exact or rounded once, so the result is ref.c's to the bit:
 * - magnitudes are compared as integers, whose order is that of the floats (and infinity and NaN come last);
 * - rounding half away from zero is adding 0.5 with the number's sign and cutting; but 0.5 less 2^-25, since
 *   0.49999997 + 0.5 would itself round to 1. A true half still reaches the next integer: the sum rounds up to it.
 */
INLINE __m256i magnitudes(const float *x) {
    return _mm256_andnot_si256(_mm256_set1_epi32(INT32_MIN), _mm256_castps_si256(_mm256_loadu_ps(x)));
}

/* The scale of a block. */
INLINE float q8_scale(const float *x, int block) {
    __m256i max[4] = { magnitudes(x), magnitudes(x + 8), magnitudes(x + 16), magnitudes(x + 24) };
    for (int i = 32; i < block; i += 32)
        for (int j = 0; j < 4; j++) max[j] = _mm256_max_epi32(max[j], magnitudes(x + i + 8 * j));
    max[0] = _mm256_max_epi32(_mm256_max_epi32(max[0], max[1]), _mm256_max_epi32(max[2], max[3]));
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(max[0]), _mm256_extracti128_si256(max[0], 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4E));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xB1));
    float d = _mm_cvtss_f32(_mm_castsi128_ps(m)) / 127.0f;
    return _mm_cvtsi128_si32(m) >= 0x7F800000 ? NAN : d < FLT_MIN ? 0 : d;
}

static void quantize_q8(void *row, const float *x, int n, int block) {
    const __m256 sign = _mm256_set1_ps(-0.0f), half = _mm256_set1_ps(0x1.fffffep-2f);
    int8_t *q = cut_q8_q(row);
    float *d = cut_q8_d(row, n), scale = 0;
    int16_t *s = cut_q8_s(row, n);

    for (int b = 0; b < n / 32; b++, x += 32) {
        if (b % (block / 32) == 0) scale = q8_scale(x, block);
        d[b] = scale;
        if (!(scale > 0)) {
            _mm256_storeu_si256((void *)(q + 32 * b), _mm256_setzero_si256());
            s[2 * b] = s[2 * b + 1] = 0;
            continue;
        }
        __m256i w[4];
        for (int i = 0; i < 4; i++) {
            __m256 y = _mm256_div_ps(_mm256_loadu_ps(x + 8 * i), _mm256_set1_ps(scale));
            w[i] = _mm256_cvttps_epi32(_mm256_add_ps(y, _mm256_or_ps(half, _mm256_and_ps(y, sign))));
        }
        /* Packing works within 128-bit halves, which leaves groups of four in the order 0 2 4 6 1 3 5 7. */
        __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(w[0], w[1]), _mm256_packs_epi32(w[2], w[3]));
        bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        _mm256_storeu_si256((void *)(q + 32 * b), bytes);

        /* The sums of both halves at once. */
        __m256i sum = _mm256_hadd_epi32(_mm256_add_epi32(w[0], w[1]), _mm256_add_epi32(w[2], w[3]));
        __m128i t = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        t = _mm_hadd_epi32(t, t);
        s[2 * b] = (int16_t)_mm_cvtsi128_si32(t);
        s[2 * b + 1] = (int16_t)_mm_extract_epi32(t, 1);
    }
}

/* ---------------------------------------------------------------------------------------------------------------
 * Quantized weights by one token
 *
 * maddubs multiplies unsigned bytes by signed ones and adds neighbours into 16 bits, where more than 32767 would be cut.
 * What makes each use legal (activations are within 127 either way):
 *   unsigned weights, 63 at most:    2 * 63 * 127 = 16002
 *   signed ones, -128 the lowest:    |w| <= 128 by q with w's sign:  2 * 128 * 127 = 32512
 * What stands for zero in unsigned weights is taken off afterwards, as the sum of zero * q that all rows share.
 */
#define N 8
enum { TILE_T = 4, TILE_MIN = 3 };
#include "engine/kernels/x86_tile.h"

/* 16 sums of two products. `zeros` is maddubs(zero, q). */
INLINE __m256i dot_pairs(enum cut_type type, __m256i w, __m256i q, __m256i zeros) {
    if (is_signed(type)) return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(q, w));
    __m256i pairs = _mm256_maddubs_epi16(w, q);
    return zero_of(type) ? _mm256_sub_epi16(pairs, zeros) : pairs;
}

/* A group of 256 columns of four rows (x86_formats.h), n of its eight blocks: sum[r] += row r by the activations. */
INLINE void gemv_group(enum cut_type type, const char *const wr[4], int n, const int8_t *q, const float *dx, const int16_t *s, vf sum[4]) {
    const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    vf x = n < 8 ? v_load_n(dx, n) : v_load(dx);
    vf x16[2] = { x, x }, xs[2];
    if (n_scales(type) == 2)
        for (int i = 0; i < 2; i++) x16[i] = _mm256_permutevar8x32_ps(x, _mm256_add_epi32(twice, _mm256_set1_epi32(4 * i)));
    if (has_offset(type)) {
        int16_t few[16] = { 0 };
        __m256i s16 = load32(n < 8 ? memcpy(few, s, (size_t)n * 2 * sizeof *s) : s);
        if (n_scales(type) == 1) {
            xs[0] = v_mul(x, _mm256_cvtepi32_ps(_mm256_madd_epi16(s16, _mm256_set1_epi16(1))));
        } else {
            xs[0] = v_mul(x16[0], _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm256_castsi256_si128(s16))));
            xs[1] = v_mul(x16[1], _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm256_extracti128_si256(s16, 1))));
        }
    }

    float d[4][16];            /* scales by those of the activations */
    __m256i signs[4];
    for (int r = 0; r < 4; r++) {
        struct scales k = scales256(type, wr[r], n);
        signs[r] = signs256(type, wr[r]);
        for (int i = 0; i < n_scales(type); i++) {
            v_store(d[r] + 8 * i, v_mul(k.d[i], x16[i]));
            if (has_offset(type)) sum[r] = v_fma(k.m[i], xs[i], sum[r]);
        }
    }
#pragma GCC unroll 8
    for (int b = 0; b < 8; b++) {
        if (b >= n) break;
        __m256i qv = load32(q + 32 * b), zeros = _mm256_maddubs_epi16(_mm256_set1_epi8((char)zero_of(type)), qv);
        for (int r = 0; r < 4; r++) {
            __m256i fours = _mm256_madd_epi16(dot_pairs(type, bytes32(type, wr[r], signs[r], b), qv, zeros), _mm256_set1_epi16(1));
            vf scale = n_scales(type) == 1 ? v_set(d[r][b])
                                           : _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_broadcast_ss(d[r] + 2 * b)),
                                                                  _mm_broadcast_ss(d[r] + 2 * b + 1), 1);
            sum[r] = v_fma(_mm256_cvtepi32_ps(fours), scale, sum[r]);
        }
    }
}

/* Memory is asked for what comes this many bytes later in the same row; further is the hardware's business. */
enum { AHEAD = 128 };

/* Four rows by one token. Each row has eight partial sums, one for each group of four columns of a block. */
INLINE void gemv4(enum cut_type type, const char *base, size_t stride, int n, void *x, int k, float y[4]) {
    const int8_t *q = cut_q8_q(x);
    const float *dx = cut_q8_d(x, k);
    const int16_t *s = cut_q8_s(x, k);
    const size_t step = group_bytes(type);
    const char *wr[4];
    vf sum[4];
    for (int r = 0; r < 4; r++) {
        wr[r] = base + (size_t)cut_min(r, n - 1) * stride;
        sum[r] = v_zero();
    }
    int c = 0;
    for (; c + 256 <= k; c += 256) {
        for (int r = 0; r < 4; r++)
            for (size_t i = 0; i < step; i += 64) _mm_prefetch(wr[r] + AHEAD + i, _MM_HINT_T0);
        gemv_group(type, wr, 8, q + c, dx + c / 32, s + c / 16, sum);
        for (int r = 0; r < 4; r++) wr[r] += step;
    }
    if (c < k && whole_of(type) < 256) gemv_group(type, wr, (k - c) / 32, q + c, dx + c / 32, s + c / 16, sum);
    v_sum4(sum, y, n);
}

/* ---------------------------------------------------------------------------------------------------------------
 * Quantized weights by many tokens: x86_tile.h says how. How many products fit into 16 bits before they must be widened depends on how
 * large the unsigned weights are:
 *   15:  8 pairs add up to at most 8 * 2 * 15 * 127 = 30480, a whole block
 *   31:  4 pairs, 31496        63:  2 pairs, 32004        127:  1 pair, 32258
 *   255: none do. The weights are cut into two nibbles, and the sum of the upper ones counts sixteen times.
 */
INLINE __m256i broadcast4(const void *p) {
    int32_t four;
    memcpy(&four, p, 4);
    return _mm256_set1_epi32(four);
}

/* Pairs that fit, for the tile's bytes. */
INLINE int pairs_of(enum cut_type t) {
    int most = is_signed(t) ? 2 * largest(t) : largest(t);
    return most > 127 ? 0 : most > 63 ? 1 : most > 31 ? 2 : most > 15 ? 4 : 8;
}

INLINE __m256i widen(__m256i sum, __m256i pairs, int by) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16((short)by)));
}

/* The compiler would add in a tree, for speed, and then have more sums in flight than there are registers. */
#define IN_ORDER(v) __asm__("" : "+x"(v))

/* acc[t] = start + vectors [i0, i1) of the tile by T tokens. Integer sums are begun late, to leave their registers to the pairs. */
INLINE void tile_dots(const int pairs, const __m256i *w, const char *q, const char *start, size_t x_stride, const int i0, const int i1,
                      const int T, __m256i acc[TILE_T]) {
    const int step = cut_min(pairs ? pairs : 8, i1 - i0);
    UNROLL for (int i = i0; i < i1; i += step) {
        __m256i low[TILE_T], high[TILE_T];
        UNROLL for (int j = i; j < i + step; j++) {
            __m256i wj = _mm256_load_si256(w + j), wh = wj;
            if (!pairs) {
                wh = low_bits(_mm256_srli_epi16(wj, 4), 4);
                wj = low_bits(wj, 4);
            }
            UNROLL for (int t = 0; t < T; t++) {
                __m256i x = broadcast4(q + (size_t)t * x_stride + 4 * j), p = _mm256_maddubs_epi16(wj, x);
                low[t] = j == i ? p : _mm256_add_epi16(low[t], p);
                IN_ORDER(low[t]);
                if (pairs) continue;
                p = _mm256_maddubs_epi16(wh, x);
                high[t] = j == i ? p : _mm256_add_epi16(high[t], p);
                IN_ORDER(high[t]);
            }
        }
        UNROLL for (int t = 0; t < T; t++) {
            acc[t] = widen(i == i0 ? broadcast4(start + (size_t)t * x_stride) : acc[t], low[t], 1);
            if (!pairs) acc[t] = widen(acc[t], high[t], 16);
        }
    }
}

INLINE vf broadcast_float(const char *p) { return _mm256_broadcast_ss((const float *)(const void *)p); }

/* share[t] of a block: all 32 columns of it, or columns 16 half .. 16 half + 15, by their scale. */
INLINE void tile_share(struct tile_form f, const int pairs, const int T, const int half, const char *tile, struct tile_x x, size_t x_stride,
                       vf share[TILE_T]) {
    vf d = v_load((const float *)(tile + (32 + 4 * half) * N));
    __m256i acc[TILE_T];
    tile_dots(pairs, (const void *)tile, x.q, x.start + 4 * half, x_stride, half * 4, (half + 1) * 8 / f.scales, T, acc);
    UNROLL for (int t = 0; t < T; t++) {
        vf s = _mm256_cvtepi32_ps(acc[t]);
        share[t] = half ? v_fma(s, d, share[t]) : v_mul(s, d);
    }
}

/* sum[t] += offset * scale * sum of the activations. */
INLINE void tile_offset(struct tile_form f, const int T, const int half, const char *tile, struct tile_x x, size_t x_stride, vf sum[TILE_T]) {
    vf m = v_load((const float *)(tile + (32 + 4 * (f.scales + half)) * N));
    UNROLL for (int t = 0; t < T; t++) sum[t] = v_fma(m, broadcast_float(x.ds + (size_t)t * x_stride + 4 * half), sum[t]);
}

INLINE void tile_of(struct tile_form f, const int pairs, const int T, const char *tile, struct tile_x x, size_t x_stride, int n_blocks,
                    int rows, float *y, size_t y_stride) {
    const size_t bytes = tile_bytes(f);
    vf sum[TILE_T];
    UNROLL for (int t = 0; t < T; t++) sum[t] = v_zero();
    for (int b = 0; b < n_blocks; b++) {
        vf share[TILE_T];
        tile_share(f, pairs, T, 0, tile, x, x_stride, share);
        if (f.scales == 2) tile_share(f, pairs, T, 1, tile, x, x_stride, share);
        UNROLL for (int t = 0; t < T; t++) sum[t] = v_fma(share[t], broadcast_float(x.d + (size_t)t * x_stride), sum[t]);
        if (f.offset) tile_offset(f, T, 0, tile, x, x_stride, sum);
        if (f.offset && f.scales == 2) tile_offset(f, T, 1, tile, x, x_stride, sum);
        tile += bytes;
        x = (struct tile_x){ x.q + 32, x.d + 4, x.start + 4 * f.scales, x.ds + 4 * f.scales };
    }
    UNROLL for (int t = 0; t < T; t++) {
        if (rows == N) v_store(y + (size_t)t * y_stride, sum[t]);
        else v_store_n(y + (size_t)t * y_stride, sum[t], rows);
    }
}

/* Compiled once for each form, not for each format. */
#define TILE_OF(name, scales, offset, pairs) \
    static __attribute__((noinline)) void name(int T, const char *tile, struct tile_x x, size_t x_stride, int n_blocks, int rows, \
                                               float *y, size_t y_stride) { \
        const struct tile_form f = { scales, offset }; \
        if (T == TILE_T) tile_of(f, pairs, TILE_T, tile, x, x_stride, n_blocks, rows, y, y_stride); \
        else tile_of(f, pairs, TILE_T / 2, tile, x, x_stride, n_blocks, rows, y, y_stride); \
    }
TILE_OF(tile_1_8, 1, false, 8)
TILE_OF(tile_1_4, 1, false, 4)
TILE_OF(tile_1_1, 1, false, 1)
TILE_OF(tile_1_0, 1, false, 0)
TILE_OF(tile_1m_8, 1, true, 8)
TILE_OF(tile_1m_4, 1, true, 4)
TILE_OF(tile_2_8, 2, false, 8)
TILE_OF(tile_2_4, 2, false, 4)
TILE_OF(tile_2_2, 2, false, 2)
TILE_OF(tile_2_1, 2, false, 1)
TILE_OF(tile_2m_8, 2, true, 8)

INLINE void tile_sums(enum cut_type type, int T, const char *tile, struct tile_x x, size_t x_stride, int n_blocks, int rows, float *y,
                      size_t y_stride) {
    const struct tile_form f = form_of(type);
    const int pairs = pairs_of(type);
    if (f.scales == 1 && !f.offset)
        (pairs == 8 ? tile_1_8 : pairs == 4 ? tile_1_4 : pairs == 1 ? tile_1_1 : tile_1_0)(T, tile, x, x_stride, n_blocks, rows, y, y_stride);
    else if (f.scales == 1)
        (pairs == 8 ? tile_1m_8 : tile_1m_4)(T, tile, x, x_stride, n_blocks, rows, y, y_stride);
    else if (!f.offset)
        (pairs == 8 ? tile_2_8 : pairs == 4 ? tile_2_4 : pairs == 2 ? tile_2_2 : tile_2_1)(T, tile, x, x_stride, n_blocks, rows, y, y_stride);
    else
        tile_2m_8(T, tile, x, x_stride, n_blocks, rows, y, y_stride);
}

/* One function for each format, and the entry that calls it. */
#define PRODUCT(F) static void mm_q8_##F(const struct cut_mm *m, int r0, int r1) { mm_q8(m, r0, r1, CUT_##F); }
X86_FORMATS(PRODUCT)

#define ENTRY(F) k->mm_q8[CUT_##F] = mm_q8_##F; k->mm_q8_name[CUT_##F] = "avx2";
void cut_kernels_fill_avx2(struct cut_kernels *k) {
    fill_float_kernels(k, "avx2");
    k->quantize_q8 = quantize_q8;
    X86_FORMATS(ENTRY)
    k->mm_scratch = mm_tiles_scratch;
}
