/* alloc.c - allocation that reports, and arenas. */
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

#include "engine/base/base.h"

void *cut_calloc(size_t n, size_t size, const char *what, struct cut_err *err) {
    void *p = calloc(n ? n : 1, size);
    if (!p) cut_fail(err, CUT_ENOMEM, "out of memory: %s needs %zu x %zu bytes", what, n, size);
    return p;
}

/* calloc hands out fresh pages without touching them, which aligned_alloc plus memset would not; so align inside a
 * larger calloc, and keep the original pointer in front. */
static void *alloc_at(size_t align, size_t bytes, const char *what, struct cut_err *err) {
    char *raw = bytes < SIZE_MAX - align - CUT_ALIGN ? calloc(1, bytes + align + CUT_ALIGN) : NULL;
    if (!raw) {
        cut_fail(err, CUT_ENOMEM, "out of memory: %s needs %zu bytes", what, bytes);
        return NULL;
    }
    char *p = (char *)cut_round_up((uintptr_t)raw + sizeof(void *), align);
    memcpy(p - sizeof(void *), &raw, sizeof raw);
    return p;
}

void *cut_alloc_aligned(size_t bytes, const char *what, struct cut_err *err) { return alloc_at(CUT_ALIGN, bytes, what, err); }

enum { HUGE_PAGE = 1 << 21 };

/* Where the kernel has no huge pages, or none to spare, the advice is without effect, and so is its failure. */
void cut_prefer_huge(void *p, size_t bytes) {
#ifdef MADV_HUGEPAGE
    if (bytes >= HUGE_PAGE) madvise(p, bytes, MADV_HUGEPAGE);
#else
    (void)p, (void)bytes;
#endif
}

void *cut_alloc_huge(size_t bytes, const char *what, struct cut_err *err) {
    void *p = alloc_at(bytes < HUGE_PAGE ? CUT_ALIGN : HUGE_PAGE, bytes, what, err);
    if (p) cut_prefer_huge(p, bytes);
    return p;
}

void cut_free_aligned(void *p) {
    if (!p) return;
    void *raw;
    memcpy(&raw, (char *)p - sizeof(void *), sizeof raw);
    free(raw);
}

enum cut_status cut_grow(void *items, size_t *cap, size_t n, size_t size, const char *what, struct cut_err *err) {
    if (n < *cap) return CUT_OK;
    size_t want = *cap ? *cap * 2 : 16;
    void *old, *p;
    memcpy(&old, items, sizeof old);
    if (want <= n || want > SIZE_MAX / size || !(p = realloc(old, want * size)))
        return cut_fail(err, CUT_ENOMEM, "out of memory: %s, %zu entries of %zu bytes", what, want, size);
    memcpy(items, &p, sizeof p);
    *cap = want;
    return CUT_OK;
}

struct cut_arena_block { struct cut_arena_block *next; size_t used, size; _Alignas(16) char data[]; };

void *cut_arena_alloc(struct cut_arena *a, size_t bytes) {
    bytes = cut_round_up(bytes ? bytes : 1, 16);
    struct cut_arena_block *b = a->head;
    if (!b || b->size - b->used < bytes) {
        size_t size = bytes > 16384 ? bytes : 16384;
        b = calloc(1, sizeof *b + size);
        if (!b) return NULL;
        b->size = size;
        b->next = a->head;
        a->head = b;
    }
    void *p = b->data + b->used;
    b->used += bytes;
    return p;
}

char *cut_arena_strndup(struct cut_arena *a, const char *s, size_t n) {
    char *p = n < SIZE_MAX - 1 ? cut_arena_alloc(a, n + 1) : NULL;
    if (p) memcpy(p, s, n);
    return p;
}

char *cut_arena_printf(struct cut_arena *a, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *p = n < 0 ? NULL : cut_arena_alloc(a, (size_t)n + 1);
    if (p) vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return p;
}

void cut_arena_done(struct cut_arena *a) {
    while (a->head) {
        struct cut_arena_block *next = a->head->next;
        free(a->head);
        a->head = next;
    }
}
