/* host.c - the state, its limits, and the one way from C into Lua. */
#include "lua/bind.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory */

/* Called by Lua for every block. The script's own place is noted when a block is refused, because a memory error
 * unwinds the stack before any handler could look. Level 0 of the main thread always stands in the script, or in the
 * coroutine call that it waits for. */
static void note_refusal(struct cut_lua *h) {
    if (h->L) cut_lua_place(h->L, h->oom_at, sizeof h->oom_at);
}

static void *allocate(void *user, void *block, size_t old, size_t size) {
    struct cut_lua *h = user;
    if (!block) old = 0;           /* then old tells the kind of object, not a size */
    if (!size) {
        h->memory -= old;
        free(block);
        return NULL;
    }
    if (size > old) {
        size_t limit = h->opts.max_memory + h->grace;
        if (h->memory > limit || size - old > limit - h->memory) {
            note_refusal(h);
            return NULL;
        }
        if (size >= 1024) h->instructions += (size - old) / 16;    /* filling it is work the hook does not see */
    }
    void *p = realloc(block, size);
    if (!p) return size <= old ? block : NULL;      /* Lua relies on shrinking to succeed */
    h->memory += size - old;
    if (h->memory > h->peak) h->peak = h->memory;
    return p;
}

/* ---- stopping */

void cut_lua_place(lua_State *L, char *buf, size_t size) {
    lua_Debug ar;
    buf[0] = 0;
    for (int level = 0; level < 64 && lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline <= 0 || !strncmp(ar.source, "=prelude/", 9)) continue;
        snprintf(buf, size, "%s:%d", ar.short_src, ar.currentline);
        return;
    }
}

static void on_count(lua_State *L, lua_Debug *ar);

static void decide_to_stop(struct cut_lua *h, lua_State *L) {
    if (h->stop) return;
    char why[120];
    if (atomic_load(&h->cancel)) {
        h->stop = CUT_LUA_STOP_CANCEL;
        snprintf(why, sizeof why, "stopped: cancelled");
    } else if (h->instructions > h->opts.max_instructions) {
        h->stop = CUT_LUA_STOP_INSTRUCTIONS;
        snprintf(why, sizeof why, "stopped after %llu instructions; is this a loop without end?",
                 (unsigned long long)h->opts.max_instructions);
    } else if (h->opts.max_seconds > 0 && cut_clock() > h->deadline) {
        h->stop = CUT_LUA_STOP_TIME;
        snprintf(why, sizeof why, "stopped after %g s; is this a loop without end?", h->opts.max_seconds);
    } else {
        return;
    }
    char place[160];
    cut_lua_place(L, place, sizeof place);
    snprintf(h->stop_msg, sizeof h->stop_msg, "%.150s%s%.80s", place, place[0] ? ": " : "", why);
}

/* Until the outermost call returns, every instruction of this thread and of the main thread raises again. Other
 * coroutines find out within their period. */
void cut_lua_raise_stop(lua_State *L) {
    struct cut_lua *h = cut_lua_of(L);
    if (!h->stop) return;
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
    lua_sethook(h->L, on_count, LUA_MASKCOUNT, 1);
    lua_pushstring(L, h->stop_msg);
    lua_error(L);
}

static void on_count(lua_State *L, lua_Debug *ar) {
    struct cut_lua *h = cut_lua_of(L);
    (void)ar;
    if (!h->stop) {
        h->instructions += CUT_LUA_PERIOD;
        decide_to_stop(h, L);
        if (!h->stop && lua_gethookcount(L) != CUT_LUA_PERIOD)      /* a coroutine left from a call that was stopped */
            lua_sethook(L, on_count, LUA_MASKCOUNT, CUT_LUA_PERIOD);
    }
    cut_lua_raise_stop(L);
}

void cut_lua_charge(lua_State *L, uint64_t work) {
    struct cut_lua *h = cut_lua_of(L);
    h->instructions += work;
    decide_to_stop(h, L);
    cut_lua_raise_stop(L);
}

void cut_lua_cancel(struct cut_lua *h) {
    atomic_store(&h->cancel, true);
    atomic_fetch_add(&h->cancelling, 1);
    struct cut_session *s = atomic_load(&h->running);
    if (s) cut_session_cancel(s);
    atomic_fetch_sub(&h->cancelling, 1);
}

void cut_lua_enter(struct cut_lua *h, struct cut_session *s) { atomic_store(&h->running, s); }

/* After this no other thread holds the session's address, so it may be freed. */
void cut_lua_leave(struct cut_lua *h) {
    atomic_store(&h->running, NULL);
    while (atomic_load(&h->cancelling)) sched_yield();
}

/* ---- calling */

static void keep_text(char **where, const char *text) {
    free(*where);
    *where = text ? strdup(text) : NULL;
}

/* The message handler: runs where the error was raised, so the traceback shows the way there. */
static int on_error(lua_State *L) {
    struct cut_lua *h = cut_lua_of(L);
    h->grace = 1 << 20;
    if (!lua_isstring(L, 1)) {
        if (luaL_callmeta(L, 1, "__tostring") && lua_isstring(L, -1)) lua_replace(L, 1);
        else lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1)), lua_replace(L, 1);
    }
    lua_settop(L, 1);
    luaL_traceback(L, L, NULL, 1);
    keep_text(&h->trace, lua_tostring(L, -1));
    lua_settop(L, 1);
    h->grace = 0;
    return 1;
}

static void arm(struct cut_lua *h) {
    h->instructions = 0;
    h->peak = h->memory;
    h->stop = CUT_LUA_RUNS;
    h->oom_at[0] = h->probe_error[0] = 0;
    h->deadline = cut_clock() + h->opts.max_seconds;
    keep_text(&h->error, NULL);
    keep_text(&h->trace, NULL);
    lua_sethook(h->L, on_count, LUA_MASKCOUNT, CUT_LUA_PERIOD);
}

static enum cut_status report(struct cut_lua *h, lua_State *L, int rc, struct cut_err *err) {
    char text[400];
    const char *msg = lua_tostring(L, -1);
    enum cut_status status = CUT_EUSAGE;
    if (h->stop) {
        status = CUT_ECANCEL;
        msg = h->stop_msg;
    } else if (rc == LUA_ERRMEM || (msg && !strcmp(msg, "not enough memory"))) {      /* the second: from a coroutine */
        status = CUT_ENOMEM;
        snprintf(text, sizeof text, "%s%sout of memory: the limit is %.1f MB", h->oom_at, h->oom_at[0] ? ": " : "",
                 (double)h->opts.max_memory / 1048576);
        msg = text;
    } else if (rc == LUA_ERRERR) {
        msg = "an error while an error was being reported";
    }
    keep_text(&h->error, msg);
    return cut_fail(err, status, "%s", msg ? msg : "unknown error");
}

enum cut_status cut_lua_call(struct cut_lua *h, lua_State *L, int nargs, int nresults, struct cut_err *err) {
    if (h->depth++ == 0) arm(h);
    int base = lua_gettop(L) - nargs;
    lua_pushcfunction(L, on_error);
    lua_insert(L, base);
    int rc = lua_pcall(L, nargs, nresults, base);
    enum cut_status status = CUT_OK;
    h->grace = 0;
    if (rc != LUA_OK || h->stop) {
        status = report(h, L, rc, err);
        lua_settop(L, base - 1);
    } else {
        lua_remove(L, base);
    }
    if (--h->depth == 0) {
        atomic_store(&h->cancel, false);
        lua_sethook(h->L, NULL, 0, 0);
    }
    return status;
}

/* ---- life */

/* Everything that can raise while the state is being furnished happens inside one protected call. */
static int furnish(lua_State *L) {
    cut_lua_open_sandbox(L);
    lua_newtable(L);               /* cut */
    cut_lua_open_tensor(L);
    cut_lua_open_sys(L);
    cut_lua_open_vocab(L);
    cut_lua_open_model(L);
    cut_lua_open_session(L);
    cut_lua_open_sampler(L);
    cut_lua_open_quant(L);
    cut_lua_open_measure(L);
    cut_lua_push_shared(L);
    lua_insert(L, -2);
    lua_setfield(L, -2, "cut");
    cut_lua_open_prelude(L);
    return 0;
}

enum cut_status cut_lua_new(struct cut_lua **out, const struct cut_lua_opts *opts, struct cut_err *err) {
    struct cut_lua *h = calloc(1, sizeof *h);
    if (!h) return cut_fail(err, CUT_ENOMEM, "out of memory: the Lua host");
    if (opts) h->opts = *opts;
    if (!h->opts.max_instructions) h->opts.max_instructions = 1000000000;
    if (!h->opts.max_memory) h->opts.max_memory = 64u << 20;
    if (!h->opts.max_engine_memory) h->opts.max_engine_memory = (size_t)1 << 30;
    lua_State *L = lua_newstate(allocate, h);
    if (!L) {
        enum cut_status status = cut_fail(err, CUT_ENOMEM, "out of memory: a Lua state needs more than %zu bytes",
                                          h->opts.max_memory);
        free(h);
        return status;
    }
    *(struct cut_lua **)lua_getextraspace(L) = h;
    h->L = L;
    lua_pushcfunction(L, furnish);
    enum cut_status status = cut_lua_call(h, L, 0, 0, err);
    if (status) {
        cut_lua_free(h);
        return status;
    }
    *out = h;
    return CUT_OK;
}

void cut_lua_free(struct cut_lua *h) {
    if (!h) return;
    lua_close(h->L);
    free(h->error);
    free(h->trace);
    free(h);
}

lua_State *cut_lua_state(struct cut_lua *h) { return h->L; }
enum cut_lua_stop cut_lua_stopped(const struct cut_lua *h) { return h->stop; }
const char *cut_lua_error(const struct cut_lua *h) { return h->error ? h->error : ""; }
const char *cut_lua_traceback(const struct cut_lua *h) { return h->trace ? h->trace : ""; }

struct cut_lua_usage cut_lua_usage(const struct cut_lua *h) {
    return (struct cut_lua_usage){ h->instructions, h->memory, h->peak };
}

/* ---- scripts */

struct script { const char *name, *text; size_t len; const char *const *args; int n_args; };

static int run_script(lua_State *L) {
    const struct script *s = lua_touserdata(L, 1);
    cut_lua_push_globals(L);
    lua_createtable(L, s->n_args, 2);
    lua_pushstring(L, s->name);
    lua_rawseti(L, -2, 0);
    for (int i = 0; i < s->n_args; i++) {
        lua_pushstring(L, s->args[i]);
        lua_rawseti(L, -2, i + 1);
    }
    if (cut_lua_of(L)->opts.model) {
        lua_pushstring(L, cut_lua_of(L)->opts.model);
        lua_setfield(L, -2, "model");
    }
    lua_setfield(L, -2, "arg");
    if (!cut_lua_load(L, s->name, s->text, s->len)) return lua_error(L);
    lua_call(L, 0, 0);
    return 0;
}

enum cut_status cut_lua_run(struct cut_lua *h, const char *name, const char *text, size_t len, const char *const *args,
                            int n_args, struct cut_err *err) {
    struct script s = { name, text, len, args, n_args };
    lua_pushcfunction(h->L, run_script);
    lua_pushlightuserdata(h->L, &s);
    return cut_lua_call(h, h->L, 1, 0, err);
}
