/* lanes_attn.h - attention for vectors of any width, written once. Internal; a part of lanes.h, which includes it and
 * says what a vector is.
 *
 * The queries of a KV group - its heads, for every token of the call - are the rows of a matrix. Both products are of
 * one form, y[r][c] = sum_k a[r][k] b[k][c], where a row of b lies in the cache as it is needed, c along the lanes:
 *
 *   scores   a = q, k = dimension, c = cell         K pages are [head_dim][CUT_KV_PAGE]
 *   mix      a = p, k = cell,      c = dimension    V pages are [CUT_KV_PAGE][head_dim]
 *
 * so one tile serves both: M rows by V vectors, each row of b loaded once and met by M broadcast numbers. Nothing is
 * summed across lanes, and each element is one chain of multiply-adds in the order of k: it depends neither on the other
 * rows of its tile nor on their number. That makes a token's result the same in a batch and alone, to the bit.
 */

/* Online softmax moves on a step at a time: several pages, so that maxima, exponents and shrinking weigh little. */
enum { STEP_PAGES = CUT_KV_PAGE < 128 ? 128 / CUT_KV_PAGE : 1, STEP = STEP_PAGES * CUT_KV_PAGE };
_Static_assert(STEP % 16 == 0, "the scores of a step are whole vectors");

/* Tokens are taken together until they make this many rows: a page is then read from near by for all but the first. */
enum { ATTN_ROWS = 64 };

INLINE size_t cell_bytes(enum cut_type type) { return type == CUT_F16 ? 2 : 4; }

/* acc[m][i] += sum_k a[m][k] b[k][i W ..], for n rows of b. M and V are constants, and so is whether the lanes are only
 * `left` < W. `ahead` is a page of the same size to ask memory for: hardware does not prefetch beyond 4 KiB. */
INLINE void attn_tile(enum cut_type type, const char *b, size_t b_stride, int left, int n, const float *a, size_t a_stride,
                      const int M, const int V, vf acc[8][4], const char *ahead) {
    for (int k = 0; k < n; k++, b += b_stride, ahead += b_stride) {
        vf x[4];
        for (size_t at = 0; at < V * W * cell_bytes(type); at += 64) __builtin_prefetch(ahead + at, 0, 2);
        for (int i = 0; i < V; i++) x[i] = left < W ? load_lanes_n(type, b, 0, left) : load_lanes(type, b, i * W);
        for (int m = 0; m < M; m++) {
            vf am = v_set(a[(size_t)m * a_stride + (size_t)k]);
            for (int i = 0; i < V; i++) acc[m][i] = v_fma(am, x[i], acc[m][i]);
        }
    }
}

/* The vectors a tile of M rows goes through a row of `width` lanes in: two at a time, and four where there are registers for
 * them: few rows by two would leave the multiply-adds waiting for each other. CALL(V, c, left) does those at lane c. */
#define BY_VECTORS(M, width, CALL) do { \
        int c = 0; \
        if (M < 4 || (M == 4 && ATTN_V == 4)) for (; c + 4 * W <= width; c += 4 * W) CALL(4, c, W); \
        for (; c + 2 * W <= width; c += 2 * W) CALL(2, c, W); \
        for (; c + W <= width; c += W) CALL(1, c, W); \
        if (c < width) CALL(1, c, width - c); \
    } while (0)

/* The same for rows: tiles of `most`, 4 or 8, and less at the end. CALL(M, r) does those from r on. */
#define BY_ROWS(most, n, CALL) do { \
        int r = 0; \
        if (most > 4) for (; r + most <= n; r += most) CALL(most, r); \
        for (; r + 4 <= n; r += 4) CALL(4, r); \
        for (; r + 2 <= n; r += 2) CALL(2, r); \
        for (; r < n; r++) CALL(1, r); \
    } while (0)

INLINE void tile_load(const float *y, size_t stride, int left, const int M, const int V, vf acc[8][4]) {
    for (int m = 0; m < M; m++, y += stride)
        for (int i = 0; i < V; i++) acc[m][i] = left < W ? v_load_n(y, left) : v_load(y + i * W);
}

INLINE void tile_store(float *y, size_t stride, int left, const int M, const int V, vf acc[8][4]) {
    for (int m = 0; m < M; m++, y += stride)
        for (int i = 0; i < V; i++) {
            if (left < W) v_store_n(y, acc[m][i], left);
            else v_store(y + i * W, acc[m][i]);
        }
}

/* Where group g begins in the page that holds cell j, or in the one after it if that holds
 * visible cells. */
INLINE const char *page_of(const struct cut_attn *a, const uint8_t *base, int g, int j) {
    size_t group = (size_t)a->head_dim * CUT_KV_PAGE * cell_bytes(a->type);
    return (const char *)base + (size_t)a->table[j / CUT_KV_PAGE] * a->page_bytes + (size_t)g * group;
}
/* What memory is asked for while a page is at work, so that it comes evenly and well ahead: during the scores the values of the same cells,
 * during the mix the keys of the next step. */
INLINE const char *keys_after(const struct cut_attn *a, int g, int j) {
    return page_of(a, a->k, g, j + STEP < a->n_vis ? j + STEP : j);
}

/* Rows of scores and of weights are STEP apart. s[r][c] = q[r] . k[c], for `width` cells of a page; what a row may not see is dropped later. */
INLINE void key_columns(enum cut_type type, const char *k, const char *ahead, const float *q, int head_dim, float *s,
                        const int M, const int V, int c, int left) {
    size_t lane = cell_bytes(type);
    vf acc[8][4];
    for (int m = 0; m < M; m++)
        for (int i = 0; i < V; i++) acc[m][i] = v_zero();
    attn_tile(type, k + (size_t)c * lane, CUT_KV_PAGE * lane, left, head_dim, q, (size_t)head_dim, M, V, acc, ahead + (size_t)c * lane);
    tile_store(s + c, STEP, left, M, V, acc);
}

INLINE void key_rows(enum cut_type type, const char *k, const char *ahead, int width, const float *q, int n_rows, int head_dim, float *s) {
#define COLUMNS(V, c, left) key_columns(type, k, ahead, qr, head_dim, sr, M, V, c, left)
#define TILE(rows, r) do { \
        enum { M = rows }; \
        const float *qr = q + (size_t)(r) * (size_t)head_dim; \
        float *sr = s + (size_t)(r) * STEP; \
        BY_VECTORS(M, width, COLUMNS); \
    } while (0)
    BY_ROWS(ATTN_M, n_rows, TILE);
#undef TILE
#undef COLUMNS
}

/* The page that holds cell j, as far as it is visible. `room`: for a decoded page, or NULL if that would not pay. */
static __attribute__((noinline)) void page_scores(const struct cut_attn *a, int g, int j, int n_cells, const float *q, int n_rows,
                                                  float *s, float *room) {
    const char *k = page_of(a, a->k, g, j), *ahead = page_of(a, a->v, g, j);
    int width = cut_min(CUT_KV_PAGE, (int)cut_round_up((size_t)(n_cells - j), W)), n = a->head_dim * CUT_KV_PAGE;
    if (a->type == CUT_F32) {
        key_rows(CUT_F32, k, ahead, width, q, n_rows, a->head_dim, s);
    } else if (!room) {
        key_rows(CUT_F16, k, ahead, width, q, n_rows, a->head_dim, s);
    } else {
        int i = 0;
        for (; i + W <= n; i += W) {
            __builtin_prefetch(ahead + 2 * i);
            v_store(room + i, v_load_f16((const uint16_t *)k + i));
        }
        if (i < n) v_store_n(room + i, v_load_f16_n((const uint16_t *)k + i, n - i), n - i);
        key_rows(CUT_F32, (char *)room, (char *)room, width, q, n_rows, a->head_dim, s);
    }
}

/* z[r][d] += sum_j p[r][j] v[j][d], for cells [j0, j0 + n); j0 begins a page. */
INLINE void value_columns(enum cut_type type, const struct cut_attn *a, int g, int j0, int n, const float *p, float *z,
                          const int M, const int V, int d, int left) {
    size_t lane = cell_bytes(type), at = (size_t)d * lane, row = (size_t)a->head_dim * lane;
    vf acc[8][4];
    tile_load(z + d, (size_t)a->head_dim, left, M, V, acc);
    for (int j = 0; j < n; j += CUT_KV_PAGE)
        attn_tile(type, page_of(a, a->v, g, j0 + j) + at, row, left, cut_min(CUT_KV_PAGE, n - j), p + j, STEP, M, V, acc,
                  keys_after(a, g, j0 + j) + at);
    tile_store(z + d, (size_t)a->head_dim, left, M, V, acc);
}

INLINE void value_rows(enum cut_type type, const struct cut_attn *a, int g, int j0, int n, const float *p, int n_rows, float *z) {
#define COLUMNS(V, d, left) value_columns(type, a, g, j0, n, pr, zr, M, V, d, left)
#define TILE(rows, r) do { \
        enum { M = rows }; \
        const float *pr = p + (size_t)(r) * STEP; \
        float *zr = z + (size_t)(r) * (size_t)a->head_dim; \
        BY_VECTORS(M, a->head_dim, COLUMNS); \
    } while (0)
    BY_ROWS(4, n_rows, TILE);
#undef TILE
#undef COLUMNS
}

static __attribute__((noinline)) void add_values(const struct cut_attn *a, int g, int j0, int n, const float *p, int n_rows, float *z) {
    if (a->type == CUT_F16) value_rows(CUT_F16, a, g, j0, n, p, n_rows, z);
    else value_rows(CUT_F32, a, g, j0, n, p, n_rows, z);
}

/* What a row carries from step to step: ref.c explains. l is kept as W partial sums, lane by lane. */
struct attn_row { float m, l[W]; };

/* Scores of n cells to weights, in place: s_j becomes exp(s_j - m), where m is the largest score so far; what was summed
 * relative to an older m shrinks. */
INLINE void online_softmax(float *s, int n, struct attn_row *row, float *z, int head_dim) {
    for (int j = n; j % W; j++) s[j] = -INFINITY;
    vf top = v_set(row->m), sum = v_load(row->l);
    for (int j = 0; j < n; j += W) top = v_max(top, v_load(s + j));
    float max = v_top(top);
    if (max != row->m) {
        vf shrink = v_exp(v_set(row->m - max));
        sum = v_mul(sum, shrink);
        int i = 0;
        for (; i + W <= head_dim; i += W) v_store(z + i, v_mul(v_load(z + i), shrink));
        if (i < head_dim) v_store_n(z + i, v_mul(v_load_n(z + i, head_dim - i), shrink), head_dim - i);
        row->m = max;
    }
    for (int j = 0; j < n; j += W) {
        vf p = v_exp(v_add(v_load(s + j), v_set(-max)));
        v_store(s + j, p);
        sum = v_add(sum, p);
    }
    v_store(row->l, sum);
}

/* y = x * by */
INLINE void scaled(float *y, const float *x, int n, float by) {
    int i = 0;
    for (; i + W <= n; i += W) v_store(y + i, v_mul(v_load(x + i), v_set(by)));
    if (i < n) v_store_n(y + i, v_mul(v_load_n(x + i, n - i), v_set(by)), n - i);
}

INLINE int tokens_together(const struct cut_attn *a) {
    return cut_max(1, cut_min(CUT_ATTN_TOKENS, ATTN_ROWS / (a->n_head / a->n_head_kv)));
}

/* One KV group and few enough tokens. Rows go token by token, head by head. */
static void attn_rows(const struct cut_attn *a, int g, const float *q, float *z, size_t stride, int n_tokens, float *scratch) {
    const int n_q = a->n_head / a->n_head_kv, n_rows = n_tokens * n_q, hd = a->head_dim, most = a->n_vis + n_tokens - 1;
    float *qs = scratch, *s = qs + n_rows * hd, *zs = s + n_rows * STEP;
    struct attn_row *row = (struct attn_row *)(zs + n_rows * hd);
    float *room = n_rows >= 4 * ATTN_M ? (float *)(row + n_rows) : NULL;

    for (int t = 0; t < n_tokens; t++) scaled(qs + t * n_q * hd, q + (size_t)t * stride, n_q * hd, a->scale);
    for (int r = 0; r < n_rows; r++) row[r] = (struct attn_row){ .m = -INFINITY };
    memset(zs, 0, (size_t)n_rows * (size_t)hd * sizeof *zs);

    for (int j0 = 0; j0 < most; j0 += STEP) {
        int n = cut_min(STEP, most - j0);
        for (int j = 0; j < n; j += CUT_KV_PAGE) page_scores(a, g, j0 + j, most, qs, n_rows, s + j, room);

        /* Token t sees `sees` cells of this step. All see the first pages whole; the last they see apart. */
        int whole = cut_max(0, cut_min(STEP, a->n_vis - j0)) / CUT_KV_PAGE * CUT_KV_PAGE;
        for (int r = 0; r < n_rows; r++) {
            int sees = cut_min(STEP, a->n_vis + r / n_q - j0);
            if (sees > 0) online_softmax(s + r * STEP, sees, row + r, zs + r * hd, hd);
        }
        if (whole) add_values(a, g, j0, whole, s, n_rows, zs);
        for (int t = 0; t < n_tokens; t++) {
            int sees = cut_min(STEP, a->n_vis + t - j0);
            if (sees > whole)
                add_values(a, g, j0 + whole, sees - whole, s + t * n_q * STEP + whole, n_q, zs + t * n_q * hd);
        }
    }
    for (int r = 0; r < n_rows; r++)
        scaled(z + (size_t)(r / n_q) * stride + (size_t)(r % n_q * hd), zs + r * hd, hd, 1 / v_sum(v_load(row[r].l)));
}

static void attn(const struct cut_attn *a, const float *q, float *z, size_t stride, int n_tokens, int g0, int g1, void *scratch) {
    const int together = tokens_together(a), per_group = a->n_head / a->n_head_kv * a->head_dim;
    for (int t = 0; t < n_tokens; t += together) {
        struct cut_attn at = *a;
        at.n_vis += t;
        for (int g = g0; g < g1; g++) {
            size_t first = (size_t)t * stride + (size_t)g * (size_t)per_group;
            attn_rows(&at, g, q + first, z + first, stride, cut_min(together, n_tokens - t), scratch);
        }
    }
}

static size_t attn_scratch(const struct cut_attn *a) {
    size_t rows = (size_t)(tokens_together(a) * (a->n_head / a->n_head_kv));
    return rows * ((2 * (size_t)a->head_dim + STEP) * sizeof(float) + sizeof(struct attn_row)) +
           (size_t)a->head_dim * CUT_KV_PAGE * sizeof(float);
}

/* The three steps apart, for one head. */
static void scores(const struct cut_attn *a, const float *q, int head, float *s) {
    int g = head / (a->n_head / a->n_head_kv);
    for (int j = 0; j < a->n_vis; j += CUT_KV_PAGE) {
        int n = cut_min(CUT_KV_PAGE, a->n_vis - j);
        float all[CUT_KV_PAGE];
        page_scores(a, g, j, a->n_vis, q, 1, all, NULL);
        for (int i = 0; i < n; i++) s[j + i] = all[i] * a->scale;
    }
}

static void softmax(float *p, const float *s, int n) {
    vf top = v_set(-INFINITY), sum = v_zero();
    int j = 0;
    for (; j + W <= n; j += W) top = v_max(top, v_load(s + j));
    float max = v_top(top);
    for (; j < n; j++) max = fmaxf(max, s[j]);

    vf shift = v_set(-max);
    for (j = 0; j + W <= n; j += W) {
        vf e = v_exp(v_add(v_load(s + j), shift));
        v_store(p + j, e);
        sum = v_add(sum, e);
    }
    float total = v_sum(sum);
    if (j < n) {
        v_store_n(p + j, v_exp(v_add(v_load_n(s + j, n - j), shift)), n - j);
        for (int i = j; i < n; i++) total += p[i];
    }
    for (j = 0; j < n; j++) p[j] /= total;
}

static void mix(const struct cut_attn *a, const float *p, int head, float *z) {
    memset(z, 0, (size_t)a->head_dim * sizeof *z);
    add_values(a, head / (a->n_head / a->n_head_kv), 0, a->n_vis, p, 1, z);
}
