/* weights.c - a tensor before and after: how far its weights moved, and which weight ruined the grid for its neighbours.
 *
 * A block of weights shares one scale, and the largest of them sets it. One weight far above the rest makes the grid so coarse that the
 * rest rounds to zero (Dettmers et al. 2022, section 3: outliers). What the others would have been without it is computed by
 * encoding the block once more with that weight set to 0. */
#include <math.h>

#include "engine/base/pool.h"

enum { GROUP = 32,             /* neighbours looked at together: the smallest unit that shares a scale in most formats */
       BINS = 2200 };          /* of the histogram of relative errors: 1 % wide each, from LEAST on */
#define LEAST 1e-7
#define WIDTH 0.00995033085    /* ln 1.01 */

static uint64_t rows_of(const struct cut_tensor_info *t) { return t->ne[1] * t->ne[2] * t->ne[3]; }

static const void *row_at(const struct cut_tensor_info *t, uint64_t row) {
    return (const uint8_t *)t->data + row * (t->bytes / rows_of(t));
}

static enum cut_status check(const struct cut_tensor_info *a, const struct cut_tensor_info *b, struct cut_err *err) {
    for (int i = 0; i < 4; i++)
        if (a->ne[i] != b->ne[i]) return cut_fail(err, CUT_EUSAGE, "tensor \"%s\": its two versions differ in shape", a->name);
    if (!cut_type_info(a->type)->runs || !cut_type_info(b->type)->runs)
        return cut_fail(err, CUT_EUSAGE, "tensor \"%s\": format %s cannot be decoded yet", a->name,
                        cut_type_info(cut_type_info(a->type)->runs ? b->type : a->type)->name);
    return CUT_OK;
}

/* What each thread gathers over its rows. */
struct part {
    double square_a, square_e, max;
    uint64_t worst_row, worst_col, zeros, bin[BINS];
    struct cut_outlier *worst;         /* sorted, n of them */
    int n;
    float *a, *b;                      /* a row of each */
};

struct job {
    const struct cut_tensor_info *a, *b;
    struct part *part;
    int most;                          /* outliers wanted */
};

/* ---- the error of all weights */

static int bin_of(double relative) {
    if (!(relative > LEAST)) return 0;
    double bin = 1 + log(relative / LEAST) / WIDTH;
    return bin < BINS - 1 ? (int)bin : BINS - 1;
}

static void measure_rows(void *arg, int thread, int n_threads) {
    const struct job *j = arg;
    struct part *p = &j->part[thread];
    size_t width = (size_t)j->a->ne[0];
    uint64_t n = rows_of(j->a), r0 = n * (uint64_t)thread / (uint64_t)n_threads, r1 = n * ((uint64_t)thread + 1) / (uint64_t)n_threads;
    for (uint64_t r = r0; r < r1; r++) {
        double row = 0;
        cut_decode(j->a->type, row_at(j->a, r), p->a, width);
        cut_decode(j->b->type, row_at(j->b, r), p->b, width);
        for (size_t c = 0; c < width; c++) row += (double)p->a[c] * (double)p->a[c];
        double scale = row > 0 ? 1 / sqrt(row / (double)width) : 0;
        p->square_a += row;
        for (size_t c = 0; c < width; c++) {
            double e = fabs((double)p->a[c] - (double)p->b[c]);
            p->square_e += e * e;
            p->zeros += p->a[c] != 0 && p->b[c] == 0;
            p->bin[bin_of(e * scale)]++;
            if (e > p->max) {
                p->max = e;
                p->worst_row = r;
                p->worst_col = c;
            }
        }
    }
}

/* The middle of the bin below which this part of the weights lies. */
static double percentile(const uint64_t *bin, uint64_t n, double part) {
    uint64_t want = (uint64_t)ceil(part * (double)n), sum = 0;
    int i = 0;
    while (i < BINS - 1 && (sum += bin[i]) < want) i++;
    return i ? LEAST * exp(((double)i - 0.5) * WIDTH) : 0;
}

static void free_parts(struct job *j, int threads) {
    for (int i = 0; j->part && i < threads; i++) {
        free(j->part[i].worst);
        free(j->part[i].a);
        free(j->part[i].b);
    }
    free(j->part);
}

static enum cut_status make_parts(struct job *j, int threads, struct cut_err *err) {
    j->part = cut_calloc((size_t)threads, sizeof *j->part, "a tensor's errors", err);
    for (int i = 0; j->part && i < threads; i++) {
        struct part *p = &j->part[i];
        p->a = cut_calloc((size_t)j->a->ne[0], sizeof *p->a, "a row of weights", err);
        p->b = cut_calloc((size_t)j->a->ne[0], sizeof *p->b, "a row of weights", err);
        p->worst = cut_calloc((size_t)j->most + 1, sizeof *p->worst, "outliers", err);
        if (!p->a || !p->b || !p->worst) return CUT_ENOMEM;
    }
    return j->part ? CUT_OK : CUT_ENOMEM;
}

enum cut_status cut_weight_error(const struct cut_tensor_info *a, const struct cut_tensor_info *b, struct cut_pool *pool,
                                 struct cut_weight_error *out, struct cut_err *err) {
    struct job j = { .a = a, .b = b };
    int threads = cut_pool_size(pool);
    enum cut_status st = check(a, b, err);
    if (!st) st = make_parts(&j, threads, err);
    if (!st) {
        struct part *all = &j.part[0];
        uint64_t n = rows_of(a) * a->ne[0];
        cut_pool_run(pool, measure_rows, &j);
        for (int i = 1; i < threads; i++) {
            const struct part *p = &j.part[i];
            all->square_a += p->square_a;
            all->square_e += p->square_e;
            all->zeros += p->zeros;
            for (int k = 0; k < BINS; k++) all->bin[k] += p->bin[k];
            if (p->max > all->max) {
                all->max = p->max;
                all->worst_row = p->worst_row;
                all->worst_col = p->worst_col;
            }
        }
        *out = (struct cut_weight_error){
            .rms = sqrt(all->square_a / (double)n), .rmse = sqrt(all->square_e / (double)n), .max = all->max,
            .relative = all->square_a > 0 ? sqrt(all->square_e / all->square_a) : 0,
            .p50 = percentile(all->bin, n, 0.5), .p90 = percentile(all->bin, n, 0.9), .p99 = percentile(all->bin, n, 0.99),
            .p999 = percentile(all->bin, n, 0.999), .worst_row = all->worst_row, .worst_col = all->worst_col, .zeros = all->zeros };
    }
    free_parts(&j, threads);
    return st;
}

/* ---- outliers */

/* Look at the group that starts at column c of a row. All but rmse_without. */
static struct cut_outlier look(const struct job *j, const float *a, const float *b, uint64_t row, size_t c) {
    size_t width = (size_t)j->a->ne[0], block = (size_t)cut_type_info(j->b->type)->block;
    int n = (int)(width - c < GROUP ? width - c : GROUP);
    struct cut_outlier o = { .row = row, .col = c, .block = row * (width / block) + c / block };
    double square = 0, wrong = 0;
    for (int i = 0; i < n; i++) {
        if (fabsf(a[c + (size_t)i]) > fabsf(a[c + (size_t)o.at])) o.at = i;
        square += (double)a[c + (size_t)i] * (double)a[c + (size_t)i];
    }
    for (int i = 0; i < n; i++) {
        double x = (double)a[c + (size_t)i], y = (double)b[c + (size_t)i];
        if (i == o.at) continue;
        o.zeros += x != 0 && y == 0;
        wrong += (x - y) * (x - y);
    }
    o.value = a[c + (size_t)o.at];
    o.ratio = square > 0 ? (float)(fabs((double)o.value) / sqrt(square / n)) : 0;
    o.rmse = o.rmse_without = n > 1 ? (float)sqrt(wrong / (n - 1)) : 0;
    return o;
}

/* The other weights of the group if the outlier had been 0. a: the row. */
static void encode_without(const struct job *j, const float *a, struct cut_outlier *o) {
    const struct cut_type_info *type = cut_type_info(j->b->type);
    float x[256], y[256];
    uint8_t bytes[512];
    size_t width = (size_t)j->a->ne[0], n = (size_t)type->block, first = (size_t)o->col;
    if (n < GROUP) n = width - first < GROUP ? width - first : GROUP;
    else first = first / n * n;
    int group = (int)(width - o->col < GROUP ? width - o->col : GROUP);
    if (!cut_encodes(j->b->type) || n > CUT_LEN(x) || n / (size_t)type->block * (size_t)type->bytes > sizeof bytes || group < 2) return;
    memcpy(x, a + first, n * sizeof *x);
    size_t at = o->col - first;
    x[at + (size_t)o->at] = 0;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return;
    cut_encode(j->b->type, x, bytes, n);
    cut_decode(j->b->type, bytes, y, n);
    double wrong = 0;
    for (int i = 0; i < group; i++) {
        double e = (double)x[at + (size_t)i] - (double)y[at + (size_t)i];
        if (i != o->at) wrong += e * e;
    }
    o->rmse_without = (float)sqrt(wrong / (group - 1));
}

static bool worse(const struct cut_outlier *a, const struct cut_outlier *b) {
    if (a->zeros != b->zeros) return a->zeros > b->zeros;
    if (a->ratio > b->ratio || a->ratio < b->ratio) return a->ratio > b->ratio;
    return a->row != b->row ? a->row < b->row : a->col < b->col;
}

/* Into a sorted list of at most `most`. */
static void keep_worst(struct cut_outlier *list, int *n, int most, const struct cut_outlier *o) {
    int at = *n;
    while (at > 0 && worse(o, &list[at - 1])) at--;
    if (at == most) return;
    if (*n < most) ++*n;
    memmove(list + at + 1, list + at, (size_t)(*n - 1 - at) * sizeof *list);
    list[at] = *o;
}

static void look_at_rows(void *arg, int thread, int n_threads) {
    const struct job *j = arg;
    struct part *p = &j->part[thread];
    size_t width = (size_t)j->a->ne[0];
    uint64_t n = rows_of(j->a), r0 = n * (uint64_t)thread / (uint64_t)n_threads, r1 = n * ((uint64_t)thread + 1) / (uint64_t)n_threads;
    for (uint64_t r = r0; r < r1; r++) {
        cut_decode(j->a->type, row_at(j->a, r), p->a, width);
        cut_decode(j->b->type, row_at(j->b, r), p->b, width);
        for (size_t c = 0; c < width; c += GROUP) {
            struct cut_outlier o = look(j, p->a, p->b, r, c);
            if (o.zeros) keep_worst(p->worst, &p->n, j->most, &o);
        }
    }
}

enum cut_status cut_outliers(const struct cut_tensor_info *a, const struct cut_tensor_info *b, struct cut_pool *pool,
                             struct cut_outlier *out, int *n, struct cut_err *err) {
    struct job j = { .a = a, .b = b, .most = *n };
    int threads = cut_pool_size(pool), found = 0;
    enum cut_status st = check(a, b, err);
    if (!st && *n < 1) st = cut_fail(err, CUT_EUSAGE, "outliers: %d asked for, at least 1", *n);
    if (!st) st = make_parts(&j, threads, err);
    if (!st) {
        cut_pool_run(pool, look_at_rows, &j);
        for (int i = 0; i < threads; i++)
            for (int k = 0; k < j.part[i].n; k++) keep_worst(out, &found, j.most, &j.part[i].worst[k]);
        for (int k = 0; k < found; k++) {
            cut_decode(a->type, row_at(a, out[k].row), j.part[0].a, (size_t)a->ne[0]);
            encode_without(&j, j.part[0].a, &out[k]);
        }
        *n = found;
    }
    free_parts(&j, threads);
    return st;
}

enum cut_status cut_outlier_at(const struct cut_tensor_info *a, const struct cut_tensor_info *b, uint64_t g, struct cut_outlier *out,
                               struct cut_err *err) {
    struct job j = { .a = a, .b = b };
    enum cut_status st = check(a, b, err);
    uint64_t each = (a->ne[0] + GROUP - 1) / GROUP;
    if (!st && g >= rows_of(a) * each)
        st = cut_fail(err, CUT_EUSAGE, "tensor \"%s\": group %llu is not in 0 to %llu", a->name, (unsigned long long)g,
                      (unsigned long long)(rows_of(a) * each - 1));
    if (!st) st = make_parts(&j, 1, err);
    if (!st) {
        struct part *p = &j.part[0];
        cut_decode(a->type, row_at(a, g / each), p->a, (size_t)a->ne[0]);
        cut_decode(b->type, row_at(b, g / each), p->b, (size_t)a->ne[0]);
        *out = look(&j, p->a, p->b, g / each, (size_t)(g % each) * GROUP);
        encode_without(&j, p->a, out);
    }
    free_parts(&j, 1);
    return st;
}
