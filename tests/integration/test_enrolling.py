"""Who is let in and who is not, decided on a real PostgreSQL: the honest way, and everybody who tries another."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.parties.credential import Objection
from compliance_api.domain.parties.enrolment import Enrolment, Issued, State, Terms
from compliance_api.domain.parties.organisation import (
    Endpoint,
    Jurisdiction,
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Person,
    Probe,
    Registry,
    Transport,
)
from compliance_api.errors import ComplianceError, InvalidRequestError, NotPermittedError
from compliance_api.identity import pki
from compliance_api.identity.anchors import Anchors, shown
from compliance_api.identity.issuing import Issuer
from compliance_api.storage.membership.enrolments import Enrolments
from compliance_api.storage.membership.members import Members
from compliance_api.usecases.membership.enrolment import Actor, Enrolling
from lachan import application
from lachan.application import COLLECTION, ENROLMENT
from lachan.invitation import Invitation, hash_of
from lachan.line import Line
from lachan.signing import SigningKey
from lachan.tls import Identity, Role
from tests.support import foreign

NAME = Label("Tên", "Name")
THEIRS = foreign.root("theirs")
PLACE = frozenset({"hcm"})
# `a` has its certificates from us, `b` has authorities of its own.
FILE = Registry(
    (Jurisdiction("hcm", NAME),),
    (
        Organisation("so", OrganisationKind.AUTHORITY, NAME, frozenset()),
        Organisation("a", OrganisationKind.OPERATOR, NAME, PLACE, (Node("e1", b"", (), PLACE),)),
        Organisation("b", OrganisationKind.OPERATOR, NAME, PLACE, (Node("e1", b"", (), PLACE),), (), THEIRS.pem),
    ),
)
E1, B1 = Identity("a", Role.NODE, "e1"), Identity("b", Role.NODE, "e1")
SAID = Node("e2", b"", (Endpoint("192.0.2.1", 53, Transport.UDP),), frozenset())
KEEPER = Actor("so: root", "so", keeps_registry=True)
AN, BINH = (Actor.person(Identity(name, Role.PERSON, "an")) for name in ("a", "b"))
PIN = bytes(32)


class Newcomer:
    """A node with keys of its own."""

    def __init__(self, invitation: Invitation, party: Identity | None = None) -> None:
        self.party = party or invitation.party
        self.secret = invitation.secret
        self.tls = application.new_key()
        self.key = SigningKey.generate()
        self.csr = self.request(self.secret)
        self.fingerprint = application.fingerprint(self.tls.public_key(), self.key.public.raw)

    def request(self, secret: bytes) -> bytes:
        return application.request(self.tls, self.party, application.binding(hash_of(secret), self.key.public.raw))

    def signature(self, secret: bytes, csr: bytes) -> bytes:
        return self.key.sign(ENROLMENT, application.statement(hash_of(secret), csr))


@dataclass
class Office:
    """The task, with a clock that can be set."""

    engine: AsyncEngine
    task: Enrolling
    members: Members
    folder: Path
    at: datetime

    async def invite(self, party: Identity = E1, said: Node | Probe | Person | None = None) -> Invitation:
        made = await self.task.invite(KEEPER, party, said, "127.0.0.1:1", PIN)
        return Invitation.parse(made.text())

    async def ask(self, who: Newcomer) -> Enrolment:
        return await self.task.request(who.secret, who.csr, who.key.public.raw, who.signature(who.secret, who.csr))

    async def admit(self, party: Identity = E1) -> tuple[Newcomer, Enrolment]:
        who = Newcomer(await self.invite(party))
        asked = await self.ask(who)
        await self.task.confirm(Actor.person(Identity(party.organisation, Role.PERSON, "x")), *both(asked))
        return who, asked

    async def person(
        self, party: Identity, by: Actor, key: SigningKey | None = None, units: frozenset[str] = frozenset()
    ) -> tuple[Newcomer, Enrolment]:
        who = Newcomer(await self.invite(party, Person(party.name, b"", units)))
        if key is not None:
            who.key = key
            who.csr = who.request(who.secret)
        asked = await self.ask(who)
        await self.task.confirm(by, *both(asked))
        return who, asked

    async def collect(self, who: Newcomer, asked: Enrolment) -> Enrolment:
        return await self.task.collect(asked.enrolment_id, who.key.sign(COLLECTION, asked.enrolment_id))

    async def objection(self, chain: bytes) -> Objection | None:
        return (await self.members.load()).objection(shown(chain))

    async def events(self) -> list[dict[str, Any]]:
        statement = "SELECT kind, subject, content FROM ledger_leaves ORDER BY log_index"
        async with self.engine.connect() as connection:
            rows = (await connection.execute(text(statement))).all()
        return [{"kind": row.kind, "subject": row.subject, **json.loads(row.content)} for row in rows]


def both(asked: Enrolment) -> tuple[bytes, bytes]:
    return asked.enrolment_id, asked.fingerprint


@pytest.fixture
async def office(engine: AsyncEngine, tmp_path: Path) -> Office:
    now = datetime.now(UTC)
    pki.init(tmp_path / "ca", now)
    members = Members(engine)
    await members.apply(FILE, "test", now)
    issuer = Issuer(tmp_path / "ca" / "ca.pem", tmp_path / "ca" / "ca-key.pem")
    made: Office
    task = Enrolling(Enrolments(engine), issuer, Terms(3600, 7200, 86400), lambda: made.at, os.urandom)
    made = Office(engine, task, members, tmp_path, now)
    return made


async def test_a_node_comes_in_by_a_token_and_its_organisations_word(office: Office) -> None:
    who = Newcomer(await office.invite())
    asked = await office.ask(who)
    assert asked.state is State.PENDING
    assert asked.fingerprint == who.fingerprint
    assert (await office.members.load()).registry.node("a", "e1") is None
    assert (await office.collect(who, asked)).chain == b""
    await office.task.confirm(AN, asked.enrolment_id, who.fingerprint)
    found = await office.collect(who, asked)
    assert found.state is State.CONFIRMED
    assert shown(found.chain).identity == E1
    assert await office.objection(found.chain) is None
    node = (await office.members.load()).registry.node("a", "e1")
    assert node is not None
    assert node.key == who.key.public.raw
    told = [one for one in await office.events() if one["event"] in {"invited", "requested", "confirmed"}]
    assert [(one["kind"], one["subject"], one["event"], one["by"]) for one in told] == [
        ("enrolment", "a/e1", "invited", "so: root"),
        ("enrolment", "a/e1", "requested", ""),
        ("enrolment", "a/e1", "confirmed", "lachan://a/person/an"),
    ]
    assert told[2]["certificate"] == shown(found.chain).fingerprint.hex()


async def test_a_party_that_no_file_names_comes_with_its_token(office: Office) -> None:
    party = Identity("a", Role.NODE, "e2")
    with pytest.raises(ComplianceError, match="not in the registry"):
        await office.invite(party)
    who = Newcomer(await office.invite(party, SAID))
    await office.task.confirm(AN, *both(await office.ask(who)))
    expected = replace(SAID, key=who.key.public.raw, jurisdictions=PLACE)
    assert (await office.members.load()).registry.node("a", "e2") == expected
    # A file that does not know it leaves it as it is.
    await office.members.apply(FILE, "test", office.at)
    assert (await office.members.load()).registry.node("a", "e2") == expected
    async with office.engine.connect() as connection:
        heads = (await connection.execute(text("SELECT node FROM chain_heads"))).scalars().all()
    assert heads == ["e2"]


@pytest.mark.parametrize(
    ("party", "said"),
    [
        (Identity("nobody", Role.NODE, "e1"), None),
        (Identity("so", Role.NODE, "e2"), SAID),
        (Identity("a", Role.NODE, "e2"), replace(SAID, jurisdictions=frozenset({"elsewhere"}))),
        (Identity("so", Role.PROBE, "p1"), Probe("p1", b"", "v", "n", "nobody", Line.CONSUMER)),
        (Identity("a", Role.PERSON, "an"), None),
        (Identity("a", Role.PERSON, "an"), Person("an", b"", frozenset({"legal"}))),
        (Identity("so", Role.PERSON, "an"), Person("an", b"", frozenset({"Legal"}))),
        (Identity("so", Role.SERVICE, "an"), None),
    ],
)
async def test_nobody_is_invited_against_the_registry(
    office: Office, party: Identity, said: Node | Probe | Person | None
) -> None:
    with pytest.raises(ComplianceError):
        await office.invite(party, said)


async def test_a_stolen_token_brings_the_thief_nothing_and_is_noticed(office: Office) -> None:
    invitation = await office.invite()
    thief, node = Newcomer(invitation), Newcomer(invitation)
    stolen = await office.ask(thief)
    with pytest.raises(NotPermittedError, match="used before"):
        await office.ask(node)
    # What the operator's engineer reads from their own machine is another fingerprint.
    with pytest.raises(InvalidRequestError, match="fingerprint"):
        await office.task.confirm(AN, stolen.enrolment_id, node.fingerprint)
    await office.task.refuse(AN, stolen.enrolment_id)
    assert (await office.collect(thief, stolen)).state is State.REFUSED
    with pytest.raises(ComplianceError, match="refused already"):
        await office.task.confirm(AN, *both(stolen))
    assert (await office.members.load()).registry.node("a", "e1") is None


async def test_the_same_request_again_is_answered_alike_and_makes_nothing(office: Office) -> None:
    who = Newcomer(await office.invite())
    assert await office.ask(who) == await office.ask(who)
    assert len(await office.task.listed(KEEPER)) == 1


async def test_what_was_handed_in_once_proves_nothing_with_another_token(office: Office) -> None:
    one, two = await office.invite(), await office.invite()
    who = Newcomer(one)
    await office.ask(who)
    # Seen on its way and said again, with another token: whole, then with a signature of the thief's own key.
    with pytest.raises(InvalidRequestError, match="another token"):
        await office.task.request(two.secret, who.csr, who.key.public.raw, who.signature(one.secret, who.csr))
    thief = SigningKey.generate()
    signature = thief.sign(ENROLMENT, application.statement(hash_of(two.secret), who.csr))
    with pytest.raises(InvalidRequestError, match="another token or another key"):
        await office.task.request(two.secret, who.csr, thief.public.raw, signature)
    # The right CSR under a key that the sender does not hold.
    fresh = Newcomer(two)
    with pytest.raises(InvalidRequestError, match="signature"):
        await office.task.request(two.secret, fresh.csr, fresh.key.public.raw, signature)


async def test_a_token_is_for_one_party_for_a_time(office: Office) -> None:
    invitation = await office.invite()
    for party in (B1, Identity("a", Role.NODE, "e2"), Identity("a", Role.PROBE, "e1")):
        with pytest.raises(InvalidRequestError, match="does not name lachan://a/node/e1 alone"):
            await office.ask(Newcomer(invitation, party))
    with pytest.raises(NotPermittedError, match="unknown, or too old"):
        await office.ask(Newcomer(replace(invitation, secret=bytes(32))))
    late = Newcomer(invitation)
    office.at += timedelta(seconds=3601)
    with pytest.raises(NotPermittedError, match="unknown, or too old"):
        await office.ask(late)


async def test_only_people_of_the_newcomers_own_organisation_decide(office: Office) -> None:
    asked = await office.ask(Newcomer(await office.invite()))
    # Another operator, and the authority, though it keeps the registry and made the token.
    for actor in (BINH, KEEPER):
        for decide in (office.task.confirm(actor, *both(asked)), office.task.refuse(actor, asked.enrolment_id)):
            with pytest.raises(NotPermittedError, match="no such enrolment"):
                await decide
    for role in (Role.NODE, Role.PROBE, Role.SERVICE):
        with pytest.raises(NotPermittedError, match="is no person"):
            Actor.person(Identity("a", role, "e1"))
    assert await office.task.listed(BINH) == []
    assert [one.enrolment_id for one in await office.task.listed(AN)] == [asked.enrolment_id]


async def test_nobody_comes_in_who_was_not_confirmed_in_time(office: Office) -> None:
    who = Newcomer(await office.invite())
    asked = await office.ask(who)
    office.at += timedelta(seconds=7201)
    with pytest.raises(ComplianceError, match="expired already"):
        await office.task.confirm(AN, *both(asked))
    assert (await office.collect(who, asked)).state is State.EXPIRED


async def test_how_an_enrolment_stands_is_told_to_the_newcomer_alone(office: Office) -> None:
    who = Newcomer(await office.invite())
    asked = await office.ask(who)
    other = Newcomer(await office.invite())
    for key, number in ((other.key, asked.enrolment_id), (who.key, bytes(16))):
        with pytest.raises(NotPermittedError, match="unknown, or another's"):
            await office.task.collect(number, key.sign(COLLECTION, number))
    with pytest.raises(InvalidRequestError):
        await office.task.collect(b"", b"")


async def certificate(office: Office, who: Newcomer, asked: Enrolment) -> bytes:
    return (await office.collect(who, asked)).chain


async def test_whoever_holds_the_authoritys_key_alone_is_not_believed(office: Office) -> None:
    await office.admit()
    out = office.folder / "minted"
    pki.issue(office.folder / "ca", out, str(E1), office.at, dns=[], addresses=[], days=1)
    assert await office.objection((out / "certificate.pem").read_bytes()) is Objection.NOT_ISSUED


async def test_a_renewal_leaves_no_gap_and_the_same_request_brings_one_certificate(office: Office) -> None:
    who, asked = await office.admit()
    first = await certificate(office, who, asked)
    office.at += timedelta(hours=12)
    csr = application.request(application.new_key(), E1)
    issued = await office.task.renew(E1, csr)
    assert await office.task.renew(E1, csr) == issued
    assert [await office.objection(one) for one in (first, issued.chain)] == [None, None]
    assert issued.not_after > office.at + timedelta(hours=23)


async def test_a_key_that_stays_gets_a_new_certificate_and_a_stolen_one_not_any_number(office: Office) -> None:
    who, _ = await office.admit()
    office.at += timedelta(hours=12)
    made: list[Issued] = [await office.task.renew(E1, application.request(who.tls, E1)) for _ in range(2)]
    assert made[0] == made[1]
    for _ in range(6):
        await office.task.renew(E1, application.request(application.new_key(), E1))
    with pytest.raises(ComplianceError, match="8 certificates"):
        await office.task.renew(E1, application.request(application.new_key(), E1))


async def test_a_renewal_is_for_who_calls_and_for_who_was_enrolled_here(office: Office) -> None:
    await office.admit()
    key = application.new_key()
    with pytest.raises(InvalidRequestError, match="does not name"):
        await office.task.renew(E1, application.request(key, B1))
    with pytest.raises(ComplianceError, match="who issued it renews it"):
        await office.task.renew(B1, application.request(key, B1))
    with pytest.raises(NotPermittedError):
        await office.task.renew(Identity("a", Role.SERVICE, "an"), application.request(key, E1))


async def test_a_revoked_node_is_out_and_comes_back_by_a_new_enrolment_alone(office: Office) -> None:
    who, asked = await office.admit()
    before = await certificate(office, who, asked)
    await office.task.revoke(AN, E1, b"", "stolen from the rack")
    assert await office.objection(before) is Objection.REVOKED
    with pytest.raises(ComplianceError):
        await office.task.renew(E1, application.request(application.new_key(), E1))
    # A file that still names it does not bring it back.
    await office.members.apply(FILE, "test", office.at)
    assert await office.objection(before) is Objection.REVOKED
    office.at += timedelta(seconds=5)
    again, asked = await office.admit()
    after = await certificate(office, again, asked)
    assert [await office.objection(one) for one in (before, after)] == [Objection.REVOKED, None]
    last = [one for one in await office.events() if one["kind"] == "revocation"]
    assert [(one["subject"], one["by"], one["reason"]) for one in last] == [
        ("a/e1", "lachan://a/person/an", "stolen from the rack")
    ]


async def test_one_certificate_can_be_ended_and_the_party_goes_on(office: Office) -> None:
    who, asked = await office.admit()
    first = await certificate(office, who, asked)
    issued = await office.task.renew(E1, application.request(application.new_key(), E1))
    await office.task.revoke(KEEPER, E1, shown(first).fingerprint, "key on a lost laptop")
    assert [await office.objection(one) for one in (first, issued.chain)] == [Objection.REVOKED, None]


async def test_a_machine_that_is_enrolled_anew_replaces_the_one_before(office: Office) -> None:
    old, asked = await office.admit()
    before = await certificate(office, old, asked)
    office.at += timedelta(seconds=5)
    new, asked = await office.admit()
    assert await office.objection(before) is Objection.REVOKED
    node = (await office.members.load()).registry.node("a", "e1")
    assert node is not None
    assert node.key == new.key.public.raw
    assert await office.objection(await certificate(office, new, asked)) is None


async def test_people_end_their_own_and_the_authority_anybody(office: Office) -> None:
    for actor, reason in ((BINH, "x"), (AN, ""), (AN, "x" * 201)):
        with pytest.raises((NotPermittedError, InvalidRequestError)):
            await office.task.revoke(actor, E1, b"", reason)
    with pytest.raises(InvalidRequestError):
        await office.task.revoke(AN, E1, b"short", "x")
    await office.task.revoke(KEEPER, Identity("a", Role.PERSON, "an"), b"", "left")
    assert (await office.members.load()).revoked == {Identity("a", Role.PERSON, "an")}


def signed(who: Newcomer, uri: str = str(B1), begins: datetime | None = None) -> bytes:
    return foreign.make("leaf", THEIRS, uri=uri, begins=begins, key=who.tls).pem


async def test_an_organisation_with_authorities_of_its_own_signs_itself(office: Office) -> None:
    who = Newcomer(await office.invite(B1))
    asked = await office.ask(who)
    for chain, problem in (
        (b"", "sign the CSR"),
        (b"x", "PEM"),
        (signed(who, str(E1)), "names lachan://a/node/e1"),
        (signed(Newcomer(await office.invite(B1))), "another key"),
        (foreign.make("x", foreign.root("x"), uri=str(B1), key=who.tls).pem, "vouches"),
    ):
        with pytest.raises(InvalidRequestError, match=problem):
            await office.task.confirm(BINH, *both(asked), chain)
    await office.task.confirm(BINH, *both(asked), signed(who))
    found = await certificate(office, who, asked)
    assert await office.objection(found) is None
    # Its own authority renews it, without us.
    assert await office.objection(signed(who)) is None
    await office.task.revoke(BINH, B1, b"", "stolen")
    assert await office.objection(signed(who)) is Objection.REVOKED
    office.at += timedelta(minutes=1)
    back = Newcomer(await office.invite(B1))
    asked = await office.ask(back)
    with pytest.raises(InvalidRequestError, match="begins before the party's revocation"):
        await office.task.confirm(BINH, *both(asked), signed(back))
    begins = office.at - timedelta(seconds=30)
    await office.task.confirm(BINH, *both(asked), signed(back, begins=begins))
    assert await office.objection(await certificate(office, back, asked)) is None
    assert await office.objection(found) is Objection.REVOKED


async def test_who_has_no_authorities_hands_in_no_certificate(office: Office) -> None:
    who = Newcomer(await office.invite())
    asked = await office.ask(who)
    with pytest.raises(InvalidRequestError, match="no authorities of its own"):
        await office.task.confirm(AN, *both(asked), THEIRS.leaf(str(E1)).pem)


FIRST, SECOND = (Identity("a", Role.PERSON, name) for name in ("chi", "dung"))


async def test_the_authority_lets_in_the_first_person_of_an_organisation_and_no_other(office: Office) -> None:
    chi, asked = await office.person(FIRST, KEEPER)
    chain = (await office.collect(chi, asked)).chain
    assert await office.objection(chain) is None
    assert (await office.members.load()).registry.person("a", "chi") == Person("chi", chi.key.public.raw)
    # The ledger says whose word it was.
    assert [one["by"] for one in await office.events() if one["event"] == "confirmed"] == ["so: root"]
    with pytest.raises(NotPermittedError, match="no such enrolment of so"):
        await office.person(SECOND, KEEPER)
    await office.person(SECOND, Actor.person(FIRST))
    # Whoever has the authority's key makes a certificate of somebody who was never let in.
    out = office.folder / "minted"
    uri = str(Identity("a", Role.PERSON, "an"))
    pki.issue(office.folder / "ca", out, uri, office.at, dns=[], addresses=[], days=1)
    assert await office.objection((out / "certificate.pem").read_bytes()) is Objection.UNKNOWN
    # Once nobody is left, somebody has to be the first again; what was revoked does not come back with them.
    for one in (FIRST, SECOND):
        await office.task.revoke(KEEPER, one, b"", "left")
    assert await office.objection(chain) is Objection.REVOKED
    await office.person(SECOND, KEEPER)
    assert await office.objection(chain) is Objection.REVOKED
    with pytest.raises(ComplianceError, match="has people who are enrolled"):
        await office.members.apply(Registry(FILE.jurisdictions, FILE.organisations[:1]), "test", office.at)


async def test_a_person_of_an_organisation_with_its_own_authorities_comes_by_these_alone(office: Office) -> None:
    party = Identity("b", Role.PERSON, "giang")
    who = Newcomer(await office.invite(party, Person("giang", b"")))
    asked = await office.ask(who)
    ours = office.task._issuer.issue(party, who.csr, office.at, 3600).chain
    for chain in (b"", ours, signed(who, "lachan://b/person/another")):
        with pytest.raises(InvalidRequestError, match="chain"):
            await office.task.confirm(KEEPER, *both(asked), chain)
    await office.task.confirm(KEEPER, *both(asked), signed(who, str(party)))
    assert (await office.members.load()).registry.person("b", "giang") == Person("giang", who.key.public.raw)


async def test_one_hand_has_one_name(office: Office) -> None:
    key = SigningKey.generate()
    legal = frozenset({"legal"})
    await office.person(Identity("so", Role.PERSON, "an"), KEEPER, key, legal)
    with pytest.raises(InvalidRequestError, match="lachan://so/person/an signs with this key"):
        await office.person(Identity("so", Role.PERSON, "tran-an"), KEEPER, key)
    # Under the same name it is the same hand, with other units perhaps.
    await office.person(Identity("so", Role.PERSON, "an"), KEEPER, key)
    assert (await office.members.load()).registry.person("so", "an") == Person("an", key.public.raw)
    assert [one["units"] for one in await office.events() if one["event"] == "confirmed"] == [["legal"], []]


async def test_a_person_renews_their_own_certificate(office: Office) -> None:
    await office.person(FIRST, KEEPER)
    issued = await office.task.renew(FIRST, application.request(application.new_key(), FIRST))
    assert await office.objection(issued.chain) is None


async def test_the_key_that_lets_in_may_stand_below_one_that_lies_elsewhere(office: Office) -> None:
    pki.below(office.folder / "ca", office.folder / "issuing", office.at, 30)
    issuer = Issuer(office.folder / "issuing" / "ca.pem", office.folder / "issuing" / "ca-key.pem")
    issued = issuer.issue(E1, Newcomer(await office.invite()).csr, office.at, 3600)
    leaf, between = issued.chain.split(b"-----END CERTIFICATE-----\n", 1)
    trusted = (office.folder / "ca" / "ca.pem").read_bytes()
    Anchors().verify(leaf + b"-----END CERTIFICATE-----\n", between, trusted, office.at)
