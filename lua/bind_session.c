/* bind_session.c - cut.Session: a model at work, under the script's control.
 *
 * Positions, passes and steps count from 0, as the screens show them; tensors and lists count from 1, as Lua does. */
#include "lua/bind_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NAME "cut.Session"
enum { MAX_SESSIONS = 64 };

/* A probe's Lua function stands in the table that is the session's user value 1, under its id. */
struct probe { struct session *owner; int id; bool edit; struct probe *next; };

struct session {
    struct cut_session *s;
    struct cut_pool *pool;
    struct cut_lua_model *model;
    struct cut_lua *host;
    struct probe *probes;
    lua_State *L;                  /* the thread that is inside the engine; NULL: none. Its stack has the session at 1 */
    bool probe_failed;
    size_t bytes;
};

static struct session *check(lua_State *L) {
    struct session *s = luaL_checkudata(L, 1, NAME);
    if (!s->s) luaL_error(L, "the session is closed");
    return s;
}

/* For calls that change the session: a probe may look, but not pull the rug. */
static struct session *check_idle(lua_State *L) {
    struct session *s = check(L);
    if (s->L) luaL_error(L, "the session is running: a probe may not change it");
    return s;
}

/* ---- life */

static void free_session(struct session *s) {
    if (s->s) {
        s->host->engine_memory -= s->bytes;
        s->host->n_sessions--;
    }
    cut_session_free(s->s);
    cut_pool_free(s->pool);
    cut_lua_model_drop(s->model);
    while (s->probes) {
        struct probe *next = s->probes->next;
        free(s->probes);
        s->probes = next;
    }
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
    struct session *s = luaL_checkudata(L, 1, NAME);
    if (s->s) check_idle(L);
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

/* What the cache alone will take, in bytes, so that an absurd size is refused before it is allocated. */
static double cache_bytes(const struct cut_config *c, const struct cut_session_opts *o) {
    int n_ctx = o->n_ctx ? o->n_ctx : c->n_ctx_train < 4096 ? c->n_ctx_train : 4096;
    return 2.0 * n_ctx * c->n_layer * c->n_head_kv * c->head_dim * (o->kv_type == CUT_F16 ? 2 : 4);
}

static bool no_room(struct cut_lua *h, double more) {
    return h->n_sessions >= MAX_SESSIONS || (double)h->engine_memory + more > (double)h->opts.max_engine_memory;
}

/*** Make a session.
 * @function Model:session
 * @tparam[opt] table options ctx, cells of the cache (default: the training context, at most 4096); batch, most tokens
 * in a pass (512); seqs, sequences (1); threads (1); tier, "ref", "avx2", ... (the best); kv, "f16" or "f32";
 * activations, "q8" or "f32"; keep, keep every value so that steps can be looked at and undone (false); plain,
 * attention as separate steps (false)
 * @treturn Session or nil and a message when there is no memory for it
 * @usage
 * local s = assert(cut.model.open():session{ ctx = 64, tier = "ref", keep = true })
 * assert(#s:steps() > 10)
 */
int cut_lua_model_session(lua_State *L) {
    static const char *const fields[] = { "ctx", "batch", "seqs", "threads", "tier", "kv", "activations", "keep", "plain",
                                          NULL };
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
    struct session *s = lua_newuserdatauv(L, sizeof *s, 1);
    *s = (struct session){ .host = h };
    luaL_setmetatable(L, NAME);
    lua_newtable(L);
    lua_setiuservalue(L, -2, 1);
    s->model = cut_lua_model_share(m);
    struct cut_err err;
    enum cut_status status = threads > 1 ? cut_pool_new(&s->pool, threads, &err) : CUT_OK;
    o.pool = s->pool;
    if (!status) status = cut_session_new(&s->s, m->model, &o, &err);
    if (status) return cut_lua_fail(L, status, &err);
    struct cut_memory mem = cut_session_memory(s->s);
    s->bytes = (size_t)(mem.kv + mem.activations + mem.other);
    h->engine_memory += s->bytes;
    h->n_sessions++;
    return 1;
}

/*** Everything back to the state of a new session; probes, breakpoints and edits too.
 * @function Session:reset
 * @usage
 * local s = cut.model.open():session()
 * s:feed("one two"); s:run(); s:reset()
 * assert(#s:tokens() == 0)
 */
static int session_reset(lua_State *L) {
    struct session *s = check_idle(L);
    cut_session_reset(s->s);
    while (s->probes) {
        struct probe *next = s->probes->next;
        free(s->probes);
        s->probes = next;
    }
    lua_newtable(L);
    lua_setiuservalue(L, 1, 1);
    return 0;
}

/* ---- into the engine and back */

static void enter(lua_State *L, struct session *s) {
    cut_lua_charge(L, 0);          /* cancelled already? */
    s->L = L;
    s->probe_failed = false;
    cut_lua_enter(s->host, s->s);
}

/* After the engine returned: raise what a probe raised, or what stopped the script. Otherwise as cut_lua_fail; 0 when
 * all went well. */
static int leave(lua_State *L, struct session *s, enum cut_status status, const struct cut_err *err) {
    cut_lua_leave(s->host);
    cut_session_uncancel(s->s);    /* a request that came too late for this call is not for the next */
    s->L = NULL;
    cut_lua_charge(L, 0);
    if (s->probe_failed) return luaL_error(L, "%s", s->host->probe_error);
    return status ? cut_lua_fail(L, status, err) : 0;
}

static int sequence(lua_State *L, const struct session *s, int arg) {
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
    struct session *s = check_idle(L);
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
    struct session *s = check_idle(L);
    struct cut_err err;
    enum cut_stop why = CUT_STOP_DONE;
    enter(L, s);
    int failed = leave(L, s, cut_session_run(s->s, &why, &err), &err);
    if (failed) return failed;
    lua_pushstring(L, stops[why]);
    return 1;
}

static int need_keep(lua_State *L, const struct session *s) {
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
    struct session *s = check_idle(L);
    lua_Integer n = luaL_optinteger(L, 2, 1);
    if (n < 1 || n > INT_MAX) return luaL_error(L, "step: %I is not a number of steps", n);
    need_keep(L, s);
    struct cut_err err;
    enum cut_stop why = CUT_STOP_DONE;
    enter(L, s);
    int failed = leave(L, s, cut_session_step(s->s, (int)n, &why, &err), &err);
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
    struct session *s = check_idle(L);
    lua_Integer n = luaL_optinteger(L, 2, 1);
    if (n < 1 || n > INT_MAX) return luaL_error(L, "back: %I is not a number of steps", n);
    need_keep(L, s);
    struct cut_err err;
    enter(L, s);
    int failed = leave(L, s, cut_session_back(s->s, (int)n, &err), &err);
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
    struct session *s = check_idle(L);
    lua_Integer pass = luaL_checkinteger(L, 2), step = luaL_checkinteger(L, 3);
    if (pass < 0 || pass > INT_MAX || step < 0 || step > INT_MAX)
        return luaL_error(L, "seek: there is no pass %I, step %I", pass, step);
    need_keep(L, s);
    struct cut_err err;
    enter(L, s);
    int failed = leave(L, s, cut_session_seek(s->s, (int)pass, (int)step, &err), &err);
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
    struct session *s = check_idle(L);
    lua_Integer pos = luaL_checkinteger(L, 2);
    int seq = sequence(L, s, 3);
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
    struct session *s = check_idle(L);
    luaL_checkinteger(L, 2);
    luaL_checkinteger(L, 3);
    int src = sequence(L, s, 2), dst = sequence(L, s, 3);
    struct cut_err err;
    enum cut_status status = cut_session_fork(s->s, src, dst, &err);
    if (status) return cut_lua_fail(L, status, &err);
    return lua_pushboolean(L, true), 1;
}

/* ---- looking */

static void set_int(lua_State *L, const char *key, lua_Integer v) {
    lua_pushinteger(L, v);
    lua_setfield(L, -2, key);
}

static void set_num(lua_State *L, const char *key, double v) {
    lua_pushnumber(L, v);
    lua_setfield(L, -2, key);
}

static void set_str(lua_State *L, const char *key, const char *v) {
    if (!v) return;
    lua_pushstring(L, v);
    lua_setfield(L, -2, key);
}

/*** Where the session stands.
 * @function Session:where
 * @treturn table pass, n_passes, step (the one that runs next), n_steps, name (of that step, absent after the last),
 * n_tokens, pos, n_queued
 * @usage
 * local s = cut.model.open():session{ keep = true }
 * s:feed("Once")
 * s:step()
 * assert(s:where().name == s:steps()[2].name)
 */
static int session_where(lua_State *L) {
    struct session *s = check(L);
    struct cut_where w = cut_session_where(s->s);
    const struct cut_step *next = w.step < w.n_steps ? cut_session_step_at(s->s, w.step) : NULL;
    lua_createtable(L, 0, 8);
    set_int(L, "pass", w.pass);
    set_int(L, "n_passes", w.n_passes);
    set_int(L, "step", w.step);
    set_int(L, "n_steps", w.n_steps);
    set_str(L, "name", next ? next->name : NULL);
    set_int(L, "n_tokens", w.n_tokens);
    set_int(L, "pos", w.pos);
    set_int(L, "n_queued", w.n_queued);
    return 1;
}

/*** The program: one entry a step, in order.
 * @function Session:steps
 * @treturn {table,...} each with name, alias, op, formula, cite, layer (-1 outside the blocks), weight, kernel, inputs
 * @usage
 * local names = {}
 * for i, step in ipairs(cut.model.open():session():steps()) do names[step.name] = i end
 * assert(names["blk.0.attn_norm"] < names["logits"])
 */
static int session_steps(lua_State *L) {
    struct session *s = check(L);
    int n = cut_session_n_steps(s->s);
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
        const struct cut_step *st = cut_session_step_at(s->s, i);
        lua_createtable(L, 0, 9);
        set_str(L, "name", st->name);
        set_str(L, "alias", st->alias);
        set_str(L, "op", st->op);
        set_str(L, "formula", st->formula);
        set_str(L, "cite", st->cite);
        set_int(L, "layer", st->layer);
        set_str(L, "weight", st->weight);
        set_str(L, "kernel", st->kernel);
        lua_createtable(L, st->n_in, 0);
        for (int k = 0; k < st->n_in; k++) {
            lua_pushstring(L, st->in[k]);
            lua_rawseti(L, -2, k + 1);
        }
        lua_setfield(L, -2, "inputs");
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static int check_step(lua_State *L, const struct session *s, int arg) {
    const char *name = luaL_checkstring(L, arg);
    int i = cut_session_find_step(s->s, name);
    if (i < 0) luaL_error(L, "there is no step \"%s\"; s:steps() lists them", name);
    return i;
}

/*** The value that a step wrote, copied.
 * @function Session:value
 * @tparam string name a step, by its name or its TransformerLens alias
 * @treturn Tensor or nil and a message when the step has not run, or nothing kept its value
 * @usage
 * local s = cut.model.open():session{ keep = true }
 * s:feed("Once")
 * s:run()
 * assert(s:value("embed"):shape()[1] == s:where().n_tokens)
 */
static int session_value(lua_State *L) {
    struct session *s = check(L);
    int step = check_step(L, s, 2);
    struct cut_tensor t;
    struct cut_err err;
    enum cut_status status = cut_session_value(s->s, step, &t, &err);
    if (status) return lua_pushnil(L), lua_pushstring(L, err.msg), 2;
    if (!t.data) return lua_pushnil(L), lua_pushfstring(L, "%s has not been computed yet", lua_tostring(L, 2)), 2;
    cut_lua_push_tensor(L, &t);
    return 1;
}

/*** The logits of the last pass, copied: one number for each token of the vocabulary; element i belongs to token id i - 1.
 * @function Session:logits
 * @tparam[opt] int row of the rows that were asked for (feed's option `all`), from 1; default: the last
 * @treturn Tensor or nil and a message when there is no such row
 * @usage
 * local s = cut.model.open():session()
 * s:feed("Once")
 * s:run()
 * local id = s:logits():argmax() - 1
 */
static int session_logits(lua_State *L) {
    struct session *s = check(L);
    lua_Integer row = luaL_optinteger(L, 2, 0);
    if (row < 0 || row > INT_MAX) return luaL_error(L, "logits: %I is not a row", row);
    const float *x = cut_session_logits(s->s, (int)row - 1);
    if (!x) return lua_pushnil(L), lua_pushliteral(L, "there are no such logits: nothing ran, or not that row"), 2;
    struct cut_tensor t = {
        .name = "logits", .n_dims = 1, .ne = { cut_model_config(s->model->model)->n_vocab, 1, 1 }, .axis = { "vocab" },
        .data = (float *)x,
    };
    cut_lua_push_tensor(L, &t);
    return 1;
}

/*** Attention of one head as a token sees the cache: one number for each position up to its own.
 * @function Session:attention
 * @tparam int layer from 0
 * @tparam int head from 1
 * @tparam int pos of the token, from 0
 * @tparam[opt="softmax"] string stage "raw", "scaled", "softmax" or "value"
 * @tparam[opt=0] int seq
 * @treturn Tensor or nil and a message
 * @usage
 * local s = cut.model.open():session{ keep = true }
 * s:feed("Once upon a time")
 * s:run()
 * assert(math.abs(s:attention(0, 1, #s:tokens() - 1):sum() - 1) < 1e-5)
 */
static int session_attention(lua_State *L) {
    static const char *const stages[] = { "raw", "scaled", "softmax", "value", NULL };
    struct session *s = check(L);
    const struct cut_config *c = cut_model_config(s->model->model);
    lua_Integer layer = luaL_checkinteger(L, 2), head = luaL_checkinteger(L, 3), pos = luaL_checkinteger(L, 4);
    int stage = luaL_checkoption(L, 5, "softmax", stages), seq = sequence(L, s, 6), n_tokens;
    cut_session_tokens(s->s, seq, &n_tokens);
    if (layer < 0 || layer >= c->n_layer) return luaL_error(L, "layer %I is not between 0 and %d", layer, c->n_layer - 1);
    if (head < 1 || head > c->n_head) return luaL_error(L, "head %I is not between 1 and %d", head, c->n_head);
    if (pos < 0 || pos >= n_tokens) return luaL_error(L, "position %I is not between 0 and %d", pos, n_tokens - 1);
    int64_t n = pos + 1;
    float *out = cut_lua_push_floats(L, 1, &n, "attention");
    struct cut_err err;
    enum cut_status status = cut_session_attention(s->s, seq, (int)layer, (int)head - 1, (int)pos,
                                                   (enum cut_attn_stage)stage, out, &err);
    return status ? cut_lua_fail(L, status, &err) : 1;
}

struct explain_box { struct cut_explain e; };

static int explain_gc(lua_State *L) {
    struct explain_box *b = luaL_checkudata(L, 1, "cut.Explain");
    cut_explain_done(&b->e);
    return 0;
}

/*** One number of a step's value, taken apart.
 * @function Session:explain
 * @tparam string name of the step
 * @tparam {int,...} at the number's place, as it is indexed: t[i][j] is {i, j}
 * @treturn table how, note, product (the terms are factors), value, total, ulps, terms ({label, a, b, term} each); or nil and a message
 * @usage
 * local s = cut.model.open():session{ keep = true }
 * s:feed("Once")
 * s:run()
 * local e = s:explain("blk.0.attn_norm", { 1, 1 })
 * assert(e.value == s:value("blk.0.attn_norm")[1][1])
 */
static int session_explain(lua_State *L) {
    struct session *s = check(L);
    int step = check_step(L, s, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    struct cut_tensor t;
    struct cut_err err;
    enum cut_status status = cut_session_value(s->s, step, &t, &err);
    if (status) return lua_pushnil(L), lua_pushstring(L, err.msg), 2;
    int64_t at[3] = { 0, 0, 0 };
    struct cut_tensor shown = cut_lua_squeeze(&t);
    bool squeezed = shown.n_dims != t.n_dims;
    t = shown;
    if ((int)lua_rawlen(L, 3) != t.n_dims) return luaL_error(L, "explain: %s has %d dimensions", t.name, t.n_dims);
    for (int i = 0; i < t.n_dims; i++) {
        int ok;
        lua_rawgeti(L, 3, i + 1);
        lua_Integer v = lua_tointegerx(L, -1, &ok);
        int d = t.n_dims - 1 - i;
        if (!ok || v < 1 || v > t.ne[d])
            return luaL_error(L, "explain: index %d must be between 1 and %I", i + 1, (lua_Integer)t.ne[d]);
        at[squeezed && d == 1 ? 2 : d] = v - 1;
        lua_pop(L, 1);
    }
    struct explain_box *b = lua_newuserdatauv(L, sizeof *b, 0);
    memset(b, 0, sizeof *b);
    luaL_setmetatable(L, "cut.Explain");
    status = cut_session_explain(s->s, step, at, &b->e, &err);
    if (status) return cut_lua_fail(L, status, &err);
    const struct cut_explain *e = &b->e;
    lua_createtable(L, 0, 7);
    set_str(L, "how", e->how);
    set_str(L, "note", e->note);
    lua_pushboolean(L, e->product);
    lua_setfield(L, -2, "product");
    set_num(L, "value", e->value);
    set_num(L, "total", e->total);
    set_num(L, "ulps", e->ulps);
    lua_createtable(L, e->n_terms, 0);
    for (int i = 0; i < e->n_terms; i++) {
        lua_createtable(L, 0, 4);
        set_str(L, "label", e->terms[i].label);
        set_num(L, "a", e->terms[i].a);
        set_num(L, "b", e->terms[i].b);
        set_num(L, "term", e->terms[i].term);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "terms");
    return 1;
}

/*** The tokens of a sequence, evaluated and queued.
 * @function Session:tokens
 * @tparam[opt=0] int seq
 * @treturn {int,...}
 * @usage
 * local s = cut.model.open():session()
 * s:feed{ 1, 5 }
 * assert(s:tokens()[2] == 5)
 */
static int session_tokens(lua_State *L) {
    struct session *s = check(L);
    int n;
    const int32_t *ids = cut_session_tokens(s->s, sequence(L, s, 2), &n);
    cut_lua_push_ids(L, ids, n);
    return 1;
}

/*** What was done so far, exactly, free of the clock.
 * @function Session:counters
 * @treturn table tokens, passes, steps, bytes, flops, allocs
 * @usage
 * local s = cut.model.open():session()
 * s:feed{ 1, 5, 6 }
 * s:run()
 * assert(s:counters().tokens == 3)
 */
static int session_counters(lua_State *L) {
    struct cut_counters c = cut_session_counters(check(L)->s);
    lua_createtable(L, 0, 6);
    set_int(L, "tokens", (lua_Integer)c.tokens);
    set_int(L, "passes", (lua_Integer)c.passes);
    set_int(L, "steps", (lua_Integer)c.steps);
    set_int(L, "bytes", (lua_Integer)c.bytes);
    set_int(L, "flops", (lua_Integer)c.flops);
    set_int(L, "allocs", (lua_Integer)c.allocs);
    return 1;
}

/*** Bytes held, and the cells of the cache.
 * @function Session:memory
 * @treturn table weights, kv, activations, other; cells, used, cell_bytes
 * @usage
 * local s = cut.model.open():session{ ctx = 64 }
 * assert(s:memory().cells >= 64)
 */
static int session_memory(lua_State *L) {
    struct session *s = check(L);
    struct cut_memory m = cut_session_memory(s->s);
    struct cut_kv_state kv = cut_session_kv(s->s);
    lua_createtable(L, 0, 7);
    set_int(L, "weights", (lua_Integer)m.weights);
    set_int(L, "kv", (lua_Integer)m.kv);
    set_int(L, "activations", (lua_Integer)m.activations);
    set_int(L, "other", (lua_Integer)m.other);
    set_int(L, "cells", kv.n_cells);
    set_int(L, "used", kv.n_used);
    set_int(L, "cell_bytes", (lua_Integer)kv.cell_bytes);
    return 1;
}

/*** How the session computes.
 * @function Session:options
 * @treturn table ctx, batch, seqs, threads, tier, kv, keep
 * @usage assert(cut.model.open():session{ tier = "ref" }:options().tier == "ref")
 */
static int session_options(lua_State *L) {
    struct session *s = check(L);
    const struct cut_session_opts *o = cut_session_opts(s->s);
    lua_createtable(L, 0, 7);
    set_int(L, "ctx", o->n_ctx);
    set_int(L, "batch", o->n_batch);
    set_int(L, "seqs", o->n_seq);
    set_int(L, "threads", s->pool ? cut_pool_size(s->pool) : 1);
    set_str(L, "tier", cut_tier_name(o->tier == CUT_TIER_AUTO ? cut_tier_best() : o->tier));
    set_str(L, "kv", o->kv_type == CUT_F16 ? "f16" : "f32");
    lua_pushboolean(L, o->keep);
    lua_setfield(L, -2, "keep");
    return 1;
}

/* ---- probes */

struct visit { struct probe *p; const struct cut_step *step; struct cut_tensor *value; bool keep_on; };

/* Stack: visit, the probe's function. An error must not leave the loan alive, so the function gets a call of its own. */
static int visit_body(lua_State *L) {
    struct visit *v = lua_touserdata(L, 1);
    struct cut_lua *h = cut_lua_of(L);
    cut_lua_lend_tensor(L, v->value, v->p->edit);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_pushstring(L, v->step->name);
    lua_pushinteger(L, v->step->layer);
    enum cut_status status = cut_lua_call(h, L, 3, 1, NULL);
    cut_lua_tensor_expire(L, 3);
    if (status) return luaL_error(L, "%s", cut_lua_error(h));
    v->keep_on = lua_isnil(L, -1) || lua_toboolean(L, -1);
    return 0;
}

static bool on_step(void *user, const struct cut_step *step, struct cut_tensor *value) {
    struct probe *p = user;
    struct session *s = p->owner;
    lua_State *L = s->L;
    struct visit v = { p, step, value, false };
    if (!lua_checkstack(L, 16)) {
        s->probe_failed = true;
        snprintf(s->host->probe_error, sizeof s->host->probe_error, "a probe found no room on the stack");
        return false;
    }
    lua_pushcfunction(L, visit_body);
    lua_pushlightuserdata(L, &v);
    lua_getiuservalue(L, 1, 1);
    lua_rawgeti(L, -1, p->id);
    lua_remove(L, -2);
    if (cut_lua_call(s->host, L, 2, 0, NULL)) {
        s->probe_failed = true;
        snprintf(s->host->probe_error, sizeof s->host->probe_error, "%s", cut_lua_error(s->host));
        return false;
    }
    return v.keep_on;
}

/*** Call a function after every step whose name matches. It gets the step's value, its name and its layer. The tensor ends
 * with the call; t:copy() keeps it. With edit, the function may change the tensor. Returning false ends the run.
 * @function Session:probe
 * @tparam string pattern a step's name or alias, where * stands for any characters
 * @tparam function fn fn(tensor, name, layer)
 * @tparam[opt] table options edit (false)
 * @treturn int an id for unprobe
 * @usage
 * local s, seen = cut.model.open():session(), 0
 * s:probe("blk.*.attn_out", function(t, name, layer) seen = seen + 1 end)
 * s:probe("blk.0.ffn_out", function(t) for i = 1, #t do t[i] = 0 end end, { edit = true })
 * s:feed("Once")
 * s:run()
 * assert(seen == cut.model.open():config().n_layer)
 */
static int session_probe(lua_State *L) {
    static const char *const fields[] = { "edit", NULL };
    struct session *s = check_idle(L);
    const char *pattern = luaL_checkstring(L, 2);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    cut_lua_only(L, 4, fields);
    bool edit = cut_lua_opt_bool(L, 4, "edit", false);
    lua_getiuservalue(L, 1, 1);
    struct probe *p = calloc(1, sizeof *p);
    if (!p) return luaL_error(L, "out of memory: a probe");
    *p = (struct probe){ .owner = s, .edit = edit, .next = s->probes };
    s->probes = p;                 /* from here on the session frees it */
    struct cut_err err;
    enum cut_status status = cut_session_probe(s->s, pattern, on_step, p, edit ? CUT_PROBE_EDIT : 0, &p->id, &err);
    if (status) {
        s->probes = p->next;
        free(p);
        return cut_lua_fail(L, status, &err);
    }
    lua_pushvalue(L, 3);
    lua_rawseti(L, -2, p->id);
    lua_pushinteger(L, p->id);
    return 1;
}

/*** Take a probe away.
 * @function Session:unprobe
 * @tparam int id
 * @usage
 * local s, seen = cut.model.open():session(), 0
 * s:unprobe(s:probe("embed", function() seen = seen + 1 end))
 * s:feed("Once")
 * s:run()
 * assert(seen == 0)
 */
static int session_unprobe(lua_State *L) {
    struct session *s = check_idle(L);
    lua_Integer id = luaL_checkinteger(L, 2);
    struct probe **p = &s->probes;
    while (*p && (*p)->id != id) p = &(*p)->next;
    if (!*p) return luaL_error(L, "there is no probe %I", id);
    struct probe *gone = *p;
    cut_session_unprobe(s->s, gone->id);
    *p = gone->next;
    free(gone);
    lua_getiuservalue(L, 1, 1);
    lua_pushnil(L);
    lua_rawseti(L, -2, id);
    return 0;
}

/* ---- breakpoints and edits */

/*** Stop before every step whose name matches; with above, after it ran with a value beyond that size.
 * @function Session:break_at
 * @tparam string pattern
 * @tparam[opt] table options above
 * @treturn int an index for unbreak
 * @usage
 * local s = cut.model.open():session{ keep = true }
 * s:break_at("blk.1.attn_norm")
 * s:feed("Once")
 * assert(s:run() == "break" and s:where().name == "blk.1.attn_norm")
 */
static int session_break_at(lua_State *L) {
    static const char *const fields[] = { "above", NULL };
    struct session *s = check_idle(L);
    size_t len;
    const char *pattern = luaL_checklstring(L, 2, &len);
    struct cut_break b = { .above = 0 };
    cut_lua_only(L, 3, fields);
    b.above = (float)cut_lua_opt_num(L, 3, "above", 0, 0, HUGE_VAL);
    if (len >= sizeof b.pattern) return luaL_error(L, "break_at: the pattern is longer than %d bytes", (int)sizeof b.pattern - 1);
    memcpy(b.pattern, pattern, len + 1);
    struct cut_err err;
    enum cut_status status = cut_session_break(s->s, &b, &err);
    if (status) return cut_lua_fail(L, status, &err);
    const struct cut_break *all;
    lua_pushinteger(L, cut_session_breaks(s->s, &all));
    return 1;
}

/*** Take a breakpoint away. Those after it move down by one.
 * @function Session:unbreak
 * @tparam int index
 * @usage
 * local s = cut.model.open():session{ keep = true }
 * s:unbreak(s:break_at("embed"))
 * s:feed("Once")
 * assert(s:run() == "done")
 */
static int session_unbreak(lua_State *L) {
    struct session *s = check_idle(L);
    lua_Integer i = luaL_checkinteger(L, 2);
    const struct cut_break *all;
    if (i < 1 || i > cut_session_breaks(s->s, &all)) return luaL_error(L, "there is no breakpoint %I", i);
    cut_session_unbreak(s->s, (int)i - 1);
    return 0;
}

/*** Change part of a step's value each time it runs, and run again from the first token that this touches.
 * @function Session:edit
 * @tparam table edit step, its name; set or scale, a number; dim and head, from 1 (default: all); from and to,
 * positions from 0 (default: all); seq (0)
 * @treturn boolean true; or nil and a message
 * @usage
 * local s = cut.model.open():session{ keep = true }
 * s:feed("Once upon")
 * s:run()
 * local before = s:logits()
 * s:edit{ step = "blk.0.z", head = 1, set = 0 }
 * assert((s:logits() - before):rms() > 0)
 * s:undo()
 * assert((s:logits() - before):rms() == 0)
 */
static int session_edit(lua_State *L) {
    static const char *const fields[] = { "step", "set", "scale", "dim", "head", "from", "to", "seq", NULL };
    struct session *s = check_idle(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    cut_lua_only(L, 2, fields);
    struct cut_edit e = { .op = CUT_EDIT_SET };
    const char *step = cut_lua_opt_str(L, 2, "step", NULL);
    if (!step || cut_session_find_step(s->s, step) < 0)
        return luaL_error(L, "edit: there is no step \"%s\"", step ? step : "");
    snprintf(e.step, sizeof e.step, "%s", cut_session_step_at(s->s, cut_session_find_step(s->s, step))->name);
    bool set = lua_getfield(L, 2, "set") != LUA_TNIL, scale = lua_getfield(L, 2, "scale") != LUA_TNIL;
    if (set == scale) return luaL_error(L, "edit: give one of set and scale");
    if (scale) e.op = CUT_EDIT_SCALE;
    e.value = (float)cut_lua_opt_num(L, 2, set ? "set" : "scale", 0, -HUGE_VAL, HUGE_VAL);
    e.i0 = (int)cut_lua_opt_int(L, 2, "dim", 0, 1, INT_MAX) - 1;
    e.i1 = (int)cut_lua_opt_int(L, 2, "head", 0, 1, INT_MAX) - 1;
    e.pos0 = (int)cut_lua_opt_int(L, 2, "from", 0, 0, INT_MAX);
    e.pos1 = (int)cut_lua_opt_int(L, 2, "to", -1, 0, INT_MAX);
    e.seq = (int)cut_lua_opt_int(L, 2, "seq", 0, 0, cut_session_opts(s->s)->n_seq - 1);
    struct cut_err err;
    enter(L, s);
    int failed = leave(L, s, cut_session_edit(s->s, &e, &err), &err);
    if (failed) return failed;
    return lua_pushboolean(L, true), 1;
}

/*** Drop the last edit, and run again without it.
 * @function Session:undo
 * @treturn boolean true; false when there was no edit; or nil and a message
 * @usage assert(cut.model.open():session{ keep = true }:undo() == false)
 */
static int session_undo(lua_State *L) {
    struct session *s = check_idle(L);
    const struct cut_edit *all;
    if (cut_session_edits(s->s, &all) == 0) return lua_pushboolean(L, false), 1;
    struct cut_err err;
    enter(L, s);
    int failed = leave(L, s, cut_session_undo(s->s, &err), &err);
    if (failed) return failed;
    return lua_pushboolean(L, true), 1;
}

static int session_tostring(lua_State *L) {
    struct session *s = luaL_checkudata(L, 1, NAME);
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
        { "fork", session_fork }, { "where", session_where }, { "steps", session_steps }, { "value", session_value },
        { "logits", session_logits }, { "attention", session_attention }, { "explain", session_explain },
        { "tokens", session_tokens }, { "counters", session_counters }, { "memory", session_memory },
        { "options", session_options }, { "probe", session_probe }, { "unprobe", session_unprobe },
        { "break_at", session_break_at }, { "unbreak", session_unbreak }, { "edit", session_edit },
        { "undo", session_undo }, { NULL, NULL },
    };
    static const luaL_Reg meta[] = {
        { "__gc", session_gc }, { "__close", session_close }, { "__tostring", session_tostring }, { NULL, NULL },
    };
    static const luaL_Reg explain_meta[] = { { "__gc", explain_gc }, { NULL, NULL } };
    static const luaL_Reg none[] = { { NULL, NULL } };
    cut_lua_type(L, NAME, methods, meta);
    cut_lua_type(L, "cut.Explain", none, explain_meta);
}
