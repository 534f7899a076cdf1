"""The keys that sign releases, one file each, as the repository's roles need them.

`root` and `targets` belong offline; `list-*` belong to the approvers, of whom `THRESHOLD` must sign; `snapshot` and
`timestamp` are the server's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from blocklist_sync.central.errors import CentralError
from lachan import durable
from lachan.signing import MAX_KEY_FILE_BYTES, SigningKey

APPROVERS = 2
THRESHOLD = 2
LIST_ROLE = "list"

_FILES: Mapping[str, tuple[str, ...]] = {
    "root": ("root.pem",),
    "targets": ("targets.pem",),
    LIST_ROLE: tuple(f"list-{number}.pem" for number in range(1, APPROVERS + 1)),
    "snapshot": ("snapshot.pem",),
    "timestamp": ("timestamp.pem",),
}


@dataclass(frozen=True)
class Keys:
    """The signers of each role."""

    of_role: Mapping[str, tuple[CryptoSigner, ...]]


def init(folder: Path) -> list[Path]:
    """Draws every key, each into a file of mode 0600; never over another.

    Raises:
        CentralError: The folder has keys already.
        FileError: It cannot be made.
        SigningError: A file cannot be written.
    """
    durable.make_folder(folder)
    paths = [folder / name for names in _FILES.values() for name in names]
    if taken := [str(path) for path in paths if path.exists()]:
        raise CentralError(f"{', '.join(taken)}: keys are never replaced; choose another folder")
    for path in paths:
        SigningKey.generate().save(path)
    durable.sync_directory(folder)
    return paths


def _signer(path: Path) -> CryptoSigner:
    try:
        key = serialization.load_pem_private_key(durable.read(path, MAX_KEY_FILE_BYTES), None)
    except (ValueError, TypeError) as error:
        raise CentralError(f"{path}: not a private key in PEM form") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise CentralError(f"{path}: not an Ed25519 key")
    return CryptoSigner(key)


def load(folder: Path) -> Keys:
    """The keys in a folder.

    Raises:
        CentralError: One is missing or is no key.
    """
    return Keys({role: tuple(_signer(folder / name) for name in names) for role, names in _FILES.items()})
