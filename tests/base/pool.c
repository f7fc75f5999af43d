/* pool.c - threads: each does its part once, barriers order what they write, sleepers wake. */
#define _GNU_SOURCE
#include <sched.h>

#include "tests/test.h"

#include <time.h>

#include "engine/base/pool.h"

struct sums { struct cut_pool *pool; int64_t part[8], total[8]; int calls[8]; };

static void add_up(void *arg, int thread, int n) {
    struct sums *s = arg;
    int i0, i1;
    s->calls[thread]++;
    cut_share(1000, 16, thread, n, &i0, &i1);
    s->part[thread] = 0;
    for (int i = i0; i < i1; i++) s->part[thread] += i;
    cut_pool_barrier(s->pool);
    s->total[thread] = 0;                      /* every thread must see every part */
    for (int k = 0; k < n; k++) s->total[thread] += s->part[k];
    cut_pool_barrier(s->pool);
}

TEST(pool_runs_every_thread_once) {
    for (int n = 1; n <= 5; n++) {
        struct sums s = { 0 };
        REQUIRE(!cut_pool_new(&s.pool, n, NULL));
        for (int round = 1; round <= 200; round++) {
            cut_pool_run(s.pool, add_up, &s);
            for (int k = 0; k < n; k++) CHECK(s.calls[k] == round && s.total[k] == 999 * 1000 / 2, "thread %d of %d: %lld", k, n, (long long)s.total[k]);
        }
        cut_pool_free(s.pool);
    }
}

TEST(pool_wakes_sleepers) {                    /* long pauses, so that the workers have parked */
    struct sums s = { 0 };
    REQUIRE(!cut_pool_new(&s.pool, 3, NULL));
    for (int round = 0; round < 5; round++) {
        nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
        cut_pool_run(s.pool, add_up, &s);
        CHECK(s.total[2] == 999 * 1000 / 2);
    }
    cut_pool_free(s.pool);
}

#ifdef CPU_SET
struct places { int cpu[4], many[4]; };
static void note_place(void *arg, int thread, int n) {
    struct places *p = arg;
    cpu_set_t set;
    (void)n;
    p->cpu[thread] = sched_getcpu();
    p->many[thread] = sched_getaffinity(0, sizeof set, &set) ? -1 : CPU_COUNT(&set);
}

TEST(pool_ties_threads_to_processors) {
    int cpu[2], n = cut_cpu_list(cpu, 2), all = cut_cpu_count(), none = -1;
    struct cut_pool *pool;
    struct places p;
    struct cut_err err;
    REQUIRE(n >= 1 && !cut_pool_new(&pool, 3, NULL));
    CHECK(!cut_pool_pin(pool, NULL, 0, &err));                 /* nothing to let go */
    for (int k = 1; k <= n; k++) {
        REQUIRE(!cut_pool_pin(pool, cpu + n - k, k, &err), "%s", err.msg);
        cut_pool_run(pool, note_place, &p);
        for (int t = 0; t < 3; t++)
            CHECK(p.many[t] == 1 && p.cpu[t] == cpu[n - k + t % k], "thread %d: one of %d, at %d", t, p.many[t], p.cpu[t]);
    }
    CHECK(cut_pool_pin(pool, &none, 1, &err) == CUT_EUSAGE && strstr(err.msg, "-1"), "%s", err.msg);
    cut_pool_run(pool, note_place, &p);
    for (int t = 0; t < 3; t++) CHECK(p.many[t] == all, "thread %d: one of %d, not of %d", t, p.many[t], all);
    REQUIRE(!cut_pool_pin(pool, cpu, 1, &err));
    cut_pool_free(pool);
    CHECK(cut_cpu_count() == all, "a pool that is gone leaves its caller free");
}
#endif

TEST(pool_refuses_counts) {
    struct cut_pool *p;
    struct cut_err err;
    CHECK(cut_pool_new(&p, 0, &err) == CUT_EUSAGE && strstr(err.msg, "0"));
    CHECK(cut_pool_new(&p, 513, &err) == CUT_EUSAGE && strstr(err.msg, "513"));
    cut_pool_free(NULL);
}

TEST(share_covers_everything_once) {
    for (int n = 0; n < 70; n += 3)
        for (int threads = 1; threads < 6; threads++) {
            int next = 0;
            for (int t = 0; t < threads; t++) {
                int i0, i1;
                cut_share(n, 16, t, threads, &i0, &i1);
                CHECK(i0 == cut_min(next, n) || i0 >= n, "%d of %d: from %d, not %d", t, threads, i0, next);
                CHECK(i0 % 16 == 0);
                if (i1 > i0) next = i1;
            }
            CHECK(next == n, "%d things, %d threads: up to %d", n, threads, next);
        }
}

TEST(glob_patterns) {
    CHECK(cut_glob("blk.*.scores", "blk.12.scores") && cut_glob("*", "") && cut_glob("*s", "ss") && cut_glob("a*b*c", "aXbYbc"));
    CHECK(!cut_glob("blk.*.scores", "blk.1.scores.q8") && !cut_glob("", "a") && !cut_glob("a*b", "abc") && cut_glob("embed", "embed"));
}
