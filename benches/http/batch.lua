-- POST /decisions about 1,000 random customers each time.
--   wrk ... -s batch.lua URL -- IDS_FILE
local report = require "report"

setup = report.setup

local CUSTOMERS = 1000
-- Made before the clock starts; their customers are read again and again, but they are many.
local BODIES = 100

local requests = {}

function init(args)
  math.randomseed(thread_number + 1)
  local ids = report.ids(args[1])
  wrk.headers["Content-Type"] = "application/json"
  for i = 1, BODIES do
    local asked = {}
    for j = 1, CUSTOMERS do
      asked[j] = '"' .. ids[math.random(#ids)] .. '"'
    end
    requests[i] = wrk.format("POST", "/decisions", nil, '{"customers":[' .. table.concat(asked, ",") .. "]}")
  end
end

function request()
  return requests[math.random(#requests)]
end

function done(summary, latency)
  report.done(summary, latency)
end
