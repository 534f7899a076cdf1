from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake.copies import Copies, Look
from blocklist_sync.central.intake.download import Body, Validators

BODY = Body("ab" * 32, 3, b"a.e", "text/plain", Validators('"1"', "Mon, 01 Jan 2026 00:00:00 GMT"))


def test_a_copy_is_good_once_it_is_noted(tmp_path: Path) -> None:
    copies = Copies(tmp_path)
    assert copies.last() == Look()
    copies.incoming.write_bytes(b"a.e")
    good = copies.keep(BODY, 1, 0, 1000, "https://lists.example/a")
    assert copies.last() == Look()
    look = Look().went(1000, "new", good)
    copies.note(look)
    assert copies.last() == look
    assert good.validators == BODY.validators
    assert copies.path(good).read_bytes() == b"a.e"
    # What failed leaves it, what is new replaces it.
    failed = look.failed(2000, "slow", "x" * 1000)
    copies.note(failed)
    assert (copies.last().failures, copies.last().good, len(copies.last().detail)) == (1, good, 500)
    assert failed.failed(3000, "slow", "again").failures == 2
    copies.incoming.write_bytes(b"b.e")
    other = copies.keep(Body("cd" * 32, 3, b""), 1, 0, 4000, "place")
    copies.note(failed.went(4000, "new", other))
    assert [path.name for path in tmp_path.glob("*.copy")] == [f"{'cd' * 32}.copy"]
    assert copies.last().failures == 0


def test_a_copy_that_is_gone_is_none(tmp_path: Path) -> None:
    copies = Copies(tmp_path)
    copies.incoming.write_bytes(b"a.e")
    good = copies.keep(BODY, 1, 0, 1000, "place")
    copies.note(Look().went(1000, "new", good))
    copies.path(good).unlink()
    assert copies.last() == Look(1000, "new")


@pytest.mark.parametrize("text", ["{", "[]", '{"good": {"a": 1}}', '{"colour": 1}'])
def test_a_damaged_state_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(CentralError, match=r"state\.json"):
        Copies(tmp_path).last()
