/* x86_panel.h - taking a product of panels (panel.h) through its rows and tokens. Internal; included by avx2_panel.c and avx512_vnni_panel.c,
 * which define TILE_T, the most tokens taken together, and make(). */
#include "engine/kernels/kern.h"
#include "engine/kernels/panel.h"

enum { CHUNK = 8,              /* panels that stay in the second-level cache while the tokens pass */
       AHEAD = 128,            /* bytes from where a single token is to where memory is asked; further is the hardware's business */
       AHEAD_MANY = 8192 };    /* and from where several are: they go too slowly for the hardware to take it for a run */

/* What is read of T tokens: their q8 rows, at one distance from each other; and at that distance what is made of their sums. */
struct tokens { const char *q, *d, *s, *made; size_t stride; };

/* T tokens are at `now`: ask memory for as many bytes as they read next, for several into the second-level cache. */
INLINE void ask(const int T, const char *now, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64) {
        if (T == 1) _mm_prefetch(now + AHEAD + i, _MM_HINT_T0);
        else _mm_prefetch(now + AHEAD_MANY + i, _MM_HINT_T1);
    }
}

/* What the products need of the activations' sums, for one token: to `made`. */
INLINE void make(struct cut_panel_form f, void *made, const void *x, int k);

/* A panel of k columns by as many tokens as the function is for; results for `rows` of the panel. */
typedef void (*panel_fn)(const char *panel, struct tokens x, int k, int rows, float *y, size_t y_stride);

/* Two panels by one token, group by group in turn. */
struct pair { const char *panel[2]; int rows[2]; float *y[2]; };
typedef void (*pair_fn)(struct pair p, struct tokens x, int k);

INLINE const char *panel_at(const struct cut_mm *m, int r) { return (const char *)m->w + (size_t)(r / CUT_PANEL) * m->w_stride; }

/* Tokens t .. t + n - 1, with what is made of their sums. */
INLINE struct tokens tokens_at(const struct cut_mm *m, struct cut_panel_form f, int t, int n) {
    const char *x = (const char *)m->x + (size_t)t * m->x_stride;
    for (int i = 0; i < n; i++) make(f, (char *)m->scratch + (size_t)i * m->x_stride, x + (size_t)i * m->x_stride, m->k);
    return (struct tokens){ x, x + m->k, x + m->k + m->k / 8, m->scratch, m->x_stride };
}

/* One token waits for memory, which is read fastest in two long runs: a panel of the first half of the rows, and one of the second. Where
 * they are odd in number, the one in the middle is paired with itself. */
INLINE void mm_one(const struct cut_mm *m, int r0, int r1, struct cut_panel_form f, pair_fn pair) {
    const struct tokens x = tokens_at(m, f, 0, 1);
    const int half = (int)cut_round_up((size_t)(r1 - r0 + 1) / 2, CUT_PANEL);
    for (int r = r0; r < r0 + half; r += CUT_PANEL) {
        const int s = r + half < r1 ? r + half : r;
        pair((struct pair){ { panel_at(m, r), panel_at(m, s) }, { cut_min(CUT_PANEL, r1 - r), cut_min(CUT_PANEL, r1 - s) },
                            { m->y + r, m->y + s } }, x, m->k);
    }
}

/* T is TILE_T, or the smallest power of two, 2 or more, that takes all tokens that are left; where it takes more, some were there before
 * and get the same results again. */
INLINE void mm_panel(const struct cut_mm *m, int r0, int r1, struct cut_panel_form f, pair_fn pair, const panel_fn by_tokens[TILE_T + 1]) {
    if (m->t == 1) { mm_one(m, r0, r1, f, pair); return; }
    for (int r = r0, rows; r < r1; r += rows) {
        rows = cut_min(CHUNK * CUT_PANEL, r1 - r);
        for (int t = 0, T; t < m->t; t += T) {
            for (T = TILE_T; T > 2 && (T / 2 >= m->t - t || T > m->t);) T /= 2;
            t = cut_min(t, m->t - T);
            const struct tokens x = tokens_at(m, f, t, T);
            for (int i = 0; i < rows; i += CUT_PANEL)
                by_tokens[T](panel_at(m, r + i), x, m->k, cut_min(CUT_PANEL, rows - i), m->y + (size_t)t * m->y_stride + r + i, m->y_stride);
        }
    }
}
