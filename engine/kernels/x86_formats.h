/* x86_formats.h - every quantized format, unpacked with AVX2: what differs between the matrix products of one format and those of
 * another, and nothing else. Internal; included by avx2.c and avx512_vnni.c.
 *
 * A row is taken 256 columns at a time: a super-block, or 256 / n blocks of n; here a "group". Of a group one can ask for
 *
 *   bytes32()    32 weights, one a byte, in the order of the columns. Either unsigned, as w + zero with the format's `zero`, or, where the
 *                format stores signs or a table with both, as they are (`is_signed`)
 *   scales256()  the scales of its 8 or 16 parts as floats, and the offsets
 *
 * so that weight i of part j is d[j] * (byte i - zero) + m[j]: the form of engine/quant/unpack.h. `type` is a constant wherever these
 * are called: every `if` on it is decided by the compiler.
 */
#ifndef CUT_X86_FORMATS_H
#define CUT_X86_FORMATS_H

#include <immintrin.h>

#include "engine/kernels/unroll.h"
#include "engine/quant/codebooks.h"
#include "engine/quant/unpack.h"

/* ---------------------------------------------------------------------------------------------------------------
 * What the formats are like
 */

#define X86_FORMATS(DO) \
    DO(Q4_0) DO(Q4_1) DO(Q5_0) DO(Q5_1) DO(Q8_0) DO(Q2_K) DO(Q3_K) DO(Q4_K) DO(Q5_K) DO(Q6_K) DO(IQ4_NL) DO(IQ4_XS) DO(IQ3_XXS) \
    DO(IQ3_S) DO(IQ2_XXS) DO(IQ2_XS) DO(IQ2_S) DO(IQ1_S) DO(IQ1_M) DO(TQ1_0) DO(TQ2_0) DO(MXFP4) DO(NVFP4) DO(Q1_0) DO(Q2_0)

/* 1: a scale for 32 weights. 2: one for 16. */
INLINE int n_scales(enum cut_type t) {
    return t == CUT_Q2_K || t == CUT_Q3_K || t == CUT_Q6_K || t == CUT_IQ2_XS || t == CUT_IQ2_S || t == CUT_IQ1_M || t == CUT_NVFP4 ? 2 : 1;
}

INLINE bool has_offset(enum cut_type t) {
    return t == CUT_Q4_1 || t == CUT_Q5_1 || t == CUT_Q2_K || t == CUT_Q4_K || t == CUT_Q5_K;
}

/* What stands for 0 in unsigned bytes. */
INLINE int zero_of(enum cut_type t) {
    switch (t) {
    case CUT_Q4_0:                   return 8;
    case CUT_Q5_0:                   return 16;
    case CUT_Q3_K:                   return 4;
    case CUT_Q6_K:                   return 32;
    case CUT_MXFP4: case CUT_NVFP4:  return 12;
    case CUT_IQ1_S: case CUT_IQ1_M:  return 9;
    case CUT_TQ1_0: case CUT_TQ2_0:
    case CUT_Q1_0:  case CUT_Q2_0:   return 1;
    default:                         return 0;
    }
}

INLINE bool is_signed(enum cut_type t) {
    return t == CUT_Q8_0 || t == CUT_IQ4_NL || t == CUT_IQ4_XS || t == CUT_IQ2_XXS || t == CUT_IQ2_XS || t == CUT_IQ2_S ||
           t == CUT_IQ3_XXS || t == CUT_IQ3_S;
}

/* The largest byte, or magnitude of one, rounded up to one less than a power of two (128 stays). */
INLINE int largest(enum cut_type t) {
    switch (t) {
    case CUT_Q8_0: case CUT_IQ4_NL: case CUT_IQ4_XS: return 128;
    case CUT_Q6_K: case CUT_IQ2_XXS: case CUT_IQ2_XS: case CUT_IQ2_S: case CUT_IQ3_XXS: case CUT_IQ3_S: return 63;
    case CUT_Q5_0: case CUT_Q5_1: case CUT_Q5_K: case CUT_MXFP4: case CUT_NVFP4: case CUT_IQ1_S: case CUT_IQ1_M: return 31;
    default: return 15;
    }
}

/* Bytes of 256 weights. */
INLINE size_t group_bytes(enum cut_type t) {
    switch (t) {
    case CUT_Q4_0:    return 8 * sizeof(struct cut_q4_0);
    case CUT_Q4_1:    return 8 * sizeof(struct cut_q4_1);
    case CUT_Q5_0:    return 8 * sizeof(struct cut_q5_0);
    case CUT_Q5_1:    return 8 * sizeof(struct cut_q5_1);
    case CUT_Q8_0:    return 8 * sizeof(struct cut_q8_0);
    case CUT_IQ4_NL:  return 8 * sizeof(struct cut_iq4_nl);
    case CUT_MXFP4:   return 8 * sizeof(struct cut_mxfp4);
    case CUT_NVFP4:   return 4 * sizeof(struct cut_nvfp4);
    case CUT_Q1_0:    return 2 * sizeof(struct cut_q1_0);
    case CUT_Q2_0:    return 4 * sizeof(struct cut_q2_0);
    case CUT_Q2_K:    return sizeof(struct cut_q2_K);
    case CUT_Q3_K:    return sizeof(struct cut_q3_K);
    case CUT_Q4_K:    return sizeof(struct cut_q4_K);
    case CUT_Q5_K:    return sizeof(struct cut_q5_K);
    case CUT_Q6_K:    return sizeof(struct cut_q6_K);
    case CUT_IQ4_XS:  return sizeof(struct cut_iq4_xs);
    case CUT_IQ3_XXS: return sizeof(struct cut_iq3_xxs);
    case CUT_IQ3_S:   return sizeof(struct cut_iq3_s);
    case CUT_IQ2_XXS: return sizeof(struct cut_iq2_xxs);
    case CUT_IQ2_XS:  return sizeof(struct cut_iq2_xs);
    case CUT_IQ2_S:   return sizeof(struct cut_iq2_s);
    case CUT_IQ1_S:   return sizeof(struct cut_iq1_s);
    case CUT_IQ1_M:   return sizeof(struct cut_iq1_m);
    case CUT_TQ1_0:   return sizeof(struct cut_tq1_0);
    case CUT_TQ2_0:   return sizeof(struct cut_tq2_0);
    default:          return 0;
    }
}

/* Weights whose bits lie together: what a file cannot cut in two. */
INLINE int whole_of(enum cut_type t) {
    switch (t) {
    case CUT_Q4_0: case CUT_Q4_1: case CUT_Q5_0: case CUT_Q5_1: case CUT_Q8_0: case CUT_IQ4_NL: case CUT_MXFP4: return 32;
    case CUT_NVFP4: case CUT_Q2_0: return 64;
    case CUT_Q1_0: return 128;
    default: return 256;
    }
}

/* ---------------------------------------------------------------------------------------------------------------
 * Pieces that formats share
 */
INLINE __m256i load32(const void *p) { return _mm256_loadu_si256(p); }
INLINE __m128i load16(const void *p) { return _mm_loadu_si128(p); }
INLINE uint32_t load_u32(const void *p) {
    uint32_t u;
    memcpy(&u, p, sizeof u);
    return u;
}
INLINE int64_t load_i64(const void *p) {
    int64_t i;
    memcpy(&i, p, sizeof i);
    return i;
}
INLINE __m256i both(__m128i low, __m128i high) { return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1); }
INLINE __m256i low_bits(__m256i v, int n) { return _mm256_and_si256(v, _mm256_set1_epi8((char)((1 << n) - 1))); }

/* 16 bytes to 32 nibbles: the low ones, then the high ones. */
INLINE __m256i nibbles(const void *p) {
    __m128i v = load16(p);
    return low_bits(both(v, _mm_srli_epi16(v, 4)), 4);
}

/* 32 bits to 32 bytes, each all ones or zero. */
INLINE __m256i spread_bits(uint32_t bits) {
    const __m256i byte = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i bit = _mm256_set1_epi64x((int64_t)0x8040201008040201);
    __m256i v = _mm256_shuffle_epi8(_mm256_set1_epi32((int32_t)bits), byte);
    return _mm256_cmpeq_epi8(_mm256_and_si256(v, bit), bit);
}

/* Bit b % 8 of each byte, moved to bit `to`. */
INLINE __m256i one_bit(__m256i v, int b, int to) {
    v = b % 8 > to ? _mm256_srli_epi16(v, b % 8 - to) : _mm256_slli_epi16(v, to - b % 8);
    return _mm256_and_si256(v, _mm256_set1_epi8((char)(1 << to)));
}

INLINE __m256i lookup(const int8_t table[16], __m256i index, int plus) {
    __m128i t = _mm_add_epi8(load16(table), _mm_set1_epi8((char)plus));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(t), index);
}

INLINE __m256i four_of_8(const int8_t (*grid)[8], unsigned a, unsigned b, unsigned c, unsigned d) {
    return _mm256_set_epi64x(load_i64(grid[d]), load_i64(grid[c]), load_i64(grid[b]), load_i64(grid[a]));
}

/* The ninth bits of the eight indices are the bits of `high`. */
INLINE __m256i eight_of_4(const int8_t (*grid)[4], const uint8_t *low, unsigned high) {
    uint64_t v[4];
    uint16_t at[8];
    const __m128i bit = _mm_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128);
    __m128i ninth = _mm_cmpeq_epi16(_mm_and_si128(_mm_set1_epi16((short)high), bit), bit);
    __m128i index = _mm_cvtepu8_epi16(_mm_loadl_epi64((const void *)low));
    _mm_storeu_si128((void *)at, _mm_or_si128(index, _mm_and_si128(ninth, _mm_set1_epi16(256))));
    for (int i = 0; i < 4; i++) v[i] = load_u32(grid[at[2 * i]]) | (uint64_t)load_u32(grid[at[2 * i + 1]]) << 32;
    return _mm256_set_epi64x((int64_t)v[3], (int64_t)v[2], (int64_t)v[1], (int64_t)v[0]);
}

/* Eight times four signs' indices of seven bits, in the low 28 bits of each 32, to 32 bytes of eight signs: the eighth bit makes the
 * number of ones even. */
INLINE __m256i even_signs(__m256i v) {
    __m256i s = _mm256_and_si256(v, _mm256_set1_epi32(0x7F));
    s = _mm256_or_si256(s, _mm256_and_si256(_mm256_slli_epi32(v, 1), _mm256_set1_epi32(0x7F00)));
    s = _mm256_or_si256(s, _mm256_and_si256(_mm256_slli_epi32(v, 2), _mm256_set1_epi32(0x7F0000)));
    s = _mm256_or_si256(s, _mm256_and_si256(_mm256_slli_epi32(v, 3), _mm256_set1_epi32(0x7F000000)));
    __m256i odd = _mm256_xor_si256(s, _mm256_srli_epi16(s, 4));
    const __m128i parity = _mm_setr_epi8(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0);
    return _mm256_or_si256(s, _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(parity), low_bits(odd, 4)));
}

/* Rows of 8 32-bit lanes to columns: 8x8 in three rounds of exchanging pairs. */
INLINE void transpose8(__m256i v[8]) {
    __m256i a[8];
    for (int i = 0; i < 8; i += 2) {
        a[i]     = _mm256_unpacklo_epi32(v[i], v[i + 1]);
        a[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        v[i]     = _mm256_unpacklo_epi64(a[i], a[i + 2]);
        v[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
        v[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
        v[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        a[i]     = _mm256_permute2x128_si256(v[i], v[i + 4], 0x20);
        a[i + 4] = _mm256_permute2x128_si256(v[i], v[i + 4], 0x31);
    }
    for (int i = 0; i < 8; i++) v[i] = a[i];
}

/* ---------------------------------------------------------------------------------------------------------------
 * 256 bits of signs, for the formats that keep them apart; one set: negative
 */
INLINE __m256i signs256(enum cut_type type, const void *group) {
    if (type == CUT_IQ2_S) return load32(((const struct cut_iq2_s *)group)->signs);
    if (type == CUT_IQ3_S) return load32(((const struct cut_iq3_s *)group)->signs);
    if (type == CUT_IQ3_XXS) return even_signs(load32(((const struct cut_iq3_xxs *)group)->signs));
    if (type == CUT_IQ2_XXS) {             /* the odd ones of 16 words of 32 bits */
        const struct cut_iq2_xxs *w = group;
        __m256 a = _mm256_castsi256_ps(load32(w->qs)), b = _mm256_castsi256_ps(load32(w->qs + 16));
        return even_signs(_mm256_permute4x64_epi64(_mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xDD)), 0xD8));
    }
    if (type == CUT_IQ2_XS) {              /* the upper seven bits of 32 words of 16 */
        const struct cut_iq2_xs *w = group;
        __m256i a = _mm256_srli_epi16(load32(w->qs), 9), b = _mm256_srli_epi16(load32(w->qs + 16), 9);
        __m256i s = _mm256_permute4x64_epi64(_mm256_packus_epi16(a, b), 0xD8);
        const __m128i parity = _mm_setr_epi8(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0);
        __m256i odd = low_bits(_mm256_xor_si256(s, _mm256_srli_epi16(s, 4)), 4);
        return _mm256_or_si256(s, _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(parity), odd));
    }
    return _mm256_setzero_si256();
}

/* The magnitudes of weights 32 b .. 32 b + 31 that those signs belong to. */
INLINE __m256i grid32(enum cut_type type, const void *group, int b) {
    if (type == CUT_IQ2_XXS) {
        const uint8_t *i = (const uint8_t *)(((const struct cut_iq2_xxs *)group)->qs + 4 * b);
        return four_of_8(cut_grid_iq2_xxs, i[0], i[1], i[2], i[3]);
    }
    if (type == CUT_IQ2_XS) {
        const uint16_t *i = ((const struct cut_iq2_xs *)group)->qs + 4 * b;
        return four_of_8(cut_grid_iq2_xs, i[0] & 511, i[1] & 511, i[2] & 511, i[3] & 511);
    }
    if (type == CUT_IQ2_S) {
        const struct cut_iq2_s *w = group;
        const uint8_t *i = w->qs + 4 * b;
        unsigned h = w->qh[b];
        return four_of_8(cut_grid_iq2_s, i[0] | (h << 8 & 768), i[1] | (h << 6 & 768), i[2] | (h << 4 & 768), i[3] | (h << 2 & 768));
    }
    if (type == CUT_IQ3_S) {
        const struct cut_iq3_s *w = group;
        return eight_of_4(cut_grid_iq3_s, w->qs + 8 * b, w->qh[b]);
    }
    const uint8_t *i = ((const struct cut_iq3_xxs *)group)->qs + 8 * b;
    uint64_t v[4];
    for (int j = 0; j < 4; j++) v[j] = load_u32(cut_grid_iq3_xxs[i[2 * j]]) | (uint64_t)load_u32(cut_grid_iq3_xxs[i[2 * j + 1]]) << 32;
    return _mm256_set_epi64x((int64_t)v[3], (int64_t)v[2], (int64_t)v[1], (int64_t)v[0]);
}

INLINE bool has_grid(enum cut_type t) {
    return t == CUT_IQ2_XXS || t == CUT_IQ2_XS || t == CUT_IQ2_S || t == CUT_IQ3_XXS || t == CUT_IQ3_S;
}

/* iq1: eighths, 8 times an entry of the table, and one more or less (`minus`: all ones) for eight weights. */
INLINE __m256i iq1_bytes(__m256i grid, __m256i minus) {
    __m256i eight = _mm256_and_si256(_mm256_slli_epi16(grid, 3), _mm256_set1_epi8((char)0xF8));
    return _mm256_add_epi8(eight, _mm256_add_epi8(_mm256_set1_epi8(10), _mm256_add_epi8(minus, minus)));
}

/* tq1_0: byte * 3^n keeps, of five trits read as a fraction below 1, what follows the first n; times 3, the next trit is carried out. */
INLINE __m128i trits(__m128i v, int power) {
    __m256i w = _mm256_mullo_epi16(_mm256_cvtepu8_epi16(v), _mm256_set1_epi16((short)power));
    w = _mm256_and_si256(w, _mm256_set1_epi16(255));
    w = _mm256_srli_epi16(_mm256_mullo_epi16(w, _mm256_set1_epi16(3)), 8);
    return _mm_packus_epi16(_mm256_castsi256_si128(w), _mm256_extracti128_si256(w, 1));
}

INLINE __m256i tq1_bytes(const struct cut_tq1_0 *w, int b) {
    static const uint8_t pow3[5] = { 1, 3, 9, 27, 81 };
    if (b < 5) return both(trits(load16(w->qs), pow3[b]), trits(load16(w->qs + 16), pow3[b]));
    __m128i second = load16(w->qs + 32);
    if (b < 7) return both(trits(second, pow3[2 * (b - 5)]), trits(second, pow3[2 * (b - 5) + 1]));
    /* The last 16: four bytes, a trit of each at a time. */
    __m256i v = _mm256_cvtepu8_epi16(_mm_set1_epi32((int32_t)load_u32(w->qh)));
    v = _mm256_mullo_epi16(v, _mm256_setr_epi16(1, 1, 1, 1, 3, 3, 3, 3, 9, 9, 9, 9, 27, 27, 27, 27));
    v = _mm256_srli_epi16(_mm256_mullo_epi16(_mm256_and_si256(v, _mm256_set1_epi16(255)), _mm256_set1_epi16(3)), 8);
    return both(trits(second, pow3[4]), _mm_packus_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
}

/* ---------------------------------------------------------------------------------------------------------------
 * Weights 32 b .. 32 b + 31 of a group, b = 0..7. `signs` is signs256() of the group. blocks.h draws the layouts.
 */
INLINE __m256i bytes32(enum cut_type type, const void *group, __m256i signs, int b) {
    if (has_grid(type)) {
        uint32_t bits[8];
        _mm256_storeu_si256((void *)bits, signs);
        __m256i minus = spread_bits(bits[b]);
        return _mm256_sub_epi8(_mm256_xor_si256(grid32(type, group, b), minus), minus);
    }
    switch (type) {
    case CUT_Q4_0: return nibbles(((const struct cut_q4_0 *)group + b)->qs);
    case CUT_Q4_1: return nibbles(((const struct cut_q4_1 *)group + b)->qs);
    case CUT_Q5_0: {
        const struct cut_q5_0 *w = (const struct cut_q5_0 *)group + b;
        return _mm256_or_si256(nibbles(w->qs), _mm256_and_si256(spread_bits(load_u32(w->qh)), _mm256_set1_epi8(16)));
    }
    case CUT_Q5_1: {
        const struct cut_q5_1 *w = (const struct cut_q5_1 *)group + b;
        return _mm256_or_si256(nibbles(w->qs), _mm256_and_si256(spread_bits(load_u32(w->qh)), _mm256_set1_epi8(16)));
    }
    case CUT_Q8_0: return load32(((const struct cut_q8_0 *)group + b)->qs);
    case CUT_Q2_K: {
        const struct cut_q2_K *w = group;
        return low_bits(_mm256_srli_epi16(load32(w->qs + 32 * (b / 4)), 2 * (b % 4)), 2);
    }
    case CUT_Q3_K: {
        const struct cut_q3_K *w = group;
        __m256i low = low_bits(_mm256_srli_epi16(load32(w->qs + 32 * (b / 4)), 2 * (b % 4)), 2);
        return _mm256_or_si256(low, one_bit(load32(w->hmask), b, 2));
    }
    case CUT_Q4_K: {
        const struct cut_q4_K *w = group;
        return low_bits(_mm256_srli_epi16(load32(w->qs + 32 * (b / 2)), 4 * (b % 2)), 4);
    }
    case CUT_Q5_K: {
        const struct cut_q5_K *w = group;
        __m256i low = low_bits(_mm256_srli_epi16(load32(w->qs + 32 * (b / 2)), 4 * (b % 2)), 4);
        return _mm256_or_si256(low, one_bit(load32(w->qh), b, 4));
    }
    case CUT_Q6_K: {
        const struct cut_q6_K *w = group;
        int half = b / 4, g = b % 4;
        __m256i low = low_bits(_mm256_srli_epi16(load32(w->ql + 64 * half + 32 * (g & 1)), 4 * (g >> 1)), 4);
        __m256i high = low_bits(_mm256_srli_epi16(load32(w->qh + 32 * half), 2 * g), 2);
        return _mm256_or_si256(low, _mm256_slli_epi16(high, 4));
    }
    case CUT_IQ4_NL: return lookup(cut_iq4_values, nibbles(((const struct cut_iq4_nl *)group + b)->qs), 0);
    case CUT_IQ4_XS: return lookup(cut_iq4_values, nibbles(((const struct cut_iq4_xs *)group)->qs + 16 * b), 0);
    case CUT_MXFP4:  return lookup(cut_e2m1_doubled, nibbles(((const struct cut_mxfp4 *)group + b)->qs), zero_of(type));
    case CUT_NVFP4: {                      /* eight bytes hold 16 weights: the low nibbles, then the high ones */
        const struct cut_nvfp4 *w = (const struct cut_nvfp4 *)group + b / 2;
        __m256i v = nibbles(w->qs + 16 * (b % 2));
        return lookup(cut_e2m1_doubled, _mm256_permute4x64_epi64(v, 0xD8), zero_of(type));
    }
    case CUT_IQ1_S: {
        const struct cut_iq1_s *w = group;
        const uint8_t *i = w->qs + 4 * b;
        unsigned h = w->qh[b];
        __m256i grid = four_of_8(cut_grid_iq1, i[0] | (h << 8 & 1792), i[1] | (h << 5 & 1792), i[2] | (h << 2 & 1792), i[3] | (h >> 1 & 1792));
        return iq1_bytes(grid, _mm256_set1_epi8((char)-(int)(h >> 15)));
    }
    case CUT_IQ1_M: {
        const struct cut_iq1_m *w = group;
        const uint8_t *i = w->qs + 4 * b;
        unsigned h = w->qh[2 * b] | (unsigned)w->qh[2 * b + 1] << 8;
        __m256i grid = four_of_8(cut_grid_iq1, i[0] | (h << 8 & 1792), i[1] | (h << 4 & 1792), i[2] | (h & 1792), i[3] | (h >> 4 & 1792));
        __m256i bit = _mm256_set_epi64x(0x8000, 0x800, 0x80, 0x8), at = _mm256_and_si256(_mm256_set1_epi64x((int64_t)h), bit);
        return iq1_bytes(grid, _mm256_cmpeq_epi64(at, bit));
    }
    case CUT_TQ1_0: return tq1_bytes(group, b);
    case CUT_TQ2_0: {
        const struct cut_tq2_0 *w = group;
        return low_bits(_mm256_srli_epi16(load32(w->qs + 32 * (b / 4)), 2 * (b % 4)), 2);
    }
    case CUT_Q1_0: {
        const struct cut_q1_0 *w = (const struct cut_q1_0 *)group + b / 4;
        return _mm256_and_si256(spread_bits(load_u32(w->qs + 4 * (b % 4))), _mm256_set1_epi8(2));
    }
    case CUT_Q2_0: {                       /* four weights to a byte, side by side */
        const struct cut_q2_0 *w = (const struct cut_q2_0 *)group + b / 2;
        __m256i v = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)(w->qs + 8 * (b % 2))));
        v = _mm256_or_si256(v, _mm256_slli_epi32(v, 12));              /* nibbles to 16-bit words: low 0, high 1 */
        v = _mm256_and_si256(v, _mm256_set1_epi32(0x000F000F));
        v = _mm256_or_si256(v, _mm256_slli_epi32(v, 6));               /* pairs of bits to bytes */
        return low_bits(v, 2);
    }
    default: return _mm256_setzero_si256();
    }
}

/* ---------------------------------------------------------------------------------------------------------------
 * Scales and offsets of a group: eight in d[0], m[0], or sixteen. All of them are exact: a float16 (11 bits) by an integer of at most 8.
 */
struct scales { __m256 d[2], m[2]; };

INLINE __m256 float8(__m128i bytes_u8) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes_u8)); }
INLINE __m256 float8_signed(__m128i bytes) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)); }
INLINE __m256 half_to_all(uint16_t h) { return _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(h))); }

/* q4_K and q5_K: 12 bytes hold eight scales and eight minima of six bits. As words a, b, c of 32 bits:
 *   scales 0..3, 4..7: the low six bits of a's bytes; the low four of c's, under the top two of a's
 *   minima 0..3, 4..7: the same with b for a, and the high four bits of c's */
INLINE __m128i scales_k4(__m128i dmin_a_b_c) {
    __m128i low = _mm_shuffle_epi32(dmin_a_b_c, 1 | 3 << 2 | 2 << 4 | 3 << 6);
    low = _mm_and_si128(_mm_srlv_epi32(low, _mm_setr_epi32(0, 0, 0, 4)), _mm_setr_epi32(0x3F3F3F3F, 0x0F0F0F0F, 0x3F3F3F3F, 0x0F0F0F0F));
    __m128i high = _mm_srli_epi32(_mm_shuffle_epi32(dmin_a_b_c, 1 << 2 | 2 << 6), 2);
    return _mm_or_si128(low, _mm_and_si128(high, _mm_setr_epi32(0, 0x30303030, 0, 0x30303030)));
}

/* q3_K: as words a, b, c: the low four bits of scales 0..15 are the low nibbles of a and b, then the high ones; the upper two bits of
 * scales 4 i + j are bits 2 i of c's byte j. */
INLINE __m128i scales_k3(const uint8_t *s) {
    __m128i ab = _mm_loadl_epi64((const void *)s), c = _mm_set1_epi32((int32_t)load_u32(s + 8));
    __m128i low = _mm_and_si128(_mm_unpacklo_epi64(ab, _mm_srli_epi16(ab, 4)), _mm_set1_epi8(15));
    __m128i high = _mm_and_si128(_mm_srlv_epi32(c, _mm_setr_epi32(0, 2, 4, 6)), _mm_set1_epi8(3));
    return _mm_sub_epi8(_mm_or_si128(low, _mm_slli_epi16(high, 4)), _mm_set1_epi8(32));
}

/* Eight nibbles in the order of the weights, from four bytes. */
INLINE __m128i nibbles8(uint32_t four) {
    __m128i v = _mm_cvtsi32_si128((int32_t)four);
    return _mm_and_si128(_mm_unpacklo_epi8(v, _mm_srli_epi16(v, 4)), _mm_set1_epi8(15));
}

/* 2^(e - 128), for the doubled values; the two least are subnormal. */
INLINE __m256 e8m0(__m256i v) {
    const __m256i one = _mm256_set1_epi32(1);
    __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(v, one), 23), small = _mm256_sllv_epi32(_mm256_set1_epi32(1 << 21), v);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(small, normal, _mm256_cmpgt_epi32(v, one)));
}

/* d * (2 s + 1) / 8 for the codebooks' 4-bit scales. */
INLINE __m256 odd_eighths(uint16_t d, __m256 s, float part) {
    return _mm256_mul_ps(half_to_all(d), _mm256_mul_ps(_mm256_add_ps(s, _mm256_set1_ps(0.5f)), _mm256_set1_ps(part)));
}

/* The float16 numbers at p, p + stride, ...: n of the eight. */
INLINE __m256 halves_at(const void *p, size_t stride, int n) {
    uint16_t h[8] = { 0 };
    for (int i = 0; i < n; i++) memcpy(&h[i], (const char *)p + (size_t)i * stride, sizeof *h);
    /* Put together in registers: what is written in small pieces and read as a whole has to wait for the cache. */
    return _mm256_cvtph_ps(_mm_setr_epi16((short)h[0], (short)h[1], (short)h[2], (short)h[3], (short)h[4], (short)h[5], (short)h[6], (short)h[7]));
}

/* Half of E4M3 without a sign, four to a word. A float16 has one bit of exponent more, and a bias greater by 8. */
INLINE __m256 e4m3(uint32_t a, uint32_t b) {
    __m128i v = _mm_cvtepu8_epi16(_mm_setr_epi32((int32_t)a, (int32_t)b, 0, 0));
    v = _mm_and_si128(v, _mm_set1_epi16(127));
    v = _mm_andnot_si128(_mm_cmpeq_epi16(v, _mm_set1_epi16(127)), v);
    return _mm256_mul_ps(_mm256_cvtph_ps(_mm_slli_epi16(v, 7)), _mm256_set1_ps(128));
}

/* n: how many of the group's eight parts of 32 exist; only formats with blocks of less than 256 are ever cut short. */
INLINE struct scales scales256(enum cut_type type, const void *group, int n) {
    struct scales s = { { _mm256_setzero_ps(), _mm256_setzero_ps() }, { _mm256_setzero_ps(), _mm256_setzero_ps() } };
    switch (type) {
    case CUT_Q4_0: case CUT_Q5_0: case CUT_Q8_0: case CUT_IQ4_NL: s.d[0] = halves_at(group, group_bytes(type) / 8, n); break;
    case CUT_Q4_1: case CUT_Q5_1:
        s.d[0] = halves_at(group, group_bytes(type) / 8, n);
        s.m[0] = halves_at((const char *)group + 2, group_bytes(type) / 8, n);
        break;
    case CUT_Q1_0:
        s.d[0] = half_to_all(((const struct cut_q1_0 *)group)->d);
        if (n == 8) s.d[0] = _mm256_blend_ps(s.d[0], half_to_all(((const struct cut_q1_0 *)group + 1)->d), 0xF0);
        break;
    case CUT_Q2_0: {
        __m256 four = halves_at(group, sizeof(struct cut_q2_0), n / 2);
        s.d[0] = _mm256_permutevar8x32_ps(four, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
        break;
    }
    case CUT_MXFP4: {
        uint8_t e[8] = { 0 };
        for (int i = 0; i < n; i++) e[i] = ((const struct cut_mxfp4 *)group + i)->e;
        s.d[0] = e8m0(_mm256_setr_epi32(e[0], e[1], e[2], e[3], e[4], e[5], e[6], e[7]));
        break;
    }
    case CUT_Q2_K: {
        const struct cut_q2_K *w = group;
        __m128i v = load16(w->scales), low = _mm_and_si128(v, _mm_set1_epi8(15)), high = _mm_and_si128(_mm_srli_epi16(v, 4), _mm_set1_epi8(15));
        __m256 d = half_to_all(w->d), m = _mm256_sub_ps(_mm256_setzero_ps(), half_to_all(w->dmin));
        for (int i = 0; i < 2; i++, low = _mm_srli_si128(low, 8), high = _mm_srli_si128(high, 8)) {
            s.d[i] = _mm256_mul_ps(d, float8(low));
            s.m[i] = _mm256_mul_ps(m, float8(high));
        }
        break;
    }
    case CUT_Q3_K: {
        const struct cut_q3_K *w = group;
        __m128i v = scales_k3(w->scales);
        s.d[0] = _mm256_mul_ps(half_to_all(w->d), float8_signed(v));
        s.d[1] = _mm256_mul_ps(half_to_all(w->d), float8_signed(_mm_srli_si128(v, 8)));
        break;
    }
    case CUT_Q4_K: case CUT_Q5_K: {        /* their first fields are the same */
        __m128i v = load16(group), k = scales_k4(v);
        __m128 dm = _mm_cvtph_ps(v);
        s.d[0] = _mm256_mul_ps(_mm256_broadcastss_ps(dm), float8(k));
        s.m[0] = _mm256_mul_ps(_mm256_broadcastss_ps(_mm_movehdup_ps(_mm_xor_ps(dm, _mm_set1_ps(-0.0f)))), float8(_mm_srli_si128(k, 8)));
        break;
    }
    case CUT_Q6_K: {
        const struct cut_q6_K *w = group;
        __m128i v = load16(w->scales);
        s.d[0] = _mm256_mul_ps(half_to_all(w->d), float8_signed(v));
        s.d[1] = _mm256_mul_ps(half_to_all(w->d), float8_signed(_mm_srli_si128(v, 8)));
        break;
    }
    case CUT_IQ4_XS: {
        const struct cut_iq4_xs *w = group;
        __m256i low = _mm256_cvtepu8_epi32(nibbles8(load_u32(w->scales_l)));
        __m256i high = _mm256_srlv_epi32(_mm256_set1_epi32(w->scales_h), _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14));
        high = _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4);
        __m256i v = _mm256_sub_epi32(_mm256_or_si256(low, high), _mm256_set1_epi32(32));
        s.d[0] = _mm256_mul_ps(half_to_all(w->d), _mm256_cvtepi32_ps(v));
        break;
    }
    case CUT_IQ3_XXS: {
        const struct cut_iq3_xxs *w = group;
        s.d[0] = odd_eighths(w->d, _mm256_cvtepi32_ps(_mm256_srli_epi32(load32(w->signs), 28)), 0.5f);
        break;
    }
    case CUT_IQ2_XXS: {
        const struct cut_iq2_xxs *w = group;
        __m256 a = _mm256_castsi256_ps(load32(w->qs)), b = _mm256_castsi256_ps(load32(w->qs + 16));
        __m256i odd = _mm256_permute4x64_epi64(_mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xDD)), 0xD8);
        s.d[0] = odd_eighths(w->d, _mm256_cvtepi32_ps(_mm256_srli_epi32(odd, 28)), 0.25f);
        break;
    }
    case CUT_IQ3_S: {
        const struct cut_iq3_s *w = group;
        s.d[0] = odd_eighths(w->d, float8(nibbles8(load_u32(w->scales))), 2);
        break;
    }
    case CUT_IQ2_XS: case CUT_IQ2_S: {
        const uint8_t *four = type == CUT_IQ2_S ? ((const struct cut_iq2_s *)group)->scales : ((const struct cut_iq2_xs *)group)->scales;
        for (int i = 0; i < 2; i++)
            s.d[i] = odd_eighths(*(const uint16_t *)group, float8(nibbles8(load_u32(four + 4 * i))), 0.25f);
        break;
    }
    case CUT_IQ1_S: {
        const struct cut_iq1_s *w = group;
        __m256i v = _mm256_cvtepu16_epi32(load16(w->qh));
        v = _mm256_and_si256(_mm256_srli_epi32(v, 12), _mm256_set1_epi32(7));
        s.d[0] = odd_eighths(w->d, _mm256_cvtepi32_ps(v), 0.25f);
        break;
    }
    case CUT_IQ1_M: {                      /* four words: four scales of three bits each, and a quarter of d */
        const struct cut_iq1_m *w = group;
        __m128i words = _mm_loadl_epi64((const void *)w->scales);
        uint16_t p[4];
        memcpy(p, w->scales, sizeof p);
        uint16_t d = (uint16_t)(p[0] >> 12 | (p[1] >> 8 & 0xF0) | (p[2] >> 4 & 0xF00) | (p[3] & 0xF000));
        const __m256i shift = _mm256_setr_epi32(0, 3, 6, 9, 0, 3, 6, 9), seven = _mm256_set1_epi32(7);
        for (int i = 0; i < 2; i++) {
            const __m128i pick = i ? _mm_set_epi8(7, 6, 7, 6, 7, 6, 7, 6, 5, 4, 5, 4, 5, 4, 5, 4)
                                   : _mm_set_epi8(3, 2, 3, 2, 3, 2, 3, 2, 1, 0, 1, 0, 1, 0, 1, 0);
            __m256i v = _mm256_cvtepu16_epi32(_mm_shuffle_epi8(words, pick));
            s.d[i] = odd_eighths(d, _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srlv_epi32(v, shift), seven)), 0.25f);
        }
        break;
    }
    case CUT_NVFP4: {
        uint32_t d[4] = { 0 };
        for (int i = 0; i < n / 2; i++) d[i] = load_u32(((const struct cut_nvfp4 *)group + i)->d);
        s.d[0] = e4m3(d[0], d[1]);
        s.d[1] = e4m3(d[2], d[3]);
        break;
    }
    case CUT_TQ1_0: s.d[0] = half_to_all(((const struct cut_tq1_0 *)group)->d); break;
    case CUT_TQ2_0: s.d[0] = half_to_all(((const struct cut_tq2_0 *)group)->d); break;
    default: break;
    }
    return s;
}

#endif
