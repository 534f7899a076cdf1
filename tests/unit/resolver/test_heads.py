from __future__ import annotations

from pathlib import Path

import pytest

from lachan.ledger import note
from lachan.ledger.checkpoint import Checkpoint
from lachan.ledger.errors import LedgerError
from lachan.ledger.note import Note
from resolver.heads import (
    CHECKPOINT,
    CONTRADICTED,
    CONTRADICTION,
    ContradictionError,
    Heads,
    OlderHeadError,
)
from tests.support.ledger import NOON, Forest, Parties, forest

PARTIES = Parties()
WOODS, OTHER = forest(9), forest(9, b"other ")
BOTH = {"w1": NOON, "w2": NOON}


def head(size: int, woods: Forest = WOODS, times: dict[str, int] = BOTH) -> Note:
    return PARTIES.head(size, woods.root(size), times)


def keep(heads: Heads, signed: Note, proof: list[bytes]) -> Checkpoint:
    seen = heads.look(signed.encode(), NOON)
    heads.take(signed.encode(), seen, proof)
    return seen


def test_heads_that_continue_one_another_are_kept_through_a_restart(tmp_path: Path) -> None:
    heads = Heads(tmp_path, PARTIES.policy)
    assert heads.kept is None
    keep(heads, head(3), [])
    keep(heads, head(7), WOODS.consistency(3, 7))
    again = Heads(tmp_path, PARTIES.policy)
    assert again.kept is not None
    assert again.kept.size == 7
    assert again.look(head(7).encode(), NOON) == again.kept
    assert not again.contradicted


def test_what_the_policy_does_not_believe_is_not_kept(tmp_path: Path) -> None:
    heads = Heads(tmp_path, PARTIES.policy)
    for signed in (head(3, times={"w1": NOON}), head(3, times={"w1": NOON + 900, "w2": NOON})):
        with pytest.raises(LedgerError):
            heads.look(signed.encode(), NOON)
    with pytest.raises(LedgerError):
        heads.look(b"none", NOON)
    assert list(tmp_path.iterdir()) == []


def test_an_older_head_is_told_apart_and_changes_nothing(tmp_path: Path) -> None:
    heads = Heads(tmp_path, PARTIES.policy)
    keep(heads, head(5), [])
    with pytest.raises(OlderHeadError, match="a head of 3 leaves, after one of 5"):
        heads.look(head(3).encode(), NOON)
    assert not heads.contradicted


def test_of_a_split_view_both_heads_are_kept(tmp_path: Path) -> None:
    heads = Heads(tmp_path, PARTIES.policy)
    keep(heads, head(5), [])
    with pytest.raises(ContradictionError, match="two roots of one tree of 5 leaves"):
        heads.look(head(5, OTHER).encode(), NOON)
    assert (tmp_path / CONTRADICTED).read_bytes() == head(5).encode()
    assert (tmp_path / CONTRADICTION).read_bytes() == head(5, OTHER).encode()
    # Two signatures of one log, for whoever is shown them.
    for name in (CONTRADICTED, CONTRADICTION):
        assert note.verify(note.parse((tmp_path / name).read_bytes()), [PARTIES.log_key])
    assert Heads(tmp_path, PARTIES.policy).contradicted


def test_of_a_rewritten_ledger_both_heads_are_kept_and_the_first_pair_stays(tmp_path: Path) -> None:
    heads = Heads(tmp_path, PARTIES.policy)
    keep(heads, head(5), [])
    rewritten = head(9, OTHER)
    seen = heads.look(rewritten.encode(), NOON)
    with pytest.raises(ContradictionError, match="does not begin with that of 5"):
        heads.take(rewritten.encode(), seen, OTHER.consistency(5, 9))
    with pytest.raises(ContradictionError):
        heads.look(head(5, OTHER).encode(), NOON)
    assert (tmp_path / CONTRADICTION).read_bytes() == rewritten.encode()
    assert heads.kept is not None
    assert heads.kept.root == WOODS.root(5)


def test_another_log_of_the_policy_is_not_mixed_up_with_it(tmp_path: Path) -> None:
    heads = Heads(tmp_path, PARTIES.policy)
    keep(heads, head(5), [])
    (tmp_path / CHECKPOINT).write_bytes(Checkpoint("another", 5, WOODS.root(5)).signed(PARTIES.log).encode())
    with pytest.raises(LedgerError, match=r"a head of log\.example/ledger, and not of another"):
        Heads(tmp_path, PARTIES.policy).look(head(6).encode(), NOON)


def test_what_is_kept_and_cannot_be_read_is_an_error_never_a_fresh_start(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"rubbish")
    with pytest.raises(LedgerError, match="checkpoint: line"):
        Heads(tmp_path, PARTIES.policy)
