/* bind_measure.c - cut.measure: how far one model's predictions are from another's. */
#include "lua/bind.h"

/*** Compare two predictions: the Kullback-Leibler divergence of the softmaxes of two rows of logits, in nats.
 * @function cut.measure.kl
 * @tparam Tensor p logits of the reference: one row, or a row for each token
 * @tparam Tensor q logits of the model, of the same shape
 * @treturn number KL(p || q) = sum_v p_v (ln p_v - ln q_v), the mean over the rows
 * @treturn number the share of rows in which both hold the same token for the most likely
 * @treturn Tensor the divergence of each row
 * @usage
 * local kl, same, each = cut.measure.kl(cut.tensor{ { 0, 0 }, { 0, 1 } }, cut.tensor{ { 0, math.log(3) }, { 5, 6 } })
 * -- 1/2 ln(1/2 / 1/4) + 1/2 ln(1/2 / 3/4); the second row differs by a constant, which softmax does not see
 * assert(math.abs(each[1] - 0.143841) < 1e-6 and math.abs(each[2]) < 1e-6)
 * assert(math.abs(kl - each[1] / 2) < 1e-6 and same == 0.5)
 */
static int measure_kl(lua_State *L) {
    int rows, cols, rows2, cols2;
    const float *p = cut_lua_check_matrix(L, 1, &rows, &cols), *q = cut_lua_check_matrix(L, 2, &rows2, &cols2);
    if (rows != rows2 || cols != cols2) return luaL_error(L, "the shapes %dx%d and %dx%d differ", rows, cols, rows2, cols2);
    cut_lua_charge(L, (uint64_t)rows * (uint64_t)cols / 4);
    int64_t ne[1] = { rows };
    float *each = cut_lua_push_floats(L, 1, ne, "kl");
    double sum = 0;
    int same = 0;
    for (int i = 0; i < rows; i++) {
        struct cut_divergence d;
        cut_diverge(p + (size_t)i * (size_t)cols, q + (size_t)i * (size_t)cols, cols, -1, &d);
        each[i] = (float)d.kl;
        sum += d.kl;
        same += d.top == d.top_ref;
    }
    lua_pushnumber(L, sum / rows);
    lua_pushnumber(L, (double)same / rows);
    lua_rotate(L, -3, 2);
    return 3;
}

void cut_lua_open_measure(lua_State *L) {
    static const luaL_Reg fns[] = { { "kl", measure_kl }, { NULL, NULL } };
    lua_newtable(L);
    luaL_setfuncs(L, fns, 0);
    lua_setfield(L, -2, "measure");
}
