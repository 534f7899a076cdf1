"""Adds to the ledger, inside the transaction of whoever has something to add.

Holds always: indices have no holes and follow the order of the commits, for the lock of the position is held until
then; times of entry never go back along the indices, whoever's clock they are by; what is committed to is in the same
transaction as its leaf, or neither is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, cast, func, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.errors import BusyError
from compliance_api.storage.tables import log_position
from lachan.ledger.leaf import SALT_BYTES, Kind, Opening

CLOCK_TOLERANCE_S = 60
"""Seconds by which the clocks of service and database may differ; beyond, one of them is wrong, and a leaf that is
entered with a time to come would make every later one look postdated."""

IN_TABLES_OF_THEIR_OWN = frozenset({Kind.REPORT, Kind.UNVERIFIED_REPORT, Kind.OBSERVATION})
"""Kinds whose content is not stored a second time beside the leaf."""

# One statement whatever the number: the lock is held until the commit.
_INSERT = text(
    "INSERT INTO ledger_leaves (log_index, kind, subject, entered_at, commitment, salt, content)"
    " SELECT :first + place - 1, kind, subject, :entered_at, commitment, salt, content"
    " FROM unnest(CAST(:kinds AS text[]), CAST(:subjects AS text[]), CAST(:commitments AS bytea[]),"
    " CAST(:salts AS bytea[]), CAST(:contents AS bytea[]))"
    " WITH ORDINALITY AS leaf (kind, subject, commitment, salt, content, place)"
)


class LedgerClockError(BusyError):
    """Nothing can be entered now: the clocks disagree."""


@dataclass(frozen=True)
class NewLeaf:
    """Something to enter."""

    kind: Kind
    content: bytes
    """What the leaf commits to: canonical bytes of the kind; of reports and observations `lachan.ledger.batch`."""
    subject: str
    """What a pack looks for: OPERATOR/NODE, `assignment/HEX`, `law/ID`, `finding/ID` and so on."""


async def append(
    connection: AsyncConnection,
    leaves: Sequence[NewLeaf],
    *,
    clock: Callable[[], float] = time.time,
    entropy: Callable[[int], bytes] = os.urandom,
) -> int:
    """Enters leaves, at least one; the last thing but what needs the indices in the caller's transaction.

    Args:
        connection: In a transaction; from here to its end everybody else who adds to the ledger waits.
        leaves: In the order that they are to have.
        clock: Seconds since 1970, UTC; the time of entry is the database's, held against this one.
        entropy: Makes salts.

    Returns:
        The index of the first one.

    Raises:
        LedgerClockError: The ledger's clock and ours disagree; the transaction has to be rolled back.
    """
    position = log_position.c
    theirs = cast(func.floor(func.extract("epoch", func.clock_timestamp())), BigInteger)
    taken = await connection.execute(
        update(log_position)
        .values(next_index=position.next_index + len(leaves), entered_at=func.greatest(position.entered_at, theirs))
        .returning(position.next_index, position.entered_at, theirs)
    )
    after, entered_at, read = taken.one()
    ours = clock()
    if max(abs(entered_at - ours), abs(read - ours)) > CLOCK_TOLERANCE_S:
        raise LedgerClockError(
            f"the ledger's clock is at {entered_at}, the database's at {read} and ours at {ours:.0f}:"
            f" more than {CLOCK_TOLERANCE_S} s apart"
        )
    openings = [Opening(entropy(SALT_BYTES), one.kind, entered_at, one.content) for one in leaves]
    first: int = after - len(leaves)
    await connection.execute(
        _INSERT,
        {
            "first": first,
            "entered_at": entered_at,
            "kinds": [str(one.kind) for one in leaves],
            "subjects": [one.subject for one in leaves],
            "commitments": [one.commitment for one in openings],
            "salts": [one.salt for one in openings],
            "contents": [None if one.kind in IN_TABLES_OF_THEIR_OWN else one.content for one in leaves],
        },
    )
    return first
