-- GET /should-show-ad/{id} on connections as a pool has them: each has carried a bulk body, a body in chunks and a health
-- check before.
--   wrk ... -s pooled.lua URL -- IDS_FILE CONNECTIONS
local pool = require "pool"
local report = require "report"

setup = report.setup
init = pool.init
request = pool.request

function done(summary, latency)
  report.done(summary, latency)
end
