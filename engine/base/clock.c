/* clock.c - time, and the processors there are. */
#define _GNU_SOURCE
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/base.h"

int64_t cut_clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double cut_clock(void) { return (double)cut_clock_ns() * 1e-9; }

int cut_cpu_list(int *out, int most) {
    int n = 0;
#ifdef CPU_COUNT
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set)) {
        for (int i = 0; i < CPU_SETSIZE && n < most; i++)
            if (CPU_ISSET(i, &set)) out[n++] = i;
        return n;
    }
#endif
    for (int all = cut_cpu_count(); n < most && n < all; n++) out[n] = n;
    return n;
}

int cut_cpu_count(void) {
#ifdef CPU_COUNT
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set)) return cut_max(1, CPU_COUNT(&set));
#endif
    return cut_max(1, (int)sysconf(_SC_NPROCESSORS_ONLN));
}
