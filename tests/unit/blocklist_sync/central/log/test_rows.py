from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.central.entries import FORMAT, kind_line
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import rows
from blocklist_sync.central.log.rows import NO_ROWS, Rows, StateReader, in_blocks, whole, write
from tests.support.clear_list import write_lines
from tests.support.registry import GAMBLING

EXCEPT = GAMBLING._replace(exception=True)
KINDS = [GAMBLING, EXCEPT]
HEAD = "\n".join([FORMAT, *map(kind_line, KINDS)]) + "\n"


def blocks(path: Path, numbers: list[int] | None = None) -> list[Rows]:
    with path.open(encoding="utf-8", newline="\n") as file:
        return list(StateReader(file, path).blocks(numbers))


def test_what_is_written_in_blocks_is_read_in_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    held = sorted((f"n{number:03}.example", kind, number) for number in range(200) for kind in range(1 + number % 2))
    assert write_lines(path, KINDS, held) == [200, 100]
    for characters in (1, 30, 1000, 1 << 19):
        monkeypatch.setattr(rows, "BLOCK_CHARACTERS", characters)
        found = blocks(path)
        assert [row for block in found for row in zip(*block, strict=True)] == [(n, k, str(t)) for n, k, t in held]
        # All of a name's rows stand in one block.
        names = [set(block.names) for block in found]
        assert sum(map(len, names)) == len(set[str]().union(*names))
    monkeypatch.setattr(rows, "LINES_AT_ONCE", 10)
    again = tmp_path / "again"
    assert write(again, KINDS, in_blocks(held)) == [200, 100]
    assert again.read_bytes() == path.read_bytes()
    assert {kind for block in blocks(path, [7, 5]) for kind in block.kinds} == {7, 5}
    assert write(tmp_path / "empty", KINDS, ()) == [0, 0]
    assert blocks(tmp_path / "empty") == []


def test_rows_are_cut_between_names() -> None:
    held = Rows(["a.example", "b.example", "b.example", "d.example"], [0, 0, 1, 0], ["1", "2", "3", "4"])
    assert held.until("c.example") == (held.cut(3)[0], Rows(["d.example"], [0], ["4"]))
    assert held.until("b.example")[0].names == ["a.example", "b.example", "b.example"]
    assert held.until("z.example") == (held, NO_ROWS)
    assert held.until("a")[0] == NO_ROWS


def test_a_names_rows_come_together_again() -> None:
    pieces = [
        Rows(["a.example", "b.example"], [0, 0], ["1", "1"]),
        Rows(["b.example"], [1], ["2"]),
        Rows(["b.example", "c.example"], [2, 0], ["3", "1"]),
    ]
    found = list(whole(pieces))
    assert [block.names for block in found] == [["a.example"], ["b.example"] * 3, ["c.example"]]
    assert [row for block in found for row in zip(*block, strict=True)] == [
        row for block in pieces for row in zip(*block, strict=True)
    ]
    assert list(whole([])) == []


@pytest.mark.parametrize(
    "text",
    [
        "a.example\t0\t1",
        "a.example\t0\n",
        "a.example\t0\t1\t\n",
        "a.example\t0\nb.example\t0\t1\t1\n",
        "a.example\t2\t1\n",
        "a.example\tx\t1\n",
        "a.example\t0\tx\n",
        "a.example\t0\t\n",
        "\n",
        "b.example\t0\t1\na.example\t0\t1\n",
        "a.example\t0\t²\n",
    ],
)
def test_a_line_that_is_no_row_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state"
    path.write_text(HEAD + text, encoding="utf-8")
    with pytest.raises(CentralError, match=r"state:[45]: malformed, or not sorted"):
        blocks(path)


def test_order_holds_from_block_to_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "BLOCK_CHARACTERS", 20)
    path = tmp_path / "state"
    path.write_text(HEAD + "".join(f"{name}.example\t0\t1\n" for name in "abzcd"))
    with pytest.raises(CentralError, match=r"state:6: malformed, or not sorted"):
        blocks(path)
    path.write_bytes(HEAD.encode() + b"a.example\t0\t1\n\xff\n")
    with pytest.raises(CentralError, match="malformed"):
        blocks(path)
