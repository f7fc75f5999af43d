/* imatrix_preview.c - what an importance matrix would change, before anything is written.
 *
 * An error in column j of a weight reaches the product multiplied by the column's input, so what counts is
 *
 *   sum_j w_j (x_j - y_j)^2  /  sum_j w_j x_j^2          w_j the mean square of that input
 *
 * The same rows are encoded twice, once as if all columns were alike and once by their weights, and both are judged by it. */
#include <math.h>

#include "engine/quant/imatrix.h"

struct sums { double error, all; };

static void judge(struct sums *s, const float *x, const float *y, const float *w, size_t n) {
    for (size_t j = 0; j < n; j++) {
        double e = (double)x[j] - (double)y[j];
        s->error += (double)w[j] * e * e;
        s->all += (double)w[j] * (double)x[j] * (double)x[j];
    }
}

enum cut_status cut_imatrix_preview(const struct cut_imatrix_entry *e, const struct cut_tensor_info *t, enum cut_type type, int rows,
                                    double error[2], struct cut_err *err) {
    const struct cut_type_info *info = cut_type_info(type);
    size_t n = (size_t)t->ne[0], row_bytes = (size_t)(t->bytes / (t->ne[1] * t->ne[2] * t->ne[3]));
    if ((uint64_t)e->n != t->ne[0])
        return cut_fail(err, CUT_EUSAGE, "importance of \"%s\" is for %d columns, the tensor has %llu", e->name, e->n, (unsigned long long)t->ne[0]);
    if (!cut_encodes(type) || n % (size_t)info->block || !cut_type_info(t->type)->runs)
        return cut_fail(err, CUT_EUSAGE, "tensor \"%s\" cannot be stored as %s", t->name, info->name);
    int have = (int)(t->ne[1] < 1 << 20 ? t->ne[1] : 1 << 20), count = cut_max(1, cut_min(rows, have));
    float *x = cut_calloc(2 * n, sizeof *x, "two rows of weights", err);
    void *block = cut_calloc(n / (size_t)info->block, (size_t)info->bytes, "an encoded row", err);
    struct sums s[2] = { { 0, 0 }, { 0, 0 } };
    for (int r = 0; x && block && r < count; r++) {
        size_t row = (size_t)((uint64_t)r * t->ne[1] / (uint64_t)count);
        cut_decode(t->type, (const uint8_t *)t->data + row * row_bytes, x, n);
        for (int with = 0; with < 2; with++) {
            cut_encode_rows(type, x, block, 1, n, with ? e->mean : NULL);
            cut_decode(type, block, x + n, n);
            judge(&s[with], x, x + n, e->mean, n);
        }
    }
    bool made = x && block;
    free(x);
    free(block);
    if (!made) return CUT_ENOMEM;
    for (int with = 0; with < 2; with++) error[with] = s[with].all > 0 ? sqrt(s[with].error / s[with].all) : 0;
    return CUT_OK;
}
