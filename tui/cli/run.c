/* run.c - `cutaway run`: a prompt in, text out as it comes, and on stderr what it cost. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tui/cli/cli.h"

/* What emit needs to know about the text so far. */
struct printer {
    bool at_start;             /* nothing was printed yet: a leading space is the tokenizer's, not the text's */
    char last;
    int write_errno;
};

static void print(struct printer *p, const char *text, size_t len) {
    if (p->at_start && len) {
        p->at_start = false;
        if (text[0] == ' ') text++, len--;
    }
    if (!len) return;
    p->last = text[len - 1];
    errno = 0;
    if (fwrite(text, 1, len, stdout) < len || fflush(stdout)) p->write_errno = errno ? errno : EIO;
}

static bool emit(void *user, const char *text, size_t len, int32_t id) {
    struct printer *p = user;
    (void)id;
    print(p, text, len);
    return !p->write_errno && !cli_interrupted();
}

/* Different from run to run; printed with the statistics, so that any run can be repeated. */
static uint64_t seed_from_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return ((uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec + (uint64_t)getpid() * 7919u) % 1000000000u;
}

/* The ids to start from. An empty prompt is BOS alone, whatever the file says about adding it. */
static enum cut_status encode(const struct cut_vocab *v, const char *text, size_t len, bool special, int32_t **ids,
                              size_t *n, struct cut_err *err) {
    if (len) return cut_vocab_encode(v, text, len, CUT_ENCODE_BOS | (special ? CUT_ENCODE_SPECIAL : 0), ids, n, err);
    if (cut_vocab_bos(v) < 0)
        return cut_fail(err, CUT_EUSAGE, "-p \"\": this vocabulary has no BOS token to start from");
    *ids = malloc(sizeof **ids);
    if (!*ids) return cut_fail(err, CUT_ENOMEM, "out of memory: the prompt");
    **ids = cut_vocab_bos(v);
    *n = 1;
    return CUT_OK;
}

static void print_rate(const char *what, uint64_t n, double seconds) {
    fprintf(stderr, "%-10s %6llu tokens in %8.3f s", what, (unsigned long long)n, seconds);
    if (n && seconds > 0) fprintf(stderr, ", %10.1f tokens/s", (double)n / seconds);
    fprintf(stderr, "\n");
}

static double mib(uint64_t bytes) { return (double)bytes / (1024 * 1024); }

static void print_stats(const struct cli_engine *e, const struct cut_generate_stats *g,
                        const struct cut_sampler_opts *so) {
    static const char *const ends[] = { "the asked number of tokens", "an end token", "a stop string",
                                        "a full context" };
    const struct cut_config *c = cut_model_config(e->model);
    struct cut_kv_state kv = cut_session_kv(e->session);
    struct cut_memory mem = cut_session_memory(e->session);
    uint64_t evaluated = cut_session_counters(e->session).tokens, n_prompt = (uint64_t)g->n_prompt;

    fprintf(stderr, "\n%-10s %s, %s %s, %.1f M parameters, in %.3f s\n", "load",
            cut_gguf_head(cut_model_gguf(e->model))->name, c->arch, cut_model_type_name(e->model),
            (double)c->n_params / 1e6, e->load_s);
    print_rate("prefill", evaluated < n_prompt ? evaluated : n_prompt, g->prefill_s);
    print_rate("decode", evaluated < n_prompt ? 0 : evaluated - n_prompt, g->decode_s);
    fprintf(stderr, "%-10s %d tokens, ended by %s\n", "generated", g->n_generated,
            cli_interrupted() ? "Ctrl-C" : ends[g->end]);
    fprintf(stderr, "%-10s weights %.1f MiB, ", "memory", mib(mem.weights));
    if (mem.panels) fprintf(stderr, "repacked %.1f MiB, ", mib(mem.panels));
    fprintf(stderr, "cache %.1f MiB, activations %.1f MiB; %d of %d cells used\n", mib(mem.kv), mib(mem.activations), kv.n_used,
            kv.n_cells);
    fprintf(stderr, "%-10s threads %d, kernels %s, temp %g, seed %llu\n", "settings", e->threads, cli_engine_kernels(e),
            (double)so->temp, (unsigned long long)so->seed);
}

struct request {
    struct cli_engine e;
    struct cut_sampler_opts so;
    struct cut_generate_opts go;
    const char *prompt;
    size_t len;
    bool special;
};

/* With the model open: generate. Returns the exit status. */
static int generate(struct request *r) {
    const struct cut_vocab *v = cut_model_vocab(r->e.model);
    struct cut_sampler *sampler = NULL;
    struct cut_generate_stats stats = { 0 };
    struct cut_err err = { 0 };
    int32_t *ids = NULL;
    size_t n_ids = 0;
    int n_cells = cut_session_opts(r->e.session)->n_ctx, status;

    enum cut_status s = encode(v, r->prompt, r->len, r->special, &ids, &n_ids, &err);
    if (!s && n_ids > (size_t)n_cells)
        s = cut_fail(&err, CUT_EFULL, "the prompt has %zu tokens and the context %d cells; --ctx N makes it larger",
                     n_ids, n_cells);
    if (!s) s = cut_sampler_new(&sampler, cut_model_config(r->e.model)->n_vocab, &r->so, &err);
    if (s) {
        status = cli_error(&err);
    } else {
        struct printer p = { .last = '\n' };
        print(&p, r->prompt, r->len);
        p.at_start = r->len == 0;
        s = p.write_errno ? CUT_ECANCEL
                          : cut_generate(r->e.session, sampler, ids, (int)n_ids, &r->go, emit, &p, &stats, &err);
        if (p.last != '\n' && !p.write_errno) print(&p, "\n", 1);
        if (p.write_errno) {
            fprintf(stderr, "cutaway: standard output: %s\n", strerror(p.write_errno));
            status = CLI_FILE;
        } else if (s && !cli_interrupted()) {
            status = cli_error(&err);
        } else {
            print_stats(&r->e, &stats, &r->so);
            status = cli_interrupted() ? CLI_INTERRUPTED : CLI_OK;
        }
    }
    cut_sampler_free(sampler);
    free(ids);
    return status;
}

int cli_run(int argc, char **argv) {
    struct request r = { .so = cut_sampler_defaults, .go = { .n_predict = 128 } };
    struct cut_sampler_opts *so = &r.so;
    struct cli_u64 seed = { 0 };
    struct cli_texts stop = { 0 };
    cli_engine_init(&r.e);
    const struct cli_opt opts[] = {
        { 'p', "prompt", "TEXT", CLI_TEXT, &r.prompt, "the prompt; - reads standard input, \"\": from BOS", 0, 0 },
        { 'n', "predict", "N", CLI_INT, &r.go.n_predict, "tokens to generate, -1: until the end", -1, 1e9 },
        { 0, "temp", "T", CLI_FLOAT, &so->temp, "temperature, 0: always the likeliest token", 0, 0 },
        { 0, "top-k", "K", CLI_INT, &so->top_k, "keep the K likeliest, 0: off", 0, 0 },
        { 0, "top-p", "P", CLI_FLOAT, &so->top_p, "keep the likeliest that sum to P, 1: off", 0, 0 },
        { 0, "min-p", "P", CLI_FLOAT, &so->min_p, "keep those of P times the likeliest, 0: off", 0, 0 },
        { 0, "repeat-penalty", "R", CLI_FLOAT, &so->repeat_penalty, "make repetition less likely, 1: off", 0, 0 },
        { 0, "repeat-last", "N", CLI_INT, &so->repeat_last, "tokens the penalty looks back at", 0, 0 },
        { 's', "seed", "N", CLI_U64, &seed, "of the draws (default: from the clock)", 0, 0 },
        { 0, "stop", "TEXT", CLI_TEXTS, &stop, "end before this text; may be repeated", 0, 0 },
        { 0, "ignore-eos", NULL, CLI_FLAG, &r.go.ignore_end, "go on past end tokens", 0, 0 },
        { 0, "special", NULL, CLI_FLAG, &r.special, "read control tokens such as </s> in the prompt", 0, 0 },
        { 'c', "ctx", "N", CLI_INT, &r.e.ctx, "cells of the cache, 0: as the model says", 0, 1 << 30 },
        { 'b', "batch", "N", CLI_INT, &r.e.batch, "tokens in one pass, 0: 512", 0, 1 << 20 },
        CLI_ENGINE_OPTS(r.e),
    };
    const struct cli_spec spec = {
        "run", "[FILE] -p TEXT [options]",
        "Generate text: the prompt and what follows it go to standard output as they come,\n"
        "statistics to standard error. Without FILE, the bundled model runs. A prompt from standard\n"
        "input loses its last newline. Ctrl-C stops.",
        opts, sizeof opts / sizeof *opts, 0, 1,
    };
    const char *file = NULL;
    int n_args, status = cli_parse(&spec, argc, argv, &file, &n_args);
    if (status != CLI_GO) return status;
    struct cut_err err = { 0 };
    if (cut_sampler_check(so, &err)) return cli_usage("run", "%s", err.msg);
    if (!r.prompt) return cli_usage("run", "no prompt: give one with -p TEXT (-p - reads it from standard input)");
    for (int i = 0; i < stop.n; i++)
        if (!stop.item[i][0]) return cli_usage("run", "--stop \"\": an empty text would end every text at once");
    so->seed = seed.given ? seed.value : seed_from_clock();
    r.go.stop = stop.item;
    r.go.n_stop = stop.n;
    r.len = strlen(r.prompt);

    cli_interrupt_arm();
    char *input = NULL;
    if (!strcmp(r.prompt, "-")) {
        r.prompt = input = cli_read_stdin(&r.len, &status);
        if (!input) return status;
        if (r.len && input[r.len - 1] == '\n') r.len--;       /* what "echo TEXT |" adds */
    }
    status = cli_engine_open(&r.e, "run", file ? file : cli_bundled_model());
    if (status == CLI_GO) {
        status = generate(&r);
        cli_engine_close(&r.e);
    }
    free(input);
    return status;
}
