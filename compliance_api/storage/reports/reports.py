"""Reports in PostgreSQL: each exactly once, chained, at a place in the log.

Holds always: a node's reports are added under the lock of its chain head, and the head moves in the same transaction;
no transaction waits for a node's head, so that one node never holds the others; the log's next indices are taken after
everything that can be decided, so that they have no holes and the lock that orders all writers is held shortly; a
number above the highest one used in its epoch is new, which the head knows, and any other is looked up in every
partition.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.reports.chain import Head, Relation
from compliance_api.errors import InvalidRequestError, UnavailableError, Violation
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.tables import chain_heads, unverified_reports
from compliance_api.usecases.reports.claim import EPOCH_BYTES
from compliance_api.usecases.reports.grouping import Call
from compliance_api.usecases.reports.standing import Logged, New, Place, Standing, unsigned_key
from lachan import postgres
from lachan.ledger.batch import signed
from lachan.ledger.leaf import Kind

_Node = tuple[str, str]

# Whoever holds a head elsewhere is adding to that chain at this moment: it is left out, never waited for.
_LOCK = text(
    "SELECT head.* FROM unnest(CAST(:operators AS text[]), CAST(:nodes AS text[])) AS own (operator_id, node)"
    " JOIN chain_heads head USING (operator_id, node) FOR UPDATE OF head SKIP LOCKED"
)
_RECALL = text(
    "SELECT kept.operator_id, kept.node, kept.boot_epoch, kept.sequence, kept.digest, kept.log_index, kept.accepted_at,"
    " kept.relation FROM unnest(CAST(:operators AS text[]), CAST(:nodes AS text[]), CAST(:epochs AS bytea[]),"
    " CAST(:sequences AS bigint[])) AS own (operator_id, node, boot_epoch, sequence)"
    " JOIN reports kept USING (operator_id, node, boot_epoch, sequence) ORDER BY kept.log_index"
)
_RECALL_UNSIGNED = text(
    "SELECT kept.operator_id, kept.node, kept.digest, kept.signature_digest, kept.log_index, kept.accepted_at"
    " FROM unnest(CAST(:operators AS text[]), CAST(:nodes AS text[]), CAST(:digests AS bytea[]))"
    " AS own (operator_id, node, digest) JOIN unverified_reports kept USING (operator_id, node, digest)"
)
_HIGHEST = text(
    "SELECT kept.operator_id, kept.node, max(kept.sequence) AS sequence FROM unnest(CAST(:operators AS text[]),"
    " CAST(:nodes AS text[]), CAST(:epochs AS bytea[])) AS own (operator_id, node, boot_epoch)"
    " JOIN reports kept USING (operator_id, node, boot_epoch) GROUP BY kept.operator_id, kept.node"
)
_MOVE = text(
    "UPDATE chain_heads head SET first_window = moved.first_window, boot_epoch = moved.boot_epoch,"
    " previous_boot_epoch = moved.previous_boot_epoch, sequence = moved.sequence, digest = moved.digest,"
    " window_end = moved.window_end, top_digest = moved.digest, top_sequence = moved.ceiling,"
    " past_epochs = moved.past"
    " FROM unnest(CAST(:operators AS text[]), CAST(:nodes AS text[]),"
    " CAST(:first_windows AS timestamptz[]), CAST(:epochs AS bytea[]), CAST(:previous AS bytea[]),"
    " CAST(:sequences AS bigint[]), CAST(:digests AS bytea[]), CAST(:window_ends AS timestamptz[]),"
    " CAST(:ceilings AS bigint[]), CAST(:pasts AS bytea[])) AS moved (operator_id, node, first_window, boot_epoch,"
    " previous_boot_epoch, sequence, digest, window_end, ceiling, past)"
    " WHERE head.operator_id = moved.operator_id AND head.node = moved.node"
)
REPORT_COLUMNS = (
    "operator_id",
    "node",
    "boot_epoch",
    "sequence",
    "digest",
    "log_index",
    "accepted_at",
    "relation",
    "rival",
    "window_start",
    "window_seconds",
    "list_serial",
    "list_activated_at",
    "queries",
    "queries_measured",
    "blocked",
    "enforcing",
    "report",
    "signature",
    "key_id",
)


def _report_row(new: New) -> tuple[Any, ...]:
    """In the order of `REPORT_COLUMNS`."""
    claim, place = new.claim, new.place
    link = claim.link
    return (
        new.operator,
        new.node,
        link.boot_epoch,
        link.sequence,
        link.digest,
        place.index,
        place.accepted_at,
        place.relation,
        new.rival,
        link.window_start,
        link.window_seconds,
        claim.list_serial,
        claim.list_activated_at,
        claim.queries,
        claim.queries_measured,
        claim.blocked,
        claim.enforcing,
        claim.report,
        claim.signature,
        claim.key_id,
    )


def _leaf(new: New) -> NewLeaf:
    claim = new.claim
    kind = Kind.UNVERIFIED_REPORT if new.place.relation is None else Kind.REPORT
    return NewLeaf(kind, signed(claim.report, claim.signature, claim.key_id), f"{new.operator}/{new.node}")


def _unsigned_row(new: New) -> dict[str, Any]:
    digest, signature_digest = unsigned_key(new.claim)
    return {
        "operator_id": new.operator,
        "node": new.node,
        "digest": digest,
        "signature_digest": signature_digest,
        "log_index": new.place.index,
        "accepted_at": new.place.accepted_at,
        "reason": new.claim.flaw,
        "report": new.claim.report,
        "signature": new.claim.signature,
        "key_id": new.claim.key_id,
    }


class Reports:
    """The store that `compliance_api.usecases.reports.grouping` asks for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def write(self, calls: Sequence[Call], now: datetime) -> list[list[Logged] | None]:
        """Stores every claim that is not there yet, all in one transaction, and says where each stands.

        None stands for a call of a node whose chain is being added to by somebody else: nothing of it was stored.

        Raises:
            UnavailableError: The database does not answer; whether it stored anything is not known.
            InvalidRequestError: It will not take the content of one of them.
        """
        try:
            async with self._engine.begin() as connection:
                return await _write(connection, calls, now)
        except (postgres.UnfitError, *postgres.FAILURES) as error:
            if postgres.blames_content(error):
                raise InvalidRequestError([Violation("reports", "cannot be stored")]) from error
            raise UnavailableError(f"the database does not answer: {type(error).__name__}: {error}") from error


async def _begin(connection: AsyncConnection, nodes: Sequence[_Node], now: datetime) -> None:
    """Gives nodes never heard of before a head to lock, the next time."""
    rows = [{"operator_id": operator, "node": node, "enrolled_at": now} for operator, node in nodes]
    await connection.execute(postgresql.insert(chain_heads).on_conflict_do_nothing(), rows)


async def _write(connection: AsyncConnection, calls: Sequence[Call], now: datetime) -> list[list[Logged] | None]:
    nodes = list(dict.fromkeys((call.operator, call.node) for call in calls))
    standings = await _lock(connection, nodes)
    if len(standings) < len(nodes):
        # Held elsewhere, or not there yet.
        await _begin(connection, [one for one in nodes if one not in standings], now)
    own = [call for call in calls if (call.operator, call.node) in standings]
    await _recall(connection, standings, own)
    await _recall_unsigned(connection, standings, own)
    decided: list[list[tuple[Place, bool]] | None] = []
    for call in calls:
        standing = standings.get((call.operator, call.node))
        decided.append(None if standing is None else [standing.decide(claim, now) for claim in call.claims])
    new = [one for standing in standings.values() for one in standing.new]
    if new:
        moved = [standing for standing in standings.values() if standing.moved]
        await _recall_highest(connection, moved)
        await _number(connection, new)
        await _keep(connection, new)
        await _move(connection, moved)
    return [
        None if answer is None else [Logged(one.index, one.accepted_at, one.relation, again) for one, again in answer]
        for answer in decided
    ]


def _head(row: Row[Any]) -> Head | None:
    if row.digest is None:
        return None
    past = _split(row.past_epochs) if row.past_epochs and row.top_digest == row.digest else ()
    return Head(row.boot_epoch, row.previous_boot_epoch, row.sequence, row.digest, row.window_end, past)


def _split(epochs: bytes) -> tuple[bytes, ...]:
    return tuple(epochs[place : place + EPOCH_BYTES] for place in range(0, len(epochs), EPOCH_BYTES))


def _ceiling(row: Row[Any]) -> tuple[bytes, int] | None:
    return (row.boot_epoch, row.top_sequence) if row.top_digest is not None and row.top_digest == row.digest else None


async def _lock(connection: AsyncConnection, nodes: Sequence[_Node]) -> dict[_Node, Standing]:
    """The chains of those whose heads nobody else holds, which are ours until the transaction ends."""
    found = await connection.execute(
        _LOCK, {"operators": [one for one, _ in nodes], "nodes": [one for _, one in nodes]}
    )
    standings = {}
    for row in found:
        standings[row.operator_id, row.node] = Standing(
            row.operator_id, row.node, _head(row), row.first_window, _ceiling(row)
        )
    return standings


async def _recall(connection: AsyncConnection, standings: dict[_Node, Standing], calls: Sequence[Call]) -> None:
    """Reads what is stored already under the numbers of these calls."""
    numbers = {
        (call.operator, call.node, claim.link.boot_epoch, claim.link.sequence)
        for call in calls
        for claim in call.claims
        if not claim.flaw and not standings[call.operator, call.node].is_certainly_new(claim)
    }
    if not numbers:
        return
    operators, nodes, epochs, sequences = map(list, zip(*numbers, strict=True))
    wanted = {"operators": operators, "nodes": nodes, "epochs": epochs, "sequences": sequences}
    for row in await connection.execute(_RECALL, wanted):
        place = Place(row.log_index, row.accepted_at, Relation(row.relation))
        standings[row.operator_id, row.node].recall(row.boot_epoch, row.sequence, row.digest, place)


async def _recall_unsigned(
    connection: AsyncConnection, standings: dict[_Node, Standing], calls: Sequence[Call]
) -> None:
    """Reads which of the reports whose signatures do not hold are stored already."""
    digests = {(call.operator, call.node, claim.link.digest) for call in calls for claim in call.claims if claim.flaw}
    if not digests:
        return
    operators, nodes, wanted = map(list, zip(*digests, strict=True))
    found = await connection.execute(_RECALL_UNSIGNED, {"operators": operators, "nodes": nodes, "digests": wanted})
    for row in found:
        place = Place(row.log_index, row.accepted_at, None)
        standings[row.operator_id, row.node].recall_unsigned((row.digest, row.signature_digest), place)


async def _recall_highest(connection: AsyncConnection, standings: Sequence[Standing]) -> None:
    """Reads the highest number stored in the epoch that a chain has come to, where its old head could not know it."""
    unknown = {(one.operator, one.node): one for one in standings if one.ceiling_unknown}
    if not unknown:
        return
    operators, nodes = map(list, zip(*unknown, strict=True))
    epochs = [one.head.boot_epoch for one in unknown.values() if one.head is not None]
    found = await connection.execute(_HIGHEST, {"operators": operators, "nodes": nodes, "epochs": epochs})
    for row in found:
        unknown[row.operator_id, row.node].recall_highest(row.sequence)


async def _number(connection: AsyncConnection, new: Sequence[New]) -> None:
    """Enters the new claims into the ledger, where each gets its index; from here on everybody else who adds waits."""
    first = await append(connection, [_leaf(one) for one in new])
    for offset, one in enumerate(new):
        one.place.index = first + offset


async def _keep(connection: AsyncConnection, new: Sequence[New]) -> None:
    unsigned = [_unsigned_row(one) for one in new if one.place.relation is None]
    if unsigned:
        await connection.execute(insert(unverified_reports), unsigned)
    rows = [_report_row(one) for one in new if one.place.relation is not None]
    if rows:
        await postgres.copy(connection, "reports", REPORT_COLUMNS, rows)


async def _move(connection: AsyncConnection, standings: Sequence[Standing]) -> None:
    """Moves the heads of the chains that were added to."""
    heads = [(standing, standing.head) for standing in standings if standing.head is not None]
    if not heads:
        return
    await connection.execute(
        _MOVE,
        {
            "operators": [one.operator for one, _ in heads],
            "nodes": [one.node for one, _ in heads],
            "first_windows": [one.first_window for one, _ in heads],
            "epochs": [head.boot_epoch for _, head in heads],
            "previous": [head.previous_boot_epoch for _, head in heads],
            "sequences": [head.sequence for _, head in heads],
            "digests": [head.digest for _, head in heads],
            "window_ends": [head.window_end for _, head in heads],
            "ceilings": [one.highest for one, _ in heads],
            "pasts": [b"".join(head.past) for _, head in heads],
        },
    )
