#!/usr/bin/env python3
"""Measure DNS filters side by side: same list, same queries, same upstream, same run.

Every server is pinned to core 0 and the load generator to core 1. All servers are started first,
then each round measures them in turn, so a slow spell of the machine hits them all; ratios are
taken within a round and their median is printed. Needs, from Debian: dnsperf nsd, and for the peers
unbound dnsdist pdns-recursor knot-resolver dnsmasq-base; gcc for the echo floor.

    bench.py --only echo,dnsdist,unbound --candidate ./start.sh

A run fails where a server answers with other response codes than the workload asks for, gives a wrong
answer to a sampled question, or loses more than 0.5 % of the queries: speed without the job is no speed.

A candidate is an executable. It is started with BENCH_PORT (UDP port on 127.0.0.1 to serve),
BENCH_NAMES (file, one blocked name a line, each with its subtree), BENCH_UPSTREAM (host:port of a
server that answers every name) and BENCH_DIR (scratch), and must exec a server of one worker.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

SYLLABLES = [c + v for c in "bcdfghjklmnprstvwxyz" for v in "aeiou"]
TLDS = ["com"] * 45 + ["net"] * 8 + ["org"] * 6 + ["vn"] * 8 + ["com.vn"] * 3 + ["info"] * 4 + ["xyz"] * 6 + ["top"] * 5
WORKLOADS = ("blocked", "cached", "mixed", "missed")
UPSTREAM_PORT = 5300
READY_SECONDS = 180
ECHO = Path(__file__).with_name("echo.c")


def make_names(count: int, rng: random.Random, tag: str = "") -> list[str]:
    """`count` distinct plausible domain names; `tag` keeps two sets apart."""
    names: set[str] = set()
    while len(names) < count:
        word = "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 5))) + tag
        if rng.random() < 0.2:
            word += str(rng.randint(1, 999))
        name = f"{word}.{rng.choice(TLDS)}"
        if rng.random() < 0.15:
            name = f"{rng.choice(['m', 'www', 'cdn', 'img', 'video'])}.{name}"
        names.add(name)
    ordered = sorted(names)
    rng.shuffle(ordered)
    return ordered


def write_inputs(
    base: Path, blocked: list[str], clean: list[str], rng: random.Random, rounds: int, seconds: float
) -> None:
    """The list in each peer's own format, and a query file for each workload and round (no miss comes twice)."""
    (base / "names.txt").write_text("\n".join(blocked) + "\n")
    head = "$TTL 60\n$ORIGIN {}\n@ SOA ns. h. 1 3600 600 86400 60\n@ NS ns.\n"
    zone = "".join(f"{n} CNAME .\n*.{n} CNAME .\n" for n in blocked)
    (base / "rpz.zone").write_text(head.format("rpz.") + zone)
    (base / "rpz-absolute.zone").write_text(head.format(".") + zone)
    (base / "unbound-names.conf").write_text(
        "server:\n" + "".join(f'local-zone: "{n}" always_nxdomain\n' for n in blocked)
    )
    (base / "dnsmasq-names.conf").write_text("".join(f"local=/{n}/\n" for n in blocked))

    def hot() -> str:
        return clean[min(int(rng.paretovariate(0.9)), min(10_000, len(clean)) - 1)]

    def mixed(i: int, turn: int) -> str:
        draw = rng.random()
        return rng.choice(blocked) if draw < 0.05 else f"m{turn}-{i}.{rng.choice(clean)}" if draw < 0.15 else hot()

    def cased(name: str) -> str:
        return name.swapcase() if rng.random() < 0.3 else name

    def qtype(workload: str) -> str:
        return rng.choices(("A", "AAAA", "HTTPS"), (60, 25, 15))[0] if workload == "mixed" else "A"

    enough = int(300_000 * (seconds + 1))
    for turn in range(rounds):
        queries = {
            "blocked": (f"{'www.' if rng.random() < 0.3 else ''}{rng.choice(blocked)}" for _ in range(enough)),
            "cached": (hot() for _ in range(enough)),
            "mixed": (mixed(i, turn) for i in range(enough)),
            "missed": (f"u{turn}-{i}.{clean[i % len(clean)]}" for i in range(enough)),
        }
        for workload, names in queries.items():
            with (base / f"{workload}-{turn}.txt").open("w") as out:
                out.writelines(f"{cased(n)} {qtype(workload)}\n" for n in names)


EXPECTED = {  # share of NXDOMAIN and of NOERROR that a workload must bring, lowest and highest
    "blocked": ((0.999, 1.0), (0.0, 0.001)),
    "cached": ((0.0, 0.001), (0.999, 1.0)),
    "mixed": ((0.045, 0.055), (0.945, 0.955)),
    "missed": ((0.0, 0.001), (0.995, 1.0)),
}


def peers(base: Path) -> dict[str, tuple[int, list[str]]]:
    """Name → (port, command) of each peer, its configuration written to `base`."""

    def conf(name: str, text: str) -> str:
        (base / name).write_text(text)
        return str(base / name)

    unbound = f"""server:
  interface: 127.0.0.1@%d
  do-daemonize: no
  use-syslog: no
  logfile: ""
  verbosity: 0
  username: ""
  chroot: ""
  directory: "{base}"
  pidfile: ""
  do-not-query-localhost: no
  num-threads: 1
  so-reuseport: yes
  so-rcvbuf: 4m
  msg-cache-size: 256m
  rrset-cache-size: 512m
  module-config: "%s"
  access-control: 127.0.0.0/8 allow
  outgoing-range: 4096
  num-queries-per-thread: 2048
%s
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{UPSTREAM_PORT}
remote-control:
  control-enable: no
"""
    rpz = f'rpz:\n  name: rpz\n  zonefile: "{base}/rpz.zone"\n  rpz-action-override: nxdomain\n'
    dnsdist = f"""setLocal('127.0.0.1:5403', {{reusePort=true}})
setACL('127.0.0.0/8')
newServer({{address='127.0.0.1:{UPSTREAM_PORT}', checkInterval=60}})
names = newSuffixMatchNode()
for line in io.lines('{base}/names.txt') do names:add(line) end
addAction(SuffixMatchNodeRule(names, true), RCodeAction(DNSRCode.NXDOMAIN))
getPool(''):setCache(newPacketCache(1000000, {{maxTTL=86400}}))
setMaxUDPOutstanding(65535)
setUDPMultipleMessagesVectorSize(64)
"""
    recursor_dir = base / "recursor"
    recursor_dir.mkdir(exist_ok=True)
    (recursor_dir / "rpz.lua").write_text(f'rpzFile("{base}/rpz.zone", {{defpol=Policy.NXDOMAIN}})')
    (recursor_dir / "recursor.conf").write_text(
        f"local-address=127.0.0.1:5404\nsocket-dir={base}\nthreads=1\npdns-distributes-queries=no\nreuseport=yes\n"
        f"daemon=no\ndisable-syslog=yes\nquiet=yes\nforward-zones-recurse=.=127.0.0.1:{UPSTREAM_PORT}\n"
        f"lua-config-file={recursor_dir}/rpz.lua\ndnssec=off\nmax-cache-entries=2000000\n"
        "max-packetcache-entries=1000000\nallow-from=127.0.0.0/8\ndont-query=\nloglevel=3\nmax-mthreads=4096\n"
    )
    (base / "kresd").mkdir(exist_ok=True)
    kresd = f"""net.listen('127.0.0.1', 5405, {{kind='dns'}})
modules = {{'policy', 'hints'}}
cache.size = 512*MB
trust_anchors.remove('.')
policy.add(policy.rpz(policy.DENY, '{base}/rpz-absolute.zone', false))
policy.add(policy.all(policy.STUB('127.0.0.1@{UPSTREAM_PORT}')))
"""
    binary = base / "echo"
    if shutil.which("gcc") and not binary.exists():
        subprocess.run(["gcc", "-O2", str(ECHO), "-o", str(binary)], check=True)
    local_zone = f'include: "{base}/unbound-names.conf"\n'
    return {
        "echo": (5400, [str(binary), "5400"]),
        "unbound-rpz": (5401, ["unbound", "-d", "-c", conf("u1.conf", unbound % (5401, "respip iterator", rpz))]),
        "unbound": (5402, ["unbound", "-d", "-c", conf("u2.conf", unbound % (5402, "iterator", local_zone))]),
        "dnsdist": (5403, ["dnsdist", "--supervised", "--disable-syslog", "-C", conf("dd.conf", dnsdist)]),
        "recursor": (5404, ["pdns_recursor", f"--config-dir={recursor_dir}"]),
        "knot-resolver": (5405, ["kresd", "-n", "-c", conf("kresd.conf", kresd), str(base / "kresd")]),
        "dnsmasq": (
            5407,
            [
                "dnsmasq",
                "-k",
                "-p",
                "5407",
                "--listen-address=127.0.0.1",
                "--bind-interfaces",
                "--no-resolv",
                "--no-hosts",
                f"--server=127.0.0.1#{UPSTREAM_PORT}",
                "--cache-size=10000",
                "--dns-forward-max=10000",
                f"--conf-file={base}/dnsmasq-names.conf",
                "--user=root",
                f"--pid-file={base}/dnsmasq.pid",
            ],
        ),
    }


def start_upstream(base: Path) -> subprocess.Popen[bytes]:
    """NSD with a root zone whose wildcard answers every name."""
    (base / "root.zone").write_text(
        "$ORIGIN .\n$TTL 3600\n@ SOA ns. h. 1 3600 600 86400 300\n@ NS ns.\nns. A 127.0.0.1\n"
        "* A 192.0.2.1\n* AAAA 2001:db8::1\n"
    )
    (base / "nsd.conf").write_text(
        f"""server:
  ip-address: 127.0.0.1@{UPSTREAM_PORT}
  zonesdir: "{base}"
  username: ""
  chroot: ""
  pidfile: "{base}/nsd.pid"
  database: ""
  xfrdfile: "{base}/xfrd"
  zonelistfile: "{base}/zones"
  xfrdir: "{base}"
  server-count: 1
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: "."
  zonefile: "root.zone"
"""
    )
    return subprocess.Popen(
        ["taskset", "-c", "1", "nsd", "-d", "-c", str(base / "nsd.conf")], stderr=subprocess.DEVNULL
    )


def query(port: int, name: str, timeout: float = 0.5) -> bytes | None:
    wire = (
        struct.pack("!6H", 4660, 0x0100, 1, 0, 0, 0)
        + b"".join(bytes([len(x)]) + x.encode() for x in name.split("."))
        + b"\0\0\1\0\1"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        sock.sendto(wire, ("127.0.0.1", port))
        with contextlib.suppress(OSError):
            return sock.recv(4096)
    return None


def family(pid: int) -> list[int]:
    """`pid` and all that descend from it."""
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{found[-1]}/task").iterdir():
                todo += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_seconds(pid: int) -> float:
    total = 0
    for member in family(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Private and proportional memory (PSS) of the whole family."""
    total = 0
    for member in family(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


def load(port: int, file: Path, seconds: float, transport: str) -> tuple[int, int, float, dict[str, float]]:
    """(completed, lost, queries per second, share of each response code) as dnsperf reports them."""
    out = subprocess.run(
        [
            "taskset",
            "-c",
            "1",
            "dnsperf",
            "-m",
            transport,
            "-s",
            "127.0.0.1",
            "-p",
            str(port),
            "-d",
            str(file),
            "-n",
            "1",
            "-e",
            "-c",
            "8",
            "-q",
            "400",
            "-l",
            str(seconds),
        ],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    values = {
        line.split(":")[0].strip(): line.split(":", 1)[1].split()
        for line in out.splitlines()
        if ":" in line and line.split(":")[1].split()
    }
    done = int(values["Queries completed"][0])
    codes = values.get("Response codes", [])
    return (
        done,
        int(values["Queries lost"][0]),
        float(values["Queries per second"][0]),
        {codes[i]: int(codes[i + 1]) / max(done, 1) for i in range(0, len(codes), 3)},
    )


def check_answers(name: str, port: int, blocked: list[str], clean: list[str], rng: random.Random) -> None:
    """100 listed names (and names under them) must be NXDOMAIN, 100 clean ones must carry the upstream's address."""
    for i in range(100):
        listed = query(port, ("x." if i % 2 else "") + rng.choice(blocked), 2)
        fresh = query(port, f"check{rng.random():.9f}".replace(".", "-") + "." + rng.choice(clean), 2)
        if not (listed and listed[3] & 15 == 3):
            sys.exit(f"{name}: a listed name is not blocked")
        if not (
            (fresh and fresh[3] & 15 == 0 and fresh.endswith(bytes([192, 0, 2, 1])))
            or (fresh and bytes([192, 0, 2, 1]) in fresh)
        ):
            sys.exit(f"{name}: a clean name is not answered as the upstream answers it")


@dataclass
class Bench:
    """One run: every server up, then every workload on each of them in turn."""

    base: Path
    transport: str
    seconds: float
    rounds: int
    workloads: list[str]
    servers: dict[str, tuple[int, list[str]]]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ready: dict[str, float] = field(default_factory=dict)
    results: dict[tuple[str, str], list[tuple[float, float, int]]] = field(default_factory=dict)

    def start(self, name: str, blocked: list[str], clean: list[str], rng: random.Random) -> None:
        """Starts a server and waits until it blocks and answers."""
        port, command = self.servers[name]
        scratch = self.base / f"{name}.d"
        scratch.mkdir(exist_ok=True)
        env = os.environ | {
            "BENCH_PORT": str(port),
            "BENCH_NAMES": str(self.base / "names.txt"),
            "BENCH_UPSTREAM": f"127.0.0.1:{UPSTREAM_PORT}",
            "BENCH_DIR": str(scratch),
        }
        log = self.base / f"{name}.log"
        began = time.monotonic()
        with log.open("wb") as out:
            process = self.running[name] = subprocess.Popen(
                ["taskset", "-c", "0", *command], env=env, start_new_session=True, stdout=out, stderr=subprocess.STDOUT
            )
        while not self.blocks_and_answers(name, blocked[0]):
            if process.poll() is not None or time.monotonic() - began > READY_SECONDS:
                sys.exit(f"{name} did not come up: {log.read_text()[-500:]}")
            time.sleep(0.02)
        self.ready[name] = time.monotonic() - began
        if name != "echo":
            check_answers(name, port, blocked, clean, rng)
        say(f"{name:14} blocking and answering after {self.ready[name]:6.2f} s, {memory_mb(process.pid):7.0f} MB")

    def blocks_and_answers(self, name: str, listed: str) -> bool:
        """Whether a server does its job yet; the echo's is to send back."""
        answer = query(self.servers[name][0], "clean.example.org")
        if answer is None or name == "echo":
            return answer is not None
        verdict = query(self.servers[name][0], listed)
        return answer[3] & 15 == 0 and verdict is not None and verdict[3] & 15 == 3

    def measure(self, name: str, workload: str, turn: int) -> None:
        """One round of a workload on a server; ends the run where the answers are not those the workload asks for."""
        port = self.servers[name][0]
        process = self.running[name]
        if workload == "cached":
            load(port, self.base / f"cached-{turn}.txt", self.seconds, self.transport)
        before = cpu_seconds(process.pid)
        done, lost, qps, codes = load(port, self.base / f"{workload}-{turn}.txt", self.seconds, self.transport)
        for code, (low, high) in zip(("NXDOMAIN", "NOERROR"), EXPECTED[workload], strict=True):
            if name != "echo" and not low <= codes.get(code, 0.0) <= high:
                sys.exit(f"{name}: {workload} brought {codes}, expected {code} in {low:.3f}..{high:.3f}")
        if lost > 0.005 * (done + lost) and lost > 1500:
            sys.exit(f"{name}: {workload} lost {lost} of {done + lost}")
        cpu = 1e6 * (cpu_seconds(process.pid) - before) / max(done, 1)
        self.results.setdefault((workload, name), []).append((qps, cpu, lost))

    def run(self) -> None:
        """Every round, workload and server in turn."""
        for turn in range(self.rounds):
            for workload in self.workloads:
                for name in self.servers:
                    if name != "echo" or (workload in ("blocked", "cached") and self.transport == "udp"):
                        self.measure(name, workload, turn)

    def ratio(self, workload: str, name: str, other: str) -> float | None:
        """CPU a query of a server against another's: the median of the rounds' ratios."""
        rows, others = self.results.get((workload, name)), self.results.get((workload, other))
        if not rows or not others:
            return None
        return statistics.median(a[1] / b[1] for a, b in zip(rows, others, strict=True))

    def print(self) -> None:
        """A table for each workload."""
        for workload in self.workloads:
            header = f"{'q/s':>9} {'CPU µs/q':>9} {'lost':>6}   CPU a query against: "
            say(f"\n{workload:14} {header}" + "  ".join(self.servers))
            for name in self.servers:
                rows = self.results.get((workload, name))
                if not rows:
                    continue
                cells = []
                for other in self.servers:
                    ratio = self.ratio(workload, name, other)
                    width = max(len(other), 4)
                    cells.append(" " * width if ratio is None else f"{ratio:{width}.2f}")
                qps, cpu = (statistics.median(row[i] for row in rows) for i in (0, 1))
                lost = sum(row[2] for row in rows)
                say(f"{name:14} {qps:9.0f} {cpu:9.2f} {lost:6d}   {' ' * 21}{'  '.join(cells)}")
        memory = ", ".join(f"{n} {memory_mb(p.pid):.0f} MB" for n, p in self.running.items() if n != "upstream")
        say(f"\nmemory after the load: {memory}")

    def document(self) -> dict[str, object]:
        """The same for machines: medians, and ratios of CPU a query."""
        return {
            workload: {
                name: {
                    "qps": round(statistics.median(row[0] for row in rows)),
                    "cpu_us": round(statistics.median(row[1] for row in rows), 2),
                    "against": {
                        other: round(ratio, 2)
                        for other in self.servers
                        if other != name and (ratio := self.ratio(workload, name, other)) is not None
                    },
                }
                for name in self.servers
                if (rows := self.results.get((workload, name)))
            }
            for workload in self.workloads
        } | {"ready_s": {name: round(seconds, 2) for name, seconds in self.ready.items()}}

    def stop(self) -> None:
        """Ends every server and removes what was written."""
        for name, process in self.running.items():
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGTERM) if name != "upstream" else process.terminate()
        for process in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        shutil.rmtree(self.base, ignore_errors=True)


def say(text: str) -> None:
    """Prints a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def missing_programs(wanted: list[str]) -> list[str]:
    """Which programs of a run are not installed."""
    programs = {"dnsdist": "dnsdist", "unbound": "unbound", "unbound-rpz": "unbound", "recursor": "pdns_recursor",
                "knot-resolver": "kresd", "dnsmasq": "dnsmasq", "echo": "gcc"}  # fmt: skip
    needed = ["dnsperf", "nsd", "taskset", *(programs[name] for name in wanted)]
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [program for program in needed if shutil.which(program, path=path) is None]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=int, default=1_000_000, help="names on the list (default 1,000,000)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default="echo,dnsdist,unbound", help="peers, comma separated, or 'all'")
    parser.add_argument("--candidate", action="append", default=[], metavar="EXECUTABLE")
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--transport", default="udp", choices=("udp", "tcp"))
    args = parser.parse_args()

    base = Path(tempfile.mkdtemp(prefix="dns-bench-"))
    chosen = peers(base)
    wanted = list(chosen) if args.only == "all" else [name for name in args.only.split(",") if name]
    if missing := missing_programs(wanted):
        sys.exit(f"not installed: {', '.join(missing)} (apt-get install dnsperf nsd unbound dnsdist)")
    rng = random.Random(args.seed)
    blocked, clean = make_names(args.names, rng), make_names(200_000, rng, tag="q")
    write_inputs(base, blocked, clean, rng, args.rounds, args.seconds)
    servers = {name: chosen[name] for name in wanted}
    for number, path in enumerate(args.candidate):
        servers[Path(path).stem] = (5420 + number, [str(Path(path).resolve())])
    bench = Bench(base, args.transport, args.seconds, args.rounds, args.workloads.split(","), servers)
    bench.running["upstream"] = start_upstream(base)
    try:
        for name in servers:
            bench.start(name, blocked, clean, rng)
        bench.run()
        bench.print()
        say(json.dumps(bench.document()))
    finally:
        bench.stop()


if __name__ == "__main__":
    main()
