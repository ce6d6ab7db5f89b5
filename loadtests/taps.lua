-- Taps of an in-app browser. Arguments: file of its headers, number of links, pattern (random, hot, skewed,
-- sequential), visitors.
local links, pattern, visitors = 100000, "random", 1000
local head_start = " HTTP/1.1\r\nHost: go.brand.example\r\n"
local requests = {}
local PREPARED = 100000 -- a million would fill the memory
local chosen

local function slug(number)
  return string.format("s%06d", number)
end

function init(args)
  local lines = {}
  for line in io.lines(args[1]) do lines[#lines + 1] = line end
  local headers = table.concat(lines, "\r\n")
  links = tonumber(args[2] or links)
  pattern = args[3] or pattern
  visitors = tonumber(args[4] or visitors)
  math.randomseed(os.time())
  local cookies = {}
  for visitor = 1, visitors do
    cookies[visitor] = "\r\nCookie: attribution_visitor=" .. string.format("v%021d", visitor) .. "\r\n\r\n"
  end
  local count = pattern == "hot" and 1 or links
  local function made(number)
    return "GET /" .. slug(number - 1) .. head_start .. headers .. cookies[(number * 7919) % visitors + 1]
  end
  for number = 1, math.min(count, PREPARED) do requests[number] = made(number) end
  setmetatable(requests, {__index = function(_, number) return made(number) end})
  local fifth = math.floor(links / 5)
  local random = math.random
  if pattern == "sequential" then
    local last = 0
    chosen = function()
      last = last % links + 1
      return requests[last]
    end
  elseif pattern == "hot" then
    chosen = function() return requests[1] end
  elseif pattern == "skewed" then
    chosen = function()
      if random() < 0.8 then return requests[random(fifth)] end
      return requests[fifth + random(links - fifth)]
    end
  else
    chosen = function() return requests[random(links)] end
  end
end

function request()
  return chosen()
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %d %.1f %.1f %.1f\n", summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.timeout, errors.status,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
