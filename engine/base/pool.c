/* pool.c - threads that wait for work: they spin a little, because the next step is usually microseconds away, and then
 * park, because a workbench is usually waiting for its user. */
#define _GNU_SOURCE            /* for processors by number, which POSIX does not know */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "engine/base/pool.h"

#if defined(__x86_64__) || defined(__i386__)
#define relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define relax() __asm__ volatile("yield")
#else
#define relax() ((void)0)
#endif

enum { SPINS = 4000,           /* pauses before a worker parks: some tens of microseconds */
       SPINS_BEFORE_YIELD = 1000,     /* at a barrier the others are running; give way only if they are not scheduled, */
       YIELDS = 500 };         /* and sleep only if that does not help: who is awaited needs the time more than we do */

struct cut_pool {
    int n;
    cut_pool_fn fn;
    void *arg;
    _Alignas(CUT_ALIGN) atomic_uint job;          /* counts the jobs handed out */
    _Alignas(CUT_ALIGN) atomic_int arrived;       /* threads at the barrier */
    _Alignas(CUT_ALIGN) atomic_uint round;        /* counts the barriers passed */
    atomic_int parked, asleep;                    /* waiting for a job; at the barrier */
    atomic_bool quit;
    pthread_mutex_t lock;
    pthread_cond_t wake, passed;
    uint32_t turns;                               /* given out */
    struct slot { _Alignas(CUT_ALIGN) atomic_uint_fast64_t left; } *slot;      /* per thread: see cut_take */
    struct worker { pthread_t id; struct cut_pool *pool; int index; } *worker;     /* [0] is the caller, while it is pinned */
    bool pinned;
#ifdef CPU_SET
    cpu_set_t anywhere;                           /* where the caller could run before */
#endif
};

/* The machine is busy, and a thread we wait for is not running. Sleeping leaves its processor time to it. */
static void sleep_until_passed(struct cut_pool *p, unsigned round) {
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->asleep, 1);
    while (atomic_load(&p->round) == round) pthread_cond_wait(&p->passed, &p->lock);
    atomic_fetch_sub(&p->asleep, 1);
    pthread_mutex_unlock(&p->lock);
}

void cut_pool_barrier(struct cut_pool *p) {
    if (!p || p->n == 1) return;
    unsigned round = atomic_load_explicit(&p->round, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&p->arrived, 1, memory_order_acq_rel) == p->n - 1) {
        atomic_store_explicit(&p->arrived, 0, memory_order_relaxed);
        atomic_store(&p->round, round + 1);        /* before looking for sleepers, who look at it after saying that they sleep */
        if (!atomic_load(&p->asleep)) return;
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->passed);
        pthread_mutex_unlock(&p->lock);
        return;
    }
    for (int i = 0; atomic_load_explicit(&p->round, memory_order_acquire) == round; i++) {
        if (i < SPINS_BEFORE_YIELD) relax();
        else if (i < SPINS_BEFORE_YIELD + YIELDS) sched_yield();
        else {
            sleep_until_passed(p, round);
            return;
        }
    }
}

static bool wait_for_job(struct cut_pool *p, unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&p->job, memory_order_acquire) != seen) return true;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->parked, 1);
    while (atomic_load(&p->job) == seen && !atomic_load(&p->quit)) pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->parked, 1);
    pthread_mutex_unlock(&p->lock);
    return !atomic_load(&p->quit);
}

static void *work(void *arg) {
    struct worker *w = arg;
    struct cut_pool *p = w->pool;
    for (unsigned seen = 0; wait_for_job(p, seen) && !atomic_load(&p->quit); seen++) {
        p->fn(p->arg, w->index, p->n);
        cut_pool_barrier(p);
    }
    return NULL;
}

static void wake_parked(struct cut_pool *p) {
    /* The job number is already raised; a worker that parks after this sees it under the lock. */
    if (atomic_load(&p->parked) || atomic_load(&p->quit)) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
}

void cut_pool_run(struct cut_pool *p, cut_pool_fn fn, void *arg) {
    if (!p || p->n == 1) {
        fn(arg, 0, 1);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    atomic_fetch_add(&p->job, 1);
    wake_parked(p);
    fn(arg, 0, p->n);
    cut_pool_barrier(p);
}

enum cut_status cut_pool_new(struct cut_pool **out, int n, struct cut_err *err) {
    if (n < 1 || n > 512) return cut_fail(err, CUT_EUSAGE, "threads: %d is not in 1 to 512", n);
    struct cut_pool *p = cut_alloc_aligned(sizeof *p, "thread pool", err);
    if (!p) return CUT_ENOMEM;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->passed, NULL);
    p->n = n;
    p->worker = cut_calloc((size_t)n, sizeof *p->worker, "thread pool", err);
    p->slot = cut_alloc_aligned((size_t)n * sizeof *p->slot, "thread pool", err);
    for (int i = 1; p->worker && p->slot && i < n; i++) {
        p->worker[i] = (struct worker){ .pool = p, .index = i };
        int e = pthread_create(&p->worker[i].id, NULL, work, &p->worker[i]);
        if (e) {
            p->n = i;          /* stop those that run */
            cut_pool_free(p);
            return cut_fail(err, CUT_ESYSTEM, "thread %d of %d could not be started: %s", i + 1, n, strerror(e));
        }
    }
    if (!p->worker || !p->slot) {
        p->n = 1;
        cut_pool_free(p);
        return CUT_ENOMEM;
    }
    *out = p;
    return CUT_OK;
}

/* ---- sharing out
 *
 * What is left of a thread's share is one word, "turn, first unit, end", so that taking from either end is one compare-and-swap. A word of an
 * earlier turn says that nobody has taken anything yet: the share is then whole, and nobody had to write that down. */
struct left { int first, end; };

static uint64_t word_of(uint32_t turn, struct left l) { return (uint64_t)turn << 32 | (uint64_t)l.first << 16 | (uint64_t)l.end; }

static struct left left_of(const struct cut_shares *s, uint64_t word, int thread) {
    if (word >> 32 == s->turn) return (struct left){ (int)(word >> 16 & 0xFFFF), (int)(word & 0xFFFF) };
    int i0, i1;
    cut_share((s->n + s->unit - 1) / s->unit, 1, thread, s->n_threads, &i0, &i1);
    return (struct left){ i0, i1 };
}

uint32_t cut_pool_turns(struct cut_pool *p, uint32_t n) {
    if (!p) return 0;
    p->turns += n;
    return p->turns - n + 1;                      /* 0 is what the slots begin with */
}

bool cut_take(struct cut_shares *s, int *i0, int *i1) {
    if (s->n_threads == 1) {
        *i0 = s->at;
        *i1 = s->at = cut_min(s->n, s->at + s->piece);
        return *i0 < *i1;
    }
    const int piece = cut_max(1, s->piece / s->unit);
    for (;;) {
        int from = s->thread, most = 0;
        uint64_t word = atomic_load_explicit(&s->pool->slot[from].left, memory_order_relaxed);
        struct left l = left_of(s, word, from);
        if (l.first == l.end) {
            for (int t = 0; t < s->n_threads; t++) {
                uint64_t w = atomic_load_explicit(&s->pool->slot[t].left, memory_order_relaxed);
                struct left other = left_of(s, w, t);
                if (other.end - other.first > most) most = other.end - other.first, from = t, word = w, l = other;
            }
            if (!most) return false;
        }
        /* Of another's share at most half, so that both are done at about the same time. */
        int n = cut_min(piece, most ? (most + 1) / 2 : l.end - l.first);
        struct left rest = most ? (struct left){ l.first, l.end - n } : (struct left){ l.first + n, l.end };
        if (!atomic_compare_exchange_strong_explicit(&s->pool->slot[from].left, &word, word_of(s->turn, rest), memory_order_relaxed,
                                                     memory_order_relaxed))
            continue;
        *i0 = (most ? rest.end : l.first) * s->unit;
        *i1 = cut_min(s->n, *i0 + n * s->unit);
        return true;
    }
}

/* ---- threads and processors */

#ifdef CPU_SET
static int tie(const struct cut_pool *p, int thread, const cpu_set_t *to) {
    return pthread_setaffinity_np(p->worker[thread].id, sizeof *to, to);
}

static void unpin(struct cut_pool *p) {
    for (int t = 0; p->pinned && t < p->n; t++) tie(p, t, &p->anywhere);
    p->pinned = false;
}

enum cut_status cut_pool_pin(struct cut_pool *p, const int *cpu, int n, struct cut_err *err) {
    unpin(p);
    if (n < 1) return CUT_OK;
    p->worker[0].id = pthread_self();
    if (pthread_getaffinity_np(p->worker[0].id, sizeof p->anywhere, &p->anywhere))
        return cut_fail(err, CUT_ESYSTEM, "the system does not say where this thread may run");
    for (int i = 0; i < n; i++)
        if (cpu[i] < 0 || cpu[i] >= CPU_SETSIZE || !CPU_ISSET(cpu[i], &p->anywhere))
            return cut_fail(err, CUT_EUSAGE, "processor %d: this process may not run there", cpu[i]);
    p->pinned = true;
    for (int t = 0; t < p->n; t++) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu[t % n], &one);
        int e = tie(p, t, &one);
        if (!e) continue;
        unpin(p);
        return cut_fail(err, CUT_ESYSTEM, "thread %d cannot be tied to processor %d: %s", t, cpu[t % n], strerror(e));
    }
    return CUT_OK;
}
#else
static void unpin(struct cut_pool *p) { (void)p; }
enum cut_status cut_pool_pin(struct cut_pool *p, const int *cpu, int n, struct cut_err *err) {
    (void)p, (void)cpu, (void)n, (void)err;
    return CUT_OK;
}
#endif

void cut_pool_free(struct cut_pool *p) {
    if (!p) return;
    unpin(p);
    atomic_store(&p->quit, true);
    wake_parked(p);
    for (int i = 1; i < p->n; i++) pthread_join(p->worker[i].id, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->passed);
    free(p->worker);
    cut_free_aligned(p->slot);
    cut_free_aligned(p);
}

int cut_pool_size(const struct cut_pool *p) { return p ? p->n : 1; }
