-- Lab 1.1: First run. What the machine offers, what a model is, and what a kernel tier changes.

-- Unseen prompts: three words drawn anew for every check.
local words = {
  "river", "stone", "seven", "lamp", "north", "bread", "window", "silver", "garden", "clock", "paper", "winter",
  "market", "small", "green", "letter",
}
local function draw_prompt()
  local picked = {}
  for i = 1, 3 do picked[i] = words[math.random(#words)] end
  return table.concat(picked, " ")
end

-- Greedy decoding by hand on the reference tier: what every tier must give. Also tells the closest call: the smallest
-- distance between the best two logits, in units of the logits' own size.
local function greedy(model, prompt, n)
  local vocab, session = model:vocab(), model:session{ tier = "ref", ctx = 128 }
  local ids, closest = {}, math.huge
  session:feed(vocab:encode(prompt))
  session:run()
  for i = 1, n do
    local logits = session:logits()
    local best = logits:top(2)
    closest = math.min(closest, (best[1].value - best[2].value) / logits:rms())
    if vocab:is_end(best[1].index - 1) then break end
    ids[i] = best[1].index - 1
    if i < n then
      session:feed(ids[i])
      session:run()
    end
  end
  session:close()
  return ids, closest
end

-- Tiers add the same numbers in another order, so a near tie may fall to either side. A fair prompt has none.
local function fair_prompt(model, n)
  local best_prompt, best_ids, best_distance = nil, nil, -1
  for _ = 1, 12 do
    local prompt = draw_prompt()
    local ids, distance = greedy(model, prompt, n)
    if distance > best_distance then best_prompt, best_ids, best_distance = prompt, ids, distance end
    if distance > 1e-3 then break end
  end
  return best_prompt, best_ids
end

local function compared_tiers()
  local info = cut.sys.info()
  if info.best == "ref" then return { "ref" } end
  return { "ref", info.best }
end

local function call(learner, name, ...)
  check.that(type(learner[name]) == "function", "lab.%s is missing: it must be a function", name)
  return learner[name](...)
end

local function check_system(learner)
  local info, got = cut.sys.info(), call(learner, "system")
  check.that(type(got) == "table", "lab.system must return a table with tiers, backends and cpus")
  check.list(got.tiers, info.tiers, "tiers")
  check.list(got.backends, info.backends, "backends")
  check.equal(got.cpus, info.cpus, "cpus")
end

local function check_describe(learner)
  for _, name in ipairs{ "pebble", "pebble-draft" } do
    local config, got = assert(cut.model.open(name)):config(), call(learner, "describe", name)
    check.that(type(got) == "table", "lab.describe must return a table with arch and n_params")
    check.equal(got.arch, config.arch, name .. ": arch")
    check.equal(got.n_params, config.n_params, name .. ": n_params")
  end
end

local function check_generate(learner, t)
  for _, name in ipairs{ "pebble", "pebble-draft" } do
    local prompt, want = fair_prompt(assert(cut.model.open(name)), 32)
    for _, tier in ipairs(compared_tiers()) do
      local what = ("%s on tier %s, prompt %q"):format(name, tier, prompt)
      local before = #t.timings()
      local got = call(learner, "generate", name, tier, prompt)
      check.that(type(got) == "table", "lab.generate must return what m:generate gives")
      check.list(got.ids, want, what .. ": greedy ids")
      local entry = t.timings()[#t.timings()]
      check.that(#t.timings() > before, "%s: no generation ran", what)
      check.equal(entry.tier, tier, what .. ": the tier that ran")
    end
  end
end

local function check_table(learner, t)
  local tiers = compared_tiers()
  local before = #t.timings()
  local rows = call(learner, "table")
  check.that(type(rows) == "table", "lab.table must return a list of rows")
  check.equal(#rows, 2 * #tiers, "rows (two models, each at the tiers " .. table.concat(tiers, " and ") .. ")")
  local seen = {}
  for i, row in ipairs(rows) do
    local what = ("row %d"):format(i)
    check.that(row.model == "pebble" or row.model == "pebble-draft", "%s: model must be pebble or pebble-draft", what)
    local config = assert(cut.model.open(row.model)):config()
    check.equal(row.arch, config.arch, what .. ": arch")
    check.equal(row.n_params, config.n_params, what .. ": n_params")
    local key, found = row.model .. "/" .. tostring(row.tier), false
    check.that(not seen[key], "%s: %s was there before", what, key)
    seen[key] = true
    check.that(type(row.tokens_per_s) == "number", "%s: tokens_per_s must be a number", what)
    for k = before + 1, #t.timings() do
      local entry = t.timings()[k]
      found = found or entry.file == config.file and entry.tier == row.tier and entry.tokens_per_s == row.tokens_per_s
    end
    check.that(found, "%s: the log has no generation by %s on tier %s at %.6g tokens/s", what, row.model,
               tostring(row.tier), row.tokens_per_s)
  end
end

local function check_answer(learner)
  local answers = { text = true, speed = true, both = true, neither = true }
  check.that(answers[learner.changed], 'lab.changed must be "text", "speed", "both" or "neither"')
  check.that(learner.changed == "speed",
             'lab.changed is "%s". Compare the ids and tokens_per_s of the two rows of one model once more', learner.changed)
end

return {
  id = "1.1",
  title = "First run",
  module = 1,
  minutes = 30,
  view = "step",
  max_seconds = 60,

  steps = {
    {
      kind = "predict",
      title = "Before anything runs",
      text = [[
An inference engine turns a model file and a text into the next token, over
and over. This lab runs ours for the first time: you will ask the machine
what it can do, open two models, generate text with each, and repeat that
with other kernels.

A kernel is the innermost loop: the code that multiplies a matrix by a
vector. The engine has several versions of each. The tier "ref" is plain C,
written to be read. The tiers avx2, avx512 and neon use the wide registers
of particular processors and handle 4 to 16 floats in one instruction.]],
      task = [[
Decide before you measure, and write your answer down:
The same model, the same prompt, greedy decoding. You change the tier from
ref to the best one. What will change: the text, the speed, both, neither?]],
    },
    {
      kind = "run",
      title = "What can this machine do?",
      text = [[
cut.sys.info() tells what the engine found: `tiers`, the kernel tiers that
this processor can run, slowest first; `best`, the one it takes unless told
otherwise; `backends`, the devices that can hold a model; `cpus`, the
processors that it may use.]],
      task = [[
Your script is the one beside this page; e opens it in your editor, and
saving it runs the checks. (Without the screen: cutaway lab 1.1 --start.)
Complete lab.system() so that it returns tiers, backends and cpus.]],
    },
    {
      kind = "run",
      title = "Two models",
      text = [[
cut.model.open(name) opens a model that comes with the program: "pebble",
or the smaller "pebble-draft". Opening maps the file into memory and checks
it; nothing is computed yet. m:config() returns the hyper-parameters:
`arch`, the family the graph is built from, `n_params`, the number of
weights, and the sizes of everything.

The number of parameters is not the size of the file. The file holds each
weight in some format, and a format may spend 32, 16, 8 or about 4 bits.]],
      task = [[
Complete lab.describe(name): return arch and n_params of that model.]],
    },
    {
      kind = "observe",
      title = "Thirty-two greedy tokens",
      text = [[
A model gives one number, a logit, to every token of its vocabulary. Greedy
decoding takes the token with the largest logit, every time. There is no
chance in it: temperature 0 means the same ids on every run.

m:generate{...} does the whole loop: it reads the prompt (prefill), then
makes one token a pass (decode). It returns `ids`, `text` and
`tokens_per_s`, the speed of the decoding passes.

The models that come with the program know one small world of people,
things and places, and prompts from elsewhere make them ramble. The work
is the same: no operation knows what the numbers mean.]],
      task = [[
Complete lab.generate(name, tier, prompt): 32 tokens, greedy, on that
tier. Return the table that m:generate gives you. The checker calls it with
prompts you have not seen and compares the ids with its own.]],
    },
    {
      kind = "observe",
      title = "A table of speeds",
      text = [[
One measurement says little. Two models at two tiers give four, and now
columns can be compared: the same model at another tier, the same tier with
another model.

The program keeps a log of every generation. The checker looks your speeds
up in it, so hand them on exactly as m:generate returned them.]],
      task = [[
Complete lab.table(): one row for each of the two models at the tiers
"ref" and cut.sys.info().best. A row has the fields model, tier, arch,
n_params and tokens_per_s. plot.table(rows, {"model", "tier",
"tokens_per_s"}) prints it. (Where ref is the only tier, two rows do.)]],
    },
    {
      kind = "explain",
      title = "What did the tier change?",
      text = [[
Compare the two rows of one model, and the ids behind them. Then look at
what you predicted.

All tiers multiply the same numbers and add up the same products. Only the
order in which floating-point sums are formed differs, so a logit can
differ in its last digits. The largest logit stays the largest unless two
are nearly tied. So greedy ids are the same, at a fraction of the time.]],
      task = [[
Set lab.changed to "text", "speed", "both" or "neither", and save. All
five checks should pass; r runs them again on prompts drawn anew.]],
    },
  },

  hints = {
    "Everything lab.system must return is already in what cut.sys.info()\n"
      .. "returns. Print it: for k, v in pairs(cut.sys.info()) do print(k, v) end",
    "Two runs can be compared only when chance is out of the game: look for\n"
      .. "the option of m:generate that takes the largest logit every time, and\n"
      .. "pass the tier on to it.",
    "A row of the table needs two sources: m:config() for what the model is,\n"
      .. "m:generate{...} for how fast it went. Round nothing. If the ids of the\n"
      .. "two tiers are equal, the tier did not change the text.",
  },

  check = function(learner, t)
    math.randomseed()
    check("system: what this machine offers", function() check_system(learner) end)
    check("describe: architecture and parameters", function() check_describe(learner) end)
    check("generate: 32 greedy ids, on every tier", function() check_generate(learner, t) end)
    check("table: speeds that were measured", function() check_table(learner, t) end)
    check("answer: what the tier changed", function() check_answer(learner) end)
  end,
}
