/* engine.c - from options to a session that is ready to be fed. */
#include "tui/cli/cli.h"

void cli_engine_init(struct cli_engine *e) {
    *e = (struct cli_engine){ .threads = cut_cpu_count(), .kv = CLI_KV_F16 };
}

static enum cut_status open_all(struct cli_engine *e, enum cut_tier tier, const char *path, struct cut_err *err) {
    enum cut_status status = cut_model_open(&e->model, path, e->no_mmap ? CUT_MODEL_NO_MMAP : 0, err);
    if (status) return status;
    status = cut_pool_new(&e->pool, e->threads, err);
    if (status) return status;
    struct cut_session_opts opts = {
        .n_ctx = e->ctx,
        .n_batch = e->batch,
        .n_seq = e->sequences,
        .kv_type = e->kv == CLI_KV_F16 ? CUT_F16 : CUT_F32,
        .tier = tier,
        .repack = (enum cut_repack)e->repack,
        .reduce = (enum cut_reduce)e->reduce,
        .activations_f32 = e->activations == 1,
        .pool = e->pool,
    };
    return cut_session_new(&e->session, e->model, &opts, err);
}

int cli_engine_open(struct cli_engine *e, const char *command, const char *path) {
    struct cut_err err = { 0 };
    enum cut_tier tier = CUT_TIER_AUTO;
    if (e->kernels && cut_tier_parse(&tier, e->kernels, &err)) return cli_usage(command, "--%s", err.msg);
    double start = cut_clock();
    if (open_all(e, tier, path, &err)) {
        cli_engine_close(e);
        return cli_error(&err);
    }
    e->load_s = cut_clock() - start;
    cli_interrupt_watch(e->session);
    return CLI_GO;
}

const char *cli_engine_kernels(const struct cli_engine *e) {
    enum cut_tier t = cut_session_opts(e->session)->tier;
    return cut_tier_name(t == CUT_TIER_AUTO ? cut_tier_best() : t);
}

void cli_engine_close(struct cli_engine *e) {
    cli_interrupt_watch(NULL);
    cut_session_free(e->session);
    cut_pool_free(e->pool);
    cut_model_close(e->model);
    e->session = NULL;
    e->pool = NULL;
    e->model = NULL;
}
