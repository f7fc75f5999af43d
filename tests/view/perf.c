/* perf.c - what follows from measurements, on measurements made up here: groups, roofs, predictions, comparisons, files; and every
 * panel drawn with them, against golden screens (tests/view/perf-drawn-*.txt; CUT_UPDATE=1 writes them). */
#include <sys/stat.h>
#include <unistd.h>

#include "tests/test.h"
#include "tui/json.h"
#include "tui/perf_work.h"
#include "tui/view/perf.h"

/* ---- a measurement: 2 layers, 3 threads, 8 processors */

static struct tui_perf_point point(bool prefill, enum cut_tier tier, int threads, int depth, double tps, double spread) {
    struct tui_perf_point q = { .prefill = prefill, .tier = tier, .threads = threads, .depth = depth, .seqs = 1, .tokens = prefill ? 64 : 8, .ulps = NAN };
    double runs[5] = { tps - spread, tps - spread / 2, tps, tps + spread / 2, tps + spread };
    cut_speed_of(&q.at.tps, runs, 5);
    q.at.bytes = 142900000;
    q.at.weights = 142000000;
    q.at.flops = 270000000;
    q.at.read = tps * 142.9e6;
    q.at.waited = 0.004 * threads;
    q.at.print = 7;
    return q;
}

/* A line for each part of the name; those that multiply by the step's weights are the first, or up to three of the same input. */
static void name_lines(struct tui_perf_step *s) {
    for (const char *at = s->name; *at && s->n_lines < TUI_PERF_LINES; at += strcspn(at, "+") + (at[strcspn(at, "+")] == '+')) {
        struct tui_perf_line *l = &s->line[s->n_lines++];
        bool product = s->weight >= 0 && strncmp(at, "act", 3) && strncmp(at, "resid", 5);
        *l = (struct tui_perf_line){ .weight = product ? s->weight : -1, .rows = 1536, .columns = 576 };
        int n = (int)strcspn(at, "+");
        snprintf(l->name, sizeof l->name, "%.*s", n, at);
        snprintf(l->formula, sizeof l->formula, product ? "%.*s = W x" : "%.*s = f(x)", n, at);
        snprintf(l->kernel, sizeof l->kernel, product ? "q8_0 x q8  ref" : "ref");
    }
}

static struct tui_perf_profile *profile(bool prefill) {
    static const struct { const char *name; enum tui_perf_kind kind; int weight; double share, ops; } kinds[] = {
        { "attn_norm", TUI_PERF_NORM, -1, 0.01, 0.5 },       { "q+k+v", TUI_PERF_QKV, CUT_Q8_0, 0.2, 1.88 },
        { "scores+pattern+z", TUI_PERF_ATTENTION, -1, 0.12, 1.5 }, { "attn_out+resid_mid", TUI_PERF_ATTN_OUT, CUT_Q8_0, 0.09, 1.88 },
        { "gate+up+act", TUI_PERF_GATE_UP, CUT_Q8_0, 0.38, 1.88 }, { "ffn_out+resid_post", TUI_PERF_DOWN, CUT_Q8_0, 0.2, 1.88 },
    };
    enum { LAYERS = 2, KINDS = 6, THREADS = 3, STEPS = LAYERS * KINDS + 1 };
    struct tui_perf_profile *p = calloc(1, sizeof *p);
    *p = (struct tui_perf_profile){ .refs = 1, .prefill = prefill, .tier = CUT_TIER_REF, .threads = THREADS, .n_tokens = prefill ? 64 : 1, .passes = 15,
                                    .n_steps = STEPS, .n_layer = LAYERS, .step = calloc(STEPS, sizeof *p->step),
                                    .span = calloc(STEPS * THREADS, sizeof *p->span) };
    int64_t now = 1000, many = prefill ? 20 : 1;
    for (int i = 0; i < STEPS; i++) {
        bool last = i == STEPS - 1;
        int k = i % KINDS;
        struct tui_perf_step *s = &p->step[i];
        *s = (struct tui_perf_step){ .kind = last ? TUI_PERF_OUTPUT : kinds[k].kind, .layer = last ? -1 : i / KINDS, .weight = last ? CUT_Q8_0 : kinds[k].weight };
        snprintf(s->name, sizeof s->name, "%s", last ? "logits" : kinds[k].name);
        name_lines(s);
        int64_t ns = last ? 200000 : (int64_t)(kinds[k].share * 1e6);
        s->bytes = (uint64_t)ns * 30;                          /* 30 GB/s */
        s->flops = (uint64_t)((double)s->bytes * (last ? 1.88 : kinds[k].ops) * (prefill ? 64 : 1));
        s->t0 = now;
        s->t1 = now += ns * many;
        for (int t = 0; t < THREADS; t++) p->span[i * THREADS + t] = (struct cut_span){ s->t0, s->t1 - (t * ns * many * (s->kind == TUI_PERF_ATTENTION ? 3 : 1)) / 12 };
    }
    p->wall = now + 9000;
    return p;
}

/* A listing whose third instruction never runs and whose last two are a loop of their own, 8 times in a pass. */
static struct tui_perf_code *made_up_code(void) {
    static const struct { int times; enum tui_perf_code_kind kind; bool reads; const char *op, *args; } text[] = {
        { 1, TUI_PERF_CODE_READS, true, "vmovdqu8", "(%rax),%zmm1" }, { 1, TUI_PERF_CODE_OTHER, false, "vpsrlw", "$0x4,%zmm1,%zmm2" },
        { 0, TUI_PERF_CODE_OTHER, false, "jmp", "9b5fe <mm_q8_Q8_0+0x5e>" }, { 8, TUI_PERF_CODE_MULTIPLIES, true, "vpdpbusd", "0x40(%rcx){1to16},%zmm1,%zmm3" },
        { 8, TUI_PERF_CODE_OTHER, false, "jne", "9b670 <a_function_whose_name_is_so_long_that_it_does_not_fit_here+0xd0>" },
    };
    enum { N = sizeof text / sizeof *text, LOOPS = 6 };
    struct tui_perf_code *c = calloc(1, sizeof *c);
    *c = (struct tui_perf_code){ .refs = 1, .of = { CUT_Q8_0, CUT_TIER_REF, CUT_REPACK_AUTO, 1 }, .each = 0.367, .rows = 16, .columns = 2048, .passes = 64,
                                 .share = 0.853, .function = "mm_q8_Q8_0", .n = LOOPS * N, .instruction = calloc(LOOPS * N, sizeof *c->instruction),
                                 .command = "objdump -d --no-show-raw-insn --start-address=0x9b5a0 --stop-address=0x9b6d5 /usr/local/bin/cutaway" };
    for (int i = 0; i < c->n; i++) {
        struct tui_perf_instruction *x = &c->instruction[i];
        *x = (struct tui_perf_instruction){ .at = 0x9b5a0 + 6u * (unsigned)i, .times = text[i % N].times, .kind = text[i % N].kind, .reads = text[i % N].reads };
        snprintf(x->op, sizeof x->op, "%s", text[i % N].op);
        snprintf(x->args, sizeof x->args, "%s", text[i % N].args);
    }
    return c;
}

static struct tui_perf *sample(void) {
    static const double decode[] = { 41.5, 80.8, 116.7, 148.3, 0, 197.5, 0, 228.6 };
    struct tui_perf *p = calloc(1, sizeof *p);
    *p = (struct tui_perf){ .threads = 3, .tier = CUT_TIER_REF, .model = "made-up.gguf", .type = "q8_0", .bits = 8.5, .cell_bytes = 23040,
                            .decode_tokens = 8, .prefill_tokens = 64, .machine = { .cpus = 8, .cores = 4, .governor = "performance", .load = 0.1 } };
    p->config.n_head = 8;
    p->config.n_head_kv = 2;
    p->config.n_layer = 2;
    p->config.n_params = 134515008;
    for (int t = 1; t <= 8; t++)
        if (decode[t - 1] > 0) p->point[p->n_points++] = point(false, CUT_TIER_REF, t, 0, decode[t - 1], t == 4 ? 14 : 1);
    p->point[0].ulps = p->point[2].ulps = 0;
    static const int depth[] = { 512, 1024, 1536 };
    static const double behind[] = { 107, 100, 80 };
    for (int i = 0; i < 3; i++) p->point[p->n_points++] = point(false, CUT_TIER_REF, 3, depth[i], behind[i], 1);
    static const double together[] = { 230, 0, 390, 0, 0, 0, 420 };
    for (int i = 2; i <= 8; i++) {
        if (!together[i - 2]) continue;
        p->point[p->n_points] = point(false, CUT_TIER_REF, 3, 0, together[i - 2], i == 4 ? 30 : 2);
        p->point[p->n_points++].seqs = i;
    }
    p->peaks.n = 5;
    p->peaks.peak[0] = (struct cut_peak){ CUT_PEAK_READ, CUT_TIER_AUTO, "read", 1, 12e9, 12e9 };
    p->peaks.peak[1] = (struct cut_peak){ CUT_PEAK_READ, CUT_TIER_AUTO, "read", 8, 38e9, 37e9 };
    p->peaks.peak[2] = (struct cut_peak){ CUT_PEAK_F32, CUT_TIER_REF, "vfmadd", 8, 610e9, 600e9 };
    p->peaks.peak[3] = (struct cut_peak){ CUT_PEAK_INT8, CUT_TIER_REF, "vpdpbusd", 8, 2400e9, 2400e9 };
    p->peaks.peak[4] = (struct cut_peak){ CUT_PEAK_INT8, CUT_TIER_REF, "vpdpbusd", 1, 300e9, 300e9 };
    for (int i = 2; i < 5; i++) p->peaks.peak[i].tier = cut_tier_best();       /* plain C is held against the best there is */
    p->peaks_bytes = 142900000;
    snprintf(p->peaks_date, sizeof p->peaks_date, "2026-01-02 03:04");
    p->counted[CUT_TIER_REF] = p->counted[CUT_TIER_AVX2] = true;
    p->instructions[CUT_TIER_REF] = 13.43;
    p->instructions[CUT_TIER_AVX2] = NAN;
    p->machine.n_cpu = 8;
    for (int i = 0; i < 8; i++) p->machine.cpu[i] = (struct tui_perf_cpu){ (short)(i / 2 + 4 * (i % 2)), (short)(i / 2), 0, 0, i < 4 ? 3500 : 2100 };
    p->n_same = 3;
    p->same_tokens = 16;
    p->same_tier = CUT_TIER_REF;
    for (int i = 0; i < 3; i++) p->same[i] = (struct tui_perf_same){ CUT_TIER_REF, i + 2, { .same = true, .n_steps = 76, .step = -1 } };
    p->same[2] = (struct tui_perf_same){ CUT_TIER_AVX2, 1, { .n_steps = 76, .n_differ = 74, .step = 1, .name = "blk.0.attn_norm", .op = "rms_norm",
                                         .weight = "blk.0.attn_norm.weight", .row = 0, .col = 3, .a = 0.5f, .b = 0.50000006f, .ulps = 3, .logits_ulps = 427 } };
    p->profile[0] = profile(false);
    p->profile[1] = profile(true);
    return p;
}

static void drop(struct tui_perf *p) {
    for (int i = 0; i < 2; i++) tui_perf_profile_free(p->profile[i]);
    tui_perf_code_free(p->code);
    free(p);
}

/* ---- what follows from it */

static enum tui_perf_kind kind(const char *op, const char *weight, const char *op2) {
    struct cut_step a = { .name = "a", .op = op, .weight = weight }, b = { .name = "b", .op = op2 };
    const struct cut_step *line[] = { &a, &b };
    return tui_perf_kind_of(line, op2 ? 2 : 1);
}

TEST(perf_kinds_of_steps) {
    CHECK(kind("matmul", "blk.3.attn_q.weight", "matmul") == TUI_PERF_QKV);
    CHECK(kind("matmul", "blk.3.attn_output.weight", "add") == TUI_PERF_ATTN_OUT);
    CHECK(kind("matmul", "blk.12.ffn_up.weight", NULL) == TUI_PERF_GATE_UP);
    CHECK(kind("matmul", "blk.12.ffn_down.weight", "add") == TUI_PERF_DOWN);
    CHECK(kind("matmul", "token_embd.weight", NULL) == TUI_PERF_OUTPUT);
    CHECK(kind("matmul", "output.weight", NULL) == TUI_PERF_OUTPUT);
    CHECK(kind("scores", NULL, "softmax") == TUI_PERF_ATTENTION);
    CHECK(kind("rms_norm", "blk.0.attn_norm.weight", "quantize") == TUI_PERF_NORM);
    CHECK(kind("get_rows", "token_embd.weight", NULL) == TUI_PERF_REST);
    CHECK(kind("rope", NULL, "store") == TUI_PERF_REST);
}

TEST(perf_work_and_waiting_add_up_to_the_steps) {
    struct tui_perf *p = sample();
    struct tui_perf_sums s;
    struct tui_perf_op_sum op[16];
    tui_perf_sum(&s, p->profile[0]);
    double sum = s.barrier, steps = 0;
    for (int k = 0; k < TUI_PERF_KINDS; k++) sum += s.work[k];
    CHECK(fabs(sum - s.all) < 1e-12 && fabs(s.all - 2.2e-3) < 1e-9 && s.wall > s.all, "%g %g", sum, s.all);
    CHECK(fabs(s.work[TUI_PERF_ATTENTION] - 0.24e-3 * 0.75) < 1e-9);   /* its threads work 1, 3/4 and 1/2 of it */
    int n = tui_perf_op_sums(p->profile[0], op, 16);
    CHECK(n == 7);
    for (int i = 0; i < n; i++) steps += op[i].seconds;
    CHECK(fabs(steps - s.all) < 1e-12 && op[4].n == 2 && !strcmp(op[4].name, "gate+up+act"));
    drop(p);
}

TEST(perf_roofs_and_predictions) {
    struct tui_perf *p = sample();
    CHECK(tui_perf_read_peak(p) == 38e9 && tui_perf_op_peak(p, CUT_PEAK_INT8) == 2400e9);
    CHECK(tui_perf_op_peak(p, CUT_PEAK_BF16) == 610e9);                /* none of its own: as floats */
    CHECK(tui_perf_main_type(p) == CUT_Q8_0 && tui_perf_peak_kind(CUT_Q4_K) == CUT_PEAK_INT8 && tui_perf_peak_kind(CUT_F16) == CUT_PEAK_F32 &&
          tui_perf_peak_kind(-1) == CUT_PEAK_F32 && tui_perf_peak_kind(CUT_BF16) == CUT_PEAK_BF16);
    CHECK(fabs(tui_perf_roof(p) - 38e9 / 142.9e6) < 1e-6);
    CHECK(fabs(tui_perf_predict(100, 1000, 10, 0, 100) - 50) < 1e-9 && tui_perf_predict(100, 0, 10, 0, 1) == 0);
    CHECK(fabs(tui_perf_predict(100, 1000, 10, 3e-4, 100) - 25) < 1e-9);       /* 10 ms, and 30 of arithmetic rather than 10 of reading */
    p->config.head_dim = 64;
    CHECK(tui_perf_cell_seconds(p) == 0);                              /* plain C is far from any peak */
    p->tier = cut_tier_best();
    CHECK(p->tier == CUT_TIER_REF || fabs(tui_perf_cell_seconds(p) - 4.0 * 8 * 64 * 2 / (610e9 * 3 / 8)) < 1e-20);
    p->tier = CUT_TIER_REF;
    /* Several sequences: 1/116.7 s of reading; then arithmetic at 2400e9 x 3/8; and 8 tokens' worth of K, V on average 4 cells deep. */
    struct tui_perf_point one = *tui_perf_find_batch(p, 1);
    CHECK(&p->point[2] == tui_perf_find(p, false, CUT_TIER_REF, 3, 0) && one.seqs == 1 && tui_perf_find_batch(p, 4)->seqs == 4 && !tui_perf_find_batch(p, 3));
    double kv = 23040 * 4.0, reading = 1 / 116.7 * 142e6 / (142e6 + kv);
    CHECK(fabs(tui_perf_predict_batch(p, &one, 1) - 116.7) < 1e-9);
    CHECK(fabs(tui_perf_predict_batch(p, &one, 4) - 116.7) < 1e-9);    /* plain C: every token takes as long */
    p->tier = cut_tier_best();
    if (p->tier != CUT_TIER_REF) {
        CHECK(fabs(tui_perf_predict_batch(p, &one, 4) - 4 / (reading + 4 * (1 / 116.7 - reading))) < 1e-9);
        CHECK(fabs(tui_perf_predict_batch(p, &one, 256) - 256 / (256 * 270e6 / 900e9 + 256 * (1 / 116.7 - reading))) < 1e-6);
    }
    one.at.weights = 0;
    CHECK(tui_perf_predict_batch(p, &one, 4) == 0);
    p->tier = CUT_TIER_REF;
    struct cut_usl fit;
    int best, differs;
    char why[160];
    CHECK(tui_perf_best(p, &fit, &best, why) && best == 8 && strstr(why, "limit"), "%d %s", best, why);
    p->point[1] = point(false, CUT_TIER_REF, 2, 0, 10, 1);             /* two threads slower than one */
    for (int i = 2; i < 6; i++) p->point[i].threads = 100 + i;
    CHECK(tui_perf_best(p, &fit, &best, why) && best == 1 && strstr(why, "slower"), "%d %s", best, why);
    for (int i = 2; i < 6; i++) p->point[i].threads = i + 1;
    CHECK(tui_perf_same_bytes(p, &differs) == 1);
    p->point[3].at.print = 8;
    CHECK(tui_perf_same_bytes(p, &differs) == 0 && differs == 4);
    p->tier = CUT_TIER_COUNT;                                          /* nothing was measured with these */
    CHECK(tui_perf_same_bytes(p, &differs) == -1 && !tui_perf_best(p, &fit, &best, why));
    drop(p);
}

TEST(perf_points_know_where_they_ran_and_beside_what) {
    struct tui_perf *p = sample();
    struct tui_perf_pin pin = { 5, { 0, 1, 2, 5, 4 } };
    char text[TUI_PERF_WHERE], name[TUI_PERF_NAME];
    CHECK(!strcmp(tui_perf_pin_text(&pin, text), "0-2,5,4"), "%s", text);
    CHECK(!tui_perf_pin_text(&(struct tui_perf_pin){ 0 }, text)[0]);
    pin.n = 64;
    for (int i = 0; i < 64; i++) pin.cpu[i] = (short)(3 * i);
    CHECK(!strcmp(tui_perf_pin_text(&pin, text), "0,3,6,9,12,15,18,.. (64)"), "%s", text);
    pin.n = 1;
    const struct tui_perf_point *free_ = tui_perf_find(p, false, CUT_TIER_REF, 3, 0);
    p->point[p->n_points] = point(false, CUT_TIER_REF, 3, 0, 60, 1);
    p->point[p->n_points].load = TUI_PERF_LOAD_MEMORY;
    tui_perf_pin_text(&pin, p->point[p->n_points++].where);
    CHECK(tui_perf_find(p, false, CUT_TIER_REF, 3, 0) == free_);
    p->pin = pin;
    CHECK(!tui_perf_find(p, false, CUT_TIER_REF, 3, 0));
    p->load = TUI_PERF_LOAD_MEMORY;
    const struct tui_perf_point *q = tui_perf_find(p, false, CUT_TIER_REF, 3, 0);
    REQUIRE(q);
    CHECK(q->at.tps.median == 60 && tui_perf_undisturbed(p, q) == free_);
    CHECK(!strcmp(tui_perf_point_name(&p->point[9], name), "decode of 2 sequences, 3 threads, ref"), "%s", name);
    p->point[1].ways = TUI_PERF_SPLIT_K;
    CHECK(!strcmp(tui_perf_point_name(&p->point[1], name), "decode, 2 threads, ref, split-k") && !tui_perf_find(p, false, CUT_TIER_REF, 2, 0), "%s", name);
    p->point[1].ways |= TUI_PERF_BY_HEADS;
    CHECK(!strcmp(tui_perf_point_name(&p->point[1], name), "decode, 2 threads, ref, split-k, heads"), "%s", name);
    CHECK(!strcmp(tui_perf_point_name(q, name), "decode, 3 threads, ref, on 0, beside reading memory"), "%s", name);
    drop(p);
}

TEST(perf_a_load_begins_and_ends) {
    struct tui_perf_machine m = { 0 };
    struct tui_perf_noise *n;
    struct cut_err err;
    tui_perf_machine_read(&m);
    CHECK(m.cpus == cut_cpu_count() && m.n_cpu >= 1 && m.cores <= m.cpus);
    for (int l = TUI_PERF_LOAD_ONE; l < TUI_PERF_LOADS; l++) {
        REQUIRE(!tui_perf_noise_begin(&n, (enum tui_perf_load)l, &m, &err), "%s", err.msg);
        double start = cut_clock();
        tui_perf_noise_end(n);
        CHECK(cut_clock() - start < 2, "%s took %g s to end", tui_perf_load_name((enum tui_perf_load)l), cut_clock() - start);
    }
    tui_perf_noise_end(NULL);
}

TEST(perf_peaks_are_kept_for_a_boot) {
    struct tui_perf_machine m = { .cpus = 3, .processor = "a \"processor\"" }, other = { .cpus = 4, .processor = "a \"processor\"" };
    struct tui_perf_kept k = { .busy = true, .peaks = { .n = 2, .peak = { { CUT_PEAK_READ, CUT_TIER_AUTO, "read", 1, 12e9, 11e9 },
                                                                         { CUT_PEAK_INT8, CUT_TIER_AVX2, "x", 3, 3e12, 2e12 } } } }, q;
    char folder[4096], *before = getenv("XDG_CACHE_HOME"), was[4096];
    const char *tmp = test_tmp("cache");
    snprintf(was, sizeof was, "%s", before ? before : "");
    snprintf(folder, sizeof folder, "%s", tmp);
    if (tmp[0] != '/') { REQUIRE(getcwd(folder, 2048)); strcat(strcat(folder, "/"), tmp); }
    setenv("XDG_CACHE_HOME", folder, 1);
    for (int i = 0; i < 10; i++) {
        k.bytes = 1000 + (uint64_t)(i < 9 ? i : 8);
        snprintf(k.date, sizeof k.date, "2026-01-02 03:0%d", i % 10);
        tui_perf_peaks_keep(&k, &m);
    }
    FILE *boot = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (boot) {
        fclose(boot);
        REQUIRE(tui_perf_peaks_read(&q, &m, 1008));
        CHECK(q.peaks.n == 2 && q.peaks.peak[1].kind == CUT_PEAK_INT8 && q.peaks.peak[1].tier == CUT_TIER_AVX2 && q.peaks.peak[1].threads == 3 &&
              q.peaks.peak[1].rate == 3e12 && q.peaks.peak[0].median == 11e9 && q.busy && !strcmp(q.date, "2026-01-02 03:09"));
        CHECK(!tui_perf_peaks_read(&q, &m, 1000) && tui_perf_peaks_read(&q, &m, 1001));      /* eight are kept */
    }
    CHECK(!tui_perf_peaks_read(&q, &m, 999) && !tui_perf_peaks_read(&q, &other, 1008));
    struct cut_peaks higher = k.peaks;
    higher.peak[0].rate = 13e9, higher.peak[1].rate = 1e12;
    tui_perf_peaks_merge(&higher, &k.peaks);
    CHECK(higher.peak[0].rate == 13e9 && higher.peak[1].rate == 3e12);
    if (was[0]) setenv("XDG_CACHE_HOME", was, 1);
    else unsetenv("XDG_CACHE_HOME");
}

/* ---- instructions */

/* As objdump of binutils 2.40 prints it, x86-64; and what it may print besides. */
static const char printed[] =
    "\nprogram:     file format elf64-x86-64\n\n\nDisassembly of section .text:\n\n"
    "0000000000001000 <mm_q8_Q4_K.constprop.0+0x3c8>:\n"
    "    1000:\tvmovdqu8 (%rax),%zmm1\n"
    "    1006:\tvpsrlw $0x4,%zmm1,%zmm2\n"
    "    100d:\t{evex} vpdpbusd 0x40(%rcx){1to16},%zmm1,%zmm3\n"
    "    1014:\tvmovdqu8 %zmm3,(%rdi)\n"
    "    101a:\tprefetcht0 0x4000(%rax)\n"
    "    1021:\tlea    0x40(%rax,%rbx,2),%rax\n"
    "    1026:\tcmp    %rdx,0x8(%rsp)\n"
    "    102b:\tvfmadd231ps %zmm0,%zmm1,%zmm2\n"
    "\n0000000000001031 <another>:\n"
    "    1031:\timul   0x10(%rdi),%eax\n"
    "    1035:\tvmovaps 0x2000(%rip),%zmm2        # 3040 <table>\n"
    "    103f:\tjne    1000 <mm_q8_Q4_K.constprop.0+0x3c8>\n"
    "    1041:\t.byte 0xf\n"
    "    1042:\t(bad)\n"
    "    1043:\tret\n";

TEST(perf_code_is_read_from_what_objdump_prints) {
    enum { BASE = 0x550000000000 };
    static const struct { unsigned at; int times; enum tui_perf_code_kind kind; bool reads; const char *op, *args; } want[] = {
        { 0x1000, 2, TUI_PERF_CODE_READS, true, "vmovdqu8", "(%rax),%zmm1" },
        { 0x1006, 2, TUI_PERF_CODE_OTHER, false, "vpsrlw", "$0x4,%zmm1,%zmm2" },
        { 0x100d, 16, TUI_PERF_CODE_MULTIPLIES, true, "vpdpbusd", "0x40(%rcx){1to16},%zmm1,%zmm3" },
        { 0x1014, 2, TUI_PERF_CODE_OTHER, false, "vmovdqu8", "%zmm3,(%rdi)" },
        { 0x101a, 0, TUI_PERF_CODE_READS, true, "prefetcht0", "0x4000(%rax)" },
        { 0x1021, 2, TUI_PERF_CODE_OTHER, false, "lea", "0x40(%rax,%rbx,2),%rax" },
        { 0x1026, 2, TUI_PERF_CODE_READS, true, "cmp", "%rdx,0x8(%rsp)" },
        { 0x102b, 2, TUI_PERF_CODE_MULTIPLIES, false, "vfmadd231ps", "%zmm0,%zmm1,%zmm2" },
        { 0x1031, 2, TUI_PERF_CODE_MULTIPLIES, true, "imul", "0x10(%rdi),%eax" },
        { 0x1035, 2, TUI_PERF_CODE_READS, true, "vmovaps", "0x2000(%rip),%zmm2 # 3040 <table>" },
        { 0x103f, 2, TUI_PERF_CODE_OTHER, false, "jne", "1000 <mm_q8_Q4_K.constprop.0+0x3c8>" },
    };
    enum { N = sizeof want / sizeof *want };
    struct cut_instruction at[N];
    struct tui_perf_code c = { 0 };
    int n = 0;
    for (int i = 0; i < N; i++)
        if (want[i].times) at[n++] = (struct cut_instruction){ BASE + want[i].at, want[i].times };
    tui_perf_code_parse(&c, printed, at, n, 2, BASE);
    CHECK(!strcmp(c.function, "mm_q8_Q4_K.constprop.0"), "%s", c.function);
    REQUIRE(c.n == N, "%d", c.n);
    for (int i = 0; i < N; i++) {
        const struct tui_perf_instruction *x = &c.instruction[i];
        CHECK(x->at == want[i].at && x->times == want[i].times / 2.0 && !strcmp(x->op, want[i].op) && !strcmp(x->args, want[i].args) &&
              x->kind == want[i].kind && x->reads == want[i].reads, "%llx %g %s|%s %d %d", (unsigned long long)x->at, x->times, x->op, x->args, x->kind, x->reads);
    }
    struct tui_perf_code_sum s = tui_perf_code_sum(&c);
    CHECK(s.all == 17 && s.multiply == 10 && s.both == 9 && s.load == 3, "%g %g %g %g", s.all, s.multiply, s.both, s.load);
    /* aarch64: no parentheses, instructions of their own for memory */
    static const char arm[] = "   0:\tldr\tq0, [x1, #16]\n   4:\tsdot\tv1.4s, v0.16b, v2.4b[0]\n   8:\tstr\tq1, [x0]\n   c:\tsub\tx0, x0, #0x1\n";
    struct cut_instruction four[] = { { 0, 1 }, { 4, 1 }, { 8, 1 }, { 12, 1 } };
    tui_perf_code_parse(&c, arm, four, 4, 1, 0);
    s = tui_perf_code_sum(&c);
    CHECK(c.n == 4 && s.all == 4 && s.multiply == 1 && s.load == 1 && !strcmp(c.instruction[1].args, "v1.4s, v0.16b, v2.4b[0]"), "%d %g %g", c.n, s.multiply, s.load);
    free(c.instruction);
}

TEST(perf_code_of_garbage_is_nothing_or_harmless) {
    static const char *const bad[] = { "", "\n\n\n", ":", "\t", "1000", "1000:", "1000:\t", "1000:\t\n", "    1000:\t   \n", "1000 <", "1000 <>:\n", "zz <f>:\n",
                                       "1000: add\n", "ffffffffffffffffffffffff:\tadd %eax,%eax\n", "    1000:\t{evex}\n", "    1000:\t{\n", "\x01\xff\xfe:\tadd\n",
                                       "objdump: program: No such file\n" };
    struct cut_instruction at = { 0x1000, 1 };
    struct tui_perf_code c = { 0 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tui_perf_code_parse(&c, bad[i], &at, 1, 1, 0);
        CHECK(!c.n && !c.instruction, "%d: %s", (int)i, bad[i]);
    }
    /* Every beginning of the good text; lines longer than there is room for; the same address again and again; bytes at random. */
    struct cut_instruction span[] = { { 0x1000, 1 }, { 0x1043, 1 } };
    for (size_t n = 0; n < sizeof printed; n++) {
        char *part = strndup(printed, n);
        tui_perf_code_parse(&c, part, span, 2, 1, 0);
        CHECK(c.n <= 12);
        free(part);
    }
    char *many = calloc(1, 1 << 20);
    for (int i = 0; i < 5000; i++) sprintf(many + strlen(many), "  %x:\tadd %s\n", 0x1000 + i / 2, "%eax,%ebx");
    struct cut_instruction wide[] = { { 0x1000, 1 }, { 0x9000, 1 } };
    tui_perf_code_parse(&c, many, wide, 2, 0, 0);
    CHECK(c.n == 2500 && c.instruction[0].times == 0, "%d", c.n);
    memset(many, 'a', (1 << 20) - 1);
    memcpy(many, "1000 <", 6);
    tui_perf_code_parse(&c, many, wide, 2, 1, 0);
    memcpy(many, "1000:\t", 6);
    tui_perf_code_parse(&c, many, wide, 2, 1, 0);
    CHECK(c.n == 1 && strlen(c.instruction[0].op) == sizeof c.instruction[0].op - 1);
    static const char letters[] = "0123 abcdef:\t\n<>+x(),%{}";
    uint32_t r = 1;
    for (int i = 0; i < (1 << 20) - 1; i++) many[i] = letters[(r = r * 1664525 + 1013904223) >> 8 & 15 ? (r >> 12) % (sizeof letters - 1) : 13];
    tui_perf_code_parse(&c, many, wide, 2, 1, 0);
    CHECK(c.n >= 0);
    free(many);
    free(c.instruction);
}

static bool not_now(void *user) { return ++*(int *)user < 3; }

TEST(perf_a_program_is_run_to_its_end_or_stopped) {
    struct cut_err err;
    char *text = NULL;
    int waited = 0;
    REQUIRE(!tui_perf_run(&text, (const char *const[]){ "echo", "$HOME; exit 3", NULL }, 5, NULL, NULL, &err), "%s", err.msg);
    CHECK(!strcmp(text, "$HOME; exit 3\n"), "%s", text);      /* no shell has read it */
    free(text);
    CHECK(tui_perf_run(&text, (const char *const[]){ "no-such-program-here", NULL }, 5, NULL, NULL, &err) == CUT_ESYSTEM && strstr(err.msg, "no-such-program-here not found"), "%s", err.msg);
    CHECK(tui_perf_run(&text, (const char *const[]){ "false", NULL }, 5, NULL, NULL, &err) == CUT_ESYSTEM && !strcmp(err.msg, "false failed"), "%s", err.msg);
    double start = cut_clock();
    CHECK(tui_perf_run(&text, (const char *const[]){ "sleep", "20", NULL }, 0.2, NULL, NULL, &err) == CUT_ESYSTEM && !strcmp(err.msg, "sleep took too long"), "%s", err.msg);
    CHECK(tui_perf_run(&text, (const char *const[]){ "sleep", "20", NULL }, 20, not_now, &waited, &err) == CUT_ECANCEL && waited == 3);
    CHECK(cut_clock() - start < 5);
    REQUIRE(!tui_perf_run(&text, (const char *const[]){ "cat", NULL }, 5, NULL, NULL, &err), "%s", err.msg);      /* its input is at its end */
    CHECK(!text[0]);
    free(text);
}

static void some_function(void) {}

TEST(perf_code_of_this_program) {
    struct tui_perf_module m;
    const char *name;
    REQUIRE(tui_perf_module_of(&m, (uint64_t)(uintptr_t)some_function));
    name = strrchr(m.path, '/');
    CHECK(name && !strcmp(name, "/test-tui") && (uint64_t)(uintptr_t)some_function > m.base, "%s", m.path);
    CHECK(!tui_perf_module_of(&m, 1));
    for (int t = CUT_TIER_AVX2; t <= CUT_TIER_AVX512; t++) {
        struct tui_perf_kernel k = { CUT_Q4_K, (enum cut_tier)t, CUT_REPACK_AUTO, 1 };
        struct tui_perf_code *c;
        struct cut_err err;
        if (!cut_tier_available(k.tier)) continue;
        REQUIRE(!tui_perf_code_take(&c, &k, NULL, NULL, &err), "%s", err.msg);
        const char *lacks = isnan(c->each) ? "the instructions of this build cannot be counted here" : c->each > 5 ? "a sanitized build" : strstr(c->why, "not found") ? "no objdump" : NULL;
        if (lacks) {
            tui_perf_code_free(c);
            SKIP("%s", lacks);
        }
        struct tui_perf_code_sum s = tui_perf_code_sum(c);
        CHECK(c->panels && c->n > 10 && !c->why[0] && c->share >= 0.5 && c->share <= 1, "%s", c->why);
        CHECK(strstr(c->function, "Q4_K") && !strncmp(c->command, "objdump -d ", 11), "%s", c->function);
        CHECK(s.multiply > 0 && s.load > 0 && s.multiply < s.all, "%g of %g", s.multiply, s.all);
        /* Every instruction of a pass was found in the text. */
        CHECK(fabs(s.all * c->passes - c->share * c->each * c->rows * c->columns) < 0.5, "%g x %g", s.all, c->passes);
        tui_perf_code_free(c);
    }
}

/* ---- runs */

static struct tui_perf_saved *run(const char *name, double tps) {
    struct tui_perf_saved *s = calloc(1, sizeof *s);
    snprintf(s->name, sizeof s->name, "%s", name);
    snprintf(s->date, sizeof s->date, "2026-01-02T03:04:05Z");
    snprintf(s->model, sizeof s->model, "a \"quoted\" \\ name \xC3\xA9.gguf");
    snprintf(s->type, sizeof s->type, "q8_0");
    memset(s->weights, 'a', 64);
    snprintf(s->compiler, sizeof s->compiler, "gcc");
    s->n = 2;
    for (int f = 0; f < 2; f++) {
        snprintf(s->figure[f].name, sizeof s->figure[f].name, f ? "prefill 64, 1 thread, ref" : "decode, 1 thread, ref");
        s->figure[f].n = 5;
        for (int i = 0; i < 5; i++) s->figure[f].run[i] = f ? 50 + i : tps + 0.1 * i;
    }
    return s;
}

TEST(perf_runs_are_written_read_and_compared) {
    struct tui_perf_saved *a = run("0001", 100), *b = run("0002", 110), *back = calloc(1, sizeof *back);
    struct tui_perf_diff *d = calloc(1, sizeof *d);
    struct cut_err err = { 0 };
    const char *path = test_tmp("run.json");
    REQUIRE(!tui_perf_write(a, path, &err), "%s", err.msg);
    REQUIRE(!tui_perf_read(back, path, &err), "%s", err.msg);
    CHECK(!memcmp(back, a, sizeof *a));
    REQUIRE(!tui_perf_compare(d, back, b, &err), "%s", err.msg);
    CHECK(d->n == 2 && d->change[0].significant && d->change[0].p < 0.01 && fabs(d->change[0].after - 110.2) < 1e-9);
    CHECK(!d->change[1].significant && d->change[1].p == 1 && !d->differs[0]);
    snprintf(b->compiler, sizeof b->compiler, "clang");
    CHECK(!tui_perf_compare(d, a, b, &err) && !strcmp(d->differs, "compiler"));
    b->weights[0] = 'b';
    CHECK(tui_perf_compare(d, a, b, &err) == CUT_EUSAGE && strstr(err.msg, "0001") && strstr(err.msg, "other weights"), "%s", err.msg);
    b->weights[0] = 'a';
    b->n = 0;
    CHECK(tui_perf_compare(d, a, b, &err) == CUT_EUSAGE && strstr(err.msg, "no figure"), "%s", err.msg);
    free(a), free(b), free(back), free(d);
}

TEST(perf_bad_run_files_are_named) {
    static const struct { const char *text, *says; } bad[] = {
        { "", "the text ends" }, { "{", "a name in quotes" }, { "{\"a\": }", "not a number" }, { "{\"a\": 1", "not closed" },
        { "{\"format\": \"x\"} y", "something follows" }, { "{\"format\": \"cutaway-bench-9\"}", "cutaway-bench-9" }, { "[1, 2]", "\"format\" is missing" },
        { "{\"format\": \"cutaway-bench-1\", \"name\": 5}", "\"name\" is missing" }, { "{\n\n\"a\": \"b", "line 3" },
    };
    struct tui_perf_saved *s = calloc(1, sizeof *s);
    struct cut_err err;
    const char *path = test_tmp("bad.json");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        FILE *f = fopen(path, "w");
        REQUIRE(f);
        fputs(bad[i].text, f);
        fclose(f);
        err.msg[0] = 0;
        CHECK(tui_perf_read(s, path, &err) == CUT_EFILE && strstr(err.msg, bad[i].says) && strstr(err.msg, "bad.json"), "%s: %s", bad[i].text, err.msg);
    }
    CHECK(tui_perf_read(s, "no/such/file.json", &err) == CUT_ESYSTEM);
    free(s);
}

TEST(perf_json_values) {
    static const char text[] = "{\"s\": \"a\\u00e9\\ud83d\\ude00\\n\\\"\", \"n\": [-1.5e2, 0, true, null], \"o\": {}}";
    struct tui_json *j;
    struct cut_err err;
    REQUIRE(!tui_json_parse(&j, "text", text, sizeof text - 1, &err), "%s", err.msg);
    CHECK(!strcmp(tui_json_get(j, "s")->text, "a\xC3\xA9\xF0\x9F\x98\x80\n\""));
    const struct tui_json *n = tui_json_get(j, "n")->first;
    CHECK(n->number == -150 && n->next->next->kind == TUI_JSON_BOOL && n->next->next->number == 1 && n->next->next->next->kind == TUI_JSON_NULL);
    CHECK(!tui_json_get(j, "x") && !tui_json_get(n, "x") && !tui_json_get(j, "o")->first);
    tui_json_free(j);
    char deep[80];
    memset(deep, '[', sizeof deep);
    CHECK(tui_json_parse(&j, "deep", deep, sizeof deep, &err) == CUT_EFILE && strstr(err.msg, "too deep"));
}

/* ---- panels */

static void begin(struct tui_grid *g, int w, int h) {
    tui_grid_init(g, w, h, true);
    tui_grid_clear(g);
}

static void print(FILE *f, struct tui_grid *g, const char *what) {
    char *row = malloc((size_t)g->w * 8 + 1);
    fprintf(f, "# %s  %dx%d\n", what, g->w, g->h);
    for (int y = 0; y < g->h; y++) {
        size_t n = tui_grid_row(g, y, row);
        while (n && row[n - 1] == ' ') n--;
        fprintf(f, "%.*s\n", (int)n, row);
    }
    free(row);
    tui_grid_done(g);
}

static void shoot(FILE *f, struct perf_view *v, int w, int h, const char *what) {
    struct tui_grid g;
    begin(&g, w, h);
    perf_draw(v, tui_whole(&g));
    print(f, &g, what);
}

/* The status row, as wide as the app leaves it: points with tokens, one without. */
static void shoot_jobs(FILE *f, struct perf_view *v, struct tui_perf *p, int w) {
    static const struct { const char *job; int done, all; double part, whole, left, rate; } jobs[] = {
        { "decode, 2 threads, avx512: round 3 of 5", 96, 160, 0.6, 0.09, 42, 13.2 },
        { "decode behind 1536, 64 threads, avx512, on 0-2,5,4, beside reading memory: a clock on every step", 1024, 2057, 0.4978, 1, -1, 0 },
        { "peaks: vpdpbusd zmm, 2 threads", 0, 0, 0.031, 0.0004, 3600, 0 },
    };
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        struct tui_grid g;
        begin(&g, w, 1);
        snprintf(p->job, sizeof p->job, "%s", jobs[i].job);
        p->job_done = jobs[i].done, p->job_all = jobs[i].all, p->job_part = jobs[i].part;
        p->part = jobs[i].whole, p->left = jobs[i].left, p->rate = jobs[i].rate;
        perf_draw_job(v, tui_whole(&g));
        print(f, &g, "measuring");
    }
    p->job[0] = 0;
}

static void against_golden(const char *path, const char *got) {
    size_t n;
    if (getenv("CUT_UPDATE")) {
        FILE *f = fopen(path, "w");
        if (f) fputs(got, f), fclose(f);
    }
    char *want = test_read(path, &n);
    REQUIRE(want, "%s is missing: CUT_UPDATE=1 writes it", path);
    const char *a = want, *b = got;
    for (int line = 1; *a || *b; line++) {
        size_t la = strcspn(a, "\n"), lb = strcspn(b, "\n");
        if (la != lb || memcmp(a, b, la)) {
            test_fail(path, line, "the screen differs\n      want %.*s\n      got  %.*s", (int)la, a, (int)lb, b);
            break;
        }
        a += la + (a[la] == '\n');
        b += lb + (b[lb] == '\n');
    }
    free(want);
}

/* The instructions of a product: before they are counted, counted, without objdump, and of a line that has no weights. */
static void draw_code(FILE *f, struct perf_view *v, struct tui_perf *p, int w, int h) {
    struct tui_perf_kernel want;
    struct tui_perf_code *c = made_up_code();
    bool brief = w < 120;
    v->focus = PERF_STEPS;
    v->steps.cursor = brief ? 1 : 3;                           /* ffn gate/up */
    v->code_row = v->steps.cursor;
    v->menu = PERF_NO_MENU;
    shoot(f, v, w, h, "a row of the steps");
    v->menu = PERF_MENU_CODE;
    CHECK(perf_code_wanted(v, &want) && tui_perf_same_kernel(&want, &c->of));
    p->code = c;
    CHECK(!perf_code_wanted(v, &want));
    shoot(f, v, w, h, "instructions");
    snprintf(v->code_find, sizeof v->code_find, "1to16");
    CHECK(perf_code_find(v, 1) && v->code.cursor == 3 && perf_code_find(v, 1) && v->code.cursor == 8);
    CHECK(perf_code_find(v, -1) && v->code.cursor == 3 && perf_code_find(v, -1) && v->code.cursor == 28);
    CHECK(perf_code_key(v, 'g') && v->code.cursor == 0 && perf_code_key(v, TUI_KEY_PAGE_DOWN) && v->code.cursor > 5 && !perf_code_key(v, 'z'));
    snprintf(v->code_find, sizeof v->code_find, "no such");
    CHECK(!perf_code_find(v, 1));
    c->n = 0;
    snprintf(c->why, sizeof c->why, "objdump not found (Debian's package binutils)");
    shoot(f, v, w, h, "without objdump");
    CHECK(perf_code_key(v, TUI_KEY_LEFT) && v->code_line == 2 && !perf_code_wanted(v, &want));
    shoot(f, v, w, h, "a line without weights");
    CHECK(perf_code_key(v, 'l') && v->code_line == 0);
    if (brief) return;
    v->code_row = TUI_PERF_KINDS;                              /* waiting */
    CHECK(!perf_code_wanted(v, &want) && !perf_code_find(v, 1) && perf_code_key(v, 'l'));
    v->code_row = 3;
}

static void draw_all(const char *golden, int w, int h) {
    static const struct { enum perf_panel focus; const char *what; } panels[] = {
        { PERF_SWEEP, "threads" }, { PERF_ROOF, "roofline" }, { PERF_GANTT, "a layer by threads" }, { PERF_CONTEXT, "contexts" }, { PERF_BATCH, "sequences" }, { PERF_DIFF, "runs" }, { PERF_SAME, "the same bytes" },
    };
    struct tui_perf *p = sample();
    struct tui_perf_saved *a = run("0001", 100), *b = run("0002", 110);
    struct perf_view v = { .perf = p, .times = true };
    char *out;
    size_t len;
    CHECK(!tui_perf_compare(&p->diff, a, b, NULL));
    p->has_diff = true;
    FILE *f = open_memstream(&out, &len);
    for (size_t i = 0; i < sizeof panels / sizeof *panels; i++) {
        v.focus = panels[i].focus;
        v.below = v.focus == PERF_DIFF || v.focus == PERF_SAME || v.focus == PERF_BATCH ? v.focus : PERF_CONTEXT;
        v.same.cursor = 2;
        if (w < 120 || v.focus == PERF_SWEEP || v.below != PERF_CONTEXT) shoot(f, &v, w, h, panels[i].what);
    }
    /* The wait of t2 behind attention, 32 times as large; then as far in as it goes, and out again. */
    v.focus = PERF_GANTT;
    v.below = PERF_CONTEXT;
    v.gantt.cursor = 2;
    v.moment = 0.32;
    for (int i = 0; i < 5; i++) CHECK(perf_gantt_key(&v, 'z') && v.zoom == i + 1);
    shoot(f, &v, w, h, "a layer, zoomed");
    double moment = v.moment;
    CHECK(perf_gantt_key(&v, 'l') && v.moment > moment && v.moment < moment + 1e-3 && perf_gantt_key(&v, TUI_KEY_LEFT) && fabs(v.moment - moment) < 1e-12);
    /* 1 ms over `bars` columns: the next zoom is the whole again once a column is below 100 ns. */
    int bars = v.area[PERF_GANTT].w - 14, finest = 0;
    while (1e6 / bars / (1 << finest) >= 100) finest++;
    while (v.zoom < finest) perf_gantt_key(&v, 'z');
    shoot(f, &v, w, h, "a layer, zoomed as far as it goes");
    perf_gantt_key(&v, 'z');
    CHECK(v.zoom == 0 && perf_gantt_key(&v, 'Z') && v.zoom == 0);
    v.moment = 1;
    CHECK(perf_gantt_key(&v, 'l') && v.moment == 1 && !perf_gantt_key(&v, 'k'));
    v.focus = PERF_ROOF;
    v.below = PERF_CONTEXT;
    v.what_if = true;
    p->prefill = true;
    shoot(f, &v, w, h, "prefill, what if");
    v.focus = PERF_SWEEP;                                      /* tied to four processors, and beside a load */
    p->prefill = false;
    v.marked[0] = v.marked[2] = v.marked[3] = true;
    v.place = 2;
    v.menu = PERF_MENU_PLACES;
    shoot(f, &v, w, h, "places");
    p->pin = perf_marked(&v);
    v.menu = PERF_MENU_LOADS;
    v.menu_list.n = TUI_PERF_LOADS - 1;
    shoot(f, &v, w, h, "loads");
    v.menu = PERF_NO_MENU;
    p->load = TUI_PERF_LOAD_ONE;
    p->point[p->n_points] = point(false, CUT_TIER_REF, 3, 0, 60, 1);
    p->point[p->n_points].load = TUI_PERF_LOAD_ONE;
    tui_perf_pin_text(&p->pin, p->point[p->n_points++].where);
    shoot(f, &v, w, h, "tied, loaded");
    shoot_jobs(f, &v, p, w - 13);
    draw_code(f, &v, p, w, h);
    p->pin.n = 0;                                              /* sums divided: slower, and other bytes for every count */
    p->load = TUI_PERF_QUIET;
    p->ways = p->same_ways = TUI_PERF_SPLIT_K;
    p->n_points--;
    for (int t = 1; t <= 3; t++) {
        p->point[p->n_points] = point(false, CUT_TIER_REF, t, 0, 40 + 30 * (t - 1), 1);
        p->point[p->n_points].at.print = 7 + (uint64_t)t;
        p->point[p->n_points++].ways = TUI_PERF_SPLIT_K;
    }
    for (int i = 0; i < 2; i++)
        p->same[i].at = (struct cut_same){ .n_steps = 76, .n_differ = 70 + i, .pass = 1, .step = 3, .name = "blk.0.q", .op = "matmul", .weight = "blk.0.attn_q.weight",
                                           .col = 5, .a = 0.25f, .b = 0.25000003f, .ulps = 1 + i, .logits_ulps = 90 };
    struct tui_perf_profile *steps = profile(false);
    steps->ways = TUI_PERF_SPLIT_K;
    tui_perf_profile_free(p->profile[0]);
    p->profile[0] = steps;
    v.same.cursor = 0;
    v.below = PERF_SAME;
    for (v.focus = PERF_SWEEP; v.focus < PERF_PANELS; v.focus = v.focus == PERF_SWEEP ? PERF_GANTT : v.focus == PERF_GANTT ? PERF_SAME : PERF_PANELS)
        if (w < 120 || v.focus == PERF_SWEEP) shoot(f, &v, w, h, "sums divided");
    p->ways = steps->ways = TUI_PERF_BY_HEADS;                 /* attention by heads: 8 over 3 threads; by groups, 2 over 3 */
    for (int t = 0; t < 3; t++) steps->span[2 * 3 + t].t1 = steps->span[2 * 3 + t].t0 + (t == 2 ? 0 : 50000);
    steps->step[4].t1 = steps->span[4 * 3 + 1].t1 = steps->span[4 * 3 + 2].t1 = steps->span[4 * 3].t1;
    v.focus = PERF_GANTT;
    v.below = PERF_CONTEXT;
    v.moment = 0.3;
    shoot(f, &v, w, h, "attention by heads");
    p->ways = steps->ways = 0;
    if (w < 120) shoot(f, &v, w, h, "attention by groups");
    for (int x = 80; x < 170; x += 7)                          /* no size may draw outside; ASan looks */
        for (int y = 21; y < 50; y += 9) {
            FILE *null = fopen("/dev/null", "w");
            v.focus = (enum perf_panel)((x + y) % PERF_PANELS);
            v.zoom = x % 9;
            v.menu = (enum perf_menu)((x + y) % 3 == 2 ? PERF_MENU_CODE : (x + y) % 3 ? PERF_MENU_PLACES : PERF_NO_MENU);
            if (null) shoot(null, &v, x, y, ""), fclose(null);
        }
    fclose(f);
    against_golden(golden, out);
    free(out), free(a), free(b);
    drop(p);
}

/* The kernels' panel says what this processor has, so the goldens hold on x86-64 with AVX-512 alone. */
TEST(perf_panels_drawn) {
    if (cut_tier_best() != CUT_TIER_AVX512) SKIP("the pictures list the kernels of a processor with AVX-512");
    draw_all("tests/view/perf-drawn-80.txt", 80, 21);
    draw_all("tests/view/perf-drawn-160.txt", 160, 45);
}
