"""`lachan-probe`: verbs only."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compliance_api.probe.errors import ProbeError
from compliance_api.probe.settings import ProbeSettings
from lachan import config, endpoint, log, terminal, tls
from lachan.config import split_host_port
from lachan.enrolling import Patience, Resume, Token, handed_over
from lachan.signing import SigningKey

if TYPE_CHECKING:
    from compliance_api.probe.linecheck import Result
    from compliance_api.probe.walk import Walk

app = typer.Typer(
    name="lachan-probe",
    help="Asks operators' resolvers from outside and hands in what it saw, signed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

SPOOL_RESERVE = 100_000
"""Room beyond `spool_most` for what assignments taken on before that still bring."""
SPOOL_BYTES = 4 << 30

Config = Annotated[Path, typer.Option("--config", "-c", help="The probe's YAML configuration.")]


def _load(path: Path) -> tuple[ProbeSettings, tls.TlsMaterial]:
    settings = config.load(path, ProbeSettings)
    material = tls.load(settings.tls)
    if material.identity.role is not tls.Role.PROBE:
        raise ProbeError(f"{settings.tls.certificate}: {material.identity} is not a probe")
    return settings, material


@app.command()
def enroll(
    config_path: Config,
    token: Token = None,
    resume: Resume = False,
    patience: Patience = 0.0,
) -> None:
    """Enrols this probe by a token: makes its keys, shows the fingerprint to confirm, collects its certificate.

    Without a token: makes the signing key if there is none, and prints its public half and its id.
    """
    settings = config.load(config_path, ProbeSettings)
    if not settings.signing_key.exists():
        SigningKey.generate().save(settings.signing_key)
    key = SigningKey.load(settings.signing_key)
    if token is None and not resume:
        terminal.line(f"key id: {key.public.key_id.hex()}")
        terminal.line(key.public.pem().decode().strip())
        return
    from lachan import newcomer
    from lachan.invitation import Invitation

    given = handed_over(token)
    who = Invitation.parse(given).party if given is not None else newcomer.party_of(settings.tls)
    if who.role is not tls.Role.PROBE:
        raise ProbeError(f"the token is for {who}, which is no probe")
    outcome = asyncio.run(newcomer.enrol(settings.tls, who, key, given, patience))
    done = outcome.standing is newcomer.Standing.ENROLLED
    terminal.line(f"{who}: enrolled" if done else newcomer.advice(who, outcome.fingerprint))


@app.command()
def validate(config_path: Config) -> None:
    """Says everything that is wrong with a configuration and the files it names."""
    settings, material = _load(config_path)
    key = SigningKey.load(settings.signing_key)
    terminal.document(
        {
            "probe": str(material.identity),
            "service": settings.service,
            "key_id": key.public.key_id.hex(),
            "spool": str(settings.spool),
            "journal": str(settings.journal),
        }
    )


@app.command()
def run(config_path: Config) -> None:
    """Takes assignments and carries them out, until SIGTERM or SIGINT."""
    settings, material = _load(config_path)
    key = SigningKey.load(settings.signing_key)
    log.configure("probe", settings.log.form, settings.log.level)
    asyncio.run(_work(settings, material, key))


@app.command("check-line")
def check_line(
    config_path: Config,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
    submit: Annotated[
        bool, typer.Option("--submit", help="Hand in what was found, signed, without addresses.")
    ] = False,
) -> None:
    """Says whether the line lets its users past its own resolver. Exit status 0: no; 3: yes; 4: cannot be said."""
    from compliance_api.probe import handed, measure, walk

    settings = _load(config_path)[0] if submit else config.load(config_path, ProbeSettings)
    if settings.check_line is None:
        raise ProbeError(f"{config_path}: check_line: whom to ask is not given")
    own = handed.find(settings.handed, time.time()).resolvers
    rng = random.SystemRandom()
    line = walk.Walk(settings.check_line, own, measure.manner(settings.measure), rng)
    result = asyncio.run(_handed_in(line, settings) if submit else line.run())
    if as_json:
        terminal.document({**walk.document(result), "resolvers": list(own)})
    else:
        terminal.table("", ("Mục / Check", "Kết quả / Result", "Ở đâu / Where"), walk.rows(result))
    raise typer.Exit(walk.exit_code(result))


async def _handed_in(line: Walk, settings: ProbeSettings) -> Result:
    """Checks a line between a stamp and handing in what was found."""
    from compliance_api.probe import walk
    from compliance_api.probe.uplink import Uplink

    key = SigningKey.load(settings.signing_key)
    uplink = Uplink(settings.service, settings.tls, settings.uplink.deadline, settings.uplink.backoff_most)
    try:
        stamps = await uplink.stamps([])
        if not stamps:
            raise ProbeError(f"{settings.service} takes no checks of lines: it is of an earlier release")
        result = await line.run()
        await uplink.submit_line_check(walk.told(result, stamps[0], key))
    finally:
        await uplink.close()
    return result


@app.command()
def resolvers(config_path: Config) -> None:
    """Says which resolvers the line was handed out, and where that stands."""
    from compliance_api.probe import handed

    found = handed.find(config.load(config_path, ProbeSettings).handed, time.time())
    terminal.document({"resolvers": list(found.resolvers), "source": found.source})


async def _work(settings: ProbeSettings, material: tls.TlsMaterial, key: SigningKey) -> None:
    from compliance_api.probe import handed
    from compliance_api.probe.agent import Agent
    from compliance_api.probe.journal import Journal
    from compliance_api.probe.measure import asker
    from compliance_api.probe.metrics import Metrics
    from compliance_api.probe.uplink import Uplink
    from lachan.renewal import Renewal
    from lachan.spool import Limits, Spool

    rng = random.SystemRandom()
    metrics = Metrics()
    settings.spool.parent.mkdir(parents=True, exist_ok=True)
    spool = Spool(settings.spool, Limits(items=settings.spool_most + SPOOL_RESERVE, bytes=SPOOL_BYTES))
    journal = Journal(settings.journal)
    uplink = Uplink(settings.service, settings.tls, settings.uplink.deadline, settings.uplink.backoff_most)
    ask = asker(settings.measure, rng)

    def handed_out() -> tuple[str, ...]:
        return handed.find(settings.handed, time.time()).resolvers

    agent = Agent(settings, key, spool, journal, uplink, ask, rng, metrics, handed_out)
    renewal = Renewal(settings.service, settings.tls, rng)
    metrics.certificate.set_function(lambda: renewal.expires_at)
    renewing = asyncio.ensure_future(renewal.run())
    work = asyncio.ensure_future(agent.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    log.get().info("probe at work", identity=str(material.identity), service=settings.service)
    exposed = (
        endpoint.serve(*split_host_port(settings.metrics), metrics.registry) if settings.metrics else nullcontext()
    )
    try:
        with exposed, suppress(asyncio.CancelledError):
            await work
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        await uplink.close()
        journal.close()
        spool.close()
    log.get().info("probe ended")


main = terminal.run(app)
