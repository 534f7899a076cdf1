"""`lachan-compliance token | enrolment | revoke`: who is let in, and who is not any more.

An operator's person decides over gRPC (`--service`, `--as`), with their own certificate; the authority's own parties
are decided on where the service runs (`--config`).
"""

from __future__ import annotations

import asyncio
import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compliance_api.errors import ComplianceError
from compliance_api.verbs.calling import Person, Service, call
from compliance_api.verbs.database import Config, Json, Place, using
from lachan import application, terminal, tls
from lachan.tls import Identity

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from compliance_api.domain.parties.organisation import Node, Probe
    from compliance_api.domain.parties.organisation import Person as Somebody
    from compliance_api.settings.admission import EnrolmentSettings
    from compliance_api.usecases.membership.enrolment import Actor, Enrolling

app = typer.Typer(no_args_is_help=True, help="Newcomers who wait for their organisation.")

Optional = Annotated[Path | None, typer.Option("--config", help="compliance.yaml, where the service runs.")]
Number = Annotated[str, typer.Argument(help="The enrolment, as `enrolment list` shows it.")]


def now() -> datetime:
    """The present."""
    return datetime.now(UTC)


def _task(place: Place, engine: AsyncEngine) -> Enrolling:
    from compliance_api.wiring.entrance import enrolling

    return enrolling(_settings(place), engine, now)


def _settings(place: Place) -> EnrolmentSettings:
    if place.settings.enrolment is None:
        raise ComplianceError("`enrolment` is not set in the configuration")
    return place.settings.enrolment


def _keeper(place: Place) -> Actor:
    """Whoever may run verbs beside the service decides for its own organisation, and keeps the registry."""
    from compliance_api.usecases.membership.enrolment import Actor

    own = tls.load(place.settings.tls).identity.organisation
    return Actor(f"{own}: {getpass.getuser()}", own, keeps_registry=True)


def token(
    party: Annotated[str, typer.Argument(help="lachan://ORGANISATION/node/NAME, or /probe/, or /person/.")],
    config_file: Config,
    entry: Annotated[
        Path | None, typer.Option("--entry", help="YAML of the node or probe, as in organisations.yaml, without key.")
    ] = None,
    unit: Annotated[
        list[str] | None, typer.Option("--unit", help="Of a person: a unit, as the law calls it, that they act for.")
    ] = None,
) -> None:
    """Make a token by which one node, probe or person can be enrolled, once; it is shown here and kept nowhere."""
    from compliance_api.identity.anchors import anchor_of, pin_of

    who = Identity.parse(party)
    with using(config_file, "token") as place:
        said = _said(who, entry, unit or [])
        pin = pin_of(anchor_of(tls.load(place.settings.tls)))

        async def invite(engine: AsyncEngine) -> str:
            address = _settings(place).address
            return (await _task(place, engine).invite(_keeper(place), who, said, address, pin)).text()

        text = asyncio.run(place.run(invite))
    terminal.line(text)


def _said(who: Identity, entry: Path | None, units: list[str]) -> Node | Probe | Somebody | None:
    """What the registry is to say of who is invited."""
    from compliance_api.domain.parties.organisation import Person as Somebody
    from compliance_api.settings.parties import load_entry

    if who.role is tls.Role.PERSON and entry is None:
        return Somebody(who.name, b"", frozenset(units))
    if units or who.role is tls.Role.PERSON:
        raise ComplianceError("a person has units and no entry, all others may have an entry and no unit")
    return load_entry(entry, who) if entry is not None else None


def revoke(
    party: Annotated[str, typer.Argument(help="lachan://ORGANISATION/ROLE/NAME")],
    reason: Annotated[str, typer.Option("--reason", help="Why, in words; it enters the ledger.")],
    config_file: Optional = None,
    service: Service = None,
    person: Person = None,
    certificate: Annotated[
        str, typer.Option("--certificate", help="SHA-256 of one certificate; without it, all of the party's.")
    ] = "",
) -> None:
    """End a party at once, with every certificate it has; it comes back by a new enrolment alone."""
    who = Identity.parse(party)
    try:
        fingerprint = bytes.fromhex(certificate.replace(":", ""))
    except ValueError as error:
        raise ComplianceError(f"--certificate: {error}") from error
    if config_file is not None:
        with using(config_file, "revoke") as place:
            asyncio.run(place.run(lambda engine: _task(place, engine).revoke(_keeper(place), who, fingerprint, reason)))
    else:
        _call(service, person, "RevokeParty", party=party, fingerprint=fingerprint, reason=reason)
    terminal.line(f"revoked: {who}")


def _call(service: str | None, person: Path | None, method: str, **fields: Any) -> Any:
    """One call of CredentialService, as a person."""
    from lachan.compliance.v1 import enrolment_service_pb2 as pb
    from lachan.compliance.v1.enrolment_service_pb2_grpc import CredentialServiceStub

    return call(service, person, CredentialServiceStub, method, getattr(pb, f"{method}Request")(**fields))


@app.command("list")
def show(config_file: Optional = None, service: Service = None, person: Person = None, json: Json = False) -> None:
    """Say who waits, and how earlier ones were decided. The fingerprint to compare is the one the newcomer shows."""
    from compliance_api.rpc.enrolment import message
    from lachan.compliance.v1 import enrolment_service_pb2 as pb

    if config_file is not None:
        with using(config_file, "enrolment list") as place:
            kept = asyncio.run(place.run(lambda engine: _task(place, engine).listed(_keeper(place))))
        found = [message(one) for one in kept]
    else:
        found = list(_call(service, person, "ListEnrolments").enrolments)
    rows = [
        (
            one.enrolment_id.hex(),
            one.party,
            pb.EnrolmentState.Name(one.state).removeprefix("ENROLMENT_STATE_").lower(),
            application.shown(one.fingerprint),
            f"{datetime.fromtimestamp(one.requested_at, UTC):%Y-%m-%d %H:%M} UTC",
            one.decided_by,
        )
        for one in found
    ]
    names = ("enrolment", "party", "state", "fingerprint", "requested", "decided_by")
    if json:
        terminal.document({"enrolments": [dict(zip(names, row, strict=True)) for row in rows]})
    else:
        terminal.table("Enrolments", names, rows)


@app.command()
def csr(
    enrolment: Number,
    config_file: Optional = None,
    service: Service = None,
    person: Person = None,
) -> None:
    """Print a newcomer's certificate signing request, for an organisation with authorities of its own."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    if config_file is not None:
        with using(config_file, "enrolment csr") as place:
            kept = asyncio.run(place.run(lambda engine: _task(place, engine).listed(_keeper(place))))
        requests = {one.enrolment_id.hex(): one.csr for one in kept}
    else:
        requests = {one.enrolment_id.hex(): one.csr for one in _call(service, person, "ListEnrolments").enrolments}
    if enrolment not in requests:
        raise ComplianceError(f"{enrolment}: there is no such enrolment")
    terminal.line(x509.load_der_x509_csr(requests[enrolment]).public_bytes(Encoding.PEM).decode().rstrip())


def _number(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise ComplianceError(f"{text!r} is no enrolment") from error


@app.command()
def confirm(
    enrolment: Number,
    fingerprint: Annotated[str, typer.Argument(help="As the newcomer itself shows it.")],
    config_file: Optional = None,
    service: Service = None,
    person: Person = None,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", help="PEM, the leaf first: by your own authorities.")
    ] = None,
) -> None:
    """Let a newcomer in whose fingerprint you have from the newcomer itself."""
    number, compared = _number(enrolment), application.typed(fingerprint)
    chain = tls.read_pem(certificate) if certificate is not None else b""
    if config_file is not None:
        with using(config_file, "enrolment confirm") as place:
            asyncio.run(place.run(lambda engine: _task(place, engine).confirm(_keeper(place), number, compared, chain)))
    else:
        _call(service, person, "ConfirmEnrolment", enrolment_id=number, fingerprint=compared, chain=chain)
    terminal.line(f"confirmed: {enrolment}")


@app.command()
def refuse(enrolment: Number, config_file: Optional = None, service: Service = None, person: Person = None) -> None:
    """Turn a newcomer away for good; its token stays spent."""
    number = _number(enrolment)
    if config_file is not None:
        with using(config_file, "enrolment refuse") as place:
            asyncio.run(place.run(lambda engine: _task(place, engine).refuse(_keeper(place), number)))
    else:
        _call(service, person, "RefuseEnrolment", enrolment_id=number)
    terminal.line(f"refused: {enrolment}")
