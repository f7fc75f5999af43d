/* lanes_attn.h - attention for vectors of any width, written once. Internal; a part of lanes.h, which includes it and
 * says what a vector is.
 *
 * In a page, the keys of a group are rows of a matrix and the group's queries its tokens: scores are a small matrix
 * product, and dot_rows computes them.
 */

/* The cells of group g in the page that holds cell j. */
INLINE struct rows page_rows(const struct cut_attn *a, const uint8_t *base, int g, int j) {
    size_t bytes = (size_t)a->head_dim * (a->type == CUT_F16 ? 2 : 4);
    const uint8_t *page = base + (size_t)a->table[j / CUT_KV_PAGE] * a->page_bytes;
    return (struct rows){ (const char *)page + (size_t)g * CUT_KV_PAGE * bytes, bytes };
}

/* s[h][j] = q[h] . k[j], unscaled: n cells by n_q heads. */
INLINE void page_scores(const struct cut_attn *a, struct rows k, int n, const float *q, int n_q, float *s,
                        size_t s_stride) {
    struct rows x = { (const char *)q, (size_t)a->head_dim * sizeof *q };
    if (a->type == CUT_F16) dot_rows(CUT_F16, k, n, x, n_q, a->head_dim, s, s_stride, false);
    else dot_rows(CUT_F32, k, n, x, n_q, a->head_dim, s, s_stride, false);
}

/* z[h][d..d+V*W) = z shrink[h] + sum_j p[h][j] v[j], for H heads; H and V are constants. With V = 1, `left` < W lanes may
 * be all there are. */
INLINE void mix_tile(enum cut_type type, struct rows v, int n, const float *p, size_t p_stride, const float *shrink,
                     const int H, const int V, int d, int left, float *z, int head_dim) {
    vf acc[4][MIX_V];
    for (int h = 0; h < H; h++)
        for (int i = 0; i < V; i++) {
            const float *at = z + h * head_dim + d + i * W;
            acc[h][i] = v_mul(left < W ? v_load_n(at, left) : v_load(at), v_set(shrink[h]));
        }
    for (int j = 0; j < n; j++) {
        vf x[MIX_V];
        for (int i = 0; i < V; i++)
            x[i] = left < W ? load_lanes_n(type, row_at(v, j), d, left) : load_lanes(type, row_at(v, j), d + i * W);
        for (int h = 0; h < H; h++) {
            vf pj = v_set(p[(size_t)h * p_stride + (size_t)j]);
            for (int i = 0; i < V; i++) acc[h][i] = v_fma(pj, x[i], acc[h][i]);
        }
    }
    for (int h = 0; h < H; h++)
        for (int i = 0; i < V; i++) {
            float *at = z + h * head_dim + d + i * W;
            if (left < W) v_store_n(at, acc[h][i], left);
            else v_store(at, acc[h][i]);
        }
}

INLINE void mix_heads(enum cut_type type, struct rows v, int n, const float *p, size_t p_stride, const float *shrink,
                      const int H, float *z, int head_dim) {
    int d = 0;
    for (; d + MIX_V * W <= head_dim; d += MIX_V * W)
        mix_tile(type, v, n, p, p_stride, shrink, H, MIX_V, d, W, z, head_dim);
    for (; d + W <= head_dim; d += W) mix_tile(type, v, n, p, p_stride, shrink, H, 1, d, W, z, head_dim);
    if (d < head_dim) mix_tile(type, v, n, p, p_stride, shrink, H, 1, d, head_dim - d, z, head_dim);
}

INLINE void page_mix(enum cut_type type, struct rows v, int n, const float *p, size_t p_stride, const float *shrink,
                     int n_q, float *z, int head_dim) {
    int h = 0;
    for (; h + 4 <= n_q; h += 4)
        mix_heads(type, v, n, p + (size_t)h * p_stride, p_stride, shrink + h, 4, z + h * head_dim, head_dim);
    for (; h + 2 <= n_q; h += 2)
        mix_heads(type, v, n, p + (size_t)h * p_stride, p_stride, shrink + h, 2, z + h * head_dim, head_dim);
    for (; h < n_q; h++)
        mix_heads(type, v, n, p + (size_t)h * p_stride, p_stride, shrink + h, 1, z + h * head_dim, head_dim);
}

enum { ATTN_S = (CUT_KV_PAGE + 15) / 16 * 16 };       /* scores of a page, in whole vectors */

/* Scores to weights, in place, for one head and page: s_j becomes exp(s_j scale - m), m and l move on, and the result is
 * the factor by which older sums shrink. ref.c explains. */
INLINE float online_softmax(float *s, int n, float scale, float *m, float *l) {
    for (int j = n; j < ATTN_S; j++) s[j] = -INFINITY;
    vf top = v_set(*m);
    for (int j = 0; j < ATTN_S; j += W) {
        vf v = v_mul(v_load(s + j), v_set(scale));
        v_store(s + j, v);
        top = v_max(top, v);
    }
    float max = v_top(top);
    vf shrink = v_exp(v_set(*m - max)), sum = v_zero();
    for (int j = 0; j < ATTN_S; j += W) {
        vf p = v_exp(v_add(v_load(s + j), v_set(-max)));
        v_store(s + j, p);
        sum = v_add(sum, p);
    }
    float f[W];
    v_store(f, shrink);
    *l = *l * f[0] + v_sum(sum);
    *m = max;
    return f[0];
}

static void attn(const struct cut_attn *a, const float *q, float *z, int g0, int g1, void *scratch) {
    int n_q = a->n_head / a->n_head_kv, hd = a->head_dim;
    float *s = scratch, *m = s + n_q * ATTN_S, *l = m + n_q, *shrink = l + n_q;

    for (int g = g0; g < g1; g++) {
        const float *qg = q + (size_t)g * (size_t)n_q * (size_t)hd;
        float *zg = z + (qg - q);
        for (int h = 0; h < n_q; h++) {
            m[h] = -INFINITY;
            l[h] = 0;
        }
        memset(zg, 0, (size_t)n_q * (size_t)hd * sizeof *zg);

        for (int j = 0; j < a->n_vis; j += CUT_KV_PAGE) {
            int n = cut_min(CUT_KV_PAGE, a->n_vis - j);
            page_scores(a, page_rows(a, a->k, g, j), n, qg, n_q, s, ATTN_S);
            for (int h = 0; h < n_q; h++) shrink[h] = online_softmax(s + h * ATTN_S, n, a->scale, m + h, l + h);
            struct rows v = page_rows(a, a->v, g, j);
            if (a->type == CUT_F16) page_mix(CUT_F16, v, n, s, ATTN_S, shrink, n_q, zg, hd);
            else page_mix(CUT_F32, v, n, s, ATTN_S, shrink, n_q, zg, hd);
        }
        for (int h = 0; h < n_q; h++)
            for (int i = 0; i < hd; i++) zg[h * hd + i] /= l[h];
    }
}

static size_t attn_scratch(const struct cut_attn *a) {
    return (size_t)(a->n_head / a->n_head_kv) * (ATTN_S + 3) * sizeof(float);
}

static void scores(const struct cut_attn *a, const float *q, int head, float *s) {
    int g = head / (a->n_head / a->n_head_kv);
    for (int j = 0; j < a->n_vis; j += CUT_KV_PAGE) {
        int n = cut_min(CUT_KV_PAGE, a->n_vis - j);
        page_scores(a, page_rows(a, a->k, g, j), n, q, 1, s + j, 0);
        for (int i = 0; i < n; i++) s[j + i] *= a->scale;
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
    int g = head / (a->n_head / a->n_head_kv);
    float one = 1;
    memset(z, 0, (size_t)a->head_dim * sizeof *z);
    for (int j = 0; j < a->n_vis; j += CUT_KV_PAGE) {
        int n = cut_min(CUT_KV_PAGE, a->n_vis - j);
        struct rows v = page_rows(a, a->v, g, j);
        if (a->type == CUT_F16) page_mix(CUT_F16, v, n, p + j, 0, &one, 1, z, a->head_dim);
        else page_mix(CUT_F32, v, n, p + j, 0, &one, 1, z, a->head_dim);
    }
}
