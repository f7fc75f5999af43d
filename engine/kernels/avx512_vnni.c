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
#include "engine/kernels/x86_tile.h"

/* ---------------------------------------------------------------------------------------------------------------
 * Many tokens: x86_tile.h. A block's weights stay in eight registers while tokens pass, four at a time, so that the
 * sums of four tokens advance side by side and none waits for its last addition.
 */
INLINE __m512i broadcast4(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, 4);
    return _mm512_set1_epi32(four);
}

INLINE void tile_block(enum cut_type type, void *tile, const uint8_t (*q)[32], const float *d, int n, float (*sum)[N]) {
    const int scales = block_scales(type);
    const __m512i *w_at = (const void *)tile_w(tile), *start = (const void *)tile_start(tile);
    const float *dw = tile_d(tile, scales);
    __m512i w[8];
    for (int i = 0; i < 8; i++) w[i] = _mm512_load_si512(w_at + i);

    for (int t = 0; t < n; t += 4) {
        __m512 share[4];
        for (int half = 0; half < scales; half++) {
            __m512i acc[4];
            for (int j = 0; j < 4; j++) acc[j] = start[half];
            for (int i = half * 4; i < (half + 1) * 8 / scales; i++)
                for (int j = 0; j < 4; j++) acc[j] = _mm512_dpbusd_epi32(acc[j], broadcast4(q[t + j] + 4 * i), w[i]);
            __m512 scale = _mm512_load_ps(dw + half * N);
            for (int j = 0; j < 4; j++) {
                __m512 s = _mm512_cvtepi32_ps(acc[j]);
                share[j] = half ? _mm512_fmadd_ps(s, scale, share[j]) : _mm512_mul_ps(s, scale);
            }
        }
        for (int j = 0; j < 4; j++)
            _mm512_store_ps(sum[t + j], _mm512_fmadd_ps(share[j], _mm512_set1_ps(d[t + j]), _mm512_load_ps(sum[t + j])));
    }
}

/* ---------------------------------------------------------------------------------------------------------------
 * One token. Two blocks of 32 fill a vector; four rows at a time share the activations and the correction for weights
 * that are stored with an offset (sum (w - z) q = sum w q - sum z q; the second term is the same for all rows).
 */
struct rows { const char *base; size_t stride; };

/* Blocks b and b + 1 of a row as unsigned bytes; `one`: there is no second block, its bytes are 0. */
INLINE __m512i two_blocks(enum cut_type type, const void *row, int b, bool one) {
    if (type == CUT_Q4_0) {
        const struct cut_q4_0 *w = (const struct cut_q4_0 *)row + b;
        __m512i v = _mm512_maskz_broadcast_i32x4(0x00FF, _mm_loadu_si128((const void *)w[0].qs));
        if (!one) v = _mm512_mask_broadcast_i32x4(v, 0xFF00, _mm_loadu_si128((const void *)w[1].qs));
        const __m512i shift = _mm512_set_epi32(4, 4, 4, 4, 0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0);
        return _mm512_and_si512(_mm512_srlv_epi32(v, shift), _mm512_set1_epi8(15));
    }
    if (type == CUT_Q6_K) {          /* b is even: groups g = 0, 1 or 2, 3 of a half; see blocks.h */
        const struct cut_q6_K *w = (const struct cut_q6_K *)row + b / 8;
        int half = b % 8 / 4, g = b % 4;
        __m512i low = _mm512_loadu_si512(w->ql + 64 * half);
        __m512i high = _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)(w->qh + 32 * half)));
        if (g) {
            const __m512i shift = _mm512_set_epi32(2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0);
            low = _mm512_srli_epi16(low, 4);
            high = _mm512_srlv_epi32(high, shift);
        } else {
            const __m512i shift = _mm512_set_epi32(2, 2, 2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 4, 4);
            high = _mm512_sllv_epi32(high, shift);
        }
        /* (low & 15) | (high & 48), in one operation once high is masked: 0xEA = (a & b) | c. */
        return _mm512_ternarylogic_epi32(low, _mm512_set1_epi8(15), _mm512_and_si512(high, _mm512_set1_epi8(48)), 0xEA);
    }
    const struct cut_q8_0 *w = (const struct cut_q8_0 *)row + b;
    __m512i v = _mm512_zextsi256_si512(_mm256_loadu_si256((const void *)w[0].qs));
    if (!one) v = _mm512_inserti64x4(v, _mm256_loadu_si256((const void *)w[1].qs), 1);
    return _mm512_xor_si512(v, _mm512_set1_epi8(-128));
}

INLINE int zero_of(enum cut_type type) { return type == CUT_Q8_0 ? 128 : block_zero(type); }

/* 16 scales of a row from block b on, by those of the activations: of 16 blocks (n exist), or of the 16 halves of 8. */
INLINE __m512 scales16(enum cut_type type, const void *row, int b, int n, const float *dx) {
    if (type == CUT_Q6_K) {
        const struct cut_q6_K *w = (const struct cut_q6_K *)row + b / 8;
        __m512 s = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)w->scales)));
        const __m512i twice = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
        __m512 x = _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_loadu_ps(dx + b)));
        return _mm512_mul_ps(s, _mm512_mul_ps(_mm512_set1_ps(_cvtsh_ss(w->d)), x));
    }
    uint16_t d[16] = { 0 };
    for (int i = 0; i < n; i++)
        d[i] = type == CUT_Q4_0 ? ((const struct cut_q4_0 *)row + b + i)->d : ((const struct cut_q8_0 *)row + b + i)->d;
    return _mm512_mul_ps(_mm512_cvtph_ps(_mm256_loadu_si256((const void *)d)),
                         _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), dx + b));
}

/* The scales of blocks b and b + 1, each in the lanes of its block: eight lanes, or four and four. */
INLINE __m512 spread(enum cut_type type, __m512 scales, int i) {
    const __m512i q6 = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    const __m512i q = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    __m512i first = _mm512_set1_epi32(type == CUT_Q6_K ? 2 * i : i);
    return _mm512_permutexvar_ps(_mm512_add_epi32(type == CUT_Q6_K ? q6 : q, first), scales);
}

/* sum[r] += blocks b and b + 1 of each of four rows; i counts them from the first that `scales` speaks of. */
INLINE void gemv_step(enum cut_type type, const void *const wr[4], int b, int i, bool one, const int8_t *q,
                      const __m512 scales[4], __m512 sum[4]) {
    __m512i qv = one ? _mm512_zextsi256_si512(_mm256_loadu_si256((const void *)(q + 32 * b))) : _mm512_loadu_si512(q + 32 * b);
    __m512i zeros = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8((char)zero_of(type)), qv);
    __m512i start = _mm512_sub_epi32(_mm512_setzero_si512(), zeros);
    for (int r = 0; r < 4; r++) {
        __m512i s = _mm512_dpbusd_epi32(start, two_blocks(type, wr[r], b, one), qv);
        sum[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s), spread(type, scales[r], i), sum[r]);
    }
}

/* Four rows by one token: sixteen partial sums a row, added at the end in an order that is the same for each. */
INLINE void gemv4(enum cut_type type, struct rows w, int n_rows, void *x, int k, float *y) {
    const int8_t *q = cut_q8_q(x);
    const float *dx = cut_q8_d(x, k);
    const int group = type == CUT_Q6_K ? 8 : 16;       /* blocks that a vector of scales covers */
    int n_blocks = k / 32;
    const void *wr[4];
    __m512 sum[4], scales[4];
    for (int r = 0; r < 4; r++) {
        wr[r] = w.base + (size_t)cut_min(r, n_rows - 1) * w.stride;
        sum[r] = _mm512_setzero_ps();
    }
    int b = 0;
    for (; b + group <= n_blocks; b += group) {
        for (int r = 0; r < 4; r++) scales[r] = scales16(type, wr[r], b, group, dx);
        for (int i = 0; i < group; i += 2) gemv_step(type, wr, b + i, i, false, q, scales, sum);
    }
    if (b < n_blocks) {
        int n = n_blocks - b;
        for (int r = 0; r < 4; r++) scales[r] = scales16(type, wr[r], b, n, dx);
        for (int i = 0; i < n; i += 2) gemv_step(type, wr, b + i, i, i + 1 == n, q, scales, sum);
    }
    for (int r = 0; r < n_rows; r++) y[r] = _mm512_reduce_add_ps(sum[r]);
}

/* Below this many tokens unpacking does not pay. */
enum { TILE_MIN = 4 };

INLINE void mm_q8(const struct cut_mm *m, int r0, int r1, enum cut_type type) {
    if (m->t >= TILE_MIN) {
        mm_tiles(m, r0, r1, type);
        return;
    }
    for (int r = r0; r < r1; r += 4) {
        struct rows w = { (const char *)m->w + (size_t)r * m->w_stride, m->w_stride };
        for (int t = 0; t < m->t; t++)
            gemv4(type, w, cut_min(4, r1 - r), (char *)m->x + (size_t)t * m->x_stride, m->k,
                  m->y + (size_t)t * m->y_stride + r);
    }
}
static void mm_q8_q4_0(const struct cut_mm *m, int r0, int r1) { mm_q8(m, r0, r1, CUT_Q4_0); }
static void mm_q8_q8_0(const struct cut_mm *m, int r0, int r1) { mm_q8(m, r0, r1, CUT_Q8_0); }
static void mm_q8_q6_K(const struct cut_mm *m, int r0, int r1) { mm_q8(m, r0, r1, CUT_Q6_K); }

void cut_kernels_fill_avx512_vnni(struct cut_kernels *k) {
    k->mm_scratch = mm_tiles_scratch;
    k->mm_q8[CUT_Q4_0] = mm_q8_q4_0;
    k->mm_q8[CUT_Q8_0] = mm_q8_q8_0;
    k->mm_q8[CUT_Q6_K] = mm_q8_q6_K;
    k->mm_q8_name[CUT_Q4_0] = k->mm_q8_name[CUT_Q8_0] = k->mm_q8_name[CUT_Q6_K] = "avx512 vnni";
}
