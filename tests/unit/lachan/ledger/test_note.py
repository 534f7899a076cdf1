from __future__ import annotations

import base64

import pytest

from lachan.ledger import note
from lachan.ledger.note import NoteError, NoteKey, SignatureKind
from lachan.signing import SigningKey

# The example in the documentation of Go's package note, which signed-note was written after.
KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SIGNED = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
TEXT = "log.example/one\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"


def test_the_published_example_verifies() -> None:
    parsed = note.parse(SIGNED.encode())
    key = NoteKey.parse(KEY)
    assert note.verify(parsed, [key]) == {key: 0}
    assert parsed.encode() == SIGNED.encode()
    assert str(key) == KEY


def test_a_changed_text_does_not_verify() -> None:
    parsed = note.parse(SIGNED.replace("answer", "remedy").encode())
    with pytest.raises(NoteError, match=r"signature of PeterNeumann \(c74f20a3\) does not hold"):
        note.verify(parsed, [NoteKey.parse(KEY)])


def test_unknown_signatures_are_ignored() -> None:
    stranger = SigningKey.generate()
    parsed = note.parse(SIGNED.encode())
    more = parsed.with_signatures([note.sign(parsed.text, "stranger.example", stranger), *parsed.signatures])
    assert len(more.signatures) == 2
    assert [one.name for one in note.verify(note.parse(more.encode()), [NoteKey.parse(KEY)])] == ["PeterNeumann"]
    # The same name with another key is another signer.
    assert note.verify(parsed, [NoteKey("PeterNeumann", SignatureKind.ED25519, stranger.public)]) == {}


def test_a_cosignature_has_a_time_and_is_no_plain_signature() -> None:
    key = SigningKey.generate()
    known = NoteKey("w.example/1", SignatureKind.COSIGNATURE, key.public)
    made = note.cosign(TEXT, "w.example/1", key, 1_679_315_147)
    key.public.verify(b"", b"cosignature/v1\ntime 1679315147\n" + TEXT.encode(), made.data[8:])
    assert note.verify(note.Note(TEXT, (made,)), [known]) == {known: 1_679_315_147}
    later = note.cosign(TEXT, "w.example/1", key, 1_679_315_200)
    assert note.verify(note.Note(TEXT, (made, later)), [known]) == {known: 1_679_315_200}
    plain = NoteKey("w.example/1", SignatureKind.ED25519, key.public)
    assert note.verify(note.Note(TEXT, (made,)), [plain]) == {}
    moved = note.Signature(made.name, made.id, (1).to_bytes(8, "big") + made.data[8:])
    with pytest.raises(NoteError, match="does not hold"):
        note.verify(note.Note(TEXT, (moved,)), [known])
    far = note.Signature(made.name, made.id, b"\xff" * 8 + made.data[8:])
    with pytest.raises(NoteError, match="does not hold"):
        note.verify(note.Note(TEXT, (far,)), [known])


@pytest.mark.parametrize("time", [-1, note.MAX_TIME + 1])
def test_no_cosignature_at_a_time_that_cannot_be_written(time: int) -> None:
    with pytest.raises(NoteError, match="no time"):
        note.cosign(TEXT, "w.example/1", SigningKey.generate(), time)


@pytest.mark.parametrize("kind", list(SignatureKind))
def test_a_signature_of_another_length_does_not_hold(kind: SignatureKind) -> None:
    known = NoteKey("w.example/1", kind, SigningKey.generate().public)
    with pytest.raises(NoteError, match="does not hold"):
        note.verify(note.Note(TEXT, (note.Signature(known.name, known.id, b"short"),)), [known])


LINE = base64.b64encode(bytes(68)).decode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "line 1: no blank line"),
        (b"text\n", "line 2: no blank line"),
        (b"text\n\n", "line 3: 0 signatures"),
        (f"text\n\n— a {LINE}".encode(), "line 3: no blank line and signatures, each line ended"),
        (b"text\n\n- a AAAA\n", "line 3: not a signature line"),
        (f"text\n\n— a {LINE}\n— b+c {LINE}\n".encode(), "line 4: not a signature line"),
        (f"text\n\n—  {LINE}\n".encode(), "line 3: not a signature line"),
        ("text\n\n— a AAAA=\n".encode(), "line 3: the signature is not"),
        ("text\n\n— a AAAAAB==\n".encode(), "line 3: the signature is not canonical"),
        ("text\n\n— a AAAA é\n".encode(), "line 3: the signature is not base64"),
        ("text\n\n— a AAAAAA==\n".encode(), "line 3: the signature is empty"),
        (f"te\rxt\n\n— a {LINE}\n".encode(), "line 1: a control character"),
        (b"text\n\xff\n", "line 2: not UTF-8"),
        (f"text\n\n— a {LINE}\n".encode() + f"— a {LINE}\n".encode() * 64, "line 3: 65 signatures"),
        (b"x" * (note.MAX_NOTE_BYTES + 1), "larger than 65536 bytes"),
    ],
)
def test_what_is_no_note_is_refused_by_its_line(data: bytes, reason: str) -> None:
    with pytest.raises(NoteError, match=reason):
        note.parse(data)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("PeterNeumann", "name.id.base64"),
        ("a b+c74f20a3+AAAA", "name.id.base64"),
        (KEY.replace("c74f20a3", "c74f20a4"), "'c74f20a4' is not that of the key of PeterNeumann, which is c74f20a3"),
        (KEY.replace("+ARpc", "+CRpc"), "neither Ed25519 nor for cosignatures"),
        (KEY[:-4], "32 bytes long|not 33|30 bytes"),
        ("a+00000000+!!!!", "not base64"),
    ],
)
def test_what_is_no_key_is_refused(text: str, reason: str) -> None:
    with pytest.raises(NoteError, match=f"line 7: .*{reason}"):
        NoteKey.parse(text, 7)


def test_a_key_needs_a_name() -> None:
    for name in ("", "a b", "a+b", "a\u2003b", "a\nb", "x" * 201):
        with pytest.raises(NoteError, match="cannot name a key"):
            NoteKey(name, SignatureKind.ED25519, SigningKey.generate().public)
