/* control.c - pcall, xpcall and coroutines that a script to be stopped cannot hide behind.
 *
 * Lua's own would leave three holes. While an error raised by a hook is on its way, hooks are off (ldo.c, luaD_hook), so
 * a message handler of xpcall could loop for ever; so could a __close method when a coroutine that a hook has ended
 * is closed. And catching an error walks and shrinks the whole stack (ldo.c, luaD_shrinkstack), work that no
 * instruction stands for. Here a stop passes through every pcall at once, no handler is called for it, and a
 * stopped coroutine is never closed: there is no coroutine.close. */
#include "lua/bind.h"

/* ---- pcall, xpcall */

/* Stack: true, results; or anything, the error. base: where the `true` stands. */
static int finish(lua_State *L, int status, lua_KContext base) {
    if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - (int)base + 1;
    cut_lua_raise_stop(L);
    cut_lua_charge(L, cut_lua_of(L)->memory / 1024);
    lua_pushboolean(L, false);
    lua_insert(L, -2);
    return 2;
}

static int protected_call(lua_State *L) {
    luaL_checkany(L, 1);
    lua_pushboolean(L, true);
    lua_insert(L, 1);
    return finish(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 1, finish), 1);
}

/* Upvalue: the script's handler. */
static int handle(lua_State *L) {
    if (cut_lua_of(L)->stop) return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

/* Stack: function, handler, arguments; made into handler, true, function, arguments. */
static int protected_call_with_handler(lua_State *L) {
    luaL_checktype(L, 2, LUA_TFUNCTION);
    int n = lua_gettop(L) - 2;
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, handle, 1);
    lua_replace(L, 2);
    lua_pushboolean(L, true);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2);
    lua_remove(L, 1);
    return finish(L, lua_pcallk(L, n, LUA_MULTRET, 1, 2, finish), 2);
}

/* ---- coroutines */

static int create(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    cut_lua_charge(L, CUT_LUA_PERIOD);            /* it starts its count anew: charge a whole period in advance */
    lua_State *co = lua_newthread(L);             /* inherits the hook */
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

/* Resume with the n values at the top. Returns how many results were pushed, or -1: an error message was. */
static int resume_with(lua_State *L, lua_State *co, int n) {
    int results;
    if (!lua_checkstack(co, n)) return lua_pushliteral(L, "too many arguments to resume"), -1;
    lua_xmove(L, co, n);
    int status = lua_resume(co, L, n, &results);
    cut_lua_raise_stop(L);
    if (status == LUA_OK || status == LUA_YIELD) {
        if (!lua_checkstack(L, results + 1)) {
            lua_pop(co, results);
            return lua_pushliteral(L, "too many results to resume"), -1;
        }
        lua_xmove(co, L, results);
        return results;
    }
    cut_lua_charge(L, CUT_LUA_PERIOD);
    lua_xmove(co, L, 1);
    return -1;
}

static int resume(lua_State *L) {
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    int n = resume_with(L, co, lua_gettop(L) - 1);
    lua_pushboolean(L, n >= 0);
    lua_insert(L, n < 0 ? -2 : -(n + 1));
    return n < 0 ? 2 : n + 1;
}

static int wrapped(lua_State *L) {
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int n = resume_with(L, co, lua_gettop(L));
    if (n >= 0) return n;
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) {            /* it died by an error of its own: close its variables */
        if (lua_resetthread(co) != LUA_OK) {
            lua_xmove(co, L, 1);
            lua_remove(L, -2);
        }
        cut_lua_raise_stop(L);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int wrap(lua_State *L) {
    create(L);
    lua_pushcclosure(L, wrapped, 1);
    return 1;
}

void cut_lua_open_control(lua_State *L, int globals) {
    lua_pushcfunction(L, protected_call);
    lua_setfield(L, globals, "pcall");
    lua_pushcfunction(L, protected_call_with_handler);
    lua_setfield(L, globals, "xpcall");
    lua_getfield(L, globals, "coroutine");
    lua_pushcfunction(L, create);
    lua_setfield(L, -2, "create");
    lua_pushcfunction(L, wrap);
    lua_setfield(L, -2, "wrap");
    lua_pushcfunction(L, resume);
    lua_setfield(L, -2, "resume");
    lua_pop(L, 1);
}
