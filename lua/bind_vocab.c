/* bind_vocab.c - cut.Vocab: text to token ids and back. Ids count from 0, as everywhere. */
#include "lua/bind_model.h"

#include <stdlib.h>
#include <string.h>

#define NAME "cut.Vocab"

static const struct cut_vocab *check(lua_State *L) {
    struct cut_lua_model **m = luaL_checkudata(L, 1, NAME);
    return cut_model_vocab((*m)->model);
}

static int32_t check_id(lua_State *L, const struct cut_vocab *v, int arg) {
    lua_Integer id = luaL_checkinteger(L, arg);
    if (id < 0 || id >= cut_vocab_size(v))
        luaL_error(L, "token id %I is not between 0 and %d", id, cut_vocab_size(v) - 1);
    return (int32_t)id;
}

int32_t *cut_lua_check_ids(lua_State *L, int arg, int *n) {
    luaL_checktype(L, arg, LUA_TTABLE);
    size_t len = lua_rawlen(L, arg);
    if (len > CUT_LUA_MAX_RANGE) luaL_error(L, "a list of more than %d token ids", CUT_LUA_MAX_RANGE);
    int32_t *ids = lua_newuserdatauv(L, (len ? len : 1) * sizeof *ids, 0);
    for (size_t i = 0; i < len; i++) {
        int ok;
        lua_rawgeti(L, arg, (lua_Integer)i + 1);
        lua_Integer id = lua_tointegerx(L, -1, &ok);
        if (!ok || id < 0 || id > INT32_MAX)
            luaL_error(L, "entry %I of the list is not a token id: %s", (lua_Integer)i + 1, luaL_tolstring(L, -1, NULL));
        ids[i] = (int32_t)id;
        lua_pop(L, 1);
    }
    *n = (int)len;
    return ids;
}

/* The block for the ids comes first: should Lua's memory end, nothing else is held yet. A text of n bytes has at most
 * n + 2 tokens: one a byte, BOS, and a leading space. */
int32_t *cut_lua_encode(lua_State *L, const struct cut_vocab *v, const char *text, size_t len, unsigned flags, int *n) {
    struct cut_err err;
    int32_t *out = lua_newuserdatauv(L, (len + 2) * sizeof *out, 0), *ids;
    size_t count;
    cut_lua_charge(L, len * 16);
    enum cut_status status = cut_vocab_encode(v, text, len, flags, &ids, &count, &err);
    if (status) {
        cut_lua_fail(L, status, &err);
        return NULL;
    }
    if (count > len + 2) count = len + 2;
    memcpy(out, ids, count * sizeof *out);
    free(ids);
    *n = (int)count;
    return out;
}

void cut_lua_push_ids(lua_State *L, const int32_t *ids, int n) {
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
        lua_pushinteger(L, ids[i]);
        lua_rawseti(L, -2, i + 1);
    }
}

/*** The vocabulary of the model.
 * @function Model:vocab
 * @treturn Vocab or nil and a message when the file has none that we read
 * @usage
 * local v = cut.model.open():vocab()
 * assert(v:size() > 0)
 */
int cut_lua_model_vocab(lua_State *L) {
    struct cut_lua_model *m = cut_lua_check_model(L, 1);
    if (!cut_model_vocab(m->model)) return lua_pushnil(L), lua_pushliteral(L, "the model has no vocabulary"), 2;
    struct cut_lua_model **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, NAME);
    *box = cut_lua_model_share(m);
    return 1;
}

static int vocab_gc(lua_State *L) {
    struct cut_lua_model **m = luaL_checkudata(L, 1, NAME);
    cut_lua_model_drop(*m);
    *m = NULL;
    return 0;
}

/*** How many tokens there are; their ids are 0 to size - 1.
 * @function Vocab:size
 * @treturn int
 * @usage
 * local m = cut.model.open()
 * assert(m:vocab():size() == m:config().n_vocab)
 */
static int vocab_size(lua_State *L) { return lua_pushinteger(L, cut_vocab_size(check(L))), 1; }

/*** The ids of the tokens that begin and end a text.
 * @function Vocab:specials
 * @treturn int bos, or nil where the vocabulary has none
 * @treturn int eos, likewise
 * @usage
 * local bos, eos = cut.model.open():vocab():specials()
 * assert(bos ~= eos)
 */
static int vocab_specials(lua_State *L) {
    const struct cut_vocab *v = check(L);
    int32_t ids[2] = { cut_vocab_bos(v), cut_vocab_eos(v) };
    for (int i = 0; i < 2; i++) {
        if (ids[i] < 0) lua_pushnil(L);
        else lua_pushinteger(L, ids[i]);
    }
    return 2;
}

/*** Does generation stop at this token?
 * @function Vocab:is_end
 * @tparam int id
 * @treturn boolean
 * @usage
 * local v = cut.model.open():vocab()
 * local bos, eos = v:specials()
 * assert(v:is_end(eos) and not v:is_end(bos))
 */
static int vocab_is_end(lua_State *L) {
    const struct cut_vocab *v = check(L);
    lua_pushboolean(L, cut_vocab_is_end(v, check_id(L, v, 2)));
    return 1;
}

/*** Token ids of a text.
 * @function Vocab:encode
 * @tparam string text
 * @tparam[opt] table options bos (default true): put BOS first where the file asks for it; special (default false):
 * read control tokens such as "</s>" in the text as tokens
 * @treturn {int,...}
 * @usage
 * local v = cut.model.open():vocab()
 * local ids = v:encode("a b", { bos = false })
 * assert(v:decode(ids):find("a b", 1, true))
 */
static int vocab_encode(lua_State *L) {
    static const char *const fields[] = { "bos", "special", NULL };
    const struct cut_vocab *v = check(L);
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    cut_lua_only(L, 3, fields);
    unsigned flags = (cut_lua_opt_bool(L, 3, "bos", true) ? CUT_ENCODE_BOS : 0) |
                     (cut_lua_opt_bool(L, 3, "special", false) ? CUT_ENCODE_SPECIAL : 0);
    int n;
    int32_t *ids = cut_lua_encode(L, v, text, len, flags, &n);
    if (!ids) return 2;
    cut_lua_push_ids(L, ids, n);
    return 1;
}

/*** The text of some tokens: the bytes they stand for, one after the other.
 * @function Vocab:decode
 * @tparam {int,...} ids
 * @treturn string
 * @usage
 * local v = cut.model.open():vocab()
 * assert(v:decode({}) == "")
 */
static int vocab_decode(lua_State *L) {
    const struct cut_vocab *v = check(L);
    int n;
    int32_t *ids = cut_lua_check_ids(L, 2, &n);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = 0; i < n; i++) {
        if (ids[i] >= cut_vocab_size(v))
            return luaL_error(L, "token id %d is not between 0 and %d", ids[i], cut_vocab_size(v) - 1);
        char text[1024];
        luaL_addlstring(&b, text, cut_vocab_text(v, ids[i], text, sizeof text));
    }
    luaL_pushresult(&b);
    return 1;
}

/*** A token's piece, as the file stores it.
 * @function Vocab:piece
 * @tparam int id
 * @treturn string
 * @usage
 * local v = cut.model.open():vocab()
 * assert(#v:piece(v:size() - 1) > 0)
 */
static int vocab_piece(lua_State *L) {
    const struct cut_vocab *v = check(L);
    lua_pushstring(L, cut_vocab_piece(v, check_id(L, v, 2)));
    return 1;
}

/*** A token's kind.
 * @function Vocab:kind
 * @tparam int id
 * @treturn string "normal", "unknown", "control", "user", "unused" or "byte"
 * @usage
 * local v = cut.model.open():vocab()
 * assert(v:kind(v:specials()) == "control")
 */
static int vocab_kind(lua_State *L) {
    static const char *const names[] = { "normal", "unknown", "control", "user", "unused", "byte" };
    const struct cut_vocab *v = check(L);
    int kind = cut_vocab_kind(v, check_id(L, v, 2));
    lua_pushstring(L, kind >= 1 && kind <= 6 ? names[kind - 1] : "normal");
    return 1;
}

void cut_lua_open_vocab(lua_State *L) {
    static const luaL_Reg methods[] = {
        { "size", vocab_size }, { "specials", vocab_specials }, { "is_end", vocab_is_end }, { "encode", vocab_encode },
        { "decode", vocab_decode }, { "piece", vocab_piece }, { "kind", vocab_kind }, { NULL, NULL },
    };
    static const luaL_Reg meta[] = { { "__gc", vocab_gc }, { NULL, NULL } };
    cut_lua_type(L, NAME, methods, meta);
}
