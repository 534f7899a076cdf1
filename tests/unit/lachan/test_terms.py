"""Terms as a value and as a file, of the smallest kind there can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from lachan import terms
from lachan.errors import LachanError
from lachan.terms import HOURS_MAX, KEPT_SECONDS, Form, Term, Terms

NOW = 1_764_738_000.5
HOUR = 3600


class LeaveError(LachanError):
    """Of this kind."""


@dataclass(frozen=True)
class Leave(Term):
    """One of them."""

    who: str
    reason: str
    created_at: int
    ends_at: int

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def parse(raw: Mapping[str, Any]) -> Leave:
    """From what `document` gave."""
    return Leave(**raw)


FORM = Form("a leave", LeaveError, 3, parse)


def leave(who: str = "a", hours: float = 1, now: float = NOW) -> Leave:
    """One that begins at a time."""
    return Leave(who, **FORM.span("for a rest", hours, now))


def test_it_is_in_force_from_its_beginning_to_its_end() -> None:
    one = leave()
    assert (one.created_at, one.ends_at) == (int(NOW), int(NOW) + HOUR)
    assert [one.live(NOW + seconds) for seconds in (-30, 0, HOUR - 1, HOUR)] == [True, True, True, False]
    assert not leave(hours=HOURS_MAX).live(NOW - 2 * HOUR), "a clock that was set back makes none longer"


@pytest.mark.parametrize(
    ("reason", "hours", "told"),
    [
        (" \n ", 1, "a leave needs a reason"),
        ("x" * 201, 1, "at most 200"),
        ("a\x1b[31mred", 1, "printable"),
        ("for a rest", 1 / 61, "a minute to 72 hours"),
        ("for a rest", 72.1, "a minute to 72 hours"),
        ("for a rest", float("nan"), "a minute to 72 hours"),
    ],
)
def test_it_has_a_reason_and_an_end(reason: str, hours: float, told: str) -> None:
    with pytest.raises(LeaveError, match=told):
        FORM.span(reason, hours, NOW)


def test_ended_ones_are_kept_while_a_report_may_ask() -> None:
    both = Terms((leave("a"), leave("b")))
    ended = both.ended(lambda one: one.who == "a", NOW + 60)
    assert [one.who for one in ended.live(NOW + 60)] == ["b"]
    assert [one.who for one in ended.within(int(NOW), int(NOW) + 10)] == ["a", "b"]
    assert [one.who for one in ended.within(int(NOW) + 60, int(NOW) + 70)] == ["b"]
    assert len(ended.pruned(NOW + KEPT_SECONDS).kept) == 2
    assert not ended.pruned(NOW + HOUR + KEPT_SECONDS).kept


def test_a_file_is_whole_or_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "leaves.json"
    assert FORM.recover(path) == ()
    terms.write(path, [leave("a"), leave("b")])
    assert [one.who for one in FORM.recover(path)] == ["a", "b"]
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(LeaveError, match=r"leaves\.json"):
        FORM.read(path)
    assert FORM.recover(path) == ()
    assert [one.name for one in path.parent.iterdir()] == ["leaves.damaged"]


def test_no_more_are_read_than_may_be_kept(tmp_path: Path) -> None:
    path = tmp_path / "leaves.json"
    terms.write(path, [leave(str(number)) for number in range(9)])
    assert [one.who for one in FORM.read(path)] == ["0", "1", "2"]
