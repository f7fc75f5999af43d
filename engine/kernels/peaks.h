/* peaks.h - inner loops that do nothing but keep one unit of the processor busy: what the kernels are held against. Internal.
 *
 * The loops are assembly, because the number wanted is the machine's and not a compiler's: a register move or a spill
 * in so short a loop halves it. Each keeps a dozen sums that do not wait for each other, enough to cover the latency of a
 * multiply-add (4 or 5 cycles) on two units. The operands are zeros: no processor we know hurries for them. */
#ifndef CUT_PEAKS_H
#define CUT_PEAKS_H

#include "engine/base/base.h"

struct cut_peak_loop {
    enum cut_peak_kind kind;
    enum cut_tier tier;
    const char *instruction;
    double ops;                                /* multiplications and additions in a round */
    void (*run)(uint64_t rounds);
};
/* The loops this processor can run, at most max of them, slowest tier first. Returns how many. */
int cut_peak_loops(struct cut_peak_loop *out, int max);
/* Read a block (a multiple of 512 bytes, aligned to CUT_ALIGN) once, from its start to its end. */
void cut_peak_read(const void *block, size_t bytes);

#endif
