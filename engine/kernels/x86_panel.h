/* x86_panel.h - taking a product of panels (panel.h) through its rows and tokens. Internal; included by avx2_panel.c and avx512_vnni_panel.c,
 * which define TILE_T, the most tokens taken together, and make(). */
#include "engine/kernels/kern.h"
#include "engine/kernels/panel.h"

enum { CHUNK = 8,              /* panels that stay in the second-level cache while the tokens pass */
       AHEAD = 4096 };         /* bytes from where a single token is to where memory is asked */

/* What is read of T tokens: their q8 rows, at one distance from each other; and at that distance what is made of their sums. */
struct tokens { const char *q, *d, *s, *made; size_t stride; };

/* What the products need of the activations' sums, for one token: to `made`. */
INLINE void make(struct cut_panel_form f, void *made, const void *x, int k);

/* A panel of k columns by as many tokens as the function is for; results for `rows` of the panel. */
typedef void (*panel_fn)(const char *panel, struct tokens x, int k, int rows, float *y, size_t y_stride);

/* T is TILE_T, or the smallest power of two that takes all tokens that are left; where it takes more, some were there before and get the same
 * results again. */
INLINE void mm_panel(const struct cut_mm *m, int r0, int r1, struct cut_panel_form f, const panel_fn by_tokens[TILE_T + 1]) {
    for (int r = r0, rows; r < r1; r += rows) {
        rows = cut_min(CHUNK * CUT_PANEL, r1 - r);
        for (int t = 0, T; t < m->t; t += T) {
            for (T = TILE_T; T > 1 && (T / 2 >= m->t - t || T > m->t);) T /= 2;
            t = cut_min(t, m->t - T);
            const char *x = (const char *)m->x + (size_t)t * m->x_stride;
            for (int i = 0; i < T; i++) make(f, (char *)m->scratch + (size_t)i * m->x_stride, x + (size_t)i * m->x_stride, m->k);
            struct tokens tokens = { x, x + m->k, x + m->k + m->k / 8, m->scratch, m->x_stride };
            for (int i = 0; i < rows; i += CUT_PANEL)
                by_tokens[T]((const char *)m->w + (size_t)((r + i) / CUT_PANEL) * m->w_stride, tokens, m->k, cut_min(CUT_PANEL, rows - i),
                             m->y + (size_t)t * m->y_stride + r + i, m->y_stride);
        }
    }
}
