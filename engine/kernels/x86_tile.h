/* x86_tile.h - matrix products of quantized weights by many tokens, for AVX2 and AVX-512. Internal; included by avx2.c
 * and avx512_vnni.c, which define N, the rows in a tile (the 32-bit lanes of a vector), and tile_block().
 *
 * Unpacking a block of weights costs more than multiplying it by one token, so with many tokens it is done once, in an
 * order that suits the multiplication: N rows side by side, four consecutive columns of a row to a lane.
 *
 *            lane 0         lane 1               lane N-1
 *   w[0]   r0: c0..c3     r1: c0..c3   ...    rN-1: c0..c3
 *   w[1]   r0: c4..c7     r1: c4..c7   ...
 *   ...
 *   w[7]   r0: c28..c31   ...
 *
 * Four activations are broadcast to all lanes, multiplied byte by byte, and the four products of a lane added to its
 * integer sum: no sums across lanes anywhere, and a row's result does not depend on which lane it is in, on the rows
 * beside it, or on the number of tokens.
 *
 * The instructions multiply unsigned bytes by signed ones. The weights are the signed ones, so activations are offset:
 *
 *   sum_c w_c q_c  =  sum_c w_c (q_c + 128)  -  128 sum_c w_c
 *
 * The last term depends on the row alone. It is computed when the block is unpacked and is where the sum starts.
 */
#include "engine/quant/blocks.h"

/* A block of 32 weights of a row, one a byte, as stored: 0..15 for q4_0, 0..63 for q6_K, signed for q8_0. */
INLINE __m256i block_bytes(enum cut_type type, const void *row, int b) {
    if (type == CUT_Q4_0) {
        __m128i v = _mm_loadu_si128((const void *)((const struct cut_q4_0 *)row + b)->qs);
        __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(v), _mm_srli_epi16(v, 4), 1);
        return _mm256_and_si256(both, _mm256_set1_epi8(15));
    }
    if (type == CUT_Q6_K) {
        const struct cut_q6_K *w = (const struct cut_q6_K *)row + b / 8;
        int half = b % 8 / 4, g = b % 4;
        __m256i low = _mm256_loadu_si256((const void *)(w->ql + 64 * half + 32 * (g & 1)));
        __m256i high = _mm256_loadu_si256((const void *)(w->qh + 32 * half));
        low = _mm256_and_si256(_mm256_srli_epi16(low, 4 * (g >> 1)), _mm256_set1_epi8(15));
        high = _mm256_and_si256(_mm256_srli_epi16(high, 2 * g), _mm256_set1_epi8(3));
        return _mm256_or_si256(low, _mm256_slli_epi16(high, 4));
    }
    return _mm256_loadu_si256((const void *)((const struct cut_q8_0 *)row + b)->qs);
}

/* What stands for 0 in those bytes. */
INLINE int block_zero(enum cut_type type) { return type == CUT_Q4_0 ? 8 : type == CUT_Q6_K ? 32 : 0; }

/* 1: a scale for 32 weights. 2: one for 16. */
INLINE int block_scales(enum cut_type type) { return type == CUT_Q6_K ? 2 : 1; }

/* Scale i (0, or 0 and 1) of block b. */
INLINE float block_scale(enum cut_type type, const void *row, int b, int i) {
    if (type == CUT_Q4_0) return _cvtsh_ss(((const struct cut_q4_0 *)row + b)->d);
    if (type == CUT_Q8_0) return _cvtsh_ss(((const struct cut_q8_0 *)row + b)->d);
    const struct cut_q6_K *w = (const struct cut_q6_K *)row + b / 8;
    return _cvtsh_ss(w->d) * (float)w->scales[b % 8 * 2 + i];
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

/* A block of N rows, unpacked: w as drawn above; start, -128 sum w for the first (and the second) half of the block, or
 * for all of it; d, the scales likewise. Bytes: N (32 + 8 scales). */
INLINE size_t tile_bytes(int scales) { return (size_t)(N * (32 + 8 * scales)); }
INLINE int8_t *tile_w(void *tile) { return tile; }
INLINE int32_t *tile_start(void *tile) { return (int32_t *)((char *)tile + 32 * N); }
INLINE float *tile_d(void *tile, int scales) { return (float *)((char *)tile + (32 + 4 * scales) * N); }

/* Rows beyond n repeat the last one; their results are not stored. */
INLINE void unpack_tile(enum cut_type type, const char *w, size_t stride, int n, int b, void *tile) {
    const int scales = block_scales(type);
    for (int r = 0; r < N; r += 8) {
        __m256i v[8];
        for (int i = 0; i < 8; i++)
            v[i] = _mm256_sub_epi8(block_bytes(type, w + (size_t)cut_min(r + i, n - 1) * stride, b),
                                   _mm256_set1_epi8((char)block_zero(type)));
        transpose8(v);
        __m256i sum = _mm256_setzero_si256();
        for (int i = 0; i < 8; i++) {
            _mm256_store_si256((void *)(tile_w(tile) + (i * N + r) * 4), v[i]);
            __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), v[i]);
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(-128)));
            if (scales == 2 && i == 3) {
                _mm256_store_si256((void *)(tile_start(tile) + r), sum);
                sum = _mm256_setzero_si256();
            }
        }
        _mm256_store_si256((void *)(tile_start(tile) + (scales - 1) * N + r), sum);
    }
    for (int r = 0; r < N; r++)
        for (int i = 0; i < scales; i++)
            tile_d(tile, scales)[i * N + r] = block_scale(type, w + (size_t)cut_min(r, n - 1) * stride, b, i);
}

/* TILE_T tokens of activations at a time, [block][token], offset by 128; tokens beyond n are zeros. */
enum { TILE_T = 16 };
struct tile_x {
    uint8_t (*q)[TILE_T][32];
    float (*d)[TILE_T];
};

INLINE void pack_tokens(struct tile_x x, const struct cut_mm *m, int t0, int n) {
    for (int t = 0; t < TILE_T; t++) {
        void *row = (char *)m->x + (size_t)(t0 + cut_min(t, n - 1)) * m->x_stride;
        const int8_t *q = cut_q8_q(row);
        const float *d = cut_q8_d(row, m->k);
        for (int b = 0; b < m->k / 32; b++) {
            __m256i v = _mm256_loadu_si256((const void *)(q + 32 * b));
            _mm256_store_si256((void *)x.q[b][t], _mm256_xor_si256(v, _mm256_set1_epi8(-128)));
            x.d[b][t] = d[b];
        }
    }
}

/* sum[t][lane] += the share of one block, for n tokens (rounded up to a multiple of 4). In the including file. */
INLINE void tile_block(enum cut_type type, void *tile, const uint8_t (*q)[32], const float *d, int n, float (*sum)[N]);

/* Rows unpacked at a time: the more, the more often packed tokens are used; but they should stay in the second-level
 * cache, which holds 64 rows of 6000 columns or so in a megabyte. */
INLINE int tile_rows(int k) { return k <= 3072 ? 128 : 64; }

/* tile_rows(k) rows are unpacked into scratch; then the tokens pass, TILE_T at a time. */
INLINE void mm_tiles(const struct cut_mm *m, int r0, int r1, enum cut_type type) {
    const size_t bytes = tile_bytes(block_scales(type));
    int n_blocks = m->k / 32;
    char *at = m->scratch;
    float (*sum)[N] = (void *)at;
    at += TILE_T * sizeof *sum;
    struct tile_x x;
    x.q = (void *)at;
    at += (size_t)n_blocks * sizeof *x.q;
    x.d = (void *)at;
    at += (size_t)n_blocks * sizeof *x.d;

    for (int r = r0, rows; r < r1; r += rows) {
        rows = cut_min(tile_rows(m->k), r1 - r);
        const char *w = (const char *)m->w + (size_t)r * m->w_stride;
        for (int i = 0; i < rows; i += N)
            for (int b = 0; b < n_blocks; b++)
                unpack_tile(type, w + (size_t)i * m->w_stride, m->w_stride, cut_min(N, rows - i), b,
                            at + (size_t)(i / N * n_blocks + b) * bytes);
        for (int t0 = 0; t0 < m->t; t0 += TILE_T) {
            int n = cut_min(TILE_T, m->t - t0);
            pack_tokens(x, m, t0, n);
            for (int i = 0; i < rows; i += N) {
                char *tile = at + (size_t)(i / N * n_blocks) * bytes;
                memset(sum, 0, TILE_T * sizeof *sum);
                for (int b = 0; b < n_blocks; b++)
                    tile_block(type, tile + (size_t)b * bytes, (const void *)x.q[b], x.d[b], n, sum);
                for (int t = 0; t < n; t++)
                    memcpy(m->y + (size_t)(t0 + t) * m->y_stride + r + i, sum[t],
                           (size_t)cut_min(N, rows - i) * sizeof(float));
            }
        }
    }
}

/* Tiles of the format with two scales are the largest. That is also more than the float kernels need to decode their
 * MM_ROWS rows of a quantized format: 64 k bytes. */
static inline size_t mm_tiles_scratch(int k) {
    size_t blocks = (size_t)k / 32;
    return TILE_T * N * sizeof(float) + blocks * (TILE_T * 36 + (size_t)tile_rows(k) / N * tile_bytes(2));
}
