-- POST /events: one play of a random customer each time, timed now.
--   wrk ... -s events.lua URL -- IDS_FILE
local report = require "report"
local plays = require "plays"

setup = report.setup

-- Two are made for each event, half a million in a run.
local STRINGS = 1.2e6

local ids, next_event

function init(args)
  math.randomseed(thread_number + 1)
  ids = report.ids(args[1])
  -- As in mixed.lua: collecting takes longer than any answer, and while it is stopped reading ids may take minutes.
  collectgarbage("stop")
  report.make_room(#ids, STRINGS)
  next_event = plays.first_event(thread_number)
end

function request()
  next_event = next_event + 1
  return plays.post(next_event, ids[math.random(#ids)])
end

function done(summary, latency)
  report.done(summary, latency)
end
