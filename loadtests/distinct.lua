-- Taps of which none repeats another in one thing. Arguments: file of a browser's headers, kind, first number.
local kind, number
local headers

local made = {
  ["links"] = function(n) return string.format("s%06d", n), "", headers end,
  ["unknown slugs"] = function(n) return string.format("unknown%07d", n), "", headers end,
  ["visitors"] = function(n) return "s000001", string.format("Cookie: attribution_visitor=d%021d\r\n", n), headers end,
  ["agents"] = function(n) return "s000001", "", (headers:gsub("Mobile/15E148", "Mobile/" .. n, 1)) end,
  ["referrers"] = function(n) return "s000001", "", (headers:gsub("l%.instagram%.com", "r" .. n .. ".example", 1)) end,
  ["addresses"] = function(n)
    local address = string.format("100.%d.%d.%d", math.floor(n / 65536) % 256, math.floor(n / 256) % 256, n % 256)
    return "s000001", "X-Forwarded-For: " .. address .. "\r\n", headers
  end,
}

function init(args)
  local lines = {}
  for line in io.lines(args[1]) do lines[#lines + 1] = line end
  headers = table.concat(lines, "\r\n") .. "\r\n"
  kind, number = args[2], tonumber(args[3])
end

function request()
  number = number + 1
  local slug, line, others = made[kind](number)
  return "GET /" .. slug .. " HTTP/1.1\r\nHost: go.brand.example\r\n" .. others .. line .. "\r\n"
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %d %.1f %.1f %.1f\n", summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.timeout, errors.status,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
