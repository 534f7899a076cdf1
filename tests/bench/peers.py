"""The servers beside which this one is measured: how each is started with the same list and upstream.

Every peer is set up as its own documentation would have it for one worker: batches where it knows them, caches large
enough for every workload, no logging. DNS over TLS stands 100 ports above where a peer does it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

UPSTREAM_PORT = 5300
TLS_OFFSET = 100
ECHO = Path(__file__).with_name("echo.c")
SEARCH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

UNBOUND = """server:
  interface: 127.0.0.1@%(port)d
%(tls)s
  do-daemonize: no
  use-syslog: no
  logfile: ""
  verbosity: 0
  username: ""
  chroot: ""
  directory: "%(base)s"
  pidfile: ""
  do-not-query-localhost: no
  num-threads: 1
  so-reuseport: yes
  so-rcvbuf: 4m
  msg-cache-size: 256m
  rrset-cache-size: 512m
  module-config: "%(modules)s"
  access-control: 127.0.0.0/8 allow
  outgoing-range: 4096
  num-queries-per-thread: 2048
%(list)s
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@%(upstream)d
remote-control:
  control-enable: no
"""

DNSDIST = """setLocal('127.0.0.1:%(port)d', {reusePort=true})
addTLSLocal('127.0.0.1:%(tls_port)d', '%(base)s/certificate.pem', '%(base)s/key.pem', {reusePort=true})
setACL('127.0.0.0/8')
newServer({address='127.0.0.1:%(upstream)d', checkInterval=60})
names = newSuffixMatchNode()
for line in io.lines('%(base)s/names.txt') do names:add(line) end
addAction(SuffixMatchNodeRule(names, true), RCodeAction(DNSRCode.NXDOMAIN))
getPool(''):setCache(newPacketCache(1000000, {maxTTL=86400}))
setMaxUDPOutstanding(65535)
setUDPMultipleMessagesVectorSize(64)
"""

RECURSOR = """local-address=127.0.0.1:%(port)d
socket-dir=%(base)s
threads=1
pdns-distributes-queries=no
reuseport=yes
daemon=no
disable-syslog=yes
quiet=yes
forward-zones-recurse=.=127.0.0.1:%(upstream)d
lua-config-file=%(base)s/recursor/rpz.lua
dnssec=off
max-cache-entries=2000000
max-packetcache-entries=1000000
allow-from=127.0.0.0/8
dont-query=
loglevel=3
max-mthreads=4096
"""

KRESD = """net.listen('127.0.0.1', %(port)d, {kind='dns'})
modules = {'policy', 'hints'}
cache.size = 512*MB
trust_anchors.remove('.')
policy.add(policy.rpz(policy.DENY, '%(base)s/rpz-absolute.zone', false))
policy.add(policy.all(policy.STUB('127.0.0.1@%(upstream)d')))
"""

DNSMASQ = """port=%(port)d
keep-in-foreground
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
server=127.0.0.1#%(upstream)d
cache-size=10000
dns-forward-max=10000
user=root
pid-file=%(base)s/dnsmasq.pid
conf-file=%(base)s/dnsmasq-names.conf
"""

UPSTREAM = """server:
  ip-address: 127.0.0.1@%(upstream)d
  zonesdir: "%(base)s"
  username: ""
  chroot: ""
  pidfile: "%(base)s/nsd.pid"
  database: ""
  xfrdfile: "%(base)s/xfrd"
  zonelistfile: "%(base)s/zones"
  xfrdir: "%(base)s"
  server-count: 1
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: "."
  zonefile: "root.zone"
"""


@dataclass(frozen=True)
class Peer:
    """How one server is started."""

    port: int
    program: str
    command: list[str]
    tls: bool = False
    echo: bool = False


def peers(base: Path) -> dict[str, Peer]:
    """Every peer, its configuration written to `base`."""

    def conf(name: str, text: str, port: int, **values: object) -> str:
        path = base / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            text % {"base": base, "port": port, "tls_port": port + TLS_OFFSET, "upstream": UPSTREAM_PORT, **values}
        )
        return str(path)

    tls = (
        f"  interface: 127.0.0.1@{5402 + TLS_OFFSET}\n  tls-port: {5402 + TLS_OFFSET}\n"
        f'  tls-service-key: "{base}/key.pem"\n  tls-service-pem: "{base}/certificate.pem"'
    )
    rpz = f'rpz:\n  name: rpz\n  zonefile: "{base}/rpz.zone"\n  rpz-action-override: nxdomain\n'
    u1 = conf("u1.conf", UNBOUND, 5401, modules="respip iterator", list=rpz, tls="")
    u2 = conf("u2.conf", UNBOUND, 5402, modules="iterator", list=f'include: "{base}/unbound-names.conf"\n', tls=tls)
    conf("recursor/rpz.lua", 'rpzFile("%(base)s/rpz.zone", {defpol=Policy.NXDOMAIN})', 5404)
    recursor = Path(conf("recursor/recursor.conf", RECURSOR, 5404)).parent
    kresd = Path(conf("kresd/kresd.conf", KRESD, 5405))
    dnsdist = conf("dnsdist.conf", DNSDIST, 5403)
    dnsmasq = conf("dnsmasq.conf", DNSMASQ, 5407)
    return {
        "echo": Peer(5400, "gcc", [str(base / "echo"), "5400"], echo=True),
        "echo-wildcard": Peer(5399, "gcc", [str(base / "echo"), "5399", "wildcard"], echo=True),
        "dnsdist": Peer(5403, "dnsdist", ["dnsdist", "--supervised", "--disable-syslog", "-C", dnsdist], tls=True),
        "unbound": Peer(5402, "unbound", ["unbound", "-d", "-c", u2], tls=True),
        "unbound-rpz": Peer(5401, "unbound", ["unbound", "-d", "-c", u1]),
        "knot-resolver": Peer(5405, "kresd", ["kresd", "-n", "-c", str(kresd), str(kresd.parent)]),
        "recursor": Peer(5404, "pdns_recursor", ["pdns_recursor", f"--config-dir={recursor}"]),
        "dnsmasq": Peer(5407, "dnsmasq", ["dnsmasq", f"--conf-file={dnsmasq}"]),
    }


def installed(program: str) -> bool:
    """Whether a program can be run."""
    return shutil.which(program, path=SEARCH) is not None


def build_echo(base: Path) -> None:
    """Compiles the kernel's floor."""
    subprocess.run(["gcc", "-O2", str(ECHO), "-o", str(base / "echo")], check=True)


def start_upstream(base: Path) -> subprocess.Popen[bytes]:
    """NSD with a root zone whose wildcard answers every name."""
    (base / "root.zone").write_text(
        "$ORIGIN .\n$TTL 3600\n@ SOA ns. h. 1 3600 600 86400 300\n@ NS ns.\nns. A 127.0.0.1\n"
        "* A 192.0.2.1\n* AAAA 2001:db8::1\n"
    )
    (base / "nsd.conf").write_text(UPSTREAM % {"base": base, "upstream": UPSTREAM_PORT})
    return subprocess.Popen(
        ["taskset", "-c", "1", "nsd", "-d", "-c", str(base / "nsd.conf")],
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PATH": SEARCH},
    )
