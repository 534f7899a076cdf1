"""`lachan-compliance person`: somebody who acts for their organisation comes in by a token, and stays in.

One folder holds all that is theirs: ca.pem, certificate.pem and key.pem of TLS, and signing.pem, the key of what they
state. `--as` names it in every other verb.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from compliance_api.errors import ComplianceError
from compliance_api.verbs.calling import SIGNING_KEY, files
from lachan import terminal, tls
from lachan.enrolling import Patience, Resume, Token, handed_over

app = typer.Typer(no_args_is_help=True, help="Your own certificate and key, as a person of your organisation.")

Folder = Annotated[Path, typer.Option("--as", help="Your folder; made if it is not there.")]


@app.command()
def enroll(folder: Folder, token: Token = None, resume: Resume = False, patience: Patience = 0.0) -> None:
    """Come in by a token: make your keys, show the fingerprint to confirm, collect your certificate."""
    from lachan import durable, newcomer
    from lachan.invitation import Invitation
    from lachan.signing import SigningKey

    if token is None and not resume:
        raise ComplianceError("hand over a token, or go on with --resume")
    given = handed_over(token)
    who = Invitation.parse(given).party if given is not None else newcomer.party_of(files(folder))
    if who.role is not tls.Role.PERSON:
        raise ComplianceError(f"the token is for {who}, which is no person")
    durable.make_folder(folder)
    if not (folder / SIGNING_KEY).exists():
        SigningKey.generate().save(folder / SIGNING_KEY)
    key = SigningKey.load(folder / SIGNING_KEY)
    outcome = asyncio.run(newcomer.enrol(files(folder), who, key, given, patience))
    done = outcome.standing is newcomer.Standing.ENROLLED
    terminal.line(f"{who}: enrolled" if done else newcomer.advice(who, outcome.fingerprint))


@app.command()
def renew(folder: Folder, service: Annotated[str, typer.Option("--service", help="HOST:PORT of the gRPC.")]) -> None:
    """Renew your certificate: nothing but you does it, so do it before it ends."""
    import random
    from datetime import UTC, datetime

    import grpc.aio

    from lachan.renewal import Renewal

    own = files(folder)

    async def once() -> float:
        try:
            return (await Renewal(service, own, random.Random()).renew(tls.load(own))).end  # noqa: S311 - no secret
        except grpc.aio.AioRpcError as error:
            raise ComplianceError(f"{error.code().name}: {error.details()}") from error

    terminal.line(f"renewed until {datetime.fromtimestamp(asyncio.run(once()), UTC):%Y-%m-%d %H:%M} UTC")


@app.command()
def key(folder: Folder) -> None:
    """Print who you are and the public half of your signing key: a line for `verify --parties`."""
    from lachan.signing import SigningKey

    own = SigningKey.load(folder / SIGNING_KEY).public.raw.hex()
    terminal.line(f"{tls.load(files(folder)).identity} {own}")
