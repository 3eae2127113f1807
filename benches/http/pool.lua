-- What connections of a pool have carried before, for the scripts that load those.
local M = {}

-- What a connection of a pool has carried before: blank lines, so that nothing is applied.
function M.preamble()
  local ndjson = { ["Content-Type"] = "application/x-ndjson", Host = wrk.headers["Host"] }
  local blank = ("\n"):rep(20000)
  local chunked = wrk.format("POST", "/events", { ["Content-Type"] = "application/x-ndjson",
    ["Transfer-Encoding"] = "chunked", Host = wrk.headers["Host"] })
  return {
    wrk.format("POST", "/events", ndjson, blank),
    chunked .. ("%x\r\n%s\r\n0\r\n\r\n"):format(#blank, blank),
    wrk.format("GET", "/healthz"),
  }
end

return M
