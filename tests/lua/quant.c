/* quant.c - cut.quant from a script: what it refuses, and that it counts from 1. */
#include "lua/host.h"
#include "tests/lua/models.h"
#include "tests/test.h"

static char said[1000];

static void gather(void *user, const char *text, size_t len) {
    (void)user;
    size_t have = strlen(said);
    if (have + len < sizeof said) memcpy(said + have, text, len), said[have + len] = 0;
}

static enum cut_status run(const char *script, char *error, size_t size, double seconds) {
    struct cut_lua *h;
    struct cut_err err;
    said[0] = error[0] = 0;
    enum cut_status st = cut_lua_new(&h, &(struct cut_lua_opts){ .print = gather, .models = test_models(), .max_seconds = seconds }, &err);
    if (st) return st;
    st = cut_lua_run(h, "t.lua", script, strlen(script), NULL, 0, &err);
    snprintf(error, size, "%s", cut_lua_error(h));
    cut_lua_free(h);
    return st;
}

static void expect(const char *script, const char *output) {
    char error[500];
    CHECK(run(script, error, sizeof error, 0) == CUT_OK, "%s\n%s", script, error);
    CHECK(!strcmp(said, output), "%s\nsaid: %s", script, said);
}

static void expect_error(const char *script, const char *message) {
    char error[500];
    CHECK(run(script, error, sizeof error, 0) == CUT_EUSAGE && strstr(error, message), "%s\nerror: %s", script, error);
}

TEST(lua_quant_formats) {
    expect("local t = cut.tensor{1, 2, 3}\n"
           "print(#cut.quant.encode('f32', t), cut.quant.decode('f32', cut.quant.encode('f32', t))[3])", "12\t3.0\n");
    expect("print(cut.quant.info('Q6_K').bits, cut.quant.info('f16').block)", "6.5625\t1\n");
    expect("local t = cut.quant.decode('f16', ('\\x00\\x3c'):rep(6), 3) print(#t, #t[1], t[2][3])", "2\t3\t1.0\n");
    expect_error("cut.quant.info('q4_9')", "no number format 'q4_9'");
    expect_error("cut.quant.encode('q8_0', cut.tensor{1, 2, 3})", "rows of 3 weights are no whole number of blocks of 32");
    expect_error("cut.quant.encode('f16', cut.tensor{1, 0/0})", "weight 2 of row 1 is not finite");
    expect_error("cut.quant.decode('q8_0', ('x'):rep(35))", "35 bytes are no whole number of blocks of 34");
    expect_error("cut.quant.decode('q8_0', '')", "0 bytes");
    expect_error("cut.quant.decode('f32', ('x'):rep(8), 3)", "2 weights are no whole number of rows of 3");
}

TEST(lua_quant_methods) {
    expect("local w, info = cut.quant.round(cut.tensor{ { 6, -5, 0.9 } }, { bits = 3 })\n"
           "print(w[1][1], w[1][2], w[1][3], info.output_error)", "6.0\t-4.0\t0.0\tnil\n");
    expect("print(cut.quant.error(cut.tensor{ 3, 4 }, cut.tensor{ 3, 4 }))", "0.0\n");
    expect_error("cut.quant.round(cut.tensor{1}, { bits = 9 })", "bits: 9 is not between 2 and 8");
    expect_error("cut.quant.round(cut.tensor{1}, { bit = 3 })", "there is no option 'bit'");
    expect_error("cut.quant.round(cut.tensor{1}, { group = 'column' })", "not \"column\"");
    expect_error("cut.quant.round(cut.tensor{1, 1/0})", "weight [0][1] is inf");
    expect_error("cut.quant.gptq(cut.tensor{1, 2}, cut.tensor{1, 2, 3})", "the weights have 2 columns, the activations 3");
    expect_error("cut.quant.awq(cut.tensor{1, 2}, cut.tensor{1, 2}, { act_bits = 8 })", "awq rounds weights only");
    expect_error("cut.quant.error(cut.tensor{1, 2}, cut.tensor{1})", "the shapes 1x2 and 1x1 differ");
}

TEST(lua_quant_methods_can_be_stopped) {
    char error[500];
    double start = cut_clock();
    CHECK(run("local w = cut.model.open():tensor('token_embd.weight')\n"
              "cut.quant.awq(w, w, { alphas = 1000 })", error, sizeof error, 0.2) == CUT_ECANCEL || strstr(error, "stopped after"), "%s", error);
    CHECK(cut_clock() - start < 2, "%g s", cut_clock() - start);
}

TEST(lua_model_rebuild) {
    expect("local m = cut.model.open() local small = m:rebuild('q8_0', { tensors = { ['*'] = 'q4_0', ['blk.0.*'] = 'q6_K' } })\n"
           "for _, t in ipairs(small:tensors()) do if t.name:find('attn_q') then print(t.name, t.type) end end\n"
           "m:close() print(small:session{ ctx = 16 } ~= nil)",
           "blk.0.attn_q.weight\tq6_K\nblk.1.attn_q.weight\tq4_0\nblk.2.attn_q.weight\tq4_0\nblk.3.attn_q.weight\tq4_0\ntrue\n");
    expect_error("cut.model.open():rebuild('q9')", "there is no file type 'q9'");
    expect_error("cut.model.open():rebuild('q8_0', { tensors = { x = 'q9' } })", "there is no number format 'q9'");
    expect_error("cut.model.open():rebuild('q8_0', { tensors = { 'q4_0' } })", "a table of pattern = format is wanted");
    expect_error("cut.model.open():rebuild('q8_0', { purely = true })", "there is no option 'purely'");
    expect_error("cut.model.open():rebuild('iq2_xs')", "need an importance matrix");
}

TEST(lua_measure_kl) {
    expect("local a = cut.tensor{ 1, 2, 3 } local kl, same, each = cut.measure.kl(a, a) print(kl, same, #each)", "0.0\t1.0\t1\n");
    expect_error("cut.measure.kl(cut.tensor{ 1, 2 }, cut.tensor{ 1, 2, 3 })", "the shapes 1x2 and 1x3 differ");
}
