/* bind.h - what the files of lua/ share and nobody else sees. */
#ifndef CUT_LUA_BIND_H
#define CUT_LUA_BIND_H

#include <stdatomic.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "lua/host.h"

#define CUT_LUA_PERIOD 1000        /* instructions between two looks at the limits */
#define CUT_LUA_MAX_RANGE (1 << 20)/* most table elements one C call may go through */

struct cut_lua {
    lua_State *L;
    struct cut_lua_opts opts;
    size_t memory, peak, grace;    /* grace: extra memory while an error is being reported */
    size_t engine_memory;          /* held by open sessions */
    int n_models, n_sessions;      /* open */
    uint64_t instructions;
    double deadline;
    int depth;                     /* calls from C now nested */
    enum cut_lua_stop stop;
    char stop_msg[240], oom_at[160], probe_error[400];
    char *error, *trace;           /* malloc'd, so that they outlive the state's stack */
    atomic_bool cancel;
    _Atomic(struct cut_session *) running;
    atomic_int cancelling;
};

static inline struct cut_lua *cut_lua_of(lua_State *L) { return *(struct cut_lua **)lua_getextraspace(L); }

/* Count work done inside a C call; raises when a limit is reached or the script was cancelled. */
void cut_lua_charge(lua_State *L, uint64_t work);
/* Around a call into the engine that runs a session: cut_lua_cancel reaches it in between. */
void cut_lua_enter(struct cut_lua *h, struct cut_session *s);
void cut_lua_leave(struct cut_lua *h);
/* Raise what stopped the script, if something did. */
void cut_lua_raise_stop(lua_State *L);
/* "start.lua:12" of the innermost function that is not ours; "" when there is none. */
void cut_lua_place(lua_State *L, char *buf, size_t size);

/* sandbox.c: push a fresh table of globals. Chunks loaded with it see nothing else. */
void cut_lua_push_globals(lua_State *L);
/* Load a text chunk with the globals at the top of the stack, which the chunk replaces. false: a message instead. */
bool cut_lua_load(lua_State *L, const char *name, const char *text, size_t len);
void cut_lua_open_sandbox(lua_State *L);
void cut_lua_open_control(lua_State *L, int globals);   /* control.c: pcall, xpcall, coroutine into that table */
void cut_lua_open_strings(lua_State *L);      /* pattern.c: find, match, gmatch, gsub into the table at the top */
void cut_lua_open_prelude(lua_State *L);      /* prelude.c */
extern const char cut_lua_lab_key;            /* its address: the registry key of what prelude/lab.lua returns */

/* The table of what every script sees: `cut`, `plot`, `check`. Pushed. */
void cut_lua_push_shared(lua_State *L);

/* Types. open_* registers the metatable and adds to the table `cut` at the top of the stack. */
void cut_lua_open_tensor(lua_State *L);
void cut_lua_open_sys(lua_State *L);
void cut_lua_open_model(lua_State *L);
void cut_lua_open_vocab(lua_State *L);
void cut_lua_open_session(lua_State *L);
void cut_lua_open_sampler(lua_State *L);
void cut_lua_open_quant(lua_State *L);
void cut_lua_open_measure(lua_State *L);
/* Make the metatable of a type: methods, metamethods, and a name that getmetatable shows instead of the table. */
void cut_lua_type(lua_State *L, const char *name, const luaL_Reg *methods, const luaL_Reg *meta);

/* A failed engine call: CUT_EUSAGE raises, anything else pushes nil and the message and returns 2. */
int cut_lua_fail(lua_State *L, enum cut_status status, const struct cut_err *err);

/* bind_tensor.c. A tensor holds its own floats, or is a view: of another tensor, or of a value that a probe was handed
 * and that dies when the probe returns. */
struct cut_lua_tensor;
/* Push a new tensor with a copy of the value's floats (zero where it has none). */
void cut_lua_push_tensor(lua_State *L, const struct cut_tensor *value);
/* Push a view of an engine's value. cut_lua_tensor_expire ends it and every view made from it. */
void cut_lua_lend_tensor(lua_State *L, const struct cut_tensor *value, bool writable);
void cut_lua_tensor_expire(lua_State *L, int arg);
/* Without the middle dimension where it counts nothing: (token, 1, dim) is (token, dim) in Lua. */
struct cut_tensor cut_lua_squeeze(const struct cut_tensor *t);
/* Push a new tensor whose floats the caller fills in. */
float *cut_lua_push_floats(lua_State *L, int n_dims, const int64_t *ne, const char *name);
/* The floats of a tensor argument, checked to be alive. */
const float *cut_lua_check_tensor(lua_State *L, int arg, int64_t *n);
/* The same as rows of numbers: a tensor of one dimension is one row, of three (tokens, heads, dims) a row for each token. */
const float *cut_lua_check_matrix(lua_State *L, int arg, int *rows, int *cols);

/* Fields of the table at the top of the stack. A NULL string sets none. */
void cut_lua_set_int(lua_State *L, const char *key, lua_Integer v);
void cut_lua_set_num(lua_State *L, const char *key, double v);
void cut_lua_set_str(lua_State *L, const char *key, const char *v);

/* Named fields of an option table at arg (or none there): absent gives the default; a wrong type or range raises and
 * names the field. */
lua_Integer cut_lua_opt_int(lua_State *L, int arg, const char *field, lua_Integer def, lua_Integer min, lua_Integer max);
double cut_lua_opt_num(lua_State *L, int arg, const char *field, double def, double min, double max);
bool cut_lua_opt_bool(lua_State *L, int arg, const char *field, bool def);
const char *cut_lua_opt_str(lua_State *L, int arg, const char *field, const char *def);   /* lives while the table does */
/* Every field of the option table must be one of these; raises and names the one that is not. Ends with NULL. */
void cut_lua_only(lua_State *L, int arg, const char *const *fields);

#endif
