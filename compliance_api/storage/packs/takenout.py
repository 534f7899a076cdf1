"""Which releases took out the names of a pack's observations, read from PostgreSQL.

Holds always: it only reads, in the caller's transaction; of a release it gives the very names that the ledger had been
told of by then, so that the digest in its leaf shows that they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.ledger.removed import Names, digest
from compliance_api.storage.tables import ledger_leaves, removals

RELEASES_MAX = 1000


def subject(serial: int) -> str:
    """What the leaf of a release's removals is about."""
    return f"removals/{serial}"


async def taken_out(connection: AsyncConnection, asked: Iterable[str], as_of: int) -> dict[int, Names]:
    """Names with whether they were free then, by the release that took them out; of releases that took out one asked.

    Args:
        connection: In one snapshot.
        asked: Names that were asked.
        as_of: How many leaves the ledger had.
    """
    kept, leaf = removals.c, ledger_leaves.c
    wanted = select(kept.serial).where(kept.qname.in_(sorted(set(asked)))).distinct().order_by(kept.serial.desc())
    found: dict[int, Names] = {}
    for serial in sorted((await connection.execute(wanted.limit(RELEASES_MAX))).scalars()):
        told = (
            select(leaf.content)
            .where(leaf.subject == subject(serial), leaf.log_index < as_of, leaf.content.is_not(None))
            .order_by(leaf.log_index.desc())
            .limit(1)
        )
        content = (await connection.execute(told)).scalar_one_or_none()
        if content is None:
            continue
        rows = select(kept.heard_at, kept.qname, kept.free).where(kept.serial == serial).order_by(kept.heard_at)
        heard: dict[datetime, list[tuple[str, bool]]] = {}
        for row in await connection.execute(rows):
            heard.setdefault(row.heard_at, []).append((row.qname, row.free))
        # Where none of them fits, somebody has been at the rows, and the verifier says so.
        found[serial] = _told(list(heard.values()), str(json.loads(content)["sha256"]))
    return found


def _told(heard: Sequence[Sequence[tuple[str, bool]]], wanted: str) -> Names:
    """What was known when the leaf was entered: names are heard turn by turn."""
    known: list[tuple[str, bool]] = []
    for turn in heard:
        known = sorted([*known, *turn])
        if digest(known) == wanted:
            return known
    return known
