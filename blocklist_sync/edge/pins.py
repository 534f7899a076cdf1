"""Whom to believe about the authority's ledger, as the list's repository signs it: kept beside the list.

Holds always: what is kept stood in top-level targets that the offline holders' threshold signed; one of a lower version
never takes the place of a higher one, whatever becomes of TUF's own files; once there is a policy, only another one
replaces it: documents without it, or with what is none, change nothing.

    ledger-policy     a line with the version of the targets, and the policy (C2SP tlog-policy), if they name one
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tuf.api.metadata import Targets

from lachan import durable, log
from lachan.ledger import policy
from lachan.ledger.note import NoteError

FILE = "ledger-policy"
MAX_BYTES = policy.MAX_POLICY_BYTES + 64
_HEAD = "# targets "


@dataclass(frozen=True)
class Pin:
    """What the newest targets named."""

    version: int
    text: bytes
    """Empty: nothing."""


def load(path: Path) -> Pin | None:
    """What is kept; None before the first targets, or where it is damaged.

    Raises:
        FileError: It cannot be read.
    """
    if not path.exists():
        return None
    head, _, text = durable.read(path, MAX_BYTES).partition(b"\n")
    number = head.decode(errors="replace").removeprefix(_HEAD)
    if not head.startswith(_HEAD.encode()) or not (number.isascii() and number.isdigit() and len(number) < 16):
        return None
    return Pin(int(number), text)


def keep(path: Path, targets: Targets) -> None:
    """Takes over what verified top-level targets name.

    Raises:
        FileError: It cannot be kept.
    """
    held = load(path)
    if held is not None and targets.version == held.version:
        return
    if held is not None and targets.version < held.version:
        log.get().error("older targets name no ledger policy here", version=targets.version, kept=held.version)
        return
    try:
        text = policy.pinned(targets.unrecognized_fields.get(policy.PINNED))
    except NoteError as error:
        log.get().error("the signed ledger policy is none, and the one before stays", reason=str(error))
        return
    if not text and held is not None and held.text:
        log.get().error("newer targets name no ledger policy, and the one before stays", version=targets.version)
        return
    if held is None or text != held.text:
        log.get().info("ledger policy taken from signed targets", version=targets.version, named=bool(text))
    durable.write(path, [f"{_HEAD}{targets.version}\n".encode(), text])
