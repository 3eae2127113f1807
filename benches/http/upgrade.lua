-- GET /should-show-ad/{id} on connections as a pool has them: each has carried a bulk body, a body in chunks and a health
-- check before, and every request offers to upgrade, as those of Java's client do.
--   wrk ... -s upgrade.lua URL -- IDS_FILE CONNECTIONS
local pool = require "pool"
local report = require "report"

setup = report.setup

local requests, preamble, connections
local made = 0

function init(args)
  math.randomseed(thread_number + 1)
  connections = tonumber(args[2])
  wrk.headers["Connection"] = "Upgrade, HTTP2-Settings"
  wrk.headers["Upgrade"] = "h2c"
  wrk.headers["HTTP2-Settings"] = "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"
  requests = report.decision_requests(report.ids(args[1]))
  preamble = pool.preamble()
end

-- The first requests go to one connection each, and so do the next as many.
function request()
  made = made + 1
  return preamble[math.ceil(made / connections)] or requests[math.random(#requests)]
end

function done(summary, latency)
  report.done(summary, latency)
end
