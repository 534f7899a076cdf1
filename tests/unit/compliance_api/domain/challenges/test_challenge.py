"""What is challenged, and what comes of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from compliance_api.domain.challenges.challenge import (
    TIMES,
    Challenge,
    challengeable,
    draw_rules,
    hour_of,
    hours,
)
from compliance_api.domain.drawing.draws import derived
from compliance_api.domain.drawing.sampling import ListedName
from compliance_api.domain.law.law import ChallengeDuty

AT = datetime(2026, 6, 1, 5, tzinfo=UTC)
SEED = bytes(32)
LISTED = [ListedName(f"n{n}.example", 4, "OR-1", 1, AT - timedelta(days=9), n + 1) for n in range(300)]


def test_as_many_hours_are_drawn_as_the_day_needs_and_all_are_as_likely() -> None:
    duty = ChallengeDuty(pairs_a_day=120, pairs_an_hour=20)
    seen: Counter[tuple[str, int]] = Counter()
    times = 800
    for number in range(times):
        drawn = hours(derived(SEED, str(number)), ["e1", "e2"], duty)
        assert len(drawn) == 6
        seen.update(drawn)
    assert set(seen) == {(node, hour) for node in ("e1", "e2") for hour in range(24)}
    spread = 5 * (times / 8 * 7 / 8) ** 0.5
    assert all(abs(count - times / 8) < spread for count in seen.values())
    assert hours(SEED, ["e1"], ChallengeDuty(pairs_a_day=0)) == set()
    assert hours(SEED, [], duty) == set()
    assert len(hours(SEED, ["e1"], ChallengeDuty(pairs_a_day=10_000, pairs_an_hour=1))) == 24
    # Nodes in other places have hours of their own, and as many.
    assert len(hours(SEED, ["e3"], duty, ["hn"])) == 6
    assert {hour for _, hour in hours(SEED, ["e3"], duty, ["hn"])} != {hour for _, hour in hours(SEED, ["e3"], duty)}


def test_only_ordinary_entries_that_others_seldom_ask_are_challenged() -> None:
    strange = [
        replace(LISTED[0], qname="unknown.example", fingerprint=0),
        replace(LISTED[0], qname="abuse.example", category=1),
        replace(LISTED[0], qname="new.example", added_at=AT),
        replace(LISTED[0], qname="busy.example"),
    ]
    found = challengeable([*strange, *LISTED], frozenset({"busy.example"}), AT - timedelta(days=1))
    assert found == LISTED


def test_rules_are_repeated_from_the_seed_whatever_the_order_of_the_names() -> None:
    drawn = draw_rules(SEED, "edge-1", AT, LISTED, 40)
    assert drawn == draw_rules(SEED, "edge-1", AT, LISTED[::-1], 40)
    assert drawn != draw_rules(SEED, "edge-2", AT, LISTED, 40)
    assert drawn != draw_rules(SEED, "edge-1", AT + timedelta(hours=1), LISTED, 40)
    assert len({rule.qname for rule in drawn}) == 40
    assert {rule.times for rule in draw_rules(SEED, "edge-1", AT, LISTED, 300)} == set(TIMES)


def test_an_hour_is_of_utc() -> None:
    assert hour_of(datetime.fromisoformat("2026-06-01T12:34:56+07:00")) == AT


def test_what_a_node_is_asked_for_tells_neither_order_nor_times() -> None:
    rules = draw_rules(SEED, "edge-1", AT, LISTED, 60)
    one = Challenge("a", b"c" * 16, "edge-1", AT, AT, 1, rules, AT + timedelta(hours=25), AT + timedelta(hours=73))
    assert list(one.fingerprints) == sorted(rule.fingerprint for rule in one.rules)
