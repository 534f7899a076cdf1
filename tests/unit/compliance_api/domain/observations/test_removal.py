from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.observations.observation import Arm, Sighting
from compliance_api.domain.observations.removal import ListChanges, Removal
from compliance_api.domain.verdicts.course import CountedDay, follow
from compliance_api.domain.verdicts.tally import DayEvidence, count, judged
from compliance_api.domain.verdicts.verdict import judge
from tests.support.cases import NOW, START, control, honest, law, sighting, watched

REMOVED_AT = START + timedelta(minutes=20)


def removal(name: str, serial: int = 5, at: datetime = REMOVED_AT, *, free: bool = True) -> Removal:
    return Removal(name, serial, at, 1, 3, "OR-1", free)


def known(*removals: Removal, **listed: datetime) -> ListChanges:
    """Removals, and when names (with the dot written `_`) were listed."""
    return ListChanges(
        {one.qname: [two for two in removals if two.qname == one.qname] for one in removals},
        {name.replace("_", "."): [at] for name, at in listed.items()},
    )


def arm(changes: ListChanges, minute: float, name: str = "a.example", **changed: Any) -> Arm | None:
    placed = changes.place(sighting(name, minute, **changed))
    return placed.arm if placed is not None else None


def test_a_name_is_listed_until_it_is_taken_out_and_released_from_then_on() -> None:
    changes = known(removal("a.example"))
    assert arm(changes, 19) is Arm.LISTED
    assert arm(changes, 20) is Arm.RELEASED
    assert arm(changes, 25, name="other.example") is Arm.LISTED
    placed = changes.place(sighting("a.example", 30))
    assert placed is not None
    assert (placed.removed_at, placed.removed_serial) == (REMOVED_AT, 5)
    # Listed again: brought by a release after the one that took it out.
    assert arm(changes, 30, added_serial=6) is Arm.LISTED


def test_where_it_cannot_be_told_which_held_it_counts_for_nothing() -> None:
    changes = known(removal("a.example"))
    around = {"earliest": REMOVED_AT - timedelta(seconds=9), "latest": REMOVED_AT + timedelta(seconds=9)}
    assert arm(changes, 20, **around) is None
    assert changes.placed([sighting("a.example", 20, **around), sighting("a.example", 1)]) == [sighting("a.example", 1)]


def test_what_something_still_reaches_is_neither() -> None:
    still = removal("a.example", free=False)
    freed = removal("a.example", 8, START + timedelta(minutes=40))
    assert arm(known(still), 30) is None
    assert arm(known(still, freed), 30) is None
    placed = known(still, freed).place(sighting("a.example", 50))
    assert placed is not None
    assert (placed.arm, placed.removed_at) == (Arm.RELEASED, freed.removed_at)


def test_a_name_taken_out_and_listed_again_is_not_released() -> None:
    again = known(removal("a.example"), a_example=START + timedelta(minutes=40))
    asked = {"arm": Arm.RELEASED, "added_serial": 5, "added_at": REMOVED_AT}
    assert arm(again, 30, **asked) is Arm.RELEASED
    assert arm(again, 45, **asked) is None
    twice = known(removal("a.example"), removal("a.example", 9, START + timedelta(minutes=50)), a_example=REMOVED_AT)
    placed = twice.place(sighting("a.example", 55, **asked))
    assert placed is not None
    assert placed.removed_serial == 9
    # Nobody told of its removal, so that nothing says since when it must be answered.
    assert arm(known(), 30, **asked) is None


def test_a_control_counts_only_while_it_is_not_listed() -> None:
    changes = known(removal("control1.example"), control2_example=REMOVED_AT)
    assert [changes.place(control(number, 30)) is not None for number in range(4)] == [True, False, False, True]
    assert [changes.place(control(number, 10)) is not None for number in range(4)] == [True, True, True, True]


LAW = law(
    day={"length": "1h", "closes_after": "30m"},
    list={"block_deadline": "5m", "unblock_deadline": "15m", "maximum_age": "5m"},
)
HOUR = timedelta(hours=1)
TAKEN = tuple(f"taken{number}.example" for number in range(6))
OUT = START - 6 * HOUR


def moved(seen: list[Sighting], by: timedelta) -> list[Sighting]:
    return [
        Sighting(**{**vars(one), "asked_at": one.asked_at + by, "reference": f"{by}/{one.reference}"}) for one in seen
    ]


def day(number: int, blocked: dict[str, bool], changes: ListChanges) -> CountedDay:
    """The hour so many hours before START: every name asked as listed, by two eyes, twice."""
    by = -number * HOUR
    names = [f"n{one}.example" for one in range(12)]
    seen = watched(names, added_at=START - timedelta(days=30))
    for name, kept in blocked.items():
        seen += watched([name], blocked=kept, added_at=START - timedelta(days=30))
    legal = LegalDay.of(START + by, 3600)
    evidence = DayEvidence(legal, changes.placed(moved(seen, by)))
    return judged(legal, 1, legal.end, LAW, count(evidence, [], LAW))


def findings(*, kept: bool, known_of: bool = True) -> list[FindingKind]:
    """What is found of an operator six hours after names were taken out, which it blocks still or not."""
    changes = known(*(removal(name, at=OUT) for name in TAKEN)) if known_of else known()
    course = follow([day(number, dict.fromkeys(TAKEN, kept), changes) for number in range(5, 0, -1)])
    case = honest(law=LAW, now=START, course=course)
    return [one.kind for one in judge(case).findings if one.accuses and "report" not in one.kind]


def test_an_operator_that_unblocks_promptly_earns_nothing() -> None:
    assert FindingKind.UNDER_BLOCKING in findings(kept=False, known_of=False)
    assert findings(kept=False) == []


def test_an_operator_that_never_unblocks_is_found() -> None:
    assert findings(kept=True) == [FindingKind.SLOW_UNBLOCK]
    assert findings(kept=True, known_of=False) == []
    # Within its time, it may.
    early = known(*(removal(name, at=START - HOUR) for name in TAKEN))
    assert day(1, dict.fromkeys(TAKEN, True), early).counts["released"] == 6
    just = known(*(removal(name, at=START - HOUR + timedelta(minutes=15)) for name in TAKEN))
    assert day(1, dict.fromkeys(TAKEN, True), just).counts["released"] == 0
    assert NOW > START
