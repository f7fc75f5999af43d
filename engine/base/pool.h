/* pool.h - the inside of cut_pool: run one function on all threads, meet at barriers. Internal. */
#ifndef CUT_POOL_H
#define CUT_POOL_H

#include "engine/base/base.h"

typedef void (*cut_pool_fn)(void *arg, int thread, int n_threads);

/* Run fn on every thread of the pool, the caller being thread 0, and return when all are done. p may be NULL: one thread. */
void cut_pool_run(struct cut_pool *p, cut_pool_fn fn, void *arg);
/* Inside fn: wait until all threads are here. What they wrote before is visible to all after. */
void cut_pool_barrier(struct cut_pool *p);

/* ---- sharing out
 *
 * n things, in units that must stay together. Every thread has its share, one stretch of them, and takes it piece by piece from the front; when
 * nothing is left of it, pieces from the back of whoever has most left. So on even processors each does its own, in the order of memory,
 * and a slow one holds nobody up for longer than a piece. Which thread does what does not change what is computed. */
struct cut_shares {
    struct cut_pool *pool;     /* NULL: one thread */
    uint32_t turn;             /* from cut_pool_turns: the same in all threads, another for every sharing out */
    int thread, n_threads;
    int n, unit, piece;        /* things; in a unit, so that there are at most 65535 units; a piece is a multiple of it */
    int at;                    /* one thread: what it has taken */
};
/* The next piece for this thread, [*i0, *i1); false: all are taken. */
bool cut_take(struct cut_shares *s, int *i0, int *i1);
/* Reserve n turns of the pool, [result, result + n). Before cut_pool_run, by whoever calls it. */
uint32_t cut_pool_turns(struct cut_pool *p, uint32_t n);

/* This thread's share [*i0, *i1) of n things, in multiples of `unit`, contiguous, in thread order. */
static inline void cut_share(int n, int unit, int thread, int n_threads, int *i0, int *i1) {
    int64_t units = (n + unit - 1) / unit;
    *i0 = (int)(units * thread / n_threads) * unit;
    *i1 = cut_min(n, (int)(units * (thread + 1) / n_threads) * unit);
}

#endif
