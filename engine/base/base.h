/* base.h - what every part of the engine stands on: checked allocation, arenas, mapped files. Internal. */
#ifndef CUT_BASE_H
#define CUT_BASE_H

#include <stdlib.h>
#include <string.h>

#include "engine/cutaway.h"

#define CUT_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CUT_ALIGN 64           /* bytes: a cache line, and the widest vector */

static inline size_t cut_round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }
static inline int cut_min(int a, int b) { return a < b ? a : b; }
static inline int cut_max(int a, int b) { return a > b ? a : b; }

/* Bytes that programs may still ask for without others being driven out; UINT64_MAX where the system does not say. */
uint64_t cut_memory_available(void);
/* The part of it that control groups decide: those named in the file `groups`, under the folder `mount` (memory.c). */
uint64_t cut_memory_of_groups(const char *groups, const char *mount);
/* calloc with an error that names what the memory was for. n * size is checked for overflow. */
void *cut_calloc(size_t n, size_t size, const char *what, struct cut_err *err);
/* Zeroed memory aligned to CUT_ALIGN. Large blocks come from fresh pages and cost nothing until touched. */
void *cut_alloc_aligned(size_t bytes, const char *what, struct cut_err *err);
/* Ask for pages of 2 MiB behind this memory, which begins a page. Small blocks are left alone. */
void cut_prefer_huge(void *p, size_t bytes);
/* cut_alloc_aligned, in pages of 2 MiB where the system has them: for what is read whole and often, since far fewer page-table entries then
 * stand for it. A page is real, all of it, from its first byte written: a cost where things are filled in part. */
void *cut_alloc_huge(size_t bytes, const char *what, struct cut_err *err);
void cut_free_aligned(void *p);       /* of either; NULL is fine */
/* Grow *items (of `size` bytes each) so that n + 1 fit; amortised doubling. *items and *cap are untouched on failure. */
enum cut_status cut_grow(void *items, size_t *cap, size_t n, size_t size, const char *what, struct cut_err *err);

/* An arena: many small allocations, freed together. */
struct cut_arena { struct cut_arena_block *head; };
void *cut_arena_alloc(struct cut_arena *a, size_t bytes);                    /* zeroed, 16-byte aligned; NULL: no memory */
char *cut_arena_strndup(struct cut_arena *a, const char *s, size_t n);
char *cut_arena_printf(struct cut_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cut_arena_done(struct cut_arena *a);

/* A file in memory, mapped or read. */
struct cut_file { const uint8_t *data; size_t size; bool mapped; };
enum cut_status cut_file_open(struct cut_file *out, const char *path, bool no_mmap, struct cut_err *err);
/* Part of a mapped file that nobody is about to read: its pages leave this process's memory, and come back when they are read. */
void cut_file_let_go(const void *data, size_t bytes);
void cut_file_close(struct cut_file *f);
/* Is it text, UTF-8 without zeros? If not: CUT_EFILE with the offending byte. */
enum cut_status cut_file_check_text(const struct cut_file *f, const char *path, struct cut_err *err);

/* The file name without its folders, for messages. */
const char *cut_basename(const char *path);

/* Does the name match a pattern in which * stands for any run of characters? */
bool cut_glob(const char *pattern, const char *name);

/* Random bits: splitmix64 (Steele, Lea and Flood 2014). */
static inline uint64_t cut_rng_next(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}
/* In [0, 1), from the top 24 bits. */
static inline float cut_rng_float(uint64_t *state) { return (float)(cut_rng_next(state) >> 40) * 0x1p-24f; }

#endif
