/* sandbox.c - the globals a script sees.
 *
 * Each script gets its own copy of the library tables, so that a learner's script that replaces string.format changes
 * nothing for the checker. The methods of strings ("x"):upper() come from one more copy that no script can reach. */
#include "lua/bind.h"

#include <limits.h>
#include <string.h>

static const char BASE_KEY, SHARED_KEY;      /* their addresses are the registry keys */

/* ---- functions we replace */

static int print(lua_State *L) {
    struct cut_lua *h = cut_lua_of(L);
    luaL_Buffer b;
    int n = lua_gettop(L);
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        if (i > 1) luaL_addchar(&b, '\t');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_addchar(&b, '\n');
    luaL_pushresult(&b);
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    cut_lua_charge(L, len / 8);
    if (h->opts.print) h->opts.print(h->opts.user, text, len);
    return 0;
}

/* Source text only: bytecode could break the interpreter itself. A function as source could feed the parser for ever. */
static int load(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    const char *name = luaL_optstring(L, 2, text);
    if (lua_isnoneornil(L, 4)) lua_pushvalue(L, lua_upvalueindex(1));
    else lua_pushvalue(L, 4);
    char chunk[80];
    snprintf(chunk, sizeof chunk, "%s%.70s", *name == '=' || *name == '@' ? "" : "=", name);
    if (cut_lua_load(L, chunk + 1, text, len)) return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* Finalizers run with hooks switched off (lgc.c, GCTM), so an endless one could not be stopped. Lua marks an object for
 * finalization here or never, so it is enough to look here. */
static int guard_setmetatable(lua_State *L) {
    if (lua_istable(L, 2)) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL) return luaL_error(L, "setmetatable: __gc is not available to scripts");
        lua_pop(L, 1);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* insert, remove, sort, concat walk 1 .. #t inside C; # can answer anything by __len, and 2^61 for a table with holes. */
static int guard_length(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    if (luaL_getmetafield(L, 1, "__len") != LUA_TNIL)
        return luaL_error(L, "table functions do not take a table with __len here");
    if (lua_rawlen(L, 1) > CUT_LUA_MAX_RANGE)
        return luaL_error(L, "the table is too long: at most %d elements", CUT_LUA_MAX_RANGE);
    cut_lua_charge(L, lua_rawlen(L, 1));
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* move(a, first, last, ...) and concat(t, sep, first, last): the range is in two arguments. */
static int guard_range(lua_State *L) {
    int first_arg = (int)lua_tointeger(L, lua_upvalueindex(2));
    if (!lua_isnoneornil(L, first_arg + 1)) {
        lua_Integer first = luaL_optinteger(L, first_arg, 1), last = luaL_checkinteger(L, first_arg + 1);
        if (last >= first && (lua_Unsigned)last - (lua_Unsigned)first >= CUT_LUA_MAX_RANGE)
            return luaL_error(L, "the range is too long: at most %d elements", CUT_LUA_MAX_RANGE);
        if (last >= first) cut_lua_charge(L, (lua_Unsigned)last - (lua_Unsigned)first);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int collect(lua_State *L) {
    static const char *const options[] = { "count", "collect", NULL };
    struct cut_lua *h = cut_lua_of(L);
    if (luaL_checkoption(L, 1, "collect", options) == 0) {
        lua_pushnumber(L, (lua_Number)h->memory / 1024);
        return 1;
    }
    cut_lua_charge(L, h->memory / 64);
    lua_gc(L, LUA_GCCOLLECT);
    lua_pushinteger(L, 0);
    return 1;
}

/* string.rep by doubling: Lua's copies piece by piece, and a hundred million copies of one byte take their time. */
static int repeat(lua_State *L) {
    size_t len, sep_len, n_bytes, done;
    const char *s = luaL_checklstring(L, 1, &len), *sep = luaL_optlstring(L, 3, "", &sep_len);
    lua_Integer n = luaL_checkinteger(L, 2);
    luaL_Buffer b;
    if (n < 1 || len + sep_len == 0) return lua_pushliteral(L, ""), 1;
    if ((lua_Unsigned)n > INT_MAX / (len + sep_len)) return luaL_error(L, "resulting string too large");
    n_bytes = (size_t)n * (len + sep_len);
    char *p = luaL_buffinitsize(L, &b, n_bytes);
    memcpy(p, s, len);
    memcpy(p + len, sep, sep_len);
    for (done = len + sep_len; done < n_bytes; done *= 2) memcpy(p + done, p, done < n_bytes - done ? done : n_bytes - done);
    luaL_pushresultsize(&b, n_bytes - sep_len);
    return 1;
}

static int undefined(lua_State *L) {
    return luaL_error(L, "undefined global '%s'", luaL_tolstring(L, 2, NULL));
}

/* ---- the allow-list */

static const char *const base_names[] = {
    "assert", "error", "getmetatable", "ipairs", "next", "pairs", "rawequal", "rawget", "rawlen", "rawset",
    "select", "tonumber", "tostring", "type", "_VERSION", NULL,
};
static const char *const string_names[] = {
    "byte", "char", "format", "len", "lower", "pack", "packsize", "reverse", "sub", "unpack", "upper", NULL,
};
static const char *const table_names[] = { "pack", "unpack", NULL };
static const char *const coroutine_names[] = { "isyieldable", "running", "status", "yield", NULL };

static void copy_named(lua_State *L, int from, int to, const char *const *names) {
    for (; *names; names++) {
        lua_getfield(L, from, *names);
        lua_setfield(L, to, *names);
    }
}

static void guard(lua_State *L, int from, int to, const char *name, lua_CFunction fn) {
    lua_getfield(L, from, name);
    lua_pushcclosure(L, fn, 1);
    lua_setfield(L, to, name);
}

static void guard_with_range(lua_State *L, int from, int to, const char *name, int first_arg, bool over_guarded) {
    lua_getfield(L, over_guarded ? to : from, name);
    lua_pushinteger(L, first_arg);
    lua_pushcclosure(L, guard_range, 2);
    lua_setfield(L, to, name);
}

static void copy_table(lua_State *L, int from) {
    from = lua_absindex(L, from);
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, from);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
}

void cut_lua_open_sandbox(lua_State *L) {
    lua_newtable(L);
    int base = lua_gettop(L);

    luaL_requiref(L, LUA_GNAME, luaopen_base, 0);
    copy_named(L, base + 1, base, base_names);
    guard(L, base + 1, base, "setmetatable", guard_setmetatable);
    lua_settop(L, base);

    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 0);
    lua_newtable(L);
    copy_named(L, base + 1, base + 2, string_names);
    cut_lua_open_strings(L);
    lua_pushcfunction(L, repeat);
    lua_setfield(L, base + 2, "rep");
    lua_pushliteral(L, "");                       /* the methods of strings: a copy nobody else holds */
    lua_getmetatable(L, -1);
    copy_table(L, base + 2);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "string");
    lua_setfield(L, -2, "__metatable");
    lua_settop(L, base + 2);
    lua_setfield(L, base, "string");
    lua_settop(L, base);

    luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 0);
    lua_newtable(L);
    copy_named(L, base + 1, base + 2, table_names);
    guard(L, base + 1, base + 2, "insert", guard_length);
    guard(L, base + 1, base + 2, "remove", guard_length);
    guard(L, base + 1, base + 2, "sort", guard_length);
    guard(L, base + 1, base + 2, "concat", guard_length);
    guard_with_range(L, base + 1, base + 2, "concat", 3, true);
    guard_with_range(L, base + 1, base + 2, "move", 2, false);
    lua_setfield(L, base, "table");
    lua_settop(L, base);

    luaL_requiref(L, LUA_COLIBNAME, luaopen_coroutine, 0);
    lua_newtable(L);
    copy_named(L, base + 1, base + 2, coroutine_names);
    lua_setfield(L, base, "coroutine");
    lua_settop(L, base);
    cut_lua_open_control(L, base);

    luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 0);
    lua_getfield(L, -1, "randomseed");            /* the same numbers each time, until a script seeds otherwise */
    lua_pushinteger(L, 1);
    lua_call(L, 1, 0);
    lua_setfield(L, base, "math");
    luaL_requiref(L, LUA_UTF8LIBNAME, luaopen_utf8, 0);
    lua_setfield(L, base, "utf8");
    lua_pushcfunction(L, print);
    lua_setfield(L, base, "print");
    lua_pushcfunction(L, collect);
    lua_setfield(L, base, "collectgarbage");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &BASE_KEY);

    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &SHARED_KEY);
    /* The libraries' own tables must not be reachable by any path from here on. */
    lua_pushnil(L);
    lua_setfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_newtable(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
}

void cut_lua_push_shared(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &SHARED_KEY); }

/* Copy the entries of the table at the top into the one below it, tables two levels deep, so that `cut.model` is the
 * script's own too. Pops the source. */
static void copy_into(lua_State *L, int levels) {
    luaL_checkstack(L, 8, NULL);
    int from = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, from);) {
        if (levels && lua_istable(L, -1)) {
            lua_newtable(L);
            lua_insert(L, -2);
            if (lua_getmetatable(L, -1)) lua_setmetatable(L, -3);
            copy_into(L, levels - 1);
        }
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, from - 1);
    }
    lua_pop(L, 1);
}

void cut_lua_push_globals(lua_State *L) {
    lua_newtable(L);
    int g = lua_gettop(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &BASE_KEY);
    copy_into(L, 2);
    cut_lua_push_shared(L);
    copy_into(L, 2);
    lua_pushvalue(L, g);
    lua_setfield(L, g, "_G");
    lua_getfield(L, g, "cut");
    lua_setfield(L, g, "cutaway");
    lua_pushvalue(L, g);
    lua_pushcclosure(L, load, 1);
    lua_setfield(L, g, "load");
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, undefined);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "globals");
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, g);
}

bool cut_lua_load(lua_State *L, const char *name, const char *text, size_t len) {
    lua_pushfstring(L, "=%s", name);
    int rc = luaL_loadbufferx(L, text, len, lua_tostring(L, -1), "t");
    lua_remove(L, -2);
    if (rc == LUA_OK) {
        lua_insert(L, -2);
        lua_setupvalue(L, -2, 1);      /* a main chunk's only upvalue is _ENV */
        return true;
    }
    lua_remove(L, -2);
    return false;
}
