/* bind_tensor.c - cut.Tensor: an array of floats of one to three dimensions.
 *
 * In Lua the outermost dimension comes first and counts from 1: t[2] of a (rows, columns) tensor is its second row, a
 * view that shares the floats; t[2][5] a number. The engine stores ne[0], the innermost, first. A step's value has the
 * token outermost: t[token][dim], or t[token][head][dim] where there are heads.
 *
 * Three kinds: a tensor with floats of its own; a view of such a tensor, which keeps it alive; and a loan, a window
 * on the engine's memory that a probe receives. A loan ends when the probe returns: its lease says so, and every view
 * made from it holds the same lease. */
#include "lua/bind.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NAME "cut.Tensor"

struct lease { bool alive; };

struct cut_lua_tensor {
    int n_dims;
    int64_t ne[3], n;              /* n: floats in all */
    float *data;
    struct lease *lease;           /* NULL: not on loan. Lives in user value 1 */
    bool writable, edited;
    enum cut_tag tag;
    char name[64], axis[3][12];
    float own[];                   /* where data points, unless it is a view */
};
typedef struct cut_lua_tensor tensor;

static tensor *check(lua_State *L, int arg) {
    tensor *t = luaL_checkudata(L, arg, NAME);
    if (t->lease && !t->lease->alive)
        luaL_error(L, "this tensor was lent to a probe that has returned; t:copy() keeps one");
    return t;
}

/* A tensor without data; own_floats > 0 makes room in it. One user value keeps a base or a lease alive. */
static tensor *push_new(lua_State *L, int n_dims, const int64_t *ne, bool own) {
    int64_t n = 1;
    for (int i = 0; i < n_dims; i++) {
        if (ne[i] < 0 || (ne[i] && n > (INT64_MAX / 8) / ne[i])) luaL_error(L, "a tensor of this shape is too large");
        n *= ne[i];
    }
    size_t bytes = own ? (size_t)n * sizeof(float) : 0;
    tensor *t = lua_newuserdatauv(L, sizeof *t + bytes, 1);
    memset(t, 0, sizeof *t);
    t->n_dims = n_dims;
    for (int i = 0; i < 3; i++) t->ne[i] = i < n_dims ? ne[i] : 1;
    t->n = n;
    t->writable = own;
    t->data = own ? t->own : NULL;
    luaL_setmetatable(L, NAME);
    return t;
}

struct cut_tensor cut_lua_squeeze(const struct cut_tensor *t) {
    struct cut_tensor out = *t;
    if (t->n_dims == 3 && t->ne[1] == 1 && !t->axis[1]) {
        out.n_dims = 2;
        out.ne[1] = t->ne[2];
        out.axis[1] = t->axis[2];
        out.ne[2] = 1;
    }
    return out;
}

static void describe(tensor *t, const struct cut_tensor *like) {
    t->tag = like->tag;
    t->edited = like->edited;
    snprintf(t->name, sizeof t->name, "%s", like->name ? like->name : "");
    for (int i = 0; i < like->n_dims; i++)
        snprintf(t->axis[i], sizeof t->axis[i], "%s", like->axis[i] ? like->axis[i] : "");
}

void cut_lua_push_tensor(lua_State *L, const struct cut_tensor *value) {
    struct cut_tensor like = cut_lua_squeeze(value);
    tensor *t = push_new(L, like.n_dims, like.ne, true);
    describe(t, &like);
    if (like.data) memcpy(t->data, like.data, (size_t)t->n * sizeof(float));
    else memset(t->data, 0, (size_t)t->n * sizeof(float));
}

void cut_lua_lend_tensor(lua_State *L, const struct cut_tensor *value, bool writable) {
    struct cut_tensor like = cut_lua_squeeze(value);
    tensor *t = push_new(L, like.n_dims, like.ne, false);
    describe(t, &like);
    t->lease = lua_newuserdatauv(L, sizeof *t->lease, 0);
    t->lease->alive = true;
    lua_setiuservalue(L, -2, 1);
    t->data = like.data;
    t->writable = writable;
}

void cut_lua_tensor_expire(lua_State *L, int arg) {
    tensor *t = luaL_checkudata(L, arg, NAME);
    if (t->lease) t->lease->alive = false;
}

float *cut_lua_push_floats(lua_State *L, int n_dims, const int64_t *ne, const char *name) {
    tensor *t = push_new(L, n_dims, ne, true);
    snprintf(t->name, sizeof t->name, "%s", name);
    return t->data;
}

const float *cut_lua_check_tensor(lua_State *L, int arg, int64_t *n) {
    tensor *t = check(L, arg);
    *n = t->n;
    return t->data;
}

const float *cut_lua_check_matrix(lua_State *L, int arg, int *rows, int *cols) {
    tensor *t = check(L, arg);
    int64_t n_rows = t->ne[t->n_dims - 1], n_cols = t->n_dims == 1 ? t->n : n_rows ? t->n / n_rows : 0;
    if (t->n_dims == 1) n_rows = 1;
    if (n_rows < 1 || n_cols < 1 || n_rows > INT_MAX || n_cols > INT_MAX) luaL_argerror(L, arg, "this tensor is no matrix with numbers in it");
    *rows = (int)n_rows;
    *cols = (int)n_cols;
    return t->data;
}

static tensor *push_like(lua_State *L, const tensor *a) {
    tensor *t = push_new(L, a->n_dims, a->ne, true);
    memcpy(t->axis, a->axis, sizeof t->axis);
    t->tag = CUT_DERIVED;
    t->edited = a->edited;
    return t;
}

/* ---- making one */

/*** A tensor from numbers: a list of numbers, or a list of equally long lists.
 * @function cut.tensor
 * @tparam table values
 * @treturn Tensor
 * @usage
 * local t = cut.tensor{ { 1, 2, 3 }, { 4, 5, 6 } }
 * assert(#t == 2 and t[2][3] == 6)
 */
static int tensor_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    int64_t rows = (int64_t)lua_rawlen(L, 1);
    if (lua_rawgeti(L, 1, 1) != LUA_TTABLE) {
        tensor *t = push_new(L, 1, &rows, true);
        for (int64_t i = 0; i < rows; i++) {
            lua_rawgeti(L, 1, i + 1);
            int ok;
            t->data[i] = (float)lua_tonumberx(L, -1, &ok);
            if (!ok) return luaL_error(L, "cut.tensor: value %I is a %s, not a number", (lua_Integer)i + 1,
                                       luaL_typename(L, -1));
            lua_pop(L, 1);
        }
        return 1;
    }
    int64_t ne[2] = { (int64_t)lua_rawlen(L, 2), rows };
    tensor *t = push_new(L, 2, ne, true);
    for (int64_t r = 0; r < rows; r++) {
        if (lua_rawgeti(L, 1, r + 1) != LUA_TTABLE || (int64_t)lua_rawlen(L, -1) != ne[0])
            return luaL_error(L, "cut.tensor: row %I is not a list of %I numbers", (lua_Integer)r + 1, (lua_Integer)ne[0]);
        for (int64_t i = 0; i < ne[0]; i++) {
            lua_rawgeti(L, -1, i + 1);
            int ok;
            t->data[r * ne[0] + i] = (float)lua_tonumberx(L, -1, &ok);
            if (!ok) return luaL_error(L, "cut.tensor: value %I of row %I is a %s, not a number", (lua_Integer)i + 1,
                                       (lua_Integer)r + 1, luaL_typename(L, -1));
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    return 1;
}

/*** A tensor with floats of its own. Keep a probe's tensor with it.
 * @function Tensor:copy
 * @treturn Tensor
 * @usage
 * local t = cut.tensor{ 1, 2 }
 * local u = t:copy()
 * u[1] = 9
 * assert(t[1] == 1 and u[1] == 9)
 */
static int tensor_copy(lua_State *L) {
    tensor *a = check(L, 1), *t = push_like(L, a);
    t->tag = a->tag;
    memcpy(t->name, a->name, sizeof t->name);
    memcpy(t->data, a->data, (size_t)a->n * sizeof(float));
    return 1;
}

/* ---- elements and rows */

static int64_t check_row(lua_State *L, const tensor *t, int arg) {
    int64_t rows = t->ne[t->n_dims - 1];
    lua_Integer i = luaL_checkinteger(L, arg);
    if (i < 1 || i > rows) luaL_error(L, "index %I is not between 1 and %I", i, (lua_Integer)rows);
    return i - 1;
}

static void push_view(lua_State *L, int base, const tensor *a, int64_t row) {
    tensor *v = push_new(L, a->n_dims - 1, a->ne, false);
    v->data = a->data + row * v->n;
    v->lease = a->lease;
    v->writable = a->writable;
    v->edited = a->edited;
    v->tag = a->tag;
    memcpy(v->name, a->name, sizeof v->name);
    memcpy(v->axis, a->axis, sizeof v->axis);
    if (a->data == a->own) lua_pushvalue(L, base);             /* keep the owner of the floats alive */
    else lua_getiuservalue(L, base, 1);                        /* or what the view already keeps alive */
    lua_setiuservalue(L, -2, 1);
}

static int tensor_index(lua_State *L) {
    if (lua_type(L, 2) == LUA_TNUMBER) {
        tensor *t = check(L, 1);
        int64_t row = check_row(L, t, 2);
        if (t->n_dims == 1) lua_pushnumber(L, t->data[row]);
        else push_view(L, 1, t, row);
        return 1;
    }
    tensor *t = luaL_checkudata(L, 1, NAME);
    const char *key = luaL_checkstring(L, 2);
    if (!strcmp(key, "name")) return lua_pushstring(L, t->name), 1;
    if (!strcmp(key, "tag")) return lua_pushstring(L, t->tag == CUT_REAL ? "real" : "derived"), 1;
    if (!strcmp(key, "edited")) return lua_pushboolean(L, t->edited), 1;
    luaL_getmetafield(L, 1, "__methods");
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) == LUA_TNIL) return luaL_error(L, "a tensor has no method or field '%s'", key);
    return 1;
}

static int tensor_newindex(lua_State *L) {
    tensor *t = check(L, 1);
    int64_t row = check_row(L, t, 2), width = t->n_dims == 1 ? 1 : t->n / t->ne[t->n_dims - 1];
    float *dst = t->data + row * width;
    if (!t->writable)
        return luaL_error(L, "this tensor is read-only; a probe that changes values is set with {edit=true}");
    if (lua_isnumber(L, 3)) {
        float v = (float)lua_tonumber(L, 3);
        for (int64_t i = 0; i < width; i++) dst[i] = v;
    } else {
        tensor *src = check(L, 3);
        if (t->n_dims == 1 || src->n != width)
            return luaL_error(L, "%I floats do not fit in a place for %I", (lua_Integer)src->n, (lua_Integer)width);
        memmove(dst, src->data, (size_t)width * sizeof(float));
    }
    t->edited = true;
    return 0;
}

static int tensor_len(lua_State *L) {
    tensor *t = check(L, 1);
    lua_pushinteger(L, t->ne[t->n_dims - 1]);
    return 1;
}

/*** The dimensions, outermost first.
 * @function Tensor:shape
 * @treturn {int,...}
 * @usage
 * local s = cut.tensor{ { 1, 2, 3 }, { 4, 5, 6 } }:shape()
 * assert(s[1] == 2 and s[2] == 3)
 */
static int tensor_shape(lua_State *L) {
    tensor *t = check(L, 1);
    lua_createtable(L, t->n_dims, 0);
    for (int i = 0; i < t->n_dims; i++) {
        lua_pushinteger(L, t->ne[t->n_dims - 1 - i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/*** What each dimension counts ("token", "head", "key", "dim", "vocab"), outermost first.
 * @function Tensor:axes
 * @treturn {string,...}
 * @usage
 * local m = cut.model.open()
 * local r = m:run{ prompt = "one", cache = "embed" }
 * assert(#r["embed"]:axes() == #r["embed"]:shape())
 */
static int tensor_axes(lua_State *L) {
    tensor *t = check(L, 1);
    lua_createtable(L, t->n_dims, 0);
    for (int i = 0; i < t->n_dims; i++) {
        lua_pushstring(L, t->axis[t->n_dims - 1 - i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static void push_table(lua_State *L, const tensor *t, int dim, const float *x) {
    int64_t inner = 1;
    for (int i = 0; i < dim; i++) inner *= t->ne[i];
    lua_createtable(L, (int)t->ne[dim], 0);
    for (int64_t i = 0; i < t->ne[dim]; i++) {
        if (dim) push_table(L, t, dim - 1, x + i * inner);
        else lua_pushnumber(L, x[i]);
        lua_rawseti(L, -2, i + 1);
    }
}

/*** The numbers as a Lua table, nested as the tensor is.
 * @function Tensor:table
 * @treturn table
 * @usage
 * local t = cut.tensor{ { 1, 2 }, { 3, 4 } }:table()
 * assert(t[2][1] == 3)
 */
static int tensor_table(lua_State *L) {
    tensor *t = check(L, 1);
    if (t->n > CUT_LUA_MAX_RANGE) return luaL_error(L, "a tensor of %I floats is too long for a table", (lua_Integer)t->n);
    cut_lua_charge(L, (uint64_t)t->n);
    push_table(L, t, t->n_dims - 1, t->data);
    return 1;
}

static int tensor_tostring(lua_State *L) {
    tensor *t = luaL_checkudata(L, 1, NAME);
    if (t->lease && !t->lease->alive) return lua_pushliteral(L, "tensor (its probe has returned)"), 1;
    luaL_Buffer b;
    char num[32];
    luaL_buffinit(L, &b);
    luaL_addstring(&b, t->name[0] ? t->name : "tensor");
    for (int i = t->n_dims - 1; i >= 0; i--) {
        snprintf(num, sizeof num, "%s%lld", i == t->n_dims - 1 ? " " : "x", (long long)t->ne[i]);
        luaL_addstring(&b, num);
    }
    luaL_addstring(&b, " {");
    for (int64_t i = 0; i < t->n && i < 6; i++) {
        snprintf(num, sizeof num, "%s%.4g", i ? ", " : " ", t->data[i]);
        luaL_addstring(&b, num);
    }
    luaL_addstring(&b, t->n > 6 ? ", ... }" : " }");
    luaL_pushresult(&b);
    return 1;
}

/* ---- arithmetic: element by element; a number stands for a tensor full of it */

enum op { ADD, SUB, MUL, DIV };

static float apply(enum op op, float a, float b) {
    switch (op) {
    case ADD: return a + b;
    case SUB: return a - b;
    case MUL: return a * b;
    default: return a / b;
    }
}

static void shape_text(const tensor *t, char *buf, size_t size) {
    int n = 0;
    for (int i = t->n_dims - 1; i >= 0 && n < (int)size; i--)
        n += snprintf(buf + n, size - (size_t)n, "%s%lld", n ? "x" : "", (long long)t->ne[i]);
}

static int arithmetic(lua_State *L, enum op op) {
    tensor *a = lua_isnumber(L, 1) ? NULL : check(L, 1), *b = lua_isnumber(L, 2) ? NULL : check(L, 2);
    float x = a ? 0 : (float)lua_tonumber(L, 1), y = b ? 0 : (float)lua_tonumber(L, 2);
    if (a && b && (a->n_dims != b->n_dims || memcmp(a->ne, b->ne, sizeof a->ne))) {
        char sa[64], sb[64];
        shape_text(a, sa, sizeof sa);
        shape_text(b, sb, sizeof sb);
        return luaL_error(L, "the shapes %s and %s differ", sa, sb);
    }
    tensor *t = push_like(L, a ? a : b);
    t->edited = (a && a->edited) || (b && b->edited);
    cut_lua_charge(L, (uint64_t)t->n / 16);
    for (int64_t i = 0; i < t->n; i++) t->data[i] = apply(op, a ? a->data[i] : x, b ? b->data[i] : y);
    return 1;
}

static int tensor_add(lua_State *L) { return arithmetic(L, ADD); }
static int tensor_sub(lua_State *L) { return arithmetic(L, SUB); }
static int tensor_mul(lua_State *L) { return arithmetic(L, MUL); }
static int tensor_div(lua_State *L) { return arithmetic(L, DIV); }
static int tensor_unm(lua_State *L) {
    lua_pushnumber(L, -1);
    lua_replace(L, 2);
    return arithmetic(L, MUL);
}

/* ---- numbers about a tensor. Sums in double, in order. */

static tensor *check_not_empty(lua_State *L) {
    tensor *t = check(L, 1);
    if (!t->n) luaL_error(L, "the tensor is empty");
    cut_lua_charge(L, (uint64_t)t->n / 16);
    return t;
}

static double sum_of(const tensor *t) {
    double sum = 0;
    for (int64_t i = 0; i < t->n; i++) sum += t->data[i];
    return sum;
}

/*** The sum of all elements.
 * @function Tensor:sum
 * @treturn number
 * @usage assert(cut.tensor{ 1, 2, 3 }:sum() == 6)
 */
static int tensor_sum(lua_State *L) { return lua_pushnumber(L, sum_of(check(L, 1))), 1; }

/*** The mean of all elements.
 * @function Tensor:mean
 * @treturn number
 * @usage assert(cut.tensor{ 1, 2, 3 }:mean() == 2)
 */
static int tensor_mean(lua_State *L) {
    tensor *t = check_not_empty(L);
    lua_pushnumber(L, sum_of(t) / (double)t->n);
    return 1;
}

/*** The root of the mean square: the size of a typical element.
 * @function Tensor:rms
 * @treturn number
 * @usage assert(math.abs(cut.tensor{ 3, -3 }:rms() - 3) < 1e-6)
 */
static int tensor_rms(lua_State *L) {
    tensor *t = check_not_empty(L);
    double sum = 0;
    for (int64_t i = 0; i < t->n; i++) sum += (double)t->data[i] * t->data[i];
    lua_pushnumber(L, sqrt(sum / (double)t->n));
    return 1;
}

static int64_t place_of_largest(const tensor *t, float sign) {
    int64_t best = 0;
    for (int64_t i = 1; i < t->n; i++)
        if (t->data[i] * sign > t->data[best] * sign) best = i;
    return best;
}

/*** The largest element.
 * @function Tensor:max
 * @treturn number
 * @usage assert(cut.tensor{ 1, 5, 3 }:max() == 5)
 */
static int tensor_max(lua_State *L) {
    tensor *t = check_not_empty(L);
    return lua_pushnumber(L, t->data[place_of_largest(t, 1)]), 1;
}

/*** The smallest element.
 * @function Tensor:min
 * @treturn number
 * @usage assert(cut.tensor{ 4, 1, 3 }:min() == 1)
 */
static int tensor_min(lua_State *L) {
    tensor *t = check_not_empty(L);
    return lua_pushnumber(L, t->data[place_of_largest(t, -1)]), 1;
}

/*** Where the largest element stands, counted from 1; of equal ones, the first. In a tensor of logits, element i belongs
 * to token id i - 1.
 * @function Tensor:argmax
 * @treturn int
 * @usage assert(cut.tensor{ 1, 5, 3 }:argmax() == 2)
 */
static int tensor_argmax(lua_State *L) {
    tensor *t = check_not_empty(L);
    return lua_pushinteger(L, place_of_largest(t, 1) + 1), 1;
}

/*** The k largest elements, largest first; of equal ones, the first comes first.
 * @function Tensor:top
 * @tparam[opt=5] int k
 * @treturn {{index=int,value=number},...} index counts from 1
 * @usage
 * local top = cut.tensor{ 1, 5, 3 }:top(2)
 * assert(top[1].index == 2 and top[2].value == 3)
 */
static int tensor_top(lua_State *L) {
    tensor *t = check_not_empty(L);
    lua_Integer k = luaL_optinteger(L, 2, 5);
    if (k < 1 || k > 1000) return luaL_error(L, "top: %I is not between 1 and 1000", k);
    if (k > t->n) k = t->n;
    int64_t *best = lua_newuserdatauv(L, (size_t)k * sizeof *best, 0);
    int64_t have = 0;
    cut_lua_charge(L, (uint64_t)t->n / 4);
    for (int64_t i = 0; i < t->n; i++) {          /* insertion into a short sorted list */
        if (have == k && !(t->data[i] > t->data[best[k - 1]])) continue;
        int64_t at = have < k ? have++ : k - 1;
        for (; at > 0 && t->data[i] > t->data[best[at - 1]]; at--) best[at] = best[at - 1];
        best[at] = i;
    }
    lua_createtable(L, (int)have, 0);
    for (int64_t i = 0; i < have; i++) {
        lua_createtable(L, 0, 2);
        lua_pushinteger(L, best[i] + 1);
        lua_setfield(L, -2, "index");
        lua_pushnumber(L, t->data[best[i]]);
        lua_setfield(L, -2, "value");
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

void cut_lua_open_tensor(lua_State *L) {
    static const luaL_Reg methods[] = {
        { "copy", tensor_copy }, { "shape", tensor_shape }, { "axes", tensor_axes }, { "table", tensor_table },
        { "sum", tensor_sum }, { "mean", tensor_mean }, { "rms", tensor_rms }, { "max", tensor_max },
        { "min", tensor_min }, { "argmax", tensor_argmax }, { "top", tensor_top }, { NULL, NULL },
    };
    static const luaL_Reg meta[] = {
        { "__index", tensor_index }, { "__newindex", tensor_newindex }, { "__len", tensor_len },
        { "__tostring", tensor_tostring }, { "__add", tensor_add }, { "__sub", tensor_sub }, { "__mul", tensor_mul },
        { "__div", tensor_div }, { "__unm", tensor_unm }, { NULL, NULL },
    };
    cut_lua_type(L, NAME, methods, meta);
    lua_pushcfunction(L, tensor_new);
    lua_setfield(L, -2, "tensor");
}
