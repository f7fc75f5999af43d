-- model.lua - conveniences that only compose what the C bindings supply.
local host = ...
local Model, Vocab = host.methods("cut.Model"), host.methods("cut.Vocab")
local timings = {}      -- one entry a generation, for the lab checker; scripts cannot reach it

local function only(options, names, what)
  for key in pairs(options) do
    if not names[key] then error(what .. ": there is no option '" .. tostring(key) .. "'", 3) end
  end
end

--- Token ids of a text, as Vocab:encode gives them.
-- @function Model:tokenize
-- @tparam string text
-- @tparam[opt] table options bos, special
-- @treturn {int,...}
-- @usage
-- local m = cut.model.open()
-- assert(#m:tokenize("Once upon a time") > 0)
function Model:tokenize(text, options)
  return self:vocab():encode(text, options)
end

--- The text of some tokens.
-- @function Model:detokenize
-- @tparam {int,...} ids
-- @treturn string
-- @usage
-- local m = cut.model.open()
-- assert(m:detokenize(m:tokenize("Once")):find("Once", 1, true))
function Model:detokenize(ids)
  return self:vocab():decode(ids)
end

local generate_options = {
  prompt = true, ids = true, n = true, temp = true, top_k = true, top_p = true, min_p = true, repeat_penalty = true,
  seed = true, tier = true, threads = true, ctx = true, on_token = true, ignore_end = true,
}

--- Generate text. Greedy unless a temperature is given.
-- @function Model:generate
-- @tparam table options prompt, a text, or ids, a list; n, most tokens to generate (32); temp (0), top_k, top_p, min_p,
-- repeat_penalty, seed; tier, threads, ctx; ignore_end, go on past the end token (false); on_token, a function called
-- with each token's id and text, that ends the generation by returning false
-- @treturn table ids (of the generated tokens), text, prompt_ids, tier, prefill_s, decode_s, tokens_per_s (of the
-- decoding passes); or nil and a message
-- @usage
-- local r = cut.model.open():generate{ prompt = "Once upon a time", n = 8, temp = 0 }
-- assert(#r.ids <= 8)
-- print(r.text, r.tokens_per_s)
function Model:generate(o)
  if type(o) ~= "table" then error("generate takes a table: m:generate{prompt = \"...\"}", 2) end
  only(o, generate_options, "generate")
  local n = o.n or 32
  if math.type(n) ~= "integer" or n < 1 then error("generate: n must be a whole number of 1 or more", 2) end
  local vocab = self:vocab()
  local history = {}
  for i, id in ipairs(o.ids or vocab:encode(o.prompt or "")) do history[i] = id end
  if #history == 0 then error("generate: there is nothing to start from", 2) end
  local n_prompt = #history
  local sampler = cut.sampler{
    temp = o.temp or 0, top_k = o.top_k, top_p = o.top_p, min_p = o.min_p, repeat_penalty = o.repeat_penalty,
    seed = o.seed,
  }
  local session, why = self:session{ tier = o.tier, threads = o.threads, ctx = o.ctx }
  if not session then return nil, why end
  local r = { ids = {}, prompt_ids = { table.unpack(history) }, tier = session:options().tier }

  local ok
  local start = cut.sys.clock()
  ok, why = session:feed(history)
  if ok then ok, why = session:run() end
  local first = cut.sys.clock()
  local last = first
  while ok do
    local id = sampler:next(session:logits(), history)
    if vocab:is_end(id) and not o.ignore_end then break end
    r.ids[#r.ids + 1] = id
    history[#history + 1] = id
    if o.on_token and o.on_token(id, vocab:decode{ id }) == false then break end
    if #r.ids == n then break end
    ok, why = session:feed(id)
    if ok then ok, why = session:run() end
    last = cut.sys.clock()
  end
  session:close()
  if not ok and #r.ids == 0 then return nil, why end
  r.stopped = not ok and why or nil
  r.text = vocab:decode(r.ids)
  r.prefill_s, r.decode_s = first - start, last - first
  r.tokens_per_s = #r.ids > 1 and last > first and (#r.ids - 1) / (last - first) or 0
  local config = self:config()
  timings[#timings + 1] = {
    file = config.file, tier = r.tier, n_prompt = n_prompt, n = #r.ids, tokens_per_s = r.tokens_per_s,
  }
  return r
end

local run_options = { prompt = true, ids = true, cache = true, tier = true, threads = true, plain = true, ctx = true }

--- Run a prompt once and keep the values of some steps.
-- @function Model:run
-- @tparam table options prompt or ids; cache, a pattern of step names or a list of patterns; tier, threads, ctx, plain
-- @treturn table r, where r["blk.0.attn_out"] is the kept value, r:logits(row) the logits (default: after the last
-- token) and r.tokens the ids; or nil and a message
-- @usage
-- local r = cut.model.open():run{ prompt = "The capital of France is", cache = "blk.*.attn_out" }
-- assert(r["blk.0.attn_out"]:shape()[1] == #r.tokens)
-- print(r:logits():top(5)[1].index)
function Model:run(o)
  if type(o) ~= "table" then error("run takes a table: m:run{prompt = \"...\"}", 2) end
  only(o, run_options, "run")
  local patterns = type(o.cache) == "table" and o.cache or { o.cache }
  local session, why = self:session{ tier = o.tier, threads = o.threads, ctx = o.ctx, plain = o.plain }
  if not session then return nil, why end
  local r = {}
  for _, p in ipairs(patterns) do
    session:probe(p, function(t, name) r[name] = t:copy() end)
  end
  local ids = o.ids or self:vocab():encode(o.prompt or "")
  local ok
  ok, why = session:feed(ids, { all = true })
  if ok then ok, why = session:run() end
  if not ok then
    session:close()
    return nil, why
  end
  r.tokens = session:tokens()
  return setmetatable(r, { __index = { logits = function(_, row) return session:logits(row) end } })
end

return { timings = timings }
