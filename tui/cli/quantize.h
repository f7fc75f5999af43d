/* quantize.h - what the commands that write other formats share. */
#ifndef CLI_QUANTIZE_H
#define CLI_QUANTIZE_H

#include "engine/cutaway.h"

struct cli_preset { const char *name, *file_type, *what; };
const struct cli_preset *cli_preset_at(int i);           /* NULL: no more */

/* Look a file type up by name. Returns CLI_GO, or the exit status after a mistake was reported. */
int cli_file_type(const char *command, const char *name, const struct cut_file_type **out);

/* A line of progress with rate and time left, on a terminal; stops the job on Ctrl-C. total counts what is done at part 1;
 * scale and unit are for the rate. */
struct cli_progress { double start, shown; uint64_t total; double scale; const char *unit; };
bool cli_progress(void *progress, double part, const char *what);
void cli_progress_end(void);

/* Sizes and bits per weight, before and after; how many tensors fell back. */
void cli_plan_summary(const struct cut_plan *p, FILE *f);

#endif
