-- What both wrk scripts share: requests made beforehand, and the result as one line of JSON.
local M = {}

local threads = {}

-- The host calls this for each thread before it starts.
function M.setup(thread)
  thread:set("thread_number", #threads)
  table.insert(threads, thread)
end

-- The ids in a file, one a line.
function M.ids(path)
  local ids = {}
  for line in io.lines(path) do
    ids[#ids + 1] = line
  end
  assert(#ids > 0, "no ids in " .. path)
  return ids
end

-- A request for the decision about each id, made before the clock starts; wrk.format for each would take longer than
-- the run where there are a million.
function M.decision_requests(ids)
  local head = wrk.format("GET", "/should-show-ad/@")
  local at = head:find("@", 1, true)
  local before, after = head:sub(1, at - 1), head:sub(at + 1)
  local requests = {}
  for i, id in ipairs(ids) do
    requests[i] = before .. id .. after
  end
  return requests
end

-- Makes LuaJIT's table of strings so large that `more` fit in addition to the `held` ones. It doubles when they outnumber its
-- slots and moves all of them at once, which takes 80 ms for one million and 290 for two; wrk would report that as the
-- server's latency. Only with the collector stopped, which would make it small again.
function M.make_room(held, more)
  local slots = 1
  while slots < held do
    slots = 2 * slots
  end
  last = nil
  while slots < held + more do
    while held <= slots do
      held = held + 1
      -- Short: of longer strings LuaJIT hashes some letters only, and those that share them end in one chain.
      last = held .. ""
    end
    slots = 2 * slots
  end
end

-- Prints the result for the script that started wrk; `count` names a global of the threads that is summed up.
function M.done(summary, latency, count)
  local counted = 0
  for _, thread in ipairs(threads) do
    counted = counted + (count and thread:get(count) or 0)
  end
  local errors = summary.errors
  local line = '{"requests":%.0f,"duration_us":%.0f,"counted":%.0f,'
    .. '"failed":{"connect":%d,"read":%d,"write":%d,"timeout":%d,"status":%d},'
    .. '"p50_us":%.1f,"p99_us":%.1f,"p999_us":%.1f,"max_us":%.1f}\n'
  io.write("RESULT ", string.format(line, summary.requests, summary.duration, counted,
    errors.connect, errors.read, errors.write, errors.timeout, errors.status,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end

return M
