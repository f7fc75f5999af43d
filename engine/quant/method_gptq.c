/* method_gptq.c - GPTQ (Frantar, Ashkboos, Hoefler and Alistarh 2023): when a weight is rounded, let the others make up for it.
 *
 * What counts is not the weights but what comes out of the layer. For one row w of W the squared error of its outputs is
 *
 *   |X (w - w')|^2 = 1/2 (w - w')^T H (w - w'),     H = 2 X^T X,
 *
 * a quadratic form whose Hessian H depends on the activations alone: all rows share it (section 3.1). Rounding w[j]
 * fixes one coordinate; the best the free ones k > j can do about it is (equation 2)
 *
 *   w[k] -= (w[j] - w'[j]) / [F^-1]_jj * [F^-1]_jk,     F = H restricted to columns j and later.
 *
 * The row [F^-1]_j,: of every such F, scaled by 1 / sqrt([F^-1]_jj), stands in one matrix: the upper triangular U with
 * H^-1 = U^T U (section 3.3, step 3). So with e = (w[j] - w'[j]) / U_jj the step is w[k] -= e U_jk.
 *
 * We come by U without inverting H: where H = R R^T with R upper triangular, H^-1 = R^-T R^-1, hence U = R^-1. And we finish row
 * after row, where the paper goes column after column for all rows at once: rows do not know of each other, and one row
 * stays in the cache. That makes the paper's lazy batches (step 2) unnecessary here. */
#include "engine/quant/method.h"

/* H = 2 X^T X + lambda I: [n][n], the upper triangle filled. Columns that no token uses have a zero on the diagonal but for lambda,
 * and so neither give nor take. */
static enum cut_status hessian(double *h, const struct cut_layer_io *l, float damping, struct cut_err *err) {
    int n = l->cols;
    double trace = 0;
    for (int t = 0; t < l->tokens; t++) {
        const float *x = l->x + (size_t)t * (size_t)n;
        for (int i = 0; i < n; i++) {
            double twice = 2 * (double)x[i], *row = h + (size_t)i * (size_t)n;
            if (x[i] == 0) continue;
            for (int j = i; j < n; j++) row[j] += twice * (double)x[j];
        }
    }
    for (int i = 0; i < n; i++) trace += h[(size_t)i * (size_t)n + (size_t)i];
    double lambda = (double)damping * trace / n;
    if (!(lambda > 0)) return cut_fail(err, CUT_EUSAGE, "gptq: all activations are zero: there is nothing to learn from them");
    for (int i = 0; i < n; i++) h[(size_t)i * (size_t)n + (size_t)i] += lambda;
    return CUT_OK;
}

static double dot(const double *a, const double *b, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* H = R R^T in place, R upper triangular: Cholesky's method from the last column to the first. */
static enum cut_status factor(double *h, int n, struct cut_err *err) {
    for (int j = n - 1; j >= 0; j--) {
        double *rj = h + (size_t)j * (size_t)n;
        double d = rj[j] - dot(rj + j + 1, rj + j + 1, n - 1 - j);
        if (!(d > 0)) return cut_fail(err, CUT_EUSAGE, "gptq: H is not positive definite at column %d: more damping is needed", j);
        rj[j] = sqrt(d);
        for (int i = 0; i < j; i++) {
            double *ri = h + (size_t)i * (size_t)n;
            ri[j] = (ri[j] - dot(ri + j + 1, rj + j + 1, n - 1 - j)) / rj[j];
        }
    }
    return CUT_OK;
}

/* U = R^-1: R U = I solved from the last row up, u_i = (e_i - sum over k > i of R_ik u_k) / R_ii. */
static void invert(const double *r, double *u, int n) {
    for (int i = n - 1; i >= 0; i--) {
        const double *ri = r + (size_t)i * (size_t)n;
        double *ui = u + (size_t)i * (size_t)n;
        ui[i] = 1;
        for (int k = i + 1; k < n; k++) {
            const double *uk = u + (size_t)k * (size_t)n;
            for (int j = k; j < n; j++) ui[j] -= ri[k] * uk[j];
        }
        for (int j = i; j < n; j++) ui[j] /= ri[i];
    }
}

/* One row. work holds the weights as they have been moved so far; a group's grid is laid when its turn comes, over
 * what its weights have become (section 4, "grouping"). */
static void quantize_row(float *out, float *work, int n, const double *u, struct cut_grid g, const struct cut_method_opts *o) {
    int group = o->group > 0 ? o->group : n;
    for (int j = 0; j < n; j++) {
        if (o->group != CUT_GROUP_TENSOR && j % group == 0)
            g = cut_grid_for(work + j, cut_min(group, n - j), NULL, o->bits, o->asymmetric);
        out[j] = cut_grid_round(&g, work[j]);
        const double *uj = u + (size_t)j * (size_t)n;
        double e = (double)(work[j] - out[j]) / uj[j];
        for (int k = j + 1; k < n; k++) work[k] -= (float)(e * uj[k]);
    }
}

enum cut_status cut_method_gptq(const struct cut_layer_io *l, const struct cut_method_opts *o, float *out,
                                cut_progress_fn progress, void *user, struct cut_err *err) {
    size_t n = (size_t)l->cols;
    struct cut_grid g = { 0 };
    double *h = cut_calloc(n * n, sizeof *h, "the Hessian", err), *u = NULL;
    float *work = NULL;
    enum cut_status st = h ? CUT_OK : CUT_ENOMEM;
    if (!st && !(u = cut_calloc(n * n, sizeof *u, "the Hessian's factor", err))) st = CUT_ENOMEM;
    if (!st && !(work = cut_calloc(n, sizeof *work, "a row of weights", err))) st = CUT_ENOMEM;
    if (!st) st = hessian(h, l, o->damping, err);
    if (!st) st = cut_method_tell(progress, user, 0.2, "gptq: H factored", err);
    if (!st) st = factor(h, l->cols, err);
    if (!st) invert(h, u, l->cols);
    if (o->group == CUT_GROUP_TENSOR) g = cut_grid_for_all(l->w, (size_t)l->rows * n, o->bits, o->asymmetric);
    for (int r = 0; !st && r < l->rows; r++) {
        memcpy(work, l->w + (size_t)r * n, n * sizeof *work);
        quantize_row(out + (size_t)r * n, work, l->cols, u, g, o);
        if (r % 64 == 0) st = cut_method_tell(progress, user, 0.4 + 0.6 * r / l->rows, "gptq: rows", err);
    }
    free(work);
    free(u);
    free(h);
    return st;
}
