-- PowerDNS Recursor 4.6 or newer, `lua-dns-script`: a line for each hit on the list, for the hit log agent. No client is in it.
local log = "/var/log/pdns-recursor/lachan-hits.log"
local actions = { [0] = "passthru", [1] = "drop", [2] = "nxdomain", [3] = "nodata", [4] = "tcp-only", [5] = "data" }

function policyEventFilter(event)
  local policy = event.appliedPolicy
  if policy.policyName == "lachan" and policy.policyKind ~= 0 then
    -- Opened anew each time, so that it may be rotated; one write of a short line is never torn.
    local file = io.open(log, "a")
    if file then
      file:write(string.format("lachan-hit %d %s %s %s\n", os.time(), actions[policy.policyKind] or "other",
        tostring(policy.policyTrigger), event.qname:toString()))
      file:close()
    end
  end
  return false
end
