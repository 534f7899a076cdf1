from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log.lookup import Lookup
from tests.support.clear_list import write_lines
from tests.support.registry import GAMBLING

EXCEPT = GAMBLING._replace(exception=True)
KINDS = [GAMBLING, EXCEPT]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
def test_every_name_is_found_and_no_other(tmp_path: Path, count: int) -> None:
    path = tmp_path / "entries.tsv"
    held = sorted((f"{'x' * (number % 5)}{number}.example", number % 2, number) for number in range(count))
    write_lines(path, KINDS, held)
    with Lookup(path) as lookup:
        for name, kind, third in held:
            assert lookup.of(name) == [(KINDS[kind], third)]
            assert lookup.lines(*lookup.between(name, name)) == [f"{name}\t{kind}\t{third}".encode()]
            assert lookup.of(name[:-1]) == lookup.of(name + "x") == lookup.of("0" + name) == []
        assert lookup.of("\x01") == lookup.of("~") == []
        for first, last in ((0, count), (1, count - 1), (count // 3, count // 2)):
            inside = held[first:last]
            if inside:
                shown = lookup.lines(*lookup.between(inside[0][0], inside[-1][0]))
                assert [line.partition(b"\t")[0].decode() for line in shown] == [name for name, *_ in inside]


def test_all_entries_of_a_name_are_found(tmp_path: Path) -> None:
    path = tmp_path / "entries.tsv"
    write_lines(path, KINDS, [("a.example", 0, 1), ("b.example", 0, 2), ("b.example", 1, 3), ("b.example.test", 0, 4)])
    with Lookup(path) as lookup:
        assert lookup.of("b.example") == [(GAMBLING, 2), (EXCEPT, 3)]
        # The file that was opened is read on, whatever takes its place.
        path.unlink()
        assert lookup.of("a.example") == [(GAMBLING, 1)]


def test_what_is_no_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "entries.tsv"
    with pytest.raises(CentralError, match="No such file"):
        Lookup(path)
    write_lines(path, KINDS, [("a.example", 0, 1)])
    good = path.read_bytes()
    for text in (b"a.example\t7\t1\n", b"a.example\t0\n", b"a.example\tx\t1\n", b"a.example", b"a.example\t0\t1"):
        path.write_bytes(good.replace(b"a.example\t0\t1\n", text))
        with Lookup(path) as lookup, pytest.raises(CentralError, match="malformed at byte"):
            lookup.of("a.example")
    path.write_bytes(b"")
    with pytest.raises(CentralError, match="empty file"):
        Lookup(path)
