/* bind_model.h - a model that several Lua objects share. */
#ifndef CUT_LUA_BIND_MODEL_H
#define CUT_LUA_BIND_MODEL_H

#include <limits.h>

#include "lua/bind.h"

/* base: the model it was rebuilt from and borrows of, shared; NULL: it was opened from a file. */
struct cut_lua_model { struct cut_model *model; struct cut_lua *host; int refs; struct cut_lua_model *base; };

struct cut_lua_model *cut_lua_check_model(lua_State *L, int arg);          /* raises when it is closed */
struct cut_lua_model *cut_lua_model_share(struct cut_lua_model *m);        /* one more owner */
void cut_lua_model_drop(struct cut_lua_model *m);                          /* one less; NULL is fine */

int cut_lua_model_session(lua_State *L);      /* m:session{...} */
int cut_lua_model_vocab(lua_State *L);        /* m:vocab() */

/* Token ids: a list of integers at arg, checked, in a block of Lua memory that is pushed. */
int32_t *cut_lua_check_ids(lua_State *L, int arg, int *n);
/* The ids of a text, likewise. NULL: nil and a message were pushed instead. */
int32_t *cut_lua_encode(lua_State *L, const struct cut_vocab *v, const char *text, size_t len, unsigned flags, int *n);
void cut_lua_push_ids(lua_State *L, const int32_t *ids, int n);

#endif
