-- GET /should-show-ad/{id}, a random customer each time.
--   wrk ... -s decisions.lua URL -- IDS_FILE
local report = require "report"

setup = report.setup

local requests

function init(args)
  math.randomseed(thread_number + 1)
  requests = report.decision_requests(report.ids(args[1]))
end

function request()
  return requests[math.random(#requests)]
end

function done(summary, latency)
  report.done(summary, latency)
end
