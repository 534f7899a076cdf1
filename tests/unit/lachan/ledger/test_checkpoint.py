from __future__ import annotations

import base64

import pytest

from lachan.ledger import checkpoint, note, tree
from lachan.ledger.checkpoint import Checkpoint
from lachan.ledger.note import NoteError, NoteKey, SignatureKind
from lachan.signing import SigningKey

# The example of C2SP tlog-cosignature, whose keys are not published.
EXAMPLE = (
    "example.com/behind-the-sofa\n"
    "20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    "\n"
    "— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)
ROOT = base64.b64encode(bytes(32)).decode()


def test_the_published_example_is_read_and_written() -> None:
    signed = note.parse(EXAMPLE.encode())
    head = checkpoint.parse(signed.text)
    assert (head.origin, head.size) == ("example.com/behind-the-sofa", 20852163)
    assert head.root.hex().startswith("0ac5186a91863e8e")
    assert head.text == signed.text
    assert signed.encode() == EXAMPLE.encode()
    assert int.from_bytes(signed.signatures[1].data[:8], "big") == 1_679_315_147


def test_a_log_signs_its_own_checkpoint() -> None:
    key = SigningKey.generate()
    made = Checkpoint("log.example/one", 7, bytes(32)).signed(key)
    known = NoteKey("log.example/one", SignatureKind.ED25519, key.public)
    assert note.verify(note.parse(made.encode()), [known]) == {known: 0}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1: not the three lines"),
        ("log.example\n1\n", "line 3: not the three lines"),
        (f"log.example\n1\n{ROOT}", "line 3: not the three lines"),
        (f"log.example\n1\n{ROOT}\nmore\n", "line 4: an extension line"),
        (f"\n1\n{ROOT}\n", "line 1: the origin"),
        (f"log example\n1\n{ROOT}\n", "line 1: the origin"),
        (f"log.example\n01\n{ROOT}\n", "line 2: the size is not"),
        (f"log.example\n+1\n{ROOT}\n", "line 2: the size is not"),
        (f"log.example\n\u0661\n{ROOT}\n", "line 2: the size is not"),
        (f"log.example\n\n{ROOT}\n", "line 2: the size is not"),
        (f"log.example\n{tree.MAX_SIZE + 1}\n{ROOT}\n", "line 2: the size is not"),
        (f"log.example\n{'9' * 5000}\n{ROOT}\n", "line 2: the size is not"),
        ("log.example\n1\nAAAA\n", "line 3: the root is 3 bytes"),
        (f"log.example\n1\n{ROOT} \n", "line 3: the root is not"),
        (f"log.example\n0\n{ROOT}\n", "line 3: not the root of the empty tree"),
    ],
)
def test_what_is_no_checkpoint_is_refused_by_its_line(text: str, reason: str) -> None:
    with pytest.raises(NoteError, match=reason):
        checkpoint.parse(text)


@pytest.mark.parametrize(
    ("size", "root", "reason"),
    [(-1, bytes(32), "line 2"), (tree.MAX_SIZE + 1, bytes(32), "line 2"), (1, b"", "line 3")],
)
def test_no_checkpoint_beyond_its_bounds(size: int, root: bytes, reason: str) -> None:
    with pytest.raises(NoteError, match=reason):
        Checkpoint("log.example", size, root)
