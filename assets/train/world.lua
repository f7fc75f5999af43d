-- world.lua - the little world the bundled models grow up in.
--
--   cutaway lua world.lua documents 1000 7          1000 documents from seed 7, each from <s> to </s>
--   cutaway lua world.lua documents 1000 7 first    the same, in the mixture that training began with
--   cutaway lua world.lua truth 3 7                 3 documents, each with what is true in it
--   cutaway lua world.lua show story 7              one document of a kind
--
-- A document follows from (seed, i) alone: world.document(seed, i) gives its text and its truth, a table. The story
-- of who holds what is not written into sentences but simulated: a plot is a list of events, each event changes the
-- state, and a sentence is chosen for it. Since the same templates can be read backwards, world.check_story can say of any
-- text in this language, a model's too, whether it is well-formed and keeps track (see the end of the stories).
--
-- Needs nothing but the language, and runs under plain Lua 5.4 as well.
local world = {}

---------------------------------------------------------------------------------------------------------------------
-- Chance: splitmix64, so that every document has its own, independent of all others

local function chance(seed, stream)
  local state = seed * 0x9E3779B97F4A7C15 ~ stream * 0xD1342543DE82EF95
  local r = {}
  local function bits()
    state = state + 0x9E3779B97F4A7C15
    local z = state
    z = (z ~ z >> 30) * 0xBF58476D1CE4E5B9
    z = (z ~ z >> 27) * 0x94D049BB133111EB
    return (z ~ z >> 31) >> 11
  end
  function r.int(lo, hi) return lo + bits() % (hi - lo + 1) end
  function r.maybe(p) return bits() < p * 2.0 ^ 53 end
  function r.pick(list) return list[r.int(1, #list)] end
  -- n different elements
  function r.some(list, n)
    local copy, out = { table.unpack(list) }, {}
    for i = 1, n do out[i] = table.remove(copy, r.int(1, #copy)) end
    return out
  end
  return r
end
world.chance = chance

---------------------------------------------------------------------------------------------------------------------
-- Words

local function words(s)
  local t = {}
  for w in s:gmatch("%S+") do t[#t + 1] = w end
  return t
end

local girls = words "Mia Ann Lily Eva Zoe Ida Amy Rose Nora Kate Ruth Vera"
local boys = words "Tom Ben Sam Max Leo Dan Tim Jack Finn Paul Hugo Otto"
local things = words "ball cup book hat key kite drum lamp map coin bell shell spoon rope doll ring stone flute boat pen"
local colours = words "red blue green yellow white black brown grey pink"
local places = words "garden kitchen school park barn forest market river mill tower house library"
local boxes = words "basket box bag drawer chest jar"
local animals = words "cat dog hen cow horse sheep goat duck fox frog bear mouse rabbit"
local foods = words "bread milk soup cake cheese honey plums nuts"
local feelings = words "happy glad sad tired hungry proud"
local weathers = words "warm cold windy sunny rainy bright"
local names, is_girl = {}, {}
for i = 1, #girls do
  names[#names + 1], names[#names + 2] = girls[i], boys[i]
  is_girl[girls[i]] = true
end
local plain = {}                        -- all words of lists
for _, list in ipairs { things, colours, places, boxes, animals, foods, feelings, weathers } do
  for _, w in ipairs(list) do plain[#plain + 1] = w end
end
world.names, world.things, world.colours, world.places = names, things, colours, places

local kinds = { A = names, B = names, C = names, t = things, u = things, c = colours, p = places, b = boxes, n = animals, f = foods,
  feel = feelings, sky = weathers, child = { "girl", "boy" }, she = { "She", "He" } }
local known = {}
for kind, list in pairs(kinds) do
  known[kind] = {}
  for _, w in ipairs(list) do known[kind][w] = true end
end

-- Fill a template: "{A} gave the {t} to {B}." A word that is not of the slot's kind is a mistake of the script.
local function fill(template, slots)
  return (template:gsub("{(%a+)}", function(kind)
    local word = slots[kind]
    if not known[kind] then error(("template %q: {%s} is no kind of word"):format(template, kind), 0) end
    if not word then error(("template %q: nothing is given for {%s}"):format(template, kind), 0) end
    if not known[kind][word] then error(("template %q: unknown word %q for {%s}"):format(template, word, kind), 0) end
    return word
  end))
end
world.fill = fill

---------------------------------------------------------------------------------------------------------------------
-- Stories: events, their sentences, and what they change

-- Sentences for each event. The checker reads them backwards, so a sentence must not fit two events that differ.
local sentences = {
  start = { "Once there was a {child} called {A}.", "There was a {child} named {A}.", "{A} was a little {child}.",
    "Long ago there lived a {child} called {A}." },
  friend = { "{A} had a friend called {B}.", "{B} was a friend of {A}.", "{A} liked to play with {B}.", "{A} lived near {B}." },
  has = { "{A} had a {c} {t}.", "{A} owned a {c} {t}.", "{A} carried a {c} {t}.", "For her birthday {A} got a {c} {t}.",
    "For his birthday {A} got a {c} {t}." },
  find = { "{A} found a {c} {t} in the {p}.", "In the {p} {A} saw a {c} {t} and took it.", "One day {A} found a {c} {t} near the {p}." },
  go = { "{A} went to the {p}.", "{A} walked to the {p}.", "Then {A} ran to the {p}.", "{A} came to the {p}." },
  meet = { "There {A} met {B}.", "{A} met {B} on the way.", "Soon {B} came to see {A}.", "{A} saw {B} and waved." },
  ask = { "{B} asked {A} for the {t}.", "{B} liked the {t}.", "{B} wanted to play with the {t}.", "{B} looked at the {t} of {A}." },
  give = { "{A} gave the {t} to {B}.", "{A} gave {B} the {t}.", "Then {A} handed the {t} to {B}.", "{A} let {B} have the {t}.",
    "So {A} gave the {t} to {B}." },
  put = { "{A} put the {t} in the {b}.", "{A} hid the {t} in the {b}.", "{A} laid the {t} in the {b}." },
  take = { "{A} took the {t} from the {b}.", "{A} opened the {b} and took the {t}.", "{A} looked in the {b} and took the {t}." },
  drop = { "{A} dropped the {t}.", "{A} lost the {t} in the {p}.", "{A} forgot the {t} in the {p}." },
  pick = { "{A} picked up the {t}.", "Then {A} found the {t}.", "{A} saw the {t} and took it." },
  swap = { "{A} gave the {t} to {B} and got the {u}.", "{A} swapped the {t} for the {u} of {B}." },
  now = { "Now {A} had the {t}.", "Now the {t} was with {A}.", "The {t} was now with {A}.", "So now {A} had the {t}." },
  inside = { "The {t} was in the {b}.", "Now the {t} was in the {b}." },
  still = { "{A} still had the {t}.", "{A} kept the {t}." },
  thanks = { "{A} said thank you to {B}.", "\"Thank you,\" said {A}.", "{A} thanked {B}." },
  mood = { "{A} was {feel}.", "{she} was {feel}.", "{A} felt {feel}.", "That made {A} {feel}." },
  fluff = { "It was a {sky} day.", "The day was {sky}.", "A {n} sat by the road.", "{she} liked to sing.", "{she} sang a song.",
    "{A} ate some {f}.", "{she} ate some {f}.", "A {n} looked at {A}.", "{A} laughed.", "{she} smiled.", "{she} rested for a while.",
    "Then it was time for {f}." },
  close = { "Then they all went home.", "It was a good day.", "And they were friends for ever.", "That night {A} slept well.", "The end.",
    "{she} went home and slept." },
}

-- What an event does to the state: holder[thing] is a name, "in BOX", or "lost". False: it cannot happen.
local rules = {
  has = function(s, e)
    if s.holder[e.t] then return false end
    s.holder[e.t], s.colour[e.t] = e.A, e.c
    return true
  end,
  give = function(s, e)
    if s.holder[e.t] ~= e.A or e.A == e.B then return false end
    s.holder[e.t] = e.B
    return true
  end,
  put = function(s, e)
    if s.holder[e.t] ~= e.A then return false end
    s.holder[e.t] = "in " .. e.b
    return true
  end,
  take = function(s, e)
    if s.holder[e.t] ~= "in " .. e.b then return false end
    s.holder[e.t] = e.A
    return true
  end,
  drop = function(s, e)
    if s.holder[e.t] ~= e.A then return false end
    s.holder[e.t] = "lost"
    return true
  end,
  pick = function(s, e)
    if s.holder[e.t] ~= "lost" then return false end
    s.holder[e.t] = e.A
    return true
  end,
  swap = function(s, e)
    if s.holder[e.t] ~= e.A or s.holder[e.u] ~= e.B or e.A == e.B then return false end
    s.holder[e.t], s.holder[e.u] = e.B, e.A
    return true
  end,
  now = function(s, e) return s.holder[e.t] == e.A end,
  inside = function(s, e) return s.holder[e.t] == "in " .. e.b end,
  go = function(s, e)
    s.place[e.A] = e.p
    return true
  end,
  ask = function(s, e) return s.holder[e.t] ~= nil and s.holder[e.t] ~= e.B and (not e.A or s.holder[e.t] == e.A) end,
}
rules.find, rules.still = rules.has, rules.now

local function new_state() return { holder = {}, colour = {}, place = {} } end

-- A story under way: the state, and the sentences so far.
local function teller(r)
  local s = { r = r, state = new_state(), out = {}, quiet = false }
  function s.say(event, slots)
    slots.child = slots.child or is_girl[slots.A] and "girl" or "boy"
    slots.she = is_girl[slots.A] and "She" or "He"
    slots.c, slots.p = slots.c or r.pick(colours), slots.p or r.pick(places)
    slots.n, slots.f, slots.feel, slots.sky = r.pick(animals), r.pick(foods), r.pick(feelings), r.pick(weathers)
    local template = r.pick(sentences[event])
    if template:find "her birthday" and not is_girl[slots.A] then template = "{A} had a {c} {t}." end
    if template:find "his birthday" and is_girl[slots.A] then template = "{A} owned a {c} {t}." end
    local rule = rules[event]
    if rule and not rule(s.state, slots) then error("a plot asks for what cannot happen: " .. fill(template, slots), 0) end
    s.out[#s.out + 1] = fill(template, slots)
  end
  -- now and then something that changes nothing
  function s.colour_in(A, p)
    if not s.quiet and r.maybe(p or 0.4) then s.say(r.maybe(0.4) and "mood" or "fluff", { A = A }) end
  end
  -- now and then, who has it
  function s.tell(t, p)
    if not r.maybe(s.sure or p or 0.4) then return end
    local h = s.state.holder[t]
    if h:sub(1, 3) == "in " then s.say("inside", { t = t, b = h:sub(4), A = "Mia" })
    elseif h ~= "lost" then s.say("now", { A = h, t = t }) end
  end
  return s
end

-- Plots. Each gets the teller, three names and two things, and leaves the state as it may.
local plots = {
  function(s, A, B, C, t)                                   -- a gift that travels
    s.say("has", { A = A, t = t })
    s.colour_in(A)
    s.say("meet", { A = A, B = B })
    if s.r.maybe(0.5) then s.say("ask", { A = A, B = B, t = t }) end
    s.say("give", { A = A, B = B, t = t })
    s.tell(t)
    if s.r.maybe(0.5) then s.say("thanks", { A = B, B = A }) end
    if s.r.maybe(0.6) then
      s.say("go", { A = B })
      s.say("meet", { A = B, B = C })
      s.say("give", { A = B, B = C, t = t })
      s.tell(t, 0.6)
      s.colour_in(C)
    end
  end,
  function(s, A, B, _, t)                                   -- lost and found
    s.say("has", { A = A, t = t })
    s.say("go", { A = A })
    s.colour_in(A)
    s.say("drop", { A = A, t = t, p = s.state.place[A] })
    if not s.quiet then s.say("mood", { A = A }) end
    s.say("pick", { A = B, t = t })
    s.tell(t)
    if s.r.maybe(0.7) then
      s.say("give", { A = B, B = A, t = t })
      s.tell(t, 0.5)
      if s.r.maybe(0.6) then s.say("thanks", { A = A, B = B }) end
    end
  end,
  function(s, A, B, _, t)                                   -- hidden
    local b = s.r.pick(boxes)
    s.say("has", { A = A, t = t })
    s.say("put", { A = A, t = t, b = b })
    s.tell(t)
    s.colour_in(A)
    if s.r.maybe(0.3) then return end
    s.say("go", { A = B })
    s.say("take", { A = B, t = t, b = b })
    s.tell(t, 0.5)
    if s.r.maybe(0.4) then
      s.say("give", { A = B, B = A, t = t })
      s.tell(t, 0.5)
    end
  end,
  function(s, A, B, _, t, u)                                -- a trade
    s.say("has", { A = A, t = t })
    s.say("has", { A = B, t = u })
    s.colour_in(B)
    s.say("meet", { A = A, B = B })
    s.say("swap", { A = A, B = B, t = t, u = u })
    s.tell(t)
    s.tell(u)
  end,
  function(s, A, B, _, t)                                   -- a find
    s.say("go", { A = A })
    s.say("find", { A = A, t = t, p = s.state.place[A] })
    s.colour_in(A)
    if s.r.maybe(0.5) then
      s.say("still", { A = A, t = t })
      s.say("go", { A = A })
    end
    s.say("meet", { A = A, B = B })
    if s.r.maybe(0.7) then
      s.say("give", { A = A, B = B, t = t })
      s.tell(t, 0.5)
      if s.r.maybe(0.5) then s.say("thanks", { A = B, B = A }) end
    end
  end,
}

-- One or more plots in a row with the same people and new things.
local function tell_story(r, n_plots, about)
  local s, who, what = teller(r), r.some(names, 3), r.some(things, 2 * n_plots)
  if about then who[1], what[1] = about.A, about.t end
  for i = 2, #who do if who[i] == who[1] then who[i] = who[1] == "Mia" and "Tom" or "Mia" end end
  for i = 2, #what do if what[i] == what[1] then what[i] = "stone" ~= what[1] and "stone" or "pen" end end
  if who[2] == who[3] then who[3] = who[1] == "Ben" and "Amy" or who[2] == "Ben" and "Amy" or "Ben" end
  local A, B, C = table.unpack(who)
  s.say("start", { A = A })
  s.colour_in(A, 0.5)
  if r.maybe(0.6) then s.say("friend", { A = A, B = B }) end
  for i = 1, n_plots do
    r.pick(plots)(s, A, B, C, what[2 * i - 1], what[2 * i])
    s.colour_in(A, 0.3)
    A, B, C = B, A, C
    if r.maybe(0.3) then B, C = C, B end
  end
  s.say("close", { A = A })
  return s
end

-- What can happen to a thing that someone has; h has it, X is another. Each leaves it with someone.
local episodes = {
  function(s, h, X, t)                                      -- given
    if s.r.maybe(0.7) then s.say("meet", { A = h, B = X }) end
    if s.r.maybe(0.3) then s.say("ask", { A = h, B = X, t = t }) end
    s.say("give", { A = h, B = X, t = t })
    s.tell(t)
    if s.r.maybe(0.3) then s.say("thanks", { A = X, B = h }) end
  end,
  function(s, h, X, t)                                      -- lost
    s.say("go", { A = h })
    s.say("drop", { A = h, t = t, p = s.state.place[h] })
    if s.r.maybe(0.5) then s.say("mood", { A = h }) end
    s.say("pick", { A = X, t = t })
    s.tell(t)
  end,
  function(s, h, X, t)                                      -- hidden
    local b = s.r.pick(boxes)
    s.say("put", { A = h, t = t, b = b })
    s.tell(t)
    s.say("take", { A = s.r.maybe(0.7) and X or h, t = t, b = b })
    s.tell(t)
  end,
  function(s, h, X, t)                                      -- kept
    s.say("go", { A = h })
    s.say("still", { A = h, t = t })
    s.colour_in(X)
  end,
}

-- One or two things, shown at the start, and what becomes of them: nothing new comes in later, so that to go on is to remember.
-- sure: how often it is said who has it now. one: never more than one thing.
local function tell_tale(r, n, sure, one)
  local s, who, what = teller(r), r.some(names, 3), r.some(things, 2)
  s.sure = sure
  local A, B, C = table.unpack(who)
  s.say("start", { A = A })
  s.colour_in(A, 0.5)
  s.say("friend", { A = A, B = B })
  s.say("has", { A = A, t = what[1] })
  local n_things = r.maybe(0.4) and not one and 2 or 1
  if n_things == 2 then s.say("has", { A = B, t = what[2] }) end
  s.opening = #s.out                                        -- sentences up to here say who has what
  for _ = 1, n do
    local i = r.int(1, n_things)
    local t, other = what[i], what[3 - i]
    local h, X = s.state.holder[t], nil
    local y = n_things == 2 and s.state.holder[other]
    repeat X = r.pick { A, B, A, B, C } until X ~= h
    if y and y ~= h and r.maybe(sure and 0.12 or 0.3) then
      s.say("swap", { A = h, B = y, t = t, u = other })
      s.tell(t)
      s.tell(other)
    else
      r.pick(episodes)(s, h, X, t)
    end
    s.colour_in(s.state.holder[t], 0.25)
  end
  s.say("close", { A = A })
  return s
end

---------------------------------------------------------------------------------------------------------------------
-- Reading stories backwards

-- "{A} gave {B} the {t}." -> "^(%u%l+) gave (%u%l+) the (%l+)%.$" and the slots in order
local readers = {}
for event, list in pairs(sentences) do
  for _, template in ipairs(list) do
    local slots = {}
    local pattern = template:gsub("[%.%-%+%?%*%^%$%(%)%%]", "%%%0"):gsub("{(%a+)}", function(kind)
      slots[#slots + 1] = kind
      return (kind == "A" or kind == "B" or kind == "C" or kind == "she") and "(%u%l+)" or "(%l+)"
    end)
    readers[#readers + 1] = { event = event, pattern = "^" .. pattern .. "$", slots = slots, template = template }
  end
end
table.sort(readers, function(x, y) return x.template < y.template end)

-- What a sentence may mean: events with their slots, those first that change who holds what.
local function read_sentence(text)
  local found = {}
  for _, reader in ipairs(readers) do
    local got = { text:match(reader.pattern) }
    if got[1] then
      local e = { event = reader.event }
      local ok = true
      for i, kind in ipairs(reader.slots) do
        e[kind] = got[i]
        ok = ok and known[kind][got[i]] == true
      end
      if ok then table.insert(found, rules[e.event] and 1 or #found + 1, e) end
    elseif #reader.slots == 0 and text == reader.template then
      found[#found + 1] = { event = reader.event }
    end
  end
  return found
end

--- Read a story. Returns true, the state at its end and the number of sentences; or false and the first thing that is
-- wrong: a sentence that is none of this language, or one that contradicts who holds what. A sentence that is not finished at
-- the end of the text is left out.
function world.check_story(text)
  local state, n = new_state(), 0
  for sentence in text:gmatch("%s*([^%.]+%.)") do
    local ways = read_sentence(sentence)
    if #ways == 0 then return false, "not a sentence: " .. sentence, n end
    local fits = false
    for _, e in ipairs(ways) do
      local girl = e.child and e.A and (e.child == "girl") ~= (is_girl[e.A] == true)
      if not girl and (not rules[e.event] or rules[e.event](state, e)) then fits = true break end
    end
    if not fits then return false, "cannot be: " .. sentence, n end
    n = n + 1
  end
  return true, state, n
end

---------------------------------------------------------------------------------------------------------------------
-- Passages with questions

-- All questions a state answers, as { question, answer, kind }.
local function questions_of(s)
  local q = {}
  local count = {}
  for t, h in pairs(s.holder) do count[h] = (count[h] or 0) + 1 end
  for _, t in ipairs(things) do
    local h = s.holder[t]
    if h then
      if h:sub(1, 3) == "in " then q[#q + 1] = { ("Where is the %s?"):format(t), ("The %s is in the %s."):format(t, h:sub(4)), "box" }
      elseif h ~= "lost" then
        q[#q + 1] = { ("Who has the %s?"):format(t), ("%s has the %s."):format(h, t), "holder" }
        if count[h] == 1 then q[#q + 1] = { ("What does %s have?"):format(h), ("%s has the %s."):format(h, t), "thing" } end
      end
      q[#q + 1] = { ("What colour is the %s?"):format(t), ("The %s is %s."):format(t, s.colour[t]), "colour" }
    end
  end
  for _, A in ipairs(names) do
    if s.place[A] then q[#q + 1] = { ("Where is %s?"):format(A), ("%s is in the %s."):format(A, s.place[A]), "place" } end
  end
  return q
end

local function passage(r, n_plots)
  local s, who, what = teller(r), r.some(names, 3), r.some(things, 2 * n_plots)
  s.quiet = r.maybe(0.6)
  local A, B, C = table.unpack(who)
  for i = 1, n_plots do
    r.pick(plots)(s, A, B, C, what[2 * i - 1], what[2 * i])
    A, B, C = C, A, B
  end
  for _, X in ipairs(who) do                                -- so that "where" is about more than one
    if r.maybe(0.3) then s.say("go", { A = X }) end
  end
  return s
end

-- Up to n questions, no kind more often than another: kinds are drawn first.
local function ask(r, s, n)
  local all, by_kind, order, out = questions_of(s.state), {}, {}, {}
  for _, q in ipairs(all) do
    if not by_kind[q[3]] then
      by_kind[q[3]] = {}
      order[#order + 1] = q[3]
    end
    table.insert(by_kind[q[3]], q)
  end
  if by_kind.holder then order[#order + 1] = "holder" end   -- the hardest, asked twice as often
  for _ = 1, n do
    local kind = r.pick(order)
    if kind and #by_kind[kind] > 0 then out[#out + 1] = table.remove(by_kind[kind], r.int(1, #by_kind[kind])) end
  end
  return out
end

---------------------------------------------------------------------------------------------------------------------
-- The other kinds of document. Each returns text, truth.

local function join(list, last)
  if #list < 2 then return list[1] or "" end
  return table.concat(list, ", ", 1, #list - 1) .. last .. list[#list]
end

-- Of the sums of two numbers under 20, one in ten is never trained on.
function world.held_sum(a, b) return (a * 7 + b * 13 + 3) % 10 == 0 and (b * 7 + a * 13 + 3) % 10 ~= 0 end

local function sum_pair(r, held)
  local a, b
  repeat a, b = r.int(0, 19), r.int(0, 19) until world.held_sum(a, b) == (held or false)
  return a, b
end

local definitions = {
  { "kitten", "a young cat" }, { "puppy", "a young dog" }, { "chick", "a young hen" }, { "calf", "a young cow" }, { "foal", "a young horse" },
  { "lamb", "a young sheep" }, { "kid", "a young goat" }, { "duckling", "a young duck" }, { "cub", "a young bear" },
  { "barn", "a house for animals" }, { "mill", "a house where flour is made" }, { "library", "a house full of books" },
  { "school", "a house where children learn" }, { "kitchen", "a room where food is made" }, { "garden", "a place where flowers grow" },
  { "forest", "a place with many trees" }, { "market", "a place where people buy food" }, { "river", "water that runs to the sea" },
  { "drum", "a thing to make music with" }, { "flute", "a thing to make music with" }, { "lamp", "a thing that gives light" },
  { "map", "a picture of a land" }, { "kite", "a toy that flies" }, { "boat", "a thing that swims on water" }, { "key", "a thing that opens a door" },
  { "coin", "a small piece of money" }, { "pen", "a thing to write with" }, { "spoon", "a thing to eat soup with" },
}
world.definitions = definitions

local groups = { animals = animals, colours = colours, foods = foods, things = things, places = places }
local group_names = { "animals", "colours", "foods", "places", "things" }

-- A JSON object as text; depth says how deep it nests. Keys in the order given.
local function json_object(r, depth)
  local name = r.pick(names)
  local parts = { ('"name": "%s"'):format(name), ('"age": %d'):format(r.int(3, 12)) }
  if r.maybe(0.5) then
    local has = r.some(things, r.int(0, 3))
    for i, t in ipairs(has) do has[i] = '"' .. t .. '"' end
    parts[#parts + 1] = '"has": [' .. table.concat(has, ", ") .. "]"
  end
  if r.maybe(0.4) then parts[#parts + 1] = ('"home": {"place": "%s", "colour": "%s"}'):format(r.pick(places), r.pick(colours)) end
  if depth > 1 and r.maybe(0.5) then parts[#parts + 1] = '"friend": ' .. json_object(r, depth - 1) end
  if r.maybe(0.3) then parts[#parts + 1] = ('"happy": %s'):format(r.pick { "true", "false" }) end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local pairs_of = { { "(", ")" }, { "[", "]" }, { "{", "}" } }

-- Brackets that open and close, at most n of them open at once.
local function brackets(r, length, most)
  local out, open = {}, {}
  for i = 1, length do
    local must_close = length - i < #open or #open == most
    if #open > 0 and (must_close or r.maybe(0.45)) then out[#out + 1] = table.remove(open)
    elseif not must_close then
      local p = r.pick(pairs_of)
      out[#out + 1] = p[1]
      open[#open + 1] = p[2]
    end
  end
  while #open > 0 do out[#out + 1] = table.remove(open) end
  return table.concat(out, " ")
end

local function random_list(r, n)
  local list = {}
  for i = 1, n do list[i] = r.maybe(0.8) and r.pick(plain) or r.pick(names) end
  return list
end

local USER, ASSISTANT, CALL, RESULT, END = "<|user|>", "<|assistant|>", "<|call|>", "<|result|>", "<|end|>"

local makers = {}

function makers.story(r)
  local s = tell_story(r, r.int(1, 3))
  return table.concat(s.out, " "), { holder = s.state.holder }
end

function makers.long_story(r)
  local s = tell_story(r, r.int(4, 5))
  return table.concat(s.out, " "), { holder = s.state.holder }
end

function makers.tale(r)
  local s = tell_tale(r, r.int(2, 9))
  return table.concat(s.out, " "), { holder = s.state.holder }
end

function makers.chronicle(r)
  local s = tell_tale(r, r.int(3, 9), 0.8)
  return table.concat(s.out, " "), { holder = s.state.holder }
end

function makers.chain(r)
  local s = tell_tale(r, r.int(3, 9), 0.8, true)
  return table.concat(s.out, " "), { holder = s.state.holder }
end

function makers.questions(r)
  local s = passage(r, r.int(1, 2))
  local lines, asked = { table.concat(s.out, " ") }, ask(r, s, r.int(2, 5))
  for _, q in ipairs(asked) do lines[#lines + 1] = "Question: " .. q[1] .. "\nAnswer: " .. q[2] end
  return table.concat(lines, "\n"), { holder = s.state.holder, asked = asked }
end

-- A passage and nearly everything there is to ask about it: of a thing who has it or what that one has, never both, so that
-- no answer can be read off another.
local function quiz(r, s, most)
  local pool, of_thing = {}, {}
  for _, q in ipairs(questions_of(s.state)) do
    local other = (q[3] == "holder" or q[3] == "thing") and of_thing[q[2]]
    if other and r.maybe(0.5) then pool[other] = q
    elseif not other then
      pool[#pool + 1] = q
      if q[3] == "holder" then of_thing[q[2]] = #pool end
    end
  end
  local lines, asked = { table.concat(s.out, " ") }, r.some(pool, math.min(#pool, r.int(3, most)))
  for _, q in ipairs(asked) do lines[#lines + 1] = "Question: " .. q[1] .. "\nAnswer: " .. q[2] end
  return table.concat(lines, "\n"), { holder = s.state.holder, asked = asked }
end

function makers.quiz(r) return quiz(r, passage(r, r.int(1, 2)), 8) end

-- Bare facts, one a sentence, and many questions: short, so that much of what is learnt is which belongs to which.
function makers.facts(r)
  local s, who, what = teller(r), r.some(names, r.int(2, 4)), r.some(things, 6)
  for _ = 1, r.int(3, 9) do
    local A, t = r.pick(who), r.pick(what)
    if r.maybe(0.35) then s.say("go", { A = A })
    elseif not s.state.holder[t] then s.say("has", { A = A, t = t })
    elseif s.state.holder[t] ~= A then s.say("give", { A = s.state.holder[t], B = A, t = t }) end
  end
  return quiz(r, s, 10)
end

-- The same without the questions: facts, then what follows from them, in any order. Nearly every sentence of the second half has one word
-- that only looking back can tell.
function makers.answers(r)
  local s, who, what = teller(r), r.some(names, r.int(2, 4)), r.some(things, 6)
  for _ = 1, r.int(2, 7) do
    local A, t = r.pick(who), r.pick(what)
    if r.maybe(0.35) then s.say("go", { A = A })
    elseif not s.state.holder[t] then s.say("has", { A = A, t = t })
    elseif s.state.holder[t] ~= A then s.say("give", { A = s.state.holder[t], B = A, t = t }) end
  end
  local all, lines = questions_of(s.state), {}
  for i = 1, #all > 0 and r.int(4, 12) or 0 do lines[i] = r.pick(all)[2] end
  return table.concat(s.out, " ") .. "\n" .. table.concat(lines, " "), { holder = s.state.holder }
end

-- What stands before a word, asked by the word: "a grey spoon, a red hat. hat: red, spoon: grey."
function makers.backward(r)
  local list, out, again = r.some(things, r.int(2, 7)), {}, {}
  local colour = {}
  for i, t in ipairs(list) do
    colour[t] = r.pick(colours)
    out[i] = "a " .. colour[t] .. " " .. t
  end
  local said = r.maybe(0.5)
  for i = 1, r.int(4, 14) do
    local t = r.pick(list)
    again[i] = said and ("The %s is %s."):format(t, colour[t]) or t .. ": " .. colour[t]
  end
  return table.concat(out, ", ") .. ".\n" .. table.concat(again, said and " " or ", "), { colour = colour }
end

-- Whose, and where: one sentence each, then asked by the thing or by the name, shortly or in a sentence.
function makers.belongs(r)
  local s, n = teller(r), r.int(2, 6)
  local who, what = r.some(names, n), r.some(things, n)
  for i = 1, n do s.say(r.maybe(0.5) and "go" or "has", { A = who[i], t = what[i] }) end
  local again, short = {}, r.maybe(0.5)
  for k = 1, r.int(4, 14) do
    local i = r.int(1, n)
    local p, h = s.state.place[who[i]], s.state.holder[what[i]]
    if p then again[k] = short and who[i] .. ": " .. p or ("%s is in the %s."):format(who[i], p)
    elseif short then again[k] = r.maybe(0.5) and what[i] .. ": " .. h or h .. ": " .. what[i]
    else again[k] = r.maybe(0.5) and ("The %s is with %s."):format(what[i], h) or ("%s has the %s."):format(h, what[i]) end
  end
  return table.concat(s.out, " ") .. "\n" .. table.concat(again, short and ", " or " "), { holder = s.state.holder }
end

function makers.copy(r)
  local list = random_list(r, r.int(2, 24))
  local first, again = r.pick { "Say", "Read", "Copy" }, r.pick { "Again", "Once more" }
  local text = table.concat(list, " ")
  return ("%s: %s.\n%s: %s."):format(first, text, again, text), { list = list }
end

function makers.list(r)
  local list, out = random_list(r, r.int(3, 14)), {}
  for i = 1, r.int(2, 4) * #list do out[i] = list[(i - 1) % #list + 1] end
  local sep = r.pick { ", ", " ", "\n", "; " }
  return table.concat(out, sep) .. ".", { list = list }
end

-- A list in which nothing comes twice, so that what follows a word is certain from the second round on.
function makers.rounds(r)
  local list, out = r.some(table.move(names, 1, #names, #plain + 1, { table.unpack(plain) }), r.int(4, 20)), {}
  for i = 1, r.int(3, 4) * #list do out[i] = list[(i - 1) % #list + 1] end
  return table.concat(out, ", ") .. ".", { list = list }
end

function makers.pairs(r)
  local keys, out, value = r.some(r.maybe(0.5) and names or things, r.int(3, 8)), {}, {}
  local values = r.pick { colours, places, animals, foods }
  for i, k in ipairs(keys) do
    value[k] = r.pick(values)
    out[i] = k .. ": " .. value[k]
  end
  local again = {}
  for i = 1, r.int(3, 10) do
    local k = r.pick(keys)
    again[i] = k .. ": " .. value[k]
  end
  return table.concat(out, ", ") .. ".\n" .. table.concat(again, ", ") .. ".", { value = value }
end

function makers.sums(r, held)
  local lines = {}
  for i = 1, r.int(5, 14) do
    local a, b = sum_pair(r, held)
    lines[i] = ("%d + %d = %d"):format(a, b, a + b)
  end
  return table.concat(lines, "\n"), {}
end

-- Larger ones: too many to know by heart, so that adding column by column is what pays.
function makers.large_sums(r)
  local lines = {}
  for i = 1, r.int(5, 12) do
    local a, b = r.int(0, 99), r.int(0, 99)
    if a < 20 and b < 20 then a = a + 20 end
    lines[i] = ("%d + %d = %d"):format(a, b, a + b)
  end
  return table.concat(lines, "\n"), {}
end

function makers.word_sums(r, held)
  local a, b = sum_pair(r, held)
  local A, B = table.unpack(r.some(names, 2))
  local f = r.pick { "plums", "nuts", "coins", "shells", "stones" }
  return ("%s had %d %s. %s gave %s %d more. %d + %d = %d. Now %s had %d %s."):format(A, a, f, B, A, b, a, b, a + b, A, a + b, f), {}
end

function makers.count(r)
  local from, up = r.int(0, 30), r.int(3, 12)
  local out = {}
  if r.maybe(0.3) then
    for i = 1, up + 1 do out[i] = tostring(from + up - i + 1) end
    return ("Count from %d down to %d: %s."):format(from + up, from, table.concat(out, ", ")), {}
  elseif r.maybe(0.5) then
    for i = 0, up do out[i + 1] = tostring(from + i) end
    return ("Count from %d to %d: %s."):format(from, from + up, table.concat(out, ", ")), {}
  end
  local lines = {}
  for i = 1, r.int(2, 5) do
    local n, w = r.int(1, 9), r.pick(things)
    lines[i] = ("%s: %d"):format((w .. " "):rep(n):sub(1, -2), n)
  end
  return table.concat(lines, "\n"), {}
end

function makers.brackets(r)
  local lines = {}
  for i = 1, r.int(2, 5) do lines[i] = "Brackets: " .. brackets(r, 2 * r.int(2, 10), 4) .. " ." end
  return table.concat(lines, "\n"), {}
end

function makers.json(r)
  local lines = {}
  for i = 1, r.int(2, 4) do lines[i] = json_object(r, 2) end
  return table.concat(lines, "\n"), {}
end

-- From sentences to an object
function makers.record(r)
  local A, age, p, t, c = r.pick(names), r.int(3, 12), r.pick(places), r.pick(things), r.pick(colours)
  local text = ("%s is %d years old and lives near the %s. %s has a %s %s."):format(A, age, p, A, c, t)
  return text .. ("\n{\"name\": \"%s\", \"age\": %d, \"has\": [\"%s\"], \"home\": {\"place\": \"%s\", \"colour\": \"%s\"}}"):format(A, age, t, p, c),
    { name = A, age = age, place = p, thing = t, colour = c }
end

function makers.define(r)
  local lines = {}
  for i, d in ipairs(r.some(definitions, r.int(2, 5))) do lines[i] = ("A %s is %s."):format(d[1], d[2]) end
  return table.concat(lines, "\n"), {}
end

function makers.group(r)
  local g = r.pick(group_names)
  local list = r.some(groups[g], r.int(3, 6))
  return ("Some %s: %s."):format(g, join(list, " and ")), { group = g, list = list }
end

-- One turn of a chat: what the user says, what the assistant answers.
local turns = {
  function(r)
    local d = r.pick(definitions)
    return ("What is a %s?"):format(d[1]), ("A %s is %s."):format(d[1], d[2])
  end,
  function(r)
    local a, b = sum_pair(r)
    return ("What is %d + %d?"):format(a, b), ("%d + %d = %d."):format(a, b, a + b)
  end,
  function(r)
    local a, b = r.int(20, 99), r.int(20, 99)                -- too large to know: a tool is asked
    return ("What is %d + %d?"):format(a, b), ('%s{"tool": "add", "a": %d, "b": %d}%s%s%d%s%s%d + %d = %d.'):format(CALL, a, b, END,
      RESULT, a + b, END, ASSISTANT, a, b, a + b)
  end,
  function(r)
    local p, sky, deg = r.pick(places), r.pick(weathers), r.int(0, 30)
    return ("What is the weather near the %s?"):format(p),
      ('%s{"tool": "weather", "place": "%s"}%s%s{"sky": "%s", "degrees": %d}%s%sIt is %s near the %s, %d degrees.'):format(CALL, p, END, RESULT, sky,
        deg, END, ASSISTANT, sky, p, deg)
  end,
  function(r)
    local g, n = r.pick(group_names), r.int(2, 4)
    local word = ({ [2] = "two", [3] = "three", [4] = "four" })[n]
    return ("Name %s %s."):format(word, g), join(r.some(groups[g], n), " and ") .. "."
  end,
  function(r)
    local A = r.pick(names)
    return ("My name is %s."):format(A), ("Hello, %s."):format(A)
  end,
  function(r)
    local list = random_list(r, r.int(2, 10))
    return ("Say %s."):format(table.concat(list, " ")), table.concat(list, " ") .. "."
  end,
  function(r)
    local s = passage(r, 1)
    local q = ask(r, s, 1)[1]
    return table.concat(s.out, " ") .. " " .. q[1], q[2]
  end,
  function(r)
    local A, t = r.pick(names), r.pick(things)
    local s = tell_story(r, 1, { A = A, t = t })
    return ("Tell me a story about %s and a %s."):format(A, t), table.concat(s.out, " ")
  end,
}

function makers.chat(r)
  local out = {}
  if r.maybe(0.3) then out[1] = "<|system|>" .. r.pick { "You are a kind helper.", "You help children.", "Be short." } .. END end
  for _ = 1, r.int(1, 4) do
    local user, assistant = r.pick(turns)(r)
    out[#out + 1] = USER .. user .. END .. ASSISTANT .. assistant .. END
  end
  return table.concat(out), {}
end

---------------------------------------------------------------------------------------------------------------------
-- The mixtures: how often a document is of which kind. "first" teaches to look back; "second" has tales for stories, "third" large
-- sums besides, "fourth" says more often who has what, "fifth" tells of one thing at a time, "sixth" asks more. "seventh" to "tenth"
-- look for what makes a model learn which belongs to which: asking nearly everything, bare facts, answers without questions, and nothing
-- else. "eleventh" has a share of all.

local mixtures = { first = { { "story", 16 }, { "long_story", 4 }, { "questions", 24 }, { "copy", 10 }, { "list", 9 }, { "pairs", 6 }, { "sums", 10 }, { "word_sums", 3 },
  { "count", 4 }, { "brackets", 6 }, { "json", 6 }, { "record", 4 }, { "define", 2 }, { "group", 1 }, { "chat", 14 } },
  second = { { "story", 2 }, { "tale", 20 }, { "questions", 26 }, { "copy", 10 }, { "list", 9 }, { "pairs", 6 }, { "sums", 12 }, { "word_sums", 3 },
  { "count", 3 }, { "brackets", 7 }, { "json", 5 }, { "record", 3 }, { "define", 2 }, { "group", 1 }, { "chat", 16 } },
  third = { { "story", 2 }, { "tale", 18 }, { "questions", 30 }, { "copy", 6 }, { "list", 6 }, { "pairs", 9 }, { "sums", 10 }, { "large_sums", 8 },
  { "word_sums", 3 }, { "count", 3 }, { "brackets", 5 }, { "json", 5 }, { "record", 4 }, { "define", 2 }, { "group", 1 }, { "chat", 20 } },
  fourth = { { "story", 1 }, { "tale", 3 }, { "chronicle", 22 }, { "questions", 36 }, { "copy", 3 }, { "list", 8 }, { "pairs", 9 }, { "sums", 12 }, { "large_sums", 8 },
  { "word_sums", 3 }, { "count", 3 }, { "brackets", 3 }, { "json", 3 }, { "record", 3 }, { "define", 1 }, { "group", 1 }, { "chat", 20 } },
  fifth = { { "story", 1 }, { "chronicle", 2 }, { "chain", 24 }, { "questions", 42 }, { "copy", 3 }, { "list", 9 }, { "pairs", 8 }, { "sums", 12 }, { "large_sums", 6 },
  { "word_sums", 3 }, { "count", 3 }, { "brackets", 3 }, { "json", 5 }, { "record", 3 }, { "define", 1 }, { "group", 1 }, { "chat", 18 } },
  sixth = { { "chain", 16 }, { "questions", 90 }, { "copy", 3 }, { "list", 9 }, { "pairs", 4 }, { "sums", 8 }, { "large_sums", 8 }, { "word_sums", 2 }, { "count", 2 },
  { "brackets", 2 }, { "json", 3 }, { "record", 3 }, { "define", 1 }, { "group", 1 }, { "chat", 12 } },
  seventh = { { "chain", 14 }, { "questions", 20 }, { "quiz", 70 }, { "copy", 2 }, { "list", 3 }, { "rounds", 12 }, { "pairs", 4 }, { "sums", 7 }, { "large_sums", 7 },
  { "word_sums", 1 }, { "count", 2 }, { "brackets", 2 }, { "json", 3 }, { "record", 2 }, { "define", 1 }, { "group", 1 }, { "chat", 10 } },
  eighth = { { "chain", 14 }, { "facts", 70 }, { "questions", 10 }, { "quiz", 40 }, { "copy", 2 }, { "list", 3 }, { "rounds", 5 }, { "pairs", 4 }, { "sums", 9 },
  { "large_sums", 9 }, { "word_sums", 1 }, { "count", 2 }, { "brackets", 2 }, { "json", 3 }, { "record", 2 }, { "define", 1 }, { "group", 1 }, { "chat", 10 } },
  ninth = { { "chain", 10 }, { "backward", 30 }, { "answers", 70 }, { "facts", 20 }, { "questions", 5 }, { "quiz", 15 }, { "copy", 2 }, { "list", 2 },
  { "rounds", 4 }, { "pairs", 3 }, { "sums", 8 }, { "large_sums", 8 }, { "word_sums", 1 }, { "count", 2 }, { "brackets", 2 }, { "json", 3 }, { "record", 2 },
  { "define", 1 }, { "group", 1 }, { "chat", 8 } },
  tenth = { { "backward", 60 }, { "answers", 40 }, { "pairs", 8 }, { "sums", 4 }, { "chain", 6 } },
  twelfth = { { "belongs", 70 }, { "backward", 6 }, { "answers", 20 }, { "facts", 25 }, { "quiz", 6 }, { "sums", 4 }, { "large_sums", 4 }, { "chain", 6 },
  { "brackets", 1 }, { "json", 1 }, { "chat", 2 } },
  eleventh = { { "chain", 16 }, { "backward", 14 }, { "answers", 24 }, { "facts", 40 }, { "quiz", 44 }, { "questions", 14 }, { "copy", 2 }, { "list", 2 },
  { "rounds", 5 }, { "pairs", 5 }, { "sums", 9 }, { "large_sums", 9 }, { "word_sums", 1 }, { "count", 2 }, { "brackets", 3 }, { "json", 4 }, { "record", 3 },
  { "define", 1 }, { "group", 1 }, { "chat", 12 } },
  thirteenth = { { "chain", 20 }, { "belongs", 12 }, { "backward", 8 }, { "answers", 14 }, { "facts", 34 }, { "quiz", 60 }, { "questions", 20 }, { "copy", 3 }, { "list", 3 },
  { "rounds", 6 }, { "pairs", 5 }, { "sums", 10 }, { "large_sums", 10 }, { "word_sums", 2 }, { "count", 2 }, { "brackets", 4 }, { "json", 5 }, { "record", 3 },
  { "define", 1 }, { "group", 1 }, { "chat", 16 } } }

--- Document i of a seed: its text without marks, and its truth { kind = ..., ... }. Without a kind, one is drawn from the mixture.
function world.document(seed, i, kind, mixture)
  local r = chance(seed, i)
  local shares, total = mixtures[mixture or "fifth"], 0
  if not shares then error(("no mixture is called %q"):format(mixture), 0) end
  for _, m in ipairs(shares) do total = total + m[2] end
  local at = r.int(1, total)
  if not kind then
    for _, m in ipairs(shares) do
      at = at - m[2]
      if at <= 0 then
        kind = m[1]
        break
      end
    end
  elseif not makers[kind] then
    error(("no kind of document is called %q"):format(kind), 0)
  end
  local text, truth = makers[kind](r)
  truth.kind = kind
  return text, truth
end

world.makers, world.passage, world.ask, world.brackets, world.json_object, world.random_list, world.tell_tale = makers, passage, ask, brackets,
  json_object, random_list, tell_tale

---------------------------------------------------------------------------------------------------------------------
-- As a script

-- A value as Lua source, keys in order.
local function source(v)
  if type(v) ~= "table" then return type(v) == "string" and ("%q"):format(v) or tostring(v) end
  local keys, out = {}, {}
  for k in pairs(v) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  if #v == #keys then
    for i = 1, #v do out[i] = source(v[i]) end
  else
    for i, k in ipairs(keys) do out[i] = (type(k) == "string" and ("[%q]"):format(k) or "[" .. k .. "]") .. " = " .. source(v[k]) end
  end
  return "{ " .. table.concat(out, ", ") .. " }"
end
world.source = source

local function number_of(what, s, default)
  local n = math.tointeger(tonumber(s or default))
  if not n then error(("%s: %q is not a whole number"):format(what, s), 0) end
  return n
end

local command = arg and arg[1]
if command == "documents" then
  local seed = number_of("seed", arg[3], 1)
  for i = 1, number_of("documents", arg[2], 10) do print("<s>" .. world.document(seed, i, nil, arg[4]) .. "</s>") end
elseif command == "truth" then
  local seed = number_of("seed", arg[3], 1)
  print("return {")
  for i = 1, number_of("documents", arg[2], 10) do
    local _, truth = world.document(seed, i, nil, arg[4])
    print("  " .. source(truth) .. ",")
  end
  print("}")
elseif command == "show" then
  print((world.document(number_of("seed", arg[3], 1), 1, arg[2])))
end
