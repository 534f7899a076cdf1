"""The text of a set of changes."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import changes
from blocklist_sync.central.log.changes import Change, ChangesError, Parser, Reader
from tests.support.registry import GAMBLING, text

SCAM = Kind(Scope.EXACT, True, Category.SCAM, Order("9/QĐ", mandated=False))
WHOLE = (
    "lachan-changes 1\n"
    "\tsubtree\tblock\tgambling\tmandated\t12/QĐ\n"
    "\texact\texcept\tscam\tprofile-only\t9/QĐ\n"
    "a.example\t0\t+\n"
    "a.example\t1\t-\n"
    "b-b.example\t1\t-\n"
    "b.example\t0\t+\n"
).encode()
LINES = [
    ("b.example", GAMBLING, True),
    ("b-b.example", SCAM, False),
    ("a.example", SCAM, False),
    ("a.example", GAMBLING, True),
    ("b.example", GAMBLING, True),
]


def parsed(data: bytes) -> changes.Summary:
    parser = Parser("x")
    parser.feed(data)
    return parser.close()


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_one_set_has_one_text(at_once: int) -> None:
    assert b"".join(changes.encode(LINES, at_once)) == WHOLE
    assert b"".join(changes.encode(reversed(LINES), at_once)) == WHOLE


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_text_is_read_as_it_arrives(size: int) -> None:
    parser = Parser()
    found = [change for at in range(0, len(WHOLE), size) for change in parser.feed(WHOLE[at : at + size]).changes()]
    assert found == [
        Change("a.example", 0, True),
        Change("a.example", 1, False),
        Change("b-b.example", 1, False),
        Change("b.example", 0, True),
    ]
    summary = parser.close()
    assert summary.digest == hashlib.sha256(WHOLE).digest()
    assert (summary.kinds, summary.added, summary.removed) == ((GAMBLING, SCAM), 2, 2)
    assert summary.adding == {GAMBLING}
    assert summary.size == len(WHOLE)


def test_a_file_is_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "changes"
    summary = changes.write(path, LINES)
    assert path.read_bytes() == WHOLE
    assert changes.check(path) == summary
    with path.open("rb") as file:
        reader = Reader(file, "x")
        assert reader.kinds == [GAMBLING, SCAM]
        assert reader.summary is None
        assert len(list(reader)) == 4
        assert reader.summary == summary


def test_an_empty_set_is_one() -> None:
    assert text() == b"lachan-changes 1\n"
    reader = Reader(io.BytesIO(text()), "x")
    assert list(reader) == []
    assert reader.summary is not None
    assert reader.summary.added == 0


def test_more_than_a_block(tmp_path: Path) -> None:
    names = [f"n{number:06}.example" for number in range(30_000)]
    path = tmp_path / "changes"
    summary = changes.write(path, [(name, GAMBLING, True) for name in names])
    with path.open("rb") as file:
        assert [change.name for change in Reader(file, "x")] == names
    assert summary.size > changes.BLOCK_BYTES


def test_an_entry_cannot_come_and_go() -> None:
    with pytest.raises(CentralError, match=r"a\.example: both added and removed"):
        text(("a.example", GAMBLING, True), ("a.example", GAMBLING, False))


def test_what_is_not_canonical_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ChangesError, match=":3: not a name"):
        changes.write(tmp_path / "changes", [("Bad.example", GAMBLING, True)])
    assert not (tmp_path / "changes").exists()


HEAD = WHOLE[: WHOLE.index(b"a.example")]
ONE = HEAD[: HEAD.index(b"\texact")]


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b"", 1, "not 'lachan-changes 1'"),
        (b"lachan-changes 2\n", 1, "not 'lachan-changes 1'"),
        (b"lachan-changes 1", 1, "ends inside a line"),
        (b"lachan-changes 1\n\tsubtree\tblock\n", 2, "no kind"),
        (b"lachan-changes 1\n\tsubtree\tblock\tgambling\tmandated\t\xff\n", 2, "no kind"),
        (HEAD.replace(b"scam", b"csam"), 3, "not sorted"),
        (ONE + ONE.partition(b"\n")[2], 3, "not sorted"),
        (HEAD + b"a.example\t0\t+\n", 3, "no line uses"),
        (ONE, 2, "no line uses"),
        (ONE + b"a.example\t1\t+\n", 3, "no kind has the number 1"),
        (ONE + b"a.example\t00\t+\n", 3, "canonical"),
        (ONE + b"a.example\t0\t*\n", 3, "canonical"),
        (ONE + b"a.example\t0\t+\r\n", 3, "canonical"),
        (ONE + b"a.example\t0\t+\n\n", 4, "canonical"),
        (ONE + b"A.example\t0\t+\n", 3, "canonical"),
        (ONE + "đ.example\t0\t+\n".encode(), 3, "canonical"),
        (ONE + b"example\t0\t+\n", 3, "canonical"),
        (ONE + b"a..example\t0\t+\n", 3, "canonical"),
        (ONE + b"-a.example\t0\t+\n", 3, "canonical"),
        (ONE + b"a" * 64 + b".example\t0\t+\n", 3, "canonical"),
        (ONE + b"a." * 124 + b"example\t0\t+\n", 3, "canonical"),
        (ONE + b"a.example\t0\t+", 3, "ends inside a line"),
        (ONE + b"a.example\t0\t+\n" * 2, 4, "twice"),
        (ONE + b"b.example\t0\t+\na.example\t0\t+\n", 4, "not sorted"),
        (ONE + b"a.example\t0\t+\n\tsubtree\tblock\tscam\tmandated\t1\n", 4, "canonical"),
        (ONE + b"a.example\t0\t+\n" + b"b" * 600, 4, "longer than"),
    ],
)
@pytest.mark.parametrize("size", [3, 1000])
def test_a_fault_names_its_line(data: bytes, line: int, reason: str, size: int) -> None:
    parser = Parser("x")
    with pytest.raises(ChangesError) as caught:  # noqa: PT012  it may show with any block, or at the end
        for at in range(0, len(data), size):
            parser.feed(data[at : at + size])
        parser.close()
    assert (caught.value.line, reason in caught.value.reason) == (line, True), str(caught.value)
    assert str(caught.value).startswith(f"x:{line}: ")


def test_bounds_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MAX_CHANGES", 3)
    with pytest.raises(ChangesError, match="more than 3 changes"):
        parsed(WHOLE)
    monkeypatch.setattr(changes, "MAX_KINDS", 1)
    with pytest.raises(ChangesError, match="3: more than 1 kinds"):
        parsed(WHOLE)
    with pytest.raises(CentralError, match="more than 1 kinds"):
        text(*LINES[1:4])
    monkeypatch.setattr(changes, "MAX_TEXT_BYTES", 20)
    with pytest.raises(ChangesError, match="longer than 20 bytes"):
        parsed(WHOLE)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CentralError, match="No such file"):
        changes.check(tmp_path / "none")
