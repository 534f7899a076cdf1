"""Every answer of C2SP tlog-witness, by its status."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from compliance_api.ledger import pack, submission
from compliance_api.ledger.witness import Witness
from lachan import durable
from lachan.durable import FileError
from lachan.ledger import note
from lachan.ledger.checkpoint import Checkpoint
from lachan.ledger.note import NoteError
from lachan.signing import SigningKey
from tests.support.ledger import NOON, ORIGIN, Parties, forest

PARTIES, WOODS = Parties(), forest(20)


def asked(old: int, size: int, root: bytes | None = None, proof: list[bytes] | None = None) -> bytes:
    head = PARTIES.head(size, root or WOODS.root(size), {})
    steps = WOODS.consistency(old, size) if proof is None else proof
    return f"old {old}\n".encode() + pack.encode_hashes(steps) + b"\n" + head.encode()


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    key = PARTIES.witnesses["w1"]
    with Witness.opened(tmp_path, "w1.example/witness", key, [PARTIES.log_key]) as made:
        assert submission.answer(made, asked(0, 8), NOON).status is HTTPStatus.OK
        yield made


def test_a_submission_is_read_with_its_proof() -> None:
    made = submission.parse(asked(3, 8))
    assert (made.old, list(made.proof)) == (3, WOODS.consistency(3, 8))
    assert note.parse(made.checkpoint).text.startswith(ORIGIN)


def test_a_continuation_is_answered_with_a_cosignature(witness: Witness) -> None:
    reply = submission.answer(witness, asked(8, 20), NOON)
    assert reply.status is HTTPStatus.OK
    signature = note.parse_signature(reply.body.decode().removesuffix("\n"), 1)
    whole = note.parse(submission.parse(asked(8, 20)).checkpoint).with_signatures([signature])
    assert note.verify(whole, [PARTIES.witness_key("w1")]) == {PARTIES.witness_key("w1"): NOON}


@pytest.mark.parametrize(("old", "size"), [(0, 20), (5, 20), (0, 5), (5, 5)])
def test_another_size_is_answered_with_the_last_one(witness: Witness, old: int, size: int) -> None:
    reply = submission.answer(witness, asked(old, size), NOON)
    assert (reply.status, reply.form, reply.body) == (HTTPStatus.CONFLICT, "text/x.tlog.size", b"8\n")


def test_each_refusal_has_its_status(witness: Witness) -> None:
    foreign = Checkpoint(ORIGIN, 20, WOODS.root()).signed(SigningKey.generate()).encode()
    unknown = Checkpoint("log.example/other", 20, WOODS.root()).signed(PARTIES.log).encode()
    for body, status in (
        (asked(8, 8, forest(8, b"other ").root()), HTTPStatus.CONFLICT),
        (asked(8, 20, proof=[bytes(32)]), HTTPStatus.UNPROCESSABLE_ENTITY),
        (b"old 8\n\n" + foreign, HTTPStatus.FORBIDDEN),
        (asked(8, 20).replace(b"\n20\n", b"\n19\n"), HTTPStatus.FORBIDDEN),
        (b"old 8\n\n" + unknown, HTTPStatus.NOT_FOUND),
        (b"old 21\n\n" + submission.parse(asked(8, 20)).checkpoint, HTTPStatus.BAD_REQUEST),
        (b"", HTTPStatus.BAD_REQUEST),
    ):
        reply = submission.answer(witness, body, NOON)
        assert reply.status is status
        assert reply.body.endswith(b"\n")
    last = witness.last(ORIGIN)
    assert last is not None
    assert last.size == 8


def test_what_cannot_be_kept_says_nothing_of_the_disk(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise FileError("/var/lib: no space left")

    monkeypatch.setattr(durable, "write", full)
    reply = submission.answer(witness, asked(8, 20), NOON)
    assert (reply.status, reply.body) == (HTTPStatus.SERVICE_UNAVAILABLE, b"the checkpoint cannot be kept now\n")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"old 1\n", "line 1: not `old`"),
        (b"new 1\n\nx", "line 1: not `old`"),
        (b"old 01\n\nx", "line 1: the old size"),
        (b"old -1\n\nx", "line 1: the old size"),
        (b"old 1\nAAAA\n\nx", "line 2: the hash is 3 bytes"),
        (b"old 1\n\xff\n\nx", "line 2: not ASCII"),
        (b"old 1\n" + pack.encode_hashes([bytes(32)] * 64) + b"\nx", "more than 63 lines"),
        (b"x" * (submission.MAX_BODY_BYTES + 1), "larger than"),
    ],
)
def test_what_is_no_submission_is_refused_by_its_line(body: bytes, reason: str) -> None:
    with pytest.raises(NoteError, match=reason):
        submission.parse(body)
