/* bind_sampler.c - cut.Sampler: from logits to the next token. */
#include "lua/bind_model.h"

#include <string.h>

#define NAME "cut.Sampler"

/* The engine's sampler is made when the first logits tell how many there are. */
struct sampler { struct cut_sampler_opts opts; struct cut_sampler *s; int64_t n_vocab; };

/*** A sampler. The stages, in order: repeat penalty, top-k, top-p, min-p, temperature, a draw.
 * @function cut.sampler
 * @tparam[opt] table options temp (0.8; 0 takes the largest logit), top_k (40; 0 off), top_p (0.95; 1 off), min_p (0.05;
 * 0 off), repeat_penalty (1 off), repeat_last (64), seed (1)
 * @treturn Sampler
 * @usage
 * local s = cut.sampler{ temp = 0 }
 * assert(s:next(cut.tensor{ 0, 3, 1 }) == 1)
 */
static int sampler_new(lua_State *L) {
    static const char *const fields[] = { "temp", "top_k", "top_p", "min_p", "repeat_penalty", "repeat_last", "seed", NULL };
    const struct cut_sampler_opts d = cut_sampler_defaults;
    cut_lua_only(L, 1, fields);
    struct cut_sampler_opts o = {
        .temp = (float)cut_lua_opt_num(L, 1, "temp", (double)d.temp, 0, 1000),
        .top_k = (int)cut_lua_opt_int(L, 1, "top_k", d.top_k, 0, INT_MAX),
        .top_p = (float)cut_lua_opt_num(L, 1, "top_p", (double)d.top_p, 0, 1),
        .min_p = (float)cut_lua_opt_num(L, 1, "min_p", (double)d.min_p, 0, 1),
        .repeat_penalty = (float)cut_lua_opt_num(L, 1, "repeat_penalty", (double)d.repeat_penalty, 0, 1000),
        .repeat_last = (int)cut_lua_opt_int(L, 1, "repeat_last", d.repeat_last, 0, INT_MAX),
        .seed = (uint64_t)cut_lua_opt_int(L, 1, "seed", (lua_Integer)d.seed, LUA_MININTEGER, LUA_MAXINTEGER),
    };
    struct cut_err err;
    if (cut_sampler_check(&o, &err)) return luaL_error(L, "%s", err.msg);
    struct sampler *s = lua_newuserdatauv(L, sizeof *s, 0);
    *s = (struct sampler){ .opts = o };
    luaL_setmetatable(L, NAME);
    return 1;
}

static int sampler_gc(lua_State *L) {
    struct sampler *s = luaL_checkudata(L, 1, NAME);
    cut_sampler_free(s->s);
    s->s = NULL;
    return 0;
}

/*** Choose the next token.
 * @function Sampler:next
 * @tparam Tensor logits one for each token of the vocabulary
 * @tparam[opt] {int,...} history the tokens so far, for the repeat penalty
 * @treturn int token id
 * @usage
 * local a, b = cut.sampler{ temp = 1, seed = 7 }, cut.sampler{ temp = 1, seed = 7 }
 * local logits = cut.tensor{ 1, 2, 3, 4 }
 * for _ = 1, 20 do assert(a:next(logits) == b:next(logits)) end
 */
static int sampler_next(lua_State *L) {
    struct sampler *s = luaL_checkudata(L, 1, NAME);
    int64_t n;
    int n_history = 0;
    const float *logits = cut_lua_check_tensor(L, 2, &n);
    const int32_t *history = lua_isnoneornil(L, 3) ? NULL : cut_lua_check_ids(L, 3, &n_history);
    if (n < 1 || n > INT_MAX) return luaL_error(L, "there are no logits to choose from");
    if (s->s && s->n_vocab != n)
        return luaL_error(L, "%I logits, but this sampler began with %I", (lua_Integer)n, (lua_Integer)s->n_vocab);
    struct cut_err err;
    if (!s->s) {
        enum cut_status status = cut_sampler_new(&s->s, (int)n, &s->opts, &err);
        if (status) return cut_lua_fail(L, status, &err);
        s->n_vocab = n;
    }
    cut_lua_charge(L, (uint64_t)n / 4);
    lua_pushinteger(L, cut_sampler_next(s->s, logits, history, n_history));
    return 1;
}

/*** What was left for the last draw, most likely first.
 * @function Sampler:left
 * @treturn {{id=int,logit=number,p=number},...}
 * @usage
 * local s = cut.sampler{ top_k = 2, top_p = 1, min_p = 0, temp = 1 }
 * s:next(cut.tensor{ 1, 2, 3 })
 * assert(#s:left() == 2 and s:left()[1].id == 2)
 */
static int sampler_left(lua_State *L) {
    struct sampler *s = luaL_checkudata(L, 1, NAME);
    int n = 0;
    const struct cut_candidate *c = s->s ? cut_sampler_left(s->s, &n) : NULL;
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
        lua_createtable(L, 0, 3);
        lua_pushinteger(L, c[i].id);
        lua_setfield(L, -2, "id");
        lua_pushnumber(L, c[i].logit);
        lua_setfield(L, -2, "logit");
        lua_pushnumber(L, c[i].p);
        lua_setfield(L, -2, "p");
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

void cut_lua_open_sampler(lua_State *L) {
    static const luaL_Reg methods[] = { { "next", sampler_next }, { "left", sampler_left }, { NULL, NULL } };
    static const luaL_Reg meta[] = { { "__gc", sampler_gc }, { NULL, NULL } };
    cut_lua_type(L, NAME, methods, meta);
    lua_pushcfunction(L, sampler_new);
    lua_setfield(L, -2, "sampler");
}
