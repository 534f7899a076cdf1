"""What is asked in a run: names by a seed, the list in each peer's format, queries, releases of any size.

Holds always: the same seed and sizes give the same files; no missed name comes twice in a run.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

from blocklist_sync.artifact import records, snapshot
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Scope

SYLLABLES = [c + v for c in "bcdfghjklmnprstvwxyz" for v in "aeiou"]
TLDS = ["com"] * 45 + ["net"] * 8 + ["org"] * 6 + ["vn"] * 8 + ["com.vn"] * 3 + ["info"] * 4 + ["xyz"] * 6 + ["top"] * 5
WORKLOADS = ("blocked", "cached", "mixed", "missed")
CLEAN_NAMES = 200_000
QUERIES_A_SECOND = 300_000
"""More than any server here answers on one core."""

EXPECTED = {  # share of NXDOMAIN and of NOERROR that a workload must bring, lowest and highest
    "blocked": ((0.999, 1.0), (0.0, 0.001)),
    "cached": ((0.0, 0.001), (0.999, 1.0)),
    "mixed": ((0.045, 0.055), (0.945, 0.955)),
    "missed": ((0.0, 0.001), (0.995, 1.0)),
}


@dataclass(frozen=True)
class Inputs:
    """The names of a run, and the folder with its files."""

    folder: Path
    blocked: list[str]
    clean: list[str]


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


def write(folder: Path, names: int, seed: int, rounds: int, seconds: float) -> Inputs:
    """The list in each peer's own format, and a query file for each workload and round."""
    rng = random.Random(seed)
    inputs = Inputs(folder, make_names(names, rng), make_names(CLEAN_NAMES, rng, tag="q"))
    (folder / "names.txt").write_text("\n".join(inputs.blocked) + "\n")
    head = "$TTL 60\n$ORIGIN {}\n@ SOA ns. h. 1 3600 600 86400 60\n@ NS ns.\n"
    zone = "".join(f"{n} CNAME .\n*.{n} CNAME .\n" for n in inputs.blocked)
    (folder / "rpz.zone").write_text(head.format("rpz.") + zone)
    (folder / "rpz-absolute.zone").write_text(head.format(".") + zone)
    (folder / "unbound-names.conf").write_text(
        "server:\n" + "".join(f'local-zone: "{n}" always_nxdomain\n' for n in inputs.blocked)
    )
    (folder / "dnsmasq-names.conf").write_text("".join(f"local=/{n}/\n" for n in inputs.blocked))
    for turn in range(rounds):
        for workload in WORKLOADS:
            write_queries(inputs, rng, workload, turn, int(QUERIES_A_SECOND * (seconds + 1)))
    return inputs


def write_queries(inputs: Inputs, rng: random.Random, workload: str, turn: int, count: int) -> None:
    """A workload's queries for one round."""
    blocked, clean = inputs.blocked, inputs.clean

    def hot() -> str:
        return clean[min(int(rng.paretovariate(0.9)), min(10_000, len(clean)) - 1)]

    def mixed(i: int) -> str:
        draw = rng.random()
        return rng.choice(blocked) if draw < 0.05 else f"m{turn}-{i}.{rng.choice(clean)}" if draw < 0.15 else hot()

    def name(i: int) -> str:
        if workload == "blocked":
            return f"{'www.' if rng.random() < 0.3 else ''}{rng.choice(blocked)}"
        if workload == "missed":
            return f"u{turn}-{i}.{clean[i % len(clean)]}"
        return hot() if workload == "cached" else mixed(i)

    def cased(text: str) -> str:
        return text.swapcase() if rng.random() < 0.3 else text

    def qtype() -> str:
        return rng.choices(("A", "AAAA", "HTTPS"), (60, 25, 15))[0] if workload == "mixed" else "A"

    with (inputs.folder / f"{workload}-{turn}.txt").open("w") as out:
        out.writelines(f"{cased(name(i))} {qtype()}\n" for i in range(count))


def write_lines(path: Path, names: list[str]) -> Path:
    """A query file of these names, each once."""
    path.write_text("".join(f"{name} A\n" for name in names))
    return path


def make_snapshot(path: Path, names: list[str], extra: int = 0, serial: int = 1) -> tuple[float, int]:
    """Builds the snapshot of a list: seconds from the release to the file, and the file's bytes.

    Args:
        path: Where it goes.
        names: Listed names, each with its subtree.
        extra: That many further names, which nobody asks for.
        serial: Of the release.
    """
    order = Order("01/BENCH", mandated=True)

    def entry(name: str) -> records.Entry:
        return records.Entry(name, Scope.SUBTREE, False, Category.GAMBLING, order)

    entries = [entry(name) for name in names]
    entries += [entry(f"n{i:08d}.test") for i in range(extra)]
    data = records.encode(entries, serial, records.FingerprintKey(1, bytes(range(16))))
    del entries
    began = time.monotonic()
    built = snapshot.build(records.parse(data))
    seconds = time.monotonic() - began
    fresh = path.with_suffix(".new")
    fresh.write_bytes(built)
    fresh.rename(path)
    return seconds, len(built)
