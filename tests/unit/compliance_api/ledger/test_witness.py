from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compliance_api.ledger.witness import RollbackError, SplitViewError, StaleSizeError, Witness, WitnessStateError
from lachan import durable
from lachan.durable import FileError
from lachan.ledger import note
from lachan.ledger.checkpoint import Checkpoint
from lachan.ledger.note import NoteError
from lachan.ledger.policy import LogSignatureError, UnknownLogError
from lachan.ledger.tree import ProofError
from tests.support.ledger import NOON, ORIGIN, Parties, forest

WOODS = forest(20)
PARTIES = Parties()
NAME = "w1.example/witness"


def signed(size: int, root: bytes | None = None) -> bytes:
    return PARTIES.head(size, root or WOODS.root(size), {}).encode()


def witness_of(folder: Path) -> Witness:
    return Witness(folder, NAME, PARTIES.witnesses["w1"], [PARTIES.log_key])


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    with Witness.opened(tmp_path, NAME, PARTIES.witnesses["w1"], [PARTIES.log_key]) as made:
        yield made


def test_a_growing_log_is_cosigned(witness: Witness) -> None:
    old = 0
    for size in (3, 3, 8, 20):
        made = witness.add_checkpoint(old, WOODS.consistency(old, size), signed(size), NOON + size)
        whole = note.parse(signed(size)).with_signatures([made])
        assert note.verify(whole, [PARTIES.witness_key("w1")]) == {PARTIES.witness_key("w1"): NOON + size}
        assert witness.last(ORIGIN) == Checkpoint(ORIGIN, size, WOODS.root(size))
        old = size


def test_what_was_cosigned_is_remembered(witness: Witness, tmp_path: Path) -> None:
    witness.add_checkpoint(0, [], signed(8), NOON)
    again = witness_of(tmp_path)
    assert again.last(ORIGIN) == Checkpoint(ORIGIN, 8, WOODS.root(8))
    with pytest.raises(StaleSizeError, match="last size cosigned here is 8") as raised:
        again.add_checkpoint(0, [], signed(20), NOON)
    assert raised.value.size == 8


def test_a_rollback_is_refused(witness: Witness) -> None:
    witness.add_checkpoint(0, [], signed(8), NOON)
    with pytest.raises(RollbackError, match="last size cosigned here is 8"):
        witness.add_checkpoint(5, [], signed(5), NOON)


def test_a_split_view_is_refused_and_kept_as_proof(witness: Witness, tmp_path: Path) -> None:
    witness.add_checkpoint(0, [], signed(8), NOON)
    other = signed(8, forest(8, b"other ").root())
    for data in (other, signed(8, forest(8, b"third ").root())):
        with pytest.raises(SplitViewError, match="two roots of one tree of 8"):
            witness.add_checkpoint(8, [], data, NOON)
    (kept,) = tmp_path.glob("*.contradiction")
    assert kept.read_bytes() == other
    assert witness.last(ORIGIN) == Checkpoint(ORIGIN, 8, WOODS.root(8))


def test_a_rewritten_past_is_refused(witness: Witness) -> None:
    witness.add_checkpoint(0, [], signed(8), NOON)
    rewritten = forest(20, b"other ")
    with pytest.raises(ProofError, match="does not begin with that of 8"):
        witness.add_checkpoint(8, rewritten.consistency(8), signed(20, rewritten.root()), NOON)
    with pytest.raises(ProofError):
        witness.add_checkpoint(8, [], signed(20), NOON)
    assert witness.last(ORIGIN) == Checkpoint(ORIGIN, 8, WOODS.root(8))


def test_only_a_known_log_with_its_signature_is_cosigned(witness: Witness) -> None:
    foreign = Parties()
    with pytest.raises(UnknownLogError, match="not witnessed here"):
        witness.add_checkpoint(0, [], Checkpoint("x.example", 8, WOODS.root(8)).signed(foreign.log).encode(), NOON)
    with pytest.raises(LogSignatureError):
        witness.add_checkpoint(0, [], foreign.head(8, WOODS.root(8), {}).encode(), NOON)
    with pytest.raises(NoteError, match="does not hold"):
        witness.add_checkpoint(0, [], signed(8).replace(b"\n8\n", b"\n9\n"), NOON)
    assert witness.last(ORIGIN) is None


def test_what_cannot_be_kept_is_not_cosigned(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise FileError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(durable, "write", full)
        with pytest.raises(FileError):
            witness.add_checkpoint(0, [], signed(8), NOON)
    assert witness.last(ORIGIN) is None
    witness.add_checkpoint(0, [], signed(3), NOON)


@pytest.mark.usefixtures("witness")
def test_one_process_at_a_time(tmp_path: Path) -> None:
    with (
        pytest.raises(FileError, match="another process"),
        Witness.opened(tmp_path, NAME, PARTIES.witnesses["w1"], [PARTIES.log_key]),
    ):
        pass


def test_a_state_that_is_not_ours_is_no_fresh_start(witness: Witness, tmp_path: Path) -> None:
    witness.add_checkpoint(0, [], signed(8), NOON)
    (path,) = tmp_path.glob("*.checkpoint")
    whole = path.read_bytes()
    for bad in (b"", whole[:-9], whole.replace(b"\n8\n", b"\n7\n"), signed(8)):
        path.write_bytes(bad)
        with pytest.raises(WitnessStateError, match=r"checkpoint: "):
            witness_of(tmp_path)
