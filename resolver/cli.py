"""`lachan-resolver`: what an ISP engineer types. Verbs only; each does its work elsewhere."""

from __future__ import annotations

import asyncio
import mmap
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lachan import log, terminal
from lachan.terminal import document, line, table
from resolver.errors import ResolverError

if TYPE_CHECKING:
    from blocklist_sync.artifact._snapshot import Snapshot
    from blocklist_sync.artifact.policy import PolicyBundle
    from resolver.settings import Edge

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The DNS resolver of an edge.")

Config = Annotated[Path, typer.Option("--config", "-c", help="edge.yaml", show_default=True)]
Json = Annotated[bool, typer.Option("--json", help="One JSON document instead of tables.")]
DEFAULT = Path("/etc/lachan/edge.yaml")
SETTLE_SECONDS = 10.0
POLL_SECONDS = 0.1


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
def enroll(config: Config = DEFAULT) -> None:
    """Make the node's signing key if there is none, and print its public half for the authority."""
    from resolver import privileges, settings
    from resolver.enrolment import KEY_FILE, signing_key

    edge = settings.read(config)
    edge.file.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = signing_key(edge.file.state_dir)
    # Made by root, it is read by whom the edge becomes.
    privileges.give((edge.file.state_dir, edge.file.state_dir / KEY_FILE), edge.file.user)
    terminal.complain(f"{edge.file.organisation}/{edge.file.node}: key {key.public.key_id.hex()}")
    line(key.public.pem().decode().rstrip())


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


@app.command()
def status(config: Config = DEFAULT, as_json: Json = False) -> None:
    """Say what the running resolver does: list, workers, sync."""
    from resolver import settings
    from resolver.control import call

    edge = settings.read(config)
    answer, _ = call(edge.control_socket, {"command": "status"})
    if as_json:
        document(answer)
        return

    def moment(seconds: int) -> str:
        if not seconds:
            return "never"
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC, {int(time.time()) - seconds} s ago"

    facts = answer["list"]
    table(
        f"{answer['organisation']}/{answer['node']}",
        ("", ""),
        [
            ("list", f"serial {facts['serial']}, {facts['entries']} entries" if facts["serial"] else "none"),
            ("published", moment(answer["published_at"])),
            ("in force since", moment(facts["activated_at"])),
            ("last checked", moment(answer["checked_at"])),
            *_sync(answer),
            ("refused releases", ", ".join(f"{k}: {v}" for k, v in answer["refused"].items()) or "none"),
            ("enforcing", "no: shadow mode" if answer["shadow"] else "yes"),
            ("overrides", _overrides(answer["exceptions"])),
            ("suspended", _suspended(answer["suspended"]["live"])),
            ("workers replaced", answer["restarts"]),
            ("reports waiting", f"{answer['reports']['waiting']}, {answer['reports']['held']} set apart"),
        ],
    )
    table(
        "workers",
        ("worker", "pid", "up for", "last beat", "own memory", "serial", "on their way", "connections", "drains for"),
        [_worker(row, time.time()) for row in answer["workers"]],
    )


def _overrides(told: dict[str, Any]) -> str:
    names = ", ".join(one["name"] for one in told["overrides"]) or "none"
    ignored = len(told["allowed_ignored"])
    return names + (f"; {ignored} allowed names are mandated to be blocked: ignored" if ignored else "")


def _suspended(told: list[dict[str, Any]]) -> str:
    ends = [f"{datetime.fromtimestamp(one['ends_at'], UTC):%m-%d %H:%M} UTC" for one in told]
    named = (f"serial {one['serial']} until {end}: {one['reason']}" for one, end in zip(told, ends, strict=True))
    return "; ".join(named) or "none"


def _sync(told: dict[str, Any]) -> list[tuple[str, str]]:
    """What the sync says of itself, and what somebody should look at."""
    rows = [("alarm", f"{one['level']}: {one['alarm']}: {one['detail']}") for one in told["alarms"]]
    sync = told["sync"]
    if sync is None:
        return rows
    if sync["streaming"] is not None:
        rows.append(("announcements", "heard" if sync["streaming"] else "not heard: polling alone"))
    if sync["held"]["serial"]:
        rows.append(("held back", f"serial {sync['held']['serial']}, for {sync['held']['for']:.0f} s more"))
    if sync["expires_at"]:
        rows.append(("signatures end", f"{datetime.fromtimestamp(sync['expires_at'], UTC):%Y-%m-%d %H:%M:%S} UTC"))
    return rows


def _worker(row: dict[str, Any], now: float) -> tuple[object, ...]:
    """A line of the table; of one that does not answer, what is seen from outside."""
    number = f"{row['worker']}{' (leaving)' if row['leaving'] else ''}"
    beat = f"{row['beat_ms']} ms ago" if row["beat_ms"] is not None else "none"
    memory = f"{row['private_bytes'] / (1 << 20):.1f} MB"
    if not row["answers"]:
        return (number, row["pid"], "does not answer", beat, memory, "", "", "", "")
    drains = ", ".join(map(str, row["drains_for"])) or "none"
    age = f"{int(now - row['started_at'])} s"
    serial = row["rules"]["serial"]
    return (number, row["pid"], age, beat, memory, serial, row["outstanding"], row["connections"], drains)


@app.command("suspend-release")
def suspend_release(
    reason: Annotated[str, typer.Option("--reason", help="Why, in words; they stay on this machine.")],
    hours: Annotated[float, typer.Option("--hours", help="How long; at most 72.")],
    code: Annotated[str, typer.Option("--code", help="Why, for the report, as of `override add`.")] = "technical_fault",
    serial: Annotated[
        int | None, typer.Option("--serial", help="Refuse where another release than this is in force.")
    ] = None,
    config: Config = DEFAULT,
) -> None:
    """Break the glass: go back to the release before in every worker within a second; it is reported, and expires.

    A release that comes later is put in force. Where no earlier release is on this disk, nothing is suspended.
    """
    from resolver import settings
    from resolver.control import call

    path = settings.read(config).control_socket
    asked = {"reason": reason, "hours": hours, "code": code, "serial": serial}
    answer, _ = call(path, {"command": "release-suspend"} | asked)
    _settled(path, "suspended", answer["revision"])
    made = answer["suspension"]
    end = datetime.fromtimestamp(made["ends_at"], UTC)
    line(f"serial {made['serial']} is suspended until {end:%Y-%m-%d %H:%M} UTC; in force: serial {answer['instead']}")


@app.command("resume-release")
def resume_release(config: Config = DEFAULT) -> None:
    """Put the newest release in force again, before its suspension ends."""
    from resolver import settings
    from resolver.control import call

    path = settings.read(config).control_socket
    answer, _ = call(path, {"command": "release-resume"})
    _settled(path, "suspended", answer["revision"])
    line("no release is suspended")


override = typer.Typer(no_args_is_help=True, help="Let a listed name pass for some hours: counted, and reported.")
app.add_typer(override, name="override")


def _settled(path: Path, what: str, revision: int) -> None:
    """Waits until every worker knows a change of `what`, as `status` calls it."""
    from resolver.control import call

    deadline = time.monotonic() + SETTLE_SECONDS
    while call(path, {"command": "status"})[0][what]["announced"] < revision:
        if time.monotonic() > deadline:
            raise ResolverError("kept, but not every worker has it yet: see `status` and the log")
        time.sleep(POLL_SECONDS)


@override.command("add")
def override_add(
    name: Annotated[str, typer.Argument(help="A domain name; Unicode is fine.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, in words; they stay on this machine.")],
    hours: Annotated[float, typer.Option("--hours", help="How long; at most 72.")],
    code: Annotated[
        str,
        typer.Option(
            "--code",
            help="Why, for the report: other, wrongly_listed, essential_service, technical_fault, authority_request or "
            "court_order.",
        ),
    ] = "other",
    scope: Annotated[str, typer.Option("--scope", help="exact, or subtree: everything below it as well.")] = "exact",
    config: Config = DEFAULT,
) -> None:
    """Let a name pass, mandated or not, in every worker within a second."""
    from resolver import settings
    from resolver.control import call

    path = settings.read(config).control_socket
    asked = {"name": name, "reason": reason, "hours": hours, "code": code, "scope": scope}
    answer, _ = call(path, {"command": "override-add"} | asked)
    _settled(path, "exceptions", answer["revision"])
    made = answer["override"]
    end = datetime.fromtimestamp(made["ends_at"], UTC)
    line(f"{made['name']} ({made['scope']}) passes until {end:%Y-%m-%d %H:%M} UTC")


@override.command("remove")
def override_remove(
    name: Annotated[str, typer.Argument(help="A domain name.")],
    config: Config = DEFAULT,
) -> None:
    """End an override now."""
    from resolver import settings
    from resolver.control import call

    path = settings.read(config).control_socket
    answer, _ = call(path, {"command": "override-remove", "name": name})
    _settled(path, "exceptions", answer["revision"])
    line("ended")


@override.command("list")
def override_list(config: Config = DEFAULT, as_json: Json = False) -> None:
    """Show what is in force."""
    from resolver import settings
    from resolver.control import call

    answer, _ = call(settings.read(config).control_socket, {"command": "status"})
    found = answer["exceptions"]["overrides"]
    if as_json:
        document({"overrides": found})
    elif not found:
        line("no override is in force")
    else:
        table(
            "overrides in force",
            ("name", "scope", "code", "ends", "reason"),
            [
                (
                    one["name"],
                    one["scope"],
                    one["code"],
                    f"{datetime.fromtimestamp(one['ends_at'], UTC):%m-%d %H:%M} UTC",
                    one["reason"],
                )
                for one in found
            ],
        )


main = terminal.run(app)

if __name__ == "__main__":
    main()
