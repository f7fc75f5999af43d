-- Lab 1.1: First run. Complete the functions; the checker calls them.
-- Read the steps: cutaway lab 1.1    Check: cutaway lab 1.1 --check FILE

local lab = {}

-- What can this machine do? Return a table with tiers, backends and cpus.
function lab.system()
  local info = cut.sys.info()
  print("this processor runs the tiers " .. table.concat(info.tiers, ", "))
  return {}
end

-- What is this model? Return a table with arch and n_params.
function lab.describe(name)
  local m = assert(cut.model.open(name))
  return {}
end

-- Generate 32 tokens greedily on a tier. Return what m:generate returns.
function lab.generate(name, tier, prompt)
  local m = assert(cut.model.open(name))
  return {}
end

-- A row for each model at the tiers "ref" and cut.sys.info().best, with the
-- fields model, tier, arch, n_params and tokens_per_s.
function lab.table()
  local rows = {}
  return rows
end

-- What did the tier change: "text", "speed", "both" or "neither"?
lab.changed = nil

return lab
