"""What comes from outside is read, or refused by the ledger's one error, whatever it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from compliance_api.ledger import accusation, cosigning, evidence, pack
from lachan.ledger import checkpoint, note, policy
from lachan.ledger.batch import signed
from lachan.ledger.errors import LedgerError
from lachan.ledger.leaf import Kind
from tests.support.ledger import NOON, ORIGIN, Book, Parties

PARTIES = Parties()
BOOK = Book(PARTIES)
for _number in range(5):
    BOOK.enter(Kind.REPORT, b"report")
FILES = BOOK.files([1, 2], [3, 5])
HEAD = FILES[pack.checkpoint_name(5)]
PIECE = evidence.Piece(index=1, kind=Kind.REPORT, subject="a/edge-1", state="opened", reference="00")
EVIDENCE = evidence.Evidence(form="full", operator="a", finding="00", as_of=1, scope="whole", pieces=[PIECE])


def read_note(data: bytes) -> bytes:
    return note.parse(data).encode()


def read_checkpoint(data: bytes) -> bytes:
    return checkpoint.parse(data.decode(errors="surrogateescape")).text.encode()


def read_policy(data: bytes) -> None:
    policy.parse(data)


def read_contents(data: bytes) -> bytes:
    made = pack.parse_contents(data)
    list(made.indexes())
    return made.encode()


def read_leaf(data: bytes) -> bytes:
    return pack.parse_leaf("leaf", data).encode()


def read_hashes(data: bytes) -> bytes:
    return pack.encode_hashes(pack.parse_hashes("proof", data))


def read_evidence(data: bytes) -> bytes:
    return evidence.parse(data).encode()


def read_finding(data: bytes) -> None:
    accusation.cited(data)
    accusation.cited_at_opening(data)


def read_observation(data: bytes) -> None:
    evidence.reference(Kind.OBSERVATION, data)


def read_reply(data: bytes) -> None:
    for status, form in ((200, "text/plain"), (409, "text/x.tlog.size"), (422, "")):
        cosigning.read(status, form, data, note.parse(HEAD), PARTIES.witness_key("w1"), NOON)


READERS: list[tuple[Callable[[bytes], bytes | None], bytes]] = [
    (read_note, HEAD),
    (read_checkpoint, note.parse(HEAD).text.encode()),
    (read_policy, PARTIES.policy_text.encode()),
    (read_contents, FILES[pack.CONTENTS]),
    (read_leaf, FILES[pack.leaf_name(1)]),
    (read_hashes, FILES[pack.consistency_name(3, 5)]),
    (read_evidence, EVIDENCE.encode()),
    (read_finding, b'{"evidence":[{"kind":"report","reference":"00"}]}'),
    (read_observation, signed(b"\x0a\x02aa\x10\x03", b"s", b"k")),
    (read_reply, f"{note.parse(HEAD).signatures[1]}\n".encode()),
]


@settings(max_examples=400)
@given(st.sampled_from(READERS), st.integers(0), st.integers(0, 12), st.binary(max_size=6))
def test_a_mutated_text_is_refused_or_has_one_form(
    reader: tuple[Callable[[bytes], bytes | None], bytes], at: int, gone: int, put: bytes
) -> None:
    read, whole = reader
    at %= len(whole) + 1
    data = whole[:at] + put + whole[at + gone :]
    try:
        again = read(data)
    except LedgerError:
        return
    assert again is None or again == data


@settings(max_examples=200)
@given(st.sampled_from(READERS), st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_refused_or_read(reader: tuple[Callable[[bytes], bytes | None], bytes], data: bytes) -> None:
    with contextlib.suppress(LedgerError):
        reader[0](data)


@settings(max_examples=200)
@given(st.integers(0), st.integers(0, 7))
def test_no_flipped_bit_of_a_head_says_anything_else(at: int, bit: int) -> None:
    data = bytearray(HEAD)
    data[at % len(data)] ^= 1 << bit
    try:
        believed = PARTIES.policy.check(note.parse(bytes(data)), NOON + 3600)
    except LedgerError:
        return
    # A signature line of nobody known is ignored; all that is left says what was signed.
    assert believed.checkpoint == checkpoint.parse(note.parse(HEAD).text)
    assert believed.checkpoint.origin == ORIGIN
