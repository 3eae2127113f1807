-- Decisions on connections as a pool has them, for the scripts that load those.
local report = require "report"
local M = {}

local requests, preamble, connections
local made = 0

-- What a connection of a pool has carried before: blank lines, so that nothing is applied.
local function carried_before()
  local ndjson = { ["Content-Type"] = "application/x-ndjson", Host = wrk.headers["Host"] }
  local blank = ("\n"):rep(20000)
  local chunked = wrk.format("POST", "/events", { ["Content-Type"] = "application/x-ndjson",
    ["Transfer-Encoding"] = "chunked", Host = wrk.headers["Host"] })
  return {
    wrk.format("POST", "/events", ndjson, blank),
    chunked .. ("%x\r\n%s\r\n0\r\n\r\n"):format(#blank, blank),
    wrk.format("GET", "/healthz"),
  }
end

-- To be called by the script's `init`, once the header fields of every request are set.
function M.init(args)
  math.randomseed(thread_number + 1)
  connections = tonumber(args[2])
  requests = report.decision_requests(report.ids(args[1]))
  preamble = carried_before()
end

-- The first requests go to one connection each, and so do the next as many.
function M.request()
  made = made + 1
  return preamble[math.ceil(made / connections)] or requests[math.random(#requests)]
end

return M
