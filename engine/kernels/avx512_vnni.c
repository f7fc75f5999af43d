/* avx512_vnni.c - products of quantized weights with VPDPBUSD: x86-64 processors with AVX-512 VNNI (Cascade Lake,
 * Ice Lake, Zen 4 and later).
 *
 * One instruction multiplies 64 unsigned bytes by 64 signed ones and adds the products, by fours, to 16 integers of
 * 32 bits. Nothing saturates: the products and their sums are exact.
 */
#include <immintrin.h>

#include "engine/kernels/kern.h"

#define INLINE static inline __attribute__((always_inline))
#define N 16
enum { TILE_T = 8, TILE_MIN = 4 };
#include "engine/kernels/x86_tile.h"

/* ---------------------------------------------------------------------------------------------------------------
 * Many tokens: x86_tile.h. Of the 32 registers, T hold a tile's sums, T the integer sums of a block, T its share where it has two scales;
 * T = 8 is also enough for none of the chains of additions to be waited for.
 */
INLINE __m512i broadcast4(const void *p) {
    int32_t four;
    memcpy(&four, p, 4);
    return _mm512_set1_epi32(four);
}

INLINE __m512 broadcast_float(const void *p) { return _mm512_castsi512_ps(broadcast4(p)); }

/* share[t] of a block: all 32 columns of it, or columns 16 half .. 16 half + 15, by their scale. */
INLINE void tile_share(struct tile_form f, const int T, const int half, const char *tile, struct tile_x x, size_t x_stride,
                       __m512 share[TILE_T]) {
    const __m512i *w = (const void *)tile;
    __m512 d = _mm512_load_ps(tile + (32 + 4 * half) * N);
    __m512i acc[TILE_T];
    UNROLL for (int t = 0; t < T; t++) acc[t] = broadcast4(x.start + (size_t)t * x_stride + 4 * half);
    UNROLL for (int i = half * 4; i < (half + 1) * 8 / f.scales; i++) {
        __m512i wi = _mm512_load_si512(w + i);
        UNROLL for (int t = 0; t < T; t++) acc[t] = _mm512_dpbusd_epi32(acc[t], wi, broadcast4(x.q + (size_t)t * x_stride + 4 * i));
    }
    UNROLL for (int t = 0; t < T; t++) {
        __m512 s = _mm512_cvtepi32_ps(acc[t]);
        share[t] = half ? _mm512_fmadd_ps(s, d, share[t]) : _mm512_mul_ps(s, d);
    }
}

/* sum[t] += offset * scale * sum of the activations. */
INLINE void tile_offset(struct tile_form f, const int T, const int half, const char *tile, struct tile_x x, size_t x_stride,
                        __m512 sum[TILE_T]) {
    __m512 m = _mm512_load_ps(tile + (32 + 4 * (f.scales + half)) * N);
    UNROLL for (int t = 0; t < T; t++) sum[t] = _mm512_fmadd_ps(m, broadcast_float(x.ds + (size_t)t * x_stride + 4 * half), sum[t]);
}

INLINE void tile_of(struct tile_form f, const int T, const char *tile, struct tile_x x, size_t x_stride, int n_blocks, int rows, float *y,
                    size_t y_stride) {
    const size_t bytes = tile_bytes(f);
    __m512 sum[TILE_T];
    UNROLL for (int t = 0; t < T; t++) sum[t] = _mm512_setzero_ps();
    for (int b = 0; b < n_blocks; b++) {
        __m512 share[TILE_T];
        tile_share(f, T, 0, tile, x, x_stride, share);
        if (f.scales == 2) tile_share(f, T, 1, tile, x, x_stride, share);
        UNROLL for (int t = 0; t < T; t++) sum[t] = _mm512_fmadd_ps(share[t], broadcast_float(x.d + (size_t)t * x_stride), sum[t]);
        if (f.offset) tile_offset(f, T, 0, tile, x, x_stride, sum);
        if (f.offset && f.scales == 2) tile_offset(f, T, 1, tile, x, x_stride, sum);
        tile += bytes;
        x = (struct tile_x){ x.q + 32, x.d + 4, x.start + 4 * f.scales, x.ds + 4 * f.scales };
    }
    const __mmask16 on = (__mmask16)((1u << rows) - 1);
    UNROLL for (int t = 0; t < T; t++) _mm512_mask_storeu_ps(y + (size_t)t * y_stride, on, sum[t]);
}

/* Compiled once for each form, not for each format. */
#define TILE_OF(name, scales, offset) \
    static __attribute__((noinline)) void name(int T, const char *tile, struct tile_x x, size_t x_stride, int n_blocks, int rows, \
                                               float *y, size_t y_stride) { \
        const struct tile_form f = { scales, offset }; \
        if (T == TILE_T) tile_of(f, TILE_T, tile, x, x_stride, n_blocks, rows, y, y_stride); \
        else tile_of(f, TILE_T / 2, tile, x, x_stride, n_blocks, rows, y, y_stride); \
    }
TILE_OF(tile_1, 1, false)
TILE_OF(tile_1m, 1, true)
TILE_OF(tile_2, 2, false)
TILE_OF(tile_2m, 2, true)

INLINE void tile_sums(enum cut_type type, int T, const char *tile, struct tile_x x, size_t x_stride, int n_blocks, int rows, float *y,
                      size_t y_stride) {
    const struct tile_form f = form_of(type);
    (f.scales == 1 ? f.offset ? tile_1m : tile_1 : f.offset ? tile_2m : tile_2)(T, tile, x, x_stride, n_blocks, rows, y, y_stride);
}

/* ---------------------------------------------------------------------------------------------------------------
 * One token. Here every weight is used once, and what counts is to keep up with the memory it comes from.
 *
 * Four rows at a time share the activations and what is computed from them. Weights are the unsigned bytes now, with
 * an offset z where the format has none of its own, and the sums start from the offset's share:
 *   sum (w - z) q = sum w q - sum z q,   the second term being the same for all rows.
 * A step takes 256 columns of each row. Sixteen partial sums a row are added at the end, in an order that is the same
 * for each of the four.
 */
enum { STEP = 256, STEP_BLOCKS = STEP / 32 };
struct four { const char *row[4]; };

INLINE __m512i start_from(int z, __m512i q) {
    __m512i share = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8((char)z), q);
    return _mm512_sub_epi32(_mm512_setzero_si512(), share);
}

/* Float16 scales at the given words of a vector, as floats. */
INLINE __m512 pick_scales(__m512i raw, __m256i words) {
    return _mm512_cvtph_ps(_mm512_castsi512_si256(_mm512_permutexvar_epi16(_mm512_castsi256_si512(words), raw)));
}

/* Four blocks: their low nibbles fill a vector, four lanes a block, and their high nibbles another. n is how many of the
 * four exist; what is beyond reads as zeros. */
INLINE void unit_q4_0(struct four w, int n, const int8_t *q, const float *d, __m512 sum[4]) {
    /* In 16-bit words from the first block on: where the scales of the four stand, and the nibbles of the first three. */
    const __m256i scales = _mm256_set_epi16(27, 27, 27, 27, 18, 18, 18, 18, 9, 9, 9, 9, 0, 0, 0, 0);
    const __m512i nibbles = _mm512_set_epi16(0, 0, 0, 0, 0, 0, 0, 0, 26, 25, 24, 23, 22, 21, 20, 19,
                                             17, 16, 15, 14, 13, 12, 11, 10, 8, 7, 6, 5, 4, 3, 2, 1);
    const __m512i by_four = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    const __m512i mask = _mm512_set1_epi8(15);
    const uint32_t all = UINT32_MAX, words = n == 4 ? all : (1u << 9 * n) - 1, fours = n == 4 ? all : (1u << 8 * n) - 1;

    __m512i q01 = _mm512_maskz_loadu_epi32((__mmask16)fours, q);
    __m512i q23 = _mm512_maskz_loadu_epi32((__mmask16)(fours >> 16), q + 64);
    __m512i q_low = _mm512_shuffle_i32x4(q01, q23, 0x88), q_high = _mm512_shuffle_i32x4(q01, q23, 0xDD);
    __m512i start = _mm512_add_epi32(start_from(8, q_low), start_from(8, q_high));
    __m128 dx = _mm_maskz_loadu_ps((__mmask8)((1u << n) - 1), d);
    __m512 dx4 = _mm512_permutexvar_ps(by_four, _mm512_castps128_ps512(dx));
    for (int r = 0; r < 4; r++) {
        const struct cut_q4_0 *block = (const struct cut_q4_0 *)w.row[r];
        __m512i raw = _mm512_maskz_loadu_epi16(words, block);
        __m512i v = _mm512_permutexvar_epi16(nibbles, raw);
        if (n == 4) v = _mm512_mask_broadcast_i32x4(v, 0xF000, _mm_loadu_si128((const void *)block[3].qs));
        __m512i acc = _mm512_dpbusd_epi32(start, _mm512_and_si512(v, mask), q_low);
        acc = _mm512_dpbusd_epi32(acc, _mm512_and_si512(_mm512_srli_epi16(v, 4), mask), q_high);
        __m512 dw = pick_scales(raw, scales);
        sum[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc), _mm512_mul_ps(dw, dx4), sum[r]);
    }
}

/* Two blocks fill a vector, eight lanes a block; n of them exist. Their scales are words 0 and 17. */
INLINE void unit_q8_0(struct four w, int n, const int8_t *q, const float *d, __m512 sum[4]) {
    const __m256i scales = _mm256_set_epi16(17, 17, 17, 17, 17, 17, 17, 17, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m512i by_eight = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);

    __m512i qv = _mm512_maskz_loadu_epi32(n == 2 ? 0xFFFF : 0xFF, q), start = start_from(128, qv);
    __m128 dx = _mm_maskz_loadu_ps((__mmask8)((1u << n) - 1), d);
    __m512 dx8 = _mm512_permutexvar_ps(by_eight, _mm512_castps128_ps512(dx));
    for (int r = 0; r < 4; r++) {
        const struct cut_q8_0 *block = (const struct cut_q8_0 *)w.row[r];
        __m512i raw = _mm512_maskz_loadu_epi16(n == 2 ? UINT32_MAX : (1u << 17) - 1, block);
        __m512i v = _mm512_castsi256_si512(_mm256_loadu_si256((const void *)block[0].qs));
        v = _mm512_inserti64x4(v, n == 2 ? _mm256_loadu_si256((const void *)block[1].qs) : _mm256_setzero_si256(), 1);
        __m512i acc = _mm512_dpbusd_epi32(start, _mm512_xor_si512(v, _mm512_set1_epi8(-128)), qv);
        __m512 dw = pick_scales(raw, scales);
        sum[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc), _mm512_mul_ps(dw, dx8), sum[r]);
    }
}

/* One block of 256: groups g = 0, 1 of a half (see blocks.h) fill a vector, then g = 2, 3; four lanes a scale. */
INLINE void unit_q6_K(struct four w, const int8_t *q, const float *d, __m512 sum[4]) {
    const __m512i twice = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
    const __m512i by_four = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    const __m512i left = _mm512_set_epi32(2, 2, 2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 4, 4);
    const __m512i right = _mm512_set_epi32(2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m512i low4 = _mm512_set1_epi8(15), bits45 = _mm512_set1_epi8(48);

    __m512 dx = _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_loadu_ps(d))), scale[4];
    for (int r = 0; r < 4; r++) {
        const struct cut_q6_K *block = (const struct cut_q6_K *)w.row[r];
        __m512 s = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)block->scales)));
        scale[r] = _mm512_mul_ps(s, _mm512_mul_ps(_mm512_set1_ps(_cvtsh_ss(block->d)), dx));
    }
    for (int half = 0; half < 2; half++) {
        __m512i qa = _mm512_loadu_si512(q + 128 * half), qb = _mm512_loadu_si512(q + 128 * half + 64);
        __m512i start_a = start_from(32, qa), start_b = start_from(32, qb);
        __m512i to_a = _mm512_add_epi32(by_four, _mm512_set1_epi32(8 * half));
        __m512i to_b = _mm512_add_epi32(to_a, _mm512_set1_epi32(4));
        for (int r = 0; r < 4; r++) {
            const struct cut_q6_K *block = (const struct cut_q6_K *)w.row[r];
            __m512i low = _mm512_loadu_si512(block->ql + 64 * half);
            __m512i high = _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)(block->qh + 32 * half)));
            __m512i high_a = _mm512_and_si512(_mm512_sllv_epi32(high, left), bits45);
            __m512i high_b = _mm512_and_si512(_mm512_srlv_epi32(high, right), bits45);
            /* 0xEA is (low & low4) | high. */
            __m512i va = _mm512_ternarylogic_epi32(low, low4, high_a, 0xEA);
            __m512i vb = _mm512_ternarylogic_epi32(_mm512_srli_epi16(low, 4), low4, high_b, 0xEA);
            __m512 a = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(start_a, va, qa));
            __m512 b = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(start_b, vb, qb));
            sum[r] = _mm512_fmadd_ps(a, _mm512_permutexvar_ps(to_a, scale[r]), sum[r]);
            sum[r] = _mm512_fmadd_ps(b, _mm512_permutexvar_ps(to_b, scale[r]), sum[r]);
        }
    }
}

/* Blocks that a vector holds, and bytes from a block to the next. */
INLINE int unit_of(enum cut_type type) { return type == CUT_Q4_0 ? 4 : type == CUT_Q8_0 ? 2 : 8; }
INLINE size_t block_stride(enum cut_type type) {
    return type == CUT_Q4_0 ? sizeof(struct cut_q4_0) : type == CUT_Q8_0 ? sizeof(struct cut_q8_0) : 0;
}

/* n blocks of each row. */
INLINE void step(enum cut_type type, struct four w, int n, const int8_t *q, const float *d, __m512 sum[4]) {
    const int unit = unit_of(type);
    for (; n >= unit; n -= unit, q += 32 * unit, d += unit) {
        if (type == CUT_Q4_0) unit_q4_0(w, 4, q, d, sum);
        else if (type == CUT_Q8_0) unit_q8_0(w, 2, q, d, sum);
        else unit_q6_K(w, q, d, sum);
        for (int r = 0; r < 4; r++) w.row[r] += (size_t)unit * block_stride(type);
    }
    if (n && type == CUT_Q4_0) unit_q4_0(w, n, q, d, sum);
    if (n && type == CUT_Q8_0) unit_q8_0(w, n, q, d, sum);
}

/* ---- any other format: 256 columns, 64 weights to a vector. Where x86_formats.h would need two vectors and a join, the bits of 64
 * weights are brought to the right lanes first. */

/* 32 bytes in both halves of a vector, the halves shifted right by a and b bits; bits of neighbouring bytes come along. */
INLINE __m512i twice_shifted(const void *p, int a, int b) {
    const __m512i by = _mm512_set_epi64(b, b, b, b, a, a, a, a);
    return _mm512_srlv_epi64(_mm512_broadcast_i64x4(load32(p)), by);
}

/* Bits a and b of the bytes of the halves, moved to bit `to`; the other bits are anything. */
INLINE __m512i bits_at(const void *p, int a, int b, int to) {
    const long long x = (a - to) & 63, y = (b - to) & 63;
    return _mm512_rorv_epi64(_mm512_broadcast_i64x4(load32(p)), _mm512_set_epi64(y, y, y, y, x, x, x, x));
}

/* The nibbles of 16 bytes and 16 more: low ones, high ones, low ones, high ones. */
INLINE __m512i nibbles64(const void *p, const void *q) {
    __m512i v = _mm512_mask_broadcast_i32x4(_mm512_broadcast_i32x4(load16(p)), 0xFF00, load16(q));
    return _mm512_and_si512(_mm512_srlv_epi64(v, _mm512_set_epi64(4, 4, 0, 0, 4, 4, 0, 0)), _mm512_set1_epi8(15));
}

INLINE __m512i lookup64(const int8_t table[16], __m512i index, int plus) {
    __m128i t = _mm_add_epi8(load16(table), _mm_set1_epi8((char)plus));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(t), index);
}

/* What stands for 0 in the bytes below. The codebooks' are magnitudes: there the activations take the sign. */
INLINE int zero64(enum cut_type t) { return has_grid(t) ? 0 : tile_zero(t); }

/* Weights 64 i .. 64 i + 63 of a group, as unsigned bytes. */
INLINE __m512i bytes64(enum cut_type type, const void *group, int i) {
    const __m512i three = _mm512_set1_epi8(3), fifteen = _mm512_set1_epi8(15);
    const char *block = (const char *)group + (size_t)i * group_bytes(type) / 4, *next = block + group_bytes(type) / 8;
    switch (type) {
    case CUT_Q4_1: return nibbles64(block + 4, next + 4);
    case CUT_Q5_0: case CUT_Q5_1: {
        const int at = type == CUT_Q5_0 ? 2 : 4;
        __mmask64 fifth = load_u32(block + at) | (uint64_t)load_u32(next + at) << 32;
        __m512i v = nibbles64(block + at + 4, next + at + 4);
        return _mm512_mask_add_epi8(v, fifth, v, _mm512_set1_epi8(16));
    }
    case CUT_Q2_K:  return _mm512_and_si512(twice_shifted(((const struct cut_q2_K *)group)->qs + i / 2 * 32, i % 2 * 4, i % 2 * 4 + 2), three);
    case CUT_TQ2_0: return _mm512_and_si512(twice_shifted(((const struct cut_tq2_0 *)group)->qs + i / 2 * 32, i % 2 * 4, i % 2 * 4 + 2), three);
    case CUT_Q3_K: {
        const struct cut_q3_K *w = group;
        __m512i low = _mm512_and_si512(twice_shifted(w->qs + i / 2 * 32, i % 2 * 4, i % 2 * 4 + 2), three);
        /* 0xEC is (a & c) | b. */
        return _mm512_ternarylogic_epi32(bits_at(w->hmask, 2 * i, 2 * i + 1, 2), low, _mm512_set1_epi8(4), 0xEC);
    }
    case CUT_Q4_K: return _mm512_and_si512(twice_shifted(((const struct cut_q4_K *)group)->qs + 32 * i, 0, 4), fifteen);
    case CUT_Q5_K: {
        const struct cut_q5_K *w = group;
        __m512i low = _mm512_and_si512(twice_shifted(w->qs + 32 * i, 0, 4), fifteen);
        return _mm512_ternarylogic_epi32(bits_at(w->qh, 2 * i, 2 * i + 1, 4), low, _mm512_set1_epi8(16), 0xEC);
    }
    case CUT_IQ4_NL: return lookup64(cut_iq4_values, nibbles64(block + 2, next + 2), 128);
    case CUT_IQ4_XS: {
        const uint8_t *qs = ((const struct cut_iq4_xs *)group)->qs + 32 * i;
        return lookup64(cut_iq4_values, nibbles64(qs, qs + 16), 128);
    }
    case CUT_MXFP4: return lookup64(cut_e2m1_doubled, nibbles64(block + 1, next + 1), zero_of(type));
    case CUT_Q1_0: {
        const struct cut_q1_0 *w = (const struct cut_q1_0 *)group + i / 2;
        return _mm512_maskz_set1_epi8((__mmask64)load_i64(w->qs + i % 2 * 8), 2);
    }
    default: {
        const __m256i none = _mm256_setzero_si256();
        if (has_grid(type)) return _mm512_inserti64x4(_mm512_castsi256_si512(grid32(type, group, 2 * i)), grid32(type, group, 2 * i + 1), 1);
        return _mm512_inserti64x4(_mm512_castsi256_si512(bytes32(type, group, none, 2 * i)), bytes32(type, group, none, 2 * i + 1), 1);
    }
    }
}

/* The lanes of vector i of the four take scale i * 4 + lane / 4 of sixteen, or i * 2 + lane / 8 of eight. */
INLINE __m512i lanes_of(enum cut_type type, int i) {
    const __m512i by_four = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    const __m512i by_eight = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    return n_scales(type) == 1 ? _mm512_add_epi32(by_eight, _mm512_set1_epi32(2 * i)) : _mm512_add_epi32(by_four, _mm512_set1_epi32(4 * i));
}

INLINE __m512 joined(enum cut_type type, const __m256 v[2]) {
    return n_scales(type) == 1 ? _mm512_zextps256_ps512(v[0]) : _mm512_insertf32x8(_mm512_castps256_ps512(v[0]), v[1], 1);
}

/* 256 columns: q, d and s are those of the activations. First the rows' scales; then the rows side by side, so that what they share of 64
 * columns is read once and stays in registers. */
INLINE void group_any(enum cut_type type, struct four w, const int8_t *q, const float *d, const int16_t *s, __m512 sum[4]) {
    const __m512i twice = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
    __m256 d8 = _mm256_loadu_ps(d);
    __m512 dx = n_scales(type) == 1 ? _mm512_zextps256_ps512(d8) : _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(d8));
    __m512 ds = dx, scale[4];
    if (has_offset(type)) {
        __m256i s16 = load32(s);
        ds = n_scales(type) == 1 ? _mm512_zextps256_ps512(_mm256_mul_ps(d8, _mm256_cvtepi32_ps(_mm256_madd_epi16(s16, _mm256_set1_epi16(1)))))
                                 : _mm512_mul_ps(dx, _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(s16)));
    }
    uint64_t minus[4][4];
    UNROLL for (int r = 0; r < 4; r++) {
        struct scales k = scales256(type, w.row[r], 8);
        scale[r] = _mm512_mul_ps(joined(type, k.d), dx);
        if (has_offset(type)) sum[r] = _mm512_fmadd_ps(joined(type, k.m), ds, sum[r]);
        if (has_grid(type)) _mm256_storeu_si256((void *)minus[r], signs256(type, w.row[r]));
    }
    UNROLL for (int i = 0; i < 4; i++) {
        __m512i x = _mm512_loadu_si512(q + 64 * i), start = zero64(type) ? start_from(zero64(type), x) : _mm512_setzero_si512();
        __m512i lanes = lanes_of(type, i);
        UNROLL for (int r = 0; r < 4; r++) {
            __m512i signed_x = has_grid(type) ? _mm512_mask_sub_epi8(x, minus[r][i], _mm512_setzero_si512(), x) : x;
            __m512i acc = _mm512_dpbusd_epi32(start, bytes64(type, w.row[r], i), signed_x);
            sum[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc), _mm512_permutexvar_ps(lanes, scale[r]), sum[r]);
        }
    }
}

/* The last blocks of a row, fewer than eight, are multiplied from a copy that is filled up with zeros. */
struct tail { int8_t q[STEP]; float d[STEP / 32]; int16_t s[STEP / 16]; char w[4][8 * sizeof(struct cut_q8_0)]; };

INLINE void tail_any(enum cut_type type, struct four w, int n, const int8_t *q, const float *d, const int16_t *s, __m512 sum[4]) {
    struct tail t;
    memset(&t, 0, sizeof t);
    memcpy(t.q, q, (size_t)n * 32);
    memcpy(t.d, d, (size_t)n * sizeof *d);
    memcpy(t.s, s, (size_t)n * 2 * sizeof *s);
    for (int r = 0; r < 4; r++) w.row[r] = memcpy(t.w[r], w.row[r], (size_t)n * group_bytes(type) / 8);
    group_any(type, w, t.q, t.d, t.s, sum);
}

/* One token: memory is asked for what comes this many bytes later in the same row; further is the hardware's business. */
enum { AHEAD = 128 };

INLINE bool has_unit(enum cut_type type) { return type == CUT_Q4_0 || type == CUT_Q8_0 || type == CUT_Q6_K; }

INLINE void gemv4(enum cut_type type, const char *base, size_t stride, int n, void *x, int k, float y[4]) {
    const size_t step_bytes = group_bytes(type);
    const int8_t *q = cut_q8_q(x);
    const float *d = cut_q8_d(x, k);
    const int16_t *s = cut_q8_s(x, k);
    struct four w;
    __m512 sum[4];
    for (int r = 0; r < 4; r++) {
        w.row[r] = base + (size_t)cut_min(r, n - 1) * stride;
        sum[r] = _mm512_setzero_ps();
    }
    int c = 0;
    for (; c + STEP <= k; c += STEP) {
        for (int r = 0; r < 4; r++)
            for (size_t i = 0; i < step_bytes; i += 64) _mm_prefetch(w.row[r] + AHEAD + i, _MM_HINT_T0);
        if (has_unit(type)) step(type, w, STEP_BLOCKS, q + c, d + c / 32, sum);
        else group_any(type, w, q + c, d + c / 32, s + c / 16, sum);
        for (int r = 0; r < 4; r++) w.row[r] += step_bytes;
    }
    if (c < k && has_unit(type)) step(type, w, (k - c) / 32, q + c, d + c / 32, sum);
    else if (c < k && whole_of(type) < 256) tail_any(type, w, (k - c) / 32, q + c, d + c / 32, s + c / 16, sum);
    for (int r = 0; r < n; r++) y[r] = _mm512_reduce_add_ps(sum[r]);
}

/* One function for each format, and the entry that calls it. */
#define PRODUCT(F) static void mm_q8_##F(const struct cut_mm *m, int r0, int r1) { mm_q8(m, r0, r1, CUT_##F); }
X86_FORMATS(PRODUCT)

#define ENTRY(F) k->mm_q8[CUT_##F] = mm_q8_##F; k->mm_q8_name[CUT_##F] = "avx512 vnni";
void cut_kernels_fill_avx512_vnni(struct cut_kernels *k) {
    k->mm_scratch = mm_tiles_scratch;
    X86_FORMATS(ENTRY)
}
