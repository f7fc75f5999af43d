/* mem.c - checked allocation for the interface. */
#include "tui/screen/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void (*restore_terminal)(void);

void tui_on_fatal(void (*restore)(void)) { restore_terminal = restore; }

static void *checked(void *p) {
    if (p) return p;
    if (restore_terminal) restore_terminal();
    fputs("cutaway: out of memory for the screen\n", stderr);
    _Exit(3);
}

void *tui_alloc(size_t n, size_t size) { return checked(calloc(n ? n : 1, size ? size : 1)); }

void *tui_resize(void *p, size_t n, size_t size) {
    if (size && n > SIZE_MAX / size) return checked(NULL);
    return checked(realloc(p, n && size ? n * size : 1));
}

char *tui_strdup(const char *s) {
    size_t n = strlen(s) + 1;
    return memcpy(tui_alloc(n, 1), s, n);
}
