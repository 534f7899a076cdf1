"""Fuzzes the edge: the compiled core under sanitizers with a guide of its own, parsers in Python under atheris.

`make fuzz SECONDS=60` builds apart what it needs, gives each target its share of one core, and prints as its last line
how many inputs ran and how many broke something. An input that did is kept under tests/corpus/crashes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import struct
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lachan import terminal
from tests.fuzz import build, corpus
from tests.fuzz.targets import COMPILED, GUIDED, NAMES, OWN, PURE, SECRETS, SIZES, bench, own_names

HANG_SECONDS = 20.0
"""Of a core: a busy machine gives a child little of one."""
STALL_SECONDS = 300.0
"""By the clock: whoever waits uses no core."""
POLL_SECONDS = 0.1
STATE = struct.Struct("<QIIII256s")
SHARES = {
    "query": 21,
    "response": 20,
    "chain": 9,
    "name": 3,
    "cookie": 3,
    "local": 4,
    "alias": 4,
    "engine": 10,
    "guarded": 5,
    "release": 4,
    "snapshot": 4,
    "pack": 3,
    "delta": 4,
    "message": 4,
    "http1": 3,
    "http2": 4,
    "hello": 1,
    "whoami": 1,
}
"""Of the time."""
FEWEST_SECONDS = 1.0


@dataclass(frozen=True)
class Ran:
    """What came of a target."""

    target: str
    executions: int
    seconds: float
    edges: int = 0
    kept: int = 0
    finding: str = ""


def child(kind: str, state: str, seed: int, seconds: float) -> None:
    """Runs one target in this process, until the time is up or something breaks."""
    import fuzz_targets  # type: ignore[import-not-found] # built apart

    found = list(corpus.seeds(kind).values())
    fuzz_targets.start(state, seed, SIZES[kind], seconds, found, list(corpus.WORDS))
    if kind in COMPILED:
        compiled(kind).run(kind)
    else:
        fuzz_targets.drive(GUIDED[kind]())


def compiled(kind: str) -> Any:
    """What a compiled target runs on; its module is on the path."""
    if kind in OWN:
        import fuzz_own  # type: ignore[import-not-found] # built apart

        return fuzz_own.Bench(SECRETS, own_names())
    import fuzz_targets

    fuzz_targets.name_list(NAMES)
    own = bench()
    return fuzz_targets.Bench(own.rules, own.cache)


def replay(kind: str) -> None:
    """Runs every kept input of a target in this process, over plain builds; says which before it does."""
    if kind in PURE:
        target = PURE[kind]
    elif kind in GUIDED:
        target = GUIDED[kind]()
    else:
        build.build_plain()
        sys.path.insert(0, str(build.PLAIN))
        import fuzz_targets

        fuzz_targets.start(str(build.FOLDER / f"replay-{kind}.state"), 1, SIZES[kind], 60.0, [], [])
        target = compiled(kind).target(kind)
    for name, data in corpus.seeds(kind).items():
        terminal.line(f"{kind}: {name}")
        sys.stdout.flush()
        target(data)


def environment() -> dict[str, str]:
    """For a child: the sanitizers' libraries before everything else, and every object in memory of its own."""
    return os.environ | {
        "LD_PRELOAD": f"{build.library('libasan.so')} {build.GUIDE}",
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:handle_abort=0",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:abort_on_error=1",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(build.TREE),
    }


def watch(process: subprocess.Popen[str], state: Path) -> str:
    """Waits for a child's end; what went wrong, empty where nothing did."""
    last, since, used = -1, time.monotonic(), 0.0
    while process.poll() is None:
        count = read_state(state)[0]
        if count != last:
            last, since, used = count, time.monotonic(), core_seconds(process.pid)
        elif core_seconds(process.pid) - used > HANG_SECONDS or time.monotonic() - since > STALL_SECONDS:
            process.kill()
            process.wait()
            return f"an input took more than {HANG_SECONDS:g} s"
        time.sleep(POLL_SECONDS)
    if process.returncode == 0:
        return ""
    assert process.stderr is not None
    return told(process.stderr.read())


def core_seconds(pid: int) -> float:
    """What a child has used of a core; 0 where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def told(output: str) -> str:
    """What a child says of its end, in a line without addresses or folders."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for mark in ("SUMMARY: Addr", "runtime error", "does not hold", "AssertionError", "Uncaught", "Error"):
        for line in lines:
            if mark in line:
                return re.sub(r"(?:/[\w.+-]+)+/|0x[0-9a-f]+|==\d+==", "", line)
    return lines[-1] if lines else "ended without a word"


def read_state(path: Path) -> tuple[int, int, int, int, int, bytes]:
    """Executions, size of the input, inputs kept, edges, and what failed."""
    with path.open("rb") as file:
        data = file.read(STATE.size)
    return STATE.unpack(data) if len(data) == STATE.size else (0, 0, 0, 0, 0, b"")


def run(kind: str, seconds: float, seed: int) -> Ran:
    """Runs a target in a child."""
    state = build.FOLDER / f"{kind}.state"
    state.write_bytes(b"")
    command = [sys.executable, "-m", "tests.fuzz", "--child", kind, "--state", str(state)]
    command += ["--seed", str(seed), "--seconds", str(seconds)]
    began = time.monotonic()
    with subprocess.Popen(
        command, cwd=build.TREE, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        finding = watch(process, state)
    executions, size, kept, edges, *_ = read_state(state)
    if finding and not kept:
        raise build.BuildError(f"{kind} did not begin: {finding}")
    if finding:
        with state.open("rb") as file:
            file.seek(STATE.size)
            path = corpus.add_crash(kind, file.read(size), finding)
        finding = f"{path.relative_to(build.ROOT)}: {finding}"
    return Ran(kind, executions, time.monotonic() - began, edges, kept, finding)


def run_pure(kind: str, seconds: float, seed: int) -> Ran:
    """Runs a target under atheris in a child."""
    state = build.FOLDER / f"{kind}.state"
    for path in build.FOLDER.glob(f"{kind}.state.*"):
        path.unlink()
    command = [sys.executable, "-m", "tests.fuzz.under_atheris", kind, str(state), str(seed), str(seconds)]
    began = time.monotonic()
    result = subprocess.run(command, cwd=build.ROOT, capture_output=True, text=True, timeout=seconds + 60, check=False)
    output = result.stdout + result.stderr
    count = re.search(r"number_of_executed_units:\s*(\d+)", output)
    edges = re.findall(r"cov: (\d+)", output)
    finding = ""
    for path in build.FOLDER.glob(f"{kind}.state.*"):
        finding = told(output)
        kept = corpus.add_crash(kind, path.read_bytes(), finding)
        finding = f"{kept.relative_to(build.ROOT)}: {finding}"
    if not finding and (count is None or result.returncode):
        raise build.BuildError(f"{kind} did not begin: {told(output)}")
    executions = int(count[1]) if count else 0
    return Ran(kind, executions, time.monotonic() - began, int(edges[-1]) if edges else 0, 0, finding)


def fuzz(seconds: float, only: str, seed: int) -> list[Ran]:
    """Runs the targets one after another."""
    kinds = [kind for kind in (*COMPILED, *GUIDED, *PURE) if only in ("", kind)]
    if not (build.TOOLS / "atheris").exists():
        for kind in set(kinds) & PURE.keys():
            terminal.line(f"{kind}: skipped, atheris is not in {build.TOOLS.relative_to(build.ROOT)}")
        kinds = [kind for kind in kinds if kind not in PURE]
    whole = sum(SHARES[kind] for kind in kinds)
    results = []
    for kind in kinds:
        share = max(FEWEST_SECONDS, seconds * SHARES[kind] / whole)
        ran = (run_pure if kind in PURE else run)(kind, share, seed)
        terminal.line(f"{kind}: {ran.executions} inputs, {ran.executions / ran.seconds:.0f}/s, {ran.edges} edges")
        results.append(ran)
    return results


def main() -> None:
    """`python -m tests.fuzz`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", default="", metavar="TARGET")
    parser.add_argument("--seed", type=int, default=secrets.randbits(63))
    parser.add_argument("--replay", default="", metavar="TARGET", help="run its kept inputs in a plain build")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    parser.add_argument("--state", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.state, arguments.seed, arguments.seconds)
        return
    if arguments.replay:
        replay(arguments.replay)
        return
    try:
        build.build()
        terminal.line(f"seed {arguments.seed}")
        results = fuzz(arguments.seconds, arguments.only, arguments.seed)
    except build.BuildError as error:
        terminal.complain(f"cannot fuzz here: {error}")
        sys.exit(2)
    terminal.table("", ["target", "inputs", "a second", "edges", "kept", "finding"], [
        [one.target, one.executions, f"{one.executions / one.seconds:.0f}", one.edges, one.kept, one.finding or "none"]
        for one in results
    ])  # fmt: skip
    summary = {
        "executions": sum(one.executions for one in results),
        "findings": sum(bool(one.finding) for one in results),
        "by_target": {one.target: asdict(one)["executions"] for one in results},
    }
    terminal.line(json.dumps(summary))
    sys.exit(1 if summary["findings"] else 0)


if __name__ == "__main__":
    main()
