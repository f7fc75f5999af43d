/* method.c - the methods behind one door, and the two numbers that judge them: how far the weights have moved, and how far what the
 * layer computes has. */
#include <strings.h>

#include "engine/quant/method.h"

const struct cut_method_opts cut_method_defaults = { .bits = 4, .damping = 0.01f, .alphas = 20, .outlier = 6 };

static const char *const names[CUT_METHOD_COUNT] = {
    [CUT_METHOD_ROUND] = "round", [CUT_METHOD_GPTQ] = "gptq", [CUT_METHOD_AWQ] = "awq", [CUT_METHOD_SPLIT] = "split",
};

const char *cut_method_name(enum cut_method m) { return names[m]; }

int cut_method_by_name(const char *name) {
    for (int m = 0; m < CUT_METHOD_COUNT; m++)
        if (!strcasecmp(names[m], name)) return m;
    return -1;
}

/* ---- judging */

static double weight_error(const float *w, const float *w2, size_t n) {
    double off = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        double e = (double)w[i] - (double)w2[i];
        off += e * e;
        all += (double)w[i] * (double)w[i];
    }
    return all > 0 ? sqrt(off / all) : 0;
}

/* A token's activations as an integer product sees them: one symmetric grid over the columns that are not kept. */
static void round_activations(const float *x, float *out, int cols, int bits, const float *keep) {
    struct cut_grid g = cut_grid_for(x, cols, keep, bits, false);
    for (int c = 0; c < cols; c++) out[c] = keep && keep[c] != 0 ? x[c] : cut_grid_round(&g, x[c]);
}

enum cut_status cut_method_judge(const struct cut_layer_io *l, const float *w2, int act_bits, const float *keep, double *error,
                                 cut_progress_fn progress, void *user, double part, struct cut_err *err) {
    size_t cols = (size_t)l->cols;
    float *rounded = cut_calloc(cols, sizeof *rounded, "a token's activations", err);
    double off = 0, all = 0;
    enum cut_status st = rounded ? CUT_OK : CUT_ENOMEM;
    for (int t = 0; !st && t < l->tokens; t++) {
        const float *x = l->x + (size_t)t * cols, *x2 = x;
        if (act_bits) {
            round_activations(x, rounded, l->cols, act_bits, keep);
            x2 = rounded;
        }
        for (int r = 0; r < l->rows; r++) {
            double y = (double)cut_dot(l->w + (size_t)r * cols, x, l->cols);
            double y2 = (double)cut_dot(w2 + (size_t)r * cols, x2, l->cols);
            off += (y - y2) * (y - y2);
            all += y * y;
        }
        if (t % 16 == 15) st = cut_method_tell(progress, user, part, "output error", err);
    }
    free(rounded);
    if (!st) *error = all > 0 ? sqrt(off / all) : 0;
    return st;
}

enum cut_status cut_method_output_error(const float *w, const float *w2, int rows, int cols, const float *x, int tokens,
                                        int act_bits, const float *keep, double *error, struct cut_err *err) {
    struct cut_layer_io l = { w, x, rows, cols, tokens };
    return cut_method_judge(&l, w2, act_bits, keep, error, NULL, NULL, 0, err);
}

/* What a weight costs: its own bits, its share of a step (and of a zero point), and what the method keeps beside. */
static double bits_per_weight(const struct cut_layer_io *l, const struct cut_method_opts *o, int outliers) {
    double n = (double)l->rows * l->cols, kept = (double)outliers / l->cols;
    double groups = o->group == CUT_GROUP_TENSOR ? 1 : o->group == CUT_GROUP_ROW ? l->rows
                  : (double)l->rows * ((l->cols + o->group - 1) / o->group);
    double bits = o->bits * (1 - kept) + 16 * kept + groups * (16 + (o->asymmetric ? o->bits : 0)) / n;
    if (o->method == CUT_METHOD_AWQ) bits += 16.0 / l->rows;
    if (o->method == CUT_METHOD_SPLIT) bits += 16.0 * outliers / n;        /* the list of columns */
    return bits;
}

/* ---- the door */

static enum cut_status check_finite(const float *x, int rows, int cols, const char *what, struct cut_err *err) {
    for (size_t i = 0; i < (size_t)rows * (size_t)cols; i++)
        if (!isfinite(x[i]))
            return cut_fail(err, CUT_EUSAGE, "%s [%d][%d] is %g, which cannot be rounded to a grid", what, (int)(i / (size_t)cols),
                            (int)(i % (size_t)cols), (double)x[i]);
    return CUT_OK;
}

static enum cut_status check(const struct cut_layer_io *l, const struct cut_method_opts *o, struct cut_err *err) {
    if (l->rows < 1 || l->cols < 1) return cut_fail(err, CUT_EUSAGE, "a matrix of %d x %d has no weights", l->rows, l->cols);
    if ((unsigned)o->method >= CUT_METHOD_COUNT) return cut_fail(err, CUT_EUSAGE, "there is no method %d", (int)o->method);
    if (o->bits < 2 || o->bits > 8) return cut_fail(err, CUT_EUSAGE, "bits %d: must be in [2, 8]", o->bits);
    if (o->act_bits && (o->act_bits < 2 || o->act_bits > 8))
        return cut_fail(err, CUT_EUSAGE, "activation bits %d: must be in [2, 8], or 0 to leave them alone", o->act_bits);
    if (o->group < CUT_GROUP_TENSOR || o->group > l->cols)
        return cut_fail(err, CUT_EUSAGE, "group %d: must be in [1, %d], 0 for a row, or -1 for the tensor", o->group, l->cols);
    if (o->method != CUT_METHOD_ROUND && (l->tokens < 1 || !l->x))
        return cut_fail(err, CUT_EUSAGE, "%s needs activations to learn from", names[o->method]);
    if (o->method == CUT_METHOD_GPTQ && !(o->damping > 0 && o->damping <= 1))
        return cut_fail(err, CUT_EUSAGE, "damping %g: must be in (0, 1]", (double)o->damping);
    if (o->method == CUT_METHOD_AWQ && o->act_bits)
        return cut_fail(err, CUT_EUSAGE, "awq rounds weights only: activation bits must be 0");
    if (o->method == CUT_METHOD_AWQ && (o->alphas < 1 || o->alphas > 1000))
        return cut_fail(err, CUT_EUSAGE, "alphas %d: must be in [1, 1000]", o->alphas);
    if (o->method == CUT_METHOD_SPLIT && !(o->outlier > 0 && isfinite(o->outlier)))
        return cut_fail(err, CUT_EUSAGE, "outlier %g: must be above 0", (double)o->outlier);
    enum cut_status st = check_finite(l->w, l->rows, l->cols, "weight", err);
    return st || !l->x ? st : check_finite(l->x, l->tokens, l->cols, "activation", err);
}

enum cut_status cut_method_run(const float *w, int rows, int cols, const float *x, int tokens,
                               const struct cut_method_opts *o, float *out, float *column, struct cut_method_result *result,
                               cut_progress_fn progress, void *user, struct cut_err *err) {
    struct cut_layer_io l = { w, x, rows, cols, tokens };
    struct cut_method_result r = { 0 };
    enum cut_status st = check(&l, o, err);
    if (st) return st;
    float *per_column = cut_calloc((size_t)cols, sizeof *per_column, "numbers per column", err);
    if (!per_column) return CUT_ENOMEM;
    switch (o->method) {
    case CUT_METHOD_GPTQ:  st = cut_method_gptq(&l, o, out, progress, user, err); break;
    case CUT_METHOD_AWQ:   st = cut_method_awq(&l, o, out, per_column, &r.alpha, progress, user, err); break;
    case CUT_METHOD_SPLIT: r.outliers = cut_method_split(&l, o, out, per_column); break;
    default:               cut_round_matrix(w, out, rows, cols, NULL, o); break;
    }
    if (!st) {
        const float *keep = o->method == CUT_METHOD_SPLIT ? per_column : NULL;
        r.weight_error = weight_error(w, out, (size_t)rows * (size_t)cols);
        r.bits_per_weight = bits_per_weight(&l, o, r.outliers);
        st = cut_method_judge(&l, out, o->act_bits, keep, &r.output_error, progress, user, 1, err);
    }
    if (!st) {
        if (column) memcpy(column, per_column, (size_t)cols * sizeof *column);
        *result = r;
    }
    free(per_column);
    return st;
}
