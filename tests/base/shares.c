/* shares.c - sharing out work: everything once, whoever is slow, and in whole units. */
#include <stdatomic.h>
#include <time.h>

#include "engine/base/pool.h"
#include "tests/test.h"

enum { MOST = 4096 };
struct work { struct cut_pool *pool; uint32_t turn; int n, unit, piece, slow; atomic_int times[MOST], by[64]; atomic_bool ragged; };

static void take_all(void *arg, int thread, int n_threads) {
    struct work *w = arg;
    struct cut_shares s = { .pool = w->pool, .turn = w->turn, .thread = thread, .n_threads = n_threads, .n = w->n, .unit = w->unit,
                            .piece = w->piece };
    int i0, i1;
    if (thread == w->slow) nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
    while (cut_take(&s, &i0, &i1)) {
        if (i0 % w->unit || i0 >= i1 || i1 > w->n || (i1 % w->unit && i1 != w->n) || i1 - i0 > w->piece) atomic_store(&w->ragged, true);
        for (int i = i0; i < i1; i++) atomic_fetch_add(&w->times[i], 1);
        atomic_fetch_add(&w->by[thread], i1 - i0);
    }
}

TEST(shares_are_taken_once) {
    struct cut_err err;
    for (int threads = 1; threads <= 7; threads += 2) {
        struct cut_pool *pool;
        REQUIRE(!cut_pool_new(&pool, threads, &err), "%s", err.msg);
        uint64_t rng = 9;
        for (int round = 0; round < 300; round++) {
            struct work w = { .pool = pool, .unit = 1 + (int)(cut_rng_next(&rng) % 20), .slow = -1 };
            w.n = (int)(cut_rng_next(&rng) % MOST);
            w.piece = w.unit * (1 + (int)(cut_rng_next(&rng) % 9));
            w.turn = cut_pool_turns(pool, 1 + (uint32_t)(round % 3));
            cut_pool_run(pool, take_all, &w);
            bool once = true;
            for (int i = 0; i < MOST; i++) once &= atomic_load(&w.times[i]) == (i < w.n);
            CHECK(once && !w.ragged, "%d threads, %d by %d in pieces of %d", threads, w.n, w.unit, w.piece);
        }
        cut_pool_free(pool);
    }
}

/* A thread that is late finds its share done by the others. */
TEST(shares_of_a_slow_thread_are_taken_over) {
    struct cut_pool *pool;
    struct cut_err err;
    REQUIRE(!cut_pool_new(&pool, 2, &err), "%s", err.msg);
    for (int slow = 0; slow < 2; slow++) {
        struct work w = { .pool = pool, .n = 4000, .unit = 16, .piece = 64, .slow = slow, .turn = cut_pool_turns(pool, 1) };
        cut_pool_run(pool, take_all, &w);
        CHECK(atomic_load(&w.by[0]) + atomic_load(&w.by[1]) == 4000);
        CHECK(atomic_load(&w.by[!slow]) > 2000, "thread %d did %d", !slow, atomic_load(&w.by[!slow]));
    }
    cut_pool_free(pool);
}
