"""Whose certificates count no longer, as the compliance service, which keeps the membership, told it last.

Holds always: what is held was said whole, by the compliance service over mutual TLS, and is of one moment; what cannot
be read, is older or is larger than the bounds leaves what was held before. It is kept in a file, so that a server that
starts while the compliance service is away still knows it; where nothing was ever told nobody is turned away, since a
list that reaches nobody protects nobody, and a metric says so.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from blocklist_sync.central.errors import CentralError
from lachan import durable, log, tls
from lachan.compliance.v1 import membership_service_pb2 as pb
from lachan.compliance.v1.membership_service_pb2_grpc import MembershipServiceStub
from lachan.durable import FileError
from lachan.tls import Identity, TlsError

CALL_SECONDS = 20.0
MAX_PARTIES = 100_000
MAX_CERTIFICATES = 500_000
MAX_BYTES = 64 << 20
DIGEST_BYTES = 32
FORMAT = 1


@dataclass(frozen=True)
class Shown:
    """What a verified certificate says."""

    identity: Identity
    # SHA-256 of its DER form.
    fingerprint: bytes
    # Seconds since 1970.
    begins: int

    @classmethod
    def of(cls, pem: bytes) -> Shown:
        """From a certificate in PEM form.

        Raises:
            TlsError: It names nobody of this system.
        """
        identity = tls.identity_of(pem)
        leaf = x509.load_pem_x509_certificate(pem)
        return cls(identity, leaf.fingerprint(hashes.SHA256()), int(leaf.not_valid_before_utc.timestamp()))


@dataclass(frozen=True)
class Revocations:
    """All that was ended, at one moment."""

    revision: int = -1
    # By party; until when its certificates begin that count no longer, 0 for all of them.
    parties: dict[str, int] = field(default_factory=dict)
    certificates: frozenset[bytes] = frozenset()

    def ended(self, shown: Shown) -> bool:
        """Whether a certificate counts no longer."""
        if shown.fingerprint in self.certificates:
            return True
        until = self.parties.get(str(shown.identity))
        return until is not None and (until == 0 or shown.begins <= until)

    @classmethod
    def read(cls, data: bytes) -> Revocations:
        """From `dump`'s form.

        Raises:
            CentralError: It is not of that form.
        """
        try:
            found = json.loads(data)
            if found["format"] != FORMAT:
                raise CentralError(f"revocations of format {found['format']!r:.20}; {FORMAT} is expected")
            parties = {str(Identity.parse(who)): int(until) for who, until in found["parties"].items()}
            return cls(int(found["revision"]), parties, frozenset(map(bytes.fromhex, found["certificates"])))
        except (ValueError, KeyError, TypeError, AttributeError, TlsError) as error:
            raise CentralError(f"no revocations: {error}") from error

    def dump(self) -> bytes:
        """As it is kept."""
        content = {
            "format": FORMAT,
            "revision": self.revision,
            "parties": self.parties,
            "certificates": sorted(one.hex() for one in self.certificates),
        }
        return json.dumps(content, sort_keys=True).encode()


async def collected(parts: AsyncIterable[pb.ListRevocationsResponse]) -> Revocations:
    """The whole from its parts.

    Raises:
        CentralError: They are of several moments, too many, or not what the contract says.
    """
    revisions: set[int] = set()
    parties: dict[str, int] = {}
    certificates: set[bytes] = set()
    async for part in parts:
        revisions.add(part.revision)
        parties.update((str(Identity.parse(one.party)), one.until) for one in part.parties)
        certificates.update(part.certificates)
        if len(parties) > MAX_PARTIES or len(certificates) > MAX_CERTIFICATES:
            raise CentralError(f"more than {MAX_PARTIES} parties or {MAX_CERTIFICATES} certificates")
    if (
        len(revisions) != 1
        or any(len(one) != DIGEST_BYTES for one in certificates)
        or min(parties.values(), default=0) < 0
    ):
        raise CentralError("not what the contract says")
    return Revocations(revisions.pop(), parties, frozenset(certificates))


class Followed:
    """The revocations as they are known here; asked for anew each time `follow` is called."""

    def __init__(self, kept: Path) -> None:
        """Takes up what was kept.

        Raises:
            CentralError: The file is there and cannot be used: whoever repairs it decides whom it turned away.
            FileError: It cannot be read.
        """
        self._kept = kept
        self._listeners: list[Callable[[], None]] = []
        self.known = Revocations()
        if kept.exists():
            try:
                self.known = Revocations.read(durable.read(kept, MAX_BYTES))
            except CentralError as error:
                raise CentralError(f"{kept}: {error}") from error

    def tell(self, listener: Callable[[], None]) -> None:
        """Has `listener` called after every change."""
        self._listeners.append(listener)

    async def follow(self, channel: grpc.aio.Channel) -> bool:
        """Asks once; False, having said why, where that did not succeed."""
        stub = MembershipServiceStub(channel)
        try:
            self._take(await collected(stub.ListRevocations(pb.ListRevocationsRequest(), timeout=CALL_SECONDS)))
        except grpc.aio.AioRpcError as error:
            log.get().warning("the compliance service tells no revocations", code=error.code().name)
            return False
        except (CentralError, FileError, TlsError) as error:
            log.get().warning("revocations are not taken over", reason=str(error)[:500])
            return False
        return True

    def _take(self, found: Revocations) -> None:
        if found.revision < self.known.revision:
            why = f"revision {found.revision} is told, and {self.known.revision} was before"
            raise CentralError(f"{why}: if that database was restored, remove {self._kept}")
        if found != self.known:
            durable.write(self._kept, [found.dump()])
            self.known = found
            log.get().info("revocations changed", parties=len(found.parties), certificates=len(found.certificates))
            for listener in self._listeners:
                listener()
