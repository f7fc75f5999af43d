/* bench.c - `cutaway bench`: tokens per second, over lists of threads, sequences, depths and lengths; and the machine's own peaks.
 *
 * What is printed of each is the median of its rounds, and the quartiles beside it; a row whose quartiles lie more than 5 % of
 * the median apart is marked noisy, and says little. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tui/cli/cli.h"

enum format { TABLE, JSON, CSV, MARKDOWN };

struct row {
    int file, threads, seqs, depth, p, n;
    enum cut_tier asked;               /* kernels */
    struct cut_bench_result r;
    struct cut_speed prefill, decode;
    char name[256], type[16], tier[16];        /* of the model, kept when its engine is closed */
    uint64_t params, weight_bytes;
    double want_prefill, want_decode;          /* predicted from depth 0; 0: not */
    bool by_flops;                             /* decode: the prediction is arithmetic's, not memory's */
};
struct bench {
    struct cli_engine e;
    struct cli_list threads, seqs, depth, p, n, cpus;
    enum cut_tier tier[CUT_TIER_COUNT];
    const char *file[16];
    int n_tiers, n_files;
    int rounds;
    enum format format;
    struct row *row;
    int n_rows, done;
    bool show;
};

/* On a terminal, one line on stderr that is written over. */
static bool progress(void *user, double part, const char *what) {
    const struct bench *b = user;
    if (b->show) {
        fprintf(stderr, "\r\033[K%3.0f%%  %s", (b->done + part) / b->n_rows * 100, what);
        fflush(stderr);
    }
    return !cli_interrupted();
}

/* Bytes of weights read a second: each pass of decode reads them once, for all its sequences. */
static double weights_read(const struct row *r) { return r->decode.median / r->seqs * (double)r->weight_bytes; }

static bool any_noisy(const struct bench *b) {
    for (int i = 0; i < b->n_rows; i++) if (b->row[i].prefill.noisy || b->row[i].decode.noisy) return true;
    return false;
}

/* ---- printing */

static void print_heading(const struct row *r) {
    printf("%s: %s, %.1f M parameters, %.1f MiB", r->name, r->type, (double)r->params / 1e6, (double)r->weight_bytes / (1024 * 1024));
}

/* One line of a file of the system; "" where it cannot be read. */
static void first_line(const char *path, char out[64]) {
    FILE *f = fopen(path, "r");
    if (!f || !fgets(out, 64, f)) out[0] = 0;
    if (f) fclose(f);
    out[strcspn(out, " \n")] = 0;
}

/* What else decides a speed: how far to trust the figures. */
static void print_machine(const struct bench *b) {
    char governor[64], load[64];
    first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor);
    first_line("/proc/loadavg", load);
    printf("\nMedians of %d rounds after a warm-up", b->rounds);
    if (governor[0]) printf("; governor %s", governor);
    if (load[0]) printf("; load of the last minute %s on %d processors", load, cut_cpu_count());
    printf(".\n");
    if (any_noisy(b)) printf("~: the quartiles are more than 5 %% apart. Something else is running: measure again.\n");
}

static void print_rounds(const struct bench *b) {
    const struct row *r = b->row;
    print_heading(r);
    printf("; kernels %s; threads %d", r->tier, r->threads);
    if (r->seqs > 1) printf(", %d sequences", r->seqs);
    if (r->depth) printf(", behind %d tokens", r->depth);
    printf("\n\ntokens/s     prefill %-6d  decode %d\n", r->p, r->n);
    for (int i = 0; i < b->rounds; i++) printf("round %-3d  %14.2f  %10.2f\n", i + 1, r->r.round[i].prefill_tps,
                                               r->r.round[i].decode_tps);
    printf("%-9s  %14.2f%c %10.2f%c\n", "median", r->r.prefill_tps, r->prefill.noisy ? '~' : ' ', r->r.decode_tps, r->decode.noisy ? '~' : ' ');
    print_machine(b);
}

/* "1234.5 (1200-1260)", or "-" for what was not measured; ~: noisy. */
static const char *speed_text(char buf[48], const struct cut_speed *s) {
    if (!s->n) snprintf(buf, 48, "-");
    else snprintf(buf, 48, "%.2f (%.2f-%.2f)%s", s->median, s->q1, s->q3, s->noisy ? " ~" : "");
    return buf;
}

/* "1234.5  1300.2  1.05", measured, predicted, and how much longer it took; or dashes. */
static const char *predicted_text(char buf[48], const struct cut_speed *is, double want) {
    if (is->n && want > 0) snprintf(buf, 48, "%10.2f  %10.2f  %4.2f", is->median, want, want / is->median);
    else snprintf(buf, 48, "%10s  %10s  %4s", "-", "-", "-");
    return buf;
}

static void print_predictions(const struct bench *b) {
    char prefill[48], decode[48];
    bool any = false;
    for (int i = 0; i < b->n_rows; i++) {
        const struct row *r = &b->row[i];
        if (!r->want_prefill && !r->want_decode) continue;
        if (!any) printf("\nthreads  seqs  depth  %6s  %10s  %10s  time  %6s  %10s  %10s  time  limit\n", "p", "prefill", "predicted", "n",
                         "decode", "predicted");
        any = true;
        printf("%7d %5d %6d  %6d  %s  %6d  %s  %s\n", r->threads, r->seqs, r->depth, r->p,
               predicted_text(prefill, &r->prefill, r->want_prefill), r->n, predicted_text(decode, &r->decode, r->want_decode),
               !r->want_decode ? "-" : r->by_flops ? "flops" : "bytes");
    }
    if (any) printf("\npredicted: the time at depth 0, and for what comes on top its flops at the peak of float multiply-adds or (decode) its\n"
                    "bytes at the speed of depth 0, whichever takes longer: the limit. time: measured by predicted\n");
}

static void print_table(const struct bench *b) {
    char prefill[48], decode[48];
    if (b->n_rows == 1) {
        print_rounds(b);
        return;
    }
    for (int i = 0; i < b->n_rows; i++) {
        const struct row *r = &b->row[i];
        if (!i || r->file != r[-1].file) {
            print_heading(r);
            printf("\n\nkernels  threads  seqs  depth  %6s  %-32s %6s  %-32s  weights GB/s\n", "p", "prefill tokens/s", "n", "decode tokens/s");
        }
        printf("%-7s %8d %5d %6d  %6d  %-32s %6d  %-32s  %12.2f\n", r->tier, r->threads, r->seqs, r->depth, r->p,
               speed_text(prefill, &r->prefill), r->n, speed_text(decode, &r->decode), weights_read(r) / 1e9);
        if (i + 1 < b->n_rows && r[1].file != r->file) printf("\n");
    }
    print_predictions(b);
    print_machine(b);
}

static void print_markdown(const struct bench *b) {
    char prefill[48], decode[48];
    printf("| model | type | kernels | threads | sequences | depth | test | tokens/s |\n"
           "| --- | --- | --- | ---: | ---: | ---: | --- | ---: |\n");
    for (int i = 0; i < b->n_rows; i++) {
        const struct row *r = &b->row[i];
        if (r->p) printf("| %s | %s | %s | %d | 1 | %d | prefill %d | %s |\n", r->name, r->type, r->tier, r->threads, r->depth, r->p,
                         speed_text(prefill, &r->prefill));
        if (r->n) printf("| %s | %s | %s | %d | %d | %d | decode %d | %s |\n", r->name, r->type, r->tier, r->threads, r->seqs,
                         r->depth, r->n, speed_text(decode, &r->decode));
    }
}

static void print_csv(const struct bench *b) {
    printf("model,type,tier,threads,sequences,depth,p,n,rounds,prefill_tps,prefill_q1,prefill_q3,decode_tps,"
           "decode_q1,decode_q3,weights_bytes_per_s\n");
    for (int i = 0; i < b->n_rows; i++) {
        const struct row *r = &b->row[i];
        printf("\"%s\",%s,%s,%d,%d,%d,%d,%d,%d,%.4f,%.4f,%.4f,%.4f,%.4f,%.4f,%.0f\n", r->name, r->type, r->tier, r->threads,
               r->seqs, r->depth, r->p, r->n, b->rounds,
               r->prefill.median, r->prefill.q1, r->prefill.q3, r->decode.median, r->decode.q1, r->decode.q3, weights_read(r));
    }
}

static void json_row(struct cut_json *j, const struct bench *b, const struct row *r) {
    cut_json_open(j, NULL, '{');
    cut_json_num(j, "prefill_tps", r->r.prefill_tps);
    cut_json_num(j, "decode_tps", r->r.decode_tps);
    cut_json_str(j, "model", r->name, strlen(r->name));
    cut_json_str(j, "type", r->type, strlen(r->type));
    cut_json_int(j, "threads", r->threads);
    cut_json_str(j, "tier", r->tier, strlen(r->tier));
    cut_json_int(j, "p", r->p);
    cut_json_int(j, "n", r->n);
    cut_json_int(j, "sequences", r->seqs);
    cut_json_int(j, "depth", r->depth);
    if (r->want_prefill) cut_json_num(j, "predicted_prefill", r->want_prefill);
    if (r->want_decode) cut_json_num(j, "predicted_decode", r->want_decode);
    if (r->want_decode) cut_json_str(j, "predicted_limit", r->by_flops ? "flops" : "bytes", 5);
    cut_json_bool(j, "noisy", r->prefill.noisy || r->decode.noisy);
    cut_json_num(j, "weights_bytes_per_s", weights_read(r));
    cut_json_open(j, "rounds", '[');
    for (int i = 0; i < b->rounds; i++) {
        cut_json_open(j, NULL, '{');
        cut_json_num(j, "prefill_tps", r->r.round[i].prefill_tps);
        cut_json_num(j, "decode_tps", r->r.round[i].decode_tps);
        cut_json_close(j, '}');
    }
    cut_json_close(j, ']');
    cut_json_str(j, "version", CUT_VERSION, strlen(CUT_VERSION));
    cut_json_close(j, '}');
}

/* One measurement is an object, several are an array of them. */
static void print_json(const struct bench *b) {
    struct cut_json j;
    cut_json_init(&j, stdout);
    if (b->n_rows > 1) cut_json_open(&j, NULL, '[');
    for (int i = 0; i < b->n_rows; i++) json_row(&j, b, &b->row[i]);
    if (b->n_rows > 1) cut_json_close(&j, ']');
}

/* ---- measuring */

/* What depth 0 lets expect of this depth, if it was measured: more cells are read and multiplied, and nothing else changes. Cells read by
 * several tokens of a prefill are read once for many of them, so there flops decide. */
static enum cut_status predict(struct bench *b, struct row *r, enum cut_tier tier, struct cut_err *err) {
    const struct row *base = b->row;
    while (base < r && (base->depth || base->file != r->file || base->asked != r->asked || base->threads != r->threads || base->seqs != r->seqs ||
                        base->p != r->p || base->n != r->n)) base++;
    if (base == r) return CUT_OK;
    struct cut_peaks *p = calloc(1, sizeof *p);
    if (!p) return cut_fail(err, CUT_ENOMEM, "out of memory: the machine's peaks");
    enum cut_status st = cut_peaks(p, &(struct cut_peaks_opts){ .threads = r->threads, .seconds = 0.005, .bytes = 1 << 20 }, NULL, NULL, err);
    double peak = st ? 0 : cut_peak_rate(p, CUT_PEAK_F32, tier, r->threads);
    free(p);
    if (st || !peak) return st;
    if (r->p) {
        double t0 = r->p / base->prefill.median, flops = (double)(r->r.prefill_flops - base->r.prefill_flops);
        r->want_prefill = r->p / (t0 + flops / peak);
    }
    if (r->n) {
        double tokens = (double)r->n * r->seqs, t0 = tokens / base->decode.median, rate = (double)base->r.decode_bytes / t0;
        double by_bytes = (double)(r->r.decode_bytes - base->r.decode_bytes) / rate;
        double by_flops = (double)(r->r.decode_flops - base->r.decode_flops) / peak;
        r->by_flops = by_flops > by_bytes;
        r->want_decode = tokens / (t0 + (r->by_flops ? by_flops : by_bytes));
    }
    return CUT_OK;
}

static int measure(struct bench *b, struct row *r) {
    struct cut_err err = { 0 };
    struct cut_bench_opts o = { .p = r->p, .n = r->n, .r = b->rounds, .depth = r->depth, .n_seq = r->seqs };
    double prefill[64], decode[64];
    b->e.threads = r->threads;
    b->e.sequences = r->seqs;
    b->e.kernels = cut_tier_name(r->asked);
    b->e.ctx = r->depth + (r->p > r->n ? r->p : r->n);
    int status = cli_engine_open(&b->e, "bench", b->file[r->file]);
    if (status != CLI_GO) return status;
    const struct cut_config *c = cut_model_config(b->e.model);
    snprintf(r->name, sizeof r->name, "%s", cut_gguf_head(cut_model_gguf(b->e.model))->name);
    snprintf(r->type, sizeof r->type, "%s", cut_model_type_name(b->e.model));
    snprintf(r->tier, sizeof r->tier, "%s", cli_engine_kernels(&b->e));
    r->params = c->n_params;
    r->weight_bytes = c->weight_bytes;
    enum cut_tier tier = cut_session_opts(b->e.session)->tier;
    enum cut_status st = cut_pool_pin(b->e.pool, b->cpus.item, b->cpus.n, &err);
    if (!st) st = cut_bench(b->e.session, &o, progress, b, &r->r, &err);
    cli_engine_close(&b->e);
    if (st) return cli_error(&err);
    for (int i = 0; i < b->rounds; i++) {
        prefill[i] = r->r.round[i].prefill_tps;
        decode[i] = r->r.round[i].decode_tps;
    }
    cut_speed_of(&r->prefill, prefill, r->p ? b->rounds : 0);
    cut_speed_of(&r->decode, decode, r->n ? b->rounds : 0);
    if (r->depth) st = predict(b, r, tier, &err);
    b->done++;
    return st ? cli_error(&err) : CLI_GO;
}

/* Every combination of files, kernels, threads, sequences and depth; within one, the lengths of prefill and of decode side by side. */
static bool plan(struct bench *b) {
    int pairs = b->p.n > b->n.n ? b->p.n : b->n.n, each = b->seqs.n * b->depth.n * pairs;
    int n = b->n_files * b->n_tiers * b->threads.n * each;
    b->row = calloc((size_t)n, sizeof *b->row);
    for (int i = 0; b->row && i < n; i++) {
        int pair = i % pairs, depth = i / pairs % b->depth.n, seqs = i / pairs / b->depth.n % b->seqs.n, of = i / each;
        struct row r = { .file = of / b->threads.n / b->n_tiers, .asked = b->tier[of / b->threads.n % b->n_tiers],
                         .threads = b->threads.item[of % b->threads.n], .seqs = b->seqs.item[seqs], .depth = b->depth.item[depth],
                         .p = pair < b->p.n ? b->p.item[pair] : 0, .n = pair < b->n.n ? b->n.item[pair] : 0 };
        if (r.p || r.n) b->row[b->n_rows++] = r;
    }
    return b->row;
}

/* "ref,avx2", or "all": what this processor can run. */
static int read_tiers(struct bench *b, const char *text) {
    struct cut_err err = { 0 };
    char word[16];
    if (!strcmp(text, "all")) {
        for (int t = CUT_TIER_REF; t < CUT_TIER_COUNT; t++)
            if (cut_tier_available((enum cut_tier)t)) b->tier[b->n_tiers++] = (enum cut_tier)t;
        return CLI_GO;
    }
    for (const char *p = text, *end = text; *end; p = end + 1) {
        end = p + strcspn(p, ",");
        snprintf(word, sizeof word, "%.*s", (int)(end - p < 15 ? end - p : 15), p);
        if (b->n_tiers == CUT_TIER_COUNT) return cli_usage("bench", "--kernels %s: too many of them", text);
        if (cut_tier_parse(&b->tier[b->n_tiers++], word, &err)) return cli_usage("bench", "--%s", err.msg);
    }
    return b->n_tiers ? CLI_GO : cli_usage("bench", "--kernels \"\": not one of auto, ref, avx2, avx512, neon, nor all");
}

/* ---- peaks */

static void print_peaks(const struct cut_peaks *p, enum format f) {
    struct cut_json j;
    cut_json_init(&j, stdout);
    if (f == JSON) cut_json_open(&j, NULL, '[');
    if (f == CSV) printf("kind,tier,instruction,threads,rate,median\n");
    if (f == MARKDOWN) printf("| kind | tier | instruction | threads | best | median |\n| --- | --- | --- | ---: | ---: | ---: |\n");
    if (f == TABLE) printf("%-6s %-7s %-33s %7s %14s %14s\n", "kind", "tier", "instruction", "threads", "best", "median");
    for (int i = 0; i < p->n; i++) {
        const struct cut_peak *k = &p->peak[i];
        const char *kind = cut_peak_name(k->kind), *tier = k->kind == CUT_PEAK_READ ? "-" : cut_tier_name(k->tier);
        const char *unit = k->kind == CUT_PEAK_READ ? "GB/s" : "Gop/s";
        if (f == TABLE) printf("%-6s %-7s %-33s %7d %8.1f %-5s %8.1f %s\n", kind, tier, k->instruction, k->threads,
                               k->rate / 1e9, unit, k->median / 1e9, unit);
        if (f == MARKDOWN) printf("| %s | %s | %s | %d | %.1f %s | %.1f %s |\n", kind, tier, k->instruction, k->threads,
                                  k->rate / 1e9, unit, k->median / 1e9, unit);
        if (f == CSV) printf("%s,%s,\"%s\",%d,%.0f,%.0f\n", kind, tier, k->instruction, k->threads, k->rate, k->median);
        if (f != JSON) continue;
        cut_json_open(&j, NULL, '{');
        cut_json_str(&j, "kind", kind, strlen(kind));
        cut_json_str(&j, "tier", tier, strlen(tier));
        cut_json_str(&j, "instruction", k->instruction, strlen(k->instruction));
        cut_json_int(&j, "threads", k->threads);
        cut_json_num(&j, "rate", k->rate);
        cut_json_num(&j, "median", k->median);
        cut_json_close(&j, '}');
    }
    if (f == JSON) cut_json_close(&j, ']');
    if (f == TABLE) printf("\nA multiplication and an addition count as two operations. "
                           "best: of 7 runs; a median far below it: the machine is busy.\n");
}

static int peaks(struct bench *b) {
    static struct cut_peaks p;
    struct cut_err err = { 0 };
    b->n_rows = 1;
    enum cut_status st = cut_peaks(&p, &(struct cut_peaks_opts){ .threads = b->threads.n ? cli_list_most(&b->threads) : 0 },
                                   progress, b, &err);
    if (b->show) fprintf(stderr, "\r\033[K");
    if (st) return cli_error(&err);
    print_peaks(&p, b->format);
    return cli_flush_stdout();
}

/* ---- the command */

int cli_bench(int argc, char **argv) {
    struct bench b = { .rounds = 3, .show = isatty(STDERR_FILENO) };
    const char *p = "512", *n = "64", *threads = NULL, *seqs = "1", *depth = "0", *tiers = "auto", *cpus = NULL;
    bool json = false, measure_peaks = false;
    int format = TABLE, n_args;
    cli_engine_init(&b.e);
    const struct cli_opt opts[] = {
        { 'p', "prefill", "LIST", CLI_TEXT, &p, "tokens of prefill, 0: none (default 512)", 0, 0 },
        { 'n', "decode", "LIST", CLI_TEXT, &n, "tokens of decode, 0: none (default 64)", 0, 0 },
        { 't', "threads", "LIST", CLI_TEXT, &threads, "threads that compute (default: all processors)", 0, 0 },
        { 0, "sequences", "LIST", CLI_TEXT, &seqs, "sequences that decode together (default 1)", 0, 0 },
        { 'd', "depth", "LIST", CLI_TEXT, &depth, "tokens in the cache before (default 0)", 0, 0 },
        { 0, "kernels", "LIST", CLI_TEXT, &tiers, "ref,avx2,.. or all: tiers of kernels (default: the best here)", 0, 0 },
        { 0, "cpus", "LIST", CLI_TEXT, &cpus, "tie thread i to the i-th of these processors", 0, 0 },
        { 'r', "rounds", "N", CLI_INT, &b.rounds, "rounds after the warm-up", 1, 64 },
        { 'b', "batch", "N", CLI_INT, &b.e.batch, "tokens in one pass, 0: 512", 0, 1 << 20 },
        { 'o', "output", "table|json|csv|markdown", CLI_CHOICE, &format, "how to print", 0, 0 },
        { 0, "json", NULL, CLI_FLAG, &json, "the same as -o json", 0, 0 },
        { 0, "peaks", NULL, CLI_FLAG, &measure_peaks, "measure the machine instead: memory, float, int8 and bf16", 0, 0 },
        { 0, "kv", "f16|f32", CLI_CHOICE, &b.e.kv, "numbers in the key/value cache", 0, 0 },
        { 0, "activations", "q8|f32", CLI_CHOICE, &b.e.activations, "what quantized weights are multiplied by", 0, 0 },
        { 0, "repack", "auto|never|always", CLI_CHOICE, &b.e.repack, "copy quantized weights into the order products read", 0, 0 },
        { 0, "reduce", "rows|split-k", CLI_CHOICE, &b.e.reduce, "divide one token's products by rows, or their sums", 0, 0 },
        { 0, "no-mmap", NULL, CLI_FLAG, &b.e.no_mmap, "read the file instead of mapping it", 0, 0 },
    };
    const struct cli_spec spec = {
        "bench", "[FILE..] [options]",
        "Measure tokens per second: prefill of a prompt and decode of single tokens, each from an empty cache or behind --depth\n"
        "tokens, in rounds after a warm-up; the median counts. A LIST is a number, or several: 1,2,4. Lengths of -p and -n go\n"
        "side by side, all else is combined, several files too. Several sequences decode a token each in a pass; the speed is that\n"
        "of all. Where the first depth is 0, what it lets expect of the others is printed beside what they were. Ctrl-C stops.",
        opts, sizeof opts / sizeof *opts, 0, 16,
    };
    int status = cli_parse(&spec, argc, argv, b.file, &n_args);
    if (status != CLI_GO) return status;
    if ((status = cli_read_list("bench", "-p", p, 0, 1 << 24, &b.p)) != CLI_GO) return status;
    if ((status = cli_read_list("bench", "-n", n, 0, 1 << 24, &b.n)) != CLI_GO) return status;
    if (threads && (status = cli_read_list("bench", "-t", threads, 1, 256, &b.threads)) != CLI_GO) return status;
    if ((status = cli_read_list("bench", "--sequences", seqs, 1, 256, &b.seqs)) != CLI_GO) return status;
    if ((status = cli_read_list("bench", "--depth", depth, 0, 1 << 24, &b.depth)) != CLI_GO) return status;
    if (cpus && (status = cli_read_list("bench", "--cpus", cpus, 0, 1023, &b.cpus)) != CLI_GO) return status;
    if ((status = read_tiers(&b, tiers)) != CLI_GO) return status;
    b.format = json ? JSON : (enum format)format;
    if (measure_peaks && n_args) return cli_usage("bench", "\"%s\": --peaks measures the machine, not a model", b.file[0]);
    if (!cli_list_most(&b.p) && !cli_list_most(&b.n)) return cli_usage("bench", "-p %s -n %s: nothing to measure", p, n);

    cli_interrupt_arm();
    if (measure_peaks) return peaks(&b);
    if (!b.threads.n) b.threads = (struct cli_list){ { cut_cpu_count() }, 1 };
    b.n_files = n_args ? n_args : 1;
    if (!n_args) b.file[0] = cli_bundled_model();
    if (!plan(&b)) return cli_error(&(struct cut_err){ CUT_ENOMEM, "out of memory: the list of measurements" });
    for (int i = 0; status == CLI_GO && i < b.n_rows; i++) status = measure(&b, &b.row[i]);
    if (b.show) fprintf(stderr, "\r\033[K");
    if (status == CLI_GO) {
        static void (*const print[])(const struct bench *) = { print_table, print_json, print_csv, print_markdown };
        print[b.format](&b);
        status = cli_flush_stdout();
    }
    free(b.row);
    return status;
}
