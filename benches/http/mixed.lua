-- Nine decisions, then one play of the last customer asked about, timed now.
--   wrk ... -s mixed.lua URL -- IDS_FILE
local report = require "report"

setup = report.setup

local DECISIONS_PER_PLAY = 9
local PLAY = '{"type":"play","event_id":%.0f,"customer_id":"%s","track_id":%d,"time":"%s","mobile":%s,"zip":"10234"}'
local TRACKS = 1750

local ids, requests, next_event
local step, customer = 0, 1

-- Read by report.done after the run.
plays = 0

function init(args)
  math.randomseed(thread_number + 1)
  ids = report.ids(args[1])
  requests = report.decision_requests(ids)
  wrk.headers["Content-Type"] = "application/json"
  -- A million numbers for each second since 1970, so that no two runs share one.
  next_event = os.time() * 1e6 + thread_number * 1e9
end

local function play()
  next_event = next_event + 1
  plays = plays + 1
  local body = PLAY:format(next_event, ids[customer], math.random(TRACKS) - 1, os.date("!%Y-%m-%dT%H:%M:%SZ"),
    math.random(2) == 1 and "true" or "false")
  return wrk.format("POST", "/events", nil, body)
end

function request()
  step = (step + 1) % (DECISIONS_PER_PLAY + 1)
  if step == 0 then
    return play()
  end
  customer = math.random(#ids)
  return requests[customer]
end

function done(summary, latency)
  report.done(summary, latency, "plays")
end
