"""The clear list for an independent inspector, with what opens every commitment; each export is noted.

The file is text, a line an entry: the salt (hexadecimal), a tab, the entry's line. Encrypted, it is a header, then
blocks: X25519 with a key of its own, HKDF-SHA256, ChaCha20-Poly1305 with the block's number as nonce and whether it is
the last as associated data, so that nothing can be cut off or put in another order.

Holds always: no export is written that is not noted before, with who asked, why, and for whom.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log.rows import StateReader
from blocklist_sync.central.release import accountability
from lachan import durable

MAGIC = b"LACHANX1"
BLOCK_BYTES = 1 << 16
TAG_BYTES = 16
KEY_BYTES = 32
MAX_NOTES_BYTES = 64 << 20
MAX_KEY_FILE_BYTES = 4096
_INFO = b"lachan/inspection/v1"


def lines(entries: Path, key: bytes) -> Iterator[bytes]:
    """Every entry with its salt.

    Raises:
        CentralError: The list cannot be read.
    """
    try:
        with entries.open(encoding="utf-8", newline="\n") as file:
            reader = StateReader(file, entries)
            for name, kind, _ in reader:
                line = accountability.line_of(name, reader.kinds[kind])
                yield accountability.salt(key, line).hex().encode() + b"\t" + line + b"\n"
    except OSError as error:
        raise CentralError(f"{entries}: {error.strerror}") from error


def _blocks(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    held = b""
    for piece in pieces:
        held += piece
        while len(held) > BLOCK_BYTES:
            yield held[:BLOCK_BYTES], False
            held = held[BLOCK_BYTES:]
    yield held, True


def _cipher(private: X25519PrivateKey, public: X25519PublicKey, ephemeral: bytes) -> ChaCha20Poly1305:
    shared = private.exchange(public)
    return ChaCha20Poly1305(HKDF(hashes.SHA256(), KEY_BYTES, salt=ephemeral, info=_INFO).derive(shared))


def _nonce(number: int) -> bytes:
    return struct.pack("<QI", number, 0)


def encrypt(pieces: Iterator[bytes], recipient: X25519PublicKey) -> Iterator[bytes]:
    """A text for one reader alone."""
    own = X25519PrivateKey.generate()
    ephemeral = own.public_key().public_bytes_raw()
    cipher = _cipher(own, recipient, ephemeral)
    yield MAGIC + ephemeral
    for number, (block, last) in enumerate(_blocks(pieces)):
        yield cipher.encrypt(_nonce(number), block, MAGIC + bytes([last]))


def decrypt(path: Path, private: X25519PrivateKey) -> Iterator[bytes]:
    """The text of an encrypted file, block by block.

    Raises:
        CentralError: It is none, or was changed or cut short.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise CentralError(f"{path}: not an encrypted list")
            ephemeral = file.read(KEY_BYTES)
            cipher = _cipher(private, X25519PublicKey.from_public_bytes(ephemeral), ephemeral)
            block, number = file.read(BLOCK_BYTES + TAG_BYTES), 0
            while block:
                after = file.read(BLOCK_BYTES + TAG_BYTES)
                yield cipher.decrypt(_nonce(number), block, MAGIC + bytes([not after]))
                block, number = after, number + 1
    except OSError as error:
        raise CentralError(f"{path}: {error.strerror}") from error
    except (InvalidTag, ValueError) as error:
        raise CentralError(f"{path}: another reader's, changed, or cut short") from error


def recipient(path: Path) -> X25519PublicKey:
    """An inspector's public key, as PEM.

    Raises:
        CentralError: It is none.
    """
    try:
        key = serialization.load_pem_public_key(durable.read(path, MAX_KEY_FILE_BYTES))
    except ValueError as error:
        raise CentralError(f"{path}: not a public key in PEM form") from error
    if not isinstance(key, X25519PublicKey):
        raise CentralError(f"{path}: not an X25519 key")
    return key


def note(folder: Path, entry: dict[str, object]) -> None:
    """Adds a line to the folder's `access.jsonl`, which carries the hash of the line before.

    Raises:
        FileError: It cannot be written.
    """
    path = folder / "access.jsonl"
    before = durable.read(path, MAX_NOTES_BYTES) if path.exists() else b""
    previous = hashlib.sha256(before.rpartition(b"\n")[0].rpartition(b"\n")[2]).hexdigest()
    line = json.dumps({**entry, "previous": previous}, ensure_ascii=False, sort_keys=True).encode() + b"\n"
    durable.write(path, [before, line])


def check(pieces: Iterator[bytes], commitments: Path) -> tuple[int, int]:
    """Holds a clear list against the commitments of its release: how many entries there are, and how many are missing.

    Raises:
        CentralError: A line is malformed, or the commitments cannot be read.
    """
    data = durable.read(commitments, accountability.COMMITMENT_BYTES << 24)
    size = accountability.COMMITMENT_BYTES
    wanted = {data[at : at + size] for at in range(0, len(data), size)}
    entries, rest = 0, b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for text in whole:
            own, _, line = text.partition(b"\t")
            try:
                found = accountability.commitment(bytes.fromhex(own.decode("ascii")), line)
            except ValueError as error:
                raise CentralError(f"entry {entries + 1}: malformed") from error
            if found not in wanted:
                raise CentralError(f"entry {entries + 1} is not committed to in {commitments}")
            wanted.discard(found)
            entries += 1
    if rest:
        raise CentralError("the list ends inside a line")
    return entries, len(wanted)
