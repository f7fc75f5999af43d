-- plot.lua - pictures in plain text, for the console and for tests. Every function prints, and returns the text.
local plot = {}
local ramp = " .:-=+*#%@"

local function numbers(values, what)
  if type(values) == "userdata" then values = values:table() end
  if type(values) ~= "table" then error(what .. " takes a list of numbers or a tensor", 3) end
  return values
end

local function range(values)
  local low, high = math.huge, -math.huge
  for _, v in ipairs(values) do
    if v == v then low, high = math.min(low, v), math.max(high, v) end
  end
  return low, high
end

local function show(lines)
  local text = table.concat(lines, "\n")
  print(text)
  return text
end

--- A horizontal bar for each number.
-- @function plot.bars
-- @tparam Tensor|{number,...} values
-- @tparam[opt] table options labels, a list; width of the longest bar (40); title
-- @treturn string
-- @usage
-- local text = plot.bars({ 1, 4 }, { labels = { "a", "b" }, width = 8 })
-- assert(text:find("b ######## 4", 1, true))
function plot.bars(values, o)
  values, o = numbers(values, "plot.bars"), o or {}
  local width, label_width, most = o.width or 40, 0, 0
  local labels = o.labels or {}
  for i, v in ipairs(values) do
    most = math.max(most, math.abs(v))
    label_width = math.max(label_width, utf8.len(tostring(labels[i] or i)) or 0)
  end
  local lines = { o.title }
  for i, v in ipairs(values) do
    local label = tostring(labels[i] or i)
    local n = most > 0 and math.floor(math.abs(v) / most * width + 0.5) or 0
    local pad = (" "):rep(label_width - (utf8.len(label) or 0))
    lines[#lines + 1] = ("%s%s %s %.4g"):format(label, pad, ("#"):rep(n), v)
  end
  return show(lines)
end

--- A heat map: a character for each number, from ' ' (the smallest) to '@' (the largest).
-- @function plot.heat
-- @tparam Tensor|{{number,...},...} values one or two dimensions
-- @tparam[opt] table options title; min, max: fix the scale
-- @treturn string
-- @usage
-- local text = plot.heat(cut.tensor{ { 0, 1 }, { 1, 0 } })
-- assert(text:find("| @|\n|@ |", 1, true))
function plot.heat(values, o)
  values, o = numbers(values, "plot.heat"), o or {}
  if type(values[1]) ~= "table" then values = { values } end
  local low, high = math.huge, -math.huge
  for _, row in ipairs(values) do
    local a, b = range(row)
    low, high = math.min(low, a), math.max(high, b)
  end
  low, high = o.min or low, o.max or high
  local lines = { o.title }
  for _, row in ipairs(values) do
    local cells = {}
    for i, v in ipairs(row) do
      local k = high > low and v == v and math.floor((v - low) / (high - low) * (#ramp - 1) + 0.5) or 0
      k = math.max(0, math.min(#ramp - 1, k))
      cells[i] = v == v and ramp:sub(k + 1, k + 1) or "?"
    end
    lines[#lines + 1] = "|" .. table.concat(cells) .. "|"
  end
  lines[#lines + 1] = ("' ' = %.4g   '@' = %.4g"):format(low, high)
  return show(lines)
end

--- A line over equal steps, as a column of dots for each number.
-- @function plot.line
-- @tparam Tensor|{number,...} values
-- @tparam[opt] table options height (10), title
-- @treturn string
-- @usage assert(plot.line({ 1, 2, 3 }, { height = 3 }):find("  *", 1, true))
function plot.line(values, o)
  values, o = numbers(values, "plot.line"), o or {}
  local height = o.height or 10
  local low, high = range(values)
  local lines = { o.title }
  for row = height, 1, -1 do
    local cells = {}
    for i, v in ipairs(values) do
      local at = high > low and math.floor((v - low) / (high - low) * (height - 1) + 0.5) + 1 or 1
      cells[i] = at == row and "*" or " "
    end
    local edge = row == height and ("%10.4g"):format(high) or row == 1 and ("%10.4g"):format(low) or (" "):rep(10)
    lines[#lines + 1] = edge .. " |" .. table.concat(cells)
  end
  return show(lines)
end

--- A table with aligned columns.
-- @function plot.table
-- @tparam {table,...} rows each a table with the columns as fields
-- @tparam {string,...} columns
-- @treturn string
-- @usage assert(plot.table({ { a = 1, b = "x" } }, { "a", "b" }):find("1  x", 1, true))
function plot.table(rows, columns)
  local width, lines = {}, {}
  local function cell(v)
    if math.type(v) == "float" then return ("%.4g"):format(v) end
    return v == nil and "-" or tostring(v)
  end
  for i, c in ipairs(columns) do
    width[i] = #c
    for _, row in ipairs(rows) do width[i] = math.max(width[i], #cell(row[c])) end
  end
  local function line(get)
    local cells = {}
    for i, c in ipairs(columns) do
      local text = get(c)
      cells[i] = text .. (" "):rep(width[i] - #text)
    end
    lines[#lines + 1] = (table.concat(cells, "  "):gsub("%s+$", ""))
  end
  line(function(c) return c end)
  for _, row in ipairs(rows) do line(function(c) return cell(row[c]) end) end
  return show(lines)
end

return plot
