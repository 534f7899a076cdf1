"""`lachan-blocklist rpz`: the published list as a zone file, and whoever serves it told of it.

Holds always: the file is whole or the one before; a serial that a zone was written under is never written with other
content, since no secondary would ask for it.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release.candidate import ReleaseFolder
from blocklist_sync.central.rpz.order import in_tree_order
from blocklist_sync.central.rpz.source import EntryStream, Listed, open_settled
from blocklist_sync.central.rpz.tree import owners
from blocklist_sync.central.rpz.zone import (
    MANDATED,
    MAX_HEADER_BYTES,
    Counts,
    Head,
    Reason,
    ZoneSettings,
    newer,
    soa_serial,
    zone,
)
from lachan import durable, terminal
from lachan.errors import LachanError

FILE_MODE = 0o640
"""For the name server's group: the names stand in it in the clear."""
RELOAD_SECONDS = 60.0
LOOK_SECONDS = 0.5
RETRY_SECONDS = 2.0
MAX_LEFT_OUT_SHOWN = 50
MAX_SAID_CHARACTERS = 500


class StandingError(CentralError):
    """What the file there holds stands until something newer is published: trying again changes nothing."""


@dataclass
class _LeftOut:
    """Prints the first names that are not in the zone; all of them are counted."""

    shown: int = 0
    first: list[str] = field(default_factory=list)

    def __call__(self, name: str, reason: Reason) -> None:
        self.shown += 1
        if self.shown <= MAX_LEFT_OUT_SHOWN:
            self.first.append(name)
            terminal.complain(f"{name}: {reason}")


def _held(out: Path) -> Head | None:
    """Which release the zone file there is of; None where there is none of ours."""
    try:
        with out.open("rb") as file:
            return Head.read(file.readline(MAX_HEADER_BYTES).decode("ascii", "replace"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CentralError(f"{out}: {error.strerror}") from error


def _wanted(held: Head | None, head: Head, out: Path) -> bool:
    """Whether a zone is to be written over the one there.

    Raises:
        StandingError: It would not be taken for a newer one.
    """
    if held is None or newer(head.serial, held.serial):
        return True
    if held == head:
        return False
    if soa_serial(held.serial) == soa_serial(head.serial):
        raise StandingError(
            f"{out}: other settings or records made the zone of serial {held.serial}; resolvers that have it would not "
            "ask again: changed settings take effect with the next release"
        )
    raise StandingError(f"{out}: of serial {held.serial}, which is newer than the published serial {head.serial}")


def _pieces(
    listed: Listed, head: Head, settings: ZoneSettings, counts: Counts, left_out: _LeftOut, folder: Path
) -> Iterator[bytes]:
    """The zone file, while the list is read."""
    stream = EntryStream(listed.path, listed.file)
    ordered = in_tree_order(stream.names(), folder)
    # All names have been read, and so all exceptions are known, once the first one comes out in order.
    wanted = owners(ordered, stream.kinds, listed.categories(settings.profile), stream.above)
    return zone(wanted, head, settings, listed.bundle, counts, left_out)


def tell(command: str) -> None:
    """Tells whoever serves the zone; by no shell.

    Raises:
        CentralError: It could not be told.
    """
    try:
        words = shlex.split(command)
        ended = subprocess.run(words, capture_output=True, text=True, timeout=RELOAD_SECONDS, check=False)
    except (OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
        raise CentralError(f"the file is written, but {command!r}: {error}") from error
    if ended.returncode:
        said = (ended.stderr or ended.stdout).strip()[:MAX_SAID_CHARACTERS]
        raise CentralError(f"the file is written, but {command!r} ended with {ended.returncode}: {said}")


def _write(folder: ReleaseFolder, out: Path, settings: ZoneSettings, reload: str | None, *, as_json: bool) -> None:
    """Writes the zone where what is published is newer, and tells whoever serves it."""
    listed = open_settled(folder)
    counts, left_out = Counts(), _LeftOut()
    with listed.file, durable.lock(out.parent):
        head = Head(listed.serial, listed.records_digest, settings.digest(listed.bundle))
        written = _wanted(_held(out), head, out)
        if written:
            durable.write(out, _pieces(listed, head, settings, counts, left_out, out.parent), FILE_MODE)
    if left_out.shown > MAX_LEFT_OUT_SHOWN:
        terminal.complain(f"… and {left_out.shown - MAX_LEFT_OUT_SHOWN} more names that are not in the zone")
    if reload is not None:
        tell(reload)
    summary = {
        "serial": listed.serial,
        "profile": settings.profile,
        "written": written,
        "owners": counts.owners,
        "passed": counts.passed,
        "actions_replaced": counts.actions_replaced,
        "left_out": sum(counts.left_out.values()),
    }
    if as_json:
        terminal.document(summary | {"left_out_by_reason": counts.left_out, "left_out_first": left_out.first})
    else:
        terminal.table(
            "Zone", ("", ""), [*summary.items(), *((f"left out: {r}", n) for r, n in counts.left_out.items())]
        )


def _published(folder: ReleaseFolder) -> tuple[int, int] | None:
    """What changes with each publication; None before the first."""
    try:
        found = folder.history_path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _follow(folder: ReleaseFolder, write: Callable[[], None]) -> None:
    """Writes now, and whenever something was published; what fails is said, and tried again."""
    seen: tuple[int, int] | None = None
    said = ""
    while True:
        now = _published(folder)
        if now is not None and now != seen:
            try:
                write()
                seen, said = now, ""
            except StandingError as error:
                seen, said = now, str(error)
                terminal.complain(said)
            except LachanError as error:
                # A build or a publishing may hold the folder: nothing is lost by waiting.
                if str(error) != said:
                    terminal.complain(str(error))
                said = str(error)
                time.sleep(RETRY_SECONDS)
        sys.stdout.flush()
        time.sleep(LOOK_SECONDS)


def rpz(
    release: Annotated[Path, typer.Option(help="The release folder.")],
    out: Annotated[Path, typer.Option(help="The zone file; its folder is for the list authority alone to write.")],
    origin: Annotated[str, typer.Option(help="The zone's name: lachan.rpz.so.example.")],
    profile: Annotated[
        str, typer.Option(help="Whose zone: `mandated`, or a profile of the policy bundle, with what is mandated.")
    ] = MANDATED,
    nameserver: Annotated[str, typer.Option(help="For the SOA and the NS.")] = "localhost",
    contact: Annotated[str, typer.Option(help="The SOA's mailbox, with a dot for the @.")] = "hostmaster.invalid",
    sinkhole: Annotated[str | None, typer.Option(help="The host of the block page, for the sinkhole action.")] = None,
    ttl: Annotated[int, typer.Option(help="Of every answer, in seconds.")] = 10,
    refresh: Annotated[int, typer.Option(help="Seconds between a resolver's own questions for a newer zone.")] = 300,
    expire: Annotated[int, typer.Option(help="Seconds that a resolver goes on by its copy alone.")] = 365 * 86_400,
    reload: Annotated[
        str | None,
        typer.Option(help="A command to run then, without a shell: `knotc zone-reload lachan.rpz.so.example`."),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            help="Stay, and write it again after each publication: deploy/systemd/lachan-blocklist-rpz.service."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
) -> None:
    """Writes the published list as a Response Policy Zone, for operators who keep their own resolver."""
    settings = ZoneSettings(
        origin.removesuffix("."), profile, nameserver, contact, sinkhole, ttl=ttl, refresh=refresh, expire=expire
    )
    folder = ReleaseFolder(release)
    write = partial(_write, folder, out, settings, reload, as_json=as_json)
    if follow:
        _follow(folder, write)
    else:
        write()
