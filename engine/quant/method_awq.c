/* method_awq.c - AWQ (Lin et al. 2024): weights that meet large activations deserve finer steps.
 *
 * Multiply a column of W by s > 1, round, and divide it by s again: the rounding error of that column shrinks by about s, as
 * long as the step, which the largest weight of the group sets, hardly grows (section 3.2, equations 2 and 3). Which columns matter is
 * seen from the activations, not from the weights: s = mean|x|^alpha, with one alpha in [0, 1) for the layer, found by trying
 * (equations 4 and 5). alpha = 0 is plain rounding, so on the activations it is given the method never does worse than that.
 *
 * Nothing is left to do at run time: 1 / s goes into whatever computes x, for instance the weights of the norm before. We leave out the
 * paper's clipping of weights. */
#include "engine/quant/method.h"

/* s = mean|x|^alpha per column, scaled so that the largest times the smallest is 1: a common factor changes nothing but the
 * range the half-precision steps lie in. */
static void scales(float *s, const double *mean, int cols, double alpha) {
    float least = INFINITY, most = 0;
    for (int c = 0; c < cols; c++) {
        s[c] = (float)pow(fmax(mean[c], 1e-4), alpha);
        least = fminf(least, s[c]);
        most = fmaxf(most, s[c]);
    }
    float middle = sqrtf(least * most);
    for (int c = 0; c < cols; c++) s[c] = cut_f16_to_f32(cut_f32_to_f16(s[c] / middle));
}

/* Q(W diag(s)) diag(1/s) */
static void round_scaled(const struct cut_layer_io *l, const float *s, const struct cut_method_opts *o, float *out) {
    size_t n = (size_t)l->rows * (size_t)l->cols, cols = (size_t)l->cols;
    for (size_t i = 0; i < n; i++) out[i] = l->w[i] * s[i % cols];
    cut_round_matrix(out, out, l->rows, l->cols, NULL, o);
    for (size_t i = 0; i < n; i++) out[i] /= s[i % cols];
}

enum cut_status cut_method_awq(const struct cut_layer_io *l, const struct cut_method_opts *o, float *out, float *column,
                               float *alpha, cut_progress_fn progress, void *user, struct cut_err *err) {
    double least = INFINITY, error = 0;
    double *mean = cut_calloc((size_t)l->cols, sizeof *mean, "mean activations", err);
    if (!mean) return CUT_ENOMEM;
    for (int t = 0; t < l->tokens; t++)
        for (int c = 0; c < l->cols; c++) mean[c] += (double)fabsf(l->x[(size_t)t * (size_t)l->cols + (size_t)c]) / l->tokens;

    enum cut_status st = CUT_OK;
    *alpha = 0;
    for (int i = 0; !st && i < o->alphas; i++) {
        float a = (float)i / (float)o->alphas;
        scales(column, mean, l->cols, (double)a);
        round_scaled(l, column, o, out);
        st = cut_method_judge(l, out, 0, NULL, &error, progress, user, (double)i / o->alphas, err);
        if (!st && error < least) {
            least = error;
            *alpha = a;
        }
    }
    scales(column, mean, l->cols, (double)*alpha);
    round_scaled(l, column, o, out);
    free(mean);
    return st;
}
