/* imatrix.h - the inside of cut_imatrix, for those who fill it. Internal. */
#ifndef CUT_IMATRIX_H
#define CUT_IMATRIX_H

#include "engine/base/base.h"

struct cut_imatrix {
    struct cut_arena arena;
    struct cut_imatrix_info info;
    struct cut_imatrix_entry *entry;   /* [n_entries], by name once finished */
    size_t cap;
};

enum cut_status cut_imatrix_new(struct cut_imatrix **out, struct cut_err *err);
/* A new entry, sums and counts zero, to be filled: sum2 [n_mat][n], counts [n_mat]. */
enum cut_status cut_imatrix_add(struct cut_imatrix *m, const char *name, size_t len, int n, int n_mat, float **sum2, float **counts,
                                struct cut_err *err);
/* Sort, check and compute the means. file is for messages. */
enum cut_status cut_imatrix_finish(struct cut_imatrix *m, const char *file, struct cut_err *err);

#endif
