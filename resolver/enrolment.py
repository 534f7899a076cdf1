"""How a node comes in: its keys, made here and never leaving here, and its certificate, by a token.

Holds always: what root makes for the edge is the edge's own user's to read.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from lachan.signing import SigningKey, VerifyKey
from lachan.tls import Identity
from resolver import privileges
from resolver.errors import ResolverError

if TYPE_CHECKING:
    from resolver.authority import UplinkSettings
    from resolver.settings import Edge

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


def prepare(edge: Edge) -> VerifyKey:
    """Makes the key of the node's reports if there is none; its public half.

    Raises:
        lachan.signing.SigningError: It can be neither read nor written.
    """
    folder = edge.file.state_dir
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = signing_key(folder)
    # Made by root, it is read by whom the edge becomes.
    privileges.give((folder, folder / KEY_FILE), edge.file.user)
    return key.public


def enrol(
    party: Identity,
    uplink: UplinkSettings | None,
    state_dir: Path,
    token: str | None,
    patience: float,
    user: str | None,
) -> str:
    """Enrols a node by a token, or goes on with what was begun; what to tell whoever does it.

    Args:
        party: The node.
        uplink: Where its certificate is to be.
        state_dir: Where the key of its reports is.
        token: As it was handed over, None to go on.
        patience: Seconds to wait for the decision.
        user: Whom root gives the files to.

    Raises:
        ResolverError: The configuration names no place for a certificate.
        lachan.newcomer.NewcomerError: It cannot go on.
    """
    from lachan import newcomer

    if uplink is None:
        raise ResolverError("report.uplink: it says where the certificate is to be, and is missing")
    key = signing_key(state_dir)
    outcome = asyncio.run(newcomer.enrol(uplink.tls, party, key, token, patience))
    if outcome.standing is not newcomer.Standing.ENROLLED:
        return newcomer.advice(party, outcome.fingerprint)
    paths = [uplink.tls.ca, uplink.tls.certificate, uplink.tls.key]
    folder = uplink.tls.certificate.parent
    if folder.is_relative_to(state_dir):
        # Whoever serves renews the certificate itself.
        paths.append(folder)
    privileges.give(paths, user)
    return f"{party}: enrolled; certificate in {uplink.tls.certificate}"
