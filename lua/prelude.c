/* prelude.c - the Lua half of the host, carried inside the program so that it works wherever it is installed.
 *
 * The assembler reads the files while this one is compiled; paths start at the root of the repository. */
#include "lua/bind.h"

#include <string.h>

#define EMBED(symbol, path)                                                                     \
    __asm__(".pushsection .rodata\n.global cut_prelude_" #symbol "\ncut_prelude_" #symbol ":\n" \
            ".incbin \"" path "\"\n.global cut_prelude_" #symbol "_end\ncut_prelude_" #symbol "_end:\n.byte 0\n.popsection\n"); \
    extern const char cut_prelude_##symbol[], cut_prelude_##symbol##_end[]

EMBED(model, "lua/prelude/model.lua");
EMBED(plot, "lua/prelude/plot.lua");
EMBED(check, "lua/prelude/check.lua");
EMBED(lab, "lua/prelude/lab.lua");

const char cut_lua_lab_key;

/* ---- what prelude files get as their argument: a table that scripts never see */

/* The table of methods of a type, to add to. */
static int methods(lua_State *L) {
    luaL_getmetatable(L, luaL_checkstring(L, 1));
    lua_getfield(L, -1, "__methods");
    return 1;
}

/* load(name, text): a chunk with globals of its own; or nil and a message. */
static int load_script(lua_State *L) {
    size_t len;
    const char *name = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &len);
    cut_lua_push_globals(L);
    if (cut_lua_load(L, name, text, len)) return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

static void run_file(lua_State *L, const char *name, const char *text, const char *end, int host, int nresults) {
    cut_lua_push_globals(L);
    if (!cut_lua_load(L, name, text, (size_t)(end - text))) lua_error(L);
    lua_pushvalue(L, host);
    lua_call(L, 1, nresults);
}

/* Stack on entry: the table of what every script sees. */
void cut_lua_open_prelude(lua_State *L) {
    int shared = lua_gettop(L);
    lua_newtable(L);
    int host = shared + 1;
    lua_pushcfunction(L, methods);
    lua_setfield(L, host, "methods");
    lua_pushcfunction(L, load_script);
    lua_setfield(L, host, "load");

    run_file(L, "prelude/plot.lua", cut_prelude_plot, cut_prelude_plot_end, host, 1);
    lua_setfield(L, shared, "plot");
    run_file(L, "prelude/check.lua", cut_prelude_check, cut_prelude_check_end, host, 2);
    lua_setfield(L, host, "check_sink");
    lua_setfield(L, shared, "check");
    run_file(L, "prelude/model.lua", cut_prelude_model, cut_prelude_model_end, host, 1);
    run_file(L, "prelude/lab.lua", cut_prelude_lab, cut_prelude_lab_end, host, 1);
    lua_getfield(L, -2, "timings");
    lua_setfield(L, -2, "timings");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &cut_lua_lab_key);
    lua_settop(L, shared);
}
