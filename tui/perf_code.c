/* perf_code.c - the instructions of a kernel: counted by the engine, named by objdump, sorted by what they do.
 *
 * The text is objdump's own, so that what is learnt here serves elsewhere; its command stands below it. The counts are ours. They meet by
 * address: what an instruction is executed at, less what the program was loaded at, is what the file, and so objdump, says. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/perf_work.h"
#include "tui/screen/mem.h"

enum { MOST_INSTRUCTIONS = 4000, LONGEST = 15 };       /* LONGEST: bytes of an instruction, on any processor we know */
#define PATIENCE 20.0                                  /* seconds that objdump gets */

bool tui_perf_same_kernel(const struct tui_perf_kernel *a, const struct tui_perf_kernel *b) {
    return a->type == b->type && a->tier == b->tier && a->repack == b->repack && a->tokens == b->tokens;
}

void tui_perf_code_free(const struct tui_perf_code *c) {
    struct tui_perf_code *mine = (struct tui_perf_code *)c;
    if (!c || __atomic_sub_fetch(&mine->refs, 1, __ATOMIC_ACQ_REL)) return;
    free(mine->instruction);
    free(mine);
}

/* ---- what an instruction does, by its name and operands */

static bool begins_with_one_of(const char *op, const char *const *names) {
    for (; *names; names++)
        if (!strncmp(op, *names, strlen(*names))) return true;
    return false;
}

/* Products, fused or not, of floats and of integers: x86-64, then aarch64. */
static bool multiplies(const char *op) {
    static const char *const x86[] = { "vpdp", "vdpbf16", "vfmadd", "vfmsub", "vfnmadd", "vfnmsub", "vpmadd", "pmadd", "vpmul", "pmul", "vmul",
                                       "mulss", "mulsd", "mulps", "mulpd", "imul", "mul ", NULL };
    static const char *const arm[] = { "sdot", "udot", "usdot", "smmla", "ummla", "usmmla", "bfdot", "bfmmla", "bfmlal", "fmla", "fmls", "fmul",
                                       "fmadd", "fmsub", "fnmadd", "fnmsub", "smlal", "umlal", "smull", "umull", "mla", "mls", "madd", "msub",
                                       "mul", "smaddl", "umaddl", NULL };
    return begins_with_one_of(op, x86) || begins_with_one_of(op, arm);
}

/* x86-64 in the AT&T way: an operand in parentheses is memory; it is read unless it is the last, which is where results go. aarch64 has
 * instructions of their own for it. */
static bool reads_memory(const char *op, const char *args) {
    static const char *const never[] = { "lea", "nop", "push", "call", "j", NULL }, *const only[] = { "cmp", "test", "vucomis", "vcomis", "ucomis", "comis",
                                         "prefetch", "div", "idiv", "mul", "imul", "vptest", "bt", NULL };
    static const char *const arm[] = { "ldr", "ldp", "ldu", "ld1", "ld2", "ld3", "ld4", "prfm", NULL };
    if (begins_with_one_of(op, arm)) return true;
    const char *open = strchr(args, '('), *close = open ? strchr(open, ')') : NULL;
    if (!close || begins_with_one_of(op, never)) return false;
    return strchr(close, ',') || begins_with_one_of(op, only);
}

static enum tui_perf_code_kind kind_of(const struct tui_perf_instruction *i) {
    return multiplies(i->op) ? TUI_PERF_CODE_MULTIPLIES : i->reads ? TUI_PERF_CODE_READS : TUI_PERF_CODE_OTHER;
}

struct tui_perf_code_sum tui_perf_code_sum(const struct tui_perf_code *c) {
    struct tui_perf_code_sum s = { 0 };
    for (int i = 0; i < c->n; i++) {
        const struct tui_perf_instruction *x = &c->instruction[i];
        s.all += x->times;
        s.multiply += x->kind == TUI_PERF_CODE_MULTIPLIES ? x->times : 0;
        s.load += x->kind == TUI_PERF_CODE_READS ? x->times : 0;
        s.both += x->kind == TUI_PERF_CODE_MULTIPLIES && x->reads ? x->times : 0;
    }
    return s;
}

/* ---- the text of objdump */

static int64_t times_at(const struct cut_instruction *at, int n, uint64_t address) {
    for (int lo = 0, hi = n; lo < hi;) {
        int mid = (lo + hi) / 2;
        if (at[mid].at == address) return at[mid].times;
        if (at[mid].at < address) lo = mid + 1;
        else hi = mid;
    }
    return 0;
}

/* Text up to the end of its line, without blanks around it and with single ones inside; what is no printing character is left out. */
static void take_text(char *out, size_t size, const char *from, const char *end) {
    size_t n = 0;
    for (; from < end; from++) {
        bool blank = *from == ' ' || *from == '\t';
        if ((blank && (!n || out[n - 1] == ' ')) || (!blank && !isgraph((unsigned char)*from)) || n + 1 >= size) continue;
        out[n++] = blank ? ' ' : *from;
    }
    while (n && out[n - 1] == ' ') n--;
    out[n] = 0;
}

/* "0000000000009b5a0 <unpack_q4_K+0x12>:" */
static bool function_line(char *out, size_t size, const char *line, const char *end) {
    const char *open = line;
    while (open < end && isxdigit((unsigned char)*open)) open++;
    if (open == line || end - open < 5 || strncmp(open, " <", 2) || strncmp(end - 2, ">:", 2)) return false;
    const char *name = open + 2, *plus = name;
    while (plus < end - 2 && strncmp(plus, "+0x", 3)) plus++;
    take_text(out, size, name, plus);
    if (out[0] == '.') out[0] = 0;             /* a section: the file has no names */
    return true;
}

/* "   9b5ea:	jg     9b698 <unpack_q4_K+0xf8>": an address, a colon and a tabulator, the operation, its operands. */
static bool instruction_line(struct tui_perf_instruction *out, const char *line, const char *end) {
    char *colon;
    while (line < end && *line == ' ') line++;
    if (line == end || !isxdigit((unsigned char)*line)) return false;
    *out = (struct tui_perf_instruction){ .at = strtoull(line, &colon, 16) };
    if (colon >= end || end - colon < 3 || colon[0] != ':' || colon[1] != '\t') return false;
    const char *op = colon + 2, *args = op;
    if (*op == '{') {                          /* {vex}, {evex}: how it is encoded, not what it does */
        while (op < end && *op != ' ') op++;
        while (op < end && *op == ' ') op++;
        args = op;
    }
    while (args < end && *args != ' ' && *args != '\t') args++;
    take_text(out->op, sizeof out->op, op, args);
    take_text(out->args, sizeof out->args, args, end);
    if (!out->op[0] || out->op[0] == '.' || out->op[0] == '(') return false;      /* .byte, (bad): no instruction */
    out->reads = reads_memory(out->op, out->args);
    out->kind = kind_of(out);
    return true;
}

void tui_perf_code_parse(struct tui_perf_code *c, const char *text, const struct cut_instruction *at, int n, double passes, uint64_t base) {
    struct tui_perf_instruction *list = tui_alloc(MOST_INSTRUCTIONS, sizeof *list), now;
    c->n = 0;
    for (const char *line = text, *end; n > 0 && *line && c->n < MOST_INSTRUCTIONS; line = *end ? end + 1 : end) {
        end = line + strcspn(line, "\n");
        if (!c->n && function_line(c->function, sizeof c->function, line, end)) continue;
        if (!instruction_line(&now, line, end) || now.at + base < at[0].at || now.at + base > at[n - 1].at) continue;
        if (c->n && now.at <= list[c->n - 1].at) continue;
        now.times = passes > 0 ? (double)times_at(at, n, now.at + base) / passes : 0;
        list[c->n++] = now;
    }
    free(c->instruction);
    c->instruction = c->n ? list : NULL;
    if (!c->n) free(list);
}

/* ---- one of them */

struct waiting { cut_progress_fn progress; void *user; };
static bool wait_for_text(void *user) {
    const struct waiting *w = user;
    return !w->progress || w->progress(w->user, 1, "objdump");
}

static enum cut_status disassemble(struct tui_perf_code *c, const struct cut_instructions *i, struct waiting *w) {
    const struct cut_instruction *loop = i->at + i->loop;
    struct tui_perf_module m;
    char start[48], stop[48], *text = NULL;
    struct cut_err err = { 0 };
    if (!i->n_loop || !tui_perf_module_of(&m, loop[0].at)) {
        snprintf(c->why, sizeof c->why, "in which file the instructions stand is not known here");
        return CUT_OK;
    }
    snprintf(start, sizeof start, "--start-address=0x%llx", (unsigned long long)(loop[0].at - m.base));
    snprintf(stop, sizeof stop, "--stop-address=0x%llx", (unsigned long long)(loop[i->n_loop - 1].at - m.base + LONGEST));
    const char *argv[] = { "objdump", "-d", "--no-show-raw-insn", start, stop, m.path, NULL };
    for (int k = 0; argv[k]; k++) {
        size_t used = strlen(c->command);
        snprintf(c->command + used, sizeof c->command - used, "%s%s", k ? " " : "", argv[k]);
    }
    enum cut_status st = tui_perf_run(&text, argv, PATIENCE, wait_for_text, w, &err);
    if (st == CUT_ECANCEL) return st;
    if (st) {
        snprintf(c->why, sizeof c->why, "%s (Debian's package binutils)", err.msg);
        return CUT_OK;
    }
    tui_perf_code_parse(c, text, loop, i->n_loop, (double)i->passes, m.base);
    if (!c->n) snprintf(c->why, sizeof c->why, "objdump printed no instructions");
    free(text);
    return CUT_OK;
}

enum cut_status tui_perf_code_take(struct tui_perf_code **out, const struct tui_perf_kernel *k, cut_progress_fn progress, void *user,
                                   struct cut_err *err) {
    struct tui_perf_code *c = tui_alloc(1, sizeof *c);
    struct cut_instructions_opts o = { (enum cut_type)k->type, k->tier, k->tokens, k->repack };
    struct cut_instructions i;
    struct cut_err why = { 0 };
    struct waiting w = { progress, user };
    *c = (struct tui_perf_code){ .refs = 1, .of = *k, .each = NAN };
    enum cut_status st = cut_instructions(&i, &o, progress, user, &why);
    if (!st) {
        double in_loop = 0;
        for (int n = 0; n < i.n_loop; n++) in_loop += (double)i.at[i.loop + n].times;
        c->panels = i.panels;
        c->each = (double)i.total / (double)i.weights;
        c->rows = i.rows;
        c->columns = i.columns;
        c->passes = (double)i.passes;
        c->share = in_loop / (double)i.total;
        st = disassemble(c, &i, &w);
        cut_instructions_done(&i);
    } else if (st != CUT_ECANCEL) {
        snprintf(c->why, sizeof c->why, "%s", why.msg);
        st = CUT_OK;
    }
    if (!st) {
        *out = c;
        return CUT_OK;
    }
    tui_perf_code_free(c);
    return cut_fail(err, st, "stopped");
}
