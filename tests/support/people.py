"""People with keys of their own, and what they sign about findings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.findings.casework import Action, Author, Deed, Matter
from compliance_api.domain.parties.organisation import Person
from compliance_api.identity.issuing import issued_of
from compliance_api.ledger import statement
from compliance_api.ledger.statement import Order, Statement
from compliance_api.storage.membership.enrolments import Enrolments
from compliance_api.usecases.membership.entry import entry_of
from lachan.signing import SigningKey
from lachan.tls import Identity, Role

UNITS = frozenset({"inspection", "legal"})
FINDING = "00" * 16


async def let_in(engine: AsyncEngine, everybody: Iterable[tuple[Identity, Person, bytes]], now: datetime) -> None:
    """People with their certificates, as if they had been enrolled: no others count."""
    async with Enrolments(engine).change() as change:
        for who, person, chain in everybody:
            await change.admit(who, person.key, entry_of(person), now)
            await change.add_certificate(issued_of(who, chain), now)


class Signer:
    """Somebody; their key follows from their name, so that a test can be read again."""

    def __init__(self, name: str, organisation: str = "so", units: frozenset[str] = UNITS) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self.identity = Identity(organisation, Role.PERSON, name)
        seed = hashlib.sha256(str(self.identity).encode()).digest()
        self.key = SigningKey(Ed25519PrivateKey.from_private_bytes(seed))
        self.units = frozenset() if organisation in {"a", "b"} else units

    @property
    def author(self) -> Author:
        return Author(self.identity, self.key.public.raw, self.units)

    def state(
        self,
        action: Action,
        position: int,
        previous: str,
        *,
        finding: str = FINDING,
        note: str = "because",
        order: tuple[str, str] | None = None,
        paper: bool = False,
    ) -> tuple[bytes, bytes]:
        """A statement and its signature."""
        made = Statement(
            finding=finding,
            position=position,
            previous=previous,
            action=action.value,
            person=str(self.identity),
            note=note,
            order=Order(number=order[0], authority=order[1]) if order else None,
            paper=paper,
        )
        return made.encode(), statement.sign(self.key, made)

    def deed(
        self,
        matter: Matter,
        action: Action,
        *,
        finding: str = FINDING,
        note: str = "because",
        order: tuple[str, str] | None = None,
        paper: bool = False,
    ) -> Deed:
        """The same as the desk makes it, about a finding as it stands."""
        position = matter.steps[-1].position + 1
        data, signature = self.state(
            action, position, matter.head, finding=finding, note=note, order=order, paper=paper
        )
        number, authority = order or ("", "")
        return Deed(action, self.author, position, matter.head, data, signature, note, number, authority, paper)


AN, BINH, CHI = (Signer(name) for name in ("an", "binh", "chi"))
OWN, OTHER = Signer("khanh", "a"), Signer("lam", "b")
"""Of operator a, and of operator b."""
