"""A node's silences: the times between its reports, and whether it was off in them.

Holds always: a node is believed to have been off only where enough lines asked it then and none but those that
interception explains had an answer; its own signature within a silence refutes it. A silence moves a deadline once:
only one that had begun before the deadline was over does, so that going silent again and again gains nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from compliance_api.domain.law.law import Law
from compliance_api.domain.observations.observation import Path, Shape, Sighting
from compliance_api.domain.reports.record import NodeRecord
from compliance_api.domain.statistics.day import faulty_lines
from compliance_api.domain.verdicts.case import Case

_UNANSWERED = frozenset({Shape.TIMEOUT, Shape.UNREACHABLE, Shape.FEW_TRIES})


@dataclass(frozen=True)
class Silence:
    """A time without a report: from the end of one window to the beginning of the next that was reported."""

    began: datetime
    ended: datetime


def silences(case: Case, node: NodeRecord) -> list[Silence]:
    """The silences of a node that ended within the period or shortly before, oldest first."""
    own = [(report.window_start, report.window_end) for report in case.reports_of(node.name)]
    heard = sorted([*node.heard, *own])
    if not heard:
        return []
    # What lies before everything that was read of it: a node that had reported before was silent since then.
    known = case.start if node.first_window is not None and node.first_window < case.start else None
    end = heard[0][1] if known is None or heard[0][0] <= known else known
    found = []
    for start, until in heard:
        if start > end:
            found.append(Silence(end, start))
        end = max(end, until)
    return found


def excused_until(found: Iterable[Silence], due: datetime, catch_up: float) -> datetime:
    """A deadline, for a node that was silent when it ended: so much after it was back, if that is later."""
    moved = [one.ended + timedelta(seconds=catch_up) for one in found if one.began < due]
    return max([due, *moved])


def _stretches(missing: Sequence[datetime], seconds: float) -> list[tuple[datetime, datetime]]:
    """Missing windows that follow one another: from the start of the first to the start of the last."""
    found: list[tuple[datetime, datetime]] = []
    for one in missing:
        if found and one - found[-1][1] <= timedelta(seconds=seconds):
            found[-1] = found[-1][0], one
        else:
            found.append((one, one))
    return found


def _off(seen: Sequence[Sighting], law: Law) -> bool:
    """Whether those who asked in a silence met nobody."""
    lines = {one.vantage_point for one in seen}
    answered = {one.vantage_point for one in seen if one.shape not in _UNANSWERED}
    if len(lines) < law.confirmation.vantage_points or 2 * len(answered) >= len(lines):
        return False
    if any(one.path is Path.VERIFIED and one.shape not in _UNANSWERED for one in seen):
        return False
    return len(answered) <= faulty_lines(len(lines), law.day_rules())


def off(case: Case, node: NodeRecord, missing: Sequence[datetime], law: Law) -> set[datetime]:
    """The windows of those missing in which the node was off.

    In the first and the last window of a silence it may still, or again, have answered: they say nothing.

    Args:
        case: What is known.
        node: One of its nodes.
        missing: Windows of it that were not reported, oldest first.
        law: In force then.
    """
    told = (one for one in case.sightings if one.node == node.name and one.shape is not Shape.REFERENCE_DEAD)
    seen = sorted(told, key=lambda one: one.asked_at)
    asked = [one.asked_at for one in seen]
    found: set[datetime] = set()
    for first, last in _stretches(missing, law.report.window):
        begin, end = bisect_left(asked, first + timedelta(seconds=law.report.window)), bisect_left(asked, last)
        if begin < end and _off(seen[begin:end], law):
            found |= {one for one in missing if first <= one <= last}
    return found
