"""Answers that a challenged node must have counted, of those that probes received for its address.

Holds always: a line where somebody else answers is told by what it showed of its way, or by its being told names that
the node blocks for the others; as many of them as interception explains are left out, and where there are more, none
is: a node cannot make its challenges go away by spoiling what shows the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compliance_api.domain.observations.observation import Path, Shape


@dataclass(frozen=True)
class Answered:
    """One answer to a challenged name."""

    qname: str
    vantage_point: str
    path: Path
    shape: Shape


def countable(answers: Sequence[Answered], explained: Callable[[int], int]) -> dict[str, int]:
    """How many answers there are by qname.

    Args:
        answers: All of one challenge.
        explained: How many of so many lines interception explains.
    """
    lines = sorted({one.vantage_point for one in answers})
    away = {line for line in lines if _away([one for one in answers if one.vantage_point == line])}
    if len(away) > explained(len(lines)):
        away = set()
    return dict(Counter(one.qname for one in answers if one.vantage_point not in away))


def _away(answers: Sequence[Answered]) -> bool:
    """Whether somebody else seems to answer a line: no session of it reached the node, or names are not blocked."""
    ways = {one.path for one in answers}
    if Path.VERIFIED in ways:
        return False
    return Path.ELSEWHERE in ways or 2 * sum(one.shape is Shape.ANSWER for one in answers) >= len(answers)
