/* perf_load.c - a load on purpose: threads that compete with the engine for processors or for memory, so that a learner sees what
 * that does to a sweep, to the barriers, and to the spread of the rounds.
 *
 * It ends when it is told to, with the worker, and by itself after some minutes: nobody should find it still running. */
#define _GNU_SOURCE            /* for processors by number */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tui/perf_work.h"
#include "tui/screen/mem.h"

enum { MOST = 64 };
#define WORDS ((size_t)8 << 20)        /* of 8 bytes: more than the caches of most processors */

struct noise_thread { pthread_t id; int cpu; struct tui_perf_noise *of; };
struct tui_perf_noise {
    enum tui_perf_load load;
    double ends;
    atomic_bool stop;
    uint64_t *memory;                  /* [WORDS], or NULL */
    _Atomic uint64_t sum;              /* of what was computed, so that it is */
    int n;
    struct noise_thread thread[MOST];
};

static uint64_t multiply_for_a_moment(uint64_t x) {
    for (int i = 0; i < 200000; i++) x = x * 6364136223846793005u + 1442695040888963407u;
    return x;
}

/* A part at a time: reading all would take too long to stop. */
static uint64_t read_for_a_moment(const uint64_t *memory, size_t *at) {
    enum { PART = 1 << 16 };
    uint64_t sum = 0;
    for (size_t i = 0; i < PART; i++) sum += memory[*at + i];
    *at = (*at + PART) % WORDS;
    return sum;
}

static void *compete(void *arg) {
    struct noise_thread *t = arg;
    struct tui_perf_noise *n = t->of;
    size_t at = (size_t)(t - n->thread) * (WORDS / MOST);
    uint64_t x = 1;
#ifdef CPU_SET
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(t->cpu, &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
#endif
    while (!atomic_load_explicit(&n->stop, memory_order_relaxed) && cut_clock() < n->ends)
        x += n->memory ? read_for_a_moment(n->memory, &at) : multiply_for_a_moment(x);
    atomic_fetch_add(&n->sum, x);
    return NULL;
}

enum cut_status tui_perf_noise_begin(struct tui_perf_noise **out, enum tui_perf_load load, const struct tui_perf_machine *m,
                                     struct cut_err *err) {
    struct tui_perf_noise *n = tui_alloc(1, sizeof *n);
    int first = load == TUI_PERF_LOAD_ONE && m->n_cpu ? m->n_cpu - 1 : 0, last = m->n_cpu > first ? m->n_cpu : first + 1;
    n->load = load;
    n->ends = cut_clock() + TUI_PERF_LOAD_SECONDS;
    if (load == TUI_PERF_LOAD_MEMORY) {
        n->memory = tui_alloc(WORDS, sizeof *n->memory);
        memset(n->memory, 1, WORDS * sizeof *n->memory);       /* pages that were never written share one of zeros */
    }
    for (int i = first; i < last && n->n < MOST; i++) {
        struct noise_thread *t = &n->thread[n->n];
        *t = (struct noise_thread){ .cpu = i < m->n_cpu ? m->cpu[i].id : 0, .of = n };
        int e = pthread_create(&t->id, NULL, compete, t);
        if (!e) { n->n++; continue; }
        tui_perf_noise_end(n);
        return cut_fail(err, CUT_ESYSTEM, "a thread to compete with could not be started: %s", strerror(e));
    }
    *out = n;
    return CUT_OK;
}

void tui_perf_noise_end(struct tui_perf_noise *n) {
    if (!n) return;
    atomic_store(&n->stop, true);
    for (int i = 0; i < n->n; i++) pthread_join(n->thread[i].id, NULL);
    free(n->memory);
    free(n);
}
