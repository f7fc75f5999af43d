/* peaks_none.c - processors we have no loops for: nothing to hold kernels against but the bandwidth. */
#if !defined(__x86_64__) && !defined(__aarch64__)
#include "engine/kernels/peaks.h"

int cut_peak_loops(struct cut_peak_loop *out, int max) { (void)out, (void)max; return 0; }

void cut_peak_read(const void *block, size_t bytes) {
    const volatile uint64_t *p = block;
    for (size_t i = 0; i < bytes / 8; i++) (void)p[i];
}
#else
typedef int cut_peaks_are_elsewhere;           /* C wants a file to hold something */
#endif
