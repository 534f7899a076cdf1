"""Two of three witnesses as processes, one killed with -9 and back: a pack that the verifier believes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from compliance_api.ledger import pack, verify
from lachan.ledger import note, policy
from lachan.ledger.leaf import Kind
from lachan.ledger.note import Note
from lachan.signing import SigningKey
from tests.support.compliance import COMMAND, DEADLINE
from tests.support.ledger import ORIGIN, Book, Parties, forest
from tests.support.witnesses import WitnessProcess


@pytest.fixture
def witnesses(tmp_path: Path) -> Iterator[tuple[Parties, list[WitnessProcess]]]:
    parties = Parties()
    made = [WitnessProcess(tmp_path, name, parties) for name in ("w1", "w2")]
    with ExitStack() as stack:
        for one in made:
            one.start()
            stack.callback(one.stop)
        yield parties, made


def test_witnesses_make_a_head_that_is_believed_and_no_second_one(
    witnesses: tuple[Parties, list[WitnessProcess]], tmp_path: Path
) -> None:
    parties, made = witnesses
    assert [one.key for one in made] == [str(parties.witness_key(name)) for name in ("w1", "w2")]
    now = int(time.time())
    book = Book(parties, now - 300)
    for number in range(6):
        book.enter(Kind.REPORT, b"report %d" % number)

    def cosigned(old: int, size: int) -> Note:
        head = parties.head(size, book.woods.root(size), {})
        replies = [one.ask(old, book.woods.consistency(old, size), head) for one in made]
        assert [status for status, _ in replies] == [200, 200]
        return head.with_signatures(note.parse_signature(told.removesuffix("\n"), 1) for _, told in replies)

    first = cosigned(0, 4)
    made[0].stop(kill=True)
    made[0].start()
    # What it cosigned before it was killed it still holds the log to.
    other = forest(6, b"other ")
    split = parties.head(4, other.root(4), {})
    assert made[0].ask(4, [], split) == (409, f"{ORIGIN}: two roots of one tree of 4 leaves\n")
    assert made[0].ask(4, other.consistency(4), parties.head(6, other.root(), {}))[0] == 422
    assert made[0].ask(0, [], parties.head(6, other.root(), {})) == (409, "4\n")
    second = cosigned(4, 6)

    believed = policy.parse(parties.policy_text.encode())
    files = book.files([1, 2, 5], [4, 6])
    files |= {pack.checkpoint_name(4): first.encode(), pack.checkpoint_name(6): second.encode()}
    pack.write(tmp_path / "pack", files.items())
    outcome = verify.verify(tmp_path / "pack", believed, first, now)
    assert outcome.problems == []
    assert outcome.head is not None
    assert outcome.head.times.keys() == {"w1", "w2"}


def test_a_witness_does_not_start_with_what_it_cannot_read(tmp_path: Path) -> None:
    parties = Parties()
    one = WitnessProcess(tmp_path, "w1", parties)
    one.start()
    assert one.ask(0, [], parties.head(3, forest(3).root(), {}))[0] == 200
    assert one.stop() == 0
    SigningKey.generate().save(tmp_path / "other.pem")
    (tmp_path / "other.pem").replace(tmp_path / "w1.pem")
    command = [*COMMAND, "witness", "--config", str(tmp_path / "w1.yaml")]
    told = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert told.returncode == 1
    assert "not a checkpoint of log.example/ledger cosigned with this witness's key" in told.stderr
