"""Gives the ledger its heads: adds what was entered to the tree, signs, and has witnesses cosign.

Holds always: a head is stored before anybody else sees it, so that after any crash no second head of its size is ever
signed (and signing the same again gives the same bytes); a head is published only with the cosignatures that the policy
asks for; no witness holds the others up for longer than `GRACE_SECONDS` once they are enough, and none is believed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from compliance_api.errors import ComplianceError
from compliance_api.ledger import cosigning
from compliance_api.ledger.cosigning import Failure, Refusal, Stale
from lachan.ledger import note
from lachan.ledger.checkpoint import Checkpoint
from lachan.ledger.errors import LedgerError
from lachan.ledger.note import Note, Signature
from lachan.ledger.policy import Policy
from lachan.signing import SigningKey

GRACE_SECONDS = 0.5
"""For the witnesses that are not needed any more, so that a head has as many as can be had."""
LEAVES_AT_ONCE = 8192
STEPS_MAX = 64
"""Heads that one turn signs while it catches up."""
ATTEMPTS = 3
"""With one witness in one turn, while it says from which size to begin."""


class LedgerChangedError(ComplianceError):
    """What is stored does not lead to the head that was signed: somebody has been at the database."""


class WitnessError(ComplianceError):
    """A witness cannot be asked."""


@dataclass(frozen=True)
class Head:
    """The ledger's last head as it is stored."""

    size: int
    signed: bytes
    """By the log alone."""
    cosigned: bytes | None
    """With the first cosignatures that were enough."""
    refreshed_at: int | None
    """When it was last cosigned by enough, by our clock, in seconds since 1970."""


@dataclass(frozen=True)
class Reply:
    """What a witness answered, at most `cosigning.MAX_REPLY_BYTES`."""

    status: int
    form: str
    body: bytes


class Turn(Protocol):
    """The ledger while nobody else sequences it."""

    async def enter_missing(self) -> int:
        """Enters what a release without a ledger has stored; how many leaves that were."""

    async def grow(self, sign: Callable[[int, bytes], bytes], most: int) -> int:
        """Adds up to `most` leaves to the tree and stores a head over them; how many leaves that were.

        Args:
            sign: Makes the signed head of a size and a root.
            most: Leaves.

        Raises:
            LedgerChangedError: The tree that is stored is not that of the last head.
        """

    async def head(self) -> Head | None:
        """The last head, if there is one."""

    async def published(self) -> int:
        """The size of the last head that was published, 0 if none was."""

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof from one size to another."""

    async def publish(self, size: int, cosigned: bytes, now: int) -> None:
        """Stores a head with its cosignatures."""


class LedgerStore(Protocol):
    """Keeps the ledger."""

    def turn(self) -> AbstractAsyncContextManager[Turn | None]:
        """The ledger for one at a time over all processes; None while it is another's turn."""


class Witnesses(Protocol):
    """Who cosigns."""

    async def ask(self, name: str, body: bytes) -> Reply:
        """Asks one of them to cosign.

        Raises:
            WitnessError: It does not answer.
        """


class Watch(Protocol):
    """Who is told how it goes with witnesses."""

    def failed(self, witness: str, failure: Failure, detail: str) -> None:
        """A witness brought no cosignature."""


@dataclass(frozen=True)
class Log:
    """Whose ledger it is."""

    origin: str
    key: SigningKey
    policy: Policy
    """Names the log, its witnesses, and how many of them are enough."""

    def sign(self, size: int, root: bytes) -> bytes:
        """The signed head."""
        return Checkpoint(self.origin, size, root).signed(self.key).encode()


class Sequencer:
    """Takes a turn now and then, in each of several processes."""

    def __init__(
        self,
        log: Log,
        store: LedgerStore,
        witnesses: Witnesses,
        watch: Watch,
        clock: Callable[[], float],
        *,
        refresh: float,
    ) -> None:
        self._log = log
        self._store = store
        self._witnesses = witnesses
        self._watch = watch
        self._clock = clock
        self._refresh = refresh
        # What each witness cosigned last, as far as this process knows: a guess that it corrects.
        self._last: dict[str, int] = {}

    async def round(self) -> bool:
        """Takes a turn, if it is nobody else's; whether there was one.

        Raises:
            LedgerChangedError: The ledger is not what was signed; nothing is added to it any more.
        """
        async with self._store.turn() as turn:
            if turn is None:
                return False
            await turn.enter_missing()
            for _ in range(STEPS_MAX):
                if not await turn.grow(self._log.sign, LEAVES_AT_ONCE):
                    break
            head = await turn.head()
            if head is not None and self._is_due(head):
                await self._collect(turn, head)
            return True

    def _is_due(self, head: Head) -> bool:
        # Witnesses go on cosigning a head that does not grow: until when it was the last is what dates the next leaf.
        return head.refreshed_at is None or self._clock() - head.refreshed_at >= self._refresh

    async def _collect(self, turn: Turn, head: Head) -> None:
        signed = note.parse(head.signed)
        guess = await turn.published()
        sizes = {name: min(head.size, self._last.get(name, guess)) for name in self._log.policy.witnesses}
        cosigned = signed
        for _ in range(ATTEMPTS):
            bodies = {
                name: cosigning.request(old, await turn.consistency(old, head.size), head.signed)
                for name, old in sizes.items()
            }
            found, sizes = await self._ask(bodies, cosigned)
            cosigned = cosigned.with_signatures(found)
            self._last |= sizes
            if not sizes:
                break
        for name, key in self._log.policy.witnesses.items():
            if any((one.name, one.id) == (key.name, key.id) for one in cosigned.signatures):
                self._last[name] = head.size
        if self._is_enough(cosigned):
            await turn.publish(head.size, cosigned.encode(), int(self._clock()))

    def _is_enough(self, cosigned: Note) -> bool:
        try:
            self._log.policy.check(cosigned, int(self._clock()))
        except LedgerError:
            return False
        return True

    async def _ask(self, bodies: Mapping[str, bytes], signed: Note) -> tuple[list[Signature], dict[str, int]]:
        """Cosignatures, and from which size those witnesses want a proof that do not know where this one begins."""
        loop = asyncio.get_running_loop()
        waiting = {asyncio.create_task(self._ask_one(name, body, signed)): name for name, body in bodies.items()}
        pending: set[asyncio.Task[Signature | Stale | None]] = set(waiting)
        found: list[Signature] = []
        stale: dict[str, int] = {}
        end: float | None = None
        try:
            while pending:
                left = None if end is None else max(0.0, end - loop.time())
                done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    break
                self._sort(((waiting[task], task.result()) for task in done), found, stale)
                if end is None and self._is_enough(signed.with_signatures(found)):
                    end = loop.time() + GRACE_SECONDS
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
        return found, stale

    @staticmethod
    def _sort(
        answers: Iterable[tuple[str, Signature | Stale | None]], found: list[Signature], stale: dict[str, int]
    ) -> None:
        for name, answer in answers:
            if isinstance(answer, Signature):
                found.append(answer)
            elif answer is not None:
                stale[name] = answer.size

    async def _ask_one(self, name: str, body: bytes, signed: Note) -> Signature | Stale | None:
        try:
            reply = await self._witnesses.ask(name, body)
        except WitnessError as error:
            self._watch.failed(name, Failure.UNREACHABLE, str(error))
            return None
        key = self._log.policy.witnesses[name]
        answer = cosigning.read(reply.status, reply.form, reply.body, signed, key, int(self._clock()))
        if isinstance(answer, Refusal):
            self._watch.failed(name, answer.failure, answer.detail)
            return None
        return answer


def origin_of(policy: Policy, key: SigningKey) -> str:
    """Which of the policy's logs is kept with this key.

    Raises:
        ComplianceError: None.
    """
    own: Sequence[str] = [one.name for one in policy.logs if one.key.raw == key.public.raw]
    if len(own) != 1:
        raise ComplianceError("the policy names no log with this key")
    return own[0]
