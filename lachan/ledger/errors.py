"""The one error of the ledger's core."""

from __future__ import annotations

from lachan.errors import LachanError


class LedgerError(LachanError):
    """What was to be proved is not, or is not even written as it must be; the message says which and where."""
