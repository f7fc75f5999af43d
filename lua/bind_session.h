/* bind_session.h - cut.Session, between the files that bind it: life and running (bind_session.c), looking
 * (bind_session_look.c), probes, breakpoints and edits (bind_session_watch.c).
 *
 * Positions, passes and steps count from 0, as the screens show them; tensors and lists count from 1, as Lua does. */
#ifndef CUT_LUA_BIND_SESSION_H
#define CUT_LUA_BIND_SESSION_H

#include "lua/bind_model.h"

/* A probe's Lua function stands in the table that is the session's user value 1, under its id. */
struct cut_lua_probe { struct cut_lua_session *owner; int id; bool edit; struct cut_lua_probe *next; };

struct cut_lua_session {
    struct cut_session *s;
    struct cut_pool *pool;
    struct cut_lua_model *model;
    struct cut_lua *host;
    struct cut_lua_probe *probes;
    lua_State *L;                  /* the thread that is inside the engine; NULL: none. Its stack has the session at 1 */
    bool probe_failed;
    size_t bytes;
};

/* Argument 1, open. */
struct cut_lua_session *cut_lua_check_session(lua_State *L);
/* For calls that change the session: a probe may look, but not pull the rug. */
struct cut_lua_session *cut_lua_check_idle(lua_State *L);
/* A sequence's number at arg; absent: 0. */
int cut_lua_check_sequence(lua_State *L, const struct cut_lua_session *s, int arg);
/* Forget the Lua side of all probes. */
void cut_lua_free_probes(struct cut_lua_session *s);

/* Around a call that runs the session. leave raises what a probe raised, or what stopped the script; otherwise it answers
 * as cut_lua_fail, or 0 when all went well. */
void cut_lua_session_enter(lua_State *L, struct cut_lua_session *s);
int cut_lua_session_leave(lua_State *L, struct cut_lua_session *s, enum cut_status status, const struct cut_err *err);

extern const luaL_Reg cut_lua_session_look[], cut_lua_session_watch[];      /* methods; each ends with NULL */
void cut_lua_open_explain(lua_State *L);

#endif
