/* cli.c - which command was meant, and what the whole program says about itself. */
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "tui/cli/cli.h"

static const struct command { const char *name; int (*run)(int, char **); const char *summary; } commands[] = {
    { "run",      cli_run,      "generate text from a prompt" },
    { "bench",    cli_bench,    "measure tokens per second" },
    { "ops",      cli_ops,      "compute a transformer's operations in several ways, timed" },
    { "profile",  cli_profile,  "find how speed depends on threads and prompts, with advice" },
    { "gate",     cli_gate,     "fail when quality or speed falls behind a baseline" },
    { "inspect",  cli_inspect,  "show what is in a model file" },
    { "tokenize", cli_tokenize, "turn text into token ids" },
    { "logits",   cli_logits,   "write the logits after each of some tokens" },
    { "synth",    cli_synth,    "write a model with generated weights" },
    { "vocab",    cli_vocab,    "learn a vocabulary from text" },
    { "train",    cli_train,    "train a model on text" },
    { "quantize", cli_quantize, "write a model in another file type" },
    { "convert-batch", cli_convert, "quantize many models, each tried and recorded" },
    { "imatrix",  cli_imatrix,  "measure which weights matter, for quantize" },
    { "gguf",     cli_gguf,     "change a model file's metadata" },
    { "perplexity", cli_perplexity, "measure how well a model predicts a text" },
    { "compare",  cli_compare,  "compare builds of a model over a text" },
    { "lab",      cli_lab,      "list, open and check labs" },
    { "lua",      cli_lua,      "run a Lua script on the engine" },
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

int cli_error(const struct cut_err *err) {
    fprintf(stderr, "cutaway: %s\n", err->msg);
    switch (err->code) {
    case CUT_EFILE:
    case CUT_ESYSTEM: return CLI_FILE;
    case CUT_ENOMEM: return CLI_NOMEM;
    case CUT_ECANCEL: return CLI_INTERRUPTED;
    default: return CLI_USAGE;
    }
}

int cli_usage(const char *command, const char *fmt, ...) {
    va_list ap;
    fprintf(stderr, "cutaway%s%s: ", command ? " " : "", command ? command : "");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nSee \"cutaway %s%s--help\".\n", command ? command : "", command ? " " : "");
    return CLI_USAGE;
}

static bool executable_folder(char *out, size_t cap) {
    ssize_t n = readlink("/proc/self/exe", out, cap - 1);
    if (n <= 0) return false;
    out[n] = 0;
    char *slash = strrchr(out, '/');
    if (slash) *slash = 0;
    return slash;
}

const char *cli_bundled_model(void) {
    static char beside[4200], shared[4200];
    char folder[4096];
    if (!executable_folder(folder, sizeof folder)) return "models/pebble.gguf";
    snprintf(beside, sizeof beside, "%s/models/pebble.gguf", folder);
    snprintf(shared, sizeof shared, "%s/../share/cutaway/models/pebble.gguf", folder);
    return access(beside, R_OK) && !access(shared, R_OK) ? shared : beside;
}

static int print_help(void) {
    printf("Cutaway " CUT_VERSION ", a workbench for learning how language models compute.\n\n"
           "usage: cutaway [FILE]             open the workbench on a model (GGUF; default: the bundled one)\n"
           "       cutaway COMMAND ...\n\n");
    for (int i = 0; i < N_COMMANDS; i++) printf("  %-13s %s\n", commands[i].name, commands[i].summary);
    printf("  %-13s %s\n\n", "help", "show this, or the help of a command");
    printf("  %-13s show this; \"cutaway COMMAND --help\" tells about a command\n", "--help");
    printf("  %-13s show the version and the kernels this processor can run\n\n", "--version");
    printf("Exit status: 0 success, 1 usage, 2 a file, 3 out of memory, 130 interrupted.\n");
    return cli_flush_stdout();
}

static int print_version(void) {
    printf("cutaway " CUT_VERSION "\nkernels:");
    for (int t = CUT_TIER_REF; t < CUT_TIER_COUNT; t++)
        if (cut_tier_available((enum cut_tier)t)) printf(" %s", cut_tier_name((enum cut_tier)t));
    printf(" (best: %s)\n", cut_tier_name(cut_tier_best()));
    return cli_flush_stdout();
}

static const struct command *find_command(const char *name) {
    for (int i = 0; i < N_COMMANDS; i++) if (!strcmp(commands[i].name, name)) return &commands[i];
    return NULL;
}

static int refuse_command(const char *name) {
    struct cli_guess g = { .word = name };
    for (int i = 0; i < N_COMMANDS; i++) cli_guess_try(&g, commands[i].name);
    cli_guess_try(&g, "help");
    if (g.best) return cli_usage(NULL, "no command or file \"%s\"; did you mean \"%s\"?", name, g.best);
    return cli_usage(NULL, "no command or file \"%s\"", name);
}

static int help(int argc, char **argv) {
    if (argc < 2) return print_help();
    const struct command *c = find_command(argv[1]);
    if (!c) return refuse_command(argv[1]);
    char flag[] = "--help", *args[] = { argv[1], flag, NULL };
    return c->run(2, args);
}

/* A word that is no command is a file for the workbench: when it is there, or looks like a path, so that a mistyped
 * path gets the error of a file and a mistyped command that of a command. */
static bool means_file(const char *word) {
    return strpbrk(word, "/.") || !access(word, F_OK);
}

int cli_main(int argc, char **argv) {
    const char *word = argc > 1 ? argv[1] : NULL;
    if (!word) return cli_workbench(argc, argv);
    if (!strcmp(word, "--help") || !strcmp(word, "-h")) return print_help();
    if (!strcmp(word, "--version") || !strcmp(word, "-V")) return print_version();
    if (!strcmp(word, "help")) return help(argc - 1, argv + 1);
    const struct command *c = find_command(word);
    if (c) return c->run(argc - 1, argv + 1);
    if (word[0] == '-' || means_file(word)) return cli_workbench(argc, argv);
    return refuse_command(word);
}
