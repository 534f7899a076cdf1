"""Which keys approvers may have, as the repository beside this server says.

Holds always: nothing here is believed by whoever signs: they verify the log against the root that they trust. Here it
keeps out, early, what they would refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from securesystemslib.signer import Key
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Targets

from blocklist_sync.central.errors import CentralError
from lachan import durable

LIST_ROLE = "list"
RETIRED = "x-lachan-retired"
MAX_METADATA_BYTES = 1 << 20


def of(repository: Path) -> Callable[[], frozenset[bytes]]:
    """The raw keys that the newest top-level targets of a repository delegate the list role, or once did; read anew."""

    def read() -> frozenset[bytes]:
        versions = [int(path.name.split(".")[0]) for path in (repository / "metadata").glob("[0-9]*.targets.json")]
        return _keys(repository / "metadata" / f"{max(versions)}.targets.json") if versions else frozenset()

    return read


@lru_cache(maxsize=4)
def _keys(path: Path) -> frozenset[bytes]:
    """A version of the metadata never changes."""
    try:
        signed = Metadata[Targets].from_bytes(durable.read(path, MAX_METADATA_BYTES)).signed
        delegations = signed.delegations
        if delegations is None:
            return frozenset()
        role = (delegations.roles or {}).get(LIST_ROLE)
        held = [delegations.keys[keyid] for keyid in role.keyids] if role else []
        retired = signed.unrecognized_fields.get(RETIRED, {})
        held += [Key.from_dict(keyid, dict(key)) for keyid, key in retired.items()]
    except (RepositoryError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CentralError(f"{path}: {error!r:.80}") from error
    return frozenset(bytes.fromhex(key.keyval["public"]) for key in held if key.keytype == "ed25519")
