-- Lab 1.1, a known mistake: a prompt of one's own where the function was
-- handed one. It works for the table and for nothing else.

local lab = {}

function lab.system()
  local info = cut.sys.info()
  return { tiers = info.tiers, backends = info.backends, cpus = info.cpus }
end

function lab.describe(name)
  local config = assert(cut.model.open(name)):config()
  return { arch = config.arch, n_params = config.n_params }
end

function lab.generate(name, tier, prompt)
  local m = assert(cut.model.open(name))
  local options = { prompt = "Once upon a time", n = 32, temp = 0, tier = tier }
  return assert(m:generate(options))
end

function lab.table()
  local info, rows = cut.sys.info(), {}
  local tiers = info.best == "ref" and { "ref" } or { "ref", info.best }
  for _, name in ipairs{ "pebble", "pebble-draft" } do
    local what = lab.describe(name)
    for _, tier in ipairs(tiers) do
      local r = lab.generate(name, tier, "Once upon a time")
      rows[#rows + 1] = {
        model = name,
        tier = tier,
        arch = what.arch,
        n_params = what.n_params,
        tokens_per_s = r.tokens_per_s,
      }
    end
  end
  plot.table(rows, { "model", "tier", "n_params", "tokens_per_s" })
  return rows
end

lab.changed = "speed"

return lab
