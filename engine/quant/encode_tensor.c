/* encode_tensor.c - rows of a tensor from one format to another, on all threads.
 *
 * Threads take pieces of a few rows until none is left, so that a slow thread delays the others by one piece at most. Pieces are the same
 * for any number of threads, and each is encoded on its own: so are the bytes. */
#include <math.h>
#include <stdatomic.h>

#include "engine/base/pool.h"
#include "engine/quant/encode.h"

enum { PIECE = 1 << 14 };                      /* elements: their floats stay in a core's own cache */

struct work {
    const struct cut_encoding *e;
    size_t piece;                              /* rows of a piece */
    float *floats;                             /* (threads, piece, n) */
    atomic_size_t next;                        /* the first row that nobody has taken */
    atomic_size_t bad;                         /* the first element known to be no number; SIZE_MAX: none */
};

static size_t row_bytes(enum cut_type type, size_t n) {
    const struct cut_type_info *t = cut_type_info(type);
    return n / (size_t)t->block * (size_t)t->bytes;
}

static void encode_pieces(void *arg, int thread, int n_threads) {
    struct work *w = arg;
    const struct cut_encoding *e = w->e;
    float *x = w->floats + (size_t)thread * w->piece * e->n;
    (void)n_threads;
    for (size_t r; (r = atomic_fetch_add(&w->next, w->piece)) < e->rows;) {
        size_t rows = e->rows - r < w->piece ? e->rows - r : w->piece, at;
        cut_decode(e->from, (const uint8_t *)e->src + r * row_bytes(e->from, e->n), x, rows * e->n);
        if (!cut_all_finite(x, rows * e->n, &at)) {
            /* earlier pieces have all been taken, so the least that any thread finds is the first there is */
            size_t index = r * e->n + at, least = atomic_load(&w->bad);
            while (index < least && !atomic_compare_exchange_weak(&w->bad, &least, index)) continue;
            return;
        }
        cut_encode_rows(e->to, x, (uint8_t *)e->dst + r * row_bytes(e->to, e->n), rows, e->n, e->importance);
    }
}

static enum cut_status refuse(const struct cut_encoding *e, size_t bad, struct cut_err *err) {
    float row[1] = { NAN };
    size_t r = bad / e->n, c = bad % e->n, block = (size_t)cut_type_info(e->from)->block;
    if (block == 1) cut_decode(e->from, (const uint8_t *)e->src + bad * row_bytes(e->from, 1), row, 1);
    return cut_fail(err, CUT_EFILE, "%s: element %zu (row %zu, column %zu) is %s", e->name, e->row0 * e->n + bad, e->row0 + r, c,
                    block > 1 ? "not finite" : isnan(row[0]) ? "not a number" : row[0] > 0 ? "infinite" : "minus infinity");
}

enum cut_status cut_encode_tensor(const struct cut_encoding *e, struct cut_pool *pool, struct cut_err *err) {
    if (e->from == e->to) {
        memcpy(e->dst, e->src, e->rows * row_bytes(e->from, e->n));
        return CUT_OK;
    }
    struct work w = { .e = e, .piece = e->n < PIECE ? PIECE / e->n : 1 };
    atomic_init(&w.next, 0);
    atomic_init(&w.bad, SIZE_MAX);
    w.floats = cut_calloc((size_t)(pool ? cut_pool_size(pool) : 1) * w.piece, e->n * sizeof *w.floats, "rows of weights", err);
    if (!w.floats) return CUT_ENOMEM;
    cut_pool_run(pool, encode_pieces, &w);
    free(w.floats);
    size_t bad = atomic_load(&w.bad);
    return bad == SIZE_MAX ? CUT_OK : refuse(e, bad, err);
}
