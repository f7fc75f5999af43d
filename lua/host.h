/* host.h - a Lua 5.4 state that can be trusted with a stranger's script.
 *
 * What keeps a script in its place:
 *   globals       an allow-list (sandbox.c): no os, io, debug, package, no bytecode, no finalizers; reading a global
 *                 that does not exist raises, so a typing error shows where it is made
 *   memory        one allocator counts every block; tensors live in Lua memory and count too
 *   instructions  a hook fires every CUT_LUA_PERIOD instructions, in coroutines as well. Once a script is to stop,
 *                 the hook fires on every instruction, so that a loop around pcall comes to its end too
 *   long C calls  pattern matching is our own and counts its work (pattern.c); table functions bound their ranges
 *   cancel        an atomic flag, set from any thread or a signal handler
 *
 * A host belongs to the thread that drives it; cut_lua_cancel alone may be called from elsewhere.
 */
#ifndef CUT_LUA_HOST_H
#define CUT_LUA_HOST_H

#include "engine/cutaway.h"

struct lua_State;
struct cut_lua;

typedef void (*cut_lua_print_fn)(void *user, const char *text, size_t len);

/* Every pointer is borrowed for the host's life; zero means the default. */
struct cut_lua_opts {
    uint64_t max_instructions;     /* in one call from C; default 1,000,000,000. Work inside C calls counts too */
    size_t max_memory;             /* bytes held by Lua; default 64 MiB */
    size_t max_engine_memory;      /* bytes held by all open sessions; default 1 GiB */
    double max_seconds;            /* of one call from C; default: none */
    cut_lua_print_fn print;        /* a line of output with its newline; default: dropped */
    void *user;
    const char *models;            /* the folder of the bundled models: "pebble" is its pebble.gguf */
    const char *model;             /* what cut.model.open() opens; default: the bundled "pebble" */
    const char *folder;            /* model files below it may be opened */
    const char *const *files;      /* and these */
    int n_files;
};

enum cut_status cut_lua_new(struct cut_lua **out, const struct cut_lua_opts *opts, struct cut_err *err);
void cut_lua_free(struct cut_lua *h);
struct lua_State *cut_lua_state(struct cut_lua *h);

/* Compile a text and run it in a fresh set of globals, where `arg` holds args (arg[1] is args[0]; arg[0] is name).
 * The name shows in messages ("start.lua:12: ..."). */
enum cut_status cut_lua_run(struct cut_lua *h, const char *name, const char *text, size_t len, const char *const *args,
                            int n_args, struct cut_err *err);

/* Call the function below its nargs arguments on the stack of L, as lua_pcall does. Every call from C into Lua goes
 * through here. On failure nothing is left on the stack; the message is in err and, whole, in cut_lua_error.
 * Status: CUT_EUSAGE an error raised by the script, CUT_ENOMEM the memory limit, CUT_ECANCEL cancelled or a limit on
 * instructions or time (cut_lua_stopped tells which). */
enum cut_status cut_lua_call(struct cut_lua *h, struct lua_State *L, int nargs, int nresults, struct cut_err *err);

/* Stop the call under way, and a session it is running. From any thread, also from a signal handler. */
void cut_lua_cancel(struct cut_lua *h);

enum cut_lua_stop { CUT_LUA_RUNS, CUT_LUA_STOP_INSTRUCTIONS, CUT_LUA_STOP_TIME, CUT_LUA_STOP_CANCEL };
enum cut_lua_stop cut_lua_stopped(const struct cut_lua *h);    /* why the last call ended early, if it did */
const char *cut_lua_error(const struct cut_lua *h);            /* the last call's message, or "" */
const char *cut_lua_traceback(const struct cut_lua *h);        /* its traceback, or "" */

struct cut_lua_usage { uint64_t instructions; size_t memory, peak; };
struct cut_lua_usage cut_lua_usage(const struct cut_lua *h);   /* of the last call; memory now and at its highest */

#endif
