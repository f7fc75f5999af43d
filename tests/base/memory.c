/* memory.c - what control groups leave, read from files laid out like the kernel's. */
#include <stdio.h>
#include <sys/stat.h>

#include "engine/base/base.h"
#include "tests/test.h"

static char root[512];

/* A file under the test's own folder; its folders are made on the way. */
static const char *put(const char *path, const char *text) {
    static char full[1024];
    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0755);
        *slash = '/';
    }
    FILE *f = fopen(full, "w");
    CHECK(f, "%s", full);
    if (!f) return full;
    fputs(text, f);
    fclose(f);
    return full;
}

static void begin(const char *name) {
    snprintf(root, sizeof root, "%s", test_tmp(name));
    mkdir(root, 0755);
}

static uint64_t left(const char *groups) { return cut_memory_of_groups(put("groups", groups), root); }

TEST(memory_of_groups_version_2) {
    begin("memory-v2");
    put("app/memory.max", "max\n");
    put("app/memory.current", "100\n");
    put("app/memory.stat", "");
    CHECK(left("0::/app\n") == UINT64_MAX, "no limit");
    put("app/memory.max", "5000\n");
    CHECK(left("0::/app\n") == 4900, "limit less use");
    put("app/memory.stat", "anon 30\nfile 70\ninactive_file 40\nactive_file 20\n");
    CHECK(left("0::/app\n") == 4960, "files make room");
    put("app/memory.current", "6000\n");
    CHECK(left("0::/app\n") == 0, "over the limit");
    CHECK(left("0::/elsewhere/below\n") == UINT64_MAX, "a group that is not to be seen has no limit");
}

TEST(memory_of_groups_is_the_least_on_the_way_up) {
    begin("memory-up");
    put("memory.max", "9000\n");
    put("a/memory.max", "3000\n");
    put("a/b/memory.max", "7000\n");
    CHECK(left("0::/a/b\n") == 3000, "the middle one");
    put("a/memory.max", "max\n");
    CHECK(left("0::/a/b\n") == 7000, "the lowest");
    CHECK(left("0::/\n") == 9000, "the mount itself, as in a container");
    CHECK(left("0::/gone/away\n") == 9000, "a host's path, seen from a container");
}

TEST(memory_of_groups_version_1) {
    begin("memory-v1");
    put("memory/limit/memory.limit_in_bytes", "4096\n");
    put("memory/limit/memory.usage_in_bytes", "1096\n");
    put("memory/limit/memory.stat", "inactive_file 1\ntotal_inactive_file 500\ntotal_active_file 100\n");
    CHECK(left("12:cpu,cpuacct:/x\n4:memory:/limit\n0::/\n") == 3600, "limit less use, files left out");
    CHECK(left("12:cpu,cpuacct:/limit\n") == UINT64_MAX, "other resources say nothing about memory");
    CHECK(left("garbage\n:\n4:memory\n") == UINT64_MAX, "lines that are none");
}

TEST(memory_available_is_some) {
    CHECK(cut_memory_available() > 1 << 20, "%llu bytes", (unsigned long long)cut_memory_available());
    CHECK(cut_memory_of_groups("/no/such/file", "/no/such/folder") == UINT64_MAX, "nothing to read");
}
