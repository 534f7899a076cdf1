"""`lachan-blocklist`: from a legal order to a signed, served list."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from blocklist_sync.central.verbs import (
    ceremony,
    explain,
    history,
    imports,
    inspection,
    keys,
    order,
    person,
    proposal,
    release,
    rpz,
    rpz_operators,
    sources,
    trial,
)
from lachan import config, log, terminal

app = typer.Typer(
    name="lachan-blocklist", help="Builds, signs and serves the list.", no_args_is_help=True, add_completion=False
)
app.add_typer(keys.app, name="keys")
app.add_typer(ceremony.root_app, name="root")
app.add_typer(ceremony.targets_app, name="targets")
app.command("found")(ceremony.found)
app.command("rotate")(ceremony.rotate)
app.command("rpz")(rpz.rpz)
app.command("rpz-operators")(rpz_operators.rpz_operators)
app.command("import")(imports.import_)
app.command("diff")(imports.diff)
app.add_typer(sources.app, name="source")
app.command("explain")(explain.explain)
app.add_typer(order.app, name="order")
app.add_typer(person.app, name="people")
app.add_typer(proposal.app, name="proposals")
app.command("propose")(proposal.propose)
app.command("revoke")(proposal.revoke)
app.command("approve")(proposal.approve)
app.command("reject")(proposal.reject)
app.command("withdraw")(proposal.withdraw)
app.command("log")(history.log)
app.command("due")(history.due)
app.command("review")(history.review)
app.command("overdue")(history.overdue)
app.command("build")(release.build)
app.command("sign")(release.sign)
app.command("publish")(release.publish)
app.command("rollback")(release.rollback)
app.command("verify")(release.verify)
app.command("export")(inspection.export)
app.command("inspect")(inspection.inspect)
app.add_typer(trial.app, name="trial")


@app.command()
def serve(
    configuration: Annotated[Path, typer.Option("--config", help="deploy/examples/list.yaml shows one.")],
) -> None:
    """Serves the repository over HTTPS, announces releases to edges and gives samples to compliance, until SIGTERM."""
    from blocklist_sync.central import server
    from blocklist_sync.central.registry.schema import DATABASE
    from blocklist_sync.central.settings import ListSettings
    from lachan import postgres

    settings = config.load(configuration, ListSettings)
    log.configure("blocklist", settings.log.form, settings.log.level)

    def started(ports: Mapping[str, int | None]) -> None:
        terminal.document(dict(ports))
        sys.stdout.flush()

    with ExitStack() as stack:
        # An embedded server, where one is asked for, is to be started before the loop.
        registry = settings.registry
        database = stack.enter_context(postgres.database(registry.database, DATABASE)) if registry else None
        asyncio.run(server.serve(settings, database, started))


main = terminal.run(app)
