-- Taps of an Instagram in-app browser. Arguments: number of links, pattern (random, hot, skewed, sequential), visitors.
local links, pattern, visitors = 100000, "random", 1000
local head_start = " HTTP/1.1\r\nHost: go.brand.example\r\n"
local headers = table.concat({
  "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 334.0.4.32.98 (iPhone15,3; iOS 17_5_1; en_US; en; scale=3.00; 1290x2796; 598323397; IABMV/1)",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
  "Accept-Language: en-US,en;q=0.9",
  "Accept-Encoding: gzip, deflate, br",
  "Referer: https://l.instagram.com/?u=https%3A%2F%2Fgo.brand.example%2Fabc&e=AT0abcdefghijklmnop",
  "Sec-Fetch-Dest: document",
  "Sec-Fetch-Mode: navigate",
  "Sec-Fetch-Site: cross-site",
  "Upgrade-Insecure-Requests: 1",
  "Connection: keep-alive",
}, "\r\n")
local requests = {}
local chosen

local function slug(number)
  return string.format("s%06d", number)
end

function init(args)
  links = tonumber(args[1] or links)
  pattern = args[2] or pattern
  visitors = tonumber(args[3] or visitors)
  math.randomseed(os.time())
  local cookies = {}
  for visitor = 1, visitors do
    cookies[visitor] = "\r\nCookie: attribution_visitor=" .. string.format("v%021d", visitor) .. "\r\n\r\n"
  end
  local count = pattern == "hot" and 1 or links
  for number = 1, count do
    requests[number] = "GET /" .. slug(number - 1) .. head_start .. headers .. cookies[(number * 7919) % visitors + 1]
  end
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
