from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.edge import pins
from lachan.ledger.errors import LedgerError
from resolver.trust import Trust, load_policy
from tests.support.ledger import NOON, Parties, forest
from tests.support.pins import targets

PARTIES = Parties()
TEXT = PARTIES.policy_text
STRICTER = TEXT.replace(" 2 ", " 3 ")
WOODS = forest(3)
TWO = PARTIES.head(3, WOODS.root(3), {"w1": NOON, "w2": NOON})
THREE = PARTIES.head(3, WOODS.root(3), {"w1": NOON, "w2": NOON, "w3": NOON})


def trust(folder: Path, own: str | None, signed: str | None) -> Trust:
    if own is not None:
        (folder / "own").write_text(own)
    if signed is not None:
        pins.keep(folder / pins.FILE, targets(1, signed or None))
    return Trust(folder / "own" if own is not None else None, folder / pins.FILE)


@pytest.mark.parametrize(("own", "signed"), [(None, STRICTER), (STRICTER, TEXT), (TEXT, STRICTER)])
def test_a_file_of_one_s_own_only_narrows_what_is_signed(tmp_path: Path, own: str | None, signed: str) -> None:
    both = trust(tmp_path, own, signed)
    with pytest.raises(LedgerError, match="cosigned by w1, w2"):
        both.check(TWO, NOON)
    assert set(both.check(THREE, NOON).times) == {"w1", "w2", "w3"}


def test_a_file_of_one_s_own_does_where_nothing_is_signed(tmp_path: Path) -> None:
    assert trust(tmp_path, TEXT, "").check(TWO, NOON).checkpoint.size == 3
    assert Trust(tmp_path / "own", None).check(TWO, NOON).checkpoint.size == 3


def test_before_it_is_known_what_is_pinned_nothing_is_believed(tmp_path: Path) -> None:
    unknown = trust(tmp_path, TEXT, None)
    assert unknown.policies() is None
    with pytest.raises(LedgerError, match="not known here yet"):
        unknown.check(THREE, NOON)
    assert Trust(None, None).policies() == ()
    assert trust(tmp_path, None, "").policies() == ()


def test_what_is_no_policy_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "policy").write_bytes(b"trust me")
    with pytest.raises(LedgerError, match="policy: line 1"):
        load_policy(tmp_path / "policy")
    (tmp_path / pins.FILE).write_bytes(b"# targets 1\ntrust me")
    with pytest.raises(LedgerError, match="line 1"):
        Trust(None, tmp_path / pins.FILE).policies()
