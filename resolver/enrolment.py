"""The node's own signing key: made here, never leaving here; the authority is told the public half."""

from __future__ import annotations

from pathlib import Path

from lachan.signing import SigningKey

KEY_FILE = "node.key"


def signing_key(state_dir: Path) -> SigningKey:
    """The node's key, made on first use.

    Raises:
        lachan.signing.SigningError: It can be neither read nor written.
    """
    path = state_dir / KEY_FILE
    if not path.exists():
        SigningKey.generate().save(path)
    return SigningKey.load(path)
