/* test_kernels_mm.c - matrix products of every tier and format against the reference.
 *
 * Two rounded sums of n terms in different orders differ by at most n * FLT_EPSILON * (sum of magnitudes), to first
 * order (Higham 2002, section 4.2: each errs by at most n - 1 halves of that). n is the number of blocks where integers
 * are summed within blocks, and the number of columns where they are not; and what goes into a block's share, its scales and
 * its offset, adds a few roundings. A skipped or doubled block is thousands of times larger. Where every partial sum is a
 * multiple of 1/8 below 2^21, no rounding happens and equality is asked.
 */
#include "engine/kernels/panel.h"
#include "tests/kernels/kernels.h"

/* Every quantized format; and those whose blocks hold plain numbers. */
#define EACH_QUANT(type) \
    for (enum cut_type type = 0; type < CUT_TYPE_COUNT; type++) \
        if (cut_form_of(type)->scales)
#define EACH_TYPE(type) \
    for (enum cut_type type = 0; type < CUT_TYPE_COUNT; type++) \
        if (cut_type_info(type) && cut_type_info(type)->runs)

static int block_of(enum cut_type type) { return cut_type_info(type)->block; }
static size_t row_bytes(enum cut_type type, int k) { return (size_t)(k / block_of(type) * cut_type_info(type)->bytes); }

enum fill { RANDOM, UNIT, LOWEST, HIGHEST, HUGE_AND_TINY };
static const char *const fill_name[] = { "random", "unit scales", "lowest", "highest", "huge and tiny scales" };

static uint16_t scale_of(enum fill fill, uint64_t *rng) {
    if (fill == UNIT) return cut_f32_to_f16(1);
    if (fill == HUGE_AND_TINY)
        switch (random_int(rng, 4)) {
        case 0:  return 0x7BFF;                    /* 65504 */
        case 1:  return 1;                         /* 2^-24, subnormal */
        case 2:  return 0x8000;                    /* -0 */
        default: return cut_f32_to_f16(-3);
        }
    return cut_f32_to_f16(0.001f + 0.05f * cut_rng_float(rng));
}

/* Where the float16 numbers of a block are; -1: no second one. */
static void halves_at(enum cut_type type, int at[2]) {
    at[0] = 0;
    at[1] = -1;
    switch (type) {
    case CUT_Q4_1: case CUT_Q5_1: case CUT_Q4_K: case CUT_Q5_K: at[1] = 2; break;
    case CUT_Q2_K:  at[0] = offsetof(struct cut_q2_K, d), at[1] = offsetof(struct cut_q2_K, dmin); break;
    case CUT_Q3_K:  at[0] = offsetof(struct cut_q3_K, d); break;
    case CUT_Q6_K:  at[0] = offsetof(struct cut_q6_K, d); break;
    case CUT_TQ1_0: at[0] = offsetof(struct cut_tq1_0, d); break;
    case CUT_TQ2_0: at[0] = offsetof(struct cut_tq2_0, d); break;
    default: break;
    }
}

/* The scale of the whole block, wherever the format keeps it. */
static void set_scale(enum cut_type type, uint8_t *block, enum fill fill, uint64_t *rng) {
    int at[2];
    halves_at(type, at);
    if (type == CUT_MXFP4) {
        block[0] = fill == UNIT ? 128 : fill == HUGE_AND_TINY ? (random_int(rng, 2) ? 1 : 180) : (uint8_t)(110 + random_int(rng, 12));
    } else if (type == CUT_NVFP4) {
        for (int i = 0; i < 4; i++)
            block[i] = fill == UNIT ? 0x40 : fill == HUGE_AND_TINY ? (random_int(rng, 2) ? 1 : 0x7E) : (uint8_t)(32 + random_int(rng, 32));
    } else if (type == CUT_IQ1_M) {
        uint8_t *scales = ((struct cut_iq1_m *)block)->scales;
        uint16_t d = scale_of(fill, rng);
        for (int i = 0; i < 4; i++) scales[2 * i + 1] = (uint8_t)((scales[2 * i + 1] & 15) | (d >> 4 * i & 15) << 4);
    } else {
        for (int i = 0; i < 2 && at[i] >= 0; i++) {
            uint16_t d = scale_of(fill, rng);
            memcpy(block + at[i], &d, 2);
        }
    }
}

/* Weights of one row. LOWEST and HIGHEST hold every integer at an end of its range, or the first and the last entry of its codebook. */
static void fill_row(enum cut_type type, void *row, int k, enum fill fill, uint64_t *rng) {
    if (block_of(type) == 1) {
        for (int i = 0; i < k; i++) {
            float f = random_float(rng);
            if (type == CUT_F32) ((float *)row)[i] = f;
            else ((uint16_t *)row)[i] = type == CUT_F16 ? cut_f32_to_f16(f) : cut_f32_to_bf16(f);
        }
        return;
    }
    int bytes = cut_type_info(type)->bytes;
    uint8_t *block = row;
    for (int i = 0; i < k / block_of(type); i++, block += bytes) {
        for (int j = 0; j < bytes; j++) block[j] = fill == LOWEST ? 0 : fill == HIGHEST ? 0xFF : (uint8_t)cut_rng_next(rng);
        if (type == CUT_Q8_0 && (fill == LOWEST || fill == HIGHEST))
            memset(((struct cut_q8_0 *)block)->qs, fill == LOWEST ? -128 : 127, 32);
        if (type == CUT_Q6_K)
            for (int j = 0; j < 16; j++)
                ((struct cut_q6_K *)block)->scales[j] = fill == UNIT ? (int8_t)(random_int(rng, 3) - 1) : fill == LOWEST ? -128 :
                                                        fill == HIGHEST ? 127 : (int8_t)cut_rng_next(rng);
        set_scale(type, block, fill, rng);
    }
}

/* 8-bit activations as the format wants them, written directly. */
static void fill_q8(enum cut_type type, void *row, int k, enum fill fill, int t, uint64_t *rng) {
    for (int b = 0; b < k / 32; b++) {
        int16_t *s = cut_q8_s(row, k) + 2 * b;
        s[0] = s[1] = 0;
        for (int i = 0; i < 32; i++) {
            int8_t q = (int8_t)(random_int(rng, 255) - 127);
            if (fill == LOWEST || fill == HIGHEST) q = t & 1 ? 127 : -127;
            if (fill == UNIT) q = (int8_t)(random_int(rng, 3) - 1);
            cut_q8_q(row)[32 * b + i] = q;
            s[i / 16] += q;
        }
        float *d = cut_q8_d(row, k);
        d[b] = fill == UNIT ? 1 : 0.01f * cut_rng_float(rng);
        if (cut_q8_block(type) == 256) d[b] = d[b / 8 * 8];
    }
}

/* The three kinds of products: kern.h's mm_f32, mm_q8, mm_bf16. */
enum by { BY_F32, BY_Q8, BY_BF16, N_BY };
static bool exists(enum cut_type type, enum by by) { return by == BY_F32 || (by == BY_Q8 ? block_of(type) > 1 : type == CUT_BF16); }

struct problem {
    enum cut_type type;
    enum by by;
    int k, t, rows;
    struct cut_mm m;
    float *y;
    double *bound;             /* of each result: the sum of magnitudes */
};

/* |d q| + |m| of each weight: with an offset, more than the weight itself. */
static void magnitudes(enum cut_type type, const void *row, double *out, int k) {
    float plain[1];
    for (int c = 0; c < k; c++) {
        if (cut_form_of(type)->scales) {
            struct cut_unpacked u;
            cut_unpack(type, row, c / 32, &u);
            for (int i = 0; i < 32; i++) out[c + i] = fabs((double)u.d[i / 16] * u.q[i]) + fabs(u.m[i / 16]);
            c += 31;
        } else {
            cut_decode(type, (const char *)row + row_bytes(type, c), plain, 1);
            out[c] = fabs(plain[0]);
        }
    }
}

static struct problem problem_new(enum cut_type type, enum by by, int k, int t, int rows, enum fill fill, uint64_t seed) {
    uint64_t rng = seed;
    struct problem p = { .type = type, .by = by, .k = k, .t = t, .rows = rows };
    bool q8 = by == BY_Q8;
    size_t stride = row_bytes(type, k), x_stride = q8 ? cut_q8_bytes(k) : (size_t)k * 4;
    char *w = buffer(stride * (size_t)rows), *x = buffer(x_stride * (size_t)t);
    for (int r = 0; r < rows; r++) {
        fill_row(type, w + (size_t)r * stride, k, fill, &rng);
        if (r % 7 == 5) memset(w + (size_t)r * stride, 0, stride);     /* a row of zeros now and then */
    }
    double *magnitude = buffer((size_t)k * sizeof *magnitude);
    p.y = buffer((size_t)t * (size_t)rows * 4);
    p.bound = buffer((size_t)t * (size_t)rows * 8);
    for (int i = 0; i < t; i++) {
        char *row = x + (size_t)i * x_stride;
        if (q8) fill_q8(type, row, k, fill, i, &rng);
        else for (int c = 0; c < k; c++) {
            float f = random_float(&rng);
            ((float *)row)[c] = by == BY_BF16 ? cut_bf16_to_f32(cut_f32_to_bf16(f)) : f;
        }
    }
    for (int r = 0; r < rows; r++) {
        magnitudes(type, w + (size_t)r * stride, magnitude, k);
        for (int i = 0; i < t; i++) {
            void *row = x + (size_t)i * x_stride;
            double sum = 0;
            for (int c = 0; c < k; c++)
                sum += magnitude[c] * fabs(q8 ? (double)cut_q8_d(row, k)[c / 32] * cut_q8_q(row)[c] : ((float *)row)[c]);
            p.bound[i * rows + r] = sum;
        }
    }
    free(magnitude);
    p.m = (struct cut_mm){ .type = type, .w = w, .w_stride = stride, .k = k, .x = x, .x_stride = x_stride, .t = t, .y = p.y,
                           .y_stride = (size_t)rows };
    return p;
}

static void problem_free(struct problem *p) {
    free((void *)p->m.w);
    free((void *)p->m.x);
    free(p->y);
    free(p->bound);
}

/* Rows [r0, r1) by a tier, from panels, into p->y. False: it has no such product for this format and these columns. */
static bool compute_panels(struct problem *p, enum cut_tier tier, int r0, int r1) {
    struct cut_kernels k;
    cut_kernels_init(&k, tier);
    size_t bytes = cut_panel_bytes(p->type, (uint64_t)p->k);
    if (!k.mm_panel[p->type] || !bytes) return false;
    struct cut_mm m = p->m;
    char *panels = buffer((size_t)(p->rows + CUT_PANEL - 1) / CUT_PANEL * bytes);
    for (int r = 0; r < p->rows; r += CUT_PANEL)
        k.pack[p->type]((const char *)p->m.w + (size_t)r * p->m.w_stride, p->m.w_stride, cut_min(CUT_PANEL, p->rows - r), p->k,
                        panels + (size_t)(r / CUT_PANEL) * bytes);
    m.w = panels;
    m.w_stride = bytes;
    m.scratch = buffer(k.mm_scratch(p->k));
    k.mm_panel[p->type](&m, r0, r1);
    free(m.scratch);
    free(panels);
    return true;
}

/* Rows [r0, r1) by a tier, into p->y. */
static void compute(struct problem *p, enum cut_tier tier, int r0, int r1) {
    struct cut_kernels k;
    cut_kernels_init(&k, tier);
    p->m.scratch = buffer(k.mm_scratch(p->k));
    (p->by == BY_BF16 ? k.mm_bf16 : (p->by == BY_Q8 ? k.mm_q8 : k.mm_f32)[p->type])(&p->m, r0, r1);
    free(p->m.scratch);
}

static void against_ref(enum cut_type type, enum by by, int k, int t, int rows, enum fill fill) {
    struct problem p = problem_new(type, by, k, t, rows, fill, (uint64_t)(k * 31 + t));
    size_t n = (size_t)t * (size_t)rows;
    float *want = buffer(n * 4);
    compute(&p, CUT_TIER_REF, 0, rows);
    memcpy(want, p.y, n * 4);
    EACH_TIER(tier) for (int panels = 0; panels < 1 + (by == BY_Q8); panels++) {
        memset(p.y, 0xFF, n * 4);                  /* NaN: nothing may be left over */
        if (!panels) compute(&p, tier, 0, rows);
        else if (!compute_panels(&p, tier, 0, rows)) continue;
        for (size_t i = 0; i < n; i++) {
            double terms = by == BY_Q8 ? k / 32 + 3 : k, allowed = terms * FLT_EPSILON * p.bound[i] + FLT_MIN;
            if (by == BY_Q8 && fill == UNIT && p.bound[i] < 0x1p21) allowed = 0;
            double off = fabs((double)p.y[i] - want[i]);
            CHECK(off <= allowed, "%s%s %s k %d t %d %s: token %zu row %zu: %.9g, ref %.9g, allowed %.3g",
                  cut_tier_name(tier), panels ? " panels" : "", cut_type_info(type)->name, k, t, fill_name[fill], i / (size_t)rows, i % (size_t)rows, p.y[i],
                  want[i], allowed);
        }
    }
    free(want);
    problem_free(&p);
}

TEST(kernels_mm_q8_tokens) {
    EACH_QUANT(type)
        for (int t = 1; t <= 20; t++) against_ref(type, BY_Q8, 512, t, 21, RANDOM);
}

TEST(kernels_mm_q8_columns) {
    static const int blocks[] = { 1, 2, 3, 5, 7, 8, 9, 11, 15, 16, 17, 31, 33, 64, 176, 344 };
    for (size_t i = 0; i < CUT_LEN(blocks); i++)
        EACH_QUANT(type) {
            int k = blocks[i] * 32;
            if (k % block_of(type)) k = blocks[i] % 8 * block_of(type);
            against_ref(type, BY_Q8, k, 1, 9, RANDOM);
            against_ref(type, BY_Q8, k, 6, 5, RANDOM);
        }
}

TEST(kernels_mm_q8_rows) {
    EACH_QUANT(type)
        for (int rows = 1; rows <= 70; rows += rows < 20 ? 1 : 7) {
            against_ref(type, BY_Q8, 256, 1, rows, RANDOM);
            against_ref(type, BY_Q8, 256, 5, rows, RANDOM);
        }
}

TEST(kernels_mm_q8_extremes) {
    static const enum fill fills[] = { UNIT, LOWEST, HIGHEST, HUGE_AND_TINY };
    EACH_QUANT(type)
        for (size_t f = 0; f < CUT_LEN(fills); f++)
            for (int t = 1; t <= 17; t += 4) {
                against_ref(type, BY_Q8, 256, t, 18, fills[f]);
                against_ref(type, BY_Q8, 2048, t, 6, fills[f]);
            }
}

/* All integers at the ends of their ranges, all scales of blocks 1: the sum is known, and must come out exactly. */
TEST(kernels_mm_q8_exact_sums) {
    enum { K = 256, T = 9, ROWS = 17 };
    EACH_QUANT(type)
        for (int high = 0; high < 2; high++) {
            uint64_t rng = 1;
            struct problem p = problem_new(type, BY_Q8, K, T, ROWS, high ? HIGHEST : LOWEST, 1);
            for (int r = 0; r < ROWS; r++)
                for (int b = 0; b < K / block_of(type); b++)
                    set_scale(type, (uint8_t *)p.m.w + (size_t)r * p.m.w_stride + (size_t)(b * cut_type_info(type)->bytes), UNIT, &rng);
            for (int t = 0; t < T; t++)
                for (int b = 0; b < K / 32; b++) cut_q8_d((char *)p.m.x + (size_t)t * p.m.x_stride, K)[b] = 1;
            EACH_TIER(tier)
                for (int n = 1, panels = 0; n <= T; n += panels ? T - 1 : 0, panels = !panels) {
                    p.m.t = n;
                    if (!panels) compute(&p, tier, 0, ROWS);
                    else if (!compute_panels(&p, tier, 0, ROWS)) continue;
                    for (int r = 0; r < ROWS; r++) {
                        float w[K];
                        double sum = 0;
                        cut_decode(type, (const char *)p.m.w + (size_t)r * p.m.w_stride, w, K);
                        for (int c = 0; c < K; c++) sum += w[c];
                        for (int t = 0; t < n; t++) {
                            double want = sum * (t & 1 ? 127 : -127);
                            CHECK(p.y[t * ROWS + r] == want, "%s %s: %.9g, not %.9g", cut_tier_name(tier), cut_type_info(type)->name,
                                  p.y[t * ROWS + r], want);
                        }
                    }
                }
            problem_free(&p);
        }
}

static void float_shapes(enum cut_type type, enum by by) {
    static const int ks[] = { 1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 64, 172, 288, 512, 1000, 2048 };
    for (size_t j = 0; j < CUT_LEN(ks); j++) {
        if (ks[j] % block_of(type)) continue;
        for (int t = 1; t <= 20; t += j % 3 + 1)
            against_ref(type, by, ks[j], t, 1 + (int)(j * 5 + (size_t)t) % 23, RANDOM);
    }
}
TEST(kernels_mm_f32_shapes) { EACH_TYPE(type) float_shapes(type, BY_F32); }
TEST(kernels_mm_bf16_shapes) { float_shapes(CUT_BF16, BY_BF16); }

/* Small integers: every sum is exact in whatever order. Then the ends of the range: products that just reach infinity or
 * stay below it, a NaN, an infinity. One row and token each. */
TEST(kernels_mm_bf16_extremes) {
    static const struct { float w, x, rest, want; } cases[] = {
        { 1, 1, 1, 77 }, { -3, 7, 2, 76 * 2 - 21 }, { 0x1p127f, 1, 0, 0x1p127f }, { 0x1p64f, 0x1p64f, 0, INFINITY },
        { 0x1p-63f, 0x1p-63f, 0, 0x1p-126f }, { INFINITY, -1, 1, -INFINITY }, { 1, INFINITY, 1, INFINITY }, { INFINITY, 0, 1, NAN },
        { NAN, 1, 1, NAN }, { 1, NAN, 1, NAN }, { -0.0f, 1, 0, 0 }, { 0x1p64f, -0x1p64f, 1, -INFINITY },
    };
    enum { K = 77, T = 7, ROWS = 5 };
    EACH_TIER(tier)
        for (size_t i = 0; i < CUT_LEN(cases); i++)
            for (int at = 0; at < K; at += 19) {
                struct problem p = problem_new(CUT_BF16, BY_BF16, K, T, ROWS, UNIT, 1);
                for (int c = 0; c < K; c++) {
                    for (int r = 0; r < ROWS; r++)
                        ((uint16_t *)p.m.w)[r * K + c] = cut_f32_to_bf16(c == at ? cases[i].w : 1);
                    for (int t = 0; t < T; t++) ((float *)p.m.x)[t * K + c] = c == at ? cases[i].x : cases[i].rest;
                }
                compute(&p, tier, 0, ROWS);
                for (int j = 0; j < T * ROWS; j++)
                    CHECK(isnan(cases[i].want) ? isnan(p.y[j]) : p.y[j] == cases[i].want, "%s case %zu at %d: %.9g, not %.9g",
                          cut_tier_name(tier), i, at, p.y[j], cases[i].want);
                problem_free(&p);
            }
}

/* Panels promise more than rows: the same bytes for a token in any company, and however the rows are divided by sixteens. */
TEST(kernels_mm_panels_alone) {
    enum { ROWS = 83, K = 512, T = 13 };
    EACH_QUANT(type)
        EACH_TIER(tier) {
            struct problem p = problem_new(type, BY_Q8, K, T, ROWS, RANDOM, 11);
            float *all = buffer(T * ROWS * 4);
            bool has = compute_panels(&p, tier, 0, ROWS);
            memcpy(all, p.y, T * ROWS * 4);
            const char *x = p.m.x;
            for (int n = 1; has && n <= T; n++)
                for (int r = 0; r < ROWS; r += 48) {
                    memset(p.y, 0xFF, T * ROWS * 4);
                    p.m.t = n;
                    p.m.x = x + (size_t)(T - n) * p.m.x_stride;
                    compute_panels(&p, tier, r, cut_min(r + 48, ROWS));
                    for (int t = 0; t < n; t++)
                        for (int i = 0; i < ROWS; i++) {
                            float want = all[(T - n + t) * ROWS + i], got = p.y[t * ROWS + i];
                            bool in = i >= r && i < r + 48;
                            CHECK(in ? float_bits(got) == float_bits(want) : isnan(got), "%s %s: %d tokens, token %d, row %d: %a, not %a",
                                  cut_tier_name(tier), cut_type_info(type)->name, n, t, i, got, want);
                        }
                }
            p.m.x = x;
            free(all);
            problem_free(&p);
        }
}

/* Which formats have panels: on a processor with AVX2, all that panel.h describes; and a row that ends within a super-block has none. */
TEST(kernels_mm_panels_of) {
    EACH_TIER(tier) {
        struct cut_kernels k;
        cut_kernels_init(&k, tier);
        EACH_QUANT(type) {
            bool described = cut_panel_form(type).low > 0, x86 = tier == CUT_TIER_AVX2 || tier == CUT_TIER_AVX512;
            CHECK(!!k.mm_panel[type] == (described && x86), "%s %s", cut_tier_name(tier), cut_type_info(type)->name);
            CHECK(!!k.pack[type] == !!k.mm_panel[type]);
            CHECK(!!cut_panel_bytes(type, 256) == described);
            CHECK(!!cut_panel_bytes(type, 288) == (described && block_of(type) == 32));
        }
    }
}

/* The same bytes however the rows are divided; and rows outside the range are left alone. */
TEST(kernels_mm_ranges) {
    enum { ROWS = 83, K = 256 };
    for (enum by by = 0; by < N_BY; by++)
        EACH_TYPE(type)
            EACH_TIER(tier) {
                if (!exists(type, by)) continue;
                for (int t = 1; t <= 17; t += t < 5 ? 1 : 6) {
                    struct problem p = problem_new(type, by, K, t, ROWS, RANDOM, 7);
                    size_t bytes = (size_t)t * ROWS * 4;
                    float *whole = buffer(bytes);
                    compute(&p, tier, 0, ROWS);
                    memcpy(whole, p.y, bytes);
                    memset(p.y, 0xFF, bytes);
                    uint64_t rng = 5;
                    for (int r = 0, next; r < ROWS; r = next) {
                        next = cut_min(ROWS, r + 1 + random_int(&rng, 24));
                        compute(&p, tier, r, next);
                        CHECK(next == ROWS || isnan(p.y[next]));
                    }
                    CHECK(!memcmp(whole, p.y, bytes), "%s type %d by %d t %d", cut_tier_name(tier), type, by, t);
                    free(whole);
                    problem_free(&p);
                }
            }
}

/* mm_f32 and mm_bf16 promise that a token's result is the same in any company; so does mm_q8 of the reference. */
TEST(kernels_mm_tokens_alone) {
    enum { ROWS = 9, K = 256, T = 13 };
    for (enum by by = 0; by < N_BY; by++)
        EACH_TYPE(type)
            EACH_TIER(tier) {
                if (!exists(type, by) || (by == BY_Q8 && tier != CUT_TIER_REF)) continue;
                struct problem p = problem_new(type, by, K, T, ROWS, RANDOM, 3);
                float *all = buffer(T * ROWS * 4);
                compute(&p, tier, 0, ROWS);
                memcpy(all, p.y, T * ROWS * 4);
                const char *x = p.m.x;
                p.m.t = 1;
                for (int t = 0; t < T; t++) {
                    p.m.x = x + (size_t)t * p.m.x_stride;
                    compute(&p, tier, 0, ROWS);
                    CHECK(!memcmp(all + t * ROWS, p.y, ROWS * 4), "%s type %d token %d", cut_tier_name(tier), type, t);
                }
                p.m.x = x;
                free(all);
                problem_free(&p);
            }
}

/* A block of activations that holds a NaN reaches every result; a block of zeros none. */
TEST(kernels_mm_q8_nan) {
    EACH_QUANT(type)
        EACH_TIER(tier)
            for (int t = 1; t <= 8; t += 7) {
                struct problem p = problem_new(type, BY_Q8, 512, t, 5, UNIT, 9);
                void *row = (void *)p.m.x;
                struct cut_kernels k;
                cut_kernels_init(&k, tier);
                float x[512] = { 0 };
                k.quantize_q8(row, x, 512, cut_q8_block(type));
                compute(&p, tier, 0, 5);
                for (int r = 0; r < 5; r++) CHECK(p.y[r] == 0);
                x[70] = NAN;
                k.quantize_q8(row, x, 512, cut_q8_block(type));
                compute(&p, tier, 0, 5);
                for (int r = 0; r < 5; r++) CHECK(isnan(p.y[r]));
                problem_free(&p);
            }
}
