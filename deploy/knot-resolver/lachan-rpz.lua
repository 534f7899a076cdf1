-- Knot Resolver 5.6: include it in kresd.conf before rules that forward. It takes no zone by itself: a Knot DNS beside it
-- (deploy/knot/relay.conf) takes it under TSIG and writes the file. kresd answers NXDOMAIN and NODATA; it leaves out what is
-- answered by a CNAME (the sinkhole action).
local zone = "/var/lib/knot/lachan.zone"
local log = "/var/log/knot-resolver/lachan-hits.log"

local listed = policy.rpz(policy.DENY, zone, true)

-- A line for each hit, for the hit log agent. No client is in it.
policy.add(function(state, query)
  local action = listed(state, query)
  if action == nil or action == policy.PASS then
    -- An exception passes the list, not the rules behind it: those that forward, say.
    return nil
  end
  -- Opened anew each time, so that it may be rotated; one write of a short line is never torn.
  local file = io.open(log, "a")
  if file then
    local done = action == policy.DENY and "nxdomain" or "nodata"
    file:write(string.format("lachan-hit %d %s - %s\n", os.time(), done, kres.dname2str(query:name())))
    file:close()
  end
  return action
end)
