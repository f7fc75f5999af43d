/* host.c - tests of the sandbox: nothing gets out, and everything comes to an end. */
#include <pthread.h>
#include <time.h>

#include "lua/host.h"
#include "tests/lua/models.h"
#include "tests/test.h"

static char said[4096];

static void gather(void *user, const char *text, size_t len) {
    (void)user;
    size_t have = strlen(said);
    if (have + len < sizeof said) memcpy(said + have, text, len), said[have + len] = 0;
}

struct outcome { enum cut_status status; enum cut_lua_stop stop; char error[512], trace[1024]; double seconds; };    /* of processor time: the machine may be busy */

static struct outcome run_with(struct cut_lua_opts opts, const char *script) {
    struct outcome o = { 0 };
    struct cut_lua *h;
    struct cut_err err;
    said[0] = 0;
    opts.print = gather;
    o.status = cut_lua_new(&h, &opts, &err);
    if (o.status) {
        snprintf(o.error, sizeof o.error, "%s", err.msg);
        return o;
    }
    clock_t start = clock();
    o.status = cut_lua_run(h, "t.lua", script, strlen(script), NULL, 0, &err);
    o.seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    o.stop = cut_lua_stopped(h);
    snprintf(o.error, sizeof o.error, "%s", cut_lua_error(h));
    snprintf(o.trace, sizeof o.trace, "%s", cut_lua_traceback(h));
    cut_lua_free(h);
    return o;
}

static struct outcome run(const char *script) {
    return run_with((struct cut_lua_opts){ .max_instructions = 20000000 }, script);
}

/* A script that must succeed, and what it must print. */
static void expect(const char *script, const char *output) {
    struct outcome o = run(script);
    CHECK(o.status == CUT_OK, "%s\n%s\n%s", script, o.error, o.trace);
    CHECK(!strcmp(said, output), "%s\nsaid: %s", script, said);
}

/* A script that must fail with a message that contains this. */
static void expect_error(const char *script, const char *message) {
    struct outcome o = run(script);
    CHECK(o.status == CUT_EUSAGE, "%s: status %d", script, o.status);
    CHECK(strstr(o.error, message), "%s\nerror: %s", script, o.error);
}

TEST(lua_runs_and_prints) {
    expect("print(1 + 1, 'a')", "2\ta\n");
    expect("print(arg[0], #arg)", "t.lua\t0\n");
    expect("local f = load('return 6 * 7'); print(f())", "42\n");
    expect("print(pcall(error, 'x'))", "false\tx\n");
    expect("print(_G.math == math, _VERSION, cutaway == cut)", "true\tLua 5.4\ttrue\n");
}

TEST(lua_errors_name_the_line_and_trace) {
    struct outcome o = run("local function f()\n  local x = nil + 1\nend\nf()\n");
    CHECK(o.status == CUT_EUSAGE);
    CHECK(!strncmp(o.error, "t.lua:2: attempt to perform arithmetic on a nil value", 53), "%s", o.error);
    CHECK(strstr(o.trace, "t.lua:4:"), "%s", o.trace);
    expect_error("return (", "t.lua:1:");
    expect_error("print(undefinedname)", "t.lua:1: undefined global 'undefinedname'");
    expect_error("error({})", "(error object is a table value)");
    expect_error("error(setmetatable({}, {__tostring = function() return 'mine' end}))", "mine");
}

TEST(lua_globals_are_an_allow_list) {
    static const char *const forbidden[] = {
        "os", "io", "debug", "package", "require", "dofile", "loadfile", "module", "warn", "string.dump", "jit", "ffi",
    };
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        char script[200];
        snprintf(script, sizeof script, "local ok, v = pcall(function() return %s end) assert(not ok or v == nil, '%s')",
                 forbidden[i], forbidden[i]);
        struct outcome o = run(script);
        CHECK(o.status == CUT_OK, "%s: %s", forbidden[i], o.error);
    }
    /* every global there is, by name; a new one must be put here on purpose */
    expect("local n = {} for k in pairs(_G) do n[#n + 1] = k end table.sort(n) print(table.concat(n, ' '))",
           "_G _VERSION arg assert check collectgarbage coroutine cut cutaway error getmetatable ipairs load math next pairs "
           "pcall plot print rawequal rawget rawlen rawset select setmetatable string table tonumber tostring type utf8 "
           "xpcall\n");
}

TEST(lua_escapes_are_closed) {
    expect_error("load('\\27Lua')()", "attempt to call a nil value");
    expect("print(load('\\27LuaT'))", "nil\tattempt to load a binary chunk (mode is 't')\n");
    expect_error("load(function() return 'x' end)", "string expected");
    expect("print(getmetatable(''))", "string\n");
    expect_error("getmetatable('').__index = 1", "attempt to index a");
    expect_error("string.format = nil; setmetatable('', {})", "table expected");
    expect("string.upper = nil; print(('x'):upper())", "X\n");                       /* the methods are another table */
    expect_error("setmetatable({}, { __gc = function() end })", "__gc is not available");
    expect_error("setmetatable({}, { __gc = true })", "__gc is not available");
    expect("print(getmetatable(cut.tensor{1}), getmetatable(_G), getmetatable(check))", "cut.Tensor\tglobals\tcheck\n");
    expect_error("setmetatable(_G, nil)", "protected metatable");
    expect("local _ENV = { print = print }; print(math)", "nil\n");                  /* their own affair */
    expect("local f = load('return os', 'x', 't', {}); print(f())", "nil\n");
    expect_error("collectgarbage('stop')", "invalid option 'stop'");
    expect_error("collectgarbage('setpause', 100000)", "invalid option");
    expect("assert(collectgarbage('count') > 1); print(collectgarbage())", "0\n");
    expect("print(coroutine.wrap(function() return pcall(function() return os end) end)())",
           "false\tt.lua:1: undefined global 'os'\n");
    expect("print(cut.model.open('/etc/passwd'))",
           "nil\t/etc/passwd: no such file that this script may open (the bundled models by name, files in its own folder, "
           "and files named on the command line)\n");
}

TEST(lua_scripts_have_globals_of_their_own) {
    struct cut_lua *h;
    struct cut_err err;
    said[0] = 0;
    REQUIRE(!cut_lua_new(&h, &(struct cut_lua_opts){ .print = gather }, &err));
    const char *first = "string.rep = nil; cut.model.open = 7; cut.tensor = nil; x = 1; math.floor = nil";
    const char *second = "print(('a'):rep(2), string.rep('a', 2), type(cut.model.open), rawget(_G, 'x'), math.floor(1.5))";
    CHECK(!cut_lua_run(h, "a.lua", first, strlen(first), NULL, 0, &err), "%s", err.msg);
    CHECK(!cut_lua_run(h, "b.lua", second, strlen(second), NULL, 0, &err), "%s", err.msg);
    CHECK(!strcmp(said, "aa\taa\tfunction\tnil\t1\n"), "%s", said);
    cut_lua_free(h);
}

/* ---- endless scripts */

static void expect_stopped(const char *script, const char *place) {
    struct outcome o = run(script);
    CHECK(o.status == CUT_ECANCEL && o.stop == CUT_LUA_STOP_INSTRUCTIONS, "%s\nstatus %d %s", script, o.status, o.error);
    CHECK(!strncmp(o.error, place, strlen(place)), "%s\n%s", script, o.error);
    CHECK(strstr(o.error, "stopped after 20000000 instructions"), "%s", o.error);
    CHECK(o.seconds < 20, "%s took %g s", script, o.seconds);
}

TEST(lua_endless_loops_stop) {
    expect_stopped("local x = 1\nwhile true do\n  x = x + 1\nend", "t.lua:");
    expect_stopped("while true do pcall(function() while true do end end) end", "t.lua:1: ");
    expect_stopped("while true do pcall(error) end", "t.lua:1: ");
    expect_stopped("local function f() pcall(f) f() end f()", "t.lua:1: ");
    expect_stopped("xpcall(function() while true do end end, function() while true do end end)", "t.lua:1: ");
    expect_stopped("repeat until false", "t.lua:1: ");
    expect_stopped("::a:: goto a", "t.lua:1: ");
    expect_stopped("coroutine.wrap(function() while true do end end)()", "t.lua:1: ");
    expect_stopped("while true do pcall(coroutine.wrap(function() while true do pcall(function() while true do end end) end "
                   "end)) end", "t.lua:1: ");
    expect_stopped("while true do coroutine.wrap(function() for i = 1, 900 do end end)() end", "t.lua:1: ");
    expect_stopped("local function f() while true do pcall(coroutine.wrap(f)) end end f()", "t.lua:1: ");
    expect_stopped("local c = coroutine.wrap(function() while true do pcall(coroutine.yield) end end) while true do c() end",
                   "t.lua:1: ");
    expect_stopped("local t = setmetatable({}, { __index = function() while true do end end }) local x = t.a", "t.lua:1: ");
    expect_stopped("local t = setmetatable({}, { __close = function() while true do end end }) do local x <close> = t end",
                   "t.lua:1: ");
    expect_stopped("local t = setmetatable({}, { __tostring = function() while true do end end }) print(t)", "t.lua:1: ");
    expect_stopped("local t = setmetatable({}, { __tostring = function() while true do end end }) error(t)", "t.lua:1: ");
    expect_stopped("('x'):gsub('x', function() while true do end end)", "t.lua:1: ");
    expect_stopped("table.sort({ 3, 2, 1 }, function() while true do end end)", "t.lua:1: ");
    expect_stopped("for s in function() return 1 end do end", "t.lua:1: ");
    expect_stopped("load('while true do end')()", "while true do end:1: ");
}

/* Where hooks do not reach: while an error from a hook is under way, and when a stopped coroutine is closed. */
TEST(lua_stops_reach_handlers_and_closers) {
    expect_stopped("local t = setmetatable({}, { __close = function() while true do end end })\n"
                   "coroutine.wrap(function() local x <close> = t while true do end end)()", "t.lua:2: ");
    expect_stopped("local t = setmetatable({}, { __close = function() while true do end end })\n"
                   "coroutine.wrap(function() local x <close> = t error('x') end)()", "t.lua:1: ");
    expect_stopped("local t = setmetatable({}, { __close = function() while true do end end })\n"
                   "pcall(function() local x <close> = t while true do end end)", "t.lua:2: ");
    expect_stopped("local co = coroutine.create(function() xpcall(function() while true do end end, function() while true do "
                   "end end) end) while true do coroutine.resume(co) end", "t.lua:1: ");
    expect("print(coroutine.close)", "nil\n");
}

TEST(lua_protected_calls_and_coroutines) {
    expect("print(pcall(function(...) return ... end, 1, 2), pcall(function() end))", "true\ttrue\n");
    expect("print(pcall(function(...) return ... end, 1, nil, 3))", "true\t1\tnil\t3\n");
    expect("print(select('#', pcall(error)))", "2\n");
    expect("print(xpcall(function(a, b) return a + b end, print, 1, 2))", "true\t3\n");
    expect("print(xpcall(error, function(m) return m .. '!' end, 'x'))", "false\tx!\n");
    expect("print(pcall(pcall))", "false\tbad argument #1 to '?' (value expected)\n");
    expect("local f = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) print(f(1), f(5))",
           "2\t10\n");
    expect("local f = coroutine.wrap(function() print(pcall(function() coroutine.yield(1) error('e', 0) end)) return 2 end) "
           "print(f()) print(f())", "1\nfalse\te\n2\n");
    expect("local co = coroutine.create(function(...) print(...) coroutine.yield(1, 2) error('x', 0) end) "
           "print(coroutine.resume(co, 7, 8)) print(coroutine.resume(co)) print(coroutine.resume(co)) print(coroutine.status(co))",
           "7\t8\ntrue\t1\t2\nfalse\tx\nfalse\tcannot resume dead coroutine\ndead\n");
    expect_error("coroutine.wrap(function() error('inside', 0) end)()", "t.lua:1: inside");
    expect_error("coroutine.resume(1)", "coroutine expected");
    expect("local s = setmetatable({}, { __close = function() print('closed') end }) "
           "print(pcall(coroutine.wrap(function() local x <close> = s error('e', 0) end)))", "closed\nfalse\te\n");
}

TEST(lua_long_calls_stop) {
    expect_stopped("('a'):rep(30):find(('a*'):rep(20) .. 'b')", "t.lua:1: ");
    expect_stopped("while true do pcall(string.match, ('a'):rep(30), ('a-'):rep(20) .. 'b') end", "t.lua:1: ");
    expect_stopped("('a'):rep(100000):gsub('.-b', '')", "t.lua:1: ");
    expect_stopped("('('):rep(100000):find('%b()')", "t.lua:1: ");
    expect_stopped("for w in ('a'):rep(30):gmatch(('a?'):rep(30) .. ('a'):rep(30) .. 'b') do end", "t.lua:1: ");
    expect_stopped("while true do local s = ('x'):rep(30000000) end", "t.lua:1: ");
    struct outcome o = run("local a = ('a'):rep(8000000); print(a:find(a:sub(1, 4000000) .. 'b', 1, true))");
    CHECK(o.status == CUT_OK && o.seconds < 5 && !strcmp(said, "nil\n"), "%s %g s", o.error, o.seconds);
    expect_error("table.move({}, 1, math.maxinteger - 1, 2)", "the range is too long");
    expect_error("table.move({}, math.mininteger, math.maxinteger, 2)", "the range is too long");
    expect_error("table.insert(setmetatable({}, { __len = function() return 1 << 60 end }), 1, 1)", "__len");
    /* #t of a table with holes at the right places is 2^61 */
    const char *far = "local s = {} for i = 0, 61 do s[#s + 1] = ('[%d]=1'):format(1 << i) end\n"
                      "local t = load('return {' .. table.concat(s, ',') .. '}')()\n";
    char script[400];
    snprintf(script, sizeof script, "%sassert(#t > 1 << 60) table.insert(t, 1, 1)", far);
    expect_error(script, "t.lua:3: the table is too long");
    snprintf(script, sizeof script, "%stable.remove(t, 1)", far);
    expect_error(script, "t.lua:3: the table is too long");
    expect_error("table.concat(setmetatable({}, { __index = table.concat }), '', 1, 1 << 50)", "too long");
    expect_error("table.sort(setmetatable({}, { __len = function() return 1 << 30 end }), rawequal)", "__len");
}

TEST(lua_time_limit) {
    struct outcome o = run_with((struct cut_lua_opts){ .max_seconds = 0.2 }, "\nwhile true do pcall(function() end) end");
    CHECK(o.stop == CUT_LUA_STOP_TIME && o.seconds < 2, "%s %g s", o.error, o.seconds);
    CHECK(!strcmp(o.error, "t.lua:2: stopped after 0.2 s; is this a loop without end?"), "%s", o.error);
}

/* After a script was stopped the host still works. */
TEST(lua_host_goes_on_after_a_stop) {
    struct cut_lua *h;
    struct cut_err err;
    said[0] = 0;
    REQUIRE(!cut_lua_new(&h, &(struct cut_lua_opts){ .print = gather, .max_instructions = 1000000 }, &err));
    const char *bad = "while true do end", *good = "for i = 1, 10000 do end print(coroutine.wrap(function() return 'on' end)())";
    CHECK(cut_lua_run(h, "a.lua", bad, strlen(bad), NULL, 0, &err) == CUT_ECANCEL);
    CHECK(!cut_lua_run(h, "b.lua", good, strlen(good), NULL, 0, &err), "%s", err.msg);
    CHECK(cut_lua_stopped(h) == CUT_LUA_RUNS && !*cut_lua_error(h));
    CHECK(!strcmp(said, "on\n"), "%s", said);
    cut_lua_free(h);
}

/* ---- memory */

static void expect_no_memory(const char *script, const char *place) {
    struct outcome o = run_with((struct cut_lua_opts){ .max_memory = 8 << 20, .max_instructions = 100000000 }, script);
    CHECK(o.status == CUT_ENOMEM, "%s\nstatus %d %s", script, o.status, o.error);
    CHECK(!strncmp(o.error, place, strlen(place)) && strstr(o.error, "out of memory: the limit is 8.0 MB"), "%s", o.error);
}

TEST(lua_memory_is_bounded) {
    expect_no_memory("local t = {}\nwhile true do\n  t[#t + 1] = {}\nend", "t.lua:3: ");
    expect_no_memory("local s = 'x'\nwhile true do s = s .. s end", "t.lua:2: ");
    expect_no_memory("local s = ('x'):rep(1 << 30)", "t.lua:1: ");
    expect_no_memory("local s = ('x'):rep(1 << 20); local t = {s:gsub('x', s)}", "t.lua:1: ");
    expect_no_memory("local t = {} for i = 1, 1e6 do t[i] = coroutine.create(print) end", "t.lua:1: ");
    expect_no_memory("local t = {} for i = 1, 1e6 do t[i] = cut.tensor{ 1, 2, 3 } end", "t.lua:1: ");
    expect_no_memory("coroutine.wrap(function()\n local t = {} for i = 1, 1e7 do t[i] = i end end)()", "t.lua:");
    struct outcome o = run_with((struct cut_lua_opts){ .max_memory = 8 << 20 },
                                "print(pcall(string.rep, 'x', 1 << 30)) print('alive')");
    CHECK(o.status == CUT_OK && !strcmp(said, "false\tnot enough memory\nalive\n"), "%s", said);
    o = run_with((struct cut_lua_opts){ .max_memory = 256 << 20 }, "local function f() return 1 + f() end f()");
    CHECK(o.status == CUT_EUSAGE && strstr(o.error, "stack overflow"), "%d %s", o.status, o.error);
    struct cut_lua *h;
    struct cut_err err;
    CHECK(cut_lua_new(&h, &(struct cut_lua_opts){ .max_memory = 1000 }, &err) == CUT_ENOMEM);
    CHECK(cut_lua_new(&h, &(struct cut_lua_opts){ .max_memory = 30000 }, &err) == CUT_ENOMEM);
}

/* ---- cancel */

static double cancelled_at;

static void *cancel_soon(void *arg) {
    nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
    cancelled_at = cut_clock();
    cut_lua_cancel(arg);
    return NULL;
}

static void expect_cancelled(const char *script) {
    struct cut_lua *h;
    struct cut_err err;
    pthread_t thread;
    REQUIRE(!cut_lua_new(&h, &(struct cut_lua_opts){ .models = test_models() }, &err), "%s", err.msg);
    REQUIRE(!pthread_create(&thread, NULL, cancel_soon, h));
    enum cut_status status = cut_lua_run(h, "t.lua", script, strlen(script), NULL, 0, &err);
    double late = cut_clock() - cancelled_at;
    pthread_join(thread, NULL);
    CHECK(status == CUT_ECANCEL && cut_lua_stopped(h) == CUT_LUA_STOP_CANCEL, "%s: %s", script, cut_lua_error(h));
    CHECK(!strncmp(cut_lua_error(h), "t.lua:1: stopped: cancelled", 27), "%s", cut_lua_error(h));
    CHECK(late < 0.1, "%s took %g s to stop", script, late);
    const char *next = "for i = 1, 100000 do end";      /* the request is spent */
    CHECK(!cut_lua_run(h, "t.lua", next, strlen(next), NULL, 0, &err), "%s", err.msg);
    cut_lua_free(h);
}

TEST(lua_cancel_from_another_thread) {
    expect_cancelled("while true do end");
    expect_cancelled("while true do pcall(function() while true do end end) end");
    expect_cancelled("while true do pcall(coroutine.wrap(function() while true do end end)) end");
    expect_cancelled("while true do pcall(string.find, ('a'):rep(30), ('a*'):rep(20) .. 'b') end");
}

TEST(lua_cancel_reaches_a_session) {
    expect_cancelled("local s = cut.model.open():session() while true do pcall(function() s:truncate(0) s:feed(("
                     "'word '):rep(40)) s:run() end) end");
}

/* ---- our pattern matcher answers as the manual says */

TEST(lua_patterns) {
    expect("print(('hello world'):find('o w'), ('hello'):find('l+'), ('x'):find(''), (''):find('', 2))",
           "5\t3\t1\tnil\n");
    expect("print(('hello'):find('(l)(l)'))", "3\t4\tl\tl\n");
    expect("print(('key = value'):match('^(%w+)%s*=%s*(%w+)$'))", "key\tvalue\n");
    expect("print(('abc'):match('()b()'), ('abc'):match('.-'), ('abc'):match('^b'))", "2\t\tnil\n");
    expect("print(('2024-11-21'):match('(%d+)-(%d+)-(%d+)'))", "2024\t11\t21\n");
    expect("print(('f(a(b)c)d'):match('%b()'), ('THE (quick) fox'):find('%f[%a]%a+%f[%A]'))", "(a(b)c)\t1\t3\n");
    expect("print(('abab'):match('(ab)%1'), ('abba'):match('(a)(b)%2%1'))", "ab\ta\tb\n");
    expect("print(('a]b'):match('[]]'), ('a-b'):match('[a-]+'), ('a^b'):match('[b^]+'), ('x%y'):match('[%%]'))",
           "]\ta-\t^b\t%\n");
    expect("print(('ABC'):match('%u+'), ('a1_'):match('%w+'), ('a1_'):match('%W'), ('\\0a'):match('%z*a') )",
           "ABC\ta1\t_\ta\n");
    expect("print(('hello world'):gsub('o', '0'), ('abc'):gsub('', '-'), ('abc'):gsub('%w', '%0%0', 2))",
           "hell0 w0rld\t-a-b-c-\taabbc\t2\n");
    expect("print(('$name is $x'):gsub('%$(%w+)', { name = 'Lua' }))", "Lua is $x\t2\n");
    expect("print(('abc'):gsub('.', function(c) if c == 'b' then return 'B' end end))", "aBc\t3\n");
    expect("print(('hello'):gsub('^h', 'j'), ('  x '):gsub('^%s*(.-)%s*$', '%1'))", "jello\tx\t1\n");
    expect("print(('abc'):gsub('b*', 'x'))", "xaxcx\t3\n");
    expect("for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do print(k, v) end", "a\t1\nb\t2\n");
    expect("for w in ('one two'):gmatch('%a+', 2) do print(w) end", "ne\ntwo\n");
    expect("local n = 0 for w in ('abc'):gmatch('x*') do n = n + 1 end print(n)", "4\n");
    expect("print(('a.b'):find('.', 1, true), ('a+b'):find('+', 1, true), ('aXb'):find('%u'))", "2\t2\t2\t2\n");
    expect("print(('ab'):rep(5, '-'), ('x'):rep(1), ('x'):rep(0), ('x'):rep(-3), (''):rep(1e9))", "ab-ab-ab-ab-ab\tx\t\t\t\n");
    expect("print(('x'):rep(3, ','), ('abc'):find('b', -2), ('abc'):find('a', -2))", "x,x,x\t2\tnil\n");
    expect("print((''):gsub('$', 'x'), ('a$'):find('$$'), ('a$b'):match('a$b'))", "x\t2\ta$b\n");
    expect_error("('x'):find('[a')", "missing ']'");
    expect_error("('x'):find('(')", "unfinished capture");
    expect_error("('x'):match(')')", "invalid pattern capture");
    expect_error("('x'):find('%')", "ends with '%'");
    expect_error("('x'):find('%1')", "invalid capture index");
    expect_error("('x'):find('%f')", "missing '['");
    expect_error("('x'):find('%b')", "missing arguments to '%b'");
    expect_error("('x'):gsub('x', '%2')", "invalid capture index %2");
    expect_error("('x'):gsub('x', '%a')", "invalid use of '%'");
    expect_error("('x'):gsub('x', function() return {} end)", "invalid replacement value (a table)");
}
