/* instructions.c - the instructions of a kernel, counted one by one, each where it stands; and the loop that most of them are in.
 *
 * A processor's own counter would do for their number, but few virtual machines and containers let a program read it. So a child process runs
 * the product under ptrace, a single instruction at a time, and this process notes the program counter at every stop: the same numbers on a
 * busy machine as on an idle one, at some ten microseconds each. Two products, one of twice the rows of the other: in the difference, what
 * calls and starts take cancels out. */
#include <math.h>

#include "engine/kernels/kern.h"
#include "engine/kernels/panel.h"
#include "engine/tools/loop.h"
#include "engine/tools/product.h"

enum { MOST_STEPS = 400000, MOST_TOKENS = 8 };

#if defined __linux__ && (defined __x86_64__ || defined __aarch64__)
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- looking on while a child multiplies */

/* The program counters of a run, in the order of execution; and who waits for it, `before` of `all` steps being done. */
struct run {
    uint64_t *pc;              /* [MOST_STEPS] */
    long n;
    double before, all;        /* all: 0 while it is not known */
    cut_progress_fn progress;
    void *user;
};

/* The child: wait for the parent to look, multiply, leave. Between fork and _exit it allocates nothing and takes no lock. */
static void multiply(const struct cut_product *p) {
    if (!ptrace(PTRACE_TRACEME, 0, NULL, NULL) && !raise(SIGSTOP)) p->fn(&p->mm, 0, p->rows);
    _exit(0);
}

static bool stopped(pid_t child, int *status) {
    pid_t got;
    do got = waitpid(child, status, __WALL);
    while (got < 0 && errno == EINTR);
    return got == child && WIFSTOPPED(*status);
}

/* Of the instruction that comes next. */
static bool program_counter(pid_t child, uint64_t *pc) {
    struct user_regs_struct r;
    struct iovec v = { &r, sizeof r };
    if (ptrace(PTRACE_GETREGSET, child, (void *)NT_PRSTATUS, &v)) return false;
#ifdef __x86_64__
    *pc = r.rip;
#else
    *pc = r.pc;
#endif
    return true;
}

static bool tell(const struct run *r) {
    enum { OFTEN = 2048 };
    return !r->progress || r->n % OFTEN ||
           r->progress(r->user, r->all > 0 ? fmin(1, (r->before + (double)r->n) / r->all) : 0, "one instruction after the other");
}

/* The child from its first stop to its end. */
static enum cut_status follow(const struct cut_product *p, struct run *r, struct cut_err *err) {
    int status;
    enum cut_status st = CUT_OK;
    pid_t child = fork();
    if (child < 0) return cut_fail(err, CUT_ESYSTEM, "a process to look into cannot be made: %s", strerror(errno));
    if (!child) multiply(p);
    bool there = stopped(child, &status);
    if (!there || ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_EXITKILL))
        st = cut_fail(err, CUT_ESYSTEM, "this system lets no process look into its child (ptrace)");
    for (r->n = 0; there && !st;) {
        if (r->n == MOST_STEPS) st = cut_fail(err, CUT_EUSAGE, "more than %d instructions: too many to count one by one", MOST_STEPS);
        else if (!tell(r)) st = cut_fail(err, CUT_ECANCEL, "stopped");
        else if (!program_counter(child, &r->pc[r->n]) || ptrace(PTRACE_SINGLESTEP, child, NULL, NULL))
            st = cut_fail(err, CUT_ESYSTEM, "this system lets no process go through its child step by step (ptrace): %s", strerror(errno));
        else if ((there = stopped(child, &status))) r->n += WSTOPSIG(status) == SIGTRAP;      /* another signal: dropped */
    }
    if (!st && !(WIFEXITED(status) && r->n)) st = cut_fail(err, CUT_ESYSTEM, "the process that multiplied ended early");
    if (!there) return st;
    kill(child, SIGKILL);
    while (waitpid(child, &status, __WALL) < 0 && errno == EINTR) {}
    return st;
}

/* ---- two runs, and what the longer one has more */

static int rising(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* How often the address at pc[*i] stands there, all being sorted; *i moves behind it. */
static int64_t run_length(const struct run *r, long *i, uint64_t at) {
    long from = *i;
    while (*i < r->n && r->pc[*i] == at) ++*i;
    return *i - from;
}

static enum cut_status subtract(struct cut_instructions *out, const struct run *twice, const struct run *once, struct cut_err *err) {
    long a = 0, b = 0, n = 0;
    qsort(twice->pc, (size_t)twice->n, sizeof *twice->pc, rising);
    qsort(once->pc, (size_t)once->n, sizeof *once->pc, rising);
    for (long i = 0; i < twice->n; i++) n += !i || twice->pc[i] != twice->pc[i - 1];
    out->at = cut_calloc((size_t)n + 1, sizeof *out->at, "addresses", err);
    if (!out->at) return CUT_ENOMEM;
    while (a < twice->n) {
        uint64_t at = twice->pc[a];
        while (b < once->n && once->pc[b] < at) b++;
        int64_t times = run_length(twice, &a, at) - run_length(once, &b, at);
        if (times) out->at[out->n++] = (struct cut_instruction){ at, times };
        out->total += times;
    }
    return out->total > 0 ? CUT_OK : cut_fail(err, CUT_ESYSTEM, "twice the rows took no more instructions");
}

static enum cut_status count(struct cut_instructions *out, const struct cut_product *p, cut_progress_fn progress, void *user, struct cut_err *err) {
    struct run once = { .progress = progress, .user = user }, twice = once;
    struct cut_product more = *p;
    more.rows *= 2;
    once.pc = cut_calloc(MOST_STEPS, sizeof *once.pc, "program counters", err);
    twice.pc = cut_calloc(MOST_STEPS, sizeof *twice.pc, "program counters", err);
    enum cut_status st = once.pc && twice.pc ? follow(p, &once, err) : CUT_ENOMEM;
    twice.before = (double)once.n;
    twice.all = 3.0 * (double)once.n;
    if (!st) st = follow(&more, &twice, err);
    if (!st) st = subtract(out, &twice, &once, err);
    if (!st) cut_hot_loop(out->at, out->n, &out->loop, &out->n_loop, &out->passes);
    free(once.pc);
    free(twice.pc);
    return st;
}

/* ---- the product */

/* Plain C does for every block the same; the others have what they do once a row, which long rows keep small. */
static int columns_for(enum cut_tier tier, int tokens) { return tier == CUT_TIER_REF ? 256 : tokens > 1 ? 1024 : 2048; }

enum cut_status cut_instructions(struct cut_instructions *out, const struct cut_instructions_opts *o, cut_progress_fn progress, void *user,
                                 struct cut_err *err) {
    const enum cut_type type = o->type;
    struct cut_kernels kern;
    struct cut_instructions got = { .type = type, .tier = o->tier, .tokens = o->tokens };
    if (!cut_type_info(type) || !cut_tier_available(o->tier) || o->tokens < 1 || o->tokens > MOST_TOKENS)
        return cut_fail(err, CUT_EUSAGE, "format %d, kernels %d, %d tokens: there is no such product here", (int)type, (int)o->tier, o->tokens);
    cut_kernels_init(&kern, o->tier);
    const int k = columns_for(o->tier, o->tokens);
    const bool panels = kern.mm_panel[type] && cut_panel_wanted(o->repack, type);
    const int rows = o->tier == CUT_TIER_REF ? 1 : panels && o->tokens == 1 ? 2 * CUT_PANEL : CUT_PANEL;      /* one token: two panels at once */
    struct cut_product p = { .rows = 0 };
    uint64_t seed = 1;
    float *w = cut_alloc_aligned(((size_t)2 * (size_t)rows + MOST_TOKENS) * (size_t)k * sizeof *w, "numbers to count with", err);
    float *y = cut_alloc_aligned((size_t)2 * (size_t)rows * MOST_TOKENS * sizeof *y, "results to count with", err);
    float *x = w + (size_t)2 * (size_t)rows * (size_t)k;
    for (int i = 0; w && i < (2 * rows + MOST_TOKENS) * k; i++) w[i] = 2 * cut_rng_float(&seed) - 1;
    enum cut_status st = w && y ? cut_product_init(&p, &kern, type, o->repack, w, 2 * rows, k, x, o->tokens, y, err) : CUT_ENOMEM;
    got.tier = kern.tier;
    got.panels = p.panels;
    got.rows = p.rows = rows;
    got.columns = k;
    got.weights = (uint64_t)rows * (uint64_t)k;
    if (!st) st = count(&got, &p, progress, user, err);
    cut_product_done(&p);
    cut_free_aligned(y);
    cut_free_aligned(w);
    if (st) cut_instructions_done(&got);
    else *out = got;
    return st;
}
#else
enum cut_status cut_instructions(struct cut_instructions *out, const struct cut_instructions_opts *o, cut_progress_fn progress, void *user,
                                 struct cut_err *err) {
    (void)out, (void)o, (void)progress, (void)user;
    return cut_fail(err, CUT_ESYSTEM, "instructions are counted on Linux alone, on x86-64 and aarch64");
}
#endif

void cut_instructions_done(struct cut_instructions *i) {
    free(i->at);
    *i = (struct cut_instructions){ 0 };
}

double cut_instructions_per_weight(enum cut_type type, enum cut_tier tier) {
    struct cut_instructions i;
    struct cut_instructions_opts o = { .type = type, .tier = tier, .tokens = 1 };
    if (cut_instructions(&i, &o, NULL, NULL, NULL)) return NAN;
    double each = (double)i.total / (double)i.weights;
    cut_instructions_done(&i);
    return each;
}
