/* mem.h - memory for the interface: small blocks that are always there.
 *
 * Model and cache buffers report CUT_ENOMEM (the engine's business). For the few kilobytes of a screen an error path
 * at every call would be noise: these calls put the terminal back first, say what happened, and end the program. */
#ifndef TUI_MEM_H
#define TUI_MEM_H

#include <stddef.h>

void *tui_alloc(size_t n, size_t size);              /* zeroed; free() it */
void *tui_resize(void *p, size_t n, size_t size);    /* what is new is not zeroed */
char *tui_strdup(const char *s);

/* What to do to the terminal before the program dies: set by the terminal that took it over. NULL: nothing. */
void tui_on_fatal(void (*restore)(void));

#endif
