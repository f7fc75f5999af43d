/* compare.h - what `cutaway compare` measured, and how it is told. */
#ifndef CLI_COMPARE_H
#define CLI_COMPARE_H

#include "tui/cli/cli.h"

struct compare_entry {
    char name[64];             /* the file without its folder and ending, or the format made in memory */
    struct cut_compare_row row;
};
struct compare {
    struct compare_entry *entry;   /* the first is the reference */
    int n;
    bool speeds;               /* were measured */
    const char *text;          /* the file */
    int chunk;
};

/* As columns to read, as Markdown, as JSON, as CSV. */
enum compare_format { COMPARE_TABLE, COMPARE_MARKDOWN, COMPARE_JSON, COMPARE_CSV };
void compare_print(FILE *f, const struct compare *c, enum compare_format format);

/* The plots, 0 to COMPARE_PLOTS - 1: perplexity over size, KL over size, speed over size, KL of each token. */
enum { COMPARE_PLOTS = 4 };
const char *compare_plot_name(int plot);       /* "size-kl", for a file's name */
void compare_plot_text(FILE *f, const struct compare *c, int plot);
void compare_plot_svg(FILE *f, const struct compare *c, int plot);

#endif
