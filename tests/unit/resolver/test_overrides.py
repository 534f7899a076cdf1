from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.artifact._snapshot import Snapshot
from blocklist_sync.artifact.categories import Category
from lachan import terms
from lachan.compliance.v1 import report_pb2 as pb
from lachan.terms import HOURS_MAX, KEPT_SECONDS
from resolver.overrides import (
    FORM,
    KEPT_MAX,
    LIVE_MAX,
    Override,
    OverrideError,
    Overrides,
    ReasonCode,
    make,
    of_document,
    told,
)
from tests.support.blocklist import OFFER, built, entry

NOW = 1_764_738_000.5
HOUR = 3600


def override(name: str = "a.example", hours: float = 1, now: float = NOW, scope: str = "exact") -> Override:
    return make(name, scope=scope, code="wrongly_listed", reason="it is a hospital's", hours=hours, now=now)


def test_an_override_holds_until_its_end() -> None:
    one = override()
    assert (one.created_at, one.ends_at) == (int(NOW), int(NOW) + HOUR)
    assert one.live(NOW)
    assert one.live(NOW + HOUR - 1)
    assert not one.live(one.ends_at)


def test_a_clock_that_jumps_makes_no_override_longer_than_it_may_be() -> None:
    one = override(hours=HOURS_MAX)
    assert one.live(NOW - 30), "a correction by seconds takes nothing away"
    assert not one.live(NOW - 30 * 24 * HOUR)
    assert not one.live(NOW + 30 * 24 * HOUR)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"reason": "  "}, "needs a reason"),
        ({"reason": "x" * 201}, "at most 200"),
        ({"reason": "a\x1b[31mred"}, "printable"),
        ({"code": "because"}, "there are other, wrongly_listed"),
        ({"hours": 0}, "a minute to 72 hours"),
        ({"hours": 72.1}, "a minute to 72 hours"),
        ({"hours": float("nan")}, "a minute to 72 hours"),
        ({"scope": "half"}, "no override"),
        ({"name": "A.example"}, "no override"),
        ({"name": "a..b"}, "no override"),
        ({"name": ""}, "no override"),
    ],
)
def test_an_override_that_cannot_be_is_refused(changed: dict[str, str | float], match: str) -> None:
    good = {"name": "a.example", "scope": "exact", "code": "other", "reason": "because", "hours": 1.0}
    with pytest.raises(OverrideError, match=match):
        make(**(good | changed), now=NOW)  # type: ignore[arg-type] # what is wrong with them is the point


def test_a_second_of_the_same_name_ends_the_first() -> None:
    book = Overrides().adding(override(), NOW).adding(override(hours=2, now=NOW + 60), NOW + 60)
    assert [(one.created_at, one.ends_at) for one in book.kept] == [
        (int(NOW), int(NOW) + 60),
        (int(NOW) + 60, int(NOW) + 60 + 2 * HOUR),
    ]
    assert len(book.live(NOW + 61)) == 1


def test_one_that_is_taken_back_ends_and_is_remembered_until_it_was_told() -> None:
    book = Overrides().adding(override(), NOW).removing("a.example", NOW + 60)
    assert not book.live(NOW + 60)
    with pytest.raises(OverrideError, match=r"no override of a\.example is in force"):
        book.removing("a.example", NOW + 60)
    window = int(NOW) // 300 * 300
    assert book.within(window, window + 300) == book.kept
    assert not book.within(window + 300, window + 600)
    assert book.pruned(NOW + KEPT_SECONDS).kept == book.kept
    assert not book.pruned(NOW + KEPT_SECONDS + 61).kept


def test_they_have_bounds() -> None:
    book = Overrides()
    for number in range(LIVE_MAX):
        book = book.adding(override(f"n{number}.example"), NOW)
    with pytest.raises(OverrideError, match="64 overrides are in force"):
        book.adding(override("more.example"), NOW)
    book = Overrides()
    for number in range(KEPT_MAX):
        now = NOW + 2 * number
        book = book.adding(override(f"n{number}.example", now=now), now).removing(f"n{number}.example", now + 1)
    with pytest.raises(OverrideError, match="256 overrides within 72 hours"):
        book.adding(override("more.example"), now + 1)


def test_they_are_on_the_disk_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "overrides.json"
    assert FORM.read(path) == ()
    book = Overrides().adding(override(), NOW).adding(override("b.example", scope="subtree"), NOW)
    terms.write(path, book.kept)
    assert FORM.read(path) == book.kept
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"{}", b'{"form": 2, "kept": []}', b'{"form": 1, "kept": {}}', b'{"form": 1, "kept": [{}]}',
        b'{"form": 1, "kept": [7]}', b"[" * 100_000, b" " * (1 << 21),
        (b'{"form": 1, "kept": [{"name": "a.example", "scope": "exact", "code": "x", "reason": "", "created_at": 1,'
        b' "ends_at": 2}]}'),
    ],
)  # fmt: skip
def test_a_damaged_file_is_told(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "overrides.json"
    path.write_bytes(data)
    with pytest.raises(OverrideError, match=r"overrides\.json"):
        FORM.read(path)


def test_workers_read_what_they_are_told() -> None:
    assert of_document(override().document()) == override()


def test_a_report_names_no_name_and_no_words() -> None:
    snapshot = Snapshot(
        built(
            entry("bad.example"),
            entry("www.bad.example", Category.SCAM, order=OFFER),
            entry("x.example", exception=True),
        )
    )
    one, two, three = told((override("www.bad.example"), override("bad.example"), override("x.example")), snapshot)
    assert (one.fingerprint, one.entry) == (
        snapshot.fingerprint("www.bad.example"),
        snapshot.fingerprint("bad.example"),
    )
    assert (one.category, one.code) == (Category.GAMBLING, ReasonCode.WRONGLY_LISTED)
    assert two.entry == two.fingerprint
    assert (three.entry, three.category) == (0, 0)
    [none] = told((override(),), None)
    assert (none.fingerprint, none.entry, none.category) == (0, 0, 0)


def test_codes_are_the_protocols() -> None:
    names = {f"OVERRIDE_REASON_{code.name}": int(code) for code in ReasonCode}
    assert names == {name: number for name, number in pb.OverrideReason.items() if number}
