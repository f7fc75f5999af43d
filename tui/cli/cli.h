/* cli.h - the command line: a function per command, options from tables, errors as exit statuses.
 *
 * A command gets argv[0] = its own name and returns the exit status of the process. */
#ifndef CLI_H
#define CLI_H

#include "engine/cutaway.h"

enum { CLI_OK = 0, CLI_USAGE = 1, CLI_FILE = 2, CLI_NOMEM = 3, CLI_INTERRUPTED = 130 };   /* exit statuses */

int cli_main(int argc, char **argv);             /* what main() does: find the command and run it */

int cli_run(int argc, char **argv);
int cli_logits(int argc, char **argv);
int cli_tokenize(int argc, char **argv);
int cli_bench(int argc, char **argv);
int cli_ops(int argc, char **argv);
int cli_gate(int argc, char **argv);
int cli_profile(int argc, char **argv);
int cli_inspect(int argc, char **argv);
int cli_synth(int argc, char **argv);
int cli_vocab(int argc, char **argv);
int cli_train(int argc, char **argv);
int cli_perplexity(int argc, char **argv);
int cli_compare(int argc, char **argv);
int cli_quantize(int argc, char **argv);
int cli_quantize_method(int argc, char **argv);  /* with --method among its options */
bool cli_quantize_by_method(int argc, char **argv);
int cli_convert(int argc, char **argv);
int cli_imatrix(int argc, char **argv);
int cli_gguf(int argc, char **argv);
int cli_lab(int argc, char **argv);
int cli_lua(int argc, char **argv);
int cli_workbench(int argc, char **argv);        /* argv[0] is "cutaway": what runs when no command is named */

/* Print "cutaway: MSG" on stderr. Returns the exit status that goes with the code. */
int cli_error(const struct cut_err *err);
/* Print "cutaway COMMAND: MSG" and where to find help on stderr. Returns CLI_USAGE. command NULL: no command yet. */
int cli_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The model that comes with the program: models/pebble.gguf beside the executable, or that of an installation,
 * ../share/cutaway/models/pebble.gguf. Static; when neither is there, the first, so that an error can name it. */
const char *cli_bundled_model(void);

/* A script, malloc'd and terminated; "-" is standard input. NULL: err says why. */
char *cli_read_text(const char *path, size_t *len, struct cut_err *err);
/* The folder of the bundled models. */
void cli_models_folder(char *out, size_t size);

/* ---- options */

enum cli_kind {
    CLI_FLAG,      /* out: bool, set to true */
    CLI_INT,       /* out: int in [min, max] */
    CLI_U64,       /* out: struct cli_u64 */
    CLI_FLOAT,     /* out: float in [min, max] */
    CLI_CHOICE,    /* out: int, the place of the word in arg, which reads "f16|f32" */
    CLI_TEXT,      /* out: const char *, borrowed from argv */
    CLI_TEXTS,     /* out: struct cli_texts; may be repeated */
};
struct cli_u64 { uint64_t value; bool given; };
struct cli_texts { const char *item[16]; int n; };

/* Numbers and choices come with a default in *out, which the help shows. */
struct cli_opt {
    char key;              /* 'n' for -n; 0: none */
    const char *name;      /* "threads" for --threads; NULL: none */
    const char *arg;       /* "N"; NULL for flags */
    enum cli_kind kind;
    void *out;
    const char *help;
    double min, max;       /* both 0: no bounds */
};
struct cli_spec {
    const char *command;   /* "run" */
    const char *usage;     /* "[FILE] -p TEXT [options]" */
    const char *about;     /* a paragraph */
    const struct cli_opt *opts;
    int n_opts;
    int min_args, max_args;    /* of arguments that are no options */
};

/* Read argv: --opt value, --opt=value, -o value, -ovalue, "--" ends options. args gets the other arguments (at most
 * max_args). Returns CLI_GO, or the exit status when that was all: help was shown, or a mistake reported. */
enum { CLI_GO = -1 };
int cli_parse(const struct cli_spec *spec, int argc, char **argv, const char **args, int *n_args);

/* A list of numbers, "1,2,4", each in [min, max]. Returns CLI_GO, or the exit status after the mistake was reported. */
struct cli_list { int item[16], n; };
int cli_read_list(const char *command, const char *option, const char *text, int min, int max, struct cli_list *out);
int cli_list_most(const struct cli_list *l);

/* The options of a file, named by --config FILE in argv, put before those of argv. What was read from it lives until cli_config_free.
 * Returns CLI_GO (also when there is no --config), or the exit status after the mistake was reported. */
struct cli_config { int argc; char **argv; int n; char **words; };
int cli_config_read(struct cli_config *c, int argc, char **argv);
void cli_config_free(struct cli_config *c);

/* "Did you mean": offer names, then read best (NULL: none is near). */
struct cli_guess { const char *word, *best; int distance; };
void cli_guess_try(struct cli_guess *g, const char *name);

/* ---- what several commands need */

/* All of standard input, malloc'd and terminated. NULL after an error was printed; then *status is the exit status. */
char *cli_read_stdin(size_t *len, int *status);
/* A comparison as members of the open JSON object. */
void cli_json_damage(struct cut_json *j, const struct cut_damage *d);
/* The exit status when writing to stdout failed, after saying so; CLI_OK when all is written. */
int cli_flush_stdout(void);

/* From now on the first Ctrl-C asks the watched session to stop and is remembered; the second kills. */
void cli_interrupt_arm(void);
void cli_interrupt_watch(struct cut_session *s);     /* NULL before the session is freed */
bool cli_interrupted(void);

/* A model, a pool and a session, from the options that choose how to compute. */
struct cli_engine {
    int threads, ctx, batch, sequences, kv, activations, repack, reduce;
    bool no_mmap;
    const char *kernels;
    struct cut_model *model;
    struct cut_pool *pool;
    struct cut_session *session;
    double load_s;
};
enum { CLI_KV_F16, CLI_KV_F32 };
void cli_engine_init(struct cli_engine *e);
/* The rows of an option table that fill it; WHAT: all but the threads. */
#define CLI_ENGINE_OPTS(e)                                                                                            \
    { 't', "threads", "N", CLI_INT, &(e).threads, "threads that compute", 1, 256 },                                   \
    CLI_ENGINE_WHAT(e)
#define CLI_ENGINE_WHAT(e)                                                                                            \
    { 0, "kernels", "TIER", CLI_TEXT, &(e).kernels, "ref, avx2, avx512 or neon (default: the best here)", 0, 0 },     \
    { 0, "kv", "f16|f32", CLI_CHOICE, &(e).kv, "numbers in the key/value cache", 0, 0 },                              \
    { 0, "activations", "q8|f32", CLI_CHOICE, &(e).activations,                                                       \
      "what quantized weights are multiplied by", 0, 0 },                                                             \
    { 0, "repack", "auto|never|always", CLI_CHOICE, &(e).repack,                                                             \
      "copy quantized weights into the order products read", 0, 0 },                                                  \
    { 0, "reduce", "rows|split-k", CLI_CHOICE, &(e).reduce, "divide one token's products by rows, or their sums", 0, 0 }, \
    { 0, "no-mmap", NULL, CLI_FLAG, &(e).no_mmap, "read the file instead of mapping it: faster if just written", 0, 0 }
/* Open the model and make the session. Returns CLI_GO, or the exit status after an error was printed. */
int cli_engine_open(struct cli_engine *e, const char *command, const char *path);
const char *cli_engine_kernels(const struct cli_engine *e);      /* the tier that runs */
void cli_engine_close(struct cli_engine *e);

#endif
