/* perf.h - how fast the model runs and why: what the screen sees of it, and what it asks for.
 *
 * Measuring runs on the worker (work.h) between commands: nothing else uses the model or the processors meanwhile. What is asked
 * for becomes a plan of points, a few seconds of measuring each; the screen gets a new picture after every point. A command, or a
 * look at another view, comes first: the point it interrupted is measured again. */
#ifndef TUI_PERF_H
#define TUI_PERF_H

#include "engine/cutaway.h"

enum tui_perf_op {
    TUI_PERF_STOP,             /* forget the plan; what is measured stays */
    TUI_PERF_ALL,              /* what the next six do, in their order */
    TUI_PERF_PEAKS,            /* what the machine can do at most */
    TUI_PERF_THREADS,          /* the speed with 1, 2, ... threads */
    TUI_PERF_STEPS,            /* a pass with a clock on every step; and the peaks, where they are not known */
    TUI_PERF_CONTEXT,          /* decode behind longer and longer contexts */
    TUI_PERF_BATCH,            /* decode of 1, 2, ... sequences together */
    TUI_PERF_KERNELS,          /* the speed with each tier of kernels, and how far their results are apart */
    TUI_PERF_SAME,             /* are the bytes the same with 1, 2, ... threads, and with other kernels? */
    TUI_PERF_SET,              /* measure this from now on: prefill, threads, tier */
    TUI_PERF_PIN,              /* threads stay on these processors from now on; and measure what that changes */
    TUI_PERF_DIVIDE,           /* threads divide work in another way from now on; and measure what that changes */
    TUI_PERF_LOAD,             /* begin or end a load that competes with what is measured */
    TUI_PERF_SAVE,             /* write all figures to a new file */
    TUI_PERF_COMPARE,          /* text: a file of that kind */
    TUI_PERF_CODE,             /* code: the instructions of a product, counted and disassembled */
};
/* Processors that threads are tied to, thread i to cpu[i % n]; n 0: the system places them. */
struct tui_perf_pin { int n; short cpu[64]; };
enum { TUI_PERF_WHERE = 28 };
/* "0-3,6", cut off where it is long; "" for n 0. */
const char *tui_perf_pin_text(const struct tui_perf_pin *pin, char out[TUI_PERF_WHERE]);

/* Ways to divide work that are not the default, as bits: sums of products, not rows (CUT_REDUCE_SPLIT_K); heads, not KV groups (CUT_ATTN_HEADS). */
enum { TUI_PERF_SPLIT_K = 1, TUI_PERF_BY_HEADS = 2 };
static inline enum cut_reduce tui_perf_reduce(unsigned ways) { return ways & TUI_PERF_SPLIT_K ? CUT_REDUCE_SPLIT_K : CUT_REDUCE_ROWS; }
static inline enum cut_attn_split tui_perf_attn(unsigned ways) { return ways & TUI_PERF_BY_HEADS ? CUT_ATTN_HEADS : CUT_ATTN_GROUPS; }
/* ", split-k", ", heads", both, or "". */
const char *tui_perf_ways(unsigned ways);

/* What competes: with arithmetic on the last processor, on every one, or for memory. */
enum tui_perf_load { TUI_PERF_QUIET, TUI_PERF_LOAD_ONE, TUI_PERF_LOAD_ALL, TUI_PERF_LOAD_MEMORY, TUI_PERF_LOADS };
const char *tui_perf_load_name(enum tui_perf_load l);      /* "arithmetic on one processor" */
enum { TUI_PERF_LOAD_SECONDS = 180 };                      /* after which a load ends by itself, forgotten or not */

/* A product by weights, as one kernel runs it. */
struct tui_perf_kernel {
    int type;                  /* of the weights, an enum cut_type */
    enum cut_tier tier;
    enum cut_repack repack;
    int tokens;                /* at once: 1 or 8 */
};
bool tui_perf_same_kernel(const struct tui_perf_kernel *a, const struct tui_perf_kernel *b);

struct tui_perf_ask {
    enum tui_perf_op op;
    bool quick;                /* as little as can be: for tests, to which numbers mean nothing */
    bool prefill;              /* of TUI_PERF_SET */
    int threads;
    enum cut_tier tier;
    struct tui_perf_pin pin;   /* of TUI_PERF_PIN */
    unsigned ways, mask;       /* of TUI_PERF_DIVIDE: the bits of mask become those of ways */
    enum tui_perf_load load;   /* of TUI_PERF_LOAD */
    struct tui_perf_kernel code;           /* of TUI_PERF_CODE */
};

/* ---- one pass, step by step */

/* What a step of the fused program is for, by the weights and operations in it. */
enum tui_perf_kind { TUI_PERF_QKV, TUI_PERF_ATTENTION, TUI_PERF_ATTN_OUT, TUI_PERF_GATE_UP, TUI_PERF_DOWN, TUI_PERF_OUTPUT,
                     TUI_PERF_NORM, TUI_PERF_REST, TUI_PERF_KINDS };
const char *tui_perf_kind_name(enum tui_perf_kind k);      /* "attn qkv" */
char tui_perf_kind_letter(enum tui_perf_kind k);           /* of its work in a drawing: 'Q' */
enum tui_perf_kind tui_perf_kind_of(const struct cut_step *const *line, int n);

/* A line of the listing that a step makes. */
struct tui_perf_line {
    char name[24];             /* without its layer: "gate" */
    char formula[96], kernel[64];
    int weight;                /* the format of the matrix it multiplies by, an enum cut_type; -1: none */
    int rows, columns;         /* of the matrix */
};
enum { TUI_PERF_LINES = 4 };
struct tui_perf_step {
    char name[40];             /* the lines it makes, without their layer: "gate+up+act" */
    int n_lines;               /* the first of them: */
    struct tui_perf_line line[TUI_PERF_LINES];
    enum tui_perf_kind kind;
    int layer;                 /* -1 outside the blocks */
    int weight;                /* the format of the weights it multiplies by, an enum cut_type; -1: none */
    uint64_t bytes, flops;
    int64_t t0, t1;            /* as struct cut_profile_step */
};
/* The pass with the median time of several, or, beside a load, the slowest: a load strikes now and then. Shared by snapshots. */
struct tui_perf_profile {
    int refs;
    bool prefill, slowest;
    enum cut_tier tier;
    enum cut_repack repack;                /* as the session settled it */
    unsigned ways;
    int threads, n_tokens, n_cells, passes;
    int n_steps, n_layer;
    int64_t wall;              /* ns */
    char where[TUI_PERF_WHERE];            /* processors the threads were tied to; "": none */
    enum tui_perf_load load;
    struct tui_perf_step *step;
    struct cut_span *span;     /* [n_steps][threads] */
};
void tui_perf_profile_free(const struct tui_perf_profile *p);      /* drops one reference; NULL is fine */

/* The pass by kinds of steps, in seconds. Work is the mean over the threads; what a step lasted beyond its work the threads waited
 * for each other, so work and waiting add up to the steps and, but for setting up, to the pass. */
struct tui_perf_sums {
    double work[TUI_PERF_KINDS], barrier;
    double all, wall;          /* of the steps together, of the pass */
};
void tui_perf_sum(struct tui_perf_sums *out, const struct tui_perf_profile *p);

/* Steps of the same name in all layers, as one: a point of the roofline. */
struct tui_perf_op_sum {
    const char *name;          /* the profile's */
    enum tui_perf_kind kind;
    int weight, n;             /* n: how many steps */
    double seconds, bytes, flops;
};
int tui_perf_op_sums(const struct tui_perf_profile *p, struct tui_perf_op_sum *out, int most);

/* ---- points of sweeps */

struct tui_perf_point {
    bool prefill;
    enum cut_tier tier;
    int threads, depth, tokens;
    int seqs;                  /* that decode together */
    unsigned ways;
    char where[TUI_PERF_WHERE];            /* as in a profile; with the load, a part of what the point is */
    enum tui_perf_load load;
    struct cut_sweep_point at;
    double ulps;               /* from the reference kernels' logits; NAN: not known */
};

/* Bytes beside those of the kernels set, on one thread; both sides divide work in the same way. */
struct tui_perf_same { enum cut_tier tier; int threads; struct cut_same at; };

/* ---- the instructions of a kernel */

enum tui_perf_code_kind { TUI_PERF_CODE_MULTIPLIES,     /* multiplies, or multiplies and adds: what the product is made of */
                          TUI_PERF_CODE_READS,          /* only reads memory, or asks for it */
                          TUI_PERF_CODE_OTHER };
struct tui_perf_instruction {
    uint64_t at;               /* as in the file: what the program was loaded at is taken off */
    double times;              /* in one pass of the loop; 0: it stands there, but was never executed */
    enum tui_perf_code_kind kind;
    bool reads;                /* memory: also instructions that multiply may */
    char op[20], args[100];    /* "vpdpbusd", "(%rax){1to16},%zmm1,%zmm2" */
};
/* Counted, and the hot loop as text. Shared by snapshots. */
struct tui_perf_code {
    int refs;
    struct tui_perf_kernel of;
    bool panels;
    char why[280];             /* what could not be done; empty: all could */
    double each;               /* instructions for a weight; NAN: could not be counted. The rest holds only if they were */
    int rows, columns;         /* of the product that was counted */
    double passes, share;      /* of the loop: how often; the part of all instructions that are in it, 0 to 1 */
    char function[80];         /* the name of the function it is in; "": not known */
    char command[1024];        /* what disassembles it */
    int n;                     /* 0: no text */
    struct tui_perf_instruction *instruction;
};
void tui_perf_code_free(const struct tui_perf_code *c);            /* drops one reference; NULL is fine */
/* One pass of its loop: how many instructions, how many multiply, read memory without, and multiply what they read. */
struct tui_perf_code_sum { double all, multiply, load, both; };
struct tui_perf_code_sum tui_perf_code_sum(const struct tui_perf_code *c);

/* ---- two runs beside each other */

enum { TUI_PERF_POINTS = 96, TUI_PERF_RUNS = 16, TUI_PERF_NAME = 112, TUI_PERF_SIDES = 24 };

/* A figure: a name that says all that was set, and what was measured for it. */
struct tui_perf_figure { char name[TUI_PERF_NAME]; int n; double run[TUI_PERF_RUNS]; };
struct tui_perf_saved {
    char name[24], date[24], model[64], type[16], weights[65];     /* weights: their SHA-256 */
    char compiler[64], governor[24], processor[64];
    int n;
    struct tui_perf_figure figure[TUI_PERF_POINTS];
};
/* Figures that both runs have, the later one's medians against the earlier one's. */
struct tui_perf_change { char name[TUI_PERF_NAME]; double before, after, p; int n_before, n_after; bool significant; };
struct tui_perf_diff {
    char before[24], date[24];
    char differs[64];          /* of what else was not the same: "compiler, governor"; empty: nothing */
    int n;
    struct tui_perf_change change[TUI_PERF_POINTS];
};
/* CUT_EUSAGE, by name, for runs of different models and for runs that have no figure in common. */
enum cut_status tui_perf_compare(struct tui_perf_diff *out, const struct tui_perf_saved *before, const struct tui_perf_saved *after,
                                 struct cut_err *err);
enum cut_status tui_perf_read(struct tui_perf_saved *out, const char *path, struct cut_err *err);
/* By a file beside it, renamed when whole. */
enum cut_status tui_perf_write(const struct tui_perf_saved *s, const char *path, struct cut_err *err);
/* Where runs are kept, by XDG_STATE_HOME or HOME; false: neither is set. */
bool tui_perf_folder(char out[4096]);
/* Their names, newest first; returns how many there are. */
int tui_perf_list(char (*out)[24], int most);

/* ---- what is published */

/* A processor this process may use. Those of one core share its units, those of one node its memory. */
struct tui_perf_cpu { short id, core, package, node; int mhz; };      /* mhz: its highest clock; 0, and node -1: not known */
struct tui_perf_machine {
    int cpus, cores;           /* processors this process may use; cores they belong to, 0: not known */
    int n_cpu;                 /* the first 64 of them, */
    struct tui_perf_cpu cpu[64];           /* those of a core beside each other */
    char processor[64], governor[24];      /* empty: cannot be read */
    double load;               /* average of the last minute; negative: cannot be read */
};

/* So many others are running that figures will be noisy. */
bool tui_perf_busy(const struct tui_perf_machine *m);

struct tui_perf {
    int refs;
    bool prefill;              /* what is measured next */
    int threads;
    enum cut_tier tier;
    unsigned ways;
    struct tui_perf_pin pin;
    enum tui_perf_load load;
    double load_ends;          /* by cut_clock */

    char model[64], type[16];
    struct cut_config config;
    double bits;               /* of a weight, on average */
    uint64_t cell_bytes;       /* of keys and values, for a position */
    int decode_tokens, prefill_tokens;     /* of a round */
    struct tui_perf_machine machine;

    struct cut_peaks peaks;    /* n 0: not measured. Kept on disk for as long as the machine runs */
    char peaks_date[24];       /* when: "2026-01-31 12:34" */
    bool peaks_busy;           /* others were running then: what is measured next measures them again */
    uint64_t peaks_bytes;      /* the memory that was read: as much as a pass reads, so that caches help it as they help the model */
    int n_points;
    struct tui_perf_point point[TUI_PERF_POINTS];
    const struct tui_perf_profile *profile[2];     /* of decode, of prefill; NULL: none yet */
    bool counted[CUT_TIER_COUNT];
    double instructions[CUT_TIER_COUNT];   /* for a weight of decode in the main format, once counted; NAN: cannot be */
    int n_same, same_tokens;
    enum cut_tier same_tier;   /* the bytes of these kernels, on one thread, are what the others are held against */
    unsigned same_ways;
    struct tui_perf_same same[TUI_PERF_SIDES];
    bool has_diff;
    struct tui_perf_diff diff;
    const struct tui_perf_code *code;      /* the last that was asked for; NULL: none yet */

    char job[160];             /* the point under way; empty: nothing is measured */
    double job_part;           /* of the point, 0 to 1: */
    int job_done, job_all;     /* so many of so many tokens; all 0: they are not what it consists of */
    double part, left, rate;   /* of the plan, 0 to 1; seconds, negative: not known yet; tokens/s of the point, 0: not known */
};

/* The point measured for these and one sequence, where threads are tied, what they divide and what competes being as set now;
 * NULL: there is none. */
const struct tui_perf_point *tui_perf_find(const struct tui_perf *p, bool prefill, enum cut_tier tier, int threads, int depth);
/* The same for so many sequences that decode together, with the threads and kernels set: 1, 2, 4 .. TUI_PERF_MOST_SEQS are measured. */
enum { TUI_PERF_MOST_SEQS = 16 };
const struct tui_perf_point *tui_perf_find_batch(const struct tui_perf *p, int seqs);
/* The same point as it is with work divided by default, threads free and nothing competing; NULL: not measured. */
const struct tui_perf_point *tui_perf_undisturbed(const struct tui_perf *p, const struct tui_perf_point *q);
/* The name of its figure: "decode, 2 threads, avx2", and what was divided, where it was tied and what competed. */
const char *tui_perf_point_name(const struct tui_perf_point *p, char out[TUI_PERF_NAME]);

/* Which peak a step is held against: quantized weights are multiplied as bytes, bf16 as such, all else as floats. */
enum cut_peak_kind tui_perf_peak_kind(int weight);
/* The highest rates known: of reading, with any number of threads; of operations, with all threads and the kernels' instructions (or,
 * for plain C, the best there are). 0: not measured. */
double tui_perf_read_peak(const struct tui_perf *p);
double tui_perf_op_peak(const struct tui_perf *p, enum cut_peak_kind kind);
/* The format most of the weights are in. */
int tui_perf_main_type(const struct tui_perf *p);

/* Tokens/s the machine's peak allows: decode reads `bytes` for each token, prefill calculates. 0: not known. */
double tui_perf_roof(const struct tui_perf *p);
/* Decode behind a context: the time with none, and for each cell its bytes at the rate then, or its operations (seconds a cell, 0 where
 * no peak is known), whichever takes longer. */
double tui_perf_predict(double tps0, double bytes0, double cell_bytes, double cell_seconds, double cells);
/* Tokens/s of n sequences that decode together, from the point of one: the weights are read once for all and multiplied for each,
 * whichever takes longer (the rate of reading is that of the one; the rate of operations their peak, or for plain C what it had then); and
 * each reads its own K and V. 0: not known. */
double tui_perf_predict_batch(const struct tui_perf *p, const struct tui_perf_point *one, int n);
/* The seconds a cell's operations take at the float peak: 4 for each of q, in the product with K and in the sum over V. */
double tui_perf_cell_seconds(const struct tui_perf *p);

/* The best number of threads of a sweep and, in words, why; *fit is the law that says so. False: too few points. */
bool tui_perf_best(const struct tui_perf *p, struct cut_usl *fit, int *best, char why[160]);
/* Are the logits the same bytes with every number of threads? 1: yes, 0: no (*differs is a count that has others), -1: one point. */
int tui_perf_same_bytes(const struct tui_perf *p, int *differs);

#endif
