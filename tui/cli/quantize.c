/* quantize.c - `cutaway quantize`: a model in another number format. */
#include <string.h>
#include <unistd.h>

#include "tui/cli/cli.h"

static bool show(void *user, double part, const char *what) {
    (void)user;
    if (isatty(2)) fprintf(stderr, "\r%3.0f%%  %-40.40s", 100 * part, what);
    return !cli_interrupted();
}

int cli_quantize(int argc, char **argv) {
    if (cli_quantize_by_method(argc, argv)) return cli_quantize_method(argc, argv);
    const char *args[3];
    int n_args;
    const struct cli_spec spec = {
        "quantize", "IN.gguf OUT.gguf FORMAT",
        "Write a model with its matrices in another number format: f32, f16, bf16, q8_0, q6_K or q4_0.\n"
        "Vectors, and matrices whose rows are no whole number of blocks, stay as they are.\n"
        "quantize --method compares ways of rounding (see quantize --method all --help).",
        NULL, 0, 3, 3,
    };
    int status = cli_parse(&spec, argc, argv, args, &n_args), type;
    if (status != CLI_GO) return status;
    if ((type = cut_type_by_name(args[2])) < 0) return cli_usage("quantize", "\"%s\" is no number format", args[2]);
    struct cut_err err = { 0 };
    cli_interrupt_arm();
    enum cut_status st = cut_quantize(args[0], args[1], (enum cut_type)type, show, NULL, &err);
    if (isatty(2)) fprintf(stderr, "\r%-48s\r", "");
    return st ? cli_error(&err) : CLI_OK;
}
