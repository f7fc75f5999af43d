-- check.lua - named checks with a verdict each.
--
-- check("rows sum to 1", fn) runs fn; the check passes when fn returns, and fails with the message of what fn raised.
-- Outside a lab's checker the verdict is printed; inside, it goes to the learner's screen.
local check = {}
local sink = function(ok, name, message)
  print((ok and "ok    " or "FAIL  ") .. name .. (message and "\n      " .. message or ""))
end

-- What check.fail raises: a message without a place, for the place would be the checker's.
local failure = { __tostring = function(f) return f.message end, __metatable = "check failure" }

--- Give up on the check under way, with a message for the learner.
-- @function check.fail
-- @tparam string format as string.format takes it
-- @param ... its values
-- @usage
-- local ok, why = pcall(check.fail, "row %d is empty", 3)
-- assert(tostring(why) == "row 3 is empty")
function check.fail(format, ...)
  error(setmetatable({ message = format:format(...) }, failure), 0)
end

local function brief(v)
  if type(v) == "string" then return ("%q"):format(#v > 40 and v:sub(1, 37) .. "..." or v) end
  if type(v) == "table" then
    local parts = {}
    for i = 1, math.min(#v, 6) do parts[i] = type(v[i]) == "table" and "{...}" or brief(v[i]) end
    return "{ " .. table.concat(parts, ", ") .. (#v > 6 and ", ... }" or " }")
  end
  return tostring(v)
end

--- Fail unless the condition holds.
-- @function check.that
-- @param condition
-- @tparam string format
-- @param ... its values
-- @usage check.that(1 < 2, "one is not below two")
function check.that(condition, format, ...)
  if not condition then check.fail(format, ...) end
end

--- Fail unless both are the same number, string or boolean.
-- @function check.equal
-- @param got
-- @param want
-- @tparam string what names the thing in the message
-- @usage check.equal(1 + 1, 2, "the sum")
function check.equal(got, want, what)
  if rawequal(got, want) or math.type(got) and math.type(want) and got == want then return end
  check.fail("%s: got %s, want %s", what, brief(got), brief(want))
end

--- Fail unless the number is within a tolerance.
-- @function check.near
-- @tparam number got
-- @tparam number want
-- @tparam number tolerance
-- @tparam string what
-- @usage check.near(0.1 + 0.2, 0.3, 1e-12, "the sum")
function check.near(got, want, tolerance, what)
  if type(got) ~= "number" then check.fail("%s: got %s, want a number", what, brief(got)) end
  if not (math.abs(got - want) <= tolerance) then
    check.fail("%s: got %.6g, want %.6g within %.2g", what, got, want, tolerance)
  end
end

--- Fail unless both lists hold the same values in the same order. The message names the first place that differs.
-- @function check.list
-- @tparam table got
-- @tparam table want
-- @tparam string what
-- @usage check.list({ 1, 2 }, { 1, 2 }, "the ids")
function check.list(got, want, what)
  if type(got) ~= "table" then check.fail("%s: got %s, want a list", what, brief(got)) end
  for i = 1, #want do
    if not rawequal(got[i], want[i]) then
      check.fail("%s: entry %d is %s, want %s", what, i, brief(got[i]), brief(want[i]))
    end
  end
  if #got ~= #want then check.fail("%s: %d entries, want %d", what, #got, #want) end
end

--- Run a check by name.
-- @function check
-- @tparam string name
-- @tparam function fn
-- @treturn boolean did it pass?
-- @usage
-- assert(check("arithmetic", function() check.equal(2 * 3, 6, "the product") end))
local function run(_, name, fn)
  local ok, why = pcall(fn)
  sink(ok, name, not ok and tostring(why) or nil)
  return ok
end

local function set_sink(fn) sink = fn end

return setmetatable(check, { __call = run, __metatable = "check" }), set_sink
