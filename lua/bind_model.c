/* bind_model.c - cut.Model: a model file that is open.
 *
 * Sessions and vocabularies made from a model share it: the file stays mapped until the last of them is gone, also
 * after m:close(), and in whatever order the collector ends them. */
#include "lua/bind_model.h"

#include <stdlib.h>
#include <string.h>

#define NAME "cut.Model"
enum { MAX_MODELS = 16 };

struct cut_lua_model *cut_lua_model_share(struct cut_lua_model *m) {
    m->refs++;
    return m;
}

void cut_lua_model_drop(struct cut_lua_model *m) {
    if (!m || --m->refs) return;
    cut_model_close(m->model);
    m->host->n_models--;
    cut_lua_model_drop(m->base);
    free(m);
}

struct cut_lua_model *cut_lua_check_model(lua_State *L, int arg) {
    struct cut_lua_model **m = luaL_checkudata(L, arg, NAME);
    if (!*m) luaL_error(L, "the model is closed");
    return *m;
}

/* ---- which files a script may open */

static bool below(const char *folder, const char *path) {
    char root[PATH_MAX];
    if (!folder || !realpath(folder, root)) return false;
    size_t n = strlen(root);
    return !strncmp(root, path, n) && (path[n] == '/' || n == 1);
}

static bool same_file(const char *allowed, const char *path) {
    char real[PATH_MAX];
    return allowed && realpath(allowed, real) && !strcmp(real, path);
}

/* Find the file that a name stands for. False: *why says what is wrong with it. */
static bool resolve(const struct cut_lua_opts *o, const char *name, char path[PATH_MAX], char *why, size_t size) {
    char want[PATH_MAX];
    if (!name && o->model) {
        snprintf(path, PATH_MAX, "%s", o->model);
        return true;
    }
    if (!name) name = "pebble";
    if (!strpbrk(name, "./\\")) {
        if (snprintf(path, PATH_MAX, "%s/%s.gguf", o->models ? o->models : "models", name) < PATH_MAX) return true;
        snprintf(why, size, "%.60s...: the name is too long", name);
        return false;
    }
    if (name[0] != '/' && o->folder && snprintf(want, sizeof want, "%s/%s", o->folder, name) < (int)sizeof want &&
        realpath(want, path) && below(o->folder, path)) return true;
    if (realpath(name, path)) {
        if (below(o->folder, path) || same_file(o->model, path)) return true;
        for (int i = 0; i < o->n_files; i++)
            if (same_file(o->files[i], path)) return true;
    }
    snprintf(why, size, "%.120s: no such file that this script may open (the bundled models by name, files in its own "
             "folder, and files named on the command line)", name);
    return false;
}

/* Push a box for a model to come. */
static struct cut_lua_model **push_box(lua_State *L) {
    struct cut_lua *h = cut_lua_of(L);
    if (h->n_models >= MAX_MODELS) lua_gc(L, LUA_GCCOLLECT);
    if (h->n_models >= MAX_MODELS) luaL_error(L, "%d models are open; m:close() ends one", h->n_models);
    struct cut_lua_model **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, NAME);
    return box;
}

/* Put the model into the box at the top of the stack; base: what it borrows from, or NULL. */
static int fill_box(lua_State *L, struct cut_lua_model **box, struct cut_model *model, struct cut_lua_model *base) {
    *box = calloc(1, sizeof **box);
    if (!*box) {
        cut_model_close(model);
        return luaL_error(L, "out of memory: a model");
    }
    **box = (struct cut_lua_model){ .model = model, .refs = 1, .host = cut_lua_of(L), .base = base ? cut_lua_model_share(base) : NULL };
    (*box)->host->n_models++;
    return 1;
}

/*** Open a model file.
 * @function cut.model.open
 * @tparam[opt] string name a bundled model ("pebble", "pebble-draft") or a file in the script's folder; absent: the
 * model chosen on the command line, else "pebble"
 * @treturn Model or nil and a message
 * @usage
 * local m = assert(cut.model.open())
 * print(m:config().arch)
 * m:close()
 */
static int model_open(lua_State *L) {
    struct cut_lua *h = cut_lua_of(L);
    const char *name = luaL_optstring(L, 1, NULL);
    char path[PATH_MAX], why[320];
    if (!resolve(&h->opts, name, path, why, sizeof why)) return lua_pushnil(L), lua_pushstring(L, why), 2;
    struct cut_lua_model **box = push_box(L);
    struct cut_err err;
    struct cut_model *model;
    enum cut_status status = cut_model_open(&model, path, 0, &err);
    if (status) return cut_lua_fail(L, status, &err);
    return fill_box(L, box, model, NULL);
}

/*** Let go of the model. Sessions made from it go on.
 * @function Model:close
 * @usage
 * local m = cut.model.open()
 * m:close()
 * assert(not pcall(m.config, m))
 */
static int model_close(lua_State *L) {
    struct cut_lua_model **m = luaL_checkudata(L, 1, NAME);
    cut_lua_model_drop(*m);
    *m = NULL;
    return 0;
}

static int model_tostring(lua_State *L) {
    struct cut_lua_model **m = luaL_checkudata(L, 1, NAME);
    if (!*m) return lua_pushliteral(L, "model (closed)"), 1;
    lua_pushfstring(L, "model %s", cut_gguf_head(cut_model_gguf((*m)->model))->name);
    return 1;
}

/* ---- the same in other formats */

/* Which tensors get which format: rules of a table { ["blk.*.ffn_*"] = "q4_0", ... }, as text in a block of Lua memory. The pattern with the
 * most characters that are no * goes first, so that an exception needs no order. */
struct choice { const char *pattern; size_t weight; enum cut_type type; };

static int by_weight(const void *a, const void *b) {
    const struct choice *x = a, *y = b;
    return x->weight != y->weight ? (x->weight < y->weight ? 1 : -1) : strcmp(x->pattern, y->pattern);
}

/* Push a block with the rules of the option `tensors`, longest patterns first. The texts live while the table does. */
static struct cut_type_rule *check_rules(lua_State *L, int arg, int *n) {
    enum { MOST = 256 };
    *n = 0;
    struct choice *c = lua_newuserdatauv(L, MOST * sizeof *c, 0);
    struct cut_type_rule *rules = lua_newuserdatauv(L, MOST * sizeof *rules, 0);
    if (lua_isnoneornil(L, arg) || lua_getfield(L, arg, "tensors") == LUA_TNIL) return rules;
    if (!lua_istable(L, -1)) luaL_error(L, "tensors: a table of pattern = format is wanted");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "tensors: a table of pattern = format is wanted");
        const char *pattern = lua_tostring(L, -2), *name = lua_tostring(L, -1);
        int type = cut_type_by_name(name);
        if (type < 0) luaL_error(L, "tensors: there is no number format '%s'", name);
        if (!cut_encodes((enum cut_type)type)) luaL_error(L, "tensors: %s cannot be written here", name);
        if (*n == MOST) luaL_error(L, "tensors: more than %d patterns", MOST);
        size_t weight = 0;
        for (const char *p = pattern; *p; p++) weight += *p != '*';
        c[(*n)++] = (struct choice){ pattern, weight, (enum cut_type)type };
    }
    qsort(c, (size_t)*n, sizeof *c, by_weight);
    for (int i = 0; i < *n; i++) rules[i] = (struct cut_type_rule){ c[i].pattern, c[i].type };
    lua_pop(L, 1);
    return rules;
}

static bool rebuild_on(void *user, double part, const char *what) {
    struct cut_lua *h = user;
    (void)part, (void)what;
    return !atomic_load(&h->cancel) && !(h->opts.max_seconds > 0 && cut_clock() > h->deadline);
}

/*** The same model in other formats, made in memory from this one's weights: what `cutaway quantize` would write.
 * @function Model:rebuild
 * @tparam string type a file type; "q4_K_M": most matrices in q4_K, some in q6_K
 * @tparam[opt] table options tensors, formats for tensors by pattern, as { ["blk.0.*"] = "q8_0" }, of which the pattern with
 * most letters counts; pure (false), the same format for every matrix; force (false), very low bits without an importance matrix
 * @treturn Model or nil and a message
 * @usage
 * local m = cut.model.open()
 * local small = assert(m:rebuild("q4_0", { pure = true, tensors = { ["blk.0.attn_q"] = "q8_0" } }))
 * assert(small:config().weight_bytes < m:config().weight_bytes / 3)
 * for _, t in ipairs(small:tensors()) do
 *     if t.name == "blk.0.attn_q.weight" then assert(t.type == "q8_0") end
 *     if t.name == "blk.1.attn_q.weight" then assert(t.type == "q4_0") end
 * end
 */
static int model_rebuild(lua_State *L) {
    static const char *const fields[] = { "tensors", "pure", "force", NULL };
    struct cut_lua_model *base = cut_lua_check_model(L, 1);
    const char *name = luaL_checkstring(L, 2);
    lua_settop(L, 3);
    cut_lua_only(L, 3, fields);
    struct cut_quantize_opts o = { .file_type = cut_file_type_by_name(name), .pure = cut_lua_opt_bool(L, 3, "pure", false),
                                   .force = cut_lua_opt_bool(L, 3, "force", false) };
    if (!o.file_type) return luaL_error(L, "there is no file type '%s'", name);
    o.rules = check_rules(L, 3, &o.n_rules);
    cut_lua_charge(L, cut_model_config(base->model)->n_params / 8);
    struct cut_lua_model **box = push_box(L);
    struct cut_model *model;
    struct cut_err err;
    enum cut_status st = cut_model_quantize(&model, base->model, &o, rebuild_on, cut_lua_of(L), &err);
    if (st) return cut_lua_fail(L, st, &err);
    return fill_box(L, box, model, base);
}

/* ---- what is in it */

/*** The hyper-parameters.
 * @function Model:config
 * @treturn table file, arch, type (the format of most weights), n_params, weight_bytes, n_vocab, n_ctx_train, n_embd,
 * n_layer, n_head, n_head_kv, head_dim, n_ff, rope_dim, rope_base, rope_scale, norm_eps, tied
 * @usage
 * local c = cut.model.open():config()
 * assert(c.arch == "llama" and c.n_params > 0)
 */
static int model_config(lua_State *L) {
    struct cut_model *m = cut_lua_check_model(L, 1)->model;
    const struct cut_config *c = cut_model_config(m);
    lua_createtable(L, 0, 18);
    cut_lua_set_str(L, "file", cut_gguf_head(cut_model_gguf(m))->name);
    cut_lua_set_str(L, "arch", c->arch);
    cut_lua_set_str(L, "type", cut_model_type_name(m));
    cut_lua_set_int(L, "n_params", (lua_Integer)c->n_params);
    cut_lua_set_int(L, "weight_bytes", (lua_Integer)c->weight_bytes);
    cut_lua_set_int(L, "n_vocab", c->n_vocab);
    cut_lua_set_int(L, "n_ctx_train", c->n_ctx_train);
    cut_lua_set_int(L, "n_embd", c->n_embd);
    cut_lua_set_int(L, "n_layer", c->n_layer);
    cut_lua_set_int(L, "n_head", c->n_head);
    cut_lua_set_int(L, "n_head_kv", c->n_head_kv);
    cut_lua_set_int(L, "head_dim", c->head_dim);
    cut_lua_set_int(L, "n_ff", c->n_ff);
    cut_lua_set_int(L, "rope_dim", c->rope_dim);
    cut_lua_set_num(L, "rope_base", c->rope_base);
    cut_lua_set_num(L, "rope_scale", c->rope_scale);
    cut_lua_set_num(L, "norm_eps", c->norm_eps);
    lua_pushboolean(L, c->tied);
    lua_setfield(L, -2, "tied");
    return 1;
}

/*** The tensors of the file, in its order.
 * @function Model:tensors
 * @treturn {table,...} each with name, type, bytes and shape (outermost dimension first)
 * @usage
 * for _, t in ipairs(cut.model.open():tensors()) do assert(#t.shape >= 1 and t.bytes > 0) end
 */
static int model_tensors(lua_State *L) {
    const struct cut_gguf *g = cut_model_gguf(cut_lua_check_model(L, 1)->model);
    uint64_t n = cut_gguf_head(g)->n_tensors;
    lua_createtable(L, (int)n, 0);
    for (uint64_t i = 0; i < n; i++) {
        const struct cut_tensor_info *t = cut_gguf_tensor(g, i);
        lua_createtable(L, 0, 4);
        cut_lua_set_str(L, "name", t->name);
        cut_lua_set_str(L, "type", cut_type_info(t->type)->name);
        cut_lua_set_int(L, "bytes", (lua_Integer)t->bytes);
        lua_createtable(L, t->n_dims, 0);
        for (int d = 0; d < t->n_dims; d++) {
            lua_pushinteger(L, (lua_Integer)t->ne[t->n_dims - 1 - d]);
            lua_rawseti(L, -2, d + 1);
        }
        lua_setfield(L, -2, "shape");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/*** Weights of a tensor of the file, decoded to floats: one row, a range of rows, or all. Rows count from 1, so the
 * embedding of token id is row id + 1 of "token_embd.weight".
 * @function Model:tensor
 * @tparam string name
 * @tparam[opt] int first
 * @tparam[opt=first] int last
 * @treturn Tensor one row: of one dimension; otherwise of two; or nil and a message when the file has no such tensor
 * @usage
 * local m = cut.model.open()
 * local row = m:tensor("token_embd.weight", 1)
 * assert(#row == m:config().n_embd)
 */
static int model_tensor(lua_State *L) {
    const struct cut_gguf *g = cut_model_gguf(cut_lua_check_model(L, 1)->model);
    const char *name = luaL_checkstring(L, 2);
    const struct cut_tensor_info *t = cut_gguf_find_tensor(g, name);
    if (!t) return lua_pushnil(L), lua_pushfstring(L, "there is no tensor \"%s\"", name), 2;
    const struct cut_type_info *type = cut_type_info(t->type);
    if (!type->runs) return lua_pushnil(L), lua_pushfstring(L, "%s: %s is not decoded here", name, type->name), 2;
    lua_Integer rows = (lua_Integer)(t->ne[1] * t->ne[2] * t->ne[3]);
    bool one = !lua_isnoneornil(L, 3) && lua_isnoneornil(L, 4);
    lua_Integer first = luaL_optinteger(L, 3, 1), last = luaL_optinteger(L, 4, one ? first : rows);
    if (first < 1 || last > rows || last < first)
        return luaL_error(L, "%s: rows %I to %I are not within 1 to %I", name, first, last, rows);
    int64_t ne[2] = { (int64_t)t->ne[0], last - first + 1 };
    float *data = cut_lua_push_floats(L, one ? 1 : 2, ne, name);
    cut_lua_charge(L, (uint64_t)(ne[0] * ne[1]) / 8);
    size_t row_bytes = (size_t)t->ne[0] / (size_t)type->block * (size_t)type->bytes;
    cut_decode(t->type, (const char *)t->data + (size_t)(first - 1) * row_bytes, data, (size_t)(ne[0] * ne[1]));
    return 1;
}

void cut_lua_open_model(lua_State *L) {
    static const luaL_Reg methods[] = {
        { "close", model_close }, { "config", model_config }, { "tensors", model_tensors }, { "tensor", model_tensor },
        { "vocab", cut_lua_model_vocab }, { "session", cut_lua_model_session }, { "rebuild", model_rebuild }, { NULL, NULL },
    };
    static const luaL_Reg meta[] = {
        { "__gc", model_close }, { "__close", model_close }, { "__tostring", model_tostring }, { NULL, NULL },
    };
    cut_lua_type(L, NAME, methods, meta);
    lua_newtable(L);
    lua_pushcfunction(L, model_open);
    lua_setfield(L, -2, "open");
    lua_setfield(L, -2, "model");
}
