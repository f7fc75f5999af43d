/* perf_machine.c - what the system tells about the processor, as far as it does. */
#include <stdlib.h>
#include <string.h>

#include "tui/perf_work.h"

/* The first line of a file, without its end; empty when it cannot be read. */
static void first_line(const char *path, char *out, int size) {
    FILE *f = fopen(path, "r");
    out[0] = 0;
    if (!f) return;
    if (!fgets(out, size, f)) out[0] = 0;
    fclose(f);
    out[strcspn(out, "\n")] = 0;
}

static void processor_name(char *out, int size) {
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[512];
    out[0] = 0;
    while (f && !out[0] && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !colon) continue;
        snprintf(out, (size_t)size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
    }
    if (f) fclose(f);
}

/* Processors that name the same siblings are one core. */
static int count_cores(void) {
    enum { MOST = 512 };
    char (*seen)[64] = malloc(MOST * sizeof *seen);
    int n = 0;
    for (int cpu = 0; seen && cpu < MOST; cpu++) {
        char path[128], siblings[64];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
        first_line(path, siblings, sizeof siblings);
        if (!siblings[0]) break;
        int k = 0;
        while (k < n && strcmp(seen[k], siblings)) k++;
        if (k == n) memcpy(seen[n++], siblings, sizeof siblings);
    }
    free(seen);
    return n;
}

void tui_perf_machine_read(struct tui_perf_machine *m) {
    char load[64];
    m->cpus = cut_cpu_count();
    m->cores = count_cores();
    processor_name(m->processor, sizeof m->processor);
    first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", m->governor, sizeof m->governor);
    first_line("/proc/loadavg", load, sizeof load);
    m->load = load[0] ? strtod(load, NULL) : -1;
}
