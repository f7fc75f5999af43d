/* bind.c - what all bindings need: metatables, option tables, and how an engine's failure reaches Lua. */
#include "lua/bind.h"

#include <string.h>

void cut_lua_type(lua_State *L, const char *name, const luaL_Reg *methods, const luaL_Reg *meta) {
    luaL_newmetatable(L, name);
    luaL_setfuncs(L, meta, 0);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__methods");             /* where the prelude adds more */
    if (lua_getfield(L, -2, "__index") == LUA_TNIL) {
        lua_pushvalue(L, -2);
        lua_setfield(L, -4, "__index");
    }
    lua_pop(L, 2);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

int cut_lua_fail(lua_State *L, enum cut_status status, const struct cut_err *err) {
    cut_lua_charge(L, 0);                         /* a cancelled script stops here rather than read an error */
    if (status == CUT_EUSAGE) return luaL_error(L, "%s", err->msg);
    lua_pushnil(L);
    lua_pushstring(L, err->msg);
    return 2;
}

void cut_lua_set_int(lua_State *L, const char *key, lua_Integer v) {
    lua_pushinteger(L, v);
    lua_setfield(L, -2, key);
}

void cut_lua_set_num(lua_State *L, const char *key, double v) {
    lua_pushnumber(L, v);
    lua_setfield(L, -2, key);
}

void cut_lua_set_str(lua_State *L, const char *key, const char *v) {
    if (!v) return;
    lua_pushstring(L, v);
    lua_setfield(L, -2, key);
}

/* ---- option tables */

static int field(lua_State *L, int arg, const char *name) {
    if (lua_isnoneornil(L, arg)) {
        lua_pushnil(L);
        return LUA_TNIL;
    }
    luaL_checktype(L, arg, LUA_TTABLE);
    return lua_getfield(L, arg, name);
}

lua_Integer cut_lua_opt_int(lua_State *L, int arg, const char *name, lua_Integer def, lua_Integer min, lua_Integer max) {
    int ok, type = field(L, arg, name);
    lua_Integer v = type == LUA_TNIL ? def : lua_tointegerx(L, -1, &ok);
    if (type != LUA_TNIL && !ok) luaL_error(L, "%s: an integer is wanted, not %s", name, luaL_tolstring(L, -1, NULL));
    if (type != LUA_TNIL && (v < min || v > max))
        luaL_error(L, "%s: %I is not between %I and %I", name, v, min, max);
    lua_pop(L, 1);
    return v;
}

double cut_lua_opt_num(lua_State *L, int arg, const char *name, double def, double min, double max) {
    int ok, type = field(L, arg, name);
    double v = type == LUA_TNIL ? def : lua_tonumberx(L, -1, &ok);
    if (type != LUA_TNIL && !ok) luaL_error(L, "%s: a number is wanted, not %s", name, luaL_tolstring(L, -1, NULL));
    if (type != LUA_TNIL && !(v >= min && v <= max)) luaL_error(L, "%s: %f is not between %f and %f", name, v, min, max);
    lua_pop(L, 1);
    return v;
}

bool cut_lua_opt_bool(lua_State *L, int arg, const char *name, bool def) {
    int type = field(L, arg, name);
    bool v = type == LUA_TNIL ? def : lua_toboolean(L, -1);
    if (type != LUA_TNIL && type != LUA_TBOOLEAN) luaL_error(L, "%s: true or false is wanted", name);
    lua_pop(L, 1);
    return v;
}

const char *cut_lua_opt_str(lua_State *L, int arg, const char *name, const char *def) {
    int type = field(L, arg, name);
    if (type != LUA_TNIL && type != LUA_TSTRING) luaL_error(L, "%s: a string is wanted", name);
    const char *v = type == LUA_TNIL ? def : lua_tostring(L, -1);
    lua_pop(L, 1);
    return v;
}

void cut_lua_only(lua_State *L, int arg, const char *const *names) {
    if (lua_isnoneornil(L, arg)) return;
    luaL_checktype(L, arg, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        const char *const *n = names;
        while (*n && (!key || strcmp(*n, key))) n++;
        if (!*n) luaL_error(L, "there is no option '%s'", luaL_tolstring(L, -2, NULL));
    }
}
