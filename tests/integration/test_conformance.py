"""`make conformance` holds, and the instrument itself sees what is wrong."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.conformance import __main__ as conformance
from tests.conformance.case import Case, Want
from tests.conformance.packet import Line, Seen, opt, query, read, read_dig

CASES_LEAST = 265
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.debian("dig")
@pytest.mark.timeout(240)
async def test_every_case_holds_on_every_transport() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.conformance", stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    output, _ = await process.communicate()
    lines = output.decode().splitlines()
    told = json.loads(lines[-1])
    assert (told["failed"], process.returncode) == (0, 0), "\n".join(line for line in lines if " by " in line)
    assert told["cases"] >= CASES_LEAST
    assert told["by_transport"].keys() == {"udp", "tcp", "dot", "doh"}


GOOD = Seen(1, 0, "NXDOMAIN", frozenset({"qr", "rd", "ra"}), ("bad.example. IN A",), version=0, udp=1232, ede=(16,))
WANT = Want("NXDOMAIN", edns=True, ede=16)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rcode": "NOERROR"}, "NOERROR, not NXDOMAIN"),
        ({"flags": frozenset({"qr", "rd", "ra", "aa"})}, "flags aa qr ra rd"),
        ({"question": ("BAD.example. IN A",)}, "question"),
        ({"version": None}, "no OPT"),
        ({"udp": 4096}, "4096 octets"),
        ({"edns_flags": 0x40}, "flags 0x40"),
        ({"do": True}, "DO True"),
        ({"ede": ()}, "extended errors ()"),
    ],
)
def test_a_wrong_answer_is_seen(change: dict[str, object], told: str) -> None:
    assert list(WANT.problems(GOOD, ("bad.example. IN A",))) == []
    assert told in "; ".join(WANT.problems(Seen(**(vars(GOOD) | change)), ("bad.example. IN A",)))  # type: ignore[arg-type]


def test_records_are_looked_at() -> None:
    line = Line("www.ok.example.", "A", 300, "192.0.2.1")
    seen = Seen(1, 0, "NOERROR", frozenset({"qr", "rd", "ra"}), (), (line,))
    assert not list(Want(answers=1, holds=(r"A 192\.0\.2\.1$",), soa="", ttl_most=300).problems(seen, ()))
    wrong = Want(answers=0, holds=("AAAA",), lacks=("192",), soa="ok.example.", ttl_most=299, size=(1, 2), edns=True)
    assert len(list(wrong.problems(seen, ()))) == 6


def test_another_verdict_on_another_transport_fails() -> None:
    case = Case("x", "", "", WANT, query("bad.example"))
    other = Seen(**(vars(GOOD) | {"ede": (17,)}))
    results = conformance.compare(
        [conformance.Result(case, "udp", seen=GOOD), conformance.Result(case, "tcp", seen=other)]
    )
    assert [bool(one.problem) for one in results] == [False, True]
    assert conformance.summary(results)["failed"] == 1


def test_what_did_not_run_is_not_counted_as_passed() -> None:
    case = Case("x", "", "", WANT, query("bad.example"))
    assert conformance.summary([conformance.Result(case, "udp", missing="cookies")]) == {
        "cases": 0, "failed": 0, "by_transport": {}, "not_offered": 1,
    }  # fmt: skip


def test_octets_and_dig_are_read_alike() -> None:
    answer = bytearray(query("Bad.example", edns=opt(flags=0x8000)))
    answer[2:4] = b"\x81\x83"
    text = (
        ";; ->>HEADER<<- opcode: QUERY, status: NXDOMAIN, id: 4660\n"
        ";; flags: qr rd ra; QUERY: 1, ANSWER: 0, AUTHORITY: 0\n\n"
        ";; OPT PSEUDOSECTION:\n; EDNS: version: 0, flags: do; udp: 1232\n"
        ";; QUESTION SECTION:\n;Bad.example.\t\tIN\tA\n\n"
    )
    seen = read_dig(text)
    assert seen is not None
    assert seen.verdict() == read(bytes(answer)).verdict()
    assert read_dig(";; communications error: timed out\n") is None
    with pytest.raises(ValueError, match="not content"):
        read_dig(text + ";; WARNING: Message parser reports malformed message packet.\n")
