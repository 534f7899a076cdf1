from __future__ import annotations

import dataclasses
import os
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.policy import PolicyError
from lachan.config import parse
from resolver.edgefile import EdgeFile
from resolver.inforce import InForce
from resolver.overrides import Override, ReasonCode
from resolver.rules import Rules, load
from resolver.settings import Edge, normalise
from tests.support.blocklist import OFFER, built, entry
from tests.support.engine import KEY, mapped, rig
from tests.support.packets import error_code, question, read

CONFIGURATION = """
organisation: a
node: edge-1
listen: [{address: 127.0.0.1}]
upstreams: [{address: 192.0.2.1}]
access: {allow: [198.51.100.0/24]}
profiles:
  - name: campus
    networks: [198.51.100.64/26]
    schedule: {periods: [{name: lessons, start: 07:00, end: 17:00, categories: [gambling]}]}
blocklist: {snapshot: rules.snapshot}
"""
NOON = datetime(2026, 3, 2, 12, tzinfo=ZoneInfo("Asia/Ho_Chi_Minh")).timestamp()
EVENING = NOON + 8 * 3600
PUPIL = mapped("198.51.100.70")


@pytest.fixture
def edge() -> Edge:
    return normalise(parse(CONFIGURATION, EdgeFile, base=Path("/etc/lachan")))


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    path = tmp_path / "rules.snapshot"
    path.write_bytes(built(entry("games.example", order=OFFER), entry("bad.example", Category.SCAM), serial=7))
    return load(path, epoch=3, activated_at=1)


def verdict(force: InForce, name: str) -> int | None:
    """The extended error that a pupil gets without asking for recursion: 18 is what passes."""
    return error_code(read(rig(force.policy, upstreams=0).ask(question(name, rd=False), client=PUPIL)))


def begin(edge: Edge, rules: Rules, now: float) -> InForce:
    assert rules.fd is not None
    return InForce(edge, KEY, rules.describe(), os.dup(rules.fd), now)


def test_a_schedule_turns_by_the_clock_alone_forth_and_back(edge: Edge, rules: Rules) -> None:
    force = begin(edge, rules, NOON)
    assert (verdict(force, "games.example"), force.standing()["periods"]) == (17, {"campus": ["lessons"]})
    before = force.policy
    assert not force.turn(NOON + 1)
    assert force.policy is before, "nothing is made anew where nothing changes"
    assert force.turn(EVENING)
    assert (verdict(force, "games.example"), force.standing()["periods"]) == (18, {})
    # The clock is set back.
    assert force.turn(NOON)
    assert verdict(force, "games.example") == 17


def test_an_override_ends_by_the_clock_alone(edge: Edge, rules: Rules) -> None:
    one = Override("bad.example", "exact", ReasonCode.OTHER, "because", int(NOON), int(NOON) + 60)
    force = begin(edge, rules.overridden((one,), 4), NOON)
    assert (verdict(force, "bad.example"), force.standing()["overrides"]) == (18, 1)
    assert force.turn(NOON + 60)
    assert (verdict(force, "bad.example"), force.standing()["overrides"]) == (16, 0)


def test_rules_that_cannot_be_taken_leave_all_as_it_was(edge: Edge, rules: Rules) -> None:
    force = begin(edge, rules, NOON)
    before = force.policy
    with pytest.raises(PolicyError):
        force.take(rules.describe() | {"bundle": "{}"}, None, NOON)
    assert force.policy is before
    assert force.facts()["epoch"] == 3
    assert not force.turn(NOON)
    later = dataclasses.replace(rules, epoch=4)
    assert later.fd is not None
    force.take(later.describe(), os.dup(later.fd), NOON)
    assert (force.policy.epoch, force.facts()["epoch"]) == (4, 4)
    assert "bundle" not in force.facts()


def test_without_a_list_nothing_is_listed(edge: Edge) -> None:
    force = InForce(edge, KEY, Rules(epoch=1).describe(), None, NOON)
    assert verdict(force, "games.example") == 18
