/* bind_session.c - cut.Session: a model at work, under the script's control. */
#include "lua/bind_session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NAME "cut.Session"
enum { MAX_SESSIONS = 64 };

struct cut_lua_session *cut_lua_check_session(lua_State *L) {
    struct cut_lua_session *s = luaL_checkudata(L, 1, NAME);
    if (!s->s) luaL_error(L, "the session is closed");
    return s;
}

struct cut_lua_session *cut_lua_check_idle(lua_State *L) {
    struct cut_lua_session *s = cut_lua_check_session(L);
    if (s->L) luaL_error(L, "the session is running: a probe may not change it");
    return s;
}

/* ---- life */

static void free_session(struct cut_lua_session *s) {
    if (s->s) {
        s->host->engine_memory -= s->bytes;
        s->host->n_sessions--;
    }
    cut_session_free(s->s);
    cut_pool_free(s->pool);
    cut_lua_model_drop(s->model);
    cut_lua_free_probes(s);
    s->s = NULL;
    s->pool = NULL;
    s->model = NULL;
}

static int session_gc(lua_State *L) {
    free_session(luaL_checkudata(L, 1, NAME));
    return 0;
}

/*** End the session and free its memory. Without it the collector does, some day.
 * @function Session:close
 * @usage
 * local s = cut.model.open():session()
 * s:close()
 * assert(not pcall(s.run, s))
 */
static int session_close(lua_State *L) {
    struct cut_lua_session *s = luaL_checkudata(L, 1, NAME);
    if (s->s) cut_lua_check_idle(L);
    return session_gc(L);
}

static enum cut_tier tier_option(lua_State *L, int arg) {
    const char *name = cut_lua_opt_str(L, arg, "tier", NULL);
    enum cut_tier tier = CUT_TIER_AUTO;
    struct cut_err err;
    if (name && cut_tier_parse(&tier, name, &err)) luaL_error(L, "tier: %s", err.msg);
    return tier;
}

static int choice_option(lua_State *L, int arg, const char *field, const char *first, const char *second) {
    const char *v = cut_lua_opt_str(L, arg, field, first);
    if (strcmp(v, first) && strcmp(v, second)) luaL_error(L, "%s: \"%s\" is neither %s nor %s", field, v, first, second);
    return !strcmp(v, second);
}

static enum cut_repack repack_option(lua_State *L, int arg) {
    const char *v = cut_lua_opt_str(L, arg, "repack", "auto");
    if (!strcmp(v, "always")) return CUT_REPACK_ALWAYS;
    if (!strcmp(v, "never")) return CUT_REPACK_NEVER;
    if (strcmp(v, "auto")) luaL_error(L, "repack: \"%s\" is neither auto, never nor always", v);
    return CUT_REPACK_AUTO;
}

/* What the cache alone will take, in bytes, so that an absurd size is refused before it is allocated. */
static double cache_bytes(const struct cut_config *c, const struct cut_session_opts *o) {
    int n_ctx = o->n_ctx ? o->n_ctx : c->n_ctx_train < 4096 ? c->n_ctx_train : 4096;
    return 2.0 * n_ctx * c->n_layer * c->n_head_kv * c->head_dim * (o->kv_type == CUT_F16 ? 2 : 4);
}

/* Kept values get their room as passes need it, so this is asked again after each run. */
static void account(struct cut_lua_session *s) {
    struct cut_memory mem = cut_session_memory(s->s);
    size_t bytes = (size_t)(mem.kv + mem.activations + mem.other);
    s->host->engine_memory += bytes - s->bytes;
    s->bytes = bytes;
}

static bool no_room(struct cut_lua *h, double more) {
    return h->n_sessions >= MAX_SESSIONS || (double)h->engine_memory + more > (double)h->opts.max_engine_memory;
}

/*** Make a session.
 * @function Model:session
 * @tparam[opt] table options ctx, cells of the cache (default: the training context, at most 4096); batch, most tokens
 * in a pass (512); seqs, sequences (1); threads (1); tier, "ref", "avx2", ... (the best); kv, "f16" or "f32";
 * activations, "q8" or "f32"; repack, "auto", "never" or "always" (the order in memory of quantized weights: see cutaway.h);
 * reduce, "rows" or "split-k" (how threads divide the products of one token: see cutaway.h);
 * keep, keep every value so that steps can be looked at and undone (false); plain,
 * attention as separate steps (false)
 * @treturn Session or nil and a message when there is no memory for it
 * @usage
 * local s = assert(cut.model.open():session{ ctx = 64, tier = "ref", keep = true })
 * assert(#s:steps() > 10)
 */
int cut_lua_model_session(lua_State *L) {
    static const char *const fields[] = { "ctx", "batch", "seqs", "threads", "tier", "kv", "activations", "repack", "reduce", "keep",
                                          "plain", NULL };
    struct cut_lua *h = cut_lua_of(L);
    struct cut_lua_model *m = cut_lua_check_model(L, 1);
    cut_lua_only(L, 2, fields);
    struct cut_session_opts o = {
        .n_ctx = (int)cut_lua_opt_int(L, 2, "ctx", 0, 1, 1 << 20),
        .n_batch = (int)cut_lua_opt_int(L, 2, "batch", 0, 1, 1 << 16),
        .n_seq = (int)cut_lua_opt_int(L, 2, "seqs", 1, 1, 256),
        .kv_type = choice_option(L, 2, "kv", "f16", "f32") ? CUT_F32 : CUT_F16,
        .tier = tier_option(L, 2),
        .activations_f32 = choice_option(L, 2, "activations", "q8", "f32"),
        .repack = repack_option(L, 2),
        .reduce = choice_option(L, 2, "reduce", "rows", "split-k") ? CUT_REDUCE_SPLIT_K : CUT_REDUCE_ROWS,
        .keep = cut_lua_opt_bool(L, 2, "keep", false),
        .plain_attention = cut_lua_opt_bool(L, 2, "plain", false),
    };
    int threads = (int)cut_lua_opt_int(L, 2, "threads", 1, 1, 64);
    double need = cache_bytes(cut_model_config(m->model), &o);
    if (no_room(h, need)) lua_gc(L, LUA_GCCOLLECT);
    if (no_room(h, need)) {
        lua_pushnil(L);
        lua_pushfstring(L, "no room for another session: %d hold %f MB of %f MB, this cache needs %f MB; s:close() frees "
                        "one", h->n_sessions, floor((double)h->engine_memory / 1e6),
                        floor((double)h->opts.max_engine_memory / 1e6), ceil(need / 1e6));
        return 2;
    }
    struct cut_lua_session *s = lua_newuserdatauv(L, sizeof *s, 1);
    *s = (struct cut_lua_session){ .host = h };
    luaL_setmetatable(L, NAME);
    lua_newtable(L);
    lua_setiuservalue(L, -2, 1);
    s->model = cut_lua_model_share(m);
    struct cut_err err;
    enum cut_status status = threads > 1 ? cut_pool_new(&s->pool, threads, &err) : CUT_OK;
    o.pool = s->pool;
    if (!status) status = cut_session_new(&s->s, m->model, &o, &err);
    if (status) return cut_lua_fail(L, status, &err);
    account(s);
    h->n_sessions++;
    if (h->engine_memory <= h->opts.max_engine_memory) return 1;
    free_session(s);
    lua_pushnil(L);
    lua_pushliteral(L, "no room for this session: its buffers take more than is left; a smaller batch or ctx needs less");
    return 2;
}

/*** Everything back to the state of a new session; probes, breakpoints and edits too.
 * @function Session:reset
 * @usage
 * local s = cut.model.open():session()
 * s:feed("one two"); s:run(); s:reset()
 * assert(#s:tokens() == 0)
 */
static int session_reset(lua_State *L) {
    struct cut_lua_session *s = cut_lua_check_idle(L);
    cut_session_reset(s->s);
    cut_lua_free_probes(s);
    lua_newtable(L);
    lua_setiuservalue(L, 1, 1);
    return 0;
}

/* ---- into the engine and back */

void cut_lua_session_enter(lua_State *L, struct cut_lua_session *s) {
    cut_lua_charge(L, 0);          /* cancelled already? */
    s->L = L;
    s->probe_failed = false;
    cut_lua_enter(s->host, s->s);
}

int cut_lua_session_leave(lua_State *L, struct cut_lua_session *s, enum cut_status status, const struct cut_err *err) {
    cut_lua_leave(s->host);
    account(s);
    cut_session_uncancel(s->s);    /* a request that came too late for this call is not for the next */
    s->L = NULL;
    cut_lua_charge(L, 0);
    if (s->probe_failed) return luaL_error(L, "%s", s->host->probe_error);
    return status ? cut_lua_fail(L, status, err) : 0;
}

int cut_lua_check_sequence(lua_State *L, const struct cut_lua_session *s, int arg) {
    lua_Integer seq = luaL_optinteger(L, arg, 0);
    if (seq < 0 || seq >= cut_session_opts(s->s)->n_seq)
        luaL_error(L, "sequence %I is not between 0 and %d", seq, cut_session_opts(s->s)->n_seq - 1);
    return (int)seq;
}

/*** Queue tokens at the end of a sequence. Nothing is computed yet.
 * @function Session:feed
 * @tparam int|string|{int,...} tokens a token id, a list of them, or a text; a text gets BOS in front where the file asks
 * for it and the sequence is empty
 * @tparam[opt] table options seq (0); all (false): logits for every token, not only for the last
 * @treturn int how many tokens were queued; or nil and a message when the cache cannot hold them
 * @usage
 * local s = cut.model.open():session{ ctx = 16 }
 * assert(s:feed({ 1, 5, 6 }) == 3)
 * local ok, why = s:feed(("word "):rep(100))
 * assert(not ok and #why > 0)
 */
static int session_feed(lua_State *L) {
    static const char *const fields[] = { "seq", "all", NULL };
    struct cut_lua_session *s = cut_lua_check_idle(L);
    cut_lua_only(L, 3, fields);
    int seq = (int)cut_lua_opt_int(L, 3, "seq", 0, 0, cut_session_opts(s->s)->n_seq - 1), n = 0, have;
    unsigned flags = cut_lua_opt_bool(L, 3, "all", false) ? CUT_FEED_ALL_LOGITS : 0;
    struct cut_err err;
    const int32_t *ids;
    int32_t one;
    cut_session_tokens(s->s, seq, &have);
    if (lua_type(L, 2) == LUA_TSTRING) {
        size_t len;
        const char *text = lua_tolstring(L, 2, &len);
        ids = cut_lua_encode(L, cut_model_vocab(s->model->model), text, len, have ? 0 : CUT_ENCODE_BOS, &n);
        if (!ids) return 2;
    } else if (lua_type(L, 2) == LUA_TNUMBER) {
        lua_Integer id = luaL_checkinteger(L, 2);
        if (id < 0 || id > INT32_MAX) return luaL_error(L, "%I is not a token id", id);
        one = (int32_t)id;
        ids = &one;
        n = 1;
    } else {
        ids = cut_lua_check_ids(L, 2, &n);
    }
    enum cut_status status = n ? cut_session_feed(s->s, seq, ids, n, flags, &err) : CUT_OK;
    if (status) return cut_lua_fail(L, status, &err);
    lua_pushinteger(L, n);
    return 1;
}

static const char *const stops[] = { [CUT_STOP_DONE] = "done", [CUT_STOP_STEP] = "step", [CUT_STOP_BREAK] = "break" };

/*** Evaluate all that is queued, or up to the next breakpoint.
 * @function Session:run
 * @treturn string "done" or "break"; or nil and a message
 * @usage
 * local s = cut.model.open():session()
 * s:feed("Once")
 * assert(s:run() == "done")
 */
static int session_run(lua_State *L) {
    struct cut_lua_session *s = cut_lua_check_idle(L);
    struct cut_err err;
    enum cut_stop why = CUT_STOP_DONE;
    cut_lua_session_enter(L, s);
    int failed = cut_lua_session_leave(L, s, cut_session_run(s->s, &why, &err), &err);
    if (failed) return failed;
    lua_pushstring(L, stops[why]);
    return 1;
}

static int need_keep(lua_State *L, const struct cut_lua_session *s) {
    return cut_session_opts(s->s)->keep ? 0 : luaL_error(L, "stepping needs a session made with {keep=true}");
}

/*** Make n steps forward.
 * @function Session:step
 * @tparam[opt=1] int n
 * @treturn string "done", "step" or "break"; or nil and a message
 * @usage
 * local s = cut.model.open():session{ keep = true }
 * s:feed("Once")
 * s:step(3)
 * assert(s:where().step == 3)
 */
static int session_step(lua_State *L) {
    struct cut_lua_session *s = cut_lua_check_idle(L);
    lua_Integer n = luaL_optinteger(L, 2, 1);
    if (n < 1 || n > INT_MAX) return luaL_error(L, "step: %I is not a number of steps", n);
    need_keep(L, s);
    struct cut_err err;
    enum cut_stop why = CUT_STOP_DONE;
    cut_lua_session_enter(L, s);
    int failed = cut_lua_session_leave(L, s, cut_session_step(s->s, (int)n, &why, &err), &err);
    if (failed) return failed;
    lua_pushstring(L, stops[why]);
    return 1;
}

/*** Undo n steps: the state is then exactly what it was.
 * @function Session:back
 * @tparam[opt=1] int n
 * @treturn boolean true; or nil and a message
 * @usage
 * local s = cut.model.open():session{ keep = true }
 * s:feed("Once")
 * s:step(5)
 * s:back(2)
 * assert(s:where().step == 3)
 */
static int session_back(lua_State *L) {
    struct cut_lua_session *s = cut_lua_check_idle(L);
    lua_Integer n = luaL_optinteger(L, 2, 1);
    if (n < 1 || n > INT_MAX) return luaL_error(L, "back: %I is not a number of steps", n);
    need_keep(L, s);
    struct cut_err err;
    cut_lua_session_enter(L, s);
    int failed = cut_lua_session_leave(L, s, cut_session_back(s->s, (int)n, &err), &err);
    if (failed) return failed;
    return lua_pushboolean(L, true), 1;
}

/*** Go to the moment before a step of a pass.
 * @function Session:seek
 * @tparam int pass from 0
 * @tparam int step from 0; the number of steps means after the last
 * @treturn boolean true; or nil and a message
 * @usage
 * local s = cut.model.open():session{ keep = true }
 * s:feed("Once")
 * s:run()
 * s:seek(0, 2)
 * assert(s:where().step == 2)
 */
static int session_seek(lua_State *L) {
    struct cut_lua_session *s = cut_lua_check_idle(L);
    lua_Integer pass = luaL_checkinteger(L, 2), step = luaL_checkinteger(L, 3);
    if (pass < 0 || pass > INT_MAX || step < 0 || step > INT_MAX)
        return luaL_error(L, "seek: there is no pass %I, step %I", pass, step);
    need_keep(L, s);
    struct cut_err err;
    cut_lua_session_enter(L, s);
    int failed = cut_lua_session_leave(L, s, cut_session_seek(s->s, (int)pass, (int)step, &err), &err);
    if (failed) return failed;
    return lua_pushboolean(L, true), 1;
}

/*** Forget the tokens of a sequence from a position on.
 * @function Session:truncate
 * @tparam int pos from 0; 0 forgets all
 * @tparam[opt=0] int seq
 * @treturn boolean true; or nil and a message
 * @usage
 * local s = cut.model.open():session()
 * s:feed{ 1, 5, 6 }
 * s:run()
 * s:truncate(1)
 * assert(#s:tokens() == 1)
 */
static int session_truncate(lua_State *L) {
    struct cut_lua_session *s = cut_lua_check_idle(L);
    lua_Integer pos = luaL_checkinteger(L, 2);
    int seq = cut_lua_check_sequence(L, s, 3);
    if (pos < 0 || pos > INT_MAX) return luaL_error(L, "truncate: %I is not a position", pos);
    struct cut_err err;
    enum cut_status status = cut_session_truncate(s->s, seq, (int)pos, &err);
    if (status) return cut_lua_fail(L, status, &err);
    return lua_pushboolean(L, true), 1;
}

/*** Make one sequence a copy of another; they share cells until either writes.
 * @function Session:fork
 * @tparam int src
 * @tparam int dst emptied first
 * @treturn boolean true; or nil and a message
 * @usage
 * local s = cut.model.open():session{ seqs = 2 }
 * s:feed{ 1, 5, 6 }
 * s:run()
 * s:fork(0, 1)
 * assert(#s:tokens(1) == 3)
 */
static int session_fork(lua_State *L) {
    struct cut_lua_session *s = cut_lua_check_idle(L);
    luaL_checkinteger(L, 2);
    luaL_checkinteger(L, 3);
    int src = cut_lua_check_sequence(L, s, 2), dst = cut_lua_check_sequence(L, s, 3);
    struct cut_err err;
    enum cut_status status = cut_session_fork(s->s, src, dst, &err);
    if (status) return cut_lua_fail(L, status, &err);
    return lua_pushboolean(L, true), 1;
}

static int session_tostring(lua_State *L) {
    struct cut_lua_session *s = luaL_checkudata(L, 1, NAME);
    if (!s->s) return lua_pushliteral(L, "session (closed)"), 1;
    int n;
    cut_session_tokens(s->s, 0, &n);
    lua_pushfstring(L, "session of %s, %d tokens", cut_gguf_head(cut_model_gguf(s->model->model))->name, n);
    return 1;
}

void cut_lua_open_session(lua_State *L) {
    static const luaL_Reg methods[] = {
        { "close", session_close }, { "reset", session_reset }, { "feed", session_feed }, { "run", session_run },
        { "step", session_step }, { "back", session_back }, { "seek", session_seek }, { "truncate", session_truncate },
        { "fork", session_fork }, { NULL, NULL },
    };
    static const luaL_Reg meta[] = {
        { "__gc", session_gc }, { "__close", session_close }, { "__tostring", session_tostring }, { NULL, NULL },
    };
    cut_lua_type(L, NAME, methods, meta);
    luaL_getmetatable(L, NAME);
    lua_getfield(L, -1, "__methods");
    luaL_setfuncs(L, cut_lua_session_look, 0);
    luaL_setfuncs(L, cut_lua_session_watch, 0);
    lua_pop(L, 2);
    cut_lua_open_explain(L);
}
