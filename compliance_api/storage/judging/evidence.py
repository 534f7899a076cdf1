"""What verdicts are made from, read from PostgreSQL: reports, observations and releases as the domain's own types.

Holds always: it only reads, in the caller's transaction; every reading is of one operator and a stretch of time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.domain.observations.observation import JUDGED, Arm, Path, Result, Shape, Sighting
from compliance_api.domain.parties.organisation import Transport
from compliance_api.domain.reports.chain import Relation
from compliance_api.domain.reports.record import NodeRecord, ReleaseRecord, ReportRecord, UnverifiedRecord
from compliance_api.domain.reports.window import Absence
from compliance_api.domain.verdicts.case import CopyRecord
from compliance_api.storage.probing.listchanges import changes
from compliance_api.storage.probing.paths import way_of_session
from compliance_api.storage.tables import (
    chain_heads,
    copied_counters,
    observations,
    releases,
    reports,
    revocations,
    session_paths,
    unverified_reports,
)
from lachan.tls import Role

HEARD = timedelta(days=2)
"""How long before a stretch of time the beginning of a silence is looked for: longer than a time to catch up."""
HEARD_AT_MOST = timedelta(days=40)
"""The same for a node that was silent throughout."""


@dataclass(frozen=True)
class Extent:
    """Whose evidence, and from when until when."""

    operator: str
    nodes: Sequence[str]
    start: datetime
    end: datetime
    # What came in later is left out; None for nothing.
    known_at: datetime | None = None

    def knew(self, received: ColumnElement[datetime]) -> ColumnElement[bool]:
        """Whether something had come in by then."""
        return received <= self.known_at if self.known_at is not None else true()

    def knew_of(self, since: ColumnElement[datetime | None]) -> ColumnElement[bool]:
        """The same of what an earlier release stored without saying since when it was known."""
        return or_(since.is_(None), since <= self.known_at) if self.known_at is not None else true()


async def nodes(connection: AsyncConnection, extent: Extent) -> list[NodeRecord]:
    """The nodes of that time, as their chains know them: known before its end, and not away throughout."""
    away = await _away(connection, extent)
    heads = await connection.execute(
        select(chain_heads.c.node, chain_heads.c.enrolled_at, chain_heads.c.first_window, chain_heads.c.window_end)
        .where(chain_heads.c.operator_id == extent.operator, chain_heads.c.node.in_(extent.nodes))
        .where(or_(chain_heads.c.enrolled_at < extent.end, chain_heads.c.first_window < extent.end))
        .where(extent.knew(chain_heads.c.enrolled_at))
        .order_by(chain_heads.c.node)
    )
    rows = heads.all()
    silent = await _not_heard_of(connection, extent)
    newest = {row.node: row.window_end for row in rows if row.window_end is not None}
    heard = await _heard(connection, extent, newest)
    found = [
        NodeRecord(
            row.node,
            row.enrolled_at,
            row.first_window if row.node not in silent else None,
            away.get(row.node, ()),
            tuple(heard.get(row.node, ())),
        )
        for row in rows
    ]
    return [one for one in found if not any(gone.covers(extent.start) and gone.covers(extent.end) for gone in one.away)]


async def _away(connection: AsyncConnection, extent: Extent) -> dict[str, tuple[Absence, ...]]:
    """When each node was none, oldest first."""
    kept = revocations.c
    rows = await connection.execute(
        select(kept.name, kept.revoked_at, kept.lifted_at)
        .where(kept.organisation == extent.operator, kept.role == Role.NODE, kept.name.in_(extent.nodes))
        .where(kept.fingerprint == b"", kept.revoked_at < extent.end, extent.knew(kept.revoked_at))
        .order_by(kept.revoked_at)
    )
    found: dict[str, tuple[Absence, ...]] = {}
    for row in rows:
        lifted = row.lifted_at if extent.known_at is None or (row.lifted_at or extent.end) <= extent.known_at else None
        found[row.name] = (*found.get(row.name, ()), Absence(row.revoked_at, lifted))
    return found


async def _not_heard_of(connection: AsyncConnection, extent: Extent) -> set[str]:
    """The nodes whose first report had not come in yet: what their heads say was not known."""
    if extent.known_at is None:
        return set()
    kept = reports.c
    found = set()
    for node in extent.nodes:
        own = select(kept.accepted_at).where(kept.operator_id == extent.operator, kept.node == node)
        first = (await connection.execute(own.order_by(kept.log_index).limit(1))).scalar_one_or_none()
        if first is not None and first > extent.known_at:
            found.add(node)
    return found


async def _heard(
    connection: AsyncConnection, extent: Extent, newest: Mapping[str, datetime]
) -> dict[str, list[tuple[datetime, datetime]]]:
    """The windows that each node reported shortly before that time, oldest first; or the last one before.

    Args:
        connection: In a transaction.
        extent: Whose, and the time.
        newest: When the last window ended that each node ever reported.
    """
    kept = reports.c
    windows = select(kept.node, kept.window_start, kept.window_seconds).where(
        kept.operator_id == extent.operator, kept.window_start < extent.start, extent.knew(kept.accepted_at)
    )
    recent = windows.where(kept.node.in_(extent.nodes), kept.window_start >= extent.start - HEARD)
    rows = list(await connection.execute(recent.order_by(kept.window_start)))
    # Whoever was silent for longer and is back: rare, so each is looked for by itself.
    back = {node for node, end in newest.items() if end > extent.start} - {row.node for row in rows}
    for node in sorted(back):
        before = windows.where(kept.node == node, kept.window_start >= extent.start - HEARD_AT_MOST)
        rows += await connection.execute(before.order_by(kept.window_start.desc()).limit(1))
    found: dict[str, list[tuple[datetime, datetime]]] = {}
    for row in rows:
        end = row.window_start + timedelta(seconds=row.window_seconds)
        found.setdefault(row.node, []).append((row.window_start, end))
    return found


async def reported(connection: AsyncConnection, extent: Extent) -> list[ReportRecord]:
    """Reports whose windows began in that time, in the order in which they were received."""
    kept = reports.c
    rows = await connection.execute(
        select(
            kept.node,
            kept.digest,
            kept.sequence,
            kept.relation,
            kept.accepted_at,
            kept.window_start,
            kept.window_seconds,
            kept.list_serial,
            kept.list_activated_at,
            kept.blocked,
            kept.enforcing,
            kept.rival,
        )
        .where(kept.operator_id == extent.operator, kept.node.in_(extent.nodes))
        .where(kept.window_start >= extent.start, kept.window_start < extent.end, extent.knew(kept.accepted_at))
        .order_by(kept.log_index)
    )
    return [
        ReportRecord(
            row.node,
            row.digest.hex(),
            row.sequence,
            Relation(row.relation),
            row.accepted_at,
            row.window_start,
            row.window_seconds,
            row.list_serial,
            row.list_activated_at,
            row.blocked,
            row.enforcing,
            row.rival.hex() if row.rival else "",
        )
        for row in rows
    ]


async def unverified(connection: AsyncConnection, extent: Extent) -> list[UnverifiedRecord]:
    """Report bytes received in that time whose signature does not hold."""
    kept = unverified_reports.c
    rows = await connection.execute(
        select(kept.node, kept.digest, kept.accepted_at, kept.reason)
        .where(kept.operator_id == extent.operator, kept.node.in_(extent.nodes))
        .where(kept.accepted_at >= extent.start, kept.accepted_at < extent.end, extent.knew(kept.accepted_at))
        .order_by(kept.log_index)
    )
    return [UnverifiedRecord(row.node, row.digest.hex(), row.accepted_at, row.reason) for row in rows]


async def sightings(connection: AsyncConnection, extent: Extent) -> list[Sighting]:
    """Observations of names asked in that time, by when they were asked, with the way that their session took.

    Each is in the arm that its name was in by then, whatever it was asked for.
    """
    kept = observations.c
    rows = await connection.execute(
        select(
            kept.assignment_id,
            kept.question,
            kept.asked_at,
            kept.probe_organisation,
            kept.probe,
            kept.vantage_point,
            kept.access_network,
            kept.custodian,
            kept.node,
            kept.arm,
            kept.qname,
            kept.added_serial,
            kept.added_at,
            kept.result,
            kept.shape,
            kept.reference_alive,
            kept.transport,
            kept.family,
            kept.qtype,
            kept.dnssec_ok,
            kept.again,
            way_of_session().label("path"),
            kept.earliest,
            kept.latest,
            kept.strange,
        )
        .outerjoin(
            session_paths,
            and_(
                session_paths.c.operator_id == kept.operator_id,
                session_paths.c.assignment_id == kept.assignment_id,
                extent.knew(session_paths.c.decided_at),
            ),
        )
        .where(kept.operator_id == extent.operator, kept.node.in_(extent.nodes), kept.arm.in_(JUDGED))
        .where(kept.asked_at >= extent.start, kept.asked_at < extent.end, extent.knew(kept.received_at))
        .order_by(kept.asked_at, kept.assignment_id, kept.question)
    )
    found = [
        Sighting(
            f"{row.assignment_id.hex()}/{row.question}",
            row.assignment_id.hex(),
            row.asked_at,
            f"{row.probe_organisation}/{row.probe}",
            row.vantage_point,
            row.access_network,
            row.custodian,
            row.node,
            Arm(row.arm),
            row.qname,
            row.added_serial,
            row.added_at,
            Result(row.result),
            Shape(row.shape),
            row.reference_alive,
            Transport(row.transport),
            row.family,
            row.qtype,
            row.dnssec_ok,
            Path(row.path),
            row.earliest,
            row.latest,
            row.again,
            strange=tuple(row.strange or ()),
        )
        for row in rows
    ]
    known = await changes(connection, (one.qname for one in found), extent.known_at)
    return known.placed(found)


async def published(connection: AsyncConnection, extent: Extent | None = None) -> list[ReleaseRecord]:
    """All releases, oldest first; of an extent, those that were known by then."""
    wanted = select(releases.c.serial, releases.c.published_at, releases.c.urgent).order_by(releases.c.serial)
    rows = await connection.execute(wanted.where(extent.knew_of(releases.c.learned_at)) if extent else wanted)
    return [ReleaseRecord(row.serial, row.published_at, row.urgent) for row in rows]


async def copied(connection: AsyncConnection, extent: Extent) -> list[CopyRecord]:
    """Counters of days that began in that time and are another node's.

    Of two operators' nodes that agree in the very same windows either may be the one that was copied: neither is
    accused of it. Where both are one operator's, whichever was copied, that operator did it.
    """
    kept = copied_counters.c
    later = and_(kept.other_node.in_(extent.nodes), kept.lag > 0)
    own = and_(
        kept.operator_id == kept.other_operator, or_(*(one.in_(extent.nodes) for one in (kept.other_node, kept.node)))
    )
    rows = await connection.execute(
        select(copied_counters)
        .where(kept.other_operator == extent.operator, or_(later, own), extent.knew_of(kept.found_at))
        .where(kept.starts_at >= extent.start, kept.starts_at < extent.end)
        .order_by(kept.starts_at, kept.other_node, kept.operator_id, kept.node)
    )
    return [CopyRecord(row.other_node, f"{row.operator_id}/{row.node}", row.starts_at, row.windows) for row in rows]
