"""Inputs that are kept: small files under tests/corpus, a folder for each target, in hexadecimal behind a line.

Holds always: a file is text that can be read in a review; what breaks something is written beside the others, and
replayed by `make test` from then on.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "corpus"
CRASHES = FOLDER / "crashes"
WIDTH = 48


def decode(text: str) -> bytes:
    """The bytes of a file."""
    return bytes.fromhex("".join(line for line in text.splitlines() if not line.startswith("#")))


def encode(data: bytes, about: str) -> str:
    """A file's text."""
    lines = [data[at : at + WIDTH].hex() for at in range(0, len(data), WIDTH)]
    return "\n".join([f"# {about}", *lines]) + "\n"


def seeds(kind: str) -> dict[str, bytes]:
    """The inputs for a target, those that once broke it included, by their file's name."""
    paths = [*sorted((FOLDER / kind).glob("*.hex")), *sorted(CRASHES.glob(f"{kind}-*.hex"))]
    return {path.name: decode(path.read_text()) for path in paths}


def add_crash(kind: str, data: bytes, about: str) -> Path:
    """Keeps an input that broke something."""
    CRASHES.mkdir(parents=True, exist_ok=True)
    path = CRASHES / f"{kind}-{hashlib.sha256(data).hexdigest()[:12]}.hex"
    path.write_text(encode(data, about.replace("\n", " ")[:200]))
    return path


def _label(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


WORDS = (
    b"\3bad\7example\0",
    b"\3www\3bad\7example\0",
    b"\5holed\7example\0",
    b"\4fine\5holed\7example\0",
    b"\7offered\7example\0",
    b"\2ok\7example\0",
    b"\0\0\x29\x04\xd0\0\0\0\0\0\0",
    b"\0\0\x29\x10\0\0\0\x80\0\0\0",
    b"\0\0\x29\x04\xd0\0\1\0\0\0\0",
    b"\0\x0a\0\x08abcdefgh",
    b"\0\x0a\0\x18abcdefgh\1\0\0\0aaaabbbbbbbb",
    b"\0\x0c\0\0",
    b"\0\x0f\0\2\0\x10",
    b"\0\x08\0\7\0\1\x18\0\xc0\0\2",
    b"\xc0\x0c",
    b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x0c",
    b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1",
    b"\xc0\x0c\0\x41\0\1\0\0\0\x3c\0\3\0\1\0",
    b"\0\0\6\0\1\0\0\0\x3c\0\x16\0\0" + bytes(20),
    b"\x3f" + b"a" * 63,
    _label("localhost") + b"\0",
    b"\7in-addr\4arpa\0",
    b"\x81\x80\0\1\0\1\0\0\0\1",
    b"\x81\x83\0\1\0\0\0\1\0\1",
)
