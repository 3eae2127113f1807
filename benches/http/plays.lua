-- Plays as JSON, for the scripts that write some.
local M = {}

-- By hand: wrk.format takes longer than the server.
local HEAD = "POST /events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"

local PLAY = '{"type":"play","event_id":%.0f,"customer_id":"%s","track_id":%d,"time":"%s","mobile":%s,"zip":"10234"}'
local TRACKS = 1750

-- The clock is asked each so many plays; a time costs more to write than all the rest.
local CLOCK_PERIOD = 1000

local now, asked = nil, 0

-- A million numbers for each second since 1970, so that no two runs share one.
function M.first_event(thread_number)
  return os.time() * 1e6 + thread_number * 1e9
end

-- A request that posts one play, timed now.
function M.post(event, customer)
  if asked % CLOCK_PERIOD == 0 then
    now = os.date("!%Y-%m-%dT%H:%M:%SZ")
  end
  asked = asked + 1
  local mobile = math.random(2) == 1 and "true" or "false"
  local body = PLAY:format(event, customer, math.random(TRACKS) - 1, now, mobile)
  return HEAD:format(#body, body)
end

return M
