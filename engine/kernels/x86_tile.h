/* x86_tile.h - matrix products of quantized weights by many tokens, for AVX2 and AVX-512. Internal; included by avx2.c
 * and avx512_vnni.c, which define N, the rows in a tile (the 32-bit lanes of a vector), TILE_T, the tokens, TILE_MIN, the
 * fewest of them that unpacking pays for, tile_sums() and gemv4().
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
 * beside it, or on the number of tokens. The sums of a tile, N rows by TILE_T tokens, stay in registers from the first
 * column to the last.
 *
 * The instructions multiply unsigned bytes by signed ones. The weights are the unsigned ones, w + zero:
 *
 *   sum_c w_c q_c  =  sum_c (w_c + zero) q_c  -  zero sum_c q_c
 *
 * The last term is the same for all rows. It is where the integer sum starts.
 */
#include "engine/kernels/x86_formats.h"

/* The zero of a tile's bytes: signed weights become unsigned here. */
INLINE int tile_zero(enum cut_type t) { return is_signed(t) ? largest(t) + (largest(t) != 128) : zero_of(t); }

/* A block of 32 columns of N rows, unpacked: w as drawn above, then the scales d (one or two rows of N), and the offsets m. */
struct tile_form { int scales; bool offset; };
INLINE struct tile_form form_of(enum cut_type t) { return (struct tile_form){ n_scales(t), has_offset(t) }; }
INLINE size_t tile_bytes(struct tile_form f) { return (size_t)(N * (32 + 4 * f.scales * (f.offset ? 2 : 1))); }
INLINE float *tile_d(void *block) { return (float *)((char *)block + 32 * N); }

/* Columns 32 b .. 32 b + 31 of a group's row, as the tile's unsigned bytes. */
INLINE __m256i tile_codes(enum cut_type type, const char *group, __m256i signs, int b) {
    __m256i v = bytes32(type, group, signs, b);
    return is_signed(type) ? _mm256_add_epi8(v, _mm256_set1_epi8((char)tile_zero(type))) : v;
}

/* A group of N rows; those beyond `rows` repeat the last one, and their results are not stored. As many bytes are asked for at `next`. */
INLINE void unpack_group(enum cut_type type, const char *w, size_t stride, int rows, char *tile, const char *next) {
    const struct tile_form f = form_of(type);
    const size_t bytes = tile_bytes(f);
    for (int r = 0; r < N; r += 8) {
        const char *group[8];
        __m256i signs[8];
        for (int i = 0; i < 8; i++) {
            group[i] = w + (size_t)cut_min(r + i, rows - 1) * stride;
            signs[i] = signs256(type, group[i]);
        }
        for (int b = 0; b < 8; b++, next += group_bytes(type)) {
            __m256i v[8];
            for (size_t i = 0; i < group_bytes(type); i += 64) _mm_prefetch(next + i, _MM_HINT_T1);
            if (has_grid(type)) {
#pragma GCC unroll 1           /* a table looked up eight times is enough code */
                for (int i = 0; i < 8; i++) v[i] = tile_codes(type, group[i], signs[i], b);
            } else {
                UNROLL for (int i = 0; i < 8; i++) v[i] = tile_codes(type, group[i], signs[i], b);
            }
            transpose8(v);
            for (int i = 0; i < 8; i++) _mm256_store_si256((void *)(tile + (size_t)b * bytes + (i * N + r) * 4), v[i]);
        }
    }
    for (int r = 0; r < N; r++) {
        struct scales s = scales256(type, w + (size_t)cut_min(r, rows - 1) * stride, 8);
        float d[16], m[16];
        for (int i = 0; i < f.scales; i++) {
            _mm256_storeu_ps(d + 8 * i, s.d[i]);
            if (f.offset) _mm256_storeu_ps(m + 8 * i, s.m[i]);
        }
        for (int b = 0; b < 8; b++)
            for (int i = 0; i < f.scales; i++) {
                float *at = tile_d(tile + (size_t)b * bytes) + i * N + r;
                at[0] = d[b * f.scales + i];
                if (f.offset) at[f.scales * N] = m[b * f.scales + i];
            }
    }
}

/* The same for the n blocks that a row may end with: as if zeros followed. */
INLINE void unpack_end(enum cut_type type, const char *w, size_t stride, int rows, int n, char *tile) {
    char whole[N][8 * sizeof(struct cut_q8_0)];
    const size_t bytes = (size_t)n * group_bytes(type) / 8;
    for (int r = 0; r < rows; r++) {
        memcpy(whole[r], w + (size_t)r * stride, bytes);
        memset(whole[r] + bytes, 0, sizeof *whole - bytes);
    }
    unpack_group(type, whole[0], sizeof *whole, rows, tile, whole[0]);
}

/* Blocks of N unpacked rows of k columns: whole groups. */
INLINE int tile_blocks(int k) { return (int)cut_round_up((size_t)k / 32, 8); }

INLINE void unpack_rows(enum cut_type type, const char *w, size_t stride, int rows, int k, char *tile) {
    const size_t bytes = tile_bytes(form_of(type));
    const char *next = w + N * stride;
    int b = 0;
    for (; b + 8 <= k / 32; b += 8, w += group_bytes(type), next += N * group_bytes(type))
        unpack_group(type, w, stride, rows, tile + (size_t)b * bytes, next);
    if (b < k / 32 && whole_of(type) < 256) unpack_end(type, w, stride, rows, k / 32 - b, tile + (size_t)b * bytes);
}

/* What is read of up to TILE_T tokens: their rows as they are; and rows at the same distance from each other with what is made of the
 * sums of 32 activations (or of 16, where the weights have two scales): -zero times each, and, for weights with an offset, the scale
 * times each. `at` moves along. */
struct tile_x { const char *q, *d, *start, *ds; };

INLINE size_t made_bytes(int k) { return cut_q8_bytes(k) * TILE_T; }

INLINE void make_starts(enum cut_type type, int32_t *start, float *ds, void *row, int k) {
    const struct tile_form f = form_of(type);
    const float *d = cut_q8_d(row, k);
    const int16_t *s = cut_q8_s(row, k);
    for (int i = 0; i < k / 32 * f.scales; i++) {
        int sum = f.scales == 1 ? s[2 * i] + s[2 * i + 1] : s[i];
        start[i] = -tile_zero(type) * sum;
        if (f.offset) ds[i] = d[i / f.scales] * (float)sum;
    }
}

INLINE struct tile_x make_tokens(enum cut_type type, char *made, const struct cut_mm *m, int t0, int n) {
    const char *row = (const char *)m->x + (size_t)t0 * m->x_stride;
    size_t ds_at = (size_t)m->k / 32 * 4 * (size_t)n_scales(type);
    for (int t = 0; t < n; t++) {
        char *at = made + (size_t)t * m->x_stride;
        make_starts(type, (int32_t *)at, (float *)(at + ds_at), (char *)row + (size_t)t * m->x_stride, m->k);
    }
    return (struct tile_x){ row, row + m->k, made, made + ds_at };
}

/* The results of a tile of n_blocks blocks and T tokens: to y[t * y_stride + r] for `rows` rows. In the including file. */
INLINE void tile_sums(enum cut_type type, int T, const char *tile, struct tile_x x, size_t x_stride, int n_blocks, int rows, float *y,
                      size_t y_stride);

/* Rows unpacked at a time: the more, the more often packed tokens are used; but they should stay in the second-level
 * cache, which holds 64 rows of 6000 columns or so in a megabyte. */
INLINE int tile_rows(int k) { return k <= 3072 ? 128 : 64; }

/* tile_rows(k) rows are unpacked into scratch; then the tokens pass, TILE_T at a time, or half as many when fewer are left. Of the last ones
 * some may have been there before: they get the same results again. There are at least TILE_T / 2. */
INLINE void mm_tiles(const struct cut_mm *m, int r0, int r1, enum cut_type type) {
    const size_t bytes = (size_t)tile_blocks(m->k) * tile_bytes(form_of(type));        /* of N rows */
    char *made = m->scratch, *tiles = made + made_bytes(m->k);

    for (int r = r0, rows; r < r1; r += rows) {
        rows = cut_min(tile_rows(m->k), r1 - r);
        const char *w = (const char *)m->w + (size_t)r * m->w_stride;
        for (int i = 0; i < rows; i += N)
            unpack_rows(type, w + (size_t)i * m->w_stride, m->w_stride, cut_min(N, rows - i), m->k, tiles + (size_t)(i / N) * bytes);
        for (int t = 0, T; t < m->t; t += T) {
            T = m->t - t > TILE_T / 2 && m->t >= TILE_T ? TILE_T : TILE_T / 2;
            if (t + T > m->t) t = m->t - T;
            struct tile_x x = make_tokens(type, made, m, t, T);
            for (int i = 0; i < rows; i += N)
                tile_sums(type, T, tiles + (size_t)(i / N) * bytes, x, m->x_stride, m->k / 32, cut_min(N, rows - i),
                          m->y + (size_t)t * m->y_stride + r + i, m->y_stride);
        }
    }
}

/* y[0..n) = n rows of the four, `stride` bytes apart, by one token; where they are fewer, the last is read again. In the including file. */
INLINE void gemv4(enum cut_type type, const char *w, size_t stride, int n, void *x, int k, float y[4]);

/* One token waits for memory, which the processor reads ahead by itself where it sees long runs of addresses (NOTES.md): each of
 * the four rows that are taken together goes through a quarter of the range. They are an odd number of rows apart, or all four
 * would often be a multiple of many pages from each other, where they compete for the same sets of a cache. */
INLINE void mm_quarters(const struct cut_mm *m, int r0, int r1, enum cut_type type) {
    for (int apart = cut_max(1, ((r1 - r0) / 4 - 1) | 1), n; r0 < r1; r0 += n * apart, apart = 1) {
        n = cut_min(4, r1 - r0);
        for (int r = r0; r < r0 + apart; r++)
            for (int t = 0; t < m->t; t++) {
                float y[4];
                gemv4(type, (const char *)m->w + (size_t)r * m->w_stride, (size_t)apart * m->w_stride, n,
                      (char *)m->x + (size_t)t * m->x_stride, m->k, y);
                for (int i = 0; i < n; i++) m->y[(size_t)t * m->y_stride + r + i * apart] = y[i];
            }
    }
}

/* Unpacking pays for TILE_MIN tokens and more. */
INLINE void mm_q8(const struct cut_mm *m, int r0, int r1, enum cut_type type) {
    if (m->t < TILE_MIN) mm_quarters(m, r0, r1, type);
    else mm_tiles(m, r0, r1, type);
}

/* Tiles of the format with two scales and offsets are the largest. That is also more than the float kernels need to decode their
 * MM_ROWS rows of a quantized format: 64 k bytes. */
static inline size_t mm_tiles_scratch(int k) {
    return made_bytes(k) + (size_t)tile_blocks(k) * ((size_t)tile_rows(k) / N * tile_bytes((struct tile_form){ 2, true }));
}
