/* test_kernels_mm.c - matrix products of every tier against the reference.
 *
 * Two rounded sums of n terms in different orders differ by at most n * FLT_EPSILON * (sum of magnitudes), to first
 * order (Higham 2002, section 4.2: each errs by at most n - 1 halves of that). n is the number of blocks where integers
 * are summed within blocks, and the number of columns where they are not. A skipped or doubled block is thousands of
 * times larger. Where every partial sum is an integer below 2^24, no rounding happens and equality is asked.
 */
#include "tests/kernels/kernels.h"

static const enum cut_type q_types[] = { CUT_Q4_0, CUT_Q8_0, CUT_Q6_K };
static const enum cut_type all_types[] = { CUT_F32, CUT_F16, CUT_BF16, CUT_Q4_0, CUT_Q8_0, CUT_Q6_K };

static int block_of(enum cut_type type) {
    return type == CUT_Q6_K ? 256 : type == CUT_Q4_0 || type == CUT_Q8_0 ? 32 : 1;
}

static size_t row_bytes(enum cut_type type, int k) {
    switch (type) {
    case CUT_F32:  return (size_t)k * 4;
    case CUT_Q4_0: return (size_t)k / 32 * sizeof(struct cut_q4_0);
    case CUT_Q8_0: return (size_t)k / 32 * sizeof(struct cut_q8_0);
    case CUT_Q6_K: return (size_t)k / 256 * sizeof(struct cut_q6_K);
    default:       return (size_t)k * 2;
    }
}

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

/* Weights of one row. LOWEST and HIGHEST hold every integer at an end of its range. */
static void fill_row(enum cut_type type, void *row, int k, enum fill fill, uint64_t *rng) {
    int byte = fill == LOWEST ? 0 : fill == HIGHEST ? 0xFF : -1;
#define BYTE (byte < 0 ? (uint8_t)cut_rng_next(rng) : (uint8_t)byte)
    if (block_of(type) == 1) {
        for (int i = 0; i < k; i++) {
            float f = random_float(rng);
            if (type == CUT_F32) ((float *)row)[i] = f;
            else ((uint16_t *)row)[i] = type == CUT_F16 ? cut_f32_to_f16(f) : cut_f32_to_bf16(f);
        }
        return;
    }
    for (int i = 0; i < k / block_of(type); i++) {
        if (type == CUT_Q4_0) {
            struct cut_q4_0 *b = (struct cut_q4_0 *)row + i;
            b->d = scale_of(fill, rng);
            for (int j = 0; j < 16; j++) b->qs[j] = BYTE;
        } else if (type == CUT_Q8_0) {
            struct cut_q8_0 *b = (struct cut_q8_0 *)row + i;
            b->d = scale_of(fill, rng);
            for (int j = 0; j < 32; j++)
                b->qs[j] = fill == LOWEST ? -128 : fill == HIGHEST ? 127 : (int8_t)cut_rng_next(rng);
        } else {
            struct cut_q6_K *b = (struct cut_q6_K *)row + i;
            b->d = scale_of(fill, rng);
            for (int j = 0; j < 128; j++) b->ql[j] = BYTE;
            for (int j = 0; j < 64; j++) b->qh[j] = BYTE;
            for (int j = 0; j < 16; j++)
                b->scales[j] = fill == UNIT ? (int8_t)(random_int(rng, 3) - 1) : fill == LOWEST ? -128 :
                               fill == HIGHEST ? 127 : (int8_t)cut_rng_next(rng);
        }
    }
#undef BYTE
}

/* 8-bit activations, written directly. */
static void fill_q8(void *row, int k, enum fill fill, int t, uint64_t *rng) {
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
        cut_q8_d(row, k)[b] = fill == UNIT ? 1 : 0.01f * cut_rng_float(rng);
    }
}

struct problem {
    enum cut_type type;
    bool q8;
    int k, t, rows;
    struct cut_mm m;
    float *y;
    double *bound;             /* of each result: the sum of magnitudes */
};

static struct problem problem_new(enum cut_type type, bool q8, int k, int t, int rows, enum fill fill, uint64_t seed) {
    uint64_t rng = seed;
    struct problem p = { .type = type, .q8 = q8, .k = k, .t = t, .rows = rows };
    size_t stride = row_bytes(type, k), x_stride = q8 ? cut_q8_bytes(k) : (size_t)k * 4;
    char *w = buffer(stride * (size_t)rows), *x = buffer(x_stride * (size_t)t);
    for (int r = 0; r < rows; r++) {
        fill_row(type, w + (size_t)r * stride, k, fill, &rng);
        if (r % 7 == 5) memset(w + (size_t)r * stride, 0, stride);     /* a row of zeros now and then */
    }
    float *decoded = buffer((size_t)k * 4);
    p.y = buffer((size_t)t * (size_t)rows * 4);
    p.bound = buffer((size_t)t * (size_t)rows * 8);
    for (int i = 0; i < t; i++) {
        char *row = x + (size_t)i * x_stride;
        if (q8) fill_q8(row, k, fill, i, &rng);
        else for (int c = 0; c < k; c++) ((float *)row)[c] = random_float(&rng);
    }
    for (int r = 0; r < rows; r++) {
        cut_decode(type, w + (size_t)r * stride, decoded, (size_t)k);
        for (int i = 0; i < t; i++) {
            void *row = x + (size_t)i * x_stride;
            double sum = 0;
            for (int c = 0; c < k; c++) {
                double xc = q8 ? (double)cut_q8_d(row, k)[c / 32] * cut_q8_q(row)[c] : ((float *)row)[c];
                sum += fabs(decoded[c] * xc);
            }
            p.bound[i * rows + r] = sum;
        }
    }
    free(decoded);
    p.m = (struct cut_mm){ .w = w, .w_stride = stride, .k = k, .x = x, .x_stride = x_stride, .t = t, .y = p.y,
                           .y_stride = (size_t)rows };
    return p;
}

static void problem_free(struct problem *p) {
    free((void *)p->m.w);
    free((void *)p->m.x);
    free(p->y);
    free(p->bound);
}

/* Rows [r0, r1) by a tier, into p->y. */
static void compute(struct problem *p, enum cut_tier tier, int r0, int r1) {
    struct cut_kernels k;
    cut_kernels_init(&k, tier);
    p->m.scratch = buffer(k.mm_scratch(p->k));
    (p->q8 ? k.mm_q8 : k.mm_f32)[p->type](&p->m, r0, r1);
    free(p->m.scratch);
}

static void against_ref(enum cut_type type, bool q8, int k, int t, int rows, enum fill fill) {
    struct problem p = problem_new(type, q8, k, t, rows, fill, (uint64_t)(k * 31 + t));
    size_t n = (size_t)t * (size_t)rows;
    float *want = buffer(n * 4);
    compute(&p, CUT_TIER_REF, 0, rows);
    memcpy(want, p.y, n * 4);
    EACH_TIER(tier) {
        memset(p.y, 0xFF, n * 4);                  /* NaN: nothing may be left over */
        compute(&p, tier, 0, rows);
        for (size_t i = 0; i < n; i++) {
            double terms = q8 ? k / 32 : k, allowed = terms * FLT_EPSILON * p.bound[i] + FLT_MIN;
            if (q8 && fill == UNIT && p.bound[i] < 0x1p24) allowed = 0;
            double off = fabs((double)p.y[i] - want[i]);
            CHECK(off <= allowed, "%s type %d k %d t %d %s: token %zu row %zu: %.9g, ref %.9g, allowed %.3g",
                  cut_tier_name(tier), type, k, t, fill_name[fill], i / (size_t)rows, i % (size_t)rows, p.y[i],
                  want[i], allowed);
        }
    }
    free(want);
    problem_free(&p);
}

TEST(kernels_mm_q8_tokens) {
    for (size_t i = 0; i < CUT_LEN(q_types); i++)
        for (int t = 1; t <= 20; t++) against_ref(q_types[i], true, 512, t, 21, RANDOM);
}

TEST(kernels_mm_q8_columns) {
    static const int blocks[] = { 1, 2, 3, 5, 7, 8, 9, 11, 15, 16, 17, 31, 33, 64, 176, 344 };
    for (size_t i = 0; i < CUT_LEN(blocks); i++)
        for (size_t j = 0; j < CUT_LEN(q_types); j++) {
            int k = blocks[i] * 32;
            if (k % block_of(q_types[j])) k = blocks[i] % 8 * 256;
            against_ref(q_types[j], true, k, 1, 9, RANDOM);
            against_ref(q_types[j], true, k, 6, 5, RANDOM);
        }
}

TEST(kernels_mm_q8_rows) {
    for (size_t i = 0; i < CUT_LEN(q_types); i++)
        for (int rows = 1; rows <= 70; rows += rows < 20 ? 1 : 7) {
            against_ref(q_types[i], true, 256, 1, rows, RANDOM);
            against_ref(q_types[i], true, 256, 5, rows, RANDOM);
        }
}

TEST(kernels_mm_q8_extremes) {
    static const enum fill fills[] = { UNIT, LOWEST, HIGHEST, HUGE_AND_TINY };
    for (size_t i = 0; i < CUT_LEN(q_types); i++)
        for (size_t f = 0; f < CUT_LEN(fills); f++)
            for (int t = 1; t <= 17; t += 4) {
                against_ref(q_types[i], true, 256, t, 18, fills[f]);
                against_ref(q_types[i], true, 2048, t, 6, fills[f]);
            }
}

/* All integers at the ends of their ranges, all scales 1: the sum is known, and must come out exactly. */
TEST(kernels_mm_q8_exact_sums) {
    enum { K = 256, T = 9, ROWS = 17 };
    for (size_t i = 0; i < CUT_LEN(q_types); i++)
        for (int high = 0; high < 2; high++) {
            enum cut_type type = q_types[i];
            struct problem p = problem_new(type, true, K, T, ROWS, high ? HIGHEST : LOWEST, 1);
            for (int r = 0; r < ROWS; r++)
                for (int b = 0; b < K / block_of(type); b++) {
                    char *row = (char *)p.m.w + (size_t)r * p.m.w_stride;
                    if (type == CUT_Q4_0) ((struct cut_q4_0 *)row)[b].d = 0x3C00;
                    if (type == CUT_Q8_0) ((struct cut_q8_0 *)row)[b].d = 0x3C00;
                    if (type == CUT_Q6_K) ((struct cut_q6_K *)row)[b].d = 0x3C00;
                }
            for (int t = 0; t < T; t++)
                for (int b = 0; b < K / 32; b++) cut_q8_d((char *)p.m.x + (size_t)t * p.m.x_stride, K)[b] = 1;
            double weight = type == CUT_Q4_0 ? (high ? 7 : -8) : type == CUT_Q8_0 ? (high ? 127 : -128) :
                            high ? 127 * 31 : -128 * -32;
            EACH_TIER(tier)
                for (int n = 1; n <= T; n += T - 1) {
                    p.m.t = n;
                    compute(&p, tier, 0, ROWS);
                    for (int t = 0; t < n; t++)
                        for (int r = 0; r < ROWS; r++) {
                            bool zero = r % 7 == 5;
                            if (zero && type != CUT_Q8_0) continue;       /* its bytes were cleared, its scale set */
                            double want = zero ? 0 : weight * (t & 1 ? 127 : -127) * K;
                            CHECK(p.y[t * ROWS + r] == want, "%s type %d: %.9g, not %.9g", cut_tier_name(tier), type,
                                  p.y[t * ROWS + r], want);
                        }
                }
            problem_free(&p);
        }
}

TEST(kernels_mm_f32_shapes) {
    static const int ks[] = { 1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 64, 172, 288, 512, 1000, 2048 };
    for (size_t i = 0; i < CUT_LEN(all_types); i++)
        for (size_t j = 0; j < CUT_LEN(ks); j++) {
            if (ks[j] % block_of(all_types[i])) continue;
            for (int t = 1; t <= 20; t += j % 3 + 1)
                against_ref(all_types[i], false, ks[j], t, 1 + (int)(j * 5 + (size_t)t) % 23, RANDOM);
        }
}

/* The same bytes however the rows are divided; and rows outside the range are left alone. */
TEST(kernels_mm_ranges) {
    enum { ROWS = 83, K = 256 };
    for (int q8 = 0; q8 < 2; q8++)
        for (size_t i = 0; i < CUT_LEN(all_types); i++)
            EACH_TIER(tier) {
                if (q8 && block_of(all_types[i]) == 1) continue;
                for (int t = 1; t <= 17; t += t < 5 ? 1 : 6) {
                    struct problem p = problem_new(all_types[i], q8, K, t, ROWS, RANDOM, 7);
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
                    CHECK(!memcmp(whole, p.y, bytes), "%s type %d q8 %d t %d", cut_tier_name(tier), all_types[i], q8, t);
                    free(whole);
                    problem_free(&p);
                }
            }
}

/* mm_f32 promises that a token's result is the same in any company; so does mm_q8 of the reference. */
TEST(kernels_mm_tokens_alone) {
    enum { ROWS = 9, K = 256, T = 13 };
    for (int q8 = 0; q8 < 2; q8++)
        for (size_t i = 0; i < CUT_LEN(all_types); i++)
            EACH_TIER(tier) {
                if (q8 && (tier != CUT_TIER_REF || block_of(all_types[i]) == 1)) continue;
                struct problem p = problem_new(all_types[i], q8, K, T, ROWS, RANDOM, 3);
                float *all = buffer(T * ROWS * 4);
                compute(&p, tier, 0, ROWS);
                memcpy(all, p.y, T * ROWS * 4);
                const char *x = p.m.x;
                p.m.t = 1;
                for (int t = 0; t < T; t++) {
                    p.m.x = x + (size_t)t * p.m.x_stride;
                    compute(&p, tier, 0, ROWS);
                    CHECK(!memcmp(all + t * ROWS, p.y, ROWS * 4), "%s type %d token %d", cut_tier_name(tier),
                          all_types[i], t);
                }
                p.m.x = x;
                free(all);
                problem_free(&p);
            }
}

/* A block of activations that holds a NaN reaches every result; a block of zeros none. */
TEST(kernels_mm_q8_nan) {
    for (size_t i = 0; i < CUT_LEN(q_types); i++)
        EACH_TIER(tier)
            for (int t = 1; t <= 8; t += 7) {
                struct problem p = problem_new(q_types[i], true, 512, t, 5, UNIT, 9);
                void *row = (void *)p.m.x;
                struct cut_kernels k;
                cut_kernels_init(&k, tier);
                float x[512] = { 0 };
                k.quantize_q8(row, x, 512);
                compute(&p, tier, 0, 5);
                for (int r = 0; r < 5; r++) CHECK(p.y[r] == 0);
                x[70] = NAN;
                k.quantize_q8(row, x, 512);
                compute(&p, tier, 0, 5);
                for (int r = 0; r < 5; r++) CHECK(isnan(p.y[r]));
                problem_free(&p);
            }
}
