"""The desk at which people see findings and take steps: an operator's its own, the units' those of their places.

Holds always: whoever acts is somebody who was enrolled, by the certificate that they call with; what they say is what
they signed, to the byte; of another operator's findings nobody learns even that they are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from compliance_api.domain.findings.casework import Action, Author, Deed
from compliance_api.domain.parties.organisation import Organisation, OrganisationKind, Person, Registry
from compliance_api.errors import InvalidRequestError, NotFoundError, NotPermittedError, Violation
from compliance_api.ledger import statement
from compliance_api.ledger.statement import Receipt, Statement, StatementError
from compliance_api.usecases.findings.casework import Detail, FindingCase, Taken
from lachan.signing import SigningKey
from lachan.tls import Identity, Role


class CaseStore(Protocol):
    """Keeps findings with their steps."""

    async def cases(self, operators: Sequence[str] | None = None) -> list[FindingCase]:
        """The findings that accuse, the newest first; of these operators, or of all."""

    async def detail(self, identifier: str) -> Detail | None:
        """One finding with what it rests on."""

    async def take(self, identifier: str, deed: Deed, now: datetime) -> Taken:
        """Takes a step."""


@dataclass(frozen=True)
class Answered:
    """A step that was taken, with the service's word for it."""

    taken: Taken
    receipt: bytes
    signature: bytes


@dataclass(frozen=True)
class _Caller:
    identity: Identity
    person: Person
    owner: Organisation

    @property
    def operator(self) -> str | None:
        """Whose findings they see; None for all operators'."""
        return self.owner.identifier if self.owner.kind is OrganisationKind.OPERATOR else None

    def sees(self, case: FindingCase) -> bool:
        if self.operator is not None:
            return case.operator == self.operator
        return not self.owner.jurisdictions or case.jurisdiction in self.owner.jurisdictions


class Desk:
    """The task of showing findings and taking steps."""

    def __init__(self, registry: Registry, store: CaseStore, key: SigningKey, clock: Callable[[], datetime]) -> None:
        """Serves the people of `registry`.

        Args:
            registry: Everybody, as last read.
            store: The findings.
            key: What receipts are signed with.
            clock: The time.
        """
        self._registry = registry
        self._store = store
        self._key = key
        self._clock = clock

    def _caller(self, who: Identity) -> _Caller:
        person = self._registry.person(who.organisation, who.name) if who.role is Role.PERSON else None
        owner = self._registry.organisation(who.organisation)
        if person is None or owner is None:
            raise NotPermittedError(f"{who} is no person who was enrolled: findings are for people")
        if owner.kind is not OrganisationKind.OPERATOR and not person.units:
            raise NotPermittedError(f"{who} acts for no unit, and {owner.identifier} is no operator")
        return _Caller(who, person, owner)

    async def listed(self, who: Identity) -> list[FindingCase]:
        """The findings that somebody may see, the newest first.

        Raises:
            NotPermittedError: They are nobody who sees findings.
        """
        caller = self._caller(who)
        found = await self._store.cases([caller.operator] if caller.operator is not None else None)
        return [one for one in found if caller.sees(one)]

    async def shown(self, who: Identity, identifier: str) -> Detail:
        """One finding.

        Raises:
            NotPermittedError: They are nobody who sees findings.
            NotFoundError: There is none under that id for them.
        """
        caller = self._caller(who)
        found = await self._store.detail(identifier)
        if found is None or not caller.sees(found.case):
            raise NotFoundError(f"there is no finding {identifier}")
        return found

    async def take(self, who: Identity, data: bytes, signature: bytes, *, answering: bool) -> Answered:
        """Takes a step as it was signed.

        Args:
            who: The caller.
            data: The statement.
            signature: By the caller's own key.
            answering: Whether it has to be an operator's own answer, or anything but that.

        Raises:
            InvalidRequestError: The statement is none, another's, or the signature does not hold.
            NotPermittedError: The step is another unit's.
            NotFoundError: There is no such finding for the caller.
            StepError: It may not be taken now.
        """
        caller = self._caller(who)
        made = self._signed(caller, data, signature)
        action = _action(made)
        if (action is Action.ANSWER and not made.paper) is not answering:
            raise _violation("statement", "answers by AnswerFinding, all else by TakeStep")
        await self.shown(who, made.finding)
        deed = Deed(
            action,
            Author(who, caller.person.key, caller.person.units),
            made.position,
            made.previous,
            data,
            signature,
            made.note,
            made.order.number if made.order else "",
            made.order.authority if made.order else "",
            made.paper,
        )
        now = self._clock()
        taken = await self._store.take(made.finding, deed, now)
        told = Receipt(
            finding=made.finding,
            position=made.position,
            statement=statement.digest(data),
            leaf=taken.index,
            taken_at=int(now.timestamp()),
        )
        return Answered(taken, *statement.receipt(self._key, told))

    def _signed(self, caller: _Caller, data: bytes, signature: bytes) -> Statement:
        try:
            made = statement.parse(data)
        except StatementError as error:
            raise _violation("statement", str(error)) from error
        if made.person != str(caller.identity):
            raise _violation("statement", f"it is {made.person}'s, and {caller.identity} calls")
        try:
            statement.check(caller.person.key, data, signature)
        except StatementError as error:
            raise _violation("signature", str(error)) from error
        return made


def _action(made: Statement) -> Action:
    try:
        return Action(made.action)
    except ValueError as error:
        raise _violation("statement", f"action: none of {', '.join(Action)}") from error


def _violation(field: str, description: str) -> InvalidRequestError:
    return InvalidRequestError([Violation(f"signed.{field}", description)])
