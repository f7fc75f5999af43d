/* method_split.c - the decomposition of LLM.int8() (Dettmers, Lewis, Belkada and Zettlemoyer 2022).
 *
 * When activations are rounded too, one step per token has to reach the token's largest. In trained transformers a few columns of X,
 * always the same ones, are many times larger than all others (section 4): they stretch the step until everything else rounds
 * to next to nothing. So those columns O leave the integer product and are multiplied in half precision (section 3.2, equation 8):
 *
 *   Y = sum over c in O of x[c] W[:, c]  +  d_x d_w * sum over c not in O of q_x[c] q_W[:, c].
 *
 * The paper calls a column outlying when some |x| in it reaches 6, for models whose activations are about 1 in size; we
 * measure in multiples of the rms of X, so that the rule means the same for any model. */
#include "engine/quant/method.h"

int cut_method_split(const struct cut_layer_io *l, const struct cut_method_opts *o, float *out, float *column) {
    size_t n = (size_t)l->tokens * (size_t)l->cols;
    double squares = 0;
    int outliers = 0;
    for (size_t i = 0; i < n; i++) squares += (double)l->x[i] * (double)l->x[i];
    float limit = o->outlier * (float)sqrt(squares / (double)n);
    for (size_t i = 0; i < n; i++)
        if (limit > 0 && fabsf(l->x[i]) >= limit) column[i % (size_t)l->cols] = 1;
    for (int c = 0; c < l->cols; c++) outliers += column[c] != 0;
    cut_round_matrix(l->w, out, l->rows, l->cols, column, o);
    return outliers;
}
