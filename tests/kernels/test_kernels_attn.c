/* test_kernels_attn.c - attention of every tier against a double-precision account of the formula. */
#include "tests/kernels/kernels.h"

/* A cache of n_pages pages in shuffled order, and what attention over it should give. Cells that are not visible hold
 * NaN: they must not be heard. */
struct cache {
    struct cut_attn a;
    uint8_t *k, *v;
    int32_t *table;
    float *q;
    double *s, *p, *z, *z_bound;           /* [head][n_vis], [head][n_vis], [head][head_dim] */
};

/* Where element i of a key, or of a value, lies in its page. */
static size_t place(const struct cut_attn *a, const uint8_t *base, int g, int j, int i) {
    size_t hd = (size_t)a->head_dim, first = (size_t)g * CUT_KV_PAGE * hd, c = (size_t)(j % CUT_KV_PAGE);
    return base == a->k ? first + (size_t)i * CUT_KV_PAGE + c : first + c * hd + (size_t)i;
}

static float cell(const struct cut_attn *a, const uint8_t *base, int g, int j, int i) {
    const uint8_t *page = base + (size_t)a->table[j / CUT_KV_PAGE] * a->page_bytes;
    size_t at = place(a, base, g, j, i);
    return a->type == CUT_F16 ? cut_f16_to_f32(((const uint16_t *)page)[at]) : ((const float *)page)[at];
}

static void set_cell(const struct cut_attn *a, uint8_t *base, int g, int j, int i, float f) {
    uint8_t *page = base + (size_t)a->table[j / CUT_KV_PAGE] * a->page_bytes;
    size_t at = place(a, base, g, j, i);
    if (a->type == CUT_F16) ((uint16_t *)page)[at] = cut_f32_to_f16(f);
    else ((float *)page)[at] = f;
}

static struct cache cache_new(enum cut_type type, int n_head, int n_head_kv, int head_dim, int n_vis, float sharpness) {
    struct cache c = { .a = { .type = type, .n_head = n_head, .n_head_kv = n_head_kv, .head_dim = head_dim,
                              .n_vis = n_vis } };
    int pages = (n_vis + CUT_KV_PAGE - 1) / CUT_KV_PAGE;
    size_t hd = (size_t)head_dim, cells = (size_t)n_vis * (size_t)n_head;
    uint64_t rng = (uint64_t)n_vis;
    c.a.page_bytes = (size_t)n_head_kv * CUT_KV_PAGE * hd * (type == CUT_F16 ? 2 : 4);
    c.a.scale = 1.0f / sqrtf((float)head_dim);
    c.k = buffer((size_t)pages * c.a.page_bytes);
    c.v = buffer((size_t)pages * c.a.page_bytes);
    c.table = buffer((size_t)pages * 4);
    for (int i = 0; i < pages; i++) c.table[i] = (i * 7 + 3) % pages;
    if (pages % 7 == 0) for (int i = 0; i < pages; i++) c.table[i] = pages - 1 - i;
    c.a.k = c.k;
    c.a.v = c.v;
    c.a.table = c.table;
    for (int g = 0; g < n_head_kv; g++)
        for (int j = 0; j < pages * CUT_KV_PAGE; j++)
            for (int i = 0; i < head_dim; i++) {
                set_cell(&c.a, c.k, g, j, i, j < n_vis ? sharpness * random_float(&rng) : NAN);
                set_cell(&c.a, c.v, g, j, i, j < n_vis ? random_float(&rng) : NAN);
            }
    c.q = buffer((size_t)n_head * hd * 4);
    for (int i = 0; i < n_head * head_dim; i++) c.q[i] = random_float(&rng);

    c.s = buffer(cells * 8);
    c.p = buffer(cells * 8);
    c.z = buffer((size_t)n_head * hd * 8);
    c.z_bound = buffer((size_t)n_head * 8);
    for (int h = 0; h < n_head; h++) {
        int g = h / (n_head / n_head_kv);
        double max = -INFINITY, sum = 0, *s = c.s + h * n_vis, *p = c.p + h * n_vis, largest = 0;
        for (int j = 0; j < n_vis; j++) {
            double size = 0;
            for (int i = 0; i < head_dim; i++) {
                double term = (double)c.q[h * head_dim + i] * cell(&c.a, c.k, g, j, i) * c.a.scale;
                s[j] += term;
                size += fabs(term);
            }
            max = fmax(max, s[j]);
            largest = fmax(largest, size);
        }
        for (int j = 0; j < n_vis; j++) sum += p[j] = exp(s[j] - max);
        for (int j = 0; j < n_vis; j++) {
            p[j] /= sum;
            for (int i = 0; i < head_dim; i++) c.z[h * head_dim + i] += p[j] * cell(&c.a, c.v, g, j, i);
        }
        /* |v| <= 1, so z errs by at most the relative error of p: that of the score (head_dim roundings of at most
         * `largest`), of exp (whose argument is rounded too), and of two sums of n_vis terms. */
        c.z_bound[h] = FLT_EPSILON * ((head_dim + 4) * largest + 4 * fabs(max) + 2 * n_vis + 16);
    }
    return c;
}

static void cache_free(struct cache *c) {
    free(c->k);
    free(c->v);
    free(c->table);
    free(c->q);
    free(c->s);
    free(c->p);
    free(c->z);
    free(c->z_bound);
}

static void attention_of(enum cut_type type, int n_head, int n_head_kv, int head_dim, int n_vis, float sharpness) {
    struct cache c = cache_new(type, n_head, n_head_kv, head_dim, n_vis, sharpness);
    size_t nz = (size_t)n_head * (size_t)head_dim;
    float *z = buffer(nz * 4), *z2 = buffer(nz * 4), *s = buffer((size_t)n_vis * 4), *p = buffer((size_t)n_vis * 4);
    EACH_TIER(tier) {
        struct cut_kernels k;
        cut_kernels_init(&k, tier);
        void *scratch = buffer(k.attn_scratch(&c.a));

        memset(z, 0xFF, nz * 4);
        k.attn(&c.a, c.q, z, 0, 1, 0, n_head_kv, scratch);
        for (int g = n_head_kv - 1; g >= 0; g--) k.attn(&c.a, c.q, z2, 0, 1, g, g + 1, scratch);
        CHECK(!memcmp(z, z2, nz * 4), "%s: groups alone differ", cut_tier_name(tier));

        for (int h = 0; h < n_head; h++) {
            double *zh = c.z + h * head_dim, bound = c.z_bound[h];
            for (int i = 0; i < head_dim; i++)
                CHECK(fabs(z[h * head_dim + i] - zh[i]) <= bound,
                      "%s attn %d heads/%d of %d, %d cells: z[%d][%d] %.9g, not %.9g (%.2g)", cut_tier_name(tier),
                      n_head, n_head_kv, head_dim, n_vis, h, i, z[h * head_dim + i], zh[i], bound);

            k.scores(&c.a, c.q + h * head_dim, h, s);
            k.softmax(p, s, n_vis);
            k.mix(&c.a, p, h, z2);
            for (int j = 0; j < n_vis; j++) {
                double want_s = c.s[h * n_vis + j], want_p = c.p[h * n_vis + j];
                CHECK(fabs(s[j] - want_s) <= bound, "%s scores: %.9g, not %.9g", cut_tier_name(tier), s[j], want_s);
                CHECK(fabs(p[j] - want_p) <= bound, "%s softmax: %.9g, not %.9g", cut_tier_name(tier), p[j], want_p);
            }
            for (int i = 0; i < head_dim; i++)
                CHECK(fabs(z2[i] - zh[i]) <= bound, "%s mix: %.9g, not %.9g", cut_tier_name(tier), z2[i], zh[i]);
            k.softmax(s, s, n_vis);
            CHECK(!memcmp(s, p, (size_t)n_vis * 4), "%s: softmax in place", cut_tier_name(tier));
        }
        free(scratch);
    }
    free(z);
    free(z2);
    free(s);
    free(p);
    cache_free(&c);
}

TEST(kernels_attn_lengths) {
    static const int lengths[] = { 1, 2, 3, CUT_KV_PAGE - 1, CUT_KV_PAGE, CUT_KV_PAGE + 1, 2 * CUT_KV_PAGE,
                                   5 * CUT_KV_PAGE + 17 };
    for (size_t i = 0; i < CUT_LEN(lengths); i++) {
        attention_of(CUT_F32, 8, 4, 8, lengths[i], 1);
        attention_of(CUT_F16, 8, 1, 64, lengths[i], 1);
    }
}

TEST(kernels_attn_shapes) {
    static const int dims[] = { 2, 4, 6, 8, 10, 16, 18, 32, 48, 64, 66, 80, 96, 128, 130, 256 };
    for (size_t i = 0; i < CUT_LEN(dims); i++) {
        attention_of(CUT_F16, 6, 2, dims[i], 37, 1);
        attention_of(CUT_F32, 5, 1, dims[i], 41, 1);
        attention_of(CUT_F32, 3, 3, dims[i], 33, 1);
    }
}

/* Sharp patterns: the running maximum rises again and again, and older sums shrink to nothing. */
TEST(kernels_attn_sharp) {
    attention_of(CUT_F32, 8, 2, 64, 300, 50);
    attention_of(CUT_F16, 8, 2, 64, 300, 50);
    attention_of(CUT_F32, 4, 4, 32, 200, 1000);
}

/* Tokens in one call give the bytes they give one by one, wherever pages and steps begin and whatever lies in the cells
 * that come later. */
static void together(enum cut_type type, int n_head, int n_head_kv, int head_dim, int n_vis, int n_tokens) {
    struct cache c = cache_new(type, n_head, n_head_kv, head_dim, n_vis + n_tokens - 1, 3);
    size_t nz = (size_t)n_head * (size_t)head_dim, stride = nz + 3, all = stride * (size_t)n_tokens;
    float *q = buffer(all * 4), *z = buffer(all * 4), *alone = buffer(all * 4);
    uint64_t rng = 5;
    for (size_t i = 0; i < all; i++) q[i] = random_float(&rng);
    EACH_TIER(tier) {
        struct cut_kernels k;
        cut_kernels_init(&k, tier);
        void *scratch = buffer(k.attn_scratch(&c.a));
        struct cut_attn a = c.a;
        a.n_vis = n_vis;
        k.attn(&a, q, z, stride, n_tokens, 0, n_head_kv, scratch);
        for (int t = 0; t < n_tokens; t++, a.n_vis++)
            k.attn(&a, q + (size_t)t * stride, alone + (size_t)t * stride, 0, 1, 0, n_head_kv, scratch);
        CHECK(!memcmp(z, alone, all * 4), "%s: %d tokens behind %d differ from each alone (%d heads/%d of %d)", cut_tier_name(tier),
              n_tokens, n_vis, n_head, n_head_kv, head_dim);
        free(scratch);
    }
    free(q);
    free(z);
    free(alone);
    cache_free(&c);
}

TEST(kernels_attn_tokens) {
    static const int lengths[] = { 1, CUT_KV_PAGE - 3, CUT_KV_PAGE, CUT_KV_PAGE + 1, 121, 128, 250, 300 };
    for (size_t i = 0; i < CUT_LEN(lengths); i++)
        for (int n = 1; n <= 20; n += i % 2 ? 3 : 4) {
            together(CUT_F16, 8, 1, 64, lengths[i], n);
            together(CUT_F32, 3, 3, 18, lengths[i], n);
            together(CUT_F16, 14, 2, 10, lengths[i], n);
        }
    together(CUT_F32, 140, 2, 16, 100, 9);
}

/* exp alone, seen through softmax: p[1] / p[0] = exp(x) / exp(0). Within a unit in the last place, and half a unit for
 * each of the two quotients. */
TEST(kernels_exp) {
    EACH_TIER(tier) {
        struct cut_kernels k;
        cut_kernels_init(&k, tier);
        for (int i = 0; i <= 87 * 4096; i += 3) {
            float s[32] = { 0 }, p[32];
            float x = -(float)i / 4096;
            for (int j = 1; j < 32; j++) s[j] = x;
            k.softmax(p, s, 32);
            double want = exp((double)x), got = (double)p[1] / p[0];
            CHECK(fabs(got - want) <= 2 * FLT_EPSILON * want, "%s: exp(%.9g) = %.9g, not %.9g", cut_tier_name(tier), x,
                  got, want);
        }
    }
}
