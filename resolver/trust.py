"""Whom this edge believes about the authority's ledger: what the list's repository pins, and a file of its own.

Holds always: a head is believed where each of the two that there are believes it, so that a file of one's own only
narrows what is signed; while it is not known yet whether the repository pins a policy, nothing is believed.
"""

from __future__ import annotations

from pathlib import Path

from blocklist_sync.edge import pins
from lachan import durable
from lachan.ledger import policy
from lachan.ledger.errors import LedgerError
from lachan.ledger.note import Note, NoteError
from lachan.ledger.policy import Believed, Policy


def load_policy(path: Path) -> Policy:
    """Whom to believe, from a file.

    Raises:
        LedgerError: It is no policy.
        FileError: It cannot be read.
    """
    try:
        return policy.parse(durable.read(path, policy.MAX_POLICY_BYTES))
    except NoteError as error:
        raise LedgerError(f"{path}: {error}") from error


class Trust:
    """Both of them, read again when they are needed: the signed one changes with the list."""

    def __init__(self, own: Path | None, signed: Path | None) -> None:
        """Reads the file of one's own.

        Args:
            own: A policy of this edge's configuration.
            signed: Where the list's sync keeps what the repository pins; None where there is no sync.

        Raises:
            LedgerError, FileError: The file of one's own is none, or cannot be read.
        """
        self._own = (load_policy(own),) if own is not None else ()
        self._signed = signed

    def policies(self) -> tuple[Policy, ...] | None:
        """Each that has to believe a head; nobody, where receipts are enough; None where that is not known yet.

        Raises:
            LedgerError, FileError: What is kept cannot be used.
        """
        if self._signed is None:
            return self._own
        pin = pins.load(self._signed)
        if pin is None:
            return None
        if not pin.text:
            return self._own
        try:
            return (policy.parse(pin.text), *self._own)
        except NoteError as error:
            raise LedgerError(f"{self._signed}: {error}") from error

    def check(self, signed: Note, now: int) -> Believed:
        """A head that is believed.

        Args:
            signed: As it came from outside.
            now: Seconds since 1970, UTC.

        Raises:
            LedgerError: It is not, or it is not known yet by whom it has to be.
            FileError: What is kept cannot be read.
        """
        policies = self.policies()
        if not policies:
            raise LedgerError("whom to believe about the ledger is not known here yet")
        first, *others = [one.check(signed, now) for one in policies]
        # They are of one head, and differ in whose times they tell.
        return Believed(first.checkpoint, {name: at for one in (first, *others) for name, at in one.times.items()})
