/* synth.c - `cutaway synth`: write a model whose every weight follows from a seed. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tui/cli/cli.h"

static const char help[] =
    "usage: cutaway synth OUT.gguf ARCH [KEY=VALUE ...]\n"
    "Write a model whose every weight follows from a seed.\n"
    "\n"
    "ARCH: llama\n"
    "  dim=256 ffn=512 layers=2     widths and depth\n"
    "  heads=8 kv_heads=4           attention heads, and those that hold keys and values\n"
    "  head_dim=dim/heads           even\n"
    "  vocab=512                    tokens, from 286\n"
    "  ctx=2048 swa=0               context; sliding window, 0: none\n"
    "  base=10000 eps=1e-6          of the rotation; of the norms\n"
    "  scaling=none|linear|yarn     of positions, with factor=4 orig_ctx=512\n"
    "  rope_factors=0               1: one factor for each pair of dimensions\n"
    "  tied=0                       1: the embedding is the output matrix\n"
    "  type=f32|f16                 of the matrices\n"
    "  seed=1\n"
    "\n"
    "A 1.1 billion parameter model, for measuring speed:\n"
    "  cutaway synth 1b.gguf llama dim=2048 ffn=5632 layers=22 heads=32 kv_heads=4 vocab=32000 type=f16\n";

/* The engine writes to OUT.tmp.PID and renames at the end. A model can take gigabytes: an interrupted one must go. */
static char temp[4096];

static void on_signal(int number) {
    (void)number;
    unlink(temp);
    _exit(130);
}

int cli_synth(int argc, char **argv) {
    struct cut_err err;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(help, stdout);
            return cli_flush_stdout();
        }
        if (argv[i][0] == '-' && argv[i][1]) return cli_usage("synth", "unknown option %s", argv[i]);
    }
    if (argc < 2) return cli_usage("synth", "no file to write");
    if (argc < 3) return cli_usage("synth", "no architecture");
    if (snprintf(temp, sizeof temp, "%s.tmp.%ld", argv[1], (long)getpid()) < (int)sizeof temp) {
        struct sigaction act = { .sa_handler = on_signal };
        sigaction(SIGINT, &act, NULL);
        sigaction(SIGTERM, &act, NULL);
        sigaction(SIGHUP, &act, NULL);
    }
    enum cut_status st = cut_synth(argv[1], argv[2], (const char *const *)argv + 3, argc - 3, &err);
    return st ? cli_error(&err) : 0;
}
