"""What an operator lets pass for some hours: `suspend-release`, `resume-release` and `override`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lachan.terminal import document, line, table
from resolver.errors import ResolverError
from resolver.verbs.common import DEFAULT, POLL_SECONDS, Config, Json

SETTLE_SECONDS = 10.0

override = typer.Typer(no_args_is_help=True, help="Let a listed name pass for some hours: counted, and reported.")


def _settled(path: Path, what: str, revision: int) -> None:
    """Waits until every worker knows a change of `what`, as `status` calls it."""
    from resolver.control import call

    deadline = time.monotonic() + SETTLE_SECONDS
    while call(path, {"command": "status"})[0][what]["announced"] < revision:
        if time.monotonic() > deadline:
            raise ResolverError("kept, but not every worker has it yet: see `status` and the log")
        time.sleep(POLL_SECONDS)


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


def resume_release(config: Config = DEFAULT) -> None:
    """Put the newest release in force again, before its suspension ends."""
    from resolver import settings
    from resolver.control import call

    path = settings.read(config).control_socket
    answer, _ = call(path, {"command": "release-resume"})
    _settled(path, "suspended", answer["revision"])
    line("no release is suspended")


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
