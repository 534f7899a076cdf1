"""Which nodes are let in and whose certificates count no longer, as the compliance service told it last.

Holds always: what is held was said whole, by the compliance service over mutual TLS, and is of one moment; what cannot
be read, is older or is larger than the bounds leaves what was held before. It is kept in a file, so that a server that
starts while the compliance service is away still knows it; how old it is, is known over restarts too, and never turns
anybody away. Where nothing was ever told nobody is turned away, since a list that reaches nobody protects nobody, and a
metric says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
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
from lachan.tls import Identity, Role, TlsError

CALL_SECONDS = 20.0
MAX_PARTIES = 100_000
MAX_CERTIFICATES = 500_000
MAX_BYTES = 64 << 20
DIGEST_BYTES = 32
MAX_NODES = 100_000
FORMAT = 1
KNOCK_SECONDS = 1.0
"""The least from one question to the next, however many come whom nobody knows."""


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
class Membership:
    """Who is let in and what was ended, at one moment."""

    revision: int = -1
    # By party; until when its certificates begin that count no longer, 0 for all of them.
    parties: dict[str, int] = field(default_factory=dict)
    certificates: frozenset[bytes] = frozenset()
    # None where that is not told.
    nodes: frozenset[str] | None = None

    def admits(self, node: Identity) -> bool:
        """Whether a node is let in, as far as that is told."""
        return self.nodes is None or str(node) in self.nodes

    def ended(self, shown: Shown) -> bool:
        """Whether a certificate counts no longer."""
        if shown.fingerprint in self.certificates:
            return True
        until = self.parties.get(str(shown.identity))
        return until is not None and (until == 0 or shown.begins <= until)

    @classmethod
    def read(cls, data: bytes) -> Membership:
        """From `dump`'s form.

        Raises:
            CentralError: It is not of that form.
        """
        try:
            found = json.loads(data)
            if found["format"] != FORMAT:
                raise CentralError(f"a membership of format {found['format']!r:.20}; {FORMAT} is expected")
            parties = {str(Identity.parse(who)): int(until) for who, until in found["parties"].items()}
            # Not kept by a release before this one.
            told = found.get("nodes")
            nodes = None if told is None else frozenset(_node(one) for one in told)
            return cls(int(found["revision"]), parties, frozenset(map(bytes.fromhex, found["certificates"])), nodes)
        except (ValueError, KeyError, TypeError, AttributeError, TlsError) as error:
            raise CentralError(f"no membership: {error}") from error

    def dump(self) -> bytes:
        """As it is kept."""
        content = {
            "format": FORMAT,
            "revision": self.revision,
            "parties": self.parties,
            "certificates": sorted(one.hex() for one in self.certificates),
            "nodes": None if self.nodes is None else sorted(self.nodes),
        }
        return json.dumps(content, sort_keys=True).encode()


def _node(text: str) -> str:
    who = Identity.parse(text)
    if who.role is not Role.NODE:
        raise TlsError(f"{who} is no node")
    return str(who)


async def collected(parts: AsyncIterable[pb.ListRevocationsResponse]) -> Membership:
    """The whole from its parts.

    Raises:
        CentralError: They are of several moments, too many, or not what the contract says.
        TlsError: They name parties in no form of this system.
    """
    revisions: set[tuple[int, bool]] = set()
    nodes: set[str] = set()
    parties: dict[str, int] = {}
    certificates: set[bytes] = set()
    async for part in parts:
        revisions.add((part.revision, part.tells_nodes))
        nodes.update(map(_node, part.nodes))
        parties.update((str(Identity.parse(one.party)), one.until) for one in part.parties)
        certificates.update(part.certificates)
        if len(parties) > MAX_PARTIES or len(certificates) > MAX_CERTIFICATES or len(nodes) > MAX_NODES:
            raise CentralError(f"more than {MAX_PARTIES} parties, {MAX_CERTIFICATES} certificates or {MAX_NODES} nodes")
    if (
        len(revisions) != 1
        or any(len(one) != DIGEST_BYTES for one in certificates)
        or min(parties.values(), default=0) < 0
    ):
        raise CentralError("not what the contract says")
    ((revision, tells_nodes),) = revisions
    return Membership(revision, parties, frozenset(certificates), frozenset(nodes) if tells_nodes else None)


class Followed:
    """The membership as it is known here; asked for anew each time `follow` is called."""

    def __init__(self, kept: Path, clock: Callable[[], float] = time.time) -> None:
        """Takes up what was kept; the file's time says when it was told last.

        Raises:
            CentralError: The file is there and cannot be used: whoever repairs it decides whom it turned away.
            FileError: It cannot be read.
        """
        self._kept = kept
        self._clock = clock
        self._listeners: list[Callable[[], None]] = []
        self._unknown = asyncio.Event()
        self._silent = False
        self._trouble = ""
        self.told_at = 0.0
        """Seconds since 1970-01-01 UTC; 0 where nothing ever was."""
        self.known = self._written = Membership()
        if kept.exists():
            try:
                self.known = self._written = Membership.read(durable.read(kept, MAX_BYTES))
                self.told_at = kept.stat().st_mtime
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
            return self._failed("the compliance service tells no membership", error.code().name)
        except (CentralError, TlsError) as error:
            return self._failed("the membership is not taken over", str(error)[:500])
        self._trouble = ""
        return True

    def _failed(self, what: str, why: str) -> bool:
        # The same trouble every few seconds is told once; how long it lasts, the alarm says.
        if why != self._trouble:
            log.get().warning(what, reason=why)
        self._trouble = why
        return False

    def knocked(self) -> None:
        """Somebody came whom nobody knows here: they may have been let in a moment ago."""
        self._unknown.set()

    async def pause(self, interval: float) -> None:
        """Waits until it is time to ask again: `interval` seconds, or fewer where somebody unknown came."""
        least = min(interval, KNOCK_SECONDS)
        await asyncio.sleep(least)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._unknown.wait(), interval - least)
        self._unknown.clear()

    def look(self, alarm: float) -> None:
        """Raises the alarm, once, where nothing was told for so many seconds; says when that is over."""
        age = self._clock() - self.told_at
        silent = age >= alarm
        if silent and not self._silent:
            told = f"for {age:.0f} s" if self.told_at else "ever"
            log.get().error("the membership was not told: what was told last holds", told=told)
        elif self._silent and not silent:
            log.get().info("the membership is told again")
        self._silent = silent

    def _take(self, found: Membership) -> None:
        if found.revision < self.known.revision:
            why = f"revision {found.revision} is told, and {self.known.revision} was before"
            raise CentralError(f"{why}: if that database was restored, remove {self._kept}")
        if found != self._written:
            try:
                durable.write(self._kept, [found.dump()])
                self._written = found
            except FileError as error:
                # Who is out is out at once; a server that starts anew would not know it.
                log.get().error("the membership is not kept", reason=str(error)[:500])
        if found != self.known:
            self.known = found
            log.get().info(
                "membership changed",
                nodes=-1 if found.nodes is None else len(found.nodes),
                ended=len(found.parties),
                certificates=len(found.certificates),
            )
            for listener in self._listeners:
                listener()
        self.told_at = self._clock()
        if found == self._written:
            # Remembered as well as it can be: an age that is wrong turns nobody away.
            with contextlib.suppress(OSError):
                os.utime(self._kept, (self.told_at, self.told_at))
