"""What a node claims about a window: signed, chained to the claim before it, spooled with the head of the chain.

Holds always:

- a report and the head that includes it are stored in one transaction, and a head says which spans of time were told:
  none is told twice, whatever the clock does and whenever the process dies;
- each report names the digest of the one before it, across boots; numbers run from 1 within an epoch, without a gap;
- a window that nobody folded in time is counted in the next report's `windows_lost`, never left out in silence;
- where the spool was lost, the next report says so and starts an epoch of its own, since the numbers used before are
  not known any more and must not be used again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from blocklist_sync.edge.suspension import Suspension
from lachan import signing
from lachan.compliance.v1 import report_pb2 as pb
from lachan.signing import SigningKey
from lachan.spool import Item, Spool
from resolver.counters import WindowCounts
from resolver.disclosure import DisclosureError, check
from resolver.discretion import told_blocked, told_queries
from resolver.errors import ResolverError
from resolver.overrides import ReasonCode, Told
from resolver.windows import Span, cover, covers, due_windows, lost_before

EPOCH_BYTES = 16
DIGEST_BYTES = 32
HEAD_KEY = "report.head"

_PROFILE = re.compile(r"[a-z0-9_-]{1,32}")


class ReportError(ResolverError):
    """A report cannot be made of what was given."""


@dataclass(frozen=True)
class ListState:
    """The list in force at a window's end; times in seconds since 1970-01-01 UTC."""

    serial: int = 0
    records_digest: bytes = b""
    activated_at: int = 0
    checked_at: int = 0
    releases_refused: int = 0

    def message(self) -> pb.ListState:
        """As reports say it."""
        return pb.ListState(
            serial=self.serial,
            records_digest=self.records_digest,
            activated_at=self.activated_at,
            checked_at=self.checked_at,
            releases_refused=self.releases_refused,
        )


@dataclass(frozen=True)
class ClockState:
    """How far the node's clock could be trusted within a window; steps are absolute, in milliseconds."""

    synchronised: bool
    max_error_us: int
    stepped_ms: int

    def message(self) -> pb.ClockState:
        """As reports say it."""
        return pb.ClockState(synchronised=self.synchronised, max_error_us=self.max_error_us, stepped_ms=self.stepped_ms)


@dataclass(frozen=True)
class Head:
    """The end of the chain, as it is kept beside the reports."""

    ring_epoch: bytes
    """The shared counters' own epoch."""
    epoch: bytes
    """What reports call it: another one only where the spool was lost within it."""
    previous_epoch: bytes
    sequence: int
    digest: bytes
    spans: tuple[Span, ...]

    def encode(self) -> bytes:
        """The bytes to keep."""
        return json.dumps(
            {
                "ring_epoch": self.ring_epoch.hex(),
                "epoch": self.epoch.hex(),
                "previous_epoch": self.previous_epoch.hex(),
                "sequence": self.sequence,
                "digest": self.digest.hex(),
                "spans": self.spans,
            }
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> Head:
        """From the bytes kept.

        Raises:
            ReportError: They are something else.
        """
        try:
            raw = json.loads(data)
            return cls(
                bytes.fromhex(raw["ring_epoch"]),
                bytes.fromhex(raw["epoch"]),
                bytes.fromhex(raw["previous_epoch"]),
                int(raw["sequence"]),
                bytes.fromhex(raw["digest"]),
                tuple((int(start), int(end)) for start, end in raw["spans"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ReportError(f"the head of the chain cannot be read: {error!r}") from error


def counted(counts: WindowCounts, *, schools_alone: bool = False) -> pb.Report:
    """The part of a report that is counts, in an order of its own so that equal counts make equal bytes.

    Args:
        counts: As they were counted.
        schools_alone: Whether nobody but schools is served.

    Raises:
        ReportError: A profile's name or a number does not fit.
    """
    for _, profile, _ in counts.queries:
        if not _PROFILE.fullmatch(profile):
            raise ReportError(f"{profile!r} is no profile's name")
    blocked = told_blocked(counts.blocked, schools_alone=schools_alone)
    try:
        return pb.Report(
            window_start=counts.window_start,
            window_seconds=counts.window_seconds,
            queries=[
                pb.QueryCount(transport=pb.Transport.ValueType(transport), profile=profile, rcode=rcode, count=count)
                for (transport, profile, rcode), count in sorted(told_queries(counts.queries).items())
                if count
            ],
            blocked=[
                pb.BlockCount(category=pb.Category.ValueType(category), action=pb.Action.ValueType(action), count=count)
                for (category, action), count in sorted(blocked.items())
                if count
            ],
            drops=[
                pb.DropCount(reason=pb.DropReason.ValueType(reason), count=count)
                for reason, count in sorted(counts.drops.items())
                if count
            ],
            overridden=counts.overridden,
            allowed=counts.allowed,
            # Category 0: no claim about the list.
            operator_blocked=sum(count for (category, _), count in counts.blocked.items() if not category),
            upstream_failures=counts.upstream_failures,
        )
    except ValueError as error:
        raise ReportError(f"window {counts.window_start}: {error}") from error


def _override(one: Told) -> pb.Override:
    return pb.Override(
        fingerprint=one.fingerprint,
        entry=one.entry,
        category=pb.Category.ValueType(one.category),
        subtree=one.subtree,
        reason=pb.OverrideReason.ValueType(one.code),
        created_at=one.created_at,
        ends_at=one.ends_at,
    )


def _suspension(one: Suspension) -> pb.Suspension:
    return pb.Suspension(
        serial=one.serial,
        records_digest=one.records_digest,
        reason=pb.OverrideReason.ValueType(ReasonCode[one.code.upper()]),
        created_at=one.created_at,
        ends_at=one.ends_at,
    )


class Reporter:
    """Makes the reports of one node. Everything it knows is in the spool; its methods block while the disk syncs."""

    def __init__(
        self,
        spool: Spool,
        key: SigningKey,
        organisation: str,
        node: str,
        entropy: Callable[[int], bytes] = os.urandom,
        *,
        schools_alone: bool = False,
    ) -> None:
        self._spool = spool
        self._schools_alone = schools_alone
        self._key = key
        self._organisation = organisation
        self._node = node
        self._entropy = entropy
        self._loss_seen_at: int | None = None

    def head(self) -> Head | None:
        """The end of the chain, None before the first report."""
        data = self._spool.state(HEAD_KEY)
        return None if data is None else Head.decode(data)

    def _spans(self, head: Head | None, now: float, seconds: int) -> tuple[Span, ...]:
        """What must not be told. After a loss nobody knows what was, so that only windows still open then are told."""
        if head is not None:
            return head.spans
        if self._spool.lost is None:
            return ()
        if self._loss_seen_at is None:
            self._loss_seen_at = int(now) // seconds * seconds
        return ((0, self._loss_seen_at),)

    def due(self, now: float, since: int, window_seconds: int) -> tuple[int, ...]:
        """Starts of the windows to fold and to `write` now, oldest first; at most the ring's depth.

        A window that the ring has overwritten is passed over: the next report counts it as lost.

        Args:
            now: Seconds since 1970-01-01 UTC.
            since: When the ring began, on the same clock.
            window_seconds: Length of a window.

        Raises:
            SpoolError: The chain's head cannot be read now.
        """
        return due_windows(self._spans(self.head(), now, window_seconds), now, since, window_seconds)

    def write(
        self,
        counts: WindowCounts,
        ring_epoch: bytes,
        state: ListState,
        clock: ClockState,
        now: float,
        *,
        enforcing: bool,
        commitment: tuple[int, bytes] | None = None,
        overrides: Sequence[Told] = (),
        suspensions: Sequence[Suspension] = (),
        hit_log: pb.HitLog | None = None,
    ) -> Item:
        """Makes, signs and spools the report of one window.

        `commitment` is the hour before the window's and the root over its counts per listed name; every report of an
        hour repeats it. `overrides` and `suspensions` are those in force at some moment of the window. `hit_log` says
        that nothing but hits was measured, and where.

        Raises:
            ReportError: The window was told, or the values fit into no report.
            SpoolError: It could not be stored; the window is still due.
        """
        start, seconds = counts.window_start, counts.window_seconds
        if len(ring_epoch) != EPOCH_BYTES or seconds <= 0 or start % seconds:
            raise ReportError(f"window {start} of {seconds} s in epoch {ring_epoch.hex()} is no window")
        head = self.head()
        lost = self._spool.lost is not None
        spans = self._spans(head, now, seconds)
        if covers(spans, start, start + seconds):
            raise ReportError(f"window {start} was told already")
        following = self._follow(head, ring_epoch, lost=lost)
        report = counted(counts, schools_alone=self._schools_alone)
        try:
            report.MergeFrom(
                pb.Report(
                    organisation=self._organisation,
                    node=self._node,
                    boot_epoch=following.epoch,
                    previous_boot_epoch=following.previous_epoch,
                    sequence=following.sequence,
                    previous_digest=following.digest,
                    spool_lost=lost,
                    windows_lost=lost_before(spans, start, seconds) if head else 0,
                    list=state.message(),
                    clock=clock.message(),
                    enforcing=enforcing,
                    hit_log=hit_log,
                    overrides=[_override(one) for one in overrides],
                    suspensions=[_suspension(one) for one in suspensions],
                    rule_commitment=pb.RuleCommitment(hour=commitment[0], root=commitment[1]) if commitment else None,
                )
            )
            check(report)
        except (ValueError, DisclosureError) as error:
            raise ReportError(f"window {start}: {error}") from error
        data = report.SerializeToString(deterministic=True)
        signed = pb.SignedReport(
            report=data, signature=self._key.sign(signing.REPORT, data), key_id=self._key.public.key_id
        )
        after = Head(
            following.ring_epoch,
            following.epoch,
            following.previous_epoch,
            following.sequence,
            hashlib.sha256(data).digest(),
            cover(spans, start, start + seconds),
        )
        return self._spool.append(
            signed.SerializeToString(deterministic=True), now, {HEAD_KEY: after.encode()}, tells_loss=lost
        )

    def _follow(self, head: Head | None, ring_epoch: bytes, *, lost: bool) -> Head:
        """Epoch and number of the report after `head`, with the digest it has to name."""
        if head is None:
            if lost:
                return Head(ring_epoch, self._entropy(EPOCH_BYTES), ring_epoch, 1, b"", ())
            return Head(ring_epoch, ring_epoch, b"", 1, b"", ())
        if head.ring_epoch == ring_epoch:
            return Head(ring_epoch, head.epoch, head.previous_epoch, head.sequence + 1, head.digest, ())
        return Head(ring_epoch, ring_epoch, head.epoch, 1, head.digest, ())
