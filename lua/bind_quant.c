/* bind_quant.c - cut.quant: number formats, and methods of rounding to few bits.
 *
 * Matrices are tensors of two dimensions, w[row][column], as m:tensor(name) gives them; activations x[token][column], as
 * m:run{...} does. A result is a new tensor with the weights as they would be read back. */
#include "lua/bind.h"

#include <math.h>
#include <string.h>

enum { MAX_COLS = 4096 };      /* of GPTQ in a script: its H has the square of it */

/* ---- formats */

static enum cut_type check_type(lua_State *L, int arg) {
    const char *name = luaL_checkstring(L, arg);
    int type = cut_type_by_name(name);
    if (type < 0) luaL_error(L, "there is no number format '%s'", name);
    return (enum cut_type)type;
}

/*** What a number format costs.
 * @function cut.quant.info
 * @tparam string type "q4_0", "f16", ...
 * @treturn table name; block, weights that are stored together; bytes, of a block; bits, per weight; decodes, encodes: whether
 * cut.quant.decode and encode take it
 * @usage
 * local q = cut.quant.info("q4_0")
 * assert(q.block == 32 and q.bytes == 18 and q.bits == 4.5)
 */
static int quant_info(lua_State *L) {
    enum cut_type type = check_type(L, 1);
    const struct cut_type_info *t = cut_type_info(type);
    lua_createtable(L, 0, 6);
    cut_lua_set_str(L, "name", t->name);
    cut_lua_set_int(L, "block", t->block);
    cut_lua_set_int(L, "bytes", t->bytes);
    cut_lua_set_num(L, "bits", 8.0 * t->bytes / t->block);
    lua_pushboolean(L, t->runs);
    lua_setfield(L, -2, "decodes");
    lua_pushboolean(L, cut_encodes(type));
    lua_setfield(L, -2, "encodes");
    return 1;
}

/*** Weights as a format stores them.
 * @function cut.quant.encode
 * @tparam string type
 * @tparam Tensor t its rows must be whole numbers of blocks
 * @treturn string the bytes, row after row
 * @usage
 * local t = cut.model.open():tensor("blk.0.attn_q.weight", 1, 2)
 * local bytes = cut.quant.encode("q8_0", t)
 * assert(#bytes == t:shape()[1] * t:shape()[2] / 32 * 34)
 * assert(cut.quant.error(t, cut.quant.decode("q8_0", bytes, t:shape()[2])) < 0.01)
 */
static int quant_encode(lua_State *L) {
    enum cut_type type = check_type(L, 1);
    const struct cut_type_info *info = cut_type_info(type);
    int rows, cols;
    const float *x = cut_lua_check_matrix(L, 2, &rows, &cols);
    size_t n = (size_t)rows * (size_t)cols, bytes = n / (size_t)info->block * (size_t)info->bytes;
    if (!cut_encodes(type)) return luaL_error(L, "%s cannot be written here", info->name);
    if (cols % info->block) return luaL_error(L, "rows of %d weights are no whole number of blocks of %d, as %s has", cols,
                                              info->block, info->name);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return luaL_error(L, "weight %I of row %I is not finite", (lua_Integer)(i % (size_t)cols) + 1,
                                               (lua_Integer)(i / (size_t)cols) + 1);
    cut_lua_charge(L, n);
    luaL_Buffer b;
    void *dst = luaL_buffinitsize(L, &b, bytes);
    cut_encode(type, x, dst, n);
    luaL_pushresultsize(&b, bytes);
    return 1;
}

/*** The floats that some bytes of a format stand for.
 * @function cut.quant.decode
 * @tparam string type
 * @tparam string bytes whole blocks
 * @tparam[opt] int columns of a row; absent: one row with everything
 * @treturn Tensor
 * @usage
 * -- one block of q4_0: the scale 1.0 in half precision (0x3c00), then 32 nibbles; a weight is scale * (nibble - 8)
 * local t = cut.quant.decode("q4_0", "\x00\x3c" .. ("\x9f"):rep(16))
 * assert(t[1] == 7 and t[17] == 1)
 */
static int quant_decode(lua_State *L) {
    enum cut_type type = check_type(L, 1);
    const struct cut_type_info *info = cut_type_info(type);
    size_t len;
    const char *bytes = luaL_checklstring(L, 2, &len);
    size_t n = len / (size_t)info->bytes * (size_t)info->block;
    if (!info->runs) return luaL_error(L, "%s is not decoded here", info->name);
    if (len == 0 || len % (size_t)info->bytes) return luaL_error(L, "%I bytes are no whole number of blocks of %d, as %s has",
                                                                 (lua_Integer)len, info->bytes, info->name);
    lua_Integer cols = luaL_optinteger(L, 3, (lua_Integer)n);
    if (cols < 1 || n % (size_t)cols) return luaL_error(L, "%I weights are no whole number of rows of %I", (lua_Integer)n, cols);
    int64_t ne[2] = { cols, (int64_t)n / cols };
    float *dst = cut_lua_push_floats(L, lua_isnoneornil(L, 3) ? 1 : 2, ne, info->name);
    cut_lua_charge(L, n / 8);
    /* A Lua string starts where it likes; blocks hold 16-bit and 32-bit numbers and want to be aligned. */
    void *aligned = lua_newuserdatauv(L, len, 0);
    memcpy(aligned, bytes, len);
    cut_decode(type, aligned, dst, n);
    lua_pop(L, 1);
    return 1;
}

/* ---- methods */

static const char *const fields[] = { "bits", "group", "asymmetric", "act_bits", "damping", "alphas", "outlier", NULL };

/* group is a number of columns, "row" or "tensor". */
static int group_option(lua_State *L, int arg, int cols) {
    if (lua_istable(L, arg) && lua_getfield(L, arg, "group") == LUA_TSTRING) {
        const char *word = lua_tostring(L, -1);
        if (strcmp(word, "row") && strcmp(word, "tensor"))
            luaL_error(L, "group: a number of columns, \"row\" or \"tensor\" is wanted, not \"%s\"", word);
        lua_pop(L, 1);
        return strcmp(word, "row") ? CUT_GROUP_TENSOR : CUT_GROUP_ROW;
    }
    return (int)cut_lua_opt_int(L, arg, "group", CUT_GROUP_ROW, 0, cols);
}

static struct cut_method_opts options(lua_State *L, int arg, enum cut_method method, int cols) {
    const struct cut_method_opts d = cut_method_defaults;
    cut_lua_only(L, arg, fields);
    return (struct cut_method_opts){
        .method = method,
        .bits = (int)cut_lua_opt_int(L, arg, "bits", d.bits, 2, 8),
        .group = group_option(L, arg, cols),
        .asymmetric = cut_lua_opt_bool(L, arg, "asymmetric", d.asymmetric),
        .act_bits = (int)cut_lua_opt_int(L, arg, "act_bits", d.act_bits, 0, 8),
        .damping = (float)cut_lua_opt_num(L, arg, "damping", (double)d.damping, 1e-9, 1),
        .alphas = (int)cut_lua_opt_int(L, arg, "alphas", d.alphas, 1, 1000),
        .outlier = (float)cut_lua_opt_num(L, arg, "outlier", (double)d.outlier, 1e-3, 1e6),
    };
}

static bool go_on(void *user, double part, const char *what) {
    struct cut_lua *h = user;
    (void)part, (void)what;
    return !atomic_load(&h->cancel) && !(h->opts.max_seconds > 0 && cut_clock() > h->deadline);
}

/* w at argument 1, x at `x_arg` (0: none), options after them. Pushes the new matrix and a table about it. */
static int method(lua_State *L, enum cut_method m, int x_arg) {
    int rows, cols, tokens = 0, x_cols = 0;
    const float *w = cut_lua_check_matrix(L, 1, &rows, &cols), *x = NULL;
    if (x_arg) x = cut_lua_check_matrix(L, x_arg, &tokens, &x_cols);
    if (x && x_cols != cols) return luaL_error(L, "the weights have %d columns, the activations %d", cols, x_cols);
    struct cut_method_opts o = options(L, x_arg + 1 + !x_arg, m, cols);
    if (m == CUT_METHOD_GPTQ && cols > MAX_COLS) return luaL_error(L, "gptq: %d columns, at most %d in a script", cols, MAX_COLS);
    cut_lua_charge(L, (uint64_t)rows * (uint64_t)cols * (uint64_t)(tokens + 1) / 1000);

    int64_t ne[2] = { cols, rows };
    float *out = cut_lua_push_floats(L, 2, ne, cut_method_name(m)), *column = cut_lua_push_floats(L, 1, ne, "columns");
    struct cut_method_result r;
    struct cut_err err;
    enum cut_status st = cut_method_run(w, rows, cols, x, tokens, &o, out, column, &r, go_on, cut_lua_of(L), &err);
    if (st) return cut_lua_fail(L, st, &err);
    lua_createtable(L, 0, 6);
    cut_lua_set_num(L, "bits", r.bits_per_weight);
    cut_lua_set_num(L, "weight_error", r.weight_error);
    if (x) cut_lua_set_num(L, "output_error", r.output_error);
    if (m == CUT_METHOD_AWQ) {
        cut_lua_set_num(L, "alpha", (double)r.alpha);
        lua_pushvalue(L, -2);
        lua_setfield(L, -2, "scales");
    }
    if (m == CUT_METHOD_SPLIT) {
        lua_createtable(L, r.outliers, 0);
        for (int c = 0, n = 0; c < cols; c++) {
            if (column[c] == 0) continue;
            lua_pushinteger(L, c + 1);
            lua_rawseti(L, -2, ++n);
        }
        lua_setfield(L, -2, "columns");
    }
    lua_remove(L, -2);                                     /* the columns' numbers live on in the table, if anywhere */
    return 2;
}

/*** Round a matrix to b bits: each weight to the nearest point of an even grid.
 * @function cut.quant.round
 * @tparam Tensor w
 * @tparam[opt] table options bits (4); group, the columns of a row that share a step, or "row" (the default) or "tensor"; asymmetric
 * (false), with a zero point, so that the grid need not be centred
 * @treturn Tensor the weights as they would be read back
 * @treturn table bits (per weight, with the steps), weight_error (|W - W'| / |W|)
 * @usage
 * local w = cut.model.open():tensor("blk.0.attn_q.weight")
 * local _, rough = cut.quant.round(w, { bits = 4, group = "tensor" })
 * local _, fine = cut.quant.round(w, { bits = 4, group = 32 })
 * assert(fine.weight_error < rough.weight_error and fine.bits == 4.5)
 */
static int quant_round(lua_State *L) { return method(L, CUT_METHOD_ROUND, 0); }

/*** GPTQ (Frantar et al. 2023): column after column, the error of each made good by those still to come.
 * @function cut.quant.gptq
 * @tparam Tensor w
 * @tparam Tensor x activations to learn from, x[token][column]
 * @tparam[opt] table options bits, group and asymmetric as in cut.quant.round; damping (0.01), a share of the mean of H's diagonal
 * @treturn Tensor
 * @treturn table bits, weight_error, output_error (|Y - Y'| / |Y| for Y = X W^T)
 * @usage
 * local m = cut.model.open()
 * local x = m:run{ prompt = "Once upon a time there was a boy", cache = "blk.0.attn_norm" }["blk.0.attn_norm"]
 * local w = m:tensor("blk.0.attn_q.weight")
 * local _, made_good = cut.quant.gptq(w, x, { bits = 3 })
 * local _, plain = cut.quant.error(w, cut.quant.round(w, { bits = 3 }), x)
 * assert(made_good.output_error < plain)
 */
static int quant_gptq(lua_State *L) { return method(L, CUT_METHOD_GPTQ, 2); }

/*** AWQ (Lin et al. 2024): columns that meet large activations are widened before rounding and narrowed after it.
 * @function cut.quant.awq
 * @tparam Tensor w
 * @tparam Tensor x activations to learn from
 * @tparam[opt] table options bits, group and asymmetric; alphas (20), how many exponents to try
 * @treturn Tensor
 * @treturn table bits, weight_error, output_error; alpha, the best exponent; scales, one for each column
 * @usage
 * local w, x = cut.tensor{ { 0.31, 4, 0.9, 0.2 } }, cut.tensor{ { 50, 1, 1, 1 } }
 * local w2, info = cut.quant.awq(w, x, { bits = 3 })
 * assert(info.scales[1] > info.scales[2] and math.abs(w2[1][1] - 0.31) < 0.2)
 */
static int quant_awq(lua_State *L) { return method(L, CUT_METHOD_AWQ, 2); }

/*** The split of LLM.int8() (Dettmers et al. 2022): columns that meet outlying activations stay in half precision, and what is left is
 * rounded, weights and activations.
 * @function cut.quant.split
 * @tparam Tensor w
 * @tparam Tensor x activations to learn from
 * @tparam[opt] table options bits, group and asymmetric; act_bits (0, activations stay floats); outlier (6), how many times the rms
 * of x makes a column outlying
 * @treturn Tensor
 * @treturn table bits, weight_error, output_error; columns, those kept, counted from 1
 * @usage
 * local w, x = cut.tensor{ { 1, 2, 3, 4 } }, cut.tensor{ { 0.1, 0.2, 100, 0.1 } }
 * local w2, info = cut.quant.split(w, x, { bits = 8, act_bits = 8, outlier = 1.5 })
 * assert(#info.columns == 1 and info.columns[1] == 3 and w2[1][3] == 3)
 */
static int quant_split(lua_State *L) { return method(L, CUT_METHOD_SPLIT, 2); }

/*** How far a matrix has moved, and with activations, how far what it computes has.
 * @function cut.quant.error
 * @tparam Tensor w
 * @tparam Tensor w2 of the same shape
 * @tparam[opt] Tensor x activations, best others than a method learnt from
 * @treturn number |W - W'| / |W|
 * @treturn number|nil |Y - Y'| / |Y| for Y = X W^T
 * @usage
 * local w = cut.tensor{ { 3, 4 } }
 * local weights, output = cut.quant.error(w, cut.tensor{ { 3, 3 } }, cut.tensor{ { 1, 0 }, { 2, 0 } })
 * assert(math.abs(weights - 0.2) < 1e-6 and output == 0)
 */
static int quant_error(lua_State *L) {
    int rows, cols, rows2, cols2, tokens, x_cols;
    const float *w = cut_lua_check_matrix(L, 1, &rows, &cols), *w2 = cut_lua_check_matrix(L, 2, &rows2, &cols2);
    const float *x = lua_isnoneornil(L, 3) ? NULL : cut_lua_check_matrix(L, 3, &tokens, &x_cols);
    if (rows != rows2 || cols != cols2) return luaL_error(L, "the shapes %dx%d and %dx%d differ", rows, cols, rows2, cols2);
    if (x && x_cols != cols) return luaL_error(L, "the weights have %d columns, the activations %d", cols, x_cols);
    cut_lua_charge(L, (uint64_t)rows * (uint64_t)cols * (uint64_t)(x ? tokens : 1) / 1000);
    double off = 0, all = 0, error = 0;
    for (size_t i = 0; i < (size_t)rows * (size_t)cols; i++) {
        double e = (double)w[i] - (double)w2[i];
        off += e * e;
        all += (double)w[i] * (double)w[i];
    }
    lua_pushnumber(L, all > 0 ? sqrt(off / all) : 0);
    if (!x) return 1;
    struct cut_err err;
    enum cut_status st = cut_method_output_error(w, w2, rows, cols, x, tokens, 0, NULL, &error, &err);
    if (st) return cut_lua_fail(L, st, &err);
    lua_pushnumber(L, error);
    return 2;
}

void cut_lua_open_quant(lua_State *L) {
    static const luaL_Reg fns[] = {
        { "info", quant_info }, { "encode", quant_encode }, { "decode", quant_decode }, { "round", quant_round },
        { "gptq", quant_gptq }, { "awq", quant_awq }, { "split", quant_split }, { "error", quant_error }, { NULL, NULL },
    };
    lua_newtable(L);
    luaL_setfuncs(L, fns, 0);
    lua_setfield(L, -2, "quant");
}
