"""`lachan-resolver status`: what a running resolver says of itself, for people and for programs."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from lachan.terminal import document, table
from resolver.verbs.common import DEFAULT, Config, Json


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
