"""Challenges nodes: draws what is asked, has it opened, and verifies what was opened.

Holds always: a challenge is in the ledger before a probe is told of it; only large nodes are challenged, as the law
says, by what their operator says or by what they report, whichever is more; an opening is kept as the node signed it,
in the ledger, whether its proofs hold or not; a node is asked by its own calls alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from google.protobuf.message import DecodeError

from compliance_api.domain.challenges.challenge import (
    NO_COMMITMENT,
    Challenge,
    State,
    challengeable,
    draw_rules,
    hour_of,
    hours,
)
from compliance_api.domain.drawing.sampling import ListedName
from compliance_api.domain.law.law import Law, LawBook, LawError
from compliance_api.domain.parties.organisation import Node, Organisation, Registry
from compliance_api.errors import InvalidRequestError, NotPermittedError, Violation
from compliance_api.usecases.probing.sample import NameSource, SeedStore
from compliance_api.usecases.reports.exact import RULE, is_exact
from lachan.compliance.v1 import challenge_service_pb2 as pb
from lachan.rulecounts import BEYOND, MAX_DEPTH, Bucket, RuleCountError, verify
from lachan.rulecounts import Opened as OpenedRule
from lachan.signing import OPENING, SigningError, VerifyKey
from lachan.tls import Identity, Role

PURPOSE = "challenges"
ID_BYTES = 16
MAX_PENDING = 8
MAX_OPENING_BYTES = 1 << 20
MAX_SIGNATURE_BYTES = 128
BUSY_DAYS = 30
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Answer:
    """What a node answered to a challenge, and what that amounts to."""

    state: State
    reason: str
    opening: bytes
    signature: bytes
    key_id: bytes
    answered_at: datetime
    reported: Mapping[str, int | None]
    beyond: int


class ChallengeStore(Protocol):
    """Keeps challenges and what became of them."""

    async def is_drawn(self, operator: str, node: str, hour: datetime) -> bool:
        """Whether the hour's challenge was drawn already."""

    async def loads(self, operator: str, since: datetime) -> Mapping[str, int]:
        """Queries that each node answers in a day, as it reported since then; those that measured none are left out."""

    async def busy(self, operator: str, since: datetime) -> frozenset[str]:
        """Entries that challenges since then found to be asked often by others."""

    async def add(self, challenge: Challenge, names: Sequence[ListedName]) -> None:
        """Stores a challenge and what it was drawn from, and enters it into the ledger, unless it was drawn already."""

    async def pending(self, operator: str, node: str, now: datetime, limit: int) -> list[Challenge]:
        """Those that the node is to open now, the nearest deadline first."""

    async def challenge(self, operator: str, node: str, challenge_id: bytes) -> tuple[Challenge, bytes | None] | None:
        """A challenge of that node, with what the node answered."""

    async def roots(self, challenge: Challenge) -> set[bytes]:
        """What the node had committed to for the challenged hour by the time it was asked."""

    async def answer(self, challenge: Challenge, answer: Answer) -> None:
        """Stores an answer and enters it into the ledger, unless there is one."""


class Challenger:
    """The task of challenging."""

    def __init__(
        self,
        registry: Registry,
        laws: LawBook,
        store: ChallengeStore,
        seeds: SeedStore,
        names: NameSource,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._registry = registry
        self._laws = laws
        self._store = store
        self._seeds = seeds
        self._names = names
        self._entropy = entropy

    def _law(self, node: Node, at: datetime) -> Law | None:
        try:
            return self._laws.in_force(min(node.jurisdictions), at)
        except LawError:
            return None

    def _large(self, operator: Organisation, loads: Mapping[str, int], now: datetime) -> list[tuple[Node, Law]]:
        """Nodes of so many clients that counts of theirs are no single one's, by their operator's word or their own.

        Those that read another resolver's log measure no queries: of them the operator's word alone counts.
        """
        found = []
        for node in operator.nodes:
            law = self._law(node, now)
            if law is None:
                continue
            duty = law.challenges
            if max(node.clients, loads.get(node.name, 0) // duty.queries_a_client) > duty.minimum_clients:
                found.append((node, law))
        return found

    async def draw(self, now: datetime) -> int:
        """Draws the challenges of this hour; how many.

        Raises:
            BusyError: There are no names to draw from.
        """
        hour = hour_of(now)
        drawn = 0
        for operator in self._registry.operators():
            loads = await self._store.loads(operator.identifier, now - DAY)
            large = self._large(operator, loads, now)
            if not large:
                continue
            seed = await self._seeds.seed(operator.identifier, PURPOSE, now.astimezone(UTC).date())
            # Tomorrow's is committed to long before anything is drawn by it.
            await self._seeds.seed(operator.identifier, PURPOSE, (now.astimezone(UTC) + DAY).date())
            # A verdict is on a place, so each has as many hours as the law says, and does not share them with others.
            alike: dict[frozenset[str], list[str]] = {}
            for node, _ in large:
                alike.setdefault(node.jurisdictions, []).append(node.name)
            for node, law in large:
                places = node.jurisdictions
                if (node.name, hour.hour) not in hours(seed, alike[places], law.challenges, places):
                    continue
                if not await self._store.is_drawn(operator.identifier, node.name, hour):
                    zoned = node.name not in loads
                    drawn += await self._draw(operator.identifier, node, law, seed, now, zoned=zoned)
        return drawn

    async def _draw(self, operator: str, node: Node, law: Law, seed: bytes, now: datetime, *, zoned: bool) -> bool:
        duty, hour = law.challenges, hour_of(now)
        pool = await self._names.pool(law, now)
        busy = await self._store.busy(operator, now - BUSY_DAYS * DAY)
        old_enough = now - timedelta(seconds=law.list.block_deadline)
        # Who measures no queries goes by a zone, or may do so, and cannot know what no zone has room for.
        known = [one for one in pool.names if not (zoned and one.unfit)]
        names = challengeable(known, busy, old_enough)
        rules = draw_rules(seed, node.name, hour, names, duty.pairs_an_hour)
        if not rules:
            return False
        opens = hour + timedelta(hours=1, seconds=duty.opened_after)
        await self._store.add(
            Challenge(
                operator,
                self._entropy(ID_BYTES),
                node.name,
                hour,
                now,
                pool.serial,
                rules,
                opens,
                opens + timedelta(seconds=duty.answered_within),
            ),
            names,
        )
        return True

    def _node(self, caller: Identity) -> Node:
        node = self._registry.node(caller.organisation, caller.name) if caller.role is Role.NODE else None
        if node is None:
            raise NotPermittedError(f"{caller} is not a node in the registry")
        return node

    async def pending(self, caller: Identity, now: datetime) -> list[Challenge]:
        """What a node is to open now.

        Raises:
            NotPermittedError: The caller is no node, or is not known.
        """
        self._node(caller)
        return await self._store.pending(caller.organisation, caller.name, now, MAX_PENDING)

    async def submit(self, caller: Identity, signed: pb.SignedOpening, now: datetime) -> State:
        """Takes an opening; what it amounts to. The same bytes again change nothing.

        Who says that it is too early is asked again: its clock may be slow, and it has until the deadline.

        Raises:
            NotPermittedError: The caller is no node, is not known, or speaks for another.
            InvalidRequestError: With the field that is out of bounds, or where another opening is stored.
        """
        node = self._node(caller)
        opening = _read(signed, node)
        if (opening.organisation, opening.node) != (caller.organisation, caller.name):
            raise NotPermittedError(f"{caller} may not open for another node")
        found = await self._store.challenge(caller.organisation, caller.name, opening.challenge_id)
        if found is None:
            raise _invalid("opening.challenge_id", "nothing of this node was asked to be opened under it")
        challenge, before = found
        if now < challenge.open_from:
            raise _invalid("opening.challenge_id", "it is not asked to be opened yet")
        if before is not None:
            if hashlib.sha256(before).digest() != hashlib.sha256(signed.opening).digest():
                raise _invalid("opening.challenge_id", "another opening is stored")
            return State.OPENED
        if opening.refusal == pb.OPENING_REFUSAL_TOO_EARLY:
            return State.DRAWN
        roots = await self._store.roots(challenge)
        state, reason, counts = judge(challenge, opening, roots)
        await self._store.answer(
            challenge,
            Answer(
                state,
                reason,
                signed.opening,
                signed.signature,
                signed.key_id,
                now,
                {rule.qname: counts.get(rule.fingerprint) for rule in challenge.rules} if counts else {},
                counts.get(BEYOND) or 0,
            ),
        )
        return state


def _invalid(field: str, rule: str) -> InvalidRequestError:
    return InvalidRequestError([Violation(f"opening.{field}", rule)])


def _read(signed: pb.SignedOpening, node: Node) -> pb.Opening:
    if not 0 < len(signed.opening) <= MAX_OPENING_BYTES:
        raise _invalid("opening", f"1 to {MAX_OPENING_BYTES} bytes")
    if len(signed.signature) > MAX_SIGNATURE_BYTES:
        raise _invalid("signature", f"at most {MAX_SIGNATURE_BYTES} bytes")
    try:
        key = VerifyKey.from_raw(node.key)
        if signed.key_id != key.key_id:
            raise _invalid("key_id", "not the node's key")
        key.verify(OPENING, signed.opening, signed.signature)
        told = pb.Opening.FromString(signed.opening)
    except SigningError as error:
        raise _invalid("signature", str(error)) from error
    except DecodeError as error:
        raise _invalid("opening", "not a serialised Opening") from error
    if not is_exact(told, signed.opening):
        raise _invalid("opening", RULE)
    return told


def judge(challenge: Challenge, opening: pb.Opening, roots: set[bytes]) -> tuple[State, str, Mapping[int, int | None]]:
    """What an opening amounts to, why, and the committed counts by fingerprint.

    Args:
        challenge: What was asked.
        opening: As the node signed it.
        roots: What its reports commit to for the hour.
    """
    if opening.refusal:
        known = opening.refusal in pb.OpeningRefusal.values()
        return State.REFUSED, pb.OpeningRefusal.Name(opening.refusal) if known else str(opening.refusal), {}
    if datetime.fromtimestamp(opening.hour, UTC) != challenge.hour:
        return State.UNTRUE, "another hour is opened", {}
    if not roots:
        return State.UNCOMMITTED, NO_COMMITMENT, {}
    if len(roots) > 1:
        return State.UNTRUE, f"reports of the node commit to {len(roots)} different roots for the hour", {}
    asked = [BEYOND, *challenge.fingerprints]
    if len(opening.buckets) > len(asked) or any(len(one.path) > MAX_DEPTH for one in opening.buckets):
        return State.UNTRUE, "more is opened than was asked", {}
    try:
        counts = verify(
            next(iter(roots)),
            asked,
            [Bucket(one.position, one.entries, tuple(one.path)) for one in opening.buckets],
            [OpenedRule(one.fingerprint, one.count, one.salt) for one in opening.rules],
        )
    except RuleCountError as error:
        return State.UNTRUE, str(error), {}
    return State.OPENED, "", counts
