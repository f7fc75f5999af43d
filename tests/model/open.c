/* open.c - what opening a model costs: the header. */
#include <unistd.h>

#include "engine/base/base.h"
#include "tests/test.h"

/* KiB of the file's mappings that are in memory for this process, as the kernel counts them; -1: it does not say. */
static long resident_kib(const char *name) {
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[4096];
    long kib = 0, part;
    unsigned long from, to;
    bool ours = false, any = false;
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx", &from, &to) == 2) ours = strstr(line, name) != NULL;   /* "7f00-7f01 r--s ... /path" */
        if (ours && sscanf(line, "Rss: %ld kB", &part) == 1) kib += part, any = true;
    }
    if (f) fclose(f);
    return any ? kib : -1;
}

/* A model with holes where its weights were. Whoever read them would find zeros, and leave them in memory. */
TEST(opening_reads_the_header_only) {
    const char *path = test_tmp("open-holes.gguf");
    struct cut_gguf *g;
    struct cut_model *m;
    struct cut_err err;
    size_t size;
    char *all = test_read("assets/pebble.gguf", &size);
    REQUIRE(all && !cut_gguf_parse(&g, "pebble", all, size, 0, &err));
    size_t head = (size_t)cut_gguf_head(g)->data_offset, huge = (size_t)2 << 20;
    cut_gguf_close(g);
    FILE *f = fopen(path, "wb");
    REQUIRE(f && fwrite(all, 1, head, f) == head && !fflush(f) && !ftruncate(fileno(f), (off_t)size) && !fclose(f), "%s", path);
    free(all);
    REQUIRE(!cut_model_open(&m, path, 0, &err), "%s", err.msg);
    long kib = resident_kib("open-holes.gguf");
    cut_model_close(m);
    remove(path);
    if (kib < 0) SKIP("this system does not say what is in memory");
    CHECK(head < huge && size > 2 * huge && kib > 0 && kib <= 2048 + 64, "%ld KiB of %zu, header %zu bytes", kib, size >> 10, head);
}

TEST(huge_blocks_are_blocks) {
    static const size_t sizes[] = { 0, 1, 100, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 9000001 };
    for (size_t i = 0; i < CUT_LEN(sizes); i++) {
        size_t n = sizes[i], sum = 0;
        struct cut_err err;
        uint8_t *p = cut_alloc_huge(n, "a test", &err);
        REQUIRE(p, "%zu: %s", n, err.msg);
        CHECK((uintptr_t)p % (n < 2 << 20 ? CUT_ALIGN : 2 << 20) == 0, "%zu at %p", n, (void *)p);
        for (size_t k = 0; k < n; k++) sum += p[k];
        CHECK(!sum, "%zu bytes are zero", n);
        memset(p, 0xA5, n);
        cut_free_aligned(p);
    }
    struct cut_err err;
    CHECK(!cut_alloc_huge(SIZE_MAX - (2 << 20), "a test", &err) && err.code == CUT_ENOMEM && strstr(err.msg, "a test needs"));
    cut_free_aligned(NULL);
}
