"""Who spoils what shows the way of a session, from the nonces to the verdict.

The signature, the parsing, the decision on each session, the counting of days, their course and the verdict are real;
no packet is sent, and no database is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.observations.met import Met
from compliance_api.domain.observations.observation import Arm, Path, Result, Shape, Sighting
from compliance_api.domain.parties.organisation import (
    Jurisdiction,
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Registry,
)
from compliance_api.domain.reports.record import ReleaseRecord
from compliance_api.domain.verdicts.course import Course, follow
from compliance_api.domain.verdicts.tally import DayEvidence, count, judged
from compliance_api.domain.verdicts.verdict import Outcome, judge
from compliance_api.usecases.probing.paths import Decided, Said, Session, decide
from lachan import message
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.signing import SigningKey
from resolver import whoami
from tests.support.cases import NOW, honest, law

LAW = law(
    list={"block_deadline": "1h"}, minimum={"names": 4, "controls": 3, "windows": 1, "missed_names": 4},
    confirmation={"vantage_points": 3, "networks": 2, "custodians": 2, "sessions_apart": "6h"}, burden={},
)  # fmt: skip
KEYS = {name: SigningKey.generate() for name in ("a/e1", "b/e1")}
ZONE = "whoami.dns.a.test"
NONCE = "abcdefgh23456777"
QUERY = message.query(f"{NONCE}.{ZONE}", message.TXT, id=3)
OWN, THEIRS = "192.0.2.1", "203.0.113.9"
TODAY = LegalDay.of(NOW)
LINES = 30
DAYS = 8
# Names that each line asks on a day.
NAMES = 20
RELEASED = NOW - timedelta(days=30)

Answer = Callable[[], bytes]


def registry(*egress: str) -> Registry:
    label = Label("x", "x")

    def operator(name: str, *enrolled: str) -> Organisation:
        node = Node("e1", KEYS[f"{name}/e1"].public.raw, (), frozenset({"hcm"}), 0, enrolled, "dns.a.test")
        return Organisation(name, OrganisationKind.OPERATOR, label, frozenset({"hcm"}), (node,))

    return Registry((Jurisdiction("hcm", label),), (operator("a", *egress), operator("b")))


ENROLLED = registry(f"{OWN}/32")


def said(rcode: int) -> Answer:
    reply = message.encode(replace(message.parse(QUERY), is_response=True, rcode=rcode, edns=None))
    return lambda: reply


def signed(node: str) -> Answer:
    return lambda: whoami.answer(QUERY, ZONE, node, KEYS[node], NOW.timestamp()) or b""


TRUE = signed("a/e1")


@dataclass(frozen=True)
class Line:
    """How a line is treated."""

    leaks: bool = False
    # What it is told when it asks who answers; None where it does not ask.
    word: Answer | None = TRUE
    egress: tuple[str, ...] = (OWN,)
    handed: bool = False


def decided(number: int, line: Line, known: Registry) -> Decided:
    """A session of a line, and what is made of it."""
    told = None
    if line.word is not None:
        exchange = pb.Exchange(outcome=pb.OUTCOME_ANSWERED, query=QUERY, response=line.word(), tries=1)
        told = Said(f"{NONCE}.{ZONE}", pb.Observation(resolver=exchange).SerializeToString(), NOW)
    where = f"v{number}", f"net-{number % 3}", f"custodian-{number // 3 % 4}"
    return decide(
        known, Session("a", bytes([number]) * 16, "e1", NOW, line.handed, *where, told is not None, told, line.egress)
    )


def sightings(day: LegalDay, number: int, line: Line, way: Path) -> list[Sighting]:
    """What a line sees on a day: each name at its own time, in two sessions."""
    found = []
    for place in range(NAMES):
        result = Result.NOT_BLOCKED if line.leaks else Result.BLOCKED
        asked = day.start + timedelta(hours=1 + place % 2 * 8 + number % 5, minutes=place)
        found.append(
            Sighting(
                f"{day.number:032x}/{number * 100 + place}", f"{day.number}-{number}-{place % 2}", asked,
                f"so/p{number}", f"v{number}", f"net-{number % 3}", f"custodian-{number // 3 % 4}", "edge-1",
                Arm.LISTED,
                f"n{(number * 7 + place) % 120}.example", 1, RELEASED, result,
                Shape.ANSWER if line.leaks else Shape.NXDOMAIN, True, path=way,
            )
        )  # fmt: skip
    return found


def course(lines: list[Line], known: Registry = ENROLLED) -> Course:
    """Some days of so many lines, each treated so, counted and followed."""
    ways = [decided(number, line, known) for number, line in enumerate(lines)]
    counted = []
    for back in range(DAYS, 0, -1):
        day = TODAY.after(-back)
        seen = [
            one for number, line in enumerate(lines) for one in sightings(day, number, line, ways[number].path)
        ]  # fmt: skip
        met = [
            Met(
                day.start, f"{number:032x}/0", way.session.vantage_point, way.session.access_network,
                way.session.custodian, min(way.session.egress, default=""), way.enrolled, way.session.handed,
            )
            for number, way in enumerate(ways)
        ]  # fmt: skip
        made = count(DayEvidence(day, seen, met), [ReleaseRecord(1, RELEASED, False)], LAW)
        counted.append(judged(day, 1, day.end, LAW, made))
    return follow(counted)


def accused(lines: list[Line], known: Registry = ENROLLED) -> set[FindingKind]:
    """What the verdict accuses of, by the course alone."""
    verdict = judge(honest(law=LAW, course=course(lines, known)))
    found = {one.kind for one in verdict.findings if one.accuses}
    assert (verdict.outcome is Outcome.NOT_COMPLIANT) is bool(found)
    return found


def some(count_: int, treated: Line, others: Line | None = None) -> list[Line]:
    return [treated] * count_ + [others or Line()] * (LINES - count_)


SPOILT = {
    "nobody signs": Line(leaks=True, word=said(message.NXDOMAIN)),
    "refused": Line(leaks=True, word=said(message.REFUSED), egress=()),
    "from elsewhere": Line(leaks=True, word=said(message.NXDOMAIN), egress=(THEIRS,)),
    "another operator signs": Line(leaks=True, word=signed("b/e1"), egress=(THEIRS,)),
    "nothing is asked": Line(leaks=True, word=None, egress=()),
}


@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=SPOILT.keys())
def test_who_leaks_where_nobody_is_recognised_is_found_whatever_the_nonces_say(spoilt: Line) -> None:
    """Filters for the lines that it knows, signs for them, and spoils every hint on the others."""
    assert FindingKind.UNDER_BLOCKING in accused(some(12, spoilt))


@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=SPOILT.keys())
def test_as_many_lines_as_interception_explains_accuse_nobody(spoilt: Line) -> None:
    """The same lines, where somebody else on the way answers: an honest operator cannot help it."""
    assert accused(some(3, spoilt)) == set()


def test_a_stranger_who_has_whoami_refused_for_everybody_blinds_nothing_and_accuses_nobody() -> None:
    flooded = Line(word=said(message.REFUSED))
    assert accused(some(LINES, flooded)) == set()
    assert FindingKind.UNDER_BLOCKING in accused(some(12, replace(flooded, leaks=True), flooded))


def test_who_asks_for_the_nonces_of_others_makes_nothing_foreign() -> None:
    assert accused(some(LINES, Line(egress=(OWN, THEIRS)))) == set()
    assert accused(some(LINES, Line(egress=(OWN, THEIRS), handed=True, word=None))) == set()


def test_a_resolver_that_nobody_enrolled_at_an_enrolled_address_is_found_though_it_filters() -> None:
    stand_in = Line(word=said(message.NXDOMAIN), egress=(THEIRS,))
    assert accused(some(24, stand_in)) == {FindingKind.UNENROLLED_RESOLVER}
    finding = next(iter(judge(honest(law=LAW, course=course(some(24, stand_in)))).findings))
    assert finding.counts["lines_astray"] == 24 * finding.counts["days_bad"]
    # An honest one that asks from an address which it forgot to enrol signs.
    assert accused(some(LINES, Line(egress=(THEIRS,)))) == set()


def test_a_farm_that_is_handed_out_is_found_though_it_fetches_signatures_and_no_two_lines_meet_one() -> None:
    farm = [
        Line(word=signed("a/e1"), egress=(f"203.0.113.{number}",), handed=True) for number in range(LINES)
    ]  # fmt: skip
    assert accused(farm) == {FindingKind.UNENROLLED_RESOLVER}


def test_an_operator_that_enrolled_no_address_is_found_by_what_its_resolvers_do_not_sign_or_is_not_compliant() -> None:
    none = registry()
    unsigned = Line(word=said(message.NXDOMAIN), egress=(THEIRS,), handed=True)
    assert accused(some(LINES, unsigned), none) == {FindingKind.UNENROLLED_RESOLVER}
    assert accused(some(LINES, replace(unsigned, word=signed("a/e1"))), none) == set()
    for word in (None, said(message.REFUSED)):
        quiet = honest(law=LAW, course=course(some(LINES, replace(unsigned, word=word)), none))
        verdict = judge(quiet)
        assert verdict.outcome is Outcome.NOT_ENOUGH_EVIDENCE
        assert (verdict.findings[0].counts["lines_told"], verdict.findings[0].counts["lines_told_needed"]) == (0, 3)
