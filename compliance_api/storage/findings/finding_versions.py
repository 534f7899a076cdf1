"""What a finding said each time that the ledger was told of it.

Holds always: a version is stored with its leaf, and neither ever changes; an open finding that says something else than
its newest version gets another one, once a day at most, and whenever a step is taken about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.ledger import accusation
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.tables import finding_versions
from lachan import canonical
from lachan.ledger.leaf import Kind

RENEWED_AFTER = timedelta(days=1)

_SAID = ("since", "last_seen", "counts", "evidence", "law", "citation_vi", "citation_en")


def about(finding: Mapping[str, Any]) -> dict[str, Any]:
    """Which finding it is: the beginning of each of its leaves."""
    return {
        "finding": finding["finding_id"].hex(),
        "operator": finding["operator_id"],
        "jurisdiction": finding["jurisdiction"],
        "kind": str(finding["kind"]),
        "node": finding["node"],
    }


def said(finding: Mapping[str, Any]) -> dict[str, Any]:
    """What was found, as a leaf has it: of the evidence no more than leads to it, and a digest of the rest."""
    return {
        "since": finding["since"].isoformat(),
        "last_seen": finding["last_seen"].isoformat(),
        "citation": {"vi": finding["citation_vi"], "en": finding["citation_en"]},
        "law": finding["law"],
        "counts": finding["counts"],
        "evidence": [[one["kind"], one["reference"]] for one in finding["evidence"]],
        "details": accusation.digest(finding["evidence"]),
    }


async def keep(connection: AsyncConnection, new: Sequence[tuple[Mapping[str, Any], int, int]]) -> None:
    """Stores versions whose leaves are entered: rows of `findings`, each with its version and the leaf's index."""
    if not new:
        return
    rows = [
        {
            "operator_id": finding["operator_id"],
            "finding_id": finding["finding_id"],
            "version": version,
            "log_index": index,
            **{name: finding[name] for name in _SAID},
        }
        for finding, version, index in new
    ]
    await connection.execute(insert(finding_versions), rows)


async def renew(
    connection: AsyncConnection, findings: Sequence[Mapping[str, Any]], after: timedelta = RENEWED_AFTER
) -> None:
    """Enters what findings say now where that is something else; the last thing but steps in a transaction.

    Args:
        connection: In a transaction that holds the rows' locks.
        findings: Rows of `findings`.
        after: How old the newest version must be.
    """
    newest = await _newest(connection, findings)
    due = []
    for finding in findings:
        before = newest.get((finding["operator_id"], finding["finding_id"]))
        if before is None:
            # Opened by a release that kept none.
            due.append((finding, 1))
        elif finding["last_seen"] - before.last_seen >= after and _differs(finding, before):
            due.append((finding, before.version + 1))
    if not due:
        return
    first = await append(
        connection,
        [
            NewLeaf(
                Kind.FINDING,
                canonical.encode({**about(finding), **said(finding), "version": version}),
                f"finding/{finding['finding_id'].hex()}",
            )
            for finding, version in due
        ],
    )
    await keep(connection, [(finding, version, first + place) for place, (finding, version) in enumerate(due)])


def _differs(finding: Mapping[str, Any], before: Row[Any]) -> bool:
    return any(finding[name] != getattr(before, name) for name in _SAID if name != "last_seen")


async def _newest(
    connection: AsyncConnection, findings: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, bytes], Row[Any]]:
    kept = finding_versions.c
    keys = [(one["operator_id"], one["finding_id"]) for one in findings]
    if not keys:
        return {}
    wanted = (
        select(finding_versions)
        .where(tuple_(kept.operator_id, kept.finding_id).in_(keys))
        .order_by(kept.operator_id, kept.finding_id, kept.version)
    )
    return {(row.operator_id, row.finding_id): row for row in await connection.execute(wanted)}
