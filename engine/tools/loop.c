/* loop.c - from counts of addresses to the loop they are of.
 *
 * No jump is read: counts are enough. All of a loop's body runs equally often, and what it encloses more often; what it lies in less often. So
 *
 *   times        100 |             ....                  for a level of counts, from the highest down, take the runs of neighbours that
 *                 10 |      .......    .......           are all at or above it: here the innermost loop, the one around it, the function.
 *                  1 | .....                  ....       The first level with a run that holds half of all instructions gives the loop.
 *                       addresses ->
 *
 * A gap of a few instructions that never ran (a branch not taken) does not end a run; a long one does: another function begins. */
#include "engine/tools/loop.h"

enum { GAP = 256 };            /* bytes: some forty instructions */

static int falling(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* The run with the largest sum among those at or above a level; returns the sum. */
static int64_t richest(const struct cut_instruction *at, int n, int64_t level, int *first, int *many) {
    int64_t most = 0, sum = 0;
    for (int i = 0, from = 0; i < n; i++) {
        if (i && at[i].at - at[i - 1].at > GAP) sum = 0, from = i;
        if (at[i].times < level) {
            sum = 0, from = i + 1;
            continue;
        }
        sum += at[i].times;
        if (sum <= most) continue;
        most = sum;
        *first = from;
        *many = i + 1 - from;
    }
    return most;
}

void cut_hot_loop(const struct cut_instruction *at, int n, int *first, int *many, int64_t *passes) {
    int64_t total = 0, *level = cut_calloc((size_t)n + 1, sizeof *level, "counts", NULL);
    *first = *many = 0;
    *passes = 0;
    if (!level) return;
    for (int i = 0; i < n; i++) total += level[i] = at[i].times;
    qsort(level, (size_t)n, sizeof *level, falling);
    for (int i = 0; i < n; i++)
        if ((!i || level[i] != level[i - 1]) && 2 * richest(at, n, level[i], first, many) >= total) break;
    for (int i = 0; i < *many; i++) *passes = i && *passes < at[*first + i].times ? *passes : at[*first + i].times;
    free(level);
}
