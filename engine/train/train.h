/* train.h - the inside of a trainer. Internal. */
#ifndef CUT_TRAIN_H
#define CUT_TRAIN_H

#include <stdatomic.h>

#include "engine/base/pool.h"
#include "engine/train/text.h"

enum { CUT_TRAIN_PART = 512 };         /* tokens of a batch that one thread takes at a time; the longest context */

struct cut_trainer {
    struct cut_train_opts o;
    const struct cut_model *model;     /* borrowed */
    struct cut_diff diff;
    struct cut_corpus corpus;
    float *w, *m, *v;                  /* [n_floats] weights and AdamW's two moments */
    int n_parts, n_lanes;
    struct cut_part {                  /* a part of the batch: its documents, and the gradient it gives */
        struct cut_rows rows;
        float *g;
        double loss;
    } *part;
    struct cut_lane *lane;             /* one for each thread */
    int step;                          /* steps made */

    /* of the step under way, for the threads */
    atomic_int next;                   /* the part that is taken next */
    int n_targets;
    double norm;
};

#endif
