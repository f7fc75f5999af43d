-- abilities.lua - what a model of the little world can do, measured on documents it has never seen.
--
--   cat world.lua abilities.lua | cutaway lua --limit-instructions 100000000000 - [MODEL.gguf [DRAFT.gguf [N [SEED]]]]
--
-- It stands behind world.lua in one chunk, because scripts cannot reach other files, and uses its `world`: the same
-- generator that wrote the training text makes the questions, from another seed, and knows the answers. All is greedy but one line. N is the
-- number of items of each kind (default 100; a tenth of that is a quick look). Prints one line per ability, and a Lua table.
local SEED = math.tointeger(tonumber(arg and arg[4] or 2000003))       -- the card's; training texts have seeds 1 to 7, tries during training 1000003
local N = math.tointeger(tonumber(arg and arg[3] or 100))
local model = assert(cut.model.open(arg and arg[1]))
local vocab = model:vocab()
local greedy = cut.sampler { temp = 0 }
local session = assert(model:session { ctx = 512 })
local result = {}

local function report(name, good, of, note)
  result[#result + 1] = { name = name, good = good, of = of }
  print(("%-28s %6.1f %%   %d of %d%s"):format(name, 100 * good / of, good, of, note and "   " .. note or ""))
end

local function encode(text) return vocab:encode(text, { special = true }) end

-- Greedy continuation of token ids: at most n tokens, up to an end token or (if given) until done(text) says so.
local function continue_ids(ids, n, done, sampler)
  session:reset()
  assert(session:feed(ids))
  local out, text = {}, ""
  for i = 1, n do
    if not session:run() then break end
    local id = (sampler or greedy):next(session:logits())
    if vocab:is_end(id) then break end
    out[i] = id
    text = vocab:decode(out)
    if done and done(text) then break end
    if i < n and not session:feed(id) then break end
  end
  return text, out
end

local function line_done(text) return text:find("\n", 1, true) ~= nil end
local function first_line(text) return (text:match("^[^\n]*"):gsub("^%s+", ""):gsub("%s+$", "")) end

-- The tokens of a text up to the last one that ends at or before byte `at`: a prompt that ends where pieces end.
local function prefix(text, at)
  local ids, out = encode(text), {}
  for i, id in ipairs(ids) do
    local new = { table.unpack(out) }
    new[i] = id
    if #(vocab:decode(new):gsub("^ ", "")) > at then break end
    out = new
  end
  return out, (vocab:decode(out):gsub("^ ", ""))
end

---------------------------------------------------------------------------------------------------------------------
-- Stories: an opening, 100 tokens more, read by the checker

for mode, name in ipairs { "stories that keep track", "  from the first sentence", "  sampled at 0.8" } do
  local good, shown, sentences = 0, 0, 0
  for i = 1, N do
    local r = world.chance(SEED, i)
    local s = world.tell_tale(r, 9, 0.8, true)
    local start = table.concat(s.out, " ", 1, mode == 2 and 1 or s.opening)       -- the opening tells who has what
    local text = start .. continue_ids(encode(start), 100, nil, mode == 3 and cut.sampler { temp = 0.8, seed = i } or nil)
    local ok, why, n = world.check_story(text)
    good, sentences = good + (ok and 1 or 0), sentences + (n or 0)
    if not ok and shown < 3 then
      shown = shown + 1
      print("    " .. why)
    end
  end
  report(name, good, N, ("%.1f sentences each"):format(sentences / N))
end

---------------------------------------------------------------------------------------------------------------------
-- Questions about a passage

do
  local good, of, kinds, answers, most = 0, 0, {}, {}, 0
  for i = 1, 2 * N do
    local r = world.chance(SEED + 1, i)
    local plots = 1 + i % 2
    local s = world.passage(r, plots)
    local q = world.ask(r, s, 1)[1]
    if q then
      local text = first_line(continue_ids(encode(table.concat(s.out, " ") .. "\nQuestion: " .. q[1] .. "\nAnswer:"), 16, line_done))
      for _, key in ipairs { q[3], plots } do
        local k = kinds[key] or { 0, 0 }
        kinds[key] = { k[1] + (text == q[2] and 1 or 0), k[2] + 1 }
      end
      good, of = good + (text == q[2] and 1 or 0), of + 1
      answers[q[2]] = (answers[q[2]] or 0) + 1
      most = math.max(most, answers[q[2]])
    end
  end
  report("passage questions", good, of, ("the commonest answer is %.0f %%"):format(100 * most / of))
  report("  one plot", kinds[1][1], kinds[1][2])
  report("  two plots", kinds[2][1], kinds[2][2])
  for _, kind in ipairs { "holder", "thing", "place", "colour", "box" } do
    if kinds[kind] then report("  about the " .. kind, kinds[kind][1], kinds[kind][2]) end
  end
end

---------------------------------------------------------------------------------------------------------------------
-- Sums of two numbers under 20: all pairs that were held out, and as many that were not

do
  local pairs_, seen = { {}, {} }, { 0, 0 }
  for a = 0, 19 do
    for b = 0, 19 do table.insert(pairs_[world.held_sum(a, b) and 1 or 2], { a, b }) end
  end
  pairs_[2] = world.chance(SEED, 1).some(pairs_[2], #pairs_[1])
  for k = 1, 2 do
    for _, p in ipairs(pairs_[k]) do
      local text = first_line(continue_ids(encode(("%d + %d ="):format(p[1], p[2])), 6, line_done))
      if text == tostring(p[1] + p[2]) then seen[k] = seen[k] + 1 end
    end
  end
  report("sums, pairs held out", seen[1], #pairs_[1])
  report("sums, pairs trained on", seen[2], #pairs_[2])
end

---------------------------------------------------------------------------------------------------------------------
-- JSON lines: read by a parser

-- The position after the value at i, or nil.
local function json_value(s, i)
  local c = s:sub(i, i)
  if c == '"' then
    local e = s:find('"', i + 1, true)
    return e and e + 1
  elseif c == "{" or c == "[" then
    local close = c == "{" and "}" or "]"
    if s:sub(i + 1, i + 1) == close then return i + 2 end
    repeat
      i = i + 1
      if c == "{" then
        if s:sub(i, i) ~= '"' then return end
        i = s:find('"', i + 1, true)
        if not i or s:sub(i + 1, i + 2) ~= ": " then return end
        i = i + 3
      end
      i = json_value(s, i)
      if not i then return end
      local after = s:sub(i, i)
      if after == close then return i + 1 end
      i = i + 1
    until after ~= "," or s:sub(i, i) ~= " "
    return
  end
  return select(2, s:find("^%-?%d+", i)) and select(2, s:find("^%-?%d+", i)) + 1 or select(2, s:find("^%l+", i)) and select(2, s:find("^%l+", i)) + 1
end

do
  local good, of = { flat = 0, nested = 0 }, { flat = 0, nested = 0 }
  for i = 1, N do
    local r = world.chance(SEED + 2, i)
    local first, line = world.json_object(r, 2), nil
    local kind = i % 2 == 0 and "nested" or "flat"
    repeat line = world.json_object(r, 2) until (line:find('"friend"', 1, true) ~= nil) == (kind == "nested")
    local at = #first + 1 + (kind == "nested" and select(2, line:find('"friend": {"name": "', 1, true)) or #'{"name": "')
    local ids, start = prefix(first .. "\n" .. line, at)
    local text = first_line(start:sub(#first + 2) .. continue_ids(ids, 120, line_done))
    of[kind] = of[kind] + 1
    if json_value(text, 1) == #text + 1 then good[kind] = good[kind] + 1 end
  end
  report("JSON lines", good.flat, of.flat)
  report("JSON lines, nested", good.nested, of.nested)
end

---------------------------------------------------------------------------------------------------------------------
-- Brackets: half a line, to be closed

local opens = { ["("] = ")", ["["] = "]", ["{"] = "}" }
local function balanced(text)
  local stack = {}
  for c in text:gmatch("[%(%)%[%]{}]") do
    if opens[c] then stack[#stack + 1] = opens[c]
    elseif table.remove(stack) ~= c then return false end
  end
  return #stack == 0
end

do
  local good = 0
  for i = 1, N do
    local r = world.chance(SEED + 3, i)
    local line = "Brackets: " .. world.brackets(r, 2 * r.int(3, 8), 4) .. " ."
    local ids, start = prefix(line, 10 + 2 * r.int(2, (#line - 12) // 4))
    local text = continue_ids(ids, 60, function(t) return t:find(".", 1, true) ~= nil end)
    if text:find(".", 1, true) and balanced(start .. text) then good = good + 1 end
  end
  report("brackets closed", good, N)
end

---------------------------------------------------------------------------------------------------------------------
-- Looking back: copies, lists, keys and values, and random tokens

do
  local good, right, of = 0, 0, 0
  for i = 1, N do
    local r = world.chance(SEED + 4, i)
    local list, seen = {}, {}
    for _, w in ipairs(world.random_list(r, r.int(4, 20))) do      -- each once, so that what follows a word is certain
      if not seen[w] then list[#list + 1] = w end
      seen[w] = true
    end
    local once = table.concat(list, ", ")
    local text = continue_ids(encode(once .. ", " .. once .. ","), 4 * #list):gsub("^%s+", "")
    if text:sub(1, #once) == once then good = good + 1 end
    local k = 0
    for w in text:gmatch("%a+") do
      k = k + 1
      if k > #list then break end
      if w == list[k] then right = right + 1 end
    end
    of = of + #list
  end
  report("lists said a third time", good, N)
  report("  words of them", right, of)
end

do
  local good = 0
  for i = 1, N do
    local r = world.chance(SEED + 5, i)
    local text = table.concat(world.random_list(r, r.int(4, 20)), " ")
    if first_line(continue_ids(encode("Say: " .. text .. ".\nAgain:"), 80, line_done)) == text .. "." then good = good + 1 end
  end
  report("copies", good, N)
end

do
  local good = 0
  for i = 1, N do
    local r = world.chance(SEED + 6, i)
    local keys, out, value = r.some(world.names, r.int(3, 8)), {}, {}
    for j, k in ipairs(keys) do
      value[k] = r.pick(world.colours)
      out[j] = k .. ": " .. value[k]
    end
    local k = r.pick(keys)
    local text = continue_ids(encode(table.concat(out, ", ") .. ".\n" .. k .. ":"), 4)
    if text:match("^%s*(%l+)") == value[k] then good = good + 1 end
  end
  report("keys to values", good, N)
end

-- Random pieces, twice: BOS r1 .. rL r1 .. rL.
local function random_twice(r, len)
  local ids = { encode("")[1] or 1 }
  for i = 2, len + 1 do
    repeat ids[i] = r.int(0, vocab:size() - 1) until vocab:kind(ids[i]) == "normal"
  end
  for i = 1, len do ids[#ids + 1] = ids[i + 1] end
  return ids
end

do
  local right, of, len = 0, 0, 40
  for i = 1, math.max(4, N // 5) do
    local ids = random_twice(world.chance(SEED + 7, i), len)
    session:reset()
    assert(session:feed(ids, { all = true }))
    assert(session:run())
    for row = len + 2, 2 * len do                  -- from the second token of the copy on
      of = of + 1
      if greedy:next(session:logits(row)) == ids[row + 1] then right = right + 1 end
    end
  end
  report("random tokens, second time", right, of)
end

---------------------------------------------------------------------------------------------------------------------
-- Chat: definitions, and a tool

do
  local good = 0
  for _, d in ipairs(world.definitions) do
    local text = continue_ids(encode(("<|user|>What is a %s?<|end|><|assistant|>"):format(d[1])), 24)
    if first_line(text) == ("A %s is %s."):format(d[1], d[2]) then good = good + 1 end
  end
  report("definitions", good, #world.definitions)
  local called, answered = 0, 0
  for i = 1, N do
    local r = world.chance(SEED + 8, i)
    local a, b = r.int(20, 99), r.int(20, 99)
    local ask = ("<|user|>What is %d + %d?<|end|><|assistant|>"):format(a, b)
    local call = ('{"tool": "add", "a": %d, "b": %d}'):format(a, b)
    if first_line(continue_ids(encode(ask), 40)) == call then called = called + 1 end
    local text = continue_ids(encode(ask .. "<|call|>" .. call .. "<|end|><|result|>" .. a + b .. "<|end|><|assistant|>"), 24)
    if first_line(text) == ("%d + %d = %d."):format(a, b, a + b) then answered = answered + 1 end
  end
  report("tool calls", called, N)
  report("answers from a result", answered, N)
end

---------------------------------------------------------------------------------------------------------------------
-- Heads: where each looks, averaged

do
  local c = model:config()
  local keep = assert(model:session { ctx = 512, keep = true })
  local layers, heads = c.n_layer, c.n_head
  local induction, previous, sink, idle, lists, texts, len = {}, {}, {}, {}, 6, 6, 40
  local function add(t, l, h, x) t[l * 100 + h] = (t[l * 100 + h] or 0) + x end
  for i = 1, lists do                              -- on random lists: to the token after this one's last occurrence
    local ids = random_twice(world.chance(SEED + 9, i), len)
    keep:reset()
    assert(keep:feed(ids))
    assert(keep:run())
    for l = 0, layers - 1 do
      for h = 1, heads do
        local sum = 0
        for pos = len + 2, 2 * len do sum = sum + keep:attention(l, h, pos)[pos - len + 2] end      -- tensors count from 1
        add(induction, l, h, sum / (len - 1) / lists)
        sum = 0                                    -- and where it rests while nothing has been said twice
        for pos = 8, len do sum = sum + keep:attention(l, h, pos)[1] end
        add(idle, l, h, sum / (len - 7) / lists)
      end
    end
  end
  for i = 1, texts do                              -- on stories: to the token before, and to the first
    local ids = encode((world.document(SEED + 10, i, "story")))
    keep:reset()
    assert(keep:feed(ids))
    assert(keep:run())
    for l = 0, layers - 1 do
      for h = 1, heads do
        local p, s = 0, 0
        for pos = 8, #ids - 1 do
          local a = keep:attention(l, h, pos)
          p, s = p + a[pos], s + a[1]
        end
        add(previous, l, h, p / (#ids - 8) / texts)
        add(sink, l, h, s / (#ids - 8) / texts)
      end
    end
  end
  for _, kind in ipairs { { "induction", induction }, { "previous token", previous }, { "first token", sink },
    { "first token, nothing to find", idle } } do
    local list = {}
    for key, x in pairs(kind[2]) do list[#list + 1] = { key // 100, key % 100, x } end
    table.sort(list, function(a, b) return a[3] > b[3] or a[3] == b[3] and a[1] * 100 + a[2] < b[1] * 100 + b[2] end)
    local best = {}
    for i = 1, 3 do best[i] = ("layer %d head %d: %.2f"):format(list[i][1], list[i][2] - 1, list[i][3]) end
    print(("%-30s %s"):format(kind[1] == "first token, nothing to find" and kind[1] or kind[1] .. " heads", table.concat(best, ", ")))
  end
end

---------------------------------------------------------------------------------------------------------------------
-- A draft: how often its choice is the model's, in the model's own text

if arg and arg[2] and arg[2] ~= "-" then
  local draft = assert(cut.model.open(arg[2]))
  local small = assert(draft:session { ctx = 512 })
  local same, of = 0, 0
  for i = 1, math.max(10, N // 2) do
    local text = world.document(SEED + 11, i)
    local ids = encode(text)
    local cutoff = math.max(4, math.min(#ids // 3, 120))
    local start = { table.unpack(ids, 1, cutoff) }
    local _, out = continue_ids(start, 48)
    for _, id in ipairs(out) do start[#start + 1] = id end
    if #out > 0 then
      small:reset()
      assert(small:feed(start, { all = true }))
      assert(small:run())
      for row = cutoff, #start - 1 do
        of = of + 1
        if greedy:next(small:logits(row)) == start[row + 1] then same = same + 1 end
      end
    end
  end
  report("draft's choices accepted", same, of)
end

print("return {")
for _, r in ipairs(result) do print(("  [%q] = { %d, %d },"):format((r.name:gsub("^%s+", "")), r.good, r.of)) end
print("}")
