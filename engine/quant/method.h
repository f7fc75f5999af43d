/* method.h - what the teaching methods of quantization share: the grid they round to, and the products that judge them. Internal. */
#ifndef CUT_METHOD_H
#define CUT_METHOD_H

#include <math.h>

#include "engine/base/base.h"

/* A layer to quantize: y[t][r] = sum_c w[r][c] x[t][c]. */
struct cut_layer_io {
    const float *w, *x;        /* [rows][cols], [tokens][cols] */
    int rows, cols, tokens;
};

/* An even grid of 2^b or 2^b - 1 points, d apart: w' = d (q - zero), lo <= q <= hi. */
struct cut_grid { float d; int zero, lo, hi; };
/* The grid that just covers n weights. skip (may be NULL): columns that are left out of account. */
struct cut_grid cut_grid_for(const float *w, int n, const float *skip, int bits, bool asymmetric);
/* The same for a whole matrix, one grid to a tensor. */
struct cut_grid cut_grid_for_all(const float *w, size_t n, int bits, bool asymmetric);
/* The nearest point of the grid. */
float cut_grid_round(const struct cut_grid *g, float w);

/* Rows of W to w' by nearest points; skip: columns that go over unrounded, in half precision. out may be w. */
void cut_round_matrix(const float *w, float *out, int rows, int cols, const float *skip, const struct cut_method_opts *o);

/* The methods. column [cols] is zeroed. */
enum cut_status cut_method_gptq(const struct cut_layer_io *l, const struct cut_method_opts *o, float *out,
                                cut_progress_fn progress, void *user, struct cut_err *err);
enum cut_status cut_method_awq(const struct cut_layer_io *l, const struct cut_method_opts *o, float *out, float *column,
                               float *alpha, cut_progress_fn progress, void *user, struct cut_err *err);
int cut_method_split(const struct cut_layer_io *l, const struct cut_method_opts *o, float *out, float *column);

/* cut_method_output_error, on the layer's own activations; progress is told `part` now and then. */
enum cut_status cut_method_judge(const struct cut_layer_io *l, const float *w2, int act_bits, const float *keep, double *error,
                                 cut_progress_fn progress, void *user, double part, struct cut_err *err);

/* Sum of a[i] b[i]. Sixteen sums side by side, so that the compiler can keep them in vector registers. */
static inline float cut_dot(const float *a, const float *b, int n) {
    float lane[16] = { 0 }, sum = 0;
    int i = 0;
    for (; i + 16 <= n; i += 16)
        for (int k = 0; k < 16; k++) lane[k] += a[i + k] * b[i + k];
    for (; i < n; i++) sum += a[i] * b[i];
    for (int k = 0; k < 16; k++) sum += lane[k];
    return sum;
}

static inline enum cut_status cut_method_tell(cut_progress_fn progress, void *user, double part, const char *what, struct cut_err *err) {
    if (!progress || progress(user, part, what)) return CUT_OK;
    return cut_fail(err, CUT_ECANCEL, "the quantization was stopped");
}

#endif
