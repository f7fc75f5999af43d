/* train.c - `cutaway train`: a model learns from text, and can be interrupted and go on.
 *
 * OUT.gguf is the model; OUT.gguf.state, beside it, the checkpoint to go on from. Both are written every --save steps, when
 * the run ends, and on Ctrl-C. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tui/cli/cli.h"

struct run {
    const char *text, *out, *vocab, *from, *held, *name;
    char state[4096];
    struct cut_train_opts o;
    struct cut_train_shape shape;
    struct cli_u64 seed;
    int threads, save, show;
    bool fresh;
    struct cut_model *model;
    struct cut_trainer *trainer;
};

static enum cut_status save(struct run *r, struct cut_err *err) {
    enum cut_status st = cut_trainer_save(r->trainer, r->state, err);
    return st ? st : cut_trainer_export(r->trainer, r->out, err);
}

static enum cut_status begin(struct run *r, struct cut_err *err) {
    struct cut_train_data d;
    bool resume = !r->fresh && !access(r->state, F_OK), same = true;
    enum cut_status st = CUT_OK;
    if (!resume && r->vocab) st = cut_train_init(r->out, r->name, r->vocab, r->from, &r->shape, r->o.seed, err);
    if (!st) st = cut_model_open(&r->model, r->out, CUT_MODEL_NO_MMAP, err);       /* the file is replaced while we run */
    if (!st) st = cut_trainer_new(&r->trainer, r->model, r->text, &r->o, err);
    if (!st && resume) st = cut_trainer_resume(r->trainer, r->state, &same, err);
    if (st) return st;
    cut_trainer_data(r->trainer, &d);
    printf("%llu parameters in %d tensors; %llu documents, %llu tokens, the longest %d; products in %s, kernels %s\n",
           (unsigned long long)d.params, d.tensors, (unsigned long long)d.documents, (unsigned long long)d.tokens, d.longest, d.products,
           d.kernels);
    if (d.cut) printf("%llu documents are longer than the context and lose their end\n", (unsigned long long)d.cut);
    if (resume) printf("going on from step %d of %s%s\n", cut_trainer_step_count(r->trainer), r->state, same ? "" : ", on another text");
    return CUT_OK;
}

static enum cut_status measure(struct run *r, struct cut_err *err) {
    double loss;
    uint64_t n;
    enum cut_status st = cut_trainer_measure(r->trainer, r->held, &loss, &n, err);
    if (!st) printf("held-out loss %.4f over %llu tokens\n", loss, (unsigned long long)n);
    return st;
}

static enum cut_status go(struct run *r, struct cut_err *err) {
    enum cut_status st = CUT_OK;
    double loss = 0, seconds = 0;
    uint64_t tokens = 0;
    int n = 0;
    while (!st && cut_trainer_step_count(r->trainer) < r->o.steps && !cli_interrupted()) {
        struct cut_train_report p;
        if ((st = cut_trainer_step(r->trainer, &p, err))) break;
        loss += p.loss;
        seconds += p.seconds;
        tokens += (uint64_t)p.tokens;
        n++;
        bool last = p.step == r->o.steps;
        if (p.step % r->show == 0 || last) {
            printf("step %6d  loss %.4f  |g| %6.3f  lr %.2e  %6.0f tokens/s  left %.0f min\n", p.step, loss / n, p.norm, p.lr,
                   (double)tokens / seconds, (r->o.steps - p.step) * (seconds / n) / 60);
            fflush(stdout);
            loss = seconds = 0;
            tokens = 0;
            n = 0;
        }
        if (p.step % r->save == 0 && !last) {
            st = save(r, err);
            if (!st && r->held) st = measure(r, err);
        }
    }
    if (st == CUT_EUSAGE) return st;                           /* the numbers went bad: the last checkpoint stays */
    if (!st) st = save(r, err);
    if (!st && r->held) st = measure(r, err);
    return st;
}

static int run(struct run *r) {
    struct cut_err err = { 0 };
    enum cut_status st = cut_pool_new(&r->o.pool, r->threads, &err);
    if (!st) st = begin(r, &err);
    if (!st) st = go(r, &err);
    int status = st ? cli_error(&err) : cli_interrupted() ? CLI_INTERRUPTED : cli_flush_stdout();
    if (!st && cli_interrupted()) fprintf(stderr, "cutaway: stopped; the same command goes on from step %d\n", cut_trainer_step_count(r->trainer));
    cut_trainer_free(r->trainer);
    cut_model_close(r->model);
    cut_pool_free(r->o.pool);
    return status;
}

int cli_train(int argc, char **argv) {
    struct run r = { .o = cut_train_defaults, .shape = { 256, 4, 8, 4, 0, 512, 512, 10000 }, .name = "cutaway-trained", .save = 250,
                     .show = 25, .threads = cut_cpu_count() };
    struct cut_train_opts *o = &r.o;
    struct cut_train_shape *s = &r.shape;
    const struct cli_opt opts[] = {
        { 0, "vocab", "FILE", CLI_TEXT, &r.vocab, "start a new model with the vocabulary of this GGUF", 0, 0 },
        { 0, "from", "FILE", CLI_TEXT, &r.from, "its weights start as those of this model where names and shapes agree", 0, 0 },
        { 0, "name", "TEXT", CLI_TEXT, &r.name, "general.name of the new model", 0, 0 },
        { 0, "dim", "N", CLI_INT, &s->dim, "width of the residual stream", 1, 8192 },
        { 0, "layers", "N", CLI_INT, &s->layers, "blocks", 1, 128 },
        { 0, "heads", "N", CLI_INT, &s->heads, "attention heads", 1, 256 },
        { 0, "kv-heads", "N", CLI_INT, &s->kv_heads, "heads that hold keys and values", 1, 256 },
        { 0, "ffn", "N", CLI_INT, &s->ffn, "width of the feed-forward", 1, 32768 },
        { 'c', "ctx", "N", CLI_INT, &s->ctx, "context", 16, 512 },
        { 0, "rope-base", "X", CLI_FLOAT, &s->rope_base, "of the rotation", 1, 1e9 },
        { 'n', "steps", "N", CLI_INT, &o->steps, "steps of the whole run", 1, 100000000 },
        { 'b', "batch", "N", CLI_INT, &o->batch, "tokens in a step, a multiple of 512", 512, 1 << 22 },
        { 0, "lr", "X", CLI_FLOAT, &o->lr, "learning rate after warm-up", 0, 0 },
        { 0, "lr-end", "X", CLI_FLOAT, &o->lr_end, "learning rate at the end", 0, 0 },
        { 0, "warmup", "N", CLI_INT, &o->warmup, "steps of warm-up", 0, 1e6 },
        { 0, "beta2", "X", CLI_FLOAT, &o->beta2, "memory of AdamW's mean square", 0, 0 },
        { 0, "decay", "X", CLI_FLOAT, &o->decay, "weight decay", 0, 0 },
        { 0, "clip", "X", CLI_FLOAT, &o->clip, "longest gradient", 0, 0 },
        { 0, "repeats", "X", CLI_FLOAT, &o->repeats, "share of random lists said again, at the start", 0, 0 },
        { 0, "repeats-end", "X", CLI_FLOAT, &o->repeats_end, "and at the end", 0, 0 },
        { 's', "seed", "N", CLI_U64, &r.seed, "of the weights and the batches (default 1)", 0, 0 },
        { 0, "held", "FILE", CLI_TEXT, &r.held, "measure the loss on this text at every save", 0, 0 },
        { 0, "save", "N", CLI_INT, &r.save, "steps between checkpoints", 1, 1e9 },
        { 0, "show", "N", CLI_INT, &r.show, "steps between lines of progress", 1, 1e9 },
        { 0, "fresh", NULL, CLI_FLAG, &r.fresh, "do not go on from OUT.gguf.state", 0, 0 },
        { 0, "f32", NULL, CLI_FLAG, &o->f32, "no products in bfloat16", 0, 0 },
        { 't', "threads", "N", CLI_INT, &r.threads, "threads that compute", 1, 256 },
    };
    const struct cli_spec spec = {
        "train", "TEXT OUT.gguf [--vocab V.gguf] [options]",
        "Train a model on a text in which every document starts with <s>. With --vocab a new model is made;\n"
        "without, OUT.gguf is trained further. Interrupted runs go on from OUT.gguf.state: give the same command.",
        opts, sizeof opts / sizeof *opts, 2, 2,
    };
    const char *args[2];
    int n_args, status = cli_parse(&spec, argc, argv, args, &n_args);
    if (status != CLI_GO) return status;
    if (r.from && !r.vocab) return cli_usage("train", "--from is for a new model: give its vocabulary with --vocab");
    r.text = args[0];
    r.out = args[1];
    if (snprintf(r.state, sizeof r.state, "%s.state", r.out) >= (int)sizeof r.state) return cli_usage("train", "%.60s...: too long a path", r.out);
    if (r.seed.given) o->seed = r.seed.value;
    cli_interrupt_arm();
    return run(&r);
}
