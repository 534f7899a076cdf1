"""`lachan-rpz-hits`: reports for an operator who keeps their own resolver, from its log. Verbs only."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Annotated

import typer

from lachan import config as configuration
from lachan import durable, log, terminal
from lachan.enrolling import Patience, Resume, Token, handed_over
from lachan.tls import Identity, Role
from resolver.enrolment import enrol, signing_key
from resolver.rpzlog.settings import HitsFile

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Reports from the log of a resolver that applies the list's zone."
)

Config = Annotated[Path, typer.Option("--config", "-c", help="deploy/examples/rpz-hits.yaml shows one.")]
DEFAULT = Path("/etc/lachan/rpz-hits.yaml")


@app.command()
def serve(config: Config = DEFAULT) -> None:
    """Follow the log and report until SIGTERM or Ctrl-C."""
    from resolver.rpzlog import agent

    file = configuration.load(config, HitsFile)
    log.configure("rpz-hits")

    async def run() -> None:
        task = asyncio.ensure_future(agent.serve(file))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())


@app.command()
def validate(config: Config = DEFAULT) -> None:
    """Check a configuration: every error at once, each with its path and line."""
    file = configuration.load(config, HitsFile)
    terminal.line(f"{config}: good: {file.log.form.value} in {file.log.path}, zone {file.zone.origin}")
    if not file.log.path.exists():
        terminal.complain(f"{file.log.path}: not there yet; hits are counted from when it is")


@app.command()
def enroll(
    config: Config = DEFAULT,
    token: Token = None,
    resume: Resume = False,
    patience: Patience = 0.0,
) -> None:
    """Enrol this node by a token; without one, make the key of its reports and print the public half."""
    file = configuration.load(config, HitsFile)
    durable.make_folder(file.state_dir)
    key = signing_key(file.state_dir)
    if token is not None or resume:
        given = handed_over(token)
        party = Identity(file.organisation, Role.NODE, file.node)
        terminal.line(enrol(party, file.report.uplink, file.state_dir, given, patience, None))
        return
    terminal.complain(f"{file.organisation}/{file.node}: key {key.public.key_id.hex()}")
    terminal.line(key.public.pem().decode().rstrip())


main = terminal.run(app)
