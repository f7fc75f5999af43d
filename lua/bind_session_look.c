/* bind_session_look.c - what a session shows: its program, values, attention, counters. */
#include "lua/bind_session.h"

#include <string.h>

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
    struct cut_lua_session *s = cut_lua_check_session(L);
    struct cut_where w = cut_session_where(s->s);
    const struct cut_step *next = w.step < w.n_steps ? cut_session_step_at(s->s, w.step) : NULL;
    lua_createtable(L, 0, 8);
    cut_lua_set_int(L, "pass", w.pass);
    cut_lua_set_int(L, "n_passes", w.n_passes);
    cut_lua_set_int(L, "step", w.step);
    cut_lua_set_int(L, "n_steps", w.n_steps);
    cut_lua_set_str(L, "name", next ? next->name : NULL);
    cut_lua_set_int(L, "n_tokens", w.n_tokens);
    cut_lua_set_int(L, "pos", w.pos);
    cut_lua_set_int(L, "n_queued", w.n_queued);
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
    struct cut_lua_session *s = cut_lua_check_session(L);
    int n = cut_session_n_steps(s->s);
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
        const struct cut_step *st = cut_session_step_at(s->s, i);
        lua_createtable(L, 0, 9);
        cut_lua_set_str(L, "name", st->name);
        cut_lua_set_str(L, "alias", st->alias);
        cut_lua_set_str(L, "op", st->op);
        cut_lua_set_str(L, "formula", st->formula);
        cut_lua_set_str(L, "cite", st->cite);
        cut_lua_set_int(L, "layer", st->layer);
        cut_lua_set_str(L, "weight", st->weight);
        cut_lua_set_str(L, "kernel", st->kernel);
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

static int check_step(lua_State *L, const struct cut_lua_session *s, int arg) {
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
    struct cut_lua_session *s = cut_lua_check_session(L);
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
    struct cut_lua_session *s = cut_lua_check_session(L);
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
    struct cut_lua_session *s = cut_lua_check_session(L);
    const struct cut_config *c = cut_model_config(s->model->model);
    lua_Integer layer = luaL_checkinteger(L, 2), head = luaL_checkinteger(L, 3), pos = luaL_checkinteger(L, 4);
    int stage = luaL_checkoption(L, 5, "softmax", stages), seq = cut_lua_check_sequence(L, s, 6), n_tokens;
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
    struct cut_lua_session *s = cut_lua_check_session(L);
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
    cut_lua_set_str(L, "how", e->how);
    cut_lua_set_str(L, "note", e->note);
    lua_pushboolean(L, e->product);
    lua_setfield(L, -2, "product");
    cut_lua_set_num(L, "value", e->value);
    cut_lua_set_num(L, "total", e->total);
    cut_lua_set_num(L, "ulps", e->ulps);
    lua_createtable(L, e->n_terms, 0);
    for (int i = 0; i < e->n_terms; i++) {
        lua_createtable(L, 0, 4);
        cut_lua_set_str(L, "label", e->terms[i].label);
        cut_lua_set_num(L, "a", e->terms[i].a);
        cut_lua_set_num(L, "b", e->terms[i].b);
        cut_lua_set_num(L, "term", e->terms[i].term);
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
    struct cut_lua_session *s = cut_lua_check_session(L);
    int n;
    const int32_t *ids = cut_session_tokens(s->s, cut_lua_check_sequence(L, s, 2), &n);
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
    struct cut_counters c = cut_session_counters(cut_lua_check_session(L)->s);
    lua_createtable(L, 0, 6);
    cut_lua_set_int(L, "tokens", (lua_Integer)c.tokens);
    cut_lua_set_int(L, "passes", (lua_Integer)c.passes);
    cut_lua_set_int(L, "steps", (lua_Integer)c.steps);
    cut_lua_set_int(L, "bytes", (lua_Integer)c.bytes);
    cut_lua_set_int(L, "flops", (lua_Integer)c.flops);
    cut_lua_set_int(L, "allocs", (lua_Integer)c.allocs);
    return 1;
}

/*** Bytes held, and the cells of the cache.
 * @function Session:memory
 * @treturn table weights, panels (their copy, repacked), kv, activations, other; cells, used, cell_bytes
 * @usage
 * local s = cut.model.open():session{ ctx = 64 }
 * assert(s:memory().cells >= 64)
 */
static int session_memory(lua_State *L) {
    struct cut_lua_session *s = cut_lua_check_session(L);
    struct cut_memory m = cut_session_memory(s->s);
    struct cut_kv_state kv = cut_session_kv(s->s);
    lua_createtable(L, 0, 8);
    cut_lua_set_int(L, "weights", (lua_Integer)m.weights);
    cut_lua_set_int(L, "panels", (lua_Integer)m.panels);
    cut_lua_set_int(L, "kv", (lua_Integer)m.kv);
    cut_lua_set_int(L, "activations", (lua_Integer)m.activations);
    cut_lua_set_int(L, "other", (lua_Integer)m.other);
    cut_lua_set_int(L, "cells", kv.n_cells);
    cut_lua_set_int(L, "used", kv.n_used);
    cut_lua_set_int(L, "cell_bytes", (lua_Integer)kv.cell_bytes);
    return 1;
}

/*** How the session computes.
 * @function Session:options
 * @treturn table ctx, batch, seqs, threads, tier, kv, repack ("never" where memory is short, too), reduce, keep
 * @usage assert(cut.model.open():session{ tier = "ref" }:options().tier == "ref")
 */
static int session_options(lua_State *L) {
    struct cut_lua_session *s = cut_lua_check_session(L);
    const struct cut_session_opts *o = cut_session_opts(s->s);
    lua_createtable(L, 0, 9);
    cut_lua_set_int(L, "ctx", o->n_ctx);
    cut_lua_set_int(L, "batch", o->n_batch);
    cut_lua_set_int(L, "seqs", o->n_seq);
    cut_lua_set_int(L, "threads", s->pool ? cut_pool_size(s->pool) : 1);
    cut_lua_set_str(L, "tier", cut_tier_name(o->tier == CUT_TIER_AUTO ? cut_tier_best() : o->tier));
    cut_lua_set_str(L, "kv", o->kv_type == CUT_F16 ? "f16" : "f32");
    cut_lua_set_str(L, "repack", o->repack == CUT_REPACK_NEVER ? "never" : o->repack == CUT_REPACK_ALWAYS ? "always" : "auto");
    cut_lua_set_str(L, "reduce", o->reduce == CUT_REDUCE_SPLIT_K ? "split-k" : "rows");
    lua_pushboolean(L, o->keep);
    lua_setfield(L, -2, "keep");
    return 1;
}

const luaL_Reg cut_lua_session_look[] = {
    { "where", session_where }, { "steps", session_steps }, { "value", session_value }, { "logits", session_logits },
    { "attention", session_attention }, { "explain", session_explain }, { "tokens", session_tokens },
    { "counters", session_counters }, { "memory", session_memory }, { "options", session_options }, { NULL, NULL },
};

void cut_lua_open_explain(lua_State *L) {
    static const luaL_Reg meta[] = { { "__gc", explain_gc }, { NULL, NULL } };
    static const luaL_Reg none[] = { { NULL, NULL } };
    cut_lua_type(L, "cut.Explain", none, meta);
}
