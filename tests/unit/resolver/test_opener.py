"""Which counts a node opens, and which it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lachan import signing
from lachan.compliance.v1 import challenge_service_pb2 as pb
from lachan.rulecounts import BEYOND, Bucket, Opened, verify
from lachan.signing import SigningKey
from resolver.authority import FEW_CLIENTS, OpeningSettings
from resolver.opener import MAX_RULES, NOTE, Opener, Told
from resolver.openings import HOUR, Openings, TallyFile
from tests.unit.resolver.test_openings import NOON, write

RULES = list(range(1 << 60, (1 << 60) + 40))
LATER = NOON + HOUR + 86400
KEY = SigningKey.generate()


@pytest.fixture
def openings(tmp_path: Path) -> Openings:
    tally = TallyFile(tmp_path / "tally.ring", 1)
    write(tally, 0, NOON, {RULES[0]: 16, RULES[1]: 3})
    made = Openings(tmp_path / "openings", tally, 0, lambda: RULES)
    made.root_before(NOON + HOUR)
    return made


def opener(openings: Openings, tmp_path: Path, **settings: int) -> Opener:
    values = OpeningSettings(**{"clients": FEW_CLIENTS + 1, **settings})
    return Opener(openings, Told(tmp_path / "openings" / NOTE), KEY, "isp-a", "edge-1", values)


def asked(*rules: int, hour: int = NOON) -> pb.OpeningRequest:
    return pb.OpeningRequest(challenge_id=b"c" * 16, hour=hour, fingerprints=rules)


def opened(signed: pb.SignedOpening) -> pb.Opening:
    KEY.public.verify(signing.OPENING, signed.opening, signed.signature)
    return pb.Opening.FromString(signed.opening)


def test_what_is_asked_is_opened_with_proofs_and_nothing_else(openings: Openings, tmp_path: Path) -> None:
    answer = opened(opener(openings, tmp_path).open(asked(RULES[0], RULES[2]), LATER))
    assert (answer.organisation, answer.node, answer.hour, answer.refusal) == ("isp-a", "edge-1", NOON, 0)
    told = openings.root_before(NOON + HOUR)
    assert told is not None
    found = verify(
        told[1],
        [RULES[0], RULES[2], BEYOND],
        [Bucket(one.position, one.entries, tuple(one.path)) for one in answer.buckets],
        [Opened(one.fingerprint, one.count, one.salt) for one in answer.rules],
    )
    assert found == {RULES[0]: 16, RULES[2]: 0, BEYOND: 0}
    assert {one.fingerprint for one in answer.rules} == {RULES[0], RULES[2], BEYOND}


@pytest.mark.parametrize(
    ("request_", "now", "settings", "why"),
    [
        (asked(RULES[0]), LATER, {"clients": FEW_CLIENTS}, pb.OPENING_REFUSAL_FEW_CLIENTS),
        (asked(RULES[0]), LATER, {"clients": 0}, pb.OPENING_REFUSAL_FEW_CLIENTS),
        (asked(RULES[0]), LATER - 1, {}, pb.OPENING_REFUSAL_TOO_EARLY),
        (asked(RULES[0], hour=NOON + 1), LATER, {}, pb.OPENING_REFUSAL_NOT_KEPT),
        (asked(RULES[0], hour=NOON - HOUR), LATER, {}, pb.OPENING_REFUSAL_NOT_KEPT),
        (asked(RULES[0], hour=-HOUR), LATER, {}, pb.OPENING_REFUSAL_NOT_KEPT),
        (asked(RULES[0], RULES[1], RULES[2]), LATER, {"rules_a_day": 2}, pb.OPENING_REFUSAL_TOO_MANY),
        (asked(*range(MAX_RULES + 1)), LATER, {}, pb.OPENING_REFUSAL_TOO_MANY),
    ],
)
def test_what_is_refused_says_why_and_opens_nothing(
    openings: Openings, tmp_path: Path, request_: pb.OpeningRequest, now: float, settings: dict[str, int], why: int
) -> None:
    answer = opened(opener(openings, tmp_path, **settings).open(request_, now))
    assert (answer.refusal, len(answer.buckets), len(answer.rules)) == (why, 0, 0)


def test_a_day_has_so_many_counts_to_tell_through_restarts(openings: Openings, tmp_path: Path) -> None:
    first = opener(openings, tmp_path, rules_a_day=3)
    assert not opened(first.open(asked(*RULES[:3]), LATER)).refusal
    again = opener(openings, tmp_path, rules_a_day=3)
    # What was told may be told again.
    assert not opened(again.open(asked(*RULES[:2]), LATER)).refusal
    assert opened(again.open(asked(RULES[4]), LATER)).refusal == pb.OPENING_REFUSAL_TOO_MANY
    # A note that cannot be read leaves nothing to tell.
    (tmp_path / "openings" / NOTE).write_text("[")
    assert opened(again.open(asked(RULES[0]), LATER)).refusal == pb.OPENING_REFUSAL_TOO_MANY
