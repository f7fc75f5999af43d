/* quantize_method.c - `cutaway quantize --method`: ways of rounding one matrix, side by side.
 *
 * Half of the text's documents teach the methods, the other half judge them. The matrix is rounded in memory; no file is written. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tui/cli/cli.h"

enum { M_ROUND, M_GPTQ, M_AWQ, M_SPLIT, M_ALL };      /* the words of --method */

/* What all lines of the table are measured on. */
struct layer {
    const struct cut_tensor_info *t;
    int rows, cols;
    float *w, *rounded, *column;
    struct cut_activations learn, judge;
};

struct line { const char *name; struct cut_method_opts o; struct cut_method_result r; double judged; };

static bool show(void *user, double part, const char *what) {
    (void)user;
    if (isatty(2)) fprintf(stderr, "\r\033[K%3.0f%%  %s", 100 * part, what);
    return !cli_interrupted();
}

bool cli_quantize_by_method(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--method") || !strncmp(argv[i], "--method=", 9)) return true;
    return false;
}

/* The matrix to take when none is named: the middle layer's ffn_down, which is where rounding usually hurts most. */
static const struct cut_tensor_info *choose(const struct cut_model *m, const char *name, struct cut_err *err) {
    char standard[64];
    snprintf(standard, sizeof standard, "blk.%d.ffn_down.weight", cut_model_config(m)->n_layer / 2);
    const struct cut_tensor_info *t = cut_gguf_find_tensor(cut_model_gguf(m), name ? name : standard);
    if (t && t->n_dims == 2) return t;
    cut_fail(err, CUT_EUSAGE, "%s: %s \"%.100s\"", cut_gguf_head(cut_model_gguf(m))->name,
             t ? "not a matrix:" : "there is no tensor", name ? name : standard);
    return NULL;
}

static enum cut_status layer_open(struct layer *l, const struct cut_model *m, const char *tensor, const char *text, int tokens,
                                  struct cut_pool *pool, struct cut_err *err) {
    if (!(l->t = choose(m, tensor, err))) return CUT_EUSAGE;
    l->cols = (int)l->t->ne[0];
    l->rows = (int)l->t->ne[1];
    struct cut_activations_opts o = { .part = 0, .parts = 2, .max_tokens = tokens, .pool = pool };
    enum cut_status st = cut_activations_collect(&l->learn, m, l->t->name, text, &o, show, NULL, err);
    o.part = 1;
    if (!st) st = cut_activations_collect(&l->judge, m, l->t->name, text, &o, show, NULL, err);
    if (st) return st;
    size_t n = (size_t)l->rows * (size_t)l->cols;
    l->w = malloc(n * sizeof(float));
    l->rounded = malloc(n * sizeof(float));
    l->column = malloc((size_t)l->cols * sizeof(float));
    if (!l->w || !l->rounded || !l->column) return cut_fail(err, CUT_ENOMEM, "out of memory for %zu weights", n);
    cut_decode(l->t->type, l->t->data, l->w, n);
    return CUT_OK;
}

static void layer_close(struct layer *l) {
    cut_activations_done(&l->learn);
    cut_activations_done(&l->judge);
    free(l->w);
    free(l->rounded);
    free(l->column);
}

static enum cut_status measure(struct layer *l, struct line *line, struct cut_err *err) {
    enum cut_status st = cut_method_run(l->w, l->rows, l->cols, l->learn.x, l->learn.tokens, &line->o, l->rounded, l->column,
                                        &line->r,
                                        show, NULL, err);
    const float *keep = line->o.method == CUT_METHOD_SPLIT ? l->column : NULL;
    return st ? st : cut_method_output_error(l->w, l->rounded, l->rows, l->cols, l->judge.x, l->judge.tokens,
                                             line->o.act_bits, keep,
                                             &line->judged, err);
}

/* Plain rounding comes first, as what the others are compared with: weights alone, and for the split with its activations too. */
static int plan(struct line *line, int word, const struct cut_method_opts *o) {
    static const enum cut_method method[] = { CUT_METHOD_GPTQ, CUT_METHOD_AWQ };
    int n = 0;
    if (word != M_SPLIT) line[n++] = (struct line){ .name = "round", .o = *o };
    for (int i = 0; i < 2; i++)
        if (word == M_ALL || word == (int)method[i]) {
            line[n] = (struct line){ .name = cut_method_name(method[i]), .o = *o };
            line[n++].o.method = method[i];
        }
    if (word == M_ALL || word == M_SPLIT) {
        line[n] = (struct line){ .name = "round + acts", .o = *o };
        line[n++].o.act_bits = o->bits;
        line[n] = (struct line){ .name = "split + acts", .o = *o };
        line[n].o.act_bits = o->bits;
        line[n++].o.method = CUT_METHOD_SPLIT;
    }
    return n;
}

static void print_table(const struct layer *l, const struct line *line, int n, const struct cut_method_opts *o) {
    printf("%s: %d x %d, %s; %d bits, %s, a step per ", l->t->name, l->cols, l->rows, cut_type_info(l->t->type)->name, o->bits,
           o->asymmetric ? "asymmetric" : "symmetric");
    if (o->group > 0) printf("%d columns of a row", o->group);
    else printf(o->group == CUT_GROUP_ROW ? "row" : "tensor");
    printf("\nlearnt from %d tokens, judged on %d others\n\n", l->learn.tokens, l->judge.tokens);
    printf("%-13s %9s  %13s %13s %13s\n", "method", "bits each", "weights error", "output error", "on others");
    for (int i = 0; i < n; i++) {
        const struct line *t = &line[i];
        printf("%-13s %9.3f  %12.3f%% %12.3f%% %12.3f%%", t->name, t->r.bits_per_weight, 100 * t->r.weight_error,
               100 * t->r.output_error, 100 * t->judged);
        if (t->o.method == CUT_METHOD_AWQ) printf("  alpha %.2f", (double)t->r.alpha);
        if (t->o.method == CUT_METHOD_SPLIT) printf("  %d of %d columns kept", t->r.outliers, l->cols);
        printf("\n");
    }
    printf("\n%% of the norm of W, and of Y = X W^T%s.\n", line[n - 1].o.act_bits ? "; \"+ acts\": X is rounded too" : "");
}

static void print_json(const struct layer *l, const struct line *line, int n, const struct cut_method_opts *o) {
    struct cut_json j;
    cut_json_init(&j, stdout);
    cut_json_open(&j, NULL, '{');
    cut_json_str(&j, "tensor", l->t->name, strlen(l->t->name));
    cut_json_int(&j, "rows", l->rows);
    cut_json_int(&j, "cols", l->cols);
    cut_json_int(&j, "bits", o->bits);
    cut_json_int(&j, "group", o->group);
    cut_json_bool(&j, "asymmetric", o->asymmetric);
    cut_json_int(&j, "tokens_learnt", l->learn.tokens);
    cut_json_int(&j, "tokens_judged", l->judge.tokens);
    cut_json_open(&j, "methods", '[');
    for (int i = 0; i < n; i++) {
        const struct line *t = &line[i];
        cut_json_open(&j, NULL, '{');
        cut_json_str(&j, "method", t->name, strlen(t->name));
        cut_json_num(&j, "bits_per_weight", t->r.bits_per_weight);
        cut_json_num(&j, "weight_error", t->r.weight_error);
        cut_json_num(&j, "output_error", t->r.output_error);
        cut_json_num(&j, "output_error_others", t->judged);
        cut_json_int(&j, "act_bits", t->o.act_bits);
        if (t->o.method == CUT_METHOD_AWQ) cut_json_num(&j, "alpha", (double)t->r.alpha);
        if (t->o.method == CUT_METHOD_SPLIT) cut_json_int(&j, "outliers", t->r.outliers);
        cut_json_close(&j, '}');
    }
    cut_json_close(&j, ']');
    cut_json_close(&j, '}');
}

int cli_quantize_method(int argc, char **argv) {
    struct cut_method_opts o = cut_method_defaults;
    int word = M_ALL, threads = cut_cpu_count(), tokens = 2048, n_args, status;
    const char *tensor = NULL, *args[2];
    bool json = false;
    const struct cli_opt opts[] = {
        { 0, "method", "round|gptq|awq|split|all", CLI_CHOICE, &word, "what to compare with plain rounding", 0, 0 },
        { 0, "bits", "B", CLI_INT, &o.bits, "bits of a weight", 2, 8 },
        { 0, "group", "G", CLI_INT, &o.group, "columns that share a step; 0: a row, -1: the tensor", -1, 1 << 20 },
        { 0, "asymmetric", NULL, CLI_FLAG, &o.asymmetric, "a zero point too: the grid need not be centred", 0, 0 },
        { 0, "tensor", "NAME", CLI_TEXT, &tensor, "the matrix (default: ffn_down of the middle layer)", 0, 0 },
        { 0, "tokens", "N", CLI_INT, &tokens, "tokens to learn from, and as many to judge on", 1, 1 << 20 },
        { 0, "damping", "D", CLI_FLOAT, &o.damping, "gptq: added to H's diagonal, as a share of its mean", 1e-6, 1 },
        { 0, "alphas", "N", CLI_INT, &o.alphas, "awq: values of alpha to try", 1, 1000 },
        { 0, "outlier", "X", CLI_FLOAT, &o.outlier, "split: an outlying column reaches X times the rms", 0.01, 1e6 },
        { 't', "threads", "N", CLI_INT, &threads, "threads that compute", 1, 256 },
        { 0, "json", NULL, CLI_FLAG, &json, "print a JSON object", 0, 0 },
    };
    const struct cli_spec spec = {
        "quantize", "--method METHOD [options] MODEL.gguf TEXT",
        "Compare ways of rounding one matrix to few bits, on activations of the model reading a text: plain rounding,\n"
        "GPTQ (Frantar et al. 2023), AWQ (Lin et al. 2024), and the split of outlying columns (LLM.int8(), Dettmers\n"
        "et al. 2022). Half of the text's documents teach the methods, the other half judge them. Writes no file.",
        opts, sizeof opts / sizeof *opts, 2, 2,
    };
    if ((status = cli_parse(&spec, argc, argv, args, &n_args)) != CLI_GO) return status;

    struct cut_model *m = NULL;
    struct cut_pool *pool = NULL;
    struct layer l = { 0 };
    struct line line[8];
    struct cut_err err = { 0 };
    int n = plan(line, word, &o);
    cli_interrupt_arm();
    enum cut_status st = cut_model_open(&m, args[0], 0, &err);
    if (!st) st = cut_pool_new(&pool, threads, &err);
    if (!st) st = layer_open(&l, m, tensor, args[1], tokens, pool, &err);
    for (int i = 0; !st && i < n; i++) st = measure(&l, &line[i], &err);
    if (isatty(2)) fprintf(stderr, "\r\033[K");
    if (st) {
        status = cli_error(&err);
    } else {
        (json ? print_json : print_table)(&l, line, n, &o);
        status = cli_flush_stdout();
    }
    layer_close(&l);
    cut_pool_free(pool);
    cut_model_close(m);
    return status;
}
