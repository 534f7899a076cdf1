"""docs/formats/ledger.md tells the truth: what it shows is made anew, by the code and by plain Python beside it."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from compliance_api.ledger import pack, statement
from compliance_api.ledger.verify import TOLERANCE_S
from lachan.ledger import note, policy, tree
from lachan.ledger.checkpoint import Checkpoint
from lachan.ledger.leaf import DOMAIN, Kind, Opening
from lachan.ledger.note import NoteKey, SignatureKind
from lachan.signing import SigningKey
from tests.architecture.tree import text, tracked

PAGE = text(PurePosixPath("docs/formats/ledger.md"))
LEAVES, POLICY, HEAD, STATED, ALONE = re.findall(r"^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ORIGIN, TIME = "log.example/ledger", 1_790_000_200


def key(byte: int) -> SigningKey:
    return SigningKey(Ed25519PrivateKey.from_private_bytes(bytes([byte]) * 32))


def test_leaves() -> None:
    rows = [line.split(" ") for line in LEAVES.splitlines()]
    assert len(rows) == 3
    for byte, kind, entered_at, shown, commitment, hashed in rows:
        salt, content = bytes.fromhex(byte) * 32, b"" if shown == "-" else shown.encode()
        assert Opening(salt, Kind(kind), int(entered_at), content).commitment.hex() == commitment
        times = int(entered_at).to_bytes(8, "big") + len(content).to_bytes(8, "big")
        written = b"lachan/leaf/v1\0" + salt + bytes([len(kind)]) + kind.encode() + times + content
        assert hashlib.sha256(written).hexdigest() == commitment
        assert hashlib.sha256(b"\0" + bytes.fromhex(commitment)).hexdigest() == hashed
    assert len(DOMAIN) == 15
    assert f"kind: {', '.join(f'`{kind}`' for kind in Kind)}" in PAGE


def test_the_policy_believes_the_head() -> None:
    log = NoteKey(ORIGIN, SignatureKind.ED25519, key(1).public)
    names = [f"w{number}.example/witness" for number in (1, 2, 3)]
    keys = [NoteKey(name, SignatureKind.COSIGNATURE, key(at).public) for at, name in enumerate(names, 2)]
    lines = [f"log {log}", *(f"witness {one.name[:2]} {one}" for one in keys)]
    assert [*lines, "group all-three 2 w1 w2 w3", "quorum all-three"] == POLICY.splitlines()

    growing = tree.Frontier()
    for line in LEAVES.splitlines():
        growing.append(bytes.fromhex(line.split(" ")[5]))
    signed = Checkpoint(ORIGIN, 3, growing.root).signed(key(1))
    cosigned = [note.cosign(signed.text, names[at], key(at + 2), TIME + 1 + at) for at in (0, 1)]
    assert signed.with_signatures(cosigned).encode().decode() == HEAD
    believed = policy.parse(POLICY.encode()).check(note.parse(HEAD.encode()), TIME)
    assert believed.times == {"w1": TIME + 1, "w2": TIME + 2}


def test_a_statement_is_signed_as_it_is_said() -> None:
    said, signature = STATED.splitlines()
    data = f"{said}\n".encode()
    assert statement.sign(key(5), statement.parse(data)).hex() == signature
    key(5).public.verify(b"", b"lachan/finding-statement/v1\0" + data, bytes.fromhex(signature))


def test_the_verifier_alone_is_made_of_files_that_are_there() -> None:
    *patterns, _ = ALONE.splitlines()
    for pattern in " ".join(patterns).split(" "):
        assert any(path.match(pattern) for path in tracked()), pattern
    assert any(pattern.endswith("ledger/*.py") for pattern in patterns)


def test_a_pack_is_as_it_is_said() -> None:
    names = (pack.INDEX, pack.CONTENTS, f"{pack.CHECKPOINTS}SIZE", f"{pack.CONSISTENCY}OLD-NEW")
    for name in (*names, f"{pack.LEAVES}INDEX.json", f"{pack.LEAVES}INDEX.content"):
        assert f"| `{name}` |" in PAGE
    assert f"heads, 1 to {pack.MAX_CHECKPOINTS};" in PAGE
    assert f"each within {TOLERANCE_S} s" in PAGE
