-- lab.lua - what a lab is, and how its checker meets the learner's script.
local host = ...
local lab = {}

local kinds = { predict = true, run = true, observe = true, explain = true }

local function must(condition, format, ...)
  if not condition then error(format:format(...), 0) end
end

local function text_field(t, key, where)
  must(type(t[key]) == "string" and t[key] ~= "", "%s: '%s' must be a text", where, key)
end

local function narrow(text, where)
  for line in (text .. "\n"):gmatch("(.-)\n") do
    must((utf8.len(line) or #line) <= 76, "%s: a line has more than 76 columns: %s", where, line)
  end
end

-- Look a lab's table over; raises and names the field that is wrong.
function lab.examine(t)
  must(type(t) == "table", "lab.lua must return a table")
  text_field(t, "id", "lab.lua")
  text_field(t, "title", "lab.lua")
  text_field(t, "view", "lab.lua")
  must(math.type(t.module) == "integer", "lab.lua: 'module' must be a whole number")
  must(math.type(t.minutes) == "integer", "lab.lua: 'minutes' must be a whole number")
  must(type(t.check) == "function", "lab.lua: 'check' must be a function")
  must(type(t.steps) == "table" and #t.steps > 0, "lab.lua: 'steps' must be a list")
  for i, step in ipairs(t.steps) do
    local where = ("lab.lua: step %d"):format(i)
    must(type(step) == "table", "%s must be a table", where)
    text_field(step, "title", where)
    text_field(step, "text", where)
    must(kinds[step.kind], "%s: 'kind' must be predict, run, observe or explain", where)
    narrow(step.text, where)
    if step.task then narrow(step.task, where) end
  end
  must(type(t.hints) == "table" and #t.hints == 3, "lab.lua: 'hints' must be a list of three")
  for i, hint in ipairs(t.hints) do narrow(hint, ("lab.lua: hint %d"):format(i)) end
  return t
end

-- Check a script against a lab. The script and the checker get globals of their own, so that neither can spoil the
-- other's. report(ok, name, message) takes each verdict. Returns the number of checks that failed.
function lab.check(definition, name, text, timings, report)
  local failed = 0
  local function verdict(ok, what, message)
    if not ok then failed = failed + 1 end
    report(ok, what, message)
  end
  host.check_sink(verdict)
  local chunk, why = host.load(name, text)
  if not chunk then
    verdict(false, "the file is Lua", why)
    return failed
  end
  local ok, answer = pcall(chunk)
  if not ok then
    verdict(false, "the file runs", tostring(answer))
    return failed
  end
  if type(answer) ~= "table" then
    verdict(false, "the file returns its table", ("it returned %s; the last line must stay: return lab")
      :format(answer == nil and "nothing" or "a " .. type(answer)))
    return failed
  end
  definition.check(answer, { timings = function() return timings end })
  return failed
end

return lab
