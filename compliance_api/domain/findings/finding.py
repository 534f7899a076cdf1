"""What can be found against an operator, and how a finding is put on paper.

Holds always: a finding names its kind, since when it holds, plain counts, references to the evidence it rests on, and
the clause of the law it is measured by. A finding that does not accuse says only that nothing can be said.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from compliance_api.domain.parties.organisation import Label

MAX_EVIDENCE = 20


class FindingKind(enum.StrEnum):
    """The closed set of findings."""

    STALE_LIST = "stale_list"
    MISSING_REPORTS = "missing_reports"
    BROKEN_CHAIN = "broken_chain"
    EQUIVOCATION = "equivocation"
    BAD_SIGNATURE = "bad_signature"
    UNDER_BLOCKING = "under_blocking"
    OVER_BLOCKING = "over_blocking"
    TRANSPORT_GAP = "transport_gap"
    COUNTER_MISMATCH = "counter_mismatch"
    SLOW_BLOCK = "slow_block"
    SLOW_UNBLOCK = "slow_unblock"
    UNENROLLED_RESOLVER = "unenrolled_resolver"
    LOW_COVERAGE = "low_coverage"
    UNMEASURABLE = "unmeasurable"

    @property
    def accuses(self) -> bool:
        """Whether one of these alone makes an operator not compliant."""
        return self not in {FindingKind.LOW_COVERAGE, FindingKind.UNMEASURABLE}


class EvidenceKind(enum.StrEnum):
    """What a piece of evidence is."""

    REPORT = "report"
    # Report bytes that came with a signature that does not hold.
    UNVERIFIED_REPORT = "unverified_report"
    OBSERVATION = "observation"
    RELEASE = "release"
    # A legal day as it was counted.
    TALLY = "tally"
    # What a node opened of a challenged hour, or why it did not.
    OPENING = "opening"
    # A challenged hour that the node said nothing on.
    CHALLENGE = "challenge"


@dataclass(frozen=True, order=True)
class Evidence:
    """A reference to one stored thing.

    `reference` is the lowercase hex SHA-256 of a report's bytes, `ASSIGNMENT-HEX/INDEX` of an observation, a release's
    serial, the digest of what a day was counted from, or the hex identifier of a challenge. `at` is the start of the
    report's window, the time of asking, the time of publication, or the start of the day or the challenged hour.
    `detail` holds the one thing about it that matters here: a listed name, a claimed serial, a sequence number, a day
    with the version of its count, how a challenge ended.
    """

    kind: EvidenceKind
    at: datetime
    reference: str
    node: str = ""
    probe: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Clause:
    """The passage of the law that a finding is measured by."""

    law: str
    citation: Label


@dataclass(frozen=True)
class Finding:
    """One thing found, for one operator in one jurisdiction."""

    kind: FindingKind
    since: datetime
    # Plain numbers, each under a name that says what was counted.
    counts: Mapping[str, int]
    evidence: tuple[Evidence, ...]
    clause: Clause
    # The node it concerns; empty for the operator as a whole.
    node: str = ""

    @property
    def accuses(self) -> bool:
        """Whether it alone makes the operator not compliant."""
        return self.kind.accuses


def cite(evidence: list[Evidence]) -> tuple[Evidence, ...]:
    """The pieces that a finding quotes: the oldest and the newest ones, at most `MAX_EVIDENCE`, in order of time."""
    ordered = sorted(set(evidence))
    if len(ordered) <= MAX_EVIDENCE:
        return tuple(ordered)
    half = MAX_EVIDENCE // 2
    return tuple(ordered[:half] + ordered[-half:])
