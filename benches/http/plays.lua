-- Plays as JSON, for the scripts that write some.
local M = {}

local PLAY = '{"type":"play","event_id":%.0f,"customer_id":"%s","track_id":%d,"time":"%s","mobile":%s,"zip":"10234"}'
local TRACKS = 1750

-- The clock is asked each so many plays; a time costs more to write than all the rest.
local CLOCK_PERIOD = 1000

local now, asked = nil, 0

-- A million numbers for each second since 1970, so that no two runs share one.
function M.first_event(thread_number)
  return os.time() * 1e6 + thread_number * 1e9
end

-- One play, timed now.
function M.play(event, customer)
  if asked % CLOCK_PERIOD == 0 then
    now = os.date("!%Y-%m-%dT%H:%M:%SZ")
  end
  asked = asked + 1
  return PLAY:format(event, customer, math.random(TRACKS) - 1, now, math.random(2) == 1 and "true" or "false")
end

return M
