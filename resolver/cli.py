"""`lachan-resolver`: what an ISP engineer types. Verbs only; each does its work elsewhere."""

from __future__ import annotations

import asyncio
import mmap
import time
from typing import TYPE_CHECKING, Annotated

import typer

from lachan import log, terminal
from lachan.enrolling import Patience, Resume, Token, handed_over
from lachan.terminal import document, line, table
from resolver.errors import ResolverError
from resolver.verbs.common import DEFAULT, POLL_SECONDS, Config, Json
from resolver.verbs.exceptions import override, resume_release, suspend_release
from resolver.verbs.key import key
from resolver.verbs.receipts import receipts
from resolver.verbs.schools import schools
from resolver.verbs.status import status

if TYPE_CHECKING:
    from blocklist_sync.artifact._snapshot import Snapshot
    from blocklist_sync.artifact.policy import PolicyBundle
    from resolver.settings import Edge

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The DNS resolver of an edge.")


@app.command()
def serve(
    config: Config = DEFAULT,
    log_form: Annotated[str, typer.Option("--log", help="text or json")] = "text",
) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    from resolver import settings, supervisor
    from resolver.check import check

    if log_form not in ("text", "json"):
        raise ResolverError("--log: text or json")
    edge = settings.read(config)
    check(edge, str(config))
    log.configure("resolver", "json" if log_form == "json" else "text")
    supervisor.serve(edge, config)


@app.command()
def validate(config: Config = DEFAULT) -> None:
    """Check a configuration: every error at once, each with its path and line."""
    from resolver import settings
    from resolver.check import check

    edge = settings.read(config)
    check(edge, str(config))
    _against_the_list(edge, str(config))
    profiles = ", ".join(edge.profiles)
    line(f"{config}: good: {len(edge.file.listen)} addresses, {edge.workers} workers, profiles {profiles}")


def _against_the_list(edge: Edge, source: str) -> None:
    """Refuses what the list and the bundle on this disk would make void: at run time, it is ignored and counted.

    Raises:
        ConfigError: With every such place.
    """
    from lachan.config import ConfigError, Problem
    from resolver.policy import ignored_actions, ignored_allowed

    snapshot, bundle = _list_of(edge)
    problems = [
        Problem("own.allow", f"{name}: mandated to be blocked; no allowlist lifts that")
        for name in ignored_allowed(edge, snapshot)
    ]
    problems += [Problem("", text) for text in ignored_actions(edge, bundle)]
    if problems:
        raise ConfigError(source, problems)


@app.command()
def enroll(
    config: Config = DEFAULT,
    token: Token = None,
    resume: Resume = False,
    patience: Patience = 0.0,
) -> None:
    """Enrol this node by a token: make its keys, show the fingerprint to confirm, collect its certificate.

    Without a token: make the key of its reports if there is none, and print the public half.
    """
    from lachan.tls import Identity, Role
    from resolver import enrolment, settings

    edge = settings.read(config)
    public = enrolment.prepare(edge)
    if token is None and not resume:
        terminal.complain(f"{edge.file.organisation}/{edge.file.node}: key {public.key_id.hex()}")
        line(public.pem().decode().rstrip())
        return
    party = Identity(edge.file.organisation, Role.NODE, edge.file.node)
    given = handed_over(token)
    line(enrolment.enrol(party, edge.file.report.uplink, edge.file.state_dir, given, patience, edge.file.user))


@app.command()
def explain(
    name: Annotated[str, typer.Argument(help="A domain name; Unicode is fine.")],
    config: Config = DEFAULT,
    profile: Annotated[str | None, typer.Option("--profile", help="Of this profile alone.")] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", help="At another time: 2026-03-02T09:00, of the profile's zone unless it says."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which rules a name meets, by which order, and what follows for each profile, now or at another time."""
    from resolver import overrides, settings
    from resolver.explain import explain as explained
    from resolver.explain import moment

    edge = settings.read(config)
    if profile is not None and profile not in edge.profiles:
        raise ResolverError(f"there is no profile {profile!r}; there are {', '.join(edge.profiles)}")
    snapshot, bundle = _list_of(edge)
    if snapshot is None:
        raise ResolverError(f"{edge.file.state_dir}: there has never been a list")
    kept = overrides.FORM.read(edge.overrides_file)
    result = explained(name, snapshot, bundle, edge, kept, moment(at, edge, profile) if at else time.time())
    if as_json:
        document(result.document(profile))
        return
    if result.matches:
        table(
            f"{result.name}: rules of serial {result.serial}",
            ("owner", "reach", "kind", "category", "order", "in force for"),
            result.rows(),
        )
    else:
        line(f"{result.name}: no rule of serial {result.serial}")
    for text in result.lines(profile):
        line(text)


def _list_of(edge: Edge) -> tuple[Snapshot | None, PolicyBundle]:
    """The list on this disk, None where there has never been one, and its policy bundle."""
    from blocklist_sync.artifact import policy
    from blocklist_sync.artifact._snapshot import Snapshot
    from blocklist_sync.edge.agent import Agent

    path, bundle = edge.file.blocklist.snapshot, policy.default()
    if edge.file.blocklist.sync is not None:
        activation = Agent.recover(edge.file.state_dir)
        if activation is None:
            return None, bundle
        path, bundle = activation.snapshot, activation.policy
    if path is None or not path.exists():
        return None, bundle
    with path.open("rb") as file:
        return Snapshot(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)), bundle


@app.command()
def query(
    name: Annotated[str, typer.Argument(help="A domain name.")],
    qtype: Annotated[str, typer.Argument(help="A, AAAA, HTTPS, TXT, …")] = "A",
    config: Config = DEFAULT,
    tcp: Annotated[bool, typer.Option("--tcp", help="Ask over TCP.")] = False,
    as_json: Json = False,
) -> None:
    """Ask this resolver and show its answer, its extended error and the time it took."""
    from resolver import settings
    from resolver.ask import ask

    edge = settings.read(config)
    plain = next((listen for listen in edge.file.listen if listen.protocol == "dns"), None)
    if plain is None:
        raise ResolverError("this edge listens for encrypted queries only: ask it by kdig +tls or +https")
    answer = asyncio.run(ask(plain, name, qtype, tcp=tcp))
    if as_json:
        document(answer.document())
        return
    line(answer.headline())
    if answer.records:
        table("", ("section", "name", "ttl", "type", "data"), answer.records)


@app.command()
def flush(
    name: Annotated[str, typer.Argument(help="A domain name; `.` with --subtree is everything.")],
    config: Config = DEFAULT,
    subtree: Annotated[bool, typer.Option("--subtree", help="And every name below it.")] = False,
) -> None:
    """Forget what the cache holds of a name; the next query asks the upstream."""
    from resolver import settings
    from resolver.seats import ask_any

    edge = settings.read(config)
    # The cache is shared: any worker can do it for all.
    answer = ask_any(edge.file.runtime_dir, {"command": "flush", "name": name, "subtree": subtree})
    line(f"{answer['forgotten']} answers forgotten")


@app.command("reload")
def renew(config: Config = DEFAULT) -> None:
    """Have the configuration read again: workers are replaced one after another, and no query is lost.

    Fresh workers run the code as it is on the disk. What is wrong, or needs a restart, is said, and nothing changes.
    """
    from resolver import settings
    from resolver.control import call

    # The socket's place cannot change while an edge runs.
    path = settings.read(config).control_socket
    call(path, {"command": "reload"})
    while (told := call(path, {"command": "status"})[0]["reload"])["state"] == "under way":
        time.sleep(POLL_SECONDS)
    if told["state"] != "done":
        raise ResolverError(f"not reloaded, the configuration before stays in force: {told['reason']}")
    line("reloaded")


app.command()(status)
app.command()(key)
app.command()(schools)
app.command("suspend-release")(suspend_release)
app.command("resume-release")(resume_release)
app.add_typer(override, name="override")
app.add_typer(receipts, name="receipts")

main = terminal.run(app)

if __name__ == "__main__":
    main()
