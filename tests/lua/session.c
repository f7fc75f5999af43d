/* session.c - sessions, probes and tensors as a script sees them, misuse included. */
#include "lua/host.h"
#include "tests/lua/models.h"
#include "tests/test.h"

static char said[4096];

static void gather(void *user, const char *text, size_t len) {
    (void)user;
    size_t have = strlen(said);
    if (have + len < sizeof said) memcpy(said + have, text, len), said[have + len] = 0;
}

static enum cut_status run(const char *script, char error[512]) {
    struct cut_lua *h;
    struct cut_err err;
    char whole[4096];
    said[0] = 0;
    struct cut_lua_opts opts = { .print = gather, .models = test_models(), .max_engine_memory = 64 << 20 };
    if (cut_lua_new(&h, &opts, &err)) {
        snprintf(error, 512, "%s", err.msg);
        return err.code;
    }
    snprintf(whole, sizeof whole, "local m = assert(cut.model.open()) local s = m:session{ ctx = 64, keep = true } %s", script);
    enum cut_status status = cut_lua_run(h, "t.lua", whole, strlen(whole), NULL, 0, &err);
    snprintf(error, 512, "%s", cut_lua_error(h));
    cut_lua_free(h);
    return status;
}

static void expect(const char *script, const char *output) {
    char error[512];
    enum cut_status status = run(script, error);
    CHECK(status == CUT_OK, "%s\n%s", script, error);
    CHECK(!strcmp(said, output), "%s\nsaid: %s", script, said);
}

static void expect_error(const char *script, const char *message) {
    char error[512];
    CHECK(run(script, error) == CUT_EUSAGE, "%s", script);
    CHECK(strstr(error, message), "%s\nerror: %s", script, error);
}

TEST(lua_session_stepping) {
    expect("s:feed{ 1, 5 } print(s:step(2), s:where().step, s:where().pass, s:where().n_tokens) s:back() print(s:where().step)",
           "step\t2\t0\t2\n1\n");
    expect("s:feed{ 1, 5 } print(s:run()) local l = s:logits() s:seek(0, 3) print(s:where().step) s:run() "
           "print((s:logits() - l):rms())", "done\n3\n0.0\n");
    expect("s:feed{ 1, 5, 9 } s:run() print(s:counters().tokens) s:truncate(1) print(#s:tokens())", "3\n1\n");
    expect("s:break_at('blk.1.ffn_norm') s:feed{ 1, 5 } print(s:run(), s:where().name) s:unbreak(1) print(s:run())",
           "break\tblk.1.ffn_norm\ndone\n");
    expect("s:feed({ 1, 5, 9 }, { all = true }) s:run() local a = s:logits(2) s:reset() s:feed{ 1, 5 } s:run() "
           "print((a - s:logits()):rms() < 1e-4)", "true\n");
    expect("s:feed{ 1 } s:run() print(table.concat(s:value('embed'):shape(), ' '), table.concat(s:value('blk.0.q'):shape(), "
           "' '), table.concat(s:value('blk.0.q'):axes(), ' '))", "1 256\t1 8 32\ttoken head dim\n");
    expect("s:feed{ 1, 2 } s:run() local v = s:value('blk.0.q') print(s:explain('blk.0.q', { 2, 3, 4 }).value == v[2][3][4])",
           "true\n");
    expect("print(s:value('embed'))", "nil\tembed has not been computed yet\n");
    expect("s:feed(('x '):rep(500))", "");
    expect("local ok, why = s:feed(('x '):rep(500)) print(ok, #why > 10)", "nil\ttrue\n");
}

TEST(lua_probes) {
    expect("local n = 0 s:probe('blk.*.attn_out', function(t, name, layer) n = n + 1 assert(name == 'blk.' .. layer .. "
           "'.attn_out' and #t == 2) end) s:feed{ 1, 5 } s:run() print(n)", "4\n");
    expect("local names = {} s:probe('blocks.0.hook_mlp_out', function(t, name) names[#names + 1] = name end) s:feed{ 1 } "
           "s:run() print(table.concat(names, ' '))", "blk.0.ffn_out\n");
    expect_error("local kept s:probe('embed', function(t) kept = t end) s:feed{ 1 } s:run() print(kept) print(kept[1])",
                 "lent to a probe that has returned; t:copy() keeps one");
    CHECK(!strcmp(said, "tensor (its probe has returned)\n"), "%s", said);
    expect_error("local kept s:probe('embed', function(t) kept = t[1] end) s:feed{ 1 } s:run() print(kept[1])", "has returned");
    expect_error("local kept s:probe('embed', function(t) kept = t error('x') end) s:feed{ 1 } pcall(s.run, s) print(kept:sum())",
                 "has returned");
    expect("local kept s:probe('embed', function(t) kept = t:copy() end) s:feed{ 1 } s:run() "
           "print((kept - s:value('embed')):rms())", "0.0\n");
    expect_error("s:probe('embed', function(t) t[1] = 0 end) s:feed{ 1 } s:run()", "read-only; a probe that changes values");
    expect("s:feed{ 1, 5 } s:run() local before = s:logits() s:reset() s:probe('blk.0.attn_out', function(t) for i = 1, #t do "
           "t[i] = 0 end end, { edit = true }) s:feed{ 1, 5 } s:run() print((s:logits() - before):rms() > 0, "
           "s:value('blk.0.attn_out'):rms())", "true\t0.0\n");
    expect("s:probe('blk.0.z', function(t) t[1][3] = 0 end, { edit = true }) s:feed{ 1 } s:run() local z = s:value('blk.0.z') "
           "print(z[1][3]:rms(), z[1][2]:rms() > 0)", "0.0\ttrue\n");
    expect_error("s:probe('embed', function(t) error('mine') end) s:feed{ 1 } s:run()", "t.lua:1: mine");
    expect("s:probe('blk.1.q', function(t) return false end) s:feed{ 1 } print(s:run())",
           "nil\tcancelled by a probe at blk.1.q\n");
    expect_error("s:probe('embed', function(t) s:close() end) s:feed{ 1 } s:run()", "a probe may not change it");
    expect_error("s:probe('embed', function(t) s:run() end) s:feed{ 1 } s:run()", "a probe may not change it");
    expect_error("s:probe('embed', function(t) s:reset() end) s:feed{ 1 } s:run()", "a probe may not change it");
    expect_error("s:probe('nosuch', function() end)", "nosuch");
    expect_error("s:probe('embed', 7)", "function expected");
    expect_error("s:unprobe(99)", "there is no probe 99");
    /* from a coroutine, and two sessions inside each other */
    expect("local c = coroutine.wrap(function() s:probe('embed', function(t) print(t.name) end) s:feed{ 1 } s:run() end) c()",
           "embed\n");
    expect("local u = m:session{ ctx = 32 } s:probe('embed', function() u:feed{ 1 } u:run() end) s:feed{ 1 } s:run() "
           "print(u:counters().tokens)", "1\n");
    expect_error("s:probe('embed', function() coroutine.yield() end) s:feed{ 1 } coroutine.wrap(function() s:run() end)()",
                 "attempt to yield");
}

TEST(lua_probe_without_end_is_stopped) {
    struct cut_lua *h;
    struct cut_err err;
    const char *script = "local s = cut.model.open():session()\ns:probe('embed', function()\n  while true do pcall(function() "
                         "while true do end end) end\nend)\ns:feed{ 1 }\nwhile true do pcall(s.run, s) end";
    REQUIRE(!cut_lua_new(&h, &(struct cut_lua_opts){ .models = test_models(), .max_instructions = 5000000 }, &err));
    CHECK(cut_lua_run(h, "t.lua", script, strlen(script), NULL, 0, &err) == CUT_ECANCEL);
    CHECK(!strncmp(cut_lua_error(h), "t.lua:3: stopped after 5000000", 30), "%s", cut_lua_error(h));
    cut_lua_free(h);
}

TEST(lua_models_and_sessions_end) {
    expect("m:close() s:feed{ 1 } print(s:run()) s:close() s:close() m:close() print(m, s)",
           "done\nmodel (closed)\tsession (closed)\n");
    expect_error("m:close() m:config()", "the model is closed");
    expect_error("s:close() s:run()", "the session is closed");
    expect_error("s.run(m)", "cut.Session expected");
    expect("for i = 1, 300 do m:session{ ctx = 16 } end print('collected')", "collected\n");
    expect("local t = {} for i = 1, 100 do local x, why = m:session{ ctx = 16 } if not x then print(why:match('no room')) break "
           "end t[i] = x end", "no room\n");
    expect("print(m:session{ ctx = 1000000 })", said);      /* refused with a message, not allocated */
    CHECK(strstr(said, "no room for another session"), "%s", said);
    /* 25 MB each, 8 of them cache: the third passes the first look at the 64 MB there are, and not the second */
    expect("local t = {} for i = 1, 2 do t[i] = assert(m:session{ ctx = 4096, batch = 4096, keep = true }) end "
           "local x, why = m:session{ ctx = 4096, batch = 4096, keep = true } print(x, why:match('^no room for this session'))",
           "nil\tno room for this session\n");
    expect("for i = 1, 50 do cut.model.open('pebble-draft') end print('collected')", "collected\n");
    expect("do local x <close> = m:session() end print('closed')", "closed\n");
}

TEST(lua_misuse_is_named) {
    expect_error("m:session{ ctx = 0 }", "ctx: 0 is not between 1 and 1048576");
    expect_error("m:session{ ctx = 'many' }", "ctx: an integer is wanted, not many");
    expect_error("m:session{ tier = 'sse9' }", "sse9");
    expect_error("m:session{ kv = 'q4' }", "kv: \"q4\" is neither f16 nor f32");
    expect_error("m:session{ context = 5 }", "there is no option 'context'");
    expect_error("m:session(5)", "table expected");
    expect_error("s:feed{ 1, 'x' }", "entry 2 of the list is not a token id: x");
    expect_error("s:feed{ 1, -1 }", "entry 2 of the list is not a token id: -1");
    expect_error("s:feed{ 1, 99999 }", "99999");
    expect_error("s:feed({ 1 }, { seq = 3 })", "seq: 3 is not between 0 and 0");
    expect_error("s:step(0)", "0 is not a number of steps");
    expect_error("m:session():step()", "keep=true");
    expect_error("s:value('blk.99.q')", "there is no step \"blk.99.q\"");
    expect_error("s:attention(9, 1, 0)", "layer 9 is not between 0 and 3");
    expect_error("s:edit{ step = 'blk.0.z' }", "give one of set and scale");
    expect_error("s:edit{ step = 'nope', set = 0 }", "there is no step \"nope\"");
    expect_error("s:unbreak(1)", "there is no breakpoint 1");
    expect_error("cut.sampler{ temp = -1 }", "temp");
    expect_error("cut.sampler{ top_p = 7 }", "top_p");
    expect_error("m:generate{ prompt = 'x', temperature = 0 }", "there is no option 'temperature'");
    expect_error("m:tensor('token_embd.weight', 0)", "rows 0 to 0 are not within 1 to 1024");
    expect("print(m:tensor('nope'))", "nil\tthere is no tensor \"nope\"\n");
    expect_error("cut.tensor{ 1, 'x' }", "value 2 is a string");
    expect_error("cut.tensor{ { 1, 2 }, { 3 } }", "row 2 is not a list of 2 numbers");
    expect_error("local x = cut.tensor{ 1, 2 } + cut.tensor{ 1, 2, 3 }", "the shapes 2 and 3 differ");
    expect_error("local x = cut.tensor{ 1 }[2]", "index 2 is not between 1 and 1");
    expect_error("local x = cut.tensor{ 1 }:summ()", "no method or field 'summ'");
    expect_error("cut.tensor{}:max()", "the tensor is empty");
}

TEST(lua_tensor_arithmetic) {
    expect("local t = cut.tensor{ { 1, 2 }, { 3, 4 } } print(t * 2 + 1, 1 / t[1], -t[2], t - t)",
           "tensor 2x2 { 3, 5, 7, 9 }\ttensor 2 { 1, 0.5 }\ttensor 2 { -3, -4 }\ttensor 2x2 { 0, 0, 0, 0 }\n");
    expect("local t = cut.tensor{ { 1, 2 }, { 3, 4 } } t[1] = 9 t[2][1] = 7 t[2] = t[2] * 2 print(t, t:sum(), t:argmax())",
           "tensor 2x2 { 9, 9, 14, 8 }\t40.0\t3\n");
    expect("local v do local t = cut.tensor{ { 1, 2 }, { 3, 4 } } v = t[2] end collectgarbage() print(v[1], v[2])",
           "3.0\t4.0\n");
    expect("local r = m:tensor('token_embd.weight', 2) local all = m:tensor('token_embd.weight', 1, 3) "
           "print((r - all[2]):rms(), #all, #r)", "0.0\t3\t256\n");
    expect("local ids = {} for _, c in ipairs(cut.tensor{ 3, 9, 9, 1 }:top(3)) do ids[#ids + 1] = c.index end "
           "print(table.concat(ids, ' '))", "2 3 1\n");
}
