"""`lachan-compliance`: verbs only."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.verdicts.verdict import Outcome
from compliance_api.identity import pki
from compliance_api.settings.parties import load_registry
from compliance_api.settings.service import ServiceSettings
from compliance_api.settings.texts import load_law, load_shapes
from compliance_api.verbs import (
    enrolment,
    evidence,
    finding,
    ledger,
    nonces,
    observations,
    organisation,
    person,
    steps,
    unreported,
    upkeep,
    verdict,
)
from compliance_api.verbs.database import DATABASE, on_database
from lachan import config, log, postgres, terminal
from lachan.config import ConfigError, Problem
from lachan.signing import SigningError, SigningKey

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The compliance service.")
ca = typer.Typer(no_args_is_help=True, help="A small certificate authority.")
app.add_typer(ca, name="ca")
app.add_typer(ledger.app, name="ledger")
app.add_typer(observations.app, name="observations")
app.add_typer(organisation.app, name="organisation")
app.add_typer(enrolment.app, name="enrolment")
app.add_typer(person.app, name="person")
app.command()(enrolment.token)
app.command()(enrolment.revoke)
app.command()(evidence.evidence)
app.command()(upkeep.maintain)
app.add_typer(upkeep.hold, name="hold")
app.command()(nonces.nonce_zone)
app.command()(unreported.unreported)
steps.add_to(finding.app)
app.add_typer(finding.app, name="finding")
app.command()(verdict.verdict)

Config = Annotated[Path, typer.Option("--config", help="compliance.yaml")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write to.")]


@app.command()
def serve(config_file: Config) -> None:
    """Take reports and observations, judge, and show the console."""
    import uvloop

    from compliance_api import app as service

    settings = config.load(config_file, ServiceSettings)
    log.configure("compliance", settings.log.form, settings.log.level)
    registry = load_registry(settings.registry)
    laws = load_law(settings.law, registry)
    if problems := settings.retention.problems(laws):
        raise ConfigError(str(config_file), [Problem("retention", problem) for problem in problems])
    loaded = service.Loaded(
        settings,
        registry,
        laws,
        load_shapes(settings.shapes),
        service.load_tls(settings),
        SigningKey.load(settings.receipt_key),
    )

    def ready(addresses: dict[str, str]) -> None:
        terminal.line("ready " + " ".join(f"{name}={address}" for name, address in addresses.items()))
        sys.stdout.flush()

    with postgres.database(settings.database, DATABASE) as url:
        uvloop.run(service.serve(loaded, url, ready))


@app.command()
def migrate(config_file: Config) -> None:
    """Bring the database's schema up to date."""
    from compliance_api.storage.migrate import migrate as bring_up_to_date

    on_database(config_file, "migrate", bring_up_to_date, migrated=False)


@app.command()
def verdicts(
    config_file: Config, json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False
) -> None:
    """Print the current verdict on each operator."""
    from compliance_api.storage.console.overview import rolled_up
    from compliance_api.storage.membership.members import Members

    async def run(engine: AsyncEngine) -> dict[str, tuple[Outcome, list[str]]]:
        known = (await Members(engine).load()).registry.operators()
        return await rolled_up(engine, [one.identifier for one in known])

    found = on_database(config_file, "verdicts", run)
    if json:
        shown = {name: {"verdict": str(outcome), "findings": kinds} for name, (outcome, kinds) in found.items()}
        terminal.document({"operators": shown})
    else:
        rows = [(name, outcome, ", ".join(kinds)) for name, (outcome, kinds) in found.items()]
        terminal.table("Verdicts", ("operator", "verdict", "findings"), rows)


@app.command()
def verify(
    pack: Annotated[Path, typer.Argument(help="Folder of the evidence pack.")],
    keys: Annotated[Path, typer.Option("--keys", help="Logs, witnesses and quorum to believe; not from the pack.")],
    pinned: Annotated[Path | None, typer.Option("--pinned", help="A checkpoint kept from before.")] = None,
    parties: Annotated[
        Path | None,
        typer.Option("--parties", help="Keys of people, nodes and probes that you know, a line each: `person key`."),
    ] = None,
    kept: Annotated[
        list[Path] | None, typer.Option("--kept", help="A statement that was kept; it must be there.")
    ] = None,
    receipt_key: Annotated[
        Path | None, typer.Option("--receipt-key", help="The service's public key of receipts, for --kept.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Verify the ledger part of an evidence pack, offline; each thing that is wrong is named."""
    from compliance_api.ledger import outside
    from compliance_api.ledger.__main__ import lines
    from compliance_api.ledger.verify import verify_files

    own = outside.read(parties, kept or [], receipt_key)
    outcome = verify_files(pack, keys, pinned, int(datetime.now(UTC).timestamp()), own)
    head = outcome.head
    if json:
        terminal.document(
            {
                "holds": outcome.holds,
                "origin": outcome.origin,
                "size": head and head.checkpoint.size,
                "root": head and head.checkpoint.root.hex(),
                "cosigned": head and head.times,
                "opened": outcome.opened,
                "hidden": outcome.hidden,
                "answers": outcome.answers,
                "form": outcome.form,
                "not_proven": outcome.unproven,
                "problems": [{"flaw": one.flaw, "place": one.place, "detail": one.detail} for one in outcome.problems],
            }
        )
    else:
        for line in lines(outcome):
            terminal.line(line)
    if not outcome.holds:
        raise typer.Exit(1)


@app.command()
def witness(config_file: Config) -> None:
    """Cosign the checkpoints of logs that only grow (witness.yaml)."""
    from compliance_api.witnessing import witness as service

    settings = config.load(config_file, service.WitnessSettings)
    log.configure("witness", settings.log.form, settings.log.level)

    def ready(address: str, own: object) -> None:
        terminal.line(f"ready http={address} key={own}")
        sys.stdout.flush()

    service.serve(settings, ready)


@app.command()
def key(out: Annotated[Path, typer.Option("--out", help="File of the private key; NAME.pub.pem beside it.")]) -> None:
    """Make an Ed25519 key: the one that receipts are signed with."""
    made = SigningKey.generate()
    made.save(out)
    public = out.with_suffix(".pub.pem")
    try:
        public.write_bytes(made.public.pem())
    except OSError as error:
        raise SigningError(f"{public}: {error.strerror}") from error
    terminal.line(str(public))


@ca.command("init")
def ca_init(out: Out) -> None:
    """Make an authority: ca.pem, to be given to everybody, and ca-key.pem."""
    pki.init(out, datetime.now(UTC))
    terminal.line(str(out / "ca.pem"))


@ca.command("below")
def ca_below(
    authority: Annotated[Path, typer.Option("--ca", help="Folder that `ca init` wrote.")],
    out: Out,
    days: Annotated[int, typer.Option("--days", min=1, max=3650)] = 730,
) -> None:
    """Make an authority below that one, for `enrolment.issuer`: the other's key can then lie where no service runs."""
    pki.below(authority, out, datetime.now(UTC), days)
    terminal.line(str(out / "ca.pem"))


@ca.command("issue")
def ca_issue(
    authority: Annotated[Path, typer.Option("--ca", help="Folder that `ca init` or `ca below` wrote.")],
    uri: Annotated[str, typer.Option("--uri", help="lachan://ORGANISATION/ROLE/NAME: node, probe, service, person.")],
    out: Out,
    dns: Annotated[list[str] | None, typer.Option("--dns", help="Host name it serves under.")] = None,
    ip: Annotated[list[str] | None, typer.Option("--ip", help="IP address it serves under.")] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=825)] = 90,
) -> None:
    """Make a certificate and its key for one party: ca.pem, certificate.pem, key.pem."""
    pki.issue(authority, out, uri, datetime.now(UTC), dns=dns or [], addresses=ip or [], days=days)
    terminal.line(str(out / "certificate.pem"))


main = terminal.run(app)
