/* loop.h - the loop in which most of a program's instructions were executed. Internal to the jobs. */
#ifndef CUT_LOOP_H
#define CUT_LOOP_H

#include "engine/base/base.h"

/* Of n addresses, rising, the run [*first, *first + *many) that struct cut_instructions describes; *passes is the lowest count in it. */
void cut_hot_loop(const struct cut_instruction *at, int n, int *first, int *many, int64_t *passes);

#endif
