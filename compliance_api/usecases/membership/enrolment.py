"""Lets nodes, probes and people in, and out: tokens, newcomers, certificates, revocations.

Holds always: nobody is in before a person of their own organisation has confirmed the fingerprint that the newcomer
itself showed; a token is good once, for one party, for a time; every decision is one transaction that stands in the
ledger with who made it; the authority decides for its own parties alone, except that it may end anybody, and that it
lets in the first person of an organisation, since nobody else is there to do so.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from compliance_api.domain.parties.enrolment import Enrolment, Issued, State, Terms, Token
from compliance_api.domain.parties.organisation import Node, OrganisationKind, Person, Probe, Registry
from compliance_api.errors import ComplianceError, InvalidRequestError, NotPermittedError, Violation
from compliance_api.usecases.membership.enrolment_ports import Change, Issuer, Store
from compliance_api.usecases.membership.entry import entry_of
from compliance_api.usecases.membership.membership import Event
from lachan import application, canonical
from lachan.application import ApplicationError
from lachan.invitation import SECRET_BYTES, Invitation, hash_of
from lachan.signing import SigningError, VerifyKey
from lachan.tls import IDENTIFIER, Identity, Role, TlsError

ID_BYTES = 16
KEY_BYTES = 32
MAX_REASON_CHARACTERS = 200
MAX_LIVING = 8
"""Certificates of one party at once: a stolen one cannot be turned into any number of others."""
MAX_SHOWN = 1000
MAX_UNITS = 16
PARTIES = (Role.NODE, Role.PROBE, Role.PERSON)
_WITH_UNITS = (OrganisationKind.AUTHORITY, OrganisationKind.AGENCY)
ONE_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Actor:
    """Who decides."""

    # As the ledger names them.
    name: str
    # The organisation they may decide for.
    organisation: str
    # May end parties of any organisation, and invite them.
    keeps_registry: bool = False

    @classmethod
    def person(cls, caller: Identity) -> Actor:
        """Somebody who calls.

        Raises:
            NotPermittedError: They are no person.
        """
        if caller.role is not Role.PERSON:
            raise NotPermittedError(f"{caller} is no person: a person of the organisation decides")
        return cls(str(caller), caller.organisation)


def _violation(field: str, description: str) -> InvalidRequestError:
    return InvalidRequestError([Violation(field, description)])


def _id(value: bytes) -> bytes:
    if len(value) != ID_BYTES:
        raise _violation("enrolment_id", f"{ID_BYTES} bytes")
    return value


def _entry(registry: Registry, party: Identity, said: Node | Probe | Person | None) -> dict[str, Any]:
    """What a token carries into the registry; empty where that says it already.

    Raises:
        ComplianceError: It contradicts the registry.
    """
    owner = registry.organisation(party.organisation)
    if owner is None:
        raise ComplianceError(f"{party.organisation} is not in the registry")
    if said is None:
        if party.role is Role.PERSON:
            raise ComplianceError(f"{party}: say what units they act for, even if none")
        known = registry.node if party.role is Role.NODE else registry.probe
        if known(party.organisation, party.name) is None:
            raise ComplianceError(f"{party} is not in the registry: say what it is to say of it")
        return {}
    if isinstance(said, Node):
        if owner.kind is not OrganisationKind.OPERATOR:
            raise ComplianceError(f"{owner.identifier} is no operator: only an operator has nodes")
        beyond = sorted(said.jurisdictions - owner.jurisdictions)
        if beyond:
            raise ComplianceError(f"{owner.identifier} does not answer in {', '.join(beyond)}")
        return entry_of(replace(said, jurisdictions=said.jurisdictions or owner.jurisdictions))
    if isinstance(said, Person):
        if said.units and owner.kind not in _WITH_UNITS:
            raise ComplianceError(f"{owner.identifier} is neither authority nor agency: its people have no units")
        if len(said.units) > MAX_UNITS or not all(IDENTIFIER.fullmatch(one) for one in said.units):
            raise ComplianceError(f"at most {MAX_UNITS} units, each 1 to 63 of a-z, 0-9 and inner hyphens")
        return entry_of(said)
    unknown = [name for name in sorted({said.custodian, *said.operators}) if registry.organisation(name) is None]
    if unknown:
        raise ComplianceError(f"not in the registry: {', '.join(unknown)}")
    return entry_of(said)


def _signed(found: Enrolment, signature: bytes) -> bool:
    try:
        VerifyKey.from_raw(found.key).verify(application.COLLECTION, found.enrolment_id, signature)
    except SigningError:
        return False
    return True


class Enrolling:
    """The task of letting in and out."""

    def __init__(
        self,
        store: Store,
        issuer: Issuer,
        terms: Terms,
        clock: Callable[[], datetime],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._issuer = issuer
        self._terms = terms
        self._clock = clock
        self._entropy = entropy

    async def invite(
        self, actor: Actor, party: Identity, said: Node | Probe | Person | None, server: str, pin: bytes
    ) -> Invitation:
        """A token for one party.

        Args:
            actor: Who invites.
            party: Who is invited.
            said: What the registry is to say of it, but its key; None where it says so already.
            server: HOST:PORT of the listener for newcomers.
            pin: SHA-256 of the authority by which that listener is known.

        Raises:
            ComplianceError: The party cannot be enrolled.
        """
        if party.role not in PARTIES:
            raise ComplianceError(
                f"{party}: nodes, probes and people are enrolled; services have certificates by `ca issue`"
            )
        now = self._clock()
        secret = self._entropy(SECRET_BYTES)
        expires_at = now + timedelta(seconds=self._terms.token)
        async with self._store.change() as change:
            registry = await change.registry()
            entry = _entry(registry, party, said)
            await change.add_token(Token(hash_of(secret), party, entry, now, actor.name, expires_at, None))
            change.note(_event("invited", party, actor.name, expires_at=int(expires_at.timestamp())))
        return Invitation(server, pin, party, secret)

    async def request(self, secret: bytes, csr: bytes, key: bytes, signature: bytes) -> Enrolment:
        """Spends a token.

        Raises:
            NotPermittedError: The token is unknown, spent or too old.
            InvalidRequestError: A proof does not hold.
        """
        if len(key) != KEY_BYTES:
            raise _violation("key", f"{KEY_BYTES} bytes")
        token_hash = hash_of(secret)
        now = self._clock()
        async with self._store.change() as change:
            token = await change.token(token_hash)
            # Unknown and too old are told alike: whoever guesses learns nothing.
            if token is None or now > token.expires_at:
                raise NotPermittedError("the token is unknown, or too old")
            try:
                tls_key = application.read(csr, token.party, application.binding(token_hash, key))
            except ApplicationError as error:
                raise _violation("csr", str(error)) from error
            try:
                application.verify(token_hash, csr, key, signature)
            except ApplicationError as error:
                raise _violation("signature", str(error)) from error
            if token.used_at is not None:
                known = await change.enrolment(token_hash=token_hash)
                if known is None or (known.csr, known.key) != (csr, key):
                    raise NotPermittedError("the token was used before: if it was not you, have this enrolment refused")
                # The answer before was lost.
                return known
            made = Enrolment(
                self._entropy(ID_BYTES),
                token_hash,
                token.party,
                token.entry,
                csr,
                key,
                application.fingerprint(tls_key, key),
                State.PENDING,
                now,
                now + timedelta(seconds=self._terms.pending),
                None,
                "",
                b"",
            )
            await change.spend(token_hash, now)
            await change.add_enrolment(made)
            change.note(_event("requested", made.party, "", fingerprint=made.fingerprint.hex(), key=key.hex()))
        return made

    async def collect(self, enrolment_id: bytes, signature: bytes) -> Enrolment:
        """How an enrolment stands, for the newcomer itself.

        Raises:
            NotPermittedError: It is unknown, or another's.
        """
        async with self._store.change(alone=False) as change:
            found = await change.enrolment(enrolment_id=_id(enrolment_id))
        if found is None or not _signed(found, signature):
            raise NotPermittedError("the enrolment is unknown, or another's")
        return found.at(self._clock())

    async def listed(self, actor: Actor) -> list[Enrolment]:
        """The enrolments an actor can see, newest first."""
        async with self._store.change(alone=False) as change:
            found = await change.enrolments(None if actor.keeps_registry else actor.organisation, MAX_SHOWN)
        now = self._clock()
        return [one.at(now) for one in found]

    async def _pending(self, change: Change, actor: Actor, enrolment_id: bytes, now: datetime) -> Enrolment:
        found = await change.enrolment(enrolment_id=_id(enrolment_id))
        if found is None or not await self._decides(change, actor, found.party):
            # Whose it is, is nobody else's business.
            raise NotPermittedError(f"{actor.name}: there is no such enrolment of {actor.organisation}")
        state = found.at(now).state
        if state is not State.PENDING:
            raise ComplianceError(f"the enrolment of {found.party} is {state} already")
        return found

    async def _decides(self, change: Change, actor: Actor, party: Identity) -> bool:
        """Whether it is this actor who lets the party in."""
        if party.organisation == actor.organisation:
            return True
        if not actor.keeps_registry or party.role is not Role.PERSON:
            return False
        return not await change.people(party.organisation)

    async def _refuse_shared(self, change: Change, found: Enrolment) -> None:
        """Raises InvalidRequestError where somebody else signs with this key: two names would be one hand."""
        party = found.party
        for owner in (await change.registry()).organisations:
            for one in owner.people:
                if one.key == found.key and (owner.identifier, one.name) != (party.organisation, party.name):
                    who = Identity(owner.identifier, Role.PERSON, one.name)
                    raise _violation("enrolment_id", f"{who} signs with this key")

    async def confirm(self, actor: Actor, enrolment_id: bytes, fingerprint: bytes, chain: bytes = b"") -> Enrolment:
        """Lets a newcomer in.

        Args:
            actor: Who has compared the fingerprint.
            enrolment_id: Of the newcomer.
            fingerprint: As the newcomer showed it.
            chain: PEM, from an organisation with authorities of its own.

        Raises:
            NotPermittedError: The actor decides for another organisation.
            ComplianceError: It was decided before, or too late.
            InvalidRequestError: The fingerprint is another, or the certificate cannot be used.
        """
        now = self._clock()
        async with self._store.change() as change:
            found = await self._pending(change, actor, enrolment_id, now)
            party = found.party
            if not hmac.compare_digest(fingerprint, found.fingerprint):
                raise _violation("fingerprint", "not that of this newcomer: refuse it if somebody else used its token")
            owner = (await change.registry()).organisation(party.organisation)
            if owner is None:
                raise ComplianceError(f"{party.organisation} is not in the registry any more")
            if party.role is Role.PERSON:
                await self._refuse_shared(change, found)
            issued = await self._certificate(change, found, owner.roots, chain, now)
            await change.admit(party, found.key, found.entry, now)
            await change.add_certificate(issued, now)
            await change.decide(found.enrolment_id, State.CONFIRMED, actor.name, now, issued.chain)
            change.note(
                _event(
                    "confirmed",
                    party,
                    actor.name,
                    fingerprint=found.fingerprint.hex(),
                    key=found.key.hex(),
                    certificate=issued.fingerprint.hex(),
                    # Of a person, the units whose steps they may take.
                    **({"units": found.entry.get("units", [])} if party.role is Role.PERSON else {}),
                )
            )
        return found

    async def _certificate(self, change: Change, found: Enrolment, roots: bytes, chain: bytes, now: datetime) -> Issued:
        party = found.party
        if not roots:
            if chain:
                raise _violation("chain", f"{party.organisation} has no authorities of its own")
            # Whatever its name was issued before is another machine's, or another life of this one.
            await change.revoke(party, b"", "enrolment", "enrolled anew", now - ONE_TICK, lifted=True)
            return self._issuer.issue(party, found.csr, now, self._terms.lifetime)
        if not chain:
            raise _violation("chain", f"{party.organisation} has authorities of its own: sign the CSR and hand it in")
        try:
            issued = self._issuer.adopt(party, found.csr, chain, roots, now)
        except TlsError as error:
            raise _violation("chain", str(error)) from error
        revoked_at = await change.last_revoked(party)
        if revoked_at is not None and issued.not_before <= revoked_at:
            raise _violation("chain", f"it begins before the party's revocation of {revoked_at:%Y-%m-%d %H:%M:%S} UTC")
        return issued

    async def refuse(self, actor: Actor, enrolment_id: bytes) -> Enrolment:
        """Turns a newcomer away for good.

        Raises:
            NotPermittedError: The actor decides for another organisation.
            ComplianceError: It was decided before.
        """
        now = self._clock()
        async with self._store.change() as change:
            found = await self._pending(change, actor, enrolment_id, now)
            await change.decide(found.enrolment_id, State.REFUSED, actor.name, now, b"")
            change.note(_event("refused", found.party, actor.name, fingerprint=found.fingerprint.hex()))
        return found

    async def renew(self, caller: Identity, csr: bytes) -> Issued:
        """A further certificate for who is in; the same CSR again brings the same one.

        Raises:
            NotPermittedError: The caller is no party that is enrolled.
            ComplianceError: It was not enrolled here, or has too many certificates.
            InvalidRequestError: The CSR does not hold.
        """
        if caller.role not in PARTIES:
            raise NotPermittedError(f"{caller} is neither node nor probe nor person")
        try:
            key = application.public_bytes(application.read(csr, caller))
        except ApplicationError as error:
            raise _violation("csr", str(error)) from error
        now = self._clock()
        async with self._store.change() as change:
            owner = (await change.registry()).organisation(caller.organisation)
            living = await change.living(caller, now)
            if owner is None or owner.roots or not living:
                raise ComplianceError(f"{caller} has no certificate from here: who issued it renews it")
            known = next((one for one in living if one.key == key and self._young(one, now)), None)
            if known is not None:
                return known
            if len(living) >= MAX_LIVING:
                raise ComplianceError(f"{caller} has {len(living)} certificates that have not ended")
            issued = self._issuer.issue(caller, csr, now, self._terms.lifetime)
            await change.add_certificate(issued, now)
            change.note(_event("renewed", caller, str(caller), certificate=issued.fingerprint.hex()))
        return issued

    def _young(self, issued: Issued, now: datetime) -> bool:
        """Whether a certificate is the answer to a request that is asked again, not one to be renewed."""
        return issued.not_after - now > timedelta(seconds=self._terms.lifetime * 0.9)

    async def revoke(self, actor: Actor, party: Identity, fingerprint: bytes, reason: str) -> None:
        """Ends a party, or one certificate of it, at once and in every process.

        Raises:
            NotPermittedError: The party is another organisation's.
            InvalidRequestError: The reason is missing or too long, or the fingerprint is none.
        """
        if not (actor.keeps_registry or party.organisation == actor.organisation):
            raise NotPermittedError(f"{actor.name} decides for {actor.organisation} alone")
        if not 1 <= len(reason) <= MAX_REASON_CHARACTERS:
            raise _violation("reason", f"1 to {MAX_REASON_CHARACTERS} characters")
        if len(fingerprint) not in {0, 32}:
            raise _violation("fingerprint", "32 bytes, or none")
        async with self._store.change() as change:
            await change.revoke(party, fingerprint, actor.name, reason, self._clock())
            content = {"event": "revoked", "party": str(party), "by": actor.name, "reason": reason}
            content |= {"certificate": fingerprint.hex()} if fingerprint else {}
            change.note(Event.revocation(canonical.encode(content), f"{party.organisation}/{party.name}"))


def _event(event: str, party: Identity, by: str, **more: str | int | list[str]) -> Event:
    content: dict[str, Any] = {"event": event, "party": str(party), "by": by, **more}
    return Event.enrolment(canonical.encode(content), f"{party.organisation}/{party.name}")
