/* bind_session_watch.c - a script's hands inside a running session: probes, breakpoints, edits. */
#include "lua/bind_session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void cut_lua_free_probes(struct cut_lua_session *s) {
    while (s->probes) {
        struct cut_lua_probe *next = s->probes->next;
        free(s->probes);
        s->probes = next;
    }
}

/* ---- probes */

struct visit { struct cut_lua_probe *p; const struct cut_step *step; struct cut_tensor *value; bool keep_on; };

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
    struct cut_lua_probe *p = user;
    struct cut_lua_session *s = p->owner;
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
    struct cut_lua_session *s = cut_lua_check_idle(L);
    const char *pattern = luaL_checkstring(L, 2);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    cut_lua_only(L, 4, fields);
    bool edit = cut_lua_opt_bool(L, 4, "edit", false);
    lua_getiuservalue(L, 1, 1);
    struct cut_lua_probe *p = calloc(1, sizeof *p);
    if (!p) return luaL_error(L, "out of memory: a probe");
    *p = (struct cut_lua_probe){ .owner = s, .edit = edit, .next = s->probes };
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
    struct cut_lua_session *s = cut_lua_check_idle(L);
    lua_Integer id = luaL_checkinteger(L, 2);
    struct cut_lua_probe **p = &s->probes;
    while (*p && (*p)->id != id) p = &(*p)->next;
    if (!*p) return luaL_error(L, "there is no probe %I", id);
    struct cut_lua_probe *gone = *p;
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
    struct cut_lua_session *s = cut_lua_check_idle(L);
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
    struct cut_lua_session *s = cut_lua_check_idle(L);
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
    struct cut_lua_session *s = cut_lua_check_idle(L);
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
    cut_lua_session_enter(L, s);
    int failed = cut_lua_session_leave(L, s, cut_session_edit(s->s, &e, &err), &err);
    if (failed) return failed;
    return lua_pushboolean(L, true), 1;
}

/*** Drop the last edit, and run again without it.
 * @function Session:undo
 * @treturn boolean true; false when there was no edit; or nil and a message
 * @usage assert(cut.model.open():session{ keep = true }:undo() == false)
 */
static int session_undo(lua_State *L) {
    struct cut_lua_session *s = cut_lua_check_idle(L);
    const struct cut_edit *all;
    if (cut_session_edits(s->s, &all) == 0) return lua_pushboolean(L, false), 1;
    struct cut_err err;
    cut_lua_session_enter(L, s);
    int failed = cut_lua_session_leave(L, s, cut_session_undo(s->s, &err), &err);
    if (failed) return failed;
    return lua_pushboolean(L, true), 1;
}

const luaL_Reg cut_lua_session_watch[] = {
    { "probe", session_probe }, { "unprobe", session_unprobe }, { "break_at", session_break_at },
    { "unbreak", session_unbreak }, { "edit", session_edit }, { "undo", session_undo }, { NULL, NULL },
};
