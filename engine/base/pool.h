/* pool.h - the inside of cut_pool: run one function on all threads, meet at barriers. Internal. */
#ifndef CUT_POOL_H
#define CUT_POOL_H

#include "engine/base/base.h"

typedef void (*cut_pool_fn)(void *arg, int thread, int n_threads);

/* Run fn on every thread of the pool, the caller being thread 0, and return when all are done. p may be NULL: one thread. */
void cut_pool_run(struct cut_pool *p, cut_pool_fn fn, void *arg);
/* Inside fn: wait until all threads are here. What they wrote before is visible to all after. */
void cut_pool_barrier(struct cut_pool *p);

/* This thread's share [*i0, *i1) of n things, in multiples of `unit`, contiguous, in thread order. */
static inline void cut_share(int n, int unit, int thread, int n_threads, int *i0, int *i1) {
    int64_t units = (n + unit - 1) / unit;
    *i0 = (int)(units * thread / n_threads) * unit;
    *i1 = cut_min(n, (int)(units * (thread + 1) / n_threads) * unit);
}

#endif
