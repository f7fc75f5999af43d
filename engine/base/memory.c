/* memory.c - how much memory there is to be had: what the machine has, and what a container's or a service's group may take of it.
 *
 * A control group may have a limit, and so may each group it is in; a process that goes beyond one is killed. Version 2 has one tree of groups,
 * /sys/fs/cgroup; version 1 has one for each resource, /sys/fs/cgroup/memory. /proc/self/cgroup says where in them this process is:
 *
 *   0::/user.slice/session.scope          version 2
 *   4:memory:/docker/5b1c                 version 1 (resources are listed by number, and only in it)
 *
 * Inside a container that path may be the host's, which is not to be seen there; what is mounted is then the container's own group.
 * (Linux kernel documentation: admin-guide/cgroup-v2.rst, "Memory Interface Files"; admin-guide/cgroup-v1/memory.rst.) */
#include <stdio.h>

#include "engine/base/base.h"

/* The number in a file of one number; `none` where there is no such file, or it says "max". */
static uint64_t number_in(const char *folder, const char *name, uint64_t none) {
    char path[4200];
    unsigned long long n;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "r");
    bool read = f && fscanf(f, "%llu", &n) == 1;
    if (f) fclose(f);
    return read ? n : none;
}

/* Sum of the numbers behind these names ("name number" a line); 0 where there are none. */
static uint64_t sum_in(const char *folder, const char *file, const char *const names[2]) {
    char path[4200], name[64];
    unsigned long long n;
    uint64_t sum = 0;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *f = fopen(path, "r");
    while (f && fscanf(f, "%63s %llu", name, &n) == 2)
        if (!strcmp(name, names[0]) || !strcmp(name, names[1])) sum += n;
    if (f) fclose(f);
    return sum;
}

/* What a group may still take: its limit, less what it has; pages of files do not count, they make room when they must. */
static uint64_t left_in(const char *folder, bool v2) {
    uint64_t limit = number_in(folder, v2 ? "memory.max" : "memory.limit_in_bytes", UINT64_MAX);
    uint64_t used = number_in(folder, v2 ? "memory.current" : "memory.usage_in_bytes", 0);
    uint64_t files = sum_in(folder, "memory.stat", v2 ? (const char *const[]){ "active_file", "inactive_file" }
                                                      : (const char *const[]){ "total_active_file", "total_inactive_file" });
    if (limit == UINT64_MAX) return UINT64_MAX;
    used -= files < used ? files : used;
    return limit > used ? limit - used : 0;
}

/* The least that is left in this group and in those it is in. */
static uint64_t left_up_from(const char *mount, const char *group, bool v2) {
    char path[4096];
    uint64_t least = UINT64_MAX;
    if (snprintf(path, sizeof path, "%s%s", mount, strcmp(group, "/") ? group : "") >= (int)sizeof path) return least;
    for (size_t end = strlen(mount);;) {
        uint64_t left = left_in(path, v2);
        if (left < least) least = left;
        char *slash = strrchr(path, '/');
        if (!slash || slash < path + end) return least;
        *slash = '\0';
    }
}

uint64_t cut_memory_of_groups(const char *groups, const char *mount) {
    FILE *f = fopen(groups, "r");
    char line[4096], memory[4096];
    uint64_t least = UINT64_MAX;
    snprintf(memory, sizeof memory, "%s/memory", mount);
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        char *resources = strchr(line, ':'), *group = resources ? strchr(resources + 1, ':') : NULL;
        if (!group) continue;
        *group++ = '\0';
        bool v2 = !resources[1], v1 = !strcmp(resources + 1, "memory");
        uint64_t left = v2 ? left_up_from(mount, group, true) : v1 ? left_up_from(memory, group, false) : UINT64_MAX;
        if (left < least) least = left;
    }
    if (f) fclose(f);
    return least;
}

static uint64_t memory_of_machine(void) {
    FILE *f = fopen("/proc/meminfo", "r");
    unsigned long long kib = 0;
    char line[128];
    while (f && !kib && fgets(line, sizeof line, f)) sscanf(line, "MemAvailable: %llu kB", &kib);
    if (f) fclose(f);
    return kib ? kib << 10 : UINT64_MAX;
}

uint64_t cut_memory_available(void) {
    uint64_t machine = memory_of_machine(), groups = cut_memory_of_groups("/proc/self/cgroup", "/sys/fs/cgroup");
    return machine < groups ? machine : groups;
}
