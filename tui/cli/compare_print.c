/* compare_print.c - the results of `cutaway compare` as a table, Markdown, JSON and CSV. */
#include <string.h>

#include "tui/cli/compare.h"

static double mib(const struct cut_compare_row *r) { return (double)r->bytes / (1024 * 1024); }

static void print_table(FILE *f, const struct compare *c) {
    fprintf(f, "%-20s %9s %6s %18s %10s %20s %9s %7s%s\n", "", "MiB", "bits", "perplexity", "vs first", "KL, nats", "99 %", "same 1",
            c->speeds ? "   prefill   decode" : "");
    for (int i = 0; i < c->n; i++) {
        const struct cut_compare_row *r = &c->entry[i].row;
        const struct cut_damage *d = &r->text.damage;
        char ppl[32], kl[32] = "-", p99[16] = "-", same[16] = "-", ratio[16] = "-";
        snprintf(ppl, sizeof ppl, "%.4f +-%.4f", r->text.perplexity, r->text.error);
        if (i) {
            snprintf(ratio, sizeof ratio, "%+.2f %%", 100 * (r->text.perplexity / d->ppl_ref - 1));
            snprintf(kl, sizeof kl, "%.6f +-%.6f", d->kl, d->kl_error);
            snprintf(p99, sizeof p99, "%.5f", d->kl_p99);
            snprintf(same, sizeof same, "%.1f %%", 100 * d->same_top);
        }
        fprintf(f, "%-20.20s %9.2f %6.3f %18s %10s %20s %9s %7s", c->entry[i].name, mib(r), r->bits, ppl, ratio, kl, p99, same);
        if (c->speeds) fprintf(f, " %9.1f %8.1f", r->prefill_tps, r->decode_tps);
        fprintf(f, "\n");
    }
}

static void print_markdown(FILE *f, const struct compare *c) {
    fprintf(f, "| build | MiB | bits/weight | perplexity | KL mean | median | p99 | max | same top-1 | RMS Δp |%s\n",
            c->speeds ? " prefill t/s | decode t/s |" : "");
    fprintf(f, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|%s\n", c->speeds ? "---:|---:|" : "");
    for (int i = 0; i < c->n; i++) {
        const struct cut_compare_row *r = &c->entry[i].row;
        const struct cut_damage *d = &r->text.damage;
        fprintf(f, "| %s | %.2f | %.3f | %.4f ± %.4f |", c->entry[i].name, mib(r), r->bits, r->text.perplexity, r->text.error);
        if (i) fprintf(f, " %.6f ± %.6f | %.6f | %.5f | %.4f | %.2f ± %.2f %% | %.2f %% |", d->kl, d->kl_error, d->kl_median, d->kl_p99,
                       d->kl_max, 100 * d->same_top, 100 * d->same_top_error, 100 * d->dp_rms);
        else fprintf(f, " reference | | | | | |");
        if (c->speeds) fprintf(f, " %.1f | %.1f |", r->prefill_tps, r->decode_tps);
        fprintf(f, "\n");
    }
    fprintf(f, "\nOver %llu tokens of %s: the second halves of %d chunks of %d.\n", (unsigned long long)c->entry[0].row.text.tokens, c->text,
            c->entry[0].row.text.chunks, c->chunk);
}

static void print_json(FILE *f, const struct compare *c) {
    struct cut_json j;
    cut_json_init(&j, f);
    cut_json_open(&j, NULL, '{');
    cut_json_str(&j, "text", c->text, strlen(c->text));
    cut_json_uint(&j, "tokens", c->entry[0].row.text.tokens);
    cut_json_int(&j, "chunk", c->chunk);
    cut_json_open(&j, "builds", '[');
    for (int i = 0; i < c->n; i++) {
        const struct cut_compare_row *r = &c->entry[i].row;
        cut_json_open(&j, NULL, '{');
        cut_json_str(&j, "name", c->entry[i].name, strlen(c->entry[i].name));
        cut_json_uint(&j, "bytes", r->bytes);
        cut_json_num(&j, "bits_per_weight", r->bits);
        cut_json_num(&j, "perplexity", r->text.perplexity);
        cut_json_num(&j, "error", r->text.error);
        if (i) cli_json_damage(&j, &r->text.damage);
        if (c->speeds) cut_json_num(&j, "prefill_tps", r->prefill_tps);
        if (c->speeds) cut_json_num(&j, "decode_tps", r->decode_tps);
        cut_json_close(&j, '}');
    }
    cut_json_close(&j, ']');
    cut_json_close(&j, '}');
    putc('\n', f);
}

/* RFC 4180: quotes are doubled inside quotes. */
static void csv_text(FILE *f, const char *s) {
    if (!strpbrk(s, ",\"\n")) {
        fputs(s, f);
        return;
    }
    putc('"', f);
    for (; *s; s++) {
        if (*s == '"') putc('"', f);
        putc(*s, f);
    }
    putc('"', f);
}

static void print_csv(FILE *f, const struct compare *c) {
    fprintf(f, "name,bytes,bits_per_weight,perplexity,error,ln_ratio,ln_ratio_error,kl,kl_error,kl_median,kl_p90,kl_p95,kl_p99,kl_max,"
               "same_top,dp_rms,prefill_tps,decode_tps\n");
    for (int i = 0; i < c->n; i++) {
        const struct cut_compare_row *r = &c->entry[i].row;
        const struct cut_damage *d = &r->text.damage;
        csv_text(f, c->entry[i].name);
        fprintf(f, ",%llu,%.6g,%.9g,%.6g,", (unsigned long long)r->bytes, r->bits, r->text.perplexity, r->text.error);
        if (i) fprintf(f, "%.9g,%.6g,%.9g,%.6g,%.9g,%.9g,%.9g,%.9g,%.9g,%.6g,%.6g,", d->ln_ratio, d->ln_ratio_error, d->kl, d->kl_error,
                       d->kl_median, d->kl_p90, d->kl_p95, d->kl_p99, d->kl_max, d->same_top, d->dp_rms);
        else fprintf(f, "0,0,0,0,0,0,0,0,0,1,0,");
        if (c->speeds) fprintf(f, "%.6g,%.6g\n", r->prefill_tps, r->decode_tps);
        else fprintf(f, ",\n");
    }
}

void compare_print(FILE *f, const struct compare *c, enum compare_format format) {
    static void (*const print[])(FILE *, const struct compare *) = { print_table, print_markdown, print_json, print_csv };
    print[format](f, c);
}
