from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.edge.suspension import (
    FORM,
    KEPT_MAX,
    Suspension,
    SuspensionError,
    Suspensions,
    make,
    of_document,
)
from lachan import terms
from lachan.terms import HOURS_MAX, KEPT_SECONDS

NOW = 1_764_738_000.0
HOUR = 3600


def suspension(serial: int = 5, hours: float = 2, now: float = NOW) -> Suspension:
    return make(serial, bytes([serial]) * 32, code="technical_fault", reason="broke  a bank", hours=hours, now=now)


def test_one_is_in_force_until_its_end_whatever_the_clock_does() -> None:
    one = suspension()
    assert (one.reason, one.ends_at - one.created_at) == ("broke a bank", 2 * HOUR)
    assert one.live(NOW)
    assert one.live(NOW + 2 * HOUR - 1)
    assert not one.live(NOW + 2 * HOUR)
    # Set back by hours it goes on, for no longer than any may be.
    assert one.live(NOW - 10 * HOUR)
    assert not one.live(NOW - HOURS_MAX * HOUR)
    assert of_document(one.document()) == one


@pytest.mark.parametrize(
    "wrong",
    [{"hours": 0.01}, {"hours": 73}, {"hours": float("nan")}, {"reason": " x "}, {"reason": "x" * 201},
     {"reason": "a\u202eb\tc\x07"}, {"code": "Because!"}, {"serial": 0}, {"records_digest": bytes(31)}],
)  # fmt: skip
def test_what_cannot_be(wrong: dict[str, object]) -> None:
    asked = {"serial": 5, "records_digest": bytes(32), "code": "other", "reason": "because", "hours": 1.0, "now": NOW}
    with pytest.raises(SuspensionError):
        make(**(asked | wrong))  # type: ignore[arg-type]


def test_all_of_them_as_a_value() -> None:
    first = Suspensions().adding(suspension(), NOW)
    assert first.passed_over(NOW) == {b"\5" * 32}
    # The same release again: the first ends where the second begins.
    again = first.adding(suspension(hours=4, now=NOW + 60), NOW + 60)
    assert [one.ends_at for one in again.kept] == [NOW + 60, NOW + 60 + 4 * HOUR]
    both = again.adding(suspension(6, now=NOW + 60), NOW + 60)
    assert len(both.passed_over(NOW + 60)) == 2
    assert [one.serial for one in both.within(int(NOW) + 60, int(NOW) + 120)] == [5, 6]
    ended = both.ending(NOW + 120)
    assert not ended.live(NOW + 121)
    with pytest.raises(SuspensionError, match="no release is suspended"):
        ended.ending(NOW + 121)
    assert len(ended.pruned(NOW + 121).kept) == 3
    assert not ended.pruned(NOW + 121 + KEPT_SECONDS).kept
    full = Suspensions()
    for serial in range(1, KEPT_MAX + 1):
        full = full.adding(suspension(serial), NOW)
    with pytest.raises(SuspensionError, match="the most"):
        full.adding(suspension(100), NOW)


def test_they_are_kept_and_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "suspensions.json"
    assert FORM.read(path) == ()
    kept = Suspensions().adding(suspension(), NOW)
    terms.write(path, kept.kept)
    assert FORM.read(path) == kept.kept
    good = path.read_bytes()
    for damage in (b"", b"[]", b'{"form": 2}', b'{"form": 1, "kept": 3}', good.replace(b'"serial"', b'"x"'), good[:-9]):
        path.write_bytes(damage)
        with pytest.raises(SuspensionError, match=r"suspensions\.json"):
            FORM.read(path)
