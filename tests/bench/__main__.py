"""`python -m tests.bench`: this resolver beside its peers: same list, same queries, same upstream, same run.

Servers are pinned to core 0, the load and the upstream to core 1; only ratios carry over to another machine. Needs
Debian's dnsperf and nsd; a peer that is not installed is skipped, and so said. Peers: dnsdist unbound pdns-recursor
knot-resolver dnsmasq-base, and gcc for the echo, which is the kernel's floor. The last line is everything as JSON.

    python -m tests.bench --names 100000 --seconds 1 --rounds 1 --only echo,dnsdist --scenarios ''
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench import inputs
from tests.bench.comparison import Comparison
from tests.bench.peers import Peer, build_echo, installed, peers, start_upstream
from tests.bench.scenarios import EDGE, Scenarios
from tests.bench.servers import BenchError, Server
from tests.bench.tables import say
from tests.support.tls import Authority

BUILD = Path("build/bench").resolve()
SCENARIOS = ("swap", "warm", "attack", "large")
OURS = Peer(5420, "sh", [str(EDGE)], tls=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=int, default=1_000_000, help="names on the list (default 1,000,000)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default="all", help="peers, comma separated (default all that are installed)")
    further = "one more server, started with BENCH_PORT, BENCH_SNAPSHOT, BENCH_UPSTREAM and BENCH_DIR"
    parser.add_argument("--candidate", action="append", default=[], metavar="EXECUTABLE", help=further)
    parser.add_argument("--workloads", default=",".join(inputs.WORKLOADS))
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), help="of this resolver alone")
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _chosen(text: str, known: Sequence[str], what: str) -> list[str]:
    """The names in a list separated by commas, each of them one of `known`."""
    wanted = [name for name in text.split(",") if name]
    for name in wanted:
        if name not in known:
            raise BenchError(f"{name} is no {what}; these are: {', '.join(known)}")
    return wanted


def _servers(base: Path, only: str, further: list[str]) -> tuple[list[Server], dict[str, str]]:
    """What is measured, and why what else was asked for is not."""
    known = peers(base)
    skipped = {}
    servers = []
    for name in known if only == "all" else _chosen(only, list(known), "peer"):
        if installed(known[name].program):
            servers.append(Server(name, known[name], base))
        else:
            skipped[name] = f"{known[name].program} is not installed"
    if any(server.peer.echo for server in servers):
        build_echo(base)
    own = {"BENCH_SNAPSHOT": str(base / "rules.snapshot"), "BENCH_TLS": str(base)}
    servers.append(Server("lachan", OURS, base, own))
    for number, path in enumerate(further):
        peer = Peer(5440 + number, path, [str(Path(path).resolve())])
        servers.append(Server(Path(path).stem, peer, base, own))
    return servers, skipped


def _run(arguments: argparse.Namespace, base: Path) -> None:
    if missing := [program for program in ("dnsperf", "nsd", "taskset") if not installed(program)]:
        raise BenchError(f"not installed: {', '.join(missing)} (apt-get install dnsperf nsd util-linux)")
    workloads = _chosen(arguments.workloads, inputs.WORKLOADS, "workload")
    chosen_scenarios = _chosen(arguments.scenarios, SCENARIOS, "scenario")
    Authority(base).issue()
    servers, skipped = _servers(base, arguments.only, arguments.candidate)
    for name, reason in skipped.items():
        say(f"{name:14} skipped: {reason}")
    names = inputs.write(base, arguments.names, arguments.seed, arguments.rounds, arguments.seconds)
    # One more, for the times of answers.
    inputs.write_queries(names, random.Random(arguments.seed + 1), "mixed", arguments.rounds, 100_000)
    built, size = inputs.make_snapshot(base / "rules.snapshot", names.blocked)
    say(f"{arguments.names} names: a snapshot of {size / 1e6:.1f} MB, built in {built:.2f} s")
    upstream = start_upstream(base)
    document: dict[str, object] = {
        "names": arguments.names,
        "snapshot": {"bytes": size, "build_s": round(built, 2)},
        "skipped": skipped,
    }
    try:
        rng = random.Random(arguments.seed)
        for server in servers:
            server.start(names.blocked[0])
            if not server.peer.echo:
                server.check(names.blocked, names.clean, rng)
            say(f"{server.name:14} blocks and answers after {server.ready:6.2f} s")
        comparison = Comparison(names, servers, workloads, arguments.rounds, arguments.seconds)
        comparison.run()
        comparison.print()
        document |= comparison.document()
        for server in servers:
            server.stop()
        scenarios = Scenarios(names, BUILD, arguments.seconds)
        for name in chosen_scenarios:
            document[name] = getattr(scenarios, name)()
            say(f"\n{name}: {json.dumps(document[name])}")
    finally:
        for server in servers:
            server.stop()
        upstream.terminate()
        upstream.wait(10)
    say(json.dumps(document))


def main() -> None:
    """The command."""
    arguments = _arguments()
    base = Path(tempfile.mkdtemp(prefix="dns-bench-"))
    try:
        _run(arguments, base)
    except (BenchError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
