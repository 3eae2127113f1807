-- As pooled.lua, and every request offers to upgrade, as those of Java's client do.
--   wrk ... -s upgrade.lua URL -- IDS_FILE CONNECTIONS
local pool = require "pool"
local report = require "report"

setup = report.setup

function init(args)
  wrk.headers["Connection"] = "Upgrade, HTTP2-Settings"
  wrk.headers["Upgrade"] = "h2c"
  wrk.headers["HTTP2-Settings"] = "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"
  pool.init(args)
end

request = pool.request

function done(summary, latency)
  report.done(summary, latency)
end
