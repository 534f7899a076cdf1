-- PowerDNS Recursor 4.8 or newer, `lua-config-file`: takes the list from the authority under TSIG and applies it.
-- In recursor.conf besides: allow-notify-for=lachan.rpz.so.example and allow-notify-from=192.0.2.1, to be told at once; and
-- disable-packetcache=yes where hits are reported: an answer from that cache is a hit that no script is told of.
rpzPrimary("192.0.2.1:53", "lachan.rpz.so.example", {
  policyName = "lachan",
  refresh = 60,
  tsigname = "isp-a-1",
  tsigalgo = "hmac-sha256",
  tsigsecret = "c3ludGhldGljLXNlY3JldC1vZi1hbi1leGFtcGxlLi4=",
  -- With a copy on the disk, a restart filters from its first query.
  dumpFile = "/var/lib/pdns-recursor/lachan.rpz.zone",
  seedFile = "/var/lib/pdns-recursor/lachan.rpz.zone",
})
