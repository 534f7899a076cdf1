"""Holds a real edge to the standards: every case over every transport that it offers, with the same verdict.

`make conformance` prints a table and, as its last line, how many cases there are and how many failed. A case counts as
passed only where it ran and held.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import dns.exception
import httpx

from lachan import terminal
from tests.conformance import offered
from tests.conformance.case import Case, Need
from tests.conformance.packet import Seen, read, read_dig
from tests.conformance.place import Place, place
from tests.conformance.table import CASES
from tests.conformance.transports import Transport

PASSED = "ok"
DIG_SECONDS = 40


class NotOfferedError(Exception):
    """The edge, or this machine, does not offer what a case is about."""


@dataclass(frozen=True)
class Result:
    """What came of a case on one transport."""

    case: Case
    transport: str
    problem: str = ""
    missing: str = ""
    seen: Seen | None = None

    @property
    def word(self) -> str:
        """For the table."""
        return "-" if self.missing else "FAILED" if self.problem else PASSED


def missing(case: Case, transport: Transport, found: frozenset[Need]) -> str:
    """What a case needs and does not find; empty where it can run."""
    return ", ".join(need.value for need in case.needs if need not in found | offered.of_transport(transport))


def _mine(packet: bytes, transport: Transport) -> bytes:
    return packet.replace(b"%T", transport.letters.encode())


def asked(packet: bytes) -> tuple[str, ...]:
    """The question of a query, as `Seen` has it."""
    return read(packet).question if packet[4:6] == b"\0\1" else ()


def dig(case: Case, at: Place, transport: Transport) -> tuple[Seen | None, tuple[str, ...]]:
    """The answer as dig reads it, and the question it asked."""
    words = [word.replace("%T", transport.letters) for word in case.dig]
    command = ["dig", *transport.dig, "+tries=1", "+time=20", "+qr", f"@{at.target.address}", "-b", case.source]
    command += ["-p", str(transport.target.port), *words]
    result = subprocess.run(command, capture_output=True, text=True, timeout=DIG_SECONDS, check=False)
    # With +qr dig shows what it sends, and then what it gets.
    sent, _, got = result.stdout.partition("\n;; Got answer")
    if not got:
        sent, _, got = result.stdout.partition("\n\n;; ->>HEADER")
    question = read_dig(sent)
    return read_dig(got and ";; Got answer" + got), question.question if question else ()


def run(case: Case, at: Place, transport: Transport) -> Result:
    """Runs a case."""
    try:
        if case.probe is not None:
            case.probe(at, transport)
            return Result(case, transport.name)
        if case.dig:
            seen, question = dig(case, at, transport)
        else:
            assert case.packet is not None, "a case asks somehow"
            packet = _mine(case.packet, transport)
            answer = transport.ask(packet, case.source)
            seen, question = (read(answer) if answer is not None else None), ()
            if case.want is not None and case.want.question:
                question = asked(packet)
    except (AssertionError, OSError, ValueError, httpx.HTTPError, dns.exception.DNSException) as error:
        return Result(case, transport.name, f"{type(error).__name__}: {error}")
    want = case.datagram if transport.datagram and case.datagram is not None else case.want
    if seen is None or want is None:
        problem = "" if (seen is None) == (want is None) else "an answer" if seen else "no answer"
        return Result(case, transport.name, problem, seen=seen)
    return Result(case, transport.name, "; ".join(want.problems(seen, question)), seen=seen)


def compare(results: Sequence[Result]) -> list[Result]:
    """The same results, with those that differ from the first transport's verdict failed."""
    bearing = [
        one for one in results
        if one.case.alike and one.seen is not None and not one.problem
        # A datagram that had no room for the answer tells no verdict.
        and not (one.case.datagram is not None and "tc" in one.seen.flags)
    ]  # fmt: skip
    odd = [one for one in bearing if _alike(one) != _alike(bearing[0])]
    return [
        replace(one, problem=f"another verdict than by {bearing[0].transport}: {one.seen}") if one in odd else one
        for one in results
    ]


def _alike(result: Result) -> str:
    # Each transport asked a name of its own.
    assert result.seen is not None
    return re.sub(rf"(?<=[-.']){offered.LETTERS[result.transport]}(?=\.)", "%T", repr(result.seen.verdict()))


async def play(folder: Path, only: str) -> list[Result]:
    """Runs the table."""
    results: list[Result] = []
    async with place(folder) as at:
        transports = offered.transports(at)
        found = await asyncio.to_thread(offered.needs, at)
        if shutil.which("dig"):
            found |= {Need.DIG}
        for case in CASES:
            if only not in case.id:
                continue
            row = []
            for transport in transports:
                lacking = missing(case, transport, found)
                row.append(
                    Result(case, transport.name, missing=lacking)
                    if lacking
                    else await asyncio.to_thread(run, case, at, transport)
                )
            results += compare(row)
    return results


def show(results: Sequence[Result]) -> None:
    """Prints the table, and what failed."""
    transports = list(dict.fromkeys(result.transport for result in results))
    rows: dict[str, dict[str, Result]] = {}
    for result in results:
        rows.setdefault(result.case.id, {})[result.transport] = result
    terminal.table(
        "",
        ["case", "standard", "what", *transports, "not offered"],
        [
            [
                name,
                next(iter(row.values())).case.standard,
                next(iter(row.values())).case.title,
                *(row[transport].word for transport in transports),
                "; ".join(dict.fromkeys(one.missing for one in row.values() if one.missing)),
            ]
            for name, row in rows.items()
        ],
    )
    for result in results:
        if result.problem:
            terminal.line(f"{result.case.id} by {result.transport}: {result.problem}")


def summary(results: Sequence[Result]) -> dict[str, object]:
    """The last line."""
    ran = [result for result in results if not result.missing]
    return {
        "cases": len({result.case.id for result in ran}),
        "failed": len({result.case.id for result in ran if result.problem}),
        "by_transport": dict(Counter(result.transport for result in ran if not result.problem)),
        "not_offered": len({r.case.id for r in results} - {result.case.id for result in ran}),
    }


def main() -> None:
    """`python -m tests.conformance`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose id contains it")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        results = asyncio.run(play(Path(folder), arguments.only))
    show(results)
    told = summary(results)
    terminal.line(f"{len(results)} runs in {time.monotonic() - began:.0f} s")
    terminal.line(json.dumps(told))
    sys.exit(1 if told["failed"] or not told["cases"] else 0)


if __name__ == "__main__":
    main()
