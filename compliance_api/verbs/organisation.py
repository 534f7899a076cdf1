"""`lachan-compliance organisation`: who takes part, as the database has it."""

from __future__ import annotations

import asyncio
import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from compliance_api.verbs.database import Config, Json, using
from lachan import terminal

app = typer.Typer(no_args_is_help=True, help="Organisations, nodes and probes.")


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(help="organisations.yaml")],
    config_file: Config,
) -> None:
    """Make the registry what a file says; what was enrolled stays as it was enrolled."""
    from compliance_api.settings.parties import load_registry
    from compliance_api.storage.membership.members import Members

    wanted = load_registry(file)

    with using(config_file, "organisation apply") as place:
        applying = place.run(lambda engine: Members(engine).apply(wanted, getpass.getuser(), datetime.now(UTC)))
        for subject in asyncio.run(applying):
            terminal.line(subject)


@app.command("list")
def show(config_file: Config, json: Json = False) -> None:
    """Say who takes part, who was revoked, and who was left out of the file."""
    from compliance_api.storage.membership.members import Members

    with using(config_file, "organisation list") as place:
        found = asyncio.run(place.run(lambda engine: Members(engine).load()))
    standing = {
        (one.identifier, "node", node.name): "left" for one in found.registry.organisations for node in one.former
    }
    standing |= {(who.organisation, str(who.role), who.name): "revoked" for who in found.revoked}
    rows = [
        (one.identifier, str(one.kind), role, name, standing.get((one.identifier, role, name), "in"))
        for one in found.registry.organisations
        for role, name in [
            *(("node", node.name) for node in one.judged),
            *(("probe", probe.name) for probe in one.probes),
            *(("person", person.name) for person in one.people),
        ]
    ]
    if json:
        names = ("organisation", "kind", "role", "name", "standing")
        terminal.document({"parties": [dict(zip(names, row, strict=True)) for row in rows]})
    else:
        terminal.table("Parties", ("organisation", "kind", "role", "name", ""), rows)
