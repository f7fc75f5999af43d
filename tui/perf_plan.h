/* perf_plan.h - the plan, between who makes it (perf.c) and who carries it out (perf_measure.c). */
#ifndef TUI_PERF_PLAN_H
#define TUI_PERF_PLAN_H

#include "tui/perf_work.h"

enum { TUI_PERF_ITEMS = 64 };

enum tui_perf_item_kind { ITEM_PEAKS, ITEM_POINT, ITEM_STEPS, ITEM_COUNT, ITEM_SAME, ITEM_LOAD, ITEM_HASH, ITEM_SAVE, ITEM_COMPARE, ITEM_CODE };
struct tui_perf_item {
    enum tui_perf_item_kind kind;
    bool prefill, quick, logits;  /* logits: of a ladder, compare with the reference's */
    enum cut_tier tier;
    int threads, depth, seqs, tokens, rounds;
    unsigned ways;
    struct tui_perf_pin pin;
    enum tui_perf_load load;           /* of ITEM_LOAD: begin it */
    struct tui_perf_kernel code;       /* of ITEM_CODE */
    double cost;                       /* about how long it takes, in any unit */
    char path[4096];                   /* of a comparison */
};

struct tui_perf_work {
    struct tui_perf_host host;
    struct tui_perf now;               /* what is published, less the job */
    struct tui_perf_item *item;        /* [TUI_PERF_ITEMS]; item[0] is measured next */
    int n_items, n_new;                /* n_new: added by what is being asked for */
    double cost_done, cost_all, since; /* of this plan */
    bool stopped;
    struct tui_perf_noise *noise;      /* the load under way; NULL: none */
    float *ref[2], *other;             /* logits of the reference kernels, by mode; room for others' */
    char hash[65];                     /* of the weights; empty: not known */
    /* of the slice under way */
    double item_since, part;
    char what[64];
};

/* Of memory, to measure how fast it is read: as much as a pass reads. */
uint64_t tui_perf_bytes_to_read(const struct tui_perf *n);
/* The load, if there is one, ends. */
void tui_perf_end_noise(struct tui_perf_work *w);
/* A point, as the engine measures it. */
struct cut_sweep_opts tui_perf_sweep_of(const struct tui_perf_item *it);

#endif
