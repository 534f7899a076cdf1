"""`lachan-resolver`: what an ISP engineer types. Verbs only; each does its work elsewhere."""

from __future__ import annotations

import asyncio
import mmap
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from lachan import log, terminal
from lachan.terminal import document, line, table
from resolver.errors import ResolverError

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The DNS resolver of an edge.")

Config = Annotated[Path, typer.Option("--config", "-c", help="edge.yaml", show_default=True)]
Json = Annotated[bool, typer.Option("--json", help="One JSON document instead of tables.")]
DEFAULT = Path("/etc/lachan/edge.yaml")
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
    profiles = ", ".join(edge.profiles)
    line(f"{config}: good: {len(edge.file.listen)} addresses, {edge.workers} workers, profiles {profiles}")


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
    as_json: Json = False,
) -> None:
    """Say which rules a name meets, by which order, and what follows for each profile."""
    from blocklist_sync.artifact import policy
    from blocklist_sync.artifact._snapshot import Snapshot
    from blocklist_sync.edge.agent import Agent
    from resolver import settings
    from resolver.explain import explain as explained

    edge = settings.read(config)
    path, bundle = edge.file.blocklist.snapshot, policy.default()
    if edge.file.blocklist.sync is not None:
        activation = Agent.recover(edge.file.state_dir)
        if activation is None:
            raise ResolverError(f"{edge.file.state_dir}: there has never been a list")
        path, bundle = activation.snapshot, activation.policy
    assert path is not None  # noqa: S101 # the settings demand one of the two
    with path.open("rb") as file:
        snapshot = Snapshot(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
    result = explained(name, snapshot, bundle, edge)
    if as_json:
        document(result.document())
        return
    if result.matches:
        table(
            f"{result.name}: rules of serial {result.serial}",
            ("owner", "reach", "kind", "category", "order", "in force for"),
            result.rows(),
        )
    else:
        line(f"{result.name}: no rule of serial {result.serial}")
    for profile, action in result.actions.items():
        winner = result.winners[profile]
        line(f"profile {profile}: {action}{f' by {winner.owner}' if winner else ''}")


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
            ("refused releases", ", ".join(f"{k}: {v}" for k, v in answer["refused"].items()) or "none"),
            ("enforcing", "no: shadow mode" if answer["shadow"] else "yes"),
            ("workers replaced", answer["restarts"]),
            ("reports waiting", f"{answer['reports']['waiting']}, {answer['reports']['held']} set apart"),
        ],
    )
    table(
        "workers",
        ("worker", "pid", "up for", "last beat", "own memory", "serial", "on their way", "connections", "drains for"),
        [_worker(row, time.time()) for row in answer["workers"]],
    )


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


main = terminal.run(app)

if __name__ == "__main__":
    main()
