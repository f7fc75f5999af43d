/* ops.h - what the demonstrations of operations share. Internal. */
#ifndef CUT_OPS_H
#define CUT_OPS_H

#include <math.h>

#include "engine/base/pool.h"
#include "engine/kernels/kern.h"

struct cut_ops {
    const struct cut_ops_opts *o;
    struct cut_kernels ref, fast;      /* plain C, and the tier that was asked for */
    const char *demo;
    cut_ops_fn fn;
    void *user;
    struct cut_err *err;
    uint64_t seed;
};
/* A block of n floats, random in [-1, 1); free with cut_free_aligned. NULL: no memory. */
float *cut_ops_floats(struct cut_ops *x, size_t n);
/* Run `work` often enough for the clock, and report it: `what` it was, and the flops and bytes of one run. got and want (NULL: none) are
 * n results and what they should be. */
typedef void (*cut_ops_work)(void *arg);
struct cut_ops_case { double flops, bytes; const float *got, *want; size_t n; const char *note; };
enum cut_status cut_ops_time(struct cut_ops *x, cut_ops_work work, void *arg, const struct cut_ops_case *c, const char *what, ...)
    __attribute__((format(printf, 5, 6)));
/* Report something that was counted, not timed. */
enum cut_status cut_ops_count(struct cut_ops *x, int count, const char *note, const char *what, ...) __attribute__((format(printf, 4, 5)));

enum cut_status cut_ops_matmul(struct cut_ops *x);
enum cut_status cut_ops_norm(struct cut_ops *x);
enum cut_status cut_ops_elementwise(struct cut_ops *x);
enum cut_status cut_ops_attention(struct cut_ops *x);
enum cut_status cut_ops_types(struct cut_ops *x);
enum cut_status cut_ops_graph(struct cut_ops *x);

#endif
