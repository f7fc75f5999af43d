/* logits.c - `cutaway logits`: float32 [tokens][vocab] in a file, to compare this engine with others. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tui/cli/cli.h"

/* "1 403 407", also with commas. *ids is malloc'd. */
static int read_ids(const char *text, int32_t **ids, int *n) {
    *ids = malloc((strlen(text) / 2 + 1) * sizeof **ids);
    *n = 0;
    if (!*ids) return cli_error(&(struct cut_err){ CUT_ENOMEM, "out of memory: --tokens" });
    for (const char *p = text; *(p += strspn(p, " ,\t\n"));) {
        size_t len = strcspn(p, " ,\t\n");
        char *end;
        long long v = strtoll(p, &end, 10);
        if (end != p + len || v < 0 || v > INT32_MAX)
            return cli_usage("logits", "--tokens: \"%.*s\" is not a token id", (int)len, p);
        (*ids)[(*n)++] = (int32_t)v;
        p += len;
    }
    return *n ? CLI_GO : cli_usage("logits", "--tokens \"%s\": no token id", text);
}

/* Feed `step` tokens at a time and write the row of each. */
static enum cut_status evaluate(struct cut_session *s, const int32_t *ids, int n, int step, FILE *f, const char *path,
                                struct cut_err *err) {
    size_t n_vocab = (size_t)cut_model_config(cut_session_model(s))->n_vocab;
    for (int at = 0; at < n; at += step) {
        int rows = n - at < step ? n - at : step;
        enum cut_stop why;
        enum cut_status status = cut_session_feed(s, 0, ids + at, rows, CUT_FEED_ALL_LOGITS, err);
        if (!status) status = cut_session_run(s, &why, err);
        if (status) return status;
        for (int i = 0; i < rows; i++)
            if (fwrite(cut_session_logits(s, i), sizeof(float), n_vocab, f) < n_vocab)
                return cut_fail(err, CUT_EFILE, "%s: %s", path, strerror(errno));
        if (cli_interrupted()) return cut_fail(err, CUT_ECANCEL, "interrupted after %d of %d tokens", at + rows, n);
    }
    return CUT_OK;
}

static enum cut_status write_logits(struct cut_session *s, const int32_t *ids, int n, int step, const char *path,
                                    struct cut_err *err) {
    struct cut_save save;
    enum cut_status st = cut_save_open(&save, path, err);
    if (st) return st;
    st = evaluate(s, ids, n, step, save.f, path, err);
    return cut_save_close(&save, st, err);
}

static int check_ids(const struct cli_engine *e, const int32_t *ids, int n) {
    int n_vocab = cut_model_config(e->model)->n_vocab;
    for (int i = 0; i < n; i++)
        if (ids[i] >= n_vocab)
            return cli_usage("logits", "--tokens: id %d, but the vocabulary has %d tokens", ids[i], n_vocab);
    return CLI_GO;
}

int cli_logits(int argc, char **argv) {
    struct cli_engine e;
    const char *tokens = NULL, *out = NULL, *file;
    int n_args, n, step = 1;
    int32_t *ids = NULL;
    cli_engine_init(&e);
    e.kv = CLI_KV_F32;
    const struct cli_opt opts[] = {
        { 0, "tokens", "IDS", CLI_TEXT, &tokens, "token ids, separated by spaces or commas", 0, 0 },
        { 'o', "out", "FILE", CLI_TEXT, &out, "where to write float32 [tokens][vocab]", 0, 0 },
        { 'b', "batch", "N", CLI_INT, &step, "tokens in one pass", 1, 1 << 20 },
        CLI_ENGINE_OPTS(e),
    };
    const struct cli_spec spec = {
        "logits", "FILE --tokens \"1 403 407\" --out FILE [options]",
        "Feed tokens and write the logits after each of them. --activations f32 leaves out\n"
        "the rounding of activations to 8 bits that quantized weights ordinarily meet.",
        opts, sizeof opts / sizeof *opts, 1, 1,
    };
    int status = cli_parse(&spec, argc, argv, &file, &n_args);
    if (status != CLI_GO) return status;
    if (!tokens) return cli_usage("logits", "no token ids: give them with --tokens \"1 403 407\"");
    if (!out || !*out) return cli_usage("logits", "nowhere to write to: name a file with --out");

    cli_interrupt_arm();
    status = read_ids(tokens, &ids, &n);
    if (status == CLI_GO) {
        e.ctx = n;
        e.batch = step;
        status = cli_engine_open(&e, "logits", file);
    }
    if (status == CLI_GO) status = check_ids(&e, ids, n);
    if (status == CLI_GO) {
        struct cut_err err = { 0 };
        status = write_logits(e.session, ids, n, step, out, &err) ? cli_error(&err) : CLI_OK;
    }
    cli_engine_close(&e);
    free(ids);
    return status;
}
