/* bind_sys.c - cut.sys: what this machine and this build offer. */
#include "lua/bind.h"

/*** What the engine can use here.
 * @function cut.sys.info
 * @treturn table version; cpus, the processors this process may use; tiers, the names of the kernel tiers that run here,
 * slowest first; best, the one chosen by default; backends, the names of the devices that can hold a model
 * @usage
 * local info = cut.sys.info()
 * assert(info.tiers[1] == "ref" and info.backends[1] == "cpu" and info.cpus >= 1)
 */
static int sys_info(lua_State *L) {
    lua_createtable(L, 0, 5);
    lua_pushliteral(L, CUT_VERSION);
    lua_setfield(L, -2, "version");
    lua_pushinteger(L, cut_cpu_count());
    lua_setfield(L, -2, "cpus");
    lua_pushstring(L, cut_tier_name(cut_tier_best()));
    lua_setfield(L, -2, "best");
    lua_newtable(L);
    int n = 0;
    for (int t = CUT_TIER_REF; t < CUT_TIER_COUNT; t++) {
        if (!cut_tier_available((enum cut_tier)t)) continue;
        lua_pushstring(L, cut_tier_name((enum cut_tier)t));
        lua_rawseti(L, -2, ++n);
    }
    lua_setfield(L, -2, "tiers");
    lua_newtable(L);
    lua_pushliteral(L, "cpu");
    lua_rawseti(L, -2, 1);
    lua_setfield(L, -2, "backends");
    return 1;
}

/*** Seconds by a clock that never goes back; its zero means nothing.
 * @function cut.sys.clock
 * @treturn number
 * @usage
 * local start = cut.sys.clock()
 * assert(cut.sys.clock() >= start)
 */
static int sys_clock(lua_State *L) {
    lua_pushnumber(L, cut_clock());
    return 1;
}

void cut_lua_open_sys(lua_State *L) {
    static const luaL_Reg fns[] = { { "info", sys_info }, { "clock", sys_clock }, { NULL, NULL } };
    lua_newtable(L);
    luaL_setfuncs(L, fns, 0);
    lua_setfield(L, -2, "sys");
}
