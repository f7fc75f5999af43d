/* product.h - one product by weights, set up as a session would run it: for those that time and count products by themselves. Internal. */
#ifndef CUT_PRODUCT_H
#define CUT_PRODUCT_H

#include "engine/kernels/kern.h"

struct cut_product {
    struct cut_mm mm;          /* y = W x; mm.t may be made smaller */
    cut_mm_fn fn;              /* fn(&mm, 0, rows) */
    const char *name;          /* what runs: "avx512 vnni"; NULL: the tier's own */
    int rows;
    bool panels;
    void *weights, *repacked, *tokens, *scratch;       /* what mm points to; owned */
};

/* W: `rows` x `columns` floats, encoded here as `type` (zeros where that has no encoder), and repacked as a session of this `repack` would.
 * x: `tokens` x `columns` floats, rounded as the product wants them. y: tokens x rows, borrowed. CUT_EUSAGE: there is no such product. */
enum cut_status cut_product_init(struct cut_product *p, const struct cut_kernels *kern, enum cut_type type, enum cut_repack repack, const float *w,
                                 int rows, int columns, const float *x, int tokens, float *y, struct cut_err *err);
void cut_product_done(struct cut_product *p);          /* a zeroed one is fine */

#endif
