"""What the database holds, against what was acknowledged: nothing lost, nothing doubled, no place in the log empty."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, text

from lachan import postgres

_REPORTS = (
    "SELECT operator_id, node, encode(boot_epoch, 'hex'), sequence, encode(digest, 'hex'), log_index FROM reports"
)


@dataclass(frozen=True)
class Proof:
    """What was found."""

    acknowledged: int
    stored: int
    lost: int
    """Acknowledged, and not stored at that place with that digest."""
    doubled: int
    """Stored more than once, or under a number or at a place that another one has."""
    astray: int
    """Places in the log without a report, reports without a leaf, chains that are broken or heads that are not last."""


def _acknowledged(logs: Sequence[Path]) -> list[tuple[str, str, str, int, str, int]]:
    return [tuple(json.loads(line)) for path in logs for line in path.read_text().splitlines()]


async def _read(url: URL) -> tuple[list[tuple[str, str, str, int, str, int]], int]:
    engine = postgres.engine(url, 2, "proof")
    try:
        async with engine.connect() as connection:
            rows = [tuple(row) for row in await connection.execute(text(_REPORTS))]
            relations = await connection.execute(
                text("SELECT count(*) FROM reports WHERE relation NOT IN ('begins', 'extends')")
            )
            leaves = await connection.execute(
                text(
                    "SELECT (SELECT next_index FROM log_position) - (SELECT count(*) FROM ledger_leaves)"
                    " + (SELECT count(*) FROM reports LEFT JOIN ledger_leaves USING (log_index)"
                    " WHERE ledger_leaves.log_index IS NULL)"
                )
            )
            heads = await connection.execute(
                text(
                    "SELECT count(*) FROM chain_heads head JOIN (SELECT operator_id, node, max(sequence) AS last"
                    " FROM reports GROUP BY operator_id, node) kept USING (operator_id, node)"
                    " WHERE kept.last <> head.sequence OR kept.last <> head.top_sequence"
                )
            )
            astray = relations.scalar_one() + abs(leaves.scalar_one()) + heads.scalar_one()
    finally:
        await engine.dispose()
    return rows, astray


def prove(url: URL, logs: Sequence[Path]) -> Proof:
    """Compares; every node has handed in all it signed, so there is nothing stored that was not acknowledged."""
    rows, astray = asyncio.run(_read(url))
    promised = _acknowledged(logs)
    stored = set(rows)
    numbers = Counter(row[:4] for row in rows)
    places = Counter(row[5] for row in rows)
    doubled = sum(count - 1 for counter in (numbers, places) for count in counter.values())
    unasked = len(stored - set(promised))
    return Proof(len(promised), len(rows), len(set(promised) - stored), doubled + unasked, astray)
