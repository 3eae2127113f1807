-- Nine decisions, then one play of the last customer asked about, timed now.
--   wrk ... -s mixed.lua URL -- IDS_FILE
local report = require "report"
local writer = require "plays"

setup = report.setup

local DECISIONS_PER_PLAY = 9

-- Two are made for each play, in a run of seconds.
local STRINGS = 2e5

local ids, requests, next_event
local step, customer = 0, 1

-- Read by report.done after the run.
plays = 0

function init(args)
  math.randomseed(thread_number + 1)
  ids = report.ids(args[1])
  requests = report.decision_requests(ids)
  -- Collecting among a million requests takes longer than any answer, and wrk would report it as the server's latency. Not
  -- sooner: while it is stopped LuaJIT's hash may leave most requests in one chain, and making them takes minutes.
  collectgarbage("stop")
  report.make_room(2 * #ids, STRINGS)
  next_event = writer.first_event(thread_number)
end

local function play()
  next_event = next_event + 1
  plays = plays + 1
  return writer.post(next_event, ids[customer])
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
