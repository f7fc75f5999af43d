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

/* A number about a processor; `none` where it cannot be read. */
static int about(int cpu, const char *what, int none) {
    char path[128], text[32], *end;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/%s", cpu, what);
    first_line(path, text, sizeof text);
    long v = strtol(text, &end, 10);
    return end == text ? none : (int)v;
}

/* The folder of the processor's node has the node's number in its name. */
static int node_of(int cpu) {
    char path[128];
    for (int node = 0; node < 64; node++) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/node%d/cpulist", cpu, node);
        FILE *f = fopen(path, "r");
        if (!f) continue;
        fclose(f);
        return node;
    }
    return -1;
}

/* Those of a package beside each other, in it those of a core. */
static int by_core(const void *a, const void *b) {
    const struct tui_perf_cpu *x = a, *y = b;
    return x->package != y->package ? x->package - y->package : x->core != y->core ? x->core - y->core : x->id - y->id;
}

static void read_topology(struct tui_perf_machine *m) {
    enum { MOST = sizeof m->cpu / sizeof *m->cpu };
    int id[MOST];
    m->n_cpu = cut_cpu_list(id, MOST);
    m->cores = 0;
    for (int i = 0; i < m->n_cpu; i++)
        m->cpu[i] = (struct tui_perf_cpu){ (short)id[i], (short)about(id[i], "topology/core_id", -1), (short)about(id[i], "topology/physical_package_id", 0),
                                           (short)node_of(id[i]), about(id[i], "cpufreq/cpuinfo_max_freq", 0) / 1000 };
    qsort(m->cpu, (size_t)m->n_cpu, sizeof *m->cpu, by_core);
    for (int i = 0; i < m->n_cpu; i++) {
        if (m->cpu[i].core < 0) { m->cores = 0; return; }
        m->cores += !i || m->cpu[i].core != m->cpu[i - 1].core || m->cpu[i].package != m->cpu[i - 1].package;
    }
    if (m->cpus > m->n_cpu) m->cores = 0;                      /* more than are looked at */
}

void tui_perf_machine_read(struct tui_perf_machine *m) {
    char load[64];
    if (!m->cpus) {                            /* what does not change is read once */
        m->cpus = cut_cpu_count();
        read_topology(m);
        processor_name(m->processor, sizeof m->processor);
    }
    first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", m->governor, sizeof m->governor);
    first_line("/proc/loadavg", load, sizeof load);
    m->load = load[0] ? strtod(load, NULL) : -1;
}
