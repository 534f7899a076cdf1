"""Changes on their way into the database."""

from __future__ import annotations

import zlib

import pytest

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log.changes import ChangesError
from blocklist_sync.central.registry import spool
from blocklist_sync.central.registry.spool import Spool, Stored, inflate
from tests.support.registry import GAMBLING, text


def test_pieces_are_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "LINES", 10)
    data = text(*((f"n{number:03}.example", GAMBLING, bool(number % 2)) for number in range(95)))
    held = Spool()
    for at in range(0, len(data), 100):
        held.feed(data[at : at + 100])
    summary = held.finish()
    pieces = list(held.pieces())
    assert b"".join(inflate(piece.deflated) for piece in pieces) == data
    assert [piece.position for piece in pieces] == list(range(11))
    assert (pieces[0].first_name, pieces[0].last_name) == (None, None)
    assert (pieces[1].first_name, pieces[1].last_name) == ("n000.example", "n009.example")
    assert (pieces[10].first_name, pieces[10].last_name) == ("n090.example", "n094.example")
    assert (summary.added, summary.removed) == (47, 48)
    # The changes in them are read as often as asked.
    expected = [(f"n{number:03}.example", GAMBLING, bool(number % 2)) for number in range(95)]
    assert list(held) == list(held) == expected
    with Stored() as stored:
        for piece in pieces:
            stored.add(piece.deflated)
        assert list(stored) == list(stored) == expected
    held.close()


@pytest.mark.parametrize(
    ("name", "reason"), [("co.uk", "public suffix"), ("192.0.2.1", "an address"), ("a_b.example", "underscore")]
)
def test_a_name_that_cannot_be_listed_is_refused_with_its_line(name: str, reason: str) -> None:
    held = Spool()
    with pytest.raises(ChangesError, match=reason) as caught:
        held.feed(text(("0.example", GAMBLING, True), (name, GAMBLING, True)))
    assert caught.value.line == (4 if name > "0.example" else 3)
    held.close()
    # What could be listed once can always be taken back.
    held = Spool()
    held.feed(text((name, GAMBLING, False)))
    held.close()


@pytest.mark.parametrize(
    "data", [b"", b"x", zlib.compress(b"x")[:-1], zlib.compress(b"x") + b"x", zlib.compress(bytes(17 << 20))]
)
def test_a_piece_is_bounded_and_whole(data: bytes) -> None:
    with pytest.raises(CentralError, match="a piece of the changes"):
        inflate(data)
