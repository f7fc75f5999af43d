/* avx512_bf16.c - products of bfloat16 weights by activations rounded to bfloat16, with VDPBF16PS: x86-64 processors with AVX512_BF16
 * (Cooper Lake, Zen 4, Sapphire Rapids and later).
 *
 * One instruction adds the products of 32 pairs of bf16 numbers to 16 floats, two to each: sum = (sum + w1 x1) + w0 x0, the odd column
 * first, each step rounded once to the nearest float like an FMA (Intel's manual, volume 2, VDPBF16PS). It reads neither mode nor mask of
 * the floating point unit: numbers below FLT_MIN in magnitude count as zero, whether weight, activation or sum. bf16 has float's
 * exponent, so a weight that small is 2^-126 of one, and only another of 2^100 could make its loss felt; no model has such pairs.
 *
 * Weights are read as they lie in the file, 32 of a row at once. Lane j sums columns 2j, 2j + 1, 2j + 32, 2j + 33 ... and the lanes are
 * added at the end, whatever the other rows and tokens: as in lanes.h, with half the instructions.
 */
#include <immintrin.h>

#include "engine/kernels/kern.h"
#include "engine/kernels/unroll.h"

#define INLINE static inline __attribute__((always_inline))

enum {
    LANES = 32,            /* bf16 numbers in a vector */
    TILE_T = 6,            /* tokens in a tile: 4 x 6 sums and 5 factors are 29 of the 32 registers */
    ROWS = 256,            /* rows that pass before the next tokens are packed */
};

INLINE __mmask32 first(int n) { return n < LANES ? (1u << n) - 1 : ~0u; }

/* A row of activations as bf16, to a multiple of 32 with zeros. They are rounded already: the upper half of each float is all of it. */
INLINE size_t packed_bytes(int k) { return cut_round_up((size_t)k * 2, CUT_ALIGN); }

INLINE void pack(char *out, const float *x, int k) {
    const __m512i upper = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33,
                                           31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    for (int c = 0; c < k; c += LANES) {
        __mmask32 in = first(k - c);
        __m512i a = _mm512_castps_si512(_mm512_maskz_loadu_ps((__mmask16)in, x + c));
        __m512i b = _mm512_castps_si512(_mm512_maskz_loadu_ps((__mmask16)(in >> 16), x + c + 16));
        _mm512_store_si512(out + 2 * c, _mm512_permutex2var_epi16(a, upper, b));
    }
}

INLINE __m512 dot(__m512 sum, __m512i w, __m512i x) { return _mm512_dpbf16_ps(sum, (__m512bh)w, (__m512bh)x); }

/* The sums of four vectors, the first n of them stored. */
INLINE void store_sums(const __m512 v[4], float *out, int n) {
    __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));     /* a b a b, four times */
    __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    __m512 s = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xEE));    /* a b c d, four times */
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(s), _mm512_extractf32x8_ps(s, 1));
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    _mm_mask_storeu_ps(out, (__mmask8)((1u << n) - 1), sum);
}

/* Four rows by T tokens, which lie packed_bytes(k) apart. n of the rows exist; the others repeat the last one. Several tokens ask memory for
 * the next four rows, as in lanes.h. */
INLINE void tile(const char *w, size_t w_stride, int n, const char *x, const int T, int k, float *y, size_t y_stride) {
    const size_t x_stride = packed_bytes(k);
    const char *row[4];
    __m512 sum[TILE_T][4];
    for (int r = 0; r < 4; r++) row[r] = w + (size_t)cut_min(r, n - 1) * w_stride;
    UNROLL for (int t = 0; t < T; t++)
        UNROLL for (int r = 0; r < 4; r++) sum[t][r] = _mm512_setzero_ps();

    size_t at = 0, whole = (size_t)(k / LANES) * 64;
    for (; at < whole; at += 64) {
        __m512i wv[4];
        if (T > 1) UNROLL for (int r = 0; r < 4; r++) _mm_prefetch(w + 4 * (w_stride + at) + 64 * r, _MM_HINT_T1);
        UNROLL for (int r = 0; r < 4; r++) wv[r] = _mm512_loadu_si512(row[r] + at);
        UNROLL for (int t = 0; t < T; t++) {
            __m512i xv = _mm512_load_si512(x + (size_t)t * x_stride + at);
            UNROLL for (int r = 0; r < 4; r++) sum[t][r] = dot(sum[t][r], wv[r], xv);
        }
    }
    if (k % LANES) {
        __m512i wv[4];
        UNROLL for (int r = 0; r < 4; r++) wv[r] = _mm512_maskz_loadu_epi16(first(k % LANES), row[r] + at);
        UNROLL for (int t = 0; t < T; t++) {
            __m512i xv = _mm512_load_si512(x + (size_t)t * x_stride + at);
            UNROLL for (int r = 0; r < 4; r++) sum[t][r] = dot(sum[t][r], wv[r], xv);
        }
    }
    UNROLL for (int t = 0; t < T; t++) store_sums(sum[t], y + (size_t)t * y_stride, n);
}

INLINE void pack_token(const struct cut_mm *m, int t, int slot) {
    pack((char *)m->scratch + (size_t)slot * packed_bytes(m->k), (const float *)((const char *)m->x + (size_t)t * m->x_stride), m->k);
}

/* One token waits for memory, which is read fastest in four runs side by side: see mm_one() in lanes.h. */
static void one_token(const struct cut_mm *m, int r0, int r1) {
    const char *w = m->w;
    int quarter = (r1 - r0) / 4, r = r0;
    pack_token(m, 0, 0);
    for (; r < r0 + quarter; r++) {
        float sum[4];
        tile(w + (size_t)r * m->w_stride, (size_t)quarter * m->w_stride, 4, m->scratch, 1, m->k, sum, 0);
        for (int i = 0; i < 4; i++) m->y[r + i * quarter] = sum[i];
    }
    r = r0 + 4 * quarter;
    if (r < r1) tile(w + (size_t)r * m->w_stride, m->w_stride, r1 - r, m->scratch, 1, m->k, m->y + r, 0);
}

/* Rows [r0, r1), few enough to stay in the second-level cache while all tokens pass by. */
static void many_tokens(const struct cut_mm *m, int r0, int r1) {
    for (int t = 0, T; t < m->t; t += T) {
        T = cut_min(TILE_T, m->t - t);
        for (int i = 0; i < T; i++) pack_token(m, t + i, i);
        for (int r = r0; r < r1; r += 4) {
            const char *w = (const char *)m->w + (size_t)r * m->w_stride;
            float *y = m->y + (size_t)t * m->y_stride + r;
            int n = cut_min(4, r1 - r);
            switch (T) {
            case 1: tile(w, m->w_stride, n, m->scratch, 1, m->k, y, m->y_stride); break;
            case 2: tile(w, m->w_stride, n, m->scratch, 2, m->k, y, m->y_stride); break;
            case 3: tile(w, m->w_stride, n, m->scratch, 3, m->k, y, m->y_stride); break;
            case 4: tile(w, m->w_stride, n, m->scratch, 4, m->k, y, m->y_stride); break;
            case 5: tile(w, m->w_stride, n, m->scratch, 5, m->k, y, m->y_stride); break;
            case 6: tile(w, m->w_stride, n, m->scratch, 6, m->k, y, m->y_stride); break;
            }
        }
    }
}

static void mm_bf16(const struct cut_mm *m, int r0, int r1) {
    if (m->t == 1) one_token(m, r0, r1);
    else for (; r0 < r1; r0 += ROWS) many_tokens(m, r0, cut_min(r0 + ROWS, r1));
}

/* The scratch of TILE_T packed rows, 12 k bytes, is less than what other kernels of the tier ask for. */
void cut_kernels_fill_avx512_bf16(struct cut_kernels *k) {
    k->mm_bf16 = mm_bf16;
    k->mm_bf16_name = "avx512 bf16";
}
