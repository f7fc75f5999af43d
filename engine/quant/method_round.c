/* method_round.c - the plain way: lay a grid over the weights, and take each to its nearest point.
 *
 * A grid of b bits has 2^b points. What can be chosen is where it lies (symmetric about zero, or from the least weight to the
 * largest) and how many weights share it. One grid for a tensor must reach its largest weight, and all the others pay with
 * coarse steps; one for each row, or for each group of columns in a row, costs 16 bits more each time and fits better. Steps are
 * kept in half precision, as file formats keep them, so their rounding is part of the error. */
#include "engine/quant/method.h"

static struct cut_grid grid(float min, float max, int bits, bool asymmetric) {
    int half = (1 << (bits - 1)) - 1, full = (1 << bits) - 1;
    if (!asymmetric) {
        float d = fmaxf(max, -min) / (float)half;
        return (struct cut_grid){ cut_f16_to_f32(cut_f32_to_f16(d)), 0, -half, half };
    }
    /* Zero must be a point of the grid: weights that are zero stay zero. */
    min = fminf(min, 0);
    max = fmaxf(max, 0);
    float d = cut_f16_to_f32(cut_f32_to_f16((max - min) / (float)full));
    int zero = d > 0 ? (int)lrintf(-min / d) : 0;
    return (struct cut_grid){ d, cut_min(zero, full), 0, full };
}

struct cut_grid cut_grid_for(const float *w, int n, const float *skip, int bits, bool asymmetric) {
    float min = 0, max = 0;
    bool first = true;
    for (int i = 0; i < n; i++) {
        if (skip && skip[i] != 0) continue;
        min = first ? w[i] : fminf(min, w[i]);
        max = first ? w[i] : fmaxf(max, w[i]);
        first = false;
    }
    return grid(min, max, bits, asymmetric);
}

struct cut_grid cut_grid_for_all(const float *w, size_t n, int bits, bool asymmetric) {
    float min = w[0], max = w[0];
    for (size_t i = 1; i < n; i++) {
        min = fminf(min, w[i]);
        max = fmaxf(max, w[i]);
    }
    return grid(min, max, bits, asymmetric);
}

float cut_grid_round(const struct cut_grid *g, float w) {
    if (!(g->d > 0)) return 0;                   /* nothing but zeros, or weights too small for a half-precision step */
    float q = rintf(w / g->d) + (float)g->zero;
    q = fminf(fmaxf(q, (float)g->lo), (float)g->hi);
    return g->d * (q - (float)g->zero);
}

void cut_round_matrix(const float *w, float *out, int rows, int cols, const float *skip, const struct cut_method_opts *o) {
    struct cut_grid g = { 0 };
    if (o->group == CUT_GROUP_TENSOR) g = cut_grid_for_all(w, (size_t)rows * (size_t)cols, o->bits, o->asymmetric);
    int group = o->group > 0 ? o->group : cols;
    for (int r = 0; r < rows; r++) {
        const float *from = w + (size_t)r * (size_t)cols;
        float *to = out + (size_t)r * (size_t)cols;
        for (int c0 = 0; c0 < cols; c0 += group) {
            int n = cut_min(group, cols - c0);
            const float *kept = skip ? skip + c0 : NULL;
            if (o->group != CUT_GROUP_TENSOR) g = cut_grid_for(from + c0, n, kept, o->bits, o->asymmetric);
            for (int i = 0; i < n; i++)
                to[c0 + i] = kept && kept[i] != 0 ? cut_f16_to_f32(cut_f32_to_f16(from[c0 + i]))
                                                  : cut_grid_round(&g, from[c0 + i]);
        }
    }
}
