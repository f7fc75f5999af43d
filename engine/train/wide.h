/* wide.h - the arithmetic of training, over vectors of whatever width the processor has. Internal.
 *
 * Inference reads each weight once per token and is bound by memory; training multiplies large matrices by large
 * matrices, three products per weight (y = x Wᵀ, dx = dy W, dW = dyᵀ x), and is bound by arithmetic. So it has kernels of its
 * own: one matrix product for any strides, and the loops over rows that need exp or a sum. wide.inc holds them once;
 * wide_plain.c, wide_avx2.c and wide_avx512.c compile it at their width.
 */
#ifndef CUT_WIDE_H
#define CUT_WIDE_H

#include "engine/base/base.h"

/* A matrix in memory: element (i, j) is p[i * si + j * sj]. A transpose swaps the strides. */
struct cut_mat { const float *p; ptrdiff_t si, sj; };

/* c[i * ldc + j] (= or +=) sum_k a(i, k) b(k, j), for i < m, j < n, k < K. scratch: CUT_WIDE_SCRATCH bytes, CUT_ALIGNed. */
typedef void (*cut_gemm_fn)(int m, int n, int k, struct cut_mat a, struct cut_mat b, float *c, ptrdiff_t ldc, bool add,
                            void *scratch);

/* Blocks of a product: a block of A (MC rows) and one of B (NC columns) are copied to scratch, KC deep, in the order
 * in which they are read (Goto and van de Geijn 2008, section 4). KC counts slots: a float, or two bfloat16. */
enum { CUT_WIDE_MC = 64, CUT_WIDE_NC = 1024, CUT_WIDE_KC = 128 };
#define CUT_WIDE_SCRATCH ((size_t)(CUT_WIDE_MC + CUT_WIDE_NC + 64) * CUT_WIDE_KC * 4 + 8192)

struct cut_wide {
    const char *name;
    cut_gemm_fn gemm;
    cut_gemm_fn gemm_bf16;     /* factors rounded to bfloat16, sums in float; NULL: this processor has no such product */

    /* y = x r w with r = 1 / sqrt(mean(x^2) + eps); returns r. */
    float (*rms_norm)(float *y, const float *x, const float *w, int n, float eps);
    /* From dy: dx (= or +=) and dw += . r is what rms_norm returned. */
    void (*rms_norm_back)(float *dx, float *dw, const float *dy, const float *x, const float *w, float r, int n, bool add);
    /* p = softmax(scale s); p may be s. */
    void (*softmax)(float *p, const float *s, int n, float scale);
    /* ds = scale p (dp - sum_j p_j dp_j), the gradient through softmax; ds may be dp. */
    void (*softmax_back)(float *ds, const float *p, const float *dp, int n, float scale);
    void (*silu_mul)(float *y, const float *g, const float *u, int n);
    void (*silu_mul_back)(float *dg, float *du, const float *dy, const float *g, const float *u, int n);
    /* Returns -log softmax(x)[target], and turns x into scale (softmax(x) - onehot(target)). */
    float (*cross_entropy)(float *x, int n, int target, float scale);
    void (*accumulate)(float *y, const float *x, size_t n);                   /* y += x */
    double (*sum_squares)(const float *x, size_t n);
};

/* The widest this processor has. Static. */
const struct cut_wide *cut_wide_best(void);
/* NULL where it was not built, or cannot run here: "plain", "avx2", "avx512". */
const struct cut_wide *cut_wide_named(const char *name);

/* One per file; NULL: not for this processor's architecture. Whether it can run here, cut_wide_named decides. */
const struct cut_wide *cut_wide_plain(void);
const struct cut_wide *cut_wide_avx2(void);
const struct cut_wide *cut_wide_avx512(void);

#endif
