/* instructions.c - how many instructions a kernel spends on a weight, counted one by one.
 *
 * A processor's own counter would do, but few virtual machines and containers let a program read it. So a child process runs the
 * product under ptrace, a single instruction at a time, and this process counts the stops: the same number on a busy machine as on an
 * idle one, at some ten microseconds each. Two products, one of twice the rows of the other: in the difference, what calls and starts
 * take cancels out. */
#include <math.h>

#include "engine/kernels/kern.h"
#include "engine/kernels/panel.h"

enum { MOST_STEPS = 400000 };

#ifdef __linux__
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

struct product { cut_mm_fn fn; struct cut_mm mm; int rows; };

/* The child: wait for the parent to look, multiply, leave. Between fork and _exit it allocates nothing and takes no lock. */
static void multiply(const struct product *p) {
    if (!ptrace(PTRACE_TRACEME, 0, NULL, NULL) && !raise(SIGSTOP)) p->fn(&p->mm, 0, p->rows);
    _exit(0);
}

static bool stopped(pid_t child, int *status) {
    pid_t got;
    do got = waitpid(child, status, __WALL);
    while (got < 0 && errno == EINTR);
    return got == child && WIFSTOPPED(*status);
}

/* Instructions of the child from its first stop to its end; -1: the system does not let us look, or there are too many. */
static long count(const struct product *p) {
    int status;
    long n = 0;
    pid_t child = fork();
    if (child < 0) return -1;
    if (!child) multiply(p);
    bool there = stopped(child, &status);
    if (there && ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_EXITKILL)) n = -1;
    while (there && n >= 0) {
        if (n == MOST_STEPS || ptrace(PTRACE_SINGLESTEP, child, NULL, NULL)) n = -1;
        else if ((there = stopped(child, &status))) n += WSTOPSIG(status) == SIGTRAP;      /* another signal: dropped */
    }
    if (n >= 0) return WIFEXITED(status) && n ? n : -1;
    kill(child, SIGKILL);
    while (waitpid(child, &status, __WALL) < 0 && errno == EINTR) {}
    return -1;
}

/* Random weights, where their format has an encoder; zeros take the same path elsewhere. */
static void fill(const struct product *p, enum cut_type type, void *weights, void *tokens, float *x, const struct cut_kernels *kern) {
    uint64_t seed = 1;
    int k = p->mm.k;
    for (int i = 0; i < k; i++) x[i] = 2 * cut_rng_float(&seed) - 1;
    for (int r = 0; r < 2 * p->rows; r++) cut_encode(type, x, (char *)weights + (size_t)r * p->mm.w_stride, k);
    if (kern->mm_q8[type]) kern->quantize_q8(tokens, x, k, cut_q8_block(type));
    else memcpy(tokens, x, (size_t)k * sizeof *x);
}

/* The weights repacked, where sessions would. */
static void repack(struct product *p, void *panels, const struct cut_kernels *kern) {
    const enum cut_type type = p->mm.type;
    size_t bytes = cut_panel_bytes(type, (uint64_t)p->mm.k);
    for (int r = 0; r < 2 * p->rows; r += CUT_PANEL)
        kern->pack[type]((const char *)p->mm.w + (size_t)r * p->mm.w_stride, p->mm.w_stride, CUT_PANEL, p->mm.k,
                         (char *)panels + (size_t)(r / CUT_PANEL) * bytes);
    p->fn = kern->mm_panel[type];
    p->mm.w = panels;
    p->mm.w_stride = bytes;
}

double cut_instructions_per_weight(enum cut_type type, enum cut_tier tier) {
    const struct cut_type_info *info = cut_type_info(type);
    struct cut_kernels kern;
    if (!info || !cut_tier_available(tier)) return NAN;
    cut_kernels_init(&kern, tier);
    /* Plain C does for every block the same; the others have what they do once a row, which long rows keep small. */
    int k = tier == CUT_TIER_REF ? 256 : 2048;
    cut_mm_fn rows = kern.mm_q8[type] ? kern.mm_q8[type] : type == CUT_BF16 ? kern.mm_bf16 : kern.mm_f32[type];
    struct product p = { .fn = rows, .rows = tier == CUT_TIER_REF ? 1 : CUT_PANEL };
    if (!p.fn) return NAN;
    size_t stride = (size_t)(k / info->block * info->bytes);
    void *weights = cut_alloc_aligned(2 * (size_t)p.rows * stride, "weights to count", NULL);
    void *panels = cut_alloc_aligned(2 * cut_panel_bytes(type, (uint64_t)k) + 1, "weights to count", NULL);
    void *tokens = cut_alloc_aligned((size_t)cut_max((int)cut_q8_bytes(k), k * (int)sizeof(float)), "a token to count", NULL);
    void *scratch = cut_alloc_aligned(kern.mm_scratch(k), "scratch to count", NULL);
    float *x = cut_alloc_aligned((size_t)(k + 2 * p.rows) * sizeof *x, "floats to count", NULL);
    double each = NAN;
    if (weights && panels && tokens && scratch && x) {
        p.mm = (struct cut_mm){ .type = type, .w = weights, .w_stride = stride, .k = k, .x = tokens, .x_stride = 0, .t = 1, .y = x + k,
                                .y_stride = 2 * (size_t)p.rows, .scratch = scratch };
        fill(&p, type, weights, tokens, x, &kern);
        if (kern.mm_panel[type] && type != CUT_Q8_0) repack(&p, panels, &kern);
        long once = count(&p);
        struct product twice = p;
        twice.rows *= 2;
        long both = once < 0 ? -1 : count(&twice);
        if (both > once) each = (double)(both - once) / (p.rows * k);
    }
    cut_free_aligned(x);
    cut_free_aligned(scratch);
    cut_free_aligned(tokens);
    cut_free_aligned(panels);
    cut_free_aligned(weights);
    return each;
}
#else
double cut_instructions_per_weight(enum cut_type type, enum cut_tier tier) {
    (void)type, (void)tier;
    return NAN;
}
#endif
